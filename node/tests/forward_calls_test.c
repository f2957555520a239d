/* The real sender and node/functions; the far side's lines and the host's session are the test. */
#include "node/forward_calls.h"

#include <stdlib.h>

#include "base/limits.h"
#include "proto/caps.h"
#include "proto/request.h"
#include "testing/cmocka.h"
#include "testing/fake_link.h"

#define MEMBER 1

static const struct qr_guid host = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static struct {
    struct qr_clock clock; /* First: the false clock casts it back. */
    uint64_t ms;
    uv_loop_t loop;
    struct qr_fake_net net;
    struct qr_mailbox mailbox;
    struct qr_link *link;
    struct qr_functions *functions;
    struct qr_sender *sender;
    struct qr_forward_calls *calls;
    struct qr_feed feed;
    uint32_t owner;     /* As the log says. */
    struct qr_buf told; /* To the session, a line each. */
    struct qr_buf said; /* To the far side. */
    struct qr_guid last;
    unsigned n_wakes;
    bool here;
} world;

static uint64_t mono_ms(const struct qr_clock *clock)
{
    (void)clock;
    return world.ms;
}

static bool find(void *data, struct qr_slice name, struct qr_guid *guid, uint32_t *owner)
{
    char text[QR_GUID_TEXT_LEN + 1];
    (void)data;
    qr_guid_format(&host, text);
    *guid = host;
    *owner = world.owner;
    return qr_slice_is(name, text);
}

static void on_order(struct qr_feed *feed, const struct qr_function_order *order)
{
    static const char *const names[] = {"call", "cancel", "progress"};
    const struct qr_function_call *call = &order->call;
    assert_ptr_equal(feed, &world.feed);
    qr_buf_printf(&world.told, "%s", names[order->kind]);
    if (order->kind == QR_FUNCTION_ORDER_CALL) {
        qr_buf_printf(&world.told, " %.*s %u 0x%x %.*s", (int)call->function.len,
                      call->function.base, call->timeout_s, call->access, (int)call->source.len,
                      call->source.base);
        if (call->has_payload)
            qr_buf_printf(&world.told, " %.*s[%.*s]", (int)call->content_type.len,
                          call->content_type.base, (int)call->payload.len, call->payload.base);
        world.last = call->transaction;
    }
    qr_buf_add_str(&world.told, "\n");
}

static const struct qr_feed_handler handler = {.order = on_order};

static void on_send(void *data, struct qr_slice bytes)
{
    (void)data;
    qr_buf_add(&world.said, bytes.base, bytes.len);
}

static void on_replay(void *data, struct qr_sender_chart *chart,
                      const struct qr_sender_replay *replay)
{
    fail();
}

static void on_call(void *data, const struct qr_sender_call *call)
{
    (void)data;
    qr_forward_calls_take(world.calls, world.sender, call);
}

static void on_cancel(void *data, struct qr_slice transaction)
{
    (void)data;
    qr_forward_calls_cancel(world.calls, transaction);
}

static void on_wake(void *data)
{
    (void)data;
    world.n_wakes++;
}

/* ---- what a test does ---- */

static void offer(const char *name)
{
    struct qr_buf list = {0};
    const struct qr_function f = {.name = qr_slice_str(name), .timeout_s = 7, .global = true};
    qr_function_list_add(&list, &f);
    qr_functions_offer(world.functions, &world.feed, &list, true);
    world.here = true;
}

static void leave(void)
{
    qr_functions_gone(world.functions, &world.feed);
    world.here = false;
}

/* Until nothing happens any more: messages need no time. */
static void settle(void)
{
    for (int i = 0; i < 20; i++)
        uv_run(&world.loop, UV_RUN_NOWAIT);
}

static void far_says(const char *lines)
{
    assert_int_equal(qr_sender_feed(world.sender, qr_slice_str(lines)), 0);
    settle();
}

static void expect_told(const char *text)
{
    qr_buf_add_u8(&world.told, 0);
    assert_string_equal(world.told.base, text);
    qr_buf_clear(&world.told);
}

/* One answer a call, as the forwarder asks for them. */
static void expect_said(const char *text)
{
    while (qr_forward_calls_due(world.calls))
        qr_forward_calls_say(world.calls, world.sender);
    qr_sender_flush(world.sender);
    qr_buf_add_u8(&world.said, 0);
    assert_string_equal(world.said.base, text);
    qr_buf_clear(&world.said);
}

