#include "node/nearer.h"

#include <string.h>
#include <unistd.h>

#include "node/tests/upstream_fixture.h"

#define OURS   "0a000000-0000-4000-8000-000000000001"
#define THEIRS "0b000000-0000-4000-8000-000000000002"
#define KNOWN  "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define MEMBER "bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define NEW    "cccccccc-bbbb-4ccc-8ddd-eeeeeeeeeeee"

enum { TAKEN, LOOP, ALREADY };

/* The known host streams itself, or did; what comes then? */
static void the_nearest_stream_counts(void **state)
{
    (void)state;
    static const struct {
        const char *guid;
        uint32_t hops;
        const char *path;
        bool connected;
        uint64_t quiet_ms;
        int expected;
    } cases[] = {
        {NEW, 3, "", true, 0, TAKEN},
        {KNOWN, 1, "", true, 0, TAKEN}, /* the newest of two as near */
        {KNOWN, 2, THEIRS, true, 0, ALREADY},
        {KNOWN, 2, "", true, 31999, ALREADY},
        {KNOWN, 2, THEIRS, true, 32000, TAKEN}, /* the nearer one is dead */
        {KNOWN, 2, THEIRS, false, 0, TAKEN},    /* it has moved to the other cluster */
        {KNOWN, 3, THEIRS, false, 0, TAKEN},
        {KNOWN, 2, "", false, 0, TAKEN},
        {KNOWN, 3, "", false, 0, ALREADY}, /* our own copy, through a stock parent? */
        {KNOWN, 3, "", false, 32000, TAKEN},
        {KNOWN, 2, OURS, false, 90000, LOOP},
        {KNOWN, 1, THEIRS "," OURS, false, 90000, LOOP},
        {NEW, 2, OURS "," THEIRS, true, 0, LOOP},
        {NEW, 2, "not an id," THEIRS ",", true, 0, TAKEN},
        {NEW, 17, "", true, 0, LOOP},
        {MEMBER, 1, THEIRS, true, 0, LOOP},
    };
    struct qr_guid ours;
    assert_int_equal(qr_guid_parse(&ours, qr_slice_str(OURS)), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_handshake handshake = {.hops = cases[i].hops};
        const char *reply = NULL;
        qr_guid_parse(&handshake.machine_guid, qr_slice_str(cases[i].guid));
        handshake.sysinfo[QR_SYSINFO_QUORATE_PATH] = qr_slice_str(cases[i].path);
        struct qr_nearer_known known = {.hops = 1,
                                        .update_every = 1,
                                        .own = strcmp(cases[i].guid, MEMBER) == 0,
                                        .connected = cases[i].connected,
                                        .quiet_ms = cases[i].quiet_ms};
        bool is_new = strcmp(cases[i].guid, NEW) == 0;
        const char *reason = qr_nearer_refusal(is_new ? NULL : &known, &ours, &handshake, &reply);
        int got = reason == NULL                               ? TAKEN
                  : strcmp(reply, QR_HANDSHAKE_LOCALHOST) == 0 ? LOOP
                                                               : ALREADY;
        if (got != cases[i].expected)
            fail_msg("case %zu: %s", i, reason != NULL ? reason : "taken");
    }
}

/* The store hears at once that a child has left, and the picture that its member is dead. */
static void the_store_and_the_picture_say_what_is_known(void **state)
{
    (void)state;
    struct fixture fixture;
    struct qr_nearer_known known;
    const struct qr_guid other = {{9}};
    fixture_open(&fixture);
    struct qr_status_child child = {
        .host = fixture.host, .connected = true, .quiet_ms = 5000, .own = true};
    const struct qr_status status = {.n_children = 1, .children = &child};
    assert_false(qr_nearer_look(fixture.store, &status, &other, &known));
    qr_store_apply_connected(fixture.store, fixture.host, true, 1);
    assert_true(qr_nearer_look(fixture.store, NULL, &fixture_guid, &known));
    assert_true(known.connected && !known.own);
    assert_int_equal(known.hops, 1);
    assert_true(qr_nearer_look(fixture.store, &status, &fixture_guid, &known));
    assert_true(known.connected && known.own);
    assert_int_equal(known.quiet_ms, 5000);
    child.connected = false;
    assert_true(qr_nearer_look(fixture.store, &status, &fixture_guid, &known));
    assert_false(known.connected);
    child.connected = true;
    qr_store_apply_connected(fixture.store, fixture.host, false, 2);
    assert_true(qr_nearer_look(fixture.store, &status, &fixture_guid, &known));
    assert_false(known.connected);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_stream_counts),
        cmocka_unit_test(the_store_and_the_picture_say_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
