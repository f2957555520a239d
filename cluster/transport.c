#include "cluster/transport.h"

#include <assert.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/log.h"
#include "cluster/disk_id.h"
#include "cluster/raft_error.h"
#include "cluster/raft_wire.h"

/* ---- what raft_uv wants of a transport: nothing ---- */

static int stub_init(struct raft_uv_transport *stub, raft_id id, const char *address)
{
    (void)id;
    (void)address;
    struct qr_transport *transport = stub->impl;
    int err = uv_timer_init(transport->loop, &transport->later);
    transport->later.data = transport;
    transport->later_open = err == 0;
    return qr_raft_of_error(err);
}

static int stub_listen(struct raft_uv_transport *stub, raft_uv_accept_cb cb)
{
    (void)stub;
    (void)cb;
    return 0;
}

static int stub_connect(struct raft_uv_transport *stub, struct raft_uv_connect *req, raft_id id,
                        const char *address, raft_uv_connect_cb cb)
{
    (void)stub;
    (void)req;
    (void)id;
    (void)address;
    (void)cb;
    assert(false); /* raft_uv's own send is never called. */
    return RAFT_NOCONNECTION;
}

static void on_later_closed(uv_handle_t *handle)
{
    struct qr_transport *transport = handle->data;
    transport->later_open = false;
    transport->on_stub_closed(&transport->stub);
}

static void stub_close(struct raft_uv_transport *stub, raft_uv_transport_close_cb cb)
{
    struct qr_transport *transport = stub->impl;
    transport->on_stub_closed = cb;
    uv_close((uv_handle_t *)&transport->later, on_later_closed);
}

/* ---- sending ---- */

#define FRAMES_MAX 64u /* A message; what is beyond is left for the next one. */

/* One message of the library: one or more frames, completed when the last of them is out.  All of
 * them borrow the entries, so none may outlive the completion. */
struct send {
    struct qr_list node; /* in refused */
    struct qr_transport *transport;
    struct raft_io_send *req;
    raft_io_send_cb cb;
    struct qr_buf heads; /* Of all frames, one after the other. */
    unsigned n_frames;   /* That the link has. */
    int status;          /* Of the first that failed. */
};

struct frame {
    unsigned from, n; /* entries */
    size_t head_at, head_len;
};

static void maybe_closed(struct qr_transport *transport)
{
    if (transport->disk_closed && transport->n_sends == 0 && transport->on_closed != NULL) {
        raft_io_close_cb cb = transport->on_closed;
        transport->on_closed = NULL;
        cb(&transport->io);
    }
}

static void complete(struct send *send)
{
    struct qr_transport *transport = send->transport;
    int status = transport->closing ? RAFT_CANCELED : send->status;
    struct raft_io_send *req = send->req;
    raft_io_send_cb cb = send->cb;
    qr_buf_release(&send->heads);
    free(send);
    if (cb != NULL)
        cb(req, status);
    transport->n_sends--;
    maybe_closed(transport);
}

static void complete_refused(struct qr_transport *transport)
{
    while (!qr_list_empty(&transport->refused)) {
        struct send *send = QR_CONTAINER_OF(transport->refused.next, struct send, node);
        qr_list_remove(&send->node);
        complete(send);
    }
}

static void on_later(uv_timer_t *timer)
{
    complete_refused(timer->data);
}

static void on_sent(void *data, int status)
{
    struct send *send = data;
    if (status != 0 && send->status == 0)
        send->status = qr_raft_of_error(status);
    if (--send->n_frames == 0)
        complete(send);
}

/* How many entries, from the i-th on, go into one frame. */
static unsigned count_for_frame(const struct raft_append_entries *append, unsigned from)
{
    size_t bytes = 0;
    unsigned n = 0;
    while (from + n < append->n_entries && n < QR_RAFT_WIRE_ENTRIES_MAX) {
        bytes += append->entries[from + n].buf.len;
        if (n > 0 && bytes > QR_TRANSPORT_SPLIT_BYTES)
            break;
        n++;
    }
    return n;
}

/* Which disk the message is from, and which it is for. */
static void add_disks(const struct qr_transport *transport, struct qr_buf *out, raft_id to)
{
    qr_buf_add_u32(out, transport->disk);
    qr_buf_add_u32(out, qr_raft_id_disk(to));
}

