/* The transport between raft_io's callers and the link in memory; the disk part is raft_uv's and
 * stands in group_test. */
#include "cluster/transport.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/log.h"
#include "cluster/disk_id.h"
#include "cluster/raft_wire.h"
#include "testing/cmocka.h"
#include "testing/fake_link.h"

#define ENTRIES_MAX 200u

static uv_loop_t loop;
static struct qr_fake_net net;
static struct qr_link *link_1, *link_2;
static struct qr_transport transport;
static struct raft raft;
static char dir[] = "/tmp/qr-transport-XXXXXX";

/* What arrived at member 2. */
#define DISK 77u

static unsigned n_messages, n_entries;
static raft_index next_index;
static raft_term last_term;
static size_t largest;

static int on_frame(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    (void)data;
    struct raft_message m;
    assert_int_equal(member, 1);
    assert_int_equal(group, 7);
    struct qr_cursor in = qr_cursor_of(payload);
    assert_int_equal(qr_cursor_u32(&in), DISK);
    assert_int_equal(qr_cursor_u32(&in), 0); /* The receiver's, in its id. */
    payload = qr_cursor_take(&in, qr_cursor_left(&in));
    assert_int_equal(qr_raft_wire_decode(&m, payload), 0);
    n_messages++;
    largest = payload.len > largest ? payload.len : largest;
    if (m.type == RAFT_APPEND_ENTRIES) {
        const struct raft_append_entries *a = &m.append_entries;
        if (n_messages > 1) { /* Each goes on where the last one ended. */
            assert_int_equal(a->prev_log_index + 1, next_index);
            assert_int_equal(a->prev_log_term, last_term);
        }
        for (unsigned i = 0; i < a->n_entries; i++)
            assert_int_equal(*(uint64_t *)a->entries[i].buf.base, n_entries + i);
        n_entries += a->n_entries;
        next_index = a->prev_log_index + 1 + a->n_entries;
        if (a->n_entries != 0)
            last_term = a->entries[a->n_entries - 1].term;
    }
    qr_raft_wire_release(&m);
    return 0;
}

/* The library's request. */
static unsigned n_done;
static int status;
static bool inside;

static void on_done(struct raft_io_send *req, int s)
{
    (void)req;
    assert_false(inside);
    n_done++;
    status = s;
}

static int send_message(struct raft_io_send *req, const struct raft_message *m)
{
    inside = true;
    int rv = transport.io.send(&transport.io, req, m, on_done);
    inside = false;
    return rv;
}

