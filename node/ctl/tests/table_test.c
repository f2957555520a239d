#include "node/ctl/table.h"

#include "testing/cmocka.h"

static void aligns_by_characters(void **state)
{
    (void)state;
    struct qr_ctl_table table;
    struct qr_buf out;
    qr_buf_init(&out, 0);
    qr_ctl_table_init(&table, (const char *const[]){"name", ">n", "last", NULL});
    qr_ctl_table_cell(&table, "%s", "z\xc3\xbcrich");
    qr_ctl_table_cell(&table, "%d", 7);
    qr_ctl_table_cell(&table, "a");
    qr_ctl_table_cell(&table, "%s", "ev\x1b[31mil");
    qr_ctl_table_cell(&table, "%d", 12345);
    qr_ctl_table_cell(&table, "bb");
    qr_ctl_table_print(&table, &out);
    assert_slice(qr_buf_slice(&out), "name           n  last\n"
                                     "z\xc3\xbcrich         7  a\n"
                                     "ev?[31mil  12345  bb\n");
    qr_ctl_table_release(&table);
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(aligns_by_characters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
