/* What a network does to those who use it: two hosts, one sends, the other reads, and between them
 * something is wrong.  Tests also: net_conn. */
#include "testing/sim/net.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/compiler.h"
#include "testing/cmocka.h"
#include "testing/sim/net_conn.h"
#include "testing/sim/uv_sim.h"

#define PORT    7000
#define CHUNK   10u
#define S(n)    ((uint64_t)((n)*1000) * QR_SIM_MS)
#define PERIODS 100 /* ms between two chunks. */

/* ---- the two programs ---- */

static struct reader {
    uv_loop_t loop;
    uv_tcp_t listener, conn;
    bool connected, deaf; /* Deaf: does not read. */
    uint64_t n_read, read_at_ns;
    int err;
    uint64_t err_at_ns;
    char buffer[4096];
} reader;

static struct writer {
    uv_loop_t loop;
    uv_tcp_t conn;
    uv_connect_t connect;
    uv_timer_t tick;
    unsigned user_timeout_ms, keepalive_s;
    bool silent; /* Sends nothing. */
    uint64_t n_sent;
    size_t n_flood; /* To send at once. */
    int connect_err, err;
    uint64_t connected_at_ns, err_at_ns;
    char buffer[4096];
} writer;

static struct qr_sim_host *host_w, *host_r;

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 2654435761u >> 11);
}

static void on_reader_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(reader.buffer, sizeof reader.buffer);
}

static void on_reader_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    if (n < 0) {
        reader.err = (int)n;
        reader.err_at_ns = qr_sim_now_ns();
        uv_close((uv_handle_t *)stream, NULL);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if ((uint8_t)buf->base[i] != pattern(reader.n_read + (uint64_t)i)) {
            fprintf(stderr, "byte %u is wrong\n", (unsigned)(reader.n_read + (uint64_t)i));
            abort();
        }
    }
    reader.n_read += (uint64_t)n;
    reader.read_at_ns = qr_sim_now_ns();
}

static void on_reader_connection(uv_stream_t *listener, int status)
{
    (void)status;
    reader.connected = true;
    uv_tcp_init(&reader.loop, &reader.conn);
    uv_accept(listener, (uv_stream_t *)&reader.conn);
    if (!reader.deaf)
        uv_read_start((uv_stream_t *)&reader.conn, on_reader_alloc, on_reader_read);
}

static int reader_main(void *data)
{
    (void)data;
    struct sockaddr_in any;
    bool deaf = reader.deaf;
    reader = (struct reader){.deaf = deaf};
    uv_ip4_addr("0.0.0.0", PORT, &any);
    uv_loop_init(&reader.loop);
    uv_tcp_init(&reader.loop, &reader.listener);
    uv_tcp_bind(&reader.listener, (const struct sockaddr *)&any, 0);
    if (uv_listen((uv_stream_t *)&reader.listener, 8, on_reader_connection) != 0)
        return 1;
    return uv_run(&reader.loop, UV_RUN_DEFAULT);
}

static int without_listener_main(void *data)
{
    (void)data;
    uv_sleep(UINT_MAX);
    return 0;
}

static void on_writer_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(writer.buffer, sizeof writer.buffer);
}

static void writer_ends(int err)
{
    if (writer.err != 0)
        return;
    writer.err = err;
    writer.err_at_ns = qr_sim_now_ns();
    uv_close((uv_handle_t *)&writer.conn, NULL);
    uv_close((uv_handle_t *)&writer.tick, NULL);
}

static void on_writer_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)stream;
    (void)buf;
    if (n < 0)
        writer_ends((int)n);
}

