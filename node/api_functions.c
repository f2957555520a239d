#include "node/api_functions.h"

#include <stdio.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"
#include "node/manage.h"

/* All that Netdata knows: whoever may manage the cluster may see what its children show. */
#define ACCESS_ALL QR_FUNCTION_ACCESS_ALL

/* ---- routes ---- */

static const struct {
    const char *path, *command;
} routes[] = {
    {"/api/v1/functions", "functions"}, {"/api/v3/functions", "functions"},
    {"/api/v1/function", "function"},   {"/api/v3/function", "function"},
    {"/api/v3/progress", "progress"},
};

/* Takes "/host/NAME" off the path. */
static struct qr_slice take_host(struct qr_slice *path)
{
    static const char prefix[] = "/host/";
    size_t len = sizeof prefix - 1;
    if (path->len <= len || memcmp(path->base, prefix, len) != 0)
        return qr_slice_of("", 0);
    const char *name = path->base + len, *end = path->base + path->len;
    const char *slash = memchr(name, '/', (size_t)(end - name));
    if (slash == NULL)
        return qr_slice_of("", 0);
    *path = qr_slice_of(slash, (size_t)(end - slash));
    return qr_slice_of(name, (size_t)(slash - name));
}

static const char *command_of(const struct qr_http_request *request, struct qr_slice *host)
{
    struct qr_slice path = request->path;
    *host = take_host(&path);
    for (size_t i = 0; i < QR_COUNT(routes); i++)
        if (qr_slice_is(path, routes[i].path))
            return routes[i].command;
    return NULL;
}

bool qr_api_functions_wanted(const struct qr_http_request *request)
{
    struct qr_slice host;
    return command_of(request, &host) != NULL;
}

bool qr_api_functions_needs(const struct qr_http_request *request, struct qr_slice *host)
{
    static const char *const paths[] = {"/api/v1/info", "/api/v1/charts", "/api/v1/chart"};
    struct qr_slice path = request->path;
    *host = take_host(&path);
    for (size_t i = 0; i < QR_COUNT(paths) && host->len > 0; i++)
        if (qr_slice_is(path, paths[i]))
            return true;
    return false;
}

/* ---- answers ---- */

void qr_api_functions_add(struct qr_json *json, struct qr_slice list, const char *chart)
{
    struct qr_function function;
    struct qr_cursor in = qr_cursor_of(list);
    while (qr_function_list_next(&in, &function)) {
        if (chart != NULL && !qr_slice_is(function.chart, chart))
            continue;
        qr_json_object_at(json, function.name);
        qr_json_slice(json, "help", function.help);
        qr_json_u64(json, "timeout", function.timeout_s);
        qr_json_str(json, "options", function.global ? "GLOBAL " : "LOCAL ");
        qr_json_end(json);
    }
}

static void add_list(struct qr_buf *out, struct qr_slice list)
{
    struct qr_json json;
    qr_json_init(&json, out);
    qr_json_object(&json, NULL);
    qr_api_functions_add(&json, list, NULL);
    qr_json_end(&json);
}

static void add_progress(struct qr_buf *out, const struct qr_functions_request *ask)
{
    struct qr_json json;
    qr_json_init(&json, out);
    qr_json_object(&json, NULL);
    qr_json_i64(&json, "status", ask->status);
    if (ask->status == 200) {
        qr_json_u64(&json, "done", ask->progress_made.done);
        qr_json_u64(&json, "all", ask->progress_made.all);
    } else {
        qr_json_str(&json, "error_message", "No function with this transaction is at work here.");
    }
    qr_json_end(&json);
}

static void on_done(struct qr_functions_request *ask)
{
    struct qr_api_functions *api = QR_CONTAINER_OF(ask, struct qr_api_functions, ask);
    struct qr_http_response *response = api->response;
    response->status = ask->status;
    response->content_type = QR_HTTP_JSON;
    if (ask->what == QR_FUNCTIONS_PROGRESS) {
        add_progress(&response->body, ask);
    } else if (ask->what == QR_FUNCTIONS_LIST && ask->status == 200) {
        add_list(&response->body, qr_buf_slice(&ask->body));
    } else {
        response->content_type = ask->content_type;
        qr_buf_release(&response->body);
        response->body = ask->body;
        ask->body = (struct qr_buf){0};
    }
    qr_buf_release(&ask->body);
    api->done(api);
}

