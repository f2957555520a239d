#include "storage/head.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/plant.h"
#include "storage/store.h"
#include "storage/value.h"

void qr_head_init(struct qr_head *head, struct qr_epoch *epoch, uint32_t window_s)
{
    memset(head, 0, sizeof *head);
    head->epoch = epoch;
    head->window_s = window_s;
    qr_list_init(&head->frozen);
}

/* What it points to is freed with it, but for encoded tiles: these are the window's. */
static void slab_free(void *memory)
{
    struct qr_head_slab *slab = memory;
    uint32_t n = qr_head_n_tiles(slab);
    for (uint32_t i = 0; i < n; i++) {
        uintptr_t tile = atomic_load_explicit(&slab->tiles[i], memory_order_relaxed);
        if (!qr_tile_is_encoded(tile))
            free(qr_tile_raw_of(tile));
    }
    free(slab);
}

static void window_free(void *memory)
{
    struct qr_head_window *window = memory;
    for (uint32_t i = 0; i < window->n; i++)
        slab_free(window->slabs[i]);
    for (uint32_t i = 0; i < window->n_packs; i++)
        free(window->packs[i]);
    free(window->packs);
    free(window->queue.at);
    free(window->slabs);
    free(window);
}

void qr_head_release(struct qr_head *head)
{
    for (uint32_t i = 0; i < head->n_windows; i++)
        window_free(head->windows[i]);
    QR_LIST_FOREACH (node, &head->frozen)
        window_free(QR_CONTAINER_OF(node, struct qr_head_window, node));
    free(head->windows);
}

int64_t qr_head_window_of(const struct qr_head *head, int64_t end_s)
{
    return end_s - end_s % head->window_s;
}

static void account(struct qr_head *head, struct qr_head_window *window, size_t more, size_t less)
{
    window->bytes += more - less;
    atomic_fetch_add_explicit(&head->bytes, more - less, memory_order_relaxed);
}

/* ---- windows ---- */

