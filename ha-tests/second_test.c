/* A second cluster: every child of the first is streamed on to it by its owner there; owners and
 * receivers die, the far side is away, and children move between the two. */
#include <signal.h>
#include <stdio.h>

#include "ha-tests/odd_child.h"
#include "ha-tests/streamed_on.h"

#define MOVE_MS   60000
#define RETURN_MS 60000
#define AWAY_S    8
#define MOVES_KEY "0e3a3c5c-7c1f-4c1e-9d1b-5a0a8f5d2b11"

static struct stage near, far;

static int tear_down(void **state)
{
    (void)state;
    far.failed = near.failed = near.failed || far.failed;
    stage_down(&near);
    stage_down(&far);
    return 0;
}

static void up(const char *near_name, const char *far_name, unsigned n_far)
{
    struct stage_options near_options = {.name = near_name, .n_hosts = 4, .n_charts = 10};
    struct stage_options far_options = {.name = far_name, .cluster.n = n_far};
    near_options.n_dims = 4;
    streamed_on_up(&near, &far, &near_options, &far_options);
}

static unsigned owner_of_first(struct stage *stage)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_guid(stage, 0, guid);
    return qr_cluster_owner(&stage->cluster, guid);
}

static void the_next_owner_goes_on_where_the_far_side_is(void **state)
{
    (void)state;
    up("second-owner", "second-owner-far", 1);
    unsigned owner = owner_of_first(&near);
    qr_cluster_kill(&near.cluster, owner);
    streamed_on_wait(&near, MOVE_MS);
    expect(&near, owner_of_first(&near) != owner);
    expect(&near, qr_cluster_start(&near.cluster, owner) == 0);
    expect(&near, qr_cluster_wait_caught_up(&near.cluster, RETURN_MS));
    streamed_on_check(&near, &far);
}

static bool shows_lag(void *data)
{
    return streamed_on_lag_s(data) >= AWAY_S;
}

static void a_far_member_dies_and_then_all_of_them(void **state)
{
    (void)state;
    up("second-far", "second-far-far", 3);
    unsigned owner = owner_of_first(&far);
    qr_cluster_kill(&far.cluster, owner);
    expect(&far, qr_cluster_wait_leader(&far.cluster, MOVE_MS) != 0);
    streamed_on_wait(&near, MOVE_MS);
    expect(&far, qr_cluster_start(&far.cluster, owner) == 0);
    streamed_on_check(&near, &far);
    for (unsigned id = 1; id <= 3; id++)
        qr_cluster_kill(&far.cluster, id);
    uint64_t since_ms = qr_real_ms();
    expect(&near, qr_wait_for(shows_lag, &near, MOVE_MS, 100));
    print_message("ha %s: lag %lld s, %.1f s after the far side died\n", near.name,
                  (long long)streamed_on_lag_s(&near), (double)(qr_real_ms() - since_ms) / 1000);
    expect(&far, qr_cluster_start_all(&far.cluster) == 0);
    streamed_on_wait(&near, MOVE_MS);
    streamed_on_check(&near, &far);
}

/* Each streams its hosts on to the other, and the children have members of both in their lists: a
 * break moves each of them to the other cluster, and the next one back. */
static void children_move_between_the_two(void **state)
{
    (void)state;
    struct stage_options near_options = {.name = "second-moves", .n_hosts = 3, .n_charts = 8};
    struct stage_options far_options = {.name = "second-moves-far", .cluster.n = 1};
    char to_near[32], to_far[256];
    near_options.cluster.n = 1;
    far_options.cluster.api_key = near_options.cluster.api_key = MOVES_KEY;
    stage_members_up(&far, &far_options);
    near_options.cluster.base_port = qr_free_ports(1);
    snprintf(to_near, sizeof to_near, "127.0.0.1:%u", near_options.cluster.base_port);
    qr_cluster_set_upstream(&far.cluster, to_near, MOVES_KEY);
    qr_process_signal(&far.cluster.members[1].process, SIGHUP);
    qr_cluster_destinations(&far.cluster, 1, ' ', to_far, sizeof to_far);
    near_options.also = to_far; /* host i begins at the i-th of both */
    near_options.cluster.upstream = to_far;
    near_options.cluster.upstream_key = MOVES_KEY;
    stage_up(&near, &near_options);
    streamed_on_adopt(&far, &near);
    streamed_on_check(&near, &far);
    for (int move = 0; move < 4; move++) {
        qr_process_signal(&near.load, SIGUSR1);
        stage_wait_live(&near, MOVE_MS);
        streamed_on_check(&near, &far);
    }
}

