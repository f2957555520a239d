#include "storage/marks.h"

#include "base/compiler.h"
#include "base/rng.h"
#include "testing/cmocka.h"

#define N_MAX 700

static void what_is_marked_comes_back(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 61);
    unsigned forms = 0;
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t marked[N_MAX], back[N_MAX] = {0}, bytes[N_MAX];
        uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, round % 2 ? 20 : N_MAX), n_marked = 0;
        uint64_t change = 1 + qr_rng_below(&rng, 40);
        uint8_t kind = qr_rng_below(&rng, 2) != 0;
        for (uint32_t i = 0; i < n; i++) {
            kind ^= qr_rng_below(&rng, change) == 0;
            marked[i] = kind;
            n_marked += kind;
        }
        size_t len = (size_t)(qr_marks_put(bytes, marked, n) - bytes);
        assert_true(len <= qr_marks_bytes_max(n));
        struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, len));
        struct qr_marks marks;
        /* None at all is not written: there is a flag for it. */
        assert_int_equal(qr_marks_take(&in, n, &marks), n_marked != 0);
        if (n_marked == 0)
            continue;
        assert_true(qr_cursor_done(&in));
        assert_int_equal(marks.n_marked, n_marked);
        forms |= 1u << bytes[0];
        struct qr_marks_walk walk;
        uint32_t first, end, last = 0;
        qr_marks_walk(&walk, &marks);
        while (qr_marks_next(&walk, &first, &end)) {
            assert_true(first < end && end <= n && (first > last || last == 0));
            memset(back + first, 1, end - first);
            last = end;
        }
        assert_memory_equal(back, marked, n);
        first = (uint32_t)qr_rng_below(&rng, n);
        end = first + (uint32_t)qr_rng_below(&rng, n - first + 1);
        uint32_t expected = 0;
        for (uint32_t i = first; i < end; i++)
            expected += marked[i];
        assert_int_equal(qr_marks_count(&marks, first, end), expected);
    }
    assert_int_equal(forms, 3);
}

static void other_forms_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[4];
        uint32_t len, n;
        bool good;
    } cases[] = {
        {{0, 1, 2}, 3, 3, true},     {{0, 0, 3}, 3, 3, true}, /* All of them. */
        {{0, 3}, 2, 3, false},                                /* None. */
        {{0, 1, 3}, 3, 3, false},                             /* Too many. */
        {{0, 1}, 2, 3, false},                                /* Too few. */
        {{0, 0, 0, 3}, 4, 3, false},                          /* Empty runs. */
        {{0, 1, 0, 2}, 4, 3, false},                          /* .. */
        {{1, 2}, 2, 3, true},                                 /* A bit. */
        {{1, 8}, 2, 3, false},                                /* Behind the end. */
        {{1, 0}, 2, 3, false},                                /* None. */
        {{1}, 1, 3, false},                                   /* Not there. */
        {{2, 1, 2}, 3, 3, false},                             /* No such form. */
    };
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct qr_cursor in = qr_cursor_of(qr_slice_of(cases[c].bytes, cases[c].len));
        struct qr_marks marks;
        if (qr_marks_take(&in, cases[c].n, &marks) != cases[c].good)
            fail_msg("case %zu", c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_marked_comes_back),
        cmocka_unit_test(other_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
