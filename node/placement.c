#include "node/placement.h"

#include <string.h>
#include <xxhash.h>

#define SLACK_SHARE 8u

static const struct qr_placement_member *find(const struct qr_placement *placement, uint32_t id)
{
    for (unsigned i = 0; i < placement->n; i++)
        if (placement->members[i].id == id)
            return &placement->members[i];
    return NULL;
}

unsigned qr_placement_n_takers(const struct qr_placement *placement)
{
    unsigned n = 0;
    for (unsigned i = 0; i < placement->n; i++)
        n += placement->members[i].takes;
    return n;
}

/* As many children as a member may have to be given another one. */
static uint32_t fill_line(const struct qr_placement *placement)
{
    uint32_t n_takers = 0, n_children = 0, fewest = UINT32_MAX;
    for (unsigned i = 0; i < placement->n; i++) {
        const struct qr_placement_member *member = &placement->members[i];
        if (!member->takes)
            continue;
        n_takers++;
        n_children += member->n_children;
        if (member->n_children < fewest)
            fewest = member->n_children;
    }
    if (n_takers == 0)
        return 0;
    uint32_t slack = n_children / n_takers / SLACK_SHARE;
    return fewest + (slack > 1 ? slack : 1);
}

/* The same on all members: no seed, one byte order. */
static uint64_t lot(const struct qr_guid *child, uint32_t member)
{
    unsigned char key[sizeof child->bytes + 4];
    memcpy(key, child->bytes, sizeof child->bytes);
    for (unsigned i = 0; i < 4; i++)
        key[sizeof child->bytes + i] = (unsigned char)(member >> (8 * i));
    return XXH3_64bits(key, sizeof key);
}

uint32_t qr_placement_choose(const struct qr_placement *placement, const struct qr_guid *child,
                             uint32_t owner)
{
    const struct qr_placement_member *now = owner != 0 ? find(placement, owner) : NULL;
    if (now != NULL && now->takes)
        return owner;
    uint32_t most = fill_line(placement), chosen = 0;
    uint64_t best = 0;
    for (unsigned i = 0; i < placement->n; i++) {
        const struct qr_placement_member *member = &placement->members[i];
        if (!member->takes || member->n_children > most)
            continue;
        uint64_t drawn = lot(child, member->id);
        if (chosen == 0 || drawn > best || (drawn == best && member->id < chosen)) {
            chosen = member->id;
            best = drawn;
        }
    }
    return chosen;
}

enum qr_placement_answer qr_placement_answer(const struct qr_placement *placement, uint32_t self,
                                             const struct qr_guid *child, uint32_t owner)
{
    const struct qr_placement_member *member = find(placement, self);
    if (member == NULL || !member->takes)
        return QR_PLACEMENT_NOT_NOW;
    return qr_placement_choose(placement, child, owner) == self ? QR_PLACEMENT_HERE
                                                                : QR_PLACEMENT_ELSEWHERE;
}
