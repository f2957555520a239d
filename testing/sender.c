#include "testing/sender.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/buf.h"
#include "proto/caps.h"

/* 2.9 ignores `before` and "false" of a request that ends this close to its clock (in points), and
 * ends an answer early at a quarter of its send buffer. */
#define NEAR_POINTS_29      100
#define ANSWER_BYTES_29_MAX (10u * 1024 * 1024 / 4)
/* Without replication BEGIN says 0 for so many collections after the definition. */
#define RESYNC_ITERATIONS 60

enum chart_state { UNDEFINED, REPLICATING, LIVE };

struct chart {
    enum chart_state state;
    bool again;              /* To be defined again. */
    int64_t first_s, last_s; /* Collections; last_s 0: none. */
    uint32_t n_sent;         /* Live collections on this connection. */
};

struct qr_model_sender {
    struct qr_model_sender_config config;
    const struct qr_model *model;
    uint32_t caps;
    bool connected;
    int64_t now_s; /* Second of the newest collection: the child's clock. */
    uint32_t n_answers;
    struct qr_model_sender_stats stats;
    struct qr_buf text;
    struct chart *charts;
};

int qr_model_sender_new(struct qr_model_sender **out, const struct qr_model_sender_config *config)
{
    struct qr_model_sender *sender = calloc(1, sizeof *sender);
    if (sender == NULL)
        return UV_ENOMEM;
    sender->config = *config;
    sender->model = config->model;
    sender->charts = calloc(config->model->n_charts, sizeof *sender->charts);
    if (sender->charts == NULL) {
        free(sender);
        return UV_ENOMEM;
    }
    qr_buf_init(&sender->text, 0);
    *out = sender;
    return 0;
}

void qr_model_sender_free(struct qr_model_sender *sender)
{
    if (sender == NULL)
        return;
    qr_buf_release(&sender->text);
    free(sender->charts);
    free(sender);
}

const struct qr_model_sender_stats *qr_model_sender_stats(const struct qr_model_sender *sender)
{
    return &sender->stats;
}

int64_t qr_model_sender_last_s(const struct qr_model_sender *sender)
{
    return sender->now_s;
}

/* ---- text ---- */

static void commit(struct qr_model_sender *sender)
{
    assert(!sender->text.failed);
    if (sender->text.len > 0)
        sender->config.commit(sender->config.data, qr_buf_slice(&sender->text));
    qr_buf_clear(&sender->text);
}

/* Decimal digits; printf is too slow for a load generator. */
static void add_int(struct qr_buf *text, int64_t value)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--p = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (value < 0)
        *--p = '-';
    qr_buf_add(text, p, (size_t)(digits + sizeof digits - p));
}

static void add_base64(struct qr_buf *text, char mark, uint64_t value)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char digits[16], *p = digits + sizeof digits;
    do
        *--p = digit[value & 63];
    while ((value >>= 6) != 0);
    *--p = mark;
    qr_buf_add(text, p, (size_t)(digits + sizeof digits - p));
}

/* An integer of the BEGIN2 and R* lines, in the encoding that was negotiated. */
static void add_wire_int(const struct qr_model_sender *sender, struct qr_buf *text, int64_t value,
                         bool replay)
{
    if (sender->caps & QR_CAP_IEEE754) {
        if (value < 0)
            qr_buf_add(text, "-", 1);
        add_base64(text, '#', value < 0 ? -(uint64_t)value : (uint64_t)value);
    } else if (replay) {
        add_int(text, value);
    } else {
        qr_buf_printf(text, "%s0x%llX", value < 0 ? "-" : "",
                      (unsigned long long)(value < 0 ? -value : value));
    }
}

static void add_wire_double(const struct qr_model_sender *sender, struct qr_buf *text, double value)
{
    if (sender->caps & QR_CAP_IEEE754) {
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        add_base64(text, '@', bits);
    } else {
        qr_buf_printf(text, "%.7f", value);
    }
}

/* ---- definitions ---- */

static const char *const chart_types[] = {"line", "area", "stacked"};

static void say_dimensions(struct qr_model_sender *sender, uint32_t chart)
{
    for (uint32_t dim = 0; dim < sender->model->n_dims; dim++) {
        char id[QR_MODEL_NAME_BYTES];
        struct qr_model_dim d;
        qr_model_dim_id(dim, id);
        qr_model_dim(sender->model, chart, dim, &d);
        qr_buf_printf(&sender->text, "DIMENSION \"%s\" \"%s\" \"%s\" %d %d \"  \"\n", id, id,
                      d.incremental ? "incremental" : "absolute", d.multiplier, d.divisor);
    }
}

