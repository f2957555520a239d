#include "node/stream_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "testing/cmocka.h"

#define KEY "11111111-2222-3333-4444-555555555555"
#define OFF "22222222-2222-3333-4444-555555555555"
#define NET "33333333-2222-3333-4444-555555555555"
#define BOX "44444444-2222-3333-4444-555555555555"
#define BAD "55555555-2222-3333-4444-555555555555"

static const char text[] =
    "[stream]\n enabled = no\n"
    "[" KEY "]\n enabled = yes\n"
    "[" OFF "]\n enabled = no\n"
    "[" NET "]\n type = api\n enabled = yes\n allow from = !10.0.0.9 10.*\n"
    " replication period = 2h\n seconds per replication step = 60\n"
    "[" BOX "]\n type = machine\n enable replication = no\n is ephemeral node = yes\n"
    " compression algorithms order = gzip lz4\n"
    "[" BAD "]\n type = machine\n enabled = no\n";

static char path[] = "/tmp/quorate-stream-XXXXXX";
static struct qr_stream_conf conf;

static int check(const char *key, const char *guid, const char *ip, struct qr_stream_policy *policy)
{
    const char *reason = NULL;
    int err = qr_stream_conf_check(&conf, NULL, qr_slice_str(key), qr_slice_str(guid), ip, policy,
                                   &reason);
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
    assert_false(policy.ephemeral);
    assert_int_equal(policy.period_s, 7200);
    assert_int_equal(policy.step_s, 60);
    assert_int_equal(check(KEY, BOX, "10.1.1.1", &policy), 0);
    assert_false(policy.replication);
    assert_true(policy.ephemeral);
    assert_int_equal(policy.period_s, 86400);
    assert_int_equal(policy.compressions.all[0], QR_COMPRESSION_GZIP);
    assert_int_equal(policy.compressions.all[1], QR_COMPRESSION_LZ4);
    assert_int_equal(policy.compressions.all[2], QR_COMPRESSION_ZSTD);
}

static void reads_the_policy_of_a_key_in_the_log(void **state)
{
    (void)state;
    static const char *const bad[] = {"type = api",        "enabled = yes",
                                      "destination = a",   "proxy api key = b",
                                      "db = ram",          "nobody knows = this",
                                      "update every = 2d", "allow from =",
                                      "allow from",        "= 3"};
    static const char *const of_the_file[] = {"proxy enabled = yes", "proxy destination = a",
                                              "default proxy api key = " KEY,
                                              "proxy send charts matching = *"};
    struct qr_stream_section section;
    char sentence[512];
    assert_int_equal(qr_stream_section_parse(&section, qr_slice_str(""), sentence, sizeof sentence),
                     0);
    assert_true(section.has_enabled && section.enabled);
    assert_null(section.allow_from);
    qr_stream_section_release(&section);
    static const char policy[] = "allow from = 10.* !*\n\n  update every=5 \n"
                                 "seconds to replicate = 2h\ncompression algorithms order = lz4\n";
    assert_int_equal(
        qr_stream_section_parse(&section, qr_slice_str(policy), sentence, sizeof sentence), 0);
    assert_string_equal(section.allow_from, "10.* !*");
    assert_int_equal(section.update_every, 5);
    assert_int_equal(section.period_s, 7200);
    assert_true(section.has_order);
    qr_stream_section_release(&section);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text_of[128];
        snprintf(text_of, sizeof text_of, "allow from = *\n%s\n", bad[i]);
        sentence[0] = '\0';
        assert_int_equal(
            qr_stream_section_parse(&section, qr_slice_str(text_of), sentence, sizeof sentence),
            QR_E_CONFIG);
        assert_true(strlen(sentence) > 10);
    }
    for (size_t i = 0; i < sizeof of_the_file / sizeof *of_the_file; i++) {
        assert_int_equal(qr_stream_section_parse(&section, qr_slice_str(of_the_file[i]), sentence,
                                                 sizeof sentence),
                         QR_E_CONFIG);
        assert_non_null(strstr(sentence, "write it into stream.conf"));
    }
}

static void durations_are_netdatas(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t seconds; /* 0: refused. */
    } cases[] = {{"600", 600},      {"10m", 600},     {"1h30m", 5400},  {"1d 12h", 129600},
                 {"2w", 1209600},   {"1mo", 2592000}, {"1y", 31536000}, {"", 0},
                 {"-5", 0},         {"+5", 0},        {"5 x", 0},       {"1d2", 86402},
                 {"4294967296", 0}, {"99999y", 0},    {"m", 0},         {"5mm", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_stream_section section;
        char line[64], sentence[256];
        snprintf(line, sizeof line, "replication step = %s", cases[i].text);
        int err = qr_stream_section_parse(&section, qr_slice_str(line), sentence, sizeof sentence);
        if (err != (cases[i].seconds != 0 ? 0 : QR_E_CONFIG))
            fail_msg("%s", line);
        if (err == 0)
            assert_int_equal(section.step_s, cases[i].seconds);
        if (err == 0)
            qr_stream_section_release(&section);
    }
}

