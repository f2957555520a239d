/* The parts of the guard that stand between the library and its own disk back end, G4 and G10: one
 * voter with a real log in a real folder, and a peer that is never there.
 *
 * The back end reads the folder on libuv's pool.  Two calls it makes there, to list and to open,
 * are defined here as well: the library gets ours, which stop where a test wants them to. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "cluster/fsm.h"
#include "cluster/guard.h"
#include "cluster/tests/in_child.h"
#include "cluster/tests/memory_sink.h"
#include "cluster/transport.h"
#include "testing/fake_link.h"

/* ---- calls that pause ---- */

enum place { NOWHERE, LISTED, OPENING };

static _Atomic int pause_at; /* The next call that gets there waits for `go`. */
static uv_async_t paused;
static uv_sem_t go;

static void come_to(int place)
{
    if (atomic_compare_exchange_strong(&pause_at, &place, NOWHERE)) {
        uv_async_send(&paused);
        uv_sem_wait(&go);
    }
}

/* The names are as old as the pause is long. */
int uv_fs_scandir(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, uv_fs_cb cb)
{
    int (*real)(uv_loop_t *, uv_fs_t *, const char *, int, uv_fs_cb);
    *(void **)&real = dlsym(RTLD_NEXT, "uv_fs_scandir");
    int rv = real(loop, req, path, flags, cb);
    come_to(LISTED);
    return rv;
}

int uv_fs_open(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb)
{
    int (*real)(uv_loop_t *, uv_fs_t *, const char *, int, int, uv_fs_cb);
    *(void **)&real = dlsym(RTLD_NEXT, "uv_fs_open");
    if (strstr(path, "/snapshot-") != NULL)
        come_to(OPENING);
    return real(loop, req, path, flags, mode, cb);
}

/* ---- memory that was never set ---- */

static void *dirty_malloc(void *data, size_t size)
{
    (void)data;
    void *p = malloc(size);
    return p == NULL ? NULL : memset(p, 0xa5, size); /* As a pointer: nowhere. */
}

static void plain_free(void *data, void *p)
{
    (void)data;
    free(p);
}

static void *plain_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    return calloc(n, size);
}

static void *plain_realloc(void *data, void *p, size_t size)
{
    (void)data;
    return realloc(p, size);
}

static void *plain_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    return aligned_alloc(alignment, size);
}

static void plain_aligned_free(void *data, size_t alignment, void *p)
{
    (void)data;
    (void)alignment;
    free(p);
}

static struct raft_heap dirty_heap = {.malloc = dirty_malloc,
                                      .free = plain_free,
                                      .calloc = plain_calloc,
                                      .realloc = plain_realloc,
                                      .aligned_alloc = plain_aligned_alloc,
                                      .aligned_free = plain_aligned_free};

/* ---- one voter ---- */

#define VOTER       1u
#define PEER        2u
#define DEADLINE_MS 60000u
#define SEGMENT_KIB 8192u

struct disk {
    uv_loop_t loop;
    uv_timer_t alarm;
    bool alarmed;
    char dir[64];
    struct qr_fake_net net;
    struct qr_link *link;
    struct qr_transport transport;
    struct raft raft;
    struct qr_guard guard;
    struct memory_sink sink;
    struct qr_machine machine;
    struct qr_fsm fsm;
    unsigned n_applied;
    struct raft_barrier req;
    bool paused, closed;
};

static struct disk disk; /* One at a time. */
static char prefix[32];  /* Of the folders of this process and its children. */

static void on_alarm(uv_timer_t *timer)
{
    (void)timer;
    disk.alarmed = true;
}

/* Turns the loop until `is` says so; false after so many ms. */
static bool turn_until(bool (*is)(void), unsigned ms)
{
    bool ok;
    disk.alarmed = false;
    uv_timer_start(&disk.alarm, on_alarm, ms, 0);
    while (!(ok = is()) && !disk.alarmed)
        uv_run(&disk.loop, UV_RUN_ONCE);
    uv_timer_stop(&disk.alarm);
    return ok;
}

