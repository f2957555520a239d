#include "storage/index_cache.h"

#include "storage/tests/block_file.h"

static struct content content = {{{.start_s = 1200, .window_s = 60}, 60}, 1, 3, 0};

static void the_least_recently_used_goes(void **state)
{
    (void)state;
    struct qr_memory_disk memory;
    struct qr_disk *disk = &memory.disk;
    struct qr_index_cache cache;
    struct qr_index_slot slots[4] = {0};
    struct qr_cached_index *entries[4], *again;
    qr_memory_disk_init(&memory);
    struct qr_block_written file = write_content(disk, &content);
    struct qr_block_index *index;
    assert_int_equal(qr_block_index_read(&index, disk, PATH, file.bytes, file.hash), 0);
    uint64_t one = index->memory_bytes;
    free(index);
    assert_int_equal(qr_index_cache_init(&cache, 2 * one), 0);
#define GET(i, entry)                                                                              \
    qr_index_cache_get(&cache, &slots[i], disk, PATH, file.bytes, file.hash, entry)

    assert_int_equal(qr_index_cache_get(&cache, &slots[0], disk, "/d/none", 1, 1, &again),
                     UV_ENOENT);
    assert_int_equal(cache.bytes, 0);
    for (unsigned i = 0; i < 4; i++) /* All are held: more than the budget. */
        assert_int_equal(GET(i, &entries[i]), 0);
    assert_int_equal(cache.n_reads, 4);
    assert_int_equal(cache.bytes, 4 * one);
    assert_int_equal(GET(1, &again), 0);
    assert_ptr_equal(again, entries[1]);
    assert_int_equal(entries[1]->index->n_charts, 3);
    for (unsigned i = 0; i < 4; i++)
        qr_index_cache_put(&cache, entries[i]);
    assert_int_equal(cache.bytes, 2 * one); /* 1 is held, 3 was used last. */
    qr_index_cache_put(&cache, again);
    assert_int_equal(cache.n_reads, 4);
    assert_int_equal(GET(1, &again), 0);
    qr_index_cache_put(&cache, again);
    assert_int_equal(GET(3, &again), 0);
    qr_index_cache_put(&cache, again);
    assert_int_equal(cache.n_reads, 4);
    assert_int_equal(GET(0, &again), 0);
    assert_int_equal(cache.n_reads, 5);
    assert_null(slots[1].entry);
    assert_non_null(slots[3].entry);

    /* A slot may go while its index is read. */
    qr_index_slot_drop(&slots[0]);
    assert_int_equal(again->index->n_charts, 3);
    qr_index_cache_put(&cache, again);
    for (unsigned i = 0; i < 4; i++)
        qr_index_slot_drop(&slots[i]);
    assert_int_equal(cache.bytes, 0);
    qr_index_cache_release(&cache);
    qr_memory_disk_release(&memory);
}

/* Readers that meet, over a budget that holds one of four: for the sanitizers. */
#define N_THREADS 4
static struct race {
    struct qr_index_cache cache;
    struct qr_index_slot slots[4];
    struct qr_memory_disk memory;
    struct qr_block_written file;
} race;

static void read_often(void *data)
{
    unsigned seed = *(unsigned *)data;
    for (unsigned i = 0; i < 500; i++) {
        struct qr_cached_index *entry;
        seed = seed * 1664525u + 1013904223u;
        assert_int_equal(qr_index_cache_get(&race.cache, &race.slots[seed >> 30], &race.memory.disk,
                                            PATH, race.file.bytes, race.file.hash, &entry),
                         0);
        assert_int_equal(entry->index->n_charts, 3);
        qr_index_cache_put(&race.cache, entry);
    }
}

static void readers_meet(void **state)
{
    (void)state;
    uv_thread_t threads[N_THREADS];
    unsigned seeds[N_THREADS] = {1, 2, 3, 4};
    qr_memory_disk_init(&race.memory);
    race.file = write_content(&race.memory.disk, &content);
    assert_int_equal(qr_index_cache_init(&race.cache, 300), 0);
    for (unsigned i = 0; i < N_THREADS; i++)
        assert_int_equal(uv_thread_create(&threads[i], read_often, &seeds[i]), 0);
    for (unsigned i = 0; i < N_THREADS; i++)
        uv_thread_join(&threads[i]);
    assert_true(race.cache.bytes <= 300);
    for (unsigned i = 0; i < 4; i++)
        qr_index_slot_drop(&race.slots[i]);
    qr_index_cache_release(&race.cache);
    qr_memory_disk_release(&race.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_goes),
        cmocka_unit_test(readers_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
