/* testing/sim/operator.h — the people who look after a simulated cluster: they want each member in
 * the group, but for those that a fault has them take out, and ask for the changes that lead there.
 *
 *   not wanted, listed                    remove
 *   wanted, not listed                    add
 *   wanted, listed, with another disk     replace, as `quoratectl members replace N`
 *   a change whose comer lost its disk    is taken back
 *
 * They ask one member after another, a turn a second, on its own loop; only in worlds that have
 * such faults (qr_sim_cluster.operated). */
#ifndef QR_TESTING_SIM_OPERATOR_H
#define QR_TESTING_SIM_OPERATOR_H

#include <uv.h>

#include "testing/sim/hosts.h"

/* For this life of the member; on its fiber. */
void qr_sim_operator_start(struct qr_sim_member *member, uv_loop_t *loop);

#endif
