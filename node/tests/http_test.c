#include "node/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

#define H11 " HTTP/1.1\r\n"

/* ---- parsing ---- */

/* Parses text that is a whole request. */
static void parse(struct qr_http_request *request, const char *text)
{
    int status;
    const char *sentence;
    assert_int_equal(qr_http_parse(request, qr_slice_str(text), &status, &sentence), strlen(text));
}

static const struct {
    const char *target, *path, *params; /* params: name=value&.., as split */
} targets[] = {
    {"/", "/", ""},
    {"/api/v1/info", "/api/v1/info", ""},
    {"api/v1/info", "/api/v1/info", ""},
    {"//api///v1/info/", "/api/v1/info/", ""},
    {"/host/c//api/v1/info", "/host/c/api/v1/info", ""},
    {"/host%2Fa+b%20c", "/host/a b c", ""},
    {"/x?a=1&b=2", "/x", "a=1&b=2"},
    {"/x%3Fa=1", "/x", "a=1"},
    {"/x%3fa=1?b", "/x", "a=1?b"},
    {"/x?", "/x", ""},
    {"/x?&&a=1&&=5&b=&c", "/x", "a=1&c="}, /* empty names and values are left out */
    {"/x?a=b=c", "/x", "a=b=c"},           /* the first '=' splits */
    {"/x?a=1%26b%3D2", "/x", "a=1&b=2"},   /* decoding comes before splitting */
    {"/x?o=ms%7Cflip+a", "/x", "o=ms|flip a"},
    {"/x?a=%zz%4", "/x", "a=%zz%4"}, /* bad hex stays */
    {"/x?d=gr%C3%BC%c3%9f", "/x", "d=gr\xc3\xbc\xc3\x9f"},
    {"/a b?c=d e", "/a b", "c=d e"}, /* up to " HTTP/" */
};

static void decodes_and_splits_the_target(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(targets); i++) {
        struct qr_http_request request;
        char text[256], params[256] = "";
        snprintf(text, sizeof text, "GET %s" H11 "\r\n", targets[i].target);
        parse(&request, text);
        assert_slice(request.path, targets[i].path);
        for (uint32_t p = 0; p < request.n_params; p++) {
            size_t len = strlen(params);
            snprintf(params + len, sizeof params - len, "%s%.*s=%.*s", p > 0 ? "&" : "",
                     (int)request.params[p].name.len, request.params[p].name.base,
                     (int)request.params[p].value.len, request.params[p].value.base);
        }
        assert_string_equal(params, targets[i].params);
        assert_false(request.options);
        qr_http_request_release(&request);
    }
}

static void reads_the_headers_it_knows(void **state)
{
    (void)state;
    struct qr_http_request request;
    parse(&request, "GET /x?q=%41" H11 "oRiGiN:  http://a.b \r\nHost: h:1\r\n"
                    "Connection: Upgrade, Keep-Alive\r\nAccept-Encoding: deflate, gzip\r\n"
                    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: f\r\nX-Auth-Token: t\r\n"
                    "Origins: no\r\nNo colon\r\n\r\n");
    assert_slice(request.origin, "http://a.b");
    assert_slice(request.host, "h:1");
    assert_slice(request.forwarded_host, "f");
    assert_slice(request.auth_token, "t");
    assert_slice(request.raw_query, "q=%41");
    assert_true(request.keep_alive);
    assert_true(request.accepts_gzip);
    assert_true(request.forwarded_https);
    qr_http_request_release(&request);

    parse(&request, "OPTIONS /x" H11 "Connection: close\r\nOrigin: a\nb\r\n\r\n");
    assert_true(request.options);
    assert_false(request.keep_alive);
    assert_false(request.accepts_gzip);
    assert_int_equal(request.origin.len, 0); /* it would break a line of the answer */
    qr_http_request_release(&request);

    parse(&request, "GET / HTTP/1.0\r\n\r\n");
    assert_false(request.keep_alive);
    qr_http_request_release(&request);
}

static void the_last_of_equal_parameters_wins(void **state)
{
    (void)state;
    struct qr_http_request request;
    parse(&request, "GET /x?a=1&all&a=2&a=&a" H11 "\r\n");
    assert_slice(qr_http_param(&request, "a"), "2");
    assert_slice(qr_http_param(&request, "all"), "");
    assert_slice(qr_http_param(&request, "b"), "");
    assert_int_equal(request.n_params, 4);
    qr_http_request_release(&request);
}

static const char not_understood[] = "I don't understand you...\r\n";
static const char no_length[] = "A body is taken with its Content-Length only.\r\n";
static const char bad_url[] = "URL not valid. I don't understand you...\r\n";

