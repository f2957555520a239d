/* node/functions.h — calls of children's functions: from anywhere in the cluster, to the child's
 * stream, and back.
 *
 *   HTTP client -> any member -> the member that owns the child -> the session -> the child
 *
 *   caller (any loop)   qr_functions_ask() ............................ request->done()
 *   this member         looks the host's owner up in the log; is it ours? else a frame to the owner
 *   the owner           finds the function in what the child offers; an order to its session
 *   the session         writes FUNCTION; collects the answer; posts it
 *
 * What a child offers is known to its owner only, and asked for there: it is gone with the
 * connection, and a new owner hears it from the child itself.  Nothing of it is in the log.
 *
 * A call ends once: with the child's answer; 504 after its timeout (and the child is told to stop);
 * 499 when the caller cancels; 503 when the child or its owner goes, or too much is in work.
 * Progress prolongs a call, up to QR_FUNCTION_TIMEOUT_S_MAX.  Bounds: base/limits.h; a body that is
 * too long is a 500, and its rest is dropped.  The owner keeps the time; who relayed the call waits
 * a little longer.
 *
 * Thread: consensus; functions marked A any. */
#ifndef QR_NODE_FUNCTIONS_H
#define QR_NODE_FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mailbox.h"
#include "cluster/link.h"
#include "node/feed.h"
#include "node/function_frame.h"

struct qr_functions;

struct qr_functions_config {
    struct qr_mailbox *mailbox; /* Of the consensus loop. */
    const struct qr_clock *clock;
    struct qr_link *link; /* Gets the handler of QR_LINK_FUNCTION. */
    uint32_t group;
    uint32_t member;
    uint64_t seed; /* Of transactions: another one for each life of a member. */
    void *data;
    /* Whose name or GUID is this (empty: this member's own)?  False: nobody's.  *owner: the member
     * that its child streams to as the log says; 0: none yet. */
    bool (*find)(void *data, struct qr_slice host, struct qr_guid *guid, uint32_t *owner);
};

int qr_functions_new(struct qr_functions **functions, const struct qr_functions_config *config);
/* No session and no caller is left. */
void qr_functions_free(struct qr_functions *functions);
/* About ten times a second. */
void qr_functions_tick(struct qr_functions *functions);

/* ---- callers ---- */

enum qr_functions_what {
    QR_FUNCTIONS_CALL,
    QR_FUNCTIONS_LIST,    /* The body is a list: qr_function_list_next. */
    QR_FUNCTIONS_PROGRESS /* Of `transaction`, which runs through this member. */
};

struct qr_functions_request {
    /* Set before asking, constant until `done`. */
    enum qr_functions_what what;
    struct qr_slice host;         /* Its name or GUID; empty: this member's own. */
    struct qr_function_call call; /* timeout_s 0: the function's own, QR_FUNCTION_TIMEOUT_S for a
                                   * list.  The transaction, from qr_functions_transaction or
                                   * elsewhere, is the caller's. */
    struct qr_mailbox *home;
    /* May be NULL.  On `home`, before `done`. */
    void (*progress)(struct qr_functions_request *request, uint64_t done, uint64_t all);
    /* Once, on `home`; the request is the caller's again. */
    void (*done)(struct qr_functions_request *request);
    void *data;

    /* The answer.  The caller releases the body. */
    int status; /* HTTP's; of what we say ourselves the body is JSON. */
    char content_type[QR_FUNCTION_NAME_BYTES_MAX + 1];
    int64_t expires_s; /* Unix; 0: at once. */
    struct qr_buf body;
    struct qr_function_progress progress_made; /* QR_FUNCTIONS_PROGRESS */

    /* The module's. */
    struct qr_message message;
    struct qr_functions *functions;
};

/* A.  A new one. */
void qr_functions_transaction(struct qr_functions *functions, struct qr_guid *transaction);
/* A. */
void qr_functions_ask(struct qr_functions *functions, struct qr_functions_request *request);
/* A.  The call is of no interest any more: `done` still comes, soon (status 499, or what came
 * before). */
void qr_functions_cancel(struct qr_functions *functions, const struct qr_guid *transaction);

/* ---- sessions of children ---- */

enum qr_function_order_kind {
    QR_FUNCTION_ORDER_CALL,
    QR_FUNCTION_ORDER_CANCEL,
    QR_FUNCTION_ORDER_PROGRESS /* Ask the child how far it is. */
};

/* What a session is told: qr_feed_handler.order, on its loop; valid during the call. */
struct qr_function_order {
    struct qr_message message;
    struct qr_feed *feed;
    enum qr_function_order_kind kind;
    struct qr_function_call call; /* Of a cancel and a progress the transaction only. */
    struct qr_buf text;           /* What the call's slices lie in. */
};

/* A.  The session is there, with these functions (taken); again when they change.  After it was
 * attached, before it is detached.  Not `whole`: the child has functions that it does not tell of
 * (1.37's those of the host, which a proxy in between knows no better), so it is asked for others
 * too, and knows best. */
void qr_functions_offer(struct qr_functions *functions, struct qr_feed *feed, struct qr_buf *list,
                        bool whole);
/* A.  It offers nothing any more; its calls end.  Before it is detached. */
void qr_functions_gone(struct qr_functions *functions, struct qr_feed *feed);

/* A.  The child's answer.  `body` is taken; its bytes were reserved.  Or the session could not do
 * it: status of HTTP, and a sentence as the body's text. */
void qr_functions_answer(struct qr_functions *functions, struct qr_feed *feed,
                         const struct qr_function_result *result, struct qr_buf *body);
void qr_functions_refuse(struct qr_functions *functions, struct qr_feed *feed,
                         const struct qr_guid *transaction, int status, const char *sentence);
void qr_functions_progress(struct qr_functions *functions, struct qr_feed *feed,
                           const struct qr_function_progress *progress);

/* A.  Room for a body that is being collected; false: this member has too much of that.  What was
 * reserved goes back, or goes with the answer. */
bool qr_functions_reserve(struct qr_functions *functions, size_t bytes);
void qr_functions_unreserve(struct qr_functions *functions, size_t bytes);

struct qr_functions_stats {
    uint32_t n_calls, n_children;
    uint64_t n_called, n_relayed, n_timeouts, n_canceled, n_lost;
};
void qr_functions_get_stats(const struct qr_functions *functions, struct qr_functions_stats *stats);

#endif
