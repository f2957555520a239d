#include "storage/merge.h"

#include <uv.h>

#include "storage/tests/tiers.h"

#define DIMS 3u

static void add_table(struct qr_store *store, struct table *table, uint32_t every_s, int64_t n)
{
    char id[16];
    uint32_t chart;
    snprintf(id, sizeof id, "every%u", every_s);
    chart = add_chart(store, 1, id, every_s, DIMS);
    table_init(table, chart, DIMS, n);
}

static const uint32_t steps[] = {1, 2, 5, 10, 60, 3600};

/* Charts of all steps over n seconds, each changing its step once. */
static void start_tables(struct member *member, struct table tables[QR_COUNT(steps)], uint64_t seed,
                         int64_t n)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, seed);
    start(member);
    add_host(member->store, 1);
    for (unsigned i = 0; i < QR_COUNT(steps); i++) {
        add_table(member->store, &tables[i], steps[i], n);
        int64_t change_s = (int64_t)qr_rng_below(&rng, (uint64_t)DAY_S);
        table_fill(&tables[i], &rng, steps[i], change_s, steps[i]);
        table_fill(&tables[i], &rng, change_s, n, steps[(i + 1) % QR_COUNT(steps)]);
    }
}

static void release_tables(struct table tables[QR_COUNT(steps)])
{
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        free(tables[i].values);
}

static void assert_all(struct member *member, const struct table tables[QR_COUNT(steps)])
{
    for (unsigned i = 0; i < QR_COUNT(steps); i++) {
        assert_samples(member->store, &tables[i], 0);
        assert_points(member->store, &tables[i], 1, 0, DAY_S + SPAN_S);
        assert_points(member->store, &tables[i], 2, 0, DAY_S + SPAN_S);
    }
}

/* Windows become one file of the span, points of a minute, points of an hour; nothing changes in
 * what is read. */
static void tiers_are_what_the_samples_say(void **state)
{
    (void)state;
    struct member member;
    struct table tables[QR_COUNT(steps)];
    start_tables(&member, tables, 1, DAY_S + SPAN_S);
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        send_rows(member.store, &tables[i], 0, DAY_S + SPAN_S);
    assert_all(&member, tables); /* From the head. */
    seal_all(member.store);
    assert_all(&member, tables); /* From windows. */
    unsigned n_windows = n_blocks(member.store);
    assert_true(n_windows > 36 * 4);
    /* Five spans, their points, and those of a day: no merge of what is not over. */
    assert_int_equal(merge_all(member.store, SPAN_S - 1), 0);
    assert_int_equal(merge_all(member.store, SPAN_S), 2);
    assert_all(&member, tables);
    assert_int_equal(merge_all(member.store, DAY_S), 3 * 2 + 1);
    assert_int_equal(merge_all(member.store, DAY_S), 0);
    assert_int_equal(n_blocks(member.store), 4 + 4 + 1 + 36);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), n_blocks(member.store));
    assert_sound_files(&member);
    assert_all(&member, tables);
    release_tables(tables);
    stop(&member);
}

