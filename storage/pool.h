/* storage/pool.h — texts and definitions of charts that many hosts share, kept once.
 *
 * Ten thousand hosts have the same few thousand charts: a definition that is equal in every byte
 * to a known one becomes one more user of that; one that is new has the texts it shares with others
 * (units, titles, contexts, labels) once.  Equal definitions of a pool are the same pointer, and so
 * are equal texts.
 *
 * What nobody uses any more is freed when no reader can see it.  Thread: the writer's; what the
 * functions return may be read by any between enter and leave of the epoch. */
#ifndef QR_STORAGE_POOL_H
#define QR_STORAGE_POOL_H

#include <stdint.h>

#include "base/epoch.h"
#include "storage/definition.h"

struct qr_pool;

int qr_pool_new(struct qr_pool **pool, struct qr_epoch *epoch);
/* With all that it holds: no reader inside, nothing of it still retired. */
void qr_pool_free(struct qr_pool *pool);
void qr_pool_set_epoch(struct qr_pool *pool, struct qr_epoch *epoch);

/* A text of the pool, with one more user; NULL: no memory.  Given back by qr_pool_drop_text. */
const char *qr_pool_text(struct qr_pool *pool, const char *text);
void qr_pool_drop_text(struct qr_pool *pool, const char *text);

/* The definition of the pool that equals `def`, with one more user; NULL: no memory.  `def` stays
 * the caller's. */
const struct qr_chart_def *qr_pool_def(struct qr_pool *pool, const struct qr_chart_def *def);
/* One user less; readers may still be looking at it. */
void qr_pool_drop_def(const struct qr_chart_def *def);

/* Numbers for the definitions, in the order in which they are asked for; one round of it at a time,
 * and none of them is dropped meanwhile. */
struct qr_pool_numbers {
    uint32_t round, n;
};
struct qr_pool_numbers qr_pool_begin_numbers(struct qr_pool *pool);
/* The definition's number, from 1; 0: it has just got the next one. */
uint32_t qr_pool_number(struct qr_pool_numbers *numbers, const struct qr_chart_def *def);

struct qr_pool_stats {
    uint32_t n_texts, n_defs;
    uint64_t bytes; /* Of both, with what finds them. */
};
void qr_pool_get_stats(const struct qr_pool *pool, struct qr_pool_stats *stats);

#endif
