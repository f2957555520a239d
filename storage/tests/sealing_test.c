/* Sealing, snapshots and restarts together, on a disk in memory: what every member must agree on.
 */
#include "storage/tests/history.h"

#include <uv.h>
#include <xxhash.h>

#include "base/log.h"

#include "testing/memory_disk.h"

#define DIR "/d"

struct member {
    struct qr_memory_disk disk;
    struct qr_store *store;
    unsigned n_sealed, n_failed, n_bad;
    char last_bad[64];
};

static void on_sealed(void *data, int64_t start_s, uint32_t generation, int status, uint64_t bytes,
                      uint64_t hash)
{
    struct member *member = data;
    if (status == 0)
        member->n_sealed++;
    else
        member->n_failed++;
}

static void on_bad(void *data, const char *name, const char *sentence)
{
    struct member *member = data;
    member->n_bad++;
    snprintf(member->last_bad, sizeof member->last_bad, "%s", name);
}

static int open_store(struct member *member)
{
    const struct qr_store_config config = {
        .disk = &member->disk.disk, .dir = DIR, .window_s = HISTORY_WINDOW_S};
    const struct qr_store_events events = {member, on_sealed, on_bad};
    return qr_store_open(&member->store, &config, &events);
}

static void start(struct member *member)
{
    memset(member, 0, sizeof *member);
    qr_memory_disk_init(&member->disk);
    assert_int_equal(open_store(member), 0);
}

static void stop(struct member *member)
{
    qr_store_close(member->store);
    qr_memory_disk_release(&member->disk);
}

static struct qr_buf snapshot_of(struct qr_store *store)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_store_snapshot(store, &out), 0);
    return out;
}

static void assert_same_files(struct qr_memory_disk *a, struct qr_memory_disk *b)
{
    assert_int_equal(qr_memory_disk_n_files(a), qr_memory_disk_n_files(b));
    for (const struct qr_memory_file *file = a->files; file != NULL; file = file->next) {
        const struct qr_memory_file *other = qr_memory_disk_get(b, file->path);
        assert_non_null(other);
        assert_int_equal(file->len, other->len);
        assert_memory_equal(file->bytes, other->bytes, file->len);
    }
}

static void assert_same_snapshots(struct qr_store *a, struct qr_store *b)
{
    struct qr_buf sa = snapshot_of(a), sb = snapshot_of(b);
    assert_int_equal(sa.len, sb.len);
    assert_memory_equal(sa.base, sb.base, sa.len);
    qr_buf_release(&sa);
    qr_buf_release(&sb);
}

/* Goes through a snapshot, into the same store or, as a restart does, into a new one. */
static void go_through_snapshot(struct member *member, bool restart)
{
    struct qr_buf before = snapshot_of(member->store);
    if (restart) {
        qr_store_close(member->store);
        assert_int_equal(open_store(member), 0);
    }
    assert_int_equal(qr_store_restore(member->store, qr_buf_slice(&before)), 0);
    struct qr_block_name missing;
    assert_int_equal(qr_store_missing(member->store, &missing, 1), 0);
    struct qr_buf after = snapshot_of(member->store);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.base, after.base, before.len);
    qr_buf_release(&before);
    qr_buf_release(&after);
}

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
    assert_int_equal(disk->write_file(disk, DIR "/x.tmp", "x", 1), 0);
    assert_int_equal(disk->write_file(disk, DIR "/s0000-t0-7fffffff-w60-g0.qb", "x", 1), 0);
    assert_int_equal(open_store(&member), 0);
    history_init(&history, 77);
    while (history_step(&history, member.store))
        ;
    history_check(&history, member.store);
    assert_int_equal(qr_store_sweep(member.store), 1);
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

/* For every call to the disk: it fails, and the store copes; or the power goes with it. */
static void sealed_rows(struct member *member)
{
    uint32_t host = add_host(member->store, 1);
    uint32_t chart = add_chart(member->store, host, "a", 1, 2);
    for (int64_t t = 1; t < 3 * HISTORY_WINDOW_S; t++)
        put_row(member->store, host, chart, t, (uint32_t[]){(uint32_t)t, 7}, 2);
    for (int64_t w = 0; w < 3; w++)
        assert_int_equal(qr_store_apply_seal(member->store, w * HISTORY_WINDOW_S), 0);
}

static void assert_rows(struct member *member)
{
    for (int64_t t = 1; t < 3 * HISTORY_WINDOW_S; t++)
        assert_int_equal(cell_at(member->store, 1, t, 0), t);
}

static void each_failing_call_is_survived(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned at = 2; failed; at++) { /* The first is the listing at the start. */
        struct member member;
        start(&member);
        member.disk.fail_at = at;
        member.disk.fail_with = at % 2 != 0 ? UV_ENOSPC : UV_EIO;
        sealed_rows(&member);
        failed = member.disk.n_calls >= at;
        member.disk.fail_at = 0;
        assert_rows(&member); /* From memory or from files. */
        qr_store_poll(member.store);
        struct qr_buf snapshot = snapshot_of(member.store);
        qr_buf_release(&snapshot);
        assert_rows(&member);
        assert_int_equal(member.n_sealed, 3);
        assert_int_equal(qr_memory_disk_n_files(&member.disk), 3);
        stop(&member);
        assert_true(at < 100);
    }
}