static void say_chart(struct qr_model_sender *sender, uint32_t chart)
{
    char id[QR_MODEL_NAME_BYTES];
    qr_model_chart_id(chart, id);
    qr_buf_printf(
        &sender->text,
        "CHART \"%s\" \"\" \"Generated load %u\" \"things/s\" \"family %u\" \"load.context\" "
        "\"%s\" %u %u \"   \" \"loadgen\" \"generated\"\n",
        id, chart, chart / 10, chart_types[chart % 3], 1000 + chart,
        qr_model_update_every(sender->model, chart));
    if (sender->caps & QR_CAP_CLABELS)
        qr_buf_printf(&sender->text,
                      "CLABEL \"_collect_plugin\" \"loadgen\" 536870913\n"
                      "CLABEL \"_collect_module\" \"generated\" 536870913\n"
                      "CLABEL \"shelf\" \"number %u\" 1\nCLABEL_COMMIT\n",
                      chart % 7);
    say_dimensions(sender, chart);
}

struct times {
    int64_t first_s, last_s;
};

/* What it says to have of a chart that has any. */
static struct times said_times(const struct qr_model_sender *sender, const struct chart *c)
{
    int64_t by_s = sender->config.by_s;
    struct times t = {c->first_s, c->last_s};
    if (c->last_s == 0)
        return (struct times){0, 0};
    switch (sender->config.lie) {
    case QR_MODEL_FIRST_LATE:
        t.first_s = t.last_s - by_s > t.first_s ? t.last_s - by_s : t.first_s;
        break;
    case QR_MODEL_LAST_BEHIND:
        t.last_s = t.last_s - by_s > t.first_s ? t.last_s - by_s : t.first_s;
        break;
    case QR_MODEL_NO_TIMES:
        return (struct times){0, 0};
    case QR_MODEL_FIRST_EARLY:
        t.first_s -= by_s;
        break;
    case QR_MODEL_LAST_AHEAD:
        t.last_s += by_s;
        break;
    case QR_MODEL_SWAPPED:
        return (struct times){t.last_s, t.first_s};
    default:
        break;
    }
    return t;
}

/* .. and what it answers from. */
static struct times given_times(const struct qr_model_sender *sender, const struct chart *c)
{
    return sender->config.lie == QR_MODEL_SWAPPED ? (struct times){c->first_s, c->last_s}
                                                  : said_times(sender, c);
}

void qr_model_sender_lie(struct qr_model_sender *sender, enum qr_model_lie lie, int64_t by_s)
{
    sender->config.lie = lie;
    sender->config.by_s = by_s;
    for (uint32_t chart = 0; chart < sender->model->n_charts; chart++)
        sender->charts[chart].again = true;
}

static void count_state(struct qr_model_sender *sender, enum chart_state state, uint32_t by)
{
    sender->stats.n_live += state == LIVE ? by : 0;
    sender->stats.n_replicating += state == REPLICATING ? by : 0;
}

/* Just before the collection of `t`, so without it. */
static void define(struct qr_model_sender *sender, uint32_t chart, int64_t t)
{
    struct chart *c = &sender->charts[chart];
    say_chart(sender, chart);
    c->n_sent = 0;
    c->again = false;
    count_state(sender, c->state, (uint32_t)-1);
    if (sender->caps & QR_CAP_REPLICATION) {
        struct times said = said_times(sender, c);
        qr_buf_printf(&sender->text, "CHART_DEFINITION_END %lld %lld %lld\n",
                      (long long)said.first_s, (long long)said.last_s, (long long)t);
        c->state = REPLICATING;
    } else {
        c->state = LIVE;
    }
    count_state(sender, c->state, 1);
    commit(sender);
}

