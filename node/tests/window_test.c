#include "node/window.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/rng.h"
#include "testing/cmocka.h"

#define T0     1795405000
#define FIRST  (T0 - 25)
#define LAST   (T0 + 386)
#define NOW    (T0 + 385) /* A second before the clock. */
#define YEAR_S (365 * (int64_t)86400)

/* Windows that a real 1.37.1 answered, or computed by hand. */
static const struct {
    int64_t after, before, points, gtime;
    const char *options; /* u: unaligned, n: natural, v: virtual */
    uint32_t update_every;
    int64_t after_s, before_s, step_s;
    uint32_t n_rows;
    bool natural, relative;
    uint32_t tier_s;
} cases[] = {
    /* Answers of a real server. */
    {T0 + 290, T0 + 310, 2, 0, "", 1, T0 + 291, T0 + 310, 10, 2, false, false},
    {-5, 0, 3, 0, "", 1, T0 + 379, T0 + 384, 2, 3, true, true},
    {-3, 0, 0, 0, "", 1, T0 + 383, T0 + 385, 1, 3, true, true},
    {T0 + 290, T0 + 302, 0, 0, "", 1, T0 + 290, T0 + 302, 1, 13, true, false},
    /* The default window: 600 points that end with the database. */
    {-600, 0, 0, 0, "", 1, T0 + 385 - 599, T0 + 385, 1, 600, true, true},
    /* after = 0 is the oldest. */
    {0, 0, 0, 0, "", 1, FIRST - 1, T0 + 385, 1, 412, true, true},
    /* An end that is not 0 is rounded up, even beyond the database. */
    {-7, -1, 2, 0, "", 1, T0 + 381, T0 + 386, 3, 2, true, true},
    {-7, -1, 2, 0, "u", 1, T0 + 379, T0 + 384, 3, 2, true, true},
    {T0 + 1, T0 + 8, 2, 0, "", 1, T0 + 1, T0 + 8, 4, 2, false, false},
    {T0 + 1, T0 + 9, 2, 0, "", 1, T0 + 5, T0 + 12, 4, 2, false, false},
    /* An interval of 10 s: natural points on its grid, virtual ones of a second. */
    {-60, 0, 0, 0, "", 10, T0 + 330, T0 + 380, 10, 6, true, true},
    {T0 + 3, T0 + 22, 20, 0, "", 10, T0 + 3, T0 + 22, 1, 20, false, false},
    {T0 + 3, T0 + 22, 20, 0, "n", 10, T0 + 10, T0 + 20, 10, 2, true, false},
    {-60, 0, 0, 0, "v", 10, T0 + 326, T0 + 385, 1, 60, false, true},
    /* gtime does not shrink the number of points. */
    {T0 + 1, T0 + 120, 12, 60, "", 1, T0 + 140 - 720 + 1, T0 + 140, 60, 12, false, false},
    /* Reversed, and in the future. */
    {T0 + 310, T0 + 290, 2, 0, "", 1, T0 + 291, T0 + 310, 10, 2, false, false},
    {T0 + 1000, T0 + 1009, 0, 0, "", 1, T0 + 376, T0 + 385, 1, 10, true, false},
    /* A tier by its number: answers of a real server, two and four hours later. */
    {1795402817, 1795403416, 0, 0, "", 1, 1795402860, 1795403400, 60, 10, true, false, 60},
    {1795395617, 1795402816, 0, 0, "", 1, 1795399200, 1795402800, 3600, 2, true, false, 3600},
};

static struct qr_window_request request_of(int64_t after, int64_t before, int64_t points,
                                           int64_t gtime, const char *options)
{
    return (struct qr_window_request){.after = after,
                                      .before = before,
                                      .points = points,
                                      .gtime_s = gtime,
                                      .unaligned = strchr(options, 'u') != NULL,
                                      .natural = strchr(options, 'n') != NULL,
                                      .virtual = strchr(options, 'v') != NULL};
}

static void resolves_as_a_real_server_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct qr_window_request request = request_of(
            cases[i].after, cases[i].before, cases[i].points, cases[i].gtime, cases[i].options);
        struct qr_window_source source = {FIRST, LAST, cases[i].update_every};
        struct qr_window w;
        request.tier_s = cases[i].tier_s;
        assert_int_equal(qr_window_resolve(&w, &request, &source, NOW), 0);
        assert_int_equal(w.before_s, cases[i].before_s);
        assert_int_equal(w.after_s, cases[i].after_s);
        assert_int_equal(w.step_s, cases[i].step_s);
        assert_int_equal(w.n_rows, cases[i].n_rows);
        assert_int_equal(w.natural, cases[i].natural);
        assert_int_equal(w.relative, cases[i].relative);
    }
}

