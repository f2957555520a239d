/* storage/head.h — the samples that are not in block files yet.
 *
 * A chart has one slab a window: values on a grid of its own step,
 *
 *   row i = (end_s - first_s) / step_s,  cell = (row, dimension),  EMPTY: nothing there
 *
 * so that an old or a repeated row finds its place, and two rows of one second meet in one cell:
 * the first stays.  A slab is cut in tiles of QR_TILE_ROWS rows (storage/tile), allotted when a row
 * of them comes.  Charts take turns, their first tiles being shorter, so that not all of them begin
 * one in the same second.  A tile that its chart has left is queued, and encoded by a worker
 * (storage/tiler) when it has rested; a row that comes for it later decodes it first.
 *
 * A row off the grid, or wider than it, makes the slab anew with a finer step (the greatest common
 * divisor) or more columns.  What a slab looks like inside so depends on the order of arrival and
 * on when workers ran; its cells do not, and nothing else is read from it.
 *
 * Slabs lie in windows, one a span of time and shard.  Sealing freezes a window: it takes no more
 * rows, and its slabs do not change; later rows start a new one.
 *
 * One writer; readers walk a chart's list of slabs and read tiles while it writes (all of it
 * atomic), between enter and leave of the epoch. */
#ifndef QR_STORAGE_HEAD_H
#define QR_STORAGE_HEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/epoch.h"
#include "base/list.h"
#include "storage/grid.h"
#include "storage/tile.h"

/* A tile rests that long before it is encoded: rows that are a little late meet it raw.  The last
 * one of a window is mostly sealed sooner. */
#define QR_TILE_GRACE_S      10
#define QR_TILE_LAST_GRACE_S 60

struct qr_chart;
struct qr_head_window;

struct qr_head_slab {
    _Atomic(struct qr_head_slab *) next; /* Of this chart; later ones of a window come first. */
    struct qr_chart *chart;
    struct qr_head_window *window; /* The writer's. */
    int64_t window_start_s;
    int64_t first_s; /* End time of row 0. */
    uint32_t step_s;
    uint32_t n_rows; /* All that the window can hold. */
    uint32_t n_cols;
    uint32_t shift; /* Rows that tile 0 lacks. */
    uint32_t at;    /* In its window's array; the writer's. */
    qr_tile_ref tiles[];
};

struct qr_chart_head {
    _Atomic(struct qr_head_slab *) slabs;
    /* Where the last row went, so that the next one finds its place at once.  The writer's. */
    struct qr_head_slab *slab;
    uint32_t tile;
    uint32_t n_freezes; /* The head's then: more, and the slab may be frozen. */
    _Atomic uint32_t *cells;
    int64_t first_s; /* Of the tile. */
    uint32_t span_s; /* 0: nowhere. */
    uint32_t step_s;
    uint32_t n_cols;
};

/* Tiles to be encoded, in the order in which they were left. */
struct qr_tile_queue {
    struct qr_tile_due {
        int64_t due_s;
        uint32_t slab, tile;
    } * at;
    uint32_t first, n, capacity;
};

/* The slabs of a span of time and shard. */
struct qr_head_window {
    struct qr_list node; /* Frozen: in the head's list. */
    int64_t start_s;
    uint32_t shard;
    bool frozen;
    uint32_t n, capacity;
    uint32_t n_gone; /* Of them, until qr_head_compact. */
    struct qr_head_slab **slabs;
    struct qr_tile_queue queue;
    void **packs; /* Memory of encoded tiles. */
    uint32_t n_packs, packs_capacity;
    size_t bytes;
};

struct qr_head {
    struct qr_epoch *epoch;
    uint32_t window_s;
    uint32_t n_windows, capacity;
    struct qr_head_window **windows; /* Not frozen, by start, then shard. */
    struct qr_list frozen;
    int64_t now_s; /* The log's time, as the owner says: only tiles rest by it. */
    uint32_t n_freezes;
    uint32_t n_left; /* Tiles queued since the owner set it to 0. */
    bool loading;    /* Rows come all at once, and tiles need not rest. */
    _Atomic uint64_t bytes;
};

void qr_head_init(struct qr_head *head, struct qr_epoch *epoch, uint32_t window_s);
/* Frees all windows and slabs; no reader inside. */
void qr_head_release(struct qr_head *head);

int64_t qr_head_window_of(const struct qr_head *head, int64_t end_s);

/* Is the row's place known, so that putting it there looks at nothing else?  Then the chart has at
 * least n dimensions. */
