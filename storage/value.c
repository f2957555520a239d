#include "storage/value.h"

#include <math.h>

#include "base/compiler.h"

#define SIGN           (1u << 31)
#define MANTISSA_MAX   16777215.0
#define SCALE_UP_BELOW 1677722.0 /* There is room for one more digit. */

static const double power_of_10[QR_VALUE_EXPONENT_MAX + 1] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};

/* Below the i-th, Netdata's loop takes step i + 1. */
static const double scale_up_below[7] = {1677722.0, 167772.2, 16777.22, 1677.722,
                                         167.7722,  16.77722, 1.677722};

/* Takes the zeros at the end of a fraction away. */
static uint32_t strip(uint32_t m, unsigned code)
{
    if (m == 0)
        return 0;
    if (code >= 4 && m % 10000 == 0) {
        m /= 10000;
        code -= 4;
    }
    while (code > 0 && m % 10 == 0) {
        m /= 10;
        code--;
    }
    return code << 26 | m;
}

/* Netdata's loop, for values that need care: those that fall near a border or a tie. */
static uint32_t pack_small_slowly(double n)
{
    unsigned code = 0;
    while (code < 7 && n < SCALE_UP_BELOW) {
        n *= 10;
        code++;
    }
    if (n > MANTISSA_MAX) {
        n /= 10;
        code--;
    }
    return strip((uint32_t)lrint(n), code);
}

/* The loop multiplies step by step, each time rounding by at most one part in 2^53; one
 * multiplication by the whole power gives the same integer unless the product lies within that
 * error of a tie or a border, and then the loop decides. */
static uint32_t pack_small(double n)
{
    unsigned code = 0;
    while (code < 7 && n < scale_up_below[code])
        code++;
    double scaled = n * power_of_10[code];
    uint32_t whole = (uint32_t)scaled;
    double rest = scaled - whole;
    bool near_tie = rest > 0.5 - 1e-6 && rest < 0.5 + 1e-6;
    bool near_border = whole >= QR_VALUE_MANTISSA_MAX - 1 || whole - 1677721 < 2;
    if (QR_UNLIKELY(near_tie || near_border))
        return pack_small_slowly(n);
    return strip(whole + (rest > 0.5), code);
}

static uint32_t pack_large(double n)
{
    double factor = n / 1e7 > MANTISSA_MAX ? 100 : 10;
    unsigned steps = 0;
    while (steps < 7 && n > MANTISSA_MAX) {
        n /= factor;
        steps++;
    }
    uint32_t m = n > MANTISSA_MAX ? QR_VALUE_MANTISSA_MAX : (uint32_t)lrint(n);
    /* Rounding may have made room for a smaller step. */
    if (factor == 100 && m * 100 <= QR_VALUE_MANTISSA_MAX) {
        m *= 100;
        steps--;
    }
    return ((factor == 100 ? 14 : 7) + steps) << 26 | m;
}

uint32_t qr_value_pack(double v, uint32_t flags)
{
    double n = fabs(v);
    uint32_t value;
    if (n <= MANTISSA_MAX) {
        uint32_t whole = (uint32_t)n;
        value = (double)whole == n ? whole : pack_small(n);
    } else if (isfinite(n)) {
        value = pack_large(n);
    } else {
        return QR_VALUE_EMPTY;
    }
    if (v < 0 && value != 0)
        value |= SIGN;
    return value | (flags & QR_VALUE_FLAGS);
}

#define NONE                                                                                       \
    {                                                                                              \
        NAN, 1                                                                                     \
    }
const double qr_value_scales[32][2] = {
    {1, 1},   {1, 1e1}, {1, 1e2}, {1, 1e3},  {1, 1e4},  {1, 1e5},  {1, 1e6}, {1, 1e7},
    {1e1, 1}, {1e2, 1}, {1e3, 1}, {1e4, 1},  {1e5, 1},  {1e6, 1},  {1e7, 1}, {1e2, 1},
    {1e4, 1}, {1e6, 1}, {1e8, 1}, {1e10, 1}, {1e12, 1}, {1e14, 1}, NONE,     NONE,
    NONE,     NONE,     NONE,     NONE,      NONE,      NONE,      NONE,     NONE,
};
#undef NONE

bool qr_value_is_canonical(uint32_t value)
{
    if (qr_value_is_empty(value))
        return true;
    uint32_t m = value & QR_VALUE_MANTISSA_MAX;
    unsigned code = qr_value_code(value);
    if (code == 0)
        return m != 0 || value >> 31 == 0;
    if (code <= 7)
        return m % 10 != 0;
    if (code <= 14)
        return m * 10 > QR_VALUE_MANTISSA_MAX;
    /* 10^7 is code 14: the first step of a hundred beyond it is 100^4, code 18. */
    if (code == 18)
        return m * 10 > QR_VALUE_MANTISSA_MAX;
    return code > 18 && code <= 21 && m * 100 > QR_VALUE_MANTISSA_MAX;
}

/* m * 10^e, e > 0, m without zeros at its end: as many digits in the mantissa as fit. */
static uint32_t large_of_decimal(uint64_t m, int e)
{
    while (e > 0 && m * 10 <= QR_VALUE_MANTISSA_MAX) {
        m *= 10;
        e--;
    }
    if (e > 7 && e % 2 != 0) { /* Beyond 10^7 there are steps of a hundred only. */
        if (m % 10 != 0)
            return QR_VALUE_EMPTY;
        m /= 10;
        e++;
    }
    if (e > QR_VALUE_EXPONENT_MAX)
        return QR_VALUE_EMPTY;
    unsigned code = e == 0 ? 0 : e <= 7 ? 7 + (unsigned)e : 14 + (unsigned)e / 2;
    return code << 26 | (uint32_t)m;
}

/* Divides by 10^k if that leaves nothing: then, and only then, the product with the inverse of 5^k
 * modulo 2^64, rotated by k, is small. */
static inline bool divide(uint64_t *m, uint64_t inverse, unsigned k, uint64_t power)
{
    uint64_t q = *m * inverse;
    q = q >> k | q << (64 - k);
    if (q > UINT64_MAX / power)
        return false;
    *m = q;
    return true;
}

uint32_t qr_value_of_decimal(int64_t x, int e)
{
    uint64_t m = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (m == 0)
        return 0;
    while (e <= -4 && divide(&m, UINT64_C(0xd288ce703afb7e91), 4, 10000))
        e += 4;
    while (e <= -2 && divide(&m, UINT64_C(0x8f5c28f5c28f5c29), 2, 100))
        e += 2;
    while ((e < 0 || m > QR_VALUE_MANTISSA_MAX) && divide(&m, UINT64_C(0xcccccccccccccccd), 1, 10))
        e++;
    if (m > QR_VALUE_MANTISSA_MAX || e < QR_VALUE_EXPONENT_MIN)
        return QR_VALUE_EMPTY;
    uint32_t value = e > 0 ? large_of_decimal(m, e) : (unsigned)-e << 26 | (uint32_t)m;
    return value == QR_VALUE_EMPTY || x > 0 ? value : value | SIGN;
}
