#include "node/ctl/status.h"

#include "testing/cmocka.h"

static struct qr_buf out, err;

static int render(const char *json)
{
    qr_buf_release(&out);
    qr_buf_release(&err);
    int level = qr_ctl_status_render(qr_slice_str(json), &out, &err);
    qr_buf_add_u8(&out, 0);
    qr_buf_add_u8(&err, 0);
    return level;
}

static const char full[] =
    "{\"cluster\":{\"name\":\"local\",\"id\":\"11111111-2222-3333-4444-555555555555\"},"
    "\"time\":1700000010,\"uptime_s\":5,\"verdict\":{\"level\":1,\"sentence\":\"DEGRADED because "
    "x; do: y\"},\"leader\":2,\"term\":7,\"applied\":120,\"commit\":121,"
    "\"hash\":\"00000000000000ff\",\"members\":["
    "{\"id\":1,\"name\":\"one\",\"address\":\"127.0.0.1:20099\",\"role\":\"follower\","
    "\"state\":\"self\",\"applied\":120,\"commit\":121,\"last_contact_ms\":0,"
    "\"hash\":\"00000000000000ff\"},"
    "{\"id\":2,\"name\":\"two\",\"address\":\"127.0.0.1:20100\",\"role\":\"leader\","
    "\"state\":\"down\",\"applied\":9,\"last_contact_ms\":12345,\"commit\":null,\"hash\":\"1\"}],"
    "\"children\":[{\"guid\":\"g\",\"hostname\":\"web\",\"owner\":1,\"epoch\":3,"
    "\"connected\":true,\"charts\":250,\"watermark\":1700000008,\"replication_factor\":2,"
    "\"samples\":1000,\"gaps\":0}],\"unknown\":{}}";

static void shows_verdict_members_and_children(void **state)
{
    (void)state;
    assert_int_equal(render(full), 1);
    const char *expected =
        "DEGRADED because x; do: y\n\n"
        "cluster  id                                    leader  term  applied  commit  state hash  "
        "      seen at\n"
        "local    11111111-2222-3333-4444-555555555555  2          7      120     121  "
        "00000000000000ff  2023-11-14T22:13:30Z\n\n"
        "member  name  address          role      state  applied  commit   heard  state hash\n"
        "     1  one   127.0.0.1:20099  follower  self       120     121    0 ms  "
        "00000000000000ff\n"
        "     2  two   127.0.0.1:20100  leader    down         9       -  12.3 s  1\n\n"
        "child  guid  owner  epoch  connected  charts  behind  RF  samples  gaps\n"
        "web    g         1      3  yes           250     2 s   2     1000     0\n";
    assert_string_equal(out.base, expected);
}

static void names_wrong_clocks(void **state)
{
    (void)state;
    assert_int_equal(
        render("{\"verdict\":{\"level\":1,\"sentence\":\"x\"},\"members\":[{\"id\":1,"
               "\"clock_ahead_s\":0},{\"id\":2,\"clock_ahead_s\":-3600}],\"children\":["
               "{\"hostname\":\"a\",\"clock_ahead_s\":3600,\"rows_ahead\":7},"
               "{\"hostname\":\"b\",\"clock_ahead_s\":-90,\"rows_ahead\":0},"
               "{\"hostname\":\"c\",\"clock_ahead_s\":60,\"rows_ahead\":0},"
               "{\"hostname\":\"d\",\"clock_ahead_s\":0,\"rows_ahead\":3}]}"),
        1);
    assert_non_null(strstr(out.base, "member 2: its clock is 3600 s behind what most members say"));
    assert_null(strstr(out.base, "member 1: its clock"));
    assert_non_null(strstr(out.base, "a: its clock is 3600 s ahead, its rows are refused\n"
                                     "b: its clock is 90 s behind\nc: its clock is 60 s ahead\n"));
    assert_null(strstr(out.base, "d: its clock"));
}

static void shows_how_far_a_replay_is(void **state)
{
    assert_int_equal(
        render("{\"verdict\":{\"level\":0,\"sentence\":\"x\"},\"members\":[],\"children\":["
               "{\"hostname\":\"a\",\"replay\":{\"left_s\":9,\"permille\":755,\"eta_s\":4}},"
               "{\"hostname\":\"b\",\"replay\":{\"left_s\":9,\"permille\":0,\"eta_s\":null}},"
               "{\"hostname\":\"c\",\"replay\":null}]}"),
        0);
    assert_non_null(strstr(out.base, "a: replays its past, 75.5 %, about 4 s\n"
                                     "b: replays its past, 0.0 %\n"));
    assert_null(strstr(out.base, "c: replays"));
}

static void is_tolerant(void **state)
{
    (void)state;
    assert_int_equal(render("{\"verdict\":{\"level\":0,\"sentence\":\"HEALTHY\"}}"), 0);
    assert_non_null(strstr(out.base, "no children yet"));
    assert_int_equal(render("{\"verdict\":{\"level\":0},\"members\":[1,null,{}],\"children\":[[],"
                            "{\"hostname\":5,\"watermark\":\"x\"}],\"cluster\":7,\"time\":{}}"),
                     0);
    assert_int_equal(render("{\"verdict\":{\"level\":9}}"), 2);
    assert_int_equal(render("{}"), -1);
    assert_int_equal(render("[]"), -1);
    assert_int_equal(render("<html>"), -1);
    assert_non_null(strstr(err.base, "not JSON"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_verdict_members_and_children),
        cmocka_unit_test(names_wrong_clocks),
        cmocka_unit_test(shows_how_far_a_replay_is),
        cmocka_unit_test(is_tolerant),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qr_buf_release(&out);
    qr_buf_release(&err);
    return failed;
}
