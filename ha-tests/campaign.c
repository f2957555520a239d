/* quorate-campaign — simulated histories of a whole cluster, many of them, on all cores: see
 * testing/sim/world.  ha-tests/campaign builds and starts it. */
#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "testing/sim/arguments.h"
#include "testing/sim/brood.h"
#include "testing/sim/libc.h"
#include "testing/sim/plants.h"

#define PROGRESS_MS   10000
#define REPEAT_ONE_IN 8u   /* Histories that are lived through twice: they must be the same. */
#define CPU_S_MAX     900u /* Of one; then it hangs. */
#define TAIL_LINES    60u  /* Of what a failure printed. */
#define LINE_BYTES    1024u
#define LINES_MAX     256u

static const char usage[] =
    "usage: ha-tests/campaign [--hours H] [--seed S] [--faults LIST] [--jobs N] [--json]\n"
    "                         [--histories N] [--minutes M] [--failures FILE]\n"
    "       ha-tests/campaign --seeds FILE | --planted FILE [--jobs N]\n"
    "\n"
    "Lives through simulated histories of whole clusters: members, children, and what goes wrong.\n"
    "Each has a seed of its own, from which its size and its faults follow.\n"
    "\n"
    "  --hours H        so long, on the clock of this machine (0.1)\n"
    "  --histories N    or so many\n"
    "  --seed S         of the first; the others follow (drawn, and printed)\n"
    "  --minutes M      simulated, of each (5 to 30)\n"
    "  --faults LIST    kinds of faults: all, none, or names; -NAME leaves one out (all)\n"
    "  --jobs N         processes at a time (as many as cores)\n"
    "  --failures FILE  where those that failed are noted (campaign-failures)\n"
    "  --seeds FILE     the histories of this file, each of which must be clean\n"
    "  --planted FILE   the planted bugs of this file: each must be seen in its history in time,\n"
    "                   and the same history without it must be clean\n"
    "  --json           the table as one line\n"
    "\n"
    "A failure is printed with the command that shows it again; with --shrink behind it, that\n"
    "leaves out the faults that it does not need.  Exit: 0 nothing failed, 1 something did.\n";

/* What one process at a time does; by its number in the brood. */
struct task {
    struct qr_sim_arguments arguments;
    uint64_t digest; /* Of the first time, if this is the second one; 0: it is the first. */
    char name[64];   /* Of the plant, or the line; "". */
    char sign[128];  /* What the violation must say; with a plant. */
    unsigned tries;  /* Seeds, one after the other, of which one must show the plant. */
    uint64_t steps;  /* Of those before. */
};

struct totals {
    struct qr_sim_result sum;
    uint64_t n_histories, n_failed, n_repeated, n_caught, n_passed;
    double cpu_s;
};

struct campaign {
    double hours;
    uint64_t n_histories, seed, minutes;
    uint32_t faults;
    unsigned jobs;
    const char *failures, *seeds, *planted;
    bool json;

    struct qr_brood brood;
    struct task tasks[QR_BROOD_MAX];
    bool taken[QR_BROOD_MAX];
    struct totals totals;
    uint64_t started_ns, printed_ns, next_seed, n_started;
    bool is_tested; /* --seeds or --planted: what passes is said, too. */
};

static FILE *talk(const struct campaign *c)
{
    return c->json ? stderr : stdout;
}

/* ---- the shape of a history: a function of its seed ---- */

static uint32_t between(struct qr_rng *rng, uint32_t min, uint32_t max)
{
    return min + (uint32_t)qr_rng_below(rng, max - min + 1);
}

static void draw_shape(const struct campaign *c, uint64_t seed, struct qr_sim_arguments *arguments)
{
    struct qr_rng rng;
    struct qr_sim_options *o = &arguments->options;
    *arguments = (struct qr_sim_arguments){.plant = -1};
    qr_sim_options_init(o);
    qr_rng_seed(&rng, seed ^ UINT64_C(0x7368617065));
    o->seed = seed;
    o->n_members = qr_rng_below(&rng, 4) == 0 ? 5 : 3;
    o->n_children = between(&rng, 1, 8);
    o->n_charts = between(&rng, 1, 4);
    o->n_dims = between(&rng, 1, 4);
    o->duration_s = (o->busy_s + o->quiet_s) * (uint64_t)between(&rng, 1, 6);
    if (c->minutes != 0)
        o->duration_s = c->minutes * 60;
    o->faults = c->faults;
}

/* ---- adding up ---- */

