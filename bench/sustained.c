/* qr_bench_sustained — one member under the log of a large group for as long as it takes.
 *
 * Whole log entries go through the real machine into a store on real files, on a libuv loop with
 * its thread pool: windows are sealed and their files voted on as the leader's keeper does,
 * snapshots are taken, queries of an hour run on workers all the time.  Without --pace seconds
 * follow each other as fast as they can.
 *
 * A stall is what the loop's thread does without looking at its sockets: an entry that it applies,
 * or the callbacks of one turn.  Making the entries is not counted: a member reads them. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/rng.h"
#include "bench/fleet.h"
#include "bench/replica.h"
#include "cluster/image.h"
#include "node/bodies.h"
#include "storage/query.h"

#define WINDOW_S    600u
#define GRACE_S     30u
#define STALL_GOAL  20.0 /* ms */
#define QUERIES_MAX 64u
#define QUERY_S     3600

enum activity { APPLY, SEAL, VOTE, CALLBACKS, SNAPSHOT, POLL, N_ACTIVITIES };

static const char *const activity_names[] = {"apply a batch",    "apply a seal",
                                             "vote on files",    "callbacks of a turn",
                                             "begin a snapshot", "poll"};

/* The longest of a kind, and when it was. */
struct stall {
    double wall_ms, cpu_ms;
    uint32_t at_s; /* Of cpu_ms. */
};

struct reader {
    uv_work_t work;
    struct run *run;
    uint32_t chart;
    int64_t until_s;
    uint64_t n_values;
    double ms;
};

static struct run {
    struct qr_corpus corpus;
    struct qr_fleet fleet;
    struct qr_replica replica;
    uv_loop_t loop;
    struct qr_rng rng;
    struct stall stalls[N_ACTIVITIES];
    struct reader readers[QUERIES_MAX];
    unsigned n_readers, n_reading;
    uint32_t now_s;    /* Since the start. */
    unsigned n_sealed; /* Windows. */
    uint64_t n_queries, n_values, n_snapshots, n_snapshots_busy;
    double query_ms, query_max_ms, waited_ms;
    double pause_ms; /* The longest that entries waited for a snapshot. */
    size_t snapshot_bytes;
    bool encoding, ending;
} run;

static double max(double a, double b)
{
    return a > b ? a : b;
}

/* ---- what the loop's thread does ---- */

static void note(enum activity activity, double wall_ns, double cpu_ns)
{
    struct stall *stall = &run.stalls[activity];
    stall->wall_ms = max(stall->wall_ms, wall_ns / 1e6);
    if (cpu_ns / 1e6 > stall->cpu_ms) {
        stall->cpu_ms = cpu_ns / 1e6;
        stall->at_s = run.now_s;
    }
}

static enum activity applying;

static void apply_entry(void *data, struct qr_slice entry)
{
    double wall = qr_bench_wall_ns(), cpu = qr_bench_cpu_ns();
    qr_replica_apply(data, entry);
    note(applying, qr_bench_wall_ns() - wall, qr_bench_cpu_ns() - cpu);
}

static void turn(uv_run_mode mode)
{
    double wall = qr_bench_wall_ns(), cpu = qr_bench_cpu_ns();
    uv_run(&run.loop, mode);
    /* Waiting for events is no stall. */
    note(CALLBACKS, mode == UV_RUN_NOWAIT ? qr_bench_wall_ns() - wall : 0, qr_bench_cpu_ns() - cpu);
}

static void encode_image(uv_work_t *work)
{
    qr_image_encode(work->data);
}

static void on_encoded(uv_work_t *work, int status)
{
    (void)work, (void)status;
    run.encoding = false;
}

/* As cluster/fsm does it: no entry is applied while a worker encodes the state. */
static void take_snapshot(void)
{
    struct qr_image image = {0};
    uv_work_t work = {.data = &image};
    double started = qr_bench_wall_ns(), cpu = qr_bench_cpu_ns();
    int err = qr_image_begin(&image, run.replica.machine);
    note(SNAPSHOT, qr_bench_wall_ns() - started, qr_bench_cpu_ns() - cpu);
    run.n_snapshots_busy += err != 0;
    if (err != 0)
        return;
    run.encoding = uv_queue_work(&run.loop, &work, encode_image, on_encoded) == 0;
    while (run.encoding)
        turn(UV_RUN_ONCE);
    qr_bench_must_be_0(qr_image_end(&image), "snapshot");
    run.n_snapshots++;
    run.snapshot_bytes = image.body.len;
    run.pause_ms = max(run.pause_ms, (qr_bench_wall_ns() - started) / 1e6);
    qr_image_release(&image);
}

