#include "testing/sim/checks.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cluster/group_private.h"
#include "storage/entry.h"
#include "storage/store.h"
#include "testing/sim/fs.h"

#define HOSTS_MAX      1024u
#define TERMS          4096u
#define TERMS_A_SECOND 100u /* No more are campaigned for. */
#define SNAPSHOTS      4096u
#define LOG_DIR        "/sim/data/group-1/log"

/* What an index must be, by whoever applied it first. */
struct applied {
    uint64_t entry_hash, state_hash; /* state_hash 0: nobody has applied it. */
};

static struct {
    struct applied *at; /* By index. */
    uint64_t capacity, newest;
    struct qr_owner owners[HOSTS_MAX]; /* By host id: as the entries say. */
    uint32_t leaders[TERMS];           /* By term % TERMS. */
    uint64_t terms[TERMS];
    uint64_t newest_term;
} seen;

void qr_sim_checks_init(void)
{
    seen.capacity = 1u << 14;
    seen.at = calloc(seen.capacity, sizeof *seen.at);
    assert(seen.at != NULL);
}

void qr_sim_violation(const char *format, ...)
{
    struct qr_sim_result *result = qr_sim_cluster.result;
    if (result->n_violations++ != 0)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(result->sentence, sizeof result->sentence, format, args);
    va_end(args);
    result->violation_step = qr_sim_steps();
    result->violation_ms = qr_sim_now_ns() / QR_SIM_MS;
}

bool qr_sim_violated(void)
{
    return qr_sim_cluster.result->n_violations != 0;
}

/* ---- entries ---- */

static struct applied *applied_at(uint64_t index)
{
    if (index >= seen.capacity) {
        uint64_t n = 2 * index;
        seen.at = realloc(seen.at, n * sizeof *seen.at);
        assert(seen.at != NULL);
        memset(&seen.at[seen.capacity], 0, (n - seen.capacity) * sizeof *seen.at);
        seen.capacity = n;
    }
    return &seen.at[index];
}

/* A block was taken by a machine: had it to be? */
static void check_block(const struct qr_sim_member *member, const struct qr_command *command,
                        const struct qr_entry_host *block, const struct qr_owner *now,
                        uint64_t index)
{
    struct qr_owner *owner = &seen.owners[block->host];
    if (now->block_seq == owner->block_seq)
        return; /* Not taken. */
    if (owner->member != command->member || owner->epoch != block->epoch)
        qr_sim_violation("%s took a fenced block: entry %llu of member %u, host %u, epoch %u, "
                         "while member %u owns it in epoch %u",
                         member->host->name, (unsigned long long)index, command->member,
                         block->host, block->epoch, owner->member, owner->epoch);
    else if (block->block_seq != owner->block_seq + 1 || now->block_seq < owner->block_seq)
        qr_sim_violation("%s took block %u after block %u: entry %llu, host %u, epoch %u",
                         member->host->name, block->block_seq, owner->block_seq,
                         (unsigned long long)index, block->host, block->epoch);
    owner->block_seq = block->block_seq;
}

static void check_blocks(const struct qr_sim_member *member, const struct qr_machine *machine,
                         const struct qr_command *command, uint64_t index)
{
    struct qr_entry_reader *reader;
    struct qr_entry_host block;
    if (qr_entry_reader_new(&reader, command->body) != 0)
        return;
    while (qr_entry_next_host(reader, &block)) {
        if (block.host >= HOSTS_MAX)
            continue;
        struct qr_owner now = qr_ownership_get(&machine->ownership, block.host);
        check_block(member, command, &block, &now, index);
    }
    qr_entry_reader_free(reader);
}