static void answer(const char *text)
{
    struct qr_buf body = {0};
    const struct qr_function_result result = {.transaction = world.last,
                                              .status = 200,
                                              .content_type = qr_slice_str("text/plain"),
                                              .expires_s = 99};
    qr_buf_add_str(&body, text);
    assert_true(qr_functions_reserve(world.functions, body.len));
    qr_functions_answer(world.functions, &world.feed, &result, &body);
    settle();
}

static int start(void **state)
{
    const struct qr_sender_handler from_far = {
        .send = on_send, .replay = on_replay, .call = on_call, .cancel = on_cancel};
    const struct qr_sender_config sender = {QR_SENDER_CAPS & ~QR_CAPS_COMPRESSIONS,
                                            &qr_clock_system, host};
    (void)state;
    memset(&world, 0, sizeof world);
    world.clock.mono_ms = mono_ms;
    world.ms = 1000;
    world.owner = MEMBER;
    uv_loop_init(&world.loop);
    qr_fake_net_init(&world.net, &world.loop, 1);
    qr_mailbox_init(&world.mailbox, &world.loop);
    world.link = qr_fake_link_new(&world.net, MEMBER);
    const struct qr_functions_config config = {.mailbox = &world.mailbox,
                                               .clock = &world.clock,
                                               .link = world.link,
                                               .group = 1,
                                               .member = MEMBER,
                                               .find = find};
    const struct qr_forward_calls_config calls = {
        .home = &world.mailbox, .host = host, .wake = on_wake};
    assert_int_equal(qr_functions_new(&world.functions, &config), 0);
    struct qr_forward_calls_config with = calls;
    with.functions = world.functions;
    assert_int_equal(qr_forward_calls_new(&world.calls, &with), 0);
    assert_int_equal(qr_sender_new(&world.sender, &sender, &from_far), 0);
    world.feed = (struct qr_feed){.guid = host, .home = &world.mailbox, .handler = &handler};
    offer("top");
    settle();
    return 0;
}

static int stop(void **state)
{
    struct qr_functions_stats stats;
    (void)state;
    qr_forward_calls_free(world.calls);
    if (world.here)
        leave();
    qr_mailbox_close(&world.mailbox, NULL);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    qr_functions_get_stats(world.functions, &stats);
    assert_int_equal(stats.n_calls, 0);
    assert_true(qr_functions_reserve(world.functions, QR_FUNCTION_RESULTS_BYTES_MAX));
    qr_functions_free(world.functions);
    qr_sender_free(world.sender);
    qr_link_close(world.link, NULL, NULL);
    qr_fake_net_close(&world.net);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    qr_buf_release(&world.told);
    qr_buf_release(&world.said);
    return uv_loop_close(&world.loop);
}

static void a_call_goes_down_and_its_answer_up(void **state)
{
    (void)state;
    far_says("FUNCTION any-word 5 \"top a b\" \"0x13\" \"who asks\"\n");
    expect_told("call top a b 5 0x13 who asks\n");
    expect_said("");
    answer("line one\nline two");
    assert_int_equal(world.n_wakes, 1);
    expect_said("FUNCTION_RESULT_BEGIN \"any-word\" 200 \"text/plain\" 99\nline one\nline two\n"
                "FUNCTION_RESULT_END\n");
    assert_true(qr_forward_calls_idle(world.calls));
}

static void an_older_parent_says_less_and_a_payload_is_whole(void **state)
{
    (void)state;
    far_says("FUNCTION t1 0 \"top\"\n"
             "FUNCTION_PAYLOAD t2 9 \"top set\" \"0x0f\" \"x\" \"text/json\"\n{\n\"a\": 1\n}\n"
             "FUNCTION_PAYLOAD_END\nFUNCTION t3 9 \"top\" \"0x1234567890\" \"x\"\n");
    expect_told("call top 10 0xffff \ncall top set 9 0xf x text/json[{\n\"a\": 1\n}]\n"
                "call top 9 0x0 x\n"); /* what is no access allows nothing */
}

