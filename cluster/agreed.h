/* cluster/agreed.h — what time it is for the cluster, and so for all that is stored.
 *
 * A member's own clock may be wrong by an hour or by years, and may jump while it runs.  Whatever
 * takes part in the data goes by this clock instead: the time of log entries, the arrival time of
 * v1 rows, what counts as the future, seals, retention, the member's own charts, `now` of a query.
 *
 * - Each member says its clock with its state.  The voices are the own clock and those of the
 *   members heard of lately; when their number is even, the time as it was agreed before, carried
 *   on by the clock that does not jump, is one more.  The middle one is the time, if most voices
 *   are near it; else the time is carried on.  Before anything was agreed the middle one, or the
 *   earlier of two, is better than nothing.
 * - Fewer voices than a majority change nothing: the time is carried on.
 * - The own clock is taken as it is, microseconds and slewing included, while it is within
 *   QR_AGREED_TOLERANCE_S of that (what members say is in whole seconds, and was under way).
 * - A jump of the own clock is never seen by a reader: between updates it must be where the carried
 *   time is.
 *
 * One wrong clock of three or five so changes nothing.  A cluster of one believes its clock, and
 * one whose clocks are mostly wrong believes them; but a time that has jumped ahead while the
 * program ran is doubtful for a day, and nothing is dropped for its age meanwhile.
 *
 * Thread: update on the loop of the group, reading on any. */
#ifndef QR_CLUSTER_AGREED_H
#define QR_CLUSTER_AGREED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define QR_AGREED_TOLERANCE_S 3
/* Voices that count, the own one and the carried time included. */
#define QR_AGREED_VOICES_MAX 64u

struct qr_agreed {
    struct qr_clock clock; /* To be read: real_us is the agreed time, mono_ms the own one's. */
    const struct qr_clock *own;
    _Atomic int64_t base_us; /* The agreed time is mono_ms * 1000 + base_us. */
    _Atomic int64_t ahead_s; /* Of the own clock; 0: within the tolerance. */
    _Atomic bool doubtful;
    int64_t trusted_base_us; /* Doubtful: what base_us was before, and since when. */
    int64_t doubt_since_us;
    bool has_agreed; /* The carried time is more than the own clock at the start. */
};

/* Until it is updated the own clock is believed. */
void qr_agreed_init(struct qr_agreed *agreed, const struct qr_clock *own);

/* The clocks of other members now, in unix seconds, and how many voices make a majority.  True if
 * what is to be said of the own clock has changed: qr_agreed_ahead_s. */
bool qr_agreed_update(struct qr_agreed *agreed, const int64_t *others_s, unsigned n,
                      unsigned quorum);

/* It has jumped ahead by more than QR_AGREED_JUMP_S, less than QR_AGREED_DOUBT_S ago, and is there
 * still. */
#define QR_AGREED_JUMP_S  600
#define QR_AGREED_DOUBT_S 86400
bool qr_agreed_is_doubtful(const struct qr_agreed *agreed);

/* By how much the own clock differs from the agreed time; 0: within the tolerance. */
int64_t qr_agreed_ahead_s(const struct qr_agreed *agreed);
/* The same of another member's clock. */
int64_t qr_agreed_other_ahead_s(const struct qr_agreed *agreed, int64_t clock_s);

#endif
