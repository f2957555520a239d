#include "testing/cluster.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing/cmocka.h"
#include "testing/tests/canned.h"

/* Three "members" that live and answer from here; what they say: */
static struct {
    int leader, applied, owner, epoch;
    const char *hash;
} says[4];

static void answer(const char *request, struct qr_buf *body, int *status)
{
    unsigned id = 0;
    sscanf(request, "GET /m%u/", &id);
    if (id == 0 || id > 3 || says[id].hash == NULL) {
        *status = 503;
        return;
    }
    qr_buf_printf(body,
                  "{\"leader\":%d,\"applied\":%d,\"ready\":true,\"hash\":\"%s\",\"children\":["
                  "{\"guid\":\"g\",\"owner\":%d,\"epoch\":%d,\"watermark\":%d}]}",
                  says[id].leader, says[id].applied, says[id].hash, says[id].owner, says[id].epoch,
                  1000 + says[id].applied);
}

static struct canned server = {.answer = answer};

static int set_up(void **state)
{
    static struct qr_cluster cluster;
    struct qr_cluster_options options = {.name = "cluster-test", .snapshot_threshold = 64};
    canned_start(&server);
    if (qr_cluster_create(&cluster, &options) != 0)
        return -1;
    for (unsigned id = 1; id <= 3; id++) {
        const char *argv[] = {"/bin/sleep", "60", NULL};
        struct qr_cluster_member *member = &cluster.members[id];
        qr_process_start(&member->process, "sleep", "/dev/null", -1, argv);
        snprintf(member->url, sizeof member->url, "http://127.0.0.1:%u/m%u", server.port, id);
        says[id].hash = "aa";
        says[id].applied = 5;
        says[id].leader = 2;
    }
    *state = &cluster;
    return 0;
}

static int tear_down(void **state)
{
    struct qr_cluster *cluster = *state;
    qr_cluster_release(cluster, false);
    canned_stop(&server);
    return access(cluster->dir, F_OK) == 0;
}

static void writes_files_for_each_member(void **state)
{
    struct qr_cluster *cluster = *state;
    char path[512], text[4096];
    for (unsigned id = 1; id <= 3; id++) {
        snprintf(path, sizeof path, "%s/member.key", cluster->members[id].dir);
        assert_int_equal(access(path, R_OK), 0);
        snprintf(path, sizeof path, "%s/quorate.conf", cluster->members[id].dir);
        FILE *file = fopen(path, "r");
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        assert_non_null(strstr(text, cluster->cluster_id));
        assert_non_null(strstr(text, "snapshot threshold = 64\n"));
        assert_non_null(strstr(text, cluster->members[4 - id].link));
        assert_null(strstr(text, "tick ms"));
    }
    char list[256];
    qr_cluster_destinations(cluster, 3, ',', list, sizeof list);
    assert_memory_equal(list, cluster->members[3].http, strlen(cluster->members[3].http));
    assert_non_null(strstr(list, cluster->members[2].http));
}

static void believes_a_majority_about_the_leader(void **state)
{
    struct qr_cluster *cluster = *state;
    assert_int_equal(qr_cluster_wait_leader(cluster, 1000), 2);
    says[1].leader = 1;
    assert_int_equal(qr_cluster_leader(cluster), 2);
    says[3].leader = 3;
    assert_int_equal(qr_cluster_leader(cluster), 0);
    says[1].leader = says[3].leader = 2;
    qr_cluster_kill(cluster, 2); /* Those that are left still name it. */
    assert_int_equal(qr_cluster_leader(cluster), 0);
}

static void believes_the_newest_epoch_about_the_owner(void **state)
{
    struct qr_cluster *cluster = *state;
    assert_int_equal(qr_cluster_owner(cluster, "g"), 0);
    says[1].owner = 1;
    says[1].epoch = 4;
    says[2].owner = 2;
    says[2].epoch = 5;
    assert_int_equal(qr_cluster_owner(cluster, "g"), 2);
    assert_int_equal(qr_cluster_watermark(cluster, 1, "g"), 1005);
    assert_int_equal(qr_cluster_owner(cluster, "unknown"), 0);
}

static void sees_members_differ(void **state)
{
    struct qr_cluster *cluster = *state;
    assert_true(qr_cluster_wait_caught_up(cluster, 1000));
    assert_int_equal(qr_cluster_compare_hashes(cluster, 1000), 1);
    says[3].applied = 6;
    assert_int_equal(qr_cluster_compare_hashes(cluster, 100), 0); /* Never at one index. */
    assert_false(qr_cluster_wait_caught_up(cluster, 100));
    says[3].applied = 5;
    says[3].hash = "ab";
    assert_int_equal(qr_cluster_compare_hashes(cluster, 1000), -1);
    qr_cluster_pause(cluster, 3); /* Not asked then. */
    assert_int_equal(qr_cluster_compare_hashes(cluster, 1000), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_files_for_each_member, set_up, tear_down),
        cmocka_unit_test_setup_teardown(believes_a_majority_about_the_leader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(believes_the_newest_epoch_about_the_owner, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(sees_members_differ, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
