#include "proto/history.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <uv.h>
#include <zstd.h>

#include "base/buf.h"

#define SPANS      (QR_LZ4_WINDOW_BYTES / QR_HISTORY_SPAN_BYTES)
#define ZSTD_LEVEL 1

struct window {
    size_t end;
    char text[QR_HISTORY_WINDOW_BYTES];
};

struct qr_history_pool {
    unsigned n_open, n_open_max;
    struct window *spare; /* Of the history that was folded last. */
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    char packed[ZSTD_COMPRESSBOUND(QR_HISTORY_SPAN_BYTES)];
};

struct span {
    char *bytes; /* NULL: there is none. */
    size_t n;
};

struct qr_history {
    struct qr_history_pool *pool;
    uint64_t n_text;          /* Bytes of the connection's text so far. */
    struct window *window;    /* NULL: folded. */
    struct span spans[SPANS]; /* Span i of the connection at i % SPANS ... */
    uint64_t n_packed;        /* ... those before this one, as far as the window reaches. */
    struct qr_buf growing;    /* Text behind the packed spans, as of the last folding. */
};

/* Mapped, so that a folded one is the kernel's at once: malloc would keep it, and thousands are
 * folded when children fall silent. */
static struct window *map_window(void)
{
    void *w = mmap(NULL, sizeof(struct window), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    return w != MAP_FAILED ? w : NULL;
}

static void unmap_window(struct window *w)
{
    if (w != NULL)
        munmap(w, sizeof *w);
}

int qr_history_pool_new(struct qr_history_pool **pool, unsigned n_open)
{
    struct qr_history_pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return UV_ENOMEM;
    p->n_open_max = n_open;
    p->packer = ZSTD_createCCtx();
    p->unpacker = ZSTD_createDCtx();
    if (p->packer == NULL || p->unpacker == NULL) {
        qr_history_pool_free(p);
        return UV_ENOMEM;
    }
    *pool = p;
    return 0;
}

void qr_history_pool_free(struct qr_history_pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->n_open == 0);
    ZSTD_freeCCtx(pool->packer);
    ZSTD_freeDCtx(pool->unpacker);
    unmap_window(pool->spare);
    free(pool);
}

unsigned qr_history_pool_n_open(const struct qr_history_pool *pool)
{
    return pool->n_open;
}

int qr_history_new(struct qr_history **history, struct qr_history_pool *pool)
{
    struct qr_history *h = calloc(1, sizeof *h);
    if (h == NULL)
        return UV_ENOMEM;
    h->pool = pool;
    *history = h;
    return 0;
}

static void drop_window(struct qr_history *h)
{
    if (h->window == NULL)
        return;
    if (h->pool != NULL && h->pool->spare == NULL)
        h->pool->spare = h->window;
    else
        unmap_window(h->window);
    h->window = NULL;
    if (h->pool != NULL)
        h->pool->n_open--;
}

void qr_history_free(struct qr_history *h)
{
    if (h == NULL)
        return;
    drop_window(h);
    for (size_t i = 0; i < SPANS; i++)
        free(h->spans[i].bytes);
    qr_buf_release(&h->growing);
    free(h);
}

/* ---- opening ---- */

/* Where the text that is kept begins: at a span, QR_LZ4_WINDOW_BYTES before the end or earlier. */
static uint64_t kept_from(uint64_t n_text)
{
    uint64_t n_spans = n_text / QR_HISTORY_SPAN_BYTES;
    return n_spans > SPANS ? (n_spans - SPANS) * QR_HISTORY_SPAN_BYTES : 0;
}

static void unpack(struct qr_history *h, struct window *w)
{
    w->end = 0;
    for (uint64_t at = kept_from(h->n_text) / QR_HISTORY_SPAN_BYTES; at < h->n_packed; at++) {
        const struct span *span = &h->spans[at % SPANS];
        size_t n = ZSTD_decompressDCtx(h->pool->unpacker, w->text + w->end, QR_HISTORY_SPAN_BYTES,
                                       span->bytes, span->n);
        assert(n == QR_HISTORY_SPAN_BYTES); /* we packed it ourselves */
        w->end += n;
    }
    if (h->growing.len > 0)
        memcpy(w->text + w->end, h->growing.base, h->growing.len);
    w->end += h->growing.len;
}

static int open_window(struct qr_history *h)
{
    struct window *w = h->pool != NULL ? h->pool->spare : NULL;
    if (w == NULL)
        w = map_window();
    else
        h->pool->spare = NULL;
    if (w == NULL)
        return UV_ENOMEM;
    w->end = 0;
    if (h->pool != NULL) {
        unpack(h, w);
        h->pool->n_open++;
    }
    h->window = w;
    return 0;
}

/* Text that nothing can refer to any more makes room. */
static void make_room(struct qr_history *h)
{
    struct window *w = h->window;
    if (sizeof w->text - w->end >= QR_FRAME_PLAIN_BYTES_MAX)
        return;
    size_t n_kept = (size_t)(h->n_text - kept_from(h->n_text));
    assert(n_kept >= QR_LZ4_WINDOW_BYTES && n_kept <= w->end);
    memmove(w->text, w->text + w->end - n_kept, n_kept);
    w->end = n_kept;
}

int qr_history_open(struct qr_history *h, char **text, size_t *n_past)
{
    if (h->window == NULL) {
        int err = open_window(h);
        if (err != 0)
            return err;
    }
    make_room(h);
    *text = h->window->text + h->window->end;
    *n_past = h->window->end;
    return 0;
}

void qr_history_add(struct qr_history *h, size_t n)
{
    assert(n <= QR_FRAME_PLAIN_BYTES_MAX);
    h->window->end += n;
    h->n_text += n;
}

bool qr_history_is_open(const struct qr_history *h)
{
    return h->window != NULL;
}

/* ---- folding ---- */

static bool pack_span(struct qr_history *h, uint64_t at)
{
    struct qr_history_pool *pool = h->pool;
    const struct window *w = h->window;
    struct span *span = &h->spans[at % SPANS];
    const char *text = w->text + w->end - (size_t)(h->n_text - at * QR_HISTORY_SPAN_BYTES);
    size_t n = ZSTD_compressCCtx(pool->packer, pool->packed, sizeof pool->packed, text,
                                 QR_HISTORY_SPAN_BYTES, ZSTD_LEVEL);
    char *bytes = ZSTD_isError(n) ? NULL : malloc(n);
    if (bytes == NULL)
        return false;
    memcpy(bytes, pool->packed, n);
    free(span->bytes);
    *span = (struct span){bytes, n};
    return true;
}

void qr_history_fold(struct qr_history *h)
{
    if (h->window == NULL || h->pool == NULL)
        return;
    uint64_t n_spans = h->n_text / QR_HISTORY_SPAN_BYTES;
    uint64_t first = n_spans > SPANS ? n_spans - SPANS : 0;
    if (h->n_packed < n_spans)
        qr_buf_release(&h->growing);
    for (uint64_t at = h->n_packed > first ? h->n_packed : first; at < n_spans; at++) {
        if (!pack_span(h, at))
            return;
        h->n_packed = at + 1;
    }
    size_t n_growing = (size_t)(h->n_text % QR_HISTORY_SPAN_BYTES);
    size_t n_new = n_growing - h->growing.len;
    if (qr_buf_add(&h->growing, h->window->text + h->window->end - n_new, n_new) != 0)
        return;
    qr_buf_trim(&h->growing);
    drop_window(h);
}

void qr_history_rest(struct qr_history *h)
{
    if (h->pool != NULL && h->pool->n_open > h->pool->n_open_max)
        qr_history_fold(h);
}
