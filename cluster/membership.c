#include "cluster/membership.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"

enum what { ASK = 1, CANCEL = 2, END = 3, RECORD = 4 };

/* ---- fields ---- */

static void take_address(struct qr_cursor *in, char address[QR_MEMBER_ADDRESS_BYTES])
{
    struct qr_slice text = qr_cursor_bytes(in, QR_MEMBER_ADDRESS_BYTES - 1);
    if (!in->failed && memchr(text.base, '\0', text.len) != NULL)
        in->failed = true;
    memset(address, 0, QR_MEMBER_ADDRESS_BYTES);
    if (!in->failed && text.len > 0)
        memcpy(address, text.base, text.len);
}

static void add_change(struct qr_buf *out, const struct qr_change *change)
{
    qr_buf_add_u8(out, (uint8_t)change->kind);
    qr_buf_add_varint(out, change->member);
    qr_buf_add_u32(out, change->disk);
    qr_buf_add_varint(out, change->with);
    qr_buf_add_bytes(out, qr_slice_str(change->address));
}

/* Is it one of the four, with what belongs to it and nothing else? */
static bool is_sound(const struct qr_change *c)
{
    bool goes = c->kind == QR_CHANGE_REMOVE || c->kind == QR_CHANGE_REPLACE;
    bool comes = c->kind == QR_CHANGE_ADD || c->kind == QR_CHANGE_REPLACE;
    return (c->member != 0) == goes && (goes || c->disk == 0) && (c->with != 0) == comes &&
           (c->address[0] != '\0') == comes;
}

static void take_change(struct qr_cursor *in, struct qr_change *change)
{
    memset(change, 0, sizeof *change);
    uint8_t kind = qr_cursor_u8(in);
    change->member = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    change->disk = qr_cursor_u32(in);
    change->with = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    take_address(in, change->address);
    if (kind > QR_CHANGE_REPLACE)
        in->failed = true;
    change->kind = in->failed ? QR_CHANGE_NONE : (enum qr_change_kind)kind;
    if (!in->failed && !is_sound(change))
        in->failed = true;
}

static void add_members(struct qr_buf *out, const struct qr_membership *m)
{
    qr_buf_add_u64(out, m->configuration);
    qr_buf_add_u8(out, (uint8_t)m->n);
    for (unsigned i = 0; i < m->n; i++) {
        qr_buf_add_varint(out, m->members[i].member);
        qr_buf_add_u32(out, m->members[i].disk);
        qr_buf_add_u8(out, (uint8_t)m->members[i].role);
        qr_buf_add_bytes(out, qr_slice_str(m->members[i].address));
    }
}

static void take_members(struct qr_cursor *in, struct qr_membership *m)
{
    m->configuration = qr_cursor_u64(in);
    unsigned n = qr_cursor_u8(in);
    if (n > QR_MEMBERS_MAX)
        in->failed = true;
    memset(m->members, 0, sizeof m->members);
    for (unsigned i = 0; i < n && !in->failed; i++) {
        struct qr_recorded_member *member = &m->members[i];
        member->member = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
        member->disk = qr_cursor_u32(in);
        uint8_t role = qr_cursor_u8(in);
        take_address(in, member->address);
        if (role > QR_MEMBER_SPARE || member->member <= (i == 0 ? 0 : member[-1].member))
            in->failed = true;
        member->role = (enum qr_member_role)role;
    }
    m->n = in->failed ? 0 : n;
}

/* ---- the removed ---- */

static unsigned place_of(const struct qr_membership *m, uint32_t member)
{
    unsigned at = 0;
    while (at < m->n_removed && m->removed[at] < member)
        at++;
    return at;
}

bool qr_membership_is_removed(const struct qr_membership *membership, uint32_t member)
{
    unsigned at = place_of(membership, member);
    return at < membership->n_removed && membership->removed[at] == member;
}

static void note_removed(struct qr_membership *m, uint32_t member)
{
    unsigned at = place_of(m, member);
    if (member == 0 || qr_membership_is_removed(m, member) || m->n_removed == QR_REMOVED_MAX)
        return;
    memmove(&m->removed[at + 1], &m->removed[at], (m->n_removed - at) * sizeof m->removed[0]);
    m->removed[at] = member;
    m->n_removed++;
}

