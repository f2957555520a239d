/* qr_bench_ratio — bytes on disk and memory of a Quorate member, and of a Netdata 1.37.1 parent
 * that gets the same streams at the same time.
 *
 * Simulated children collect the corpus for some hours, one stream to the parent and one to the
 * members.  For all of these processes time runs --speed times as fast (libfaketime; only the
 * wall clock does, so timeouts and elections are as ever): windows are sealed and merged, pages
 * flushed, when they would be.  A member keeps raft entries by number, a tick is an entry, so the
 * limit is divided by the speed: it holds as much time as it would.
 *
 * Disk: the parent is ended, which makes it flush, and started again; its data files and journals
 * over the points that it says it has (/api/v1/dbengine_stats).  Block files of a member over the
 * cells of their windows, first those of 600 s, then those that they were merged to.  Gaps count on
 * both sides, the member's log is told apart.  Memory: the most that was resident in the last
 * tenth of the run, less that of the same program before the load, a metric; of the members the
 * largest counts. */
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/block_id.h"
#include "testing/cluster.h"
#include "testing/corpus.h"
#include "testing/netdata.h"

#define KEY         "11111111-2222-3333-4444-555555555555"
#define FAKETIME    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
#define SPAN_S      21600 /* Merged files: the run begins where one does. */
#define WINDOW_S    600
#define DIMS        20u
#define CHARTS      100u /* A host: 2000 metrics. */
#define LIVE_MS     60000
#define FILES_MS    120000
#define TICKS_KEPT  2048u /* As `snapshot threshold` and `trailing` are without a word. */
#define VERIFY_S    60
#define DISK_GOAL   0.7
#define MEMORY_GOAL 0.15

static const char corpus_path[] = QR_SOURCE_DIR "/bench/data/corpus.lz4";
static unsigned n_hosts = 3, hours = 6, speed = 60;
static char work_dir[QR_TEMP_DIR_BYTES];

static double metrics(void)
{
    return (double)n_hosts * CHARTS * DIMS;
}

/* ---- the clock of the run ---- */

static uint64_t began_ms; /* On our clock, .. */
static int64_t first_s;   /* .. when theirs was here. */

static double their_now_s(void)
{
    return (double)first_s + (double)(qr_real_ms() - began_ms) / 1000 * speed;
}

/* What is started next lives by that clock. */
static void enter_their_time(void)
{
    char offset[64];
    snprintf(offset, sizeof offset, "%+.3f x%u", their_now_s() - (double)qr_real_ms() / 1000,
             speed);
    setenv("FAKETIME", offset, 1);
    setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
    setenv("FAKETIME_DISABLE_SHM", "1", 1);
    setenv("NO_FAKE_STAT", "1", 1);
    setenv("LD_PRELOAD", FAKETIME, 1);
}

static void leave_their_time(void)
{
    unsetenv("LD_PRELOAD");
}

/* Until their clock is there. */
static void wait_their_time(int64_t s)
{
    double left_s = ((double)s - their_now_s()) / speed;
    if (left_s > 0)
        qr_wait_until_s((int64_t)(qr_real_ms() / 1000 + (uint64_t)left_s + 1));
}

/* ---- the two sides ---- */

struct side {
    const char *name;
    struct qr_process load;
    char json[QR_TEMP_DIR_BYTES + 32];
    double empty_bytes, peak_bytes; /* Resident. */
};

struct run {
    struct qr_netdata netdata;
    struct qr_cluster cluster;
    struct side parent, member;
};

static double largest_rss(const struct qr_cluster *cluster)
{
    double largest = 0;
    for (unsigned id = 1; id <= cluster->n; id++) {
        double rss = (double)qr_process_rss_bytes(&cluster->members[id].process);
        largest = rss > largest ? rss : largest;
    }
    return largest;
}

static bool start_load(struct side *side, const char *to, const char *key)
{
    char program[512], log[QR_TEMP_DIR_BYTES + 32], hosts[16];
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(log, sizeof log, "%s/%s.log", work_dir, side->name);
    snprintf(side->json, sizeof side->json, "%s/%s.json", work_dir, side->name);
    snprintf(hosts, sizeof hosts, "%u", n_hosts);
    const char *argv[] = {program,    "--to",     to,          "--key",    key,
                          "--rotate", "--hosts",  hosts,       "--charts", "100",
                          "--dims",   "20",       "--history", "5",        "--duration",
                          "0",        "--corpus", corpus_path, "--plain",  "--json-file",
                          side->json, "--quiet",  NULL};
    enter_their_time();
    int err = qr_process_start(&side->load, side->name, log, -1, argv);
    leave_their_time();
    return err == 0;
}

