#include "testing/steering.h"

#include <stdio.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

#define HOST "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define OWN  "6035821f-75be-49a6-8d4b-997a06c93736"

static struct qr_rng rng;
static struct qr_guid own;

static struct qr_steering_rules rules(void)
{
    assert_int_equal(qr_guid_parse(&own, qr_slice_str(OWN)), 0);
    return (struct qr_steering_rules){&rng, 1, &own};
}

static enum qr_steering_outcome take(struct qr_steering *steering, const char *header,
                                     const char *body, uint64_t *ms)
{
    char text[1024];
    const struct qr_steering_rules r = rules();
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%s: %zu\r\n\r\n%s", header, strlen(body), body);
    return qr_steering_take(steering, &r, qr_slice_str(text), ms);
}

#define UNKNOWN                                                                                    \
    "{\"version\":1,\"status\":404,\"host_id\":\"" HOST                                            \
    "\",\"nodes\":1,\"receivers\":0,\"nonce\":123456789}"
#define KNOWN(host, type, status)                                                                  \
    "{\"version\":1,\"status\":200,\"host_id\":\"" host "\",\"nodes\":2,\"receivers\":0,"          \
    "\"nonce\":123456789,\"db_status\":\"online\",\"db_liveness\":\"stale\",\"ingest_type\":"      \
    "\"" type "\",\"ingest_status\":\"" status "\",\"first_time_s\":1795405899,"                   \
    "\"last_time_s\":1795405967}"

static void decides_by_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *header, *body;
        enum qr_steering_outcome outcome;
        int64_t last_time_s;
    } rows[] = {
        {"Content-Length", UNKNOWN, QR_STEERING_STAYS, 0},
        {"Content-Length", KNOWN(HOST, "archived", "offline"), QR_STEERING_STAYS, 1795405967},
        {"Content-Length", KNOWN(HOST, "child", "online"), QR_STEERING_STAYS, 1795405967},
        {"Content-Length", KNOWN(OWN, "child", "online"), QR_STEERING_BANNED, 1795405967},
        {"Content-Length", KNOWN(HOST, "localhost", "online"), QR_STEERING_BANNED, 1795405967},
        {"Content-Length", KNOWN(HOST, "virtual", "online"), QR_STEERING_BANNED, 1795405967},
        {"Content-Length", KNOWN(HOST, "child", "initializing"), QR_STEERING_POSTPONED, 1795405967},
        /* Not understood: what it said before counts. */
        {"content-length", UNKNOWN, QR_STEERING_STAYS, 77},
        {"Content-Length", "I don't understand you...", QR_STEERING_STAYS, 77},
        {"Content-Length", "{\"version\":1,\"status\":200}", QR_STEERING_STAYS, 77},
        {"Content-Length", "{\"version\":1,\"status\":404}", QR_STEERING_STAYS, 77},
    };
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        struct qr_steering steering = {.last_time_s = 77};
        uint64_t ms = 0;
        enum qr_steering_outcome outcome = take(&steering, rows[i].header, rows[i].body, &ms);
        if (outcome != rows[i].outcome || steering.last_time_s != rows[i].last_time_s)
            fail_msg("row %zu: %d, %lld", i, outcome, (long long)steering.last_time_s);
        assert_int_equal(steering.asked, outcome == QR_STEERING_STAYS);
        assert_int_equal(steering.banned, outcome == QR_STEERING_BANNED);
        if (outcome == QR_STEERING_POSTPONED)
            assert_in_range(ms, 30000, 60000);
        else
            assert_int_equal(ms, 0);
    }
}

/* The first read with a byte of the body is all that a child sees. */
static void half_an_answer_is_not_understood(void **state)
{
    (void)state;
    struct qr_steering steering = {.last_time_s = 77};
    const struct qr_steering_rules r = rules();
    uint64_t ms;
    const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 117\r\n\r\n{\"version\":1,";
    assert_int_equal(qr_steering_take(&steering, &r, qr_slice_str(text), &ms), QR_STEERING_STAYS);
    assert_int_equal(steering.last_time_s, 77);
    assert_int_equal(qr_steering_take(&steering, &r, qr_slice_of("", 0), &ms), QR_STEERING_STAYS);
}

static void the_newest_come_first_and_equals_in_any_order(void **state)
{
    (void)state;
    const struct qr_steering all[] = {
        {.asked = true, .last_time_s = 1000},  {.asked = true, .last_time_s = 1600},
        {.asked = true, .last_time_s = 1480},  {.asked = true, .last_time_s = 1479},
        {.asked = false, .last_time_s = 9000}, {.asked = true, .banned = true, .last_time_s = 9000},
    };
    const struct qr_steering_rules r = rules();
    uint32_t order[6];
    bool seen[2] = {false, false};
    for (int i = 0; i < 64; i++) {
        assert_int_equal(qr_steering_order(all, 6, &r, order), 4);
        assert_true((order[0] == 1 && order[1] == 2) || (order[0] == 2 && order[1] == 1));
        seen[order[0] - 1] = true;
        assert_int_equal(order[2], 3); /* 121 s behind the head. */
        assert_int_equal(order[3], 0);
    }
    assert_true(seen[0] && seen[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_by_the_table),
        cmocka_unit_test(half_an_answer_is_not_understood),
        cmocka_unit_test(the_newest_come_first_and_equals_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
