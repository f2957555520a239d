/* Six hours of one host in files: their size, queries on them, and bringing them to another. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "bench/fleet.h"
#include "bench/replica.h"
#include "bench/storage.h"
#include "cluster/image.h"
#include "storage/query.h"

#define WINDOW_S 600u
#define HOURS    6u
#define SPAN_S   (HOURS * 3600)
#define DIMS     10u

static void fill(struct qr_fleet *fleet)
{
    qr_fleet_define(fleet);
    for (uint32_t t = 0; t < SPAN_S; t++) {
        qr_fleet_tick(fleet, t);
        if ((t + 1) % WINDOW_S == 0)
            qr_fleet_seal(fleet, t + 1 - WINDOW_S);
    }
}

static uint64_t query(struct qr_replica *replica, uint32_t chart, uint32_t from_s, uint32_t span_s)
{
    struct qr_query *query;
    struct qr_slab slab;
    uint64_t n = 0;
    int slot = qr_store_enter(replica->store);
    qr_bench_must_be_0(
        qr_query_open(&query, replica->store, qr_store_chart_by_id(replica->store, chart),
                      QR_FLEET_START_S + from_s, QR_FLEET_START_S + from_s + span_s - 1),
        "query");
    while (qr_query_next(query, &slab) == 1)
        n += slab.n_rows;
    qr_query_close(query);
    qr_store_leave(replica->store, slot);
    return n;
}

static void forget_file(void *data, const char *name)
{
    const char *dir = data;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void forget_files(struct qr_replica *replica)
{
    qr_disk_files.list(&qr_disk_files, replica->dir, forget_file, replica->dir);
}

/* The chart whose number of dimensions is nearest to ten. */
static uint32_t pick_chart(const struct qr_corpus *corpus)
{
    uint32_t best = 0, best_off = UINT32_MAX;
    for (uint32_t c = 0; c < corpus->n_charts; c++) {
        uint32_t n = corpus->charts[c].n, off = n > DIMS ? n - DIMS : DIMS - n;
        if (off < best_off) {
            best = c;
            best_off = off;
        }
    }
    return best + 1;
}

static void measure_queries(const struct qr_bench *bench, struct qr_replica *replica,
                            enum qr_figure_id reads)
{
    uint32_t chart = pick_chart(bench->corpus);
    for (unsigned pass = 0; pass < bench->passes * 10; pass++) {
        uint32_t from_s = pass % (HOURS - 1) * 3600;
        forget_files(replica);
        double start = qr_bench_wall_ns();
        query(replica, chart, from_s, 3600);
        double cold = qr_bench_wall_ns();
        uint64_t n = atomic_load(&replica->disk.n_reads);
        if (query(replica, chart, from_s, 3600) != 3600)
            qr_bench_must_be_0(1, "a query lacks rows");
        qr_figure_set(QR_FIGURE_CHART_WARM, (qr_bench_wall_ns() - cold) / 1e6);
        qr_figure_set(QR_FIGURE_CHART_COLD, (cold - start) / 1e6);
        qr_figure_set(reads, (double)(atomic_load(&replica->disk.n_reads) - n));
    }
}

/* Adds up all that there is, in hours. */
static void measure_scan(const struct qr_bench *bench, struct qr_replica *replica)
{
    struct qr_aggregate *sums = qr_bench_must(malloc(QR_DIMS_PER_CHART_MAX * HOURS * sizeof *sums));
    const struct qr_buckets hours = {QR_FLEET_START_S - 1 + 3600, 3600, HOURS};
    for (unsigned pass = 0; pass < bench->passes; pass++) {
        uint64_t n = 0;
        int slot = qr_store_enter(replica->store);
        double start = qr_bench_cpu_ns();
        for (uint32_t c = 1; c <= bench->corpus->n_charts; c++) {
            struct qr_query *query;
            const struct qr_chart *chart = qr_store_chart_by_id(replica->store, c);
            uint32_t n_dims = bench->corpus->charts[c - 1].n;
            memset(sums, 0, (size_t)n_dims * HOURS * sizeof *sums);
            qr_bench_must_be_0(qr_query_open(&query, replica->store, chart, QR_FLEET_START_S - 3600,
                                             QR_FLEET_START_S + SPAN_S + 3600),
                               "query");
            qr_bench_must_be_0(qr_query_aggregate(query, &hours, n_dims, sums), "sums");
            qr_query_close(query);
            for (uint32_t i = 0; i < n_dims * HOURS; i++)
                n += sums[i].count;
        }
        qr_figure_set(QR_FIGURE_SCAN, (double)n / (qr_bench_cpu_ns() - start));
        qr_store_leave(replica->store, slot);
    }
    free(sums);
}

static double copy_file(struct qr_replica *from, struct qr_replica *to,
                        const struct qr_block_name *name)
{
    char path[512], fetched[512];
    struct qr_disk *disk = &qr_disk_files;
    char *bytes = qr_bench_must(malloc(name->bytes));
    qr_bench_must_be_0(qr_store_block_path(from->store, name->name, path, sizeof path), "path");
    if (disk->read(disk, path, 0, bytes, name->bytes) != (ssize_t)name->bytes)
        qr_bench_must_be_0(1, "a file is short");
    qr_bench_must_be_0(qr_store_fetch_path(to->store, name->name, fetched, sizeof fetched), "path");
    qr_bench_must_be_0(qr_disk_write_file(disk, fetched, bytes, name->bytes), "write");
    qr_bench_must_be_0(qr_store_fetched(to->store, name->name), "a fetched file");
    free(bytes);
    return (double)name->bytes;
}

static void measure_catch_up(struct qr_replica *replica)
{
    static struct qr_block_name names[256];
    struct qr_replica late;
    struct qr_buf snapshot = {0};
    double bytes = 0;
    qr_replica_init(&late, NULL, WINDOW_S);
    qr_bench_must_be_0(qr_image_make(replica->machine, &snapshot), "snapshot");
    double start = qr_bench_wall_ns();
    qr_bench_must_be_0(qr_image_restore(late.machine, qr_buf_slice(&snapshot)), "restore");
    unsigned n = qr_store_missing(late.store, names, 256);
    for (unsigned i = 0; i < n; i++)
        bytes += copy_file(replica, &late, &names[i]);
    qr_figure_set(QR_FIGURE_CATCH_UP, bytes / 1e6 / ((qr_bench_wall_ns() - start) / 1e9));
    qr_buf_release(&snapshot);
    qr_replica_release(&late);
}

void qr_bench_files(const struct qr_bench *bench)
{
    struct qr_fleet fleet;
    struct qr_replica replica;
    struct qr_store_stats stats;
    qr_replica_init(&replica, NULL, WINDOW_S);
    qr_fleet_init(&fleet, bench->corpus, 1, qr_replica_apply, &replica);
    fill(&fleet);
    qr_store_get_stats(replica.store, &stats);
    qr_figure_set(QR_FIGURE_DISK, (double)stats.block_bytes / (double)fleet.n_samples);
    /* Without loop the seals are in it. */
    qr_figure_set(QR_FIGURE_INGEST, replica.apply_ns / (double)fleet.n_samples);
    measure_queries(bench, &replica, QR_FIGURE_READS);
    measure_scan(bench, &replica);
    for (unsigned pass = 0; pass < bench->passes; pass++)
        measure_catch_up(&replica);
    qr_fleet_release(&fleet);
    qr_replica_release(&replica);
}
