#include "storage/entry.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/plant.h"
#include "storage/token.h"

#define VERSION      2
#define HEADER_BYTES 5
static_assert(sizeof(float) == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "values are written as they lie in memory");

/* The tag of a row. */
#define TAG_CHART 0x01u /* Not the chart before plus 1: its difference to that, zigzag. */
#define TAG_TIME  0x02u /* Not the time before: its difference, zigzag. */
#define TAG_SOME  0x04u /* Some cells changed: a bitmap, and their tokens. */
#define TAG_ALL   0x08u /* All did: their tokens. */
#define TAG_KEY   0x10u /* Against zeros: its width, varint. */
#define TAG_MAX   0x1fu

#define HEAD_BYTES_MAX 25 /* Of one row: 10 + 10 + 5. */

static size_t bitmap_bytes(uint32_t n)
{
    return ((size_t)n + 7) / 8;
}

/* ---- bases ---- */

void qr_entry_base_release(struct qr_entry_base *base)
{
    free(base->cells);
    *base = (struct qr_entry_base){0};
}

void qr_entry_base_reset(struct qr_entry_base *base)
{
    base->epoch = 0;
}

/* Room for n cells; those that are there stay.  0 or UV_ENOMEM. */
static int reserve_cells(uint32_t **cells, uint32_t *capacity, size_t n)
{
    if (n <= *capacity)
        return 0;
    uint32_t *grown = realloc(*cells, n * sizeof *grown);
    if (grown == NULL)
        return UV_ENOMEM;
    *cells = grown;
    *capacity = (uint32_t)n;
    return 0;
}

/* Writes how `values` differ from `cells`, and makes these those.  How many differ. */
static uint32_t put_changes(uint8_t *bits, uint8_t **tokens, uint32_t *cells,
                            const uint32_t *values, uint32_t n)
{
    uint32_t n_changed = 0;
    uint8_t *p = *tokens;
    memset(bits, 0, bitmap_bytes(n));
    for (uint32_t i = 0; i < n; i++) {
        if (values[i] == cells[i])
            continue;
        bits[i / 8] |= (uint8_t)(1u << i % 8);
        p = qr_token_put(p, cells[i], values[i]);
        cells[i] = values[i];
        n_changed++;
    }
    *tokens = p;
    return n_changed;
}

/* The reverse: changes `cells`.  False: malformed. */
static bool take_changes(struct qr_cursor *bitmap, struct qr_cursor *tokens, uint32_t *cells,
                         uint32_t n)
{
    const uint8_t *p = tokens->p;
    size_t len = bitmap_bytes(n);
    if (qr_cursor_left(bitmap) < len || (n % 8 != 0 && bitmap->p[len - 1] >> n % 8 != 0))
        return false;
    for (size_t at = 0; at < len && p != NULL; at++) {
        for (unsigned bits = bitmap->p[at]; bits != 0; bits &= bits - 1) {
            uint32_t *cell = &cells[at * 8 + (unsigned)__builtin_ctz(bits)];
            p = qr_token_take(p, tokens->end, *cell, cell);
            if (p == NULL)
                return false;
        }
    }
    bitmap->p += len;
    tokens->p = p;
    return true;
}

static bool take_all(struct qr_cursor *tokens, uint32_t *cells, uint32_t n)
{
    const uint8_t *p = tokens->p;
    for (uint32_t i = 0; i < n; i++) {
        p = qr_token_take(p, tokens->end, cells[i], &cells[i]);
        if (p == NULL)
            return false;
    }
    tokens->p = p;
    return true;
}

int qr_entry_base_encode(struct qr_buf *out, const struct qr_entry_base *base)
{
    int err = qr_buf_add_varint(out, base->epoch);
    if (err != 0 || base->epoch == 0)
        return err;
    qr_buf_add_varint(out, base->n);
    size_t bits = bitmap_bytes(base->n);
    err = qr_buf_reserve(out, bits + (size_t)base->n * QR_TOKEN_BYTES_MAX);
    uint32_t *zeros = err == 0 ? calloc(base->n + 1, sizeof *zeros) : NULL;
    if (zeros == NULL)
        return err != 0 ? err : UV_ENOMEM;
    uint8_t *at = (uint8_t *)out->base + out->len, *tokens = at + bits;
    put_changes(at, &tokens, zeros, base->cells, base->n);
    out->len += (size_t)(tokens - at);
    free(zeros);
    return 0;
}

