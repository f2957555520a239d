#include "proto/caps.h"

#include <stddef.h>

#include "base/compiler.h"

/* Numbers up to this one are protocol versions, greater ones are masks. */
#define VERSION_MAX 5u

/* What an old protocol version can do. */
static uint32_t caps_of_version(uint32_t version)
{
    static const uint32_t sets[VERSION_MAX + 1] = {
        [0] = QR_CAP_V1,
        [1] = QR_CAP_V1,
        [2] = QR_CAP_V2 | QR_CAP_HLABELS,
        [3] = QR_CAP_VN | QR_CAP_HLABELS | QR_CAP_CLAIM,
        [4] = QR_CAP_VN | QR_CAP_HLABELS | QR_CAP_CLAIM | QR_CAP_CLABELS,
        [5] = QR_CAP_VN | QR_CAP_HLABELS | QR_CAP_CLAIM | QR_CAP_CLABELS | QR_CAP_LZ4,
    };
    return sets[version];
}

/* The strongest marker of the protocol generation replaces the weaker ones. */
static uint32_t keep_strongest_marker(uint32_t caps)
{
    if (caps & QR_CAP_VCAPS)
        return caps & ~(QR_CAP_V1 | QR_CAP_V2 | QR_CAP_VN);
    if (caps & QR_CAP_VN)
        return caps & ~(QR_CAP_V1 | QR_CAP_V2);
    return caps & QR_CAP_V2 ? caps & ~QR_CAP_V1 : caps;
}

/* A connection has one compression: the first of Netdata's order that both sides have. */
static uint32_t keep_one_compression(uint32_t caps)
{
    static const uint32_t order[] = {QR_CAP_ZSTD, QR_CAP_LZ4, QR_CAP_BROTLI, QR_CAP_GZIP};
    uint32_t all = QR_CAP_ZSTD | QR_CAP_LZ4 | QR_CAP_BROTLI | QR_CAP_GZIP;
    for (size_t i = 0; i < QR_COUNT(order); i++)
        if (caps & order[i])
            return (caps & ~all) | order[i];
    return caps;
}

uint32_t qr_caps_negotiate(uint32_t ver, uint32_t ours)
{
    uint32_t theirs = ver <= VERSION_MAX ? caps_of_version(ver) : ver;
    return keep_one_compression(keep_strongest_marker(theirs) & ours);
}
