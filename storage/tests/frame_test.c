#include "storage/frame.h"

#include <math.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "storage/pack.h"
#include "storage/value.h"
#include "testing/cmocka.h"

enum { OFFSETS, DIFFERENCES, SPLIT, FACTOR = 4 };

/* Writes what x are at that exponent, reads it back in all ways, and gives the bytes. */
static size_t round_trip(const int64_t *x, uint32_t n, int exponent, unsigned *head)
{
    uint8_t bytes[QR_FRAME_WRITTEN_BYTES_MAX];
    uint32_t values[QR_FRAME_N], back[QR_FRAME_N];
    for (uint32_t i = 0; i < n; i++) {
        values[i] = qr_value_of_decimal(x[i], exponent);
        assert_false(qr_value_is_empty(values[i]));
    }
    size_t len = (size_t)(qr_frame_put(bytes, x, values, n, exponent) - bytes);
    assert_true(len <= sizeof bytes);
    *head = bytes[0];
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, len));
    struct qr_frame frame;
    assert_true(qr_frame_take(&in, n, &frame));
    assert_true(qr_cursor_done(&in));
    assert_true(qr_frame_values(&frame, exponent, back));
    assert_memory_equal(back, values, n * sizeof *back);
    struct qr_frame_integers integers;
    assert_true(qr_frame_integers(&frame, exponent, &integers));
    for (uint32_t i = 0; i < n; i++)
        assert_true(x[i] == (integers.is_wide ? integers.wide[i] : integers.narrow[i]));
    in = qr_cursor_of(qr_slice_of(bytes, len));
    qr_frame_skip(&in, n);
    assert_true(qr_cursor_done(&in));
    return len;
}

static void the_cheaper_form_is_taken(void **state)
{
    (void)state;
    struct qr_rng rng;
    int64_t x[QR_FRAME_N];
    unsigned head;
    qr_rng_seed(&rng, 42);
    for (int i = 0; i < 128; i++)
        x[i] = 5;
    assert_int_equal(round_trip(x, 128, 0, &head), 3);
    for (int i = 0; i < 128; i++)
        x[i] = 1000000 + i * i;
    assert_true(round_trip(x, 128, 0, &head) <= 1 + 3 + 1 + 9 * 16);
    assert_int_equal(head, DIFFERENCES);
    for (int i = 0; i < 128; i++)
        x[i] = 50 + (int64_t)qr_rng_below(&rng, 16);
    x[3] = 50;
    x[4] = 65;
    assert_int_equal(round_trip(x, 128, 0, &head), 1 + 1 + 1 + 64);
    assert_int_equal(head, OFFSETS);
    x[17] = 100000; /* 17 bits: 4 and 13 more. */
    assert_int_equal(round_trip(x, 128, 0, &head), 1 + 1 + 1 + 64 + 2 + 1 + 2);
    x[17] = 50;
    for (int i = 0; i < 128; i++)
        x[i] = 7 + (x[i] - 50) * 1000;
    assert_int_equal(round_trip(x, 128, 0, &head), 1 + 1 + 2 + 1 + 64);
    assert_int_equal(head, OFFSETS | FACTOR);
    for (int i = 0; i < 128; i++) /* Two digits more or less: 24 bits and one, not 31. */
        x[i] = (1677722 + (int64_t)qr_rng_below(&rng, 15000000)) / 10 * 10 + 1;
    for (int i = 0; i < 128; i += 2)
        x[i] *= 100;
    assert_true(round_trip(x, 128, -5, &head) <= 128 * 25 / 8 + 24);
    assert_int_equal(head, SPLIT);
}

