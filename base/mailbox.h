/* base/mailbox.h — how loops talk: messages into another loop's queue, and a wake-up.
 *
 * A message is a struct that embeds qr_message and names the function that the receiving loop runs
 * with it; that function owns the message from then on.  Messages of one sender arrive in the order
 * they were posted.  Posting takes no lock and never blocks.
 *
 *   any thread:  qr_mailbox_post(&loop->mailbox, &m->message);
 *   receiver:    m->message.run(&m->message), on its loop, soon.
 *
 * Thread: post from any; init, close and run on the receiving loop. */
#ifndef QR_BASE_MAILBOX_H
#define QR_BASE_MAILBOX_H

#include <stdatomic.h>
#include <uv.h>

struct qr_message {
    void (*run)(struct qr_message *message);
    struct qr_message *next; /* The mailbox's while queued. */
};

struct qr_mailbox {
    uv_async_t wake;
    _Atomic(struct qr_message *) posted; /* Newest first. */
    void (*on_closed)(struct qr_mailbox *mailbox);
};

/* 0 or a libuv error. */
int qr_mailbox_init(struct qr_mailbox *mailbox, uv_loop_t *loop);

void qr_mailbox_post(struct qr_mailbox *mailbox, struct qr_message *message);

/* Runs what is queued, and what that posts, then closes; no other thread may post any more, or
 * still be inside a post (join the senders first).  on_closed is the last call. */
void qr_mailbox_close(struct qr_mailbox *mailbox, void (*on_closed)(struct qr_mailbox *mailbox));

#endif
