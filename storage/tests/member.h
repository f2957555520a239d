/* storage/tests/member.h — a member's store on a disk in memory, its events counted. */
#ifndef QR_STORAGE_TESTS_MEMBER_H
#define QR_STORAGE_TESTS_MEMBER_H

#include "base/log.h"
#include "storage/block_examine.h"
#include "storage/tests/history.h"
#include "testing/memory_disk.h"

#define DIR "/d"

struct member {
    struct qr_memory_disk disk;
    struct qr_store *store;
    unsigned n_sealed, n_failed, n_bad;
    char last_bad[64];
};

static inline void on_sealed(void *data, const struct qr_block_id *id, int status, uint64_t bytes,
                             uint64_t hash)
{
    struct member *member = data;
    if (status == 0)
        member->n_sealed++;
    else
        member->n_failed++;
}

static inline void on_bad(void *data, const char *name, const char *sentence)
{
    struct member *member = data;
    member->n_bad++;
    snprintf(member->last_bad, sizeof member->last_bad, "%s", name);
}

static inline int open_store(struct member *member)
{
    const struct qr_store_config config = {
        .disk = &member->disk.disk, .dir = DIR, .window_s = HISTORY_WINDOW_S, .shard_metrics = 2};
    const struct qr_store_events events = {member, on_sealed, on_bad};
    return qr_store_open(&member->store, &config, &events);
}

static inline void start(struct member *member)
{
    memset(member, 0, sizeof *member);
    qr_memory_disk_init(&member->disk);
    assert_int_equal(open_store(member), 0);
}

static inline void stop(struct member *member)
{
    qr_store_close(member->store);
    qr_memory_disk_release(&member->disk);
}

static inline struct qr_buf snapshot_of(struct qr_store *store)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_store_snapshot(store, &out), 0);
    return out;
}

static inline void assert_same_files(struct qr_memory_disk *a, struct qr_memory_disk *b)
{
    assert_int_equal(qr_memory_disk_n_files(a), qr_memory_disk_n_files(b));
    for (const struct qr_memory_file *file = a->files; file != NULL; file = file->next) {
        const struct qr_memory_file *other = qr_memory_disk_get(b, file->path);
        assert_non_null(other);
        assert_int_equal(file->len, other->len);
        assert_memory_equal(file->bytes, other->bytes, file->len);
    }
}

static inline void say_damage(void *data, uint64_t from, uint64_t to, const char *sentence)
{
    print_error("%s: bytes %llu to %llu: %s\n", (const char *)data, (unsigned long long)from,
                (unsigned long long)to, sentence);
}

/* Every block file is what a person would call sound, and has the name that it says it has. */
static inline void assert_sound_files(struct member *member)
{
    for (const struct qr_memory_file *file = member->disk.files; file; file = file->next) {
        const struct qr_block_exam exam = {say_damage, NULL, file->path};
        struct qr_block_id id;
        struct qr_block_index *index;
        uint64_t hash = qr_le_get(file->bytes + file->len - 16, 8);
        assert_int_equal(qr_block_examine(&member->disk.disk, file->path, &exam), 0);
        assert_int_equal(
            qr_block_index_read(&index, &member->disk.disk, file->path, file->len, hash), 0);
        assert_true(qr_block_parse_name(&id, strrchr(file->path, '/') + 1));
        assert_true(qr_block_id_is(&id, &index->head.id));
        free(index);
    }
}

static inline void assert_same_snapshots(struct qr_store *a, struct qr_store *b)
{
    struct qr_buf sa = snapshot_of(a), sb = snapshot_of(b);
    assert_int_equal(sa.len, sb.len);
    assert_memory_equal(sa.base, sb.base, sa.len);
    qr_buf_release(&sa);
    qr_buf_release(&sb);
}

/* Goes through a snapshot, into the same store or, as a restart does, into a new one. */
static inline void go_through_snapshot(struct member *member, bool restart)
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

/* Sealed windows of one chart. */
static inline void sealed_windows(struct member *member, int64_t n)
{
    uint32_t host = add_host(member->store, 1);
    uint32_t chart = add_chart(member->store, host, "a", 1, 2);
    for (int64_t t = 1; t < n * HISTORY_WINDOW_S; t++)
        put_row(member->store, host, chart, t, (uint32_t[]){(uint32_t)t, 7}, 2);
    for (int64_t w = 0; w < n; w++)
        assert_int_equal(qr_store_apply_seal(member->store, w * HISTORY_WINDOW_S), 0);
}

static inline void sealed_rows(struct member *member)
{
    sealed_windows(member, 3);
}

static inline void assert_rows(struct member *member)
{
    for (int64_t t = 1; t < 3 * HISTORY_WINDOW_S; t++)
        assert_int_equal(cell_at(member->store, 1, t, 0), t);
}

#endif