int qr_entry_base_decode(struct qr_entry_base *base, struct qr_cursor *in)
{
    base->epoch = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    if (in->failed || base->epoch == 0)
        return in->failed ? QR_E_MALFORMED : 0;
    base->n = (uint32_t)qr_cursor_varint_max(in, QR_DIMS_PER_CHART_MAX);
    struct qr_slice bits = qr_cursor_take(in, bitmap_bytes(base->n));
    if (in->failed)
        return QR_E_MALFORMED;
    if (reserve_cells(&base->cells, &base->capacity, base->n) != 0)
        return UV_ENOMEM;
    if (base->n != 0)
        memset(base->cells, 0, base->n * sizeof *base->cells);
    struct qr_cursor bitmap = qr_cursor_of(bits);
    return take_changes(&bitmap, in, base->cells, base->n) ? 0 : QR_E_MALFORMED;
}

/* ---- building ---- */

void qr_entry_block_init(struct qr_entry_block *block)
{
    *block = (struct qr_entry_block){0};
}

void qr_entry_block_release(struct qr_entry_block *block)
{
    qr_buf_release(&block->tags);
    qr_buf_release(&block->heads);
    qr_buf_release(&block->bitmaps);
    qr_buf_release(&block->tokens);
    qr_entry_block_init(block);
}

void qr_entry_block_clear(struct qr_entry_block *block)
{
    qr_buf_clear(&block->tags);
    qr_buf_clear(&block->heads);
    qr_buf_clear(&block->bitmaps);
    qr_buf_clear(&block->tokens);
    block->n_rows = 0;
    block->n_samples = 0;
    block->crc = 0;
    block->last_chart = 0;
    block->last_end_s = 0;
}

static size_t encoded_bytes(const struct qr_entry_block *block)
{
    return (size_t)7 * 5 + 4 + block->tags.len + block->heads.len + block->bitmaps.len +
           block->tokens.len;
}

size_t qr_entry_block_bytes(const struct qr_entry_block *block)
{
    size_t bytes = encoded_bytes(block), unpacked = block->n_samples * sizeof(uint32_t);
    return bytes > unpacked ? bytes : unpacked;
}

/* Room for a row of n cells, whatever is in it: then nothing can fail and leave half a row. */
static int reserve_row(struct qr_entry_block *block, struct qr_entry_base *base, uint32_t n)
{
    size_t tokens = (size_t)n * QR_TOKEN_BYTES_MAX;
    if (block->n_samples + block->n_rows + n + 1 > QR_ENTRY_BLOCK_CELLS_MAX ||
        encoded_bytes(block) + 1 + HEAD_BYTES_MAX + bitmap_bytes(n) + tokens >
            QR_ENTRY_BLOCK_BYTES_MAX)
        return QR_E_LIMIT;
    if (qr_buf_reserve(&block->tags, 1) != 0 ||
        qr_buf_reserve(&block->heads, HEAD_BYTES_MAX) != 0 ||
        qr_buf_reserve(&block->bitmaps, bitmap_bytes(n) + 1) != 0 ||
        qr_buf_reserve(&block->tokens, tokens + 1) != 0 ||
        reserve_cells(&base->cells, &base->capacity, n) != 0)
        return UV_ENOMEM;
    return 0;
}

/* Where the row is: the tag's bits for it. */
static unsigned put_place(struct qr_entry_block *block, uint32_t chart, int64_t end_s)
{
    unsigned tag = 0;
    int64_t step = (int64_t)chart - block->last_chart - 1;
    if (step != 0) {
        qr_buf_add_zigzag(&block->heads, step);
        tag |= TAG_CHART;
    }
    if (end_s != block->last_end_s) {
        qr_buf_add_zigzag(&block->heads, (int64_t)((uint64_t)end_s - (uint64_t)block->last_end_s));
        tag |= TAG_TIME;
    }
    block->last_chart = chart;
    block->last_end_s = end_s;
    return tag;
}

