#include "cluster/claims.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/slice.h"

/* A clone that was refused is known for so long after its refusal ended. */
#define REMEMBER_US QR_CLAIMS_REFUSE_MAX_US

/* How often the first comes back before the others are looked at. */
#define RETURNS_MIN 2u

/* Members' clocks may differ, and jump: what is far away on either side is not near. */
static bool is_near(int64_t a_us, int64_t b_us, int64_t span_us)
{
    int64_t distance;
    return !__builtin_sub_overflow(a_us, b_us, &distance) && distance < span_us &&
           distance > -span_us;
}

static int64_t refusal_us(uint32_t n_refused)
{
    assert(n_refused > 0);
    unsigned doubled = n_refused - 1 < 16 ? n_refused - 1 : 16;
    int64_t us = QR_CLAIMS_REFUSE_US << doubled;
    return us < QR_CLAIMS_REFUSE_MAX_US ? us : QR_CLAIMS_REFUSE_MAX_US;
}

static bool is_refused(const struct qr_claimant *c, int64_t now_us)
{
    return c->n_refused > 0 && now_us < c->until_us &&
           is_near(now_us, c->until_us, refusal_us(c->n_refused) + QR_CLAIMS_WINDOW_US);
}

static bool is_remembered(const struct qr_claimant *c, int64_t now_us)
{
    return c->n_refused > 0 && is_near(now_us, c->until_us, refusal_us(c->n_refused) + REMEMBER_US);
}

static uint32_t find(const struct qr_claims *claims, uint64_t machine)
{
    uint32_t i = 0;
    while (i < claims->n && claims->at[i].claim.machine != machine)
        i++;
    return i;
}

int qr_claims_check(const struct qr_claims *claims, uint64_t machine, int64_t now_us)
{
    uint32_t i = find(claims, machine);
    if (machine == 0 || i == claims->n || i == claims->now)
        return 0;
    bool first_lives = is_near(now_us, claims->heard_us, QR_CLAIMS_GRACE_US);
    return is_refused(&claims->at[i], now_us) && first_lives ? QR_E_CLONE : 0;
}

static void drop(struct qr_claims *claims, uint32_t i)
{
    assert(i != claims->now);
    memmove(&claims->at[i], &claims->at[i + 1], (claims->n - i - 1) * sizeof claims->at[0]);
    memset(&claims->at[--claims->n], 0, sizeof claims->at[0]);
    if (claims->now > i)
        claims->now--;
}

/* What was long ago proves nothing.  Who was first is known as long as a clone of it is. */
static void forget_old(struct qr_claims *claims, int64_t now_us)
{
    bool knows_clone = false;
    for (uint32_t i = claims->n; i-- > 0;) {
        struct qr_claimant *c = &claims->at[i];
        if (is_near(now_us, c->last_us, QR_CLAIMS_WINDOW_US)) {
            knows_clone = knows_clone || is_remembered(c, now_us);
            continue;
        }
        c->n_returns = 0;
        c->evicted = false;
        bool keep = i == claims->now || is_remembered(c, now_us) || (i == 0 && knows_clone);
        knows_clone = knows_clone || is_remembered(c, now_us);
        if (!keep)
            drop(claims, i);
    }
}

/* Room for one more: who was not seen for the longest time goes. */
static void make_room(struct qr_claims *claims)
{
    if (claims->n < QR_CLAIMS_MAX)
        return;
    uint32_t oldest = claims->now == 1 ? 2 : 1;
    for (uint32_t i = oldest + 1; i < claims->n; i++)
        if (i != claims->now && claims->at[i].last_us < claims->at[oldest].last_us)
            oldest = i;
    drop(claims, oldest);
}

static void refuse(struct qr_claimant *c, int64_t now_us)
{
    c->n_refused++;
    c->n_returns = 0;
    c->until_us = now_us + refusal_us(c->n_refused);
}

/* The first has come back, from `taken`: who is a clone of it? */
static bool judge(struct qr_claims *claims, uint32_t taken, int64_t now_us)
{
    bool found = false;
    bool proven = claims->at[0].n_returns >= RETURNS_MIN;
    for (uint32_t i = 1; i < claims->n; i++) {
        struct qr_claimant *c = &claims->at[i];
        bool again = i == taken && is_remembered(c, now_us);
        if (!again && !(proven && c->n_returns > 0))
            continue;
        refuse(c, now_us);
        found = true;
    }
    if (found)
        claims->at[0].n_returns = 0;
    return found;
}