/* A failed write is what some tests want to be told of: the only clean end of their child. */
static void on_fail_stop(void *data, const char *sentence)
{
    const char *expected = data;
    _exit(expected != NULL && strstr(sentence, expected) != NULL ? 0 : 1);
}

static bool start_raft(void)
{
    struct raft_configuration configuration;
    raft_configuration_init(&configuration);
    raft_configuration_add(&configuration, VOTER, "a:1", RAFT_VOTER);
    raft_configuration_add(&configuration, PEER, "a:2", RAFT_STANDBY);
    int rv = raft_bootstrap(&disk.raft, &configuration);
    raft_configuration_close(&configuration);
    if (rv != 0 || raft_start(&disk.raft) != 0)
        return false;
    qr_fsm_started(&disk.fsm);
    return true;
}

static bool open_disk(unsigned guard_off, const char *expected_sentence)
{
    memset(&disk, 0, sizeof disk);
    const struct qr_sink sink = memory_sink_of(&disk.sink);
    const struct qr_machine_events events = {0};
    snprintf(disk.dir, sizeof disk.dir, "/tmp/%sXXXXXX", prefix);
    if (mkdtemp(disk.dir) == NULL)
        return false;
    uv_loop_init(&disk.loop);
    uv_timer_init(&disk.loop, &disk.alarm);
    qr_fake_net_init(&disk.net, &disk.loop, 1);
    qr_machine_init(&disk.machine, &sink, &events);
    qr_fsm_init(&disk.fsm, &disk.raft, &disk.machine);
    disk.link = qr_fake_link_new(&disk.net, VOTER);
    qr_transport_init(&disk.transport, &disk.loop, disk.link, 1, disk.dir);
    if (raft_init(&disk.raft, &disk.transport.io, &disk.fsm.fsm, VOTER, "a:1") != 0)
        return false;
    qr_transport_install(&disk.transport);
    qr_guard_install(&disk.guard, &disk.raft, on_fail_stop, (void *)expected_sentence);
    disk.guard.off = guard_off;
    qr_fsm_install(&disk.fsm);
    disk.raft.tracer = NULL;
    raft_uv_set_tracer(&disk.transport.io, qr_guard_tracer(&disk.guard));
    raft_uv_set_disk_retry(&disk.transport.io, 100);
    raft_uv_set_segment_size(&disk.transport.io, SEGMENT_KIB * 1024);
    /* No ticks: with each it would give up a peer that says nothing, and ask for a snapshot anew.
     */
    raft_set_election_timeout(&disk.raft, 3 * DEADLINE_MS);
    raft_set_heartbeat_timeout(&disk.raft, 2 * DEADLINE_MS);
    raft_set_snapshot_threshold(&disk.raft, 4);
    raft_set_snapshot_trailing(&disk.raft, 1);
    return start_raft();
}

static void remove_dir(void)
{
    DIR *dir = opendir(disk.dir);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(disk.dir);
}

/* Also what children leave, which end where they stand. */
static int remove_dirs(void **state)
{
    (void)state;
    DIR *tmp = opendir("/tmp");
    for (struct dirent *e; (e = readdir(tmp)) != NULL;) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(disk.dir, sizeof disk.dir, "/tmp/%.50s", e->d_name);
        remove_dir();
    }
    closedir(tmp);
    return 0;
}

/* ---- entries and snapshots ---- */

/* The entries are barriers: the machine never sees them. */
static void on_applied(struct raft_barrier *req, int status)
{
    (void)req;
    disk.n_applied += status == 0;
}

static unsigned n_applied_wanted;

static bool has_applied(void)
{
    return disk.n_applied >= n_applied_wanted;
}

/* Each snapshot ends a segment: the next one may still be in the making. */
static bool has_room(void)
{
    return disk.transport.io.capacity > disk.raft.capacity_threshold;
}

