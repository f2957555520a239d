#include "testing/fake_link.h"

#include "base/error.h"
#include "testing/cmocka.h"

static uv_loop_t loop;
static struct qr_fake_net net;
static struct qr_link *a, *b;
static char received[64];
static unsigned n_received, n_sent;
static int last_status;

static int on_frame(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    (void)data;
    assert_int_equal(member, 1);
    assert_int_equal(group, 3);
    assert_true(payload.len < sizeof received);
    memcpy(received, payload.base, payload.len);
    received[payload.len] = '\0';
    n_received++;
    return 0;
}

static void on_sent(void *data, int status)
{
    (void)data;
    n_sent++;
    last_status = status;
}

static int start(void **state)
{
    (void)state;
    n_received = n_sent = 0;
    uv_loop_init(&loop);
    qr_fake_net_init(&net, &loop, 1);
    a = qr_fake_link_new(&net, 1);
    b = qr_fake_link_new(&net, 2);
    qr_link_on(b, QR_LINK_PROPOSE, on_frame, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    qr_link_close(a, NULL, NULL);
    qr_link_close(b, NULL, NULL);
    qr_fake_net_close(&net);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static int send_text(const char *text, qr_link_sent_cb sent)
{
    struct qr_slice part = qr_slice_str(text);
    return qr_link_send(a, 2, 3, QR_LINK_PROPOSE, &part, 1, sent, NULL);
}

static void knows(struct qr_link *link, uint32_t member)
{
    assert_int_equal(qr_link_set_member(link, &(struct qr_link_member){.id = member}), 0);
}

static void frames_arrive_from_the_loop(void **state)
{
    (void)state;
    assert_int_equal(send_text("no", on_sent), QR_E_UNREACHABLE);
    knows(a, 2);
    assert_false(qr_link_is_up(a, 2)); /* Both must know the other. */
    knows(b, 1);
    assert_true(qr_link_is_up(a, 2));
    assert_int_equal(send_text("one", on_sent), 0);
    assert_int_equal(n_received + n_sent, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_received, 1);
    assert_int_equal(n_sent, 1);
    assert_string_equal(received, "one");
    assert_true(qr_link_last_heard_ms(b, 1) > 0);
}

/* What is borrowed is read late, what is not is copied at once. */
static void borrows_as_the_link_does(void **state)
{
    (void)state;
    char text[] = "now";
    knows(a, 2);
    knows(b, 1);
    assert_int_equal(send_text(text, NULL), 0);
    memcpy(text, "new", 3);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(received, "now");
    assert_int_equal(send_text(text, on_sent), 0);
    memcpy(text, "old", 3);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(received, "old");
}

static void a_cut_fails_what_is_on_its_way(void **state)
{
    (void)state;
    knows(a, 2);
    knows(b, 1);
    assert_int_equal(send_text("lost", on_sent), 0);
    qr_fake_net_cut(&net, 2, 1, true);
    assert_int_equal(last_status, UV_ECONNRESET);
    assert_false(qr_link_is_up(a, 2));
    assert_int_equal(send_text("no", on_sent), QR_E_UNREACHABLE);
    qr_fake_net_cut(&net, 2, 1, false);
    assert_int_equal(send_text("again", on_sent), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_received, 1);
    assert_string_equal(received, "again");
    assert_int_equal(n_sent, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_arrive_from_the_loop),
        TEST(borrows_as_the_link_does),
        TEST(a_cut_fails_what_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
