#include "testing/request_text.h"

#include "proto/handshake.h"
#include "testing/cmocka.h"

/* Our own parser, which reads the captured requests of both, reads these alike. */
static void is_read_as_what_was_said(void **state)
{
    (void)state;
    struct qr_guid guid;
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str("6035821f-75be-49a6-8d4b-997a06c93736")), 0);
    for (int as_29 = 0; as_29 < 2; as_29++) {
        const struct qr_request_text request = {.api_key = "11111111-2222-3333-4444-555555555555",
                                                .hostname = "web-1",
                                                .guid = &guid,
                                                .update_every = 2,
                                                .caps = 66912248,
                                                .as_29 = as_29};
        struct qr_buf text = {0};
        struct qr_handshake read = {0};
        const char *reason = NULL;
        qr_request_text_stream(&text, &request);
        assert_int_equal(qr_handshake_parse(&read, qr_buf_slice(&text), &reason), text.len);
        assert_slice(read.hostname, "web-1");
        assert_true(qr_guid_equal(&read.machine_guid, &guid));
        assert_int_equal(read.ver, request.caps);
        assert_int_equal(read.update_every, 2);
        assert_slice(read.program_version, as_29 ? "v2.9.0" : "v1.37.1");
        qr_handshake_release(&read);
        qr_buf_release(&text);
    }
}

static void asks_as_it_was_captured(void **state)
{
    (void)state;
    struct qr_guid guid;
    struct qr_buf text = {0};
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str("6035821f-75be-49a6-8d4b-997a06c93736")), 0);
    qr_request_text_question(&text, &guid, "127.0.0.1:19999");
    assert_slice(qr_buf_slice(&text),
                 "GET /api/v3/stream_info?machine_guid=6035821f-75be-49a6-8d4b-997a06c93736 "
                 "HTTP/1.1\r\nHost: 127.0.0.1:19999\r\nUser-Agent: netdata/v2.9.0\r\n"
                 "Accept: */*\r\nAccept-Encoding: identity\r\nTE: identity\r\n"
                 "Pragma: no-cache\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n");
    qr_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_as_what_was_said),
        cmocka_unit_test(asks_as_it_was_captured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
