#include "cluster/ownership.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/plant.h"

void qr_ownership_init(struct qr_ownership *ownership)
{
    *ownership = (struct qr_ownership){0};
}

void qr_ownership_release(struct qr_ownership *ownership)
{
    for (uint32_t i = 0; i < ownership->n; i++)
        free(ownership->claims[i]);
    free(ownership->claims);
    free(ownership->owners);
    *ownership = (struct qr_ownership){0};
}

struct qr_owner qr_ownership_get(const struct qr_ownership *ownership, uint32_t host)
{
    return host < ownership->n ? ownership->owners[host] : (struct qr_owner){0};
}

/* Room for the record of `host`; new ones are zeros. */
static int grow_to(struct qr_ownership *ownership, uint32_t host)
{
    if (host < ownership->n)
        return 0;
    uint32_t n = ownership->n != 0 ? ownership->n : 16;
    while (n <= host)
        n *= 2;
    struct qr_owner *owners = realloc(ownership->owners, n * sizeof *owners);
    if (owners == NULL)
        return UV_ENOMEM;
    memset(owners + ownership->n, 0, (n - ownership->n) * sizeof *owners);
    ownership->owners = owners;
    struct qr_claims **claims = realloc(ownership->claims, n * sizeof(struct qr_claims *));
    if (claims == NULL)
        return UV_ENOMEM;
    for (uint32_t i = ownership->n; i < n; i++)
        claims[i] = NULL;
    ownership->claims = claims;
    ownership->n = n;
    return 0;
}

const struct qr_claims *qr_ownership_claims(const struct qr_ownership *ownership, uint32_t host)
{
    return host < ownership->n ? ownership->claims[host] : NULL;
}

static void tell_clones(const struct qr_claims *claims, int64_t now_us)
{
    const struct qr_claimant *clone;
    char sentence[QR_CLAIMS_SENTENCE_BYTES];
    for (uint32_t i = 0; qr_claims_refused(claims, i, now_us, &clone); i++) {
        qr_claims_sentence(claims, clone, sentence);
        qr_warn("%s", sentence);
    }
}

int qr_ownership_claim(struct qr_ownership *ownership, uint32_t host, const struct qr_claim *claim,
                       int64_t now_us)
{
    if (host == 0 || host > QR_HOSTS_MAX)
        return QR_E_LIMIT;
    if (claim->machine == 0)
        return 0;
    int err = grow_to(ownership, host);
    if (err != 0)
        return err;
    struct qr_claims *claims = ownership->claims[host];
    if (claims == NULL) {
        claims = calloc(1, sizeof *claims);
        if (claims == NULL)
            return UV_ENOMEM;
        ownership->claims[host] = claims;
    }
    if (qr_claims_check(claims, claim->machine, now_us) != 0)
        return QR_E_CLONE;
    if (qr_claims_take(claims, claim, now_us))
        tell_clones(claims, now_us);
    return 0;
}

void qr_ownership_left(struct qr_ownership *ownership, uint32_t host)
{
    if (host < ownership->n && ownership->claims[host] != NULL)
        qr_claims_left(ownership->claims[host]);
}

void qr_ownership_heard(struct qr_ownership *ownership, uint32_t host, int64_t now_us)
{
    if (host < ownership->n && ownership->claims[host] != NULL)
        qr_claims_heard(ownership->claims[host], now_us);
}

int qr_ownership_take(struct qr_ownership *ownership, uint32_t host, uint32_t member,
                      struct qr_owner *owner)
{
    assert(member != 0);
    if (host == 0 || host > QR_HOSTS_MAX)
        return QR_E_LIMIT;
    int err = grow_to(ownership, host);
    if (err != 0)
        return err;
    struct qr_owner *record = &ownership->owners[host];
    uint32_t epoch = record->epoch + 1;
    if (QR_PLANT(epoch_not_raised) && record->epoch != 0)
        epoch = record->epoch;
    *record = (struct qr_owner){.host = host, .member = member, .epoch = epoch};
    *owner = *record;
    return 0;
}

