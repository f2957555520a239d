#include "node/roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "cluster/latency.h"
#include "node/bodies.h"
#include "node/holes.h"

/* An entry on its way into the log. */
struct proposal {
    struct qr_list node; /* In roster->waiting until the group takes it. */
    struct qr_roster *roster;
    enum qr_command_type type;
    struct qr_buf body;
    void (*done)(struct proposal *proposal, int status);
    void *data;
};

struct qr_roster {
    struct qr_mailbox *mailbox;
    struct qr_store *store;
    struct qr_group *group;
    const struct qr_clock *clock;
    uint32_t member;
    uint64_t next_nonce;
    struct qr_list feeds;
    struct qr_list waiting;
    struct qr_jobs lanes[QR_ROSTER_LANES]; /* So few workers that the log's disk work finds one. */
    struct qr_latency latency;             /* From the first byte of a batch to its application. */
};

int qr_roster_new(struct qr_roster **roster, struct qr_mailbox *mailbox, uv_loop_t *loop,
                  struct qr_store *store, uint32_t member, uint64_t incarnation,
                  const struct qr_clock *clock)
{
    struct qr_roster *r = calloc(1, sizeof *r);
    if (r == NULL)
        return UV_ENOMEM;
    r->mailbox = mailbox;
    r->store = store;
    r->member = member;
    r->clock = clock;
    r->next_nonce = incarnation << 20;
    qr_list_init(&r->feeds);
    qr_list_init(&r->waiting);
    for (unsigned i = 0; i < QR_ROSTER_LANES; i++)
        qr_jobs_init(&r->lanes[i], loop);
    *roster = r;
    return 0;
}

void qr_roster_set_group(struct qr_roster *roster, struct qr_group *group)
{
    roster->group = group;
}

static void free_proposal(struct proposal *proposal)
{
    qr_buf_release(&proposal->body);
    free(proposal);
}

void qr_roster_free(struct qr_roster *roster)
{
    if (roster == NULL)
        return;
    QR_LIST_FOREACH (node, &roster->waiting) {
        qr_list_remove(node);
        free_proposal(QR_CONTAINER_OF(node, struct proposal, node));
    }
    free(roster);
}

/* ---- into the log, in order ---- */

static void on_proposal_done(void *data, int status, uint64_t index)
{
    (void)index;
    struct proposal *proposal = data;
    proposal->done(proposal, status);
    free_proposal(proposal);
}

static bool offer(struct qr_roster *roster, struct proposal *proposal)
{
    int err = roster->group == NULL
                  ? QR_E_CLOSED
                  : qr_group_propose(roster->group, proposal->type, qr_buf_slice(&proposal->body),
                                     on_proposal_done, proposal);
    if (err == QR_E_BUSY)
        return false;
    if (err != 0)
        on_proposal_done(proposal, err, 0);
    return true;
}

void qr_roster_tick(struct qr_roster *roster)
{
    while (!qr_list_empty(&roster->waiting)) {
        struct proposal *first = QR_CONTAINER_OF(roster->waiting.next, struct proposal, node);
        qr_list_remove(&first->node);
        if (!offer(roster, first)) {
            struct qr_list *head = roster->waiting.next;
            qr_list_add_tail(head, &first->node); /* before the head: the first again */
            return;
        }
    }
}

/* Takes the body.  `done` is called exactly once. */
static void propose(struct qr_roster *roster, enum qr_command_type type, struct qr_buf *body,
                    void (*done)(struct proposal *proposal, int status), void *data)
{
    struct proposal *proposal = calloc(1, sizeof *proposal);
    if (proposal == NULL)
        abort(); /* a member without memory for 100 bytes cannot keep its promises */
    proposal->roster = roster;
    proposal->type = type;
    proposal->body = *body;
    proposal->done = done;
    proposal->data = data;
    qr_list_init(&proposal->node);
    *body = (struct qr_buf){0};
    bool first = qr_list_empty(&roster->waiting);
    if (!first || !offer(roster, proposal))
        qr_list_add_tail(&roster->waiting, &proposal->node);
}

static void on_noted(struct proposal *proposal, int status)
{
    if (status != 0 && status != QR_E_FENCED && status != UV_ECANCELED && status != QR_E_CLOSED)
        qr_warn("log refused an entry type=%s error=\"%s\"", qr_command_type_name(proposal->type),
                qr_strerror(status));
}

