#include "storage/forget.h"

#include <assert.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "storage/internal.h"

/* Charts that one call of qr_store_expired looks at: some 5 ms. */
#define LOOK_AT_MAX 32768u

#define CHART_OBSOLETE 1u

/* What the log said before the edge of retention is long ago. */
static bool is_long_ago(const struct qr_state *state, int64_t time_s)
{
    return time_s < atomic_load_explicit(&state->catalog.edge_s, memory_order_relaxed);
}

static bool is_away(const struct qr_state *state, const struct qr_host *host)
{
    return !atomic_load_explicit(&host->connected, memory_order_relaxed) &&
           is_long_ago(state, atomic_load_explicit(&host->state_changed_us, memory_order_relaxed) /
                                  1000000);
}

bool qr_forget_chart_is_due(const struct qr_state *state, const struct qr_chart *chart)
{
    int64_t watermark_s = atomic_load_explicit(&chart->watermark_s, memory_order_acquire);
    if (watermark_s != 0 && !is_long_ago(state, watermark_s))
        return false;
    if (atomic_load_explicit(&chart->def, memory_order_acquire)->flags & CHART_OBSOLETE)
        return true;
    int64_t told_s = atomic_load_explicit(&chart->told_s, memory_order_relaxed);
    return told_s != 0 ? is_long_ago(state, told_s) : is_away(state, chart->host);
}

bool qr_forget_host_is_due(const struct qr_state *state, const struct qr_host *host)
{
    return qr_host_first(host) == NULL && is_away(state, host);
}

static bool is_ephemeral(const struct qr_host *host)
{
    const struct qr_host_def *def = atomic_load_explicit(&host->def, memory_order_acquire);
    for (uint32_t i = 0; i < def->n_labels; i++)
        if (strcmp(def->labels[i].name, QR_LABEL_EPHEMERAL) == 0)
            return strcmp(def->labels[i].value, "true") == 0;
    return false;
}

bool qr_forget_ephemeral_is_due(const struct qr_host *host, int64_t before_s)
{
    int64_t changed_us = atomic_load_explicit(&host->state_changed_us, memory_order_relaxed);
    return !atomic_load_explicit(&host->connected, memory_order_relaxed) &&
           changed_us / 1000000 < before_s && is_ephemeral(host);
}

/* ---- removing ---- */

static int forget_chart(struct qr_state *state, struct qr_chart *chart, uint32_t *n)
{
    qr_head_forget(chart->head);
    int err = qr_catalog_remove_chart(&state->catalog, chart);
    *n += err == 0;
    return err;
}

static int forget_host(struct qr_state *state, struct qr_host *host, uint32_t *n)
{
    int err = 0;
    struct qr_chart *chart;
    while (err == 0 && (chart = qr_host_first(host)) != NULL)
        err = forget_chart(state, chart, n);
    if (err == 0)
        err = qr_catalog_remove_host(&state->catalog, host);
    *n += err == 0;
    return err;
}

int qr_store_apply_forget(struct qr_store *store, const struct qr_forgotten *what,
                          bool only_expired, uint32_t *n)
{
    struct qr_state *state = qr_store_state(store);
    *n = 0;
    if (what->chart == 0) {
        struct qr_host *host = qr_catalog_host(&state->catalog, what->host);
        if (host == NULL)
            return QR_E_UNKNOWN;
        return only_expired && !qr_forget_host_is_due(state, host) ? 0
                                                                   : forget_host(state, host, n);
    }
    struct qr_chart *chart = qr_catalog_chart(&state->catalog, what->chart);
    if (chart == NULL || chart->host->id != what->host)
        return QR_E_UNKNOWN;
    if (only_expired && !qr_forget_chart_is_due(state, chart))
        return 0;
    return forget_chart(state, chart, n);
}

int qr_store_apply_forget_away(struct qr_store *store, uint32_t host_id, int64_t before_s,
                               uint32_t *n)
{
    struct qr_state *state = qr_store_state(store);
    struct qr_host *host = qr_catalog_host(&state->catalog, host_id);
    *n = 0;
    if (host == NULL)
        return QR_E_UNKNOWN;
    return qr_forget_ephemeral_is_due(host, before_s) ? forget_host(state, host, n) : 0;
}

int qr_store_apply_forgotten(struct qr_store *store)
{
    struct qr_state *state = qr_store_state(store);
    int err = qr_head_compact(&state->head);
    if (err == 0)
        err = qr_state_drop_gaps(state);
    qr_epoch_collect(&store->epoch);
    return err;
}

/* ---- finding ---- */

static uint32_t expired_hosts(const struct qr_state *state, struct qr_forgotten *found, uint32_t n,
                              uint32_t max)
{
    const struct qr_store_hosts *hosts = qr_catalog_hosts(&state->catalog);
    uint32_t n_hosts = atomic_load_explicit(&hosts->n, memory_order_acquire);
    for (uint32_t i = 0; i < n_hosts && n < max; i++)
        if (qr_forget_host_is_due(state, hosts->at[i]))
            found[n++] = (struct qr_forgotten){hosts->at[i]->id, 0};
    return n;
}

uint32_t qr_store_ephemeral_away(const struct qr_store *store, int64_t before_s,
                                 struct qr_forgotten *found, uint32_t max)
{
    const struct qr_store_hosts *hosts = qr_catalog_hosts(&qr_store_state(store)->catalog);
    uint32_t n_hosts = atomic_load_explicit(&hosts->n, memory_order_acquire), n = 0;
    for (uint32_t i = 0; i < n_hosts && n < max; i++)
        if (qr_forget_ephemeral_is_due(hosts->at[i], before_s))
            found[n++] = (struct qr_forgotten){hosts->at[i]->id, 0};
    return n;
}

uint32_t qr_store_expired(const struct qr_store *store, uint32_t *after, struct qr_forgotten *found,
                          uint32_t max)
{
    const struct qr_state *state = qr_store_state(store);
    uint32_t n = 0;
    for (uint32_t seen = 0; seen < LOOK_AT_MAX && n < max; seen++) {
        const struct qr_chart *chart = qr_catalog_next(&state->catalog, after);
        if (chart == NULL) {
            *after = UINT32_MAX;
            return expired_hosts(state, found, n, max);
        }
        if (qr_forget_chart_is_due(state, chart))
            found[n++] = (struct qr_forgotten){chart->host->id, chart->id};
    }
    return n;
}
