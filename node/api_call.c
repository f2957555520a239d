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
    return call->n_hosts + (own_host(call) == NULL);
}

const struct qr_host *qr_api_host_at(const struct qr_api_call *call, uint32_t i,
                                     const struct qr_host_def **def)
{
    const struct qr_host *own = own_host(call), *host = own;
    if (i > 0) {
        /* Ours comes first: those before it in the store move one place down. */
        bool before_own = own == NULL || call->hosts->at[i - 1]->id < own->id;
        host = before_own ? call->hosts->at[i - 1] : call->hosts->at[i];
    }
    *def = host != NULL ? host->def : &call->own_def;
    return host;
}

/* Only the form in lower case names a host. */
static const struct qr_host *find_by_text(const struct qr_api_call *call,
                                          const struct qr_guid *guid, struct qr_slice text)
{
    const struct qr_host *host = qr_store_host_by_guid(call->api->store, guid);
    return host != NULL && qr_slice_is(text, host->guid_text) ? host : NULL;
}

bool qr_api_select_host(struct qr_api_call *call, struct qr_slice name_or_guid)
{
    const struct qr_host *host = own_host(call);
    const struct qr_host_def *own_def = host != NULL ? host->def : &call->own_def;
    struct qr_guid guid;
    if (!qr_slice_is(name_or_guid, "localhost") && !qr_slice_is(name_or_guid, own_def->hostname)) {
        const struct qr_host *named = qr_store_host_by_name(call->api->store, name_or_guid);
        bool is_guid = named == NULL && qr_guid_parse(&guid, name_or_guid) == 0;
        if (is_guid)
            named = find_by_text(call, &guid, name_or_guid);
        if (named == NULL && !(is_guid && host == NULL && qr_guid_equal(&guid, &own_def->guid)))
            return false;
        host = named;
    }
    call->host = host;
    call->def = host != NULL ? host->def : own_def;
    return true;
}

bool qr_api_is_own(const struct qr_api_call *call, const struct qr_host *host)
{
    return host == NULL || qr_guid_equal(&host->guid, &call->api->host_guid);
}

static const struct qr_status_child *child_of(const struct qr_status *status, uint32_t host)
{
    size_t low = 0, high = status != NULL ? status->n_children : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (status->children[middle].host == host)
            return &status->children[middle];
        if (status->children[middle].host < host)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool qr_api_is_reachable(const struct qr_api_call *call, const struct qr_host *host)
{
    if (qr_api_is_own(call, host))
        return true;
    /* The picture's children are the hosts, in the order of their ids.  It knows of dead members:
     * the log does not hear of a death, and so the host of a dead member stays connected there. */
    const struct qr_status_child *child = child_of(call->status, host->id);
    return child != NULL ? child->connected : host->connected;
}

const char *qr_api_clone_of(const struct qr_api_call *call, const struct qr_host *host)
{
    const struct qr_status_child *child = host != NULL ? child_of(call->status, host->id) : NULL;
    return child != NULL ? child->clone : NULL;
}

const char *qr_api_version_of(const struct qr_api_call *call, const struct qr_host *host,
                              const struct qr_host_def *def)
{
    if (qr_api_is_own(call, host) || def->program_version == NULL || *def->program_version == '\0')
        return call->api->version;
    return def->program_version;
}

/* ---- charts ---- */

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