static const struct {
    const char *text, *sentence;
} refused[] = {
    {"HEAD / HTTP/1.1\r\n\r\n", not_understood},
    {"PU", not_understood},
    {"POST /api/v1/info HTTP/1.1\r\n\r\n", not_understood},
    {"POST /api/quorate/ HTTP/1.1\r\n\r\n", not_understood},
    {"POST /api/v1/functions HTTP/1.1\r\nContent-Length: 1\r\n\r\n", not_understood},
    {"POST /api/v1/function HTTP/1.1\r\nContent-Length: 1\r\n\r\nxy", not_understood},
    {"POST /api/v1/function HTTP/1.1\r\n\r\nx", not_understood},
    {"POST /api/v1/function HTTP/1.1\r\nContent-Length: -1\r\n\r\n", not_understood},
    {"POST /api/v1/function HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", no_length},
    {"POST /api/quorate/v1/forget HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", not_understood},
    {"get / HTTP/1.1\r\n\r\n", not_understood},
    {"GETS", not_understood},
    {"GET /\r\n\r\n", not_understood},
    {"GET / HTTP/1.1\r\n\r\nbody", not_understood},
    {"GET /%ff HTTP/1.1\r\n\r\n", bad_url},
    {"GET /\xc3 HTTP/1.1\r\n\r\n", bad_url},
    {"GET /?a=%C0%AF HTTP/1.1\r\n\r\n", bad_url},
    {"GET /?a=%00 HTTP/1.1\r\n\r\n", bad_url},
};

static void refuses_what_netdata_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(refused); i++) {
        struct qr_http_request request;
        int status = 0;
        const char *sentence = NULL;
        assert_int_equal(qr_http_parse(&request, qr_slice_str(refused[i].text), &status, &sentence),
                         QR_E_MALFORMED);
        assert_int_equal(status, 400);
        assert_string_equal(sentence, refused[i].sentence);
    }
}

static void waits_for_the_empty_line(void **state)
{
    (void)state;
    const char *text = "OPTIONS /x?a=b" H11 "Host: h\r\n\r\n";
    for (size_t len = 0; len <= strlen(text); len++) {
        struct qr_http_request request;
        int status;
        const char *sentence;
        ssize_t n = qr_http_parse(&request, qr_slice_of(text, len), &status, &sentence);
        assert_int_equal(n, len < strlen(text) ? QR_E_PARTIAL : (ssize_t)strlen(text));
        if (n > 0)
            qr_http_request_release(&request);
    }
}

/* The body is no part of what is parsed, but of what is said about it. */
static void a_function_takes_a_body(void **state)
{
    (void)state;
    static const char head[] = "POST /host/a/api/v1/function?function=f" H11
                               "Content-Type: text/x; a=b\r\nContent-Length: 5\r\n"
                               "Expect: 100-continue\r\n\r\n";
    for (size_t n_body = 0; n_body <= 5; n_body++) {
        struct qr_http_request request;
        struct qr_buf in = {0};
        int status;
        const char *sentence;
        qr_buf_add_str(&in, head);
        qr_buf_add(&in, "body\n", n_body);
        assert_int_equal(qr_http_parse(&request, qr_buf_slice(&in), &status, &sentence),
                         strlen(head));
        assert_true(request.post);
        assert_true(request.expects_continue);
        assert_int_equal(request.body_bytes, 5);
        assert_int_equal(request.body.len, 0);
        assert_slice(request.content_type, "text/x; a=b");
        qr_http_request_release(&request);
        qr_buf_release(&in);
    }
}

static void a_body_has_a_limit(void **state)
{
    (void)state;
    static const char *const lengths[] = {"983041", "99999999999999999999999999999999"};
    char text[200];
    struct qr_http_request request;
    int status = 0;
    const char *sentence;
    for (size_t i = 0; i < QR_COUNT(lengths); i++) {
        snprintf(text, sizeof text, "POST /api/v1/function" H11 "Content-Length: %s\r\n\r\n",
                 lengths[i]);
        assert_int_equal(qr_http_parse(&request, qr_slice_str(text), &status, &sentence),
                         QR_E_LIMIT);
        assert_int_equal(status, 413);
    }
    parse(&request, "POST /api/v1/function" H11 "Content-Length: 983040\r\n\r\n");
    assert_int_equal(request.body_bytes, QR_FUNCTION_PAYLOAD_BYTES_MAX);
    qr_http_request_release(&request);
}

