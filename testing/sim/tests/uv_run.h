/* testing/sim/tests/uv_run.h — runs a group of tests of libuv's behaviour: once by the real libuv,
 * or with QR_SIM_FALSE by the false one, as the only process of a simulated host, from many seeds.
 * argv[1]: that seed alone. */
#ifndef QR_TESTING_SIM_TESTS_UV_RUN_H
#define QR_TESTING_SIM_TESTS_UV_RUN_H

#include <stdio.h>
#include <stdlib.h>

#if QR_SIM_FALSE
#include <sys/wait.h>
#include <unistd.h>

#include "testing/sim/sched.h"
#include "testing/sim/uv_sim.h"

#define UV_RUN_SEEDS 30u

static int (*uv_run_group)(void);

static int uv_run_host(void *data)
{
    (void)data;
    return uv_run_group();
}

static int uv_run_seed(uint64_t seed)
{
    qr_sim_world(seed, 1000000 * (int64_t)QR_SIM_S);
    qr_uv_init();
    struct qr_sim_host *host = qr_sim_host_new("host");
    qr_sim_host_boot(host, uv_run_host, NULL);
    qr_sim_run_until(3600 * QR_SIM_S);
    if (host->up)
        fprintf(stderr, "seed %u: still running after an hour\n", (unsigned)seed);
    return host->up ? 1 : host->exit_code;
}

static inline int uv_run_main(int argc, char **argv, int (*group)(void))
{
    uv_run_group = group;
    if (argc > 1)
        return uv_run_seed(strtoull(argv[1], NULL, 10));
    for (uint64_t seed = 1; seed <= UV_RUN_SEEDS; seed++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (freopen("/dev/null", "w", stdout) == NULL)
                _exit(1);
            int failed = uv_run_seed(seed);
            fflush(NULL);
            _exit(failed);
        }
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            fprintf(stderr, "failed from seed %u: %s %u\n", (unsigned)seed, argv[0],
                    (unsigned)seed);
            return 1;
        }
    }
    return 0;
}
#else
static inline int uv_run_main(int argc, char **argv, int (*group)(void))
{
    (void)argc;
    (void)argv;
    return group();
}
#endif

#endif
