#include "node/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"

static const char good[] = "[member]\nid = 2\nname = b\ndata = data\nlisten = 127.0.0.1:20000\n"
                           "[cluster]\nid = 6b0c9a1e-7a55-4c62-9d11-0f7d5d0a7f01\n"
                           "member 1 = 127.0.0.1:20099\nmember 2 = [::1]:20100\n"
                           "heartbeat ms = 40\n[log]\nlevel = debug\n";

static char path[] = "/tmp/quorate-config-XXXXXX";
static char sentence[1024];

static int read_text(struct qr_config *config, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return qr_config_read(config, path, sentence, sizeof sentence);
}

static void reads_options_and_fills_in_defaults(void **state)
{
    (void)state;
    struct qr_config c;
    assert_int_equal(read_text(&c, good), 0);
    assert_int_equal(c.member_id, 2);
    assert_string_equal(c.member_name, "b");
    assert_string_equal(c.listen, "127.0.0.1:20000");
    assert_int_equal(c.n_members, 2);
    assert_int_equal(c.members[1].id, 2);
    assert_string_equal(c.members[1].address, "[::1]:20100");
    assert_int_equal(c.heartbeat_ms, 40);
    assert_int_equal(c.election_timeout_ms, 500);
    assert_int_equal(c.window_s, 600);
    assert_string_equal(c.data, "/tmp/data"); /* relative to the file's folder */
}

static void a_list_without_this_member_is_of_those_to_join(void **state)
{
    (void)state;
    struct qr_config c;
    char text[2048];
    snprintf(text, sizeof text, "%s[member]\nid = 7\n", good);
    assert_int_equal(read_text(&c, text), 0);
    assert_int_equal(c.member_id, 7);
    assert_int_equal(c.n_members, 2);
    snprintf(text, sizeof text, "[member]\nid = 7\n[cluster]\nid = %s\n",
             "00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_int_equal(read_text(&c, text), QR_E_CONFIG);
    assert_non_null(strstr(sentence, "member ID = host:port"));
}

static void refuses_with_a_sentence_that_names_the_thing(void **state)
{
    (void)state;
    static const struct {
        const char *add;
        const char *named;
    } cases[] = {
        {"[member]\nid = 0\n", "[member] id"},
        {"[member]\ncolour = red\n", "colour"},
        {"[cluster]\nelection timeout ms = fast\n", "election timeout ms"},
        {"[cluster]\nheartbeat ms = 900\n", "a third"},
        {"[cluster]\nmember 2 = 127.0.0.1:1\n", "twice"},
        {"[cluster]\nmember 3 = nowhere\n", "host:port"},
        {"[web]\nkey = x\n", "certificate"},
        {"[web]\nclient ca = x\n", "needs a certificate"},
        {"[web]\nbind to = *:1=cooking\n", "a role is none of"},
        {"[web]\nbind to = *:1=streaming^SSL=force\n", "needs a certificate"},
        {"[web]\ntls version = 1.1\n", "TLS 1.2 and 1.3"},
        {"[web]\nallow streaming by dns = perhaps\n", "heuristic"},
        {"[web]\nallow badges from = *\n", "allow badges from"}, /* there are none */
        {"[cluster]\nid = x\n", "UUID"},
        {"[log]\nlevel = loud\n", "loud"},
        {"what is this\n", "line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_config c = {.member_id = 77};
        char text[2048];
        snprintf(text, sizeof text, "%s%s", good, cases[i].add);
        assert_int_equal(read_text(&c, text), QR_E_CONFIG);
        if (strstr(sentence, cases[i].named) == NULL)
            fail_msg("\"%s\" does not name %s", sentence, cases[i].named);
        assert_int_equal(c.member_id, 77); /* untouched */
    }
    struct qr_config c;
    assert_int_equal(qr_config_read(&c, "/nowhere/q.conf", sentence, sizeof sentence), QR_E_CONFIG);
    assert_non_null(strstr(sentence, "/nowhere/q.conf"));
}

static void without_a_cluster_it_is_one_of_its_own(void **state)
{
    (void)state;
    struct qr_config c;
    assert_int_equal(read_text(&c, "# nothing\n"), 0);
    assert_true(c.alone);
    assert_int_equal(c.member_id, 1);
    assert_int_equal(c.n_members, 1);
    assert_true(c.member_name[0] != '\0');
    /* Half of a cluster is a mistake. */
    assert_int_equal(read_text(&c, "[member]\nid = 2\n"), QR_E_CONFIG);
    assert_int_equal(read_text(&c, "[cluster]\nmember 1 = a:1\n"), QR_E_CONFIG);
    assert_int_equal(read_text(&c, good), 0);
    assert_false(c.alone);
}

static void a_reload_takes_who_may_come_and_no_more(void **state)
{
    (void)state;
    struct qr_config c, next;
    char text[2048], option[64];
    snprintf(text, sizeof text,
             "%s[web]\nallow streaming from = 10.*\ntls version = 1.2\n[stream]\nfile = /s\n",
             good);
    assert_int_equal(read_text(&c, good), 0);
    assert_int_equal(read_text(&next, text), 0);
    assert_null(qr_config_reload(&c, &next, option, sizeof option));
    assert_string_equal(c.access.lists[QR_ACCESS_STREAMING].from, "10.*");
    assert_string_equal(c.tls_version, "1.2");
    assert_string_equal(c.stream_file, "/s");
    snprintf(text, sizeof text, "%s[web]\ntick ms = 77\n", good);
    assert_int_equal(read_text(&next, text), 0);
    assert_string_equal(qr_config_reload(&c, &next, option, sizeof option), "[web] tick ms");
    assert_int_equal(c.tick_ms, 250);
    assert_string_equal(c.tls_version, "1.3");
}

static void prints_a_sample_that_is_read_back(void **state)
{
    (void)state;
    struct qr_config c;
    struct qr_buf text = {0};
    qr_buf_add_str(&text, good);
    assert_int_equal(qr_config_print(&text), 0);
    qr_buf_add_str(&text, "\n[member]\nid = 2\n[cluster]\nheartbeat ms = 50\n");
    qr_buf_add_u8(&text, 0);
    assert_int_equal(read_text(&c, text.base), 0);
    qr_buf_release(&text);
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_options_and_fills_in_defaults),
        cmocka_unit_test(a_list_without_this_member_is_of_those_to_join),
        cmocka_unit_test(refuses_with_a_sentence_that_names_the_thing),
        cmocka_unit_test(without_a_cluster_it_is_one_of_its_own),
        cmocka_unit_test(a_reload_takes_who_may_come_and_no_more),
        cmocka_unit_test(prints_a_sample_that_is_read_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
