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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_leave_no_trace),
        cmocka_unit_test(a_replayed_log_adopts_its_files),
        cmocka_unit_test(damaged_snapshots_change_nothing),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
