/* node/format.h — the formats of /api/v1/data, byte for byte Netdata's.
 *
 * From a table whose view is made (node/table) to text.  Newest row first unless option flip.
 * Dates are in the time zone of this process.  Strings in JSON are escaped; CSV is not.
 * Thread: any. */
#ifndef QR_NODE_FORMAT_H
#define QR_NODE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "node/table.h"

/* A row each in format.c. */
enum qr_format {
    QR_FORMAT_JSON,
    QR_FORMAT_JSONP,
    QR_FORMAT_DATATABLE,
    QR_FORMAT_DATATABLE_JSONP,
    QR_FORMAT_SSV,
    QR_FORMAT_SSVCOMMA,
    QR_FORMAT_CSV,
    QR_FORMAT_TSV,
    QR_FORMAT_TSV_EXCEL,
    QR_FORMAT_HTML,
    QR_FORMAT_ARRAY,
    QR_FORMAT_CSVJSONARRAY,
    QR_FORMAT_MARKDOWN,
    QR_FORMAT_NR
};

/* An unknown name is json.  "datasource" is datatable-jsonp under Google's name. */
enum qr_format qr_format_parse(struct qr_slice name);

/* As jsonwrap names it. */
const char *qr_format_name(enum qr_format format);
const char *qr_format_content_type(enum qr_format format);

/* Is its text JSON, so that jsonwrap takes it as it is?  Otherwise it becomes a string. */
bool qr_format_is_json(enum qr_format format);

/* One number a row (ssv, array): the bounds are of those. */
bool qr_format_is_single(enum qr_format format);

/* Appends the text.  The jsonp kinds come without their call: that is the caller's.  In
 * `plain_lines` lines end with \n only, as within jsonwrap.  0 or UV_ENOMEM. */
int qr_format_write(struct qr_buf *out, enum qr_format format, const struct qr_table *table,
                    uint32_t options, bool plain_lines);

/* The row as one number: the sum of the shown columns, or option min2max; NAN if all are null. */
double qr_format_row_value(const struct qr_table *table, uint32_t row, uint32_t options);

#endif
