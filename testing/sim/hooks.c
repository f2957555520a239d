/* testing/sim/hooks.c — where the checks listen: the linker puts these functions between the
 * callers and those they are named after (--wrap), so that the program needs no seam for it. */
#include "cluster/group.h"
#include "node/bodies.h"
#include "node/glue.h"
#include "storage/store.h"
#include "testing/sim/checks.h"
#include "testing/sim/inject.h"

void __real_qr_machine_apply(struct qr_machine *machine, uint64_t index, struct qr_slice entry);
void __wrap_qr_machine_apply(struct qr_machine *machine, uint64_t index, struct qr_slice entry);
void __real_qr_machine_replace(struct qr_machine *machine, struct qr_image_state *state);
void __wrap_qr_machine_replace(struct qr_machine *machine, struct qr_image_state *state);
int __real_qr_store_snapshot_begin(struct qr_store *store, struct qr_store_pin *pin);
int __wrap_qr_store_snapshot_begin(struct qr_store *store, struct qr_store_pin *pin);
int __real_qr_store_decode(struct qr_store *store, struct qr_slice bytes, struct qr_state **state);
int __wrap_qr_store_decode(struct qr_store *store, struct qr_slice bytes, struct qr_state **state);
int __real_qr_store_fetch_enter(struct qr_store *store, const struct qr_block_name *file,
                                const char *path);
int __wrap_qr_store_fetch_enter(struct qr_store *store, const struct qr_block_name *file,
                                const char *path);

int __real_qr_group_propose(struct qr_group *group, enum qr_command_type type, struct qr_slice body,
                            qr_proposal_cb done, void *data);
int __wrap_qr_group_propose(struct qr_group *group, enum qr_command_type type, struct qr_slice body,
                            qr_proposal_cb done, void *data);

static void tell_moment(struct qr_slice entry)
{
    struct qr_command command;
    if (qr_command_decode(&command, entry) != 0)
        return;
    if (command.type == QR_COMMAND_SEAL)
        qr_sim_moment(QR_SIM_MOMENT_SEAL);
    else if (command.type == QR_COMMAND_MERGE)
        qr_sim_moment(QR_SIM_MOMENT_MERGE);
}

void __wrap_qr_machine_apply(struct qr_machine *machine, uint64_t index, struct qr_slice entry)
{
    uint64_t before = machine->applied;
    __real_qr_machine_apply(machine, index, entry);
    if (machine->applied != index || before == index)
        return;
    qr_sim_check_applied(qr_sim_member_of(qr_sim_host()), machine, index, entry);
    tell_moment(entry);
}

void __wrap_qr_machine_replace(struct qr_machine *machine, struct qr_image_state *state)
{
    __real_qr_machine_replace(machine, state);
    qr_sim_check_replaced(qr_sim_member_of(qr_sim_host()), machine);
}

int __wrap_qr_group_propose(struct qr_group *group, enum qr_command_type type, struct qr_slice body,
                            qr_proposal_cb done, void *data)
{
    struct qr_sealed sealed;
    if (type == QR_COMMAND_SEALED && qr_sealed_decode(&sealed, body) == 0)
        qr_sim_check_vote(qr_sim_member_of(qr_sim_host()), &sealed.id);
    return __real_qr_group_propose(group, type, body, done, data);
}

int __wrap_qr_store_snapshot_begin(struct qr_store *store, struct qr_store_pin *pin)
{
    int err = __real_qr_store_snapshot_begin(store, pin);
    if (err == 0) {
        qr_sim_cluster.result->n_snapshots++;
        qr_sim_moment(QR_SIM_MOMENT_SNAPSHOT);
    }
    return err;
}

int __wrap_qr_store_decode(struct qr_store *store, struct qr_slice bytes, struct qr_state **state)
{
    int err = __real_qr_store_decode(store, bytes, state);
    const struct qr_sim_member *member = qr_sim_member_of(qr_sim_host());
    if (err == 0 && bytes.len != 0 && member->node != NULL) /* Not at its start. */
        qr_sim_moment(QR_SIM_MOMENT_INSTALL);
    return err;
}

int __wrap_qr_store_fetch_enter(struct qr_store *store, const struct qr_block_name *file,
                                const char *path)
{
    int err = __real_qr_store_fetch_enter(store, file, path);
    if (err == 0) {
        qr_sim_cluster.result->n_fetches++;
        qr_sim_moment(QR_SIM_MOMENT_FETCH);
    }
    return err;
}