static int64_t load_number(const struct side *side, const char *key)
{
    json_t *figures = json_load_file(side->json, 0, NULL);
    int64_t value = json_integer_value(json_object_get(figures, key));
    json_decref(figures);
    return value;
}

static bool is_live(void *data)
{
    return load_number(data, "charts_live") == (int64_t)n_hosts * CHARTS;
}

static bool start_parent(struct run *run)
{
    const struct qr_netdata_options options = {
        .name = "ratio-parent", .api_key = KEY, .parent = true, .tiers = 3};
    enter_their_time();
    int err = qr_netdata_start(&run->netdata, &options);
    leave_their_time();
    run->parent.name = "netdata 1.37.1";
    run->parent.empty_bytes = (double)qr_process_rss_bytes(&run->netdata.process);
    return err == 0;
}

static bool start_members(struct run *run)
{
    uint32_t kept = TICKS_KEPT / speed > 16 ? TICKS_KEPT / speed : 16;
    const struct qr_cluster_options options = {.name = "ratio",
                                               .log_level = "warn",
                                               .snapshot_threshold = kept,
                                               .snapshot_trailing = kept};
    if (qr_cluster_create(&run->cluster, &options) != 0)
        return false;
    enter_their_time();
    int err = qr_cluster_start_all(&run->cluster);
    leave_their_time();
    run->member.name = "a quorate member";
    if (err != 0 || qr_cluster_wait_leader(&run->cluster, 30000) == 0 ||
        !qr_cluster_wait_caught_up(&run->cluster, 30000))
        return false;
    run->member.empty_bytes = largest_rss(&run->cluster);
    return true;
}

static bool start_loads(struct run *run)
{
    char to[512];
    qr_cluster_destinations(&run->cluster, 1, ',', to, sizeof to);
    return start_load(&run->parent, run->netdata.url + strlen("http://"), KEY) &&
           start_load(&run->member, to, run->cluster.api_key) &&
           qr_wait_for(is_live, &run->parent, LIVE_MS, 200) &&
           qr_wait_for(is_live, &run->member, LIVE_MS, 200);
}

/* Looks at their memory until the data are as long as they should be. */
static void watch_memory(struct run *run, int64_t end_s)
{
    wait_their_time(end_s - (end_s - first_s) / 10);
    while (their_now_s() < (double)end_s) {
        double parent = (double)qr_process_rss_bytes(&run->netdata.process);
        double member = largest_rss(&run->cluster);
        if (parent > run->parent.peak_bytes)
            run->parent.peak_bytes = parent;
        if (member > run->member.peak_bytes)
            run->member.peak_bytes = member;
        qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + 1);
    }
}

static bool has_kept_up(const struct side *side, int64_t end_s)
{
    int64_t behind_s = end_s - load_number(side, "last_s");
    if (behind_s > 0)
        fprintf(stderr, "%s: its children are %lld s behind: run with a lower --speed\n",
                side->name, (long long)behind_s);
    return behind_s <= 0;
}

/* What was measured is right: the last minute of every chart as each side answers it. */
static bool is_right(struct run *run, int64_t last_s)
{
    struct qr_corpus corpus;
    const char *const urls[] = {run->netdata.url, run->cluster.members[1].url};
    bool right = true;
    if (qr_corpus_read(&corpus, corpus_path) != 0)
        return false;
    const struct qr_model model = {1, n_hosts, CHARTS, DIMS, 1, false, &corpus};
    for (int i = 0; i < 2; i++) {
        struct qr_verify result = {0};
        char text[512];
        qr_verify_node(&model, &run->cluster.fetch, urls[i], last_s - VERIFY_S, last_s, &result);
        qr_verify_format(&result, text, sizeof text);
        if (!qr_verify_ok(&result))
            fprintf(stderr, "%s: %s\n", urls[i], text);
        right = right && qr_verify_ok(&result);
    }
    qr_corpus_release(&corpus);
    return right;
}

/* ---- disk ---- */

struct disk {
    double bytes[QR_TIERS], points[QR_TIERS];
};

static double folder_bytes_found;

static int add_file(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void)path;
    (void)ftw;
    if (flag == FTW_F)
        folder_bytes_found += (double)stat->st_size;
    return 0;
}

