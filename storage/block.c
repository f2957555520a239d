#include "storage/block.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/checksum.h"
#include "base/cursor.h"
#include "base/error.h"
#include "storage/chunk.h"

#define MAGIC         "QRBLOCK"
#define FOOTER_MAGIC  0x46425251u /* "QRBF" */
#define VERSION       2
#define TABLE_ROW     12u
#define FOOTER_CRC_AT 52u
#define READ_BYTES    (1u << 20)

/* ---- writing ---- */

void qr_block_writer_init(struct qr_block_writer *writer, const struct qr_block_id *id)
{
    *writer = (struct qr_block_writer){.id = *id};
}

void qr_block_writer_release(struct qr_block_writer *writer)
{
    qr_buf_release(&writer->file);
    qr_buf_release(&writer->page);
    qr_buf_release(&writer->chunk);
    qr_buf_release(&writer->table);
    qr_codec_release(&writer->codec);
}

static void put_id(struct qr_buf *out, const struct qr_block_id *id)
{
    qr_buf_add_u32(out, id->shard << 8 | id->tier);
    qr_buf_add_u64(out, (uint64_t)id->start_s);
    qr_buf_add_u32(out, id->window_s);
    qr_buf_add_u32(out, id->generation);
}

static int put_header(struct qr_block_writer *writer)
{
    static const char zeros[QR_BLOCK_HEADER_BYTES];
    struct qr_buf *out = &writer->file;
    qr_buf_add(out, MAGIC, sizeof MAGIC);
    qr_buf_add_u32(out, VERSION);
    put_id(out, &writer->id);
    return qr_buf_add(out, zeros, QR_BLOCK_HEADER_BYTES - out->len);
}

static int close_page(struct qr_block_writer *writer)
{
    if (writer->page.len == 0)
        return 0;
    qr_buf_add_u32(&writer->table, writer->page_first_chart);
    qr_buf_add_u32(&writer->table, (uint32_t)writer->page.len);
    qr_buf_add_u32(&writer->table, qr_crc32c(0, writer->page.base, writer->page.len));
    if (writer->table.failed || qr_buf_add(&writer->file, writer->page.base, writer->page.len) != 0)
        return UV_ENOMEM;
    writer->n_pages++;
    qr_buf_clear(&writer->page);
    return 0;
}

int qr_block_writer_add(struct qr_block_writer *writer, uint32_t chart, const struct qr_grid *grid)
{
    assert(chart > writer->last_chart);
    if (writer->file.len == 0 && put_header(writer) != 0)
        return UV_ENOMEM;
    uint64_t n_samples;
    qr_buf_clear(&writer->chunk);
    if (qr_chunk_encode(&writer->codec, &writer->chunk, writer->id.start_s, grid, &n_samples) != 0)
        return UV_ENOMEM;
    if (n_samples == 0)
        return 0;
    if (writer->page.len + writer->chunk.len > QR_BLOCK_PAGE_BYTES && close_page(writer) != 0)
        return UV_ENOMEM;
    uint32_t before = writer->last_chart;
    if (writer->page.len == 0) {
        writer->page_first_chart = chart;
        before = chart;
    }
    qr_buf_add_varint(&writer->page, chart - before);
    qr_buf_add_varint(&writer->page, writer->chunk.len);
    qr_buf_add(&writer->page, writer->chunk.base, writer->chunk.len);
    if (writer->page.failed)
        return UV_ENOMEM;
    writer->last_chart = chart;
    writer->n_charts++;
    writer->n_samples += n_samples;
    return 0;
}

int qr_block_writer_end(struct qr_block_writer *writer, uint64_t *hash)
{
    struct qr_buf *out = &writer->file;
    if ((out->len == 0 && put_header(writer) != 0) || close_page(writer) != 0)
        return UV_ENOMEM;
    uint64_t table_at = out->len;
    qr_buf_add(out, writer->table.base, writer->table.len);
    size_t footer_at = out->len;
    qr_buf_add_u32(out, writer->n_pages);
    qr_buf_add_u32(out, writer->n_charts);
    qr_buf_add_u64(out, writer->n_samples);
    put_id(out, &writer->id);
    qr_buf_add_u64(out, table_at);
    qr_buf_add_u32(out, qr_crc32c(0, writer->table.base, writer->table.len));
    qr_buf_add_u32(out, qr_crc32c(0, out->base, QR_BLOCK_HEADER_BYTES));
    if (out->failed)
        return UV_ENOMEM;
    assert(out->len - footer_at == FOOTER_CRC_AT);
    qr_buf_add_u32(out, qr_crc32c(0, out->base + footer_at, FOOTER_CRC_AT));
    qr_buf_add_u32(out, FOOTER_MAGIC);
    if (out->failed)
        return UV_ENOMEM;
    *hash = XXH3_64bits(out->base, out->len);
    return qr_buf_add_u64(out, *hash);
}

