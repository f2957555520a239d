#include "cluster/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/identity.h"
#include "cluster/link_conn.h"

#define READ_BUFFER_BYTES (64u * 1024)
#define BACKLOG           64
/* Members, who is to become one, and guests. */
#define PEERS_MAX (3u * QR_MEMBERS_MAX)
/* Connections that have not proved who they are; the oldest goes when one more comes. */
#define STRANGERS_MAX (2u * QR_MEMBERS_MAX)
/* Log lines that a peer, or all strangers together, can cause. */
#define LOG_BURST     5u
#define LOG_PERIOD_MS 10000u
/* A member that cannot be reached is mentioned this often. */
#define DIAL_LOG_MS 30000u

struct handler {
    qr_link_receive_cb receive;
    void *data;
};

/* A row of the member table. */
struct peer {
    struct qr_link *link;
    struct qr_link_member member;
    struct qr_address address;
    uv_timer_t retry;          /* Until the next dialling; only where we dial. */
    uv_getaddrinfo_t resolve;  /* While `resolving`. */
    struct qr_link_conn *conn; /* Up: both hellos were right. */
    struct qr_link_conn *dial; /* On its way up. */
    uint64_t heard_ms;         /* From connections before. */
    uint64_t incarnation;      /* The largest that was seen, of `disk`. */
    uint32_t disk;             /* Of the newest hello. */
    unsigned n_dials;          /* Walks through the addresses of a name. */
    bool resolving, timer_open, removed;
    bool guest;                   /* Not in the table: it came by itself. */
    struct qr_log_limit log;      /* lines about its connections */
    struct qr_log_limit dial_log; /* lines about dialling in vain */
};

struct qr_link {
    struct qr_link_config config;
    uint32_t disk; /* Of our log; 0: none. */
    struct qr_link_conn_shared shared;
    struct handler handlers[QR_LINK_TYPE_NR];
    qr_link_peer_cb on_peer;
    void *peer_data;
    struct peer *peers[PEERS_MAX];
    unsigned n_peers;
    uint32_t banned[QR_LINK_BANNED_MAX];
    unsigned n_banned;
    struct qr_list conns;     /* All but strangers. */
    struct qr_list strangers; /* Accepted, not proved; oldest first. */
    unsigned n_strangers;
    uv_tcp_t listener;
    uv_timer_t tick;
    uint64_t ticked_ms;
    struct qr_log_limit log; /* lines about strangers */
    char listen_address[QR_LINK_ADDRESS_MAX + 1];
    char read_buffer[READ_BUFFER_BYTES];
    unsigned n_open; /* Handles, connections and peers that have not gone yet. */
    bool accept_owed;
    bool closing;
    void (*on_closed)(void *data);
    void *closed_data;
};

static struct peer *find_peer(const struct qr_link *link, uint32_t member)
{
    for (unsigned i = 0; i < link->n_peers; i++)
        if (link->peers[i]->member.id == member)
            return link->peers[i];
    return NULL;
}

static bool is_banned(const struct qr_link *link, uint32_t member)
{
    for (unsigned i = 0; i < link->n_banned; i++)
        if (link->banned[i] == member)
            return true;
    return false;
}

/* One thing less is open; the last frees a closing link. */
static void drop(struct qr_link *link)
{
    assert(link->n_open > 0);
    if (--link->n_open > 0 || !link->closing)
        return;
    void (*on_closed)(void *) = link->on_closed;
    void *data = link->closed_data;
    qr_tls_context_free(link->shared.tls);
    free(link);
    if (on_closed != NULL)
        on_closed(data);
}

/* ---- connections ---- */

static bool may_log(struct qr_log_limit *limit, unsigned *held)
{
    return qr_log_allowed(limit, LOG_BURST, LOG_PERIOD_MS, held);
}

/* The peer that we dial with it. */
static struct peer *dialled_peer(const struct qr_link_conn *conn)
{
    struct peer *peer = conn->member;
    return peer != NULL && peer->dial == conn ? peer : NULL;
}

