#include "cluster/machine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include <xxhash.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/log.h"
#include "base/plant.h"
#include "cluster/folder.h"
#include "cluster/image.h"

#define HASH_OF_NOTHING 0x51756f72617465ull

int qr_machine_init(struct qr_machine *machine, const struct qr_sink *sink,
                    const struct qr_machine_events *events)
{
    memset(machine, 0, sizeof *machine);
    machine->sink = *sink;
    machine->events = *events;
    machine->hash = HASH_OF_NOTHING;
    qr_ownership_init(&machine->ownership);
    void *empty;
    int err = sink->restore(sink->data, qr_slice_of("", 0), &empty);
    if (err == 0)
        sink->replace(sink->data, empty);
    return err;
}

void qr_machine_release(struct qr_machine *machine)
{
    qr_ownership_release(&machine->ownership);
    qr_keys_release(&machine->keys);
}

static void fail(struct qr_machine *machine, uint64_t index, const char *what, int err)
{
    char sentence[256];
    snprintf(sentence, sizeof sentence, "log entry %llu %s: %s", (unsigned long long)index, what,
             qr_strerror(err));
    machine->failed = true;
    machine->events.fatal(machine->events.data, sentence);
}

/* ---- members ---- */

/* Where the member's record is, or where it belongs. */
static unsigned producer_at(const struct qr_machine *machine, uint32_t member)
{
    unsigned at = 0;
    while (at < machine->n_producers && machine->producers[at].member < member)
        at++;
    return at;
}

const struct qr_producer *qr_machine_producer(const struct qr_machine *machine, uint32_t member)
{
    unsigned at = producer_at(machine, member);
    bool found = at < machine->n_producers && machine->producers[at].member == member;
    return found ? &machine->producers[at] : NULL;
}

/* Is this the entry that the member's chain goes on with?  0, QR_E_STALE, QR_E_GAP, QR_E_LIMIT. */
static int check_sequence(const struct qr_machine *machine, const struct qr_command *command)
{
    const struct qr_producer *p = qr_machine_producer(machine, command->member);
    if (command->member == 0 || command->incarnation == 0 || command->sequence == 0)
        return QR_E_MALFORMED;
    if (p == NULL && machine->n_producers == QR_PRODUCERS_MAX)
        return QR_E_LIMIT;
    uint64_t incarnation = p != NULL ? p->incarnation : 0;
    if (command->incarnation < incarnation)
        return QR_E_STALE;
    uint64_t last = command->incarnation == incarnation ? p->sequence : 0;
    if (command->sequence <= last)
        return QR_PLANT(dedupe_off) ? 0 : QR_E_STALE;
    return command->sequence == last + 1 ? 0 : QR_E_GAP;
}

/* The record, made or moved to the command's incarnation.  check_sequence() was 0. */
static struct qr_producer *enter(struct qr_machine *machine, const struct qr_command *command)
{
    unsigned at = producer_at(machine, command->member);
    struct qr_producer *p = &machine->producers[at];
    if (at == machine->n_producers || p->member != command->member) {
        assert(machine->n_producers < QR_PRODUCERS_MAX);
        memmove(p + 1, p, (machine->n_producers - at) * sizeof *p);
        machine->n_producers++;
        *p = (struct qr_producer){.member = command->member};
    }
    if (p->incarnation != command->incarnation) {
        p->incarnation = command->incarnation;
        p->sequence = 0;
        memset(p->results, 0, sizeof p->results);
    }
    return p;
}

int qr_machine_info_encode(struct qr_buf *out, const char *address, const char *name,
                           const char *version)
{
    int err = qr_buf_add_bytes(out, qr_slice_str(address));
    if (err == 0)
        err = qr_buf_add_bytes(out, qr_slice_str(name));
    return err != 0 ? err : qr_buf_add_bytes(out, qr_slice_str(version));
}

