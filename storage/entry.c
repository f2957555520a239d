#include "storage/entry.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/cursor.h"
#include "base/error.h"
#include "base/limits.h"

#define VERSION      1
#define HEADER_BYTES 5
static_assert(sizeof(float) == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "values are written as they lie in memory");

/* ---- building ---- */

void qr_entry_block_init(struct qr_entry_block *block)
{
    *block = (struct qr_entry_block){0};
}

void qr_entry_block_release(struct qr_entry_block *block)
{
    qr_buf_release(&block->charts);
    qr_buf_release(&block->times);
    qr_buf_release(&block->dims);
    qr_buf_release(&block->values);
    qr_entry_block_init(block);
}

void qr_entry_block_clear(struct qr_entry_block *block)
{
    qr_buf_clear(&block->charts);
    qr_buf_clear(&block->times);
    qr_buf_clear(&block->dims);
    qr_buf_clear(&block->values);
    block->n_rows = 0;
    block->n_samples = 0;
    block->last_chart = 0;
    block->last_end_s = 0;
}

int qr_entry_block_row(struct qr_entry_block *block, uint32_t chart, int64_t end_s,
                       const uint32_t *values, uint32_t n)
{
    assert(n <= QR_DIMS_PER_CHART_MAX);
    /* Room first: then nothing below can fail and leave half a row. */
    if (qr_buf_reserve(&block->charts, 10) != 0 || qr_buf_reserve(&block->times, 10) != 0 ||
        qr_buf_reserve(&block->dims, 5) != 0 ||
        qr_buf_reserve(&block->values, n * sizeof *values) != 0)
        return UV_ENOMEM;
    qr_buf_add_zigzag(&block->charts, (int64_t)chart - block->last_chart);
    qr_buf_add_zigzag(&block->times, (int64_t)((uint64_t)end_s - (uint64_t)block->last_end_s));
    qr_buf_add_varint(&block->dims, n);
    qr_buf_add(&block->values, values, n * sizeof *values);
    block->last_chart = chart;
    block->last_end_s = end_s;
    block->n_rows++;
    block->n_samples += n;
    return 0;
}

size_t qr_entry_block_bytes(const struct qr_entry_block *block)
{
    return 4 * 5 + block->charts.len + block->times.len + block->dims.len + block->values.len;
}

/* ---- encoding ---- */

static int put_plain(struct qr_buf *plain, struct qr_entry_block *const *blocks, unsigned n_blocks)
{
    qr_buf_add_varint(plain, n_blocks);
    for (unsigned i = 0; i < n_blocks; i++) {
        const struct qr_entry_block *block = blocks[i];
        qr_buf_add_varint(plain, block->host);
        qr_buf_add_varint(plain, block->epoch);
        qr_buf_add_varint(plain, block->block_seq);
        qr_buf_add_varint(plain, block->n_rows);
        qr_buf_add(plain, block->charts.base, block->charts.len);
        qr_buf_add(plain, block->times.base, block->times.len);
        qr_buf_add(plain, block->dims.base, block->dims.len);
    }
    for (unsigned i = 0; i < n_blocks; i++)
        qr_buf_add(plain, blocks[i]->values.base, blocks[i]->values.len);
    return plain->failed ? UV_ENOMEM : 0;
}

static int put_compressed(struct qr_buf *out, const struct qr_buf *plain)
{
    int bound = LZ4_compressBound((int)plain->len);
    int err = qr_buf_reserve(out, HEADER_BYTES + (size_t)bound);
    if (err != 0)
        return err;
    int len = LZ4_compress_default(plain->base, out->base + out->len + HEADER_BYTES,
                                   (int)plain->len, bound);
    assert(len > 0);
    if (HEADER_BYTES + (size_t)len > QR_ENTRY_BODY_BYTES_MAX)
        return QR_E_LIMIT;
    qr_buf_add_u8(out, VERSION);
    qr_buf_add_u32(out, (uint32_t)plain->len);
    out->len += (size_t)len;
    return 0;
}

int qr_entry_encode(struct qr_buf *out, struct qr_entry_block *const *blocks, unsigned n_blocks)
{
    size_t bytes = 5;
    for (unsigned i = 0; i < n_blocks; i++) {
        bytes += qr_entry_block_bytes(blocks[i]);
        if (bytes > QR_ENTRY_PLAIN_BYTES_MAX)
            return QR_E_LIMIT;
    }
    struct qr_buf plain;
    qr_buf_init(&plain, 0);
    int err = qr_buf_reserve(&plain, bytes);
    if (err == 0)
        err = put_plain(&plain, blocks, n_blocks);
    if (err == 0)
        err = put_compressed(out, &plain);
    qr_buf_release(&plain);
    return err;
}

/* ---- decoding ---- */

struct qr_entry_reader {
    uint32_t n_hosts_left;
    uint32_t n_rows_left;                 /* Of the current host. */
    struct qr_cursor heads;               /* At the next host's head. */
    struct qr_cursor charts, times, dims; /* Columns of the current host. */
    const uint32_t *values;               /* Of the next row. */
    uint32_t chart;
    int64_t end_s;
    uint32_t *all_values;
    uint8_t plain[]; /* Values, aligned, are a copy behind it. */
};

