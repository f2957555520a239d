#include "storage/files.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "storage/internal.h"

/* Files that a sweep looks at; if there are more, the rest is for the sweep of the next start. */
#define SWEEP_MAX 65536u

struct qr_jobs *qr_files_queue(struct qr_store *store, uint32_t shard)
{
    return shard % 2 == 0 ? &store->jobs : &store->odd_jobs;
}

/* ---- one file that nobody needs any more ---- */

struct removal {
    struct qr_job job;
    struct qr_disk *disk;
    char path[QR_PATH_BYTES_MAX];
};

static void run_removal(struct qr_job *job)
{
    struct removal *removal = QR_CONTAINER_OF(job, struct removal, job);
    removal->disk->unlink(removal->disk, removal->path);
}

static void on_removed(struct qr_job *job)
{
    free(QR_CONTAINER_OF(job, struct removal, job));
}

void qr_files_remove(struct qr_store *store, const struct qr_block_id *id)
{
    struct removal *removal = store->closing ? NULL : calloc(1, sizeof *removal);
    if (removal == NULL)
        return;
    if (qr_store_path(store, id, removal->path) != 0) {
        free(removal);
        return;
    }
    removal->disk = store->config.disk;
    removal->job.run = run_removal;
    removal->job.done = on_removed;
    qr_jobs_add(qr_files_queue(store, id->shard), &removal->job);
}

/* ---- the sweep ---- */

struct sweep {
    struct qr_job job;
    struct qr_store *store;
    struct qr_block_id *ids;
    size_t n, capacity;
};

/* Worker.  Names that are no blocks' are left alone. */
static void note_name(void *data, const char *name)
{
    struct sweep *sweep = data;
    struct qr_block_id id;
    if (sweep->n == SWEEP_MAX || !qr_block_parse_name(&id, name))
        return;
    if (sweep->n == sweep->capacity) {
        size_t capacity = sweep->capacity != 0 ? 2 * sweep->capacity : 256;
        struct qr_block_id *ids = realloc(sweep->ids, capacity * sizeof *ids);
        if (ids == NULL)
            return;
        sweep->ids = ids;
        sweep->capacity = capacity;
    }
    sweep->ids[sweep->n++] = id;
}

static void run_sweep(struct qr_job *job)
{
    struct sweep *sweep = QR_CONTAINER_OF(job, struct sweep, job);
    struct qr_disk *disk = sweep->store->config.disk;
    disk->list(disk, sweep->store->dir, note_name, sweep);
}

static void on_swept(struct qr_job *job)
{
    struct sweep *sweep = QR_CONTAINER_OF(job, struct sweep, job);
    const struct qr_state *state = qr_store_state(sweep->store);
    unsigned n = 0;
    for (size_t i = 0; i < sweep->n; i++) {
        const struct qr_block_id *id = &sweep->ids[i];
        if (qr_manifest_find(&state->manifest, id) != NULL || qr_seal_find(state, id) != NULL ||
            qr_merge_find(state, id) != NULL)
            continue;
        qr_files_remove(sweep->store, id);
        n++;
    }
    if (n != 0)
        qr_info("block files that the manifest does not name are removed n=%u", n);
    free(sweep->ids);
    free(sweep);
}

void qr_store_sweep(struct qr_store *store)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (sweep == NULL)
        return; /* after the next start */
    sweep->store = store;
    sweep->job.run = run_sweep;
    sweep->job.done = on_swept;
    qr_jobs_add(&store->chores, &sweep->job);
}

/* ---- which of the manifest's are here ---- */

void qr_files_init(struct qr_files *files, struct qr_store *store)
{
    *files = (struct qr_files){.store = store};
}

static void run_check(struct qr_job *job)
{
    struct qr_files *files = QR_CONTAINER_OF(job, struct qr_files, job);
    char path[QR_PATH_BYTES_MAX];
    for (unsigned i = 0; i < files->n; i++) {
        struct qr_files_checked *one = &files->batch[i];
        one->status = qr_store_path(files->store, &one->id, path);
        if (one->status == 0)
            one->status = qr_block_check(files->store->config.disk, path, one->bytes, one->hash);
    }
}

/* Of a block that is still unchecked: it may have been replaced or dropped meanwhile. */
static void mark(struct qr_files *files, const struct qr_files_checked *one)
{
    struct qr_store *store = files->store;
    struct qr_block *block = qr_manifest_find(&qr_store_state(store)->manifest, &one->id);
    if (block == NULL || block->bytes != one->bytes || block->hash != one->hash)
        return;
    int unchecked = QR_BLOCK_UNCHECKED;
    int found = one->status == 0 ? QR_BLOCK_SOUND : QR_BLOCK_MISSING;
    if (!atomic_compare_exchange_strong(&block->health, &unchecked, found) || one->status == 0)
        return;
    block->reported = true;
    if (store->events.sealed != NULL)
        store->events.sealed(store->events.data, &block->id, QR_E_UNKNOWN, block->bytes,
                             block->hash);
}

static void on_checked(struct qr_job *job)
{
    struct qr_files *files = QR_CONTAINER_OF(job, struct qr_files, job);
    for (unsigned i = 0; i < files->n; i++)
        mark(files, &files->batch[i]);
    files->busy = false;
    qr_files_check(files);
}

void qr_files_check(struct qr_files *files)
{
    const struct qr_block_set *set = atomic_load(&qr_store_state(files->store)->manifest.set);
    if (files->busy)
        return; /* it goes on with what is there then */
    files->n = 0;
    for (uint32_t i = 0; set != NULL && i < set->n && files->n < QR_FILES_BATCH; i++) {
        const struct qr_block *block = set->at[i];
        if (atomic_load(&block->health) == QR_BLOCK_UNCHECKED)
            files->batch[files->n++] = (struct qr_files_checked){
                .id = block->id, .bytes = block->bytes, .hash = block->hash};
    }
    if (files->n == 0)
        return;
    files->busy = true;
    files->job.run = run_check;
    files->job.done = on_checked;
    qr_jobs_add(&files->store->chores, &files->job);
}
