#include "node/bodies.h"
#include <assert.h>

#include "base/error.h"
#include "base/limits.h"

int qr_own_body_encode(struct qr_buf *out, const struct qr_guid *guid, uint64_t nonce,
                       const struct qr_claim *claim)
{
    qr_buf_add(out, guid->bytes, sizeof guid->bytes);
    qr_buf_add_u64(out, nonce);
    return qr_claim_encode(out, claim);
}

void qr_charts_body_init(struct qr_charts_body *body, uint32_t host, uint32_t epoch)
{
    *body = (struct qr_charts_body){0};
    qr_buf_add_varint(&body->head, host);
    qr_buf_add_varint(&body->head, epoch);
}

void qr_charts_body_release(struct qr_charts_body *body)
{
    qr_buf_release(&body->head);
    qr_buf_release(&body->defs);
    qr_buf_release(&body->whole);
}

bool qr_charts_body_fits(const struct qr_charts_body *body, size_t def_bytes)
{
    return body->n == 0 || body->defs.len + def_bytes <= QR_BATCH_BYTES_MAX;
}

int qr_charts_body_add(struct qr_charts_body *body, struct qr_slice def)
{
    body->n++;
    return qr_buf_add(&body->defs, def.base, def.len);
}

struct qr_buf *qr_charts_body_finish(struct qr_charts_body *body)
{
    qr_buf_add_varint(&body->head, body->n);
    qr_buf_add(&body->head, body->defs.base, body->defs.len);
    qr_buf_release(&body->defs);
    body->n = 0;
    body->whole = body->head;
    body->head = (struct qr_buf){0};
    return &body->whole;
}

int qr_charts_head_decode(struct qr_charts_head *head, struct qr_cursor *in)
{
    head->host = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    head->epoch = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    head->n = (uint32_t)qr_cursor_varint_max(in, QR_CHARTS_PER_HOST_MAX);
    return in->failed ? QR_E_MALFORMED : 0;
}

int qr_host_state_encode(struct qr_buf *out, const struct qr_host_state *state)
{
    qr_buf_add_varint(out, state->host);
    qr_buf_add_varint(out, state->epoch);
    qr_buf_add_u8(out, (uint8_t)(state->says ? 1 | (state->connected ? 2 : 0) : 0));
    qr_buf_add_varint(out, state->n_gaps);
    for (uint32_t i = 0; i < state->n_gaps; i++) {
        const struct qr_gap *gap = &state->gaps[i];
        qr_buf_add_varint(out, gap->chart);
        qr_buf_add_zigzag(out, gap->after_s);
        qr_buf_add_varint(out, (uint64_t)(gap->before_s - gap->after_s));
        qr_buf_add_u8(out, gap->reason);
    }
    return out->failed ? QR_E_LIMIT : 0;
}

int qr_host_state_decode(struct qr_host_state *state, struct qr_gap *gaps, struct qr_slice body)
{
    struct qr_cursor in = qr_cursor_of(body);
    *state = (struct qr_host_state){.gaps = gaps};
    state->host = (uint32_t)qr_cursor_varint_max(&in, UINT32_MAX);
    state->epoch = (uint32_t)qr_cursor_varint_max(&in, UINT32_MAX);
    uint8_t bits = qr_cursor_u8(&in);
    state->says = (bits & 1) != 0;
    state->connected = (bits & 2) != 0;
    state->n_gaps = (uint32_t)qr_cursor_varint_max(&in, QR_STATE_GAPS_MAX);
    for (uint32_t i = 0; i < state->n_gaps; i++) {
        gaps[i].chart = (uint32_t)qr_cursor_varint_max(&in, UINT32_MAX);
        gaps[i].after_s = qr_cursor_zigzag(&in);
        if (gaps[i].after_s < 0 || gaps[i].after_s > INT64_MAX / 2)
            in.failed = true;
        gaps[i].before_s = gaps[i].after_s + (int64_t)qr_cursor_varint_max(&in, INT32_MAX);
        gaps[i].reason = qr_cursor_u8(&in);
    }
    return qr_cursor_done(&in) && bits <= 3 ? 0 : QR_E_MALFORMED;
}

int qr_time_body_encode(struct qr_buf *out, int64_t time_s)
{
    return qr_buf_add_zigzag(out, time_s);
}