/* Where the window is, or belongs. */
static uint32_t window_at(const struct qr_head *head, int64_t start_s, uint32_t shard)
{
    uint32_t low = 0, high = head->n_windows;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct qr_head_window *window = head->windows[middle];
        if (window->start_s < start_s || (window->start_s == start_s && window->shard < shard))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct qr_head_window *qr_head_window_from(const struct qr_head *head, int64_t start_s,
                                           uint32_t shard)
{
    uint32_t at = window_at(head, start_s, shard);
    return at < head->n_windows ? head->windows[at] : NULL;
}

static struct qr_head_window *window_get(struct qr_head *head, int64_t start_s, uint32_t shard)
{
    uint32_t at = window_at(head, start_s, shard);
    if (at < head->n_windows && head->windows[at]->start_s == start_s &&
        head->windows[at]->shard == shard)
        return head->windows[at];
    if (head->n_windows == head->capacity) {
        uint32_t capacity = head->capacity != 0 ? head->capacity * 2 : 8;
        struct qr_head_window **grown = realloc(head->windows, capacity * sizeof(void *));
        if (grown == NULL)
            return NULL;
        head->windows = grown;
        head->capacity = capacity;
    }
    struct qr_head_window *window = calloc(1, sizeof *window);
    if (window == NULL)
        return NULL;
    window->start_s = start_s;
    window->shard = shard;
    memmove(&head->windows[at + 1], &head->windows[at], (head->n_windows - at) * sizeof(void *));
    head->windows[at] = window;
    head->n_windows++;
    return window;
}

static int window_add(struct qr_head_window *window, struct qr_head_slab *slab)
{
    if (window->n == window->capacity) {
        uint32_t capacity = window->capacity != 0 ? window->capacity * 2 : 64;
        struct qr_head_slab **grown = realloc(window->slabs, capacity * sizeof *grown);
        if (grown == NULL)
            return UV_ENOMEM;
        window->slabs = grown;
        window->capacity = capacity;
    }
    slab->at = window->n;
    window->slabs[window->n++] = slab;
    return 0;
}

static int compare_charts(const void *a, const void *b)
{
    uint32_t ida = (*(struct qr_head_slab *const *)a)->chart->id;
    uint32_t idb = (*(struct qr_head_slab *const *)b)->chart->id;
    return (ida > idb) - (ida < idb);
}

struct qr_head_slab **qr_head_sorted(const struct qr_head_window *window)
{
    struct qr_head_slab **slabs = malloc((window->n + 1) * sizeof(struct qr_head_slab *));
    if (slabs == NULL)
        return NULL;
    if (window->n != 0)
        memcpy(slabs, window->slabs, window->n * sizeof(struct qr_head_slab *));
    qsort(slabs, window->n, sizeof(struct qr_head_slab *), compare_charts);
    return slabs;
}

void qr_head_freeze(struct qr_head *head, struct qr_head_window *window)
{
    uint32_t at = window_at(head, window->start_s, window->shard);
    assert(at < head->n_windows);
    assert(head->windows[at] == window);
    head->n_windows--;
    memmove(&head->windows[at], &head->windows[at + 1], (head->n_windows - at) * sizeof(void *));
    window->frozen = true;
    free(window->queue.at);
    window->queue = (struct qr_tile_queue){0};
    qr_list_add_tail(&head->frozen, &window->node);
    head->n_freezes++;
}

/* ---- the list of a chart ---- */

static _Atomic(struct qr_head_slab *) *link_to(struct qr_chart_head *chart,
                                               const struct qr_head_slab *slab)
{
    _Atomic(struct qr_head_slab *) *link = &chart->slabs;
    for (;;) {
        struct qr_head_slab *at = atomic_load_explicit(link, memory_order_relaxed);
        assert(at != NULL);
        if (at == slab)
            return link;
        link = &at->next;
    }
}

/* Its last row is forgotten. */
static void forget_place(struct qr_chart_head *chart)
{
    chart->slab = NULL;
    chart->span_s = 0;
}

void qr_head_drop(struct qr_head *head, struct qr_head_window *window)
{
    assert(window->frozen);
    for (uint32_t i = 0; i < window->n; i++) {
        struct qr_head_slab *slab = window->slabs[i];
        struct qr_chart_head *chart = slab->chart->head;
        /* A reader that stands on it still finds its way on: `next` stays. */
        atomic_store(link_to(chart, slab), qr_head_next(slab));
        if (chart->slab == slab)
            forget_place(chart);
    }
    account(head, window, 0, window->bytes);
    qr_list_remove(&window->node);
    qr_epoch_retire(head->epoch, window, window_free);
}

/* ---- slabs ---- */

struct grid {
    int64_t window_start_s;
    int64_t first_s;
    uint32_t step_s, n_rows, n_cols;
};

static struct grid grid_of(const struct qr_head *head, int64_t end_s, uint32_t step_s,
                           uint32_t n_cols)
{
    int64_t start = qr_head_window_of(head, end_s);
    uint32_t in_window = (uint32_t)(end_s - start);
    uint32_t phase = in_window % step_s;
    uint32_t n_rows = (head->window_s - 1 - phase) / step_s + 1;
    return (struct grid){start, start + phase, step_s, n_rows, n_cols};
}

static size_t slab_bytes(const struct qr_head_slab *slab)
{
    return sizeof *slab + qr_head_n_tiles(slab) * sizeof slab->tiles[0];
}

static size_t tile_bytes(const struct qr_head_slab *slab, uint32_t tile)
{
    uint32_t first, n = qr_head_tile_rows(slab, tile, &first);
    return qr_tile_raw_bytes(n, slab->n_cols);
}

static struct qr_head_slab *slab_new(struct qr_head *head, struct qr_chart *chart,
                                     struct qr_head_window *window, const struct grid *grid)
{
    /* 37 and 64 have no common divisor: charts that follow each other take all places in turn. */
    struct qr_head_slab form = {
        .n_rows = grid->n_rows,
        .shift = grid->n_rows > QR_TILE_ROWS ? chart->id * 37 % QR_TILE_ROWS : 0,
    };
    struct qr_head_slab *slab = calloc(1, slab_bytes(&form));
    if (slab == NULL)
        return NULL;
    slab->chart = chart;
    slab->window = window;
    slab->window_start_s = grid->window_start_s;
    slab->first_s = grid->first_s;
    slab->step_s = grid->step_s;
    slab->n_rows = grid->n_rows;
    slab->n_cols = grid->n_cols;
    slab->shift = form.shift;
    account(head, window, slab_bytes(slab), 0);
    return slab;
}

/* What it takes, but for encoded tiles. */
static size_t slab_all_bytes(const struct qr_head_slab *slab)
{
    size_t bytes = slab_bytes(slab);
    uint32_t n = qr_head_n_tiles(slab);
    for (uint32_t i = 0; i < n; i++) {
        uintptr_t tile = atomic_load_explicit(&slab->tiles[i], memory_order_relaxed);
        if (tile != 0 && !qr_tile_is_encoded(tile))
            bytes += tile_bytes(slab, i);
    }
    return bytes;
}

struct qr_head_slab *qr_head_first(const struct qr_chart_head *chart)
{
    return atomic_load(&chart->slabs);
}

struct qr_head_slab *qr_head_next(const struct qr_head_slab *slab)
{
    return atomic_load(&slab->next);
}

static uint32_t tile_of(const struct qr_head_slab *slab, uint32_t row)
{
    return (row + slab->shift) / QR_TILE_ROWS;
}

int qr_head_copy(const struct qr_head_slab *slab, uint32_t first, uint32_t n, struct qr_grid *grid)
{
    int err = qr_grid_reset(grid, slab->first_s + (int64_t)first * slab->step_s, slab->step_s, n,
                            slab->n_cols);
    for (uint32_t row = first, end = first + n; row < end && err == 0;) {
        uint32_t tile = tile_of(slab, row), tile_first;
        uint32_t n_tile = qr_head_tile_rows(slab, tile, &tile_first);
        uint32_t stop = tile_first + n_tile < end ? tile_first + n_tile : end;
        qr_tile_load(atomic_load_explicit(&slab->tiles[tile], memory_order_acquire), n_tile,
                     slab->n_cols, row - tile_first, stop - row, grid->values + (row - first), n);
        row = stop;
    }
    return err;
}

/* ---- tiles ---- */

static int queue_add(struct qr_tile_queue *queue, const struct qr_tile_due *due)
{
    if (queue->first + queue->n == queue->capacity) {
        uint32_t capacity = queue->capacity;
        if (queue->n > capacity / 2 || capacity == 0) {
            capacity = capacity != 0 ? capacity * 2 : 64;
            struct qr_tile_due *grown = malloc(capacity * sizeof *grown);
            if (grown == NULL)
                return UV_ENOMEM;
            if (queue->n != 0)
                memcpy(grown, queue->at + queue->first, queue->n * sizeof *grown);
            free(queue->at);
            queue->at = grown;
        } else {
            memmove(queue->at, queue->at + queue->first, queue->n * sizeof *queue->at);
        }
        queue->capacity = capacity;
        queue->first = 0;
    }
    queue->at[queue->first + queue->n++] = *due;
    return 0;
}

/* Without memory for the note the tile just stays raw. */
static void queue_tile(struct qr_head *head, const struct qr_head_slab *slab, uint32_t tile,
                       uint32_t grace_s)
{
    uintptr_t ref = atomic_load_explicit(&slab->tiles[tile], memory_order_relaxed);
    if (slab->window->frozen || ref == 0 || qr_tile_is_encoded(ref) || qr_tile_raw_of(ref)->queued)
        return;
    const struct qr_tile_due due = {head->now_s + (head->loading ? 0 : grace_s), slab->at, tile};
    if (queue_add(&slab->window->queue, &due) != 0)
        return;
    qr_tile_raw_of(ref)->queued = true;
    head->n_left++;
}

/* The raw tile, made or decoded if there is none. */
static struct qr_tile_raw *tile_to_write(struct qr_head *head, struct qr_head_slab *slab,
                                         uint32_t tile)
{
    uintptr_t ref = atomic_load_explicit(&slab->tiles[tile], memory_order_relaxed);
    if (ref != 0 && !qr_tile_is_encoded(ref)) {
        qr_tile_raw_of(ref)->version++;
        return qr_tile_raw_of(ref);
    }
    uint32_t first, n_rows = qr_head_tile_rows(slab, tile, &first);
    struct qr_tile_raw *raw = ref == 0 ? qr_tile_raw_new(n_rows, slab->n_cols)
                                       : qr_tile_decode(ref, n_rows, slab->n_cols);
    if (raw == NULL)
        return NULL;
    account(head, slab->window, tile_bytes(slab, tile), 0);
    atomic_store_explicit(&slab->tiles[tile], (uintptr_t)raw, memory_order_release);
    return raw;
}

static struct qr_head_slab *find_open(const struct qr_chart_head *chart, int64_t window_start_s)
{
    struct qr_head_slab *slab = qr_head_first(chart);
    while (slab != NULL && (slab->window->frozen || slab->window_start_s != window_start_s))
        slab = qr_head_next(slab);
    return slab;
}

static struct qr_head_slab *open_slab(struct qr_head *head, struct qr_chart *chart,
                                      const struct grid *grid)
{
    struct qr_head_window *window = window_get(head, grid->window_start_s, chart->host->shard);
    struct qr_head_slab *slab = window != NULL ? slab_new(head, chart, window, grid) : NULL;
    if (slab == NULL)
        return NULL;
    if (window_add(window, slab) != 0) {
        account(head, window, 0, slab_bytes(slab));
        slab_free(slab);
        return NULL;
    }
    atomic_init(&slab->next, qr_head_first(chart->head));
    atomic_store(&chart->head->slabs, slab);
    return slab;
}

/* ---- a slab made anew ---- */

static bool has_value(const uint32_t *values, uint32_t n, uint32_t stride)
{
    for (uint32_t i = 0; i < n; i++)
        if (!qr_value_is_empty(values[(size_t)i * stride]))
            return true;
    return false;
}

static int copy_row(struct qr_head *head, struct qr_head_slab *to, int64_t end_s,
                    const uint32_t *values, uint32_t n, uint32_t stride)
{
    if (!has_value(values, n, stride))
        return 0;
    uint32_t row = (uint32_t)(end_s - to->first_s) / to->step_s, first;
    struct qr_tile_raw *raw = tile_to_write(head, to, tile_of(to, row));
    if (raw == NULL)
        return UV_ENOMEM;
    qr_head_tile_rows(to, tile_of(to, row), &first);
    _Atomic uint32_t *cells = raw->cells + (size_t)(row - first) * to->n_cols;
    for (uint32_t c = 0; c < n; c++)
        atomic_store_explicit(&cells[c], values[(size_t)c * stride], memory_order_relaxed);
    return 0;
}

static int copy_rows(struct qr_head *head, struct qr_head_slab *to, const struct qr_head_slab *from)
{
    struct qr_grid grid = {0};
    uint32_t n_tiles = qr_head_n_tiles(from);
    int err = 0;
    for (uint32_t i = 0; i < n_tiles && err == 0; i++) {
        if (atomic_load_explicit(&from->tiles[i], memory_order_relaxed) == 0)
            continue;
        uint32_t first, n = qr_head_tile_rows(from, i, &first);
        err = qr_head_copy(from, first, n, &grid);
        for (uint32_t row = 0; row < n && err == 0; row++)
            err = copy_row(head, to, grid.first_s + (int64_t)row * grid.step_s, grid.values + row,
                           grid.n_dims, n);
    }
    qr_grid_release(&grid);
    return err;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The same slab with room for this row, in its place. */
static struct qr_head_slab *widen_slab(struct qr_head *head, struct qr_head_slab *slab,
                                       int64_t end_s, uint32_t n_cols)
{
    int64_t distance = end_s > slab->first_s ? end_s - slab->first_s : slab->first_s - end_s;
    uint32_t step = gcd(slab->step_s, (uint32_t)distance);
    struct grid grid =
        grid_of(head, slab->first_s, step, n_cols > slab->n_cols ? n_cols : slab->n_cols);
    struct qr_head_window *window = slab->window;
    struct qr_chart_head *chart = slab->chart->head;
    struct qr_head_slab *wide = slab_new(head, slab->chart, window, &grid);
    if (wide == NULL)
        return NULL;
    if (copy_rows(head, wide, slab) != 0) {
        account(head, window, 0, slab_all_bytes(wide));
        slab_free(wide);
        return NULL;
    }
    wide->at = slab->at;
    assert(window->slabs[slab->at] == slab);
    window->slabs[slab->at] = wide;
    atomic_init(&wide->next, qr_head_next(slab));
    atomic_store(link_to(chart, slab), wide);
    for (uint32_t i = 0; i < qr_head_n_tiles(wide); i++)
        queue_tile(head, wide, i, QR_TILE_GRACE_S);
    if (chart->slab == slab)
        forget_place(chart);
    account(head, window, 0, slab_all_bytes(slab));
    qr_epoch_retire(head->epoch, slab, slab_free);
    return wide;
}

/* ---- forgetting ---- */

/* In the place of a slab's index, until its window is compacted. */
#define GONE UINT32_MAX

void qr_head_forget(struct qr_chart_head *chart)
{
    for (struct qr_head_slab *slab = qr_head_first(chart), *next; slab != NULL; slab = next) {
        next = qr_head_next(slab);
        if (slab->window->frozen)
            continue;
        atomic_store(link_to(chart, slab), next);
        slab->at = GONE;
        slab->window->n_gone++;
    }
    forget_place(chart);
}

/* Queue entries follow their slabs to new places. */
static void move_queue(struct qr_tile_queue *queue, const uint32_t *places)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < queue->n; i++) {
        struct qr_tile_due due = queue->at[queue->first + i];
        due.slab = places[due.slab];
        if (due.slab != GONE)
            queue->at[queue->first + n++] = due;
    }
    queue->n = n;
}

