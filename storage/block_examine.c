#include "storage/block_examine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/checksum.h"
#include "base/compiler.h"
#include "base/error.h"
#include "storage/block_layout.h"
#include "storage/chunk.h"
#include "storage/value.h"

struct run {
    struct qr_disk *disk;
    const char *path;
    const struct qr_block_exam *exam;
    uint64_t bytes, hash;
    bool is_bad;
    uint8_t header[QR_BLOCK_HEADER_BYTES], footer[QR_BLOCK_FOOTER_BYTES];
    struct qr_block_index *index;
    bool *is_page_bad;
    struct qr_block_decoder decoder;
    /* Counted, to be compared with the footer. */
    uint64_t n_dims, n_samples;
    uint32_t n_charts;
};

static void found(struct run *run, uint64_t from, uint64_t to, const char *format, ...)
    QR_PRINTF(4, 5);

static void found(struct run *run, uint64_t from, uint64_t to, const char *format, ...)
{
    char sentence[256];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    run->is_bad = true;
    run->exam->found(run->exam->data, from, to, sentence);
}

static int read_exactly(const struct run *run, uint64_t offset, void *bytes, size_t len)
{
    ssize_t n = run->disk->read(run->disk, run->path, offset, bytes, len);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : UV_EIO; /* It was longer a moment ago. */
}

static uint32_t crc_at(const struct run *run, uint32_t at)
{
    return (uint32_t)qr_le_get(run->footer + at, 4);
}

/* ---- header and footer ---- */

/* 0, also if something is wrong; QR_E_VERSION: nothing else can be said. */
static int examine_header(struct run *run)
{
    uint64_t version = qr_le_get(run->header + 8, 4);
    if (memcmp(run->header, QR_BLOCK_MAGIC, sizeof QR_BLOCK_MAGIC) != 0) {
        found(run, 0, 8, "the file does not begin as a block file does");
        return 0;
    }
    if (version == QR_BLOCK_VERSION)
        return 0;
    found(run, 8, 12, "format version %" PRIu64 " is not known here (%u is)", version,
          QR_BLOCK_VERSION);
    return QR_E_VERSION;
}

/* False: the footer is not one, and without it nothing can be found. */
static bool examine_footer(struct run *run)
{
    uint64_t at = run->bytes - QR_BLOCK_FOOTER_BYTES;
    if (crc_at(run, QR_BLOCK_FOOTER_CRC_AT + 4) != QR_BLOCK_FOOTER_MAGIC) {
        found(run, at, run->bytes, "the footer is missing: the file is cut off, or damaged there");
        return false;
    }
    if (crc_at(run, QR_BLOCK_FOOTER_CRC_AT) != qr_crc32c(0, run->footer, QR_BLOCK_FOOTER_CRC_AT)) {
        found(run, at, at + QR_BLOCK_FOOTER_HASH_AT, "the footer's checksum does not match");
        return false;
    }
    if (crc_at(run, 64) != qr_crc32c(0, run->header, sizeof run->header))
        found(run, 0, sizeof run->header, "the header's checksum does not match");
    else if (memcmp(run->header + 12, run->footer + 40, 24) != 0)
        found(run, 0, sizeof run->header, "header and footer name different files");
    return true;
}

static int examine_ends(struct run *run)
{
    uint64_t least = QR_BLOCK_HEADER_BYTES + QR_BLOCK_FOOTER_BYTES;
    if (run->bytes < least) {
        found(run, 0, run->bytes,
              "the file has %" PRIu64 " bytes, and a block file at least %" PRIu64, run->bytes,
              least);
        return QR_E_CORRUPT;
    }
    int err = read_exactly(run, 0, run->header, sizeof run->header);
    if (err == 0)
        err = read_exactly(run, run->bytes - sizeof run->footer, run->footer, sizeof run->footer);
    if (err == 0)
        err = examine_header(run);
    if (err == 0 && !examine_footer(run))
        err = QR_E_CORRUPT;
    run->hash = qr_le_get(run->footer + QR_BLOCK_FOOTER_HASH_AT, 8);
    return err;
}

/* ---- the index ---- */

