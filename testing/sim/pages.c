#include "testing/sim/pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_A_CHUNK     64u
#define SECTORS_A_PAGE    (QR_SIM_PAGE_BYTES / QR_SIM_SECTOR_BYTES)
#define ALL_SECTORS       0xffu
#define NEVER_GOT_SMALLER UINT64_MAX

struct page {
    uint8_t *now;    /* What a reader sees; NULL: zeros. */
    uint8_t *then;   /* What is durable, if that is different; NULL: zeros. */
    uint8_t sectors; /* Which differ. */
    bool lost;       /* Nobody will write it: a sync of it has failed. */
};

struct qr_sim_chunk {
    struct page pages[PAGES_A_CHUNK];
};

static void *must(void *memory)
{
    assert(memory != NULL);
    return memory;
}

void qr_sim_pages_init(struct qr_sim_pages *pages)
{
    *pages = (struct qr_sim_pages){.shrunk_to = NEVER_GOT_SMALLER};
}

void qr_sim_pages_release(struct qr_sim_pages *pages)
{
    for (size_t c = 0; c < pages->n_chunks; c++) {
        for (size_t i = 0; pages->chunks[c] != NULL && i < PAGES_A_CHUNK; i++) {
            free(pages->chunks[c]->pages[i].now);
            free(pages->chunks[c]->pages[i].then);
        }
        free(pages->chunks[c]);
    }
    free(pages->chunks);
    free(pages->changed);
    qr_sim_pages_init(pages);
}

static struct page *find(const struct qr_sim_pages *pages, uint64_t index)
{
    uint64_t c = index / PAGES_A_CHUNK;
    if (c >= pages->n_chunks || pages->chunks[c] == NULL)
        return NULL;
    return &pages->chunks[c]->pages[index % PAGES_A_CHUNK];
}

static struct page *get(struct qr_sim_pages *pages, uint64_t index)
{
    size_t c = (size_t)(index / PAGES_A_CHUNK);
    if (c >= pages->n_chunks) {
        size_t n = c + 1 > 2 * pages->n_chunks ? c + 1 : 2 * pages->n_chunks;
        pages->chunks = must(realloc(pages->chunks, n * sizeof(struct qr_sim_chunk *)));
        memset(pages->chunks + pages->n_chunks, 0,
               (n - pages->n_chunks) * sizeof(struct qr_sim_chunk *));
        pages->n_chunks = n;
    }
    if (pages->chunks[c] == NULL)
        pages->chunks[c] = must(calloc(1, sizeof(struct qr_sim_chunk)));
    return &pages->chunks[c]->pages[index % PAGES_A_CHUNK];
}

/* Before these sectors of a page change. */
static void keep_durable(struct qr_sim_pages *pages, struct page *page, uint64_t index,
                         uint8_t sectors)
{
    page->lost = false;
    if (page->sectors == 0) {
        assert(page->then == NULL);
        if (page->now != NULL) {
            page->then = must(malloc(QR_SIM_PAGE_BYTES));
            memcpy(page->then, page->now, QR_SIM_PAGE_BYTES);
        }
        if (pages->n_changed == pages->changed_capacity) {
            pages->changed_capacity = pages->changed_capacity == 0 ? 16 : 2 * pages->n_changed;
            pages->changed =
                must(realloc(pages->changed, pages->changed_capacity * sizeof *pages->changed));
        }
        pages->changed[pages->n_changed++] = index;
    }
    page->sectors |= sectors;
}

static void drop_now(struct qr_sim_pages *pages, struct page *page, uint64_t index)
{
    if (page->now != NULL && index >= pages->reserved_pages)
        pages->beyond--;
    free(page->now);
    page->now = NULL;
}

static void need_now(struct qr_sim_pages *pages, struct page *page, uint64_t index)
{
    if (page->now != NULL)
        return;
    page->now = must(calloc(1, QR_SIM_PAGE_BYTES));
    if (index >= pages->reserved_pages)
        pages->beyond++;
}

static uint8_t sectors_of(size_t from, size_t to)
{
    unsigned mask = 0;
    for (size_t s = from / QR_SIM_SECTOR_BYTES; s * QR_SIM_SECTOR_BYTES < to; s++)
        mask |= 1u << s;
    return (uint8_t)mask;
}

/* The part of a page that [offset, end) covers. */
struct part {
    uint64_t index;
    size_t from, to;
};

static struct part part_at(uint64_t offset, uint64_t end)
{
    struct part part = {.index = offset / QR_SIM_PAGE_BYTES, .from = offset % QR_SIM_PAGE_BYTES};
    uint64_t left = end - offset, room = QR_SIM_PAGE_BYTES - part.from;
    part.to = part.from + (size_t)(left < room ? left : room);
    return part;
}

size_t qr_sim_pages_read(const struct qr_sim_pages *pages, uint64_t offset, void *bytes, size_t len)
{
    if (offset >= pages->size)
        return 0;
    if (len > pages->size - offset)
        len = (size_t)(pages->size - offset);
    uint8_t *out = bytes;
    for (uint64_t at = offset, end = offset + len; at < end;) {
        struct part part = part_at(at, end);
        const struct page *page = find(pages, part.index);
        size_t n = part.to - part.from;
        if (page != NULL && page->now != NULL)
            memcpy(out, page->now + part.from, n);
        else
            memset(out, 0, n);
        out += n;
        at += n;
    }
    return len;
}

