#include "testing/sim/faults.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/rng.h"
#include "testing/sim/world.h"

#define WARM_UP_MS    15000u /* Of the first round. */
#define GAP_MS        9000u  /* Between two faults, on average, of a lane. */
#define SLOW_START_MS 3000u  /* After a member is let go, before the next is taken. */
#define REBUILD_MS    15000u /* .. after it came back to be rebuilt. */

enum whom { A_MEMBER, A_CHILD, NOBODY };

/* How it counts against the minority that may be missing. */
enum weight { HARMLESS, TAKES_ONE, TAKES_SOME, TAKES_ALL };

static const struct kind {
    const char *name;
    enum whom whom;
    enum weight weight;
    uint32_t for_ms_min, for_ms_max;
    int64_t number_min, number_max;
} kinds[QR_SIM_FAULT_KINDS] = {
    [QR_SIM_FAULT_KILL] = {"kill", A_MEMBER, TAKES_ONE, 200, 20000, 0, 30},
    [QR_SIM_FAULT_POWER] = {"power", A_MEMBER, TAKES_ONE, 500, 30000, 0, 30},
    [QR_SIM_FAULT_PAUSE] = {"pause", A_MEMBER, TAKES_ONE, 100, 25000, 0, 0},
    [QR_SIM_FAULT_PARTITION] = {"partition", A_MEMBER, TAKES_ONE, 500, 30000, 0, 1},
    [QR_SIM_FAULT_ONEWAY] = {"oneway", A_MEMBER, TAKES_ONE, 500, 20000, 0, 1},
    [QR_SIM_FAULT_SLOW_NET] = {"slow-net", A_MEMBER, HARMLESS, 1000, 20000, 5, 400},
    [QR_SIM_FAULT_RESET] = {"reset", A_MEMBER, HARMLESS, 0, 0, 0, 0},
    [QR_SIM_FAULT_FULL_DISK] = {"full-disk", A_MEMBER, TAKES_ONE, 2000, 20000, 0, 0},
    [QR_SIM_FAULT_SLOW_DISK] = {"slow-disk", A_MEMBER, TAKES_ONE, 1000, 20000, 5, 800},
    [QR_SIM_FAULT_FAILING_DISK] = {"failing-disk", A_MEMBER, TAKES_ONE, 200, 5000, 2, 20},
    [QR_SIM_FAULT_FLIP] = {"flip", A_MEMBER, HARMLESS, 0, 0, 0, 1 << 30},
    [QR_SIM_FAULT_CLOCK] = {"clock", A_MEMBER, HARMLESS, 1000, 30000, -20000, 20000},
    [QR_SIM_FAULT_DUPLICATE] = {"duplicate", A_CHILD, HARMLESS, 2000, 20000, 0, 0},
    [QR_SIM_FAULT_CHILD_RECONNECT] = {"child-reconnect", A_CHILD, HARMLESS, 0, 0, 0, 0},
    [QR_SIM_FAULT_CHILD_LAG] = {"child-lag", A_CHILD, HARMLESS, 500, 120000, 0, 0},
    [QR_SIM_FAULT_CHILD_KILL] = {"child-kill", A_CHILD, HARMLESS, 500, 120000, 0, 0},
    [QR_SIM_FAULT_CHILD_LIES] = {"child-lies", A_CHILD, HARMLESS, 500, 5000, 0, 5},
    [QR_SIM_FAULT_LEADER_KILL] = {"leader-kill", NOBODY, TAKES_ONE, 200, 10000, 0,
                                  QR_SIM_MOMENTS - 1},
    [QR_SIM_FAULT_MAJORITY] = {"majority", NOBODY, TAKES_ALL, 1000, 90000, 0, 3},
    [QR_SIM_FAULT_WIPE] = {"wipe", A_MEMBER, TAKES_ONE, 1000, 15000, 0, 0},
    [QR_SIM_FAULT_MEMBERSHIP] = {"membership", A_MEMBER, TAKES_ONE, 2000, 40000, 0, 1},
    [QR_SIM_FAULT_BLACKOUT] = {"blackout", NOBODY, TAKES_ALL, 1000, 60000, 0, 0},
    [QR_SIM_FAULT_SPLIT] = {"split", A_MEMBER, TAKES_SOME, 500, 30000, 1, QR_SIM_MEMBERS_MAX / 2},
    [QR_SIM_FAULT_CHILD_FORGETS] = {"child-forgets", A_CHILD, HARMLESS, 500, 20000, 0, 60},
    [QR_SIM_FAULT_ROT] = {"rot", A_MEMBER, TAKES_ONE, 200, 10000, 0, QR_SIM_ROTS - 1},
    [QR_SIM_FAULT_CHILD_MISDATES] = {"child-misdates", A_CHILD, HARMLESS, 3000, 60000, 0, 1 << 16},
};