static double folder_bytes(const char *format, const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, format, dir, name);
    folder_bytes_found = 0;
    nftw(path, add_file, 32, FTW_PHYS);
    return folder_bytes_found;
}

static bool read_parent_disk(struct run *run, struct disk *disk)
{
    static const char *const folders[QR_TIERS] = {"dbengine", "dbengine-tier1", "dbengine-tier2"};
    enter_their_time();
    int err = qr_netdata_restart(&run->netdata);
    leave_their_time();
    if (err != 0 || qr_fetch_get(&run->cluster.fetch, 10000, "%s/api/v1/dbengine_stats",
                                 run->netdata.url) != 200)
        return false;
    json_t *answer = qr_fetch_json(&run->cluster.fetch);
    for (unsigned tier = 0; tier < QR_TIERS; tier++) {
        char name[16];
        snprintf(name, sizeof name, "tier%u", tier);
        const json_t *stats = json_object_get(answer, name);
        disk->points[tier] = (double)json_integer_value(json_object_get(stats, "points"));
        disk->bytes[tier] = folder_bytes("%s/cache/%s", run->netdata.dir, folders[tier]);
    }
    json_decref(answer);
    return disk->points[0] > 0;
}

static struct {
    uint32_t window_s; /* Which files of tier 0 count, .. */
    int64_t from_s, to_s;
    double covered_s; /* .. and how long a time they are of. */
    struct disk disk;
} blocks;

static int add_block(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    struct qr_block_id id;
    if (flag != FTW_F || !qr_block_parse_name(&id, path + ftw->base) ||
        id.start_s < blocks.from_s || qr_block_id_end_s(&id) > blocks.to_s ||
        (id.tier == 0 && id.window_s != blocks.window_s))
        return 0;
    blocks.disk.bytes[id.tier] += (double)stat->st_size;
    if (id.tier == 0 && (id.window_s == SPAN_S || id.generation == 0))
        blocks.covered_s += id.window_s;
    return 0;
}

struct files {
    struct run *run;
    uint32_t window_s;
};

/* Are there files of that length for the whole time, and points of merged ones? */
static bool are_there(void *data)
{
    const struct files *files = data;
    char path[512];
    memset(&blocks, 0, sizeof blocks);
    blocks.window_s = files->window_s;
    blocks.from_s = first_s;
    blocks.to_s = first_s + (int64_t)hours * 3600;
    snprintf(path, sizeof path, "%s/data/group-1/blocks", files->run->cluster.members[1].dir);
    nftw(path, add_block, 32, FTW_PHYS);
    bool has_points = files->window_s == WINDOW_S || blocks.disk.bytes[1] > 0;
    return blocks.covered_s >= hours * 3600.0 && has_points;
}

static bool read_member_disk(struct run *run, uint32_t window_s, struct disk *disk)
{
    struct files files = {run, window_s};
    bool there = qr_wait_for(are_there, &files, FILES_MS, 100);
    if (!there)
        fprintf(stderr, "member 1 has files of %u s for %.0f s only\n", window_s, blocks.covered_s);
    *disk = blocks.disk;
    double data_s = (double)(blocks.to_s - load_number(&run->member, "first_s"));
    disk->points[0] = metrics() * data_s;
    disk->points[1] = disk->bytes[1] > 0 ? metrics() * data_s / 60 : 0;
    return there;
}

/* ---- figures ---- */

static void print_disk(const char *name, const struct disk *disk)
{
    printf("%-32s %6.3f B/sample (%.1f MB, %.1f M samples)", name, disk->bytes[0] / disk->points[0],
           disk->bytes[0] / 1e6, disk->points[0] / 1e6);
    for (unsigned tier = 1; tier < QR_TIERS; tier++)
        if (disk->points[tier] > 0)
            printf("   tier %u: %.2f B/point (%.1f MB)", tier,
                   disk->bytes[tier] / disk->points[tier], disk->bytes[tier] / 1e6);
    printf("\n");
    fflush(stdout);
}

static void print_memory(const struct side *side)
{
    printf("%-32s %6.2f KiB/metric (%.1f MB, empty %.1f MB)\n", side->name,
           (side->peak_bytes - side->empty_bytes) / metrics() / 1024, side->peak_bytes / 1e6,
           side->empty_bytes / 1e6);
}

static void print_ratio(const char *what, double ratio, double goal)
{
    printf("%-32s %6.3f of Netdata's, goal %.2f: %s\n", what, ratio, goal,
           ratio <= goal ? "MET" : "MISSED");
    fflush(stdout);
}

