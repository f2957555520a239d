#include "node/api.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "node/api_call.h"
#include "node/api_charts.h"
#include "node/api_contexts.h"
#include "node/api_data.h"
#include "node/api_info.h"
#include "node/api_stream.h"
#include "node/page.h"

/* An answer larger than this is refused: it would be some gigabytes of text for a browser. */
#define BODY_BYTES_MAX (512u * 1024 * 1024)

/* Where Netdata's pages would be: clients see this path in its 404s. */
#define WEB_DIR "/usr/share/netdata/web"

static const struct qr_slice nothing = {"", 0};

/* Takes "/segment" from the front of the path. */
static struct qr_slice next_segment(struct qr_slice *path)
{
    const char *p = path->base, *end = p + path->len;
    if (p < end && *p == '/')
        p++;
    const char *start = p;
    while (p < end && *p != '/')
        p++;
    *path = qr_slice_of(p, (size_t)(end - p));
    return qr_slice_of(start, (size_t)(p - start));
}

/* ---- what is ours ---- */

static void add_sources(struct qr_api_call *call)
{
    const struct qr_status *status = call->status;
    if (status == NULL)
        return;
    const struct qr_group_status *group = &status->group;
    uint64_t age_ms = group->leader == 0 ? group->without_leader_ms : 0;
    for (unsigned i = 0; i < group->n_members; i++)
        if (group->leader != 0 && group->members[i].id == group->leader && !group->members[i].self)
            age_ms = group->members[i].last_contact_ms;
    if (call->now_s > status->time_s + 1) /* The picture itself is old. */
        age_ms += (uint64_t)(call->now_s - status->time_s) * 1000;
    qr_buf_printf(&call->response->headers,
                  "X-Quorate-Member: %u\r\nX-Quorate-Applied-Index: %" PRIu64
                  "\r\nX-Quorate-Age-Ms: %" PRIu64 "\r\n",
                  group->member_id, group->applied, age_ms);
}

static void answer_data(struct qr_api_call *call)
{
    qr_api_data(call);
    add_sources(call);
}

static void answer_status(struct qr_api_call *call)
{
    call->response->content_type = QR_HTTP_JSON;
    if (call->status == NULL) {
        qr_api_refuse(call, 503, QR_HTTP_TEXT, "This member is still starting.", nothing);
        return;
    }
    qr_status_json(call->status, &call->response->body);
    add_sources(call);
}

static void answer_page(struct qr_api_call *call)
{
    struct qr_slice page = qr_page();
    call->response->content_type = QR_HTTP_HTML;
    qr_buf_add(&call->response->body, page.base, page.len);
}

/* ---- routes ---- */

static void route_v1(struct qr_api_call *call, struct qr_slice rest)
{
    static const struct {
        const char *command;
        void (*answer)(struct qr_api_call *call);
    } commands[] = {
        {"info", qr_api_info},         {"charts", qr_api_charts},   {"chart", qr_api_chart},
        {"contexts", qr_api_contexts}, {"context", qr_api_context}, {"data", answer_data},
    };
    if (rest.len > 0)
        rest = qr_slice_of(rest.base + 1, rest.len - 1);
    for (size_t i = 0; i < QR_COUNT(commands); i++)
        if (qr_slice_is(rest, commands[i].command)) {
            commands[i].answer(call);
            return;
        }
    if (rest.len == 0) {
        qr_api_refuse(call, 400, QR_HTTP_TEXT, "Which API v1 command?", nothing);
        return;
    }
    qr_api_refuse(call, 404, QR_HTTP_TEXT, "Unsupported v1 API command: ", nothing);
    qr_http_escape(&call->response->body, rest);
}

static void route_api(struct qr_api_call *call, struct qr_slice path)
{
    struct qr_slice version = next_segment(&path);
    if (version.len == 0)
        qr_api_refuse(call, 400, QR_HTTP_TEXT, "Which API version?", nothing);
    else if (qr_slice_is(version, "v1"))
        route_v1(call, path);
    else if (qr_slice_is(version, "v3") && qr_slice_is(path, "/stream_info"))
        qr_api_stream_info(call);
    else if (qr_slice_is(version, "quorate") && qr_slice_is(path, "/v1/status"))
        answer_status(call);
    else
        qr_api_refuse(call, 404, QR_HTTP_HTML, "Unsupported API version: ", version);
}

