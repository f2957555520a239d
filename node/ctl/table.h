/* node/ctl/table.h — rows of text in aligned columns.
 *
 * Cells are counted in characters, not bytes; numbers go to the right.  Strangers' control bytes
 * are replaced.  Thread: any. */
#ifndef QR_NODE_CTL_TABLE_H
#define QR_NODE_CTL_TABLE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/compiler.h"

#define QR_CTL_COLUMNS_MAX 12
#define QR_CTL_CELL_BYTES  64

struct qr_ctl_table {
    unsigned n_columns;
    bool right[QR_CTL_COLUMNS_MAX];
    struct qr_buf cells; /* QR_CTL_CELL_BYTES each, NUL-terminated */
    unsigned n_cells;
};

/* Heads start with '>' for a column of numbers; NULL ends them. */
void qr_ctl_table_init(struct qr_ctl_table *table, const char *const *heads);
void qr_ctl_table_release(struct qr_ctl_table *table);

/* The next cell, row by row; what does not fit is cut. */
void qr_ctl_table_cell(struct qr_ctl_table *table, const char *format, ...) QR_PRINTF(2, 3);

/* Appends the table, two blanks between columns, none at the ends of lines. */
void qr_ctl_table_print(const struct qr_ctl_table *table, struct qr_buf *out);

#endif
