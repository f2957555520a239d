/* What a member spends its life on: bytes of children into rows that are ready for the log.
 *
 * usage: qr_bench_parse [--charts N] [--dims N] [--seconds N] [--children N] [--only NAME]
 *
 * Simulated children say everything first, into memory; then their bytes go the way of a session:
 * frames, decompression, lines, arithmetic, decimal24, rows in the outbox's blocks.  Two paces:
 *
 *   full speed   one child's bytes in pieces of 64 KiB, as a refill or a benchmark sends them
 *   real time    many children take turns, each with the bytes of one second: every turn finds its
 *                caches cold, as an ingest loop with thousands of children does
 *
 * CPU time of this thread, without sockets; the best of three runs, since the machine is shared. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "bench/measure.h"
#include "node/ingest.h"
#include "node/outbox.h"
#include "proto/caps.h"
#include "proto/frame.h"
#include "proto/stream.h"
#include "storage/value.h"
#include "testing/sender.h"

#define FIRST_S     1760000000
#define PIECE_BYTES (64u * 1024)
#define RUNS        3
/* Definitions are not measured, nor is the minute in which a v1 child lets the parent's clock
 * count: here a second takes no time, so nothing would be stored. */
#define WARM_UP_S 65u
#define CAPS_V1   (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_BINARY)
#define CAPS_V2   (CAPS_V1 | QR_CAP_INTERPOLATED | QR_CAP_IEEE754)

static const struct protocol {
    const char *name;
    uint32_t caps;
    double goal; /* M samples/s */
} protocols[] = {
    {"v1 text", CAPS_V1, 12},
    {"v2 base64", CAPS_V2, 10},
    {"v1 LZ4", CAPS_V1 | QR_CAP_LZ4, 8},
    {"v2 LZ4", CAPS_V2 | QR_CAP_LZ4, 8},
    {"v2 ZSTD", CAPS_V2 | QR_CAP_ZSTD, 8},
    {"v2 gzip", CAPS_V2 | QR_CAP_GZIP, 0},
    {"v2 brotli", CAPS_V2 | QR_CAP_BROTLI, 0},
};

/* ---- what a child says: all of it, and where each second ends ---- */

struct speech {
    struct qr_buf text, wire;
    struct qr_compressor *compressor;
    size_t *ends; /* In `wire`, of each second. */
    uint64_t n_samples;
};

static void on_commit(void *data, struct qr_slice text)
{
    struct speech *speech = data;
    qr_buf_add(&speech->text, text.base, text.len);
    int err = speech->compressor != NULL ? qr_frame_encode(speech->compressor, text, &speech->wire)
                                         : qr_buf_add(&speech->wire, text.base, text.len);
    qr_bench_must_be(err == 0, "no memory for what a child says");
}

static void speak(struct speech *speech, const struct qr_model *model, uint32_t host, uint32_t caps,
                  unsigned seconds)
{
    struct qr_model_sender *sender;
    struct qr_model_sender_config config = {
        .model = model, .host = host, .first_s = FIRST_S, .data = speech, .commit = on_commit};
    *speech = (struct speech){.ends = calloc(seconds, sizeof(size_t))};
    enum qr_compression compression = qr_caps_compression(caps);
    qr_bench_must_be(speech->ends != NULL && qr_model_sender_new(&sender, &config) == 0,
                     "no memory for a child");
    if (compression != QR_COMPRESSION_NONE)
        qr_bench_must_be(qr_compressor_new(&speech->compressor, compression, NULL) == 0,
                         "no memory to compress");
    qr_model_sender_connect(sender, caps);
    for (unsigned i = 0; i < seconds; i++) {
        qr_model_sender_collect(sender, FIRST_S + i);
        speech->ends[i] = speech->wire.len;
    }
    speech->n_samples = qr_model_sender_stats(sender)->samples_live;
    qr_model_sender_free(sender);
    qr_compressor_free(speech->compressor);
}

static void forget(struct speech *speech)
{
    qr_buf_release(&speech->text);
    qr_buf_release(&speech->wire);
    free(speech->ends);
}

/* ---- how a member hears it: node/child's way of a row ---- */

