/* Children that want to bring a member down: each is one of many at once, each has its budget of
 * the member's memory, and during each of them no second of the neighbours is missing. */
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/tls.h"
#include "ha-tests/harness.h"
#include "ha-tests/stranger.h"
#include "proto/caps.h"
#include "proto/compression.h"

#define MIB (1024 * 1024)
/* What a member may grow by in an attack: generous, a sanitizer's memory included. */
#define BUDGET        (192L * MIB)
#define CHARTS_BUDGET (640L * MIB)
/* node/conn: a handshake has 30 s, a request of HTTP 60; who vanished is noticed within 60. */
#define SLOW_MS      45000
#define SLOW_HTTP_MS 75000
#define VANISHED_MS  75000
#define STORED_MS    60000
#define N_SLOW       60u

#define CAPS_PLAIN                                                                                 \
    (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_REPLICATION | QR_CAP_INTERPOLATED |   \
     QR_CAP_FUNCTIONS)

static struct stage stage;
static pid_t pids[4];
static unsigned n_strangers;

static unsigned port_of(unsigned member)
{
    return (unsigned)strtoul(strrchr(stage.cluster.members[member].http, ':') + 1, NULL, 10);
}

/* A stranger that was let in; each has a GUID of its own. */
static int stream_with(uint32_t caps)
{
    char guid[QR_GUID_TEXT_LEN + 1], reply[256];
    snprintf(guid, sizeof guid, "51e6e000-0000-4000-8000-%012u", ++n_strangers);
    const struct stranger stranger = {.port = port_of(stage.first),
                                      .key = stage.cluster.api_key,
                                      .guid = guid,
                                      .hostname = "besieger",
                                      .caps = caps};
    int fd = stranger_stream(&stranger, reply);
    expect(&stage, strncmp(reply, STRANGER_GRANTED, strlen(STRANGER_GRANTED)) == 0);
    return fd;
}

/* ---- a member's memory ---- */

/* A line of /proc/PID/status, in bytes. */
static long memory_of(const char *key)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status",
             (int)stage.cluster.members[stage.first].process.pid);
    FILE *file = fopen(path, "r");
    expect(&stage, file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtol(line + strlen(key), NULL, 10);
    fclose(file);
    return kib * 1024;
}

/* From here on the peak is counted anew. */
static void forget_peak(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs",
             (int)stage.cluster.members[stage.first].process.pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "5", 1) != 1)
        print_message("the peak cannot be reset\n");
    if (fd >= 0)
        close(fd);
}

static struct attack {
    long before;
    long budget;
} attack;

static void begin(long budget)
{
    forget_peak();
    attack = (struct attack){memory_of("VmRSS:"), budget};
}

struct checking {
    int64_t to_s;
    unsigned member;
    struct qr_verify result;
};

static bool neighbours_are_whole(void *data)
{
    struct checking *c = data;
    c->result = (struct qr_verify){0};
    stage_verify_member(&stage, c->member, c->to_s, &c->result);
    return qr_verify_ok(&c->result);
}

/* The attack is over: what did it cost, and whom? */
static void end(const char *name)
{
    long grown = memory_of("VmHWM:") - attack.before, left = memory_of("VmRSS:") - attack.before;
    int64_t to_s = (int64_t)(qr_real_ms() / 1000);
    stage_wait_stored(&stage, to_s + STAGE_SETTLE_S, STORED_MS);
    uint64_t n_values = 0;
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        struct checking c = {.to_s = to_s, .member = id};
        char text[512];
        bool whole = qr_wait_for(neighbours_are_whole, &c, STORED_MS, 500);
        qr_verify_format(&c.result, text, sizeof text);
        if (!whole)
            fprintf(stderr, "%s: member %u: %s\n", name, id, text);
        expect(&stage, whole);
        expect(&stage, stage.cluster.members[id].process.pid == pids[id] &&
                           qr_cluster_running(&stage.cluster, id));
        n_values += c.result.n_values;
    }
    printf("ha siege %s: grown=%ld MiB left=%ld MiB budget=%ld MiB values=%llu\n", name,
           grown / MIB, left / MIB, attack.budget / MIB, (unsigned long long)n_values);
    expect(&stage, grown <= attack.budget);
}

