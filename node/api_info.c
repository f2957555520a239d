#include "node/api_info.h"

#include <stdlib.h>
#include <uv.h>

#include "base/json.h"
#include "node/api_functions.h"

/* Keys of the answer, in its order, and the name under which a child sends the value. */
static const struct {
    const char *key, *sent_as;
    bool always; /* Otherwise only if known. */
} system_rows[] = {
    {"os_name", "NETDATA_SYSTEM_OS_NAME", true},
    {"os_id", "NETDATA_SYSTEM_OS_ID", true},
    {"os_id_like", "NETDATA_SYSTEM_OS_ID_LIKE", true},
    {"os_version", "NETDATA_SYSTEM_OS_VERSION", true},
    {"os_version_id", "NETDATA_SYSTEM_OS_VERSION_ID", true},
    {"os_detection", "NETDATA_SYSTEM_OS_DETECTION", true},
    {"cores_total", "NETDATA_SYSTEM_CPU_LOGICAL_CPU_COUNT", true},
    {"total_disk_space", "NETDATA_SYSTEM_TOTAL_DISK_SIZE", true},
    {"cpu_freq", "NETDATA_SYSTEM_CPU_FREQ", true},
    {"ram_total", "NETDATA_SYSTEM_TOTAL_RAM", true},
    {"container_os_name", "NETDATA_CONTAINER_OS_NAME", false},
    {"container_os_id", "NETDATA_CONTAINER_OS_ID", false},
    {"container_os_id_like", "NETDATA_CONTAINER_OS_ID_LIKE", false},
    {"container_os_version", "NETDATA_CONTAINER_OS_VERSION", false},
    {"container_os_version_id", "NETDATA_CONTAINER_OS_VERSION_ID", false},
    {"container_os_detection", "NETDATA_CONTAINER_OS_DETECTION", false},
    {"is_k8s_node", "NETDATA_HOST_IS_K8S_NODE", false},
    {"kernel_name", "NETDATA_SYSTEM_KERNEL_NAME", true},
    {"kernel_version", "NETDATA_SYSTEM_KERNEL_VERSION", true},
    {"architecture", "NETDATA_SYSTEM_ARCHITECTURE", true},
    {"virtualization", "NETDATA_SYSTEM_VIRTUALIZATION", true},
    {"virt_detection", "NETDATA_SYSTEM_VIRT_DETECTION", true},
    {"container", "NETDATA_SYSTEM_CONTAINER", true},
    {"container_detection", "NETDATA_SYSTEM_CONTAINER_DETECTION", true},
    {"cloud_provider_type", "NETDATA_INSTANCE_CLOUD_TYPE", false},
    {"cloud_instance_type", "NETDATA_INSTANCE_CLOUD_INSTANCE_TYPE", false},
    {"cloud_instance_region", "NETDATA_INSTANCE_CLOUD_INSTANCE_REGION", false},
};

static void add_system(struct qr_json *json, const struct qr_host_def *def)
{
    for (size_t row = 0; row < QR_COUNT(system_rows); row++) {
        const char *value = NULL;
        for (uint32_t i = 0; i < def->n_sysinfo; i++)
            if (strcmp(def->sysinfo[i].name, system_rows[row].sent_as) == 0)
                value = def->sysinfo[i].value;
        if (value != NULL || system_rows[row].always)
            qr_json_str(json, system_rows[row].key, value != NULL ? value : "");
    }
}

static void add_hosts(struct qr_json *json, const struct qr_api_call *call)
{
    uint32_t n = qr_api_n_hosts(call);
    const struct qr_host_def *def;
    qr_json_array(json, "mirrored_hosts");
    for (uint32_t i = 0; i < n; i++) {
        qr_api_host_at(call, i, &def);
        qr_json_str(json, NULL, def->hostname);
    }
    qr_json_end(json);
    qr_json_array(json, "mirrored_hosts_status");
    for (uint32_t i = 0; i < n; i++) {
        const struct qr_host *host = qr_api_host_at(call, i, &def);
        char text[QR_GUID_TEXT_LEN + 1];
        qr_json_object(json, NULL);
        qr_guid_format(&def->guid, text);
        qr_json_str(json, "guid", text);
        qr_json_str(json, "hostname", def->hostname);
        qr_json_bool(json, "reachable", qr_api_is_reachable(call, host));
        qr_json_u64(json, "hops", i == 0 ? 0 : def->hops > 0 ? def->hops : 1);
        qr_guid_format(&def->claim_id, text);
        qr_json_str(json, "claim_id", def->has_claim ? text : NULL);
        qr_json_null(json, "node_id");
        qr_json_end(json);
    }
    qr_json_end(json);
}

