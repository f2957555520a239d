#include "cluster/backlog.h"

#include <stdlib.h>

#include "testing/cmocka.h"

static char library[64][8]; /* Its log: entry i is 8 bytes of i. */

static void push(struct qr_backlog *backlog, uint64_t index)
{
    memset(library[index], (int)index, 8);
    assert_int_equal(qr_backlog_push(backlog, index, qr_slice_of(library[index], 8)), 0);
}

static void assert_next(const struct qr_backlog *backlog, uint64_t index)
{
    const struct qr_backlog_entry *entry = qr_backlog_next(backlog);
    assert_non_null(entry);
    assert_int_equal(entry->index, index);
    assert_int_equal(entry->bytes.len, 8);
    assert_int_equal(entry->bytes.base[0], index);
    assert_int_equal(entry->bytes.base[7], index);
}

static void entries_come_out_in_order(void **state)
{
    (void)state;
    struct qr_backlog backlog = {0};
    uint64_t in = 0, out = 0;
    assert_null(qr_backlog_next(&backlog));
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 1 + round % 4 && in < 63; i++)
            push(&backlog, ++in);
        assert_next(&backlog, out + 1);
        assert_int_equal(backlog.bytes, (in - out) * 8);
        qr_backlog_done(&backlog);
        assert_int_equal(qr_backlog_waiting(&backlog), in - ++out);
        if (out == in)
            break;
    }
    assert_int_equal(backlog.last, in);
    assert_int_equal(backlog.n, in - out); /* What is done is gone. */
    qr_backlog_release(&backlog);
}

static void what_a_snapshot_needs_is_kept(void **state)
{
    (void)state;
    struct qr_backlog backlog = {0};
    push(&backlog, 4);
    qr_backlog_done(&backlog);
    qr_backlog_keep(&backlog, true);
    for (uint64_t i = 5; i < 10; i++)
        push(&backlog, i);
    qr_backlog_done(&backlog);
    qr_backlog_done(&backlog);
    assert_next(&backlog, 7);
    assert_int_equal(backlog.n, 5);
    assert_int_equal(backlog.bytes, 24);
    assert_int_equal(backlog.bytes_kept, 16);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(qr_backlog_at(&backlog, i)->index, 5 + i);
    qr_backlog_keep(&backlog, false);
    assert_int_equal(backlog.n, 3);
    assert_int_equal(backlog.bytes_kept, 0);
    assert_next(&backlog, 7);
    qr_backlog_release(&backlog);
}

/* The library is about to drop them: only those that wait are needed. */
static void entries_outlive_the_librarys_log(void **state)
{
    (void)state;
    struct qr_backlog backlog = {0};
    for (uint64_t i = 1; i <= 6; i++)
        push(&backlog, i);
    qr_backlog_done(&backlog);
    assert_int_equal(qr_backlog_own(&backlog, 4), 0);
    assert_int_equal(qr_backlog_own(&backlog, 4), 0); /* Once. */
    assert_int_equal(backlog.n_copied, 3);
    assert_int_equal(backlog.bytes_owned, 24);
    for (uint64_t i = 1; i <= 4; i++)
        memset(library[i], 0xee, 8);
    for (uint64_t i = 2; i <= 6; i++) {
        assert_next(&backlog, i);
        qr_backlog_done(&backlog);
    }
    assert_int_equal(backlog.bytes_owned, 0);
    qr_backlog_release(&backlog);
}

static void a_restored_snapshots_entries_go_first(void **state)
{
    (void)state;
    struct qr_backlog backlog = {0};
    struct qr_backlog_entry entries[100];
    char *memory = malloc(sizeof entries / sizeof *entries * 8);
    for (uint64_t i = 0; i < 50; i++) {
        memset(memory + i * 8, (int)i + 1, 8);
        entries[i] = (struct qr_backlog_entry){
            .index = i + 1, .bytes = {memory + i * 8, 8}, .memory = i == 49 ? memory : NULL};
    }
    for (uint64_t i = 51; i < 64; i++)
        push(&backlog, i);
    assert_int_equal(qr_backlog_prepend(&backlog, entries, 50), 0);
    assert_int_equal(qr_backlog_own(&backlog, 30), 0); /* They are ours already. */
    assert_int_equal(backlog.n_copied, 0);
    for (uint64_t i = 1; i < 60; i++) {
        assert_next(&backlog, i);
        qr_backlog_done(&backlog);
    }
    qr_backlog_clear(&backlog);
    assert_int_equal(backlog.n, 0);
    assert_int_equal(backlog.bytes, 0);
    assert_int_equal(backlog.n_most, 63);
    qr_backlog_release(&backlog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_out_in_order),
        cmocka_unit_test(what_a_snapshot_needs_is_kept),
        cmocka_unit_test(entries_outlive_the_librarys_log),
        cmocka_unit_test(a_restored_snapshots_entries_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