/* ---- feeds ---- */

static void run_close(struct qr_message *message)
{
    struct qr_feed *feed = QR_CONTAINER_OF(message, struct qr_feed, close_message);
    feed->handler->close(feed, feed->close_reason);
}

static void close_feed(struct qr_feed *feed, const char *reason)
{
    if (feed->closing || feed->detaching)
        return;
    feed->closing = true;
    feed->close_reason = reason;
    feed->close_message.run = run_close;
    qr_mailbox_post(feed->home, &feed->close_message);
}

static void run_detached(struct qr_message *message)
{
    struct qr_feed *feed = QR_CONTAINER_OF(message, struct qr_feed, detach_message);
    feed->handler->detached(feed);
}

static void finish_detach(struct qr_feed *feed)
{
    if (!feed->detaching || feed->n_pending != 0)
        return;
    qr_list_remove(&feed->node);
    feed->detach_message.run = run_detached;
    qr_mailbox_post(feed->home, &feed->detach_message);
}

static void release_pending(struct qr_feed *feed)
{
    assert(feed->n_pending > 0);
    feed->n_pending--;
    finish_detach(feed);
}

/* ---- attach ---- */

static void run_attached(struct qr_message *message)
{
    struct qr_feed *feed = QR_CONTAINER_OF(message, struct qr_feed, attach_message);
    feed->handler->attached(feed, feed->status);
}

static void answer_attach(struct qr_feed *feed, int status)
{
    if (feed->nonce == 0)
        return; /* answered */
    feed->nonce = 0;
    feed->status = status;
    feed->attach_message.run = run_attached;
    qr_mailbox_post(feed->home, &feed->attach_message);
    release_pending(feed);
}

/* OWN's application comes through qr_roster_owned first; this is how a refusal is heard of. */
static void on_own_done(struct proposal *proposal, int status)
{
    uint64_t nonce = (uint64_t)(uintptr_t)proposal->data;
    QR_LIST_FOREACH (node, &proposal->roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (feed->nonce == nonce) {
            answer_attach(feed, status != 0 ? status : QR_E_FENCED);
            return;
        }
    }
}

/* Is this another definition than the known one?  A child that connects has not told its labels and
 * its claim yet: then those that are known stay until it does. */
static bool host_changed(struct qr_roster *roster, const struct qr_feed *feed, struct qr_slice told,
                         bool whole)
{
    int slot = qr_store_enter(roster->store);
    struct qr_host *host = qr_store_host_by_guid(roster->store, &feed->guid);
    bool changed = true;
    if (host != NULL) {
        struct qr_buf known = {0};
        struct qr_host_def def = *atomic_load(&host->def);
        if (!whole) {
            def.n_labels = 0;
            def.has_claim = false;
        }
        changed =
            qr_host_def_encode(&known, &def) != 0 || !qr_slice_equal(qr_buf_slice(&known), told);
        qr_buf_release(&known);
    }
    qr_store_leave(roster->store, slot);
    return changed;
}

struct request {
    struct qr_message message;
    struct qr_roster *roster;
    struct qr_feed *feed;
};

/* Requests that embed no roster travel with one. */
static void post_request(struct qr_roster *roster, struct qr_feed *feed,
                         void (*run)(struct qr_message *message))
{
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL)
        abort();
    request->message.run = run;
    request->roster = roster;
    request->feed = feed;
    qr_mailbox_post(roster->mailbox, &request->message);
}

static uint32_t find_host(struct qr_roster *roster, const struct qr_guid *guid)
{
    int slot = qr_store_enter(roster->store);
    const struct qr_host *host = qr_store_host_by_guid(roster->store, guid);
    uint32_t id = host != NULL ? host->id : 0;
    qr_store_leave(roster->store, slot);
    return id;
}

/* Would the log refuse it?  It decides again; this keeps a clone that tries all the time out of it.
 */
static bool is_clone(struct qr_roster *roster, const struct qr_feed *feed, uint32_t host)
{
    const struct qr_claims *claims =
        roster->group != NULL ? qr_ownership_claims(qr_group_ownership(roster->group), host) : NULL;
    return claims != NULL &&
           qr_claims_check(claims, feed->machine.machine, qr_clock_real_us(roster->clock)) != 0;
}

