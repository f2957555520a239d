#include "storage/shard.h"

#include "testing/cmocka.h"

static void a_full_shard_takes_no_more_hosts(void **state)
{
    (void)state;
    struct qr_shards shards = {0};
    struct qr_host hosts[5] = {0};
    qr_shards_note(&shards, 100, &hosts[0], 99);
    qr_shards_note(&shards, 100, &hosts[1], 1);
    qr_shards_note(&shards, 100, &hosts[2], 10);
    assert_int_equal(hosts[0].shard, 0);
    assert_int_equal(hosts[1].shard, 0);
    assert_int_equal(hosts[2].shard, 1);
    /* What an old shard's hosts get later does not fill the current one; nor do they move. */
    qr_shards_note(&shards, 100, &hosts[0], 1000);
    qr_shards_note(&shards, 100, &hosts[3], 90);
    assert_int_equal(hosts[0].shard, 0);
    assert_int_equal(hosts[3].shard, 1);
    qr_shards_note(&shards, 100, &hosts[4], 0);
    assert_int_equal(hosts[4].shard, 2);
}

static void the_last_shard_takes_the_rest(void **state)
{
    (void)state;
    struct qr_shards shards = {0};
    struct qr_host hosts[2] = {0};
    shards.current = QR_SHARD_MAX;
    qr_shards_note(&shards, 1, &hosts[0], 5);
    qr_shards_note(&shards, 1, &hosts[1], 5);
    assert_int_equal(hosts[1].shard, QR_SHARD_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_shard_takes_no_more_hosts),
        cmocka_unit_test(the_last_shard_takes_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
