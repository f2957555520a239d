#include "testing/child.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "proto/caps.h"
#include "proto/frame.h"
#include "testing/cmocka.h"

#define KEY      "11111111-2222-3333-4444-555555555555"
#define GRANT    "Hit me baby, push them over with the version=16376"
#define DENY     "You are not permitted to access this. Check the logs for more info."
#define CAPS_137 16376u
#define LIMIT_MS 60000

static const struct qr_model model = {3, 1, 4, 8, 1, true};

/* A parent on the test's loop: one reply to every request, then it asks for each chart. */
struct parent {
    uv_tcp_t listener, peer;
    const char *reply; /* NULL: closes at once. */
    char address[32];
    bool open, replied;
    unsigned n_requests;
    struct qr_decompressor *decompressor;
    struct qr_buf wire, text;
    unsigned n_definitions, n_live, n_points;
    char in[65536];
};

static uv_loop_t loop;
static struct parent parents[3];

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct parent *parent = handle->data;
    *buf = uv_buf_init(parent->in, sizeof parent->in);
}

static void say(struct parent *parent, const char *text)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
    assert_int_equal(uv_try_write((uv_stream_t *)&parent->peer, &buf, 1), buf.len);
}

static void hang_up(struct parent *parent)
{
    if (parent->open)
        uv_close((uv_handle_t *)&parent->peer, NULL);
    parent->open = false;
}

static void take_line(struct parent *parent, const char *line)
{
    char id[64], ask[128];
    long long first, last;
    static char chart[64];
    if (sscanf(line, "CHART \"%63[^\"]", id) == 1) {
        snprintf(chart, sizeof chart, "%s", id);
    } else if (sscanf(line, "CHART_DEFINITION_END %lld %lld", &first, &last) == 2) {
        parent->n_definitions++;
        snprintf(ask, sizeof ask, "REPLAY_CHART \"%s\" \"true\" %lld %lld\n", chart, last, last);
        say(parent, ask);
    } else if (strncmp(line, "END", 3) == 0) {
        parent->n_live++;
    } else if (strncmp(line, "RBEGIN ''", 9) == 0) {
        parent->n_points++;
    }
}

static void take_frames(struct parent *parent)
{
    struct qr_slice text;
    ssize_t n;
    while ((n = qr_frame_decode(parent->decompressor, qr_buf_slice(&parent->wire), &text)) > 0) {
        qr_buf_add(&parent->text, text.base, text.len);
        qr_buf_consume(&parent->wire, (size_t)n);
    }
    assert_int_equal(n, parent->wire.len == 0 ? n : QR_E_PARTIAL);
    const char *newline;
    while ((newline = memchr(parent->text.base, '\n', parent->text.len)) != NULL) {
        char line[2048];
        size_t len = (size_t)(newline - parent->text.base);
        snprintf(line, sizeof line, "%.*s", (int)len, parent->text.base);
        qr_buf_consume(&parent->text, len + 1);
        take_line(parent, line);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct parent *parent = stream->data;
    if (n < 0) {
        hang_up(parent);
        return;
    }
    qr_buf_add(&parent->wire, buf->base, (size_t)n);
    if (parent->replied) {
        take_frames(parent);
        return;
    }
    if (memmem(parent->wire.base, parent->wire.len, "\r\n\r\n", 4) == NULL)
        return;
    assert_memory_equal(parent->wire.base, "STREAM key=" KEY "&hostname=load-3-0&", 60);
    qr_buf_clear(&parent->wire);
    parent->n_requests++;
    parent->replied = true;
    if (parent->reply != NULL)
        say(parent, parent->reply);
    if (parent->reply == NULL || strcmp(parent->reply, GRANT) != 0)
        hang_up(parent);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct parent *parent = listener->data;
    assert_int_equal(status, 0);
    hang_up(parent);
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_tcp_init(&loop, &parent->peer);
    parent->peer.data = parent;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&parent->peer), 0);
    parent->open = true;
    parent->replied = false;
    qr_buf_clear(&parent->wire);
    qr_buf_clear(&parent->text);
    qr_decompressor_free(parent->decompressor);
    qr_decompressor_new(&parent->decompressor, QR_COMPRESSION_LZ4, NULL);
    uv_read_start((uv_stream_t *)&parent->peer, on_alloc, on_read);
}

static void listen_on(struct parent *parent, const char *reply)
{
    struct sockaddr_in address;
    int len = sizeof address;
    memset(parent, 0, sizeof *parent);
    parent->reply = reply;
    uv_tcp_init(&loop, &parent->listener);
    parent->listener.data = parent;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&parent->listener, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&parent->listener, 8, on_connection), 0);
    uv_tcp_getsockname(&parent->listener, (struct sockaddr *)&address, &len);
    snprintf(parent->address, sizeof parent->address, "127.0.0.1:%u", ntohs(address.sin_port));
}

static void stop_listening(struct parent *parent)
{
    if (!uv_is_closing((uv_handle_t *)&parent->listener))
        uv_close((uv_handle_t *)&parent->listener, NULL);
    hang_up(parent);
}

static void on_deadline(uv_timer_t *timer)
{
    fail_msg("the deadline passed");
}

