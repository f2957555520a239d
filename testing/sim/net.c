/* Sockets, listeners, and what is wrong between two hosts. */
#include "testing/sim/net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "testing/sim/net_conn.h"

#define NETWORK         0x0a000000u /* 10.0.0.0 */
#define LATENCY_NS      (60 * QR_SIM_US)
#define JITTER_NS       (120 * QR_SIM_US)
#define LATE_ONE_IN     256u /* Packets that a switch holds up .. */
#define LATE_NS         (5 * QR_SIM_MS)
#define LOST_ONE_IN     8192u /* .. and those that are lost, and sent again. */
#define LOST_NS         (200 * QR_SIM_MS)
#define LOOPBACK_NS     (10 * QR_SIM_US)
#define BYTES_PER_S     UINT64_C(125000000)
#define SYN_TRIES       7u             /* Linux's: gives up after 127 s. */
#define HURRY_NS        (2 * QR_SIM_S) /* After the healing. */
#define BACKLOG_MIN     8u
#define PORT_MIN        32768u
#define PORTS           28000u
#define KEEP_INTERVAL_S 75u /* Linux's. */
#define KEEP_PROBES     9u

static struct {
    struct qr_net_path paths[QR_SIM_HOSTS_MAX + 1][QR_SIM_HOSTS_MAX + 1];
    struct qr_list sockets[QR_SIM_HOSTS_MAX + 1]; /* Of a host. */
    uint16_t next_port[QR_SIM_HOSTS_MAX + 1];
    char addresses[QR_SIM_HOSTS_MAX + 1][INET_ADDRSTRLEN];
    struct qr_net_socket **fds;
    int *free_fds;
    int n_fds, n_free_fds, capacity;
} net;

struct qr_net_stats qr_net_counts;

const struct qr_net_stats *qr_net_stats(void)
{
    return &qr_net_counts;
}

/* ---- hosts and paths ---- */

const char *qr_net_address(const struct qr_sim_host *host)
{
    return net.addresses[host->id];
}

static struct qr_sim_host *host_at(uint32_t address, struct qr_sim_host *asks)
{
    if (address >> 24 == 127 || address == INADDR_ANY)
        return asks;
    return (address & 0xffffff00u) == NETWORK ? qr_sim_host_get(address & 0xffu) : NULL;
}

struct qr_sim_host *qr_net_host_at(uint32_t address)
{
    return host_at(ntohl(address), NULL);
}

bool qr_net_machine_is_on(const struct qr_sim_host *host)
{
    return host->up || (host->life > 0 && host->down != QR_SIM_POWER);
}

struct qr_net_path *qr_net_path(const struct qr_sim_host *from, const struct qr_sim_host *to)
{
    return &net.paths[from->id][to->id];
}

uint64_t qr_net_arrival_ns(const struct qr_sim_host *from, const struct qr_sim_host *to,
                           size_t bytes)
{
    struct qr_net_path *path = qr_net_path(from, to);
    uint64_t now = qr_sim_now_ns();
    if (from == to)
        return now + LOOPBACK_NS + qr_sim_below(LOOPBACK_NS);
    uint64_t rate = path->bytes_per_s != 0 ? path->bytes_per_s : BYTES_PER_S;
    if (path->free_ns < now)
        path->free_ns = now;
    path->free_ns += (bytes + 66) * QR_SIM_S / rate;
    uint64_t more_ns = path->latency_ns / 2;
    uint64_t at_ns = path->free_ns + LATENCY_NS + more_ns + qr_sim_below(JITTER_NS + more_ns);
    if (qr_sim_chance(LATE_ONE_IN))
        at_ns += qr_sim_below(LATE_NS);
    if (qr_sim_chance(LOST_ONE_IN))
        at_ns += LOST_NS;
    return at_ns;
}

/* Keepalive of the connections of a pair begins to ask. */
static void doubt(uint32_t a, uint32_t b)
{
    QR_LIST_FOREACH (node, qr_net_conns()) {
        struct qr_net_conn *conn = QR_CONTAINER_OF(node, struct qr_net_conn, node);
        uint32_t ids[2] = {conn->host[0]->id, conn->host[1]->id};
        if ((ids[0] == a && ids[1] == b) || (ids[0] == b && ids[1] == a))
            qr_net_conn_doubt(conn);
    }
}

