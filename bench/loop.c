/* qr_bench_loop — how long the consensus loop stands still: restart, snapshot, install.
 *
 *   qr_bench_loop [--hosts N] [--seconds S] [--snapshot] [CORPUS.LZ4]
 *
 * One member that is the whole group, on a real log and real block files, is given S seconds of N
 * hosts, is closed and opened again: it reads its log and applies it as the loop turns.  With
 * --snapshot it then makes a snapshot, is opened from that, and a state is decoded and replaced as
 * when a leader sends one.  A turn is what happens between two polls. */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "bench/fleet.h"
#include "bench/replica.h"
#include "cluster/group.h"
#include "testing/fake_link.h"

#define NEVER 1000000000u

struct member {
    struct qr_agreed agreed;
    uv_loop_t loop;
    struct qr_fake_net net;
    char log_dir[96];
    struct qr_replica replica;
    struct qr_link *link;
    struct qr_group *group;
    uint64_t incarnation;
    /* Of the turns since it was read last: */
    double longest_cpu_ns;
    struct {
        double ns, cpu_ns;
        long n_waits;     /* For a disk, a lock, memory: the thread's own doing. */
        long n_preempted; /* For a processor: the machine's. */
        long n_faults;
    } longest;
    bool closed;
};

/* One turn: all that is done between two waits. */
static void turn_loop(struct member *m)
{
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    double wall = qr_bench_wall_ns(), cpu = qr_bench_cpu_ns();
    uint64_t idle = uv_metrics_idle_time(&m->loop);
    uv_run(&m->loop, UV_RUN_ONCE);
    cpu = qr_bench_cpu_ns() - cpu;
    idle = uv_metrics_idle_time(&m->loop) - idle;
    wall = qr_bench_wall_ns() - wall - (double)idle;
    m->longest_cpu_ns = cpu > m->longest_cpu_ns ? cpu : m->longest_cpu_ns;
    if (wall <= m->longest.ns)
        return;
    getrusage(RUSAGE_THREAD, &after);
    m->longest.ns = wall;
    m->longest.cpu_ns = cpu;
    m->longest.n_waits = after.ru_nvcsw - before.ru_nvcsw - (idle != 0);
    m->longest.n_preempted = after.ru_nivcsw - before.ru_nivcsw;
    m->longest.n_faults = after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt;
}

/* Of the turn that took longest, and what it did; and of the one that computed longest. */
static const char *take_longest(struct member *m)
{
    static char text[160];
    snprintf(text, sizeof text,
             "%.1f ms (its CPU %.1f ms, waited %ld times, preempted %ld times, %ld page faults; "
             "most CPU of any %.1f ms)",
             m->longest.ns / 1e6, m->longest.cpu_ns / 1e6, m->longest.n_waits,
             m->longest.n_preempted, m->longest.n_faults, m->longest_cpu_ns / 1e6);
    memset(&m->longest, 0, sizeof m->longest);
    m->longest_cpu_ns = 0;
    return text;
}

static void on_fatal(void *data, const char *sentence)
{
    (void)data;
    fprintf(stderr, "%s\n", sentence);
    exit(1);
}

static struct qr_group_status status_of(const struct member *m)
{
    struct qr_group_status status;
    qr_group_get_status(m->group, &status);
    return status;
}

/* ---- opening and closing ---- */

/* Snapshots are put off until all is applied, so that what is measured is the whole state. */
static bool hold_snapshots;
static int (*snapshot_begin)(void *data, void **pin);

static int begin_snapshot(void *data, void **pin)
{
    return hold_snapshots ? QR_E_BUSY : snapshot_begin(data, pin);
}

static struct qr_sink sink_of(struct member *m)
{
    struct qr_sink sink = qr_glue_sink(&m->replica.glue);
    snapshot_begin = sink.snapshot_begin;
    sink.snapshot_begin = begin_snapshot;
    return sink;
}

