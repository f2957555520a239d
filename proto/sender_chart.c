#include "proto/sender_chart.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"

/* ---- v1: values as integers ---- */

static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

/* Well below 2^63: products are rounded. */
#define RAW_MAX 9.2e18

static double scaled(double value, int scale)
{
    return scale >= 0 ? value * tens[scale] : value / tens[-scale];
}

int qr_sender_chart_scale_of(double value)
{
    for (int scale = QR_SENDING_SCALE_MAX; scale >= 0; scale--)
        if (fabs(value) * tens[scale] < RAW_MAX)
            return scale;
    return QR_SENDING_SCALE_MIN;
}

int64_t qr_sender_chart_raw_of(double value, int scale)
{
    double raw = scaled(value, scale);
    if (fabs(raw) >= RAW_MAX)
        return value < 0 ? -(int64_t)RAW_MAX : (int64_t)RAW_MAX;
    /* A product above 2^53 is rounded, but whole numbers need not be. */
    if (scale >= 0 && value == trunc(value))
        return (int64_t)value * (int64_t)tens[scale];
    return (int64_t)llround(raw);
}

bool qr_sender_chart_scale_fits(double value, int scale)
{
    if (fabs(scaled(value, scale)) >= RAW_MAX)
        return false;
    if (scale == QR_SENDING_SCALE_MAX || scale == qr_sender_chart_scale_of(value))
        return true;
    return scaled((double)qr_sender_chart_raw_of(value, scale), -scale) == value;
}

/* ---- memory ---- */

struct qr_sending_chart *qr_sender_chart_find(struct qr_sender *s, struct qr_slice id)
{
    return qr_map_get(&s->by_id, id);
}

static void free_chart(struct qr_sending_chart *chart)
{
    if (chart == NULL)
        return;
    free(chart->dims);
    free(chart->text);
    free(chart);
}

void qr_sender_chart_free_all(struct qr_sender *s)
{
    for (uint32_t i = 0; i < s->n_charts; i++)
        free_chart(s->charts[i]);
    free(s->charts);
    qr_map_release(&s->by_id);
}

/* A word as it will be read: what qr_put_word changes is changed. */
static size_t said_id(struct qr_slice id, char *out)
{
    char *end = qr_put_word(out, id, '"');
    memmove(out, out + 1, (size_t)(end - out) - 2);
    return (size_t)(end - out) - 2;
}

static int grow_table(struct qr_sender *s)
{
    if (s->n_charts < s->charts_capacity)
        return 0;
    uint32_t capacity = s->charts_capacity > 0 ? 2 * s->charts_capacity : 64;
    struct qr_sending_chart **charts =
        realloc(s->charts, capacity * sizeof(struct qr_sending_chart *));
    if (charts == NULL)
        return UV_ENOMEM;
    s->charts = charts;
    s->charts_capacity = capacity;
    return 0;
}

/* A new one, in the table, without dimensions. */
static int new_chart(struct qr_sender *s, struct qr_slice id, struct qr_sending_chart **out)
{
    if (s->n_charts == QR_CHARTS_PER_HOST_MAX)
        return QR_E_LIMIT;
    int err = grow_table(s);
    if (err != 0)
        return err;
    struct qr_sending_chart *chart = calloc(1, sizeof *chart + id.len);
    if (chart == NULL)
        return UV_ENOMEM;
    memcpy(chart->id_text, id.base, id.len);
    chart->id = qr_slice_of(chart->id_text, id.len);
    chart->sender = s;
    chart->state = QR_SENDING_WAITING;
    err = qr_map_set(&s->by_id, chart->id, chart);
    if (err != 0) {
        free(chart);
        return err;
    }
    s->charts[s->n_charts++] = chart;
    chart->slot = s->n_charts;
    *out = chart;
    return 0;
}

/* " SLOT:#B" */
#define SLOT_BYTES_MAX 24u

static char *put_slot(const struct qr_sender *s, char *p, uint32_t slot)
{
    if (!s->slots)
        return p;
    p = qr_put_bytes(p, " SLOT:", 6);
    return s->out.ieee754 ? qr_put_b64(p, '#', slot) : qr_put_hex(p, slot);
}