/* The peer that it is the connection of. */
static struct peer *up_peer(const struct qr_link_conn *conn)
{
    struct peer *peer = conn->member;
    return peer != NULL && peer->conn == conn ? peer : NULL;
}

static void tell_peer(struct qr_link *link, uint32_t member, bool up)
{
    if (link->on_peer != NULL && !link->closing)
        link->on_peer(link->peer_data, member, up);
}

static void dial_later(struct peer *peer);

/* An established connection is gone. */
static void lose(struct peer *peer, struct qr_link_conn *conn)
{
    struct qr_link *link = peer->link;
    unsigned held;
    peer->conn = NULL;
    peer->heard_ms = conn->heard_ms;
    if (!link->closing && may_log(&peer->log, &held))
        qr_warn("member down reason=\"%s\" member=%u address=%s held=%u", conn->reason,
                peer->member.id, conn->peer, held);
    tell_peer(link, peer->member.id, false);
}

/* A connection that we dialled did not come up. */
static void miss(struct peer *peer, struct qr_link_conn *conn)
{
    unsigned held;
    peer->dial = NULL;
    /* Whoever answered and did not prove to be the member was refused; silence is only a miss. */
    if (conn->secured || conn->status == QR_E_TLS)
        peer->link->shared.stats.refused++;
    if (!peer->link->closing && qr_log_allowed(&peer->dial_log, 1, DIAL_LOG_MS, &held))
        qr_warn("member not reached reason=\"%s\" member=%u address=%s tries_held=%u", conn->reason,
                peer->member.id, conn->peer, held);
}

static void turn_away(struct qr_link *link, const struct qr_link_conn *conn)
{
    unsigned held;
    link->shared.stats.refused++;
    if (!link->closing && may_log(&link->log, &held))
        qr_warn("member connection refused reason=\"%s\" peer=%s held=%u", conn->reason, conn->peer,
                held);
}

static void on_cut(struct qr_link_conn *conn, int status)
{
    struct qr_link *link = conn->owner;
    (void)status;
    struct peer *peer = up_peer(conn);
    struct peer *dialled = dialled_peer(conn);
    if (peer != NULL)
        lose(peer, conn);
    else if (dialled != NULL)
        miss(dialled, conn);
    else if (!conn->dialled && !conn->trusted)
        turn_away(link, conn);
    if (!conn->dialled && !conn->trusted)
        link->n_strangers--;
    peer = conn->member;
    conn->member = NULL;
    if (peer != NULL && conn->dialled)
        dial_later(peer);
}

static void on_conn_closed(struct qr_link_conn *conn)
{
    struct qr_link *link = conn->owner;
    qr_list_remove(&conn->node);
    free(conn);
    drop(link);
}

/* A connection in `list`, or NULL. */
static struct qr_link_conn *new_conn(struct qr_link *link, struct qr_list *list)
{
    struct qr_link_conn *conn = malloc(sizeof *conn);
    if (conn == NULL)
        return NULL;
    if (qr_link_conn_init(conn, &link->shared, link) != 0) {
        free(conn);
        return NULL;
    }
    qr_list_add_tail(list, &conn->node);
    link->n_open++;
    return conn;
}

/* ---- who is it: certificate and hello ---- */

static int read_certificate(struct qr_link_conn *conn, struct qr_identity *identity)
{
    const struct qr_link *link = conn->owner;
    char uri[QR_IDENTITY_BYTES * 2], text[QR_IDENTITY_BYTES * 3];
    int err = qr_tls_peer_uri(conn->tls, uri, sizeof uri);
    if (err != 0)
        return qr_link_conn_refuse(conn, QR_E_DENIED, "the certificate names no member");
    if (qr_identity_parse(identity, qr_slice_str(uri)) != 0)
        return qr_link_conn_refuse(conn, QR_E_DENIED, "the certificate is of no member but of %s",
                                   qr_log_escape(text, sizeof text, qr_slice_str(uri)));
    if (!qr_guid_equal(&identity->cluster, &link->config.cluster_id))
        return qr_link_conn_refuse(conn, QR_E_DENIED, "the certificate is of another cluster: %s",
                                   uri);
    return 0;
}

