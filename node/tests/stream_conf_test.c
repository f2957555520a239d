#include "node/stream_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"

#define KEY "11111111-2222-3333-4444-555555555555"
#define OFF "22222222-2222-3333-4444-555555555555"
#define NET "33333333-2222-3333-4444-555555555555"
#define BOX "44444444-2222-3333-4444-555555555555"
#define BAD "55555555-2222-3333-4444-555555555555"

static const char text[] = "[stream]\n enabled = no\n"
                           "[" KEY "]\n enabled = yes\n"
                           "[" OFF "]\n enabled = no\n"
                           "[" NET "]\n type = api\n enabled = yes\n allow from = !10.0.0.9 10.*\n"
                           " replication period = 2h\n seconds per replication step = 60\n"
                           "[" BOX "]\n type = machine\n enable replication = no\n"
                           " compression algorithms order = gzip lz4\n"
                           "[" BAD "]\n type = machine\n enabled = no\n";

static char path[] = "/tmp/quorate-stream-XXXXXX";
static struct qr_stream_conf conf;

static int check(const char *key, const char *guid, const char *ip, struct qr_stream_policy *policy)
{
    const char *reason = NULL;
    int err =
        qr_stream_conf_check(&conf, qr_slice_str(key), qr_slice_str(guid), ip, policy, &reason);
    assert_true((err == 0) == (reason == NULL));
    return err;
}

static void lets_in_whom_the_file_names(void **state)
{
    (void)state;
    struct qr_stream_policy policy;
    static const struct {
        const char *key, *guid, *ip;
        int expected;
    } cases[] = {
        {KEY, "any", "127.0.0.1", 0},
        {OFF, "any", "127.0.0.1", QR_E_DENIED},   /* not enabled */
        {"x", "any", "127.0.0.1", QR_E_DENIED},   /* unknown key */
        {NET, "any", "10.1.2.3", 0},              /* allow from */
        {NET, "any", "10.0.0.9", QR_E_DENIED},    /* negative match first */
        {NET, "any", "192.168.0.1", QR_E_DENIED}, /* no match */
        {BOX, "any", "127.0.0.1", QR_E_DENIED},   /* a machine is no key */
        {KEY, KEY, "127.0.0.1", 0},               /* no type said: both */
        {KEY, BAD, "127.0.0.1", QR_E_DENIED},     /* this machine is off */
        {KEY, NET, "127.0.0.1", QR_E_DENIED},     /* type = api is no machine */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (check(cases[i].key, cases[i].guid, cases[i].ip, &policy) != cases[i].expected)
            fail_msg("case %zu", i);
}

static void the_machine_refines_the_key(void **state)
{
    (void)state;
    struct qr_stream_policy policy;
    assert_int_equal(check(NET, "any", "10.1.1.1", &policy), 0);
    assert_true(policy.replication);
    assert_int_equal(policy.period_s, 7200);
    assert_int_equal(policy.step_s, 60);
    assert_int_equal(check(KEY, BOX, "10.1.1.1", &policy), 0);
    assert_false(policy.replication);
    assert_int_equal(policy.period_s, 86400);
    assert_int_equal(policy.compressions.all[0], QR_COMPRESSION_GZIP);
    assert_int_equal(policy.compressions.all[1], QR_COMPRESSION_LZ4);
    assert_int_equal(policy.compressions.all[2], QR_COMPRESSION_ZSTD);
}

static void refuses_a_file_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[" KEY "]\nenabled = perhaps\n", "[" KEY "]\nreplication period = soon\n",
        "[" KEY "]\ncompression algorithms order = lz4 bzip2\n", "[" KEY "]\ntype = person\n"};
    char other[] = "/tmp/quorate-stream-XXXXXX";
    int fd = mkstemp(other);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct qr_stream_conf c;
        char sentence[512];
        FILE *file = fopen(other, "w");
        fputs(bad[i], file);
        fclose(file);
        assert_int_equal(qr_stream_conf_read(&c, other, sentence, sizeof sentence), QR_E_CONFIG);
        assert_non_null(strstr(sentence, KEY));
    }
    unlink(other);
}

static int setup(void **state)
{
    (void)state;
    char sentence[512];
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)sizeof text - 1)
        return -1;
    close(fd);
    return qr_stream_conf_read(&conf, path, sentence, sizeof sentence);
}

static int teardown(void **state)
{
    (void)state;
    qr_stream_conf_release(&conf);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_in_whom_the_file_names),
        cmocka_unit_test(the_machine_refines_the_key),
        cmocka_unit_test(refuses_a_file_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