static inline bool qr_head_is_at(const struct qr_head *head, const struct qr_chart_head *at,
                                 int64_t end_s, uint32_t n)
{
    uint64_t off = (uint64_t)(end_s - at->first_s);
    return off < at->span_s && n <= at->n_cols && at->n_freezes == head->n_freezes &&
           (at->step_s == 1 || off % at->step_s == 0);
}

/* A row of that chart is about to be put, perhaps. */
static QR_ALWAYS_INLINE void qr_head_prefetch(const struct qr_chart_head *at, int64_t end_s)
{
    uint64_t off = (uint64_t)(end_s - at->first_s);
    if (off < at->span_s && at->step_s == 1)
        QR_PREFETCH_TO_WRITE((const void *)(at->cells + off * at->n_cols));
}

/* Puts a row where it belongs.  `step_s` is the chart's, `n_cols` the number of its dimensions,
 * which do not matter where the place is known; n <= n_cols.  0 or UV_ENOMEM; *n_new cells were
 * EMPTY and are not, *n_old had a value already when another came. */
int qr_head_put(struct qr_head *head, struct qr_chart *chart, uint32_t step_s, uint32_t n_cols,
                int64_t end_s, const uint32_t *values, uint32_t n, uint32_t *n_new,
                uint32_t *n_old);

/* The chart's slabs that are not frozen leave it.  After some of those: qr_head_compact, before
 * anything else. */
void qr_head_forget(struct qr_chart_head *chart);
/* Takes such slabs from their windows, to be freed when no reader sees them; a window that has none
 * left goes.  0 or UV_ENOMEM. */
int qr_head_compact(struct qr_head *head);

/* The first window that is not frozen, starts there or later, and at a start is of that shard or a
 * higher one.  NULL: none. */
struct qr_head_window *qr_head_window_from(const struct qr_head *head, int64_t start_s,
                                           uint32_t shard);
/* It takes no more rows, and is in the head until it is dropped.  Takes no time. */
void qr_head_freeze(struct qr_head *head, struct qr_head_window *window);
/* Takes a frozen window's slabs from their charts, to be freed with it when no reader sees them. */
void qr_head_drop(struct qr_head *head, struct qr_head_window *window);
/* A copy of a window's slabs in order of chart ids, to be freed; NULL: no memory.  Of a frozen
 * window: any thread, until it is dropped. */
struct qr_head_slab **qr_head_sorted(const struct qr_head_window *window);

/* ---- for storage/tiler: the writer's ---- */

/* A queued tile, to be encoded by a worker.  The slab, the tile and their memory stay as long as
 * the caller is in the epoch. */
struct qr_head_item {
    struct qr_head_slab *slab;
    struct qr_tile_raw *raw;
    uint32_t tile;
    uint32_t version;
    size_t at; /* Of the encoded tile, in the pack. */
};

/* Takes tiles that have rested, `max` at most, window by window.  Returns how many there are. */
uint32_t qr_head_take(struct qr_head *head, struct qr_head_item *items, uint32_t max);
/* For items of one window: puts the encoded tiles in place of those that nobody has touched since,
 * and takes the pack.  An item whose raw tile is not needed any more keeps it, others get NULL. The
 * raw ones are for the caller to retire.  0, or UV_ENOMEM: nothing was done. */
int qr_head_exchange(struct qr_head *head, struct qr_head_item *items, uint32_t n, void *pack,
                     size_t pack_bytes);

/* ---- reading: any thread ---- */

/* Newest first; of one window, later generations first. */
struct qr_head_slab *qr_head_first(const struct qr_chart_head *chart);
struct qr_head_slab *qr_head_next(const struct qr_head_slab *slab);

static inline uint32_t qr_head_n_tiles(const struct qr_head_slab *slab)
{
    return (slab->n_rows + slab->shift + QR_TILE_ROWS - 1) / QR_TILE_ROWS;
}

/* The rows of a tile: *first and how many. */
static inline uint32_t qr_head_tile_rows(const struct qr_head_slab *slab, uint32_t tile,
                                         uint32_t *first)
{
    uint32_t end = (tile + 1) * QR_TILE_ROWS - slab->shift;
    *first = tile == 0 ? 0 : end - QR_TILE_ROWS;
    return (end < slab->n_rows ? end : slab->n_rows) - *first;
}

/* Rows first .. first + n - 1 as they are now.  0 or UV_ENOMEM. */
int qr_head_copy(const struct qr_head_slab *slab, uint32_t first, uint32_t n, struct qr_grid *grid);

#endif