static void zeros_need_a_database(void **state)
{
    (void)state;
    struct qr_window_source empty = {0, 0, 1};
    struct qr_window w;
    struct qr_window_request request = request_of(-600, 0, 0, 0, "");
    assert_int_equal(qr_window_resolve(&w, &request, &empty, NOW), QR_E_UNKNOWN);
    request = request_of(T0, T0 + 5, 0, 0, "");
    assert_int_equal(qr_window_resolve(&w, &request, &empty, NOW), 0);
}

static void resampling_gives_a_divisor(void **state)
{
    (void)state;
    struct qr_window_source source = {FIRST, LAST, 1};
    struct qr_window w;
    struct qr_window_request request = request_of(T0 + 1, T0 + 300, 2, 60, "");
    assert_int_equal(qr_window_resolve(&w, &request, &source, NOW), 0);
    assert_true(w.resampled);
    assert_int_equal(w.step_s, 180); /* 150 granules a row, up to whole gtimes. */
    assert_true(w.divisor == 3.0);
    request = request_of(T0 + 1, T0 + 300, 2, 1, "");
    assert_int_equal(qr_window_resolve(&w, &request, &source, NOW), 0);
    assert_false(w.resampled);
    assert_true(w.divisor == 1.0);
}

/* ---- the same arithmetic again, as flat as it is written down, for random questions ---- */

struct slow {
    long long a, b, pts, group, step, rgroup, g;
    bool relative;
    double divisor;
};

static void slow_absolute(long long *a, long long *b, long long now)
{
    long long rel = 3 * 365 * 86400LL;
    if (*b >= -rel && *b <= rel)
        *b = now - (*b < 0 ? -*b : *b);
    if (*a >= -rel && *a <= rel) {
        long long back = *a == 0 ? 600 : *a < 0 ? -*a : *a;
        *a = *b - back + 1;
    }
    if (*a > *b) {
        long long t = *b;
        *b = *a;
        *a = t;
    }
    if (*b > now) {
        long long shift = *b - now;
        *a -= shift;
        *b -= shift;
    }
    if (*a < now - 3650 * 86400LL)
        *a = now - 3650 * 86400LL;
    if (*b < now - 3650 * 86400LL)
        *b = now - 3650 * 86400LL;
    if (*a > now + 365 * 86400LL)
        *a = now + 365 * 86400LL;
    if (*b > now + 365 * 86400LL)
        *b = now + 365 * 86400LL;
}

static struct slow slow_resolve(const struct qr_window_request *q,
                                const struct qr_window_source *db, long long now)
{
    struct slow s = {.a = q->after, .b = q->before, .pts = q->points, .g = 1, .rgroup = 1};
    long long rel = 3 * 365 * 86400LL;
    bool natural = q->natural || q->points == 0;
    if (llabs(q->after) <= rel || llabs(q->before) <= rel)
        s.relative = natural = true;
    if (q->virtual)
        natural = false;
    bool at_db_end = false;
    if (s.a == 0 || s.b == 0) {
        if (s.a == 0)
            s.a = db->first_s;
        if (s.b == 0) {
            s.b = db->last_s;
            at_db_end = true;
        }
        if (s.pts == 0)
            s.pts = (db->last_s - db->first_s) / db->update_every;
    }
    if (s.pts == 0)
        s.pts = 600;
    slow_absolute(&s.a, &s.b, now);
    if (natural)
        s.g = db->update_every;
    while (s.b % s.g)
        s.b--;
    while (s.a % s.g)
        s.a--;
    if (q->points == 0) {
        s.pts = (s.b - s.a + 1) / s.g;
        if (s.pts < 1)
            s.pts = 1;
    }
    long long gt = q->gtime_s, dur = s.b - s.a;
    if (gt > dur) {
        s.a = s.b - gt;
        dur = gt;
    }
    if (gt > s.g && dur % gt != 0 && dur % gt > gt / 10) {
        s.a -= gt - dur % gt;
        dur = s.b - s.a;
    }
    long long avail = (dur + 1) / s.g;
    if (avail < 1)
        avail = 1;
    if (s.pts > avail)
        s.pts = avail;
    if (s.pts > 86400)
        s.pts = 86400;
    s.group = avail / s.pts;
    if (s.group < 1)
        s.group = 1;
    if (avail % s.pts > s.pts / 2)
        s.group++;
    if (s.pts * s.group * s.g < dur) {
        s.pts = avail / s.group;
        if (s.pts * s.group < avail)
            s.pts++;
        if (s.pts < 1)
            s.pts = 1;
    }
    s.divisor = 1;
    if (gt > s.g) {
        while (s.rgroup * s.g < gt)
            s.rgroup++;
        if (s.group < s.rgroup)
            s.group = s.rgroup;
        while (s.group % s.rgroup)
            s.group++;
        s.divisor = (double)(s.group * s.g) / (double)gt;
    }
    s.step = s.group * s.g;
    if (!q->unaligned && s.b % s.step) {
        if (at_db_end)
            s.b -= s.b % s.step;
        else
            s.b += s.step - s.b % s.step;
    }
    s.a = s.b - s.pts * s.step + s.g;
    return s;
}

