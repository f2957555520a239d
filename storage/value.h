/* storage/value.h — decimal24: the one value type behind the door.
 *
 * The value set of Netdata's 32-bit storage number: sign, 24-bit mantissa, decimal exponent, so
 * that a value is m x 10^e and everything after the door is integer arithmetic.  Rounding happens
 * once, here, before a value enters the log, and is Netdata's own: multiply by ten while below
 * 1677722, at most 7 times, or divide by ten (by a hundred above 1.6777215e14) until it fits 24
 * bits, then round half to even.
 *
 *   bit 31      sign
 *   bits 30-26  exponent code: 0 .. 7 is 10^-code, 8 .. 14 is 10^(code - 7), 15 .. 21 is
 *               100^(code - 14), 31 is EMPTY (and then all other bits are 0)
 *   bit 25      RESET       (the counter wrapped or restarted here)
 *   bit 24      ANOMALOUS
 *   bits 23-0   mantissa
 *
 * One form of each number: without the zeros at the end of its fraction (codes 1 .. 7 only as long
 * as the mantissa needs them), and above 2^24 with the smallest code that fits.  So equal values
 * have equal bits, whole numbers up to 2^24 - 1 are their own mantissa, and pack(unpack(x)) == x.
 *
 * NaN and infinities become EMPTY, -0 and what rounds to it 0, what is too large saturates at
 * (2^24 - 1) x 10^14.  Thread: any.  Bytes: docs/formats/value.md. */
#ifndef QR_STORAGE_VALUE_H
#define QR_STORAGE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#define QR_VALUE_EMPTY        (31u << 26)
#define QR_VALUE_RESET        (1u << 25)
#define QR_VALUE_ANOMALOUS    (1u << 24)
#define QR_VALUE_FLAGS        (QR_VALUE_RESET | QR_VALUE_ANOMALOUS)
#define QR_VALUE_MANTISSA_MAX ((1u << 24) - 1)
#define QR_VALUE_EXPONENT_MIN (-7)
#define QR_VALUE_EXPONENT_MAX 14

/* Rounds; `flags` are QR_VALUE_RESET and QR_VALUE_ANOMALOUS. */
uint32_t qr_value_pack(double v, uint32_t flags);

/* A value is its mantissa times the first, by the second, of its exponent code: one of them is 1,
 * so that it is rounded once.  NAN for EMPTY and codes that no value has. */
extern const double qr_value_scales[32][2];

/* Is it EMPTY, or the one form of a number?  All that qr_value_pack makes is. */
bool qr_value_is_canonical(uint32_t value);

/* x * 10^e as a value without flags; EMPTY if there is none that is exactly that. */
uint32_t qr_value_of_decimal(int64_t x, int e);

/* The nearest double; NAN for EMPTY. */
static inline double qr_value_unpack(uint32_t value)
{
    const double *scale = qr_value_scales[value >> 26 & 31];
    int32_t m = (int32_t)(value & QR_VALUE_MANTISSA_MAX);
    return (double)(value >> 31 ? -m : m) * scale[0] / scale[1];
}

static inline bool qr_value_is_empty(uint32_t value)
{
    return value == QR_VALUE_EMPTY;
}

static inline unsigned qr_value_code(uint32_t value)
{
    return value >> 26 & 31;
}

/* The decimal exponent; the value is not EMPTY. */
static inline int qr_value_exponent(uint32_t value)
{
    int code = (int)qr_value_code(value);
    return code <= 7 ? -code : code <= 14 ? code - 7 : 2 * (code - 14);
}

/* The mantissa with its sign. */
static inline int32_t qr_value_mantissa(uint32_t value)
{
    int32_t m = (int32_t)(value & QR_VALUE_MANTISSA_MAX);
    return value >> 31 ? -m : m;
}

#endif
