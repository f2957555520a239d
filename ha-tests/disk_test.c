/* The data of one member lie on a small file system that becomes full. */
#include <unistd.h>

#include "ha-tests/harness.h"
#include "ha-tests/small_disk.h"

#define RESERVE_MIB 8
#define MOVE_MS     30000
#define RETURN_MS   40000
#define FULL_S      6

static struct stage stage;
static char mount_dir[QR_TEMP_DIR_BYTES];

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    if (mount_dir[0] != '\0') {
        small_disk_remove(mount_dir);
        rmdir(mount_dir);
    }
    return 0;
}

static bool make_disk(void)
{
    qr_temp_dir(mount_dir, "disk");
    return small_disk_namespace() && small_disk_make(mount_dir, "96m");
}

struct watch {
    unsigned id;
};

static bool has_noticed(void *data)
{
    struct watch *w = data;
    if (!qr_cluster_running(&stage.cluster, w->id))
        return true; /* It has stopped itself: the log could not be written. */
    json_t *status = qr_cluster_status(&stage.cluster, w->id);
    bool ready = json_is_true(json_object_get(status, "ready"));
    json_decref(status);
    return status != NULL && !ready;
}

static void a_full_disk_on_one_member_costs_nothing(void **state)
{
    (void)state;
    if (!make_disk()) {
        print_message("ha full-disk: a small file system cannot be mounted here (root is needed): "
                      "skipped\n");
        skip();
    }
    const char *data_dirs[3] = {mount_dir, NULL, NULL};
    struct stage_options options = {
        .name = "full-disk",
        .netdata = true,
        .cluster = {.data_dirs = data_dirs, .disk_reserve_mib = RESERVE_MIB}};
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_up(&stage, &options);
    struct watch victim = {1};
    stage_fault(&stage);
    expect(&stage, small_disk_fill(mount_dir, 0));
    expect(&stage, qr_wait_for(has_noticed, &victim, MOVE_MS, 50));
    for (uint32_t host = 0; host < stage.model.n_hosts; host++) {
        stage_guid(&stage, host, guid);
        stage_wait_stored_after_fault_except(&stage, guid, victim.id, MOVE_MS);
        stage_wait_moved(&stage, guid, victim.id, MOVE_MS);
    }
    qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + FULL_S);
    bool stopped = !qr_cluster_running(&stage.cluster, victim.id);
    small_disk_free(mount_dir);
    print_message("ha full-disk: the member %s\n",
                  stopped ? "stopped itself and is started again" : "went on without proposing");
    if (stopped)
        expect(&stage, qr_cluster_start(&stage.cluster, victim.id) == 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_full_disk_on_one_member_costs_nothing, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