int qr_time_body_decode(int64_t *time_s, struct qr_slice body)
{
    struct qr_cursor in = qr_cursor_of(body);
    *time_s = qr_cursor_zigzag(&in);
    return qr_cursor_done(&in) && *time_s >= 0 && *time_s <= INT64_MAX / 2 ? 0 : QR_E_MALFORMED;
}

int qr_sealed_encode(struct qr_buf *out, const struct qr_sealed *sealed)
{
    qr_block_id_encode(out, &sealed->id);
    qr_buf_add_varint(out, sealed->bytes);
    return qr_buf_add_u64(out, sealed->hash);
}

int qr_sealed_decode(struct qr_sealed *sealed, struct qr_slice body)
{
    struct qr_cursor in = qr_cursor_of(body);
    qr_block_id_decode(&sealed->id, &in);
    sealed->bytes = qr_cursor_varint(&in);
    sealed->hash = qr_cursor_u64(&in);
    return qr_cursor_done(&in) ? 0 : QR_E_MALFORMED;
}

int qr_forget_encode(struct qr_buf *out, const struct qr_forget_body *body)
{
    assert(!body->only_expired || body->away_before_s == 0);
    qr_buf_add_u8(out, (uint8_t)(body->only_expired | (body->away_before_s != 0) << 1));
    if (body->away_before_s != 0)
        qr_buf_add_varint(out, (uint64_t)body->away_before_s);
    int err = qr_buf_add_varint(out, body->n);
    for (uint32_t i = 0; i < body->n; i++) {
        qr_buf_add_varint(out, body->what[i].host);
        err = qr_buf_add_varint(out, body->what[i].chart);
    }
    return err;
}

int qr_forget_decode(struct qr_forget_body *body, struct qr_slice bytes)
{
    struct qr_cursor in = qr_cursor_of(bytes);
    uint8_t bits = qr_cursor_u8(&in);
    body->only_expired = (bits & 1) != 0;
    body->away_before_s = bits == 2 ? (int64_t)qr_cursor_varint_max(&in, INT64_MAX / 2) : 0;
    if (bits > 2 || (bits == 2 && body->away_before_s == 0))
        return QR_E_MALFORMED;
    body->n = (uint32_t)qr_cursor_varint_max(&in, QR_FORGET_MAX);
    for (uint32_t i = 0; i < body->n; i++) {
        body->what[i].host = (uint32_t)qr_cursor_varint_max(&in, UINT32_MAX);
        body->what[i].chart = (uint32_t)qr_cursor_varint_max(&in, bits == 2 ? 0 : UINT32_MAX);
    }
    return qr_cursor_done(&in) && body->n != 0 ? 0 : QR_E_MALFORMED;
}

int qr_retain_body_encode(struct qr_buf *out, const struct qr_retention *retention)
{
    for (unsigned tier = 0; tier < QR_TIERS; tier++) {
        int64_t before_s = retention->before_s[tier];
        qr_buf_add_varint(out, before_s > 0 ? (uint64_t)before_s : 0);
        qr_buf_add_varint(out, retention->bytes_max[tier]);
    }
    return out->failed ? QR_E_LIMIT : 0;
}

int qr_retain_body_decode(struct qr_retention *retention, struct qr_slice body)
{
    struct qr_cursor in = qr_cursor_of(body);
    struct qr_retention read;
    for (unsigned tier = 0; tier < QR_TIERS; tier++) {
        read.before_s[tier] = (int64_t)qr_cursor_varint_max(&in, INT64_MAX / 2);
        read.bytes_max[tier] = qr_cursor_varint(&in);
    }
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    *retention = read;
    return 0;
}

int qr_merge_body_encode(struct qr_buf *out, const struct qr_merge_body *merge)
{
    qr_buf_add_varint(out, merge->tier);
    qr_buf_add_varint(out, merge->shard);
    return qr_buf_add_varint(out, (uint64_t)merge->start_s);
}

int qr_merge_body_decode(struct qr_merge_body *merge, struct qr_slice body)
{
    struct qr_cursor in = qr_cursor_of(body);
    struct qr_merge_body read;
    read.tier = (uint32_t)qr_cursor_varint_max(&in, QR_TIERS - 1);
    read.shard = (uint32_t)qr_cursor_varint_max(&in, QR_SHARD_MAX);
    read.start_s = (int64_t)qr_cursor_varint_max(&in, INT64_MAX / 2);
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    *merge = read;
    return 0;
}
