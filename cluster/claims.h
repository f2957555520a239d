/* cluster/claims.h — which machines say that they are one child: two with one GUID are told apart
 * from one that moves.
 *
 * The newest connection of a child wins at once, because an agent opens one stream at a time.  Two
 * machines with one GUID (a copied disk) then take the child from each other for ever.  The rule
 * that finds them, from the log alone:
 *
 *   A claim (OWN) says which machine asks: a hash of what an agent says of itself and its address.
 *   It is *hard* if the connection that it takes the child from was another machine's and had not
 *   ended, as far as the log says (HOST_STATE).  A machine that lost its connection to a hard claim
 *   and claims hard again has *come back*: its other connection was alive, so it is not the machine
 *   that took over.
 *   When the machine that was first has come back twice within QR_CLAIMS_WINDOW_US, the others that
 *   have come back too are clones.  Each is refused for QR_CLAIMS_REFUSE_US; when it then does the
 *   same to the first again, at once and for twice as long, up to a day.
 *   A refusal holds only while the first is alive: QR_CLAIMS_GRACE_US after its last sample (or
 *   claim) any other machine may have the child.
 *
 * So a crash loop, a move between members, an address that changes at each connection, and a
 * partition end nobody's right to stream: in none of them does a machine come back while the other
 * lives.  Two machines that say the same of themselves from one address are one, here.
 *
 * Part of the replicated state; times are the entries'.  Thread: consensus. */
#ifndef QR_CLUSTER_CLAIMS_H
#define QR_CLUSTER_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"

#define QR_CLAIMS_WINDOW_US     (INT64_C(120) * 1000000)
#define QR_CLAIMS_GRACE_US      (INT64_C(60) * 1000000)
#define QR_CLAIMS_REFUSE_US     (INT64_C(600) * 1000000)
#define QR_CLAIMS_REFUSE_MAX_US (INT64_C(86400) * 1000000)
/* Machines of one child that are remembered. */
#define QR_CLAIMS_MAX 4u

#define QR_CLAIM_HOSTNAME_BYTES 64u
#define QR_CLAIM_ADDRESS_BYTES  48u

/* Who asks.  Zeros: not said, and not looked at. */
struct qr_claim {
    uint64_t machine;                       /* Of all that tells machines apart; 0: not said. */
    char hostname[QR_CLAIM_HOSTNAME_BYTES]; /* Both for sentences: printable, cut. */
    char address[QR_CLAIM_ADDRESS_BYTES];
};

struct qr_claimant {
    struct qr_claim claim;
    int64_t last_us; /* When it was last seen to be alive. */
    uint32_t n_returns;
    bool evicted;       /* It lost its connection to a hard claim. */
    uint32_t n_refused; /* How often it was found to be a clone. */
    int64_t until_us;   /* With n_refused: refused until then. */
};

/* Of one child; a zeroed one is valid. */
struct qr_claims {
    uint32_t n;
    uint32_t now;                         /* Whose connection it is, of `at`. */
    bool left;                            /* That one has ended. */
    int64_t heard_us;                     /* Its last claim or sample. */
    struct qr_claimant at[QR_CLAIMS_MAX]; /* In the order in which they came; the first is kept. */
};

/* May this machine take the child now?  0 or QR_E_CLONE. */
int qr_claims_check(const struct qr_claims *claims, uint64_t machine, int64_t now_us);

/* It does: the check was 0.  True: another was found to be a clone by this. */
bool qr_claims_take(struct qr_claims *claims, const struct qr_claim *claim, int64_t now_us);

/* A sample of the connection was applied; it has ended. */
void qr_claims_heard(struct qr_claims *claims, int64_t now_us);
void qr_claims_left(struct qr_claims *claims);

/* The i-th machine that is refused now; false: there are not so many. */
bool qr_claims_refused(const struct qr_claims *claims, uint32_t i, int64_t now_us,
                       const struct qr_claimant **clone);

/* "a at 10.0.0.1 and b at 10.0.0.2 have the same machine GUID: ..., do: ...": of one that is
 * refused. */
#define QR_CLAIMS_SENTENCE_BYTES 512u
void qr_claims_sentence(const struct qr_claims *claims, const struct qr_claimant *clone,
                        char sentence[QR_CLAIMS_SENTENCE_BYTES]);

/* u64 machine, hostname and address as varint length and bytes.  The take fails the cursor on text
 * that does not fit or is not printable. */
int qr_claim_encode(struct qr_buf *out, const struct qr_claim *claim);
void qr_claim_take(struct qr_cursor *in, struct qr_claim *claim);

/* varint n, and if it is not 0: varint now, u8 left, zigzag heard; n of: claim, zigzag last, varint
 * returns, u8 evicted, varint refusals, zigzag until.  The take fails the cursor. */
int qr_claims_encode(struct qr_buf *out, const struct qr_claims *claims);
void qr_claims_decode(struct qr_cursor *in, struct qr_claims *claims);

#endif
