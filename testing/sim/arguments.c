#include "testing/sim/arguments.h"

#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "testing/sim/plants.h"

const char qr_sim_arguments_help[] =
    "  --seed S          of everything (1)\n"
    "  --minutes M       simulated; a whole number of rounds is run (10)\n"
    "  --seconds N       the same in seconds\n"
    "  --members N       of the cluster (3)\n"
    "  --children N      that stream to it (6)\n"
    "  --charts N        of each child (2)\n"
    "  --dims N          of each chart (2)\n"
    "  --busy N          seconds of a round with faults (210)\n"
    "  --quiet N         and without, before all is checked (90)\n"
    "  --threshold N     entries from one snapshot to the next (by the seed)\n"
    "  --trailing N      that stay in the log behind a snapshot (by the seed)\n"
    "  --tick-ms N       of a member, from entry to entry (by the seed)\n"
    "  --faults LIST     kinds to draw from: all, none, or names; -NAME leaves one out (all)\n"
    "  --schedule FILE   these faults instead, as --print-schedule prints them\n"
    "  --plant NAME      with this bug (base/plant.h)\n"
    "  --steps N         end there\n"
    "  --print-schedule  the faults that would be done, and nothing else\n"
    "  --shrink          if it fails: what it does not need is left out\n"
    "  --json            the result as one line\n"
    "  --progress        a line for each round\n"
    "  --verbose         every line that a member logs\n";

enum { NUMBER_0 = 1000, FAULTS = 2000, SCHEDULE, PLANT, PRINT, SHRINK, JSON, PROGRESS, VERBOSE };

/* Numbers of struct qr_sim_options. */
static const struct number {
    const char *name;
    size_t offset, bytes;
    uint64_t unit, min, max;
} numbers[] = {
#define FIELD(name, field, unit, min, max)                                                         \
    {                                                                                              \
        name, offsetof(struct qr_sim_options, field), sizeof(((struct qr_sim_options *)0)->field), \
            unit, min, max                                                                         \
    }
    FIELD("seed", seed, 1, 0, UINT64_MAX),
    FIELD("seconds", duration_s, 1, 1, 1000000),
    FIELD("members", n_members, 1, 1, QR_SIM_MEMBERS_MAX),
    FIELD("children", n_children, 1, 0, QR_SIM_CHILDREN_MAX),
    FIELD("charts", n_charts, 1, 1, 64),
    FIELD("dims", n_dims, 1, 1, 64),
    FIELD("busy", busy_s, 1, 1, 100000),
    FIELD("quiet", quiet_s, 1, 30, 100000),
    FIELD("threshold", threshold, 1, 1, 100000),
    FIELD("trailing", trailing, 1, 1, 100000),
    FIELD("tick-ms", tick_ms, 1, 10, 10000),
    FIELD("steps", steps_max, 1, 1, UINT64_MAX),
    FIELD("minutes", duration_s, 60, 1, 100000),
#undef FIELD
};

static uint64_t get(const struct qr_sim_options *options, const struct number *number)
{
    const char *at = (const char *)options + number->offset;
    if (number->bytes == sizeof(uint64_t))
        return *(const uint64_t *)(const void *)at;
    return *(const uint32_t *)(const void *)at;
}

static void put(struct qr_sim_options *options, const struct number *number, uint64_t value)
{
    char *at = (char *)options + number->offset;
    if (number->bytes == sizeof(uint64_t))
        *(uint64_t *)(void *)at = value;
    else
        *(uint32_t *)(void *)at = (uint32_t)value;
}

static int take_number(struct qr_sim_options *options, const struct number *number,
                       const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < number->min || value > number->max) {
        fprintf(stderr, "--%s takes a number from %" PRIu64 " to %" PRIu64 "\n", number->name,
                number->min, number->max);
        return QR_E_CONFIG;
    }
    put(options, number, value * number->unit);
    return 0;
}

static int take_schedule(struct qr_sim_arguments *arguments, const char *path)
{
    unsigned line;
    qr_sim_schedule_release(&arguments->schedule);
    int err = qr_sim_schedule_read(&arguments->schedule, path, &line);
    if (err == 0) {
        arguments->options.schedule = &arguments->schedule;
        return 0;
    }
    fprintf(stderr, "%s:%u: %s\n", path, line, qr_strerror(err));
    return QR_E_CONFIG;
}

static int take_plant(struct qr_sim_arguments *arguments, const char *name)
{
    arguments->plant = qr_plant_find(name);
    if (arguments->plant >= 0)
        return 0;
    fprintf(stderr, "no bug is called %s; there are:", name);
    for (int i = 0; i < QR_PLANTS_N; i++)
        fprintf(stderr, " %s", qr_plants[i].name);
    fprintf(stderr, "\n");
    return QR_E_CONFIG;
}

