#include "node/forwarder.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "node/dialer.h"
#include "node/forward_calls.h"
#include "node/upstream_request.h"
#include "proto/request.h"

/* More than this of a far side's requests does not wait for a turn to end. */
#define IN_BYTES_MAX (1u << 20)
/* Text of one turn: a worker's some ms. */
#define TURN_BYTES (256u * 1024)
/* Before a stream is begun, or taken up again: so that both sides have heard who left whom. */
#define PAUSE_MS 500u
/* Somebody else streams the host to it: mostly it has not noticed yet that they are gone. */
#define ALREADY_MS 10000u
/* After the child has left: without anything sent for that long, the rest is given up. */
#define LEAVE_MS 10000u

struct place {
    struct qr_destination destination;
    char text[128];
    uint64_t postponed_ms; /* Not before. */
};

struct forwarder {
    struct qr_forwarder face;
    const struct qr_forwarder_world *world;
    struct qr_admission *admission;
    struct qr_admission *next; /* Of the next connection; NULL: the same. */
    struct qr_compression_levels levels;
    char api_key[40], *charts, *list;
    struct place places[QR_DESTINATIONS_MAX];
    unsigned n_places, place;
    enum qr_forwarder_state state;
    struct qr_relay *relay;
    struct qr_dialer *dialer;
    struct qr_forward_calls *calls; /* NULL: functions are not passed on. */
    uint32_t offered;
    struct qr_buf in; /* What the far side said, while a turn runs or the reply is cut. */
    struct qr_job job;
    bool busy;   /* A turn runs. */
    bool broken; /* The connection is gone; a turn still runs. */
    bool leaving, ending, restarting;
    int turn_status;
    uint64_t failed_ms; /* The last failure. */
    uint64_t retry_ms;  /* No attempt before. */
    uint64_t asked_ms;  /* When the request was sent. */
    uint64_t moved_ms;  /* Leaving: when something was sent last. */
    size_t room;
    uint32_t n_connects;
    char name[128], reason[160];
    struct qr_relay_stats stats; /* Of this connection .. */
    struct qr_relay_stats past;  /* .. and what was sent on those before. */
};

static struct forwarder *of(struct qr_forwarder *face)
{
    return QR_CONTAINER_OF(face, struct forwarder, face);
}

static uint64_t now_ms(const struct forwarder *f)
{
    return qr_clock_mono_ms(f->world->clock);
}

/* ---- life ---- */

static int make_relay(struct forwarder *f)
{
    const struct qr_relay_config config = {
        .store = f->world->store,
        .clock = f->world->clock,
        .guid = f->face.host.guid,
        .since_s = f->face.host.since_s,
        .charts = f->charts,
        .levels = &f->levels,
    };
    return qr_relay_new(&f->relay, &config);
}

static void free_forwarder(struct forwarder *f)
{
    qr_forward_calls_free(f->calls);
    qr_relay_free(f->relay);
    qr_buf_release(&f->in);
    qr_admission_release(f->admission);
    qr_admission_release(f->next);
    free(f->charts);
    free(f->list);
    free(f);
}

/* Only from a tick: nothing of it is on the stack then. */
static void free_if_ended(struct forwarder *f)
{
    if (f->dialer != NULL || f->busy)
        return;
    f->world->ended(f->world->data, &f->face);
    free_forwarder(f);
}

static int read_places(struct forwarder *f)
{
    struct qr_destination list[QR_DESTINATIONS_MAX];
    char port[8];
    const char *why;
    snprintf(port, sizeof port, "%u", f->admission->stream_conf.sender.default_port);
    int n = qr_destinations_parse(list, qr_slice_str(f->list), port, &why);
    if (n <= 0)
        return QR_E_CONFIG;
    f->n_places = (unsigned)n;
    for (unsigned i = 0; i < f->n_places; i++) {
        f->places[i].destination = list[i];
        qr_destination_format(&list[i], f->places[i].text, sizeof f->places[i].text);
    }
    return 0;
}

static bool target_of(const struct qr_admission *admission, const struct qr_forwarder_host *host,
                      struct qr_stream_target *target)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(&host->guid, guid);
    return qr_stream_conf_target(&admission->stream_conf, qr_slice_str(host->api_key),
                                 qr_slice_str(guid), target);
}

static void name_host(struct forwarder *f)
{
    int slot = qr_store_enter(f->world->store);
    const struct qr_host *host = qr_store_host_by_guid(f->world->store, &f->face.host.guid);
    if (host != NULL)
        qr_log_escape(
            f->name, sizeof f->name,
            qr_slice_str(((const struct qr_host_def *)atomic_load(&host->def))->hostname));
    qr_store_leave(f->world->store, slot);
}

