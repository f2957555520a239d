/* A link against peers that misbehave.  The peer is a bare connection (link_conn) that says what
 * the test wants; the victim is a whole link, with a good member beside that must not notice. */
#include "cluster/link_conn.h"

#include <signal.h>

#include "base/address.h"
#include "base/checksum.h"
#include "cluster/tests/link_kit.h"

static uv_loop_t loop;

struct raw {
    struct qr_link_conn_shared shared;
    struct qr_link_conn conn;
    struct qr_tls_context *tls;
    char read_buffer[65536];
    struct qr_link_hello hello; /* said when TLS is up, if member is not 0 */
    bool secured, answered, cut, closed;
    unsigned n_frames;
};

static struct kit_member victim, good;
static struct raw raw;

static int raw_secured(struct qr_link_conn *conn)
{
    struct raw *r = conn->owner;
    uint8_t payload[QR_LINK_HELLO_BYTES_MAX];
    r->secured = true;
    if (r->hello.member == 0)
        return 0;
    struct qr_slice part = qr_slice_of(payload, qr_link_hello_encode(&r->hello, payload));
    return qr_link_conn_send(conn, QR_LINK_HELLO, 0, &part, 1, NULL, NULL);
}

static int raw_frame(struct qr_link_conn *conn, const struct qr_link_frame *frame)
{
    struct raw *r = conn->owner;
    r->n_frames++;
    if (frame->type == QR_LINK_HELLO) {
        r->answered = true;
        qr_link_conn_trust(conn);
    }
    return 0;
}

static void raw_cut(struct qr_link_conn *conn, int status)
{
    (void)status;
    ((struct raw *)conn->owner)->cut = true;
}

static void raw_closed(struct qr_link_conn *conn)
{
    ((struct raw *)conn->owner)->closed = true;
}

static struct qr_link_hello right_hello(uint32_t member)
{
    return (struct qr_link_hello){QR_LINK_VERSION, member, 1, kit_cluster, 0, qr_slice_str("x:1")};
}

/* A bare connection to the victim, with the certificate of `cert`; hello NULL: it says none. */
static void dial_raw(const char *cert, const struct qr_link_hello *hello)
{
    char ca[128], crt[128], key[128], reason[QR_TLS_REASON_BYTES];
    memset(&raw, 0, sizeof raw);
    if (hello != NULL)
        raw.hello = *hello;
    assert_int_equal(qr_tls_context_mutual(&raw.tls, kit_path(ca, "ca", "crt"),
                                           kit_path(crt, cert, "crt"), kit_path(key, cert, "key"),
                                           reason),
                     0);
    raw.shared = (struct qr_link_conn_shared){
        .loop = &loop,
        .clock = &qr_clock_system,
        .tls = raw.tls,
        .heartbeat_ms = 100000,
        .election_timeout_ms = 1000000,
        .handshake_timeout_ms = 100000,
        .read_buffer = raw.read_buffer,
        .read_buffer_bytes = sizeof raw.read_buffer,
        .secured = raw_secured,
        .frame = raw_frame,
        .cut = raw_cut,
        .closed = raw_closed,
    };
    struct qr_address address = {.host = "127.0.0.1"};
    struct sockaddr_storage to;
    snprintf(address.port, sizeof address.port, "%u", qr_link_port(victim.link));
    assert_int_equal(qr_address_literal(&address, &to), 0);
    assert_int_equal(qr_link_conn_init(&raw.conn, &raw.shared, &raw), 0);
    qr_link_conn_dial(&raw.conn, (struct sockaddr *)&to);
}

/* Plaintext that is no frame; a ping behind it wakes the sending. */
static void say_bytes(const void *bytes, size_t len)
{
    assert_int_equal(qr_tls_write(raw.conn.tls, qr_slice_of(bytes, len)), 0);
    assert_int_equal(qr_link_conn_send(&raw.conn, QR_LINK_PING, 0, NULL, 0, NULL, NULL), 0);
}

static void close_raw(void)
{
    qr_link_conn_cut(&raw.conn, UV_ECANCELED);
    KIT_WAIT(&loop, raw.closed);
    qr_tls_context_free(raw.tls);
}

