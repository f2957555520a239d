#include "node/ctl/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <uv.h>

#include "base/error.h"

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct qr_buf *body = data;
    return qr_buf_add(body, bytes, size * n) == 0 ? size * n : 0;
}

static int judge(CURL *curl, CURLcode code, const struct qr_buf *body, const char *detail,
                 char *reason)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_WRITE_ERROR && body->failed) {
        snprintf(reason, QR_CTL_FETCH_REASON, "the answer is too long");
        return QR_E_LIMIT;
    }
    if (code != CURLE_OK) {
        snprintf(reason, QR_CTL_FETCH_REASON, "%s",
                 detail[0] != '\0' ? detail : curl_easy_strerror(code));
        return QR_E_UNREACHABLE;
    }
    if (status != 200) {
        snprintf(reason, QR_CTL_FETCH_REASON, "HTTP status %ld", status);
        return QR_E_DENIED;
    }
    return 0;
}

static void set_options(CURL *curl, const char *url, bool insecure, struct qr_buf *body,
                        char *detail)
{
    qr_buf_clear(body);
    body->max = QR_CTL_FETCH_BYTES_MAX;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)QR_CTL_FETCH_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* members are never behind one */
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "quoratectl/" QR_VERSION);
    if (insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

int qr_ctl_fetch(const char *url, bool insecure, struct qr_buf *body,
                 char reason[QR_CTL_FETCH_REASON])
{
    char detail[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return UV_ENOMEM;
    set_options(curl, url, insecure, body, detail);
    CURLcode code = curl_easy_perform(curl);
    int err = judge(curl, code, body, detail, reason);
    curl_easy_cleanup(curl);
    return err;
}

int qr_ctl_post(const char *url, bool insecure, struct qr_buf *body, long *status,
                char reason[QR_CTL_FETCH_REASON])
{
    char detail[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return UV_ENOMEM;
    set_options(curl, url, insecure, body, detail);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)QR_CTL_POST_TIMEOUT_MS);
    CURLcode code = curl_easy_perform(curl);
    int err = judge(curl, code, body, detail, reason);
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
        err = 0;
    }
    curl_easy_cleanup(curl);
    return err;
}
