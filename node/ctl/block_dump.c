#include "node/ctl/block_dump.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "node/ctl/block_files.h"
#include "node/ctl/table.h"
#include "storage/block_examine.h"
#include "storage/block_layout.h"
#include "storage/value.h"

/* ---- header, sections, pages ---- */

static void dump_head(const struct qr_block_index *index, const char *path, struct qr_buf *out)
{
    const struct qr_block_id *id = &index->head.id;
    char from[QR_TIME_TEXT_BYTES], to[QR_TIME_TEXT_BYTES];
    qr_time_text(id->start_s, from);
    qr_time_text(qr_block_id_end_s(id), to);
    qr_buf_printf(out, "%s\n  %" PRIu64 " bytes, hash %016" PRIx64 "\n", path, index->bytes,
                  index->hash);
    qr_buf_printf(out, "  shard %" PRIu32 ", tier %u, generation %" PRIu32 "\n", id->shard,
                  id->tier, id->generation);
    qr_buf_printf(out, "  %s to %s: %" PRIu32 " s in sub-windows of %" PRIu32 " s\n", from, to,
                  id->window_s, index->head.sub_s);
    qr_buf_printf(out,
                  "  %" PRIu32 " hosts, %" PRIu32 " charts, %" PRIu64 " series, %" PRIu64 " %s\n\n",
                  index->n_hosts, index->n_charts, index->n_dims, index->n_samples,
                  id->tier == 0 ? "samples" : "points");
}

struct section {
    const char *name;
    uint64_t offset, bytes;
};

#define N_SECTIONS 6

static void find_sections(const struct qr_block_index *index, struct section sections[N_SECTIONS])
{
    const struct section of[N_SECTIONS] = {
        {"header", 0, QR_BLOCK_HEADER_BYTES},
        {"pages", 0, index->pages_end - QR_BLOCK_HEADER_BYTES},
        {"hosts", 0, (uint64_t)index->n_hosts * QR_BLOCK_HOST_BYTES},
        {"chunks", 0, (uint64_t)index->n_chunks * QR_BLOCK_ROW_BYTES},
        {"page table", 0, (uint64_t)index->n_pages * QR_BLOCK_PAGE_ROW_BYTES},
        {"footer", 0, QR_BLOCK_FOOTER_BYTES},
    };
    uint64_t at = 0;
    for (size_t i = 0; i < N_SECTIONS; i++) {
        sections[i] = of[i];
        sections[i].offset = at;
        at += of[i].bytes;
    }
}

static void dump_sections(const struct qr_block_index *index, struct qr_buf *out, json_t *file)
{
    static const char *const heads[] = {"SECTION", ">OFFSET", ">BYTES", NULL};
    struct section sections[N_SECTIONS];
    struct qr_ctl_table table;
    json_t *list = file != NULL ? json_array() : NULL;
    find_sections(index, sections);
    qr_ctl_table_init(&table, heads);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (list != NULL)
            json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "name", sections[i].name,
                                                  "offset", (json_int_t)sections[i].offset, "bytes",
                                                  (json_int_t)sections[i].bytes));
        qr_ctl_table_cell(&table, "%s", sections[i].name);
        qr_ctl_table_cell(&table, "%" PRIu64, sections[i].offset);
        qr_ctl_table_cell(&table, "%" PRIu64, sections[i].bytes);
    }
    if (list != NULL) {
        json_object_set_new(file, "sections", list);
    } else {
        qr_ctl_table_print(&table, out);
        qr_buf_add_str(out, "\n");
    }
    qr_ctl_table_release(&table);
}

