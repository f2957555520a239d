#include "node/format.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>
#include <uv.h>

#include "base/json.h"
#include "node/http.h"
#include "node/options.h"

static const struct {
    const char *name, *content_type;
    bool json;
} formats[QR_FORMAT_NR] = {
    [QR_FORMAT_JSON] = {"json", QR_HTTP_JSON, true},
    [QR_FORMAT_JSONP] = {"jsonp", QR_HTTP_JAVASCRIPT, true},
    [QR_FORMAT_DATATABLE] = {"datatable", QR_HTTP_JSON, true},
    [QR_FORMAT_DATATABLE_JSONP] = {"datasource", QR_HTTP_JAVASCRIPT, true},
    [QR_FORMAT_SSV] = {"ssv", QR_HTTP_TEXT, false},
    [QR_FORMAT_SSVCOMMA] = {"ssvcomma", QR_HTTP_TEXT, false},
    [QR_FORMAT_CSV] = {"csv", QR_HTTP_TEXT, false},
    [QR_FORMAT_TSV] = {"tsv", QR_HTTP_TEXT, false},
    [QR_FORMAT_TSV_EXCEL] = {"tsv-excel", QR_HTTP_TEXT, false},
    [QR_FORMAT_HTML] = {"html", QR_HTTP_HTML, false},
    [QR_FORMAT_ARRAY] = {"array", QR_HTTP_JSON, true},
    [QR_FORMAT_CSVJSONARRAY] = {"csvjsonarray", QR_HTTP_JSON, true},
    [QR_FORMAT_MARKDOWN] = {"markdown", QR_HTTP_TEXT, false},
};

enum qr_format qr_format_parse(struct qr_slice name)
{
    for (enum qr_format f = 0; f < QR_FORMAT_NR; f++)
        if (qr_slice_is(name, formats[f].name))
            return f;
    return QR_FORMAT_JSON;
}

const char *qr_format_name(enum qr_format format)
{
    return formats[format].name;
}

const char *qr_format_content_type(enum qr_format format)
{
    return formats[format].content_type;
}

bool qr_format_is_json(enum qr_format format)
{
    return formats[format].json;
}

bool qr_format_is_single(enum qr_format format)
{
    return format == QR_FORMAT_SSV || format == QR_FORMAT_SSVCOMMA || format == QR_FORMAT_ARRAY;
}

/* ---- pieces ---- */

struct writer {
    struct qr_buf *out;
    const struct qr_table *table;
    uint32_t options;
    bool plain_lines;
};

static void add(const struct writer *w, const char *text)
{
    qr_buf_add_str(w->out, text);
}

static struct qr_slice name_of(const struct qr_table_column *column)
{
    return qr_slice_str(column->def->dims[column->dim].name);
}

/* Calls for the i-th row that is written, which is row_at(i) of the table. */
static uint32_t row_at(const struct writer *w, uint32_t i)
{
    return w->options & QR_OPTION_FLIP ? i : w->table->window.n_rows - 1 - i;
}

static void add_number(const struct writer *w, double v)
{
    if (isnan(v) && (w->options & QR_OPTION_NULL2ZERO))
        v = 0;
    qr_json_number(w->out, v);
}

static void add_seconds(const struct writer *w, int64_t t)
{
    qr_buf_printf(w->out, "%" PRId64 "%s", t, w->options & QR_OPTION_MS ? "000" : "");
}

static struct tm local_time(int64_t t)
{
    struct tm tm;
    time_t seconds = (time_t)t;
    localtime_r(&seconds, &tm);
    return tm;
}

