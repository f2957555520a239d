/* Members among themselves: real sockets, real certificates. */
#include "cluster/link.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cluster/tests/link_kit.h"

static uv_loop_t loop;

static int send_text(struct kit_member *from, uint32_t to, const char *text)
{
    struct qr_slice part = qr_slice_str(text);
    return qr_link_send(from->link, to, 7, QR_LINK_RAFT, &part, 1, kit_on_sent, from);
}

static uint64_t sum_of(const char *bytes, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + (unsigned char)bytes[i];
    return sum;
}

static void open_pair(struct kit_member *a, struct kit_member *b)
{
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(a, &loop, 1);
    kit_open(b, &loop, 2);
    kit_introduce(a, b);
    KIT_WAIT(&loop, qr_link_is_up(a->link, 2) && qr_link_is_up(b->link, 1));
}

static void close_pair(struct kit_member *a, struct kit_member *b)
{
    kit_close(a, &loop);
    kit_close(b, &loop);
    kit_close_loop(&loop);
}

static void frames_go_both_ways(void **state)
{
    (void)state;
    struct kit_member a, b;
    open_pair(&a, &b);
    assert_int_equal(send_text(&a, 2, "hello"), 0);
    assert_int_equal(a.n_sent, 0); /* never from inside the call */
    assert_int_equal(send_text(&b, 1, "hi"), 0);
    KIT_WAIT(&loop, a.n_frames == 1 && b.n_frames == 1 && a.n_sent == 1 && b.n_sent == 1);
    assert_int_equal(b.sum, sum_of("hello", 5));
    assert_int_equal(a.sum, sum_of("hi", 2));
    assert_int_equal(b.last_group, 7);
    assert_int_equal(a.n_failed + b.n_failed, 0);
    assert_int_equal(kit_stats(&a).connects, 1);
    assert_int_equal(kit_stats(&a).refused + kit_stats(&a).bad_frames, 0);
    close_pair(&a, &b);
}

/* Parts of all sizes, copied and borrowed, mixed: the stream stays in order. */
static void parts_keep_their_order(void **state)
{
    (void)state;
    enum { ROUNDS = 60, BIG = 300 * 1000 };
    struct kit_member a, b;
    char *bytes = malloc(BIG);
    uint64_t sum = 0;
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (char)(i * 11 + i / 257);
    open_pair(&a, &b);
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t lens[3] = {i, (size_t)i * 997 % 9000, i % 10 == 3 ? BIG : 1};
        struct qr_slice parts[3];
        for (unsigned p = 0; p < 3; p++) {
            parts[p] = qr_slice_of(bytes + p, lens[p] - (lens[p] == BIG ? p : 0));
            for (size_t k = 0; k < parts[p].len; k++)
                sum = sum * 31 + (unsigned char)parts[p].base[k];
        }
        bool wait = i % 3 != 0;
        assert_int_equal(
            qr_link_send(a.link, 2, 1, QR_LINK_RAFT, parts, 3, wait ? kit_on_sent : NULL, &a), 0);
    }
    KIT_WAIT(&loop, b.n_frames == ROUNDS && a.n_sent == ROUNDS - ROUNDS / 3);
    assert_true(b.sum == sum);
    assert_int_equal(a.n_failed, 0);
    close_pair(&a, &b);
    free(bytes);
}