/* What the leader's keeper does once a second. */
static void keep(void)
{
    int64_t starts[16];
    struct qr_store_file files[16];
    int64_t now_s = QR_FLEET_START_S + run.now_s;
    unsigned n = qr_store_sealable(run.replica.store, now_s - GRACE_S, starts, QR_COUNT(starts));
    applying = SEAL;
    run.n_sealed += n;
    for (unsigned i = 0; i < n; i++)
        qr_fleet_seal(&run.fleet, (uint32_t)(starts[i] - QR_FLEET_START_S));
    applying = VOTE;
    n = qr_store_unvoted(run.replica.store, 1, files, QR_COUNT(files));
    for (unsigned i = 0; i < n; i++) {
        const struct qr_sealed sealed = {files[i].id, files[i].bytes, files[i].hash};
        struct qr_buf body = {0};
        qr_sealed_encode(&body, &sealed);
        qr_fleet_propose(&run.fleet, QR_COMMAND_SEALED, run.now_s, &body);
        qr_buf_release(&body);
    }
    if (n != 0)
        take_snapshot();
    double wall = qr_bench_wall_ns(), cpu = qr_bench_cpu_ns();
    qr_store_poll(run.replica.store);
    note(POLL, qr_bench_wall_ns() - wall, qr_bench_cpu_ns() - cpu);
}

/* ---- queries ---- */

static void read_hour(uv_work_t *work)
{
    struct reader *reader = work->data;
    struct qr_store *store = run.replica.store;
    struct qr_query *query;
    struct qr_slab slab;
    double start = qr_bench_wall_ns();
    int slot = qr_store_enter(store);
    const struct qr_chart *chart = qr_store_chart_by_id(store, reader->chart);
    reader->n_values = 0;
    qr_bench_must_be_0(
        qr_query_open(&query, store, chart, reader->until_s - QUERY_S + 1, reader->until_s),
        "query");
    while (qr_query_next(query, &slab) == 1)
        reader->n_values += (uint64_t)slab.n_rows * slab.n_dims;
    qr_query_close(query);
    qr_store_leave(store, slot);
    reader->ms = (qr_bench_wall_ns() - start) / 1e6;
}

static void start_query(struct reader *reader);

static void on_read(uv_work_t *work, int status)
{
    struct reader *reader = work->data;
    (void)status;
    run.n_queries++;
    run.n_values += reader->n_values;
    run.query_ms += reader->ms;
    run.query_max_ms = max(run.query_max_ms, reader->ms);
    run.n_reading--;
    if (!run.ending)
        start_query(reader);
}

static void start_query(struct reader *reader)
{
    reader->work.data = reader;
    reader->chart =
        1 + (uint32_t)qr_rng_below(&run.rng, (uint64_t)run.fleet.n_hosts * run.corpus.n_charts);
    reader->until_s = QR_FLEET_START_S + run.now_s;
    run.n_reading++;
    uv_queue_work(&run.loop, &reader->work, read_hour, on_read);
}

/* ---- printing ---- */

