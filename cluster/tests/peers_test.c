#include "cluster/peers.h"

#include <stdlib.h>

#include "base/error.h"
#include "cluster/tests/memory_sink.h"
#include "testing/cmocka.h"

static struct memory_sink sink;
static struct qr_machine *machine;
static struct qr_peers peers;

static void apply(uint64_t number)
{
    struct qr_buf entry = {0};
    const struct qr_command command = {.type = QR_COMMAND_SAMPLES,
                                       .member = 1,
                                       .incarnation = 1,
                                       .sequence = number,
                                       .body = qr_slice_of(&number, 8)};
    qr_command_encode(&entry, &command);
    qr_machine_apply(machine, 10 * number, qr_buf_slice(&entry));
    qr_buf_release(&entry);
}

static int start(void **state)
{
    (void)state;
    const struct qr_sink s = memory_sink_of(&sink);
    const struct qr_machine_events events = {0};
    machine = calloc(1, sizeof *machine);
    memset(&peers, 0, sizeof peers);
    return qr_machine_init(machine, &s, &events);
}

static int stop(void **state)
{
    (void)state;
    qr_machine_release(machine);
    free(machine);
    return 0;
}

static void frames_come_back(void **state)
{
    (void)state;
    const struct qr_peer_state in = {1,     2,    3,   4,   5,   QR_GROUP_LEADER, true, false, true,
                                     false, true, 700, 888, 999, 1700000000};
    struct qr_peer_state out = {0};
    struct qr_buf bytes = {0};
    qr_peer_state_encode(&bytes, &in);
    assert_int_equal(bytes.len, 60);
    assert_int_equal(qr_peer_state_decode(&out, qr_buf_slice(&bytes)), 0);
    assert_int_equal(out.applied, 1);
    assert_int_equal(out.index, 2);
    assert_int_equal(out.hash, 3);
    assert_int_equal(out.term, 4);
    assert_int_equal(out.commit, 5);
    assert_int_equal(out.role, QR_GROUP_LEADER);
    assert_true(out.ready);
    assert_false(out.disk_low);
    assert_true(out.empty);
    assert_false(out.taking);
    assert_true(out.draining);
    assert_int_equal(out.permille, 700);
    assert_int_equal(out.disk, 888);
    assert_int_equal(out.seeds, 999);
    assert_int_equal(out.clock_s, 1700000000);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(qr_peer_state_decode(&out, qr_slice_of(bytes.base, len)), QR_E_MALFORMED);
    bytes.base[40] = 77; /* no such role */
    assert_int_equal(qr_peer_state_decode(&out, qr_buf_slice(&bytes)), QR_E_MALFORMED);
    qr_buf_release(&bytes);
}

static struct qr_peer_state told(uint64_t index, uint64_t hash)
{
    return (struct qr_peer_state){.index = index, .hash = hash};
}

static void hear(struct qr_peer *peer, int64_t clock_s, uint64_t now_ms)
{
    peer->state.clock_s = clock_s;
    qr_peers_hear_clock(peer, now_ms);
    peer->told = true;
}

static void clocks_grow_older_and_are_forgotten(void **state)
{
    (void)state;
    struct qr_peers some = {0};
    int64_t clocks_s[2 * QR_MEMBERS_MAX];
    assert_int_equal(qr_peers_clocks(&some, 100000, clocks_s), 0);
    hear(qr_peers_get(&some, 2), 10, 100002);
    hear(qr_peers_get(&some, 3), INT64_MAX, 100003);
    qr_peers_get(&some, 4); /* Has said nothing yet. */
    assert_int_equal(qr_peers_clocks(&some, 102500, clocks_s), 2);
    assert_int_equal(clocks_s[0], 12);
    assert_true(clocks_s[1] > INT64_C(1) << 39); /* Nonsense stays nonsense. */
    assert_int_equal(qr_peers_clocks(&some, 100002 + QR_PEERS_CLOCK_MS, clocks_s), 2);
    assert_int_equal(clocks_s[0], 15);
    assert_int_equal(qr_peers_clocks(&some, 100003 + QR_PEERS_CLOCK_MS, clocks_s), 1);
    hear(qr_peers_get(&some, 3), INT64_MIN, 100004);
}

