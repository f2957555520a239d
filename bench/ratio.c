/* qr_bench_ratio — bytes on disk and memory of a Quorate member, and of a Netdata 1.37.1 parent
 * that got the same streams in the same run.
 *
 * Simulated children replay the corpus at full speed, 1100 s of it up to now: each of Netdata's
 * pages of 1024 points is full and flushed then, and at least one window of ours is sealed.  Disk
 * is what either keeps for what it has written: Netdata's data files and journals over the points
 * that its own statistics count (/api/v1/dbengine_stats), our block files over the cells of their
 * windows; gaps count on both sides.  Memory is resident, less that of the same program before, a
 * metric; of ours that of the largest member. */
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/block_id.h"
#include "testing/cluster.h"
#include "testing/netdata.h"

#define KEY       "11111111-2222-3333-4444-555555555555"
#define DATA_S    1100
#define WINDOW_S  600
#define DIMS      20u
#define CHARTS    100u /* A host: 2000 metrics. */
#define LOAD_MS   600000
#define SEALED_MS 120000
#define DISK_GOAL 0.7
#define RSS_GOAL  0.15

struct figures {
    double disk_bytes, points; /* Written. */
    double rss_empty, rss;
};

static unsigned n_hosts = 10;
static char work_dir[QR_TEMP_DIR_BYTES];

static double metrics(void)
{
    return (double)n_hosts * CHARTS * DIMS;
}

/* ---- the load ---- */

static bool run_load(const char *to, const char *key, int64_t first_s)
{
    struct qr_process process = {0};
    char program[512], log[QR_TEMP_DIR_BYTES + 32], hosts[16], first[32], data[16];
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(log, sizeof log, "%s/load.log", work_dir);
    snprintf(hosts, sizeof hosts, "%u", n_hosts);
    snprintf(first, sizeof first, "%lld", (long long)first_s);
    snprintf(data, sizeof data, "%d", DATA_S);
    const char *argv[] = {program,
                          "--to",
                          to,
                          "--key",
                          key,
                          "--rotate",
                          "--hosts",
                          hosts,
                          "--charts",
                          "100",
                          "--dims",
                          "20",
                          "--plain",
                          "--full-speed",
                          "--history",
                          "5",
                          "--data-seconds",
                          data,
                          "--duration",
                          "0",
                          "--quiet",
                          "--corpus",
                          QR_SOURCE_DIR "/bench/data/corpus.lz4",
                          first_s != 0 ? "--first" : NULL,
                          first,
                          NULL};
    if (qr_process_start(&process, "quorate-loadgen", log, -1, argv) != 0)
        return false;
    bool ended = qr_process_wait(&process, LOAD_MS) && process.status == 0;
    if (!ended)
        qr_process_print_log(&process, 10);
    qr_process_stop(&process, 10000);
    return ended;
}

/* ---- Netdata ---- */

static double folder_bytes_found;

static int add_file(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void)ftw;
    const char *end = strrchr(path, '.');
    if (flag == FTW_F && end != NULL &&
        (strcmp(end, ".ndf") == 0 || strncmp(end, ".njf", 4) == 0 || strcmp(end, ".qb") == 0))
        folder_bytes_found += (double)stat->st_size;
    return 0;
}

/* Data files, journals, block files below a folder. */
static double folder_bytes(const char *dir)
{
    folder_bytes_found = 0;
    nftw(dir, add_file, 32, FTW_PHYS);
    return folder_bytes_found;
}

struct points {
    const struct qr_netdata *netdata;
    double flushed, at_least;
};

static bool are_flushed(void *data)
{
    struct points *points = data;
    struct qr_fetch fetch;
    if (qr_fetch_init(&fetch) != 0)
        return false;
    if (qr_fetch_get(&fetch, 10000, "%s/api/v1/dbengine_stats", points->netdata->url) == 200) {
        json_t *answer = qr_fetch_json(&fetch);
        const json_t *tier = json_object_get(answer, "tier0");
        points->flushed = (double)json_integer_value(json_object_get(tier, "points"));
        json_decref(answer);
    }
    qr_fetch_release(&fetch);
    return points->flushed >= points->at_least;
}

static bool measure_netdata(struct figures *f, int64_t first_s)
{
    struct qr_netdata netdata;
    const struct qr_netdata_options options = {
        .name = "ratio-parent", .api_key = KEY, .parent = true};
    if (!qr_netdata_available() || qr_netdata_start(&netdata, &options) != 0)
        return false;
    f->rss_empty = (double)qr_process_rss_bytes(&netdata.process);
    bool ok = run_load(netdata.url + strlen("http://"), KEY, first_s);
    struct points points = {&netdata, 0, metrics() * 1024 * 0.99};
    if (ok && !qr_wait_for(are_flushed, &points, SEALED_MS, 500))
        fprintf(stderr, "Netdata has flushed %.0f points of %.0f\n", points.flushed,
                points.at_least);
    f->rss = (double)qr_process_rss_bytes(&netdata.process);
    f->disk_bytes = folder_bytes(netdata.dir);
    f->points = points.flushed;
    qr_netdata_release(&netdata, false);
    return ok && f->points > 0;
}

