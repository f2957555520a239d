/* A window of many hosts: memory, applying, sealing on a worker, and replaying it all. */
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bench/fleet.h"
#include "bench/replica.h"
#include "bench/storage.h"

#define WINDOW_S   600u
#define LATE_S     40u /* Ticks that come while the window is sealed. */
#define LOOK_EVERY 16u /* Entries. */

/* The log, made before it is measured. */
struct log {
    struct qr_buf *entries;
    uint32_t n, capacity;
};

static void keep(void *data, struct qr_slice entry)
{
    struct log *log = data;
    if (log->n == log->capacity) {
        log->capacity = log->capacity * 2 + 1024;
        log->entries = qr_bench_must(realloc(log->entries, log->capacity * sizeof *log->entries));
    }
    log->entries[log->n] = (struct qr_buf){0};
    qr_buf_add(&log->entries[log->n++], entry.base, entry.len);
}

static void release_log(struct log *log)
{
    for (uint32_t i = 0; i < log->n; i++)
        qr_buf_release(&log->entries[i]);
    free(log->entries);
}

static double heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
}

static double max(double a, double b)
{
    return a > b ? a : b;
}

/* Applies SEAL and goes on with the next seconds until the file is there. */
static void measure_seal(struct qr_replica *replica, const struct log *log, uint32_t at,
                         uv_loop_t *loop, double metrics)
{
    double started = qr_bench_wall_ns(), stall = 0;
    bool sealed = false;
    for (; at < log->n; at++) {
        double start = qr_bench_cpu_ns();
        qr_replica_apply(replica, qr_buf_slice(&log->entries[at]));
        stall = max(stall, qr_bench_cpu_ns() - start);
        start = qr_bench_cpu_ns();
        uv_run(loop, UV_RUN_NOWAIT);
        stall = max(stall, qr_bench_cpu_ns() - start);
        if (!sealed && qr_store_busy(replica->store) == 0) {
            sealed = true;
            qr_figure_set(QR_FIGURE_SEAL, (qr_bench_wall_ns() - started) / 1e9 * 50e3 / metrics);
        }
    }
    while (qr_store_busy(replica->store) != 0) {
        double start = qr_bench_cpu_ns();
        uv_run(loop, UV_RUN_ONCE);
        stall = max(stall, qr_bench_cpu_ns() - start);
    }
    if (!sealed)
        qr_figure_set(QR_FIGURE_SEAL, (qr_bench_wall_ns() - started) / 1e9 * 50e3 / metrics);
    qr_figure_set(QR_FIGURE_SEAL_STALL, stall / 1e6);
}

static void measure(const struct log *log, uint32_t seal_at, uint32_t samples_from, double metrics)
{
    struct qr_replica replica;
    struct qr_store_stats stats;
    uv_loop_t loop;
    uv_loop_init(&loop);
    double heap = heap_bytes(), head = 0, all = 0; /* The most of both. */
    qr_replica_init(&replica, &loop, WINDOW_S);
    for (uint32_t i = 0; i < seal_at; i++) {
        if (i == samples_from)
            replica.apply_ns = 0;
        qr_replica_apply(&replica, qr_buf_slice(&log->entries[i]));
        uv_run(&loop, UV_RUN_NOWAIT);
        if (i % LOOK_EVERY != 0)
            continue;
        /* In life there is time between seconds for what workers do. */
        while (qr_store_busy(replica.store) != 0)
            uv_run(&loop, UV_RUN_ONCE);
        qr_store_get_stats(replica.store, &stats);
        head = max(head, (double)stats.head_bytes);
        all = max(all, heap_bytes() - heap);
    }
    double ns = replica.apply_ns / (metrics * WINDOW_S);
    qr_figure_set(QR_FIGURE_APPLY, ns);
    qr_figure_set(QR_FIGURE_RESTART, ns * 1e6 * WINDOW_S / 1e9);
    qr_figure_set(QR_FIGURE_HEAD, head / metrics / 1024);
    qr_figure_set(QR_FIGURE_HEAD_ALL, all / metrics / 1024);
    measure_seal(&replica, log, seal_at, &loop, metrics);
    qr_replica_release(&replica);
    uv_loop_close(&loop);
}

void qr_bench_window(const struct qr_bench *bench)
{
    struct qr_fleet fleet;
    struct log log = {0};
    qr_fleet_init(&fleet, bench->corpus, bench->n_hosts, keep, &log);
    qr_fleet_define(&fleet);
    uint32_t samples_from = log.n;
    for (uint32_t t = 0; t < WINDOW_S; t++)
        qr_fleet_tick(&fleet, t);
    uint32_t seal_at = log.n;
    qr_fleet_seal(&fleet, 0);
    for (uint32_t t = WINDOW_S; t < WINDOW_S + LATE_S; t++)
        qr_fleet_tick(&fleet, t);
    for (unsigned pass = 0; pass < bench->passes; pass++)
        measure(&log, seal_at, samples_from, (double)qr_fleet_metrics(&fleet));
    release_log(&log);
    qr_fleet_release(&fleet);
}
