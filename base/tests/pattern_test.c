#include "base/pattern.h"

#include <stdio.h>

#include "testing/cmocka.h"

/* The grammar as a table: a new rule is a new row. */
static const struct {
    const char *list, *separators, *text;
    bool matches;
} cases[] = {
    {"*", QR_PATTERN_API, "anything", true},
    {"*", QR_PATTERN_API, "", true},
    {"", QR_PATTERN_API, "", false},
    {"one", QR_PATTERN_API, "one", true},
    {"one", QR_PATTERN_API, "One", false},
    {"one", QR_PATTERN_API, "one more", false},
    {"one|inc", QR_PATTERN_API, "inc", true},
    {"|one||inc", QR_PATTERN_API, "inc", true},
    {"Two Name,inc", QR_PATTERN_API, "Two Name", true}, /* no split at blanks here */
    {"a* b*", QR_PATTERN_WORDS, "bob", true},
    {"a*", QR_PATTERN_WORDS, "a", true},
    {"a*", QR_PATTERN_WORDS, "ba", false},
    {"*a", QR_PATTERN_WORDS, "banana", true},
    {"*a", QR_PATTERN_WORDS, "banane", false},
    {"*nan*", QR_PATTERN_WORDS, "banana", true},
    {"a*b*c", QR_PATTERN_WORDS, "a-b-b-c", true},
    {"a*b*c", QR_PATTERN_WORDS, "a-c-b", false},
    {"a*b*c", QR_PATTERN_WORDS, "abcc", true}, /* the last piece is a suffix */
    {"a*b*c", QR_PATTERN_WORDS, "ac", false},
    {"one,!two,*", QR_PATTERN_API, "one", true},
    {"one,!two,*", QR_PATTERN_API, "two", false},
    {"one,!two,*", QR_PATTERN_API, "three", true},
    {"!*b a*", QR_PATTERN_WORDS, "ab", false}, /* the first match decides */
    {"a* !*b", QR_PATTERN_WORDS, "ab", true},
    {"!a", QR_PATTERN_WORDS, "b", false}, /* no match means no */
    {"! a", QR_PATTERN_WORDS, "a", true}, /* a "!" alone is no entry */
    {"a\\ b", QR_PATTERN_WORDS, "a b", true},
    {"a\\,b,c", QR_PATTERN_API, "a,b", true},
    {"a\\,b,c", QR_PATTERN_API, "c", true},
    {"a\\", QR_PATTERN_API, "a\\", true}, /* a last backslash escapes nothing */
    {"a\tb", QR_PATTERN_API, "b", true},
    {"10.*.0.1 localhost", QR_PATTERN_WORDS, "10.7.0.1", true},
    {"device:sd*|kind:test", QR_PATTERN_API, "device:sdb", true},
};

static void the_first_entry_that_matches_decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool matches = qr_pattern_matches(qr_slice_str(cases[i].list), cases[i].separators,
                                          qr_slice_str(cases[i].text));
        if (matches != cases[i].matches)
            print_error("case %zu: \"%s\" on \"%s\"\n", i, cases[i].list, cases[i].text);
        assert_int_equal(matches, cases[i].matches);
    }
}

static void takes_slices_that_end_anywhere(void **state)
{
    (void)state;
    assert_true(qr_pattern_matches(qr_slice_of("one|two", 3), QR_PATTERN_API, qr_slice_str("one")));
    assert_false(qr_pattern_matches(qr_slice_of("one*", 3), QR_PATTERN_API, qr_slice_str("ones")));
    assert_false(qr_pattern_matches(qr_slice_of(NULL, 0), QR_PATTERN_API, qr_slice_of(NULL, 0)));
}

static void the_entry_decides_not_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool yes;
    } lists[] = {{"a", true},    {"b", true},     {"!b *", false}, {"!a *", false},
                 {"b !a", true}, {"!b a", false}, {"c", false},    {"", false}};
    const struct qr_slice texts[] = {qr_slice_str("a"), qr_slice_str("b")};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (qr_pattern_matches_any(qr_slice_str(lists[i].list), QR_PATTERN_WORDS, texts, 2) !=
            lists[i].yes)
            fail_msg("%s", lists[i].list);
}

static void an_empty_list_has_no_entry(void **state)
{
    (void)state;
    assert_true(qr_pattern_is_empty(qr_slice_of(NULL, 0), QR_PATTERN_API));
    assert_true(qr_pattern_is_empty(qr_slice_str("|,|!"), QR_PATTERN_API));
    assert_false(qr_pattern_is_empty(qr_slice_str("|, "), QR_PATTERN_API));
    assert_true(qr_pattern_is_empty(qr_slice_str("\t "), QR_PATTERN_WORDS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_entry_that_matches_decides),
        cmocka_unit_test(takes_slices_that_end_anywhere),
        cmocka_unit_test(the_entry_decides_not_the_text),
        cmocka_unit_test(an_empty_list_has_no_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
