#include "node/http.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <uv.h>
#include <zlib.h>

#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"

#define GZIP_LEVEL       3
#define GZIP_CHUNK_BYTES 16384u
#define CACHE_S          86400
#define NO_CACHE_S       1

/* ---- parsing ---- */

static const char not_understood[] = "I don't understand you...\r\n";
static const char bad_url[] = "URL not valid. I don't understand you...\r\n";
static const char too_big[] = "Received request is too big  (more than 16384 bytes).\r\n";
static_assert(QR_HTTP_REQUEST_BYTES_MAX == 16384, "the sentence names the limit");
static const char body_too_big[] = "The request's body is too long (more than 960 KiB).\r\n";
static_assert(QR_FUNCTION_PAYLOAD_BYTES_MAX == 960u * 1024, "the sentence names the limit");
static const char no_length[] = "A body is taken with its Content-Length only.\r\n";

static ssize_t refuse(int *status, const char **sentence, const char *text)
{
    *status = 400;
    *sentence = text;
    return QR_E_MALFORMED;
}

/* Does `in` begin with the word, as far as it goes? */
static bool may_begin(struct qr_slice in, const char *word)
{
    size_t len = strlen(word);
    return memcmp(in.base, word, in.len < len ? in.len : len) == 0;
}

static struct qr_slice from(struct qr_slice s, size_t at)
{
    return qr_slice_of(s.base + at, s.len - at);
}

