/* node/clones.h — machines that are refused because another with the same GUID streams already.
 *
 * Who is refused is the log's word (cluster/claims).  Here: what a handshake says of its machine,
 * and the list that ingest loops look into before they answer one, so that a clone hears the
 * refusal that makes it wait, and not an end of its stream.  The list may be a second old: whom it
 * misses is refused by the log.
 *
 * A list is immutable and counted, as node/admission.  Thread: any, but for qr_clones_new. */
#ifndef QR_NODE_CLONES_H
#define QR_NODE_CLONES_H

#include "cluster/ownership.h"
#include "proto/handshake.h"
#include "storage/store.h"

/* Longer lists are cut: the log refuses the others. */
#define QR_CLONES_MAX 1024u

struct qr_clones;

/* Which machine this is: all that an agent says of itself and that stays as it is while the machine
 * does, and its address, unless somebody streams it on. */
void qr_clones_identify(struct qr_claim *claim, const struct qr_handshake *handshake,
                        const char *address);

/* Who is refused now, of all hosts.  Thread: consensus.  NULL: no memory, or nobody. */
struct qr_clones *qr_clones_new(const struct qr_ownership *ownership, struct qr_store *store,
                                int64_t now_us);
struct qr_clones *qr_clones_hold(struct qr_clones *clones); /* NULL is nobody. */
void qr_clones_release(struct qr_clones *clones);
bool qr_clones_equal(const struct qr_clones *a, const struct qr_clones *b);

/* The sentence for whom this machine is refused, or NULL: it is not. */
const char *qr_clones_find(const struct qr_clones *clones, const struct qr_guid *guid,
                           uint64_t machine);

#endif
