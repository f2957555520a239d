/* Tests also: confirm. */
#include "storage/seal.h"

#include <uv.h>

#include "storage/internal.h"
#include "storage/tests/member.h"

/* For every call to the disk: it fails, and the store copes; or the power goes with it. */
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
            memcpy(&hash, file->bytes + file->len - 16, 8);
            assert_int_equal(qr_block_verify(&member.disk.disk, file->path, file->len, hash), 0);
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
                assert_int_equal(qr_slab_at(&slab, row, 0), slab.first_s + row);
        bool bad = qr_query_n_bad(query) != 0;
        assert_int_equal(n_rows, bad ? 2 * HISTORY_WINDOW_S - 1 : 3 * HISTORY_WINDOW_S - 1);
        qr_query_close(query);
        qr_store_leave(member.store, slot);
        struct qr_block_name missing[2];
        assert_int_equal(qr_store_missing(member.store, missing, 2), bad);
        /* Only the header, and the half of the hash that names nothing, are not looked at. */
        assert_int_equal(bad, i >= 64 && i < len - 8);
        n_noticed += bad;
        *byte = (char)(*byte ^ (1 << i % 8));
    }
    assert_int_equal(n_noticed, len - 64 - 8);
    qr_buf_release(&snapshot);
    stop(&member);
}

static int vote(struct member *member, const struct qr_store_file *file, uint32_t voter,
                uint64_t hash)
{
    const struct qr_file_vote vote = {voter, file->bytes, hash};
    return qr_store_apply_vote(member->store, &file->id, &vote, 3);
}

/* A file waits for a majority's votes, through snapshots too, and is named only where it is. */
static void files_that_are_not_agreed_on_are_known(void **state)
{
    (void)state;
    struct member member, other;
    struct qr_store_file files[4];
    start(&member);
    start(&other);
    sealed_rows(&member);
    assert_int_equal(qr_store_unvoted(member.store, 1, files, 4), 3);
    struct qr_store_file second = files[1];
    assert_int_equal(second.id.start_s, HISTORY_WINDOW_S);
    assert_int_equal(vote(&member, &second, 1, second.hash), 0);
    assert_int_equal(qr_store_unvoted(member.store, 1, files, 4), 2);
    assert_int_equal(qr_store_unvoted(member.store, 2, files, 4), 3);
    struct qr_buf snapshot = snapshot_of(member.store);
    assert_int_equal(qr_store_restore(member.store, qr_buf_slice(&snapshot)), 0);
    assert_int_equal(qr_store_unvoted(member.store, 1, files, 4), 2);
    assert_int_equal(vote(&member, &second, 3, second.hash), 0); /* The second of three. */
    assert_int_equal(qr_store_unvoted(member.store, 2, files, 4), 2);
    assert_int_equal(files[0].id.start_s, 0);
    assert_int_equal(files[1].id.start_s, 2 * HISTORY_WINDOW_S);
    qr_buf_release(&snapshot);
    snapshot = snapshot_of(member.store);
    assert_int_equal(qr_store_restore(member.store, qr_buf_slice(&snapshot)), 0);
    assert_int_equal(qr_store_unvoted(member.store, 2, files, 4), 2);
    assert_int_equal(qr_store_restore(other.store, qr_buf_slice(&snapshot)), 0);
    assert_int_equal(qr_store_unvoted(other.store, 2, files, 4), 0);
    qr_buf_release(&snapshot);
    stop(&member);
    stop(&other);
}

