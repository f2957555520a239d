/* Two members in one process, on the link in memory; children and callers are the test. */
#include "node/functions.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"
#include "testing/fake_link.h"

#define OWNER 1
#define OTHER 2

/* A session, as node/functions sees it: what it was told last. */
struct session {
    struct qr_feed feed;
    unsigned n_calls, n_cancels, n_progress;
    struct qr_guid transaction;
    uint32_t timeout_s;
    char function[64];
    char payload[64];
};

struct caller {
    struct qr_functions_request request;
    unsigned n_done, n_progress, progress_awaited;
    uint64_t done, all;
};

static struct {
    struct qr_clock clock; /* First: the false clock casts it back. */
    uint64_t ms;
    uv_loop_t loop;
    struct qr_fake_net net;
    struct qr_mailbox mailbox;
    struct qr_link *links[3];
    struct qr_functions *members[3];
    struct session child;
    uint32_t owner; /* As the log says. */
} world;

static uint64_t mono_ms(const struct qr_clock *clock)
{
    (void)clock;
    return world.ms;
}

static bool find(void *data, struct qr_slice host, struct qr_guid *guid, uint32_t *owner)
{
    (void)data;
    if (!qr_slice_is(host, "web-1"))
        return false;
    *guid = world.child.feed.guid;
    *owner = world.owner;
    return true;
}

static void on_order(struct qr_feed *feed, const struct qr_function_order *order)
{
    struct session *s = feed->session;
    if (order->kind == QR_FUNCTION_ORDER_CANCEL) {
        s->n_cancels++;
        assert_true(qr_guid_equal(&s->transaction, &order->call.transaction));
        return;
    }
    if (order->kind == QR_FUNCTION_ORDER_PROGRESS) {
        s->n_progress++;
        return;
    }
    s->n_calls++;
    s->transaction = order->call.transaction;
    s->timeout_s = order->call.timeout_s;
    snprintf(s->function, sizeof s->function, "%.*s", (int)order->call.function.len,
             order->call.function.base);
    snprintf(s->payload, sizeof s->payload, "%.*s", (int)order->call.payload.len,
             order->call.payload.base);
}

static const struct qr_feed_handler handler = {.order = on_order};

static void turn_until(bool (*condition)(void *data), void *data)
{
    for (int i = 0; i < 5000 && !condition(data); i++)
        if (uv_run(&world.loop, UV_RUN_NOWAIT) == 0 || !condition(data))
            uv_sleep(1);
    assert_true(condition(data));
}

static bool is_done(void *data)
{
    return ((struct caller *)data)->n_done == 1;
}

static bool has_progress(void *data)
{
    const struct caller *caller = data;
    return caller->n_progress == caller->progress_awaited;
}

static bool is_called(void *data)
{
    return world.child.n_calls == *(unsigned *)data;
}

static bool is_canceled(void *data)
{
    (void)data;
    return world.child.n_cancels == 1;
}

static void offer(bool whole)
{
    struct qr_buf list = {0};
    const struct qr_function f = {.name = qr_slice_str("top"),
                                  .help = qr_slice_str("what runs"),
                                  .tags = qr_slice_str("top"),
                                  .timeout_s = 7};
    qr_function_list_add(&list, &f);
    qr_functions_offer(world.members[OWNER], &world.child.feed, &list, whole);
}

static int start(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.clock.mono_ms = mono_ms;
    world.ms = 1000;
    world.owner = OWNER;
    uv_loop_init(&world.loop);
    qr_fake_net_init(&world.net, &world.loop, 1);
    qr_mailbox_init(&world.mailbox, &world.loop);
    for (uint32_t i = OWNER; i <= OTHER; i++) {
        world.links[i] = qr_fake_link_new(&world.net, i);
        const struct qr_functions_config config = {.mailbox = &world.mailbox,
                                                   .clock = &world.clock,
                                                   .link = world.links[i],
                                                   .group = 1,
                                                   .member = i,
                                                   .seed = 1000 * i,
                                                   .find = find};
        assert_int_equal(qr_functions_new(&world.members[i], &config), 0);
    }
    qr_link_set_member(world.links[OWNER], &(struct qr_link_member){.id = OTHER});
    qr_link_set_member(world.links[OTHER], &(struct qr_link_member){.id = OWNER});
    world.child.feed = (struct qr_feed){
        .guid = {{42}}, .home = &world.mailbox, .handler = &handler, .session = &world.child};
    offer(true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    qr_functions_gone(world.members[OWNER], &world.child.feed);
    qr_mailbox_close(&world.mailbox, NULL);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    for (uint32_t i = OWNER; i <= OTHER; i++) {
        struct qr_functions_stats stats;
        qr_functions_get_stats(world.members[i], &stats);
        assert_int_equal(stats.n_calls, 0);
        assert_true(qr_functions_reserve(world.members[i], QR_FUNCTION_RESULTS_BYTES_MAX));
        qr_functions_free(world.members[i]);
        qr_link_close(world.links[i], NULL, NULL);
    }
    qr_fake_net_close(&world.net);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&world.loop);
}

