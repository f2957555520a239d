#include "storage/pack.h"

#include "base/compiler.h"
#include "base/rng.h"
#include "testing/cmocka.h"

static void every_width_comes_back(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 41);
    static const uint32_t lengths[] = {1, 7, 8, 127, 128};
    for (unsigned width = 0; width <= QR_PACK_WIDTH_MAX; width++) {
        for (size_t l = 0; l < QR_COUNT(lengths); l++) {
            uint64_t in[128], out[128];
            uint8_t bytes[128 * 8];
            for (uint32_t i = 0; i < lengths[l]; i++)
                in[i] = width == 0 ? 0 : qr_rng_next(&rng) >> (64 - width);
            size_t n = (size_t)(qr_put_packed(bytes, in, lengths[l], width) - bytes);
            assert_int_equal(n, qr_packed_bytes(lengths[l], width));
            struct qr_cursor cursor = qr_cursor_of(qr_slice_of(bytes, n));
            qr_take_packed_wide(&cursor, out, lengths[l], width);
            assert_true(qr_cursor_done(&cursor));
            assert_memory_equal(in, out, lengths[l] * sizeof *in);
            if (width <= 32) {
                uint32_t narrow[128];
                cursor = qr_cursor_of(qr_slice_of(bytes, n));
                qr_take_packed(&cursor, narrow, lengths[l], width);
                assert_true(qr_cursor_done(&cursor));
                for (uint32_t i = 0; i < lengths[l]; i++)
                    assert_int_equal(narrow[i], in[i]);
            }
            /* One byte less is not enough; a bit in the rest of the last byte is refused. */
            if (n == 0)
                continue;
            cursor = qr_cursor_of(qr_slice_of(bytes, n - 1));
            qr_take_packed_wide(&cursor, out, lengths[l], width);
            assert_true(cursor.failed);
            if (lengths[l] * width % 8 == 0)
                continue;
            bytes[n - 1] |= 0x80;
            cursor = qr_cursor_of(qr_slice_of(bytes, n));
            qr_take_packed_wide(&cursor, out, lengths[l], width);
            assert_true(cursor.failed);
        }
    }
}

static void zigzag_and_varints_have_known_sizes(void **state)
{
    (void)state;
    assert_int_equal(qr_zigzag(0), 0);
    assert_int_equal(qr_zigzag(-1), 1);
    assert_int_equal(qr_zigzag(1), 2);
    assert_true(qr_unzigzag(qr_zigzag(INT64_MIN)) == INT64_MIN);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t bytes[10];
        uint64_t v = UINT64_C(1) << bit;
        assert_int_equal(qr_put_varint(bytes, v) - bytes, qr_varint_bytes(v));
        assert_int_equal(qr_put_varint(bytes, v - 1) - bytes, qr_varint_bytes(v - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_comes_back),
        cmocka_unit_test(zigzag_and_varints_have_known_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