int qr_ownership_check(const struct qr_ownership *ownership, uint32_t host, uint32_t member,
                       uint32_t epoch, uint32_t block_seq)
{
    struct qr_owner owner = qr_ownership_get(ownership, host);
    if (owner.member == 0 || owner.member != member || owner.epoch != epoch)
        return QR_PLANT(fence_skipped) ? 0 : QR_E_FENCED;
    if (block_seq <= owner.block_seq)
        return QR_E_STALE;
    return block_seq == owner.block_seq + 1 ? 0 : QR_E_GAP;
}

void qr_ownership_advance(struct qr_ownership *ownership, uint32_t host, uint32_t block_seq)
{
    assert(host < ownership->n);
    assert(ownership->owners[host].block_seq + 1 == block_seq || QR_PLANT(fence_skipped));
    ownership->owners[host].block_seq = block_seq;
}

void qr_ownership_drop(struct qr_ownership *ownership, uint32_t host)
{
    if (host >= ownership->n)
        return;
    ownership->owners[host] = (struct qr_owner){0};
    free(ownership->claims[host]);
    ownership->claims[host] = NULL;
}

int qr_ownership_encode(const struct qr_ownership *ownership, struct qr_buf *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ownership->n; i++)
        n += ownership->owners[i].member != 0;
    int err = qr_buf_add_varint(out, n);
    for (uint32_t i = 0; i < ownership->n && err == 0; i++) {
        const struct qr_owner *owner = &ownership->owners[i];
        if (owner->member == 0)
            continue;
        qr_buf_add_varint(out, owner->host);
        qr_buf_add_varint(out, owner->member);
        qr_buf_add_varint(out, owner->epoch);
        qr_buf_add_varint(out, owner->block_seq);
        const struct qr_claims *claims = ownership->claims[i];
        err = claims != NULL ? qr_claims_encode(out, claims) : qr_buf_add_varint(out, 0);
    }
    return err;
}

/* One record, its host above `last`.  False: malformed. */
static bool take_record(struct qr_cursor *in, uint32_t last, struct qr_owner *owner,
                        struct qr_claims *claims)
{
    owner->host = (uint32_t)qr_cursor_varint_max(in, QR_HOSTS_MAX);
    owner->member = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    owner->epoch = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    owner->block_seq = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    qr_claims_decode(in, claims);
    return !in->failed && owner->host > last && owner->member != 0 && owner->epoch != 0;
}

static int add_record(struct qr_ownership *ownership, const struct qr_owner *owner,
                      const struct qr_claims *claims)
{
    int err = grow_to(ownership, owner->host);
    if (err != 0)
        return err;
    ownership->owners[owner->host] = *owner;
    if (claims->n == 0)
        return 0;
    struct qr_claims *own = malloc(sizeof *own);
    if (own == NULL)
        return UV_ENOMEM;
    *own = *claims;
    ownership->claims[owner->host] = own;
    return 0;
}

int qr_ownership_decode(struct qr_ownership *ownership, struct qr_cursor *in)
{
    struct qr_ownership got;
    qr_ownership_init(&got);
    uint64_t n = qr_cursor_varint_max(in, QR_HOSTS_MAX);
    uint32_t last = 0;
    int err = in->failed ? QR_E_MALFORMED : 0;
    for (uint64_t i = 0; i < n && err == 0; i++) {
        struct qr_owner owner;
        struct qr_claims claims;
        if (!take_record(in, last, &owner, &claims)) {
            err = QR_E_MALFORMED;
            break;
        }
        err = add_record(&got, &owner, &claims);
        last = owner.host;
    }
    if (err != 0) {
        qr_ownership_release(&got);
        return err;
    }
    qr_ownership_release(ownership);
    *ownership = got;
    return 0;
}
