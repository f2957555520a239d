#include "node/format.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/compiler.h"
#include "node/options.h"
#include "testing/cmocka.h"

/* What a real 1.37.1 answered for this chart: dimensions one, two (named "Two Name"), inc. */
static const struct qr_dim_def dims[] = {
    {.id = "one", .name = "one"}, {.id = "two", .name = "Two Name"}, {.id = "inc", .name = "inc"}};
static const struct qr_chart_def def = {.id = "qdemo.alpha", .n_dims = 3, .dims = dims};
static struct qr_table_column columns[3];
static double values[6];
static uint8_t resets[6];

static struct qr_table table_of_two_rows(void)
{
    static const double cells[6] = {4, 4.5, 3.971157, 5, 5.5, 5.004945};
    memcpy(values, cells, sizeof values);
    memset(resets, 0, sizeof resets);
    for (uint32_t c = 0; c < 3; c++)
        columns[c] = (struct qr_table_column){
            .def = &def, .dim = c, .shown = true, .has_value = true, .has_nonzero = true};
    return (struct qr_table){
        .window = {.n_rows = 2, .first_row_s = 1795405384, .before_s = 1795405385, .step_s = 1},
        .n_columns = 3,
        .columns = columns,
        .values = values,
        .resets = resets};
}

#define COLS                                                                                       \
    "{\n \"cols\":\n [\n"                                                                          \
    "        {\"id\":\"\",\"label\":\"time\",\"pattern\":\"\",\"type\":\"datetime\"},\n"           \
    "        {\"id\":\"\",\"label\":\"\",\"pattern\":\"\",\"type\":\"string\",\"p\":{\"role\":"    \
    "\"annotation\"}},\n"                                                                          \
    "        {\"id\":\"\",\"label\":\"\",\"pattern\":\"\",\"type\":\"string\",\"p\":{\"role\":"    \
    "\"annotationText\"}},\n"                                                                      \
    "     {\"id\":\"\",\"label\":\"one\",\"pattern\":\"\",\"type\":\"number\"},\n"                 \
    "     {\"id\":\"\",\"label\":\"Two Name\",\"pattern\":\"\",\"type\":\"number\"},\n"            \
    "     {\"id\":\"\",\"label\":\"inc\",\"pattern\":\"\",\"type\":\"number\"}\n"                  \
    "  ],\n    \"rows\":\n [\n"

#define DATATABLE                                                                                  \
    COLS "        {\"c\":[{\"v\":\"Date(2026,10,23,3,43,5)\"},{\"v\":null},{\"v\":null},{\"v\":5}" \
         ",{\"v\":5.5},{\"v\":5.004945}]},\n"                                                      \
         "        {\"c\":[{\"v\":\"Date(2026,10,23,3,43,4)\"},{\"v\":null},{\"v\":null},{\"v\":4}" \
         ",{\"v\":4.5},{\"v\":3.971157}]}\n]\n}"

