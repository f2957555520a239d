/* storage/block.h — a sealed window as an immutable file, and how it is read.
 *
 *   header 64 B | pages | hosts | rows | page table | footer 128 B
 *                         `------- index -------'
 *
 * A chunk is what a chart has of one sub-window: the whole window in a file that was sealed, an
 * hour of a merged one.  Chunks lie in order of host, chart, sub-window, so an hour of a chart is
 * in one piece and its chunks follow each other.  Pages hold whole chunks, have at most 64 KiB (or
 * one chunk) and a CRC32C in the page table; each part of the index and the header have theirs in
 * the footer; the footer has its own and ends with the XXH3-128 of all bytes before.  The low half
 * of that is the file's identity in the manifest and in the log.  The same chunks give the same
 * bytes on every member.  Bytes: docs/formats/block-file.md.
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
#define QR_BLOCK_FOOTER_BYTES 128u
#define QR_BLOCK_PAGE_BYTES   (64u * 1024)
#define QR_BLOCK_SUBS_MAX     1440u /* Sub-windows of a file: offsets and numbers fit u16. */
/* A chunk with what it copies; more is taken for damage. */
#define QR_BLOCK_CHUNK_BYTES_MAX (256u * 1024 * 1024)

struct qr_block_head {
    struct qr_block_id id;
    uint32_t sub_s; /* Length of a sub-window; a divisor of the window's. */
};

static inline int64_t qr_block_sub_start_s(const struct qr_block_head *head, uint32_t sub)
{
    return head->id.start_s + (int64_t)sub * head->sub_s;
}

/* Is a file of this size and hash there?  Looks at its footer only.  0, QR_E_CORRUPT or an error of
 * the disk (UV_ENOENT: there is none). */
int qr_block_check(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash);

/* Reads all of it and compares.  Errors as above. */
int qr_block_verify(struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash);

/* ---- the index ---- */

struct qr_block_index {
    struct qr_block_head head;
    uint32_t n_hosts, n_chunks, n_pages, n_charts;
    uint64_t n_dims; /* Of all charts. */
    uint64_t n_samples;
    uint64_t bytes, hash; /* Of the file. */
    uint64_t pages_end;   /* Where the index begins. */
    size_t memory_bytes;
    uint8_t raw[]; /* As in the file. */
};

/* Reads the footer and the index, in one allocation.  0, QR_E_CORRUPT, UV_ENOMEM or an error of the
 * disk. */
int qr_block_index_read(struct qr_block_index **index, struct qr_disk *disk, const char *path,
                        uint64_t bytes, uint64_t hash);

struct qr_block_host {
    uint32_t host;
    uint32_t first_row;
};
/* i < n_hosts */
struct qr_block_host qr_block_host_at(const struct qr_block_index *index, uint32_t i);

struct qr_block_row {
    uint32_t chart;
    uint16_t sub;
    uint16_t offset; /* In its page. */
};
/* row < n_chunks */
struct qr_block_row qr_block_row_at(const struct qr_block_index *index, uint32_t row);

struct qr_block_page {
    uint64_t offset;
    uint32_t bytes;
    uint32_t crc;
    uint32_t first_row;
};
/* i < n_pages */
struct qr_block_page qr_block_page_at(const struct qr_block_index *index, uint32_t i);
/* The page that a chunk is in. */
uint32_t qr_block_page_of(const struct qr_block_index *index, uint32_t row);

/* The chunks of a chart in sub-windows that overlap [first_s, last_s]: how many, from *row. */
uint32_t qr_block_find(const struct qr_block_index *index, uint32_t host, uint32_t chart,
                       int64_t first_s, int64_t last_s, uint32_t *row);

/* ---- chunks ---- */

struct qr_block_loaded {
    struct qr_buf bytes;
    uint64_t file_hash;
    uint32_t page;
    bool is_valid;
};

/* What it takes to read; pages that were read are kept for the chunks next to them.  A zeroed one
 * is valid. */
struct qr_block_reader {
    struct qr_block_loaded page, other;
    struct qr_buf chunk;
    uint64_t n_reads; /* Of the disk, for data. */
};

void qr_block_reader_release(struct qr_block_reader *reader);

/* The bytes of a chunk, as its encoder made them; the reader's until its next use.  0,
 * QR_E_CORRUPT, UV_ENOMEM or an error of the disk. */
int qr_block_chunk(struct qr_block_reader *reader, const struct qr_block_index *index,
                   struct qr_disk *disk, const char *path, uint32_t row, struct qr_slice *bytes);

/* The rows of a chunk of tier 0.  Errors as above. */
int qr_block_read(struct qr_block_reader *reader, const struct qr_block_index *index,
                  struct qr_disk *disk, const char *path, uint32_t row, struct qr_grid *grid);

#endif
