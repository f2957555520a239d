/* Two members' links and stores in one process: one has a block file, the other must get it, and
 * answers from the first one's meanwhile.  Tests also: parts, peer_disk. */
#include "node/catchup.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/pki.h"
#include "node/peer_disk.h"
#include "storage/query.h"
#include "storage/value.h"
#include "testing/cmocka.h"
#include "testing/process.h"

#define T0          1795405200 /* start of a window of 600 s */
#define DEADLINE_MS 20000

struct member {
    struct qr_store *store;
    struct qr_link *link;
    struct qr_parts *parts;
    struct qr_peer_disk *peers;
    struct qr_catchup *catchup;
    char dir[QR_TEMP_DIR_BYTES + 16];
};

static char dir[QR_TEMP_DIR_BYTES];
static uv_loop_t loop;
/* The third knows nobody until a test says so. */
static struct member members[3];
static struct qr_link_member table[3];
static bool paused; /* The second does not fetch. */
static char first_address[32];

static void on_sealed(void *data, const struct qr_block_id *id, int status, uint64_t bytes,
                      uint64_t hash)
{
    (void)data, (void)id, (void)status, (void)bytes, (void)hash;
}

static void on_bad_block(void *data, const char *name, const char *sentence)
{
    (void)data, (void)name, (void)sentence;
}

static void open_member(unsigned i, uint16_t port)
{
    struct member *m = &members[i];
    char cert[600], key[600], ca[600], ca_key[600], uri[128], listen[32];
    char reason[QR_PKI_REASON_BYTES];
    snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", dir);
    snprintf(cert, sizeof cert, "%s/%u.crt", dir, i + 1);
    snprintf(key, sizeof key, "%s/%u.key", dir, i + 1);
    snprintf(m->dir, sizeof m->dir, "%s/%u", dir, i + 1);
    snprintf(uri, sizeof uri, "quorate://01000000-0000-0000-0000-000000000000/%u", i + 1);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port + i);
    if (i == 0)
        assert_int_equal(qr_pki_make_ca(ca, ca_key, "test", reason), 0);
    struct qr_pki_request request = {cert, key, ca, ca_key, "member", uri, NULL};
    assert_int_equal(qr_pki_make_cert(&request, reason), 0);
    const char *const mkdir[] = {"mkdir", "-p", m->dir, NULL};
    assert_int_equal(qr_process_run(mkdir), 0);

    assert_int_equal(qr_peer_disk_new(&m->peers, &loop), 0);
    struct qr_store_config store = {.loop = &loop,
                                    .disk = &qr_disk_files,
                                    .peers = qr_peer_disk_face(m->peers),
                                    .dir = m->dir,
                                    .window_s = 600};
    struct qr_store_events events = {m, on_sealed, on_bad_block};
    assert_int_equal(qr_store_open(&m->store, &store, &events), 0);
    struct qr_link_config link = {.loop = &loop,
                                  .clock = &qr_clock_system,
                                  .member_id = i + 1,
                                  .incarnation = 1,
                                  .cluster_id = {{1}},
                                  .listen_address = listen,
                                  .ca_file = ca,
                                  .cert_file = cert,
                                  .key_file = key,
                                  .heartbeat_ms = 50,
                                  .election_timeout_ms = 1000,
                                  .connect_retry_ms = 50,
                                  .handshake_timeout_ms = 3000,
                                  .queue_bytes_max = 1u << 20};
    assert_int_equal(qr_link_open(&m->link, &link), 0);
    assert_int_equal(qr_parts_new(&m->parts, &loop, m->link, m->store, 1), 0);
    if (i < 2)
        qr_parts_set_peers(m->parts, &table[1 - i].id, 1);
    assert_int_equal(qr_catchup_new(&m->catchup, &loop, m->parts, m->store), 0);
    qr_peer_disk_connect(m->peers, m->parts);
    if (i < 2)
        assert_int_equal(qr_link_set_member(m->link, &table[1 - i]), 0);
}