static const struct {
    enum qr_format format;
    uint32_t options;
    const char *text;
} cases[] = {
    {QR_FORMAT_JSON, 0,
     "{\n \"labels\": [\"time\",\"one\",\"Two Name\",\"inc\"],\n    \"data\":\n [\n"
     " [ 1795405385,5,5.5,5.004945],\n [ 1795405384,4,4.5,3.971157]\n]\n}"},
    {QR_FORMAT_JSON, QR_OPTION_FLIP | QR_OPTION_MS,
     "{\n \"labels\": [\"time\",\"one\",\"Two Name\",\"inc\"],\n    \"data\":\n [\n"
     " [ 1795405384000,4,4.5,3.971157],\n [ 1795405385000,5,5.5,5.004945]\n]\n}"},
    {QR_FORMAT_JSON, QR_OPTION_OBJECTROWS,
     "{\n \"labels\": [\"time\",\"one\",\"Two Name\",\"inc\"],\n    \"data\":\n [\n"
     " { \"time\": 1795405385,\"one\": 5,\"Two Name\": 5.5,\"inc\": 5.004945},\n"
     " { \"time\": 1795405384,\"one\": 4,\"Two Name\": 4.5,\"inc\": 3.971157}\n]\n}"},
    {QR_FORMAT_JSON, QR_OPTION_GOOGLE_JSON,
     "{\n \"labels\": [\"time\",\"one\",\"Two Name\",\"inc\"],\n    \"data\":\n [\n"
     " [ new Date(2026,10,23,3,43,5),5,5.5,5.004945],\n"
     " [ new Date(2026,10,23,3,43,4),4,4.5,3.971157]\n]\n}"},
    {QR_FORMAT_DATATABLE, 0, DATATABLE},
    {QR_FORMAT_DATATABLE_JSONP, 0, DATATABLE},
    {QR_FORMAT_CSV, 0,
     "time,one,Two Name,inc\r\n2026-11-23 03:43:05,5,5.5,5.004945\r\n"
     "2026-11-23 03:43:04,4,4.5,3.971157\r\n"},
    {QR_FORMAT_CSV, QR_OPTION_SECONDS,
     "time,one,Two Name,inc\r\n1795405385,5,5.5,5.004945\r\n1795405384,4,4.5,3.971157\r\n"},
    {QR_FORMAT_TSV, QR_OPTION_MS,
     "time\tone\tTwo Name\tinc\r\n1795405385000\t5\t5.5\t5.004945\r\n"
     "1795405384000\t4\t4.5\t3.971157\r\n"},
    {QR_FORMAT_MARKDOWN, 0,
     "time|one|Two Name|inc\r\n:---:|:---:|:---:|:---:\r\n"
     "2026-11-23 03:43:05|5|5.5|5.004945\r\n2026-11-23 03:43:04|4|4.5|3.971157\r\n"},
    {QR_FORMAT_CSVJSONARRAY, 0,
     "[\n[\"time\",\"one\",\"Two Name\",\"inc\"],\n[2026-11-23 03:43:05,5,5.5,5.004945],\n"
     "[2026-11-23 03:43:04,4,4.5,3.971157]\n]"},
    {QR_FORMAT_HTML, 0,
     "<html>\n<center>\n<table border=\"0\" cellpadding=\"5\" cellspacing=\"5\">\n"
     "<tr><td>time</td><td>one</td><td>Two Name</td><td>inc</td></tr>\n"
     "<tr><td>2026-11-23 03:43:05</td><td>5</td><td>5.5</td><td>5.004945</td></tr>\n"
     "<tr><td>2026-11-23 03:43:04</td><td>4</td><td>4.5</td><td>3.971157</td></tr>\n"
     "</table>\n</center>\n</html>\n"},
    {QR_FORMAT_SSV, 0, "15.504945 12.471157"},
    {QR_FORMAT_SSVCOMMA, QR_OPTION_FLIP, "12.471157,15.504945"},
    {QR_FORMAT_ARRAY, 0, "[15.504945,12.471157]"},
    {QR_FORMAT_ARRAY, QR_OPTION_MIN2MAX, "[5.5,4.5]"}, /* 0 is a bound */
};

static void writes_what_netdata_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct qr_table table = table_of_two_rows();
        struct qr_buf out = {0};
        assert_int_equal(qr_format_write(&out, cases[i].format, &table, cases[i].options, false),
                         0);
        qr_buf_add_u8(&out, 0);
        assert_string_equal(out.base, cases[i].text);
        qr_buf_release(&out);
    }
}

/* The lengths that the real server's bodies had. */
static void has_the_lengths_of_real_answers(void **state)
{
    (void)state;
    static const struct {
        enum qr_format format;
        uint32_t options;
        size_t len;
    } lens[] = {{QR_FORMAT_HTML, 0, 312},
                {QR_FORMAT_MARKDOWN, 0, 120},
                {QR_FORMAT_CSVJSONARRAY, 0, 111},
                {QR_FORMAT_JSON, QR_OPTION_OBJECTROWS, 193},
                {QR_FORMAT_JSON, 0, 131 - 6}};
    for (size_t i = 0; i < QR_COUNT(lens); i++) {
        struct qr_table table = table_of_two_rows();
        struct qr_buf out = {0};
        qr_format_write(&out, lens[i].format, &table, lens[i].options, false);
        assert_int_equal(out.len, lens[i].len);
        qr_buf_release(&out);
    }
}

static void assert_writes(const struct qr_table *table, enum qr_format format, uint32_t options,
                          const char *text)
{
    struct qr_buf out = {0};
    qr_format_write(&out, format, table, options, true);
    qr_buf_add_u8(&out, 0);
    assert_string_equal(out.base, text);
    qr_buf_release(&out);
}

static void nulls_are_null_or_zero(void **state)
{
    (void)state;
    struct qr_table table = table_of_two_rows();
    values[0] = values[1] = values[2] = values[3] = NAN;
    assert_writes(&table, QR_FORMAT_CSV, QR_OPTION_SECONDS,
                  "time,one,Two Name,inc\n1795405385,null,5.5,5.004945\n"
                  "1795405384,null,null,null\n");
    assert_writes(&table, QR_FORMAT_SSV, 0, "10.504945 null");
    assert_writes(&table, QR_FORMAT_SSV, QR_OPTION_NULL2ZERO, "10.504945 0");
    assert_writes(&table, QR_FORMAT_CSV, QR_OPTION_SECONDS | QR_OPTION_NULL2ZERO,
                  "time,one,Two Name,inc\n1795405385,0,5.5,5.004945\n1795405384,0,0,0\n");
}

