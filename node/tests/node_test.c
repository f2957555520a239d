/* A whole member in this process: a cluster of one, spoken to over its sockets. */
#include "node/node.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/pki.h"
#include "base/tls.h"
#include "node/child.h"
#include "node/conn.h"
#include "node/ingest.h"
#include "node/keeper.h"
#include "node/picture.h"
#include "node/roster.h"
#include "node/self.h"
#include "node/web.h"
#include "testing/cluster.h"
#include "testing/cmocka.h"
#include "testing/process.h"

#define KEY         "11111111-2222-3333-4444-555555555555"
#define GUID        "aaaaaaaa-0000-4000-8000-00000000000"
#define DEADLINE_MS 20000

static char dir[QR_TEMP_DIR_BYTES];
static uint16_t port;
static uv_loop_t loop;
static struct qr_node *node;
static uv_async_t stop, reload;
static _Atomic unsigned n_reloads;
static pthread_t thread;

/* ---- a member ---- */

static void write_stream_conf(const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/stream.conf", dir);
    qr_write_file(path, text);
}

static void configure(struct qr_config *config)
{
    char path[512];
    char sentence[512];
    write_stream_conf("[" KEY "]\n    enabled = yes\n");
    snprintf(path, sizeof path, "%s/quorate.conf", dir);
    qr_write_file(path,
                  "[member]\nid = 1\nlink = 127.0.0.1:%u\n"
                  "[cluster]\nid = 6b0c9a1e-7a55-4c62-9d11-0f7d5d0a7f01\n"
                  "member 1 = 127.0.0.1:%u\n"
                  "[web]\ncertificate = member.crt\nkey = member.key\ntick ms = 50\n"
                  "client ca = ca.crt\nbind to = 127.0.0.1:%u "
                  "127.0.0.1:%u=streaming|dashboard^SSL=force 127.0.0.1:%u=management\n"
                  "[store]\ndisk reserve MiB = 8\n[log]\nlevel = warn\n",
                  port + 100, port + 100, port, port + 1, port + 2);
    assert_int_equal(qr_config_read(config, path, sentence, sizeof sentence), 0);
}

/* The first time with the CA. */
static void make_certificate_of(unsigned member)
{
    char uri[128];
    char reason[QR_PKI_REASON_BYTES];
    char ca[300], ca_key[300], cert[300], key[300];
    snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", dir);
    snprintf(cert, sizeof cert, "%s/member.crt", dir);
    snprintf(key, sizeof key, "%s/member.key", dir);
    if (member == 1)
        assert_int_equal(qr_pki_make_ca(ca, ca_key, "test", reason), 0);
    unlink(cert);
    unlink(key);
    snprintf(uri, sizeof uri, "quorate://6b0c9a1e-7a55-4c62-9d11-0f7d5d0a7f01/%u", member);
    struct qr_pki_request request = {cert, key, ca, ca_key, "member", uri, NULL};
    assert_int_equal(qr_pki_make_cert(&request, reason), 0);
}

static void on_stop(uv_async_t *async)
{
    (void)async;
    qr_node_stop(node);
}

static void on_reload(uv_async_t *async)
{
    (void)async;
    qr_node_reload(node);
    n_reloads++;
}

static void *run_loop(void *data)
{
    uv_run(&loop, UV_RUN_DEFAULT);
    return data;
}

/* ---- talking to it ---- */

static int dial_to(uint16_t to)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int dial(void)
{
    return dial_to(port);
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads until `text` has come (true), or the end or the deadline (false). */
static bool hear(int fd, const char *text, char *heard, size_t heard_bytes)
{
    size_t n = 0;
    heard[0] = '\0';
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (strstr(heard, text) != NULL)
            return true;
        if (n + 1 >= heard_bytes || poll(&wait, 1, DEADLINE_MS) != 1)
            return false;
        ssize_t got = read(fd, heard + n, heard_bytes - n - 1);
        if (got <= 0)
            return false;
        n += (size_t)got;
        heard[n] = '\0';
    }
}

static bool ends(int fd)
{
    char byte[512];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, DEADLINE_MS) == 1)
        if (read(fd, byte, sizeof byte) <= 0)
            return true;
    return false;
}

static json_t *status(void)
{
    static char answer[65536];
    int fd = dial();
    say(fd, "GET /api/quorate/v1/status HTTP/1.1\r\n\r\n");
    bool heard = hear(fd, "}\n\x01never", answer, sizeof answer);
    assert_false(heard); /* until the end of the connection */
    close(fd);
    const char *body = strstr(answer, "\r\n\r\n");
    return body != NULL ? json_loads(body + 4, 0, NULL) : NULL;
}

struct wanted {
    const char *guid;
    int64_t watermark_s, samples;
    bool connected;
};

static bool child_is(void *data)
{
    const struct wanted *wanted = data;
    json_t *root = status();
    json_t *child;
    size_t i;
    bool is = false;
    json_array_foreach(
        json_object_get(root, "children"), i,
        child) if (strcmp(json_string_value(json_object_get(child, "guid")), wanted->guid) == 0)
        is = json_integer_value(json_object_get(child, "watermark")) >= wanted->watermark_s &&
             json_integer_value(json_object_get(child, "samples")) >= wanted->samples &&
             json_is_true(json_object_get(child, "connected")) == wanted->connected;
    json_decref(root);
    return is;
}

