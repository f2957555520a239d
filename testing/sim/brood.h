/* testing/sim/brood.h — histories, each in a process of its own, several at a time.
 *
 * A history leaves its process in ruins (lives that were killed are leaked), may crash it and may
 * never end; here that is an answer like any other.  What it prints is kept, to be shown if it
 * failed.  Thread: the caller's. */
#ifndef QR_TESTING_SIM_BROOD_H
#define QR_TESTING_SIM_BROOD_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "testing/sim/world.h"

#define QR_BROOD_MAX 64u

struct qr_brood_history {
    struct qr_sim_options options; /* Its `out` is not used. */
    int plant;                     /* enum qr_plant, or -1. */
    uint32_t number;               /* The caller's. */
};

struct qr_brood_end {
    struct qr_brood_history history;
    /* Of a process that did not end by itself: a violation, whose sentence says how it ended. */
    struct qr_sim_result result;
    double cpu_s;
    FILE *said; /* What it printed, at its beginning.  The caller closes it. */
};

struct qr_brood {
    struct {
        pid_t pid; /* 0: free. */
        int result_fd;
        struct qr_brood_end end;
    } places[QR_BROOD_MAX];
    unsigned n;
    unsigned cpu_s_max; /* Of one history, then it hangs; 0: no end. */
};

/* 0 or -errno. */
int qr_brood_start(struct qr_brood *brood, const struct qr_brood_history *history);

/* Waits until one has ended, if any runs, but not longer than that: 1, or 0. */
int qr_brood_wait(struct qr_brood *brood, unsigned ms, struct qr_brood_end *end);

/* Ends all that still run. */
void qr_brood_end_all(struct qr_brood *brood);

/* Both failed in the same way: the same sentence, but for the numbers in it. */
bool qr_brood_same_failure(const char *one, const char *other);

#endif
