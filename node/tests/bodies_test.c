#include "node/bodies.h"

#include <stdlib.h>

#include "base/error.h"
#include "testing/cmocka.h"

static void host_state_round_trip(void **state)
{
    (void)state;
    struct qr_gap in[2] = {{7, 100, 160, 0}, {8, 1000000000, 1000000001, 2}};
    struct qr_host_state told = {
        .host = 3, .epoch = 9, .says = true, .connected = true, .n_gaps = 2, .gaps = in};
    struct qr_buf body = {0};
    assert_int_equal(qr_host_state_encode(&body, &told), 0);
    struct qr_gap *gaps = calloc(QR_STATE_GAPS_MAX, sizeof *gaps);
    struct qr_host_state read;
    assert_int_equal(qr_host_state_decode(&read, gaps, qr_buf_slice(&body)), 0);
    assert_int_equal(read.host, 3);
    assert_int_equal(read.epoch, 9);
    assert_true(read.says && read.connected);
    assert_int_equal(read.n_gaps, 2);
    assert_int_equal(read.gaps[1].chart, 8);
    assert_int_equal(read.gaps[1].after_s, 1000000000);
    assert_int_equal(read.gaps[1].before_s, 1000000001);
    assert_int_equal(read.gaps[1].reason, 2);
    for (size_t cut = 0; cut < body.len; cut++)
        assert_int_equal(qr_host_state_decode(&read, gaps, qr_slice_of(body.base, cut)),
                         QR_E_MALFORMED);
    qr_buf_add_u8(&body, 0);
    assert_int_equal(qr_host_state_decode(&read, gaps, qr_buf_slice(&body)), QR_E_MALFORMED);
    free(gaps);
    qr_buf_release(&body);
}

static void seals_round_trip(void **state)
{
    (void)state;
    struct qr_sealed in = {
        {.start_s = 1795405200, .window_s = 600, .generation = 2, .shard = 7, .tier = 1},
        12345,
        0xfeedface12345678u};
    struct qr_sealed out;
    struct qr_buf body = {0};
    assert_int_equal(qr_sealed_encode(&body, &in), 0);
    assert_int_equal(qr_sealed_decode(&out, qr_buf_slice(&body)), 0);
    assert_true(qr_block_id_is(&out.id, &in.id));
    assert_int_equal(out.bytes, 12345);
    assert_true(out.hash == in.hash);
    qr_buf_clear(&body);
    int64_t time_s;
    qr_time_body_encode(&body, 1795405200);
    assert_int_equal(qr_time_body_decode(&time_s, qr_buf_slice(&body)), 0);
    assert_int_equal(time_s, 1795405200);
    qr_buf_clear(&body);
    qr_time_body_encode(&body, -5);
    assert_int_equal(qr_time_body_decode(&time_s, qr_buf_slice(&body)), QR_E_MALFORMED);
    qr_buf_release(&body);
}

static void merges_and_retentions_round_trip(void **state)
{
    (void)state;
    const struct qr_retention in = {{1795405200, 0, 5}, {0, 1u << 30, 7}};
    struct qr_retention out;
    const struct qr_merge_body merge_in = {2, 77, 1795392000};
    struct qr_merge_body merge;
    struct qr_buf body = {0};
    assert_int_equal(qr_retain_body_encode(&body, &in), 0);
    assert_int_equal(qr_retain_body_decode(&out, qr_buf_slice(&body)), 0);
    assert_memory_equal(&out, &in, sizeof in);
    qr_buf_add_u8(&body, 0);
    assert_int_equal(qr_retain_body_decode(&out, qr_buf_slice(&body)), QR_E_MALFORMED);
    qr_buf_clear(&body);
    assert_int_equal(qr_merge_body_encode(&body, &merge_in), 0);
    assert_int_equal(qr_merge_body_decode(&merge, qr_buf_slice(&body)), 0);
    assert_int_equal(merge.tier, 2);
    assert_int_equal(merge.shard, 77);
    assert_true(merge.start_s == 1795392000);
    body.base[0] = QR_TIERS;
    assert_int_equal(qr_merge_body_decode(&merge, qr_buf_slice(&body)), QR_E_MALFORMED);
    qr_buf_release(&body);
}

