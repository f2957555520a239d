/* storage/tests/catalog_model.h — random changes of a catalog, and its index by a linear scan. */
#ifndef QR_STORAGE_TESTS_CATALOG_MODEL_H
#define QR_STORAGE_TESTS_CATALOG_MODEL_H

#include "storage/catalog.h"
#include "storage/tests/fixture.h"

static const char *const model_words[] = {"sda", "eth0", "cpu", "x", "", "disk.io"};

static inline const char *any_word(struct qr_rng *rng)
{
    return model_words[qr_rng_below(rng, QR_COUNT(model_words))];
}

static inline void any_labels(struct qr_rng *rng, struct qr_def_label labels[3], uint32_t *n)
{
    static const char *const keys[] = {"device", "_collect_module", "k"};
    *n = (uint32_t)qr_rng_below(rng, 4);
    for (uint32_t i = 0; i < *n; i++)
        labels[i] = (struct qr_def_label){keys[qr_rng_below(rng, 3)], any_word(rng), 1};
}

static inline struct qr_chart_def *any_chart(struct qr_rng *rng)
{
    char id[16], name[16], context[16];
    struct qr_def_label labels[3];
    snprintf(id, sizeof id, "c%u", (unsigned)qr_rng_below(rng, 40));
    snprintf(name, sizeof name, "n%u", (unsigned)qr_rng_below(rng, 40));
    snprintf(context, sizeof context, "ctx%u", (unsigned)qr_rng_below(rng, 9));
    struct qr_dim_def dim = {"d", "d", 1, 1, 0, 0};
    struct qr_chart_def view = {.id = id,
                                .name = qr_rng_below(rng, 2) == 0 ? id : name,
                                .context = context,
                                .title = any_word(rng),
                                .plugin = any_word(rng),
                                .module = any_word(rng),
                                .flags = (uint8_t)qr_rng_below(rng, 2),
                                .update_every = 1,
                                .n_dims = 1,
                                .dims = &dim,
                                .labels = labels};
    any_labels(rng, labels, &view.n_labels);
    struct qr_buf bytes = {0};
    struct qr_chart_def *def = NULL;
    assert_int_equal(qr_chart_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    return def;
}

static inline struct qr_host_def *any_host(struct qr_rng *rng, unsigned n_hosts)
{
    struct qr_def_label labels[3];
    struct qr_host_def view = {.guid = {{(uint8_t)(1 + qr_rng_below(rng, n_hosts))}},
                               .hostname = any_word(rng),
                               .labels = labels};
    any_labels(rng, labels, &view.n_labels);
    struct qr_buf bytes = {0};
    struct qr_host_def *def = NULL;
    assert_int_equal(qr_host_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    return def;
}

static inline void remove_any_host(struct qr_catalog *catalog, struct qr_host *host)
{
    struct qr_chart *chart;
    while ((chart = qr_host_first(host)) != NULL)
        assert_int_equal(qr_catalog_remove_chart(catalog, chart), 0);
    assert_int_equal(qr_catalog_remove_host(catalog, host), 0);
}

/* One change: mostly a chart told, now and then one or a host removed. */
static inline void change_catalog(struct qr_catalog *catalog, struct qr_rng *rng, unsigned n_hosts)
{
    struct qr_host *host;
    struct qr_chart *chart;
    const struct qr_store_hosts *hosts = qr_catalog_hosts(catalog);
    uint32_t n = qr_catalog_n_hosts(catalog), what = (uint32_t)qr_rng_below(rng, 100);
    if (n == 0 || what < 8) {
        assert_int_equal(qr_catalog_put_host(catalog, any_host(rng, n_hosts), &host), 0);
        return;
    }
    host = hosts->at[qr_rng_below(rng, n)];
    if (what == 8 && qr_rng_below(rng, 8) == 0) {
        remove_any_host(catalog, host);
        return;
    }
    if (what < 70 || qr_host_first(host) == NULL) {
        assert_int_equal(qr_catalog_put_chart(catalog, host, any_chart(rng), &chart), 0);
        return;
    }
    chart = qr_host_first(host);
    for (uint64_t skip = qr_rng_below(rng, host->n_charts); skip > 0; skip--)
        chart = qr_chart_next(chart);
    assert_int_equal(qr_catalog_remove_chart(catalog, chart), 0);
}

#endif
