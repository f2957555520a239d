/* testing/cmocka.h — cmocka with the headers it wants first, and our own assertions. */
#ifndef QR_TESTING_CMOCKA_H
#define QR_TESTING_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A qr_slice holds exactly this text. */
#define assert_slice(slice, text)                                                                  \
    do {                                                                                           \
        assert_int_equal((slice).len, strlen(text));                                               \
        assert_memory_equal((slice).base, text, (slice).len);                                      \
    } while (0)

#endif
