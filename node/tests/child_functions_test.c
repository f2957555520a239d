/* A session with a real stream and no socket: the test is the child, whose text it feeds, and
 * node/functions, which it defines. */
#include "node/child_functions.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/limits.h"
#include "node/functions.h"
#include "proto/caps.h"
#include "testing/cmocka.h"

#define T1 "3f1c6a52000040008000000000000001"
#define T2 "3f1c6a52000040008000000000000002"

static struct {
    struct qr_buf log; /* What node/functions was told, a line each. */
    struct qr_buf body;
    size_t reserved, reserve_max;
    unsigned n_complaints;
    struct qr_buf to_child;
} told;

/* ---- node/functions, node/ingest and node/child, as far as they are needed ---- */

void qr_functions_offer(struct qr_functions *functions, struct qr_feed *feed, struct qr_buf *list,
                        bool whole)
{
    struct qr_function f;
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(list));
    unsigned n = 0;
    qr_buf_printf(&told.log, "offer%s", whole ? "" : " some");
    for (; qr_function_list_next(&in, &f); n++)
        if (n < 3)
            qr_buf_printf(&told.log, " %.*s:%.*s:%u%s%s%.*s", (int)f.name.len, f.name.base,
                          (int)f.help.len, f.help.base, f.timeout_s, f.global ? "G" : "",
                          f.chart.len > 0 ? "@" : "", (int)f.chart.len, f.chart.base);
    qr_buf_printf(&told.log, " (%u)\n", n);
    qr_buf_release(list);
}

void qr_functions_gone(struct qr_functions *functions, struct qr_feed *feed)
{
    qr_buf_add_str(&told.log, "gone\n");
}

void qr_functions_answer(struct qr_functions *functions, struct qr_feed *feed,
                         const struct qr_function_result *result, struct qr_buf *body)
{
    qr_buf_printf(&told.log, "answer ..%u %d %.*s %lld\n", result->transaction.bytes[15],
                  result->status, (int)result->content_type.len, result->content_type.base,
                  (long long)result->expires_s);
    qr_buf_release(&told.body);
    told.body = *body;
    told.reserved -= body->len; /* It goes with the answer. */
    *body = (struct qr_buf){0};
}

void qr_functions_refuse(struct qr_functions *functions, struct qr_feed *feed,
                         const struct qr_guid *transaction, int status, const char *sentence)
{
    qr_buf_printf(&told.log, "refuse ..%u %d\n", transaction->bytes[15], status);
}

void qr_functions_progress(struct qr_functions *functions, struct qr_feed *feed,
                           const struct qr_function_progress *progress)
{
    qr_buf_printf(&told.log, "progress ..%u %llu/%llu\n", progress->transaction.bytes[15],
                  (unsigned long long)progress->done, (unsigned long long)progress->all);
}

bool qr_functions_reserve(struct qr_functions *functions, size_t bytes)
{
    if (told.reserved + bytes > told.reserve_max)
        return false;
    told.reserved += bytes;
    return true;
}

void qr_functions_unreserve(struct qr_functions *functions, size_t bytes)
{
    assert_true(told.reserved >= bytes);
    told.reserved -= bytes;
}

const struct qr_ingest_config *qr_ingest_config(const struct qr_ingest *ingest)
{
    static struct qr_ingest_config config;
    config.functions = (struct qr_functions *)&told; /* Not looked into. */
    return &config;
}

void qr_ingest_complain(struct qr_ingest *ingest, const char *format, ...)
{
    told.n_complaints++;
}

void qr_child_flush(struct session *s)
{
    qr_buf_add(&told.to_child, s->to_child.base, s->to_child.len);
    qr_buf_clear(&s->to_child);
}

/* ---- the session ---- */

static struct session session;

static void on_define(void *data, struct qr_stream_chart *chart)
{
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
}

static void open_session(uint32_t caps)
{
    static struct qr_conn conn; /* Not looked into: it is there. */
    const struct qr_stream_config config = {.update_every = 1, .clock = &qr_clock_system};
    const struct qr_stream_handler handler = {.data = &session,
                                              .define = on_define,
                                              .row = on_row,
                                              .function = qr_child_on_function,
                                              .progress = qr_child_on_progress,
                                              .payload_begin = qr_child_on_payload_begin,
                                              .payload = qr_child_on_payload,
                                              .payload_end = qr_child_on_payload_end};
    memset(&session, 0, sizeof session);
    memset(&told, 0, sizeof told);
    told.reserve_max = QR_FUNCTION_RESULTS_BYTES_MAX;
    session.conn = &conn;
    session.caps = caps;
    session.feed.session = &session;
    assert_int_equal(qr_stream_new(&session.stream, &config, &handler), 0);
}

static void say(const char *text)
{
    assert_int_equal(qr_stream_feed(session.stream, qr_slice_str(text)), 0);
}

static void expect(const char *log)
{
    qr_buf_add_u8(&told.log, 0);
    assert_string_equal(told.log.base, log);
    qr_buf_clear(&told.log);
}

static void expect_to_child(const char *text)
{
    qr_buf_add_u8(&told.to_child, 0);
    assert_string_equal(told.to_child.base, text);
    qr_buf_clear(&told.to_child);
}