static int64_t random_time(struct qr_rng *rng)
{
    switch (qr_rng_below(rng, 4)) {
    case 0:
        return -(int64_t)qr_rng_below(rng, 5000);
    case 1:
        return (int64_t)qr_rng_below(rng, 3000);
    case 2:
        return 0;
    default:
        return T0 - 3000 + (int64_t)qr_rng_below(rng, 6000);
    }
}

static void agrees_with_the_flat_version_on_random_questions(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 20261123);
    static const uint32_t intervals[] = {1, 2, 3, 5, 10, 60};
    for (int i = 0; i < 50000; i++) {
        static const char *const options[] = {"", "u", "n", "v", "un", "uv", "nv"};
        struct qr_window_request request =
            request_of(random_time(&rng), random_time(&rng),
                       qr_rng_below(&rng, 3) == 0 ? 0 : 1 + (int64_t)qr_rng_below(&rng, 700),
                       qr_rng_below(&rng, 3) != 0 ? 0 : (int64_t)qr_rng_below(&rng, 400),
                       options[qr_rng_below(&rng, QR_COUNT(options))]);
        int64_t first = T0 - (int64_t)qr_rng_below(&rng, 10000);
        struct qr_window_source source = {first, first + (int64_t)qr_rng_below(&rng, 10500),
                                          intervals[qr_rng_below(&rng, QR_COUNT(intervals))]};
        struct qr_window w;
        assert_int_equal(qr_window_resolve(&w, &request, &source, NOW), 0);
        struct slow s = slow_resolve(&request, &source, NOW);
        assert_int_equal(w.before_s, s.b);
        assert_int_equal(w.after_s, s.a);
        assert_int_equal(w.n_rows, s.pts);
        assert_int_equal(w.step_s, s.step);
        assert_int_equal(w.group, s.group);
        assert_int_equal(w.relative, s.relative);
        assert_true(w.divisor == s.divisor);
        assert_int_equal(w.first_row_s + (w.n_rows - 1) * w.step_s, w.before_s);
    }
}

static void hostile_numbers_overflow_nothing(void **state)
{
    (void)state;
    static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1,    -1,         0, 1,
                                       INT64_MAX, (int64_t)1 << 41, -4 * YEAR_S};
    struct qr_window_source source = {FIRST, LAST, 1};
    for (size_t a = 0; a < QR_COUNT(extremes); a++)
        for (size_t b = 0; b < QR_COUNT(extremes); b++)
            for (size_t p = 0; p < QR_COUNT(extremes); p++)
                for (size_t g = 0; g < QR_COUNT(extremes); g++) {
                    struct qr_window_request request =
                        request_of(extremes[a], extremes[b], extremes[p], extremes[g], "");
                    struct qr_window w;
                    assert_int_equal(qr_window_resolve(&w, &request, &source, NOW), 0);
                    assert_in_range(w.n_rows, 1, QR_WINDOW_ROWS_MAX);
                    assert_true(w.step_s >= 1);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves_as_a_real_server_does),
        cmocka_unit_test(zeros_need_a_database),
        cmocka_unit_test(resampling_gives_a_divisor),
        cmocka_unit_test(agrees_with_the_flat_version_on_random_questions),
        cmocka_unit_test(hostile_numbers_overflow_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
