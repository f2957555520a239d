#include "base/epoch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

/* The linker leads realloc here (base/CMakeLists.txt). */
static bool no_memory;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size)
{
    return no_memory ? NULL : __real_realloc(memory, size);
}

static unsigned n_freed;

static void count_free(void *memory)
{
    n_freed++;
    free(memory);
}

static void frees_when_nobody_can_see_it(void **state)
{
    struct qr_epoch epoch;
    qr_epoch_init(&epoch);
    n_freed = 0;

    int early = qr_epoch_enter(&epoch);
    qr_epoch_retire(&epoch, malloc(1), count_free);
    qr_epoch_collect(&epoch);
    assert_int_equal(n_freed, 0); /* the reader entered before it was retired */

    int late = qr_epoch_enter(&epoch);
    assert_int_not_equal(late, early);
    qr_epoch_retire(&epoch, malloc(1), count_free);
    qr_epoch_leave(&epoch, early);
    qr_epoch_collect(&epoch);
    assert_int_equal(n_freed, 1); /* the second may still be seen by `late` */

    qr_epoch_leave(&epoch, late);
    qr_epoch_collect(&epoch);
    assert_int_equal(n_freed, 2);
    qr_epoch_release(&epoch);
}

static void release_frees_what_is_left(void **state)
{
    struct qr_epoch epoch;
    qr_epoch_init(&epoch);
    n_freed = 0;
    qr_epoch_retire(&epoch, NULL, count_free); /* nothing to free */
    for (int i = 0; i < 1000; i++)
        qr_epoch_retire(&epoch, malloc(1), count_free);
    assert_int_equal(n_freed, 0);
    qr_epoch_release(&epoch);
    assert_int_equal(n_freed, 1000);
}

static void leaks_rather_than_frees_too_early(void **state)
{
    struct qr_epoch epoch;
    qr_epoch_init(&epoch);
    n_freed = 0;
    void *memory = malloc(1);
    no_memory = true;
    qr_epoch_retire(&epoch, memory, count_free);
    no_memory = false;
    qr_epoch_release(&epoch);
    assert_int_equal(n_freed, 0);
    free(memory);
}

static void slots_are_given_back(void **state)
{
    struct qr_epoch epoch;
    qr_epoch_init(&epoch);
    int slots[QR_EPOCH_READERS_MAX];
    for (size_t i = 0; i < QR_EPOCH_READERS_MAX; i++)
        slots[i] = qr_epoch_enter(&epoch);
    qr_epoch_leave(&epoch, slots[17]);
    assert_int_equal(qr_epoch_enter(&epoch), slots[17]);
    for (size_t i = 0; i < QR_EPOCH_READERS_MAX; i++)
        qr_epoch_leave(&epoch, slots[i]);
    qr_epoch_release(&epoch);
}

/* ---- readers and a writer at once: a reader never meets freed memory ---- */

#define N_READERS   4
#define N_PUBLISHED 3000
#define ALIVE       0xa11fe000u
#define DEAD        0xdeadu

struct thing {
    _Atomic uint32_t mark;
    uint32_t copy; /* Plain: the thread sanitizer sees a read that races with the free. */
};

struct shared {
    struct qr_epoch epoch;
    _Atomic(struct thing *) published;
    _Atomic bool done;
    _Atomic unsigned n_ready;
    _Atomic unsigned n_dead_seen;
};

static struct thing *new_thing(uint32_t i)
{
    struct thing *thing = malloc(sizeof *thing);
    assert_non_null(thing);
    atomic_init(&thing->mark, ALIVE);
    thing->copy = i;
    return thing;
}

static void free_thing(void *memory)
{
    struct thing *thing = memory;
    atomic_store(&thing->mark, DEAD);
    thing->copy = DEAD;
    n_freed++;
    free(thing);
}

static void *read_until_done(void *arg)
{
    struct shared *shared = arg;
    uint32_t last = 0;
    atomic_fetch_add(&shared->n_ready, 1);
    while (!atomic_load(&shared->done)) {
        int slot = qr_epoch_enter(&shared->epoch);
        struct thing *thing = atomic_load(&shared->published);
        uint32_t copy = thing->copy;
        if (atomic_load(&thing->mark) != ALIVE || copy < last)
            atomic_fetch_add(&shared->n_dead_seen, 1);
        last = copy;
        qr_epoch_leave(&shared->epoch, slot);
    }
    return NULL;
}

static void readers_never_meet_freed_memory(void **state)
{
    struct shared shared = {.done = false};
    pthread_t readers[N_READERS];
    qr_epoch_init(&shared.epoch);
    atomic_store(&shared.published, new_thing(0));
    n_freed = 0;
    for (size_t i = 0; i < N_READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_until_done, &shared), 0);
    while (atomic_load(&shared.n_ready) < N_READERS)
        sched_yield();
    for (uint32_t i = 1; i <= N_PUBLISHED; i++) {
        struct thing *old = atomic_exchange(&shared.published, new_thing(i));
        qr_epoch_retire(&shared.epoch, old, free_thing);
        qr_epoch_collect(&shared.epoch);
    }
    atomic_store(&shared.done, true);
    for (size_t i = 0; i < N_READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    qr_epoch_collect(&shared.epoch);
    assert_int_equal(n_freed, N_PUBLISHED);
    assert_int_equal(atomic_load(&shared.n_dead_seen), 0);
    free(atomic_load(&shared.published));
    qr_epoch_release(&shared.epoch);
}

/* With all slots taken a reader waits for one, and then goes on. */
static void *enter_and_leave(void *arg)
{
    struct shared *shared = arg;
    qr_epoch_leave(&shared->epoch, qr_epoch_enter(&shared->epoch));
    atomic_store(&shared->done, true);
    return NULL;
}

static void a_reader_too_many_waits(void **state)
{
    struct shared shared = {.done = false};
    pthread_t waiter;
    int slots[QR_EPOCH_READERS_MAX];
    qr_epoch_init(&shared.epoch);
    for (size_t i = 0; i < QR_EPOCH_READERS_MAX; i++)
        slots[i] = qr_epoch_enter(&shared.epoch);
    assert_int_equal(pthread_create(&waiter, NULL, enter_and_leave, &shared), 0);
    for (int i = 0; i < 100; i++)
        sched_yield();
    assert_false(atomic_load(&shared.done));
    qr_epoch_leave(&shared.epoch, slots[5]);
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_true(atomic_load(&shared.done));
    for (size_t i = 0; i < QR_EPOCH_READERS_MAX; i++) {
        if (i != 5)
            qr_epoch_leave(&shared.epoch, slots[i]);
    }
    qr_epoch_release(&shared.epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frees_when_nobody_can_see_it),
        cmocka_unit_test(release_frees_what_is_left),
        cmocka_unit_test(leaks_rather_than_frees_too_early),
        cmocka_unit_test(slots_are_given_back),
        cmocka_unit_test(readers_never_meet_freed_memory),
        cmocka_unit_test(a_reader_too_many_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