static void forget_removed(struct qr_membership *m, uint32_t member)
{
    unsigned at = place_of(m, member);
    if (!qr_membership_is_removed(m, member))
        return;
    m->n_removed--;
    memmove(&m->removed[at], &m->removed[at + 1], (m->n_removed - at) * sizeof m->removed[0]);
}

/* ---- applying ---- */

unsigned qr_membership_voters(const struct qr_membership *membership)
{
    unsigned n = 0;
    for (unsigned i = 0; i < membership->n; i++)
        n += membership->members[i].role == QR_MEMBER_VOTER;
    return n;
}

static const struct qr_recorded_member *find_recorded(const struct qr_membership *m,
                                                      uint32_t member)
{
    for (unsigned i = 0; i < m->n; i++)
        if (m->members[i].member == member && member != 0)
            return &m->members[i];
    return NULL;
}

static int apply_ask(struct qr_membership *m, struct qr_cursor *in, uint64_t index)
{
    struct qr_change change;
    take_change(in, &change);
    if (!qr_cursor_done(in) || change.kind == QR_CHANGE_NONE)
        return QR_E_MALFORMED;
    if (m->change.kind != QR_CHANGE_NONE || m->configuration == 0)
        return QR_E_BUSY;
    if (change.with != 0 && change.with != change.member && find_recorded(m, change.with) != NULL)
        return QR_E_EXISTS;
    const struct qr_recorded_member *goer = find_recorded(m, change.member);
    if (change.member != 0 && (goer == NULL || goer->disk != change.disk))
        return QR_E_UNKNOWN;
    change.index = index;
    m->change = change;
    return 0;
}

static bool runs(const struct qr_membership *m, uint64_t index)
{
    return m->change.kind != QR_CHANGE_NONE && m->change.index == index;
}

static int apply_cancel(struct qr_membership *m, struct qr_cursor *in)
{
    uint64_t index = qr_cursor_u64(in);
    if (!qr_cursor_done(in))
        return QR_E_MALFORMED;
    if (!runs(m, index))
        return QR_E_UNKNOWN;
    m->change.canceled = true;
    return 0;
}

static int apply_end(struct qr_membership *m, struct qr_cursor *in)
{
    uint64_t index = qr_cursor_u64(in);
    uint8_t result = qr_cursor_u8(in);
    if (!qr_cursor_done(in) || result > QR_CHANGE_RESULT_MAX)
        return QR_E_MALFORMED;
    if (!runs(m, index))
        return QR_E_UNKNOWN;
    if (result == QR_CHANGE_DONE && m->change.member != m->change.with) {
        note_removed(m, m->change.member);
        forget_removed(m, m->change.with);
    }
    m->last = m->change;
    m->last_result = (enum qr_change_result)result;
    memset(&m->change, 0, sizeof m->change);
    return 0;
}

static int apply_record(struct qr_membership *m, struct qr_cursor *in)
{
    struct qr_membership record;
    take_members(in, &record);
    if (!qr_cursor_done(in))
        return QR_E_MALFORMED;
    if (record.configuration <= m->configuration)
        return QR_E_UNKNOWN;
    m->configuration = record.configuration;
    m->n = record.n;
    memcpy(m->members, record.members, sizeof m->members);
    /* Also when the change that brought it ends in another way than done. */
    for (unsigned i = 0; i < m->n; i++)
        if (m->members[i].role == QR_MEMBER_VOTER)
            forget_removed(m, m->members[i].member);
    return 0;
}

int qr_membership_apply(struct qr_membership *membership, struct qr_slice body, uint64_t index)
{
    struct qr_cursor in = qr_cursor_of(body);
    switch (qr_cursor_u8(&in)) {
    case ASK:
        return apply_ask(membership, &in, index);
    case CANCEL:
        return apply_cancel(membership, &in);
    case END:
        return apply_end(membership, &in);
    case RECORD:
        return apply_record(membership, &in);
    default:
        return QR_E_MALFORMED;
    }
}

/* ---- bodies ---- */

