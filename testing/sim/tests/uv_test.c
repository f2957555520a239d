/* What our code relies on in libuv, as small programs that are run twice: by the real libuv, on
 * threads and loopback sockets (sim.uv_real), and by the false one, from many seeds (sim.uv).  Both
 * pass: that is what makes the false one trustworthy.  Built with QR_SIM_FALSE for the latter. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/compiler.h"
#include "testing/cmocka.h"
#include "testing/sim/tests/uv_run.h"

/* ---- what happened, in order ---- */

static char trail[512];
static size_t trail_len;

static void step(char what)
{
    if (trail_len < sizeof trail - 1) {
        trail[trail_len++] = what;
        trail[trail_len] = '\0';
    }
}

static uv_loop_t loop;

static int begin(void **state)
{
    (void)state;
    trail_len = 0;
    trail[0] = '\0';
    return uv_loop_init(&loop);
}

/* Whatever a test leaves open fails it. */
static int end(void **state)
{
    (void)state;
    return uv_loop_close(&loop);
}

static void run(void)
{
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static void step_closed(uv_handle_t *handle)
{
    (void)handle;
    step('x');
}

static void close_it(void *handle)
{
    uv_close(handle, NULL);
}

/* ---- timers ---- */

static void on_named_timer(uv_timer_t *timer)
{
    step(*(const char *)timer->data);
}

static void timers_come_in_order_of_time_then_of_start(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t ms;
    } rows[] = {{"d", 30}, {"b", 10}, {"c", 20}, {"e", 30}, {"a", 0}};
    uv_timer_t timers[QR_COUNT(rows)];
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        uv_timer_init(&loop, &timers[i]);
        timers[i].data = (void *)(uintptr_t)rows[i].name;
        assert_int_equal(uv_timer_start(&timers[i], on_named_timer, rows[i].ms, 0), 0);
        assert_true(uv_is_active((uv_handle_t *)&timers[i]));
    }
    uint64_t before_ms = uv_now(&loop);
    run();
    assert_string_equal(trail, "abcde");
    assert_in_range(uv_now(&loop) - before_ms, 30, 1000);
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        assert_false(uv_is_active((uv_handle_t *)&timers[i]));
        close_it(&timers[i]);
    }
    run();
}

static unsigned n_fired;

static void on_repeat(uv_timer_t *timer)
{
    step('r');
    if (++n_fired == 3) {
        uv_timer_stop(timer);
        uv_timer_t *other = timer->data;
        assert_int_equal(uv_timer_again(other), 0); /* It goes on with its repeat. */
    }
}

static void on_again(uv_timer_t *timer)
{
    step('g');
    close_it(timer);
    close_it(timer->data);
}

static void a_timer_repeats_until_stopped(void **state)
{
    (void)state;
    uv_timer_t timer, other;
    n_fired = 0;
    uv_timer_init(&loop, &timer);
    uv_timer_init(&loop, &other);
    timer.data = &other;
    other.data = &timer;
    assert_int_equal(uv_timer_again(&other), UV_EINVAL); /* Never started. */
    assert_int_equal(uv_timer_start(&timer, NULL, 1, 0), UV_EINVAL);
    uv_timer_start(&timer, on_repeat, 2, 3);
    uv_timer_start(&other, on_again, 100000, 5);
    run();
    assert_string_equal(trail, "rrrg");
}

static void on_stop_other(uv_timer_t *timer)
{
    step('s');
    uv_timer_stop(timer->data);
}

static void a_due_timer_can_be_stopped_by_another(void **state)
{
    (void)state;
    uv_timer_t first, second;
    uv_timer_init(&loop, &first);
    uv_timer_init(&loop, &second);
    first.data = &second;
    second.data = &first;
    uv_timer_start(&first, on_stop_other, 1, 0);
    uv_timer_start(&second, on_stop_other, 1, 0);
    run();
    assert_string_equal(trail, "s");
    close_it(&first);
    close_it(&second);
    run();
}

