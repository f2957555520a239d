#include "node/api_contexts.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/json.h"
#include "base/pattern.h"
#include "node/select.h"
#include "node/window.h"

/* ---- what is asked ---- */

enum show {
    SHOW_CHARTS = 1 << 0,
    SHOW_DIMENSIONS = 1 << 1,
    SHOW_LABELS = 1 << 2,
    SHOW_DELETED = 1 << 3,
    SHOW_FLAGS = 1 << 4,
};

struct question {
    uint32_t show;
    struct qr_slice label_key, label_filter;
    struct qr_buf dimensions; /* All patterns, each behind a '|'. */
    int64_t after, before;    /* 0: no bound. */
};

static uint32_t show_of(struct qr_slice word)
{
    static const struct {
        const char *word;
        uint32_t show;
    } words[] = {
        {"full", ~0u},
        {"all", ~0u},
        {"charts", SHOW_CHARTS},
        {"instances", SHOW_CHARTS},
        {"dimensions", SHOW_CHARTS | SHOW_DIMENSIONS},
        {"metrics", SHOW_CHARTS | SHOW_DIMENSIONS},
        {"labels", SHOW_CHARTS | SHOW_LABELS},
        {"deleted", SHOW_DELETED},
        {"flags", SHOW_FLAGS},
    };
    for (size_t i = 0; i < QR_COUNT(words); i++)
        if (qr_slice_is(word, words[i].word))
            return words[i].show;
    return 0;
}

static uint32_t parse_show(struct qr_slice text)
{
    uint32_t show = 0;
    size_t start = 0;
    for (size_t i = 0; i <= text.len; i++)
        if (i == text.len || memchr(",| ", text.base[i], 3) != NULL) {
            show |= show_of(qr_slice_of(text.base + start, i - start));
            start = i + 1;
        }
    return show;
}

static int64_t time_param(const struct qr_http_request *request, const char *name)
{
    char text[32];
    struct qr_slice value = qr_http_param(request, name);
    snprintf(text, sizeof text, "%.*s", value.len < 31 ? (int)value.len : 31, value.base);
    return strtoll(text, NULL, 10);
}

static void read_question(struct question *q, const struct qr_api_call *call)
{
    static const char *const dimensions[] = {"dimension", "dim", "dimensions", "dims"};
    const struct qr_http_request *request = call->request;
    *q = (struct question){.label_key = qr_http_param(request, "chart_label_key"),
                           .label_filter = qr_http_param(request, "chart_labels_filter"),
                           .after = time_param(request, "after"),
                           .before = time_param(request, "before")};
    for (uint32_t i = 0; i < request->n_params; i++) {
        struct qr_slice value = request->params[i].value;
        if (qr_slice_is(request->params[i].name, "options"))
            q->show |= parse_show(value);
        for (size_t d = 0; d < QR_COUNT(dimensions); d++)
            if (value.len > 0 && qr_slice_is(request->params[i].name, dimensions[d])) {
                qr_buf_add(&q->dimensions, "|", 1);
                qr_buf_add(&q->dimensions, value.base, value.len);
            }
    }
    if (q->after != 0 && q->before != 0)
        qr_window_absolute(&q->after, &q->before, call->now_s - 1);
    if (q->dimensions.len > 0 || q->label_key.len > 0 || q->label_filter.len > 0)
        q->show |= SHOW_CHARTS;
}

/* ---- which charts qualify ---- */

static bool dimension_chosen(const struct question *q, const struct qr_dim_def *dim)
{
    struct qr_slice pattern = qr_buf_slice(&q->dimensions);
    return pattern.len == 0 || qr_pattern_matches(pattern, QR_PATTERN_API, qr_slice_str(dim->id)) ||
           qr_pattern_matches(pattern, QR_PATTERN_API, qr_slice_str(dim->name));
}

static bool qualifies(const struct question *q, const struct qr_chart *chart)
{
    const struct qr_chart_def *def = chart->def;
    int64_t first_s = qr_chart_first_s(chart);
    if (def->n_dims == 0 || first_s == 0)
        return false;
    if ((q->before != 0 && first_s > q->before) || (q->after != 0 && chart->watermark_s < q->after))
        return false;
    if (!qr_select_labels_match(def, q->label_key, false) ||
        !qr_select_labels_match(def, q->label_filter, true))
        return false;
    for (uint32_t i = 0; i < def->n_dims; i++)
        if (dimension_chosen(q, &def->dims[i]))
            return true;
    return false;
}