static void send_bytes(size_t bytes)
{
    while (bytes > 0) {
        char chunk[4096];
        unsigned n = bytes < sizeof chunk ? (unsigned)bytes : sizeof chunk;
        for (unsigned i = 0; i < n; i++)
            chunk[i] = (char)pattern(writer.n_sent + i);
        uv_buf_t buf = uv_buf_init(chunk, n);
        int sent = uv_try_write((uv_stream_t *)&writer.conn, &buf, 1);
        if (sent == UV_EAGAIN)
            return;
        if (sent < 0) {
            writer_ends(sent);
            return;
        }
        writer.n_sent += (uint64_t)sent;
        bytes -= (size_t)sent;
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    size_t flood = writer.n_flood > writer.n_sent ? writer.n_flood - writer.n_sent : 0;
    if (!writer.silent)
        send_bytes(flood > 0 ? flood : CHUNK);
}

static void on_writer_connect(uv_connect_t *req, int status)
{
    (void)req;
    writer.connect_err = status;
    writer.connected_at_ns = qr_sim_now_ns();
    if (status != 0) {
        writer_ends(status);
        return;
    }
    uv_os_fd_t fd;
    uv_fileno((uv_handle_t *)&writer.conn, &fd);
    if (writer.user_timeout_ms != 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &writer.user_timeout_ms, sizeof(unsigned));
    if (writer.keepalive_s != 0)
        uv_tcp_keepalive(&writer.conn, 1, writer.keepalive_s);
    uv_read_start((uv_stream_t *)&writer.conn, on_writer_alloc, on_writer_read);
    uv_timer_start(&writer.tick, on_tick, 0, PERIODS);
}

static int writer_main(void *data)
{
    (void)data;
    struct sockaddr_in to;
    uv_ip4_addr(qr_net_address(host_r), PORT, &to);
    writer.connect_err = 1;
    uv_loop_init(&writer.loop);
    uv_tcp_init(&writer.loop, &writer.conn);
    uv_timer_init(&writer.loop, &writer.tick);
    uv_tcp_connect(&writer.connect, &writer.conn, (const struct sockaddr *)&to, on_writer_connect);
    uv_run(&writer.loop, UV_RUN_DEFAULT);
    uv_sleep(UINT_MAX); /* Its connection has ended, its machine lives on. */
    return 0;
}

/* ---- a world for each test: it is once a process ---- */

static void in_world(void (*run)(void), uint64_t seed)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        qr_sim_world(seed, 1000000 * (int64_t)QR_SIM_S);
        qr_uv_init();
        host_w = qr_sim_host_new("writer");
        host_r = qr_sim_host_new("reader");
        run();
        fflush(NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("seed %u", (unsigned)seed);
}

static void in_worlds(void (*run)(void))
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        in_world(run, seed);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void boot_both(void)
{
    qr_sim_host_boot(host_r, reader_main, NULL);
    qr_sim_run_until(S(0.01));
    qr_sim_host_boot(host_w, writer_main, NULL);
}

static void cut_both(bool on)
{
    qr_net_cut(host_w->id, host_r->id, on);
    qr_net_cut(host_r->id, host_w->id, on);
}

static bool is_about(uint64_t at_ns, double low_s, double high_s)
{
    if (at_ns >= S(low_s) && at_ns <= S(high_s))
        return true;
    fprintf(stderr, "at %.3f s, not between %.3f and %.3f\n", (double)at_ns / (double)QR_SIM_S,
            low_s, high_s);
    return false;
}

/* ---- the tests ---- */

static void run_healthy(void)
{
    boot_both();
    qr_sim_run_until(S(10.05));
    CHECK(writer.connect_err == 0);
    CHECK(is_about(writer.connected_at_ns, 0.0101, 0.011));
    CHECK(writer.n_sent >= 95 * CHUNK);
    CHECK(reader.n_read == writer.n_sent);
    CHECK(reader.err == 0 && writer.err == 0);
}

static void bytes_arrive_in_order(void **state)
{
    (void)state;
    in_worlds(run_healthy);
}

static void run_cut(void)
{
    boot_both();
    qr_sim_run_until(S(2));
    cut_both(true);
    qr_sim_run_until(S(2.1));
    uint64_t before = reader.n_read;
    qr_sim_run_until(S(5));
    CHECK(reader.n_read == before);
    cut_both(false);
    qr_sim_run_until(S(5 + 3.5)); /* The pause before the next try may be as long as the cut. */
    CHECK(reader.err == 0 && writer.err == 0);
    CHECK(reader.n_read + CHUNK >= writer.n_sent);
    CHECK(reader.n_read > before + 25 * CHUNK);
    CHECK(qr_net_stats()->n_retries > 0);
}

static void what_a_cut_holds_up_arrives_after_the_healing(void **state)
{
    (void)state;
    in_worlds(run_cut);
}

static void run_user_timeout(void)
{
    writer.user_timeout_ms = 2000;
    boot_both();
    qr_sim_run_until(S(3));
    cut_both(true);
    qr_sim_run_until(S(30));
    CHECK(writer.err == UV_ETIMEDOUT);
    CHECK(is_about(writer.err_at_ns, 5, 5.2));
    CHECK(reader.err == 0); /* It heard nothing. */
}

static void run_lost_acknowledgements(void)
{
    writer.user_timeout_ms = 2000;
    boot_both();
    qr_sim_run_until(S(3));
    qr_net_cut(host_r->id, host_w->id, true);
    qr_sim_run_until(S(4));
    CHECK(reader.n_read > 0);
    CHECK(is_about(reader.read_at_ns, 3, 4));
    qr_sim_run_until(S(30));
    CHECK(writer.err == UV_ETIMEDOUT);
    CHECK(is_about(writer.err_at_ns, 5, 5.2));
}

static void user_timeout_ends_what_nobody_acknowledges(void **state)
{
    (void)state;
    in_worlds(run_user_timeout);
    in_worlds(run_lost_acknowledgements);
}

static void run_keepalive(void)
{
    writer.silent = true;
    writer.keepalive_s = 10;
    boot_both();
    qr_sim_run_until(S(100));
    CHECK(writer.connect_err == 0 && writer.err == 0);
    cut_both(true);
    qr_sim_run_until(S(100 + 10 + 9 * 75 - 1));
    CHECK(writer.err == 0);
    qr_sim_run_until(S(100 + 10 + 9 * 75 + 1));
    CHECK(writer.err == UV_ETIMEDOUT);
}

static void keepalive_ends_what_is_silent(void **state)
{
    (void)state;
    in_world(run_keepalive, 1);
}

static void run_kill(void)
{
    boot_both();
    qr_sim_run_until(S(3));
    qr_sim_host_kill(host_r, QR_SIM_KILL);
    qr_sim_run_until(S(4));
    CHECK(writer.err == UV_EOF);
    CHECK(is_about(writer.err_at_ns, 3, 3.01));
}

static void run_kill_unread(void)
{
    reader.deaf = true;
    boot_both();
    qr_sim_run_until(S(3));
    qr_sim_host_kill(host_r, QR_SIM_KILL);
    qr_sim_run_until(S(4));
    CHECK(writer.err == UV_ECONNRESET);
    CHECK(is_about(writer.err_at_ns, 3, 3.01));
}

static void who_is_killed_ends_its_connections_at_once(void **state)
{
    (void)state;
    in_worlds(run_kill);
    in_worlds(run_kill_unread);
}

static void run_power(void)
{
    boot_both();
    qr_sim_run_until(S(3));
    qr_sim_host_kill(host_r, QR_SIM_POWER);
    qr_sim_run_until(S(60));
    CHECK(writer.err == 0); /* It hears nothing. */
    qr_sim_host_boot(host_r, reader_main, NULL);
    qr_sim_run_until(S(200)); /* A try after it is on. */
    CHECK(writer.err == UV_ECONNRESET);
    CHECK(writer.err_at_ns > S(60));
}

static void a_machine_without_power_is_silent_and_knows_nothing_later(void **state)
{
    (void)state;
    in_worlds(run_power);
}

/* It would wait for ever: it sends nothing, and has no keepalive. */
static void run_healing(void)
{
    writer.silent = true;
    boot_both();
    qr_sim_run_until(S(3));
    qr_sim_host_kill(host_r, QR_SIM_POWER);
    qr_sim_run_until(S(300));
    CHECK(writer.err == 0);
    qr_net_heal();
    qr_sim_run_until(S(310));
    CHECK(writer.err == UV_ECONNRESET);
}

static void a_healed_world_tells_who_waits_for_nobody(void **state)
{
    (void)state;
    in_worlds(run_healing);
}

static void run_off(void)
{
    qr_sim_host_boot(host_w, writer_main, NULL); /* The reader never was on. */
    qr_sim_run_until(S(100));
    CHECK(writer.err == 0);
    qr_sim_run_until(S(130));
    CHECK(writer.connect_err == UV_ETIMEDOUT);
    CHECK(is_about(writer.err_at_ns, 126, 128));
}

static void run_refused(void)
{
    qr_sim_host_boot(host_r, without_listener_main, NULL);
    qr_sim_host_boot(host_w, writer_main, NULL);
    qr_sim_run_until(S(1));
    CHECK(writer.connect_err == UV_ECONNREFUSED);
    CHECK(writer.err_at_ns < S(0.01));
}

static void connecting_fails_as_the_machine_is_off_or_nobody_listens(void **state)
{
    (void)state;
    in_world(run_off, 1);
    in_worlds(run_refused);
}

static void run_reset(void)
{
    boot_both();
    qr_sim_run_until(S(3));
    CHECK(qr_net_reset(host_r->id, host_w->id, false) == 1);
    CHECK(qr_net_reset(host_r->id, 0, true) == 0);
    qr_sim_run_until(S(4));
    CHECK(writer.err == UV_ECONNRESET);
    CHECK(reader.err == UV_ECONNRESET);
}

static void a_connection_can_be_reset(void **state)
{
    (void)state;
    in_worlds(run_reset);
}

static void run_slow(void)
{
    qr_net_slow(host_w->id, host_r->id, 200000, 100000);
    writer.n_flood = 1000000;
    boot_both();
    qr_sim_run_until(S(8));
    CHECK(is_about(writer.connected_at_ns, 0.1, 0.22));
    CHECK(reader.n_read > 100000);
    CHECK(reader.n_read < 800000);
    qr_sim_run_until(S(30));
    CHECK(reader.n_read > 1000000);
    CHECK(qr_net_stats()->n_full > 0);
}

static void a_slow_path_takes_its_time(void **state)
{
    (void)state;
    in_worlds(run_slow);
}

static void run_mute(void)
{
    qr_net_mute(host_w->id, host_r->id, true);
    boot_both();
    qr_sim_run_until(S(5));
    CHECK(writer.connect_err == 1);
    qr_net_mute(host_w->id, host_r->id, false);
    qr_sim_run_until(S(8));
    CHECK(writer.connect_err == 0); /* The third try, 7 s after the first. */
    CHECK(is_about(writer.connected_at_ns, 6.9, 7.2));
    qr_net_mute(host_w->id, host_r->id, true);
    qr_sim_run_until(S(20));
    CHECK(is_about(reader.read_at_ns, 19.5, 20));
}

static void only_the_beginning_of_connections_is_lost(void **state)
{
    (void)state;
    in_worlds(run_mute);
}

static void run_paused(void)
{
    qr_sim_host_boot(host_r, reader_main, NULL);
    qr_sim_run_until(S(0.01));
    qr_sim_host_pause(host_r);
    qr_sim_host_boot(host_w, writer_main, NULL);
    qr_sim_run_until(S(10));
    CHECK(writer.connect_err == 0); /* Its kernel takes it. */
    CHECK(writer.n_sent > 90 * CHUNK);
    CHECK(!reader.connected);
    qr_sim_host_resume(host_r);
    qr_sim_run_until(S(10.05));
    CHECK(reader.n_read == writer.n_sent);
}

static void the_kernel_of_a_paused_process_goes_on(void **state)
{
    (void)state;
    in_worlds(run_paused);
}

static void run_restart(void)
{
    boot_both();
    qr_sim_run_until(S(3));
    qr_sim_host_kill(host_r, QR_SIM_KILL);
    qr_sim_host_kill(host_w, QR_SIM_KILL);
    qr_sim_run_until(S(3.1));
    memset(&writer, 0, sizeof writer);
    qr_sim_host_boot(host_r, reader_main, NULL); /* The port is free again. */
    qr_sim_run_until(S(3.2));
    qr_sim_host_boot(host_w, writer_main, NULL);
    qr_sim_run_until(S(6.05));
    CHECK(writer.connect_err == 0);
    CHECK(writer.n_sent >= 25 * CHUNK);
    CHECK(reader.n_read == writer.n_sent);
}

static void hosts_start_again(void **state)
{
    (void)state;
    in_worlds(run_restart);
}

static void run_deaf_for_too_long(void)
{
    reader.deaf = true;
    writer.user_timeout_ms = 2000;
    writer.n_flood = 100000000;
    boot_both();
    qr_sim_run_until(S(10));
    CHECK(writer.err == UV_ETIMEDOUT); /* Also a full window is no progress. */
    CHECK(is_about(writer.err_at_ns, 2, 4));
}

static void user_timeout_ends_what_nobody_reads(void **state)
{
    (void)state;
    in_worlds(run_deaf_for_too_long);
}

static void run_kill_behind_a_cut(void)
{
    boot_both();
    qr_sim_run_until(S(3));
    cut_both(true);
    qr_sim_host_kill(host_r, QR_SIM_KILL);
    qr_sim_run_until(S(6));
    CHECK(writer.err == 0); /* Neither FIN nor RST comes through. */
    cut_both(false);
    qr_sim_run_until(S(12));
    CHECK(writer.err == UV_EOF || writer.err == UV_ECONNRESET || writer.err == UV_EPIPE);
    CHECK(writer.err_at_ns > S(6));
}

static void what_ends_behind_a_cut_is_heard_later(void **state)
{
    (void)state;
    in_worlds(run_kill_behind_a_cut);
}

/* ---- many hosts that dial, send, close and die, and a network that does its worst ---- */

#define STORM_HOSTS 5u
#define STORM_CONNS 6u

/* One end; its bytes are the pattern from its own beginning. */
struct end {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    bool used, writing;
    uint64_t n_in, n_out;
    char chunk[20000];
};

struct storm {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_timer_t tick;
    struct qr_sim_host *host;
    struct end ends[2 * STORM_CONNS];
    char buffer[3000];
};

static uint64_t storm_bytes, storm_errors;

static void on_storm_closed(uv_handle_t *handle)
{
    ((struct end *)handle->data)->used = false;
}

static void storm_close(struct end *end)
{
    if (!uv_is_closing((uv_handle_t *)&end->tcp))
        uv_close((uv_handle_t *)&end->tcp, on_storm_closed);
}

static void on_storm_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct storm *storm = handle->loop->data;
    *buf = uv_buf_init(storm->buffer, sizeof storm->buffer);
}

