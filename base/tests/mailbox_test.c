#include "base/mailbox.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

#define N_SENDERS  4
#define N_MESSAGES 20000

struct receiver {
    uv_loop_t loop;
    struct qr_mailbox mailbox;
    unsigned next[N_SENDERS]; /* The number expected of each sender. */
    unsigned n_run;
    unsigned n_out_of_order;
    bool closed;
};

struct note {
    struct qr_message message;
    struct receiver *receiver;
    unsigned sender;
    unsigned number;
};

static void start(struct receiver *receiver)
{
    *receiver = (struct receiver){.n_run = 0};
    assert_int_equal(uv_loop_init(&receiver->loop), 0);
    assert_int_equal(qr_mailbox_init(&receiver->mailbox, &receiver->loop), 0);
}

static void on_closed(struct qr_mailbox *mailbox)
{
    QR_CONTAINER_OF(mailbox, struct receiver, mailbox)->closed = true;
}

static void run_note(struct qr_message *message)
{
    struct note *note = QR_CONTAINER_OF(message, struct note, message);
    struct receiver *receiver = note->receiver;
    if (note->number != receiver->next[note->sender]++)
        receiver->n_out_of_order++;
    free(note); /* The function owns the message. */
    if (++receiver->n_run == N_SENDERS * N_MESSAGES)
        uv_stop(&receiver->loop);
}

static void post_note(struct receiver *receiver, unsigned sender, unsigned number)
{
    struct note *note = malloc(sizeof *note);
    assert_non_null(note);
    *note = (struct note){{.run = run_note}, receiver, sender, number};
    qr_mailbox_post(&receiver->mailbox, &note->message);
}

struct sender {
    struct receiver *receiver;
    unsigned i;
};

static void *send_all(void *arg)
{
    struct sender *sender = arg;
    for (unsigned n = 0; n < N_MESSAGES; n++)
        post_note(sender->receiver, sender->i, n);
    return NULL;
}

static void finish(struct receiver *receiver)
{
    qr_mailbox_close(&receiver->mailbox, on_closed);
    uv_run(&receiver->loop, UV_RUN_DEFAULT);
    assert_true(receiver->closed);
    assert_int_equal(uv_loop_close(&receiver->loop), 0);
}

/* None lost, none twice, each sender's in its order; a lost wake-up would hang here, and the test's
 * time limit ends it. */
static void messages_of_many_threads_arrive_in_order(void **state)
{
    static struct receiver receiver;
    pthread_t threads[N_SENDERS];
    struct sender senders[N_SENDERS];
    start(&receiver);
    for (unsigned i = 0; i < N_SENDERS; i++) {
        senders[i] = (struct sender){&receiver, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    uv_run(&receiver.loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < N_SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(receiver.n_run, N_SENDERS * N_MESSAGES);
    assert_int_equal(receiver.n_out_of_order, 0);
    finish(&receiver);
}

static void closing_runs_what_is_queued(void **state)
{
    static struct receiver receiver;
    start(&receiver);
    for (unsigned n = 0; n < 3; n++)
        post_note(&receiver, 0, n);
    finish(&receiver);
    assert_int_equal(receiver.n_run, 3);
    assert_int_equal(receiver.n_out_of_order, 0);
}

static void run_and_post_another(struct qr_message *message)
{
    struct note *note = QR_CONTAINER_OF(message, struct note, message);
    struct receiver *receiver = note->receiver;
    unsigned left = note->number;
    free(note);
    receiver->n_run++;
    if (left == 0)
        return;
    note = malloc(sizeof *note);
    assert_non_null(note);
    *note = (struct note){{.run = run_and_post_another}, receiver, 0, left - 1};
    qr_mailbox_post(&receiver->mailbox, &note->message);
}

/* What is queued when the mailbox closes may itself post: that is not lost either. */
static void closing_runs_what_those_post(void **state)
{
    static struct receiver receiver;
    start(&receiver);
    struct note *note = malloc(sizeof *note);
    assert_non_null(note);
    *note = (struct note){{.run = run_and_post_another}, &receiver, 0, 3};
    qr_mailbox_post(&receiver.mailbox, &note->message);
    finish(&receiver);
    assert_int_equal(receiver.n_run, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_many_threads_arrive_in_order),
        cmocka_unit_test(closing_runs_what_is_queued),
        cmocka_unit_test(closing_runs_what_those_post),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