/* ---- the order of a turn ---- */

static uv_idle_t idles[2];
static uv_prepare_t prepares[2];
static uv_check_t check;
static unsigned n_turns;

static void on_idle(uv_idle_t *idle)
{
    step(idle == &idles[0] ? 'i' : 'j');
}

static void on_prepare(uv_prepare_t *prepare)
{
    step(prepare == &prepares[0] ? 'p' : 'q');
}

static void on_check(uv_check_t *handle)
{
    (void)handle;
    step('c');
    if (++n_turns < 3)
        return;
    for (unsigned i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&idles[i], step_closed);
        uv_close((uv_handle_t *)&prepares[i], step_closed);
    }
    uv_close((uv_handle_t *)&check, step_closed);
}

static void a_turn_runs_idle_prepare_check_and_closes(void **state)
{
    (void)state;
    n_turns = 0;
    for (unsigned i = 0; i < 2; i++) {
        uv_idle_init(&loop, &idles[i]);
        uv_idle_start(&idles[i], on_idle);
        uv_prepare_init(&loop, &prepares[i]);
        uv_prepare_start(&prepares[i], on_prepare);
    }
    uv_check_init(&loop, &check);
    uv_check_start(&check, on_check);
    run();
    assert_string_equal(trail, "jiqpc" /* who came last is first */ "jiqpc"
                               "jiqpc"
                               "xxxxx");
}

static uv_timer_t closers[3];

static void on_closed_in_order(uv_handle_t *handle)
{
    step((char)('0' + ((uv_timer_t *)(void *)handle - closers)));
    memset(handle, 0xff, sizeof(uv_timer_t)); /* It is ours again. */
}

static void on_close_all(uv_timer_t *timer)
{
    (void)timer;
    for (size_t i = 0; i < QR_COUNT(closers); i++) {
        uv_close((uv_handle_t *)&closers[i], on_closed_in_order);
        assert_true(uv_is_closing((uv_handle_t *)&closers[i]));
        assert_false(uv_is_active((uv_handle_t *)&closers[i]));
    }
    assert_int_equal(uv_timer_start(&closers[2], on_close_all, 0, 0), UV_EINVAL);
    step('t');
}

static void closing_ends_in_the_same_turn_last_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(closers); i++)
        uv_timer_init(&loop, &closers[i]);
    uv_timer_start(&closers[0], on_close_all, 1, 0);
    uv_timer_start(&closers[1], on_close_all, 5000, 0);
    run();
    assert_string_equal(trail, "t210");
}

static void on_stop_loop(uv_timer_t *timer)
{
    (void)timer;
    step('s');
    uv_stop(&loop);
}

static void stop_ends_after_the_turn_and_the_loop_goes_on_later(void **state)
{
    (void)state;
    uv_timer_t soon, late;
    uv_timer_init(&loop, &soon);
    uv_timer_init(&loop, &late);
    late.data = (void *)(uintptr_t) "l";
    uv_timer_start(&soon, on_stop_loop, 1, 0);
    uv_timer_start(&late, on_named_timer, 20, 0);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 1); /* Something is alive. */
    assert_string_equal(trail, "s");
    assert_int_equal(uv_loop_close(&loop), UV_EBUSY);
    run();
    assert_string_equal(trail, "sl");
    close_it(&soon);
    close_it(&late);
    run();
}

static void what_is_unreferenced_keeps_nothing_alive(void **state)
{
    (void)state;
    uv_timer_t timer;
    uv_async_t async;
    uv_timer_init(&loop, &timer);
    assert_int_equal(uv_loop_alive(&loop), 0);
    uv_timer_start(&timer, on_named_timer, 100000, 0);
    assert_int_not_equal(uv_loop_alive(&loop), 0);
    uv_unref((uv_handle_t *)&timer);
    assert_int_equal(uv_loop_alive(&loop), 0);
    uv_async_init(&loop, &async, NULL);
    assert_int_not_equal(uv_loop_alive(&loop), 0);
    uv_unref((uv_handle_t *)&async);
    run(); /* At once. */
    assert_int_equal(uv_run(&loop, UV_RUN_NOWAIT), 0);
    close_it(&timer);
    close_it(&async);
    assert_int_not_equal(uv_loop_alive(&loop), 0);
    run();
}