/* A worker that encodes a tile of it is told: this is another one now. */
static void retire_slab(struct qr_head *head, struct qr_head_slab *slab)
{
    uint32_t n = qr_head_n_tiles(slab);
    for (uint32_t i = 0; i < n; i++) {
        uintptr_t ref = atomic_load_explicit(&slab->tiles[i], memory_order_relaxed);
        if (ref != 0 && !qr_tile_is_encoded(ref))
            qr_tile_raw_of(ref)->version++;
    }
    slab->at = 0;
    account(head, slab->window, 0, slab_all_bytes(slab));
    qr_epoch_retire(head->epoch, slab, slab_free);
}

static int compact_window(struct qr_head *head, struct qr_head_window *window)
{
    uint32_t *places = malloc(window->n * sizeof *places), n = 0;
    if (places == NULL)
        return UV_ENOMEM;
    for (uint32_t i = 0; i < window->n; i++) {
        struct qr_head_slab *slab = window->slabs[i];
        places[i] = slab->at == GONE ? GONE : n;
        if (slab->at == GONE) {
            retire_slab(head, slab);
        } else {
            window->slabs[n] = slab;
            slab->at = n++;
        }
    }
    move_queue(&window->queue, places);
    window->n = n;
    window->n_gone = 0;
    free(places);
    return 0;
}