static bool append_one(unsigned ms)
{
    if (!turn_until(has_room, DEADLINE_MS))
        return false;
    n_applied_wanted = disk.n_applied + 1;
    if (raft_barrier(&disk.raft, &disk.req, on_applied) != 0)
        return false;
    return turn_until(has_applied, ms);
}

/* It keeps two in stock: nothing is written in the background then. */
static bool has_segments(void)
{
    return disk.transport.io.capacity >= 2 * SEGMENT_KIB;
}

static bool takes_no_snapshot(void)
{
    return !disk.raft.legacy.snapshot_taking;
}

static void on_paused(uv_async_t *async)
{
    (void)async;
    disk.paused = true;
}

static bool is_paused(void)
{
    return disk.paused;
}

/* Until so many more snapshots are on disk, or one of them waits for what is paused. */
static bool write_snapshots(unsigned n)
{
    raft_index last = disk.raft.trail.snapshot.index;
    while (n > 0 && disk.guard.n_snapshots_waited == 0) {
        if (!append_one(DEADLINE_MS))
            return false;
        if (disk.guard.n_snapshots_waited == 0 && !turn_until(takes_no_snapshot, DEADLINE_MS))
            return false;
        n -= last != disk.raft.trail.snapshot.index;
        last = disk.raft.trail.snapshot.index;
    }
    return true;
}

static bool is_asked_for(void)
{
    return disk.guard.n_getting > 0 || disk.guard.n_snapshots_waited > 0;
}

/* As if the peer had come back with an empty log: it refuses the index that it was asked for,
 * whichever that was. */
static void let_the_peer_need_a_snapshot(void)
{
    raft_index last = raft_last_index(&disk.raft);
    for (raft_index index = 1; index <= last && !is_asked_for(); index++) {
        struct raft_message message = {
            .type = RAFT_APPEND_ENTRIES_RESULT,
            .server_id = PEER,
            .server_address = "a:2",
            .append_entries_result = {.version = 1,
                                      .term = raft_current_term(&disk.raft),
                                      .rejected = index,
                                      .last_log_index = 0}};
        disk.transport.recv(&disk.transport.io, &message);
    }
}

static bool setup_snapshots(unsigned guard_off)
{
    raft_heap_set(&dirty_heap);
    uv_sem_init(&go, 0);
    if (!open_disk(guard_off, NULL))
        return false;
    uv_async_init(&disk.loop, &paused, on_paused);
    return turn_until(has_segments, DEADLINE_MS) && write_snapshots(3);
}

/* ---- G4: writes that fail ---- */

/* In the child: an entry, then the limit on the size of files falls to nothing, then another. */
static bool write_to_a_failing_disk(unsigned guard_off)
{
    if (!open_disk(guard_off, "the log could not be written") ||
        !turn_until(has_segments, DEADLINE_MS) || !append_one(DEADLINE_MS) ||
        !turn_until(has_segments, DEADLINE_MS))
        return false;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1, 1});
    append_one(DEADLINE_MS);
    return false;
}

static void a_failed_log_write_stops_the_member_at_once(void **state)
{
    (void)state;
    enum outcome with = in_child(write_to_a_failing_disk, 0);
    enum outcome without = in_child(write_to_a_failing_disk, QR_GUARD_G4);
    printf("a failed log write: %s, without G4 %s\n", outcome_names[with], outcome_names[without]);
    assert_int_equal(with, WELL);
    assert_int_equal(without, CRASHED);
}

/* ---- G10: a snapshot is read while others are written ---- */

static bool is_sent(void)
{
    return disk.guard.n_snapshots_sent > 0;
}

/* In the child: the reader stops at this place until two more snapshots are written, which leaves
 * none of those that it knows, or until their writing waits for it. */
static bool write_while_reading(unsigned guard_off, int place)
{
    if (!setup_snapshots(guard_off))
        return false;
    atomic_store(&pause_at, place);
    let_the_peer_need_a_snapshot();
    if (!turn_until(is_paused, DEADLINE_MS) || !write_snapshots(2))
        return false;
    uv_sem_post(&go);
    return turn_until(is_sent, DEADLINE_MS);
}

