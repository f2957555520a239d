/* qr_bench_failover — how long real Netdata children are without a parent when a member is killed.
 *
 * Children (Debian's 1.37.1) stream to three members.  Each round kills -9 one member, the leader
 * or an owner of children in turn (or, with --pause, stops the leader for PAUSE_MS: no connection
 * closes), and measures from the fault until
 *
 *   commit     a surviving member knows a greater commit index in a later term (leaders only)
 *   claimed    a surviving member owns the child, in a later epoch (children of the victim only)
 *   first      and has stored a second of it that no survivor had before: the child's first sample
 *   waited     from claimed to first: what is not the child's own way to the new owner
 *   moved      and one that was collected after the fault, wholly: up to a second later
 *   untouched  the last, for children of other members: what it is without a fault of theirs
 *
 * then the member comes back.  Also counted: how often a child was told "already streaming".  The
 * survivors are asked all the time, some milliseconds a round trip: that is the error. */
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
#define PAUSE_MS     5000
#define ASK_MS       2

static struct qr_cluster cluster;
static struct qr_netdata children[CHILDREN_MAX];
static unsigned n_children = 6, n_rounds = 40;
static bool pausing;

struct times {
    const char *name;
    double ms[CHILDREN_MAX * ROUNDS_MAX];
    unsigned n;
};
static struct times commit = {.name = "commit"}, claimed = {.name = "claimed"},
                    first = {.name = "first"}, waited = {.name = "waited"},
                    moved = {.name = "moved"}, untouched = {.name = "untouched"};

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

/* What the running members know together. */
struct picture {
    int64_t term, commit;
    int64_t watermarks[CHILDREN_MAX], epochs[CHILDREN_MAX];
    unsigned owners[CHILDREN_MAX];
};

static int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void look_at_child(struct picture *p, unsigned c, const json_t *child)
{
    if (number(child, "watermark") > p->watermarks[c])
        p->watermarks[c] = number(child, "watermark");
    if (number(child, "epoch") >= p->epochs[c]) {
        p->epochs[c] = number(child, "epoch");
        p->owners[c] = (unsigned)number(child, "owner");
    }
}

static void look(struct picture *p, unsigned without)
{
    memset(p, 0, sizeof *p);
    for (unsigned id = 1; id <= cluster.n; id++) {
        json_t *status = id != without ? qr_cluster_status(&cluster, id) : NULL;
        const json_t *list = json_object_get(status, "children");
        if (number(status, "term") > p->term)
            p->term = number(status, "term");
        if (number(status, "commit") > p->commit)
            p->commit = number(status, "commit");
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *child = json_array_get(list, i);
            const char *guid = json_string_value(json_object_get(child, "guid"));
            for (unsigned c = 0; c < n_children; c++)
                if (guid != NULL && strcmp(guid, children[c].guid) == 0)
                    look_at_child(p, c, child);
        }
        json_decref(status);
    }
}

struct round {
    unsigned victim;
    uint64_t fault_ms;
    bool was_leader;
    struct picture before;
    /* After the fault; 0: not yet. */
    double commit_ms, claimed_ms[CHILDREN_MAX], first_ms[CHILDREN_MAX], stored_ms[CHILDREN_MAX];
};

static void stamp(const struct round *round, double *ms)
{
    if (*ms == 0)
        *ms = (double)(qr_real_ms() - round->fault_ms);
}

static bool all_stored(void *data)
{
    struct round *round = data;
    struct picture now;
    look(&now, round->victim);
    if (now.term > round->before.term && now.commit > round->before.commit)
        stamp(round, &round->commit_ms);
    bool all = !round->was_leader || round->commit_ms > 0;
    for (unsigned c = 0; c < n_children; c++) {
        bool own = round->before.owners[c] != round->victim;
        /* No child leaves a parent that stands still: its connection is as good as before. */
        if (pausing && !own)
            continue;
        if (!own && now.owners[c] != round->victim && now.epochs[c] > round->before.epochs[c]) {
            stamp(round, &round->claimed_ms[c]);
            own = true;
        }
        if (own && now.watermarks[c] > round->before.watermarks[c])
            stamp(round, &round->first_ms[c]);
        /* The second of the fault is over only after it. */
        if (own && now.watermarks[c] > (int64_t)(round->fault_ms / 1000))
            stamp(round, &round->stored_ms[c]);
        all = all && round->stored_ms[c] > 0;
    }
    return all;
}

