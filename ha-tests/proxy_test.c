/* A proxy: a quorated that nobody has set up, with children, which streams them on; to members and
 * to a real Netdata. */
#include <signal.h>
#include <stdio.h>

#include "ha-tests/streamed_on.h"

#define MOVE_MS  40000
#define AWAY_S   5
#define BEHIND_S 3 /* A Netdata serves its newest seconds late. */

static struct stage near, far;
static struct qr_netdata netdata;

static int tear_down(void **state)
{
    (void)state;
    far.failed = near.failed = near.failed || far.failed;
    far.has_netdata = false; /* It is near's. */
    stage_down(&near);
    stage_down(&far);
    if (netdata.dir[0] != '\0')
        qr_netdata_release(&netdata, near.failed);
    netdata = (struct qr_netdata){0};
    return 0;
}

static struct stage_options proxy_options(const char *name)
{
    return (struct stage_options){.name = name,
                                  .cluster = {.n = 1, .alone = true},
                                  .n_hosts = 3,
                                  .n_charts = 10,
                                  .n_dims = 4};
}

static bool lags(void *data)
{
    return streamed_on_lag_s(data) >= AWAY_S;
}

/* The far side fails over, is gone for a while, and then the proxy itself dies: the real child and
 * the simulated ones are whole on both. */
static void an_outage_upstream_leaves_no_gap(void **state)
{
    (void)state;
    struct stage_options options = proxy_options("proxy");
    struct stage_options members = {.name = "proxy-far"};
    char guid[QR_GUID_TEXT_LEN + 1];
    options.netdata = true;
    streamed_on_up(&near, &far, &options, &members);
    stage_guid(&near, 0, guid);
    unsigned owner = qr_cluster_owner(&far.cluster, guid);
    qr_cluster_kill(&far.cluster, owner);
    streamed_on_wait(&near, MOVE_MS);
    for (unsigned id = 1; id <= far.cluster.n; id++)
        qr_cluster_kill(&far.cluster, id);
    expect(&near, qr_wait_for(lags, &near, MOVE_MS, 100));
    expect(&far, qr_cluster_start_all(&far.cluster) == 0);
    streamed_on_wait(&near, MOVE_MS);
    qr_cluster_kill(&near.cluster, 1);
    expect(&near, qr_cluster_start(&near.cluster, 1) == 0);
    streamed_on_wait(&near, MOVE_MS);
    streamed_on_check(&near, &far);
}

struct verifying {
    const char *url;
    int64_t to_s;
    struct qr_verify result;
};

static bool is_whole(void *data)
{
    struct verifying *v = data;
    memset(&v->result, 0, sizeof v->result);
    qr_verify_node(&near.model, &near.cluster.fetch, v->url, near.first_s + STAGE_FIRST_S, v->to_s,
                   &v->result);
    return qr_verify_ok(&v->result);
}

static void check_url(const char *url, const char *who)
{
    struct verifying v = {.url = url, .to_s = (int64_t)(qr_real_ms() / 1000) - BEHIND_S};
    char text[512];
    bool ok = qr_wait_for(is_whole, &v, MOVE_MS, 500);
    qr_verify_format(&v.result, text, sizeof text);
    print_message("ha %s: %s: %s\n", near.name, who, text);
    expect(&near, ok);
}

/* A real 1.37.1 above the proxy: it computes its values from what it is sent, and they are ours. */
static void a_netdata_grandparent_is_whole_after_its_outage(void **state)
{
    (void)state;
    struct stage_options options = proxy_options("proxy-netdata");
    const struct qr_netdata_options parent = {
        .name = "grandparent", .parent = true, .api_key = "6c21a1a5-6a4a-4c0f-a5a5-0ab8d1b6d0f1"};
    if (!qr_netdata_available())
        skip();
    assert_int_equal(qr_netdata_start(&netdata, &parent), 0);
    options.cluster.upstream = netdata.url + 7; /* behind "http://" */
    options.cluster.upstream_key = parent.api_key;
    stage_up(&near, &options);
    streamed_on_wait(&near, MOVE_MS);
    check_url(netdata.url, "netdata");
    qr_process_kill(&netdata.process);
    expect(&near, qr_wait_for(lags, &near, MOVE_MS, 100));
    expect(&near, qr_netdata_restart(&netdata) == 0);
    streamed_on_wait(&near, MOVE_MS);
    check_url(netdata.url, "netdata");
    check_url(near.cluster.members[1].url, "proxy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_outage_upstream_leaves_no_gap, tear_down),
        cmocka_unit_test_teardown(a_netdata_grandparent_is_whole_after_its_outage, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