static void run_once_and_nowait_do_one_turn(void **state)
{
    (void)state;
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    timer.data = (void *)(uintptr_t) "t";
    uv_timer_start(&timer, on_named_timer, 20, 0);
    assert_int_not_equal(uv_run(&loop, UV_RUN_NOWAIT), 0);
    assert_string_equal(trail, "");
    assert_int_equal(uv_run(&loop, UV_RUN_ONCE), 0); /* Waits for it, and runs it. */
    assert_string_equal(trail, "t");
    close_it(&timer);
    run();
}

/* ---- asyncs and threads ---- */

static uv_async_t async;
static unsigned n_heard, n_sent_before;

static void on_async(uv_async_t *handle)
{
    (void)handle;
    n_heard++;
    if (n_sent_before == 100)
        close_it(&async);
}

static void send_many(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 100; i++) {
        n_sent_before = i + 1;
        uv_async_send(&async);
    }
}

static void asyncs_are_merged_but_the_last_is_heard(void **state)
{
    (void)state;
    uv_thread_t thread;
    n_heard = n_sent_before = 0;
    uv_async_init(&loop, &async, on_async);
    assert_int_equal(uv_thread_create(&thread, send_many, NULL), 0);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_int_equal(n_heard, 0); /* Only the loop's turn hears. */
    run();
    assert_int_equal(n_heard, 1);
}

static struct {
    uv_mutex_t lock;
    uv_cond_t filled;
    uv_sem_t go;
    unsigned n_ready, n_in;
    bool torn;
} shared;

static void take_part(void *arg)
{
    (void)arg;
    uv_sem_wait(&shared.go);
    for (unsigned i = 0; i < 50; i++) {
        uv_mutex_lock(&shared.lock);
        shared.torn |= shared.n_in++ != 0;
        if (i % 10 == 0)
            uv_sleep(0);
        shared.torn |= --shared.n_in != 0;
        uv_mutex_unlock(&shared.lock);
    }
    uv_mutex_lock(&shared.lock);
    shared.n_ready++;
    uv_cond_signal(&shared.filled);
    uv_mutex_unlock(&shared.lock);
}

static void threads_wait_for_each_other(void **state)
{
    (void)state;
    uv_thread_t threads[4];
    memset(&shared, 0, sizeof shared);
    uv_mutex_init(&shared.lock);
    uv_cond_init(&shared.filled);
    uv_sem_init(&shared.go, 0);
    for (size_t i = 0; i < QR_COUNT(threads); i++)
        assert_int_equal(uv_thread_create(&threads[i], take_part, NULL), 0);
    assert_int_equal(uv_sem_trywait(&shared.go), UV_EAGAIN);
    for (size_t i = 0; i < QR_COUNT(threads); i++)
        uv_sem_post(&shared.go);
    uv_mutex_lock(&shared.lock);
    while (shared.n_ready < QR_COUNT(threads))
        uv_cond_wait(&shared.filled, &shared.lock);
    /* Nobody signals any more. */
    assert_int_equal(uv_cond_timedwait(&shared.filled, &shared.lock, 2000000), UV_ETIMEDOUT);
    uv_mutex_unlock(&shared.lock);
    for (size_t i = 0; i < QR_COUNT(threads); i++)
        uv_thread_join(&threads[i]);
    assert_false(shared.torn);
    uv_mutex_destroy(&shared.lock);
    uv_cond_destroy(&shared.filled);
    uv_sem_destroy(&shared.go);
}

static struct {
    uv_rwlock_t lock;
    uv_barrier_t both;
    int value, seen;
} doc;

