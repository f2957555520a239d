#include "testing/history_admin.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "cluster/machine.h"
#include "testing/history_log.h"

#define NUMBERS 9u /* Of members. */

static uint64_t pick(struct qr_history_log *log, uint64_t n)
{
    return qr_rng_below(&log->rng, n);
}

static bool one_in(struct qr_history_log *log, uint64_t n)
{
    return pick(log, n) == 0;
}

/* What came of it on the leader must be this.  Takes the body. */
static void append(struct qr_history_log *log, enum qr_command_type type, struct qr_buf *body,
                   int expected)
{
    uint32_t member = 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS);
    qr_history_log_append(log, type, member, body);
    const struct qr_producer *p = qr_machine_producer(log->machine, member);
    log->n_unexpected += p == NULL || p->sequence != log->sequences[member] ||
                         p->results[p->sequence % QR_PROPOSALS_IN_FLIGHT_MAX] != expected;
}

/* ---- members that start again ---- */

static void say_who(struct qr_history_log *log, uint32_t member)
{
    char address[32], version[16];
    struct qr_buf body = {0};
    snprintf(address, sizeof address, "10.0.0.%u:%u", member, (unsigned)pick(log, 60000));
    snprintf(version, sizeof version, "0.%u", (unsigned)pick(log, 20));
    int err = qr_machine_info_encode(&body, address, one_in(log, 4) ? "" : "a-member", version);
    assert(err == 0);
    qr_history_log_append(log, QR_COMMAND_MEMBER_INFO, member, &body);
}

/* What a dead incarnation still sends, or what comes before what it goes on from. */
static void say_out_of_turn(struct qr_history_log *log, uint32_t member)
{
    struct qr_buf body = {0}, entry = {0};
    bool is_old = log->incarnations[member] > 1 && one_in(log, 2);
    qr_machine_info_encode(&body, "10.0.0.9:9", "nobody", "0");
    const struct qr_command command = {.type = QR_COMMAND_MEMBER_INFO,
                                       .member = member,
                                       .incarnation = log->incarnations[member] - is_old,
                                       .sequence =
                                           is_old ? 1 : log->sequences[member] + 2 + pick(log, 5),
                                       .time_us = log->now_s * 1000000,
                                       .body = qr_buf_slice(&body)};
    int err = qr_command_encode(&entry, &command);
    assert(err == 0);
    uint64_t dropped = log->machine->n_dropped;
    qr_history_log_push(log, qr_buf_slice(&entry));
    log->n_unexpected += log->machine->n_dropped != dropped + 1;
    qr_buf_release(&entry);
    qr_buf_release(&body);
}

static void start_again(struct qr_history_log *log)
{
    uint32_t member = 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS);
    if (one_in(log, 3)) {
        say_out_of_turn(log, member);
        return;
    }
    log->incarnations[member] += 1 + pick(log, 3);
    log->sequences[member] = 0;
    say_who(log, member);
}

/* ---- changes of members ---- */

static void record(struct qr_history_log *log)
{
    struct qr_history_admin *admin = &log->admin;
    struct qr_membership record = {.configuration = admin->configuration + pick(log, 4)};
    unsigned n_voters = 0;
    for (uint32_t member = 1; member <= NUMBERS; member++) {
        bool votes = n_voters < 5 && (one_in(log, 2) || (member == NUMBERS && n_voters == 0));
        if (!votes && !one_in(log, 4))
            continue;
        n_voters += votes;
        struct qr_recorded_member *at = &record.members[record.n++];
        at->member = member;
        at->disk = 1 + (uint32_t)pick(log, 1000);
        at->role = votes ? QR_MEMBER_VOTER : one_in(log, 2) ? QR_MEMBER_LEARNER : QR_MEMBER_SPARE;
        snprintf(at->address, sizeof at->address, "10.0.0.%u:19998", member);
    }
    struct qr_buf body = {0};
    bool is_new = record.configuration > admin->configuration;
    qr_membership_record(&body, &record);
    append(log, QR_COMMAND_MEMBERS, &body, is_new ? 0 : QR_E_UNKNOWN);
    if (is_new)
        admin->configuration = record.configuration;
}

/* Of a member that is there, or is not, on its disk or on another. */
static void ask_for_change(struct qr_history_log *log)
{
    struct qr_history_admin *admin = &log->admin;
    const struct qr_membership *known = &log->machine->membership;
    struct qr_change change = {.kind = (enum qr_change_kind)(1 + pick(log, 3))};
    bool is_there = false, comes_twice = false;
    if (change.kind != QR_CHANGE_ADD) {
        change.member = 1 + (uint32_t)pick(log, NUMBERS);
        change.disk = 1 + (uint32_t)pick(log, 1000);
    }
    if (change.kind != QR_CHANGE_REMOVE) {
        change.with =
            one_in(log, 2) && change.member != 0 ? change.member : 1 + (uint32_t)pick(log, NUMBERS);
        snprintf(change.address, sizeof change.address, "10.0.0.%u:19998", change.with);
    }
    for (unsigned i = 0; i < known->n; i++) {
        const struct qr_recorded_member *at = &known->members[i];
        if (at->member == change.member && !one_in(log, 5))
            change.disk = at->disk;
        is_there = is_there || (at->member == change.member && at->disk == change.disk);
        comes_twice = comes_twice || (at->member == change.with && change.with != change.member);
    }
    struct qr_buf body = {0};
    int expected = 0;
    if (admin->change != 0 || admin->configuration == 0)
        expected = QR_E_BUSY;
    else if (comes_twice)
        expected = QR_E_EXISTS;
    else if (change.member != 0 && !is_there)
        expected = QR_E_UNKNOWN;
    qr_membership_ask(&body, &change);
    append(log, QR_COMMAND_MEMBERS, &body, expected);
    if (expected == 0)
        admin->change = log->n;
}