static void a_snapshot_passes(void **state)
{
    (void)state;
    enum { SIZE = 48 * 1024 * 1024 };
    struct kit_member a, b;
    char *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 131 + i / 4099);
    open_pair(&a, &b);
    struct qr_slice part = qr_slice_of(bytes, SIZE);
    KIT_WAIT(&loop, kit_stats(&a).bytes_sent > 0 && kit_stats(&b).frames_received > 0);
    kit_run_for(&loop, 10); /* nothing waits in the queue */
    assert_int_equal(qr_link_send(a.link, 2, 1, QR_LINK_RAFT, &part, 1, kit_on_sent, &a), 0);
    assert_int_equal(qr_link_send(a.link, 2, 1, QR_LINK_RAFT, &part, 1, kit_on_sent, &a),
                     QR_E_BUSY);
    assert_int_equal(send_text(&b, 1, "meanwhile"), 0);
    KIT_WAIT(&loop, b.n_frames == 1 && a.n_sent == 1 && a.n_frames == 1);
    assert_true(b.sum == sum_of(bytes, SIZE));
    assert_int_equal(b.bytes, SIZE);
    close_pair(&a, &b);
    free(bytes);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct kit_member a, b;
    char *bytes = calloc(1, 1024 * 1024);
    struct qr_slice part = qr_slice_of(bytes, 1024 * 1024);
    struct qr_slice over = qr_slice_of(bytes, 5000);
    open_pair(&a, &b);
    assert_int_equal(qr_link_send(a.link, 2, 1, QR_LINK_STATE_HASH, &over, 1, NULL, NULL),
                     QR_E_LIMIT);
    assert_int_equal(qr_link_send(a.link, 3, 1, QR_LINK_RAFT, &part, 1, NULL, NULL),
                     QR_E_UNREACHABLE);
    /* The queue holds 4 MiB: without a turn of the loop the fourth does not fit any more. */
    int err = 0, n = 0;
    while (err == 0 && n < 100) {
        err = qr_link_send(a.link, 2, 1, QR_LINK_RAFT, &part, 1, kit_on_sent, &a);
        n += err == 0;
    }
    assert_int_equal(err, QR_E_BUSY);
    assert_int_equal(n, 3);
    KIT_WAIT(&loop, b.n_frames == 3);
    assert_int_equal(qr_link_send(a.link, 2, 1, QR_LINK_RAFT, &part, 1, kit_on_sent, &a), 0);
    KIT_WAIT(&loop, b.n_frames == 4 && a.n_sent == 4);
    assert_int_equal(a.n_failed, 0);
    close_pair(&a, &b);
    free(bytes);
}

static void comes_back_after_a_restart(void **state)
{
    (void)state;
    struct kit_member a, b;
    char listen[32];
    open_pair(&a, &b);
    unsigned port = qr_link_port(a.link);
    kit_close(&a, &loop);
    KIT_WAIT(&loop, !qr_link_is_up(b.link, 1));
    assert_int_equal(b.n_down, 1);
    assert_int_equal(send_text(&b, 1, "x"), QR_E_UNREACHABLE);
    assert_true(qr_link_last_heard_ms(b.link, 1) > 0);

    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    kit_open_as(&a, &loop, 1, "1", listen, 2);
    kit_introduce_at(&a, 2, qr_link_port(b.link));
    uint64_t started = kit_now();
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2) && qr_link_is_up(b.link, 1));
    assert_true(kit_now() - started < 1000);
    assert_int_equal(b.n_up, 2);
    close_pair(&a, &b);
}

static void an_older_incarnation_is_refused(void **state)
{
    (void)state;
    struct kit_member a, b, copy;
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(&a, &loop, 1);
    kit_open_as(&b, &loop, 2, "2", "127.0.0.1:0", 5);
    kit_introduce(&a, &b);
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2));
    kit_open_as(&copy, &loop, 2, "2", "127.0.0.1:0", 4);
    kit_introduce_at(&copy, 1, qr_link_port(a.link));
    KIT_WAIT(&loop, kit_stats(&a).refused >= 2);
    assert_int_equal(copy.n_up, 0);
    assert_int_equal(a.n_down, 0); /* the one that was there did not notice */
    kit_close(&copy, &loop);

    /* A newer one takes its place: told as down, then up. */
    kit_open_as(&copy, &loop, 2, "2", "127.0.0.1:0", 6);
    kit_introduce_at(&copy, 1, qr_link_port(a.link));
    KIT_WAIT(&loop, copy.n_up == 1);
    KIT_WAIT(&loop, a.n_up == 2 && a.n_down == 1);
    KIT_WAIT(&loop, b.n_down == 1); /* and it is refused from now on */
    kit_run_for(&loop, 300);
    assert_int_equal(b.n_up, 1);
    assert_int_equal(a.n_up, 2);
    kit_close(&copy, &loop);
    close_pair(&a, &b);
}

