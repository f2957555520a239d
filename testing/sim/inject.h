/* testing/sim/inject.h — does the faults of a schedule to a simulated cluster.
 *
 * Each has a beginning and an end on the scheduler's stack.  A kill with a number dies at the n-th
 * call from then on that changes something on the disk, if there is one in its time.  A leader-kill
 * waits for its moment, which testing/sim/hooks tells.  Not for threads. */
#ifndef QR_TESTING_SIM_INJECT_H
#define QR_TESTING_SIM_INJECT_H

#include "testing/sim/faults.h"
#include "testing/sim/hosts.h"

/* All of them, from now on; the schedule is the caller's as long as the world runs. */
void qr_sim_inject(const struct qr_sim_schedule *schedule);

/* Everything is well again: nobody is cut off, slow, held down or wrong about the time. */
void qr_sim_heal(void);

/* The member whose code runs is in the middle of this. */
void qr_sim_moment(enum qr_sim_moment moment);

#endif
