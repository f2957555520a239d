/* qr_bench_failover — how long real Netdata children are without a parent when a member is killed.
 *
 * Children (Debian's 1.37.1) stream to three members.  Each round kills -9 one member, the owner of
 * some children or the leader in turn, and measures for every child the time from the kill until a
 * second that came after it is stored on a surviving member; then the member comes back.  A child
 * that was not on the victim shows what it is without a fault: its next second has to be over.
 * Also counted: how often a child was told "already streaming". */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/cluster.h"
#include "testing/netdata.h"

#define CHILDREN_MAX 16
#define ROUNDS_MAX   200
#define STORED_MS    150000
#define GOAL_MS      5000
#define READY_MS     60000

static struct qr_cluster cluster;
static struct qr_netdata children[CHILDREN_MAX];
static unsigned n_children = 6, n_rounds = 20;

struct times {
    const char *name;
    double ms[CHILDREN_MAX * ROUNDS_MAX];
    unsigned n;
};
static struct times moved = {.name = "moved"}, untouched = {.name = "untouched"};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_times(struct times *times)
{
    unsigned late = 0;
    if (times->n == 0)
        return;
    qsort(times->ms, times->n, sizeof *times->ms, compare);
    for (unsigned i = 0; i < times->n; i++)
        late += times->ms[i] > GOAL_MS;
    printf("%-10s n=%u median=%.2f s p99=%.2f s max=%.2f s over 5 s: %u\n", times->name, times->n,
           times->ms[times->n / 2] / 1000, times->ms[(times->n - 1) * 99 / 100] / 1000,
           times->ms[times->n - 1] / 1000, late);
}

/* Newest watermark of each child that a running member knows. */
static void read_watermarks(int64_t watermarks[CHILDREN_MAX])
{
    memset(watermarks, 0, CHILDREN_MAX * sizeof *watermarks);
    for (unsigned id = 1; id <= cluster.n; id++) {
        json_t *status = qr_cluster_status(&cluster, id);
        const json_t *list = json_object_get(status, "children");
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *child = json_array_get(list, i);
            const char *guid = json_string_value(json_object_get(child, "guid"));
            int64_t t = json_integer_value(json_object_get(child, "watermark"));
            for (unsigned c = 0; c < n_children; c++)
                if (guid != NULL && strcmp(guid, children[c].guid) == 0 && t > watermarks[c])
                    watermarks[c] = t;
        }
        json_decref(status);
    }
}

struct round {
    uint64_t killed_ms;
    double stored_ms[CHILDREN_MAX]; /* After the kill; 0: not yet. */
};

static bool all_stored(void *data)
{
    struct round *round = data;
    int64_t watermarks[CHILDREN_MAX];
    bool all = true;
    read_watermarks(watermarks);
    for (unsigned c = 0; c < n_children; c++) {
        bool stored = watermarks[c] > (int64_t)(round->killed_ms / 1000);
        if (stored && round->stored_ms[c] == 0)
            round->stored_ms[c] = (double)(qr_real_ms() - round->killed_ms);
        all = all && stored;
    }
    return all;
}

static unsigned pick_victim(unsigned i_round)
{
    unsigned leader = qr_cluster_wait_leader(&cluster, READY_MS);
    if (i_round % 2 == 0)
        return leader;
    unsigned owner = qr_cluster_owner(&cluster, children[i_round / 2 % n_children].guid);
    return owner != 0 ? owner : leader;
}

static bool run_round(unsigned i_round)
{
    struct round round = {0};
    unsigned owners[CHILDREN_MAX], victim = pick_victim(i_round);
    bool was_leader = victim == qr_cluster_leader(&cluster);
    for (unsigned c = 0; c < n_children; c++)
        owners[c] = qr_cluster_owner(&cluster, children[c].guid);
    round.killed_ms = qr_real_ms();
    qr_cluster_kill(&cluster, victim);
    bool all = qr_wait_for(all_stored, &round, STORED_MS, 20);
    printf("round %2u: killed member %u%s:", i_round + 1, victim, was_leader ? " (leader)" : "");
    for (unsigned c = 0; c < n_children; c++) {
        struct times *times = owners[c] == victim ? &moved : &untouched;
        double ms = round.stored_ms[c] > 0 ? round.stored_ms[c] : STORED_MS;
        times->ms[times->n++] = ms;
        printf(" %.2f%s", ms / 1000, owners[c] == victim ? "*" : "");
    }
    printf("%s\n", all ? "" : "  NOT ALL");
    fflush(stdout);
    return qr_cluster_start(&cluster, victim) == 0 && qr_cluster_wait_caught_up(&cluster, READY_MS);
}

static unsigned count_already_streaming(const struct qr_netdata *child)
{
    char path[512], line[4096];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/log/error.log", child->dir);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        n += strstr(line, "already streaming") != NULL || strstr(line, "ALREADY CONNECTED") != NULL;
    if (file != NULL)
        fclose(file);
    return n;
}

static bool start_all(void)
{
    struct qr_cluster_options options = {.name = "failover"};
    if (qr_cluster_create(&cluster, &options) != 0 || qr_cluster_start_all(&cluster) != 0 ||
        qr_cluster_wait_leader(&cluster, READY_MS) == 0 ||
        !qr_cluster_wait_caught_up(&cluster, READY_MS))
        return false;
    for (unsigned c = 0; c < n_children; c++) {
        char to[512], name[32];
        qr_cluster_destinations(&cluster, c % cluster.n + 1, ' ', to, sizeof to);
        snprintf(name, sizeof name, "child-%u", c + 1);
        struct qr_netdata_options child = {
            .name = name, .destinations = to, .api_key = cluster.api_key};
        if (qr_netdata_start(&children[c], &child) != 0)
            return false;
    }
    struct round round = {.killed_ms = qr_real_ms()};
    return qr_wait_for(all_stored, &round, READY_MS, 100);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"rounds", required_argument, NULL, 'r'},
                                          {"children", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        unsigned n = c == 'h' ? 0 : (unsigned)strtoul(optarg != NULL ? optarg : "0", NULL, 10);
        if (c == 'r')
            n_rounds = n;
        else if (c == 'c')
            n_children = n;
        if (n == 0 || n_rounds > ROUNDS_MAX || n_children > CHILDREN_MAX) {
            printf(
                "usage: qr_bench_failover [--rounds N] [--children N]\n\n"
                "Kills a member each round under real Netdata children (20 rounds, 6 children).\n");
            return c == 'h' ? 0 : 2;
        }
    }
    bool ok = qr_netdata_available() && start_all();
    for (unsigned i = 0; ok && i < n_rounds; i++)
        ok = run_round(i);
    unsigned already = 0;
    for (unsigned i = 0; i < n_children; i++)
        already += count_already_streaming(&children[i]);
    print_times(&moved);
    print_times(&untouched);
    printf("told \"already streaming\": %u times\n", already);
    if (!ok)
        qr_cluster_print_logs(&cluster);
    for (unsigned i = 0; i < n_children; i++)
        qr_netdata_release(&children[i], !ok);
    qr_cluster_release(&cluster, !ok);
    return ok && already == 0 ? 0 : 1;
}
