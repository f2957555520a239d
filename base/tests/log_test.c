#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "testing/cmocka.h"

/* The log goes into a pipe, and what came out of it is read back. */
static int pipe_fds[2];

static int open_pipe(void **state)
{
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    qr_log_open(pipe_fds[1], QR_LOG_INFO);
    return 0;
}

static int close_pipe(void **state)
{
    qr_log_open(2, QR_LOG_INFO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static const char *logged(void)
{
    static char text[65536];
    ssize_t n = read(pipe_fds[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void a_line_has_time_level_and_sentence(void **state)
{
    qr_warn("child refused reason=\"%s\" port=%d", "wrong key", 19999);
    const char *line = logged();
    static const char pattern[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; pattern[i] != '\0'; i++) {
        if (pattern[i] == 'd')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], pattern[i]);
    }
    assert_string_equal(line + 24, " warn child refused reason=\"wrong key\" port=19999\n");
}

static void lower_levels_are_left_out(void **state)
{
    qr_debug("not this");
    assert_string_equal(logged(), "");
    qr_log_open(pipe_fds[1], QR_LOG_ERROR);
    qr_warn("nor this");
    assert_string_equal(logged(), "");
    qr_error("this");
    assert_non_null(strstr(logged(), "Z error this\n"));
    qr_log_open(pipe_fds[1], QR_LOG_DEBUG);
    qr_debug("and this");
    assert_non_null(strstr(logged(), "Z debug and this\n"));
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    char *text = malloc(10000);
    assert_non_null(text);
    memset(text, 'x', 9999);
    text[9999] = '\0';
    qr_info("%s", text);
    const char *line = logged();
    size_t len = strlen(line);
    assert_in_range(len, 1000, 2048);
    assert_int_equal(line[len - 1], '\n');
    assert_int_equal(line[len - 2], 'x');
    free(text);
}

static void errno_is_preserved(void **state)
{
    qr_log_open(-1, QR_LOG_INFO); /* its write fails */
    errno = EEXIST;
    qr_error("lost");
    assert_int_equal(errno, EEXIST);
}

static void *log_lines(void *arg)
{
    for (int i = 0; i < 100; i++)
        qr_info("line of thread %s", (const char *)arg);
    return NULL;
}

static void lines_of_several_threads_stay_whole(void **state)
{
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, log_lines, "aaaaaaaaaaaaaaaaaaaa"), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, log_lines, "bbbbbbbbbbbbbbbbbbbb"), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    int n = 0;
    for (const char *line = logged(); *line != '\0'; n++) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(strncmp(end - 20, "aaaaaaaaaaaaaaaaaaaa", 20) == 0 ||
                    strncmp(end - 20, "bbbbbbbbbbbbbbbbbbbb", 20) == 0);
        assert_int_equal(end - line, 24 + 6 + 15 + 20);
        line = end + 1;
    }
    assert_int_equal(n, 200);
}

static void a_limit_lets_a_burst_through_and_counts_the_rest(void **state)
{
    struct qr_log_limit limit = {0};
    unsigned held;
    for (int i = 0; i < 3; i++) {
        assert_true(qr_log_allowed(&limit, 3, 60000, &held));
        assert_int_equal(held, 0);
    }
    for (int i = 0; i < 5; i++)
        assert_false(qr_log_allowed(&limit, 3, 60000, &held));

    /* The period is over (made so: nobody waits a minute): the next line tells what was held. */
    limit.period_started_ms = qr_clock_mono_ms(&qr_clock_system) - 60000;
    assert_true(qr_log_allowed(&limit, 3, 60000, &held));
    assert_int_equal(held, 5);
    assert_true(qr_log_allowed(&limit, 3, 60000, &held));
    assert_int_equal(held, 0);
}

static void strangers_bytes_are_escaped_and_cut(void **state)
{
    char text[32];
    assert_string_equal(qr_log_escape(text, sizeof text, qr_slice_str("plain text")), "plain text");
    assert_string_equal(qr_log_escape(text, sizeof text, qr_slice_of("a\n\"\\\0\xff", 6)),
                        "a\\x0a\\x22\\x5c\\x00\\xff");
    /* Cut to whole escapes, whatever the room. */
    for (size_t room = 1; room <= sizeof text; room++) {
        memset(text, 'z', sizeof text);
        qr_log_escape(text, room, qr_slice_str("\n\n\n\n\n\n\n\n\n\n"));
        size_t len = strlen(text);
        assert_true(len < room);
        assert_int_equal(len % 4, 0);
        for (size_t i = room; i < sizeof text; i++)
            assert_int_equal(text[i], 'z');
    }
}

static char taken[256];
static enum qr_log_level taken_level;

static void take(enum qr_log_level level, const char *line, size_t n)
{
    assert_true(n < sizeof taken);
    memcpy(taken, line, n);
    taken[n] = '\0';
    taken_level = level;
}

static void lines_go_to_who_takes_them(void **state)
{
    qr_log_to(take);
    qr_warn("a line n=%d", 7);
    qr_debug("below the level");
    qr_log_to(NULL);
    assert_int_equal(taken_level, QR_LOG_WARN);
    assert_string_equal(taken + 24, " warn a line n=7\n");
    assert_string_equal(logged(), ""); /* Nothing came this way. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_and_sentence, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(lower_levels_are_left_out, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_still_ends, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(errno_is_preserved, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(lines_of_several_threads_stay_whole, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(lines_go_to_who_takes_them, open_pipe, close_pipe),
        cmocka_unit_test(a_limit_lets_a_burst_through_and_counts_the_rest),
        cmocka_unit_test(strangers_bytes_are_escaped_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