/* ---- reading ---- */

struct footer {
    uint32_t n_pages, n_charts;
    uint64_t n_samples;
    struct qr_block_id id;
    uint64_t table_at;
    uint32_t table_crc, header_crc, crc, magic;
    uint64_t hash;
};

static int read_exactly(struct qr_disk *disk, const char *path, uint64_t offset, void *bytes,
                        size_t len)
{
    ssize_t n = disk->read(disk, path, offset, bytes, len);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : QR_E_CORRUPT;
}

static int parse_footer(struct footer *footer, const uint8_t *raw)
{
    struct qr_cursor in = qr_cursor_of(qr_slice_of(raw, QR_BLOCK_FOOTER_BYTES));
    footer->n_pages = qr_cursor_u32(&in);
    footer->n_charts = qr_cursor_u32(&in);
    footer->n_samples = qr_cursor_u64(&in);
    uint32_t shard_tier = qr_cursor_u32(&in);
    footer->id.tier = (uint8_t)shard_tier;
    footer->id.shard = shard_tier >> 8;
    footer->id.start_s = (int64_t)qr_cursor_u64(&in);
    footer->id.window_s = qr_cursor_u32(&in);
    footer->id.generation = qr_cursor_u32(&in);
    footer->table_at = qr_cursor_u64(&in);
    footer->table_crc = qr_cursor_u32(&in);
    footer->header_crc = qr_cursor_u32(&in);
    footer->crc = qr_cursor_u32(&in);
    footer->magic = qr_cursor_u32(&in);
    footer->hash = qr_cursor_u64(&in);
    assert(qr_cursor_done(&in));
    bool is_sound = footer->magic == FOOTER_MAGIC &&
                    footer->crc == qr_crc32c(0, raw, FOOTER_CRC_AT) && footer->id.window_s != 0;
    return is_sound ? 0 : QR_E_CORRUPT;
}

static int read_footer(struct footer *footer, struct qr_disk *disk, const char *path,
                       uint64_t bytes, uint64_t hash)
{
    uint64_t size;
    int err = disk->size(disk, path, &size);
    if (err != 0)
        return err;
    if (size != bytes || size < QR_BLOCK_HEADER_BYTES + QR_BLOCK_FOOTER_BYTES)
        return QR_E_CORRUPT;
    uint8_t raw[QR_BLOCK_FOOTER_BYTES];
    err = read_exactly(disk, path, size - sizeof raw, raw, sizeof raw);
    if (err == 0)
        err = parse_footer(footer, raw);
    if (err == 0 && footer->hash != hash)
        err = QR_E_CORRUPT;
    /* The table fills what lies between the pages and the footer. */
    if (err == 0 &&
        (footer->n_pages > size / TABLE_ROW || footer->table_at > size ||
         footer->table_at + (uint64_t)footer->n_pages * TABLE_ROW + QR_BLOCK_FOOTER_BYTES != size))
        err = QR_E_CORRUPT;
    return err;
}

int qr_block_check(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash)
{
    struct footer footer;
    return read_footer(&footer, disk, path, bytes, hash);
}

static int hash_file(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t *hash)
{
    XXH3_state_t *state = XXH3_createState();
    uint8_t *chunk = malloc(READ_BYTES);
    int err = state != NULL && chunk != NULL ? 0 : UV_ENOMEM;
    if (err == 0)
        XXH3_64bits_reset(state);
    for (uint64_t at = 0; at < bytes && err == 0;) {
        size_t len = bytes - at < READ_BYTES ? (size_t)(bytes - at) : READ_BYTES;
        err = read_exactly(disk, path, at, chunk, len);
        if (err == 0)
            XXH3_64bits_update(state, chunk, len);
        at += len;
    }
    if (err == 0)
        *hash = XXH3_64bits_digest(state);
    free(chunk);
    XXH3_freeState(state);
    return err;
}

