#include "proto/sender_chart.h"

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "proto/tests/sending_pair.h"

#define CAPS_V1                                                                                    \
    (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_FUNCTIONS | QR_CAP_REPLICATION |      \
     QR_CAP_BINARY)
#define CAPS_V2 (CAPS_V1 | QR_CAP_INTERPOLATED | QR_CAP_IEEE754 | QR_CAP_SLOTS)

/* ---- the lines ---- */

static struct pair_chart *example(struct pair *pair)
{
    struct pair_chart *c = pair_add_chart(pair, "disk.sda", 2, 3);
    static struct qr_stream_label labels[] = {{{"device", 6}, {"a \"b\"", 5}, 9}};
    c->def.name = qr_slice_str("disk.system disk");
    c->def.labels = labels;
    c->def.n_labels = 1;
    c->def.flags = QR_CHART_DETAIL | QR_CHART_STORE_FIRST;
    c->dims[1].flags = QR_DIM_HIDDEN | QR_DIM_NORESET;
    c->dims[2].multiplier = -8;
    c->functions[0] = (struct qr_sender_function){.name = qr_slice_str("fn"),
                                                  .help = qr_slice_str("it's help"),
                                                  .tags = qr_slice_str("top"),
                                                  .timeout_s = 10,
                                                  .access = 0x13,
                                                  .priority = 100,
                                                  .version = 2};
    c->n_functions = 1;
    return c;
}

static void expect_said(struct pair *pair, const char *text)
{
    qr_sender_flush(pair->sender);
    qr_buf_add_u8(&pair->to_parent, 0);
    assert_string_equal(pair->to_parent.base, text);
    qr_buf_clear(&pair->to_parent);
}

static void says_a_definition_as_it_is_to_a_v2_parent(void **state)
{
    struct pair pair;
    pair_open(&pair, CAPS_V2);
    struct pair_chart *c = example(&pair);
    pair_set(c, 3, 0, 1, 0);
    c->n_visible = 4;
    pair_connect(&pair);
    pair_define(&pair, c);
    expect_said(&pair,
                "CHART SLOT:#B \"disk.sda\" \"system disk\" \"A title\" \"things/s\" \"family\" "
                "\"a.context\" \"area\" 1000 2 \" detail store_first \" \"plugin\" \"module\"\n"
                "CLABEL \"device\" 'a \"b\"' 9\nCLABEL_COMMIT\n"
                "DIMENSION SLOT:#B \"abs\" \"abs\" \"absolute\" 1 1000 \"  \"\n"
                "DIMENSION SLOT:#C \"b c\" \"b c\" \"incremental\" 2 1000 \" hidden noreset\"\n"
                "DIMENSION SLOT:#D \"d\" \"d\" \"percentage-of-absolute-row\" -8 1000 \"  \"\n"
                "FUNCTION \"fn\" 10 \"it's help\" \"top\" 0x13 100 2\n"
                "CHART_DEFINITION_END 1700000046 1700000048 1700000048\n");
    pair_disconnect(&pair);
    pair_close(&pair);
}

static void says_integers_with_seven_decimals_to_a_v1_parent(void **state)
{
    struct pair pair;
    pair_open(&pair, CAPS_V1);
    struct pair_chart *c = example(&pair);
    pair_connect(&pair);
    pair_define(&pair, c);
    expect_said(&pair, "CHART \"disk.sda\" \"system disk\" \"A title\" \"things/s\" \"family\" "
                       "\"a.context\" \"area\" 1000 2 \" detail  \" \"plugin\" \"module\"\n"
                       "CLABEL \"device\" 'a \"b\"' 9\nCLABEL_COMMIT\n"
                       "DIMENSION \"abs\" \"abs\" \"absolute\" 1 10000000 \"  \"\n"
                       "DIMENSION \"b c\" \"b c\" \"absolute\" 1 10000000 \" hidden noreset\"\n"
                       "DIMENSION \"d\" \"d\" \"absolute\" 1 10000000 \"  \"\n"
                       "FUNCTION \"fn\" 10 \"it's help\"\n"
                       "CHART_DEFINITION_END 0 0 1700000040\n");
    pair_disconnect(&pair);
    pair_close(&pair);
}

/* ---- scales of v1 ---- */

static const struct {
    double value;
    int scale;
    int64_t raw;
} scales[] = {
    {0, 7, 0},
    {-0.25, 7, -2500000},
    {0.1234567, 7, 1234567},
    {16777215, 7, 167772150000000},
    {9e11, 7, 9000000000000000000},
    {1e12, 6, 1000000000000000000},
    {-1e18, 0, -1000000000000000000},
    {1e19, -9, 10000000000},
    {1.6777215e21, -9, 1677721500000},
};

