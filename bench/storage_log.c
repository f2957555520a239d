/* Log entries: their size, and what it takes to write and to read them. */
#include <stdlib.h>

#include "bench/fleet.h"
#include "bench/storage.h"
#include "cluster/command.h"
#include "storage/entry.h"

#define TICKS 600u
#define HOSTS 20u
/* What the log holds at most: a window until its snapshot, and what is kept behind it. */
#define LOG_S 900.0

/* Reads bodies as a follower does, without a store. */
struct reading {
    struct qr_entry_base *bases;
    uint32_t n_charts; /* Of all hosts. */
    double ns;
    uint64_t n_samples, sum;
};

static struct qr_entry_base *find_base(void *data, uint32_t host, uint32_t chart)
{
    struct reading *reading = data;
    (void)host;
    return chart <= reading->n_charts ? &reading->bases[chart - 1] : NULL;
}

static void read_entry(void *data, struct qr_slice entry)
{
    struct reading *reading = data;
    struct qr_command command;
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    qr_bench_must_be_0(qr_command_decode(&command, entry), "command");
    if (command.type != QR_COMMAND_SAMPLES)
        return;
    double start = qr_bench_cpu_ns();
    qr_bench_must_be_0(qr_entry_reader_new(&reader, command.body), "reader");
    while (qr_entry_next_host(reader, &host)) {
        qr_bench_must_be_0(qr_entry_read_rows(reader, find_base, reading), "rows");
        while (qr_entry_next_row(reader, &row)) {
            reading->sum += row.values[0];
            reading->n_samples += row.n;
        }
    }
    qr_entry_reader_free(reader);
    reading->ns += qr_bench_cpu_ns() - start;
}

static void measure_entries(const struct qr_bench *bench, uint32_t n_hosts, enum qr_figure_id size)
{
    struct qr_fleet fleet;
    struct reading reading = {.n_charts = n_hosts * bench->corpus->n_charts};
    reading.bases = qr_bench_must(calloc(reading.n_charts, sizeof *reading.bases));
    qr_fleet_init(&fleet, bench->corpus, n_hosts, read_entry, &reading);
    for (uint32_t t = 0; t < TICKS; t++)
        qr_fleet_tick(&fleet, t);
    qr_figure_set(size, (double)fleet.n_bytes / (double)fleet.n_samples);
    if (n_hosts == HOSTS) {
        qr_figure_set(QR_FIGURE_LOG_ENCODE, fleet.encode_ns / (double)fleet.n_samples);
        qr_figure_set(QR_FIGURE_LOG_DECODE, reading.ns / (double)reading.n_samples);
        qr_figure_set(QR_FIGURE_RAFT_LOG, qr_figure_get(size) * 1e6 * LOG_S / 1e9);
    }
    for (uint32_t i = 0; i < reading.n_charts; i++)
        qr_entry_base_release(&reading.bases[i]);
    free(reading.bases);
    qr_fleet_release(&fleet);
}

void qr_bench_log(const struct qr_bench *bench)
{
    measure_entries(bench, 1, QR_FIGURE_LOG_1);
    for (unsigned pass = 0; pass < bench->passes; pass++)
        measure_entries(bench, HOSTS, QR_FIGURE_LOG_20);
}
