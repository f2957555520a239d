/* proto/number.h — the number encodings of Netdata's streaming protocol.
 *
 * A word is told by its prefix; every form is accepted everywhere:
 *   integers   [-]123   [-]0x7B   [-]#B7       '#': positional, digits A-Z a-z 0-9 + /
 *   doubles    [-]12.5 and with an exponent, any integer form,
 *              [-]@... or [-]%...  the 64 bits of the IEEE 754 pattern, as '#' digits or in hex
 *   no value   NAN, null (any case), the empty word, and whatever is not finite
 *
 * Pure: no allocation, no locale, no state.  Thread: any. */
#ifndef QR_PROTO_NUMBER_H
#define QR_PROTO_NUMBER_H

#include <stdint.h>

#include "base/slice.h"

/* An integer.  Magnitudes up to 2^64-1 are taken and wrap to int64_t, as Netdata itself does with
 * unsigned counters.  0, or with *value untouched
 *   QR_E_MALFORMED  not one of the forms above, or bytes after it,
 *   QR_E_LIMIT      a greater magnitude. */
int qr_number_int(struct qr_slice word, int64_t *value);

/* A double, correctly rounded; NAN for "no value".  Errors as above. */
int qr_number_double(struct qr_slice word, double *value);

/* A value's text as 1.39+ prints it: up to 7 decimals, at least one digit before the point,
 * trailing zeros removed.  `out` gets at most 340 bytes and a NUL; returns the length.  NAN gives
 * "NAN". */
size_t qr_number_print(char out[352], double value);

/* The '#' digits of an integer and the '@' digits of a double, with their prefix and a NUL. */
size_t qr_number_print_b64(char out[16], int64_t value);
size_t qr_number_print_ieee(char out[16], double value);

#endif
