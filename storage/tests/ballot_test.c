#include "storage/ballot.h"

#include "testing/cmocka.h"

static bool cast(struct qr_ballot *ballot, uint32_t member, uint64_t hash, uint32_t n_members,
                 uint64_t *winner)
{
    struct qr_file_vote won = {0};
    bool decided =
        qr_ballot_cast(ballot, &(struct qr_file_vote){member, 100, hash}, n_members, &won);
    *winner = decided ? won.hash : 0;
    return decided;
}

static void a_majority_decides(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0};
    uint64_t hash;
    assert_false(cast(&ballot, 3, 7, 3, &hash));
    assert_false(cast(&ballot, 1, 8, 3, &hash));
    assert_true(cast(&ballot, 2, 8, 3, &hash));
    assert_int_equal(hash, 8);
}

static void one_member_alone_decides(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0};
    uint64_t hash;
    assert_true(cast(&ballot, 1, 5, 1, &hash));
    assert_int_equal(hash, 5);
}

/* Half is no majority. */
static void two_of_four_do_not_decide(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0};
    uint64_t hash;
    assert_false(cast(&ballot, 1, 5, 4, &hash));
    assert_false(cast(&ballot, 2, 5, 4, &hash));
    assert_false(cast(&ballot, 3, 6, 4, &hash));
    /* All have spoken: a tie goes to the lowest member's. */
    assert_true(cast(&ballot, 4, 6, 4, &hash));
    assert_int_equal(hash, 5);
}

static void without_a_majority_most_votes_count(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0};
    uint64_t hash;
    const uint64_t hashes[] = {9, 7, 7, 6, 5};
    for (uint32_t member = 1; member < 5; member++)
        assert_false(cast(&ballot, member, hashes[member - 1], 5, &hash));
    assert_true(cast(&ballot, 5, 5, 5, &hash));
    assert_int_equal(hash, 7);
}

/* The same hash with another size is another file. */
static void size_and_hash_must_agree(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0};
    struct qr_file_vote won;
    assert_false(qr_ballot_cast(&ballot, &(struct qr_file_vote){1, 10, 5}, 3, &won));
    assert_false(qr_ballot_cast(&ballot, &(struct qr_file_vote){2, 11, 5}, 3, &won));
}

static void a_later_vote_replaces_the_earlier(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0};
    uint64_t hash;
    assert_false(cast(&ballot, 1, 5, 3, &hash));
    assert_false(cast(&ballot, 1, 5, 3, &hash)); /* No second voice. */
    assert_true(qr_ballot_has(&ballot, &(struct qr_file_vote){1, 100, 5}));
    assert_false(cast(&ballot, 1, 6, 3, &hash));
    assert_false(qr_ballot_has(&ballot, &(struct qr_file_vote){1, 100, 5}));
    assert_int_equal(ballot.n, 1);
    assert_true(cast(&ballot, 2, 6, 3, &hash));
}

static void too_many_voters_are_ignored(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0};
    uint64_t hash;
    for (uint32_t member = 1; member <= QR_MEMBERS_MAX + 3; member++)
        assert_false(cast(&ballot, member, member, 1000, &hash));
    assert_int_equal(ballot.n, QR_MEMBERS_MAX);
}

static void bytes_round_trip_and_nonsense_fails(void **state)
{
    (void)state;
    struct qr_ballot ballot = {0}, read;
    uint64_t hash;
    cast(&ballot, 9, 5, 5, &hash);
    cast(&ballot, 2, 6, 5, &hash);
    struct qr_buf out = {0};
    qr_ballot_encode(&ballot, &out);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&out));
    qr_ballot_decode(&read, &in);
    assert_true(qr_cursor_done(&in));
    assert_int_equal(read.n, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_true(qr_ballot_has(&read, &ballot.votes[i]));
    assert_int_equal(read.votes[0].member, 2);
    out.base[1] = 9; /* The same member twice. */
    in = qr_cursor_of(qr_buf_slice(&out));
    qr_ballot_decode(&read, &in);
    assert_true(in.failed);
    out.base[0] = (char)(QR_MEMBERS_MAX + 1);
    in = qr_cursor_of(qr_buf_slice(&out));
    qr_ballot_decode(&read, &in);
    assert_true(in.failed);
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_majority_decides),
        cmocka_unit_test(one_member_alone_decides),
        cmocka_unit_test(two_of_four_do_not_decide),
        cmocka_unit_test(without_a_majority_most_votes_count),
        cmocka_unit_test(size_and_hash_must_agree),
        cmocka_unit_test(a_later_vote_replaces_the_earlier),
        cmocka_unit_test(too_many_voters_are_ignored),
        cmocka_unit_test(bytes_round_trip_and_nonsense_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
