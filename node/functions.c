#include "node/functions.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/rng.h"

/* Parts of a body on a member link: between two of them the log's frames go. */
#define PART_BYTES (256u * 1024)
/* Who relays a call waits longer than the owner, whose answer says more. */
#define RELAY_GRACE_MS 2000u
/* How often a child is asked how far it is. */
#define PROGRESS_MS 1000u

/* A session that was attached. */
struct child {
    struct qr_list node;
    struct qr_feed *feed;
    struct qr_buf list;
    bool whole; /* What is not in the list is not there. */
    unsigned n_calls;
};

struct answer {
    struct qr_function_result result; /* The content type lies in `type`. */
    char type[QR_FUNCTION_NAME_BYTES_MAX + 1];
    struct qr_buf body;
    size_t reserved;
    uint64_t body_bytes; /* As a member announced it. */
    bool begun;          /* ANSWER has come. */
};

/* A call from its arrival here to its answer. */
struct call {
    struct qr_list node;
    struct qr_functions *functions;
    struct qr_guid transaction;
    /* Who asks: */
    struct qr_functions_request *request; /* or NULL: */
    uint32_t asker;                       /* a member. */
    /* Who answers: */
    struct child *child; /* or NULL: */
    uint32_t owner;      /* a member; 0: nobody any more, the answer is being sent. */
    uint64_t started_ms, deadline_ms, timeout_ms, asked_ms;
    struct qr_function_progress progress;
    struct answer answer;
    struct qr_buf head; /* Of the part that is being sent. */
    size_t sent;
};

struct qr_functions {
    struct qr_functions_config config;
    struct qr_list children;
    struct qr_list calls;
    unsigned n_calls;
    uint32_t n_offers; /* Of all sessions together. */
    struct qr_functions_stats stats;
    _Atomic uint64_t reserved;
    _Atomic uint64_t n_transactions;
};

/* ---- life ---- */

static int on_frame(void *data, uint32_t member, uint32_t group, struct qr_slice payload);

int qr_functions_new(struct qr_functions **made, const struct qr_functions_config *config)
{
    struct qr_functions *functions = calloc(1, sizeof *functions);
    if (functions == NULL)
        return UV_ENOMEM;
    functions->config = *config;
    qr_list_init(&functions->children);
    qr_list_init(&functions->calls);
    qr_link_on(config->link, QR_LINK_FUNCTION, on_frame, functions);
    *made = functions;
    return 0;
}

void qr_functions_free(struct qr_functions *functions)
{
    if (functions == NULL)
        return;
    assert(qr_list_empty(&functions->children));
    assert(qr_list_empty(&functions->calls));
    free(functions);
}

void qr_functions_get_stats(const struct qr_functions *functions, struct qr_functions_stats *stats)
{
    *stats = functions->stats;
    stats->n_calls = functions->n_calls;
}

void qr_functions_transaction(struct qr_functions *functions, struct qr_guid *transaction)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, functions->config.seed + atomic_fetch_add(&functions->n_transactions, 1));
    qr_le_put(transaction->bytes, qr_rng_next(&rng), 8);
    qr_le_put(transaction->bytes + 8, qr_rng_next(&rng), 8);
    transaction->bytes[6] = (uint8_t)((transaction->bytes[6] & 0x0f) | 0x40); /* version 4 */
    transaction->bytes[8] = (uint8_t)((transaction->bytes[8] & 0x3f) | 0x80);
}

bool qr_functions_reserve(struct qr_functions *functions, size_t bytes)
{
    uint64_t before = atomic_fetch_add(&functions->reserved, bytes);
    if (before + bytes <= QR_FUNCTION_RESULTS_BYTES_MAX)
        return true;
    atomic_fetch_sub(&functions->reserved, bytes);
    return false;
}

void qr_functions_unreserve(struct qr_functions *functions, size_t bytes)
{
    atomic_fetch_sub(&functions->reserved, bytes);
}

/* ---- calls ---- */

static uint64_t now_ms(const struct qr_functions *functions)
{
    return qr_clock_mono_ms(functions->config.clock);
}

static struct call *find_call(struct qr_functions *functions, const struct qr_guid *transaction)
{
    QR_LIST_FOREACH (node, &functions->calls) {
        struct call *call = QR_CONTAINER_OF(node, struct call, node);
        if (qr_guid_equal(&call->transaction, transaction))
            return call;
    }
    return NULL;
}

