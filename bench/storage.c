/* qr_bench_storage — what storage takes, measured, beside what it must and what it should.
 *
 *   qr_bench_storage                          the corpus in the tree
 *   qr_bench_storage CORPUS.LZ4               another of that form (qr_bench_corpus)
 *   qr_bench_storage SERIES.TSV VALUES.F64    recorded doubles
 *
 * One core, thread CPU time where it is a matter of computing, the best of some passes.  Exits with
 * 1 if a figure that was measured misses what it must reach. */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/log.h"
#include "bench/fleet.h"
#include "bench/storage.h"

static struct figure {
    const char *key, *title, *unit;
    double must, goal;
    bool more_is_better;
    double value;
} figures[QR_FIGURES] = {
    [QR_FIGURE_DISK] = {"disk", "tier 0 on disk, 600 s files, complete", "B/sample", 0.55, 0.48},
    [QR_FIGURE_DISK_MERGED] = {"disk_merged", "tier 0 after the 6 h merge", "B/sample", 0.52, 0.46},
    [QR_FIGURE_TIER_1] = {"tier_1", "tier 1, 1 h chunks", "B/point", 3.0, 2.5},
    [QR_FIGURE_ENCODE] = {"encode", "codec: encode", "ns/sample", 25, 10},
    [QR_FIGURE_DECODE] = {"decode", "codec: decode to doubles, all series", "ns/sample", 1.5, 0.8},
    [QR_FIGURE_DECODE_NOISY] = {"decode_noisy", "codec: decode to doubles, noisy series",
                                "ns/sample", 3, 1.5},
    [QR_FIGURE_SCAN] = {"scan", "aggregate scan, from the page cache", "G samples/s", 0.5, 1.5,
                        true},
    [QR_FIGURE_CHART_COLD] = {"chart_cold", "chart query (10 dimensions, 1 h, 1 s), cold", "ms", 10,
                              2},
    [QR_FIGURE_CHART_WARM] = {"chart_warm", "chart query (10 dimensions, 1 h, 1 s), warm", "ms", 1,
                              0.15},
    [QR_FIGURE_READS] = {"reads", "reads a chart-hour, 600 s files", "reads", 8, 6},
    [QR_FIGURE_READS_MERGED] = {"reads_merged", "reads a chart-hour, merged", "reads", 3, 1},
    [QR_FIGURE_LOG_20] = {"log_20", "log entry of 1 s, 20 hosts", "B/sample", 0.70, 0.60},
    [QR_FIGURE_LOG_1] = {"log_1", "log entry of 1 s, one host", "B/sample", 0.80, 0.65},
    [QR_FIGURE_LOG_ENCODE] = {"log_encode", "log: encode", "ns/sample", 15, 6},
    [QR_FIGURE_LOG_DECODE] = {"log_decode", "log: decode", "ns/sample", 10, 4},
    [QR_FIGURE_APPLY] = {"apply", "apply on a follower, loop thread", "ns/sample", 20, 8},
    [QR_FIGURE_INGEST] = {"ingest", "whole ingest of a replica, with seal", "ns/sample", 60, 25},
    [QR_FIGURE_HEAD] = {"head", "head memory a metric, without strings", "KiB", 1.5, 1.0},
    [QR_FIGURE_HEAD_ALL] = {"head_all", "memory a metric, all in", "KiB", 2.5, 1.3},
    [QR_FIGURE_RAFT_LOG] = {"raft_log", "raft log in memory, 1 M metrics", "GB", 0.7, 0.36},
    [QR_FIGURE_SEAL] = {"seal", "seal of a 600 s window, 50 k metrics, on a worker", "s", 3, 0.8},
    [QR_FIGURE_SEAL_STALL] = {"seal_stall", "longest stall of the loop meanwhile", "ms", 5, 5},
    [QR_FIGURE_RESTART] = {"restart", "restart: replay of a full window, 1 M metrics", "s", 30, 8},
    [QR_FIGURE_CATCH_UP] = {"catch_up", "catch-up by file copy, without the network", "MB/s", 200,
                            1000, true},
};

void qr_figure_set(enum qr_figure_id id, double value)
{
    struct figure *f = &figures[id];
    if (isnan(f->value) || (f->more_is_better ? value > f->value : value < f->value))
        f->value = value;
}

double qr_figure_get(enum qr_figure_id id)
{
    return figures[id].value;
}

static const struct {
    const char *name;
    void (*run)(const struct qr_bench *bench);
} parts[] = {
    {"codec", qr_bench_codec},
    {"log", qr_bench_log},
    {"files", qr_bench_files},
    {"window", qr_bench_window},
};

/* ---- printing ---- */