/* An epoch is given once, to who asked for it. */
static void check_owners(const struct qr_sim_member *member, const struct qr_machine *machine,
                         const struct qr_command *command, uint64_t index)
{
    for (uint32_t host = 1; host < machine->ownership.n && host < HOSTS_MAX; host++) {
        struct qr_owner now = qr_ownership_get(&machine->ownership, host);
        struct qr_owner *owner = &seen.owners[host];
        bool taken = now.epoch != owner->epoch || now.member != owner->member;
        bool dropped = now.member == 0 && command->type == QR_COMMAND_FORGET;
        if (taken && !dropped &&
            (command->type != QR_COMMAND_OWN || now.epoch != owner->epoch + 1 ||
             now.member != command->member))
            qr_sim_violation("%s: host %u went from member %u, epoch %u, to member %u, epoch %u, "
                             "with entry %llu, %s of member %u",
                             member->host->name, host, owner->member, owner->epoch, now.member,
                             now.epoch, (unsigned long long)index,
                             qr_command_type_name(command->type), command->member);
        *owner = now;
    }
}

static void count_command(const struct qr_command *command)
{
    struct qr_sim_result *result = qr_sim_cluster.result;
    result->n_entries++;
    result->n_seals += command->type == QR_COMMAND_SEAL;
    result->n_merges += command->type == QR_COMMAND_MERGE;
}

/* The first that applies it says what it is; the others must agree. */
static void check_first(const struct qr_sim_member *member, const struct qr_machine *machine,
                        uint64_t index, struct qr_slice entry)
{
    struct qr_command command;
    seen.newest = index;
    if (qr_command_decode(&command, entry) != 0)
        return;
    count_command(&command);
    if (command.type == QR_COMMAND_SAMPLES)
        check_blocks(member, machine, &command, index);
    else if (command.type == QR_COMMAND_OWN || command.type == QR_COMMAND_FORGET)
        check_owners(member, machine, &command, index);
}

void qr_sim_check_applied(const struct qr_sim_member *member, const struct qr_machine *machine,
                          uint64_t index, struct qr_slice entry)
{
    struct applied *known = applied_at(index);
    uint64_t entry_hash = XXH3_64bits(entry.base, entry.len);
    qr_sim_cluster.result->n_applied++;
    qr_sim_note(machine->hash);
    if (known->state_hash == 0) {
        *known = (struct applied){entry_hash, machine->hash};
        check_first(member, machine, index, entry);
    } else if (known->entry_hash != entry_hash) {
        qr_sim_violation("%s applied another entry at index %llu than was committed there: what "
                         "was committed is lost",
                         member->host->name, (unsigned long long)index);
    } else if (known->state_hash != machine->hash) {
        qr_sim_violation("%s has another state than the others after entry %llu",
                         member->host->name, (unsigned long long)index);
    }
}

void qr_sim_check_replaced(const struct qr_sim_member *member, const struct qr_machine *machine)
{
    const struct applied *known = applied_at(machine->applied);
    qr_sim_cluster.result->n_installs++;
    if (machine->applied != 0 && known->state_hash != 0 && known->state_hash != machine->hash)
        qr_sim_violation("%s restored a snapshot that has another state than the others after "
                         "entry %llu",
                         member->host->name, (unsigned long long)machine->applied);
}

/* ---- each step ---- */

void qr_sim_check_step(void)
{
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++) {
        struct qr_sim_member *member = &qr_sim_cluster.members[i];
        const struct qr_group *group = member->node != NULL ? qr_node_group(member->node) : NULL;
        if (group == NULL)
            continue;
        if (group->raft.commit_index < member->commit)
            qr_sim_violation("%s: the commit index went back from %llu to %llu", member->host->name,
                             (unsigned long long)member->commit,
                             (unsigned long long)group->raft.commit_index);
        member->commit = group->raft.commit_index;
    }
}

/* ---- snapshots ---- */

struct named {
    unsigned long long index, term;
};

static struct named snapshots[SNAPSHOTS]; /* By index % SNAPSHOTS. */

/* The library's names: snapshot-TERM-INDEX-TIME. */
static void check_snapshot(void *data, const char *path, uint64_t size)
{
    const struct qr_sim_member *member = data;
    struct named named;
    (void)size;
    if (sscanf(strrchr(path, '/'), "/snapshot-%llu-%llu-", &named.term, &named.index) != 2)
        return;
    struct named *known = &snapshots[named.index % SNAPSHOTS];
    if (known->index == named.index && known->term != named.term)
        qr_sim_violation("%s has a snapshot of entry %llu under term %llu, others had it under "
                         "term %llu",
                         member->host->name, named.index, named.term, known->term);
    *known = named;
}