static void all_kinds_of_integers_come_back(void **state)
{
    (void)state;
    struct qr_rng rng;
    unsigned heads = 0;
    qr_rng_seed(&rng, 43);
    for (unsigned round = 0; round < 20000; round++) {
        int64_t x[QR_FRAME_N], factor = 1 + (int64_t)qr_rng_below(&rng, 30) * (round % 3 == 0);
        uint32_t n = qr_rng_below(&rng, 2) ? 128 : 1 + (uint32_t)qr_rng_below(&rng, 128);
        unsigned bits = 1 + (unsigned)qr_rng_below(&rng, 23),
                 kind = (unsigned)qr_rng_below(&rng, 5);
        int exponent = (int)qr_rng_below(&rng, 8) - 7;
        int64_t base = (int64_t)qr_rng_below(&rng, 1 << 23) - (1 << 22);
        for (uint32_t i = 0; i < n; i++) {
            int64_t v = (int64_t)(qr_rng_next(&rng) >> (64 - bits));
            if (kind == 0)
                v = (i > 0 ? x[i - 1] : 0) + v % 16 - 8;
            else if (kind == 1)
                v = qr_rng_below(&rng, 20) == 0 ? v : v % 4;
            else if (kind == 2 && exponent < 0 && qr_rng_below(&rng, 2))
                v *= 1000000 / factor; /* Large, and with zeros. */
            else if (kind == 3)
                v = -v;
            x[i] = kind == 0 ? v : kind == 2 ? v * factor : base / factor + v * factor;
            if (kind == 0 && llabs(x[i]) > QR_VALUE_MANTISSA_MAX)
                x[i] = 0;
            if (qr_value_is_empty(qr_value_of_decimal(x[i], exponent)))
                x[i] = 0;
        }
        unsigned head;
        round_trip(x, n, exponent, &head);
        heads |= 1u << head;
    }
    assert_int_equal(heads, 1 << OFFSETS | 1 << DIFFERENCES | 1 << SPLIT | 1 << (OFFSETS | FACTOR) |
                                1 << (DIFFERENCES | FACTOR));
}

/* The widest there are: in 64 bits. */
static void extremes_come_back(void **state)
{
    (void)state;
    int64_t x[QR_FRAME_N];
    unsigned head;
    const int64_t widest = INT64_C(9007199000000000), most = QR_VALUE_MANTISSA_MAX;
    for (uint32_t n = 1; n <= 128; n++) {
        for (uint32_t i = 0; i < n; i++)
            x[i] = i % 2 ? widest : -widest;
        x[0] = n > 3 ? 1 : x[0];
        round_trip(x, n, -7, &head);
        for (uint32_t i = 0; i < n; i++)
            x[i] = i % 3 == 0 ? most : i % 3 == 1 ? -most : 0;
        round_trip(x, n, -7 + (int)(n % 8), &head);
        round_trip(x, n, 14, &head);
    }
}

/* Foreign bytes: it ends, stays inside, and both readers agree on what is refused. */
static void any_bytes_do_no_harm(void **state)
{
    (void)state;
    struct qr_rng rng;
    unsigned n_read = 0;
    qr_rng_seed(&rng, 44);
    for (unsigned round = 0; round < 200000; round++) {
        size_t len = qr_rng_below(&rng, 200);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(qr_rng_next(&rng) >> (56 + qr_rng_below(&rng, 8)));
        if (len > 0)
            bytes[0] %= 8;
        struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, len)), skipped = in;
        uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, 128), values[QR_FRAME_N];
        struct qr_frame frame;
        struct qr_frame_integers integers;
        if (qr_frame_take(&in, n, &frame)) {
            qr_frame_skip(&skipped, n);
            assert_true(!skipped.failed && skipped.p == in.p);
            int exponent = (int)qr_rng_below(&rng, 22) - 7;
            if (qr_frame_values(&frame, exponent, values)) {
                n_read++;
                for (uint32_t i = 0; i < n; i++)
                    assert_true(qr_value_is_canonical(values[i]) && !qr_value_is_empty(values[i]));
                if (qr_frame_integers(&frame, exponent, &integers))
                    for (uint32_t i = 0; i < n; i++)
                        assert_int_equal(qr_value_of_decimal(integers.is_wide ? integers.wide[i]
                                                                              : integers.narrow[i],
                                                             exponent),
                                         values[i]);
            }
        }
        free(bytes);
    }
    assert_true(n_read > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cheaper_form_is_taken),
        cmocka_unit_test(all_kinds_of_integers_come_back),
        cmocka_unit_test(extremes_come_back),
        cmocka_unit_test(any_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
