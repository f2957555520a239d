#include "node/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/map.h"

#define TICK_MS 100u
#define VIEW_MS 1000u

/* What the consensus loop says. */
struct order {
    struct qr_message message;
    struct qr_upstream *upstream;
    bool permit, has_hosts;
    uint64_t pictured_ms;
    struct qr_admission *admission; /* NULL: the same. */
    unsigned n;
    struct qr_roster_host *hosts;
};

/* What it hears. */
struct view {
    struct qr_message message;
    struct qr_upstream *upstream;
    struct qr_upstream_totals past;
    unsigned n;
    struct qr_forwarder_status hosts[]; /* By id. */
};

struct qr_upstream {
    struct qr_upstream_config config;
    /* The consensus loop's. */
    struct qr_admission *admission;
    bool started, changed;
    unsigned n_told, capacity;
    struct qr_roster_host *told, *found;
    struct view *view;
    /* The upstream loop's. */
    uv_loop_t loop;
    uv_thread_t thread;
    struct qr_mailbox mailbox;
    uv_timer_t tick;
    struct qr_jobs lanes[QR_UPSTREAM_LANES];
    struct qr_forwarder_world world;
    struct qr_admission *held;
    struct qr_list forwarders;
    struct qr_map by_host;
    unsigned n_hosts, n_forwarders;
    struct qr_roster_host *hosts;
    bool permit, settled; /* All hosts have their forwarders, as the list says. */
    uint64_t pictured_ms, viewed_ms;
    struct qr_upstream_totals past; /* Counters of forwarders that have ended. */
};

/* ---- the upstream loop: forwarders ---- */

static void add_job(void *data, struct qr_job *job)
{
    struct qr_upstream *u = data;
    struct qr_jobs *lane = &u->lanes[0];
    for (unsigned i = 1; i < QR_UPSTREAM_LANES; i++)
        if (u->lanes[i].n < lane->n)
            lane = &u->lanes[i];
    qr_jobs_add(lane, job);
}

static struct qr_slice key_of(const uint32_t *id)
{
    return qr_slice_of((const char *)id, sizeof *id);
}

/* What only grows. */
static void add_counters(struct qr_upstream_totals *totals, const struct qr_forwarder_status *host)
{
    totals->rows_live += host->relay.rows_live;
    totals->rows_replayed += host->relay.rows_replayed;
    totals->samples += host->relay.samples;
    totals->bytes_wire += host->relay.bytes_wire;
    totals->n_connects += host->n_connects;
}

static void on_ended(void *data, struct qr_forwarder *forwarder)
{
    struct qr_upstream *u = data;
    struct qr_forwarder_status last;
    qr_forwarder_get_status(forwarder, &last);
    add_counters(&u->past, &last);
    qr_list_remove(&forwarder->node);
    if (qr_map_get(&u->by_host, key_of(&forwarder->host.id)) == forwarder)
        qr_map_remove(&u->by_host, key_of(&forwarder->host.id));
    u->n_forwarders--;
    u->settled = false;
}

/* The session's start by the log, once the log says that it is connected; -1: not yet. */
static int64_t start_of(const struct qr_upstream *u, const struct qr_roster_host *host)
{
    int slot = qr_store_enter(u->config.store);
    const struct qr_host *known = qr_store_host_by_guid(u->config.store, &host->guid);
    int64_t since_s = -1;
    if (known != NULL && atomic_load(&known->connected))
        since_s = atomic_load(&known->state_changed_us) / 1000000;
    qr_store_leave(u->config.store, slot);
    return since_s;
}

static void add_forwarder(struct qr_upstream *u, const struct qr_forwarder_host *host)
{
    struct qr_forwarder *made;
    int err = qr_forwarder_new(&made, &u->world, host, u->held);
    if (err == QR_E_DENIED)
        return;
    if (err == 0 && qr_map_set(&u->by_host, key_of(&made->host.id), made) != 0)
        err = UV_ENOMEM;
    if (err != 0) {
        qr_error("a host cannot be streamed on host=%u error=\"%s\"", host->id, qr_strerror(err));
        return;
    }
    qr_list_add_tail(&u->forwarders, &made->node);
    u->n_forwarders++;
}