static void run_attach(struct qr_message *message)
{
    struct request *request = QR_CONTAINER_OF(message, struct request, message);
    struct qr_roster *roster = request->roster;
    struct qr_feed *feed = request->feed;
    free(request);
    qr_list_init(&feed->node);
    qr_list_add_tail(&roster->feeds, &feed->node);
    feed->nonce = ++roster->next_nonce;
    feed->n_pending++;
    uint32_t host = find_host(roster, &feed->guid);
    if (host != 0 && is_clone(roster, feed, host)) {
        answer_attach(feed, QR_E_CLONE);
        return;
    }
    if (host == 0)
        propose(roster, QR_COMMAND_HOST, &feed->host_body, on_noted, NULL);
    struct qr_buf own = {0};
    qr_own_body_encode(&own, &feed->guid, feed->nonce, &feed->machine);
    propose(roster, QR_COMMAND_OWN, &own, on_own_done, (void *)(uintptr_t)feed->nonce);
}

void qr_roster_attach(struct qr_roster *roster, struct qr_feed *feed)
{
    post_request(roster, feed, run_attach);
}

static void note_connected(struct qr_roster *roster, const struct qr_owner *owner, bool connected)
{
    struct qr_buf body = {0};
    struct qr_host_state state = {
        .host = owner->host, .epoch = owner->epoch, .says = true, .connected = connected};
    if (qr_host_state_encode(&body, &state) == 0)
        propose(roster, QR_COMMAND_HOST_STATE, &body, on_noted, NULL);
    qr_buf_release(&body);
}

/* Only the owner says what the host is. */
static void note_host(struct qr_roster *roster, struct qr_feed *feed)
{
    if (feed->host_body.len > 0 &&
        host_changed(roster, feed, qr_buf_slice(&feed->host_body), false))
        propose(roster, QR_COMMAND_HOST, &feed->host_body, on_noted, NULL);
    qr_buf_release(&feed->host_body);
}

void qr_roster_owned(struct qr_roster *roster, const struct qr_owner *owner, uint64_t nonce)
{
    int slot = qr_store_enter(roster->store);
    struct qr_host *host = qr_store_host_by_id(roster->store, owner->host);
    assert(host != NULL);
    struct qr_guid guid = host->guid;
    qr_store_leave(roster->store, slot);
    bool taken = false;
    QR_LIST_FOREACH (node, &roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (!qr_guid_equal(&feed->guid, &guid))
            continue;
        if (owner->member == roster->member && feed->nonce == nonce && nonce != 0) {
            feed->host = owner->host;
            feed->epoch = owner->epoch;
            feed->owned = true;
            taken = true;
            note_connected(roster, owner, true);
            note_host(roster, feed);
            answer_attach(feed, 0);
        } else if (feed->owned && feed->epoch < owner->epoch) {
            close_feed(feed, owner->member == roster->member
                                 ? "the child has opened a newer connection to this member"
                                 : "the child has moved to another member");
        }
    }
    if (!taken && owner->member == roster->member)
        note_connected(roster, owner, false); /* it left before OWN was applied */
}

/* ---- define ----
 *
 *   run_define -> compare (worker) -> propose what changed -> applied -> resume (worker) -> answer
 */

void qr_feed_define_free(struct qr_feed_define *define)
{
    for (uint32_t i = 0; i < define->n; i++) {
        qr_buf_release(&define->charts[i].body);
        free(define->charts[i].places);
    }
    free(define->charts);
    free(define);
}

static void run_defined(struct qr_message *message)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(message, struct qr_feed_define, message);
    define->defined(define);
}

static void on_resumed(struct qr_job *job)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(job, struct qr_feed_define, job);
    struct qr_feed *feed = define->feed;
    define->message.run = run_defined;
    qr_mailbox_post(feed->home, &define->message);
    release_pending(feed);
}

/* Worker.  Fills in ids, places and watermarks from the catalog: every entry up to the definitions
 * has been applied, OWN among them, and rows wait for this answer. */
static void resolve_charts(struct qr_feed_define *define)
{
    struct qr_store *store = define->roster->store;
    int slot = qr_store_enter(store);
    struct qr_host *host = qr_store_host_by_id(store, define->feed->host);
    for (uint32_t i = 0; i < define->n; i++)
        if (define->charts[i].status == 0)
            define->charts[i].status = qr_places_resolve(store, host, &define->charts[i]);
    qr_store_leave(store, slot);
}