/* ` SLOT:#B 'id' ` */
static char *put_subject(const struct qr_sender *s, char *p, uint32_t slot, struct qr_slice id)
{
    p = put_slot(s, p, slot);
    *p++ = ' ';
    p = qr_put_word(p, id, qr_sending_quote(s));
    *p++ = ' ';
    return p;
}

static void take_dims(struct qr_sending_chart *chart, const struct qr_stream_chart *from,
                      struct qr_sending_dim *dims, char *text)
{
    const struct qr_sender *s = chart->sender;
    char *p = put_subject(s, text, chart->slot, chart->id);
    chart->chart_text_len = (uint32_t)(p - text);
    for (uint32_t i = 0; i < from->n_dims; i++) {
        char *start = p;
        p = put_subject(s, p, i + 1, from->dims[i].id);
        if (i < chart->n_dims)
            dims[i] = chart->dims[i];
        else
            dims[i] = (struct qr_sending_dim){.last = NAN, .scale = QR_SENDING_SCALE_MAX};
        dims[i].text_at = (uint32_t)(start - text);
        dims[i].text_len = (uint16_t)(p - start);
    }
    free(chart->dims);
    free(chart->text);
    chart->dims = dims;
    chart->text = text;
    chart->n_dims = from->n_dims;
}

/* Remembers the definition's dimensions. */
static int set_dims(struct qr_sending_chart *chart, const struct qr_stream_chart *from)
{
    struct qr_sender *s = chart->sender;
    size_t room = SLOT_BYTES_MAX + chart->id.len;
    for (uint32_t i = 0; i < from->n_dims; i++) {
        if (from->dims[i].id.len > QR_NAME_BYTES_MAX)
            return QR_E_LIMIT;
        room += SLOT_BYTES_MAX + from->dims[i].id.len;
    }
    size_t bytes = sizeof *chart + room + from->n_dims * sizeof(struct qr_sending_dim);
    if (s->bytes - chart->bytes + bytes > QR_DEFINITION_BYTES_MAX)
        return QR_E_LIMIT;
    struct qr_sending_dim *dims = calloc(from->n_dims > 0 ? from->n_dims : 1, sizeof *dims);
    char *text = malloc(room);
    if (dims == NULL || text == NULL) {
        free(dims);
        free(text);
        return UV_ENOMEM;
    }
    take_dims(chart, from, dims, text);
    s->bytes = s->bytes - chart->bytes + bytes;
    chart->bytes = bytes;
    return 0;
}

/* ---- the lines ---- */

static const char *const types[] = {
    [QR_CHART_LINE] = "line",
    [QR_CHART_AREA] = "area",
    [QR_CHART_STACKED] = "stacked",
    [QR_CHART_HEATMAP] = "heatmap",
};

static const char *const algorithms[] = {
    [QR_ALGORITHM_ABSOLUTE] = "absolute",
    [QR_ALGORITHM_INCREMENTAL] = "incremental",
    [QR_ALGORITHM_PCENT_ROW] = "percentage-of-absolute-row",
    [QR_ALGORITHM_PCENT_DELTA] = "percentage-of-incremental-row",
};

static void say_slot(struct qr_sender *s, uint32_t slot)
{
    char *p = qr_outgoing_room(&s->out, SLOT_BYTES_MAX);
    qr_outgoing_took(&s->out, put_slot(s, p, slot));
}

/* Without its type; empty if the chart has none of its own. */
static struct qr_slice name_of(const struct qr_stream_chart *c)
{
    const char *dot = c->id.len > 0 ? memchr(c->id.base, '.', c->id.len) : NULL;
    size_t n = dot != NULL ? (size_t)(dot + 1 - c->id.base) : 0;
    if (qr_slice_equal(c->name, c->id))
        return qr_slice_of("", 0);
    if (c->name.len > n && memcmp(c->name.base, c->id.base, n) == 0)
        return qr_slice_of(c->name.base + n, c->name.len - n);
    return c->name;
}

