#include "storage/merge_job.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/plant.h"
#include "storage/block_writer.h"
#include "storage/internal.h"
#include "storage/rollup.h"
#include "storage/tier_chunk.h"

/* A file that is read from its first chunk to its last. */
struct input {
    const struct qr_merge_input *file;
    char path[QR_PATH_BYTES_MAX];
    struct qr_block_index *index;
    struct qr_block_reader reader;
    uint32_t row, host_at; /* Where it is. */
    uint32_t n;            /* Chunks of the chart at hand, from `row`. */
};

struct merging {
    struct qr_disk *disk;
    struct qr_block_id output;
    const struct qr_id_runs *forgotten;
    uint32_t sub_s;
    uint32_t n_inputs;
    struct input *inputs; /* By generation: where two have a value, the first one counts. */
    /* The chart at hand. */
    uint32_t host, chart;
    struct qr_grid rows, part, spare;
    struct qr_points points, fine;
    struct qr_tier_codec codec;
    struct qr_buf chunk;
};

/* ---- the inputs ---- */

static int compare_inputs(const void *a, const void *b)
{
    const struct qr_block_id *ia = &((const struct input *)a)->file->id;
    const struct qr_block_id *ib = &((const struct input *)b)->file->id;
    if (ia->generation != ib->generation)
        return ia->generation < ib->generation ? -1 : 1;
    return (ia->start_s > ib->start_s) - (ia->start_s < ib->start_s);
}

static int open_inputs(struct merging *merging, const struct qr_merge *merge)
{
    merging->inputs = calloc(merge->n_inputs, sizeof *merging->inputs);
    if (merging->inputs == NULL)
        return UV_ENOMEM;
    int err = 0;
    for (uint32_t i = 0; i < merge->n_inputs && err == 0; i++) {
        struct input *input = &merging->inputs[merging->n_inputs++];
        input->file = &merge->inputs[i];
        err = qr_store_path(merge->state->store, &input->file->id, input->path);
        if (err == 0)
            err = qr_block_index_read(&input->index, merging->disk, input->path, input->file->bytes,
                                      input->file->hash);
    }
    qsort(merging->inputs, merging->n_inputs, sizeof *merging->inputs, compare_inputs);
    return err;
}

static void close_inputs(struct merging *merging)
{
    for (uint32_t i = 0; i < merging->n_inputs; i++) {
        free(merging->inputs[i].index);
        qr_block_reader_release(&merging->inputs[i].reader);
    }
    free(merging->inputs);
}

static uint32_t host_of(struct input *input)
{
    while (input->host_at + 1 < input->index->n_hosts &&
           qr_block_host_at(input->index, input->host_at + 1).first_row <= input->row)
        input->host_at++;
    return qr_block_host_at(input->index, input->host_at).host;
}

static void skip_chart(struct input *input)
{
    input->row += input->n;
    input->n = 0;
}

/* Notes how many chunks of the chart at hand come next. */
static void count_chunks(struct input *input, uint32_t host, uint32_t chart)
{
    input->n = 0;
    if (input->row == input->index->n_chunks || host_of(input) != host)
        return;
    uint32_t end = input->host_at + 1 < input->index->n_hosts
                       ? qr_block_host_at(input->index, input->host_at + 1).first_row
                       : input->index->n_chunks;
    while (input->row + input->n < end &&
           qr_block_row_at(input->index, input->row + input->n).chart == chart)
        input->n++;
}

/* Goes to the next chart that any of them has; false: that was the last. */
static bool next_chart(struct merging *merging)
{
    bool found = false;
    for (uint32_t i = 0; i < merging->n_inputs; i++) {
        struct input *input = &merging->inputs[i];
        skip_chart(input);
        if (input->row == input->index->n_chunks)
            continue;
        uint32_t host = host_of(input), chart = qr_block_row_at(input->index, input->row).chart;
        if (found && (host > merging->host || (host == merging->host && chart >= merging->chart)))
            continue;
        merging->host = host;
        merging->chart = chart;
        found = true;
    }
    for (uint32_t i = 0; i < merging->n_inputs && found; i++)
        count_chunks(&merging->inputs[i], merging->host, merging->chart);
    return found;
}

/* ---- a chart of tier 0 ---- */

/* Adds one sub-window's rows of a file; *have_rows: there were some before. */
static int add_rows(struct merging *merging, struct input *input, int64_t start_s, bool *have_rows)
{
    for (uint32_t i = 0; i < input->n; i++) {
        uint32_t sub = qr_block_row_at(input->index, input->row + i).sub;
        int64_t from_s = qr_block_sub_start_s(&input->index->head, sub);
        if (from_s < start_s || from_s >= start_s + merging->sub_s)
            continue;
        struct qr_grid *grid = *have_rows ? &merging->part : &merging->rows;
        int err = qr_block_read(&input->reader, input->index, merging->disk, input->path,
                                input->row + i, grid);
        if (err == 0 && *have_rows && !QR_PLANT(merge_forgets_late))
            err = qr_grid_overlay(&merging->rows, grid, &merging->spare);
        if (err != 0)
            return err;
        *have_rows = true;
    }
    return 0;
}

static int merge_chart(struct merging *merging, struct qr_block_writer *writer)
{
    int64_t end_s = qr_block_id_end_s(&merging->output);
    int err = 0;
    for (int64_t start_s = merging->output.start_s; start_s < end_s && err == 0;
         start_s += merging->sub_s) {
        bool have_rows = false;
        for (uint32_t i = 0; i < merging->n_inputs && err == 0; i++)
            err = add_rows(merging, &merging->inputs[i], start_s, &have_rows);
        if (err == 0 && have_rows)
            err = qr_block_writer_add_grid(writer, merging->host, merging->chart, &merging->rows);
    }
    return err;
}

