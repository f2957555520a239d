#include "storage/scrub.h"

#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "storage/internal.h"

#define FILE_BYTES 65536 /* What finding and opening a file counts for. */

void qr_scrub_init(struct qr_scrub *scrub, struct qr_store *store)
{
    *scrub = (struct qr_scrub){.store = store};
    qr_scrub_restart(scrub);
}

void qr_scrub_restart(struct qr_scrub *scrub)
{
    scrub->rest = 0;
    scrub->n_files = 0;
    scrub->last = (struct qr_block_id){.start_s = -1};
}

static void run_scrub(struct qr_job *job)
{
    struct qr_scrub *scrub = QR_CONTAINER_OF(job, struct qr_scrub, job);
    char path[QR_PATH_BYTES_MAX];
    scrub->status = qr_store_path(scrub->store, &scrub->id, path);
    if (scrub->status == 0)
        scrub->status = qr_block_verify(scrub->store->config.disk, path, scrub->bytes, scrub->hash);
}

/* A query that meets UV_EIO fails and may be asked again; a sector that stays bad is found here. */
static bool is_damage(int status)
{
    return status == UV_ENOENT || status == UV_EIO || status == QR_E_CORRUPT;
}

static void scrub_next(struct qr_scrub *scrub);

static void on_scrubbed(struct qr_job *job)
{
    struct qr_scrub *scrub = QR_CONTAINER_OF(job, struct qr_scrub, job);
    struct qr_store *store = scrub->store;
    scrub->busy = false;
    /* It may have been replaced or dropped meanwhile. */
    struct qr_block *block = is_damage(scrub->status)
                                 ? qr_manifest_find(&qr_store_state(store)->manifest, &scrub->id)
                                 : NULL;
    if (block != NULL && block->bytes == scrub->bytes && block->hash == scrub->hash)
        qr_store_note_damage(store, block, scrub->status);
    if (scrub->owed_bytes < QR_SCRUB_BYTES_A_STEP)
        scrub_next(scrub);
}

/* The first block behind the last one that is here. */
static const struct qr_block *next_block(const struct qr_scrub *scrub)
{
    const struct qr_block_set *set = atomic_load(&qr_store_state(scrub->store)->manifest.set);
    for (uint32_t i = 0; set != NULL && i < set->n; i++) {
        bool is_behind = qr_block_id_compare(&set->at[i]->id, &scrub->last) > 0;
        if (is_behind && qr_block_is_here(atomic_load(&set->at[i]->health)))
            return set->at[i];
    }
    return NULL;
}

static void end_round(struct qr_scrub *scrub)
{
    if (scrub->last.start_s < 0)
        return; /* There was no file yet. */
    qr_info("all block files were read through n=%u", scrub->n_files);
    qr_scrub_restart(scrub);
    scrub->rest = QR_SCRUB_EVERY_S;
}

static void scrub_next(struct qr_scrub *scrub)
{
    const struct qr_block *block = next_block(scrub);
    if (block == NULL) {
        end_round(scrub);
        return;
    }
    if (atomic_load(&block->health) == QR_BLOCK_UNCHECKED)
        return; /* Its footer is read first (storage/files). */
    scrub->id = scrub->last = block->id;
    scrub->bytes = block->bytes;
    scrub->hash = block->hash;
    scrub->owed_bytes += (int64_t)block->bytes + FILE_BYTES;
    scrub->n_files++;
    scrub->busy = true;
    scrub->job.run = run_scrub;
    scrub->job.done = on_scrubbed;
    qr_jobs_add(&scrub->store->jobs, &scrub->job);
}

void qr_scrub_step(struct qr_scrub *scrub)
{
    scrub->owed_bytes -=
        scrub->owed_bytes < QR_SCRUB_BYTES_A_STEP ? scrub->owed_bytes : QR_SCRUB_BYTES_A_STEP;
    if (scrub->rest > 0)
        scrub->rest--;
    else if (!scrub->busy && scrub->owed_bytes == 0)
        scrub_next(scrub);
}
