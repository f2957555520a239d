#include "proto/chart.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "proto/number.h"

/* Up to this many dimensions a scan beats a map. */
#define SCAN_MAX         16u
#define PRIORITY_DEFAULT 1000

static void free_chart(struct qr_chart *chart)
{
    for (uint32_t i = 0; i < chart->pub.n_dims; i++) {
        const struct qr_stream_dim *dim = &chart->pub.dims[i];
        if (dim->name.base != dim->id.base)
            free((char *)dim->name.base);
        free((char *)dim->id.base);
    }
    free(chart->pub.dims);
    free(chart->arith_dims);
    qr_replication_release(&chart->replication);
    qr_label_set_release(&chart->labels);
    qr_map_release(&chart->dims_by_id);
    free(chart->text);
    free(chart);
}

void qr_charts_release(struct qr_charts *charts)
{
    for (uint32_t i = 0; i < charts->n; i++)
        free_chart(charts->at[i]);
    free(charts->at);
    qr_map_release(&charts->by_id);
    *charts = (struct qr_charts){0};
}

/* ---- words ---- */

static bool has(struct qr_slice text, const char *part)
{
    return memmem(text.base, text.len, part, strlen(part)) != NULL;
}

/* An optional integer; `fallback` for the empty word. */
static int optional_int(struct qr_slice word, int64_t fallback, int64_t *value)
{
    *value = fallback;
    return word.len == 0 ? 0 : qr_number_int(word, value);
}

/* Ids and names go into requests, logs and the store: no control bytes, and no '"', which would end
 * the quoted word of a request. */
static bool is_good_name(struct qr_slice name)
{
    if (name.len > QR_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.base[i] < ' ' || name.base[i] == '"')
            return false;
    return true;
}

static int spend(struct qr_charts *charts, size_t bytes)
{
    if (bytes > QR_DEFINITION_BYTES_MAX - charts->bytes)
        return QR_E_LIMIT;
    charts->bytes += bytes;
    return 0;
}

/* ---- charts ---- */

static int grow_charts(struct qr_charts *charts)
{
    uint32_t capacity = charts->capacity != 0 ? charts->capacity * 2 : 64;
    struct qr_chart **at = realloc(charts->at, capacity * sizeof(struct qr_chart *));
    if (at == NULL)
        return UV_ENOMEM;
    charts->at = at;
    charts->capacity = capacity;
    return 0;
}

static int add_chart(struct qr_charts *charts, struct qr_slice id, struct qr_chart **chart)
{
    if (charts->n == QR_CHARTS_PER_HOST_MAX)
        return QR_E_LIMIT;
    int err = charts->n == charts->capacity ? grow_charts(charts) : 0;
    if (err == 0)
        err = spend(charts, sizeof(struct qr_chart) + id.len);
    if (err != 0)
        return err;
    struct qr_chart *c = calloc(1, sizeof *c + id.len);
    if (c == NULL)
        return UV_ENOMEM;
    memcpy(c->id, id.base, id.len);
    c->pub.id = qr_slice_of(c->id, id.len);
    c->pub.slot = charts->n;
    err = qr_map_set(&charts->by_id, c->pub.id, c);
    if (err != 0) {
        free(c);
        return err;
    }
    charts->at[charts->n++] = c;
    *chart = c;
    return 0;
}

static enum qr_chart_type parse_type(struct qr_slice word)
{
    if (qr_slice_is(word, "area"))
        return QR_CHART_AREA;
    if (qr_slice_is(word, "stacked"))
        return QR_CHART_STACKED;
    return qr_slice_is(word, "heatmap") ? QR_CHART_HEATMAP : QR_CHART_LINE;
}

static unsigned parse_chart_flags(struct qr_slice options)
{
    return (has(options, "obsolete") ? QR_CHART_OBSOLETE : 0) |
           (has(options, "detail") ? QR_CHART_DETAIL : 0) |
           (has(options, "store_first") ? QR_CHART_STORE_FIRST : 0) |
           (has(options, "hidden") ? QR_CHART_HIDDEN : 0);
}

