/* quorate-matrix — workloads under faults and their pairs, on real processes.
 *
 * Each cell (a workload, one or two kinds of faults) is a cluster of its own, run by a process of
 * its own; what happened is written to a history while it runs, and a separate program,
 * quorate-check-history, judges that file.  This program only counts. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ha-tests/cell.h"
#include "ha-tests/faults.h"

#define CELLS_MAX    128u
#define SETTLE_GUESS 20 /* Seconds of a cell beside its faults, until one was measured. */
#define JUDGE_MS     120000

struct cell_result {
    enum cell_workload workload;
    const struct fault_kind *kinds[CELL_KINDS_MAX];
    char history[600];
    json_t *verdict; /* NULL: it did not come to that. */
    bool has_run, ok;
    double took_s;
};

static struct {
    struct cell_result cells[CELLS_MAX];
    unsigned n_cells;
    unsigned seconds;
    uint64_t seed, started_ms;
    uint16_t port;
    const char *dir, *faults;
    bool workloads[CELL_WORKLOADS];
    bool all, short_leg, keep, as_json;
    bool has_network;
    struct network network;
} matrix = {.seconds = 15, .seed = 1};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- what this machine allows ---- */

/* Why a kind cannot be had here, or NULL. */
static const char *missing(const struct fault_kind *kind)
{
    if (kind->needs_network && !matrix.has_network)
        return "network namespaces need root and iproute2";
    if (kind->needs_disks && geteuid() != 0)
        return "small disks need root";
    if (kind->needs_clock && fault_clock_library() == NULL)
        return "libfaketime is not installed";
    return NULL;
}

static bool add_cell(enum cell_workload workload, const struct fault_kind *a,
                     const struct fault_kind *b)
{
    const struct fault_kind *kinds[] = {a, b};
    for (unsigned i = 0; i < 2; i++)
        if (kinds[i] != NULL && missing(kinds[i]) != NULL) {
            fprintf(stderr, "matrix: %s %s%s%s is left out: %s\n", cell_workload_names[workload],
                    a->name, b != NULL ? "+" : "", b != NULL ? b->name : "", missing(kinds[i]));
            return false;
        }
    if (matrix.n_cells == CELLS_MAX)
        return false;
    matrix.cells[matrix.n_cells++] =
        (struct cell_result){.workload = workload, .kinds = {a, b != a ? b : NULL}};
    return true;
}

static void add_all(enum cell_workload workload)
{
    for (unsigned a = 0; a < n_fault_kinds; a++) {
        add_cell(workload, &fault_kinds[a], NULL);
        for (unsigned b = a + 1; b < n_fault_kinds; b++)
            add_cell(workload, &fault_kinds[a], &fault_kinds[b]);
    }
}

/* Few cells of both workloads.  Members have a scenario of their own. */
static void add_short(void)
{
    static const struct {
        enum cell_workload workload;
        const char *a, *b;
    } few[] = {{CELL_REPLAYS, "kill", "partition"},
               {CELL_STREAMS, "pause", "slow"},
               {CELL_REPLAYS, "flip", NULL},
               {CELL_STREAMS, "clock", NULL},
               {CELL_STREAMS, "full", "clock"}};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        add_cell(few[i].workload, fault_find(few[i].a),
                 few[i].b != NULL ? fault_find(few[i].b) : NULL);
}

/* "kill" or "kill,pause"; false: a sentence was printed. */
static bool add_named(enum cell_workload workload, const char *text)
{
    char names[2][32] = {"", ""};
    if (sscanf(text, "%31[^,],%31[^,]", names[0], names[1]) < 1)
        return false;
    const struct fault_kind *a = fault_find(names[0]), *b = fault_find(names[1]);
    if (a == NULL || (names[1][0] != '\0' && b == NULL)) {
        fprintf(stderr, "matrix: --fault %s: the kinds are", text);
        for (unsigned i = 0; i < n_fault_kinds; i++)
            fprintf(stderr, " %s", fault_kinds[i].name);
        fprintf(stderr, "\n");
        return false;
    }
    return add_cell(workload, a, b);
}

/* ---- a cell ---- */

