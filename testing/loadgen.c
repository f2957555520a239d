/* quorate-loadgen — simulated Netdata children, and the check of what a node made of them. */
#include "testing/loadgen_options.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "proto/caps.h"
#include "testing/corpus.h"
#include "testing/verify.h"

#define CAPS_137                                                                                   \
    (QR_CAP_V1 | QR_CAP_V2 | QR_CAP_VN | QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLAIM |            \
     QR_CAP_CLABELS | QR_CAP_FUNCTIONS | QR_CAP_REPLICATION | QR_CAP_BINARY)

/* What 2.9 offers besides, and a parent may decline. */
#define CAPS_29_MORE (QR_CAP_PROGRESS | QR_CAP_DYNCFG | QR_CAP_NODE_ID | QR_CAP_PATHS)

/* Full speed starts this far in the past, so that its clock stays behind the parent's. */
#define FULL_SPEED_BACK_S (6 * 3600)

struct run {
    const struct qr_loadgen *options;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t term, interrupt, usr1;
    struct qr_child **children;
    uint32_t n_children, n_open;
    struct qr_tls_context *tls;
    int64_t first_s, start_s; /* History, first connect. */
    uint64_t started_ms, ended_ms, last_samples;
    bool stopping, ever_connected;
};

struct totals {
    struct qr_model_sender_stats s;
    uint64_t connects, connect_failures, breaks, overflows, bytes_text, bytes_wire;
    uint64_t asks, asks_not_now, bans;
    uint32_t connected, done;
    int64_t last_s; /* The oldest "last collected" of all children. */
};

static struct totals sum(const struct run *run)
{
    struct totals t = {.last_s = INT64_MAX};
    for (uint32_t i = 0; i < run->n_children; i++) {
        const struct qr_child_stats *c = qr_child_stats(run->children[i]);
        const struct qr_model_sender_stats *s = qr_child_sender_stats(run->children[i]);
        t.s.samples_live += s->samples_live;
        t.s.samples_replayed += s->samples_replayed;
        t.s.rows_live += s->rows_live;
        t.s.rows_replayed += s->rows_replayed;
        t.s.replay_requests += s->replay_requests;
        t.s.empty_requests += s->empty_requests;
        t.s.off_grid_requests += s->off_grid_requests;
        t.s.unknown_commands += s->unknown_commands;
        t.s.n_replicating += s->n_replicating;
        t.s.n_live += s->n_live;
        t.connects += c->connects;
        t.connect_failures += c->connect_failures;
        t.breaks += c->breaks;
        t.overflows += c->overflows;
        t.asks += c->asks;
        t.asks_not_now += c->asks_not_now;
        t.bans += c->bans;
        t.bytes_text += c->bytes_text;
        t.bytes_wire += c->bytes_wire;
        t.connected += qr_child_connected_to(run->children[i]) != NULL;
        t.done += qr_child_done(run->children[i]);
        if (qr_child_last_s(run->children[i]) < t.last_s)
            t.last_s = qr_child_last_s(run->children[i]);
    }
    return t;
}

/* ---- figures ---- */

static void add_failovers(json_t *list, const struct run *run, uint32_t host)
{
    const struct qr_child_stats *stats = qr_child_stats(run->children[host]);
    uint32_t n = stats->n_failovers;
    uint32_t from = n > QR_CHILD_FAILOVERS_MAX ? n - QR_CHILD_FAILOVERS_MAX : 0;
    for (uint32_t i = from; i < n; i++) {
        const struct qr_child_failover *f = &stats->failovers[i % QR_CHILD_FAILOVERS_MAX];
        json_array_append_new(
            list,
            json_pack("{s:i,s:s,s:I,s:I,s:I,s:I,s:I}", "host", (int)host, "to", f->to,
                      "last_sent_ms", (json_int_t)f->last_sent_ms, "broken_ms",
                      (json_int_t)f->broken_ms, "accepted_ms", (json_int_t)f->accepted_ms,
                      "replay_ms", (json_int_t)f->replay_ms, "live_ms", (json_int_t)f->live_ms));
    }
}

