/* Members that are away for a while and come back: paused, without a quorum, past the log. */
#include <signal.h>
#include <stdio.h>

#include "ha-tests/harness.h"

#define MOVE_MS     60000
#define RETURN_MS   60000
#define PAUSED_S    20
#define AWAY_S      15
#define NEW_OWNER_S 2

static struct stage stage;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

static int64_t now_s(void)
{
    return (int64_t)(qr_real_ms() / 1000);
}

/* The children give up on the paused owner and move; what it still had in its sockets and queues it
 * proposes when it wakes up, under an epoch that is over. */
static void the_owner_is_paused_and_goes_on(void **state)
{
    (void)state;
    struct stage_options options = {.name = "pause-owner", .netdata = true, .first_not_leader = 1};
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_up(&stage, &options);
    stage_guid(&stage, 0, guid);
    unsigned owner = qr_cluster_owner(&stage.cluster, guid);
    expect(&stage, owner != 0);
    stage_fault(&stage);
    qr_cluster_pause(&stage.cluster, owner);
    int64_t until_s = now_s() + PAUSED_S;
    /* Some seconds pile up in its sockets before the children notice. */
    qr_wait_until_s(now_s() + NEW_OWNER_S);
    qr_process_signal(&stage.load, SIGUSR1);
    stage_wait_stored_after_fault(&stage, guid, MOVE_MS);
    stage_wait_moved(&stage, guid, owner, MOVE_MS);
    qr_wait_until_s(until_s);
    int64_t fenced = stage_counter(&stage, "dropped") + stage_counter(&stage, "refused");
    qr_cluster_resume(&stage.cluster, owner);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    stage_check(&stage);
    fenced = stage_counter(&stage, "dropped") + stage_counter(&stage, "refused") - fenced;
    print_message("ha pause-owner: %lld late proposals were fenced, counted on all members\n",
                  (long long)fenced);
    expect(&stage, fenced > 0);
}

struct reading {
    char url[256];
    int64_t status;
};

static bool answers(void *data)
{
    struct reading *r = data;
    r->status = qr_fetch_get(&stage.cluster.fetch, 3000, "%s", r->url);
    return r->status == 200;
}

static bool says_no_leader(void *data)
{
    json_t *status = qr_cluster_status(&stage.cluster, *(unsigned *)data);
    bool none = status != NULL && json_integer_value(json_object_get(status, "leader")) == 0 &&
                !json_is_true(json_object_get(status, "ready"));
    json_decref(status);
    return none;
}

struct passed {
    unsigned member;
    int64_t at_s;
    struct qr_verify result;
};

/* Every simulated child's data on the member has gone beyond this second, and what truncated
 * answers left out has come: all of it is there. */
static bool all_have_passed(void *data)
{
    struct passed *passed = data;
    char guid[QR_GUID_TEXT_LEN + 1];
    for (unsigned i = 0; i < stage.model.n_hosts; i++) {
        stage_guid(&stage, i, guid);
        if (qr_cluster_watermark(&stage.cluster, passed->member, guid) < passed->at_s + 2)
            return false;
    }
    memset(&passed->result, 0, sizeof passed->result);
    qr_verify_node(&stage.model, &stage.cluster.fetch, stage.cluster.members[passed->member].url,
                   stage.first_s + STAGE_FIRST_S, passed->at_s, &passed->result);
    return qr_verify_ok(&passed->result);
}

static bool has_two_snapshots_more(void *data)
{
    return stage_counter(&stage, "snapshots") >= *(int64_t *)data + 4; /* Two members, two each. */
}

static bool lacks_no_blocks(void *data)
{
    (void)data;
    return stage_counter(&stage, "missing_blocks") == 0;
}

/* Two of three are down: the third answers from what it has and says that it is cut off; the
 * children keep their data and lose none of it. */