static int judge_certificate(struct qr_link_conn *conn, struct qr_identity *identity)
{
    const struct qr_link *link = conn->owner;
    int err = read_certificate(conn, identity);
    if (err != 0)
        return err;
    const struct peer *dialled = dialled_peer(conn);
    if (dialled != NULL && identity->member != dialled->member.id)
        return qr_link_conn_refuse(conn, QR_E_DENIED,
                                   "dialled member %u, the certificate is of member %u",
                                   dialled->member.id, identity->member);
    if (identity->member == link->config.member_id)
        return qr_link_conn_refuse(conn, QR_E_DENIED, "member %u is this member", identity->member);
    if (is_banned(link, identity->member))
        return qr_link_conn_refuse(conn, QR_E_DENIED, "member %u was removed from the cluster",
                                   identity->member);
    if (!conn->dialled && identity->member < link->config.member_id)
        return qr_link_conn_refuse(
            conn, QR_E_DENIED, "member %u dials us, but the higher id does that", identity->member);
    return 0;
}

/* Two of one disk: the older number is a copy, or the disk put back.  Another disk never said what
 * this one did, so its number says nothing of it, unless the two live at a time: then the larger
 * stays, wherever they meet. */
static int judge_incarnation(struct qr_link_conn *conn, const struct qr_link_hello *hello)
{
    const struct peer *peer = find_peer(conn->owner, hello->member);
    if (peer == NULL || hello->incarnation >= peer->incarnation)
        return 0;
    bool gone = peer->conn == NULL || peer->conn->closing;
    if (hello->disk != peer->disk && gone)
        return 0;
    return qr_link_conn_refuse(conn, QR_E_STALE,
                               "member %u comes with incarnation %llu after %llu: is it a copy?",
                               hello->member, (unsigned long long)hello->incarnation,
                               (unsigned long long)peer->incarnation);
}

static int judge_hello(struct qr_link_conn *conn, const struct qr_link_frame *frame,
                       struct qr_link_hello *hello)
{
    const struct qr_link *link = conn->owner;
    struct qr_identity identity = {0};
    if (frame->type != QR_LINK_HELLO)
        return qr_link_conn_refuse(conn, QR_E_DENIED, "%s came before the hello",
                                   qr_link_type_name(frame->type));
    int err = qr_link_hello_decode(hello, frame->payload);
    if (err == QR_E_VERSION)
        return qr_link_conn_refuse(conn, err, "it speaks link protocol %u, we speak %u",
                                   hello->version, QR_LINK_VERSION);
    if (err != 0)
        return qr_link_conn_refuse(conn, err, "the hello is malformed");
    err = judge_certificate(conn, &identity); /* again: the table may have changed */
    if (err != 0)
        return err;
    if (hello->member != identity.member)
        return qr_link_conn_refuse(conn, QR_E_DENIED,
                                   "the hello says member %u, the certificate member %u",
                                   hello->member, identity.member);
    if (!qr_guid_equal(&hello->cluster, &link->config.cluster_id))
        return qr_link_conn_refuse(conn, QR_E_DENIED, "the hello is of another cluster");
    return judge_incarnation(conn, hello);
}

static int say_hello(struct qr_link_conn *conn)
{
    const struct qr_link *link = conn->owner;
    struct qr_link_hello hello = {
        .version = QR_LINK_VERSION,
        .member = link->config.member_id,
        .incarnation = link->config.incarnation,
        .cluster = link->config.cluster_id,
        .disk = link->disk,
        .address = qr_slice_str(link->listen_address),
    };
    uint8_t payload[QR_LINK_HELLO_BYTES_MAX];
    struct qr_slice part = qr_slice_of(payload, qr_link_hello_encode(&hello, payload));
    return qr_link_conn_send(conn, QR_LINK_HELLO, 0, &part, 1, NULL, NULL);
}

/* TLS is up. */
static int on_secured(struct qr_link_conn *conn)
{
    struct qr_identity identity = {0};
    int err = judge_certificate(conn, &identity);
    if (err == 0 && conn->dialled)
        err = say_hello(conn);
    return err;
}