static void order_with(enum qr_function_order_kind kind, const char *transaction,
                       const char *payload)
{
    struct qr_function_order order = {.feed = &session.feed,
                                      .kind = kind,
                                      .call = {.timeout_s = 10,
                                               .function = qr_slice_str("top a"),
                                               .access = 0x7ff,
                                               .source = qr_slice_str("ip=::1"),
                                               .has_payload = payload != NULL}};
    if (payload != NULL)
        order.call.payload = qr_slice_str(payload);
    assert_int_equal(qr_transaction_parse(&order.call.transaction, qr_slice_str(transaction)), 0);
    qr_child_on_order(&session.feed, &order);
}

static void order(enum qr_function_order_kind kind, const char *transaction)
{
    order_with(kind, transaction, NULL);
}

static void close_session(const char *log)
{
    session.conn = NULL;
    qr_child_end_functions(&session);
    expect(log);
    assert_int_equal(told.reserved, 0);
    qr_child_free_functions(&session);
    qr_stream_free(session.stream);
    qr_buf_release(&session.to_child);
    qr_buf_release(&told.log);
    qr_buf_release(&told.body);
    qr_buf_release(&told.to_child);
}

/* Once a tick, and only when something is new. */
static void tells_what_is_offered(void **state)
{
    (void)state;
    open_session(QR_CAP_FUNCTIONS);
    qr_child_tell_functions(&session);
    expect("offer some (0)\n"); /* the session is there */
    qr_child_tell_functions(&session);
    expect("");
    say("FUNCTION \"top\" 5 \"what runs\"\nFUNCTION GLOBAL \"logs\" 60 \"lines\"\n");
    expect("");
    qr_child_tell_functions(&session);
    expect("offer some top:what runs:5 logs:lines:60G (2)\n");
    say("FUNCTION \"top\" 5 \"what runs\"\n"); /* again, with its chart */
    qr_child_tell_functions(&session);
    expect("");
    say("FUNCTION \"top\" 9 \"all\"\n");
    qr_child_tell_functions(&session);
    expect("offer some top:all:9 logs:lines:60G (2)\n");
    close_session("gone\n");

    open_session(QR_CAP_FUNCTIONS | QR_CAP_PROGRESS);
    qr_child_tell_functions(&session);
    expect("offer (0)\n");
    close_session("gone\n");
    open_session(QR_CAP_FUNCTIONS | QR_CAP_PROGRESS);
    session.handshake.hops = 2; /* through a proxy, which cannot know of all */
    say("CHART a.b \"\" t u f c line 1 1\nFUNCTION \"top\" 5 \"what runs\"\n"
        "FUNCTION GLOBAL \"logs\" 60 \"lines\"\n");
    qr_child_tell_functions(&session);
    expect("offer some top:what runs:5@a.b logs:lines:60G (2)\n");
    say("CHART a.c \"\" t u f c line 1 1\nFUNCTION \"top\" 5 \"what runs\"\n");
    qr_child_tell_functions(&session);
    expect("offer some top:what runs:5@a.c logs:lines:60G (2)\n");
    close_session("gone\n");
    open_session(QR_CAP_FUNCTIONS); /* it left before it was told of */
    say("FUNCTION \"top\" 5 \"what runs\"\n");
    close_session("");
}

static void refuses_too_many_by_name(void **state)
{
    (void)state;
    open_session(QR_CAP_FUNCTIONS);
    for (unsigned i = 0; i < 10000; i++) {
        char line[64];
        snprintf(line, sizeof line, "FUNCTION f%u 5 h\n", i);
        say(line);
    }
    assert_int_equal(told.n_complaints, 1);
    qr_child_tell_functions(&session);
    expect("offer some f0:h:5 f1:h:5 f2:h:5 (1000)\n");
    say("FUNCTION f999 6 known\n"); /* one of those that it has */
    qr_child_tell_functions(&session);
    expect("offer some f0:h:5 f1:h:5 f2:h:5 (1000)\n");
    close_session("gone\n");
}

static void calls_and_collects_the_answer(void **state)
{
    (void)state;
    open_session(QR_CAP_FUNCTIONS | QR_CAP_PROGRESS | QR_CAP_SLOTS);
    qr_child_tell_functions(&session);
    expect("offer (0)\n");
    order(QR_FUNCTION_ORDER_CALL, T1);
    order_with(QR_FUNCTION_ORDER_CALL, T2, "{}");
    order(QR_FUNCTION_ORDER_PROGRESS, T1);
    expect_to_child("FUNCTION " T1 " 10 \"top a\" \"0x7ff\" \"ip=::1\"\n"
                    "FUNCTION_PAYLOAD " T2 " 10 \"top a\" \"0x7ff\" \"ip=::1\" \"\"\n"
                    "{}\nFUNCTION_PAYLOAD_END\n"
                    "FUNCTION_PROGRESS " T1 "\n");
    say("FUNCTION_PROGRESS '" T1 "' 1 2\nFUNCTION_PROGRESS 'x' 1 2\n"
        "FUNCTION_PROGRESS '3f1c6a52000040008000000000000009' 1 2\n");
    expect("progress ..1 1/2\n");
    say("FUNCTION_RESULT_BEGIN \"x\" 200 \"text/html\" 5\nnobody's\nFUNCTION_RESULT_END\n");
    say("FUNCTION_RESULT_BEGIN \"" T2 "\" 200 \"text/html\" 5\nBEGIN a\n\n");
    expect("");
    assert_true(told.reserved > 0);
    say("FUNCTION_RESULT_END\n");
    expect("answer ..2 200 text/html 5\n");
    assert_slice(qr_buf_slice(&told.body), "BEGIN a\n");
    say("FUNCTION_RESULT_BEGIN \"" T2 "\" 200 \"text/html\" 5\ntwice\nFUNCTION_RESULT_END\n");
    expect("");
    say("FUNCTION_RESULT_BEGIN \"" T1 "\" 404 \"text/html\" 5\nFUNCTION_RESULT_END\n");
    expect("answer ..1 404 text/html 5\n");
    assert_int_equal(told.body.len, 0);
    close_session("gone\n");
}

