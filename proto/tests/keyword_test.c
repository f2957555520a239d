#include "proto/keyword.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

static void finds_each_by_its_own_name(void **state)
{
    for (unsigned i = 0; i < QR_KEYWORD_NR; i++) {
        assert_int_equal(strlen(qr_keyword_rows[i].name), qr_keyword_rows[i].len);
        assert_int_equal(qr_keyword_find(qr_slice_str(qr_keyword_rows[i].name)), i);
    }
    assert_int_equal(qr_keyword_find(qr_slice_str("CHART_DEFINITION_END")),
                     QR_KEYWORD_CHART_DEFINITION_END);
}

static void knows_no_other_word(void **state)
{
    static const char *others[] = {"",       "set",           "SE",          "SETX",
                                   "BEGIN3", "DYNCFG_ENABLE", "REPLAY_CHART"};
    for (size_t i = 0; i < QR_COUNT(others); i++)
        assert_int_equal(qr_keyword_find(qr_slice_str(others[i])), QR_KEYWORD_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_by_its_own_name),
        cmocka_unit_test(knows_no_other_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