/* The index failed as a whole: which of its parts? */
static int blame_parts(struct run *run)
{
    static const struct {
        const char *name;
        uint32_t count_at, crc_at, row_bytes;
    } parts[] = {
        {"table of hosts", 8, 68, QR_BLOCK_HOST_BYTES},
        {"table of chunks", 12, 72, QR_BLOCK_ROW_BYTES},
        {"table of pages", 16, 76, QR_BLOCK_PAGE_ROW_BYTES},
    };
    uint64_t at = qr_le_get(run->footer, 8), end = run->bytes - QR_BLOCK_FOOTER_BYTES;
    int err = 0;
    for (size_t i = 0; i < QR_COUNT(parts) && err == 0; i++) {
        uint64_t len = (uint64_t)crc_at(run, parts[i].count_at) * parts[i].row_bytes;
        if (at > end || len > end - at) {
            found(run, at < end ? at : end, end, "the %s does not fit the file", parts[i].name);
            return 0;
        }
        char *bytes = malloc((size_t)len + 1);
        err = bytes != NULL ? read_exactly(run, at, bytes, (size_t)len) : UV_ENOMEM;
        if (err == 0 && qr_crc32c(0, bytes, (size_t)len) != crc_at(run, parts[i].crc_at))
            found(run, at, at + len, "the checksum of the %s does not match", parts[i].name);
        free(bytes);
        at += len;
    }
    if (err == 0 && !run->is_bad)
        found(run, qr_le_get(run->footer, 8), end, "the index does not fit the file");
    return err;
}

static void examine_pages_order(struct run *run)
{
    const struct qr_block_index *index = run->index;
    uint64_t at = QR_BLOCK_HEADER_BYTES;
    for (uint32_t i = 0; i < index->n_pages; i++) {
        struct qr_block_page page = qr_block_page_at(index, i);
        uint32_t before = i != 0 ? qr_block_page_at(index, i - 1).first_row + 1 : 0;
        if (page.offset != at || page.bytes == 0 || page.first_row < before ||
            (i == 0 && page.first_row != 0) || page.first_row >= index->n_chunks) {
            found(run, page.offset, page.offset + page.bytes,
                  "page %u of %u is not where the one before ends", i + 1, index->n_pages);
            return;
        }
        at += page.bytes;
    }
    if (at != index->pages_end)
        found(run, at, index->pages_end, "no page holds these bytes");
}

static void examine_rows_order(struct run *run)
{
    const struct qr_block_index *index = run->index;
    uint64_t from = index->pages_end, to = run->bytes - QR_BLOCK_FOOTER_BYTES;
    uint32_t n_subs = index->head.id.window_s / index->head.sub_s, next = 0;
    for (uint32_t h = 0; h < index->n_hosts; h++) {
        struct qr_block_host host = qr_block_host_at(index, h);
        uint32_t end =
            h + 1 < index->n_hosts ? qr_block_host_at(index, h + 1).first_row : index->n_chunks;
        bool is_behind = h == 0 || qr_block_host_at(index, h - 1).host < host.host;
        if (host.first_row != next || end <= next || end > index->n_chunks || !is_behind) {
            found(run, from, to, "the table of hosts is out of order at host %u", host.host);
            return;
        }
        for (; next < end; next++) {
            struct qr_block_row row = qr_block_row_at(index, next), last = {0};
            bool is_first = next == host.first_row;
            if (!is_first)
                last = qr_block_row_at(index, next - 1);
            if (row.sub >= n_subs ||
                (!is_first &&
                 (row.chart < last.chart || (row.chart == last.chart && row.sub <= last.sub)))) {
                found(run, from, to, "the table of chunks is out of order at chart %u", row.chart);
                return;
            }
        }
    }
    if (next != index->n_chunks)
        found(run, from, to, "%u chunks belong to no host", index->n_chunks - next);
}

static int examine_index(struct run *run)
{
    int err = qr_block_index_read(&run->index, run->disk, run->path, run->bytes, run->hash);
    if (err == QR_E_CORRUPT) {
        err = blame_parts(run);
        return err != 0 ? err : QR_E_CORRUPT;
    }
    if (err != 0)
        return err;
    examine_pages_order(run);
    examine_rows_order(run);
    return 0;
}

