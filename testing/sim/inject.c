#include "testing/sim/inject.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "testing/sim/fs.h"
#include "testing/sim/net.h"

#define FULL_LEFT_BYTES (64u * 1024) /* What is left of a full disk. */
#define EXCUSED_MS      10000u       /* A member that met a bad disk may end so long after it. */
#define OPEN_USED_BYTES 30000u       /* Of an open segment, mostly. */
#define MISDATED_S      100u         /* A child is wrong about its times by so much at most. */
#define RESTART_MS      500u         /* .. and starts again so soon to say the truth. */
#define MOMENT_CALLS    12u          /* It dies within so many calls of the disk .. */
#define MOMENT_MS       30u          /* .. or within this time. */

struct active {
    const struct qr_sim_fault *fault;
    struct qr_sim_event begin, end;
    struct qr_sim_child *spare;
};

static struct {
    struct active *at;
    uint32_t n;
    struct active *waiting; /* A leader-kill, for its moment. */
    struct qr_sim_event strike;
    unsigned usual_percent;
} inject;

static struct qr_sim_member *member_of(const struct qr_sim_fault *fault)
{
    return fault->target >= 1 && fault->target <= qr_sim_cluster.n_members
               ? &qr_sim_cluster.members[fault->target - 1]
               : NULL;
}

static struct qr_sim_child *child_of(const struct qr_sim_fault *fault)
{
    return fault->target >= 1 && fault->target <= qr_sim_cluster.n_children
               ? &qr_sim_cluster.children[fault->target - 1]
               : NULL;
}

static void took_effect(const struct qr_sim_fault *fault)
{
    qr_sim_cluster.result->n_faults[fault->kind]++;
}

/* Mostly some seconds; every tenth up to an hour, every tenth up to two years. */
static int64_t clock_jump_ms(const struct qr_sim_fault *fault)
{
    uint64_t digit = (uint64_t)llabs((long long)fault->number) % 10;
    return fault->number * (digit == 8 ? 180 : digit == 9 ? 3153600 : 1);
}

/* ---- members go down ---- */

static void begin_kill(const struct qr_sim_fault *fault, struct qr_sim_member *member)
{
    enum qr_sim_down how = fault->kind == QR_SIM_FAULT_POWER ? QR_SIM_POWER : QR_SIM_KILL;
    if (fault->number == 0) {
        qr_sim_member_take(member, how, fault->for_ms);
        return;
    }
    enum qr_sim_when when = (enum qr_sim_when)(fault->number % 3);
    member->held_until_ns = qr_sim_now_ns() + fault->for_ms * QR_SIM_MS;
    qr_sim_disk_crash_at(member->host, (uint64_t)fault->number, when, how);
}

static void end_kill(const struct qr_sim_fault *fault, struct qr_sim_member *member)
{
    if (fault->number != 0)
        qr_sim_disk_crash_at(member->host, 0, QR_SIM_BEFORE, QR_SIM_KILL);
}

static void take_all(const struct qr_sim_fault *fault)
{
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++)
        qr_sim_member_take(&qr_sim_cluster.members[i], QR_SIM_POWER, fault->for_ms);
}

/* The first `number` members less than all, at least most of them. */
static void take_most(const struct qr_sim_fault *fault)
{
    uint32_t n = qr_sim_cluster.n_members, spared = (uint32_t)fault->number % (n / 2 + n % 2);
    enum qr_sim_down how = fault->number % 2 == 0 ? QR_SIM_KILL : QR_SIM_POWER;
    for (uint32_t i = spared; i < n; i++)
        qr_sim_member_take(&qr_sim_cluster.members[i], how, fault->for_ms);
}

/* ---- a leader in the middle of something ---- */

static void strike(struct active *active)
{
    struct qr_sim_member *leader = qr_sim_leader();
    inject.waiting = NULL;
    if (leader == NULL)
        return;
    took_effect(active->fault);
    qr_sim_member_take(leader, active->fault->at_ms % 2 == 0 ? QR_SIM_KILL : QR_SIM_POWER,
                       active->fault->for_ms);
}

