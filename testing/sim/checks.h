/* testing/sim/checks.h — who looks whether the promises hold while a simulated cluster runs.
 *
 *   with each entry that a member applies   the same entry and the same state hash as everybody
 * else at that index, in every life; blocks count only of the owner of the newest epoch, in order
 *   each step                               a commit index that never goes back
 *   each simulated second                   one leader a term, and an entry of a snapshot one term;
 *                                           no member goes back to an older term, or leaps ahead
 *   with each vote on a block file          the file and its name survive a loss of power
 *   when asked                              the samples in a member's store are the model's, and so
 * are the points of minutes and hours made of them; block files of the same name are the same bytes
 *
 * The model of who owns what is checks' own: it reads the entries, not the members.  A violation is
 * noted once; whoever runs the world stops.  Not for threads. */
#ifndef QR_TESTING_SIM_CHECKS_H
#define QR_TESTING_SIM_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "cluster/machine.h"
#include "storage/block_id.h"
#include "testing/sim/hosts.h"

void qr_sim_checks_init(void);

/* The first one counts. */
void qr_sim_violation(const char *format, ...) QR_PRINTF(1, 2);
bool qr_sim_violated(void);

/* ---- what the hooks tell ---- */

/* This member's machine has applied the entry of this index. */
void qr_sim_check_applied(const struct qr_sim_member *member, const struct qr_machine *machine,
                          uint64_t index, struct qr_slice entry);
/* .. has a snapshot's state instead of its own. */
void qr_sim_check_replaced(const struct qr_sim_member *member, const struct qr_machine *machine);

/* .. is about to vote on a block file: it must survive a loss of power. */
void qr_sim_check_vote(const struct qr_sim_member *member, const struct qr_block_id *id);

/* ---- now and then ---- */

void qr_sim_check_step(void);
void qr_sim_check_second(void);
/* Has the group a leader, do all members follow, are all children connected?  Else why not. */
bool qr_sim_check_settled(char *why, size_t bytes);

/* Reads all charts of all children in a member's store, over [from_s, to_s], on a fiber of it.
 * `whole`: all must be there.  Else what is there must be right.  False: one is reading there. */
bool qr_sim_check_store(struct qr_sim_member *member, int64_t from_s, int64_t to_s, bool whole);
/* How many are reading. */
unsigned qr_sim_check_reading(void);

/* Compares the block files of all members; what was flipped is left out.  `again`: also those that
 * were compared before. */
void qr_sim_check_files(bool again);

#endif
