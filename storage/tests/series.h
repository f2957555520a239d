/* storage/tests/series.h — series of every kind that the codec chooses between, from a seed. */
#ifndef QR_STORAGE_TESTS_SERIES_H
#define QR_STORAGE_TESTS_SERIES_H

#include <math.h>

#include "base/rng.h"
#include "storage/value.h"

enum series_kind {
    SERIES_EMPTY,
    SERIES_CONSTANT,
    SERIES_SPARSE,
    SERIES_FEW_VALUES,
    SERIES_COUNTER,
    SERIES_DECIMALS,
    SERIES_NOISE,
    SERIES_SPIKES,
    SERIES_HUGE,
    SERIES_WIDE, /* Too wide for integers. */
    SERIES_BITS, /* Not values at all. */
    SERIES_KINDS
};

static inline uint32_t series_value(struct qr_rng *rng, enum series_kind kind, uint32_t i,
                                    uint32_t before)
{
    double was = qr_value_is_empty(before) ? 0 : qr_value_unpack(before);
    switch (kind) {
    case SERIES_EMPTY:
        return QR_VALUE_EMPTY;
    case SERIES_CONSTANT:
        return i == 0 ? qr_value_pack((double)qr_rng_below(rng, 1000) / 8, 0) : before;
    case SERIES_SPARSE:
        return i == 0 || qr_rng_below(rng, 40) == 0
                   ? qr_value_pack((double)qr_rng_below(rng, 100000) - 50000, 0)
                   : before;
    case SERIES_FEW_VALUES:
        return qr_value_pack((double)(qr_rng_below(rng, 9) * qr_rng_below(rng, 9)) / 4, 0);
    case SERIES_COUNTER:
        return qr_value_pack(was + (double)qr_rng_below(rng, 20), 0);
    case SERIES_DECIMALS:
        return qr_value_pack((double)qr_rng_below(rng, 100000) / 1000, 0);
    case SERIES_NOISE:
        return qr_value_pack(sin((double)qr_rng_below(rng, 1u << 30)) * 1e3, 0);
    case SERIES_SPIKES:
        return qr_value_pack(qr_rng_below(rng, 30) == 0 ? (double)qr_rng_below(rng, 10000000)
                                                        : (double)qr_rng_below(rng, 16),
                             0);
    case SERIES_HUGE:
        return qr_value_pack((double)qr_rng_below(rng, 1000000) * -1e14, 0);
    case SERIES_WIDE:
        return qr_value_pack(qr_rng_below(rng, 2) ? 1e-7 : 1e20, 0);
    default:
        return (uint32_t)qr_rng_next(rng);
    }
}

/* Fills n values, some of them gaps, resets and anomalies by the bits of `with`. */
static inline void series_fill(struct qr_rng *rng, enum series_kind kind, unsigned with,
                               uint32_t *values, uint32_t n, uint32_t stride)
{
    uint32_t before = 0;
    bool in_gap = false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t value = before = series_value(rng, kind, i, before);
        if (qr_rng_below(rng, with & 8 ? 3 : 50) == 0)
            in_gap = !in_gap;
        if (with & 2 && !qr_value_is_empty(value) && qr_rng_below(rng, 100) == 0)
            value |= QR_VALUE_RESET;
        if (with & 4 && !qr_value_is_empty(value) && i / 7 % 5 == 0)
            value |= QR_VALUE_ANOMALOUS;
        values[(size_t)i * stride] = with & 1 && in_gap ? QR_VALUE_EMPTY : value;
    }
}

#endif
