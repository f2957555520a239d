#include "node/api_call.h"

#include <stdio.h>

void qr_api_refuse(struct qr_api_call *call, int status, const char *type, const char *sentence,
                   struct qr_slice what)
{
    struct qr_http_response *response = call->response;
    qr_buf_clear(&response->body);
    response->status = status;
    response->content_type = type;
    response->cacheable = false;
    qr_buf_add_str(&response->body, sentence);
    if (strcmp(type, QR_HTTP_HTML) == 0)
        qr_http_escape(&response->body, what);
    else
        qr_buf_add(&response->body, what.base, what.len);
}

/* ---- hosts ---- */

static const struct qr_host *own_host(const struct qr_api_call *call)
{
    return qr_store_host_by_guid(call->api->store, &call->api->host_guid);
}

uint32_t qr_api_n_hosts(const struct qr_api_call *call)
{
    return qr_store_n_hosts(call->api->store) + (own_host(call) == NULL);
}

const struct qr_host *qr_api_host_at(const struct qr_api_call *call, uint32_t i,
                                     const struct qr_host_def **def)
{
    const struct qr_host *own = own_host(call), *host = own;
    if (i > 0) {
        /* Ours comes first: those before it in the store move one place down. */
        bool before_own = own == NULL || qr_store_host_at(call->api->store, i - 1)->id < own->id;
        host = qr_store_host_at(call->api->store, before_own ? i - 1 : i);
    }
    *def = host != NULL ? host->def : &call->own_def;
    return host;
}

bool qr_api_select_host(struct qr_api_call *call, struct qr_slice name_or_guid)
{
    uint32_t n = qr_api_n_hosts(call);
    for (int by_guid = 0; by_guid < 2; by_guid++)
        for (uint32_t i = 0; i < n; i++) {
            const struct qr_host_def *def;
            const struct qr_host *host = qr_api_host_at(call, i, &def);
            char guid[QR_GUID_TEXT_LEN + 1];
            qr_guid_format(&def->guid, guid);
            bool same = qr_slice_is(name_or_guid, by_guid ? guid : def->hostname) ||
                        (i == 0 && !by_guid && qr_slice_is(name_or_guid, "localhost"));
            if (same) {
                call->host = host;
                call->def = def;
                return true;
            }
        }
    return false;
}

bool qr_api_is_own(const struct qr_api_call *call, const struct qr_host *host)
{
    return host == NULL || qr_guid_equal(&host->guid, &call->api->host_guid);
}

bool qr_api_is_reachable(const struct qr_api_call *call, const struct qr_host *host)
{
    if (qr_api_is_own(call, host))
        return true;
    /* The picture's children are the hosts, in the order of their ids.  It knows of dead members:
     * the log does not hear of a death, and so the host of a dead member stays connected there. */
    const struct qr_status *status = call->status;
    if (status != NULL && host->id <= status->n_children &&
        status->children[host->id - 1].host == host->id)
        return status->children[host->id - 1].connected;
    return host->connected;
}

const char *qr_api_version_of(const struct qr_api_call *call, const struct qr_host *host,
                              const struct qr_host_def *def)
{
    if (qr_api_is_own(call, host) || def->program_version == NULL || *def->program_version == '\0')
        return call->api->version;
    return def->program_version;
}

/* ---- charts ---- */

uint32_t qr_api_n_charts(const struct qr_host *host)
{
    return host != NULL ? host->n_charts : 0;
}

const struct qr_chart *qr_api_chart_at(const struct qr_host *host, uint32_t i)
{
    struct qr_chart **charts = host->charts;
    return charts[i];
}

bool qr_api_chart_visible(const struct qr_chart_def *def)
{
    return (def->flags & (QR_CHART_OBSOLETE | QR_CHART_HIDDEN)) == 0 && def->n_dims > 0;
}

void qr_api_chart_labels(const struct qr_chart_def *def,
                         bool (*each)(void *data, const char *name, const char *value), void *data)
{
    static const char *const automatic[] = {"_collect_plugin", "_collect_module"};
    const char *values[] = {def->plugin, def->module};
    for (size_t a = 0; a < QR_COUNT(automatic); a++) {
        bool given = false;
        for (uint32_t i = 0; i < def->n_labels; i++)
            given = given || strcmp(def->labels[i].name, automatic[a]) == 0;
        const char *value = *values[a] != '\0' ? values[a] : "[none]";
        if (!given && !each(data, automatic[a], value))
            return;
    }
    for (uint32_t i = 0; i < def->n_labels; i++)
        if (!each(data, def->labels[i].name, def->labels[i].value))
            return;
}

const char *qr_api_chart_type(const struct qr_chart_def *def)
{
    static const char *const names[] = {"line", "area", "stacked", "heatmap"};
    return def->type < QR_COUNT(names) ? names[def->type] : names[0];
}
