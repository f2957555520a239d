#include "base/buf.h"

#include <stdbool.h>
#include <uv.h>

#include "base/cursor.h"
#include "base/error.h"
#include "testing/cmocka.h"

/* The linker leads realloc here (base/CMakeLists.txt). */
static bool no_memory;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size)
{
    return no_memory ? NULL : __real_realloc(memory, size);
}

static void appends_integers_little_endian(void **state)
{
    static const uint8_t expected[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                       0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};
    struct qr_buf buf;
    qr_buf_init(&buf, 0);
    assert_int_equal(qr_buf_add_u8(&buf, 0x01), 0);
    assert_int_equal(qr_buf_add_u16(&buf, 0x0302), 0);
    assert_int_equal(qr_buf_add_u32(&buf, 0x07060504), 0);
    assert_int_equal(qr_buf_add_u64(&buf, 0x0f0e0d0c0b0a0908), 0);
    assert_int_equal(buf.len, sizeof expected);
    assert_memory_equal(buf.base, expected, sizeof expected);
    qr_buf_release(&buf);
    assert_null(buf.base);
}

static void encodes_varints_minimally(void **state)
{
    static const struct {
        uint64_t value;
        size_t bytes;
    } cases[] = {{0, 1},           {127, 1},         {128, 2},        {16383, 2},
                 {16384, 3},       {UINT32_MAX, 5},  {1ull << 56, 9}, {1ull << 62, 9},
                 {1ull << 63, 10}, {UINT64_MAX, 10}, {INT64_MAX, 9}};
    struct qr_buf buf;
    qr_buf_init(&buf, 0);
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        qr_buf_clear(&buf);
        assert_int_equal(qr_buf_add_varint(&buf, cases[i].value), 0);
        assert_int_equal(buf.len, cases[i].bytes);
    }
    qr_buf_release(&buf);
}

static void keeps_to_its_maximum(void **state)
{
    struct qr_buf buf;
    qr_buf_init(&buf, 10);
    assert_int_equal(qr_buf_add(&buf, "0123456789", 10), 0);
    assert_int_equal(qr_buf_add_u8(&buf, 'x'), QR_E_LIMIT);
    assert_true(buf.failed);
    assert_int_equal(buf.len, 10);
    assert_true(buf.capacity <= 10);
    assert_memory_equal(buf.base, "0123456789", 10);

    qr_buf_clear(&buf);
    assert_false(buf.failed);
    assert_int_equal(qr_buf_reserve(&buf, SIZE_MAX), QR_E_LIMIT);
    assert_int_equal(qr_buf_reserve(&buf, SIZE_MAX / 2), QR_E_LIMIT);
    qr_buf_release(&buf);
}

static void leaves_the_content_alone_when_an_append_fails(void **state)
{
    struct qr_buf buf;
    qr_buf_init(&buf, 8);
    assert_int_equal(qr_buf_add_str(&buf, "abcd"), 0);
    assert_int_equal(qr_buf_add_bytes(&buf, qr_slice_str("efgh")), QR_E_LIMIT);
    assert_slice(qr_buf_slice(&buf), "abcd");
    assert_int_equal(qr_buf_printf(&buf, "%s", "efgh!"), QR_E_LIMIT);
    assert_slice(qr_buf_slice(&buf), "abcd");
    assert_true(buf.failed);
    qr_buf_release(&buf);
}

static void survives_a_failed_allocation(void **state)
{
    struct qr_buf buf;
    qr_buf_init(&buf, 0);
    assert_int_equal(qr_buf_add_str(&buf, "kept"), 0);
    no_memory = true;
    assert_int_equal(qr_buf_reserve(&buf, 1000), UV_ENOMEM);
    no_memory = false;
    assert_true(buf.failed);
    assert_slice(qr_buf_slice(&buf), "kept");
    qr_buf_release(&buf);
}

static void grows_and_prints(void **state)
{
    struct qr_buf buf = {.max = 0}; /* A zeroed struct is valid and empty. */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(qr_buf_printf(&buf, "%d,", i % 10), 0);
    assert_int_equal(buf.len, 2000);
    assert_int_equal(buf.base[2000], '\0');
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(buf.base[2 * i], '0' + (int)(i % 10));
        assert_int_equal(buf.base[2 * i + 1], ',');
    }
    qr_buf_release(&buf);
}

static void consumes_from_the_front(void **state)
{
    struct qr_buf buf = {.max = 0};
    qr_buf_consume(&buf, 0); /* of an empty one: nothing happens */
    assert_int_equal(qr_buf_add_str(&buf, "abcdef"), 0);
    qr_buf_consume(&buf, 2);
    assert_slice(qr_buf_slice(&buf), "cdef");
    qr_buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
    qr_buf_release(&buf);
}

static void what_it_writes_the_cursor_reads(void **state)
{
    static const int64_t values[] = {0, 1, -1, 63, -64, 64, INT64_MAX, INT64_MIN};
    struct qr_buf buf = {.max = 0};
    for (size_t i = 0; i < QR_COUNT(values); i++) {
        qr_buf_add_zigzag(&buf, values[i]);
        qr_buf_add_varint(&buf, (uint64_t)values[i]);
    }
    qr_buf_add_bytes(&buf, qr_slice_str("tail"));
    qr_buf_add_bytes(&buf, qr_slice_of(NULL, 0));
    assert_false(buf.failed);

    struct qr_cursor c = qr_cursor_of(qr_buf_slice(&buf));
    for (size_t i = 0; i < QR_COUNT(values); i++) {
        assert_int_equal(qr_cursor_zigzag(&c), values[i]);
        assert_int_equal(qr_cursor_varint(&c), (uint64_t)values[i]);
    }
    assert_slice(qr_cursor_bytes(&c, 4), "tail");
    assert_int_equal(qr_cursor_bytes(&c, 4).len, 0);
    assert_true(qr_cursor_done(&c));
    qr_buf_release(&buf);
}

static void gives_back_room(void **state)
{
    struct qr_buf buf;
    qr_buf_init(&buf, 0);
    qr_buf_trim(&buf); /* nothing to give */
    assert_int_equal(qr_buf_reserve(&buf, 5000), 0);
    assert_int_equal(qr_buf_add_str(&buf, "kept"), 0);
    qr_buf_trim(&buf);
    assert_int_equal(buf.capacity, 4);
    assert_int_equal(qr_buf_add_str(&buf, " and more"), 0);
    assert_memory_equal(buf.base, "kept and more", 13);
    qr_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_integers_little_endian),
        cmocka_unit_test(encodes_varints_minimally),
        cmocka_unit_test(gives_back_room),
        cmocka_unit_test(keeps_to_its_maximum),
        cmocka_unit_test(leaves_the_content_alone_when_an_append_fails),
        cmocka_unit_test(survives_a_failed_allocation),
        cmocka_unit_test(grows_and_prints),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(what_it_writes_the_cursor_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