static void on_storm_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct end *end = stream->data;
    for (ssize_t i = 0; i < n; i++)
        CHECK((uint8_t)buf->base[i] == pattern(end->n_in + (uint64_t)i));
    if (n > 0) {
        end->n_in += (uint64_t)n;
        storm_bytes += (uint64_t)n;
    } else if (n < 0) {
        storm_errors += n != UV_EOF;
        storm_close(end);
    }
}

static void on_storm_written(uv_write_t *write, int status)
{
    struct end *end = write->data;
    end->writing = false;
    if (status != 0 && status != UV_ECANCELED)
        storm_close(end);
}

static void storm_write(struct end *end)
{
    if (end->writing || uv_is_closing((uv_handle_t *)&end->tcp))
        return;
    size_t n = 1 + (size_t)qr_sim_below(sizeof end->chunk);
    for (size_t i = 0; i < n; i++)
        end->chunk[i] = (char)pattern(end->n_out + i);
    uv_buf_t buf = uv_buf_init(end->chunk, (unsigned)n);
    end->write.data = end;
    if (uv_write(&end->write, (uv_stream_t *)&end->tcp, &buf, 1, on_storm_written) != 0)
        return;
    end->writing = true;
    end->n_out += n;
}

static struct end *storm_end(struct storm *storm, size_t first)
{
    for (size_t i = first; i < first + STORM_CONNS; i++) {
        if (storm->ends[i].used)
            continue;
        memset(&storm->ends[i], 0, sizeof storm->ends[i]);
        storm->ends[i].used = true;
        uv_tcp_init(&storm->loop, &storm->ends[i].tcp);
        storm->ends[i].tcp.data = &storm->ends[i];
        return &storm->ends[i];
    }
    return NULL;
}