/* Cuts the message into frames and encodes their heads.  0 or an error. */
static int plan(struct send *send, const struct raft_message *message, struct frame *frames,
                unsigned *n_frames)
{
    bool append = message->type == RAFT_APPEND_ENTRIES;
    unsigned n_entries = append ? message->append_entries.n_entries : 0;
    unsigned from = 0;
    *n_frames = 0;
    do {
        struct frame *frame = &frames[(*n_frames)++];
        frame->from = from;
        frame->n = append ? count_for_frame(&message->append_entries, from) : 0;
        frame->head_at = send->heads.len;
        add_disks(send->transport, &send->heads, message->server_id);
        int err = qr_raft_wire_encode(&send->heads, message, frame->from, frame->n);
        if (err != 0)
            return err;
        frame->head_len = send->heads.len - frame->head_at;
        from += frame->n;
    } while (from < n_entries && *n_frames < FRAMES_MAX);
    return 0;
}

static int send_frame(struct send *send, const struct raft_message *message,
                      const struct frame *frame)
{
    struct qr_transport *transport = send->transport;
    struct qr_slice parts[1 + QR_RAFT_WIRE_ENTRIES_MAX];
    unsigned n_parts = 0;
    parts[n_parts++] = qr_slice_of(send->heads.base + frame->head_at, frame->head_len);
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
        const struct raft_buffer *data = &message->install_snapshot.data;
        parts[n_parts++] = qr_slice_of(data->base, data->len);
    }
    for (unsigned i = frame->from; i < frame->from + frame->n; i++) {
        const struct raft_buffer *data = &message->append_entries.entries[i].buf;
        parts[n_parts++] = qr_slice_of(data->base, data->len);
    }
    return qr_link_send(transport->link, qr_raft_id_member(message->server_id), transport->group,
                        QR_LINK_RAFT, parts, n_parts, on_sent, send);
}

static void refuse(struct send *send)
{
    struct qr_transport *transport = send->transport;
    transport->n_refused++;
    qr_list_add_tail(&transport->refused, &send->node);
    uv_timer_start(&transport->later, on_later, 0, 0);
}

static struct qr_transport_told *told_of(struct qr_transport *transport, uint32_t member)
{
    for (size_t i = 0; i < QR_COUNT(transport->told); i++) {
        struct qr_transport_told *told = &transport->told[i];
        if (told->member == member || told->member == 0) {
            told->member = member;
            return told;
        }
    }
    return NULL;
}

static void note_told(struct qr_transport *transport, const struct raft_message *message)
{
    struct qr_transport_told *told = told_of(transport, qr_raft_id_member(message->server_id));
    if (told != NULL && message->append_entries.leader_commit > told->commit)
        told->commit = message->append_entries.leader_commit;
}

void qr_transport_announce(struct qr_transport *transport, raft_id to, uint64_t term,
                           uint64_t commit)
{
    uint32_t member = qr_raft_id_member(to);
    struct qr_transport_told *told = told_of(transport, member);
    if (told == NULL || told->commit >= commit || transport->closing)
        return;
    const struct raft_message message = {.type = RAFT_APPEND_ENTRIES,
                                         .append_entries = {.term = term,
                                                            .prev_log_index = commit,
                                                            .prev_log_term = term,
                                                            .leader_commit = commit}};
    struct qr_buf head = {0};
    add_disks(transport, &head, to);
    if (qr_raft_wire_encode(&head, &message, 0, 0) == 0) {
        struct qr_slice part = qr_buf_slice(&head);
        /* If it is lost, the next heartbeat says it again. */
        if (qr_link_send(transport->link, member, transport->group, QR_LINK_RAFT, &part, 1, NULL,
                         NULL) == 0) {
            told->commit = commit;
            transport->n_announced++;
        }
    }
    qr_buf_release(&head);
}

