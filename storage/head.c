#include "storage/head.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "storage/store.h"
#include "storage/value.h"

void qr_head_init(struct qr_head *head, struct qr_epoch *epoch, uint32_t window_s)
{
    memset(head, 0, sizeof *head);
    head->epoch = epoch;
    head->window_s = window_s;
}

void qr_head_release(struct qr_head *head)
{
    for (uint32_t i = 0; i < head->n_windows; i++)
        qr_head_window_release(&head->windows[i]);
    free(head->windows);
}

void qr_head_window_release(struct qr_head_window *window)
{
    free(window->slabs);
    *window = (struct qr_head_window){0};
}

static void slab_free(void *memory)
{
    struct qr_head_slab *slab = memory;
    uint32_t n_chunks = (slab->n_rows + QR_SLAB_CHUNK_ROWS - 1) / QR_SLAB_CHUNK_ROWS;
    for (uint32_t i = 0; i < n_chunks; i++)
        free((void *)atomic_load_explicit(&slab->chunks[i], memory_order_relaxed));
    free(slab);
}

void qr_chart_head_release(struct qr_chart_head *chart)
{
    struct qr_head_slab *slab = qr_head_first(chart);
    while (slab != NULL) {
        struct qr_head_slab *next = qr_head_next(slab);
        slab_free(slab);
        slab = next;
    }
}

int64_t qr_head_window_of(const struct qr_head *head, int64_t end_s)
{
    return end_s - end_s % head->window_s;
}

/* ---- windows ---- */

