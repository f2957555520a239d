/* What forwarding costs: rows of the store into the bytes for a parent.
 *
 * usage: qr_bench_forward [--charts N] [--dims N] [--seconds N] [--only NAME]
 *
 * Values of simulated charts, rounded as the store holds them, go through proto/sender, live, with
 * a flush a second; the bytes are counted and forgotten.  CPU time of this thread, the best of
 * three runs. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "bench/measure.h"
#include "proto/request.h"
#include "proto/sender.h"
#include "storage/value.h"
#include "testing/model.h"

#define FIRST_S 1760000000
#define RUNS    3
#define ROWS    32 /* Of each chart, said again and again. */
#define CAPS_V1                                                                                    \
    (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_BINARY | QR_CAP_REPLICATION)
#define CAPS_V2   (CAPS_V1 | QR_CAP_INTERPOLATED | QR_CAP_SLOTS)
#define CAPS_IEEE (CAPS_V2 | QR_CAP_IEEE754)

static const struct protocol {
    const char *name;
    uint32_t caps;
} protocols[] = {
    {"v1 text", CAPS_V1},
    {"v2 base64", CAPS_IEEE},
    {"v2 decimal", CAPS_V2},
    {"v1 LZ4", CAPS_V1 | QR_CAP_LZ4},
    {"v2 LZ4", CAPS_IEEE | QR_CAP_LZ4},
    {"v2 ZSTD", CAPS_IEEE | QR_CAP_ZSTD},
    {"v2 gzip", CAPS_IEEE | QR_CAP_GZIP},
    {"v2 brotli", CAPS_IEEE | QR_CAP_BROTLI},
};

/* ---- what is forwarded ---- */

struct source {
    struct qr_model model;
    double *values; /* ROWS x charts x dims */
    uint8_t *flags;
    uint64_t n_values; /* Of all, not empty ones. */
};

static void fill(struct source *source)
{
    const struct qr_model *m = &source->model;
    size_t n = (size_t)ROWS * m->n_charts * m->n_dims, i = 0;
    source->values = calloc(n, sizeof(double));
    source->flags = calloc(n, 1);
    qr_bench_must_be(source->values != NULL && source->flags != NULL, "no memory for values");
    for (int64_t row = 0; row < ROWS; row++)
        for (uint32_t chart = 0; chart < m->n_charts; chart++)
            for (uint32_t dim = 0; dim < m->n_dims; dim++, i++) {
                double value;
                bool has = qr_model_value(m, 0, chart, dim, FIRST_S + row, &value);
                source->values[i] = has ? qr_value_unpack(qr_value_pack(value, 0)) : (double)NAN;
                source->flags[i] = (uint8_t)(has ? 0 : QR_STREAM_EMPTY);
                source->n_values += has;
            }
}

/* ---- forwarding ---- */

struct forwarder {
    struct qr_sender *sender;
    struct qr_sender_chart **charts;
    uint64_t n_bytes;
};

static void on_send(void *data, struct qr_slice bytes)
{
    ((struct forwarder *)data)->n_bytes += bytes.len;
}

/* The bench's parent has all that we have: one row starts the stream. */
static void on_replay(void *data, struct qr_sender_chart *chart,
                      const struct qr_sender_replay *replay)
{
    struct forwarder *f = data;
    double values[512] = {0};
    uint8_t flags[512] = {0};
    const struct qr_stream_row row = {.end_s = FIRST_S - 1,
                                      .update_every = 1,
                                      .n = *(const uint32_t *)chart->data,
                                      .values = values,
                                      .flags = flags};
    const struct qr_sender_answer answer = {FIRST_S - 1, FIRST_S - 1, FIRST_S - 1, true};
    (void)replay;
    qr_sender_answer_begin(f->sender, chart);
    qr_sender_answer_row(f->sender, &row);
    qr_sender_answer_end(f->sender, &answer);
}

static void on_redefine(void *data, struct qr_sender_chart *chart)
{
    (void)data;
    (void)chart;
    qr_bench_must_be(false, "a chart must be defined anew");
}

