#include "cluster/agreed.h"

#include <assert.h>
#include <stddef.h>

#include "base/compiler.h"

#define SECOND INT64_C(1000000)
/* Within one update the own clock does not drift that far: beyond, it has jumped. */
#define JUMP_US SECOND
/* Voices are strangers' numbers: what is beyond this is no time, and sums stay in 64 bits. */
#define CLOCK_MAX_S (INT64_C(1) << 40)

static int64_t mono_us(const struct qr_agreed *agreed)
{
    return (int64_t)qr_clock_mono_ms(agreed->own) * 1000;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

static uint64_t clock_mono_ms(const struct qr_clock *clock)
{
    return qr_clock_mono_ms(QR_CONTAINER_OF(clock, struct qr_agreed, clock)->own);
}

static int64_t clock_real_us(const struct qr_clock *clock)
{
    const struct qr_agreed *agreed = QR_CONTAINER_OF(clock, struct qr_agreed, clock);
    int64_t carried_us =
        mono_us(agreed) + atomic_load_explicit(&agreed->base_us, memory_order_relaxed);
    int64_t own_us = qr_clock_real_us(agreed->own);
    return distance(own_us, carried_us) <= JUMP_US ? own_us : carried_us;
}

void qr_agreed_init(struct qr_agreed *agreed, const struct qr_clock *own)
{
    *agreed = (struct qr_agreed){.clock = {clock_mono_ms, clock_real_us}, .own = own};
    atomic_init(&agreed->base_us, qr_clock_real_us(own) - mono_us(agreed));
    atomic_init(&agreed->ahead_s, 0);
    atomic_init(&agreed->doubtful, false);
}

/* Puts a voice among the others, which ascend. */
static void add_voice(int64_t *voices, unsigned *n, int64_t at_s)
{
    assert(*n < QR_AGREED_VOICES_MAX);
    unsigned place = (*n)++;
    for (; place > 0 && voices[place - 1] > at_s; place--)
        voices[place] = voices[place - 1];
    voices[place] = at_s;
}

static int64_t clamp_s(int64_t at_s)
{
    return at_s < 0 ? 0 : at_s < CLOCK_MAX_S ? at_s : CLOCK_MAX_S;
}

/* The time by the voices, in us where it is the own clock's or the carried one. */
static int64_t vote_us(const struct qr_agreed *agreed, const int64_t *others_s, unsigned n_others,
                       int64_t own_us, int64_t carried_us)
{
    int64_t voices[QR_AGREED_VOICES_MAX];
    unsigned n = 0;
    add_voice(voices, &n, own_us / SECOND);
    for (unsigned i = 0; i < n_others && n < QR_AGREED_VOICES_MAX - 1; i++)
        add_voice(voices, &n, clamp_s(others_s[i]));
    if (n % 2 == 0 && agreed->has_agreed)
        add_voice(voices, &n, carried_us / SECOND);
    int64_t middle_s = voices[(n - 1) / 2], middle_us = middle_s * SECOND;
    unsigned n_near = 0;
    for (unsigned i = 0; i < n; i++)
        n_near += distance(voices[i], middle_s) <= QR_AGREED_TOLERANCE_S;
    if (n_near <= n / 2 && agreed->has_agreed)
        return carried_us;
    if (distance(middle_us, own_us) <= QR_AGREED_TOLERANCE_S * SECOND)
        return own_us;
    if (distance(middle_us, carried_us) <= QR_AGREED_TOLERANCE_S * SECOND)
        return carried_us;
    return middle_us;
}

static void doubt(struct qr_agreed *agreed, int64_t was_us, int64_t base_us, int64_t mono)
{
    const int64_t jump_us = QR_AGREED_JUMP_S * SECOND;
    bool doubtful = qr_agreed_is_doubtful(agreed);
    if (base_us - was_us > jump_us) {
        agreed->trusted_base_us = doubtful ? agreed->trusted_base_us : was_us;
        agreed->doubt_since_us = mono;
        doubtful = true;
    }
    if (base_us - agreed->trusted_base_us <= jump_us ||
        mono - agreed->doubt_since_us >= QR_AGREED_DOUBT_S * SECOND)
        doubtful = false;
    atomic_store_explicit(&agreed->doubtful, doubtful, memory_order_relaxed);
}

bool qr_agreed_update(struct qr_agreed *agreed, const int64_t *others_s, unsigned n,
                      unsigned quorum)
{
    int64_t mono = mono_us(agreed), own_us = qr_clock_real_us(agreed->own);
    int64_t was_us = atomic_load_explicit(&agreed->base_us, memory_order_relaxed);
    int64_t carried_us = mono + was_us;
    int64_t now_us = carried_us;
    bool had_agreed = agreed->has_agreed;
    if (n + 1 >= quorum) {
        now_us = vote_us(agreed, others_s, n, own_us, carried_us);
        agreed->has_agreed = true;
    } else if (distance(own_us, carried_us) <= JUMP_US) {
        now_us = own_us;
    }
    atomic_store_explicit(&agreed->base_us, now_us - mono, memory_order_relaxed);
    if (had_agreed)
        doubt(agreed, was_us, now_us - mono, mono);
    int64_t ahead_us = own_us - now_us;
    int64_t ahead_s =
        distance(ahead_us, 0) <= QR_AGREED_TOLERANCE_S * SECOND ? 0 : ahead_us / SECOND;
    int64_t was_s = atomic_exchange_explicit(&agreed->ahead_s, ahead_s, memory_order_relaxed);
    return distance(ahead_s, was_s) > QR_AGREED_TOLERANCE_S || (ahead_s == 0) != (was_s == 0);
}

bool qr_agreed_is_doubtful(const struct qr_agreed *agreed)
{
    return atomic_load_explicit(&agreed->doubtful, memory_order_relaxed);
}

int64_t qr_agreed_ahead_s(const struct qr_agreed *agreed)
{
    return atomic_load_explicit(&agreed->ahead_s, memory_order_relaxed);
}

int64_t qr_agreed_other_ahead_s(const struct qr_agreed *agreed, int64_t clock_s)
{
    int64_t ahead_s = clamp_s(clock_s) - clock_real_us(&agreed->clock) / SECOND;
    return distance(ahead_s, 0) <= QR_AGREED_TOLERANCE_S ? 0 : ahead_s;
}
