#include "storage/seal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "base/plant.h"
#include "storage/block_writer.h"
#include "storage/confirm.h"
#include "storage/internal.h"

/* ---- the job: on a worker ---- */

/* By host, then chart. */
static int compare_slabs(const void *a, const void *b)
{
    const struct qr_chart *ca = (*(struct qr_head_slab *const *)a)->chart;
    const struct qr_chart *cb = (*(struct qr_head_slab *const *)b)->chart;
    if (ca->host->id != cb->host->id)
        return ca->host->id < cb->host->id ? -1 : 1;
    return (ca->id > cb->id) - (ca->id < cb->id);
}

/* Each slab's rows, in the file's order. */
static int fill(struct qr_block_writer *writer, void *data)
{
    const struct qr_seal *seal = data;
    const struct qr_head_window *frozen = seal->frozen;
    struct qr_head_slab **slabs = qr_head_sorted(frozen);
    struct qr_grid grid = {0};
    int err = slabs != NULL ? 0 : UV_ENOMEM;
    if (err == 0 && frozen->n != 0)
        qsort(slabs, frozen->n, sizeof *slabs, compare_slabs);
    for (uint32_t i = 0; err == 0 && i < frozen->n; i++) {
        const struct qr_chart *chart = slabs[i]->chart;
        err = qr_head_copy(slabs[i], 0, slabs[i]->n_rows, &grid);
        if (err == 0)
            err = qr_block_writer_add_grid(writer, chart->host->id, chart->id, &grid);
    }
    qr_grid_release(&grid);
    free(slabs);
    return err;
}

static void run_seal(struct qr_job *job)
{
    struct qr_seal *seal = QR_CONTAINER_OF(job, struct qr_seal, job);
    const struct qr_store *store = seal->state->store;
    const struct qr_block_head head = {seal->id, seal->id.window_s};
    char path[QR_PATH_BYTES_MAX];
    struct qr_block_written written = {0};
    int err = qr_store_path(store, &seal->id, path);
    if (err == 0)
        err = qr_block_write(store->config.disk, path, &head, fill, seal, &written);
    seal->bytes = written.bytes;
    seal->hash = written.hash;
    seal->status = err;
}

/* ---- the end: on the loop ---- */

static void seal_free(struct qr_seal *seal)
{
    qr_list_remove(&seal->node);
    free(seal);
}

static void report(struct qr_store *store, const struct qr_seal *seal)
{
    unsigned held;
    char name[QR_BLOCK_NAME_BYTES];
    qr_block_format_name(&seal->id, name);
    if (seal->status != 0 && qr_log_allowed(&store->log_limit, 3, 60000, &held))
        qr_error("cannot write a block file, the samples stay in memory reason=\"%s\" file=%s",
                 qr_strerror(seal->status), name);
    if (store->events.sealed != NULL)
        store->events.sealed(store->events.data, &seal->id, seal->status, seal->bytes, seal->hash);
}

/* The file is there: readers get it before they lose the slabs. */
static int enter_file(struct qr_seal *seal)
{
    struct qr_state *state = seal->state;
    struct qr_block *block = qr_block_new(&seal->id, seal->bytes, seal->hash, QR_BLOCK_SOUND);
    int err = block != NULL ? qr_manifest_put(&state->manifest, block) : UV_ENOMEM;
    if (err == 0)
        qr_head_drop(&state->head, seal->frozen);
    return err;
}

static void on_sealed(struct qr_job *job)
{
    struct qr_seal *seal = QR_CONTAINER_OF(job, struct qr_seal, job);
    struct qr_state *state = seal->state;
    struct qr_store *store = state->store;
    seal->started = false;
    if (state->detached) { /* A restore came in between: this file may be anything's. */
        seal_free(seal);
        if (qr_list_empty(&state->seals) && qr_list_empty(&state->merges))
            qr_epoch_retire(&store->epoch, state, qr_state_release_later);
        qr_epoch_collect(&store->epoch);
        return;
    }
    if (seal->status == 0)
        seal->status = enter_file(seal);
    if (seal->status == 0)
        qr_list_remove(&seal->node); /* Written, whatever the owner asks meanwhile. */
    report(store, seal);
    if (seal->status != 0)
        return;
    struct qr_block_id id = seal->id;
    bool is_named = seal->is_named;
    uint64_t bytes = seal->named_bytes, hash = seal->named_hash;
    seal_free(seal);
    if (is_named)
        qr_confirm_decide(store, &id, bytes, hash);
    if (qr_block_id_end_s(&id) <= state->retain_s[id.tier]) {
        qr_retain_expire(state);
        qr_confirm_prune(state);
    }
    qr_merge_poll(state);
    qr_epoch_collect(&store->epoch);
}