static void name_of(const struct cell_result *cell, char name[80])
{
    snprintf(name, 80, "%s %s%s%s", cell_workload_names[cell->workload], cell->kinds[0]->name,
             cell->kinds[1] != NULL ? "+" : "", cell->kinds[1] != NULL ? cell->kinds[1]->name : "");
}

/* In a process of its own, which what it starts ends with. */
static int live_through(const struct cell_result *result, unsigned i)
{
    static struct cell cell;
    struct cell_options options = {.workload = result->workload,
                                   .kinds = {result->kinds[0], result->kinds[1]},
                                   .seconds = matrix.seconds,
                                   .seed = matrix.seed * 1000 + i,
                                   .base_port = matrix.port,
                                   .network = matrix.has_network ? &matrix.network : NULL,
                                   .history = result->history};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    bool up = cell_up(&cell, &options);
    if (up) {
        cell_run(&cell);
        cell_finish(&cell);
    }
    cell_down(&cell, matrix.keep);
    return up ? 0 : 1;
}

static bool judge(struct cell_result *result)
{
    char program[512], path[640];
    struct qr_process process;
    snprintf(program, sizeof program, "%s/ha-tests/quorate-check-history", QR_BUILD_DIR);
    snprintf(path, sizeof path, "%s.verdict", result->history);
    const char *argv[] = {program, "--json", result->history, NULL};
    if (qr_process_start(&process, "check-history", path, -1, argv) != 0 ||
        !qr_process_wait(&process, JUDGE_MS))
        return false;
    result->verdict = json_load_file(path, 0, NULL);
    return WIFEXITED(process.status) && WEXITSTATUS(process.status) == 0 && result->verdict != NULL;
}

static int64_t number(const struct cell_result *result, const char *key)
{
    return json_integer_value(json_object_get(result->verdict, key));
}

static void print_findings(const struct cell_result *result)
{
    const json_t *findings = json_object_get(result->verdict, "findings");
    for (size_t i = 0; i < json_array_size(findings) && i < 10; i++) {
        const json_t *finding = json_array_get(findings, i);
        fprintf(stderr, "    %s:%lld: %s: %s\n", result->history,
                (long long)json_integer_value(json_object_get(finding, "line")),
                json_string_value(json_object_get(finding, "rule")),
                json_string_value(json_object_get(finding, "text")));
    }
}

static void print_progress(unsigned i)
{
    const struct cell_result *result = &matrix.cells[i];
    char name[80];
    name_of(result, name);
    double so_far_s = (double)(qr_mono_ms() - matrix.started_ms) / 1000;
    double left_s = so_far_s / (i + 1) * (matrix.n_cells - i - 1);
    fprintf(stderr, "[%u/%u] %-27s %-6s %3.0f s, %lld samples, %lld violations; %.1f min to go\n",
            i + 1, matrix.n_cells, name, result->ok ? "ok" : "FAILED", result->took_s,
            (long long)number(result, "checked"), (long long)number(result, "violations"),
            left_s / 60);
    if (!result->ok)
        print_findings(result);
}

static void run_cell(unsigned i)
{
    struct cell_result *result = &matrix.cells[i];
    uint64_t from_ms = qr_mono_ms();
    int status = 0;
    snprintf(result->history, sizeof result->history, "%s/%02u-%s-%s%s%s.history", matrix.dir, i,
             cell_workload_names[result->workload], result->kinds[0]->name,
             result->kinds[1] != NULL ? "-" : "",
             result->kinds[1] != NULL ? result->kinds[1]->name : "");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(live_through(result, i));
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        if (interrupted)
            kill(pid, SIGTERM);
    result->has_run = true;
    bool lived = pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    result->ok = judge(result) && lived;
    result->took_s = (double)(qr_mono_ms() - from_ms) / 1000;
    if (!lived && !interrupted) {
        fprintf(stderr, "matrix: the cell's process ended with status 0x%x\n", (unsigned)status);
        if (matrix.has_network) { /* What it has cut is cut still. */
            network_release(&matrix.network);
            matrix.has_network = network_make(&matrix.network, CELL_MEMBERS);
        }
    }
}

/* ---- the table ---- */