void qr_net_cut(uint32_t from, uint32_t to, bool on)
{
    if (from == to)
        return;
    net.paths[from][to].cut = on;
    if (on)
        doubt(from, to);
}

void qr_net_mute(uint32_t from, uint32_t to, bool on)
{
    net.paths[from][to].mute = on && from != to;
}

void qr_net_slow(uint32_t from, uint32_t to, uint64_t latency_us, uint64_t bytes_per_s)
{
    struct qr_net_path *path = &net.paths[from][to];
    path->latency_ns = latency_us * QR_SIM_US;
    path->bytes_per_s = bytes_per_s;
    path->free_ns = 0;
}

void qr_net_heal(void)
{
    memset(net.paths, 0, sizeof net.paths);
    QR_LIST_FOREACH (node, qr_net_conns())
        qr_net_conn_hurry(QR_CONTAINER_OF(node, struct qr_net_conn, node), HURRY_NS);
}

static bool is_between(const struct qr_net_conn *conn, uint32_t a, uint32_t b)
{
    uint32_t x = conn->host[0]->id, y = conn->host[1]->id;
    return (conn->live[0] || conn->live[1]) &&
           ((x == a && (b == 0 || y == b)) || (y == a && (b == 0 || x == b)));
}

unsigned qr_net_reset(uint32_t a, uint32_t b, bool all)
{
    unsigned n = 0, n_reset = 0;
    QR_LIST_FOREACH (node, qr_net_conns()) {
        n += is_between(QR_CONTAINER_OF(node, struct qr_net_conn, node), a, b);
    }
    unsigned chosen = n > 0 ? (unsigned)qr_sim_below(n) : 0, i = 0;
    QR_LIST_FOREACH (node, qr_net_conns()) {
        struct qr_net_conn *conn = QR_CONTAINER_OF(node, struct qr_net_conn, node);
        if (!is_between(conn, a, b) || (i++ != chosen && !all))
            continue;
        qr_net_conn_reset(conn);
        n_reset++;
    }
    return n_reset;
}

/* ---- sockets ---- */

static int take_fd(struct qr_net_socket *socket)
{
    if (net.n_free_fds > 0) {
        int i = net.free_fds[--net.n_free_fds];
        net.fds[i] = socket;
        return QR_NET_FD_MIN + i;
    }
    if (net.n_fds == net.capacity) {
        net.capacity = net.capacity == 0 ? 64 : 2 * net.capacity;
        net.fds = realloc(net.fds, (size_t)net.capacity * sizeof(struct qr_net_socket *));
        net.free_fds = realloc(net.free_fds, (size_t)net.capacity * sizeof *net.free_fds);
        assert(net.fds != NULL);
        assert(net.free_fds != NULL);
    }
    net.fds[net.n_fds] = socket;
    return QR_NET_FD_MIN + net.n_fds++;
}

static struct qr_net_socket *new_socket(struct qr_sim_host *host)
{
    struct qr_net_socket *socket = calloc(1, sizeof *socket);
    assert(socket != NULL);
    socket->fd = take_fd(socket);
    socket->host = host;
    socket->idle_s = 7200;
    socket->interval_s = KEEP_INTERVAL_S;
    socket->n_probes_max = KEEP_PROBES;
    qr_list_init(&socket->node);
    qr_list_init(&socket->waiting);
    return socket;
}

struct qr_net_socket *qr_net_open(void)
{
    struct qr_net_socket *socket = new_socket(qr_sim_host());
    qr_list_add_tail(&net.sockets[socket->host->id], &socket->node);
    return socket;
}

/* Not its connection. */
static void free_socket(struct qr_net_socket *socket)
{
    int i = socket->fd - QR_NET_FD_MIN;
    net.fds[i] = NULL;
    net.free_fds[net.n_free_fds++] = i;
    qr_sim_event_cancel(&socket->syn);
    qr_list_remove(&socket->node);
    free(socket);
}

