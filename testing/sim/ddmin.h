/* testing/sim/ddmin.h — delta debugging: what a failure does not need is left out.
 *
 * Of n things that make something fail together, a few are kept that still do, so that none of them
 * can be left out: halves are left out first, then quarters, and at last single ones (Zeller's
 * ddmin).  Numbers are made smaller by halves, too.  Thread: any. */
#ifndef QR_TESTING_SIM_DDMIN_H
#define QR_TESTING_SIM_DDMIN_H

#include <stdbool.h>
#include <stdint.h>

struct qr_ddmin {
    /* Does it fail as before with only these, numbers of things in rising order? */
    bool (*fails)(void *data, const uint32_t *kept, uint32_t n);
    void *data;
    uint32_t tries_max; /* Then what is left stays. */
    uint32_t n_tries;   /* So far. */
};

/* `kept` has room for n; at the end it holds the numbers, from 0, of those that stay, all of them
 * if nothing could be left out.  Returns how many. */
uint32_t qr_ddmin(struct qr_ddmin *ddmin, uint32_t *kept, uint32_t n);

/* The smallest number from `least` on for which it fails, by halves, if it fails for all above:
 * otherwise one that is smaller than `now`, or `now`. */
uint64_t qr_ddmin_number(struct qr_ddmin *ddmin, bool (*fails)(void *data, uint64_t number),
                         uint64_t least, uint64_t now);

#endif
