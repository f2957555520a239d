#include "storage/files.h"

#include <stdlib.h>

#include "storage/internal.h"
#include "storage/tests/member.h"
#include "testing/cmocka.h"

/* A member whose jobs run on a loop, with what member 1 has: its snapshot and its files. */
struct late {
    uv_loop_t loop;
    struct member member;
};

static void open_late(struct late *late, struct member *from, struct qr_buf *snapshot)
{
    assert_int_equal(uv_loop_init(&late->loop), 0);
    memset(&late->member, 0, sizeof late->member);
    qr_memory_disk_init(&late->member.disk);
    for (const struct qr_memory_file *file = from->disk.files; file != NULL; file = file->next)
        assert_int_equal(
            qr_disk_write_file(&late->member.disk.disk, file->path, file->bytes, file->len), 0);
    const struct qr_store_config config = {.loop = &late->loop,
                                           .disk = &late->member.disk.disk,
                                           .dir = DIR,
                                           .window_s = HISTORY_WINDOW_S,
                                           .shard_metrics = 1};
    const struct qr_store_events events = {&late->member, on_sealed, on_bad};
    assert_int_equal(qr_store_open(&late->member.store, &config, &events), 0);
    *snapshot = snapshot_of(from->store);
}

static void drain(struct late *late)
{
    while (qr_store_busy(late->member.store) > 0)
        uv_run(&late->loop, UV_RUN_ONCE);
}

static void close_late(struct late *late)
{
    drain(late);
    stop(&late->member);
    assert_int_equal(uv_loop_close(&late->loop), 0);
}

static const struct qr_memory_file *first_file(struct member *member)
{
    return member->disk.files;
}

/* Nothing is read on the loop; what is there is used before it has been looked at. */
static void blocks_are_used_before_they_are_looked_for(void **state)
{
    (void)state;
    struct member steady;
    struct late late;
    struct qr_buf snapshot;
    struct qr_block_name missing[8];
    start(&steady);
    sealed_rows(&steady);
    open_late(&late, &steady, &snapshot);
    char lost[256];
    snprintf(lost, sizeof lost, "%s", first_file(&late.member)->path);
    assert_int_equal(late.member.disk.disk.unlink(&late.member.disk.disk, lost), 0);
    assert_int_equal(qr_store_restore(late.member.store, qr_buf_slice(&snapshot)), 0);
    assert_int_equal(qr_store_missing(late.member.store, missing, 8), 0);
    const struct qr_block_set *set = atomic_load(&qr_store_state(late.member.store)->manifest.set);
    assert_int_equal(set->n, 3);
    for (uint32_t i = 0; i < set->n; i++)
        assert_int_equal(atomic_load(&set->at[i]->health), QR_BLOCK_UNCHECKED);
    for (uint32_t i = 0; i < set->n; i++) {
        char path[QR_PATH_BYTES_MAX];
        assert_int_equal(qr_store_path(late.member.store, &set->at[i]->id, path), 0);
        int64_t t = set->at[i]->id.start_s + 5;
        if (strcmp(path, lost) != 0)
            assert_int_equal(cell_at(late.member.store, 1, t, 0), t);
    }
    drain(&late);
    assert_int_equal(qr_store_missing(late.member.store, missing, 8), 1);
    assert_non_null(strstr(lost, missing[0].name));
    assert_int_equal(late.member.n_failed, 1);
    qr_buf_release(&snapshot);
    close_late(&late);
    stop(&steady);
}

/* More than a batch, and a second restore while the first one's are looked for. */
static void a_restore_meets_the_check_of_another(void **state)
{
    (void)state;
    struct member steady;
    struct late late;
    struct qr_buf snapshot, early;
    struct qr_block_name missing[8];
    start(&steady);
    uint32_t host = add_host(steady.store, 1);
    uint32_t chart = add_chart(steady.store, host, "a", 1, 1);
    early = snapshot_of(steady.store);
    for (uint32_t w = 0; w < 2 * QR_FILES_BATCH + 3; w++) {
        put_row(steady.store, host, chart, (int64_t)w * HISTORY_WINDOW_S + 1, (uint32_t[]){w + 1},
                1);
        assert_int_equal(qr_store_apply_seal(steady.store, (int64_t)w * HISTORY_WINDOW_S), 0);
    }
    open_late(&late, &steady, &snapshot);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(
            qr_store_restore(late.member.store, qr_buf_slice(i % 2 == 0 ? &snapshot : &early)), 0);
        uv_run(&late.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(qr_store_restore(late.member.store, qr_buf_slice(&snapshot)), 0);
    drain(&late);
    const struct qr_block_set *set = atomic_load(&qr_store_state(late.member.store)->manifest.set);
    assert_int_equal(set->n, 2 * QR_FILES_BATCH + 3);
    for (uint32_t i = 0; i < set->n; i++)
        assert_int_equal(atomic_load(&set->at[i]->health), QR_BLOCK_SOUND);
    assert_int_equal(qr_store_missing(late.member.store, missing, 8), 0);
    assert_int_equal(late.member.n_failed, 0);
    qr_buf_release(&snapshot);
    qr_buf_release(&early);
    close_late(&late);
    stop(&steady);
}

/* What the manifest names stays, what a seal is about to write is written, the rest goes. */
static void a_sweep_takes_what_is_nobodys(void **state)
{
    (void)state;
    struct member steady;
    struct late late;
    struct qr_buf snapshot;
    start(&steady);
    sealed_rows(&steady);
    open_late(&late, &steady, &snapshot);
    struct qr_disk *disk = &late.member.disk.disk;
    assert_int_equal(qr_store_restore(late.member.store, qr_buf_slice(&snapshot)), 0);
    put_row(late.member.store, 1, 1, 3 * HISTORY_WINDOW_S + 1, (uint32_t[]){5, 5}, 2);
    struct qr_block_id id = {
        .start_s = 3 * HISTORY_WINDOW_S, .window_s = HISTORY_WINDOW_S, .generation = 0};
    char path[QR_PATH_BYTES_MAX];
    assert_int_equal(qr_store_path(late.member.store, &id, path), 0);
    assert_int_equal(qr_disk_write_file(disk, path, "of another life", 15), 0);
    id.start_s = 77 * HISTORY_WINDOW_S;
    assert_int_equal(qr_store_path(late.member.store, &id, path), 0);
    assert_int_equal(qr_disk_write_file(disk, path, "x", 1), 0);
    assert_int_equal(qr_disk_write_file(disk, DIR "/notes", "x", 1), 0);
    qr_store_sweep(late.member.store);
    assert_int_equal(qr_store_apply_seal(late.member.store, 3 * HISTORY_WINDOW_S), 0);
    drain(&late);
    assert_null(qr_memory_disk_get(&late.member.disk, path));
    assert_non_null(qr_memory_disk_get(&late.member.disk, DIR "/notes"));
    assert_int_equal(cell_at(late.member.store, 1, 3 * HISTORY_WINDOW_S + 1, 0), 5);
    assert_rows(&late.member);
    assert_int_equal(late.member.n_bad, 0);
    qr_buf_release(&snapshot);
    close_late(&late);
    stop(&steady);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_used_before_they_are_looked_for),
        cmocka_unit_test(a_restore_meets_the_check_of_another),
        cmocka_unit_test(a_sweep_takes_what_is_nobodys),
    };
    qr_log_open(2, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
