/* node/tests/upstream_fixture.h — a store with one host and its charts, for tests of what is
 * streamed on.  Included once by each of them. */
#ifndef QR_NODE_TESTS_UPSTREAM_FIXTURE_H
#define QR_NODE_TESTS_UPSTREAM_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define T0 INT64_C(1795405200)

static const struct qr_guid fixture_guid = {
    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

struct fixture {
    char dir[64];
    struct qr_store *store;
    uint32_t host;
};

static inline void fixture_host(struct fixture *f, const struct qr_def_label *sysinfo, uint32_t n)
{
    const struct qr_def_label labels[] = {{"role", "test", 1}};
    struct qr_host_def told = {.guid = fixture_guid,
                               .hostname = "box one",
                               .registry_hostname = "box",
                               .os = "linux",
                               .timezone = "Etc/UTC",
                               .abbrev_timezone = "UTC",
                               .utc_offset_s = -60,
                               .update_every = 1,
                               .hops = 1,
                               .program_name = "netdata",
                               .program_version = "v1.37.1",
                               .n_sysinfo = n,
                               .sysinfo = sysinfo,
                               .n_labels = 1,
                               .labels = labels};
    struct qr_buf body = {0};
    struct qr_host_def *def;
    assert_int_equal(qr_host_def_encode(&body, &told), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    assert_int_equal(qr_store_apply_host(f->store, def, &f->host), 0);
    qr_buf_release(&body);
}

static inline void fixture_open(struct fixture *f)
{
    const struct qr_store_events events = {0};
    snprintf(f->dir, sizeof f->dir, "/tmp/quorate-upstream-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    const struct qr_store_config config = {.disk = &qr_disk_files, .dir = f->dir, .window_s = 600};
    assert_int_equal(qr_store_open(&f->store, &config, &events), 0);
    fixture_host(f, NULL, 0);
}

static inline void fixture_close(struct fixture *f)
{
    qr_store_close(f->store);
    rmdir(f->dir);
}

/* Creates the chart or gives it another number of dimensions; its id. */
static inline uint32_t fixture_chart(struct fixture *f, const char *id, uint32_t n_dims)
{
    static const struct qr_dim_def dims[] = {
        {"a", "a", 1, 1, 0, 0}, {"b", "b", 1, 1, 0, 0}, {"c", "c", 1, 1, 0, 0}};
    const struct qr_chart_def told = {.id = id,
                                      .name = id,
                                      .title = "A chart",
                                      .units = "things",
                                      .family = "f",
                                      .context = id,
                                      .plugin = "p",
                                      .module = "m",
                                      .priority = 1,
                                      .update_every = 1,
                                      .n_dims = n_dims,
                                      .dims = dims};
    struct qr_buf body = {0};
    struct qr_chart_def *def;
    uint32_t chart;
    assert_int_equal(qr_chart_def_encode(&body, &told), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    assert_int_equal(qr_store_apply_chart(f->store, f->host, def, &chart), 0);
    qr_buf_release(&body);
    return chart;
}

/* What the chart's dimension d is worth at second t. */
static inline double fixture_value(int64_t t, uint32_t d)
{
    return (double)((t * 7 + d * 13) % 1000) / 4;
}

/* Rows of seconds [from_s, to_s], which the log has at `to_s`. */
static inline void fixture_put(struct fixture *f, uint32_t chart, uint32_t n_dims, int64_t from_s,
                               int64_t to_s)
{
    for (int64_t t = from_s; t <= to_s; t++) {
        uint32_t cells[3], n_new;
        for (uint32_t d = 0; d < n_dims; d++)
            cells[d] = qr_value_pack(fixture_value(t, d), 0);
        assert_int_equal(
            qr_store_apply_row(f->store, f->host, chart, to_s, t, cells, n_dims, &n_new), 0);
    }
}

#endif
