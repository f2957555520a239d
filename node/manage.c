#include "node/manage.h"

#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pattern.h"

bool qr_manage_allows(const char *pattern, const char *peer_ip)
{
    bool own = strcmp(peer_ip, "127.0.0.1") == 0 || strcmp(peer_ip, "::1") == 0;
    struct qr_slice list = qr_slice_str(pattern);
    return qr_pattern_matches(list, QR_PATTERN_WORDS, qr_slice_str(peer_ip)) ||
           (own && qr_pattern_matches(list, QR_PATTERN_WORDS, qr_slice_str("localhost")));
}

static bool refuse(struct qr_manage *manage, int status, const char *sentence, struct qr_slice what)
{
    struct qr_json json;
    manage->response->status = status;
    manage->response->content_type = QR_HTTP_JSON;
    qr_json_init(&json, &manage->response->body);
    qr_json_object(&json, NULL);
    qr_json_str(&json, "error", sentence);
    if (what.len > 0)
        qr_json_slice(&json, "what", what);
    qr_json_end(&json);
    return true;
}

static void add_forgotten(struct qr_manage *manage)
{
    struct qr_json json;
    char guid[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(&manage->forget.guid, guid);
    manage->response->content_type = QR_HTTP_JSON;
    qr_json_init(&json, &manage->response->body);
    qr_json_object(&json, NULL);
    qr_json_bool(&json, "forgotten", true);
    qr_json_slice(&json, "host", manage->forget.host);
    qr_json_str(&json, "machine_guid", guid);
    if (manage->forget.chart.len > 0)
        qr_json_slice(&json, "chart", manage->forget.chart);
    qr_json_end(&json);
}

static void on_forgotten(struct qr_forget_request *forget)
{
    struct qr_manage *manage = QR_CONTAINER_OF(forget, struct qr_manage, forget);
    char host[128], chart[128];
    qr_log_escape(host, sizeof host, forget->host);
    qr_log_escape(chart, sizeof chart, forget->chart);
    if (forget->status == 0) {
        qr_info("forgotten host=\"%s\" chart=\"%s\" asked_by=%s", host, chart, manage->peer_ip);
        add_forgotten(manage);
    } else if (forget->status == QR_E_UNKNOWN) {
        refuse(manage, 404,
               forget->host_known ? "This host has no such chart." : "There is no such host.",
               forget->host_known ? forget->chart : forget->host);
    } else {
        refuse(manage, 503, "The log did not take it.", qr_slice_str(qr_strerror(forget->status)));
    }
    manage->done(manage);
}

static bool forget(struct qr_manage *manage)
{
    manage->forget = (struct qr_forget_request){
        .home = manage->home,
        .done = on_forgotten,
        .host = qr_http_param(manage->request, "host"),
        .chart = qr_http_param(manage->request, "chart"),
    };
    if (manage->forget.host.len == 0)
        return refuse(manage, 400, "No host is given.", qr_slice_of("", 0));
    qr_roster_forget(manage->roster, &manage->forget);
    return false;
}

bool qr_manage_handle(struct qr_manage *manage)
{
    const struct qr_slice nothing = qr_slice_of("", 0);
    if (!qr_manage_allows(manage->allow, manage->peer_ip))
        return refuse(manage, 403,
                      "`allow management from` of this member does not match this address.",
                      qr_slice_str(manage->peer_ip));
    if (manage->request->origin.len > 0)
        return refuse(manage, 403, "Pages of browsers may not manage a cluster.",
                      manage->request->origin);
    if (qr_slice_is(manage->request->path, "/api/quorate/v1/forget"))
        return forget(manage);
    return refuse(manage, 404, "There is no such command.", nothing);
}
