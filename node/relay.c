#include "node/relay.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/pattern.h"
#include "node/function_frame.h"
#include "proto/caps.h"
#include "storage/query.h"

/* Of one chart in one turn, so that charts take turns. */
#define LIVE_ROWS_MAX    120u
#define ANSWER_ROWS_MAX  3600u
#define ANSWER_BYTES_MAX (256u * 1024)
/* Rows that came in behind what was sent rest that long, so that a refill is told of once. */
#define LATE_REST_MS 3000u
/* .. but a refill that lasts is told of so often. */
#define LATE_TELL_MS 60000u

/* A chart, as far as the far side is concerned. */
struct known {
    uint32_t id;
    struct qr_sender_chart *sent;   /* NULL: not announced on this connection. */
    const struct qr_chart_def *def; /* As announced: to be compared, not looked into. */
    uint64_t def_hash;
    uint64_t functions_hash; /* Of the chart's functions, as announced .. */
    uint32_t functions_seen; /* .. and compared with this list. */
    int64_t sent_s;          /* The far side has what ends at or before it, as far as known. */
    struct qr_sender_replay wanted;
    uint64_t late_ms;       /* When late rows were seen to have come; 0: none untold. */
    uint64_t late_since_ms; /* The first of those. */
    uint32_t n_late;
    bool skipped; /* Not one of those that are sent. */
    bool is_wanted, redefine;
};

struct qr_relay {
    struct qr_relay_config config;
    struct qr_sender *sender;
    struct qr_sender_handler outer; /* The owner's. */
    struct qr_map charts;           /* struct known, by id. */
    struct qr_buf out, scratch;
    const struct qr_host_def *host_def; /* As told: to be compared only. */
    struct qr_buf functions;            /* A list: node/function_frame. */
    uint32_t n_functions_lists;         /* That many came; this is the last. */
    bool functions_told;
    uint32_t caps;
    double *values;
    uint8_t *flags;
    uint32_t n_cells;
    uint32_t cursor; /* The chart after which the walk goes on; 0: at the first. */
    bool cut;        /* The last turn was cut short. */
    bool looked;     /* At all charts, once. */
    uint32_t n_wanted;
    uint64_t seen_samples, seen_ms;
    uint64_t late_ms; /* When late rows of any chart were last seen, or told of. */
    int failed;
    struct qr_relay_stats stats; /* Of the last whole walk .. */
    struct qr_relay_stats walk;  /* .. and of this one. */
};

/* ---- life ---- */

int qr_relay_new(struct qr_relay **relay, const struct qr_relay_config *config)
{
    struct qr_relay *made = calloc(1, sizeof *made);
    if (made == NULL)
        return UV_ENOMEM;
    made->config = *config;
    qr_map_init(&made->charts);
    *relay = made;
    return 0;
}

void qr_relay_free(struct qr_relay *relay)
{
    if (relay == NULL)
        return;
    qr_relay_disconnect(relay);
    size_t at = 0;
    for (struct known *k; (k = qr_map_next(&relay->charts, &at)) != NULL;)
        free(k);
    qr_map_release(&relay->charts);
    qr_buf_release(&relay->out);
    qr_buf_release(&relay->scratch);
    qr_buf_release(&relay->functions);
    free(relay->values);
    free(relay->flags);
    free(relay);
}

static struct qr_slice key_of(const uint32_t *id)
{
    return qr_slice_of((const char *)id, sizeof *id);
}

static struct known *known_of(struct qr_relay *relay, const struct qr_chart *chart)
{
    struct known *k = qr_map_get(&relay->charts, key_of(&chart->id));
    if (k != NULL)
        return k;
    k = calloc(1, sizeof *k);
    if (k == NULL || (k->id = chart->id, qr_map_set(&relay->charts, key_of(&k->id), k) != 0)) {
        free(k);
        relay->failed = UV_ENOMEM;
        return NULL;
    }
    /* What was there before this session has been told in an earlier one, perhaps: the far side
     * will say.  What is new it cannot have. */
    int64_t first_s = qr_chart_first_s(chart);
    k->sent_s = relay->looked && first_s != 0 ? first_s - 1 : atomic_load(&chart->watermark_s);
    return k;
}