static void write_then_meet(void *arg)
{
    (void)arg;
    uv_rwlock_wrlock(&doc.lock);
    doc.value = 1;
    uv_sleep(1);
    doc.value = 2;
    uv_rwlock_wrunlock(&doc.lock);
    uv_barrier_wait(&doc.both);
}

static void readers_wait_for_writers_and_a_barrier_for_all(void **state)
{
    (void)state;
    uv_thread_t thread;
    memset(&doc, 0, sizeof doc);
    uv_rwlock_init(&doc.lock);
    uv_barrier_init(&doc.both, 2);
    uv_rwlock_rdlock(&doc.lock);
    uv_rwlock_rdlock(&doc.lock);
    assert_int_equal(uv_rwlock_trywrlock(&doc.lock), UV_EBUSY);
    uv_thread_create(&thread, write_then_meet, NULL);
    uv_sleep(1);
    assert_int_equal(doc.value, 0);
    uv_rwlock_rdunlock(&doc.lock);
    uv_rwlock_rdunlock(&doc.lock);
    uv_barrier_wait(&doc.both);
    uv_rwlock_rdlock(&doc.lock);
    assert_int_equal(doc.value, 2);
    uv_rwlock_rdunlock(&doc.lock);
    uv_thread_join(&thread);
    uv_barrier_destroy(&doc.both);
    uv_rwlock_destroy(&doc.lock);
}

static uv_once_t once = UV_ONCE_INIT;

static void step_once(void)
{
    step('1');
}

static void once_is_once(void **state)
{
    (void)state;
    uv_once(&once, step_once);
    uv_once(&once, step_once);
    assert_string_equal(trail, "1");
}

/* ---- jobs ---- */

static uv_sem_t hold, held;
static unsigned n_worked, n_after, n_cancelled;

static void work(uv_work_t *req)
{
    *(unsigned *)req->data += 1;
}

static void hold_worker(uv_work_t *req)
{
    (void)req;
    uv_sem_post(&held);
    uv_sem_wait(&hold);
}

static void after(uv_work_t *req, int status)
{
    (void)req;
    n_after++;
    n_cancelled += status == UV_ECANCELED;
    assert_true(status == 0 || status == UV_ECANCELED);
}

static void jobs_run_elsewhere_and_end_on_the_loop(void **state)
{
    (void)state;
    uv_work_t jobs[40];
    unsigned done[40] = {0};
    n_after = n_cancelled = 0;
    for (size_t i = 0; i < QR_COUNT(jobs); i++) {
        jobs[i].data = &done[i];
        assert_int_equal(uv_queue_work(&loop, &jobs[i], work, after), 0);
    }
    assert_int_equal(n_after, 0);
    run();
    assert_int_equal(n_after, QR_COUNT(jobs));
    for (size_t i = 0; i < QR_COUNT(jobs); i++)
        assert_int_equal(done[i], 1);
    assert_int_equal(uv_queue_work(&loop, &jobs[0], NULL, after), UV_EINVAL);
}

static void jobs_that_wait_can_be_cancelled(void **state)
{
    (void)state;
    uv_work_t holders[4], waits[3];
    n_after = n_cancelled = n_worked = 0;
    uv_sem_init(&hold, 0);
    uv_sem_init(&held, 0);
    for (size_t i = 0; i < QR_COUNT(holders); i++) /* The whole pool. */
        uv_queue_work(&loop, &holders[i], hold_worker, after);
    for (size_t i = 0; i < QR_COUNT(holders); i++)
        uv_sem_wait(&held);
    for (size_t i = 0; i < QR_COUNT(waits); i++) {
        waits[i].data = &n_worked;
        uv_queue_work(&loop, &waits[i], work, after);
    }
    assert_int_equal(uv_cancel((uv_req_t *)&holders[0]), UV_EBUSY);
    assert_int_equal(uv_cancel((uv_req_t *)&waits[1]), 0);
    assert_int_equal(n_after, 0);
    for (size_t i = 0; i < QR_COUNT(holders); i++)
        uv_sem_post(&hold);
    run();
    assert_int_equal(n_after, 7);
    assert_int_equal(n_cancelled, 1);
    assert_int_equal(n_worked, 2);
    uv_sem_destroy(&hold);
    uv_sem_destroy(&held);
}

