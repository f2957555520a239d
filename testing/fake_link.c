#include "testing/fake_link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"

#define PARTS_MAX 80u

struct qr_link {
    struct qr_fake_net *net;
    uint32_t member;
    qr_link_receive_cb receive[QR_LINK_TYPE_NR];
    void *data[QR_LINK_TYPE_NR];
    bool known[QR_FAKE_MEMBERS_MAX + 1];
    bool banned[QR_FAKE_MEMBERS_MAX + 1];
    uint64_t heard_ms[QR_FAKE_MEMBERS_MAX + 1];
};

struct frame {
    struct qr_list node;
    uint64_t due_ms;
    uint32_t from, to, group;
    enum qr_link_type type;
    struct qr_slice parts[PARTS_MAX];
    unsigned n_parts;
    char *copy; /* When nothing is borrowed. */
    qr_link_sent_cb sent;
    void *data;
};

static bool is_connected(const struct qr_fake_net *net, uint32_t a, uint32_t b)
{
    const struct qr_link *dialler = net->links[a > b ? a : b], *other = net->links[a > b ? b : a];
    return dialler != NULL && other != NULL && dialler->known[other->member] &&
           !dialler->banned[other->member] && !other->banned[dialler->member] && !net->cut[a][b];
}

static size_t length_of(const struct frame *frame)
{
    size_t len = 0;
    for (unsigned i = 0; i < frame->n_parts; i++)
        len += frame->parts[i].len;
    return len;
}

static char *join(const struct frame *frame)
{
    char *bytes = malloc(length_of(frame) + 1);
    size_t at = 0;
    assert(bytes != NULL);
    for (unsigned i = 0; i < frame->n_parts; i++) {
        memcpy(bytes + at, frame->parts[i].base, frame->parts[i].len);
        at += frame->parts[i].len;
    }
    return bytes;
}

static void finish(struct frame *frame, int status)
{
    if (frame->sent != NULL)
        frame->sent(frame->data, status);
    free(frame->copy);
    free(frame);
}

static void deliver(struct qr_fake_net *net, struct frame *frame)
{
    struct qr_link *to = net->links[frame->to];
    if (!is_connected(net, frame->from, frame->to)) {
        finish(frame, UV_ECONNRESET);
        return;
    }
    char *bytes = join(frame);
    size_t len = length_of(frame);
    to->heard_ms[frame->from] = uv_now(net->loop);
    qr_link_receive_cb receive = to->receive[frame->type];
    void *data = to->data[frame->type];
    uint32_t from = frame->from, group = frame->group;
    finish(frame, 0);
    if (receive != NULL)
        receive(data, from, group, qr_slice_of(bytes, len));
    free(bytes);
}

static void on_timer(uv_timer_t *timer)
{
    struct qr_fake_net *net = timer->data;
    uint64_t now = uv_now(net->loop);
    while (!qr_list_empty(&net->frames)) {
        struct frame *frame = QR_CONTAINER_OF(net->frames.next, struct frame, node);
        if (frame->due_ms > now) {
            uv_timer_start(timer, on_timer, frame->due_ms - now, 0);
            return;
        }
        qr_list_remove(&frame->node);
        deliver(net, frame);
    }
}

void qr_fake_net_init(struct qr_fake_net *net, uv_loop_t *loop, uint64_t latency_ms)
{
    *net = (struct qr_fake_net){.loop = loop, .latency_ms = latency_ms};
    qr_list_init(&net->frames);
    uv_timer_init(loop, &net->timer);
    net->timer.data = net;
}

void qr_fake_net_close(struct qr_fake_net *net)
{
    assert(qr_list_empty(&net->frames));
    uv_close((uv_handle_t *)&net->timer, NULL);
}

struct qr_link *qr_fake_link_new(struct qr_fake_net *net, uint32_t member)
{
    assert(member >= 1 && member <= QR_FAKE_MEMBERS_MAX);
    assert(net->links[member] == NULL);
    struct qr_link *link = calloc(1, sizeof *link);
    assert(link != NULL);
    link->net = net;
    link->member = member;
    net->links[member] = link;
    return link;
}

/* Fails what is on its way between two members; 0 is any. */
static void drop_frames(struct qr_fake_net *net, uint32_t a, uint32_t b, int status)
{
    QR_LIST_FOREACH (node, &net->frames) {
        struct frame *frame = QR_CONTAINER_OF(node, struct frame, node);
        bool one = frame->from == a && (b == 0 || frame->to == b);
        bool other = frame->to == a && (b == 0 || frame->from == b);
        if (!one && !other)
            continue;
        qr_list_remove(&frame->node);
        finish(frame, status);
    }
}