int qr_block_verify(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash)
{
    uint64_t found;
    int err = qr_block_check(disk, path, bytes, hash);
    if (err == 0)
        err = hash_file(disk, path, bytes - sizeof hash, &found);
    return err != 0 ? err : found == hash ? 0 : QR_E_CORRUPT;
}

static int parse_table(struct qr_block_index *index, const struct footer *footer,
                       struct qr_slice table)
{
    if (qr_crc32c(0, table.base, table.len) != footer->table_crc)
        return QR_E_CORRUPT;
    struct qr_cursor in = qr_cursor_of(table);
    uint64_t offset = QR_BLOCK_HEADER_BYTES;
    for (uint32_t i = 0; i < footer->n_pages; i++) {
        struct qr_block_page *page = &index->pages[i];
        page->first_chart = qr_cursor_u32(&in);
        page->bytes = qr_cursor_u32(&in);
        page->crc = qr_cursor_u32(&in);
        page->offset = offset;
        offset += page->bytes;
        if (page->bytes == 0)
            return QR_E_CORRUPT;
    }
    index->id = footer->id;
    index->n_pages = footer->n_pages;
    index->n_charts = footer->n_charts;
    index->n_samples = footer->n_samples;
    return qr_cursor_done(&in) && offset == footer->table_at ? 0 : QR_E_CORRUPT;
}

int qr_block_index_read(struct qr_block_index **index, struct qr_disk *disk, const char *path,
                        uint64_t bytes, uint64_t hash)
{
    struct footer footer;
    int err = read_footer(&footer, disk, path, bytes, hash);
    if (err != 0)
        return err;
    size_t table_bytes = (size_t)footer.n_pages * TABLE_ROW;
    uint8_t *table = malloc(table_bytes + 1);
    struct qr_block_index *read = malloc(sizeof *read + footer.n_pages * sizeof read->pages[0]);
    err = table != NULL && read != NULL ? 0 : UV_ENOMEM;
    if (err == 0)
        err = read_exactly(disk, path, footer.table_at, table, table_bytes);
    if (err == 0)
        err = parse_table(read, &footer, qr_slice_of(table, table_bytes));
    free(table);
    if (err != 0) {
        free(read);
        return err;
    }
    *index = read;
    return 0;
}

void qr_block_reader_release(struct qr_block_reader *reader)
{
    qr_buf_release(&reader->page);
}

/* The page that would hold the chart. */
static const struct qr_block_page *find_page(const struct qr_block_index *index, uint32_t chart)
{
    uint32_t low = 0, high = index->n_pages;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->pages[middle].first_chart <= chart)
            low = middle + 1;
        else
            high = middle;
    }
    return low != 0 ? &index->pages[low - 1] : NULL;
}

static int read_page(struct qr_block_reader *reader, struct qr_disk *disk, const char *path,
                     const struct qr_block_page *page)
{
    qr_buf_clear(&reader->page);
    if (qr_buf_reserve(&reader->page, page->bytes) != 0)
        return UV_ENOMEM;
    int err = read_exactly(disk, path, page->offset, reader->page.base, page->bytes);
    if (err != 0)
        return err;
    reader->page.len = page->bytes;
    return qr_crc32c(0, reader->page.base, page->bytes) == page->crc ? 0 : QR_E_CORRUPT;
}

int qr_block_read(struct qr_block_reader *reader, const struct qr_block_index *index,
                  struct qr_disk *disk, const char *path, uint32_t chart, struct qr_grid *grid)
{
    const struct qr_block_page *page = find_page(index, chart);
    if (page == NULL)
        return 0;
    int err = read_page(reader, disk, path, page);
    if (err != 0)
        return err;
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&reader->page));
    uint64_t at = page->first_chart;
    while (qr_cursor_left(&in) > 0) {
        at += qr_cursor_varint(&in);
        struct qr_slice chunk = qr_cursor_bytes(&in, page->bytes);
        if (in.failed)
            return QR_E_CORRUPT;
        if (at > chart)
            return 0;
        if (at != chart)
            continue;
        err = qr_chunk_decode(chunk, index->id.start_s, index->id.window_s, grid);
        return err == 0 ? 1 : err == QR_E_MALFORMED ? QR_E_CORRUPT : err;
    }
    return 0;
}
