#include "node/function_frame.h"

#include "base/error.h"
#include "base/limits.h"

static void add_guid(struct qr_buf *out, const struct qr_guid *guid)
{
    qr_buf_add(out, guid->bytes, sizeof guid->bytes);
}

static struct qr_guid take_guid(struct qr_cursor *in)
{
    struct qr_guid guid = {{0}};
    struct qr_slice bytes = qr_cursor_take(in, sizeof guid.bytes);
    if (!in->failed)
        memcpy(guid.bytes, bytes.base, sizeof guid.bytes);
    return guid;
}

/* ---- a kind each ---- */

static void add_call(struct qr_buf *out, const struct qr_function_frame *frame)
{
    const struct qr_function_call *call = &frame->call;
    add_guid(out, &frame->host);
    qr_buf_add_varint(out, call->timeout_s);
    qr_buf_add_varint(out, call->access);
    qr_buf_add_bytes(out, call->function);
    qr_buf_add_bytes(out, call->source);
    qr_buf_add_u8(out, call->has_payload);
    qr_buf_add_bytes(out, call->content_type);
    qr_buf_add_bytes(out, call->payload);
}

static void take_call(struct qr_cursor *in, struct qr_function_frame *frame)
{
    struct qr_function_call *call = &frame->call;
    frame->host = take_guid(in);
    call->transaction = frame->transaction;
    call->timeout_s = (uint32_t)qr_cursor_varint_max(in, QR_FUNCTION_TIMEOUT_S_MAX);
    call->access = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    call->function = qr_cursor_bytes(in, QR_FUNCTION_CALL_BYTES_MAX);
    call->source = qr_cursor_bytes(in, QR_FUNCTION_CALL_BYTES_MAX);
    uint8_t has_payload = qr_cursor_u8(in);
    call->has_payload = has_payload == 1;
    call->content_type = qr_cursor_bytes(in, QR_FUNCTION_NAME_BYTES_MAX);
    call->payload = qr_cursor_bytes(in, QR_FUNCTION_PAYLOAD_BYTES_MAX);
    if (has_payload > 1 || (has_payload == 0 && call->payload.len > 0))
        in->failed = true;
}

static void add_host(struct qr_buf *out, const struct qr_function_frame *frame)
{
    add_guid(out, &frame->host);
}

static void take_host(struct qr_cursor *in, struct qr_function_frame *frame)
{
    frame->host = take_guid(in);
}

static void add_nothing(struct qr_buf *out, const struct qr_function_frame *frame)
{
    (void)out;
    (void)frame;
}

static void take_nothing(struct qr_cursor *in, struct qr_function_frame *frame)
{
    (void)in;
    (void)frame;
}

static void add_progress(struct qr_buf *out, const struct qr_function_frame *frame)
{
    qr_buf_add_varint(out, frame->progress.done);
    qr_buf_add_varint(out, frame->progress.all);
}

static void take_progress(struct qr_cursor *in, struct qr_function_frame *frame)
{
    frame->progress.transaction = frame->transaction;
    frame->progress.done = qr_cursor_varint_max(in, INT64_MAX);
    frame->progress.all = qr_cursor_varint_max(in, INT64_MAX);
}

static void add_answer(struct qr_buf *out, const struct qr_function_frame *frame)
{
    qr_buf_add_varint(out, (uint64_t)frame->result.status);
    qr_buf_add_zigzag(out, frame->result.expires_s);
    qr_buf_add_varint(out, frame->body_bytes);
    qr_buf_add_bytes(out, frame->result.content_type);
}

static void take_answer(struct qr_cursor *in, struct qr_function_frame *frame)
{
    frame->result.transaction = frame->transaction;
    frame->result.status = (int)qr_cursor_varint_max(in, 599);
    frame->result.expires_s = qr_cursor_zigzag(in);
    frame->body_bytes = qr_cursor_varint_max(in, QR_FUNCTION_RESULT_BYTES_MAX);
    frame->result.content_type = qr_cursor_bytes(in, QR_FUNCTION_NAME_BYTES_MAX);
    if (frame->result.status < 100 || frame->result.expires_s < 0 ||
        frame->result.expires_s > QR_TIME_S_MAX)
        in->failed = true;
}