/* ---- one connection ---- */

static void on_send(void *data, struct qr_slice bytes)
{
    struct qr_relay *relay = data;
    if (qr_buf_add(&relay->out, bytes.base, bytes.len) != 0)
        relay->failed = UV_ENOMEM;
}

static void on_replay(void *data, struct qr_sender_chart *chart,
                      const struct qr_sender_replay *replay)
{
    struct qr_relay *relay = data;
    struct known *k = chart->data;
    relay->n_wanted += !k->is_wanted;
    k->is_wanted = true;
    k->wanted = *replay;
    if (!qr_sender_is_live(chart) && replay->start_streaming && replay->after_s > 0)
        k->sent_s = replay->after_s;
}

static void on_redefine(void *data, struct qr_sender_chart *chart)
{
    struct known *k = chart->data;
    (void)data;
    k->redefine = true;
}

/* The rest is the owner's. */

static void on_call(void *data, const struct qr_sender_call *call)
{
    struct qr_relay *relay = data;
    relay->outer.call(relay->outer.data, call);
}

static void on_cancel(void *data, struct qr_slice transaction)
{
    struct qr_relay *relay = data;
    relay->outer.cancel(relay->outer.data, transaction);
}

static void on_progress(void *data, struct qr_slice transaction)
{
    struct qr_relay *relay = data;
    relay->outer.progress(relay->outer.data, transaction);
}

static void on_node_id(void *data, const struct qr_guid *claim_id, const struct qr_guid *node_id,
                       struct qr_slice url)
{
    struct qr_relay *relay = data;
    relay->outer.node_id(relay->outer.data, claim_id, node_id, url);
}

static void on_json(void *data, struct qr_slice kind, struct qr_slice payload)
{
    struct qr_relay *relay = data;
    relay->outer.json(relay->outer.data, kind, payload);
}

int qr_relay_connect(struct qr_relay *relay, uint32_t caps, const struct qr_sender_handler *handler)
{
    const struct qr_sender_handler all = {
        .data = relay,
        .send = on_send,
        .replay = on_replay,
        .redefine = on_redefine,
        .call = handler->call != NULL ? on_call : NULL,
        .cancel = handler->cancel != NULL ? on_cancel : NULL,
        .progress = handler->progress != NULL ? on_progress : NULL,
        .node_id = handler->node_id != NULL ? on_node_id : NULL,
        .json = handler->json != NULL ? on_json : NULL,
    };
    const struct qr_sender_config config = {caps, relay->config.clock, relay->config.guid,
                                            relay->config.levels};
    assert(relay->sender == NULL);
    relay->outer = *handler;
    relay->caps = caps;
    relay->functions_told = false;
    relay->failed = qr_sender_new(&relay->sender, &config, &all);
    return relay->failed;
}

void qr_relay_disconnect(struct qr_relay *relay)
{
    qr_sender_free(relay->sender);
    relay->sender = NULL;
    relay->host_def = NULL;
    relay->cursor = 0;
    relay->cut = false;
    relay->n_wanted = 0;
    relay->failed = 0;
    qr_buf_clear(&relay->out);
    size_t at = 0;
    for (struct known *k; (k = qr_map_next(&relay->charts, &at)) != NULL;) {
        k->sent = NULL;
        k->is_wanted = k->redefine = false;
        k->late_ms = 0;
    }
}

struct qr_sender *qr_relay_sender(struct qr_relay *relay)
{
    return relay->sender;
}

struct qr_buf *qr_relay_out(struct qr_relay *relay)
{
    return &relay->out;
}

int qr_relay_feed(struct qr_relay *relay, struct qr_slice bytes)
{
    int err = qr_sender_feed(relay->sender, bytes);
    return err != 0 ? err : relay->failed;
}

