/* node/bodies.h — bodies of log entries that tie cluster and storage together.
 *
 *   OWN         16 bytes GUID, u64 nonce, which machine asks          (cluster/ownership)
 *   CHARTS      varint host, varint epoch, varint n, n chart definitions
 *   HOST_STATE  varint host, varint epoch, u8 bits (1 says, 2 connected),
 *               varint n, n gaps: varint chart, zigzag after_s, varint length_s, u8 reason
 *   SEAL        zigzag window start
 *   SEALED      block id (storage/block_id), varint bytes, u64 hash: what the entry's member
 *               wrote
 *   RETAIN      for tier 0, 1 and 2: varint before_s, varint bytes at most (0: no limit)
 *   FORGET      u8 bits (1 only what is expired; 2 only ephemeral hosts that are away: then varint
 *               since before when, unix seconds), varint n, n of: varint host, varint chart (0: the
 *               host and all its charts)
 *   MERGE       varint tier, varint shard, varint start of the span
 *
 * (HOST is a host definition alone, SAMPLES storage/entry's.)  docs/formats/log-bodies.md is the
 * byte table.  Decoders demand that all input is used.  Thread: any. */
#ifndef QR_NODE_BODIES_H
#define QR_NODE_BODIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/guid.h"
#include "base/limits.h"
#include "cluster/claims.h"
#include "storage/store.h"

#define QR_STATE_GAPS_MAX 1024

int qr_own_body_encode(struct qr_buf *out, const struct qr_guid *guid, uint64_t nonce,
                       const struct qr_claim *claim);

/* ---- CHARTS ---- */

struct qr_charts_body {
    struct qr_buf head, defs, whole;
    uint32_t n;
};

void qr_charts_body_init(struct qr_charts_body *body, uint32_t host, uint32_t epoch);
void qr_charts_body_release(struct qr_charts_body *body);
bool qr_charts_body_fits(const struct qr_charts_body *body, size_t def_bytes);
int qr_charts_body_add(struct qr_charts_body *body, struct qr_slice def);
/* The whole body, for the caller to take; the struct is empty afterwards. */
struct qr_buf *qr_charts_body_finish(struct qr_charts_body *body);

struct qr_charts_head {
    uint32_t host, epoch, n;
};
/* Reads the head; definitions follow in `in`. */
int qr_charts_head_decode(struct qr_charts_head *head, struct qr_cursor *in);

/* ---- HOST_STATE ---- */

struct qr_host_state {
    uint32_t host, epoch;
    bool says; /* `connected` is meant. */
    bool connected;
    uint32_t n_gaps;
    struct qr_gap *gaps;
};

int qr_host_state_encode(struct qr_buf *out, const struct qr_host_state *state);
/* `gaps` has room for QR_STATE_GAPS_MAX.  0 or QR_E_MALFORMED. */
int qr_host_state_decode(struct qr_host_state *state, struct qr_gap *gaps, struct qr_slice body);

/* ---- SEAL, SEALED, RETAIN, MERGE ---- */

struct qr_sealed {
    struct qr_block_id id;
    uint64_t bytes, hash;
};

int qr_time_body_encode(struct qr_buf *out, int64_t time_s); /* SEAL */
int qr_time_body_decode(int64_t *time_s, struct qr_slice body);
int qr_sealed_encode(struct qr_buf *out, const struct qr_sealed *sealed);
int qr_sealed_decode(struct qr_sealed *sealed, struct qr_slice body);
int qr_retain_body_encode(struct qr_buf *out, const struct qr_retention *retention);
int qr_retain_body_decode(struct qr_retention *retention, struct qr_slice body);

struct qr_merge_body {
    uint32_t tier, shard;
    int64_t start_s;
};
int qr_merge_body_encode(struct qr_buf *out, const struct qr_merge_body *merge);
int qr_merge_body_decode(struct qr_merge_body *merge, struct qr_slice body);

/* ---- FORGET ---- */

/* So many charts are removed in some milliseconds. */
#define QR_FORGET_MAX 2048

struct qr_forget_body {
    bool only_expired;
    int64_t
        away_before_s; /* Only hosts that are ephemeral and away since before then; 0: others. */
    uint32_t n;
    struct qr_forgotten what[QR_FORGET_MAX];
};

int qr_forget_encode(struct qr_buf *out, const struct qr_forget_body *body);
int qr_forget_decode(struct qr_forget_body *body, struct qr_slice in);

#endif
