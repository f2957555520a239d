#include "testing/sim/faults.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"
#include "testing/sim/world.h"

static struct qr_sim_options options_of(uint64_t seed)
{
    return (struct qr_sim_options){.seed = seed,
                                   .n_members = 3,
                                   .n_children = 5,
                                   .duration_s = 3600,
                                   .busy_s = 240,
                                   .quiet_s = 90,
                                   .faults = (1u << QR_SIM_FAULT_KINDS) - 1};
}

static void names_are_read(void **state)
{
    (void)state;
    uint32_t kinds = 7;
    assert_int_equal(qr_sim_faults_parse("kill,clock", &kinds), 0);
    assert_int_equal(kinds, 1u << QR_SIM_FAULT_KILL | 1u << QR_SIM_FAULT_CLOCK);
    assert_int_equal(qr_sim_faults_parse("all,-flip", &kinds), 0);
    assert_int_equal(kinds, ((1u << QR_SIM_FAULT_KINDS) - 1) & ~(1u << QR_SIM_FAULT_FLIP));
    assert_int_equal(qr_sim_faults_parse("none", &kinds), 0);
    assert_int_equal(kinds, 0);
    assert_int_equal(qr_sim_faults_parse("kill,flood", &kinds), QR_E_CONFIG);
}

static void assert_same(const struct qr_sim_schedule *a, const struct qr_sim_schedule *b)
{
    assert_int_equal(a->n, b->n);
    for (uint32_t i = 0; i < a->n; i++) {
        assert_int_equal(a->at[i].at_ms, b->at[i].at_ms);
        assert_int_equal(a->at[i].for_ms, b->at[i].for_ms);
        assert_int_equal(a->at[i].kind, b->at[i].kind);
        assert_int_equal(a->at[i].target, b->at[i].target);
        assert_int_equal(a->at[i].number, b->at[i].number);
    }
}

static void what_is_printed_is_read_again(void **state)
{
    (void)state;
    struct qr_sim_schedule drawn, again, read;
    char path[] = "/tmp/quorate-schedule-XXXXXX";
    unsigned line;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct qr_sim_options options = options_of(seed);
        qr_sim_schedule_draw(&drawn, &options);
        qr_sim_schedule_draw(&again, &options);
        assert_true(drawn.n > 20);
        assert_same(&drawn, &again);
        memcpy(path + sizeof path - 7, "XXXXXX", 6);
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        FILE *out = fdopen(fd, "w");
        fprintf(out, "# a comment\n\n");
        qr_sim_schedule_print(&drawn, out);
        fclose(out);
        assert_int_equal(qr_sim_schedule_read(&read, path, &line), 0);
        assert_same(&drawn, &read);
        unlink(path);
        qr_sim_schedule_release(&drawn);
        qr_sim_schedule_release(&again);
        qr_sim_schedule_release(&read);
    }
}

static void another_seed_draws_others(void **state)
{
    (void)state;
    struct qr_sim_options one = options_of(1), two = options_of(2);
    struct qr_sim_schedule a, b;
    qr_sim_schedule_draw(&a, &one);
    qr_sim_schedule_draw(&b, &two);
    assert_true(a.n != b.n || memcmp(a.at, b.at, a.n * sizeof *a.at) != 0);
    qr_sim_schedule_release(&a);
    qr_sim_schedule_release(&b);
}

static bool takes_a_member(enum qr_sim_fault_kind kind)
{
    switch (kind) {
    case QR_SIM_FAULT_KILL:
    case QR_SIM_FAULT_POWER:
    case QR_SIM_FAULT_PAUSE:
    case QR_SIM_FAULT_PARTITION:
    case QR_SIM_FAULT_ONEWAY:
    case QR_SIM_FAULT_FULL_DISK:
    case QR_SIM_FAULT_SLOW_DISK:
    case QR_SIM_FAULT_FAILING_DISK:
    case QR_SIM_FAULT_LEADER_KILL:
    case QR_SIM_FAULT_MAJORITY:
    case QR_SIM_FAULT_WIPE:
    case QR_SIM_FAULT_MEMBERSHIP:
    case QR_SIM_FAULT_BLACKOUT:
    case QR_SIM_FAULT_SPLIT:
        return true;
    default:
        return false;
    }
}

static void never_takes_more_than_a_minority(void **state)
{
    (void)state;
    bool seen[QR_SIM_FAULT_KINDS] = {false};
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct qr_sim_options options = options_of(seed);
        struct qr_sim_schedule s;
        qr_sim_schedule_draw(&s, &options);
        for (uint32_t i = 0; i < s.n; i++) {
            uint64_t end_ms = s.at[i].at_ms + s.at[i].for_ms;
            seen[s.at[i].kind] = true;
            assert_true(end_ms % 330000 <= 240000); /* The end of a round is quiet. */
            for (uint32_t j = i + 1; j < s.n && takes_a_member(s.at[i].kind); j++)
                assert_false(takes_a_member(s.at[j].kind) && s.at[j].at_ms < end_ms);
        }
        qr_sim_schedule_release(&s);
    }
    for (int kind = 0; kind < QR_SIM_FAULT_KINDS; kind++)
        assert_true(seen[kind]);
}

static void a_wrong_line_is_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"1.000 kill child-1 0.100 0", "1.000 flood member-1 0.1 0",
                                        "1.000 kill member-0 0.100 0", "1.000 kill member-1",
                                        "kill"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char path[] = "/tmp/quorate-schedule-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        FILE *out = fdopen(fd, "w");
        fprintf(out, "0.500 kill member-1 0.100 0\n%s\n", wrong[i]);
        fclose(out);
        struct qr_sim_schedule s;
        unsigned line;
        assert_int_equal(qr_sim_schedule_read(&s, path, &line), QR_E_CONFIG);
        assert_int_equal(line, 2);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(what_is_printed_is_read_again),
        cmocka_unit_test(another_seed_draws_others),
        cmocka_unit_test(never_takes_more_than_a_minority),
        cmocka_unit_test(a_wrong_line_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
