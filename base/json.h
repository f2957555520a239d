/* base/json.h — a JSON writer into a qr_buf, and how Netdata's API prints numbers.
 *
 * The writer keeps the commas and the nesting; the caller keeps the order:
 *
 *   struct qr_json json;
 *   qr_json_init(&json, out);
 *   qr_json_object(&json, NULL);
 *   qr_json_str(&json, "hostname", name);
 *   qr_json_end(&json);
 *
 * A key is given inside an object and NULL inside an array.  Output is compact.  Running out of
 * memory or of the buffer's limit shows once, in out->failed.  Thread: the owner's. */
#ifndef QR_BASE_JSON_H
#define QR_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

#define QR_JSON_DEPTH_MAX 16

struct qr_json {
    struct qr_buf *out;
    unsigned depth;
    char closers[QR_JSON_DEPTH_MAX]; /* What ends each open level. */
    bool first;                      /* Nothing was written on this level yet. */
};

void qr_json_init(struct qr_json *json, struct qr_buf *out);

/* Opens a level; qr_json_end closes the innermost one. */
void qr_json_object(struct qr_json *json, const char *key);
void qr_json_array(struct qr_json *json, const char *key);
void qr_json_end(struct qr_json *json);

/* As qr_json_object, with a key that is not ours. */
void qr_json_object_at(struct qr_json *json, struct qr_slice key);

void qr_json_str(struct qr_json *json, const char *key, const char *text); /* NULL: null */
void qr_json_slice(struct qr_json *json, const char *key, struct qr_slice text);
void qr_json_i64(struct qr_json *json, const char *key, int64_t v);
void qr_json_u64(struct qr_json *json, const char *key, uint64_t v);
void qr_json_bool(struct qr_json *json, const char *key, bool v);
void qr_json_null(struct qr_json *json, const char *key);
/* As qr_json_number prints it. */
void qr_json_double(struct qr_json *json, const char *key, double v);

/* ---- pieces, for formats with a layout of their own ---- */

/* Appends the text without quotes: '"', '\' and control bytes escaped, and bytes that are not
 * UTF-8 replaced by U+FFFD, so that the result is always valid JSON. */
void qr_json_escape(struct qr_buf *out, struct qr_slice text);
/* The same with quotes. */
void qr_json_quote(struct qr_buf *out, struct qr_slice text);

/* A value as Netdata's API prints it: sign, integer part, and up to 7 decimals (rounded to even,
 * no zeros at the end); never an exponent; null for NaN and infinities. */
void qr_json_number(struct qr_buf *out, double v);

/* Bytes of the well-formed UTF-8 sequence at the front of `text`; 0: there is none. */
size_t qr_utf8_len(struct qr_slice text);

#endif
