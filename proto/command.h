/* proto/command.h — the lines that a parent sends to its child, a row each.
 *
 *   REPLAY_CHART "chart" "true|false" after before
 *   FUNCTION transaction timeout "function" ["0xaccess" "source"]
 *   FUNCTION_PAYLOAD transaction timeout "function" "0xaccess" "source" "content type"
 *     .. lines .. FUNCTION_PAYLOAD_END
 *   FUNCTION_CANCEL transaction        FUNCTION_PROGRESS transaction
 *   NODE_ID 'claim id' 'node id' 'url'
 *   JSON kind .. lines .. JSON_PAYLOAD_END
 *
 * A line is parsed as it stands; payload lines are the caller's to collect.  Slices point into the
 * line.  Thread: any. */
#ifndef QR_PROTO_COMMAND_H
#define QR_PROTO_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"
#include "base/slice.h"

enum qr_command_kind {
    QR_COMMAND_REPLAY_CHART,
    QR_COMMAND_FUNCTION,
    QR_COMMAND_FUNCTION_PAYLOAD, /* A payload follows. */
    QR_COMMAND_FUNCTION_CANCEL,
    QR_COMMAND_FUNCTION_PROGRESS,
    QR_COMMAND_NODE_ID,
    QR_COMMAND_JSON, /* A payload follows. */
    QR_COMMAND_NR
};

/* A call that says no time gets this. */
#define QR_COMMAND_TIMEOUT_S     10u
#define QR_COMMAND_TIMEOUT_S_MAX 86400u

struct qr_command {
    enum qr_command_kind kind;
    struct qr_slice name; /* Chart, transaction, or kind of the JSON. */
    bool start_streaming; /* REPLAY_CHART */
    int64_t after_s, before_s;
    uint32_t timeout_s; /* FUNCTION.. */
    struct qr_slice function, access, source, content_type;
    struct qr_guid claim_id, node_id; /* NODE_ID */
    struct qr_slice url;
};

/* 0, QR_E_UNKNOWN (no command of these, also the empty line), QR_E_MALFORMED. */
int qr_command_parse(struct qr_slice line, struct qr_command *command);

/* Is this the line that ends the payload of such a command? */
bool qr_command_ends(enum qr_command_kind kind, struct qr_slice line);

#endif
