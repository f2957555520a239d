#include "node/child_functions.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "node/functions.h"
#include "proto/caps.h"

/* A function that the child offers; its texts follow the struct. */
struct offered {
    struct qr_function function;
    char text[];
};

struct qr_child_functions {
    struct offered **offered; /* In the order of their first naming. */
    uint32_t n_offered, capacity;
    struct qr_map by_name;
    bool changed; /* Since it was told. */
    bool refused; /* There were more than may be; said once. */
    struct qr_guid calls[QR_FUNCTION_CALLS_PER_HOST_MAX]; /* That the child works on. */
    unsigned n_calls;
    /* The answer that is being collected. */
    struct qr_function_result result;
    char type[QR_FUNCTION_NAME_BYTES_MAX];
    struct qr_buf body;
    int failed; /* Why it will not be one: a status of HTTP. */
};

static struct qr_functions *functions_of(const struct session *s)
{
    return qr_ingest_config(s->ingest)->functions;
}

/* Most children have none, so they come when they are needed; NULL: no memory. */
static struct qr_child_functions *get(struct session *s)
{
    if (s->functions == NULL)
        s->functions = calloc(1, sizeof *s->functions);
    return s->functions;
}

/* ---- what is offered ---- */

static struct qr_slice copy(char **at, struct qr_slice text)
{
    char *start = *at;
    if (text.len > 0)
        memcpy(start, text.base, text.len);
    *at += text.len;
    return qr_slice_of(start, text.len);
}

static struct offered *new_offered(const struct qr_function *function)
{
    struct offered *offered = malloc(sizeof *offered + function->name.len + function->help.len +
                                     function->tags.len + function->chart.len);
    if (offered == NULL)
        return NULL;
    char *at = offered->text;
    offered->function = *function;
    offered->function.name = copy(&at, function->name);
    offered->function.help = copy(&at, function->help);
    offered->function.tags = copy(&at, function->tags);
    offered->function.chart = copy(&at, function->chart);
    return offered;
}

static bool is_same(const struct qr_function *a, const struct qr_function *b)
{
    return qr_slice_equal(a->help, b->help) && qr_slice_equal(a->tags, b->tags) &&
           qr_slice_equal(a->chart, b->chart) && a->timeout_s == b->timeout_s &&
           a->access == b->access && a->priority == b->priority && a->version == b->version &&
           a->global == b->global;
}

static void refuse_function(struct session *s, struct qr_slice name)
{
    char text[128];
    if (s->functions->refused)
        return;
    s->functions->refused = true;
    qr_log_escape(text, sizeof text, name);
    qr_ingest_complain(s->ingest,
                       "function refused, and those after it child=%s function=\"%s\" "
                       "reason=\"this child offers more than %u functions\"",
                       s->name, text, QR_FUNCTIONS_PER_HOST_MAX);
}

static bool grow(struct qr_child_functions *f)
{
    if (f->n_offered < f->capacity)
        return true;
    uint32_t capacity = f->capacity == 0 ? 8 : f->capacity * 2;
    struct offered **grown = realloc(f->offered, capacity * sizeof(struct offered *));
    if (grown == NULL)
        return false;
    f->offered = grown;
    f->capacity = capacity;
    return true;
}

/* A name that comes again takes the place of the former one. */
static void put(struct session *s, const struct qr_function *function)
{
    struct qr_child_functions *f = s->functions;
    struct offered *offered = new_offered(function);
    uint32_t at = 0;
    struct offered *before = qr_map_get(&f->by_name, function->name);
    if (offered == NULL || !grow(f)) {
        free(offered);
        return; /* it is not offered, that is all */
    }
    while (before != NULL && f->offered[at] != before)
        at++;
    if (before != NULL)
        qr_map_remove(&f->by_name, before->function.name);
    if (qr_map_set(&f->by_name, offered->function.name, offered) != 0) {
        free(offered);
        if (before != NULL) {
            f->offered[at] = f->offered[--f->n_offered];
            free(before);
        }
        return;
    }
    if (before == NULL)
        at = f->n_offered++;
    f->offered[at] = offered;
    f->changed = true;
    free(before);
}

void qr_child_on_function(void *data, struct qr_stream_chart *chart,
                          const struct qr_function *function)
{
    struct session *s = data;
    struct qr_child_functions *f = get(s);
    struct qr_function told = *function;
    if (f == NULL)
        return;
    if (!told.global && chart != NULL)
        told.chart = chart->id;
    const struct offered *known = qr_map_get(&f->by_name, told.name);
    if (known != NULL && is_same(&known->function, &told))
        return;
    if (known == NULL && f->n_offered == QR_FUNCTIONS_PER_HOST_MAX)
        refuse_function(s, told.name);
    else
        put(s, &told);
}

void qr_child_tell_functions(struct session *s)
{
    struct qr_child_functions *f = s->functions;
    struct qr_buf list = {0};
    if (functions_of(s) == NULL || (s->functions_told && (f == NULL || !f->changed)))
        return;
    for (uint32_t i = 0; f != NULL && i < f->n_offered; i++)
        qr_function_list_add(&list, &f->offered[i]->function);
    if (list.failed) { /* no memory: at the next tick */
        qr_buf_release(&list);
        return;
    }
    if (f != NULL)
        f->changed = false;
    s->functions_told = true;
    /* A proxy may be newer than the child that it speaks for. */
    bool whole = (s->caps & QR_CAP_PROGRESS) != 0 && s->handshake.hops <= 1;
    qr_functions_offer(functions_of(s), &s->feed, &list, whole);
}