static void a_majority_is_down(void **state)
{
    (void)state;
    struct stage_options options = {.name = "lose-majority", .netdata = true};
    char guid[QR_GUID_TEXT_LEN + 1], chart[QR_MODEL_NAME_BYTES];
    stage_up(&stage, &options);
    stage_guid(&stage, 0, guid);
    qr_model_chart_id(0, chart);
    unsigned left = stage.first, a = left % 3 + 1, b = a % 3 + 1;
    int64_t stored_s = qr_cluster_watermark(&stage.cluster, left, guid);
    struct passed passed = {.member = left, .at_s = stored_s};
    expect(&stage, qr_wait_for(all_have_passed, &passed, MOVE_MS, 100));
    stage_fault(&stage);
    qr_cluster_kill(&stage.cluster, a);
    qr_cluster_kill(&stage.cluster, b);
    expect(&stage, qr_wait_for(says_no_leader, &left, MOVE_MS, 100));

    struct qr_verify result = {0};
    qr_verify_node(&stage.model, &stage.cluster.fetch, stage.cluster.members[left].url,
                   stage.first_s + STAGE_FIRST_S, stored_s, &result);
    if (!qr_verify_ok(&result))
        print_message("ha lose-majority: %s\n", result.first);
    expect(&stage, qr_verify_ok(&result));
    struct reading r;
    snprintf(r.url, sizeof r.url, "%s/host/%s/api/v1/data?chart=%s&after=%lld&before=%lld",
             stage.cluster.members[left].url, guid, chart, (long long)stored_s - 5,
             (long long)stored_s);
    expect(&stage, qr_wait_for(answers, &r, MOVE_MS, 100));
    qr_buf_add(&stage.cluster.fetch.headers, "", 1);
    expect(&stage, strcasestr(stage.cluster.fetch.headers.base, "\nX-Quorate-Age-Ms:") != NULL);
    json_t *status = qr_cluster_status(&stage.cluster, left);
    json_t *verdict = json_object_get(status, "verdict");
    print_message("ha lose-majority: \"%s\"\n",
                  json_string_value(json_object_get(verdict, "sentence")));
    expect(&stage, json_integer_value(json_object_get(verdict, "level")) == 2);
    json_decref(status);

    qr_wait_until_s(now_s() + AWAY_S);
    expect(&stage, qr_cluster_start(&stage.cluster, a) == 0);
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, RETURN_MS) != 0);
    expect(&stage, qr_cluster_start(&stage.cluster, b) == 0);
    stage_wait_live(&stage, RETURN_MS);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    stage_check(&stage);
}

/* So short a log that the one who was away must take a snapshot, and fetch block files. */
static void a_member_was_away_longer_than_the_log_reaches(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "past-log",
        .first_not_leader = 1,
        .cluster = {.snapshot_threshold = 32, .snapshot_trailing = 16, .window_s = 60}};
    stage_up(&stage, &options);
    unsigned leader = qr_cluster_wait_leader(&stage.cluster, MOVE_MS), away = leader % 3 + 1;
    expect(&stage, leader != 0);
    stage_fault(&stage);
    qr_cluster_kill(&stage.cluster, away);
    int64_t snapshots = stage_counter(&stage, "snapshots"); /* Of those that run. */
    qr_wait_until_s(now_s() + AWAY_S);
    stage_wait_live(&stage, RETURN_MS);
    expect(&stage, qr_wait_for(has_two_snapshots_more, &snapshots, RETURN_MS, 200));
    expect(&stage, qr_cluster_start(&stage.cluster, away) == 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    expect(&stage, stage_counter(&stage, "installs") > 0);
    stage_check(&stage);
    expect(&stage, qr_wait_for(lacks_no_blocks, NULL, RETURN_MS, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_owner_is_paused_and_goes_on, tear_down),
        cmocka_unit_test_teardown(a_majority_is_down, tear_down),
        cmocka_unit_test_teardown(a_member_was_away_longer_than_the_log_reaches, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
