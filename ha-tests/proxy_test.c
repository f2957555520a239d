/* A proxy: a quorated that nobody has set up, with children, which streams them on; to members and
 * to a real Netdata.  And a real Netdata as the proxy below the members. */
#include <signal.h>
#include <stdio.h>

#include "ha-tests/streamed_on.h"

#define MOVE_MS  60000
#define AWAY_S   5
#define BEHIND_S 3 /* A Netdata serves its newest seconds late. */
/* A 1.37.1 that is a proxy loses the second row of its new child's charts, or computes another one
 * from it, behind its replay; it tells us what it stored.  The slowest charts have one in 5 s. */
#define STARTED_S 13

static struct stage near, far;
static struct qr_netdata netdata; /* Above, or between. */
static struct qr_netdata child;

static int tear_down(void **state)
{
    (void)state;
    far.failed = near.failed = near.failed || far.failed;
    far.has_netdata = false; /* It is near's. */
    stage_down(&near);
    stage_down(&far);
    if (netdata.dir[0] != '\0')
        qr_netdata_release(&netdata, near.failed);
    if (child.dir[0] != '\0')
        qr_netdata_release(&child, near.failed);
    netdata = child = (struct qr_netdata){0};
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

static bool says(const struct qr_fetch *fetch, const char *part)
{
    struct qr_slice body = qr_buf_slice(&fetch->body);
    return body.len > 0 && memmem(body.base, body.len, part, strlen(part)) != NULL;
}

static bool lags(void *data)
{
    return streamed_on_lag_s(data) >= AWAY_S;
}

/* What an answer tells of functions, in its root; a new reference, or NULL. */
static json_t *told_of(struct qr_fetch *fetch, const char *url, const char *guid, const char *what)
{
    if (qr_fetch_get(fetch, MOVE_MS, "%s/host/%s/api/v1/%s", url, guid, what) != 200)
        return NULL;
    json_t *root = qr_fetch_json(fetch), *functions = json_object_get(root, "functions");
    json_incref(functions);
    json_decref(root);
    return functions;
}

/* As the child's own 1.37.1 tells of them; and there are some. */
static bool tells_the_same(struct qr_fetch *fetch, const char *url,
                           const struct qr_netdata *real_child)
{
    static const char *const whats[] = {"info", "chart?chart=qtest.known"};
    bool same = true;
    for (size_t i = 0; i < QR_COUNT(whats) && same; i++) {
        json_t *of_child = told_of(fetch, real_child->url, real_child->guid, whats[i]);
        json_t *ours = told_of(fetch, url, real_child->guid, whats[i]);
        same = json_object_get(of_child, "qtest") != NULL && json_equal(of_child, ours);
        json_decref(of_child);
        json_decref(ours);
    }
    return same;
}

/* The function of the real child, on each member; it is listed once its chart is there. */
static bool answers(void *data)
{
    const struct qr_netdata *real_child = data;
    const char *guid = real_child->guid;
    struct qr_fetch *fetch = &far.cluster.fetch;
    for (unsigned id = 1; id <= far.cluster.n; id++) {
        const char *url = far.cluster.members[id].url;
        if (!tells_the_same(fetch, url, real_child) ||
            qr_fetch_get(fetch, MOVE_MS, "%s/host/%s/api/v1/function?function=qtest+%u", url, guid,
                         id) != 200)
            return false;
        char wanted[32];
        snprintf(wanted, sizeof wanted, "qtest %u", id);
        if (!says(fetch, wanted))
            return false;
    }
    return true;
}

static void expect_function(struct qr_netdata *real_child)
{
    expect(&far, qr_wait_for(answers, real_child, MOVE_MS, 200));
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
    if (near.has_netdata)
        expect_function(&near.netdata);
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

static bool parent_tells(void *data)
{
    return tells_the_same(&near.cluster.fetch, netdata.url, data);
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
    options.netdata = true;
    stage_up(&near, &options);
    streamed_on_wait(&near, MOVE_MS);
    check_url(netdata.url, "netdata");
    expect(&near, qr_wait_for(parent_tells, &near.netdata, MOVE_MS, 200));
    qr_process_kill(&netdata.process);
    expect(&near, qr_wait_for(lags, &near, MOVE_MS, 100));
    expect(&near, qr_netdata_restart(&netdata) == 0);
    streamed_on_wait(&near, MOVE_MS);
    check_url(netdata.url, "netdata");
    check_url(near.cluster.members[1].url, "proxy");
}

/* ---- a Netdata in between ---- */

struct comparing {
    struct qr_netdata *of;
    unsigned id;
    int64_t from_s, to_s;
    struct qr_verify result;
};

static bool is_the_same(void *data)
{
    struct comparing *c = data;
    char prefix[160];
    snprintf(prefix, sizeof prefix, "%s/host/%s", far.cluster.members[c->id].url, c->of->guid);
    memset(&c->result, 0, sizeof c->result);
    qr_netdata_compare(c->of, &far.cluster.fetch, prefix, c->from_s, c->to_s, &c->result);
    return qr_verify_ok(&c->result) && c->result.n_values > 0;
}

static bool is_stored(void *data)
{
    const struct comparing *c = data;
    return qr_cluster_watermark(&far.cluster, c->id, c->of->guid) >= c->to_s + STAGE_SETTLE_S;
}

/* All that it stored up to now is on every member. */
static void compare(struct qr_netdata *of, const char *who, int64_t from_s)
{
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    for (unsigned id = 1; id <= far.cluster.n; id++) {
        struct comparing c = {of, id, from_s, now_s > from_s ? now_s : from_s + 1, {0}};
        char text[512];
        expect(&far, qr_wait_for(is_stored, &c, MOVE_MS, 100));
        bool ok = qr_wait_for(is_the_same, &c, MOVE_MS, 500);
        qr_verify_format(&c.result, text, sizeof text);
        print_message("ha %s: member %u: %s: %s\n", far.name, id, who, text);
        expect(&far, ok);
    }
}

static int64_t hops_of(const char *guid)
{
    const char *url = far.cluster.members[1].url;
    expect(&far, qr_fetch_get(&far.cluster.fetch, MOVE_MS, "%s/api/v1/info", url) == 200);
    json_t *info = qr_fetch_json(&far.cluster.fetch), *host;
    int64_t hops = -1;
    size_t i;
    json_array_foreach(json_object_get(info, "mirrored_hosts_status"), i, host)
    {
        if (strcmp(json_string_value(json_object_get(host, "guid")), guid) == 0)
            hops = json_integer_value(json_object_get(host, "hops"));
    }
    json_decref(info);
    return hops;
}

struct hops {
    const char *guid;
    int64_t n;
};

static bool has_hops(void *data)
{
    const struct hops *hops = data;
    return hops_of(hops->guid) == hops->n;
}

static void expect_hops(const char *guid, int64_t n)
{
    struct hops hops = {guid, n};
    expect(&far, qr_wait_for(has_hops, &hops, MOVE_MS, 100));
}

/* child -> Netdata -> members: its host and the child's; killed and back, with what it has kept. */
static void a_netdata_between_leaves_no_gap(void **state)
{
    (void)state;
    struct stage_options members = {.name = "proxy-between"};
    struct qr_netdata_options between = {.name = "between", .parent = true, .reconnect_delay_s = 1};
    struct qr_netdata_options below = {.name = "below", .reconnect_delay_s = 1};
    char to[256];
    if (!qr_netdata_available())
        skip();
    stage_members_up(&far, &members);
    qr_cluster_destinations(&far.cluster, far.first, ' ', to, sizeof to);
    between.destinations = to;
    below.api_key = between.api_key = far.cluster.api_key;
    expect(&far, qr_netdata_start(&netdata, &between) == 0);
    /* A child leaves a destination alone for 30 s when its connection is reset, or its parent is
     * starting; of another name it thinks that it is another one. */
    static const char *const names[] = {"127.0.0.1", "localhost", "127.1",
                                        "127.0.1",   "0x7f.1",    "0x7f000001"};
    const char *port = strrchr(netdata.url, ':');
    to[0] = '\0';
    for (size_t i = 0; i < QR_COUNT(names); i++)
        snprintf(to + strlen(to), sizeof to - strlen(to), "%s%s ", names[i], port);
    below.destinations = to;
    expect(&far, qr_netdata_start(&child, &below) == 0);
    child.unsure_s = STARTED_S;
    struct comparing begun = {&child, far.first, 0, child.started_s + STARTED_S, {0}};
    expect(&far, qr_wait_for(is_stored, &begun, MOVE_MS, 100));
    expect_function(&child);
    expect_hops(netdata.guid, 1);
    expect_hops(child.guid, 2);
    unsigned owner = qr_cluster_owner(&far.cluster, child.guid);
    qr_process_kill(&netdata.process);
    qr_cluster_kill(&far.cluster, owner);
    expect(&far, qr_netdata_restart(&netdata) == 0);
    expect(&far, qr_cluster_start(&far.cluster, owner) == 0);
    compare(&child, "child", child.started_s + STARTED_S);
    compare(&netdata, "between", netdata.started_s + 4);
    expect_function(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_outage_upstream_leaves_no_gap, tear_down),
        cmocka_unit_test_teardown(a_netdata_grandparent_is_whole_after_its_outage, tear_down),
        cmocka_unit_test_teardown(a_netdata_between_leaves_no_gap, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