static void on_strike(struct qr_sim_event *event)
{
    (void)event;
    if (inject.waiting != NULL)
        strike(inject.waiting);
}

void qr_sim_moment(enum qr_sim_moment moment)
{
    if (inject.waiting == NULL || inject.strike.place != 0)
        return;
    const struct qr_sim_fault *fault = inject.waiting->fault;
    struct qr_sim_member *leader = qr_sim_leader();
    if (fault->number != (int64_t)moment && fault->number != QR_SIM_MOMENT_ANY)
        return;
    bool by_others = moment == QR_SIM_MOMENT_INSTALL || moment == QR_SIM_MOMENT_FETCH;
    if (leader == NULL || (leader->host != qr_sim_host() && !by_others))
        return;
    qr_sim_say("%s leads and is in the middle of something: %u", leader->host->name,
               (unsigned)moment);
    if (!by_others && qr_sim_chance(2)) {
        leader->held_until_ns = qr_sim_now_ns() + fault->for_ms * QR_SIM_MS;
        qr_sim_disk_crash_at(leader->host, 1 + qr_sim_below(MOMENT_CALLS),
                             (enum qr_sim_when)qr_sim_below(3),
                             qr_sim_chance(2) ? QR_SIM_KILL : QR_SIM_POWER);
        took_effect(fault);
        inject.waiting = NULL;
        return;
    }
    qr_sim_event_at(&inject.strike, NULL, qr_sim_now_ns() + qr_sim_below(MOMENT_MS * QR_SIM_MS),
                    on_strike);
}

/* ---- the network ---- */

static void cut(const struct qr_sim_fault *fault, const struct qr_sim_member *member, bool on)
{
    bool both = fault->kind == QR_SIM_FAULT_PARTITION;
    for (uint32_t i = 1; i <= qr_sim_cluster.n_members; i++) {
        if (i == member->id)
            continue;
        qr_net_cut(member->id, i, on);
        if (both)
            qr_net_cut(i, member->id, on);
    }
    for (uint32_t i = 0; i < qr_sim_cluster.n_children && fault->number != 0; i++) {
        uint32_t child = qr_sim_cluster.children[i].host->id;
        qr_net_cut(member->id, child, on);
        if (both)
            qr_net_cut(child, member->id, on);
    }
}

/* `number` members, from this one on, and all others. */
static void split(const struct qr_sim_fault *fault, bool on)
{
    uint32_t n = qr_sim_cluster.n_members;
    for (uint32_t i = 0; i < n * n; i++) {
        uint32_t from = i / n, to = i % n;
        bool from_is_in = (from + n + 1 - fault->target) % n < (uint32_t)fault->number;
        bool to_is_in = (to + n + 1 - fault->target) % n < (uint32_t)fault->number;
        if (from_is_in != to_is_in)
            qr_net_cut(from + 1, to + 1, on);
    }
}

static void slow_down(const struct qr_sim_member *member, uint64_t latency_us)
{
    uint32_t n = qr_sim_cluster.n_members + qr_sim_cluster.n_children;
    for (uint32_t i = 1; i <= n; i++) {
        if (i == member->id)
            continue;
        qr_net_slow(member->id, i, latency_us, 0);
        qr_net_slow(i, member->id, latency_us, 0);
    }
}

/* ---- disks ---- */

static void begin_disk(const struct qr_sim_fault *fault, struct qr_sim_member *member)
{
    struct qr_sim_disk *disk = qr_sim_disk(member->host);
    if (fault->kind == QR_SIM_FAULT_FULL_DISK)
        disk->capacity_bytes = disk->used_bytes + FULL_LEFT_BYTES;
    else if (fault->kind == QR_SIM_FAULT_SLOW_DISK)
        disk->slow_percent = (unsigned)fault->number * 100;
    else if (fault->number % 2 == 0)
        disk->failing_writes = (unsigned)fault->number;
    else
        disk->failing_syncs = (unsigned)fault->number;
    if (fault->kind == QR_SIM_FAULT_SLOW_DISK)
        return; /* No excuse. */
    member->excused_until_ns = qr_sim_now_ns() + (fault->for_ms + EXCUSED_MS) * QR_SIM_MS;
}

