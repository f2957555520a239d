#include "proto/sender.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "testing/cmocka.h"

struct owner {
    struct qr_sender *sender;
    struct qr_buf said, heard;
};

static void on_send(void *data, struct qr_slice bytes)
{
    struct owner *owner = data;
    qr_buf_add(&owner->said, bytes.base, bytes.len);
}

static void on_replay(void *data, struct qr_sender_chart *chart,
                      const struct qr_sender_replay *replay)
{
    fail();
}

static void on_redefine(void *data, struct qr_sender_chart *chart)
{
    fail();
}

#define TEXT(slice) (int)(slice).len, (slice).base

static void on_call(void *data, const struct qr_sender_call *call)
{
    struct owner *owner = data;
    qr_buf_printf(&owner->heard, "call %.*s %u %.*s [%.*s] [%.*s]", TEXT(call->transaction),
                  call->timeout_s, TEXT(call->function), TEXT(call->access), TEXT(call->source));
    if (call->has_payload)
        qr_buf_printf(&owner->heard, " %.*s: %.*s", TEXT(call->content_type), TEXT(call->payload));
    qr_buf_add_str(&owner->heard, "\n");
}

static void on_cancel(void *data, struct qr_slice transaction)
{
    qr_buf_printf(&((struct owner *)data)->heard, "cancel %.*s\n", TEXT(transaction));
}

static void on_progress(void *data, struct qr_slice transaction)
{
    qr_buf_printf(&((struct owner *)data)->heard, "progress %.*s\n", TEXT(transaction));
}

