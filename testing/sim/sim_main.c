/* quorate-sim: lives through a simulated cluster's hours (testing/sim/world). */
#include <getopt.h>
#include <string.h>

#include "base/error.h"
#include "testing/sim/arguments.h"
#include "testing/sim/plants.h"
#include "testing/sim/shrink.h"

#define SHRINK_TRIES_MAX 2000u

static struct qr_sim_arguments arguments;

static void on_crash(const struct qr_sim_result *result)
{
    if (arguments.json)
        qr_sim_result_print(&arguments.options, result, stdout);
    fflush(stdout);
}

static void print_result(const struct qr_sim_result *r)
{
    if (arguments.json) {
        qr_sim_result_print(&arguments.options, r, stdout);
        return;
    }
    printf("seed %llu: %llu simulated seconds, %llu steps, %llu samples checked, %llu violations, "
           "digest %016llx\n",
           (unsigned long long)arguments.options.seed, (unsigned long long)r->simulated_s,
           (unsigned long long)r->steps, (unsigned long long)r->n_samples,
           (unsigned long long)r->n_violations, (unsigned long long)r->digest);
}

/* Leaves the smallest schedule in the arguments and in a file. */
static int shrink(void)
{
    struct qr_sim_shrunk shrunk;
    char path[64];
    int err = qr_sim_shrink(&arguments, SHRINK_TRIES_MAX, &shrunk, stdout);
    if (err != 0) {
        printf("not shrunk: %s\n", qr_strerror(err));
        return err;
    }
    bool verbose = arguments.options.verbose;
    arguments.options = shrunk.options;
    arguments.options.verbose = verbose;
    snprintf(path, sizeof path, "quorate-sim-%llu.schedule",
             (unsigned long long)arguments.options.seed);
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        qr_sim_schedule_print(&shrunk.schedule, file);
        fclose(file);
    }
    printf("%u of %u faults are left after %u histories:\n  quorate-sim ", shrunk.schedule.n,
           shrunk.n_before, shrunk.n_tries);
    qr_sim_arguments_print(&arguments.options, arguments.plant, stdout);
    printf(" --schedule %s\n", path);
    fflush(stdout);
    qr_sim_arguments_release(&arguments);
    arguments.schedule = shrunk.schedule;
    arguments.options.schedule = &arguments.schedule;
    return 0;
}

int main(int argc, char **argv)
{
    static struct qr_sim_result result;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("Usage: quorate-sim [OPTIONS]\n\nRuns a whole cluster, its children and what goes "
               "wrong in one process, from one seed.\n\n%s\n"
               "Exit code: 0 no violation, 1 a violation, 2 the arguments are wrong.\n",
               qr_sim_arguments_help);
        return 0;
    }
    if (qr_sim_arguments_parse(&arguments, argc, argv) != 0)
        return 2;
    if (arguments.print) {
        if (arguments.options.schedule == NULL)
            qr_sim_schedule_draw(&arguments.schedule, &arguments.options);
        qr_sim_schedule_print(&arguments.schedule, stdout);
        return 0;
    }
    if (arguments.shrink && shrink() != 0)
        return 2;
    if (arguments.plant >= 0)
        qr_plant_set((enum qr_plant)arguments.plant, true);
    arguments.options.crashed = on_crash;
    int failed = qr_sim_run(&arguments.options, &result);
    print_result(&result);
    return failed;
}
