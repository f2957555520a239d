#include "node/api_functions.h"

#include "testing/cmocka.h"

static void parse(struct qr_http_request *request, const char *text)
{
    int status;
    const char *sentence;
    assert_true(qr_http_parse(request, qr_slice_str(text), &status, &sentence) > 0);
}

static void knows_its_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool wanted;
    } cases[] = {
        {"/api/v1/functions", true},
        {"/api/v1/function?function=a", true},
        {"/api/v3/function", true},
        {"/host/web-1/api/v1/functions", true},
        {"/host/web-1/api/v3/progress", true},
        {"/api/v1/functionsx", false},
        {"/host/api/v1/functions", false},
        {"/host/web-1", false},
        {"/api/v2/functions", false},
        {"/", false},
        {"/host/a/host/b/api/v1/functions", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        struct qr_http_request request;
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n\r\n", cases[i].path);
        parse(&request, text);
        if (qr_api_functions_wanted(&request) != cases[i].wanted)
            fail_msg("%s", cases[i].path);
        qr_http_request_release(&request);
    }
}

static void knows_whose_answers_tell_of_functions(void **state)
{
    (void)state;
    static const struct {
        const char *path, *host; /* "": none is needed. */
    } cases[] = {
        {"/host/web-1/api/v1/info", "web-1"},
        {"/host/web-1/api/v1/charts?_=1", "web-1"},
        {"/host/web-1/api/v1/chart", "web-1"},
        {"/api/v1/info", ""},
        {"/host/web-1/api/v1/functions", ""},
        {"/host/web-1/api/v1/data", ""},
        {"/host/web-1/", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        struct qr_http_request request;
        struct qr_slice host;
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n\r\n", cases[i].path);
        parse(&request, text);
        bool needs = qr_api_functions_needs(&request, &host);
        if (needs != (cases[i].host[0] != '\0') || (needs && !qr_slice_is(host, cases[i].host)))
            fail_msg("%s", cases[i].path);
        qr_http_request_release(&request);
    }
}

/* What is refused before anybody is asked. */
static void refuses_strangers_and_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *request, *peer;
        int status;
    } cases[] = {
        {"GET /api/v1/functions HTTP/1.1\r\n\r\n", "10.0.0.1", 403},
        {"GET /api/v1/function?function=a HTTP/1.1\r\nOrigin: http://x\r\n\r\n", "127.0.0.1", 403},
        {"GET /api/v1/function?function=config+x+enable&transaction="
         "3f1c6a52000040008000000000000001 HTTP/1.1\r\n\r\n",
         "127.0.0.1", 403},
        {"POST /api/v1/function?function=a HTTP/1.1\r\nOrigin: http://x\r\n\r\n", "127.0.0.1", 403},
        {"GET /api/v1/function?function=a&transaction=7 HTTP/1.1\r\n\r\n", "127.0.0.1", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_http_request request;
        struct qr_http_response response;
        parse(&request, cases[i].request);
        qr_http_response_init(&response);
        struct qr_api_functions api = {.request = &request,
                                       .response = &response,
                                       .peer_ip = cases[i].peer,
                                       .allowed = strcmp(cases[i].peer, "127.0.0.1") == 0};
        assert_true(qr_api_functions_wanted(&request));
        assert_true(qr_api_functions_handle(&api));
        assert_int_equal(response.status, cases[i].status);
        assert_true(response.body.len > 0);
        qr_http_response_release(&response);
        qr_http_request_release(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_paths),
        cmocka_unit_test(knows_whose_answers_tell_of_functions),
        cmocka_unit_test(refuses_strangers_and_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
