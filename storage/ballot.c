#include "storage/ballot.h"

#include <string.h>

static bool is_same_file(const struct qr_file_vote *a, const struct qr_file_vote *b)
{
    return a->bytes == b->bytes && a->hash == b->hash;
}

/* Where a member's vote is, or belongs. */
static uint32_t place_of(const struct qr_ballot *ballot, uint32_t member)
{
    uint32_t i = 0;
    while (i < ballot->n && ballot->votes[i].member < member)
        i++;
    return i;
}

static bool put(struct qr_ballot *ballot, const struct qr_file_vote *vote)
{
    uint32_t at = place_of(ballot, vote->member);
    if (at == ballot->n || ballot->votes[at].member != vote->member) {
        if (ballot->n == QR_MEMBERS_MAX)
            return false;
        memmove(&ballot->votes[at + 1], &ballot->votes[at],
                (ballot->n - at) * sizeof ballot->votes[0]);
        ballot->n++;
    }
    ballot->votes[at] = *vote;
    return true;
}

static uint32_t count(const struct qr_ballot *ballot, const struct qr_file_vote *file)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ballot->n; i++)
        n += is_same_file(&ballot->votes[i], file);
    return n;
}

bool qr_ballot_cast(struct qr_ballot *ballot, const struct qr_file_vote *vote, uint32_t n_members,
                    struct qr_file_vote *winner)
{
    if (!put(ballot, vote))
        return false;
    uint32_t most = 0;
    for (uint32_t i = 0; i < ballot->n; i++) {
        uint32_t n = count(ballot, &ballot->votes[i]);
        if (n > most) {
            most = n;
            *winner = ballot->votes[i];
        }
    }
    return most > n_members / 2 || ballot->n >= n_members;
}

bool qr_ballot_has(const struct qr_ballot *ballot, const struct qr_file_vote *vote)
{
    uint32_t at = place_of(ballot, vote->member);
    return at < ballot->n && ballot->votes[at].member == vote->member &&
           is_same_file(&ballot->votes[at], vote);
}

void qr_ballot_encode(const struct qr_ballot *ballot, struct qr_buf *out)
{
    qr_buf_add_u8(out, (uint8_t)ballot->n);
    for (uint32_t i = 0; i < ballot->n; i++) {
        qr_buf_add_varint(out, ballot->votes[i].member);
        qr_buf_add_varint(out, ballot->votes[i].bytes);
        qr_buf_add_u64(out, ballot->votes[i].hash);
    }
}

void qr_ballot_decode(struct qr_ballot *ballot, struct qr_cursor *in)
{
    *ballot = (struct qr_ballot){.n = qr_cursor_u8(in)};
    if (ballot->n > QR_MEMBERS_MAX)
        in->failed = true;
    uint64_t before = 0;
    for (uint32_t i = 0; i < ballot->n && !in->failed; i++) {
        uint64_t member = qr_cursor_varint(in);
        if (member <= before || member > UINT32_MAX)
            in->failed = true;
        before = member;
        ballot->votes[i].member = (uint32_t)member;
        ballot->votes[i].bytes = qr_cursor_varint(in);
        ballot->votes[i].hash = qr_cursor_u64(in);
    }
}