bool qr_claims_take(struct qr_claims *claims, const struct qr_claim *claim, int64_t now_us)
{
    assert(claim->machine != 0);
    bool owned = claims->n > 0;
    forget_old(claims, now_us);
    uint32_t i = find(claims, claim->machine);
    bool hard = owned && !claims->left && i != claims->now;
    bool came_back = hard && i < claims->n && claims->at[i].evicted;
    if (i == claims->n) {
        make_room(claims);
        i = claims->n++;
        claims->at[i] = (struct qr_claimant){.claim = *claim};
    }
    uint32_t taken = claims->now;
    if (hard) {
        claims->at[taken].evicted = true;
        claims->at[taken].last_us = now_us;
    }
    struct qr_claimant *c = &claims->at[i];
    c->n_returns += came_back;
    c->evicted = false;
    c->last_us = now_us;
    claims->now = i;
    claims->left = false;
    claims->heard_us = now_us;
    return i == 0 && came_back && judge(claims, taken, now_us);
}

void qr_claims_heard(struct qr_claims *claims, int64_t now_us)
{
    if (claims->n > 0)
        claims->heard_us = now_us;
}

void qr_claims_left(struct qr_claims *claims)
{
    claims->left = claims->n > 0;
}

bool qr_claims_refused(const struct qr_claims *claims, uint32_t i, int64_t now_us,
                       const struct qr_claimant **clone)
{
    for (uint32_t at = 0; at < claims->n; at++) {
        if (qr_claims_check(claims, claims->at[at].claim.machine, now_us) == 0 || i-- > 0)
            continue;
        *clone = &claims->at[at];
        return true;
    }
    return false;
}

void qr_claims_sentence(const struct qr_claims *claims, const struct qr_claimant *clone,
                        char sentence[QR_CLAIMS_SENTENCE_BYTES])
{
    const struct qr_claim *kept = &claims->at[claims->now].claim;
    time_t until_s = (time_t)(clone->until_us / 1000000);
    struct tm utc = {0};
    char until[32] = "";
    if (gmtime_r(&until_s, &utc) != NULL)
        strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(sentence, QR_CLAIMS_SENTENCE_BYTES,
             "two machines have one machine GUID: %s at %s, which was first and is kept, and %s at "
             "%s, which is refused until %s; do: give one of them a GUID of its own "
             "(stop its netdata, remove netdata.public.unique.id, start it)",
             kept->hostname, kept->address, clone->claim.hostname, clone->claim.address, until);
}

/* ---- bytes ---- */

int qr_claim_encode(struct qr_buf *out, const struct qr_claim *claim)
{
    qr_buf_add_u64(out, claim->machine);
    qr_buf_add_bytes(out, qr_slice_str(claim->hostname));
    return qr_buf_add_bytes(out, qr_slice_str(claim->address));
}

static void take_text(struct qr_cursor *in, char *text, size_t text_bytes)
{
    struct qr_slice bytes = qr_cursor_bytes(in, text_bytes - 1);
    memset(text, 0, text_bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        if ((unsigned char)bytes.base[i] < ' ' || bytes.base[i] == 0x7f)
            in->failed = true;
        text[i] = bytes.base[i];
    }
}

void qr_claim_take(struct qr_cursor *in, struct qr_claim *claim)
{
    memset(claim, 0, sizeof *claim);
    claim->machine = qr_cursor_u64(in);
    take_text(in, claim->hostname, sizeof claim->hostname);
    take_text(in, claim->address, sizeof claim->address);
}

int qr_claims_encode(struct qr_buf *out, const struct qr_claims *claims)
{
    int err = qr_buf_add_varint(out, claims->n);
    if (claims->n == 0)
        return err;
    qr_buf_add_varint(out, claims->now);
    qr_buf_add_u8(out, claims->left);
    qr_buf_add_zigzag(out, claims->heard_us);
    for (uint32_t i = 0; i < claims->n; i++) {
        const struct qr_claimant *c = &claims->at[i];
        qr_claim_encode(out, &c->claim);
        qr_buf_add_zigzag(out, c->last_us);
        qr_buf_add_varint(out, c->n_returns);
        qr_buf_add_u8(out, c->evicted);
        qr_buf_add_varint(out, c->n_refused);
        err = qr_buf_add_zigzag(out, c->until_us);
    }
    return err;
}

static bool take_flag(struct qr_cursor *in)
{
    uint8_t flag = qr_cursor_u8(in);
    if (flag > 1)
        in->failed = true;
    return flag == 1;
}

void qr_claims_decode(struct qr_cursor *in, struct qr_claims *claims)
{
    memset(claims, 0, sizeof *claims);
    uint32_t n = (uint32_t)qr_cursor_varint_max(in, QR_CLAIMS_MAX);
    if (n == 0)
        return;
    claims->now = (uint32_t)qr_cursor_varint_max(in, n - 1);
    claims->left = take_flag(in);
    claims->heard_us = qr_cursor_zigzag(in);
    while (claims->n < n && !in->failed) {
        struct qr_claimant c = {0};
        qr_claim_take(in, &c.claim);
        c.last_us = qr_cursor_zigzag(in);
        c.n_returns = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
        c.evicted = take_flag(in);
        c.n_refused = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
        c.until_us = qr_cursor_zigzag(in);
        if (c.claim.machine == 0 || find(claims, c.claim.machine) != claims->n)
            in->failed = true;
        claims->at[claims->n++] = c;
    }
}
