#include "testing/sim/shrink.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "testing/sim/brood.h"
#include "testing/sim/ddmin.h"

#define STEPS_MORE     2u  /* A try may take so many times the steps of the failure. */
#define SEEDS_SOON     16u /* So many seeds are tried to have it in the last rounds alone, .. */
#define SEEDS_FEW      3u  /* .. and of what is left then, for each thing that is left out. */
#define FEW            48u /* With more faults than that one seed must do. */
#define DURATION_TRIES 16u /* For each fault, to make it shorter. */

struct shrinking {
    struct qr_sim_options options;
    int plant;
    struct qr_sim_schedule all;  /* As it was. */
    struct qr_sim_schedule some; /* Of the try at hand. */
    struct qr_sim_result *result;
    struct qr_ddmin ddmin;
    unsigned n_seeds; /* For each try: another seed may show it if this one does not. */
    uint32_t at;      /* The fault whose duration is tried. */
    FILE *out;
};

/* One history with these faults; 1: it failed, 0: not, or an error. */
static int live_once(struct shrinking *s, const struct qr_sim_options *options,
                     const struct qr_sim_schedule *schedule, struct qr_sim_result *result)
{
    struct qr_brood brood = {0};
    struct qr_brood_history history = {.options = *options, .plant = s->plant};
    struct qr_brood_end end;
    history.options.schedule = schedule;
    int err = qr_brood_start(&brood, &history);
    if (err != 0)
        return err;
    while (qr_brood_wait(&brood, 1000, &end) == 0)
        ;
    fclose(end.said);
    *result = end.result;
    return end.result.n_violations != 0;
}

static uint64_t round_ms(const struct shrinking *s)
{
    return ((uint64_t)s->options.busy_s + s->options.quiet_s) * 1000;
}

/* As it did before, with one of the seeds?  Then that is the seed from now on. */
static bool fails_alike(struct shrinking *s, struct qr_sim_options options,
                        const struct qr_sim_schedule *schedule)
{
    struct qr_sim_result result;
    for (unsigned i = 0; i < s->n_seeds; i++, options.seed++) {
        if (i > 0 && s->ddmin.n_tries++ >= s->ddmin.tries_max)
            return false;
        if (live_once(s, &options, schedule, &result) != 1 ||
            !qr_brood_same_failure(result.sentence, s->result->sentence))
            continue;
        options.steps_max = result.steps * STEPS_MORE;
        s->options = options;
        *s->result = result;
        return true;
    }
    return false;
}

static bool fails_with(void *data, const uint32_t *kept, uint32_t n)
{
    struct shrinking *s = data;
    s->some.n = 0;
    for (uint32_t i = 0; i < n; i++)
        s->some.at[s->some.n++] = s->all.at[kept[i]];
    bool fails = fails_alike(s, s->options, &s->some);
    if (fails)
        fprintf(s->out, "%u faults still do it\n", n);
    fflush(s->out);
    return fails;
}

static bool fails_when_so_short(void *data, uint64_t for_ms)
{
    struct shrinking *s = data;
    uint64_t before_ms = s->some.at[s->at].for_ms;
    s->some.at[s->at].for_ms = for_ms;
    bool fails = fails_alike(s, s->options, &s->some);
    s->some.at[s->at].for_ms = before_ms;
    return fails;
}

static int prepare(struct shrinking *s, const struct qr_sim_options *options)
{
    if (options->schedule == NULL)
        qr_sim_schedule_draw(&s->all, options);
    for (uint32_t i = 0; options->schedule != NULL && i < options->schedule->n; i++) {
        int err = qr_sim_schedule_add(&s->all, &options->schedule->at[i]);
        if (err != 0)
            return err;
    }
    s->some.at = malloc((s->all.n + (size_t)1) * sizeof *s->some.at);
    return s->some.at != NULL ? 0 : UV_ENOMEM;
}

/* What is in `some` is all there is from now on. */
static void keep_some(struct shrinking *s)
{
    s->all.n = s->some.n;
    if (s->some.n != 0)
        memcpy(s->all.at, s->some.at, s->some.n * sizeof *s->some.at);
}

/* ---- sooner ---- */

/* Those that cannot have had a part in it: they begin after it. */
static void drop_later(struct shrinking *s)
{
    uint32_t n = s->all.n;
    while (s->result->violation_ms != 0 && n > 0 &&
           s->all.at[n - 1].at_ms > s->result->violation_ms)
        n--;
    s->all.n = n;
}

