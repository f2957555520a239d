#include "testing/sim/world.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "testing/sim/checks.h"
#include "testing/sim/fd.h"
#include "testing/sim/fs.h"
#include "testing/sim/hosts.h"
#include "testing/sim/inject.h"
#include "testing/sim/libc.h"
#include "testing/sim/uv_sim.h"

#define TAIL_S      15u  /* What is younger may still be on its way. */
#define GLANCE_S    20u  /* How often somebody reads in the middle of it. */
#define GLANCE_SPAN 120u /* .. and how much. */
#define CHECK_S     20u  /* The last part of a round, in which all is read. */
#define READING_S   120u /* A whole store is read within this time. */
#define STACK_BYTES 65536u

static struct {
    struct qr_sim_options options;
    struct qr_sim_result *result;
    struct qr_sim_schedule schedule;
    struct qr_sim_event second;
    struct qr_rng rng; /* For when somebody looks: what happens does not depend on it. */
    uint64_t next_second;
    bool ticked;
    int64_t checked_s; /* All up to here was whole. */
} run;

void qr_sim_options_init(struct qr_sim_options *options)
{
    *options = (struct qr_sim_options){.seed = 1,
                                       .n_members = 3,
                                       .n_children = 6,
                                       .n_charts = 2,
                                       .n_dims = 2,
                                       .duration_s = 600,
                                       .busy_s = 210,
                                       .quiet_s = 90,
                                       .faults = (1u << QR_SIM_FAULT_KINDS) - 1,
                                       .out = stderr};
}

/* ---- what a failure says ---- */

static void fill_result(void)
{
    run.result->steps = qr_sim_steps();
    run.result->digest = qr_sim_digest();
    run.result->simulated_s = qr_sim_now_ns() / QR_SIM_S;
    run.result->n_failovers = qr_sim_failovers();
}

static void print_failure(void)
{
    const struct qr_sim_result *r = run.result;
    FILE *out = run.options.out;
    fprintf(out, "-- the schedule\n");
    qr_sim_schedule_print(&run.schedule, out);
    qr_sim_rings_print(out);
    fprintf(out, "VIOLATION seed %llu, step %llu, second %llu.%03llu: %s\n",
            (unsigned long long)run.options.seed, (unsigned long long)r->violation_step,
            (unsigned long long)r->violation_ms / 1000, (unsigned long long)r->violation_ms % 1000,
            r->sentence);
    fflush(out);
}

/* A member's assertion failed, or it crashed: whose code it was is known. */
static void on_signal(int number)
{
    const struct qr_sim_host *host = qr_sim_host();
    signal(number, SIG_DFL);
    qr_sim_violation("%s died of signal %d (%s)", host != NULL ? host->name : "the simulator",
                     number, strsignal(number));
    fill_result();
    print_failure();
    if (run.options.crashed != NULL)
        run.options.crashed(run.result);
    raise(number);
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    static char stack[STACK_BYTES];
    const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

/* ---- time ---- */

static void on_second(struct qr_sim_event *event)
{
    run.ticked = true;
    qr_sim_event_at(event, NULL, ++run.next_second * QR_SIM_S, on_second);
}

static bool is_over(void)
{
    return qr_sim_violated() ||
           (run.options.steps_max != 0 && qr_sim_steps() >= run.options.steps_max);
}

/* One simulated second; false: the run is over. */
static bool live_a_second(void)
{
    run.ticked = false;
    while (!run.ticked && !is_over()) {
        qr_sim_step();
        qr_sim_check_step();
    }
    if (!is_over())
        qr_sim_check_second();
    return !is_over();
}

static int64_t now_s(void)
{
    return QR_SIM_REAL_ZERO_S + (int64_t)(qr_sim_now_ns() / QR_SIM_S);
}

/* Somebody reads a part of what one member has, whatever is going on. */
static void glance(void)
{
    uint32_t i = (uint32_t)qr_rng_below(&run.rng, run.options.n_members);
    int64_t to_s = now_s() - (int64_t)qr_rng_below(&run.rng, GLANCE_SPAN);
    qr_sim_check_reading();
    (void)qr_sim_check_store(&qr_sim_cluster.members[i], to_s - GLANCE_SPAN, to_s, false);
}

static bool live_until(uint64_t second)
{
    while (run.next_second <= second) {
        if (run.next_second % GLANCE_S == 0)
            glance();
        if (!live_a_second())
            return false;
    }
    return true;
}

/* ---- the end of a round ---- */

static bool finish_reading(void)
{
    for (unsigned i = 0; qr_sim_check_reading() != 0 && i < READING_S; i++)
        if (!live_a_second())
            return false;
    if (qr_sim_check_reading() != 0)
        qr_sim_violation("a store could not be read within %u seconds", READING_S);
    return !is_over();
}

/* Every member has all, the same. */
static bool check_round(bool is_last)
{
    int64_t first_s = QR_SIM_REAL_ZERO_S - QR_SIM_HISTORY_S + 10;
    int64_t from_s = is_last ? first_s : run.checked_s - GLANCE_SPAN;
    int64_t to_s = now_s() - TAIL_S;
    if (!finish_reading())
        return false;
    for (uint32_t i = 0; i < run.options.n_members; i++)
        if (!qr_sim_check_store(&qr_sim_cluster.members[i], from_s > first_s ? from_s : first_s,
                                to_s, true))
            qr_sim_violation("member-%u cannot be read", i + 1);
    if (!finish_reading())
        return false;
    qr_sim_check_files(is_last);
    run.checked_s = to_s;
    return !is_over();
}

static bool live_a_round(uint64_t start_s, bool is_last)
{
    const struct qr_sim_options *o = &run.options;
    char why[64];
    uint64_t end_s = start_s + o->busy_s + o->quiet_s;
    if (!live_until(start_s + o->busy_s))
        return false;
    qr_sim_say("quiet from here on");
    qr_sim_heal();
    if (!live_until(end_s - CHECK_S))
        return false;
    if (!qr_sim_check_settled(why, sizeof why)) {
        qr_sim_violation("%u seconds after the last fault %s", o->quiet_s - CHECK_S, why);
        return false;
    }
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++) { /* They have read all again. */
        struct qr_sim_member *member = &qr_sim_cluster.members[i];
        member->is_flipped = member->is_rotten = false;
    }
    return check_round(is_last) && live_until(end_s - 1);
}