int qr_head_compact(struct qr_head *head)
{
    uint32_t n = 0;
    int err = 0;
    for (uint32_t i = 0; i < head->n_windows; i++) {
        struct qr_head_window *window = head->windows[i];
        if (window->n_gone != 0 && err == 0)
            err = compact_window(head, window);
        if (window->n != 0) {
            head->windows[n++] = window;
            continue;
        }
        /* Without slabs it would be sealed for nothing. */
        window->frozen = true; /* For a worker that comes back. */
        account(head, window, 0, window->bytes);
        qr_epoch_retire(head->epoch, window, window_free);
    }
    head->n_windows = n;
    return err;
}

/* ---- writing ---- */

static bool has_place(const struct qr_head_slab *slab, int64_t end_s, uint32_t n)
{
    int64_t off = end_s - slab->first_s;
    return n <= slab->n_cols && off >= 0 && (slab->step_s == 1 || off % slab->step_s == 0);
}

static struct qr_head_slab *slab_for(struct qr_head *head, struct qr_chart *chart, uint32_t step_s,
                                     uint32_t n_cols, int64_t end_s, uint32_t n)
{
    struct qr_head_slab *slab = chart->head->slab;
    uint64_t in_window = slab != NULL ? (uint64_t)(end_s - slab->window_start_s) : 0;
    if (slab == NULL || slab->window->frozen || in_window >= head->window_s)
        slab = find_open(chart->head, qr_head_window_of(head, end_s));
    if (slab == NULL) {
        struct grid grid = grid_of(head, end_s, step_s, n_cols);
        return open_slab(head, chart, &grid);
    }
    return has_place(slab, end_s, n) ? slab : widen_slab(head, slab, end_s, n_cols);
}