/* Victim 1 and good 3 are connected; 2 is in the table and free for the raw peer. */
static int open_victim(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(&victim, &loop, 1);
    kit_open(&good, &loop, 3);
    kit_introduce(&victim, &good);
    kit_introduce_at(&victim, 2, 1);
    qr_link_ban(victim.link, 9, true);
    KIT_WAIT(&loop, qr_link_is_up(victim.link, 3) && qr_link_is_up(good.link, 1));
    return 0;
}

/* Whatever happened: the good member did not notice, and is served. */
static int close_victim(void **state)
{
    (void)state;
    struct qr_slice part = qr_slice_str("still here?");
    unsigned n = victim.n_frames;
    assert_int_equal(qr_link_send(good.link, 1, 1, QR_LINK_RAFT, &part, 1, NULL, NULL), 0);
    KIT_WAIT(&loop, victim.n_frames == n + 1);
    assert_int_equal(good.n_down, 0);
    assert_true(qr_link_is_up(victim.link, 3));
    kit_close(&victim, &loop);
    kit_close(&good, &loop);
    kit_close_loop(&loop);
    return 0;
}

/* ---- who is refused ---- */

static const struct {
    const char *what, *cert;
    uint32_t version, member;
    uint8_t cluster; /* first byte */
    bool answered;
} strangers[] = {
    {"itself right", "2", QR_LINK_VERSION, 2, 1, true},
    {"foreign CA", "foreign", QR_LINK_VERSION, 2, 1, false},
    {"certificate of another cluster", "other", QR_LINK_VERSION, 2, 1, false},
    {"certificate of a removed member", "9", QR_LINK_VERSION, 9, 1, false},
    {"hello of another id than the certificate", "2", QR_LINK_VERSION, 3, 1, false},
    {"hello of an unknown id", "2", QR_LINK_VERSION, 7, 1, false},
    {"hello of another cluster", "2", QR_LINK_VERSION, 2, 9, false},
    {"another protocol version", "2", QR_LINK_VERSION + 1, 2, 1, false},
    {"the victim's own certificate", "1", QR_LINK_VERSION, 1, 1, false},
};

static void strangers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        struct qr_link_hello hello = right_hello(strangers[i].member);
        uint64_t refused = kit_stats(&victim).refused;
        hello.version = strangers[i].version;
        hello.cluster.bytes[0] = strangers[i].cluster;
        print_message("%s\n", strangers[i].what);
        dial_raw(strangers[i].cert, &hello);
        if (strangers[i].answered) {
            KIT_WAIT(&loop, raw.answered && qr_link_is_up(victim.link, 2));
        } else {
            KIT_WAIT(&loop, raw.cut);
            assert_int_equal(kit_stats(&victim).refused, refused + 1);
            assert_false(raw.answered);
        }
        close_raw();
        KIT_WAIT(&loop, !qr_link_is_up(victim.link, 2));
    }
    assert_int_equal(victim.n_up, 2); /* the good one, and the first row */
}

static void garbage_instead_of_tls_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "STREAM key=x HTTP/1.1\r\n\r\n",
                                        "\x16\x03\x01\xff\xff garbage that is no client hello"};
    for (size_t i = 0; i < 3; i++) {
        static uv_tcp_t tcps[3]; /* closing outlives the turn */
        static uv_connect_t connect;
        uv_tcp_t *tcp = &tcps[i];
        struct sockaddr_in to;
        uint64_t refused = kit_stats(&victim).refused;
        uv_buf_t buf = uv_buf_init((char *)texts[i], (unsigned)strlen(texts[i]));
        uv_ip4_addr("127.0.0.1", (int)qr_link_port(victim.link), &to);
        uv_tcp_init(&loop, tcp);
        uv_tcp_connect(&connect, tcp, (struct sockaddr *)&to, NULL);
        KIT_WAIT(&loop, uv_is_writable((uv_stream_t *)tcp));
        assert_int_equal(uv_try_write((uv_stream_t *)tcp, &buf, 1), (int)buf.len);
        KIT_WAIT(&loop, kit_stats(&victim).refused == refused + 1); /* the last by its timeout */
        uv_close((uv_handle_t *)tcp, NULL);
    }
}

/* ---- peers that say nothing ---- */

static void no_hello_is_cut_in_time(void **state)
{
    (void)state;
    uint64_t started = kit_now();
    dial_raw("2", NULL);
    KIT_WAIT(&loop, raw.secured);
    KIT_WAIT(&loop, raw.cut);
    uint64_t took = kit_now() - started;
    assert_true(took >= 1000);
    assert_true(took < 3000);
    assert_int_equal(kit_stats(&victim).refused, 1);
    close_raw();
}