static void assert_child(const char *guid, int64_t watermark_s, int64_t samples, bool connected)
{
    struct wanted wanted = {guid, watermark_s, samples, connected};
    if (!qr_wait_for(child_is, &wanted, DEADLINE_MS, 50))
        fail_msg("child %s has not become watermark %lld, %lld samples, connected %d", guid,
                 (long long)watermark_s, (long long)samples, connected);
}

/* Children are let in once the cluster of one has elected itself. */
static bool is_ready(void *data)
{
    (void)data;
    json_t *root = status();
    bool ready = json_is_true(json_object_get(root, "ready"));
    json_decref(root);
    return ready;
}

static void make_request(char *request, size_t bytes, const char *guid, const char *key,
                         unsigned ver)
{
    snprintf(request, bytes,
             "STREAM key=%s&hostname=box one&machine_guid=%s&update_every=1&hops=1&ver=%u"
             " HTTP/1.1\r\nUser-Agent: netdata/v1.37.1\r\n\r\n",
             key, guid, ver);
}

static int stream_as(unsigned ver, const char *guid, const char *key, const char *expected)
{
    char request[1024];
    char heard[256];
    int fd = dial();
    make_request(request, sizeof request, guid, key, ver);
    say(fd, request);
    if (!hear(fd, expected, heard, sizeof heard))
        fail_msg("heard \"%s\" instead of \"%s\"", heard, expected);
    return fd;
}

static int stream_in(const char *guid, const char *key, const char *expected)
{
    return stream_as(15352, guid, key, expected);
}

static const char definition[] =
    "CHART \"t.c\" \"\" \"title\" \"u\" \"f\" \"t.c\" \"line\" 1 1 \"\" \"p\" \"m\"\n"
    "DIMENSION \"a\" \"a\" \"absolute\" 1 1 \"\"\n";

static size_t print_at(char *text, size_t at, const char *format, ...) QR_PRINTF(3, 4);

static size_t print_at(char *text, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + at, 256, format, args);
    va_end(args);
    assert_in_range(n, 0, 255);
    return (size_t)n;
}

/* ---- tests ---- */

static void a_child_is_asked_to_replay_and_its_rows_are_stored(void **state)
{
    (void)state;
    char heard[1024];
    char text[2048];
    int64_t now = (int64_t)(qr_real_ms() / 1000);
    int fd = stream_in(GUID "1", KEY, "version=15296");
    snprintf(text, sizeof text, "%sCHART_DEFINITION_END %lld %lld %lld\n", definition,
             (long long)now - 10, (long long)now, (long long)now);
    say(fd, text);
    assert_true(hear(fd, "REPLAY_CHART \"t.c\" \"true\"", heard, sizeof heard));
    snprintf(text, sizeof text,
             "RBEGIN \"t.c\"\nRBEGIN \"\" %lld %lld %lld\nRSET \"a\" 1.5000000 \"\"\n"
             "RBEGIN \"\" %lld %lld %lld\nRSET \"a\" 2.5000000 \"\"\n"
             "RDSTATE \"a\" %lld000000 3 3.0000000 2.5000000\nRSSTATE %lld000000 %lld000000\n"
             "REND 1 %lld %lld true %lld %lld %lld\n"
             "BEGIN \"t.c\" 1000000\nSET \"a\" = 7\nEND\n",
             (long long)now - 2, (long long)now - 1, (long long)now, (long long)now - 1,
             (long long)now, (long long)now, (long long)now, (long long)now, (long long)now,
             (long long)now - 10, (long long)now, (long long)now - 10, (long long)now,
             (long long)now);
    say(fd, text);
    assert_child(GUID "1", now + 1, 3, true);
    close(fd);
    assert_child(GUID "1", now + 1, 3, false);

    /* The next connection is asked from where the log is. */
    fd = stream_in(GUID "1", KEY, "version=15296");
    snprintf(text, sizeof text, "%sCHART_DEFINITION_END %lld %lld %lld\n", definition,
             (long long)now - 10, (long long)now + 5, (long long)now + 5);
    say(fd, text);
    assert_true(hear(fd, "REPLAY_CHART \"t.c\" \"true\"", heard, sizeof heard));
    snprintf(text, sizeof text, "\"true\" %lld", (long long)now + 1);
    if (strstr(heard, text) == NULL)
        fail_msg("\"%s\" does not start behind %s", heard, text);
    close(fd);
}

static void the_newest_connection_of_a_child_wins(void **state)
{
    (void)state;
    int old = stream_in(GUID "2", KEY, "version=15296");
    assert_child(GUID "2", 0, 0, true);
    int new = stream_in(GUID "2", KEY, "version=15296");
    assert_true(ends(old));
    assert_child(GUID "2", 0, 0, true);
    close(old);
    close(new);
}

