/* cluster/tests/in_child.h — runs what may crash in a child process.  For tests only. */
#ifndef QR_CLUSTER_TESTS_IN_CHILD_H
#define QR_CLUSTER_TESTS_IN_CHILD_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

enum outcome { WELL, WRONG, CRASHED };

static const char *const outcome_names[] = {"well", "wrong", "crashed"};

/* Runs `what(argument)` in a child, which says whether it went well. */
static inline enum outcome in_child(bool (*what)(unsigned argument), unsigned argument)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE};
        for (size_t i = 0; i < QR_COUNT(signals); i++)
            signal(signals[i], SIG_DFL); /* Not cmocka's. */
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        _exit(what(argument) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return CRASHED;
    return WEXITSTATUS(status) == 0 ? WELL : WRONG;
}

#endif
