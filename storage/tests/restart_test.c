/* Restarts, snapshots and replays of random histories: what every member must agree on. */
#include "storage/tests/member.h"

static void restarts_leave_no_trace(void **state)
{
    (void)state;
    static struct history one, two;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct member steady, shaky;
        struct qr_rng rng;
        qr_rng_seed(&rng, seed * 1000);
        history_init(&one, seed);
        history_init(&two, seed);
        start(&steady);
        start(&shaky);
        bool more = true;
        while (more) {
            more = history_step(&one, steady.store);
            history_step(&two, shaky.store);
            if (qr_rng_below(&rng, 40) == 0)
                go_through_snapshot(&shaky, qr_rng_below(&rng, 2) == 0);
            if (qr_rng_below(&rng, 200) == 0)
                assert_same_snapshots(steady.store, shaky.store);
        }
        history_check(&one, steady.store);
        history_check(&two, shaky.store);
        assert_same_snapshots(steady.store, shaky.store);
        qr_store_sweep(steady.store);
        qr_store_sweep(shaky.store);
        assert_same_files(&steady.disk, &shaky.disk);
        assert_true(steady.n_sealed > 10);
        stop(&steady);
        stop(&shaky);
    }
}

/* The log is replayed over files that the first run left: they are kept as they are. */
static void a_replayed_log_adopts_its_files(void **state)
{
    (void)state;
    static struct history history;
    struct member member, fresh;
    start(&member);
    history_init(&history, 77);
    while (history_step(&history, member.store))
        ;
    qr_store_close(member.store);
    unsigned n_calls_before = member.disk.n_calls;
    unsigned n_files = qr_memory_disk_n_files(&member.disk);
    /* One was half written when the power went; one is from another life. */
    char *first = member.disk.files->bytes;
    first[100] ^= 1;
    struct qr_disk *disk = &member.disk.disk;
    assert_int_equal(qr_disk_write_file(disk, DIR "/x.tmp", "x", 1), 0);
    assert_int_equal(qr_disk_write_file(disk, DIR "/s0000-t0-7fffffff-w60-g0.qb", "x", 1), 0);
    assert_int_equal(open_store(&member), 0);
    history_init(&history, 77);
    while (history_step(&history, member.store))
        ;
    history_check(&history, member.store);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), n_files + 1);
    qr_store_sweep(member.store);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), n_files);
    assert_true(member.disk.n_calls > n_calls_before);
    start(&fresh);
    history_init(&history, 77);
    while (history_step(&history, fresh.store))
        ;
    assert_same_files(&member.disk, &fresh.disk);
    assert_same_snapshots(member.store, fresh.store);
    stop(&member);
    stop(&fresh);
}

static void damaged_snapshots_change_nothing(void **state)
{
    (void)state;
    static struct history history;
    struct member member;
    start(&member);
    history_init(&history, 5);
    for (int i = 0; i < 150; i++)
        history_step(&history, member.store);
    struct qr_buf snapshot = snapshot_of(member.store);
    for (size_t i = 0; i < snapshot.len; i += 1 + i / 64) {
        snapshot.base[i] = (char)(snapshot.base[i] ^ 16);
        assert_int_not_equal(qr_store_restore(member.store, qr_buf_slice(&snapshot)), 0);
        assert_int_not_equal(qr_store_restore(member.store, qr_slice_of(snapshot.base, i + 1)), 0);
        snapshot.base[i] = (char)(snapshot.base[i] ^ 16);
    }
    history_check(&history, member.store);
    assert_int_equal(qr_store_restore(member.store, qr_slice_of("", 0)), 0);
    assert_int_equal(qr_store_n_hosts(member.store), 0);
    qr_buf_release(&snapshot);
    stop(&member);
}

#define TILED_WINDOW_S 300

static void open_tiled(struct member *member)
{
    memset(member, 0, sizeof *member);
    qr_memory_disk_init(&member->disk);
    const struct qr_store_config config = {
        .disk = &member->disk.disk, .dir = DIR, .window_s = TILED_WINDOW_S};
    assert_int_equal(qr_store_open(&member->store, &config, NULL), 0);
    for (unsigned c = 0; c < 3; c++) {
        char id[4] = {'c', (char)('0' + c)};
        add_chart(member->store, add_host(member->store, 1), id, 1, 2);
    }
}

/* Whatever a member has encoded in its head, and decoded again, its files and snapshots are those
 * of one that never did. */
static void tiles_do_not_show(void **state)
{
    (void)state;
    struct member tiled, plain;
    struct qr_rng rng;
    qr_rng_seed(&rng, 3);
    open_tiled(&tiled);
    open_tiled(&plain);
    for (int64_t now = 1; now < 3 * TILED_WINDOW_S; now++) {
        for (uint32_t chart = 1; chart <= 3; chart++) {
            bool late = qr_rng_below(&rng, 10) == 0;
            int64_t end_s = late ? 1 + (int64_t)qr_rng_below(&rng, (uint64_t)now) : now;
            uint32_t values[] = {(uint32_t)qr_rng_below(&rng, 9), (uint32_t)end_s};
            uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, 2);
            put_row(tiled.store, 1, chart, end_s, values, n);
            put_row(plain.store, 1, chart, end_s, values, n);
        }
        if (qr_rng_below(&rng, 4) == 0)
            qr_store_poll(tiled.store);
    }
    struct qr_store_stats stats, plain_stats;
    qr_store_get_stats(tiled.store, &stats);
    qr_store_get_stats(plain.store, &plain_stats);
    assert_true(stats.head_bytes < plain_stats.head_bytes); /* Some are encoded now. */
    assert_same_snapshots(tiled.store, plain.store);
    for (int64_t start = 0; start < 3 * TILED_WINDOW_S; start += TILED_WINDOW_S) {
        assert_int_equal(qr_store_apply_seal(tiled.store, start), 0);
        assert_int_equal(qr_store_apply_seal(plain.store, start), 0);
    }
    assert_int_equal(qr_memory_disk_n_files(&plain.disk), 3);
    assert_same_files(&tiled.disk, &plain.disk);
    assert_same_snapshots(tiled.store, plain.store);
    stop(&tiled);
    stop(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_leave_no_trace),
        cmocka_unit_test(a_replayed_log_adopts_its_files),
        cmocka_unit_test(damaged_snapshots_change_nothing),
        cmocka_unit_test(tiles_do_not_show),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