/* Pages of Netdata's are not here; what they are refused with is. */
static void route_file(struct qr_api_call *call, struct qr_slice path)
{
    struct qr_slice name = qr_slice_of(path.base + 1, path.len - 1);
    if (name.len == 0 || qr_slice_is(name, "index.html")) {
        answer_page(call);
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.base[i];
        if ((!isalnum(c) || c >= 0x80) && strchr("/._-", c) == NULL) {
            qr_api_refuse(call, 400, QR_HTTP_HTML, "Filename contains invalid characters: ", name);
            return;
        }
    }
    if (memmem(name.base, name.len, "..", 2) != NULL) {
        qr_api_refuse(call, 400, QR_HTTP_HTML, "Relative filenames are not supported: ", name);
        return;
    }
    qr_api_refuse(call, 404, QR_HTTP_HTML,
                  "File does not exist, or is not accessible: ", qr_slice_str(WEB_DIR));
    qr_http_escape(&call->response->body, path);
}

/* Bytes of a URL's path that need no escape; the others could end the header line. */
static void add_url_path(struct qr_buf *out, struct qr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL))
            qr_buf_add(out, &c, 1);
        else
            qr_buf_printf(out, "%%%02X", c);
    }
}

static void redirect_to_host(struct qr_api_call *call, struct qr_slice name)
{
    const struct qr_http_request *request = call->request;
    struct qr_slice host = request->forwarded_host;
    if (host.len == 0)
        host = request->host;
    struct qr_buf *headers = &call->response->headers;
    qr_api_refuse(call, 308, QR_HTTP_TEXT, "Permanent redirect", nothing);
    qr_buf_printf(headers, "Location: %s://%.*s/host/", request->forwarded_https ? "https" : "http",
                  (int)host.len, host.base);
    add_url_path(headers, name);
    qr_buf_add_str(headers, "/\r\n");
}

static void route(struct qr_api_call *call, struct qr_slice path);

static void route_host(struct qr_api_call *call, struct qr_slice path)
{
    if (call->named) {
        qr_api_refuse(call, 400, QR_HTTP_TEXT, "Nesting of hosts is not allowed.", nothing);
        return;
    }
    struct qr_slice name = next_segment(&path);
    if (name.len > 0 && path.len == 0) {
        redirect_to_host(call, name);
        return;
    }
    call->named = true;
    if (qr_api_select_host(call, name))
        route(call, path);
    else
        qr_api_refuse(call, 404, QR_HTTP_HTML,
                      "This netdata does not maintain a database for host: ", name);
}

static void route(struct qr_api_call *call, struct qr_slice path)
{
    struct qr_slice rest = path, segment = next_segment(&rest);
    if (qr_slice_is(segment, "api"))
        route_api(call, rest);
    else if (qr_slice_is(segment, "host"))
        route_host(call, rest);
    else
        route_file(call, path);
}

/* ---- the whole ---- */

static void prepare(struct qr_api_call *call, struct qr_api *api)
{
    call->api = api;
    call->now_s = qr_clock_real_s(api->clock);
    call->status = api->status;
    call->own_def = (struct qr_host_def){.guid = api->host_guid,
                                         .hostname = api->hostname,
                                         .registry_hostname = api->hostname,
                                         .os = "linux",
                                         .timezone = "UTC",
                                         .abbrev_timezone = "UTC",
                                         .update_every = 1,
                                         .program_name = "quorate",
                                         .program_version = api->version};
    call->hosts = qr_store_hosts(api->store);
    call->n_hosts = atomic_load(&call->hosts->n);
    call->host = qr_api_host_at(call, 0, &call->def);
}

void qr_api_handle(struct qr_api *api, const struct qr_http_request *request,
                   struct qr_slice functions, struct qr_http_response *response)
{
    struct qr_api_call call = {.request = request, .response = response, .functions = functions};
    response->body.max = BODY_BYTES_MAX;
    if (request->options) {
        qr_buf_add_str(&response->body, "OK");
        return;
    }
    int slot = qr_store_enter(api->store);
    prepare(&call, api);
    route(&call, request->path);
    if (response->body.failed)
        qr_api_refuse(&call, 503, QR_HTTP_TEXT, "", nothing);
    qr_store_leave(api->store, slot);
}
