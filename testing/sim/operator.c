#include "testing/sim/operator.h"

#include <assert.h>
#include <stdlib.h>

#include "cluster/group.h"

#define TURN_MS 1000u

static const struct qr_group_member_status *find(const struct qr_group_status *status, uint32_t id)
{
    for (unsigned i = 0; i < status->n_members; i++)
        if (status->members[i].id == id)
            return &status->members[i];
    return NULL;
}

/* What came of it shows in the status. */
static void on_asked(void *data, int status, uint64_t index)
{
    (void)data, (void)status, (void)index;
}

static void comes_back(struct qr_sim_member *member)
{
    member->is_lost = false;
    member->rebuilt_ns = qr_sim_now_ns();
}

static void ask(struct qr_group *group, enum qr_change_kind kind, struct qr_sim_member *member)
{
    static const char *const names[] = {
        [QR_CHANGE_ADD] = "add", [QR_CHANGE_REMOVE] = "remove", [QR_CHANGE_REPLACE] = "replace"};
    uint32_t goes = kind == QR_CHANGE_ADD ? 0 : member->id;
    uint32_t comes = kind == QR_CHANGE_REMOVE ? 0 : member->id;
    const char *address =
        kind == QR_CHANGE_ADD ? member->config.members[member->id - 1].address : "";
    int err = qr_group_ask_change(group, kind, goes, comes, address, on_asked, NULL);
    qr_sim_say("the operator asks for a change: %s %u: %d", names[kind], member->id, err);
    if (err == 0 && comes != 0)
        comes_back(member);
}

/* A member that is up and knows that its disk is not the group's; false: it has its place, or
 * nobody can know. */
static bool is_other_disk(const struct qr_sim_member *member, uint32_t *disk)
{
    struct qr_group_status status;
    if (member->node == NULL)
        return false;
    qr_group_get_status(qr_node_group(member->node), &status);
    *disk = status.disk;
    return status.waiting && status.place == QR_PLACE_OTHER_DISK;
}

/* Who comes lost the disk with which it came. */
static bool is_stale(const struct qr_group_status *status)
{
    const struct qr_change *change = &status->change;
    uint32_t disk = 0;
    if (change->with == 0 || change->canceled ||
        !is_other_disk(&qr_sim_cluster.members[change->with - 1], &disk))
        return false;
    for (unsigned i = 0; i < status->n_members; i++) {
        const struct qr_group_member_status *at = &status->members[i];
        if (at->id == change->with && at->disk != change->disk && at->disk != disk)
            return true;
    }
    return false;
}

/* What one member lacks; false: nothing. */
static bool look_after(struct qr_group *group, const struct qr_group_status *status,
                       struct qr_sim_member *member)
{
    bool listed = find(status, member->id) != NULL;
    uint32_t disk = 0;
    if (!member->is_wanted && listed)
        ask(group, QR_CHANGE_REMOVE, member);
    else if (member->is_wanted && !listed && member->node != NULL)
        ask(group, QR_CHANGE_ADD, member);
    else if (member->is_wanted && listed && is_other_disk(member, &disk))
        ask(group, QR_CHANGE_REPLACE, member);
    else
        return false;
    return true;
}

static void on_turn(uv_timer_t *timer)
{
    const struct qr_sim_member *asked = timer->data;
    struct qr_group *group = qr_node_group(asked->node);
    struct qr_group_status status;
    if (qr_sim_now_ns() / QR_SIM_S % qr_sim_cluster.n_members != asked->id - 1 || group == NULL)
        return;
    qr_group_get_status(group, &status);
    if (!status.ready || !status.is_voter)
        return;
    if (status.change.with != 0)
        comes_back(&qr_sim_cluster.members[status.change.with - 1]);
    if (status.change.kind != QR_CHANGE_NONE) {
        if (is_stale(&status)) {
            int err = qr_group_cancel_change(group, on_asked, NULL);
            qr_sim_say("the operator takes a change back: %d", err);
        }
        return;
    }
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++)
        if (i != asked->id - 1 && look_after(group, &status, &qr_sim_cluster.members[i]))
            return;
}

void qr_sim_operator_start(struct qr_sim_member *member, uv_loop_t *loop)
{
    uv_timer_t *timer = calloc(1, sizeof *timer);
    assert(timer != NULL);
    timer->data = member;
    int err = uv_timer_init(loop, timer);
    assert(err == 0);
    err = uv_timer_start(timer, on_turn, TURN_MS, TURN_MS);
    assert(err == 0);
    (void)err;
    uv_unref((uv_handle_t *)timer);
}
