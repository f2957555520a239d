#include "proto/functions.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "proto/words.h"
#include "testing/cmocka.h"

#define CAPS_29 (QR_CAP_FUNCTIONS | QR_CAP_SLOTS | QR_CAP_PROGRESS)

static struct qr_args args_of(struct qr_words *words, const char *line)
{
    assert_int_equal(qr_words_split(words, qr_slice_str(line)), 0);
    return (struct qr_args){words->at + 1, words->n - 1};
}

/* Lines of the captures, and what is left out, wrong or too much. */
static void reads_what_a_child_offers(void **state)
{
    static const struct {
        const char *line, *name, *help, *tags;
        uint32_t timeout_s, access, priority, version;
        bool global;
    } cases[] = {
        {"FUNCTION \"qchartfn\" 10 \"a chart function\"", "qchartfn", "a chart function", "top", 10,
         0, 100, 0, false},
        {"FUNCTION GLOBAL \"netdata-streaming\" 30 \"Shows 'it'.\" \"top\" 0x13 101 2",
         "netdata-streaming", "Shows 'it'.", "top", 30, 0x13, 101, 2, true},
        {"FUNCTION GLOBAL config 120 \"Dynamic configuration\" \"config\" 0x8 1000", "config",
         "Dynamic configuration", "config", 120, 8, 1000, 0, true},
        {"FUNCTION f -3 h", "f", "h", "top", 10, 0, 100, 0, false},
        {"FUNCTION f 99999999 h t x -1 y", "f", "h", "t", QR_FUNCTION_TIMEOUT_S_MAX, 0, 100, 0,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_words words;
        struct qr_function f;
        assert_int_equal(qr_function_parse(&f, args_of(&words, cases[i].line)), 0);
        assert_slice(f.name, cases[i].name);
        assert_slice(f.help, cases[i].help);
        assert_slice(f.tags, cases[i].tags);
        assert_int_equal(f.timeout_s, cases[i].timeout_s);
        assert_int_equal(f.access, cases[i].access);
        assert_int_equal(f.priority, cases[i].priority);
        assert_int_equal(f.version, cases[i].version);
        assert_int_equal(f.global, cases[i].global);
    }
    static const char *const refused[] = {"FUNCTION", "FUNCTION GLOBAL", "FUNCTION \"\" 10 \"h\"",
                                          "FUNCTION 'a\"b' 10 h", "FUNCTION 'a\001' 10 h"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct qr_words words;
        struct qr_function f;
        assert_int_equal(qr_function_parse(&f, args_of(&words, refused[i])), QR_E_MALFORMED);
    }
}

static void bounds_names_and_help(void **state)
{
    char line[16 + 4 * QR_FUNCTION_HELP_BYTES_MAX];
    struct qr_words words;
    struct qr_function f;
    snprintf(line, sizeof line, "FUNCTION %0*d 10 %0*d", QR_FUNCTION_NAME_BYTES_MAX, 1,
             QR_FUNCTION_HELP_BYTES_MAX + 9, 2);
    assert_int_equal(qr_function_parse(&f, args_of(&words, line)), 0);
    assert_int_equal(f.name.len, QR_FUNCTION_NAME_BYTES_MAX);
    assert_int_equal(f.help.len, QR_FUNCTION_HELP_BYTES_MAX);
    snprintf(line, sizeof line, "FUNCTION %0*d 10 h", QR_FUNCTION_NAME_BYTES_MAX + 1, 1);
    assert_int_equal(qr_function_parse(&f, args_of(&words, line)), QR_E_MALFORMED);
}

static void reads_results_and_progress(void **state)
{
    static const char text[] = "3f1c6a52000040008000000000000001";
    static const struct {
        const char *line;
        int status;
        const char *type;
        int64_t expires_s;
        bool known;
    } cases[] = {
        {"R \"3f1c6a52-0000-4000-8000-000000000001\" 200 \"application/json\" 1795405166", 200,
         "application/json", 1795405166, true},
        {"R 3F1C6A52000040008000000000000001 404 text/html 0", 404, "text/html", 0, true},
        {"R other 999 \"\" -5", 500, "text/plain", 0, false},
        {"R 3f1c6a5200004000800000000000001 7 'a\rb' x", 500, "text/plain", 0, false},
    };
    struct qr_guid transaction;
    assert_int_equal(qr_transaction_parse(&transaction, qr_slice_str(text)), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_words words;
        struct qr_function_result r;
        assert_int_equal(qr_function_result_parse(&r, args_of(&words, cases[i].line)), 0);
        assert_int_equal(r.status, cases[i].status);
        assert_slice(r.content_type, cases[i].type);
        assert_int_equal(r.expires_s, cases[i].expires_s);
        assert_int_equal(qr_guid_equal(&r.transaction, &transaction), cases[i].known);
    }
    struct qr_words words;
    struct qr_function_progress p;
    struct qr_args args = args_of(&words, "P '3f1c6a52000040008000000000000001' 3 10");
    assert_int_equal(qr_function_progress_parse(&p, args), 0);
    assert_true(qr_guid_equal(&p.transaction, &transaction));
    assert_int_equal(p.done, 3);
    assert_int_equal(p.all, 10);
    assert_int_equal(qr_function_progress_parse(&p, args_of(&words, "P t 3")), QR_E_MALFORMED);
    assert_int_equal(qr_function_progress_parse(&p, args_of(&words, "P t -3 5")), QR_E_MALFORMED);
}

static struct qr_function_call call_of(const char *function)
{
    struct qr_function_call call = {.timeout_s = 10,
                                    .function = qr_slice_str(function),
                                    .access = 0x7ff,
                                    .source = qr_slice_str("method=api,role=admin")};
    assert_int_equal(qr_transaction_parse(&call.transaction,
                                          qr_slice_str("3f1c6a52-0000-4000-8000-000000000001")),
                     0);
    return call;
}

#define T "3f1c6a52000040008000000000000001"

/* 1.37 knows the short form only; a payload needs 1.45. */
static void calls_in_the_form_that_the_child_knows(void **state)
{
    struct qr_buf out = {0};
    struct qr_function_call call = call_of("qfunc arg1");
    assert_int_equal(qr_function_encode_call(&out, &call, QR_CAP_FUNCTIONS), 0);
    assert_slice(qr_buf_slice(&out), "FUNCTION " T " 10 \"qfunc arg1\"\n");
    qr_buf_clear(&out);
    assert_int_equal(qr_function_encode_call(&out, &call, CAPS_29), 0);
    assert_slice(qr_buf_slice(&out),
                 "FUNCTION " T " 10 \"qfunc arg1\" \"0x7ff\" \"method=api,role=admin\"\n");
    qr_buf_clear(&out);

    call.has_payload = true;
    call.content_type = qr_slice_str("application/json");
    call.payload = qr_slice_str("{\"a\":1}");
    assert_int_equal(qr_function_encode_call(&out, &call, QR_CAP_FUNCTIONS), QR_E_UNSUPPORTED);
    assert_int_equal(qr_function_encode_call(&out, &call, CAPS_29), 0);
    assert_slice(qr_buf_slice(&out), "FUNCTION_PAYLOAD " T " 10 \"qfunc arg1\" \"0x7ff\" "
                                     "\"method=api,role=admin\" \"application/json\"\n"
                                     "{\"a\":1}\nFUNCTION_PAYLOAD_END\n");
    qr_buf_clear(&out);

    qr_function_encode_cancel(&out, &call.transaction, QR_CAP_FUNCTIONS);
    qr_function_encode_progress(&out, &call.transaction, QR_CAP_FUNCTIONS);
    assert_int_equal(out.len, 0);
    qr_function_encode_cancel(&out, &call.transaction, CAPS_29);
    qr_function_encode_progress(&out, &call.transaction, CAPS_29);
    assert_slice(qr_buf_slice(&out), "FUNCTION_CANCEL " T "\nFUNCTION_PROGRESS " T "\n");
    qr_buf_release(&out);
}

/* Nothing that a client asks for becomes a line of its own. */
static void refuses_what_would_leave_its_quotes(void **state)
{
    static const char *const functions[] = {"", "a\"b", "a\nFUNCTION x", "a\\", "a\tb", "a\x7f"};
    static const char *const payloads[] = {"FUNCTION_PAYLOAD_END", "x\nFUNCTION_PAYLOAD_END\ny",
                                           "x\nFUNCTION_PAYLOAD_END "};
    struct qr_buf out = {0};
    qr_buf_add_str(&out, "before\n");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        struct qr_function_call call = call_of(functions[i]);
        assert_int_equal(qr_function_encode_call(&out, &call, CAPS_29), QR_E_MALFORMED);
    }
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct qr_function_call call = call_of("f");
        call.has_payload = true;
        call.payload = qr_slice_str(payloads[i]);
        assert_int_equal(qr_function_encode_call(&out, &call, CAPS_29), QR_E_MALFORMED);
    }
    struct qr_function_call call = call_of("f");
    call.source = qr_slice_str("user=\"");
    assert_int_equal(qr_function_encode_call(&out, &call, CAPS_29), QR_E_MALFORMED);
    assert_slice(qr_buf_slice(&out), "before\n");
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_child_offers),
        cmocka_unit_test(bounds_names_and_help),
        cmocka_unit_test(reads_results_and_progress),
        cmocka_unit_test(calls_in_the_form_that_the_child_knows),
        cmocka_unit_test(refuses_what_would_leave_its_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
