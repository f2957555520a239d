/* Netdata's rules for a child's choice, v2.9.0 src/streaming/stream-parents.c: skip what is
 * postponed; `initializing` postpones by 30 to 60 s; sort by last_time_s, newest first; shuffle
 * what is within 120 s of the head of its group; connect in that order. */
#include "node/placement.h"

#include <string.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

static struct qr_guid guid_of(uint32_t n)
{
    struct qr_guid guid = {{0}};
    guid.bytes[0] = (uint8_t)n;
    guid.bytes[1] = (uint8_t)(n >> 8);
    return guid;
}

#define TAKES     true
#define TAKES_NOT false

static void decides_by_the_table(void **state)
{
    static const struct {
        const char *what;
        struct qr_placement placement;
        uint32_t owner;
        unsigned allowed; /* Bits of member ids. */
    } rows[] = {
        {"nobody is there", {0}, 0, 1u << 0},
        {"the only one", {1, {{1, TAKES, 900}}}, 0, 1u << 1},
        {"nobody takes", {2, {{1, TAKES_NOT, 0}, {2, TAKES_NOT, 0}}}, 1, 1u << 0},
        {"stays where it is, however full", {2, {{1, TAKES, 500}, {2, TAKES, 0}}}, 1, 1u << 1},
        {"goes back to where it was last",
         {3, {{1, TAKES, 9}, {2, TAKES, 8}, {3, TAKES, 0}}},
         2,
         1u << 2},
        {"leaves a member that is drained",
         {3, {{1, TAKES_NOT, 9}, {2, TAKES, 9}, {3, TAKES, 20}}},
         1,
         1u << 2},
        {"its member is no more", {2, {{2, TAKES, 9}, {3, TAKES, 4}}}, 7, 1u << 3},
        {"a new one goes to the emptiest",
         {3, {{1, TAKES, 10}, {2, TAKES, 7}, {3, TAKES, 10}}},
         0,
         1u << 2},
        {"one more is no difference",
         {3, {{1, TAKES, 8}, {2, TAKES, 7}, {3, TAKES, 10}}},
         0,
         1u << 1 | 1u << 2},
        {"an eighth is none of large numbers",
         {2, {{1, TAKES, 1000}, {2, TAKES, 890}}},
         0,
         1u << 1 | 1u << 2},
        {"more is", {2, {{1, TAKES, 1020}, {2, TAKES, 890}}}, 0, 1u << 2},
    };
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        unsigned chosen = 0;
        for (uint32_t child = 0; child < 64; child++) {
            struct qr_guid guid = guid_of(child);
            chosen |= 1u << qr_placement_choose(&rows[i].placement, &guid, rows[i].owner);
        }
        if (chosen != rows[i].allowed)
            fail_msg("%s: %x, not %x", rows[i].what, chosen, rows[i].allowed);
    }
}

static void exactly_one_member_says_here(void **state)
{
    struct qr_placement placement = {
        4, {{1, TAKES, 3}, {2, TAKES, 4}, {3, TAKES, 3}, {4, TAKES_NOT, 0}}};
    assert_int_equal(qr_placement_n_takers(&placement), 3);
    for (uint32_t child = 0; child < 200; child++) {
        struct qr_guid guid = guid_of(child);
        unsigned n_here = 0;
        for (uint32_t self = 1; self <= 3; self++)
            n_here += qr_placement_answer(&placement, self, &guid, child % 6) == QR_PLACEMENT_HERE;
        assert_int_equal(n_here, 1);
        assert_int_equal(qr_placement_answer(&placement, 4, &guid, 4), QR_PLACEMENT_NOT_NOW);
        assert_int_equal(qr_placement_answer(&placement, 9, &guid, 1), QR_PLACEMENT_NOT_NOW);
    }
}

/* Children come, `age` of them by the same picture. */
static void children_that_come_leave_the_members_even(void **state)
{
    static const uint32_t ages[] = {1, 2, 5, 20};
    for (size_t a = 0; a < QR_COUNT(ages); a++) {
        struct qr_placement now = {3, {{1, TAKES, 0}, {2, TAKES, 0}, {3, TAKES, 0}}}, seen = now;
        for (uint32_t child = 0; child < 3000; child++) {
            struct qr_guid guid = guid_of(child);
            if (child % ages[a] == 0)
                seen = now;
            now.members[qr_placement_choose(&seen, &guid, 0) - 1].n_children++;
            uint32_t least = UINT32_MAX, most = 0;
            for (unsigned i = 0; i < 3; i++) {
                uint32_t n = now.members[i].n_children;
                least = n < least ? n : least;
                most = n > most ? n : most;
            }
            uint32_t slack = child / 3 / 8 > 1 ? child / 3 / 8 : 1;
            assert_true(most - least <= slack + ages[a]);
        }
    }
}

static void when_a_member_is_drained_the_others_share_its_children(void **state)
{
    struct qr_placement placement = {3, {{1, TAKES_NOT, 300}, {2, TAKES, 300}, {3, TAKES, 300}}};
    for (uint32_t child = 0; child < 300; child++) {
        struct qr_guid guid = guid_of(child);
        uint32_t to = qr_placement_choose(&placement, &guid, 1);
        placement.members[to - 1].n_children++;
        placement.members[0].n_children--;
    }
    assert_int_equal(placement.members[0].n_children, 0);
    assert_in_range(placement.members[1].n_children, 450 - 57, 450 + 57);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_by_the_table),
        cmocka_unit_test(exactly_one_member_says_here),
        cmocka_unit_test(children_that_come_leave_the_members_even),
        cmocka_unit_test(when_a_member_is_drained_the_others_share_its_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
