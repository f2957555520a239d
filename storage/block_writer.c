#include "storage/block_writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/checksum.h"
#include "base/compiler.h"
#include "base/error.h"
#include "storage/block_layout.h"
#include "storage/chunk.h"

#define SHARED_BYTES_MIN 16u                 /* A reference takes up to nine. */
#define HERE             (UINT64_C(1) << 63) /* An offset in the chunk that is being added. */
#define NO_PAGE          UINT32_MAX
#define COMPARE_BYTES    4096u

/* ---- the file ---- */

static int emit(struct qr_block_writer *writer, const void *bytes, size_t len)
{
    if (len == 0)
        return 0;
    XXH3_128bits_update(writer->hash, bytes, len);
    writer->at += len;
    return writer->file != NULL ? writer->disk->append(writer->disk, writer->file, bytes, len) : 0;
}

static void put_header(const struct qr_block_head *head, uint8_t raw[QR_BLOCK_HEADER_BYTES])
{
    memset(raw, 0, QR_BLOCK_HEADER_BYTES);
    memcpy(raw, QR_BLOCK_MAGIC, sizeof QR_BLOCK_MAGIC);
    qr_le_put(raw + 8, QR_BLOCK_VERSION, 4);
    qr_le_put(raw + 12, head->id.shard, 2);
    qr_le_put(raw + 14, head->id.tier, 1);
    qr_le_put(raw + 16, (uint64_t)head->id.start_s, 8);
    qr_le_put(raw + 24, head->id.window_s, 4);
    qr_le_put(raw + 28, head->id.generation, 4);
    qr_le_put(raw + 32, head->sub_s, 4);
}

static int begin(struct qr_block_writer *writer, struct qr_disk *disk, const char *path,
                 struct qr_disk_file *file, const struct qr_block_head *head)
{
    assert(head->sub_s != 0);
    assert(head->id.window_s % head->sub_s == 0);
    assert(head->id.window_s / head->sub_s <= QR_BLOCK_SUBS_MAX);
    *writer = (struct qr_block_writer){.head = *head, .disk = disk, .path = path, .file = file};
    writer->hash = XXH3_createState();
    if (writer->hash == NULL)
        return UV_ENOMEM;
    XXH3_128bits_reset(writer->hash);
    uint8_t raw[QR_BLOCK_HEADER_BYTES];
    put_header(head, raw);
    return emit(writer, raw, sizeof raw);
}

static void release(struct qr_block_writer *writer)
{
    struct qr_buf *const bufs[] = {&writer->page,  &writer->hosts,  &writer->rows,
                                   &writer->pages, &writer->copies, &writer->literals,
                                   &writer->fresh, &writer->chunk,  &writer->cuts};
    for (size_t i = 0; i < QR_COUNT(bufs); i++)
        qr_buf_release(bufs[i]);
    qr_share_release(&writer->share);
    qr_codec_release(&writer->codec);
    XXH3_freeState(writer->hash);
}

static int close_page(struct qr_block_writer *writer)
{
    if (writer->page.len == 0)
        return 0;
    struct qr_buf *table = &writer->pages;
    qr_buf_add_u64(table, writer->at);
    qr_buf_add_u32(table, (uint32_t)writer->page.len);
    qr_buf_add_u32(table, qr_crc32c(0, writer->page.base, writer->page.len));
    qr_buf_add_u32(table, writer->page_row);
    if (table->failed)
        return UV_ENOMEM;
    writer->n_pages++;
    int err = emit(writer, writer->page.base, writer->page.len);
    qr_buf_clear(&writer->page);
    return err;
}

/* ---- a chunk, less what was written before ---- */

static uint64_t page_offset(const struct qr_block_writer *writer, uint32_t page)
{
    const uint8_t *raw = (const uint8_t *)writer->pages.base + page * QR_BLOCK_PAGE_ROW_BYTES;
    return qr_le_get(raw, 8);
}