/* Takes what is before the first `mark` (all, if there is none) from the front of `rest`. */
static struct qr_slice take_until(struct qr_slice *rest, const char *mark)
{
    size_t len = strlen(mark);
    const char *at = rest->len != 0 ? memmem(rest->base, rest->len, mark, len) : NULL;
    struct qr_slice taken = *rest;
    if (at == NULL) {
        *rest = from(*rest, rest->len);
        return taken;
    }
    taken.len = (size_t)(at - rest->base);
    *rest = from(*rest, taken.len + len);
    return taken;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes to the end of `text`, which has room; false if that is not UTF-8 or holds a NUL. */
static bool decode(struct qr_buf *text, struct qr_slice raw, struct qr_slice *decoded)
{
    assert(text->capacity - text->len >= raw.len);
    char *start = text->base + text->len;
    char *p = start;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.base[i];
        int high = c == '%' && raw.len - i > 2 ? hex_of(raw.base[i + 1]) : -1;
        int low = high >= 0 ? hex_of(raw.base[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return false;
        *p++ = c;
    }
    *decoded = qr_slice_of(start, (size_t)(p - start));
    text->len += decoded->len;
    for (size_t i = 0; i < decoded->len;) {
        size_t len = qr_utf8_len(from(*decoded, i));
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

/* Splits the target at its '?', which may be encoded. */
static void split_target(struct qr_slice target, struct qr_slice *path, struct qr_slice *query)
{
    for (size_t i = 0; i < target.len; i++) {
        bool plain = target.base[i] == '?';
        bool encoded = target.len - i > 2 && strncasecmp(target.base + i, "%3F", 3) == 0;
        if (plain || encoded) {
            *path = qr_slice_of(target.base, i);
            *query = from(target, i + (plain ? 1 : 3));
            return;
        }
    }
    *path = target;
    *query = from(target, target.len);
}

/* In place; the byte before the path is ours to use. */
static struct qr_slice collapse_slashes(struct qr_slice path)
{
    char *base = (char *)path.base;
    size_t len = 0;
    if (path.len == 0 || path.base[0] != '/') {
        base--;
        base[len++] = '/';
    }
    for (size_t i = 0; i < path.len; i++)
        if (path.base[i] != '/' || len == 0 || base[len - 1] != '/')
            base[len++] = path.base[i];
    return qr_slice_of(base, len);
}

static int split_params(struct qr_http_request *request, struct qr_slice query)
{
    size_t n_max = 1;
    for (size_t i = 0; i < query.len; i++)
        n_max += query.base[i] == '&';
    if (n_max > QR_HTTP_PARAMS_MAX)
        n_max = QR_HTTP_PARAMS_MAX;
    request->params = calloc(n_max, sizeof *request->params);
    if (request->params == NULL)
        return UV_ENOMEM;
    while (query.len > 0 && request->n_params < n_max) {
        struct qr_slice value = take_until(&query, "&");
        bool bare = memchr(value.base, '=', value.len) == NULL;
        struct qr_slice name = take_until(&value, "=");
        if (name.len != 0 && (bare || value.len != 0))
            request->params[request->n_params++] = (struct qr_http_param){name, value};
    }
    return 0;
}

static bool contains(struct qr_slice text, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++)
        if (strncasecmp(text.base + i, word, len) == 0)
            return true;
    return false;
}

/* What we echo must not be able to break a line. */
static struct qr_slice printable(struct qr_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.base[i] < 0x20 || value.base[i] == 0x7f)
            return qr_slice_of(NULL, 0);
    return value;
}

static void read_header(struct qr_http_request *request, struct qr_slice line,
                        struct qr_slice *length, struct qr_slice *coding)
{
    struct qr_slice name = take_until(&line, ":");
    struct qr_slice value = line;
    while (value.len > 0 && (value.base[0] == ' ' || value.base[0] == '\t'))
        value = from(value, 1);
    while (value.len > 0 && (value.base[value.len - 1] == ' ' || value.base[value.len - 1] == '\t'))
        value.len--;
    struct {
        const char *name;
        struct qr_slice *value;
    } kept[] = {
        {"Origin", &request->origin},
        {"Host", &request->host},
        {"X-Forwarded-Host", &request->forwarded_host},
        {"X-Auth-Token", &request->auth_token},
        {"Content-Type", &request->content_type},
        {"Content-Length", length},
        {"Transfer-Encoding", coding},
    };
    struct {
        const char *name, *word;
        bool *flag;
    } flags[] = {
        {"Connection", "keep-alive", &request->keep_alive},
        {"Accept-Encoding", "gzip", &request->accepts_gzip},
        {"X-Forwarded-Proto", "https", &request->forwarded_https},
        {"Expect", "100-continue", &request->expects_continue},
    };
    for (size_t i = 0; i < QR_COUNT(kept); i++)
        if (name.len == strlen(kept[i].name) && strncasecmp(name.base, kept[i].name, name.len) == 0)
            *kept[i].value = printable(value);
    for (size_t i = 0; i < QR_COUNT(flags); i++)
        if (name.len == strlen(flags[i].name) &&
            strncasecmp(name.base, flags[i].name, name.len) == 0)
            *flags[i].flag = contains(value, flags[i].word);
}

/* The request's text: a copy of the raw bytes, a '/', then the decoded path and query. */
static int copy_text(struct qr_buf *text, struct qr_slice raw)
{
    int err = qr_buf_reserve(text, 2 * raw.len + 1);
    if (err != 0)
        return err;
    qr_buf_add(text, raw.base, raw.len);
    qr_buf_add(text, "/", 1);
    return 0;
}

/* May a body follow?  Only functions of children take one. */
static bool takes_body(struct qr_slice path)
{
    static const char end[] = "/function";
    size_t len = sizeof end - 1;
    return path.len > len && memcmp(path.base + path.len - len, end, len) == 0;
}

static bool is_managing(struct qr_slice path)
{
    static const char start[] = "/api/quorate/";
    return path.len >= sizeof start && memcmp(path.base, start, sizeof start - 1) == 0;
}

/* 0, or the refusal of what the headers say of a body. */
static ssize_t read_length(struct qr_http_request *request, struct qr_slice length,
                           struct qr_slice coding, int *status, const char **sentence)
{
    size_t bytes = 0;
    if (coding.len > 0)
        return refuse(status, sentence, no_length);
    for (size_t i = 0; i < length.len; i++) {
        if (length.base[i] < '0' || length.base[i] > '9')
            return refuse(status, sentence, not_understood);
        if (bytes <= QR_FUNCTION_PAYLOAD_BYTES_MAX)
            bytes = bytes * 10 + (size_t)(length.base[i] - '0');
    }
    if (bytes > 0 && !takes_body(request->path))
        return refuse(status, sentence, not_understood);
    if (bytes > QR_FUNCTION_PAYLOAD_BYTES_MAX) {
        refuse(status, sentence, body_too_big);
        *status = 413;
        return QR_E_LIMIT;
    }
    request->body_bytes = bytes;
    return 0;
}

static ssize_t parse_whole(struct qr_http_request *request, struct qr_slice in, int *status,
                           const char **sentence)
{
    *request = (struct qr_http_request){0};
    int err = copy_text(&request->text, in);
    if (err != 0)
        return err;
    struct qr_slice rest = qr_slice_of(request->text.base, in.len - 2);
    struct qr_slice target = take_until(&rest, "\r\n");
    request->options = target.base[0] == 'O';
    request->post = target.base[0] == 'P';
    take_until(&target, " ");
    const char *version = memmem(target.base, target.len, " HTTP/", 6);
    if (version == NULL)
        return refuse(status, sentence, not_understood);
    target.len = (size_t)(version - target.base);

    request->target = target;
    struct qr_slice raw_path, query;
    split_target(target, &raw_path, &request->raw_query);
    if (!decode(&request->text, raw_path, &request->path) ||
        !decode(&request->text, request->raw_query, &query))
        return refuse(status, sentence, bad_url);
    request->path = collapse_slashes(request->path);
    if (request->post && !takes_body(request->path) && !is_managing(request->path))
        return refuse(status, sentence, not_understood);
    struct qr_slice length = qr_slice_of("", 0), coding = length;
    while (rest.len > 0)
        read_header(request, take_until(&rest, "\r\n"), &length, &coding);
    err = request->post ? (int)read_length(request, length, coding, status, sentence) : 0;
    return err != 0 ? err : split_params(request, query);
}

ssize_t qr_http_parse(struct qr_http_request *request, struct qr_slice in, int *status,
                      const char **sentence)
{
    if (in.len == 0)
        return QR_E_PARTIAL;
    if (!may_begin(in, "GET ") && !may_begin(in, "OPTIONS ") && !may_begin(in, "POST /"))
        return refuse(status, sentence, not_understood);
    const char *end = memmem(in.base, in.len, "\r\n\r\n", 4);
    size_t len = end != NULL ? (size_t)(end + 4 - in.base) : in.len;
    if (len > QR_HTTP_REQUEST_BYTES_MAX)
        return refuse(status, sentence, too_big);
    if (end == NULL)
        return QR_E_PARTIAL;
    if (len < in.len && in.base[0] != 'P')
        return refuse(status, sentence, not_understood);

    *status = 503;
    *sentence = "";
    ssize_t err = parse_whole(request, qr_slice_of(in.base, len), status, sentence);
    if (err == 0 && in.len - len > request->body_bytes)
        err = refuse(status, sentence, not_understood);
    if (err != 0) {
        qr_http_request_release(request);
        return err;
    }
    return (ssize_t)len;
}

void qr_http_request_release(struct qr_http_request *request)
{
    free(request->params);
    qr_buf_release(&request->body);
    qr_buf_release(&request->text);
    *request = (struct qr_http_request){0};
}

struct qr_slice qr_http_param(const struct qr_http_request *request, const char *name)
{
    for (uint32_t i = request->n_params; i-- > 0;)
        if (request->params[i].value.len != 0 && qr_slice_is(request->params[i].name, name))
            return request->params[i].value;
    return qr_slice_of("", 0);
}

/* ---- rendering ---- */

void qr_http_response_init(struct qr_http_response *response)
{
    *response = (struct qr_http_response){.status = 200, .content_type = QR_HTTP_TEXT};
}

void qr_http_response_release(struct qr_http_response *response)
{
    qr_buf_release(&response->body);
    qr_buf_release(&response->headers);
}

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {301, "Moved Permanently"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {412, "Preconditions Failed"},
        {413, "Payload Too Large"},
    };
    static const char *const classes[] = {"Informational", "Successful", "Redirection",
                                          "Client Error", "Server Error"};
    for (size_t i = 0; i < QR_COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    assert(status >= 100);
    assert(status < 600);
    return classes[status / 100 - 1];
}

static void add_date(struct qr_buf *out, const char *name, int64_t at_s)
{
    struct tm tm;
    char text[64];
    time_t at = (time_t)at_s;
    gmtime_r(&at, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    qr_buf_printf(out, "%s: %s\r\n", name, text);
}

static void add_caching(const struct qr_http_response *response, int64_t now_s, struct qr_buf *out)
{
    bool cacheable = response->cacheable && response->status == 200;
    if (cacheable)
        qr_buf_add_str(out, "Cache-Control: public\r\n");
    else
        qr_buf_add_str(out, "Cache-Control: no-cache, no-store, must-revalidate\r\n"
                            "Pragma: no-cache\r\n");
    uint32_t expires_s = response->expires_s;
    if (expires_s == 0)
        expires_s = cacheable ? CACHE_S : NO_CACHE_S;
    add_date(out, "Expires", now_s + expires_s);
}

static const char preflight[] =
    "Access-Control-Allow-Methods: GET, OPTIONS\r\n"
    "Access-Control-Allow-Headers: accept, x-requested-with, origin, content-type, cookie, pragma, "
    "cache-control, x-auth-token\r\n"
    "Access-Control-Max-Age: 1209600\r\n";

static int add_chunk(struct qr_buf *out, const unsigned char *bytes, size_t len)
{
    if (len == 0)
        return 0;
    qr_buf_printf(out, "%zX\r\n", len);
    qr_buf_add(out, bytes, len);
    return qr_buf_add(out, "\r\n", 2);
}

static int add_gzip_chunks(struct qr_buf *out, const struct qr_buf *body)
{
    z_stream z = {0};
    unsigned char chunk[GZIP_CHUNK_BYTES];
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return UV_ENOMEM;
    size_t left = body->len;
    z.next_in = (unsigned char *)body->base;
    int rc = Z_OK;
    while (rc != Z_STREAM_END && !out->failed) {
        if (z.avail_in == 0) { /* Its counters have 32 bits. */
            z.avail_in = left < UINT32_MAX / 2 ? (unsigned)left : UINT32_MAX / 2;
            left -= z.avail_in;
        }
        z.next_out = chunk;
        z.avail_out = sizeof chunk;
        rc = deflate(&z, left == 0 ? Z_FINISH : Z_NO_FLUSH);
        assert(rc == Z_OK || rc == Z_STREAM_END);
        add_chunk(out, chunk, sizeof chunk - z.avail_out);
    }
    deflateEnd(&z);
    return qr_buf_add_str(out, "0\r\n\r\n");
}

int qr_http_render(const struct qr_http_response *response, const struct qr_http_request *request,
                   int64_t now_s, struct qr_buf *out)
{
    bool keep_alive = request != NULL && request->keep_alive;
    bool gzip = request != NULL && request->accepts_gzip;
    struct qr_slice origin = request != NULL ? request->origin : qr_slice_of(NULL, 0);
    if (origin.len == 0)
        origin = qr_slice_str("*");
    qr_buf_printf(out,
                  "HTTP/1.1 %d %s\r\n"
                  "Connection: %s\r\n"
                  "Server: " QR_HTTP_SERVER "\r\n"
                  "Access-Control-Allow-Origin: %.*s\r\n"
                  "Access-Control-Allow-Credentials: true\r\n"
                  "Content-Type: %s\r\n",
                  response->status, status_text(response->status),
                  keep_alive ? "keep-alive" : "close", (int)origin.len, origin.base,
                  response->content_type);
    add_date(out, "Date", response->date_s != 0 ? response->date_s : now_s);
    if (request != NULL && request->options)
        qr_buf_add_str(out, preflight);
    else
        add_caching(response, now_s, out);
    qr_buf_add(out, response->headers.base, response->headers.len);
    if (gzip) {
        qr_buf_add_str(out, "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
        int err = add_gzip_chunks(out, &response->body);
        if (err != 0)
            return err;
    } else {
        qr_buf_printf(out, "Content-Length: %zu\r\n\r\n", response->body.len);
        qr_buf_add(out, response->body.base, response->body.len);
    }
    return out->failed ? UV_ENOMEM : 0;
}

void qr_http_escape(struct qr_buf *out, struct qr_slice text)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"},  {'<', "&lt;"},    {'>', "&gt;"},
                    {'"', "&quot;"}, {'\'', "&#x27;"}, {'/', "&#x2F;"}};
    for (size_t i = 0; i < text.len; i++) {
        size_t e = 0;
        while (e < QR_COUNT(entities) && entities[e].c != text.base[i])
            e++;
        if (e < QR_COUNT(entities))
            qr_buf_add_str(out, entities[e].entity);
        else
            qr_buf_add(out, text.base + i, 1);
    }
}
