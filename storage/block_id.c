#include "storage/block_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

int qr_block_id_compare(const struct qr_block_id *a, const struct qr_block_id *b)
{
    if (a->tier != b->tier)
        return a->tier < b->tier ? -1 : 1;
    if (a->start_s != b->start_s)
        return a->start_s < b->start_s ? -1 : 1;
    if (a->window_s != b->window_s)
        return a->window_s < b->window_s ? -1 : 1;
    if (a->shard != b->shard)
        return a->shard < b->shard ? -1 : 1;
    return (a->generation > b->generation) - (a->generation < b->generation);
}

static bool may_exist(const struct qr_block_id *id)
{
    return id->tier < QR_TIERS && id->shard <= QR_SHARD_MAX && id->start_s >= 0 &&
           id->start_s <= QR_TIME_S_MAX && id->window_s != 0 && id->window_s <= QR_WINDOW_S_MAX;
}

void qr_block_format_name(const struct qr_block_id *id, char name[QR_BLOCK_NAME_BYTES])
{
    snprintf(name, QR_BLOCK_NAME_BYTES,
             "s%04" PRIx32 "-t%u-%08" PRIx64 "-w%" PRIu32 "-g%" PRIu32 ".qb", id->shard, id->tier,
             (uint64_t)id->start_s, id->window_s, id->generation);
}

/* A number after `before`; leaves *text behind it. */
static uint64_t take_number(const char **text, const char *before, int base)
{
    size_t len = strlen(before);
    if (strncmp(*text, before, len) != 0)
        return 0;
    char *end;
    uint64_t v = strtoull(*text + len, &end, base);
    *text = end;
    return v;
}

bool qr_block_parse_name(struct qr_block_id *id, const char *name)
{
    const char *at = name;
    id->shard = (uint32_t)take_number(&at, "s", 16);
    id->tier = (uint8_t)take_number(&at, "-t", 10);
    id->start_s = (int64_t)take_number(&at, "-", 16);
    id->window_s = (uint32_t)take_number(&at, "-w", 10);
    id->generation = (uint32_t)take_number(&at, "-g", 10);
    /* There is one name for an id: whatever else was written there shows now. */
    char again[QR_BLOCK_NAME_BYTES];
    qr_block_format_name(id, again);
    return strcmp(again, name) == 0 && may_exist(id);
}

int qr_block_id_encode(struct qr_buf *out, const struct qr_block_id *id)
{
    qr_buf_add_u8(out, id->tier);
    qr_buf_add_varint(out, (uint64_t)id->start_s);
    qr_buf_add_varint(out, id->window_s);
    qr_buf_add_varint(out, id->shard);
    return qr_buf_add_varint(out, id->generation);
}

void qr_block_id_decode(struct qr_block_id *id, struct qr_cursor *in)
{
    id->tier = qr_cursor_u8(in);
    id->start_s = (int64_t)qr_cursor_varint_max(in, (uint64_t)QR_TIME_S_MAX);
    id->window_s = (uint32_t)qr_cursor_varint_max(in, QR_WINDOW_S_MAX);
    id->shard = (uint32_t)qr_cursor_varint_max(in, QR_SHARD_MAX);
    id->generation = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    if (!may_exist(id))
        in->failed = true;
}