static void open_group(struct member *m, uint32_t threshold)
{
    const struct qr_link_member self = {.id = 1, .address = "127.0.0.1:1"};
    qr_agreed_init(&m->agreed, &qr_clock_system);
    const struct qr_group_config config = {
        .loop = &m->loop,
        .clock = &qr_clock_system,
        .agreed = &m->agreed,
        .link = m->link = qr_fake_link_new(&m->net, 1),
        .sink = sink_of(m),
        .group_id = 1,
        .member_id = 1,
        .incarnation = ++m->incarnation,
        .dir = m->log_dir,
        .members = &self,
        .n_members = 1,
        .election_timeout_ms = 1000,
        .heartbeat_ms = 100,
        .snapshot_threshold = threshold,
        .snapshot_trailing = 1,
    };
    const struct qr_group_events events = {.data = m, .fatal = on_fatal};
    qr_bench_must_be_0(qr_group_open(&m->group, &config, &events), "group");
}

static void open_member(struct member *m, const char *tmp)
{
    *m = (struct member){.incarnation = 0};
    qr_bench_must_be_0(uv_loop_init(&m->loop), "loop");
    uv_loop_configure(&m->loop, UV_METRICS_IDLE_TIME);
    qr_fake_net_init(&m->net, &m->loop, 1);
    snprintf(m->log_dir, sizeof m->log_dir, "%.60s/qr-loop-XXXXXX", tmp);
    qr_bench_must(mkdtemp(m->log_dir));
    qr_replica_init(&m->replica, &m->loop, 600);
}

static void on_closed(void *data)
{
    struct member *m = data;
    m->closed = true;
}

static void close_group(struct member *m)
{
    m->closed = false;
    qr_group_close(m->group, on_closed, m);
    while (!m->closed)
        turn_loop(m);
    qr_link_close(m->link, NULL, NULL);
    struct qr_sink sink = qr_glue_sink(&m->replica.glue);
    void *empty;
    qr_bench_must_be_0(sink.restore(sink.data, qr_slice_of("", 0), &empty), "restore");
    sink.replace(sink.data, empty);
    m->replica.glue.index = m->replica.glue.snapshot_index = m->replica.glue.sealed_index = 0;
    take_longest(m);
}

/* ---- the log ---- */

static void propose(void *data, struct qr_slice entry)
{
    struct member *m = data;
    struct qr_command command;
    int err;
    qr_bench_must_be_0(qr_command_decode(&command, entry), "command");
    while ((err = qr_group_propose(m->group, command.type, command.body, NULL, NULL)) == QR_E_BUSY)
        turn_loop(m);
    qr_bench_must_be_0(err, "propose");
}

static bool is_idle(const struct member *m)
{
    struct qr_group_status status = status_of(m);
    return status.ready && status.applied == status.last_index &&
           qr_group_get_load(m->group).n_waiting + qr_group_get_load(m->group).n_in_flight == 0;
}

static void settle(struct member *m)
{
    while (!is_idle(m))
        turn_loop(m);
}

static void fill(struct member *m, const struct qr_corpus *corpus, uint32_t n_hosts, uint32_t s)
{
    struct qr_fleet fleet;
    qr_fleet_init(&fleet, corpus, n_hosts, propose, m);
    double start = qr_bench_wall_ns();
    qr_fleet_define(&fleet);
    settle(m);
    printf("longest turn while defined %s\n", take_longest(m));
    for (uint32_t t = 0; t < s; t++)
        qr_fleet_tick(&fleet, t);
    settle(m);
    struct qr_group_status status = status_of(m);
    printf("%llu metrics, %u s: %llu entries, %.1f MB of log, in %.1f s\n",
           (unsigned long long)qr_fleet_metrics(&fleet), s, (unsigned long long)status.n_applied,
           (double)fleet.n_bytes / 1e6, (qr_bench_wall_ns() - start) / 1e9);
    printf("longest turn while fed %s, slice %.1f ms\n", take_longest(m),
           (double)status.apply_slice_us_max / 1e3);
    qr_fleet_release(&fleet);
}

/* ---- what is measured ---- */

static void restart(struct member *m, const char *what, uint32_t threshold)
{
    double start = qr_bench_wall_ns();
    open_group(m, threshold);
    double opened = qr_bench_wall_ns();
    uint64_t n_most = 0;
    while (!is_idle(m)) {
        turn_loop(m);
        uint64_t n = status_of(m).n_backlog;
        n_most = n > n_most ? n : n_most;
    }
    printf("%s: opened in %.2f s, all applied %.2f s later, backlog of up to %llu entries, "
           "longest turn %s\n",
           what, (opened - start) / 1e9, (qr_bench_wall_ns() - opened) / 1e9,
           (unsigned long long)n_most, take_longest(m));
}