static int transport_send(struct raft_io *io, struct raft_io_send *req,
                          const struct raft_message *message, raft_io_send_cb cb)
{
    struct qr_transport *transport = QR_CONTAINER_OF(io, struct qr_transport, io);
    struct frame frames[FRAMES_MAX];
    if (transport->closing)
        return RAFT_CANCELED;
    struct send *send = calloc(1, sizeof *send);
    if (send == NULL)
        return RAFT_NOMEM;
    req->cb = cb;
    send->transport = transport;
    send->req = req;
    send->cb = cb;
    qr_list_init(&send->node);
    transport->n_sends++;

    unsigned n;
    int err = plan(send, message, frames, &n);
    for (unsigned i = 0; i < n && err == 0; i++) {
        err = send_frame(send, message, &frames[i]);
        if (err == 0) {
            send->n_frames++;
            transport->n_sent++;
        }
    }
    if (err != 0)
        send->status = qr_raft_of_error(err);
    else if (message->type == RAFT_APPEND_ENTRIES)
        note_told(transport, message);
    if (send->n_frames == 0)
        refuse(send);
    return 0;
}

/* ---- receiving ---- */

static const char *address_of(const struct raft *raft, raft_id id)
{
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        if (raft->configuration.servers[i].id == id)
            return raft->configuration.servers[i].address;
    }
    return NULL;
}

int qr_transport_receive(struct qr_transport *transport, uint32_t member, struct qr_slice payload)
{
    static struct qr_log_limit limit;
    unsigned held;
    if (transport->recv == NULL)
        return 0;
    struct raft_message message;
    struct qr_cursor in = qr_cursor_of(payload);
    uint32_t from = qr_cursor_u32(&in);
    uint32_t to = qr_cursor_u32(&in);
    if (!in.failed && to != transport->disk) {
        transport->n_strayed++; /* For a disk that this member had, or for one that it will. */
        return 0;
    }
    int err = qr_raft_wire_decode(&message, qr_cursor_take(&in, qr_cursor_left(&in)));
    if (err != 0) {
        transport->n_bad++;
        if (qr_log_allowed(&limit, 5, 10000, &held))
            qr_warn("raft message not understood member=%u bytes=%zu reason=\"%s\" held_back=%u",
                    member, payload.len, qr_strerror(err), held);
        return err;
    }
    raft_id id = qr_raft_id(member, from);
    const char *address = address_of(transport->io.data, id);
    message.server_id = id;
    message.server_address = address != NULL ? address : "";
    transport->n_received++;
    transport->recv(&transport->io, &message);
    return 0;
}

/* ---- start and close ---- */

static int transport_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick,
                           raft_io_recv_cb recv)
{
    struct qr_transport *transport = QR_CONTAINER_OF(io, struct qr_transport, io);
    int rv = transport->start(io, msecs, tick, recv);
    if (rv == 0)
        transport->recv = recv;
    return rv;
}

static void on_disk_closed(struct raft_io *io)
{
    struct qr_transport *transport = QR_CONTAINER_OF(io, struct qr_transport, io);
    transport->disk_closed = true;
    maybe_closed(transport);
}

static void transport_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct qr_transport *transport = QR_CONTAINER_OF(io, struct qr_transport, io);
    transport->closing = true;
    transport->recv = NULL;
    transport->on_closed = cb;
    complete_refused(transport);
    transport->close(io, on_disk_closed);
}

int qr_transport_init(struct qr_transport *transport, uv_loop_t *loop, struct qr_link *link,
                      uint32_t group, const char *dir)
{
    *transport = (struct qr_transport){.link = link, .group = group, .loop = loop};
    qr_list_init(&transport->refused);
    transport->stub = (struct raft_uv_transport){.version = 1,
                                                 .impl = transport,
                                                 .init = stub_init,
                                                 .listen = stub_listen,
                                                 .connect = stub_connect,
                                                 .close = stub_close};
    return qr_error_of_raft(raft_uv_init(&transport->io, loop, dir, &transport->stub));
}

void qr_transport_install(struct qr_transport *transport)
{
    struct raft_io *io = &transport->io;
    transport->start = io->start;
    transport->close = io->close;
    io->start = transport_start;
    io->close = transport_close;
    io->send = transport_send;
}

void qr_transport_release(struct qr_transport *transport)
{
    assert(transport->n_sends == 0);
    raft_uv_close(&transport->io);
}