struct hearer {
    struct qr_stream *stream;
    struct qr_decompressor *decompressor;
    struct qr_outbox outbox;
    struct qr_entry_base *bases; /* By slot. */
    size_t at;                   /* Bytes taken. */
    uint64_t n_samples;
};

static struct qr_history_pool *histories; /* As an ingest loop has one. */

static void on_define(void *data, struct qr_stream_chart *chart)
{
    struct hearer *hearer = data;
    struct qr_stream_resume resume = {0};
    qr_bench_must_be(qr_stream_resume(hearer->stream, chart, &resume) == 0,
                     "no memory for a chart");
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct hearer *hearer = data;
    uint32_t cells[512];
    for (uint32_t i = 0; i < row->n; i++) {
        cells[i] =
            row->flags[i] & QR_STREAM_EMPTY ? QR_VALUE_EMPTY : qr_value_pack(row->values[i], 0);
        hearer->n_samples += cells[i] != QR_VALUE_EMPTY;
    }
    qr_bench_must_be(qr_outbox_row(&hearer->outbox, &hearer->bases[chart->slot], chart->slot + 1,
                                   row->end_s, cells, row->n, 1) == 0,
                     "no memory for a row");
}

static void hear(struct hearer *hearer, uint32_t caps, uint32_t n_charts)
{
    static const struct qr_guid guid = {{1}};
    const struct qr_stream_config config = {
        .caps = caps, .update_every = 1, .clock = &qr_clock_system, .machine_guid = &guid};
    const struct qr_stream_handler handler = {.data = hearer, .define = on_define, .row = on_row};
    *hearer = (struct hearer){.bases = calloc(n_charts, sizeof *hearer->bases)};
    enum qr_compression compression = qr_caps_compression(caps);
    qr_bench_must_be(hearer->bases != NULL &&
                         qr_stream_new(&hearer->stream, &config, &handler) == 0,
                     "no memory to hear");
    if (compression != QR_COMPRESSION_NONE)
        qr_bench_must_be(qr_decompressor_new(&hearer->decompressor, compression, histories) == 0,
                         "no memory to unpack");
    qr_outbox_init(&hearer->outbox);
}

static void feed_text(struct hearer *hearer, struct qr_slice text)
{
    if (qr_stream_feed(hearer->stream, text) != 0)
        qr_bench_must_be(false, qr_stream_error_text(hearer->stream));
}

/* Bytes up to `end` of the wire. */
static void feed(struct hearer *hearer, struct qr_slice wire, size_t end)
{
    while (hearer->at < end) {
        struct qr_slice left = qr_slice_of(wire.base + hearer->at, end - hearer->at);
        struct qr_slice text = left;
        ssize_t used = (ssize_t)left.len;
        if (hearer->decompressor != NULL) {
            used = qr_frame_decode(hearer->decompressor, left, &text);
            qr_bench_must_be(used > 0, "a frame is broken");
        } else if (left.len > PIECE_BYTES) {
            text.len = PIECE_BYTES;
            used = PIECE_BYTES;
        }
        feed_text(hearer, text);
        hearer->at += (size_t)used;
    }
    if (hearer->decompressor != NULL)
        qr_decompressor_rest(hearer->decompressor);
    int64_t oldest;
    while (qr_outbox_first(&hearer->outbox, &oldest) != NULL)
        qr_outbox_pop(&hearer->outbox); /* A batch has taken it. */
}

static void fall_silent(struct hearer *hearer, uint32_t n_charts)
{
    qr_stream_free(hearer->stream);
    qr_decompressor_free(hearer->decompressor);
    qr_outbox_release(&hearer->outbox);
    for (uint32_t i = 0; i < n_charts; i++)
        qr_entry_base_release(&hearer->bases[i]);
    free(hearer->bases);
}

/* ---- the two paces ---- */

