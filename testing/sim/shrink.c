#include "testing/sim/shrink.h"

#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "testing/sim/brood.h"
#include "testing/sim/ddmin.h"

#define STEPS_MORE 2u /* A try may take so many times the steps of the failure. */

struct shrinking {
    struct qr_sim_options options;
    int plant;
    struct qr_sim_schedule all;  /* As it was. */
    struct qr_sim_schedule some; /* Of the try at hand. */
    struct qr_sim_result *result;
    uint32_t at; /* The fault whose duration is tried. */
    FILE *out;
};

/* One history with these faults; 1: it failed, 0: not, or an error. */
static int live_once(struct shrinking *s, const struct qr_sim_schedule *schedule,
                     struct qr_sim_result *result)
{
    struct qr_brood brood = {0};
    struct qr_brood_history history = {.options = s->options, .plant = s->plant};
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

/* As it did before? */
static bool fails_alike(struct shrinking *s, const struct qr_sim_schedule *schedule)
{
    struct qr_sim_result result;
    if (live_once(s, schedule, &result) != 1 ||
        !qr_brood_same_failure(result.sentence, s->result->sentence))
        return false;
    *s->result = result;
    return true;
}

static bool fails_with(void *data, const uint32_t *kept, uint32_t n)
{
    struct shrinking *s = data;
    s->some.n = 0;
    for (uint32_t i = 0; i < n; i++)
        s->some.at[s->some.n++] = s->all.at[kept[i]];
    bool fails = fails_alike(s, &s->some);
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
    bool fails = fails_alike(s, &s->some);
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

/* Those that cannot have had a part in it: they begin after it. */
static void drop_later(struct shrinking *s)
{
    uint32_t n = s->all.n;
    while (s->result->violation_ms != 0 && n > 0 &&
           s->all.at[n - 1].at_ms > s->result->violation_ms)
        n--;
    s->all.n = n;
}

static int keep_few(struct shrinking *s, struct qr_ddmin *ddmin)
{
    uint32_t *kept = malloc((s->all.n + (size_t)1) * sizeof *kept);
    if (kept == NULL)
        return UV_ENOMEM;
    uint32_t n = qr_ddmin(ddmin, kept, s->all.n);
    s->some.n = 0;
    for (uint32_t i = 0; i < n; i++)
        s->some.at[s->some.n++] = s->all.at[kept[i]];
    free(kept);
    return 0;
}

static void shorten(struct shrinking *s, struct qr_ddmin *ddmin)
{
    for (s->at = 0; s->at < s->some.n; s->at++) {
        struct qr_sim_fault *fault = &s->some.at[s->at];
        fault->for_ms = qr_ddmin_number(ddmin, fails_when_so_short, 0, fault->for_ms);
    }
}

int qr_sim_shrink(const struct qr_sim_arguments *arguments, uint32_t tries_max,
                  struct qr_sim_shrunk *shrunk, FILE *out)
{
    struct shrinking s = {.options = arguments->options,
                          .plant = arguments->plant,
                          .result = &shrunk->result,
                          .out = out};
    *shrunk = (struct qr_sim_shrunk){0};
    s.options.verbose = s.options.progress = false;
    int err = prepare(&s, &arguments->options);
    if (err == 0)
        err = live_once(&s, &s.all, &shrunk->result);
    if (err >= 0)
        err = err == 1 ? 0 : QR_E_UNKNOWN;
    if (err == 0) {
        shrunk->n_before = s.all.n;
        fprintf(out, "%u faults: %s\n", s.all.n, shrunk->result.sentence);
        s.options.steps_max = shrunk->result.steps * STEPS_MORE;
        drop_later(&s);
        struct qr_ddmin ddmin = {.fails = fails_with, .data = &s, .tries_max = tries_max};
        err = keep_few(&s, &ddmin);
        if (err == 0)
            shorten(&s, &ddmin);
        shrunk->n_tries = ddmin.n_tries;
    }
    qr_sim_schedule_release(&s.all);
    if (err == 0)
        shrunk->schedule = s.some;
    else
        qr_sim_schedule_release(&s.some);
    return err;
}
