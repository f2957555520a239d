#include "node/holes.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/plant.h"
#include "proto/stream.h"
#include "storage/query.h"

static struct qr_chart *chart_by_def(struct qr_store *store, const struct qr_host *host,
                                     const struct qr_chart_def *def)
{
    if (host == NULL)
        return NULL;
    struct qr_chart *chart = qr_store_chart_find(store, host, qr_slice_str(def->id));
    if (chart == NULL || strcmp(atomic_load(&chart->def)->id, def->id) != 0)
        return NULL;
    return chart;
}

static const struct qr_dim_def *find_dim(const struct qr_chart_def *def, const char *id,
                                         uint32_t guess, uint32_t *at)
{
    for (uint32_t n = 0; n < def->n_dims; n++) {
        uint32_t i = (guess + n) % def->n_dims;
        if (strcmp(def->dims[i].id, id) == 0) {
            *at = i;
            return &def->dims[i];
        }
    }
    return NULL;
}

static bool same_dims(const struct qr_chart_def *known, const struct qr_chart_def *told)
{
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < told->n_dims; i++) {
        uint32_t at;
        const struct qr_dim_def *a = find_dim(known, told->dims[i].id, i, &at);
        const struct qr_dim_def *b = &told->dims[i];
        if (a == NULL || strcmp(a->name, b->name) != 0 || a->multiplier != b->multiplier ||
            a->divisor != b->divisor || a->algorithm != b->algorithm || a->flags != b->flags)
            return false;
        n_found++;
    }
    uint32_t n_live = 0;
    for (uint32_t i = 0; i < known->n_dims; i++)
        n_live += (known->dims[i].flags & 1) == 0;
    return n_found >= n_live;
}

static bool same_labels(const struct qr_chart_def *a, const struct qr_chart_def *b)
{
    if (a->n_labels != b->n_labels)
        return false;
    for (uint32_t i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i].name, b->labels[i].name) != 0 ||
            strcmp(a->labels[i].value, b->labels[i].value) != 0 ||
            a->labels[i].source != b->labels[i].source)
            return false;
    return true;
}

static bool same_chart(const struct qr_chart_def *a, const struct qr_chart_def *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->title, b->title) == 0 &&
           strcmp(a->units, b->units) == 0 && strcmp(a->family, b->family) == 0 &&
           strcmp(a->context, b->context) == 0 && strcmp(a->plugin, b->plugin) == 0 &&
           strcmp(a->module, b->module) == 0 && a->type == b->type && a->flags == b->flags &&
           a->priority == b->priority && a->update_every == b->update_every;
}

bool qr_definition_changes(struct qr_store *store, const struct qr_host *host,
                           struct qr_slice encoded)
{
    struct qr_chart_def *told;
    struct qr_cursor in = qr_cursor_of(encoded);
    if (qr_chart_def_decode(&told, &in) != 0)
        return true; /* the log will say what is wrong with it */
    const struct qr_chart *chart = chart_by_def(store, host, told);
    bool changes = true;
    if (chart != NULL) {
        const struct qr_chart_def *known = atomic_load(&chart->def);
        changes = !same_chart(known, told) || !same_dims(known, told) || !same_labels(known, told);
    }
    free(told);
    return changes;
}

int qr_places_resolve(struct qr_store *store, const struct qr_host *host,
                      struct qr_feed_chart *item)
{
    struct qr_chart_def *told;
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&item->body));
    int err = qr_chart_def_decode(&told, &in);
    if (err != 0)
        return err;
    const struct qr_chart *chart = chart_by_def(store, host, told);
    item->places = calloc(told->n_dims + 1, sizeof *item->places);
    if (chart == NULL || item->places == NULL) {
        if (chart == NULL && host != NULL)
            item->refusal = qr_store_refusal(host, told);
        free(told);
        return chart != NULL ? UV_ENOMEM : item->refusal != NULL ? QR_E_LIMIT : QR_E_UNKNOWN;
    }
    const struct qr_chart_def *known = atomic_load(&chart->def);
    for (uint32_t i = 0; i < told->n_dims && err == 0; i++)
        if (find_dim(known, told->dims[i].id, i, &item->places[i]) == NULL)
            err = QR_E_LIMIT;
    if (err != 0)
        item->refusal = "it, or its host, would have more dimensions than allowed";
    item->chart = chart->id;
    item->watermark_s = atomic_load(&chart->watermark_s);
    free(told);
    return err;
}

/* ---- holes ---- */

struct search {
    struct qr_stream_hole *holes;
    uint32_t n, max;
    struct qr_gap *gaps;
    unsigned n_gaps;
    /* The last three between points, not taken for holes yet, how far apart the last points were,
     * and how often in a row: see note_distance(). */
    struct qr_stream_hole pending[3];
    int64_t stride_s;
    uint32_t n_strides;
};

