#include "storage/state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "storage/confirm.h"
#include "storage/internal.h"

int qr_state_new(struct qr_state **state, struct qr_store *store, struct qr_epoch *epoch,
                 uint32_t window_s)
{
    struct qr_state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return UV_ENOMEM;
    s->store = store;
    s->epoch = epoch;
    if (qr_catalog_init(&s->catalog, epoch) != 0) {
        free(s);
        return UV_ENOMEM;
    }
    qr_head_init(&s->head, epoch, window_s);
    qr_manifest_init(&s->manifest, epoch);
    qr_list_init(&s->seals);
    qr_list_init(&s->merges);
    qr_list_init(&s->votes);
    *state = s;
    return 0;
}

void qr_state_set_epoch(struct qr_state *state, struct qr_epoch *epoch)
{
    state->epoch = epoch;
    qr_catalog_set_epoch(&state->catalog, epoch);
    state->head.epoch = epoch;
    state->manifest.epoch = epoch;
}

void qr_state_release(void *memory)
{
    struct qr_state *state = memory;
    assert(qr_list_empty(&state->seals));
    qr_merge_release(state);
    qr_catalog_release(&state->catalog);
    qr_head_release(&state->head);
    qr_manifest_release(&state->manifest);
    qr_confirm_release(state);
    free(atomic_load(&state->gaps));
    free(state);
}

struct release {
    struct qr_job job;
    struct qr_state *state;
};

static void run_release(struct qr_job *job)
{
    qr_state_release(QR_CONTAINER_OF(job, struct release, job)->state);
}

static void on_released(struct qr_job *job)
{
    free(QR_CONTAINER_OF(job, struct release, job));
}

void qr_state_release_later(void *memory)
{
    struct qr_state *state = memory;
    struct release *release = state->store->closing ? NULL : calloc(1, sizeof *release);
    if (release == NULL) {
        qr_state_release(state);
        return;
    }
    release->state = state;
    release->job.run = run_release;
    release->job.done = on_released;
    qr_jobs_add(&state->store->chores, &release->job);
}

int qr_state_add_gap(struct qr_state *state, const struct qr_gap *gap)
{
    struct qr_gap_list *list = atomic_load_explicit(&state->gaps, memory_order_relaxed);
    uint32_t n = list != NULL ? atomic_load_explicit(&list->n, memory_order_relaxed) : 0;
    if (n == QR_GAPS_MAX)
        return QR_E_LIMIT;
    if (list == NULL || n == list->capacity) {
        uint32_t capacity = n != 0 ? n * 2 : 16;
        struct qr_gap_list *grown = malloc(sizeof *grown + capacity * sizeof grown->gaps[0]);
        if (grown == NULL)
            return UV_ENOMEM;
        atomic_init(&grown->n, n);
        grown->capacity = capacity;
        if (n != 0)
            memcpy(grown->gaps, list->gaps, n * sizeof grown->gaps[0]);
        atomic_store(&state->gaps, grown);
        qr_epoch_retire(state->epoch, list, free);
        list = grown;
    }
    list->gaps[n] = *gap;
    atomic_store_explicit(&list->n, n + 1, memory_order_release);
    return 0;
}

/* Is it newer than that edge, or of a chart that is there? */
typedef bool gap_test(const struct qr_state *state, const struct qr_gap *gap, int64_t edge_s);

static bool is_newer(const struct qr_state *state, const struct qr_gap *gap, int64_t edge_s)
{
    return gap->before_s > edge_s;
}

static bool has_chart(const struct qr_state *state, const struct qr_gap *gap, int64_t edge_s)
{
    return qr_catalog_chart(&state->catalog, gap->chart) != NULL;
}

static int keep_gaps(struct qr_state *state, gap_test *stays, int64_t edge_s)
{
    struct qr_gap_list *old = atomic_load_explicit(&state->gaps, memory_order_relaxed);
    uint32_t n_old = old != NULL ? atomic_load_explicit(&old->n, memory_order_relaxed) : 0, n = 0;
    for (uint32_t i = 0; i < n_old; i++)
        n += stays(state, &old->gaps[i], edge_s);
    if (n == n_old)
        return 0;
    struct qr_gap_list *list = malloc(sizeof *list + n * sizeof list->gaps[0]);
    if (list == NULL)
        return UV_ENOMEM;
    list->capacity = n;
    atomic_init(&list->n, n);
    n = 0;
    for (uint32_t i = 0; i < n_old; i++)
        if (stays(state, &old->gaps[i], edge_s))
            list->gaps[n++] = old->gaps[i];
    atomic_store(&state->gaps, list);
    qr_epoch_retire(state->epoch, old, free);
    return 0;
}

int qr_state_expire_gaps(struct qr_state *state, int64_t edge_s)
{
    return keep_gaps(state, is_newer, edge_s);
}

int qr_state_drop_gaps(struct qr_state *state)
{
    return keep_gaps(state, has_chart, 0);
}
