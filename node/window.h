/* node/window.h — which rows a query of /api/v1/data returns.
 *
 * From what a client asked (after, before, points, gtime; relative, absolute or absent) and what
 * the database holds to a grid of rows, with the arithmetic of Netdata 1.37, to the second:
 *
 *   row i of n_rows (0 is the oldest) ends at first_row_s + i * step_s, the last at before_s;
 *   row T is made of the points that end in (T - step_s, T]
 *
 * A relative window is in natural points (the granularity is the database's interval), an absolute
 * one with `points` given in virtual points (granularity 1 s, values are interpolated).  "Now" is a
 * second ago.  before = 0 is the end of the database and is rounded down to a whole row; any other
 * `before` is rounded up.
 *
 * Pure: integers only.  Thread: any. */
#ifndef QR_NODE_WINDOW_H
#define QR_NODE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define QR_WINDOW_ROWS_MAX 86400

struct qr_window_request {
    int64_t after, before; /* As asked: |v| <= 3 years is relative. */
    int64_t points;        /* 0: all natural points. */
    int64_t gtime_s;       /* Resampling: 0 is none. */
    uint32_t tier_s;       /* Step of the tier that was asked for by number; 0: none, or samples. */
    bool unaligned;        /* Options. */
    bool natural, virtual; /* Options; virtual wins. */
};

/* Of all that the query selected. */
struct qr_window_source {
    int64_t first_s, last_s; /* 0: nothing is stored. */
    uint32_t update_every;   /* The smallest. */
};

struct qr_window {
    int64_t after_s;     /* What is reported: the first row's time - step_s + granularity_s. */
    int64_t before_s;    /* The last row's time. */
    int64_t first_row_s; /* The first row's time. */
    int64_t step_s;
    int64_t granularity_s;
    uint32_t n_rows;
    uint32_t group; /* Granules a row. */
    double divisor; /* Of sums when gtime_s is more than the granularity, otherwise 1. */
    bool resampled; /* It is. */
    bool natural;   /* Otherwise virtual points. */
    bool relative;  /* The answer changes with time: not cacheable. */
};

/* Turns a pair as asked into absolute seconds, in order, not after `now_s` (a second ago).  True if
 * either was relative.  This is also the window that selects what has data in it. */
bool qr_window_absolute(int64_t *after, int64_t *before, int64_t now_s);

/* 0, or QR_E_UNKNOWN: after or before is 0 and nothing is stored. */
int qr_window_resolve(struct qr_window *window, const struct qr_window_request *request,
                      const struct qr_window_source *source, int64_t now_s);

#endif