/* Has the far side the newest row? */
static bool has_newest(void *data)
{
    const struct odd_child *child = data;
    int status = qr_fetch_get(
        &far.cluster.fetch, 3000,
        "%s/host/%s/api/v1/data?chart=" ODD_CHART "&format=json&after=%lld&before=%lld",
        far.cluster.members[1].url, child->guid, (long long)child->clock_s - child->update_every,
        (long long)child->clock_s);
    json_t *answer = status == 200 ? qr_fetch_json(&far.cluster.fetch) : NULL;
    const json_t *row = json_array_get(json_object_get(answer, "data"), 0);
    bool has = json_is_number(json_array_get(row, 1));
    json_decref(answer);
    return has;
}

static const char *const late_names[ODD_DIMS_MAX] = {"a"};

static void define_late(struct odd_child *child, struct stage *stage, const char *hostname)
{
    child->stage = stage;
    odd_connect(child, 1, hostname);
    odd_define(child, "line", "", "DIMENSION 'a' 'a' 'absolute' 1 1 ''\n");
    odd_collect(child, 5);
}

/* A child of the near side pauses for a second, so that what is behind that comes late (1.37's
 * bug), or never, and the far side is there again only when it has the newest row. */
static void pause_and_be_streamed_on(struct odd_child *child, const char *hostname, unsigned n_told,
                                     unsigned n_newer)
{
    child->since_s = child->clock_s;
    child->collects[0] = true;
    odd_collect(child, n_told);
    child->told_to_s = child->clock_s;
    child->clock_s += child->update_every;
    odd_collect(child, 20);
    child->kept_to_s = child->clock_s;
    odd_collect(child, n_newer);
    qr_cluster_kill(&far.cluster, 1);
    define_late(child, &near, hostname);
    expect(&far, qr_cluster_start(&far.cluster, 1) == 0);
    expect(&far, qr_wait_for(has_newest, child, RETURN_MS, 50));
}

/* What comes late is older than all that the far side has, or taken for a gap, or so old that what
 * is newer is whole for longer than is looked back at. */
static void a_late_past_goes_on(const char *hostname, unsigned n, unsigned n_told, uint32_t every_s,
                                unsigned n_newer)
{
    struct odd_child child, seen_far;
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    odd_init(&child, &near, n, now_s - now_s % 60 - 900 - (int64_t)every_s * n_newer);
    child.update_every = every_s;
    pause_and_be_streamed_on(&child, hostname, n_told, n_newer);
    child.kept_to_s = 0;
    odd_check(&child, late_names);
    seen_far = child;
    seen_far.stage = &far;
    seen_far.fd = -1;
    odd_check(&seen_far, late_names);
    odd_disconnect(&child);
}

static bool has_gap(void *data)
{
    return stage_gaps(&far, data) > 0;
}

/* The child moves to the far side: what the near one lacked is no gap of the child. */
static void what_a_node_lacks_its_child_is_asked_for(void)
{
    struct odd_child child;
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    odd_init(&child, &near, 4, now_s - now_s % 60 - 900);
    pause_and_be_streamed_on(&child, "late-moves", 5, 0);
    expect(&far, qr_wait_for(has_gap, child.guid, RETURN_MS, 50));
    odd_disconnect(&child);
    child.kept_to_s = 0;
    define_late(&child, &far, "late-moves");
    odd_check(&child, late_names);
    odd_disconnect(&child);
}

static void what_a_child_tells_late_goes_on(void **state)
{
    (void)state;
    struct stage_options near_options = {.name = "second-late", .n_hosts = 1, .cluster.n = 1};
    struct stage_options far_options = {.name = "second-late-far", .cluster.n = 1};
    streamed_on_up(&near, &far, &near_options, &far_options);
    a_late_past_goes_on("late-first", 1, 0, 1, 0);
    a_late_past_goes_on("late-gap", 2, 5, 1, 0);
    a_late_past_goes_on("late-old", 3, 5, 20, 600);
    what_a_node_lacks_its_child_is_asked_for();
    streamed_on_check(&near, &far);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_next_owner_goes_on_where_the_far_side_is, tear_down),
        cmocka_unit_test_teardown(a_far_member_dies_and_then_all_of_them, tear_down),
        cmocka_unit_test_teardown(children_move_between_the_two, tear_down),
        cmocka_unit_test_teardown(what_a_child_tells_late_goes_on, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