int qr_membership_ask(struct qr_buf *out, const struct qr_change *change)
{
    assert(change->kind != QR_CHANGE_NONE);
    assert(is_sound(change));
    qr_buf_add_u8(out, ASK);
    add_change(out, change);
    return out->failed ? QR_E_LIMIT : 0;
}

int qr_membership_cancel(struct qr_buf *out, uint64_t index)
{
    qr_buf_add_u8(out, CANCEL);
    return qr_buf_add_u64(out, index);
}

int qr_membership_end(struct qr_buf *out, uint64_t index, enum qr_change_result result)
{
    qr_buf_add_u8(out, END);
    qr_buf_add_u64(out, index);
    return qr_buf_add_u8(out, (uint8_t)result);
}

int qr_membership_record(struct qr_buf *out, const struct qr_membership *record)
{
    qr_buf_add_u8(out, RECORD);
    add_members(out, record);
    return out->failed ? QR_E_LIMIT : 0;
}

/* ---- snapshots ---- */

static void add_kept_change(struct qr_buf *out, const struct qr_change *change)
{
    add_change(out, change);
    qr_buf_add_varint(out, change->index);
    qr_buf_add_u8(out, change->canceled);
}

static void take_kept_change(struct qr_cursor *in, struct qr_change *change)
{
    take_change(in, change);
    change->index = qr_cursor_varint(in);
    uint8_t canceled = qr_cursor_u8(in);
    if (canceled > 1)
        in->failed = true;
    change->canceled = canceled == 1;
}

void qr_membership_encode(const struct qr_membership *membership, struct qr_buf *out)
{
    add_members(out, membership);
    add_kept_change(out, &membership->change);
    add_kept_change(out, &membership->last);
    qr_buf_add_u8(out, (uint8_t)membership->last_result);
    qr_buf_add_varint(out, membership->n_removed);
    for (unsigned i = 0; i < membership->n_removed; i++)
        qr_buf_add_varint(out, membership->removed[i]);
}

void qr_membership_decode(struct qr_membership *membership, struct qr_cursor *in)
{
    memset(membership, 0, sizeof *membership);
    take_members(in, membership);
    take_kept_change(in, &membership->change);
    take_kept_change(in, &membership->last);
    uint8_t result = qr_cursor_u8(in);
    if (result > QR_CHANGE_RESULT_MAX)
        in->failed = true;
    membership->last_result = in->failed ? QR_CHANGE_DONE : (enum qr_change_result)result;
    uint64_t n = qr_cursor_varint_max(in, QR_REMOVED_MAX);
    for (uint64_t i = 0; i < n && !in->failed; i++) {
        uint32_t member = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
        if (member <= (i == 0 ? 0 : membership->removed[i - 1]))
            in->failed = true;
        membership->removed[i] = member;
    }
    membership->n_removed = in->failed ? 0 : (unsigned)n;
}

/* ---- for people ---- */

const char *qr_change_result_text(enum qr_change_result result)
{
    static const char *const texts[] = {
        [QR_CHANGE_DONE] = "done",
        [QR_CHANGE_CANCELED] = "taken back",
        [QR_CHANGE_NO_QUORUM] =
            "the voters that are left and can be reached would be no majority; do: start the other "
            "members first",
        [QR_CHANGE_LAST] = "it is the last voter; do: add another member first",
        [QR_CHANGE_NO_MEMBER] = "there is no such member; do: look at `quoratectl members list`",
        [QR_CHANGE_IS_MEMBER] =
            "it is a member already; do: `quoratectl members replace` if it lost its data",
        [QR_CHANGE_UNREACHED] =
            "the new member did not come; do: start it with an empty data folder, check its "
            "address and certificate, and ask again",
        [QR_CHANGE_NOT_EMPTY] =
            "the member has data of this cluster; do: nothing if it is well, else stop it, empty "
            "its data folder, start it, and ask again",
        [QR_CHANGE_TOO_MANY] = "the cluster has as many members as it can; do: remove one first",
        [QR_CHANGE_ADDRESS] = "another member has this address; do: give it its own",
        [QR_CHANGE_NO_SUCCESSOR] =
            "it leads, and no other voter can take over; do: start the other members first",
    };
    static_assert(sizeof texts / sizeof texts[0] == QR_CHANGE_RESULT_MAX + 1, "one text a result");
    return texts[result];
}