static void any_value_of_the_store_has_an_integer(void **state)
{
    for (size_t i = 0; i < QR_COUNT(scales); i++) {
        double value = scales[i].value;
        int scale = qr_sender_chart_scale_of(value);
        assert_int_equal(scale, scales[i].scale);
        assert_int_equal(qr_sender_chart_raw_of(value, scale), scales[i].raw);
        assert_true(qr_sender_chart_scale_fits(value, scale));
    }
    assert_false(qr_sender_chart_scale_fits(1e13, 7)); /* overflows */
    assert_false(qr_sender_chart_scale_fits(0.25, 1)); /* is rounded */
    assert_true(qr_sender_chart_scale_fits(0.2, 1));
    assert_false(qr_sender_chart_scale_fits(1, -9));
    assert_int_equal(qr_sender_chart_raw_of(1e30, 0), (int64_t)9.2e18);
    assert_int_equal(qr_sender_chart_raw_of(-1e30, 7), -(int64_t)9.2e18);
}

/* ---- round trips ---- */

/* What the parent has must be what was defined, as far as the words can say it. */
static void compare(const struct pair *pair, const struct pair_chart *c)
{
    const struct qr_stream_chart *a = &c->def, *b = c->at_parent;
    bool v2 = (pair->caps & QR_CAP_INTERPOLATED) != 0;
    assert_non_null(b);
    assert_true(qr_slice_equal(a->name, b->name));
    assert_true(qr_slice_equal(a->title, b->title));
    assert_true(qr_slice_equal(a->units, b->units));
    assert_true(qr_slice_equal(a->family, b->family));
    assert_true(qr_slice_equal(a->context, b->context));
    assert_true(qr_slice_equal(a->plugin, b->plugin));
    assert_true(qr_slice_equal(a->module, b->module));
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->update_every, b->update_every);
    assert_int_equal(v2 ? a->flags : a->flags & ~QR_CHART_STORE_FIRST, b->flags);
    assert_int_equal(a->n_dims, b->n_dims);
    for (uint32_t i = 0; i < a->n_dims; i++) {
        const struct qr_stream_dim *x = &a->dims[i], *y = &b->dims[i];
        assert_true(qr_slice_equal(x->id, y->id));
        assert_true(qr_slice_equal(x->name, y->name));
        assert_int_equal(x->flags, y->flags);
        assert_int_equal(v2 ? x->algorithm : QR_ALGORITHM_ABSOLUTE, y->algorithm);
        assert_int_equal(v2 ? x->multiplier : 1, y->multiplier);
        assert_int_equal(v2 ? x->divisor : 10000000, y->divisor);
    }
    assert_int_equal(pair->caps & QR_CAP_CLABELS ? a->n_labels : 0, b->n_labels);
    for (uint32_t i = 0; i < b->n_labels; i++) {
        assert_true(qr_slice_equal(a->labels[i].name, b->labels[i].name));
        assert_true(qr_slice_equal(a->labels[i].value, b->labels[i].value));
        assert_int_equal(a->labels[i].source, b->labels[i].source);
    }
}

/* Text as a child's line could have brought it: no byte that ends lines, and quotes of one kind.
 * Names have neither control bytes nor '"'. */
static struct qr_slice random_text(struct qr_rng *rng, char *out, size_t min, bool is_name)
{
    static const char letters[] = "abcXYZ019 =/.-_:(){}[]#@%$!~`\xc3\xa9";
    char quote = is_name || qr_rng_below(rng, 2) ? '\'' : '"';
    size_t n = min + (qr_rng_below(rng, 30) == 0 ? 900 : qr_rng_below(rng, 20));
    for (size_t i = 0; i < n; i++)
        out[i] =
            qr_rng_below(rng, 10) == 0 ? quote : letters[qr_rng_below(rng, sizeof letters - 1)];
    for (size_t i = 0; i + 1 < n; i++)
        if (qr_rng_below(rng, 15) == 0 && out[i + 1] != quote)
            out[i] = '\\';
    if (n > 0 && out[n - 1] == '\\')
        out[n - 1] = 'x';
    return qr_slice_of(out, n);
}

#define TEXTS 40

static struct pair_chart *random_chart(struct qr_rng *rng, struct pair *pair, char (*texts)[1024],
                                       struct qr_stream_label *labels)
{
    struct pair_chart *c = pair_add_chart(pair, "a", 1 + (uint32_t)qr_rng_below(rng, 100),
                                          (uint32_t)qr_rng_below(rng, PAIR_DIMS_MAX + 1));
    struct qr_stream_chart *d = &c->def;
    struct qr_slice *const slices[] = {&d->title,   &d->units,  &d->family,
                                       &d->context, &d->plugin, &d->module};
    size_t n = 0;
    memcpy(texts[n], "t.", 2);
    struct qr_slice rest = random_text(rng, texts[n] + 2, 1, true);
    d->id = qr_slice_of(texts[n++], rest.len + 2);
    d->name = d->id;
    for (size_t i = 0; i < QR_COUNT(slices); i++, n++)
        *slices[i] = random_text(rng, texts[n], 0, slices[i] == &d->context);
    if (d->context.len == 0) /* A parent takes the id then. */
        d->context = qr_slice_str("a.b");
    d->type = (enum qr_chart_type)qr_rng_below(rng, 4);
    d->priority = (int)qr_rng_below(rng, 100000) + 1;
    d->flags = (unsigned)qr_rng_below(rng, 16);
    for (uint32_t i = 0; i < d->n_dims; i++, n++) {
        struct qr_stream_dim *dim = &d->dims[i];
        texts[n][0] = (char)('A' + i); /* Different, and not empty. */
        dim->id = qr_slice_of(texts[n], random_text(rng, texts[n] + 1, 0, true).len + 1);
        dim->name = dim->id;
        dim->flags = (unsigned)qr_rng_below(rng, 8);
        dim->multiplier = (int64_t)qr_rng_next(rng) | 1;
        dim->divisor = (int64_t)qr_rng_below(rng, 5000) - 6000;
    }
    d->labels = labels;
    d->n_labels = (uint32_t)qr_rng_below(rng, 5);
    for (uint32_t i = 0; i < d->n_labels; i++, n += 2) {
        texts[n][0] = (char)('A' + i);
        labels[i].name = qr_slice_of(texts[n], random_text(rng, texts[n] + 1, 0, true).len + 1);
        labels[i].value = random_text(rng, texts[n + 1], 0, false);
        labels[i].source = (unsigned)qr_rng_below(rng, 16);
    }
    assert_true(n <= TEXTS);
    return c;
}