/* ---- rows ---- */

static bool grow_cells(struct qr_relay *relay, uint32_t n)
{
    if (n <= relay->n_cells)
        return true;
    double *values = realloc(relay->values, n * sizeof *values);
    if (values != NULL)
        relay->values = values;
    uint8_t *flags = values != NULL ? realloc(relay->flags, n) : NULL;
    if (flags == NULL) {
        relay->failed = UV_ENOMEM;
        return false;
    }
    relay->flags = flags;
    relay->n_cells = n;
    return true;
}

/* A row of the slab; false: it holds nothing. */
static bool unpack_row(struct qr_relay *relay, const struct qr_slab *slab, uint32_t i,
                       struct qr_stream_row *row)
{
    bool some = false;
    for (uint32_t d = 0; d < row->n; d++) {
        uint32_t value = qr_slab_at(slab, i, d);
        bool empty = qr_value_is_empty(value);
        relay->values[d] = empty ? NAN : qr_value_unpack(value);
        relay->flags[d] = empty ? QR_STREAM_EMPTY
                                : (uint8_t)((value & QR_VALUE_RESET ? QR_STREAM_RESET : 0) |
                                            (value & QR_VALUE_ANOMALOUS ? QR_STREAM_ANOMALOUS : 0));
        some = some || !empty;
    }
    row->end_s = slab->first_s + (int64_t)i * slab->step_s;
    row->values = relay->values;
    row->flags = relay->flags;
    return some;
}

struct reading {
    struct known *known;
    uint32_t n_dims, update_every;
    bool (*take)(struct qr_relay *relay, struct known *known, const struct qr_stream_row *row);
    uint32_t rows_max;
    size_t out_max;
};

/* Rows that end in (after_s, last_s], as far as `take` takes them and the bounds allow.  Up to
 * where it came: last_s, or the end of the last row that was taken. */
static int64_t read_rows(struct qr_relay *relay, const struct qr_chart *chart, int64_t after_s,
                         int64_t last_s, const struct reading *reading)
{
    struct qr_query *query;
    struct qr_slab slab;
    int64_t reached_s = after_s;
    uint32_t n = 0;
    if (after_s >= last_s || !grow_cells(relay, reading->n_dims + 1))
        return after_s;
    if (qr_query_open(&query, relay->config.store, chart, after_s + 1, last_s) != 0) {
        relay->failed = UV_ENOMEM;
        return after_s;
    }
    while (qr_query_next(query, &slab) > 0) {
        for (uint32_t i = 0; i < slab.n_rows; i++) {
            struct qr_stream_row row = {.update_every = reading->update_every,
                                        .n = reading->n_dims};
            if (!unpack_row(relay, &slab, i, &row) || row.end_s <= after_s)
                continue;
            if (n == reading->rows_max || relay->out.len >= reading->out_max ||
                !reading->take(relay, reading->known, &row)) {
                qr_query_close(query);
                return reached_s;
            }
            n++;
            reached_s = row.end_s;
        }
    }
    qr_query_close(query);
    /* What cannot be read is left out, as any query does: the far side then has a hole there. */
    return last_s;
}

/* ---- functions ---- */

int qr_relay_functions(struct qr_relay *relay, struct qr_slice list)
{
    qr_buf_clear(&relay->functions);
    relay->n_functions_lists++;
    relay->functions_told = false;
    return qr_buf_add(&relay->functions, list.base, list.len);
}

static struct qr_sender_function function_of(const struct qr_function *f)
{
    return (struct qr_sender_function){.name = f->name,
                                       .help = f->help,
                                       .tags = f->tags,
                                       .timeout_s = f->timeout_s,
                                       .access = f->access,
                                       .priority = (int32_t)(f->priority & INT32_MAX),
                                       .version = f->version};
}

