/* Tests also: fd, pages, tree. */
#include "testing/sim/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/compiler.h"
#include "testing/sim/fd.h"
#include "testing/sim/tests/on_host.h"

#define N_CUTS 100

/* ---- what runs on the hosts ---- */

static void put(const char *path, const char *text, int flags, bool syncs)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
    expect(fd >= 0);
    expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    if (syncs)
        expect(fdatasync(fd) == 0);
    expect(close(fd) == 0);
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    expect(fd >= 0);
    expect(fsync(fd) == 0);
    expect(close(fd) == 0);
}

/* ---- what is there afterwards ---- */

static bool is_there(struct qr_sim_host *host, const char *path, const char *text)
{
    char found[256] = "";
    ssize_t n = qr_sim_disk_read(host, path, 0, found, sizeof found - 1);
    return n == (ssize_t)strlen(text) && strcmp(found, text) == 0;
}

static bool exists(struct qr_sim_host *host, const char *path)
{
    return qr_sim_disk_size(host, path) >= 0;
}

/* Runs it again and again on an empty disk, each time until the power fails. */
static void cut_often(struct qr_sim_host *host, int (*main_of_host)(void *data),
                      void (*look)(struct qr_sim_host *host))
{
    for (int i = 0; i < N_CUTS; i++) {
        qr_sim_disk_wipe(host);
        run_on(host, main_of_host, NULL);
        assert_int_equal(host->down, QR_SIM_POWER);
        look(host);
    }
}

static unsigned seen[16]; /* How often was what. */

static struct qr_sim_host *fresh(const char *name)
{
    memset(seen, 0, sizeof seen);
    return qr_sim_host_new(name);
}

static void assert_seen(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (seen[i] == 0)
            fail_msg("outcome %u was never seen", i);
}

/* ---- power cuts ---- */

