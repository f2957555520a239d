/* cluster/membership.h — what the log says of the members: replicated state, and MEMBERS entries.
 *
 * The consensus library has a configuration of its own in the log, which decides who votes.  This
 * is what the machine knows: a record of the last one that was committed, the change that an
 * operator asked for, what became of the one before, and the ids that were removed.  It is in the
 * state, so a new leader goes on with a change where the old one stopped, and every member can tell
 * of it.
 *
 *   body:  u8 what, then
 *   1 ASK     u8 kind, varint member, u32 its disk (0: none), varint with, varint length and
 * address 2 CANCEL  u64 index of the ASK 3 END     u64 index of the ASK, u8 result 4 RECORD  u64
 * index of the configuration, u8 n, then n times by member: varint member, u32 disk, u8 role,
 * varint length and address
 *
 * One change at a time: an ASK while another runs is refused, and before the first RECORD.  Thread:
 * consensus. */
#ifndef QR_CLUSTER_MEMBERSHIP_H
#define QR_CLUSTER_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/limits.h"

#define QR_MEMBER_ADDRESS_BYTES 64u
#define QR_REMOVED_MAX          256u

/* As in the library's configuration. */
enum qr_member_role { QR_MEMBER_LEARNER, QR_MEMBER_VOTER, QR_MEMBER_SPARE };

enum qr_change_kind {
    QR_CHANGE_NONE,
    QR_CHANGE_ADD,    /* `with` comes */
    QR_CHANGE_REMOVE, /* `member` goes */
    QR_CHANGE_REPLACE /* `member` on `disk` goes, `with`, often the same id, comes empty */
};

/* What became of a change, and why not. */
enum qr_change_result {
    QR_CHANGE_DONE,
    QR_CHANGE_CANCELED,
    QR_CHANGE_NO_QUORUM,   /* The members that are left and up would be no majority. */
    QR_CHANGE_LAST,        /* It is the last voter. */
    QR_CHANGE_NO_MEMBER,   /* There is none with that id, or not on that disk any more. */
    QR_CHANGE_IS_MEMBER,   /* There is one with that id already. */
    QR_CHANGE_UNREACHED,   /* The one that comes did not say that it is there. */
    QR_CHANGE_NOT_EMPTY,   /* It has a log: it must come with an empty folder. */
    QR_CHANGE_TOO_MANY,    /* QR_MEMBERS_MAX */
    QR_CHANGE_ADDRESS,     /* Another member has that address. */
    QR_CHANGE_NO_SUCCESSOR /* It leads, and nobody can take over. */
};
#define QR_CHANGE_RESULT_MAX QR_CHANGE_NO_SUCCESSOR

struct qr_change {
    enum qr_change_kind kind;
    uint32_t member;                       /* Who goes; 0: nobody. */
    uint32_t disk;                         /* Of who goes. */
    uint32_t with;                         /* Who comes; 0: nobody. */
    char address[QR_MEMBER_ADDRESS_BYTES]; /* Of who comes. */
    uint64_t index;                        /* Of the ASK. */
    bool canceled;                         /* Somebody asked to take it back. */
};

struct qr_recorded_member {
    uint32_t member, disk;
    enum qr_member_role role;
    char address[QR_MEMBER_ADDRESS_BYTES];
};

struct qr_membership {
    uint64_t configuration; /* Index of the one recorded; 0: none yet. */
    unsigned n;
    struct qr_recorded_member members[QR_MEMBERS_MAX];
    struct qr_change change; /* That runs. */
    struct qr_change last;   /* That ended last, and how. */
    enum qr_change_result last_result;
    uint32_t removed[QR_REMOVED_MAX]; /* Rising. */
    unsigned n_removed;
};

unsigned qr_membership_voters(const struct qr_membership *membership);
bool qr_membership_is_removed(const struct qr_membership *membership, uint32_t member);

/* Applies the body of a MEMBERS entry.  0, QR_E_MALFORMED, QR_E_BUSY (a change runs, or nothing is
 * recorded yet), QR_E_EXISTS (who is to come is a member), QR_E_UNKNOWN (no such member on that
 * disk; not the change that runs; an older configuration); then nothing changed. */
int qr_membership_apply(struct qr_membership *membership, struct qr_slice body, uint64_t index);

/* Bodies.  0 or an error of the buffer. */
int qr_membership_ask(struct qr_buf *out, const struct qr_change *change);
int qr_membership_cancel(struct qr_buf *out, uint64_t index);
int qr_membership_end(struct qr_buf *out, uint64_t index, enum qr_change_result result);
int qr_membership_record(struct qr_buf *out, const struct qr_membership *record);

/* In snapshots.  Decoding fails the cursor for what may not exist. */
void qr_membership_encode(const struct qr_membership *membership, struct qr_buf *out);
void qr_membership_decode(struct qr_membership *membership, struct qr_cursor *in);

/* A sentence for people: why, and what to do. */
const char *qr_change_result_text(enum qr_change_result result);

#endif
