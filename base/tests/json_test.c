#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "testing/cmocka.h"

static const struct {
    double v;
    const char *text;
} numbers[] = {
    {0, "0"},
    {-0.0, "0"},
    {6, "6"},
    {6.5, "6.5"},
    {-3, "-3"},
    {5.9455241, "5.9455241"},
    {-0.25, "-0.25"},
    {0.0000001, "0.0000001"},
    {0.00000004, "0"},
    {-0.00000004, "0"},
    {1.0 / 3, "0.3333333"},
    {2.0 / 3, "0.6666667"},
    {1.99999999, "2"}, /* the carry reaches the integer part */
    {100.05, "100.05"},
    {10.1000001, "10.1000001"},
    {1795405385, "1795405385"},
    {999999999999.0, "999999999999"},
    {1e21, "1000000000000000000000"},
    {NAN, "null"},
    {INFINITY, "null"},
    {-INFINITY, "null"},
};

static void prints_numbers_as_netdata_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct qr_buf out = {0};
        qr_json_number(&out, numbers[i].v);
        assert_slice(qr_buf_slice(&out), numbers[i].text);
        qr_buf_release(&out);
    }
}

/* printf with 7 decimals, and the zeros cut off, says the same wherever the decimals exist. */
static void prints_random_numbers_as_printf_does(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 5);
    struct qr_buf out = {0};
    for (int i = 0; i < 20000; i++) {
        double v = (double)(int64_t)(qr_rng_next(&rng) >> 40) / 8192 - 1000; /* Exact in binary. */
        char text[64];
        int len = snprintf(text, sizeof text, "%.7f", v);
        while (text[len - 1] == '0')
            text[--len] = '\0';
        if (text[len - 1] == '.')
            text[--len] = '\0';
        qr_buf_clear(&out);
        qr_json_number(&out, v);
        assert_slice(qr_buf_slice(&out), strcmp(text, "-0") == 0 ? "0" : text);
    }
    qr_buf_release(&out);
}

static const struct {
    const char *text, *quoted;
} strings[] = {
    {"", "\"\""},
    {"a \"b\" \\ c", "\"a \\\"b\\\" \\\\ c\""},
    {"\n\t\r\b\f\x01\x7f", "\"\\n\\t\\r\\b\\f\\u0001\\u007f\""},
    {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac "
                                                         "\xf0\x9f\x98\x80\""},
    {"\xff", "\"\xef\xbf\xbd\""},
    {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
    {"a\xe2\x82", "\"a\xef\xbf\xbd\xef\xbf\xbd\""},               /* cut short */
};

static void quotes_any_bytes_as_valid_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        struct qr_buf out = {0};
        qr_json_quote(&out, qr_slice_str(strings[i].text));
        assert_slice(qr_buf_slice(&out), strings[i].quoted);
        qr_buf_release(&out);
    }
}

static void keeps_commas_and_nesting(void **state)
{
    (void)state;
    struct qr_buf out = {0};
    struct qr_json json;
    qr_json_init(&json, &out);
    qr_json_object(&json, NULL);
    qr_json_str(&json, "name", "a\"b");
    qr_json_str(&json, "none", NULL);
    qr_json_array(&json, "list");
    qr_json_i64(&json, NULL, -5);
    qr_json_u64(&json, NULL, UINT64_MAX);
    qr_json_object(&json, NULL);
    qr_json_end(&json);
    qr_json_array(&json, NULL);
    qr_json_end(&json);
    qr_json_end(&json);
    qr_json_object_at(&json, qr_slice_of("k\"ey", 3));
    qr_json_bool(&json, "yes", true);
    qr_json_double(&json, "half", 0.5);
    qr_json_end(&json);
    qr_json_bool(&json, "no", false);
    qr_json_end(&json);
    assert_int_equal(json.depth, 0);
    assert_slice(qr_buf_slice(&out),
                 "{\"name\":\"a\\\"b\",\"none\":null,\"list\":[-5,18446744073709551615,{},[]],"
                 "\"k\\\"e\":{\"yes\":true,\"half\":0.5},\"no\":false}");
    qr_buf_release(&out);
}

static void a_full_buffer_shows_once(void **state)
{
    (void)state;
    struct qr_buf out;
    qr_buf_init(&out, 16);
    struct qr_json json;
    qr_json_init(&json, &out);
    qr_json_array(&json, NULL);
    for (int i = 0; i < 100; i++)
        qr_json_i64(&json, NULL, i);
    qr_json_end(&json);
    assert_true(out.failed);
    assert_true(out.len <= 16);
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_numbers_as_netdata_does),
        cmocka_unit_test(prints_random_numbers_as_printf_does),
        cmocka_unit_test(quotes_any_bytes_as_valid_json),
        cmocka_unit_test(keeps_commas_and_nesting),
        cmocka_unit_test(a_full_buffer_shows_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