static void add_refusals(json_t *object, const struct qr_child_stats *stats)
{
    for (uint32_t i = 0; i < stats->n_refusals; i++) {
        const struct qr_child_refusal *r = &stats->refusals[i];
        json_int_t n = json_integer_value(json_object_get(object, r->text));
        json_object_set_new(object, r->text, json_integer(n + (json_int_t)r->n));
    }
}

static json_t *children_json(const struct run *run)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < run->n_children; i++) {
        char text[QR_GUID_TEXT_LEN + 1];
        struct qr_guid guid;
        qr_model_guid(&run->options->model, i, &guid);
        qr_guid_format(&guid, text);
        const struct qr_model_sender_stats *s = qr_child_sender_stats(run->children[i]);
        const char *to = qr_child_connected_to(run->children[i]);
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:I,s:i,s:i}", "guid", text, "connected_to",
                                        to != NULL ? to : "", "last_s",
                                        (json_int_t)qr_child_last_s(run->children[i]), "live",
                                        (int)s->n_live, "replicating", (int)s->n_replicating));
    }
    return list;
}

static json_t *figures(const struct run *run, bool finished)
{
    struct totals t = sum(run);
    uint64_t ended_ms = finished ? run->ended_ms : uv_now(&run->loop);
    json_t *refusals = json_object(), *failovers = json_array();
    for (uint32_t i = 0; i < run->n_children; i++) {
        add_refusals(refusals, qr_child_stats(run->children[i]));
        add_failovers(failovers, run, i);
    }
    json_t *object = json_pack("{s:b,s:f,s:I,s:I,s:I,s:i,s:i,s:i,s:i}", "finished", finished,
                               "seconds", (double)(ended_ms - run->started_ms) / 1000.0, "first_s",
                               (json_int_t)run->first_s, "start_s", (json_int_t)run->start_s,
                               "last_s", (json_int_t)t.last_s, "children", (int)run->n_children,
                               "connected", (int)t.connected, "charts_live", (int)t.s.n_live,
                               "charts_replicating", (int)t.s.n_replicating);
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"written_ms", (uint64_t)(qr_clock_real_us(&qr_clock_system) / 1000)},
        {"samples_live", t.s.samples_live},
        {"samples_replayed", t.s.samples_replayed},
        {"rows_live", t.s.rows_live},
        {"rows_replayed", t.s.rows_replayed},
        {"replay_requests", t.s.replay_requests},
        {"empty_requests", t.s.empty_requests},
        {"off_grid_requests", t.s.off_grid_requests},
        {"unknown_commands", t.s.unknown_commands},
        {"connects", t.connects},
        {"connect_failures", t.connect_failures},
        {"breaks", t.breaks},
        {"overflows", t.overflows},
        {"asks", t.asks},
        {"asks_not_now", t.asks_not_now},
        {"bans", t.bans},
        {"bytes_text", t.bytes_text},
        {"bytes_wire", t.bytes_wire},
    };
    for (size_t i = 0; i < QR_COUNT(counters); i++)
        json_object_set_new(object, counters[i].name, json_integer((json_int_t)counters[i].value));
    json_object_set_new(object, "refusals", refusals);
    json_object_set_new(object, "failovers", failovers);
    json_object_set_new(object, "hosts", children_json(run));
    return object;
}

static void write_figures(const struct run *run, bool finished)
{
    if (run->options->json_path == NULL)
        return;
    char part[4096];
    snprintf(part, sizeof part, "%s.part", run->options->json_path);
    json_t *object = figures(run, finished);
    if (json_dump_file(object, part, JSON_INDENT(1)) != 0 ||
        rename(part, run->options->json_path) != 0)
        fprintf(stderr, "quorate-loadgen: cannot write %s\n", run->options->json_path);
    json_decref(object);
}

static void print_progress(struct run *run)
{
    if (run->options->quiet)
        return;
    struct totals t = sum(run);
    uint64_t samples = t.s.samples_live + t.s.samples_replayed;
    double seconds = (double)(uv_now(&run->loop) - run->started_ms) / 1000;
    double part = 0;
    if (run->options->full_speed)
        part = (double)(t.last_s - run->start_s) / (double)run->options->data_s;
    else if (run->options->duration_s > 0)
        part = seconds / (double)run->options->duration_s;
    char eta[32] = "";
    if (part > 0.01 && part <= 1)
        snprintf(eta, sizeof eta, " ETA %.0f s", seconds / part - seconds);
    fprintf(stderr, "%s%.0f s: %u/%u connected, %u charts live, %llu samples, %llu/s%s%s",
            isatty(2) ? "\r" : "", seconds, t.connected, run->n_children, t.s.n_live,
            (unsigned long long)samples, (unsigned long long)(samples - run->last_samples), eta,
            isatty(2) ? "   " : "\n");
    run->last_samples = samples;
}