static bool changes_members(enum qr_sim_fault_kind kind)
{
    return kind == QR_SIM_FAULT_WIPE || kind == QR_SIM_FAULT_MEMBERSHIP || kind == QR_SIM_FAULT_ROT;
}

const char *qr_sim_fault_name(enum qr_sim_fault_kind kind)
{
    return kinds[kind].name;
}

bool qr_sim_fault_of_child(enum qr_sim_fault_kind kind)
{
    return kinds[kind].whom == A_CHILD;
}

static int kind_of(const char *name, size_t len)
{
    for (int i = 0; i < QR_SIM_FAULT_KINDS; i++)
        if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, name, len) == 0)
            return i;
    return -1;
}

int qr_sim_faults_parse(const char *text, uint32_t *mask)
{
    const uint32_t all = (1u << QR_SIM_FAULT_KINDS) - 1;
    uint32_t found = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        bool without = *text == '-';
        const char *name = text + without;
        size_t name_len = len - without;
        int kind = kind_of(name, name_len);
        uint32_t bits = 0;
        if (kind >= 0)
            bits = 1u << kind;
        else if (name_len == 3 && memcmp(name, "all", 3) == 0)
            bits = all;
        else if (name_len != 4 || memcmp(name, "none", 4) != 0)
            return QR_E_CONFIG;
        found = without ? found & ~bits : found | bits;
        text += len + (text[len] == ',');
    }
    *mask = found;
    return 0;
}

/* ---- the list ---- */

int qr_sim_schedule_add(struct qr_sim_schedule *schedule, const struct qr_sim_fault *fault)
{
    if (schedule->n == QR_SIM_SCHEDULE_MAX)
        return QR_E_LIMIT;
    if ((schedule->n & (schedule->n - 1)) == 0) { /* Full at each power of two. */
        size_t n = schedule->n == 0 ? 1 : 2 * (size_t)schedule->n;
        struct qr_sim_fault *grown = realloc(schedule->at, n * sizeof *grown);
        if (grown == NULL)
            return UV_ENOMEM;
        schedule->at = grown;
    }
    uint32_t i = schedule->n++;
    for (; i > 0 && schedule->at[i - 1].at_ms > fault->at_ms; i--)
        schedule->at[i] = schedule->at[i - 1];
    schedule->at[i] = *fault;
    return 0;
}

void qr_sim_schedule_release(struct qr_sim_schedule *schedule)
{
    free(schedule->at);
    *schedule = (struct qr_sim_schedule){0};
}

bool qr_sim_schedule_changes_members(const struct qr_sim_schedule *schedule)
{
    for (uint32_t i = 0; i < schedule->n; i++)
        if (changes_members(schedule->at[i].kind))
            return true;
    return false;
}

/* ---- drawing ---- */

struct drawing {
    const struct qr_sim_options *options;
    struct qr_rng rng;
    struct qr_sim_schedule *schedule;
    uint64_t broken_until_ms[QR_SIM_MEMBERS_MAX + 1];
    uint64_t end_ms;      /* Of this round's faults. */
    uint32_t kinds;       /* That this round has. */
    uint32_t flip_target; /* One member a round loses copies: the others' are sound. */
    uint32_t n_kinds;     /* To draw from. */
};

static uint64_t between(struct drawing *d, uint64_t min, uint64_t max)
{
    return min + qr_rng_below(&d->rng, max - min + 1);
}

static uint32_t n_broken(const struct drawing *d, uint64_t at_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i <= d->options->n_members; i++)
        n += d->broken_until_ms[i] > at_ms;
    return n;
}

static void break_all(struct drawing *d, uint64_t until_ms)
{
    for (uint32_t i = 1; i <= d->options->n_members; i++)
        d->broken_until_ms[i] = until_ms;
}

