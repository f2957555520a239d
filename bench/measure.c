#include "bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double qr_bench_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

double qr_bench_cpu_s(void)
{
    return qr_bench_cpu_ns() / 1e9;
}

double qr_bench_wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void *qr_bench_must(void *memory)
{
    if (memory == NULL) {
        perror("bench");
        exit(1);
    }
    return memory;
}

void qr_bench_must_be_0(int err, const char *what)
{
    if (err != 0) {
        fprintf(stderr, "%s: %s\n", what, qr_strerror(err));
        exit(1);
    }
}

void qr_bench_must_be(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}