static void end_socket(struct qr_net_socket *socket, bool silent)
{
    while (!qr_list_empty(&socket->waiting)) { /* Nobody accepted them: RST. */
        struct qr_net_socket *waits =
            QR_CONTAINER_OF(socket->waiting.next, struct qr_net_socket, node);
        if (!silent)
            qr_net_conn_abort(waits->conn, waits->side);
        end_socket(waits, silent);
    }
    if (socket->conn != NULL && silent)
        qr_net_conn_silence(socket->conn, socket->side);
    else if (socket->conn != NULL)
        qr_net_conn_close(socket->conn, socket->side);
    free_socket(socket);
}

void qr_net_close(struct qr_net_socket *socket)
{
    end_socket(socket, false);
}

static void on_down(struct qr_sim_host *host)
{
    struct qr_list *sockets = &net.sockets[host->id];
    while (!qr_list_empty(sockets))
        end_socket(QR_CONTAINER_OF(sockets->next, struct qr_net_socket, node),
                   host->down == QR_SIM_POWER);
}

void qr_net_init(void)
{
    for (uint32_t id = 1; id <= QR_SIM_HOSTS_MAX; id++) {
        snprintf(net.addresses[id], sizeof net.addresses[id], "10.0.0.%u", id);
        qr_list_init(&net.sockets[id]);
        net.next_port[id] = (uint16_t)(PORT_MIN + qr_sim_below(PORTS));
    }
    qr_sim_on_down(on_down);
}

int qr_net_fd(const struct qr_net_socket *socket)
{
    return socket->fd;
}

void qr_net_watch(struct qr_net_socket *socket, void (*changed)(void *data), void *data)
{
    socket->changed = changed;
    socket->data = data;
}

void qr_net_tell(struct qr_net_socket *socket)
{
    if (socket->changed != NULL)
        socket->changed(socket->data);
}

static unsigned connection_events(const struct qr_net_socket *socket)
{
    const struct qr_net_flow *out = &socket->conn->flow[socket->side];
    const struct qr_net_flow *in = &socket->conn->flow[!socket->side];
    bool ended = in->fin_arrived && in->read == in->arrived;
    unsigned events = 0;
    if (socket->broken || ended || in->arrived > in->read)
        events |= QR_NET_IN;
    if (socket->broken || out->fin_sent || qr_net_flow_has_room(out))
        events |= QR_NET_OUT;
    if (socket->error != 0)
        events |= QR_NET_ERR;
    if (socket->broken || (in->fin_arrived && out->fin_sent))
        events |= QR_NET_HUP;
    return events;
}

unsigned qr_net_events(const struct qr_net_socket *socket)
{
    switch (socket->state) {
    case QR_NET_LISTENS:
        return socket->n_waiting > 0 ? QR_NET_IN : 0;
    case QR_NET_CONNECTED:
        return connection_events(socket);
    case QR_NET_FRESH:
        return socket->error != 0 ? QR_NET_IN | QR_NET_OUT | QR_NET_ERR | QR_NET_HUP : 0;
    default:
        return 0;
    }
}

int qr_net_error(struct qr_net_socket *socket)
{
    int err = socket->error;
    socket->error = 0;
    return err;
}

/* ---- names ---- */

static struct qr_net_socket *find_listener(const struct qr_sim_host *host, uint32_t address,
                                           uint16_t port)
{
    struct qr_net_socket *found = NULL;
    unsigned n = 0;
    QR_LIST_FOREACH (node, &net.sockets[host->id]) {
        struct qr_net_socket *socket = QR_CONTAINER_OF(node, struct qr_net_socket, node);
        if (socket->state != QR_NET_LISTENS || socket->port != port ||
            (socket->address != INADDR_ANY && socket->address != address))
            continue;
        if (found == NULL || qr_sim_below(++n + 1) == 0) /* SO_REUSEPORT: any of them. */
            found = socket;
    }
    return found;
}

static bool is_taken(const struct qr_net_socket *self, uint32_t address, uint16_t port)
{
    QR_LIST_FOREACH (node, &net.sockets[self->host->id]) {
        const struct qr_net_socket *other = QR_CONTAINER_OF(node, struct qr_net_socket, node);
        if (other != self && other->state == QR_NET_LISTENS && other->port == port &&
            !(other->reuse_port && self->reuse_port) &&
            (other->address == address || other->address == INADDR_ANY || address == INADDR_ANY))
            return true;
    }
    return false;
}