/* Late samples are read at once, make the span again, and then the points of it. */
static void late_samples_are_merged_again(void **state)
{
    (void)state;
    struct member late, direct;
    struct table tables[QR_COUNT(steps)], same[QR_COUNT(steps)];
    start_tables(&late, tables, 2, DAY_S);
    start_tables(&direct, same, 2, DAY_S);
    struct qr_rng rng;
    qr_rng_seed(&rng, 3);
    for (unsigned i = 0; i < QR_COUNT(steps); i++) {
        send_rows(direct.store, &same[i], 0, DAY_S);
        /* Holes of some windows, filled in later, in pieces that overlap. */
        int64_t hole_s = (int64_t)qr_rng_below(&rng, (uint64_t)DAY_S - 900);
        send_rows(late.store, &tables[i], 0, hole_s);
        send_rows(late.store, &tables[i], hole_s + 900, DAY_S);
        seal_all(late.store);
        send_rows(late.store, &tables[i], hole_s - 50, hole_s + 400);
        if (i % 2 == 0)
            seal_all(late.store);
        if (i == 3)
            merge_all(late.store, DAY_S);
        send_rows(late.store, &tables[i], hole_s + 300, hole_s + 950);
        if (i % 2 != 0)
            assert_samples(late.store, &tables[i], 0);
        assert_points(late.store, &tables[i], 1, 0, DAY_S);
        assert_points(late.store, &tables[i], 2, 0, DAY_S);
    }
    seal_all(late.store);
    seal_all(direct.store);
    assert_true(merge_all(late.store, DAY_S) > 2);
    assert_int_equal(merge_all(direct.store, DAY_S), 4 * 2 + 1);
    /* The bytes are the same, but for the name in header and footer. */
    for (unsigned tier = 0; tier < QR_TIERS; tier++)
        for (int64_t at = 0; at < DAY_S; at += qr_merge_span(HISTORY_WINDOW_S, tier)) {
            uint32_t window_s = qr_merge_span(HISTORY_WINDOW_S, tier);
            const struct qr_memory_file *a = file_of(&late, tier, at, window_s);
            const struct qr_memory_file *b = file_of(&direct, tier, at, window_s);
            assert_non_null(a);
            assert_non_null(b);
            assert_int_equal(a->len, b->len);
            assert_memory_equal(a->bytes + QR_BLOCK_HEADER_BYTES, b->bytes + QR_BLOCK_HEADER_BYTES,
                                a->len - QR_BLOCK_HEADER_BYTES - QR_BLOCK_FOOTER_BYTES);
        }
    for (unsigned i = 0; i < QR_COUNT(steps); i++) {
        assert_samples(late.store, &tables[i], 0);
        assert_points(late.store, &tables[i], 1, 0, DAY_S);
        assert_points(late.store, &tables[i], 2, 0, DAY_S);
    }
    release_tables(tables);
    release_tables(same);
    stop(&late);
    stop(&direct);
}

/* A replay of what is merged, once or twice, changes no byte of what is read. */
static void a_replay_into_a_merged_span_changes_nothing(void **state)
{
    (void)state;
    struct member member;
    struct table tables[QR_COUNT(steps)];
    start_tables(&member, tables, 4, DAY_S);
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        send_rows(member.store, &tables[i], 0, DAY_S);
    seal_all(member.store);
    merge_all(member.store, DAY_S);
    struct qr_memory_file before = *file_of(&member, 1, SPAN_S, (uint32_t)SPAN_S);
    char *bytes = malloc(before.len);
    memcpy(bytes, before.bytes, before.len);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < QR_COUNT(steps); i++)
            send_rows(member.store, &tables[i], SPAN_S, 2 * SPAN_S);
        seal_all(member.store);
        assert_int_equal(merge_all(member.store, DAY_S), 3);
        const struct qr_memory_file *again = file_of(&member, 1, SPAN_S, (uint32_t)SPAN_S);
        assert_int_equal(again->len, before.len);
        assert_memory_equal(again->bytes + QR_BLOCK_HEADER_BYTES, bytes + QR_BLOCK_HEADER_BYTES,
                            before.len - QR_BLOCK_HEADER_BYTES - QR_BLOCK_FOOTER_BYTES);
    }
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        assert_samples(member.store, &tables[i], 0);
    free(bytes);
    release_tables(tables);
    stop(&member);
}

/* When some of the points of minutes are gone, those of hours stay as they were made: not again of
 * what is left, under a name that there was before. */
