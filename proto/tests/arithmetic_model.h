/* proto/tests/arithmetic_model.h — the v1 arithmetic again, point by point and as slow as its
 * description.
 *
 * For proto/arithmetic_test: written from the rules, not from the module.  It knows no reset after
 * a long silence. */
#ifndef QR_PROTO_TESTS_ARITHMETIC_MODEL_H
#define QR_PROTO_TESTS_ARITHMETIC_MODEL_H

#include <math.h>

#include "proto/stream.h"
#include "testing/cmocka.h"

#define US 1000000

#define DIMS_MAX 16
#define ROWS_MAX 64

struct rows {
    uint32_t n_dims, n;
    struct {
        int64_t end_s;
        double values[DIMS_MAX];
        uint8_t flags[DIMS_MAX];
    } at[ROWS_MAX];
};

struct model_dim {
    enum qr_algorithm algorithm;
    int64_t multiplier, divisor, raw, last;
    uint64_t max, n;
    double calc, lastcalc;
    bool noreset, updated;
};

struct model {
    int64_t ue, lc, lu;
    bool done, store_first;
    uint32_t n_dims;
    struct model_dim dims[DIMS_MAX];
};

static int64_t model_floor(const struct model *m, int64_t us)
{
    return us / US / m->ue * m->ue * US;
}

static void model_calculate(struct model *m, bool *reset)
{
    int64_t total = 0, last_total = 0;
    for (uint32_t i = 0; i < m->n_dims; i++) {
        struct model_dim *d = &m->dims[i];
        if (!d->updated)
            continue;
        if (d->algorithm == QR_ALGORITHM_PCENT_DELTA && d->last > d->raw) {
            if (!d->noreset)
                *reset = true;
            d->last = d->raw;
        }
        total += d->raw;
        last_total += d->last;
    }
    for (uint32_t i = 0; i < m->n_dims; i++) {
        struct model_dim *d = &m->dims[i];
        if (!d->updated) {
            d->calc = 0;
        } else if (d->algorithm == QR_ALGORITHM_ABSOLUTE) {
            d->calc = (double)d->raw * (double)d->multiplier / (double)d->divisor;
        } else if (d->algorithm == QR_ALGORITHM_PCENT_ROW) {
            d->calc = total == 0 ? 0 : 100.0 * (double)d->raw / (double)total;
        } else if (d->n <= 1) {
            d->calc = 0;
        } else if (d->algorithm == QR_ALGORITHM_PCENT_DELTA) {
            d->calc = total == last_total
                          ? 0
                          : 100.0 * (double)(d->raw - d->last) / (double)(total - last_total);
        } else if ((uint64_t)d->last > (uint64_t)d->raw) {
            if (!d->noreset)
                *reset = true;
            uint64_t cap = d->max > 0xFFFFFFFF ? UINT64_MAX : 0xFFFFFFFF;
            uint64_t delta = cap - (uint64_t)d->last + (uint64_t)d->raw;
            if (delta < cap / 100 * 10)
                d->calc += (double)delta * (double)d->multiplier / (double)d->divisor;
        } else {
            d->calc += (double)(d->raw - d->last) * (double)d->multiplier / (double)d->divisor;
        }
    }
}

static void model_store(struct model *m, int64_t from, bool store, bool reset, struct rows *rows)
{
    const int64_t UE = m->ue * US;
    int64_t now = m->lc, stored = m->lu, next = m->lu / US * US + UE;
    int64_t iter = (now - stored) / UE + (now % UE == 0 ? 1 : 0);
    for (; next <= now; next += UE, iter--) {
        bool any = false;
        assert_true(rows->n < ROWS_MAX);
        for (uint32_t i = 0; i < m->n_dims; i++) {
            struct model_dim *d = &m->dims[i];
            double v;
            if (d->algorithm == QR_ALGORITHM_INCREMENTAL) {
                v = d->calc * (double)(next - from) / (double)(now - from);
                d->calc -= v;
                v += d->lastcalc;
                d->lastcalc = 0;
                v /= (double)m->ue;
                if (next - stored < UE)
                    v = v * (double)UE / (double)(next - stored);
            } else if (iter == 1) {
                v = d->calc;
            } else {
                v = (d->calc - d->lastcalc) * (double)(next - from) / (double)(now - from) +
                    d->lastcalc;
            }
            bool has = store && d->updated && d->n > 1 && iter < 3;
            rows->at[rows->n].values[i] = has ? v : NAN;
            rows->at[rows->n].flags[i] = (uint8_t)(!has    ? QR_STREAM_EMPTY
                                                   : reset ? QR_STREAM_RESET
                                                           : 0);
            any |= has;
        }
        rows->at[rows->n].end_s = next / US;
        rows->n += any;
        reset = false;
        m->lu = stored = from = next;
    }
}

static void model_end(struct model *m, int64_t duration, int64_t now, struct rows *rows)
{
    const int64_t UE = m->ue * US;
    bool store = true, first = false, reset = false;
    int64_t from = m->lc;
    if (m->lc == 0) {
        m->lc = model_floor(m, now) + (m->store_first ? 0 : 500000);
        from = m->lc - UE;
        store = false;
        first = true;
    } else {
        m->lc += duration;
    }
    if (m->lu == 0) {
        m->lu = model_floor(m, m->lc) - (m->store_first ? UE : 0);
        store = false;
        first = true;
    }
    if (!m->done) {
        m->lu = model_floor(m, m->lc) - (m->store_first ? UE : 0);
        store = m->store_first;
        if (m->store_first)
            from = m->lu;
    }
    m->done = true;
    model_calculate(m, &reset);
    model_store(m, from, store, reset, rows);
    for (uint32_t i = 0; i < m->n_dims; i++) {
        struct model_dim *d = &m->dims[i];
        if (!d->updated)
            continue;
        d->last = d->raw;
        if (d->algorithm != QR_ALGORITHM_INCREMENTAL)
            d->lastcalc = d->calc;
        else if (!first)
            d->lastcalc += d->calc;
        d->calc = 0;
        d->updated = false;
    }
}

#endif
