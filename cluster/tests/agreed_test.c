#include "cluster/agreed.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

#define T      INT64_C(1800000000)
#define HOUR   INT64_C(3600)
#define YEARS  (INT64_C(2) * 365 * 86400)
#define SECOND INT64_C(1000000)

static struct {
    struct qr_clock clock;
    uint64_t mono_ms;
    int64_t real_us;
} own;

static uint64_t own_mono_ms(const struct qr_clock *clock)
{
    (void)clock;
    return own.mono_ms;
}

static int64_t own_real_us(const struct qr_clock *clock)
{
    (void)clock;
    return own.real_us;
}

static void start_clock(int64_t real_s)
{
    own.clock = (struct qr_clock){own_mono_ms, own_real_us};
    own.mono_ms = 5000;
    own.real_us = real_s * SECOND;
}

static void pass(uint64_t ms)
{
    own.mono_ms += ms;
    own.real_us += (int64_t)ms * 1000;
}

static int64_t read_s(const struct qr_agreed *agreed)
{
    return qr_clock_real_s(&agreed->clock);
}

/* What a member takes for the time that is right itself at first, and then hears this. */
static void one_wrong_clock_decides_nothing(void **state)
{
    (void)state;
    static const struct {
        int64_t own_jump_s;
        int64_t others[4];
        unsigned n, quorum;
        int64_t agreed_s, ahead_s;
    } cases[] = {
        {0, {T, T}, 2, 2, T, 0},
        {0, {T - 1, T + 1}, 2, 2, T, 0},
        {YEARS, {T, T}, 2, 2, T, YEARS},
        {-YEARS, {T, T}, 2, 2, T, -YEARS},
        {HOUR, {T - 1, T - 2}, 2, 2, T, HOUR},
        {-30, {T, T}, 2, 2, T, -30},
        {0, {T, T - YEARS}, 2, 2, T, 0},
        {0, {T - YEARS, T + YEARS}, 2, 2, T, 0},
        {0, {T, INT64_MAX}, 2, 2, T, 0},
        {HOUR, {T - HOUR, T - YEARS}, 2, 2, T, HOUR}, /* All are wrong, each in its way. */
        {HOUR, {T, T + YEARS}, 2, 2, T, HOUR},
        {-30, {T, T - 30}, 2, 2, T - 30, 0},
        {0, {T, INT64_MIN}, 2, 2, T, 0},
        {HOUR, {T + HOUR, T}, 2, 2, T + HOUR, 0}, /* Most say so. */
        {0, {T + HOUR, T + HOUR}, 2, 2, T + HOUR, -HOUR},
        /* The third is down: the time so far is the third voice, whoever of the two is wrong. */
        {0, {T - YEARS}, 1, 2, T, 0},
        {0, {T + YEARS}, 1, 2, T, 0},
        {-YEARS, {T}, 1, 2, T, -YEARS},
        {YEARS, {T}, 1, 2, T, YEARS},
        {HOUR, {T + HOUR}, 1, 2, T + HOUR, 0},
        {0, {T - YEARS, T, T - YEARS}, 3, 3, T, 0}, /* Four of five. */
        /* Nobody is heard: carried on.  A cluster of one believes its clock. */
        {YEARS, {0}, 0, 2, T, YEARS},
        {-HOUR, {0}, 0, 2, T, -HOUR},
        {YEARS, {0}, 0, 1, T + YEARS, 0},
        {-YEARS, {0}, 0, 1, T - YEARS, 0},
    };
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct qr_agreed agreed;
        start_clock(T);
        qr_agreed_init(&agreed, &own.clock);
        assert_false(qr_agreed_update(&agreed, (const int64_t[]){T, T}, 2, 2));
        own.real_us += cases[c].own_jump_s * SECOND;
        assert_int_equal(read_s(&agreed), T); /* A jump is not seen before it is looked at. */
        bool news = qr_agreed_update(&agreed, cases[c].others, cases[c].n, cases[c].quorum);
        assert_int_equal(read_s(&agreed), cases[c].agreed_s);
        assert_int_equal(qr_agreed_ahead_s(&agreed), cases[c].ahead_s);
        assert_int_equal(news, cases[c].ahead_s != 0);
    }
}

/* Nothing is carried yet. */
static void a_member_that_starts_with_a_wrong_clock_hears_the_others(void **state)
{
    (void)state;
    static const struct {
        int64_t own_s;
        int64_t others[4];
        unsigned n, quorum;
        int64_t agreed_s;
    } cases[] = {
        {T - YEARS, {T, T + 1}, 2, 2, T},  {T + YEARS, {T, T}, 2, 2, T},
        {T + YEARS, {T}, 1, 2, T}, /* The earlier of two. */
        {T, {T + YEARS}, 1, 2, T},         {0, {T, T, T, T}, 4, 3, T},
        {T + YEARS, {0}, 0, 2, T + YEARS},
    };
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct qr_agreed agreed;
        start_clock(cases[c].own_s);
        qr_agreed_init(&agreed, &own.clock);
        qr_agreed_update(&agreed, cases[c].others, cases[c].n, cases[c].quorum);
        assert_int_equal(read_s(&agreed), cases[c].agreed_s);
    }
    /* All machines come up in 1970, and are set one after the other: the time follows most. */
    struct qr_agreed agreed;
    start_clock(100);
    qr_agreed_init(&agreed, &own.clock);
    qr_agreed_update(&agreed, (const int64_t[]){100, 100}, 2, 2);
    qr_agreed_update(&agreed, (const int64_t[]){T, 100}, 2, 2);
    assert_int_equal(read_s(&agreed), 100);
    own.real_us = T * SECOND;
    qr_agreed_update(&agreed, (const int64_t[]){T, 100}, 2, 2);
    assert_int_equal(read_s(&agreed), T);
}