/* Worker: what is missing in each chart before its until_s. */
static void seek_holes(struct qr_job *job)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(job, struct qr_feed_define, job);
    for (uint32_t i = 0; i < define->n; i++) {
        struct qr_feed_chart *chart = &define->charts[i];
        if (chart->status == 0 && chart->until_s != 0)
            chart->n_holes = qr_holes_find(define->roster->store, chart->chart, &chart->source,
                                           chart->until_s, chart->holes, QR_HOLES_MAX);
    }
}

/* Worker. */
static void resume_charts(struct qr_job *job)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(job, struct qr_feed_define, job);
    resolve_charts(define);
    if (define->feed->self)
        return;
    for (uint32_t i = 0; i < define->n; i++)
        define->charts[i].until_s = define->charts[i].watermark_s;
    seek_holes(job);
}

static void queue_job(struct qr_feed_define *define, void (*run)(struct qr_job *job),
                      void (*done)(struct qr_job *job))
{
    struct qr_jobs *lane = &define->roster->lanes[0];
    for (unsigned i = 1; i < QR_ROSTER_LANES; i++)
        if (define->roster->lanes[i].n < lane->n)
            lane = &define->roster->lanes[i];
    define->job.run = run;
    define->job.done = done;
    qr_jobs_add(lane, &define->job);
}

static void release_waiting(struct qr_feed_define *define)
{
    if (--define->n_waiting == 0)
        queue_job(define, resume_charts, on_resumed);
}

static void on_charts_done(struct proposal *proposal, int status)
{
    struct qr_feed_define *define = proposal->data;
    for (uint32_t i = 0; i < define->n && status != 0; i++)
        if (define->charts[i].refusal == NULL)
            define->charts[i].status = status;
    release_waiting(define);
}

static void propose_charts(struct qr_feed_define *define, struct qr_charts_body *body)
{
    define->n_waiting++;
    propose(define->roster, QR_COMMAND_CHARTS, qr_charts_body_finish(body), on_charts_done, define);
}

/* Proposes the definitions that are new or differ, in entries of bounded size. */
static void on_compared(struct qr_job *job)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(job, struct qr_feed_define, job);
    struct qr_charts_body body;
    qr_charts_body_init(&body, define->feed->host, define->feed->epoch);
    define->n_waiting = 1; /* held until all are proposed */
    for (uint32_t i = 0; i < define->n; i++) {
        struct qr_slice def = qr_buf_slice(&define->charts[i].body);
        if (!define->charts[i].changes || define->charts[i].status != 0)
            continue;
        if (!qr_charts_body_fits(&body, def.len)) {
            propose_charts(define, &body);
            qr_charts_body_init(&body, define->feed->host, define->feed->epoch);
        }
        qr_charts_body_add(&body, def);
    }
    if (body.n > 0)
        propose_charts(define, &body);
    qr_charts_body_release(&body);
    release_waiting(define);
}

/* Worker: a child with many charts says all of them at once. */
static void compare_charts(struct qr_job *job)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(job, struct qr_feed_define, job);
    struct qr_store *store = define->roster->store;
    int slot = qr_store_enter(store);
    struct qr_host *host = qr_store_host_by_id(store, define->feed->host);
    for (uint32_t i = 0; i < define->n; i++) {
        struct qr_feed_chart *chart = &define->charts[i];
        chart->changes = qr_definition_changes(store, host, qr_buf_slice(&chart->body));
        if (chart->changes && chart->body.len > QR_CHART_DEF_BYTES_MAX) {
            chart->status = QR_E_LIMIT;
            chart->refusal = "its definition is longer than an entry of the log";
        }
    }
    qr_store_leave(store, slot);
}

static void run_define(struct qr_message *message)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(message, struct qr_feed_define, message);
    define->feed->n_pending++;
    queue_job(define, compare_charts, on_compared);
}

void qr_roster_define(struct qr_roster *roster, struct qr_feed_define *define)
{
    define->roster = roster;
    define->message.run = run_define;
    qr_mailbox_post(roster->mailbox, &define->message);
}

