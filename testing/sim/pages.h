/* testing/sim/pages.h — the bytes of a false file, and what of them would survive a power cut.
 *
 * Sparse pages of 4 KiB in 8 sectors.  A page that was written since the last sync keeps what was
 * durable beside what a reader sees, and which sectors differ; a sync drops that, a power cut
 * chooses from both sector by sector.  Sizes likewise: what a reader sees, and the durable one. */
#ifndef QR_TESTING_SIM_PAGES_H
#define QR_TESTING_SIM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

#define QR_SIM_SECTOR_BYTES 512u
#define QR_SIM_PAGE_BYTES   4096u

struct qr_sim_chunk;

struct qr_sim_pages {
    struct qr_sim_chunk **chunks;
    size_t n_chunks;
    uint64_t size, durable_size;
    uint64_t shrunk_to;      /* Least size since the last sync; UINT64_MAX: never got smaller. */
    uint64_t reserved_pages; /* Allotted ahead, from the start of the file. */
    uint64_t beyond;         /* Pages with bytes after those. */
    uint64_t *changed;       /* Pages that differ from what is durable. */
    size_t n_changed, changed_capacity;
};

void qr_sim_pages_init(struct qr_sim_pages *pages);
void qr_sim_pages_release(struct qr_sim_pages *pages);

/* Returns how many bytes there were. */
size_t qr_sim_pages_read(const struct qr_sim_pages *pages, uint64_t offset, void *bytes,
                         size_t len);
void qr_sim_pages_write(struct qr_sim_pages *pages, uint64_t offset, const void *bytes, size_t len);
void qr_sim_pages_resize(struct qr_sim_pages *pages, uint64_t size);
void qr_sim_pages_reserve(struct qr_sim_pages *pages, uint64_t bytes);

/* On the disk: what the file occupies, and what more it would with this write. */
uint64_t qr_sim_pages_used(const struct qr_sim_pages *pages);
uint64_t qr_sim_pages_needed(const struct qr_sim_pages *pages, uint64_t offset, size_t len);

/* All is durable but what a failed sync has lost. */
void qr_sim_pages_sync(struct qr_sim_pages *pages);
/* As Linux does it: what was to be written is lost, a later sync that succeeds does not write it
 * either. */
void qr_sim_pages_fail_sync(struct qr_sim_pages *pages);
/* A truncation, or room that was allotted, is durable though the bytes may not be. */
void qr_sim_pages_commit_size(struct qr_sim_pages *pages, uint64_t size);
/* A power cut.  A truncation that is not committed is undone, and so is what was written after it.
 * A size that grew by writing survives with the bytes below it, as on ext4, xfs and btrfs. */
void qr_sim_pages_cut(struct qr_sim_pages *pages, struct qr_rng *rng);

/* Flips a bit of a byte that is there; it is durably so. */
void qr_sim_pages_flip(struct qr_sim_pages *pages, uint64_t offset, unsigned bit);

#endif
