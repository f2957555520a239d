/* Children that come back with much to refill, beside children that stream: 500 charts after an
 * outage of ten minutes, more holes than are looked for at a time, and a child that does not
 * answer. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "ha-tests/odd_child.h"

#define CHARTS     500
#define OUTAGE_S   600
#define STORED_S   60 /* Before the outage. */
#define REFILL_MS  120000
#define BEHIND_S   20 /* The others' newest stored second, behind the newest collected. */
#define HOLES      45
#define SEEN_AGAIN 3
#define QUIET_MS   2500 /* Nothing was asked for so long: there is nothing more. */

static struct stage stage;

static int set_up(void **state)
{
    (void)state;
    struct stage_options options = {.name = "refill", .n_hosts = 3, .n_charts = 8, .n_dims = 4};
    stage_up(&stage, &options);
    stage_fault(&stage);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

/* ---- 500 charts ---- */

struct refill {
    struct qr_model model;
    char guid[QR_GUID_TEXT_LEN + 1];
    int64_t first_s, back_s; /* Its history starts, it is back. */
    uint64_t started_ms;
    /* What was seen meanwhile. */
    int64_t most_behind_s, sum_behind_s;
    unsigned n_seen;
};

/* The child, up to STORED_S after its history began or from now on. */
static void start_child(const struct refill *r, bool before, struct qr_process *process)
{
    char program[512], log[QR_TEMP_DIR_BYTES + 64], to[512], seed[32], first[32], charts[32];
    const char *history = "5", *data = "55"; /* STORED_S in all */
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(log, sizeof log, "%s/refill.log", stage.cluster.dir);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->model.seed);
    snprintf(first, sizeof first, "%lld", (long long)r->first_s);
    snprintf(charts, sizeof charts, "%u", r->model.n_charts);
    qr_cluster_destinations(&stage.cluster, 1, ',', to, sizeof to);
    const char *argv[40] = {program,
                            "--to",
                            to,
                            "--key",
                            stage.cluster.api_key,
                            "--seed",
                            seed,
                            "--charts",
                            charts,
                            "--dims",
                            "2",
                            "--first",
                            first,
                            "--plain",
                            "--duration",
                            "0",
                            "--timeout",
                            "2000",
                            "--postpone-scale",
                            "0.1",
                            before ? "--full-speed" : NULL,
                            "--history",
                            history,
                            "--data-seconds",
                            data};
    expect(&stage, qr_process_start(process, "refill", log, -1, argv) == 0);
}

static int64_t newest_live_s(void)
{
    int64_t newest_s = INT64_MAX; /* A member that does not answer has nothing to say. */
    for (uint32_t host = 0; host < stage.model.n_hosts; host++) {
        char guid[QR_GUID_TEXT_LEN + 1];
        stage_guid(&stage, host, guid);
        for (unsigned id = 1; id <= stage.cluster.n; id++) {
            int64_t at_s = qr_cluster_watermark(&stage.cluster, id, guid);
            newest_s = at_s > 0 && at_s < newest_s ? at_s : newest_s;
        }
    }
    return newest_s;
}

static void look_at_others(struct refill *r)
{
    json_t *figures = stage_load_figures(&stage);
    int64_t collected_s = json_integer_value(json_object_get(figures, "last_s"));
    int64_t newest_s = newest_live_s();
    int64_t behind_s = newest_s < INT64_MAX ? collected_s - newest_s : 0;
    json_decref(figures);
    r->most_behind_s = behind_s > r->most_behind_s ? behind_s : r->most_behind_s;
    r->sum_behind_s += behind_s > 0 ? behind_s : 0;
    r->n_seen++;
}

static bool is_refilled(void *data)
{
    struct refill *r = data;
    struct qr_verify result = {0};
    char prefix[256];
    look_at_others(r);
    if (qr_cluster_watermark(&stage.cluster, 1, r->guid) < r->back_s)
        return false;
    snprintf(prefix, sizeof prefix, "%s/host/%s", stage.cluster.members[1].url, r->guid);
    qr_verify_host(&r->model, 0, &stage.cluster.fetch, prefix, r->first_s + STAGE_FIRST_S,
                   r->back_s, &result);
    return qr_verify_ok(&result);
}