/* Seconds of CPU for all of the children's samples behind the warm-up. */
static double run(struct speech *speeches, uint32_t n, const struct qr_model *model, uint32_t caps,
                  unsigned seconds, bool real_time, uint64_t *n_samples)
{
    struct hearer *hearers = calloc(n, sizeof *hearers);
    qr_bench_must_be(hearers != NULL, "no memory for children");
    for (uint32_t i = 0; i < n; i++) {
        hear(&hearers[i], caps, model->n_charts);
        feed(&hearers[i], qr_buf_slice(&speeches[i].wire), speeches[i].ends[WARM_UP_S - 1]);
        *n_samples -= hearers[i].n_samples;
    }
    double from = qr_bench_cpu_s();
    if (real_time) {
        for (unsigned second = WARM_UP_S; second < seconds; second++)
            for (uint32_t i = 0; i < n; i++)
                feed(&hearers[i], qr_buf_slice(&speeches[i].wire), speeches[i].ends[second]);
    } else {
        for (uint32_t i = 0; i < n; i++)
            feed(&hearers[i], qr_buf_slice(&speeches[i].wire), speeches[i].ends[seconds - 1]);
    }
    double took = qr_bench_cpu_s() - from;
    for (uint32_t i = 0; i < n; i++) {
        *n_samples += hearers[i].n_samples;
        fall_silent(&hearers[i], model->n_charts);
    }
    free(hearers);
    return took;
}

static double best_of(struct speech *speeches, uint32_t n, const struct qr_model *model,
                      uint32_t caps, unsigned seconds, bool real_time)
{
    double best = 0;
    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t n_samples = 0;
        double took = run(speeches, n, model, caps, seconds, real_time, &n_samples);
        qr_bench_must_be(n_samples > 0, "no sample was heard");
        double rate = (double)n_samples / took / 1e6;
        best = rate > best ? rate : best;
    }
    return best;
}

static void measure(const struct protocol *protocol, const struct qr_model *model, unsigned seconds,
                    bool real_time)
{
    uint32_t n = real_time ? model->n_hosts : 1;
    struct speech *speeches = calloc(n, sizeof *speeches);
    qr_bench_must_be(speeches != NULL, "no memory for children");
    size_t wire = 0;
    uint64_t said = 0;
    for (uint32_t i = 0; i < n; i++) {
        speak(&speeches[i], model, i, protocol->caps, seconds);
        wire += speeches[i].wire.len;
        said += speeches[i].n_samples;
    }
    double rate = best_of(speeches, n, model, protocol->caps, seconds, real_time);
    printf("%-10s %-10s %8.2f M samples/s", protocol->name, real_time ? "real time" : "full speed",
           rate);
    if (protocol->goal > 0 && !real_time)
        printf("   (goal %g)", protocol->goal);
    printf("   %.1f bytes/sample\n", (double)wire / (double)said);
    for (uint32_t i = 0; i < n; i++)
        forget(&speeches[i]);
    free(speeches);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"charts", required_argument, NULL, 'c'},  {"dims", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'}, {"children", required_argument, NULL, 'n'},
        {"only", required_argument, NULL, 'o'},    {NULL, 0, NULL, 0}};
    unsigned charts = 200, dims = 10, seconds = 300, children = 1000;
    const char *only = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned n = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (c == 'c')
            charts = n;
        else if (c == 'd')
            dims = n;
        else if (c == 's')
            seconds = n;
        else if (c == 'n')
            children = n;
        else if (c == 'o')
            only = optarg;
        else
            return 2;
    }
    qr_bench_must_be(charts > 0 && dims > 0 && dims <= 512 && seconds > WARM_UP_S + 1 &&
                         children > 0,
                     "--charts, --dims (to 512), --seconds (from 67) and --children are numbers");
    qr_bench_must_be(qr_history_pool_new(&histories, QR_INGEST_WINDOWS) == 0,
                     "no memory for histories");
    struct qr_model one = {
        .seed = 1, .n_hosts = 1, .n_charts = charts, .n_dims = dims, .update_every = 1};
    /* As many metrics each as a small machine has; fewer seconds, for memory's sake. */
    struct qr_model many = {
        .seed = 1, .n_hosts = children, .n_charts = 20, .n_dims = 5, .update_every = 1};
    printf("full speed: %u charts of %u dimensions, %u s; real time: %u children of 20 charts of "
           "5; best of %d, CPU time\n",
           charts, dims, seconds, children, RUNS);
    for (size_t i = 0; i < QR_COUNT(protocols); i++) {
        if (only != NULL && strcmp(only, protocols[i].name) != 0)
            continue;
        measure(&protocols[i], &one, seconds, false);
        measure(&protocols[i], &many, WARM_UP_S + 12, true);
    }
    return 0;
}