static void it_runs_on_while_the_own_clock_is_wrong(void **state)
{
    (void)state;
    struct qr_agreed agreed;
    start_clock(T);
    own.real_us += 123456;
    qr_agreed_init(&agreed, &own.clock);
    qr_agreed_update(&agreed, (const int64_t[]){T, T}, 2, 2);
    int64_t before_us = qr_clock_real_us(&agreed.clock);
    assert_int_equal(before_us, own.real_us); /* To the microsecond. */
    own.real_us -= HOUR * SECOND;
    for (int i = 1; i <= 100; i++) {
        pass(100);
        int64_t now_us = qr_clock_real_us(&agreed.clock);
        assert_int_equal(now_us - before_us, i * INT64_C(100000));
        const int64_t now_s = T + i / 10;
        qr_agreed_update(&agreed, (const int64_t[]){now_s, now_s - 1}, 2, 2);
        assert_int_equal(qr_clock_real_us(&agreed.clock), now_us);
    }
    assert_in_range(qr_agreed_other_ahead_s(&agreed, T + 10 + HOUR), HOUR - 1, HOUR);
    assert_int_equal(qr_agreed_other_ahead_s(&agreed, T + 11), 0);
    assert_true(qr_agreed_other_ahead_s(&agreed, INT64_MIN) < -HOUR);
    own.real_us += HOUR * SECOND;
    assert_true(qr_agreed_update(&agreed, (const int64_t[]){T + 10, T + 10}, 2, 2));
    assert_int_equal(qr_clock_real_us(&agreed.clock), own.real_us);
    assert_int_equal(qr_agreed_ahead_s(&agreed), 0);
}

/* Slewed by a time server: it is followed, and is no news. */
static void a_clock_that_drifts_is_followed(void **state)
{
    (void)state;
    struct qr_agreed agreed;
    start_clock(T);
    qr_agreed_init(&agreed, &own.clock);
    for (int i = 0; i < 1000; i++) {
        pass(50);
        own.real_us += 25; /* 500 ppm */
        int64_t now_s = own.real_us / SECOND;
        assert_false(qr_agreed_update(&agreed, (const int64_t[]){now_s, now_s}, 2, 2));
        assert_int_equal(qr_clock_real_us(&agreed.clock), own.real_us);
    }
    /* Nobody is heard: the own clock is followed as long as it does not jump. */
    pass(50);
    own.real_us += 25;
    qr_agreed_update(&agreed, NULL, 0, 2);
    assert_int_equal(qr_clock_real_us(&agreed.clock), own.real_us);
}

/* A cluster of one, as it is the shortest way to a wrong majority. */
static void a_time_that_jumped_ahead_is_doubtful_for_a_day(void **state)
{
    (void)state;
    struct qr_agreed agreed;
    start_clock(T);
    qr_agreed_init(&agreed, &own.clock);
    own.real_us += YEARS * SECOND; /* The first time that it hears: no jump is known of. */
    qr_agreed_update(&agreed, NULL, 0, 1);
    assert_false(qr_agreed_is_doubtful(&agreed));
    own.real_us -= YEARS * SECOND; /* Back: nothing is too old for that. */
    qr_agreed_update(&agreed, NULL, 0, 1);
    assert_false(qr_agreed_is_doubtful(&agreed));

    own.real_us += YEARS * SECOND;
    assert_false(qr_agreed_update(&agreed, NULL, 0, 1)); /* It is the time. */
    assert_int_equal(read_s(&agreed), T + YEARS);
    assert_true(qr_agreed_is_doubtful(&agreed));
    pass(50);
    qr_agreed_update(&agreed, NULL, 0, 1);
    assert_true(qr_agreed_is_doubtful(&agreed));
    own.real_us -= YEARS * SECOND;
    qr_agreed_update(&agreed, NULL, 0, 1);
    assert_false(qr_agreed_is_doubtful(&agreed));

    own.real_us += HOUR * SECOND; /* In two steps, and it stays there. */
    qr_agreed_update(&agreed, NULL, 0, 1);
    pass(QR_AGREED_DOUBT_S * 1000 - 1000);
    own.real_us += HOUR * SECOND;
    qr_agreed_update(&agreed, NULL, 0, 1);
    pass(1000);
    qr_agreed_update(&agreed, NULL, 0, 1);
    assert_true(qr_agreed_is_doubtful(&agreed));
    pass(QR_AGREED_DOUBT_S * 1000 - 1000);
    qr_agreed_update(&agreed, NULL, 0, 1);
    assert_false(qr_agreed_is_doubtful(&agreed));
    own.real_us += 300 * SECOND; /* Set by hand, a little. */
    qr_agreed_update(&agreed, NULL, 0, 1);
    assert_false(qr_agreed_is_doubtful(&agreed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_wrong_clock_decides_nothing),
        cmocka_unit_test(a_member_that_starts_with_a_wrong_clock_hears_the_others),
        cmocka_unit_test(it_runs_on_while_the_own_clock_is_wrong),
        cmocka_unit_test(a_clock_that_drifts_is_followed),
        cmocka_unit_test(a_time_that_jumped_ahead_is_doubtful_for_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
