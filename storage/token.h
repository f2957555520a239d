/* storage/token.h — one changed cell of a row, as one to five bytes.
 *
 *   bits 0-2  exponent code of the value, 0 .. 7
 *   bit 3     DELTA: what follows is the mantissa minus the base's
 *   bits 4-6  low 3 bits of the zigzag number (mantissa or difference)
 *   bit 7     more bits follow, 7 a byte, low ones first, in the form of a varint
 *
 * The base is the cell of the row before, brought to the value's exponent (what it loses then is
 * cut off: it is only a guess).  A difference of 0 is no token; these bytes stand for
 *   0x08      the value's 32 bits follow: flags, large numbers, and all that is not canonical
 *   0x09      EMPTY
 * Integers only, so that every machine gets the same.  Thread: any. */
#ifndef QR_STORAGE_TOKEN_H
#define QR_STORAGE_TOKEN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "storage/value.h"

#define QR_TOKEN_BYTES_MAX 5
#define QR_TOKEN_CODE_MAX  7u
#define QR_TOKEN_DELTA     0x08u
#define QR_TOKEN_RAW       0x08u
#define QR_TOKEN_EMPTY     0x09u

/* The base's mantissa at an exponent code; false: it has none there. */
static inline bool qr_token_guess(uint32_t base, unsigned code, int64_t *guess)
{
    static const int64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    unsigned base_code = qr_value_code(base);
    if (base_code > QR_TOKEN_CODE_MAX)
        return false;
    int64_t m = qr_value_mantissa(base);
    *guess = base_code <= code ? m * tens[code - base_code] : m / tens[base_code - code];
    return true;
}

static inline uint64_t qr_token_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

/* Writes at most QR_TOKEN_BYTES_MAX; returns what is behind. */
static inline uint8_t *qr_token_put(uint8_t *p, uint32_t base, uint32_t value)
{
    unsigned code = qr_value_code(value);
    int64_t m = qr_value_mantissa(value), guess;
    if (value == QR_VALUE_EMPTY) {
        *p++ = QR_TOKEN_EMPTY;
        return p;
    }
    if ((value & QR_VALUE_FLAGS) != 0 || code > QR_TOKEN_CODE_MAX || (m == 0 && value >> 31 != 0)) {
        *p++ = QR_TOKEN_RAW;
        memcpy(p, &value, sizeof value);
        return p + sizeof value;
    }
    uint64_t z = qr_token_zigzag(m);
    if (qr_token_guess(base, code, &guess)) {
        uint64_t difference = qr_token_zigzag(m - guess);
        if (difference != 0 && difference < z) {
            z = difference;
            code |= QR_TOKEN_DELTA;
        }
    }
    unsigned byte = code | (unsigned)(z & 7) << 4;
    for (z >>= 3; z != 0; z >>= 7) {
        *p++ = (uint8_t)(byte | 0x80);
        byte = z & 0x7f;
    }
    *p++ = (uint8_t)byte;
    return p;
}

/* Reads one; returns what is behind, or NULL: malformed. */
static inline const uint8_t *qr_token_take(const uint8_t *p, const uint8_t *end, uint32_t base,
                                           uint32_t *value)
{
    if (p == end)
        return NULL;
    unsigned byte = *p++;
    unsigned code = byte & 7, delta = byte & QR_TOKEN_DELTA;
    uint32_t z = byte >> 4 & 7;
    for (unsigned shift = 3; byte & 0x80; shift += 7) {
        if (p == end || shift > 24)
            return NULL;
        byte = *p++;
        if (byte == 0)
            return NULL; /* A longer form than needed. */
        z |= (uint32_t)(byte & 0x7f) << shift;
    }
    int64_t m = (int64_t)(z >> 1) ^ -(int64_t)(z & 1), guess;
    if (delta && z == 0) {
        if (code == (QR_TOKEN_EMPTY & 7)) {
            *value = QR_VALUE_EMPTY;
            return p;
        }
        if (code != (QR_TOKEN_RAW & 7) || (size_t)(end - p) < sizeof *value)
            return NULL;
        memcpy(value, p, sizeof *value);
        return p + sizeof *value;
    }
    if (delta) {
        if (!qr_token_guess(base, code, &guess))
            return NULL;
        m += guess;
    }
    if (m > (int64_t)QR_VALUE_MANTISSA_MAX || m < -(int64_t)QR_VALUE_MANTISSA_MAX)
        return NULL;
    *value = (m < 0 ? 1u << 31 : 0) | code << 26 | (uint32_t)(m < 0 ? -m : m);
    return p;
}

#endif