/* Are the last rounds enough, as if nothing had been before them? */
static bool fails_in_last(struct shrinking *s, uint64_t n_rounds, uint64_t last)
{
    struct qr_sim_options options = s->options;
    uint64_t from_ms = (last + 1 - n_rounds) * round_ms(s);
    options.duration_s = n_rounds * round_ms(s) / 1000;
    s->ddmin.n_tries++;
    s->some.n = 0;
    for (uint32_t i = 0; i < s->all.n; i++)
        if (s->all.at[i].at_ms >= from_ms) {
            s->some.at[s->some.n] = s->all.at[i];
            s->some.at[s->some.n++].at_ms -= from_ms;
        }
    return fails_alike(s, options, &s->some);
}

/* A long history is slow to try, and most of it is of no account: a failure that one of so many
 * rounds shows, another seed shows in fewer. */
static void come_sooner(struct shrinking *s)
{
    uint64_t last = s->result->violation_ms / (round_ms(s) != 0 ? round_ms(s) : 1);
    s->n_seeds = SEEDS_SOON;
    for (uint64_t n_rounds = 1; n_rounds <= last; n_rounds *= 2) {
        if (!fails_in_last(s, n_rounds, last))
            continue;
        keep_some(s);
        drop_later(s);
        fprintf(s->out, "%u faults of %u rounds still do it, with seed %llu\n", s->all.n,
                (unsigned)n_rounds, (unsigned long long)s->options.seed);
        fflush(s->out);
        break;
    }
    s->n_seeds = s->all.n <= FEW ? SEEDS_FEW : 1;
}

/* ---- fewer ---- */

/* Whole kinds are left out first: most have nothing to do with it. */
static void drop_kinds(struct shrinking *s)
{
    uint32_t *kept = malloc((s->all.n + (size_t)1) * sizeof *kept);
    for (int kind = 0; kind < QR_SIM_FAULT_KINDS && kept != NULL; kind++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < s->all.n; i++)
            if (s->all.at[i].kind != (enum qr_sim_fault_kind)kind)
                kept[n++] = i;
        if (n == s->all.n || s->ddmin.n_tries++ >= s->ddmin.tries_max)
            continue;
        if (fails_with(s, kept, n)) {
            keep_some(s);
            drop_later(s);
        }
    }
    free(kept);
}

static int keep_few(struct shrinking *s)
{
    uint32_t *kept = malloc((s->all.n + (size_t)1) * sizeof *kept);
    if (kept == NULL)
        return UV_ENOMEM;
    uint32_t n = qr_ddmin(&s->ddmin, kept, s->all.n);
    s->some.n = 0;
    for (uint32_t i = 0; i < n; i++)
        s->some.at[s->some.n++] = s->all.at[kept[i]];
    free(kept);
    return 0;
}

/* ---- shorter ---- */

static void shorten(struct shrinking *s)
{
    uint32_t tries_max = s->ddmin.tries_max;
    s->n_seeds = 1;
    for (s->at = 0; s->at < s->some.n; s->at++) {
        struct qr_sim_fault *fault = &s->some.at[s->at];
        uint32_t until = s->ddmin.n_tries + DURATION_TRIES;
        s->ddmin.tries_max = until < tries_max ? until : tries_max;
        fault->for_ms = qr_ddmin_number(&s->ddmin, fails_when_so_short, 0, fault->for_ms);
    }
    s->ddmin.tries_max = tries_max;
}

static int shrink(struct shrinking *s)
{
    s->options.steps_max = s->result->steps * STEPS_MORE;
    drop_later(s);
    come_sooner(s);
    drop_kinds(s);
    int err = keep_few(s);
    if (err == 0)
        shorten(s);
    return err;
}

int qr_sim_shrink(const struct qr_sim_arguments *arguments, uint32_t tries_max,
                  struct qr_sim_shrunk *shrunk, FILE *out)
{
    struct shrinking s = {.options = arguments->options,
                          .plant = arguments->plant,
                          .result = &shrunk->result,
                          .ddmin = {.fails = fails_with, .tries_max = tries_max},
                          .out = out};
    *shrunk = (struct qr_sim_shrunk){0};
    s.ddmin.data = &s;
    s.options.verbose = s.options.progress = false;
    int err = prepare(&s, &arguments->options);
    if (err == 0)
        err = live_once(&s, &s.options, &s.all, &shrunk->result);
    if (err >= 0)
        err = err == 1 ? 0 : QR_E_UNKNOWN;
    if (err == 0) {
        shrunk->n_before = s.all.n;
        fprintf(out, "%u faults: %s\n", s.all.n, shrunk->result.sentence);
        err = shrink(&s);
        shrunk->n_tries = s.ddmin.n_tries;
        shrunk->options = s.options;
        shrunk->options.steps_max = arguments->options.steps_max;
        shrunk->options.schedule = NULL;
    }
    qr_sim_schedule_release(&s.all);
    if (err == 0)
        shrunk->schedule = s.some;
    else
        qr_sim_schedule_release(&s.some);
    return err;
}
