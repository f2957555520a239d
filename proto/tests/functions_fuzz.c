/* The first byte chooses: the rest is a line of a child, or what a client asks for and its payload,
 * apart at the first '|'.
 *
 * Checked: what was read keeps its bounds; a call is one line whose words are again what was asked
 * for, and its payload ends once. */
#include "proto/functions.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "proto/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_line(struct qr_slice line)
{
    struct qr_words words;
    struct qr_function function;
    struct qr_function_result result;
    struct qr_function_progress progress;
    if (qr_words_split(&words, line) != 0 || words.n == 0)
        return;
    struct qr_args args = {words.at + 1, words.n - 1};
    if (qr_function_parse(&function, args) == 0) {
        require(function.name.len > 0 && function.name.len <= QR_FUNCTION_NAME_BYTES_MAX);
        require(function.help.len <= QR_FUNCTION_HELP_BYTES_MAX);
        require(function.timeout_s > 0 && function.timeout_s <= QR_FUNCTION_TIMEOUT_S_MAX);
    }
    require(qr_function_result_parse(&result, args) == 0);
    require(result.status >= 100 && result.status < 600 && result.content_type.len > 0);
    require(result.expires_s >= 0 && result.expires_s <= QR_TIME_S_MAX);
    if (qr_function_progress_parse(&progress, args) == 0)
        require(progress.done <= INT64_MAX && progress.all <= INT64_MAX);
}

/* As a child reads it. */
static void check_call(struct qr_slice text, const struct qr_function_call *call, uint32_t caps)
{
    static const char end[] = "FUNCTION_PAYLOAD_END\n";
    const char *newline = memchr(text.base, '\n', text.len);
    require(newline != NULL);
    struct qr_words words;
    struct qr_slice line = qr_slice_of(text.base, (size_t)(newline - text.base));
    require(qr_words_split(&words, line) == 0);
    size_t n_words = caps & QR_CAP_PROGRESS ? 6 : 4;
    require(words.n == n_words + (call->has_payload ? 1 : 0));
    require(qr_slice_equal(words.at[3], call->function));
    if (!call->has_payload) {
        require(newline + 1 == text.base + text.len);
        return;
    }
    require(text.len >= sizeof end - 1);
    require(memcmp(text.base + text.len - (sizeof end - 1), end, sizeof end - 1) == 0);
    require(memcmp(newline + 1, call->payload.base, call->payload.len) == 0);
}

static void write_call(uint8_t how, struct qr_slice text)
{
    const char *bar = text.len > 0 ? memchr(text.base, '|', text.len) : NULL;
    size_t len = bar != NULL ? (size_t)(bar - text.base) : text.len;
    uint32_t caps = how & 2 ? QR_CAP_PROGRESS | QR_CAP_SLOTS : QR_CAP_FUNCTIONS;
    struct qr_function_call call = {.timeout_s = how,
                                    .function = qr_slice_of(text.base, len),
                                    .source = qr_slice_str("method=fuzz"),
                                    .has_payload = bar != NULL,
                                    .content_type = qr_slice_str("text/plain")};
    if (bar != NULL)
        call.payload = qr_slice_of(bar + 1, text.len - len - 1);
    struct qr_buf out = {0};
    int err = qr_function_encode_call(&out, &call, caps);
    require(err == 0 || out.len == 0);
    if (err == 0)
        check_call(qr_buf_slice(&out), &call, caps);
    qr_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct qr_slice rest = qr_slice_of(data + 1, size - 1);
    if (data[0] & 1)
        read_line(rest);
    else
        write_call(data[0], rest);
    return 0;
}