/* ---- slow ones: begun first, looked at in the end ---- */

enum slow { SLOW_STREAM, SLOW_HTTP, SLOW_TLS, SLOW_SILENT, SLOW_KINDS };

static struct {
    pthread_t thread;
    int fds[SLOW_KINDS][N_SLOW];
    uint64_t since_ms;
    _Atomic uint64_t gone_ms[SLOW_KINDS]; /* When the last of a kind was hung up. */
    _Atomic bool ends;
} slow;

/* Some bytes of it, from anywhere in it, every quarter of a second. */
static void dribble(enum slow kind, int fd, unsigned round)
{
    static const char stream[] = "STREAM key=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                      http[] = "GET /aaaaaaaa";
    static const char hello[] = "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03";
    switch (kind) {
    case SLOW_STREAM:
        send(fd, &stream[round < sizeof stream - 1 ? round : 20], 1, MSG_NOSIGNAL);
        break;
    case SLOW_HTTP:
        send(fd, &http[round < sizeof http - 1 ? round : 8], 1, MSG_NOSIGNAL);
        break;
    case SLOW_TLS:
        send(fd, &hello[round < sizeof hello - 1 ? round : 5], 1, MSG_NOSIGNAL);
        break;
    default:
        break;
    }
}

static bool is_hung_up(int fd)
{
    char text[1024];
    struct pollfd poll_fd = {fd, POLLIN, 0};
    return poll(&poll_fd, 1, 0) == 1 && recv(fd, text, sizeof text, 0) <= 0;
}

static void *be_slow(void *data)
{
    (void)data;
    for (unsigned round = 0; !slow.ends; round++) {
        for (int kind = 0; kind < SLOW_KINDS; kind++) {
            unsigned n = 0;
            for (unsigned i = 0; i < N_SLOW; i++) {
                int *fd = &slow.fds[kind][i];
                if (*fd >= 0 && is_hung_up(*fd)) {
                    close(*fd);
                    *fd = -1;
                }
                if (*fd >= 0)
                    dribble((enum slow)kind, *fd, round);
                n += *fd >= 0;
            }
            if (n == 0 && slow.gone_ms[kind] == 0)
                slow.gone_ms[kind] = qr_real_ms();
        }
        usleep(250000);
    }
    return NULL;
}

/* ---- who vanishes without a word ---- */

static struct {
    char guid[QR_GUID_TEXT_LEN + 1];
    uint64_t since_ms;
    bool done;
} vanished;

/* A socket in repair is closed without a FIN. */
static void vanish(void)
{
    int on = 1;
    int fd = stream_with(CAPS_PLAIN);
    snprintf(vanished.guid, sizeof vanished.guid, "51e6e000-0000-4000-8000-%012u", n_strangers);
    stranger_print(fd, "CHART a.b '' t u f c line 1 1 '' p m\nDIMENSION a\n"
                       "CHART_DEFINITION_END 0 0 0\n");
    vanished.done = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0;
    if (!vanished.done)
        print_message("half-open connections are left out: no TCP_REPAIR here\n");
    vanished.since_ms = qr_real_ms();
    close(fd);
}

static bool is_noticed(void *data)
{
    (void)data;
    json_t *status = qr_cluster_status(&stage.cluster, stage.first), *child;
    bool noticed = false;
    size_t i;
    json_array_foreach(json_object_get(status, "children"), i, child)
    {
        if (strcmp(json_string_value(json_object_get(child, "guid")), vanished.guid) == 0)
            noticed = json_is_false(json_object_get(child, "connected"));
    }
    json_decref(status);
    return noticed;
}

/* ---- set up ---- */

static int set_up(void **state)
{
    (void)state;
    struct stage_options options = {.name = "siege", .n_hosts = 3, .cluster = {.tls = true}};
    stage_up(&stage, &options);
    for (unsigned id = 1; id <= 3; id++)
        pids[id] = stage.cluster.members[id].process.pid;
    stage_fault(&stage);
    for (int kind = 0; kind < SLOW_KINDS; kind++)
        for (unsigned i = 0; i < N_SLOW; i++)
            slow.fds[kind][i] = stranger_dial(port_of(stage.first), NULL);
    slow.since_ms = qr_real_ms();
    expect(&stage, pthread_create(&slow.thread, NULL, be_slow, NULL) == 0);
    vanish();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    slow.ends = true;
    pthread_join(slow.thread, NULL);
    stage_down(&stage);
    return 0;
}

