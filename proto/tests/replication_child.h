/* proto/tests/replication_child.h — one chart of a simulated child, and a parent that asks as the
 * planner says.
 *
 * Two kinds of children, as they behave (not as they should):
 *   1.37  stops its answer at the first point without a value and still reports `before`; clips to
 * what it has, and swaps the two if that turns them round; a `true` answer goes up to now, but the
 * flag may be lost; a sample may be collected between the query and RSSTATE. 2.9   goes over empty
 * points; ignores `before` and `false` close to now; may stop early, or send more than was asked
 * for. */
#ifndef QR_PROTO_TESTS_REPLICATION_CHILD_H
#define QR_PROTO_TESTS_REPLICATION_CHILD_H

#include <stdio.h>

#include "base/rng.h"
#include "proto/replication.h"
#include "testing/cmocka.h"

#define SIM_BASE   INT64_C(1000000) /* The child's first second; a multiple of every interval. */
#define SIM_POINTS 200000
#define STEP_MS    100

struct sim {
    struct qr_rng rng;
    bool is_137;
    bool lies;           /* Answers without regard to the requests. */
    uint32_t loss;       /* Of 100 requests, so many get lost; */
    uint32_t flag_loss;  /* so many `true` answers (1.37) say false; */
    uint32_t late_state; /* so many have a sample before RSSTATE. */
    int64_t ue;
    int64_t retention_s; /* 0: all. */

    /* The child's database, a cell for each grid point. */
    int64_t now_ms; /* Its clock, since SIM_BASE. */
    int64_t last_s; /* Last updated. */
    bool (*collects)(struct sim *sim, int64_t at_s);
    bool has[SIM_POINTS];

    /* The connection. */
    bool streaming;
    bool pending;
    struct qr_replication_ask ask;
    int64_t answer_ms;

    /* The parent. */
    struct qr_replication_pace pace;
    struct qr_replication_config config;
    struct qr_replication planner;
    bool got[SIM_POINTS];
    bool gap[SIM_POINTS]; /* Reported. */
    uint32_t n_asked, n_rows, n_repeated_rows, n_gaps;
    bool print;
};

static size_t cell(const struct sim *sim, int64_t at_s)
{
    assert_in_range(at_s, SIM_BASE, SIM_BASE + sim->ue * (SIM_POINTS - 1));
    return (size_t)((at_s - SIM_BASE) / sim->ue);
}

static int64_t now_s(const struct sim *sim)
{
    return SIM_BASE + sim->now_ms / 1000;
}

static int64_t first_s(const struct sim *sim)
{
    if (sim->last_s == 0)
        return 0;
    int64_t first = SIM_BASE + sim->ue;
    if (sim->retention_s > 0 && sim->last_s - sim->retention_s > first)
        first = sim->last_s - sim->retention_s;
    return first;
}

static bool chance(struct sim *sim, uint32_t percent)
{
    return qr_rng_below(&sim->rng, 100) < percent;
}

/* ---- the parent ---- */

static void take_gap(struct qr_replication *planner, int64_t after_s, int64_t before_s,
                     enum qr_gap_reason reason)
{
    struct sim *sim = planner->data;
    sim->n_gaps++;
    assert_true(after_s < before_s);
    assert_in_range(reason, QR_GAP_RETENTION, QR_GAP_NOT_COLLECTED);
    if (sim->print)
        print_message("  gap (%ld, %ld] %d\n", (long)(after_s - SIM_BASE),
                      (long)(before_s - SIM_BASE), reason);
    for (int64_t t = SIM_BASE; t <= before_s && !sim->lies; t += sim->ue)
        if (t > after_s)
            sim->gap[cell(sim, t)] = true;
}

static void take_point(struct sim *sim, int64_t end_s)
{
    sim->n_rows++;
    sim->n_repeated_rows += sim->got[cell(sim, end_s)];
    sim->got[cell(sim, end_s)] = true;
}