/* Runs the loop until *condition(), 10 s at most. */
static void run_until(bool (*condition)(void))
{
    uv_timer_t deadline;
    uv_timer_init(&loop, &deadline);
    uv_timer_start(&deadline, on_deadline, LIMIT_MS, 0);
    while (!condition())
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static struct qr_child *child;

static void start_child(const char *first, const char *second, const char *third, bool full_speed)
{
    const char *texts[] = {first, second, third};
    struct qr_child_destination list[3];
    int64_t now_s = qr_clock_real_s(&qr_clock_system);
    for (int i = 0; i < 3; i++)
        assert_int_equal(qr_child_destination_parse(&list[i], texts[i]), 0);
    struct qr_child_config config = {.loop = &loop,
                                     .model = &model,
                                     .api_key = KEY,
                                     .destinations = list,
                                     .n_destinations = 3,
                                     .caps = CAPS_137,
                                     .full_speed = full_speed,
                                     .first_s = now_s - 100,
                                     .start_s = now_s - 80,
                                     .end_s = full_speed ? now_s - 30 : 0,
                                     .reconnect_delay_ms = 20,
                                     .timeout_ms = 1000,
                                     .postpone_scale = 0.002,
                                     .buffer_bytes = 1u << 20};
    assert_int_equal(qr_child_new(&child, &config), 0);
}

static bool third_is_live(void)
{
    return parents[2].n_live >= 3;
}

static bool third_is_left(void)
{
    return !parents[2].open;
}

static bool third_is_back(void)
{
    return parents[2].open && parents[2].n_requests >= 2 && qr_child_stats(child)->n_failovers > 0;
}

static bool second_was_asked_again(void)
{
    return parents[1].n_requests >= 3;
}

static void set_up_three(const char *first, const char *second, const char *third)
{
    uv_loop_init(&loop);
    listen_on(&parents[0], first);
    listen_on(&parents[1], second);
    listen_on(&parents[2], third);
}

static void tear_down_three(void)
{
    qr_child_end(child, NULL, NULL);
    for (int i = 0; i < 3; i++)
        stop_listening(&parents[i]);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < 3; i++) {
        qr_decompressor_free(parents[i].decompressor);
        qr_buf_release(&parents[i].wire);
        qr_buf_release(&parents[i].text);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void walks_to_the_one_that_takes_it(void **state)
{
    (void)state;
    set_up_three(NULL, DENY, GRANT);
    stop_listening(&parents[0]); /* Refuses TCP. */
    start_child(parents[0].address, parents[1].address, parents[2].address, false);
    run_until(third_is_live);
    const struct qr_child_stats *stats = qr_child_stats(child);
    assert_int_equal(stats->connects, 1);
    assert_int_equal(stats->n_refusals, 1);
    assert_string_equal(stats->refusals[0].text, DENY);
    assert_true(stats->connect_failures >= 1);
    assert_string_equal(qr_child_connected_to(child), parents[2].address);
    assert_true(parents[2].n_definitions >= 2);
    assert_true(parents[2].n_points >= 2);

    /* The parent hangs up: the child walks at once, is refused, and comes back with all charts. */
    hang_up(&parents[2]);
    parents[2].n_live = 0;
    run_until(third_is_back);
    run_until(third_is_live);
    assert_int_equal(stats->breaks, 1);
    const struct qr_child_failover *f = &stats->failovers[0];
    assert_string_equal(f->to, parents[2].address);
    assert_true(f->last_sent_ms <= f->broken_ms && f->broken_ms <= f->accepted_ms);
    assert_true(f->accepted_ms <= f->replay_ms && f->replay_ms <= f->live_ms);

    qr_child_break(child);
    run_until(third_is_left);
    tear_down_three();
}

static void comes_back_after_a_postponement(void **state)
{
    (void)state;
    set_up_three(NULL, DENY, NULL);
    stop_listening(&parents[0]);
    start_child(parents[0].address, parents[1].address, parents[2].address, false);
    run_until(second_was_asked_again);
    assert_int_equal(qr_child_stats(child)->connects, 0);
    assert_int_equal(qr_child_stats(child)->n_refusals, 2); /* Denied; closed without a reply. */
    assert_null(qr_child_connected_to(child));
    tear_down_three();
}

static bool is_done(void)
{
    return qr_child_done(child);
}

static bool is_not_done(void)
{
    return !qr_child_done(child);
}

static void sends_all_at_full_speed(void **state)
{
    (void)state;
    set_up_three(GRANT, NULL, NULL);
    start_child(parents[0].address, parents[1].address, parents[2].address, true);
    run_until(is_done);
    const struct qr_model_sender_stats *s = qr_child_sender_stats(child);
    assert_int_equal(s->n_live, model.n_charts);
    assert_true(s->rows_live > 100);
    assert_true(qr_child_last_s(child) < qr_clock_real_s(&qr_clock_system) - 20);

    /* What the parent had not stored yet when it went, the next one can ask for. */
    hang_up(&parents[0]);
    run_until(is_not_done);
    parents[0].n_definitions = 0;
    run_until(is_done);
    assert_int_equal(parents[0].n_definitions, model.n_charts);
    tear_down_three();
}

static void refuses_bad_addresses(void **state)
{
    (void)state;
    struct qr_child_destination d;
    assert_int_equal(qr_child_destination_parse(&d, "127.0.0.1"), QR_E_CONFIG);
    assert_int_equal(qr_child_destination_parse(&d, "name:80"), QR_E_CONFIG);
    assert_int_equal(qr_child_destination_parse(&d, "127.0.0.1:70000"), QR_E_CONFIG);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* As quorated does: a peer may close first. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_to_the_one_that_takes_it),
        cmocka_unit_test(comes_back_after_a_postponement),
        cmocka_unit_test(sends_all_at_full_speed),
        cmocka_unit_test(refuses_bad_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