void qr_sim_pages_write(struct qr_sim_pages *pages, uint64_t offset, const void *bytes, size_t len)
{
    const uint8_t *in = bytes;
    for (uint64_t at = offset, end = offset + len; at < end;) {
        struct part part = part_at(at, end);
        struct page *page = get(pages, part.index);
        size_t n = part.to - part.from;
        keep_durable(pages, page, part.index, sectors_of(part.from, part.to));
        need_now(pages, page, part.index);
        memcpy(page->now + part.from, in, n);
        in += n;
        at += n;
    }
    if (len > 0 && offset + len > pages->size)
        pages->size = offset + len;
}

/* Nothing is to be seen from `size` on; what was durable there is kept. */
static void clear_from(struct qr_sim_pages *pages, uint64_t size)
{
    uint64_t first = size / QR_SIM_PAGE_BYTES;
    for (size_t c = (size_t)(first / PAGES_A_CHUNK); c < pages->n_chunks; c++)
        for (size_t i = 0; pages->chunks[c] != NULL && i < PAGES_A_CHUNK; i++) {
            struct page *page = &pages->chunks[c]->pages[i];
            uint64_t index = (uint64_t)c * PAGES_A_CHUNK + i;
            if (page->now == NULL || index < first)
                continue;
            size_t from = index == first ? size % QR_SIM_PAGE_BYTES : 0;
            keep_durable(pages, page, index, sectors_of(from, QR_SIM_PAGE_BYTES));
            if (from == 0)
                drop_now(pages, page, index);
            else
                memset(page->now + from, 0, QR_SIM_PAGE_BYTES - from);
        }
}

void qr_sim_pages_resize(struct qr_sim_pages *pages, uint64_t size)
{
    if (size < pages->size) {
        clear_from(pages, size);
        if (size < pages->shrunk_to)
            pages->shrunk_to = size;
        uint64_t kept = (size + QR_SIM_PAGE_BYTES - 1) / QR_SIM_PAGE_BYTES;
        if (kept < pages->reserved_pages) {
            for (uint64_t i = kept; i < pages->reserved_pages; i++)
                assert(find(pages, i) == NULL || find(pages, i)->now == NULL);
            pages->reserved_pages = kept;
        }
    }
    pages->size = size;
}

void qr_sim_pages_reserve(struct qr_sim_pages *pages, uint64_t bytes)
{
    uint64_t n = (bytes + QR_SIM_PAGE_BYTES - 1) / QR_SIM_PAGE_BYTES;
    for (uint64_t i = pages->reserved_pages; pages->beyond > 0 && i < n; i++) {
        const struct page *page = find(pages, i);
        if (page != NULL && page->now != NULL)
            pages->beyond--;
    }
    if (n > pages->reserved_pages)
        pages->reserved_pages = n;
}

uint64_t qr_sim_pages_used(const struct qr_sim_pages *pages)
{
    return (pages->reserved_pages + pages->beyond) * QR_SIM_PAGE_BYTES;
}

uint64_t qr_sim_pages_needed(const struct qr_sim_pages *pages, uint64_t offset, size_t len)
{
    uint64_t needed = 0, end = offset + len;
    uint64_t first = offset / QR_SIM_PAGE_BYTES;
    if (first < pages->reserved_pages)
        first = pages->reserved_pages;
    for (uint64_t i = first; i * QR_SIM_PAGE_BYTES < end; i++) {
        const struct page *page = find(pages, i);
        if (page == NULL || page->now == NULL)
            needed += QR_SIM_PAGE_BYTES;
    }
    return needed;
}

void qr_sim_pages_sync(struct qr_sim_pages *pages)
{
    size_t kept = 0;
    for (size_t i = 0; i < pages->n_changed; i++) {
        struct page *page = find(pages, pages->changed[i]);
        if (page->lost) {
            pages->changed[kept++] = pages->changed[i];
            continue;
        }
        free(page->then);
        page->then = NULL;
        page->sectors = 0;
    }
    pages->n_changed = kept;
    pages->durable_size = pages->size;
    pages->shrunk_to = NEVER_GOT_SMALLER;
}

void qr_sim_pages_fail_sync(struct qr_sim_pages *pages)
{
    for (size_t i = 0; i < pages->n_changed; i++)
        find(pages, pages->changed[i])->lost = true;
}

/* ---- the power cut ---- */

enum luck { NONE, SOME, ALL };

/* A cut that spares all or nothing finds what coin tosses for each sector would rarely. */
static enum luck draw_luck(struct qr_rng *rng)
{
    uint64_t n = qr_rng_below(rng, 4);
    return n == 0 ? NONE : n == 1 ? ALL : SOME;
}

static bool survives(struct qr_rng *rng, enum luck luck)
{
    return luck == ALL || (luck == SOME && qr_rng_below(rng, 2) == 0);
}