/* What is said late looks early: the truest is what counts, for a while. */
static void what_was_said_late_moves_nothing(void **state)
{
    (void)state;
    struct qr_peer peer = {0};
    for (uint64_t ms = 0; ms < 8000; ms += 250)
        hear(&peer, 1000 + (int64_t)ms / 1000, 50000 + ms);
    assert_int_equal(qr_peers_clock(&peer, 58000), 1008);
    /* It, or we, did nothing for 24 s; what it had said before is read now. */
    hear(&peer, 1008, 82000);
    assert_int_equal(qr_peers_clock(&peer, 82000), 1032);
    hear(&peer, 1032, 82010);
    assert_int_equal(qr_peers_clock(&peer, 82010), 1032);
    /* Set back, it is so after some seconds; set ahead, at once. */
    hear(&peer, 500, 82020);
    assert_int_equal(qr_peers_clock(&peer, 82020), 1032);
    for (uint64_t ms = 0; ms <= 2 * QR_PEERS_OFFSET_MS; ms += 250)
        hear(&peer, 500 + (int64_t)ms / 1000, 92100 + ms);
    assert_int_equal(qr_peers_clock(&peer, 102100), 510);
    hear(&peer, 4110, 102200);
    assert_int_equal(qr_peers_clock(&peer, 102200), 4110);
}

static void peers_behind_and_ahead_are_compared_at_their_index(void **state)
{
    (void)state;
    uint64_t hash_1, hash_2;
    apply(1);
    hash_1 = machine->hash;
    apply(2);
    hash_2 = machine->hash;
    struct qr_peer *peer = qr_peers_get(&peers, 2);

    struct qr_peer_state state_1 = told(10, hash_1), state_2 = told(20, hash_2);
    assert_true(qr_peers_told(peer, &state_1, machine));
    assert_true(qr_peers_told(peer, &state_2, machine));
    struct qr_peer_state wrong = told(10, hash_2);
    assert_false(qr_peers_told(peer, &wrong, machine));
    assert_true(peer->diverged);
    assert_true(qr_peers_told(peer, &wrong, machine)); /* said once */
    assert_true(qr_peers_told(peer, &state_2, machine));
    assert_false(peer->diverged);

    /* Ahead: waits until we are there. */
    struct qr_peer_state ahead = told(30, 4711);
    assert_true(qr_peers_told(peer, &ahead, machine));
    struct qr_peer_state further = told(40, 4712);
    assert_true(qr_peers_told(peer, &further, machine));
    assert_null(qr_peers_check(&peers, machine));
    apply(3);
    assert_ptr_equal(qr_peers_check(&peers, machine), peer);
    assert_null(qr_peers_check(&peers, machine));
}

static void what_is_not_known_any_more_says_nothing(void **state)
{
    (void)state;
    apply(1);
    struct qr_peer *peer = qr_peers_get(&peers, 3);
    struct qr_peer_state between = told(5, 99), none = told(0, 99);
    assert_true(qr_peers_told(peer, &between, machine));
    assert_true(qr_peers_told(peer, &none, machine));
    for (uint32_t id = 1; id <= 2 * QR_MEMBERS_MAX; id++)
        qr_peers_get(&peers, id)->up = true;
    assert_null(qr_peers_get(&peers, 2 * QR_MEMBERS_MAX + 1));
    qr_peers_get(&peers, 5)->up = false; /* Its place can be had. */
    assert_int_equal(qr_peers_get(&peers, 2 * QR_MEMBERS_MAX + 1)->id, 2 * QR_MEMBERS_MAX + 1);
    assert_null(qr_peers_find(&peers, 5));
    assert_non_null(qr_peers_find(&peers, 6));
    assert_null(qr_peers_find(&peers, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_come_back, start, stop),
        cmocka_unit_test(clocks_grow_older_and_are_forgotten),
        cmocka_unit_test(what_was_said_late_moves_nothing),
        cmocka_unit_test_setup_teardown(peers_behind_and_ahead_are_compared_at_their_index, start,
                                        stop),
        cmocka_unit_test_setup_teardown(what_is_not_known_any_more_says_nothing, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