static void strangers_are_refused_by_name_and_the_member_stays(void **state)
{
    (void)state;
    char heard[1024];
    int fd = stream_in(GUID "3", "22222222-2222-3333-4444-555555555555",
                       "You are not permitted to access this. Check the logs for more info.");
    assert_true(ends(fd));
    close(fd);

    static const char *const bad[] = {"STREAM nothing at all HTTP/1.1\r\n\r\n",
                                      "PUT / HTTP/1.1\r\n\r\n", "\x16\x09\x09\x01\x01 not TLS",
                                      "GET / HTTP/1.1\r\n\r\nand more"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fd = dial();
        say(fd, bad[i]);
        assert_true(ends(fd));
        close(fd);
    }

    /* A row before its chart: the connection ends, others do not notice. */
    int good = stream_in(GUID "4", KEY, "version=15296");
    int evil = stream_in(GUID "5", KEY, "version=15296");
    say(evil, "BEGIN \"no.chart\" 0\nSET \"x\" = 1\nEND\n");
    say(evil, "SET \"x\" = 1\n");
    assert_true(ends(evil));
    say(good, definition);
    say(good, "CHART_DEFINITION_END 0 0 1\n");
    assert_true(hear(good, "REPLAY_CHART", heard, sizeof heard));
    close(good);
    close(evil);
}

static bool has_chart(void *data)
{
    char heard[8192];
    const char *const *texts = data; /* the chart, and what its answer has to have */
    char request[256];
    int fd = dial();
    snprintf(request, sizeof request, "GET /host/%s/api/v1/chart?chart=%s HTTP/1.1\r\n\r\n",
             GUID "6", texts[0]);
    say(fd, request);
    bool has = hear(fd, texts[1], heard, sizeof heard);
    close(fd);
    return has;
}

static void say_chart(int fd, const char *id, const char *title)
{
    char text[512];
    snprintf(text, sizeof text,
             "CHART \"%s\" \"\" \"%s\" \"u\" \"f\" \"t.c\" \"line\" 1 1 \"\" \"p\" \"m\"\n"
             "DIMENSION \"a\" \"a\" \"absolute\" 1 1 \"\"\nCHART_DEFINITION_END 0 0 1\n",
             id, title);
    say(fd, text);
}

/* A chart that becomes another and itself again, in one breath, is itself in the end. */
static void definitions_enter_the_log_in_the_order_of_the_child(void **state)
{
    (void)state;
    const char *first[] = {"t.c", "first title"};
    int fd = stream_in(GUID "6", KEY, "version=15296");
    say_chart(fd, "t.c", "first title");
    assert_true(qr_wait_for(has_chart, first, DEADLINE_MS, 20));
    for (int round = 0; round < 20; round++) {
        char id[32];
        const char *last[] = {id, "last title"};
        snprintf(id, sizeof id, "t.last%d", round);
        say_chart(fd, "t.c", "second title");
        for (volatile int i = 0; i < round * 150000; i++)
            ; /* so that some are read apart */
        say_chart(fd, "t.c", "first title");
        say_chart(fd, id, "last title");
        assert_true(qr_wait_for(has_chart, last, DEADLINE_MS, 20));
        assert_true(has_chart(first));
    }
    close(fd);
}

/* Some 9 MiB of cells from 160 KiB of rows, and the end of the connection at once: the child cannot
 * replay, so all of it must reach the log, and no batch may be larger than an entry. */
#define WIDE_DIMS   600
#define WIDE_CHARTS 16
#define WIDE_ROWS   250 /* Seconds: what is of the future is not taken. */

static void rows_of_a_wide_chart_reach_the_log_though_the_child_has_left(void **state)
{
    (void)state;
    char *text = calloc(1, 1 << 20);
    size_t n = 0;
    int fd = stream_as(15352 & ~4096u, GUID "7", KEY, "version=");
    for (int c = 0; c < WIDE_CHARTS; c++) {
        n += print_at(text, n,
                      "CHART \"w.%d\" \"\" \"t\" \"u\" \"f\" \"w.w\" \"line\" 1 1 \"\" \"p\" "
                      "\"m\"\n",
                      c);
        for (int i = 0; i < WIDE_DIMS; i++)
            n += print_at(text, n, "DIMENSION \"d%d\" \"\" \"absolute\" 1 1 \"\"\n", i);
    }
    for (int i = 0; i < WIDE_ROWS; i++)
        for (int c = 0; c < WIDE_CHARTS; c++)
            n += print_at(text, n, "BEGIN \"w.%d\" %d\nSET \"d%d\" = %d\nEND\n", c,
                          i == 0 ? 0 : 1000000, WIDE_DIMS - 1, i);
    say(fd, text);
    close(fd);
    free(text);
    assert_child(GUID "7", 0, WIDE_CHARTS * (WIDE_ROWS - 2), false); /* v1 needs two to begin */
}

static void it_collects_itself(void **state)
{
    (void)state;
    struct wanted wanted = {NULL, 0, 0, true};
    json_t *root = status();
    char guid[64];
    snprintf(guid, sizeof guid, "%s",
             json_string_value(
                 json_object_get(json_array_get(json_object_get(root, "children"), 0), "guid")));
    json_decref(root);
    wanted.guid = guid;
    wanted.samples = 50; /* two seconds of its charts */
    assert_true(qr_wait_for(child_is, &wanted, DEADLINE_MS, 100));
}

/* ---- the public port ---- */

struct tls_client {
    int fd;
    struct qr_tls *tls;
    char heard[65536];
    size_t n_heard;
};