static void a_cut_at_any_call_leaves_all_or_nothing(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned at = 2; failed; at++) {
        struct member member;
        start(&member);
        member.disk.fail_at = at;
        member.disk.stay_failed = true;
        member.disk.tear = true;
        sealed_rows(&member);
        failed = member.disk.n_calls >= at;
        qr_store_close(member.store);
        qr_memory_disk_crash(&member.disk);
        assert_int_equal(open_store(&member), 0);
        for (const struct qr_memory_file *file = member.disk.files; file; file = file->next) {
            uint64_t hash;
            memcpy(&hash, file->bytes + file->len - 8, 8);
            assert_true(hash == XXH3_64bits(file->bytes, file->len - 8));
        }
        sealed_rows(&member); /* The log is replayed. */
        assert_rows(&member);
        assert_int_equal(qr_memory_disk_n_files(&member.disk), 3);
        stop(&member);
        assert_true(at < 100);
    }
}

static void a_flipped_byte_is_never_served(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    struct qr_buf snapshot = snapshot_of(member.store);
    char path[64] = DIR "/s0000-t0-0000003c-w60-g0.qb";
    size_t len = qr_memory_disk_get(&member.disk, path)->len;
    unsigned n_noticed = 0;
    for (size_t i = 0; i < len; i++) {
        qr_store_close(member.store);
        char *byte = &qr_memory_disk_get(&member.disk, path)->bytes[i];
        *byte = (char)(*byte ^ (1 << i % 8));
        assert_int_equal(open_store(&member), 0);
        assert_int_equal(qr_store_restore(member.store, qr_buf_slice(&snapshot)), 0);
        int slot = qr_store_enter(member.store);
        struct qr_query *query;
        struct qr_slab slab;
        assert_int_equal(
            qr_query_open(&query, member.store, qr_store_chart_by_id(member.store, 1), 1, 1000), 0);
        unsigned n_rows = 0;
        while (qr_query_next(query, &slab) == 1)
            for (uint32_t row = 0; row < slab.n_rows; row++, n_rows++)
                assert_int_equal(slab.cells[row * slab.n_dims], slab.first_s + row);
        bool bad = qr_query_n_bad(query) != 0;
        assert_int_equal(n_rows, bad ? 2 * HISTORY_WINDOW_S - 1 : 3 * HISTORY_WINDOW_S - 1);
        qr_query_close(query);
        qr_store_leave(member.store, slot);
        struct qr_block_name missing[2];
        assert_int_equal(qr_store_missing(member.store, missing, 2), bad);
        /* Only the header is not looked at when reading. */
        assert_true(bad || i < 64);
        n_noticed += bad;
        *byte = (char)(*byte ^ (1 << i % 8));
    }
    assert_int_equal(n_noticed, len - 64);
    qr_buf_release(&snapshot);
    stop(&member);
}

/* A member without the files gets them by name. */
static void missing_files_are_fetched(void **state)
{
    (void)state;
    struct member has, lacks;
    start(&has);
    start(&lacks);
    sealed_rows(&has);
    struct qr_buf snapshot = snapshot_of(has.store);
    assert_int_equal(qr_store_restore(lacks.store, qr_buf_slice(&snapshot)), 0);
    struct qr_block_name names[5];
    assert_int_equal(lacks.n_failed, 3);
    assert_int_equal(qr_store_missing(lacks.store, names, 5), 3);
    struct qr_disk *disk = &lacks.disk.disk;
    for (unsigned i = 0; i < 3; i++) {
        char from[256], to[256];
        assert_int_equal(qr_store_block_path(lacks.store, names[i].name, from, sizeof from),
                         QR_E_UNKNOWN);
        assert_int_equal(qr_store_block_path(has.store, names[i].name, from, sizeof from), 0);
        assert_int_equal(qr_store_fetch_path(lacks.store, names[i].name, to, sizeof to), 0);
        const struct qr_memory_file *file = qr_memory_disk_get(&has.disk, from);
        assert_int_equal(file->len, names[i].bytes);
        /* What arrives damaged is refused, wherever. */
        char *copy = malloc(file->len);
        memcpy(copy, file->bytes, file->len);
        copy[i * 40] ^= 4;
        assert_int_equal(disk->write_file(disk, to, copy, file->len), 0);
        free(copy);
        assert_int_equal(qr_store_fetched(lacks.store, names[i].name), QR_E_CORRUPT);
        assert_int_equal(disk->write_file(disk, to, file->bytes, file->len), 0);
        assert_int_equal(qr_store_fetched(lacks.store, names[i].name), 0);
        assert_int_equal(qr_store_fetched(lacks.store, names[i].name), QR_E_UNKNOWN);
    }
    assert_int_equal(qr_store_missing(lacks.store, names, 5), 0);
    assert_rows(&lacks);
    assert_same_files(&has.disk, &lacks.disk);
    assert_int_equal(qr_store_fetched(lacks.store, "../../etc/passwd"), QR_E_UNKNOWN);
    qr_buf_release(&snapshot);
    stop(&has);
    stop(&lacks);
}