/* Two votes of four are no majority; when a member has left, they are one of three. */
static void votes_are_counted_again_when_a_member_has_left(void **state)
{
    (void)state;
    struct member member;
    struct qr_store_file files[4];
    start(&member);
    sealed_rows(&member);
    assert_int_equal(qr_store_unvoted(member.store, 9, files, 4), 3);
    for (uint32_t i = 0; i < 2; i++) { /* Of two files; the third has one vote. */
        for (uint32_t voter = 1; voter <= 2; voter++) {
            const struct qr_file_vote vote = {voter, files[i].bytes, files[i].hash};
            assert_int_equal(qr_store_apply_vote(member.store, &files[i].id, &vote, 4), 0);
        }
    }
    const struct qr_file_vote one = {1, files[2].bytes, files[2].hash};
    assert_int_equal(qr_store_apply_vote(member.store, &files[2].id, &one, 4), 0);
    assert_int_equal(qr_store_apply_voters(member.store, 4), 0);
    assert_int_equal(qr_store_unvoted(member.store, 9, files, 4), 3);
    assert_int_equal(qr_store_apply_voters(member.store, 3), 0);
    assert_int_equal(qr_store_unvoted(member.store, 9, files, 4), 1);
    assert_int_equal(qr_store_apply_voters(member.store, 1), 0);
    assert_int_equal(qr_store_unvoted(member.store, 9, files, 4), 0);
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
        assert_int_equal(qr_disk_write_file(disk, to, copy, file->len), 0);
        free(copy);
        assert_int_equal(qr_store_fetched(lacks.store, names[i].name), QR_E_CORRUPT);
        assert_int_equal(qr_disk_write_file(disk, to, file->bytes, file->len), 0);
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

/* What arrives of each missing file goes in, as far as the disk lets it. */
static void fetch_all(struct member *has, struct member *lacks)
{
    struct qr_block_name names[5];
    unsigned n = qr_store_missing(lacks->store, names, 5);
    for (unsigned i = 0; i < n; i++) {
        char from[256], to[256];
        assert_int_equal(qr_store_block_path(has->store, names[i].name, from, sizeof from), 0);
        assert_int_equal(qr_store_fetch_path(lacks->store, names[i].name, to, sizeof to), 0);
        const struct qr_memory_file *file = qr_memory_disk_get(&has->disk, from);
        if (qr_disk_write_file(&lacks->disk.disk, to, file->bytes, file->len) != 0)
            continue;
        qr_memory_disk_get(&lacks->disk, to)->durable_len = 0; /* Its writer does not sync. */
        qr_store_fetched(lacks->store, names[i].name);
    }
}

/* Whatever call the power goes with, a file is here whole or is fetched again. */
static void a_fetch_that_is_cut_off_anywhere_is_made_again(void **state)
{
    (void)state;
    struct member has;
    start(&has);
    sealed_rows(&has);
    struct qr_buf snapshot = snapshot_of(has.store);
    bool failed = true;
    unsigned most_here = 0;
    for (unsigned at = 1; failed; at++) {
        struct member lacks;
        struct qr_block_name names[5];
        start(&lacks);
        assert_int_equal(qr_store_restore(lacks.store, qr_buf_slice(&snapshot)), 0);
        lacks.disk.fail_at = lacks.disk.n_calls + at;
        lacks.disk.stay_failed = true;
        lacks.disk.tear = true;
        fetch_all(&has, &lacks);
        failed = lacks.disk.n_calls >= lacks.disk.fail_at;
        qr_store_close(lacks.store);
        qr_memory_disk_crash(&lacks.disk);
        assert_int_equal(open_store(&lacks), 0);
        assert_int_equal(qr_store_restore(lacks.store, qr_buf_slice(&snapshot)), 0);
        unsigned n_here = 3 - qr_store_missing(lacks.store, names, 5);
        assert_int_equal(qr_memory_disk_n_files(&lacks.disk), n_here); /* And no part of one. */
        assert_true(n_here >= most_here);
        most_here = n_here;
        fetch_all(&has, &lacks);
        assert_int_equal(qr_store_missing(lacks.store, names, 5), 0);
        assert_rows(&lacks);
        assert_same_files(&has.disk, &lacks.disk);
        stop(&lacks);
        assert_true(at < 100);
    }
    assert_int_equal(most_here, 3);
    qr_buf_release(&snapshot);
    stop(&has);
}

static void the_groups_hash_counts(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    struct qr_block_name name;
    struct qr_store_file files[1];
    assert_int_equal(qr_store_unvoted(member.store, 1, files, 1), 1);
    struct qr_store_file first = files[0], second = files[0];
    second.id.generation = 1;
    assert_int_equal(vote(&member, &second, 1, 5), 0); /* There is none: it counts nothing. */
    assert_int_equal(vote(&member, &first, 1, first.hash), 0);
    assert_int_equal(vote(&member, &first, 2, first.hash + 1), 0);
    assert_int_equal(qr_store_missing(member.store, &name, 1), 0);
    assert_int_equal(vote(&member, &first, 3, first.hash + 1), 0);
    assert_int_equal(member.n_bad, 1);
    assert_string_equal(member.last_bad, "s0000-t0-00000000-w60-g0.qb");
    assert_int_equal(qr_store_missing(member.store, &name, 1), 1);
    assert_int_equal(name.hash, first.hash + 1);
    assert_non_null(qr_memory_disk_get(&member.disk, DIR "/s0000-t0-00000000-w60-g0.qb.bad"));
    assert_int_equal(vote(&member, &first, 1, first.hash), 0); /* Too late. */
    assert_int_equal(qr_store_missing(member.store, &name, 1), 1);
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

/* Two hosts of a shard each; what a restored member does next is the same. */
static void a_shard_has_files_of_its_own(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    for (unsigned i = 1; i <= 2; i++) {
        uint32_t host = add_host(member.store, i), chart = add_chart(member.store, host, "a", 1, 2);
        put_row(member.store, host, chart, 10, &i, 1);
    }
    go_through_snapshot(&member, true); /* With two open windows of one start. */
    int64_t starts[3];
    assert_int_equal(qr_store_sealable(member.store, 1000, starts, 3), 1);
    assert_int_equal(qr_store_apply_seal(member.store, 0), 0);
    assert_int_equal(member.n_sealed, 2);
    assert_true(qr_store_was_sealed(member.store, 0));
    assert_non_null(qr_memory_disk_get(&member.disk, DIR "/s0000-t0-00000000-w60-g0.qb"));
    assert_non_null(qr_memory_disk_get(&member.disk, DIR "/s0001-t0-00000000-w60-g0.qb"));
    /* A late row makes a second generation of its shard only. */
    put_row(member.store, 2, 2, 11, (uint32_t[]){5}, 1);
    assert_int_equal(qr_store_apply_seal(member.store, 0), 0);
    assert_non_null(qr_memory_disk_get(&member.disk, DIR "/s0001-t0-00000000-w60-g1.qb"));
    assert_int_equal(qr_memory_disk_n_files(&member.disk), 3);
    go_through_snapshot(&member, true);
    add_chart(member.store, add_host(member.store, 3), "a", 1, 1);
    assert_int_equal(qr_store_host_by_id(member.store, 3)->shard, 2);
    add_chart(member.store, add_host(member.store, 4), "a", 1, 1);
    assert_int_equal(qr_store_host_by_id(member.store, 4)->shard, 2); /* There is room for it. */
    for (uint32_t chart = 1; chart <= 2; chart++)
        assert_int_equal(cell_at(member.store, chart, 10, 0), chart);
    assert_int_equal(cell_at(member.store, 2, 11, 0), 5);
    stop(&member);
}

/* The lower generation wins among files, and files win over memory: so the second file may not be
 * there while the first is not. */
static void a_generation_waits_for_the_one_before(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    uint32_t host = add_host(member.store, 1), chart = add_chart(member.store, host, "a", 1, 1);
    put_row(member.store, host, chart, 10, (uint32_t[]){1}, 1);
    member.disk.fail_at = member.disk.n_calls + 2;
    member.disk.fail_with = UV_EIO;
    member.disk.stay_failed = true;
    assert_int_equal(qr_store_apply_seal(member.store, 0), 0);
    assert_int_equal(member.n_failed, 2); /* It was tried again at once. */
    assert_int_equal(qr_store_unwritten(member.store), 1);
    member.disk.fail_at = 0;
    member.disk.stay_failed = false;
    put_row(member.store, host, chart, 10, (uint32_t[]){2}, 1);
    /* As the SEAL entry is applied, before anything is tried again. */
    assert_int_equal(qr_seal_start(qr_store_state(member.store), 0), 0);
    assert_int_equal(member.n_sealed, 0);
    assert_int_equal(cell_at(member.store, chart, 10, 0), 1);
    qr_store_poll(member.store);
    assert_int_equal(member.n_sealed, 2);
    assert_int_equal(qr_store_unwritten(member.store), 0);
    assert_int_equal(cell_at(member.store, chart, 10, 0), 1);
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
    assert_int_equal(retain_from(member.store, 119), 0);
    assert_int_equal(qr_query_next(query, &slab), 1); /* Who reads it may go on. */
    qr_query_close(query);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), 3);
    qr_store_leave(member.store, slot);
    qr_store_poll(member.store);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), 2);
    assert_int_equal(cell_at(member.store, 1, 59, 0), E);
    assert_int_equal(cell_at(member.store, 1, 60, 0), 60);
    assert_int_equal(qr_chart_first_s(chart), 60);
    assert_int_equal(qr_store_gaps(member.store, 1, NULL, 0), 1);
    assert_int_equal(put_row(member.store, 1, 1, 30, (uint32_t[]){1}, 1), 0);
    int64_t starts[2];
    assert_int_equal(qr_store_sealable(member.store, 1000, starts, 2), 0);
    go_through_snapshot(&member, true);
    stop(&member);
}

