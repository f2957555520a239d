/* node/ctl/forget.h — `quoratectl forget`: removes a host, or a chart of it, from the cluster.
 *
 * Asks one member, which puts it into the log; done means applied there.  Without --yes it only
 * says what it would do.  Thread: any; blocks. */
#ifndef QR_NODE_CTL_FORGET_H
#define QR_NODE_CTL_FORGET_H

#include "node/ctl/command.h"

extern const struct qr_ctl_command qr_ctl_forget;

#endif
