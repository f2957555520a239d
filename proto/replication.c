#include "proto/replication.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/limits.h"

/* Far beyond any clock, far below any overflow. */
#define TIME_MAX_S (INT64_C(1) << 40)
/* Rounds without progress before even the empty request is tried. */
#define REFUSALS_MAX 2

static int64_t min_s(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_s(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t clamp_s(int64_t t)
{
    return max_s(0, min_s(t, TIME_MAX_S));
}

static int64_t to_grid(const struct qr_replication *r, int64_t t)
{
    return t - t % (int64_t)r->update_every;
}

/* The grid point behind one that is known to be empty: nothing until there. */
static int64_t behind_empty(const struct qr_replication *r, int64_t t)
{
    return to_grid(r, t + (int64_t)r->update_every);
}

static bool has_data(const struct qr_replication *r)
{
    return r->first_s > 0 && r->first_s <= r->last_s;
}

/* ---- gaps ---- */

static void report(struct qr_replication *r, int64_t after_s, int64_t before_s,
                   enum qr_gap_reason reason)
{
    if (after_s < before_s)
        r->config->gap(r, after_s, before_s, reason);
}

/* Nothing is in (after, before]: what the child never had, and what is not in its database as far
 * as it says: older than that, or newer. */
static void report_missing(struct qr_replication *r, int64_t after_s, int64_t before_s)
{
    int64_t first_s = has_data(r) ? max_s(after_s, min_s(r->first_s, before_s)) : before_s;
    int64_t last_s = max_s(first_s, min_s(max_s(r->last_s, r->end_s), before_s));
    report(r, after_s, first_s, QR_GAP_RETENTION);
    report(r, first_s, last_s, QR_GAP_NOT_COLLECTED);
    report(r, last_s, before_s, QR_GAP_RETENTION);
}

/* ---- parts ---- */

/* Nothing but what is known to be empty lies between them: one silence, probed as one. */
static bool is_joined(const struct qr_replication *r, const struct qr_replication_part *part,
                      const struct qr_replication_part *next)
{
    if (next->after_s <= part->before_s)
        return true;
    return next->empty_s <= part->before_s &&
           next->after_s <= part->before_s + (int64_t)r->update_every;
}

/* Joins the parts from `i` on that touch or overlap. */
static void join_parts(struct qr_replication *r, uint32_t i)
{
    struct qr_replication_part *part = &r->parts[i];
    uint32_t n = 0;
    while (i + 1 + n < r->n_parts && is_joined(r, part, &part[1 + n])) {
        part->before_s = max_s(part->before_s, part[1 + n].before_s);
        part->empty_s = min_s(part->empty_s, part[1 + n].empty_s);
        n++;
    }
    memmove(&part[1], &part[1 + n], (r->n_parts - i - 1 - n) * sizeof *part);
    r->n_parts -= n;
}

static int reserve_parts(struct qr_replication *r, uint32_t n)
{
    uint32_t capacity = r->capacity == 0 ? 4 : r->capacity;
    while (capacity < n && capacity < QR_REPLICATION_PARTS_MAX)
        capacity *= 2;
    if (r->capacity == capacity)
        return 0;
    struct qr_replication_part *parts = realloc(r->parts, capacity * sizeof *parts);
    if (parts == NULL)
        return UV_ENOMEM;
    r->parts = parts;
    r->capacity = capacity;
    return 0;
}

/* Too many: the last two become one, with what lies between. */
static void squeeze_parts(struct qr_replication *r)
{
    if (r->n_parts < QR_REPLICATION_PARTS_MAX)
        return;
    struct qr_replication_part *last = &r->parts[r->n_parts - 1];
    last[-1].before_s = max_s(last[-1].before_s, last->before_s);
    r->n_parts--;
}

static int add_part(struct qr_replication *r, struct qr_replication_part part)
{
    if (part.after_s >= part.before_s) {
        report_missing(r, part.empty_s, part.before_s);
        return 0;
    }
    squeeze_parts(r);
    if (reserve_parts(r, r->n_parts + 1) != 0)
        return UV_ENOMEM;
    uint32_t i = r->n_parts;
    while (i > 0 && r->parts[i - 1].after_s > part.after_s)
        i--;
    memmove(&r->parts[i + 1], &r->parts[i], (r->n_parts - i) * sizeof part);
    r->parts[i] = part;
    r->n_parts++;
    join_parts(r, i > 0 ? i - 1 : 0);
    if (i < r->n_parts)
        join_parts(r, i);
    return 0;
}

static void start_part(struct qr_replication *r)
{
    assert(!r->has_part);
    assert(r->n_parts > 0);
    r->part = r->parts[0];
    r->n_parts--;
    memmove(&r->parts[0], &r->parts[1], r->n_parts * sizeof r->part);
    r->has_part = true;
    r->part.after_s = to_grid(r, r->part.after_s); /* The interval may have changed. */
    r->low_s = r->part.after_s;
    r->n_misses = r->n_stalls = 0;
    r->jumped = r->halving = false;
}

static void finish_part(struct qr_replication *r)
{
    report_missing(r, r->part.empty_s, r->part.before_s);
    r->has_part = r->halving = false;
}

static void give_up_parts(struct qr_replication *r)
{
    if (r->has_part)
        finish_part(r);
    for (uint32_t i = 0; i < r->n_parts; i++)
        report_missing(r, r->parts[i].empty_s, r->parts[i].before_s);
    r->n_parts = 0;
}

/* ---- what the connection allows ---- */

static bool may_ask(const struct qr_replication *r, bool again)
{
    const struct qr_replication_pace *pace = r->config->pace;
    return pace->n_outstanding < QR_REPLICATION_OUTSTANDING_MAX &&
           (!again || pace->n_repeated < QR_REPLICATION_REPEATED_MAX);
}

static void count_ask(struct qr_replication *r, bool again)
{
    assert(!r->counted);
    r->counted = true;
    r->repeated = again;
    r->config->pace->n_outstanding++;
    r->config->pace->n_repeated += again;
}

/* It was answered, or nobody waits for the answer any more. */
static void uncount_ask(struct qr_replication *r)
{
    if (!r->counted)
        return;
    r->counted = false;
    r->config->pace->n_outstanding--;
    r->config->pace->n_repeated -= r->repeated;
}

/* ---- the start ---- */

void qr_replication_init(struct qr_replication *r, const struct qr_replication_config *config)
{
    assert(config->gap != NULL);
    assert(config->pace != NULL);
    *r = (struct qr_replication){
        .config = config, .update_every = 1, .timeout_ms = QR_REPLICATION_TIMEOUT_MS};
}

void qr_replication_release(struct qr_replication *r)
{
    uncount_ask(r);
    free(r->parts);
    r->parts = NULL;
    r->n_parts = r->capacity = 0;
}

static void set_times(struct qr_replication *r, uint32_t update_every, int64_t first_s,
                      int64_t last_s, int64_t child_now_s)
{
    if (update_every >= 1 && update_every <= QR_UPDATE_EVERY_MAX)
        r->update_every = update_every;
    r->first_s = clamp_s(first_s);
    r->last_s = clamp_s(last_s);
    r->child_now_s = clamp_s(child_now_s);
    if (r->child_now_s > 0) /* Points of the future are a mistake. */
        r->last_s = min_s(r->last_s, r->child_now_s + (int64_t)r->update_every);
}

void qr_replication_definition(struct qr_replication *r, uint32_t update_every, int64_t first_s,
                               int64_t last_s, int64_t child_now_s)
{
    set_times(r, update_every, first_s, last_s, child_now_s);
    if (r->phase != QR_REPLICATION_ASKING)
        r->phase = QR_REPLICATION_WAITING;
}

/* The oldest point of interest that the child may have, on the grid.  One without data at its
 * definition has some by the time it is asked, if its owner took a while. */
static int64_t oldest_s(const struct qr_replication *r)
{
    if (has_data(r))
        return to_grid(r, r->first_s);
    return max_s(0, to_grid(r, r->child_now_s) - (int64_t)r->update_every);
}

/* Where the catch-up starts: behind what is stored, but not before what the child has. */
static void start_catch_up(struct qr_replication *r, int64_t watermark_s)
{
    int64_t known_s = to_grid(r, max_s(clamp_s(watermark_s), clamp_s(r->newest_s)));
    int64_t first_s = oldest_s(r);
    if (known_s > 0) {
        report(r, known_s, first_s, QR_GAP_RETENTION);
        r->cursor_s = r->expect_s = max_s(known_s, first_s);
    } else {
        int64_t now_s = r->child_now_s > 0 ? r->child_now_s : r->last_s;
        int64_t from_s = max_s(0, now_s - (int64_t)r->config->period_s);
        r->cursor_s = max_s(to_grid(r, from_s), first_s);
        r->expect_s = 0;
    }
}

/* What the child does not keep any more is reported at once. */
static int add_hole(struct qr_replication *r, int64_t after_s, int64_t before_s)
{
    after_s = to_grid(r, clamp_s(after_s));
    before_s = clamp_s(before_s);
    int64_t first_s = to_grid(r, has_data(r) ? r->first_s : before_s);
    if (after_s >= before_s)
        return 0;
    return add_part(r, (struct qr_replication_part){max_s(after_s, first_s), before_s, after_s});
}

int qr_replication_resume(struct qr_replication *r, const struct qr_stream_resume *resume)
{
    if (r->phase == QR_REPLICATION_NEW)
        return 0;
    if (resume->n_holes > 0 && reserve_parts(r, QR_REPLICATION_PARTS_MAX < resume->n_holes
                                                    ? QR_REPLICATION_PARTS_MAX
                                                    : r->n_parts + resume->n_holes) != 0)
        return UV_ENOMEM;
    bool waits = r->phase == QR_REPLICATION_WAITING;
    if (waits)
        start_catch_up(r, resume->watermark_s);
    int64_t until_s = r->phase == QR_REPLICATION_STREAMING ? TIME_MAX_S : r->cursor_s;
    for (uint32_t i = 0; i < resume->n_holes; i++) {
        int err = add_hole(r, resume->holes[i].after_s,
                           min_s(clamp_s(resume->holes[i].before_s), until_s));
        assert(err == 0); /* Reserved. */
        (void)err;
    }
    if (!waits)
        return 0;
    r->phase = QR_REPLICATION_ASKING;
    r->n_probes = r->n_stalls = r->n_refusals = 0;
    r->not_before_ms = 0;
    return 0;
}

int qr_replication_missed(struct qr_replication *r, int64_t after_s, int64_t before_s)
{
    after_s = to_grid(r, clamp_s(after_s));
    before_s = clamp_s(before_s);
    if (r->phase != QR_REPLICATION_STREAMING || after_s >= before_s)
        return 0;
    return add_part(r, (struct qr_replication_part){after_s, before_s, after_s});
}

int qr_replication_hole(struct qr_replication *r, int64_t after_s, int64_t before_s)
{
    return r->phase == QR_REPLICATION_STREAMING ? add_hole(r, after_s, before_s) : 0;
}

/* ---- what to ask ---- */

static bool ask_for(struct qr_replication *r, enum qr_replication_kind kind, bool start_streaming,
                    int64_t after_s, int64_t before_s, uint64_t now_ms)
{
    assert(after_s <= before_s);
    r->kind = kind;
    r->ask = (struct qr_replication_ask){start_streaming, after_s, before_s};
    r->deadline_ms = now_ms + r->timeout_ms;
    count_ask(r, false);
    r->n_points = 0;
    r->lead_s = r->begin_s = r->end_s = r->state_s = 0;
    return true;
}

static bool ask_again(struct qr_replication *r, uint64_t now_ms)
{
    if (!may_ask(r, true))
        return false;
    if (r->timeout_ms < QR_REPLICATION_TIMEOUT_MS_MAX / 2)
        r->timeout_ms *= 2;
    else
        r->timeout_ms = QR_REPLICATION_TIMEOUT_MS_MAX;
    r->deadline_ms = now_ms + r->timeout_ms;
    count_ask(r, true);
    r->n_repeats++;
    return true;
}

static bool ask_catch_up(struct qr_replication *r, uint64_t now_ms)
{
    int64_t after_s = to_grid(r, r->cursor_s);
    int64_t last_s = has_data(r) ? r->last_s : r->child_now_s;
    if (after_s == 0 || last_s == 0 || r->n_refusals >= REFUSALS_MAX)
        return ask_for(r, QR_REPLICATION_KIND_CATCH_UP, true, 0, 0, now_ms);
    int64_t step_s = max_s(to_grid(r, r->config->step_s), r->update_every);
    bool last = !has_data(r) || last_s - after_s <= step_s;
    int64_t before_s = last ? max_s(after_s, last_s) : after_s + step_s;
    return ask_for(r, QR_REPLICATION_KIND_CATCH_UP, last, after_s, before_s, now_ms);
}

/* One request every QR_REPLICATION_PACE_MS, after a quick burst. */
static bool take_pace(struct qr_replication_pace *pace, uint64_t now_ms)
{
    const uint64_t burst_ms = QR_REPLICATION_PACE_MS * QR_REPLICATION_PACE_BURST;
    if (pace->next_ms > now_ms)
        return false;
    if (pace->next_ms + burst_ms < now_ms)
        pace->next_ms = now_ms - burst_ms;
    pace->next_ms += QR_REPLICATION_PACE_MS;
    return true;
}

static bool ask_part(struct qr_replication *r, uint64_t now_ms)
{
    if (!take_pace(r->config->pace, now_ms))
        return false;
    if (!r->has_part)
        start_part(r);
    if (r->n_probes >= QR_REPLICATION_PROBES_MAX) {
        give_up_parts(r);
        return false;
    }
    r->n_probes++;
    int64_t after_s = to_grid(r, r->part.after_s);
    int64_t before_s = r->part.before_s;
    if (r->halving) {
        after_s = to_grid(r, r->low_s + (r->high_s - r->low_s) / 2);
        before_s = r->high_s;
    }
    return ask_for(r, QR_REPLICATION_KIND_PART, false, after_s, before_s, now_ms);
}

enum qr_replication_want qr_replication_wants(struct qr_replication *r, uint64_t now_ms)
{
    enum qr_replication_want want = QR_REPLICATION_WANT_NOTHING;
    if (r->kind != QR_REPLICATION_KIND_NONE) {
        if (now_ms >= r->deadline_ms) {
            uncount_ask(r);
            want = QR_REPLICATION_WANT_REPEAT;
        }
    } else if (r->phase == QR_REPLICATION_ASKING) {
        if (now_ms >= r->not_before_ms)
            want = QR_REPLICATION_WANT_CATCH_UP;
    } else if (r->phase == QR_REPLICATION_STREAMING) {
        if (r->has_part ||
            (r->n_parts > 0 && (r->newest_s > r->parts[0].before_s || now_ms >= r->not_before_ms)))
            want = QR_REPLICATION_WANT_PART;
    }
    return want;
}

bool qr_replication_next(struct qr_replication *r, uint64_t now_ms, struct qr_replication_ask *ask)
{
    bool sent = false;
    enum qr_replication_want want = qr_replication_wants(r, now_ms);
    if (want == QR_REPLICATION_WANT_REPEAT)
        sent = ask_again(r, now_ms);
    else if (want == QR_REPLICATION_WANT_CATCH_UP)
        sent = may_ask(r, false) && ask_catch_up(r, now_ms);
    else if (want == QR_REPLICATION_WANT_PART)
        sent = may_ask(r, false) && ask_part(r, now_ms);
    if (sent)
        *ask = r->ask;
    return sent;
}

uint64_t qr_replication_deadline_ms(const struct qr_replication *r)
{
    if (r->kind != QR_REPLICATION_KIND_NONE)
        return r->deadline_ms;
    if (r->phase == QR_REPLICATION_ASKING)
        return r->not_before_ms;
    if (r->phase != QR_REPLICATION_STREAMING)
        return UINT64_MAX;
    if (r->has_part)
        return r->config->pace->next_ms;
    if (r->n_parts == 0)
        return UINT64_MAX;
    uint64_t pace_ms = r->config->pace->next_ms;
    if (r->newest_s > r->parts[0].before_s || r->not_before_ms < pace_ms)
        return pace_ms;
    return r->not_before_ms;
}

/* ---- the answer ---- */

/* Nothing is between `after` and this point.  Before the answer's first one it may be what the
 * child has dropped since it defined the chart: its end says from where on it has any now. */
static void report_before(struct qr_replication *r, bool first, int64_t after_s, int64_t begin_s)
{
    if (first)
        r->lead_s = after_s;
    else
        report_missing(r, after_s, begin_s);
}

static void report_lead(struct qr_replication *r)
{
    int64_t begin_s =
        r->kind == QR_REPLICATION_KIND_PART ? min_s(r->begin_s, r->part.before_s) : r->begin_s;
    if (r->lead_s > 0)
        report_missing(r, r->lead_s, begin_s);
    r->lead_s = 0;
}

void qr_replication_point(struct qr_replication *r, int64_t begin_s, int64_t end_s)
{
    if (begin_s <= 0 || end_s <= begin_s || end_s > TIME_MAX_S)
        return;
    if (r->kind == QR_REPLICATION_KIND_NONE || end_s <= r->ask.after_s || end_s <= r->end_s)
        return; /* Of a late answer, or a point that we have. */
    if (r->kind == QR_REPLICATION_KIND_PART && begin_s >= r->ask.before_s)
        return; /* More than was asked for. */
    bool first = r->n_points++ == 0;
    if (first)
        r->begin_s = begin_s;
    r->end_s = end_s;
    if (r->kind == QR_REPLICATION_KIND_CATCH_UP) {
        if (r->expect_s > 0)
            report_before(r, first, r->expect_s, begin_s);
        r->expect_s = end_s;
        qr_replication_row(r, end_s);
        return;
    }
    if (r->halving || r->jumped)
        return; /* What is missing before it is not known yet. */
    report_before(r, first, r->part.empty_s, min_s(begin_s, r->part.before_s));
    r->part.empty_s = max_s(r->part.empty_s, end_s);
}

void qr_replication_state(struct qr_replication *r, int64_t last_updated_us)
{
    if (r->kind != QR_REPLICATION_KIND_NONE)
        r->state_s = clamp_s(last_updated_us / 1000000);
}

/* ---- REND of the catch-up ---- */

/* What a truncated answer left out.  `before_s` is the end that it claims. */
static int add_unproven(struct qr_replication *r, const struct qr_replication_end *end,
                        int64_t before_s)
{
    if (!r->config->heal || r->ask.before_s == 0)
        return 0;
    if (end->streaming) /* A sample came after the query, before RSSTATE. */
        before_s = max_s(before_s, min_s(r->state_s, r->child_now_s + r->update_every));
    int64_t proven_s = r->n_points > 0 ? r->end_s : max_s(r->ask.after_s, end->after_s);
    int64_t after_s = behind_empty(r, proven_s);
    if (before_s > end->before_s && after_s > end->before_s)
        after_s = to_grid(r, proven_s); /* Not empty, but not asked for. */
    if (after_s >= before_s)
        return 0;
    int64_t empty_s = r->expect_s > 0 ? min_s(r->expect_s, after_s) : proven_s;
    r->expect_s = before_s;
    return add_part(r, (struct qr_replication_part){after_s, before_s, empty_s});
}

/* An answer that neither brought anything nor started the stream. */
static void stall(struct qr_replication *r, uint64_t now_ms)
{
    if (++r->n_stalls < QR_REPLICATION_STALLS_MAX)
        return;
    r->n_stalls = 0;
    r->n_refusals++;
    if (r->cursor_s < r->last_s) {
        report_missing(r, max_s(r->expect_s, r->cursor_s), r->last_s);
        r->cursor_s = to_grid(r, r->last_s);
        r->expect_s = r->last_s;
        return;
    }
    if (r->n_refusals <= REFUSALS_MAX)
        return;
    /* Even the empty request was refused: no storm of them. */
    uint32_t doublings = r->n_refusals - REFUSALS_MAX;
    uint64_t pause_ms = (uint64_t)QR_REPLICATION_TIMEOUT_MS << (doublings < 4 ? doublings : 4);
    if (pause_ms > QR_REPLICATION_TIMEOUT_MS_MAX)
        pause_ms = QR_REPLICATION_TIMEOUT_MS_MAX;
    r->not_before_ms = now_ms + pause_ms;
}

static int end_catch_up(struct qr_replication *r, const struct qr_replication_end *end,
                        uint64_t now_ms)
{
    int64_t reached_s = max_s(end->before_s, r->end_s);
    /* Not further than the child can have anything. */
    reached_s = min_s(reached_s, max_s(max_s(r->last_s, r->ask.before_s), r->end_s));
    struct qr_replication_end seen = *end;
    seen.before_s = reached_s;
    int err = add_unproven(r, &seen, reached_s);
    if (err != 0)
        return err;
    if (end->streaming) {
        r->phase = QR_REPLICATION_STREAMING;
        r->cursor_s = max_s(r->cursor_s, to_grid(r, reached_s));
        r->not_before_ms = now_ms + QR_REPLICATION_HEAL_AFTER_MS;
        r->n_stalls = r->n_refusals = 0;
    } else if (to_grid(r, reached_s) > r->cursor_s) {
        r->cursor_s = to_grid(r, reached_s);
        r->n_stalls = 0;
    } else {
        stall(r, now_ms);
    }
    return 0;
}

/* ---- REND of a part ---- */

/* A child whose answers are whole. */
static void end_whole_part(struct qr_replication *r, const struct qr_replication_end *end)
{
    int64_t reached_s = max_s(end->before_s, r->end_s);
    if (reached_s >= r->part.before_s) {
        finish_part(r);
    } else if (to_grid(r, reached_s) > r->part.after_s) {
        r->part.after_s = to_grid(r, reached_s);
        r->n_stalls = 0;
    } else if (++r->n_stalls >= QR_REPLICATION_STALLS_MAX) {
        finish_part(r);
    }
}

/* Data behind a stride: what was left out may hold its begin. */
static void start_halving(struct qr_replication *r)
{
    r->halving = true;
    r->high_s = to_grid(r, r->begin_s);
    r->run_end_s = r->end_s;
    r->part.after_s = behind_empty(r, r->end_s);
}

/* The run of data begins at high: go on behind it. */
static void finish_halving(struct qr_replication *r)
{
    report_missing(r, r->part.empty_s, min_s(r->high_s, r->part.before_s));
    r->part.empty_s = r->run_end_s;
    r->halving = r->jumped = false;
    r->n_misses = 0;
    r->low_s = r->part.after_s;
    if (r->part.after_s >= r->part.before_s)
        finish_part(r);
}

static int end_halving(struct qr_replication *r)
{
    int64_t high_s = r->high_s;
    if (r->n_points == 0) {
        r->low_s = behind_empty(r, r->ask.after_s);
    } else {
        r->high_s = min_s(to_grid(r, r->begin_s), high_s - (int64_t)r->update_every);
        int64_t after_s = behind_empty(r, r->end_s);
        struct qr_replication_part rest = {after_s, high_s, r->end_s};
        if (after_s < high_s && add_part(r, rest) != 0)
            return UV_ENOMEM;
    }
    if (r->low_s >= r->high_s)
        finish_halving(r);
    return 0;
}

/* How far the next probe is behind the last one: never more than half of what is left. */
static int64_t stride_s(const struct qr_replication *r, int64_t left_s)
{
    uint32_t n_doublings =
        r->n_misses > QR_REPLICATION_SINGLE_PROBES ? r->n_misses - QR_REPLICATION_SINGLE_PROBES : 0;
    int64_t stride = (int64_t)r->update_every << (n_doublings < 20 ? n_doublings : 20);
    return max_s(min_s(stride, to_grid(r, left_s / 2)), r->update_every);
}

/* A probe found nothing: it is known of one grid point only. */
static void miss(struct qr_replication *r, const struct qr_replication_end *end)
{
    int64_t at_s = max_s(r->part.after_s, min_s(to_grid(r, end->after_s), r->part.before_s));
    int64_t left_s = min_s(end->before_s, r->part.before_s) - at_s;
    r->n_misses++;
    r->low_s = behind_empty(r, at_s);
    int64_t stride = stride_s(r, left_s);
    r->jumped = stride > (int64_t)r->update_every;
    r->part.after_s = to_grid(r, at_s + stride);
    /* No point behind `at` is older than the end of what it says to have now, though there may be
     * one when it is asked next; or it was the last one. */
    if (end->before_s < behind_empty(r, at_s) || r->part.after_s >= r->part.before_s)
        finish_part(r);
}

/* A child that stops at empty points. */
static int end_probed_part(struct qr_replication *r, const struct qr_replication_end *end)
{
    if (r->halving)
        return end_halving(r);
    if (r->n_points == 0) {
        miss(r, end);
        return 0;
    }
    if (r->jumped) {
        start_halving(r);
        if (r->low_s >= r->high_s)
            finish_halving(r);
        return 0;
    }
    r->n_misses = 0;
    r->part.after_s = behind_empty(r, r->end_s);
    r->low_s = r->part.after_s;
    if (r->part.after_s >= r->part.before_s)
        finish_part(r);
    return 0;
}

/* ---- REND ---- */

/* The answer to an earlier request, which was repeated and answered since. */
static bool is_late(const struct qr_replication *r, const struct qr_replication_end *end)
{
    if (r->n_repeats == 0 || r->repeated || r->ask.before_s == 0)
        return false;
    bool earlier = end->before_s <= r->ask.after_s && end->after_s < r->ask.after_s;
    bool later = end->after_s >= r->ask.before_s && end->before_s > r->ask.before_s;
    return r->kind == QR_REPLICATION_KIND_PART ? earlier || later : earlier && !end->streaming;
}

int qr_replication_rend(struct qr_replication *r, const struct qr_replication_end *given,
                        uint64_t now_ms)
{
    if (r->kind == QR_REPLICATION_KIND_NONE)
        return 0;
    struct qr_replication_end end = *given;
    end.after_s = clamp_s(end.after_s);
    end.before_s = clamp_s(end.before_s);
    if (is_late(r, &end)) {
        r->n_repeats--;
        return 0;
    }
    set_times(r, end.update_every, end.first_s, end.last_s, end.child_now_s);
    report_lead(r);
    enum qr_replication_kind kind = r->kind;
    r->kind = QR_REPLICATION_KIND_NONE;
    uncount_ask(r);
    r->timeout_ms = QR_REPLICATION_TIMEOUT_MS;
    if (kind == QR_REPLICATION_KIND_CATCH_UP)
        return end_catch_up(r, &end, now_ms);
    if (r->config->heal)
        return end_probed_part(r, &end);
    end_whole_part(r, &end);
    return 0;
}

int64_t qr_replication_left_s(const struct qr_replication *r)
{
    int64_t left_s = 0;
    if (r->phase == QR_REPLICATION_ASKING && r->last_s > r->cursor_s)
        left_s = r->last_s - r->cursor_s;
    if (r->has_part)
        left_s += r->part.before_s - r->part.after_s;
    for (uint32_t i = 0; i < r->n_parts; i++)
        left_s += r->parts[i].before_s - r->parts[i].after_s;
    return left_s;
}
