/* storage/ballot.h — which bytes a block file has, as a majority of the members found them.
 *
 * Every member that wrote a file says its size and hash through the log; the first pair that more
 * than half of the members have given counts.  If all have spoken and no pair has a majority, the
 * pair that most gave does, of these the one of the lowest member id: a file is agreed on in any
 * case, and who made another fetches it.  A member's later vote replaces its earlier one.
 *
 * Replicated state: votes are counted in the order of the log.  Thread: the writer's. */
#ifndef QR_STORAGE_BALLOT_H
#define QR_STORAGE_BALLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/limits.h"

struct qr_file_vote {
    uint32_t member;
    uint64_t bytes, hash;
};

/* The votes on one file, in order of the members' ids.  A zeroed one is valid. */
struct qr_ballot {
    uint32_t n;
    struct qr_file_vote votes[QR_MEMBERS_MAX];
};

/* Counts a vote.  True: it decides, for *winner.  Beyond QR_MEMBERS_MAX voters it is ignored. */
bool qr_ballot_cast(struct qr_ballot *ballot, const struct qr_file_vote *vote, uint32_t n_members,
                    struct qr_file_vote *winner);

/* Has this member given exactly this vote? */
bool qr_ballot_has(const struct qr_ballot *ballot, const struct qr_file_vote *vote);

/* In snapshots: u8 count, then for each: varint member, varint bytes, u64 hash. */
void qr_ballot_encode(const struct qr_ballot *ballot, struct qr_buf *out);
/* Fails the cursor if there is none that may exist. */
void qr_ballot_decode(struct qr_ballot *ballot, struct qr_cursor *in);

#endif
