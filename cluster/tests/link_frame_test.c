#include "cluster/link_frame.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "testing/cmocka.h"

static size_t encode(uint8_t *bytes, enum qr_link_type type, uint32_t group, const char *payload)
{
    struct qr_slice part = qr_slice_str(payload);
    qr_link_frame_header(bytes, type, group, &part, 1);
    memcpy(bytes + QR_LINK_HEADER_BYTES, payload, part.len);
    return QR_LINK_HEADER_BYTES + part.len;
}

static void round_trips(void **state)
{
    (void)state;
    for (unsigned type = QR_LINK_HELLO; type < QR_LINK_TYPE_NR; type++) {
        uint8_t bytes[64];
        struct qr_link_frame frame;
        size_t used;
        const char *payload = type == QR_LINK_PING ? "" : "payload";
        size_t len = encode(bytes, (enum qr_link_type)type, 0xdeadbeef, payload);
        assert_int_equal(qr_link_frame_decode(&frame, &used, qr_slice_of(bytes, sizeof bytes)), 0);
        assert_int_equal(used, len);
        assert_int_equal(frame.type, type);
        assert_int_equal(frame.group, 0xdeadbeef);
        assert_slice(frame.payload, payload);
        assert_string_not_equal(qr_link_type_name(type), "?");
    }
    assert_string_equal(qr_link_type_name(QR_LINK_TYPE_NR), "?");
}

static void parts_are_one_payload(void **state)
{
    (void)state;
    uint8_t whole[64], parts[QR_LINK_HEADER_BYTES];
    struct qr_slice three[3] = {qr_slice_str("ab"), qr_slice_of(NULL, 0), qr_slice_str("cde")};
    encode(whole, QR_LINK_RAFT, 1, "abcde");
    qr_link_frame_header(parts, QR_LINK_RAFT, 1, three, 3);
    assert_memory_equal(whole, parts, sizeof parts);
}

static void says_how_much_it_needs(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct qr_link_frame frame;
    size_t used, len = encode(bytes, QR_LINK_RAFT, 1, "hello");
    for (size_t n = 0; n < len; n++) {
        assert_int_equal(qr_link_frame_decode(&frame, &used, qr_slice_of(bytes, n)), QR_E_PARTIAL);
        assert_int_equal(used, n < QR_LINK_HEADER_BYTES ? QR_LINK_HEADER_BYTES : len);
    }
}

static void any_flipped_bit_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[64];
    size_t len = encode(bytes, QR_LINK_PROPOSE, 1, "hello"), used;
    struct qr_link_frame frame;
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(qr_link_frame_decode(&frame, &used, qr_slice_of(bytes, len)), 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(qr_link_frame_decode(&frame, &used, qr_slice_of(bytes, len)), 0);
}

static void each_type_has_its_limit(void **state)
{
    (void)state;
    for (unsigned type = QR_LINK_HELLO; type < QR_LINK_TYPE_NR; type++) {
        uint8_t bytes[QR_LINK_HEADER_BYTES];
        struct qr_link_frame frame;
        size_t used, max = qr_link_payload_max((enum qr_link_type)type);
        qr_link_frame_header(bytes, (enum qr_link_type)type, 1, NULL, 0);
        for (uint32_t over = 0; over < 2; over++) {
            uint32_t len = (uint32_t)max + over;
            memcpy(bytes + 12, &len, 4);
            int err = qr_link_frame_decode(&frame, &used, qr_slice_of(bytes, sizeof bytes));
            assert_int_equal(err, over ? QR_E_LIMIT : max ? QR_E_PARTIAL : 0);
        }
        assert_true(type == QR_LINK_RAFT || max <= 1024 * 1024 + 4096);
    }
}

static void hello_round_trips(void **state)
{
    (void)state;
    struct qr_link_hello hello = {QR_LINK_VERSION, 7,          0x1122334455667788,
                                  {{1, 2, 3}},     0x99aabbcc, qr_slice_str("h:1")};
    struct qr_link_hello got = {0};
    uint8_t bytes[QR_LINK_HELLO_BYTES_MAX];
    size_t len = qr_link_hello_encode(&hello, bytes);
    assert_int_equal(qr_link_hello_decode(&got, qr_slice_of(bytes, len)), 0);
    assert_int_equal(got.member, 7);
    assert_true(got.incarnation == hello.incarnation);
    assert_true(qr_guid_equal(&got.cluster, &hello.cluster));
    assert_int_equal(got.disk, 0x99aabbcc);
    assert_slice(got.address, "h:1");
    for (size_t n = 0; n < 36; n++)
        assert_int_equal(qr_link_hello_decode(&got, qr_slice_of(bytes, n)), QR_E_MALFORMED);
    bytes[4] = 0; /* member 0 */
    assert_int_equal(qr_link_hello_decode(&got, qr_slice_of(bytes, len)), QR_E_MALFORMED);
    bytes[0] = 9; /* what follows may be anything in another version */
    assert_int_equal(qr_link_hello_decode(&got, qr_slice_of(bytes, 5)), QR_E_VERSION);
    assert_int_equal(got.version, 9);
}

/* docs/formats/link-frames.md shows a hello in hex: it is this one. */
static void the_documented_example_is_true(void **state)
{
    (void)state;
    struct qr_link_hello hello = {QR_LINK_VERSION, 2,      7,
                                  {{0}},           0xd15c, qr_slice_str("10.0.0.2:19998")};
    uint8_t payload[QR_LINK_HELLO_BYTES_MAX], bytes[QR_LINK_HEADER_BYTES + sizeof payload];
    for (uint8_t i = 0; i < 16; i++)
        hello.cluster.bytes[i] = i;
    struct qr_slice part = qr_slice_of(payload, qr_link_hello_encode(&hello, payload));
    qr_link_frame_header(bytes, QR_LINK_HELLO, 0, &part, 1);
    memcpy(bytes + QR_LINK_HEADER_BYTES, payload, part.len);
    size_t len = QR_LINK_HEADER_BYTES + part.len;

    struct qr_buf expected;
    qr_buf_init(&expected, 0);
    for (size_t i = 0; i < len; i++)
        qr_buf_printf(&expected, i % 16 == 0 ? "\n    %02x" : " %02x", bytes[i]);
    FILE *in = fopen(QR_SOURCE_DIR "/docs/formats/link-frames.md", "r");
    assert_non_null(in);
    static char text[64 * 1024];
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    if (strstr(text, expected.base) == NULL)
        fail_msg("not in docs/formats/link-frames.md:%s", expected.base);
    qr_buf_release(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(parts_are_one_payload),
        cmocka_unit_test(says_how_much_it_needs),
        cmocka_unit_test(any_flipped_bit_is_seen),
        cmocka_unit_test(each_type_has_its_limit),
        cmocka_unit_test(hello_round_trips),
        cmocka_unit_test(the_documented_example_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
