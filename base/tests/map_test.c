#include "base/map.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/rng.h"
#include "testing/cmocka.h"

/* The linker leads calloc here (base/CMakeLists.txt). */
static bool no_memory;
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

/* ---- against a model: an array indexed by the key's number ---- */

#define N_KEYS 500

struct entry {
    char key[16];
    int version; /* 0: not in the map. */
};

static void check_against_model(const struct qr_map *map, struct entry *model)
{
    size_t n = 0;
    for (size_t i = 0; i < N_KEYS; i++) {
        void *found = qr_map_get(map, qr_slice_str(model[i].key));
        assert_ptr_equal(found, model[i].version != 0 ? &model[i] : NULL);
        n += model[i].version != 0;
    }
    assert_int_equal(map->n, n);

    bool seen[N_KEYS] = {false};
    size_t at = 0;
    for (struct entry *e; (e = qr_map_next(map, &at)) != NULL; n--) {
        assert_false(seen[e - model]);
        seen[e - model] = true;
    }
    assert_int_equal(n, 0); /* the walk met each of them once */
}

static void agrees_with_a_model(void **state)
{
    static struct entry model[N_KEYS];
    struct qr_map map;
    struct qr_rng rng;
    qr_map_init(&map);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        qr_rng_seed(&rng, seed);
        for (size_t i = 0; i < N_KEYS; i++)
            snprintf(model[i].key, sizeof model[i].key, "key-%zu", i);
        for (int step = 1; step <= 20000; step++) {
            struct entry *e = &model[qr_rng_below(&rng, N_KEYS)];
            /* Periods that mostly add and periods that mostly remove. */
            if (qr_rng_below(&rng, 10) < (step / 2000 % 2 == 0 ? 7u : 3u)) {
                assert_int_equal(qr_map_set(&map, qr_slice_str(e->key), e), 0);
                e->version = step;
            } else {
                void *removed = qr_map_remove(&map, qr_slice_str(e->key));
                assert_ptr_equal(removed, e->version != 0 ? e : NULL);
                e->version = 0;
            }
            if (step % 500 == 0)
                check_against_model(&map, model);
        }
        assert_true(map.capacity <= 1024); /* removed entries leave nothing behind */
    }
    qr_map_release(&map);
    assert_int_equal(map.n, 0);
}

static void an_empty_map_answers(void **state)
{
    struct qr_map map = {0};
    size_t at = 0;
    assert_null(qr_map_get(&map, qr_slice_str("a")));
    assert_null(qr_map_remove(&map, qr_slice_str("a")));
    assert_null(qr_map_next(&map, &at));
    qr_map_release(&map);
}

static void replacing_takes_the_new_value_and_its_key(void **state)
{
    struct qr_map map;
    char old_key[] = "name", new_key[] = "name";
    int old_value, new_value;
    qr_map_init(&map);
    assert_int_equal(qr_map_set(&map, qr_slice_str(old_key), &old_value), 0);
    assert_int_equal(qr_map_set(&map, qr_slice_str(new_key), &new_value), 0);
    assert_int_equal(map.n, 1);
    old_key[0] = '?'; /* The old value may be freed with its key. */
    assert_ptr_equal(qr_map_get(&map, qr_slice_str("name")), &new_value);
    qr_map_release(&map);
}

static void survives_a_failed_allocation(void **state)
{
    struct qr_map map;
    char keys[13];
    qr_map_init(&map);
    no_memory = true;
    assert_int_equal(qr_map_set(&map, qr_slice_of(keys, 1), keys), UV_ENOMEM);
    no_memory = false;
    for (size_t i = 0; i < 12; i++) {
        keys[i] = (char)i;
        assert_int_equal(qr_map_set(&map, qr_slice_of(&keys[i], 1), &keys[i]), 0);
    }
    keys[12] = 12;
    no_memory = true; /* The thirteenth makes it grow. */
    assert_int_equal(qr_map_set(&map, qr_slice_of(&keys[12], 1), &keys[12]), UV_ENOMEM);
    no_memory = false;
    assert_int_equal(map.n, 12);
    for (size_t i = 0; i < 12; i++)
        assert_ptr_equal(qr_map_get(&map, qr_slice_of(&keys[i], 1)), &keys[i]);
    assert_null(qr_map_get(&map, qr_slice_of(&keys[12], 1)));
    assert_int_equal(qr_map_set(&map, qr_slice_of(&keys[12], 1), &keys[12]), 0);
    qr_map_release(&map);
}

static void any_bytes_are_a_key(void **state)
{
    struct qr_map map;
    int empty, nul, two;
    qr_map_init(&map);
    assert_int_equal(qr_map_set(&map, qr_slice_of(NULL, 0), &empty), 0);
    assert_int_equal(qr_map_set(&map, qr_slice_of("\0", 1), &nul), 0);
    assert_int_equal(qr_map_set(&map, qr_slice_of("\0\0", 2), &two), 0);
    assert_ptr_equal(qr_map_get(&map, qr_slice_of("", 0)), &empty);
    assert_ptr_equal(qr_map_get(&map, qr_slice_of("\0\0", 1)), &nul);
    assert_ptr_equal(qr_map_get(&map, qr_slice_of("\0\0", 2)), &two);
    qr_map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(an_empty_map_answers),
        cmocka_unit_test(replacing_takes_the_new_value_and_its_key),
        cmocka_unit_test(survives_a_failed_allocation),
        cmocka_unit_test(any_bytes_are_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