static void charts_are_counted_in_front(void **state)
{
    (void)state;
    struct qr_charts_body body;
    qr_charts_body_init(&body, 4, 5);
    assert_true(qr_charts_body_fits(&body, QR_BATCH_BYTES_MAX + 1)); /* one always fits */
    qr_charts_body_add(&body, qr_slice_str("abc"));
    qr_charts_body_add(&body, qr_slice_str("de"));
    assert_false(qr_charts_body_fits(&body, QR_BATCH_BYTES_MAX));
    struct qr_buf *whole = qr_charts_body_finish(&body);
    struct qr_charts_head head;
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(whole));
    assert_int_equal(qr_charts_head_decode(&head, &in), 0);
    assert_int_equal(head.host, 4);
    assert_int_equal(head.epoch, 5);
    assert_int_equal(head.n, 2);
    assert_slice(qr_cursor_take(&in, qr_cursor_left(&in)), "abcde");
    qr_charts_body_release(&body);
}

static void forgets_round_trip(void **state)
{
    (void)state;
    static struct qr_forget_body in = {true, 0, 2, {{1000000, 4000000000u}, {7, 0}}}, out;
    struct qr_buf body = {0};
    assert_int_equal(qr_forget_encode(&body, &in), 0);
    assert_int_equal(qr_forget_decode(&out, qr_buf_slice(&body)), 0);
    assert_true(out.only_expired);
    assert_int_equal(out.n, 2);
    assert_memory_equal(out.what, in.what, 2 * sizeof in.what[0]);
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(qr_forget_decode(&out, qr_slice_of(body.base, len)), QR_E_MALFORMED);
    qr_buf_add_u8(&body, 0);
    assert_int_equal(qr_forget_decode(&out, qr_buf_slice(&body)), QR_E_MALFORMED);
    qr_buf_clear(&body);
    in.n = QR_FORGET_MAX;
    assert_int_equal(qr_forget_encode(&body, &in), 0);
    assert_int_equal(qr_forget_decode(&out, qr_buf_slice(&body)), 0);
    body.base[0] = 3;
    assert_int_equal(qr_forget_decode(&out, qr_buf_slice(&body)), QR_E_MALFORMED);
    qr_buf_clear(&body);
    in.n = 0; /* An entry that says nothing is not ours. */
    assert_int_equal(qr_forget_encode(&body, &in), 0);
    assert_int_equal(qr_forget_decode(&out, qr_buf_slice(&body)), QR_E_MALFORMED);
    qr_buf_release(&body);
}

static void forgets_of_hosts_that_are_away_round_trip(void **state)
{
    (void)state;
    static struct qr_forget_body in = {false, 1700000000, 2, {{1000000, 0}, {7, 0}}}, out;
    struct qr_buf body = {0};
    assert_int_equal(qr_forget_encode(&body, &in), 0);
    assert_int_equal(body.base[0], 2);
    assert_int_equal(qr_forget_decode(&out, qr_buf_slice(&body)), 0);
    assert_false(out.only_expired);
    assert_int_equal(out.away_before_s, 1700000000);
    assert_memory_equal(out.what, in.what, 2 * sizeof in.what[0]);
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(qr_forget_decode(&out, qr_slice_of(body.base, len)), QR_E_MALFORMED);
    qr_buf_clear(&body);
    in.what[1].chart = 5; /* Hosts only. */
    assert_int_equal(qr_forget_encode(&body, &in), 0);
    assert_int_equal(qr_forget_decode(&out, qr_buf_slice(&body)), QR_E_MALFORMED);
    assert_int_equal(qr_forget_decode(&out, qr_slice_of("\2\0\1\7\0", 5)), QR_E_MALFORMED);
    qr_buf_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_state_round_trip),
        cmocka_unit_test(seals_round_trip),
        cmocka_unit_test(merges_and_retentions_round_trip),
        cmocka_unit_test(charts_are_counted_in_front),
        cmocka_unit_test(forgets_round_trip),
        cmocka_unit_test(forgets_of_hosts_that_are_away_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