static void say_chart_line(struct qr_sender *s, const struct qr_sending_chart *chart,
                           const struct qr_stream_chart *c)
{
    struct qr_outgoing *out = &s->out;
    const struct qr_slice words[] = {chart->id,
                                     name_of(c),
                                     c->title,
                                     c->units,
                                     c->family,
                                     c->context,
                                     qr_slice_str(types[c->type])};
    qr_outgoing_str(out, "CHART");
    say_slot(s, chart->slot);
    for (size_t i = 0; i < QR_COUNT(words); i++)
        qr_outgoing_word(out, words[i], '"');
    qr_outgoing_decimal(out, c->priority);
    qr_outgoing_decimal(out, c->update_every);
    qr_outgoing_str(out, " \"");
    qr_outgoing_str(out, c->flags & QR_CHART_OBSOLETE ? "obsolete " : " ");
    qr_outgoing_str(out, c->flags & QR_CHART_DETAIL ? "detail " : " ");
    /* To a v1 parent it would say that our first collection is a value of its own. */
    qr_outgoing_str(out, s->v2 && (c->flags & QR_CHART_STORE_FIRST) ? "store_first " : " ");
    qr_outgoing_str(out, c->flags & QR_CHART_HIDDEN ? "hidden\"" : "\"");
    qr_outgoing_word(out, c->plugin, '"');
    qr_outgoing_word(out, c->module, '"');
    qr_outgoing_str(out, "\n");
}

static void say_labels(struct qr_sender *s, const struct qr_stream_chart *c)
{
    if (!qr_sending_has(s, QR_CAP_CLABELS) || c->n_labels == 0)
        return;
    for (uint32_t i = 0; i < c->n_labels; i++) {
        qr_outgoing_str(&s->out, "CLABEL");
        qr_outgoing_word(&s->out, c->labels[i].name, '"');
        qr_outgoing_word(&s->out, c->labels[i].value, '"');
        qr_outgoing_decimal(&s->out, c->labels[i].source & 15);
        qr_outgoing_str(&s->out, "\n");
    }
    qr_outgoing_str(&s->out, "CLABEL_COMMIT\n");
}

/* As the child declared it; to a v1 parent as what our integers are. */
static void say_dimension(struct qr_sender *s, const struct qr_sending_chart *chart,
                          const struct qr_stream_dim *d, uint32_t i)
{
    struct qr_outgoing *out = &s->out;
    int scale = chart->dims[i].scale;
    int64_t multiplier = scale < 0 ? (int64_t)tens[-scale] : 1;
    int64_t divisor = scale > 0 ? (int64_t)tens[scale] : 1;
    qr_outgoing_str(out, "DIMENSION");
    say_slot(s, i + 1);
    qr_outgoing_word(out, d->id, '"');
    qr_outgoing_word(out, d->name, '"');
    qr_outgoing_word(out, qr_slice_str(s->v2 ? algorithms[d->algorithm] : "absolute"), '"');
    qr_outgoing_decimal(out, s->v2 ? d->multiplier : multiplier);
    qr_outgoing_decimal(out, s->v2 ? d->divisor : divisor);
    qr_outgoing_str(out, d->flags & QR_DIM_OBSOLETE ? " \"obsolete " : " \" ");
    qr_outgoing_str(out, d->flags & QR_DIM_HIDDEN ? "hidden " : " ");
    qr_outgoing_str(out, d->flags & QR_DIM_NORESET ? "noreset\"\n" : "\"\n");
}

/* 1.37's parents know the first three words; the others came with the newer protocol. */
void qr_sender_chart_say_function(struct qr_sender *s, const struct qr_sender_function *function,
                                  bool global)
{
    struct qr_outgoing *out = &s->out;
    if (!qr_sending_has(s, QR_CAP_FUNCTIONS))
        return;
    qr_outgoing_str(out, global ? "FUNCTION GLOBAL" : "FUNCTION");
    qr_outgoing_word(out, function->name, '"');
    qr_outgoing_decimal(out, function->timeout_s);
    qr_outgoing_word(out, function->help, '"');
    if (s->v2) {
        qr_outgoing_word(out, function->tags, '"');
        char *p = qr_outgoing_room(out, QR_OUTGOING_NUMBER_BYTES_MAX);
        *p++ = ' ';
        qr_outgoing_took(out, qr_put_hex(p, (int64_t)function->access));
        qr_outgoing_decimal(out, function->priority);
        qr_outgoing_decimal(out, function->version);
    }
    qr_outgoing_str(out, "\n");
}