/* Those of the host.  Its configuration belongs to who agreed on DYNCFG. */
static void say_functions(struct qr_relay *relay)
{
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&relay->functions));
    struct qr_function f;
    if (relay->functions_told)
        return;
    relay->functions_told = true;
    while (qr_function_list_next(&in, &f)) {
        struct qr_sender_function said = function_of(&f);
        bool config = qr_slice_is(f.name, "config") && (relay->caps & QR_CAP_DYNCFG) == 0;
        if (f.chart.len == 0 && !config)
            qr_sender_function(relay->sender, &said);
    }
}

/* Those of a chart: their number; the first `max` of them are copied. */
static uint32_t functions_of(const struct qr_relay *relay, const char *chart,
                             struct qr_sender_function *functions, uint32_t max)
{
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&relay->functions));
    struct qr_function f;
    uint32_t n = 0;
    while (qr_function_list_next(&in, &f)) {
        if (!qr_slice_is(f.chart, chart))
            continue;
        if (n < max)
            functions[n] = function_of(&f);
        n++;
    }
    return n;
}

static uint64_t hash_functions(const struct qr_relay *relay, const char *chart)
{
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&relay->functions));
    struct qr_function f;
    uint64_t hash = 0;
    for (const uint8_t *from = in.p; qr_function_list_next(&in, &f); from = in.p)
        if (qr_slice_is(f.chart, chart))
            hash = XXH3_64bits_withSeed(from, (size_t)(in.p - from), hash);
    return hash;
}

/* ---- definitions ---- */

static struct qr_stream_label *labels_of(const struct qr_def_label *labels, uint32_t n)
{
    struct qr_stream_label *list = calloc(n + 1, sizeof *list);
    for (uint32_t i = 0; i < n && list != NULL; i++)
        list[i] = (struct qr_stream_label){qr_slice_str(labels[i].name),
                                           qr_slice_str(labels[i].value), labels[i].source};
    return list;
}

static struct qr_stream_dim *dims_of(const struct qr_chart_def *def)
{
    struct qr_stream_dim *dims = calloc(def->n_dims + 1, sizeof *dims);
    for (uint32_t i = 0; i < def->n_dims && dims != NULL; i++) {
        const struct qr_dim_def *d = &def->dims[i];
        dims[i] = (struct qr_stream_dim){qr_slice_str(d->id),
                                         qr_slice_str(d->name),
                                         (enum qr_algorithm)d->algorithm,
                                         d->multiplier,
                                         d->divisor,
                                         d->flags};
    }
    return dims;
}

static void say_definition(struct qr_relay *relay, const struct qr_chart *chart, struct known *k,
                           const struct qr_chart_def *def)
{
    struct qr_stream_chart said = {
        .id = qr_slice_str(def->id),
        .name = qr_slice_str(def->name),
        .title = qr_slice_str(def->title),
        .units = qr_slice_str(def->units),
        .family = qr_slice_str(def->family),
        .context = qr_slice_str(def->context),
        .plugin = qr_slice_str(def->plugin),
        .module = qr_slice_str(def->module),
        .type = (enum qr_chart_type)def->type,
        .priority = def->priority,
        .update_every = def->update_every,
        .flags = def->flags,
        .n_dims = def->n_dims,
        .dims = dims_of(def),
        .n_labels = def->n_labels,
        .labels = labels_of(def->labels, def->n_labels),
    };
    uint32_t n_functions = functions_of(relay, def->id, NULL, 0);
    struct qr_sender_function *functions = calloc(n_functions + 1, sizeof *functions);
    if (functions != NULL)
        functions_of(relay, def->id, functions, n_functions);
    struct qr_sender_definition definition = {
        .functions = functions,
        .n_functions = n_functions,
        .chart = &said,
        .first_s = qr_chart_first_s(chart),
        .last_s = atomic_load_explicit(&chart->watermark_s, memory_order_acquire),
    };
    int err = UV_ENOMEM;
    if (said.dims != NULL && said.labels != NULL && functions != NULL)
        err = qr_sender_define(relay->sender, &definition, &k->sent);
    free(said.dims);
    free(said.labels);
    free(functions);
    if (err == QR_E_LIMIT)
        k->skipped = true; /* More than any parent takes; what it knows of it stays as it is. */
    else if (err != 0)
        relay->failed = err;
    else
        k->sent->data = k;
    k->def = def;
    k->redefine = false;
}

