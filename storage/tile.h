/* storage/tile.h — some rows of a chart in the head: raw while they are written, then encoded.
 *
 * A raw tile is row-major, so that a row of a tick is one contiguous write.  Once it has been left
 * alone for a while a worker encodes it, column by column (storage/codec), and the slab's pointer
 * to it is exchanged with one store; what readers see through that pointer never moves:
 *
 *   0                   no row of the tile was ever written to
 *   pointer             struct qr_tile_raw; cells change, one by one, from EMPTY to a value
 *   pointer + 1         encoded: varint length, then that many bytes, a series a column
 *
 * Encoded tiles are a private cache: no byte of them is in a file or in the log.
 * Thread: load any; the rest says. */
#ifndef QR_STORAGE_TILE_H
#define QR_STORAGE_TILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/codec.h"

#define QR_TILE_ROWS 64u

typedef _Atomic uintptr_t qr_tile_ref;

struct qr_tile_raw {
    uint32_t version; /* Counts returns to it.  The writer's: */
    bool queued;      /* To be encoded. */
    _Atomic uint32_t cells[];
};

static inline bool qr_tile_is_encoded(uintptr_t tile)
{
    return (tile & 1) != 0;
}

static inline struct qr_tile_raw *qr_tile_raw_of(uintptr_t tile)
{
    return (struct qr_tile_raw *)tile;
}

static inline size_t qr_tile_raw_bytes(uint32_t n_rows, uint32_t n_cols)
{
    return sizeof(struct qr_tile_raw) + (size_t)n_rows * n_cols * sizeof(uint32_t);
}

/* All cells EMPTY; NULL: no memory.  free() it. */
struct qr_tile_raw *qr_tile_raw_new(uint32_t n_rows, uint32_t n_cols);

/* What encoding takes: its memory is kept from tile to tile, and `out` is the caller's to take. */
struct qr_tile_writer {
    struct qr_codec codec;
    struct qr_buf series;
    struct qr_buf out;
};

void qr_tile_writer_release(struct qr_tile_writer *writer);

/* Appends a tile that its writer may be writing to, at an even place; *at is where.  0 or
 * UV_ENOMEM. */
int qr_tile_encode(struct qr_tile_writer *writer, const struct qr_tile_raw *raw, uint32_t n_rows,
                   uint32_t n_cols, size_t *at);

/* Rows first .. first + n - 1 of a tile: column c goes to values + c * stride, which is EMPTY
 * already.  Thread: any. */
void qr_tile_load(uintptr_t tile, uint32_t n_rows, uint32_t n_cols, uint32_t first, uint32_t n,
                  uint32_t *values, size_t stride);

/* The same, all of it, as a raw tile again.  NULL: no memory. */
struct qr_tile_raw *qr_tile_decode(uintptr_t tile, uint32_t n_rows, uint32_t n_cols);

#endif
