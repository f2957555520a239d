#include "storage/entry.h"

#include <lz4.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/rng.h"
#include "storage/value.h"
#include "testing/cmocka.h"

static const uint32_t three[] = {7, QR_VALUE_EMPTY, 5u << 26 | 33};

static struct qr_buf encode(struct qr_entry_block *const *blocks, unsigned n)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_entry_encode(&out, blocks, n), 0);
    return out;
}

static void rows_come_back_in_order(void **state)
{
    (void)state;
    struct qr_entry_block a, b;
    qr_entry_block_init(&a);
    qr_entry_block_init(&b);
    a.host = 4;
    a.epoch = 2;
    a.block_seq = 77;
    b.host = 3;
    assert_int_equal(qr_entry_block_row(&a, 10, 1700000000, three, 3), 0);
    assert_int_equal(qr_entry_block_row(&a, 9, 1700000001, three, 0), 0);
    assert_int_equal(qr_entry_block_row(&a, UINT32_MAX, INT64_MIN, three, 1), 0);
    assert_int_equal(qr_entry_block_row(&b, 1, INT64_MAX, three + 1, 2), 0);
    assert_int_equal(a.n_samples, 4);
    assert_true(qr_entry_block_bytes(&a) >= 4 * sizeof(uint32_t));
    struct qr_buf out = encode((struct qr_entry_block *[]){&a, &b}, 2);

    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&out)), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(host.host, 4);
    assert_int_equal(host.epoch, 2);
    assert_int_equal(host.block_seq, 77);
    assert_int_equal(host.n_rows, 3);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 10);
    assert_int_equal(row.end_s, 1700000000);
    assert_int_equal(row.n, 3);
    assert_memory_equal(row.values, three, sizeof three);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 9);
    assert_int_equal(row.n, 0);
    /* The third row is skipped. */
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(host.host, 3);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 1);
    assert_true(row.end_s == INT64_MAX);
    assert_int_equal((uintptr_t)row.values % 4, 0);
    assert_memory_equal(row.values, three + 1, 2 * sizeof *three);
    assert_false(qr_entry_next_row(reader, &row));
    assert_false(qr_entry_next_host(reader, &host));
    qr_entry_reader_free(reader);

    qr_entry_block_clear(&a);
    assert_int_equal(a.n_rows, 0);
    assert_int_equal(a.host, 4);
    qr_entry_block_release(&a);
    qr_entry_block_release(&b);
    qr_buf_release(&out);
}

static void an_empty_batch_is_a_batch(void **state)
{
    (void)state;
    struct qr_buf out = encode(NULL, 0);
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&out)), 0);
    assert_false(qr_entry_next_host(reader, &host));
    qr_entry_reader_free(reader);
    qr_buf_release(&out);
}

/* Reads everything, as apply would. */
static uint64_t read_all(struct qr_entry_reader *reader)
{
    struct qr_entry_host host;
    struct qr_entry_row row;
    uint64_t sum = 0;
    while (qr_entry_next_host(reader, &host))
        while (qr_entry_next_row(reader, &row))
            for (uint32_t i = 0; i < row.n; i++)
                sum += row.values[i];
    return sum;
}

static void damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    struct qr_entry_block block;
    qr_entry_block_init(&block);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(qr_entry_block_row(&block, i, 1000 + i, three, i % 4), 0);
    struct qr_buf out = encode((struct qr_entry_block *[]){&block}, 1);
    struct qr_entry_reader *reader;
    for (size_t len = 0; len < out.len; len++)
        assert_int_not_equal(qr_entry_reader_new(&reader, qr_slice_of(out.base, len)), 0);
    for (size_t i = 0; i < out.len; i++) {
        for (int change = 1; change < 256; change++) {
            out.base[i] = (char)(out.base[i] ^ change);
            if (qr_entry_reader_new(&reader, qr_buf_slice(&out)) == 0) {
                read_all(reader);
                qr_entry_reader_free(reader);
            }
            out.base[i] = (char)(out.base[i] ^ change);
        }
    }
    qr_entry_block_release(&block);
    qr_buf_release(&out);
}

