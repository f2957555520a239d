#include "bench/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "node/bodies.h"

#define BLOCKS_MAX 256u /* Of one entry. */

void qr_fleet_init(struct qr_fleet *fleet, const struct qr_corpus *corpus, uint32_t n_hosts,
                   void (*emit)(void *data, struct qr_slice entry), void *data)
{
    *fleet = (struct qr_fleet){.corpus = corpus, .n_hosts = n_hosts, .emit = emit, .data = data};
    size_t n = (size_t)n_hosts * corpus->n_charts;
    fleet->bases = qr_bench_must(calloc(n, sizeof *fleet->bases));
    fleet->blocks = qr_bench_must(calloc(n_hosts, sizeof *fleet->blocks));
    fleet->rows =
        qr_bench_must(calloc((size_t)corpus->n_rows * corpus->n_series, sizeof *fleet->rows));
    for (uint32_t s = 0; s < corpus->n_series; s++)
        for (uint32_t row = 0; row < corpus->n_rows; row++)
            fleet->rows[(size_t)row * corpus->n_series + s] = qr_corpus_column(corpus, s)[row];
    for (uint32_t h = 0; h < n_hosts; h++)
        qr_entry_block_init(&fleet->blocks[h]);
}

void qr_fleet_release(struct qr_fleet *fleet)
{
    for (size_t i = 0; i < (size_t)fleet->n_hosts * fleet->corpus->n_charts; i++)
        qr_entry_base_release(&fleet->bases[i]);
    for (uint32_t h = 0; h < fleet->n_hosts; h++)
        qr_entry_block_release(&fleet->blocks[h]);
    free(fleet->bases);
    free(fleet->blocks);
    free(fleet->rows);
}

uint32_t qr_fleet_row(const struct qr_fleet *fleet, uint32_t host, uint32_t t)
{
    uint64_t n = fleet->corpus->n_rows;
    return (uint32_t)((t + host * UINT64_C(67) + t / n * 97) % n);
}

void qr_fleet_propose(struct qr_fleet *fleet, enum qr_command_type type, uint32_t t,
                      const struct qr_buf *body)
{
    struct qr_buf entry = {0};
    const struct qr_command command = {.type = type,
                                       .member = 1,
                                       .incarnation = 1,
                                       .sequence = ++fleet->sequence,
                                       .time_us = (QR_FLEET_START_S + t) * 1000000,
                                       .body = qr_buf_slice(body)};
    qr_bench_must_be_0(qr_command_encode(&entry, &command), "entry");
    if (type == QR_COMMAND_SAMPLES)
        fleet->n_bytes += entry.len;
    fleet->emit(fleet->data, qr_buf_slice(&entry));
    qr_buf_release(&entry);
}

/* ---- definitions ---- */

static void encode_chart(const struct qr_fleet *fleet, uint32_t c, struct qr_buf *out)
{
    const struct qr_corpus_chart *chart = &fleet->corpus->charts[c];
    struct qr_dim_def *dims = qr_bench_must(calloc(chart->n, sizeof *dims));
    for (uint32_t d = 0; d < chart->n; d++) {
        const char *id = fleet->corpus->dims[chart->first + d];
        dims[d] = (struct qr_dim_def){id, id, 1, 1, 0, 0};
    }
    const struct qr_chart_def def = {.id = chart->id,
                                     .name = chart->id,
                                     .title = chart->context,
                                     .units = chart->units,
                                     .family = chart->family,
                                     .context = chart->context,
                                     .plugin = "proc.plugin",
                                     .module = "",
                                     .priority = (int32_t)c,
                                     .update_every = 1,
                                     .n_dims = chart->n,
                                     .dims = dims};
    qr_bench_must_be_0(qr_chart_def_encode(out, &def), "chart");
    free(dims);
}

