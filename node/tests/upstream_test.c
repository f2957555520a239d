#include "node/upstream.h"

#include <unistd.h>

#include "base/error.h"
#include "node/tests/false_parent.h"
#include "node/tests/upstream_fixture.h"

#define KEY      "11111111-2222-3333-4444-555555555555"
#define ACCEPTED "Hit me baby, push them over with the version=4824" /* no compression, v1 */

/* The consensus loop is this thread's; the upstream loop has one of its own. */
static struct fixture fixture;
static uv_loop_t loop;
static struct qr_mailbox mailbox;
static struct qr_upstream *upstream;
static struct false_parent parent;
static struct qr_roster_host listed;
static unsigned n_listed;

static unsigned list_hosts(const void *data, struct qr_roster_host *hosts, unsigned max)
{
    (void)data;
    if (max > 0 && n_listed > 0)
        hosts[0] = listed;
    return n_listed;
}

static struct qr_admission *admission_of(const char *enabled)
{
    char path[96], sentence[512];
    struct qr_admission *read = calloc(1, sizeof *read);
    read->holders = 1;
    snprintf(path, sizeof path, "%s/stream.conf", fixture.dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[stream]\n enabled = %s\n destination = %s\n api key = " KEY
            "\n reconnect delay = 1\n timeout = 2\n",
            enabled, parent.address);
    fclose(file);
    if (qr_stream_conf_read(&read->stream_conf, path, sentence, sizeof sentence) != 0)
        fail_msg("%s", sentence);
    unlink(path);
    return read;
}

/* Follows until it is so, a minute at most. */
static void follow_until(bool (*is)(void), bool permit)
{
    uint64_t until = uv_hrtime() + 60000000000u;
    while (!is()) {
        assert_true(uv_hrtime() < until);
        qr_upstream_follow(upstream, permit);
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(5000);
    }
}

static const struct qr_forwarder_status *status_now(void)
{
    return qr_upstream_status(upstream, fixture.host);
}
static bool streams(void)
{
    const struct qr_forwarder_status *status = status_now();
    return parent.streaming && status != NULL && status->state == QR_FORWARD_STREAMING;
}
static bool streams_anew(void)
{
    return parent.n_requests == 2 && streams();
}
static bool waits_for_permission(void)
{
    static unsigned n;
    const struct qr_forwarder_status *status = status_now();
    return status != NULL && status->state == QR_FORWARD_WAITING && ++n > 20;
}
static bool is_not_streamed_on(void)
{
    return status_now() == NULL && !parent.open;
}

static void hosts_come_and_go(void **state)
{
    (void)state;
    struct qr_upstream_totals totals;
    struct qr_admission *off = admission_of("no"), *on = admission_of("yes");
    struct qr_upstream_config config = {
        .clock = &qr_clock_system, .home = &mailbox, .store = fixture.store, .hosts = list_hosts};
    assert_int_equal(qr_upstream_new(&upstream, &config, off), 0);
    listed = (struct qr_roster_host){.id = fixture.host, .epoch = 1, .guid = fixture_guid};
    n_listed = 1;
    qr_upstream_follow(upstream, true); /* nothing is streamed on */
    assert_null(status_now());
    assert_int_equal(qr_upstream_readmit(upstream, on), 0);
    follow_until(waits_for_permission, false);
    assert_int_equal(parent.n_requests, 0);
    follow_until(streams, true);
    qr_upstream_get_totals(upstream, &totals);
    assert_int_equal(totals.n_hosts, 1);
    assert_int_equal(totals.n_streaming, 1);
    assert_int_equal(totals.n_connects, 1);
    listed.epoch = 2; /* the child has connected anew: so does what is streamed on */
    follow_until(streams_anew, true);
    assert_int_equal(qr_upstream_readmit(upstream, off), 0);
    follow_until(is_not_streamed_on, true);
    assert_int_equal(qr_upstream_readmit(upstream, on), 0);
    follow_until(streams, true);
    n_listed = 0; /* the child has left; all that it had is sent */
    follow_until(is_not_streamed_on, true);
    qr_upstream_get_totals(upstream, &totals);
    assert_int_equal(totals.n_hosts, 0);
    assert_true(totals.n_connects >= 3);
    qr_admission_release(off);
    qr_admission_release(on);
}

static int setup(void **state)
{
    (void)state;
    fixture_open(&fixture);
    assert_int_equal(qr_store_apply_connected(fixture.store, fixture.host, true, T0 * 1000000), 0);
    if (uv_loop_init(&loop) != 0 || qr_mailbox_init(&mailbox, &loop) != 0)
        return -1;
    false_parent_open(&parent, &loop, ACCEPTED);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(hosts_come_and_go, setup),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(fixture.dir);
    fflush(NULL);
    _exit(failed); /* the thread runs until the process ends (docs/decisions/0007) */
}