static double rss_mb(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%*u %lu", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void print_head(unsigned minutes, bool pace, double base_mb)
{
    printf("%llu metrics of %u hosts, %u minutes%s, %u queries at once; %.0f MB before\n\n",
           (unsigned long long)qr_fleet_metrics(&run.fleet), run.fleet.n_hosts, minutes,
           pace ? " at real pace" : "", run.n_readers, base_mb);
    printf("%6s %9s %9s %9s %9s %12s %12s %9s\n", "minute", "RSS MB", "head MB", "files MB",
           "queries", "samples/s", "apply ns", "left s");
}

static void print_minute(unsigned minute, unsigned minutes, double started_ns, double minute_ns,
                         double base_mb)
{
    static double applied_ns;
    struct qr_store_stats stats;
    qr_store_get_stats(run.replica.store, &stats);
    double now_ns = qr_bench_wall_ns(), samples = (double)qr_fleet_metrics(&run.fleet) * 60;
    printf("%6u %9.0f %9.0f %9.0f %9llu %12.0f %12.2f %9.0f\n", minute, rss_mb() - base_mb,
           (double)stats.head_bytes / 1e6, (double)stats.block_bytes / 1e6,
           (unsigned long long)run.n_queries, samples / ((now_ns - minute_ns) / 1e9),
           (run.replica.apply_ns - applied_ns) / samples,
           (now_ns - started_ns) / 1e9 * (minutes - minute) / minute);
    applied_ns = run.replica.apply_ns;
    fflush(stdout);
}

static bool print_end(double seconds)
{
    struct qr_store_stats stats;
    double longest = 0;
    qr_store_get_stats(run.replica.store, &stats);
    printf("\n%.1f M samples in %.1f s; %.3f B/sample in %llu files; log %.3f B/sample\n",
           (double)run.fleet.n_samples / 1e6, seconds,
           run.n_sealed != 0 ? (double)stats.block_bytes /
                                   ((double)qr_fleet_metrics(&run.fleet) * run.n_sealed * WINDOW_S)
                             : 0,
           (unsigned long long)stats.n_blocks,
           (double)run.fleet.n_bytes / (double)run.fleet.n_samples);
    printf("%llu queries of an hour: mean %.2f ms, longest %.1f ms, %.1f M values\n",
           (unsigned long long)run.n_queries,
           run.n_queries != 0 ? run.query_ms / (double)run.n_queries : 0, run.query_max_ms,
           (double)run.n_values / 1e6);
    printf("%llu snapshots (%.1f MB), %llu put off, entries waited %.1f ms at most; %.0f ms waited "
           "for "
           "files that were late\n\n",
           (unsigned long long)run.n_snapshots, (double)run.snapshot_bytes / 1e6,
           (unsigned long long)run.n_snapshots_busy, run.pause_ms, run.waited_ms);
    printf("%-22s %10s %10s %10s\n", "longest stall", "CPU ms", "at second", "wall ms");
    for (int i = 0; i < N_ACTIVITIES; i++) {
        const struct stall *stall = &run.stalls[i];
        printf("%-22s %10.2f %10u %10.2f\n", activity_names[i], stall->cpu_ms, stall->at_s,
               stall->wall_ms);
        longest = max(longest, stall->cpu_ms);
    }
    printf("\nlongest: %.1f ms of CPU, goal %.0f ms: %s\n", longest, STALL_GOAL,
           longest <= STALL_GOAL ? "MET" : "MISSED");
    return longest <= STALL_GOAL;
}

/* ---- the run ---- */

static void wait_until(double wall_ns)
{
    while (qr_bench_wall_ns() < wall_ns) {
        turn(UV_RUN_NOWAIT);
        usleep(1000);
    }
}

/* Seconds that come faster than they do in life must not outrun the disk: the last window is
 * written before this one is sealed. */
static void wait_for_files(void)
{
    double start = qr_bench_wall_ns();
    while (qr_store_busy(run.replica.store) != 0)
        turn(UV_RUN_ONCE);
    run.waited_ms += (qr_bench_wall_ns() - start) / 1e6;
}

static bool sustain(unsigned minutes, bool pace)
{
    double base_mb = rss_mb(), started_ns = qr_bench_wall_ns(), minute_ns = started_ns;
    print_head(minutes, pace, base_mb);
    applying = APPLY;
    qr_fleet_define(&run.fleet);
    for (unsigned i = 0; i < run.n_readers; i++)
        start_query(&run.readers[i]);
    for (run.now_s = 0; run.now_s < minutes * 60; run.now_s++) {
        applying = APPLY;
        qr_fleet_tick(&run.fleet, run.now_s);
        turn(UV_RUN_NOWAIT);
        if (!pace && run.now_s % WINDOW_S == WINDOW_S - 1)
            wait_for_files();
        keep();
        if (pace)
            wait_until(started_ns + (run.now_s + 1) * 1e9);
        if ((run.now_s + 1) % 60 == 0) {
            print_minute((run.now_s + 1) / 60, minutes, started_ns, minute_ns, base_mb);
            minute_ns = qr_bench_wall_ns();
        }
    }
    double seconds = (qr_bench_wall_ns() - started_ns) / 1e9;
    run.ending = true;
    while (run.n_reading != 0 || qr_store_busy(run.replica.store) != 0)
        turn(UV_RUN_ONCE);
    return print_end(seconds);
}

static int usage(int code)
{
    printf("usage: qr_bench_sustained [--metrics N] [--minutes N] [--queries N] [--pace]\n\n"
           "  --metrics N  about so many, each of a second (100000)\n"
           "  --minutes N  simulated (30)\n"
           "  --queries N  at once, all the time (2)\n"
           "  --pace       a second a second\n"
           "Exit: 0 no stall above %.0f ms of CPU, 1 there was, 2 usage.\n",
           STALL_GOAL);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"metrics", required_argument, NULL, 'm'}, {"minutes", required_argument, NULL, 't'},
        {"queries", required_argument, NULL, 'q'}, {"pace", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    unsigned long metrics = 100000, minutes = 30, queries = 2;
    bool pace = false;
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'm')
            metrics = strtoul(optarg, NULL, 10);
        else if (c == 't')
            minutes = strtoul(optarg, NULL, 10);
        else if (c == 'q')
            queries = strtoul(optarg, NULL, 10);
        else if (c == 'p')
            pace = true;
        else
            return usage(c == 'h' ? 0 : 2);
    }
    if (metrics == 0 || minutes == 0 || queries > QUERIES_MAX || optind < argc)
        return usage(2);
    qr_log_open(-1, QR_LOG_ERROR);
    qr_rng_seed(&run.rng, 1);
    run.n_readers = (unsigned)queries;
    const char *path = QR_SOURCE_DIR "/bench/data/corpus.lz4";
    qr_bench_must_be_0(qr_corpus_read(&run.corpus, path), path);
    uint32_t n_hosts = (uint32_t)((metrics + run.corpus.n_series - 1) / run.corpus.n_series);
    uv_loop_init(&run.loop);
    qr_replica_init(&run.replica, &run.loop, WINDOW_S);
    qr_fleet_init(&run.fleet, &run.corpus, n_hosts, apply_entry, &run.replica);
    bool ok = sustain((unsigned)minutes, pace);
    qr_fleet_release(&run.fleet);
    qr_replica_release(&run.replica);
    uv_loop_close(&run.loop);
    qr_corpus_release(&run.corpus);
    return ok ? 0 : 1;
}
