/* node/ctl/init.h — `quoratectl init`: the identity of a new cluster, as files.
 *
 *   DIR/ca.crt, ca.key        the cluster's CA; the key is needed only to add members
 *   DIR/member-<id>/          what that member needs: ca.crt, member.crt, member.key
 *   DIR/cluster.conf          the [cluster] section of every member's quorate.conf
 *   DIR/cluster.id            the cluster's UUID; written last: it is there when all is
 *
 * Nothing is ever overwritten.  When something cannot be written, what this run wrote is taken
 * back.  Thread: any; blocks. */
#ifndef QR_NODE_CTL_INIT_H
#define QR_NODE_CTL_INIT_H

#include "node/ctl/command.h"

extern const struct qr_ctl_command qr_ctl_init;

#endif
