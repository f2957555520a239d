/* testing/fetch.h — HTTP with libcurl, for tests: blocking, with a deadline.
 * Thread: the owner's. */
#ifndef QR_TESTING_FETCH_H
#define QR_TESTING_FETCH_H

#include <jansson.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/slice.h"

struct qr_fetch {
    void *curl;
    struct qr_buf body;    /* Of the newest answer. */
    struct qr_buf headers; /* Raw lines. */
};

/* 0 or UV_ENOMEM. */
int qr_fetch_init(struct qr_fetch *fetch);
void qr_fetch_release(struct qr_fetch *fetch);

/* The HTTP status, or a negative error (QR_E_UNREACHABLE, QR_E_TIMEOUT, QR_E_LIMIT). */
int qr_fetch_get(struct qr_fetch *fetch, long timeout_ms, const char *url_format, ...)
    QR_PRINTF(3, 4);

/* A POST with a body.  The same. */
int qr_fetch_post(struct qr_fetch *fetch, long timeout_ms, const char *content_type,
                  struct qr_slice body, const char *url);

/* The body as JSON, a new reference, or NULL if it is none. */
json_t *qr_fetch_json(const struct qr_fetch *fetch);

#endif