/* Goes to the tile of a row.  0 or UV_ENOMEM. */
static int seek(struct qr_head *head, struct qr_chart *chart, uint32_t step_s, uint32_t n_cols,
                int64_t end_s, uint32_t n)
{
    struct qr_head_slab *slab = slab_for(head, chart, step_s, n_cols, end_s, n);
    if (slab == NULL)
        return UV_ENOMEM;
    uint32_t first, tile = tile_of(slab, (uint32_t)(end_s - slab->first_s) / slab->step_s);
    struct qr_tile_raw *raw = tile_to_write(head, slab, tile);
    if (raw == NULL)
        return UV_ENOMEM;
    struct qr_chart_head *at = chart->head;
    if (at->slab != NULL && (at->slab != slab || at->tile != tile))
        queue_tile(head, at->slab, at->tile,
                   at->slab == slab ? QR_TILE_GRACE_S : QR_TILE_LAST_GRACE_S);
    uint32_t n_rows = qr_head_tile_rows(slab, tile, &first);
    at->slab = slab;
    at->tile = tile;
    at->n_freezes = head->n_freezes;
    at->cells = raw->cells;
    at->first_s = slab->first_s + (int64_t)first * slab->step_s;
    at->span_s = n_rows * slab->step_s;
    at->step_s = slab->step_s;
    at->n_cols = slab->n_cols;
    return 0;
}

