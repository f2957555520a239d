/* base/rng.h — seeded pseudo-random numbers (splitmix64), so that a run can be replayed.
 *
 * Not for secrets.  Thread: the owner's. */
#ifndef QR_BASE_RNG_H
#define QR_BASE_RNG_H

#include <stdint.h>

struct qr_rng {
    uint64_t state;
};

void qr_rng_seed(struct qr_rng *rng, uint64_t seed);
uint64_t qr_rng_next(struct qr_rng *rng);
/* Uniform in 0 .. n-1; n > 0. */
uint64_t qr_rng_below(struct qr_rng *rng, uint64_t n);

/* A seed from the machine's entropy, for programs that nobody replays. */
uint64_t qr_rng_entropy(void);

#endif
