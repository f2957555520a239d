#include "cluster/fsm.h"

#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "cluster/tests/memory_sink.h"
#include "testing/cmocka.h"

static struct raft raft; /* Only its indices are looked at. */
static struct memory_sink sink;
static struct qr_machine machine;
static struct qr_fsm fsm;
static unsigned n_fatal;

static void on_fatal(void *data, const char *sentence)
{
    (void)data;
    (void)sentence;
    n_fatal++;
}

static int start(void **state)
{
    (void)state;
    const struct qr_sink s = memory_sink_of(&sink);
    const struct qr_machine_events events = {.fatal = on_fatal};
    memset(&raft, 0, sizeof raft);
    n_fatal = 0;
    qr_fsm_init(&fsm, &raft, &machine);
    return qr_machine_init(&machine, &s, &events);
}

static int stop(void **state)
{
    (void)state;
    qr_fsm_release(&fsm);
    qr_machine_release(&machine);
    return 0;
}

/* As the library does: apply at last_applied + 1, then count it. */
static void apply(uint64_t number)
{
    struct qr_buf entry = {0};
    void *result = &raft;
    const struct qr_command command = {.type = QR_COMMAND_SAMPLES,
                                       .member = 1,
                                       .incarnation = 1,
                                       .sequence = number,
                                       .body = qr_slice_of(&number, 8)};
    qr_command_encode(&entry, &command);
    const struct raft_buffer buf = {.base = entry.base, .len = entry.len};
    assert_int_equal(fsm.fsm.apply(&fsm.fsm, &buf, &result), 0);
    assert_null(result);
    raft.last_applied++;
    qr_buf_release(&entry);
}

static void entries_get_the_librarys_index(void **state)
{
    (void)state;
    raft.last_applied = 41;
    apply(1);
    assert_int_equal(machine.applied, 42);
    raft.last_applied = 50; /* Barriers in between. */
    apply(2);
    assert_int_equal(machine.applied, 51);
}

static void apply_never_fails(void **state)
{
    (void)state;
    void *result;
    const struct raft_buffer rubbish = {.base = "rubbish!", .len = 8};
    assert_int_equal(fsm.fsm.apply(&fsm.fsm, &rubbish, &result), 0);
    assert_int_equal(n_fatal, 1);
}

static void no_snapshot_while_commit_and_applied_differ(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    apply(1);
    raft.commit_index = raft.last_applied + 1;
    assert_int_equal(fsm.fsm.snapshot(&fsm.fsm, &bufs, &n), RAFT_BUSY);
    raft.commit_index = raft.last_applied - 1; /* It went back (G3). */
    assert_int_equal(fsm.fsm.snapshot(&fsm.fsm, &bufs, &n), RAFT_BUSY);
    assert_int_equal(fsm.n_snapshots, 0);
}

static void a_snapshot_is_kept_until_it_is_written(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    apply(1);
    apply(2);
    raft.commit_index = raft.last_applied;
    uint64_t hash = machine.hash;
    assert_int_equal(fsm.fsm.snapshot(&fsm.fsm, &bufs, &n), 0);
    assert_int_equal(n, 1);
    struct raft_buffer copy = {.base = raft_malloc(bufs[0].len), .len = bufs[0].len};
    memcpy(copy.base, bufs[0].base, copy.len);
    apply(3); /* While it is written. */
    assert_memory_equal(copy.base, bufs[0].base, copy.len);
    assert_int_equal(fsm.fsm.snapshot_finalize(&fsm.fsm, &bufs, &n), 0);

    assert_int_equal(fsm.fsm.restore(&fsm.fsm, &copy), 0); /* Frees it. */
    assert_int_equal(machine.hash, hash);
    assert_int_equal(sink.last[1], 2);
    assert_int_equal(fsm.n_restores, 1);
}

static void a_snapshot_that_cannot_be_restored_stops_the_member(void **state)
{
    (void)state;
    struct raft_buffer buf = {.base = raft_calloc(1, 64), .len = 64};
    assert_int_not_equal(fsm.fsm.restore(&fsm.fsm, &buf), 0);
    assert_int_equal(n_fatal, 1);
    raft_free(buf.base); /* Still the library's. */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    qr_log_open(2, QR_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(entries_get_the_librarys_index),
        TEST(apply_never_fails),
        TEST(no_snapshot_while_commit_and_applied_differ),
        TEST(a_snapshot_is_kept_until_it_is_written),
        TEST(a_snapshot_that_cannot_be_restored_stops_the_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
