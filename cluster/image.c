#include "cluster/image.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>
#include <xxhash.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "base/error.h"

#define MAGIC              0x4e535251u /* "QRSN" */
#define VERSION            4u
#define ENTRY_HEADER_BYTES 12u

/* ---- making ---- */

static void encode_producer(struct qr_buf *out, const struct qr_producer *p)
{
    qr_buf_add_varint(out, p->member);
    qr_buf_add_varint(out, p->incarnation);
    qr_buf_add_varint(out, p->sequence);
    for (size_t i = 0; i < QR_COUNT(p->results); i++)
        qr_buf_add_zigzag(out, p->results[i]);
    qr_buf_add_varint(out, p->info_index);
    qr_buf_add_bytes(out, qr_slice_str(p->address));
    qr_buf_add_bytes(out, qr_slice_str(p->name));
    qr_buf_add_bytes(out, qr_slice_str(p->version));
}

int qr_image_begin(struct qr_image *image, struct qr_machine *machine)
{
    *image = (struct qr_image){
        .applied = machine->applied,
        .hash = machine->hash,
        .sink = &machine->sink,
        .body = {.max = QR_SNAPSHOT_BYTES_MAX - QR_IMAGE_HEADER_BYTES - QR_SNAPSHOT_TAIL_BYTES_MAX},
        .tail = {.max = QR_SNAPSHOT_TAIL_BYTES_MAX}};
    int err = machine->sink.snapshot_begin(machine->sink.data, &image->pin);
    if (err != 0)
        return err;
    qr_buf_add_varint(&image->body, machine->n_producers);
    for (unsigned i = 0; i < machine->n_producers; i++)
        encode_producer(&image->body, &machine->producers[i]);
    err = qr_ownership_encode(&machine->ownership, &image->body);
    if (err == 0) {
        qr_membership_encode(&machine->membership, &image->body);
        err = qr_keys_encode(&machine->keys, &image->body);
    }
    if (err != 0) {
        machine->sink.snapshot_end(machine->sink.data, image->pin);
        qr_image_release(image);
    }
    return err;
}

void qr_image_encode(struct qr_image *image)
{
    image->status = image->sink->snapshot(image->sink->data, image->pin, &image->body);
    if (image->status == 0 && image->body.failed)
        image->status = image->body.len + (1u << 20) > image->body.max ? QR_E_LIMIT : UV_ENOMEM;
    image->body_hash = XXH3_64bits(image->body.base, image->body.len);
}

int qr_image_end(struct qr_image *image)
{
    image->sink->snapshot_end(image->sink->data, image->pin);
    return image->status;
}

int qr_image_add(struct qr_image *image, uint64_t index, struct qr_slice entry)
{
    assert(index > image->applied);
    int err = qr_buf_reserve(&image->tail, ENTRY_HEADER_BYTES + entry.len);
    if (err != 0)
        return err;
    qr_buf_add_u64(&image->tail, index);
    qr_buf_add_u32(&image->tail, (uint32_t)entry.len);
    return qr_buf_add(&image->tail, entry.base, entry.len);
}

static uint64_t digest(uint64_t body_hash, struct qr_slice tail)
{
    char parts[24];
    qr_le_put(parts, body_hash, 8);
    qr_le_put(parts + 8, tail.len, 8);
    qr_le_put(parts + 16, XXH3_64bits(tail.base, tail.len), 8);
    return XXH3_64bits(parts, sizeof parts);
}

void qr_image_seal(struct qr_image *image)
{
    char *at = image->header;
    qr_le_put(at, MAGIC | (uint64_t)VERSION << 32, 8);
    qr_le_put(at + 8, image->applied, 8);
    qr_le_put(at + 16, image->hash, 8);
    qr_le_put(at + 24, image->body.len, 8);
    qr_le_put(at + 32, digest(image->body_hash, qr_buf_slice(&image->tail)), 8);
    qr_le_put(at + 40, XXH3_64bits(at, 40), 8);
}

void qr_image_release(struct qr_image *image)
{
    qr_buf_release(&image->body);
    qr_buf_release(&image->tail);
}

/* ---- reading ---- */

struct header {
    uint64_t applied, hash;
    struct qr_slice body, tail;
};

/* Checks the header and all hashes. */
static int take_header(struct qr_slice bytes, struct header *header)
{
    struct qr_cursor in = qr_cursor_of(bytes);
    uint32_t magic = qr_cursor_u32(&in);
    uint16_t version = qr_cursor_u16(&in);
    qr_cursor_u16(&in);
    header->applied = qr_cursor_u64(&in);
    header->hash = qr_cursor_u64(&in);
    uint64_t body_bytes = qr_cursor_u64(&in);
    uint64_t parts = qr_cursor_u64(&in);
    uint64_t header_hash = qr_cursor_u64(&in);
    if (in.failed || header_hash != XXH3_64bits(bytes.base, 40))
        return QR_E_CORRUPT;
    if (magic != MAGIC)
        return QR_E_MALFORMED;
    if (version != VERSION)
        return QR_E_VERSION;
    if (body_bytes > qr_cursor_left(&in))
        return QR_E_CORRUPT;
    header->body = qr_cursor_take(&in, body_bytes);
    header->tail = qr_cursor_take(&in, qr_cursor_left(&in));
    uint64_t body_hash = XXH3_64bits(header->body.base, header->body.len);
    return digest(body_hash, header->tail) == parts ? 0 : QR_E_CORRUPT;
}

