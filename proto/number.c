#include "proto/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/compiler.h"
#include "base/error.h"

static const char b64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a digit, or 0xFF. */
static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 0xFF;
}

/* The digit of a character in base64, plus 1; 0: it is none. */
static const uint8_t b64_places[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  63, 0,  0,  0,  64,
    53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0,  0,  0,  0,  0,  0,  0,  1,  2,  3,  4,  5,  6,  7,
    8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0,  0,  0,  0,  0,
    0,  27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
    50, 51, 52, 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0};

static int parse_hex(const char *p, const char *end, uint64_t *value)
{
    if (p == end)
        return QR_E_MALFORMED;
    uint64_t v = 0;
    for (; p < end; p++) {
        unsigned digit = hex_digit(*p);
        if (digit > 15)
            return QR_E_MALFORMED;
        if (v >> 60)
            return QR_E_LIMIT;
        v = v << 4 | digit;
    }
    *value = v;
    return 0;
}

static int parse_b64(const char *p, const char *end, uint64_t *value)
{
    if (p == end)
        return QR_E_MALFORMED;
    uint64_t v = 0;
    unsigned seen = 0; /* All digits together: what is none shows in the end. */
    /* 10 digits always fit; only longer words need the test for overflow. */
    const char *safe = end - p > 10 ? p + 10 : end;
    for (; p < safe; p++) {
        unsigned digit = b64_places[(uint8_t)*p] - 1u;
        seen |= digit;
        v = v << 6 | (digit & 63);
    }
    for (; p < end && seen <= 63; p++) {
        unsigned digit = b64_places[(uint8_t)*p] - 1u;
        seen |= digit;
        if (v >> 58)
            return seen > 63 ? QR_E_MALFORMED : QR_E_LIMIT;
        v = v << 6 | (digit & 63);
    }
    *value = v;
    return seen > 63 ? QR_E_MALFORMED : 0;
}

static int parse_decimal(const char *p, const char *end, uint64_t *value)
{
    if (p == end)
        return QR_E_MALFORMED;
    uint64_t v = 0;
    /* 19 digits always fit; only longer words need the test for overflow. */
    const char *safe = end - p > 19 ? p + 19 : end;
    for (; p < safe; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (digit > 9)
            return QR_E_MALFORMED;
        v = v * 10 + digit;
    }
    for (; p < end; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (digit > 9)
            return QR_E_MALFORMED;
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v))
            return QR_E_LIMIT;
    }
    *value = v;
    return 0;
}

static bool is_hex(const char *p, const char *end)
{
    return end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
}

static int parse_magnitude(const char *p, const char *end, uint64_t *value)
{
    if (p < end && *p == '#')
        return parse_b64(p + 1, end, value);
    if (is_hex(p, end))
        return parse_hex(p + 2, end, value);
    return parse_decimal(p, end, value);
}

int qr_number_int(struct qr_slice word, int64_t *value)
{
    const char *p = word.base;
    const char *end = word.base + word.len;
    bool negative = p < end && *p == '-';
    uint64_t magnitude;
    int err = parse_magnitude(p + negative, end, &magnitude);
    if (err != 0)
        return err;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return 0;
}

/* Powers of ten that a double holds exactly. */
static const double exact_tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* digits[.digits] with a mantissa of at most 2^53: the mantissa and the power of ten are both exact
 * doubles, so one division rounds once and correctly.  False: not of this form. */
static bool parse_fixed(const char *p, const char *end, double *value)
{
    uint64_t mantissa = 0;
    size_t n_fraction = 0;
    if (end - p > 20)
        return false;
    const char *start = p;
    for (; p < end && (unsigned)(*p - '0') <= 9; p++)
        mantissa = mantissa * 10 + (unsigned)(*p - '0');
    size_t n_digits = (size_t)(p - start);
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        for (; p < end && (unsigned)(*p - '0') <= 9; p++)
            mantissa = mantissa * 10 + (unsigned)(*p - '0');
        n_fraction = (size_t)(p - fraction);
    }
    n_digits += n_fraction;
    if (p != end || n_digits == 0 || n_digits > 19 || mantissa > 1ull << 53)
        return false;
    *value = (double)mantissa / exact_tens[n_fraction];
    return true;
}