static uint64_t draw_size(const struct qr_sim_pages *pages, struct qr_rng *rng)
{
    uint64_t low = pages->durable_size, high = pages->size;
    /* What was allotted ahead is one change of the file system's; what grew by writes is many. */
    bool allotted = high <= pages->reserved_pages * QR_SIM_PAGE_BYTES;
    uint64_t n = qr_rng_below(rng, allotted ? 2 : 3);
    if (n == 0 || high <= low)
        return high <= low ? high : low;
    if (n == 1)
        return high;
    uint64_t sectors = (high - low) / QR_SIM_SECTOR_BYTES;
    uint64_t size =
        (low / QR_SIM_SECTOR_BYTES + 1 + qr_rng_below(rng, sectors + 1)) * QR_SIM_SECTOR_BYTES;
    return size < high ? size : high;
}

/* Sector `s` of a page is as it was durably. */
static void restore(struct page *page, unsigned s)
{
    uint8_t *to = page->now + (size_t)s * QR_SIM_SECTOR_BYTES;
    if (page->then == NULL)
        memset(to, 0, QR_SIM_SECTOR_BYTES);
    else
        memcpy(to, page->then + (size_t)s * QR_SIM_SECTOR_BYTES, QR_SIM_SECTOR_BYTES);
}

static void all_as_before(struct qr_sim_pages *pages)
{
    for (size_t i = 0; i < pages->n_changed; i++) {
        struct page *page = find(pages, pages->changed[i]);
        drop_now(pages, page, pages->changed[i]);
        page->now = page->then;
        if (page->now != NULL && pages->changed[i] >= pages->reserved_pages)
            pages->beyond++;
        *page = (struct page){.now = page->now};
    }
    pages->n_changed = 0;
    pages->size = pages->durable_size;
}

void qr_sim_pages_commit_size(struct qr_sim_pages *pages, uint64_t size)
{
    if (size >= pages->durable_size) {
        pages->durable_size = size;
        return;
    }
    for (size_t i = 0; i < pages->n_changed; i++) {
        struct page *page = find(pages, pages->changed[i]);
        uint64_t start = pages->changed[i] * QR_SIM_PAGE_BYTES;
        if (page->then == NULL || start + QR_SIM_PAGE_BYTES <= size)
            continue;
        size_t kept = start < size ? (size_t)(size - start) : 0;
        memset(page->then + kept, 0, QR_SIM_PAGE_BYTES - kept);
    }
    pages->durable_size = size;
    if (pages->shrunk_to >= size)
        pages->shrunk_to = NEVER_GOT_SMALLER;
}

/* Each sector of a page that differs: the new one or the old one. */
static void cut_page(struct qr_sim_pages *pages, uint64_t index, uint64_t size, enum luck luck,
                     struct qr_rng *rng)
{
    uint64_t start = index * QR_SIM_PAGE_BYTES;
    struct page *page = find(pages, index);
    need_now(pages, page, index);
    for (unsigned s = 0; s < SECTORS_A_PAGE; s++, start += QR_SIM_SECTOR_BYTES) {
        if ((page->sectors & 1u << s) == 0)
            continue;
        bool grew = start + QR_SIM_SECTOR_BYTES > pages->durable_size && start < size;
        bool kept = grew || survives(rng, luck);
        if (!kept || page->lost)
            restore(page, s);
    }
    free(page->then);
    *page = (struct page){.now = page->now};
}

/* What is beyond `size` is gone, durably. */
static void end_at(struct qr_sim_pages *pages, uint64_t size)
{
    pages->size = size;
    clear_from(pages, size);
    uint64_t n = (size + QR_SIM_PAGE_BYTES - 1) / QR_SIM_PAGE_BYTES;
    if (pages->reserved_pages > n)
        pages->reserved_pages = n;
    pages->beyond = 0;
    for (uint64_t i = pages->reserved_pages; i < n; i++) {
        const struct page *page = find(pages, i);
        pages->beyond += page != NULL && page->now != NULL;
    }
    qr_sim_pages_sync(pages);
}

void qr_sim_pages_cut(struct qr_sim_pages *pages, struct qr_rng *rng)
{
    if (pages->shrunk_to != NEVER_GOT_SMALLER) {
        all_as_before(pages);
        end_at(pages, pages->durable_size);
        return;
    }
    uint64_t size = draw_size(pages, rng);
    enum luck luck = draw_luck(rng);
    for (size_t i = 0; i < pages->n_changed; i++)
        cut_page(pages, pages->changed[i], size, luck, rng);
    pages->n_changed = 0;
    end_at(pages, size);
}

void qr_sim_pages_flip(struct qr_sim_pages *pages, uint64_t offset, unsigned bit)
{
    assert(offset < pages->size);
    uint64_t index = offset / QR_SIM_PAGE_BYTES;
    struct page *page = get(pages, index);
    uint8_t mask = (uint8_t)(1u << bit);
    need_now(pages, page, index);
    page->now[offset % QR_SIM_PAGE_BYTES] ^= mask;
    if (page->then != NULL)
        page->then[offset % QR_SIM_PAGE_BYTES] ^= mask;
}