static void flush_tls(struct tls_client *client)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_tls_drain(client->tls, &out), 0);
    if (out.len > 0)
        assert_int_equal(send(client->fd, out.base, out.len, MSG_NOSIGNAL), (ssize_t)out.len);
    qr_buf_release(&out);
}

/* Reads until `text` has come, or the end of the connection (NULL); false: it has not. */
static bool hear_tls(struct tls_client *client, const char *text)
{
    char bytes[4096];
    for (;;) {
        size_t n = 0;
        int err = qr_tls_read(client->tls, client->heard + client->n_heard,
                              sizeof client->heard - client->n_heard - 1, &n);
        flush_tls(client);
        if (err == 0) {
            client->n_heard += n;
            client->heard[client->n_heard] = '\0';
            if (text != NULL && strstr(client->heard, text) != NULL)
                return true;
            continue;
        }
        if (err != QR_E_PARTIAL)
            return text == NULL && err == QR_E_CLOSED;
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        if (text != NULL && text[0] == '\0' && qr_tls_established(client->tls))
            return true;
        ssize_t got = poll(&wait, 1, DEADLINE_MS) == 1 ? read(client->fd, bytes, sizeof bytes) : 0;
        if (got <= 0)
            return false;
        assert_int_equal(qr_tls_feed(client->tls, qr_slice_of(bytes, (size_t)got)), 0);
    }
}

/* With the member's own certificate, or with none. */
static void open_tls_to(struct tls_client *client, uint16_t to, bool shows)
{
    struct qr_tls_context *context;
    char reason[QR_TLS_REASON_BYTES], ca[300], cert[300], key[300];
    snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    snprintf(cert, sizeof cert, "%s/member.crt", dir);
    snprintf(key, sizeof key, "%s/member.key", dir);
    if (shows)
        assert_int_equal(qr_tls_context_mutual(&context, ca, cert, key, reason), 0);
    else
        assert_int_equal(qr_tls_context_client(&context, NULL, reason), 0);
    client->fd = dial_to(to);
    client->n_heard = 0;
    assert_int_equal(qr_tls_new(&client->tls, context, QR_TLS_CLIENT), 0);
    qr_tls_context_free(context);
    assert_true(hear_tls(client, "")); /* the handshake */
}

static void open_tls(struct tls_client *client)
{
    open_tls_to(client, port, false);
}

static void say_tls(struct tls_client *client, const char *text)
{
    assert_int_equal(qr_tls_write(client->tls, qr_slice_str(text)), 0);
    flush_tls(client);
}

static void close_tls(struct tls_client *client)
{
    qr_tls_free(client->tls);
    close(client->fd);
}

static void a_child_and_a_client_may_come_over_tls(void **state)
{
    (void)state;
    struct tls_client client;
    char request[1024];
    int64_t now = (int64_t)(qr_real_ms() / 1000);
    open_tls(&client);
    make_request(request, sizeof request, GUID "9", KEY, 15352);
    say_tls(&client, request);
    assert_true(hear_tls(&client, "version=15296"));
    say_tls(&client, definition);
    snprintf(request, sizeof request, "CHART_DEFINITION_END %lld %lld %lld\n", (long long)now,
             (long long)now, (long long)now);
    for (char *c = request; *c != '\0'; c++) /* records of one byte, lines in pieces */
        say_tls(&client, (char[2]){*c, '\0'});
    assert_true(hear_tls(&client, "REPLAY_CHART \"t.c\""));
    assert_child(GUID "9", 0, 0, true);
    close_tls(&client); /* without a farewell */
    assert_child(GUID "9", 0, 0, false);

    open_tls(&client);
    say_tls(&client, "GET /api/v1/charts HTTP/1.1\r\nConnection: keep-alive\r\n\r\n");
    assert_true(hear_tls(&client, "\"charts_count\"")); /* some records long */
    client.n_heard = 0;
    say_tls(&client, "GET /api/v1/info HTTP/1.1\r\n\r\n");
    assert_true(hear_tls(&client, NULL)); /* the answer, and a proper end */
    assert_non_null(strstr(client.heard, "\"version\""));
    close_tls(&client);

    /* Half a record, and no more: nothing happens to others. */
    int fd = dial();
    assert_int_equal(send(fd, "\x16\x03\x01\x40\x00half", 9, MSG_NOSIGNAL), 9);
    assert_true(shutdown(fd, SHUT_WR) == 0 && ends(fd));
    close(fd);
    fd = stream_in(GUID "9", KEY, "version=15296");
    close(fd);
}

/* A client that says its last word together with its request is answered all the same. */
static void a_client_that_has_said_all_is_answered(void **state)
{
    (void)state;
    struct tls_client client;
    char heard[65536];
    open_tls(&client);
    assert_int_equal(qr_tls_write(client.tls, qr_slice_str("GET /api/v1/charts HTTP/1.1\r\n\r\n")),
                     0);
    qr_tls_shutdown(client.tls);
    flush_tls(&client);
    assert_true(hear_tls(&client, "\"charts_count\""));
    close_tls(&client);

    int fd = dial();
    say(fd, "GET /api/v1/charts HTTP/1.1\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(hear(fd, "\"charts_count\"", heard, sizeof heard));
    assert_true(ends(fd));
    close(fd);
}