static uint64_t hash_definition(struct qr_relay *relay, const struct qr_chart_def *def)
{
    qr_buf_clear(&relay->scratch);
    if (qr_chart_def_encode(&relay->scratch, def) != 0)
        return 0;
    return XXH3_64bits(relay->scratch.base, relay->scratch.len);
}

/* Another struct may say the same. */
static bool has_changed(struct qr_relay *relay, struct known *k, const struct qr_chart_def *def)
{
    if (def == k->def)
        return false;
    uint64_t hash = hash_definition(relay, def);
    bool changed = hash != k->def_hash;
    k->def = def;
    k->def_hash = hash;
    return changed;
}

/* Another list may say the same of this chart. */
static bool offers_others(struct qr_relay *relay, struct known *k, const struct qr_chart_def *def)
{
    if (k->functions_seen == relay->n_functions_lists)
        return false;
    uint64_t hash = hash_functions(relay, def->id);
    bool others = hash != k->functions_hash;
    k->functions_seen = relay->n_functions_lists;
    k->functions_hash = hash;
    return others;
}

static bool is_late(struct qr_relay *relay, const struct qr_chart *chart, struct known *k)
{
    uint32_t n_late = atomic_load_explicit(&chart->n_late, memory_order_relaxed);
    uint64_t now_ms = qr_clock_mono_ms(relay->config.clock);
    if (n_late != k->n_late) {
        k->n_late = n_late;
        k->late_since_ms = k->late_ms != 0 ? k->late_since_ms : now_ms;
        k->late_ms = now_ms;
    }
    if (k->late_ms == 0 || (relay->caps & QR_CAP_REPLICATION) == 0)
        return false; /* Who does not replicate cannot ask. */
    relay->late_ms = now_ms;
    return now_ms - k->late_ms >= LATE_REST_MS || now_ms - k->late_since_ms >= LATE_TELL_MS;
}

/* On a new connection what came late before is told of once more: the far side looks through all of
 * a chart's past when it is defined again, not at first. */
static void announce(struct qr_relay *relay, const struct qr_chart *chart, struct known *k,
                     const struct qr_chart_def *def)
{
    k->def_hash = hash_definition(relay, def);
    if (k->sent != NULL)
        k->n_late = atomic_load_explicit(&chart->n_late, memory_order_relaxed);
    k->late_ms = 0;
    (void)offers_others(relay, k, def);
    say_definition(relay, chart, k, def);
}

/* ---- one chart ---- */

static bool take_answer_row(struct qr_relay *relay, struct known *k,
                            const struct qr_stream_row *row)
{
    (void)k;
    qr_sender_answer_row(relay->sender, row);
    return true;
}

static bool take_live_row(struct qr_relay *relay, struct known *k, const struct qr_stream_row *row)
{
    return qr_sender_row(relay->sender, k->sent, row);
}

static void answer(struct qr_relay *relay, const struct qr_chart *chart, struct known *k,
                   const struct qr_chart_def *def)
{
    const struct reading reading = {
        .known = k,
        .n_dims = def->n_dims,
        .update_every = def->update_every,
        .take = take_answer_row,
        .rows_max = ANSWER_ROWS_MAX,
        .out_max = relay->out.len + ANSWER_BYTES_MAX,
    };
    struct qr_sender_replay wanted = k->wanted;
    int64_t newest_s = atomic_load_explicit(&chart->watermark_s, memory_order_acquire);
    int64_t last_s =
        wanted.start_streaming || wanted.before_s > newest_s ? newest_s : wanted.before_s;
    k->is_wanted = false;
    relay->n_wanted--;
    /* A far side that asks for nothing has all that it wants of the past. */
    bool empty = wanted.after_s <= 0 && wanted.before_s <= 0;
    int64_t after_s = empty ? newest_s : wanted.after_s;
    qr_sender_answer_begin(relay->sender, k->sent);
    int64_t reached_s = read_rows(relay, chart, after_s, last_s, &reading);
    bool whole = reached_s >= last_s;
    struct qr_sender_answer said = {
        .first_s = qr_chart_first_s(chart),
        .last_s = newest_s,
        .before_s = reached_s,
        .streaming = whole && wanted.start_streaming,
    };
    bool was_live = qr_sender_is_live(k->sent);
    qr_sender_answer_end(relay->sender, &said);
    if (!was_live)
        k->sent_s = reached_s;
}

