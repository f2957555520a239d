/* storage/value.h — decimal24: the one value type behind the door.
 *
 * The value set of Netdata's 32-bit storage number: sign, 24-bit mantissa, decimal exponent, so
 * that a value is m x 10^e and everything after the door is integer arithmetic (facts: storage,
 * 5.1; precision: streaming protocol, section 14).  Rounding happens once, here, before a value
 * enters the log; pack(unpack(x)) == x.
 *
 *   bit 31      sign
 *   bit 30      RESET       (the counter wrapped or restarted here)
 *   bit 29      ANOMALOUS
 *   bits 28-24  exponent code: 0 .. 7 is 10^-code, 8 .. 14 is 10^(code - 7), 15 .. 21 is
 *               100^(code - 14), 31 is EMPTY (and then all other bits are 0)
 *   bits 23-0   mantissa
 *
 * NaN and infinities become EMPTY, -0 and subnormals 0, what is too large saturates.
 * Thread: any. */
#ifndef QR_STORAGE_VALUE_H
#define QR_STORAGE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#define QR_VALUE_EMPTY     (1u << 26)
#define QR_VALUE_RESET     (1u << 25)
#define QR_VALUE_ANOMALOUS (1u << 24)

/* Rounds; `flags` are QR_VALUE_RESET and QR_VALUE_ANOMALOUS. */
uint32_t qr_value_pack(double v, uint32_t flags);

/* The nearest double; NAN for EMPTY. */
double qr_value_unpack(uint32_t value);

static inline bool qr_value_is_empty(uint32_t value)
{
    return value == QR_VALUE_EMPTY;
}

#endif
