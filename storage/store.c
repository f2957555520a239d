#include "storage/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "storage/internal.h"

#define DAY_S 86400

/* ---- life ---- */

int qr_store_open(struct qr_store **store, const struct qr_store_config *config,
                  const struct qr_store_events *events)
{
    struct qr_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return UV_ENOMEM;
    s->config = *config;
    if (events != NULL)
        s->events = *events;
    s->dir = strdup(config->dir);
    s->config.dir = s->dir;
    qr_epoch_init(&s->epoch);
    struct qr_state *state = NULL;
    int err = s->dir != NULL ? qr_state_new(&state, s, &s->epoch, config->window_s) : UV_ENOMEM;
    if (err != 0) {
        free(s->dir);
        free(s);
        return err;
    }
    atomic_init(&s->state, state);
    *store = s;
    return 0;
}

void qr_store_close(struct qr_store *store)
{
    assert(qr_store_busy(store) == 0);
    qr_epoch_release(&store->epoch);
    qr_state_free(qr_store_state(store));
    free(store->dir);
    free(store);
}

unsigned qr_store_busy(const struct qr_store *store)
{
    return 0;
}

/* ---- writing ---- */

int qr_store_apply_host(struct qr_store *store, struct qr_host_def *def, uint32_t *id)
{
    struct qr_host *host;
    int err = qr_catalog_put_host(&qr_store_state(store)->catalog, def, &host);
    if (err == 0)
        *id = host->id;
    qr_epoch_collect(&store->epoch);
    return err;
}

int qr_store_apply_chart(struct qr_store *store, uint32_t host_id, struct qr_chart_def *def,
                         uint32_t *id)
{
    struct qr_state *state = qr_store_state(store);
    struct qr_host *host = qr_catalog_host(&state->catalog, host_id);
    if (host == NULL) {
        free(def);
        return QR_E_UNKNOWN;
    }
    struct qr_chart *chart;
    int err = qr_catalog_put_chart(&state->catalog, host, def, &chart);
    if (err == 0)
        *id = chart->id;
    qr_epoch_collect(&store->epoch);
    return err;
}

