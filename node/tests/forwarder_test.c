#include "node/forwarder.h"

#include <unistd.h>

#include "base/error.h"
#include "node/tests/false_parent.h"
#include "node/tests/upstream_fixture.h"

#define KEY      "11111111-2222-3333-4444-555555555555"
#define ACCEPTED "Hit me baby, push them over with the version=4824" /* no compression, v1 */

static struct fixture fixture;
static uv_loop_t loop;
static struct qr_jobs jobs;
static struct qr_admission *admission;
static struct qr_forwarder *forwarder;
static struct false_parent first, second;
static int64_t ahead_ms; /* The clock's, of the machine's. */
static bool gone;
static uint32_t chart;

static uint64_t clock_mono(const struct qr_clock *clock)
{
    (void)clock;
    return uv_hrtime() / 1000000 + (uint64_t)ahead_ms;
}

static int64_t clock_real(const struct qr_clock *clock)
{
    return (int64_t)clock_mono(clock) * 1000;
}

static const struct qr_clock clock_ahead = {.mono_ms = clock_mono, .real_us = clock_real};

static void add_job(void *data, struct qr_job *job)
{
    (void)data;
    qr_jobs_add(&jobs, job);
}

static void on_ended(void *data, struct qr_forwarder *ended)
{
    (void)data;
    assert_ptr_equal(ended, forwarder);
    gone = true;
}

static struct qr_forwarder_world world = {
    .loop = &loop, .clock = &clock_ahead, .add_job = add_job, .ended = on_ended};

/* ---- what a test does ---- */

static void read_conf(const char *format, const char *a, const char *b)
{
    char path[96], sentence[512];
    snprintf(path, sizeof path, "%s/stream.conf", fixture.dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, format, a, b);
    fclose(file);
    admission = calloc(1, sizeof *admission);
    admission->holders = 1;
    if (qr_stream_conf_read(&admission->stream_conf, path, sentence, sizeof sentence) != 0)
        fail_msg("%s", sentence);
    unlink(path);
}

#define CONF                                                                                       \
    "[stream]\n enabled = yes\n destination = %s %s\n api key = " KEY                              \
    "\n reconnect delay = 1\n timeout = 2\n"

static void begin(void)
{
    struct qr_forwarder_host host = {
        .id = fixture.host, .epoch = 1, .guid = fixture_guid, .since_s = T0};
    read_conf(CONF, first.address, second.address);
    assert_int_equal(qr_forwarder_new(&forwarder, &world, &host, admission), 0);
}

/* Ticks until it is so, a minute at most. */
static void tick_until(bool (*is)(void), bool permit)
{
    uint64_t until = uv_hrtime() + 60000000000u;
    while (!is()) {
        assert_true(uv_hrtime() < until);
        if (!gone)
            qr_forwarder_tick(forwarder, permit, clock_mono(NULL));
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(2000);
    }
}

static bool first_streams(void)
{
    return first.streaming;
}
static bool second_streams(void)
{
    return second.streaming;
}
static bool is_gone(void)
{
    return gone;
}
static bool first_was_asked_again(void)
{
    return first.n_requests == 2;
}
static unsigned n_ticks;
static bool some_ticks(void)
{
    return ++n_ticks % 50 == 0;
}
/* The chart's definition has arrived. */
static bool first_has_chart(void)
{
    return first.in.len > 0 && memmem(first.in.base, first.in.len, "CHART \"t.a\"", 11) != NULL;
}
static bool second_has_chart(void)
{
    return second.in.len > 0 && memmem(second.in.base, second.in.len, "CHART \"t.a\"", 11) != NULL;
}

static enum qr_forwarder_state state_now(void)
{
    struct qr_forwarder_status status;
    qr_forwarder_get_status(forwarder, &status);
    return status.state;
}

static void goes_to_the_first_and_says_what_it_has(void **state)
{
    (void)state;
    begin();
    tick_until(first_has_chart, true);
    assert_string_equal(first.hostname, "box one");
    assert_int_equal(first.hops, 2);
    assert_int_equal(second.n_requests, 0);
    assert_int_equal(state_now(), QR_FORWARD_STREAMING);
}

static void goes_to_the_next_when_refused_and_leaves_that_one_alone(void **state)
{
    (void)state;
    first.reply = QR_HANDSHAKE_DENIED;
    begin();
    tick_until(second_has_chart, true);
    assert_int_equal(first.n_requests, 1);
    false_parent_hang_up(&second);
    second.reply = QR_HANDSHAKE_BUSY;
    tick_until(some_ticks, true);
    assert_int_equal(first.n_requests, 1); /* still postponed, for a minute */
    ahead_ms += 61000;
    tick_until(first_was_asked_again, true);
    struct qr_forwarder_status status;
    qr_forwarder_get_status(forwarder, &status);
    assert_int_equal(status.n_connects, 1);
    assert_true(status.reason[0] != '\0');
}