static void add_result(struct totals *totals, const struct qr_brood_end *end)
{
    struct qr_sim_result *sum = &totals->sum;
    const struct qr_sim_result *r = &end->result;
    totals->n_histories++;
    totals->cpu_s += end->cpu_s;
    for (unsigned i = 0; i < QR_SIM_FAULT_KINDS; i++)
        sum->n_faults[i] += r->n_faults[i];
    sum->simulated_s += r->simulated_s;
    sum->steps += r->steps;
    sum->n_boots += r->n_boots;
    sum->n_elections += r->n_elections;
    sum->n_failovers += r->n_failovers;
    sum->n_entries += r->n_entries;
    sum->n_applied += r->n_applied;
    sum->n_seals += r->n_seals;
    sum->n_merges += r->n_merges;
    sum->n_snapshots += r->n_snapshots;
    sum->n_installs += r->n_installs;
    sum->n_fetches += r->n_fetches;
    sum->n_files += r->n_files;
    sum->n_samples += r->n_samples;
    sum->n_points += r->n_points;
    sum->n_lost += r->n_lost;
    sum->n_duplicated += r->n_duplicated;
    sum->n_wrong += r->n_wrong;
    sum->n_extra += r->n_extra;
    sum->n_violations += r->n_violations;
}

#define ROWS_MAX 32

struct row {
    const char *name, *words;
    double value;
};

static unsigned make_rows(const struct campaign *c, struct row rows[ROWS_MAX])
{
    const struct totals *t = &c->totals;
    const struct qr_sim_result *s = &t->sum;
    double hours = (double)s->simulated_s / 3600, cpu_hours = t->cpu_s / 3600;
    const struct row all[] = {
        {"histories", "histories", (double)t->n_histories},
        {"repeated", ".. lived through twice, the same", (double)t->n_repeated},
        {"simulated_hours", "simulated hours of a cluster", hours},
        {"cpu_hours", "hours of one core", cpu_hours},
        {"speed", "simulated hours an hour of a core", cpu_hours > 0 ? hours / cpu_hours : 0},
        {"steps", "steps", (double)s->steps},
        {"boots", "starts of a member", (double)s->n_boots},
        {"elections", "leaders elected", (double)s->n_elections},
        {"failovers", "children that moved to another member", (double)s->n_failovers},
        {"entries", "log entries", (double)s->n_entries},
        {"applied", ".. applied, and compared", (double)s->n_applied},
        {"seals", "windows sealed", (double)s->n_seals},
        {"merges", "merges", (double)s->n_merges},
        {"snapshots", "snapshots taken", (double)s->n_snapshots},
        {"installs", ".. restored", (double)s->n_installs},
        {"fetches", "block files fetched from a peer", (double)s->n_fetches},
        {"files", "block files compared", (double)s->n_files},
        {"samples", "samples checked", (double)s->n_samples},
        {"points", "points of minutes and hours checked", (double)s->n_points},
        {"lost", ".. lost", (double)s->n_lost},
        {"duplicated", ".. duplicated", (double)s->n_duplicated},
        {"wrong", ".. wrong", (double)s->n_wrong},
        {"extra", ".. that nobody collected", (double)s->n_extra},
        {"violations", "violations", (double)s->n_violations},
        {"failed", "histories that failed", (double)t->n_failed},
    };
    static_assert(QR_COUNT(all) <= ROWS_MAX, "the caller has room");
    memcpy(rows, all, sizeof all);
    return (unsigned)QR_COUNT(all);
}

static void print_value(double value)
{
    printf(value == (double)(uint64_t)value ? "%.0f" : "%.2f", value);
}

static void print_json(const struct campaign *c)
{
    struct row rows[ROWS_MAX];
    unsigned n = make_rows(c, rows);
    printf("{");
    for (unsigned i = 0; i < n; i++) {
        printf("\"%s\":", rows[i].name);
        print_value(rows[i].value);
        printf(",");
    }
    printf("\"faults\":{");
    for (unsigned i = 0; i < QR_SIM_FAULT_KINDS; i++)
        printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", qr_sim_fault_name((enum qr_sim_fault_kind)i),
               c->totals.sum.n_faults[i]);
    printf("}}\n");
}

static void print_table(const struct campaign *c)
{
    struct row rows[ROWS_MAX];
    unsigned n = make_rows(c, rows);
    printf("\n");
    for (unsigned i = 0; i < n; i++) {
        printf("  %-38s ", rows[i].words);
        print_value(rows[i].value);
        printf("\n");
    }
    printf("  faults:");
    for (unsigned i = 0; i < QR_SIM_FAULT_KINDS; i++)
        if (c->totals.sum.n_faults[i] != 0)
            printf(" %s %" PRIu64, qr_sim_fault_name((enum qr_sim_fault_kind)i),
                   c->totals.sum.n_faults[i]);
    printf("\n");
}