static void the_groups_hash_counts(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    struct qr_block_name name;
    struct qr_buf snapshot = snapshot_of(member.store);
    uint64_t hash,
        bytes = qr_memory_disk_get(&member.disk, DIR "/s0000-t0-00000000-w60-g0.qb")->len;
    memcpy(&hash,
           qr_memory_disk_get(&member.disk, DIR "/s0000-t0-00000000-w60-g0.qb")->bytes + bytes - 8,
           8);
    assert_int_equal(qr_store_apply_sealed(member.store, 0, 0, bytes, hash), 0);
    assert_int_equal(qr_store_missing(member.store, &name, 1), 0);
    assert_int_equal(qr_store_apply_sealed(member.store, 0, 1, bytes, hash), QR_E_UNKNOWN);
    assert_int_equal(qr_store_apply_sealed(member.store, 0, 0, bytes, hash + 1), 0);
    assert_int_equal(member.n_bad, 1);
    assert_string_equal(member.last_bad, "s0000-t0-00000000-w60-g0.qb");
    assert_int_equal(qr_store_missing(member.store, &name, 1), 1);
    assert_int_equal(name.hash, hash + 1);
    assert_non_null(qr_memory_disk_get(&member.disk, DIR "/s0000-t0-00000000-w60-g0.qb.bad"));
    qr_buf_release(&snapshot);
    stop(&member);
}

static void late_rows_are_the_next_generation(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    uint32_t host = add_host(member.store, 1), chart = add_chart(member.store, host, "a", 2, 2);
    put_row(member.store, host, chart, 10, (uint32_t[]){1, E}, 2);
    assert_int_equal(qr_store_apply_seal(member.store, 0), 0);
    assert_int_equal(qr_store_apply_seal(member.store, 0), 0); /* Nothing more. */
    assert_int_equal(member.n_sealed, 1);
    assert_int_equal(put_row(member.store, host, chart, 10, (uint32_t[]){2, 3}, 2), 2);
    assert_int_equal(put_row(member.store, host, chart, 13, (uint32_t[]){4, 5}, 2), 2);
    for (int pass = 0; pass < 3; pass++) {
        assert_int_equal(cell_at(member.store, chart, 10, 0), 1); /* The first one stays. */
        assert_int_equal(cell_at(member.store, chart, 10, 1), 3);
        assert_int_equal(cell_at(member.store, chart, 13, 0), 4);
        assert_int_equal(cell_at(member.store, chart, 12, 0), E);
        if (pass == 0)
            assert_int_equal(qr_store_apply_seal(member.store, 0), 0);
        else
            go_through_snapshot(&member, true);
    }
    assert_non_null(qr_memory_disk_get(&member.disk, DIR "/s0000-t0-00000000-w60-g1.qb"));
    assert_int_equal(qr_store_apply_seal(member.store, 30), QR_E_LIMIT);
    stop(&member);
}

static void old_windows_are_dropped(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    const struct qr_chart *chart = qr_store_chart_by_id(member.store, 1);
    put_row(member.store, 1, 1, 5, (uint32_t[]){1, 2}, 2); /* A late head. */
    assert_int_equal(qr_store_apply_gap(member.store, &(struct qr_gap){1, 50, 60, 0}), 0);
    assert_int_equal(qr_store_apply_gap(member.store, &(struct qr_gap){1, 50, 61, 0}), 0);
    int slot = qr_store_enter(member.store);
    struct qr_query *query;
    struct qr_slab slab;
    assert_int_equal(qr_query_open(&query, member.store, chart, 1, 59), 0);
    assert_int_equal(qr_store_apply_retain(member.store, 119), 0);
    assert_int_equal(qr_query_next(query, &slab), 1); /* Who reads it may go on. */
    qr_query_close(query);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), 3);
    qr_store_leave(member.store, slot);
    qr_store_poll(member.store);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), 2);
    assert_int_equal(cell_at(member.store, 1, 59, 0), E);
    assert_int_equal(cell_at(member.store, 1, 60, 0), 60);
    assert_int_equal(chart->first_s, 60);
    assert_int_equal(qr_store_gaps(member.store, 1, NULL, 0), 1);
    assert_int_equal(put_row(member.store, 1, 1, 30, (uint32_t[]){1}, 1), 0);
    int64_t starts[2];
    assert_int_equal(qr_store_sealable(member.store, 1000, starts, 2), 0);
    go_through_snapshot(&member, true);
    stop(&member);
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
        cmocka_unit_test(each_failing_call_is_survived),
        cmocka_unit_test(a_cut_at_any_call_leaves_all_or_nothing),
        cmocka_unit_test(a_flipped_byte_is_never_served),
        cmocka_unit_test(missing_files_are_fetched),
        cmocka_unit_test(the_groups_hash_counts),
        cmocka_unit_test(late_rows_are_the_next_generation),
        cmocka_unit_test(old_windows_are_dropped),
        cmocka_unit_test(damaged_snapshots_change_nothing),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
