/* Strangers on a member's ports: whatever they send, the member stays up, they are refused in the
 * protocol's own way, and nobody else's data suffers. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pki.h"
#include "ha-tests/harness.h"
#include "proto/frame.h"
#include "proto/handshake.h"

#define ANSWER_MS 20000
#define GRANTED   "Hit me baby, push them over with the version="
#define STRANGER  "0badcafe-0000-4000-8000-000000000001"

static struct stage stage;
static pid_t pids[4];

static int set_up(void **state)
{
    (void)state;
    struct stage_options options = {.name = "hostile", .netdata = true, .n_hosts = 3};
    stage_up(&stage, &options);
    for (unsigned id = 1; id <= 3; id++)
        pids[id] = stage.cluster.members[id].process.pid;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

static unsigned port_of(const char *address)
{
    return (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

static int dial(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(&stage, fd >= 0);
    expect(&stage, connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    struct timeval limit = {ANSWER_MS / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

static unsigned member_port(void)
{
    return port_of(stage.cluster.members[stage.first].http);
}

/* Sends what the member takes; it may hang up in the middle. */
static void say(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

/* The next bytes, or "" when it hangs up; fails if it is silent too long. */
static const char *hear(int fd, char *text, size_t bytes)
{
    struct pollfd poll_fd = {fd, POLLIN, 0};
    expect(&stage, poll(&poll_fd, 1, ANSWER_MS) == 1);
    ssize_t n = recv(fd, text, bytes - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static bool hangs_up(int fd)
{
    char text[4096];
    for (int i = 0; i < 100; i++) {
        struct pollfd poll_fd = {fd, POLLIN, 0};
        if (poll(&poll_fd, 1, ANSWER_MS) != 1)
            return false;
        if (recv(fd, text, sizeof text, 0) <= 0)
            return true;
    }
    return false;
}

/* A handshake of a stranger with the right key, plain text unless `caps` has LZ4. */
static int stream_as(const char *guid, unsigned caps)
{
    char request[1024], reply[256];
    int fd = dial(member_port());
    int len = snprintf(request, sizeof request,
                       "STREAM key=%s&hostname=stranger&machine_guid=%s&update_every=1&ver=%u "
                       "HTTP/1.1\r\nUser-Agent: netdata/v1.37.1\r\n\r\n",
                       stage.cluster.api_key, guid, caps);
    say(fd, request, (size_t)len);
    hear(fd, reply, sizeof reply);
    expect(&stage, strncmp(reply, GRANTED, strlen(GRANTED)) == 0);
    return fd;
}

#define CAPS_PLAIN 15352u
#define CAPS_LZ4   16376u

/* ---- the handshake ---- */

static void a_bad_request_gets_the_refusal(void **state)
{
    (void)state;
    const struct {
        const char *query;
    } rows[] = {
        {"key=00000000-0000-0000-0000-000000000000&hostname=x&machine_guid=" STRANGER "&ver=16376"},
        {"key=not-a-uuid&hostname=x&machine_guid=" STRANGER "&ver=16376"},
        {"hostname=x&machine_guid=" STRANGER "&ver=16376"},
        {"key=%KEY%&hostname=x&machine_guid=zzz&ver=16376"},
        {"key=%KEY%&machine_guid=" STRANGER "&ver=16376"},
        {""},
    };
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        char request[1024], reply[256];
        const char *key = strstr(rows[i].query, "%KEY%");
        int fd = dial(member_port()), len;
        if (key != NULL)
            len = snprintf(request, sizeof request, "STREAM key=%s%s HTTP/1.1\r\n\r\n",
                           stage.cluster.api_key, key + 5);
        else
            len = snprintf(request, sizeof request, "STREAM %s HTTP/1.1\r\n\r\n", rows[i].query);
        say(fd, request, (size_t)len);
        hear(fd, reply, sizeof reply);
        if (strcmp(reply, QR_HANDSHAKE_DENIED) != 0)
            print_message("row %zu: \"%s\"\n", i, reply);
        expect(&stage, strcmp(reply, QR_HANDSHAKE_DENIED) == 0);
        expect(&stage, hangs_up(fd));
        close(fd);
    }
}

static void an_endless_request_is_cut(void **state)
{
    (void)state;
    static const char *const starts[] = {"STREAM key=", "GET /", "\x16\x03\x01\xff\xff", "x"};
    static char filler[64 * 1024];
    memset(filler, 'a', sizeof filler);
    for (size_t i = 0; i < QR_COUNT(starts); i++) {
        int fd = dial(member_port());
        say(fd, starts[i], strlen(starts[i]));
        for (int n = 0; n < 8; n++)
            say(fd, filler, sizeof filler);
        expect(&stage, hangs_up(fd));
        close(fd);
    }
}

/* ---- the stream ---- */

static const char definition[] =
    "CHART \"bad.chart\" \"\" \"t\" \"u\" \"f\" \"c\" \"line\" 1 1 \"\" \"p\" \"m\"\n"
    "DIMENSION \"a\" \"a\" \"absolute\" 1 1 \"\"\n";

static void bad_lines_do_not_bring_it_down(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "SET \"a\" = 5\n",
        "END\n",
        "BEGIN \"nowhere.chart\" 1000000\nSET \"a\" = 5\nEND\n",
        "DIMENSION \"a\" \"a\" \"absolute\" 1 1 \"\"\n",
        "CHART_DEFINITION_END 1 2 3\n",
        "RSET \"a\" 5 \"\"\nRDSTATE \"a\" 1 2 3 4\nRSSTATE 1 2\nREND 1 1 1 true 1 1 1\n",
        "RBEGIN \"nowhere.chart\"\nRBEGIN '' 5 3 1\n",
        "CHART \"nodot\"\n",
        "CHART \"\"\n",
        "CHART \"a.b\" \"\" \"\" \"\" \"\" \"\" \"\" -1 -1\n",
        "CHART \"a.b\" \"\" \"\" \"\" \"\" \"\" \"\" 1 99999999999999999999\n",
        "DANCE with me\n",
        "CLAIMED_ID zzz zzz\nLABEL \"x\" = 99999999999 \"y\"\nOVERWRITE labels\n",
        "FUNCTION_RESULT_BEGIN \"x\" 200 \"text/plain\" 0\nbody\n",
        "JSON NOTHING\n{]\n",
        "\n\n\n \t \n===\n\"\n'\n",
    };
    for (size_t i = 0; i < QR_COUNT(lines); i++) {
        int fd = stream_as(STRANGER, CAPS_PLAIN);
        say(fd, lines[i], strlen(lines[i]));
        say(fd, definition, strlen(definition));
        shutdown(fd, SHUT_WR);
        expect(&stage, hangs_up(fd));
        close(fd);
    }
    /* A NUL, and numbers that are none. */
    int fd = stream_as(STRANGER, CAPS_PLAIN);
    say(fd, definition, strlen(definition));
    static const char with_nul[] = "BEGIN \"bad.chart\" -5\nSET \"a\" = \0 0xzz\nEND\n";
    say(fd, with_nul, sizeof with_nul - 1);
    shutdown(fd, SHUT_WR);
    expect(&stage, hangs_up(fd));
    close(fd);
}

static void an_endless_line_is_cut(void **state)
{
    (void)state;
    static char filler[64 * 1024];
    memset(filler, 'a', sizeof filler);
    int fd = stream_as(STRANGER, CAPS_PLAIN);
    say(fd, "CHART \"a.", 9);
    for (int n = 0; n < 8; n++)
        say(fd, filler, sizeof filler);
    expect(&stage, hangs_up(fd));
    close(fd);
}

static void frames_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } frames[] = {
        {"CHART \"plain.text\"\n", 19},        /* no frame at all */
        {"\xfa\x80\x80\n", 4},                 /* of no bytes */
        {"\xfa\x84\x80\n\xff\xff\xff\xff", 8}, /* that does not unpack */
        {"\xfa\x05\x80\nxxxxx", 9},            /* a length without its mark */
        {"\xfa\x88\x80\n\x1f"
         "a\x00\x01\xff\xff\xff\x00",
         12}, /* refers to before the start */
    };
    for (size_t i = 0; i < QR_COUNT(frames); i++) {
        int fd = stream_as(STRANGER, CAPS_LZ4);
        say(fd, frames[i].bytes, frames[i].len);
        expect(&stage, hangs_up(fd));
        close(fd);
    }
    /* More is announced than ever comes: the stranger's own loss. */
    int fd = stream_as(STRANGER, CAPS_LZ4);
    say(fd, "\xfa\xff\xff\nabc", 7);
    shutdown(fd, SHUT_WR);
    expect(&stage, hangs_up(fd));
    close(fd);
}