static void cpu_name(char *name, size_t len)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, len, "unknown CPU");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *value = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (value == NULL)
            continue;
        value[strcspn(value, "\n")] = '\0';
        snprintf(name, len, "%s", value + 2);
        break;
    }
    if (file != NULL)
        fclose(file);
}

static bool reaches(const struct figure *f, double bar)
{
    return f->more_is_better ? f->value >= bar : f->value <= bar;
}

static const char *verdict(const struct figure *f)
{
    if (isnan(f->value))
        return "not run";
    return reaches(f, f->goal) ? "MET, goal too" : reaches(f, f->must) ? "MET" : "MISSED";
}

static void print_text(const struct qr_bench *bench, const char *cpu, double load)
{
    printf("%s build, gcc " __VERSION__
           ", %s, load %.1f; %u series of %u s, %u hosts, best of %u\n\n",
           QR_BUILD_TYPE, cpu, load, bench->corpus->n_series, bench->corpus->n_rows, bench->n_hosts,
           bench->passes);
    printf("%-52s %10s %-12s %8s %8s\n", "", "measured", "", "must", "goal");
    for (size_t i = 0; i < QR_FIGURES; i++) {
        const struct figure *f = &figures[i];
        char value[32] = "-";
        if (!isnan(f->value))
            snprintf(value, sizeof value, "%.3f", f->value);
        printf("%-52s %10s %-12s %s%7g %s%7g  %s\n", f->title, value, f->unit,
               f->more_is_better ? ">" : "<", f->must, f->more_is_better ? ">" : "<", f->goal,
               verdict(f));
    }
}

static void print_json(const struct qr_bench *bench, const char *cpu, double load)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < QR_FIGURES; i++) {
        const struct figure *f = &figures[i];
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:f, s:f, s:s}", "key", f->key, "title", f->title, "unit",
                      f->unit, "must", f->must, "goal", f->goal, "verdict", verdict(f));
        json_object_set_new(row, "measured", isnan(f->value) ? json_null() : json_real(f->value));
        json_array_append_new(rows, row);
    }
    json_t *all =
        json_pack("{s:s, s:s, s:s, s:f, s:i, s:i, s:i, s:i, s:o}", "build", QR_BUILD_TYPE,
                  "compiler", __VERSION__, "cpu", cpu, "load", load, "series",
                  (int)bench->corpus->n_series, "seconds", (int)bench->corpus->n_rows, "hosts",
                  (int)bench->n_hosts, "passes", (int)bench->passes, "figures", rows);
    json_dumpf(all, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(all);
}

static int usage(int code)
{
    printf("usage: qr_bench_storage [options] [CORPUS.LZ4 | SERIES.TSV VALUES.F64]\n\n"
           "  --only PART  codec, log, files or window\n"
           "  --passes N   best of so many (3)\n"
           "  --hosts N    hosts of the parts that need many (25, some 50 k metrics)\n"
           "  --json       figures as JSON\n");
    return code;
}

static void read_corpus(struct qr_corpus *corpus, int argc, char **argv)
{
    const char *path = argc > 0 ? argv[0] : QR_SOURCE_DIR "/bench/data/corpus.lz4";
    qr_bench_must_be_0(argc == 2 ? qr_corpus_read_recorded(corpus, argv[0], argv[1], 600)
                                 : qr_corpus_read(corpus, path),
                       path);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"only", required_argument, NULL, 'o'},  {"passes", required_argument, NULL, 'p'},
        {"hosts", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    struct qr_corpus corpus;
    struct qr_bench bench = {&corpus, 3, 25};
    const char *only = NULL;
    bool json = false, ok = true;
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'o')
            only = optarg;
        else if (c == 'p')
            bench.passes = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'n')
            bench.n_hosts = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 'j')
            json = true;
        else
            return usage(c == 'h' ? 0 : 2);
    }
    if (argc - optind > 2 || bench.passes == 0 || bench.n_hosts == 0)
        return usage(2);
    qr_log_open(-1, QR_LOG_ERROR);
    read_corpus(&corpus, argc - optind, argv + optind);
    for (size_t i = 0; i < QR_FIGURES; i++)
        figures[i].value = NAN;
    for (size_t i = 0; i < QR_COUNT(parts); i++)
        if (only == NULL || strcmp(only, parts[i].name) == 0)
            parts[i].run(&bench);
    char cpu[128];
    double load = 0;
    cpu_name(cpu, sizeof cpu);
    getloadavg(&load, 1);
    (json ? print_json : print_text)(&bench, cpu, load);
    for (size_t i = 0; i < QR_FIGURES; i++)
        ok &= isnan(figures[i].value) || reaches(&figures[i], figures[i].must);
    qr_corpus_release(&corpus);
    return ok ? 0 : 1;
}
