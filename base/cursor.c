#include "base/cursor.h"

static bool need(struct qr_cursor *c, size_t len)
{
    if (c->failed || qr_cursor_left(c) < len) {
        c->failed = true;
        return false;
    }
    return true;
}

static uint64_t take_le(struct qr_cursor *c, size_t n)
{
    if (!need(c, n))
        return 0;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)c->p[i] << (8 * i);
    c->p += n;
    return v;
}

uint8_t qr_cursor_u8(struct qr_cursor *c)
{
    return (uint8_t)take_le(c, 1);
}

uint16_t qr_cursor_u16(struct qr_cursor *c)
{
    return (uint16_t)take_le(c, 2);
}

uint32_t qr_cursor_u32(struct qr_cursor *c)
{
    return (uint32_t)take_le(c, 4);
}

uint64_t qr_cursor_u64(struct qr_cursor *c)
{
    return take_le(c, 8);
}

uint64_t qr_cursor_varint(struct qr_cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (!need(c, 1))
            return 0;
        uint8_t byte = *c->p++;
        if (shift == 63 && byte > 1)
            break; /* more than 64 bits */
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift != 0)
                break; /* a longer encoding than needed */
            return v;
        }
    }
    c->failed = true;
    return 0;
}

int64_t qr_cursor_zigzag(struct qr_cursor *c)
{
    uint64_t v = qr_cursor_varint(c);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

uint64_t qr_cursor_varint_max(struct qr_cursor *c, uint64_t max)
{
    uint64_t v = qr_cursor_varint(c);
    if (v > max) {
        c->failed = true;
        return 0;
    }
    return v;
}

struct qr_slice qr_cursor_take(struct qr_cursor *c, size_t len)
{
    if (!need(c, len))
        return qr_slice_of("", 0);
    const uint8_t *p = c->p;
    c->p += len;
    return qr_slice_of(p, len);
}

struct qr_slice qr_cursor_bytes(struct qr_cursor *c, size_t max)
{
    return qr_cursor_take(c, (size_t)qr_cursor_varint_max(c, max));
}
