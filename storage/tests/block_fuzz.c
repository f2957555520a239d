#include "storage/block_examine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/checksum.h"
#include "storage/block_layout.h"

/* A disk that is one file. */
static struct qr_slice file;

static ssize_t one_read(struct qr_disk *disk, const char *path, uint64_t offset, void *bytes,
                        size_t len)
{
    if (offset >= file.len || len == 0)
        return 0;
    size_t left = file.len - (size_t)offset;
    memcpy(bytes, file.base + offset, len < left ? len : left);
    return (ssize_t)(len < left ? len : left);
}

static int one_size(struct qr_disk *disk, const char *path, uint64_t *bytes)
{
    *bytes = file.len;
    return 0;
}

static void read_chunks(const struct qr_block_index *index, struct qr_disk *disk)
{
    struct qr_block_reader reader = {0};
    struct qr_grid grid = {0};
    uint32_t row;
    for (uint32_t i = 0; i < index->n_chunks && i < 64; i++)
        qr_block_read(&reader, index, disk, "f", i, &grid);
    for (uint32_t chart = 0; chart < 10; chart++) {
        uint32_t n = qr_block_find(index, 1, chart, 0, INT64_MAX / 2, &row);
        assert(n == 0 || (row < index->n_chunks && n <= index->n_chunks - row));
    }
    qr_grid_release(&grid);
    qr_block_reader_release(&reader);
}

static void count(void *data, uint64_t from, uint64_t to, const char *sentence)
{
    ++*(unsigned *)data;
}

static void read_file(const void *bytes, size_t len)
{
    static struct qr_disk disk = {.read = one_read, .size = one_size};
    file = qr_slice_of(bytes, len);
    uint64_t hash = len >= 16 ? qr_le_get(file.base + len - 16, 8) : 0;
    unsigned n_found = 0;
    const struct qr_block_exam exam = {count, NULL, &n_found};
    int err = qr_block_examine(&disk, "f", &exam);
    assert((err != 0) == (n_found != 0));
    /* What is sound to a person is so to members. */
    assert(err != 0 || qr_block_verify(&disk, "f", len, hash) == 0);
    struct qr_block_index *index;
    if (qr_block_index_read(&index, &disk, "f", len, hash) != 0)
        return;
    read_chunks(index, &disk);
    free(index);
}

/* The footer of a file whose index is `hosts`, `rows` and `pages`, at the end of `out`. */
static void end_file(struct qr_buf *out, struct qr_slice hosts, struct qr_slice rows,
                     struct qr_slice pages)
{
    uint8_t raw[QR_BLOCK_FOOTER_BYTES] = {0};
    qr_le_put(raw, out->len, 8);
    qr_le_put(raw + 8, hosts.len / QR_BLOCK_HOST_BYTES, 4);
    qr_le_put(raw + 12, rows.len / QR_BLOCK_ROW_BYTES, 4);
    qr_le_put(raw + 16, pages.len / QR_BLOCK_PAGE_ROW_BYTES, 4);
    qr_le_put(raw + 44, 600, 8); /* Start, length, and sub-window: */
    qr_le_put(raw + 52, 600, 4);
    qr_le_put(raw + 60, 60, 4);
    qr_le_put(raw + 68, qr_crc32c(0, hosts.base, hosts.len), 4);
    qr_le_put(raw + 72, qr_crc32c(0, rows.base, rows.len), 4);
    qr_le_put(raw + 76, qr_crc32c(0, pages.base, pages.len), 4);
    qr_le_put(raw + QR_BLOCK_FOOTER_CRC_AT, qr_crc32c(0, raw, QR_BLOCK_FOOTER_CRC_AT), 4);
    qr_le_put(raw + QR_BLOCK_FOOTER_CRC_AT + 4, QR_BLOCK_FOOTER_MAGIC, 4);
    qr_buf_add(out, hosts.base, hosts.len);
    qr_buf_add(out, rows.base, rows.len);
    qr_buf_add(out, pages.base, pages.len);
    qr_buf_add(out, raw, sizeof raw);
    read_file(out->base, out->len);
}

static void add_page(struct qr_buf *pages, uint64_t offset, struct qr_slice bytes, uint32_t row)
{
    qr_buf_add_u64(pages, offset);
    qr_buf_add_u32(pages, (uint32_t)bytes.len);
    qr_buf_add_u32(pages, qr_crc32c(0, bytes.base, bytes.len));
    qr_buf_add_u32(pages, row);
}

static void add_row(struct qr_buf *rows, uint32_t chart, uint16_t offset)
{
    qr_buf_add_u32(rows, chart);
    qr_buf_add_u16(rows, 0);
    qr_buf_add_u16(rows, offset);
}

/* The input as two pages of a file whose checksums are right: two chunks in the first, cut where
 * its first byte says, one in the second. */
static void read_pages(const uint8_t *data, size_t size)
{
    static const char zeros[QR_BLOCK_HEADER_BYTES];
    if (size < 3)
        return;
    struct qr_slice first = qr_slice_of(data + 1, (size - 1) / 2);
    struct qr_slice second = qr_slice_of(data + 1 + first.len, size - 1 - first.len);
    struct qr_buf out = {0}, hosts = {0}, rows = {0}, pages = {0};
    qr_buf_add(&out, zeros, sizeof zeros);
    qr_buf_add(&out, data + 1, size - 1);
    qr_buf_add_u32(&hosts, 1);
    qr_buf_add_u32(&hosts, 0);
    add_row(&rows, 1, 0);
    add_row(&rows, 2, data[0]);
    add_row(&rows, 3, 0);
    add_page(&pages, sizeof zeros, first, 0);
    add_page(&pages, sizeof zeros + first.len, second, 2);
    end_file(&out, qr_buf_slice(&hosts), qr_buf_slice(&rows), qr_buf_slice(&pages));
    struct qr_buf *const bufs[] = {&out, &hosts, &rows, &pages};
    for (size_t i = 0; i < 4; i++)
        qr_buf_release(bufs[i]);
}

/* The input as an index whose checksums are right. */
static void read_index(const uint8_t *data, size_t size)
{
    static const char zeros[QR_BLOCK_HEADER_BYTES];
    if (size < 2)
        return;
    size_t hosts_len = data[0] % 8u * QR_BLOCK_HOST_BYTES;
    size_t pages_len = data[1] % 8u * QR_BLOCK_PAGE_ROW_BYTES;
    data += 2;
    size -= 2;
    if (hosts_len + pages_len > size)
        return;
    size_t rows_len = (size - hosts_len - pages_len) / QR_BLOCK_ROW_BYTES * QR_BLOCK_ROW_BYTES;
    struct qr_buf out = {0};
    qr_buf_add(&out, zeros, sizeof zeros);
    end_file(&out, qr_slice_of(data, hosts_len), qr_slice_of(data + hosts_len, rows_len),
             qr_slice_of(data + hosts_len + rows_len, pages_len));
    qr_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_file(data, size);
    read_pages(data, size);
    read_index(data, size);
    return 0;
}
