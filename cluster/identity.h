/* cluster/identity.h — who a member is, as its certificate says it:
 * the URI quorate://<cluster uuid>/<member id>.  Thread: any. */
#ifndef QR_CLUSTER_IDENTITY_H
#define QR_CLUSTER_IDENTITY_H

#include <stdint.h>

#include "base/guid.h"
#include "base/slice.h"

#define QR_IDENTITY_BYTES 64

struct qr_identity {
    struct qr_guid cluster;
    uint32_t member; /* 1 .. UINT32_MAX */
};

void qr_identity_format(const struct qr_identity *identity, char uri[QR_IDENTITY_BYTES]);

/* 0 or QR_E_MALFORMED.  One text an identity: lower case, no leading zeros. */
int qr_identity_parse(struct qr_identity *identity, struct qr_slice uri);

#endif