/* Strangers cannot keep a member out by holding all the places. */
static void many_strangers_leave_room(void **state)
{
    (void)state;
    enum { N = 60 }; /* fewer than the backlog */
    static uv_tcp_t tcps[N];
    static uv_connect_t connects[N];
    struct sockaddr_in to;
    uv_ip4_addr("127.0.0.1", (int)qr_link_port(victim.link), &to);
    for (int i = 0; i < N; i++) {
        uv_tcp_init(&loop, &tcps[i]);
        assert_int_equal(uv_tcp_connect(&connects[i], &tcps[i], (struct sockaddr *)&to, NULL), 0);
    }
    uint64_t started = kit_now();
    KIT_WAIT(&loop, kit_stats(&victim).refused >= N - 2 * QR_MEMBERS_MAX);
    assert_true(kit_now() - started < 900); /* not by the timeout */
    struct qr_link_hello hello = right_hello(2);
    dial_raw("2", &hello);
    KIT_WAIT(&loop, qr_link_is_up(victim.link, 2));
    close_raw();
    for (int i = 0; i < N; i++)
        uv_close((uv_handle_t *)&tcps[i], NULL);
    KIT_WAIT(&loop, kit_stats(&victim).refused == N);
}

/* It proved itself and never says anything again: no ping, no frame. */
static void a_silent_peer_is_cut_in_time(void **state)
{
    (void)state;
    struct qr_link_hello hello = right_hello(2);
    dial_raw("2", &hello);
    KIT_WAIT(&loop, raw.answered && qr_link_is_up(victim.link, 2));
    uint64_t started = kit_now();
    KIT_WAIT(&loop, raw.cut);
    uint64_t took = kit_now() - started;
    print_message("silent peer cut after %llu ms\n", (unsigned long long)took);
    assert_true(took > KIT_ELECTION_MS);
    assert_true(took < 2 * KIT_ELECTION_MS + 400);
    assert_true(raw.n_frames > 5); /* it was pinged all the time */
    assert_int_equal(kit_stats(&victim).dead_peers, 1);
    assert_false(qr_link_is_up(victim.link, 2));
    close_raw();
}

/* It goes on talking and never reads: what we send hangs. */
static void a_peer_that_takes_nothing_is_cut_in_time(void **state)
{
    (void)state;
    enum { SIZE = 4 * 1024 * 1024 };
    struct qr_link_hello hello = right_hello(2);
    char *bytes = calloc(1, SIZE);
    struct qr_slice part = qr_slice_of(bytes, SIZE);
    dial_raw("2", &hello);
    KIT_WAIT(&loop, raw.answered && qr_link_is_up(victim.link, 2));
    uv_read_stop((uv_stream_t *)&raw.conn.tcp);
    int err;
    unsigned n = 0;
    uint64_t until = kit_now() + 5000;
    do { /* more than the sockets hold: from then on BUSY */
        err = qr_link_send(victim.link, 2, 1, QR_LINK_RAFT, &part, 1, kit_on_sent, &victim);
        n += err == 0;
        assert_int_equal(qr_link_conn_send(&raw.conn, QR_LINK_PING, 0, NULL, 0, NULL, NULL), 0);
        kit_run_for(&loop, 20);
    } while ((err == 0 || err == QR_E_BUSY) && kit_now() < until);
    assert_int_equal(err, QR_E_UNREACHABLE);
    assert_int_equal(kit_stats(&victim).dead_peers, 1);
    KIT_WAIT(&loop, victim.n_sent == n);
    assert_true(victim.n_failed >= 1);
    close_raw();
    free(bytes);
}

/* ---- peers that proved themselves and then misbehave ---- */

static size_t make_frame(uint8_t *bytes, unsigned type, uint32_t claimed, const char *payload,
                         uint32_t crc_error)
{
    size_t len = strlen(payload);
    struct qr_slice part = qr_slice_of(payload, len);
    qr_link_frame_header(bytes, QR_LINK_RAFT, 0, &part, 1);
    bytes[4] = (uint8_t)type;
    memcpy(bytes + 12, &claimed, 4);
    uint32_t crc = qr_crc32c(qr_crc32c(0, bytes, 16), payload, len) + crc_error;
    memcpy(bytes + 16, &crc, 4);
    memcpy(bytes + QR_LINK_HEADER_BYTES, payload, len);
    return QR_LINK_HEADER_BYTES + len;
}