/* What changed: the tag's bits for it. */
static unsigned put_cells(struct qr_entry_block *block, uint32_t *cells, const uint32_t *values,
                          uint32_t n)
{
    if (n == 0 || memcmp(cells, values, n * sizeof *cells) == 0)
        return 0;
    uint8_t *bits = (uint8_t *)block->bitmaps.base + block->bitmaps.len;
    uint8_t *tokens = (uint8_t *)block->tokens.base + block->tokens.len;
    uint32_t n_changed = put_changes(bits, &tokens, cells, values, n);
    block->tokens.len = (size_t)(tokens - (uint8_t *)block->tokens.base);
    if (n_changed == n)
        return TAG_ALL;
    block->bitmaps.len += bitmap_bytes(n);
    return TAG_SOME;
}

int qr_entry_block_row(struct qr_entry_block *block, struct qr_entry_base *base, uint32_t chart,
                       int64_t end_s, const uint32_t *values, uint32_t n)
{
    assert(n <= QR_DIMS_PER_CHART_MAX);
    int err = reserve_row(block, base, n);
    if (err != 0)
        return err;
    unsigned tag = put_place(block, chart, end_s);
    /* Charts take turns: their KEY rows do not come all in one tick. */
    uint64_t key_slot = ((uint64_t)end_s + chart) / QR_ENTRY_KEY_S;
    if (base->epoch == 0 || base->n != n || base->key_slot != key_slot) {
        tag |= TAG_KEY;
        qr_buf_add_varint(&block->heads, n);
        if (n != 0)
            memset(base->cells, 0, n * sizeof *base->cells);
        base->epoch = 1;
        base->n = n;
        base->key_slot = key_slot;
    }
    tag |= put_cells(block, base->cells, values, n);
    qr_buf_add_u8(&block->tags, (uint8_t)tag);
    block->crc = qr_crc32c(block->crc, values, n * sizeof *values);
    block->n_rows++;
    block->n_samples += n;
    return 0;
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
        qr_buf_add_varint(plain, block->heads.len);
        qr_buf_add_varint(plain, block->bitmaps.len);
        qr_buf_add_varint(plain, block->tokens.len);
        qr_buf_add_u32(plain, block->crc);
        qr_buf_add(plain, block->tags.base, block->tags.len);
        qr_buf_add(plain, block->heads.base, block->heads.len);
        qr_buf_add(plain, block->bitmaps.base, block->bitmaps.len);
        qr_buf_add(plain, block->tokens.base, block->tokens.len);
    }
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
        bytes += encoded_bytes(blocks[i]);
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

struct row {
    struct qr_entry_base *base; /* NULL: no such chart. */
    int64_t end_s;
    uint32_t chart;
    uint32_t n;
    size_t at; /* Its first cell. */
};

struct qr_entry_reader {
    uint32_t n_hosts_left;
    struct qr_cursor blocks; /* At the next block's head. */
    struct qr_entry_host host;
    uint32_t crc;
    struct qr_cursor tags, heads, bitmaps, tokens; /* Columns of the current block. */
    uint32_t n_read, n_given;                      /* Rows of the current block. */
    uint32_t rows_capacity, cells_capacity;
    size_t n_cells;
    struct row *rows;
    uint32_t *cells;
    uint8_t plain[];
};

static struct qr_cursor take_column(struct qr_cursor *in, uint64_t len)
{
    struct qr_slice bytes = qr_cursor_take(in, (size_t)len);
    return qr_cursor_of(bytes);
}

