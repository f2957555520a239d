#include "node/ingest.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "node/child.h"
#include "node/clones.h"
#include "node/conn.h"
#include "node/web.h"
#include "storage/entry.h"

#define READ_BYTES       (64u * 1024)
#define BACKLOG          4096
#define BLOCKS_PER_BATCH 4096

struct listener {
    uv_tcp_t tcp;
    struct qr_ingest *ingest;
    const struct qr_bind *bind;
};

struct qr_ingest {
    struct qr_ingest_config config;
    uv_loop_t loop;
    uv_thread_t thread;
    struct qr_mailbox mailbox;
    struct listener listeners[QR_BINDS_MAX];
    uv_timer_t tick;
    struct qr_message drain_message;
    struct qr_list conns;
    struct qr_list children;
    struct qr_clones *clones;
    unsigned n_conns;
    unsigned credits;
    uint64_t turns[2]; /* Of live children and of those that refill: see gather(). */
    bool draining, short_of_credit;
    _Atomic bool accepting;
    struct qr_ingest_stats stats;
    struct qr_log_limit complaints;
    struct qr_jobs lanes[QR_INGEST_LANES];
    struct qr_history_pool *histories;
    char read_buffer[READ_BYTES];
};

/* ---- batches ---- */

static void send_batch(struct qr_ingest *ingest);

static void resume_children(struct qr_ingest *ingest)
{
    ingest->short_of_credit = false;
    QR_LIST_FOREACH (node, &ingest->children)
        qr_child_resume(QR_CONTAINER_OF(node, struct qr_child, node));
}

static void on_batch_done(struct qr_batch *batch)
{
    struct qr_ingest *ingest = batch->owner;
    ingest->credits++;
    if (batch->status != 0 && batch->status != UV_ECANCELED && batch->status != QR_E_CLOSED) {
        qr_error("log refused a batch: children start over error=\"%s\"",
                 qr_strerror(batch->status));
        QR_LIST_FOREACH (node, &ingest->children)
            qr_child_close(QR_CONTAINER_OF(node, struct qr_child, node), "the log refused a batch");
    }
    qr_buf_release(&batch->body);
    free(batch);
    if (ingest->short_of_credit && !ingest->draining) {
        send_batch(ingest);
        if (ingest->credits > 0)
            resume_children(ingest);
    }
}

/* What goes into one batch. */
struct gathered {
    struct qr_child *children[BLOCKS_PER_BATCH];
    struct qr_entry_block *blocks[BLOCKS_PER_BATCH];
    unsigned n;
};

/* Takes blocks of live children, or of those that refill, until the batch is full.  Children take
 * turns: those that a full batch left out come first in the next one. */
static void gather(struct qr_ingest *ingest, bool refills, struct gathered *gathered,
                   struct qr_batch *batch)
{
    uint64_t turn = ingest->turns[refills];
    size_t bytes = 0;
    QR_LIST_FOREACH (node, &ingest->children) {
        struct qr_child *child = QR_CONTAINER_OF(node, struct qr_child, node);
        if (gathered->n == BLOCKS_PER_BATCH || bytes >= QR_BATCH_BYTES_MAX)
            return;
        if (child->turn == turn || (qr_child_replicating(child) != 0) != refills)
            continue;
        int64_t oldest_us = 0;
        struct qr_entry_block *block = qr_child_seal(child, &oldest_us);
        child->turn = turn;
        if (block == NULL)
            continue;
        gathered->children[gathered->n] = child;
        gathered->blocks[gathered->n++] = block;
        bytes += qr_entry_block_bytes(block);
        batch->n_samples += block->n_samples;
        if (batch->oldest_us == 0 || oldest_us < batch->oldest_us)
            batch->oldest_us = oldest_us;
    }
    ingest->turns[refills] += 2; /* Even or odd: never the other kind's. */
}

void qr_ingest_flush(struct qr_ingest *ingest)
{
    send_batch(ingest);
}