static struct call *new_call(struct qr_functions *functions, const struct qr_guid *transaction)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->functions = functions;
    call->transaction = *transaction;
    call->progress.transaction = *transaction;
    call->started_ms = now_ms(functions);
    call->deadline_ms = UINT64_MAX;
    qr_list_add_tail(&functions->calls, &call->node);
    functions->n_calls++;
    return call;
}

static void free_call(struct call *call)
{
    qr_list_remove(&call->node);
    call->functions->n_calls--;
    qr_functions_unreserve(call->functions, call->answer.reserved);
    qr_buf_release(&call->answer.body);
    qr_buf_release(&call->head);
    free(call);
}

static void set_timeout(struct call *call, uint32_t timeout_s, uint64_t grace_ms)
{
    call->timeout_ms = (uint64_t)timeout_s * 1000 + grace_ms;
    call->deadline_ms = now_ms(call->functions) + call->timeout_ms;
}

static void leave_child(struct call *call)
{
    if (call->child != NULL)
        call->child->n_calls--;
    call->child = NULL;
    call->owner = 0;
}

static void set_answer(struct answer *answer, const struct qr_function_result *result)
{
    answer->result = *result;
    snprintf(answer->type, sizeof answer->type, "%.*s", (int)result->content_type.len,
             result->content_type.base);
    answer->result.content_type = qr_slice_str(answer->type);
}

/* ---- the answer goes to who asked ---- */

static void run_done(struct qr_message *message)
{
    struct qr_functions_request *request =
        QR_CONTAINER_OF(message, struct qr_functions_request, message);
    request->done(request);
}

static void answer_request(struct call *call)
{
    struct qr_functions_request *request = call->request;
    struct answer *answer = &call->answer;
    request->status = answer->result.status;
    request->expires_s = answer->result.expires_s;
    memcpy(request->content_type, answer->type, sizeof request->content_type);
    request->body = answer->body;
    request->progress_made = call->progress;
    answer->body = (struct qr_buf){0};
    request->message.run = run_done;
    qr_mailbox_post(request->home, &request->message);
    free_call(call);
}

static int send_frame(struct qr_functions *functions, uint32_t member,
                      const struct qr_function_frame *frame)
{
    struct qr_buf bytes = {0};
    int err = qr_function_frame_encode(&bytes, frame);
    struct qr_slice part = qr_buf_slice(&bytes);
    if (err == 0)
        err = qr_link_send(functions->config.link, member, functions->config.group,
                           QR_LINK_FUNCTION, &part, 1, NULL, NULL);
    qr_buf_release(&bytes);
    return err;
}

static void send_parts(struct call *call);

static void on_part_sent(void *data, int status)
{
    struct call *call = data;
    if (status != 0 || call->sent == call->answer.body.len)
        free_call(call); /* sent; or the asker is gone, and so is its wish */
    else
        send_parts(call);
}

/* One part at a time; the link borrows it. */
static void send_parts(struct call *call)
{
    const struct qr_functions_config *config = &call->functions->config;
    const struct qr_function_frame frame = {.kind = QR_FUNCTION_PART,
                                            .transaction = call->transaction};
    size_t left = call->answer.body.len - call->sent;
    size_t len = left < PART_BYTES ? left : PART_BYTES;
    qr_buf_clear(&call->head);
    int err = qr_function_frame_encode(&call->head, &frame);
    struct qr_slice parts[] = {qr_buf_slice(&call->head),
                               qr_slice_of(call->answer.body.base + call->sent, len)};
    call->sent += len;
    if (err == 0)
        err = qr_link_send(config->link, call->asker, config->group, QR_LINK_FUNCTION, parts, 2,
                           on_part_sent, call);
    if (err != 0)
        free_call(call);
}

static void answer_member(struct call *call)
{
    struct qr_function_frame frame = {.kind = QR_FUNCTION_ANSWER,
                                      .transaction = call->transaction,
                                      .result = call->answer.result,
                                      .body_bytes = call->answer.body.len};
    int err = send_frame(call->functions, call->asker, &frame);
    if (err == 0 && call->answer.body.len > 0)
        send_parts(call);
    else
        free_call(call);
}

/* `answer` is filled. */
static void finish(struct call *call)
{
    leave_child(call);
    call->deadline_ms = UINT64_MAX;
    if (call->request != NULL)
        answer_request(call);
    else
        answer_member(call);
}

