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
    bool leads, full, doubtful;
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

static bool is_doubtful(void *data)
{
    const struct log *log = data;
    return log->doubtful;
}

static int propose(void *data, struct qr_slice body,
                   void (*done)(void *cleaner, int status, uint64_t index), void *cleaner)
{
    struct log *log = data;
    if (log->full)
        return QR_E_BUSY;
    assert_null(log->done); /* One at a time. */
    assert_int_equal(qr_forget_decode(&log->body, body), 0);
    assert_true(log->body.only_expired != (log->body.away_before_s != 0));
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
        const struct qr_forgotten *what = &log->body.what[i];
        int err = log->body.only_expired ? qr_store_apply_forget(log->store, what, true, &n)
                                         : qr_store_apply_forget_away(log->store, what->host,
                                                                      log->body.away_before_s, &n);
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
    const struct qr_cleaner_log face = {&log, leads, is_doubtful, propose};
    assert_int_equal(qr_cleaner_new(&cleaner, NULL, &face, log.store, &clock, 0), 0);
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

#define AFTER_S 100

static void say_ephemeral(struct qr_store *store, uint8_t guid, const char *value)
{
    const struct qr_def_label labels[] = {{"room", "north", 1}, {QR_LABEL_EPHEMERAL, value, 2}};
    struct qr_host_def view = {.guid = {{guid}}, .hostname = "h", .n_labels = 2, .labels = labels};
    struct qr_host_def *def;
    struct qr_buf bytes = {0};
    uint32_t id = 0;
    assert_int_equal(qr_host_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    assert_int_equal(qr_store_apply_host(store, def, &id), 0);
    assert_int_equal(id, guid);
    assert_int_equal(qr_store_apply_connected(store, id, true, now_s * 1000000), 0);
}

static void leave(struct qr_store *store, uint32_t host)
{
    assert_int_equal(qr_store_apply_connected(store, host, false, now_s * 1000000), 0);
}

static void ephemeral_hosts_are_forgotten_when_they_are_away(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    static struct log log;
    const struct qr_clock clock = {.mono_ms = mono_ms, .real_us = real_us};
    struct qr_cleaner *cleaner, *never;
    qr_memory_disk_init(&disk);
    log = (struct log){.leads = true};
    const struct qr_store_config config = {.disk = &disk.disk, .dir = "/d", .window_s = 600};
    assert_int_equal(qr_store_open(&log.store, &config, NULL), 0);
    const struct qr_cleaner_log face = {&log, leads, is_doubtful, propose};
    now_s = 1000;
    assert_int_equal(qr_cleaner_new(&cleaner, NULL, &face, log.store, &clock, AFTER_S), 0);
    assert_int_equal(qr_cleaner_new(&never, NULL, &face, log.store, &clock, 0), 0);
    for (uint8_t guid = 1; guid <= 4; guid++)
        say_ephemeral(log.store, guid, guid != 2 ? "true" : "false");
    qr_cleaner_tick(never); /* Walks. */
    put_charts(log.store, 1);
    qr_cleaner_tick(cleaner); /* Walks. */
    for (uint32_t host = 1; host <= 3; host++)
        leave(log.store, host); /* The fourth stays connected. */
    now_s += AFTER_S;
    while (log.n_gone < N_CHARTS / 10 * 9 && log.n_entries < 10) { /* Obsolete, never a row. */
        qr_cleaner_tick(cleaner);
        if (log.done != NULL)
            apply(&log);
    }
    qr_cleaner_tick(cleaner);
    assert_null(log.done); /* Just so long: not yet. */
    now_s++;
    log.doubtful = true;
    qr_cleaner_tick(cleaner);
    assert_null(log.done); /* Who knows how late it is. */
    log.doubtful = false;
    qr_cleaner_tick(never);
    assert_null(log.done);
    qr_cleaner_tick(cleaner);
    assert_non_null(log.done);
    assert_int_equal(log.body.away_before_s, now_s - AFTER_S);
    assert_int_equal(log.body.n, 2);     /* 1 and 3. */
    say_ephemeral(log.store, 3, "true"); /* It is back before the entry is applied. */
    apply(&log);
    assert_null(qr_store_host_by_id(log.store, 1));
    for (uint32_t host = 2; host <= 4; host++)
        assert_non_null(qr_store_host_by_id(log.store, host));
    struct qr_store_stats stats;
    qr_store_get_stats(log.store, &stats);
    assert_int_equal(stats.n_charts, 0);
    qr_cleaner_tick(cleaner);
    assert_null(log.done);
    qr_cleaner_free(cleaner);
    qr_cleaner_free(never);
    qr_store_close(log.store);
    qr_memory_disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_leader_removes_what_is_expired),
        cmocka_unit_test(ephemeral_hosts_are_forgotten_when_they_are_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