static void end_disk(const struct qr_sim_fault *fault, struct qr_sim_member *member)
{
    struct qr_sim_disk *disk = qr_sim_disk(member->host);
    if (fault->kind == QR_SIM_FAULT_FULL_DISK)
        disk->capacity_bytes = 0;
    else if (fault->kind == QR_SIM_FAULT_SLOW_DISK)
        disk->slow_percent = inject.usual_percent;
    else
        disk->failing_writes = disk->failing_syncs = 0;
}

/* A bit of the log's folder of a member that is down. */
static void rot(const struct qr_sim_fault *fault, struct qr_sim_member *member)
{
    static const struct {
        const char *pattern;
        uint64_t from, to;
    } files[QR_SIM_ROTS] = {
        [QR_SIM_ROT_CLOSED] = {"*/log/0*-0*", 0, 0},
        [QR_SIM_ROT_OPEN] = {"*/log/open-*", 0, OPEN_USED_BYTES},
        [QR_SIM_ROT_SNAPSHOT] = {"*/log/snapshot-*[0-9]", 0, 0},
        [QR_SIM_ROT_META] = {"*/log/snapshot-*.meta", 0, 0},
        [QR_SIM_ROT_TERM] = {"*/log/metadata*", 0, 0},
        [QR_SIM_ROT_OURS] = {"*/log/[cdmt]*[a-z]", 0, 0},
    };
    uint64_t i = (uint64_t)fault->number % QR_SIM_ROTS;
    qr_sim_member_take(member, QR_SIM_KILL, fault->for_ms);
    if (!qr_sim_disk_flip(member->host, files[i].pattern, files[i].from, files[i].to))
        return;
    size_t n = 0;
    while (qr_sim_disk_flipped(n + 1) != NULL)
        n++;
    const struct qr_sim_flip *flip = qr_sim_disk_flipped(n);
    assert(flip != NULL);
    qr_sim_say("bit %u of byte %llu flips: %s", flip->bit, (unsigned long long)flip->offset,
               flip->path);
    member->is_rotten = true;
}

/* ---- children ---- */

static void begin_lies(const struct qr_sim_fault *fault, struct qr_sim_child *child)
{
    child->truncate = (fault->number & 1) != 0;
    child->rules_29 = (fault->number & 2) != 0;
    child->late_every = (fault->number & 4) != 0 ? 3 : 0;
    qr_sim_child_take(child, fault->for_ms);
}

/* Its parent misses some seconds, and is then told wrongly what there is to ask for. */
static void begin_misdating(const struct qr_sim_fault *fault, struct qr_sim_child *child)
{
    uint64_t number = (uint64_t)fault->number;
    child->lie = (enum qr_model_lie)(1 + number % (QR_MODEL_LIES - 1));
    number /= QR_MODEL_LIES - 1;
    child->truncate = (number & 1) != 0;
    child->rules_29 = (number & 2) != 0;
    child->lie_by_s = 1 + (int64_t)(number / 8 % MISDATED_S);
    qr_sim_child_take(child, fault->for_ms / 3);
}

/* The truth: in a new life, or with its charts defined again. */
static void end_misdating(const struct qr_sim_fault *fault, struct qr_sim_child *child)
{
    child->lie = QR_MODEL_TRUTH;
    if ((uint64_t)fault->number / (QR_MODEL_LIES - 1) % 8 >= 4)
        qr_sim_child_take(child, RESTART_MS);
    else if (child->child != NULL)
        qr_child_lie(child->child, child->lie, 0);
}

/* What it has collected, but for the last seconds, is gone when it starts again. */
static void begin_forgetting(const struct qr_sim_fault *fault, struct qr_sim_child *child)
{
    uint64_t boot_ms = qr_sim_now_ns() / QR_SIM_MS + fault->for_ms;
    int64_t first_s = QR_SIM_REAL_ZERO_S + (int64_t)(boot_ms / 1000) - fault->number;
    if (first_s <= child->first_s || child->n_forgot == QR_SIM_FORGETS_MAX)
        return;
    child->first_s = first_s;
    child->forgot_s[child->n_forgot++] = first_s;
    qr_sim_child_take(child, fault->for_ms);
}

