#include "proto/caps.h"

#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"

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

static const uint32_t bits[QR_COMPRESSIONS] = {
    [QR_COMPRESSION_LZ4] = QR_CAP_LZ4,
    [QR_COMPRESSION_ZSTD] = QR_CAP_ZSTD,
    [QR_COMPRESSION_GZIP] = QR_CAP_GZIP,
    [QR_COMPRESSION_BROTLI] = QR_CAP_BROTLI,
};

const struct qr_compression_order qr_compression_order_default = {
    {QR_COMPRESSION_ZSTD, QR_COMPRESSION_LZ4, QR_COMPRESSION_BROTLI, QR_COMPRESSION_GZIP}};

static void add_once(struct qr_compression_order *order, size_t *n, enum qr_compression one)
{
    for (size_t i = 0; i < *n; i++)
        if (order->all[i] == one)
            return;
    order->all[(*n)++] = one;
}

static struct qr_slice next_word(struct qr_slice *text)
{
    size_t from = 0, to;
    while (from < text->len &&
           (text->base[from] == ' ' || text->base[from] == '\t' || text->base[from] == ','))
        from++;
    for (to = from; to < text->len && text->base[to] != ' ' && text->base[to] != '\t' &&
                    text->base[to] != ',';)
        to++;
    struct qr_slice word = qr_slice_of(text->base + from, to - from);
    *text = qr_slice_of(text->base + to, text->len - to);
    return word;
}

int qr_compression_order_parse(struct qr_compression_order *order, struct qr_slice text)
{
    size_t n = 0;
    for (struct qr_slice word; (word = next_word(&text)).len > 0;) {
        enum qr_compression one = qr_compression_of_name(word);
        if (one == QR_COMPRESSION_NONE)
            return QR_E_CONFIG;
        add_once(order, &n, one);
    }
    for (size_t i = 0; i < QR_COUNT(order->all); i++)
        add_once(order, &n, qr_compression_order_default.all[i]);
    return 0;
}

/* A connection has one compression: the first of the order that both sides have. */
static uint32_t keep_one_compression(uint32_t caps, const struct qr_compression_order *order)
{
    for (size_t i = 0; i < QR_COUNT(order->all); i++)
        if (caps & bits[order->all[i]])
            return (caps & ~QR_CAPS_COMPRESSIONS) | bits[order->all[i]];
    return caps;
}

uint32_t qr_caps_negotiate(uint32_t ver, uint32_t ours, const struct qr_compression_order *order)
{
    uint32_t theirs = ver <= VERSION_MAX ? caps_of_version(ver) : ver;
    return keep_one_compression(keep_strongest_marker(theirs) & ours, order);
}

uint32_t qr_compression_cap(enum qr_compression compression)
{
    return bits[compression];
}

enum qr_compression qr_caps_compression(uint32_t caps)
{
    for (enum qr_compression c = QR_COMPRESSION_LZ4; c < QR_COMPRESSIONS; c++)
        if (caps & bits[c])
            return c;
    return QR_COMPRESSION_NONE;
}
