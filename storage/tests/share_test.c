#include "storage/share.h"

#include "testing/cmocka.h"

static uint64_t hash_of(uint32_t i)
{
    return (uint64_t)i * 0x9e3779b97f4a7c15u;
}

static void equal_pieces_are_found(void **state)
{
    (void)state;
    struct qr_share share = {0};
    assert_null(qr_share_find(&share, 1, 20));
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(qr_share_put(&share, hash_of(i), 20 + i % 3, i), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(qr_share_find(&share, hash_of(i), 20 + i % 3)->at, i);
        assert_null(qr_share_find(&share, hash_of(i), 19));
        assert_null(qr_share_find(&share, hash_of(i) + 1, 20 + i % 3));
    }
    assert_int_equal(qr_share_put(&share, hash_of(7), 21, 99), 0); /* The newest counts. */
    assert_int_equal(qr_share_find(&share, hash_of(7), 21)->at, 99);
    assert_int_equal(share.n, 5000);
    /* Hashes that meet in one place. */
    for (uint32_t i = 1; i < 50; i++)
        assert_int_equal(qr_share_put(&share, (uint64_t)i << 40, 20, i), 0);
    for (uint32_t i = 1; i < 50; i++)
        assert_int_equal(qr_share_find(&share, (uint64_t)i << 40, 20)->at, i);
    qr_share_release(&share);
}

static void clearing_forgets(void **state)
{
    (void)state;
    struct qr_share share = {0};
    for (uint32_t round = 0; round < 4; round++) {
        qr_share_clear(&share);
        if (round == 2)
            share.round = UINT32_MAX; /* The next one wraps. */
        assert_null(qr_share_find(&share, hash_of(1), 20));
        assert_int_equal(qr_share_put(&share, hash_of(1), 20, round), 0);
        assert_int_equal(qr_share_find(&share, hash_of(1), 20)->at, round);
        assert_int_equal(share.n, 1);
        assert_null(qr_share_find(&share, hash_of(2), 20));
        assert_int_equal(qr_share_put(&share, hash_of(2), 20, round), 0);
    }
    assert_int_equal(share.round, 1);
    qr_share_release(&share);
}

static void it_does_not_grow_beyond_its_bound(void **state)
{
    (void)state;
    struct qr_share share = {0};
    for (uint32_t i = 0; i < QR_SHARE_PIECES_MAX + 1000; i++)
        assert_int_equal(qr_share_put(&share, hash_of(i), 20, i), 0);
    assert_int_equal(share.n, QR_SHARE_PIECES_MAX);
    assert_true(share.capacity <= 2 * QR_SHARE_PIECES_MAX);
    assert_non_null(qr_share_find(&share, hash_of(QR_SHARE_PIECES_MAX - 1), 20));
    assert_null(qr_share_find(&share, hash_of(QR_SHARE_PIECES_MAX), 20));
    assert_int_equal(qr_share_put(&share, hash_of(3), 20, 77), 0); /* Known ones still move. */
    assert_int_equal(qr_share_find(&share, hash_of(3), 20)->at, 77);
    qr_share_release(&share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_pieces_are_found),
        cmocka_unit_test(clearing_forgets),
        cmocka_unit_test(it_does_not_grow_beyond_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