static void storm_begin(struct end *end)
{
    uv_os_fd_t fd;
    unsigned ms = 500 + (unsigned)qr_sim_below(5000);
    CHECK(uv_fileno((uv_handle_t *)&end->tcp, &fd) == 0);
    if (qr_sim_chance(2))
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    if (qr_sim_chance(2))
        uv_tcp_keepalive(&end->tcp, 1, 1);
    uv_read_start((uv_stream_t *)&end->tcp, on_storm_alloc, on_storm_read);
}

static void on_storm_connect(uv_connect_t *req, int status)
{
    struct end *end = req->handle->data;
    if (status != 0)
        storm_close(end);
    else
        storm_begin(end);
}

static void on_storm_connection(uv_stream_t *listener, int status)
{
    (void)status;
    struct end *end = storm_end(listener->loop->data, STORM_CONNS);
    if (end != NULL && uv_accept(listener, (uv_stream_t *)&end->tcp) == 0)
        storm_begin(end);
    else if (end != NULL)
        storm_close(end);
}

static void storm_dial(struct storm *storm)
{
    struct end *end = storm_end(storm, 0);
    struct sockaddr_in to;
    if (end == NULL)
        return;
    uv_ip4_addr(qr_net_address(qr_sim_host_get(3 + (uint32_t)qr_sim_below(STORM_HOSTS))), PORT,
                &to);
    uv_tcp_connect(&end->connect, &end->tcp, (const struct sockaddr *)&to, on_storm_connect);
}

