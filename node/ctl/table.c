#include "node/ctl/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *cell_at(const struct qr_ctl_table *table, unsigned i)
{
    return table->cells.base + (size_t)i * QR_CTL_CELL_BYTES;
}

/* Characters: bytes that do not continue one. */
static unsigned width_of(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void qr_ctl_table_init(struct qr_ctl_table *table, const char *const *heads)
{
    *table = (struct qr_ctl_table){0};
    qr_buf_init(&table->cells, 0);
    for (unsigned i = 0; heads[i] != NULL; i++) {
        assert(i < QR_CTL_COLUMNS_MAX);
        table->right[i] = heads[i][0] == '>';
        table->n_columns++;
        qr_ctl_table_cell(table, "%s", heads[i] + table->right[i]);
    }
}

void qr_ctl_table_release(struct qr_ctl_table *table)
{
    qr_buf_release(&table->cells);
}

void qr_ctl_table_cell(struct qr_ctl_table *table, const char *format, ...)
{
    char cell[QR_CTL_CELL_BYTES] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    for (char *p = cell; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    if (qr_buf_add(&table->cells, cell, sizeof cell) == 0)
        table->n_cells++;
}

void qr_ctl_table_print(const struct qr_ctl_table *table, struct qr_buf *out)
{
    unsigned widths[QR_CTL_COLUMNS_MAX] = {0};
    for (unsigned i = 0; i < table->n_cells; i++) {
        unsigned width = width_of(cell_at(table, i));
        if (width > widths[i % table->n_columns])
            widths[i % table->n_columns] = width;
    }
    for (unsigned i = 0; i < table->n_cells; i++) {
        unsigned column = i % table->n_columns;
        bool last = column + 1 == table->n_columns;
        int blanks = (int)(widths[column] - width_of(cell_at(table, i)));
        if (table->right[column])
            qr_buf_printf(out, "%*s%s", blanks, "", cell_at(table, i));
        else
            qr_buf_printf(out, "%s%*s", cell_at(table, i), last ? 0 : blanks, "");
        qr_buf_add_str(out, last ? "\n" : "  ");
    }
}