int qr_head_put(struct qr_head *head, struct qr_chart *chart, uint32_t step_s, uint32_t n_cols,
                int64_t end_s, const uint32_t *values, uint32_t n, uint32_t *n_new, uint32_t *n_old)
{
    *n_new = 0;
    *n_old = 0;
    while (n > 0 && qr_value_is_empty(values[n - 1]))
        n--;
    if (n == 0)
        return 0;
    const struct qr_chart_head *at = chart->head;
    if (QR_UNLIKELY(!qr_head_is_at(head, at, end_s, n))) {
        int err = seek(head, chart, step_s, n_cols, end_s, n);
        if (err != 0)
            return err;
    }
    uint32_t row = (uint32_t)(end_s - at->first_s);
    if (at->step_s != 1)
        row /= at->step_s;
    _Atomic uint32_t *cells = at->cells + (size_t)row * at->n_cols;
    uint32_t taken = 0, old = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (qr_value_is_empty(values[i]))
            continue;
        if (qr_value_is_empty(atomic_load_explicit(&cells[i], memory_order_relaxed)) ||
            QR_PLANT(duplicate_overwrites)) {
            atomic_store_explicit(&cells[i], values[i], memory_order_relaxed);
            taken++;
        } else {
            old++;
        }
    }
    *n_new = taken;
    *n_old = old;
    return 0;
}

