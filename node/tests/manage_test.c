#include "node/manage.h"

#include "testing/cmocka.h"

/* What is refused at once, and with what. */
static void strangers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *request, *peer;
        int status;
    } cases[] = {
        {"POST /api/quorate/v1/forget?host=a HTTP/1.1\r\n\r\n", "10.0.0.1", 403},
        {"POST /api/quorate/v1/forget?host=a HTTP/1.1\r\nOrigin: http://x\r\n\r\n", "127.0.0.1",
         403},
        {"POST /api/quorate/v1/forget HTTP/1.1\r\n\r\n", "127.0.0.1", 400},
        {"POST /api/quorate/v1/keys?do=add HTTP/1.1\r\n\r\n", "127.0.0.1", 400},
        {"POST /api/quorate/v1/keys?do=list HTTP/1.1\r\n\r\n", "10.0.0.1", 403},
        {"GET /api/quorate/v1/keys HTTP/1.1\r\n\r\n", "10.0.0.1", 403},
        {"POST /api/quorate/v1/other HTTP/1.1\r\n\r\n", "127.0.0.1", 404},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_http_request request;
        struct qr_http_response response;
        int status;
        const char *sentence;
        assert_true(qr_http_parse(&request, qr_slice_str(cases[i].request), &status, &sentence) >
                    0);
        assert_true(qr_manage_takes(&request));
        qr_http_response_init(&response);
        struct qr_manage manage = {.request = &request,
                                   .response = &response,
                                   .peer_ip = cases[i].peer,
                                   .allowed = strcmp(cases[i].peer, "127.0.0.1") == 0};
        assert_true(qr_manage_handle(&manage));
        assert_int_equal(response.status, cases[i].status);
        assert_true(response.body.len > 0);
        qr_http_response_release(&response);
        qr_http_request_release(&request);
    }
}

static void a_drain_begins_and_ends(void **state)
{
    static const struct {
        const char *request;
        int status;
        bool drained;
    } steps[] = {
        {"POST /api/quorate/v1/drain?do=begin HTTP/1.1\r\n\r\n", 200, true},
        {"POST /api/quorate/v1/drain?do=what HTTP/1.1\r\n\r\n", 400, true},
        {"POST /api/quorate/v1/drain?do=end HTTP/1.1\r\n\r\n", 200, false},
        {"POST /api/quorate/v1/drain HTTP/1.1\r\n\r\n", 400, false},
    };
    struct qr_members members = {0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct qr_http_request request;
        struct qr_http_response response;
        int status;
        const char *sentence;
        assert_true(qr_http_parse(&request, qr_slice_str(steps[i].request), &status, &sentence) >
                    0);
        qr_http_response_init(&response);
        struct qr_manage manage = {.request = &request,
                                   .response = &response,
                                   .peer_ip = "127.0.0.1",
                                   .allowed = true,
                                   .members = &members};
        assert_true(qr_manage_handle(&manage));
        assert_int_equal(response.status, steps[i].status);
        assert_int_equal(members.drain, steps[i].drained);
        qr_http_response_release(&response);
        qr_http_request_release(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(a_drain_begins_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
