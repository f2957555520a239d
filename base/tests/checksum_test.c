#include "base/checksum.h"

#include "base/compiler.h"
#include "base/rng.h"
#include "testing/cmocka.h"

/* The examples of RFC 3720, appendix B.4, and the customary "123456789". */
static void agrees_with_the_published_vectors(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    static const uint8_t scsi_read[48] = {[0] = 0x01,  [1] = 0xc0,  [16] = 0x14, [22] = 0x04,
                                          [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
    memset(ones, 0xff, sizeof ones);
    for (uint8_t i = 0; i < 32; i++) {
        up[i] = i;
        down[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(qr_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(qr_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(qr_crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(qr_crc32c(0, up, 32), 0x46dd794e);
    assert_int_equal(qr_crc32c(0, down, 32), 0x113fdb5c);
    assert_int_equal(qr_crc32c(0, scsi_read, 48), 0xd9963a56);
    assert_int_equal(qr_crc32c(0, NULL, 0), 0);
}

static void the_portable_way_gives_the_same(void **state)
{
    uint8_t bytes[300];
    struct qr_rng rng;
    qr_rng_seed(&rng, 7);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)qr_rng_next(&rng);
    for (size_t from = 0; from < 16; from++) {
        for (size_t len = 0; from + len <= sizeof bytes; len++)
            assert_int_equal(qr_crc32c(from != 0 ? 0x1234567u : 0, bytes + from, len),
                             qr_crc32c_portable(from != 0 ? 0x1234567u : 0, bytes + from, len));
    }
}

static void continues_where_it_stopped(void **state)
{
    const char text[] = "the whole is the sum of its parts";
    const uint32_t whole = qr_crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++)
        assert_int_equal(qr_crc32c(qr_crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
}

static void sees_every_single_bit_flip(void **state)
{
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    const uint32_t sound = qr_crc32c(0, bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(qr_crc32c(0, bytes, sizeof bytes), sound);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_published_vectors),
        cmocka_unit_test(the_portable_way_gives_the_same),
        cmocka_unit_test(continues_where_it_stopped),
        cmocka_unit_test(sees_every_single_bit_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