/* The newest `max` stay. */
static void add_hole(struct search *search, int64_t after_s, int64_t before_s)
{
    if (after_s >= before_s)
        return;
    if (search->n == search->max) {
        memmove(search->holes, search->holes + 1, (search->n - 1) * sizeof *search->holes);
        search->n--;
    }
    search->holes[search->n++] = (struct qr_stream_hole){after_s, before_s};
}

static int compare_gaps(const void *a, const void *b)
{
    const struct qr_gap *x = a;
    const struct qr_gap *y = b;
    return (x->after_s > y->after_s) - (x->after_s < y->after_s);
}

/* (after, before] less the recorded gaps, which are sorted. */
static void add_missing(struct search *search, int64_t after_s, int64_t before_s)
{
    for (unsigned i = 0; i < search->n_gaps && after_s < before_s; i++) {
        const struct qr_gap *gap = &search->gaps[i];
        if (gap->before_s <= after_s)
            continue;
        if (gap->after_s >= before_s)
            break;
        add_hole(search, after_s, gap->after_s);
        after_s = gap->before_s;
    }
    add_hole(search, after_s, before_s);
}

static void take_pending(struct search *search)
{
    for (int i = 0; i < 3; i++)
        add_missing(search, search->pending[i].after_s, search->pending[i].before_s);
    memset(search->pending, 0, sizeof search->pending);
}

/* The next point is so far behind the one at `after_s`.  Points at three times the same distance
 * are those of a time in which the chart had a longer interval: nothing is missing between them,
 * nor in what the first of them covers.  Twice the same may be a pause and a hole. */
static void note_distance(struct search *search, int64_t after_s, int64_t distance_s,
                          int64_t every_s)
{
    struct qr_stream_hole *pending = search->pending;
    search->n_strides = distance_s == search->stride_s ? search->n_strides + 1 : 1;
    search->stride_s = distance_s;
    if (distance_s > every_s && search->n_strides >= 3) {
        if (pending[0].after_s < pending[1].after_s - distance_s)
            add_missing(search, pending[0].after_s, pending[0].before_s);
        pending[0] = pending[1] = (struct qr_stream_hole){0};
        pending[2] = (struct qr_stream_hole){after_s, after_s}; /* Where the last one began. */
    } else if (distance_s > every_s) {
        add_missing(search, pending[0].after_s, pending[0].before_s);
        pending[0] = pending[1];
        pending[1] = pending[2];
        pending[2] = (struct qr_stream_hole){after_s, after_s + distance_s - every_s};
    } else {
        take_pending(search);
    }
}

static bool row_is_empty(const struct qr_slab *slab, uint32_t row)
{
    for (uint32_t d = 0; d < slab->n_dims; d++)
        if (!qr_value_is_empty(qr_slab_at(slab, row, d)))
            return false;
    return true;
}

static void search_rows(struct search *search, struct qr_query *query, uint32_t update_every,
                        int64_t from_s, int64_t to_s)
{
    struct qr_slab slab;
    int64_t proven_s = from_s; /* All up to here is looked at. */
    uint32_t n_bad = 0;
    bool blind = false; /* A file behind proven_s cannot be read: it may hold what seems missing. */
    int err;
    while ((err = qr_query_next(query, &slab)) == 1) {
        blind = blind || qr_query_n_bad(query) != n_bad;
        n_bad = qr_query_n_bad(query);
        for (uint32_t row = 0; row < slab.n_rows; row++) {
            int64_t end_s = slab.first_s + (int64_t)row * slab.step_s;
            if (row_is_empty(&slab, row))
                continue;
            if (blind) {
                take_pending(search);
                search->stride_s = 0;
                search->n_strides = 0;
            } else {
                note_distance(search, proven_s, end_s - proven_s, (int64_t)update_every);
            }
            proven_s = end_s;
            blind = false;
        }
    }
    take_pending(search);
    blind = blind || err != 0 || qr_query_n_bad(query) != n_bad;
    if (!blind && to_s - proven_s >= (int64_t)update_every)
        add_missing(search, proven_s, to_s);
}

/* All recorded gaps of the chart that the test lets stay, sorted: one that is left out would be
 * asked for again for ever. */
typedef bool gap_test(const void *data, struct qr_gap *gap);

static bool take_gaps(struct search *search, const struct qr_store *store, uint32_t chart_id,
                      gap_test *stays, const void *data)
{
    unsigned n = qr_store_gaps(store, chart_id, NULL, 0), n_now;
    search->gaps = malloc((n + 1) * sizeof *search->gaps);
    if (search->gaps == NULL)
        return false;
    n_now = qr_store_gaps(store, chart_id, search->gaps, n);
    for (unsigned i = 0; i < (n_now < n ? n_now : n); i++)
        if (stays(data, &search->gaps[i]))
            search->gaps[search->n_gaps++] = search->gaps[i];
    qsort(search->gaps, search->n_gaps, sizeof *search->gaps, compare_gaps);
    return true;
}

