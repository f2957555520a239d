/* node/options.h — the words of `options=` of /api/v1/data.
 *
 * Separated by ',', '|' or a blank; unknown words are ignored; several parameters add up.
 * Thread: any. */
#ifndef QR_NODE_OPTIONS_H
#define QR_NODE_OPTIONS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* A row each in options.c, in the order in which answers list them. */
enum qr_option {
    QR_OPTION_NONZERO = 1 << 0,        /* Leave out dimensions that are all zero or null. */
    QR_OPTION_FLIP = 1 << 1,           /* Oldest row first. */
    QR_OPTION_JSONWRAP = 1 << 2,       /* The answer within a description of it. */
    QR_OPTION_MIN2MAX = 1 << 3,        /* One value a row: max - min over dimensions, not sum. */
    QR_OPTION_MS = 1 << 4,             /* Milliseconds. */
    QR_OPTION_ABS = 1 << 5,            /* Absolute values. */
    QR_OPTION_DISPLAY_ABS = 1 << 6,    /* Badges. */
    QR_OPTION_SECONDS = 1 << 7,        /* Seconds instead of dates. */
    QR_OPTION_NULL2ZERO = 1 << 8,      /* 0 for null. */
    QR_OPTION_OBJECTROWS = 1 << 9,     /* Rows of json are objects. */
    QR_OPTION_GOOGLE_JSON = 1 << 10,   /* Dates and quotes as Google's library likes them. */
    QR_OPTION_PERCENTAGE = 1 << 11,    /* Of the row's total over all dimensions. */
    QR_OPTION_UNALIGNED = 1 << 12,     /* Rows need not end at multiples of their length. */
    QR_OPTION_MATCH_IDS = 1 << 13,     /* Patterns look at ids .. */
    QR_OPTION_MATCH_NAMES = 1 << 14,   /* .. or names; neither given: both. */
    QR_OPTION_ANOMALY_BIT = 1 << 15,   /* Anomaly rates instead of values. */
    QR_OPTION_SELECTED_TIER = 1 << 16, /* `tier` was given. */
    QR_OPTION_RAW = 1 << 17,           /* Other endpoints'. */
    QR_OPTION_JW_ANOMALY_RATES = 1 << 18,
    QR_OPTION_NATURAL_POINTS = 1 << 19, /* node/window. */
    QR_OPTION_VIRTUAL_POINTS = 1 << 20,
    QR_OPTION_ALL_DIMENSIONS = 1 << 21, /* jsonwrap lists all there are. */
};

uint32_t qr_options_parse(struct qr_slice text);

/* Appends their names, with commas. */
void qr_options_print(struct qr_buf *out, uint32_t options);

#endif
