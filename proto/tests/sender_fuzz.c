/* A parent may say anything at any time, in pieces of any size, while we define charts, send rows
 * that odd children have made, and answer late, in part or not at all.  Bytes of the input choose
 * what happens; 0xFF and a length begin what the parent says.
 *
 * Checked: nothing asserts, and what we say is a stream that proto/stream takes. */
#include "proto/sender.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHARTS 4
#define DIMS   3

struct owner {
    struct qr_clock clock; /* First: the false clock casts it back. */
    int64_t now_us;
    struct qr_sender *sender;
    struct qr_stream *stream;
    struct qr_decompressor *decompressor;
    struct qr_sender_chart *charts[CHARTS];
    bool asked[CHARTS];
    struct qr_sender_replay replays[CHARTS];
    bool redefines_late;
};

static uint64_t mono_ms(const struct qr_clock *clock)
{
    return (uint64_t)((const struct owner *)clock)->now_us / 1000;
}

static int64_t real_us(const struct qr_clock *clock)
{
    return ((const struct owner *)clock)->now_us;
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
}

static void on_parent_define(void *data, struct qr_stream_chart *chart)
{
}

static void on_send(void *data, struct qr_slice bytes)
{
    struct owner *owner = data;
    struct qr_slice text = bytes;
    while (bytes.len > 0) {
        ssize_t n = (ssize_t)bytes.len;
        if (owner->decompressor != NULL)
            n = qr_frame_decode(owner->decompressor, bytes, &text);
        if (n <= 0)
            abort();
        if (qr_stream_feed(owner->stream, text) != 0) {
            fprintf(stderr, "refused: %s\n", qr_stream_error_text(owner->stream));
            abort();
        }
        bytes = qr_slice_of(bytes.base + n, bytes.len - (size_t)n);
    }
}

static void on_replay(void *data, struct qr_sender_chart *chart,
                      const struct qr_sender_replay *replay)
{
    struct owner *owner = data;
    for (int i = 0; i < CHARTS; i++)
        if (owner->charts[i] == chart) {
            owner->asked[i] = true;
            owner->replays[i] = *replay;
        }
}

static void define(struct owner *owner, unsigned i, uint8_t how)
{
    static struct qr_stream_dim dims[DIMS] = {
        {{"a", 1}, {"a", 1}, QR_ALGORITHM_INCREMENTAL, 1, 1, 0},
        {{"b's", 3}, {"b", 1}, QR_ALGORITHM_ABSOLUTE, 1, 1000, QR_DIM_HIDDEN},
        {{"c c", 3}, {"c", 1}, QR_ALGORITHM_PCENT_ROW, 1, 1, 0}};
    char id[] = "t.0";
    id[2] = (char)('0' + i);
    const struct qr_stream_chart chart = {
        .id = {id, 3}, .name = {id, 3}, .update_every = 1 + how % 3, .n_dims = DIMS, .dims = dims};
    const struct qr_sender_definition definition = {
        .chart = &chart, .first_s = how & 8 ? 1000 : 0, .last_s = how & 16 ? 1020 : 0};
    if (qr_sender_define(owner->sender, &definition, &owner->charts[i]) != 0)
        abort();
    owner->asked[i] = false;
}

static void on_redefine(void *data, struct qr_sender_chart *chart)
{
    struct owner *owner = data;
    for (unsigned i = 0; i < CHARTS && !owner->redefines_late; i++)
        if (owner->charts[i] == chart)
            define(owner, i, 24);
}

static double value_of(uint8_t x)
{
    static const double values[] = {0,    1,    -0.25, 1e13, 0.1234567, 1e20,   -1e21, 1e300,
                                    -0.0, 3e-9, 1e-7,  9e11, 9.3e18,    123.45, 2e9,   -7};
    return values[x & 15];
}

static struct qr_stream_row row_of(uint8_t x, int64_t end_s, double *values, uint8_t *flags)
{
    for (unsigned d = 0; d < DIMS; d++) {
        flags[d] =
            x >> (2 * d) & 1
                ? QR_STREAM_EMPTY
                : (uint8_t)((x & 1 ? QR_STREAM_RESET : 0) | (x & 2 ? QR_STREAM_ANOMALOUS : 0));
        values[d] = flags[d] & QR_STREAM_EMPTY ? (double)NAN : value_of((uint8_t)(x + d));
    }
    return (struct qr_stream_row){.end_s = end_s,
                                  .update_every = 1 + (x & 128 ? 1 : 0),
                                  .n = x & 64 ? DIMS : DIMS - 1,
                                  .values = values,
                                  .flags = flags};
}

