/* A person has a host forgotten: gone on every member at once; streamed again it comes back as new,
 * whole, from the child's own database; not streamed any more it stays away.  And the cluster
 * forgets ephemeral hosts that are away. */
#include <stdio.h>

#include "ha-tests/odd_child.h"

#define GONE_MS   30000
#define RETURN_MS 60000
#define END_MS    20000
#define AFTER_S   2 /* Ephemeral hosts are forgotten. */

static struct stage stage;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

static int forget(unsigned member, const char *host, const char *chart)
{
    char program[512];
    snprintf(program, sizeof program, "%s/node/ctl/quoratectl", QR_BUILD_DIR);
    const char *const argv[] = {program, "forget", "--url", stage.cluster.members[member].url,
                                "--yes", host,     chart,   NULL};
    return qr_process_run(argv);
}

struct asked {
    char path[128];
    int status;
};

/* What every member says of a path. */
static bool all_say(void *data)
{
    const struct asked *asked = data;
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        if (qr_fetch_get(&stage.cluster.fetch, 3000, "%s%s", stage.cluster.members[id].url,
                         asked->path) != asked->status)
            return false;
    return true;
}

static void wait_until_all_say(int status, const char *guid, const char *rest)
{
    struct asked asked = {.status = status};
    snprintf(asked.path, sizeof asked.path, "/host/%s/api/v1/%s", guid, rest);
    expect(&stage, qr_wait_for(all_say, &asked, GONE_MS, 100));
}

static void a_host_is_forgotten(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "forget", .n_hosts = 4, .netdata = true, .cluster.ephemeral_after_s = AFTER_S};
    char guid[QR_GUID_TEXT_LEN + 1], other[QR_GUID_TEXT_LEN + 1], chart[QR_MODEL_NAME_BYTES];
    char question[QR_MODEL_NAME_BYTES + 16];
    stage_up(&stage, &options);
    stage_guid(&stage, 0, guid);
    stage_guid(&stage, 1, other);
    qr_model_chart_id(0, chart);
    snprintf(question, sizeof question, "chart?chart=%s", chart);
    unsigned owner = qr_cluster_owner(&stage.cluster, guid);
    /* While it streams, on a member that does not own it: it comes back, and lacks nothing. */
    stage_fault(&stage);
    expect(&stage, forget(owner % 3 + 1, guid, NULL) == 0);
    expect(&stage, forget(owner, other, chart) == 0);
    stage_wait_live(&stage, RETURN_MS);
    stage_wait_stored_after_fault(&stage, guid, RETURN_MS);
    stage_wait_stored_after_fault(&stage, other, RETURN_MS);
    stage_check(&stage);
    wait_until_all_say(200, guid, question);
    /* When nobody streams it any more it is gone for good, and only it. */
    expect(&stage, qr_process_stop(&stage.load, END_MS));
    expect(&stage, forget(1, guid, NULL) == 0);
    expect(&stage, forget(2, other, chart) == 0);
    wait_until_all_say(404, guid, "info");
    wait_until_all_say(404, other, question);
    wait_until_all_say(200, other, "info");
    expect(&stage, forget(3, guid, NULL) == 2); /* There is no such host. */
    expect(&stage, qr_cluster_compare_hashes(&stage.cluster, END_MS) == 1);
}

static void connect_ephemeral(struct odd_child *child, unsigned member)
{
    odd_connect(child, member, "ephemeral");
    stranger_print(child->fd, "LABEL \"_is_ephemeral\" = 1 \"true\"\nOVERWRITE labels\n");
    odd_define(child, "line", "", "DIMENSION 'a' 'a' 'absolute' 1 1 ''\n");
}

static void an_ephemeral_host_is_forgotten_when_it_is_away(void **state)
{
    (void)state;
    static struct odd_child child, lasting;
    static const char *const names[] = {"a", "b", "c", "d"};
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    odd_init(&child, &stage, 1, now_s - 60);
    odd_init(&lasting, &stage, 2, now_s - 60);
    child.collects[0] = lasting.collects[0] = true;
    connect_ephemeral(&child, 1);
    odd_connect(&lasting, 2, "lasting");
    odd_define(&lasting, "line", "", "DIMENSION 'a' 'a' 'absolute' 1 1 ''\n");
    odd_collect(&child, 20);
    odd_collect(&lasting, 20);
    odd_check(&lasting, names);
    qr_wait_until_s(now_s + 2 * AFTER_S + 1);
    odd_check(&child, names); /* As long as it is connected it stays. */
    odd_disconnect(&child);
    odd_disconnect(&lasting);
    wait_until_all_say(404, child.guid, "info");
    wait_until_all_say(200, lasting.guid, "info");
    /* It may come back, as new, with all that it has itself; and leave again. */
    odd_collect(&child, 10);
    connect_ephemeral(&child, 3);
    wait_until_all_say(200, child.guid, "info");
    odd_disconnect(&child);
    wait_until_all_say(404, child.guid, "info");
    expect(&stage, qr_cluster_compare_hashes(&stage.cluster, END_MS) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_forgotten),
        cmocka_unit_test(an_ephemeral_host_is_forgotten_when_it_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