/* The page, of those that are written, that `at` is in. */
static uint32_t page_of(const struct qr_block_writer *writer, uint64_t at)
{
    uint32_t low = 0, high = writer->n_pages;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (page_offset(writer, middle) <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* 1: the same bytes are in the file at `at`; 0: others. */
static int is_written(const struct qr_block_writer *writer, uint64_t at, const char *bytes,
                      size_t len)
{
    char there[COMPARE_BYTES];
    while (len > 0) {
        size_t n = len < sizeof there ? len : sizeof there;
        ssize_t got = writer->disk->read(writer->disk, writer->path, at, there, n);
        if (got < 0)
            return (int)got;
        if ((size_t)got != n || memcmp(there, bytes, n) != 0)
            return 0;
        at += n;
        bytes += n;
        len -= n;
    }
    return 1;
}

/* Where a piece of the chunk was before, as a reference: 1, 0: nowhere, or an error. */
static int find_copy(struct qr_block_writer *writer, struct qr_slice chunk, uint32_t from,
                     uint32_t len, uint64_t hash, uint64_t *copy)
{
    const struct qr_share_piece *piece = qr_share_find(&writer->share, hash, len);
    if (piece == NULL)
        return 0;
    if (piece->at >= HERE) {
        uint64_t src = piece->at - HERE;
        *copy = src << 2 | QR_COPY_SAME_CHUNK;
        return memcmp(chunk.base + src, chunk.base + from, len) == 0;
    }
    if (piece->at >= writer->at) {
        uint64_t src = piece->at - writer->at;
        *copy = src << 2 | QR_COPY_SAME_PAGE;
        return memcmp(writer->page.base + src, chunk.base + from, len) == 0;
    }
    /* A second read for each file would be too many where there is a file for ten minutes. */
    uint32_t page = page_of(writer, piece->at);
    if (writer->head.sub_s == writer->head.id.window_s ||
        (writer->other_page != NO_PAGE && writer->other_page != page))
        return 0;
    *copy = (piece->at - page_offset(writer, page)) << 2 | QR_COPY_OTHER_PAGE;
    int same = is_written(writer, piece->at, chunk.base + from, len);
    if (same == 1)
        writer->other_page = page;
    return same;
}

/* A piece that is new: to be remembered with its place, when that is known. */
struct fresh {
    uint64_t hash;
    uint32_t from, len;
    uint32_t literal; /* Its offset among the literals. */
};

static int add_literal(struct qr_block_writer *writer, struct qr_slice chunk, uint32_t from,
                       uint32_t len, uint64_t hash)
{
    struct fresh fresh = {hash, from, len, (uint32_t)writer->literals.len};
    int err = qr_buf_add(&writer->fresh, &fresh, sizeof fresh);
    if (err == 0)
        err = qr_share_put(&writer->share, hash, len, HERE | from);
    return err != 0 ? err : qr_buf_add(&writer->literals, chunk.base + from, len);
}

/* Bytes that are literal before a copy, its length and reference; copies that go on are one. */
struct copies {
    uint64_t literals; /* Since the last one. */
    uint64_t len, copy;
};

static void flush_copy(struct qr_block_writer *writer, struct copies *copies)
{
    if (copies->len == 0)
        return;
    qr_buf_add_varint(&writer->copies, copies->literals);
    qr_buf_add_varint(&writer->copies, copies->len);
    qr_buf_add_varint(&writer->copies, copies->copy);
    writer->n_copies++;
    copies->literals = copies->len = 0;
}

static void add_copy(struct qr_block_writer *writer, struct copies *copies, uint64_t literals,
                     uint32_t len, uint64_t copy)
{
    if (copies->len != 0 && literals == 0 && copy == copies->copy + (copies->len << 2)) {
        copies->len += len;
        return;
    }
    flush_copy(writer, copies);
    *copies = (struct copies){literals, len, copy};
}

/* Sorts the chunk's pieces into copies and literals. */
static int take_apart(struct qr_block_writer *writer, const struct qr_block_chunk *chunk)
{
    struct copies copies = {0};
    uint32_t done = 0;   /* All before it is in copies or literals. */
    size_t literals = 0; /* Up to the last copy. */
    int err = 0;
    for (uint32_t i = 0; i + 1 < chunk->n_cuts && err == 0; i++) {
        uint32_t from = chunk->cuts[i], len = chunk->cuts[i + 1] - from;
        assert(chunk->cuts[i + 1] <= chunk->bytes.len);
        if (len < SHARED_BYTES_MIN)
            continue;
        err = qr_buf_add(&writer->literals, chunk->bytes.base + done, from - done);
        uint64_t copy = 0, hash = XXH3_64bits(chunk->bytes.base + from, len);
        if (err == 0)
            err = find_copy(writer, chunk->bytes, from, len, hash, &copy);
        if (err == 0) {
            err = add_literal(writer, chunk->bytes, from, len, hash);
        } else if (err == 1) {
            add_copy(writer, &copies, writer->literals.len - literals, len, copy);
            literals = writer->literals.len;
            err = 0;
        }
        done = from + len;
    }
    flush_copy(writer, &copies);
    if (err == 0)
        err = qr_buf_add(&writer->literals, chunk->bytes.base + done, chunk->bytes.len - done);
    return err != 0 ? err : writer->copies.failed ? UV_ENOMEM : 0;
}

/* New pieces lie in the page now, from `at` in the file on. */
static int remember_fresh(struct qr_block_writer *writer, uint64_t at)
{
    int err = 0;
    for (size_t i = 0; i < writer->fresh.len && err == 0; i += sizeof(struct fresh)) {
        struct fresh fresh;
        memcpy(&fresh, writer->fresh.base + i, sizeof fresh);
        err = qr_share_put(&writer->share, fresh.hash, fresh.len, at + fresh.literal);
    }
    return err;
}

static int store_chunk(struct qr_block_writer *writer, const struct qr_block_chunk *chunk)
{
    qr_buf_clear(&writer->copies);
    qr_buf_clear(&writer->literals);
    qr_buf_clear(&writer->fresh);
    writer->n_copies = 0;
    writer->other_page = NO_PAGE;
    int err = take_apart(writer, chunk);
    if (err != 0)
        return err;
    bool has_other = writer->other_page != NO_PAGE;
    qr_buf_add_varint(&writer->page, (uint64_t)writer->n_copies << 1 | has_other);
    if (has_other)
        qr_buf_add_varint(&writer->page, writer->other_page);
    qr_buf_add(&writer->page, writer->copies.base, writer->copies.len);
    uint64_t at = writer->at + writer->page.len;
    err = qr_buf_add(&writer->page, writer->literals.base, writer->literals.len);
    return err != 0 ? err : remember_fresh(writer, at);
}

/* ---- the order of chunks, and the index ---- */

static int begin_host(struct qr_block_writer *writer, uint32_t host)
{
    qr_share_clear(&writer->share);
    qr_buf_add_u32(&writer->hosts, host);
    writer->n_hosts++;
    return qr_buf_add_u32(&writer->hosts, writer->n_chunks);
}

static void count_chart(struct qr_block_writer *writer, const struct qr_block_chunk *chunk)
{
    const struct qr_block_chunk *last = &writer->last;
    uint32_t known = 0; /* Dimensions that are counted already. */
    if (writer->n_chunks != 0 && last->host == chunk->host && last->chart == chunk->chart) {
        assert(last->sub < chunk->sub);
        known = last->n_dims;
    } else {
        writer->n_charts++;
    }
    uint32_t n_dims = chunk->n_dims > known ? chunk->n_dims : known;
    writer->n_dims += n_dims - known;
    writer->n_samples += chunk->n_samples;
    writer->last = *chunk;
    writer->last.n_dims = n_dims;
}

int qr_block_writer_add(struct qr_block_writer *writer, const struct qr_block_chunk *chunk)
{
    const struct qr_block_chunk *last = &writer->last;
    bool is_first = writer->n_chunks == 0, is_new_host = is_first || last->host != chunk->host;
    assert(is_first || last->host <= chunk->host);
    assert(is_new_host || last->chart <= chunk->chart);
    assert(chunk->sub < writer->head.id.window_s / writer->head.sub_s);
    assert(chunk->bytes.len != 0);
    int err = chunk->bytes.len <= QR_BLOCK_CHUNK_BYTES_MAX ? 0 : QR_E_LIMIT;
    if (err == 0 && writer->page.len + chunk->bytes.len > QR_BLOCK_PAGE_BYTES)
        err = close_page(writer);
    if (err == 0 && is_new_host)
        err = begin_host(writer, chunk->host);
    if (err != 0)
        return err;
    if (writer->page.len == 0)
        writer->page_row = writer->n_chunks;
    assert(writer->page.len <= UINT16_MAX);
    qr_buf_add_u32(&writer->rows, chunk->chart);
    qr_buf_add_u16(&writer->rows, (uint16_t)chunk->sub);
    err = qr_buf_add_u16(&writer->rows, (uint16_t)writer->page.len);
    if (err == 0)
        err = store_chunk(writer, chunk);
    count_chart(writer, chunk);
    writer->n_chunks++;
    return err;
}

int qr_block_writer_add_grid(struct qr_block_writer *writer, uint32_t host, uint32_t chart,
                             const struct qr_grid *grid)
{
    const struct qr_block_head *head = &writer->head;
    assert(grid->first_s >= head->id.start_s);
    int64_t offset_s = grid->first_s - head->id.start_s;
    struct qr_block_chunk chunk = {
        .host = host, .chart = chart, .sub = (uint32_t)(offset_s / head->sub_s)};
    qr_buf_clear(&writer->chunk);
    qr_buf_clear(&writer->cuts);
    int err =
        qr_chunk_encode_cuts(&writer->codec, &writer->chunk, qr_block_sub_start_s(head, chunk.sub),
                             grid, &chunk.n_samples, &writer->cuts);
    if (err != 0 || chunk.n_samples == 0)
        return err;
    chunk.bytes = qr_buf_slice(&writer->chunk);
    chunk.cuts = (const uint32_t *)(const void *)writer->cuts.base;
    chunk.n_cuts = (uint32_t)(writer->cuts.len / sizeof *chunk.cuts);
    chunk.n_dims = chunk.n_cuts - 1;
    return qr_block_writer_add(writer, &chunk);
}

static void put_footer(const struct qr_block_writer *writer, uint64_t index_at,
                       uint8_t raw[QR_BLOCK_FOOTER_BYTES])
{
    const struct qr_block_head *head = &writer->head;
    uint8_t header[QR_BLOCK_HEADER_BYTES];
    put_header(head, header);
    memset(raw, 0, QR_BLOCK_FOOTER_BYTES);
    qr_le_put(raw, index_at, 8);
    qr_le_put(raw + 8, writer->n_hosts, 4);
    qr_le_put(raw + 12, writer->n_chunks, 4);
    qr_le_put(raw + 16, writer->n_pages, 4);
    qr_le_put(raw + 20, writer->n_charts, 4);
    qr_le_put(raw + 24, writer->n_dims, 8);
    qr_le_put(raw + 32, writer->n_samples, 8);
    memcpy(raw + 40, header + 12, 24); /* Id and sub-window. */
    qr_le_put(raw + 64, qr_crc32c(0, header, sizeof header), 4);
    qr_le_put(raw + 68, qr_crc32c(0, writer->hosts.base, writer->hosts.len), 4);
    qr_le_put(raw + 72, qr_crc32c(0, writer->rows.base, writer->rows.len), 4);
    qr_le_put(raw + 76, qr_crc32c(0, writer->pages.base, writer->pages.len), 4);
    qr_le_put(raw + QR_BLOCK_FOOTER_CRC_AT, qr_crc32c(0, raw, QR_BLOCK_FOOTER_CRC_AT), 4);
    qr_le_put(raw + QR_BLOCK_FOOTER_CRC_AT + 4, QR_BLOCK_FOOTER_MAGIC, 4);
}

static int end(struct qr_block_writer *writer, struct qr_block_written *written)
{
    int err = close_page(writer);
    uint64_t index_at = writer->at;
    if (err == 0)
        err = emit(writer, writer->hosts.base, writer->hosts.len);
    if (err == 0)
        err = emit(writer, writer->rows.base, writer->rows.len);
    if (err == 0)
        err = emit(writer, writer->pages.base, writer->pages.len);
    uint8_t raw[QR_BLOCK_FOOTER_BYTES];
    put_footer(writer, index_at, raw);
    if (err == 0)
        err = emit(writer, raw, QR_BLOCK_FOOTER_HASH_AT);
    XXH128_hash_t hash = XXH3_128bits_digest(writer->hash);
    qr_le_put(raw + QR_BLOCK_FOOTER_HASH_AT, hash.low64, 8);
    qr_le_put(raw + QR_BLOCK_FOOTER_HASH_AT + 8, hash.high64, 8);
    if (err == 0)
        err = emit(writer, raw + QR_BLOCK_FOOTER_HASH_AT, 16);
    *written = (struct qr_block_written){writer->at, hash.low64};
    return err;
}

/* ---- a file in whole ---- */

struct source {
    const struct qr_block_head *head;
    int (*fill)(struct qr_block_writer *writer, void *data);
    void *data;
};

/* Into `file`, which becomes `path`; or, without it, as if it were, beside what `path` holds. */
static int write_to(struct qr_disk *disk, const char *path, struct qr_disk_file *file,
                    const struct source *source, struct qr_block_written *written)
{
    struct qr_block_writer writer;
    int err = begin(&writer, disk, path, file, source->head);
    if (err == 0)
        err = source->fill(&writer, source->data);
    if (err == 0)
        err = end(&writer, written);
    release(&writer);
    return err;
}

static int create(struct qr_disk *disk, const char *path, struct qr_disk_file **file)
{
    int err = disk->create(disk, path, file);
    if (err != UV_EEXIST)
        return err;
    disk->unlink(disk, path); /* Left by a failed unlink. */
    return disk->create(disk, path, file);
}

static int write_tmp(struct qr_disk *disk, const char *tmp, const struct source *source,
                     struct qr_block_written *written)
{
    struct qr_disk_file *file;
    int err = create(disk, tmp, &file);
    if (err != 0)
        return err;
    err = write_to(disk, tmp, file, source, written);
    if (err == 0)
        return disk->commit(disk, file);
    disk->abandon(disk, file);
    return err;
}

static int write_anew(struct qr_disk *disk, const char *path, const struct source *source,
                      struct qr_block_written *written)
{
    char tmp[4096];
    if (snprintf(tmp, sizeof tmp, "%s.tmp", path) >= (int)sizeof tmp)
        return UV_ENAMETOOLONG;
    int err = write_tmp(disk, tmp, source, written);
    if (err != 0)
        return err;
    err = qr_block_verify(disk, tmp, written->bytes, written->hash);
    if (err == 0)
        err = disk->rename(disk, tmp, path);
    if (err != 0)
        disk->unlink(disk, tmp);
    return err;
}

/* Is the file there, to its last byte?  1, 0 or UV_ENOMEM; what cannot be read is not there. */
static int is_there(struct qr_disk *disk, const char *path, const struct source *source,
                    struct qr_block_written *written)
{
    uint64_t bytes;
    if (disk->size(disk, path, &bytes) != 0)
        return 0;
    int err = write_to(disk, path, NULL, source, written);
    if (err == 0 && written->bytes == bytes)
        err = qr_block_verify(disk, path, written->bytes, written->hash);
    else if (err == 0)
        err = QR_E_CORRUPT;
    return err == 0 ? 1 : err == UV_ENOMEM ? err : 0;
}

int qr_block_write(struct qr_disk *disk, const char *path, const struct qr_block_head *head,
                   int (*fill)(struct qr_block_writer *writer, void *data), void *data,
                   struct qr_block_written *written)
{
    const struct source source = {head, fill, data};
    int there = is_there(disk, path, &source, written);
    if (there < 0)
        return there;
    if (there == 0)
        return write_anew(disk, path, &source, written);
    /* It may be there because of a rename whose sync failed, or was never reached. */
    int err = disk->sync(disk, path);
    return err != 0 ? err : disk->rename(disk, path, path);
}