static bool is_live_again(void *data)
{
    json_t *figures = stage_load_figures(&stage);
    bool broke = json_integer_value(json_object_get(figures, "breaks")) > *(int64_t *)data;
    json_decref(figures);
    return broke;
}

/* The newest connection of a GUID wins at once; the child then comes back and wins in turn. */
static void a_second_stream_of_a_live_child_wins(void **state)
{
    (void)state;
    char guid[QR_GUID_TEXT_LEN + 1];
    json_t *figures = stage_load_figures(&stage);
    int64_t breaks = json_integer_value(json_object_get(figures, "breaks"));
    json_decref(figures);
    stage_guid(&stage, 0, guid);
    int fd = stream_as(guid, CAPS_PLAIN);
    expect(&stage, qr_wait_for(is_live_again, &breaks, ANSWER_MS, 50));
    expect(&stage, hangs_up(fd));
    close(fd);
    stage_wait_live(&stage, 20000);
}

/* ---- HTTP ---- */

static void bad_http_gets_an_answer_or_a_hang_up(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /api/v1/data?chart=%zz&after=%%%&before=99999999999999999999 HTTP/1.1\r\n\r\n",
        "GET /api/v1/data?chart=x&points=99999999999&after=-99999999999 HTTP/1.1\r\n\r\n",
        "GET /host/../../../etc/passwd HTTP/1.1\r\n\r\n",
        "GET /host/%00/api/v1/info HTTP/1.1\r\n\r\n",
        "BREW /pot HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: \x01\xff\r\n\r\n",
        "POST /api/v1/info HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx",
    };
    for (size_t i = 0; i < QR_COUNT(requests); i++) {
        char reply[1024];
        int fd = dial(member_port());
        say(fd, requests[i], strlen(requests[i]));
        shutdown(fd, SHUT_WR);
        hear(fd, reply, sizeof reply);
        expect(&stage, reply[0] == '\0' || strncmp(reply, "HTTP/1.1 ", 9) == 0);
        expect(&stage, strncmp(reply, "HTTP/1.1 5", 10) != 0);
        expect(&stage, strstr(reply, "root:") == NULL);
        close(fd);
    }
}