static void dump_pages(const struct qr_block_index *index, struct qr_buf *out, json_t *file)
{
    static const char *const heads[] = {">PAGE", ">OFFSET", ">BYTES", "CRC32C", ">CHUNKS", NULL};
    struct qr_ctl_table table;
    json_t *list = file != NULL ? json_array() : NULL;
    qr_ctl_table_init(&table, heads);
    for (uint32_t i = 0; i < index->n_pages; i++) {
        struct qr_block_page page = qr_block_page_at(index, i);
        uint32_t end =
            i + 1 < index->n_pages ? qr_block_page_at(index, i + 1).first_row : index->n_chunks;
        if (list != NULL) {
            json_array_append_new(
                list, json_pack("{s:I, s:I, s:I, s:I}", "offset", (json_int_t)page.offset, "bytes",
                                (json_int_t)page.bytes, "crc", (json_int_t)page.crc, "chunks",
                                (json_int_t)(end - page.first_row)));
            continue;
        }
        qr_ctl_table_cell(&table, "%" PRIu32, i);
        qr_ctl_table_cell(&table, "%" PRIu64, page.offset);
        qr_ctl_table_cell(&table, "%" PRIu32, page.bytes);
        qr_ctl_table_cell(&table, "%08" PRIx32, page.crc);
        qr_ctl_table_cell(&table, "%" PRIu32, end - page.first_row);
    }
    if (list != NULL) {
        json_object_set_new(file, "pages", list);
    } else {
        qr_ctl_table_print(&table, out);
        qr_buf_add_str(out, "\n");
    }
    qr_ctl_table_release(&table);
}

/* ---- chunks ---- */

/* What is decoded, whatever its tier. */
struct shape {
    int64_t first_s, last_s;
    uint32_t step_s, n_rows, n_dims;
};

static struct shape shape_of(const struct qr_block_decoder *decoder, unsigned tier)
{
    const struct qr_grid *grid = &decoder->grid;
    const struct qr_points *points = &decoder->points;
    struct shape shape = {.first_s = points->first_s,
                          .step_s = points->step_s,
                          .n_rows = points->n_rows,
                          .n_dims = points->n_dims};
    if (tier == 0)
        shape = (struct shape){.first_s = grid->first_s,
                               .step_s = grid->step_s,
                               .n_rows = grid->n_rows,
                               .n_dims = grid->n_dims};
    shape.last_s = shape.first_s + (int64_t)(shape.n_rows - 1) * shape.step_s;
    return shape;
}

/* A file and what it takes to read its chunks. */
struct open_file {
    const struct qr_block_index *index;
    const char *path;
    struct qr_block_reader reader;
    struct qr_block_decoder decoder;
};

static int decode(struct open_file *file, uint32_t row)
{
    struct qr_slice bytes;
    int err = qr_block_chunk(&file->reader, file->index, &qr_disk_files, file->path, row, &bytes);
    if (err == 0)
        err = qr_block_decode(&file->decoder, &file->index->head,
                              qr_block_row_at(file->index, row).sub, bytes);
    return err == QR_E_MALFORMED ? QR_E_CORRUPT : err;
}

static void open_file_release(struct open_file *file)
{
    qr_block_reader_release(&file->reader);
    qr_block_decoder_release(&file->decoder);
}

