#include "cluster/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

static const struct qr_command sample = {
    .type = QR_COMMAND_OWN,
    .member = 2,
    .incarnation = 0x0000000665544332,
    .sequence = 5,
    .time_us = 1732340000123456,
    .body = {"\x01\x02\x03\x04\x05", 5},
};

static void comes_back_as_it_was_put_in(void **state)
{
    (void)state;
    char bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + 1);
    for (size_t len = 0; len < sizeof bytes; len++) {
        for (int type = 1; type <= QR_COMMAND_TYPE_MAX; type++) {
            struct qr_command in = sample, out = {0};
            in.type = (enum qr_command_type)type;
            in.body = qr_slice_of(bytes, len);
            struct qr_buf entry = {0};
            assert_int_equal(qr_command_encode(&entry, &in), 0);
            assert_int_equal(entry.len % 8, 0);
            assert_int_equal(qr_command_decode(&out, qr_buf_slice(&entry)), 0);
            assert_int_equal(out.type, type);
            assert_int_equal(out.member, in.member);
            assert_int_equal(out.incarnation, in.incarnation);
            assert_int_equal(out.sequence, in.sequence);
            assert_int_equal(out.time_us, in.time_us);
            assert_true(qr_slice_equal(out.body, in.body));
            qr_buf_release(&entry);
        }
    }
}

/* Whatever byte is hit, the checksum says so; also for cut and lengthened entries. */
static void any_damage_is_found(void **state)
{
    (void)state;
    struct qr_buf entry = {0};
    struct qr_command out;
    assert_int_equal(qr_command_encode(&entry, &sample), 0);
    for (size_t i = 0; i < entry.len; i++) {
        entry.base[i] ^= 0x10;
        assert_int_equal(qr_command_decode(&out, qr_buf_slice(&entry)), QR_E_CORRUPT);
        entry.base[i] ^= 0x10;
    }
    for (size_t len = 0; len < entry.len; len++)
        assert_int_equal(qr_command_decode(&out, qr_slice_of(entry.base, len)), QR_E_CORRUPT);
    assert_int_equal(qr_command_decode(&out, qr_buf_slice(&entry)), 0);
    qr_buf_release(&entry);
}

/* Changes a byte and makes the checksum right again: an entry as some other version wrote it. */
static int decode_with(size_t at, char value)
{
    struct qr_buf entry = {0};
    struct qr_command out;
    qr_command_encode(&entry, &sample);
    entry.base[at] = value;
    uint32_t crc = qr_crc32c(qr_crc32c(0, entry.base, 8), entry.base + 12, entry.len - 12);
    memcpy(entry.base + 8, &crc, 4);
    int err = qr_command_decode(&out, qr_buf_slice(&entry));
    qr_buf_release(&entry);
    return err;
}

static void sound_but_foreign_entries_are_told_from_damage(void **state)
{
    (void)state;
    assert_int_equal(decode_with(0, 'Q'), 0);
    assert_int_equal(decode_with(0, 'R'), QR_E_MALFORMED);
    for (int version = 0; version < 256; version++)
        assert_int_equal(decode_with(1, (char)version),
                         version == QR_COMMAND_VERSION ? 0 : QR_E_VERSION);
    assert_int_equal(decode_with(2, 0), QR_E_VERSION);
    assert_int_equal(decode_with(2, QR_COMMAND_TYPE_MAX + 1), QR_E_VERSION);
    assert_int_equal(decode_with(3, 1), QR_E_MALFORMED);
    assert_int_equal(decode_with(4, 9), QR_E_MALFORMED);  /* more than there is */
    assert_int_equal(decode_with(4, 0), QR_E_MALFORMED);  /* more padding than needed */
    assert_int_equal(decode_with(47, 1), QR_E_MALFORMED); /* padding is zeros */
}

static void the_limit_is_the_entry_with_its_header(void **state)
{
    (void)state;
    size_t max = QR_ENTRY_BYTES_MAX - QR_COMMAND_HEADER_BYTES;
    char *bytes = calloc(1, max + 1);
    struct qr_command in = sample, out;
    struct qr_buf entry = {0};
    in.body = qr_slice_of(bytes, max);
    assert_int_equal(qr_command_encode(&entry, &in), 0);
    assert_int_equal(entry.len, QR_ENTRY_BYTES_MAX);
    assert_int_equal(qr_command_decode(&out, qr_buf_slice(&entry)), 0);
    in.body.len++;
    assert_int_equal(qr_command_encode(&entry, &in), QR_E_LIMIT);
    assert_int_equal(entry.len, QR_ENTRY_BYTES_MAX);
    free(bytes);
    qr_buf_release(&entry);
}

/* The example in docs/formats/log-entry.md is this very entry. */
static void the_documented_bytes_are_the_bytes(void **state)
{
    (void)state;
    FILE *file = fopen(QR_SOURCE_DIR "/docs/formats/log-entry.md", "r");
    assert_non_null(file);
    char line[256];
    struct qr_buf bytes = {0};
    bool inside = false;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "```", 3) == 0) {
            inside = strcmp(line, "```hex\n") == 0;
            continue;
        }
        for (char *p = line, *end; inside; p = end) {
            unsigned long v = strtoul(p, &end, 16);
            if (end == p)
                break;
            qr_buf_add_u8(&bytes, (uint8_t)v);
        }
    }
    fclose(file);
    struct qr_buf entry = {0};
    assert_int_equal(qr_command_encode(&entry, &sample), 0);
    assert_int_equal(bytes.len, entry.len);
    assert_memory_equal(bytes.base, entry.base, entry.len);
    qr_buf_release(&bytes);
    qr_buf_release(&entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was_put_in),
        cmocka_unit_test(any_damage_is_found),
        cmocka_unit_test(sound_but_foreign_entries_are_told_from_damage),
        cmocka_unit_test(the_limit_is_the_entry_with_its_header),
        cmocka_unit_test(the_documented_bytes_are_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