/* The parts of "type.id", both non-empty. */
static bool split_id(struct qr_slice id, struct qr_slice *type, struct qr_slice *rest)
{
    const char *dot = id.len > 0 ? memchr(id.base, '.', id.len) : NULL;
    if (dot == NULL || dot == id.base || dot + 1 == id.base + id.len)
        return false;
    *type = qr_slice_of(id.base, (size_t)(dot - id.base));
    *rest = qr_slice_of(dot + 1, id.len - type->len - 1);
    return true;
}

static char *append(char *p, struct qr_slice text)
{
    memcpy(p, text.base, text.len);
    return p + text.len;
}

/* Copies the descriptive words into one block that the chart owns.  Those that are only shown are
 * cut to the limit of names. */
static int set_texts(struct qr_charts *charts, struct qr_chart *chart, struct qr_args args)
{
    struct qr_stream_chart *pub = &chart->pub;
    const struct {
        struct qr_slice *field;
        size_t word;
    } rows[] = {{&pub->title, 2},   {&pub->units, 3},   {&pub->family, 4},
                {&pub->context, 5}, {&pub->plugin, 10}, {&pub->module, 11}};
    struct qr_slice type, rest, name = qr_args_get(args, 1);
    bool split = split_id(pub->id, &type, &rest);
    assert(split);
    bool unnamed = name.len == 0 || qr_slice_is(name, "NULL") || qr_slice_equal(name, rest) ||
                   qr_slice_equal(name, pub->id) || type.len + 1 + name.len > QR_NAME_BYTES_MAX;

    size_t bytes = type.len + 1 + name.len;
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        bytes += qr_args_get(args, rows[i].word).len;
    charts->bytes -= chart->text_bytes;
    chart->text_bytes = 0;
    int err = spend(charts, bytes);
    if (err != 0)
        return err;
    char *text = malloc(bytes);
    if (text == NULL)
        return UV_ENOMEM;
    char *p = append(append(append(text, type), qr_slice_str(".")), name);
    struct qr_slice full = qr_slice_of(text, (size_t)(p - text));
    pub->name = unnamed ? pub->id : full;
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        struct qr_slice word = qr_args_get(args, rows[i].word);
        size_t len = word.len < QR_NAME_BYTES_MAX ? word.len : QR_NAME_BYTES_MAX;
        *rows[i].field = qr_slice_of(p, len);
        p = append(p, word);
    }
    free(chart->text);
    chart->text = text;
    chart->text_bytes = bytes;
    return 0;
}

int qr_charts_define(struct qr_charts *charts, struct qr_args args, uint32_t update_every,
                     struct qr_chart **chart, const char **reason)
{
    struct qr_slice id = qr_args_get(args, 0), type, rest;
    int64_t priority, every;
    *reason = NULL;
    if (!split_id(id, &type, &rest) || !is_good_name(id))
        *reason = "a chart's id must be type.id, without quotes and control bytes";
    else if (!is_good_name(qr_args_get(args, 1)) || !is_good_name(qr_args_get(args, 5)))
        *reason = "a chart's name or context is not valid";
    else if (optional_int(qr_args_get(args, 7), PRIORITY_DEFAULT, &priority) != 0 ||
             priority < INT32_MIN || priority > INT32_MAX)
        *reason = "a chart's priority is not a number";
    else if (optional_int(qr_args_get(args, 8), 0, &every) != 0 || every < 0 ||
             every > QR_UPDATE_EVERY_MAX)
        *reason = "a chart's update_every is not valid";
    if (*reason != NULL)
        return QR_E_MALFORMED;

    struct qr_chart *c = qr_charts_find(charts, id);
    bool is_new = c == NULL;
    int err = is_new ? add_chart(charts, id, &c) : 0;
    if (err == 0)
        err = set_texts(charts, c, args);
    if (err != 0)
        return err;
    struct qr_stream_chart *pub = &c->pub;
    pub->type = parse_type(qr_args_get(args, 6));
    pub->priority = (int)priority;
    pub->update_every = every != 0 ? (uint32_t)every : update_every;
    pub->flags = parse_chart_flags(qr_args_get(args, 9));
    bool store_first = (pub->flags & QR_CHART_STORE_FIRST) != 0;
    if (is_new)
        qr_arith_chart_init(&c->arith, pub->update_every, store_first);
    else
        qr_arith_chart_redefine(&c->arith, pub->update_every, store_first);
    c->dirty = true;
    *chart = c;
    return 0;
}