static void dump_chunk(const struct open_file *file, uint32_t host, uint32_t row, bool is_sound,
                       struct qr_ctl_table *table, json_t *list)
{
    struct qr_block_row at = qr_block_row_at(file->index, row);
    uint32_t page = qr_block_page_of(file->index, row);
    struct shape shape = {0};
    if (is_sound)
        shape = shape_of(&file->decoder, file->index->head.id.tier);
    if (list != NULL) {
        json_array_append_new(
            list,
            json_pack("{s:I, s:I, s:i, s:I, s:i, s:b, s:I, s:I, s:I, s:I}", "host",
                      (json_int_t)host, "chart", (json_int_t)at.chart, "sub", (int)at.sub, "page",
                      (json_int_t)page, "offset", (int)at.offset, "sound", is_sound, "dimensions",
                      (json_int_t)shape.n_dims, "rows", (json_int_t)shape.n_rows, "first",
                      (json_int_t)shape.first_s, "step", (json_int_t)shape.step_s));
        return;
    }
    char from[QR_TIME_TEXT_BYTES], to[QR_TIME_TEXT_BYTES];
    qr_time_text(shape.first_s, from);
    qr_time_text(shape.last_s, to);
    qr_ctl_table_cell(table, "%" PRIu32, host);
    qr_ctl_table_cell(table, "%" PRIu32, at.chart);
    qr_ctl_table_cell(table, "%u", at.sub);
    qr_ctl_table_cell(table, "%" PRIu32, page);
    qr_ctl_table_cell(table, "%u", at.offset);
    qr_ctl_table_cell(table, "%" PRIu32, shape.n_dims);
    qr_ctl_table_cell(table, "%" PRIu32, shape.n_rows);
    qr_ctl_table_cell(table, "%" PRIu32, shape.step_s);
    qr_ctl_table_cell(table, "%s", is_sound ? from : "damaged");
    qr_ctl_table_cell(table, "%s", is_sound ? to : "");
}

static int dump_chunks(struct open_file *file, struct qr_buf *out, json_t *json)
{
    static const char *const heads[] = {">HOST", ">CHART", ">SUB",  ">PAGE", ">OFFSET", ">DIMS",
                                        ">ROWS", ">STEP",  "FIRST", "LAST",  NULL};
    const struct qr_block_index *index = file->index;
    struct qr_ctl_table table;
    json_t *list = json != NULL ? json_array() : NULL;
    uint32_t host = 0;
    int err = 0, damage = 0;
    qr_ctl_table_init(&table, heads);
    for (uint32_t row = 0; row < index->n_chunks && err == 0; row++) {
        while (host + 1 < index->n_hosts && qr_block_host_at(index, host + 1).first_row <= row)
            host++;
        err = decode(file, row);
        bool is_sound = err == 0;
        if (err == QR_E_CORRUPT) {
            damage = err;
            err = 0;
        }
        if (err == 0)
            dump_chunk(file, index->n_hosts != 0 ? qr_block_host_at(index, host).host : 0, row,
                       is_sound, &table, list);
    }
    if (list != NULL)
        json_object_set_new(json, "chunks_at", list);
    else
        qr_ctl_table_print(&table, out);
    qr_ctl_table_release(&table);
    return err != 0 ? err : damage;
}

int qr_block_dump(const struct qr_block_index *index, const char *path, struct qr_buf *out,
                  json_t *file)
{
    struct open_file open = {.index = index, .path = path};
    if (file == NULL)
        dump_head(index, path, out);
    dump_sections(index, out, file);
    dump_pages(index, out, file);
    int err = dump_chunks(&open, out, file);
    open_file_release(&open);
    return err;
}

/* ---- rows ---- */

static json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* "2.5", with ! if it is anomalous and * behind a reset; "-": nothing. */
static void value_text(uint32_t value, struct qr_buf *out)
{
    if (qr_value_is_empty(value))
        qr_buf_add_str(out, " -");
    else
        qr_buf_printf(out, " %.10g%s%s", qr_value_unpack(value),
                      value & QR_VALUE_ANOMALOUS ? "!" : "", value & QR_VALUE_RESET ? "*" : "");
}

/* Dimensions whose value carries the flag. */
static void set_flagged(json_t *json, const char *key, const struct qr_grid *grid, uint32_t row,
                        uint32_t flag)
{
    json_t *dims = json_array();
    for (uint32_t d = 0; d < grid->n_dims; d++) {
        uint32_t value = qr_grid_at(grid, row, d);
        if (!qr_value_is_empty(value) && (value & flag) != 0)
            json_array_append_new(dims, json_integer(d));
    }
    if (json_array_size(dims) != 0)
        json_object_set(json, key, dims);
    json_decref(dims);
}