static struct peer *add_guest(struct qr_link *link, uint32_t member);

/* Both hellos were right: the connection carries frames from now on. */
static int come_up(struct qr_link_conn *conn, const struct qr_link_hello *hello)
{
    struct qr_link *link = conn->owner;
    struct peer *peer = find_peer(link, hello->member);
    if (peer == NULL)
        peer = add_guest(link, hello->member);
    if (peer == NULL)
        return qr_link_conn_refuse(conn, QR_E_LIMIT, "too many members that are not in the table");
    char tls[64];
    unsigned held;
    if (!conn->dialled) {
        int err = say_hello(conn);
        if (err != 0)
            return err;
        link->n_strangers--;
        qr_list_remove(&conn->node);
        qr_list_add_tail(&link->conns, &conn->node);
    }
    qr_link_conn_trust(conn);
    peer->incarnation = hello->incarnation;
    peer->disk = hello->disk;
    if (peer->dial == conn)
        peer->dial = NULL;
    struct qr_link_conn *old = peer->conn;
    if (old != NULL) {
        qr_link_conn_refuse(old, 0, "a newer connection took its place");
        qr_link_conn_cut(old, QR_E_STALE);
    }
    if (conn->closing || peer->removed || peer->conn != NULL)
        return 0; /* the owner's callback decided otherwise */
    peer->conn = conn;
    conn->member = peer;
    link->shared.stats.connects++;
    peer->dial_log = (struct qr_log_limit){0};
    qr_tls_describe(conn->tls, tls, sizeof tls);
    if (may_log(&peer->log, &held))
        qr_info("member up member=%u address=%s incarnation=%llu tls=\"%s\" held=%u",
                peer->member.id, conn->peer, (unsigned long long)hello->incarnation, tls, held);
    tell_peer(link, peer->member.id, true);
    return 0;
}

static int on_frame(struct qr_link_conn *conn, const struct qr_link_frame *frame)
{
    struct qr_link *link = conn->owner;
    if (!conn->trusted) {
        struct qr_link_hello hello = {0};
        int err = judge_hello(conn, frame, &hello);
        return err != 0 ? err : come_up(conn, &hello);
    }
    if (frame->type == QR_LINK_PING)
        return 0;
    if (frame->type == QR_LINK_HELLO)
        return qr_link_conn_refuse(conn, QR_E_MALFORMED, "it said hello twice");
    const struct peer *peer = up_peer(conn);
    const struct handler *handler = &link->handlers[frame->type];
    if (peer == NULL || handler->receive == NULL)
        return 0;
    int err = handler->receive(handler->data, peer->member.id, frame->group, frame->payload);
    if (err != 0)
        qr_link_conn_refuse(conn, err, "its %s frame was not taken: %s",
                            qr_link_type_name(frame->type), qr_strerror(err));
    return err;
}

/* ---- dialling ---- */

static bool we_dial(const struct peer *peer)
{
    if (peer->link->shared.tls == NULL)
        return false;
    return !peer->guest && peer->link->config.member_id > peer->member.id;
}

static void dial_address(struct peer *peer, const struct sockaddr *address)
{
    struct qr_link *link = peer->link;
    struct qr_link_conn *conn = new_conn(link, &link->conns);
    if (conn == NULL) {
        dial_later(peer);
        return;
    }
    peer->dial = conn;
    conn->member = peer;
    qr_link_conn_dial(conn, address);
}

static void release_peer(struct peer *peer)
{
    if (peer->timer_open || peer->resolving)
        return;
    struct qr_link *link = peer->link;
    free(peer);
    drop(link);
}

/* The address of a name whose turn it is. */
static const struct addrinfo *pick(const struct addrinfo *found, unsigned turn)
{
    unsigned n = 0;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        n++;
    const struct addrinfo *at = found;
    for (turn %= n; turn > 0; turn--)
        at = at->ai_next;
    return at;
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct peer *peer = resolve->data;
    unsigned held;
    peer->resolving = false;
    if (peer->removed) {
        release_peer(peer);
    } else if (status == 0 && found != NULL) {
        dial_address(peer, pick(found, peer->n_dials)->ai_addr);
    } else {
        if (qr_log_allowed(&peer->dial_log, 1, DIAL_LOG_MS, &held))
            qr_warn("member not reached reason=\"%s\" member=%u address=%s tries_held=%u",
                    uv_strerror(status), peer->member.id, peer->member.address, held);
        dial_later(peer);
    }
    uv_freeaddrinfo(found);
}