/* Runs the loop, with the second member looking for what it lacks, until `done` or the deadline. */
static bool run_until(bool (*done)(void))
{
    uint64_t deadline = qr_mono_ms() + DEADLINE_MS;
    while (!done() && qr_mono_ms() < deadline) {
        qr_parts_tick(members[1].parts);
        if (!paused)
            qr_catchup_tick(members[1].catchup);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    return done();
}

static bool is_written(void)
{
    return qr_store_busy(members[0].store) == 0;
}

static bool has_all(void)
{
    struct qr_block_name name;
    return qr_store_missing(members[1].store, &name, 1) == 0;
}

static bool has_tried(void)
{
    struct qr_catchup_stats stats;
    qr_catchup_get_stats(members[1].catchup, &stats);
    return stats.n_failed > 0 || has_all();
}

/* A window with some hundred charts, sealed: a file of more than one part. */
static void fill_and_seal(struct qr_store *store, int64_t start_s)
{
    struct qr_buf body = {0};
    struct qr_host_def *host;
    uint32_t host_id;
    struct qr_host_def told = {.hostname = "h",
                               .registry_hostname = "h",
                               .os = "",
                               .timezone = "",
                               .abbrev_timezone = "",
                               .program_name = "",
                               .program_version = ""};
    qr_host_def_encode(&body, &told);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_host_def_decode(&host, &in), 0);
    assert_int_equal(qr_store_apply_host(store, host, &host_id), 0);
    uint64_t noise = 1;
    for (int c = 0; c < 400; c++) {
        char id[32];
        struct qr_chart_def *def;
        uint32_t chart, n;
        struct qr_dim_def dim = {"d", "d", 1, 1, 0, 0};
        snprintf(id, sizeof id, "t.c%d", c);
        struct qr_chart_def chart_def = {.id = id,
                                         .name = id,
                                         .title = "",
                                         .units = "",
                                         .family = "",
                                         .context = "",
                                         .plugin = "",
                                         .module = "",
                                         .update_every = 1,
                                         .n_dims = 1,
                                         .dims = &dim};
        qr_buf_clear(&body);
        qr_chart_def_encode(&body, &chart_def);
        in = qr_cursor_of(qr_buf_slice(&body));
        assert_int_equal(qr_chart_def_decode(&def, &in), 0);
        assert_int_equal(qr_store_apply_chart(store, host_id, def, &chart), 0);
        for (int t = 1; t < 600; t++) {
            noise = noise * 6364136223846793005u + 1442695040888963407u;
            uint32_t cell = qr_value_pack((double)(noise >> 40), 0);
            qr_store_apply_row(store, host_id, chart, start_s + 700, start_s + t, &cell, 1, &n);
        }
    }
    qr_buf_release(&body);
    assert_int_equal(qr_store_apply_seal(store, start_s), 0);
    assert_true(run_until(is_written));
}

static void damage(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
}

static bool is_looked_for(void)
{
    return qr_store_busy(members[1].store) == 0;
}

/* Member 2 is told of the first one's files, and has looked for them. */
static void pass_snapshot(struct qr_buf *snapshot)
{
    assert_int_equal(qr_store_snapshot(members[0].store, snapshot), 0);
    assert_int_equal(qr_store_restore(members[1].store, qr_buf_slice(snapshot)), 0);
    assert_true(run_until(is_looked_for));
}

static void a_missing_file_comes_from_the_peer_and_a_bad_one_is_not_taken(void **state)
{
    (void)state;
    struct qr_buf snapshot = {0};
    struct qr_block_name name;
    char path[1024], copy[1024];
    fill_and_seal(members[0].store, T0);
    pass_snapshot(&snapshot);
    assert_int_equal(qr_store_missing(members[1].store, &name, 1), 1);
    assert_true(name.bytes > 2 * QR_PART_BYTES_MAX); /* several parts */
    assert_int_equal(qr_store_block_path(members[0].store, name.name, path, sizeof path), 0);

    damage(path, 4000);
    assert_true(run_until(has_tried));
    assert_false(has_all());
    damage(path, 4000); /* as it was */
    assert_true(run_until(has_all));

    assert_int_equal(qr_store_block_path(members[1].store, name.name, copy, sizeof copy), 0);
    const char *const compare[] = {"cmp", path, copy, NULL};
    assert_int_equal(qr_process_run(compare), 0);
    struct qr_catchup_stats stats;
    qr_catchup_get_stats(members[1].catchup, &stats);
    assert_int_equal(stats.n_files, 1);
    assert_true(stats.n_bytes >= name.bytes);
    qr_buf_release(&snapshot);
}

static bool lacks_one(void)
{
    struct qr_block_name names[3];
    return qr_store_missing(members[1].store, names, 3) == 1;
}

