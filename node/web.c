#include "node/web.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "node/api_functions.h"
#include "node/http.h"
#include "node/ingest.h"
#include "node/manage.h"

struct web {
    struct qr_conn *conn; /* NULL once closed. */
    struct qr_ingest *ingest;
    struct qr_http_request request;
    struct qr_http_response response;
    struct qr_buf answer;
    struct qr_job job;
    struct qr_manage manage;
    struct qr_api_functions functions;
    struct qr_functions_request listing; /* Of an answer that tells of functions, too .. */
    struct qr_buf offered;               /* .. and what came of it. */
    char peer_ip[48];                    /* Of who asks to manage, or for a function. */
    bool working;
    bool collecting;     /* The request is there but for its body ... */
    size_t reserved;     /* ... for which so much was set aside. */
    bool calling;        /* A child's function: the client may go before it answers. */
    _Atomic bool wanted; /* Read by the worker. */
};

/* The request is of no more use, nor is its body. */
static void release_request(struct web *web)
{
    if (web->reserved > 0)
        qr_functions_unreserve(qr_ingest_config(web->ingest)->functions, web->reserved);
    web->reserved = 0;
    web->collecting = false;
    qr_http_request_release(&web->request);
    qr_buf_release(&web->offered);
}

static void free_web(struct web *web)
{
    release_request(web);
    qr_buf_release(&web->answer);
    free(web);
}

static void on_closed(struct qr_conn *conn)
{
    struct web *web = conn->owner;
    web->conn = NULL;
    atomic_store(&web->wanted, false);
    if (web->calling)
        qr_api_functions_cancel(&web->functions);
    if (!web->working)
        free_web(web); /* otherwise the worker's end does it */
}

static void send_answer(struct web *web, bool keep_alive)
{
    struct qr_conn *conn = web->conn;
    int err = qr_conn_write(conn, qr_buf_slice(&web->answer));
    if (err == QR_E_LIMIT)
        qr_ingest_complain(web->ingest,
                           "connection closed: its answer is too long peer=%s bytes=%zu",
                           conn->peer, web->answer.len);
    if (err != 0)
        return;
    qr_buf_clear(&web->answer);
    if (keep_alive)
        qr_conn_resume(conn);
    else
        qr_conn_finish(conn);
}

/* Worker. */
static void compute(struct qr_job *job)
{
    struct web *web = QR_CONTAINER_OF(job, struct web, job);
    if (!atomic_load(&web->wanted))
        return; /* the client left before its turn came */
    const struct qr_ingest_config *config = qr_ingest_config(web->ingest);
    qr_api_handle(config->api, &web->request, qr_buf_slice(&web->offered), &web->response);
    qr_http_render(&web->response, &web->request, qr_clock_real_s(config->clock), &web->answer);
}

static void on_answered(struct web *web)
{
    bool keep_alive = web->request.keep_alive;
    bool failed = web->answer.failed || web->answer.len == 0;
    qr_http_response_release(&web->response);
    release_request(web);
    web->working = false;
    if (web->conn == NULL)
        free_web(web);
    else if (failed)
        qr_conn_close(web->conn); /* no memory for the answer */
    else
        send_answer(web, keep_alive);
}

static void on_computed(struct qr_job *job)
{
    on_answered(QR_CONTAINER_OF(job, struct web, job));
}

static void start_computing(struct web *web)
{
    web->job.run = compute;
    web->job.done = on_computed;
    qr_ingest_add_job(web->ingest, &web->job);
}

/* Its functions are known to the host's owner only: it is asked first, and not long. */
#define LISTING_S 1u

static void on_listed(struct qr_functions_request *listing)
{
    struct web *web = QR_CONTAINER_OF(listing, struct web, listing);
    if (listing->status == 200)
        web->offered = listing->body;
    else
        qr_buf_release(&listing->body);
    listing->body = (struct qr_buf){0};
    start_computing(web);
}

static void list_functions(struct web *web, struct qr_slice host)
{
    struct qr_functions *functions = qr_ingest_config(web->ingest)->functions;
    web->listing = (struct qr_functions_request){.what = QR_FUNCTIONS_LIST,
                                                 .host = host,
                                                 .call.timeout_s = LISTING_S,
                                                 .home = qr_ingest_mailbox(web->ingest),
                                                 .done = on_listed};
    qr_functions_transaction(functions, &web->listing.call.transaction);
    qr_functions_ask(functions, &web->listing);
}

/* ---- requests that change something: their answer comes from the consensus loop ---- */

static void on_managed(struct qr_manage *manage)
{
    struct web *web = QR_CONTAINER_OF(manage, struct web, manage);
    qr_http_render(&web->response, &web->request,
                   qr_clock_real_s(qr_ingest_config(web->ingest)->clock), &web->answer);
    on_answered(web);
}