/* ---- pages and chunks ---- */

static void blame_page(struct run *run, uint32_t i, const struct qr_block_page *page)
{
    const struct qr_block_index *index = run->index;
    uint32_t end =
        i + 1 < index->n_pages ? qr_block_page_at(index, i + 1).first_row : index->n_chunks;
    uint32_t last = end > page->first_row && end <= index->n_chunks ? end - 1 : page->first_row;
    if (last >= index->n_chunks) {
        found(run, page->offset, page->offset + page->bytes,
              "the checksum of page %u of %u does not match", i + 1, index->n_pages);
        return;
    }
    found(run, page->offset, page->offset + page->bytes,
          "the checksum of page %u of %u does not match: %u chunks, from chart %u to chart %u, "
          "cannot be read",
          i + 1, index->n_pages, last + 1 - page->first_row,
          qr_block_row_at(index, page->first_row).chart, qr_block_row_at(index, last).chart);
}

/* The checksums of all pages. */
static int examine_pages(struct run *run)
{
    const struct qr_block_index *index = run->index;
    struct qr_buf bytes = {0};
    int err = 0;
    run->is_page_bad = calloc(index->n_pages + 1, sizeof *run->is_page_bad);
    if (run->is_page_bad == NULL)
        return UV_ENOMEM;
    for (uint32_t i = 0; i < index->n_pages && err == 0; i++) {
        struct qr_block_page page = qr_block_page_at(index, i);
        if (page.offset > index->pages_end || page.bytes > index->pages_end - page.offset)
            break; /* Found already, as out of order. */
        qr_buf_clear(&bytes);
        err = qr_buf_reserve(&bytes, page.bytes);
        if (err == 0)
            err = read_exactly(run, page.offset, bytes.base, page.bytes);
        if (err == 0 && qr_crc32c(0, bytes.base, page.bytes) != page.crc) {
            run->is_page_bad[i] = true;
            blame_page(run, i, &page);
        }
    }
    qr_buf_release(&bytes);
    return err;
}

/* Values, or points, of the decoded chunk. */
static uint64_t count_samples(const struct qr_block_decoder *decoder, unsigned tier)
{
    uint64_t n = 0;
    if (tier == 0) {
        size_t cells = (size_t)decoder->grid.n_rows * decoder->grid.n_dims;
        for (size_t i = 0; i < cells; i++)
            n += !qr_value_is_empty(decoder->grid.values[i]);
    } else {
        size_t cells = (size_t)decoder->points.n_rows * decoder->points.n_dims;
        for (size_t i = 0; i < cells; i++)
            n += decoder->points.at[i].count != 0;
    }
    return n;
}

/* Where a chunk's bytes are, as far as they are its own. */
static void find_bytes(const struct run *run, uint32_t row, uint64_t *from, uint64_t *to)
{
    const struct qr_block_index *index = run->index;
    struct qr_block_page page = qr_block_page_at(index, qr_block_page_of(index, row));
    *from = page.offset + qr_block_row_at(index, row).offset;
    *to = page.offset + page.bytes;
    if (row + 1 < index->n_chunks &&
        qr_block_page_of(index, row + 1) == qr_block_page_of(index, row))
        *to = page.offset + qr_block_row_at(index, row + 1).offset;
}

static int examine_chunk(struct run *run, struct qr_block_reader *reader, uint32_t row)
{
    struct qr_slice bytes;
    struct qr_block_row at = qr_block_row_at(run->index, row);
    int err = qr_block_chunk(reader, run->index, run->disk, run->path, row, &bytes);
    if (err == 0)
        err = qr_block_decode(&run->decoder, &run->index->head, at.sub, bytes);
    if (err != QR_E_CORRUPT && err != QR_E_MALFORMED)
        return err;
    uint64_t from, to;
    find_bytes(run, row, &from, &to);
    found(run, from, to, "what chart %u has of sub-window %u cannot be decoded", at.chart, at.sub);
    return QR_E_CORRUPT;
}

static uint32_t dims_of(const struct run *run)
{
    return run->index->head.id.tier == 0 ? run->decoder.grid.n_dims : run->decoder.points.n_dims;
}