void qr_fake_net_cut(struct qr_fake_net *net, uint32_t a, uint32_t b, bool cut)
{
    net->cut[a][b] = net->cut[b][a] = cut;
    if (cut)
        drop_frames(net, a, b, UV_ECONNRESET);
}

/* ---- the API ---- */

int qr_link_open(struct qr_link **link, const struct qr_link_config *config)
{
    (void)link;
    (void)config;
    return QR_E_UNSUPPORTED;
}

int qr_link_reload(struct qr_link *link, const char *ca_file, const char *cert_file,
                   const char *key_file, char reason[QR_TLS_REASON_BYTES])
{
    return 0;
}

void qr_link_on(struct qr_link *link, enum qr_link_type type, qr_link_receive_cb receive,
                void *data)
{
    link->receive[type] = receive;
    link->data[type] = data;
}

void qr_link_on_peer(struct qr_link *link, qr_link_peer_cb peer, void *data)
{
    (void)link;
    (void)peer;
    (void)data;
}

int qr_link_set_member(struct qr_link *link, const struct qr_link_member *member)
{
    assert(member->id >= 1 && member->id <= QR_FAKE_MEMBERS_MAX);
    link->known[member->id] = true;
    return 0;
}

void qr_link_remove_member(struct qr_link *link, uint32_t member)
{
    link->known[member] = false;
    drop_frames(link->net, link->member, member, UV_ECONNRESET);
}

/* Nobody says hello here. */
void qr_link_set_disk(struct qr_link *link, uint32_t disk)
{
    (void)link;
    (void)disk;
}

void qr_link_set_incarnation(struct qr_link *link, uint64_t incarnation)
{
    (void)link;
    (void)incarnation;
}

void qr_link_ban(struct qr_link *link, uint32_t member, bool ban)
{
    assert(member <= QR_FAKE_MEMBERS_MAX);
    link->banned[member] = ban;
    if (ban)
        drop_frames(link->net, link->member, member, UV_ECONNRESET);
}

int qr_link_send(struct qr_link *link, uint32_t member, uint32_t group, enum qr_link_type type,
                 const struct qr_slice *parts, unsigned n_parts, qr_link_sent_cb sent, void *data)
{
    struct qr_fake_net *net = link->net;
    assert(n_parts <= PARTS_MAX);
    if (!is_connected(net, link->member, member))
        return QR_E_UNREACHABLE;
    struct frame *frame = calloc(1, sizeof *frame);
    assert(frame != NULL);
    *frame = (struct frame){.due_ms = uv_now(net->loop) + net->latency_ms,
                            .from = link->member,
                            .to = member,
                            .group = group,
                            .type = type,
                            .n_parts = n_parts,
                            .sent = sent,
                            .data = data};
    memcpy(frame->parts, parts, n_parts * sizeof *parts);
    size_t len = length_of(frame);
    if (len > QR_LINK_FRAME_BYTES_MAX) {
        free(frame);
        return QR_E_LIMIT;
    }
    if (sent == NULL) {
        frame->copy = join(frame);
        frame->parts[0] = qr_slice_of(frame->copy, len);
        frame->n_parts = 1;
    }
    net->n_frames++;
    net->n_of_type[type]++;
    net->largest = len > net->largest ? len : net->largest;
    qr_list_add_tail(&net->frames, &frame->node);
    if (!uv_is_active((uv_handle_t *)&net->timer))
        uv_timer_start(&net->timer, on_timer, net->latency_ms, 0);
    return 0;
}

bool qr_link_is_up(const struct qr_link *link, uint32_t member)
{
    return is_connected(link->net, link->member, member);
}

uint64_t qr_link_last_heard_ms(const struct qr_link *link, uint32_t member)
{
    return link->heard_ms[member];
}

void qr_link_get_stats(const struct qr_link *link, struct qr_link_stats *stats)
{
    *stats = (struct qr_link_stats){.frames_sent = link->net->n_frames};
}

void qr_link_close(struct qr_link *link, void (*on_closed)(void *data), void *data)
{
    struct qr_fake_net *net = link->net;
    net->links[link->member] = NULL;
    drop_frames(net, link->member, 0, UV_ECANCELED);
    free(link);
    if (on_closed != NULL)
        on_closed(data);
}