static uint16_t take_port(const struct qr_net_socket *socket)
{
    uint16_t *next = &net.next_port[socket->host->id];
    do
        *next = (uint16_t)(*next >= PORT_MIN + PORTS - 1 ? PORT_MIN : *next + 1u);
    while (is_taken(socket, INADDR_ANY, *next));
    return *next;
}

int qr_net_bind(struct qr_net_socket *socket, const struct sockaddr *name)
{
    if (name->sa_family != AF_INET)
        return -EAFNOSUPPORT;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)name;
    uint32_t address = ntohl(in->sin_addr.s_addr);
    uint16_t port = ntohs(in->sin_port);
    if (socket->bound)
        return -EINVAL;
    if (host_at(address, socket->host) != socket->host)
        return -EADDRNOTAVAIL;
    if (port != 0 && is_taken(socket, address, port))
        return -EADDRINUSE;
    socket->address = address;
    socket->port = port != 0 ? port : take_port(socket);
    socket->bound = true;
    return 0;
}

int qr_net_name(const struct qr_net_socket *socket, bool peer, struct sockaddr *name, int *bytes)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    if (peer && socket->state != QR_NET_CONNECTED)
        return -ENOTCONN;
    in.sin_addr.s_addr = htonl(peer ? socket->peer_address : socket->address);
    in.sin_port = htons(peer ? socket->peer_port : socket->port);
    memcpy(name, &in, (size_t)*bytes < sizeof in ? (size_t)*bytes : sizeof in);
    *bytes = (int)sizeof in;
    return 0;
}

/* ---- how connections begin ---- */

int qr_net_listen(struct qr_net_socket *socket, int backlog)
{
    if (socket->state != QR_NET_FRESH && socket->state != QR_NET_LISTENS)
        return -EINVAL;
    if (!socket->bound) {
        socket->port = take_port(socket);
        socket->bound = true;
    }
    if (is_taken(socket, socket->address, socket->port))
        return -EADDRINUSE;
    socket->n_waiting_max = backlog < (int)BACKLOG_MIN ? BACKLOG_MIN : (unsigned)backlog;
    socket->state = QR_NET_LISTENS;
    return 0;
}

struct qr_net_socket *qr_net_accept(struct qr_net_socket *listener)
{
    if (qr_list_empty(&listener->waiting))
        return NULL;
    struct qr_net_socket *socket =
        QR_CONTAINER_OF(listener->waiting.next, struct qr_net_socket, node);
    qr_list_remove(&socket->node);
    listener->n_waiting--;
    qr_list_add_tail(&net.sockets[socket->host->id], &socket->node);
    return socket;
}

static void end_connect(struct qr_net_socket *socket, int err)
{
    socket->state = QR_NET_FRESH;
    socket->error = err;
    qr_net_tell(socket);
}

static void on_refused(struct qr_sim_event *event)
{
    qr_net_counts.n_refused++;
    end_connect(QR_CONTAINER_OF(event, struct qr_net_socket, syn), -ECONNREFUSED);
}

static void on_syn(struct qr_sim_event *event);
static void begin_connection(struct qr_net_socket *socket, struct qr_net_socket *listener);

static void on_syn_lost(struct qr_sim_event *event)
{
    struct qr_net_socket *socket = QR_CONTAINER_OF(event, struct qr_net_socket, syn);
    struct qr_sim_host *to = host_at(socket->peer_address, socket->host);
    if (++socket->n_syns >= SYN_TRIES) {
        qr_net_counts.n_connect_timeouts++;
        end_connect(socket, -ETIMEDOUT);
        return;
    }
    uint64_t at_ns = to != NULL ? qr_net_arrival_ns(socket->host, to, 0) : qr_sim_now_ns();
    qr_sim_event_at(&socket->syn, NULL, at_ns, on_syn);
}