/* A member that lost its disk counts anew, maybe from less. */
static void another_disk_is_let_in_once_the_first_is_gone(void **state)
{
    (void)state;
    struct kit_member a, b, rebuilt;
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(&a, &loop, 1);
    kit_open_as(&b, &loop, 2, "2", "127.0.0.1:0", 5);
    qr_link_set_disk(b.link, 77);
    kit_introduce(&a, &b);
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2));
    kit_open_as(&rebuilt, &loop, 2, "2", "127.0.0.1:0", 4);
    qr_link_set_disk(rebuilt.link, 78);
    kit_introduce_at(&rebuilt, 1, qr_link_port(a.link));
    KIT_WAIT(&loop, kit_stats(&a).refused >= 2);
    assert_int_equal(rebuilt.n_up, 0);
    assert_int_equal(a.n_down, 0); /* They never both stay. */
    kit_close(&b, &loop);
    KIT_WAIT(&loop, rebuilt.n_up == 1);
    KIT_WAIT(&loop, a.n_up == 2 && a.n_down == 1);

    /* The number goes by the disk that is there now, and a copy of that is refused. */
    struct kit_member copy;
    uint64_t refused = kit_stats(&a).refused;
    kit_open_as(&copy, &loop, 2, "2", "127.0.0.1:0", 3);
    qr_link_set_disk(copy.link, 78);
    kit_introduce_at(&copy, 1, qr_link_port(a.link));
    KIT_WAIT(&loop, kit_stats(&a).refused >= refused + 2);
    kit_close(&rebuilt, &loop);
    KIT_WAIT(&loop, a.n_down == 2);
    refused = kit_stats(&a).refused;
    KIT_WAIT(&loop, kit_stats(&a).refused >= refused + 2); /* also when it is alone */
    assert_int_equal(copy.n_up, 0);
    kit_close(&copy, &loop);

    /* Where both live the larger stays: the one that the cluster took in is raised above. */
    kit_open_as(&b, &loop, 2, "2", "127.0.0.1:0", 5);
    qr_link_set_disk(b.link, 77);
    kit_introduce_at(&b, 1, qr_link_port(a.link));
    KIT_WAIT(&loop, b.n_up == 1);
    kit_open_as(&rebuilt, &loop, 2, "2", "127.0.0.1:0", 4);
    qr_link_set_disk(rebuilt.link, 78);
    qr_link_set_incarnation(rebuilt.link, 6);
    kit_introduce_at(&rebuilt, 1, qr_link_port(a.link));
    KIT_WAIT(&loop, rebuilt.n_up == 1);
    KIT_WAIT(&loop, b.n_down == 1); /* and it is refused from now on */
    kit_run_for(&loop, 300);
    assert_int_equal(b.n_up, 1);
    kit_close(&rebuilt, &loop);
    close_pair(&a, &b);
}

static void removed_members_stay_out(void **state)
{
    (void)state;
    struct kit_member a, b;
    open_pair(&a, &b);
    assert_int_equal(send_text(&a, 2, "x"), 0);
    qr_link_ban(a.link, 2, true);
    assert_false(qr_link_is_up(a.link, 2));
    assert_int_equal(a.n_sent, 0);
    KIT_WAIT(&loop, a.n_sent == 1);
    assert_int_equal(a.n_failed, 1);
    KIT_WAIT(&loop, kit_stats(&a).refused >= 2); /* it tries again and again */
    assert_int_equal(b.n_up, 1);
    qr_link_ban(a.link, 2, false);
    kit_introduce(&a, &b);
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2) && qr_link_is_up(b.link, 1));
    close_pair(&a, &b);
}

static int reload(struct kit_member *m, const char *ca, const char *cert)
{
    char ca_file[128], cert_file[128], key_file[128], reason[QR_TLS_REASON_BYTES] = "";
    int err =
        qr_link_reload(m->link, kit_path(ca_file, ca, "crt"), kit_path(cert_file, cert, "crt"),
                       kit_path(key_file, cert, "key"), reason);
    assert_true(err == 0 || strlen(reason) > 10);
    return err;
}

/* Both CAs in one file, as while one takes the other's place. */
static void make_renewed(void)
{
    static char bytes[16384];
    char path[128];
    FILE *to = fopen(kit_path(path, "both-cas", "crt"), "w");
    for (int i = 0; i < 2; i++) {
        FILE *from = fopen(kit_path(path, kit_names[i], "crt"), "r");
        fwrite(bytes, 1, fread(bytes, 1, sizeof bytes, from), to);
        fclose(from);
    }
    fclose(to);
    kit_make_cert("foreign-ca", "renewed-1", &kit_cluster, 1);
    kit_make_cert("foreign-ca", "renewed-2", &kit_cluster, 2);
}

static void connect_again(struct kit_member *a, struct kit_member *b)
{
    unsigned n_up = b->n_up;
    qr_link_ban(a->link, 2, true);
    qr_link_ban(a->link, 2, false);
    kit_introduce(a, b);
    KIT_WAIT(&loop, b->n_up > n_up && qr_link_is_up(a->link, 2) && qr_link_is_up(b->link, 1));
}