static void speak(void *data);

static int make_calls(struct forwarder *f)
{
    const struct qr_forward_calls_config config = {.functions = f->world->functions,
                                                   .home = f->world->mailbox,
                                                   .host = f->face.host.guid,
                                                   .wake = speak,
                                                   .data = f};
    return config.functions != NULL ? qr_forward_calls_new(&f->calls, &config) : 0;
}

int qr_forwarder_new(struct qr_forwarder **forwarder, const struct qr_forwarder_world *world,
                     const struct qr_forwarder_host *host, struct qr_admission *admission)
{
    struct qr_stream_target target;
    if (!target_of(admission, host, &target))
        return QR_E_DENIED;
    struct forwarder *f = calloc(1, sizeof *f);
    if (f == NULL)
        return UV_ENOMEM;
    qr_list_init(&f->face.node);
    f->face.host = *host;
    f->world = world;
    f->admission = qr_admission_hold(admission);
    f->levels = admission->stream_conf.sender.levels;
    f->charts = strdup(target.charts);
    f->list = strdup(target.destination);
    snprintf(f->api_key, sizeof f->api_key, "%s", target.api_key);
    qr_buf_init(&f->in, IN_BYTES_MAX);
    int err = f->charts != NULL && f->list != NULL ? read_places(f) : UV_ENOMEM;
    if (err == 0)
        err = make_relay(f);
    if (err == 0)
        err = make_calls(f);
    if (err != 0) {
        free_forwarder(f);
        return err;
    }
    name_host(f);
    snprintf(f->reason, sizeof f->reason, "it has not been tried yet");
    f->failed_ms = now_ms(f);
    f->retry_ms = f->failed_ms + PAUSE_MS;
    *forwarder = &f->face;
    return 0;
}

bool qr_forwarder_fits(const struct qr_forwarder *forwarder, const struct qr_admission *admission)
{
    const struct forwarder *f = QR_CONTAINER_OF(forwarder, const struct forwarder, face);
    struct qr_stream_target target;
    if (admission == f->admission)
        return true;
    const struct qr_stream_sender *a = &f->admission->stream_conf.sender;
    const struct qr_stream_sender *b = &admission->stream_conf.sender;
    return target_of(admission, &f->face.host, &target) &&
           strcmp(target.destination, f->list) == 0 && strcmp(target.api_key, f->api_key) == 0 &&
           strcmp(target.charts, f->charts) == 0 && a->compression == b->compression &&
           memcmp(&a->levels, &b->levels, sizeof a->levels) == 0 &&
           a->default_port == b->default_port && a->buffer_bytes == b->buffer_bytes &&
           a->timeout_s == b->timeout_s;
}

void qr_forwarder_readmit(struct qr_forwarder *forwarder, struct qr_admission *admission)
{
    struct forwarder *f = of(forwarder);
    if (admission == f->admission || admission == f->next)
        return;
    qr_admission_release(f->next);
    f->next = qr_admission_hold(admission);
}

/* No dialer holds anything of the old one then. */
static void take_next(struct forwarder *f)
{
    if (f->next == NULL)
        return;
    qr_admission_release(f->admission);
    f->admission = f->next;
    f->next = NULL;
}

/* ---- failures ---- */

static void break_off(struct forwarder *f);

static void postpone(struct forwarder *f, uint64_t wait_ms, const char *why)
{
    struct place *place = &f->places[f->place];
    uint64_t now = now_ms(f);
    bool known = strcmp(f->reason, why) == 0;
    snprintf(f->reason, sizeof f->reason, "%s", why);
    if (!known)
        qr_warn("host is not streamed on now host=%s destination=%s reason=\"%s\"", f->name,
                place->text, why);
    place->postponed_ms = now + wait_ms;
    f->failed_ms = now;
}

/* The connection ends: a stream that worked is taken up again soon, and from the first. */
static void give_up(struct forwarder *f, uint64_t wait_ms, const char *why)
{
    bool worked = f->state == QR_FORWARD_STREAMING;
    if (f->broken || f->state == QR_FORWARD_WAITING || f->ending)
        return;
    postpone(f, worked ? 0 : wait_ms, why);
    f->retry_ms = worked ? f->failed_ms + PAUSE_MS : 0;
    break_off(f);
}

static void add_past(struct forwarder *f)
{
    struct qr_relay_stats now;
    qr_relay_get_stats(f->relay, &now);
    f->past.rows_live += now.rows_live;
    f->past.rows_replayed += now.rows_replayed;
    f->past.samples += now.samples;
    f->past.bytes_wire += now.bytes_wire;
    f->stats.rows_live = f->stats.rows_replayed = f->stats.samples = f->stats.bytes_wire = 0;
}

