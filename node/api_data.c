#include "node/api_data.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/json.h"
#include "base/pattern.h"
#include "node/jsonwrap.h"
#include "node/options.h"
#include "node/select.h"
#include "storage/rollup.h"

#define DEFAULT_AFTER_S (-600)

static const char no_metrics[] = "No metrics where matched to query.";

/* ---- parameters ---- */

/* A decimal number at the front of the text, as far as it goes; 0 for none. */
static int64_t number_of(struct qr_slice text)
{
    bool negative = text.len > 0 && text.base[0] == '-';
    int64_t v = 0;
    for (size_t i = negative || (text.len > 0 && text.base[0] == '+'); i < text.len; i++) {
        if (!isdigit((unsigned char)text.base[i]) || v > INT64_MAX / 100)
            break;
        v = 10 * v + (text.base[i] - '0');
    }
    return negative ? -v : v;
}

/* A name that may stand in a header or in a script: other bytes become '_'. */
static void copy_safe(char *to, size_t to_bytes, struct qr_slice from)
{
    size_t n = 0;
    for (; n < from.len && n + 1 < to_bytes; n++) {
        char c = from.base[n];
        bool safe = isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
        to[n] = safe && (unsigned char)c < 0x80 ? c : '_';
    }
    to[n] = '\0';
}

/* Google's own parameters: key:value;key:value.. */
static void read_tqx(struct qr_data_query *q, struct qr_slice text)
{
    while (text.len > 0) {
        const char *end = memchr(text.base, ';', text.len);
        struct qr_slice pair = qr_slice_of(text.base, end ? (size_t)(end - text.base) : text.len);
        size_t used = pair.len + (end != NULL);
        text = qr_slice_of(text.base + used, text.len - used);
        const char *colon = memchr(pair.base, ':', pair.len);
        if (colon == NULL)
            continue;
        struct qr_slice name = qr_slice_of(pair.base, (size_t)(colon - pair.base));
        struct qr_slice value = qr_slice_of(colon + 1, pair.len - name.len - 1);
        if (qr_slice_is(name, "version"))
            copy_safe(q->version, sizeof q->version, value);
        else if (qr_slice_is(name, "reqId"))
            copy_safe(q->request_id, sizeof q->request_id, value);
        else if (qr_slice_is(name, "sig"))
            copy_safe(q->signature, sizeof q->signature, value);
        else if (qr_slice_is(name, "out"))
            q->format =
                qr_slice_is(value, "json") ? QR_FORMAT_DATATABLE_JSONP : qr_format_parse(value);
        else if (qr_slice_is(name, "responseHandler"))
            copy_safe(q->callback, sizeof q->callback, value);
        else if (qr_slice_is(name, "outFileName"))
            copy_safe(q->filename, sizeof q->filename, value);
    }
}

static bool is_any(struct qr_slice name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (qr_slice_is(name, *names))
            return true;
    return false;
}

static void read_text_param(struct qr_data_query *q, struct qr_slice name, struct qr_slice value)
{
    static const char *const dimensions[] = {"dimension", "dim", "dimensions", "dims", NULL};
    if (qr_slice_is(name, "chart"))
        q->chart = value;
    else if (qr_slice_is(name, "context"))
        q->context = value;
    else if (qr_slice_is(name, "chart_label_key"))
        q->label_key = value;
    else if (qr_slice_is(name, "chart_labels_filter"))
        q->label_filter = value;
    else if (is_any(name, dimensions)) {
        qr_buf_add(&q->dimensions, "|", 1);
        qr_buf_add(&q->dimensions, value.base, value.len);
    } else if (qr_slice_is(name, "show_dimensions"))
        q->options |= QR_OPTION_ALL_DIMENSIONS;
    else if (qr_slice_is(name, "format"))
        q->format = qr_format_parse(value);
    else if (qr_slice_is(name, "options"))
        q->options |= qr_options_parse(value);
    else if (qr_slice_is(name, "callback"))
        copy_safe(q->callback, sizeof q->callback, value);
    else if (qr_slice_is(name, "filename"))
        copy_safe(q->filename, sizeof q->filename, value);
    else if (qr_slice_is(name, "tqx"))
        read_tqx(q, value);
}