static void a_broken_stream_is_taken_up_at_once_but_only_when_permitted(void **state)
{
    (void)state;
    begin();
    tick_until(first_has_chart, true);
    false_parent_hang_up(&first);
    tick_until(some_ticks, false);
    assert_int_equal(first.n_requests + second.n_requests, 1);
    tick_until(first_streams, true);
    assert_int_equal(first.n_requests, 2);
}

static void one_that_hangs_up_or_says_nothing_is_passed_over(void **state)
{
    (void)state;
    first.reply = NULL;
    begin();
    tick_until(second_streams, true);
    assert_int_equal(first.n_requests, 1);
}

static void what_is_stored_is_sent_before_it_leaves(void **state)
{
    (void)state;
    begin();
    tick_until(first_has_chart, true);
    qr_forwarder_leave(forwarder);
    tick_until(some_ticks, true);
    assert_false(gone); /* the parent has not asked for the chart yet */
    const char ask[] = "REPLAY_CHART \"t.a\" \"true\" 1795405200 1795405230\n";
    uv_buf_t part = uv_buf_init((char *)(uintptr_t)ask, sizeof ask - 1);
    assert_int_equal(uv_try_write((uv_stream_t *)&first.conn, &part, 1), (int)part.len);
    tick_until(is_gone, true);
    assert_non_null(memmem(first.in.base, first.in.len, "REND", 4));
    assert_non_null(memmem(first.in.base, first.in.len, "1795405230", 10));
}

static void a_new_session_is_a_new_stream(void **state)
{
    (void)state;
    struct qr_forwarder_host host = {
        .id = fixture.host, .epoch = 2, .guid = fixture_guid, .since_s = T0};
    first.reply = QR_HANDSHAKE_DENIED;
    begin();
    tick_until(second_has_chart, true);
    first.reply = ACCEPTED;
    qr_forwarder_restart(forwarder, &host);
    tick_until(first_has_chart, true); /* what was postponed is not any more */
    assert_false(second.streaming);
    assert_int_equal(forwarder->host.epoch, 2);
}

static void another_configuration_does_not_fit(void **state)
{
    (void)state;
    begin();
    struct qr_admission *old = admission;
    assert_true(qr_forwarder_fits(forwarder, old));
    read_conf(CONF, first.address, second.address);
    assert_true(qr_forwarder_fits(forwarder, admission));
    qr_admission_release(admission);
    read_conf(CONF, second.address, first.address);
    assert_false(qr_forwarder_fits(forwarder, admission));
    qr_admission_release(admission);
    read_conf("[stream]\n enabled = no\n destination = %s %s\n", "a", "b");
    assert_false(qr_forwarder_fits(forwarder, admission));
    struct qr_forwarder *none;
    assert_int_equal(qr_forwarder_new(&none, &world, &forwarder->host, admission), QR_E_DENIED);
    qr_admission_release(admission);
    admission = old;
}

static bool both_were_asked(void)
{
    return first.n_requests == 2 && second.n_requests == 1 && state_now() == QR_FORWARD_WAITING;
}

/* The stream stays; what the new one says of connections counts for the next. */
static void one_that_fits_is_taken_up_by_the_next_connection(void **state)
{
    (void)state;
    begin();
    tick_until(first_has_chart, true);
    qr_admission_release(admission);
    read_conf(CONF " reconnect delay = 600\n", first.address, second.address);
    assert_true(qr_forwarder_fits(forwarder, admission));
    qr_forwarder_readmit(forwarder, admission);
    tick_until(some_ticks, true);
    assert_int_equal(first.n_requests, 1);
    first.reply = second.reply = NULL;
    false_parent_hang_up(&first);
    tick_until(both_were_asked, true);
    ahead_ms += 61000;
    tick_until(some_ticks, true);
    assert_int_equal(first.n_requests + second.n_requests, 3); /* not yet again */
}

static int setup(void **state)
{
    (void)state;
    gone = false;
    forwarder = NULL;
    ahead_ms = 0;
    fixture_open(&fixture);
    chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 30);
    world.store = fixture.store;
    if (uv_loop_init(&loop) != 0)
        return -1;
    qr_jobs_init(&jobs, &loop);
    false_parent_open(&first, &loop, ACCEPTED);
    false_parent_open(&second, &loop, ACCEPTED);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (forwarder != NULL && !gone) {
        qr_forwarder_end(forwarder);
        tick_until(is_gone, false);
    }
    false_parent_close(&first);
    false_parent_close(&second);
    uv_run(&loop, UV_RUN_DEFAULT);
    qr_admission_release(admission);
    admission = NULL;
    fixture_close(&fixture);
    return uv_loop_close(&loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(goes_to_the_first_and_says_what_it_has),
        TEST(goes_to_the_next_when_refused_and_leaves_that_one_alone),
        TEST(a_broken_stream_is_taken_up_at_once_but_only_when_permitted),
        TEST(one_that_hangs_up_or_says_nothing_is_passed_over),
        TEST(what_is_stored_is_sent_before_it_leaves),
        TEST(a_new_session_is_a_new_stream),
        TEST(one_that_fits_is_taken_up_by_the_next_connection),
        TEST(another_configuration_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
