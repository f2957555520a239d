#include "testing/sim/sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

/* A world is once a process: each test has one of its own. */
static uint64_t in_child(uint64_t (*run)(uint64_t seed), uint64_t seed)
{
    int ends[2];
    uint64_t result = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        qr_sim_world(seed, 1000000 * (int64_t)QR_SIM_S);
        result = run(seed);
        _exit(write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], &result, sizeof result);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(n, sizeof result);
    return result;
}

static char trail[256];
static unsigned trail_len;

static void step(char what)
{
    if (trail_len < sizeof trail - 1)
        trail[trail_len++] = what;
}

static bool trail_is(const char *expected)
{
    bool same = strcmp(trail, expected) == 0;
    if (!same)
        fprintf(stderr, "trail \"%s\", expected \"%s\"\n", trail, expected);
    return same;
}

static struct qr_sim_fiber *sleeper;

static void other(void *data)
{
    (void)data;
    step('b');
    qr_sim_sleep(2 * QR_SIM_MS);
    step('d');
    qr_sim_wake(sleeper);
    step('e');
}

static int main_of_threads(void *data)
{
    (void)data;
    sleeper = qr_sim_fiber();
    qr_sim_spawn(other, NULL);
    step('a');
    errno = 7;
    qr_sim_sleep(QR_SIM_MS);
    step(errno == 7 ? 'c' : '?');
    step(qr_sim_park(QR_SIM_S) ? 'f' : '?');
    uint64_t then = qr_sim_now_ns();
    step(!qr_sim_park(QR_SIM_S) && qr_sim_now_ns() == then + QR_SIM_S ? 'g' : '?');
    qr_sim_wake(sleeper);
    step(qr_sim_park(QR_SIM_FOREVER) ? 'h' : '?');
    return 3;
}

static uint64_t run_threads(uint64_t seed)
{
    (void)seed;
    struct qr_sim_host *host = qr_sim_host_new("one");
    qr_sim_host_boot(host, main_of_threads, NULL);
    while (qr_sim_step())
        continue;
    return trail_is("abcdefgh") && !host->up && host->down == QR_SIM_EXIT && host->exit_code == 3;
}

static void fibers_sleep_park_and_wake(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_threads, 1), 1);
}

static void ticking(void *data)
{
    for (;;) {
        step(*(char *)data);
        qr_sim_sleep(10 * QR_SIM_MS);
    }
}

static int main_of_ticks(void *data)
{
    ticking(data);
    return 0;
}

static struct qr_sim_host *heard_of;

static void on_down(struct qr_sim_host *host)
{
    heard_of = host;
}

static uint64_t run_kill(uint64_t seed)
{
    (void)seed;
    char a = 'a', b = 'b';
    struct qr_sim_host *one = qr_sim_host_new("one"), *two = qr_sim_host_new("two");
    qr_sim_on_down(on_down);
    qr_sim_host_boot(one, main_of_ticks, &a);
    qr_sim_host_boot(two, main_of_ticks, &b);
    qr_sim_run_until(15 * QR_SIM_MS);
    qr_sim_host_kill(one, QR_SIM_POWER);
    qr_sim_run_until(25 * QR_SIM_MS);
    bool heard = heard_of == one && one->down == QR_SIM_POWER && !one->up;
    qr_sim_host_boot(one, main_of_ticks, &a);
    qr_sim_host_pause(two);
    qr_sim_run_until(45 * QR_SIM_MS);
    qr_sim_host_resume(two);
    qr_sim_run_until(46 * QR_SIM_MS);
    return heard && one->life == 2 && trail_is("ababbaaab");
}

static void hosts_die_are_paused_and_come_back(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_kill, 1), 1);
}

static void dying(void *data)
{
    (void)data;
    step('x');
    qr_sim_die(QR_SIM_KILL, 0);
}

static int main_of_dying(void *data)
{
    qr_sim_spawn(dying, NULL);
    step('m');
    qr_sim_sleep(QR_SIM_S);
    step('?');
    (void)data;
    return 0;
}

static uint64_t run_die(uint64_t seed)
{
    (void)seed;
    struct qr_sim_host *host = qr_sim_host_new("one");
    for (int i = 0; i < 3; i++) {
        qr_sim_host_boot(host, main_of_dying, NULL);
        while (qr_sim_step())
            continue;
    }
    return trail_is("mxmxmx") && host->down == QR_SIM_KILL;
}

static void a_thread_ends_its_host_in_the_middle(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_die, 1), 1);
}

static int main_of_chance(void *data)
{
    for (int i = 0; i < 50; i++)
        qr_sim_sleep(1 + qr_sim_below(QR_SIM_MS));
    (void)data;
    return 0;
}

static uint64_t run_chance(uint64_t seed)
{
    (void)seed;
    for (int i = 0; i < 5; i++)
        qr_sim_host_boot(qr_sim_host_new("any"), main_of_chance, NULL);
    while (qr_sim_step())
        continue;
    return qr_sim_digest();
}

static void a_seed_is_a_history(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_chance, 5), in_child(run_chance, 5));
    assert_int_not_equal(in_child(run_chance, 5), in_child(run_chance, 6));
}

/* Events come in time, those of one time in the order of asking; cancelled ones never. */
struct noted {
    struct qr_sim_event event;
    uint64_t at_ms;
};

static uint64_t last_ms;
static unsigned n_came;

static void on_noted(struct qr_sim_event *event)
{
    struct noted *noted = QR_CONTAINER_OF(event, struct noted, event);
    if (noted->at_ms >= last_ms && qr_sim_now_ns() == noted->at_ms * QR_SIM_MS)
        n_came++;
    last_ms = noted->at_ms;
}

static uint64_t run_queue(uint64_t seed)
{
    static struct noted noted[3000];
    (void)seed;
    unsigned n = 0;
    for (unsigned i = 0; i < 3000; i++) {
        noted[i].at_ms = 1 + qr_sim_below(500);
        qr_sim_event_at(&noted[i].event, NULL, noted[i].at_ms * QR_SIM_MS, on_noted);
    }
    for (unsigned i = 0; i < 3000; i++)
        if (qr_sim_chance(3))
            qr_sim_event_cancel(&noted[i].event);
        else
            n++;
    qr_sim_run_until(QR_SIM_S);
    return n_came == n && qr_sim_now_ns() == QR_SIM_S;
}

static void events_come_in_time(void **state)
{
    (void)state;
    assert_int_equal(in_child(run_queue, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fibers_sleep_park_and_wake),
        cmocka_unit_test(hosts_die_are_paused_and_come_back),
        cmocka_unit_test(a_thread_ends_its_host_in_the_middle),
        cmocka_unit_test(a_seed_is_a_history),
        cmocka_unit_test(events_come_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
