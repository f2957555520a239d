/* storage/block_writer.h — writes a block file from its first byte to its last.
 *
 * A page goes out when it is full, so what is in memory is a page, the index so far, and where the
 * pieces of a host's chunks were written.  A chunk is bytes to this module (storage/chunk or
 * storage/tier_chunk made them); it is told where their series end, and writes a series that was
 * written before as a reference: in the same page, or, in files of several sub-windows, in one
 * other page.  So a chunk is read with one read, or two there.
 *
 * The same chunks give the same bytes on every member.  Bytes: docs/formats/block-file.md.
 * Thread: any; it blocks. */
#ifndef QR_STORAGE_BLOCK_WRITER_H
#define QR_STORAGE_BLOCK_WRITER_H

#include "storage/block.h"
#include "storage/share.h"

/* The rows of a chart that end in one sub-window. */
struct qr_block_chunk {
    uint32_t host, chart; /* Their ids. */
    uint32_t sub;
    uint32_t n_dims;
    uint64_t n_samples; /* Or points. */
    struct qr_slice bytes;
    const uint32_t *cuts; /* Offsets in it between which series lie, ascending; or NULL. */
    uint32_t n_cuts;
};

struct XXH3_state_s;

struct qr_block_writer {
    struct qr_block_head head;
    struct qr_disk *disk;
    const char *path;
    struct qr_disk_file *file; /* NULL: only compared. */
    struct XXH3_state_s *hash;
    uint64_t at; /* Bytes so far: where the page will be. */
    struct qr_buf page, hosts, rows, pages;
    uint32_t page_row; /* The page's first. */
    uint32_t n_hosts, n_chunks, n_pages, n_charts;
    uint64_t n_dims, n_samples;
    struct qr_block_chunk last; /* Its place in the order, and its chart's dimensions. */
    /* Of the chunk that is being added. */
    struct qr_share share;
    struct qr_buf copies, literals, fresh;
    uint32_t n_copies, other_page;
    /* For qr_block_writer_add_grid. */
    struct qr_codec codec;
    struct qr_buf chunk, cuts;
};

/* In order of host, chart, sub-window.  0, QR_E_LIMIT (it is too long), UV_ENOMEM or an
 * error of the disk; then
 * the file is not to be ended. */
int qr_block_writer_add(struct qr_block_writer *writer, const struct qr_block_chunk *chunk);
/* The same for tier 0: rows that end in one sub-window.  Without a value it does nothing. */
int qr_block_writer_add_grid(struct qr_block_writer *writer, uint32_t host, uint32_t chart,
                             const struct qr_grid *grid);

struct qr_block_written {
    uint64_t bytes, hash;
};

/* Writes a file in whole: `fill` adds its chunks, and does the same if it is called again.  A file
 * that is there is kept if it is the same (after a restart); else PATH.tmp is written, synced,
 * read again and compared, renamed, and the folder synced.  On error PATH is as before, but for a
 * rename whose sync failed. */
int qr_block_write(struct qr_disk *disk, const char *path, const struct qr_block_head *head,
                   int (*fill)(struct qr_block_writer *writer, void *data), void *data,
                   struct qr_block_written *written);

#endif