static void end_change(struct qr_history_log *log)
{
    struct qr_history_admin *admin = &log->admin;
    uint64_t index = one_in(log, 4) ? admin->change + 1 : admin->change;
    bool runs = admin->change != 0 && index == admin->change;
    struct qr_buf body = {0};
    if (one_in(log, 3)) {
        qr_membership_cancel(&body, index);
        append(log, QR_COMMAND_MEMBERS, &body, runs ? 0 : QR_E_UNKNOWN);
        return;
    }
    uint64_t result = one_in(log, 2) ? 0 : pick(log, QR_CHANGE_RESULT_MAX + 1);
    qr_membership_end(&body, index, (enum qr_change_result)result);
    append(log, QR_COMMAND_MEMBERS, &body, runs ? 0 : QR_E_UNKNOWN);
    if (runs)
        admin->change = 0;
}

/* ---- keys ---- */

static bool is_over(const struct qr_history_key *key, int64_t now_s)
{
    return key->revoked || (key->ends_s != 0 && key->ends_s <= now_s);
}

/* One that is there, or the one after the last. */
static uint32_t pick_key(struct qr_history_log *log)
{
    return 1 + (uint32_t)pick(log, log->admin.n_keys + 1);
}

/* A new hash, or one that there is. */
static int draw_hash(struct qr_history_log *log, uint8_t hash[QR_KEY_HASH_BYTES])
{
    struct qr_history_admin *admin = &log->admin;
    if (admin->n_keys != 0 && one_in(log, 8)) {
        memcpy(hash, admin->keys[pick(log, admin->n_keys)].hash, QR_KEY_HASH_BYTES);
        return QR_E_EXISTS;
    }
    for (unsigned i = 0; i < QR_KEY_HASH_BYTES; i++)
        hash[i] = (uint8_t)pick(log, 256);
    return 0;
}

static void enter_key(struct qr_history_admin *admin, uint32_t line,
                      const uint8_t hash[QR_KEY_HASH_BYTES])
{
    struct qr_history_key *key = &admin->keys[admin->n_keys++];
    *key = (struct qr_history_key){.line = line != 0 ? line : admin->n_keys};
    memcpy(key->hash, hash, QR_KEY_HASH_BYTES);
}

static void add_key(struct qr_history_log *log)
{
    static const char *const policies[] = {"", "allow from = 10.*\n",
                                           "enabled = no\ndefault history = 3600\n"};
    char name[16];
    uint8_t hash[QR_KEY_HASH_BYTES];
    struct qr_buf body = {0};
    int expected = draw_hash(log, hash);
    snprintf(name, sizeof name, "team-%u", (unsigned)pick(log, 9));
    const char *policy = policies[pick(log, QR_COUNT(policies))];
    if (one_in(log, 4))
        name[0] = '\0';
    qr_keys_add(&body, log->now_s, hash, qr_slice_str(name), qr_slice_str(policy));
    append(log, QR_COMMAND_KEYS, &body, expected);
    if (expected == 0)
        enter_key(&log->admin, 0, hash);
}

static void rotate_key(struct qr_history_log *log)
{
    struct qr_history_admin *admin = &log->admin;
    uint8_t hash[QR_KEY_HASH_BYTES];
    uint32_t id = pick_key(log), overlap_s = (uint32_t)pick(log, 200);
    int expected = draw_hash(log, hash);
    struct qr_buf body = {0};
    if (id > admin->n_keys)
        expected = QR_E_UNKNOWN;
    else if (admin->keys[id - 1].revoked || admin->keys[id - 1].ends_s != 0)
        expected = QR_E_BUSY;
    qr_keys_rotate(&body, log->now_s, id, hash, overlap_s);
    append(log, QR_COMMAND_KEYS, &body, expected);
    if (expected != 0)
        return;
    enter_key(admin, admin->keys[id - 1].line, hash);
    admin->keys[id - 1].ends_s = log->now_s + overlap_s;
}

static void revoke_key(struct qr_history_log *log)
{
    uint32_t id = pick_key(log);
    struct qr_buf body = {0};
    struct qr_history_key *key = id <= log->admin.n_keys ? &log->admin.keys[id - 1] : NULL;
    int expected = key == NULL ? QR_E_UNKNOWN : key->revoked ? QR_E_EXISTS : 0;
    qr_keys_revoke(&body, log->now_s, id);
    append(log, QR_COMMAND_KEYS, &body, expected);
    if (expected != 0)
        return;
    key->revoked = true;
    if (key->ends_s == 0 || key->ends_s > log->now_s)
        key->ends_s = log->now_s;
}