static double sample_bytes(const struct disk *disk)
{
    return disk->bytes[0] / disk->points[0];
}

static bool measure(struct run *run)
{
    struct disk windows, merged, parent;
    int64_t end_s = first_s + (int64_t)hours * 3600;
    bool has_spans = hours * 3600 % SPAN_S == 0;
    watch_memory(run, end_s);
    bool ok = read_member_disk(run, WINDOW_S, &windows);
    double log_bytes = folder_bytes("%s/%s", run->cluster.members[1].dir, "data/group-1/log");
    ok = has_kept_up(&run->parent, end_s) && has_kept_up(&run->member, end_s) &&
         is_right(run, end_s) && ok;
    qr_process_stop(&run->parent.load, 10000);
    qr_process_stop(&run->member.load, 10000);
    if (has_spans)
        ok = read_member_disk(run, SPAN_S, &merged) && ok;
    ok = read_parent_disk(run, &parent) && ok;
    if (!ok)
        return false;
    print_disk("netdata 1.37.1", &parent);
    print_disk("a member, files of 600 s", &windows);
    if (has_spans)
        print_disk("a member, files of 6 h", &merged);
    printf("%-32s %6.1f MB, with what is preallocated\n", "its log", log_bytes / 1e6);
    print_memory(&run->parent);
    print_memory(&run->member);
    print_ratio("disk, files of 600 s", sample_bytes(&windows) / sample_bytes(&parent), DISK_GOAL);
    if (has_spans)
        print_ratio("disk, files of 6 h", sample_bytes(&merged) / sample_bytes(&parent), DISK_GOAL);
    print_ratio("memory a metric",
                (run->member.peak_bytes - run->member.empty_bytes) /
                    (run->parent.peak_bytes - run->parent.empty_bytes),
                MEMORY_GOAL);
    return true;
}

static void print_logs(struct run *run)
{
    qr_process_print_log(&run->parent.load, 10);
    qr_process_print_log(&run->member.load, 10);
    qr_process_print_log(&run->netdata.process, 10);
    qr_cluster_print_logs(&run->cluster);
}

static bool bench(void)
{
    static struct run run;
    began_ms = qr_real_ms();
    first_s = (int64_t)(began_ms / 1000) / SPAN_S * SPAN_S + SPAN_S;
    bool ok = start_parent(&run) && start_members(&run) && start_loads(&run) && measure(&run);
    if (!ok)
        print_logs(&run);
    qr_process_stop(&run.parent.load, 10000);
    qr_process_stop(&run.member.load, 10000);
    qr_netdata_release(&run.netdata, !ok);
    qr_cluster_release(&run.cluster, !ok);
    return ok;
}

static int usage(int code)
{
    printf("usage: qr_bench_ratio [--hosts N] [--hours N] [--speed N]\n\n"
           "Disk and memory of a Quorate member and of a Netdata 1.37.1 parent under the same\n"
           "streams, time running faster for all of them.\n"
           "  --hosts N  children of 2000 metrics each, 1 to 25 (3)\n"
           "  --hours N  of data; merged files are measured if it is a multiple of 6 (6)\n"
           "  --speed N  seconds of theirs in one of ours, 1 to 100 (60); less on a busy machine,\n"
           "             where a parent that gets no CPU for a second breaks its streams\n");
    return code;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"hosts", required_argument, NULL, 'n'},
                                          {"hours", required_argument, NULL, 'o'},
                                          {"speed", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'n')
            n_hosts = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'o')
            hours = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 's')
            speed = (unsigned)strtoul(optarg, NULL, 10);
        else
            return usage(c == 'h' ? 0 : 2);
    }
    if (n_hosts == 0 || n_hosts > 25 || hours == 0 || speed == 0 || speed > 100)
        return usage(2);
    if (access(FAKETIME, R_OK) != 0 || !qr_netdata_available()) {
        fprintf(stderr, "qr_bench_ratio needs Netdata and libfaketime (packages netdata-core, "
                        "libfaketime)\n");
        return 1;
    }
    qr_temp_dir(work_dir, "ratio");
    printf("%u hosts, %.0f metrics, %u h of the corpus at %u times the speed, %.0f s\n", n_hosts,
           metrics(), hours, speed, hours * 3600.0 / speed);
    fflush(stdout);
    bool ok = bench();
    qr_remove_dir(work_dir);
    return ok ? 0 : 1;
}