static void report_round(uint64_t round)
{
    fill_result();
    if (run.options.progress)
        fprintf(run.options.out,
                "round %llu: %llu s, %llu steps, %llu entries, %llu samples checked\n",
                (unsigned long long)round, (unsigned long long)run.result->simulated_s,
                (unsigned long long)run.result->steps, (unsigned long long)run.result->n_entries,
                (unsigned long long)run.result->n_samples);
}

static void live(void)
{
    uint64_t round_s = (uint64_t)run.options.busy_s + run.options.quiet_s;
    uint64_t n_rounds = run.options.duration_s / round_s;
    n_rounds += n_rounds == 0;
    for (uint64_t i = 0; i < n_rounds && !is_over(); i++) {
        if (!live_a_round(i * round_s, i + 1 == n_rounds))
            break;
        report_round(i + 1);
    }
}

/* ---- the run ---- */

static int readable(int fd)
{
    return UV_WRITABLE | (qr_sim_fd_is_readable(fd) ? UV_READABLE : 0);
}

int qr_sim_run(const struct qr_sim_options *options, struct qr_sim_result *result)
{
    assert(run.result == NULL); /* Once a process. */
    assert(options->n_members >= 1 && options->n_members <= QR_SIM_MEMBERS_MAX);
    assert(options->n_children <= QR_SIM_CHILDREN_MAX);
    assert(options->quiet_s > CHECK_S);
    *result = (struct qr_sim_result){0};
    run.options = *options;
    run.result = result;
    run.checked_s = QR_SIM_REAL_ZERO_S;
    if (options->schedule != NULL)
        run.schedule = *options->schedule;
    else
        qr_sim_schedule_draw(&run.schedule, options);
    qr_rng_seed(&run.rng, options->seed ^ UINT64_C(0x6c6f6f6b));
    qr_log_open(STDERR_FILENO, options->verbose ? QR_LOG_DEBUG : QR_LOG_INFO);
    catch_signals();

    qr_sim_world(options->seed, QR_SIM_REAL_ZERO_S * (int64_t)QR_SIM_S);
    qr_sim_openssl();
    qr_uv_init();
    qr_uv_poll_source(readable);
    qr_sim_on_readable(qr_uv_poll_changed);
    qr_sim_checks_init();
    qr_sim_hosts_init(&run.options, result);
    qr_sim_cluster.operated = qr_sim_schedule_changes_members(&run.schedule);
    qr_sim_hosts_boot();
    qr_sim_inject(&run.schedule);
    on_second(&run.second);
    live();
    fill_result();
    if (qr_sim_violated())
        print_failure();
    return qr_sim_violated() ? 1 : 0;
}

void qr_sim_result_print(const struct qr_sim_options *options, const struct qr_sim_result *r,
                         FILE *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"seed", options->seed},
        {"members", options->n_members},
        {"children", options->n_children},
        {"simulated_s", r->simulated_s},
        {"steps", r->steps},
        {"boots", r->n_boots},
        {"elections", r->n_elections},
        {"failovers", r->n_failovers},
        {"entries", r->n_entries},
        {"applied", r->n_applied},
        {"seals", r->n_seals},
        {"merges", r->n_merges},
        {"snapshots", r->n_snapshots},
        {"installs", r->n_installs},
        {"fetches", r->n_fetches},
        {"refusals", r->n_refusals},
        {"files", r->n_files},
        {"samples", r->n_samples},
        {"points", r->n_points},
        {"lost", r->n_lost},
        {"duplicated", r->n_duplicated},
        {"wrong", r->n_wrong},
        {"extra", r->n_extra},
        {"gone", r->n_gone},
        {"violations", r->n_violations},
    };
    fprintf(out, "{");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        fprintf(out, "\"%s\":%llu,", numbers[i].name, (unsigned long long)numbers[i].value);
    fprintf(out, "\"faults\":{");
    for (int i = 0; i < QR_SIM_FAULT_KINDS; i++)
        fprintf(out, "%s\"%s\":%llu", i == 0 ? "" : ",",
                qr_sim_fault_name((enum qr_sim_fault_kind)i), (unsigned long long)r->n_faults[i]);
    fprintf(out, "},\"digest\":\"%016llx\"", (unsigned long long)r->digest);
    if (r->n_violations != 0) {
        fprintf(out, ",\"violation_step\":%llu,\"violation_ms\":%llu,\"sentence\":\"",
                (unsigned long long)r->violation_step, (unsigned long long)r->violation_ms);
        for (const char *c = r->sentence; *c != '\0'; c++)
            fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c < ' ' && *c > 0 ? ' ' : *c);
        fprintf(out, "\"");
    }
    fprintf(out, "}\n");
}
