#include "storage/ids.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/rng.h"
#include "testing/cmocka.h"

#define N 3000

/* Ids far apart and close together, added and removed at random, against an array. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_ids ids;
    struct qr_rng rng;
    static uint32_t id_of[N];
    static bool has[N];
    qr_epoch_init(&epoch);
    qr_ids_init(&ids, &epoch);
    qr_rng_seed(&rng, 5);
    for (uint32_t i = 0; i < N; i++) /* Ascending, up to the last id there is. */
        id_of[i] = i < N / 2 ? i + 1 : UINT32_MAX - (N - 1 - i) * 40000u;
    for (int step = 0; step < 40000; step++) {
        uint32_t i = (uint32_t)qr_rng_below(&rng, N);
        assert_ptr_equal(qr_ids_get(&ids, id_of[i]), has[i] ? &id_of[i] : NULL);
        if (has[i])
            qr_ids_remove(&ids, id_of[i]);
        else
            assert_int_equal(qr_ids_set(&ids, id_of[i], &id_of[i]), 0);
        has[i] = !has[i];
        if (step % 1000 != 0)
            continue;
        uint32_t at = 0, n = 0;
        for (uint32_t k = 0; k < N; k++)
            if (has[k]) {
                assert_ptr_equal(qr_ids_next(&ids, &at), &id_of[k]);
                assert_int_equal(at, id_of[k]);
                n++;
            }
        assert_null(qr_ids_next(&ids, &at));
        assert_int_equal(qr_ids_count(&ids), n);
        qr_epoch_collect(&epoch);
    }
    for (uint32_t i = 0; i < N; i++)
        if (has[i])
            qr_ids_remove(&ids, id_of[i]);
    assert_null(atomic_load(&ids.root)); /* Nothing is left behind. */
    assert_null(qr_ids_get(&ids, 1));
    qr_epoch_release(&epoch);
    qr_ids_release(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