static json_t *json_of_values(const struct qr_grid *grid, uint32_t row)
{
    json_t *json = json_object(), *values = json_array();
    for (uint32_t d = 0; d < grid->n_dims; d++) {
        uint32_t value = qr_grid_at(grid, row, d);
        json_array_append_new(
            values, qr_value_is_empty(value) ? json_null() : json_number(qr_value_unpack(value)));
    }
    json_object_set_new(json, "values", values);
    set_flagged(json, "anomalous", grid, row, QR_VALUE_ANOMALOUS);
    set_flagged(json, "reset", grid, row, QR_VALUE_RESET);
    return json;
}

/* "min/max/sum/count/anomalous" */
static void point_text(const struct qr_point *point, struct qr_buf *out)
{
    if (point->count == 0)
        qr_buf_add_str(out, " -");
    else
        qr_buf_printf(out, " %.10g/%.10g/%.10g/%" PRIu32 "/%" PRIu32, qr_value_unpack(point->min),
                      qr_value_unpack(point->max), qr_point_sum(point), point->count,
                      point->anomalies);
}

static json_t *json_of_points(const struct qr_points *points, uint32_t row)
{
    json_t *json = json_object(), *list = json_array();
    for (uint32_t d = 0; d < points->n_dims; d++) {
        const struct qr_point *point = qr_points_at(points, row, d);
        if (point->count == 0) {
            json_array_append_new(list, json_null());
            continue;
        }
        json_t *one = json_pack("{s:I, s:I}", "count", (json_int_t)point->count, "anomalous",
                                (json_int_t)point->anomalies);
        json_object_set_new(one, "min", json_number(qr_value_unpack(point->min)));
        json_object_set_new(one, "max", json_number(qr_value_unpack(point->max)));
        json_object_set_new(one, "sum", json_number(qr_point_sum(point)));
        json_array_append_new(list, one);
    }
    json_object_set_new(json, "points", list);
    return json;
}

static void dump_rows(const struct qr_block_decoder *decoder, unsigned tier, struct qr_buf *out,
                      json_t *rows)
{
    struct shape shape = shape_of(decoder, tier);
    for (uint32_t row = 0; row < shape.n_rows; row++) {
        int64_t end_s = shape.first_s + (int64_t)row * shape.step_s;
        if (rows != NULL) {
            json_t *json = tier == 0 ? json_of_values(&decoder->grid, row)
                                     : json_of_points(&decoder->points, row);
            json_object_set_new(json, "time", json_integer(end_s));
            json_array_append_new(rows, json);
            continue;
        }
        char text[QR_TIME_TEXT_BYTES];
        qr_time_text(end_s, text);
        qr_buf_add_str(out, text);
        for (uint32_t d = 0; d < shape.n_dims; d++) {
            if (tier == 0)
                value_text(qr_grid_at(&decoder->grid, row, d), out);
            else
                point_text(qr_points_at(&decoder->points, row, d), out);
        }
        qr_buf_add_str(out, "\n");
    }
}

int qr_block_dump_chart(const struct qr_block_index *index, const char *path, uint32_t chart,
                        struct qr_buf *out, json_t *file)
{
    struct open_file open = {.index = index, .path = path};
    json_t *rows = file != NULL ? json_array() : NULL;
    int err = 0, damage = 0;
    bool is_there = false;
    for (uint32_t row = 0; row < index->n_chunks && err == 0; row++) {
        if (qr_block_row_at(index, row).chart != chart)
            continue;
        is_there = true;
        err = decode(&open, row);
        if (err == 0)
            dump_rows(&open.decoder, index->head.id.tier, out, rows);
        else if (err == QR_E_CORRUPT)
            damage = err;
        err = err == QR_E_CORRUPT ? 0 : err;
    }
    if (rows != NULL) {
        json_object_set_new(file, "chart", json_integer(chart));
        json_object_set_new(file, "rows", rows);
    }
    open_file_release(&open);
    return err != 0 ? err : damage != 0 ? damage : is_there ? 0 : QR_E_UNKNOWN;
}