/* Rows of a window, each (chart, second) once, in an order from the seed. */
static void put_shuffled(struct member *member, uint64_t seed)
{
    enum { N_CHARTS = 6, N = N_CHARTS * (HISTORY_WINDOW_S - 1) };
    static unsigned order[N];
    struct qr_rng rng;
    qr_rng_seed(&rng, seed);
    for (unsigned i = 0; i < N; i++)
        order[i] = i;
    for (unsigned i = N; seed != 0 && i > 1; i--) {
        unsigned k = (unsigned)qr_rng_below(&rng, i), swap = order[i - 1];
        order[i - 1] = order[k];
        order[k] = swap;
    }
    for (unsigned i = 0; i < N; i++) {
        uint32_t chart = order[i] % N_CHARTS + 1, t = order[i] / N_CHARTS + 1;
        if (t % (1 + chart % 3) != 0)
            continue; /* Steps of one, two and three seconds. */
        const uint32_t values[] = {t * t % 97, t % 5 == 0 ? E : chart, t};
        put_row(member->store, 2 - chart % 2, chart, t, values, t % 2 == 0 ? 3 : 2);
    }
    assert_int_equal(qr_store_apply_seal(member->store, 0), 0);
}

static void bytes_do_not_depend_on_the_order_of_arrival(void **state)
{
    (void)state;
    struct member first;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct member member, *m = seed == 0 ? &first : &member;
        char id[8];
        start(m);
        add_host(m->store, 1);
        add_host(m->store, 2);
        for (uint32_t chart = 1; chart <= 6; chart++) {
            snprintf(id, sizeof id, "c%u", chart);
            assert_int_equal(add_chart(m->store, 2 - chart % 2, id, 1, 3), chart);
        }
        put_shuffled(m, seed);
        assert_true(qr_memory_disk_n_files(&m->disk) > 0);
        assert_same_files(&first.disk, &m->disk);
        assert_sound_files(m);
        if (seed != 0)
            stop(m);
    }
    stop(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_do_not_depend_on_the_order_of_arrival),
        cmocka_unit_test(each_failing_call_is_survived),
        cmocka_unit_test(a_cut_at_any_call_leaves_all_or_nothing),
        cmocka_unit_test(a_flipped_byte_is_never_served),
        cmocka_unit_test(files_that_are_not_agreed_on_are_known),
        cmocka_unit_test(votes_are_counted_again_when_a_member_has_left),
        cmocka_unit_test(missing_files_are_fetched),
        cmocka_unit_test(a_fetch_that_is_cut_off_anywhere_is_made_again),
        cmocka_unit_test(the_groups_hash_counts),
        cmocka_unit_test(late_rows_are_the_next_generation),
        cmocka_unit_test(a_shard_has_files_of_its_own),
        cmocka_unit_test(a_generation_waits_for_the_one_before),
        cmocka_unit_test(old_windows_are_dropped),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
