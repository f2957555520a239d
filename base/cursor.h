/* base/cursor.h — a bounded reader over borrowed bytes.
 *
 * It fails once and stays failed: a decoder reads top to bottom and asks qr_cursor_done() at the
 * end.  After a failure every take returns 0 or an empty slice.  Integers are little endian;
 * varints are LEB128 and must be minimal, so that there is one encoding of each value.
 * Thread: any. */
#ifndef QR_BASE_CURSOR_H
#define QR_BASE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct qr_cursor {
    const uint8_t *p;
    const uint8_t *end;
    bool failed;
};

static inline struct qr_cursor qr_cursor_of(struct qr_slice bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.base;
    return (struct qr_cursor){p, p != NULL ? p + bytes.len : p, false};
}

static inline size_t qr_cursor_left(const struct qr_cursor *c)
{
    return (size_t)(c->end - c->p);
}

/* All input is used and nothing failed. */
static inline bool qr_cursor_done(const struct qr_cursor *c)
{
    return !c->failed && c->p == c->end;
}

uint8_t qr_cursor_u8(struct qr_cursor *c);
uint16_t qr_cursor_u16(struct qr_cursor *c);
uint32_t qr_cursor_u32(struct qr_cursor *c);
uint64_t qr_cursor_u64(struct qr_cursor *c);
uint64_t qr_cursor_varint(struct qr_cursor *c);
int64_t qr_cursor_zigzag(struct qr_cursor *c);
/* A varint of at most `max`; more fails the cursor. */
uint64_t qr_cursor_varint_max(struct qr_cursor *c, uint64_t max);
/* The next `len` bytes, borrowed from the input. */
struct qr_slice qr_cursor_take(struct qr_cursor *c, size_t len);
/* A varint length of at most `max`, and that many bytes. */
struct qr_slice qr_cursor_bytes(struct qr_cursor *c, size_t max);

#endif
