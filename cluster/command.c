#include "cluster/command.h"

#include <assert.h>
#include <uv.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/limits.h"

#define MAGIC          'Q'
#define CRC_AT         8u
#define CRC_END        12u
#define ALIGN_TO       8u
#define INCARNATION_AT 16u

static_assert(QR_COMMAND_HEADER_BYTES % ALIGN_TO == 0, "the library wants multiples of 8");
static_assert(QR_ENTRY_BYTES_MAX % ALIGN_TO == 0, "the largest entry needs no more padding");

static const char *const type_names[] = {
    [QR_COMMAND_MEMBER_INFO] = "member_info",
    [QR_COMMAND_OWN] = "own",
    [QR_COMMAND_HOST] = "host",
    [QR_COMMAND_CHARTS] = "charts",
    [QR_COMMAND_SAMPLES] = "samples",
    [QR_COMMAND_HOST_STATE] = "host_state",
    [QR_COMMAND_SEAL] = "seal",
    [QR_COMMAND_SEALED] = "sealed",
    [QR_COMMAND_RETAIN] = "retain",
    [QR_COMMAND_FORGET] = "forget",
    [QR_COMMAND_MERGE] = "merge",
    [QR_COMMAND_MEMBERS] = "members",
    [QR_COMMAND_KEYS] = "keys",
};

static bool is_known(unsigned type)
{
    return type >= 1 && type <= QR_COMMAND_TYPE_MAX;
}

const char *qr_command_type_name(enum qr_command_type type)
{
    return is_known(type) ? type_names[type] : "unknown";
}

static size_t padding_of(size_t len)
{
    return (ALIGN_TO - len % ALIGN_TO) % ALIGN_TO;
}

static uint32_t checksum(const char *entry, size_t len)
{
    uint32_t crc = qr_crc32c(0, entry, CRC_AT);
    return qr_crc32c(crc, entry + CRC_END, len - CRC_END);
}

int qr_command_encode(struct qr_buf *out, const struct qr_command *command)
{
    static const char zeros[ALIGN_TO];
    assert(is_known(command->type));
    if (command->body.len > QR_ENTRY_BYTES_MAX - QR_COMMAND_HEADER_BYTES)
        return QR_E_LIMIT;
    size_t padding = padding_of(command->body.len);
    size_t len = QR_COMMAND_HEADER_BYTES + command->body.len + padding;
    int err = qr_buf_reserve(out, len);
    if (err != 0)
        return err;

    size_t start = out->len;
    qr_buf_add_u8(out, MAGIC);
    qr_buf_add_u8(out, QR_COMMAND_VERSION);
    qr_buf_add_u8(out, (uint8_t)command->type);
    qr_buf_add_u8(out, 0);
    qr_buf_add_u32(out, (uint32_t)command->body.len);
    qr_buf_add_u32(out, 0);
    qr_buf_add_u32(out, command->member);
    qr_buf_add_u64(out, command->incarnation);
    qr_buf_add_u64(out, command->sequence);
    qr_buf_add_u64(out, (uint64_t)command->time_us);
    qr_buf_add(out, command->body.base, command->body.len);
    qr_buf_add(out, zeros, padding);
    assert(out->len - start == len);

    char *entry = out->base + start;
    qr_le_put(entry + CRC_AT, checksum(entry, len), 4);
    return 0;
}

void qr_command_renumber(char *entry, size_t len, uint64_t incarnation)
{
    assert(len >= QR_COMMAND_HEADER_BYTES);
    qr_le_put(entry + INCARNATION_AT, incarnation, 8);
    qr_le_put(entry + CRC_AT, checksum(entry, len), 4);
}

static bool is_zero(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

int qr_command_decode(struct qr_command *command, struct qr_slice entry)
{
    if (entry.len < QR_COMMAND_HEADER_BYTES)
        return QR_E_CORRUPT;
    struct qr_cursor c = qr_cursor_of(entry);
    uint8_t magic = qr_cursor_u8(&c);
    uint8_t version = qr_cursor_u8(&c);
    uint8_t type = qr_cursor_u8(&c);
    uint8_t flags = qr_cursor_u8(&c);
    uint32_t body_bytes = qr_cursor_u32(&c);
    uint32_t crc = qr_cursor_u32(&c);
    if (crc != checksum(entry.base, entry.len))
        return QR_E_CORRUPT;
    if (magic != MAGIC)
        return QR_E_MALFORMED;
    if (version != QR_COMMAND_VERSION || !is_known(type))
        return QR_E_VERSION;
    size_t left = entry.len - QR_COMMAND_HEADER_BYTES;
    if (flags != 0 || entry.len > QR_ENTRY_BYTES_MAX || body_bytes > left ||
        left - body_bytes != padding_of(body_bytes))
        return QR_E_MALFORMED;

    struct qr_command got = {.type = (enum qr_command_type)type};
    got.member = qr_cursor_u32(&c);
    got.incarnation = qr_cursor_u64(&c);
    got.sequence = qr_cursor_u64(&c);
    got.time_us = (int64_t)qr_cursor_u64(&c);
    got.body = qr_cursor_take(&c, body_bytes);
    struct qr_slice padding = qr_cursor_take(&c, left - body_bytes);
    if (!is_zero(padding.base, padding.len))
        return QR_E_MALFORMED;
    assert(qr_cursor_done(&c));
    *command = got;
    return 0;
}