static void on_node_id(void *data, const struct qr_guid *claim_id, const struct qr_guid *node_id,
                       struct qr_slice url)
{
    char claim[QR_GUID_TEXT_LEN + 1], node[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(claim_id, claim);
    qr_guid_format(node_id, node);
    qr_buf_printf(&((struct owner *)data)->heard, "node %s %s %.*s\n", claim, node, TEXT(url));
}

static void on_json(void *data, struct qr_slice kind, struct qr_slice payload)
{
    qr_buf_printf(&((struct owner *)data)->heard, "json %.*s: %.*s\n", TEXT(kind), TEXT(payload));
}

static void open_owner(struct owner *owner, uint32_t caps)
{
    const struct qr_sender_config config = {
        .caps = caps, .clock = &qr_clock_system, .machine_guid = {{0x11, 0x22}}};
    const struct qr_sender_handler handler = {owner,       on_send,    on_replay,
                                              on_redefine, on_call,    on_cancel,
                                              on_progress, on_node_id, on_json};
    *owner = (struct owner){0};
    qr_buf_init(&owner->said, 0);
    qr_buf_init(&owner->heard, 0);
    assert_int_equal(qr_sender_new(&owner->sender, &config, &handler), 0);
}

static void close_owner(struct owner *owner)
{
    qr_sender_free(owner->sender);
    qr_buf_release(&owner->said);
    qr_buf_release(&owner->heard);
}

static void expect(struct qr_buf *buf, const char *text)
{
    qr_buf_add_u8(buf, 0);
    assert_string_equal(buf->base, text);
    qr_buf_clear(buf);
}

static void expect_said(struct owner *owner, const char *text)
{
    qr_sender_flush(owner->sender);
    expect(&owner->said, text);
}

#define ALL                                                                                        \
    (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLAIM | QR_CAP_FUNCTIONS | QR_CAP_BINARY |             \
     QR_CAP_INTERPOLATED | QR_CAP_PROGRESS | QR_CAP_PATHS)

/* Everything about the host that is no chart. */
static void say_all(struct qr_sender *s)
{
    static const struct qr_stream_label labels[] = {{{"_os", 3}, {"Debian 12", 9}, 0x20000001},
                                                    {{"it's", 4}, {"", 0}, 2}};
    static const struct qr_guid claim = {{0x33}};
    static const struct qr_sender_function function = {.name = {"f", 1},
                                                       .help = {"does \"it\"", 9},
                                                       .tags = {"top", 3},
                                                       .timeout_s = 60,
                                                       .access = 8,
                                                       .priority = -1};
    qr_sender_variable(s, qr_slice_str("v"), 42.5);
    qr_sender_variable(s, qr_slice_str("nothing"), (double)NAN);
    qr_sender_json(s, "STREAM_PATH", qr_slice_str("{\n}"));
    qr_sender_claimed(s, NULL);
    qr_sender_claimed(s, &claim);
    qr_sender_labels(s, labels, 2);
    qr_sender_function(s, &function);
    qr_sender_progress(s, qr_slice_str("t"), 3, 10);
    assert_int_equal(qr_sender_result(s, qr_slice_str("t"), 200, qr_slice_str("text/plain"), 99,
                                      qr_slice_str("a\nb")),
                     0);
}

static void says_the_host(void **state)
{
    struct owner owner;
    open_owner(&owner, ALL);
    say_all(owner.sender);
    assert_int_equal(owner.said.len, 0); /* before the flush */
    expect_said(&owner, "VARIABLE HOST \"v\" = 42.5\n"
                        "JSON STREAM_PATH\n{\n}\nJSON_PAYLOAD_END\n"
                        "CLAIMED_ID 11220000-0000-0000-0000-000000000000 NULL\n"
                        "CLAIMED_ID 11220000-0000-0000-0000-000000000000 "
                        "33000000-0000-0000-0000-000000000000\n"
                        "LABEL \"_os\" = 1 \"Debian 12\"\nLABEL \"it's\" = 2 \"\"\n"
                        "OVERWRITE labels\n"
                        "FUNCTION GLOBAL \"f\" 60 'does \"it\"' \"top\" 0x8 -1 0\n"
                        "FUNCTION_PROGRESS 't' 3 10\n"
                        "FUNCTION_RESULT_BEGIN \"t\" 200 \"text/plain\" 99\na\nb\n"
                        "FUNCTION_RESULT_END\n");
    close_owner(&owner);
}

static void says_nothing_that_the_parent_does_not_know(void **state)
{
    struct owner owner;
    open_owner(&owner, QR_CAP_V1);
    say_all(owner.sender);
    expect_said(&owner, "VARIABLE HOST \"v\" = 42.5\n");
    close_owner(&owner);
}

/* A child's answer must not end early and become lines of ours. */
static void a_body_cannot_break_out(void **state)
{
    static const char *const bodies[] = {"FUNCTION_RESULT_END", "a\n  FUNCTION_RESULT_END now\nb",
                                         "\r\nFUNCTION_RESULT_END\nCHART x"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct owner owner;
        open_owner(&owner, ALL);
        assert_int_equal(qr_sender_result(owner.sender, qr_slice_str("t"), 200, qr_slice_str("x"),
                                          1, qr_slice_str(bodies[i])),
                         QR_E_MALFORMED);
        expect_said(&owner,
                    "FUNCTION_RESULT_BEGIN \"t\" 500 \"application/json\" 0\n{\"status\":500,"
                    "\"error_message\":\"The answer of the function cannot be forwarded\"}\n"
                    "FUNCTION_RESULT_END\n");
        qr_sender_json(owner.sender, "STREAM_PATH", qr_slice_str("{}\nJSON_PAYLOAD_END\nx"));
        expect_said(&owner, "");
        assert_int_equal(qr_sender_result(owner.sender, qr_slice_str("t"), 200, qr_slice_str("x"),
                                          1, qr_slice_str("not FUNCTION_RESULT_END")),
                         0);
        close_owner(&owner);
    }
}

static void a_long_body_goes_in_pieces(void **state)
{
    struct owner owner;
    open_owner(&owner, ALL | QR_CAP_LZ4);
    size_t len = 10u * 1024 * 1024;
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, 'x', len);
    assert_int_equal(qr_sender_result(owner.sender, qr_slice_str("t"), 200, qr_slice_str("x"), 1,
                                      qr_slice_of(body, len)),
                     0);
    qr_sender_flush(owner.sender);
    struct qr_sender_stats stats;
    qr_sender_get_stats(owner.sender, &stats);
    assert_true(stats.bytes_text > len);
    assert_true(stats.bytes_wire < len / 50);
    assert_int_equal(stats.bytes_wire, owner.said.len);
    free(body);
    close_owner(&owner);
}

