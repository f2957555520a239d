/* Clocks, chance and the process. */
#include <assert.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "testing/sim/libc.h"
#include "testing/sim/sched.h"

#define NS_A_SECOND ((int64_t)QR_SIM_S)

/* ---- clocks ---- */

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_A_SECOND, .tv_nsec = ns % NS_A_SECOND};
}

/* What a process has computed: nobody knows, but it must be the same in each run. */
static uint64_t false_cpu_ns(void)
{
    return qr_sim_now_ns() / 50;
}

static uint64_t kernel_clock(clockid_t id)
{
    struct timespec now;
    qr_sim_kernel(SYS_clock_gettime, id, (long)(uintptr_t)&now, 0, 0, 0, 0);
    return (uint64_t)now.tv_sec * QR_SIM_S + (uint64_t)now.tv_nsec;
}

uint64_t qr_sim_wall_ns(void)
{
    return kernel_clock(CLOCK_MONOTONIC);
}

uint64_t qr_sim_cpu_ns(void)
{
    return kernel_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        *now = timespec_of(qr_sim_real_ns());
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        *now = timespec_of((int64_t)qr_sim_mono_ns());
        return 0;
    default:
        *now = timespec_of((int64_t)(qr_sim_host() != NULL ? false_cpu_ns() : kernel_clock(id)));
        return 0;
    }
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    int64_t us = qr_sim_real_ns() / 1000;
    *now = (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    return 0;
}

time_t(time)(time_t *out)
{
    time_t now = qr_sim_real_ns() / NS_A_SECOND;
    if (out != NULL)
        *out = now;
    return now;
}

/* ---- waiting ---- */

static bool sleeps_here(int64_t seconds, int64_t ns)
{
    if (qr_sim_fiber() == NULL)
        return false;
    qr_sim_sleep((uint64_t)seconds * QR_SIM_S + (uint64_t)ns);
    return true;
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    if (sleeps_here(wanted->tv_sec, wanted->tv_nsec))
        return 0;
    return (int)qr_sim_answer(
        qr_sim_kernel(SYS_nanosleep, (long)(uintptr_t)wanted, (long)(uintptr_t)left, 0, 0, 0, 0));
}

int usleep(useconds_t us)
{
    struct timespec wanted = timespec_of((int64_t)us * 1000);
    return nanosleep(&wanted, NULL);
}

unsigned sleep(unsigned seconds)
{
    struct timespec wanted = {.tv_sec = seconds};
    return nanosleep(&wanted, NULL) == 0 ? 0 : seconds;
}

/* ---- chance ---- */

static uint64_t draw(void)
{
    struct qr_sim_host *host = qr_sim_host();
    return host != NULL ? qr_rng_next(&host->rng) : qr_sim_below(UINT64_MAX);
}

void qr_sim_random(void *bytes, size_t len)
{
    for (uint8_t *to = bytes; len > 0;) {
        uint64_t word = draw();
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(to, &word, n);
        to += n;
        len -= n;
    }
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    (void)flags;
    qr_sim_random(bytes, len);
    return (ssize_t)len;
}

int getentropy(void *bytes, size_t len)
{
    qr_sim_random(bytes, len);
    return 0;
}

int(rand)(void)
{
    return (int)(draw() & RAND_MAX);
}

/* Each host has its own stream already. */
void(srand)(unsigned seed)
{
    (void)seed;
}

/* ---- the process ---- */

/* What a host had allocated when it died is leaked. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

void _exit(int code)
{
    if (qr_sim_fiber() != NULL)
        qr_sim_die(QR_SIM_EXIT, code);
    for (;;)
        qr_sim_kernel(SYS_exit_group, code, 0, 0, 0, 0, 0);
}
void _Exit(int code) __attribute__((alias("_exit")));

void exit(int code)
{
    if (qr_sim_fiber() != NULL)
        qr_sim_die(QR_SIM_EXIT, code);
    void (*real_exit)(int) = (void (*)(int))dlsym(RTLD_NEXT, "exit");
    real_exit(code);
    abort();
}

pid_t getpid(void)
{
    const struct qr_sim_host *host = qr_sim_host();
    if (host != NULL)
        return (pid_t)(1000 * host->life + host->id);
    return (pid_t)qr_sim_kernel(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

int gethostname(char *name, size_t len)
{
    static int (*real_gethostname)(char *, size_t);
    const struct qr_sim_host *host = qr_sim_host();
    if (host == NULL) {
        if (real_gethostname == NULL)
            real_gethostname = (int (*)(char *, size_t))dlsym(RTLD_NEXT, "gethostname");
        return real_gethostname(name, len);
    }
    snprintf(name, len, "%s", host->name);
    return 0;
}

static struct timeval timeval_of(uint64_t ns)
{
    return (struct timeval){.tv_sec = (time_t)(ns / QR_SIM_S),
                            .tv_usec = (suseconds_t)(ns % QR_SIM_S / 1000)};
}

int getrusage(__rusage_who_t who, struct rusage *usage)
{
    if (qr_sim_host() == NULL)
        return (int)qr_sim_answer(
            qr_sim_kernel(SYS_getrusage, who, (long)(uintptr_t)usage, 0, 0, 0, 0));
    memset(usage, 0, sizeof *usage);
    usage->ru_utime = timeval_of(false_cpu_ns() * 3 / 4);
    usage->ru_stime = timeval_of(false_cpu_ns() / 4);
    usage->ru_maxrss = 64 * 1024;
    return 0;
}

long sysconf(int name)
{
    static long (*real_sysconf)(int);
    if (qr_sim_host() != NULL)
        switch (name) {
        case _SC_NPROCESSORS_CONF:
        case _SC_NPROCESSORS_ONLN:
            return 4;
        case _SC_PHYS_PAGES:
        case _SC_AVPHYS_PAGES:
            return 1L << 20;
        default:
            break;
        }
    if (real_sysconf == NULL)
        real_sysconf = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return real_sysconf(name);
}

const char *qr_sim_proc_text(const char *path)
{
    if (qr_sim_host() != NULL && strcmp(path, "/proc/self/statm") == 0)
        return "65536 16384 4096 64 0 32768 0\n";
    return NULL;
}
