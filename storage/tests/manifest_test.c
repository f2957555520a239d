#include "storage/manifest.h"

#include "testing/cmocka.h"

static unsigned n_doomed;

static void count_doomed(void *data, const struct qr_block *block)
{
    n_doomed += (unsigned)block->id.start_s / 60 + 100;
}

static void put(struct qr_manifest *manifest, int64_t start_s, uint32_t generation, uint64_t hash)
{
    struct qr_block_id id = {start_s, 60, generation};
    struct qr_block *block = qr_block_new(&id, 10, hash, QR_BLOCK_SOUND);
    assert_non_null(block);
    assert_int_equal(qr_manifest_put(manifest, block), 0);
}

static void blocks_are_kept_in_order(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_manifest manifest;
    qr_epoch_init(&epoch);
    qr_manifest_init(&manifest, &epoch);
    manifest.doomed = count_doomed;
    assert_null(qr_manifest_find(&manifest, 60, 0));
    assert_int_equal(qr_manifest_next_generation(&manifest, 60), 0);
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
    assert_int_equal(qr_manifest_find(&manifest, 60, 1)->hash, 2);
    assert_null(qr_manifest_find(&manifest, 60, 2));
    assert_null(qr_manifest_find(&manifest, 240, 0));
    assert_int_equal(qr_manifest_next_generation(&manifest, 60), 2);
    assert_int_equal(qr_manifest_next_generation(&manifest, 120), 1);
    assert_int_equal(qr_manifest_next_generation(&manifest, 0), 0);

    qr_epoch_collect(&epoch);
    assert_int_equal(n_doomed, 0); /* What is replaced keeps its file. */
    int slot = qr_epoch_enter(&epoch);
    set = atomic_load(&manifest.set);
    assert_int_equal(qr_manifest_expire(&manifest, 119), 0);
    assert_ptr_equal(atomic_load(&manifest.set), set);
    assert_int_equal(qr_manifest_expire(&manifest, 180), 0);
    qr_epoch_collect(&epoch);
    assert_int_equal(n_doomed, 0); /* A reader has them. */
    assert_int_equal(set->at[0]->hash, 3);
    qr_epoch_leave(&epoch, slot);
    qr_epoch_collect(&epoch);
    assert_int_equal(n_doomed, 101 + 101 + 102);
    assert_int_equal(atomic_load(&manifest.set)->n, 1);
    assert_non_null(qr_manifest_find(&manifest, 180, 0));
    qr_epoch_release(&epoch);
    qr_manifest_release(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_kept_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