/* ---- time ---- */

static double gone_s(const struct campaign *c)
{
    return (double)(qr_sim_wall_ns() - c->started_ns) / 1e9;
}

static void print_progress(struct campaign *c)
{
    const struct totals *t = &c->totals;
    double gone = gone_s(c), left = c->hours * 3600 - gone;
    uint64_t now_ns = qr_sim_wall_ns();
    if (now_ns - c->printed_ns < PROGRESS_MS * UINT64_C(1000000))
        return;
    c->printed_ns = now_ns;
    if (c->n_histories != 0 && t->n_histories != 0)
        left = gone / (double)t->n_histories * (double)(c->n_histories - t->n_histories);
    fprintf(talk(c),
            "%.0f s, about %.0f s left: %" PRIu64 " histories, %.2f simulated hours, %" PRIu64
            " samples checked, %" PRIu64 " failed\n",
            gone, left > 0 ? left : 0, t->n_histories, (double)t->sum.simulated_s / 3600,
            t->sum.n_samples, t->n_failed);
    fflush(talk(c));
}

/* ---- failures ---- */

static void print_tail(FILE *said, FILE *out)
{
    static char lines[TAIL_LINES][LINE_BYTES];
    unsigned n = 0;
    while (fgets(lines[n % TAIL_LINES], LINE_BYTES, said) != NULL)
        n++;
    for (unsigned i = n < TAIL_LINES ? 0 : n - TAIL_LINES; i < n; i++)
        fprintf(out, "    %s", lines[i % TAIL_LINES]);
}

static void note_failure(const struct campaign *c, const struct qr_brood_end *end)
{
    FILE *file = fopen(c->failures, "ae");
    if (file == NULL)
        return;
    qr_sim_arguments_print(&end->history.options, end->history.plant, file);
    fprintf(file, " # %s\n", end->result.sentence);
    fclose(file);
}

static void fail(struct campaign *c, struct qr_brood_end *end, const char *what)
{
    FILE *out = talk(c);
    const struct task *task = &c->tasks[end->history.number];
    c->totals.n_failed++;
    fprintf(out, "FAILED%s%s: %s\n", task->name[0] != '\0' ? " " : "", task->name, what);
    print_tail(end->said, out);
    fprintf(out, "  again: build/release/testing/sim/quorate-sim ");
    qr_sim_arguments_print(&end->history.options, end->history.plant, out);
    fprintf(out, "\n");
    fflush(out);
    if (!c->is_tested)
        note_failure(c, end);
}

/* ---- what ends ---- */

static void judge_plain(struct campaign *c, struct qr_brood_end *end)
{
    const struct task *task = &c->tasks[end->history.number];
    char sentence[128];
    add_result(&c->totals, end);
    if (end->result.n_violations != 0) {
        fail(c, end, end->result.sentence);
    } else if (task->digest != 0 && task->digest != end->result.digest) {
        snprintf(sentence, sizeof sentence,
                 "the second time its digest is %016" PRIx64 " instead of %016" PRIx64,
                 end->result.digest, task->digest);
        c->totals.sum.n_violations++;
        fail(c, end, sentence);
    } else if (task->digest != 0) {
        c->totals.n_repeated++;
    } else if (c->is_tested) {
        c->totals.n_passed++;
        fprintf(talk(c), "passed %s: %" PRIu64 " steps, %.1f s\n", task->name, end->result.steps,
                end->cpu_s);
    }
}

static int start(struct campaign *c, const struct task *task);

/* The next seed, if there is one. */
static bool try_again(struct campaign *c, struct task *task, const struct qr_brood_end *end)
{
    if (task->tries <= 1)
        return false;
    task->tries--;
    task->steps += end->result.steps;
    task->arguments.options.seed++;
    return start(c, task) == 0;
}

static void judge_planted(struct campaign *c, struct qr_brood_end *end, struct task *task)
{
    char sentence[QR_SIM_SENTENCE + 256];
    bool is_seen = end->result.n_violations != 0;
    if (is_seen && strstr(end->result.sentence, task->sign) != NULL) {
        c->totals.n_caught++;
        c->totals.n_passed++;
        fprintf(talk(c), "caught %s after %" PRIu64 " steps, %.1f s: %s\n", task->name,
                task->steps + end->result.steps, end->cpu_s, end->result.sentence);
    } else if (!try_again(c, task, end)) {
        if (is_seen)
            snprintf(sentence, sizeof sentence, "\"%s\" is not what it should say: \"%s\"",
                     end->result.sentence, task->sign);
        else
            snprintf(sentence, sizeof sentence, "nobody saw it in %" PRIu64 " steps",
                     task->steps + end->result.steps);
        fail(c, end, sentence);
    }
}

