#include "cluster/peers.h"

#include "base/compiler.h"
#include "base/cursor.h"
#include "base/error.h"

enum { FLAG_READY = 1, FLAG_DISK_LOW = 2, FLAG_EMPTY = 4, FLAG_TAKING = 8, FLAG_DRAINING = 16 };

int qr_peer_state_encode(struct qr_buf *out, const struct qr_peer_state *state)
{
    qr_buf_add_u64(out, state->applied);
    qr_buf_add_u64(out, state->index);
    qr_buf_add_u64(out, state->hash);
    qr_buf_add_u64(out, state->term);
    qr_buf_add_u64(out, state->commit);
    qr_buf_add_u8(out, (uint8_t)state->role);
    qr_buf_add_u8(
        out, (uint8_t)((state->ready ? FLAG_READY : 0) | (state->disk_low ? FLAG_DISK_LOW : 0) |
                       (state->empty ? FLAG_EMPTY : 0) | (state->taking ? FLAG_TAKING : 0) |
                       (state->draining ? FLAG_DRAINING : 0)));
    qr_buf_add_u16(out, state->permille);
    qr_buf_add_u32(out, state->disk);
    qr_buf_add_u32(out, state->seeds);
    return qr_buf_add_u64(out, (uint64_t)state->clock_s);
}

int qr_peer_state_decode(struct qr_peer_state *state, struct qr_slice payload)
{
    struct qr_cursor in = qr_cursor_of(payload);
    struct qr_peer_state got = {.applied = qr_cursor_u64(&in)};
    got.index = qr_cursor_u64(&in);
    got.hash = qr_cursor_u64(&in);
    got.term = qr_cursor_u64(&in);
    got.commit = qr_cursor_u64(&in);
    uint8_t role = qr_cursor_u8(&in);
    uint8_t flags = qr_cursor_u8(&in);
    got.permille = qr_cursor_u16(&in);
    got.disk = qr_cursor_u32(&in);
    got.seeds = qr_cursor_u32(&in);
    got.clock_s = (int64_t)qr_cursor_u64(&in);
    if (!qr_cursor_done(&in) || got.permille > 1000 || role > QR_GROUP_UNAVAILABLE)
        return QR_E_MALFORMED;
    got.role = (enum qr_group_role)role;
    got.ready = (flags & FLAG_READY) != 0;
    got.disk_low = (flags & FLAG_DISK_LOW) != 0;
    got.empty = (flags & FLAG_EMPTY) != 0;
    got.taking = (flags & FLAG_TAKING) != 0;
    got.draining = (flags & FLAG_DRAINING) != 0;
    *state = got;
    return 0;
}

struct qr_peer *qr_peers_get(struct qr_peers *peers, uint32_t id)
{
    struct qr_peer *down = NULL;
    for (size_t i = 0; i < QR_COUNT(peers->peers); i++) {
        struct qr_peer *peer = &peers->peers[i];
        if (peer->id == id || peer->id == 0) {
            peer->id = id;
            return peer;
        }
        if (!peer->up)
            down = peer;
    }
    if (down != NULL)
        *down = (struct qr_peer){.id = id};
    return down;
}

const struct qr_peer *qr_peers_find(const struct qr_peers *peers, uint32_t id)
{
    for (size_t i = 0; i < QR_COUNT(peers->peers); i++)
        if (peers->peers[i].id == id && id != 0)
            return &peers->peers[i];
    return NULL;
}

/* What is no clock of this world must not overflow. */
#define CLOCK_MAX_S (INT64_C(1) << 40)

void qr_peers_hear_clock(struct qr_peer *peer, uint64_t now_ms)
{
    int64_t clock_s = peer->state.clock_s;
    clock_s = clock_s < 0 ? 0 : clock_s < CLOCK_MAX_S ? clock_s : CLOCK_MAX_S;
    int64_t offset_ms = clock_s * 1000 - (int64_t)now_ms;
    if (!peer->told || now_ms - peer->offset_since_ms >= QR_PEERS_OFFSET_MS) {
        peer->offset_before_ms = peer->told ? peer->offset_ms : offset_ms;
        peer->offset_ms = offset_ms;
        peer->offset_since_ms = now_ms;
    }
    if (offset_ms > peer->offset_ms)
        peer->offset_ms = offset_ms;
    peer->told_ms = now_ms;
}

int64_t qr_peers_clock(const struct qr_peer *peer, uint64_t now_ms)
{
    int64_t offset_ms =
        peer->offset_ms > peer->offset_before_ms ? peer->offset_ms : peer->offset_before_ms;
    return ((int64_t)now_ms + offset_ms) / 1000;
}

unsigned qr_peers_clocks(const struct qr_peers *peers, uint64_t now_ms,
                         int64_t clocks_s[2 * QR_MEMBERS_MAX])
{
    unsigned n = 0;
    for (size_t i = 0; i < QR_COUNT(peers->peers); i++) {
        const struct qr_peer *peer = &peers->peers[i];
        if (peer->told && now_ms - peer->told_ms <= QR_PEERS_CLOCK_MS)
            clocks_s[n++] = qr_peers_clock(peer, now_ms);
    }
    return n;
}

/* False once for each time that they differ. */
static bool compare(struct qr_peer *peer, uint64_t index, uint64_t hash,
                    const struct qr_machine *machine)
{
    uint64_t own;
    if (!qr_machine_hash_at(machine, index, &own))
        return true;
    bool was = peer->diverged;
    peer->diverged = own != hash;
    return !peer->diverged || was;
}

bool qr_peers_told(struct qr_peer *peer, const struct qr_peer_state *state,
                   const struct qr_machine *machine)
{
    peer->state = *state;
    peer->told = true;
    if (state->index > machine->applied) {
        if (peer->waiting_index <= machine->applied) {
            peer->waiting_index = state->index;
            peer->waiting_hash = state->hash;
        }
        return true;
    }
    return compare(peer, state->index, state->hash, machine);
}

struct qr_peer *qr_peers_check(struct qr_peers *peers, const struct qr_machine *machine)
{
    for (size_t i = 0; i < QR_COUNT(peers->peers) && peers->peers[i].id != 0; i++) {
        struct qr_peer *peer = &peers->peers[i];
        if (peer->waiting_index == 0 || peer->waiting_index > machine->applied)
            continue;
        uint64_t index = peer->waiting_index;
        peer->waiting_index = 0;
        if (!compare(peer, index, peer->waiting_hash, machine))
            return peer;
    }
    return NULL;
}