/* One that is on its way out, because it went elsewhere, makes room first. */
static void keep_forwarder(struct qr_upstream *u, struct qr_forwarder *forwarder,
                           const struct qr_forwarder_host *host)
{
    if (!qr_forwarder_fits(forwarder, u->held)) {
        qr_forwarder_end(forwarder);
        u->settled = false;
        return;
    }
    qr_forwarder_readmit(forwarder, u->held);
    if (forwarder->host.epoch != host->epoch) {
        qr_forwarder_restart(forwarder, host);
        forwarder->marked = true;
    } else {
        forwarder->host.offer = host->offer;
        forwarder->marked = true;
    }
}

static void apply_hosts(struct qr_upstream *u)
{
    u->settled = true;
    QR_LIST_FOREACH (node, &u->forwarders)
        QR_CONTAINER_OF(node, struct qr_forwarder, node)->marked = false;
    for (unsigned i = 0; i < u->n_hosts; i++) {
        struct qr_forwarder *known = qr_map_get(&u->by_host, key_of(&u->hosts[i].id));
        struct qr_forwarder_host host = {.id = u->hosts[i].id,
                                         .epoch = u->hosts[i].epoch,
                                         .offer = u->hosts[i].offer,
                                         .guid = u->hosts[i].guid};
        memcpy(host.api_key, u->hosts[i].api_key, sizeof host.api_key);
        if (known != NULL && known->host.epoch == host.epoch)
            host.since_s = known->host.since_s;
        else
            host.since_s = start_of(u, &u->hosts[i]);
        if (host.since_s < 0)
            u->settled = false;
        else if (known != NULL)
            keep_forwarder(u, known, &host);
        else
            add_forwarder(u, &host);
    }
}

/* Those that are not in the list: their child has left. */
static void leave_unmarked(struct qr_upstream *u)
{
    QR_LIST_FOREACH (node, &u->forwarders) {
        struct qr_forwarder *forwarder = QR_CONTAINER_OF(node, struct qr_forwarder, node);
        bool listed = forwarder->marked;
        for (unsigned i = 0; i < u->n_hosts && !listed; i++)
            listed = u->hosts[i].id == forwarder->host.id;
        if (!listed)
            qr_forwarder_leave(forwarder);
    }
}

static void run_view(struct qr_message *message);

static int by_id(const void *a, const void *b)
{
    const struct qr_forwarder_status *x = a;
    const struct qr_forwarder_status *y = b;
    return x->host < y->host ? -1 : x->host > y->host;
}

static void post_view(struct qr_upstream *u)
{
    struct view *view = calloc(1, sizeof *view + u->n_forwarders * sizeof view->hosts[0]);
    if (view == NULL)
        return; /* the last one stays */
    view->upstream = u;
    view->message.run = run_view;
    view->past = u->past;
    QR_LIST_FOREACH (node, &u->forwarders)
        qr_forwarder_get_status(QR_CONTAINER_OF(node, struct qr_forwarder, node),
                                &view->hosts[view->n++]);
    qsort(view->hosts, view->n, sizeof view->hosts[0], by_id);
    qr_mailbox_post(u->config.home, &view->message);
}

static void on_tick(uv_timer_t *timer)
{
    struct qr_upstream *u = timer->data;
    uint64_t now_ms = qr_clock_mono_ms(u->config.clock);
    if (!u->settled) {
        apply_hosts(u);
        leave_unmarked(u);
    }
    QR_LIST_FOREACH (node, &u->forwarders)
        qr_forwarder_tick(QR_CONTAINER_OF(node, struct qr_forwarder, node), u->permit,
                          u->pictured_ms);
    if (now_ms - u->viewed_ms < VIEW_MS)
        return;
    u->viewed_ms = now_ms;
    post_view(u);
}

static void run_order(struct qr_message *message)
{
    struct order *order = QR_CONTAINER_OF(message, struct order, message);
    struct qr_upstream *u = order->upstream;
    u->permit = order->permit;
    u->pictured_ms = order->pictured_ms;
    if (order->admission != NULL) {
        qr_admission_release(u->held);
        u->held = order->admission;
        u->settled = false;
    }
    if (order->has_hosts) {
        free(u->hosts);
        u->hosts = order->hosts;
        u->n_hosts = order->n;
        u->settled = false;
    }
    free(order);
}

static void thread_main(void *data)
{
    struct qr_upstream *u = data;
    uv_run(&u->loop, UV_RUN_DEFAULT);
}

/* ---- the consensus loop ---- */