static void what_the_host_does_not_offer_is_refused(void **state)
{
    (void)state;
    far_says("FUNCTION t1 5 \"bottom\" \"0x13\" \"x\"\n");
    expect_told("");
    expect_said("FUNCTION_RESULT_BEGIN \"t1\" 404 \"application/json; charset=utf-8\" 0\n"
                "{\"status\":404,\"error_message\":\"This host offers no such function now.\"}\n"
                "FUNCTION_RESULT_END\n");
}

static void progress_goes_up_and_prolongs_the_call(void **state)
{
    (void)state;
    far_says("FUNCTION t1 5 \"top\" \"0x13\" \"x\"\n");
    expect_told("call top 5 0x13 x\n");
    for (unsigned i = 1; i <= 3; i++) {
        const struct qr_function_progress progress = {world.last, i, 3};
        char line[64];
        world.ms += 4000;
        qr_functions_progress(world.functions, &world.feed, &progress);
        settle();
        qr_functions_tick(world.functions);
        settle();
        snprintf(line, sizeof line, "FUNCTION_PROGRESS 't1' %u 3\n", i);
        expect_said(line);
    }
    answer("done");
    expect_said("FUNCTION_RESULT_BEGIN \"t1\" 200 \"text/plain\" 99\ndone\nFUNCTION_RESULT_END\n");
}

static void what_takes_too_long_is_stopped_and_said_so(void **state)
{
    (void)state;
    far_says("FUNCTION t1 5 \"top\" \"0x13\" \"x\"\n");
    world.ms += 5001;
    qr_functions_tick(world.functions);
    settle();
    expect_told("call top 5 0x13 x\ncancel\n");
    expect_said("FUNCTION_RESULT_BEGIN \"t1\" 504 \"application/json; charset=utf-8\" 0\n"
                "{\"status\":504,\"error_message\":\"The function did not answer in time.\"}\n"
                "FUNCTION_RESULT_END\n");
}

static void the_far_side_may_cancel(void **state)
{
    (void)state;
    far_says("FUNCTION t1 5 \"top\" \"0x13\" \"x\"\nFUNCTION_CANCEL other\nFUNCTION_CANCEL t1\n");
    expect_told("call top 5 0x13 x\ncancel\n");
    expect_said("FUNCTION_RESULT_BEGIN \"t1\" 499 \"application/json; charset=utf-8\" 0\n"
                "{\"status\":499,\"error_message\":\"The call was canceled.\"}\n"
                "FUNCTION_RESULT_END\n");
    far_says("FUNCTION_CANCEL t1\n");
    expect_told("");
}

static void a_lost_connection_cancels_what_it_asked(void **state)
{
    (void)state;
    far_says("FUNCTION t1 5 \"top\" \"0x13\" \"x\"\nFUNCTION t2 5 \"top 2\" \"0x13\" \"x\"\n");
    expect_told("call top 5 0x13 x\ncall top 2 5 0x13 x\n");
    answer("of the second, which nobody takes any more");
    qr_forward_calls_drop(world.calls);
    assert_true(qr_forward_calls_idle(world.calls));
    settle();
    expect_told("cancel\n");
    expect_said("");
    /* The next connection may use the same words. */
    far_says("FUNCTION t1 5 \"top 3\" \"0x13\" \"x\"\n");
    answer("third");
    expect_said("FUNCTION_RESULT_BEGIN \"t1\" 200 \"text/plain\" 99\nthird\nFUNCTION_RESULT_END\n");
}

static void a_host_that_leaves_answers_503(void **state)
{
    (void)state;
    far_says("FUNCTION t1 5 \"top\" \"0x13\" \"x\"\n");
    leave();
    settle();
    expect_said("FUNCTION_RESULT_BEGIN \"t1\" 503 \"application/json; charset=utf-8\" 0\n"
                "{\"status\":503,\"error_message\":\"The host has left before its function "
                "answered.\"}\nFUNCTION_RESULT_END\n");
}