/* What we say ourselves, in the form of Netdata's errors. */
static void refuse(struct call *call, int status, const char *sentence)
{
    const struct qr_function_result result = {
        .status = status, .content_type = qr_slice_str("application/json; charset=utf-8")};
    struct qr_json json;
    qr_functions_unreserve(call->functions, call->answer.reserved);
    call->answer.reserved = 0;
    qr_buf_clear(&call->answer.body);
    set_answer(&call->answer, &result);
    qr_json_init(&json, &call->answer.body);
    qr_json_object(&json, NULL);
    qr_json_i64(&json, "status", status);
    qr_json_str(&json, "error_message", sentence);
    qr_json_end(&json);
    finish(call);
}

/* ---- orders to a session ---- */

static void run_order(struct qr_message *message)
{
    struct qr_function_order *order = QR_CONTAINER_OF(message, struct qr_function_order, message);
    if (order->feed->handler->order != NULL)
        order->feed->handler->order(order->feed, order);
    qr_buf_release(&order->text);
    free(order);
}

/* The call's slices lie in a buffer of the order: the caller may be gone before it is looked at. */
static int copy_call(struct qr_function_order *order, const struct qr_function_call *call)
{
    const struct qr_slice *from[] = {&call->function, &call->source, &call->content_type,
                                     &call->payload};
    struct qr_slice *to[] = {&order->call.function, &order->call.source, &order->call.content_type,
                             &order->call.payload};
    for (size_t i = 0; i < QR_COUNT(from); i++)
        qr_buf_add(&order->text, from[i]->base, from[i]->len);
    if (order->text.failed)
        return UV_ENOMEM;
    const char *at = order->text.base;
    for (size_t i = 0; i < QR_COUNT(from); i++) {
        *to[i] = qr_slice_of(at, from[i]->len);
        at += from[i]->len;
    }
    return 0;
}

static int give_order(struct child *child, enum qr_function_order_kind kind,
                      const struct qr_function_call *call)
{
    struct qr_function_order *order = calloc(1, sizeof *order);
    if (order == NULL)
        return UV_ENOMEM;
    order->feed = child->feed;
    order->kind = kind;
    order->call = *call;
    int err = kind == QR_FUNCTION_ORDER_CALL ? copy_call(order, call) : 0;
    if (err != 0) {
        qr_buf_release(&order->text);
        free(order);
        return err;
    }
    order->message.run = run_order;
    qr_mailbox_post(child->feed->home, &order->message);
    return 0;
}

static void order_short(struct call *call, enum qr_function_order_kind kind)
{
    const struct qr_function_call which = {.transaction = call->transaction};
    (void)give_order(call->child, kind, &which); /* Without memory: it is only a wish. */
}

/* The target need not go on. */
static void stop(struct call *call)
{
    const struct qr_function_frame frame = {.kind = QR_FUNCTION_CANCEL,
                                            .transaction = call->transaction};
    if (call->child != NULL)
        order_short(call, QR_FUNCTION_ORDER_CANCEL);
    else if (call->owner != 0)
        (void)send_frame(call->functions, call->owner, &frame);
}

/* ---- asking ---- */

/* The newest session of the host. */
static struct child *child_of(struct qr_functions *functions, const struct qr_guid *guid)
{
    struct child *found = NULL;
    QR_LIST_FOREACH (node, &functions->children) {
        struct child *child = QR_CONTAINER_OF(node, struct child, node);
        if (qr_guid_equal(&child->feed->guid, guid))
            found = child;
    }
    return found;
}

static void list_here(struct call *call, const struct child *child)
{
    const struct qr_function_result result = {.status = 200,
                                              .content_type = qr_slice_str("quorate/functions")};
    set_answer(&call->answer, &result);
    if (qr_buf_add(&call->answer.body, child->list.base, child->list.len) != 0)
        refuse(call, 500, "This member has no memory for the answer.");
    else
        finish(call);
}