static void judge(struct campaign *c, struct qr_brood_end *end)
{
    uint32_t number = end->history.number;
    struct task task = c->tasks[number];
    if (end->history.plant >= 0)
        judge_planted(c, end, &task);
    else
        judge_plain(c, end);
    bool again = !c->is_tested && task.digest == 0 && end->result.n_violations == 0 &&
                 end->history.options.seed % REPEAT_ONE_IN == 0;
    c->taken[number] = false;
    fclose(end->said);
    fflush(talk(c));
    if (again) {
        task.digest = end->result.digest;
        start(c, &task);
    }
}

/* ---- what begins ---- */

/* Not more than QR_BROOD_MAX run. */
static int start(struct campaign *c, const struct task *task)
{
    uint32_t number = 0;
    while (c->taken[number])
        number++;
    c->tasks[number] = *task;
    struct qr_brood_history history = {
        .options = task->arguments.options, .plant = task->arguments.plant, .number = number};
    if (history.options.schedule != NULL)
        history.options.schedule = &c->tasks[number].arguments.schedule;
    int err = qr_brood_start(&c->brood, &history);
    if (err != 0)
        fprintf(stderr, "no process for a history: %s\n", strerror(-err));
    c->taken[number] = err == 0;
    return err;
}

/* Waits until fewer than that run. */
static void wait_until(struct campaign *c, unsigned n)
{
    struct qr_brood_end end;
    while (c->brood.n > n) {
        if (qr_brood_wait(&c->brood, 500, &end) == 1)
            judge(c, &end);
        if (!c->is_tested)
            print_progress(c);
    }
}

static int add(struct campaign *c, const struct task *task)
{
    wait_until(c, c->jobs - 1);
    return start(c, task);
}

/* ---- histories that are drawn ---- */

static bool is_over(const struct campaign *c)
{
    return c->n_histories != 0 ? c->n_started >= c->n_histories : gone_s(c) >= c->hours * 3600;
}

static int run_drawn(struct campaign *c)
{
    int err = 0;
    fprintf(talk(c), "the first seed is %" PRIu64 ", %u at a time\n", c->seed, c->jobs);
    fflush(talk(c));
    for (; err == 0 && !is_over(c); c->n_started++) {
        struct task task = {.name = ""};
        draw_shape(c, c->next_seed++, &task.arguments);
        err = add(c, &task);
    }
    wait_until(c, 0);
    return err;
}

/* ---- histories of a file ---- */

/* "NAME TRIES STEPS words # sign": the words are the first history. */
static int take_planted(struct task *task, const char *line)
{
    unsigned long long steps;
    int used = 0;
    if (sscanf(line, "%63s %u %llu %n", task->name, &task->tries, &steps, &used) != 3)
        return -1;
    if (qr_sim_arguments_parse_line(&task->arguments, line + used) != 0)
        return -1;
    task->arguments.plant = qr_plant_find(task->name);
    task->arguments.options.steps_max = steps;
    const char *sign = strchr(line, '#');
    if (sign != NULL)
        snprintf(task->sign, sizeof task->sign, "%.*s", (int)strcspn(sign + 2, "\n"), sign + 2);
    return task->arguments.plant >= 0 ? 0 : -1;
}

static int take_seed(struct task *task, const char *line, unsigned number)
{
    snprintf(task->name, sizeof task->name, "line %u", number);
    return qr_sim_arguments_parse_line(&task->arguments, line);
}

/* Each line, to the end of the file; those without words are skipped. */
static int for_each_line(struct campaign *c, const char *path,
                         int (*each)(struct campaign *c, const char *line, unsigned number))
{
    char line[LINE_BYTES];
    int err = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    for (unsigned number = 1; err == 0 && fgets(line, sizeof line, file) != NULL; number++) {
        if (line[strspn(line, " \t")] == '#' || line[strspn(line, " \t")] == '\n')
            continue;
        err = each(c, line, number);
        if (err != 0)
            fprintf(stderr, "%s:%u: not a history\n", path, number);
    }
    fclose(file);
    return err;
}