static void note_times(struct qr_chart *chart, int64_t end_s, bool stored)
{
    int64_t first = atomic_load_explicit(&chart->first_s, memory_order_relaxed);
    if (stored && (first == 0 || end_s < first))
        atomic_store_explicit(&chart->first_s, end_s, memory_order_relaxed);
    /* Last, and with release: who sees this watermark sees the cells up to it. */
    if (end_s > atomic_load_explicit(&chart->watermark_s, memory_order_relaxed))
        atomic_store_explicit(&chart->watermark_s, end_s, memory_order_release);
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer: no need for a locked addition. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static bool is_expired(const struct qr_state *state, int64_t end_s)
{
    return qr_head_window_of(&state->head, end_s) + state->head.window_s <= state->retain_s;
}

int qr_store_apply_row(struct qr_store *store, uint32_t host, uint32_t chart_id, int64_t now_s,
                       int64_t end_s, const uint32_t *values, uint32_t n, uint32_t *n_new)
{
    *n_new = 0;
    struct qr_state *state = qr_store_state(store);
    struct qr_chart *chart = qr_catalog_chart(&state->catalog, chart_id);
    if (chart == NULL || chart->host->id != host)
        return QR_E_UNKNOWN;
    const struct qr_chart_def *def = atomic_load_explicit(&chart->def, memory_order_relaxed);
    if (n > def->n_dims || end_s < 1 || end_s > QR_TIME_S_MAX || end_s - DAY_S > now_s)
        return QR_E_LIMIT;
    uint32_t n_old = 0;
    if (!is_expired(state, end_s)) {
        uint32_t step = def->update_every != 0 ? def->update_every : 1;
        int err =
            qr_head_put(&state->head, chart, step, def->n_dims, end_s, values, n, n_new, &n_old);
        if (err != 0)
            return err;
    }
    count(&state->n_rows, 1);
    count(&state->n_samples, *n_new);
    count(&state->n_duplicates, n_old);
    count(&chart->n_samples, *n_new);
    note_times(chart, end_s, *n_new != 0);
    return 0;
}

int qr_store_apply_gap(struct qr_store *store, const struct qr_gap *gap)
{
    struct qr_state *state = qr_store_state(store);
    if (qr_catalog_chart(&state->catalog, gap->chart) == NULL)
        return QR_E_UNKNOWN;
    if (gap->after_s < 0 || gap->before_s <= gap->after_s || gap->before_s > QR_TIME_S_MAX)
        return QR_E_LIMIT;
    int err = qr_state_add_gap(state, gap);
    qr_epoch_collect(&store->epoch);
    return err;
}

int qr_store_apply_connected(struct qr_store *store, uint32_t host_id, bool connected,
                             int64_t time_us)
{
    struct qr_host *host = qr_catalog_host(&qr_store_state(store)->catalog, host_id);
    if (host == NULL)
        return QR_E_UNKNOWN;
    atomic_store_explicit(&host->connected, connected, memory_order_relaxed);
    atomic_store_explicit(&host->state_changed_us, time_us, memory_order_relaxed);
    return 0;
}

unsigned qr_store_sealable(const struct qr_store *store, int64_t before_s, int64_t *starts,
                           unsigned max)
{
    const struct qr_head *head = &qr_store_state(store)->head;
    unsigned n = 0;
    for (uint32_t i = 0; i < head->n_windows && n < max; i++)
        if (head->windows[i].start_s + head->window_s <= before_s)
            starts[n++] = head->windows[i].start_s;
    return n;
}

/* ---- reading ---- */

int qr_store_enter(struct qr_store *store)
{
    return qr_epoch_enter(&store->epoch);
}

void qr_store_leave(struct qr_store *store, int slot)
{
    qr_epoch_leave(&store->epoch, slot);
}

void qr_store_retire(struct qr_store *store, void *memory, void (*release)(void *memory))
{
    qr_epoch_retire(&store->epoch, memory, release);
    qr_epoch_collect(&store->epoch);
}

uint32_t qr_store_n_hosts(const struct qr_store *store)
{
    return qr_catalog_n_hosts(&qr_store_state(store)->catalog);
}

struct qr_host *qr_store_host_at(const struct qr_store *store, uint32_t i)
{
    return qr_catalog_host(&qr_store_state(store)->catalog, i + 1);
}

struct qr_host *qr_store_host_by_id(const struct qr_store *store, uint32_t id)
{
    return qr_catalog_host(&qr_store_state(store)->catalog, id);
}

struct qr_host *qr_store_host_by_guid(const struct qr_store *store, const struct qr_guid *guid)
{
    return qr_catalog_host_by_guid(&qr_store_state(store)->catalog, guid);
}

struct qr_chart *qr_store_chart_by_id(const struct qr_store *store, uint32_t id)
{
    return qr_catalog_chart(&qr_store_state(store)->catalog, id);
}

struct qr_chart *qr_store_chart_find(const struct qr_store *store, const struct qr_host *host,
                                     struct qr_slice id_or_name)
{
    return qr_catalog_find(host, id_or_name);
}

unsigned qr_store_gaps(const struct qr_store *store, uint32_t chart, struct qr_gap *gaps,
                       unsigned max)
{
    const struct qr_gap_list *list = atomic_load(&qr_store_state(store)->gaps);
    uint32_t n = list != NULL ? atomic_load_explicit(&list->n, memory_order_acquire) : 0;
    unsigned found = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (list->gaps[i].chart != chart)
            continue;
        if (found < max)
            gaps[found] = list->gaps[i];
        found++;
    }
    return found;
}

void qr_store_get_stats(const struct qr_store *store, struct qr_store_stats *stats)
{
    const struct qr_state *state = qr_store_state(store);
    *stats = (struct qr_store_stats){
        .n_hosts = qr_catalog_n_hosts(&state->catalog),
        .n_charts = qr_catalog_n_charts(&state->catalog),
        .n_dims = atomic_load_explicit(&state->catalog.n_dims, memory_order_relaxed),
        .n_samples = atomic_load_explicit(&state->n_samples, memory_order_relaxed),
        .n_duplicates = atomic_load_explicit(&state->n_duplicates, memory_order_relaxed),
        .n_rows = atomic_load_explicit(&state->n_rows, memory_order_relaxed),
        .head_bytes = atomic_load_explicit(&state->head.bytes, memory_order_relaxed),
    };
}