static void on_done(struct qr_functions_request *request)
{
    struct caller *caller = request->data;
    caller->n_done++;
}

static void on_progress(struct qr_functions_request *request, uint64_t done, uint64_t all)
{
    struct caller *caller = request->data;
    assert_int_equal(caller->n_done, 0);
    caller->n_progress++;
    caller->done = done;
    caller->all = all;
}

static void ask(struct caller *caller, uint32_t member, enum qr_functions_what what,
                const char *function)
{
    *caller = (struct caller){.request = {.what = what,
                                          .host = qr_slice_str("web-1"),
                                          .call = {.function = qr_slice_str(function)},
                                          .home = &world.mailbox,
                                          .progress = on_progress,
                                          .done = on_done,
                                          .data = caller}};
    qr_functions_transaction(world.members[member], &caller->request.call.transaction);
    qr_functions_ask(world.members[member], &caller->request);
}

static void call(struct caller *caller, uint32_t member, const char *function)
{
    unsigned n = world.child.n_calls + 1;
    ask(caller, member, QR_FUNCTIONS_CALL, function);
    turn_until(is_called, &n);
}

static void answer(int status, size_t bytes)
{
    const struct qr_function_result result = {world.child.transaction, status,
                                              qr_slice_str("text/x"), 77};
    struct qr_buf body = {0};
    for (size_t i = 0; i < bytes; i++)
        qr_buf_add_u8(&body, (uint8_t)(i * 7 + i / 256));
    assert_true(qr_functions_reserve(world.members[OWNER], bytes));
    qr_functions_answer(world.members[OWNER], &world.child.feed, &result, &body);
}

static void expect(struct caller *caller, int status, const char *part)
{
    turn_until(is_done, caller);
    assert_int_equal(caller->request.status, status);
    qr_buf_add_u8(&caller->request.body, 0);
    if (strstr(caller->request.body.base, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", caller->request.body.base, part);
    qr_buf_release(&caller->request.body);
}

/* Through the owner, and through another member: the same call, the same bytes. */
static void answers_through_any_member(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100000, 256 * 1024, 3 * 1024 * 1024 + 5};
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            struct caller caller;
            call(&caller, member, "top cpu 3");
            assert_string_equal(world.child.function, "top cpu 3");
            assert_int_equal(world.child.timeout_s, 7); /* its own */
            assert_true(qr_guid_equal(&world.child.transaction, &caller.request.call.transaction));
            answer(203, sizes[s]);
            turn_until(is_done, &caller);
            assert_int_equal(caller.request.status, 203);
            assert_int_equal(caller.request.expires_s, 77);
            assert_string_equal(caller.request.content_type, "text/x");
            assert_int_equal(caller.request.body.len, sizes[s]);
            for (size_t i = 0; i < sizes[s]; i++)
                if ((uint8_t)caller.request.body.base[i] != (uint8_t)(i * 7 + i / 256))
                    fail_msg("byte %zu of %zu differs", i, sizes[s]);
            qr_buf_release(&caller.request.body);
        }
    }
}

static void lists_through_any_member(void **state)
{
    (void)state;
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        struct caller caller;
        struct qr_function f;
        ask(&caller, member, QR_FUNCTIONS_LIST, "");
        turn_until(is_done, &caller);
        assert_int_equal(caller.request.status, 200);
        struct qr_cursor in = qr_cursor_of(qr_buf_slice(&caller.request.body));
        assert_true(qr_function_list_next(&in, &f));
        assert_slice(f.name, "top");
        assert_slice(f.help, "what runs");
        assert_false(qr_function_list_next(&in, &f));
        qr_buf_release(&caller.request.body);
    }
}