static void print_table(void)
{
    static const char *const keys[] = {"faults", "elections",  "moves", "checked",
                                       "lost",   "duplicates", "wrong", "violations"};
    int64_t sums[8] = {0};
    unsigned n_run = 0, n_ok = 0;
    char name[80];
    printf("\n%-28s %-7s %6s %9s %6s %9s %5s %5s %6s %10s %8s %6s\n", "cell", "result", "faults",
           "elections", "moves", "samples", "lost", "twice", "wrong", "violations", "well in",
           "took");
    for (unsigned i = 0; i < matrix.n_cells; i++) {
        const struct cell_result *r = &matrix.cells[i];
        if (!r->has_run)
            continue;
        int64_t n[8];
        for (size_t k = 0; k < 8; k++)
            sums[k] += n[k] = number(r, keys[k]);
        name_of(r, name);
        printf("%-28s %-7s %6" PRId64 " %9" PRId64 " %6" PRId64 " %9" PRId64 " %5" PRId64
               " %5" PRId64 " %6" PRId64 " %10" PRId64 " %6.1f s %4.0f s\n",
               name, r->ok ? "ok" : "FAILED", n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7],
               (double)number(r, "recovered_ms") / 1000, r->took_s);
        n_run++;
        n_ok += r->ok;
    }
    printf("%u cells of %u, %u ok, %.1f minutes: %" PRId64 " faults, %" PRId64
           " elections, %" PRId64 " moves, %" PRId64 " samples checked, %" PRId64 " lost, %" PRId64
           " duplicated, %" PRId64 " wrong, %" PRId64 " violations\n",
           n_run, matrix.n_cells, n_ok, (double)(qr_mono_ms() - matrix.started_ms) / 60000, sums[0],
           sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]);
}

static void print_kinds(void)
{
    printf("faults by kind:");
    for (unsigned k = 0; k < n_fault_kinds; k++) {
        int64_t n = 0;
        for (unsigned i = 0; i < matrix.n_cells; i++)
            n += json_integer_value(json_object_get(
                json_object_get(matrix.cells[i].verdict, "kinds"), fault_kinds[k].name));
        printf(" %s %" PRId64, fault_kinds[k].name, n);
    }
    printf("\n");
}