/* ---- a chart's points ---- */

/* The points of all dimensions that a chart has in the span; what came before stays. */
static int grow_points(struct merging *merging, uint32_t n_dims)
{
    struct qr_points *points = &merging->points;
    if (points->n_rows != 0 && n_dims <= points->n_dims)
        return 0;
    struct qr_points before = *points;
    *points = (struct qr_points){0};
    int err = qr_points_span(points, qr_tier_step(merging->output.tier), merging->output.start_s,
                             qr_block_id_end_s(&merging->output) - 1, n_dims);
    if (err == 0 && before.n_rows != 0)
        qr_points_add_points(points, &before);
    qr_points_release(&before);
    return err;
}

/* Adds a chunk of rows, or of finer points. */
static int add_points(struct merging *merging, struct input *input, uint32_t row)
{
    if (merging->output.tier == 1) {
        int err = qr_block_read(&input->reader, input->index, merging->disk, input->path, row,
                                &merging->rows);
        if (err == 0)
            err = grow_points(merging, merging->rows.n_dims);
        if (err == 0)
            qr_points_add_grid(&merging->points, &merging->rows);
        return err;
    }
    const struct qr_block_head *head = &input->index->head;
    struct qr_slice bytes;
    int err = qr_block_chunk(&input->reader, input->index, merging->disk, input->path, row, &bytes);
    if (err == 0)
        err =
            qr_tier_chunk_decode(&merging->codec, bytes,
                                 qr_block_sub_start_s(head, qr_block_row_at(input->index, row).sub),
                                 head->sub_s, qr_tier_step(head->id.tier), &merging->fine);
    if (err == 0)
        err = grow_points(merging, merging->fine.n_dims);
    if (err == 0)
        qr_points_add_points(&merging->points, &merging->fine);
    return err == QR_E_MALFORMED ? QR_E_CORRUPT : err;
}

/* A point is in the sub-window in which it ends; those at the borders of the file have parts in two
 * files, and are in the first and in the last one. */
static int put_points(struct merging *merging, struct qr_block_writer *writer)
{
    const struct qr_block_id *output = &merging->output;
    uint32_t n_subs = output->window_s / merging->sub_s;
    int err = 0;
    for (uint32_t sub = 0; sub < n_subs && err == 0; sub++) {
        int64_t start_s = output->start_s + (int64_t)sub * merging->sub_s;
        int64_t after_s = sub == 0 && !QR_PLANT(border_of_points) ? start_s - 1 : start_s;
        int64_t until_s = sub + 1 == n_subs ? INT64_MAX : start_s + merging->sub_s;
        struct qr_block_chunk chunk = {.host = merging->host, .chart = merging->chart, .sub = sub};
        qr_buf_clear(&merging->chunk);
        err = qr_tier_chunk_encode(&merging->codec, &merging->chunk, start_s, &merging->points,
                                   after_s, until_s, &chunk.n_dims, &chunk.n_samples);
        chunk.bytes = qr_buf_slice(&merging->chunk);
        if (err == 0 && chunk.n_samples != 0)
            err = qr_block_writer_add(writer, &chunk);
    }
    return err;
}

static int roll_up_chart(struct merging *merging, struct qr_block_writer *writer)
{
    int err = 0;
    merging->points.n_rows = 0;
    for (uint32_t i = 0; i < merging->n_inputs && err == 0; i++)
        for (uint32_t k = 0; k < merging->inputs[i].n && err == 0; k++)
            err = add_points(merging, &merging->inputs[i], merging->inputs[i].row + k);
    return err == 0 ? put_points(merging, writer) : err;
}

/* ---- all of it ---- */

static void rewind_inputs(struct merging *merging)
{
    for (uint32_t i = 0; i < merging->n_inputs; i++) {
        merging->inputs[i].row = 0;
        merging->inputs[i].host_at = 0;
        merging->inputs[i].n = 0;
    }
}

static int fill(struct qr_block_writer *writer, void *data)
{
    struct merging *merging = data;
    int err = 0;
    rewind_inputs(merging);
    while (err == 0 && next_chart(merging)) {
        if (qr_id_runs_have(merging->forgotten, merging->chart))
            continue;
        err = merging->output.tier == 0 ? merge_chart(merging, writer)
                                        : roll_up_chart(merging, writer);
    }
    return err;
}

int qr_merge_run(struct qr_merge *merge)
{
    struct qr_store *store = merge->state->store;
    struct merging merging = {
        .disk = store->config.disk, .output = merge->id, .forgotten = &merge->forgotten};
    merging.sub_s = qr_merge_sub(&merge->id);
    char path[QR_PATH_BYTES_MAX];
    struct qr_block_written written = {0, 0};
    const struct qr_block_head head = {merge->id, merging.sub_s};
    int err = qr_store_path(store, &merge->id, path);
    if (err == 0)
        err = open_inputs(&merging, merge);
    if (err == 0)
        err = qr_block_write(merging.disk, path, &head, fill, &merging, &written);
    close_inputs(&merging);
    qr_grid_release(&merging.rows);
    qr_grid_release(&merging.part);
    qr_grid_release(&merging.spare);
    qr_points_release(&merging.points);
    qr_points_release(&merging.fine);
    qr_tier_codec_release(&merging.codec);
    qr_buf_release(&merging.chunk);
    merge->bytes = written.bytes;
    merge->hash = written.hash;
    return err;
}