/* ---- the run ---- */

static void on_child_closed(void *data)
{
    struct run *run = data;
    if (--run->n_open > 0)
        return;
    uv_close((uv_handle_t *)&run->term, NULL);
    uv_close((uv_handle_t *)&run->interrupt, NULL);
    uv_close((uv_handle_t *)&run->usr1, NULL);
    uv_close((uv_handle_t *)&run->tick, NULL);
}

static void print_figures(const struct run *run)
{
    json_t *object = figures(run, true);
    if (run->options->json) {
        json_dumpf(object, stdout, JSON_INDENT(1));
        printf("\n");
    } else {
        struct totals t = sum(run);
        printf(
            "samples live %llu, replayed %llu; connects %llu, breaks %llu, failed connects %llu, "
            "refusals %zu kinds; text %llu bytes, wire %llu bytes\n",
            (unsigned long long)t.s.samples_live, (unsigned long long)t.s.samples_replayed,
            (unsigned long long)t.connects, (unsigned long long)t.breaks,
            (unsigned long long)t.connect_failures,
            json_object_size(json_object_get(object, "refusals")), (unsigned long long)t.bytes_text,
            (unsigned long long)t.bytes_wire);
    }
    fflush(stdout);
    json_decref(object);
}

/* The figures are taken while the children are still what they were. */
static void stop(struct run *run)
{
    if (run->stopping)
        return;
    run->stopping = true;
    run->ended_ms = uv_now(&run->loop);
    if (!run->options->quiet && isatty(2))
        fprintf(stderr, "\n");
    write_figures(run, true);
    print_figures(run);
    run->ever_connected = sum(run).connects > 0;
    run->n_open = run->n_children;
    for (uint32_t i = 0; i < run->n_children; i++)
        qr_child_end(run->children[i], on_child_closed, run);
}

static void on_term(uv_signal_t *signal, int number)
{
    stop(signal->data);
}

static void on_usr1(uv_signal_t *signal, int number)
{
    struct run *run = signal->data;
    for (uint32_t i = 0; i < run->n_children && !run->stopping; i++)
        qr_child_break(run->children[i]);
}

static void on_tick(uv_timer_t *tick)
{
    struct run *run = tick->data;
    uint64_t seconds = (uv_now(&run->loop) - run->started_ms) / 1000;
    if (run->stopping)
        return;
    print_progress(run);
    write_figures(run, false);
    bool done = run->options->full_speed && !run->options->stay && sum(run).done == run->n_children;
    bool over = run->options->duration_s > 0 && seconds >= (uint64_t)run->options->duration_s;
    if (done || (over && !run->options->full_speed))
        stop(run);
}

static int start_children(struct run *run)
{
    const struct qr_loadgen *o = run->options;
    struct qr_child_destination list[QR_CHILD_DESTINATIONS_MAX];
    uint32_t caps = CAPS_137 | o->compression_caps;
    if (o->no_replication)
        caps &= ~QR_CAP_REPLICATION;
    if (o->v2)
        caps |= QR_CAP_INTERPOLATED | QR_CAP_IEEE754;
    if (o->asks)
        caps |= CAPS_29_MORE;
    for (uint32_t host = 0; host < o->model.n_hosts; host++) {
        for (uint32_t i = 0; i < o->n_destinations; i++)
            list[i] = o->destinations[(i + (o->rotate ? host : 0)) % o->n_destinations];
        struct qr_child_config config = {.loop = &run->loop,
                                         .model = &o->model,
                                         .host = host,
                                         .api_key = o->key,
                                         .destinations = list,
                                         .n_destinations = o->n_destinations,
                                         .caps = caps,
                                         .tls = run->tls,
                                         .full_speed = o->full_speed,
                                         .first_s = run->first_s,
                                         .start_s = run->start_s,
                                         .end_s = o->full_speed ? run->start_s + o->data_s : 0,
                                         .reconnect_delay_ms = (uint64_t)o->reconnect_delay_ms,
                                         .timeout_ms = (uint64_t)o->timeout_ms,
                                         .postpone_scale = o->postpone_scale,
                                         .buffer_bytes = (size_t)o->buffer_mib << 20,
                                         .rules_29 = strcmp(o->rules, "2.9") == 0,
                                         .asks = o->asks,
                                         .truncate = o->truncate,
                                         .late_every = (uint32_t)o->late_every};
        int err = qr_child_new(&run->children[run->n_children], &config);
        if (err != 0)
            return err;
        run->n_children++;
    }
    return 0;
}