static void resolve(struct peer *peer)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    peer->resolve.data = peer;
    int err = uv_getaddrinfo(peer->link->config.loop, &peer->resolve, on_resolved,
                             peer->address.host, peer->address.port, &hints);
    peer->resolving = err == 0;
    if (err != 0)
        dial_later(peer);
}

static void on_retry(uv_timer_t *timer)
{
    struct peer *peer = timer->data;
    struct sockaddr_storage literal;
    if (peer->conn != NULL || peer->dial != NULL || peer->resolving)
        return;
    peer->n_dials++;
    if (qr_address_literal(&peer->address, &literal) == 0)
        dial_address(peer, (const struct sockaddr *)&literal);
    else
        resolve(peer);
}

static void dial_later(struct peer *peer)
{
    if (!peer->removed && we_dial(peer))
        uv_timer_start(&peer->retry, on_retry, peer->link->config.connect_retry_ms, 0);
}

/* ---- listening ---- */

static void make_room_for_stranger(struct qr_link *link)
{
    if (link->n_strangers < STRANGERS_MAX)
        return;
    QR_LIST_FOREACH (node, &link->strangers) {
        struct qr_link_conn *oldest = QR_CONTAINER_OF(node, struct qr_link_conn, node);
        if (oldest->closing)
            continue;
        qr_link_conn_refuse(oldest, 0, "too many connections that say no hello");
        qr_link_conn_cut(oldest, QR_E_BUSY);
        return;
    }
}

/* libuv holds one connection back until it is accepted, and listens no more until then. */
static void accept_one(struct qr_link *link)
{
    unsigned held;
    make_room_for_stranger(link);
    struct qr_link_conn *conn = new_conn(link, &link->strangers);
    link->accept_owed = conn == NULL;
    if (conn == NULL) {
        if (may_log(&link->log, &held))
            qr_error("member connection cannot be accepted reason=\"%s\" held=%u",
                     qr_strerror(UV_ENOMEM), held);
        return;
    }
    link->n_strangers++;
    qr_link_conn_accept(conn, (uv_stream_t *)&link->listener);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct qr_link *link = listener->data;
    unsigned held;
    if (link->closing)
        return;
    if (status == 0)
        accept_one(link);
    else if (may_log(&link->log, &held))
        qr_error("member connection cannot be accepted reason=\"%s\" held=%u", uv_strerror(status),
                 held);
}

static int bind_to(struct qr_link *link, const struct sockaddr *address)
{
    int err = uv_tcp_bind(&link->listener, address, 0);
    return err != 0 ? err : uv_listen((uv_stream_t *)&link->listener, BACKLOG, on_connection);
}

/* The configured address; names are resolved here and now, this is the start of the program. */
static int listen_on(struct qr_link *link)
{
    struct qr_address address;
    struct sockaddr_storage literal;
    int err = qr_address_parse(&address, qr_slice_str(link->config.listen_address));
    if (err != 0)
        return QR_E_CONFIG;
    if (qr_address_literal(&address, &literal) == 0) {
        err = bind_to(link, (const struct sockaddr *)&literal);
        if (err != UV_EAFNOSUPPORT || address.host[0] != '\0')
            return err;
        snprintf(address.host, sizeof address.host, "0.0.0.0"); /* a machine without IPv6 */
        (void)qr_address_literal(&address, &literal);
        return bind_to(link, (const struct sockaddr *)&literal);
    }
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    err = uv_getaddrinfo(link->config.loop, &request, NULL, address.host, address.port, &hints);
    if (err != 0)
        return err;
    err = bind_to(link, request.addrinfo->ai_addr);
    uv_freeaddrinfo(request.addrinfo);
    return err;
}

