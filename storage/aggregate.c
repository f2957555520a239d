#include "storage/aggregate.h"

#include <assert.h>

#include "storage/pack.h"

qr_i128 qr_aggregate_scale(int exponent)
{
    assert(exponent >= QR_VALUE_EXPONENT_MIN && exponent <= QR_VALUE_EXPONENT_MAX);
    unsigned e = (unsigned)(exponent - QR_VALUE_EXPONENT_MIN), low = e < 15 ? e : 15;
    return (qr_i128)qr_power_of_10[low] * qr_power_of_10[e - low];
}

static void add(struct qr_aggregate *to, uint64_t count, qr_i128 sum, qr_i128 min, qr_i128 max)
{
    to->min = to->count == 0 || min < to->min ? min : to->min;
    to->max = to->count == 0 || max > to->max ? max : to->max;
    to->sum += sum;
    to->count += count;
}

void qr_aggregate_add(struct qr_aggregate *aggregate, uint32_t value)
{
    int exponent = qr_value_exponent(value);
    if (exponent > QR_VALUE_EXPONENT_MAX) /* EMPTY, or no value at all. */
        return;
    qr_i128 v = qr_value_mantissa(value) * qr_aggregate_scale(exponent);
    add(aggregate, 1, v, v, v);
    aggregate->n_anomalous += (value & QR_VALUE_ANOMALOUS) != 0;
    aggregate->n_resets += (value & QR_VALUE_RESET) != 0;
}

void qr_aggregate_add_scaled(struct qr_aggregate *aggregate, uint64_t count, qr_i128 sum,
                             int64_t min, int64_t max, qr_i128 scale)
{
    add(aggregate, count, sum * scale, min * scale, max * scale);
}

void qr_aggregate_merge(struct qr_aggregate *aggregate, const struct qr_aggregate *other)
{
    if (other->count != 0)
        add(aggregate, other->count, other->sum, other->min, other->max);
    aggregate->n_anomalous += other->n_anomalous;
    aggregate->n_resets += other->n_resets;
}

double qr_aggregate_number(qr_i128 v)
{
    return (double)v / 1e7;
}