static void hears_the_parent(void **state)
{
    static const char text[] =
        "\nWHAT_IS_THIS 1 2\nREPLAY_CHART \"un.known\" \"true\" 1 2\n"
        "FUNCTION t1 10 \"qfunc arg1\"\n"
        "FUNCTION_PAYLOAD t2 0 \"config add\" \"0x13\" \"user=x\" \"application/json\"\n"
        "{\n\nFUNCTION t3 1 no\n}\nFUNCTION_PAYLOAD_END\n"
        "FUNCTION_PROGRESS t1\nFUNCTION_CANCEL t1\n"
        "NODE_ID '11111111-2222-3333-4444-555555555555' '22222222-2222-3333-4444-555555555555' "
        "'https://x'\n"
        "JSON STREAM_PATH\n{\"version\":1}\nJSON_PAYLOAD_END\r\n"
        "JSON OTHER\nJSON_PAYLOAD_END\nFUNCTION t4 1 last\n";
    static const char events[] =
        "call t1 10 qfunc arg1 [] []\n"
        "call t2 10 config add [0x13] [user=x] application/json: {\n\nFUNCTION t3 1 no\n}\n"
        "progress t1\ncancel t1\n"
        "node 11111111-2222-3333-4444-555555555555 22222222-2222-3333-4444-555555555555 "
        "https://x\n"
        "json STREAM_PATH: {\"version\":1}\njson OTHER: \ncall t4 1 last [] []\n";
    for (size_t piece = 1; piece < sizeof text; piece += 1 + piece / 3) {
        struct owner owner;
        open_owner(&owner, ALL | QR_CAP_REPLICATION);
        for (size_t i = 0; i < sizeof text - 1; i += piece) {
            size_t n = sizeof text - 1 - i < piece ? sizeof text - 1 - i : piece;
            assert_int_equal(qr_sender_feed(owner.sender, qr_slice_of(text + i, n)), 0);
        }
        expect(&owner.heard, events);
        struct qr_sender_stats stats;
        qr_sender_get_stats(owner.sender, &stats);
        assert_int_equal(stats.lines_unknown, 1);
        close_owner(&owner);
    }
}

static void a_parent_cannot_make_us_hold_all_it_says(void **state)
{
    char line[1024];
    memset(line, 'x', sizeof line);
    struct owner owner;
    int err = 0;
    size_t n = 0;
    open_owner(&owner, ALL);
    while ((err = qr_sender_feed(owner.sender, qr_slice_of(line, sizeof line))) == 0)
        assert_true(n++ < 2 * QR_LINE_BYTES_MAX / sizeof line);
    assert_int_equal(err, QR_E_LIMIT);
    assert_int_equal(qr_sender_feed(owner.sender, qr_slice_str("\n")), QR_E_LIMIT);
    close_owner(&owner);

    open_owner(&owner, ALL);
    line[sizeof line - 1] = '\n';
    assert_int_equal(qr_sender_feed(owner.sender, qr_slice_str("JSON STREAM_PATH\n")), 0);
    for (n = 0; (err = qr_sender_feed(owner.sender, qr_slice_of(line, sizeof line))) == 0; n++)
        assert_true(n < 2048);
    assert_int_equal(err, QR_E_LIMIT);
    close_owner(&owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_the_host),
        cmocka_unit_test(says_nothing_that_the_parent_does_not_know),
        cmocka_unit_test(a_body_cannot_break_out),
        cmocka_unit_test(a_long_body_goes_in_pieces),
        cmocka_unit_test(hears_the_parent),
        cmocka_unit_test(a_parent_cannot_make_us_hold_all_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