static void run_seek(struct qr_message *message)
{
    struct qr_feed_define *seek = QR_CONTAINER_OF(message, struct qr_feed_define, message);
    seek->feed->n_pending++;
    queue_job(seek, seek_holes, on_resumed);
}

void qr_roster_seek(struct qr_roster *roster, struct qr_feed_define *seek)
{
    seek->roster = roster;
    seek->message.run = run_seek;
    qr_mailbox_post(roster->mailbox, &seek->message);
}

/* ---- notes ---- */

static void note_gaps(struct qr_roster *roster, const struct qr_feed *feed, struct qr_gap *gaps,
                      uint32_t n)
{
    struct qr_buf body = {0};
    struct qr_host_state state = {
        .host = feed->host, .epoch = feed->epoch, .n_gaps = n, .gaps = gaps};
    if (qr_host_state_encode(&body, &state) == 0)
        propose(roster, QR_COMMAND_HOST_STATE, &body, on_noted, NULL);
    qr_buf_release(&body);
}

static void run_note(struct qr_message *message)
{
    struct qr_feed_note *note = QR_CONTAINER_OF(message, struct qr_feed_note, message);
    struct qr_roster *roster = note->roster;
    if (note->host_body.len > 0 &&
        host_changed(roster, note->feed, qr_buf_slice(&note->host_body), true))
        propose(roster, QR_COMMAND_HOST, &note->host_body, on_noted, NULL);
    if (note->n_gaps > 0)
        note_gaps(roster, note->feed, note->gaps, note->n_gaps);
    qr_buf_release(&note->host_body);
    free(note);
}

void qr_roster_note(struct qr_roster *roster, struct qr_feed_note *note)
{
    note->roster = roster;
    note->message.run = run_note;
    qr_mailbox_post(roster->mailbox, &note->message);
}

/* ---- batches ---- */

static void run_batch_done(struct qr_message *message)
{
    struct qr_batch *batch = QR_CONTAINER_OF(message, struct qr_batch, message);
    batch->done(batch);
}

static void on_batch_done(struct proposal *proposal, int status)
{
    struct qr_roster *roster = proposal->roster;
    struct qr_batch *batch = proposal->data;
    batch->status = status;
    int64_t latency_us = qr_clock_real_us(roster->clock) - batch->oldest_us;
    if (status == 0 && batch->oldest_us != 0)
        qr_latency_add(&roster->latency, latency_us);
    batch->message.run = run_batch_done;
    qr_mailbox_post(batch->home, &batch->message);
}

struct batch_request {
    struct qr_message message;
    struct qr_roster *roster;
    struct qr_batch *batch;
};

static void run_batch(struct qr_message *message)
{
    struct batch_request *request = QR_CONTAINER_OF(message, struct batch_request, message);
    struct qr_roster *roster = request->roster;
    struct qr_batch *batch = request->batch;
    free(request);
    propose(roster, QR_COMMAND_SAMPLES, &batch->body, on_batch_done, batch);
}

void qr_roster_batch(struct qr_roster *roster, struct qr_batch *batch)
{
    struct batch_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        abort();
    request->message.run = run_batch;
    request->roster = roster;
    request->batch = batch;
    qr_mailbox_post(roster->mailbox, &request->message);
}

/* ---- forgetting ---- */

static void run_forget_done(struct qr_message *message)
{
    struct qr_forget_request *request = QR_CONTAINER_OF(message, struct qr_forget_request, message);
    request->done(request);
}

static void answer_forget(struct qr_forget_request *request, int status)
{
    request->status = status;
    request->message.run = run_forget_done;
    qr_mailbox_post(request->home, &request->message);
}

static void on_forget_done(struct proposal *proposal, int status)
{
    answer_forget(proposal->data, status);
}

/* The ids that are meant now: what comes later under the same name is not. */
static int find_forgotten(struct qr_roster *roster, struct qr_forget_request *request,
                          struct qr_forgotten *what)
{
    int slot = qr_store_enter(roster->store);
    const struct qr_host *host = qr_store_host_by_name(roster->store, request->host);
    if (host == NULL && qr_guid_parse(&request->guid, request->host) == 0)
        host = qr_store_host_by_guid(roster->store, &request->guid);
    const struct qr_chart *chart = NULL;
    if (host != NULL && request->chart.len > 0)
        chart = qr_store_chart_find(roster->store, host, request->chart);
    request->host_known = host != NULL;
    bool found = host != NULL && (chart != NULL || request->chart.len == 0);
    if (found) {
        request->guid = host->guid;
        *what = (struct qr_forgotten){host->id, chart != NULL ? chart->id : 0};
    }
    qr_store_leave(roster->store, slot);
    return found ? 0 : QR_E_UNKNOWN;
}

