#include "storage/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/plant.h"
#include "storage/confirm.h"
#include "storage/entry.h"
#include "storage/internal.h"
#include "storage/ledger.h"
#include "storage/snapshot.h"

#define DAY_S 86400

/* ---- names ---- */

static int path_of(const struct qr_store *store, const char *name, const char *suffix, char *path,
                   size_t len)
{
    int n = snprintf(path, len, "%s/%s%s", store->dir, name, suffix);
    return n > 0 && (size_t)n < len ? 0 : UV_ENAMETOOLONG;
}

int qr_store_path(const struct qr_store *store, const struct qr_block_id *id,
                  char path[QR_PATH_BYTES_MAX])
{
    char name[QR_BLOCK_NAME_BYTES];
    qr_block_format_name(id, name);
    return path_of(store, name, "", path, QR_PATH_BYTES_MAX);
}

/* Called when no reader sees the block. */
static void remove_file(void *data, const struct qr_block *block)
{
    qr_files_remove(data, &block->id);
}

static int new_state(struct qr_store *store, struct qr_epoch *epoch, struct qr_state **state)
{
    int err = qr_state_new(state, store, epoch, store->config.window_s);
    if (err != 0)
        return err;
    (*state)->manifest.doomed = remove_file;
    (*state)->manifest.data = store;
    return 0;
}

/* ---- life ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* Removes what a crash left half written. */
static void remove_tmp(void *data, const char *name)
{
    struct qr_store *store = data;
    char path[QR_PATH_BYTES_MAX];
    if (ends_with(name, ".tmp") && path_of(store, name, "", path, sizeof path) == 0)
        store->config.disk->unlink(store->config.disk, path);
}

