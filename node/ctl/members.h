/* node/ctl/members.h — `quoratectl members`: who is a member, and changes of that.  Thread: any. */
#ifndef QR_NODE_CTL_MEMBERS_H
#define QR_NODE_CTL_MEMBERS_H

#include "node/ctl/command.h"

extern const struct qr_ctl_command qr_ctl_members;

/* The members and their change of a status (JSON) as text.  Returns an exit code. */
int qr_ctl_members_render(struct qr_slice text, struct qr_buf *out, struct qr_buf *err);

#endif
