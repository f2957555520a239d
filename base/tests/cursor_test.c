#include "base/cursor.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

static struct qr_cursor over(const char *bytes, size_t len)
{
    return qr_cursor_of(qr_slice_of(bytes, len));
}

static void reads_little_endian_to_the_end(void **state)
{
    struct qr_cursor c = over("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff", 15);
    assert_int_equal(qr_cursor_u8(&c), 0x01);
    assert_int_equal(qr_cursor_u16(&c), 0x0302);
    assert_int_equal(qr_cursor_u32(&c), 0x07060504);
    assert_int_equal(qr_cursor_left(&c), 8);
    assert_false(qr_cursor_done(&c));
    assert_int_equal(qr_cursor_u64(&c), 0xff0e0d0c0b0a0908);
    assert_true(qr_cursor_done(&c));
}

static void fails_once_and_stays_failed(void **state)
{
    struct qr_cursor c = over("\x01\x02\x03", 3);
    assert_int_equal(qr_cursor_u32(&c), 0);
    assert_true(c.failed);
    /* Three bytes are left, and still nothing is given out. */
    assert_int_equal(qr_cursor_u8(&c), 0);
    assert_int_equal(qr_cursor_u16(&c), 0);
    assert_int_equal(qr_cursor_u64(&c), 0);
    assert_int_equal(qr_cursor_varint(&c), 0);
    assert_int_equal(qr_cursor_zigzag(&c), 0);
    assert_int_equal(qr_cursor_take(&c, 1).len, 0);
    assert_int_equal(qr_cursor_bytes(&c, 100).len, 0);
    assert_false(qr_cursor_done(&c));
}

static void an_empty_input_is_done_at_once(void **state)
{
    struct qr_cursor c = qr_cursor_of(qr_slice_of(NULL, 0));
    assert_true(qr_cursor_done(&c));
    assert_int_equal(qr_cursor_take(&c, 0).len, 0);
    assert_true(qr_cursor_done(&c));
    assert_int_equal(qr_cursor_u8(&c), 0);
    assert_false(qr_cursor_done(&c));
}

/* There is exactly one encoding of each value. */
static void varints_are_minimal_and_fit_64_bits(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
        uint64_t value;
    } cases[] = {
        {"\x00", 1, true, 0},
        {"\x7f", 1, true, 127},
        {"\x80\x01", 2, true, 128},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, true, UINT64_MAX},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, true, 1ull << 63},
        {"\x80\x00", 2, false, 0},                                  /* 0 in two bytes */
        {"\xff\x80\x00", 3, false, 0},                              /* 127 in three */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, false, 0}, /* bit 64 */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81", 10, false, 0}, /* an eleventh byte */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, false, 0}, /* 0 in ten */
        {"\x80", 1, false, 0},                                      /* cut */
        {"", 0, false, 0},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct qr_cursor c = over(cases[i].bytes, cases[i].len);
        assert_int_equal(qr_cursor_varint(&c), cases[i].value);
        assert_int_equal(qr_cursor_done(&c), cases[i].good);
        assert_int_equal(c.failed, !cases[i].good);
    }
}

static void zigzag_keeps_small_numbers_short(void **state)
{
    static const struct {
        const char *bytes;
        int64_t value;
    } cases[] = {{"\x01", -1},
                 {"\x02", 1},
                 {"\x7f", -64},
                 {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", INT64_MAX},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", INT64_MIN}};
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct qr_cursor c = over(cases[i].bytes, strlen(cases[i].bytes));
        assert_int_equal(qr_cursor_zigzag(&c), cases[i].value);
        assert_true(qr_cursor_done(&c));
    }
}

static void lengths_are_compared_to_what_is_left(void **state)
{
    struct qr_cursor c = over("\x03"
                              "abc",
                              4);
    assert_slice(qr_cursor_bytes(&c, 3), "abc");
    assert_true(qr_cursor_done(&c));

    c = over("\x04"
             "abc",
             4); /* says more than there is */
    assert_int_equal(qr_cursor_bytes(&c, 100).len, 0);
    assert_true(c.failed);

    c = over("\x03"
             "abc",
             4); /* more than the caller takes */
    assert_int_equal(qr_cursor_bytes(&c, 2).len, 0);
    assert_true(c.failed);

    c = over("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
             "abc",
             13);
    assert_int_equal(qr_cursor_bytes(&c, SIZE_MAX).len, 0);
    assert_true(c.failed);

    c = over("abc", 3);
    assert_int_equal(qr_cursor_take(&c, SIZE_MAX).len, 0);
    assert_true(c.failed);

    c = over("\x0a", 1);
    assert_int_equal(qr_cursor_varint_max(&c, 10), 10);
    c = over("\x0b", 1);
    assert_int_equal(qr_cursor_varint_max(&c, 10), 0);
    assert_true(c.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_little_endian_to_the_end),
        cmocka_unit_test(fails_once_and_stays_failed),
        cmocka_unit_test(an_empty_input_is_done_at_once),
        cmocka_unit_test(varints_are_minimal_and_fit_64_bits),
        cmocka_unit_test(zigzag_keeps_small_numbers_short),
        cmocka_unit_test(lengths_are_compared_to_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
