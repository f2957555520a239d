#include "storage/scrub.h"

#include <uv.h>

#include "storage/internal.h"
#include "storage/tests/member.h"

static const char *const paths[] = {DIR "/s0000-t0-00000000-w60-g0.qb",
                                    DIR "/s0000-t0-0000003c-w60-g0.qb",
                                    DIR "/s0000-t0-00000078-w60-g0.qb"};

static unsigned n_missing(struct member *member)
{
    struct qr_block_name names[4];
    return qr_store_missing(member->store, names, 4);
}

static void steps(struct member *member, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        qr_store_scrub(member->store);
    qr_store_poll(member->store);
}

static void flip(struct member *member, const char *path)
{
    char *byte = &qr_memory_disk_get(&member->disk, path)->bytes[70];
    *byte = (char)(*byte ^ 1);
}

/* Pages that no query reads are found bad all the same. */
static void damage_is_found_without_a_reader(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    steps(&member, 3);
    assert_int_equal(n_missing(&member), 0);
    stop(&member);

    start(&member);
    sealed_rows(&member);
    flip(&member, paths[1]);
    member.disk.disk.unlink(&member.disk.disk, paths[2]);
    assert_int_equal(n_missing(&member), 0);
    steps(&member, 1);
    assert_int_equal(n_missing(&member), 2);
    assert_int_equal(member.n_bad, 2);
    stop(&member);
}

/* A member that starts looks before it has files, and before it knows that they are its own:
 * neither is the end of a round. */
static void what_is_not_checked_yet_is_waited_for(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    steps(&member, 1);
    sealed_rows(&member);
    flip(&member, paths[0]);
    const struct qr_block_set *set = atomic_load(&qr_store_state(member.store)->manifest.set);
    atomic_store(&set->at[0]->health, QR_BLOCK_UNCHECKED);
    steps(&member, 1);
    assert_int_equal(n_missing(&member), 0);
    atomic_store(&set->at[0]->health, QR_BLOCK_SOUND);
    steps(&member, 1);
    assert_int_equal(n_missing(&member), 1);
    stop(&member);
}

/* A step opens no more than 64 files, however small. */
static void a_step_is_bounded(void **state)
{
    (void)state;
    struct member member;
    char path[64];
    start(&member);
    sealed_windows(&member, 100);
    snprintf(path, sizeof path, "%s/s0000-t0-%08x-w60-g0.qb", DIR, 99 * HISTORY_WINDOW_S);
    flip(&member, path);
    uint64_t calls = member.disk.n_calls;
    steps(&member, 1);
    assert_in_range(member.disk.n_calls - calls, 60, 6 * 64);
    assert_int_equal(n_missing(&member), 0);
    steps(&member, 2);
    assert_int_equal(n_missing(&member), 1);
    stop(&member);
}

static void a_disk_that_cannot_read_is_damage_one_without_memory_is_not(void **state)
{
    (void)state;
    static const int errors[] = {UV_EIO, UV_ENOMEM};
    for (unsigned i = 0; i < QR_COUNT(errors); i++) {
        struct member member;
        start(&member);
        sealed_rows(&member);
        member.disk.fail_at = member.disk.n_calls + 1;
        member.disk.fail_with = errors[i];
        steps(&member, 1);
        assert_int_equal(n_missing(&member), errors[i] == UV_EIO);
        stop(&member);
    }
}

/* After the last file it rests; a restore begins a new round. */
static void a_round_ends_and_begins_again(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    steps(&member, 1);
    flip(&member, paths[0]);
    steps(&member, QR_SCRUB_EVERY_S);
    assert_int_equal(n_missing(&member), 0);
    steps(&member, 1);
    assert_int_equal(n_missing(&member), 1);

    flip(&member, paths[1]);
    struct qr_buf snapshot = snapshot_of(member.store);
    assert_int_equal(qr_store_restore(member.store, qr_buf_slice(&snapshot)), 0);
    qr_buf_release(&snapshot);
    assert_int_equal(n_missing(&member), 0); /* Footers tell nothing. */
    steps(&member, 1);
    assert_int_equal(n_missing(&member), 2);
    stop(&member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_found_without_a_reader),
        cmocka_unit_test(what_is_not_checked_yet_is_waited_for),
        cmocka_unit_test(a_step_is_bounded),
        cmocka_unit_test(a_disk_that_cannot_read_is_damage_one_without_memory_is_not),
        cmocka_unit_test(a_round_ends_and_begins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