static void say_variables(struct qr_sender *s, const struct qr_sender_definition *d)
{
    for (uint32_t i = 0; i < d->n_variables; i++) {
        if (!isfinite(d->variables[i].value))
            continue;
        qr_outgoing_str(&s->out, "VARIABLE CHART");
        qr_outgoing_word(&s->out, d->variables[i].name, '"');
        char *p = qr_outgoing_room(&s->out, QR_OUTGOING_NUMBER_BYTES_MAX);
        p = qr_put_bytes(p, " = ", 3);
        qr_outgoing_took(&s->out, qr_put_fixed(p, d->variables[i].value));
        qr_outgoing_str(&s->out, "\n");
    }
}

/* A parent asks behind the first point that we name, so we name what is before ours. */
static void say_retention(struct qr_sender *s, struct qr_sending_chart *chart,
                          const struct qr_sender_definition *d)
{
    int64_t now_s = qr_clock_real_s(s->config.clock);
    chart->defined_last_s = d->last_s;
    qr_outgoing_str(&s->out, "CHART_DEFINITION_END");
    qr_outgoing_decimal(&s->out, qr_sending_first(chart, d->first_s));
    qr_outgoing_decimal(&s->out, d->last_s);
    qr_outgoing_decimal(&s->out, now_s > d->last_s ? now_s : d->last_s);
    qr_outgoing_str(&s->out, "\n");
}

static void say(struct qr_sender *s, struct qr_sending_chart *chart,
                const struct qr_sender_definition *d)
{
    say_chart_line(s, chart, d->chart);
    say_labels(s, d->chart);
    for (uint32_t i = 0; i < d->chart->n_dims; i++)
        say_dimension(s, chart, &d->chart->dims[i], i);
    for (uint32_t i = 0; i < d->n_functions; i++)
        qr_sender_chart_say_function(s, &d->functions[i], false);
    say_variables(s, d);
    if (s->replication)
        say_retention(s, chart, d);
}

/* With replication the chart waits for the parent; else it is live, by the parent's clock. */
static void enter(struct qr_sender *s, struct qr_sending_chart *chart)
{
    if (chart->state == QR_SENDING_LIVE)
        s->stats.charts_live--;
    chart->has_row = false;
    if (s->replication) {
        chart->state = QR_SENDING_WAITING;
        return;
    }
    chart->state = QR_SENDING_LIVE;
    s->stats.charts_live++;
    if (chart->clock != QR_SENDING_CLOCK_NONE)
        chart->clock = QR_SENDING_CLOCK_FIRST;
}

int qr_sender_define(struct qr_sender *s, const struct qr_sender_definition *definition,
                     struct qr_sender_chart **out)
{
    const struct qr_stream_chart *c = definition->chart;
    assert(s->answering == NULL);
    assert(c->update_every >= 1);
    if (c->id.len == 0 || c->id.len > QR_NAME_BYTES_MAX)
        return QR_E_LIMIT;
    char id_text[QR_NAME_BYTES_MAX + 2];
    struct qr_slice id = qr_slice_of(id_text, said_id(c->id, id_text));
    struct qr_sending_chart *chart =
        *out != NULL ? qr_sending_chart_of(*out) : qr_sender_chart_find(s, id);
    int err = chart == NULL ? new_chart(s, id, &chart) : 0;
    if (err == 0)
        err = set_dims(chart, c);
    if (err != 0)
        return err;
    assert(chart->sender == s);
    chart->update_every = c->update_every;
    enter(s, chart);
    say(s, chart, definition);
    *out = &chart->pub;
    return 0;
}
