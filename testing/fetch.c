#include "testing/fetch.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

#include "base/error.h"

#define BODY_BYTES_MAX (256u * 1024 * 1024)

static size_t on_bytes(char *bytes, size_t size, size_t n, void *data)
{
    return qr_buf_add(data, bytes, size * n) == 0 ? size * n : 0;
}

int qr_fetch_init(struct qr_fetch *fetch)
{
    fetch->curl = curl_easy_init();
    if (fetch->curl == NULL)
        return UV_ENOMEM;
    qr_buf_init(&fetch->body, BODY_BYTES_MAX);
    qr_buf_init(&fetch->headers, 65536);
    curl_easy_setopt(fetch->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(fetch->curl, CURLOPT_WRITEDATA, &fetch->body);
    curl_easy_setopt(fetch->curl, CURLOPT_HEADERFUNCTION, on_bytes);
    curl_easy_setopt(fetch->curl, CURLOPT_HEADERDATA, &fetch->headers);
    curl_easy_setopt(fetch->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(fetch->curl, CURLOPT_NOPROXY, "*");
    return 0;
}

void qr_fetch_release(struct qr_fetch *fetch)
{
    curl_easy_cleanup(fetch->curl);
    qr_buf_release(&fetch->body);
    qr_buf_release(&fetch->headers);
}

static int perform(struct qr_fetch *fetch, long timeout_ms, const char *url)
{
    qr_buf_clear(&fetch->body);
    qr_buf_clear(&fetch->headers);
    curl_easy_setopt(fetch->curl, CURLOPT_URL, url);
    curl_easy_setopt(fetch->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    CURLcode code = curl_easy_perform(fetch->curl);
    if (code != CURLE_OK)
        return code == CURLE_OPERATION_TIMEDOUT ? QR_E_TIMEOUT
               : code == CURLE_WRITE_ERROR      ? QR_E_LIMIT
                                                : QR_E_UNREACHABLE;
    long status = 0;
    curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

int qr_fetch_get(struct qr_fetch *fetch, long timeout_ms, const char *url_format, ...)
{
    char url[2048];
    va_list args;
    va_start(args, url_format);
    int len = vsnprintf(url, sizeof url, url_format, args);
    va_end(args);
    assert(len > 0 && (size_t)len < sizeof url);
    return perform(fetch, timeout_ms, url);
}

int qr_fetch_post(struct qr_fetch *fetch, long timeout_ms, const char *content_type,
                  struct qr_slice body, const char *url)
{
    char header[256];
    snprintf(header, sizeof header, "Content-Type: %s", content_type);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    curl_easy_setopt(fetch->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(fetch->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(fetch->curl, CURLOPT_POSTFIELDS, body.base);
    int status = perform(fetch, timeout_ms, url);
    curl_easy_setopt(fetch->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(fetch->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return status;
}

json_t *qr_fetch_json(const struct qr_fetch *fetch)
{
    return json_loadb(fetch->body.base != NULL ? fetch->body.base : "", fetch->body.len, 0, NULL);
}
