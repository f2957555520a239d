#include "node/api_charts.h"

#include <stdio.h>

#include "base/json.h"
#include "node/api_functions.h"

static bool add_label(void *data, const char *name, const char *value)
{
    qr_json_str(data, name, value);
    return true;
}

static void add_empty(struct qr_json *json, const char *key)
{
    qr_json_object(json, key);
    qr_json_end(json);
}

/* Those that show; returns how many. */
static uint32_t add_dimensions(struct qr_json *json, const struct qr_chart_def *def)
{
    uint32_t n = 0;
    qr_json_object(json, "dimensions");
    for (uint32_t i = 0; i < def->n_dims; i++) {
        if (def->dims[i].flags & (QR_DIM_OBSOLETE | QR_DIM_HIDDEN))
            continue;
        qr_json_object(json, def->dims[i].id);
        qr_json_str(json, "name", def->dims[i].name);
        qr_json_end(json);
        n++;
    }
    qr_json_end(json);
    return n;
}

static void add_names(struct qr_json *json, const struct qr_chart_def *def)
{
    const char *dot = strchr(def->id, '.');
    size_t type_len = dot != NULL ? (size_t)(dot - def->id) : strlen(def->id);
    char text[2 * QR_NAME_BYTES_MAX + 64];
    qr_json_str(json, "id", def->id);
    qr_json_str(json, "name", def->name);
    qr_json_slice(json, "type", qr_slice_of(def->id, type_len));
    qr_json_str(json, "family", def->family);
    qr_json_str(json, "context", def->context);
    snprintf(text, sizeof text, "%s (%s)", def->title, def->name);
    qr_json_str(json, "title", text);
    qr_json_i64(json, "priority", def->priority);
    qr_json_str(json, "plugin", def->plugin);
    qr_json_str(json, "module", def->module);
    qr_json_str(json, "units", def->units);
    snprintf(text, sizeof text, "/api/v1/data?chart=%s", def->name);
    qr_json_str(json, "data_url", text);
    qr_json_str(json, "chart_type", qr_api_chart_type(def));
}

/* The fields of a chart's object; returns how many dimensions show. */
static uint32_t add_chart(struct qr_json *json, const struct qr_api_call *call,
                          const struct qr_chart *chart, const struct qr_chart_def *def)
{
    int64_t first_s = qr_chart_first_s(chart), last_s = chart->watermark_s;
    add_names(json, def);
    qr_json_i64(json, "duration", last_s - first_s + def->update_every);
    qr_json_i64(json, "first_entry", first_s);
    qr_json_i64(json, "last_entry", last_s);
    qr_json_u64(json, "update_every", def->update_every);
    uint32_t n_dims = add_dimensions(json, def);
    add_empty(json, "chart_variables");
    qr_json_null(json, "green");
    qr_json_null(json, "red");
    add_empty(json, "alarms");
    qr_json_object(json, "chart_labels");
    qr_api_chart_labels(def, add_label, json);
    qr_json_end(json);
    qr_json_object(json, "functions");
    qr_api_functions_add(json, call->functions, def->id);
    qr_json_end(json);
    return n_dims;
}

/* Our own first, as the dashboard expects of a parent. */
static void add_hosts(struct qr_json *json, const struct qr_api_call *call)
{
    uint32_t n = qr_api_n_hosts(call);
    qr_json_u64(json, "hosts_count", n);
    qr_json_array(json, "hosts");
    for (uint32_t i = 0; i < n; i++) {
        const struct qr_host_def *def;
        qr_api_host_at(call, i, &def);
        qr_json_object(json, NULL);
        qr_json_str(json, "hostname", def->hostname);
        qr_json_end(json);
    }
    qr_json_end(json);
}

static void add_root(struct qr_json *json, const struct qr_api_call *call)
{
    const struct qr_host_def *def = call->def;
    qr_json_str(json, "hostname", def->hostname);
    qr_json_str(json, "version", qr_api_version_of(call, call->host, def));
    qr_json_str(json, "release_channel", "stable");
    qr_json_str(json, "os", def->os);
    qr_json_str(json, "timezone", def->timezone);
    qr_json_u64(json, "update_every", def->update_every > 0 ? def->update_every : 1);
    qr_json_u64(json, "history", 0);
    qr_json_str(json, "memory_mode", "dbengine");
    qr_json_str(json, "custom_info", "");
}

void qr_api_charts(struct qr_api_call *call)
{
    struct qr_json json;
    uint64_t n_charts = 0, n_dims = 0;
    call->response->content_type = QR_HTTP_JSON;
    call->response->cacheable = true;
    qr_json_init(&json, &call->response->body);
    qr_json_object(&json, NULL);
    add_root(&json, call);
    qr_json_object(&json, "charts");
    for (const struct qr_chart *chart = qr_host_first(call->host); chart != NULL;
         chart = qr_chart_next(chart)) {
        const struct qr_chart_def *def = chart->def;
        if (!qr_api_chart_visible(def))
            continue;
        qr_json_object(&json, def->id);
        n_dims += add_chart(&json, call, chart, def);
        n_charts++;
        qr_json_end(&json);
    }
    qr_json_end(&json);
    qr_json_u64(&json, "charts_count", n_charts);
    qr_json_u64(&json, "dimensions_count", n_dims);
    qr_json_u64(&json, "alarms_count", 0);
    qr_json_u64(&json, "rrd_memory_bytes", 0);
    add_hosts(&json, call);
    qr_json_end(&json);
}

void qr_api_chart(struct qr_api_call *call)
{
    struct qr_slice name = qr_http_param(call->request, "chart");
    if (name.len == 0) {
        qr_api_refuse(call, 400, QR_HTTP_TEXT, "No chart id is given at the request.", name);
        return;
    }
    const struct qr_chart *chart =
        call->host != NULL ? qr_store_chart_find(call->api->store, call->host, name) : NULL;
    if (chart == NULL) {
        qr_api_refuse(call, 404, QR_HTTP_TEXT, "Chart is not found: ", name);
        return;
    }
    struct qr_json json;
    call->response->content_type = QR_HTTP_JSON;
    call->response->cacheable = true;
    qr_json_init(&json, &call->response->body);
    qr_json_object(&json, NULL);
    add_chart(&json, call, chart, chart->def);
    qr_json_end(&json);
}