static void on_storm_tick(uv_timer_t *timer)
{
    struct storm *storm = timer->loop->data;
    if (qr_sim_chance(4))
        storm_dial(storm);
    for (size_t i = 0; i < QR_COUNT(storm->ends); i++) {
        struct end *end = &storm->ends[i];
        if (end->used && qr_sim_chance(40))
            storm_close(end);
        else if (end->used && qr_sim_chance(2) && uv_is_readable((uv_stream_t *)&end->tcp))
            storm_write(end);
        else if (end->used && qr_sim_chance(8) && uv_is_readable((uv_stream_t *)&end->tcp))
            uv_is_active((uv_handle_t *)&end->tcp)
                ? uv_read_stop((uv_stream_t *)&end->tcp)
                : uv_read_start((uv_stream_t *)&end->tcp, on_storm_alloc, on_storm_read);
    }
}

static int storm_main(void *data)
{
    struct storm *storm = data;
    struct sockaddr_in any;
    uv_ip4_addr("0.0.0.0", PORT, &any);
    uv_loop_init(&storm->loop);
    storm->loop.data = storm;
    uv_tcp_init(&storm->loop, &storm->listener);
    uv_tcp_bind(&storm->listener, (const struct sockaddr *)&any, 0);
    if (uv_listen((uv_stream_t *)&storm->listener, 4, on_storm_connection) != 0)
        return 1;
    uv_timer_init(&storm->loop, &storm->tick);
    uv_timer_start(&storm->tick, on_storm_tick, 10, 20);
    return uv_run(&storm->loop, UV_RUN_DEFAULT);
}

