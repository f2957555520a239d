#include "proto/functions.h"

#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "proto/number.h"

#define PAYLOAD_END "FUNCTION_PAYLOAD_END"

/* ---- from the child ---- */

/* A word that is a number between the two; else `otherwise`. */
static uint32_t number_of(struct qr_args args, size_t i, uint32_t min, uint32_t max,
                          uint32_t otherwise)
{
    int64_t v;
    if (i >= args.n || qr_number_int(args.at[i], &v) != 0 || v < min)
        return otherwise;
    return v < max ? (uint32_t)v : max;
}

static struct qr_slice cut_to(struct qr_slice text, size_t max)
{
    return qr_slice_of(text.base, text.len < max ? text.len : max);
}

int qr_function_parse(struct qr_function *function, struct qr_args args)
{
    size_t at = qr_slice_is(qr_args_get(args, 0), "GLOBAL") ? 1 : 0;
    struct qr_slice name = qr_args_get(args, at);
    if (!qr_function_is_callable(name) || name.len > QR_FUNCTION_NAME_BYTES_MAX)
        return QR_E_MALFORMED;
    struct qr_slice tags = qr_args_get(args, at + 3);
    *function = (struct qr_function){
        .name = name,
        .timeout_s = number_of(args, at + 1, 1, QR_FUNCTION_TIMEOUT_S_MAX, QR_FUNCTION_TIMEOUT_S),
        .help = cut_to(qr_args_get(args, at + 2), QR_FUNCTION_HELP_BYTES_MAX),
        .tags = tags.len > 0 ? cut_to(tags, QR_FUNCTION_NAME_BYTES_MAX) : qr_slice_str("top"),
        .access = number_of(args, at + 4, 0, UINT32_MAX, 0),
        .priority = number_of(args, at + 5, 0, UINT32_MAX, 100),
        .version = number_of(args, at + 6, 0, UINT32_MAX, 0),
        .global = at == 1,
    };
    return 0;
}

static int nibble_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int qr_transaction_parse(struct qr_guid *transaction, struct qr_slice text)
{
    struct qr_guid parsed = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] == '-')
            continue;
        int nibble = nibble_of(text.base[i]);
        if (nibble < 0 || n == QR_TRANSACTION_TEXT_LEN)
            return QR_E_MALFORMED;
        parsed.bytes[n / 2] = (uint8_t)(parsed.bytes[n / 2] << 4 | nibble);
        n++;
    }
    if (n != QR_TRANSACTION_TEXT_LEN)
        return QR_E_MALFORMED;
    *transaction = parsed;
    return 0;
}

void qr_transaction_format(const struct qr_guid *transaction,
                           char text[QR_TRANSACTION_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof transaction->bytes; i++) {
        text[2 * i] = digits[transaction->bytes[i] >> 4];
        text[2 * i + 1] = digits[transaction->bytes[i] & 15];
    }
    text[QR_TRANSACTION_TEXT_LEN] = '\0';
}

static struct qr_guid transaction_of(struct qr_slice text)
{
    struct qr_guid transaction = {{0}};
    if (qr_transaction_parse(&transaction, text) != 0)
        return (struct qr_guid){{0}};
    return transaction;
}

/* Text that can stand in a header of HTTP. */
static bool is_plain(struct qr_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.base[i] < 0x20 || (unsigned char)text.base[i] >= 0x7f)
            return false;
    return true;
}

int qr_function_result_parse(struct qr_function_result *result, struct qr_args args)
{
    int64_t expires_s;
    struct qr_slice type = qr_args_get(args, 2);
    if (type.len == 0 || type.len > QR_FUNCTION_NAME_BYTES_MAX || !is_plain(type))
        type = qr_slice_str("text/plain");
    if (args.n < 4 || qr_number_int(args.at[3], &expires_s) != 0 || expires_s < 0 ||
        expires_s > QR_TIME_S_MAX)
        expires_s = 0;
    uint32_t status = number_of(args, 1, 100, 600, 500);
    *result = (struct qr_function_result){.transaction = transaction_of(qr_args_get(args, 0)),
                                          .status = status < 600 ? (int)status : 500,
                                          .content_type = type,
                                          .expires_s = expires_s};
    return 0;
}