static bool write_while_listing(unsigned guard_off)
{
    return write_while_reading(guard_off, LISTED);
}

static bool write_while_opening(unsigned guard_off)
{
    return write_while_reading(guard_off, OPENING);
}

static void a_snapshot_is_not_removed_while_it_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool (*what)(unsigned guard_off);
        enum outcome without;
    } rows[] = {
        {"listed", write_while_listing, CRASHED},           /* Sends memory that was never set. */
        {"about to be opened", write_while_opening, WRONG}, /* It cannot be read: G8. */
    };
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        enum outcome with = in_child(rows[i].what, 0);
        enum outcome without = in_child(rows[i].what, QR_GUARD_G10);
        printf("written while another is %s: %s, without G10 %s\n", rows[i].name,
               outcome_names[with], outcome_names[without]);
        assert_int_equal(with, WELL);
        assert_int_equal(without, rows[i].without);
    }
}

static void on_raft_closed(struct raft *raft)
{
    (void)raft;
    disk.closed = true;
}

static void close_raft(void)
{
    qr_fsm_close(&disk.fsm);
    raft_close(&disk.raft, on_raft_closed);
}

static bool is_closed(void)
{
    return disk.closed;
}

static void finish(void)
{
    assert_true(turn_until(is_closed, DEADLINE_MS));
    qr_link_close(disk.link, NULL, NULL);
    qr_fake_net_close(&disk.net);
    uv_close((uv_handle_t *)&disk.alarm, NULL);
    uv_close((uv_handle_t *)&paused, NULL);
    uv_run(&disk.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&disk.loop), 0);
    qr_transport_release(&disk.transport);
    qr_fsm_release(&disk.fsm);
    qr_machine_release(&disk.machine);
    uv_sem_destroy(&go);
    raft_heap_set_default();
    remove_dir();
}

/* These two are run in this process, so that a leak is found. */
static void closing_while_a_write_waits_for_a_read(void **state)
{
    (void)state;
    assert_true(setup_snapshots(0));
    atomic_store(&pause_at, LISTED);
    let_the_peer_need_a_snapshot();
    assert_true(turn_until(is_paused, DEADLINE_MS));
    assert_true(write_snapshots(2));
    assert_int_equal(disk.guard.n_snapshots_waited, 1);
    assert_false(takes_no_snapshot());
    close_raft();
    assert_true(takes_no_snapshot()); /* Canceled at once. */
    assert_false(disk.closed);
    uv_sem_post(&go);
    finish();
    assert_int_equal(disk.guard.n_snapshots_sent, 0);
}

static void closing_while_a_read_waits_for_a_write(void **state)
{
    (void)state;
    assert_true(setup_snapshots(0));
    atomic_store(&pause_at, LISTED); /* By the writer, which looks for what to remove. */
    while (takes_no_snapshot())
        assert_true(append_one(DEADLINE_MS));
    assert_true(turn_until(is_paused, DEADLINE_MS));
    let_the_peer_need_a_snapshot();
    assert_int_equal(disk.guard.n_snapshots_waited, 1);
    close_raft();
    assert_false(disk.closed);
    uv_sem_post(&go);
    finish();
    assert_int_equal(disk.guard.n_snapshots_sent, 0);
}

int main(void)
{
    qr_log_open(2, QR_LOG_ERROR);
    snprintf(prefix, sizeof prefix, "qr-guard-%d-", (int)getpid());
    cmocka_set_test_filter(getenv("QR_TEST_FILTER"));
    const struct CMUnitTest tests[] = {
        /* Children first: those that come behind start threads here. */
        cmocka_unit_test(a_failed_log_write_stops_the_member_at_once),
        cmocka_unit_test(a_snapshot_is_not_removed_while_it_is_read),
        cmocka_unit_test(closing_while_a_write_waits_for_a_read),
        cmocka_unit_test(closing_while_a_read_waits_for_a_write),
    };
    return cmocka_run_group_tests(tests, NULL, remove_dirs);
}
