#include "cluster/fsm.h"

#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "cluster/tests/image_kit.h"
#include "testing/cmocka.h"

static struct raft raft; /* Only its indices are looked at. */
static struct raft_io io;
static struct image_kit *kit;
static struct qr_fsm fsm;
static unsigned n_submitted, n_put;

static int submit(void *data)
{
    (void)data;
    n_submitted++;
    return 0;
}

static int put_below(struct raft_io *raft_io, unsigned trailing, struct raft_io_snapshot_put *req,
                     const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    (void)raft_io, (void)trailing, (void)req, (void)snapshot, (void)cb;
    n_put++;
    return 0;
}

static int start(void **state)
{
    (void)state;
    kit = image_kit_new();
    memset(&raft, 0, sizeof raft);
    raft.io = &io;
    raft.fsm = &fsm.fsm;
    raft.legacy.snapshot_trailing = 2;
    io = (struct raft_io){.data = &raft, .snapshot_put = put_below};
    n_submitted = n_put = 0;
    qr_fsm_init(&fsm, &raft, &kit->machine);
    qr_fsm_install(&fsm);
    fsm.submit = submit;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    qr_fsm_close(&fsm);
    if (fsm.job != QR_FSM_NO_JOB) {
        qr_fsm_work(&fsm);
        qr_fsm_done(&fsm);
    }
    qr_fsm_release(&fsm);
    image_kit_free(kit);
    return 0;
}

/* As the library does: apply at last_applied + 1, then count it.  Its log is `entries`. */
static struct qr_buf entries[64];
static uint64_t n_given;

static void give(uint64_t number)
{
    void *result = &raft;
    struct qr_buf *entry = &entries[number];
    image_kit_entry(entry, 1, number);
    const struct raft_buffer buf = {.base = entry->base, .len = entry->len};
    assert_int_equal(fsm.fsm.apply(&fsm.fsm, &buf, &result), 0);
    assert_null(result);
    raft.last_applied++;
    raft.commit_index = raft.last_applied;
    n_given = number;
}

static void apply_all(void)
{
    while (qr_fsm_step(&fsm))
        ;
}

static int ask(struct raft_buffer **bufs, unsigned *n)
{
    return fsm.fsm.snapshot(&fsm.fsm, bufs, n);
}

static void run_job(void)
{
    qr_fsm_work(&fsm);
    qr_fsm_done(&fsm);
}

/* What the library would read back. */
static struct raft_buffer join(const struct raft_buffer *bufs, unsigned n)
{
    struct raft_buffer all = {.base = raft_malloc(1u << 20)};
    for (unsigned i = 0; i < n; i++) {
        memcpy((char *)all.base + all.len, bufs[i].base, bufs[i].len);
        all.len += bufs[i].len;
    }
    return all;
}

static void entries_get_the_librarys_index(void **state)
{
    (void)state;
    raft.last_applied = 41;
    give(1);
    assert_int_equal(qr_fsm_applied(&fsm), 41);
    apply_all();
    assert_int_equal(kit->machine.applied, 42);
    raft.last_applied = 50; /* Barriers in between. */
    assert_int_equal(qr_fsm_applied(&fsm), 50);
    give(2);
    give(3);
    assert_int_equal(qr_fsm_applied(&fsm), 50);
    assert_true(qr_fsm_step(&fsm)); /* One at a time. */
    assert_int_equal(kit->machine.applied, 51);
    assert_int_equal(qr_fsm_applied(&fsm), 51);
    assert_false(qr_fsm_step(&fsm));
    assert_int_equal(qr_fsm_applied(&fsm), 52);
}

static void apply_never_fails(void **state)
{
    (void)state;
    void *result;
    const struct raft_buffer rubbish = {.base = "rubbish!", .len = 8};
    assert_int_equal(fsm.fsm.apply(&fsm.fsm, &rubbish, &result), 0);
    apply_all();
    assert_int_equal(kit->n_fatal, 1);
}

static void no_snapshot_while_commit_and_applied_differ(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    give(1);
    apply_all();
    raft.commit_index = raft.last_applied + 1;
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    raft.commit_index = raft.last_applied - 1; /* It went back (G3). */
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(n_submitted, 0);
    raft.commit_index = raft.last_applied;
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    run_job();
    raft.commit_index = raft.last_applied - 1; /* Also when it is made. */
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(fsm.n_snapshots, 0);
}

