#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void qr_json_init(struct qr_json *json, struct qr_buf *out)
{
    *json = (struct qr_json){.out = out, .first = true};
}

/* The comma and the key before a value. */
static void begin_at(struct qr_json *json, const struct qr_slice *key)
{
    if (!json->first)
        qr_buf_add(json->out, ",", 1);
    json->first = false;
    if (key == NULL)
        return;
    qr_json_quote(json->out, *key);
    qr_buf_add(json->out, ":", 1);
}

static void begin(struct qr_json *json, const char *key)
{
    struct qr_slice name = key != NULL ? qr_slice_str(key) : qr_slice_of(NULL, 0);
    begin_at(json, key != NULL ? &name : NULL);
}

static void open_level(struct qr_json *json, char opener, char closer)
{
    assert(json->depth < QR_JSON_DEPTH_MAX);
    json->closers[json->depth++] = closer;
    json->first = true;
    qr_buf_add(json->out, &opener, 1);
}

void qr_json_object(struct qr_json *json, const char *key)
{
    begin(json, key);
    open_level(json, '{', '}');
}

void qr_json_object_at(struct qr_json *json, struct qr_slice key)
{
    begin_at(json, &key);
    open_level(json, '{', '}');
}

void qr_json_array(struct qr_json *json, const char *key)
{
    begin(json, key);
    open_level(json, '[', ']');
}

void qr_json_end(struct qr_json *json)
{
    assert(json->depth > 0);
    qr_buf_add(json->out, &json->closers[--json->depth], 1);
    json->first = false;
}

void qr_json_slice(struct qr_json *json, const char *key, struct qr_slice text)
{
    begin(json, key);
    qr_json_quote(json->out, text);
}

void qr_json_null(struct qr_json *json, const char *key)
{
    begin(json, key);
    qr_buf_add(json->out, "null", 4);
}

void qr_json_str(struct qr_json *json, const char *key, const char *text)
{
    if (text == NULL)
        qr_json_null(json, key);
    else
        qr_json_slice(json, key, qr_slice_str(text));
}

void qr_json_i64(struct qr_json *json, const char *key, int64_t v)
{
    begin(json, key);
    qr_buf_printf(json->out, "%" PRId64, v);
}

void qr_json_u64(struct qr_json *json, const char *key, uint64_t v)
{
    begin(json, key);
    qr_buf_printf(json->out, "%" PRIu64, v);
}

void qr_json_bool(struct qr_json *json, const char *key, bool v)
{
    begin(json, key);
    qr_buf_add_str(json->out, v ? "true" : "false");
}

void qr_json_double(struct qr_json *json, const char *key, double v)
{
    begin(json, key);
    qr_json_number(json->out, v);
}

/* The bounds of the second byte depend on the first, which rules out overlong forms, surrogates
 * and what lies beyond U+10FFFF (Unicode 15, table 3-7). */
size_t qr_utf8_len(struct qr_slice text)
{
    if (text.len == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)text.base;
    unsigned char low = 0x80, high = 0xbf;
    size_t len;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (text.len < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return len;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x7f && c != '"' && c != '\\';
}

/* Appends what stands for the bytes at the front of `text`, which are not plain; returns how many
 * bytes that were. */
static size_t escape_one(struct qr_buf *out, struct qr_slice text)
{
    static const char letters[] = "b\bf\fn\nr\rt\t";
    char c = text.base[0];
    if ((unsigned char)c >= 0x80) {
        size_t len = qr_utf8_len(text);
        qr_buf_add(out, len != 0 ? text.base : "\xef\xbf\xbd", len != 0 ? len : 3);
        return len != 0 ? len : 1;
    }
    if (c == '"' || c == '\\') {
        qr_buf_add(out, (const char[]){'\\', c}, 2);
        return 1;
    }
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (letters[i + 1] == c) {
            qr_buf_add(out, (const char[]){'\\', letters[i]}, 2);
            return 1;
        }
    qr_buf_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
    return 1;
}

void qr_json_escape(struct qr_buf *out, struct qr_slice text)
{
    size_t i = 0;
    while (i < text.len) {
        size_t start = i;
        while (i < text.len && is_plain(text.base[i]))
            i++;
        qr_buf_add(out, text.base + start, i - start);
        if (i < text.len)
            i += escape_one(out, qr_slice_of(text.base + i, text.len - i));
    }
}

void qr_json_quote(struct qr_buf *out, struct qr_slice text)
{
    qr_buf_add(out, "\"", 1);
    qr_json_escape(out, text);
    qr_buf_add(out, "\"", 1);
}

#define DECIMALS     7
#define DECIMALS_POW 10000000u

/* Writes v backwards, ending before `end`; returns where it starts. */
static char *digits_before(char *end, uint64_t v)
{
    do {
        *--end = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return end;
}

/* `digits` decimals of which the last is not 0, with their leading zeros. */
static char *fraction_after(char *p, uint64_t fraction)
{
    unsigned digits = DECIMALS;
    for (; fraction % 10 == 0; fraction /= 10)
        digits--;
    *p++ = '.';
    for (unsigned i = digits; i-- > 0; fraction /= 10)
        p[i] = (char)('0' + fraction % 10);
    return p + digits;
}

void qr_json_number(struct qr_buf *out, double v)
{
    if (!isfinite(v)) {
        qr_buf_add(out, "null", 4);
        return;
    }
    if (fabs(v) >= 1e18) { /* No decimals are left in a double. */
        qr_buf_printf(out, "%.0f", v);
        return;
    }
    double whole_part;
    double part = modf(fabs(v), &whole_part);
    uint64_t whole = (uint64_t)whole_part;
    uint64_t fraction = (uint64_t)llrint(part * DECIMALS_POW);
    if (fraction >= DECIMALS_POW) {
        fraction -= DECIMALS_POW;
        whole++;
    }
    char text[40];
    char *middle = text + 24; /* Sign and 20 digits before it, the point and decimals behind. */
    char *start = digits_before(middle, whole);
    if (v < 0 && (whole != 0 || fraction != 0))
        *--start = '-';
    char *end = fraction != 0 ? fraction_after(middle, fraction) : middle;
    qr_buf_add(out, start, (size_t)(end - start));
}
