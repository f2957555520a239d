#include "storage/lanes.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "storage/value.h"

/* One body, inlined into functions for each kind of processor. */
#define BODY static inline __attribute__((always_inline))

/* Four lanes.  The compiler uses what vectors the processor has, or none. */
typedef uint32_t lanes4 __attribute__((vector_size(16)));

BODY lanes4 load4(const uint8_t *p)
{
    lanes4 v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    for (int i = 0; i < 4; i++)
        v[i] = __builtin_bswap32(v[i]);
#endif
    return v;
}

/* All rows of four, with a width that the compiler knows. */
BODY void unpack_width(const uint8_t *p, unsigned width, uint32_t *v)
{
    const uint32_t mask = width < 32 ? (UINT32_C(1) << width) - 1 : UINT32_MAX;
#pragma GCC unroll 32
    for (unsigned row = 0; row < 32; row++) {
        unsigned bit = row * width, shift = bit % 32;
        lanes4 x = load4(p + (size_t)(bit / 32) * 16) >> shift;
        if (shift + width > 32)
            x |= load4(p + (size_t)(bit / 32 + 1) * 16) << (32 - shift);
        x &= mask;
        memcpy(v + (size_t)row * 4, &x, sizeof x);
    }
}

#define UNPACK(w)                                                                                  \
    case w:                                                                                        \
        unpack_width(p, w, v);                                                                     \
        break;
#define UNPACK_8(w)                                                                                \
    UNPACK(w)                                                                                      \
    UNPACK(w + 1)                                                                                  \
    UNPACK(w + 2) UNPACK(w + 3) UNPACK(w + 4) UNPACK(w + 5) UNPACK(w + 6) UNPACK(w + 7)

BODY void unpack(const uint8_t *p, unsigned width, uint32_t *v)
{
    switch (width) {
        UNPACK_8(1)
        UNPACK_8(9)
        UNPACK_8(17)
        UNPACK_8(25)
    default:
        memset(v, 0, QR_LANES_N * sizeof *v);
    }
}

BODY void offsets(const uint32_t *v, int32_t base, int32_t factor, int32_t *x)
{
    if (factor == 1) {
        for (unsigned i = 0; i < QR_LANES_N; i++)
            x[i] = (int32_t)((uint32_t)base + v[i]);
    } else {
        for (unsigned i = 0; i < QR_LANES_N; i++)
            x[i] = (int32_t)((uint32_t)base + v[i] * (uint32_t)factor);
    }
}

BODY void differences(const uint32_t *v, int32_t base, int32_t factor, int32_t *x)
{
    const lanes4 zero = {0};
    lanes4 before = zero + (uint32_t)base;
    for (unsigned i = 0; i < QR_LANES_N; i += 4) {
        lanes4 d;
        memcpy(&d, v + i, sizeof d);
        d = (d >> 1) ^ (zero - (d & 1));
        d *= (uint32_t)factor;
        d += __builtin_shufflevector(zero, d, 0, 4, 5, 6);
        d += __builtin_shufflevector(zero, d, 0, 1, 4, 5);
        d += before;
        before = __builtin_shufflevector(d, d, 3, 3, 3, 3);
        memcpy(x + i, &d, sizeof d);
    }
}

/* m / 10^k if that leaves nothing: by the inverse of 5^k modulo 2^32 and a rotation, more than
 * `most` otherwise. */
BODY uint32_t divided(uint32_t m, uint32_t inverse, unsigned k)
{
    uint32_t q = m * inverse;
    return q >> k | q << (32 - k);
}

#define INVERSE_1 UINT32_C(0xcccccccd) /* of 5 */
#define INVERSE_2 UINT32_C(0xc28f5c29) /* of 5^2 */
#define INVERSE_4 UINT32_C(0x3afb7e91) /* of 5^4 */
#define MOST_1    (UINT32_MAX / 10)
#define MOST_2    (UINT32_MAX / 100)
#define MOST_4    (UINT32_MAX / 10000)

