/* node/key_table.h — the log's API keys as the ingest loops ask them.
 *
 *   log --applied--> keyring (consensus) --a new table--> each ingest loop holds one
 *
 * Immutable and counted, as node/admission, but for the notes of use: a loop says which keys it
 * saw, and the keyring reads it.  Whether a key is over is decided when the table is made, with the
 * cluster's time; there is a new table when one ends.  Thread: any. */
#ifndef QR_NODE_KEY_TABLE_H
#define QR_NODE_KEY_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cluster/keys.h"
#include "node/stream_conf.h"

struct qr_table_key {
    uint8_t hash[QR_KEY_HASH_BYTES];
    uint32_t id, line;
    enum qr_key_standing standing;
    bool sound; /* Its policy could be read. */
    struct qr_stream_section section;
    _Atomic bool used;
};

struct qr_key_table {
    _Atomic unsigned holders;
    struct qr_guid cluster_id;
    struct qr_table_key *keys; /* By hash. */
    uint32_t n_keys;
    struct qr_key_binding *bindings; /* By GUID. */
    uint32_t n_bindings;
    int64_t next_end_s; /* When a table must be made again: a key ends.  0: none does. */
};

/* Of the keys as they stand at now_s; the caller holds it.  0 or UV_ENOMEM. */
int qr_key_table_new(struct qr_key_table **table, const struct qr_guid *cluster_id,
                     const struct qr_keys *keys, int64_t now_s);
struct qr_key_table *qr_key_table_hold(struct qr_key_table *table);
/* The last holder frees it.  NULL: nothing. */
void qr_key_table_release(struct qr_key_table *table);

/* The key that a child shows, in its text form, also one that is over; NULL: not in the log. */
struct qr_table_key *qr_key_table_find(const struct qr_key_table *table, struct qr_slice api_key);

/* The machine's binding, or NULL. */
const struct qr_key_binding *qr_key_table_binding(const struct qr_key_table *table,
                                                  struct qr_slice machine_guid);

#endif
