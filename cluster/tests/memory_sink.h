/* cluster/tests/memory_sink.h — a small sink for tests: a log of what was applied, in memory.
 *
 * Keeps, for each member, how often each of its numbers was applied (the body of a SAMPLES entry is
 * a u64 number that counts 1, 2, .. per member; its upper half may name a life of the member, in
 * which it counts from 1 again) and a rolling digest; snapshot and restore.  Hosts:
 * the GUID's first byte is the id.  `lie` makes it a store with a defect. */
#ifndef QR_CLUSTER_TESTS_MEMORY_SINK_H
#define QR_CLUSTER_TESTS_MEMORY_SINK_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/cursor.h"
#include "base/error.h"
#include "cluster/sink.h"

#define MEMORY_SINK_MEMBERS 9u

struct memory_sink {
    uint64_t last[MEMORY_SINK_MEMBERS]; /* Number applied last, by member. */
    uint64_t n[MEMORY_SINK_MEMBERS];    /* How many. */
    uint64_t n_wrong;                   /* Not last + 1: lost, doubled or out of order. */
    uint64_t digest;
    size_t ballast; /* Bytes that make the snapshot large. */
    bool lie;
    bool busy;        /* Not the moment for a snapshot. */
    unsigned slow_us; /* Each entry takes so long. */
    int fail_with;    /* Answer to the next entry. */
};

/* Is this the number after `last`? */
static inline bool memory_sink_is_next(uint64_t last, uint64_t number)
{
    return number == last + 1 || (number >> 32 > last >> 32 && (uint32_t)number == 1);
}

static inline int memory_sink_apply(void *data, const struct qr_command *command,
                                    struct qr_ownership *ownership, uint64_t index,
                                    uint64_t *effect)
{
    struct memory_sink *sink = data;
    (void)ownership;
    for (uint64_t start = uv_hrtime(); uv_hrtime() - start < sink->slow_us * UINT64_C(1000);)
        ;
    if (sink->fail_with != 0) {
        int err = sink->fail_with;
        sink->fail_with = 0;
        return err;
    }
    if (command->body.len < 8 || command->member >= MEMORY_SINK_MEMBERS)
        return QR_E_MALFORMED;
    struct qr_cursor in = qr_cursor_of(command->body);
    uint64_t number = qr_cursor_u64(&in);
    sink->n_wrong += !memory_sink_is_next(sink->last[command->member], number);
    sink->last[command->member] = number;
    sink->n[command->member]++;
    sink->digest = (sink->digest ^ (index * 31 + number)) * 1099511628211ull;
    *effect = sink->digest + sink->lie;
    return 0;
}

static inline uint32_t memory_sink_host_id(void *data, const struct qr_guid *guid)
{
    (void)data;
    return guid->bytes[0];
}

/* A copy: the state may be replaced while it is encoded. */
static inline int memory_sink_begin(void *data, void **pin)
{
    struct memory_sink *sink = data;
    if (sink->busy)
        return QR_E_BUSY;
    *pin = malloc(sizeof *sink);
    memcpy(*pin, sink, sizeof *sink);
    return 0;
}

/* The sink whose snapshots are not done until this is another; NULL: none. */
static _Atomic(void *) memory_sink_held;

static inline int memory_sink_snapshot(void *data, void *pin, struct qr_buf *out)
{
    const struct memory_sink *sink = pin;
    while (atomic_load(&memory_sink_held) == data)
        uv_sleep(1);
    for (unsigned i = 0; i < MEMORY_SINK_MEMBERS; i++) {
        qr_buf_add_u64(out, sink->last[i]);
        qr_buf_add_u64(out, sink->n[i]);
    }
    qr_buf_add_u64(out, sink->n_wrong);
    qr_buf_add_u64(out, sink->digest);
    if (qr_buf_reserve(out, sink->ballast) != 0)
        return QR_E_LIMIT;
    if (sink->ballast != 0)
        memset(out->base + out->len, 0x5a, sink->ballast);
    out->len += sink->ballast;
    return out->failed ? QR_E_LIMIT : 0;
}

static inline void memory_sink_end(void *data, void *pin)
{
    (void)data;
    free(pin);
}

static inline int memory_sink_restore(void *data, struct qr_slice state, void **next)
{
    (void)data;
    struct memory_sink *sink = calloc(1, sizeof *sink);
    struct qr_cursor in = qr_cursor_of(state);
    for (unsigned i = 0; i < MEMORY_SINK_MEMBERS && state.len != 0; i++) {
        sink->last[i] = qr_cursor_u64(&in);
        sink->n[i] = qr_cursor_u64(&in);
    }
    if (state.len != 0) {
        sink->n_wrong = qr_cursor_u64(&in);
        sink->digest = qr_cursor_u64(&in);
    }
    if (in.failed) {
        free(sink);
        return QR_E_MALFORMED;
    }
    *next = sink;
    return 0;
}

static inline void memory_sink_replace(void *data, void *next)
{
    struct memory_sink *sink = data;
    struct memory_sink *state = next;
    state->ballast = sink->ballast;
    state->lie = sink->lie;
    state->busy = sink->busy;
    state->slow_us = sink->slow_us;
    *sink = *state;
    free(state);
}

static inline void memory_sink_discard(void *data, void *next)
{
    (void)data;
    free(next);
}

static inline struct qr_sink memory_sink_of(struct memory_sink *sink)
{
    return (struct qr_sink){.data = sink,
                            .apply = memory_sink_apply,
                            .host_id = memory_sink_host_id,
                            .snapshot_begin = memory_sink_begin,
                            .snapshot = memory_sink_snapshot,
                            .snapshot_end = memory_sink_end,
                            .restore = memory_sink_restore,
                            .replace = memory_sink_replace,
                            .discard = memory_sink_discard};
}

#endif