/* ---- what is read again ---- */

#define OTHER_KEY "99999999-2222-3333-4444-555555555555"

static bool lets_in(void *data)
{
    char request[1024], heard[256];
    int fd = dial();
    make_request(request, sizeof request, GUID "a", data, 15352);
    say(fd, request);
    bool in = hear(fd, "version=15296", heard, sizeof heard);
    close(fd);
    return in;
}

/* The certificate that a client is shown now. */
static struct qr_slice certificate(struct tls_client *client, char text[256])
{
    text[0] = '\0';
    open_tls(client);
    int err = qr_tls_peer_uri(client->tls, text, 256);
    close_tls(client);
    return qr_slice_str(err == 0 ? text : "");
}

static bool shows_member_2(void *data)
{
    char text[256];
    struct qr_slice uri = certificate(data, text);
    return uri.len > 2 && memcmp(uri.base + uri.len - 2, "/2", 2) == 0;
}

static bool has_reloaded(void *data)
{
    return n_reloads > *(unsigned *)data;
}

/* The file is read before this returns, so that it may be written again. */
static void reload_now(void)
{
    unsigned before = n_reloads;
    uv_async_send(&reload);
    assert_true(qr_wait_for(has_reloaded, &before, DEADLINE_MS, 5));
}

static void it_reads_again_whom_it_lets_in(void **state)
{
    (void)state;
    static struct tls_client client;
    int stays = stream_in(GUID "b", KEY, "version=15296");
    int goes = stream_in(GUID "c", KEY, "version=15296");
    assert_child(GUID "b", 0, 0, true);
    assert_child(GUID "c", 0, 0, true);

    /* What cannot be read changes nothing. */
    write_stream_conf("[" KEY "]\n    enabled = perhaps\n");
    reload_now();
    write_stream_conf("[" KEY "]\n enabled = yes\n[" OTHER_KEY "]\n enabled = yes\n"
                      "[" GUID "c]\n type = machine\n enabled = no\n");
    assert_false(shows_member_2(&client));
    make_certificate_of(2);
    reload_now();
    assert_true(qr_wait_for(lets_in, (void *)(uintptr_t)OTHER_KEY, DEADLINE_MS, 20));
    assert_true(ends(goes));
    assert_true(qr_wait_for(shows_member_2, &client, DEADLINE_MS, 20));
    say(stays, definition); /* It still listens. */
    say(stays, "CHART_DEFINITION_END 0 0 1\n");
    char heard[1024];
    assert_true(hear(stays, "REPLAY_CHART", heard, sizeof heard));
    close(stays);
    close(goes);

    write_stream_conf("[" KEY "]\n enabled = yes\n");
    reload_now();
}

/* ---- keys of the log ---- */

#define LOG_KEY  "77777777-2222-3333-4444-555555555555"
#define NEXT_KEY "88888888-2222-3333-4444-555555555555"

/* What `quoratectl key` asks; the answer's JSON. */
static json_t *ask_keys(const char *key, const char *format, ...) QR_PRINTF(2, 3);

static json_t *ask_keys(const char *key, const char *format, ...)
{
    static char answer[65536];
    char asked[512], hash[80] = "";
    if (key != NULL) {
        struct qr_guid cluster, guid;
        uint8_t bytes[QR_KEY_HASH_BYTES];
        assert_int_equal(
            qr_guid_parse(&cluster, qr_slice_str("6b0c9a1e-7a55-4c62-9d11-0f7d5d0a7f01")), 0);
        assert_int_equal(qr_guid_parse(&guid, qr_slice_str(key)), 0);
        qr_key_hash(&cluster, &guid, bytes);
        size_t at = print_at(hash, 0, "&hash=");
        for (size_t i = 0; i < sizeof bytes; i++)
            snprintf(hash + at + 2 * i, 3, "%02x", bytes[i]);
    }
    va_list args;
    va_start(args, format);
    vsnprintf(asked, sizeof asked, format, args);
    va_end(args);
    int fd = dial();
    char request[1024];
    snprintf(request, sizeof request, "POST /api/quorate/v1/keys?do=%s%s HTTP/1.1\r\n\r\n", asked,
             hash);
    say(fd, request);
    assert_false(hear(fd, "}\n\x01never", answer, sizeof answer)); /* until its end */
    close(fd);
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    json_t *root = json_loads(body + 4, 0, NULL);
    assert_non_null(root);
    return root;
}

static long long id_of(json_t *answer)
{
    long long id = json_integer_value(json_object_get(answer, "id"));
    json_decref(answer);
    return id;
}

static bool is_used(void *data)
{
    json_t *root = ask_keys(NULL, "list");
    json_t *key = json_array_get(json_object_get(root, "keys"), *(size_t *)data);
    bool used = json_is_integer(json_object_get(key, "last_used"));
    json_decref(root);
    return used;
}

static bool shuts_out(void *data)
{
    return !lets_in(data);
}