static void call_here(struct call *call, struct child *child, const struct qr_function_call *what)
{
    struct qr_function function = {.timeout_s = QR_FUNCTION_TIMEOUT_S};
    struct qr_function_call order = *what;
    if (!qr_function_is_callable(what->function)) {
        refuse(call, 400,
               "The function is missing, too long, or holds a double quote, a control character "
               "or a backslash at its end.");
        return;
    }
    if (!qr_function_list_find(qr_buf_slice(&child->list), what->function, &function) &&
        child->whole) {
        refuse(call, 404, "This host offers no such function now.");
        return;
    }
    if (child->n_calls >= QR_FUNCTION_CALLS_PER_HOST_MAX) {
        refuse(call, 503, "Too many functions of this host are at work: try again later.");
        return;
    }
    order.transaction = call->transaction;
    if (order.timeout_s == 0)
        order.timeout_s = function.timeout_s;
    if (order.timeout_s > QR_FUNCTION_TIMEOUT_S_MAX)
        order.timeout_s = QR_FUNCTION_TIMEOUT_S_MAX;
    if (give_order(child, QR_FUNCTION_ORDER_CALL, &order) != 0) {
        refuse(call, 500, "This member has no memory for the call.");
        return;
    }
    call->child = child;
    child->n_calls++;
    call->functions->stats.n_called++;
    set_timeout(call, order.timeout_s, 0);
}

/* The child is this member's. */
static void start_here(struct call *call, const struct qr_guid *host, bool list,
                       const struct qr_function_call *what)
{
    struct child *child = child_of(call->functions, host);
    if (child == NULL)
        refuse(call, 503, "This host is not connected to the member that stored it last.");
    else if (list)
        list_here(call, child);
    else
        call_here(call, child, what);
}

static void start_there(struct call *call, const struct qr_guid *host, uint32_t owner, bool list,
                        const struct qr_function_call *what)
{
    const struct qr_function_frame frame = {.kind = list ? QR_FUNCTION_LIST : QR_FUNCTION_CALL,
                                            .transaction = call->transaction,
                                            .host = *host,
                                            .call = *what};
    if (!list && what->function.len > QR_FUNCTION_CALL_BYTES_MAX) {
        refuse(call, 400, "The function is too long.");
        return;
    }
    if (send_frame(call->functions, owner, &frame) != 0) {
        refuse(call, 503, "The member that this host streams to cannot be reached.");
        return;
    }
    call->owner = owner;
    call->functions->stats.n_relayed++;
    /* The owner knows the function's own timeout; of a list it keeps no time. */
    uint32_t longest_s = list ? QR_FUNCTION_TIMEOUT_S : QR_FUNCTION_TIMEOUT_S_MAX;
    uint32_t timeout_s = what->timeout_s == 0 ? longest_s : what->timeout_s;
    set_timeout(call, timeout_s, list ? 0 : RELAY_GRACE_MS);
}

static void start(struct call *call)
{
    struct qr_functions *functions = call->functions;
    struct qr_functions_request *request = call->request;
    struct qr_guid host;
    uint32_t owner = 0;
    bool list = request->what == QR_FUNCTIONS_LIST;
    if (request->call.timeout_s > QR_FUNCTION_TIMEOUT_S_MAX)
        request->call.timeout_s = QR_FUNCTION_TIMEOUT_S_MAX;
    if (functions->n_calls > QR_FUNCTION_CALLS_MAX) {
        refuse(call, 503, "Too many functions are at work on this member: try again later.");
        return;
    }
    if (!functions->config.find(functions->config.data, request->host, &host, &owner)) {
        refuse(call, 404, "There is no such host.");
        return;
    }
    if (owner == functions->config.member)
        start_here(call, &host, list, &request->call);
    else if (owner == 0)
        refuse(call, 503, "This host does not stream to any member.");
    else
        start_there(call, &host, owner, list, &request->call);
}

/* An answer without a call of its own. */
static void answer_at_once(struct qr_functions_request *request, const struct call *running)
{
    request->status = running != NULL ? 200 : 404;
    request->expires_s = 0;
    request->content_type[0] = '\0';
    request->body = (struct qr_buf){0};
    if (running != NULL)
        request->progress_made = running->progress;
    request->message.run = run_done;
    qr_mailbox_post(request->home, &request->message);
}

static void run_ask(struct qr_message *message)
{
    struct qr_functions_request *request =
        QR_CONTAINER_OF(message, struct qr_functions_request, message);
    struct qr_functions *functions = request->functions;
    struct call *running = find_call(functions, &request->call.transaction);
    if (request->what == QR_FUNCTIONS_PROGRESS) {
        answer_at_once(request, running);
        return;
    }
    struct call *call = new_call(functions, &request->call.transaction);
    if (call == NULL)
        abort(); /* a member without memory for 500 bytes cannot keep its promises */
    call->request = request;
    if (running != NULL)
        refuse(call, 400, "This transaction is at work already.");
    else
        start(call);
}