BODY bool values(const int32_t *x, unsigned code, uint32_t *out)
{
    uint32_t all = 0;
    if (code == 0) {
        for (unsigned i = 0; i < QR_LANES_N; i++) {
            uint32_t sign = (uint32_t)(x[i] >> 31), m = ((uint32_t)x[i] ^ sign) - sign;
            all |= m;
            out[i] = m | (sign & UINT32_C(1) << 31);
        }
        return all <= QR_VALUE_MANTISSA_MAX;
    }
    for (unsigned i = 0; i < QR_LANES_N; i++) { /* Without the zeros at the end of a fraction. */
        uint32_t sign = (uint32_t)(x[i] >> 31), m = ((uint32_t)x[i] ^ sign) - sign, c = code, q;
        q = divided(m, INVERSE_4, 4);
        m = c >= 4 && q <= MOST_4 ? q : m;
        c = c >= 4 && q <= MOST_4 ? c - 4 : c;
        q = divided(m, INVERSE_2, 2);
        uint32_t by_2 = c >= 2 && q <= MOST_2;
        m = by_2 ? q : m;
        c = by_2 ? c - 2 : c;
        q = divided(m, INVERSE_1, 1);
        uint32_t by_1 = c >= 1 && q <= MOST_1;
        m = by_1 ? q : m;
        c = by_1 ? c - 1 : c;
        all |= m;
        out[i] = (sign & UINT32_C(1) << 31) | c << 26 | m;
    }
    return all <= QR_VALUE_MANTISSA_MAX;
}

BODY bool split(const int32_t *mantissas, const uint32_t *codes, uint32_t *out)
{
    uint32_t all = 0, all_codes = 0, bad = 0;
    for (unsigned i = 0; i < QR_LANES_N; i++) {
        uint32_t sign = (uint32_t)(mantissas[i] >> 31), m = ((uint32_t)mantissas[i] ^ sign) - sign,
                 c = codes[i];
        uint32_t v = (sign & UINT32_C(1) << 31) | c << 26 | m;
        all |= m;
        all_codes |= c;
        bad |= (uint32_t)(divided(m, INVERSE_1, 1) <= MOST_1) & (uint32_t)(c != 0) &
               (uint32_t)(m != 0);
        out[i] = m != 0 ? v : 0;
    }
    if (all > QR_VALUE_MANTISSA_MAX || all_codes > 31)
        return false;
    if (all_codes <= 7)
        return bad == 0;
    for (unsigned i = 0; i < QR_LANES_N; i++)
        if (!qr_value_is_canonical(out[i]) || qr_value_is_empty(out[i]))
            return false;
    return true;
}

#define GROUP 8u

typedef int32_t ints4 __attribute__((vector_size(16)));
typedef int64_t longs4 __attribute__((vector_size(32)));
typedef double doubles4 __attribute__((vector_size(32)));

/* x, times 10^k where that bit of `more` is set. */
#define MULTIPLY_IF(x, more, bit, power)                                                           \
    do {                                                                                           \
        longs4 is_set = __builtin_convertvector(((more) & (bit)) != 0, longs4);                    \
        longs4 factor = (is_set & (longs4)((doubles4){0} + (power))) |                             \
                        (~is_set & (longs4)((doubles4){0} + 1.0));                                 \
        (x) *= (doubles4)factor;                                                                   \
    } while (0)

/* Codes up to 7: m / 10^code as m * 10^(7 - code) / 10^7, the same number, rounded once, without a
 * look into a table. */
BODY void unpack_group(const uint32_t *v, double *out)
{
    for (unsigned i = 0; i < GROUP; i += 4) {
        ints4 value;
        memcpy(&value, v + i, sizeof value);
        ints4 sign = value >> 31, more = 7 - (value >> 26 & 7);
        doubles4 x = __builtin_convertvector(
            ((value & (int32_t)QR_VALUE_MANTISSA_MAX) ^ sign) - sign, doubles4);
        MULTIPLY_IF(x, more, 4, 1e4);
        MULTIPLY_IF(x, more, 2, 1e2);
        MULTIPLY_IF(x, more, 1, 1e1);
        x /= 1e7;
        memcpy(out + i, &x, sizeof x);
    }
}

/* All of a group's bits in *any; are its values the same? */
BODY bool look_at_group(const uint32_t *v, uint32_t *any)
{
    ints4 low, high;
    memcpy(&low, v, sizeof low);
    memcpy(&high, v + 4, sizeof high);
    ints4 same = {0}, both = low | high;
    same += (int32_t)v[0];
    uint64_t differ[2], all[2];
    low = (low ^ same) | (high ^ same);
    memcpy(differ, &low, sizeof differ);
    memcpy(all, &both, sizeof all);
    all[0] |= all[1];
    *any = (uint32_t)(all[0] | all[0] >> 32);
    return (differ[0] | differ[1]) == 0;
}

