#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"

void qr_buf_init(struct qr_buf *buf, size_t max)
{
    *buf = (struct qr_buf){.max = max};
}

void qr_buf_release(struct qr_buf *buf)
{
    free(buf->base);
    *buf = (struct qr_buf){.max = buf->max};
}

void qr_buf_clear(struct qr_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

void qr_buf_trim(struct qr_buf *buf)
{
    if (buf->len == 0 || buf->len == buf->capacity)
        return;
    char *base = realloc(buf->base, buf->len);
    if (base == NULL)
        return;
    buf->base = base;
    buf->capacity = buf->len;
}

static int fail(struct qr_buf *buf, int error)
{
    buf->failed = true;
    return error;
}

int qr_buf_reserve(struct qr_buf *buf, size_t len)
{
    if (QR_LIKELY(buf->capacity - buf->len >= len))
        return 0;
    if (len > SIZE_MAX / 4 - buf->len)
        return fail(buf, QR_E_LIMIT);
    size_t need = buf->len + len;
    if (buf->max != 0 && need > buf->max)
        return fail(buf, QR_E_LIMIT);
    size_t capacity = buf->capacity != 0 ? buf->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    if (buf->max != 0 && capacity > buf->max)
        capacity = buf->max;
    char *base = realloc(buf->base, capacity);
    if (base == NULL)
        return fail(buf, UV_ENOMEM);
    buf->base = base;
    buf->capacity = capacity;
    return 0;
}

int qr_buf_add(struct qr_buf *buf, const void *bytes, size_t len)
{
    int err = qr_buf_reserve(buf, len);
    if (err != 0)
        return err;
    if (len != 0)
        memcpy(buf->base + buf->len, bytes, len);
    buf->len += len;
    return 0;
}

int qr_buf_add_str(struct qr_buf *buf, const char *text)
{
    return qr_buf_add(buf, text, strlen(text));
}

int qr_buf_add_u8(struct qr_buf *buf, uint8_t v)
{
    return qr_buf_add(buf, &v, 1);
}

static int add_le(struct qr_buf *buf, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    qr_le_put(bytes, v, n);
    return qr_buf_add(buf, bytes, n);
}

int qr_buf_add_u16(struct qr_buf *buf, uint16_t v)
{
    return add_le(buf, v, 2);
}

int qr_buf_add_u32(struct qr_buf *buf, uint32_t v)
{
    return add_le(buf, v, 4);
}

int qr_buf_add_u64(struct qr_buf *buf, uint64_t v)
{
    return add_le(buf, v, 8);
}

int qr_buf_add_varint(struct qr_buf *buf, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    return qr_buf_add(buf, bytes, n);
}

int qr_buf_add_zigzag(struct qr_buf *buf, int64_t v)
{
    return qr_buf_add_varint(buf, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

int qr_buf_add_bytes(struct qr_buf *buf, struct qr_slice bytes)
{
    const size_t len = buf->len;
    int err = qr_buf_add_varint(buf, bytes.len);
    if (err == 0)
        err = qr_buf_add(buf, bytes.base, bytes.len);
    if (err != 0)
        buf->len = len; /* No length without its bytes. */
    return err;
}

int qr_buf_vprintf(struct qr_buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(n >= 0);
    int err = qr_buf_reserve(buf, (size_t)n + 1);
    if (err != 0)
        return err;
    vsnprintf(buf->base + buf->len, (size_t)n + 1, format, args);
    buf->len += (size_t)n;
    return 0;
}

int qr_buf_printf(struct qr_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int err = qr_buf_vprintf(buf, format, args);
    va_end(args);
    return err;
}

void qr_buf_consume(struct qr_buf *buf, size_t len)
{
    assert(len <= buf->len);
    if (len == 0)
        return;
    memmove(buf->base, buf->base + len, buf->len - len);
    buf->len -= len;
}
