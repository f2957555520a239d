/* Whatever the bytes: an image that is refused changes nothing; one that is taken makes an image
 * that another member takes, and is then the same.  Lengths and checksums are made right, so that
 * what is behind them is reached. */
#include "cluster/tests/image_kit.h"

#include <assert.h>
#include <xxhash.h>

#include "base/checksum.h"
#include "base/log.h"

#define TAIL_HEADER_BYTES 12u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A member that has applied something, at indexes that an image may go on from. */
static struct image_kit *member(void)
{
    struct image_kit *kit = image_kit_new();
    struct qr_buf entry = {0};
    for (uint64_t i = 1; i <= 3; i++) {
        image_kit_entry(&entry, 1, i);
        qr_machine_apply(&kit->machine, i, qr_buf_slice(&entry));
    }
    qr_buf_release(&entry);
    return kit;
}

static uint64_t number_at(const char *at)
{
    struct qr_cursor in = qr_cursor_of(qr_slice_of(at, 8));
    return qr_cursor_u64(&in);
}

static void compare_with_another(struct image_kit *kit)
{
    struct image_kit *other = member();
    struct qr_buf one = {0}, two = {0};
    assert(qr_image_make(&kit->machine, &one) == 0);
    assert(qr_image_restore(&other->machine, qr_buf_slice(&one)) == 0);
    assert(other->machine.applied == kit->machine.applied);
    assert(other->machine.hash == kit->machine.hash);
    assert(qr_image_make(&other->machine, &two) == 0);
    assert(qr_slice_equal(qr_buf_slice(&one), qr_buf_slice(&two)));
    qr_buf_release(&one);
    qr_buf_release(&two);
    image_kit_free(other);
}

static void try(const char *bytes, size_t len)
{
    struct image_kit *kit = member();
    uint64_t applied = kit->machine.applied, hash = kit->machine.hash;
    struct memory_sink sink = kit->sink;
    if (qr_image_restore(&kit->machine, qr_slice_of(bytes, len)) != 0) {
        assert(kit->machine.applied == applied);
        assert(kit->machine.hash == hash);
        assert(kit->n_restored == 0);
        assert(memcmp(&sink, &kit->sink, sizeof sink) == 0);
    } else {
        assert(kit->n_restored == 1);
        assert(kit->machine.applied >= number_at(bytes + 8)); /* Entries go on from the state. */
        if (kit->n_fatal == 0) /* A damaged entry behind the state ends the member. */
            compare_with_another(kit);
    }
    image_kit_free(kit);
}

/* The checksum of each entry in the tail, as far as the lengths lead. */
static void seal_entries(char *tail, size_t len)
{
    while (len > TAIL_HEADER_BYTES) {
        uint64_t bytes = number_at(tail + 4) >> 32;
        char *entry = tail + TAIL_HEADER_BYTES;
        if (bytes > len - TAIL_HEADER_BYTES)
            return;
        if (bytes >= QR_COMMAND_HEADER_BYTES) {
            uint32_t crc = qr_crc32c(qr_crc32c(0, entry, 8), entry + 12, bytes - 12);
            memcpy(entry + 8, &crc, 4);
        }
        tail = entry + bytes;
        len -= TAIL_HEADER_BYTES + bytes;
    }
}

/* Format, length of the body, checksums of both parts and of the header. */
static void seal(char *bytes, size_t len)
{
    struct image_kit *kit = image_kit_new();
    struct qr_buf right = {0};
    assert(qr_image_make(&kit->machine, &right) == 0);
    memcpy(bytes, right.base, 8);
    qr_buf_release(&right);
    image_kit_free(kit);
    size_t left = len - QR_IMAGE_HEADER_BYTES;
    uint64_t n_body = number_at(bytes + 24);
    n_body = n_body <= left ? n_body : n_body % (left + 1);
    char *body = bytes + QR_IMAGE_HEADER_BYTES, *tail = body + n_body;
    seal_entries(tail, left - n_body);
    uint64_t parts[3] = {XXH3_64bits(body, n_body), left - n_body,
                         XXH3_64bits(tail, left - n_body)};
    uint64_t digest = XXH3_64bits(parts, sizeof parts);
    memcpy(bytes + 24, &n_body, 8);
    memcpy(bytes + 32, &digest, 8);
    uint64_t header = XXH3_64bits(bytes, 40);
    memcpy(bytes + 40, &header, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    qr_log_open(-1, QR_LOG_ERROR);
    try((const char *)data, len);
    if (len < QR_IMAGE_HEADER_BYTES)
        return 0;
    char *bytes = malloc(len);
    assert(bytes != NULL);
    memcpy(bytes, data, len);
    seal(bytes, len);
    try(bytes, len);
    free(bytes);
    return 0;
}