static void note_address(struct qr_link *link)
{
    struct sockaddr_storage name;
    int len = (int)sizeof name;
    if (uv_tcp_getsockname(&link->listener, (struct sockaddr *)&name, &len) == 0)
        qr_address_format((struct sockaddr *)&name, link->listen_address,
                          sizeof link->listen_address);
}

unsigned qr_link_port(const struct qr_link *link)
{
    struct qr_address address;
    int err = qr_address_parse(&address, qr_slice_str(link->listen_address));
    assert(err == 0);
    return (unsigned)strtoul(address.port, NULL, 10);
}

/* ---- the link ---- */

static void on_tick(uv_timer_t *tick)
{
    struct qr_link *link = tick->data;
    uint64_t now = qr_clock_mono_ms(link->config.clock);
    uint64_t late = now - link->ticked_ms;
    /* When this loop stood still (a stopped process, a slow disk), the peers' bytes are waiting. */
    uint64_t stalled = late > 2 * link->config.heartbeat_ms ? late - link->config.heartbeat_ms : 0;
    link->ticked_ms = now;
    QR_LIST_FOREACH (node, &link->conns)
        qr_link_conn_tick(QR_CONTAINER_OF(node, struct qr_link_conn, node), now, stalled);
    if (link->accept_owed && !link->closing)
        accept_one(link);
}

static void on_handle_closed(uv_handle_t *handle)
{
    drop(handle->data);
}

static void share(struct qr_link *link)
{
    const struct qr_link_config *config = &link->config;
    link->shared.loop = config->loop;
    link->shared.clock = config->clock;
    link->shared.heartbeat_ms = config->heartbeat_ms;
    link->shared.election_timeout_ms = config->election_timeout_ms;
    link->shared.handshake_timeout_ms = config->handshake_timeout_ms;
    link->shared.read_buffer = link->read_buffer;
    link->shared.read_buffer_bytes = sizeof link->read_buffer;
    link->shared.secured = on_secured;
    link->shared.frame = on_frame;
    link->shared.cut = on_cut;
    link->shared.closed = on_conn_closed;
}

/* Handles are open: from here a failure closes through the loop. */
static int start(struct qr_link *link)
{
    int err = link->config.listen_address != NULL ? listen_on(link) : 0;
    if (err != 0) {
        qr_error("member link cannot listen reason=\"%s\" address=%s", qr_strerror(err),
                 link->config.listen_address);
        return err;
    }
    if (link->config.listen_address != NULL)
        note_address(link);
    link->ticked_ms = qr_clock_mono_ms(link->config.clock);
    uv_timer_start(&link->tick, on_tick, link->config.heartbeat_ms, link->config.heartbeat_ms);
    return 0;
}

int qr_link_open(struct qr_link **out, const struct qr_link_config *config)
{
    char reason[QR_TLS_REASON_BYTES];
    assert(config->heartbeat_ms > 0);
    assert(config->election_timeout_ms > config->heartbeat_ms);
    struct qr_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return UV_ENOMEM;
    link->config = *config;
    share(link);
    qr_list_init(&link->conns);
    qr_list_init(&link->strangers);
    int err = 0;
    if (config->listen_address != NULL)
        err = qr_tls_context_mutual(&link->shared.tls, config->ca_file, config->cert_file,
                                    config->key_file, reason);
    if (err == 0)
        err = uv_tcp_init(config->loop, &link->listener);
    else
        qr_error("member link cannot start reason=\"%s\"", reason);
    if (err != 0) {
        qr_tls_context_free(link->shared.tls);
        free(link);
        return err;
    }
    uv_timer_init(config->loop, &link->tick);
    link->listener.data = link->tick.data = link;
    link->n_open = 2;
    err = start(link);
    if (err != 0)
        qr_link_close(link, NULL, NULL); /* frees it within the next turns of the loop */
    else
        *out = link;
    return err;
}