static void keys_of_the_log_let_in_and_shut_out(void **state)
{
    (void)state;
    size_t first = 0, second = 1;
    assert_false(lets_in((void *)(uintptr_t)LOG_KEY));
    long long id = id_of(ask_keys(LOG_KEY, "add&name=web&policy=allow%%20from%%20%%3D%%20127.*"));
    assert_int_equal(id, 1);
    assert_true(qr_wait_for(lets_in, (void *)(uintptr_t)LOG_KEY, DEADLINE_MS, 20));
    assert_true(qr_wait_for(is_used, &first, DEADLINE_MS, 20));
    int old = stream_in(GUID "d", LOG_KEY, "version=15296");
    assert_child(GUID "d", 0, 0, true);
    /* Rotated: the old one's children stay, and both let in. */
    assert_int_equal(id_of(ask_keys(NEXT_KEY, "rotate&key=web&overlap=3600")), 2);
    assert_true(qr_wait_for(lets_in, (void *)(uintptr_t)NEXT_KEY, DEADLINE_MS, 20));
    assert_true(lets_in((void *)(uintptr_t)LOG_KEY));
    assert_true(qr_wait_for(is_used, &second, DEADLINE_MS, 20));
    int new = stream_in(GUID "e", NEXT_KEY, "version=15296");
    assert_child(GUID "e", 0, 0, true);
    say(old, definition); /* It still listens. */
    say(old, "CHART_DEFINITION_END 0 0 1\n");
    char heard[1024];
    assert_true(hear(old, "REPLAY_CHART", heard, sizeof heard));
    /* Bound to another key: its child goes; unbound it may come again. */
    assert_int_equal(id_of(ask_keys(OTHER_KEY, "add")), 3);
    json_decref(ask_keys(NULL, "bind&key=3&machine_guid=" GUID "e"));
    assert_true(ends(new));
    close(new);
    json_decref(ask_keys(NULL, "unbind&machine_guid=" GUID "e"));
    /* Revoked: gone at once, and stays away. */
    json_decref(ask_keys(NULL, "revoke&key=1"));
    assert_true(ends(old));
    close(old);
    assert_true(qr_wait_for(shuts_out, (void *)(uintptr_t)LOG_KEY, DEADLINE_MS, 20));
    assert_true(lets_in((void *)(uintptr_t)NEXT_KEY));
    assert_child(GUID "d", 0, 0, false);
    json_decref(ask_keys(NULL, "revoke&key=3"));
}

/* ---- where it listens ---- */

static bool hears(uint16_t to, const char *request, const char *expected)
{
    char heard[65536];
    int fd = dial_to(to);
    say(fd, request);
    bool heard_it = hear(fd, expected, heard, sizeof heard);
    close(fd);
    return heard_it;
}

static void each_port_takes_what_it_is_for(void **state)
{
    (void)state;
    static struct tls_client client;
    char request[1024];
    /* Without TLS, where it must be. */
    assert_true(hears(port + 1, "GET /api/v1/info HTTP/1.1\r\n\r\n", "ask with https"));
    make_request(request, sizeof request, GUID "f", KEY, 15352);
    int fd = dial_to(port + 1);
    say(fd, request);
    assert_true(ends(fd)); /* without an answer that would ban the member */
    close(fd);
    /* With it. */
    open_tls_to(&client, port + 1, false);
    say_tls(&client, request);
    assert_true(hear_tls(&client, "version=15296"));
    close_tls(&client);
    open_tls_to(&client, port + 1, false);
    say_tls(&client, "GET /api/v1/info HTTP/1.1\r\n\r\n");
    assert_true(hear_tls(&client, "\"version\""));
    close_tls(&client);
    open_tls_to(&client, port + 1, false);
    say_tls(&client, "GET /api/quorate/v1/keys HTTP/1.1\r\n\r\n");
    assert_true(hear_tls(&client, "You are not allowed"));
    close_tls(&client);
    /* A port for management only. */
    assert_true(hears(port + 2, "GET /api/quorate/v1/keys HTTP/1.1\r\n\r\n", "\"bindings\""));
    assert_true(hears(port + 2, "GET /api/quorate/v1/status HTTP/1.1\r\n\r\n", "\"verdict\""));
    assert_true(hears(port + 2, "GET /api/v1/info HTTP/1.1\r\n\r\n", "You are not allowed"));
    assert_true(hears(port + 2, request, "You are not allowed"));
    /* A client that names the host is led to the same place by https. */
    assert_true(hears(port + 1, "GET /a%20b?q=<1> HTTP/1.1\r\nHost: box:1\r\n\r\n",
                      "Location: https://box:1/a%20b?q=%3C1%3E\r\n"));
    assert_true(
        hears(port + 1, "GET / HTTP/1.1\r\nHost: box:1\r\n\r\n", "301 Moved Permanently\r\n"));
}

/* Each line of `web` is appended to quorate.conf's [web], where the last of equal ones counts. */
static void write_web(const char *web)
{
    struct qr_config config;
    char path[512];
    configure(&config);
    snprintf(path, sizeof path, "%s/quorate.conf", dir);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fprintf(file, "[web]\n%s", web);
    fclose(file);
    reload_now();
}

struct answer {
    const char *request, *expected;
};

static bool is_answered(void *data)
{
    const struct answer *answer = data;
    return hears(port, answer->request, answer->expected);
}

