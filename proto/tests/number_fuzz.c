/* Any bytes: no overrun; an integer that is read is the same number as a double. */
#include "proto/number.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_slice word = qr_slice_of(data, size);
    int64_t integer;
    double real = 0;
    int integer_err = qr_number_int(word, &integer);
    int real_err = qr_number_double(word, &real);
    if (real_err == 0 && isinf(real))
        abort();
    if (integer_err == 0 && size < 400) { /* Longer decimals are refused as doubles. */
        if (real_err != 0)
            abort();
        /* Beyond 2^63 the integer wraps and the double does not. */
        if (fabs(real) < 9.2e18 && (double)integer != real)
            abort();
    }
    return 0;
}