/* The library asks as soon as it may: the log is longer than its threshold. */
static void wait_snapshot(struct member *m)
{
    double start = qr_bench_wall_ns();
    hold_snapshots = false;
    m->replica.glue.snapshot_wait_bytes = 0;
    while (status_of(m).n_snapshots == 0 && qr_bench_wall_ns() - start < 60e9)
        turn_loop(m);
    double made = qr_bench_wall_ns();
    struct qr_group_status status = status_of(m);
    while (qr_bench_wall_ns() - made < 1e9) /* It is written meanwhile. */
        turn_loop(m);
    printf("snapshot: made after %.2f s; encoded in %.1f ms, applying paused; longest turn %s\n",
           (made - start) / 1e9, (double)status.snapshot_us / 1e3, take_longest(m));
}

/* What the loop has to do of a snapshot that a leader sent, and what a worker does. */
static void install(struct member *m)
{
    struct qr_sink sink = qr_glue_sink(&m->replica.glue);
    struct qr_buf bytes = {0};
    void *pin, *next;
    double t0 = qr_bench_wall_ns();
    qr_bench_must_be_0(sink.snapshot_begin(sink.data, &pin), "begin");
    double t1 = qr_bench_wall_ns(), cpu = qr_bench_cpu_ns();
    qr_bench_must_be_0(sink.snapshot(sink.data, pin, &bytes), "snapshot");
    sink.snapshot_end(sink.data, pin);
    double t2 = qr_bench_wall_ns(), cpu2 = qr_bench_cpu_ns();
    qr_bench_must_be_0(sink.restore(sink.data, qr_buf_slice(&bytes), &next), "restore");
    double t3 = qr_bench_wall_ns(), cpu3 = qr_bench_cpu_ns();
    sink.replace(sink.data, next);
    double t4 = qr_bench_wall_ns(), cpu4 = qr_bench_cpu_ns();
    take_longest(m);
    while (qr_bench_wall_ns() - t4 < 1e9) {
        qr_store_poll(m->replica.store);
        turn_loop(m);
    }
    printf("store: %.1f MB, begun in %.1f ms (loop), encoded in %.1f ms (CPU %.1f), decoded in "
           "%.1f ms (CPU %.1f), replaced in %.1f ms (loop; CPU %.1f), longest turn then %s\n",
           (double)bytes.len / 1e6, (t1 - t0) / 1e6, (t2 - t1) / 1e6, (cpu2 - cpu) / 1e6,
           (t3 - t2) / 1e6, (cpu3 - cpu2) / 1e6, (t4 - t3) / 1e6, (cpu4 - cpu3) / 1e6,
           take_longest(m));
    qr_buf_release(&bytes);
}

static void remove_log(const struct member *m)
{
    DIR *dir = opendir(m->log_dir);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(m->log_dir);
}

static void close_member(struct member *m)
{
    close_group(m);
    while (qr_store_busy(m->replica.store) > 0)
        turn_loop(m);
    qr_replica_release(&m->replica);
    remove_log(m);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"hosts", required_argument, NULL, 'h'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"snapshot", no_argument, NULL, 'n'},
                                            {0}};
    uint32_t n_hosts = 4, seconds = 60;
    bool snapshot = false;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'h')
            n_hosts = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 's')
            seconds = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 'n')
            snapshot = true;
        else
            return 2;
    }
    hold_snapshots = true;
    const char *tmp = getenv("TMPDIR");
    struct qr_corpus corpus;
    static struct member member;
    qr_log_open(2, QR_LOG_WARN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *path = optind < argc ? argv[optind] : QR_SOURCE_DIR "/bench/data/corpus.lz4";
    qr_bench_must_be_0(qr_corpus_read(&corpus, path), "corpus");
    open_member(&member, tmp != NULL ? tmp : "/tmp");
    open_group(&member, NEVER);
    fill(&member, &corpus, n_hosts, seconds);
    close_group(&member);
    restart(&member, "restart", snapshot ? 10 : NEVER);
    if (snapshot) {
        wait_snapshot(&member);
        close_group(&member);
        restart(&member, "restart from the snapshot", NEVER);
        install(&member);
    }
    close_member(&member);
    qr_corpus_release(&corpus);
    return 0;
}
