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

#define SNAPSHOT_MAGIC        0x4e535251u /* "QRSN" */
#define SNAPSHOT_VERSION      1u
#define SNAPSHOT_HEADER_BYTES 48u
#define HASH_OF_NOTHING       0x51756f72617465ull

int qr_machine_init(struct qr_machine *machine, const struct qr_sink *sink,
                    const struct qr_machine_events *events)
{
    memset(machine, 0, sizeof *machine);
    machine->sink = *sink;
    machine->events = *events;
    machine->hash = HASH_OF_NOTHING;
    qr_ownership_init(&machine->ownership);
    return sink->restore(sink->data, qr_slice_of("", 0));
}

void qr_machine_release(struct qr_machine *machine)
{
    qr_ownership_release(&machine->ownership);
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
        return QR_E_STALE;
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

static void set_text(char *text, size_t text_bytes, struct qr_slice bytes)
{
    assert(bytes.len < text_bytes);
    memset(text, 0, text_bytes);
    memcpy(text, bytes.base, bytes.len);
}

/* Text as it may stand in a member's record. */
static struct qr_slice take_text(struct qr_cursor *in, size_t text_bytes)
{
    struct qr_slice text = qr_cursor_bytes(in, text_bytes - 1);
    if (memchr(text.base, '\0', text.len) != NULL)
        in->failed = true;
    return text;
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

static int apply_own(struct qr_machine *machine, const struct qr_command *command,
                     struct qr_owner *owner, uint64_t *nonce, uint64_t *effect)
{
    struct qr_cursor in = qr_cursor_of(command->body);
    struct qr_slice bytes = qr_cursor_take(&in, sizeof(struct qr_guid));
    *nonce = qr_cursor_u64(&in);
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    struct qr_guid guid;
    memcpy(guid.bytes, bytes.base, sizeof guid.bytes);
    uint32_t host = machine->sink.host_id(machine->sink.data, &guid);
    if (host == 0)
        return QR_E_UNKNOWN;
    int err = qr_ownership_take(&machine->ownership, host, command->member, owner);
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
        /* Fenced is what a child that changes hands leaves behind: nobody has to act. */
        if (result != QR_E_FENCED && qr_log_allowed(&limit, 10, 10000, &held))
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
        fail(machine, index, "is damaged on this member; wipe its data and let it rejoin", result);
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

static void encode_producer(struct qr_buf *out, const struct qr_producer *p)
{
    qr_buf_add_varint(out, p->member);
    qr_buf_add_varint(out, p->incarnation);
    qr_buf_add_varint(out, p->sequence);
    for (size_t i = 0; i < QR_COUNT(p->results); i++)
        qr_buf_add_zigzag(out, p->results[i]);
    qr_buf_add_varint(out, p->info_index);
    qr_buf_add_bytes(out, qr_slice_str(p->address));
    qr_buf_add_bytes(out, qr_slice_str(p->name));
    qr_buf_add_bytes(out, qr_slice_str(p->version));
}

int qr_machine_snapshot(struct qr_machine *machine, struct qr_buf *out)
{
    static const char header[SNAPSHOT_HEADER_BYTES];
    size_t start = out->len;
    qr_buf_add(out, header, sizeof header);
    qr_buf_add_varint(out, machine->n_producers);
    for (unsigned i = 0; i < machine->n_producers; i++)
        encode_producer(out, &machine->producers[i]);
    int err = qr_ownership_encode(&machine->ownership, out);
    if (err == 0)
        err = machine->sink.snapshot(machine->sink.data, out);
    if (err == 0 && out->failed)
        err = UV_ENOMEM;
    size_t body = out->len - start - SNAPSHOT_HEADER_BYTES;
    if (err == 0 && body > QR_SNAPSHOT_BYTES_MAX - SNAPSHOT_HEADER_BYTES)
        err = QR_E_LIMIT;
    if (err != 0) {
        out->len = start;
        return err;
    }
    char *at = out->base + start;
    qr_le_put(at, SNAPSHOT_MAGIC | (uint64_t)SNAPSHOT_VERSION << 32, 8);
    qr_le_put(at + 8, machine->applied, 8);
    qr_le_put(at + 16, machine->hash, 8);
    qr_le_put(at + 24, body, 8);
    qr_le_put(at + 32, XXH3_64bits(at + SNAPSHOT_HEADER_BYTES, body), 8);
    qr_le_put(at + 40, XXH3_64bits(at, 40), 8);
    return 0;
}

static bool take_producer(struct qr_cursor *in, struct qr_producer *p)
{
    *p = (struct qr_producer){.member = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX)};
    p->incarnation = qr_cursor_varint(in);
    p->sequence = qr_cursor_varint(in);
    for (size_t i = 0; i < QR_COUNT(p->results); i++) {
        int64_t result = qr_cursor_zigzag(in);
        if (result > 0 || result < INT32_MIN)
            in->failed = true;
        p->results[i] = (int32_t)result;
    }
    p->info_index = qr_cursor_varint(in);
    struct qr_slice address = take_text(in, sizeof p->address);
    struct qr_slice name = take_text(in, sizeof p->name);
    struct qr_slice version = take_text(in, sizeof p->version);
    if (in->failed)
        return false;
    set_text(p->address, sizeof p->address, address);
    set_text(p->name, sizeof p->name, name);
    set_text(p->version, sizeof p->version, version);
    return true;
}

/* Members, in rising order; the number, or QR_E_MALFORMED. */
static int take_producers(struct qr_cursor *in, struct qr_producer *producers)
{
    uint64_t n = qr_cursor_varint_max(in, QR_PRODUCERS_MAX);
    for (uint64_t i = 0; i < n; i++) {
        if (!take_producer(in, &producers[i]))
            return QR_E_MALFORMED;
        if (producers[i].member <= (i == 0 ? 0 : producers[i - 1].member))
            return QR_E_MALFORMED;
    }
    return in->failed ? QR_E_MALFORMED : (int)n;
}

struct header {
    uint64_t applied, hash;
};

/* Checks the header and both hashes; on success the cursor is at the body. */
static int take_header(struct qr_cursor *in, struct qr_slice snapshot, struct header *header)
{
    uint32_t magic = qr_cursor_u32(in);
    uint16_t version = qr_cursor_u16(in);
    qr_cursor_u16(in);
    header->applied = qr_cursor_u64(in);
    header->hash = qr_cursor_u64(in);
    uint64_t body = qr_cursor_u64(in);
    uint64_t body_hash = qr_cursor_u64(in);
    uint64_t header_hash = qr_cursor_u64(in);
    if (in->failed || header_hash != XXH3_64bits(snapshot.base, 40) || body != qr_cursor_left(in) ||
        body_hash != XXH3_64bits(in->p, body))
        return QR_E_CORRUPT;
    if (magic != SNAPSHOT_MAGIC)
        return QR_E_MALFORMED;
    return version == SNAPSHOT_VERSION ? 0 : QR_E_VERSION;
}

static void replace(struct qr_machine *machine, const struct header *header,
                    const struct qr_producer *producers, int n, struct qr_ownership *ownership)
{
    memcpy(machine->producers, producers, (size_t)n * sizeof *producers);
    machine->n_producers = (unsigned)n;
    qr_ownership_release(&machine->ownership);
    machine->ownership = *ownership;
    machine->applied = header->applied;
    machine->hash = header->hash;
    memset(machine->hashes, 0, sizeof machine->hashes);
    machine->hashes[header->applied % QR_MACHINE_HASHES].index = header->applied;
    machine->hashes[header->applied % QR_MACHINE_HASHES].hash = header->hash;
}

int qr_machine_restore(struct qr_machine *machine, struct qr_slice snapshot)
{
    struct header header;
    struct qr_cursor in = qr_cursor_of(snapshot);
    int err = take_header(&in, snapshot, &header);
    if (err != 0)
        return err;
    struct qr_producer *producers = malloc(QR_PRODUCERS_MAX * sizeof *producers);
    if (producers == NULL)
        return UV_ENOMEM;
    struct qr_ownership ownership;
    qr_ownership_init(&ownership);
    int n = take_producers(&in, producers);
    err = n < 0 ? n : qr_ownership_decode(&ownership, &in);
    if (err == 0)
        err = machine->sink.restore(machine->sink.data, qr_cursor_take(&in, qr_cursor_left(&in)));
    if (err == 0) {
        replace(machine, &header, producers, n, &ownership);
        if (machine->events.restored != NULL)
            machine->events.restored(machine->events.data, header.applied);
    } else {
        qr_ownership_release(&ownership);
    }
    free(producers);
    return err;
}
