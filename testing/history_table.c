#include "testing/history_table.h"

#include <assert.h>
#include <stdlib.h>

#include "storage/value.h"

void qr_history_table_release(struct qr_history_table *table)
{
    for (uint32_t i = 0; i < table->capacity; i++)
        free(table->rows[i].cells);
    free(table->rows);
    *table = (struct qr_history_table){0};
}

static struct qr_history_row *find(const struct qr_history_table *table, uint32_t chart,
                                   int64_t end_s)
{
    uint64_t hash = ((uint64_t)end_s ^ (uint64_t)chart << 40) * 0x9e3779b97f4a7c15u;
    uint32_t mask = table->capacity - 1, at = (uint32_t)(hash >> 32) & mask;
    while (table->rows[at].chart != 0 &&
           (table->rows[at].chart != chart || table->rows[at].end_s != end_s))
        at = (at + 1) & mask;
    return &table->rows[at];
}

static void grow(struct qr_history_table *table)
{
    struct qr_history_table old = *table;
    table->capacity = old.capacity != 0 ? old.capacity * 2 : 1024;
    table->rows = calloc(table->capacity, sizeof *table->rows);
    assert(table->rows != NULL);
    for (uint32_t i = 0; i < old.capacity; i++)
        if (old.rows[i].chart != 0)
            *find(table, old.rows[i].chart, old.rows[i].end_s) = old.rows[i];
    free(old.rows);
}

void qr_history_table_put(struct qr_history_table *table, uint32_t chart, int64_t end_s,
                          const uint32_t *values, uint32_t n)
{
    if (end_s < table->retain_s)
        return;
    if (table->n * 2 >= table->capacity)
        grow(table);
    struct qr_history_row *row = find(table, chart, end_s);
    if (row->chart == 0) {
        *row = (struct qr_history_row){.chart = chart, .end_s = end_s};
        table->n++;
    }
    if (row->n < n) {
        row->cells = realloc(row->cells, n * sizeof *row->cells);
        assert(row->cells != NULL);
        while (row->n < n)
            row->cells[row->n++] = QR_VALUE_EMPTY;
    }
    for (uint32_t i = 0; i < n; i++)
        if (qr_value_is_empty(row->cells[i]))
            row->cells[i] = values[i];
}

void qr_history_table_retain(struct qr_history_table *table, int64_t edge_s)
{
    if (edge_s <= table->retain_s)
        return;
    table->retain_s = edge_s;
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->rows[i].chart != 0 && table->rows[i].end_s < edge_s)
            table->rows[i].gone = true;
}

void qr_history_table_forget(struct qr_history_table *table, uint32_t chart)
{
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->rows[i].chart == chart)
            table->rows[i].n = 0; /* The place stays taken. */
}

uint32_t qr_history_table_get(const struct qr_history_table *table, uint32_t chart, int64_t end_s,
                              uint32_t dim)
{
    if (table->capacity == 0)
        return QR_VALUE_EMPTY;
    const struct qr_history_row *row = find(table, chart, end_s);
    return row->chart != 0 && !row->gone && dim < row->n ? row->cells[dim] : QR_VALUE_EMPTY;
}

uint64_t qr_history_table_count(const struct qr_history_table *table, uint32_t chart,
                                int64_t first_s, int64_t last_s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < table->capacity; i++) {
        const struct qr_history_row *row = &table->rows[i];
        if (row->chart != chart || row->gone || row->end_s < first_s || row->end_s > last_s)
            continue;
        for (uint32_t d = 0; d < row->n; d++)
            n += !qr_value_is_empty(row->cells[d]);
    }
    return n;
}