static void begin_child(struct active *active, struct qr_sim_child *child)
{
    const struct qr_sim_fault *fault = active->fault;
    switch (fault->kind) {
    case QR_SIM_FAULT_DUPLICATE:
        active->spare = qr_sim_spare_boot(fault->target);
        break;
    case QR_SIM_FAULT_CHILD_RECONNECT:
        qr_net_reset(child->host->id, 0, true);
        break;
    case QR_SIM_FAULT_CHILD_LAG:
        qr_sim_host_pause(child->host);
        break;
    case QR_SIM_FAULT_CHILD_KILL:
        qr_sim_child_take(child, fault->for_ms);
        break;
    case QR_SIM_FAULT_CHILD_FORGETS:
        begin_forgetting(fault, child);
        break;
    case QR_SIM_FAULT_CHILD_MISDATES:
        begin_misdating(fault, child);
        break;
    default:
        begin_lies(fault, child);
        break;
    }
}

static void end_child(struct active *active, struct qr_sim_child *child)
{
    if (active->fault->kind == QR_SIM_FAULT_DUPLICATE && active->spare != NULL)
        qr_sim_host_kill(active->spare->host, QR_SIM_KILL);
    else if (active->fault->kind == QR_SIM_FAULT_CHILD_LAG)
        qr_sim_host_resume(child->host);
    else if (active->fault->kind == QR_SIM_FAULT_CHILD_MISDATES)
        end_misdating(active->fault, child);
}

/* ---- one of each kind ---- */

static void begin_member(struct active *active, struct qr_sim_member *member)
{
    const struct qr_sim_fault *fault = active->fault;
    switch (fault->kind) {
    case QR_SIM_FAULT_KILL:
    case QR_SIM_FAULT_POWER:
        begin_kill(fault, member);
        break;
    case QR_SIM_FAULT_PAUSE:
        qr_sim_host_pause(member->host);
        break;
    case QR_SIM_FAULT_WIPE:
        qr_sim_member_wipe(member, fault->for_ms);
        break;
    case QR_SIM_FAULT_MEMBERSHIP:
        member->is_wanted = false;
        break;
    case QR_SIM_FAULT_PARTITION:
    case QR_SIM_FAULT_ONEWAY:
        cut(fault, member, true);
        break;
    case QR_SIM_FAULT_SPLIT:
        split(fault, true);
        break;
    case QR_SIM_FAULT_SLOW_NET:
        slow_down(member, (uint64_t)fault->number * 1000);
        break;
    case QR_SIM_FAULT_RESET:
        qr_net_reset(member->host->id, 0, true);
        break;
    case QR_SIM_FAULT_CLOCK:
        member->host->real_skew_ns += clock_jump_ms(fault) * (int64_t)QR_SIM_MS;
        break;
    case QR_SIM_FAULT_FLIP:
        member->is_flipped |= qr_sim_disk_flip(member->host, "*/blocks/*.qb", 0, 0);
        break;
    case QR_SIM_FAULT_ROT:
        rot(fault, member);
        break;
    default:
        begin_disk(fault, member);
        break;
    }
}

static void end_member(struct active *active, struct qr_sim_member *member)
{
    const struct qr_sim_fault *fault = active->fault;
    switch (fault->kind) {
    case QR_SIM_FAULT_KILL:
    case QR_SIM_FAULT_POWER:
        end_kill(fault, member);
        break;
    case QR_SIM_FAULT_PAUSE:
        qr_sim_host_resume(member->host);
        break;
    case QR_SIM_FAULT_PARTITION:
    case QR_SIM_FAULT_ONEWAY:
        cut(fault, member, false);
        break;
    case QR_SIM_FAULT_SPLIT:
        split(fault, false);
        break;
    case QR_SIM_FAULT_SLOW_NET:
        slow_down(member, 0);
        break;
    case QR_SIM_FAULT_CLOCK:
        member->host->real_skew_ns -= clock_jump_ms(fault) * (int64_t)QR_SIM_MS;
        break;
    case QR_SIM_FAULT_MEMBERSHIP:
        member->is_wanted = true;
        if (fault->number != 0)
            qr_sim_member_wipe(member, 0);
        break;
    case QR_SIM_FAULT_RESET:
    case QR_SIM_FAULT_FLIP:
    case QR_SIM_FAULT_WIPE: /* It boots by itself. */
    case QR_SIM_FAULT_ROT:
        break;
    default:
        end_disk(fault, member);
        break;
    }
}

