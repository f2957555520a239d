#include "node/jsonwrap.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <uv.h>

#include "base/json.h"
#include "base/pattern.h"
#include "node/options.h"

/* What is being written. */
struct wrap {
    struct qr_buf *out;
    struct qr_data_query *query;
    const struct qr_api_call *call;
    const struct qr_table *table;
};

static void add(const struct wrap *w, const char *text)
{
    qr_buf_add_str(w->out, text);
}

static void add_key(const struct wrap *w, const char *key)
{
    qr_buf_printf(w->out, "   \"%s\": ", key);
}

static void add_i64(const struct wrap *w, const char *key, int64_t v)
{
    qr_buf_printf(w->out, "   \"%s\": %" PRId64 ",\n", key, v);
}

static void add_text(const struct wrap *w, const char *key, const char *text)
{
    add_key(w, key);
    qr_json_quote(w->out, qr_slice_str(text));
    add(w, ",\n");
}

/* ---- the name of a query ---- */

static void add_or_star(struct qr_buf *out, struct qr_slice text)
{
    if (text.len == 0)
        text = qr_slice_str("*");
    qr_buf_add(out, text.base, text.len);
}

static void describe_query(const struct wrap *w, struct qr_buf *id)
{
    const struct qr_data_query *q = w->query;
    if (q->by_context) {
        qr_buf_printf(id, "context://host:%s/contexts:", w->call->def->hostname);
        add_or_star(id, q->context);
        qr_buf_add_str(id, "/instances:");
        add_or_star(id, q->chart);
    } else {
        qr_buf_printf(id, "chart://host:%s/instance:%s", w->call->def->hostname,
                      w->table->columns[0].def->name);
    }
    qr_buf_add_str(id, "/dimensions:");
    add_or_star(id, qr_buf_slice(&q->dimensions));
    qr_buf_printf(id, "/after:%" PRId64 "/before:%" PRId64 "/points:%" PRId64 "/group:%s", q->after,
                  q->before, q->points, q->grouping.name);
    qr_buf_add(id, q->group_options.base, q->group_options.len);
    qr_buf_add_str(id, "/options:");
    qr_options_print(id, q->options);
    if (q->gtime_s > 1)
        qr_buf_printf(id, "/resampling:%" PRId64, q->gtime_s);
    if (q->tier_given)
        qr_buf_printf(id, "/tier:%u", q->tier);
}

static void add_ids(const struct wrap *w)
{
    struct qr_buf id = {0};
    describe_query(w, &id);
    add_key(w, "id");
    qr_json_quote(w->out, qr_buf_slice(&id));
    add(w, ",\n");
    add_key(w, "name");
    qr_json_quote(w->out, qr_buf_slice(&id));
    add(w, ",\n");
    w->out->failed = w->out->failed || id.failed;
    qr_buf_release(&id);
}

/* ---- lists, an element for each column that shows ---- */

typedef void (*add_column_fn)(const struct wrap *w, uint32_t column, const void *data);

static void add_list(const struct wrap *w, add_column_fn add_column, const void *data)
{
    const char *before = "";
    for (uint32_t c = 0; c < w->table->n_columns; c++)
        if (w->table->columns[c].shown) {
            add(w, before);
            add_column(w, c, data);
            before = ", ";
        }
}

static const struct qr_dim_def *dim_of(const struct wrap *w, uint32_t column)
{
    const struct qr_table_column *at = &w->table->columns[column];
    return &at->def->dims[at->dim];
}

static void add_dim_name(const struct wrap *w, uint32_t column, const void *data)
{
    (void)data;
    qr_json_quote(w->out, qr_slice_str(dim_of(w, column)->name));
}

static void add_dim_id(const struct wrap *w, uint32_t column, const void *data)
{
    (void)data;
    qr_json_quote(w->out, qr_slice_str(dim_of(w, column)->id));
}

static void add_chart_id(const struct wrap *w, uint32_t column, const void *data)
{
    (void)data;
    qr_json_quote(w->out, qr_slice_str(w->table->columns[column].def->id));
}

static void add_value(const struct wrap *w, uint32_t column, const void *data)
{
    const double *values = data;
    qr_json_number(w->out, values[column]);
}

struct label_value {
    struct qr_slice key;
    const char *value;
};

static bool on_label(void *data, const char *name, const char *value)
{
    struct label_value *label = data;
    if (!qr_slice_is(label->key, name))
        return true;
    label->value = value;
    return false;
}

static void add_label_value(const struct wrap *w, uint32_t column, const void *data)
{
    struct label_value label = {.key = *(const struct qr_slice *)data};
    qr_api_chart_labels(w->table->columns[column].def, on_label, &label);
    if (label.value == NULL)
        add(w, "null");
    else
        qr_json_quote(w->out, qr_slice_str(label.value));
}

