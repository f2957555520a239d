#include "cluster/founding.h"

#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "base/error.h"
#include "cluster/disk_id.h"

/* ---- the frame ---- */

int qr_placement_encode(struct qr_buf *out, const struct qr_placement *placement)
{
    qr_buf_add_u8(out, (uint8_t)placement->place);
    qr_buf_add_u8(out, (uint8_t)placement->n);
    qr_buf_add_u16(out, 0);
    qr_buf_add_u32(out, placement->disk);
    qr_buf_add_u64(out, placement->incarnation);
    for (unsigned i = 0; i < placement->n; i++) {
        qr_buf_add_varint(out, placement->seats[i].member);
        qr_buf_add_u32(out, placement->seats[i].disk);
        qr_buf_add_bytes(out, qr_slice_str(placement->seats[i].address));
    }
    return out->failed ? UV_ENOMEM : 0;
}

static void take_seat(struct qr_cursor *in, struct qr_seat *seat)
{
    seat->member = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    seat->disk = qr_cursor_u32(in);
    struct qr_slice address = qr_cursor_bytes(in, sizeof seat->address - 1);
    if (in->failed || seat->member == 0 || memchr(address.base, '\0', address.len) != NULL) {
        in->failed = true;
        return;
    }
    memcpy(seat->address, address.base, address.len);
}

int qr_placement_decode(struct qr_placement *placement, struct qr_slice payload)
{
    struct qr_cursor in = qr_cursor_of(payload);
    struct qr_placement got = {0};
    uint8_t place = qr_cursor_u8(&in);
    got.n = qr_cursor_u8(&in);
    qr_cursor_u16(&in);
    got.disk = qr_cursor_u32(&in);
    got.incarnation = qr_cursor_u64(&in);
    if (in.failed || place < QR_PLACE_FOUNDER || place > QR_PLACE_REMOVED ||
        got.n > QR_MEMBERS_MAX || (got.n != 0) != (place == QR_PLACE_FOUNDER))
        return QR_E_MALFORMED;
    for (unsigned i = 0; i < got.n; i++)
        take_seat(&in, &got.seats[i]);
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    got.place = (enum qr_place)place;
    *placement = got;
    return 0;
}

/* ---- founding ---- */

uint32_t qr_seeds_digest(const struct qr_link_member *seeds, unsigned n)
{
    uint32_t digest = n;
    for (unsigned i = 0; i < n; i++) {
        char bytes[4];
        qr_le_put(bytes, seeds[i].id, 4);
        digest += qr_crc32c(0, bytes, sizeof bytes);
    }
    return digest;
}

/* Takes the seat of a seed that waits as we do. */
static bool seat(const struct qr_link_member *seed, uint32_t digest, const struct qr_peers *peers,
                 struct qr_seat *seat)
{
    const struct qr_peer *peer = qr_peers_find(peers, seed->id);
    if (peer == NULL || !peer->up || !peer->told || !peer->state.empty ||
        peer->state.seeds != digest)
        return false;
    seat->disk = peer->state.disk;
    return true;
}

/* Somebody has a log, seed or not: there is a cluster, and all of its seeds lost theirs. */
static bool is_cluster_near(const struct qr_peers *peers)
{
    for (size_t i = 0; i < QR_COUNT(peers->peers); i++)
        if (peers->peers[i].up && peers->peers[i].told && !peers->peers[i].state.empty)
            return true;
    return false;
}

bool qr_may_found(const struct qr_link_member *seeds, unsigned n, uint32_t member, uint32_t disk,
                  const struct qr_peers *peers, struct qr_placement *founding)
{
    struct qr_placement made = {.place = QR_PLACE_FOUNDER, .disk = disk, .n = n};
    uint32_t digest = qr_seeds_digest(seeds, n);
    bool listed = false;
    if (is_cluster_near(peers))
        return false;
    for (unsigned i = 0; i < n; i++) {
        made.seats[i].member = seeds[i].id;
        made.seats[i].disk = disk;
        snprintf(made.seats[i].address, sizeof made.seats[i].address, "%s", seeds[i].address);
        if (seeds[i].id < member)
            return false;
        if (seeds[i].id == member)
            listed = true;
        else if (!seat(&seeds[i], digest, peers, &made.seats[i]))
            return false;
    }
    if (listed)
        *founding = made;
    return listed;
}

/* ---- telling others ---- */

static bool is_first_configuration(const struct raft *raft)
{
    return raft->configuration_committed_index == 1 && raft->configuration_uncommitted_index == 0;
}

static void add_seats(const struct raft_configuration *configuration,
                      struct qr_placement *placement)
{
    placement->n = configuration->n;
    for (unsigned i = 0; i < configuration->n; i++) {
        struct qr_seat *seat = &placement->seats[i];
        seat->member = qr_raft_id_member(configuration->servers[i].id);
        seat->disk = qr_raft_id_disk(configuration->servers[i].id);
        snprintf(seat->address, sizeof seat->address, "%s", configuration->servers[i].address);
    }
}

void qr_place_of(const struct raft *raft, const struct qr_membership *membership, uint32_t member,
                 uint32_t disk, struct qr_placement *placement)
{
    const struct raft_configuration *configuration = &raft->configuration;
    *placement = (struct qr_placement){.place = QR_PLACE_STRANGER, .disk = disk};
    if (qr_membership_is_removed(membership, member))
        placement->place = QR_PLACE_REMOVED;
    for (unsigned i = 0; i < configuration->n; i++) {
        raft_id id = configuration->servers[i].id;
        if (id == qr_raft_id(member, disk)) {
            placement->place = QR_PLACE_MEMBER;
            break;
        }
        if (qr_raft_id_member(id) == member)
            placement->place = QR_PLACE_OTHER_DISK;
    }
    if (placement->place == QR_PLACE_MEMBER && is_first_configuration(raft) &&
        configuration->n <= QR_MEMBERS_MAX) {
        placement->place = QR_PLACE_FOUNDER;
        add_seats(configuration, placement);
    }
}