static struct qr_sim_host *storm_host(void)
{
    return qr_sim_host_get(3 + (uint32_t)qr_sim_below(STORM_HOSTS));
}

static void storm_fault(struct storm *storms)
{
    struct qr_sim_host *a = storm_host(), *b = storm_host();
    struct storm *storm = &storms[a->id - 3];
    switch (qr_sim_below(9)) {
    case 0:
        qr_sim_host_kill(a, (enum qr_sim_down)(QR_SIM_KILL + qr_sim_below(2)));
        break;
    case 1:
    case 2:
        if (!a->up) {
            memset(storm, 0, sizeof *storm);
            qr_sim_host_boot(a, storm_main, storm);
        }
        break;
    case 3:
        qr_net_cut(a->id, b->id, qr_sim_chance(2));
        break;
    case 4:
        qr_net_mute(a->id, b->id, qr_sim_chance(2));
        break;
    case 5:
        qr_net_slow(a->id, b->id, qr_sim_below(300000), qr_sim_below(1000000));
        break;
    case 6:
        qr_net_reset(a->id, qr_sim_chance(2) ? b->id : 0, qr_sim_chance(4));
        break;
    case 7:
        if (qr_sim_chance(2))
            qr_sim_host_pause(a);
        else
            qr_sim_host_resume(a);
        break;
    default:
        qr_net_heal();
    }
}