static void no_column_is_no_data(void **state)
{
    (void)state;
    struct qr_table table = table_of_two_rows();
    for (int c = 0; c < 3; c++)
        columns[c].shown = false;
    assert_writes(&table, QR_FORMAT_JSON, 0,
                  "{\n \"labels\": [\"time\",\"no data\"],\n    \"data\":\n [\n\n]\n}");
    assert_writes(&table, QR_FORMAT_CSV, 0, "\n");
    assert_writes(&table, QR_FORMAT_CSVJSONARRAY, 0, "[\n\n]");
    assert_writes(&table, QR_FORMAT_ARRAY, 0, "[null,null]");
}

static void hidden_columns_do_not_show(void **state)
{
    (void)state;
    struct qr_table table = table_of_two_rows();
    columns[1].shown = false;
    assert_writes(&table, QR_FORMAT_CSV, QR_OPTION_SECONDS,
                  "time,one,inc\n1795405385,5,5.004945\n1795405384,4,3.971157\n");
    assert_writes(&table, QR_FORMAT_ARRAY, 0, "[10.004945,7.971157]");
}

static void resets_are_annotated(void **state)
{
    (void)state;
    struct qr_table table = table_of_two_rows();
    columns[0].shown = columns[1].shown = false;
    resets[5] = 1;
    resets[0] = 1; /* Of a column that does not show. */
    assert_writes(&table, QR_FORMAT_DATATABLE, QR_OPTION_GOOGLE_JSON,
                  "{\n cols:\n [\n"
                  "        {id:'',label:'time',pattern:'',type:'datetime'},\n"
                  "        {id:'',label:'',pattern:'',type:'string',p:{role:'annotation'}},\n"
                  "        {id:'',label:'',pattern:'',type:'string',p:{role:'annotationText'}},\n"
                  "     {id:'',label:'inc',pattern:'',type:'number'}\n"
                  "  ],\n    rows:\n [\n"
                  "        {c:[{v:'Date(2026,10,23,3,43,5)'},{v:'RESET OR OVERFLOW'},"
                  "{v:'The counters have been wrapped.'},{v:5.004945}]},\n"
                  "        {c:[{v:'Date(2026,10,23,3,43,4)'},{v:null},{v:null},{v:3.971157}]}\n"
                  "]\n}");
}

/* ---- the view of a table ---- */

static void percentages_count_columns_that_do_not_show(void **state)
{
    (void)state;
    struct qr_table table = table_of_two_rows();
    static const double cells[6] = {10, 30, 60, 0, 0, 0};
    memcpy(values, cells, sizeof cells);
    columns[2].shown = false;
    qr_table_view(&table, QR_OPTION_PERCENTAGE);
    assert_writes(&table, QR_FORMAT_CSV, QR_OPTION_SECONDS,
                  "time,one,Two Name\n1795405385,0,0\n1795405384,10,30\n");
    assert_true(table.min == 0);
    assert_true(table.max == 30);
}

static void nonzero_keeps_what_was_named(void **state)
{
    (void)state;
    struct qr_table table = table_of_two_rows();
    columns[0].has_nonzero = false;
    columns[1].has_nonzero = false;
    columns[1].chosen = true;
    qr_table_view(&table, QR_OPTION_NONZERO);
    assert_false(columns[0].shown);
    assert_true(columns[1].shown);
    assert_true(columns[2].shown);
    table = table_of_two_rows();
    for (int c = 0; c < 3; c++)
        columns[c].has_nonzero = false;
    qr_table_view(&table, QR_OPTION_NONZERO);
    for (int c = 0; c < 3; c++)
        assert_true(columns[c].shown); /* All would be none. */
}

static void absolute_comes_after_the_bounds(void **state)
{
    (void)state;
    struct qr_table table = table_of_two_rows();
    values[0] = -40;
    values[4] = NAN; /* Counts as 0 in the bounds. */
    qr_table_view(&table, QR_OPTION_ABS);
    assert_true(values[0] == 40);
    assert_true(isnan(values[4]));
    assert_true(table.min == -40);
    assert_true(table.max == 5.004945);
}

static void names_are_known(void **state)
{
    (void)state;
    for (enum qr_format f = 0; f < QR_FORMAT_NR; f++)
        assert_int_equal(qr_format_parse(qr_slice_str(qr_format_name(f))), f);
    assert_int_equal(qr_format_parse(qr_slice_str("nosuch")), QR_FORMAT_JSON);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_netdata_writes),
        cmocka_unit_test(has_the_lengths_of_real_answers),
        cmocka_unit_test(nulls_are_null_or_zero),
        cmocka_unit_test(no_column_is_no_data),
        cmocka_unit_test(hidden_columns_do_not_show),
        cmocka_unit_test(resets_are_annotated),
        cmocka_unit_test(percentages_count_columns_that_do_not_show),
        cmocka_unit_test(nonzero_keeps_what_was_named),
        cmocka_unit_test(absolute_comes_after_the_bounds),
        cmocka_unit_test(names_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