static void drop_calls(struct forwarder *f)
{
    if (f->calls != NULL)
        qr_forward_calls_drop(f->calls);
}

static void become_waiting(struct forwarder *f)
{
    add_past(f);
    drop_calls(f);
    qr_relay_disconnect(f->relay);
    qr_buf_clear(&f->in);
    f->broken = false;
    f->state = QR_FORWARD_WAITING;
    if (f->restarting) {
        f->restarting = false;
        f->retry_ms = now_ms(f) + PAUSE_MS;
        for (unsigned i = 0; i < f->n_places; i++)
            f->places[i].postponed_ms = 0;
        qr_relay_free(f->relay);
        f->relay = NULL;
        if (make_relay(f) != 0)
            qr_forwarder_end(&f->face);
        if (f->calls != NULL)
            qr_forward_calls_forget(f->calls);
    }
}

static void break_off(struct forwarder *f)
{
    f->broken = true;
    drop_calls(f);
    if (f->dialer != NULL)
        qr_dialer_close(f->dialer);
}

/* ---- functions ---- */

static bool may_speak(const struct forwarder *f)
{
    return f->calls != NULL && f->relay != NULL && !f->busy && !f->broken && !f->ending;
}

static void write_out(struct forwarder *f)
{
    struct qr_buf *out = qr_relay_out(f->relay);
    if (out->len > 0)
        qr_dialer_write(f->dialer, qr_buf_slice(out));
    qr_buf_clear(out);
}

/* What waits to be said of functions, if nobody else has the sender: called again after each turn,
 * and when what was written has left. */
static void speak(void *data)
{
    struct forwarder *f = data;
    struct qr_slice list;
    if (!may_speak(f))
        return;
    if (qr_forward_calls_list(f->calls, &list) && qr_relay_functions(f->relay, list) != 0)
        qr_forward_calls_forget(f->calls);
    if (f->state != QR_FORWARD_STREAMING)
        return;
    while (qr_forward_calls_due(f->calls) &&
           qr_dialer_waiting(f->dialer) < f->admission->stream_conf.sender.buffer_bytes / 2) {
        qr_forward_calls_say(f->calls, qr_relay_sender(f->relay));
        qr_sender_flush(qr_relay_sender(f->relay));
        write_out(f);
    }
}

static void on_call(void *data, const struct qr_sender_call *call)
{
    struct forwarder *f = data;
    qr_forward_calls_take(f->calls, qr_relay_sender(f->relay), call);
}

static void on_cancel(void *data, struct qr_slice transaction)
{
    struct forwarder *f = data;
    qr_forward_calls_cancel(f->calls, transaction);
}

/* ---- turns ---- */

static void take_in(struct forwarder *f);

static void run_turn(struct qr_job *job)
{
    struct forwarder *f = QR_CONTAINER_OF(job, struct forwarder, job);
    f->turn_status = qr_relay_turn(f->relay, f->room);
}

static void on_turn_done(struct qr_job *job)
{
    struct forwarder *f = QR_CONTAINER_OF(job, struct forwarder, job);
    struct qr_buf *out = qr_relay_out(f->relay);
    f->busy = false;
    qr_relay_get_stats(f->relay, &f->stats);
    if (f->broken || f->ending || f->dialer == NULL) {
        qr_buf_clear(out);
        bool resets = f->state != QR_FORWARD_WAITING || f->restarting;
        if (f->dialer == NULL && !f->ending && resets)
            become_waiting(f);
        return;
    }
    if (f->turn_status == QR_E_UNKNOWN) {
        qr_forwarder_end(&f->face); /* forgotten: a child that streams comes back as new */
        return;
    }
    if (f->turn_status != 0) {
        give_up(f, 0, qr_strerror(f->turn_status));
        return;
    }
    if (f->state == QR_FORWARD_STREAMING) {
        if (out->len > 0)
            f->moved_ms = now_ms(f);
        qr_dialer_write(f->dialer, qr_buf_slice(out));
    }
    qr_buf_clear(out); /* else it was a look at the lag, while this connection came about */
    speak(f);
    take_in(f);
}

