#include "node/ctl/blocks.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "node/ctl/block_dump.h"
#include "node/ctl/block_files.h"
#include "node/ctl/table.h"
#include "storage/block_examine.h"

enum { O_CHART };

static int worse(int a, int b)
{
    return a > b ? a : b;
}

static int refuse(const struct qr_ctl_io *io, const char *path, int err)
{
    qr_buf_printf(io->err, "quoratectl blocks: %s: %s\n", path, qr_strerror(err));
    return err == QR_E_CORRUPT || err == QR_E_VERSION ? QR_CTL_DEGRADED : QR_CTL_FAILED;
}

/* Compact, with a line's end; takes `root`. */
static void print_json(json_t *root, struct qr_buf *out)
{
    char *text = json_dumps(root, JSON_COMPACT);
    qr_buf_printf(out, "%s\n", text != NULL ? text : "{}");
    free(text);
    json_decref(root);
}

/* ---- ls ---- */

struct listing {
    struct qr_ctl_table table;
    json_t *blocks; /* NULL: the table. */
    uint64_t bytes, samples, series;
    size_t n;
};

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static double per(uint64_t bytes, uint64_t samples)
{
    return samples != 0 ? (double)bytes / (double)samples : 0;
}

static void list_row(struct qr_ctl_table *table, const char *path,
                     const struct qr_block_index *index)
{
    const struct qr_block_id *id = &index->head.id;
    char from[QR_TIME_TEXT_BYTES], to[QR_TIME_TEXT_BYTES];
    qr_time_text(id->start_s, from);
    qr_time_text(qr_block_id_end_s(id), to);
    qr_ctl_table_cell(table, "%s", name_of(path));
    qr_ctl_table_cell(table, "%" PRIu32, id->shard);
    qr_ctl_table_cell(table, "%u", id->tier);
    qr_ctl_table_cell(table, "%s", from);
    qr_ctl_table_cell(table, "%s", to);
    qr_ctl_table_cell(table, "%" PRIu64, index->n_samples);
    qr_ctl_table_cell(table, "%" PRIu64, index->n_dims);
    qr_ctl_table_cell(table, "%" PRIu64, index->bytes);
    qr_ctl_table_cell(table, "%.3f", per(index->bytes, index->n_samples));
}

static json_t *json_of(const char *path, const struct qr_block_index *index)
{
    const struct qr_block_id *id = &index->head.id;
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, index->hash);
    return json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "path", path,
                     "shard", (int)id->shard, "tier", (int)id->tier, "start",
                     (json_int_t)id->start_s, "length", (json_int_t)id->window_s, "generation",
                     (json_int_t)id->generation, "samples", (json_int_t)index->n_samples, "charts",
                     (json_int_t)index->n_charts, "series", (json_int_t)index->n_dims, "chunks",
                     (json_int_t)index->n_chunks, "bytes", (json_int_t)index->bytes, "hash", hash);
}

static void list_file(struct listing *listing, const char *path, const struct qr_block_index *index)
{
    listing->bytes += index->bytes;
    listing->samples += index->n_samples;
    listing->series += index->n_dims;
    listing->n++;
    if (listing->blocks != NULL)
        json_array_append_new(listing->blocks, json_of(path, index));
    else
        list_row(&listing->table, path, index);
}

static int run_ls(const struct qr_ctl_io *io, const struct qr_block_paths *paths)
{
    static const char *const heads[] = {"FILE",     ">SHARD",  ">TIER",  "FROM",      "TO",
                                        ">SAMPLES", ">SERIES", ">BYTES", ">B/SAMPLE", NULL};
    struct listing listing = {.blocks = io->json ? json_array() : NULL};
    qr_ctl_table_init(&listing.table, heads);
    int code = QR_CTL_DONE;
    for (size_t i = 0; i < paths->n; i++) {
        struct qr_block_index *index;
        int err = qr_block_open(&index, paths->at[i].path);
        if (err != 0) {
            code = worse(code, refuse(io, paths->at[i].path, err));
            continue;
        }
        list_file(&listing, paths->at[i].path, index);
        free(index);
    }
    if (listing.blocks != NULL) {
        print_json(json_pack("{s:o, s:I, s:I}", "blocks", listing.blocks, "samples",
                             (json_int_t)listing.samples, "bytes", (json_int_t)listing.bytes),
                   io->out);
    } else {
        if (listing.n != 0)
            qr_ctl_table_print(&listing.table, io->out);
        qr_buf_printf(io->out, "%zu files, %" PRIu64 " samples, %" PRIu64 " bytes, %.3f B/sample\n",
                      listing.n, listing.samples, listing.bytes,
                      per(listing.bytes, listing.samples));
    }
    qr_ctl_table_release(&listing.table);
    return code;
}

/* ---- dump ---- */

