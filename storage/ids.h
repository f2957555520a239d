/* storage/ids.h — from small integers that the log hands out to what they name.
 *
 * Ids only grow and are never reused, so an array of them would grow for ever: this is a tree of
 * four levels whose empty parts are given back.
 *
 *   id = 8 bits | 9 bits | 9 bits | 6 bits        a leaf is 64 neighbours, 520 bytes
 *
 * Nothing is ever moved: adding and removing cost the same however many there are.  One writer,
 * readers without locks between enter and leave of the epoch.  Thread: set, remove and release the
 * writer's, the rest any. */
#ifndef QR_STORAGE_IDS_H
#define QR_STORAGE_IDS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/epoch.h"

struct qr_ids_node;

struct qr_ids {
    struct qr_epoch *epoch;
    _Atomic(struct qr_ids_node *) root;
    _Atomic uint32_t n;
};

void qr_ids_init(struct qr_ids *ids, struct qr_epoch *epoch);
/* No reader inside.  The items are the caller's. */
void qr_ids_release(struct qr_ids *ids);

/* `id` is not 0 and has no item; the item is not NULL.  0 or UV_ENOMEM. */
int qr_ids_set(struct qr_ids *ids, uint32_t id, void *item);
void qr_ids_remove(struct qr_ids *ids, uint32_t id);

/* NULL: none. */
void *qr_ids_get(const struct qr_ids *ids, uint32_t id);

/* The item with the smallest id above *id, which it moves there; NULL: no more.  Start with 0. */
void *qr_ids_next(const struct qr_ids *ids, uint32_t *id);

uint32_t qr_ids_count(const struct qr_ids *ids);

#endif
