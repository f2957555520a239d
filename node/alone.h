/* node/alone.h — a cluster of one that nobody has set up: a proxy, or a first try.
 *
 * A quorate.conf that names no member and no cluster makes one of a single member, which has no
 * links and needs no certificates.  Its id is drawn at the first start and kept in DATA/cluster-id,
 * as text.  Thread: any; blocks. */
#ifndef QR_NODE_ALONE_H
#define QR_NODE_ALONE_H

#include "base/guid.h"

/* 0, or an error that is in the log: of the system, or QR_E_CORRUPT (the file holds no id). */
int qr_alone_id(const char *data, struct qr_guid *id);

#endif
