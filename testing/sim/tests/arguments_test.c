#include "testing/sim/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "testing/cmocka.h"
#include "testing/sim/plants.h"

/* The simulator's, which is not linked here. */
void qr_sim_options_init(struct qr_sim_options *options)
{
    *options = (struct qr_sim_options){.seed = 1,
                                       .n_members = 3,
                                       .n_children = 6,
                                       .duration_s = 600,
                                       .busy_s = 210,
                                       .quiet_s = 90,
                                       .faults = (1u << QR_SIM_FAULT_KINDS) - 1};
}

static void words_become_a_history(void **state)
{
    (void)state;
    struct qr_sim_arguments arguments;
    assert_int_equal(qr_sim_arguments_parse_line(&arguments, "# nothing but a remark\n"), 0);
    assert_int_equal(arguments.options.n_members, 3);
    assert_int_equal(arguments.plant, -1);
    assert_int_equal(qr_sim_arguments_parse_line(
                         &arguments, "  --seed 18446744073709551615 --members 5 --minutes 20"
                                     " --faults kill,flip --plant seal_twice --json # found it\n"),
                     0);
    assert_true(arguments.options.seed == UINT64_MAX);
    assert_int_equal(arguments.options.n_members, 5);
    assert_int_equal(arguments.options.duration_s, 1200);
    assert_int_equal(arguments.options.faults, 1u << QR_SIM_FAULT_KILL | 1u << QR_SIM_FAULT_FLIP);
    assert_int_equal(arguments.plant, QR_PLANT_seal_twice);
    assert_true(arguments.json);
    assert_false(arguments.print);
    assert_null(arguments.options.schedule);
}

static void what_is_no_history_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--members 0",       "--members 8",  "--members many",         "--seed -1", "--seed",
        "--faults kill,nap", "--plant none", "--schedule /none/there", "seed 3",    "--tea",
        "--quiet 5",         "--members 3x",
    };
    struct qr_sim_arguments arguments;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (qr_sim_arguments_parse_line(&arguments, lines[i]) == 0)
            fail_msg("%s was taken", lines[i]);
}

/* The caller frees it. */
static char *words_of(const struct qr_sim_arguments *arguments)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    qr_sim_arguments_print(&arguments->options, arguments->plant, out);
    fclose(out);
    return text;
}

static void what_is_printed_is_the_same_history(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--seed 7",
        "--seed 7 --seconds 90 --members 5 --children 0 --busy 30 --quiet 40",
        "--seed 7 --faults none,kill,power",
        "--seed 7 --steps 100 --faults all,-flip --plant wrong_base",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct qr_sim_arguments arguments;
        assert_int_equal(qr_sim_arguments_parse_line(&arguments, lines[i]), 0);
        char *words = words_of(&arguments);
        assert_string_equal(words, lines[i]);
        free(words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_a_history),
        cmocka_unit_test(what_is_no_history_is_refused),
        cmocka_unit_test(what_is_printed_is_the_same_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