/* A new CA and new certificates, step by step, with no connection lost to it. */
static void certificates_change_while_it_runs(void **state)
{
    (void)state;
    struct kit_member a, b;
    make_renewed();
    open_pair(&a, &b);
    assert_int_equal(reload(&a, "both-cas", "1"), 0);
    assert_int_equal(reload(&b, "both-cas", "2"), 0);
    assert_int_equal(reload(&a, "both-cas", "renewed-1"), 0);
    assert_int_equal(reload(&b, "both-cas", "renewed-2"), 0);
    assert_int_equal(reload(&a, "foreign-ca", "renewed-1"), 0);
    assert_int_equal(reload(&b, "foreign-ca", "renewed-2"), 0);
    assert_int_equal(send_text(&a, 2, "hello"), 0);
    KIT_WAIT(&loop, b.n_frames == 1);
    assert_int_equal(a.n_down + b.n_down, 0);
    /* The old ones would not be taken now. */
    connect_again(&a, &b);
    assert_int_equal(send_text(&a, 2, "hello"), 0);
    KIT_WAIT(&loop, b.n_frames == 2);
    /* What would shut it out is not taken. */
    assert_int_equal(reload(&a, "ca", "renewed-1"), QR_E_TLS);
    assert_int_equal(reload(&a, "foreign-ca", "renewed-2"), QR_E_DENIED);
    assert_int_equal(reload(&a, "ca", "other"), QR_E_DENIED);
    assert_int_equal(reload(&a, "nowhere", "1"), QR_E_TLS);
    connect_again(&a, &b);
    close_pair(&a, &b);
}

/* It is in no table of ours, and has the cluster's certificate; then it is put there, and goes. */
static void one_with_a_certificate_is_a_guest(void **state)
{
    (void)state;
    struct kit_member a, b;
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(&a, &loop, 1);
    kit_open(&b, &loop, 2);
    kit_introduce_at(&b, 1, qr_link_port(a.link));
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2) && qr_link_is_up(b.link, 1));
    assert_int_equal(send_text(&a, 2, "x"), 0);
    KIT_WAIT(&loop, b.n_frames == 1);
    kit_introduce(&a, &b);
    assert_true(qr_link_is_up(a.link, 2));
    qr_link_remove_member(a.link, 2);
    KIT_WAIT(&loop, a.n_up == 2); /* A guest again. */
    close_pair(&a, &b);
}

static void close_calls_back_what_waits(void **state)
{
    (void)state;
    struct kit_member a, b;
    char *bytes = calloc(1, 1024 * 1024);
    struct qr_slice part = qr_slice_of(bytes, 1024 * 1024);
    open_pair(&a, &b);
    for (int i = 0; i < 3; i++)
        assert_int_equal(qr_link_send(a.link, 2, 1, QR_LINK_RAFT, &part, 1, kit_on_sent, &a), 0);
    unsigned n_down = a.n_down;
    qr_link_close(a.link, kit_on_closed, &a);
    assert_int_equal(a.n_sent, 0);
    KIT_WAIT(&loop, a.closed);
    assert_int_equal(a.n_sent, 3);
    assert_int_equal(a.n_failed, 3);
    assert_int_equal(a.n_down, n_down); /* its owner knows */
    kit_close(&b, &loop);
    kit_close_loop(&loop);
    free(bytes);
}

static void a_receiver_may_cut(void **state)
{
    (void)state;
    struct kit_member a, b;
    open_pair(&a, &b);
    b.answer = QR_E_MALFORMED;
    assert_int_equal(send_text(&a, 2, "x"), 0);
    KIT_WAIT(&loop, a.n_down == 1 && b.n_down == 1);
    b.answer = 0;
    KIT_WAIT(&loop, a.n_up == 2 && b.n_up == 2);
    close_pair(&a, &b);
}

/* A name for the address, and a port that nobody listens on at first. */
static void names_are_resolved(void **state)
{
    (void)state;
    struct kit_member a, b;
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open_as(&a, &loop, 1, "1", "localhost:0", 1);
    kit_open(&b, &loop, 2);
    kit_introduce_at(&a, 2, 1);
    struct qr_link_member row = {.id = 1, .address = "localhost:1"};
    assert_int_equal(qr_link_set_member(b.link, &row), 0);
    kit_run_for(&loop, 200);
    assert_false(qr_link_is_up(b.link, 1));
    snprintf(row.address, sizeof row.address, "localhost:%u", qr_link_port(a.link));
    assert_int_equal(qr_link_set_member(b.link, &row), 0);
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2) && qr_link_is_up(b.link, 1));
    close_pair(&a, &b);
}

