#include "base/rng.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

void qr_rng_seed(struct qr_rng *rng, uint64_t seed)
{
    rng->state = seed;
}

uint64_t qr_rng_next(struct qr_rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t qr_rng_below(struct qr_rng *rng, uint64_t n)
{
    assert(n > 0);
    return (uint64_t)(((unsigned __int128)qr_rng_next(rng) * n) >> 64);
}

uint64_t qr_rng_entropy(void)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v)
        abort(); /* a kernel without entropy is not one to run a cluster on */
    return v;
}
