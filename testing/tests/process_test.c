#include "testing/process.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing/cmocka.h"

static char dir[QR_TEMP_DIR_BYTES];
static char log_path[QR_TEMP_DIR_BYTES + 16];

static int make_dir(void **state)
{
    (void)state;
    qr_temp_dir(dir, "process");
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    qr_remove_dir(dir);
    return access(dir, F_OK) == 0;
}

static void start_shell(struct qr_process *process, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    assert_int_equal(qr_process_start(process, "shell", log_path, -1, argv), 0);
}

static void keeps_output_and_status(void **state)
{
    (void)state;
    struct qr_process process;
    start_shell(&process, "echo out; echo err >&2; exit 3");
    assert_true(qr_process_wait(&process, 60000));
    assert_int_equal(WEXITSTATUS(process.status), 3);
    char text[64] = "";
    FILE *file = fopen(log_path, "r");
    assert_int_equal(fread(text, 1, sizeof text - 1, file), 8);
    fclose(file);
    assert_string_equal(text, "out\nerr\n");
    const char *none[] = {"/no/such/program", NULL};
    assert_int_equal(qr_process_run(none), 127);
}

static bool has_said_something(void *data)
{
    struct stat st;
    (void)data;
    return stat(log_path, &st) == 0 && st.st_size > 0;
}

static void stops_kills_and_pauses(void **state)
{
    (void)state;
    struct qr_process process;
    start_shell(&process, "trap 'exit 0' TERM; echo trapped; while :; do sleep 0.05; done");
    assert_true(qr_wait_for(has_said_something, NULL, 60000, 5));
    assert_true(qr_process_alive(&process));
    assert_false(qr_process_wait(&process, 30));
    qr_process_signal(&process, SIGSTOP);
    assert_true(qr_process_stop(&process, 60000));
    assert_false(qr_process_alive(&process));
    start_shell(&process, "trap '' TERM; while :; do sleep 0.05; done");
    assert_false(qr_process_stop(&process, 200));
    assert_int_equal(process.pid, 0);
    start_shell(&process, "sleep 60");
    qr_process_kill(&process);
    assert_int_equal(WTERMSIG(process.status), SIGKILL);
}

static void measures_cpu_and_memory(void **state)
{
    (void)state;
    struct qr_process process;
    start_shell(&process, "while :; do :; done");
    uint64_t deadline = qr_mono_ms() + 10000;
    while (qr_process_cpu_s(&process) < 0.05)
        assert_true(qr_mono_ms() < deadline);
    assert_true(qr_process_rss_bytes(&process) > 100000);
    qr_process_kill(&process);
    assert_true(qr_process_cpu_s(&process) == 0);
}

static void finds_ports_apart(void **state)
{
    (void)state;
    uint16_t port = qr_free_ports(3);
    assert_true(port >= 23000 && port < 23800);
}

static bool count(void *data)
{
    return ++*(int *)data == 3;
}

static void waits_for_a_condition_or_a_deadline(void **state)
{
    (void)state;
    int n = 0;
    assert_true(qr_wait_for(count, &n, 1000, 1));
    n = 10;
    uint64_t before = qr_mono_ms();
    assert_false(qr_wait_for(count, &n, 50, 1));
    assert_true(qr_mono_ms() - before >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_output_and_status, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(stops_kills_and_pauses, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(measures_cpu_and_memory, make_dir, drop_dir),
        cmocka_unit_test(finds_ports_apart),
        cmocka_unit_test(waits_for_a_condition_or_a_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