int qr_store_open(struct qr_store **store, const struct qr_store_config *config,
                  const struct qr_store_events *events)
{
    if (config->window_s == 0 || config->window_s > QR_WINDOW_S_MAX)
        return QR_E_CONFIG;
    struct qr_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return UV_ENOMEM;
    s->config = *config;
    if (s->config.shard_metrics == 0)
        s->config.shard_metrics = QR_STORE_SHARD_METRICS;
    if (events != NULL)
        s->events = *events;
    s->dir = strdup(config->dir);
    s->config.dir = s->dir;
    qr_epoch_init(&s->epoch);
    qr_jobs_init(&s->jobs, config->loop);
    qr_jobs_init(&s->odd_jobs, config->loop);
    qr_jobs_init(&s->chores, config->loop);
    qr_files_init(&s->files, s);
    qr_scrub_init(&s->scrub, s);
    qr_tiler_init(&s->tiler, &s->epoch, config->loop);
    struct qr_state *state = NULL;
    uint64_t index_bytes = config->index_bytes != 0 ? config->index_bytes : QR_INDEX_BYTES_MAX;
    int err = qr_index_cache_init(&s->indexes, index_bytes);
    if (err != 0) {
        free(s->dir);
        free(s);
        return err;
    }
    err = s->dir != NULL ? 0 : UV_ENOMEM;
    if (err == 0)
        err = config->disk->list(config->disk, s->dir, remove_tmp, s);
    if (err == 0)
        err = new_state(s, &s->epoch, &state);
    if (err != 0) {
        qr_index_cache_release(&s->indexes);
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
    store->closing = true;
    struct qr_state *state = qr_store_state(store);
    qr_seal_detach(state);
    qr_merge_detach(state);
    qr_tiler_release(&store->tiler);
    qr_epoch_release(&store->epoch);
    qr_state_release(state);
    qr_index_cache_release(&store->indexes);
    free(store->dir);
    free(store);
}

unsigned qr_store_busy(const struct qr_store *store)
{
    return store->jobs.n + store->odd_jobs.n + store->chores.n + store->tiler.jobs.n;
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
    uint64_t n_before = atomic_load(&state->catalog.n_dims);
    int err = qr_catalog_put_chart(&state->catalog, host, def, &chart);
    if (err == 0) {
        *id = chart->id;
        qr_shards_note(&state->shards, store->config.shard_metrics, host,
                       atomic_load(&state->catalog.n_dims) - n_before);
    }
    qr_epoch_collect(&store->epoch);
    return err;
}

const char *qr_store_refusal(const struct qr_host *host, const struct qr_chart_def *def)
{
    return qr_catalog_refusal(host, def);
}

static void note_times(struct qr_chart *chart, int64_t end_s, bool stored)
{
    int64_t first = qr_chart_first_s(chart);
    if (stored && (first == 0 || end_s < first))
        atomic_store_explicit(&chart->oldest_s, end_s, memory_order_relaxed);
    /* Last, and with release: who sees this watermark sees the cells up to it. */
    if (end_s > atomic_load_explicit(&chart->watermark_s, memory_order_relaxed))
        atomic_store_explicit(&chart->watermark_s, end_s, memory_order_release);
    else if (stored)
        atomic_fetch_add_explicit(&chart->n_late, 1, memory_order_relaxed);
    if (end_s > atomic_load_explicit(&chart->host->watermark_s, memory_order_relaxed))
        atomic_store_explicit(&chart->host->watermark_s, end_s, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer: no need for a locked addition. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static bool is_expired(const struct qr_state *state, int64_t end_s)
{
    return end_s < state->retain_s[0] &&
           qr_head_window_of(&state->head, end_s) + state->head.window_s <= state->retain_s[0];
}

/* Rows come chart after chart, mostly in the order of ids.  With a million metrics nothing of a
 * chart is in the processor's cache: what the next ones need is asked for some rows ahead. */
#define NODES_AHEAD 16u
#define ROWS_AHEAD  8u
#define LINE_BYTES  64

static QR_ALWAYS_INLINE void look_ahead_for_bases(const struct qr_catalog *catalog, uint32_t id)
{
    const struct qr_chart *far = qr_catalog_chart(catalog, id + NODES_AHEAD);
    for (int i = 0; far != NULL && i < 4; i++)
        QR_PREFETCH((const char *)far + i * LINE_BYTES);
    const struct qr_chart *near = qr_catalog_chart(catalog, id + ROWS_AHEAD);
    if (near != NULL)
        QR_PREFETCH(near->base->cells);
}

static QR_ALWAYS_INLINE void look_ahead_for_rows(const struct qr_catalog *catalog, uint32_t id,
                                                 int64_t end_s)
{
    const struct qr_chart *near = qr_catalog_chart(catalog, id + ROWS_AHEAD);
    if (near != NULL)
        qr_head_prefetch(near->head, end_s);
}

/* May that chart have this row?  Its definition is looked at only if it must be. */
static int place_row(struct qr_state *state, struct qr_chart *chart, int64_t end_s,
                     const uint32_t *values, uint32_t n, uint32_t *n_new, uint32_t *n_old)
{
    uint32_t step_s = 0, n_dims = 0;
    if (!qr_head_is_at(&state->head, chart->head, end_s, n)) {
        const struct qr_chart_def *def = atomic_load_explicit(&chart->def, memory_order_relaxed);
        if (n > def->n_dims)
            return QR_E_LIMIT;
        n_dims = def->n_dims;
        step_s = def->update_every != 0 ? def->update_every : 1;
    }
    if (is_expired(state, end_s))
        return 0;
    if (QR_PLANT(late_sample_dropped) &&
        qr_seal_next_id(state, qr_head_window_of(&state->head, end_s), chart->host->shard)
                .generation != 0)
        return 0;
    return qr_head_put(&state->head, chart, step_s, n_dims, end_s, values, n, n_new, n_old);
}

int qr_store_apply_row(struct qr_store *store, uint32_t host, uint32_t chart_id, int64_t now_s,
                       int64_t end_s, const uint32_t *values, uint32_t n, uint32_t *n_new)
{
    *n_new = 0;
    struct qr_state *state = qr_store_state(store);
    struct qr_chart *chart = qr_catalog_chart(&state->catalog, chart_id);
    if (chart == NULL || chart->host->id != host)
        return QR_E_UNKNOWN;
    if (end_s < 1 || end_s > QR_TIME_S_MAX || end_s - DAY_S > now_s)
        return QR_E_LIMIT;
    if (now_s > state->head.now_s)
        state->head.now_s = now_s;
    look_ahead_for_rows(&state->catalog, chart_id, end_s);
    uint32_t n_old = 0;
    int err = place_row(state, chart, end_s, values, n, n_new, &n_old);
    if (err != 0)
        return err;
    count(&state->n_rows, 1);
    count(&state->n_samples, *n_new);
    count(&state->n_duplicates, n_old);
    count(&chart->n_samples, *n_new);
    count(&chart->host->n_samples, *n_new);
    atomic_store_explicit(&chart->told_s, now_s, memory_order_relaxed);
    note_times(chart, end_s, *n_new != 0);
    qr_tiler_note(&store->tiler, &state->head);
    return 0;
}

struct qr_entry_base *qr_store_base(void *store, uint32_t host, uint32_t chart_id)
{
    const struct qr_catalog *catalog = &qr_store_state(store)->catalog;
    struct qr_chart *chart = qr_catalog_chart(catalog, chart_id);
    look_ahead_for_bases(catalog, chart_id);
    return chart != NULL && chart->host->id == host ? chart->base : NULL;
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

/* ---- windows and their files ---- */

int qr_store_apply_seal(struct qr_store *store, int64_t window_start_s)
{
    struct qr_state *state = qr_store_state(store);
    if (window_start_s < 0 || window_start_s % state->head.window_s != 0)
        return QR_E_LIMIT;
    int err = qr_seal_start(state, window_start_s);
    qr_store_poll(store);
    return err;
}

void qr_store_report_block(struct qr_store *store, const struct qr_block_id *id,
                           const char *sentence)
{
    char name[QR_BLOCK_NAME_BYTES];
    qr_block_format_name(id, name);
    if (store->events.bad_block != NULL)
        store->events.bad_block(store->events.data, name, sentence);
    else
        qr_error("%s file=%s", sentence, name);
}

int qr_store_apply_vote(struct qr_store *store, const struct qr_block_id *id,
                        const struct qr_file_vote *vote, uint32_t n_members)
{
    return qr_confirm_vote(store, id, vote, n_members);
}

int qr_store_apply_voters(struct qr_store *store, uint32_t n_members)
{
    return qr_confirm_recount(store, n_members);
}

int qr_store_apply_merge(struct qr_store *store, unsigned tier, uint32_t shard, int64_t start_s)
{
    return qr_merge_apply(qr_store_state(store), tier, shard, start_s);
}

bool qr_store_merge_due(const struct qr_store *store, int64_t before_s, struct qr_block_id *id)
{
    return qr_merge_due(qr_store_state(store), before_s, id);
}

int64_t qr_store_edge(const struct qr_store *store, unsigned tier)
{
    return qr_state_edge(qr_store_state(store), tier);
}

int64_t qr_store_merge_needs(const struct qr_store *store, unsigned tier)
{
    return qr_merge_needs_s(qr_store_state(store), tier);
}

int qr_store_apply_retain(struct qr_store *store, const struct qr_retention *retention)
{
    int err = qr_retain_apply(qr_store_state(store), retention);
    qr_epoch_collect(&store->epoch);
    return err;
}

void qr_store_note_damage(struct qr_store *store, struct qr_block *block, int status)
{
    int found = status == UV_ENOENT ? QR_BLOCK_MISSING : QR_BLOCK_DAMAGED;
    int sound = QR_BLOCK_SOUND, unchecked = QR_BLOCK_UNCHECKED;
    if (!atomic_compare_exchange_strong(&block->health, &sound, found))
        atomic_compare_exchange_strong(&block->health, &unchecked, found);
    atomic_fetch_add_explicit(&store->n_bad_pages, 1, memory_order_relaxed);
    atomic_store(&store->found_damage, true);
}

void qr_store_scrub(struct qr_store *store)
{
    qr_scrub_step(&store->scrub);
}

void qr_store_poll(struct qr_store *store)
{
    struct qr_state *state = qr_store_state(store);
    qr_seal_retry(state);
    qr_catalog_bury(&state->catalog);
    qr_merge_poll(state);
    qr_tiler_step(&store->tiler, &state->head);
    qr_epoch_collect(&store->epoch);
    if (!atomic_exchange(&store->found_damage, false))
        return;
    const struct qr_block_set *set;
    /* Loaded each time: who is told may change it. */
    for (uint32_t i = 0; (set = atomic_load(&state->manifest.set)) != NULL && i < set->n; i++) {
        struct qr_block *block = set->at[i];
        int health = atomic_load(&block->health);
        if (qr_block_is_here(health) || block->reported)
            continue;
        block->reported = true;
        qr_store_report_block(store, &block->id,
                              health == QR_BLOCK_DAMAGED
                                  ? "a page of a block file failed its checksum"
                                  : "a block file is not there");
    }
}

unsigned qr_store_sealable(const struct qr_store *store, int64_t before_s, int64_t *starts,
                           unsigned max)
{
    const struct qr_head *head = &qr_store_state(store)->head;
    unsigned n = 0;
    for (uint32_t i = 0; i < head->n_windows && n < max; i++)
        if (head->windows[i]->start_s + head->window_s <= before_s &&
            (n == 0 || starts[n - 1] != head->windows[i]->start_s))
            starts[n++] = head->windows[i]->start_s;
    return n;
}

static bool has_voted(const struct qr_state *state, uint32_t member,
                      const struct qr_store_file *file)
{
    const struct qr_file_vote vote = {member, file->bytes, file->hash};
    const struct qr_ballot *ballot = qr_confirm_votes(state, &file->id);
    return ballot != NULL && qr_ballot_has(ballot, &vote);
}

unsigned qr_store_unvoted(const struct qr_store *store, uint32_t member,
                          struct qr_store_file *files, unsigned max)
{
    const struct qr_state *state = qr_store_state(store);
    const struct qr_block_set *set = atomic_load(&state->manifest.set);
    unsigned n = 0;
    for (uint32_t i = 0; set != NULL && i < set->n && n < max; i++) {
        const struct qr_block *block = set->at[i];
        files[n] = (struct qr_store_file){block->id, block->bytes, block->hash};
        if (!block->confirmed && atomic_load(&block->health) == QR_BLOCK_SOUND &&
            !has_voted(state, member, &files[n]))
            n++;
    }
    QR_LIST_FOREACH (node, &state->merges) {
        const struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        if (!merge->written || merge->is_named || n == max)
            continue;
        files[n] = (struct qr_store_file){merge->id, merge->bytes, merge->hash};
        n += !has_voted(state, member, &files[n]);
    }
    return n;
}

bool qr_store_was_sealed(const struct qr_store *store, int64_t start_s)
{
    const struct qr_state *state = qr_store_state(store);
    for (uint32_t shard = 0; shard <= state->shards.current; shard++)
        if (qr_seal_next_id(state, start_s, shard).generation != 0)
            return true;
    return false;
}

unsigned qr_store_unwritten(const struct qr_store *store)
{
    return qr_seal_n_windows(qr_store_state(store));
}

/* ---- snapshots ---- */

int qr_store_snapshot_begin(struct qr_store *store, struct qr_store_pin *pin)
{
    struct qr_state *state = qr_store_state(store);
    qr_seal_retry(state);
    if (!qr_list_empty(&state->seals))
        return QR_E_BUSY;
    struct qr_ledger *ledger = calloc(1, sizeof *ledger);
    int err = ledger != NULL ? qr_ledger_read(ledger, state) : UV_ENOMEM;
    if (err != 0) {
        free(ledger);
        return err;
    }
    /* What is replaced meanwhile stays until it has been read. */
    *pin = (struct qr_store_pin){state, ledger, qr_epoch_enter(&store->epoch)};
    return 0;
}

int qr_store_snapshot_encode(const struct qr_store_pin *pin, struct qr_buf *out)
{
    return qr_snapshot_encode(pin->state, pin->ledger, out);
}

void qr_store_snapshot_end(struct qr_store *store, const struct qr_store_pin *pin)
{
    qr_epoch_leave(&store->epoch, pin->slot);
    qr_ledger_release(pin->ledger);
    free(pin->ledger);
}

int qr_store_snapshot(struct qr_store *store, struct qr_buf *out)
{
    struct qr_store_pin pin;
    int err = qr_store_snapshot_begin(store, &pin);
    if (err != 0)
        return err;
    err = qr_store_snapshot_encode(&pin, out);
    qr_store_snapshot_end(store, &pin);
    return err;
}

int qr_store_decode(struct qr_store *store, struct qr_slice snapshot, struct qr_state **state)
{
    /* Its own until it is published: nobody reads what it outgrows meanwhile. */
    struct qr_epoch *own = calloc(1, sizeof *own);
    if (own == NULL)
        return UV_ENOMEM;
    qr_epoch_init(own);
    struct qr_state *next = NULL;
    int err = new_state(store, own, &next);
    if (err == 0 && snapshot.len != 0)
        err = qr_snapshot_decode(next, snapshot);
    if (err == 0) {
        qr_state_set_epoch(next, &store->epoch);
        *state = next;
    } else if (next != NULL) {
        qr_epoch_collect(own); /* before what it is part of */
        qr_store_discard(next);
    }
    qr_epoch_release(own);
    free(own);
    return err;
}

void qr_store_discard(struct qr_state *state)
{
    qr_state_release(state);
}

void qr_store_replace(struct qr_store *store, struct qr_state *state)
{
    struct qr_state *old = qr_store_state(store);
    atomic_store(&store->state, state);
    bool seal_runs = qr_seal_detach(old), merge_runs = qr_merge_detach(old);
    if (!seal_runs && !merge_runs)
        qr_epoch_retire(&store->epoch, old, qr_state_release_later);
    qr_epoch_collect(&store->epoch);
    qr_scrub_restart(&store->scrub);
    qr_files_check(&store->files);
}

int qr_store_restore(struct qr_store *store, struct qr_slice snapshot)
{
    struct qr_state *state;
    int err = qr_store_decode(store, snapshot, &state);
    if (err == 0)
        qr_store_replace(store, state);
    return err;
}

/* ---- block files by name ---- */

static struct qr_block *find_named(const struct qr_store *store, const char *name)
{
    struct qr_block_id id;
    return qr_block_parse_name(&id, name) ? qr_manifest_find(&qr_store_state(store)->manifest, &id)
                                          : NULL;
}

unsigned qr_store_missing(const struct qr_store *store, struct qr_block_name *names, unsigned max)
{
    const struct qr_block_set *set = atomic_load(&qr_store_state(store)->manifest.set);
    unsigned n = 0;
    for (uint32_t i = 0; set != NULL && i < set->n && n < max; i++) {
        const struct qr_block *block = set->at[i];
        if (qr_block_is_here(atomic_load(&block->health)))
            continue;
        qr_block_format_name(&block->id, names[n].name);
        names[n].bytes = block->bytes;
        names[n].hash = block->hash;
        n++;
    }
    return n;
}

int qr_store_block_path(const struct qr_store *store, const char *name, char *path, size_t len)
{
    const struct qr_block *block = find_named(store, name);
    if (block == NULL || atomic_load(&block->health) != QR_BLOCK_SOUND)
        return QR_E_UNKNOWN;
    return path_of(store, name, "", path, len);
}

int qr_store_fetch_path(const struct qr_store *store, const char *name, char *path, size_t len)
{
    const struct qr_block *block = find_named(store, name);
    if (block == NULL || qr_block_is_here(atomic_load(&block->health)))
        return QR_E_UNKNOWN;
    return path_of(store, name, ".fetch.tmp", path, len);
}

int qr_store_fetch_check(const struct qr_store *store, const struct qr_block_name *file,
                         const char *path)
{
    struct qr_disk *disk = store->config.disk;
    int err = qr_block_verify(disk, path, file->bytes, file->hash);
    if (err == QR_E_CORRUPT)
        disk->unlink(disk, path);
    return err == 0 ? disk->sync(disk, path) : err;
}

int qr_store_fetch_enter(struct qr_store *store, const struct qr_block_name *file,
                         const char *fetched)
{
    char path[QR_PATH_BYTES_MAX];
    struct qr_disk *disk = store->config.disk;
    struct qr_block *block = find_named(store, file->name);
    if (block == NULL || block->bytes != file->bytes || block->hash != file->hash ||
        qr_block_is_here(atomic_load(&block->health)))
        return QR_E_UNKNOWN;
    int err = qr_store_path(store, &block->id, path);
    if (err == 0)
        err = disk->rename(disk, fetched, path);
    if (err != 0)
        return err;
    struct qr_block *sound = qr_block_new(&block->id, block->bytes, block->hash, QR_BLOCK_SOUND);
    if (sound == NULL)
        return UV_ENOMEM;
    sound->confirmed = block->confirmed;
    err = qr_manifest_put(&qr_store_state(store)->manifest, sound);
    qr_epoch_collect(&store->epoch);
    return err;
}

int qr_store_fetched(struct qr_store *store, const char *name)
{
    char path[QR_PATH_BYTES_MAX];
    struct qr_block_name file;
    int err = qr_store_fetch_path(store, name, path, sizeof path);
    if (err != 0)
        return err;
    const struct qr_block *block = find_named(store, name);
    qr_block_format_name(&block->id, file.name);
    file.bytes = block->bytes;
    file.hash = block->hash;
    err = qr_store_fetch_check(store, &file, path);
    return err == 0 ? qr_store_fetch_enter(store, &file, path) : err;
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

const struct qr_store_hosts *qr_store_hosts(const struct qr_store *store)
{
    return qr_catalog_hosts(&qr_store_state(store)->catalog);
}

struct qr_host *qr_store_host_at(const struct qr_store *store, uint32_t i)
{
    const struct qr_store_hosts *hosts = qr_store_hosts(store);
    return i < atomic_load_explicit(&hosts->n, memory_order_acquire) ? hosts->at[i] : NULL;
}

struct qr_host *qr_store_host_by_id(const struct qr_store *store, uint32_t id)
{
    return qr_catalog_host(&qr_store_state(store)->catalog, id);
}

struct qr_host *qr_store_host_by_guid(const struct qr_store *store, const struct qr_guid *guid)
{
    return qr_catalog_host_by_guid(&qr_store_state(store)->catalog, guid);
}

struct qr_host *qr_store_host_by_name(const struct qr_store *store, struct qr_slice name)
{
    const struct qr_catalog *catalog = &qr_store_state(store)->catalog;
    const struct qr_term *term =
        qr_index_find(&catalog->index, QR_TERM_HOST_NAME, qr_slice_of("", 0), name);
    struct qr_postings_at at;
    uint32_t id;
    if (term == NULL)
        return NULL;
    qr_postings_seek(&term->ids, &at, 1);
    while ((id = qr_postings_next(&at)) != 0) {
        struct qr_host *host = qr_catalog_host(catalog, id);
        if (host != NULL && qr_slice_is(name, atomic_load(&host->def)->hostname))
            return host;
    }
    return NULL;
}

struct qr_chart *qr_store_chart_by_id(const struct qr_store *store, uint32_t id)
{
    return qr_catalog_chart(&qr_store_state(store)->catalog, id);
}

const struct qr_index *qr_store_index(const struct qr_store *store)
{
    return &qr_store_state(store)->catalog.index;
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

void qr_store_each_gap(const struct qr_store *store,
                       void (*take)(void *data, const struct qr_gap *gap), void *data)
{
    const struct qr_gap_list *list = atomic_load(&qr_store_state(store)->gaps);
    uint32_t n = list != NULL ? atomic_load_explicit(&list->n, memory_order_acquire) : 0;
    for (uint32_t i = 0; i < n; i++)
        take(data, &list->gaps[i]);
}

void qr_store_gaps_of_hosts(const struct qr_store *store, const struct qr_store_hosts *hosts,
                            uint64_t *n_gaps, uint32_t n)
{
    const struct qr_state *state = qr_store_state(store);
    const struct qr_gap_list *list = atomic_load(&state->gaps);
    uint32_t n_listed = list != NULL ? atomic_load_explicit(&list->n, memory_order_acquire) : 0;
    for (uint32_t i = 0; i < n_listed; i++) {
        const struct qr_chart *chart = qr_catalog_chart(&state->catalog, list->gaps[i].chart);
        uint32_t at = chart != NULL ? qr_catalog_place(hosts, n, chart->host->id) : n;
        if (at < n && hosts->at[at] == chart->host)
            n_gaps[at]++;
    }
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
        .n_bad_pages = atomic_load_explicit(&store->n_bad_pages, memory_order_relaxed),
    };
    const struct qr_block_set *set = atomic_load(&state->manifest.set);
    stats->n_blocks = set != NULL ? set->n : 0;
    for (uint32_t i = 0; set != NULL && i < set->n; i++) {
        stats->block_bytes += set->at[i]->bytes;
        if (!qr_block_is_here(atomic_load(&set->at[i]->health))) {
            stats->n_missing++;
            stats->missing_bytes += set->at[i]->bytes;
        }
    }
}
