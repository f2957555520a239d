#include "testing/model.h"

#include <math.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

/* An independent v1 parent for one dimension: collections in, stored seconds out, by Netdata's
 * arithmetic step by step (what the model states in closed form). */
struct parent {
    int64_t collected_us, stored_s, update_every;
    double remainder; /* incremental: not yet stored; absolute: the last value */
    int64_t last_raw;
    int64_t at[64];
    double value[64];
    int n;
};

static void store(struct parent *p, int64_t t, double value)
{
    p->at[p->n] = t;
    p->value[p->n++] = value;
}

static void collect(struct parent *p, const struct qr_model_dim *d, bool set, int64_t raw,
                    int64_t now_us)
{
    int64_t ue_us = p->update_every * 1000000, from_us = p->collected_us;
    int64_t next_us = p->stored_s * 1000000 + ue_us;
    int64_t left = (now_us - p->stored_s * 1000000) / ue_us + (now_us % ue_us == 0);
    double calc = 0;
    if (set)
        calc = (double)(d->incremental ? raw - p->last_raw : raw) * d->multiplier / d->divisor;
    for (; next_us <= now_us; next_us += ue_us, left--) {
        double v;
        double part = (double)(next_us - from_us) / (double)(now_us - from_us);
        if (d->incremental) {
            v = calc * part;
            calc -= v;
            v = (v + p->remainder) / (double)p->update_every;
            p->remainder = 0;
        } else {
            v = left == 1 ? calc : (calc - p->remainder) * part + p->remainder;
        }
        store(p, next_us / 1000000, set && left < 3 ? v : NAN);
        p->stored_s = next_us / 1000000;
        from_us = next_us;
    }
    p->collected_us = now_us;
    if (set) {
        p->last_raw = raw;
        p->remainder = d->incremental ? p->remainder + calc : calc;
    }
}

static void compare_chart(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim)
{
    int64_t t = qr_model_collected_from(model, chart, 1700000000);
    struct qr_model_dim d;
    qr_model_dim(model, chart, dim, &d);
    struct parent p = {.collected_us = qr_model_collect_us(model, host, chart, t),
                       .stored_s = t,
                       .update_every = qr_model_update_every(model, chart),
                       .remainder = qr_model_remainder(model, host, chart, dim, t)};
    qr_model_raw(model, host, chart, dim, t, &p.last_raw);
    for (int64_t now = t + 1; now < t + 40; now++) {
        if (!qr_model_collects(model, chart, now))
            continue;
        int64_t raw = 0;
        bool set = qr_model_raw(model, host, chart, dim, now, &raw);
        collect(&p, &d, set, raw, qr_model_collect_us(model, host, chart, now));
    }
    assert_true(p.n >= 5);
    for (int i = 0; i < p.n; i++) {
        double value = NAN;
        bool present = qr_model_value(model, host, chart, dim, p.at[i], &value);
        if (present != !isnan(p.value[i]) ||
            (present && fabs(value - p.value[i]) > 1e-9 * fmax(1, fabs(value))))
            fail_msg("chart %u dim %u second %lld: model %g, arithmetic %g", chart, dim,
                     (long long)(p.at[i] - t), value, p.value[i]);
    }
}

static void states_what_the_arithmetic_of_a_parent_gives(void **state)
{
    (void)state;
    struct qr_model model = {7, 3, 16, 16, 1, true};
    for (uint32_t host = 0; host < model.n_hosts; host++)
        for (uint32_t chart = 0; chart < model.n_charts; chart++)
            for (uint32_t dim = 0; dim < model.n_dims; dim++)
                compare_chart(&model, host, chart, dim);
    model.update_every = 3;
    for (uint32_t dim = 0; dim < model.n_dims; dim++)
        compare_chart(&model, 1, 1, dim);
}

static void mixes_every_kind(void **state)
{
    (void)state;
    struct qr_model model = {7, 1, 8, 8, 1, true};
    unsigned kinds = 0, empty = 0, present = 0, negative = 0;
    for (uint32_t chart = 0; chart < 8; chart++) {
        kinds |= 1u << qr_model_kind(&model, chart);
        for (uint32_t dim = 0; dim < 8; dim++)
            for (int64_t t = 1700000000; t < 1700000060; t++) {
                double value;
                bool has = qr_model_value(&model, 0, chart, dim, t, &value);
                present += has;
                empty += !has;
                negative += has && value < 0;
            }
    }
    assert_int_equal(kinds, 15);
    assert_true(present > 1000 && empty > 200 && negative > 100);
    model.mix = false;
    for (uint32_t chart = 0; chart < 8; chart++)
        assert_int_equal(qr_model_kind(&model, chart), QR_MODEL_PLAIN);
}

static void names_hosts_apart(void **state)
{
    (void)state;
    struct qr_model model = {7, 2, 1, 1, 1, false}, other = {8, 2, 1, 1, 1, false};
    struct qr_guid a, b, c, again;
    qr_model_guid(&model, 0, &a);
    qr_model_guid(&model, 1, &b);
    qr_model_guid(&other, 0, &c);
    qr_model_guid(&model, 0, &again);
    assert_false(qr_guid_equal(&a, &b));
    assert_false(qr_guid_equal(&a, &c));
    assert_true(qr_guid_equal(&a, &again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_what_the_arithmetic_of_a_parent_gives),
        cmocka_unit_test(mixes_every_kind),
        cmocka_unit_test(names_hosts_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
