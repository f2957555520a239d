/* testing/sim/faults.h — what goes wrong in a simulated world, and when: drawn before it runs.
 *
 * A schedule is a list of faults in order of time.  It is a pure function of the seed and the
 * options, is printed and read as text, a fault a line, and can be run with some lines left out:
 * so a failure is replayed, and shrunk.
 *
 *   SECONDS KIND TARGET SECONDS NUMBER            "132.500 partition member-2 8.250 1"
 *   when    what to whom  how long  the kind's own
 *
 * Rounds: faults begin and end within the first part of each round; the rest is quiet, and what the
 * checkers find at its end counts.  Faults that take a member out of the group never hold for more
 * than a minority at a time, those of `majority` excepted.  Thread: any. */
#ifndef QR_TESTING_SIM_FAULTS_H
#define QR_TESTING_SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define QR_SIM_SCHEDULE_MAX   65536u
#define QR_SIM_MOMENT_WAIT_MS 20000u /* For the moment of a leader-kill; then it dies anyhow. */

enum qr_sim_fault_kind {
    QR_SIM_FAULT_KILL,            /* SIGKILL; started again after the duration. */
    QR_SIM_FAULT_POWER,           /* Unsynced writes are lost, peers hear nothing. */
    QR_SIM_FAULT_PAUSE,           /* SIGSTOP. */
    QR_SIM_FAULT_PARTITION,       /* Cut off from all other members, and from children, or not. */
    QR_SIM_FAULT_ONEWAY,          /* What it sends to other members is lost; it hears all. */
    QR_SIM_FAULT_SLOW_NET,        /* Its packets take long, each its own time. */
    QR_SIM_FAULT_RESET,           /* All its connections break. */
    QR_SIM_FAULT_FULL_DISK,       /* No space is left. */
    QR_SIM_FAULT_SLOW_DISK,       /* Each call takes long. */
    QR_SIM_FAULT_FAILING_DISK,    /* Calls fail with EIO. */
    QR_SIM_FAULT_FLIP,            /* A bit of one of its block files. */
    QR_SIM_FAULT_CLOCK,           /* Its wall clock jumps, and back. */
    QR_SIM_FAULT_DUPLICATE,       /* A second child of the same GUID. */
    QR_SIM_FAULT_CHILD_RECONNECT, /* The connections of a child break. */
    QR_SIM_FAULT_CHILD_LAG,       /* A child hangs. */
    QR_SIM_FAULT_CHILD_KILL,      /* A child ends, and starts again with its history. */
    QR_SIM_FAULT_CHILD_LIES,      /* .. and answers replication requests as 1.37 does wrongly. */
    QR_SIM_FAULT_LEADER_KILL,     /* The leader dies in the middle of something that it does. */
    QR_SIM_FAULT_MAJORITY,        /* Most members die at once. */
    QR_SIM_FAULT_WIPE,            /* Its disk is lost; it comes back with an empty one. */
    QR_SIM_FAULT_MEMBERSHIP,      /* It is removed, and added again, with its old disk or empty. */
    QR_SIM_FAULT_BLACKOUT,        /* All members lose power at once. */
    QR_SIM_FAULT_SPLIT,           /* Some, a minority, are cut off from the others together. */
    QR_SIM_FAULT_CHILD_FORGETS,   /* A child ends, and starts again without its older history. */
    QR_SIM_FAULT_ROT,             /* It dies, and a bit flips in what its log's folder holds. */
    QR_SIM_FAULT_CHILD_MISDATES,  /* .. and says other first and last times than it has. */
    QR_SIM_FAULT_KINDS
};

/* What the leader is in the middle of; the number of a leader-kill. */
enum qr_sim_moment {
    QR_SIM_MOMENT_ANY,
    QR_SIM_MOMENT_SEAL,     /* Files of a window are being written. */
    QR_SIM_MOMENT_MERGE,    /* .. of a merge. */
    QR_SIM_MOMENT_SNAPSHOT, /* A snapshot is being made. */
    QR_SIM_MOMENT_INSTALL,  /* It sends one, or someone installs one. */
    QR_SIM_MOMENT_FETCH,    /* Someone fetches a block file. */
    QR_SIM_MOMENTS
};

/* What rots; the number of a rot. */
enum qr_sim_rot {
    QR_SIM_ROT_CLOSED, /* A closed segment. */
    QR_SIM_ROT_OPEN,   /* .. an open one, where it is written. */
    QR_SIM_ROT_SNAPSHOT,
    QR_SIM_ROT_META, /* .. and what the library notes beside it. */
    QR_SIM_ROT_TERM, /* The library's file of term and vote. */
    QR_SIM_ROT_OURS, /* The small files that we keep beside the library's. */
    QR_SIM_ROTS
};

struct qr_sim_fault {
    uint64_t at_ms, for_ms;
    enum qr_sim_fault_kind kind;
    uint32_t target; /* Of members or of children, from 1; by the kind. */
    int64_t number;  /* The kind's own. */
};

struct qr_sim_schedule {
    uint32_t n;
    struct qr_sim_fault *at; /* Owned. */
};

struct qr_sim_options; /* testing/sim/world.h */

const char *qr_sim_fault_name(enum qr_sim_fault_kind kind);
bool qr_sim_fault_of_child(enum qr_sim_fault_kind kind); /* Its target is a child. */
/* "kill,power" or "all"; also "all,-flip".  0 and a bit a kind, or QR_E_CONFIG. */
int qr_sim_faults_parse(const char *text, uint32_t *kinds);

/* Of options->seed, n_members, n_children, duration_s, faults, busy_s, quiet_s. */
void qr_sim_schedule_draw(struct qr_sim_schedule *schedule, const struct qr_sim_options *options);
void qr_sim_schedule_release(struct qr_sim_schedule *schedule);

/* Sorted by time.  0, QR_E_LIMIT or UV_ENOMEM. */
int qr_sim_schedule_add(struct qr_sim_schedule *schedule, const struct qr_sim_fault *fault);

/* Has faults after which somebody has to change the members. */
bool qr_sim_schedule_changes_members(const struct qr_sim_schedule *schedule);

void qr_sim_fault_print(const struct qr_sim_fault *fault, FILE *out);
void qr_sim_schedule_print(const struct qr_sim_schedule *schedule, FILE *out);
/* Lines as above; empty ones and those that begin with '#' are skipped.  0, an error of the file,
 * or QR_E_CONFIG with the number of the line in *line. */
int qr_sim_schedule_read(struct qr_sim_schedule *schedule, const char *path, unsigned *line);

#endif