static void answer(struct owner *owner, unsigned i, uint8_t x)
{
    double values[DIMS];
    uint8_t flags[DIMS];
    int64_t end_s = owner->replays[i].after_s;
    if (!owner->asked[i])
        return;
    owner->asked[i] = false;
    qr_sender_answer_begin(owner->sender, owner->charts[i]);
    for (unsigned k = 0; k < x % 5u && end_s < INT64_C(1) << 32; k++) {
        struct qr_stream_row row = row_of((uint8_t)(x + k), end_s, values, flags);
        qr_sender_answer_row(owner->sender, &row);
        end_s += 1 + (x >> 7);
    }
    const struct qr_sender_answer end = {1000, end_s, end_s, x & 32 ? true : false};
    qr_sender_answer_end(owner->sender, &end);
}

static void step(struct owner *owner, uint8_t op, uint8_t x)
{
    unsigned i = op >> 2 & 3;
    double values[DIMS];
    uint8_t flags[DIMS];
    switch (op & 3) {
    case 0:
        define(owner, i, x);
        break;
    case 1:
        owner->now_us += (x & 63) * 300000;
        if (owner->charts[i] != NULL) {
            struct qr_stream_row row = row_of(x, owner->now_us / 1000000, values, flags);
            qr_sender_row(owner->sender, owner->charts[i], &row);
        }
        break;
    case 2:
        answer(owner, i, x);
        break;
    default:
        owner->now_us += x & 1 ? -5000000 : 90000000;
        owner->redefines_late = x & 2;
        qr_sender_flush(owner->sender);
        break;
    }
}

static void open_owner(struct owner *owner, uint32_t caps)
{
    const struct qr_sender_config config = {.caps = caps, .clock = &owner->clock};
    const struct qr_sender_handler handler = {
        .data = owner, .send = on_send, .replay = on_replay, .redefine = on_redefine};
    const struct qr_stream_handler stream_handler = {
        .data = owner, .define = on_parent_define, .row = on_row};
    const struct qr_stream_config stream_config = {
        .caps = caps, .update_every = 1, .clock = &owner->clock};
    if (qr_sender_new(&owner->sender, &config, &handler) != 0 ||
        qr_stream_new(&owner->stream, &stream_config, &stream_handler) != 0)
        abort();
    if (qr_caps_compression(caps) != QR_COMPRESSION_NONE &&
        qr_decompressor_new(&owner->decompressor, qr_caps_compression(caps), NULL) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t masks[] = {
        QR_CAP_VCAPS | QR_CAP_REPLICATION | QR_CAP_BINARY | QR_CAP_FUNCTIONS,
        QR_CAP_V1,
        QR_CAP_VN | QR_CAP_LZ4,
        QR_SENDER_CAPS & ~QR_CAPS_COMPRESSIONS,
        (QR_SENDER_CAPS & ~QR_CAPS_COMPRESSIONS & ~QR_CAP_IEEE754) | QR_CAP_LZ4,
        QR_SENDER_CAPS & ~QR_CAPS_COMPRESSIONS & ~(QR_CAP_REPLICATION | QR_CAP_SLOTS),
    };
    if (size == 0)
        return 0;
    struct owner owner = {.clock = {mono_ms, real_us}, .now_us = 1000200000};
    open_owner(&owner, masks[data[0] % (sizeof masks / sizeof *masks)]);
    for (size_t i = 1; i + 1 < size; i += 2) {
        if (data[i] != 0xFF) {
            step(&owner, data[i], data[i + 1]);
            continue;
        }
        size_t len = data[i + 1] < size - i - 2 ? data[i + 1] : size - i - 2;
        if (qr_sender_feed(owner.sender, qr_slice_of(data + i + 2, len)) != 0)
            break;
        i += len;
    }
    qr_sender_flush(owner.sender);
    qr_sender_free(owner.sender);
    qr_stream_free(owner.stream);
    qr_decompressor_free(owner.decompressor);
    return 0;
}