static bool may_manage(const struct qr_conn *conn)
{
    return (qr_conn_roles(conn) & QR_ROLE_MANAGEMENT) != 0;
}

static void manage(struct web *web)
{
    const struct qr_ingest_config *config = qr_ingest_config(web->ingest);
    snprintf(web->peer_ip, sizeof web->peer_ip, "%s", web->conn->peer_ip);
    web->manage = (struct qr_manage){.request = &web->request,
                                     .response = &web->response,
                                     .peer_ip = web->peer_ip,
                                     .allowed = may_manage(web->conn),
                                     .roster = config->roster,
                                     .members = config->members,
                                     .keyring = config->keyring,
                                     .home = qr_ingest_mailbox(web->ingest),
                                     .done = on_managed};
    if (qr_manage_handle(&web->manage))
        on_managed(&web->manage);
}

/* ---- functions of children: the answer may take long ---- */

/* Worker: packing an answer of megabytes takes its time. */
static void render(struct qr_job *job)
{
    struct web *web = QR_CONTAINER_OF(job, struct web, job);
    if (atomic_load(&web->wanted))
        qr_http_render(&web->response, &web->request,
                       qr_clock_real_s(qr_ingest_config(web->ingest)->clock), &web->answer);
}

static void on_called(struct qr_api_functions *functions)
{
    struct web *web = QR_CONTAINER_OF(functions, struct web, functions);
    web->calling = false;
    if (web->conn != NULL) {
        qr_conn_pause(web->conn);
        qr_conn_idle_limit(web->conn, QR_HTTP_IDLE_MS);
    }
    web->job.run = render;
    web->job.done = on_computed;
    qr_ingest_add_job(web->ingest, &web->job);
}

/* It goes on reading, to see when the client leaves. */
static void call_function(struct web *web)
{
    const struct qr_ingest_config *config = qr_ingest_config(web->ingest);
    snprintf(web->peer_ip, sizeof web->peer_ip, "%s", web->conn->peer_ip);
    web->functions = (struct qr_api_functions){.request = &web->request,
                                               .response = &web->response,
                                               .peer_ip = web->peer_ip,
                                               .allowed = may_manage(web->conn),
                                               .functions = config->functions,
                                               .home = qr_ingest_mailbox(web->ingest),
                                               .done = on_called};
    if (qr_api_functions_handle(&web->functions)) {
        on_called(&web->functions);
        return;
    }
    web->calling = true;
    qr_conn_idle_limit(web->conn, 0);
}

static void answer_at_once(struct web *web)
{
    struct qr_http_request none = {0};
    qr_http_render(&web->response, &none, qr_clock_real_s(qr_ingest_config(web->ingest)->clock),
                   &web->answer);
    qr_http_response_release(&web->response);
    send_answer(web, false);
}

static void refuse(struct web *web, int status, const char *sentence)
{
    qr_http_response_init(&web->response);
    web->response.status = status;
    web->response.content_type = QR_HTTP_TEXT;
    qr_buf_add_str(&web->response.body, sentence);
    answer_at_once(web);
}

/* Is there somebody whom a POST can be for? */
static bool is_for_post(const struct web *web)
{
    static const char manage_path[] = "/api/quorate/";
    struct qr_slice path = web->request.path;
    if (qr_api_functions_wanted(&web->request))
        return qr_ingest_config(web->ingest)->functions != NULL;
    return path.len >= sizeof manage_path &&
           memcmp(path.base, manage_path, sizeof manage_path - 1) == 0;
}

/* May it ask this here?  `allow management from` has its own sentence (node/manage). */
static bool is_permitted(const struct web *web)
{
    const struct qr_conn *conn = web->conn;
    bool manages = qr_manage_takes(&web->request) || qr_api_functions_wanted(&web->request);
    unsigned roles = manages ? conn->bind->roles : qr_conn_roles(conn);
    return (roles & qr_roles_for(web->request.path, manages)) != 0;
}

/* The bytes of a URL that it may have as they are. */
static void add_url(struct qr_buf *out, struct qr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL)
            qr_buf_printf(out, "%%%02X", c);
        else
            qr_buf_add(out, text.base + i, 1);
    }
}

