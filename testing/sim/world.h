/* testing/sim/world.h — a whole cluster in one process, from one seed: members, children, faults
 * and those who check.
 *
 *   member-1 .. member-N   the real node (node/node.h) on a false libuv and libc, HTTP and streams
 *                          at 10.0.0.i:19999, links with TLS at 10.0.0.i:19998, data in /sim/data
 *   child-1 .. child-C     testing/child on a loop of its own; what it measures is testing/model's
 *   supervisor             starts a member again that ended, after a second
 *   faults                 testing/sim/faults, each at its time
 *   checks                 testing/sim/checks, with each entry that is applied, each simulated
 *                          second and at the end of each round
 *
 * Time is virtual, the seed decides all: the same options give the same steps and the same digest.
 * Once a process, which is not clean afterwards (lives that were killed are leaked): who runs many
 * forks.  Not for threads. */
#ifndef QR_TESTING_SIM_WORLD_H
#define QR_TESTING_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "testing/sim/faults.h"

#define QR_SIM_MEMBERS_MAX  7u
#define QR_SIM_CHILDREN_MAX 40u
#define QR_SIM_SENTENCE     512

struct qr_sim_result;

struct qr_sim_options {
    uint64_t seed;
    uint32_t n_members, n_children;
    uint32_t n_charts, n_dims;              /* Of each child. */
    uint64_t duration_s;                    /* A whole number of rounds is run, at least one. */
    uint32_t busy_s, quiet_s;               /* A round. */
    uint32_t threshold, trailing, tick_ms;  /* Of the members' logs; 0: by the seed. */
    uint32_t faults;                        /* A bit a kind, for the schedule that is drawn. */
    const struct qr_sim_schedule *schedule; /* Instead of one that is drawn; NULL: draw. */
    uint64_t steps_max;                     /* Ends there, without a verdict; 0: never. */
    bool verbose;                           /* All log lines to `out`, as they come. */
    bool progress;                          /* A line a round to `out`. */
    /* The process is about to die of a signal, a failed assertion mostly: the last chance to tell
     * somebody.  NULL: nobody. */
    void (*crashed)(const struct qr_sim_result *result);
    FILE *out; /* What a failure prints, too. */
};

/* 3 members, 6 children of 2 x 2, ten minutes, all faults, stderr. */
void qr_sim_options_init(struct qr_sim_options *options);

struct qr_sim_result {
    uint64_t simulated_s, steps, digest;
    uint64_t n_faults[QR_SIM_FAULT_KINDS]; /* That took effect. */
    uint64_t n_boots, n_elections, n_failovers;
    uint64_t n_entries; /* Of the log, checked on each member. */
    uint64_t n_applied; /* .. in all. */
    uint64_t n_seals, n_merges, n_snapshots, n_installs, n_fetches;
    uint64_t n_refusals; /* Starts that a member refused, as its log is damaged. */
    uint64_t n_files;    /* Block files compared. */
    uint64_t n_samples;  /* Compared with the model. */
    uint64_t n_points;   /* .. of minutes and of hours. */
    uint64_t n_lost, n_duplicated, n_wrong, n_extra;
    uint64_t n_gone; /* Recorded as such: their child had lost them. */
    uint64_t n_violations;
    uint64_t violation_step, violation_ms; /* Of the first one. */
    char sentence[QR_SIM_SENTENCE];        /* .. in words; "" if there is none. */
};

/* Lives through it until the end or the first violation, which is printed with the last lines of
 * each log and the schedule.  0: no violation; 1: there is one. */
int qr_sim_run(const struct qr_sim_options *options, struct qr_sim_result *result);

/* A line of JSON. */
void qr_sim_result_print(const struct qr_sim_options *options, const struct qr_sim_result *result,
                         FILE *out);

#endif