/* ---- the attacks ---- */

static void lines_without_an_end(void **state)
{
    (void)state;
    static char filler[63 * 1024];
    int fds[100];
    begin(BUDGET);
    memset(filler, 'a', sizeof filler);
    for (unsigned i = 0; i < 100; i++) {
        fds[i] = stream_with(CAPS_PLAIN);
        stranger_say(fds[i], filler, sizeof filler); /* all but too long, and held */
    }
    for (unsigned i = 0; i < 100; i++) {
        stranger_say(fds[i], filler, sizeof filler);
        expect(&stage, stranger_is_left(fds[i], STRANGER_ANSWER_MS));
        close(fds[i]);
    }
    end("lines");
}

/* A frame that says little and means much: as much of one byte as fits its 16 KiB. */
static size_t make_bomb(enum qr_compression kind, char *frame)
{
    size_t len = 0;
    char *payload = frame + 4;
    if (kind == QR_COMPRESSION_LZ4) {
        /* One literal, and a match of it as long as the rest of the frame can count. */
        len = 16000;
        memset(payload, 0xff, len);
        payload[0] = 0x1f;
        payload[1] = 'a';
        payload[2] = 1;
        payload[3] = 0;
    } else if (kind == QR_COMPRESSION_ZSTD) {
        /* A frame of 8 MiB window, and blocks that repeat one byte 128 KiB times. */
        static const char head[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, 0x00, 0x68};
        memcpy(payload, head, sizeof head);
        len = sizeof head;
        for (int i = 0; i < 4000; i++) {
            uint32_t block = 1u << 1 | (128u * 1024) << 3;
            payload[len++] = (char)block;
            payload[len++] = (char)(block >> 8);
            payload[len++] = (char)(block >> 16);
            payload[len++] = 'a';
        }
    } else {
        /* Text of one letter, packed: some thousand times shorter.  Many such, one after the other,
         * as one frame. */
        struct qr_compressor *compressor;
        static char text[QR_COMPRESSION_TEXT_BYTES_MAX];
        memset(text, 'a', sizeof text);
        expect(&stage, qr_compressor_new(&compressor, kind, NULL) == 0);
        for (int i = 0; i < 100; i++) {
            static char packed[QR_FRAME_BYTES_MAX];
            uint32_t n = qr_compress(compressor, qr_slice_of(text, sizeof text), packed);
            if (len + n > QR_FRAME_BYTES_MAX)
                break;
            memcpy(payload + len, packed, n);
            len += n;
        }
        qr_compressor_free(compressor);
    }
    frame[0] = (char)0xfa;
    frame[1] = (char)(0x80 | (len & 0x7f));
    frame[2] = (char)(0x80 | len >> 7);
    frame[3] = '\n';
    return len + 4;
}

static void decompression_bombs(void **state)
{
    (void)state;
    static const struct {
        enum qr_compression kind;
        uint32_t caps;
    } rows[] = {{QR_COMPRESSION_LZ4, QR_CAP_LZ4},
                {QR_COMPRESSION_ZSTD, QR_CAP_ZSTD},
                {QR_COMPRESSION_GZIP, QR_CAP_GZIP},
                {QR_COMPRESSION_BROTLI, QR_CAP_BROTLI}};
    static char frame[QR_FRAME_BYTES_MAX + 4];
    begin(BUDGET);
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        size_t len = make_bomb(rows[i].kind, frame);
        for (unsigned n = 0; n < 25; n++) {
            int fd = stream_with(CAPS_PLAIN | rows[i].caps);
            stranger_say(fd, frame, len);
            bool left = stranger_is_left(fd, STRANGER_ANSWER_MS);
            if (!left)
                fprintf(stderr, "a bomb of %s is taken\n", qr_compression_name(rows[i].kind));
            expect(&stage, left);
            close(fd);
        }
    }
    end("bombs");
}

