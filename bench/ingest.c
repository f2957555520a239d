/* qr_bench_ingest — CPU per million samples: three members of Quorate, and one Netdata parent,
 * under the same load in the same run.
 *
 * real-time pace: hosts x charts x dims once a second for --seconds, measured from when every chart
 * is live.  Full speed: --data-seconds of data as fast as the parent takes it, measured from the
 * start until all of it is stored.  CPU is user + system of the processes of the side measured. */
#include <dirent.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cluster.h"
#include "testing/netdata.h"

#define LIVE_MS  120000
#define DRAIN_MS 30000
#define VERIFY_S 15
#define KEY      "11111111-2222-3333-4444-555555555555"

struct pace {
    const char *name;
    bool full;
    unsigned hosts, charts, dims;
};

static const struct pace paces[] = {
    {"real-time", false, 50, 100, 10},
    {"full-speed", true, 20, 100, 10},
};

struct figures {
    double samples, cpu_s, seconds;
    double cpu_member_s[QR_CLUSTER_MEMBERS_MAX + 1];
    double rss_bytes, disk_bytes, log_bytes_per_sample;
    int64_t p50_us, p99_us;
};

static unsigned seconds = 30, data_seconds = 300;
static bool with_netdata = true, with_quorate = true;
static int i_pace = -1;
static char work_dir[QR_TEMP_DIR_BYTES];

/* ---- the load ---- */

struct load {
    struct qr_process process;
    char json[QR_TEMP_DIR_BYTES + 32];
    unsigned n_charts;
};

static bool start_load(struct load *load, const struct pace *pace, const char *to, const char *key)
{
    char program[512], log[QR_TEMP_DIR_BYTES + 32], hosts[16], charts[16], dims[16], data[16];
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(load->json, sizeof load->json, "%s/load.json", work_dir);
    snprintf(log, sizeof log, "%s/load.log", work_dir);
    unlink(load->json);
    snprintf(hosts, sizeof hosts, "%u", pace->hosts);
    snprintf(charts, sizeof charts, "%u", pace->charts);
    snprintf(dims, sizeof dims, "%u", pace->dims);
    snprintf(data, sizeof data, "%u", data_seconds);
    load->n_charts = pace->hosts * pace->charts;
    const char *argv[] = {program,
                          "--to",
                          to,
                          "--key",
                          key,
                          "--rotate",
                          "--hosts",
                          hosts,
                          "--charts",
                          charts,
                          "--dims",
                          dims,
                          "--history",
                          "5",
                          "--plain",
                          "--quiet",
                          "--json-file",
                          load->json,
                          "--duration",
                          "0",
                          "--data-seconds",
                          data,
                          pace->full ? "--full-speed" : NULL,
                          NULL};
    return qr_process_start(&load->process, "quorate-loadgen", log, -1, argv) == 0;
}

static int64_t load_number(const struct load *load, const char *key)
{
    json_t *figures = json_load_file(load->json, 0, NULL);
    int64_t value = json_integer_value(json_object_get(figures, key));
    json_decref(figures);
    return value;
}

static double load_samples(const struct load *load)
{
    return (double)(load_number(load, "samples_live") + load_number(load, "samples_replayed"));
}

static bool load_is_live(void *data)
{
    const struct load *load = data;
    return load_number(load, "charts_live") == load->n_charts;
}

/* ---- the two sides ---- */

struct side {
    const char *name;
    struct qr_netdata *netdata; /* One of the two. */
    struct qr_cluster *cluster;
};

static double side_cpu_s(const struct side *side, struct figures *f)
{
    if (side->netdata != NULL)
        return qr_process_cpu_s(&side->netdata->process);
    for (unsigned id = 1; id <= side->cluster->n; id++)
        f->cpu_member_s[id] = qr_process_cpu_s(&side->cluster->members[id].process);
    return qr_cluster_cpu_s(side->cluster);
}

static double side_rss_bytes(const struct side *side)
{
    double bytes = 0;
    if (side->netdata != NULL)
        return (double)qr_process_rss_bytes(&side->netdata->process);
    for (unsigned id = 1; id <= side->cluster->n; id++)
        bytes += (double)qr_process_rss_bytes(&side->cluster->members[id].process);
    return bytes;
}

static double disk_bytes;

static int add_file(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    if (flag == FTW_F && strstr(path, ".log") == NULL)
        disk_bytes += (double)stat->st_blocks * 512;
    return 0;
}

static double folder_bytes(const char *dir)
{
    disk_bytes = 0;
    nftw(dir, add_file, 32, FTW_PHYS);
    return disk_bytes;
}

/* Full speed: the last second of the last host is stored.  A Netdata parent is asked for its info
 * of the host's chart; ours says its watermark. */
struct draining {
    const struct side *side;
    const struct pace *pace;
    int64_t last_s;
    uint32_t missing_host; /* The first that is not there yet, and how far it is. */
    int64_t missing_s;
};

