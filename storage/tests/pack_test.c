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
            qr_take_packed(&cursor, out, lengths[l], width);
            assert_true(qr_cursor_done(&cursor));
            assert_memory_equal(in, out, lengths[l] * sizeof *in);
            /* One byte less is not enough; a bit in the rest of the last byte is refused. */
            if (n == 0)
                continue;
            cursor = qr_cursor_of(qr_slice_of(bytes, n - 1));
            qr_take_packed(&cursor, out, lengths[l], width);
            assert_true(cursor.failed);
            if (lengths[l] * width % 8 == 0)
                continue;
            bytes[n - 1] |= 0x80;
            cursor = qr_cursor_of(qr_slice_of(bytes, n));
            qr_take_packed(&cursor, out, lengths[l], width);
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

/* What a block takes, and that its plan says so. */
static size_t round_trip(const int64_t *x, uint32_t at, uint32_t n, bool *differences,
                         uint32_t *n_exceptions)
{
    struct qr_block_plan plan;
    uint8_t bytes[2048];
    size_t planned = qr_block_plan(&plan, x, at, n);
    size_t put = (size_t)(qr_put_block(bytes, &plan) - bytes);
    assert_int_equal(planned, put);
    int64_t back[128];
    struct qr_cursor cursor = qr_cursor_of(qr_slice_of(bytes, put));
    qr_take_block(&cursor, back, plan.n);
    assert_true(qr_cursor_done(&cursor));
    assert_memory_equal(back, x + at, plan.n * sizeof *back);
    *differences = plan.differences;
    *n_exceptions = plan.n_exceptions;
    return put;
}

static void blocks_take_the_cheaper_form(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 42);
    int64_t x[200];
    bool differences;
    uint32_t n_exceptions;
    for (int i = 0; i < 200; i++)
        x[i] = 1000000 + i * 3;
    assert_true(round_trip(x, 0, 128, &differences, &n_exceptions) <= 1 + 4 + 48);
    assert_true(differences);
    assert_true(round_trip(x, 128, 200, &differences, &n_exceptions) <= 1 + 4 + 27);
    for (int i = 0; i < 200; i++)
        x[i] = 50 + (int64_t)qr_rng_below(&rng, 16);
    x[3] = 50;
    x[4] = 65;
    assert_int_equal(round_trip(x, 0, 128, &differences, &n_exceptions), 1 + 1 + 64);
    assert_false(differences);
    assert_int_equal(n_exceptions, 0);
    x[17] = 100000;
    assert_int_equal(round_trip(x, 0, 128, &differences, &n_exceptions), 2 + 64 + 1 + 1 + 2);
    assert_int_equal(n_exceptions, 1);
    for (int i = 0; i < 200; i++)
        x[i] = i % 2 ? INT64_C(1) << 53 : -(INT64_C(1) << 53);
    round_trip(x, 0, 128, &differences, &n_exceptions);
    round_trip(x, 128, 129, &differences, &n_exceptions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_comes_back),
        cmocka_unit_test(zigzag_and_varints_have_known_sizes),
        cmocka_unit_test(blocks_take_the_cheaper_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