static void define_charts(struct qr_fleet *fleet, uint32_t host)
{
    struct qr_charts_body body;
    qr_charts_body_init(&body, host + 1, 1);
    for (uint32_t c = 0; c < fleet->corpus->n_charts; c++) {
        struct qr_buf def = {0};
        encode_chart(fleet, c, &def);
        if (!qr_charts_body_fits(&body, def.len)) {
            qr_fleet_propose(fleet, QR_COMMAND_CHARTS, 0, qr_charts_body_finish(&body));
            qr_charts_body_release(&body);
            qr_charts_body_init(&body, host + 1, 1);
        }
        qr_charts_body_add(&body, qr_buf_slice(&def));
        qr_buf_release(&def);
    }
    qr_fleet_propose(fleet, QR_COMMAND_CHARTS, 0, qr_charts_body_finish(&body));
    qr_charts_body_release(&body);
}

void qr_fleet_define(struct qr_fleet *fleet)
{
    for (uint32_t h = 0; h < fleet->n_hosts; h++) {
        char name[32];
        struct qr_guid guid = {{1, (uint8_t)h, (uint8_t)(h >> 8), (uint8_t)(h >> 16)}};
        struct qr_buf body = {0};
        snprintf(name, sizeof name, "host-%u", h);
        const struct qr_host_def def = {.guid = guid,
                                        .hostname = name,
                                        .registry_hostname = name,
                                        .os = "linux",
                                        .timezone = "UTC",
                                        .abbrev_timezone = "UTC",
                                        .update_every = 1,
                                        .hops = 1,
                                        .program_name = "netdata",
                                        .program_version = "v1.37.1"};
        qr_bench_must_be_0(qr_host_def_encode(&body, &def), "host");
        qr_fleet_propose(fleet, QR_COMMAND_HOST, 0, &body);
        qr_buf_clear(&body);
        qr_own_body_encode(&body, &guid, h + 1, &(struct qr_claim){0});
        qr_fleet_propose(fleet, QR_COMMAND_OWN, 0, &body);
        qr_buf_release(&body);
        define_charts(fleet, h);
    }
}

/* ---- samples ---- */

static void fill_block(struct qr_fleet *fleet, uint32_t h, uint32_t t)
{
    const struct qr_corpus *corpus = fleet->corpus;
    struct qr_entry_block *block = &fleet->blocks[h];
    const uint32_t *row = fleet->rows + (size_t)qr_fleet_row(fleet, h, t) * corpus->n_series;
    qr_entry_block_clear(block);
    block->host = h + 1;
    block->epoch = 1;
    block->block_seq++;
    double start = qr_bench_cpu_ns();
    for (uint32_t c = 0; c < corpus->n_charts; c++) {
        const struct qr_corpus_chart *chart = &corpus->charts[c];
        qr_bench_must_be_0(qr_entry_block_row(block,
                                              &fleet->bases[(size_t)h * corpus->n_charts + c],
                                              h * corpus->n_charts + c + 1, QR_FLEET_START_S + t,
                                              row + chart->first, chart->n),
                           "row");
    }
    fleet->encode_ns += qr_bench_cpu_ns() - start;
    fleet->n_samples += corpus->n_series;
}

void qr_fleet_tick(struct qr_fleet *fleet, uint32_t t)
{
    struct qr_entry_block *batch[BLOCKS_MAX];
    struct qr_buf body = {0};
    unsigned n = 0;
    size_t bytes = 0;
    for (uint32_t h = 0; h < fleet->n_hosts; h++) {
        fill_block(fleet, h, t);
        batch[n++] = &fleet->blocks[h];
        bytes += qr_entry_block_bytes(&fleet->blocks[h]);
        if (bytes < QR_BATCH_BYTES_MAX && n < BLOCKS_MAX && h + 1 < fleet->n_hosts)
            continue;
        double start = qr_bench_cpu_ns();
        qr_buf_clear(&body);
        qr_bench_must_be_0(qr_entry_encode(&body, batch, n), "batch");
        fleet->encode_ns += qr_bench_cpu_ns() - start;
        qr_fleet_propose(fleet, QR_COMMAND_SAMPLES, t, &body);
        n = 0;
        bytes = 0;
    }
    qr_buf_release(&body);
}

void qr_fleet_seal(struct qr_fleet *fleet, uint32_t t)
{
    struct qr_buf body = {0};
    qr_time_body_encode(&body, QR_FLEET_START_S + t);
    qr_fleet_propose(fleet, QR_COMMAND_SEAL, t, &body);
    qr_buf_release(&body);
}
