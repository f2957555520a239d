#include "node/select.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/pattern.h"
#include "base/rng.h"
#include "storage/definition.h"
#include "testing/cmocka.h"
#include "testing/memory_disk.h"

static struct qr_memory_disk disk;

static int make(void **state)
{
    struct qr_store *store;
    qr_memory_disk_init(&disk);
    const struct qr_store_config config = {.disk = &disk.disk, .dir = "/d", .window_s = 600};
    assert_int_equal(qr_store_open(&store, &config, NULL), 0);
    *state = store;
    return 0;
}

static int drop(void **state)
{
    qr_store_close(*state);
    qr_memory_disk_release(&disk);
    return 0;
}

static void put_host(struct qr_store *store, unsigned i)
{
    struct qr_host_def view = {.guid = {{(uint8_t)i}}, .hostname = "h"}, *def;
    struct qr_buf bytes = {0};
    uint32_t id;
    assert_int_equal(qr_host_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    assert_int_equal(qr_store_apply_host(store, def, &id), 0);
}

/* One of n contexts and n labels. */
static uint32_t put_chart(struct qr_store *store, struct qr_rng *rng, uint32_t host, unsigned i,
                          unsigned n)
{
    char name[24], context[24], value[24];
    snprintf(name, sizeof name, "chart%u", i);
    snprintf(context, sizeof context, "%s.%u", i % 2 == 0 ? "disk" : "net",
             (unsigned)qr_rng_below(rng, n));
    snprintf(value, sizeof value, "dev%u", (unsigned)qr_rng_below(rng, n));
    struct qr_def_label labels[] = {{"device", value, 1}, {"kind", i % 3 == 0 ? "a" : "b", 1}};
    struct qr_chart_def view = {.id = name,
                                .name = name,
                                .context = context,
                                .plugin = "p",
                                .n_labels = (uint32_t)(i % 3),
                                .labels = labels},
                        *def;
    struct qr_buf bytes = {0};
    uint32_t id = 0;
    assert_int_equal(qr_chart_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    assert_int_equal(qr_store_apply_chart(store, host, def, &id), 0);
    return id;
}

static bool fits(const struct qr_select *select, const struct qr_chart *chart)
{
    const struct qr_chart_def *def = chart->def;
    struct qr_slice context = qr_slice_str(def->context);
    bool named = select->context.len == 0 ||
                 (select->pattern ? qr_pattern_matches(select->context, QR_PATTERN_API, context)
                                  : qr_slice_equal(select->context, context));
    return named && qr_select_labels_match(def, select->labels, select->values_only);
}

/* What is selected, less what the caller sorts out, is what a scan of the host finds, in order. */
static uint32_t check(struct qr_store *store, const struct qr_host *host,
                      const struct qr_select *select)
{
    const struct qr_chart **charts;
    uint32_t n, at = 0, n_found = 0;
    int slot = qr_store_enter(store);
    assert_int_equal(qr_select_charts(store, host, select, &charts, &n), 0);
    bool has = false;
    for (const struct qr_chart *chart = qr_host_first(host); chart != NULL;
         chart = qr_chart_next(chart)) {
        has = has || qr_slice_is(select->context, atomic_load(&chart->def)->context);
        if (!fits(select, chart))
            continue;
        while (at < n && !fits(select, charts[at]))
            at++;
        assert_true(at < n);
        assert_ptr_equal(charts[at++], chart);
        n_found++;
    }
    for (; at < n; at++)
        assert_false(fits(select, charts[at]));
    assert_int_equal(qr_select_has_context(store, host, select->context), has);
    free(charts);
    qr_store_leave(store, slot);
    return n_found;
}

#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct qr_select questions[] = {
    {.context = S("disk.1")},
    {.context = S("nothing")},
    {.context = S("disk.*"), .pattern = true},
    {.context = S("!*.1|net.*|disk.2"), .pattern = true},
    {.context = S("nothing"), .pattern = true},
    {.labels = S("device:dev1|kind:a"), .values_only = true},
    {.labels = S("kind")},
    {.labels = S("kind"), .values_only = true},
    {.labels = S("_collect_plugin:p")},
    {.context = S("net.*"), .pattern = true, .labels = S("!device:*2|device:*")},
    {.context = {"", 0}},
};

/* Few contexts and many charts, and the other way round, so that the index and the walk answer. */
static void equals_a_scan(void **state)
{
    struct qr_store *store = *state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 17);
    uint32_t n_found = 0;
    for (unsigned h = 1; h <= 4; h++)
        put_host(store, h);
    for (int round = 0; round < 12; round++) {
        for (unsigned i = 0; i < 400; i++) {
            uint32_t host = 1 + (uint32_t)qr_rng_below(&rng, i % 8 == 0 ? 4 : 1);
            uint32_t id = put_chart(store, &rng, host, (unsigned)qr_rng_below(&rng, 600),
                                    round < 6 ? 4 : 300),
                     n;
            const struct qr_forgotten what = {host, id};
            if (qr_rng_below(&rng, 3) == 0)
                assert_int_equal(qr_store_apply_forget(store, &what, false, &n), 0);
        }
        assert_int_equal(qr_store_apply_forgotten(store), 0);
        for (size_t q = 0; q < QR_COUNT(questions); q++)
            for (uint32_t h = 0; h < 4; h++)
                n_found += check(store, qr_store_host_at(store, h), &questions[q]);
    }
    assert_true(n_found > 5000);
    const struct qr_chart **charts;
    uint32_t n;
    assert_int_equal(qr_select_charts(store, NULL, &questions[0], &charts, &n), 0);
    assert_int_equal(n, 0);
    free(charts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equals_a_scan, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