static void points_outlive_what_they_were_made_of(void **state)
{
    (void)state;
    struct member member;
    struct table tables[QR_COUNT(steps)];
    struct qr_block_id id;
    start_tables(&member, tables, 6, DAY_S);
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        send_rows(member.store, &tables[i], 0, DAY_S);
    seal_all(member.store);
    merge_all(member.store, DAY_S);
    const struct qr_retention retention = {.before_s = {SPAN_S, SPAN_S, 0}};
    assert_int_equal(qr_store_apply_retain(member.store, &retention), 0);
    assert_int_equal(n_blocks(member.store), 3 + 3 + 1);
    assert_false(qr_store_merge_due(member.store, DAY_S, &id));
    assert_int_equal(qr_store_apply_merge(member.store, 2, 0, 0), 0);
    assert_int_equal(n_blocks(member.store), 3 + 3 + 1);
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        assert_points(member.store, &tables[i], 2, 0, DAY_S);
    /* Late samples make samples and minutes of their span again. */
    put_row(member.store, 1, tables[0].chart, 2 * SPAN_S + 5, (uint32_t[]){1, 2, 3}, DIMS);
    seal_all(member.store);
    confirm_all(member.store);
    for (unsigned n = 0; n < 2; n++) {
        assert_true(qr_store_merge_due(member.store, DAY_S, &id));
        assert_int_equal(id.tier, n);
        assert_int_equal(qr_store_apply_merge(member.store, id.tier, id.shard, id.start_s), 0);
        confirm_all(member.store);
    }
    assert_false(qr_store_merge_due(member.store, DAY_S, &id));
    assert_int_equal(n_blocks(member.store), 3 + 3 + 1);
    release_tables(tables);
    stop(&member);
}

static void what_cannot_be_merged_is_refused(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, HISTORY_WINDOW_S), QR_E_LIMIT);
    assert_int_equal(qr_store_apply_merge(member.store, 3, 0, 0), QR_E_LIMIT);
    assert_int_equal(qr_store_apply_merge(member.store, 2, 0, SPAN_S), QR_E_LIMIT);
    assert_int_equal(qr_store_apply_merge(member.store, 0, QR_SHARD_MAX + 1, 0), QR_E_LIMIT);
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, -SPAN_S), QR_E_LIMIT);
    /* The files are not agreed on. */
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), QR_E_BUSY);
    confirm_all(member.store);
    assert_int_equal(qr_store_apply_merge(member.store, 1, 0, 0), 0); /* Of nothing. */
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), 0);
    /* Neither is the output. */
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), QR_E_BUSY);
    confirm_all(member.store);
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), 0); /* There is nothing to do. */
    assert_int_equal(n_blocks(member.store), 1);
    assert_rows(&member);
    stop(&member);
}

/* Names are never used again, however often a window gets late samples. */
static void a_generation_is_of_one_file(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    merge_all(member.store, SPAN_S);
    put_row(member.store, 1, 1, 3 * HISTORY_WINDOW_S, (uint32_t[]){5, 6}, 2);
    put_row(member.store, 1, 1, 1, (uint32_t[]){5, 6}, 2);
    seal_all(member.store);
    const struct qr_block_set *set = atomic_load(&qr_store_state(member.store)->manifest.set);
    uint32_t merged = 0, least = UINT32_MAX;
    for (uint32_t i = 0; i < set->n; i++) {
        if (set->at[i]->id.tier != 0)
            continue;
        if (set->at[i]->id.window_s == SPAN_S)
            merged = set->at[i]->id.generation;
        else if (set->at[i]->id.generation < least)
            least = set->at[i]->id.generation;
    }
    assert_int_equal(merged, 1);
    assert_int_equal(least, 2);
    assert_int_equal(cell_at(member.store, 1, 1, 0), 1); /* The first one stays. */
    assert_int_equal(cell_at(member.store, 1, 3 * HISTORY_WINDOW_S, 0), 5);
    merge_all(member.store, SPAN_S);
    assert_rows(&member);
    assert_int_equal(cell_at(member.store, 1, 3 * HISTORY_WINDOW_S, 0), 5);
    stop(&member);
}

/* What the log says from the first sample on; `steps_done` entries are left out, they are done. */
static void live(struct member *member)
{
    sealed_rows(member);
    merge_all(member->store, SPAN_S);
    put_row(member->store, 1, 1, 100 * HISTORY_WINDOW_S, (uint32_t[]){1, 2}, 2);
    seal_all(member->store);
    merge_all(member->store, DAY_S);
}

