#include "proto/command.h"

#include "base/error.h"
#include "testing/cmocka.h"

static struct qr_command parse(const char *line)
{
    struct qr_command command;
    assert_int_equal(qr_command_parse(qr_slice_str(line), &command), 0);
    return command;
}

static void reads_requests(void **state)
{
    struct qr_command c = parse("REPLAY_CHART \"a b.c\" \"true\" 100 200");
    assert_int_equal(c.kind, QR_COMMAND_REPLAY_CHART);
    assert_true(qr_slice_is(c.name, "a b.c"));
    assert_true(c.start_streaming);
    assert_int_equal(c.after_s, 100);
    assert_int_equal(c.before_s, 200);
    assert_false(parse("REPLAY_CHART a \"false\" 0 0").start_streaming);
    assert_false(parse("REPLAY_CHART a yes 0 0\r").start_streaming);
}

static void reads_calls(void **state)
{
    struct qr_command c = parse("FUNCTION t1 10 \"qfunc arg=1\"");
    assert_int_equal(c.kind, QR_COMMAND_FUNCTION);
    assert_true(qr_slice_is(c.name, "t1"));
    assert_true(qr_slice_is(c.function, "qfunc arg=1"));
    assert_int_equal(c.timeout_s, 10);
    assert_int_equal(c.access.len, 0);
    c = parse("FUNCTION_PAYLOAD t2 0 \"config x\" \"0x13\" \"user=a b\" \"application/json\"");
    assert_int_equal(c.kind, QR_COMMAND_FUNCTION_PAYLOAD);
    assert_int_equal(c.timeout_s, QR_COMMAND_TIMEOUT_S);
    assert_true(qr_slice_is(c.access, "0x13"));
    assert_true(qr_slice_is(c.source, "user=a b"));
    assert_true(qr_slice_is(c.content_type, "application/json"));
    assert_int_equal(parse("FUNCTION t -5 f").timeout_s, QR_COMMAND_TIMEOUT_S);
    assert_int_equal(parse("FUNCTION t 99999999999 f").timeout_s, QR_COMMAND_TIMEOUT_S_MAX);
    assert_int_equal(parse("FUNCTION_CANCEL t3").kind, QR_COMMAND_FUNCTION_CANCEL);
    assert_int_equal(parse("FUNCTION_PROGRESS t3").kind, QR_COMMAND_FUNCTION_PROGRESS);
}

static void reads_ids_and_json(void **state)
{
    struct qr_command c = parse("NODE_ID '11111111-2222-3333-4444-555555555555' "
                                "'22222222-2222-3333-4444-555555555555' 'https://x/'");
    assert_int_equal(c.claim_id.bytes[0], 0x11);
    assert_int_equal(c.node_id.bytes[0], 0x22);
    assert_true(qr_slice_is(c.url, "https://x/"));
    c = parse("JSON STREAM_PATH");
    assert_int_equal(c.kind, QR_COMMAND_JSON);
    assert_true(qr_slice_is(c.name, "STREAM_PATH"));
}

static void payloads_end_with_their_own_line(void **state)
{
    assert_true(qr_command_ends(QR_COMMAND_JSON, qr_slice_str("JSON_PAYLOAD_END")));
    assert_true(qr_command_ends(QR_COMMAND_JSON, qr_slice_str("JSON_PAYLOAD_END\r")));
    assert_false(qr_command_ends(QR_COMMAND_JSON, qr_slice_str(" JSON_PAYLOAD_END")));
    assert_false(qr_command_ends(QR_COMMAND_JSON, qr_slice_str("FUNCTION_PAYLOAD_END")));
    assert_true(qr_command_ends(QR_COMMAND_FUNCTION_PAYLOAD, qr_slice_str("FUNCTION_PAYLOAD_END")));
    assert_false(qr_command_ends(QR_COMMAND_FUNCTION, qr_slice_str("")));
}

static void refuses_what_it_cannot_use(void **state)
{
    static const struct {
        const char *line;
        int err;
    } cases[] = {
        {"", QR_E_UNKNOWN},
        {"SOMETHING NEW", QR_E_UNKNOWN},
        {"replay_chart a true 1 2", QR_E_UNKNOWN},
        {"REPLAY_CHART", QR_E_MALFORMED},
        {"REPLAY_CHART a true 1", QR_E_MALFORMED},
        {"REPLAY_CHART a true x 2", QR_E_MALFORMED},
        {"REPLAY_CHART a true -1 2", QR_E_MALFORMED},
        {"REPLAY_CHART a true 1 99999999999999", QR_E_MALFORMED},
        {"REPLAY_CHART '' true 1 2", QR_E_MALFORMED},
        {"FUNCTION t 10", QR_E_MALFORMED},
        {"FUNCTION '' 10 f", QR_E_MALFORMED},
        {"FUNCTION t ten f", QR_E_MALFORMED},
        {"FUNCTION_CANCEL", QR_E_MALFORMED},
        {"NODE_ID a b c", QR_E_MALFORMED},
        {"NODE_ID '11111111-2222-3333-4444-555555555555' b c", QR_E_MALFORMED},
        {"JSON", QR_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_command command = {.kind = QR_COMMAND_NR};
        assert_int_equal(qr_command_parse(qr_slice_str(cases[i].line), &command), cases[i].err);
        assert_int_equal(command.kind, QR_COMMAND_NR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests),
        cmocka_unit_test(reads_calls),
        cmocka_unit_test(reads_ids_and_json),
        cmocka_unit_test(payloads_end_with_their_own_line),
        cmocka_unit_test(refuses_what_it_cannot_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
