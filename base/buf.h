/* base/buf.h — owned, growable, capped bytes.
 *
 * Bytes are appended at the end and may be consumed from the front.  A zeroed struct with `max` set
 * is valid and empty.  `base` is NUL-terminated after qr_buf_printf, not otherwise.
 * A failed append returns UV_ENOMEM or QR_E_LIMIT, leaves the content alone and sets `failed`, so
 * that a writer may append many times and check once.  Thread: the owner's. */
#ifndef QR_BASE_BUF_H
#define QR_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/slice.h"

struct qr_buf {
    char *base;
    size_t len;
    size_t capacity;
    size_t max; /* 0: no limit. */
    bool failed;
};

void qr_buf_init(struct qr_buf *buf, size_t max);
void qr_buf_release(struct qr_buf *buf);

/* Empties it and keeps its memory. */
void qr_buf_clear(struct qr_buf *buf);

/* Gives back the room behind the content, if the allocator can. */
void qr_buf_trim(struct qr_buf *buf);

/* Room for `len` more bytes at base + len.  0, UV_ENOMEM or QR_E_LIMIT. */
int qr_buf_reserve(struct qr_buf *buf, size_t len);

int qr_buf_add(struct qr_buf *buf, const void *bytes, size_t len);
int qr_buf_add_str(struct qr_buf *buf, const char *text);
int qr_buf_add_u8(struct qr_buf *buf, uint8_t v);
int qr_buf_add_u16(struct qr_buf *buf, uint16_t v); /* little endian, as all of these */
int qr_buf_add_u32(struct qr_buf *buf, uint32_t v);
int qr_buf_add_u64(struct qr_buf *buf, uint64_t v);
int qr_buf_add_varint(struct qr_buf *buf, uint64_t v); /* LEB128, minimal */
int qr_buf_add_zigzag(struct qr_buf *buf, int64_t v);
/* A varint length and the bytes. */
int qr_buf_add_bytes(struct qr_buf *buf, struct qr_slice bytes);
int qr_buf_printf(struct qr_buf *buf, const char *format, ...) QR_PRINTF(2, 3);
int qr_buf_vprintf(struct qr_buf *buf, const char *format, va_list args);

/* Drops `len` bytes from the front; len <= buf->len. */
void qr_buf_consume(struct qr_buf *buf, size_t len);

/* Writes the low n bytes of v at `at`, little endian: for headers of a fixed size. */
static inline void qr_le_put(void *at, uint64_t v, size_t n)
{
    uint8_t *p = (uint8_t *)at;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* Reads them back. */
static inline uint64_t qr_le_get(const void *at, size_t n)
{
    const uint8_t *p = (const uint8_t *)at;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline struct qr_slice qr_buf_slice(const struct qr_buf *buf)
{
    return qr_slice_of(buf->base, buf->len);
}

#endif