void qr_model_sender_connect(struct qr_model_sender *sender, uint32_t caps)
{
    struct qr_guid guid;
    char guid_text[QR_GUID_TEXT_LEN + 1];
    qr_model_guid(sender->model, sender->config.host, &guid);
    qr_guid_format(&guid, guid_text);
    sender->caps = caps;
    sender->connected = true;
    sender->stats.n_live = sender->stats.n_replicating = 0;
    for (uint32_t chart = 0; chart < sender->model->n_charts; chart++)
        sender->charts[chart].state = UNDEFINED;
    if (caps & QR_CAP_CLAIM) {
        qr_buf_printf(&sender->text, "CLAIMED_ID %s NULL\n", guid_text);
        commit(sender);
    }
    if (caps & QR_CAP_HLABELS) {
        qr_buf_add_str(&sender->text, "LABEL \"_os_name\" = 1 \"Debian GNU/Linux\"\n"
                                      "LABEL \"_is_ephemeral\" = 2 \"false\"\n"
                                      "LABEL \"_aclk_available\" = 9 \"false\"\n"
                                      "LABEL \"rack\" = 2 \"a. shelf 3\"\n"
                                      "OVERWRITE labels\n");
        commit(sender);
    }
}

void qr_model_sender_disconnect(struct qr_model_sender *sender)
{
    sender->connected = false;
    sender->stats.n_live = sender->stats.n_replicating = 0;
}

/* ---- live data ---- */

static void say_v1(struct qr_model_sender *sender, uint32_t chart, int64_t t)
{
    const struct qr_model *model = sender->model;
    uint32_t host = sender->config.host;
    struct chart *c = &sender->charts[chart];
    char id[QR_MODEL_NAME_BYTES];
    qr_model_chart_id(chart, id);
    int64_t usec = 0;
    if (c->last_s > 0 && ((sender->caps & QR_CAP_REPLICATION) || c->n_sent >= RESYNC_ITERATIONS))
        usec = qr_model_collect_us(model, host, chart, t) -
               qr_model_collect_us(model, host, chart, c->last_s);

    struct qr_buf *text = &sender->text;
    qr_buf_add_str(text, "BEGIN \"");
    qr_buf_add_str(text, id);
    qr_buf_add_str(text, "\" ");
    add_int(text, usec);
    for (uint32_t dim = 0; dim < model->n_dims; dim++) {
        int64_t raw;
        if (!qr_model_raw(model, host, chart, dim, t, &raw))
            continue;
        qr_buf_add_str(text, "\nSET \"dim_");
        add_int(text, dim);
        qr_buf_add_str(text, "\" = ");
        add_int(text, raw);
        sender->stats.samples_live++;
    }
    qr_buf_add_str(text, "\nEND\n");
    sender->stats.rows_live++;
    c->n_sent++;
    commit(sender);
}

static void add_v2_dim(struct qr_model_sender *sender, uint32_t chart, uint32_t dim, int64_t t,
                       double value)
{
    struct qr_buf *text = &sender->text;
    int64_t raw = 0, before = qr_model_collected_before(sender->model, chart, t);
    qr_model_raw(sender->model, sender->config.host, chart, dim, before, &raw);
    qr_buf_printf(text, "SET2 'dim_%u' ", dim);
    add_wire_int(sender, text, raw, false); /* One collection behind, as Netdata's. */
    qr_buf_add(text, " ", 1);
    if (value == (double)raw)
        qr_buf_add(text, "#", 1);
    else
        add_wire_double(sender, text, value);
    qr_buf_add_str(text, " A\n");
}

/* One stored second; nothing is said of one without values. */
static void say_v2_point(struct qr_model_sender *sender, uint32_t chart, int64_t t)
{
    const struct qr_model *model = sender->model;
    struct qr_buf *text = &sender->text;
    char id[QR_MODEL_NAME_BYTES];
    qr_model_chart_id(chart, id);
    qr_buf_printf(text, "BEGIN2 '%s' ", id);
    add_wire_int(sender, text, qr_model_update_every(model, chart), false);
    qr_buf_add(text, " ", 1);
    add_wire_int(sender, text, t, false);
    qr_buf_add_str(text, " #\n");
    uint32_t n = 0;
    for (uint32_t dim = 0; dim < model->n_dims; dim++) {
        double value;
        if (!qr_model_value(model, sender->config.host, chart, dim, t, &value))
            continue;
        add_v2_dim(sender, chart, dim, t, value);
        n++;
    }
    qr_buf_add_str(text, "END2\n");
    if (n == 0) {
        qr_buf_clear(text);
        return;
    }
    sender->stats.samples_live += n;
    sender->stats.rows_live++;
    commit(sender);
}

static void say_v2(struct qr_model_sender *sender, uint32_t chart, int64_t t)
{
    uint32_t update_every = qr_model_update_every(sender->model, chart);
    int64_t from = sender->charts[chart].last_s + update_every;
    for (int64_t at = from; at <= t; at += update_every)
        say_v2_point(sender, chart, at);
}