/* The SYN+ACK is there.  The listener may be gone by now. */
static void on_syn_ack(struct qr_sim_event *event)
{
    struct qr_net_socket *socket = QR_CONTAINER_OF(event, struct qr_net_socket, syn);
    struct qr_sim_host *to = host_at(socket->peer_address, socket->host);
    struct qr_net_socket *listener = find_listener(to, socket->peer_address, socket->peer_port);
    if (listener == NULL || listener->n_waiting >= listener->n_waiting_max) {
        on_syn(event);
        return;
    }
    begin_connection(socket, listener);
}

/* The listener's side exists from now on, too. */
static void begin_connection(struct qr_net_socket *socket, struct qr_net_socket *listener)
{
    struct qr_sim_host *to = listener->host;
    struct qr_net_socket *server = new_socket(to);
    server->bound = true;
    server->address = to == socket->host ? socket->peer_address : NETWORK + to->id;
    server->port = socket->peer_port;
    server->peer_address = socket->address;
    server->peer_port = socket->port;
    qr_net_conn_new(socket, server);
    qr_list_add_tail(&listener->waiting, &server->node);
    listener->n_waiting++;
    qr_net_counts.n_connects++;
    qr_net_tell(listener);
    qr_net_tell(socket);
}

/* What a SYN finds at the other host. */
static void on_syn(struct qr_sim_event *event)
{
    struct qr_net_socket *socket = QR_CONTAINER_OF(event, struct qr_net_socket, syn);
    struct qr_sim_host *to = host_at(socket->peer_address, socket->host);
    const struct qr_net_path *out = to != NULL ? qr_net_path(socket->host, to) : NULL;
    const struct qr_net_path *back = to != NULL ? qr_net_path(to, socket->host) : NULL;
    if (to == NULL || out->cut || out->mute || back->cut || back->mute ||
        !qr_net_machine_is_on(to)) {
        qr_sim_event_at(event, NULL, qr_sim_now_ns() + (QR_SIM_S << socket->n_syns), on_syn_lost);
        return;
    }
    const struct qr_net_socket *listener =
        find_listener(to, socket->peer_address, socket->peer_port);
    uint64_t at_ns = qr_net_arrival_ns(to, socket->host, 0);
    if (listener == NULL)
        qr_sim_event_at(event, NULL, at_ns, on_refused);
    else if (listener->n_waiting >= listener->n_waiting_max)
        qr_sim_event_at(event, NULL, qr_sim_now_ns() + (QR_SIM_S << socket->n_syns), on_syn_lost);
    else
        qr_sim_event_at(event, NULL, at_ns, on_syn_ack);
}

/* Within one machine the handshake is over when connect() returns. */
static void connect_here(struct qr_net_socket *socket)
{
    struct qr_net_socket *listener =
        find_listener(socket->host, socket->peer_address, socket->peer_port);
    if (listener == NULL)
        on_refused(&socket->syn);
    else if (listener->n_waiting >= listener->n_waiting_max)
        on_syn(&socket->syn);
    else
        begin_connection(socket, listener);
}

int qr_net_connect(struct qr_net_socket *socket, const struct sockaddr *name)
{
    if (name->sa_family != AF_INET)
        return -EAFNOSUPPORT;
    if (socket->state != QR_NET_FRESH)
        return socket->state == QR_NET_CONNECTED ? -EISCONN : -EALREADY;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)name;
    socket->peer_address = ntohl(in->sin_addr.s_addr);
    socket->peer_port = ntohs(in->sin_port);
    if (socket->peer_address == INADDR_ANY)
        socket->peer_address = INADDR_LOOPBACK;
    if (!socket->bound)
        socket->port = take_port(socket);
    if (socket->address == INADDR_ANY)
        socket->address =
            socket->peer_address >> 24 == 127 ? socket->peer_address : NETWORK + socket->host->id;
    socket->bound = true;
    socket->state = QR_NET_CONNECTING;
    socket->n_syns = 0;
    struct qr_sim_host *to = host_at(socket->peer_address, socket->host);
    if (to != NULL && to == socket->host) {
        connect_here(socket);
        return 0;
    }
    uint64_t at_ns = to != NULL ? qr_net_arrival_ns(socket->host, to, 0) : qr_sim_now_ns();
    qr_sim_event_at(&socket->syn, NULL, at_ns, on_syn);
    return 0;
}