struct collectors {
    size_t n, capacity, last;
    struct {
        const char *plugin, *module;
    } * at;
};

/* Notes a pair that is not there yet.  Neighbouring charts mostly have the same. */
static int note_collector(struct collectors *c, const struct qr_chart_def *def)
{
    for (size_t i = 0; i < c->n; i++) {
        size_t at = (c->last + i) % c->n;
        if (strcmp(c->at[at].plugin, def->plugin) == 0 &&
            strcmp(c->at[at].module, def->module) == 0) {
            c->last = at;
            return 0;
        }
    }
    if (c->n == c->capacity) {
        size_t capacity = c->capacity != 0 ? 2 * c->capacity : 32;
        void *grown = realloc(c->at, capacity * sizeof *c->at);
        if (grown == NULL)
            return UV_ENOMEM;
        c->at = grown;
        c->capacity = capacity;
    }
    c->at[c->n].plugin = def->plugin;
    c->at[c->n].module = def->module;
    c->last = c->n++;
    return 0;
}

static void add_collectors(struct qr_json *json, const struct qr_host *host)
{
    struct collectors c = {0};
    for (const struct qr_chart *chart = qr_host_first(host); chart != NULL;
         chart = qr_chart_next(chart)) {
        const struct qr_chart_def *def = chart->def;
        if (qr_api_chart_visible(def) && note_collector(&c, def) != 0)
            break; /* A shorter list is better than none. */
    }
    qr_json_array(json, "collectors");
    for (size_t i = 0; i < c.n; i++) {
        qr_json_object(json, NULL);
        qr_json_str(json, "plugin", c.at[i].plugin);
        qr_json_str(json, "module", c.at[i].module);
        qr_json_end(json);
    }
    qr_json_end(json);
    free(c.at);
}

/* Which of Netdata's features are here: most are not, and say so. */
static void add_features(struct qr_json *json, uint32_t n_hosts)
{
    static const char *const off[] = {"cloud-enabled", "cloud-available", "agent-claimed",
                                      "aclk-available"};
    static const char *const unknown[] = {
        "exporting-connectors",  "allmetrics-prometheus-used",
        "allmetrics-shell-used", "allmetrics-json-used",
        "dashboard-used",        "charts-count",
        "metrics-count",
    };
    for (size_t i = 0; i < QR_COUNT(off); i++)
        qr_json_bool(json, off[i], false);
    qr_json_str(json, "memory-mode", "dbengine");
    qr_json_null(json, "multidb-disk-quota");
    qr_json_null(json, "page-cache-size");
    qr_json_bool(json, "stream-enabled", false);
    qr_json_null(json, "stream-compression");
    qr_json_u64(json, "hosts-available", n_hosts);
    qr_json_bool(json, "https-enabled", true);
    qr_json_str(json, "buildinfo", "Quorate " QR_VERSION "|Native HTTPS|Stream Compression");
    qr_json_str(json, "release-channel", "stable");
    qr_json_bool(json, "web-enabled", true);
    qr_json_null(json, "notification-methods");
    qr_json_bool(json, "exporting-enabled", false);
    for (size_t i = 0; i < QR_COUNT(unknown); i++)
        qr_json_null(json, unknown[i]);
}

/* Not Netdata's, and only then there: what is wrong with the host itself. */
static void add_trouble(struct qr_json *json, const char *clone)
{
    if (clone == NULL)
        return;
    qr_json_object(json, "quorate");
    qr_json_str(json, "clone", clone);
    qr_json_end(json);
}

void qr_api_info(struct qr_api_call *call)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    struct qr_json json;
    qr_json_init(&json, &call->response->body);
    call->response->content_type = QR_HTTP_JSON;
    qr_json_object(&json, NULL);
    qr_json_str(&json, "version", qr_api_version_of(call, call->host, call->def));
    qr_guid_format(&call->def->guid, guid);
    qr_json_str(&json, "uid", guid);
    add_hosts(&json, call);
    qr_json_object(&json, "alarms");
    qr_json_u64(&json, "normal", 0);
    qr_json_u64(&json, "warning", 0);
    qr_json_u64(&json, "critical", 0);
    qr_json_end(&json);
    add_trouble(&json, qr_api_clone_of(call, call->host));
    add_system(&json, call->def);
    qr_json_object(&json, "host_labels");
    for (uint32_t i = 0; i < call->def->n_labels; i++)
        qr_json_str(&json, call->def->labels[i].name, call->def->labels[i].value);
    qr_json_end(&json);
    qr_json_object(&json, "functions");
    qr_api_functions_add(&json, call->functions, NULL);
    qr_json_end(&json);
    add_collectors(&json, call->host);
    add_features(&json, qr_api_n_hosts(call));
    qr_json_end(&json);
}
