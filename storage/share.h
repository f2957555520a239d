/* storage/share.h — pieces of a file that were written before, found by their bytes' hash.
 *
 * Remembers where each piece is, the newest place of equal ones; who asks compares the bytes.
 * Cleared at once, and of bounded size: beyond that, new pieces are not remembered.  What is found
 * depends on the pieces and their order only.  Thread: the owner's. */
#ifndef QR_STORAGE_SHARE_H
#define QR_STORAGE_SHARE_H

#include <stddef.h>
#include <stdint.h>

#define QR_SHARE_PIECES_MAX (64u * 1024)

struct qr_share_piece {
    uint64_t hash;
    uint64_t at;
    uint32_t len;
    uint32_t round; /* Of clearing; another than the table's: the place is free. */
};

/* A zeroed one is valid. */
struct qr_share {
    struct qr_share_piece *pieces; /* Open addressing. */
    uint32_t capacity;             /* A power of two. */
    uint32_t n;
    uint32_t round;
};

void qr_share_release(struct qr_share *share);
void qr_share_clear(struct qr_share *share);
/* NULL: there was none of that hash and length.  Valid until the next put. */
struct qr_share_piece *qr_share_find(const struct qr_share *share, uint64_t hash, uint32_t len);
/* Remembers it, in place of an equal one.  0 or UV_ENOMEM. */
int qr_share_put(struct qr_share *share, uint64_t hash, uint32_t len, uint64_t at);

#endif