void qr_functions_ask(struct qr_functions *functions, struct qr_functions_request *request)
{
    request->functions = functions;
    request->message.run = run_ask;
    qr_mailbox_post(functions->config.mailbox, &request->message);
}

/* ---- messages by value: who sends them need not wait ---- */

enum event_kind {
    EVENT_CANCEL,
    EVENT_OFFER,
    EVENT_GONE,
    EVENT_ANSWER,
    EVENT_REFUSE,
    EVENT_PROGRESS
};

struct event {
    struct qr_message message;
    struct qr_functions *functions;
    enum event_kind kind;
    struct qr_feed *feed;
    struct qr_guid transaction;
    struct answer answer;
    struct qr_function_progress progress;
    int status;
    const char *sentence; /* Static. */
    bool whole;
};

static struct call *call_of(struct event *event)
{
    struct call *call = find_call(event->functions, &event->transaction);
    bool its = call != NULL && call->child != NULL && call->child->feed == event->feed;
    return its ? call : NULL;
}

static void cancel(struct event *event)
{
    struct call *call = find_call(event->functions, &event->transaction);
    if (call == NULL || call->request == NULL)
        return; /* it has ended */
    event->functions->stats.n_canceled++;
    stop(call);
    refuse(call, 499, "The call was canceled.");
}

static void offer(struct event *event)
{
    struct qr_functions *functions = event->functions;
    struct child *child = NULL;
    QR_LIST_FOREACH (node, &functions->children)
        if (QR_CONTAINER_OF(node, struct child, node)->feed == event->feed)
            child = QR_CONTAINER_OF(node, struct child, node);
    if (child == NULL) {
        child = calloc(1, sizeof *child);
        if (child == NULL)
            abort();
        child->feed = event->feed;
        qr_list_add_tail(&functions->children, &child->node);
        functions->stats.n_children++;
    }
    qr_buf_release(&child->list);
    event->feed->offer = ++functions->n_offers;
    child->list = event->answer.body;
    child->whole = event->whole;
    event->answer.body = (struct qr_buf){0};
}

static void lose_child(struct qr_functions *functions, struct child *child)
{
    QR_LIST_FOREACH (node, &functions->calls) {
        struct call *call = QR_CONTAINER_OF(node, struct call, node);
        if (call->child != child)
            continue;
        functions->stats.n_lost++;
        refuse(call, 503, "The host has left before its function answered.");
    }
    qr_list_remove(&child->node);
    functions->stats.n_children--;
    qr_buf_release(&child->list);
    free(child);
}

static void gone(struct event *event)
{
    QR_LIST_FOREACH (node, &event->functions->children) {
        struct child *child = QR_CONTAINER_OF(node, struct child, node);
        if (child->feed == event->feed)
            lose_child(event->functions, child);
    }
}

static void answered(struct event *event)
{
    struct call *call = call_of(event);
    if (call == NULL)
        return; /* late */
    call->answer = event->answer;
    call->answer.result.content_type = qr_slice_str(call->answer.type);
    event->answer = (struct answer){0};
    finish(call);
}

static void refused(struct event *event)
{
    struct call *call = call_of(event);
    if (call != NULL)
        refuse(call, event->status, event->sentence);
}

struct progress_message {
    struct qr_message message;
    struct qr_functions_request *request;
    uint64_t done, all;
};

static void run_progress(struct qr_message *message)
{
    struct progress_message *progress = QR_CONTAINER_OF(message, struct progress_message, message);
    progress->request->progress(progress->request, progress->done, progress->all);
    free(progress);
}

/* Who makes progress has its whole timeout again. */
static void progressed(struct call *call, const struct qr_function_progress *progress)
{
    struct qr_functions *functions = call->functions;
    uint64_t last_ms = call->started_ms + QR_FUNCTION_TIMEOUT_S_MAX * 1000u + RELAY_GRACE_MS;
    uint64_t deadline_ms = now_ms(functions) + call->timeout_ms;
    call->progress = *progress;
    call->progress.transaction = call->transaction;
    call->deadline_ms = deadline_ms < last_ms ? deadline_ms : last_ms;
    if (call->request == NULL) {
        const struct qr_function_frame frame = {
            .kind = QR_FUNCTION_PROGRESS, .transaction = call->transaction, .progress = *progress};
        (void)send_frame(functions, call->asker, &frame);
        return;
    }
    struct progress_message *message =
        call->request->progress != NULL ? calloc(1, sizeof *message) : NULL;
    if (message == NULL)
        return;
    message->message.run = run_progress;
    message->request = call->request;
    message->done = progress->done;
    message->all = progress->all;
    qr_mailbox_post(call->request->home, &message->message);
}

