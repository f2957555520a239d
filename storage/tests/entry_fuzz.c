#include "storage/entry.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>

#include "base/error.h"

static void read_and_write_again(struct qr_slice body)
{
    struct qr_entry_reader *reader;
    if (qr_entry_reader_new(&reader, body) != 0)
        return;
    struct qr_entry_host host;
    struct qr_entry_row row;
    uint64_t sum = 0;
    while (qr_entry_next_host(reader, &host)) {
        struct qr_entry_block block;
        qr_entry_block_init(&block);
        while (qr_entry_next_row(reader, &row)) {
            for (uint32_t i = 0; i < row.n; i++)
                sum += row.values[i];
            assert(qr_entry_block_row(&block, row.chart, row.end_s, row.values, row.n) == 0);
        }
        assert(block.n_rows == host.n_rows);
        qr_entry_block_release(&block);
    }
    qr_entry_reader_free(reader);
    (void)sum;
}

/* As a whole body, and as the plain bytes of one, which mutation reaches better. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_and_write_again(qr_slice_of(data, size));
    if (size == 0 || size > 60000)
        return 0;
    struct qr_buf body = {0};
    qr_buf_add_u8(&body, 1);
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