static void add_part(struct qr_buf *out, const struct qr_function_frame *frame)
{
    qr_buf_add(out, frame->part.base, frame->part.len);
}

static void take_part(struct qr_cursor *in, struct qr_function_frame *frame)
{
    frame->part = qr_cursor_take(in, qr_cursor_left(in));
}

static const struct {
    void (*add)(struct qr_buf *out, const struct qr_function_frame *frame);
    void (*take)(struct qr_cursor *in, struct qr_function_frame *frame);
} kinds[QR_FUNCTION_KIND_NR] = {
    [QR_FUNCTION_CALL] = {add_call, take_call},
    [QR_FUNCTION_LIST] = {add_host, take_host},
    [QR_FUNCTION_CANCEL] = {add_nothing, take_nothing},
    [QR_FUNCTION_PROGRESS] = {add_progress, take_progress},
    [QR_FUNCTION_ANSWER] = {add_answer, take_answer},
    [QR_FUNCTION_PART] = {add_part, take_part},
};

int qr_function_frame_encode(struct qr_buf *out, const struct qr_function_frame *frame)
{
    qr_buf_add_u8(out, (uint8_t)frame->kind);
    add_guid(out, &frame->transaction);
    kinds[frame->kind].add(out, frame);
    return out->failed ? QR_E_LIMIT : 0;
}

int qr_function_frame_decode(struct qr_function_frame *frame, struct qr_slice payload)
{
    struct qr_cursor in = qr_cursor_of(payload);
    uint8_t kind = qr_cursor_u8(&in);
    struct qr_function_frame decoded = {.transaction = take_guid(&in)};
    if (kind >= QR_FUNCTION_KIND_NR || kinds[kind].take == NULL)
        return QR_E_MALFORMED;
    decoded.kind = (enum qr_function_frame_kind)kind;
    kinds[kind].take(&in, &decoded);
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    *frame = decoded;
    return 0;
}

/* ---- lists ---- */

int qr_function_list_add(struct qr_buf *list, const struct qr_function *function)
{
    qr_buf_add_bytes(list, function->name);
    qr_buf_add_bytes(list, function->help);
    qr_buf_add_bytes(list, function->tags);
    qr_buf_add_varint(list, function->timeout_s);
    qr_buf_add_varint(list, function->access);
    qr_buf_add_varint(list, function->priority);
    qr_buf_add_varint(list, function->version);
    qr_buf_add_u8(list, function->global);
    return qr_buf_add_bytes(list, function->chart);
}

bool qr_function_list_next(struct qr_cursor *in, struct qr_function *function)
{
    if (in->failed || qr_cursor_left(in) == 0)
        return false;
    struct qr_function f = {.name = qr_cursor_bytes(in, QR_FUNCTION_NAME_BYTES_MAX)};
    f.help = qr_cursor_bytes(in, QR_FUNCTION_HELP_BYTES_MAX);
    f.tags = qr_cursor_bytes(in, QR_FUNCTION_NAME_BYTES_MAX);
    f.timeout_s = (uint32_t)qr_cursor_varint_max(in, QR_FUNCTION_TIMEOUT_S_MAX);
    f.access = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    f.priority = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    f.version = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    f.global = qr_cursor_u8(in) != 0;
    f.chart = qr_cursor_bytes(in, QR_LINE_BYTES_MAX);
    if (in->failed || f.name.len == 0)
        return false;
    *function = f;
    return true;
}

static bool find_exact(struct qr_slice list, struct qr_slice name, struct qr_function *function)
{
    struct qr_cursor in = qr_cursor_of(list);
    struct qr_function f;
    while (qr_function_list_next(&in, &f)) {
        if (qr_slice_equal(f.name, name)) {
            *function = f;
            return true;
        }
    }
    return false;
}

bool qr_function_list_find(struct qr_slice list, struct qr_slice call, struct qr_function *function)
{
    while (call.len > 0) {
        if (call.len <= QR_FUNCTION_NAME_BYTES_MAX && find_exact(list, call, function))
            return true;
        while (call.len > 0 && call.base[call.len - 1] != ' ')
            call.len--;
        while (call.len > 0 && call.base[call.len - 1] == ' ')
            call.len--;
    }
    return false;
}