static void run_forget(struct qr_message *message)
{
    struct qr_forget_request *request = QR_CONTAINER_OF(message, struct qr_forget_request, message);
    struct qr_roster *roster = request->roster;
    struct qr_forget_body *body = calloc(1, sizeof *body);
    struct qr_buf bytes = {0};
    int err = body != NULL ? find_forgotten(roster, request, &body->what[0]) : UV_ENOMEM;
    if (err == 0) {
        body->n = 1;
        err = qr_forget_encode(&bytes, body);
    }
    free(body);
    if (err == 0)
        propose(roster, QR_COMMAND_FORGET, &bytes, on_forget_done, request);
    else
        answer_forget(request, err);
    qr_buf_release(&bytes);
}

void qr_roster_forget(struct qr_roster *roster, struct qr_forget_request *request)
{
    request->roster = roster;
    request->message.run = run_forget;
    qr_mailbox_post(roster->mailbox, &request->message);
}

/* ---- detach and close ---- */

static void run_detach(struct qr_message *message)
{
    struct request *request = QR_CONTAINER_OF(message, struct request, message);
    struct qr_roster *roster = request->roster;
    struct qr_feed *feed = request->feed;
    free(request);
    struct qr_owner owner = {0};
    if (feed->owned && roster->group != NULL)
        owner = qr_ownership_get(qr_group_ownership(roster->group), feed->host);
    if (feed->owned && owner.member == roster->member && owner.epoch == feed->epoch)
        note_connected(roster, &owner, false);
    feed->detaching = true;
    if (feed->nonce != 0) {
        feed->nonce = 0; /* nobody waits for the answer any more */
        release_pending(feed);
        return;
    }
    finish_detach(feed);
}

void qr_roster_detach(struct qr_roster *roster, struct qr_feed *feed)
{
    post_request(roster, feed, run_detach);
}

void qr_roster_refused(struct qr_roster *roster, uint32_t host, uint32_t epoch, int error)
{
    QR_LIST_FOREACH (node, &roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (feed->owned && feed->host == host && feed->epoch == epoch) {
            qr_error("log refused a block of samples peer=%s host=%u epoch=%u error=\"%s\"",
                     feed->peer, host, epoch, qr_strerror(error));
            close_feed(feed, "the log refused a block: the child will replay it");
        }
    }
}

void qr_roster_forgotten(struct qr_roster *roster, uint32_t host)
{
    QR_LIST_FOREACH (node, &roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (feed->owned && feed->host == host)
            close_feed(feed, "someone had it forgotten: it comes back as new");
    }
}

void qr_roster_restored(struct qr_roster *roster)
{
    QR_LIST_FOREACH (node, &roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        struct qr_owner owner = qr_ownership_get(qr_group_ownership(roster->group), feed->host);
        if (feed->owned && (owner.member != roster->member || owner.epoch != feed->epoch))
            close_feed(feed, "the child has moved to another member");
    }
}

void qr_roster_close_all(struct qr_roster *roster, const char *reason)
{
    QR_LIST_FOREACH (node, &roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (!feed->self)
            close_feed(feed, reason);
    }
}

void qr_roster_move_on(struct qr_roster *roster, unsigned n, const char *reason)
{
    QR_LIST_FOREACH (node, &roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (n == 0)
            return;
        if (feed->self || feed->closing || feed->detaching || !feed->owned)
            continue;
        feed->gentle = true;
        close_feed(feed, reason);
        n--;
    }
}

static bool has_feed(const struct qr_roster *roster, uint32_t host)
{
    QR_LIST_FOREACH (node, &roster->feeds) {
        struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (feed->owned && feed->host == host)
            return true;
    }
    return false;
}