/* Short ones more often than long ones. */
static uint64_t draw_duration(struct drawing *d, const struct kind *kind)
{
    uint64_t max = between(d, kind->for_ms_min, kind->for_ms_max);
    return between(d, kind->for_ms_min, max);
}

/* Whom it may take at this time; 0: nobody now. */
static uint32_t draw_member(struct drawing *d, const struct kind *kind, uint64_t at_ms)
{
    uint32_t n = d->options->n_members;
    uint32_t target = (uint32_t)between(d, 1, n);
    if (kind->weight == HARMLESS)
        return target;
    if (n_broken(d, at_ms) >= (n - 1) / 2)
        return 0;
    while (d->broken_until_ms[target] > at_ms)
        target = target % n + 1;
    return target;
}

/* A group of members that stand beside each other, as many as may be missing at most. */
static bool break_some(struct drawing *d, struct qr_sim_fault *fault, uint64_t until_ms)
{
    uint32_t n = d->options->n_members, minority = (n - 1) / 2;
    if (n_broken(d, fault->at_ms) != 0 || minority == 0)
        return false;
    if (fault->number > minority)
        fault->number = minority;
    for (uint32_t i = 0; i < fault->number; i++)
        d->broken_until_ms[(fault->target - 1 + i) % n + 1] = until_ms;
    return true;
}

static void draw_one(struct drawing *d, enum qr_sim_fault_kind which, uint64_t at_ms)
{
    const struct kind *kind = &kinds[which];
    struct qr_sim_fault fault = {.at_ms = at_ms, .kind = which};
    fault.for_ms = draw_duration(d, kind);
    fault.number =
        kind->number_min + (int64_t)between(d, 0, (uint64_t)(kind->number_max - kind->number_min));
    uint64_t end_ms = at_ms + fault.for_ms;
    uint64_t wait_ms = which == QR_SIM_FAULT_LEADER_KILL ? QR_SIM_MOMENT_WAIT_MS : 0;
    if (end_ms + wait_ms > d->end_ms)
        return;
    if (kind->whom == A_CHILD)
        fault.target = (uint32_t)between(d, 1, d->options->n_children);
    else if (kind->whom == A_MEMBER)
        fault.target = draw_member(d, kind, at_ms);
    if (which == QR_SIM_FAULT_FLIP)
        fault.target = d->flip_target;
    if (changes_members(which) && fault.target != d->flip_target)
        fault.target =
            d->broken_until_ms[d->flip_target] > at_ms || fault.target == 0 ? 0 : d->flip_target;
    if (kind->whom != NOBODY && fault.target == 0)
        return;
    if (kind->whom == NOBODY && n_broken(d, at_ms) != 0)
        return;
    end_ms += wait_ms + (changes_members(which) ? REBUILD_MS : SLOW_START_MS);
    if (kind->weight == TAKES_SOME && !break_some(d, &fault, end_ms))
        return;
    if (kind->whom == NOBODY)
        break_all(d, end_ms);
    else if (kind->weight == TAKES_ONE)
        d->broken_until_ms[fault.target] = end_ms;
    int err = qr_sim_schedule_add(d->schedule, &fault);
    assert(err == 0);
    (void)err;
}

/* Some kinds are left out of each round, so that the others meet more often. */
static uint32_t draw_kinds(struct drawing *d)
{
    uint32_t some = 0;
    for (uint32_t i = 0; i < d->n_kinds; i++)
        if (qr_rng_below(&d->rng, 2) == 0)
            some |= 1u << i;
    some &= d->options->faults;
    return some != 0 ? some : d->options->faults;
}

static void draw_round(struct drawing *d, uint64_t start_ms)
{
    d->kinds = draw_kinds(d);
    d->end_ms = start_ms + (uint64_t)d->options->busy_s * 1000;
    d->flip_target = (uint32_t)between(d, 1, d->options->n_members);
    memset(d->broken_until_ms, 0, sizeof d->broken_until_ms);
    uint64_t gap_ms = between(d, GAP_MS / 3, GAP_MS);
    uint64_t at_ms = start_ms == 0 ? WARM_UP_MS : start_ms;
    while ((at_ms += between(d, 1, 2 * gap_ms)) < d->end_ms) {
        uint32_t which;
        do
            which = (uint32_t)qr_rng_below(&d->rng, d->n_kinds);
        while ((d->kinds >> which & 1) == 0);
        if (kinds[which].whom != A_CHILD || d->options->n_children > 0)
            draw_one(d, (enum qr_sim_fault_kind)which, at_ms);
    }
}

