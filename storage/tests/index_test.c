#include "storage/index.h"

#include <string.h>

#include "storage/tests/catalog_model.h"

/* ---- a linear scan ---- */

static bool chart_has(const struct qr_chart_def *def, enum qr_term_kind kind,
                      const struct qr_term *term)
{
    struct qr_def_label label;
    if (kind == QR_TERM_CONTEXT)
        return strcmp(def->context, term->value) == 0;
    for (uint32_t i = 0; qr_chart_def_label(def, i, &label); i++)
        if (strcmp(label.name, term->key) == 0 && strcmp(label.value, term->value) == 0)
            return true;
    return false;
}

static bool host_has(const struct qr_host_def *def, enum qr_term_kind kind,
                     const struct qr_term *term)
{
    if (kind == QR_TERM_HOST_NAME)
        return strcmp(def->hostname, term->value) == 0;
    for (uint32_t i = 0; i < def->n_labels; i++)
        if (strcmp(def->labels[i].name, term->key) == 0 &&
            strcmp(def->labels[i].value, term->value) == 0)
            return true;
    return false;
}

static bool of_charts(enum qr_term_kind kind)
{
    return kind == QR_TERM_CONTEXT || kind == QR_TERM_CHART_LABEL;
}

/* The ids of a term are those that a scan finds; how many. */
static uint32_t check_term(const struct qr_catalog *catalog, enum qr_term_kind kind,
                           const struct qr_term *term)
{
    struct qr_postings_at at;
    uint32_t id = 0, n = 0;
    qr_postings_seek(&term->ids, &at, 1);
    const struct qr_chart *chart;
    while (of_charts(kind) && (chart = qr_catalog_next(catalog, &id)) != NULL)
        if (chart_has(atomic_load(&chart->def), kind, term)) {
            assert_int_equal(qr_postings_next(&at), id);
            n++;
        }
    const struct qr_store_hosts *hosts = qr_catalog_hosts(catalog);
    for (uint32_t i = 0; !of_charts(kind) && i < atomic_load(&hosts->n); i++)
        if (host_has(atomic_load(&hosts->at[i]->def), kind, term)) {
            assert_int_equal(qr_postings_next(&at), hosts->at[i]->id);
            n++;
        }
    assert_int_equal(qr_postings_next(&at), 0);
    assert_int_equal(qr_postings_count(&term->ids), n);
    assert_true(n > 0); /* A value that nobody has is not enumerated. */
    assert_ptr_equal(
        qr_index_find(&catalog->index, kind, qr_slice_str(term->key), qr_slice_str(term->value)),
        term);
    return n;
}

/* Every property of every chart and host has its term. */
static void check_there(const struct qr_catalog *catalog)
{
    uint32_t id = 0;
    const struct qr_chart *chart;
    const struct qr_slice no_key = qr_slice_of("", 0);
    while ((chart = qr_catalog_next(catalog, &id)) != NULL) {
        const struct qr_chart_def *def = atomic_load(&chart->def);
        struct qr_def_label label;
        assert_non_null(
            qr_index_find(&catalog->index, QR_TERM_CONTEXT, no_key, qr_slice_str(def->context)));
        for (uint32_t i = 0; qr_chart_def_label(def, i, &label); i++)
            assert_non_null(qr_index_find(&catalog->index, QR_TERM_CHART_LABEL,
                                          qr_slice_str(label.name), qr_slice_str(label.value)));
        assert_ptr_equal(qr_catalog_find(chart->host, qr_slice_str(def->id)), chart);
        assert_non_null(qr_catalog_find(chart->host, qr_slice_str(def->name)));
    }
    const struct qr_store_hosts *hosts = qr_catalog_hosts(catalog);
    for (uint32_t i = 0; i < atomic_load(&hosts->n); i++) {
        const struct qr_host_def *def = atomic_load(&hosts->at[i]->def);
        assert_non_null(
            qr_index_find(&catalog->index, QR_TERM_HOST_NAME, no_key, qr_slice_str(def->hostname)));
        for (uint32_t k = 0; k < def->n_labels; k++)
            assert_non_null(qr_index_find(&catalog->index, QR_TERM_HOST_LABEL,
                                          qr_slice_str(def->labels[k].name),
                                          qr_slice_str(def->labels[k].value)));
    }
}

static void equals_a_linear_scan(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct qr_epoch epoch;
        struct qr_catalog catalog;
        struct qr_rng rng;
        uint32_t n_found = 0;
        qr_epoch_init(&epoch);
        qr_rng_seed(&rng, seed);
        assert_int_equal(qr_catalog_init(&catalog, &epoch), 0);
        for (int step = 0; step < 4000; step++) {
            change_catalog(&catalog, &rng, 6);
            qr_epoch_collect(&epoch);
            if (step % 100 != 0)
                continue;
            for (int kind = 0; kind < QR_TERM_KINDS; kind++) {
                struct qr_lookup_at at = {0};
                const struct qr_term *term;
                while ((term = qr_index_walk(&catalog.index, (enum qr_term_kind)kind, &at)) != NULL)
                    n_found += check_term(&catalog, (enum qr_term_kind)kind, term);
            }
            check_there(&catalog);
        }
        assert_true(n_found > 10000);
        qr_epoch_release(&epoch);
        qr_catalog_release(&catalog);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_linear_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
