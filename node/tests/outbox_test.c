#include "node/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "testing/cmocka.h"

static void put(struct qr_outbox *outbox, uint32_t chart, uint32_t n, int64_t at_us)
{
    struct qr_entry_base base = {0};
    uint32_t *cells = calloc(n + 1, sizeof *cells);
    for (uint32_t i = 0; i < n; i++)
        cells[i] = chart * 2654435761u + i * 40503u; /* nothing that LZ4 could use */
    assert_int_equal(qr_outbox_row(outbox, &base, chart, 1000 + (int64_t)chart, cells, n, at_us),
                     0);
    qr_entry_base_release(&base);
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

static struct qr_entry_base *find_base(void *data, uint32_t host, uint32_t chart)
{
    (void)host;
    return chart == 1 ? data : NULL;
}

/* A row is written against the one before it, also if that is in a block before. */
static void a_chain_goes_on_over_blocks(void **state)
{
    (void)state;
    enum { N = 1000, ROWS = 400 };
    struct qr_outbox outbox;
    struct qr_entry_base written = {0}, read = {0};
    struct qr_entry_row row;
    struct qr_entry_host host;
    struct qr_entry_reader *reader;
    static uint32_t cells[N];
    int64_t oldest_us;
    uint32_t n_rows = 0, n_blocks = 0;
    qr_outbox_init(&outbox);
    for (uint32_t i = 0; i < ROWS; i++) {
        cells[i % N] += 3;
        assert_int_equal(qr_outbox_row(&outbox, &written, 1, 100 + i, cells, N, i), 0);
    }
    memset(cells, 0, sizeof cells);
    for (struct qr_entry_block *block; (block = qr_outbox_first(&outbox, &oldest_us)) != NULL;) {
        struct qr_buf body = {0};
        block->epoch = 1;
        assert_int_equal(qr_entry_encode(&body, &block, 1), 0);
        assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&body)), 0);
        assert_true(qr_entry_next_host(reader, &host));
        assert_int_equal(qr_entry_read_rows(reader, find_base, &read), 0);
        for (; qr_entry_next_row(reader, &row); n_rows++) {
            cells[n_rows % N] += 3;
            assert_int_equal(row.end_s, 100 + n_rows);
            assert_memory_equal(row.values, cells, sizeof cells);
        }
        qr_entry_reader_free(reader);
        qr_buf_release(&body);
        qr_outbox_pop(&outbox);
        n_blocks++;
    }
    assert_int_equal(n_rows, ROWS);
    assert_true(n_blocks > 5);
    qr_entry_base_release(&written);
    qr_entry_base_release(&read);
    qr_outbox_release(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_in_order_and_a_block_stays_until_it_is_popped),
        cmocka_unit_test(any_rows_fit_entries),
        cmocka_unit_test(a_chain_goes_on_over_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