static void on_progress(struct event *event)
{
    struct call *call = call_of(event);
    if (call != NULL)
        progressed(call, &event->progress);
}

static void run_event(struct qr_message *message)
{
    static void (*const run[])(struct event * event) = {
        [EVENT_CANCEL] = cancel,   [EVENT_OFFER] = offer,    [EVENT_GONE] = gone,
        [EVENT_ANSWER] = answered, [EVENT_REFUSE] = refused, [EVENT_PROGRESS] = on_progress};
    struct event *event = QR_CONTAINER_OF(message, struct event, message);
    run[event->kind](event);
    qr_functions_unreserve(event->functions, event->answer.reserved);
    qr_buf_release(&event->answer.body);
    free(event);
}

static struct event *new_event(struct qr_functions *functions, enum event_kind kind,
                               struct qr_feed *feed, const struct qr_guid *transaction)
{
    struct event *event = calloc(1, sizeof *event);
    if (event == NULL)
        abort(); /* a member without memory for 500 bytes cannot keep its promises */
    event->functions = functions;
    event->kind = kind;
    event->feed = feed;
    event->message.run = run_event;
    if (transaction != NULL)
        event->transaction = *transaction;
    return event;
}

static void post(struct event *event)
{
    qr_mailbox_post(event->functions->config.mailbox, &event->message);
}

void qr_functions_cancel(struct qr_functions *functions, const struct qr_guid *transaction)
{
    post(new_event(functions, EVENT_CANCEL, NULL, transaction));
}

void qr_functions_offer(struct qr_functions *functions, struct qr_feed *feed, struct qr_buf *list,
                        bool whole)
{
    struct event *event = new_event(functions, EVENT_OFFER, feed, NULL);
    event->answer.body = *list;
    event->whole = whole;
    *list = (struct qr_buf){0};
    post(event);
}

void qr_functions_gone(struct qr_functions *functions, struct qr_feed *feed)
{
    post(new_event(functions, EVENT_GONE, feed, NULL));
}

void qr_functions_answer(struct qr_functions *functions, struct qr_feed *feed,
                         const struct qr_function_result *result, struct qr_buf *body)
{
    struct event *event = new_event(functions, EVENT_ANSWER, feed, &result->transaction);
    set_answer(&event->answer, result);
    event->answer.body = *body;
    event->answer.reserved = body->len;
    *body = (struct qr_buf){0};
    post(event);
}

void qr_functions_refuse(struct qr_functions *functions, struct qr_feed *feed,
                         const struct qr_guid *transaction, int status, const char *sentence)
{
    struct event *event = new_event(functions, EVENT_REFUSE, feed, transaction);
    event->status = status;
    event->sentence = sentence;
    post(event);
}

void qr_functions_progress(struct qr_functions *functions, struct qr_feed *feed,
                           const struct qr_function_progress *progress)
{
    struct event *event = new_event(functions, EVENT_PROGRESS, feed, &progress->transaction);
    event->progress = *progress;
    post(event);
}

/* ---- frames of members ---- */

static struct call *call_from(struct qr_functions *functions, uint32_t owner,
                              const struct qr_guid *transaction)
{
    struct call *call = find_call(functions, transaction);
    return call != NULL && call->owner == owner ? call : NULL;
}

/* A member asks for a child that streams here. */
static int take_question(struct qr_functions *functions, uint32_t member,
                         const struct qr_function_frame *frame)
{
    bool known = find_call(functions, &frame->transaction) != NULL;
    struct call *call = new_call(functions, &frame->transaction);
    if (call == NULL)
        return UV_ENOMEM;
    call->asker = member;
    if (known)
        refuse(call, 400, "This transaction is at work already.");
    else if (functions->n_calls > QR_FUNCTION_CALLS_MAX)
        refuse(call, 503, "Too many functions are at work on the member that has this host.");
    else
        start_here(call, &frame->host, frame->kind == QR_FUNCTION_LIST, &frame->call);
    return 0;
}