/* A turn, if there is anything to say and room for it. */
static void start_turn(struct forwarder *f)
{
    bool connected = f->state == QR_FORWARD_STREAMING && !f->broken;
    if (f->busy || f->ending || f->relay == NULL)
        return;
    size_t room = TURN_BYTES;
    if (connected) {
        size_t most = f->admission->stream_conf.sender.buffer_bytes;
        size_t waiting = qr_dialer_waiting(f->dialer);
        /* Half of it left at least, so that turns are worth their while. */
        if (waiting > 0 && waiting >= most / 2)
            return;
        room = most - waiting < room ? most - waiting : room;
    }
    if (!qr_relay_is_due(f->relay))
        return;
    f->room = room;
    f->busy = true;
    f->job.run = run_turn;
    f->job.done = on_turn_done;
    f->world->add_job(f->world->data, &f->job);
}

/* ---- the conversation ---- */

static void begin_stream(struct forwarder *f, const struct qr_reply *reply)
{
    const struct qr_sender_handler handler = {.data = f,
                                              .call = f->calls != NULL ? on_call : NULL,
                                              .cancel = f->calls != NULL ? on_cancel : NULL};
    f->state = QR_FORWARD_STREAMING;
    f->n_connects++;
    f->reason[0] = '\0';
    f->moved_ms = now_ms(f);
    if (qr_relay_connect(f->relay, reply->caps, &handler) != 0) {
        give_up(f, 0, "no memory for the stream");
        return;
    }
    qr_info("host is streamed on host=%s destination=%s capabilities=%x", f->name,
            f->places[f->place].text, reply->caps);
    start_turn(f);
}

/* The parent's first words.  All that came belongs to them: nothing follows before we speak. */
static void take_reply(struct forwarder *f, bool is_all)
{
    struct qr_reply reply;
    int err = qr_reply_parse(qr_buf_slice(&f->in), f->offered, &reply);
    if (err == QR_E_PARTIAL && !is_all && f->in.len < QR_REPLY_BYTES_MAX)
        return;
    qr_buf_clear(&f->in);
    if (err != 0) {
        give_up(f, QR_REPLY_WAIT_NONE_S * 1000ull, "it does not answer as a Netdata parent");
        return;
    }
    if (reply.kind == QR_REPLY_ACCEPTED)
        begin_stream(f, &reply);
    else if (reply.kind == QR_REPLY_ALREADY)
        give_up(f, ALREADY_MS, reply.sentence);
    else
        give_up(f, reply.wait_s * 1000ull, reply.sentence);
}

static void take_in(struct forwarder *f)
{
    if (f->busy || f->broken)
        return;
    if (f->state == QR_FORWARD_HANDSHAKE) {
        take_reply(f, false);
    } else if (f->state == QR_FORWARD_STREAMING) {
        int err = qr_relay_feed(f->relay, qr_buf_slice(&f->in));
        qr_buf_clear(&f->in);
        if (err != 0) {
            give_up(f, 0, qr_strerror(err));
            return;
        }
        qr_sender_flush(qr_relay_sender(f->relay)); /* a call may have been refused */
        write_out(f);
        start_turn(f);
    }
}

static void on_connected(void *data)
{
    struct forwarder *f = data;
    struct qr_buf request = {.max = QR_REQUEST_BYTES_MAX};
    const struct qr_upstream_request asked = {
        .store = f->world->store,
        .guid = &f->face.host.guid,
        .api_key = f->api_key,
        .cluster_id = &f->world->cluster_id,
        .compression = f->admission->stream_conf.sender.compression,
        .dyncfg = f->calls != NULL && qr_forward_calls_offers(f->calls, "config"),
    };
    int err = qr_upstream_request_encode(&asked, &request, &f->offered);
    f->state = QR_FORWARD_HANDSHAKE;
    f->asked_ms = now_ms(f);
    if (err != 0)
        give_up(f, 0, qr_strerror(err));
    else
        qr_dialer_write(f->dialer, qr_buf_slice(&request));
    qr_buf_release(&request);
}

static void on_received(void *data, struct qr_slice bytes)
{
    struct forwarder *f = data;
    if (f->broken)
        return;
    if (qr_buf_add(&f->in, bytes.base, bytes.len) != 0)
        give_up(f, 0, "it asks for more than it waits for");
    else
        take_in(f);
}

static void on_drained(void *data)
{
    struct forwarder *f = data;
    if (f->broken)
        return;
    speak(f);
    start_turn(f);
}

static void on_failed(void *data, enum qr_dial_step step, const char *why)
{
    struct forwarder *f = data;
    uint64_t delay_ms = f->admission->stream_conf.sender.reconnect_delay_s * 1000ull;
    if (f->state == QR_FORWARD_HANDSHAKE && f->in.len > 0 && !f->busy)
        take_reply(f, true); /* a refusal, then the end */
    if (step == QR_DIAL_TLS)
        delay_ms = QR_REPLY_WAIT_TLS_S * 1000ull;
    /* One that hangs up without a word is starting, or draining. */
    give_up(f, delay_ms, why);
}

