/* Test code that runs on a simulated host: what it finds wrong there is counted, for cmocka's
 * assertions jump and must not leave a fiber. */
#ifndef QR_TESTING_SIM_TESTS_ON_HOST_H
#define QR_TESTING_SIM_TESTS_ON_HOST_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "testing/cmocka.h"
#include "testing/sim/sched.h"

static unsigned n_wrong;

#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (errno %s)\n", __FILE__, __LINE__, #condition,      \
                    strerror(errno));                                                              \
            n_wrong++;                                                                             \
        }                                                                                          \
    } while (0)

/* Until it is down. */
static inline void run_on(struct qr_sim_host *host, int (*main_of_host)(void *data), void *data)
{
    qr_sim_host_boot(host, main_of_host, data);
    while (host->up)
        assert_true(qr_sim_step());
    assert_int_equal(n_wrong, 0);
}

#endif