static void guid_of(uint64_t machine, struct qr_guid *guid)
{
    *guid = (struct qr_guid){.bytes = {[0] = (uint8_t)(200 - machine), [15] = 1}};
}

static void bind_machine(struct qr_history_log *log)
{
    struct qr_history_admin *admin = &log->admin;
    static const uint8_t certificate[QR_KEY_HASH_BYTES] = {1, 2, 3};
    uint64_t machine = pick(log, QR_HISTORY_MACHINES);
    bool has_certificate = one_in(log, 2);
    uint32_t id = has_certificate && one_in(log, 2) ? 0 : pick_key(log);
    struct qr_guid guid;
    struct qr_buf body = {0};
    int expected = 0;
    guid_of(machine, &guid);
    if (id > admin->n_keys)
        expected = QR_E_UNKNOWN;
    else if (id != 0 && is_over(&admin->keys[id - 1], log->now_s))
        expected = QR_E_BUSY;
    qr_keys_bind(&body, log->now_s, &guid, id, has_certificate ? certificate : NULL);
    append(log, QR_COMMAND_KEYS, &body, expected);
    if (expected != 0)
        return;
    admin->bound[machine] = true;
    admin->lines[machine] = id != 0 ? admin->keys[id - 1].line : 0;
}

static void unbind_machine(struct qr_history_log *log)
{
    uint64_t machine = pick(log, QR_HISTORY_MACHINES);
    struct qr_guid guid;
    struct qr_buf body = {0};
    guid_of(machine, &guid);
    qr_keys_unbind(&body, log->now_s, &guid);
    append(log, QR_COMMAND_KEYS, &body, log->admin.bound[machine] ? 0 : QR_E_UNKNOWN);
    log->admin.bound[machine] = false;
}

/* Also one that there is not: it was dropped meanwhile. */
static void use_keys(struct qr_history_log *log)
{
    struct qr_history_admin *admin = &log->admin;
    uint32_t ids[QR_HISTORY_KEYS + 1] = {0}, n = 0;
    struct qr_buf body = {0};
    for (uint32_t id = 1; id <= admin->n_keys + 1; id++)
        if (one_in(log, 3))
            ids[n++] = id;
    qr_keys_used(&body, log->now_s, ids, n);
    append(log, QR_COMMAND_KEYS, &body, n == 0 ? QR_E_MALFORMED : 0);
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] <= admin->n_keys && admin->keys[ids[i] - 1].last_used_s < log->now_s)
            admin->keys[ids[i] - 1].last_used_s = log->now_s;
}

static void change_keys(struct qr_history_log *log)
{
    static void (*const ways[])(struct qr_history_log *) = {
        rotate_key, revoke_key, bind_machine, bind_machine, unbind_machine, use_keys};
    bool has_room = log->admin.n_keys < QR_HISTORY_KEYS - 1;
    if (has_room && (log->admin.n_keys < 2 || one_in(log, 3)))
        add_key(log);
    else
        ways[has_room ? pick(log, QR_COUNT(ways)) : 1 + pick(log, QR_COUNT(ways) - 1)](log);
}

bool qr_history_admin_check(const struct qr_history_admin *admin, const struct qr_machine *machine)
{
    const struct qr_keys *keys = &machine->keys;
    uint32_t n_bound = 0;
    if (keys->n_keys != admin->n_keys)
        return false;
    for (uint32_t i = 0; i < admin->n_keys; i++) {
        const struct qr_history_key *right = &admin->keys[i];
        const struct qr_key *key = qr_keys_by_hash(keys, right->hash);
        if (key == NULL || key->id != i + 1 || key->line != right->line ||
            key->revoked != right->revoked || key->ends_s != right->ends_s ||
            key->last_used_s != right->last_used_s)
            return false;
    }
    for (uint64_t machine_at = QR_HISTORY_MACHINES; machine_at > 0; machine_at--) { /* By GUID. */
        struct qr_guid guid;
        guid_of(machine_at - 1, &guid);
        if (!admin->bound[machine_at - 1])
            continue;
        const struct qr_key_binding *binding = &keys->bindings[n_bound++];
        if (n_bound > keys->n_bindings || memcmp(&binding->guid, &guid, sizeof guid) != 0 ||
            binding->line != admin->lines[machine_at - 1])
            return false;
    }
    return n_bound == keys->n_bindings;
}

/* ---- all of it ---- */

void qr_history_admin_step(struct qr_history_log *log)
{
    if (one_in(log, 25))
        start_again(log);
    if (one_in(log, 30))
        record(log);
    if (one_in(log, 20))
        ask_for_change(log);
    if (one_in(log, 15))
        end_change(log);
    if (one_in(log, 8))
        change_keys(log);
    if (!qr_history_admin_check(&log->admin, log->machine))
        log->n_unexpected++;
}