static void refuses_a_file_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[] = {"[" KEY "]\nupdate every = 2d\n",
                                      "[" KEY "]\ndefault memory mode = none\n",
                                      "[" KEY "]\ndb = tape\n",
                                      "[" KEY "]\ndefault proxy enabled = yes\n",
                                      "[" KEY "]\nis ephemeral node = perhaps\n",
                                      "[" KEY "]\nproxy destination = unix:/a\n",
                                      "[" KEY "]\nenabled = yes\n[stream]\nenabled = yes\n",
                                      "[stream]\nenabled = yes\ndestination = a\n",
                                      "[stream]\nenabled = yes\napi key = " KEY "\n",
                                      "[stream]\napi key = secret\n",
                                      "[stream]\nbuffer size = 10 apples\n",
                                      "[stream]\ndefault port = 65536\n",
                                      "[stream]\nparent using h2o = yes\n",
                                      "[" KEY "]\nenabled = perhaps\n",
                                      "[" KEY "]\nreplication period = soon\n",
                                      "[" KEY "]\ncompression algorithms order = lz4 bzip2\n",
                                      "[" KEY "]\ntype = person\n"};
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
        assert_non_null(strstr(sentence, strstr(bad[i], "[stream]") != NULL ? "[stream]" : KEY));
    }
    unlink(other);
}

static char said[4096];

static void on_log(enum qr_log_level level, const char *line, size_t n)
{
    size_t len = strlen(said);
    (void)level;
    snprintf(said + len, sizeof said - len, "%.*s", (int)n, line);
}

