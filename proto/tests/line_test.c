#include "proto/line.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

/* The lines of `text`, fed in pieces of `step` bytes, each followed by '|'. */
static void collect(const char *text, size_t step, struct qr_buf *out)
{
    struct qr_lines lines;
    qr_lines_init(&lines);
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at += step) {
        qr_lines_feed(&lines, qr_slice_of(text + at, len - at < step ? len - at : step));
        struct qr_slice line;
        int n;
        while ((n = qr_lines_next(&lines, &line)) > 0) {
            qr_buf_add(out, line.base, line.len);
            qr_buf_add_str(out, "|");
        }
        assert_int_equal(n, 0);
    }
    qr_lines_release(&lines);
}

static void gives_the_same_lines_however_the_text_is_cut(void **state)
{
    static const char text[] = "one\n\ntwo three\r\nfour\n\n\nfive";
    for (size_t step = 1; step <= sizeof text; step++) {
        struct qr_buf out = {0};
        collect(text, step, &out);
        assert_slice(qr_buf_slice(&out), "one||two three\r|four|||");
        qr_buf_release(&out);
    }
}

/* Feeds a line of `len` bytes in pieces of `step`.  What qr_lines_next() said last; how many parts
 * came, and their bytes together. */
static int feed_long(size_t len, size_t step, bool split, size_t *n_parts, size_t *bytes)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 23);
    text[len] = '\n';
    struct qr_lines lines;
    qr_lines_init(&lines);
    lines.split = split;
    int n = 0;
    bool ended = false;
    *n_parts = *bytes = 0;
    for (size_t at = 0; at < len + 1 && n >= 0; at += step) {
        qr_lines_feed(&lines, qr_slice_of(text + at, len + 1 - at < step ? len + 1 - at : step));
        struct qr_slice line;
        while ((n = qr_lines_next(&lines, &line)) > 0) {
            assert_false(ended);
            assert_memory_equal(line.base, text + *bytes, line.len);
            *bytes += line.len;
            (*n_parts)++;
            ended = !lines.more;
        }
    }
    assert_true(n < 0 || ended);
    qr_lines_release(&lines);
    free(text);
    return n;
}

static void bounds_a_line(void **state)
{
    static const size_t steps[] = {1000, QR_LINE_BYTES_MAX, 4 * QR_LINE_BYTES_MAX};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t n, bytes;
        assert_int_equal(feed_long(QR_LINE_BYTES_MAX, steps[i], false, &n, &bytes), 0);
        assert_int_equal(n, 1);
        assert_int_equal(bytes, QR_LINE_BYTES_MAX);
        assert_int_equal(feed_long(QR_LINE_BYTES_MAX + 1, steps[i], false, &n, &bytes), QR_E_LIMIT);
    }
}

static void splits_a_long_line_without_loss(void **state)
{
    static const size_t steps[] = {1000, QR_LINE_BYTES_MAX, 4 * QR_LINE_BYTES_MAX};
    static const size_t lens[] = {QR_LINE_BYTES_MAX, QR_LINE_BYTES_MAX + 1,
                                  3 * QR_LINE_BYTES_MAX + 7};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (size_t l = 0; l < sizeof lens / sizeof *lens; l++) {
            size_t n, bytes;
            assert_int_equal(feed_long(lens[l], steps[i], true, &n, &bytes), 0);
            assert_int_equal(bytes, lens[l]);
            assert_int_equal(n, (lens[l] + QR_LINE_BYTES_MAX - 1) / QR_LINE_BYTES_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_same_lines_however_the_text_is_cut),
        cmocka_unit_test(bounds_a_line),
        cmocka_unit_test(splits_a_long_line_without_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
