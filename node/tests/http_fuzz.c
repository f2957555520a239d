/* Whatever the bytes: the parser ends, and what it hands out lies in the request's own text. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "node/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(const struct qr_http_request *request, struct qr_slice s)
{
    if (s.len == 0)
        return;
    assert(s.base >= request->text.base);
    assert(s.base + s.len <= request->text.base + request->text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_http_request request;
    int status = 0;
    const char *sentence = NULL;
    ssize_t n = qr_http_parse(&request, qr_slice_of(data, size), &status, &sentence);
    if (n <= 0)
        return 0;
    assert((size_t)n <= size);
    assert(size - (size_t)n <= request.body_bytes);
    assert(request.body_bytes <= QR_FUNCTION_PAYLOAD_BYTES_MAX);
    assert(request.post || request.body_bytes == 0);
    assert(n <= (ssize_t)QR_HTTP_REQUEST_BYTES_MAX);
    assert(request.path.len >= 1 && request.path.base[0] == '/');
    check_inside(&request, request.path);
    check_inside(&request, request.raw_query);
    check_inside(&request, request.origin);
    check_inside(&request, request.host);
    check_inside(&request, request.forwarded_host);
    check_inside(&request, request.auth_token);
    check_inside(&request, request.content_type);
    assert(request.n_params <= QR_HTTP_PARAMS_MAX);
    for (uint32_t i = 0; i < request.n_params; i++) {
        assert(request.params[i].name.len > 0);
        check_inside(&request, request.params[i].name);
        check_inside(&request, request.params[i].value);
    }
    struct qr_http_response response;
    struct qr_buf out = {0};
    qr_http_response_init(&response);
    int err = qr_http_render(&response, &request, 1795405385, &out);
    assert(err == 0);
    (void)err;
    qr_buf_release(&out);
    qr_http_response_release(&response);
    qr_http_request_release(&request);
    return 0;
}