static bool take_producer(struct qr_cursor *in, struct qr_producer *p)
{
    *p = (struct qr_producer){.member = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX)};
    p->incarnation = qr_cursor_varint(in);
    p->sequence = qr_cursor_varint(in);
    for (size_t i = 0; i < QR_COUNT(p->results); i++) {
        int64_t result = qr_cursor_zigzag(in);
        if (result > 0 || result < INT32_MIN)
            in->failed = true;
        p->results[i] = (int32_t)result;
    }
    p->info_index = qr_cursor_varint(in);
    qr_producer_take_text(in, p->address, sizeof p->address);
    qr_producer_take_text(in, p->name, sizeof p->name);
    qr_producer_take_text(in, p->version, sizeof p->version);
    return !in->failed;
}

/* Members, in rising order. */
static int take_producers(struct qr_cursor *in, struct qr_image_state *state)
{
    state->producers = calloc(QR_PRODUCERS_MAX, sizeof *state->producers);
    if (state->producers == NULL)
        return UV_ENOMEM;
    uint64_t n = qr_cursor_varint_max(in, QR_PRODUCERS_MAX);
    for (uint64_t i = 0; i < n; i++) {
        if (!take_producer(in, &state->producers[i]))
            return QR_E_MALFORMED;
        if (state->producers[i].member <= (i == 0 ? 0 : state->producers[i - 1].member))
            return QR_E_MALFORMED;
    }
    state->n_producers = (unsigned)n;
    return in->failed ? QR_E_MALFORMED : 0;
}

static size_t count_entries(struct qr_slice tail)
{
    struct qr_cursor in = qr_cursor_of(tail);
    size_t n = 0;
    while (qr_cursor_left(&in) > 0 && !in.failed) {
        qr_cursor_u64(&in);
        qr_cursor_take(&in, qr_cursor_u32(&in));
        n++;
    }
    return n;
}

/* Entries in rising order; they lie in a copy of the tail, which the last one frees. */
static int take_entries(struct qr_image_state *state, struct qr_slice tail)
{
    size_t n = count_entries(tail);
    if (n == 0)
        return 0;
    char *memory = malloc(tail.len);
    state->entries = calloc(n, sizeof *state->entries);
    if (memory == NULL || state->entries == NULL) {
        free(memory);
        return UV_ENOMEM;
    }
    memcpy(memory, tail.base, tail.len);
    state->entries[n - 1].memory = memory;
    state->n_entries = n;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(memory, tail.len));
    uint64_t last = state->applied;
    for (size_t i = 0; i < n; i++) {
        struct qr_backlog_entry *entry = &state->entries[i];
        entry->index = qr_cursor_u64(&in);
        entry->bytes = qr_cursor_take(&in, qr_cursor_u32(&in));
        if (in.failed || entry->index <= last || entry->bytes.len == 0)
            return QR_E_MALFORMED;
        last = entry->index;
    }
    return 0;
}

int qr_image_read(struct qr_image_state *state, const struct qr_sink *sink, struct qr_slice bytes)
{
    struct header header;
    int err = take_header(bytes, &header);
    if (err != 0)
        return err;
    *state = (struct qr_image_state){.applied = header.applied, .hash = header.hash};
    qr_ownership_init(&state->ownership);
    struct qr_cursor in = qr_cursor_of(header.body);
    err = take_producers(&in, state);
    if (err == 0)
        err = qr_ownership_decode(&state->ownership, &in);
    if (err == 0) {
        qr_membership_decode(&state->membership, &in);
        err = in.failed ? QR_E_MALFORMED : qr_keys_decode(&state->keys, &in);
    }
    if (err == 0)
        err = take_entries(state, header.tail);
    if (err == 0)
        err = sink->restore(sink->data, qr_cursor_take(&in, qr_cursor_left(&in)), &state->next);
    if (err != 0)
        qr_image_state_release(state, sink);
    return err;
}

void qr_image_state_release(struct qr_image_state *state, const struct qr_sink *sink)
{
    if (state->next != NULL)
        sink->discard(sink->data, state->next);
    if (state->n_entries != 0)
        free(state->entries[state->n_entries - 1].memory);
    free(state->entries);
    free(state->producers);
    qr_ownership_release(&state->ownership);
    qr_keys_release(&state->keys);
    *state = (struct qr_image_state){0};
}

/* ---- all at once ---- */

int qr_image_make(struct qr_machine *machine, struct qr_buf *out)
{
    struct qr_image image;
    int err = qr_image_begin(&image, machine);
    if (err != 0)
        return err;
    qr_image_encode(&image);
    err = qr_image_end(&image);
    if (err == 0) {
        qr_image_seal(&image);
        err = qr_buf_reserve(out, QR_IMAGE_HEADER_BYTES + image.body.len);
    }
    if (err == 0) {
        qr_buf_add(out, image.header, sizeof image.header);
        qr_buf_add(out, image.body.base, image.body.len);
    }
    qr_image_release(&image);
    return err;
}

int qr_image_restore(struct qr_machine *machine, struct qr_slice bytes)
{
    struct qr_image_state state;
    int err = qr_image_read(&state, &machine->sink, bytes);
    if (err != 0)
        return err;
    qr_machine_replace(machine, &state);
    for (size_t i = 0; i < state.n_entries; i++)
        qr_machine_apply(machine, state.entries[i].index, state.entries[i].bytes);
    qr_image_state_release(&state, &machine->sink);
    return 0;
}