static int run_dump(const struct qr_ctl_io *io, const struct qr_block_paths *paths,
                    const char *chart_text)
{
    uint32_t chart = 0;
    if (chart_text != NULL) {
        char *end;
        unsigned long long v = strtoull(chart_text, &end, 10);
        if (*end != '\0' || chart_text[0] == '\0' || v == 0 || v > UINT32_MAX) {
            qr_buf_printf(io->err, "quoratectl blocks: --chart is a chart's number, not %s\n",
                          chart_text);
            return QR_CTL_FAILED;
        }
        chart = (uint32_t)v;
    }
    int code = QR_CTL_DONE;
    json_t *files = io->json ? json_array() : NULL;
    for (size_t i = 0; i < paths->n; i++) {
        const char *path = paths->at[i].path;
        struct qr_block_index *index;
        int err = qr_block_open(&index, path);
        if (err == 0) {
            json_t *file = files != NULL ? json_of(path, index) : NULL;
            err = chart != 0 ? qr_block_dump_chart(index, path, chart, io->out, file)
                             : qr_block_dump(index, path, io->out, file);
            if (file != NULL)
                json_array_append_new(files, file);
            free(index);
        }
        if (err != 0)
            code = worse(code, refuse(io, path, err));
    }
    if (files != NULL)
        print_json(json_pack("{s:o}", "blocks", files), io->out);
    return code;
}

/* ---- verify ---- */

struct verification {
    const struct qr_ctl_io *io;
    const char *path;
    json_t *findings; /* NULL: as text. */
    uint64_t shown_ns;
    size_t at, n;
    bool is_shown;
};

static void on_found(void *data, uint64_t from, uint64_t to, const char *sentence)
{
    struct verification *v = data;
    if (v->findings != NULL)
        json_array_append_new(v->findings, json_pack("{s:I, s:I, s:s}", "from", (json_int_t)from,
                                                     "to", (json_int_t)to, "sentence", sentence));
    else
        qr_buf_printf(v->io->out, "%s: bytes %" PRIu64 " to %" PRIu64 ": %s\n", v->path, from,
                      to > from ? to - 1 : to, sentence);
}

/* At most twice a second, on the terminal. */
static void on_progress(void *data, uint64_t done, uint64_t bytes)
{
    struct verification *v = data;
    uint64_t now_ns = uv_hrtime();
    if (now_ns - v->shown_ns < 500000000u || !isatty(STDERR_FILENO))
        return;
    v->shown_ns = now_ns;
    v->is_shown = true;
    fprintf(stderr, "\rfile %zu of %zu, %3" PRIu64 " %%", v->at + 1, v->n, done * 100 / bytes);
}

static int verify_file(struct verification *v, json_t *files)
{
    const struct qr_block_exam exam = {on_found, on_progress, v};
    v->findings = files != NULL ? json_array() : NULL;
    int err = qr_block_examine(&qr_disk_files, v->path, &exam);
    bool is_damaged = err == QR_E_CORRUPT || err == QR_E_VERSION;
    if (files != NULL)
        json_array_append_new(files, json_pack("{s:s, s:b, s:o}", "path", v->path, "sound",
                                               err == 0, "findings", v->findings));
    else if (err == 0)
        qr_buf_printf(v->io->out, "%s: sound\n", v->path);
    if (err != 0 && !is_damaged)
        return refuse(v->io, v->path, err);
    return is_damaged ? QR_CTL_DEGRADED : QR_CTL_DONE;
}

static int run_verify(const struct qr_ctl_io *io, const struct qr_block_paths *paths)
{
    struct verification v = {.io = io, .n = paths->n, .shown_ns = uv_hrtime()};
    json_t *files = io->json ? json_array() : NULL;
    int code = QR_CTL_DONE;
    for (v.at = 0; v.at < paths->n; v.at++) {
        v.path = paths->at[v.at].path;
        code = worse(code, verify_file(&v, files));
    }
    if (v.is_shown)
        fputs("\r\033[K", stderr);
    if (files != NULL)
        print_json(json_pack("{s:o}", "blocks", files), io->out);
    return code;
}

/* ---- the command ---- */

static int run(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    const char *verb = args->words[0];
    bool is_dump = strcmp(verb, "dump") == 0;
    if ((!is_dump && strcmp(verb, "ls") != 0 && strcmp(verb, "verify") != 0) ||
        (args->n[O_CHART] != 0 && !is_dump)) {
        qr_buf_add_str(io->err, "Usage: quoratectl blocks ls|dump|verify PATH... [--json]\n"
                                "Try: quoratectl help blocks\n");
        return QR_CTL_FAILED;
    }
    struct qr_block_paths paths = {0};
    int code = QR_CTL_DONE;
    for (unsigned i = 1; i < args->n_words; i++) {
        int err = qr_block_paths_add(&paths, args->words[i]);
        if (err != 0)
            code = refuse(io, args->words[i], err);
    }
    if (code == QR_CTL_DONE)
        code = is_dump                   ? run_dump(io, &paths, qr_ctl_value(args, O_CHART))
               : strcmp(verb, "ls") == 0 ? run_ls(io, &paths)
                                         : run_verify(io, &paths);
    qr_block_paths_release(&paths);
    return code;
}

const struct qr_ctl_command qr_ctl_blocks = {
    .name = "blocks",
    .line = "Shows and verifies block files; no member is needed.",
    .more = "\n"
            "  ls       Lists files: shard, tier, span of time, samples, series, bytes.\n"
            "  dump     Shows a file's header, index and pages, or a chart's rows.\n"
            "  verify   Reads files through, decodes everything, and says what is damaged.\n"
            "\nA PATH is a block file or a folder of them (DATA/group-1/blocks).\n",
    .words = "ls|dump|verify PATH...",
    .words_min = 2,
    .words_max = UINT32_MAX,
    .options = {{"--chart", "NUMBER", "dump: the rows of this chart.", false}},
    .exits = "0 all files are sound; 1 a file is damaged; 2 wrong usage, or a file cannot be read",
    .run = run,
};
