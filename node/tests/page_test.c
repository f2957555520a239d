#include "node/page.h"

#include <stdlib.h>

#include "testing/cmocka.h"

static void the_page_is_whole_and_on_its_own(void **state)
{
    (void)state;
    struct qr_slice page = qr_page();
    char *text = strndup(page.base, page.len);
    assert_non_null(text);
    assert_int_equal(strlen(text), page.len);
    assert_memory_equal(text, "<!doctype html>", 15);
    assert_string_equal(text + page.len - 8, "</html>\n");
    assert_null(strstr(text, "http:")); /* Nothing comes from elsewhere. */
    assert_null(strstr(text, "https:"));
    assert_null(strstr(text, "src="));
    assert_non_null(strstr(text, "/api/quorate/v1/status"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_is_whole_and_on_its_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
