#include "base/mailbox.h"

#include "base/compiler.h"

static void drain(struct qr_mailbox *mailbox)
{
    struct qr_message *newest =
        atomic_exchange_explicit(&mailbox->posted, NULL, memory_order_acquire);
    struct qr_message *oldest = NULL;
    while (newest != NULL) {
        struct qr_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct qr_message *message = oldest;
        oldest = message->next; /* run() may free it */
        message->run(message);
    }
}

static void on_wake(uv_async_t *wake)
{
    drain(QR_CONTAINER_OF(wake, struct qr_mailbox, wake));
}

int qr_mailbox_init(struct qr_mailbox *mailbox, uv_loop_t *loop)
{
    atomic_init(&mailbox->posted, NULL);
    mailbox->on_closed = NULL;
    return uv_async_init(loop, &mailbox->wake, on_wake);
}

void qr_mailbox_post(struct qr_mailbox *mailbox, struct qr_message *message)
{
    struct qr_message *head = atomic_load_explicit(&mailbox->posted, memory_order_relaxed);
    do {
        message->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->posted, &head, message,
                                                    memory_order_release, memory_order_relaxed));
    if (head == NULL)
        uv_async_send(&mailbox->wake); /* otherwise the first poster's wake-up is on its way */
}

static void on_closed(uv_handle_t *handle)
{
    struct qr_mailbox *mailbox = QR_CONTAINER_OF(handle, struct qr_mailbox, wake);
    if (mailbox->on_closed != NULL)
        mailbox->on_closed(mailbox);
}

void qr_mailbox_close(struct qr_mailbox *mailbox, void (*closed)(struct qr_mailbox *mailbox))
{
    while (atomic_load_explicit(&mailbox->posted, memory_order_relaxed) != NULL)
        drain(mailbox); /* again: what ran may have posted */
    mailbox->on_closed = closed;
    uv_close((uv_handle_t *)&mailbox->wake, on_closed);
}
