/* node/keyring.h — the consensus loop's side of the API keys in the log.
 *
 *   KEYS applied, a key ends, the state is replaced --> a new table (node/key_table) for the ingest
 *                                                       loops: who is not let in any more goes
 *   a loop notes that a key is in use --> once an hour and key a USED entry tells all members
 *   manage --request--> an entry --applied--> answer
 *
 * Every QR_KEYRING_AUDIT_MS the loops look at their children again, so that a key whose children
 * stay for months is in use, too.
 *
 * Thread: consensus; qr_keyring_ask from any loop that has a mailbox. */
#ifndef QR_NODE_KEYRING_H
#define QR_NODE_KEYRING_H

#include "base/clock.h"
#include "base/mailbox.h"
#include "cluster/group.h"
#include "node/key_table.h"

#define QR_KEYRING_AUDIT_MS 900000u

struct qr_keyring {
    struct qr_mailbox *mailbox;   /* Of the consensus loop. */
    struct qr_group *group;       /* NULL: closed. */
    const struct qr_clock *clock; /* The cluster's time. */
    struct qr_guid cluster_id;
    struct qr_key_table *table; /* The newest. */
    /* Hands the table to the ingest loops, once they run: 0, or it is tried again. */
    int (*hand_out)(void *data);
    void *data;
    bool changed; /* The state has other keys than the table. */
    bool telling; /* A USED entry is on its way. */
    uint64_t published_ms;
};

/* 0 or UV_ENOMEM.  The group has been opened. */
int qr_keyring_init(struct qr_keyring *keyring, struct qr_mailbox *mailbox, struct qr_group *group,
                    const struct qr_clock *clock, const struct qr_guid *cluster_id);

/* The group's events: an entry of this type was applied, and the loops have the table before who
 * asked has an answer; the state was replaced. */
void qr_keyring_applied(struct qr_keyring *keyring, enum qr_command_type type);
void qr_keyring_restored(struct qr_keyring *keyring);

/* Call some times a second.  True: the loops were handed another table. */
bool qr_keyring_tick(struct qr_keyring *keyring);

/* ---- what a person asks ---- */

enum qr_key_verb {
    QR_KEY_LIST,
    QR_KEY_ADD,
    QR_KEY_ROTATE,
    QR_KEY_REVOKE,
    QR_KEY_BIND,
    QR_KEY_UNBIND,
    QR_KEY_VERB_NR
};

/* Slices are the asker's until `done`. */
struct qr_key_request {
    struct qr_message message;
    struct qr_mailbox *home;
    void (*done)(struct qr_key_request *request); /* On `home`. */
    enum qr_key_verb verb;
    struct qr_slice key;             /* ROTATE, REVOKE, BIND: its id, or its name if no other key
                                      * that works has it. */
    uint8_t hash[QR_KEY_HASH_BYTES]; /* ADD, ROTATE */
    struct qr_slice name, policy;    /* ADD */
    uint32_t overlap_s;              /* ROTATE */
    struct qr_guid guid;             /* BIND, UNBIND */
    bool has_certificate;            /* BIND */
    uint8_t certificate[QR_KEY_HASH_BYTES];
    /* The answer: 0 and its JSON; or as qr_keys_apply's, QR_E_DENIED for a name that several keys
     * have, or why the log did not take it. */
    int status;
    struct qr_buf json;
    struct qr_keyring *keyring; /* The keyring's. */
    uint32_t id;
};

void qr_keyring_ask(struct qr_keyring *keyring, struct qr_key_request *request);

/* A sentence about why it was not done. */
const char *qr_keyring_refusal(enum qr_key_verb verb, int status);

#endif
