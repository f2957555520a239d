#include "proto/outgoing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/limits.h"
#include "proto/caps.h"
#include "proto/frame.h"

#define FRAME_ROOM (QR_FRAME_BYTES_MAX + 64u)
static_assert(QR_OUTGOING_BYTES >= QR_COMPRESSION_TEXT_BYTES_MAX + QR_OUTGOING_ROOM_MAX,
              "frames that make room are full ones");

int qr_outgoing_init(struct qr_outgoing *out, uint32_t caps,
                     const struct qr_compression_levels *levels,
                     void (*send)(void *data, struct qr_slice bytes), void *data)
{
    struct qr_outgoing o = {
        .ieee754 = (caps & QR_CAP_IEEE754) != 0,
        .whole_lines = (caps & QR_CAP_BINARY) == 0,
        .send = send,
        .data = data,
    };
    qr_buf_init(&o.frames, FRAME_ROOM);
    enum qr_compression compression = qr_caps_compression(caps);
    o.text = malloc(QR_OUTGOING_BYTES);
    int err = o.text == NULL ? UV_ENOMEM : 0;
    if (err == 0 && compression != QR_COMPRESSION_NONE)
        err = qr_buf_reserve(&o.frames, FRAME_ROOM);
    if (err == 0 && compression != QR_COMPRESSION_NONE)
        err = qr_compressor_new(&o.compressor, compression, levels);
    if (err != 0) {
        qr_outgoing_release(&o);
        return err;
    }
    *out = o;
    return 0;
}

void qr_outgoing_release(struct qr_outgoing *out)
{
    free(out->text);
    qr_buf_release(&out->frames);
    qr_compressor_free(out->compressor);
}

/* ---- sending ---- */

static void send_piece(struct qr_outgoing *out, struct qr_slice text)
{
    out->bytes_text += text.len;
    if (out->compressor != NULL) {
        qr_buf_clear(&out->frames);
        int err = qr_frame_encode(out->compressor, text, &out->frames);
        assert(err == 0); /* The room is reserved. */
        (void)err;
        text = qr_buf_slice(&out->frames);
    }
    out->bytes_wire += text.len;
    out->send(out->data, text);
}

/* How much of `text` the next piece takes; all lines of it are whole if they must be. */
static size_t piece_of(const struct qr_outgoing *out, struct qr_slice text)
{
    size_t max = out->compressor != NULL ? QR_COMPRESSION_TEXT_BYTES_MAX : QR_OUTGOING_BYTES;
    if (text.len <= max)
        max = text.len;
    if (!out->whole_lines)
        return max;
    const char *newline = memrchr(text.base, '\n', max);
    return newline != NULL ? (size_t)(newline + 1 - text.base) : 0;
}

/* Pieces go until no more than `keep` bytes are left, or what is left is no whole line. */
static void drain(struct qr_outgoing *out, size_t keep)
{
    size_t at = 0, n;
    while (out->len - at > keep &&
           (n = piece_of(out, qr_slice_of(out->text + at, out->len - at))) > 0) {
        send_piece(out, qr_slice_of(out->text + at, n));
        at += n;
    }
    out->len -= at;
    memmove(out->text, out->text + at, out->len);
}

void qr_outgoing_flush(struct qr_outgoing *out)
{
    drain(out, 0);
}

void qr_outgoing_make_room(struct qr_outgoing *out, size_t room)
{
    drain(out, QR_OUTGOING_BYTES - room);
    if (QR_OUTGOING_BYTES - out->len >= room)
        return;
    /* A line that is longer than a frame: no sender says one, but the buffer must not overflow. */
    bool whole_lines = out->whole_lines;
    out->whole_lines = false;
    drain(out, 0);
    out->whole_lines = whole_lines;
}

/* ---- numbers ---- */

static const char b64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *qr_put_b64(char *p, char mark, uint64_t value)
{
    *p++ = mark;
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    for (unsigned shift = (bits + 5) / 6 * 6; shift > 0; shift -= 6)
        *p++ = b64_digits[value >> (shift - 6) & 63];
    return p;
}

static char *put_unsigned(char *p, uint64_t value)
{
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return qr_put_bytes(p, at, (size_t)(digits + sizeof digits - at));
}