/* Of two queues, so that two workers write the shards of a window, and one those of a shard. */
static struct qr_jobs *queue_of(const struct qr_seal *seal)
{
    return qr_files_queue(seal->state->store, seal->id.shard);
}

/* A generation before it has failed, and may not come after it: the lower one wins. */
static bool has_to_wait(const struct qr_seal *seal)
{
    QR_LIST_FOREACH (node, &seal->state->seals) {
        const struct qr_seal *before = QR_CONTAINER_OF(node, struct qr_seal, node);
        if (before == seal)
            break;
        if (before->id.shard == seal->id.shard && before->id.start_s == seal->id.start_s &&
            !before->started)
            return true;
    }
    return false;
}

static void start(struct qr_seal *seal)
{
    if (seal->started || has_to_wait(seal))
        return;
    seal->started = true;
    qr_jobs_add(queue_of(seal), &seal->job);
}

struct qr_seal *qr_seal_find(const struct qr_state *state, const struct qr_block_id *id)
{
    QR_LIST_FOREACH (node, &state->seals) {
        struct qr_seal *seal = QR_CONTAINER_OF(node, struct qr_seal, node);
        if (qr_block_id_is(&seal->id, id))
            return seal;
    }
    return NULL;
}

uint32_t qr_seal_next_generation(const struct qr_state *state, const struct qr_block_id *id)
{
    if (QR_PLANT(seal_twice))
        return 0;
    uint32_t generation = qr_manifest_next_generation(&state->manifest, id);
    uint32_t merged = qr_merge_next_generation(state, id);
    if (merged > generation)
        generation = merged;
    QR_LIST_FOREACH (node, &state->seals) {
        const struct qr_block_id *waiting = &QR_CONTAINER_OF(node, struct qr_seal, node)->id;
        struct qr_block_id same = *id;
        same.generation = waiting->generation;
        if (qr_block_id_is(waiting, &same) && waiting->generation >= generation)
            generation = waiting->generation + 1;
    }
    return generation;
}

struct qr_block_id qr_seal_next_id(const struct qr_state *state, int64_t window_start_s,
                                   uint32_t shard)
{
    struct qr_block_id id = {
        .shard = shard, .start_s = window_start_s, .window_s = state->head.window_s};
    id.generation = qr_seal_next_generation(state, &id);
    return id;
}

static int seal_shard(struct qr_state *state, struct qr_head_window *window)
{
    struct qr_seal *seal = calloc(1, sizeof *seal);
    if (seal == NULL)
        return UV_ENOMEM;
    qr_head_freeze(&state->head, window);
    seal->frozen = window;
    seal->state = state;
    seal->job.run = run_seal;
    seal->job.done = on_sealed;
    seal->id = qr_seal_next_id(state, window->start_s, window->shard);
    qr_list_add_tail(&state->seals, &seal->node);
    start(seal);
    return 0;
}

int qr_seal_start(struct qr_state *state, int64_t window_start_s)
{
    struct qr_head_window *window;
    int err = 0;
    while (err == 0 && (window = qr_head_window_from(&state->head, window_start_s, 0)) != NULL &&
           window->start_s == window_start_s)
        err = seal_shard(state, window);
    return err;
}

void qr_seal_retry(struct qr_state *state)
{
    QR_LIST_FOREACH (node, &state->seals) {
        struct qr_seal *seal = QR_CONTAINER_OF(node, struct qr_seal, node);
        start(seal);
    }
}

unsigned qr_seal_n_windows(const struct qr_state *state)
{
    unsigned n = 0;
    const struct qr_block_id *last = NULL;
    QR_LIST_FOREACH (node, &state->seals) {
        const struct qr_block_id *id = &QR_CONTAINER_OF(node, struct qr_seal, node)->id;
        n += last == NULL || last->start_s != id->start_s;
        last = id;
    }
    return n;
}

bool qr_seal_detach(struct qr_state *state)
{
    bool one_runs = false;
    QR_LIST_FOREACH (node, &state->seals) {
        struct qr_seal *seal = QR_CONTAINER_OF(node, struct qr_seal, node);
        if (seal->started && !qr_jobs_cancel(queue_of(seal), &seal->job))
            one_runs = true;
        else
            seal_free(seal);
    }
    state->detached = true;
    return one_runs;
}
