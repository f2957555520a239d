#include "node/options.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

static const struct {
    const char *text, *printed;
} cases[] = {
    {"", ""},
    {"jsonwrap,ms,flip,nonzero", "nonzero,flip,jsonwrap,ms"}, /* the order of the table */
    {"absolute|percentage jsonwrap", "jsonwrap,abs,percentage"},
    {"reversed,reverse,flip", "flip"},
    {"match-ids,google_json,nosuch,,|", "google_json,match_ids"},
    {"ms,Flip", "ms"},
    {"all-dimensions,natural-points", "natural-points,all-dimensions"},
};

static void words_become_bits_and_words_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct qr_buf out = {0};
        qr_options_print(&out, qr_options_parse(qr_slice_str(cases[i].text)));
        assert_slice(qr_buf_slice(&out), cases[i].printed);
        qr_buf_release(&out);
    }
    assert_int_equal(qr_options_parse(qr_slice_of(NULL, 0)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_become_bits_and_words_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