static void answers(const char *request, const char *expected)
{
    struct answer answer = {request, expected};
    if (!qr_wait_for(is_answered, &answer, DEADLINE_MS, 20))
        fail_msg("%s is not answered with %s", request, expected);
}

static bool is_shut(void *data)
{
    char heard[4096];
    int fd = dial();
    say(fd, data);
    bool shut = !hear(fd, "HTTP/1.1", heard, sizeof heard) && heard[0] == '\0';
    close(fd);
    return shut;
}

#define INFO "GET /api/v1/info HTTP/1.1\r\n\r\n"
#define KEYS "GET /api/quorate/v1/keys HTTP/1.1\r\n\r\n"

/* Lists of addresses, read again while a child streams. */
static void addresses_have_the_roles_that_lists_leave_them(void **state)
{
    (void)state;
    char request[1024], heard[1024];
    make_request(request, sizeof request, GUID "9", KEY, 15352);
    int stays = stream_in(GUID "8", KEY, "version=15296");
    assert_child(GUID "8", 0, 0, true);
    write_web("allow dashboard from = 10.* !*\n");
    answers(INFO, "403 Forbidden");
    answers(KEYS, "\"bindings\""); /* Management is another list. */
    write_web("allow management from = 10.*\nallow dashboard from = localhost\n");
    answers(KEYS, "`allow management from`");
    answers(INFO, "\"version\"");
    /* By a name that it has not. */
    write_web("allow dashboard from = *.example.com\n");
    answers(INFO, "403 Forbidden");
    /* What cannot be read changes nothing. */
    write_web("allow dashboard from = *\ntls version = 1.0\n");
    answers(INFO, "403 Forbidden");
    write_web("");
    answers(INFO, "\"version\"");
    say(stays, definition); /* It streamed all the while. */
    say(stays, "CHART_DEFINITION_END 0 0 1\n");
    assert_true(hear(stays, "REPLAY_CHART", heard, sizeof heard));
    /* Now it may not. */
    write_web("allow streaming from = !127.* *\n");
    assert_true(ends(stays));
    answers(request, "You are not allowed to access this resource.");
    write_web("allow connections from = !localhost *\n");
    assert_true(qr_wait_for(is_shut, (void *)(uintptr_t)INFO, DEADLINE_MS, 20));
    write_web("");
    answers(INFO, "\"version\"");
    close(stays);
}

/* The member's own certificate is of the CA, too; what it is called there does not matter. */
static bool shows_certificate(void *data)
{
    json_t *root = status(), *child;
    size_t i;
    json_array_foreach(json_object_get(root, "children"), i, child)
    {
        const char *text = json_string_value(json_object_get(child, "certificate"));
        if (text != NULL)
            snprintf(data, 65, "%s", text);
    }
    json_decref(root);
    return strlen(data) == 64;
}

static void a_machine_may_be_bound_to_its_certificate(void **state)
{
    (void)state;
    static struct tls_client client;
    char request[1024], certificate_of[65] = "";
    make_request(request, sizeof request, GUID "0", KEY, 15352);
    open_tls_to(&client, port, true);
    say_tls(&client, request);
    assert_true(hear_tls(&client, "version=15296"));
    assert_true(qr_wait_for(shows_certificate, certificate_of, DEADLINE_MS, 50));
    json_decref(ask_keys(NULL, "bind&machine_guid=" GUID "0&certificate=%s", certificate_of));
    /* It stays, and may come again; without the certificate it may not. */
    int fd = dial();
    say(fd, request);
    char heard[256];
    assert_true(hear(fd, "not permitted", heard, sizeof heard));
    close(fd);
    say_tls(&client, definition);
    say_tls(&client, "CHART_DEFINITION_END 0 0 1\n");
    assert_true(hear_tls(&client, "REPLAY_CHART"));
    close_tls(&client);
    json_decref(ask_keys(NULL, "bind&machine_guid=" GUID "0&certificate=%064d", 1));
    open_tls_to(&client, port, true);
    say_tls(&client, request);
    assert_true(hear_tls(&client, "not permitted"));
    close_tls(&client);
    json_decref(ask_keys(NULL, "unbind&machine_guid=" GUID "0"));
}

static void nobody_else_may_listen_on_its_address(void **state)
{
    (void)state;
    char listen[32];
    uv_loop_t other;
    uv_loop_init(&other);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    assert_int_equal(qr_ingest_check_address(&other, listen), UV_EADDRINUSE);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", qr_free_ports(1));
    assert_int_equal(qr_ingest_check_address(&other, listen), 0);
    uv_run(&other, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&other), 0);
}

static unsigned count_fds(const struct qr_process *process)
{
    char path[64];
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)process->pid);
    DIR *folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL)
        n++;
    if (folder != NULL)
        closedir(folder);
    return n;
}