/* The port takes TLS only: the same address by https, as Netdata answers. */
static void redirect(struct web *web)
{
    struct qr_buf url = {0};
    struct qr_slice target = web->request.target;
    qr_buf_add_str(&url, "https://");
    add_url(&url, web->request.host);
    if (target.len == 0 || target.base[0] != '/')
        qr_buf_add_str(&url, "/");
    add_url(&url, target);
    qr_http_response_init(&web->response);
    web->response.status = 301;
    web->response.content_type = QR_HTTP_HTML;
    qr_buf_printf(&web->response.headers, "Location: %.*s\r\n", (int)url.len, url.base);
    qr_buf_add_str(&web->response.body, "<html><body>This port takes TLS only: <a href=\"");
    qr_http_escape(&web->response.body, qr_buf_slice(&url));
    qr_buf_add_str(&web->response.body, "\">ask with https</a>.</body></html>");
    qr_buf_release(&url);
    answer_at_once(web);
}

/* The request is whole. */
static void begin(struct web *web)
{
    qr_ingest_counters(web->ingest)->http_requests++;
    qr_http_response_init(&web->response);
    web->working = true;
    if (qr_ingest_config(web->ingest)->functions != NULL &&
        qr_api_functions_wanted(&web->request)) {
        call_function(web);
        return;
    }
    qr_conn_pause(web->conn);
    if (qr_manage_takes(&web->request)) {
        manage(web);
        return;
    }
    struct qr_slice host;
    if (qr_ingest_config(web->ingest)->functions != NULL &&
        qr_api_functions_needs(&web->request, &host))
        list_functions(web, host);
    else
        start_computing(web);
}

/* ---- a body: of who may send one, as much of it as was announced ---- */

static bool expect_body(struct web *web)
{
    const struct qr_http_request *request = &web->request;
    int status = 403;
    const char *sentence = "You are not allowed to access this resource.";
    if (qr_api_functions_admits(request, may_manage(web->conn))) {
        status = 503;
        sentence = "Too much waits on this member: try again later.";
        if (qr_functions_reserve(qr_ingest_config(web->ingest)->functions, request->body_bytes)) {
            web->reserved = request->body_bytes;
            web->collecting = true;
            qr_conn_hurry(web->conn, true);
            if (request->expects_continue)
                qr_conn_write(web->conn, qr_slice_str("HTTP/1.1 100 Continue\r\n\r\n"));
            return true;
        }
    }
    release_request(web);
    refuse(web, status, sentence);
    return false;
}

static ssize_t collect(struct web *web, struct qr_slice in)
{
    struct qr_http_request *request = &web->request;
    if (in.len > request->body_bytes - request->body.len) {
        release_request(web);
        refuse(web, 400, "There is more behind the body than was announced.");
        return (ssize_t)in.len;
    }
    if (qr_buf_add(&request->body, in.base, in.len) != 0)
        return UV_ENOMEM;
    if (request->body.len == request->body_bytes) {
        web->collecting = false;
        qr_conn_hurry(web->conn, false);
        begin(web);
    }
    return (ssize_t)in.len;
}

static ssize_t on_bytes(struct qr_conn *conn, struct qr_slice in)
{
    struct web *web = conn->owner;
    int status = 0;
    const char *sentence = NULL;
    if (conn->close_when_drained)
        return (ssize_t)in.len;
    if (web->working)
        return 0;
    if (web->collecting)
        return collect(web, in);
    ssize_t used = qr_http_parse(&web->request, in, &status, &sentence);
    qr_conn_hurry(conn, used == QR_E_PARTIAL); /* A request has so long, not each of its bytes. */
    if (used == QR_E_PARTIAL)
        return 0;
    if (used < 0) {
        refuse(web, status != 0 ? status : 400,
               sentence != NULL ? sentence : qr_strerror((int)used));
        return (ssize_t)in.len;
    }
    if (qr_conn_lacks_tls(conn) && web->request.host.len > 0) {
        redirect(web);
        release_request(web);
        return (ssize_t)in.len;
    }
    if (qr_conn_lacks_tls(conn) || !is_permitted(web)) {
        release_request(web);
        refuse(web, 403,
               qr_conn_lacks_tls(conn) ? "This port takes TLS only: ask with https."
                                       : "You are not allowed to access this resource.");
        return (ssize_t)in.len;
    }
    if (web->request.post && !is_for_post(web)) {
        release_request(web);
        refuse(web, 400, "This is not asked for by POST here.");
        return (ssize_t)in.len;
    }
    if (web->request.body_bytes > 0)
        return expect_body(web) ? used : (ssize_t)in.len;
    begin(web);
    return used;
}

static const struct qr_conn_handler handler = {on_bytes, on_closed};

void qr_web_take(struct qr_conn *conn)
{
    struct web *web = calloc(1, sizeof *web);
    if (web == NULL) {
        qr_conn_close(conn);
        return;
    }
    web->conn = conn;
    atomic_init(&web->wanted, true);
    web->ingest = conn->ingest;
    conn->owner = web;
    conn->handler = &handler;
    qr_conn_idle_limit(conn, QR_HTTP_IDLE_MS);
}
