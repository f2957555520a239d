/* cluster/keys.h — API keys of children in the log: replicated state, and KEYS entries.
 *
 * A key is a UUID that children show.  The log holds a hash of it and what it is good for:
 *
 *   ADD --> active --ROTATE of it--> works until T, and a new key beside it --T--> ended
 *              +--------REVOKE---------------+-----------------------------------> revoked
 *
 * The hash is SHA-256 of a label, the cluster's id and the key.  A fast hash is right: a key has
 * 122 random bits, which nobody can try out, so there is nothing that a slow one would slow down.
 * The id of the cluster is the salt: the same key has other hashes in other clusters, and one look
 * finds it, also among thousands.  Whoever makes a key hashes it: the key itself reaches neither
 * log nor API.
 *
 * A *binding* says that a machine (GUID) may come only with a key, with a client certificate, or
 * with both.  To a key means to the line of keys that rotations made of it.
 *
 * Time is the time of the entry, which its proposer takes from cluster/agreed: what is over, and
 * when, depends on no clock of one member.  The policy is text, "option = value" lines with the
 * names of stream.conf, and opaque here.
 *
 *   body:  u8 what, u64 time (unix s), then
 *     1 ADD     hash (32 bytes), name, policy
 *     2 ROTATE  varint id, hash (32 bytes) of the new one, varint overlap s
 *     3 REVOKE  varint id
 *     4 BIND    GUID (16 bytes), varint id (0: no key), u8 (1: a certificate), its 32 bytes
 *     5 UNBIND  GUID (16 bytes)
 *     6 USED    varint n, n times varint id, rising
 *
 * Byte table: docs/formats/keys.md.  Thread: consensus, but for qr_key_hash (any). */
#ifndef QR_CLUSTER_KEYS_H
#define QR_CLUSTER_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/guid.h"
#include "base/limits.h"

#define QR_KEY_HASH_BYTES    32u
#define QR_KEY_NAME_BYTES    33u  /* With the NUL. */
#define QR_KEY_POLICY_BYTES  513u /* With the NUL. */
#define QR_KEY_OVERLAP_S_MAX (366u * 86400u)
/* A key is noted as used when it was not for this long: so often the log hears of it. */
#define QR_KEY_USED_EVERY_S 3600

struct qr_key {
    uint32_t id;   /* Its public name, given by the log: 1, 2, .. */
    uint32_t line; /* The id of the key that rotations began with. */
    char name[QR_KEY_NAME_BYTES];
    uint8_t hash[QR_KEY_HASH_BYTES];
    bool revoked;
    int64_t created_s;
    int64_t ends_s;      /* It works until then; 0: no end. */
    int64_t last_used_s; /* To the hour; 0: never. */
    char policy[QR_KEY_POLICY_BYTES];
};

struct qr_key_binding {
    struct qr_guid guid;
    uint32_t line; /* 0: any key. */
    bool has_certificate;
    uint8_t certificate[QR_KEY_HASH_BYTES]; /* SHA-256 of it. */
};

/* By id, and by GUID.  Zeros are the initial state. */
struct qr_keys {
    uint32_t last_id; /* Given out. */
    struct qr_key *keys;
    uint32_t n_keys, keys_capacity;
    struct qr_key_binding *bindings;
    uint32_t n_bindings, bindings_capacity;
};

void qr_keys_release(struct qr_keys *keys);

enum qr_key_standing { QR_KEY_ACTIVE, QR_KEY_OVERLAPS, QR_KEY_ENDED, QR_KEY_REVOKED };
enum qr_key_standing qr_key_standing(const struct qr_key *key, int64_t now_s);

/* NULL: none. */
const struct qr_key *qr_keys_by_id(const struct qr_keys *keys, uint32_t id);
const struct qr_key *qr_keys_by_hash(const struct qr_keys *keys,
                                     const uint8_t hash[QR_KEY_HASH_BYTES]);

/* Letters, digits, '.', '_' and '-'; empty: none. */
bool qr_key_name_is_valid(struct qr_slice name);

/* What the log holds of a key. */
void qr_key_hash(const struct qr_guid *cluster_id, const struct qr_guid *key,
                 uint8_t hash[QR_KEY_HASH_BYTES]);

/* Applies the body of a KEYS entry.  0; or nothing changed and
 *   QR_E_MALFORMED
 *   QR_E_EXISTS   ADD, ROTATE: this hash is there; REVOKE: it is revoked already
 *   QR_E_UNKNOWN  no such key or binding
 *   QR_E_BUSY     ROTATE: the key has an end already; BIND: to a key that is over
 *   QR_E_LIMIT    QR_KEYS_MAX keys and none that is over, or QR_KEY_BINDINGS_MAX machines
 *   UV_ENOMEM
 * When there is no room, ADD and ROTATE drop the key that has been over for longest.  *effect is a
 * digest of what was changed. */
int qr_keys_apply(struct qr_keys *keys, struct qr_slice body, uint64_t *effect);

/* Bodies.  0 or an error of the buffer. */
int qr_keys_add(struct qr_buf *out, int64_t now_s, const uint8_t hash[QR_KEY_HASH_BYTES],
                struct qr_slice name, struct qr_slice policy);
int qr_keys_rotate(struct qr_buf *out, int64_t now_s, uint32_t id,
                   const uint8_t hash[QR_KEY_HASH_BYTES], uint32_t overlap_s);
int qr_keys_revoke(struct qr_buf *out, int64_t now_s, uint32_t id);
/* certificate NULL: none. */
int qr_keys_bind(struct qr_buf *out, int64_t now_s, const struct qr_guid *guid, uint32_t id,
                 const uint8_t *certificate);
int qr_keys_unbind(struct qr_buf *out, int64_t now_s, const struct qr_guid *guid);
int qr_keys_used(struct qr_buf *out, int64_t now_s, const uint32_t *ids, uint32_t n);

/* In snapshots.  0, UV_ENOMEM or QR_E_MALFORMED; `keys` is as before then. */
int qr_keys_encode(const struct qr_keys *keys, struct qr_buf *out);
int qr_keys_decode(struct qr_keys *keys, struct qr_cursor *in);

#endif
