/* qr_bench_idle — memory of a connected child beyond what the catalog holds of it.
 *
 * One member and many small children in another process, on the loopback.  They stream once, the
 * member starts again (so that it holds all that is known and stored of them, and nothing else),
 * and they come back; what its process has grown by, less what the samples since take, is what
 * their connections cost: while they say something each second, and after a silence (they are
 * stopped). */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "testing/cluster.h"

#define LIVE_MS   600000
#define GOAL_KIB  64.0
#define SILENCE_S 15

static const struct variant {
    const char *name, *compression;
    bool tls, v2;
} variants[] = {
    {"plain", "none", false, false}, {"lz4", "lz4", false, false},  {"tls", "none", true, false},
    {"tls+lz4", "lz4", true, false}, {"zstd", "zstd", false, true},
};

static unsigned n_hosts = 5000, n_charts = 10, n_dims = 2, seconds = 90;
static const char *only;

struct load {
    struct qr_process process;
    char json[QR_TEMP_DIR_BYTES + 32];
};

static bool start_load(struct load *load, const struct qr_cluster *cluster,
                       const struct variant *variant)
{
    char program[512], log[QR_TEMP_DIR_BYTES + 32], hosts[16], charts[16], dims[16], to[64];
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(load->json, sizeof load->json, "%s/load.json", cluster->dir);
    snprintf(log, sizeof log, "%s/load.log", cluster->dir);
    remove(load->json);
    snprintf(hosts, sizeof hosts, "%u", n_hosts);
    snprintf(charts, sizeof charts, "%u", n_charts);
    snprintf(dims, sizeof dims, "%u", n_dims);
    qr_cluster_destinations(cluster, 1, ',', to, sizeof to);
    const char *argv[] = {program,
                          "--to",
                          to,
                          "--key",
                          cluster->api_key,
                          "--hosts",
                          hosts,
                          "--charts",
                          charts,
                          "--dims",
                          dims,
                          "--plain",
                          "--history",
                          "5",
                          "--duration",
                          "0",
                          "--quiet",
                          "--compression",
                          variant->compression,
                          "--json-file",
                          load->json,
                          variant->tls  ? "--tls"
                          : variant->v2 ? "--v2"
                                        : NULL,
                          NULL};
    return qr_process_start(&load->process, "quorate-loadgen", log, -1, argv) == 0;
}

static bool is_live(void *data)
{
    const struct load *load = data;
    json_t *figures = json_load_file(load->json, 0, NULL);
    int64_t n = json_integer_value(json_object_get(figures, "charts_live"));
    json_decref(figures);
    return n == (int64_t)n_hosts * n_charts;
}

/* What of the member's memory is not its children's: samples not sealed yet, and the log. */
static double other_bytes(struct qr_cluster *cluster, int64_t *n_connected)
{
    json_t *status = qr_cluster_status(cluster, 1);
    const json_t *counters = json_object_get(status, "counters");
    double bytes = (double)json_integer_value(json_object_get(counters, "head_bytes")) +
                   (double)json_integer_value(json_object_get(counters, "log_bytes"));
    size_t i;
    json_t *child;
    *n_connected = 0;
    json_array_foreach(json_object_get(status, "children"), i, child) *n_connected +=
        !json_is_true(json_object_get(child, "own")) &&
        json_is_true(json_object_get(child, "connected"));
    json_decref(status);
    return bytes;
}

static bool nobody_is_connected(void *data)
{
    int64_t n;
    other_bytes(data, &n);
    return n == 0;
}

struct figure {
    double rss_bytes, other_bytes;
};

static struct figure look(struct qr_cluster *cluster)
{
    int64_t n;
    struct figure figure = {.other_bytes = other_bytes(cluster, &n)};
    figure.rss_bytes = (double)qr_process_rss_bytes(&cluster->members[1].process);
    return figure;
}

static double kib_a_child(const struct figure *now, const struct figure *before)
{
    return (now->rss_bytes - before->rss_bytes - (now->other_bytes - before->other_bytes)) / 1024 /
           n_hosts;
}