/* ---- encoding ---- */

/* The raw tile that an entry of the queue means, if it still has to be encoded. */
static struct qr_tile_raw *queued_tile(const struct qr_head_slab *slab, uint32_t tile)
{
    if (tile >= qr_head_n_tiles(slab))
        return NULL; /* Made anew since. */
    uintptr_t ref = atomic_load_explicit(&slab->tiles[tile], memory_order_relaxed);
    if (ref == 0 || qr_tile_is_encoded(ref) || !qr_tile_raw_of(ref)->queued)
        return NULL;
    struct qr_tile_raw *raw = qr_tile_raw_of(ref);
    raw->queued = false;
    const struct qr_chart_head *chart = slab->chart->head;
    return chart->slab == slab && chart->tile == tile ? NULL : raw;
}

uint32_t qr_head_take(struct qr_head *head, struct qr_head_item *items, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < head->n_windows && n < max; i++) {
        struct qr_head_window *window = head->windows[i];
        struct qr_tile_queue *queue = &window->queue;
        while (n < max && queue->n > 0 && queue->at[queue->first].due_s <= head->now_s) {
            const struct qr_tile_due *due = &queue->at[queue->first++];
            queue->n--;
            struct qr_head_slab *slab = window->slabs[due->slab];
            struct qr_tile_raw *raw = queued_tile(slab, due->tile);
            if (raw != NULL)
                items[n++] = (struct qr_head_item){slab, raw, due->tile, raw->version, 0};
        }
    }
    return n;
}

static int keep_pack(struct qr_head_window *window, void *pack)
{
    if (window->n_packs == window->packs_capacity) {
        uint32_t capacity = window->packs_capacity != 0 ? window->packs_capacity * 2 : 16;
        void **grown = realloc(window->packs, capacity * sizeof *grown);
        if (grown == NULL)
            return UV_ENOMEM;
        window->packs = grown;
        window->packs_capacity = capacity;
    }
    window->packs[window->n_packs++] = pack;
    return 0;
}

/* Nobody has touched it since it was taken. */
static bool is_as_taken(const struct qr_head_window *window, const struct qr_head_item *item)
{
    const struct qr_head_slab *slab = item->slab;
    return window->slabs[slab->at] == slab &&
           atomic_load_explicit(&slab->tiles[item->tile], memory_order_relaxed) ==
               (uintptr_t)item->raw &&
           item->raw->version == item->version;
}

int qr_head_exchange(struct qr_head *head, struct qr_head_item *items, uint32_t n, void *pack,
                     size_t pack_bytes)
{
    struct qr_head_window *window = items[0].slab->window;
    if (!window->frozen) {
        if (keep_pack(window, pack) != 0)
            return UV_ENOMEM;
        account(head, window, pack_bytes, 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct qr_head_item *item = &items[i];
        if (window->frozen || !is_as_taken(window, item)) {
            item->raw = NULL;
            continue;
        }
        account(head, window, 0, tile_bytes(item->slab, item->tile));
        atomic_store_explicit(&item->slab->tiles[item->tile],
                              (uintptr_t)((char *)pack + item->at) + 1, memory_order_release);
    }
    if (window->frozen)
        free(pack);
    return 0;
}