void qr_roster_settle(struct qr_roster *roster)
{
    int slot = qr_store_enter(roster->store);
    uint32_t n = qr_store_n_hosts(roster->store);
    for (uint32_t i = 0; i < n; i++) {
        struct qr_host *host = qr_store_host_at(roster->store, i);
        struct qr_owner owner = qr_ownership_get(qr_group_ownership(roster->group), host->id);
        if (owner.member == roster->member && atomic_load(&host->connected) &&
            !has_feed(roster, host->id))
            note_connected(roster, &owner, false);
    }
    qr_store_leave(roster->store, slot);
}

unsigned qr_roster_n_children(const struct qr_roster *roster)
{
    unsigned n = 0;
    QR_LIST_FOREACH (node, &roster->feeds)
        n += !QR_CONTAINER_OF(node, struct qr_feed, node)->self;
    return n;
}

static int compare_replays(const void *a, const void *b)
{
    const struct qr_feed_replay *x = a;
    const struct qr_feed_replay *y = b;
    return (x->host > y->host) - (x->host < y->host);
}

unsigned qr_roster_replays(const struct qr_roster *roster, struct qr_feed_replay *replays,
                           unsigned max)
{
    unsigned n = 0;
    QR_LIST_FOREACH (node, &roster->feeds) {
        const struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        struct qr_feed_replay replay = {
            feed->host, atomic_load_explicit(&feed->replay_left_s, memory_order_relaxed),
            atomic_load_explicit(&feed->replay_all_s, memory_order_relaxed),
            atomic_load_explicit(&feed->replay_since_ms, memory_order_relaxed),
            atomic_load_explicit(&feed->replay_asks, memory_order_relaxed)};
        if (feed->owned && n < max && replay.left_s > 0 && replay.all_s >= replay.left_s)
            replays[n++] = replay;
    }
    if (n > 1)
        qsort(replays, n, sizeof *replays, compare_replays);
    return n;
}

unsigned qr_roster_clocks(const struct qr_roster *roster, struct qr_feed_clock *clocks,
                          unsigned max)
{
    unsigned n = 0;
    QR_LIST_FOREACH (node, &roster->feeds) {
        const struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        int64_t ahead_s = atomic_load_explicit(&feed->clock_ahead_s, memory_order_relaxed);
        uint64_t n_rows = atomic_load_explicit(&feed->rows_ahead, memory_order_relaxed);
        bool is_wrong = ahead_s > QR_CLOCK_NOTED_S || ahead_s < -QR_CLOCK_NOTED_S;
        if (feed->owned && n < max && (is_wrong || n_rows > 0))
            clocks[n++] = (struct qr_feed_clock){feed->host, is_wrong ? ahead_s : 0, n_rows};
    }
    return n;
}

static int compare_hosts(const void *a, const void *b)
{
    const struct qr_feed_admitted *x = a, *y = b;
    return x->host < y->host ? -1 : x->host > y->host;
}

unsigned qr_roster_admitted(const struct qr_roster *roster, struct qr_feed_admitted *admitted,
                            unsigned max)
{
    unsigned n = 0;
    QR_LIST_FOREACH (node, &roster->feeds) {
        const struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (!feed->owned || feed->closing || n == max || (feed->key == 0 && !feed->has_certificate))
            continue;
        struct qr_feed_admitted *to = &admitted[n++];
        to->host = feed->host;
        to->key = feed->key;
        to->has_certificate = feed->has_certificate;
        memcpy(to->certificate, feed->certificate, sizeof to->certificate);
    }
    qsort(admitted, n, sizeof *admitted, compare_hosts);
    return n;
}

unsigned qr_roster_hosts(const struct qr_roster *roster, struct qr_roster_host *hosts, unsigned max)
{
    unsigned n = 0;
    QR_LIST_FOREACH (node, &roster->feeds) {
        const struct qr_feed *feed = QR_CONTAINER_OF(node, struct qr_feed, node);
        if (!feed->owned || feed->closing)
            continue;
        if (n < max) {
            hosts[n] = (struct qr_roster_host){
                .id = feed->host, .epoch = feed->epoch, .offer = feed->offer, .guid = feed->guid};
            memcpy(hosts[n].api_key, feed->api_key, sizeof hosts[n].api_key);
        }
        n++;
    }
    return n;
}

void qr_roster_latency(struct qr_roster *roster, uint64_t *p50_us, uint64_t *p99_us)
{
    qr_latency_get(&roster->latency, p50_us, p99_us);
}
