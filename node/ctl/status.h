/* node/ctl/status.h — `quoratectl status`: how the cluster is, from the first member that answers.
 *
 * The first line is the verdict; tables of members and children follow.  The exit code is the
 * verdict's level.  Thread: any; blocks. */
#ifndef QR_NODE_CTL_STATUS_H
#define QR_NODE_CTL_STATUS_H

#include "base/slice.h"
#include "node/ctl/command.h"

extern const struct qr_ctl_command qr_ctl_status;

/* A status object of /api/quorate/v1/status as text.  Tolerant: what is missing or of another type
 * is left out ("-").  Returns the exit code, or -1: it is no status, with the reason in `err`. */
int qr_ctl_status_render(struct qr_slice text, struct qr_buf *out, struct qr_buf *err);

#endif
