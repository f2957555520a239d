#include "proto/replication.h"

#include <assert.h>
#include <stdlib.h>

/* Any sequence of events with any numbers: requests are on the grid and in order, one is
 * outstanding at a time, gaps are not empty, the list of parts stays sorted and bounded. */

struct input {
    const uint8_t *data;
    size_t n;
};

static uint8_t take_byte(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->data++;
}

/* Mostly times that are near each other, sometimes anything. */
static int64_t take_time(struct input *in)
{
    uint8_t byte = take_byte(in);
    if (byte < 0xF0)
        return 100000 + (int64_t)byte * 16 + (take_byte(in) & 63);
    uint64_t value = 0;
    for (int i = 0; i < (byte & 15); i++)
        value = value << 8 | take_byte(in);
    return (int64_t)value;
}

static void check_gap(struct qr_replication *r, int64_t after_s, int64_t before_s,
                      enum qr_gap_reason reason)
{
    (void)r;
    (void)reason;
    assert(after_s >= 0);
    assert(after_s < before_s);
}

static void check_parts(const struct qr_replication *r)
{
    assert(r->n_parts <= QR_REPLICATION_PARTS_MAX);
    for (uint32_t i = 0; i < r->n_parts; i++) {
        assert(r->parts[i].after_s < r->parts[i].before_s);
        assert(i == 0 || r->parts[i - 1].before_s < r->parts[i].after_s);
    }
}

static void ask(struct qr_replication *r, uint64_t now_ms)
{
    struct qr_replication_ask ask;
    enum qr_replication_kind kind = r->kind;
    if (qr_replication_next(r, now_ms, &ask)) {
        assert(ask.after_s <= ask.before_s);
        assert(ask.after_s >= 0);
        if (kind == QR_REPLICATION_KIND_NONE)
            assert(ask.after_s % r->update_every == 0);
        assert(!qr_replication_next(r, now_ms, &ask));
        assert(qr_replication_deadline_ms(r) > now_ms);
    }
}

static void resume(struct qr_replication *r, struct input *in)
{
    struct qr_stream_hole holes[8];
    struct qr_stream_resume resume = {take_time(in), holes, take_byte(in) & 7};
    for (uint32_t i = 0; i < resume.n_holes; i++) {
        holes[i].after_s = take_time(in);
        holes[i].before_s = take_time(in);
    }
    assert(qr_replication_resume(r, &resume) == 0);
}

static void rend(struct qr_replication *r, struct input *in, uint64_t now_ms)
{
    struct qr_replication_end end;
    uint8_t byte = take_byte(in);
    end.update_every = byte & 0x40 ? take_byte(in) : r->update_every;
    end.streaming = byte & 0x80;
    end.first_s = byte & 1 ? take_time(in) : r->first_s;
    end.last_s = byte & 2 ? take_time(in) : r->last_s;
    end.after_s = byte & 4 ? take_time(in) : r->ask.after_s;
    end.before_s = byte & 8 ? take_time(in) : r->ask.before_s;
    end.child_now_s = byte & 16 ? take_time(in) : r->child_now_s;
    assert(qr_replication_rend(r, &end, now_ms) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct qr_replication_pace pace = {0};
    uint8_t byte = take_byte(&in);
    struct qr_replication_config config = {.period_s = take_byte(&in) * 10u,
                                           .step_s = take_byte(&in),
                                           .heal = byte & 1,
                                           .pace = &pace,
                                           .gap = check_gap};
    struct qr_replication r;
    uint64_t now_ms = 1000000;
    qr_replication_init(&r, &config);
    while (in.n > 0) {
        byte = take_byte(&in);
        switch (byte & 7) {
        case 0:
            qr_replication_definition(&r, 1 + (byte >> 5), take_time(&in), take_time(&in),
                                      take_time(&in));
            break;
        case 1:
            resume(&r, &in);
            break;
        case 2:
            now_ms += byte & 8 ? (uint64_t)take_byte(&in) * 10000 : take_byte(&in);
            ask(&r, now_ms);
            break;
        case 3:
            qr_replication_point(&r, take_time(&in), take_time(&in));
            break;
        case 4: { /* A run of points. */
            int64_t begin_s = r.ask.after_s + (byte >> 5);
            for (int i = take_byte(&in); i > 0; i--, begin_s += r.update_every)
                qr_replication_point(&r, begin_s, begin_s + r.update_every);
            break;
        }
        case 5:
            qr_replication_row(&r, take_time(&in));
            break;
        case 6:
            qr_replication_state(&r,
                                 (int64_t)((uint64_t)take_time(&in) * (byte & 8 ? 1 : 1000000)));
            break;
        case 7:
            rend(&r, &in, now_ms);
            ask(&r, now_ms);
            break;
        }
        check_parts(&r);
    }
    qr_replication_release(&r);
    return 0;
}
