#include "node/forward_calls.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/list.h"

/* A question for the list that failed: mostly the log has not the session yet. */
#define LIST_AGAIN_MS 1000u

/* It lives until the answer has come, and was said; without its owner until the former. */
struct call {
    struct qr_list node;
    struct qr_forward_calls *owner; /* NULL: the connection is gone. */
    struct qr_functions_request ask;
    struct qr_buf text;     /* Its slices lie here. */
    struct qr_slice theirs; /* The far side's transaction. */
    bool answered, has_progress;
    uint64_t done, all;
};

/* The question what there is. */
struct listing {
    struct qr_forward_calls *owner; /* NULL: gone. */
    struct qr_functions_request ask;
    char host[QR_GUID_TEXT_LEN + 1];
    uint32_t offer;
};

struct qr_forward_calls {
    struct qr_forward_calls_config config;
    char host[QR_GUID_TEXT_LEN + 1];
    struct qr_list calls;
    unsigned n_calls;
    struct listing *listing; /* Under way. */
    struct qr_buf list;
    uint32_t offer; /* Of `list`; 0: there is none. */
    uint64_t asked_ms;
    bool is_new;
};

int qr_forward_calls_new(struct qr_forward_calls **calls,
                         const struct qr_forward_calls_config *config)
{
    struct qr_forward_calls *made = calloc(1, sizeof *made);
    if (made == NULL)
        return UV_ENOMEM;
    made->config = *config;
    qr_guid_format(&config->host, made->host);
    qr_list_init(&made->calls);
    *calls = made;
    return 0;
}

void qr_forward_calls_free(struct qr_forward_calls *calls)
{
    if (calls == NULL)
        return;
    qr_forward_calls_drop(calls);
    qr_forward_calls_forget(calls);
    free(calls);
}

/* ---- what the host offers ---- */

static void on_listed(struct qr_functions_request *ask)
{
    struct listing *listing = QR_CONTAINER_OF(ask, struct listing, ask);
    struct qr_forward_calls *calls = listing->owner;
    if (calls != NULL)
        calls->listing = NULL;
    if (calls != NULL && ask->status == 200) {
        qr_buf_release(&calls->list);
        calls->list = ask->body;
        ask->body = (struct qr_buf){0};
        calls->offer = listing->offer;
        calls->is_new = true;
    }
    bool wakes = calls != NULL && calls->is_new;
    qr_buf_release(&ask->body);
    free(listing);
    if (wakes)
        calls->config.wake(calls->config.data);
}

void qr_forward_calls_follow(struct qr_forward_calls *calls, uint32_t offer, uint64_t now_ms)
{
    bool asked = calls->asked_ms != 0 && now_ms - calls->asked_ms < LIST_AGAIN_MS;
    if (offer == 0 || offer == calls->offer || calls->listing != NULL || asked)
        return;
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL)
        return; /* at the next tick */
    calls->asked_ms = now_ms;
    calls->listing = listing;
    listing->owner = calls;
    listing->offer = offer;
    memcpy(listing->host, calls->host, sizeof listing->host);
    listing->ask = (struct qr_functions_request){.what = QR_FUNCTIONS_LIST,
                                                 .host = qr_slice_str(listing->host),
                                                 .home = calls->config.home,
                                                 .done = on_listed};
    qr_functions_transaction(calls->config.functions, &listing->ask.call.transaction);
    qr_functions_ask(calls->config.functions, &listing->ask);
}

bool qr_forward_calls_list(struct qr_forward_calls *calls, struct qr_slice *list)
{
    bool is_new = calls->is_new;
    calls->is_new = false;
    *list = qr_buf_slice(&calls->list);
    return is_new;
}

bool qr_forward_calls_offers(const struct qr_forward_calls *calls, const char *name)
{
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&calls->list));
    struct qr_function f;
    while (qr_function_list_next(&in, &f))
        if (qr_slice_is(f.name, name))
            return true;
    return false;
}

void qr_forward_calls_forget(struct qr_forward_calls *calls)
{
    if (calls->listing != NULL)
        calls->listing->owner = NULL;
    calls->listing = NULL;
    calls->offer = 0;
    calls->asked_ms = 0;
    calls->is_new = false;
    qr_buf_release(&calls->list);
}

/* ---- calls ---- */

static void free_call(struct call *call)
{
    if (call->owner != NULL) {
        qr_list_remove(&call->node);
        call->owner->n_calls--;
    }
    qr_buf_release(&call->ask.body);
    qr_buf_release(&call->text);
    free(call);
}

static void on_progress(struct qr_functions_request *ask, uint64_t done, uint64_t all)
{
    struct call *call = QR_CONTAINER_OF(ask, struct call, ask);
    call->done = done;
    call->all = all;
    call->has_progress = true;
    if (call->owner != NULL)
        call->owner->config.wake(call->owner->config.data);
}

static void on_done(struct qr_functions_request *ask)
{
    struct call *call = QR_CONTAINER_OF(ask, struct call, ask);
    call->answered = true;
    if (call->owner == NULL)
        free_call(call);
    else
        call->owner->config.wake(call->owner->config.data);
}

static struct call *find_call(const struct qr_forward_calls *calls, struct qr_slice transaction)
{
    QR_LIST_FOREACH (node, &calls->calls) {
        struct call *call = QR_CONTAINER_OF(node, struct call, node);
        if (qr_slice_equal(call->theirs, transaction))
            return call;
    }
    return NULL;
}