/* Text as it may stand in a member's record. */
static struct qr_slice take_text(struct qr_cursor *in, size_t text_bytes)
{
    struct qr_slice text = qr_cursor_bytes(in, text_bytes - 1);
    if (memchr(text.base, '\0', text.len) != NULL)
        in->failed = true;
    return text;
}

static void set_text(char *text, size_t text_bytes, struct qr_slice bytes)
{
    assert(bytes.len < text_bytes);
    memset(text, 0, text_bytes);
    memcpy(text, bytes.base, bytes.len);
}

void qr_producer_take_text(struct qr_cursor *in, char *field, size_t field_bytes)
{
    struct qr_slice text = take_text(in, field_bytes);
    if (!in->failed)
        set_text(field, field_bytes, text);
}

static int apply_info(struct qr_producer *p, const struct qr_command *command, uint64_t index)
{
    struct qr_cursor in = qr_cursor_of(command->body);
    struct qr_slice address = take_text(&in, sizeof p->address);
    struct qr_slice name = take_text(&in, sizeof p->name);
    struct qr_slice version = take_text(&in, sizeof p->version);
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    set_text(p->address, sizeof p->address, address);
    set_text(p->name, sizeof p->name, name);
    set_text(p->version, sizeof p->version, version);
    p->info_index = index;
    return 0;
}

/* ---- entries ---- */

static int tell_voters(struct qr_machine *machine)
{
    unsigned n = qr_membership_voters(&machine->membership);
    return machine->sink.voters != NULL ? machine->sink.voters(machine->sink.data, n) : 0;
}

static int apply_members(struct qr_machine *machine, const struct qr_command *command,
                         uint64_t index)
{
    unsigned before = qr_membership_voters(&machine->membership);
    int err = qr_membership_apply(&machine->membership, command->body, index);
    if (err == 0 && qr_membership_voters(&machine->membership) != before)
        err = tell_voters(machine);
    return err;
}

static int apply_own(struct qr_machine *machine, const struct qr_command *command,
                     struct qr_owner *owner, uint64_t *nonce, uint64_t *effect)
{
    struct qr_cursor in = qr_cursor_of(command->body);
    struct qr_slice bytes = qr_cursor_take(&in, sizeof(struct qr_guid));
    *nonce = qr_cursor_u64(&in);
    struct qr_claim claim;
    qr_claim_take(&in, &claim);
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    struct qr_guid guid;
    memcpy(guid.bytes, bytes.base, sizeof guid.bytes);
    uint32_t host = machine->sink.host_id(machine->sink.data, &guid);
    if (host == 0)
        return QR_E_UNKNOWN;
    int err = qr_ownership_claim(&machine->ownership, host, &claim, command->time_us);
    if (err == 0)
        err = qr_ownership_take(&machine->ownership, host, command->member, owner);
    if (err == 0)
        *effect = (uint64_t)host << 32 ^ (uint64_t)owner->member << 24 ^ owner->epoch;
    return err;
}

static void chain(struct qr_machine *machine, uint64_t index, struct qr_slice entry, int result,
                  uint64_t effect)
{
    const uint64_t link[5] = {machine->hash, index, XXH3_64bits(entry.base, entry.len),
                              (uint64_t)(int64_t)result, effect};
    machine->hash = XXH3_64bits(link, sizeof link);
    machine->applied = index;
    machine->hashes[index % QR_MACHINE_HASHES].index = index;
    machine->hashes[index % QR_MACHINE_HASHES].hash = machine->hash;
}

static void count(struct qr_machine *machine, const struct qr_command *command, uint64_t index,
                  int result)
{
    static struct qr_log_limit limit;
    unsigned held;
    if (result == 0) {
        machine->n_applied++;
    } else if (result == QR_E_STALE || result == QR_E_GAP) {
        machine->n_dropped++;
    } else {
        machine->n_refused++;
        /* Fenced is what a child that changes hands leaves behind: nobody has to act.  Who has to
         * about a clone was told when it was found. */
        if (result != QR_E_FENCED && result != QR_E_CLONE &&
            qr_log_allowed(&limit, 10, 10000, &held))
            qr_warn("log entry refused index=%llu type=%s member=%u reason=\"%s\" held_back=%u",
                    (unsigned long long)index, qr_command_type_name(command->type), command->member,
                    qr_strerror(result), held);
    }
}