/* digits[.digits][e[+-]digits], checked before strtod() sees it, which would take more. */
static bool is_decimal(const char *p, const char *end)
{
    size_t n_digits = 0;
    for (; p < end && (unsigned)(*p - '0') <= 9; p++)
        n_digits++;
    if (p < end && *p == '.')
        p++;
    for (; p < end && (unsigned)(*p - '0') <= 9; p++)
        n_digits++;
    if (n_digits == 0)
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (p == end)
            return false;
        while (p < end && (unsigned)(*p - '0') <= 9)
            p++;
    }
    return p == end;
}

/* The cold path: long mantissas and exponents.  The process never leaves the C locale. */
static int parse_long_decimal(const char *p, const char *end, double *value)
{
    char text[400]; /* "%0.7f" of the largest double has 317 bytes. */
    size_t len = (size_t)(end - p);
    if (!is_decimal(p, end))
        return QR_E_MALFORMED;
    if (len >= sizeof text)
        return QR_E_LIMIT;
    memcpy(text, p, len);
    text[len] = '\0';
    *value = strtod(text, NULL);
    return 0;
}

static bool is_word(const char *p, const char *end, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(end - p) == len && strncasecmp(p, word, len) == 0;
}

static bool means_no_value(const char *p, const char *end)
{
    return p == end || is_word(p, end, "nan") || is_word(p, end, "null") ||
           is_word(p, end, "inf") || is_word(p, end, "infinity");
}

static int parse_pattern(const char *p, const char *end, double *value)
{
    uint64_t bits;
    int err = *p == '@' ? parse_b64(p + 1, end, &bits) : parse_hex(p + 1, end, &bits);
    if (err == 0)
        memcpy(value, &bits, sizeof bits);
    return err;
}

static int parse_unsigned(const char *p, const char *end, double *value)
{
    if (*p == '@' || *p == '%')
        return parse_pattern(p, end, value);
    if (*p == '#' || is_hex(p, end)) {
        uint64_t magnitude;
        int err = parse_magnitude(p, end, &magnitude);
        if (err == 0)
            *value = (double)magnitude;
        return err;
    }
    return parse_long_decimal(p, end, value);
}

int qr_number_double(struct qr_slice word, double *value)
{
    const char *p = word.base;
    const char *end = word.base + word.len;
    bool negative = p < end && *p == '-';
    p += negative;

    double v;
    if (QR_UNLIKELY(!parse_fixed(p, end, &v))) {
        if (means_no_value(p, end)) {
            if (negative && p == end)
                return QR_E_MALFORMED;
            v = NAN;
        } else {
            int err = parse_unsigned(p, end, &v);
            if (err != 0)
                return err;
        }
    }
    *value = isfinite(v) ? (negative ? -v : v) : (double)NAN;
    return 0;
}

size_t qr_number_print(char out[352], double value)
{
    if (!isfinite(value)) {
        memcpy(out, "NAN", 4);
        return 3;
    }
    int n = snprintf(out, 352, "%0.7f", value);
    while (n > 0 && out[n - 1] == '0')
        n--;
    if (n > 0 && out[n - 1] == '.')
        n--;
    out[n] = '\0';
    return (size_t)n;
}

static size_t print_b64(char *out, uint64_t value)
{
    char digits[11];
    size_t n = 0;
    do {
        digits[n++] = b64_alphabet[value & 63];
        value >>= 6;
    } while (value != 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    out[n] = '\0';
    return n;
}

size_t qr_number_print_b64(char out[16], int64_t value)
{
    size_t n = 0;
    if (value < 0)
        out[n++] = '-';
    out[n++] = '#';
    return n + print_b64(out + n, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

size_t qr_number_print_ieee(char out[16], double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    out[0] = '@';
    return 1 + print_b64(out + 1, bits);
}