/* Does the certificate name this member of this cluster? */
static int check_own(const struct qr_link *link, const struct qr_tls_context *tls,
                     const char *cert_file, char reason[QR_TLS_REASON_BYTES])
{
    char uri[QR_IDENTITY_BYTES + 64];
    struct qr_identity own;
    int err = qr_tls_context_own_uri(tls, uri, sizeof uri, reason);
    if (err == QR_E_TLS || err == UV_ENOMEM)
        return err;
    if (err == 0 && qr_identity_parse(&own, qr_slice_str(uri)) == 0 &&
        own.member == link->config.member_id &&
        qr_guid_equal(&own.cluster, &link->config.cluster_id))
        return 0;
    snprintf(reason, QR_TLS_REASON_BYTES,
             "the certificate does not name member %u of this cluster: %s", link->config.member_id,
             cert_file);
    return QR_E_DENIED;
}

int qr_link_reload(struct qr_link *link, const char *ca_file, const char *cert_file,
                   const char *key_file, char reason[QR_TLS_REASON_BYTES])
{
    struct qr_tls_context *read;
    int err = qr_tls_context_mutual(&read, ca_file, cert_file, key_file, reason);
    if (err != 0)
        return err;
    err = check_own(link, read, cert_file, reason);
    struct qr_tls_context *dropped = err == 0 ? link->shared.tls : read;
    if (err == 0)
        link->shared.tls = read;
    qr_tls_context_free(dropped); /* Sessions keep what they need of it. */
    return err;
}

void qr_link_set_disk(struct qr_link *link, uint32_t disk)
{
    link->disk = disk;
}

void qr_link_set_incarnation(struct qr_link *link, uint64_t incarnation)
{
    assert(incarnation > link->config.incarnation);
    link->config.incarnation = incarnation;
}

void qr_link_on(struct qr_link *link, enum qr_link_type type, qr_link_receive_cb receive,
                void *data)
{
    assert(type > QR_LINK_PING);
    assert(type < QR_LINK_TYPE_NR);
    link->handlers[type] = (struct handler){receive, data};
}

void qr_link_on_peer(struct qr_link *link, qr_link_peer_cb peer, void *data)
{
    link->on_peer = peer;
    link->peer_data = data;
}

/* ---- the member table ---- */

static void remove_peer(struct peer *peer, int status);

/* A guest that has left is forgotten for it. */
static bool make_room_for_peer(struct qr_link *link)
{
    for (unsigned i = 0; i < link->n_peers && link->n_peers == PEERS_MAX; i++)
        if (link->peers[i]->guest && link->peers[i]->conn == NULL)
            remove_peer(link->peers[i], QR_E_UNREACHABLE);
    return link->n_peers < PEERS_MAX;
}

static int add_peer(struct qr_link *link, const struct qr_link_member *member,
                    const struct qr_address *address)
{
    if (!make_room_for_peer(link))
        return QR_E_LIMIT;
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return UV_ENOMEM;
    peer->link = link;
    peer->member = *member;
    peer->guest = address == NULL;
    if (address != NULL)
        peer->address = *address;
    uv_timer_init(link->config.loop, &peer->retry);
    peer->retry.data = peer;
    peer->timer_open = true;
    link->peers[link->n_peers++] = peer;
    link->n_open++;
    if (we_dial(peer))
        uv_timer_start(&peer->retry, on_retry, 0, 0);
    return 0;
}

static struct peer *add_guest(struct qr_link *link, uint32_t member)
{
    const struct qr_link_member guest = {.id = member};
    return add_peer(link, &guest, NULL) == 0 ? find_peer(link, member) : NULL;
}

int qr_link_set_member(struct qr_link *link, const struct qr_link_member *member)
{
    struct qr_address address;
    assert(!link->closing);
    if (member->id == link->config.member_id)
        return 0;
    size_t len = strnlen(member->address, sizeof member->address);
    if (member->id == 0 || len == sizeof member->address ||
        qr_address_parse(&address, qr_slice_of(member->address, len)) != 0)
        return QR_E_CONFIG;
    struct peer *peer = find_peer(link, member->id);
    if (peer == NULL)
        return add_peer(link, member, &address);
    peer->member = *member;
    peer->address = address;
    bool was_guest = peer->guest;
    peer->guest = false;
    if (was_guest && peer->conn == NULL)
        dial_later(peer);
    return 0;
}