static void carries_a_payload(void **state)
{
    (void)state;
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        struct caller caller;
        unsigned n = world.child.n_calls + 1;
        ask(&caller, member, QR_FUNCTIONS_CALL, "top");
        caller.request.call.has_payload = true; /* It is looked at on the loop, later. */
        caller.request.call.payload = qr_slice_str("{\"a\":1}");
        turn_until(is_called, &n);
        assert_string_equal(world.child.payload, "{\"a\":1}");
        answer(200, 1);
        turn_until(is_done, &caller);
        qr_buf_release(&caller.request.body);
    }
}

static void refuses_with_a_sentence(void **state)
{
    (void)state;
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        struct caller caller;
        ask(&caller, member, QR_FUNCTIONS_CALL, "bottom");
        expect(&caller, 404, "no such function");
        ask(&caller, member, QR_FUNCTIONS_CALL, "top \"x\"");
        expect(&caller, 400, "double quote");
        ask(&caller, member, QR_FUNCTIONS_CALL, "");
        expect(&caller, 400, "missing");
        ask(&caller, member, QR_FUNCTIONS_CALL, "top");
        caller.request.host = qr_slice_str("web-2");
        expect(&caller, 404, "no such host");
    }
    struct caller caller;
    world.owner = 0;
    ask(&caller, OTHER, QR_FUNCTIONS_CALL, "top");
    expect(&caller, 503, "does not stream to any member");
    world.owner = OTHER;
    ask(&caller, OTHER, QR_FUNCTIONS_LIST, "");
    expect(&caller, 503, "not connected");
    assert_int_equal(world.child.n_calls, 0);
}

/* Children that do not tell all: they are asked. */
static void asks_an_old_child_for_what_it_does_not_tell(void **state)
{
    (void)state;
    struct caller caller;
    offer(false);
    call(&caller, OTHER, "processes");
    assert_string_equal(world.child.function, "processes");
    assert_int_equal(world.child.timeout_s, QR_FUNCTION_TIMEOUT_S);
    answer(404, 3);
    turn_until(is_done, &caller);
    assert_int_equal(caller.request.status, 404);
    qr_buf_release(&caller.request.body);
}

static void passes(uint64_t ms)
{
    for (uint64_t end = world.ms + ms; world.ms < end; world.ms += 100) {
        uv_run(&world.loop, UV_RUN_NOWAIT);
        qr_functions_tick(world.members[OWNER]);
        qr_functions_tick(world.members[OTHER]);
    }
}

static void ends_in_time(void **state)
{
    (void)state;
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        struct caller caller;
        world.child.n_cancels = 0;
        call(&caller, member, "top");
        passes(6900);
        assert_int_equal(caller.n_done, 0);
        passes(300);
        expect(&caller, 504, "did not answer in time");
        turn_until(is_canceled, NULL);
        answer(200, 5); /* too late: nobody's */
    }
}

static void progress_prolongs_a_call(void **state)
{
    (void)state;
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        struct caller caller, watcher;
        call(&caller, member, "top");
        for (unsigned i = 1; i <= 4; i++) {
            const struct qr_function_progress progress = {world.child.transaction, i, 4};
            passes(5000);
            qr_functions_progress(world.members[OWNER], &world.child.feed, &progress);
            caller.progress_awaited = i;
            turn_until(has_progress, &caller);
            assert_int_equal(caller.done, i);
            assert_int_equal(caller.all, 4);
        }
        assert_true(world.child.n_progress >= 10); /* it was asked */
        ask(&watcher, member, QR_FUNCTIONS_PROGRESS, "");
        watcher.request.call.transaction = caller.request.call.transaction;
        turn_until(is_done, &watcher);
        assert_int_equal(watcher.request.status, 200);
        assert_int_equal(watcher.request.progress_made.done, 4);
        assert_int_equal(caller.n_done, 0);
        answer(200, 5);
        turn_until(is_done, &caller);
        assert_int_equal(caller.request.status, 200);
        qr_buf_release(&caller.request.body);
        ask(&watcher, member, QR_FUNCTIONS_PROGRESS, "");
        turn_until(is_done, &watcher);
        assert_int_equal(watcher.request.status, 404);
    }
}

static void progress_does_not_go_on_for_ever(void **state)
{
    (void)state;
    struct caller caller;
    call(&caller, OTHER, "top");
    for (unsigned i = 0; i < QR_FUNCTION_TIMEOUT_S_MAX / 5 + 5 && caller.n_done == 0; i++) {
        const struct qr_function_progress progress = {world.child.transaction, i, 0};
        qr_functions_progress(world.members[OWNER], &world.child.feed, &progress);
        passes(5000);
    }
    expect(&caller, 504, "in time");
}