void qr_model_sender_collect(struct qr_model_sender *sender, int64_t t)
{
    assert(t > sender->now_s);
    sender->now_s = t;
    for (uint32_t chart = 0; chart < sender->model->n_charts; chart++) {
        struct chart *c = &sender->charts[chart];
        if (!qr_model_collects(sender->model, chart, t))
            continue;
        if (sender->connected && (c->state == UNDEFINED || c->again)) {
            define(sender, chart, t);
        } else if (sender->connected && c->state == LIVE) {
            if (sender->caps & QR_CAP_INTERPOLATED)
                say_v2(sender, chart, t);
            else
                say_v1(sender, chart, t);
        }
        c->last_s = t;
        if (c->first_s == 0)
            c->first_s = t;
    }
}

void qr_model_sender_define(struct qr_model_sender *sender)
{
    for (uint32_t chart = 0; chart < sender->model->n_charts; chart++)
        if (sender->connected && sender->charts[chart].state == UNDEFINED)
            define(sender, chart, sender->now_s);
}

/* ---- replication ---- */

struct answer {
    int64_t after, before;
    bool enable; /* REND true. */
};

/* Returns whether the second has any value. */
static bool say_point(struct qr_model_sender *sender, uint32_t chart, int64_t t)
{
    const struct qr_model *model = sender->model;
    struct qr_buf *text = &sender->text;
    bool ieee = sender->caps & QR_CAP_IEEE754, any = false;
    size_t start = text->len;
    qr_buf_add_str(text, "RBEGIN '' ");
    add_wire_int(sender, text, t - qr_model_update_every(model, chart), true);
    qr_buf_add(text, " ", 1);
    add_wire_int(sender, text, t, true);
    qr_buf_add(text, " ", 1);
    add_wire_int(sender, text, sender->now_s, true);
    qr_buf_add(text, "\n", 1);
    uint64_t n = 0;
    for (uint32_t dim = 0; dim < model->n_dims; dim++) {
        double value;
        if (qr_model_value(model, sender->config.host, chart, dim, t, &value)) {
            qr_buf_printf(text, "RSET \"dim_%u\" ", dim);
            if (ieee)
                add_wire_double(sender, text, value);
            else
                qr_buf_printf(text, "%.7f", value);
            qr_buf_add_str(text, sender->caps & QR_CAP_INTERPOLATED ? " A\n" : " \"\"\n");
            any = true;
            n++;
        } else if (!sender->config.rules_29) {
            qr_buf_printf(text, "RSET \"dim_%u\" NAN \"E\"\n", dim);
        }
    }
    if (!any && sender->config.truncate && !sender->config.rules_29) {
        text->len = start;
        return false;
    }
    sender->stats.samples_replayed += n;
    sender->stats.rows_replayed++;
    return any;
}

/* The collector's state, so that the parent's arithmetic goes on where ours is. */
static void say_state(struct qr_model_sender *sender, uint32_t chart)
{
    const struct qr_model *model = sender->model;
    uint32_t host = sender->config.host;
    int64_t last_s = sender->charts[chart].last_s;
    struct qr_buf *text = &sender->text;
    for (uint32_t dim = 0; dim < model->n_dims; dim++) {
        int64_t raw = 0, t = last_s, collected_us = 0; /* 0: never collected. */
        double stored = 0;
        if (qr_model_last_raw(model, host, chart, dim, &t, &raw)) {
            qr_model_value(model, host, chart, dim, t, &stored);
            collected_us = qr_model_collect_us(model, host, chart, t);
        }
        qr_buf_printf(text, "RDSTATE \"dim_%u\" ", dim);
        add_wire_int(sender, text, collected_us, true);
        qr_buf_add(text, " ", 1);
        add_wire_int(sender, text, raw, true);
        qr_buf_add(text, " ", 1);
        add_wire_double(sender, text, qr_model_remainder(model, host, chart, dim, t));
        qr_buf_add(text, " ", 1);
        add_wire_double(sender, text, stored);
        qr_buf_add(text, "\n", 1);
    }
    qr_buf_add_str(text, "RSSTATE ");
    add_wire_int(sender, text, qr_model_collect_us(model, host, chart, last_s), true);
    qr_buf_add(text, " ", 1);
    add_wire_int(sender, text, last_s * 1000000, true);
    qr_buf_add(text, "\n", 1);
}