char *qr_put_decimal(char *p, int64_t value)
{
    if (value < 0)
        *p++ = '-';
    return put_unsigned(p, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

char *qr_put_hex(char *p, int64_t value)
{
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0)
        *p++ = '-';
    p = qr_put_bytes(p, "0x", 2);
    for (unsigned shift = (64 - (unsigned)__builtin_clzll(left | 1) + 3) / 4 * 4; shift > 0;
         shift -= 4)
        *p++ = "0123456789ABCDEF"[left >> (shift - 4) & 15];
    return p;
}

static char *cut_zeros(char *p)
{
    while (p[-1] == '0')
        p--;
    return p[-1] == '.' ? p - 1 : p;
}

char *qr_put_fixed(char *p, double value)
{
    assert(isfinite(value));
    double scaled = fabs(value) * 1e7;
    if (scaled >= 4e15) {
        /* At most 1e22 in practice; whatever it is, it meets the room that is promised. */
        char text[352];
        int n = snprintf(text, sizeof text, "%.7f", value);
        size_t len = (size_t)n < QR_OUTGOING_NUMBER_BYTES_MAX ? (size_t)n : 0;
        return len > 0 ? cut_zeros(qr_put_bytes(p, text, len)) : qr_put_bytes(p, "NAN", 3);
    }
    uint64_t units = (uint64_t)llrint(scaled);
    if (value < 0 && units > 0)
        *p++ = '-';
    p = put_unsigned(p, units / 10000000);
    uint64_t fraction = units % 10000000;
    if (fraction == 0)
        return p;
    *p++ = '.';
    for (uint64_t place = 1000000; place > 0; place /= 10)
        *p++ = (char)('0' + fraction / place % 10);
    return cut_zeros(p);
}

/* ---- words ---- */

/* Would a word in these quotes end before its end, or not end there? */
static bool fits_quotes(struct qr_slice word, char quote)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.base[i] == quote)
            return false;
        if (word.base[i] == '\\' && ++i == word.len)
            return false; /* It would take the closing quote. */
    }
    return true;
}

static bool is_sayable(unsigned char c)
{
    return c >= ' ' || c == '\t';
}

char *qr_put_word(char *p, struct qr_slice word, char quote)
{
    char other = quote == '"' ? '\'' : '"';
    bool fits = fits_quotes(word, quote);
    if (!fits && fits_quotes(word, other)) {
        quote = other;
        fits = true;
    }
    *p++ = quote;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.base[i];
        bool spoils = !is_sayable((unsigned char)c) || (!fits && (c == quote || c == '\\'));
        *p++ = spoils ? '_' : c;
    }
    *p++ = quote;
    return p;
}

/* ---- pieces ---- */

void qr_outgoing_bytes(struct qr_outgoing *out, struct qr_slice bytes)
{
    while (bytes.len > 0) {
        size_t n = bytes.len < QR_OUTGOING_ROOM_MAX ? bytes.len : QR_OUTGOING_ROOM_MAX;
        char *p = qr_outgoing_room(out, n);
        qr_outgoing_took(out, qr_put_bytes(p, bytes.base, n));
        bytes = qr_slice_of(bytes.base + n, bytes.len - n);
    }
}

void qr_outgoing_str(struct qr_outgoing *out, const char *text)
{
    qr_outgoing_bytes(out, qr_slice_str(text));
}

void qr_outgoing_word(struct qr_outgoing *out, struct qr_slice word, char quote)
{
    if (word.len > QR_OUTGOING_ROOM_MAX - 3)
        word.len = QR_OUTGOING_ROOM_MAX - 3;
    char *p = qr_outgoing_room(out, word.len + 3);
    *p++ = ' ';
    qr_outgoing_took(out, qr_put_word(p, word, quote));
}

void qr_outgoing_decimal(struct qr_outgoing *out, int64_t value)
{
    char *p = qr_outgoing_room(out, QR_OUTGOING_NUMBER_BYTES_MAX);
    *p++ = ' ';
    qr_outgoing_took(out, qr_put_decimal(p, value));
}

void qr_outgoing_int(struct qr_outgoing *out, int64_t value)
{
    if (!out->ieee754) {
        qr_outgoing_decimal(out, value);
        return;
    }
    char *p = qr_outgoing_room(out, QR_OUTGOING_NUMBER_BYTES_MAX);
    *p++ = ' ';
    qr_outgoing_took(out, qr_put_signed_b64(p, value));
}

void qr_outgoing_double(struct qr_outgoing *out, double value)
{
    char *p = qr_outgoing_room(out, QR_OUTGOING_NUMBER_BYTES_MAX + 1);
    *p++ = ' ';
    qr_outgoing_took(out, out->ieee754 ? qr_put_ieee(p, value) : qr_put_fixed(p, value));
}
