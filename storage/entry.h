/* storage/entry.h — tick batches: the bodies of SAMPLES entries.
 *
 * A member's batch holds what arrived from all its children in a tick: host blocks, each with the
 * owner's epoch and the block's number in it, then rows (chart, end time, a value for each
 * dimension).  A row is written as what changed since the row before of the same chart in the same
 * epoch; the first one, one every QR_ENTRY_KEY_S, and one of another width is a KEY row, written
 * against zeros.  LZ4 over all, with the plain length in front:
 *
 *   u8 version, u32 plain bytes, then LZ4 of
 *     varint n_hosts, and for each: varint host, epoch, block seq, and the lengths of four columns;
 *     u32 CRC32C of all values of its rows; then the columns: a tag a row; what the tags announce
 *     (chart, time, width); bitmaps of changed cells; a token a changed cell (storage/token)
 *
 * Who reads must have the same row before: a base for each chart, replicated with the store and
 * moved by every row of every block that was taken.  A row whose base is of another epoch refuses
 * its block as a whole, QR_E_GAP, and moves nothing; so does a block whose values are not those
 * that were written, QR_E_CORRUPT: nothing is guessed.  A block that is not taken is stepped over
 * without bases.
 *
 * The plain bytes follow from the rows and the rows before.  (LZ4's output may change with the
 * library; nothing compares it.)  The second version of the format; docs/formats describes it byte
 * by byte.  The first, values without deltas, was never released and is not read.
 * Decoding uses up all input or fails, and never reads outside it.  Thread: the owner's. */
#ifndef QR_STORAGE_ENTRY_H
#define QR_STORAGE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/slice.h"

/* A window of the log of this length has a KEY row of each chart. */
#define QR_ENTRY_KEY_S 600u

/* The last row of a chart.  Writers keep one a chart and session, zeroed at first, so that a
 * session starts with KEY rows; the store keeps one a chart. */
struct qr_entry_base {
    uint32_t epoch; /* 0: no row yet.  A writer's: 1, its session being its epoch. */
    uint32_t n;
    uint32_t capacity;
    uint32_t row;      /* Reading: its last row in this block. */
    uint64_t key_slot; /* Writing: when its last KEY row was. */
    uint32_t *cells;
};

void qr_entry_base_release(struct qr_entry_base *base);
/* The next row will be a KEY row. */
void qr_entry_base_reset(struct qr_entry_base *base);
/* As part of a snapshot: varint epoch and, if that is not 0, varint n, bitmap, tokens. */
int qr_entry_base_encode(struct qr_buf *out, const struct qr_entry_base *base);
/* 0, QR_E_MALFORMED or UV_ENOMEM. */
int qr_entry_base_decode(struct qr_entry_base *base, struct qr_cursor *in);

/* Builds one host's block, on an ingest loop: rows of one host, in order of arrival. */
struct qr_entry_block {
    uint32_t host;
    uint32_t epoch;
    uint32_t block_seq;
    uint32_t n_rows;
    uint64_t n_samples;
    struct qr_buf tags, heads, bitmaps, tokens; /* Columns. */
    uint32_t crc;                               /* Of the values. */
    uint32_t last_chart;
    int64_t last_end_s;
};

void qr_entry_block_init(struct qr_entry_block *block);
void qr_entry_block_release(struct qr_entry_block *block);
/* Empties it for the next tick.  If its rows were not sent, the bases that they moved must be
 * reset: no other row can follow them. */
void qr_entry_block_clear(struct qr_entry_block *block);

/* Appends a row and moves the chart's base; values are storage/value's.  0, UV_ENOMEM or
 * QR_E_LIMIT (the block must be sent first; an empty one takes any row); on error nothing has
 * changed. */
int qr_entry_block_row(struct qr_entry_block *block, struct qr_entry_base *base, uint32_t chart,
                       int64_t end_s, const uint32_t *values, uint32_t n);

/* What it takes, about: its bytes, or those of its values unpacked, if these are more: readers
 * spend time on each. */
size_t qr_entry_block_bytes(const struct qr_entry_block *block);

/* Encodes blocks as one body, appended to `out`.  0, UV_ENOMEM or QR_E_LIMIT (more than
 * QR_ENTRY_PLAIN_BYTES_MAX, or packed more than QR_ENTRY_BODY_BYTES_MAX); on error `out` is as
 * before.  Never QR_E_LIMIT for blocks of which all but one are below QR_BATCH_BYTES_MAX in sum. */
int qr_entry_encode(struct qr_buf *out, struct qr_entry_block *const *blocks, unsigned n_blocks);

/* Reading: the frame of a body is checked before the first block is given out, and all of a block
 * before its first row, so that a caller may change state while it iterates. */
struct qr_entry_row {
    uint32_t chart;
    int64_t end_s;
    uint32_t n;
    const uint32_t *values; /* The reader's, until the next block. */
};

struct qr_entry_host {
    uint32_t host, epoch, block_seq, n_rows;
};

struct qr_entry_reader;

/* The base of a chart of that host; NULL: there is no such chart. */
typedef struct qr_entry_base *qr_entry_find(void *data, uint32_t host, uint32_t chart);

/* 0, QR_E_MALFORMED, QR_E_VERSION, QR_E_LIMIT or UV_ENOMEM. */
int qr_entry_reader_new(struct qr_entry_reader **reader, struct qr_slice body);
void qr_entry_reader_free(struct qr_entry_reader *reader);
/* The next host block; false at the end. */
bool qr_entry_next_host(struct qr_entry_reader *reader, struct qr_entry_host *host);
/* Decodes all its rows and moves the bases of their charts; at most once a block.  0; QR_E_GAP (a
 * row was written against one that is not here), QR_E_CORRUPT (against one that differs),
 * QR_E_MALFORMED, QR_E_LIMIT or UV_ENOMEM: no base has moved and there are no rows.  The row of a
 * chart that does not exist is given out all the same if it is a KEY row. */
int qr_entry_read_rows(struct qr_entry_reader *reader, qr_entry_find *find, void *data);
/* The rows that were read; false at the end. */
bool qr_entry_next_row(struct qr_entry_reader *reader, struct qr_entry_row *row);

#endif