/* Nothing is applied while the state is encoded; what was applied since is in the snapshot. */
static void a_snapshot_reaches_to_its_label(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    for (uint64_t i = 1; i <= 10; i++)
        give(i);
    for (int i = 0; i < 4; i++)
        qr_fsm_step(&fsm);
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(n_submitted, 1);
    assert_false(qr_fsm_step(&fsm));
    assert_int_equal(kit->machine.applied, 4);
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    qr_fsm_work(&fsm);
    give(11);
    qr_fsm_done(&fsm);
    assert_true(qr_fsm_step(&fsm));
    give(12);
    assert_int_equal(ask(&bufs, &n), 0);
    struct raft_buffer copy = join(bufs, n);
    apply_all();
    assert_int_equal(fsm.fsm.snapshot_finalize(&fsm.fsm, &bufs, &n), 0);
    uint64_t hash = kit->machine.hash;
    assert_int_equal(kit->machine.applied, 12);

    raft.last_applied = 12;
    assert_int_equal(fsm.fsm.restore(&fsm.fsm, &copy), 0); /* Frees it. */
    assert_int_equal(kit->machine.applied, 4);
    assert_int_equal(qr_fsm_applied(&fsm), 4);
    apply_all();
    assert_int_equal(kit->machine.hash, hash);
    assert_int_equal(qr_fsm_applied(&fsm), 12);
    assert_int_equal(fsm.n_restores, 1);
    assert_int_equal(kit->sink.n_wrong, 0);
}

/* When the snapshot is written, the library drops what is `trailing` behind it. */
static void what_waits_is_kept_when_the_library_drops_it(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    for (uint64_t i = 1; i <= 10; i++)
        give(i);
    qr_fsm_step(&fsm);
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    run_job();
    assert_int_equal(ask(&bufs, &n), 0);
    assert_int_equal(fsm.fsm.snapshot_finalize(&fsm.fsm, &bufs, &n), 0);
    assert_int_equal(fsm.backlog.n_copied, 7); /* 2 .. 8 */
    for (uint64_t i = 1; i <= 8; i++)
        memset(entries[i].base, 0xee, entries[i].len);
    apply_all();
    assert_int_equal(kit->n_fatal, 0);
    assert_int_equal(kit->sink.last[1], 10);
}

static void a_snapshot_that_is_outrun_is_made_again(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    static char big[QR_ENTRY_BYTES_MAX];
    give(1);
    apply_all();
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    run_job();
    kit->machine.failed = true; /* The entries are no commands, and are not applied. */
    for (unsigned i = 0; i < 16; i++) {
        void *result;
        const struct raft_buffer buf = {.base = big, .len = sizeof big};
        fsm.fsm.apply(&fsm.fsm, &buf, &result);
        raft.commit_index = ++raft.last_applied;
    }
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(fsm.n_outrun, 1);
    kit->machine.failed = false;
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(n_submitted, 1); /* Not behind such a backlog. */
    qr_backlog_clear(&fsm.backlog);
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(n_submitted, 2);
    run_job();
    assert_int_equal(ask(&bufs, &n), 0);
    assert_int_equal(fsm.fsm.snapshot_finalize(&fsm.fsm, &bufs, &n), 0);
}

static void a_snapshot_that_fails_is_tried_again_later(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    give(1);
    apply_all();
    kit->sink.ballast = QR_SNAPSHOT_BYTES_MAX;
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    run_job();
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(n_submitted, 1);
    kit->sink.ballast = 0;
    raft.commit_index = raft.last_applied += 1100;
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    assert_int_equal(n_submitted, 2);
    run_job();
    assert_int_equal(ask(&bufs, &n), 0);
    assert_int_equal(fsm.fsm.snapshot_finalize(&fsm.fsm, &bufs, &n), 0);
}

static struct raft_buffer snapshot_of(uint64_t n_entries)
{
    struct image_kit *other = image_kit_new();
    struct qr_image image;
    struct qr_buf entry = {0}, bytes = {0};
    for (uint64_t i = 1; i <= n_entries; i++) {
        image_kit_entry(&entry, 2, i);
        qr_machine_apply(&other->machine, 100 + i, qr_buf_slice(&entry));
    }
    assert_int_equal(qr_image_begin(&image, &other->machine), 0);
    qr_image_encode(&image);
    assert_int_equal(qr_image_end(&image), 0);
    for (uint64_t i = n_entries + 1; i <= n_entries + 2; i++) {
        image_kit_entry(&entry, 2, i);
        qr_image_add(&image, 100 + i, qr_buf_slice(&entry));
    }
    qr_image_seal(&image);
    image_kit_join(&image, &bytes);
    struct raft_buffer buf = {.base = raft_malloc(bytes.len), .len = bytes.len};
    memcpy(buf.base, bytes.base, bytes.len);
    qr_image_release(&image);
    qr_buf_release(&entry);
    qr_buf_release(&bytes);
    image_kit_free(other);
    return buf;
}

static void install(uint64_t index, struct raft_buffer buf)
{
    const struct raft_snapshot snapshot = {.index = index};
    struct raft_io_snapshot_put req;
    raft.snapshot.installing = true;
    io.snapshot_put(&io, 0, &req, &snapshot, NULL);
    for (uint64_t i = 1; i <= n_given; i++)
        memset(entries[i].base, 0xee, entries[i].len); /* Its log is gone. */
    assert_false(qr_fsm_step(&fsm));
    raft.snapshot.installing = false;
    assert_int_equal(fsm.fsm.restore(&fsm.fsm, &buf), 0);
    raft.commit_index = raft.last_applied = index;
}