static void bad_frames_are_cut(void **state)
{
    (void)state;
    uint8_t frames[6][64];
    size_t lens[6];
    lens[0] = make_frame(frames[0], QR_LINK_RAFT, 5, "hello", 1);       /* checksum */
    lens[1] = make_frame(frames[1], QR_LINK_RAFT, 0xffffffff, "hi", 0); /* oversized */
    lens[2] = make_frame(frames[2], QR_LINK_PING, 1, "x", 0);           /* too long for a ping */
    lens[3] = make_frame(frames[3], 77, 0, "", 0);                      /* no such type */
    lens[4] = make_frame(frames[4], QR_LINK_RAFT, 2, "hi", 0);
    frames[4][0] ^= 1; /* magic */
    lens[5] = 64;
    memset(frames[5], 'x', 64);
    for (uint64_t i = 0; i < 6; i++) {
        struct qr_link_hello hello = right_hello(2);
        unsigned n_frames = victim.n_frames;
        dial_raw("2", &hello);
        KIT_WAIT(&loop, raw.answered && qr_link_is_up(victim.link, 2));
        say_bytes(frames[i], lens[i]);
        KIT_WAIT(&loop, raw.cut);
        assert_int_equal(kit_stats(&victim).bad_frames, i + 1);
        assert_int_equal(victim.n_frames, n_frames);
        close_raw();
    }
}

static void frames_may_come_in_pieces(void **state)
{
    (void)state;
    uint8_t bytes[4 * 64];
    struct qr_link_hello hello = right_hello(2);
    size_t len = make_frame(bytes, QR_LINK_RAFT, 5, "hello", 0);
    len += make_frame(bytes + len, QR_LINK_RAFT, 2, "hi", 0);
    unsigned n = victim.n_frames;
    dial_raw("2", &hello);
    KIT_WAIT(&loop, raw.answered && qr_link_is_up(victim.link, 2));
    for (size_t i = 0; i < len; i++)
        assert_int_equal(qr_tls_write(raw.conn.tls, qr_slice_of(bytes + i, 1)), 0);
    say_bytes(bytes, 0); /* one record a byte, and a ping */
    KIT_WAIT(&loop, victim.n_frames == n + 2);
    assert_int_equal(kit_stats(&victim).bad_frames, 0);
    close_raw();
}

/* Before the hello nothing else is taken, and nothing large. */
static void nothing_comes_before_the_hello(void **state)
{
    (void)state;
    uint8_t frames[2][64];
    size_t lens[2];
    lens[0] = make_frame(frames[0], QR_LINK_RAFT, 2, "hi", 0);
    lens[1] = make_frame(frames[1], QR_LINK_RAFT, 1024 * 1024, "hi", 0);
    for (int i = 0; i < 2; i++) {
        unsigned n = victim.n_frames;
        dial_raw("2", NULL);
        KIT_WAIT(&loop, raw.secured);
        say_bytes(frames[i], lens[i]);
        uint64_t started = kit_now();
        KIT_WAIT(&loop, raw.cut);
        assert_true(kit_now() - started < 900); /* not by the timeout */
        assert_int_equal(victim.n_frames, n);
        assert_false(raw.answered);
        close_raw();
    }
}

static void a_second_hello_is_cut(void **state)
{
    (void)state;
    struct qr_link_hello hello = right_hello(2);
    dial_raw("2", &hello);
    KIT_WAIT(&loop, raw.answered && qr_link_is_up(victim.link, 2));
    assert_int_equal(raw_secured(&raw.conn), 0);
    KIT_WAIT(&loop, raw.cut);
    close_raw();
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_victim, close_victim)

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* As quorated does: a peer may close first. */
    const struct CMUnitTest tests[] = {
        CASE(strangers_are_refused),
        CASE(garbage_instead_of_tls_is_refused),
        CASE(no_hello_is_cut_in_time),
        CASE(many_strangers_leave_room),
        CASE(a_silent_peer_is_cut_in_time),
        CASE(a_peer_that_takes_nothing_is_cut_in_time),
        CASE(bad_frames_are_cut),
        CASE(frames_may_come_in_pieces),
        CASE(nothing_comes_before_the_hello),
        CASE(a_second_hello_is_cut),
    };
    return cmocka_run_group_tests(tests, kit_make_files, kit_remove_files);
}