/* ---- bytes ---- */

ssize_t qr_net_send(struct qr_net_socket *socket, const struct iovec *parts, size_t n_parts)
{
    if (socket->state != QR_NET_CONNECTED)
        return socket->state == QR_NET_CONNECTING ? -EAGAIN : -ENOTCONN;
    if (socket->error != 0)
        return qr_net_error(socket);
    struct qr_net_flow *out = &socket->conn->flow[socket->side];
    if (socket->broken || out->fin_sent)
        return -EPIPE;
    return qr_net_flow_send(out, parts, n_parts);
}

ssize_t qr_net_recv(struct qr_net_socket *socket, void *into, size_t bytes)
{
    if (socket->state != QR_NET_CONNECTED)
        return socket->error != 0 ? qr_net_error(socket) : -ENOTCONN;
    struct qr_net_flow *in = &socket->conn->flow[!socket->side];
    if (in->arrived > in->read)
        return (ssize_t)qr_net_flow_recv(in, into, bytes);
    if (socket->error != 0)
        return qr_net_error(socket);
    return socket->broken || in->fin_arrived ? 0 : -EAGAIN;
}

int qr_net_shutdown(struct qr_net_socket *socket)
{
    if (socket->state != QR_NET_CONNECTED || socket->broken)
        return -ENOTCONN;
    if (!socket->conn->flow[socket->side].fin_sent)
        qr_net_flow_fin(&socket->conn->flow[socket->side]);
    return 0;
}

/* ---- options ---- */

static struct qr_net_socket *socket_of(int fd)
{
    int i = fd - QR_NET_FD_MIN;
    return i >= 0 && i < net.n_fds ? net.fds[i] : NULL;
}

/* Where an option is kept; NULL: it has no effect here. */
static unsigned *option_at(struct qr_net_socket *socket, int level, int name)
{
    if (level != IPPROTO_TCP)
        return NULL;
    return name == TCP_USER_TIMEOUT ? &socket->user_timeout_ms
           : name == TCP_KEEPIDLE   ? &socket->idle_s
           : name == TCP_KEEPINTVL  ? &socket->interval_s
           : name == TCP_KEEPCNT    ? &socket->n_probes_max
                                    : NULL;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t bytes)
{
    static int (*real)(int, int, int, const void *, socklen_t);
    if (fd < QR_NET_FD_MIN) {
        if (real == NULL)
            *(void **)&real = dlsym(RTLD_NEXT, "setsockopt");
        return real(fd, level, name, value, bytes);
    }
    struct qr_net_socket *socket = socket_of(fd);
    int number;
    if (socket == NULL || bytes < sizeof number) {
        errno = socket == NULL ? EBADF : EINVAL;
        return -1;
    }
    memcpy(&number, value, sizeof number);
    unsigned *at = option_at(socket, level, name);
    if (at != NULL)
        *at = (unsigned)number;
    if (level == SOL_SOCKET && name == SO_REUSEPORT)
        socket->reuse_port = number != 0;
    if (level == SOL_SOCKET && name == SO_KEEPALIVE)
        socket->keepalive = number != 0;
    return 0;
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict bytes)
{
    static int (*real)(int, int, int, void *, socklen_t *);
    if (fd < QR_NET_FD_MIN) {
        if (real == NULL)
            *(void **)&real = dlsym(RTLD_NEXT, "getsockopt");
        return real(fd, level, name, value, bytes);
    }
    struct qr_net_socket *socket = socket_of(fd);
    const unsigned *at = socket != NULL ? option_at(socket, level, name) : NULL;
    int number = at != NULL ? (int)*at : 0;
    if (socket == NULL || *bytes < sizeof number) {
        errno = socket == NULL ? EBADF : EINVAL;
        return -1;
    }
    if (level == SOL_SOCKET && name == SO_ERROR)
        number = -qr_net_error(socket);
    if (level == SOL_SOCKET && name == SO_REUSEPORT)
        number = socket->reuse_port;
    if (level == SOL_SOCKET && name == SO_KEEPALIVE)
        number = socket->keepalive;
    memcpy(value, &number, sizeof number);
    *bytes = sizeof number;
    return 0;
}
