#include "testing/sim/brood.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "testing/cmocka.h"
#include "testing/sim/plants.h"

/* In the place of the simulator: histories of every kind, by their seeds. */
enum { FINE, FAILS, CRASHES, ASSERTS, HANGS, EXITS, NEEDS_PLANT };

int qr_sim_run(const struct qr_sim_options *options, struct qr_sim_result *result)
{
    fprintf(options->out, "seed %d\n", (int)options->seed);
    result->steps = options->seed * 100;
    int none = (int)options->seed - ASSERTS;
    if (options->seed == CRASHES) {
        signal(SIGSEGV, SIG_DFL); /* cmocka's, or a sanitizer's. */
        raise(SIGSEGV);
    }
    if (options->seed == EXITS)
        _exit(7);
    if (options->seed == HANGS)
        for (volatile unsigned i = 0;; i++)
            ;
    assert(none != 0 && "as it should");
    if (options->seed == FAILS) {
        result->n_violations = 1;
        snprintf(result->sentence, sizeof result->sentence, "member-2 lost 3 samples");
    }
    result->n_wrong = qr_plant_is_on(QR_PLANT_wrong_base);
    return result->n_violations != 0;
}

static struct qr_brood_end end_of(struct qr_brood *brood, uint64_t seed, int plant)
{
    struct qr_brood_history history = {.options = {.seed = seed}, .plant = plant};
    struct qr_brood_end end;
    assert_int_equal(qr_brood_start(brood, &history), 0);
    while (qr_brood_wait(brood, 1000, &end) == 0)
        ;
    assert_int_equal(end.history.options.seed, seed);
    assert_int_equal(brood->n, 0);
    return end;
}

static void assert_says(struct qr_brood_end *end, const char *text)
{
    char said[64] = "";
    assert_non_null(fgets(said, sizeof said, end->said));
    assert_string_equal(said, text);
    fclose(end->said);
}

static void what_a_history_found_comes_back(void **state)
{
    (void)state;
    struct qr_brood brood = {0};
    struct qr_brood_end end = end_of(&brood, FINE, -1);
    assert_int_equal(end.result.n_violations, 0);
    assert_says(&end, "seed 0\n");
    end = end_of(&brood, FAILS, -1);
    assert_int_equal(end.result.n_violations, 1);
    assert_int_equal(end.result.steps, 100);
    assert_string_equal(end.result.sentence, "member-2 lost 3 samples");
    assert_says(&end, "seed 1\n");
}

static void a_plant_is_switched_on_there_and_not_here(void **state)
{
    (void)state;
    struct qr_brood brood = {0};
    struct qr_brood_end end = end_of(&brood, NEEDS_PLANT, QR_PLANT_wrong_base);
    assert_int_equal(end.result.n_wrong, 1);
    fclose(end.said);
    end = end_of(&brood, NEEDS_PLANT, -1);
    assert_int_equal(end.result.n_wrong, 0);
    fclose(end.said);
    assert_false(qr_plant_is_on(QR_PLANT_wrong_base));
}

static void a_process_that_does_not_end_well_is_a_violation(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        const char *sentence;
    } cases[] = {{CRASHES, "crashed, Segmentation fault"},
                 {ASSERTS, "as it should"},
                 {HANGS, "the history does not end"},
                 {EXITS, "the process exited with 7"}};
    struct qr_brood brood = {.cpu_s_max = 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_brood_end end = end_of(&brood, cases[i].seed, -1);
        assert_int_equal(end.result.n_violations, 1);
        if (strstr(end.result.sentence, cases[i].sentence) == NULL)
            fail_msg("\"%s\" instead of \"%s\"", end.result.sentence, cases[i].sentence);
        fclose(end.said);
    }
}

static void several_run_at_a_time(void **state)
{
    (void)state;
    struct qr_brood brood = {.cpu_s_max = 1};
    struct qr_brood_end end;
    bool seen[8] = {false};
    for (uint32_t i = 0; i < 8; i++) {
        struct qr_brood_history history = {
            .options = {.seed = i % 2 == 0 ? FINE : FAILS}, .plant = -1, .number = i};
        assert_int_equal(qr_brood_start(&brood, &history), 0);
    }
    assert_int_equal(brood.n, 8);
    for (unsigned n = 0; n < 8;) {
        if (qr_brood_wait(&brood, 1000, &end) == 0)
            continue;
        assert_false(seen[end.history.number]);
        seen[end.history.number] = true;
        assert_int_equal(end.result.n_violations, end.history.number % 2);
        fclose(end.said);
        n++;
    }
    assert_int_equal(qr_brood_wait(&brood, 1000, &end), 0);
}

static void those_that_still_run_can_be_ended(void **state)
{
    (void)state;
    struct qr_brood brood = {0};
    struct qr_brood_history history = {.options = {.seed = HANGS}, .plant = -1};
    struct qr_brood_end end;
    assert_int_equal(qr_brood_start(&brood, &history), 0);
    assert_int_equal(qr_brood_wait(&brood, 10, &end), 0);
    qr_brood_end_all(&brood);
    assert_int_equal(brood.n, 0);
}

static void failures_are_the_same_but_for_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool same;
    } cases[] = {
        {"", "", true},
        {"member-2 lost 3 samples", "member-1 lost 17  samples", true},
        {"member-2 lost 3 samples", "member-2 lost samples", false},
        {"member-2 lost 3 samples", "member-2 has 3 samples", false},
        {"hash 0xab12 differs", "hash 0x99 differs", true},
        {"a hole", "a hole more", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(qr_brood_same_failure(cases[i].one, cases[i].other), cases[i].same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_history_found_comes_back),
        cmocka_unit_test(a_plant_is_switched_on_there_and_not_here),
        cmocka_unit_test(a_process_that_does_not_end_well_is_a_violation),
        cmocka_unit_test(several_run_at_a_time),
        cmocka_unit_test(those_that_still_run_can_be_ended),
        cmocka_unit_test(failures_are_the_same_but_for_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