static void on_retry_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    peer->timer_open = false;
    release_peer(peer);
}

/* Takes a peer out of the table, then cuts its connections with `status`. */
static void remove_peer(struct peer *peer, int status)
{
    struct qr_link *link = peer->link;
    for (unsigned i = 0; i < link->n_peers; i++) {
        if (link->peers[i] != peer)
            continue;
        link->peers[i] = link->peers[--link->n_peers];
        break;
    }
    peer->removed = true;
    if (peer->resolving)
        uv_cancel((uv_req_t *)&peer->resolve);
    uv_close((uv_handle_t *)&peer->retry, on_retry_closed);
    struct qr_link_conn *conns[2] = {peer->conn, peer->dial};
    for (unsigned i = 0; i < 2; i++) {
        if (conns[i] == NULL)
            continue;
        qr_link_conn_refuse(conns[i], 0, "member %u was removed", peer->member.id);
        qr_link_conn_cut(conns[i], status);
    }
}

void qr_link_remove_member(struct qr_link *link, uint32_t member)
{
    struct peer *peer = find_peer(link, member);
    if (peer != NULL)
        remove_peer(peer, QR_E_UNREACHABLE);
}

void qr_link_ban(struct qr_link *link, uint32_t member, bool ban)
{
    unsigned at = 0;
    while (at < link->n_banned && link->banned[at] != member)
        at++;
    if (!ban && at < link->n_banned)
        link->banned[at] = link->banned[--link->n_banned];
    if (!ban)
        return;
    if (at == link->n_banned && at < QR_LINK_BANNED_MAX)
        link->banned[link->n_banned++] = member;
    qr_link_remove_member(link, member);
}

/* ---- using it ---- */

int qr_link_send(struct qr_link *link, uint32_t member, uint32_t group, enum qr_link_type type,
                 const struct qr_slice *parts, unsigned n_parts, qr_link_sent_cb sent, void *data)
{
    const struct peer *peer = find_peer(link, member);
    size_t len = 0;
    for (unsigned i = 0; i < n_parts; i++)
        len += parts[i].len;
    if (len > qr_link_payload_max(type))
        return QR_E_LIMIT;
    if (peer == NULL || peer->conn == NULL || peer->conn->closing)
        return QR_E_UNREACHABLE;
    size_t backlog = qr_link_conn_backlog(peer->conn);
    if (backlog > 0 && backlog + len + QR_LINK_HEADER_BYTES > link->config.queue_bytes_max)
        return QR_E_BUSY;
    return qr_link_conn_send(peer->conn, type, group, parts, n_parts, sent, data);
}

bool qr_link_is_up(const struct qr_link *link, uint32_t member)
{
    const struct peer *peer = find_peer(link, member);
    return peer != NULL && peer->conn != NULL;
}

uint64_t qr_link_last_heard_ms(const struct qr_link *link, uint32_t member)
{
    const struct peer *peer = find_peer(link, member);
    if (peer == NULL)
        return 0;
    return peer->conn != NULL ? peer->conn->heard_ms : peer->heard_ms;
}

void qr_link_get_stats(const struct qr_link *link, struct qr_link_stats *stats)
{
    *stats = link->shared.stats;
}

static void cut_all(struct qr_list *conns)
{
    QR_LIST_FOREACH (node, conns)
        qr_link_conn_cut(QR_CONTAINER_OF(node, struct qr_link_conn, node), UV_ECANCELED);
}

void qr_link_close(struct qr_link *link, void (*on_closed)(void *data), void *data)
{
    assert(!link->closing);
    link->closing = true;
    link->on_closed = on_closed;
    link->closed_data = data;
    while (link->n_peers > 0)
        remove_peer(link->peers[0], UV_ECANCELED);
    cut_all(&link->conns);
    cut_all(&link->strangers);
    uv_close((uv_handle_t *)&link->listener, on_handle_closed);
    uv_close((uv_handle_t *)&link->tick, on_handle_closed);
}
