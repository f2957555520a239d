/* node/ctl/drain.h — `quoratectl drain` and `undrain`: a member hands its children over.
 *
 * Asks the member itself; `drain` returns when its children have gone, or at once with --no-wait.
 * Thread: any; blocks. */
#ifndef QR_NODE_CTL_DRAIN_H
#define QR_NODE_CTL_DRAIN_H

#include "node/ctl/command.h"

extern const struct qr_ctl_command qr_ctl_drain;
extern const struct qr_ctl_command qr_ctl_undrain;

/* Of a member's status: how many children are connected to it, or -1 if this is no status. */
long qr_ctl_drain_children(struct qr_slice status);

#endif