/* "0x13".  Who says nothing is older than classes of access: whoever may call there may call all,
 * and by naming it as our destination we trust it. */
static uint32_t access_of(struct qr_slice text)
{
    uint32_t access = 0;
    if (text.len == 0)
        return QR_FUNCTION_ACCESS_ALL;
    if (text.len < 3 || text.len > 10 || memcmp(text.base, "0x", 2) != 0)
        return 0;
    for (size_t i = 2; i < text.len; i++) {
        char c = text.base[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter)
            return 0;
        access = access << 4 | (uint32_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return access;
}

/* The line lives no longer than its handler: the texts are copied. */
static struct call *new_call(const struct qr_sender_call *from)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    struct qr_function_call *to = &call->ask.call;
    const struct qr_slice *texts[] = {&from->transaction, &from->function, &from->source,
                                      &from->content_type, &from->payload};
    struct qr_slice *copies[] = {&call->theirs, &to->function, &to->source, &to->content_type,
                                 &to->payload};
    for (size_t i = 0; i < QR_COUNT(texts); i++)
        qr_buf_add(&call->text, texts[i]->base, texts[i]->len);
    if (call->text.failed) {
        free_call(call);
        return NULL;
    }
    const char *at = call->text.base;
    for (size_t i = 0; i < QR_COUNT(texts); i++) {
        *copies[i] = qr_slice_of(at, texts[i]->len);
        at += texts[i]->len;
    }
    to->timeout_s = from->timeout_s;
    to->access = access_of(from->access);
    to->has_payload = from->has_payload;
    return call;
}

static void refuse(struct qr_sender *sender, struct qr_slice transaction, const char *sentence)
{
    struct qr_buf body = {0};
    struct qr_json json;
    qr_json_init(&json, &body);
    qr_json_object(&json, NULL);
    qr_json_i64(&json, "status", 503);
    qr_json_str(&json, "error_message", sentence);
    qr_json_end(&json);
    (void)qr_sender_result(sender, transaction, 503, qr_slice_str("application/json"), 0,
                           qr_buf_slice(&body));
    qr_buf_release(&body);
}

void qr_forward_calls_take(struct qr_forward_calls *calls, struct qr_sender *sender,
                           const struct qr_sender_call *call)
{
    if (find_call(calls, call->transaction) != NULL)
        return; /* it is at work already, and will be answered once */
    if (calls->n_calls >= QR_FUNCTION_CALLS_PER_HOST_MAX) {
        refuse(sender, call->transaction, "Too many functions of this host are at work.");
        return;
    }
    struct call *made = new_call(call);
    if (made == NULL) {
        refuse(sender, call->transaction, "There is no memory for the call.");
        return;
    }
    made->owner = calls;
    qr_list_add_tail(&calls->calls, &made->node);
    calls->n_calls++;
    made->ask.what = QR_FUNCTIONS_CALL;
    made->ask.host = qr_slice_str(calls->host);
    made->ask.home = calls->config.home;
    made->ask.progress = on_progress;
    made->ask.done = on_done;
    qr_functions_transaction(calls->config.functions, &made->ask.call.transaction);
    qr_functions_ask(calls->config.functions, &made->ask);
}

void qr_forward_calls_cancel(struct qr_forward_calls *calls, struct qr_slice transaction)
{
    struct call *call = find_call(calls, transaction);
    if (call != NULL && !call->answered)
        qr_functions_cancel(calls->config.functions, &call->ask.call.transaction);
}

void qr_forward_calls_drop(struct qr_forward_calls *calls)
{
    QR_LIST_FOREACH (node, &calls->calls) {
        struct call *call = QR_CONTAINER_OF(node, struct call, node);
        if (call->answered) {
            free_call(call);
            continue;
        }
        qr_functions_cancel(calls->config.functions, &call->ask.call.transaction);
        qr_list_remove(&call->node);
        calls->n_calls--;
        call->owner = NULL;
    }
}

/* ---- what it is told ---- */

bool qr_forward_calls_due(const struct qr_forward_calls *calls)
{
    QR_LIST_FOREACH (node, &calls->calls) {
        const struct call *call = QR_CONTAINER_OF(node, const struct call, node);
        if (call->answered || call->has_progress)
            return true;
    }
    return false;
}

void qr_forward_calls_say(struct qr_forward_calls *calls, struct qr_sender *sender)
{
    bool said = false;
    QR_LIST_FOREACH (node, &calls->calls) {
        struct call *call = QR_CONTAINER_OF(node, struct call, node);
        const struct qr_functions_request *ask = &call->ask;
        if (call->has_progress && !call->answered)
            qr_sender_progress(sender, call->theirs, call->done, call->all);
        call->has_progress = false;
        if (!call->answered || said)
            continue;
        /* A body that cannot stand in the stream becomes an error, which is an answer, too. */
        (void)qr_sender_result(sender, call->theirs, (uint32_t)ask->status,
                               qr_slice_str(ask->content_type), ask->expires_s,
                               qr_buf_slice(&ask->body));
        said = true;
        free_call(call);
    }
}

bool qr_forward_calls_idle(const struct qr_forward_calls *calls)
{
    return calls->n_calls == 0;
}
