#include "node/clones.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/log.h"

struct clone {
    struct qr_guid guid;
    uint64_t machine;
    int64_t until_us;
    char sentence[QR_CLAIMS_SENTENCE_BYTES];
};

struct qr_clones {
    _Atomic unsigned holders;
    uint32_t n, capacity;
    struct clone *at;
};

/* What may change while the machine stays the same is not of it. */
static bool tells_machines_apart(enum qr_sysinfo which)
{
    return which != QR_SYSINFO_CPU_FREQ && which != QR_SYSINFO_RAM_TOTAL &&
           which != QR_SYSINFO_DISK_SPACE;
}

static uint64_t add_text(uint64_t hash, struct qr_slice text)
{
    uint64_t link[2] = {hash, XXH3_64bits(text.base, text.len)};
    return XXH3_64bits(link, sizeof link);
}

void qr_clones_identify(struct qr_claim *claim, const struct qr_handshake *h, const char *address)
{
    uint64_t hash = add_text(h->hops, h->hostname);
    if (h->hops <=
        1) /* Else it is the address of whoever streams it on: any member of a cluster. */
        hash = add_text(hash, qr_slice_str(address));
    hash = add_text(hash, h->os);
    for (unsigned i = 0; i < QR_SYSINFO_NR; i++)
        if (tells_machines_apart((enum qr_sysinfo)i))
            hash = add_text(hash, h->sysinfo[i]);
    *claim = (struct qr_claim){.machine = hash != 0 ? hash : 1};
    qr_log_escape(claim->hostname, sizeof claim->hostname, h->hostname);
    qr_log_escape(claim->address, sizeof claim->address, qr_slice_str(address));
}

static bool add(struct qr_clones *clones, const struct qr_guid *guid,
                const struct qr_claims *claims, const struct qr_claimant *clone)
{
    if (clones->n == clones->capacity) {
        uint32_t capacity = clones->capacity == 0 ? 8 : 2 * clones->capacity;
        struct clone *grown = realloc(clones->at, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        clones->at = grown;
        clones->capacity = capacity;
    }
    struct clone *c = &clones->at[clones->n++];
    *c =
        (struct clone){.guid = *guid, .machine = clone->claim.machine, .until_us = clone->until_us};
    qr_claims_sentence(claims, clone, c->sentence);
    return true;
}

static bool add_host(struct qr_clones *clones, const struct qr_guid *guid,
                     const struct qr_claims *claims, int64_t now_us)
{
    const struct qr_claimant *clone;
    for (uint32_t i = 0; qr_claims_refused(claims, i, now_us, &clone); i++)
        if (clones->n == QR_CLONES_MAX || !add(clones, guid, claims, clone))
            return false;
    return true;
}

struct qr_clones *qr_clones_new(const struct qr_ownership *ownership, struct qr_store *store,
                                int64_t now_us)
{
    struct qr_clones *clones = calloc(1, sizeof *clones);
    if (clones == NULL)
        return NULL;
    clones->holders = 1;
    int slot = qr_store_enter(store);
    bool room = true;
    for (uint32_t host = 1; host < ownership->n && room; host++) {
        const struct qr_claims *claims = qr_ownership_claims(ownership, host);
        const struct qr_host *known = claims != NULL ? qr_store_host_by_id(store, host) : NULL;
        room = known == NULL || add_host(clones, &known->guid, claims, now_us);
    }
    qr_store_leave(store, slot);
    if (clones->n > 0)
        return clones;
    qr_clones_release(clones);
    return NULL;
}

struct qr_clones *qr_clones_hold(struct qr_clones *clones)
{
    if (clones != NULL)
        clones->holders++;
    return clones;
}

void qr_clones_release(struct qr_clones *clones)
{
    if (clones == NULL || --clones->holders > 0)
        return;
    free(clones->at);
    free(clones);
}

bool qr_clones_equal(const struct qr_clones *a, const struct qr_clones *b)
{
    if (a == NULL || b == NULL || a->n != b->n)
        return a == b;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->at[i].machine != b->at[i].machine || a->at[i].until_us != b->at[i].until_us ||
            !qr_guid_equal(&a->at[i].guid, &b->at[i].guid))
            return false;
    return true;
}

const char *qr_clones_find(const struct qr_clones *clones, const struct qr_guid *guid,
                           uint64_t machine)
{
    for (uint32_t i = 0; clones != NULL && i < clones->n; i++)
        if (clones->at[i].machine == machine && qr_guid_equal(&clones->at[i].guid, guid))
            return clones->at[i].sentence;
    return NULL;
}
