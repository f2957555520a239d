/* storage/block_examine.h — looks a block file through and says in sentences what is wrong with it.
 *
 * Everything is looked at: header, footer, each part of the index, the order in it, each page's
 * checksum, each chunk decoded, the counts, the hash of the whole.  For people; who only wants to
 * know whether the file is the group's asks qr_block_verify.  Thread: any; it blocks. */
#ifndef QR_STORAGE_BLOCK_EXAMINE_H
#define QR_STORAGE_BLOCK_EXAMINE_H

#include "storage/block.h"
#include "storage/rollup.h"
#include "storage/tier_chunk.h"

struct qr_block_exam {
    /* Something is wrong with bytes from .. to - 1. */
    void (*found)(void *data, uint64_t from, uint64_t to, const char *sentence);
    void (*progress)(void *data, uint64_t done, uint64_t bytes); /* NULL: nobody asks. */
    void *data;
};

/* 0; QR_E_CORRUPT: something was found; QR_E_VERSION: so was a format version that is not known;
 * UV_ENOMEM or an error of the disk. */
int qr_block_examine(struct qr_disk *disk, const char *path, const struct qr_block_exam *exam);

/* What it takes to decode chunks of any tier.  A zeroed one is valid. */
struct qr_block_decoder {
    struct qr_grid grid;     /* Tier 0 */
    struct qr_points points; /* and the others. */
    struct qr_tier_codec codec;
};

void qr_block_decoder_release(struct qr_block_decoder *decoder);

/* A chunk's values, or points, of sub-window `sub`.  0, QR_E_MALFORMED or UV_ENOMEM. */
int qr_block_decode(struct qr_block_decoder *decoder, const struct qr_block_head *head,
                    uint32_t sub, struct qr_slice bytes);

#endif