/* A body with these plain bytes. */
static struct qr_buf body_of(const uint8_t *plain, uint32_t n, uint32_t announced)
{
    struct qr_buf out = {0};
    qr_buf_add_u8(&out, 1);
    qr_buf_add_u32(&out, announced);
    qr_buf_reserve(&out, 1024);
    int len = LZ4_compress_default((const char *)plain, out.base + out.len, (int)n, 1000);
    assert_true(len > 0);
    out.len += (size_t)len;
    return out;
}

static void refuses_what_does_not_add_up(void **state)
{
    (void)state;
    static const struct {
        uint8_t plain[24];
        uint32_t n, announced;
        int err;
    } cases[] = {
        {{1, 5, 0, 0, 1, 2, 4, 1, 9, 0, 0, 0}, 12, 12, 0},
        {{1, 5, 0, 0, 1, 2, 4, 1, 9, 0, 0, 0}, 12, 13, QR_E_MALFORMED},
        {{1, 5, 0, 0, 1, 2, 4, 2, 9, 0, 0, 0}, 12, 12, QR_E_MALFORMED}, /* one value too few */
        {{1, 5, 0, 0, 1, 2, 4, 0, 9, 0, 0, 0}, 12, 12, QR_E_MALFORMED}, /* one too many */
        {{2, 5, 0, 0, 1, 2, 4, 1, 9, 0, 0, 0}, 12, 12, QR_E_MALFORMED}, /* no second host */
        {{1, 5, 0, 0, 1, 1, 4, 1, 9, 0, 0, 0}, 12, 12, QR_E_MALFORMED}, /* chart -1 */
        {{1, 5, 0, 0, 1, 2, 0x84, 0, 1, 9, 0, 0, 0}, 13, 13, QR_E_MALFORMED}, /* long varint */
        {{1, 5, 0, 0, 9, 2, 4, 1, 9, 0, 0, 0}, 12, 12, QR_E_MALFORMED},       /* 9 rows */
        {{0, 1}, 2, 2, QR_E_MALFORMED},
        {{0}, 1, QR_ENTRY_PLAIN_BYTES_MAX + 1, QR_E_LIMIT},
        {{0}, 1, QR_ENTRY_PLAIN_BYTES_MAX, QR_E_MALFORMED},
    };
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct qr_buf body = body_of(cases[c].plain, cases[c].n, cases[c].announced);
        struct qr_entry_reader *reader = NULL;
        int err = qr_entry_reader_new(&reader, qr_buf_slice(&body));
        if (err != cases[c].err)
            fail_msg("case %zu: %d, expected %d", c, err, cases[c].err);
        if (err == 0)
            qr_entry_reader_free(reader);
        body.base[0] = 2;
        assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&body)), QR_E_VERSION);
        qr_buf_release(&body);
    }
}

static void too_large_a_batch_is_refused(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 5);
    static uint32_t noise[QR_DIMS_PER_CHART_MAX];
    for (size_t i = 0; i < QR_COUNT(noise); i++)
        noise[i] = (uint32_t)qr_rng_next(&rng);
    struct qr_entry_block block;
    qr_entry_block_init(&block);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(qr_entry_block_row(&block, 1, i, noise, QR_COUNT(noise)), 0);
    struct qr_entry_block *blocks[] = {&block};
    struct qr_buf out = encode(blocks, 1);
    struct qr_entry_reader *reader;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&out)), 0);
    qr_entry_reader_free(reader);
    size_t len = out.len;
    assert_int_equal(qr_entry_block_row(&block, 1, 3, noise, QR_COUNT(noise)), 0);
    assert_int_equal(qr_entry_encode(&out, blocks, 1), QR_E_LIMIT); /* Does not shrink. */
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(qr_entry_block_row(&block, 1, i, noise, QR_COUNT(noise)), 0);
    assert_int_equal(qr_entry_encode(&out, blocks, 1), QR_E_LIMIT);
    assert_int_equal(out.len, len);
    qr_entry_block_release(&block);
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_in_order),
        cmocka_unit_test(an_empty_batch_is_a_batch),
        cmocka_unit_test(damaged_bytes_do_no_harm),
        cmocka_unit_test(refuses_what_does_not_add_up),
        cmocka_unit_test(too_large_a_batch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
