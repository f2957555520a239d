/* node/forward_calls.h — functions of a host that is streamed on: what the far side is told that it
 * offers, and the calls that come back.
 *
 *   far side --FUNCTION, _PAYLOAD, _CANCEL--> take, cancel --node/functions--> the host's session
 *   far side <--_RESULT, _PROGRESS-- say() <-- answers, messages on the forwarder's loop
 *
 * A call goes under a transaction of our own: the far side's may be any word, and belongs to that
 * connection only.  When the connection is lost its calls are canceled, and what they answer is
 * dropped.  How far a call is the host is asked all the time (node/functions), so a far side's
 * question needs nothing; what the host says is passed on.
 *
 * Answers wait until say(), because the sender may be in the hands of a worker; a large one also
 * until what was written before has left.
 *
 * Thread: the forwarder's loop. */
#ifndef QR_NODE_FORWARD_CALLS_H
#define QR_NODE_FORWARD_CALLS_H

#include "base/mailbox.h"
#include "node/functions.h"
#include "proto/sender.h"

struct qr_forward_calls;

struct qr_forward_calls_config {
    struct qr_functions *functions;
    struct qr_mailbox *home; /* Of this loop. */
    struct qr_guid host;
    void (*wake)(void *data); /* There is something to say, or another list. */
    void *data;
};

/* 0 or UV_ENOMEM. */
int qr_forward_calls_new(struct qr_forward_calls **calls,
                         const struct qr_forward_calls_config *config);
/* Drops its calls; not from inside `wake`. */
void qr_forward_calls_free(struct qr_forward_calls *calls);

/* ---- what the host offers ---- */

/* `offer`: of the host's session (qr_feed); another one than before: the list is asked for.  To be
 * called again and again: a question that failed is asked again after a while (now_ms). */
void qr_forward_calls_follow(struct qr_forward_calls *calls, uint32_t offer, uint64_t now_ms);
/* True: *list (node/function_frame) is another one than at the last call. */
bool qr_forward_calls_list(struct qr_forward_calls *calls, struct qr_slice *list);
/* Is there a function of this name, as far as is known? */
bool qr_forward_calls_offers(const struct qr_forward_calls *calls, const char *name);
/* It is to be asked for anew: another session has begun. */
void qr_forward_calls_forget(struct qr_forward_calls *calls);

/* ---- what the far side asks: for the sender's handler ---- */

void qr_forward_calls_take(struct qr_forward_calls *calls, struct qr_sender *sender,
                           const struct qr_sender_call *call);
void qr_forward_calls_cancel(struct qr_forward_calls *calls, struct qr_slice transaction);
/* The connection is lost. */
void qr_forward_calls_drop(struct qr_forward_calls *calls);

/* ---- what it is told ---- */

/* Is there anything to say? */
bool qr_forward_calls_due(const struct qr_forward_calls *calls);
/* Says it: one answer at most, so that the caller looks how much waits before the next. */
void qr_forward_calls_say(struct qr_forward_calls *calls, struct qr_sender *sender);
/* Nothing is at work, nothing waits. */
bool qr_forward_calls_idle(const struct qr_forward_calls *calls);

#endif
