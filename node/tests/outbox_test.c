#include "node/outbox.h"

#include <stdlib.h>

#include "testing/cmocka.h"

static void put(struct qr_outbox *outbox, uint32_t chart, uint32_t n, int64_t at_us)
{
    uint32_t *cells = calloc(n + 1, sizeof *cells);
    for (uint32_t i = 0; i < n; i++)
        cells[i] = chart * 2654435761u + i * 40503u; /* nothing that LZ4 could use */
    assert_int_equal(qr_outbox_row(outbox, chart, 1000 + (int64_t)chart, cells, n, at_us), 0);
    free(cells);
}

static void rows_come_out_in_order_and_a_block_stays_until_it_is_popped(void **state)
{
    (void)state;
    struct qr_outbox outbox;
    int64_t oldest_us = 0;
    qr_outbox_init(&outbox);
    assert_null(qr_outbox_first(&outbox, &oldest_us));
    put(&outbox, 1, 3, 77);
    put(&outbox, 2, 3, 78);
    struct qr_entry_block *block = qr_outbox_first(&outbox, &oldest_us);
    assert_int_equal(block->n_rows, 2);
    assert_int_equal(oldest_us, 77);
    assert_ptr_equal(qr_outbox_first(&outbox, &oldest_us), block);
    assert_int_equal(outbox.bytes, qr_entry_block_bytes(block));
    qr_outbox_pop(&outbox);
    assert_int_equal(outbox.bytes, 0);
    assert_null(qr_outbox_first(&outbox, &oldest_us));
    qr_outbox_release(&outbox);
}

/* What a child with the widest charts sends in one turn: every block can go into an entry, behind
 * as many others as a batch takes. */
static void any_rows_fit_entries(void **state)
{
    (void)state;
    struct qr_outbox outbox;
    int64_t oldest_us = 0;
    uint32_t n_rows = 0;
    uint64_t n_samples = 0;
    qr_outbox_init(&outbox);
    for (uint32_t i = 1; i <= 60; i++)
        put(&outbox, i, i % 3 == 0 ? QR_DIMS_PER_CHART_MAX : 7000, i);
    assert_true(outbox.bytes > 4u * QR_ENTRY_BODY_BYTES_MAX);
    for (struct qr_entry_block *block; (block = qr_outbox_first(&outbox, &oldest_us)) != NULL;) {
        struct qr_buf body = {0};
        assert_int_equal(oldest_us, n_rows + 1);
        assert_true(qr_entry_block_bytes(block) <= QR_OUTBOX_BLOCK_BYTES_MAX);
        assert_int_equal(qr_entry_encode(&body, &block, 1), 0);
        qr_buf_release(&body);
        n_rows += block->n_rows;
        n_samples += block->n_samples;
        qr_outbox_pop(&outbox);
    }
    assert_int_equal(n_rows, 60);
    assert_int_equal(n_samples, 20ull * QR_DIMS_PER_CHART_MAX + 40ull * 7000);
    assert_int_equal(outbox.bytes, 0);
    put(&outbox, 1, 5, 1);
    qr_outbox_release(&outbox); /* with a row in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_in_order_and_a_block_stays_until_it_is_popped),
        cmocka_unit_test(any_rows_fit_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
