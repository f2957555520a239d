/* node/members.h — changes of members, asked for over HTTP (node/manage) and given to the group.
 *
 * A request is a message to the consensus loop and back: it is answered when the log has taken it,
 * on this member; what comes of it is in the status.  Thread: ask from any loop that has a mailbox;
 * the rest consensus. */
#ifndef QR_NODE_MEMBERS_H
#define QR_NODE_MEMBERS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mailbox.h"
#include "base/slice.h"
#include "cluster/group.h"

struct qr_members {
    struct qr_mailbox *mailbox; /* Of the consensus loop. */
    struct qr_group *group;     /* NULL: closed. */
    _Atomic bool drain;         /* This member shall hand its children over.  Any thread. */
};

enum qr_members_verb {
    QR_MEMBERS_ADD,
    QR_MEMBERS_REMOVE,
    QR_MEMBERS_REPLACE,
    QR_MEMBERS_CANCEL,
    QR_MEMBERS_VERB_NR
};

struct qr_members_request {
    struct qr_message message;
    struct qr_members *members;
    struct qr_mailbox *home;
    void (*done)(struct qr_members_request *request); /* On `home`. */
    enum qr_members_verb verb;
    uint32_t member, with; /* As qr_group_ask_change; of ADD `with`, of CANCEL none. */
    char address[QR_MEMBER_ADDRESS_BYTES];
    int status; /* As qr_group_ask_change's, at once or later. */
    uint64_t index;
};

void qr_members_ask(struct qr_members *members, struct qr_members_request *request);

/* "add", "remove", ..; false: there is none of that name. */
bool qr_members_verb_of(struct qr_slice name, enum qr_members_verb *verb);

/* A sentence about why it was not taken. */
const char *qr_members_refusal(int status);

#endif