/* The oldest file cannot be had from anybody: those behind it come all the same. */
static void a_file_that_no_peer_has_does_not_keep_the_others_waiting(void **state)
{
    (void)state;
    struct qr_buf snapshot = {0};
    struct qr_block_name names[3];
    char path[1024], aside[1024];
    fill_and_seal(members[0].store, T0 - 1200);
    fill_and_seal(members[0].store, T0 - 600);
    pass_snapshot(&snapshot);
    assert_int_equal(qr_store_missing(members[1].store, names, 3), 2);
    assert_int_equal(qr_store_block_path(members[0].store, names[0].name, path, sizeof path), 0);
    snprintf(aside, sizeof aside, "%.1000s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    assert_true(run_until(lacks_one));
    assert_int_equal(qr_store_missing(members[1].store, &names[1], 1), 1);
    assert_string_equal(names[1].name, names[0].name);
    assert_int_equal(rename(aside, path), 0);
    assert_true(run_until(has_all));
    qr_buf_release(&snapshot);
}

/* A worker's view of the second member's answer. */
static struct {
    uv_work_t work;
    unsigned n_rows, n_bad;
    int err;
    bool ended;
} asked;

static void ask(uv_work_t *work)
{
    (void)work;
    struct qr_store *store = members[1].store;
    int slot = qr_store_enter(store);
    struct qr_query *query;
    struct qr_slab slab;
    asked.err = qr_query_open(&query, store, qr_store_chart_by_id(store, 7), T0 + 3000, T0 + 3599);
    while (asked.err == 0 && (asked.err = qr_query_next(query, &slab)) == 1) {
        asked.n_rows += slab.n_rows;
        asked.err = 0;
    }
    asked.n_bad = qr_query_n_bad(query);
    qr_query_close(query);
    qr_store_leave(store, slot);
}

static void on_asked(uv_work_t *work, int status)
{
    (void)work, (void)status;
    asked.ended = true;
}

static bool has_asked(void)
{
    return asked.ended;
}

static void query_on_a_worker(void)
{
    asked.ended = false;
    asked.n_rows = asked.n_bad = 0;
    assert_int_equal(uv_queue_work(&loop, &asked.work, ask, on_asked), 0);
    assert_true(run_until(has_asked));
    assert_int_equal(asked.err, 0);
}

static bool is_cut_off(void)
{
    return !qr_link_is_up(members[1].link, 1);
}

static bool is_linked(void)
{
    return qr_link_is_up(members[1].link, 1);
}

static bool is_linked_to_the_third(void)
{
    return qr_link_is_up(members[1].link, 3);
}

/* The third has the file too. */
static void bring_the_third(const struct qr_buf *snapshot, const char *name)
{
    char path[1024], copy[1024];
    const uint32_t both[] = {1, 3};
    assert_int_equal(qr_store_block_path(members[0].store, name, path, sizeof path), 0);
    snprintf(copy, sizeof copy, "%s%s", members[2].dir, path + strlen(members[0].dir));
    const char *const cp[] = {"cp", path, copy, NULL};
    assert_int_equal(qr_process_run(cp), 0);
    assert_int_equal(qr_store_restore(members[2].store, qr_buf_slice(snapshot)), 0);
    assert_int_equal(qr_link_set_member(members[1].link, &table[2]), 0);
    assert_int_equal(qr_link_set_member(members[2].link, &table[1]), 0);
    qr_parts_set_peers(members[1].parts, both, 2);
    assert_true(run_until(is_linked_to_the_third));
}

/* Queries do not wait for the fetch, nor fail: a peer's file is read page by page. */
static void what_is_missing_is_read_from_the_peer_meanwhile(void **state)
{
    (void)state;
    struct qr_buf snapshot = {0};
    struct qr_block_name name;
    char path[1024];
    uint64_t n_reads, n_bytes;
    paused = true;
    fill_and_seal(members[0].store, T0 + 3000);
    pass_snapshot(&snapshot);
    assert_int_equal(qr_store_missing(members[1].store, &name, 1), 1);
    assert_true(run_until(is_linked));
    query_on_a_worker();
    assert_int_equal(asked.n_rows, 599);
    assert_int_equal(asked.n_bad, 0);
    qr_peer_disk_get_stats(members[1].peers, &n_reads, &n_bytes);
    assert_true(n_reads > 0);
    assert_true(n_bytes < name.bytes / 2); /* Not all of it. */

    /* A peer's bad page is not served either. */
    assert_int_equal(qr_store_block_path(members[0].store, name.name, path, sizeof path), 0);
    for (long at = 64; at < (long)name.bytes / 4; at += 500)
        damage(path, at);
    query_on_a_worker();
    assert_int_equal(asked.n_rows, 0);
    assert_int_equal(asked.n_bad, 1);
    for (long at = 64; at < (long)name.bytes / 4; at += 500)
        damage(path, at);

    /* But another peer's good one, whoever is asked first. */
    bring_the_third(&snapshot, name.name);
    for (long at = 64; at < (long)name.bytes / 4; at += 500)
        damage(path, at);
    for (int i = 0; i < 4; i++) {
        query_on_a_worker();
        assert_int_equal(asked.n_rows, 599);
        assert_int_equal(asked.n_bad, 0);
    }

    for (long at = 64; at < (long)name.bytes / 4; at += 500)
        damage(path, at); /* as it was */
    qr_parts_set_peers(members[1].parts, &table[0].id, 1);
    qr_link_remove_member(members[2].link, 2);
    qr_link_remove_member(members[1].link, 3);

    /* No peer: it is said, and nobody waits. */
    qr_link_remove_member(members[1].link, 1);
    assert_true(run_until(is_cut_off));
    query_on_a_worker();
    assert_int_equal(asked.n_rows, 0);
    assert_int_equal(asked.n_bad, 1);
    paused = false;
    qr_buf_release(&snapshot);
}

static bool is_in_the_middle(void)
{
    struct qr_catchup_stats stats;
    qr_catchup_get_stats(members[1].catchup, &stats);
    return stats.file_bytes > 0;
}

/* A member that ends in the middle of a file has no file when it is back, and begins again. */
static void a_fetch_that_was_killed_begins_again(void **state)
{
    (void)state;
    struct member *m = &members[1];
    struct qr_buf snapshot = {0};
    struct qr_block_name name;
    char path[1024], copy[1024], part[1024];
    struct qr_link_member peer = {1, ""};
    fill_and_seal(members[0].store, T0 + 6000);
    pass_snapshot(&snapshot);
    qr_store_missing(m->store, &name, 1);
    assert_int_equal(qr_store_fetch_path(m->store, name.name, part, sizeof part), 0);
    snprintf(peer.address, sizeof peer.address, "%s", first_address);
    assert_int_equal(qr_link_set_member(m->link, &peer), 0); /* The test before took it out. */
    assert_true(run_until(is_in_the_middle));
    assert_int_equal(access(part, F_OK), 0);
    qr_catchup_free(m->catchup);
    assert_int_equal(qr_catchup_new(&m->catchup, &loop, m->parts, m->store), 0);
    assert_int_equal(qr_store_restore(m->store, qr_buf_slice(&snapshot)), 0);
    paused = true;
    assert_true(run_until(is_looked_for));
    paused = false;
    assert_false(has_all());
    assert_true(run_until(has_all));
    assert_int_equal(qr_store_block_path(members[0].store, name.name, path, sizeof path), 0);
    assert_int_equal(qr_store_block_path(m->store, name.name, copy, sizeof copy), 0);
    const char *const compare[] = {"cmp", path, copy, NULL};
    assert_int_equal(qr_process_run(compare), 0);
    assert_int_not_equal(access(part, F_OK), 0);
    qr_buf_release(&snapshot);
}

static int setup(void **state)
{
    (void)state;
    qr_temp_dir(dir, "catchup-test");
    uv_loop_init(&loop);
    uint16_t port = qr_free_ports(3);
    snprintf(first_address, sizeof first_address, "127.0.0.1:%u", port);
    for (unsigned i = 0; i < 3; i++) {
        table[i].id = i + 1;
        snprintf(table[i].address, sizeof table[i].address, "127.0.0.1:%u", port + i);
    }
    for (unsigned i = 0; i < 3; i++)
        open_member(i, port);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        qr_link_close(members[i].link, NULL, NULL);
        qr_peer_disk_close(members[i].peers);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < 3; i++) {
        qr_store_close(members[i].store);
        qr_catchup_free(members[i].catchup);
        qr_parts_free(members[i].parts);
        qr_peer_disk_free(members[i].peers);
    }
    qr_remove_dir(dir);
    return uv_loop_close(&loop);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* As quorated does: a peer may close first. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_comes_from_the_peer_and_a_bad_one_is_not_taken),
        cmocka_unit_test(a_file_that_no_peer_has_does_not_keep_the_others_waiting),
        cmocka_unit_test(what_is_missing_is_read_from_the_peer_meanwhile),
        cmocka_unit_test(a_fetch_that_was_killed_begins_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
