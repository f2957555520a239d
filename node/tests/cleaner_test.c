#include "node/cleaner.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "storage/definition.h"
#include "testing/cmocka.h"
#include "testing/memory_disk.h"

#define N_CHARTS 5000

static int64_t now_s;

static int64_t real_us(const struct qr_clock *clock)
{
    (void)clock;
    return now_s * 1000000;
}

static uint64_t mono_ms(const struct qr_clock *clock)
{
    (void)clock;
    return (uint64_t)now_s * 1000;
}

/* A log of one member: what is proposed is applied when the test says so. */
struct log {
    struct qr_store *store;
    bool leads, full;
    struct qr_forget_body body;
    void (*done)(void *cleaner, int status, uint64_t index);
    void *cleaner;
    unsigned n_entries, n_gone;
};

static bool leads(void *data)
{
    const struct log *log = data;
    return log->leads;
}

static int propose(void *data, struct qr_slice body,
                   void (*done)(void *cleaner, int status, uint64_t index), void *cleaner)
{
    struct log *log = data;
    if (log->full)
        return QR_E_BUSY;
    assert_null(log->done); /* One at a time. */
    assert_int_equal(qr_forget_decode(&log->body, body), 0);
    assert_true(log->body.only_expired);
    log->done = done;
    log->cleaner = cleaner;
    return 0;
}

static void apply(struct log *log)
{
    void (*done)(void *cleaner, int status, uint64_t index) = log->done;
    assert_non_null(done);
    for (uint32_t i = 0; i < log->body.n; i++) {
        uint32_t n;
        int err = qr_store_apply_forget(log->store, &log->body.what[i], true, &n);
        assert_true(err == 0 || err == QR_E_UNKNOWN);
        log->n_gone += n;
    }
    assert_int_equal(qr_store_apply_forgotten(log->store), 0);
    log->n_entries++;
    log->done = NULL;
    done(log->cleaner, 0, log->n_entries);
}

static uint32_t put_host(struct qr_store *store)
{
    struct qr_host_def view = {.guid = {{1}}, .hostname = "h"}, *def;
    struct qr_buf bytes = {0};
    uint32_t id = 0;
    assert_int_equal(qr_host_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    assert_int_equal(qr_store_apply_host(store, def, &id), 0);
    return id;
}

/* Every tenth lives on. */
static void put_charts(struct qr_store *store, uint32_t host)
{
    for (unsigned i = 0; i < N_CHARTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        struct qr_chart_def view = {.id = name, .name = name, .flags = i % 10 != 0}, *def;
        struct qr_buf bytes = {0};
        uint32_t id;
        assert_int_equal(qr_chart_def_encode(&bytes, &view), 0);
        struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
        assert_int_equal(qr_chart_def_decode(&def, &in), 0);
        qr_buf_release(&bytes);
        assert_int_equal(qr_store_apply_chart(store, host, def, &id), 0);
    }
}

static void the_leader_removes_what_is_expired(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    static struct log log;
    const struct qr_clock clock = {.mono_ms = mono_ms, .real_us = real_us};
    struct qr_cleaner *cleaner;
    qr_memory_disk_init(&disk);
    const struct qr_store_config config = {.disk = &disk.disk, .dir = "/d", .window_s = 600};
    assert_int_equal(qr_store_open(&log.store, &config, NULL), 0);
    uint32_t host = put_host(log.store);
    assert_int_equal(qr_store_apply_connected(log.store, host, true, 1), 0);
    put_charts(log.store, host);
    now_s = 100000;
    const struct qr_cleaner_log face = {&log, leads, propose};
    assert_int_equal(qr_cleaner_new(&cleaner, NULL, &face, log.store, &clock), 0);
    qr_cleaner_tick(cleaner);
    assert_null(log.done); /* It does not lead. */
    log.leads = true;
    qr_cleaner_tick(cleaner); /* Walks. */
    log.full = true;
    qr_cleaner_tick(cleaner);
    assert_null(log.done);
    log.full = false;
    for (unsigned i = 0; i < 3; i++) { /* 4500 in entries of 2048. */
        qr_cleaner_tick(cleaner);
        qr_cleaner_tick(cleaner); /* Waits for the first. */
        apply(&log);
    }
    qr_cleaner_tick(cleaner);
    assert_null(log.done);
    assert_int_equal(log.n_gone, N_CHARTS / 10 * 9);
    struct qr_store_stats stats;
    qr_store_get_stats(log.store, &stats);
    assert_int_equal(stats.n_charts, N_CHARTS / 10);
    put_charts(log.store, host);
    qr_cleaner_tick(cleaner); /* Not so soon again. */
    qr_cleaner_tick(cleaner);
    assert_null(log.done);
    now_s += QR_CLEANER_EVERY_S;
    qr_cleaner_tick(cleaner);
    log.leads = false; /* What it found is the next leader's to find. */
    qr_cleaner_tick(cleaner);
    log.leads = true;
    qr_cleaner_tick(cleaner);
    assert_null(log.done);
    qr_cleaner_free(cleaner);
    qr_store_close(log.store);
    qr_memory_disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_leader_removes_what_is_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