/* Where the window is, or belongs. */
static uint32_t window_at(const struct qr_head *head, int64_t start_s)
{
    uint32_t low = 0, high = head->n_windows;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (head->windows[middle].start_s < start_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct qr_head_window *window_get(struct qr_head *head, int64_t start_s)
{
    uint32_t at = window_at(head, start_s);
    if (at < head->n_windows && head->windows[at].start_s == start_s)
        return &head->windows[at];
    if (head->n_windows == head->capacity) {
        uint32_t capacity = head->capacity != 0 ? head->capacity * 2 : 8;
        struct qr_head_window *grown = realloc(head->windows, capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        head->windows = grown;
        head->capacity = capacity;
    }
    memmove(&head->windows[at + 1], &head->windows[at],
            (head->n_windows - at) * sizeof *head->windows);
    head->n_windows++;
    head->windows[at] = (struct qr_head_window){.start_s = start_s};
    return &head->windows[at];
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

bool qr_head_freeze(struct qr_head *head, int64_t start_s, struct qr_head_window *frozen)
{
    uint32_t at = window_at(head, start_s);
    if (at == head->n_windows || head->windows[at].start_s != start_s)
        return false;
    *frozen = head->windows[at];
    head->n_windows--;
    memmove(&head->windows[at], &head->windows[at + 1],
            (head->n_windows - at) * sizeof *head->windows);
    if (frozen->n == 0) {
        qr_head_window_release(frozen);
        return false;
    }
    qsort(frozen->slabs, frozen->n, sizeof(struct qr_head_slab *), compare_charts);
    for (uint32_t i = 0; i < frozen->n; i++)
        frozen->slabs[i]->frozen = true;
    return true;
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

static void retire(struct qr_head *head, struct qr_head_slab *slab)
{
    atomic_fetch_sub_explicit(&head->bytes, slab->bytes, memory_order_relaxed);
    qr_epoch_retire(head->epoch, slab, slab_free);
}

void qr_head_drop(struct qr_head *head, struct qr_head_window *frozen)
{
    for (uint32_t i = 0; i < frozen->n; i++) {
        struct qr_head_slab *slab = frozen->slabs[i];
        struct qr_chart_head *chart = slab->chart->head;
        /* A reader that stands on it still finds its way on: `next` stays. */
        atomic_store(link_to(chart, slab), qr_head_next(slab));
        if (chart->last == slab)
            chart->last = NULL;
        retire(head, slab);
    }
    qr_head_window_release(frozen);
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

static struct qr_head_slab *slab_new(struct qr_head *head, struct qr_chart *chart,
                                     const struct grid *grid)
{
    uint32_t n_chunks = (grid->n_rows + QR_SLAB_CHUNK_ROWS - 1) / QR_SLAB_CHUNK_ROWS;
    struct qr_head_slab *slab;
    size_t bytes = sizeof *slab + n_chunks * sizeof slab->chunks[0];
    slab = calloc(1, bytes);
    if (slab == NULL)
        return NULL;
    slab->chart = chart;
    slab->window_start_s = grid->window_start_s;
    slab->first_s = grid->first_s;
    slab->step_s = grid->step_s;
    slab->n_rows = grid->n_rows;
    slab->n_cols = grid->n_cols;
    slab->bytes = bytes;
    atomic_fetch_add_explicit(&head->bytes, bytes, memory_order_relaxed);
    return slab;
}

static void slab_drop(struct qr_head *head, struct qr_head_slab *slab)
{
    atomic_fetch_sub_explicit(&head->bytes, slab->bytes, memory_order_relaxed);
    slab_free(slab);
}

/* Rows of a last chunk beyond n_rows may exist; they stay EMPTY. */
static _Atomic uint32_t *row_to_write(struct qr_head *head, struct qr_head_slab *slab, uint32_t row)
{
    uint32_t i = row / QR_SLAB_CHUNK_ROWS;
    _Atomic uint32_t *chunk = atomic_load_explicit(&slab->chunks[i], memory_order_relaxed);
    if (QR_UNLIKELY(chunk == NULL)) {
        uint32_t n_rows = slab->n_rows < QR_SLAB_CHUNK_ROWS ? slab->n_rows : QR_SLAB_CHUNK_ROWS;
        size_t n = (size_t)n_rows * slab->n_cols;
        chunk = malloc(n * sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        for (size_t c = 0; c < n; c++)
            atomic_init(&chunk[c], QR_VALUE_EMPTY);
        slab->bytes += n * sizeof *chunk;
        atomic_fetch_add_explicit(&head->bytes, n * sizeof *chunk, memory_order_relaxed);
        atomic_store_explicit(&slab->chunks[i], chunk, memory_order_release);
    }
    return chunk + (size_t)(row % QR_SLAB_CHUNK_ROWS) * slab->n_cols;
}

const _Atomic uint32_t *qr_head_row(const struct qr_head_slab *slab, uint32_t row)
{
    const _Atomic uint32_t *chunk =
        atomic_load_explicit(&slab->chunks[row / QR_SLAB_CHUNK_ROWS], memory_order_acquire);
    return chunk != NULL ? chunk + (size_t)(row % QR_SLAB_CHUNK_ROWS) * slab->n_cols : NULL;
}

int qr_head_copy(const struct qr_head_slab *slab, uint32_t first, uint32_t n, struct qr_grid *grid)
{
    int err = qr_grid_reset(grid, slab->first_s + (int64_t)first * slab->step_s, slab->step_s, n,
                            slab->n_cols);
    if (err != 0)
        return err;
    for (uint32_t i = 0; i < n; i++) {
        const _Atomic uint32_t *cells = qr_head_row(slab, first + i);
        uint32_t *out = grid->values + i;
        for (uint32_t c = 0; cells != NULL && c < slab->n_cols; c++, out += n)
            *out = atomic_load_explicit(&cells[c], memory_order_relaxed);
    }
    return 0;
}

struct qr_head_slab *qr_head_first(const struct qr_chart_head *chart)
{
    return atomic_load(&chart->slabs);
}

struct qr_head_slab *qr_head_next(const struct qr_head_slab *slab)
{
    return atomic_load(&slab->next);
}

static struct qr_head_slab *find_open(const struct qr_chart_head *chart, int64_t window_start_s)
{
    struct qr_head_slab *slab = qr_head_first(chart);
    while (slab != NULL && (slab->frozen || slab->window_start_s != window_start_s))
        slab = qr_head_next(slab);
    return slab;
}

static struct qr_head_slab *open_slab(struct qr_head *head, struct qr_chart *chart,
                                      const struct grid *grid)
{
    struct qr_head_slab *slab = slab_new(head, chart, grid);
    if (slab == NULL)
        return NULL;
    struct qr_head_window *window = window_get(head, grid->window_start_s);
    if (window == NULL || window_add(window, slab) != 0) {
        slab_drop(head, slab);
        return NULL;
    }
    atomic_init(&slab->next, qr_head_first(chart->head));
    atomic_store(&chart->head->slabs, slab);
    return slab;
}

static int copy_rows(struct qr_head *head, struct qr_head_slab *to, const struct qr_head_slab *from)
{
    for (uint32_t row = 0; row < from->n_rows; row++) {
        const _Atomic uint32_t *cells = qr_head_row(from, row);
        if (cells == NULL)
            continue;
        int64_t end_s = from->first_s + (int64_t)row * from->step_s;
        _Atomic uint32_t *copy =
            row_to_write(head, to, (uint32_t)(end_s - to->first_s) / to->step_s);
        if (copy == NULL)
            return UV_ENOMEM;
        for (uint32_t c = 0; c < from->n_cols; c++)
            atomic_store_explicit(&copy[c], atomic_load_explicit(&cells[c], memory_order_relaxed),
                                  memory_order_relaxed);
    }
    return 0;
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

/* The same rows on a grid that has a place for end_s, and n_cols. */
static struct qr_head_slab *widen_slab(struct qr_head *head, struct qr_head_slab *slab,
                                       int64_t end_s, uint32_t n_cols)
{
    uint32_t off = (uint32_t)llabs(end_s - slab->first_s);
    struct grid grid =
        grid_of(head, end_s, gcd(slab->step_s, off), n_cols > slab->n_cols ? n_cols : slab->n_cols);
    struct qr_head_slab *wide = slab_new(head, slab->chart, &grid);
    if (wide == NULL)
        return NULL;
    if (copy_rows(head, wide, slab) != 0) {
        slab_drop(head, wide);
        return NULL;
    }
    wide->at = slab->at;
    struct qr_head_window *window = &head->windows[window_at(head, slab->window_start_s)];
    assert(window->slabs[slab->at] == slab);
    window->slabs[slab->at] = wide;
    atomic_init(&wide->next, qr_head_next(slab));
    atomic_store(link_to(slab->chart->head, slab), wide);
    retire(head, slab);
    return wide;
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
    struct qr_head_slab *slab = chart->head->last;
    uint64_t in_window = slab != NULL ? (uint64_t)(end_s - slab->window_start_s) : 0;
    if (slab == NULL || slab->frozen || in_window >= head->window_s)
        slab = find_open(chart->head, qr_head_window_of(head, end_s));
    if (slab == NULL) {
        struct grid grid = grid_of(head, end_s, step_s, n_cols);
        slab = open_slab(head, chart, &grid);
    } else if (!has_place(slab, end_s, n)) {
        slab = widen_slab(head, slab, end_s, n_cols);
    }
    if (slab != NULL)
        chart->head->last = slab;
    return slab;
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
    struct qr_head_slab *slab = slab_for(head, chart, step_s, n_cols, end_s, n);
    if (slab == NULL)
        return UV_ENOMEM;
    uint32_t off = (uint32_t)(end_s - slab->first_s);
    _Atomic uint32_t *cells =
        row_to_write(head, slab, slab->step_s == 1 ? off : off / slab->step_s);
    if (cells == NULL)
        return UV_ENOMEM;
    uint32_t taken = 0, old = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (qr_value_is_empty(values[i]))
            continue;
        if (qr_value_is_empty(atomic_load_explicit(&cells[i], memory_order_relaxed))) {
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
