/* A test of ours, whose main() was renamed, as the only process of a simulated host.
 *   QR_SIM_SEED  of the world, or 1;  QR_SIM_SKIP  tests that are left out (cmocka's pattern) */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "testing/cmocka.h"
#include "testing/sim/fd.h"
#include "testing/sim/libc.h"
#include "testing/sim/sched.h"
#include "testing/sim/uv_sim.h"

int qr_tested_main(void);

/* Instead of mkdtemp("/tmp/name-XXXXXX"): on the disk of the host. */
char *qr_sim_mkdtemp(char *path);
char *qr_sim_mkdtemp(char *path)
{
    static unsigned n;
    size_t len = strlen(path);
    assert(strncmp(path, "/tmp/", 5) == 0);
    memcpy(path, "/sim", 4);
    snprintf(path + len - 6, 7, "%06u", ++n);
    return mkdir(path, 0700) == 0 ? path : NULL;
}

static int fd_events(int fd)
{
    return qr_sim_is_fd(fd) && qr_sim_fd_is_readable(fd) ? UV_READABLE : 0;
}

static int host_main(void *data)
{
    (void)data;
    return qr_tested_main();
}

int main(void)
{
    const char *seed = getenv("QR_SIM_SEED"), *skip = getenv("QR_SIM_SKIP");
    if (skip != NULL)
        cmocka_set_skip_filter(skip);
    qr_sim_openssl();
    qr_sim_world(seed != NULL ? strtoull(seed, NULL, 10) : 1, 1700000000 * (int64_t)QR_SIM_S);
    qr_uv_init();
    qr_uv_poll_source(fd_events);
    qr_sim_on_readable(qr_uv_poll_changed);
    struct qr_sim_host *host = qr_sim_host_new("host");
    qr_sim_host_boot(host, host_main, NULL);
    qr_sim_run_until(24 * 3600 * QR_SIM_S);
    if (host->up)
        fprintf(stderr, "still running after a day\n");
    fflush(NULL);
    return host->up ? 1 : host->exit_code;
}