static void bad_configuration_is_named(void **state)
{
    (void)state;
    struct kit_member a;
    struct qr_link *link = NULL;
    char ca[128], crt[128], key[128];
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(&a, &loop, 1);
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", qr_link_port(a.link));
    struct qr_link_config config = {
        .loop = &loop,
        .clock = &qr_clock_system,
        .member_id = 2,
        .cluster_id = kit_cluster,
        .listen_address = taken,
        .ca_file = kit_path(ca, "ca", "crt"),
        .cert_file = kit_path(crt, "2", "crt"),
        .key_file = kit_path(key, "1", "key"),
        .heartbeat_ms = 100,
        .election_timeout_ms = 1000,
    };
    assert_int_equal(qr_link_open(&link, &config), QR_E_TLS); /* a key of another certificate */
    config.key_file = kit_path(key, "2", "key");
    assert_int_equal(qr_link_open(&link, &config), UV_EADDRINUSE);
    config.listen_address = "nonsense";
    assert_int_equal(qr_link_open(&link, &config), QR_E_CONFIG);
    assert_null(link);
    struct qr_link_member row = {.id = 2, .address = "nonsense"};
    assert_int_equal(qr_link_set_member(a.link, &row), QR_E_CONFIG);
    kit_close(&a, &loop);
    kit_close_loop(&loop);
}

/* ---- another process, stopped and continued ---- */

static void run_member(unsigned port, int ready)
{
    struct kit_member b;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails half way */
    uv_loop_init(&loop);
    kit_open(&b, &loop, 2);
    kit_introduce_at(&b, 1, port);
    if (write(ready, "r", 1) != 1)
        _exit(1);
    uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
}

static void a_stopped_member_is_cut_in_time(void **state)
{
    (void)state;
    struct kit_member a;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(&a, &loop, 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_member(qr_link_port(a.link), ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kit_introduce_at(&a, 2, 1);
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2));
    kit_run_for(&loop, 4 * KIT_ELECTION_MS); /* idle: the pings keep it up */
    assert_int_equal(a.n_down, 0);

    kill(child, SIGSTOP);
    uint64_t stopped = kit_now();
    KIT_WAIT(&loop, !qr_link_is_up(a.link, 2));
    uint64_t took = kit_now() - stopped;
    print_message("stopped member cut after %llu ms (limit %u)\n", (unsigned long long)took,
                  2 * KIT_ELECTION_MS);
    assert_true(took > KIT_ELECTION_MS);
    assert_true(took < 2 * KIT_ELECTION_MS + 5000); /* the machine may be slow */
    assert_int_equal(kit_stats(&a).dead_peers, 1);

    kill(child, SIGCONT);
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    KIT_WAIT(&loop, !qr_link_is_up(a.link, 2));
    close(ready[0]);
    close(ready[1]);
    kit_close(&a, &loop);
    kit_close_loop(&loop);
}

/* Our own standing still is not held against the peer, whose bytes wait in the socket. */
static void our_own_stall_cuts_nobody(void **state)
{
    (void)state;
    struct kit_member a;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    kit_open(&a, &loop, 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_member(qr_link_port(a.link), ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kit_introduce_at(&a, 2, 1);
    KIT_WAIT(&loop, qr_link_is_up(a.link, 2));
    kit_run_for(&loop, 3 * KIT_HEARTBEAT_MS);
    kill(child, SIGSTOP); /* it must not cut us: stop it first, */
    usleep(3 * KIT_ELECTION_MS * 1000);
    kill(child, SIGCONT); /* both wake up now */
    kit_run_for(&loop, 2 * KIT_HEARTBEAT_MS);
    assert_int_equal(a.n_down, 0);
    assert_int_equal(kit_stats(&a).dead_peers, 0);
    kit_run_for(&loop, 3 * KIT_ELECTION_MS);
    assert_int_equal(a.n_down, 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    kit_close(&a, &loop);
    kit_close_loop(&loop);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* As quorated does: a peer may close first. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_both_ways),
        cmocka_unit_test(parts_keep_their_order),
        cmocka_unit_test(a_snapshot_passes),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(comes_back_after_a_restart),
        cmocka_unit_test(an_older_incarnation_is_refused),
        cmocka_unit_test(another_disk_is_let_in_once_the_first_is_gone),
        cmocka_unit_test(removed_members_stay_out),
        cmocka_unit_test(certificates_change_while_it_runs),
        cmocka_unit_test(one_with_a_certificate_is_a_guest),
        cmocka_unit_test(close_calls_back_what_waits),
        cmocka_unit_test(a_receiver_may_cut),
        cmocka_unit_test(names_are_resolved),
        cmocka_unit_test(bad_configuration_is_named),
        cmocka_unit_test(a_stopped_member_is_cut_in_time),
        cmocka_unit_test(our_own_stall_cuts_nobody),
    };
    return cmocka_run_group_tests(tests, kit_make_files, kit_remove_files);
}
