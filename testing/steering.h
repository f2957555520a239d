/* testing/steering.h — how a child of 2.9 chooses among its destinations: pure rules.
 *
 * Before each attempt it asks every destination that is not banned or postponed for
 * /api/v3/stream_info, and believes the bytes of the first read that has any of the body:
 *
 *   nobody there                        postponed 30 .. 60 s
 *   no time to answer (5 s)             postponed 300 .. 600 s
 *   not understood                      stays, with the last_time_s that it said before
 *   status is not 200                   stays, last_time_s 0
 *   ingest_type localhost or virtual    banned for good
 *   ingest_status initializing          postponed 30 .. 60 s
 *   replicating or online, host_id us   banned (it is in our own path)
 *
 * What stays is sorted by last_time_s, newest first (then: tried longest ago, tried least often);
 * those within 120 s of the head of their group are shuffled.  A connect that succeeds postpones
 * that destination by 5 .. 15 s, as a refusal does by 5 s up to what the reply costs.
 *
 * All waits times `scale`.  Thread: the owner's. */
#ifndef QR_TESTING_STEERING_H
#define QR_TESTING_STEERING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"
#include "base/rng.h"
#include "base/slice.h"

/* Of one destination, all a child knows. */
struct qr_steering {
    bool banned;
    bool asked; /* In this round; it may be tried. */
    int64_t last_time_s;
    uint32_t nonce;
    uint64_t tried_at_ms;
    uint32_t n_tried;
};

enum qr_steering_outcome {
    QR_STEERING_STAYS,
    QR_STEERING_BANNED,
    QR_STEERING_POSTPONED /* By *postpone_ms. */
};

struct qr_steering_rules {
    struct qr_rng *rng;
    double scale;
    const struct qr_guid *own; /* The child's machine GUID. */
};

/* Takes an answer, all that the first read with a byte of the body gave. */
enum qr_steering_outcome qr_steering_take(struct qr_steering *steering,
                                          const struct qr_steering_rules *rules,
                                          struct qr_slice answer, uint64_t *postpone_ms);

/* Random, from .. to seconds, scaled, in ms. */
uint64_t qr_steering_wait_ms(const struct qr_steering_rules *rules, uint32_t from_s, uint32_t to_s);

/* order[0 .. result-1]: the destinations to be tried, the first first. */
uint32_t qr_steering_order(const struct qr_steering *all, uint32_t n,
                           const struct qr_steering_rules *rules, uint32_t *order);

#endif