/* ---- Quorate ---- */

struct sealing {
    struct qr_cluster *cluster;
    double window_bytes; /* Of the window that must be there. */
    double bytes_before;
    int64_t window_s;
    double bytes;
};

static double sealed_bytes;
static int64_t sealed_start_s;

static int add_block(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    struct qr_block_id id;
    if (flag == FTW_F && qr_block_parse_name(&id, path + ftw->base) && id.tier == 0 &&
        id.start_s == sealed_start_s)
        sealed_bytes += (double)stat->st_size;
    return 0;
}

/* All shards of that window: their sum does not grow any more. */
static bool is_sealed(void *data)
{
    struct sealing *sealing = data;
    double before = sealing->bytes;
    sealed_bytes = 0;
    sealed_start_s = sealing->window_s;
    nftw(sealing->cluster->members[1].dir, add_block, 32, FTW_PHYS);
    sealing->bytes = sealed_bytes;
    return sealed_bytes > 0 && sealed_bytes == before;
}

static double largest_rss(const struct qr_cluster *cluster)
{
    double largest = 0;
    for (unsigned id = 1; id <= cluster->n; id++) {
        double rss = (double)qr_process_rss_bytes(&cluster->members[id].process);
        largest = rss > largest ? rss : largest;
    }
    return largest;
}

static bool measure_quorate(struct figures *f, int64_t first_s)
{
    static struct qr_cluster cluster;
    const struct qr_cluster_options options = {.name = "ratio", .log_level = "warn"};
    char to[512];
    if (qr_cluster_create(&cluster, &options) != 0 || qr_cluster_start_all(&cluster) != 0 ||
        qr_cluster_wait_leader(&cluster, 30000) == 0)
        return false;
    qr_cluster_wait_caught_up(&cluster, 30000);
    f->rss_empty = largest_rss(&cluster);
    qr_cluster_destinations(&cluster, 1, ',', to, sizeof to);
    bool ok = run_load(to, cluster.api_key, first_s);
    struct sealing sealing = {.cluster = &cluster,
                              .window_s = (first_s + WINDOW_S - 1) / WINDOW_S * WINDOW_S};
    if (ok && !qr_wait_for(is_sealed, &sealing, SEALED_MS, 2000)) {
        fprintf(stderr, "Quorate has not sealed the window of %lld\n", (long long)sealing.window_s);
        ok = false;
    }
    f->rss = largest_rss(&cluster);
    f->disk_bytes = sealing.bytes;
    f->points = metrics() * WINDOW_S;
    if (!ok)
        qr_cluster_print_logs(&cluster);
    qr_cluster_release(&cluster, !ok);
    return ok;
}

/* ---- both ---- */

static void print(const char *name, const struct figures *f)
{
    printf("%-20s %8.3f B/sample on disk (%.1f MB, %.1f M points)   %6.2f KiB/metric "
           "(%.0f MB, empty %.0f MB)\n",
           name, f->disk_bytes / f->points, f->disk_bytes / 1e6, f->points / 1e6,
           (f->rss - f->rss_empty) / metrics() / 1024, f->rss / 1e6, f->rss_empty / 1e6);
    fflush(stdout);
}

static void print_ratio(const char *what, double ratio, double goal)
{
    printf("%-20s %8.2f of Netdata's, goal %.2f: %s\n", what, ratio, goal,
           ratio <= goal ? "MET" : "MISSED");
}

/* The second window of the data is timely for a leader whose clock is at the end of it. */
static int64_t first_second(void)
{
    return (int64_t)(qr_real_ms() / 1000) - DATA_S;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"hosts", required_argument, NULL, 'n'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct figures netdata = {0}, quorate = {0};
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'n')
            n_hosts = (unsigned)strtoul(optarg, NULL, 10);
        if (c != 'n' || n_hosts == 0) {
            printf("usage: qr_bench_ratio [--hosts N]   hosts of 2000 metrics (10)\n");
            return c == 'h' ? 0 : 2;
        }
    }
    qr_temp_dir(work_dir, "ratio");
    printf("%u hosts, %.0f metrics, %d s of the corpus\n", n_hosts, metrics(), DATA_S);
    bool ok = measure_netdata(&netdata, 0);
    if (ok)
        print("netdata 1.37.1", &netdata);
    ok = ok && measure_quorate(&quorate, first_second());
    if (ok) {
        print("a quorate member", &quorate);
        print_ratio("disk",
                    quorate.disk_bytes / quorate.points / (netdata.disk_bytes / netdata.points),
                    DISK_GOAL);
        print_ratio("memory", (quorate.rss - quorate.rss_empty) / (netdata.rss - netdata.rss_empty),
                    RSS_GOAL);
    }
    qr_remove_dir(work_dir);
    return ok ? 0 : 1;
}
