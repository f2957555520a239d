/* node/placement.h — where a child shall go: the one rule, and how stream_info says it.
 *
 * The rule.  A member can take a child when it is a voter that is up, lets children in (it has
 * caught up, its disk has room) and is not drained.  Among these:
 *
 *   1. A child stays where it is, and goes back to where it was last: nothing moves for balance.
 *   2. A child whose member cannot take it, or that is new, goes to one of those that have at most
 *      SLACK children more than the one that has the fewest; SLACK is an eighth of an even share,
 *      at least 1.  Which of them: the highest hash of (child, member), so that all members name
 * the same one, and children that come at the same time spread.
 *
 * So new children leave the members within SLACK + 1 of each other, and those that come within the
 * age of a picture (half a second, and as much for what members tell each other) on top of that.
 *
 * How it is said.  Children since 2.1 ask every member of their list before each connection, try
 * those first that say the newest `last_time_s`, and draw lots among those within 120 s of the
 * first (facts in node/tests/placement_test.c).  The member that the rule names says the truth, the
 * others say that they are QR_PLACEMENT_BEHIND_S older: still good if the first is not reached. One
 * that cannot take the child says `initializing`, which postpones it there by 30 to 60 s and bans
 * it nowhere.  Older children do not ask: they walk their list, and only a refusal moves them.
 *
 * Pure.  Thread: any. */
#ifndef QR_NODE_PLACEMENT_H
#define QR_NODE_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"
#include "base/limits.h"

#define QR_PLACEMENT_BEHIND_S 600

struct qr_placement_member {
    uint32_t id;
    bool takes; /* See above. */
    uint32_t n_children;
};

struct qr_placement {
    unsigned n;
    struct qr_placement_member members[QR_MEMBERS_MAX];
};

/* The member that the child shall go to, 0: none can take it.  `owner`: where it is, or was last;
 * 0: nowhere yet. */
uint32_t qr_placement_choose(const struct qr_placement *placement, const struct qr_guid *child,
                             uint32_t owner);

/* How many of the members can take children. */
unsigned qr_placement_n_takers(const struct qr_placement *placement);

enum qr_placement_answer {
    QR_PLACEMENT_HERE,
    QR_PLACEMENT_ELSEWHERE, /* Another member first. */
    QR_PLACEMENT_NOT_NOW    /* This member cannot take it. */
};

/* What member `self` says. */
enum qr_placement_answer qr_placement_answer(const struct qr_placement *placement, uint32_t self,
                                             const struct qr_guid *child, uint32_t owner);

#endif