/* ---- the members' port ---- */

static void garbage_on_the_link_port_is_refused(void **state)
{
    (void)state;
    unsigned port = port_of(stage.cluster.members[stage.first].link);
    static const char *const openings[] = {"GET / HTTP/1.1\r\n\r\n", "QRLK\1\0\0\0",
                                           "\x16\x03\x01\x00\x05hello", "\x16\x03\x03\xff\xff"};
    static char filler[65536];
    for (size_t i = 0; i < QR_COUNT(openings); i++) {
        int fd = dial(port);
        say(fd, openings[i], strlen(openings[i]));
        say(fd, filler, sizeof filler);
        expect(&stage, hangs_up(fd));
        close(fd);
    }
}

struct impostor {
    struct qr_cluster *cluster;
    int64_t leader;
};

static bool says_its_leader(void *data)
{
    struct impostor *impostor = data;
    json_t *status = qr_cluster_status(impostor->cluster, 3);
    impostor->leader = json_integer_value(json_object_get(status, "leader"));
    json_decref(status);
    return status != NULL;
}

/* Somebody who has the configuration of a member, but no certificate of the cluster's CA. */
static void a_member_with_a_foreign_certificate_stays_outside(void **state)
{
    (void)state;
    struct qr_cluster *cluster = &stage.cluster;
    char dir[QR_TEMP_DIR_BYTES], ca[300], ca_key[300], cert[300], key[300], conf[300], uri[128];
    char reason[QR_PKI_REASON_BYTES], log[300];
    qr_temp_dir(dir, "impostor");
    snprintf(ca, sizeof ca, "%s/foreign.crt", dir);
    snprintf(ca_key, sizeof ca_key, "%s/foreign.key", dir);
    snprintf(cert, sizeof cert, "%s/member.crt", dir);
    snprintf(key, sizeof key, "%s/member.key", dir);
    snprintf(conf, sizeof conf, "%s/quorate.conf", dir);
    snprintf(log, sizeof log, "%s/quorated.log", dir);
    snprintf(uri, sizeof uri, "quorate://%s/3", cluster->cluster_id);
    expect(&stage, qr_pki_make_ca(ca, ca_key, "foreign", reason) == 0);
    struct qr_pki_request request = {.cert_file = cert,
                                     .key_file = key,
                                     .ca_cert_file = ca,
                                     .ca_key_file = ca_key,
                                     .common_name = "member-3",
                                     .uri = uri};
    expect(&stage, qr_pki_make_cert(&request, reason) == 0);
    unsigned port = qr_free_ports(1);
    char stream_conf[300];
    snprintf(stream_conf, sizeof stream_conf, "%s/stream.conf", dir);
    qr_write_file(stream_conf, "[%s]\nenabled = yes\n", cluster->api_key);
    qr_write_file(conf,
                  "[member]\nid = 3\nlisten = 127.0.0.1:%u\nlink = 127.0.0.1:%u\n"
                  "[cluster]\nname = test\nid = %s\nmember 1 = %s\nmember 2 = %s\n"
                  "member 3 = 127.0.0.1:%u\n[tls]\nca = foreign.crt\n",
                  port, port + 100, cluster->cluster_id, cluster->members[1].link,
                  cluster->members[2].link, port + 100);
    struct qr_process impostor;
    const char *argv[] = {cluster->program, "-c", conf, NULL};
    expect(&stage, qr_process_start(&impostor, "impostor", log, -1, argv) == 0);
    /* It lives, dials both, and never finds a leader; nobody lets it in. */
    int64_t until_s = (int64_t)(qr_real_ms() / 1000) + 4;
    struct qr_cluster_member *place = &cluster->members[3];
    struct qr_cluster_member real = *place;
    qr_wait_until_s(until_s);
    place->process = impostor;
    snprintf(place->url, sizeof place->url, "http://127.0.0.1:%u", port);
    struct impostor asked = {.cluster = cluster};
    bool answered = qr_wait_for(says_its_leader, &asked, ANSWER_MS, 50);
    *place = real;
    qr_process_kill(&impostor);
    qr_remove_dir(dir);
    expect(&stage, answered && asked.leader == 0);
}

static void everything_is_as_it_was(void **state)
{
    (void)state;
    for (unsigned id = 1; id <= 3; id++) {
        expect(&stage, qr_cluster_running(&stage.cluster, id));
        expect(&stage, stage.cluster.members[id].process.pid == pids[id]);
    }
    stage_fault(&stage);
    stage_check(&stage);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_request_gets_the_refusal),
        cmocka_unit_test(an_endless_request_is_cut),
        cmocka_unit_test(bad_lines_do_not_bring_it_down),
        cmocka_unit_test(an_endless_line_is_cut),
        cmocka_unit_test(frames_that_lie_are_refused),
        cmocka_unit_test(a_second_stream_of_a_live_child_wins),
        cmocka_unit_test(bad_http_gets_an_answer_or_a_hang_up),
        cmocka_unit_test(garbage_on_the_link_port_is_refused),
        cmocka_unit_test(a_member_with_a_foreign_certificate_stays_outside),
        cmocka_unit_test(everything_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
