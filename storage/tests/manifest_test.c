#include "storage/manifest.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

static unsigned n_doomed;

static void count_doomed(void *data, const struct qr_block *block)
{
    n_doomed += (unsigned)block->id.start_s / 60 + 100;
}

static struct qr_block_id id_of(int64_t start_s, uint32_t generation)
{
    return (struct qr_block_id){.start_s = start_s, .window_s = 60, .generation = generation};
}

static void put(struct qr_manifest *manifest, int64_t start_s, uint32_t generation, uint64_t hash)
{
    struct qr_block_id id = id_of(start_s, generation);
    struct qr_block *block = qr_block_new(&id, 10, hash, QR_BLOCK_SOUND);
    assert_non_null(block);
    assert_int_equal(qr_manifest_put(manifest, block), 0);
}

static bool has_ended(void *data, const struct qr_block *block)
{
    return qr_block_id_end_s(&block->id) <= *(const int64_t *)data;
}

static int expire(struct qr_manifest *manifest, int64_t edge_s)
{
    const struct qr_manifest_change change = {has_ended, &edge_s};
    return qr_manifest_change(manifest, NULL, &change);
}

static void blocks_are_kept_in_order(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_manifest manifest;
    qr_epoch_init(&epoch);
    qr_manifest_init(&manifest, &epoch);
    manifest.doomed = count_doomed;
    assert_null(qr_manifest_find(&manifest, &(struct qr_block_id){.start_s = 60, .window_s = 60}));
    assert_int_equal(qr_manifest_next_generation(
                         &manifest, &(struct qr_block_id){.start_s = 60, .window_s = 60}),
                     0);
    put(&manifest, 120, 0, 1);
    put(&manifest, 60, 1, 2);
    put(&manifest, 60, 0, 3);
    put(&manifest, 180, 0, 4);
    put(&manifest, 120, 0, 5); /* In place of the first. */
    const struct qr_block_set *set = atomic_load(&manifest.set);
    assert_int_equal(set->n, 4);
    static const uint64_t hashes[] = {3, 2, 5, 4};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(set->at[i]->hash, hashes[i]);
    assert_int_equal(
        qr_manifest_find(&manifest,
                         &(struct qr_block_id){.start_s = 60, .window_s = 60, .generation = 1})
            ->hash,
        2);
    assert_null(qr_manifest_find(
        &manifest, &(struct qr_block_id){.start_s = 60, .window_s = 60, .generation = 2}));
    assert_null(qr_manifest_find(&manifest, &(struct qr_block_id){.start_s = 240, .window_s = 60}));
    assert_int_equal(qr_manifest_next_generation(
                         &manifest, &(struct qr_block_id){.start_s = 60, .window_s = 60}),
                     2);
    assert_int_equal(qr_manifest_next_generation(
                         &manifest, &(struct qr_block_id){.start_s = 120, .window_s = 60}),
                     1);
    assert_int_equal(
        qr_manifest_next_generation(&manifest, &(struct qr_block_id){.start_s = 0, .window_s = 60}),
        0);

    qr_epoch_collect(&epoch);
    assert_int_equal(n_doomed, 0); /* What is replaced keeps its file. */
    int slot = qr_epoch_enter(&epoch);
    set = atomic_load(&manifest.set);
    assert_int_equal(expire(&manifest, 119), 0);
    assert_ptr_equal(atomic_load(&manifest.set), set);
    assert_int_equal(expire(&manifest, 180), 0);
    qr_epoch_collect(&epoch);
    assert_int_equal(n_doomed, 0); /* A reader has them. */
    assert_int_equal(set->at[0]->hash, 3);
    qr_epoch_leave(&epoch, slot);
    qr_epoch_collect(&epoch);
    assert_int_equal(n_doomed, 101 + 101 + 102);
    assert_int_equal(atomic_load(&manifest.set)->n, 1);
    assert_non_null(
        qr_manifest_find(&manifest, &(struct qr_block_id){.start_s = 180, .window_s = 60}));
    qr_epoch_release(&epoch);
    qr_manifest_release(&manifest);
}