static void holds_the_limits(void **state)
{
    (void)state;
    struct qr_http_request request;
    int status;
    const char *sentence;
    struct qr_buf in = {0};
    qr_buf_add_str(&in, "GET /x?");
    while (in.len < QR_HTTP_REQUEST_BYTES_MAX - 100)
        qr_buf_add_str(&in, "a=1&");
    size_t len = in.len;
    qr_buf_add_str(&in, H11 "\r\n");
    assert_int_equal(qr_http_parse(&request, qr_buf_slice(&in), &status, &sentence), in.len);
    assert_int_equal(request.n_params, QR_HTTP_PARAMS_MAX);
    qr_http_request_release(&request);

    in.len = len;
    while (in.len <= QR_HTTP_REQUEST_BYTES_MAX)
        qr_buf_add_str(&in, "b");
    assert_int_equal(qr_http_parse(&request, qr_slice_of(in.base, QR_HTTP_REQUEST_BYTES_MAX),
                                   &status, &sentence),
                     QR_E_PARTIAL);
    assert_int_equal(qr_http_parse(&request, qr_buf_slice(&in), &status, &sentence),
                     QR_E_MALFORMED);
    assert_non_null(strstr(sentence, "too big"));
    qr_buf_release(&in);
}

/* ---- rendering ---- */

static void render(struct qr_http_response *response, const char *request_text, struct qr_buf *out)
{
    struct qr_http_request request;
    if (request_text != NULL)
        parse(&request, request_text);
    assert_int_equal(
        qr_http_render(response, request_text != NULL ? &request : NULL, 1795405385, out), 0);
    if (request_text != NULL)
        qr_http_request_release(&request);
}

static void renders_headers_in_netdatas_order(void **state)
{
    (void)state;
    struct qr_http_response response;
    struct qr_buf out = {0};
    qr_http_response_init(&response);
    response.content_type = QR_HTTP_JSON;
    qr_buf_add_str(&response.body, "{}");
    qr_buf_add_str(&response.headers, "X-Quorate-Member: 2\r\n");
    render(&response, "GET /" H11 "\r\n", &out);
    assert_slice(qr_buf_slice(&out), "HTTP/1.1 200 OK\r\n"
                                     "Connection: close\r\n"
                                     "Server: Netdata Embedded HTTP Server v1.37.1\r\n"
                                     "Access-Control-Allow-Origin: *\r\n"
                                     "Access-Control-Allow-Credentials: true\r\n"
                                     "Content-Type: application/json; charset=utf-8\r\n"
                                     "Date: Mon, 23 Nov 2026 03:43:05 GMT\r\n"
                                     "Cache-Control: no-cache, no-store, must-revalidate\r\n"
                                     "Pragma: no-cache\r\n"
                                     "Expires: Mon, 23 Nov 2026 03:43:06 GMT\r\n"
                                     "X-Quorate-Member: 2\r\n"
                                     "Content-Length: 2\r\n"
                                     "\r\n"
                                     "{}");
    qr_buf_clear(&out);
    response.cacheable = true;
    response.date_s = 1795405000;
    render(&response, "GET /" H11 "Origin: http://x\r\nConnection: keep-alive\r\n\r\n", &out);
    assert_slice(qr_buf_slice(&out), "HTTP/1.1 200 OK\r\n"
                                     "Connection: keep-alive\r\n"
                                     "Server: Netdata Embedded HTTP Server v1.37.1\r\n"
                                     "Access-Control-Allow-Origin: http://x\r\n"
                                     "Access-Control-Allow-Credentials: true\r\n"
                                     "Content-Type: application/json; charset=utf-8\r\n"
                                     "Date: Mon, 23 Nov 2026 03:36:40 GMT\r\n"
                                     "Cache-Control: public\r\n"
                                     "Expires: Tue, 24 Nov 2026 03:43:05 GMT\r\n"
                                     "X-Quorate-Member: 2\r\n"
                                     "Content-Length: 2\r\n"
                                     "\r\n"
                                     "{}");
    qr_http_response_release(&response);
    qr_buf_release(&out);
}

static void renders_a_preflight(void **state)
{
    (void)state;
    struct qr_http_response response;
    struct qr_buf out = {0};
    qr_http_response_init(&response);
    qr_buf_add_str(&response.body, "OK");
    render(&response, "OPTIONS /api/v1/info" H11 "Origin: http://x\r\n\r\n", &out);
    assert_slice(qr_buf_slice(&out),
                 "HTTP/1.1 200 OK\r\n"
                 "Connection: close\r\n"
                 "Server: Netdata Embedded HTTP Server v1.37.1\r\n"
                 "Access-Control-Allow-Origin: http://x\r\n"
                 "Access-Control-Allow-Credentials: true\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Date: Mon, 23 Nov 2026 03:43:05 GMT\r\n"
                 "Access-Control-Allow-Methods: GET, OPTIONS\r\n"
                 "Access-Control-Allow-Headers: accept, x-requested-with, origin, content-type, "
                 "cookie, pragma, cache-control, x-auth-token\r\n"
                 "Access-Control-Max-Age: 1209600\r\n"
                 "Content-Length: 2\r\n\r\nOK");
    qr_http_response_release(&response);
    qr_buf_release(&out);
}

