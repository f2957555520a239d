/* testing/history_admin.h — what operators and the members themselves write into a random log
 * (testing/history_log): members that start again, changes of members, API keys.
 *
 *   MEMBER_INFO  a member's next incarnation; late entries of the one before it are dropped, and
 *                entries that leave a number out are
 *   MEMBERS      configurations with members of other numbers, one to five voters; changes that are
 *                asked for, taken back, ended, and those that may not be
 *   KEYS         keys added, rotated, revoked, used, bound to machines, and what is refused
 *
 * A plain model of its own says what each entry must come to, and what each key must be after it.
 * Thread: the owner's. */
#ifndef QR_TESTING_HISTORY_ADMIN_H
#define QR_TESTING_HISTORY_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/keys.h"

#define QR_HISTORY_KEYS     48u
#define QR_HISTORY_MACHINES 6u

struct qr_history_log;
struct qr_machine;

/* The i-th has id i + 1: so few are never dropped. */
struct qr_history_key {
    uint32_t line;
    uint8_t hash[QR_KEY_HASH_BYTES];
    bool revoked;
    int64_t ends_s, last_used_s;
};

struct qr_history_admin {
    struct qr_history_key keys[QR_HISTORY_KEYS];
    uint32_t n_keys;
    bool bound[QR_HISTORY_MACHINES];
    uint32_t lines[QR_HISTORY_MACHINES];
    uint64_t configuration; /* 0: none is recorded. */
    uint64_t change;        /* The index of the ASK that runs; 0: none. */
};

/* What happens next: nothing mostly, or an entry or two. */
void qr_history_admin_step(struct qr_history_log *log);

/* Has this machine the keys and bindings that the log's model has? */
bool qr_history_admin_check(const struct qr_history_admin *admin, const struct qr_machine *machine);

#endif