static void ask_child(struct sim *sim)
{
    struct qr_replication_ask ask;
    if (!qr_replication_next(&sim->planner, (uint64_t)sim->now_ms, &ask))
        return;
    sim->n_asked++;
    if (sim->print)
        print_message("  %ld ms: ask %d (%ld, %ld]\n", (long)sim->now_ms, ask.start_streaming,
                      (long)(ask.after_s - SIM_BASE), (long)(ask.before_s - SIM_BASE));
    assert_true(ask.after_s <= ask.before_s);
    assert_int_equal(ask.after_s % sim->ue, 0);
    if (sim->last_s > 0 && !sim->lies)
        assert_int_not_equal(ask.before_s, 0); /* Never the empty request: it has data. */
    if (sim->pending || chance(sim, sim->loss))
        return; /* A child with a request in its queue ignores another one. */
    sim->pending = true;
    sim->ask = ask;
    sim->answer_ms = sim->now_ms + (int64_t)qr_rng_below(&sim->rng, 15) * STEP_MS;
}

static void define_chart(struct sim *sim)
{
    sim->streaming = false;
    qr_replication_definition(&sim->planner, (uint32_t)sim->ue, first_s(sim), sim->last_s,
                              now_s(sim));
}

static void resume_at(struct sim *sim, int64_t watermark_s, const struct qr_stream_hole *holes,
                      uint32_t n_holes)
{
    struct qr_stream_resume resume = {watermark_s, holes, n_holes};
    assert_int_equal(qr_replication_resume(&sim->planner, &resume), 0);
}

/* ---- the child ---- */

static void collect(struct sim *sim)
{
    int64_t at_s = now_s(sim);
    if (at_s % sim->ue != 0 || at_s <= sim->last_s || !sim->collects(sim, at_s))
        return;
    sim->has[cell(sim, at_s)] = true;
    sim->last_s = at_s;
    if (sim->streaming) {
        take_point(sim, at_s);
        qr_replication_row(&sim->planner, at_s);
    }
}

static int64_t replay(struct sim *sim, int64_t after_s, int64_t before_s, uint32_t points_max)
{
    int64_t at_s = after_s - after_s % sim->ue + sim->ue;
    for (; at_s <= before_s && points_max > 0; at_s += sim->ue) {
        bool has = at_s <= sim->last_s && at_s > first_s(sim) && sim->has[cell(sim, at_s)];
        if (!has && sim->is_137)
            return before_s;
        if (!has)
            continue;
        qr_replication_point(&sim->planner, at_s - sim->ue, at_s);
        take_point(sim, at_s);
        points_max--;
    }
    return at_s > before_s ? before_s : at_s - sim->ue;
}

static void end_answer(struct sim *sim, bool streaming, int64_t after_s, int64_t before_s)
{
    struct qr_replication_end end = {(uint32_t)sim->ue, first_s(sim), sim->last_s, streaming,
                                     after_s,           before_s,     now_s(sim)};
    if (sim->print)
        print_message("  %ld ms: rend %d (%ld, %ld] last %ld\n", (long)sim->now_ms, streaming,
                      (long)(after_s - SIM_BASE), (long)(before_s - SIM_BASE),
                      (long)(sim->last_s - SIM_BASE));
    assert_int_equal(qr_replication_rend(&sim->planner, &end, (uint64_t)sim->now_ms), 0);
    sim->streaming |= streaming;
}

static void answer_137(struct sim *sim)
{
    int64_t after_s = sim->ask.after_s, before_s = sim->ask.before_s;
    if (after_s == 0 || before_s == 0 || sim->last_s == 0) {
        end_answer(sim, true, 0, after_s);
        return;
    }
    if (after_s < first_s(sim))
        after_s = first_s(sim);
    if (sim->ask.start_streaming || before_s > sim->last_s)
        before_s = sim->last_s;
    if (after_s > before_s) {
        int64_t swap = after_s;
        after_s = before_s;
        before_s = swap;
    }
    bool enable = sim->ask.start_streaming || before_s == sim->last_s;
    if (enable && chance(sim, sim->flag_loss))
        enable = false;
    replay(sim, after_s, before_s, UINT32_MAX);
    if (enable && chance(sim, sim->late_state)) {
        sim->now_ms += sim->ue * 1000 - sim->now_ms % (sim->ue * 1000);
        bool streaming = sim->streaming;
        sim->streaming = false;
        collect(sim);
        sim->streaming = streaming;
    }
    if (enable)
        qr_replication_state(&sim->planner, sim->last_s * 1000000);
    end_answer(sim, enable, after_s, before_s);
}