/* Blocks of a tier that may reach a time, though their lengths differ. */
static void a_span_is_found_among_files_of_all_lengths(void **state)
{
    (void)state;
    static const struct qr_block_id ids[] = {
        {.start_s = 0, .window_s = 3600},
        {.start_s = 0, .window_s = 3600, .shard = 1},
        {.start_s = 3600, .window_s = 60},
        {.start_s = 3600, .window_s = 60, .shard = 1},
        {.start_s = 7200, .window_s = 60},
        {.start_s = 0, .window_s = 3600, .tier = 1},
        {.start_s = 7200, .window_s = 3600, .tier = 1},
    };
    static const struct {
        uint8_t tier;
        int64_t first_s;
        uint32_t at;
    } rows[] = {{0, -9000, 0}, {0, 0, 0},     {0, 3599, 0}, {0, 3600, 2}, {0, 7199, 2},
                {0, 7200, 4},  {0, 10800, 5}, {1, 3599, 5}, {1, 3600, 6}, {1, 10799, 6},
                {1, 10800, 7}, {2, 0, 7},     {2, 9999, 7}};
    struct qr_epoch epoch;
    struct qr_manifest manifest;
    qr_epoch_init(&epoch);
    qr_manifest_init(&manifest, &epoch);
    assert_int_equal(qr_block_set_from(NULL, 0, 0), 0);
    for (size_t i = 0; i < QR_COUNT(ids); i++) {
        const struct qr_block_id *id = &ids[(i * 4 + 3) % QR_COUNT(ids)]; /* In any order. */
        assert_int_equal(qr_manifest_put(&manifest, qr_block_new(id, 10, 1, QR_BLOCK_SOUND)), 0);
    }
    const struct qr_block_set *set = atomic_load(&manifest.set);
    for (size_t i = 0; i < QR_COUNT(ids); i++)
        assert_true(qr_block_id_is(&set->at[i]->id, &ids[i]));
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        assert_int_equal(qr_block_set_from(set, rows[i].tier, rows[i].first_s), rows[i].at);
    const struct qr_block_id other = {.start_s = 3600, .window_s = 60, .shard = 2};
    assert_int_equal(qr_manifest_next_generation(&manifest, &ids[3]), 1);
    assert_int_equal(qr_manifest_next_generation(&manifest, &other), 0);

    /* What ended goes, in whatever tier, and whatever lies before it. */
    assert_int_equal(expire(&manifest, 3660), 0);
    set = atomic_load(&manifest.set);
    assert_int_equal(set->n, 2);
    assert_true(qr_block_id_is(&set->at[0]->id, &ids[4]));
    assert_true(qr_block_id_is(&set->at[1]->id, &ids[6]));
    qr_epoch_release(&epoch);
    qr_manifest_release(&manifest);
}

/* One comes in the place of some: a reader sees those or that. */
static void a_change_is_seen_whole(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_manifest manifest;
    qr_epoch_init(&epoch);
    qr_manifest_init(&manifest, &epoch);
    for (int64_t start_s = 0; start_s < 300; start_s += 60)
        put(&manifest, start_s, 0, 1);
    const struct qr_block_set *before = atomic_load(&manifest.set);
    const struct qr_block_id id = {.start_s = 0, .window_s = 180, .generation = 1};
    int64_t edge_s = 180;
    const struct qr_manifest_change change = {has_ended, &edge_s};
    int slot = qr_epoch_enter(&epoch);
    assert_int_equal(
        qr_manifest_change(&manifest, qr_block_new(&id, 10, 2, QR_BLOCK_SOUND), &change), 0);
    assert_int_equal(before->n, 5);
    const struct qr_block_set *set = atomic_load(&manifest.set);
    assert_int_equal(set->n, 3);
    assert_int_equal(set->at[0]->hash, 2);
    assert_int_equal(set->at[1]->id.start_s, 180);
    assert_int_equal(set->window_max_s[0], 180);
    qr_epoch_leave(&epoch, slot);
    qr_epoch_release(&epoch);
    qr_manifest_release(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_kept_in_order),
        cmocka_unit_test(a_change_is_seen_whole),
        cmocka_unit_test(a_span_is_found_among_files_of_all_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
