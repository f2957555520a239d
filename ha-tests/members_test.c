/* The members of a running cluster change while children stream: one is added, the leader is
 * removed, one loses all its data and is rebuilt by one command.  Afterwards each member holds
 * every second of every chart. */
#include <stdio.h>

#include "ha-tests/harness.h"

#define SEEN_MS 30000
#define OVER_MS 60000

static struct stage stage;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

static bool has_text(const json_t *object, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL && strcmp(value, text) == 0;
}

struct expected {
    unsigned member;
    const char *place;
    unsigned n_voters; /* 0: any number */
};

static unsigned count_voters(const json_t *status)
{
    const json_t *members = json_object_get(status, "members");
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(members); i++)
        n += has_text(json_array_get(members, i), "kind", "voter");
    return n;
}

static bool says(void *data)
{
    const struct expected *expected = data;
    json_t *status = qr_cluster_status(&stage.cluster, expected->member);
    bool so = has_text(status, "place", expected->place) &&
              (expected->n_voters == 0 || (count_voters(status) == expected->n_voters &&
                                           json_is_null(json_object_get(status, "change"))));
    json_decref(status);
    return so;
}

static void wait_says(unsigned member, const char *place, unsigned n_voters)
{
    struct expected expected = {member, place, n_voters};
    expect(&stage, qr_wait_for(says, &expected, OVER_MS, 100));
}

/* A member that runs and is none of these two. */
static unsigned another(unsigned a, unsigned b)
{
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        if (id != a && id != b && qr_cluster_running(&stage.cluster, id))
            return id;
    return 0;
}

static void add_the_fourth(void)
{
    char word[80];
    expect(&stage, qr_cluster_start_spare(&stage.cluster) == 0);
    wait_says(4, "not a member", 0);
    snprintf(word, sizeof word, "4=%s", stage.cluster.members[4].link);
    unsigned asked = another(qr_cluster_wait_leader(&stage.cluster, SEEN_MS), 4);
    expect(&stage, qr_cluster_members(&stage.cluster, asked, "add", word, NULL) == 0);
    wait_says(4, "voter", 4);
    expect(&stage, qr_cluster_members(&stage.cluster, asked, "add", word, NULL) == 2);
    expect(&stage, qr_cluster_members(&stage.cluster, asked, "remove", "7", NULL) == 2);
}

static unsigned remove_the_leader(void)
{
    char word[16];
    unsigned leader = qr_cluster_wait_leader(&stage.cluster, SEEN_MS);
    snprintf(word, sizeof word, "%u", leader);
    expect(&stage,
           qr_cluster_members(&stage.cluster, another(leader, 0), "remove", word, NULL) == 0);
    wait_says(another(leader, 0), "voter", 3);
    expect(&stage, qr_cluster_stop(&stage.cluster, leader));
    return leader;
}

/* It comes back with an empty folder, waits and votes for nobody, until it is asked for. */
static void rebuild(unsigned id)
{
    char word[16];
    unsigned asked = another(id, 0);
    snprintf(word, sizeof word, "%u", id);
    qr_cluster_kill(&stage.cluster, id);
    qr_cluster_wipe(&stage.cluster, id);
    expect(&stage, qr_cluster_start(&stage.cluster, id) == 0);
    wait_says(id, "lost its data", 0);
    expect(&stage, qr_cluster_members(&stage.cluster, asked, "replace", word, NULL) == 0);
    wait_says(id, "voter", 3);
    wait_says(asked, "voter", 3);
}

static void members_change_while_children_stream(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "members",
        .n_hosts = 3,
        .n_charts = 8,
        .cluster = {.n_spare = 1, .window_s = 5, .snapshot_threshold = 40, .snapshot_trailing = 20},
    };
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_up(&stage, &options);
    stage_guid(&stage, 0, guid);
    add_the_fourth();
    unsigned removed = remove_the_leader();
    stage_fault(&stage);
    stage_wait_stored_after_fault(&stage, guid, OVER_MS);
    rebuild(another(removed, 4));
    stage_fault(&stage);
    stage_wait_stored_after_fault(&stage, guid, OVER_MS);
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(members_change_while_children_stream, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
