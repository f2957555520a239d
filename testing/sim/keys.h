/* testing/sim/keys.h — certificates and keys of the simulated members, made before: so that the
 * bytes on the wire are the same in every run.  Good until 2036 of the simulated clock. */
#ifndef QR_TESTING_SIM_KEYS_H
#define QR_TESTING_SIM_KEYS_H

#define QR_SIM_KEYS 16u

struct qr_sim_key {
    const char *cert, *key; /* PEM */
};

extern const char qr_sim_cluster_id[]; /* UUID */
extern const char qr_sim_ca[];
extern const struct qr_sim_key qr_sim_keys[QR_SIM_KEYS]; /* Of member i at i - 1. */

#endif