/* The state in use goes on being what this member has, until the other is decoded. */
static void an_install_meets_a_backlog(void **state)
{
    (void)state;
    qr_fsm_started(&fsm);
    for (uint64_t i = 1; i <= 10; i++)
        give(i);
    for (int i = 0; i < 3; i++)
        qr_fsm_step(&fsm);
    install(108, snapshot_of(5));
    assert_int_equal(n_put, 1);
    assert_int_equal(n_submitted, 1);
    assert_false(qr_fsm_step(&fsm));
    assert_int_equal(qr_fsm_applied(&fsm), 3);
    assert_int_equal(kit->machine.applied, 3);
    qr_fsm_work(&fsm);
    raft.last_applied = 109; /* A barrier, and an entry behind it. */
    void *result;
    image_kit_entry(&entries[11], 2, 8);
    const struct raft_buffer buf = {.base = entries[11].base, .len = entries[11].len};
    fsm.fsm.apply(&fsm.fsm, &buf, &result);
    raft.last_applied = 110;
    assert_int_equal(qr_fsm_applied(&fsm), 3);
    qr_fsm_done(&fsm);
    assert_int_equal(kit->machine.applied, 105);
    apply_all();
    assert_int_equal(kit->machine.applied, 110);
    assert_int_equal(kit->sink.last[2], 8);
    assert_int_equal(kit->sink.n_wrong, 0);
    assert_int_equal(kit->n_restored, 1);
}

/* A newer one comes while the first is decoded: only that counts. */
static void an_install_meets_another(void **state)
{
    (void)state;
    qr_fsm_started(&fsm);
    give(1);
    install(108, snapshot_of(5));
    install(120, snapshot_of(17));
    assert_int_equal(n_submitted, 1);
    run_job();
    assert_int_equal(kit->n_restored, 0);
    assert_int_equal(qr_fsm_applied(&fsm), 0);
    assert_int_equal(n_submitted, 2);
    run_job();
    apply_all();
    assert_int_equal(kit->n_restored, 1);
    assert_int_equal(kit->machine.applied, 119);
    assert_int_equal(kit->sink.last[2], 19);
}

static void an_install_meets_a_snapshot_being_made(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    qr_fsm_started(&fsm);
    give(1);
    apply_all();
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    install(108, snapshot_of(5));
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    run_job(); /* The encoding: for nothing. */
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    run_job(); /* The decoding. */
    apply_all();
    assert_int_equal(kit->machine.applied, 107);
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    run_job();
    assert_int_equal(ask(&bufs, &n), 0);
    assert_int_equal(fsm.n_snapshots, 1);
    assert_int_equal(fsm.fsm.snapshot_finalize(&fsm.fsm, &bufs, &n), 0);
}

static void closing_meets_a_job_and_a_backlog(void **state)
{
    (void)state;
    struct raft_buffer *bufs;
    unsigned n;
    qr_fsm_started(&fsm);
    give(1);
    give(2);
    assert_int_equal(ask(&bufs, &n), RAFT_BUSY);
    qr_fsm_close(&fsm);
    for (uint64_t i = 1; i <= 2; i++)
        memset(entries[i].base, 0xee, entries[i].len);
    assert_false(qr_fsm_step(&fsm));
    run_job();
    assert_false(fsm.made);
    assert_int_equal(kit->machine.applied, 0);
}

static void a_snapshot_that_cannot_be_restored_stops_the_member(void **state)
{
    (void)state;
    struct raft_buffer buf = {.base = raft_calloc(1, 64), .len = 64};
    assert_int_not_equal(fsm.fsm.restore(&fsm.fsm, &buf), 0);
    assert_int_equal(kit->n_fatal, 1);
    kit->machine.failed = false;
    qr_fsm_started(&fsm);
    assert_int_equal(fsm.fsm.restore(&fsm.fsm, &buf), 0); /* Now it is ours. */
    run_job();
    assert_int_equal(kit->n_fatal, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    qr_log_open(2, QR_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(entries_get_the_librarys_index),
        TEST(apply_never_fails),
        TEST(no_snapshot_while_commit_and_applied_differ),
        TEST(a_snapshot_reaches_to_its_label),
        TEST(what_waits_is_kept_when_the_library_drops_it),
        TEST(a_snapshot_that_is_outrun_is_made_again),
        TEST(a_snapshot_that_fails_is_tried_again_later),
        TEST(an_install_meets_a_backlog),
        TEST(an_install_meets_another),
        TEST(an_install_meets_a_snapshot_being_made),
        TEST(closing_meets_a_job_and_a_backlog),
        TEST(a_snapshot_that_cannot_be_restored_stops_the_member),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        qr_buf_release(&entries[i]);
    return failed;
}