static int take(struct qr_sim_arguments *arguments, int option, const char *text)
{
    switch (option) {
    case FAULTS:
        if (qr_sim_faults_parse(text, &arguments->options.faults) == 0)
            return 0;
        fprintf(stderr, "%s is not a list of faults\n", text);
        return QR_E_CONFIG;
    case SCHEDULE:
        return take_schedule(arguments, text);
    case PLANT:
        return take_plant(arguments, text);
    case PRINT:
        arguments->print = true;
        return 0;
    case SHRINK:
        arguments->shrink = true;
        return 0;
    case JSON:
        arguments->json = true;
        return 0;
    case PROGRESS:
        arguments->options.progress = true;
        return 0;
    case VERBOSE:
        arguments->options.verbose = true;
        return 0;
    default:
        return QR_E_CONFIG; /* getopt has said it. */
    }
}

int qr_sim_arguments_parse(struct qr_sim_arguments *arguments, int argc, char **argv)
{
    static const struct option others[] = {{"faults", required_argument, NULL, FAULTS},
                                           {"schedule", required_argument, NULL, SCHEDULE},
                                           {"plant", required_argument, NULL, PLANT},
                                           {"print-schedule", no_argument, NULL, PRINT},
                                           {"shrink", no_argument, NULL, SHRINK},
                                           {"json", no_argument, NULL, JSON},
                                           {"progress", no_argument, NULL, PROGRESS},
                                           {"verbose", no_argument, NULL, VERBOSE}};
    struct option all[QR_COUNT(numbers) + QR_COUNT(others) + 1] = {{0}};
    for (size_t i = 0; i < QR_COUNT(numbers); i++)
        all[i] = (struct option){numbers[i].name, required_argument, NULL, NUMBER_0 + (int)i};
    memcpy(&all[QR_COUNT(numbers)], others, sizeof others);
    *arguments = (struct qr_sim_arguments){.plant = -1};
    qr_sim_options_init(&arguments->options);
    int option, err = 0;
    optind = 0; /* Again from the start. */
    while (err == 0 && (option = getopt_long(argc, argv, "", all, NULL)) != -1)
        err = option >= NUMBER_0 && option < FAULTS
                  ? take_number(&arguments->options, &numbers[option - NUMBER_0], optarg)
                  : take(arguments, option, optarg);
    if (err == 0 && optind != argc) {
        fprintf(stderr, "what is %s?\n", argv[optind]);
        err = QR_E_CONFIG;
    }
    if (err != 0)
        qr_sim_arguments_release(arguments);
    return err;
}

int qr_sim_arguments_parse_line(struct qr_sim_arguments *arguments, const char *line)
{
    char *words[QR_SIM_LINE_WORDS_MAX] = {""}, *rest = NULL;
    char *copy = strndup(line, strcspn(line, "#\n"));
    int n = 1, err = copy != NULL ? 0 : QR_E_CONFIG;
    for (char *word = copy != NULL ? strtok_r(copy, " \t", &rest) : NULL; word != NULL && err == 0;
         word = strtok_r(NULL, " \t", &rest)) {
        if (n == QR_SIM_LINE_WORDS_MAX - 1)
            err = QR_E_CONFIG;
        else
            words[n++] = word;
    }
    if (err == 0)
        err = qr_sim_arguments_parse(arguments, n, words);
    free(copy);
    return err;
}

void qr_sim_arguments_release(struct qr_sim_arguments *arguments)
{
    qr_sim_schedule_release(&arguments->schedule);
}

static void print_faults(uint32_t faults, FILE *out)
{
    const uint32_t all = (1u << QR_SIM_FAULT_KINDS) - 1;
    bool most = __builtin_popcount(faults) > QR_SIM_FAULT_KINDS / 2;
    fprintf(out, " --faults %s", most ? "all" : "none");
    for (int i = 0; i < QR_SIM_FAULT_KINDS; i++)
        if (((most ? all & ~faults : faults) >> i & 1) != 0)
            fprintf(out, ",%s%s", most ? "-" : "", qr_sim_fault_name((enum qr_sim_fault_kind)i));
}

void qr_sim_arguments_print(const struct qr_sim_options *options, int plant, FILE *out)
{
    struct qr_sim_options usual;
    qr_sim_options_init(&usual);
    fprintf(out, "--seed %" PRIu64, options->seed);
    for (size_t i = 1; i + 1 < QR_COUNT(numbers); i++) /* Minutes are seconds. */
        if (get(options, &numbers[i]) != get(&usual, &numbers[i]))
            fprintf(out, " --%s %" PRIu64, numbers[i].name, get(options, &numbers[i]));
    if (options->faults != usual.faults)
        print_faults(options->faults, out);
    if (plant >= 0)
        fprintf(out, " --plant %s", qr_plants[plant].name);
}
