#include "cluster/founding.h"

#include <string.h>

#include "base/error.h"
#include "cluster/disk_id.h"
#include "testing/cmocka.h"

static const struct qr_link_member seeds[] = {{2, "b:1"}, {1, "a:1"}, {3, "c:1"}};
static struct qr_peers peers;

/* Member `id` waits, with this list, on disk 100 + id. */
static void waits(uint32_t id, uint32_t digest)
{
    struct qr_peer *peer = qr_peers_get(&peers, id);
    peer->up = peer->told = true;
    peer->state = (struct qr_peer_state){.empty = true, .seeds = digest, .disk = 100 + id};
}

static int start(void **state)
{
    (void)state;
    memset(&peers, 0, sizeof peers);
    return 0;
}

static void the_lowest_founds_when_all_are_there(void **state)
{
    (void)state;
    struct qr_placement founding = {0};
    uint32_t digest = qr_seeds_digest(seeds, 3);
    assert_false(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    waits(2, digest);
    assert_false(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    waits(3, digest);
    waits(1, digest);
    assert_false(qr_may_found(seeds, 3, 2, 102, &peers, &founding)); /* not the lowest */
    assert_false(qr_may_found(seeds, 3, 4, 104, &peers, &founding)); /* none of them */
    assert_false(qr_may_found(NULL, 0, 4, 104, &peers, &founding));
    assert_int_equal(founding.n, 0);
    assert_true(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    assert_int_equal(founding.place, QR_PLACE_FOUNDER);
    assert_int_equal(founding.n, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(founding.seats[i].disk, 100 + founding.seats[i].member);
    assert_string_equal(founding.seats[0].address, "b:1");
}

static void nothing_is_founded_beside_one_that_does_not_wait(void **state)
{
    (void)state;
    struct qr_placement founding = {0};
    uint32_t digest = qr_seeds_digest(seeds, 3);
    waits(2, digest);
    waits(3, digest);
    struct qr_peer *peer = qr_peers_get(&peers, 3);
    peer->state.empty = false; /* It has a log. */
    assert_false(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    peer->state.empty = true;
    peer->up = false;
    assert_false(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    peer->up = true;
    peer->told = false;
    assert_false(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    peer->told = true;
    peer->state.seeds = qr_seeds_digest(seeds, 2); /* Another list. */
    assert_false(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    peer->state.seeds = digest;
    /* All seeds were wiped, and one that came later was not. */
    waits(9, digest);
    qr_peers_get(&peers, 9)->state.empty = false;
    assert_false(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
    qr_peers_get(&peers, 9)->up = false;
    assert_true(qr_may_found(seeds, 3, 1, 101, &peers, &founding));
}

static void the_only_seed_founds_alone(void **state)
{
    (void)state;
    struct qr_placement founding;
    assert_true(qr_may_found(&seeds[1], 1, 1, 101, &peers, &founding));
    assert_int_equal(founding.n, 1);
}

static void the_order_of_a_list_does_not_matter(void **state)
{
    (void)state;
    const struct qr_link_member other[] = {seeds[2], seeds[0], seeds[1]};
    assert_int_equal(qr_seeds_digest(seeds, 3), qr_seeds_digest(other, 3));
    assert_int_not_equal(qr_seeds_digest(seeds, 3), qr_seeds_digest(seeds, 2));
}

static void an_empty_member_is_told_its_place(void **state)
{
    (void)state;
    struct raft_server servers[] = {{.id = qr_raft_id(1, 101), .address = "a:1"},
                                    {.id = qr_raft_id(2, 102), .address = "b:1"}};
    static struct raft raft;
    static struct qr_membership membership;
    struct qr_placement p;
    raft.configuration = (struct raft_configuration){servers, 2};
    raft.configuration_committed_index = 1;
    membership.removed[membership.n_removed++] = 7;
    qr_place_of(&raft, &membership, 2, 102, &p);
    assert_int_equal(p.place, QR_PLACE_FOUNDER);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.seats[1].disk, 102);
    qr_place_of(&raft, &membership, 2, 103, &p);
    assert_int_equal(p.place, QR_PLACE_OTHER_DISK);
    assert_int_equal(p.n, 0);
    qr_place_of(&raft, &membership, 5, 105, &p);
    assert_int_equal(p.place, QR_PLACE_STRANGER);
    qr_place_of(&raft, &membership, 7, 107, &p);
    assert_int_equal(p.place, QR_PLACE_REMOVED);
    /* It has been changed since: the first one is not to be had any more. */
    raft.configuration_uncommitted_index = 9;
    qr_place_of(&raft, &membership, 2, 102, &p);
    assert_int_equal(p.place, QR_PLACE_MEMBER);
    raft.configuration_uncommitted_index = 0;
    raft.configuration_committed_index = 9;
    qr_place_of(&raft, &membership, 2, 102, &p);
    assert_int_equal(p.place, QR_PLACE_MEMBER);
}

static void placements_come_back(void **state)
{
    (void)state;
    struct qr_placement in = {.place = QR_PLACE_FOUNDER, .disk = 5, .incarnation = 77, .n = 2},
                        out = {0};
    in.seats[0] = (struct qr_seat){1, 101, "a:1"};
    in.seats[1] = (struct qr_seat){2, 102, "b:1"};
    struct qr_buf bytes = {0};
    assert_int_equal(qr_placement_encode(&bytes, &in), 0);
    for (size_t n = 0; n < bytes.len; n++)
        assert_int_equal(qr_placement_decode(&out, qr_slice_of(bytes.base, n)), QR_E_MALFORMED);
    assert_int_equal(out.n, 0);
    assert_int_equal(qr_placement_decode(&out, qr_buf_slice(&bytes)), 0);
    assert_int_equal(out.incarnation, 77);
    assert_int_equal(out.seats[1].disk, 102);
    assert_string_equal(out.seats[1].address, "b:1");
    bytes.base[0] = QR_PLACE_MEMBER; /* with seats */
    assert_int_equal(qr_placement_decode(&out, qr_buf_slice(&bytes)), QR_E_MALFORMED);
    bytes.base[0] = 9;
    assert_int_equal(qr_placement_decode(&out, qr_buf_slice(&bytes)), QR_E_MALFORMED);
    qr_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_lowest_founds_when_all_are_there, start),
        cmocka_unit_test_setup(nothing_is_founded_beside_one_that_does_not_wait, start),
        cmocka_unit_test_setup(the_only_seed_founds_alone, start),
        cmocka_unit_test(the_order_of_a_list_does_not_matter),
        cmocka_unit_test(an_empty_member_is_told_its_place),
        cmocka_unit_test(placements_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
