/* node/grouping.h — how the points of a row become one value: `group=` of /api/v1/data.
 *
 * One struct qr_grouping a column: add the row's values (never NaN) in order of time, then take the
 * row's value and go on with the next row.  The formulas, with Netdata 1.37's quirks:
 *
 *   average           sum / n; when resampling: sum / divisor
 *   sum, min, max     min and max by absolute value, the sign is kept
 *   incremental_sum   last - first
 *   median            the middle of the sorted values; of an even n > 2 the mean of elements n/2
 *   trimmed-median P    and n/2 + 1 (from 0); P % of the range is cut off at either end first
 *   trimmed-mean P    mean of the middle 100 - 2 P % of the sorted values
 *   percentile P      mean of the lowest P % of them
 *   stddev, cv        sample standard deviation; and as a percentage of |mean|
 *   ses, des          single and double exponential smoothing; they go on across rows
 *   countif OP X      percentage of values for which it holds
 *
 * Thread: the owner's. */
#ifndef QR_NODE_GROUPING_H
#define QR_NODE_GROUPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "node/window.h"
#include "storage/aggregate.h"

enum qr_grouping_kind {
    QR_GROUP_AVERAGE,
    QR_GROUP_SUM,
    QR_GROUP_MIN,
    QR_GROUP_MAX,
    QR_GROUP_INCREMENTAL_SUM,
    QR_GROUP_MEDIAN,
    QR_GROUP_TRIMMED_MEAN,
    QR_GROUP_PERCENTILE,
    QR_GROUP_STDDEV,
    QR_GROUP_CV,
    QR_GROUP_SES,
    QR_GROUP_DES,
    QR_GROUP_COUNTIF,
};

enum qr_grouping_compare { QR_CMP_EQ, QR_CMP_NE, QR_CMP_LT, QR_CMP_LE, QR_CMP_GT, QR_CMP_GE };

struct qr_grouping_spec {
    enum qr_grouping_kind kind;
    const char *name;                 /* As answers report it: the first of its aliases. */
    double share;                     /* Of median: cut off; of the slot rules: used; 0 to 1. */
    enum qr_grouping_compare compare; /* countif */
    double target;
};

/* From `group` and `group_options`; an unknown name is average, as there. */
void qr_grouping_parse(struct qr_grouping_spec *spec, struct qr_slice name,
                       struct qr_slice options);

struct qr_grouping {
    const struct qr_grouping_spec *spec;
    double divisor; /* 0: none. */
    double alpha;
    uint64_t n;     /* Values of this row; of ses and des: of all rows. */
    double a, b;    /* What the kind keeps. */
    double *values; /* Of kinds that sort. */
    size_t capacity;
};

/* The spec outlives it. */
void qr_grouping_init(struct qr_grouping *grouping, const struct qr_grouping_spec *spec,
                      const struct qr_window *window);
void qr_grouping_release(struct qr_grouping *grouping);

/* 0 or UV_ENOMEM. */
int qr_grouping_add(struct qr_grouping *grouping, double v);

/* The same for all values that are added up there.  False: for this kind that is not enough. */
bool qr_grouping_add_sum(struct qr_grouping *grouping, const struct qr_aggregate *sum);
/* Can it be, for this kind, whatever the values? */
bool qr_grouping_takes_sums(const struct qr_grouping_spec *spec);

/* The value of the row, NAN for none; the next row starts. */
double qr_grouping_take(struct qr_grouping *grouping);

#endif
