/* storage/tests/bases.h — bases of a few hosts and charts, as a store has them. */
#ifndef QR_STORAGE_TESTS_BASES_H
#define QR_STORAGE_TESTS_BASES_H

#include <stdlib.h>
#include <string.h>

#include "storage/entry.h"

#define BASES_HOSTS  4
#define BASES_CHARTS 32

struct bases {
    struct qr_entry_base at[BASES_HOSTS][BASES_CHARTS]; /* Ids from 0; others do not exist. */
};

static inline struct qr_entry_base *bases_find(void *data, uint32_t host, uint32_t chart)
{
    struct bases *bases = data;
    return host < BASES_HOSTS && chart < BASES_CHARTS ? &bases->at[host][chart] : NULL;
}

static inline void bases_release(struct bases *bases)
{
    for (size_t h = 0; h < BASES_HOSTS; h++)
        for (size_t c = 0; c < BASES_CHARTS; c++)
            qr_entry_base_release(&bases->at[h][c]);
}

static inline void bases_copy(struct bases *to, const struct bases *from)
{
    for (size_t h = 0; h < BASES_HOSTS; h++) {
        for (size_t c = 0; c < BASES_CHARTS; c++) {
            const struct qr_entry_base *base = &from->at[h][c];
            qr_entry_base_release(&to->at[h][c]);
            to->at[h][c] = *base;
            size_t bytes = base->capacity * sizeof *base->cells;
            to->at[h][c].cells = malloc(bytes + 1);
            if (bytes != 0)
                memcpy(to->at[h][c].cells, base->cells, bytes);
        }
    }
}

static inline bool bases_equal(const struct bases *a, const struct bases *b)
{
    for (size_t h = 0; h < BASES_HOSTS; h++) {
        for (size_t c = 0; c < BASES_CHARTS; c++) {
            const struct qr_entry_base *x = &a->at[h][c], *y = &b->at[h][c];
            if (x->epoch != y->epoch || (x->epoch != 0 && x->n != y->n) ||
                (x->epoch != 0 && x->n != 0 && memcmp(x->cells, y->cells, x->n * sizeof *x->cells)))
                return false;
        }
    }
    return true;
}

#endif