/* What a request comes to; after and before are 0 for the empty one. */
static struct answer plan(struct qr_model_sender *sender, uint32_t chart, bool start, int64_t after,
                          int64_t before)
{
    const struct times t = given_times(sender, &sender->charts[chart]);
    int64_t update_every = qr_model_update_every(sender->model, chart);
    if (after == 0 || before == 0 || t.last_s == 0)
        return (struct answer){0, 0, true};
    if (after > before) {
        int64_t swap = after;
        after = before;
        before = swap;
    }
    if (sender->config.rules_29 && after > sender->now_s)
        return (struct answer){0, 0, true};
    bool near = sender->config.rules_29 && before >= sender->now_s - NEAR_POINTS_29 * update_every;
    after = after > t.first_s ? after : t.first_s;
    before = before < t.last_s && !start && !near ? before : t.last_s;
    bool enable = start || near || before == t.last_s;
    if (start && sender->config.late_every > 0 &&
        ++sender->n_answers % sender->config.late_every == 0)
        enable = false;
    return (struct answer){after, before, enable};
}

/* The points of (after, before]; `before` shrinks if the answer becomes too long. */
static void say_points(struct qr_model_sender *sender, uint32_t chart, struct answer *answer)
{
    const struct chart *c = &sender->charts[chart];
    int64_t update_every = qr_model_update_every(sender->model, chart);
    int64_t after = answer->after > c->first_s ? answer->after : c->first_s;
    int64_t t = after - after % update_every + update_every;
    for (; t <= answer->before && t <= c->last_s; t += update_every) {
        if (!say_point(sender, chart, t) && sender->config.truncate && !sender->config.rules_29)
            return;
        if (sender->config.rules_29 && sender->text.len > ANSWER_BYTES_29_MAX &&
            t + update_every <= answer->before) {
            answer->before = t;
            answer->enable = false;
        }
    }
}

static void answer_replay(struct qr_model_sender *sender, uint32_t chart, struct answer answer)
{
    struct chart *c = &sender->charts[chart];
    struct qr_buf *text = &sender->text;
    const char *quote = sender->config.rules_29 ? "'" : "\"";
    char id[QR_MODEL_NAME_BYTES];
    qr_model_chart_id(chart, id);
    qr_buf_printf(text, "RBEGIN %s%s%s\n", quote, id, quote);
    if (answer.after > 0)
        say_points(sender, chart, &answer);
    if (answer.enable && c->last_s > 0)
        say_state(sender, chart);
    struct times said = said_times(sender, c);
    int64_t words[] = {qr_model_update_every(sender->model, chart),
                       said.first_s,
                       said.last_s,
                       answer.after,
                       answer.before,
                       sender->now_s};
    qr_buf_add_str(text, "REND");
    for (int i = 0; i < 6; i++) {
        qr_buf_add(text, " ", 1);
        add_wire_int(sender, text, words[i], true);
        if (i == 2)
            qr_buf_add_str(text, !answer.enable            ? " false"
                                 : sender->config.rules_29 ? " true "
                                                           : " true");
    }
    qr_buf_add(text, "\n", 1);
    if (answer.enable && c->state == REPLICATING) {
        c->state = LIVE;
        sender->stats.n_replicating--;
        sender->stats.n_live++;
    }
    commit(sender);
}

void qr_model_sender_command(struct qr_model_sender *sender, struct qr_slice line)
{
    char text[512], id[QR_MODEL_NAME_BYTES], known[QR_MODEL_NAME_BYTES], start[8];
    long long after, before;
    unsigned chart;
    snprintf(text, sizeof text, "%.*s", (int)(line.len < 511 ? line.len : 511), line.base);
    if (sscanf(text, "REPLAY_CHART \"%63[^\"]\" \"%7[a-z]\" %lld %lld", id, start, &after,
               &before) != 4 ||
        sscanf(id, "load.chart_%u", &chart) != 1 || chart >= sender->model->n_charts) {
        sender->stats.unknown_commands++;
        return;
    }
    qr_model_chart_id(chart, known);
    const struct chart *c = &sender->charts[chart];
    if (strcmp(known, id) != 0 || !sender->connected || c->state == UNDEFINED) {
        sender->stats.unknown_commands++;
        return;
    }
    sender->stats.replay_requests++;
    if ((after == 0 || before == 0) && c->last_s > c->first_s)
        sender->stats.empty_requests++;
    if (after % qr_model_update_every(sender->model, chart) != 0)
        sender->stats.off_grid_requests++;
    answer_replay(sender, chart, plan(sender, chart, strcmp(start, "true") == 0, after, before));
}
