#include "node/window.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"

#define YEAR_S          (365 * (int64_t)86400)
#define RELATIVE_MAX_S  (3 * YEAR_S)
#define PAST_MAX_S      (10 * YEAR_S)
#define DEFAULT_POINTS  600
#define DEFAULT_AFTER_S (-600)

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Nothing that a client writes can overflow what follows. */
static int64_t bounded(int64_t v)
{
    const int64_t limit = (int64_t)1 << 40;
    return max_of(min_of(v, limit), -limit);
}

static bool is_relative(int64_t v)
{
    return llabs(v) <= RELATIVE_MAX_S;
}

bool qr_window_absolute(int64_t *after, int64_t *before, int64_t now_s)
{
    int64_t a = bounded(*after), b = bounded(*before);
    bool relative = is_relative(a) || is_relative(b);
    if (is_relative(b))
        b = now_s - llabs(b);
    if (is_relative(a)) {
        if (a == 0)
            a = DEFAULT_AFTER_S;
        a = b - llabs(a) + 1; /* Inclusive: -5 is five points. */
    }
    if (a > b) {
        int64_t swapped = a;
        a = b;
        b = swapped;
    }
    if (b > now_s) {
        a -= b - now_s;
        b = now_s;
    }
    *after = max_of(min_of(a, now_s + YEAR_S), now_s - PAST_MAX_S);
    *before = max_of(min_of(b, now_s + YEAR_S), now_s - PAST_MAX_S);
    return relative;
}

/* The span under work. */
struct span {
    int64_t after, before, points, g, gtime;
    bool at_db_end;
};

/* Zeros stand for the ends of the database. */
static int take_database_ends(struct span *s, const struct qr_window_source *source)
{
    if (s->after != 0 && s->before != 0)
        return 0;
    if (source->first_s == 0 || source->last_s == 0)
        return QR_E_UNKNOWN;
    if (s->after == 0)
        s->after = source->first_s;
    if (s->before == 0) {
        s->before = source->last_s;
        s->at_db_end = true;
    }
    if (s->points == 0)
        s->points = (source->last_s - source->first_s) / max_of(source->update_every, 1);
    return 0;
}

/* A resampled row needs gtime_s of data, and the span a whole number of them if little is missing.
 */
static void widen_for_gtime(struct span *s)
{
    int64_t duration = s->before - s->after;
    if (s->gtime > duration) {
        s->after = s->before - s->gtime;
        duration = s->gtime;
    }
    if (s->gtime > s->g && duration % s->gtime != 0) {
        int64_t over = duration % s->gtime;
        if (over > s->gtime / 10)
            s->after -= s->gtime - over;
    }
}

/* How many granules make a row, and how many rows that gives. */
static int64_t group_granules(struct span *s)
{
    int64_t duration = s->before - s->after;
    int64_t available = max_of(1, (duration + 1) / s->g);
    s->points = min_of(min_of(s->points, available), QR_WINDOW_ROWS_MAX);
    int64_t group = max_of(1, available / s->points);
    if (available % s->points > s->points / 2)
        group++;
    if (s->points * group * s->g < duration) {
        s->points = available / group;
        if (s->points * group < available)
            s->points++;
        s->points = max_of(s->points, 1);
    }
    return group;
}

/* The group as a whole number of resampling groups. */
static int64_t round_group_to_gtime(const struct span *s, int64_t group)
{
    int64_t resampling = (s->gtime + s->g - 1) / s->g;
    group = max_of(group, resampling);
    if (group % resampling != 0)
        group += resampling - group % resampling;
    return group;
}

int qr_window_resolve(struct qr_window *window, const struct qr_window_request *request,
                      const struct qr_window_source *source, int64_t now_s)
{
    bool automatic = request->points <= 0;
    bool relative = is_relative(bounded(request->before)) || is_relative(bounded(request->after));
    bool natural = (request->natural || automatic || relative) && !request->virtual;
    struct span s = {
        .after = bounded(request->after),
        .before = bounded(request->before),
        .points = max_of(bounded(request->points), 0),
        .gtime = min_of(max_of(request->gtime_s, 0), PAST_MAX_S),
        .g = natural ? max_of(max_of(source->update_every, request->tier_s), 1) : 1,
    };
    int err = take_database_ends(&s, source);
    if (err != 0)
        return err;
    if (s.points <= 0)
        s.points = DEFAULT_POINTS;
    qr_window_absolute(&s.after, &s.before, now_s);

    s.before -= s.before % s.g;
    s.after -= s.after % s.g;
    if (automatic)
        s.points = max_of(1, (s.before - s.after + 1) / s.g);
    widen_for_gtime(&s);
    int64_t group = group_granules(&s);
    bool resampled = s.gtime > s.g;
    if (resampled)
        group = round_group_to_gtime(&s, group);

    int64_t step = group * s.g;
    if (!request->unaligned && s.before % step != 0)
        s.before += s.at_db_end ? -(s.before % step) : step - s.before % step;
    assert(s.points >= 1);
    assert(s.points <= QR_WINDOW_ROWS_MAX);
    *window = (struct qr_window){
        .after_s = s.before - s.points * step + s.g,
        .before_s = s.before,
        .first_row_s = s.before - (s.points - 1) * step,
        .step_s = step,
        .granularity_s = s.g,
        .n_rows = (uint32_t)s.points,
        .group = (uint32_t)group,
        .divisor = resampled ? (double)step / (double)s.gtime : 1,
        .resampled = resampled,
        .natural = natural,
        .relative = relative,
    };
    return 0;
}