static bool is_drained(void *data)
{
    struct draining *d = data;
    struct qr_model model = {1, d->pace->hosts, d->pace->charts, d->pace->dims, 1, false};
    struct qr_fetch fetch;
    bool all = true;
    if (qr_fetch_init(&fetch) != 0)
        return false;
    for (uint32_t host = 0; host < model.n_hosts && all; host++) {
        char guid[QR_GUID_TEXT_LEN + 1], chart[QR_MODEL_NAME_BYTES];
        struct qr_guid bytes;
        qr_model_guid(&model, host, &bytes);
        qr_guid_format(&bytes, guid);
        qr_model_chart_id(model.n_charts - 1, chart);
        const char *url =
            d->side->netdata != NULL ? d->side->netdata->url : d->side->cluster->members[1].url;
        int64_t last = 0;
        if (qr_fetch_get(&fetch, 10000, "%s/host/%s/api/v1/chart?chart=%s", url, guid, chart) ==
            200) {
            json_t *answer = qr_fetch_json(&fetch);
            last = json_integer_value(json_object_get(answer, "last_entry"));
            json_decref(answer);
        }
        all = last >= d->last_s;
        d->missing_host = host;
        d->missing_s = last;
    }
    qr_fetch_release(&fetch);
    return all;
}

static bool measure_real_time(const struct side *side, struct load *load, struct figures *f)
{
    struct figures before = {0};
    if (!qr_wait_for(load_is_live, load, LIVE_MS, 200))
        return false;
    qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + 3);
    double samples = load_samples(load), cpu_s = side_cpu_s(side, &before);
    uint64_t started_ms = qr_mono_ms();
    qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + (int64_t)seconds);
    f->samples = load_samples(load) - samples;
    f->cpu_s = side_cpu_s(side, f) - cpu_s;
    f->seconds = (double)(qr_mono_ms() - started_ms) / 1000;
    for (unsigned id = 1; id <= QR_CLUSTER_MEMBERS_MAX; id++)
        f->cpu_member_s[id] -= before.cpu_member_s[id];
    return true;
}

static bool measure_full_speed(const struct side *side, struct load *load, const struct pace *pace,
                               double cpu_s, struct figures *f)
{
    uint64_t started_ms = qr_mono_ms();
    if (!qr_process_wait(&load->process, 600000))
        return false;
    struct draining d = {side, pace, load_number(load, "last_s"), 0, 0};
    if (!qr_wait_for(is_drained, &d, DRAIN_MS, 50))
        fprintf(stderr, "%s has not stored all of it in %d s: host %u is at %lld of %lld\n",
                side->name, DRAIN_MS / 1000, d.missing_host, (long long)d.missing_s,
                (long long)d.last_s);
    f->seconds = (double)(qr_mono_ms() - started_ms) / 1000;
    f->samples = load_samples(load);
    f->cpu_s = side_cpu_s(side, f) - cpu_s;
    return true;
}

/* What was measured is right: the last seconds of every chart, as the side answers it now. */
static bool verify(const struct side *side, const struct pace *pace, const struct load *load)
{
    struct qr_model model = {1, pace->hosts, pace->charts, pace->dims, 1, false};
    int64_t to_s = load_number(load, "last_s") - (pace->full ? 0 : 3);
    const char *url = side->netdata != NULL ? side->netdata->url : side->cluster->members[1].url;
    struct qr_verify result = {0};
    struct qr_fetch fetch;
    char text[512];
    if (qr_fetch_init(&fetch) != 0)
        return false;
    qr_verify_node(&model, &fetch, url, to_s - VERIFY_S, to_s, &result);
    qr_fetch_release(&fetch);
    if (!qr_verify_ok(&result)) {
        qr_verify_format(&result, text, sizeof text);
        fprintf(stderr, "%s: %s\n", side->name, text);
    }
    return qr_verify_ok(&result);
}

static bool measure(const struct side *side, const struct pace *pace, const char *to,
                    const char *key, struct figures *f)
{
    struct load load;
    double cpu_s = side_cpu_s(side, f);
    memset(&load, 0, sizeof load);
    if (!start_load(&load, pace, to, key))
        return false;
    bool ok = pace->full ? measure_full_speed(side, &load, pace, cpu_s, f)
                         : measure_real_time(side, &load, f);
    if (!ok)
        qr_process_print_log(&load.process, 10);
    qr_process_stop(&load.process, 10000);
    f->rss_bytes = side_rss_bytes(side);
    return ok && verify(side, pace, &load);
}

static void print(const struct side *side, const struct pace *pace, const struct figures *f)
{
    printf("%-10s %-16s %8.3f M samples in %5.1f s  CPU %7.2f s  %6.2f CPU-s/M  %6.0f kB RSS/k "
           "metrics",
           pace->name, side->name, f->samples / 1e6, f->seconds, f->cpu_s,
           f->cpu_s / (f->samples / 1e6),
           f->rss_bytes / 1024 / ((double)pace->hosts * pace->charts * pace->dims / 1000));
    if (side->cluster != NULL) {
        printf("  (");
        for (unsigned id = 1; id <= side->cluster->n; id++)
            printf("%s%.2f", id > 1 ? " + " : "", f->cpu_member_s[id] / (f->samples / 1e6));
        printf(
            ")\n%-27s log %.2f bytes/sample, folder of a member %.2f (with its preallocated log), "
            "socket to applied p50 %.1f ms p99 %.1f ms (slowest member)",
            "", f->log_bytes_per_sample, f->disk_bytes / f->samples, (double)f->p50_us / 1000,
            (double)f->p99_us / 1000);
    }
    printf("\n");
    fflush(stdout);
}