static int run_seed(struct campaign *c, const char *line, unsigned number)
{
    struct task task = {.name = ""};
    int err = take_seed(&task, line, number);
    return err == 0 ? add(c, &task) : err;
}

static int run_planted(struct campaign *c, const char *line, unsigned number)
{
    struct task task = {.name = ""};
    int err = take_planted(&task, line);
    (void)number;
    return err == 0 ? add(c, &task) : err;
}

/* The same without the bug; of histories that differ in their steps only, the longest. */
static int run_clean(struct campaign *c, const char *line, unsigned number)
{
    static struct qr_sim_options done[LINES_MAX];
    static unsigned n_done;
    struct task task = {.name = ""};
    int err = take_planted(&task, line);
    if (err != 0)
        return err;
    struct qr_sim_options key = task.arguments.options;
    key.steps_max = 0;
    key.out = NULL;
    for (unsigned i = 0; i < n_done; i++)
        if (memcmp(&done[i], &key, sizeof key) == 0)
            return 0;
    if (n_done < LINES_MAX)
        done[n_done++] = key;
    task.arguments.plant = -1;
    task.arguments.options.steps_max = 0; /* To its end. */
    snprintf(task.name, sizeof task.name, "line %u without the bug", number);
    return add(c, &task);
}

static int run_files(struct campaign *c)
{
    int err = 0;
    c->is_tested = true;
    if (c->seeds != NULL)
        err = for_each_line(c, c->seeds, run_seed);
    if (err == 0 && c->planted != NULL)
        err = for_each_line(c, c->planted, run_planted);
    if (err == 0 && c->planted != NULL)
        err = for_each_line(c, c->planted, run_clean);
    wait_until(c, 0);
    return err;
}

/* ---- main ---- */

static bool take_option(struct campaign *c, int option, const char *text)
{
    char *end = NULL;
    switch (option) {
    case 'H':
        c->hours = strtod(text, &end);
        return *end == '\0' && c->hours > 0;
    case 'n':
        c->n_histories = strtoull(text, &end, 10);
        return *end == '\0' && c->n_histories > 0;
    case 's':
        c->seed = strtoull(text, &end, 10);
        return *end == '\0';
    case 'm':
        c->minutes = strtoull(text, &end, 10);
        return *end == '\0' && c->minutes > 0;
    case 'f':
        return qr_sim_faults_parse(text, &c->faults) == 0;
    case 'j':
        c->jobs = (unsigned)strtoul(text, &end, 10);
        return *end == '\0' && c->jobs > 0 && c->jobs <= QR_BROOD_MAX;
    case 'F':
        c->failures = text;
        return true;
    case 'S':
        c->seeds = text;
        return true;
    case 'P':
        c->planted = text;
        return true;
    case 'J':
        c->json = true;
        return true;
    default:
        return false;
    }
}

static int parse(struct campaign *c, int argc, char **argv)
{
    static const struct option longs[] = {
        {"hours", required_argument, NULL, 'H'},    {"histories", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},     {"minutes", required_argument, NULL, 'm'},
        {"faults", required_argument, NULL, 'f'},   {"jobs", required_argument, NULL, 'j'},
        {"failures", required_argument, NULL, 'F'}, {"seeds", required_argument, NULL, 'S'},
        {"planted", required_argument, NULL, 'P'},  {"json", no_argument, NULL, 'J'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!take_option(c, option, optarg)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind == argc)
        return -1;
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static struct campaign campaign; /* Zeroed. */
    struct campaign *c = &campaign;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    c->hours = 0.1;
    c->seed = qr_sim_wall_ns() / 1000;
    c->faults = (1u << QR_SIM_FAULT_KINDS) - 1;
    c->jobs = cores < 1 ? 1 : cores > (long)QR_BROOD_MAX ? QR_BROOD_MAX : (unsigned)cores;
    c->failures = "campaign-failures";
    c->brood.cpu_s_max = CPU_S_MAX;
    int code = parse(c, argc, argv);
    if (code >= 0)
        return code;
    c->next_seed = c->seed;
    c->started_ns = c->printed_ns = qr_sim_wall_ns();
    int err = c->seeds != NULL || c->planted != NULL ? run_files(c) : run_drawn(c);
    if (c->json)
        print_json(c);
    else if (!c->is_tested)
        print_table(c);
    else
        printf("%" PRIu64 " passed, %" PRIu64 " failed: %" PRIu64
               " bugs seen, the rest without one\n",
               c->totals.n_passed, c->totals.n_failed, c->totals.n_caught);
    return err == 0 && c->totals.n_failed == 0 ? 0 : 1;
}