/* ---- each second ---- */

static void check_leader(const struct qr_sim_member *member, const struct qr_group_status *status)
{
    uint32_t *leader = &seen.leaders[status->term % TERMS];
    if (status->role != QR_GROUP_LEADER)
        return;
    if (seen.terms[status->term % TERMS] != status->term) {
        seen.terms[status->term % TERMS] = status->term;
        *leader = member->id;
        qr_sim_cluster.result->n_elections++;
    }
    if (*leader != member->id)
        qr_sim_violation("term %llu has two leaders: member-%u and member-%u",
                         (unsigned long long)status->term, *leader, member->id);
}

static void check_member(struct qr_sim_member *member)
{
    struct qr_group_status status;
    if (member->node == NULL)
        return;
    qr_group_get_status(qr_node_group(member->node), &status);
    check_leader(member, &status);
    if (status.term < member->term)
        qr_sim_violation("%s: the term went back from %llu to %llu", member->host->name,
                         (unsigned long long)member->term, (unsigned long long)status.term);
    if (status.term < member->term_ever)
        qr_sim_violation("%s was in term %llu and is in term %llu after a restart",
                         member->host->name, (unsigned long long)member->term_ever,
                         (unsigned long long)status.term);
    if (status.term > seen.newest_term + TERMS_A_SECOND)
        qr_sim_violation("%s is in term %llu, which nobody reached after term %llu",
                         member->host->name, (unsigned long long)status.term,
                         (unsigned long long)seen.newest_term);
    if (member->is_lost && (status.is_voter || status.term != 0))
        qr_sim_violation("%s lost its disk and takes part in term %llu", member->host->name,
                         (unsigned long long)status.term);
    if (status.diverged)
        qr_sim_violation("%s says that members differ", member->host->name);
    member->term = member->term_ever = status.term;
    seen.newest_term = status.term > seen.newest_term ? status.term : seen.newest_term;
}

void qr_sim_check_second(void)
{
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++)
        check_member(&qr_sim_cluster.members[i]);
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++) {
        struct qr_sim_member *member = &qr_sim_cluster.members[i];
        qr_sim_disk_walk(member->host, LOG_DIR, check_snapshot, member);
    }
}

/* ---- settled ---- */

#define BEHIND_MAX 20u /* Entries: some are on their way all the time. */

/* NULL: it is as it should be. */
static const char *lacks(const struct qr_sim_member *member, uint64_t *applied)
{
    struct qr_group_status status;
    struct qr_store_stats stats;
    if (member->node == NULL)
        return "is down";
    qr_group_get_status(qr_node_group(member->node), &status);
    if (!status.ready)
        return "cannot feed the log";
    if (!status.is_voter)
        return "is not in the group";
    qr_store_get_stats(qr_node_store(member->node), &stats);
    *applied = status.applied;
    return stats.n_missing != 0 ? "lacks block files" : NULL;
}

static const char *child_lacks(const struct qr_sim_child *child)
{
    if (child->child == NULL || qr_child_connected_to(child->child) == NULL)
        return "is not connected";
    return qr_child_sender_stats(child->child)->n_live == 0 ? "is not live" : NULL;
}

static bool tell(char *why, size_t bytes, const struct qr_sim_host *host, const char *lack)
{
    if (lack != NULL)
        snprintf(why, bytes, "%s %s", host->name, lack);
    return lack == NULL;
}

bool qr_sim_check_settled(char *why, size_t bytes)
{
    uint64_t applied;
    if (qr_sim_leader() == NULL) {
        snprintf(why, bytes, "there is no leader");
        return false;
    }
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++) {
        const struct qr_sim_member *member = &qr_sim_cluster.members[i];
        const char *lack = lacks(member, &applied);
        if (lack == NULL && applied + BEHIND_MAX < seen.newest)
            lack = "is behind";
        if (!tell(why, bytes, member->host, lack))
            return false;
    }
    for (uint32_t i = 0; i < qr_sim_cluster.n_children; i++) {
        const struct qr_sim_child *child = &qr_sim_cluster.children[i];
        if (!tell(why, bytes, child->host, child_lacks(child)))
            return false;
    }
    return true;
}