static void add_named_list(const struct wrap *w, const char *key, add_column_fn add_column,
                           const void *data)
{
    add_key(w, key);
    add(w, "[");
    add_list(w, add_column, data);
    add(w, "],\n");
}

static uint32_t n_shown(const struct wrap *w)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < w->table->n_columns; c++)
        n += w->table->columns[c].shown;
    return n;
}

static void add_dimension_lists(const struct wrap *w)
{
    if (n_shown(w) == 0) {
        add(w, "   \"dimension_names\": [\"no data\"],\n   \"dimension_ids\": [\"no data\"],\n");
        return;
    }
    add_named_list(w, "dimension_names", add_dim_name, NULL);
    add_named_list(w, "dimension_ids", add_dim_id, NULL);
}

/* "chart_labels": for each key that was asked for, its value on each column. */
static void add_chart_labels(const struct wrap *w)
{
    struct qr_slice keys = w->query->label_key;
    const char *before = "";
    add(w, "   \"chart_labels\": { ");
    while (keys.len > 0) {
        size_t len = 0;
        while (len < keys.len && strchr(QR_PATTERN_API, keys.base[len]) == NULL)
            len++;
        struct qr_slice key = qr_slice_of(keys.base, len);
        size_t used = len < keys.len ? len + 1 : len;
        keys = qr_slice_of(keys.base + used, keys.len - used);
        if (key.len == 0)
            continue;
        add(w, before);
        qr_json_quote(w->out, key);
        add(w, " : [");
        add_list(w, add_label_value, &key);
        add(w, "]");
        before = ", ";
    }
    add(w, "},\n");
}

/* ---- option all-dimensions: everything that the selected charts have, each once ---- */

/* Pairs of strings that were listed already. */
struct seen {
    struct {
        const char *a, *b;
    } * at;
    size_t n, capacity;
    const struct wrap *w;
    const char *separator;
};

static bool list_pair(void *data, const char *a, const char *b)
{
    struct seen *seen = data;
    for (size_t i = 0; i < seen->n; i++)
        if (strcmp(seen->at[i].a, a) == 0 && strcmp(seen->at[i].b, b) == 0)
            return true;
    if (seen->n == seen->capacity) {
        size_t capacity = seen->capacity != 0 ? 2 * seen->capacity : 64;
        void *grown = realloc(seen->at, capacity * sizeof *seen->at);
        if (grown == NULL) {
            seen->w->out->failed = true;
            return false;
        }
        seen->at = grown;
        seen->capacity = capacity;
    }
    qr_buf_add_str(seen->w->out, seen->n > 0 ? ",[" : "[");
    qr_json_quote(seen->w->out, qr_slice_str(a));
    qr_buf_add_str(seen->w->out, seen->separator);
    qr_json_quote(seen->w->out, qr_slice_str(b));
    qr_buf_add(seen->w->out, "]", 1);
    seen->at[seen->n].a = a;
    seen->at[seen->n++].b = b;
    return true;
}

static void list_dimensions(const struct qr_chart_def *def, struct seen *seen)
{
    for (uint32_t i = 0; i < def->n_dims; i++)
        list_pair(seen, def->dims[i].id, def->dims[i].name);
}

static void list_chart(const struct qr_chart_def *def, struct seen *seen)
{
    list_pair(seen, def->id, def->name);
}

static void list_labels(const struct qr_chart_def *def, struct seen *seen)
{
    qr_api_chart_labels(def, list_pair, seen);
}

static void add_full_list(const struct wrap *w, const char *key, const char *separator,
                          void (*list)(const struct qr_chart_def *def, struct seen *seen))
{
    struct seen seen = {.w = w, .separator = separator};
    add_key(w, key);
    add(w, "[");
    const struct qr_chart *last = NULL;
    for (uint32_t c = 0; c < w->table->n_columns; c++) {
        if (w->table->columns[c].chart != last)
            list(w->table->columns[c].def, &seen);
        last = w->table->columns[c].chart;
    }
    add(w, "],\n");
    free(seen.at);
}

/* ---- values ---- */

static void add_view_latest(const struct wrap *w)
{
    const double *newest =
        &w->table->values[(uint64_t)(w->table->window.n_rows - 1) * w->table->n_columns];
    double *shown = malloc(w->table->n_columns * sizeof *shown);
    if (shown == NULL) {
        w->out->failed = true;
        return;
    }
    bool zero = w->query->options & QR_OPTION_NULL2ZERO;
    for (uint32_t c = 0; c < w->table->n_columns; c++)
        shown[c] = isnan(newest[c]) && zero ? 0 : newest[c];
    add_named_list(w, "view_latest_values", add_value, shown);
    free(shown);
}