/* Of the CSV family: a date, or seconds if asked for. */
static void add_date(const struct writer *w, int64_t t)
{
    if (w->options & (QR_OPTION_SECONDS | QR_OPTION_MS)) {
        add_seconds(w, t);
        return;
    }
    struct tm tm = local_time(t);
    qr_buf_printf(w->out, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* JavaScript's months start with 0. */
static void add_js_date(const struct writer *w, int64_t t)
{
    struct tm tm = local_time(t);
    qr_buf_printf(w->out, "Date(%d,%d,%d,%d,%d,%d)", tm.tm_year + 1900, tm.tm_mon, tm.tm_mday,
                  tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static uint32_t n_shown(const struct qr_table *table)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < table->n_columns; c++)
        n += table->columns[c].shown;
    return n;
}

/* ---- json ---- */

static void add_json_labels(const struct writer *w)
{
    add(w, "{\n \"labels\": [\"time\"");
    for (uint32_t c = 0; c < w->table->n_columns; c++)
        if (w->table->columns[c].shown) {
            add(w, ",");
            qr_json_quote(w->out, name_of(&w->table->columns[c]));
        }
    if (n_shown(w->table) == 0)
        add(w, ",\"no data\"");
    add(w, "],\n    \"data\":\n [\n");
}

static void add_json_row(const struct writer *w, uint32_t row)
{
    bool objects = w->options & QR_OPTION_OBJECTROWS;
    add(w, objects ? " { \"time\": " : " [ ");
    if (w->options & QR_OPTION_GOOGLE_JSON) {
        add(w, "new ");
        add_js_date(w, qr_table_time(w->table, row));
    } else {
        add_seconds(w, qr_table_time(w->table, row));
    }
    for (uint32_t c = 0; c < w->table->n_columns; c++) {
        if (!w->table->columns[c].shown)
            continue;
        add(w, ",");
        if (objects) {
            qr_json_quote(w->out, name_of(&w->table->columns[c]));
            add(w, ": ");
        }
        add_number(w, qr_table_at(w->table, row, c));
    }
    add(w, objects ? "}" : "]");
}

static void write_json(const struct writer *w)
{
    add_json_labels(w);
    uint32_t n_rows = n_shown(w->table) > 0 ? w->table->window.n_rows : 0;
    for (uint32_t i = 0; i < n_rows; i++) {
        if (i > 0)
            add(w, ",\n");
        add_json_row(w, row_at(w, i));
    }
    add(w, "\n]\n}");
}

/* ---- datatable: for Google's charts, with its own quotes if asked for ---- */

struct quotes {
    const char *key, *text;
};

static void add_column(const struct writer *w, const struct quotes *q, const char *label,
                       const char *type, const char *role)
{
    const char *k = q->key, *s = q->text;
    qr_buf_printf(w->out, "{%sid%s:%s%s,%slabel%s:%s", k, k, s, s, k, k, s);
    qr_json_escape(w->out, qr_slice_str(label));
    qr_buf_printf(w->out, "%s,%spattern%s:%s%s,%stype%s:%s%s%s", s, k, k, s, s, k, k, s, type, s);
    if (role != NULL)
        qr_buf_printf(w->out, ",%sp%s:{%srole%s:%s%s%s}", k, k, k, k, s, role, s);
    add(w, "}");
}

static void add_datatable_row(const struct writer *w, const struct quotes *q, uint32_t row)
{
    const char *k = q->key, *s = q->text;
    bool reset = false;
    for (uint32_t c = 0; c < w->table->n_columns; c++)
        reset = reset || (w->table->columns[c].shown &&
                          w->table->resets[(uint64_t)row * w->table->n_columns + c]);
    qr_buf_printf(w->out, "        {%sc%s:[{%sv%s:%s", k, k, k, k, s);
    add_js_date(w, qr_table_time(w->table, row));
    qr_buf_printf(w->out, "%s}", s);
    if (reset)
        qr_buf_printf(w->out,
                      ",{%sv%s:%sRESET OR OVERFLOW%s},{%sv%s:%sThe counters have been wrapped.%s}",
                      k, k, s, s, k, k, s, s);
    else
        qr_buf_printf(w->out, ",{%sv%s:null},{%sv%s:null}", k, k, k, k);
    for (uint32_t c = 0; c < w->table->n_columns; c++)
        if (w->table->columns[c].shown) {
            qr_buf_printf(w->out, ",{%sv%s:", k, k);
            add_number(w, qr_table_at(w->table, row, c));
            add(w, "}");
        }
    add(w, "]}");
}

static void write_datatable(const struct writer *w)
{
    bool google = w->options & QR_OPTION_GOOGLE_JSON;
    const struct quotes q = {google ? "" : "\"", google ? "'" : "\""};
    qr_buf_printf(w->out, "{\n %scols%s:\n [\n        ", q.key, q.key);
    add_column(w, &q, "time", "datetime", NULL);
    add(w, ",\n        ");
    add_column(w, &q, "", "string", "annotation");
    add(w, ",\n        ");
    add_column(w, &q, "", "string", "annotationText");
    for (uint32_t c = 0; c < w->table->n_columns; c++)
        if (w->table->columns[c].shown) {
            add(w, ",\n     ");
            add_column(w, &q, name_of(&w->table->columns[c]).base, "number", NULL);
        }
    if (n_shown(w->table) == 0) {
        add(w, ",\n     ");
        add_column(w, &q, "no data", "number", NULL);
    }
    qr_buf_printf(w->out, "\n  ],\n    %srows%s:\n [\n", q.key, q.key);
    uint32_t n_rows = n_shown(w->table) > 0 ? w->table->window.n_rows : 0;
    for (uint32_t i = 0; i < n_rows; i++) {
        if (i > 0)
            add(w, ",\n");
        add_datatable_row(w, &q, row_at(w, i));
    }
    add(w, "\n]\n}");
}

/* ---- csv and its relatives ---- */

struct csv_style {
    const char *all_before, *line_before, *separator, *line_after, *line_between, *all_after;
    const char *name_quote;
    const char *under_header; /* A cell of the line between header and rows. */
    const char *nothing;      /* Stands for header and rows if no column shows. */
};

static void add_csv_cells(const struct writer *w, const struct csv_style *style, int64_t row)
{
    for (uint32_t c = 0; c < w->table->n_columns; c++) {
        if (!w->table->columns[c].shown)
            continue;
        add(w, style->separator);
        if (row >= 0) {
            add_number(w, qr_table_at(w->table, (uint32_t)row, c));
            continue;
        }
        add(w, style->name_quote);
        struct qr_slice name = name_of(&w->table->columns[c]);
        if (*style->name_quote != '\0')
            qr_json_escape(w->out, name);
        else
            qr_buf_add(w->out, name.base, name.len);
        add(w, style->name_quote);
    }
}

static void write_csv_style(const struct writer *w, const struct csv_style *style)
{
    add(w, style->all_before);
    if (n_shown(w->table) == 0) { /* Not even dates. */
        add(w, style->nothing);
        add(w, style->all_after);
        return;
    }
    add(w, style->line_before);
    qr_buf_printf(w->out, "%stime%s", style->name_quote, style->name_quote);
    add_csv_cells(w, style, -1);
    add(w, style->line_after);
    if (style->under_header != NULL) {
        add(w, style->line_between);
        add(w, style->under_header);
        for (uint32_t c = n_shown(w->table); c > 0; c--) {
            add(w, style->separator);
            add(w, style->under_header);
        }
        add(w, style->line_after);
    }
    for (uint32_t i = 0; i < w->table->window.n_rows; i++) {
        uint32_t row = row_at(w, i);
        add(w, style->line_between);
        add(w, style->line_before);
        add_date(w, qr_table_time(w->table, row));
        add_csv_cells(w, style, row);
        add(w, style->line_after);
    }
    add(w, style->all_after);
}

static void write_csv(const struct writer *w, const char *separator, const char *under_header)
{
    struct csv_style style = {.all_before = "",
                              .line_before = "",
                              .separator = separator,
                              .line_after = w->plain_lines ? "\n" : "\r\n",
                              .line_between = "",
                              .all_after = "",
                              .name_quote = "",
                              .under_header = under_header,
                              .nothing = w->plain_lines ? "\n" : "\r\n"};
    write_csv_style(w, &style);
}

static void write_html(const struct writer *w)
{
    static const struct csv_style style = {
        .all_before =
            "<html>\n<center>\n<table border=\"0\" cellpadding=\"5\" cellspacing=\"5\">\n",
        .line_before = "<tr><td>",
        .separator = "</td><td>",
        .line_after = "</td></tr>\n",
        .line_between = "",
        .all_after = "</table>\n</center>\n</html>\n",
        .name_quote = "",
        .nothing = ""};
    write_csv_style(w, &style);
}

static void write_csvjsonarray(const struct writer *w)
{
    static const struct csv_style style = {.all_before = "[\n",
                                           .line_before = "[",
                                           .separator = ",",
                                           .line_after = "]",
                                           .line_between = ",\n",
                                           .all_after = "\n]",
                                           .name_quote = "\"",
                                           .nothing = ""};
    write_csv_style(w, &style);
}

/* ---- one number a row ---- */

double qr_format_row_value(const struct qr_table *table, uint32_t row, uint32_t options)
{
    double sum = 0, min = 0, max = 0;
    bool any = false;
    for (uint32_t c = 0; c < table->n_columns; c++) {
        double v = qr_table_at(table, row, c);
        if (!table->columns[c].shown || isnan(v))
            continue;
        any = true;
        sum += v;
        min = fmin(min, v);
        max = fmax(max, v);
    }
    if (!any)
        return NAN;
    return options & QR_OPTION_MIN2MAX ? max - min : sum;
}

static void write_singles(const struct writer *w, const char *before, const char *separator,
                          const char *after)
{
    add(w, before);
    for (uint32_t i = 0; i < w->table->window.n_rows; i++) {
        if (i > 0)
            add(w, separator);
        add_number(w, qr_format_row_value(w->table, row_at(w, i), w->options));
    }
    add(w, after);
}

int qr_format_write(struct qr_buf *out, enum qr_format format, const struct qr_table *table,
                    uint32_t options, bool plain_lines)
{
    const struct writer w = {out, table, options, plain_lines};
    switch (format) {
    case QR_FORMAT_JSON:
    case QR_FORMAT_JSONP:
    case QR_FORMAT_NR:
        write_json(&w);
        break;
    case QR_FORMAT_DATATABLE:
    case QR_FORMAT_DATATABLE_JSONP:
        write_datatable(&w);
        break;
    case QR_FORMAT_SSV:
        write_singles(&w, "", " ", "");
        break;
    case QR_FORMAT_SSVCOMMA:
        write_singles(&w, "", ",", "");
        break;
    case QR_FORMAT_ARRAY:
        write_singles(&w, "[", ",", "]");
        break;
    case QR_FORMAT_CSV:
        write_csv(&w, ",", NULL);
        break;
    case QR_FORMAT_TSV:
    case QR_FORMAT_TSV_EXCEL:
        write_csv(&w, "\t", NULL);
        break;
    case QR_FORMAT_MARKDOWN:
        write_csv(&w, "|", ":---:");
        break;
    case QR_FORMAT_HTML:
        write_html(&w);
        break;
    case QR_FORMAT_CSVJSONARRAY:
        write_csvjsonarray(&w);
        break;
    }
    return out->failed ? UV_ENOMEM : 0;
}