static void print_json(void)
{
    json_t *cells = json_array();
    for (unsigned i = 0; i < matrix.n_cells; i++) {
        const struct cell_result *r = &matrix.cells[i];
        char name[80];
        name_of(r, name);
        if (r->has_run)
            json_array_append_new(cells, json_pack("{s:s, s:b, s:f, s:s, s:O?}", "cell", name, "ok",
                                                   r->ok, "took_s", r->took_s, "history",
                                                   r->history, "verdict", r->verdict));
    }
    json_t *whole =
        json_pack("{s:I, s:i, s:i, s:f, s:o}", "seed", (json_int_t)matrix.seed, "seconds",
                  (int)matrix.seconds, "cells_asked", (int)matrix.n_cells, "minutes",
                  (double)(qr_mono_ms() - matrix.started_ms) / 60000, "cells", cells);
    json_dumpf(whole, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(whole);
}

/* ---- main ---- */

static int usage(int status)
{
    printf(
        "usage: matrix [--workload streams|replays] --fault A[,B] | --all | --short  [options]\n\n"
        "Real members and simulated children under faults; every answer that any member gives\n"
        "goes into a history, which quorate-check-history judges.  The kinds of faults:\n\n ");
    for (unsigned i = 0; i < n_fault_kinds; i++)
        printf(" %s", fault_kinds[i].name);
    printf("\n\n"
           "  --workload W    streams, or replays: with replays and late data (default: both)\n"
           "  --fault A[,B]   one kind, or two at once\n"
           "  --all           each kind alone and each pair\n"
           "  --short         five cells, of the kinds that are always well; what CI runs\n"
           "  --seconds N     of faults in each cell (15)\n"
           "  --seed S        of the order of faults and of the children's values (1)\n"
           "  --port N        of the first member, where there are no network namespaces\n"
           "  --dir DIR       where histories go (a new folder; kept if a cell failed)\n"
           "  --keep          keep histories and members' files\n"
           "  --json          the result as JSON on stdout\n\n"
           "Exit: 0 all cells well, 1 a cell is not, or none could run, 2 usage.\n");
    return status;
}

static bool take_workload(const char *text)
{
    for (unsigned w = 0; w < CELL_WORKLOADS; w++)
        if (strcmp(text, cell_workload_names[w]) == 0)
            return matrix.workloads[w] = true;
    return false;
}

/* 0, or usage's status plus 1. */
static int take_options(int argc, char **argv)
{
    static const struct option longs[] = {{"workload", required_argument, NULL, 'w'},
                                          {"fault", required_argument, NULL, 'f'},
                                          {"all", no_argument, NULL, 'a'},
                                          {"short", no_argument, NULL, 's'},
                                          {"seconds", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 'r'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"dir", required_argument, NULL, 'd'},
                                          {"keep", no_argument, NULL, 'k'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        uint64_t n = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;
        if (c == 'w' && !take_workload(optarg))
            return usage(2) + 1;
        if (c == 'h' || c == '?')
            return usage(c == 'h' ? 0 : 2) + 1;
        matrix.faults = c == 'f' ? optarg : matrix.faults;
        matrix.all = matrix.all || c == 'a';
        matrix.short_leg = matrix.short_leg || c == 's';
        matrix.seconds = c == 'n' ? (unsigned)n : matrix.seconds;
        matrix.seed = c == 'r' ? n : matrix.seed;
        matrix.port = c == 'p' ? (uint16_t)n : matrix.port;
        matrix.dir = c == 'd' ? optarg : matrix.dir;
        matrix.keep = matrix.keep || c == 'k';
        matrix.as_json = matrix.as_json || c == 'j';
    }
    bool one = matrix.all + matrix.short_leg + (matrix.faults != NULL) == 1;
    if (!one || optind != argc || matrix.seconds < 3 || matrix.seconds > 3600)
        return usage(2) + 1;
    return 0;
}

static bool make_cells(void)
{
    bool both = !matrix.workloads[0] && !matrix.workloads[1];
    if (matrix.short_leg)
        add_short();
    for (unsigned w = 0; w < CELL_WORKLOADS; w++) {
        if (!both && !matrix.workloads[w])
            continue;
        if (matrix.all)
            add_all((enum cell_workload)w);
        if (matrix.faults != NULL && !add_named((enum cell_workload)w, matrix.faults))
            return false;
    }
    return matrix.n_cells > 0;
}

int main(int argc, char **argv)
{
    char place[QR_TEMP_DIR_BYTES];
    const struct sigaction action = {.sa_handler = on_interrupt};
    int err = take_options(argc, argv);
    if (err != 0)
        return err - 1;
    matrix.has_network = geteuid() == 0 && network_make(&matrix.network, CELL_MEMBERS);
    if (!make_cells())
        return 1;
    if (matrix.dir == NULL) {
        qr_temp_dir(place, "matrix-histories");
        matrix.dir = place;
    } else if (mkdir(matrix.dir, 0755) != 0 && errno != EEXIST) {
        fprintf(stderr, "matrix: %s: %s\n", matrix.dir, strerror(errno));
        return 1;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    matrix.started_ms = qr_mono_ms();
    fprintf(stderr, "matrix: %u cells, seed %" PRIu64 ", about %.0f minutes; histories in %s\n",
            matrix.n_cells, matrix.seed,
            matrix.n_cells * (matrix.seconds + SETTLE_GUESS) / 60.0 + 0.5, matrix.dir);
    bool ok = true;
    for (unsigned i = 0; i < matrix.n_cells && !interrupted; i++) {
        run_cell(i);
        if (interrupted)
            break;
        print_progress(i);
        ok = ok && matrix.cells[i].ok;
    }
    if (matrix.as_json) {
        print_json();
    } else {
        print_table();
        print_kinds();
    }
    for (unsigned i = 0; i < matrix.n_cells; i++)
        json_decref(matrix.cells[i].verdict);
    network_release(&matrix.network);
    if (matrix.dir == place && ok && !matrix.keep && !interrupted)
        qr_remove_dir(matrix.dir);
    else
        fprintf(stderr, "matrix: the histories are in %s\n", matrix.dir);
    return ok && !interrupted ? 0 : 1;
}
