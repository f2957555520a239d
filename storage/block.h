/* storage/block.h — a sealed window as an immutable file.
 *
 *   header 64 B | pages | page table | footer 68 B
 *
 * A page holds the chunks of some charts, in order of their ids, and has a CRC32C in the table; the
 * table and the header have theirs in the footer; the footer has its own, and ends with the XXH3 of
 * all bytes before it, which is the file's identity in the manifest and in the log.  The same
 * samples give the same bytes on every member.  Bytes: docs/formats/block-file.md.
 *
 * Nothing that fails a checksum, or decodes badly, is given out.  Thread: any; they block. */
#ifndef QR_STORAGE_BLOCK_H
#define QR_STORAGE_BLOCK_H

#include <stdbool.h>

#include "base/buf.h"
#include "storage/block_id.h"
#include "storage/codec.h"
#include "storage/disk.h"
#include "storage/grid.h"

#define QR_BLOCK_HEADER_BYTES 64u
#define QR_BLOCK_FOOTER_BYTES 68u
#define QR_BLOCK_PAGE_BYTES   (32u * 1024) /* Pages are cut before they grow beyond it. */

/* ---- writing, in memory ---- */

struct qr_block_writer {
    struct qr_block_id id;
    struct qr_buf file; /* Complete after qr_block_writer_end. */
    struct qr_buf page;
    struct qr_buf chunk;
    struct qr_buf table;
    struct qr_codec codec;
    uint32_t n_pages, n_charts;
    uint32_t page_first_chart, last_chart;
    uint64_t n_samples;
};

void qr_block_writer_init(struct qr_block_writer *writer, const struct qr_block_id *id);
void qr_block_writer_release(struct qr_block_writer *writer);
/* Charts come in ascending order.  0 or UV_ENOMEM. */
int qr_block_writer_add(struct qr_block_writer *writer, uint32_t chart, const struct qr_grid *grid);
int qr_block_writer_end(struct qr_block_writer *writer, uint64_t *hash);

/* ---- reading ---- */

struct qr_block_page {
    uint64_t offset;
    uint32_t bytes;
    uint32_t crc;
    uint32_t first_chart;
};

struct qr_block_index {
    struct qr_block_id id;
    uint32_t n_charts;
    uint64_t n_samples;
    uint32_t n_pages;
    struct qr_block_page pages[];
};

/* Is a file of this size and hash there?  Looks at its footer only.  0, QR_E_CORRUPT or an error of
 * the disk (UV_ENOENT: there is none). */
int qr_block_check(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash);

/* Reads all of it and compares.  Errors as above. */
int qr_block_verify(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash);

/* Reads the footer and the page table, in one allocation.  0, QR_E_CORRUPT, UV_ENOMEM or an error
 * of the disk. */
int qr_block_index_read(struct qr_block_index **index, struct qr_disk *disk, const char *path,
                        uint64_t bytes, uint64_t hash);

/* What it takes to read; a zeroed one is valid. */
struct qr_block_reader {
    struct qr_buf page;
};

void qr_block_reader_release(struct qr_block_reader *reader);

/* The rows of a chart.  1, or 0: it has none in this file; QR_E_CORRUPT, UV_ENOMEM or an error of
 * the disk. */
int qr_block_read(struct qr_block_reader *reader, const struct qr_block_index *index,
                  struct qr_disk *disk, const char *path, uint32_t chart, struct qr_grid *grid);

#endif