static void turn(void)
{
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    usleep(3000);
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static int start(void **state)
{
    (void)state;
    n_messages = n_entries = n_done = 0;
    largest = 0;
    status = 12345;
    uv_loop_init(&loop);
    qr_fake_net_init(&net, &loop, 1);
    link_1 = qr_fake_link_new(&net, 1);
    link_2 = qr_fake_link_new(&net, 2);
    qr_link_set_member(link_1, &(struct qr_link_member){.id = 2});
    qr_link_set_member(link_2, &(struct qr_link_member){.id = 1});
    qr_link_on(link_2, QR_LINK_RAFT, on_frame, NULL);
    assert_int_equal(qr_transport_init(&transport, &loop, link_1, 7, dir), 0);
    transport.disk = DISK;
    transport.io.data = &raft;
    assert_int_equal(transport.io.init(&transport.io, 1, "a:1"), 0);
    qr_transport_install(&transport);
    return 0;
}

static bool closed;

static void on_closed(struct raft_io *io)
{
    (void)io;
    closed = true;
}

static int stop(void **state)
{
    (void)state;
    closed = false;
    transport.io.close(&transport.io, on_closed);
    for (int i = 0; i < 1000 && !closed; i++)
        turn();
    assert_true(closed);
    qr_transport_release(&transport);
    qr_link_close(link_1, NULL, NULL);
    qr_link_close(link_2, NULL, NULL);
    qr_fake_net_close(&net);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

/* An append of n entries of `bytes`, each beginning with its number. */
static struct raft_message append_of(struct raft_entry *entries, char **data, unsigned n,
                                     size_t bytes)
{
    assert_true(n <= ENTRIES_MAX);
    *data = calloc(n, bytes);
    for (unsigned i = 0; i < n; i++) {
        uint64_t number = i;
        memcpy(*data + i * bytes, &number, 8);
        entries[i] = (struct raft_entry){
            .term = 5 + i / 10, .type = RAFT_COMMAND, .buf = {*data + i * bytes, bytes}};
    }
    return (struct raft_message){.type = RAFT_APPEND_ENTRIES,
                                 .server_id = 2,
                                 .append_entries = {.term = 30,
                                                    .prev_log_index = 100,
                                                    .prev_log_term = 4,
                                                    .entries = entries,
                                                    .n_entries = n}};
}

static void a_small_message_goes_in_one_frame(void **state)
{
    (void)state;
    struct raft_io_send req;
    const struct raft_message m = {.type = RAFT_REQUEST_VOTE, .server_id = 2};
    assert_int_equal(send_message(&req, &m), 0);
    assert_int_equal(n_done, 0);
    turn();
    assert_int_equal(n_done, 1);
    assert_int_equal(status, 0);
    assert_int_equal(n_messages, 1);
}

static void a_large_append_is_split(void **state)
{
    (void)state;
    struct raft_entry entries[ENTRIES_MAX];
    char *data;
    struct raft_io_send req;
    struct raft_message m = append_of(entries, &data, 20, 300 * 1024);
    assert_int_equal(send_message(&req, &m), 0);
    turn();
    assert_int_equal(n_entries, 20);
    assert_int_equal(n_messages, 7); /* of 3 entries */
    assert_true(largest < QR_TRANSPORT_SPLIT_BYTES + 4096);
    assert_int_equal(n_done, 1); /* once, after the last */
    assert_int_equal(status, 0);
    free(data);
}

static void many_entries_are_split_too(void **state)
{
    (void)state;
    struct raft_entry entries[ENTRIES_MAX];
    char *data;
    struct raft_io_send req;
    struct raft_message m = append_of(entries, &data, ENTRIES_MAX, 8);
    assert_int_equal(send_message(&req, &m), 0);
    turn();
    assert_int_equal(n_entries, ENTRIES_MAX);
    assert_int_equal(n_messages, 4);
    assert_int_equal(n_done, 1);
    free(data);
}

/* The library gives up the rest of its work when send fails, so it does not. */
static void what_the_link_refuses_fails_later(void **state)
{
    (void)state;
    struct raft_io_send req;
    struct raft_message m = {.type = RAFT_REQUEST_VOTE, .server_id = 2};
    qr_fake_net_cut(&net, 1, 2, true);
    assert_int_equal(send_message(&req, &m), 0);
    assert_int_equal(n_done, 0);
    turn();
    assert_int_equal(n_done, 1);
    assert_int_equal(status, RAFT_NOCONNECTION);

    struct raft_entry odd = {.term = 1, .type = RAFT_COMMAND, .buf = {"1234567", 7}};
    m = (struct raft_message){.type = RAFT_APPEND_ENTRIES,
                              .server_id = 2,
                              .append_entries = {.entries = &odd, .n_entries = 1}};
    assert_int_equal(send_message(&req, &m), 0);
    turn();
    assert_int_equal(n_done, 2);
    assert_int_not_equal(status, 0);
    assert_int_equal(n_messages, 0);
}

/* The entries are the library's again only when no frame borrows them any more. */
static void a_cut_in_the_middle_of_a_split_completes_once(void **state)
{
    (void)state;
    struct raft_entry entries[ENTRIES_MAX];
    char *data;
    struct raft_io_send req;
    struct raft_message m = append_of(entries, &data, 20, 300 * 1024);
    assert_int_equal(send_message(&req, &m), 0);
    qr_fake_net_cut(&net, 1, 2, true);
    assert_int_equal(n_done, 1);
    assert_int_not_equal(status, 0);
    assert_int_equal(transport.n_sends, 0);
    free(data);
    turn();
    assert_int_equal(n_messages, 0);
}

static void a_request_may_have_no_callback(void **state)
{
    (void)state;
    struct raft_io_send req;
    const struct raft_message m = {.type = RAFT_TIMEOUT_NOW, .server_id = 2};
    assert_int_equal(transport.io.send(&transport.io, &req, &m, NULL), 0);
    turn();
    assert_int_equal(n_messages, 1);
    assert_int_equal(transport.n_sends, 0);
}

static unsigned n_delivered;

static void library_recv(struct raft_io *io, struct raft_message *m)
{
    (void)io;
    assert_int_equal(m->server_id, qr_raft_id(2, 5));
    assert_string_equal(m->server_address, "b:1");
    assert_int_equal(m->type, RAFT_TIMEOUT_NOW);
    n_delivered++;
}

static void frames_reach_the_library_with_their_sender(void **state)
{
    (void)state;
    struct raft_server servers[] = {{.id = 1, .address = "a:1"},
                                    {.id = qr_raft_id(2, 5), .address = "b:1"}};
    const struct raft_message m = {.type = RAFT_TIMEOUT_NOW};
    struct qr_buf bytes = {0};
    qr_buf_add_u32(&bytes, 5);
    qr_buf_add_u32(&bytes, DISK);
    qr_raft_wire_encode(&bytes, &m, 0, 0);
    raft.configuration = (struct raft_configuration){servers, 2};
    n_delivered = 0;
    assert_int_equal(qr_transport_receive(&transport, 2, qr_buf_slice(&bytes)), 0);
    assert_int_equal(n_delivered, 0); /* not started */
    transport.recv = library_recv;
    assert_int_equal(qr_transport_receive(&transport, 2, qr_buf_slice(&bytes)), 0);
    assert_int_equal(n_delivered, 1);
    bytes.base[4] = 1; /* For another disk. */
    assert_int_equal(qr_transport_receive(&transport, 2, qr_buf_slice(&bytes)), 0);
    assert_int_equal(n_delivered, 1);
    assert_int_equal(transport.n_strayed, 1);
    bytes.base[4] = DISK;
    bytes.base[8] = 9;
    assert_int_equal(qr_transport_receive(&transport, 2, qr_buf_slice(&bytes)), QR_E_VERSION);
    assert_int_equal(n_delivered, 1);
    assert_int_equal(transport.n_bad, 1);
    qr_buf_release(&bytes);
}

static void closing_waits_for_what_is_on_its_way(void **state)
{
    (void)state;
    struct raft_entry entries[ENTRIES_MAX];
    char *data;
    struct raft_io_send req;
    struct raft_message m = append_of(entries, &data, 20, 300 * 1024);
    net.latency_ms = 50;
    assert_int_equal(send_message(&req, &m), 0);
    stop(NULL);
    assert_int_equal(n_done, 1);
    assert_int_equal(status, RAFT_CANCELED);
    free(data);
    start(NULL);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    qr_log_open(2, QR_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_small_message_goes_in_one_frame),
        TEST(a_large_append_is_split),
        TEST(many_entries_are_split_too),
        TEST(what_the_link_refuses_fails_later),
        TEST(a_cut_in_the_middle_of_a_split_completes_once),
        TEST(a_request_may_have_no_callback),
        TEST(frames_reach_the_library_with_their_sender),
        TEST(closing_waits_for_what_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