static void send_live(struct qr_relay *relay, const struct qr_chart *chart, struct known *k,
                      const struct qr_chart_def *def, size_t room)
{
    int64_t newest_s = atomic_load_explicit(&chart->watermark_s, memory_order_acquire);
    const struct reading reading = {
        .known = k,
        .n_dims = def->n_dims,
        .update_every = def->update_every,
        .take = take_live_row,
        .rows_max = LIVE_ROWS_MAX,
        .out_max = room,
    };
    k->sent_s = read_rows(relay, chart, k->sent_s, newest_s, &reading);
}

static bool is_chosen(const struct qr_relay *relay, const struct qr_chart_def *def)
{
    struct qr_slice list = qr_slice_str(relay->config.charts);
    return qr_pattern_matches(list, QR_PATTERN_WORDS, qr_slice_str(def->id)) ||
           qr_pattern_matches(list, QR_PATTERN_WORDS, qr_slice_str(def->name));
}

static void talk_of(struct qr_relay *relay, const struct qr_chart *chart, struct known *k,
                    const struct qr_chart_def *def, size_t room)
{
    if (k->sent == NULL) {
        if (atomic_load(&chart->told_s) >= relay->config.since_s)
            announce(relay, chart, k, def);
        return;
    }
    if (has_changed(relay, k, def) || offers_others(relay, k, def) || k->redefine ||
        is_late(relay, chart, k))
        announce(relay, chart, k, def);
    if (k->skipped)
        return;
    if (k->is_wanted)
        answer(relay, chart, k, def);
    if (qr_sender_is_live(k->sent))
        send_live(relay, chart, k, def, room);
}

static void count_lag(struct qr_relay *relay, const struct qr_chart *chart, const struct known *k,
                      const struct qr_chart_def *def)
{
    int64_t lag_s = atomic_load(&chart->watermark_s) - k->sent_s;
    bool told = atomic_load(&chart->told_s) >= relay->config.since_s;
    relay->walk.n_charts += k->sent != NULL;
    relay->walk.n_live += k->sent != NULL && qr_sender_is_live(k->sent);
    if (lag_s <= 0 || !told)
        return;
    if (lag_s > relay->walk.lag_s)
        relay->walk.lag_s = lag_s;
    relay->walk.lag_samples += (uint64_t)lag_s / def->update_every * def->n_dims;
}

static void serve(struct qr_relay *relay, const struct qr_chart *chart, size_t room)
{
    const struct qr_chart_def *def = atomic_load(&chart->def);
    struct known *k = known_of(relay, chart);
    if (k == NULL || atomic_load(&chart->watermark_s) == 0)
        return;
    if (k->def == NULL)
        k->skipped = !is_chosen(relay, def);
    k->def = k->def != NULL ? k->def : def;
    if (k->skipped)
        return;
    if (relay->sender != NULL)
        talk_of(relay, chart, k, def, room);
    count_lag(relay, chart, k, def);
}

/* ---- the host ---- */