/* ---- one context ---- */

/* A chart with the definition that was read once: it may change under us. */
struct member {
    const struct qr_chart *chart;
    const struct qr_chart_def *def;
    uint32_t order;
};

struct summary {
    const struct qr_chart_def *last;
    int32_t priority;
    int64_t first_s, last_s;
    bool collected;
};

static bool is_collected(const struct qr_api_call *call, const struct qr_chart_def *def)
{
    return qr_api_is_reachable(call, call->host) && (def->flags & QR_CHART_OBSOLETE) == 0;
}

/* The newest time is now while data comes in. */
static int64_t last_time(const struct qr_api_call *call, const struct member *m)
{
    return is_collected(call, m->def) ? call->now_s : m->chart->watermark_s;
}

static struct summary summarise(const struct qr_api_call *call, const struct member *members,
                                size_t n)
{
    struct summary s = {.priority = INT32_MAX};
    for (size_t i = 0; i < n; i++) {
        const struct member *m = &members[i];
        int64_t first_s = qr_chart_first_s(m->chart), last_s = last_time(call, m);
        s.last = m->def;
        if (m->def->priority < s.priority)
            s.priority = m->def->priority;
        if (s.first_s == 0 || first_s < s.first_s)
            s.first_s = first_s;
        if (last_s > s.last_s)
            s.last_s = last_s;
        s.collected = s.collected || is_collected(call, m->def);
    }
    return s;
}

static void add_state(struct qr_json *json, const struct question *q, bool collected)
{
    if (q->show & SHOW_DELETED)
        qr_json_bool(json, "deleted", false);
    if (q->show & SHOW_FLAGS)
        qr_json_str(json, "flags", collected ? "COLLECTED LIVE_RETENTION " : "ARCHIVED ");
}

static void add_times(struct qr_json *json, int64_t first_s, int64_t last_s, bool collected)
{
    qr_json_i64(json, "first_time_t", first_s);
    qr_json_i64(json, "last_time_t", last_s);
    qr_json_bool(json, "collected", collected);
}

static bool add_label(void *data, const char *name, const char *value)
{
    qr_json_str(data, name, value);
    return true;
}

static void add_dimensions(struct qr_json *json, const struct qr_api_call *call,
                           const struct question *q, const struct member *m)
{
    qr_json_object(json, "dimensions");
    for (uint32_t i = 0; i < m->def->n_dims; i++) {
        const struct qr_dim_def *dim = &m->def->dims[i];
        if (!dimension_chosen(q, dim))
            continue;
        bool collected = is_collected(call, m->def) && (dim->flags & QR_DIM_OBSOLETE) == 0;
        qr_json_object(json, dim->id);
        qr_json_str(json, "name", dim->name);
        add_times(json, qr_chart_first_s(m->chart), last_time(call, m), collected);
        add_state(json, q, collected);
        qr_json_end(json);
    }
    qr_json_end(json);
}

static void add_chart(struct qr_json *json, const struct qr_api_call *call,
                      const struct question *q, const struct member *m)
{
    const struct qr_chart_def *def = m->def;
    bool collected = is_collected(call, def);
    qr_json_object(json, def->id);
    qr_json_str(json, "name", def->name);
    qr_json_str(json, "context", def->context);
    qr_json_str(json, "title", def->title);
    qr_json_str(json, "units", def->units);
    qr_json_str(json, "family", def->family);
    qr_json_str(json, "chart_type", qr_api_chart_type(def));
    qr_json_i64(json, "priority", def->priority);
    qr_json_u64(json, "update_every", def->update_every);
    add_times(json, qr_chart_first_s(m->chart), last_time(call, m), collected);
    add_state(json, q, collected);
    if (q->show & SHOW_LABELS) {
        qr_json_object(json, "labels");
        qr_api_chart_labels(def, add_label, json);
        qr_json_end(json);
    }
    if (q->show & SHOW_DIMENSIONS)
        add_dimensions(json, call, q, m);
    qr_json_end(json);
}

static void add_context(struct qr_json *json, const struct qr_api_call *call,
                        const struct question *q, const struct member *members, size_t n)
{
    struct summary s = summarise(call, members, n);
    qr_json_str(json, "title", s.last->title);
    qr_json_str(json, "units", s.last->units);
    qr_json_str(json, "family", s.last->family);
    qr_json_str(json, "chart_type", qr_api_chart_type(s.last));
    qr_json_i64(json, "priority", s.priority);
    add_times(json, s.first_s, s.last_s, s.collected);
    add_state(json, q, s.collected);
    if ((q->show & SHOW_CHARTS) == 0)
        return;
    qr_json_object(json, "charts");
    for (size_t i = 0; i < n; i++)
        add_chart(json, call, q, &members[i]);
    qr_json_end(json);
}