/* The children are known and stored, and gone: the member has started again. */
static bool make_known(struct qr_cluster *cluster, struct load *load, const struct variant *variant)
{
    if (!start_load(load, cluster, variant) || !qr_wait_for(is_live, load, LIVE_MS, 500))
        return false;
    qr_process_stop(&load->process, 60000);
    return qr_wait_for(nobody_is_connected, cluster, 60000, 500) && qr_cluster_stop(cluster, 1) &&
           qr_cluster_start(cluster, 1) == 0 && qr_cluster_wait_leader(cluster, 60000) != 0 &&
           qr_cluster_wait_caught_up(cluster, 60000);
}

static bool measure(struct qr_cluster *cluster, const struct variant *variant)
{
    struct load load = {0};
    if (!make_known(cluster, &load, variant))
        return false;
    struct figure before = look(cluster);
    double cpu_s = qr_cluster_cpu_s(cluster);
    if (!start_load(&load, cluster, variant) || !qr_wait_for(is_live, &load, LIVE_MS, 500))
        return false;
    double connect_cpu_s = qr_cluster_cpu_s(cluster) - cpu_s;
    struct figure fresh = look(cluster);
    cpu_s = qr_cluster_cpu_s(cluster);
    qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + seconds);
    struct figure busy = look(cluster);
    double busy_cpu = (qr_cluster_cpu_s(cluster) - cpu_s) / seconds;
    qr_process_signal(&load.process, SIGSTOP);
    qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + SILENCE_S);
    struct figure silent = look(cluster);
    qr_process_signal(&load.process, SIGCONT);
    qr_process_stop(&load.process, 60000);
    double idle = kib_a_child(&silent, &before);
    printf(
        "%-8s %u children: without them %.0f MiB (%.1f KiB each); each KiB more: %.1f when live, "
        "%.1f after %u s of a row a second, %.1f silent for %d s; CPU %.1f s to connect, %.2f "
        "then  %s\n",
        variant->name, n_hosts, before.rss_bytes / (1 << 20), before.rss_bytes / 1024 / n_hosts,
        kib_a_child(&fresh, &before), kib_a_child(&busy, &before), seconds, idle, SILENCE_S,
        connect_cpu_s, busy_cpu, idle <= GOAL_KIB ? "MET" : "MISSED");
    fflush(stdout);
    return true;
}

static bool bench(const struct variant *variant)
{
    static struct qr_cluster cluster;
    struct qr_cluster_options options = {.name = "idle", .n = 1, .log_level = "warn", .tls = true};
    if (qr_cluster_create(&cluster, &options) != 0 || qr_cluster_start_all(&cluster) != 0 ||
        qr_cluster_wait_leader(&cluster, 30000) == 0)
        return false;
    bool ok = measure(&cluster, variant);
    if (!ok) {
        fprintf(stderr, "%s: the children did not get through\n", variant->name);
        qr_cluster_print_logs(&cluster);
    }
    qr_cluster_release(&cluster, !ok);
    return ok;
}

static int usage(int code)
{
    printf(
        "usage: qr_bench_idle [--hosts N] [--charts N] [--dims N] [--seconds N] [--only NAME]\n\n"
        "Memory of a member for each connected child, beyond what it knows and stores of it.\n"
        "  --only NAME   plain, lz4, tls, tls+lz4 or zstd (all)\n"
        "  --seconds N   children stream so long, a row of each chart a second (90)\n");
    return code;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"hosts", required_argument, NULL, 'n'},
                                          {"charts", required_argument, NULL, 'c'},
                                          {"dims", required_argument, NULL, 'd'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        unsigned n = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (c == 'n')
            n_hosts = n;
        else if (c == 'c')
            n_charts = n;
        else if (c == 'd')
            n_dims = n;
        else if (c == 's')
            seconds = n;
        else if (c == 'o')
            only = optarg;
        else
            return usage(c == 'h' ? 0 : 2);
    }
    if (n_hosts == 0 || n_charts == 0 || n_dims == 0 || seconds == 0)
        return usage(2);
    bool ok = true;
    for (size_t i = 0; i < QR_COUNT(variants); i++)
        if (only == NULL || strcmp(only, variants[i].name) == 0)
            ok = bench(&variants[i]) && ok;
    return ok ? 0 : 1;
}
