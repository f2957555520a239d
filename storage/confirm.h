/* storage/confirm.h — from the members' votes on a block file to what the group agreed on.
 *
 * The votes of a file that is not agreed on yet are kept beside the manifest (state->votes), from
 * the first one on: a member may hear of others' files before it has written its own.  Once decided
 * the file is confirmed; who has another sets it aside (NAME.bad) and fetches the group's.
 * Thread: the writer's. */
#ifndef QR_STORAGE_CONFIRM_H
#define QR_STORAGE_CONFIRM_H

#include "storage/ballot.h"
#include "storage/block_id.h"

struct qr_state;
struct qr_store;

/* Counts a vote that the log holds; of a file that is agreed on, or gone, it changes nothing.  0 or
 * UV_ENOMEM. */
int qr_confirm_vote(struct qr_store *store, const struct qr_block_id *id,
                    const struct qr_file_vote *vote, uint32_t n_members);

/* The number of members is another one: counts again what is undecided.  0 or UV_ENOMEM. */
int qr_confirm_recount(struct qr_store *store, uint32_t n_members);

/* The group agreed on this, and the file is in the manifest.  0 or UV_ENOMEM. */
int qr_confirm_decide(struct qr_store *store, const struct qr_block_id *id, uint64_t bytes,
                      uint64_t hash);

/* This member's file is not the group's: keeps it beside, to be looked at, and says so. */
void qr_confirm_set_aside(struct qr_store *store, const struct qr_block_id *id);

/* The votes so far; NULL: none. */
const struct qr_ballot *qr_confirm_votes(const struct qr_state *state,
                                         const struct qr_block_id *id);
/* A snapshot's.  0 or UV_ENOMEM. */
int qr_confirm_put(struct qr_state *state, const struct qr_block_id *id,
                   const struct qr_ballot *ballot);
/* Forgets votes on files that are gone. */
void qr_confirm_prune(struct qr_state *state);
void qr_confirm_release(struct qr_state *state);

#endif