/* Text in large pieces. */
struct speech {
    int fd;
    size_t len;
    bool heard;
    char text[64 * 1024];
};

static void flush(struct speech *speech)
{
    speech->heard = speech->heard && stranger_say(speech->fd, speech->text, speech->len);
    speech->len = 0;
}

static void say(struct speech *speech, const char *format, unsigned i)
{
    if (sizeof speech->text - speech->len < 1024)
        flush(speech);
    speech->len += (size_t)snprintf(speech->text + speech->len, sizeof speech->text - speech->len,
                                    format, i, i);
}

/* Nobody reads what the member asks. */
static void charts_without_an_end(void **state)
{
    (void)state;
    static struct speech speech;
    begin(CHARTS_BUDGET);
    speech = (struct speech){.fd = stream_with(CAPS_PLAIN), .heard = true};
    for (unsigned i = 0; i < 150000; i++)
        say(&speech,
            "CHART 'siege.chart_%u' '' 'a chart' 'things' 'f' 'siege.context_%u' 'line' 1 1 '' 'p' "
            "'m'\nDIMENSION 'a' '' 'absolute' 1 1 ''\nCHART_DEFINITION_END 0 0 0\n",
            i);
    flush(&speech);
    expect(&stage, speech.heard); /* Too many of them are refused by name, not the child. */
    expect(&stage, !stranger_is_left(speech.fd, 1000));
    close(speech.fd);
    end("charts");
}

static void labels_and_functions_by_the_million(void **state)
{
    (void)state;
    static struct speech speech;
    begin(BUDGET);
    speech = (struct speech){.fd = stream_with(CAPS_PLAIN), .heard = true};
    for (unsigned i = 0; i < 300000; i++)
        say(&speech, "LABEL 'label_%u' = 1 'value %u'\n", i);
    say(&speech, "OVERWRITE labels\n", 0);
    for (unsigned i = 0; i < 300000; i++)
        say(&speech, "FUNCTION GLOBAL 'function_%u' 10 'help %u'\n", i);
    say(&speech, "CHART 'siege.labels' '' '' '' '' '' 'line' 1 1 '' 'p' 'm'\n", 0);
    for (unsigned i = 0; i < 300000; i++)
        say(&speech, "CLABEL 'label_%u' 'value %u' 1\n", i);
    say(&speech, "CLABEL_COMMIT\nDIMENSION 'a'\nCHART_DEFINITION_END 0 0 0\n", 0);
    for (unsigned i = 0; i < 300000; i++)
        say(&speech, "VARIABLE HOST variable_%u = %u\n", i);
    flush(&speech);
    expect(&stage, speech.heard);
    expect(&stage, !stranger_is_left(speech.fd, 1000)); /* What is too much is dropped. */
    close(speech.fd);
    end("labels");
}

/* Answers that nobody asked for, in an order that is none, with times that cannot be. */
static void replication_with_lies(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "RBEGIN 'siege.b'\nRBEGIN '' 100 101 102\nRSET 'a' 5 A\nREND 1 1 2 true 1 2 3\n",
        "RBEGIN 'siege.a'\nREND 1 99999999999 99999999999 true 99999999999 99999999999 1\n",
        "RBEGIN 'siege.a'\nREND 86400 -5 -9 false -5 -9 -1\n",
        "RBEGIN 'siege.a'\nREND 0 9223372036854775807 9223372036854775807 false "
        "9223372036854775807 9223372036854775807 9223372036854775807\n",
        "RBEGIN 'siege.a'\nRBEGIN '' 9223372036854775806 9223372036854775807 0\nRSET 'a' 5 A\n"
        "REND 1 1 2 true 1 2 3\n",
        "RBEGIN 'siege.a'\nRBEGIN '' 1700000000 1700000001 1800000000\nRSET 'a' 1e308 A\n"
        "RDSTATE 'a' 9223372036854775807 9223372036854775807 1e308 1e308\n"
        "RSSTATE 9223372036854775807 9223372036854775807\nREND 1 1 2 true 1 2 3\n",
        "REND 1 1 2 true 1 2 3\n",
        "BEGIN2 'siege.a' 1 1700000000 #\nRBEGIN 'siege.a'\nEND2\n",
        "END2\nEND\nRSET 'a' 1 A\n",
        "CHART_DEFINITION_END 1 2 3\n",
    };
    begin(BUDGET);
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < QR_COUNT(lies); i++) {
            int fd = stream_with(CAPS_PLAIN);
            stranger_print(fd, "CHART 'siege.a' '' '' '' '' '' 'line' 1 1 '' 'p' 'm'\n"
                               "DIMENSION 'a'\nCHART_DEFINITION_END 1600000000 1700000000 "
                               "1700000000\n");
            if (round % 2 == 0) { /* Before, or after, it was asked. */
                char asked[256];
                stranger_hear(fd, asked, sizeof asked);
            }
            stranger_print(fd, "%s", lies[i]);
            shutdown(fd, SHUT_WR);
            stranger_is_left(fd, STRANGER_ANSWER_MS);
            close(fd);
        }
    }
    end("lies");
}

