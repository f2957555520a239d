#include "storage/lookup.h"

#include <stdbool.h>

#include "base/rng.h"
#include "testing/cmocka.h"

#define N 4000

struct item {
    uint64_t hash;
    bool is_in;
    unsigned n_seen;
};

static bool finds(const struct qr_lookup *lookup, const struct item *item)
{
    struct qr_lookup_at at = {0};
    const struct item *found;
    while ((found = qr_lookup_next(lookup, item->hash, &at)) != NULL)
        if (found == item)
            return true;
    return false;
}

static uint32_t check_walk(const struct qr_lookup *lookup, struct item *items)
{
    struct qr_lookup_at at = {0};
    struct item *item;
    uint32_t n = 0;
    for (uint32_t i = 0; i < N; i++)
        items[i].n_seen = 0;
    while ((item = qr_lookup_walk(lookup, &at)) != NULL) {
        assert_true(item->is_in);
        assert_int_equal(item->n_seen++, 0);
        n++;
    }
    return n;
}

/* Many hashes that are equal, or equal in their low bits, or spread over all tables. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    static struct item items[N];
    struct qr_epoch epoch;
    struct qr_lookup lookup;
    struct qr_rng rng;
    qr_epoch_init(&epoch);
    qr_lookup_init(&lookup, &epoch);
    qr_rng_seed(&rng, 11);
    for (uint32_t i = 0; i < N; i++)
        items[i].hash = i % 3 == 0 ? qr_rng_next(&rng) : i % 3 == 1 ? i % 40 : (uint64_t)i << 32;
    for (int step = 0; step < 60000; step++) {
        struct item *item = &items[qr_rng_below(&rng, N)];
        assert_int_equal(finds(&lookup, item), item->is_in);
        /* Times that mostly add, and times that mostly remove. */
        bool add = qr_rng_below(&rng, 10) < (step / 10000 % 2 == 0 ? 7u : 3u);
        if (add && !item->is_in)
            assert_int_equal(qr_lookup_add(&lookup, item->hash, item), 0);
        else if (!add && item->is_in)
            qr_lookup_remove(&lookup, item->hash, item);
        item->is_in = add;
        if (step % 5000 == 0) {
            assert_int_equal(check_walk(&lookup, items), qr_lookup_count(&lookup));
            qr_epoch_collect(&epoch);
        }
    }
    for (uint32_t i = 0; i < N; i++)
        if (items[i].is_in)
            qr_lookup_remove(&lookup, items[i].hash, &items[i]);
    for (uint32_t i = 0; i < QR_LOOKUP_SHARDS; i++)
        assert_null(atomic_load(&lookup.shards[i])); /* Nothing is left behind. */
    qr_epoch_release(&epoch);
    qr_lookup_release(&lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
