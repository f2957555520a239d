/* storage/aggregate.h — sum, least, greatest and counts of stored values, exactly.
 *
 * Every value is a whole number of 10^-7 below 2^94, so 128 bits hold any sum of up to 2^33 of
 * them: aggregates can be added in any order and give the same.  Thread: any. */
#ifndef QR_STORAGE_AGGREGATE_H
#define QR_STORAGE_AGGREGATE_H

#include <stdint.h>

#include "base/compiler.h"
#include "storage/value.h"

/* A zeroed one is of nothing. */
struct qr_aggregate {
    uint64_t count; /* Values that are present, .. */
    uint64_t n_anomalous, n_resets;
    qr_i128 sum; /* .. in 10^-7, */
    qr_i128 min, max;
};

/* Of one value; EMPTY adds nothing. */
void qr_aggregate_add(struct qr_aggregate *aggregate, uint32_t value);

/* 10^exponent in 10^-7. */
qr_i128 qr_aggregate_scale(int exponent);

/* Of `count` values (not 0) whose sum, least and greatest are these, times a scale. */
void qr_aggregate_add_scaled(struct qr_aggregate *aggregate, uint64_t count, qr_i128 sum,
                             int64_t min, int64_t max, qr_i128 scale);

void qr_aggregate_merge(struct qr_aggregate *aggregate, const struct qr_aggregate *other);

/* The nearest double of a sum, or of a value. */
double qr_aggregate_number(qr_i128 v);

#endif
