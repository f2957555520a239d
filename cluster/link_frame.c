#include "cluster/link_frame.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/limits.h"

#define MAGIC 0x4b4c5251u /* "QRLK" */
/* Where the checksum stands; it covers what is before and after it. */
#define CRC_AT 16u

static const struct {
    const char *name;
    uint32_t payload_max;
} types[QR_LINK_TYPE_NR] = {
    [QR_LINK_HELLO] = {"HELLO", QR_LINK_HELLO_BYTES_MAX},
    [QR_LINK_PING] = {"PING", 0},
    [QR_LINK_RAFT] = {"RAFT", QR_LINK_FRAME_BYTES_MAX},
    [QR_LINK_PROPOSE] = {"PROPOSE", QR_ENTRY_BYTES_MAX + 4096},
    [QR_LINK_PROPOSE_RESULT] = {"PROPOSE_RESULT", 4096},
    [QR_LINK_STATE_HASH] = {"STATE_HASH", 4096},
    [QR_LINK_BLOCK_GET] = {"BLOCK_GET", 4096},
    [QR_LINK_BLOCK_PART] = {"BLOCK_PART", 1024 * 1024 + 4096},
    [QR_LINK_PLACE] = {"PLACE", 4096},
    [QR_LINK_FUNCTION] = {"FUNCTION", 1024 * 1024},
};

size_t qr_link_payload_max(enum qr_link_type type)
{
    return types[type].payload_max;
}

const char *qr_link_type_name(unsigned type)
{
    return type < QR_LINK_TYPE_NR && types[type].name != NULL ? types[type].name : "?";
}

static bool is_type(unsigned type)
{
    return type < QR_LINK_TYPE_NR && types[type].name != NULL;
}

int qr_link_frame_decode(struct qr_link_frame *frame, size_t *used, struct qr_slice bytes)
{
    *used = QR_LINK_HEADER_BYTES;
    if (bytes.len < QR_LINK_HEADER_BYTES)
        return QR_E_PARTIAL;
    struct qr_cursor c = qr_cursor_of(qr_slice_of(bytes.base, QR_LINK_HEADER_BYTES));
    uint32_t magic = qr_cursor_u32(&c);
    uint16_t type = qr_cursor_u16(&c);
    uint16_t flags = qr_cursor_u16(&c);
    uint32_t group = qr_cursor_u32(&c);
    uint32_t len = qr_cursor_u32(&c);
    uint32_t crc = qr_cursor_u32(&c);
    assert(qr_cursor_done(&c));
    if (magic != MAGIC || !is_type(type) || flags != 0)
        return QR_E_MALFORMED;
    if (len > types[type].payload_max)
        return QR_E_LIMIT;
    *used = QR_LINK_HEADER_BYTES + len;
    if (bytes.len - QR_LINK_HEADER_BYTES < len)
        return QR_E_PARTIAL;
    const char *payload = bytes.base + QR_LINK_HEADER_BYTES;
    if (qr_crc32c(qr_crc32c(0, bytes.base, CRC_AT), payload, len) != crc)
        return QR_E_CORRUPT;
    *frame = (struct qr_link_frame){(enum qr_link_type)type, group, qr_slice_of(payload, len)};
    return 0;
}

void qr_link_frame_header(uint8_t header[QR_LINK_HEADER_BYTES], enum qr_link_type type,
                          uint32_t group, const struct qr_slice *parts, unsigned n_parts)
{
    size_t len = 0;
    for (unsigned i = 0; i < n_parts; i++)
        len += parts[i].len;
    assert(len <= qr_link_payload_max(type));
    qr_le_put(header, MAGIC, 4);
    qr_le_put(header + 4, (uint16_t)type, 2);
    qr_le_put(header + 6, 0, 2);
    qr_le_put(header + 8, group, 4);
    qr_le_put(header + 12, (uint32_t)len, 4);
    uint32_t crc = qr_crc32c(0, header, CRC_AT);
    for (unsigned i = 0; i < n_parts; i++)
        crc = qr_crc32c(crc, parts[i].base, parts[i].len);
    qr_le_put(header + CRC_AT, crc, 4);
}

int qr_link_hello_decode(struct qr_link_hello *hello, struct qr_slice payload)
{
    struct qr_cursor c = qr_cursor_of(payload);
    struct qr_link_hello taken = {.version = qr_cursor_u32(&c)};
    if (!c.failed && taken.version != QR_LINK_VERSION) {
        hello->version = taken.version; /* the rest may look otherwise there */
        return QR_E_VERSION;
    }
    taken.member = qr_cursor_u32(&c);
    taken.incarnation = qr_cursor_u64(&c);
    struct qr_slice cluster = qr_cursor_take(&c, sizeof taken.cluster.bytes);
    taken.disk = qr_cursor_u32(&c);
    taken.address = qr_cursor_take(&c, qr_cursor_left(&c));
    if (!qr_cursor_done(&c) || taken.address.len > QR_LINK_ADDRESS_MAX || taken.member == 0)
        return QR_E_MALFORMED;
    memcpy(taken.cluster.bytes, cluster.base, sizeof taken.cluster.bytes);
    *hello = taken;
    return 0;
}

size_t qr_link_hello_encode(const struct qr_link_hello *hello,
                            uint8_t payload[QR_LINK_HELLO_BYTES_MAX])
{
    size_t len = hello->address.len;
    if (len > QR_LINK_ADDRESS_MAX)
        len = QR_LINK_ADDRESS_MAX;
    qr_le_put(payload, hello->version, 4);
    qr_le_put(payload + 4, hello->member, 4);
    qr_le_put(payload + 8, hello->incarnation, 8);
    memcpy(payload + 16, hello->cluster.bytes, sizeof hello->cluster.bytes);
    qr_le_put(payload + 32, hello->disk, 4);
    if (len > 0)
        memcpy(payload + 36, hello->address.base, len);
    return 36 + len;
}
