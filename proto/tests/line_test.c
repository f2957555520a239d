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

/* Feeds a line of `len` bytes in pieces of `step`; what qr_lines_next() said last, and the length
 * of the line if there was one. */
static int feed_long(size_t len, size_t step, bool cut, size_t *got)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\n';
    struct qr_lines lines;
    qr_lines_init(&lines);
    lines.cut = cut;
    int n = 0;
    *got = 0;
    for (size_t at = 0; at < len + 1 && n == 0; at += step) {
        qr_lines_feed(&lines, qr_slice_of(text + at, len + 1 - at < step ? len + 1 - at : step));
        struct qr_slice line;
        n = qr_lines_next(&lines, &line);
        if (n == 1)
            *got = line.len;
    }
    qr_lines_release(&lines);
    free(text);
    return n;
}

static void bounds_a_line(void **state)
{
    static const size_t steps[] = {1000, QR_LINE_BYTES_MAX, 4 * QR_LINE_BYTES_MAX};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t len;
        assert_int_equal(feed_long(QR_LINE_BYTES_MAX, steps[i], false, &len), 1);
        assert_int_equal(len, QR_LINE_BYTES_MAX);
        assert_int_equal(feed_long(QR_LINE_BYTES_MAX + 1, steps[i], false, &len), QR_E_LIMIT);
        assert_int_equal(feed_long(3 * QR_LINE_BYTES_MAX, steps[i], true, &len), 1);
        assert_int_equal(len, QR_LINE_BYTES_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_same_lines_however_the_text_is_cut),
        cmocka_unit_test(bounds_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