/* "There is more" for ever; and what is asked is not read. */
static void an_answer_that_does_not_end(void **state)
{
    (void)state;
    static struct speech speech;
    begin(BUDGET);
    speech = (struct speech){.fd = stream_with(CAPS_PLAIN), .heard = true};
    say(&speech, "CHART 'siege.a' '' '' '' '' '' 'line' 1 1 '' 'p' 'm'\nDIMENSION 'a'\n", 0);
    say(&speech, "CHART_DEFINITION_END 1600000000 1700000000 1700000000\n", 0);
    flush(&speech);
    uint64_t until_ms = qr_real_ms() + 5000;
    while (speech.heard && qr_real_ms() < until_ms) {
        for (unsigned i = 0; i < 1000; i++)
            say(&speech,
                "RBEGIN 'siege.a'\nREND 1 1600000000 1700000000 false 1600000000 1600000600 "
                "1700000000\n",
                i);
        flush(&speech);
    }
    printf("ha siege answers: taken=%d\n", speech.heard);
    close(speech.fd);
    end("answers");
}

/* ---- the end ---- */

static bool slow_ones_are_gone(void *data)
{
    (void)data;
    for (int kind = 0; kind < SLOW_KINDS; kind++)
        if (slow.gone_ms[kind] == 0)
            return false;
    return true;
}

static void the_slow_and_the_vanished_are_gone(void **state)
{
    (void)state;
    static const char *const names[] = {"stream", "http", "tls", "silent"};
    begin(BUDGET);
    uint64_t until_ms = slow.since_ms + SLOW_HTTP_MS, now_ms = qr_real_ms();
    qr_wait_for(slow_ones_are_gone, NULL, until_ms > now_ms ? until_ms - now_ms : 0, 100);
    for (int kind = 0; kind < SLOW_KINDS; kind++) {
        uint64_t gone_ms = slow.gone_ms[kind];
        printf("ha siege slow %s: gone after %.1f s\n", names[kind],
               gone_ms == 0 ? -1.0 : (double)(gone_ms - slow.since_ms) / 1000);
        uint64_t limit_ms = kind == SLOW_HTTP ? SLOW_HTTP_MS : SLOW_MS;
        expect(&stage, gone_ms != 0 && gone_ms - slow.since_ms <= limit_ms);
    }
    until_ms = vanished.since_ms + VANISHED_MS, now_ms = qr_real_ms();
    expect(&stage, !vanished.done || qr_wait_for(is_noticed, NULL,
                                                 until_ms > now_ms ? until_ms - now_ms : 0, 200));
    end("slow");
}

static void everything_is_as_it_was(void **state)
{
    (void)state;
    stage_check(&stage);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_without_an_end),
        cmocka_unit_test(decompression_bombs),
        cmocka_unit_test(labels_and_functions_by_the_million),
        cmocka_unit_test(replication_with_lies),
        cmocka_unit_test(an_answer_that_does_not_end),
        cmocka_unit_test(charts_without_an_end),
        cmocka_unit_test(the_slow_and_the_vanished_are_gone),
        cmocka_unit_test(everything_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