static void read_params(struct qr_data_query *q, const struct qr_http_request *request)
{
    struct qr_slice group = qr_http_param(request, "group");
    *q = (struct qr_data_query){.after = DEFAULT_AFTER_S,
                                .format = QR_FORMAT_JSON,
                                .version = "0.6",
                                .request_id = "0",
                                .signature = "0"};
    q->group_options = qr_http_param(request, "group_options");
    qr_grouping_parse(&q->grouping, group, q->group_options);
    for (uint32_t i = 0; i < request->n_params; i++)
        if (request->params[i].value.len > 0)
            read_text_param(q, request->params[i].name, request->params[i].value);
    struct qr_slice after = qr_http_param(request, "after");
    if (after.len > 0)
        q->after = number_of(after);
    q->before = number_of(qr_http_param(request, "before"));
    q->points = number_of(qr_http_param(request, "points"));
    q->gtime_s = number_of(qr_http_param(request, "gtime"));
    struct qr_slice tier = qr_http_param(request, "tier");
    int64_t number = number_of(tier);
    if (tier.len == 0 || number >= QR_TIERS)
        return;
    q->tier_given = true;
    q->tier = number > 0 ? (unsigned)number : 0;
    q->options |= QR_OPTION_SELECTED_TIER;
}

/* ---- what it selects ---- */

static bool name_matches(const struct qr_data_query *q, struct qr_slice pattern, const char *id,
                         const char *name)
{
    uint32_t which = q->options & (QR_OPTION_MATCH_IDS | QR_OPTION_MATCH_NAMES);
    bool ids = which == 0 || (which & QR_OPTION_MATCH_IDS);
    bool names = which == 0 || (which & QR_OPTION_MATCH_NAMES);
    return (ids && qr_pattern_matches(pattern, QR_PATTERN_API, qr_slice_str(id))) ||
           (names && qr_pattern_matches(pattern, QR_PATTERN_API, qr_slice_str(name)));
}

static int add_dimensions(struct qr_data_query *q, const struct qr_chart *chart,
                          const struct qr_chart_def *def)
{
    struct qr_slice pattern = qr_buf_slice(&q->dimensions);
    bool everything = q->options & QR_OPTION_PERCENTAGE;
    for (uint32_t i = 0; i < def->n_dims; i++) {
        const struct qr_dim_def *dim = &def->dims[i];
        struct qr_table_column column = {.chart = chart, .def = def, .dim = i};
        column.chosen = pattern.len > 0 && name_matches(q, pattern, dim->id, dim->name);
        column.shown = pattern.len > 0 ? column.chosen : (dim->flags & QR_DIM_HIDDEN) == 0;
        if (!column.shown && !everything)
            continue;
        int err = qr_table_add(&q->table, &column);
        if (err != 0)
            return err;
    }
    return 0;
}

/* A chart with nothing stored near the window is left out. */
static bool has_retention(const struct qr_data_query *q, const struct qr_chart *chart,
                          const struct qr_chart_def *def, int64_t now_s)
{
    int64_t after = q->after, before = q->before, margin_s = 2 * (int64_t)def->update_every;
    qr_window_absolute(&after, &before, now_s);
    int64_t first_s = qr_chart_first_s(chart);
    return first_s != 0 && first_s - margin_s <= before && chart->watermark_s + margin_s >= after;
}

