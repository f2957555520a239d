#include <assert.h>
#include <lz4.h>

#include "storage/entry.h"
#include "storage/tests/bases.h"

/* Rows that were read are written and read again: the same. */
static void write_again(struct qr_entry_reader *reader, const struct qr_entry_host *host)
{
    static struct bases written;
    struct bases again = {0};
    struct qr_entry_block block, *blocks[] = {&block};
    struct qr_entry_reader *second;
    struct qr_entry_host told;
    struct qr_entry_row row, back;
    struct qr_buf body = {0};
    struct {
        uint32_t chart, n;
        int64_t end_s;
        uint64_t sum;
    } rows[256];
    uint32_t n_rows = 0;
    qr_entry_block_init(&block);
    block.host = host->host % BASES_HOSTS;
    block.epoch = 1;
    while (qr_entry_next_row(reader, &row)) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < row.n; i++)
            sum = sum * 31 + row.values[i];
        if (n_rows == sizeof rows / sizeof *rows)
            continue;
        uint32_t chart = row.chart % BASES_CHARTS;
        if (qr_entry_block_row(&block, &written.at[block.host][chart], chart, row.end_s, row.values,
                               row.n) != 0)
            continue;
        rows[n_rows].chart = chart;
        rows[n_rows].n = row.n;
        rows[n_rows].end_s = row.end_s;
        rows[n_rows++].sum = sum;
    }
    if (qr_entry_encode(&body, blocks, 1) == 0) {
        assert(qr_entry_reader_new(&second, qr_buf_slice(&body)) == 0);
        assert(qr_entry_next_host(second, &told));
        assert(qr_entry_read_rows(second, bases_find, &again) == 0);
        for (uint32_t r = 0; r < n_rows; r++) {
            uint64_t sum = 0;
            assert(qr_entry_next_row(second, &back));
            for (uint32_t i = 0; i < back.n; i++)
                sum = sum * 31 + back.values[i];
            assert(back.chart == rows[r].chart && back.n == rows[r].n &&
                   back.end_s == rows[r].end_s && sum == rows[r].sum);
        }
        assert(!qr_entry_next_row(second, &back));
        qr_entry_reader_free(second);
    }
    qr_buf_release(&body);
    qr_entry_block_release(&block);
    bases_release(&written);
    bases_release(&again);
}

/* Charts 0 .. 7 of every host have had a row in epoch 1. */
static void some_bases(struct bases *bases)
{
    for (uint32_t h = 0; h < BASES_HOSTS; h++) {
        for (uint32_t c = 0; c < 8; c++) {
            struct qr_entry_base *base = &bases->at[h][c];
            base->epoch = 1;
            base->n = base->capacity = c + 1;
            base->cells = calloc(base->n, sizeof *base->cells);
            for (uint32_t i = 0; i < base->n; i++)
                base->cells[i] = i * 0x04000007u;
        }
    }
}

static void read_and_write_again(struct qr_slice body)
{
    struct bases bases = {0}, before = {0};
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    if (qr_entry_reader_new(&reader, body) != 0)
        return;
    some_bases(&bases);
    while (qr_entry_next_host(reader, &host)) {
        bases_copy(&before, &bases);
        if (qr_entry_read_rows(reader, bases_find, &bases) == 0)
            write_again(reader, &host);
        else
            assert(bases_equal(&before, &bases));
    }
    qr_entry_reader_free(reader);
    bases_release(&bases);
    bases_release(&before);
}

/* As a whole body, and as the plain bytes of one, which mutation reaches better. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_and_write_again(qr_slice_of(data, size));
    if (size == 0 || size > 60000)
        return 0;
    struct qr_buf body = {0};
    qr_buf_add_u8(&body, 2);
    qr_buf_add_u32(&body, (uint32_t)size);
    int bound = LZ4_compressBound((int)size);
    if (qr_buf_reserve(&body, (size_t)bound) == 0) {
        body.len += (size_t)LZ4_compress_default((const char *)data, body.base + body.len,
                                                 (int)size, bound);
        read_and_write_again(qr_buf_slice(&body));
    }
    qr_buf_release(&body);
    return 0;
}