static unsigned times_said(const char *what)
{
    unsigned n = 0;
    for (const char *at = said; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

/* Netdata's own sample, with everything in it, and a word that nobody knows: all of it is taken,
 * and the log says once of each what has no effect. */
static void takes_every_option_that_netdata_has(void **state)
{
    (void)state;
    static const char whole[] =
        "stray = yes\n[stream]\n enabled = no\n destination = tcp:parent1:19999 parent2\n"
        " timeout seconds = 60\n buffer size bytes = 10485760\n CAfile = /etc/ca.pem\n"
        "[" KEY "]\n enabled = yes\n allow from = *\n default history = 3600\n"
        " default memory mode = dbengine\n health enabled by default = auto\n"
        " default postpone alarms on connect seconds = 60\n default proxy enabled = no\n"
        " default proxy destination = a b\n replication_step = 600\n update every = 2\n"
        " is ephemeral node = no\n nobody knows = this\n"
        "[" NET "]\n default history = 5\n health enabled = no\n";
    char other[] = "/tmp/quorate-stream-XXXXXX", sentence[512];
    struct qr_stream_conf c;
    struct qr_stream_policy policy;
    const char *reason;
    int fd = mkstemp(other);
    assert_true(fd >= 0 && write(fd, whole, sizeof whole - 1) == (ssize_t)sizeof whole - 1);
    close(fd);
    said[0] = '\0';
    qr_log_to(on_log);
    int err = qr_stream_conf_read(&c, other, sentence, sizeof sentence);
    qr_log_to(NULL);
    if (err != 0)
        fail_msg("%s", sentence);
    assert_int_equal(times_said("option=\"default history\""), 1);
    assert_int_equal(times_said("no alarms"), 2);
    assert_int_equal(times_said("option=\"nobody knows\""), 1);
    assert_int_equal(times_said("\n"), 5); /* And `stray`. */
    assert_int_equal(qr_stream_conf_check(&c, NULL, qr_slice_str(KEY), qr_slice_str(BOX),
                                          "10.0.0.1", &policy, &reason),
                     0);
    assert_int_equal(policy.update_every, 2);
    assert_int_equal(policy.step_s, 600);
    qr_stream_conf_release(&c);
    unlink(other);
}

/* Sections beyond any first guess, as a fleet with one a machine has. */
static void takes_a_section_for_each_machine(void **state)
{
    (void)state;
    char other[] = "/tmp/quorate-stream-XXXXXX", sentence[512];
    struct qr_stream_conf c;
    int fd = mkstemp(other);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    for (unsigned i = 0; i < 3000; i++)
        fprintf(file, "[%08x-2222-3333-4444-555555555555]\n type = machine\n allow from = 10.*\n",
                i);
    fclose(file);
    if (qr_stream_conf_read(&c, other, sentence, sizeof sentence) != 0)
        fail_msg("%s", sentence);
    assert_int_equal(c.n, 3000);
    qr_stream_conf_release(&c);
    unlink(other);
}

static int read_text(struct qr_stream_conf *c, const char *content)
{
    char other[] = "/tmp/quorate-stream-XXXXXX", sentence[512];
    int fd = mkstemp(other);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fputs(content, file);
    fclose(file);
    int err = qr_stream_conf_read(c, other, sentence, sizeof sentence);
    unlink(other);
    if (err != 0)
        print_message("%s\n", sentence);
    return err;
}

static bool target_of(const struct qr_stream_conf *c, const char *key, const char *guid,
                      struct qr_stream_target *target)
{
    return qr_stream_conf_target(c, qr_slice_str(key), qr_slice_str(guid), target);
}

static void says_where_a_host_is_streamed_on(void **state)
{
    (void)state;
    struct qr_stream_conf c;
    struct qr_stream_target target;
    assert_int_equal(
        read_text(&c, "[stream]\n enabled = yes\n destination = a b\n api key = " KEY "\n"
                      " timeout seconds = 60\n buffer size = 2MiB\n reconnect delay = 7\n"
                      " default port = 1\n enable compression = no\n zstd compression level = 9\n"
                      " ssl skip certificate verification = yes\n CApath = /p\n CAfile = /f\n"
                      "[" NET "]\n enabled = yes\n proxy enabled = no\n"
                      "[" BOX "]\n type = machine\n proxy enabled = yes\n"
                      " proxy destination = c:5:SSL\n proxy send charts matching = !x* *\n"),
        0);
    assert_true(target_of(&c, "", "any", &target));
    assert_string_equal(target.destination, "a b");
    assert_string_equal(target.api_key, KEY);
    assert_string_equal(target.charts, "*");
    assert_false(target_of(&c, NET, "any", &target));
    assert_true(target_of(&c, NET, BOX, &target)); /* The machine goes before its key. */
    assert_string_equal(target.destination, "c:5:SSL");
    assert_string_equal(target.charts, "!x* *");
    assert_int_equal(c.sender.timeout_s, 60);
    assert_int_equal(c.sender.buffer_bytes, 2u << 20);
    assert_int_equal(c.sender.reconnect_delay_s, 7);
    assert_int_equal(c.sender.default_port, 1);
    assert_int_equal(c.sender.levels.zstd, 9);
    assert_true(c.sender.skip_verification && !c.sender.compression);
    assert_string_equal(c.sender.ca_path, "/p");
    assert_string_equal(c.sender.ca_file, "/f");
    assert_true(qr_stream_conf_forwards(&c));
    qr_stream_conf_release(&c);
    assert_int_equal(
        read_text(&c, "[stream]\n enabled = no\n destination = a\n api key = " KEY "\n"), 0);
    assert_false(target_of(&c, KEY, "any", &target));
    assert_false(qr_stream_conf_forwards(&c));
    qr_stream_conf_release(&c);
}

/* docs/stream-conf.md has a row for each option, with all its names. */
static void the_guide_lists_every_option(void **state)
{
    (void)state;
    static char guide[65536];
    FILE *file = fopen("docs/stream-conf.md", "r");
    assert_non_null(file);
    guide[fread(guide, 1, sizeof guide - 1, file)] = '\0';
    fclose(file);
    const char *from = guide;
    for (size_t i = 0; qr_stream_conf_names(i) != NULL; i++) {
        const char *const *names = qr_stream_conf_names(i);
        char row[128];
        snprintf(row, sizeof row, "\n| `%s` |", names[0]);
        const char *found = strstr(from, row);
        if (found == NULL)
            fail_msg("docs/stream-conf.md has no row for %s where it belongs", names[0]);
        from = found + 1; /* They come in the table's order, each section by itself. */
        for (size_t k = 1; names[k] != NULL; k++) {
            const char *name = strstr(found, names[k]);
            if (name == NULL || name > strchr(found + 1, '\n'))
                fail_msg("docs/stream-conf.md does not say that %s was %s", names[0], names[k]);
        }
    }
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
        cmocka_unit_test(reads_the_policy_of_a_key_in_the_log),
        cmocka_unit_test(durations_are_netdatas),
        cmocka_unit_test(refuses_a_file_with_a_sentence),
        cmocka_unit_test(takes_every_option_that_netdata_has),
        cmocka_unit_test(takes_a_section_for_each_machine),
        cmocka_unit_test(says_where_a_host_is_streamed_on),
        cmocka_unit_test(the_guide_lists_every_option),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