static void on_dialer_closed(void *data)
{
    struct forwarder *f = data;
    f->dialer = NULL;
    if (!f->ending && !f->busy)
        become_waiting(f);
}

static const struct qr_dialer_handler dialer_handler = {on_connected, on_received, on_drained,
                                                        on_failed, on_dialer_closed};

/* ---- attempts ---- */

/* The first destination that is not postponed, behind those that this walk has tried. */
static bool choose_place(struct forwarder *f, uint64_t now)
{
    for (unsigned i = 0; i < f->n_places; i++) {
        if (f->places[i].postponed_ms <= now) {
            f->place = i;
            return true;
        }
    }
    return false;
}

static void dial(struct forwarder *f)
{
    take_next(f);
    const struct qr_dialer_config config = {
        .loop = f->world->loop,
        .destination = &f->places[f->place].destination,
        .tls = f->admission->upstream_tls,
        .timeout_ms = f->admission->stream_conf.sender.timeout_s * 1000ull,
        .handler = &dialer_handler,
        .data = f,
    };
    f->state = QR_FORWARD_DIALING;
    int err = qr_dialer_open(&f->dialer, &config);
    if (err != 0) {
        f->dialer = NULL;
        f->state = QR_FORWARD_WAITING;
        postpone(f, 1000, qr_strerror(err));
    }
}

static bool is_drained(const struct forwarder *f)
{
    return f->state == QR_FORWARD_STREAMING && !f->busy && f->stats.complete &&
           qr_dialer_waiting(f->dialer) == 0 && !qr_relay_is_due(f->relay) &&
           (f->calls == NULL || qr_forward_calls_idle(f->calls));
}

static void tick_leaving(struct forwarder *f)
{
    if (is_drained(f) || now_ms(f) - f->moved_ms > LEAVE_MS)
        qr_forwarder_end(&f->face);
}

void qr_forwarder_tick(struct qr_forwarder *forwarder, bool permit, uint64_t pictured_ms)
{
    struct forwarder *f = of(forwarder);
    uint64_t now = now_ms(f);
    if (f->leaving)
        tick_leaving(f);
    if (f->ending) {
        free_if_ended(f);
        return;
    }
    if (f->state == QR_FORWARD_HANDSHAKE &&
        now - f->asked_ms > f->admission->stream_conf.sender.timeout_s * 1000ull)
        give_up(f, QR_REPLY_WAIT_NONE_S * 1000ull, "it does not reply");
    if (f->state == QR_FORWARD_WAITING && !f->busy && f->dialer == NULL && permit &&
        pictured_ms > f->failed_ms && now >= f->retry_ms && choose_place(f, now))
        dial(f);
    if (f->calls != NULL)
        qr_forward_calls_follow(f->calls, f->face.host.offer, now);
    speak(f);
    start_turn(f);
}

void qr_forwarder_restart(struct qr_forwarder *forwarder, const struct qr_forwarder_host *host)
{
    struct forwarder *f = of(forwarder);
    f->face.host = *host;
    f->leaving = false;
    f->restarting = true;
    name_host(f);
    if (f->dialer != NULL)
        break_off(f);
    else if (!f->busy)
        become_waiting(f);
    else
        f->broken = true;
}

void qr_forwarder_leave(struct qr_forwarder *forwarder)
{
    struct forwarder *f = of(forwarder);
    if (f->leaving)
        return;
    f->leaving = true;
    f->moved_ms = now_ms(f);
}

void qr_forwarder_end(struct qr_forwarder *forwarder)
{
    struct forwarder *f = of(forwarder);
    if (f->ending)
        return;
    f->ending = true;
    f->state = QR_FORWARD_ENDING;
    drop_calls(f);
    if (f->dialer != NULL)
        qr_dialer_close(f->dialer);
}

void qr_forwarder_get_status(const struct qr_forwarder *forwarder,
                             struct qr_forwarder_status *status)
{
    const struct forwarder *f = QR_CONTAINER_OF(forwarder, const struct forwarder, face);
    *status = (struct qr_forwarder_status){
        .host = f->face.host.id, .state = f->state, .n_connects = f->n_connects, .relay = f->stats};
    status->relay.rows_live += f->past.rows_live;
    status->relay.rows_replayed += f->past.rows_replayed;
    status->relay.samples += f->past.samples;
    status->relay.bytes_wire += f->past.bytes_wire;
    snprintf(status->destination, sizeof status->destination, "%s", f->places[f->place].text);
    snprintf(status->reason, sizeof status->reason, "%s", f->reason);
}
