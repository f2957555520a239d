#include "cluster/identity.h"

#include <stdio.h>

#include "base/error.h"

#define SCHEME     "quorate://"
#define SCHEME_LEN (sizeof SCHEME - 1)
/* Scheme, uuid and slash: the member id follows. */
#define FRONT_LEN (SCHEME_LEN + QR_GUID_TEXT_LEN + 1)

void qr_identity_format(const struct qr_identity *identity, char uri[QR_IDENTITY_BYTES])
{
    char cluster[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(&identity->cluster, cluster);
    snprintf(uri, QR_IDENTITY_BYTES, SCHEME "%s/%u", cluster, identity->member);
}

int qr_identity_parse(struct qr_identity *identity, struct qr_slice uri)
{
    struct qr_identity parsed = {0};
    char again[QR_IDENTITY_BYTES];
    if (uri.len <= FRONT_LEN || uri.len > FRONT_LEN + 10)
        return QR_E_MALFORMED;
    if (qr_guid_parse(&parsed.cluster, qr_slice_of(uri.base + SCHEME_LEN, QR_GUID_TEXT_LEN)) != 0)
        return QR_E_MALFORMED;
    uint64_t member = 0;
    for (size_t i = FRONT_LEN; i < uri.len; i++) {
        if (uri.base[i] < '0' || uri.base[i] > '9')
            return QR_E_MALFORMED;
        member = member * 10 + (uint64_t)(uri.base[i] - '0');
    }
    if (member == 0 || member > UINT32_MAX)
        return QR_E_MALFORMED;
    parsed.member = (uint32_t)member;
    /* The scheme, the slash, the case and leading zeros: only our own text comes out the same. */
    qr_identity_format(&parsed, again);
    if (!qr_slice_is(uri, again))
        return QR_E_MALFORMED;
    *identity = parsed;
    return 0;
}