void qr_sim_schedule_draw(struct qr_sim_schedule *schedule, const struct qr_sim_options *options)
{
    struct drawing d = {.options = options, .schedule = schedule, .n_kinds = QR_SIM_FAULT_KINDS};
    uint64_t round_ms = ((uint64_t)options->busy_s + options->quiet_s) * 1000;
    *schedule = (struct qr_sim_schedule){0};
    if (options->faults == 0)
        return;
    while (!(options->faults >> (d.n_kinds - 1) & 1) && d.n_kinds > QR_SIM_FAULT_WIPE)
        d.n_kinds--; /* Seeds that lack the newer kinds draw as if there were none. */
    qr_rng_seed(&d.rng, options->seed ^ UINT64_C(0x6661756c7473));
    uint64_t start_ms = 0;
    do
        draw_round(&d, start_ms);
    while ((start_ms += round_ms) < options->duration_s * 1000);
}

/* ---- as text ---- */

void qr_sim_fault_print(const struct qr_sim_fault *fault, FILE *out)
{
    static const char *const prefixes[] = {"member-", "child-", "-"};
    const struct kind *kind = &kinds[fault->kind];
    fprintf(out, "%llu.%03llu %s %s", (unsigned long long)fault->at_ms / 1000,
            (unsigned long long)fault->at_ms % 1000, kind->name, prefixes[kind->whom]);
    if (kind->whom != NOBODY)
        fprintf(out, "%u", fault->target);
    fprintf(out, " %llu.%03llu %lld\n", (unsigned long long)fault->for_ms / 1000,
            (unsigned long long)fault->for_ms % 1000, (long long)fault->number);
}

void qr_sim_schedule_print(const struct qr_sim_schedule *schedule, FILE *out)
{
    for (uint32_t i = 0; i < schedule->n; i++)
        qr_sim_fault_print(&schedule->at[i], out);
}

static int parse_target(const char *text, const struct kind *kind, uint32_t *target)
{
    static const char *const prefixes[] = {"member-", "child-"};
    if (kind->whom == NOBODY)
        return strcmp(text, "-") == 0 ? 0 : QR_E_CONFIG;
    size_t len = strlen(prefixes[kind->whom]);
    char *end;
    if (strncmp(text, prefixes[kind->whom], len) != 0)
        return QR_E_CONFIG;
    unsigned long number = strtoul(text + len, &end, 10);
    if (end == text + len || *end != '\0' || number == 0 || number > QR_SIM_CHILDREN_MAX)
        return QR_E_CONFIG;
    *target = (uint32_t)number;
    return 0;
}

static int parse_line(const char *text, struct qr_sim_fault *fault)
{
    char name[32], target[32];
    unsigned long long at_s, at_ms, for_s, for_ms;
    long long number;
    *fault = (struct qr_sim_fault){0};
    if (sscanf(text, "%llu.%3llu %31s %31s %llu.%3llu %lld", &at_s, &at_ms, name, target, &for_s,
               &for_ms, &number) != 7)
        return QR_E_CONFIG;
    int kind = kind_of(name, strlen(name));
    if (kind < 0)
        return QR_E_CONFIG;
    fault->kind = (enum qr_sim_fault_kind)kind;
    fault->at_ms = at_s * 1000 + at_ms;
    fault->for_ms = for_s * 1000 + for_ms;
    fault->number = number;
    return parse_target(target, &kinds[kind], &fault->target);
}

int qr_sim_schedule_read(struct qr_sim_schedule *schedule, const char *path, unsigned *line)
{
    *schedule = (struct qr_sim_schedule){0};
    *line = 0;
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return -errno;
    char text[256];
    int err = 0;
    while (err == 0 && fgets(text, sizeof text, in) != NULL) {
        struct qr_sim_fault fault;
        (*line)++;
        if (text[0] == '#' || text[0] == '\n')
            continue;
        err = parse_line(text, &fault);
        if (err == 0)
            err = qr_sim_schedule_add(schedule, &fault);
    }
    fclose(in);
    if (err != 0)
        qr_sim_schedule_release(schedule);
    return err;
}
