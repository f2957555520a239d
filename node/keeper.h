/* node/keeper.h — what the passing of time demands: of the leader seals and retention, of each
 * member its word on the block files that it wrote.
 *
 * Clocks decide only *when* an entry is proposed; what it does is the same on every member.  But a
 * clock that is years ahead would have all data dropped: the time is the cluster's, and while that
 * is doubtful (it has jumped ahead) nothing is dropped for its age.
 * A window is sealed when the clock has passed its end by QR_KEEPER_GRACE_S; one that got late
 * samples only after they had QR_KEEPER_LATE_S to arrive, so that a replay makes few generations.
 * A span is merged a window and those times after its end; one that was merged before only after it
 * has been as it is for QR_KEEPER_LATE_S, so that the rest of a replay is merged with it.  Shorter
 * windows than those times shorten them.
 *
 * Thread: consensus. */
#ifndef QR_NODE_KEEPER_H
#define QR_NODE_KEEPER_H

#include "cluster/agreed.h"
#include "cluster/group.h"
#include "node/bodies.h"
#include "node/config.h"
#include "storage/store.h"

#define QR_KEEPER_GRACE_S     30
#define QR_KEEPER_LATE_S      600
#define QR_KEEPER_WINDOWS_MAX 256
/* With more windows frozen that are not in files, disks do not keep up: no more are sealed. */
#define QR_KEEPER_UNWRITTEN_MAX 2

struct qr_keeper;

int qr_keeper_new(struct qr_keeper **keeper, struct qr_group *group, struct qr_store *store,
                  const struct qr_config *config, const struct qr_agreed *time);

/* Once a second; may be called more often. */
void qr_keeper_tick(struct qr_keeper *keeper);

/* The windows to seal now, oldest first, no more than disks keep up with; returns how many.
 * Remembers since when those that wait have had late samples, so it is asked once a second too. */
unsigned qr_keeper_due(struct qr_keeper *keeper, int64_t now_s,
                       int64_t starts[QR_KEEPER_WINDOWS_MAX]);

/* The merge to propose now; false: none.  Asked once a second, too. */
bool qr_keeper_merge_due(struct qr_keeper *keeper, int64_t now_s, struct qr_block_id *id);

/* What RETAIN says now. */
void qr_keeper_retention(const struct qr_keeper *keeper, int64_t now_s,
                         struct qr_retention *retention);

#endif