static void say_host(struct qr_relay *relay, const struct qr_host *host)
{
    const struct qr_host_def *def = atomic_load(&host->def);
    if (def == relay->host_def)
        return;
    struct qr_stream_label *labels = labels_of(def->labels, def->n_labels);
    if (labels == NULL) {
        relay->failed = UV_ENOMEM;
        return;
    }
    qr_sender_claimed(relay->sender, def->has_claim ? &def->claim_id : NULL);
    qr_sender_labels(relay->sender, labels, def->n_labels);
    free(labels);
    relay->host_def = def;
}

/* Where the last turn ended, if that chart is still there. */
static const struct qr_chart *start_of(const struct qr_relay *relay, const struct qr_host *host)
{
    if (relay->cursor != 0) {
        const struct qr_chart *last = qr_store_chart_by_id(relay->config.store, relay->cursor);
        if (last != NULL && last->host == host)
            return qr_chart_next(last);
    }
    return qr_host_first(host);
}

static void end_walk(struct qr_relay *relay)
{
    /* What came late is asked for a while after it was told of. */
    uint64_t now_ms = qr_clock_mono_ms(relay->config.clock);
    bool rests = relay->late_ms != 0 && now_ms - relay->late_ms < LATE_REST_MS;
    relay->walk.complete = relay->looked && relay->sender != NULL && relay->walk.lag_s == 0 &&
                           relay->walk.n_charts == relay->walk.n_live && !rests;
    relay->stats = relay->walk;
    relay->walk = (struct qr_relay_stats){0};
    relay->looked = true;
    relay->cursor = 0;
}

static void walk(struct qr_relay *relay, const struct qr_host *host, size_t room)
{
    const struct qr_chart *chart = start_of(relay, host);
    bool whole = relay->cursor == 0;
    relay->cut = false;
    if (whole) {
        relay->seen_samples = atomic_load(&host->n_samples);
        relay->seen_ms = qr_clock_mono_ms(relay->config.clock);
    }
    for (; chart != NULL && relay->failed == 0; chart = qr_chart_next(chart)) {
        serve(relay, chart, room);
        if (relay->out.len < room)
            continue;
        relay->cursor = chart->id;
        relay->cut = true;
        return;
    }
    if (whole)
        relay->n_wanted = 0; /* What is left was asked of charts that are gone. */
    end_walk(relay);
}

int qr_relay_turn(struct qr_relay *relay, size_t room)
{
    struct qr_store *store = relay->config.store;
    int slot = qr_store_enter(store);
    const struct qr_host *host = qr_store_host_by_guid(store, &relay->config.guid);
    if (host != NULL && relay->sender != NULL) {
        say_host(relay, host);
        say_functions(relay);
    }
    if (host != NULL)
        walk(relay, host, room);
    qr_store_leave(store, slot);
    if (relay->sender != NULL)
        qr_sender_flush(relay->sender);
    return host == NULL ? QR_E_UNKNOWN : relay->failed;
}

/* Late rows rest, and definitions change without a row: so now and then without a reason. */
#define DUE_MS 1000u

bool qr_relay_is_due(const struct qr_relay *relay)
{
    bool untold = relay->sender != NULL && !relay->functions_told;
    if (relay->cut || relay->n_wanted > 0 || untold ||
        qr_clock_mono_ms(relay->config.clock) - relay->seen_ms >= DUE_MS)
        return true;
    int slot = qr_store_enter(relay->config.store);
    const struct qr_host *host = qr_store_host_by_guid(relay->config.store, &relay->config.guid);
    bool due = host == NULL || atomic_load(&host->n_samples) != relay->seen_samples;
    qr_store_leave(relay->config.store, slot);
    return due;
}

void qr_relay_get_stats(const struct qr_relay *relay, struct qr_relay_stats *stats)
{
    *stats = relay->stats;
    if (relay->sender == NULL)
        return;
    struct qr_sender_stats sent;
    qr_sender_get_stats(relay->sender, &sent);
    stats->rows_live = sent.rows_live;
    stats->rows_replayed = sent.rows_replayed;
    stats->samples = sent.samples;
    stats->bytes_wire = sent.bytes_wire;
}