static void start_signal(struct run *run, uv_signal_t *signal, uv_signal_cb cb, int number)
{
    uv_signal_init(&run->loop, signal);
    signal->data = run;
    uv_signal_start(signal, cb, number);
}

static int stream(const struct qr_loadgen *options)
{
    struct run run = {.options = options};
    int64_t now_s = qr_clock_real_s(&qr_clock_system);
    run.start_s = options->full_speed ? now_s - FULL_SPEED_BACK_S : now_s;
    run.first_s = options->first_s > 0 ? options->first_s : run.start_s - options->history_s;
    if (options->full_speed && options->first_s > 0)
        run.start_s = options->first_s + options->history_s;
    char reason[QR_TLS_REASON_BYTES];
    if (options->tls && qr_tls_context_client(&run.tls, NULL, reason) != 0) {
        fprintf(stderr, "quorate-loadgen: %s\n", reason);
        return 2;
    }
    run.children = calloc(options->model.n_hosts, sizeof *run.children);
    assert(run.children != NULL);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&run.loop);
    start_signal(&run, &run.term, on_term, SIGTERM);
    start_signal(&run, &run.interrupt, on_term, SIGINT);
    start_signal(&run, &run.usr1, on_usr1, SIGUSR1);
    uv_timer_init(&run.loop, &run.tick);
    run.tick.data = &run;
    if (start_children(&run) != 0) {
        fprintf(stderr, "quorate-loadgen: out of memory\n");
        return 2;
    }
    uv_update_time(&run.loop);
    run.started_ms = uv_now(&run.loop);
    uv_timer_start(&run.tick, on_tick, 0, 1000);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    int err = uv_loop_close(&run.loop);
    assert(err == 0);
    free((void *)run.children);
    qr_tls_context_free(run.tls);
    return run.ever_connected ? 0 : 1;
}

static int verify(const struct qr_loadgen *options)
{
    struct qr_fetch fetch;
    bool ok = true;
    if (qr_fetch_init(&fetch) != 0)
        return 2;
    for (uint32_t i = 0; i < options->n_urls; i++) {
        struct qr_verify result = {0};
        char text[512];
        qr_verify_node(&options->model, &fetch, options->urls[i], options->from_s, options->to_s,
                       &result);
        qr_verify_format(&result, text, sizeof text);
        ok = ok && qr_verify_ok(&result);
        if (options->json)
            printf("{\"url\":\"%s\",\"values\":%llu,\"holes\":%llu,\"wrong\":%llu,"
                   "\"duplicates\":%llu,\"extra\":%llu,\"failed\":%llu}\n",
                   options->urls[i], (unsigned long long)result.n_values,
                   (unsigned long long)result.n_holes, (unsigned long long)result.n_wrong,
                   (unsigned long long)result.n_duplicates, (unsigned long long)result.n_extra,
                   (unsigned long long)result.n_failed);
        else
            printf("%s %s\n", options->urls[i], text);
    }
    qr_fetch_release(&fetch);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct qr_loadgen options;
    int err = qr_loadgen_options(&options, argc, argv);
    if (err != 0)
        return err > 0 ? 0 : 2;
    struct qr_corpus corpus = {0};
    if (options.corpus != NULL && (err = qr_corpus_read(&corpus, options.corpus)) != 0) {
        fprintf(stderr, "quorate-loadgen: %s: %s\n", options.corpus, qr_strerror(err));
        return 2;
    }
    options.model.corpus = options.corpus != NULL ? &corpus : NULL;
    int code = options.verify ? verify(&options) : stream(&options);
    qr_corpus_release(&corpus);
    return code;
}