int qr_function_progress_parse(struct qr_function_progress *progress, struct qr_args args)
{
    int64_t done, all;
    if (args.n < 3 || qr_number_int(args.at[1], &done) != 0 ||
        qr_number_int(args.at[2], &all) != 0 || done < 0 || all < 0)
        return QR_E_MALFORMED;
    *progress =
        (struct qr_function_progress){transaction_of(args.at[0]), (uint64_t)done, (uint64_t)all};
    return 0;
}

/* ---- to the child ---- */

/* May stand between double quotes. */
static bool is_quotable(struct qr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c < 0x20 || c == 0x7f || c == '"')
            return false;
    }
    return text.len == 0 || text.base[text.len - 1] != '\\';
}

bool qr_function_is_callable(struct qr_slice function)
{
    return function.len > 0 && function.len <= QR_FUNCTION_CALL_BYTES_MAX && is_quotable(function);
}

/* No line of a payload may look like its end, whatever is behind the keyword. */
static bool is_payload(struct qr_slice payload)
{
    const char *at = payload.base, *end = payload.base + payload.len;
    if (payload.len > 0 && memchr(at, '\0', payload.len) != NULL)
        return false;
    while (at < end) {
        size_t left = (size_t)(end - at);
        if (left >= sizeof PAYLOAD_END - 1 && memcmp(at, PAYLOAD_END, sizeof PAYLOAD_END - 1) == 0)
            return false;
        const char *newline = memchr(at, '\n', left);
        at = newline != NULL ? newline + 1 : end;
    }
    return true;
}

static void add_quoted(struct qr_buf *out, struct qr_slice text)
{
    qr_buf_add(out, " \"", 2);
    qr_buf_add(out, text.base, text.len);
    qr_buf_add(out, "\"", 1);
}

static void add_payload(struct qr_buf *out, struct qr_slice payload)
{
    qr_buf_add(out, payload.base, payload.len);
    if (payload.len > 0 && payload.base[payload.len - 1] != '\n')
        qr_buf_add(out, "\n", 1);
    qr_buf_add_str(out, PAYLOAD_END "\n");
}

static int check_call(const struct qr_function_call *call, uint32_t caps)
{
    if (!qr_function_is_callable(call->function) || !is_quotable(call->source) ||
        !is_quotable(call->content_type))
        return QR_E_MALFORMED;
    if (!call->has_payload)
        return 0;
    if ((caps & QR_CAP_PROGRESS) == 0)
        return QR_E_UNSUPPORTED;
    if (call->payload.len > QR_FUNCTION_PAYLOAD_BYTES_MAX)
        return QR_E_LIMIT;
    return is_payload(call->payload) ? 0 : QR_E_MALFORMED;
}

int qr_function_encode_call(struct qr_buf *out, const struct qr_function_call *call, uint32_t caps)
{
    char transaction[QR_TRANSACTION_TEXT_LEN + 1];
    size_t len = out->len;
    int err = check_call(call, caps);
    if (err != 0)
        return err;
    qr_transaction_format(&call->transaction, transaction);
    qr_buf_printf(out, "%s %s %u", call->has_payload ? "FUNCTION_PAYLOAD" : "FUNCTION", transaction,
                  call->timeout_s);
    add_quoted(out, call->function);
    if (caps & QR_CAP_PROGRESS) { /* As old as the two words. */
        qr_buf_printf(out, " \"0x%x\"", call->access);
        add_quoted(out, call->source);
    }
    if (call->has_payload)
        add_quoted(out, call->content_type);
    qr_buf_add(out, "\n", 1);
    if (call->has_payload)
        add_payload(out, call->payload);
    if (!out->failed)
        return 0;
    out->len = len;
    return QR_E_LIMIT;
}

static int encode_short(struct qr_buf *out, const char *keyword, const struct qr_guid *transaction)
{
    char text[QR_TRANSACTION_TEXT_LEN + 1];
    qr_transaction_format(transaction, text);
    return qr_buf_printf(out, "%s %s\n", keyword, text);
}

int qr_function_encode_cancel(struct qr_buf *out, const struct qr_guid *transaction, uint32_t caps)
{
    /* The line came with 1.43, of which no bit tells; SLOTS came with 1.44. */
    return caps & QR_CAP_SLOTS ? encode_short(out, "FUNCTION_CANCEL", transaction) : 0;
}

int qr_function_encode_progress(struct qr_buf *out, const struct qr_guid *transaction,
                                uint32_t caps)
{
    return caps & QR_CAP_PROGRESS ? encode_short(out, "FUNCTION_PROGRESS", transaction) : 0;
}