/* ---- files ---- */

static char dir[] = "/tmp/qr-sim-uv-XXXXXX";
static uv_fs_t fs_req;
static uv_file fs_file;
static char fs_text[16];

static const char *in_dir(const char *name)
{
    static char paths[2][64];
    static unsigned n;
    char *path = paths[n++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void files_are_written_renamed_and_listed(void **state)
{
    (void)state;
    uv_fs_t req;
    assert_non_null(mkdtemp(dir));
    int flags = UV_FS_O_RDWR | UV_FS_O_CREAT | UV_FS_O_EXCL;
    assert_int_equal(uv_fs_open(NULL, &req, in_dir("none"), UV_FS_O_RDONLY, 0, NULL), UV_ENOENT);
    uv_file file = uv_fs_open(NULL, &req, in_dir("b"), flags, 0600, NULL);
    assert_true(file >= 0);
    assert_int_equal(uv_fs_open(NULL, &req, in_dir("b"), flags, 0600, NULL), UV_EEXIST);
    uv_buf_t parts[] = {uv_buf_init((char *)(uintptr_t) "abc", 3),
                        uv_buf_init((char *)(uintptr_t) "defg", 4)};
    assert_int_equal(uv_fs_write(NULL, &req, file, parts, 2, -1, NULL), 7);
    assert_int_equal(uv_fs_write(NULL, &req, file, parts, 1, 1, NULL), 3);
    assert_int_equal(uv_fs_fsync(NULL, &req, file, NULL), 0);
    assert_int_equal(uv_fs_ftruncate(NULL, &req, file, 6, NULL), 0);
    char text[16] = "";
    uv_buf_t into = uv_buf_init(text, sizeof text);
    assert_int_equal(uv_fs_read(NULL, &req, file, &into, 1, 0, NULL), 6);
    assert_string_equal(text, "aabcef");
    assert_int_equal(uv_fs_fstat(NULL, &req, file, NULL), 0);
    assert_int_equal(req.statbuf.st_size, 6);
    assert_int_equal(uv_fs_close(NULL, &req, file, NULL), 0);
    assert_int_equal(uv_fs_rename(NULL, &req, in_dir("b"), in_dir("c"), NULL), 0);
    assert_int_equal(uv_fs_stat(NULL, &req, in_dir("b"), NULL), UV_ENOENT);
    assert_int_equal(uv_fs_mkdir(NULL, &req, in_dir("a"), 0700, NULL), 0);
    assert_int_equal(uv_fs_scandir(NULL, &req, dir, 0, NULL), 2);
    uv_dirent_t entry;
    assert_int_equal(uv_fs_scandir_next(&req, &entry), 0);
    assert_string_equal(entry.name, "a"); /* By name. */
    assert_int_equal(uv_fs_scandir_next(&req, &entry), 0);
    assert_string_equal(entry.name, "c");
    assert_int_equal(uv_fs_scandir_next(&req, &entry), UV_EOF);
    uv_fs_req_cleanup(&req);
    assert_int_equal(uv_fs_unlink(NULL, &req, in_dir("c"), NULL), 0);
    assert_int_equal(uv_fs_rmdir(NULL, &req, in_dir("a"), NULL), 0);
    assert_int_equal(uv_fs_scandir(NULL, &req, in_dir("none"), 0, NULL), UV_ENOENT);
    assert_int_equal(uv_fs_rmdir(NULL, &req, dir, NULL), 0);
}

static void on_file_closed(uv_fs_t *req)
{
    assert_int_equal(req->result, 0);
    uv_fs_req_cleanup(req);
    step('c');
}

static void on_file_read(uv_fs_t *req)
{
    assert_int_equal(req->result, 0); /* At the end of /dev/null. */
    uv_fs_req_cleanup(req);
    step('r');
    assert_int_equal(uv_fs_close(&loop, req, fs_file, on_file_closed), 0);
}

static void on_file_opened(uv_fs_t *req)
{
    assert_true(req->result >= 0);
    assert_string_equal(req->path, "/dev/null");
    fs_file = (uv_file)req->result;
    uv_fs_req_cleanup(req);
    step('o');
    uv_buf_t into = uv_buf_init(fs_text, sizeof fs_text);
    assert_int_equal(uv_fs_read(&loop, req, fs_file, &into, 1, -1, on_file_read), 0);
}

static void on_not_opened(uv_fs_t *req)
{
    assert_int_equal(req->result, UV_ENOENT);
    uv_fs_req_cleanup(req);
    step('e');
}

static void files_are_opened_and_read_in_the_pool(void **state)
{
    (void)state;
    char path[32] = "/dev/null";
    assert_int_equal(uv_fs_open(&loop, &fs_req, path, UV_FS_O_RDONLY, 0, on_file_opened), 0);
    memset(path, 'x', sizeof path - 1); /* It was copied. */
    run();
    assert_string_equal(trail, "orc");
    assert_int_equal(uv_fs_open(&loop, &fs_req, "/none", UV_FS_O_RDONLY, 0, on_not_opened), 0);
    run();
    assert_string_equal(trail, "orce");
}

/* ---- signals ---- */

static void send_signal(int number)
{
#if QR_SIM_FALSE
    assert_true(qr_uv_signal(qr_sim_host(), number));
#else
    assert_int_equal(raise(number), 0);
#endif
}

static unsigned n_signals;

static void on_signal(uv_signal_t *handle, int number)
{
    assert_int_equal(number, SIGUSR1);
    assert_int_equal(handle->signum, SIGUSR1);
    step('s');
    if (++n_signals == 2)
        close_it(handle);
}

static void on_send_again(uv_timer_t *timer)
{
    send_signal(SIGUSR1);
    close_it(timer);
}

static void signals_are_heard_on_the_loop(void **state)
{
    (void)state;
    uv_signal_t handle, once_handle;
    uv_timer_t timer;
    n_signals = 0;
    uv_signal_init(&loop, &handle);
    uv_signal_init(&loop, &once_handle);
    assert_int_equal(uv_signal_start(&handle, on_signal, 0), UV_EINVAL);
    assert_int_equal(uv_signal_start(&handle, on_signal, SIGUSR1), 0);
    send_signal(SIGUSR1);
    assert_int_equal(n_signals, 0);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_send_again, 20, 0);
    close_it(&once_handle);
    run();
    assert_string_equal(trail, "ss");
}

static int group(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(timers_come_in_order_of_time_then_of_start),
        TEST(a_timer_repeats_until_stopped),
        TEST(a_due_timer_can_be_stopped_by_another),
        TEST(a_turn_runs_idle_prepare_check_and_closes),
        TEST(closing_ends_in_the_same_turn_last_first),
        TEST(stop_ends_after_the_turn_and_the_loop_goes_on_later),
        TEST(what_is_unreferenced_keeps_nothing_alive),
        TEST(run_once_and_nowait_do_one_turn),
        TEST(asyncs_are_merged_but_the_last_is_heard),
        TEST(threads_wait_for_each_other),
        TEST(readers_wait_for_writers_and_a_barrier_for_all),
        TEST(once_is_once),
        TEST(jobs_run_elsewhere_and_end_on_the_loop),
        TEST(jobs_that_wait_can_be_cancelled),
        TEST(files_are_written_renamed_and_listed),
        TEST(files_are_opened_and_read_in_the_pool),
        TEST(signals_are_heard_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return uv_run_main(argc, argv, group);
}
