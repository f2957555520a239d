#include "node/manage.h"

#include <string.h>

#include "base/address.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"

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

static void on_asked(struct qr_members_request *change)
{
    struct qr_manage *manage = QR_CONTAINER_OF(change, struct qr_manage, change);
    int status = change->status;
    if (status != 0) {
        refuse(manage,
               status == QR_E_UNKNOWN                         ? 404
               : status == QR_E_MALFORMED                     ? 400
               : status == QR_E_EXISTS || status == QR_E_BUSY ? 409
                                                              : 503,
               qr_members_refusal(status), qr_slice_of("", 0));
    } else {
        struct qr_json json;
        qr_info("a change of members is asked for change=%llu member=%u with=%u asked_by=%s",
                (unsigned long long)change->index, change->member, change->with, manage->peer_ip);
        manage->response->content_type = QR_HTTP_JSON;
        qr_json_init(&json, &manage->response->body);
        qr_json_object(&json, NULL);
        qr_json_bool(&json, "asked", true);
        qr_json_u64(&json, "change", change->index);
        qr_json_end(&json);
    }
    manage->done(manage);
}

/* A member's id; 0: none, or not one. */
static uint32_t id_of(struct qr_slice text)
{
    uint32_t id = 0;
    if (text.len == 0 || text.len > 5)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return 0;
        id = id * 10 + (uint32_t)(text.base[i] - '0');
    }
    return id;
}

static bool change_members(struct qr_manage *manage)
{
    const struct qr_http_request *request = manage->request;
    struct qr_members_request *change = &manage->change;
    struct qr_slice verb = qr_http_param(request, "do");
    struct qr_slice address = qr_http_param(request, "address");
    struct qr_address parsed;
    *change = (struct qr_members_request){
        .home = manage->home,
        .done = on_asked,
        .member = id_of(qr_http_param(request, "member")),
        .with = id_of(qr_http_param(request, "with")),
    };
    if (!qr_members_verb_of(verb, &change->verb))
        return refuse(manage, 400, "`do` is none of add, remove, replace and cancel.", verb);
    if (address.len >= sizeof change->address ||
        (address.len > 0 && qr_address_parse(&parsed, address) != 0))
        return refuse(manage, 400, "The address is not HOST:PORT.", address);
    memcpy(change->address, address.base, address.len);
    if (change->verb == QR_MEMBERS_REPLACE && change->with == 0)
        change->with = change->member;
    qr_members_ask(manage->members, change);
    return false;
}

static void on_keys_answered(struct qr_key_request *keys)
{
    struct qr_manage *manage = QR_CONTAINER_OF(keys, struct qr_manage, keys);
    if (keys->status != 0) {
        refuse(manage, qr_manage_keys_status(keys->status),
               qr_keyring_refusal(keys->verb, keys->status), keys->key);
    } else {
        if (keys->verb != QR_KEY_LIST)
            qr_info("API keys of the log are changed verb=%u id=%u asked_by=%s",
                    (unsigned)keys->verb, keys->id, manage->peer_ip);
        manage->response->content_type = QR_HTTP_JSON;
        qr_buf_add(&manage->response->body, keys->json.base, keys->json.len);
    }
    qr_buf_release(&keys->json);
    manage->done(manage);
}

static bool change_keys(struct qr_manage *manage)
{
    char sentence[512];
    manage->keys = (struct qr_key_request){.home = manage->home, .done = on_keys_answered};
    if (qr_manage_keys_read(&manage->keys, manage->request, sentence, sizeof sentence) != 0)
        return refuse(manage, 400, sentence, qr_slice_of("", 0));
    qr_keyring_ask(manage->keyring, &manage->keys);
    return false;
}

static const char keys_path[] = "/api/quorate/v1/keys";

bool qr_manage_takes(const struct qr_http_request *request)
{
    return request->post || (!request->options && qr_slice_is(request->path, keys_path));
}

static bool drain(struct qr_manage *manage)
{
    struct qr_slice verb = qr_http_param(manage->request, "do");
    bool begin = qr_slice_is(verb, "begin");
    if (!begin && !qr_slice_is(verb, "end"))
        return refuse(manage, 400, "`do` is neither begin nor end.", verb);
    manage->members->drain = begin;
    qr_info("a drain of this member %s asked_by=%s", begin ? "begins" : "ends", manage->peer_ip);
    struct qr_json json;
    manage->response->content_type = QR_HTTP_JSON;
    qr_json_init(&json, &manage->response->body);
    qr_json_object(&json, NULL);
    qr_json_bool(&json, "draining", begin);
    qr_json_end(&json);
    return true;
}

bool qr_manage_handle(struct qr_manage *manage)
{
    const struct qr_slice nothing = qr_slice_of("", 0);
    if (!manage->allowed)
        return refuse(manage, 403,
                      "`allow management from` of this member does not match this address.",
                      qr_slice_str(manage->peer_ip));
    if (manage->request->origin.len > 0)
        return refuse(manage, 403, "Pages of browsers may not manage a cluster.",
                      manage->request->origin);
    if (qr_slice_is(manage->request->path, "/api/quorate/v1/forget"))
        return forget(manage);
    if (qr_slice_is(manage->request->path, "/api/quorate/v1/members"))
        return change_members(manage);
    if (qr_slice_is(manage->request->path, keys_path))
        return change_keys(manage);
    if (qr_slice_is(manage->request->path, "/api/quorate/v1/drain"))
        return drain(manage);
    return refuse(manage, 404, "There is no such command.", nothing);
}