static void run_storm(void)
{
    static struct storm storms[STORM_HOSTS];
    for (uint32_t i = 0; i < STORM_HOSTS; i++)
        qr_sim_host_boot(qr_sim_host_new("storm"), storm_main, &storms[i]);
    for (uint64_t ms = 0; ms < 60000; ms += 150) {
        storm_fault(storms);
        qr_sim_run_until((ms + 150) * QR_SIM_MS);
    }
    CHECK(storm_bytes > 1000000);
    CHECK(storm_errors > 0);
    for (uint32_t id = 3; id < 3 + STORM_HOSTS; id++)
        qr_sim_host_kill(qr_sim_host_get(id), QR_SIM_KILL);
    CHECK(qr_list_empty(qr_net_conns())); /* Nothing is left of anybody. */
}

static void streams_stay_whole_in_a_storm(void **state)
{
    (void)state;
    in_worlds(run_storm);
}

/* ---- the seed decides all ---- */

static int digest_pipe[2];

static void run_for_digest(void)
{
    boot_both();
    qr_sim_run_until(S(2));
    cut_both(true);
    qr_sim_run_until(S(4));
    cut_both(false);
    qr_sim_run_until(S(10));
    uint64_t digest = qr_sim_digest();
    CHECK(write(digest_pipe[1], &digest, sizeof digest) == sizeof digest);
}

static uint64_t digest_of(uint64_t seed)
{
    uint64_t digest;
    in_world(run_for_digest, seed);
    assert_int_equal(read(digest_pipe[0], &digest, sizeof digest), sizeof digest);
    return digest;
}

static void the_seed_decides_all(void **state)
{
    (void)state;
    assert_int_equal(pipe(digest_pipe), 0);
    uint64_t first = digest_of(7);
    assert_true(first == digest_of(7));
    assert_true(first != digest_of(8));
    close(digest_pipe[0]);
    close(digest_pipe[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(what_a_cut_holds_up_arrives_after_the_healing),
        cmocka_unit_test(user_timeout_ends_what_nobody_acknowledges),
        cmocka_unit_test(keepalive_ends_what_is_silent),
        cmocka_unit_test(who_is_killed_ends_its_connections_at_once),
        cmocka_unit_test(a_machine_without_power_is_silent_and_knows_nothing_later),
        cmocka_unit_test(a_healed_world_tells_who_waits_for_nobody),
        cmocka_unit_test(connecting_fails_as_the_machine_is_off_or_nobody_listens),
        cmocka_unit_test(a_connection_can_be_reset),
        cmocka_unit_test(a_slow_path_takes_its_time),
        cmocka_unit_test(only_the_beginning_of_connections_is_lost),
        cmocka_unit_test(the_kernel_of_a_paused_process_goes_on),
        cmocka_unit_test(hosts_start_again),
        cmocka_unit_test(user_timeout_ends_what_nobody_reads),
        cmocka_unit_test(what_ends_behind_a_cut_is_heard_later),
        cmocka_unit_test(streams_stay_whole_in_a_storm),
        cmocka_unit_test(the_seed_decides_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