static void a_cancel_reaches_the_child(void **state)
{
    (void)state;
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        struct caller caller;
        world.child.n_cancels = 0;
        call(&caller, member, "top");
        qr_functions_cancel(world.members[member], &caller.request.call.transaction);
        expect(&caller, 499, "canceled");
        turn_until(is_canceled, NULL);
        qr_functions_cancel(world.members[member], &caller.request.call.transaction);
        answer(200, 5); /* nobody's any more */
    }
}

static void a_child_that_leaves_ends_its_calls(void **state)
{
    (void)state;
    for (uint32_t member = OWNER; member <= OTHER; member++) {
        struct caller caller;
        call(&caller, member, "top");
        qr_functions_gone(world.members[OWNER], &world.child.feed);
        expect(&caller, 503, "left before");
        ask(&caller, member, QR_FUNCTIONS_CALL, "top");
        expect(&caller, 503, "not connected");
        offer(true);
    }
}

/* Between the call and its answer, and in the middle of the answer. */
static void an_owner_that_goes_is_told(void **state)
{
    (void)state;
    struct caller caller;
    call(&caller, OTHER, "top");
    qr_fake_net_cut(&world.net, OWNER, OTHER, true);
    passes(200);
    expect(&caller, 503, "went away before it answered");
    assert_int_equal(world.child.n_cancels, 1); /* by the owner, whose asker is gone */
    ask(&caller, OTHER, QR_FUNCTIONS_CALL, "top");
    expect(&caller, 503, "cannot be reached");
    qr_fake_net_cut(&world.net, OWNER, OTHER, false);

    call(&caller, OTHER, "top");
    answer(200, 3 * 1024 * 1024);
    for (int i = 0; i < 3; i++)
        uv_run(&world.loop, UV_RUN_ONCE);
    assert_int_equal(caller.n_done, 0);
    qr_fake_net_cut(&world.net, OWNER, OTHER, true);
    passes(200);
    expect(&caller, 503, "went away before it answered");
    qr_fake_net_cut(&world.net, OWNER, OTHER, false);
}

static void bounds_the_calls_of_one_child(void **state)
{
    (void)state;
    static struct caller callers[QR_FUNCTION_CALLS_PER_HOST_MAX + 1];
    for (unsigned i = 0; i < QR_FUNCTION_CALLS_PER_HOST_MAX; i++)
        call(&callers[i], i % 2 != 0 ? OTHER : OWNER, "top");
    ask(&callers[QR_FUNCTION_CALLS_PER_HOST_MAX], OTHER, QR_FUNCTIONS_CALL, "top");
    expect(&callers[QR_FUNCTION_CALLS_PER_HOST_MAX], 503, "Too many");
    qr_functions_gone(world.members[OWNER], &world.child.feed);
    for (unsigned i = 0; i < QR_FUNCTION_CALLS_PER_HOST_MAX; i++)
        expect(&callers[i], 503, "left");
    offer(true);
    call(&callers[0], OWNER, "top"); /* there is room again */
    answer(200, 0);
    turn_until(is_done, &callers[0]);
}

static void bounds_the_bytes_of_all_answers(void **state)
{
    (void)state;
    struct caller caller;
    assert_true(qr_functions_reserve(world.members[OTHER], QR_FUNCTION_RESULTS_BYTES_MAX - 10));
    assert_false(qr_functions_reserve(world.members[OTHER], 11));
    call(&caller, OTHER, "top");
    answer(200, 1000);
    expect(&caller, 503, "Too many answers wait");
    qr_functions_unreserve(world.members[OTHER], QR_FUNCTION_RESULTS_BYTES_MAX - 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_through_any_member),
        TEST(lists_through_any_member),
        TEST(carries_a_payload),
        TEST(refuses_with_a_sentence),
        TEST(asks_an_old_child_for_what_it_does_not_tell),
        TEST(ends_in_time),
        TEST(progress_prolongs_a_call),
        TEST(progress_does_not_go_on_for_ever),
        TEST(a_cancel_reaches_the_child),
        TEST(a_child_that_leaves_ends_its_calls),
        TEST(an_owner_that_goes_is_told),
        TEST(bounds_the_calls_of_one_child),
        TEST(bounds_the_bytes_of_all_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