static void so_many_are_at_work_and_no_more(void **state)
{
    char line[64];
    (void)state;
    for (unsigned i = 0; i <= QR_FUNCTION_CALLS_PER_HOST_MAX; i++) {
        snprintf(line, sizeof line, "FUNCTION t%u 5 \"top\" \"0x13\" \"x\"\n", i);
        far_says(line);
        far_says(line); /* it is at work already */
    }
    struct qr_functions_stats stats;
    qr_functions_get_stats(world.functions, &stats);
    assert_int_equal(stats.n_called, QR_FUNCTION_CALLS_PER_HOST_MAX);
    char said[256];
    snprintf(said, sizeof said,
             "FUNCTION_RESULT_BEGIN \"t%u\" 503 \"application/json\" 0\n"
             "{\"status\":503,\"error_message\":\"Too many functions of this host are at work.\"}\n"
             "FUNCTION_RESULT_END\n",
             QR_FUNCTION_CALLS_PER_HOST_MAX);
    qr_sender_flush(world.sender);
    qr_buf_add_u8(&world.said, 0);
    size_t len = strlen(said); /* twice: it was asked twice */
    assert_int_equal(strlen(world.said.base), 2 * len);
    assert_memory_equal(world.said.base, said, len);
    assert_memory_equal(world.said.base + len, said, len);
}

static void an_answer_that_would_end_itself_becomes_an_error(void **state)
{
    (void)state;
    far_says("FUNCTION t1 5 \"top\" \"0x13\" \"x\"\n");
    answer("FUNCTION_RESULT_END\nCHART evil.chart");
    while (qr_forward_calls_due(world.calls))
        qr_forward_calls_say(world.calls, world.sender);
    qr_sender_flush(world.sender);
    qr_buf_add_u8(&world.said, 0);
    assert_non_null(strstr(world.said.base, "FUNCTION_RESULT_BEGIN \"t1\" 500"));
    assert_null(strstr(world.said.base, "evil"));
}

/* ---- the list ---- */

static void expect_list(const char *name)
{
    struct qr_slice list;
    struct qr_function f;
    settle();
    assert_true(qr_forward_calls_list(world.calls, &list));
    struct qr_cursor in = qr_cursor_of(list);
    assert_true(qr_function_list_next(&in, &f));
    assert_true(qr_slice_is(f.name, name));
    assert_false(qr_forward_calls_list(world.calls, &list)); /* it is known now */
}

static void a_list_is_asked_for_when_it_is_another(void **state)
{
    struct qr_slice list;
    (void)state;
    qr_forward_calls_follow(world.calls, 0, world.ms);
    settle();
    assert_false(qr_forward_calls_list(world.calls, &list));
    assert_int_equal(world.feed.offer, 1);
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms);
    expect_list("top");
    assert_true(qr_forward_calls_offers(world.calls, "top"));
    assert_false(qr_forward_calls_offers(world.calls, "config"));
    assert_int_equal(world.n_wakes, 1);
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms + 5000);
    settle();
    assert_false(qr_forward_calls_list(world.calls, &list));
    offer("bottom");
    settle();
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms + 6000);
    expect_list("bottom");
    qr_forward_calls_forget(world.calls);
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms + 6001);
    expect_list("bottom");
}

static void a_list_that_cannot_be_had_is_asked_for_again(void **state)
{
    struct qr_slice list;
    (void)state;
    world.owner = 0; /* the log does not know yet */
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms);
    settle();
    assert_false(qr_forward_calls_list(world.calls, &list));
    world.owner = MEMBER;
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms + 500);
    settle();
    assert_false(qr_forward_calls_list(world.calls, &list)); /* not at once */
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms + 1000);
    expect_list("top");
}

static void an_answer_to_a_question_of_before_is_dropped(void **state)
{
    struct qr_slice list;
    (void)state;
    qr_forward_calls_follow(world.calls, world.feed.offer, world.ms);
    qr_forward_calls_forget(world.calls); /* another session, before it came */
    settle();
    assert_false(qr_forward_calls_list(world.calls, &list));
    assert_int_equal(world.n_wakes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_goes_down_and_its_answer_up),
        TEST(an_older_parent_says_less_and_a_payload_is_whole),
        TEST(what_the_host_does_not_offer_is_refused),
        TEST(progress_goes_up_and_prolongs_the_call),
        TEST(what_takes_too_long_is_stopped_and_said_so),
        TEST(the_far_side_may_cancel),
        TEST(a_lost_connection_cancels_what_it_asked),
        TEST(a_host_that_leaves_answers_503),
        TEST(so_many_are_at_work_and_no_more),
        TEST(an_answer_that_would_end_itself_becomes_an_error),
        TEST(a_list_is_asked_for_when_it_is_another),
        TEST(a_list_that_cannot_be_had_is_asked_for_again),
        TEST(an_answer_to_a_question_of_before_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
