#include "storage/block_id.h"

#include <string.h>

#include "base/limits.h"
#include "testing/cmocka.h"

static const struct qr_block_id small = {.start_s = 1200, .window_s = 600, .generation = 2};
static const struct qr_block_id large = {.start_s = QR_TIME_S_MAX,
                                         .window_s = QR_WINDOW_S_MAX,
                                         .generation = UINT32_MAX,
                                         .shard = QR_SHARD_MAX,
                                         .tier = QR_TIERS - 1};

static void names_have_one_form(void **state)
{
    (void)state;
    char name[QR_BLOCK_NAME_BYTES];
    struct qr_block_id parsed;
    qr_block_format_name(&small, name);
    assert_string_equal(name, "s0000-t0-000004b0-w600-g2.qb");
    assert_true(qr_block_parse_name(&parsed, name));
    assert_true(qr_block_id_is(&parsed, &small));
    qr_block_format_name(&large, name);
    assert_string_equal(name, "sffff-t2-200000000-w86400-g4294967295.qb");
    assert_true(qr_block_parse_name(&parsed, name));
    assert_true(qr_block_id_is(&parsed, &large));
    assert_true(qr_block_parse_name(&parsed, "s0007-t1-6553f100-w21600-g0.qb"));
    assert_int_equal(parsed.shard, 7);
    assert_int_equal(parsed.tier, 1);
    assert_int_equal(parsed.start_s, 0x6553f100);
    static const char *const bad[] = {
        "",
        "s0000-t0-4b0-w600-g2.qb",
        "s0000-t0-000004b0-w600-g2.qb.tmp",
        "s0000-t0-000004b0-w600-g2",
        "s0000-t0-000004b0-w0600-g2.qb",
        "s0000-t0-000004B0-w600-g2.qb",
        "s0000-t0-000004b0-w600-g-1.qb",
        "s0000-t0-000004b0-w0-g2.qb",
        "s0000-t0-000004b0-w86401-g2.qb",
        "s0000-t0-200000001-w600-g2.qb",
        "s0000-t0-ffffffffffffffff-w600-g2.qb",
        "s0000-t3-000004b0-w600-g2.qb",
        "s0000-t256-000004b0-w600-g2.qb",
        "s0-t0-000004b0-w600-g2.qb",
        "s10000-t0-000004b0-w600-g2.qb",
        "../s0000-t0-000004b0-w600-g2.qb",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(qr_block_parse_name(&parsed, bad[i]));
}

static void the_order_is_tier_start_length_shard_generation(void **state)
{
    (void)state;
    static const struct qr_block_id ids[] = {
        {.start_s = 600, .window_s = 600, .generation = 9},
        {.start_s = 1200, .window_s = 600, .generation = 0},
        {.start_s = 1200, .window_s = 600, .generation = 1},
        {.start_s = 1200, .window_s = 600, .shard = 1},
        {.start_s = 1200, .window_s = 21600},
        {.start_s = 1800, .window_s = 600},
        {.start_s = 0, .window_s = 600, .tier = 1},
    };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_true(qr_block_id_is(&ids[i], &ids[i]));
        for (size_t k = 0; k < i; k++) {
            assert_true(qr_block_id_compare(&ids[k], &ids[i]) < 0);
            assert_true(qr_block_id_compare(&ids[i], &ids[k]) > 0);
        }
    }
}

static void goes_through_bytes(void **state)
{
    (void)state;
    const struct qr_block_id *const ids[] = {&small, &large};
    for (size_t i = 0; i < 2; i++) {
        struct qr_buf out = {0};
        struct qr_block_id back;
        assert_int_equal(qr_block_id_encode(&out, ids[i]), 0);
        for (size_t len = 0; len <= out.len; len++) {
            struct qr_cursor in = qr_cursor_of(qr_slice_of(out.base, len));
            qr_block_id_decode(&back, &in);
            assert_int_equal(qr_cursor_done(&in), len == out.len);
        }
        assert_true(qr_block_id_is(&back, ids[i]));
        qr_buf_release(&out);
    }
    static const uint8_t bad[][6] = {
        {3, 0, 60, 0, 0},             /* No such tier, */
        {0, 0, 0, 0, 0},              /* no length, */
        {0, 0, 60, 0x80, 0x80, 0x04}, /* no such shard. */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct qr_cursor in = qr_cursor_of(qr_slice_of(bad[i], sizeof bad[i]));
        struct qr_block_id back;
        qr_block_id_decode(&back, &in);
        assert_true(in.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_one_form),
        cmocka_unit_test(the_order_is_tier_start_length_shard_generation),
        cmocka_unit_test(goes_through_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
