/* storage/entry.h — tick batches: the bodies of SAMPLES entries.
 *
 * A member's batch holds what arrived from all its children in a tick: host blocks, each with the
 * owner's epoch and the block's number in it, then rows (chart, end time, a value for each
 * dimension).  Columnar, LZ4, with the plain length in front:
 *
 *   u8 version, u32 plain bytes, then LZ4 of
 *     varint n_hosts, and for each: varint host, epoch, block seq, n_rows, then columns of all its
 *     rows: chart ids (zigzag delta), end times (zigzag delta), numbers of values (varint);
 *     then all values of all hosts, u32 each
 *
 * The plain bytes are canonical: one encoding of a batch.  (LZ4's output may change with the
 * library; nothing compares it.)
 * The first version of the format; docs/formats describes it byte by byte.
 * Decoding uses up all input or fails, and never reads outside it.  Thread: the owner's. */
#ifndef QR_STORAGE_ENTRY_H
#define QR_STORAGE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* Builds one host's block, on an ingest loop: rows of one host, in order of arrival. */
struct qr_entry_block {
    uint32_t host;
    uint32_t epoch;
    uint32_t block_seq;
    uint32_t n_rows;
    uint64_t n_samples;
    struct qr_buf charts, times, dims, values; /* Columns. */
    uint32_t last_chart;
    int64_t last_end_s;
};

void qr_entry_block_init(struct qr_entry_block *block);
void qr_entry_block_release(struct qr_entry_block *block);
/* Empties it for the next tick. */
void qr_entry_block_clear(struct qr_entry_block *block);

/* Appends a row; values are storage/value's.  0 or UV_ENOMEM. */
int qr_entry_block_row(struct qr_entry_block *block, uint32_t chart, int64_t end_s,
                       const uint32_t *values, uint32_t n);

/* Bytes that it will take, about. */
size_t qr_entry_block_bytes(const struct qr_entry_block *block);

/* Encodes blocks as one body, appended to `out`.  0, UV_ENOMEM or QR_E_LIMIT (more than
 * QR_ENTRY_PLAIN_BYTES_MAX, or packed more than QR_ENTRY_BODY_BYTES_MAX); on error `out` is as
 * before. */
int qr_entry_encode(struct qr_buf *out, struct qr_entry_block *const *blocks, unsigned n_blocks);

/* Reading: all of a body is checked before the first block is given out, so that a caller may
 * change state while it iterates. */
struct qr_entry_row {
    uint32_t chart;
    int64_t end_s;
    uint32_t n;
    const uint32_t *values; /* Borrowed from the reader; 4-byte aligned. */
};

struct qr_entry_host {
    uint32_t host, epoch, block_seq, n_rows;
};

struct qr_entry_reader;

/* 0, QR_E_MALFORMED, QR_E_VERSION, QR_E_LIMIT or UV_ENOMEM. */
int qr_entry_reader_new(struct qr_entry_reader **reader, struct qr_slice body);
void qr_entry_reader_free(struct qr_entry_reader *reader);
/* The next host block, then its rows; false at the end.  Rows not read are skipped. */
bool qr_entry_next_host(struct qr_entry_reader *reader, struct qr_entry_host *host);
bool qr_entry_next_row(struct qr_entry_reader *reader, struct qr_entry_row *row);

#endif