static bool bench_netdata(const struct pace *pace, struct figures *f)
{
    struct qr_netdata netdata;
    struct qr_netdata_options options = {.name = "bench-parent", .api_key = KEY, .parent = true};
    if (!qr_netdata_available() || qr_netdata_start(&netdata, &options) != 0)
        return false;
    struct side side = {.name = "netdata 1.37.1", .netdata = &netdata};
    bool ok = measure(&side, pace, netdata.url + strlen("http://"), KEY, f);
    if (ok)
        print(&side, pace, f);
    qr_netdata_release(&netdata, false);
    return ok;
}

static void read_status(struct qr_cluster *cluster, struct figures *f)
{
    for (unsigned id = 1; id <= cluster->n; id++) {
        json_t *status = qr_cluster_status(cluster, id);
        const json_t *counters = json_object_get(status, "counters");
        int64_t p50 = json_integer_value(json_object_get(counters, "socket_latency_us_p50"));
        int64_t p99 = json_integer_value(json_object_get(counters, "socket_latency_us_p99"));
        double log_samples = (double)json_integer_value(json_object_get(counters, "log_samples"));
        double log_bytes = (double)json_integer_value(json_object_get(counters, "log_bytes"));
        f->p50_us = p50 > f->p50_us ? p50 : f->p50_us;
        f->p99_us = p99 > f->p99_us ? p99 : f->p99_us;
        if (log_samples > 0)
            f->log_bytes_per_sample = log_bytes / log_samples;
        json_decref(status);
    }
    f->disk_bytes = folder_bytes(cluster->members[1].dir);
}

static bool bench_quorate(const struct pace *pace, struct figures *f)
{
    static struct qr_cluster cluster;
    struct qr_cluster_options options = {.name = "bench", .log_level = "warn"};
    char to[512];
    if (qr_cluster_create(&cluster, &options) != 0 || qr_cluster_start_all(&cluster) != 0 ||
        qr_cluster_wait_leader(&cluster, 30000) == 0)
        return false;
    qr_cluster_wait_caught_up(&cluster, 30000);
    struct side side = {.name = "quorate x3", .cluster = &cluster};
    qr_cluster_destinations(&cluster, 1, ',', to, sizeof to);
    bool ok = measure(&side, pace, to, cluster.api_key, f);
    read_status(&cluster, f);
    if (ok)
        print(&side, pace, f);
    else
        qr_cluster_print_logs(&cluster);
    qr_cluster_release(&cluster, !ok);
    return ok;
}

static bool bench(const struct pace *pace)
{
    struct figures netdata = {0}, quorate = {0};
    bool ok = true;
    if (with_netdata)
        ok = bench_netdata(pace, &netdata);
    if (with_quorate)
        ok = bench_quorate(pace, &quorate) && ok;
    if (ok && with_netdata && with_quorate)
        printf("%-10s three members / one Netdata parent: %.2f\n", pace->name,
               quorate.cpu_s / quorate.samples / (netdata.cpu_s / netdata.samples));
    return ok;
}

static int usage(int code)
{
    printf("usage: qr_bench_ingest [--seconds N] [--data-seconds N] [--pace real-time|full-speed]\n"
           "                       [--only netdata|quorate]\n\n"
           "CPU per million samples of three Quorate members and of one Netdata 1.37.1 parent.\n"
           "  --seconds N       real-time pace: measured so long (30)\n"
           "  --data-seconds N  full speed: so many seconds of data (300)\n");
    return code;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"seconds", required_argument, NULL, 's'}, {"data-seconds", required_argument, NULL, 'd'},
        {"pace", required_argument, NULL, 'p'},    {"only", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 's')
            seconds = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'd')
            data_seconds = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'p')
            i_pace = strcmp(optarg, "full-speed") == 0;
        else if (c == 'o' && strcmp(optarg, "netdata") == 0)
            with_quorate = false;
        else if (c == 'o' && strcmp(optarg, "quorate") == 0)
            with_netdata = false;
        else
            return usage(c == 'h' ? 0 : 2);
    }
    if (seconds == 0 || data_seconds == 0)
        return usage(2);
    qr_temp_dir(work_dir, "bench");
    bool ok = true;
    for (int i = 0; i < (int)(sizeof paces / sizeof *paces); i++)
        if (i_pace < 0 || i_pace == i)
            ok = bench(&paces[i]) && ok;
    qr_remove_dir(work_dir);
    return ok ? 0 : 1;
}
