/* ha-tests/faults.h — the kinds of faults of the matrix, a row each.
 *
 * A fault begins on one member (or between members), lasts for a while, and is over; both go into
 * the history.  A kind says what it needs of the cell (a small disk, a library that is loaded
 * first) and of the machine (root).  Thread: the only one. */
#ifndef QR_HA_TESTS_FAULTS_H
#define QR_HA_TESTS_FAULTS_H

#include "ha-tests/cell.h"
#include "ha-tests/rot.h"

#define FAULT_WHAT_BYTES 24

/* What the history says of a fault. */
struct fault_note {
    char what[FAULT_WHAT_BYTES]; /* One word that the judge may know. */
    char file[ROT_NAME_BYTES];   /* A block file that was damaged, or "". */
    char detail[ROT_WHAT_BYTES];
};

struct fault_kind {
    const char *name;
    bool needs_network, needs_disks, needs_slow_disk, needs_clock;
    uint64_t least_ms, most_ms; /* How long it lasts. */
    /* False: not now, not on this member. */
    bool (*begin)(struct cell *cell, unsigned member, struct fault_note *note);
    void (*end)(struct cell *cell, unsigned member);
};

extern const struct fault_kind fault_kinds[];
extern const unsigned n_fault_kinds;

/* NULL: there is no such kind. */
const struct fault_kind *fault_find(const char *name);

/* Where libfaketime lies, or NULL. */
const char *fault_clock_library(void);

#endif