/* The head of a block and its columns, unread. */
static void take_block(struct qr_entry_reader *reader)
{
    struct qr_cursor *in = &reader->blocks;
    reader->host.host = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    reader->host.epoch = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    reader->host.block_seq = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    reader->host.n_rows = (uint32_t)qr_cursor_varint_max(in, QR_ENTRY_PLAIN_BYTES_MAX);
    uint64_t heads = qr_cursor_varint_max(in, QR_ENTRY_PLAIN_BYTES_MAX);
    uint64_t bitmaps = qr_cursor_varint_max(in, QR_ENTRY_PLAIN_BYTES_MAX);
    uint64_t tokens = qr_cursor_varint_max(in, QR_ENTRY_PLAIN_BYTES_MAX);
    reader->crc = qr_cursor_u32(in);
    reader->tags = take_column(in, reader->host.n_rows);
    reader->heads = take_column(in, heads);
    reader->bitmaps = take_column(in, bitmaps);
    reader->tokens = take_column(in, tokens);
    reader->n_read = 0;
    reader->n_given = 0;
    reader->n_cells = 0;
}

static int unpack(struct qr_entry_reader *reader, struct qr_slice packed, uint32_t plain_bytes)
{
    int n =
        LZ4_decompress_safe(packed.base, (char *)reader->plain, (int)packed.len, (int)plain_bytes);
    if (n < 0 || (uint32_t)n != plain_bytes)
        return QR_E_MALFORMED;
    reader->blocks = qr_cursor_of(qr_slice_of(reader->plain, plain_bytes));
    uint32_t n_hosts =
        (uint32_t)qr_cursor_varint_max(&reader->blocks, qr_cursor_left(&reader->blocks) / 11);
    struct qr_cursor blocks = reader->blocks;
    for (uint32_t i = 0; i < n_hosts && !reader->blocks.failed; i++)
        take_block(reader);
    if (!qr_cursor_done(&reader->blocks))
        return QR_E_MALFORMED;
    reader->blocks = blocks;
    reader->n_hosts_left = n_hosts;
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
    struct qr_entry_reader *r = malloc(sizeof *r + plain_bytes);
    if (r == NULL)
        return UV_ENOMEM;
    memset(r, 0, sizeof *r);
    int err = unpack(r, qr_slice_of(in.p, qr_cursor_left(&in)), plain_bytes);
    if (err != 0) {
        free(r);
        return err;
    }
    *reader = r;
    return 0;
}

void qr_entry_reader_free(struct qr_entry_reader *reader)
{
    free(reader->rows);
    free(reader->cells);
    free(reader);
}

bool qr_entry_next_host(struct qr_entry_reader *reader, struct qr_entry_host *host)
{
    if (reader->n_hosts_left == 0)
        return false;
    reader->n_hosts_left--;
    take_block(reader);
    *host = reader->host;
    return true;
}

/* The row that the next one of this chart was written against is in this block. */
static bool is_in_block(const struct qr_entry_reader *reader, const struct qr_entry_base *base)
{
    return base->row < reader->n_read && reader->rows[base->row].base == base;
}

/* Chart and time, from the row before. */
static bool take_place(struct qr_entry_reader *reader, unsigned tag, struct row *row)
{
    const struct row *last = reader->n_read != 0 ? &reader->rows[reader->n_read - 1] : NULL;
    int64_t chart = last != NULL ? (int64_t)last->chart + 1 : 1;
    row->end_s = last != NULL ? last->end_s : 0;
    if (tag & TAG_CHART && __builtin_add_overflow(chart, qr_cursor_zigzag(&reader->heads), &chart))
        return false;
    if (tag & TAG_TIME)
        row->end_s = (int64_t)((uint64_t)row->end_s + (uint64_t)qr_cursor_zigzag(&reader->heads));
    row->chart = (uint32_t)chart;
    return chart >= 0 && chart <= UINT32_MAX;
}

/* Cells for one more row. */
static int reserve_values(struct qr_entry_reader *reader, uint32_t n)
{
    size_t need = reader->n_cells + n;
    if (need + reader->host.n_rows > QR_ENTRY_BLOCK_CELLS_MAX)
        return QR_E_LIMIT;
    if (need <= reader->cells_capacity)
        return 0;
    return reserve_cells(&reader->cells, &reader->cells_capacity, need * 2);
}

