#include "storage/pack.h"

#include <assert.h>
#include <string.h>

#include "base/compiler.h"

#define DIFFERENCES 128u
#define EXCEPTIONS  64u
#define WIDTH_MASK  63u

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

/* ---- fixed widths ---- */

uint8_t *qr_put_packed(uint8_t *p, const uint64_t *v, uint32_t n, unsigned width)
{
    assert(width <= QR_PACK_WIDTH_MAX);
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

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

void qr_take_packed(struct qr_cursor *in, uint64_t *v, uint32_t n, unsigned width)
{
    assert(n <= QR_PACK_BLOCK && width <= QR_PACK_WIDTH_MAX);
    size_t bytes = qr_packed_bytes(n, width);
    struct qr_slice packed = qr_cursor_take(in, bytes);
    if (in->failed)
        return;
    const uint8_t *p = (const uint8_t *)packed.base;
    uint8_t padded[QR_PACK_BLOCK * QR_PACK_WIDTH_MAX / 8 + 8];
    if (qr_cursor_left(in) < 8) { /* Loads of eight bytes would leave the input. */
        memcpy(padded, p, bytes);
        memset(padded + bytes, 0, 8);
        p = padded;
    }
    uint64_t mask = (UINT64_C(1) << width) - 1;
    for (uint32_t i = 0, bit = 0; i < n; i++, bit += width)
        v[i] = load_le64(p + bit / 8) >> bit % 8 & mask;
    /* One encoding: what is left of the last byte is zero. */
    unsigned n_last = n * width % 8;
    if (n_last != 0 && (uint8_t)packed.base[bytes - 1] >> n_last != 0)
        in->failed = true;
}

/* ---- blocks ---- */

/* Bytes that n integers take in the best width, with their exceptions. */
static size_t best_width(const uint64_t *v, uint32_t n, unsigned *width, uint32_t *n_exceptions)
{
    uint8_t count[65] = {0};
    uint64_t all = 0;
    for (uint32_t i = 0; i < n; i++) {
        count[qr_bit_width(v[i])]++;
        all |= v[i];
    }
    unsigned widest = qr_bit_width(all);
    assert(widest <= QR_PACK_WIDTH_MAX);
    *width = widest;
    *n_exceptions = 0;
    size_t best = qr_packed_bytes(n, widest);
    uint32_t n_wider = count[widest];
    /* A width that no integer has exactly is not tried: the next lower one has the same
     * exceptions and fewer bits. */
    for (unsigned w = widest; w-- > 0; n_wider += count[w]) {
        if (w != 0 && count[w] == 0)
            continue;
        size_t bytes = qr_packed_bytes(n, w) + 1;
        for (unsigned wide = w + 1; wide <= widest; wide++)
            bytes += count[wide] * (size_t)(1 + (wide - w + 6) / 7);
        if (bytes < best) {
            best = bytes;
            *width = w;
            *n_exceptions = n_wider;
        }
    }
    return best;
}

static void plan_offsets(struct qr_block_plan *plan, const int64_t *x)
{
    int64_t least = x[0];
    for (uint32_t i = 1; i < plan->n; i++)
        least = x[i] < least ? x[i] : least;
    for (uint32_t i = 0; i < plan->n; i++)
        plan->v[i] = (uint64_t)(x[i] - least);
    plan->base = least;
    plan->differences = false;
}

size_t qr_block_plan(struct qr_block_plan *plan, const int64_t *x, uint32_t at, uint32_t n)
{
    plan->n = n - at < QR_PACK_BLOCK ? n - at : QR_PACK_BLOCK;
    int64_t before = at > 0 ? x[at - 1] : x[0];
    x += at;
    plan_offsets(plan, x);
    unsigned width;
    uint32_t n_exceptions;
    size_t offsets_bytes = best_width(plan->v, plan->n, &width, &n_exceptions) +
                           qr_varint_bytes(qr_zigzag(plan->base));
    uint64_t differences[QR_PACK_BLOCK];
    differences[0] = qr_zigzag(x[0] - before);
    for (uint32_t i = 1; i < plan->n; i++)
        differences[i] = qr_zigzag(x[i] - x[i - 1]);
    size_t bytes = best_width(differences, plan->n, &plan->width, &plan->n_exceptions) +
                   qr_varint_bytes(qr_zigzag(before));
    if (bytes < offsets_bytes) {
        memcpy(plan->v, differences, plan->n * sizeof *differences);
        plan->base = before;
        plan->differences = true;
        return 1 + bytes;
    }
    plan->width = width;
    plan->n_exceptions = n_exceptions;
    return 1 + offsets_bytes;
}

uint8_t *qr_put_block(uint8_t *p, const struct qr_block_plan *plan)
{
    *p++ = (uint8_t)((plan->differences ? DIFFERENCES : 0) |
                     (plan->n_exceptions != 0 ? EXCEPTIONS : 0) | plan->width);
    p = qr_put_varint(p, qr_zigzag(plan->base));
    p = qr_put_packed(p, plan->v, plan->n, plan->width);
    if (plan->n_exceptions == 0)
        return p;
    *p++ = (uint8_t)(plan->n_exceptions - 1);
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->v[i] >> plan->width == 0)
            continue;
        *p++ = (uint8_t)i;
        p = qr_put_varint(p, plan->v[i] >> plan->width);
    }
    return p;
}

static void take_exceptions(struct qr_cursor *in, uint64_t *v, uint32_t n, unsigned width)
{
    uint32_t n_exceptions = (uint32_t)qr_cursor_u8(in) + 1;
    uint32_t next = 0;
    for (uint32_t i = 0; i < n_exceptions && !in->failed; i++) {
        uint32_t at = qr_cursor_u8(in);
        uint64_t high = qr_cursor_varint_max(in, UINT64_MAX >> (64 - QR_PACK_WIDTH_MAX) >> width);
        if (at < next || at >= n || high == 0) {
            in->failed = true;
            return;
        }
        v[at] |= high << width;
        next = at + 1;
    }
}

void qr_take_block(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    uint8_t head = qr_cursor_u8(in);
    unsigned width = head & WIDTH_MASK;
    int64_t base = qr_cursor_zigzag(in);
    uint64_t v[QR_PACK_BLOCK];
    if (width > QR_PACK_WIDTH_MAX) {
        in->failed = true;
        return;
    }
    qr_take_packed(in, v, n, width);
    if (head & EXCEPTIONS && !in->failed)
        take_exceptions(in, v, n, width);
    if (in->failed)
        return;
    if (head & DIFFERENCES) {
        for (uint32_t i = 0; i < n; i++)
            x[i] = base = qr_add_wrapping(base, qr_unzigzag(v[i]));
    } else {
        for (uint32_t i = 0; i < n; i++)
            x[i] = qr_add_wrapping(base, (int64_t)v[i]);
    }
}
