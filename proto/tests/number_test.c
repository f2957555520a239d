#include "proto/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/rng.h"
#include "testing/cmocka.h"

static const struct {
    const char *word;
    int err;
    int64_t value;
} integers[] = {
    {"0", 0, 0},
    {"-0", 0, 0},
    {"5", 0, 5},
    {"-5", 0, -5},
    {"9223372036854775807", 0, INT64_MAX},
    {"-9223372036854775808", 0, INT64_MIN},
    {"18446744073709551615", 0, -1}, /* an unsigned counter wraps */
    {"18446744073709551616", QR_E_LIMIT, 0},
    {"99999999999999999999", QR_E_LIMIT, 0},
    {"00000000000000000000000007", 0, 7},
    {"0x6B03B8CC", 0, 0x6B03B8CC},
    {"-0x10", 0, -16},
    {"0Xff", 0, 255},
    {"0xFFFFFFFFFFFFFFFF", 0, -1},
    {"0x10000000000000000", QR_E_LIMIT, 0},
    {"#A", 0, 0},
    {"#B", 0, 1},
    {"#BrA7hN", 0, 1795405901},
    {"-#B", 0, -1},
    {"#P//////////", 0, -1},
    {"#QAAAAAAAAAA", QR_E_LIMIT, 0},
    {"", QR_E_MALFORMED, 0},
    {"-", QR_E_MALFORMED, 0},
    {"#", QR_E_MALFORMED, 0},
    {"0x", QR_E_MALFORMED, 0},
    {"0xg", QR_E_MALFORMED, 0},
    {"#=", QR_E_MALFORMED, 0},
    {"--5", QR_E_MALFORMED, 0},
    {"5 ", QR_E_MALFORMED, 0},
    {"5.0", QR_E_MALFORMED, 0},
    {"12345678901234567890x", QR_E_MALFORMED, 0},
};

static void reads_integers_of_every_form(void **state)
{
    for (size_t i = 0; i < QR_COUNT(integers); i++) {
        int64_t value = 77;
        int err = qr_number_int(qr_slice_str(integers[i].word), &value);
        if (err != integers[i].err || value != (err == 0 ? integers[i].value : 77))
            fail_msg("\"%s\": %d, %lld", integers[i].word, err, (long long)value);
    }
}

static const struct {
    const char *word;
    int err;
    double value;
} doubles[] = {
    {"0", 0, 0.0},
    {"30", 0, 30.0},
    {"20.0000000", 0, 20.0},
    {"-29629.61", 0, -29629.61},
    {"1000.6477921", 0, 1000.6477921},
    {".5", 0, 0.5},
    {"5.", 0, 5.0},
    {"9007199254740993", 0, 9007199254740992.0}, /* 2^53 + 1, half to even */
    {"12345678901234567890.1234567", 0, 12345678901234567890.1234567},
    {"1e3", 0, 1000.0},
    {"-2.5E-3", 0, -0.0025},
    {"0x10", 0, 16.0},
    {"-#B", 0, -1.0},
    {"#BrA7hN", 0, 1795405901.0},
    {"@A", 0, 0.0},
    {"@EA+AAAAAAAB", 0, 30.000000000000004},
    {"%4034000000000000", 0, 20.0},
    {"@", QR_E_MALFORMED, 0},
    {"%", QR_E_MALFORMED, 0},
    {"%40340000000000000", QR_E_LIMIT, 0},
    {"@QAAAAAAAAAA", QR_E_LIMIT, 0},
    {"-", QR_E_MALFORMED, 0},
    {".", QR_E_MALFORMED, 0},
    {"1e", QR_E_MALFORMED, 0},
    {"1.2.3", QR_E_MALFORMED, 0},
    {"1 ", QR_E_MALFORMED, 0},
    {"0x1p3", QR_E_MALFORMED, 0},
    {"nano", QR_E_MALFORMED, 0},
};

static void reads_doubles_of_every_form(void **state)
{
    for (size_t i = 0; i < QR_COUNT(doubles); i++) {
        double value = 77;
        int err = qr_number_double(qr_slice_str(doubles[i].word), &value);
        if (err != doubles[i].err || value != (err == 0 ? doubles[i].value : 77))
            fail_msg("\"%s\": %d, %.17g", doubles[i].word, err, value);
    }
}

static void says_nan_where_there_is_no_value(void **state)
{
    static const char *words[] = {"",    "NAN",  "nan",   "null",
                                  "inf", "-inf", "1e999", "@H/wAAAAAAAA" /* infinity's bits */};
    for (size_t i = 0; i < QR_COUNT(words); i++) {
        double value = 77;
        assert_int_equal(qr_number_double(qr_slice_str(words[i]), &value), 0);
        if (!isnan(value))
            fail_msg("\"%s\" gave %g", words[i], value);
    }
}

/* The short cut must give the bits that the C library gives. */
static void rounds_as_the_c_library_does(void **state)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = qr_rng_next(&rng);
        char text[64];
        double scale = (double)(1ull << (bits & 63));
        double v = (double)(int64_t)qr_rng_next(&rng) / scale;
        snprintf(text, sizeof text, i % 2 ? "%0.7f" : "%.12g", v);
        double value;
        assert_int_equal(qr_number_double(qr_slice_str(text), &value), 0);
        double expected = strtod(text, NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
}

static void reads_back_what_it_prints(void **state)
{
    static const double values[] = {0.0, 1.5, -3.25, 1e15, 123456.789, -0.0000001, 4e300};
    char text[352];
    for (size_t i = 0; i < QR_COUNT(values); i++) {
        double value;
        size_t n = qr_number_print(text, values[i]);
        assert_int_equal(qr_number_double(qr_slice_of(text, n), &value), 0);
        assert_true(value == values[i]);
        n = qr_number_print_ieee(text, values[i]);
        assert_int_equal(qr_number_double(qr_slice_of(text, n), &value), 0);
        assert_true(value == values[i]);
    }
    assert_int_equal(qr_number_print(text, 30.0), 2);
    assert_string_equal(text, "30");
    static const int64_t integers_out[] = {0, 1, -1, 1795405901, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < QR_COUNT(integers_out); i++) {
        int64_t value;
        size_t n = qr_number_print_b64(text, integers_out[i]);
        assert_int_equal(qr_number_int(qr_slice_of(text, n), &value), 0);
        assert_true(value == integers_out[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_integers_of_every_form),
        cmocka_unit_test(reads_doubles_of_every_form),
        cmocka_unit_test(says_nan_where_there_is_no_value),
        cmocka_unit_test(rounds_as_the_c_library_does),
        cmocka_unit_test(reads_back_what_it_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