/* A copy of the row before, or zeros, at the end of the cells. */
static int take_base(struct qr_entry_reader *reader, unsigned tag, struct row *row)
{
    const struct qr_entry_base *base = row->base;
    const struct row *before = NULL;
    if (tag & TAG_KEY)
        row->n = (uint32_t)qr_cursor_varint_max(&reader->heads, QR_DIMS_PER_CHART_MAX);
    else if (base == NULL)
        return QR_E_GAP;
    else if (is_in_block(reader, base))
        row->n = (before = &reader->rows[base->row])->n;
    else if (base->epoch == reader->host.epoch && base->epoch != 0)
        row->n = base->n;
    else
        return QR_E_GAP;
    int err = reserve_values(reader, row->n);
    if (err != 0)
        return err;
    row->at = reader->n_cells;
    uint32_t *cells = reader->cells + row->at;
    if (tag & TAG_KEY)
        memset(cells, 0, row->n * sizeof *cells);
    else if (row->n != 0)
        memcpy(cells, before != NULL ? reader->cells + before->at : base->cells,
               row->n * sizeof *cells);
    return 0;
}

static int read_row(struct qr_entry_reader *reader, qr_entry_find *find, void *data)
{
    unsigned tag = *reader->tags.p++;
    struct row *row = &reader->rows[reader->n_read];
    if (tag > TAG_MAX || (tag & TAG_SOME && tag & TAG_ALL) || !take_place(reader, tag, row))
        return QR_E_MALFORMED;
    row->base = find(data, reader->host.host, row->chart);
    int err = take_base(reader, tag, row);
    if (err != 0)
        return err;
    uint32_t *cells = reader->cells + row->at;
    if ((tag & TAG_SOME && !take_changes(&reader->bitmaps, &reader->tokens, cells, row->n)) ||
        (tag & TAG_ALL && !take_all(&reader->tokens, cells, row->n)))
        return QR_E_MALFORMED;
    if (row->base != NULL) {
        if (reserve_cells(&row->base->cells, &row->base->capacity, row->n) != 0)
            return UV_ENOMEM;
        row->base->row = reader->n_read;
    }
    reader->n_cells += row->n;
    reader->n_read++;
    return reader->heads.failed ? QR_E_MALFORMED : 0;
}

static void move_bases(struct qr_entry_reader *reader)
{
    for (uint32_t i = 0; i < reader->n_read; i++) {
        const struct row *row = &reader->rows[i];
        if (row->base == NULL || row->base->row != i)
            continue; /* Another one of this block follows. */
        row->base->epoch = reader->host.epoch;
        row->base->n = row->n;
        if (row->n != 0 && !(QR_PLANT(wrong_base) && row->end_s % 7 == 0))
            memcpy(row->base->cells, reader->cells + row->at, row->n * sizeof *reader->cells);
    }
}

int qr_entry_read_rows(struct qr_entry_reader *reader, qr_entry_find *find, void *data)
{
    uint32_t n = reader->host.n_rows;
    assert(reader->n_read == 0);
    if (n > QR_ENTRY_BLOCK_CELLS_MAX)
        return QR_E_LIMIT;
    if (n > reader->rows_capacity) {
        free(reader->rows);
        reader->rows_capacity = 0;
        reader->rows = malloc(n * sizeof *reader->rows);
        if (reader->rows == NULL)
            return UV_ENOMEM;
        reader->rows_capacity = n;
    }
    int err = reserve_values(reader, 1);
    for (uint32_t i = 0; i < n && err == 0; i++)
        err = read_row(reader, find, data);
    if (err == 0 && (qr_cursor_left(&reader->heads) != 0 || qr_cursor_left(&reader->bitmaps) != 0 ||
                     qr_cursor_left(&reader->tokens) != 0))
        err = QR_E_MALFORMED;
    if (err == 0 &&
        qr_crc32c(0, reader->cells, reader->n_cells * sizeof *reader->cells) != reader->crc &&
        !QR_PLANT(wrong_base))
        err = QR_E_CORRUPT;
    if (err == 0)
        move_bases(reader);
    else
        reader->n_read = 0;
    return err;
}

bool qr_entry_next_row(struct qr_entry_reader *reader, struct qr_entry_row *row)
{
    if (reader->n_given == reader->n_read)
        return false;
    const struct row *r = &reader->rows[reader->n_given++];
    *row = (struct qr_entry_row){r->chart, r->end_s, r->n, reader->cells + r->at};
    return true;
}
