#include "storage/block.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/checksum.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/plant.h"
#include "storage/block_layout.h"
#include "storage/chunk.h"

#define READ_BYTES (1u << 20)

struct footer {
    uint64_t index_at;
    uint32_t n_hosts, n_chunks, n_pages, n_charts;
    uint64_t n_dims, n_samples;
    struct qr_block_head head;
    uint32_t header_crc, hosts_crc, rows_crc, pages_crc;
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

/* ---- footer ---- */

static bool is_head_sound(const struct qr_block_head *head)
{
    return head->id.window_s != 0 && head->id.tier < QR_TIERS && head->sub_s != 0 &&
           head->id.window_s % head->sub_s == 0 &&
           head->id.window_s / head->sub_s <= QR_BLOCK_SUBS_MAX;
}

/* The id and the sub-window's length, as in the header from byte 12. */
static void take_head(struct qr_block_head *head, struct qr_cursor *in)
{
    head->id.shard = qr_cursor_u16(in);
    head->id.tier = qr_cursor_u8(in);
    qr_cursor_u8(in);
    head->id.start_s = (int64_t)qr_cursor_u64(in);
    head->id.window_s = qr_cursor_u32(in);
    head->id.generation = qr_cursor_u32(in);
    head->sub_s = qr_cursor_u32(in);
}

static int parse_footer(struct footer *footer, const uint8_t raw[QR_BLOCK_FOOTER_BYTES])
{
    struct qr_cursor in = qr_cursor_of(qr_slice_of(raw, QR_BLOCK_FOOTER_BYTES));
    footer->index_at = qr_cursor_u64(&in);
    footer->n_hosts = qr_cursor_u32(&in);
    footer->n_chunks = qr_cursor_u32(&in);
    footer->n_pages = qr_cursor_u32(&in);
    footer->n_charts = qr_cursor_u32(&in);
    footer->n_dims = qr_cursor_u64(&in);
    footer->n_samples = qr_cursor_u64(&in);
    take_head(&footer->head, &in);
    footer->header_crc = qr_cursor_u32(&in);
    footer->hosts_crc = qr_cursor_u32(&in);
    footer->rows_crc = qr_cursor_u32(&in);
    footer->pages_crc = qr_cursor_u32(&in);
    footer->hash = qr_le_get(raw + QR_BLOCK_FOOTER_HASH_AT, 8);
    uint32_t crc = (uint32_t)qr_le_get(raw + QR_BLOCK_FOOTER_CRC_AT, 4);
    uint32_t magic = (uint32_t)qr_le_get(raw + QR_BLOCK_FOOTER_CRC_AT + 4, 4);
    bool is_sound = magic == QR_BLOCK_FOOTER_MAGIC &&
                    crc == qr_crc32c(0, raw, QR_BLOCK_FOOTER_CRC_AT) &&
                    is_head_sound(&footer->head);
    return is_sound ? 0 : QR_E_CORRUPT;
}

static uint64_t index_bytes(const struct footer *footer)
{
    return (uint64_t)footer->n_hosts * QR_BLOCK_HOST_BYTES +
           (uint64_t)footer->n_chunks * QR_BLOCK_ROW_BYTES +
           (uint64_t)footer->n_pages * QR_BLOCK_PAGE_ROW_BYTES;
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
    if (err != 0 || footer->hash != hash)
        return err != 0 ? err : QR_E_CORRUPT;
    /* The index fills what lies between the pages and the footer. */
    uint64_t rest = size - QR_BLOCK_FOOTER_BYTES;
    bool fits = footer->index_at >= QR_BLOCK_HEADER_BYTES && footer->index_at <= rest &&
                index_bytes(footer) == rest - footer->index_at;
    return fits ? 0 : QR_E_CORRUPT;
}

int qr_block_check(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash)
{
    struct footer footer;
    return read_footer(&footer, disk, path, bytes, hash);
}

/* ---- the file in whole ---- */

static int hash_file(struct qr_disk *disk, const char *path, uint64_t bytes, XXH128_hash_t *hash)
{
    XXH3_state_t *state = XXH3_createState();
    uint8_t *part = malloc(bytes < READ_BYTES ? (size_t)bytes + 1 : READ_BYTES);
    int err = state != NULL && part != NULL ? 0 : UV_ENOMEM;
    if (err == 0)
        XXH3_128bits_reset(state);
    for (uint64_t at = 0; at < bytes && err == 0;) {
        size_t len = bytes - at < READ_BYTES ? (size_t)(bytes - at) : READ_BYTES;
        err = read_exactly(disk, path, at, part, len);
        if (err == 0)
            XXH3_128bits_update(state, part, len);
        at += len;
    }
    if (err == 0)
        *hash = XXH3_128bits_digest(state);
    free(part);
    XXH3_freeState(state);
    return err;
}

int qr_block_verify(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash)
{
    XXH128_hash_t found;
    uint8_t stored[16];
    int err = qr_block_check(disk, path, bytes, hash);
    if (err == 0)
        err = hash_file(disk, path, bytes - sizeof stored, &found);
    if (err == 0)
        err = read_exactly(disk, path, bytes - sizeof stored, stored, sizeof stored);
    if (err != 0)
        return err;
    bool same = found.low64 == hash && qr_le_get(stored, 8) == found.low64 &&
                qr_le_get(stored + 8, 8) == found.high64;
    return same ? 0 : QR_E_CORRUPT;
}

/* ---- the index ---- */

static const uint8_t *rows_of(const struct qr_block_index *index)
{
    return index->raw + (size_t)index->n_hosts * QR_BLOCK_HOST_BYTES;
}

static const uint8_t *pages_of(const struct qr_block_index *index)
{
    return rows_of(index) + (size_t)index->n_chunks * QR_BLOCK_ROW_BYTES;
}

static bool are_sound(const struct qr_block_index *index, const struct footer *footer)
{
    size_t hosts_len = (size_t)index->n_hosts * QR_BLOCK_HOST_BYTES;
    size_t rows_len = (size_t)index->n_chunks * QR_BLOCK_ROW_BYTES;
    size_t pages_len = (size_t)index->n_pages * QR_BLOCK_PAGE_ROW_BYTES;
    return qr_crc32c(0, index->raw, hosts_len) == footer->hosts_crc &&
           qr_crc32c(0, rows_of(index), rows_len) == footer->rows_crc &&
           qr_crc32c(0, pages_of(index), pages_len) == footer->pages_crc;
}

int qr_block_index_read(struct qr_block_index **index, struct qr_disk *disk, const char *path,
                        uint64_t bytes, uint64_t hash)
{
    struct footer footer;
    int err = read_footer(&footer, disk, path, bytes, hash);
    if (err != 0)
        return err;
    size_t len = (size_t)index_bytes(&footer);
    struct qr_block_index *read = malloc(sizeof *read + len);
    if (read == NULL)
        return UV_ENOMEM;
    *read = (struct qr_block_index){
        .head = footer.head,
        .n_hosts = footer.n_hosts,
        .n_chunks = footer.n_chunks,
        .n_pages = footer.n_pages,
        .n_charts = footer.n_charts,
        .n_dims = footer.n_dims,
        .n_samples = footer.n_samples,
        .bytes = bytes,
        .hash = hash,
        .pages_end = footer.index_at,
        .memory_bytes = sizeof *read + len,
    };
    err = read_exactly(disk, path, footer.index_at, read->raw, len);
    if (err == 0 && !are_sound(read, &footer))
        err = QR_E_CORRUPT;
    if (err != 0) {
        free(read);
        return err;
    }
    *index = read;
    return 0;
}

struct qr_block_host qr_block_host_at(const struct qr_block_index *index, uint32_t i)
{
    const uint8_t *raw = index->raw + (size_t)i * QR_BLOCK_HOST_BYTES;
    return (struct qr_block_host){(uint32_t)qr_le_get(raw, 4), (uint32_t)qr_le_get(raw + 4, 4)};
}

struct qr_block_row qr_block_row_at(const struct qr_block_index *index, uint32_t row)
{
    const uint8_t *raw = rows_of(index) + (size_t)row * QR_BLOCK_ROW_BYTES;
    return (struct qr_block_row){(uint32_t)qr_le_get(raw, 4), (uint16_t)qr_le_get(raw + 4, 2),
                                 (uint16_t)qr_le_get(raw + 6, 2)};
}

struct qr_block_page qr_block_page_at(const struct qr_block_index *index, uint32_t i)
{
    const uint8_t *raw = pages_of(index) + (size_t)i * QR_BLOCK_PAGE_ROW_BYTES;
    return (struct qr_block_page){qr_le_get(raw, 8), (uint32_t)qr_le_get(raw + 8, 4),
                                  (uint32_t)qr_le_get(raw + 12, 4),
                                  (uint32_t)qr_le_get(raw + 16, 4)};
}

uint32_t qr_block_page_of(const struct qr_block_index *index, uint32_t row)
{
    uint32_t low = 0, high = index->n_pages;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (qr_block_page_at(index, middle).first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The rows of a host; false: it has none. */
static bool find_host(const struct qr_block_index *index, uint32_t host, uint32_t *first,
                      uint32_t *end)
{
    uint32_t low = 0, high = index->n_hosts;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (qr_block_host_at(index, middle).host < host)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == index->n_hosts || qr_block_host_at(index, low).host != host)
        return false;
    *first = qr_block_host_at(index, low).first_row;
    *end = low + 1 < index->n_hosts ? qr_block_host_at(index, low + 1).first_row : index->n_chunks;
    return *first <= *end && *end <= index->n_chunks;
}

/* The first row, of those from `low` to `high`, that is not before (chart, sub). */
static uint32_t row_from(const struct qr_block_index *index, uint32_t low, uint32_t high,
                         uint32_t chart, int64_t sub)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct qr_block_row row = qr_block_row_at(index, middle);
        if (row.chart < chart || (row.chart == chart && row.sub < sub))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t qr_block_find(const struct qr_block_index *index, uint32_t host, uint32_t chart,
                       int64_t first_s, int64_t last_s, uint32_t *row)
{
    const struct qr_block_head *head = &index->head;
    uint32_t first, end;
    if (last_s < head->id.start_s || first_s >= qr_block_id_end_s(&head->id) ||
        !find_host(index, host, &first, &end))
        return 0;
    int64_t from = first_s > head->id.start_s ? (first_s - head->id.start_s) / head->sub_s : 0;
    *row = row_from(index, first, end, chart, from);
    return row_from(index, *row, end, chart, (last_s - head->id.start_s) / head->sub_s + 1) - *row;
}

/* ---- chunks ---- */

void qr_block_reader_release(struct qr_block_reader *reader)
{
    qr_buf_release(&reader->page.bytes);
    qr_buf_release(&reader->other.bytes);
    qr_buf_release(&reader->chunk);
}

/* What a chunk is read from. */
struct source {
    struct qr_block_reader *reader;
    const struct qr_block_index *index;
    struct qr_disk *disk;
    const char *path;
};

static int load_page(const struct source *source, uint32_t i, struct qr_block_loaded *loaded)
{
    const struct qr_block_index *index = source->index;
    if (loaded->is_valid && loaded->page == i && loaded->file_hash == index->hash)
        return 0;
    loaded->is_valid = false;
    if (i >= index->n_pages)
        return QR_E_CORRUPT;
    struct qr_block_page page = qr_block_page_at(index, i);
    if (page.offset < QR_BLOCK_HEADER_BYTES || page.offset > index->pages_end ||
        page.bytes > index->pages_end - page.offset)
        return QR_E_CORRUPT;
    qr_buf_clear(&loaded->bytes);
    if (qr_buf_reserve(&loaded->bytes, page.bytes) != 0)
        return UV_ENOMEM;
    source->reader->n_reads++;
    int err = read_exactly(source->disk, source->path, page.offset, loaded->bytes.base, page.bytes);
    if (err != 0)
        return err;
    loaded->bytes.len = page.bytes;
    if (qr_crc32c(0, loaded->bytes.base, page.bytes) != page.crc && !QR_PLANT(page_unchecked))
        return QR_E_CORRUPT;
    loaded->page = i;
    loaded->file_hash = index->hash;
    loaded->is_valid = true;
    return 0;
}

/* Where the chunk is in its page, up to where the next one begins. */
static int find_stored(const struct source *source, uint32_t row, uint32_t page,
                       struct qr_slice *stored)
{
    const struct qr_block_index *index = source->index;
    struct qr_slice bytes = qr_buf_slice(&source->reader->page.bytes);
    uint32_t next_page =
        page + 1 < index->n_pages ? qr_block_page_at(index, page + 1).first_row : index->n_chunks;
    size_t from = qr_block_row_at(index, row).offset;
    size_t end = row + 1 < next_page && row + 1 < index->n_chunks
                     ? qr_block_row_at(index, row + 1).offset
                     : bytes.len;
    if (from >= end || end > bytes.len)
        return QR_E_CORRUPT;
    *stored = qr_slice_of(bytes.base + from, end - from);
    return 0;
}

/* What a copy is of; an empty slice: of nothing that can be. */
static struct qr_slice find_copy(const struct qr_block_reader *reader, bool has_other,
                                 uint64_t copy, uint64_t len)
{
    const struct qr_buf *const from[QR_COPY_KINDS] = {
        [QR_COPY_SAME_CHUNK] = &reader->chunk,
        [QR_COPY_SAME_PAGE] = &reader->page.bytes,
        [QR_COPY_OTHER_PAGE] = has_other ? &reader->other.bytes : NULL,
    };
    uint64_t kind = copy & 3, src = copy >> 2;
    if (len == 0 || kind >= QR_COPY_KINDS || from[kind] == NULL || src > from[kind]->len ||
        len > from[kind]->len - src)
        return qr_slice_of(NULL, 0);
    return qr_slice_of(from[kind]->base + src, (size_t)len);
}

/* Appends; room first, as the piece may be of the chunk itself. */
static int add_piece(struct qr_block_reader *reader, bool has_other, uint64_t copy, uint64_t len)
{
    if (len > QR_BLOCK_CHUNK_BYTES_MAX - reader->chunk.len)
        return QR_E_CORRUPT;
    if (find_copy(reader, has_other, copy, len).len == 0)
        return QR_E_CORRUPT;
    if (qr_buf_reserve(&reader->chunk, (size_t)len) != 0)
        return UV_ENOMEM;
    struct qr_slice piece = find_copy(reader, has_other, copy, len);
    return qr_buf_add(&reader->chunk, piece.base, piece.len);
}

/* Puts a chunk together from its n copies, which `in` is at, and the literals behind them. */
static int assemble(struct qr_block_reader *reader, struct qr_cursor in, uint64_t n, bool has_other)
{
    struct qr_cursor literals = in;
    for (uint64_t i = 0; i < 3 * n && !literals.failed; i++)
        qr_cursor_varint(&literals);
    qr_buf_clear(&reader->chunk);
    int err = literals.failed ? QR_E_CORRUPT : 0;
    for (uint64_t i = 0; i < n && err == 0; i++) {
        uint64_t gap = qr_cursor_varint_max(&in, qr_cursor_left(&literals));
        uint64_t len = qr_cursor_varint(&in), copy = qr_cursor_varint(&in);
        if (in.failed)
            return QR_E_CORRUPT;
        struct qr_slice literal = qr_cursor_take(&literals, (size_t)gap);
        err = qr_buf_add(&reader->chunk, literal.base, literal.len);
        if (err == 0)
            err = add_piece(reader, has_other, copy, len);
    }
    if (err != 0)
        return err;
    return qr_buf_add(&reader->chunk, literals.p, qr_cursor_left(&literals));
}

int qr_block_chunk(struct qr_block_reader *reader, const struct qr_block_index *index,
                   struct qr_disk *disk, const char *path, uint32_t row, struct qr_slice *bytes)
{
    assert(row < index->n_chunks);
    const struct source source = {reader, index, disk, path};
    uint32_t page = qr_block_page_of(index, row);
    struct qr_slice stored;
    int err = load_page(&source, page, &reader->page);
    if (err == 0)
        err = find_stored(&source, row, page, &stored);
    if (err != 0)
        return err;
    struct qr_cursor in = qr_cursor_of(stored);
    uint64_t n = qr_cursor_varint(&in);
    bool has_other = n & 1;
    n >>= 1;
    uint32_t other = has_other ? (uint32_t)qr_cursor_varint_max(&in, UINT32_MAX) : 0;
    if (in.failed || n > qr_cursor_left(&in) / 3)
        return QR_E_CORRUPT;
    if (n == 0) {
        *bytes = qr_slice_of(in.p, qr_cursor_left(&in));
        return 0;
    }
    if (has_other)
        err = load_page(&source, other, &reader->other);
    if (err == 0)
        err = assemble(reader, in, n, has_other);
    *bytes = qr_buf_slice(&reader->chunk);
    return err;
}

int qr_block_read(struct qr_block_reader *reader, const struct qr_block_index *index,
                  struct qr_disk *disk, const char *path, uint32_t row, struct qr_grid *grid)
{
    struct qr_slice bytes;
    int err = qr_block_chunk(reader, index, disk, path, row, &bytes);
    if (err != 0)
        return err;
    int64_t start_s = qr_block_sub_start_s(&index->head, qr_block_row_at(index, row).sub);
    err = qr_chunk_decode(bytes, start_s, index->head.sub_s, grid);
    return err == QR_E_MALFORMED ? QR_E_CORRUPT : err;
}