static void on_end(struct qr_sim_event *event)
{
    struct active *active = QR_CONTAINER_OF(event, struct active, end);
    const struct qr_sim_fault *fault = active->fault;
    qr_sim_say("end of %s", qr_sim_fault_name(fault->kind));
    if (fault->kind == QR_SIM_FAULT_LEADER_KILL) {
        if (inject.waiting == active) /* Its moment has not come. */
            strike(active);
    } else if (fault->kind == QR_SIM_FAULT_MAJORITY || fault->kind == QR_SIM_FAULT_BLACKOUT) {
        return; /* They boot by themselves. */
    } else if (qr_sim_fault_of_child(fault->kind)) {
        end_child(active, child_of(fault));
    } else {
        end_member(active, member_of(fault));
    }
}

static void on_begin(struct qr_sim_event *event)
{
    struct active *active = QR_CONTAINER_OF(event, struct active, begin);
    const struct qr_sim_fault *fault = active->fault;
    bool of_child = qr_sim_fault_of_child(fault->kind);
    uint64_t for_ms = fault->for_ms;
    qr_sim_say("%s of %s-%u for %llu ms: %lld", qr_sim_fault_name(fault->kind),
               of_child ? "child" : "member", fault->target, (unsigned long long)fault->for_ms,
               (long long)fault->number);
    if (fault->kind == QR_SIM_FAULT_LEADER_KILL) {
        inject.waiting = active;
        for_ms = QR_SIM_MOMENT_WAIT_MS;
    } else {
        took_effect(fault);
    }
    if (fault->kind == QR_SIM_FAULT_MAJORITY)
        take_most(fault);
    else if (fault->kind == QR_SIM_FAULT_BLACKOUT)
        take_all(fault);
    else if (of_child && child_of(fault) != NULL)
        begin_child(active, child_of(fault));
    else if (member_of(fault) != NULL)
        begin_member(active, member_of(fault));
    else if (fault->kind != QR_SIM_FAULT_LEADER_KILL)
        return; /* Its target is not in this world. */
    qr_sim_event_at(&active->end, NULL, qr_sim_now_ns() + for_ms * QR_SIM_MS, on_end);
}

void qr_sim_inject(const struct qr_sim_schedule *schedule)
{
    inject.n = schedule->n;
    inject.at = calloc((size_t)schedule->n + 1, sizeof *inject.at);
    assert(inject.at != NULL);
    inject.usual_percent = qr_sim_disk(qr_sim_cluster.members[0].host)->slow_percent;
    for (uint32_t i = 0; i < schedule->n; i++) {
        inject.at[i].fault = &schedule->at[i];
        qr_sim_event_at(&inject.at[i].begin, NULL, schedule->at[i].at_ms * QR_SIM_MS, on_begin);
    }
}

void qr_sim_heal(void)
{
    inject.waiting = NULL;
    qr_net_heal();
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++) {
        struct qr_sim_member *member = &qr_sim_cluster.members[i];
        struct qr_sim_disk *disk = qr_sim_disk(member->host);
        if (member->is_rotten || member->is_flipped) /* Now it shows, while the others are well. */
            qr_sim_member_take(member, QR_SIM_KILL, 0);
        disk->capacity_bytes = 0;
        disk->failing_writes = disk->failing_syncs = 0;
        disk->slow_percent = inject.usual_percent;
        qr_sim_disk_crash_at(member->host, 0, QR_SIM_BEFORE, QR_SIM_KILL);
        member->host->real_skew_ns = 0;
        qr_sim_host_resume(member->host);
    }
    for (uint32_t i = 0; i < qr_sim_cluster.n_children; i++)
        qr_sim_host_resume(qr_sim_cluster.children[i].host);
}