/* Of one that the source contradicts, what is older than all that it has. */
static bool is_final(const void *data, struct qr_gap *gap)
{
    const struct qr_feed_source *source = data;
    bool contradicted =
        (source->refills || gap->reason == QR_GAP_RETENTION) && !QR_PLANT(gap_is_final);
    if (contradicted && source->first_s != 0 && source->first_s < gap->before_s)
        gap->before_s = source->first_s;
    return gap->after_s < gap->before_s;
}

static int64_t search_from_s(const struct qr_store *store, const struct qr_chart *chart,
                             const struct qr_feed_source *source, int64_t until_s)
{
    int64_t from_s = qr_chart_first_s(chart), edge_s = qr_store_edge(store, 0);
    if (source->refills && source->first_s != 0 && source->first_s < from_s)
        from_s = source->first_s;
    if (from_s < edge_s)
        from_s = edge_s; /* Before it samples are not stored. */
    if (from_s < until_s - QR_HOLES_LOOKBACK_S)
        from_s = until_s - QR_HOLES_LOOKBACK_S;
    return from_s - from_s % (int64_t)atomic_load(&chart->def)->update_every;
}

uint32_t qr_holes_find(struct qr_store *store, uint32_t chart_id,
                       const struct qr_feed_source *source, int64_t until_s,
                       struct qr_stream_hole *holes, uint32_t max)
{
    struct search search = {.holes = holes, .max = max};
    struct qr_query *query;
    int slot = qr_store_enter(store);
    struct qr_chart *chart = qr_store_chart_by_id(store, chart_id);
    if (chart != NULL && until_s > 0 && take_gaps(&search, store, chart_id, is_final, source)) {
        int64_t from_s = search_from_s(store, chart, source, until_s);
        if (from_s < until_s && qr_query_open(&query, store, chart, from_s + 1, until_s) == 0) {
            search_rows(&search, query, atomic_load(&chart->def)->update_every, from_s, until_s);
            qr_query_close(query);
        }
    }
    qr_store_leave(store, slot);
    free(search.gaps);
    return search.n;
}

/* ---- gaps that are recorded already ---- */

struct recording {
    struct qr_gap *gaps; /* What is left of each. */
    struct given {
        uint32_t chart, at;
        int64_t after_s, before_s;
    } given[QR_NOTE_GAPS_MAX]; /* As they came, by chart and begin. */
    uint32_t n;
};

static int compare_given(const void *a, const void *b)
{
    const struct given *x = a;
    const struct given *y = b;
    if (x->chart != y->chart)
        return x->chart < y->chart ? -1 : 1;
    return (x->after_s > y->after_s) - (x->after_s < y->after_s);
}

/* How many of the given ones belong before a gap of the chart that begins there. */
static uint32_t count_before(const struct recording *recording, uint32_t chart, int64_t after_s)
{
    const struct given at = {.chart = chart, .after_s = after_s};
    uint32_t low = 0, high = recording->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (compare_given(&recording->given[middle], &at) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What would leave a rest on either side leaves the whole. */
static void trim(struct qr_gap *gap, const struct qr_gap *recorded)
{
    if (recorded->reason != gap->reason && recorded->reason == QR_GAP_RETENTION)
        return;
    if (recorded->after_s <= gap->after_s && recorded->before_s > gap->after_s)
        gap->after_s = recorded->before_s;
    else if (recorded->before_s >= gap->before_s && recorded->after_s < gap->before_s)
        gap->before_s = recorded->after_s;
}

static void trim_given(void *data, const struct qr_gap *recorded)
{
    struct recording *recording = data;
    const struct given *given = recording->given;
    if (recorded->chart < given[0].chart || recorded->chart > given[recording->n - 1].chart)
        return;
    for (uint32_t i = count_before(recording, recorded->chart, recorded->before_s);
         i > 0 && given[i - 1].chart == recorded->chart &&
         given[i - 1].before_s > recorded->after_s;
         i--)
        trim(&recording->gaps[given[i - 1].at], recorded);
}

uint32_t qr_holes_drop_recorded(struct qr_store *store, struct qr_gap *gaps, uint32_t n)
{
    struct recording recording = {.gaps = gaps, .n = n};
    uint32_t n_left = 0;
    if (n == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        recording.given[i] = (struct given){gaps[i].chart, i, gaps[i].after_s, gaps[i].before_s};
    qsort(recording.given, n, sizeof recording.given[0], compare_given);
    int slot = qr_store_enter(store);
    qr_store_each_gap(store, trim_given, &recording);
    qr_store_leave(store, slot);
    for (uint32_t i = 0; i < n; i++)
        if (gaps[i].after_s < gaps[i].before_s)
            gaps[n_left++] = gaps[i];
    return n_left;
}