/* For every call to the disk: it fails, and the store copes. */
static void each_failing_call_is_survived(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned at = 2; failed; at++) {
        struct member member;
        start(&member);
        member.disk.fail_at = at;
        member.disk.fail_with = at % 2 != 0 ? UV_ENOSPC : UV_EIO;
        live(&member);
        failed = member.disk.n_calls >= at;
        member.disk.fail_at = 0;
        for (unsigned i = 0; i < 200; i++)
            qr_store_poll(member.store);
        confirm_all(member.store);
        merge_all(member.store, DAY_S);
        assert_rows(&member);
        struct qr_block_name missing;
        while (qr_store_missing(member.store, &missing, 1) != 0)
            fail_msg("call %u: %s is missing", at, missing.name);
        assert_int_equal(n_blocks(member.store), 5);
        assert_true(at < 300);
        stop(&member);
    }
}

/* The power goes at every call; the log is replayed into what is left. */
static void a_cut_at_any_call_leaves_the_same_files(void **state)
{
    (void)state;
    struct member sound;
    start(&sound);
    live(&sound);
    bool failed = true;
    for (unsigned at = 2; failed; at++) {
        struct member member;
        start(&member);
        member.disk.fail_at = at;
        member.disk.stay_failed = true;
        member.disk.tear = true;
        live(&member);
        failed = member.disk.n_calls >= at;
        qr_store_close(member.store);
        qr_memory_disk_crash(&member.disk);
        assert_int_equal(open_store(&member), 0);
        live(&member);
        assert_rows(&member);
        qr_store_sweep(member.store);
        assert_same_files(&member.disk, &sound.disk);
        assert_true(at < 300);
        stop(&member);
    }
    stop(&sound);
}

/* A member's own output is another than the group's. */
static void another_output_is_set_aside(void **state)
{
    (void)state;
    struct member member;
    struct qr_store_file file;
    start(&member);
    sealed_rows(&member);
    confirm_all(member.store);
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), 0);
    assert_int_equal(qr_store_unvoted(member.store, 1, &file, 1), 1);
    const struct qr_file_vote vote = {2, file.bytes + 1, file.hash ^ 1};
    assert_int_equal(qr_store_apply_vote(member.store, &file.id, &vote, 1), 0);
    assert_int_equal(member.n_bad, 1);
    struct qr_block_name missing;
    assert_int_equal(qr_store_missing(member.store, &missing, 2), 1);
    assert_int_equal(missing.bytes, file.bytes + 1);
    assert_int_equal(n_blocks(member.store), 1);
    stop(&member);
}

/* The merge goes on from a snapshot, and its votes count. */
static void a_merge_goes_through_snapshots(void **state)
{
    (void)state;
    struct member member, other;
    struct qr_store_file file;
    start(&member);
    start(&other);
    sealed_rows(&member);
    sealed_rows(&other);
    confirm_all(member.store);
    confirm_all(other.store);
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), 0);
    assert_int_equal(qr_store_apply_merge(other.store, 0, 0, 0), 0);
    assert_int_equal(qr_store_unvoted(other.store, 1, &file, 1), 1);
    const struct qr_file_vote first = {1, file.bytes, file.hash},
                              second = {2, file.bytes, file.hash};
    assert_int_equal(qr_store_apply_vote(member.store, &file.id, &first, 3), 0);
    assert_int_equal(qr_store_apply_vote(other.store, &file.id, &first, 3), 0);
    go_through_snapshot(&member, true);
    assert_same_snapshots(member.store, other.store);
    assert_int_equal(n_blocks(member.store), 3);
    qr_store_poll(member.store);
    assert_int_equal(qr_store_apply_vote(member.store, &file.id, &second, 3), 0);
    assert_int_equal(qr_store_apply_vote(other.store, &file.id, &second, 3), 0);
    assert_int_equal(n_blocks(member.store), 1);
    assert_same_snapshots(member.store, other.store);
    assert_same_files(&member.disk, &other.disk);
    assert_rows(&member);
    stop(&member);
    stop(&other);
}

