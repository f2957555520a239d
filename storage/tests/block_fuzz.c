#include "storage/block.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/checksum.h"

/* A disk that is one file. */
static struct qr_slice file;

static ssize_t one_read(struct qr_disk *disk, const char *path, uint64_t offset, void *bytes,
                        size_t len)
{
    if (offset >= file.len)
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

static void read_file(const void *bytes, size_t len)
{
    static struct qr_disk disk = {.read = one_read, .size = one_size};
    file = qr_slice_of(bytes, len);
    uint64_t hash = 0;
    if (len >= 8)
        memcpy(&hash, file.base + len - 8, 8);
    qr_block_verify(&disk, "f", len, hash);
    struct qr_block_index *index;
    if (qr_block_index_read(&index, &disk, "f", len, hash) != 0)
        return;
    struct qr_block_reader reader = {0};
    struct qr_grid grid = {0};
    for (uint32_t chart = 0; chart < 10; chart++)
        qr_block_read(&reader, index, &disk, "f", chart, &grid);
    qr_grid_release(&grid);
    qr_block_reader_release(&reader);
    free(index);
}

/* The input as a page of a file whose checksums are right. */
static void read_page(const uint8_t *data, size_t size)
{
    struct qr_buf out = {0}, table = {0};
    static const char zeros[64];
    qr_buf_add(&out, zeros, 64);
    qr_buf_add(&out, data, size);
    qr_buf_add_u32(&table, 1);
    qr_buf_add_u32(&table, (uint32_t)size);
    qr_buf_add_u32(&table, qr_crc32c(0, data, size));
    qr_buf_add(&out, table.base, table.len);
    size_t footer = out.len;
    qr_buf_add_u32(&out, 1);
    qr_buf_add_u32(&out, 1);
    qr_buf_add_u64(&out, 1);
    qr_buf_add_u32(&out, 0);
    qr_buf_add_u64(&out, 600);
    qr_buf_add_u32(&out, 600);
    qr_buf_add_u32(&out, 0);
    qr_buf_add_u64(&out, 64 + size);
    qr_buf_add_u32(&out, qr_crc32c(0, table.base, table.len));
    qr_buf_add_u32(&out, qr_crc32c(0, out.base, 64));
    qr_buf_add_u32(&out, qr_crc32c(0, out.base + footer, 52));
    qr_buf_add_u32(&out, 0x46425251);
    qr_buf_add_u64(&out, XXH3_64bits(out.base, out.len));
    read_file(out.base, out.len);
    qr_buf_release(&out);
    qr_buf_release(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_file(data, size);
    read_page(data, size);
    return 0;
}