static int syncs_one_of_two(void *data)
{
    (void)data;
    put("/sim/synced", "kept", 0, true);
    sync_folder("/sim");
    put("/sim/other", "perhaps", 0, false);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_two(struct qr_sim_host *host)
{
    assert_true(is_there(host, "/sim/synced", "kept"));
    int64_t size = qr_sim_disk_size(host, "/sim/other");
    seen[0] += size < 0;
    seen[1] += size == 0;
    seen[2] += is_there(host, "/sim/other", "perhaps");
}

static void what_was_not_synced_may_be_lost(void **state)
{
    (void)state;
    cut_often(fresh("two"), syncs_one_of_two, look_at_two);
    assert_seen(3);
}

static int is_killed(void *data)
{
    (void)data;
    put("/sim/other", "perhaps", 0, false);
    qr_sim_die(QR_SIM_KILL, 0);
}

static void a_killed_process_loses_nothing(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("killed");
    for (int i = 0; i < N_CUTS; i++) {
        qr_sim_disk_wipe(host);
        run_on(host, is_killed, NULL);
        assert_true(is_there(host, "/sim/other", "perhaps"));
    }
    for (int i = 0; i < N_CUTS; i++) { /* Its machine may. */
        qr_sim_disk_wipe(host);
        run_on(host, is_killed, NULL);
        qr_sim_disk_power_cut(host);
        seen[is_there(host, "/sim/other", "perhaps")]++;
    }
    assert_seen(2);
}

#define PAGES_BYTES (4 * 4096u)

static char old_bytes[PAGES_BYTES], new_bytes[PAGES_BYTES];

static int overwrites(void *data)
{
    (void)data;
    int fd = open("/sim/f", O_WRONLY | O_CREAT, 0600);
    expect(pwrite(fd, old_bytes, sizeof old_bytes, 0) == sizeof old_bytes);
    expect(fsync(fd) == 0);
    expect(pwrite(fd, new_bytes, sizeof new_bytes, 0) == sizeof new_bytes);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_sectors(struct qr_sim_host *host)
{
    char found[PAGES_BYTES];
    assert_int_equal(qr_sim_disk_read(host, "/sim/f", 0, found, sizeof found), sizeof found);
    unsigned n_new = 0;
    for (size_t at = 0; at < sizeof found; at += 512) {
        bool is_new = memcmp(found + at, new_bytes + at, 512) == 0;
        assert_true(is_new || memcmp(found + at, old_bytes + at, 512) == 0);
        n_new += is_new;
    }
    seen[n_new == 0 ? 0 : n_new == PAGES_BYTES / 512 ? 1 : 2]++;
}

static void each_sector_is_the_old_or_the_new_one(void **state)
{
    (void)state;
    memset(old_bytes, 'o', sizeof old_bytes);
    memset(new_bytes, 'n', sizeof new_bytes);
    cut_often(fresh("sectors"), overwrites, look_at_sectors);
    assert_seen(3);
}

static int appends(void *data)
{
    (void)data;
    int fd = open("/sim/f", O_WRONLY | O_CREAT, 0600);
    expect(write(fd, old_bytes, 1000) == 1000);
    expect(fsync(fd) == 0);
    sync_folder("/sim");
    expect(write(fd, new_bytes, 9000) == 9000);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_the_end(struct qr_sim_host *host)
{
    static char found[10000];
    ssize_t n = qr_sim_disk_read(host, "/sim/f", 0, found, sizeof found);
    assert_true(n >= 1000 && n <= 10000);
    assert_memory_equal(found, old_bytes, 1000);
    unsigned n_holes = 0;
    for (ssize_t i = 1000; i < n; i++) {
        assert_true(found[i] == 'n' || found[i] == 0);
        n_holes += found[i] == 0;
    }
    seen[n == 1000 ? 0 : n == 10000 ? 1 : 2]++;
    seen[3] += n_holes > 0;
}

static void a_size_survives_with_its_bytes(void **state)
{
    (void)state;
    cut_often(fresh("ordered"), appends, look_at_the_end);
    assert_seen(3);
    assert_int_equal(seen[3], 0);
    struct qr_sim_host *harsh = fresh("harsh sizes");
    qr_sim_disk(harsh)->harsh = true;
    cut_often(harsh, appends, look_at_the_end);
    assert_seen(3);
    assert_int_equal(seen[3], 0);
}

static int truncates(void *data)
{
    (void)data;
    put("/sim/f", "what was there before", 0, true);
    sync_folder("/sim");
    put("/sim/f", "new", O_TRUNC, false);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_truncated(struct qr_sim_host *host)
{
    unsigned what = is_there(host, "/sim/f", "what was there before") ? 0
                    : is_there(host, "/sim/f", "new")                 ? 1
                    : is_there(host, "/sim/f", "")                    ? 2
                                                                      : 3;
    seen[what]++;
}

static void a_truncation_survives_or_not(void **state)
{
    (void)state;
    cut_often(fresh("truncates"), truncates, look_at_truncated);
    assert_seen(3);
    assert_int_equal(seen[3], 0);
}

static const char *const numbered[] = {"/sim/d/1", "/sim/e/2", "/sim/d/3", "/sim/e/4"};

static int makes_four(void *data)
{
    (void)data;
    expect(mkdir("/sim/d", 0700) == 0);
    expect(mkdir("/sim/e", 0700) == 0);
    sync_folder("/sim");
    for (size_t i = 0; i < QR_COUNT(numbered); i++)
        put(numbered[i], "", 0, false);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_four(struct qr_sim_host *host)
{
    unsigned n = 0;
    bool prefix = true;
    for (size_t i = 0; i < QR_COUNT(numbered); i++) {
        bool there = exists(host, numbered[i]);
        prefix = prefix && (!there || n == i);
        n += there;
    }
    /* Those of one folder are in order on any disk. */
    assert_true(exists(host, numbered[0]) || !exists(host, numbered[2]));
    assert_true(exists(host, numbered[1]) || !exists(host, numbered[3]));
    seen[n]++;
    seen[5] += !prefix;
}

static void names_survive_in_their_order_unless_the_disk_is_harsh(void **state)
{
    (void)state;
    cut_often(fresh("prefix"), makes_four, look_at_four);
    assert_seen(5);
    assert_int_equal(seen[5], 0);
    struct qr_sim_host *harsh = fresh("harsh names");
    qr_sim_disk(harsh)->harsh = true;
    cut_often(harsh, makes_four, look_at_four);
    assert_seen(6);
    assert_true(qr_sim_disk(harsh)->n.lost_names > 0);
}

static int renames(void *syncs)
{
    put("/sim/f", "old", 0, true);
    sync_folder("/sim");
    put("/sim/f.new", "new", 0, true);
    expect(rename("/sim/f.new", "/sim/f") == 0);
    if (syncs != NULL)
        sync_folder("/sim");
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_renamed(struct qr_sim_host *host)
{
    bool is_new = is_there(host, "/sim/f", "new");
    assert_true(is_new || is_there(host, "/sim/f", "old"));
    seen[is_new]++;
    assert_false(is_new && exists(host, "/sim/f.new") && !qr_sim_disk(host)->harsh);
}

static void a_rename_is_whole(void **state)
{
    (void)state;
    for (int harsh = 0; harsh < 2; harsh++) {
        struct qr_sim_host *host = fresh("renames");
        qr_sim_disk(host)->harsh = harsh != 0;
        cut_often(host, renames, look_at_renamed);
        assert_seen(2);
    }
}

static int renames_and_syncs(void *data)
{
    (void)data;
    return renames(seen);
}

static void look_at_durable(struct qr_sim_host *host)
{
    assert_true(is_there(host, "/sim/f", "new"));
}

static void a_synced_folder_keeps_its_names(void **state)
{
    (void)state;
    for (int harsh = 0; harsh < 2; harsh++) {
        struct qr_sim_host *host = fresh("syncs the folder");
        qr_sim_disk(host)->harsh = harsh != 0;
        cut_often(host, renames_and_syncs, look_at_durable);
    }
}

static int removes(void *data)
{
    (void)data;
    expect(mkdir("/sim/d", 0700) == 0);
    put("/sim/d/f", "back", 0, true);
    sync_folder("/sim/d");
    sync_folder("/sim");
    expect(unlink("/sim/d/f") == 0);
    expect(rmdir("/sim/d") == 0);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_removed(struct qr_sim_host *host)
{
    bool back = is_there(host, "/sim/d/f", "back");
    assert_true(back || !exists(host, "/sim/d/f"));
    seen[back]++;
}

static void a_file_that_was_removed_may_be_back(void **state)
{
    (void)state;
    cut_often(fresh("removes"), removes, look_at_removed);
    assert_seen(2);
}

static int waits_and_is_cut(void *data)
{
    (void)data;
    put("/sim/f", "", 0, false);
    qr_sim_sleep(6 * QR_SIM_S);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_for_it(struct qr_sim_host *host)
{
    assert_true(exists(host, "/sim/f"));
}

static void the_journal_is_committed_after_a_while(void **state)
{
    (void)state;
    cut_often(fresh("waits"), waits_and_is_cut, look_for_it);
}

/* ---- crash points ---- */

static int replaces(void *data)
{
    const char *text = data;
    put("/sim/state.new", text, O_TRUNC, true);
    expect(rename("/sim/state.new", "/sim/state") == 0);
    sync_folder("/sim");
    return 0;
}

/* Dies at each call of a careful program in turn: the state is always the old or the new one. */
static void a_careful_program_survives_every_crash_point(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("careful");
    unsigned n_crashes = 0;
    for (unsigned i = 0; i < 4; i++) {
        qr_sim_disk(host)->harsh = i >= 2;
        for (enum qr_sim_when when = QR_SIM_BEFORE; when <= QR_SIM_AFTER; when++) {
            bool finished = false;
            for (uint64_t n = 1; !finished; n++) {
                qr_sim_disk_wipe(host);
                run_on(host, replaces, "old");
                qr_sim_disk_crash_at(host, n, when, i % 2 == 0 ? QR_SIM_POWER : QR_SIM_KILL);
                run_on(host, replaces, "new");
                finished = host->down == QR_SIM_EXIT;
                bool old = is_there(host, "/sim/state", "old");
                assert_true(old || is_there(host, "/sim/state", "new"));
                assert_false(finished && old);
                n_crashes += !finished;
                assert_true(n < 20);
            }
        }
    }
    assert_int_equal(n_crashes, qr_sim_disk(host)->n.crash_points);
    assert_int_equal(n_crashes, 4 * 3 * 5); /* open, write, sync, rename, sync */
}

static int writes_much(void *data)
{
    (void)data;
    int fd = open("/sim/f", O_WRONLY | O_CREAT, 0600);
    expect(write(fd, new_bytes, sizeof new_bytes) == sizeof new_bytes);
    return 0;
}

static void a_write_that_is_interrupted_is_there_in_part(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("halfway");
    for (int i = 0; i < N_CUTS; i++) {
        qr_sim_disk_wipe(host);
        qr_sim_disk_crash_at(host, 2, QR_SIM_HALFWAY, QR_SIM_KILL);
        run_on(host, writes_much, NULL);
        int64_t size = qr_sim_disk_size(host, "/sim/f");
        assert_int_equal(size % 512, 0);
        seen[size == 0 ? 0 : 1]++;
    }
    assert_seen(2);
}

/* ---- faults ---- */

static int fills(void *data)
{
    (void)data;
    static char bytes[10000];
    struct statvfs status;
    int fd = open("/sim/f", O_RDWR | O_CREAT, 0600);
    expect(write(fd, bytes, sizeof bytes) == 10000);
    expect(write(fd, bytes, sizeof bytes) == 6384); /* To the end of the fourth page. */
    expect(write(fd, bytes, sizeof bytes) == -1 && errno == ENOSPC);
    expect(posix_fallocate(fd, 0, 16384) == 0);
    expect(posix_fallocate(fd, 0, 16385) == ENOSPC);
    expect(statvfs("/sim", &status) == 0);
    expect(status.f_blocks * status.f_frsize == 16384);
    expect(status.f_bavail == 0);
    expect(pwrite(fd, "x", 1, 100) == 1); /* There already. */
    expect(ftruncate(fd, 5000) == 0);
    expect(statvfs("/sim", &status) == 0);
    expect(status.f_bavail == 2);
    expect(close(fd) == 0);
    expect(unlink("/sim/f") == 0);
    sync_folder("/sim");
    expect(statvfs("/sim", &status) == 0);
    expect(status.f_bavail == 4);
    return 0;
}

static void a_full_disk_says_so(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("full");
    qr_sim_disk(host)->capacity_bytes = 16384;
    run_on(host, fills, NULL);
    assert_int_equal(qr_sim_disk(host)->n.full, 3);
    assert_int_equal(qr_sim_disk(host)->used_bytes, 0);
}

static int meets_errors(void *data)
{
    struct qr_sim_disk *disk = data;
    int fd = open("/sim/f", O_RDWR | O_CREAT, 0600);
    disk->failing_writes = 2;
    expect(write(fd, "a", 1) == -1 && errno == EIO);
    expect(posix_fallocate(fd, 0, 10) == EIO);
    expect(write(fd, "abc", 3) == 3);
    sync_folder("/sim");
    disk->failing_syncs = 1;
    expect(fsync(fd) == -1 && errno == EIO);
    expect(fsync(fd) == 0); /* It says, and nothing was written: so does Linux. */
    qr_sim_die(QR_SIM_POWER, 0);
}

static void what_a_failed_sync_should_have_written_is_lost(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("errors");
    for (int i = 0; i < N_CUTS; i++) {
        qr_sim_disk_wipe(host);
        run_on(host, meets_errors, qr_sim_disk(host));
        assert_false(is_there(host, "/sim/f", "abc"));
    }
    assert_int_equal(qr_sim_disk(host)->n.failed_writes, 2 * N_CUTS);
    assert_int_equal(qr_sim_disk(host)->n.failed_syncs, N_CUTS);
}

static void a_lying_disk_loses_what_was_synced(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("lying");
    qr_sim_disk(host)->lying = true;
    for (int i = 0; i < N_CUTS; i++) {
        qr_sim_disk_wipe(host);
        run_on(host, renames_and_syncs, NULL);
        seen[is_there(host, "/sim/f", "new")]++;
    }
    assert_seen(2);
    assert_true(qr_sim_disk(host)->n.lost_syncs >= 4 * N_CUTS);
}

static int names_three(void *data)
{
    (void)data;
    put("/sim/synced", "a", 0, true);
    put("/sim/written", "b", 0, false);
    sync_folder("/sim");
    put("/sim/unnamed", "c", 0, false);
    expect(rename("/sim/unnamed", "/sim/renamed") == 0);
    qr_sim_die(QR_SIM_KILL, 0);
}

static void it_is_known_what_would_survive(void **state)
{
    (void)state;
    for (int harsh = 0; harsh < 2; harsh++) {
        struct qr_sim_host *host = fresh("knows");
        qr_sim_disk(host)->harsh = harsh != 0;
        run_on(host, names_three, NULL);
        assert_true(qr_sim_disk_is_durable(host, "/sim/synced"));
        assert_false(qr_sim_disk_is_durable(host, "/sim/written"));
        assert_false(qr_sim_disk_is_durable(host, "/sim/renamed"));
        assert_false(qr_sim_disk_is_durable(host, "/sim/nothing"));
        qr_sim_disk_power_cut(host);
        assert_true(qr_sim_disk_is_durable(host, "/sim/synced"));
    }
}

static int syncs_in_two_folders(void *data)
{
    (void)data;
    expect(mkdir("/sim/log", 0700) == 0);
    expect(mkdir("/sim/other", 0700) == 0);
    put("/sim/log/f", "abc", 0, true);
    put("/sim/other/f", "abc", 0, true);
    sync_folder("/sim/log");
    sync_folder("/sim/other");
    sync_folder("/sim");
    qr_sim_die(QR_SIM_POWER, 0);
}

static void look_at_two_folders(struct qr_sim_host *host)
{
    assert_true(is_there(host, "/sim/other/f", "abc"));
    seen[is_there(host, "/sim/log/f", "abc")]++;
}

static void a_disk_lies_of_one_folder_alone(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("lies of one");
    qr_sim_disk(host)->lies_below = "/log/";
    cut_often(host, syncs_in_two_folders, look_at_two_folders);
    assert_seen(2);
}

static uint64_t time_of_replacing(struct qr_sim_host *host)
{
    uint64_t before_ns = qr_sim_now_ns();
    run_on(host, replaces, "x");
    return qr_sim_now_ns() - before_ns;
}

static void calls_take_their_time(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("slow");
    uint64_t ns = time_of_replacing(host);
    assert_in_range(ns, 400 * QR_SIM_US, 7 * QR_SIM_MS);
    qr_sim_disk(host)->slow_percent = 10000;
    assert_true(time_of_replacing(host) > 40 * QR_SIM_MS);
    qr_sim_disk(host)->slow_percent = 0;
    assert_int_equal(time_of_replacing(host), 0);
}

static void a_flipped_bit_is_known(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("flips");
    size_t n = 0;
    while (qr_sim_disk_flipped(n) != NULL)
        n++;
    qr_sim_disk_put(host, "/sim/a/b/blocks.1", new_bytes, 5000);
    qr_sim_disk_put(host, "/sim/a/b/other", new_bytes, 5000);
    assert_false(qr_sim_disk_flip(host, "*.none", 0, 0));
    assert_false(qr_sim_disk_flip(host, "*.1", 5000, 0));
    assert_true(qr_sim_disk_flip(host, "*.1", 4000, 0));
    const struct qr_sim_flip *flip = qr_sim_disk_flipped(n);
    assert_non_null(flip);
    assert_null(qr_sim_disk_flipped(n + 1));
    assert_string_equal(flip->path, "/sim/a/b/blocks.1");
    assert_ptr_equal(flip->host, host);
    assert_in_range(flip->offset, 4000, 4999);
    char found[5000];
    assert_int_equal(qr_sim_disk_read(host, flip->path, 0, found, sizeof found), 5000);
    for (size_t i = 0; i < sizeof found; i++)
        assert_int_equal((uint8_t)(found[i] ^ new_bytes[i]),
                         i == flip->offset ? 1 << flip->bit : 0);
}

/* ---- asynchronous writes and counters ---- */

static int signalled;

static void hear(int fd)
{
    signalled = fd;
}

static ssize_t later_result;

static void on_done(uint64_t id, uint64_t data, ssize_t result)
{
    expect(id == 1 && data == 2);
    later_result = result;
}

static int writes_later(void *data)
{
    (void)data;
    int fd = open("/sim/f", O_WRONLY | O_CREAT, 0600), counter = eventfd(0, EFD_NONBLOCK);
    uint64_t count = 0;
    expect(read(counter, &count, sizeof count) == -1 && errno == EAGAIN);
    expect(qr_sim_write_later(fd, &(struct iovec){"abc", 3}, 1, 0, counter, on_done, 1, 2) == 0);
    expect(!qr_sim_fd_is_readable(counter));
    qr_sim_sleep(4 * QR_SIM_MS);
    expect(signalled == counter);
    expect(qr_sim_fd_is_readable(counter));
    expect(read(counter, &count, sizeof count) == sizeof count);
    expect(count == 1 && later_result == 3);
    expect(qr_sim_write_later(fd, &(struct iovec){"d", 1}, 1, 3, counter, on_done, 1, 2) == 0);
    expect(close(counter) == 0);
    expect(close(fd) == 0);
    qr_sim_sleep(4 * QR_SIM_MS);
    expect(later_result == 1);
    expect(qr_sim_write_later(fd, &(struct iovec){"d", 1}, 1, 3, counter, on_done, 1, 2) == -EBADF);
    qr_sim_die(QR_SIM_POWER, 0);
}

static void a_write_may_end_later(void **state)
{
    (void)state;
    struct qr_sim_host *host = fresh("later");
    qr_sim_on_readable(hear);
    run_on(host, writes_later, NULL);
    qr_sim_on_readable(NULL);
    assert_true(is_there(host, "/sim/f", "abcd"));
}

int main(void)
{
    qr_sim_world(1, 1700000000 * (int64_t)QR_SIM_S);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_synced_may_be_lost),
        cmocka_unit_test(a_killed_process_loses_nothing),
        cmocka_unit_test(each_sector_is_the_old_or_the_new_one),
        cmocka_unit_test(a_size_survives_with_its_bytes),
        cmocka_unit_test(a_truncation_survives_or_not),
        cmocka_unit_test(names_survive_in_their_order_unless_the_disk_is_harsh),
        cmocka_unit_test(a_rename_is_whole),
        cmocka_unit_test(a_synced_folder_keeps_its_names),
        cmocka_unit_test(a_file_that_was_removed_may_be_back),
        cmocka_unit_test(the_journal_is_committed_after_a_while),
        cmocka_unit_test(a_careful_program_survives_every_crash_point),
        cmocka_unit_test(a_write_that_is_interrupted_is_there_in_part),
        cmocka_unit_test(a_full_disk_says_so),
        cmocka_unit_test(what_a_failed_sync_should_have_written_is_lost),
        cmocka_unit_test(a_lying_disk_loses_what_was_synced),
        cmocka_unit_test(it_is_known_what_would_survive),
        cmocka_unit_test(a_disk_lies_of_one_folder_alone),
        cmocka_unit_test(calls_take_their_time),
        cmocka_unit_test(a_flipped_bit_is_known),
        cmocka_unit_test(a_write_may_end_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