static void forget(struct member *member, const struct table *table)
{
    uint32_t n;
    const struct qr_forgotten what = {1, table->chart};
    assert_int_equal(qr_store_apply_forget(member->store, &what, false, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(qr_store_apply_forgotten(member->store), 0);
}

/* Does the one file that is not agreed on hold something of the chart? */
static bool has_chart(struct member *member, const struct qr_store_file *file,
                      const struct table *table)
{
    char path[QR_PATH_BYTES_MAX];
    struct qr_block_index *index;
    bool found = false;
    assert_int_equal(qr_store_path(member->store, &file->id, path), 0);
    assert_int_equal(qr_block_index_read(&index, &member->disk.disk, path, file->bytes, file->hash),
                     0);
    for (uint32_t i = 0; i < index->n_chunks; i++)
        found = found || qr_block_row_at(index, i).chart == table->chart;
    free(index);
    return found;
}

static struct qr_store_file merged_file(struct member *member)
{
    struct qr_store_file files[2];
    assert_int_equal(qr_store_unvoted(member->store, 1, files, 2), 1);
    return files[0];
}

/* Charts that were forgotten when the entry came are not in the file; one that is forgotten
 * afterwards is, whoever makes it and when. */
static void forgotten_charts_are_left_out(void **state)
{
    (void)state;
    struct member member;
    struct table tables[QR_COUNT(steps)];
    struct qr_block_id id;
    char path[QR_PATH_BYTES_MAX];
    start_tables(&member, tables, 5, DAY_S);
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        send_rows(member.store, &tables[i], 0, SPAN_S);
    seal_all(member.store);
    confirm_all(member.store);
    forget(&member, &tables[1]);
    assert_true(qr_store_merge_due(member.store, SPAN_S, &id));
    assert_int_equal(qr_store_apply_merge(member.store, id.tier, id.shard, id.start_s), 0);
    struct qr_store_file first = merged_file(&member);
    assert_false(has_chart(&member, &first, &tables[1]));
    assert_true(has_chart(&member, &first, &tables[2]));

    forget(&member, &tables[2]);
    struct qr_buf snapshot = snapshot_of(member.store);
    assert_int_equal(qr_store_path(member.store, &id, path), 0);
    assert_int_equal(member.disk.disk.unlink(&member.disk.disk, path), 0);
    assert_int_equal(qr_store_restore(member.store, qr_buf_slice(&snapshot)), 0);
    qr_store_poll(member.store);
    struct qr_store_file again = merged_file(&member);
    assert_true(qr_block_id_is(&first.id, &again.id));
    assert_int_equal(first.bytes, again.bytes);
    assert_int_equal(first.hash, again.hash);
    qr_buf_release(&snapshot);

    /* Points of a minute: without both, and a file of nothing is a file. */
    confirm_all(member.store);
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        if (i != 1 && i != 2)
            forget(&member, &tables[i]);
    assert_true(qr_store_merge_due(member.store, SPAN_S, &id));
    assert_int_equal(qr_store_apply_merge(member.store, id.tier, id.shard, id.start_s), 0);
    struct qr_store_file points = merged_file(&member);
    for (unsigned i = 0; i < QR_COUNT(steps); i++)
        assert_false(has_chart(&member, &points, &tables[i]));
    confirm_all(member.store);
    assert_false(qr_store_merge_due(member.store, SPAN_S, &id));
    assert_sound_files(&member);
    release_tables(tables);
    stop(&member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_are_what_the_samples_say),
        cmocka_unit_test(late_samples_are_merged_again),
        cmocka_unit_test(a_replay_into_a_merged_span_changes_nothing),
        cmocka_unit_test(points_outlive_what_they_were_made_of),
        cmocka_unit_test(what_cannot_be_merged_is_refused),
        cmocka_unit_test(a_generation_is_of_one_file),
        cmocka_unit_test(each_failing_call_is_survived),
        cmocka_unit_test(a_cut_at_any_call_leaves_the_same_files),
        cmocka_unit_test(another_output_is_set_aside),
        cmocka_unit_test(a_merge_goes_through_snapshots),
        cmocka_unit_test(forgotten_charts_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