static int add_latest(const struct wrap *w)
{
    double *latest = malloc(w->table->n_columns * sizeof *latest);
    if (latest == NULL)
        return UV_ENOMEM;
    int err = qr_table_latest(w->table, w->call->api->store, latest);
    if (err == 0)
        add_named_list(w, "latest_values", add_value, latest);
    free(latest);
    return err;
}

/* Of formats with one number a row the bounds are of those; a null counts as 0. */
static void add_bounds(const struct wrap *w)
{
    double min = w->table->min, max = w->table->max;
    if (qr_format_is_single(w->query->format)) {
        bool any = false;
        for (uint32_t row = 0; row < w->table->window.n_rows; row++) {
            double v = qr_format_row_value(w->table, row, w->query->options);
            if (isnan(v))
                v = 0;
            min = any ? fmin(min, v) : v;
            max = any ? fmax(max, v) : v;
            any = true;
        }
    }
    add(w, ",\n \"min\": ");
    qr_json_number(w->out, min);
    add(w, ",\n \"max\": ");
    qr_json_number(w->out, max);
    add(w, "\n}\n");
}

static void add_anomaly_rates(const struct wrap *w)
{
    struct qr_table rates = *w->table;
    rates.values = w->table->anomalies;
    add(w, ",\n   \"anomaly_rates\": ");
    qr_format_write(w->out, QR_FORMAT_JSON, &rates, w->query->options, true);
}

static int add_result(const struct wrap *w)
{
    enum qr_format format = w->query->format;
    add_key(w, "result");
    if (qr_format_is_json(format))
        return qr_format_write(w->out, format, w->table, w->query->options, true);
    struct qr_buf text = {0};
    int err = qr_format_write(&text, format, w->table, w->query->options, true);
    if (err == 0)
        qr_json_quote(w->out, qr_buf_slice(&text));
    qr_buf_release(&text);
    return err;
}

/* ---- the whole ---- */

static void add_head(const struct wrap *w)
{
    const struct qr_data_query *q = w->query;
    const struct qr_window *window = &w->table->window;
    add(w, "{\n");
    add_i64(w, "api", 1);
    add_ids(w);
    add_i64(w, "view_update_every", window->step_s);
    add_i64(w, "update_every", q->source.update_every);
    add_i64(w, "first_entry", q->source.first_s);
    add_i64(w, "last_entry", q->source.last_s);
    add_i64(w, "before", window->before_s);
    add_i64(w, "after", window->after_s);
    add_text(w, "group", q->grouping.name);
    add(w, "   \"options\": \"");
    qr_options_print(w->out, q->options_shown);
    add(w, "\",\n");
    add_dimension_lists(w);
    if (q->options & QR_OPTION_ALL_DIMENSIONS) {
        add_full_list(w, "full_dimension_list", ",", list_dimensions);
        add_full_list(w, "full_chart_list", ",", list_chart);
        add_full_list(w, "full_chart_labels", ", ", list_labels);
    }
    add(w, "   \"functions\": [],\n");
    if (q->by_context) {
        add_named_list(w, "chart_ids", add_chart_id, NULL);
        if (q->label_key.len > 0)
            add_chart_labels(w);
    }
}

int qr_jsonwrap_write(struct qr_buf *out, struct qr_data_query *query,
                      const struct qr_api_call *call)
{
    struct wrap w = {out, query, call, &query->table};
    add_head(&w);
    int err = add_latest(&w);
    if (err != 0)
        return err;
    add_view_latest(&w);
    add_i64(&w, "dimensions", n_shown(&w));
    add_i64(&w, "points", w.table->window.n_rows);
    /* 1.37 knows no name for that one. */
    add_text(&w, "format",
             query->format == QR_FORMAT_CSVJSONARRAY ? "unknown" : qr_format_name(query->format));
    const uint64_t *n_points = w.table->n_points;
    qr_buf_printf(out, "   \"db_points_per_tier\": [ %" PRIu64 ", %" PRIu64 ", %" PRIu64 " ],\n",
                  n_points[0], n_points[1], n_points[2]);
    static_assert(QR_TIERS == 3, "one number for each tier");
    err = add_result(&w);
    if (err != 0)
        return err;
    if (w.table->anomalies != NULL && query->format == QR_FORMAT_JSON)
        add_anomaly_rates(&w);
    add_bounds(&w);
    return out->failed ? UV_ENOMEM : 0;
}
