#include "proto/words.h"

#include "base/compiler.h"
#include "base/error.h"
#include "testing/cmocka.h"

/* The grammar as a table: a new rule is a new row. */
static const struct {
    const char *line, *words[6];
    size_t n;
} cases[] = {
    {"", {0}, 0},
    {" \t\n", {0}, 0},
    {"SET load=1\n", {"SET", "load", "1"}, 3},
    {"SET \"x\" = -5\r\n", {"SET", "x", "-5"}, 3},
    {"CHART 'disk io' \"\"\n", {"CHART", "disk io", ""}, 3},
    {"RSET \"a\" 1.0 \"\"", {"RSET", "a", "1.0", ""}, 4},
    {"BEGIN2 'a=b' 1 # #", {"BEGIN2", "a=b", "1", "#", "#"}, 5}, /* '=' in quotes is a byte */
    {"A it's", {"A", "it's"}, 2},                                /* so is a quote inside a word */
    {"A 'x\\'y'", {"A", "x\\'y"}, 2},                            /* the backslash stays */
    {"'a'b", {"a", "b"}, 2},                                     /* a closing quote ends the word */
    {"A 'b c", {"A", "b c"}, 2},                                 /* an open quote runs to the end */
    {"A b\\", {"A", "b\\"}, 2}, /* a last backslash escapes nothing */
    {"A \"", {"A", ""}, 2},     /* a quote at the end opens an empty word */
    {"A \"\xff\" b", {"A", "\xff", "b"}, 3},
};

static void splits_by_the_grammar(void **state)
{
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct qr_words words;
        assert_int_equal(qr_words_split(&words, qr_slice_str(cases[c].line)), 0);
        assert_int_equal(words.n, cases[c].n);
        for (size_t i = 0; i < words.n; i++)
            assert_slice(words.at[i], cases[c].words[i]);
    }
}

static void refuses_what_it_cannot_hold(void **state)
{
    struct qr_words words;
    char line[2 * (QR_LINE_WORDS_MAX + 1)];
    for (size_t i = 0; i < sizeof line; i++)
        line[i] = i % 2 == 0 ? 'x' : ' ';

    assert_int_equal(qr_words_split(&words, qr_slice_of(line, sizeof line - 2)), 0);
    assert_int_equal(words.n, QR_LINE_WORDS_MAX);
    assert_int_equal(qr_words_split(&words, qr_slice_of(line, sizeof line)), QR_E_LIMIT);
    assert_int_equal(words.n, 0);
    assert_int_equal(qr_words_split(&words, qr_slice_of("A\0B", 3)), QR_E_MALFORMED);
    assert_int_equal(words.n, 0);
    assert_int_equal(qr_words_get(&words, 0).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_by_the_grammar),
        cmocka_unit_test(refuses_what_it_cannot_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
