#include "node/function_frame.h"

#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

static const struct qr_guid transaction = {{1, 2, 3}};

static struct qr_function_frame round_trip(const struct qr_function_frame *frame,
                                           struct qr_buf *bytes)
{
    struct qr_function_frame got;
    assert_int_equal(qr_function_frame_encode(bytes, frame), 0);
    assert_int_equal(qr_function_frame_decode(&got, qr_buf_slice(bytes)), 0);
    assert_int_equal(got.kind, frame->kind);
    assert_true(qr_guid_equal(&got.transaction, &transaction));
    /* Cut anywhere, it is refused; but a part's bytes may be fewer. */
    for (size_t len = 0; len < bytes->len && frame->kind != QR_FUNCTION_PART; len++) {
        struct qr_function_frame cut;
        assert_int_equal(qr_function_frame_decode(&cut, qr_slice_of(bytes->base, len)),
                         QR_E_MALFORMED);
    }
    return got;
}

static void carries_a_call_whole(void **state)
{
    (void)state;
    struct qr_buf bytes = {0};
    const struct qr_function_frame frame = {.kind = QR_FUNCTION_CALL,
                                            .transaction = transaction,
                                            .host = {{9}},
                                            .call = {.timeout_s = 30,
                                                     .function = qr_slice_str("qfunc a b"),
                                                     .access = 0x7ff,
                                                     .source = qr_slice_str("ip=1.2.3.4"),
                                                     .has_payload = true,
                                                     .content_type = qr_slice_str("text/plain"),
                                                     .payload = qr_slice_str("{\n}\n")}};
    struct qr_function_frame got = round_trip(&frame, &bytes);
    assert_int_equal(got.host.bytes[0], 9);
    assert_int_equal(got.call.timeout_s, 30);
    assert_int_equal(got.call.access, 0x7ff);
    assert_true(got.call.has_payload);
    assert_slice(got.call.function, "qfunc a b");
    assert_slice(got.call.source, "ip=1.2.3.4");
    assert_slice(got.call.content_type, "text/plain");
    assert_slice(got.call.payload, "{\n}\n");
    assert_true(qr_guid_equal(&got.call.transaction, &transaction));
    qr_buf_release(&bytes);
}

static void carries_the_rest(void **state)
{
    (void)state;
    static const enum qr_function_frame_kind kinds[] = {QR_FUNCTION_LIST, QR_FUNCTION_CANCEL,
                                                        QR_FUNCTION_PROGRESS, QR_FUNCTION_ANSWER,
                                                        QR_FUNCTION_PART};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct qr_buf bytes = {0};
        const struct qr_function_frame frame = {
            .kind = kinds[i],
            .transaction = transaction,
            .host = {{7}},
            .progress = {transaction, 3, 10},
            .result = {transaction, 404, qr_slice_str("text/html"), 1795405166},
            .body_bytes = QR_FUNCTION_RESULT_BYTES_MAX,
            .part = qr_slice_str("body")};
        struct qr_function_frame got = round_trip(&frame, &bytes);
        assert_true(kinds[i] != QR_FUNCTION_LIST || got.host.bytes[0] == 7);
        assert_true(kinds[i] != QR_FUNCTION_PROGRESS || got.progress.done == 3);
        assert_true(kinds[i] != QR_FUNCTION_PROGRESS || got.progress.all == 10);
        if (kinds[i] == QR_FUNCTION_ANSWER) {
            assert_int_equal(got.result.status, 404);
            assert_int_equal(got.result.expires_s, 1795405166);
            assert_int_equal(got.body_bytes, QR_FUNCTION_RESULT_BYTES_MAX);
            assert_slice(got.result.content_type, "text/html");
        }
        if (kinds[i] == QR_FUNCTION_PART)
            assert_slice(got.part, "body");
        qr_buf_release(&bytes);
    }
}

static void refuses_what_is_too_much(void **state)
{
    (void)state;
    struct qr_function_frame frame = {.kind = QR_FUNCTION_ANSWER,
                                      .transaction = transaction,
                                      .result = {.status = 200},
                                      .body_bytes = QR_FUNCTION_RESULT_BYTES_MAX + 1},
                             got;
    struct qr_buf bytes = {0};
    assert_int_equal(qr_function_frame_encode(&bytes, &frame), 0);
    assert_int_equal(qr_function_frame_decode(&got, qr_buf_slice(&bytes)), QR_E_MALFORMED);
    qr_buf_clear(&bytes);
    frame.body_bytes = 5;
    frame.result.status = 99;
    assert_int_equal(qr_function_frame_encode(&bytes, &frame), 0);
    assert_int_equal(qr_function_frame_decode(&got, qr_buf_slice(&bytes)), QR_E_MALFORMED);
    bytes.base[0] = QR_FUNCTION_KIND_NR;
    assert_int_equal(qr_function_frame_decode(&got, qr_buf_slice(&bytes)), QR_E_MALFORMED);
    bytes.base[0] = 0;
    assert_int_equal(qr_function_frame_decode(&got, qr_buf_slice(&bytes)), QR_E_MALFORMED);
    qr_buf_release(&bytes);
}

/* As Netdata routes: the whole text may be a name, or all but its last words. */
static void finds_the_function_of_a_call(void **state)
{
    (void)state;
    static const struct {
        const char *call, *name;
    } cases[] = {
        {"top", "top"},
        {"top a  b", "top"},
        {"top cpu", "top cpu"},
        {"top cpu 1", "top cpu"},
        {"topless", NULL},
        {"to", NULL},
        {"", NULL},
        {" ", NULL},
        {"nothing top", NULL},
    };
    struct qr_buf list = {0};
    struct qr_function f = {.name = qr_slice_str("top"),
                            .help = qr_slice_str("h"),
                            .tags = qr_slice_str("t"),
                            .timeout_s = 10};
    assert_int_equal(qr_function_list_add(&list, &f), 0);
    f.name = qr_slice_str("top cpu");
    f.global = true;
    f.access = 0x13;
    f.priority = 101;
    f.version = 3;
    assert_int_equal(qr_function_list_add(&list, &f), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_function got;
        bool found = qr_function_list_find(qr_buf_slice(&list), qr_slice_str(cases[i].call), &got);
        assert_int_equal(found, cases[i].name != NULL);
        if (found)
            assert_slice(got.name, cases[i].name);
    }
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&list));
    assert_true(qr_function_list_next(&in, &f));
    assert_false(f.global);
    assert_true(qr_function_list_next(&in, &f));
    assert_true(f.global);
    assert_int_equal(f.access, 0x13);
    assert_int_equal(f.priority, 101);
    assert_int_equal(f.version, 3);
    assert_false(qr_function_list_next(&in, &f));
    qr_buf_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_a_call_whole),
        cmocka_unit_test(carries_the_rest),
        cmocka_unit_test(refuses_what_is_too_much),
        cmocka_unit_test(finds_the_function_of_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
