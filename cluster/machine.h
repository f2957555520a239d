/* cluster/machine.h — the replicated state machine: what a log entry does.
 *
 *   entry --> sound?  --> next of its member?  --> MEMBER_INFO, OWN,
 *                                                  MEMBERS, KEYS: here;  others: sink.apply
 *             no: fatal    no: dropped or refused      result, effect --> state hash
 *
 * Pure: the state after index i depends on the entries up to i and on nothing else.  Each entry is
 * applied exactly once: the machine knows, for each member, its incarnation and the last sequence
 * number taken; it takes last + 1, drops (QR_E_STALE) what it has seen and what an older
 * incarnation still sends, refuses a jump (QR_E_GAP).  A newer incarnation starts at 1.
 *
 * The state hash is XXH3 chained over (index, entry bytes, result, effect): two members with the
 * same applied index have the same hash, or one of them is wrong.
 *
 *   MEMBER_INFO body: address, name, version, each a varint length and bytes.
 *
 * Snapshots of it: cluster/image.
 *
 * Owns nothing that it is given; all memory is the machine's.  Thread: consensus. */
#ifndef QR_CLUSTER_MACHINE_H
#define QR_CLUSTER_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "cluster/command.h"
#include "cluster/keys.h"
#include "cluster/membership.h"
#include "cluster/ownership.h"
#include "cluster/sink.h"

/* Members that ever were: ids are not used again. */
#define QR_PRODUCERS_MAX 256u
/* Hashes of the newest entries, to compare with peers that are a little behind. */
#define QR_MACHINE_HASHES        4096u
#define QR_MEMBER_VERSION_BYTES  32u
#define QR_MACHINE_ADDRESS_BYTES 64u
#define QR_MEMBER_NAME_BYTES     64u

struct qr_producer {
    uint32_t member;
    uint64_t incarnation;
    uint64_t sequence; /* Of the last entry taken. */
    /* What came of the last ones, by sequence % n: a member whose entries were applied inside a
     * snapshot that it installed reads here what became of them. */
    int32_t results[QR_PROPOSALS_IN_FLIGHT_MAX];
    uint64_t info_index; /* Of its last MEMBER_INFO; 0: none. */
    char address[QR_MACHINE_ADDRESS_BYTES];
    char name[QR_MEMBER_NAME_BYTES];
    char version[QR_MEMBER_VERSION_BYTES];
};

/* What the owner hears; all but `fatal` may be NULL. */
struct qr_machine_events {
    void *data;
    /* An entry was taken (result 0 or the sink's refusal), dropped (QR_E_STALE) or refused. */
    void (*entry)(void *data, const struct qr_command *command, uint64_t index, int result);
    void (*owned)(void *data, const struct qr_owner *owner, uint64_t nonce);
    void (*restored)(void *data, uint64_t index);
    /* This member can not go on. */
    void (*fatal)(void *data, const char *sentence);
};

struct qr_machine {
    struct qr_sink sink;
    struct qr_machine_events events;
    struct qr_ownership ownership;
    struct qr_membership membership;
    struct qr_keys keys;
    struct qr_producer producers[QR_PRODUCERS_MAX]; /* By member. */
    unsigned n_producers;
    uint64_t applied; /* Index of the last entry applied. */
    uint64_t hash;
    bool failed;
    uint64_t n_applied, n_dropped, n_refused, n_skipped;
    struct {
        uint64_t index, hash;
    } hashes[QR_MACHINE_HASHES]; /* By index % n. */
};

/* Starts in the initial state, and puts the sink there.  0 or the sink's error. */
int qr_machine_init(struct qr_machine *machine, const struct qr_sink *sink,
                    const struct qr_machine_events *events);
void qr_machine_release(struct qr_machine *machine);

/* Applies the entry of this index, which is larger than that of the last call; indices that the
 * state already contains are skipped.  Never fails: trouble goes to events.fatal. */
void qr_machine_apply(struct qr_machine *machine, uint64_t index, struct qr_slice entry);

/* The record of a member, or NULL. */
const struct qr_producer *qr_machine_producer(const struct qr_machine *machine, uint32_t member);

/* The state hash after the entry of this index; false: not known any more, or not yet. */
bool qr_machine_hash_at(const struct qr_machine *machine, uint64_t index, uint64_t *hash);

/* Takes the state that was read from a snapshot (cluster/image), all but its entries. */
struct qr_image_state;
void qr_machine_replace(struct qr_machine *machine, struct qr_image_state *state);

/* The body of a MEMBER_INFO.  0 or an error of the buffer. */
int qr_machine_info_encode(struct qr_buf *out, const char *address, const char *name,
                           const char *version);

/* Takes a varint length and text that fits the field; else the cursor fails. */
struct qr_cursor;
void qr_producer_take_text(struct qr_cursor *in, char *field, size_t field_bytes);

#endif
