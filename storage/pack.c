#include "storage/pack.h"

#include <assert.h>
#include <string.h>

#include "storage/lanes.h"

const int64_t qr_power_of_10[16] = {1,
                                    10,
                                    100,
                                    1000,
                                    10000,
                                    100000,
                                    1000000,
                                    10000000,
                                    100000000,
                                    1000000000,
                                    10000000000,
                                    100000000000,
                                    1000000000000,
                                    10000000000000,
                                    100000000000000,
                                    1000000000000000};

uint8_t *qr_put_u32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        *p++ = (uint8_t)(v >> 8 * i);
    return p;
}

uint8_t *qr_put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static bool in_lanes(uint32_t n, unsigned width)
{
    return n == QR_LANES_N && width <= QR_LANES_WIDTH_MAX;
}

/* ---- writing ---- */

static uint8_t *put_in_line(uint8_t *p, const uint64_t *v, uint32_t n, unsigned width)
{
    uint64_t mask = (UINT64_C(1) << width) - 1, bits = 0;
    unsigned n_bits = 0;
    for (uint32_t i = 0; i < n; i++) {
        bits |= (v[i] & mask) << n_bits;
        for (n_bits += width; n_bits >= 8; n_bits -= 8) {
            *p++ = (uint8_t)bits;
            bits >>= 8;
        }
    }
    if (n_bits > 0)
        *p++ = (uint8_t)bits;
    return p;
}

static uint8_t *put_in_lanes(uint8_t *p, const uint64_t *v, unsigned width)
{
    uint64_t mask = (UINT64_C(1) << width) - 1, bits[4] = {0};
    unsigned n_bits = 0;
    for (uint32_t row = 0; row < QR_LANES_N / 4; row++) {
        for (unsigned lane = 0; lane < 4; lane++)
            bits[lane] |= (v[4 * row + lane] & mask) << n_bits;
        n_bits += width;
        if (n_bits < 32)
            continue;
        for (unsigned lane = 0; lane < 4; lane++) {
            p = qr_put_u32(p, (uint32_t)bits[lane]);
            bits[lane] >>= 32;
        }
        n_bits -= 32;
    }
    return p;
}

uint8_t *qr_put_packed(uint8_t *p, const uint64_t *v, uint32_t n, unsigned width)
{
    assert(n <= QR_PACK_N && width <= QR_PACK_WIDTH_MAX);
    return in_lanes(n, width) ? put_in_lanes(p, v, width) : put_in_line(p, v, n, width);
}

/* ---- reading ---- */

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

#define PADDED_BYTES (QR_PACK_N * QR_PACK_WIDTH_MAX / 8 + 8)

/* Integers one after the other, as bytes of which eight can be loaded at the last one too; NULL:
 * they are not there. */
static const uint8_t *take_line(struct qr_cursor *in, uint32_t n, unsigned width,
                                uint8_t padded[PADDED_BYTES])
{
    size_t bytes = qr_packed_bytes(n, width);
    struct qr_slice packed = qr_cursor_take(in, bytes);
    if (in->failed)
        return NULL;
    /* One encoding: what is left of the last byte is zero. */
    unsigned n_last = n * width % 8;
    if (n_last != 0 && (uint8_t)packed.base[bytes - 1] >> n_last != 0) {
        in->failed = true;
        return NULL;
    }
    if (qr_cursor_left(in) >= 8)
        return (const uint8_t *)packed.base;
    if (bytes != 0)
        memcpy(padded, packed.base, bytes);
    memset(padded + bytes, 0, 8);
    return padded;
}

void qr_take_packed(struct qr_cursor *in, uint32_t *v, uint32_t n, unsigned width)
{
    assert(n <= QR_PACK_N && width <= QR_LANES_WIDTH_MAX);
    if (in_lanes(n, width)) {
        struct qr_slice packed = qr_cursor_take(in, (size_t)16 * width);
        if (!in->failed)
            qr_lanes_here()->unpack((const uint8_t *)packed.base, width, v);
        return;
    }
    uint8_t padded[PADDED_BYTES];
    const uint8_t *p = take_line(in, n, width, padded);
    uint64_t mask = (UINT64_C(1) << width) - 1;
    for (uint32_t i = 0, bit = 0; p != NULL && i < n; i++, bit += width)
        v[i] = (uint32_t)(load_le64(p + bit / 8) >> bit % 8 & mask);
}

void qr_take_packed_wide(struct qr_cursor *in, uint64_t *v, uint32_t n, unsigned width)
{
    assert(n <= QR_PACK_N && width <= QR_PACK_WIDTH_MAX);
    if (width <= QR_LANES_WIDTH_MAX) {
        uint32_t narrow[QR_PACK_N];
        qr_take_packed(in, narrow, n, width);
        for (uint32_t i = 0; i < n && !in->failed; i++)
            v[i] = narrow[i];
        return;
    }
    uint8_t padded[PADDED_BYTES];
    const uint8_t *p = take_line(in, n, width, padded);
    uint64_t mask = (UINT64_C(1) << width) - 1;
    for (uint32_t i = 0, bit = 0; p != NULL && i < n; i++, bit += width)
        v[i] = load_le64(p + bit / 8) >> bit % 8 & mask;
}