static int add_chart(struct qr_data_query *q, const struct qr_chart *chart, int64_t now_s)
{
    const struct qr_chart_def *def = chart->def;
    if (!qr_select_labels_match(def, q->label_key, false) ||
        !qr_select_labels_match(def, q->label_filter, false) ||
        !has_retention(q, chart, def, now_s))
        return 0;
    uint32_t n_before = q->table.n_columns;
    int err = add_dimensions(q, chart, def);
    if (err != 0 || q->table.n_columns == n_before)
        return err;
    int64_t first_s = qr_chart_first_s(chart), last_s = chart->watermark_s;
    if (q->source.first_s == 0 || first_s < q->source.first_s)
        q->source.first_s = first_s;
    if (last_s > q->source.last_s)
        q->source.last_s = last_s;
    return 0;
}

static void note_interval(struct qr_data_query *q, const struct qr_chart_def *def)
{
    if (q->source.update_every == 0 || def->update_every < q->source.update_every)
        q->source.update_every = def->update_every;
}

/* All charts of a context (exactly, or as a pattern if there is no such context; none given: any),
 * of which `chart` selects some. */
static int select_by_context(struct qr_data_query *q, const struct qr_api_call *call)
{
    const struct qr_store *store = call->api->store;
    const struct qr_select select = {
        .context = q->context, .pattern = !qr_select_has_context(store, call->host, q->context)};
    const struct qr_chart **charts;
    uint32_t n;
    int err = qr_select_charts(store, call->host, &select, &charts, &n);
    if (err != 0)
        return err;
    q->by_context = true;
    for (uint32_t i = 0; i < n && err == 0; i++) {
        const struct qr_chart_def *def = charts[i]->def;
        bool chosen = q->chart.len == 0 || name_matches(q, q->chart, def->id, def->name);
        if (chosen || q->context.len > 0)
            note_interval(q, def);
        err = chosen ? add_chart(q, charts[i], call->now_s - 1) : 0;
    }
    free(charts);
    return err;
}

static int select_columns(struct qr_data_query *q, const struct qr_api_call *call)
{
    if (call->host == NULL)
        return 0;
    const struct qr_chart *chart = NULL;
    if (q->context.len == 0)
        chart = qr_store_chart_find(call->api->store, call->host, q->chart);
    if (chart == NULL)
        return select_by_context(q, call);
    note_interval(q, chart->def);
    return add_chart(q, chart, call->now_s - 1);
}

/* ---- reading ---- */

static int resolve(struct qr_data_query *q, int64_t now_s)
{
    struct qr_window_request request = {.after = q->after,
                                        .before = q->before,
                                        .points = q->points,
                                        .gtime_s = q->gtime_s,
                                        .tier_s = qr_tier_step(q->tier),
                                        .unaligned = q->options & QR_OPTION_UNALIGNED,
                                        .natural = q->options & QR_OPTION_NATURAL_POINTS,
                                        .virtual = q->options & QR_OPTION_VIRTUAL_POINTS};
    int err = qr_window_resolve(&q->table.window, &request, &q->source, now_s);
    q->options_shown =
        q->options & ~(unsigned)(QR_OPTION_NATURAL_POINTS | QR_OPTION_VIRTUAL_POINTS);
    q->options_shown |=
        q->table.window.natural ? QR_OPTION_NATURAL_POINTS : QR_OPTION_VIRTUAL_POINTS;
    return err;
}

/* Dimensions that are gone show only where they have values. */
static void drop_obsolete(struct qr_table *table)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        struct qr_table_column *column = &table->columns[i];
        if ((column->def->dims[column->dim].flags & QR_DIM_OBSOLETE) && !column->has_value)
            column->shown = false;
    }
}

static int read_table(struct qr_data_query *q, const struct qr_api_call *call)
{
    struct qr_table_read read = {.store = call->api->store,
                                 .grouping = &q->grouping,
                                 .one_tier = q->tier_given,
                                 .tier = q->tier,
                                 .anomaly_bit = q->options & QR_OPTION_ANOMALY_BIT,
                                 .anomaly_rates = (q->options & QR_OPTION_JSONWRAP) &&
                                                  (q->options & QR_OPTION_JW_ANOMALY_RATES)};
    int err = qr_table_read(&q->table, &read);
    if (err != 0)
        return err;
    drop_obsolete(&q->table);
    qr_table_view(&q->table, q->options);
    return 0;
}

