#include "testing/loadgen_options.h"

#include <getopt.h>

#include "base/error.h"
#include "testing/cmocka.h"

static int parse(struct qr_loadgen *options, char **argv)
{
    int n = 0;
    while (argv[n] != NULL)
        n++;
    optind = 0; /* glibc: begin anew. */
    return qr_loadgen_options(options, n, argv);
}

#define ARGS(...) ((char *[]){"quorate-loadgen", __VA_ARGS__, NULL})

static void reads_a_run(void **state)
{
    (void)state;
    struct qr_loadgen o;
    assert_int_equal(parse(&o, ARGS("--to", "127.0.0.1:1,127.0.0.1:2", "--hosts", "5", "--plain",
                                    "--postpone-scale", "0.1")),
                     0);
    assert_false(o.verify);
    assert_int_equal(o.n_destinations, 2);
    assert_string_equal(o.destinations[1].text, "127.0.0.1:2");
    assert_int_equal(o.model.n_hosts, 5);
    assert_int_equal(o.model.n_charts, 20);
    assert_false(o.model.mix);
    assert_true(o.postpone_scale < 0.11 && o.postpone_scale > 0.09);
}

static void reads_a_check(void **state)
{
    (void)state;
    struct qr_loadgen o;
    assert_int_equal(parse(&o, ARGS("verify", "--url", "http://a", "--url", "http://b", "--from",
                                    "100", "--until", "200")),
                     0);
    assert_true(o.verify);
    assert_int_equal(o.n_urls, 2);
    assert_int_equal(o.to_s, 200);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    struct qr_loadgen o;
    assert_int_equal(parse(&o, ARGS("--hosts", "5")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("--to", "nowhere")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("--to", "127.0.0.1:1", "--hosts", "0")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("--to", "127.0.0.1:1", "--hosts", "5x")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("--to", "127.0.0.1:1", "--key", "5")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("--to", "127.0.0.1:1", "--rules", "3")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("--to", "127.0.0.1:1", "dance")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("verify", "--url", "http://a")), QR_E_CONFIG);
    assert_int_equal(parse(&o, ARGS("--help")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_run),
        cmocka_unit_test(reads_a_check),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
