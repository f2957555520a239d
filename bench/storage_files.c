/* Six hours of one host in files: their size, queries on them, and bringing them to another. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/limits.h"
#include "bench/fleet.h"
#include "bench/replica.h"
#include "bench/storage.h"
#include "cluster/image.h"
#include "node/bodies.h"
#include "storage/block.h"
#include "storage/chunk.h"
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
        if (reads == QR_FIGURE_READS) {
            qr_figure_set(QR_FIGURE_CHART_WARM, (qr_bench_wall_ns() - cold) / 1e6);
            qr_figure_set(QR_FIGURE_CHART_COLD, (cold - start) / 1e6);
        }
        qr_figure_set(reads, (double)(atomic_load(&replica->disk.n_reads) - n));
    }
}

/* The files of a replica, as one would be told that has none. */
static unsigned list_files(struct qr_replica *replica, struct qr_block_name *names, unsigned max)
{
    struct qr_replica late;
    struct qr_buf snapshot = {0};
    qr_replica_init(&late, NULL, WINDOW_S);
    qr_bench_must_be_0(qr_image_make(replica->machine, &snapshot), "snapshot");
    qr_bench_must_be_0(qr_image_restore(late.machine, qr_buf_slice(&snapshot)), "restore");
    unsigned n = qr_store_missing(late.store, names, max);
    qr_buf_release(&snapshot);
    qr_replica_release(&late);
    return n;
}

/* Adds up all series of a file, each to one sum; how many values. */
static uint64_t scan_file(struct qr_block_reader *reader, const char *path,
                          const struct qr_block_name *name)
{
    static struct qr_aggregate sums[QR_DIMS_PER_CHART_MAX];
    struct qr_block_index *index;
    struct qr_chunk chunk;
    struct qr_slice bytes;
    uint64_t n = 0;
    qr_bench_must_be_0(qr_block_index_read(&index, &qr_disk_files, path, name->bytes, name->hash),
                       "index");
    for (uint32_t row = 0; row < index->n_chunks; row++) {
        int64_t start_s = qr_block_sub_start_s(&index->head, qr_block_row_at(index, row).sub);
        qr_bench_must_be_0(qr_block_chunk(reader, index, &qr_disk_files, path, row, &bytes),
                           "chunk");
        qr_bench_must_be_0(qr_chunk_open(&chunk, bytes, start_s, index->head.sub_s), "chunk");
        const struct qr_buckets all = {start_s + index->head.sub_s, index->head.sub_s + 1, 1};
        memset(sums, 0, chunk.n_dims * sizeof *sums);
        qr_bench_must_be_0(qr_chunk_aggregate(&chunk, NULL, &all, sums), "sums");
        for (uint32_t d = 0; d < chunk.n_dims; d++)
            n += sums[d].count;
    }
    free(index);
    return n;
}

static void measure_scan(const struct qr_bench *bench, struct qr_replica *replica)
{
    static struct qr_block_name names[256];
    unsigned n_files = list_files(replica, names, 256);
    for (unsigned pass = 0; pass < bench->passes; pass++) {
        struct qr_block_reader reader = {0};
        uint64_t n = 0;
        double start = qr_bench_cpu_ns();
        for (unsigned i = 0; i < n_files; i++) {
            char path[512];
            qr_bench_must_be_0(
                qr_store_block_path(replica->store, names[i].name, path, sizeof path), "path");
            n += scan_file(&reader, path, &names[i]);
        }
        qr_figure_set(QR_FIGURE_SCAN, (double)n / (qr_bench_cpu_ns() - start));
        qr_block_reader_release(&reader);
    }
}

/* ---- merged ---- */

/* What the leader's keeper does: votes on files, and merges what is due. */
static void vote(struct qr_fleet *fleet, struct qr_replica *replica)
{
    struct qr_store_file files[64];
    unsigned n;
    while ((n = qr_store_unvoted(replica->store, 1, files, QR_COUNT(files))) != 0) {
        for (unsigned i = 0; i < n; i++) {
            const struct qr_sealed sealed = {files[i].id, files[i].bytes, files[i].hash};
            struct qr_buf body = {0};
            qr_sealed_encode(&body, &sealed);
            qr_fleet_propose(fleet, QR_COMMAND_SEALED, SPAN_S, &body);
            qr_buf_release(&body);
        }
    }
}

static void merge(struct qr_fleet *fleet, struct qr_replica *replica)
{
    struct qr_block_id id;
    vote(fleet, replica);
    while (qr_store_merge_due(replica->store, QR_FLEET_START_S + SPAN_S, &id)) {
        const struct qr_merge_body merge = {id.tier, id.shard, id.start_s};
        struct qr_buf body = {0};
        qr_merge_body_encode(&body, &merge);
        qr_fleet_propose(fleet, QR_COMMAND_MERGE, SPAN_S, &body);
        qr_buf_release(&body);
        vote(fleet, replica);
    }
    qr_store_poll(replica->store);
}

struct tier_bytes {
    const char *dir;
    uint64_t at[QR_TIERS];
};

static void add_file(void *data, const char *name)
{
    struct tier_bytes *bytes = data;
    struct qr_block_id id;
    char path[512];
    uint64_t size;
    snprintf(path, sizeof path, "%s/%s", bytes->dir, name);
    if (qr_block_parse_name(&id, name) && qr_disk_files.size(&qr_disk_files, path, &size) == 0)
        bytes->at[id.tier] += size;
}

static void measure_merged(const struct qr_bench *bench, struct qr_fleet *fleet,
                           struct qr_replica *replica)
{
    struct tier_bytes bytes = {.dir = replica->dir};
    double samples = (double)fleet->n_samples;
    merge(fleet, replica);
    qr_disk_files.list(&qr_disk_files, replica->dir, add_file, &bytes);
    if (bytes.at[1] == 0)
        return;
    qr_figure_set(QR_FIGURE_DISK_MERGED, (double)bytes.at[0] / samples);
    qr_figure_set(QR_FIGURE_TIER_1, (double)bytes.at[1] / (samples / 60));
    measure_queries(bench, replica, QR_FIGURE_READS_MERGED);
}

/* ---- copied ---- */

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
    measure_merged(bench, &fleet, &replica);
    for (unsigned pass = 0; pass < bench->passes; pass++)
        measure_catch_up(&replica);
    qr_fleet_release(&fleet);
    qr_replica_release(&replica);
}