bool qr_api_functions_admits(const struct qr_http_request *request, bool allowed)
{
    return allowed && request->origin.len == 0;
}

static bool refuse(struct qr_api_functions *api, int status, const char *type, const char *text)
{
    api->response->status = status;
    api->response->content_type = type;
    qr_buf_add_str(&api->response->body, text);
    return true;
}

/* ---- asking ---- */

static uint32_t seconds_of(struct qr_slice text)
{
    uint32_t seconds = 0;
    for (size_t i = 0; i < text.len && seconds <= QR_FUNCTION_TIMEOUT_S_MAX; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return 0;
        seconds = seconds * 10 + (uint32_t)(text.base[i] - '0');
    }
    return seconds < QR_FUNCTION_TIMEOUT_S_MAX ? seconds : QR_FUNCTION_TIMEOUT_S_MAX;
}

static bool names(struct qr_slice function, const char *name)
{
    size_t len = strlen(name);
    return function.len >= len && memcmp(function.base, name, len) == 0 &&
           (function.len == len || function.base[len] == ' ');
}

static void fill_call(struct qr_api_functions *api)
{
    struct qr_function_call *call = &api->ask.call;
    call->function = qr_http_param(api->request, "function");
    call->timeout_s = seconds_of(qr_http_param(api->request, "timeout"));
    call->access = ACCESS_ALL;
    snprintf(api->source, sizeof api->source, "method=api,role=admin,permissions=0x%x,user=,ip=%s",
             call->access, api->peer_ip);
    call->source = qr_slice_str(api->source);
    call->has_payload = api->request->body.len > 0;
    if (call->has_payload) {
        call->payload = qr_buf_slice(&api->request->body);
        call->content_type = api->request->content_type;
    }
}

/* The one that the client names, or a new one.  False: it is no UUID. */
static bool fill_transaction(struct qr_api_functions *api)
{
    struct qr_slice text = qr_http_param(api->request, "transaction");
    if (text.len > 0)
        return qr_transaction_parse(&api->ask.call.transaction, text) == 0;
    qr_functions_transaction(api->functions, &api->ask.call.transaction);
    return api->ask.what != QR_FUNCTIONS_PROGRESS;
}

bool qr_api_functions_handle(struct qr_api_functions *api)
{
    struct qr_slice host;
    const char *command = command_of(api->request, &host);
    if (!qr_api_functions_admits(api->request, api->allowed))
        return refuse(api, 403, QR_HTTP_TEXT, "You are not allowed to access this resource.");
    api->ask = (struct qr_functions_request){
        .what = strcmp(command, "functions") == 0  ? QR_FUNCTIONS_LIST
                : strcmp(command, "progress") == 0 ? QR_FUNCTIONS_PROGRESS
                                                   : QR_FUNCTIONS_CALL,
        .host = host,
        .home = api->home,
        .done = on_done,
    };
    fill_call(api);
    if (api->ask.call.content_type.len > QR_FUNCTION_NAME_BYTES_MAX)
        return refuse(api, 400, QR_HTTP_TEXT, "The Content-Type is too long.");
    if (!fill_transaction(api))
        return refuse(api, 400, QR_HTTP_TEXT, "The transaction is missing, or no UUID.");
    if (api->ask.what == QR_FUNCTIONS_CALL && !api->request->post &&
        names(api->ask.call.function, "config"))
        return refuse(api, 403, QR_HTTP_TEXT, "A configuration is shown and changed by POST only.");
    qr_functions_ask(api->functions, &api->ask);
    return false;
}

void qr_api_functions_cancel(struct qr_api_functions *api)
{
    if (api->ask.what != QR_FUNCTIONS_PROGRESS)
        qr_functions_cancel(api->functions, &api->ask.call.transaction);
}
