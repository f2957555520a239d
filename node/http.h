/* node/http.h — HTTP as Netdata speaks it: parsing a request, rendering a response.
 *
 * Pure: bytes to a request, a response to bytes; sockets are node/web's.
 *
 *   request  = ("GET " | "OPTIONS " | "POST ") target " HTTP/" .. CRLF { header CRLF } CRLF
 *   target   = path [ ("?" | "%3F") query ]
 *
 * POST is for what changes something: below /api/quorate/ (node/manage), without a body, and for
 * functions of children (paths that end in /function), whose body of `Content-Length` bytes comes
 * behind the request and is the caller's to collect.  Any other method, more than
 * QR_HTTP_REQUEST_BYTES_MAX bytes, a body whose length is not said, other bytes behind the empty
 * line (pipelining) and a target that does not decode to UTF-8 are refused with 400, a body that is
 * too long with 413.  Path and query are
 * decoded as wholes (%XX, "+" is a blank; bad hex stays as it is) and split afterwards: an encoded
 * separator separates.  Repeated separators count once.  Keep-alive must be asked for.
 *
 * A response is in Netdata's order of headers; with gzip offered it is gzip and chunked, whatever
 * its size and status, otherwise it has a Content-Length.  Thread: any. */
#ifndef QR_NODE_HTTP_H
#define QR_NODE_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/slice.h"

#define QR_HTTP_PARAMS_MAX 400

/* What clients of Netdata look at. */
#define QR_HTTP_SERVER "Netdata Embedded HTTP Server v1.37.1"

#define QR_HTTP_TEXT       "text/plain; charset=utf-8"
#define QR_HTTP_HTML       "text/html; charset=utf-8"
#define QR_HTTP_JSON       "application/json; charset=utf-8"
#define QR_HTTP_JAVASCRIPT "application/x-javascript; charset=utf-8"

struct qr_http_param {
    struct qr_slice name;
    struct qr_slice value;
};

/* Slices lie in `text`, which the struct owns. */
struct qr_http_request {
    bool options, post;        /* OPTIONS or POST, otherwise GET. */
    struct qr_slice path;      /* Decoded, starts with '/', repeated slashes collapsed. */
    struct qr_slice target;    /* As it came. */
    struct qr_slice raw_query; /* As it came, behind the '?'. */
    uint32_t n_params;
    /* Decoded, in order; a bare word has an empty value.  Those with an empty name, or with an '='
     * and nothing behind it, are left out; so are those past QR_HTTP_PARAMS_MAX. */
    struct qr_http_param *params;
    struct qr_slice origin, host, forwarded_host, auth_token;
    struct qr_slice content_type; /* Of the body. */
    bool keep_alive, accepts_gzip, forwarded_https;
    bool expects_continue; /* The body comes when "100 Continue" has been said. */
    size_t body_bytes;     /* At most QR_FUNCTION_PAYLOAD_BYTES_MAX. */
    struct qr_buf body;    /* What of it was collected; released with the request. */
    struct qr_buf text;
};

/* Parses one request.  Bytes consumed (without the body), QR_E_PARTIAL, or an error with *status
 * (400 or 413) and *sentence (static) to answer with.  On success the caller releases it; otherwise
 * there is nothing to release. */
ssize_t qr_http_parse(struct qr_http_request *request, struct qr_slice in, int *status,
                      const char **sentence);
void qr_http_request_release(struct qr_http_request *request);

/* The last value of a parameter, or an empty slice.  Bare words have none. */
struct qr_slice qr_http_param(const struct qr_http_request *request, const char *name);

struct qr_http_response {
    int status;
    const char *content_type; /* Static. */
    struct qr_buf body;
    struct qr_buf headers; /* Further ones, each with \r\n: X-Quorate-*, Location, .. */
    bool cacheable;
    int64_t date_s;     /* 0: now. */
    uint32_t expires_s; /* From now; 0: by `cacheable`. */
};

/* 200, text, empty. */
void qr_http_response_init(struct qr_http_response *response);
void qr_http_response_release(struct qr_http_response *response);

/* The whole answer on the wire, appended to `out`.  `request` is NULL if none could be parsed: then
 * the connection closes.  0 or UV_ENOMEM. */
int qr_http_render(const struct qr_http_response *response, const struct qr_http_request *request,
                   int64_t now_s, struct qr_buf *out);

/* Appends text for a page: & < > " ' and / as entities. */
void qr_http_escape(struct qr_buf *out, struct qr_slice text);

#endif