static void any_definition_arrives_as_it_is(void **state)
{
    static const uint32_t masks[] = {CAPS_V1,
                                     CAPS_V2,
                                     CAPS_V2 & ~QR_CAP_IEEE754,
                                     CAPS_V2 & ~QR_CAP_SLOTS,
                                     CAPS_V2 & ~QR_CAP_CLABELS,
                                     CAPS_V1 | QR_CAP_LZ4,
                                     CAPS_V2 | QR_CAP_ZSTD};
    struct qr_rng rng;
    qr_rng_seed(&rng, 11);
    static char texts[TEXTS][1024];
    struct qr_stream_label labels[8];
    for (size_t round = 0; round < 1000; round++) {
        struct pair pair;
        pair_open(&pair, masks[round % QR_COUNT(masks)]);
        struct pair_chart *c = random_chart(&rng, &pair, texts, labels);
        pair_connect(&pair);
        pair_define(&pair, c);
        pair_pump(&pair);
        compare(&pair, c);
        if (c->def.n_dims < PAIR_DIMS_MAX) { /* And again, with a dimension more. */
            c->def.n_dims++;
            c->def.title = qr_slice_str("other");
            pair_define(&pair, c);
            pair_pump(&pair);
            compare(&pair, c);
            assert_int_equal(c->n_definitions, 2);
        }
        pair_disconnect(&pair);
        pair_close(&pair);
    }
}

/* ---- what is kept ---- */

static void a_chart_is_found_by_the_id_that_was_said(void **state)
{
    struct pair pair;
    pair_open(&pair, CAPS_V2);
    struct pair_chart *c = pair_add_chart(&pair, "a.b\"c'd\\", 1, 1);
    pair_connect(&pair);
    pair_define(&pair, c);
    assert_int_equal(
        qr_sender_feed(pair.sender, qr_slice_str("REPLAY_CHART \"a.b_c'd_\" \"true\" 10 20\n")), 0);
    assert_true(c->asked);
    assert_int_equal(c->replay.after_s, 10);
    struct qr_sender_chart *again = NULL;
    const struct qr_sender_definition definition = {.chart = &c->def};
    assert_int_equal(qr_sender_define(pair.sender, &definition, &again), 0);
    assert_true(again == c->handle);
    pair_disconnect(&pair);
    pair_close(&pair);
}

static void definitions_are_bounded(void **state)
{
    struct pair pair;
    pair_open(&pair, CAPS_V2);
    struct pair_chart *c = pair_add_chart(&pair, "a.b", 1, 1);
    pair_connect(&pair);
    char name[QR_NAME_BYTES_MAX + 1];
    memset(name, 'x', sizeof name);
    const struct qr_sender_definition definition = {.chart = &c->def};
    struct qr_sender_chart *chart = NULL;
    c->def.id = qr_slice_of(name, sizeof name);
    assert_int_equal(qr_sender_define(pair.sender, &definition, &chart), QR_E_LIMIT);
    c->def.id = qr_slice_of(name, 0);
    assert_int_equal(qr_sender_define(pair.sender, &definition, &chart), QR_E_LIMIT);
    c->def.id = qr_slice_of(name, 10);
    c->dims[0].id = qr_slice_of(name, sizeof name);
    assert_int_equal(qr_sender_define(pair.sender, &definition, &chart), QR_E_LIMIT);
    assert_null(chart);
    c->dims[0].id = qr_slice_of(name, sizeof name - 1);
    assert_int_equal(qr_sender_define(pair.sender, &definition, &chart), 0);
    assert_non_null(chart);
    pair_disconnect(&pair);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_a_definition_as_it_is_to_a_v2_parent),
        cmocka_unit_test(says_integers_with_seven_decimals_to_a_v1_parent),
        cmocka_unit_test(any_value_of_the_store_has_an_integer),
        cmocka_unit_test(any_definition_arrives_as_it_is),
        cmocka_unit_test(a_chart_is_found_by_the_id_that_was_said),
        cmocka_unit_test(definitions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