static unsigned pick_victim(unsigned i_round)
{
    unsigned leader = qr_cluster_wait_leader(&cluster, READY_MS);
    if (pausing || i_round % 2 == 0)
        return leader;
    unsigned owner = qr_cluster_owner(&cluster, children[i_round / 2 % n_children].guid);
    return owner != 0 ? owner : leader;
}

static void add(struct times *times, double ms)
{
    times->ms[times->n++] = ms;
}

/* What has not come counts as if it came at the deadline. */
static double or_deadline(double ms)
{
    return ms > 0 ? ms : STORED_MS;
}

static void note(const struct round *round)
{
    if (round->was_leader) {
        add(&commit, or_deadline(round->commit_ms));
        printf(" commit %.2f;", round->commit_ms / 1000);
    }
    for (unsigned c = 0; c < n_children; c++) {
        bool theirs = round->before.owners[c] == round->victim;
        if (pausing && theirs)
            continue;
        add(theirs ? &moved : &untouched, or_deadline(round->stored_ms[c]));
        if (theirs) {
            add(&claimed, or_deadline(round->claimed_ms[c]));
            add(&first, or_deadline(round->first_ms[c]));
            add(&waited, or_deadline(round->first_ms[c]) - round->claimed_ms[c]);
        }
        printf(" %.2f%s", round->stored_ms[c] / 1000, theirs ? "*" : "");
    }
}

static bool come_back(unsigned victim, uint64_t fault_ms)
{
    if (pausing) {
        qr_wait_until_s((int64_t)(fault_ms + PAUSE_MS) / 1000);
        qr_cluster_resume(&cluster, victim);
    } else if (qr_cluster_start(&cluster, victim) != 0) {
        return false;
    }
    return qr_cluster_wait_caught_up(&cluster, READY_MS);
}

static bool run_round(unsigned i_round)
{
    struct round round = {.victim = pick_victim(i_round)};
    struct picture all;
    round.was_leader = round.victim == qr_cluster_leader(&cluster);
    look(&all, 0);
    round.fault_ms = qr_real_ms();
    if (pausing)
        qr_cluster_pause(&cluster, round.victim);
    else
        qr_cluster_kill(&cluster, round.victim);
    /* What survives knows more than before the fault, but nothing new comes from the victim. */
    look(&round.before, round.victim);
    memcpy(round.before.owners, all.owners, sizeof all.owners);
    bool stored = qr_wait_for(all_stored, &round, STORED_MS, ASK_MS);
    printf("round %2u: %s member %u%s:", i_round + 1, pausing ? "paused" : "killed", round.victim,
           round.was_leader ? " (leader)" : "");
    note(&round);
    printf("%s\n", stored ? "" : "  NOT ALL");
    fflush(stdout);
    return come_back(round.victim, round.fault_ms);
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
    struct round round = {.fault_ms = qr_real_ms()};
    return qr_wait_for(all_stored, &round, READY_MS, 100);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"rounds", required_argument, NULL, 'r'},
                                          {"children", required_argument, NULL, 'c'},
                                          {"pause", no_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        unsigned n = c == 'h' ? 0 : (unsigned)strtoul(optarg != NULL ? optarg : "1", NULL, 10);
        if (c == 'r')
            n_rounds = n;
        else if (c == 'c')
            n_children = n;
        else if (c == 'p')
            pausing = true;
        if (n == 0 || n_rounds > ROUNDS_MAX || n_children > CHILDREN_MAX) {
            printf(
                "usage: qr_bench_failover [--rounds N] [--children N] [--pause]\n\n"
                "Kills a member each round under real Netdata children, the leader and an owner\n"
                "in turn, or stops the leader for a while (40 rounds, 6 children).\n");
            return c == 'h' ? 0 : 2;
        }
    }
    bool ok = qr_netdata_available() && start_all();
    for (unsigned i = 0; ok && i < n_rounds; i++)
        ok = run_round(i);
    unsigned already = 0;
    for (unsigned i = 0; i < n_children; i++)
        already += count_already_streaming(&children[i]);
    print_times(&commit);
    print_times(&claimed);
    print_times(&first);
    print_times(&waited);
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