/* ---- the answer ---- */

/* Google's envelope: the client says what it has, and may hear that it is still good. */
static int write_datasource(struct qr_data_query *q, struct qr_buf *out, const struct qr_buf *table)
{
    bool known = strtoll(q->signature, NULL, 10) >= q->source.last_s;
    const char *handler =
        q->callback[0] != '\0' ? q->callback : "google.visualization.Query.setResponse";
    qr_buf_printf(out, "%s({version:'%s',reqId:'%s',status:'%s',", handler, q->version,
                  q->request_id, known ? "error" : "ok");
    if (known)
        return qr_buf_add_str(out,
                              "errors:[{reason:'not_modified',message:'Data not modified'}]});");
    qr_buf_printf(out, "sig:'%" PRId64 "',table:", q->source.last_s);
    qr_buf_add(out, table->base, table->len);
    return qr_buf_add_str(out, "});");
}

static int write_body(struct qr_data_query *q, const struct qr_api_call *call, struct qr_buf *out)
{
    bool called = q->format == QR_FORMAT_JSONP;
    bool datasource = q->format == QR_FORMAT_DATATABLE_JSONP && !(q->options & QR_OPTION_JSONWRAP);
    if (called)
        qr_buf_printf(out, "%s(", q->callback[0] != '\0' ? q->callback : "callback");
    int err;
    if (q->options & QR_OPTION_JSONWRAP) {
        err = qr_jsonwrap_write(out, q, call);
    } else if (datasource) {
        struct qr_buf table = {0};
        err = qr_format_write(&table, q->format, &q->table, q->options, false);
        if (err == 0)
            err = write_datasource(q, out, &table);
        qr_buf_release(&table);
    } else {
        err = qr_format_write(out, q->format, &q->table, q->options, false);
    }
    if (called)
        qr_buf_add_str(out, ");");
    return err;
}

static void refuse_for(struct qr_api_call *call, int err)
{
    struct qr_slice nothing = qr_slice_of("", 0);
    if (err == QR_E_UNKNOWN)
        qr_api_refuse(call, 404, QR_HTTP_TEXT, no_metrics, nothing);
    else
        qr_api_refuse(call, 500, QR_HTTP_TEXT,
                      "Cannot generate output with these parameters on this chart.", nothing);
}

static int answer(struct qr_data_query *q, struct qr_api_call *call)
{
    int err = select_columns(q, call);
    if (err == 0 && q->table.n_columns == 0)
        err = QR_E_UNKNOWN;
    if (err == 0)
        err = resolve(q, call->now_s - 1);
    if (err == 0)
        err = read_table(q, call);
    if (err == 0)
        err = write_body(q, call, &call->response->body);
    return err;
}

void qr_api_data(struct qr_api_call *call)
{
    struct qr_data_query q;
    read_params(&q, call->request);
    if (qr_pattern_is_empty(q.chart, QR_PATTERN_API) &&
        qr_pattern_is_empty(q.context, QR_PATTERN_API)) {
        qr_api_refuse(call, 400, QR_HTTP_TEXT, "No chart or context is given.", qr_slice_of("", 0));
    } else {
        int err = q.dimensions.failed ? UV_ENOMEM : answer(&q, call);
        if (err != 0) {
            refuse_for(call, err);
        } else {
            bool wrapped = (q.options & QR_OPTION_JSONWRAP) && q.format != QR_FORMAT_JSONP;
            call->response->content_type =
                wrapped ? QR_HTTP_JSON : qr_format_content_type(q.format);
            call->response->cacheable = !q.table.window.relative;
            if (q.filename[0] != '\0')
                qr_buf_printf(&call->response->headers,
                              "Content-Disposition: attachment; filename=\"%s\"\r\n", q.filename);
        }
    }
    qr_table_release(&q.table);
    qr_buf_release(&q.dimensions);
}
