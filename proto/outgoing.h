/* proto/outgoing.h — the text that we say on a connection: words and numbers as the other side
 * reads them, collected, packed and framed.
 *
 *   words, numbers -> text -> [compressor -> frames] -> send
 *
 * Everything is written at the end of one buffer of fixed size, which goes out when it is full and
 * at a flush.  Frames may split lines where BINARY was negotiated; otherwise each one holds whole
 * lines (facts: section 6).  Nothing is allocated after qr_outgoing_init.
 *
 * Words are quoted so that Netdata's grammar (proto/words) gives the same bytes back.  It has no
 * escapes: what no quoting can say (both quotes, a backslash at the end, control bytes) is said
 * with
 * '_' in its place, as Netdata's own cleaning of names does.  Thread: the owner's. */
#ifndef QR_PROTO_OUTGOING_H
#define QR_PROTO_OUTGOING_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/slice.h"
#include "proto/compression.h"

#define QR_OUTGOING_BYTES (32u * 1024)
/* What one qr_outgoing_room() may ask for. */
#define QR_OUTGOING_ROOM_MAX (8u * 1024)
/* No number takes more: "-0x" and 16 digits, or 22 digits with 7 decimals. */
#define QR_OUTGOING_NUMBER_BYTES_MAX 40u

struct qr_outgoing {
    char *text; /* QR_OUTGOING_BYTES */
    size_t len;
    bool ieee754;     /* '#' and '@' numbers. */
    bool whole_lines; /* In each frame. */
    struct qr_compressor *compressor;
    struct qr_buf frames;
    void *data;
    void (*send)(void *data, struct qr_slice bytes);
    uint64_t bytes_text, bytes_wire;
};

/* For these capabilities; levels NULL: the default ones.  0 or UV_ENOMEM (nothing to release). */
int qr_outgoing_init(struct qr_outgoing *out, uint32_t caps,
                     const struct qr_compression_levels *levels,
                     void (*send)(void *data, struct qr_slice bytes), void *data);
void qr_outgoing_release(struct qr_outgoing *out);

/* Sends all of it, or only what must go for `room` more bytes. */
void qr_outgoing_flush(struct qr_outgoing *out);
void qr_outgoing_make_room(struct qr_outgoing *out, size_t room);

/* Where to write up to n bytes; qr_outgoing_took() says where they end. */
static inline char *qr_outgoing_room(struct qr_outgoing *out, size_t n)
{
    assert(n <= QR_OUTGOING_ROOM_MAX);
    if (QR_UNLIKELY(QR_OUTGOING_BYTES - out->len < n))
        qr_outgoing_make_room(out, n);
    return out->text + out->len;
}

static inline void qr_outgoing_took(struct qr_outgoing *out, const char *end)
{
    out->len = (size_t)(end - out->text);
    assert(out->len <= QR_OUTGOING_BYTES);
}

/* ---- pieces, each of which makes its own room ---- */

void qr_outgoing_bytes(struct qr_outgoing *out, struct qr_slice bytes); /* Of any length. */
void qr_outgoing_str(struct qr_outgoing *out, const char *text);
/* A blank and the word in quotes, in these if both would do. */
void qr_outgoing_word(struct qr_outgoing *out, struct qr_slice word, char quote);
/* A blank and the number: in decimal, or as was negotiated. */
void qr_outgoing_decimal(struct qr_outgoing *out, int64_t value);
void qr_outgoing_int(struct qr_outgoing *out, int64_t value);
void qr_outgoing_double(struct qr_outgoing *out, double value);

/* ---- the same into memory, for what is said again and again: returns the end ---- */

/* Room: len + 2 bytes. */
char *qr_put_word(char *p, struct qr_slice word, char quote);
char *qr_put_decimal(char *p, int64_t value);
char *qr_put_b64(char *p, char mark, uint64_t value); /* '#' or '@' and its digits. */
char *qr_put_hex(char *p, int64_t value);             /* 0x */
/* With 7 decimals and no zeros at their end; finite. */
char *qr_put_fixed(char *p, double value);

static inline char *qr_put_bytes(char *p, const void *bytes, size_t n)
{
    memcpy(p, bytes, n);
    return p + n;
}

static inline char *qr_put_signed_b64(char *p, int64_t value)
{
    if (value < 0)
        *p++ = '-';
    return qr_put_b64(p, '#', value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static inline char *qr_put_ieee(char *p, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return qr_put_b64(p, '@', bits);
}

#endif