static void drop_body(struct session *s)
{
    struct qr_child_functions *f = s->functions;
    qr_functions_unreserve(functions_of(s), f->body.len);
    qr_buf_release(&f->body);
}

void qr_child_end_functions(struct session *s)
{
    if (s->functions_told)
        qr_functions_gone(functions_of(s), &s->feed);
    s->functions_told = false;
    if (s->functions != NULL) {
        s->functions->n_calls = 0;
        if (s->functions->body.len > 0)
            drop_body(s);
    }
}

void qr_child_free_functions(struct session *s)
{
    struct qr_child_functions *f = s->functions;
    if (f == NULL)
        return;
    for (uint32_t i = 0; i < f->n_offered; i++)
        free(f->offered[i]);
    free(f->offered);
    qr_map_release(&f->by_name);
    free(f);
    s->functions = NULL;
}

/* ---- what it is asked ---- */

static unsigned find_call(const struct qr_child_functions *f, const struct qr_guid *transaction)
{
    unsigned i = 0;
    while (i < f->n_calls && !qr_guid_equal(&f->calls[i], transaction))
        i++;
    return i;
}

/* False: it is not at work here. */
static bool end_call(struct qr_child_functions *f, const struct qr_guid *transaction)
{
    unsigned i = find_call(f, transaction);
    if (i == f->n_calls)
        return false;
    f->calls[i] = f->calls[--f->n_calls];
    return true;
}

static void refuse(struct session *s, const struct qr_guid *transaction, int status,
                   const char *sentence)
{
    qr_functions_refuse(functions_of(s), &s->feed, transaction, status, sentence);
}

static void start_call(struct session *s, const struct qr_function_call *call)
{
    struct qr_child_functions *f = get(s);
    if (f == NULL || f->n_calls == QR_FUNCTION_CALLS_PER_HOST_MAX) {
        refuse(s, &call->transaction, 503, "Too many functions of this host are at work.");
        return;
    }
    int err = qr_function_encode_call(&s->to_child, call, s->caps);
    if (err == QR_E_UNSUPPORTED)
        refuse(s, &call->transaction, 400, "This host takes no payloads: it is too old.");
    else if (err == QR_E_MALFORMED)
        refuse(s, &call->transaction, 400, "The call cannot be written in the host's protocol.");
    else if (err != 0)
        refuse(s, &call->transaction, 500, "This member cannot write the call.");
    else
        f->calls[f->n_calls++] = call->transaction;
}

void qr_child_on_order(struct qr_feed *feed, const struct qr_function_order *order)
{
    struct session *s = feed->session;
    if (!s->functions_told || s->conn == NULL)
        return; /* node/functions hears that it is gone */
    switch (order->kind) {
    case QR_FUNCTION_ORDER_CALL:
        start_call(s, &order->call);
        break;
    case QR_FUNCTION_ORDER_CANCEL:
        if (s->functions != NULL && end_call(s->functions, &order->call.transaction))
            qr_function_encode_cancel(&s->to_child, &order->call.transaction, s->caps);
        break;
    case QR_FUNCTION_ORDER_PROGRESS:
        qr_function_encode_progress(&s->to_child, &order->call.transaction, s->caps);
        break;
    }
    qr_child_flush(s);
}

/* ---- what it answers ---- */

void qr_child_on_progress(void *data, const struct qr_function_progress *progress)
{
    struct session *s = data;
    struct qr_child_functions *f = s->functions;
    if (f != NULL && s->functions_told && find_call(f, &progress->transaction) < f->n_calls)
        qr_functions_progress(functions_of(s), &s->feed, progress);
}

bool qr_child_on_payload_begin(void *data, const struct qr_payload *payload)
{
    struct session *s = data;
    struct qr_child_functions *f = s->functions;
    if (payload->kind != QR_PAYLOAD_RESULT || f == NULL ||
        find_call(f, &payload->result.transaction) == f->n_calls)
        return false;
    f->result = payload->result;
    memcpy(f->type, payload->result.content_type.base, payload->result.content_type.len);
    f->result.content_type.base = f->type;
    f->failed = 0;
    qr_buf_init(&f->body, 0);
    return true;
}

void qr_child_on_payload(void *data, struct qr_slice bytes)
{
    struct session *s = data;
    struct qr_child_functions *f = s->functions;
    if (f->failed != 0)
        return;
    if (bytes.len > QR_FUNCTION_RESULT_BYTES_MAX - f->body.len)
        f->failed = 500;
    else if (!qr_functions_reserve(functions_of(s), bytes.len))
        f->failed = 503;
    else if (qr_buf_add(&f->body, bytes.base, bytes.len) != 0) {
        qr_functions_unreserve(functions_of(s), bytes.len);
        f->failed = 503;
    }
    if (f->failed != 0)
        drop_body(s);
}

void qr_child_on_payload_end(void *data)
{
    struct session *s = data;
    struct qr_child_functions *f = s->functions;
    if (!end_call(f, &f->result.transaction)) {
        if (f->body.len > 0)
            drop_body(s); /* it was taken back meanwhile */
    } else if (f->failed == 500) {
        refuse(s, &f->result.transaction, 500, "The function's answer is too long.");
    } else if (f->failed != 0) {
        refuse(s, &f->result.transaction, 503,
               "Too many answers wait on this member: try again later.");
    } else {
        qr_functions_answer(functions_of(s), &s->feed, &f->result, &f->body);
    }
}
