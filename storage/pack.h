/* storage/pack.h — integers in few bytes: varints into memory, and fixed widths.
 *
 * 128 integers of at most 32 bits are packed in four lanes (storage/lanes), other numbers of them
 * and wider ones one after the other, the least bits first, the rest of the last byte 0.  Both take
 * ceil(n * width / 8) bytes.
 *
 * Writers expect enough room; readers are bounded.  Thread: any. */
#ifndef QR_STORAGE_PACK_H
#define QR_STORAGE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"

#define QR_PACK_N         128u /* At most, in one call. */
#define QR_PACK_WIDTH_MAX 57u

/* 10^0 .. 10^15 */
extern const int64_t qr_power_of_10[16];

static inline uint64_t qr_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t qr_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Foreign bytes may add up to anything. */
static inline int64_t qr_add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline unsigned qr_bit_width(uint64_t v)
{
    return v != 0 ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

static inline size_t qr_varint_bytes(uint64_t v)
{
    return v < 0x80 ? 1 : (qr_bit_width(v) + 6) / 7;
}

static inline size_t qr_packed_bytes(uint32_t n, unsigned width)
{
    return ((size_t)n * width + 7) / 8;
}

uint8_t *qr_put_u32(uint8_t *p, uint32_t v);
uint8_t *qr_put_varint(uint8_t *p, uint64_t v);

/* The low `width` bits of n integers. */
uint8_t *qr_put_packed(uint8_t *p, const uint64_t *v, uint32_t n, unsigned width);
/* The first is for widths up to 32. */
void qr_take_packed(struct qr_cursor *in, uint32_t *v, uint32_t n, unsigned width);
void qr_take_packed_wide(struct qr_cursor *in, uint64_t *v, uint32_t n, unsigned width);

#endif
