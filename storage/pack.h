/* storage/pack.h — packed integers: varints into memory, fixed widths, blocks of up to 128.
 *
 * A block is written as offsets from its least integer, or as zigzag differences each from the one
 * before, in `width` bits each; integers that need more leave their low bits in place and their
 * high bits beside, where that costs less than a greater width.
 *
 *   u8       bit 7 differences, bit 6 exceptions, bits 5-0 width (0 .. 57)
 *   varint   zigzag of the least, or of the integer before the first
 *   bytes    ceil(n * width / 8), the least bits first, unused bits 0
 *   if bit 6: u8 count - 1, and for each: u8 position, varint high bits
 *
 * Writers expect enough room; readers are bounded.  Thread: any. */
#ifndef QR_STORAGE_PACK_H
#define QR_STORAGE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"

#define QR_PACK_BLOCK     128u
#define QR_PACK_WIDTH_MAX 57u

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

/* n integers of `width` bits; n is QR_PACK_BLOCK or they are the last. */
uint8_t *qr_put_packed(uint8_t *p, const uint64_t *v, uint32_t n, unsigned width);
void qr_take_packed(struct qr_cursor *in, uint64_t *v, uint32_t n, unsigned width);

struct qr_block_plan {
    uint32_t n;
    bool differences;
    unsigned width;
    int64_t base;
    uint32_t n_exceptions;
    uint64_t v[QR_PACK_BLOCK];
};

/* The cheapest way to write the block of x that starts at `at`; returns its bytes. */
size_t qr_block_plan(struct qr_block_plan *plan, const int64_t *x, uint32_t at, uint32_t n);
uint8_t *qr_put_block(uint8_t *p, const struct qr_block_plan *plan);
void qr_take_block(struct qr_cursor *in, int64_t *x, uint32_t n);

#endif