struct qr_chart *qr_charts_find(struct qr_charts *charts, struct qr_slice id)
{
    struct qr_chart *last = charts->last;
    if (last != NULL && last->follower != NULL && qr_slice_equal(last->follower->pub.id, id)) {
        charts->last = last->follower;
        return last->follower;
    }
    struct qr_chart *chart = qr_map_get(&charts->by_id, id);
    if (chart == NULL)
        return NULL;
    if (last != NULL)
        last->follower = chart;
    charts->last = chart;
    return chart;
}

/* ---- dimensions ---- */

static enum qr_algorithm parse_algorithm(struct qr_slice word)
{
    if (qr_slice_is(word, "incremental"))
        return QR_ALGORITHM_INCREMENTAL;
    if (qr_slice_is(word, "percentage-of-absolute-row"))
        return QR_ALGORITHM_PCENT_ROW;
    return qr_slice_is(word, "percentage-of-incremental-row") ? QR_ALGORITHM_PCENT_DELTA
                                                              : QR_ALGORITHM_ABSOLUTE;
}

static unsigned parse_dim_flags(struct qr_slice options)
{
    return (has(options, "obsolete") ? QR_DIM_OBSOLETE : 0) |
           (has(options, "hidden") ? QR_DIM_HIDDEN : 0) |
           (has(options, "noreset") || has(options, "nooverflow") ? QR_DIM_NORESET : 0);
}

static int grow_dims(struct qr_charts *charts, struct qr_chart *chart)
{
    uint32_t capacity = chart->dims_capacity != 0 ? chart->dims_capacity * 2 : 2;
    int err = spend(charts, (capacity - chart->dims_capacity) *
                                (sizeof *chart->pub.dims + sizeof *chart->arith_dims));
    if (err != 0)
        return err;
    struct qr_stream_dim *dims = realloc(chart->pub.dims, capacity * sizeof *dims);
    if (dims == NULL)
        return UV_ENOMEM;
    chart->pub.dims = dims;
    struct qr_arith_dim *arith = realloc(chart->arith_dims, capacity * sizeof *arith);
    if (arith == NULL)
        return UV_ENOMEM;
    chart->arith_dims = arith;
    chart->dims_capacity = capacity;
    return 0;
}

/* The map's values are places + 1: NULL means that there is none. */
static int index_dims(struct qr_chart *chart)
{
    uint32_t from = chart->dims_by_id.n == 0 ? 0 : chart->pub.n_dims - 1;
    for (uint32_t i = from; chart->pub.n_dims > SCAN_MAX && i < chart->pub.n_dims; i++) {
        int err = qr_map_set(&chart->dims_by_id, chart->pub.dims[i].id, (void *)(uintptr_t)(i + 1));
        if (err != 0)
            return err;
    }
    return 0;
}

static char *copy(struct qr_slice text)
{
    char *p = malloc(text.len + 1);
    if (p != NULL)
        memcpy(p, text.base, text.len);
    return p;
}

static int add_dim(struct qr_charts *charts, struct qr_chart *chart, struct qr_slice id)
{
    if (chart->pub.n_dims == QR_DIMS_PER_CHART_MAX)
        return QR_E_LIMIT;
    int err = chart->pub.n_dims == chart->dims_capacity ? grow_dims(charts, chart) : 0;
    if (err == 0)
        err = spend(charts, id.len);
    if (err != 0)
        return err;
    char *text = copy(id);
    if (text == NULL)
        return UV_ENOMEM;
    struct qr_slice own = qr_slice_of(text, id.len);
    /* Whole from the start: what follows may fail. */
    qr_arith_dim_init(&chart->arith_dims[chart->pub.n_dims], QR_ALGORITHM_ABSOLUTE, 1, 1, false);
    chart->pub.dims[chart->pub.n_dims++] =
        (struct qr_stream_dim){.id = own, .name = own, .multiplier = 1, .divisor = 1};
    if (chart->pub.n_dims > charts->dims_max)
        charts->dims_max = chart->pub.n_dims;
    return index_dims(chart);
}