static void answer_29(struct sim *sim)
{
    int64_t after_s = sim->ask.after_s, before_s = sim->ask.before_s;
    if (after_s == 0 || before_s == 0 || after_s > now_s(sim) || sim->last_s == 0) {
        end_answer(sim, true, after_s, before_s);
        return;
    }
    if (after_s < first_s(sim))
        after_s = first_s(sim);
    bool enable = sim->ask.start_streaming;
    if (before_s >= now_s(sim) - 100 * sim->ue)
        enable = true;
    if (enable)
        before_s = sim->last_s;
    else if (chance(sim, 20))
        before_s += (int64_t)qr_rng_below(&sim->rng, 50) * sim->ue; /* To the end of a page. */
    if (before_s > sim->last_s)
        before_s = sim->last_s;
    if (before_s >= sim->last_s)
        enable = true;
    if (after_s > before_s)
        after_s = before_s;
    uint32_t points_max = chance(sim, 20) ? 1 + (uint32_t)qr_rng_below(&sim->rng, 200) : UINT32_MAX;
    int64_t reached_s = replay(sim, after_s, before_s, points_max);
    if (reached_s < before_s)
        enable = false;
    if (enable)
        qr_replication_state(&sim->planner, sim->last_s * 1000000);
    end_answer(sim, enable, after_s, reached_s);
}

/* ---- time ---- */

static void sim_start(struct sim *sim, uint64_t seed, bool is_137, int64_t ue)
{
    memset(sim, 0, sizeof *sim);
    qr_rng_seed(&sim->rng, seed);
    sim->is_137 = is_137;
    sim->ue = ue;
}

/* A new connection: the planner knows nothing, the child's requests are gone. */
static void sim_connect(struct sim *sim, uint32_t period_s, uint32_t step_s)
{
    sim->pace = (struct qr_replication_pace){0};
    sim->config = (struct qr_replication_config){.period_s = period_s,
                                                 .step_s = step_s,
                                                 .heal = sim->is_137,
                                                 .pace = &sim->pace,
                                                 .gap = take_gap};
    qr_replication_init(&sim->planner, &sim->config);
    sim->planner.data = sim;
    sim->pending = false;
    sim->n_asked = sim->n_rows = sim->n_repeated_rows = sim->n_gaps = 0;
    define_chart(sim);
}

static void sim_disconnect(struct sim *sim)
{
    qr_replication_release(&sim->planner);
    sim->streaming = sim->pending = false;
}

/* Only the child lives. */
static void sim_collect(struct sim *sim, int64_t seconds)
{
    for (int64_t s = 0; s < seconds; s++) {
        sim->now_ms += 1000 - sim->now_ms % 1000;
        collect(sim);
    }
}

static void sim_step(struct sim *sim)
{
    sim->now_ms += STEP_MS;
    if (sim->now_ms % 1000 == 0)
        collect(sim);
    if (sim->pending && sim->now_ms >= sim->answer_ms) {
        sim->pending = false;
        if (sim->is_137)
            answer_137(sim);
        else
            answer_29(sim);
    }
    ask_child(sim);
}

static bool sim_is_quiet(const struct sim *sim)
{
    return sim->planner.phase == QR_REPLICATION_STREAMING && sim->streaming &&
           qr_replication_deadline_ms(&sim->planner) == UINT64_MAX;
}

/* Until the planner has nothing more to do. */
static void sim_settle(struct sim *sim, int64_t seconds_max)
{
    for (int64_t n = seconds_max * 1000 / STEP_MS; n > 0 && !sim_is_quiet(sim); n--)
        sim_step(sim);
    if (!sim_is_quiet(sim))
        fail_msg("not settled: phase %d, kind %d, %u parts, asked %u", sim->planner.phase,
                 sim->planner.kind, sim->planner.n_parts, sim->n_asked);
}

#endif