static int take_cancel(struct qr_functions *functions, uint32_t member,
                       const struct qr_function_frame *frame)
{
    struct call *call = find_call(functions, &frame->transaction);
    if (call == NULL || call->request != NULL || call->asker != member || call->child == NULL)
        return 0; /* it has ended */
    functions->stats.n_canceled++;
    stop(call);
    leave_child(call);
    free_call(call); /* The asker has told its client. */
    return 0;
}

static int take_progress(struct qr_functions *functions, uint32_t member,
                         const struct qr_function_frame *frame)
{
    struct call *call = call_from(functions, member, &frame->transaction);
    if (call != NULL)
        progressed(call, &frame->progress);
    return 0;
}

static int take_answer(struct qr_functions *functions, uint32_t member,
                       const struct qr_function_frame *frame)
{
    struct call *call = call_from(functions, member, &frame->transaction);
    if (call == NULL)
        return 0;
    if (call->answer.begun)
        return QR_E_MALFORMED;
    if (!qr_functions_reserve(functions, frame->body_bytes)) {
        stop(call);
        refuse(call, 503, "Too many answers wait on this member: try again later.");
        return 0;
    }
    call->answer.reserved = frame->body_bytes;
    call->answer.begun = true;
    call->answer.body_bytes = frame->body_bytes;
    set_answer(&call->answer, &frame->result);
    if (frame->body_bytes == 0)
        finish(call);
    return 0;
}

static int take_part(struct qr_functions *functions, uint32_t member,
                     const struct qr_function_frame *frame)
{
    struct call *call = call_from(functions, member, &frame->transaction);
    if (call == NULL)
        return 0;
    struct answer *answer = &call->answer;
    if (!answer->begun || frame->part.len == 0 ||
        frame->part.len > answer->body_bytes - answer->body.len)
        return QR_E_MALFORMED;
    if (qr_buf_add(&answer->body, frame->part.base, frame->part.len) != 0) {
        refuse(call, 500, "This member has no memory for the answer.");
        return 0;
    }
    if (answer->body.len == answer->body_bytes)
        finish(call);
    return 0;
}

static int on_frame(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    static int (*const take[QR_FUNCTION_KIND_NR])(struct qr_functions *, uint32_t,
                                                  const struct qr_function_frame *) = {
        [QR_FUNCTION_CALL] = take_question, [QR_FUNCTION_LIST] = take_question,
        [QR_FUNCTION_CANCEL] = take_cancel, [QR_FUNCTION_PROGRESS] = take_progress,
        [QR_FUNCTION_ANSWER] = take_answer, [QR_FUNCTION_PART] = take_part,
    };
    struct qr_functions *functions = data;
    struct qr_function_frame frame;
    int err = group == functions->config.group ? qr_function_frame_decode(&frame, payload)
                                               : QR_E_MALFORMED;
    return err != 0 ? err : take[frame.kind](functions, member, &frame);
}

/* ---- time ---- */

/* What has become of this call?  It may be gone afterwards. */
static void look_at(struct call *call, uint64_t now)
{
    struct qr_functions *functions = call->functions;
    struct qr_link *link = functions->config.link;
    if (call->owner != 0 && !qr_link_is_up(link, call->owner)) {
        functions->stats.n_lost++;
        refuse(call, 503, "The member that this host streams to went away before it answered.");
    } else if (call->request == NULL && call->child != NULL && !qr_link_is_up(link, call->asker)) {
        functions->stats.n_lost++;
        stop(call);
        leave_child(call);
        free_call(call);
    } else if (call->deadline_ms <= now) {
        functions->stats.n_timeouts++;
        stop(call);
        refuse(call, 504, "The function did not answer in time.");
    } else if (call->child != NULL && now - call->asked_ms >= PROGRESS_MS) {
        bool first = call->asked_ms == 0;
        call->asked_ms = now;
        if (!first)
            order_short(call, QR_FUNCTION_ORDER_PROGRESS);
    }
}

void qr_functions_tick(struct qr_functions *functions)
{
    uint64_t now = now_ms(functions);
    QR_LIST_FOREACH (node, &functions->calls)
        look_at(QR_CONTAINER_OF(node, struct call, node), now);
}