static int start(struct qr_upstream *u)
{
    if (u->started || !qr_stream_conf_forwards(&u->admission->stream_conf))
        return 0;
    int err = uv_loop_init(&u->loop);
    for (unsigned i = 0; i < QR_UPSTREAM_LANES; i++)
        qr_jobs_init(&u->lanes[i], &u->loop);
    if (err == 0)
        err = qr_mailbox_init(&u->mailbox, &u->loop);
    if (err == 0)
        err = uv_timer_init(&u->loop, &u->tick);
    u->tick.data = u;
    u->held = qr_admission_hold(u->admission);
    if (err == 0)
        err = uv_timer_start(&u->tick, on_tick, TICK_MS, TICK_MS);
    if (err == 0)
        err = uv_thread_create(&u->thread, thread_main, u);
    u->started = err == 0;
    return err;
}

int qr_upstream_new(struct qr_upstream **upstream, const struct qr_upstream_config *config,
                    struct qr_admission *admission)
{
    struct qr_upstream *u = calloc(1, sizeof *u);
    if (u == NULL)
        return UV_ENOMEM;
    u->config = *config;
    u->admission = qr_admission_hold(admission);
    qr_list_init(&u->forwarders);
    qr_map_init(&u->by_host);
    u->world = (struct qr_forwarder_world){.loop = &u->loop,
                                           .clock = config->clock,
                                           .store = config->store,
                                           .cluster_id = config->cluster_id,
                                           .functions = config->functions,
                                           .mailbox = &u->mailbox,
                                           .add_job = add_job,
                                           .ended = on_ended,
                                           .data = u};
    int err = start(u);
    if (err == 0)
        *upstream = u;
    return err;
}

int qr_upstream_readmit(struct qr_upstream *u, struct qr_admission *admission)
{
    qr_admission_release(u->admission);
    u->admission = qr_admission_hold(admission);
    u->changed = true;
    return start(u);
}

/* The list, if it is another one than was told last. */
static void list_hosts(struct qr_upstream *u, struct order *order)
{
    unsigned n = u->config.hosts(u->config.data, NULL, 0);
    if (n > u->capacity) {
        unsigned capacity = n + n / 2;
        struct qr_roster_host *told = realloc(u->told, capacity * sizeof *told);
        u->told = told != NULL ? told : u->told;
        struct qr_roster_host *found = realloc(u->found, capacity * sizeof *found);
        u->found = found != NULL ? found : u->found;
        if (told == NULL || found == NULL)
            return;
        u->capacity = capacity;
    }
    u->config.hosts(u->config.data, u->found, n);
    if (n == u->n_told && (n == 0 || memcmp(u->found, u->told, n * sizeof *u->told) == 0))
        return;
    order->hosts = calloc(n + 1, sizeof *order->hosts);
    if (order->hosts == NULL)
        return;
    if (n > 0) {
        memcpy(order->hosts, u->found, n * sizeof *order->hosts);
        memcpy(u->told, u->found, n * sizeof *u->told);
    }
    order->n = u->n_told = n;
    order->has_hosts = true;
}

void qr_upstream_follow(struct qr_upstream *u, bool permit)
{
    struct order *order = u->started ? calloc(1, sizeof *order) : NULL;
    if (order == NULL)
        return;
    order->upstream = u;
    order->permit = permit;
    order->pictured_ms = qr_clock_mono_ms(u->config.clock);
    if (u->changed)
        order->admission = qr_admission_hold(u->admission);
    u->changed = false;
    list_hosts(u, order);
    order->message.run = run_order;
    qr_mailbox_post(&u->mailbox, &order->message);
}

static void run_view(struct qr_message *message)
{
    struct view *view = QR_CONTAINER_OF(message, struct view, message);
    free(view->upstream->view);
    view->upstream->view = view;
}

const struct qr_forwarder_status *qr_upstream_status(const struct qr_upstream *u, uint32_t host)
{
    const struct qr_forwarder_status key = {.host = host};
    if (u == NULL || u->view == NULL)
        return NULL;
    return bsearch(&key, u->view->hosts, u->view->n, sizeof key, by_id);
}

void qr_upstream_get_totals(const struct qr_upstream *u, struct qr_upstream_totals *totals)
{
    *totals = (struct qr_upstream_totals){0};
    if (u == NULL || u->view == NULL)
        return;
    *totals = u->view->past;
    for (unsigned i = 0; i < u->view->n; i++) {
        const struct qr_forwarder_status *host = &u->view->hosts[i];
        totals->n_hosts++;
        totals->n_streaming += host->state == QR_FORWARD_STREAMING;
        if (host->relay.lag_s > totals->lag_s)
            totals->lag_s = host->relay.lag_s;
        totals->lag_samples += host->relay.lag_samples;
        add_counters(totals, host);
    }
}
