#include "storage/share.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define CAPACITY_MIN 256u

void qr_share_release(struct qr_share *share)
{
    free(share->pieces);
    *share = (struct qr_share){0};
}

void qr_share_clear(struct qr_share *share)
{
    share->n = 0;
    if (++share->round != 0)
        return;
    if (share->pieces != NULL) /* Once in 2^32: what is older looks new again. */
        memset(share->pieces, 0, share->capacity * sizeof *share->pieces);
    share->round = 1;
}

/* Its place, or the free one where it belongs; there is always a free one. */
static struct qr_share_piece *place_of(const struct qr_share *share, uint64_t hash, uint32_t len)
{
    uint32_t mask = share->capacity - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct qr_share_piece *piece = &share->pieces[i];
        if (piece->round != share->round || (piece->hash == hash && piece->len == len))
            return piece;
    }
}

struct qr_share_piece *qr_share_find(const struct qr_share *share, uint64_t hash, uint32_t len)
{
    if (share->n == 0)
        return NULL;
    struct qr_share_piece *piece = place_of(share, hash, len);
    return piece->round == share->round ? piece : NULL;
}

/* Free places are of another round than the table's: that is never 0 then. */
static int grow(struct qr_share *share)
{
    uint32_t capacity = share->capacity != 0 ? share->capacity * 2 : CAPACITY_MIN;
    struct qr_share old = *share;
    struct qr_share_piece *pieces = calloc(capacity, sizeof *pieces);
    if (pieces == NULL)
        return UV_ENOMEM;
    share->pieces = pieces;
    share->capacity = capacity;
    if (share->round == 0)
        share->round = 1;
    for (uint32_t i = 0; i < old.capacity; i++) {
        const struct qr_share_piece *piece = &old.pieces[i];
        if (piece->round == old.round)
            *place_of(share, piece->hash, piece->len) = *piece;
    }
    free(old.pieces);
    return 0;
}

int qr_share_put(struct qr_share *share, uint64_t hash, uint32_t len, uint64_t at)
{
    if ((share->n + 1) * 2 > share->capacity && share->n < QR_SHARE_PIECES_MAX) {
        int err = grow(share);
        if (err != 0)
            return err;
    }
    struct qr_share_piece *piece = place_of(share, hash, len);
    if (piece->round != share->round) {
        if (share->n == QR_SHARE_PIECES_MAX)
            return 0;
        share->n++;
    }
    *piece = (struct qr_share_piece){hash, at, len, share->round};
    return 0;
}