static void a_cancel_takes_the_call_back(void **state)
{
    (void)state;
    open_session(QR_CAP_FUNCTIONS | QR_CAP_SLOTS);
    qr_child_tell_functions(&session);
    expect("offer some (0)\n");
    order(QR_FUNCTION_ORDER_CALL, T1);
    say("FUNCTION_RESULT_BEGIN \"" T1 "\" 200 \"text/html\" 5\nhalf\n");
    order(QR_FUNCTION_ORDER_CANCEL, T1);
    order(QR_FUNCTION_ORDER_CANCEL, T1); /* it has ended */
    expect_to_child("FUNCTION " T1 " 10 \"top a\"\nFUNCTION_CANCEL " T1 "\n");
    say("and half\nFUNCTION_RESULT_END\n");
    expect("");
    assert_int_equal(told.reserved, 0);
    close_session("gone\n");
}

static void refuses_what_the_child_cannot_do(void **state)
{
    (void)state;
    open_session(QR_CAP_FUNCTIONS);
    order(QR_FUNCTION_ORDER_CALL, T1); /* not told of yet: nobody can have asked */
    expect_to_child("");
    qr_child_tell_functions(&session);
    expect("offer some (0)\n");
    order_with(QR_FUNCTION_ORDER_CALL, T1, "{}");
    expect("refuse ..1 400\n");
    for (unsigned i = 0; i < QR_FUNCTION_CALLS_PER_HOST_MAX; i++)
        order(QR_FUNCTION_ORDER_CALL, T2);
    expect("");
    order(QR_FUNCTION_ORDER_CALL, T1);
    expect("refuse ..1 503\n");
    close_session("gone\n");
}

static void say_big(const char *transaction, size_t bytes)
{
    char line[100], *body = malloc(bytes);
    assert_non_null(body);
    memset(body, 'x', bytes);
    snprintf(line, sizeof line, "FUNCTION_RESULT_BEGIN %s 200 text/x 5\n", transaction);
    say(line);
    assert_int_equal(qr_stream_feed(session.stream, qr_slice_of(body, bytes)), 0);
    say("\nFUNCTION_RESULT_END\n");
    free(body);
}

static void bounds_the_body(void **state)
{
    (void)state;
    open_session(QR_CAP_FUNCTIONS);
    qr_child_tell_functions(&session);
    expect("offer some (0)\n");
    order(QR_FUNCTION_ORDER_CALL, T1);
    say_big(T1, QR_FUNCTION_RESULT_BYTES_MAX);
    expect("answer ..1 200 text/x 5\n");
    assert_int_equal(told.body.len, QR_FUNCTION_RESULT_BYTES_MAX);
    order(QR_FUNCTION_ORDER_CALL, T2);
    say_big(T2, QR_FUNCTION_RESULT_BYTES_MAX + 1);
    expect("refuse ..2 500\n");
    assert_int_equal(told.reserved, 0);
    told.reserve_max = 1000; /* the member has too much in work */
    order(QR_FUNCTION_ORDER_CALL, T2);
    say_big(T2, 100000);
    expect("refuse ..2 503\n");
    assert_int_equal(told.reserved, 0);
    close_session("gone\n");
}

/* In the middle of its answer. */
static void a_child_that_leaves_leaves_nothing(void **state)
{
    (void)state;
    open_session(QR_CAP_FUNCTIONS);
    qr_child_tell_functions(&session);
    expect("offer some (0)\n");
    order(QR_FUNCTION_ORDER_CALL, T1);
    say("FUNCTION_RESULT_BEGIN \"" T1 "\" 200 \"text/html\" 5\nhalf\nand half");
    assert_true(told.reserved > 0);
    close_session("gone\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_is_offered),
        cmocka_unit_test(refuses_too_many_by_name),
        cmocka_unit_test(calls_and_collects_the_answer),
        cmocka_unit_test(a_cancel_takes_the_call_back),
        cmocka_unit_test(refuses_what_the_child_cannot_do),
        cmocka_unit_test(bounds_the_body),
        cmocka_unit_test(a_child_that_leaves_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