static bool send_one(struct qr_ingest *ingest, bool refills)
{
    struct gathered gathered;
    struct qr_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return false;
    gathered.n = 0;
    gather(ingest, refills, &gathered, batch);
    int err =
        gathered.n == 0 ? UV_ENOENT : qr_entry_encode(&batch->body, gathered.blocks, gathered.n);
    assert(err != QR_E_LIMIT); /* blocks are bounded so that a batch of them fits */
    if (err != 0) {
        free(batch); /* without memory: the blocks stay, and are the next */
        return false;
    }
    for (unsigned i = 0; i < gathered.n; i++)
        qr_child_sealed(gathered.children[i]);
    batch->home = &ingest->mailbox;
    batch->done = on_batch_done;
    batch->owner = ingest;
    ingest->credits--;
    ingest->stats.batches++;
    ingest->stats.samples += batch->n_samples;
    qr_roster_batch(ingest->config.roster, batch);
    return true;
}

static unsigned credits_for(const struct qr_ingest *ingest, bool refills)
{
    unsigned kept = refills ? QR_INGEST_CREDITS_LIVE : 0;
    return ingest->credits > kept ? ingest->credits - kept : 0;
}

static void send_batch(struct qr_ingest *ingest)
{
    for (int refills = 0; refills <= 1; refills++) {
        /* A round that begins where a full batch ended may find nothing left: look once more. */
        for (unsigned n_empty = 0; credits_for(ingest, refills) > 0 && n_empty < 2;)
            n_empty = send_one(ingest, refills) ? 0 : n_empty + 1;
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct qr_ingest *ingest = timer->data;
    send_batch(ingest);
    uint32_t n_replicating = 0;
    QR_LIST_FOREACH (node, &ingest->children) {
        struct qr_child *child = QR_CONTAINER_OF(node, struct qr_child, node);
        qr_child_tick(child);
        n_replicating += qr_child_replicating(child);
    }
    ingest->stats.n_replicating = n_replicating;
}

bool qr_ingest_grown(struct qr_ingest *ingest, size_t bytes, bool refills)
{
    if (bytes < QR_BATCH_BYTES_MAX / 2)
        return false;
    if (credits_for(ingest, refills) > 0)
        send_batch(ingest);
    if (credits_for(ingest, refills) > 0)
        return false;
    ingest->short_of_credit = true;
    return true;
}

/* ---- small things for its connections ---- */

uv_loop_t *qr_ingest_loop(struct qr_ingest *ingest)
{
    return &ingest->loop;
}

const struct qr_ingest_config *qr_ingest_config(const struct qr_ingest *ingest)
{
    return &ingest->config;
}

struct qr_mailbox *qr_ingest_mailbox(struct qr_ingest *ingest)
{
    return &ingest->mailbox;
}

bool qr_ingest_accepting(const struct qr_ingest *ingest)
{
    return ingest->accepting;
}

const struct qr_admission *qr_ingest_admission(const struct qr_ingest *ingest)
{
    return ingest->config.admission;
}

const struct qr_key_table *qr_ingest_keys(const struct qr_ingest *ingest)
{
    return ingest->config.keys;
}

uv_buf_t qr_ingest_read_buffer(struct qr_ingest *ingest)
{
    return uv_buf_init(ingest->read_buffer, sizeof ingest->read_buffer);
}

struct qr_history_pool *qr_ingest_histories(struct qr_ingest *ingest)
{
    return ingest->histories;
}

int64_t qr_ingest_now_us(struct qr_ingest *ingest)
{
    return qr_clock_real_us(ingest->config.clock);
}

struct qr_ingest_stats *qr_ingest_counters(struct qr_ingest *ingest)
{
    return &ingest->stats;
}

const struct qr_ingest_stats *qr_ingest_stats(const struct qr_ingest *ingest)
{
    return &ingest->stats;
}

void qr_ingest_complain(struct qr_ingest *ingest, const char *format, ...)
{
    char line[1024];
    unsigned held;
    va_list args;
    ingest->stats.refused++;
    if (!qr_log_allowed(&ingest->complaints, 20, 10000, &held))
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (held > 0)
        qr_warn("%s (%u lines like this were held back)", line, held);
    else
        qr_warn("%s", line);
}

bool qr_ingest_is_full(const struct qr_ingest *ingest)
{
    return ingest->n_conns > ingest->config.conns_max;
}

void qr_ingest_add_job(struct qr_ingest *ingest, struct qr_job *job)
{
    struct qr_jobs *lane = &ingest->lanes[0];
    for (unsigned i = 1; i < QR_INGEST_LANES; i++)
        if (ingest->lanes[i].n < lane->n)
            lane = &ingest->lanes[i];
    qr_jobs_add(lane, job);
}

void qr_ingest_conn_came(struct qr_ingest *ingest, struct qr_conn *conn)
{
    qr_list_init(&conn->node);
    qr_list_add_tail(&ingest->conns, &conn->node);
    ingest->stats.n_conns = ++ingest->n_conns;
    ingest->stats.connects++;
    if (ingest->draining)
        qr_conn_close(conn);
}

void qr_ingest_conn_gone(struct qr_ingest *ingest)
{
    ingest->stats.n_conns = --ingest->n_conns;
}

void qr_ingest_child_came(struct qr_ingest *ingest, struct qr_child *child)
{
    qr_list_add_tail(&ingest->children, &child->node);
    ingest->stats.n_children++;
}

void qr_ingest_child_gone(struct qr_ingest *ingest, struct qr_child *child)
{
    qr_list_remove(&child->node);
    ingest->stats.n_children--;
}

void qr_ingest_accept_children(struct qr_ingest *ingest, bool accept)
{
    ingest->accepting = accept;
}

/* ---- another admission ---- */

struct readmit {
    struct qr_message message;
    struct qr_ingest *ingest;
    struct qr_admission *admission;
    struct qr_key_table *keys;
};

static void run_readmit(struct qr_message *message)
{
    struct readmit *readmit = QR_CONTAINER_OF(message, struct readmit, message);
    struct qr_ingest *ingest = readmit->ingest;
    qr_admission_release(ingest->config.admission);
    qr_key_table_release(ingest->config.keys);
    ingest->config.admission = readmit->admission;
    ingest->config.keys = readmit->keys;
    free(readmit);
    QR_LIST_FOREACH (node, &ingest->children)
        qr_child_readmit(QR_CONTAINER_OF(node, struct qr_child, node));
}

int qr_ingest_readmit(struct qr_ingest *ingest, struct qr_admission *admission,
                      struct qr_key_table *keys)
{
    struct readmit *readmit = malloc(sizeof *readmit);
    if (readmit == NULL)
        return UV_ENOMEM;
    readmit->message.run = run_readmit;
    readmit->ingest = ingest;
    readmit->admission = qr_admission_hold(admission);
    readmit->keys = qr_key_table_hold(keys);
    qr_mailbox_post(&ingest->mailbox, &readmit->message);
    return 0;
}

/* ---- other clones ---- */

struct refusal {
    struct qr_message message;
    struct qr_ingest *ingest;
    struct qr_clones *clones;
};

static void run_refuse(struct qr_message *message)
{
    struct refusal *refusal = QR_CONTAINER_OF(message, struct refusal, message);
    qr_clones_release(refusal->ingest->clones);
    refusal->ingest->clones = refusal->clones;
    free(refusal);
}

int qr_ingest_refuse(struct qr_ingest *ingest, struct qr_clones *clones)
{
    struct refusal *refusal = malloc(sizeof *refusal);
    if (refusal == NULL)
        return UV_ENOMEM;
    refusal->message.run = run_refuse;
    refusal->ingest = ingest;
    refusal->clones = qr_clones_hold(clones);
    qr_mailbox_post(&ingest->mailbox, &refusal->message);
    return 0;
}

const struct qr_clones *qr_ingest_clones(const struct qr_ingest *ingest)
{
    return ingest->clones;
}

/* ---- start and drain ---- */

static void on_connection(uv_stream_t *stream, int status)
{
    const struct listener *listener = stream->data;
    if (status == 0)
        qr_conn_accept(listener->ingest, listener->bind, stream);
}

static void run_drain(struct qr_message *message)
{
    struct qr_ingest *ingest = QR_CONTAINER_OF(message, struct qr_ingest, drain_message);
    ingest->draining = true;
    for (unsigned i = 0; i < ingest->config.binds->n; i++)
        uv_close((uv_handle_t *)&ingest->listeners[i].tcp, NULL);
    QR_LIST_FOREACH (node, &ingest->conns)
        qr_conn_close(QR_CONTAINER_OF(node, struct qr_conn, node));
}

void qr_ingest_drain(struct qr_ingest *ingest)
{
    ingest->accepting = false;
    ingest->drain_message.run = run_drain;
    qr_mailbox_post(&ingest->mailbox, &ingest->drain_message);
}

static void thread_main(void *data)
{
    struct qr_ingest *ingest = data;
    pthread_setname_np(pthread_self(), "ingest"); /* for top -H */
    uv_run(&ingest->loop, UV_RUN_DEFAULT);
}

static int bind_to(uv_loop_t *loop, uv_tcp_t *listener, const char *listen, bool shared)
{
    struct sockaddr_storage address;
    struct qr_address parsed;
    int on = 1;
    uv_os_fd_t fd;
    int err = qr_address_parse(&parsed, qr_slice_str(listen));
    if (err == 0)
        err = qr_address_literal(&parsed, &address);
    if (err == 0)
        err = uv_tcp_init_ex(loop, listener, address.ss_family);
    if (err == 0)
        err = uv_fileno((uv_handle_t *)listener, &fd);
    if (err == 0 && shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        err = UV_EINVAL;
    return err == 0 ? uv_tcp_bind(listener, (const struct sockaddr *)&address, 0) : err;
}

static void on_nobody(uv_stream_t *listener, int status)
{
    (void)listener;
    (void)status;
}

static void on_check_closed(uv_handle_t *handle)
{
    free(handle);
}

int qr_ingest_check_address(uv_loop_t *loop, const char *listen)
{
    uv_tcp_t *probe = calloc(1, sizeof *probe);
    if (probe == NULL)
        return UV_ENOMEM;
    int err = bind_to(loop, probe, listen, false);
    if (err == 0) /* libuv tells of an address in use only now */
        err = uv_listen((uv_stream_t *)probe, 1, on_nobody);
    if (err != 0)
        qr_error("cannot listen address=%s error=\"%s\"", listen, qr_strerror(err));
    if (probe->loop != NULL)
        uv_close((uv_handle_t *)probe, on_check_closed);
    else
        free(probe);
    return err;
}

static int listen_on(struct qr_ingest *ingest)
{
    int err = 0;
    for (unsigned i = 0; i < ingest->config.binds->n && err == 0; i++) {
        struct listener *listener = &ingest->listeners[i];
        listener->ingest = ingest;
        listener->bind = &ingest->config.binds->at[i];
        err = bind_to(&ingest->loop, &listener->tcp, listener->bind->address, true);
        listener->tcp.data = listener;
        if (err == 0)
            err = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
        if (err != 0)
            qr_error("cannot listen address=%s error=\"%s\"", listener->bind->address,
                     qr_strerror(err));
    }
    return err;
}

int qr_ingest_start(struct qr_ingest **started, const struct qr_ingest_config *config)
{
    struct qr_ingest *ingest = calloc(1, sizeof *ingest);
    if (ingest == NULL)
        return UV_ENOMEM;
    ingest->config = *config;
    ingest->config.admission = qr_admission_hold(config->admission);
    ingest->config.keys = qr_key_table_hold(config->keys);
    ingest->credits = QR_INGEST_CREDITS;
    ingest->turns[0] = 2;
    ingest->turns[1] = 1;
    qr_list_init(&ingest->conns);
    qr_list_init(&ingest->children);
    int err = qr_history_pool_new(&ingest->histories, QR_INGEST_WINDOWS);
    if (err == 0)
        err = uv_loop_init(&ingest->loop);
    for (unsigned i = 0; i < QR_INGEST_LANES; i++)
        qr_jobs_init(&ingest->lanes[i], &ingest->loop);
    if (err == 0)
        err = listen_on(ingest);
    if (err == 0)
        err = qr_mailbox_init(&ingest->mailbox, &ingest->loop);
    if (err == 0)
        err = uv_timer_init(&ingest->loop, &ingest->tick);
    ingest->tick.data = ingest;
    if (err == 0)
        err = uv_timer_start(&ingest->tick, on_tick, config->tick_ms, config->tick_ms);
    if (err == 0)
        err = uv_thread_create(&ingest->thread, thread_main, ingest);
    if (err != 0) {
        /* The process ends with this error: the loop's handles go with it. */
        qr_error("an ingest loop cannot start error=\"%s\"", qr_strerror(err));
        return err;
    }
    *started = ingest;
    return 0;
}