static const struct {
    int status;
    const char *line;
} statuses[] = {
    {200, "HTTP/1.1 200 OK\r\n"},
    {308, "HTTP/1.1 308 Redirection\r\n"},
    {400, "HTTP/1.1 400 Bad Request\r\n"},
    {404, "HTTP/1.1 404 Not Found\r\n"},
    {500, "HTTP/1.1 500 Server Error\r\n"},
    {503, "HTTP/1.1 503 Server Error\r\n"},
    {412, "HTTP/1.1 412 Preconditions Failed\r\n"},
};

static void no_error_is_cacheable(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(statuses); i++) {
        struct qr_http_response response;
        struct qr_buf out = {0};
        qr_http_response_init(&response);
        response.status = statuses[i].status;
        response.cacheable = true;
        render(&response, NULL, &out);
        qr_buf_add_u8(&out, 0);
        assert_memory_equal(out.base, statuses[i].line, strlen(statuses[i].line));
        assert_int_equal(strstr(out.base, "Cache-Control: public") != NULL,
                         statuses[i].status == 200);
        assert_non_null(strstr(out.base, "Connection: close"));
        qr_http_response_release(&response);
        qr_buf_release(&out);
    }
}

/* Undoes the chunks and the gzip of an answer's body. */
static void gunzip(const char *p, const char *end, struct qr_buf *body)
{
    z_stream z = {0};
    unsigned char plain[4096];
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    for (;;) {
        char *behind;
        size_t len = strtoul(p, &behind, 16);
        for (const char *c = p; c < behind; c++)
            assert_true((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'F'));
        assert_memory_equal(behind, "\r\n", 2);
        p = behind + 2;
        assert_true(len <= (size_t)(end - p) - 2);
        assert_true(len <= 16384);
        if (len == 0)
            break;
        z.next_in = (unsigned char *)p;
        z.avail_in = (unsigned)len;
        do {
            z.next_out = plain;
            z.avail_out = sizeof plain;
            int rc = inflate(&z, Z_NO_FLUSH);
            assert_true(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
            qr_buf_add(body, plain, sizeof plain - z.avail_out);
        } while (z.avail_out == 0);
        p += len;
        assert_memory_equal(p, "\r\n", 2);
        p += 2;
    }
    assert_memory_equal(p, "\r\n", 2);
    assert_ptr_equal(p + 2, end);
    inflateEnd(&z);
}

static void gzips_in_chunks_when_offered(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 300000};
    for (size_t i = 0; i < QR_COUNT(sizes); i++) {
        struct qr_http_response response;
        struct qr_buf out = {0}, body = {0};
        qr_http_response_init(&response);
        uint32_t x = 1;
        for (size_t n = 0; n < sizes[i]; n++) {
            x = x * 1664525u + 1013904223u;
            qr_buf_add_u8(&response.body, (uint8_t)(x >> 24)); /* Does not compress. */
        }
        render(&response, "GET /" H11 "Accept-Encoding: gzip, deflate\r\n\r\n", &out);
        char *end = memmem(out.base, out.len, "\r\n\r\n", 4);
        assert_non_null(end);
        *end = '\0';
        assert_non_null(
            strstr(out.base, "\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked"));
        assert_null(strstr(out.base, "Content-Length"));
        gunzip(end + 4, out.base + out.len, &body);
        assert_int_equal(body.len, sizes[i]);
        if (body.len > 0)
            assert_memory_equal(body.base, response.body.base, body.len);
        qr_http_response_release(&response);
        qr_buf_release(&out);
        qr_buf_release(&body);
    }
}

static void escapes_text_for_pages(void **state)
{
    (void)state;
    struct qr_buf out = {0};
    qr_http_escape(&out, qr_slice_str("/a<b>&\"'c"));
    assert_slice(qr_buf_slice(&out), "&#x2F;a&lt;b&gt;&amp;&quot;&#x27;c");
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_and_splits_the_target),
        cmocka_unit_test(reads_the_headers_it_knows),
        cmocka_unit_test(the_last_of_equal_parameters_wins),
        cmocka_unit_test(refuses_what_netdata_refuses),
        cmocka_unit_test(waits_for_the_empty_line),
        cmocka_unit_test(a_function_takes_a_body),
        cmocka_unit_test(a_body_has_a_limit),
        cmocka_unit_test(holds_the_limits),
        cmocka_unit_test(renders_headers_in_netdatas_order),
        cmocka_unit_test(renders_a_preflight),
        cmocka_unit_test(no_error_is_cacheable),
        cmocka_unit_test(gzips_in_chunks_when_offered),
        cmocka_unit_test(escapes_text_for_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