static void verify_everywhere(const struct refill *r)
{
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        struct qr_verify result = {0};
        char prefix[256], text[512];
        snprintf(prefix, sizeof prefix, "%s/host/%s", stage.cluster.members[id].url, r->guid);
        qr_verify_host(&r->model, 0, &stage.cluster.fetch, prefix, r->first_s + STAGE_FIRST_S,
                       r->back_s, &result);
        qr_verify_format(&result, text, sizeof text);
        if (!qr_verify_ok(&result))
            fprintf(stderr, "member %u: %s %s\n", id, text, result.first);
        expect(&stage, qr_verify_ok(&result));
        expect(&stage, result.n_values >= (uint64_t)CHARTS * 2 * OUTAGE_S);
    }
}

static void hundreds_of_charts_refill_beside_live_ones(void **state)
{
    (void)state;
    struct qr_process process;
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    struct refill r = {.model = {.seed = stage.model.seed + 1,
                                 .n_hosts = 1,
                                 .n_charts = CHARTS,
                                 .n_dims = 2,
                                 .update_every = 1},
                       .first_s = now_s - OUTAGE_S - STORED_S};
    struct qr_guid guid;
    qr_model_guid(&r.model, 0, &guid);
    qr_guid_format(&guid, r.guid);
    start_child(&r, true, &process);
    expect(&stage, qr_process_wait(&process, REFILL_MS));
    expect(&stage, process.status == 0);

    r.back_s = (int64_t)(qr_real_ms() / 1000);
    r.started_ms = qr_mono_ms();
    start_child(&r, false, &process);
    expect(&stage, qr_wait_for(is_refilled, &r, REFILL_MS, 50));
    uint64_t took_ms = qr_mono_ms() - r.started_ms;
    qr_process_signal(&process, SIGSTOP); /* What follows is compared, not added to. */
    verify_everywhere(&r);
    qr_process_signal(&process, SIGCONT);
    expect(&stage, qr_process_stop(&process, STAGE_DOWN_MS));
    print_message(
        "refill: %d charts x %d s in %llu ms, the others behind by %lld s at most, %.1f on "
        "average, of %u looks\n",
        CHARTS, OUTAGE_S, (unsigned long long)took_ms, (long long)r.most_behind_s,
        (double)r.sum_behind_s / r.n_seen, r.n_seen);
    expect(&stage, r.most_behind_s <= BEHIND_S);
}

/* ---- more holes than a turn ---- */

static const char *const abcd[] = {"a", "b", "c", "d"};

#define DEFINITION "DIMENSION 'a' 'a' 'absolute' 1 1 ''\n"

/* Two seconds are said, one is not: it is kept by the child, or was never collected. */
static void leave_holes(struct odd_child *child)
{
    for (unsigned i = 0; i < 2 * HOLES; i++) {
        odd_collect(child, 2);
        child->live = false;
        if (i % 2 == 0)
            odd_collect(child, 1);
        else
            child->clock_s++;
        child->live = true;
    }
    odd_collect(child, 2);
}

static void more_holes_than_a_turn_are_filled_or_recorded(void **state)
{
    (void)state;
    static struct odd_child child;
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    odd_init(&child, &stage, 1, now_s - 1200);
    child.collects[0] = true;
    odd_connect(&child, 1, "holes");
    odd_define(&child, "line", "", DEFINITION);
    leave_holes(&child);
    odd_serve(&child, 300);
    odd_disconnect(&child);
    odd_connect(&child, 2, "holes");
    odd_define(&child, "line", "", DEFINITION);
    odd_collect(&child, 1); /* Parts wait for a live row. */
    uint64_t until_ms = qr_mono_ms() + REFILL_MS;
    while (child.n_asked < 2 * HOLES && qr_mono_ms() < until_ms)
        odd_serve(&child, 100);
    odd_serve(&child, QUIET_MS); /* It is not asked for more. */
    odd_check(&child, abcd);
    unsigned n_asked = child.n_asked;
    expect(&stage, n_asked >= 2 * HOLES && n_asked < 3 * HOLES);
    odd_disconnect(&child);
    /* What it does not have was recorded: it is not asked for again. */
    odd_connect(&child, 3, "holes");
    odd_define(&child, "line", "", DEFINITION);
    odd_collect(&child, 5);
    odd_serve(&child, QUIET_MS);
    odd_check(&child, abcd);
    print_message("refill: %d holes, half of them nobody can fill: %u requests, then %u\n",
                  2 * HOLES, n_asked, child.n_asked);
    expect(&stage, child.n_asked <= SEEN_AGAIN);
    odd_disconnect(&child);
}

static void the_neighbours_lack_nothing(void **state)
{
    (void)state;
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundreds_of_charts_refill_beside_live_ones),
        cmocka_unit_test(more_holes_than_a_turn_are_filled_or_recorded),
        cmocka_unit_test(the_neighbours_lack_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