/* Codes of libuv are this member's trouble (memory, disk), not the entry's. */
static bool is_own_trouble(int result)
{
    return result < 0 && result > QR_E_FIRST;
}

void qr_machine_apply(struct qr_machine *machine, uint64_t index, struct qr_slice entry)
{
    if (machine->failed)
        return;
    if (index <= machine->applied) {
        machine->n_skipped++;
        return;
    }
    struct qr_command command = {0};
    int result = qr_command_decode(&command, entry);
    if (result == QR_E_CORRUPT) {
        fail(machine, index, "is damaged on this member; " QR_FOLDER_REMEDY, result);
        return;
    }
    if (result == QR_E_VERSION) { /* Others may know it: who passes over it has another state. */
        fail(machine, index, "was written by another version of Quorate; start that one", result);
        return;
    }
    struct qr_owner owner = {0};
    uint64_t effect = 0, nonce = 0;
    bool sound = result == 0;
    if (result == 0)
        result = check_sequence(machine, &command);
    if (result == 0) {
        struct qr_producer *p = enter(machine, &command);
        if (command.type == QR_COMMAND_MEMBER_INFO)
            result = apply_info(p, &command, index);
        else if (command.type == QR_COMMAND_MEMBERS)
            result = apply_members(machine, &command, index);
        else if (command.type == QR_COMMAND_KEYS)
            result = qr_keys_apply(&machine->keys, command.body, &effect);
        else if (command.type == QR_COMMAND_OWN)
            result = apply_own(machine, &command, &owner, &nonce, &effect);
        else
            result = machine->sink.apply(machine->sink.data, &command, &machine->ownership, index,
                                         &effect);
        if (is_own_trouble(result)) {
            fail(machine, index, "could not be applied", result);
            return;
        }
        assert(result <= 0);
        p->sequence = command.sequence;
        p->results[command.sequence % QR_PROPOSALS_IN_FLIGHT_MAX] = result;
    }
    chain(machine, index, entry, result, result == 0 ? effect : 0);
    count(machine, &command, index, result);
    if (owner.member != 0 && machine->events.owned != NULL)
        machine->events.owned(machine->events.data, &owner, nonce);
    if (sound && machine->events.entry != NULL)
        machine->events.entry(machine->events.data, &command, index, result);
}

bool qr_machine_hash_at(const struct qr_machine *machine, uint64_t index, uint64_t *hash)
{
    if (index == 0 || machine->hashes[index % QR_MACHINE_HASHES].index != index)
        return false;
    *hash = machine->hashes[index % QR_MACHINE_HASHES].hash;
    return true;
}

/* ---- snapshots ---- */

void qr_machine_replace(struct qr_machine *machine, struct qr_image_state *state)
{
    memcpy(machine->producers, state->producers, state->n_producers * sizeof *state->producers);
    machine->n_producers = state->n_producers;
    qr_ownership_release(&machine->ownership);
    machine->ownership = state->ownership;
    qr_ownership_init(&state->ownership);
    machine->sink.replace(machine->sink.data, state->next);
    state->next = NULL;
    machine->membership = state->membership;
    qr_keys_release(&machine->keys);
    machine->keys = state->keys;
    state->keys = (struct qr_keys){0};
    machine->applied = state->applied;
    machine->hash = state->hash;
    memset(machine->hashes, 0, sizeof machine->hashes);
    machine->hashes[state->applied % QR_MACHINE_HASHES].index = state->applied;
    machine->hashes[state->applied % QR_MACHINE_HASHES].hash = state->hash;
    int err = machine->membership.configuration != 0 ? tell_voters(machine) : 0;
    if (err != 0)
        fail(machine, state->applied, "could not be restored", err);
    if (machine->events.restored != NULL)
        machine->events.restored(machine->events.data, state->applied);
}
