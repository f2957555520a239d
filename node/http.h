/* node/http.h — HTTP as Netdata speaks it: parsing a request, rendering a response.
 *
 * Pure: bytes to a request, a response to bytes; sockets are node/web's.  The rules (methods,
 * limits, decoding, keep-alive opt-in, header order, gzip and chunking) are those of facts: HTTP
 * API, section 1.  Thread: any. */
#ifndef QR_NODE_HTTP_H
#define QR_NODE_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/slice.h"

#define QR_HTTP_PARAMS_MAX 400

struct qr_http_param {
    struct qr_slice name;
    struct qr_slice value;
};

/* Slices lie in `text`, which the struct owns. */
struct qr_http_request {
    bool options;         /* OPTIONS, otherwise GET. */
    struct qr_slice path; /* Decoded, starts with '/', repeated slashes collapsed. */
    struct qr_slice raw_query;
    uint32_t n_params;
    struct qr_http_param *params; /* Decoded, in order; empty ones left out. */
    struct qr_slice origin, host, forwarded_host, auth_token;
    bool keep_alive, accepts_gzip, forwarded_https;
    struct qr_buf text;
};

/* Parses one request.  Bytes consumed, QR_E_PARTIAL, or an error with *status (400) and *sentence
 * (static) to answer with.  On success the caller releases it. */
ssize_t qr_http_parse(struct qr_http_request *request, struct qr_slice in, int *status,
                      const char **sentence);
void qr_http_request_release(struct qr_http_request *request);

/* The last value of a parameter, or an empty slice. */
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

void qr_http_response_init(struct qr_http_response *response);
void qr_http_response_release(struct qr_http_response *response);

/* The whole answer on the wire, appended to `out`.  0 or UV_ENOMEM. */
int qr_http_render(const struct qr_http_response *response, const struct qr_http_request *request,
                   int64_t now_s, struct qr_buf *out);

#endif