BODY void unpack_values(const uint32_t *v, uint32_t n, double *out)
{
    uint32_t at = 0, any, last = 0;
    double last_double = 0;
    for (; at + GROUP <= n; at += GROUP) {
        if (look_at_group(v + at, &any)) { /* As most are. */
            if (v[at] != last) {
                last = v[at];
                last_double = qr_value_unpack(last);
            }
            for (unsigned i = 0; i < GROUP; i++)
                out[at + i] = last_double;
        } else if ((any >> 26 & 24) == 0) { /* No code beyond 7. */
            unpack_group(v + at, out + at);
        } else {
            for (unsigned i = 0; i < GROUP; i++)
                out[at + i] = qr_value_unpack(v[at + i]);
        }
    }
    for (; at < n; at++)
        out[at] = qr_value_unpack(v[at]);
}

BODY void sum(const int32_t *x, uint32_t n, struct qr_lanes_sum *out)
{
    int64_t total = 0;
    int32_t min = x[0], max = x[0];
    for (uint32_t i = 0; i < n; i++) {
        total += x[i];
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    *out = (struct qr_lanes_sum){total, min, max};
}

#define INSTANCES(suffix, attributes)                                                              \
    attributes static void unpack_##suffix(const uint8_t *p, unsigned width, uint32_t *v)          \
    {                                                                                              \
        unpack(p, width, v);                                                                       \
    }                                                                                              \
    attributes static void offsets_##suffix(const uint32_t *v, int32_t base, int32_t factor,       \
                                            int32_t *x)                                            \
    {                                                                                              \
        offsets(v, base, factor, x);                                                               \
    }                                                                                              \
    attributes static void differences_##suffix(const uint32_t *v, int32_t base, int32_t factor,   \
                                                int32_t *x)                                        \
    {                                                                                              \
        differences(v, base, factor, x);                                                           \
    }                                                                                              \
    attributes static bool values_##suffix(const int32_t *x, unsigned code, uint32_t *out)         \
    {                                                                                              \
        return values(x, code, out);                                                               \
    }                                                                                              \
    attributes static bool split_##suffix(const int32_t *mantissas, const uint32_t *codes,         \
                                          uint32_t *out)                                           \
    {                                                                                              \
        return split(mantissas, codes, out);                                                       \
    }                                                                                              \
    attributes static void unpack_values_##suffix(const uint32_t *v, uint32_t n, double *out)      \
    {                                                                                              \
        unpack_values(v, n, out);                                                                  \
    }                                                                                              \
    attributes static void sum_##suffix(const int32_t *x, uint32_t n, struct qr_lanes_sum *out)    \
    {                                                                                              \
        sum(x, n, out);                                                                            \
    }                                                                                              \
    const struct qr_lanes qr_lanes_##suffix = {                                                    \
        #suffix,         unpack_##suffix, offsets_##suffix,       differences_##suffix,            \
        values_##suffix, split_##suffix,  unpack_values_##suffix, sum_##suffix};

INSTANCES(plain, )

#if defined(__x86_64__)
INSTANCES(avx2, __attribute__((target("avx2"))))

bool qr_lanes_supported(const struct qr_lanes *lanes)
{
    return lanes != &qr_lanes_avx2 || __builtin_cpu_supports("avx2");
}
#else
INSTANCES(avx2, )

bool qr_lanes_supported(const struct qr_lanes *lanes)
{
    return lanes != NULL;
}
#endif

static _Atomic(const struct qr_lanes *) here;

void qr_lanes_use(const struct qr_lanes *lanes)
{
    assert(lanes == NULL || qr_lanes_supported(lanes));
    atomic_store_explicit(&here, lanes, memory_order_relaxed);
}

const struct qr_lanes *qr_lanes_here(void)
{
    const struct qr_lanes *lanes = atomic_load_explicit(&here, memory_order_relaxed);
    if (lanes == NULL) {
        lanes = qr_lanes_supported(&qr_lanes_avx2) ? &qr_lanes_avx2 : &qr_lanes_plain;
        atomic_store_explicit(&here, lanes, memory_order_relaxed);
    }
    return lanes;
}