/* With 400 descriptors allowed, strangers get 200 of them: the rest is the log's. */
static void strangers_leave_descriptors_to_the_log(void **state)
{
    (void)state;
    struct qr_cluster cluster;
    struct qr_cluster_options options = {.name = "node-fds", .n = 1, .disk_reserve_mib = 8};
    char script[600], path[QR_TEMP_DIR_BYTES + 16];
    int fds[500];
    assert_int_equal(qr_cluster_create(&cluster, &options), 0);
    snprintf(path, sizeof path, "%s/run", cluster.dir);
    snprintf(script, sizeof script, "#!/bin/sh\nulimit -n 400\nexec %.500s \"$@\"\n",
             cluster.program);
    qr_write_file(path, script);
    assert_int_equal(chmod(path, 0700), 0);
    snprintf(cluster.program, sizeof cluster.program, "%s", path);
    assert_int_equal(qr_cluster_start(&cluster, 1), 0);
    assert_true(qr_cluster_wait_caught_up(&cluster, DEADLINE_MS));
    unsigned before = count_fds(&cluster.members[1].process), most = 0;
    for (int i = 0; i < 500; i++) {
        fds[i] = dial_to(cluster.base_port);
        unsigned n = count_fds(&cluster.members[1].process);
        most = n > most ? n : most;
    }
    for (int i = 0; i < 500; i++)
        close(fds[i]);
    bool serves = qr_cluster_wait_caught_up(&cluster, DEADLINE_MS);
    qr_cluster_release(&cluster, false);
    assert_true(serves);
    assert_in_range(most, before + 1, before + 220);
}

/* ---- a member that dies ---- */

struct child_state {
    struct qr_cluster *cluster;
    bool connected;
};

static bool child_state_is(void *data)
{
    const struct child_state *wanted = data;
    json_t *root = qr_cluster_status(wanted->cluster, 1);
    json_t *child;
    size_t i;
    bool is = false;
    json_array_foreach(json_object_get(root, "children"), i, child)
    {
        if (strcmp(json_string_value(json_object_get(child, "guid")), GUID "8") == 0)
            is = json_is_true(json_object_get(child, "connected")) == wanted->connected;
    }
    json_decref(root);
    return is;
}

/* Nobody told the log that the child of a member that was killed has gone. */
static void a_child_of_an_earlier_life_is_not_connected(void **state)
{
    (void)state;
    struct qr_cluster cluster;
    struct qr_cluster_options options = {.name = "node-life", .n = 1, .disk_reserve_mib = 8};
    struct child_state wanted = {&cluster, true};
    char request[1024], heard[256];
    assert_int_equal(qr_cluster_create(&cluster, &options), 0);
    assert_int_equal(qr_cluster_start(&cluster, 1), 0);
    assert_int_equal(qr_cluster_wait_leader(&cluster, DEADLINE_MS), 1);
    assert_true(qr_cluster_wait_caught_up(&cluster, DEADLINE_MS));
    int fd = dial_to(cluster.base_port);
    make_request(request, sizeof request, GUID "8", cluster.api_key, 15352);
    say(fd, request);
    assert_true(hear(fd, "version=15296", heard, sizeof heard));
    assert_true(qr_wait_for(child_state_is, &wanted, DEADLINE_MS, 50));
    qr_cluster_kill(&cluster, 1);
    close(fd);
    assert_int_equal(qr_cluster_start(&cluster, 1), 0);
    wanted.connected = false;
    bool is = qr_wait_for(child_state_is, &wanted, DEADLINE_MS, 50);
    qr_cluster_release(&cluster, false);
    assert_true(is);
}

static int setup(void **state)
{
    (void)state;
    struct qr_config config;
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    qr_temp_dir(dir, "node-test");
    port = qr_free_ports(3);
    make_certificate_of(1);
    configure(&config);
    uv_loop_init(&loop);
    if (qr_node_start(&node, &loop, &config) != 0)
        return -1;
    uv_async_init(&loop, &stop, on_stop);
    uv_async_init(&loop, &reload, on_reload);
    if (pthread_create(&thread, NULL, run_loop, NULL) != 0)
        return -1;
    return qr_wait_for(is_ready, NULL, DEADLINE_MS, 50) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    uv_async_send(&stop);
    pthread_join(thread, NULL); /* it stops by itself */
    qr_remove_dir(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_collects_itself),
        cmocka_unit_test(a_child_is_asked_to_replay_and_its_rows_are_stored),
        cmocka_unit_test(definitions_enter_the_log_in_the_order_of_the_child),
        cmocka_unit_test(rows_of_a_wide_chart_reach_the_log_though_the_child_has_left),
        cmocka_unit_test(the_newest_connection_of_a_child_wins),
        cmocka_unit_test(a_child_and_a_client_may_come_over_tls),
        cmocka_unit_test(a_client_that_has_said_all_is_answered),
        cmocka_unit_test(it_reads_again_whom_it_lets_in),
        cmocka_unit_test(keys_of_the_log_let_in_and_shut_out),
        cmocka_unit_test(each_port_takes_what_it_is_for),
        cmocka_unit_test(addresses_have_the_roles_that_lists_leave_them),
        cmocka_unit_test(a_machine_may_be_bound_to_its_certificate),
        cmocka_unit_test(nobody_else_may_listen_on_its_address),
        cmocka_unit_test(strangers_leave_descriptors_to_the_log),
        cmocka_unit_test(a_child_of_an_earlier_life_is_not_connected),
        cmocka_unit_test(strangers_are_refused_by_name_and_the_member_stays),
    };
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    fflush(stdout);
    _exit(failed); /* ingest threads run until the process ends */
}
