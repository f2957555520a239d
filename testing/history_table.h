/* testing/history_table.h — what a store must hold, as a plain table: the first value of each cell.
 *
 * Rows by (chart, second) in a hash table; nothing of storage/'s structures is used.  Thread: the
 * owner's. */
#ifndef QR_TESTING_HISTORY_TABLE_H
#define QR_TESTING_HISTORY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct qr_history_row {
    uint32_t chart; /* 0: free. */
    uint32_t n;
    int64_t end_s;
    uint32_t *cells;
    bool gone; /* By retention: samples have it no more, points of tiers may. */
};

struct qr_history_table {
    struct qr_history_row *rows;
    uint32_t n, capacity;
    int64_t retain_s;      /* What ends before it is gone, and does not come back. */
    bool waits_for_merges; /* Nothing is gone whose points were not made. */
};

void qr_history_table_release(struct qr_history_table *table);
void qr_history_table_put(struct qr_history_table *table, uint32_t chart, int64_t end_s,
                          const uint32_t *values, uint32_t n);
/* All that ends before edge_s is gone. */
void qr_history_table_retain(struct qr_history_table *table, int64_t edge_s);
/* A chart is forgotten: all of it is gone, and its id does not come back. */
void qr_history_table_forget(struct qr_history_table *table, uint32_t chart);
/* EMPTY: nothing. */
uint32_t qr_history_table_get(const struct qr_history_table *table, uint32_t chart, int64_t end_s,
                              uint32_t dim);
/* Values present of a chart in [first_s, last_s]. */
uint64_t qr_history_table_count(const struct qr_history_table *table, uint32_t chart,
                                int64_t first_s, int64_t last_s);

#endif
