/* testing/cmocka.h — cmocka with the headers it wants first, and our own assertions. */
#ifndef QR_TESTING_CMOCKA_H
#define QR_TESTING_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slice.h"

/* A qr_slice holds exactly this text. */
#define assert_slice(slice, text)                                                                  \
    do {                                                                                           \
        const struct qr_slice assert_slice_ = (slice); /* evaluated once */                        \
        assert_int_equal(assert_slice_.len, strlen(text));                                         \
        assert_memory_equal(assert_slice_.base, text, assert_slice_.len);                          \
    } while (0)

#endif
