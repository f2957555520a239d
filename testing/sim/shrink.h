/* testing/sim/shrink.h — a history that fails, made small: faults that it does not need are left
 * out, those that stay are made short.
 *
 * First the last rounds of it are tried alone, with some seeds: a history is chaotic, each change
 * makes another one of it, and a short one is tried in a fraction of a second.  Then whole kinds
 * are left out, then ever smaller parts (testing/sim/ddmin).
 *
 * Each try is a history in a process of its own (testing/sim/brood); it counts as the same failure
 * if its sentence is the same but for numbers.  Thread: one at a time. */
#ifndef QR_TESTING_SIM_SHRINK_H
#define QR_TESTING_SIM_SHRINK_H

#include "testing/sim/arguments.h"

struct qr_sim_shrunk {
    struct qr_sim_options options;   /* Seed and duration may be others; no schedule. */
    struct qr_sim_schedule schedule; /* What is left; the caller's. */
    struct qr_sim_result result;     /* Of the last history that failed. */
    uint32_t n_before, n_tries;
};

/* Says what it does to `out`.  0; QR_E_UNKNOWN: the history does not fail; or an error. */
int qr_sim_shrink(const struct qr_sim_arguments *arguments, uint32_t tries_max,
                  struct qr_sim_shrunk *shrunk, FILE *out);

#endif