static void report_progress(const struct run *run, uint32_t row)
{
    uint64_t from, to;
    if (run->exam->progress == NULL)
        return;
    find_bytes(run, row, &from, &to);
    run->exam->progress(run->exam->data, from, run->bytes);
}

/* Every chunk whose page is sound. */
static int examine_chunks(struct run *run)
{
    const struct qr_block_index *index = run->index;
    struct qr_block_reader reader = {0};
    uint32_t host = 0, n_dims = 0, page = UINT32_MAX;
    int err = 0;
    for (uint32_t row = 0; row < index->n_chunks && err == 0; row++) {
        if (qr_block_page_of(index, row) != page) {
            page = qr_block_page_of(index, row);
            report_progress(run, row);
        }
        bool is_new_host = host < index->n_hosts && qr_block_host_at(index, host).first_row == row;
        host += is_new_host;
        if (is_new_host || row == 0 ||
            qr_block_row_at(index, row - 1).chart != qr_block_row_at(index, row).chart) {
            run->n_charts++;
            n_dims = 0;
        }
        if (run->is_page_bad[page])
            continue;
        err = examine_chunk(run, &reader, row);
        if (err != 0) {
            err = err == QR_E_CORRUPT ? 0 : err;
            continue;
        }
        run->n_samples += count_samples(&run->decoder, index->head.id.tier);
        if (dims_of(run) > n_dims) {
            run->n_dims += dims_of(run) - n_dims;
            n_dims = dims_of(run);
        }
    }
    qr_block_reader_release(&reader);
    return err;
}

static void examine_counts(struct run *run)
{
    const struct qr_block_index *index = run->index;
    uint64_t at = run->bytes - QR_BLOCK_FOOTER_BYTES;
    if (run->n_charts != index->n_charts || run->n_dims != index->n_dims ||
        run->n_samples != index->n_samples)
        found(run, at, run->bytes,
              "the footer counts %u charts, %" PRIu64 " dimensions, %" PRIu64
              " samples; there are %u, %" PRIu64 ", %" PRIu64,
              index->n_charts, index->n_dims, index->n_samples, run->n_charts, run->n_dims,
              run->n_samples);
}

static int examine_all(struct run *run)
{
    int err = examine_ends(run);
    if (err == 0)
        err = examine_index(run);
    if (err == 0)
        err = run->is_bad ? QR_E_CORRUPT : examine_pages(run);
    if (err == 0)
        err = examine_chunks(run);
    if (err != 0 || run->is_bad)
        return err != 0 ? err : QR_E_CORRUPT;
    examine_counts(run);
    err = qr_block_verify(run->disk, run->path, run->bytes, run->hash);
    if (err == QR_E_CORRUPT)
        found(run, run->bytes - 16, run->bytes, "the hash of the whole file does not match");
    return err == 0 && run->is_bad ? QR_E_CORRUPT : err;
}

int qr_block_examine(struct qr_disk *disk, const char *path, const struct qr_block_exam *exam)
{
    struct run run = {.disk = disk, .path = path, .exam = exam};
    int err = disk->size(disk, path, &run.bytes);
    if (err == 0)
        err = examine_all(&run);
    qr_block_decoder_release(&run.decoder);
    free(run.is_page_bad);
    free(run.index);
    return err;
}

/* ---- chunks of any tier ---- */

void qr_block_decoder_release(struct qr_block_decoder *decoder)
{
    qr_grid_release(&decoder->grid);
    qr_points_release(&decoder->points);
    qr_tier_codec_release(&decoder->codec);
}

int qr_block_decode(struct qr_block_decoder *decoder, const struct qr_block_head *head,
                    uint32_t sub, struct qr_slice bytes)
{
    int64_t start_s = qr_block_sub_start_s(head, sub);
    if (head->id.tier == 0)
        return qr_chunk_decode(bytes, start_s, head->sub_s, &decoder->grid);
    return qr_tier_chunk_decode(&decoder->codec, bytes, start_s, head->sub_s,
                                qr_tier_step(head->id.tier), &decoder->points);
}