/* ---- all of a host ---- */

struct members {
    struct member *at;
    size_t n;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->def->context, y->def->context);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* Charts that qualify, those of a context together.  `context` empty: of all. */
static int gather(struct members *m, const struct qr_api_call *call, const struct question *q,
                  struct qr_slice context)
{
    const struct qr_select select = {.context = context,
                                     .labels =
                                         q->label_filter.len > 0 ? q->label_filter : q->label_key,
                                     .values_only = q->label_filter.len > 0};
    const struct qr_chart **charts;
    uint32_t n;
    int err = qr_select_charts(call->api->store, call->host, &select, &charts, &n);
    if (err != 0)
        return err;
    *m = (struct members){.at = malloc((n > 0 ? n : 1) * sizeof *m->at)};
    for (uint32_t i = 0; i < n && m->at != NULL; i++) {
        const struct qr_chart_def *def = charts[i]->def;
        if (qualifies(q, charts[i]) && (context.len == 0 || qr_slice_is(context, def->context)))
            m->at[m->n++] = (struct member){charts[i], def, i};
    }
    free(charts);
    if (m->at == NULL)
        return UV_ENOMEM;
    qsort(m->at, m->n, sizeof *m->at, compare_members);
    return 0;
}

static void add_all(struct qr_json *json, const struct qr_api_call *call, const struct question *q,
                    const struct members *m)
{
    qr_json_object(json, "contexts");
    for (size_t i = 0, n; i < m->n; i += n) {
        const char *context = m->at[i].def->context;
        for (n = 1; i + n < m->n && strcmp(m->at[i + n].def->context, context) == 0;)
            n++;
        qr_json_object(json, context);
        add_context(json, call, q, &m->at[i], n);
        qr_json_end(json);
    }
    qr_json_end(json);
}

static void add_root(struct qr_json *json, const struct qr_api_call *call, const struct question *q)
{
    char text[QR_GUID_TEXT_LEN + 1];
    qr_json_str(json, "hostname", call->def->hostname);
    qr_guid_format(&call->def->guid, text);
    qr_json_str(json, "machine_guid", text);
    qr_json_str(json, "node_id", "");
    qr_guid_format(&call->def->claim_id, text);
    qr_json_str(json, "claim_id", call->def->has_claim ? text : "");
    if ((q->show & SHOW_LABELS) == 0)
        return;
    qr_json_object(json, "host_labels");
    for (uint32_t i = 0; i < call->def->n_labels; i++)
        qr_json_str(json, call->def->labels[i].name, call->def->labels[i].value);
    qr_json_end(json);
}

static void answer(struct qr_api_call *call, struct qr_slice context)
{
    struct question q;
    struct members m = {0};
    struct qr_json json;
    read_question(&q, call);
    bool failed = gather(&m, call, &q, context) != 0 || q.dimensions.failed;
    call->response->content_type = QR_HTTP_JSON;
    call->response->cacheable = true;
    qr_json_init(&json, &call->response->body);
    if (failed) {
        qr_api_refuse(call, 503, QR_HTTP_TEXT, "", context);
    } else if (m.n == 0 && context.len > 0) {
        qr_api_refuse(call, 404, QR_HTTP_JSON, "", qr_slice_of("", 0));
    } else {
        qr_json_object(&json, NULL);
        if (context.len > 0) {
            add_context(&json, call, &q, m.at, m.n);
        } else {
            add_root(&json, call, &q);
            add_all(&json, call, &q, &m);
        }
        qr_json_end(&json);
    }
    free(m.at);
    qr_buf_release(&q.dimensions);
}

void qr_api_contexts(struct qr_api_call *call)
{
    answer(call, qr_slice_of("", 0));
}

void qr_api_context(struct qr_api_call *call)
{
    struct qr_slice context = qr_http_param(call->request, "context");
    if (context.len == 0)
        context = qr_http_param(call->request, "ctx");
    if (context.len == 0)
        qr_api_refuse(call, 400, QR_HTTP_TEXT, "No context is given at the request.", context);
    else
        answer(call, context);
}