static int name_dim(struct qr_charts *charts, struct qr_stream_dim *dim, struct qr_slice name)
{
    if (name.len == 0)
        name = dim->id;
    if (qr_slice_equal(dim->name, name))
        return 0;
    struct qr_slice own = dim->id;
    if (!qr_slice_equal(name, dim->id)) {
        int err = spend(charts, name.len);
        if (err != 0)
            return err;
        own = qr_slice_of(copy(name), name.len);
        if (own.base == NULL)
            return UV_ENOMEM;
    }
    if (dim->name.base != dim->id.base) {
        charts->bytes -= dim->name.len;
        free((char *)dim->name.base);
    }
    dim->name = own;
    return 0;
}

int qr_charts_dimension(struct qr_charts *charts, struct qr_chart *chart, struct qr_args args,
                        const char **reason)
{
    struct qr_slice id = qr_args_get(args, 0);
    int64_t multiplier, divisor;
    *reason = NULL;
    if (id.len == 0 || !is_good_name(id) || !is_good_name(qr_args_get(args, 1)))
        *reason = "a dimension's id or name is not valid";
    else if (optional_int(qr_args_get(args, 3), 1, &multiplier) != 0 ||
             optional_int(qr_args_get(args, 4), 1, &divisor) != 0)
        *reason = "a dimension's multiplier or divisor is not a number";
    if (*reason != NULL)
        return QR_E_MALFORMED;

    uint32_t i = qr_chart_find_dim(chart, id);
    bool is_new = i == UINT32_MAX;
    int err = is_new ? add_dim(charts, chart, id) : 0;
    if (is_new)
        i = chart->pub.n_dims - 1;
    if (err == 0)
        err = name_dim(charts, &chart->pub.dims[i], qr_args_get(args, 1));
    if (err != 0)
        return err;
    struct qr_stream_dim *dim = &chart->pub.dims[i];
    dim->algorithm = parse_algorithm(qr_args_get(args, 2));
    dim->multiplier = multiplier != 0 ? multiplier : 1;
    dim->divisor = divisor != 0 ? divisor : 1;
    dim->flags = parse_dim_flags(qr_args_get(args, 5));
    (is_new ? qr_arith_dim_init : qr_arith_dim_redefine)(&chart->arith_dims[i], dim->algorithm,
                                                         dim->multiplier, dim->divisor,
                                                         (dim->flags & QR_DIM_NORESET) != 0);
    chart->dirty = true;
    return 0;
}

uint32_t qr_chart_find_dim_slow(struct qr_chart *chart, struct qr_slice id)
{
    uint32_t i = 0;
    if (chart->pub.n_dims > SCAN_MAX) {
        i = (uint32_t)(uintptr_t)qr_map_get(&chart->dims_by_id, id);
        if (i-- == 0)
            return UINT32_MAX;
    } else {
        while (i < chart->pub.n_dims && !qr_slice_equal(chart->pub.dims[i].id, id))
            i++;
        if (i == chart->pub.n_dims)
            return UINT32_MAX;
    }
    chart->next_dim = i + 1;
    return i;
}

static size_t label_bytes(const struct qr_label_set *set)
{
    size_t bytes = set->capacity * sizeof *set->labels;
    for (uint32_t i = 0; i < set->n; i++)
        bytes += set->labels[i].name.len + set->labels[i].value.len;
    return bytes;
}

int qr_chart_set_labels(struct qr_charts *charts, struct qr_chart *chart,
                        struct qr_label_set *labels)
{
    size_t bytes = label_bytes(labels);
    charts->bytes -= chart->label_bytes;
    if (spend(charts, bytes) != 0) {
        charts->bytes += chart->label_bytes;
        return QR_E_LIMIT;
    }
    chart->label_bytes = bytes;
    qr_label_set_move(&chart->labels, labels);
    chart->pub.labels = chart->labels.labels;
    chart->pub.n_labels = chart->labels.n;
    chart->dirty = true;
    return 0;
}