/* A column of n varints starts at `heads`: leaves a cursor on it and steps over it. */
static struct qr_cursor take_column(struct qr_cursor *heads, uint32_t n)
{
    struct qr_cursor column = *heads;
    for (uint32_t i = 0; i < n && !heads->failed; i++)
        qr_cursor_varint(heads);
    column.end = heads->p;
    return column;
}

static struct qr_entry_host take_head(struct qr_entry_reader *reader)
{
    struct qr_cursor *in = &reader->heads;
    struct qr_entry_host host;
    host.host = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    host.epoch = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    host.block_seq = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    host.n_rows = (uint32_t)qr_cursor_varint_max(in, qr_cursor_left(in) / 3);
    reader->charts = take_column(in, host.n_rows);
    reader->times = take_column(in, host.n_rows);
    reader->dims = take_column(in, host.n_rows);
    reader->n_rows_left = host.n_rows;
    reader->chart = 0;
    reader->end_s = 0;
    return host;
}

/* The next row but its values; what does not fit its type fails a cursor. */
static uint32_t take_row(struct qr_entry_reader *reader)
{
    int64_t chart;
    if (__builtin_add_overflow((int64_t)reader->chart, qr_cursor_zigzag(&reader->charts), &chart) ||
        chart < 0 || chart > UINT32_MAX)
        reader->charts.failed = true;
    reader->chart = (uint32_t)chart;
    reader->end_s = (int64_t)((uint64_t)reader->end_s + (uint64_t)qr_cursor_zigzag(&reader->times));
    reader->n_rows_left--;
    return (uint32_t)qr_cursor_varint_max(&reader->dims, QR_DIMS_PER_CHART_MAX);
}

/* Walks all of it: the heads must be followed by exactly the values that the rows announce. */
static bool is_sound(struct qr_entry_reader *reader)
{
    uint64_t n_values = 0;
    for (uint32_t i = 0; i < reader->n_hosts_left; i++) {
        struct qr_entry_host host = take_head(reader);
        if (reader->heads.failed)
            return false;
        while (reader->n_rows_left > 0)
            n_values += take_row(reader);
        if (reader->charts.failed || reader->times.failed || reader->dims.failed)
            return false;
        (void)host;
    }
    return !reader->heads.failed && qr_cursor_left(&reader->heads) == n_values * sizeof(uint32_t);
}

static int decompress(struct qr_entry_reader *reader, struct qr_slice packed, uint32_t plain_bytes)
{
    int n =
        LZ4_decompress_safe(packed.base, (char *)reader->plain, (int)packed.len, (int)plain_bytes);
    if (n < 0 || (uint32_t)n != plain_bytes)
        return QR_E_MALFORMED;
    reader->heads = qr_cursor_of(qr_slice_of(reader->plain, plain_bytes));
    uint32_t n_hosts =
        (uint32_t)qr_cursor_varint_max(&reader->heads, qr_cursor_left(&reader->heads) / 4);
    reader->n_hosts_left = n_hosts;
    struct qr_cursor heads = reader->heads;
    if (!is_sound(reader))
        return QR_E_MALFORMED;
    /* What is left are the values; their place in the plain bytes is not aligned. */
    memcpy(reader->all_values, reader->heads.p, qr_cursor_left(&reader->heads));
    reader->values = reader->all_values;
    reader->heads = heads;
    reader->n_rows_left = 0;
    return 0;
}

int qr_entry_reader_new(struct qr_entry_reader **reader, struct qr_slice body)
{
    struct qr_cursor in = qr_cursor_of(body);
    uint8_t version = qr_cursor_u8(&in);
    if (!in.failed && version != VERSION)
        return QR_E_VERSION;
    uint32_t plain_bytes = qr_cursor_u32(&in);
    if (in.failed)
        return QR_E_MALFORMED;
    /* LZ4 makes at most 255 bytes of one: a lie about the length costs no memory. */
    if (body.len > QR_ENTRY_BODY_BYTES_MAX || plain_bytes > QR_ENTRY_PLAIN_BYTES_MAX)
        return QR_E_LIMIT;
    if (plain_bytes / 255 > qr_cursor_left(&in))
        return QR_E_MALFORMED;
    size_t values_at = (sizeof **reader + plain_bytes + 7) & ~(size_t)7;
    struct qr_entry_reader *r = malloc(values_at + plain_bytes);
    if (r == NULL)
        return UV_ENOMEM;
    r->all_values = (uint32_t *)((char *)r + values_at);
    int err = decompress(r, qr_slice_of(in.p, qr_cursor_left(&in)), plain_bytes);
    if (err != 0) {
        free(r);
        return err;
    }
    *reader = r;
    return 0;
}

void qr_entry_reader_free(struct qr_entry_reader *reader)
{
    free(reader);
}

bool qr_entry_next_host(struct qr_entry_reader *reader, struct qr_entry_host *host)
{
    while (reader->n_rows_left > 0)
        reader->values += take_row(reader);
    if (reader->n_hosts_left == 0)
        return false;
    reader->n_hosts_left--;
    *host = take_head(reader);
    return true;
}

bool qr_entry_next_row(struct qr_entry_reader *reader, struct qr_entry_row *row)
{
    if (reader->n_rows_left == 0)
        return false;
    uint32_t n = take_row(reader);
    *row = (struct qr_entry_row){reader->chart, reader->end_s, n, reader->values};
    reader->values += n;
    return true;
}