static void define(struct forwarder *f, struct source *source, uint32_t chart)
{
    char id[QR_MODEL_NAME_BYTES], text[128];
    static char dim_ids[512][QR_MODEL_NAME_BYTES];
    static struct qr_stream_dim dims[512];
    for (uint32_t i = 0; i < source->model.n_dims; i++) {
        qr_model_dim_id(i, dim_ids[i]);
        dims[i] = (struct qr_stream_dim){.id = qr_slice_str(dim_ids[i]),
                                         .name = qr_slice_str(dim_ids[i]),
                                         .multiplier = 1,
                                         .divisor = 1};
    }
    qr_model_chart_id(chart, id);
    const struct qr_stream_chart c = {.id = qr_slice_str(id),
                                      .name = qr_slice_str(id),
                                      .update_every = 1,
                                      .n_dims = source->model.n_dims,
                                      .dims = dims};
    const struct qr_sender_definition definition = {
        .chart = &c, .first_s = FIRST_S - 1, .last_s = FIRST_S - 1};
    qr_bench_must_be(qr_sender_define(f->sender, &definition, &f->charts[chart]) == 0,
                     "no memory for a chart");
    f->charts[chart]->data = &source->model.n_dims;
    snprintf(text, sizeof text, "REPLAY_CHART \"%s\" \"true\" %d %d\n", id, FIRST_S - 2,
             FIRST_S - 1);
    qr_bench_must_be(qr_sender_feed(f->sender, qr_slice_str(text)) == 0, "a request is refused");
    qr_bench_must_be(qr_sender_is_live(f->charts[chart]), "a chart does not stream");
}

static void forward(struct forwarder *f, const struct source *source, unsigned seconds)
{
    const struct qr_model *m = &source->model;
    for (unsigned second = 0; second < seconds; second++) {
        size_t at = (size_t)(second % ROWS) * m->n_charts * m->n_dims;
        for (uint32_t chart = 0; chart < m->n_charts; chart++, at += m->n_dims) {
            const struct qr_stream_row row = {.end_s = FIRST_S + second,
                                              .update_every = 1,
                                              .n = m->n_dims,
                                              .values = source->values + at,
                                              .flags = source->flags + at};
            qr_bench_must_be(qr_sender_row(f->sender, f->charts[chart], &row), "a row is refused");
        }
        qr_sender_flush(f->sender);
    }
}

static double run(struct source *source, uint32_t caps, unsigned seconds, double *bytes)
{
    struct forwarder f = {.charts = calloc(source->model.n_charts, sizeof *f.charts)};
    const struct qr_sender_config config = {.caps = caps, .clock = &qr_clock_system};
    const struct qr_sender_handler handler = {
        .data = &f, .send = on_send, .replay = on_replay, .redefine = on_redefine};
    qr_bench_must_be(f.charts != NULL && qr_sender_new(&f.sender, &config, &handler) == 0,
                     "no memory");
    for (uint32_t chart = 0; chart < source->model.n_charts; chart++)
        define(&f, source, chart);
    forward(&f, source, 5);
    struct qr_sender_stats before, after;
    qr_sender_get_stats(f.sender, &before);
    f.n_bytes = 0;
    /* Rows that were sent are passed over, so the warm-up costs nothing here. */
    double from = qr_bench_cpu_s();
    forward(&f, source, seconds);
    double took = qr_bench_cpu_s() - from;
    qr_sender_get_stats(f.sender, &after);
    double n = (double)(after.samples - before.samples);
    *bytes = (double)f.n_bytes / n;
    qr_sender_free(f.sender);
    free(f.charts);
    return n / took / 1e6;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"charts", required_argument, NULL, 'c'},
                                            {"dims", required_argument, NULL, 'd'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"only", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    unsigned charts = 200, dims = 10, seconds = 300;
    const char *only = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned n = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (c == 'c')
            charts = n;
        else if (c == 'd')
            dims = n;
        else if (c == 's')
            seconds = n;
        else if (c == 'o')
            only = optarg;
        else
            return 2;
    }
    qr_bench_must_be(charts > 0 && dims > 0 && dims <= 512 && seconds > 5,
                     "--charts, --dims (to 512) and --seconds (from 6) are numbers");
    struct source source = {
        .model = {.seed = 1, .n_hosts = 1, .n_charts = charts, .n_dims = dims, .update_every = 1}};
    fill(&source);
    printf("%u charts of %u dimensions, %u s; best of %d, CPU time\n", charts, dims, seconds, RUNS);
    for (size_t i = 0; i < QR_COUNT(protocols); i++) {
        double best = 0, bytes = 0;
        if (only != NULL && strcmp(only, protocols[i].name) != 0)
            continue;
        for (int k = 0; k < RUNS; k++) {
            double rate = run(&source, protocols[i].caps, seconds, &bytes);
            best = rate > best ? rate : best;
        }
        printf("%-10s %8.2f M samples/s   %.1f bytes/sample\n", protocols[i].name, best, bytes);
    }
    free(source.values);
    free(source.flags);
    return 0;
}
