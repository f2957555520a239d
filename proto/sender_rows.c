#include "proto/sender_rows.h"

#include <assert.h>
#include <math.h>

#include "base/compiler.h"
#include "base/limits.h"
#include "proto/sender_chart.h"

#define SECOND      INT64_C(1000000)
#define HALF_SECOND (SECOND / 2)

/* The longest ` SLOT:#B 'id' `, and what stands around it in one line. */
#define LINE_BYTES_MAX (QR_NAME_BYTES_MAX + 32u + 4 * QR_OUTGOING_NUMBER_BYTES_MAX)
static_assert(LINE_BYTES_MAX <= QR_OUTGOING_ROOM_MAX, "a line of a value fits");

/* ---- pieces of lines ---- */

static struct qr_slice chart_text(const struct qr_sending_chart *chart)
{
    return qr_slice_of(chart->text, chart->chart_text_len);
}

static struct qr_slice dim_text(const struct qr_sending_chart *chart, uint32_t i)
{
    return qr_slice_of(chart->text + chart->dims[i].text_at, chart->dims[i].text_len);
}

static char *put_slice(char *p, struct qr_slice text)
{
    return qr_put_bytes(p, text.base, text.len);
}

static char *put_live_int(const struct qr_sender *s, char *p, int64_t value)
{
    return s->out.ieee754 ? qr_put_signed_b64(p, value) : qr_put_hex(p, value);
}

static char *put_int(const struct qr_sender *s, char *p, int64_t value)
{
    return s->out.ieee754 ? qr_put_signed_b64(p, value) : qr_put_decimal(p, value);
}

static char *put_double(const struct qr_sender *s, char *p, double value)
{
    return s->out.ieee754 ? qr_put_ieee(p, value) : qr_put_fixed(p, value);
}

static bool has_value(const struct qr_stream_row *row, uint32_t i)
{
    return i < row->n && !(row->flags[i] & QR_STREAM_EMPTY);
}

static uint32_t count_values(const struct qr_stream_row *row)
{
    uint32_t n_empty = 0;
    for (uint32_t i = 0; i < row->n; i++)
        n_empty += row->flags[i] & QR_STREAM_EMPTY;
    static_assert(QR_STREAM_EMPTY == 1, "the flag counts by itself");
    return row->n - n_empty;
}

/* "A": not anomalous; only parents of INTERPOLATED know it. */
static char *put_flags(const struct qr_sender *s, char *p, unsigned flags)
{
    if (!s->v2)
        return flags & QR_STREAM_RESET ? qr_put_bytes(p, "\"R\"", 3) : qr_put_bytes(p, "\"\"", 2);
    char *start = p;
    if (!(flags & QR_STREAM_ANOMALOUS))
        *p++ = 'A';
    if (flags & QR_STREAM_RESET)
        *p++ = 'R';
    return p > start ? p : qr_put_bytes(p, "''", 2);
}

static void note_row(struct qr_sending_chart *chart, int64_t end_s, uint32_t n_values)
{
    struct qr_sender *s = chart->sender;
    chart->last_s = end_s > chart->last_s ? end_s : chart->last_s;
    chart->has_row = true;
    s->stats.samples += n_values;
    if (end_s > s->stats.newest_s)
        s->stats.newest_s = end_s;
}

/* ---- live rows, v2 ---- */

/* A whole number that a double holds: it is said once, as what was collected.  We do not have what
 * the child collected; a parent that does not store points as they are would have to know. */
static bool is_whole(double value)
{
    return fabs(value) < 9e15 && value == (double)(int64_t)value && !(value == 0 && signbit(value));
}

static char *put_v2_values(const struct qr_sender *s, char *p, double value)
{
    if (QR_LIKELY(is_whole(value))) {
        p = put_live_int(s, p, (int64_t)value);
        return qr_put_bytes(p, " # ", 3);
    }
    p = put_live_int(s, p, qr_sender_chart_raw_of(value, 0));
    *p++ = ' ';
    p = put_double(s, p, value);
    *p++ = ' ';
    return p;
}

static void say_v2(struct qr_sending_chart *chart, const struct qr_stream_row *row)
{
    struct qr_sender *s = chart->sender;
    char *p = qr_outgoing_room(&s->out, LINE_BYTES_MAX);
    p = qr_put_bytes(p, "BEGIN2", 6);
    p = put_slice(p, chart_text(chart));
    p = put_live_int(s, p, row->update_every);
    *p++ = ' ';
    p = put_live_int(s, p, row->end_s);
    p = qr_put_bytes(p, " #\n", 3);
    qr_outgoing_took(&s->out, p);
    for (uint32_t i = 0; i < row->n; i++) {
        if (!has_value(row, i))
            continue;
        p = qr_outgoing_room(&s->out, LINE_BYTES_MAX);
        p = qr_put_bytes(p, "SET2", 4);
        p = put_slice(p, dim_text(chart, i));
        p = put_v2_values(s, p, row->values[i]);
        p = put_flags(s, p, row->flags[i]);
        *p++ = '\n';
        qr_outgoing_took(&s->out, p);
        chart->dims[i].last = row->values[i];
    }
    qr_outgoing_str(&s->out, "END2\n");
}

/* ---- live rows, v1 ---- */

static void say_begin(struct qr_sending_chart *chart, int64_t usec)
{
    struct qr_outgoing *out = &chart->sender->out;
    char *p = qr_outgoing_room(out, LINE_BYTES_MAX);
    p = qr_put_bytes(p, "BEGIN", 5);
    p = put_slice(p, chart_text(chart));
    p = qr_put_decimal(p, usec);
    *p++ = '\n';
    qr_outgoing_took(out, p);
}

static void say_v1(struct qr_sending_chart *chart, const struct qr_stream_row *row, int64_t usec)
{
    struct qr_outgoing *out = &chart->sender->out;
    say_begin(chart, usec);
    for (uint32_t i = 0; i < row->n; i++) {
        if (!has_value(row, i))
            continue;
        char *p = qr_outgoing_room(out, LINE_BYTES_MAX);
        p = qr_put_bytes(p, "SET", 3);
        p = put_slice(p, dim_text(chart, i));
        p = qr_put_bytes(p, "= ", 2);
        p = qr_put_decimal(p, qr_sender_chart_raw_of(row->values[i], chart->dims[i].scale));
        *p++ = '\n';
        qr_outgoing_took(out, p);
        chart->dims[i].last = row->values[i];
    }
    qr_outgoing_str(out, "END\n");
}

static void say_nothing_collected(struct qr_sending_chart *chart, int64_t usec)
{
    say_begin(chart, usec);
    qr_outgoing_str(&chart->sender->out, "END\n");
}

/* Values that the divisors cannot carry get other ones; true if there were such. */
static bool rescale(struct qr_sending_chart *chart, const struct qr_stream_row *row)
{
    bool changed = false;
    for (uint32_t i = 0; i < row->n; i++) {
        double value = row->values[i];
        struct qr_sending_dim *dim = &chart->dims[i];
        if (!has_value(row, i) || (dim->scale == QR_SENDING_SCALE_MAX && fabs(value) < 9.2e11) ||
            qr_sender_chart_scale_fits(value, dim->scale))
            continue;
        dim->scale = (int16_t)qr_sender_chart_scale_of(value);
        changed = true;
    }
    return changed;
}

/* Points of the grid between the newest row and this one; -1: the row is not on that grid. */
static int64_t points_left_out(const struct qr_sending_chart *chart, int64_t end_s)
{
    int64_t every_s = chart->update_every;
    int64_t distance_s = end_s - chart->last_s;
    return distance_s % every_s == 0 ? distance_s / every_s - 1 : -1;
}

static bool needs_definition(struct qr_sending_chart *chart, const struct qr_stream_row *row)
{
    if (row->update_every != chart->update_every)
        return true;
    if (chart->sender->replication) {
        int64_t left_out = points_left_out(chart, row->end_s);
        if (!chart->has_row || left_out < 0 || left_out > QR_SENDER_ROWS_SILENCE_POINTS_MAX)
            return true;
    }
    return rescale(chart, row);
}

void qr_sending_redefine(struct qr_sending_chart *chart)
{
    struct qr_sender *s = chart->sender;
    if (chart->state == QR_SENDING_LIVE)
        s->stats.charts_live--;
    chart->state = QR_SENDING_REDEFINING;
    s->stats.redefinitions++;
    s->handler.redefine(s->handler.data, &chart->pub);
}

/* The parent's clock runs by arrivals: it is led to the middle of the row's second as soon as it is
 * not yet there.  False: it is already behind it, the row cannot be stored. */
static bool steer_clock(struct qr_sending_chart *chart, int64_t end_s, int64_t *usec)
{
    struct qr_sender *s = chart->sender;
    int64_t target_us = end_s * SECOND + HALF_SECOND;
    int64_t now_us = qr_clock_real_us(s->config.clock);
    if (chart->clock == QR_SENDING_CLOCK_EXACT &&
        points_left_out(chart, end_s) > QR_SENDER_ROWS_SILENCE_POINTS_MAX)
        chart->clock = QR_SENDING_CLOCK_LOST;
    *usec = 0;
    switch (chart->clock) {
    case QR_SENDING_CLOCK_NONE:
        chart->clock = QR_SENDING_CLOCK_FIRST;
        return true;
    case QR_SENDING_CLOCK_FIRST:
        chart->clock = QR_SENDING_CLOCK_ARRIVAL;
        chart->clock_us = now_us;
        return true;
    case QR_SENDING_CLOCK_LOST:
        say_nothing_collected(chart, 0);
        chart->clock = QR_SENDING_CLOCK_ARRIVAL;
        chart->clock_us = now_us;
        break;
    default:
        break;
    }
    *usec = target_us - chart->clock_us;
    if (*usec <= 0)
        return false;
    chart->clock = QR_SENDING_CLOCK_EXACT;
    chart->clock_us = target_us;
    return true;
}

/* The collections that were not: after them the clock is one interval before the row. */
static void say_silence(struct qr_sending_chart *chart, int64_t end_s)
{
    int64_t left_out = points_left_out(chart, end_s);
    if (chart->clock != QR_SENDING_CLOCK_EXACT ||
        chart->clock_us != chart->last_s * SECOND + HALF_SECOND ||
        left_out > QR_SENDER_ROWS_SILENCE_POINTS_MAX)
        return;
    for (; left_out > 0; left_out--) {
        say_nothing_collected(chart, chart->update_every * SECOND);
        chart->clock_us += chart->update_every * SECOND;
    }
}

static bool send_v1(struct qr_sending_chart *chart, const struct qr_stream_row *row)
{
    if (needs_definition(chart, row)) {
        qr_sending_redefine(chart);
        if (chart->state != QR_SENDING_LIVE)
            return false; /* With replication: the row comes with the answer. */
    }
    int64_t usec;
    say_silence(chart, row->end_s);
    if (steer_clock(chart, row->end_s, &usec))
        say_v1(chart, row, usec);
    return true;
}

bool qr_sender_row(struct qr_sender *s, struct qr_sender_chart *pub,
                   const struct qr_stream_row *row)
{
    struct qr_sending_chart *chart = qr_sending_chart_of(pub);
    assert(s->answering == NULL);
    assert(row->n <= chart->n_dims);
    if (chart->state != QR_SENDING_LIVE)
        return false;
    uint32_t n_values = count_values(row);
    if (row->end_s <= chart->last_s || n_values == 0)
        return true;
    if (s->v2)
        say_v2(chart, row);
    else if (!send_v1(chart, row))
        return false;
    note_row(chart, row->end_s, n_values);
    s->stats.rows_live++;
    return true;
}

/* ---- answers ---- */

void qr_sender_rows_replay(struct qr_sender *s, const struct qr_command *command)
{
    struct qr_sending_chart *chart = qr_sender_chart_find(s, command->name);
    if (chart == NULL || chart->state == QR_SENDING_REDEFINING || !s->replication)
        return;
    s->stats.requests++;
    struct qr_sender_replay replay = {command->start_streaming, command->after_s,
                                      command->before_s};
    chart->replay_is_empty = replay.after_s == 0 || replay.before_s == 0;
    if (chart->replay_is_empty) {
        /* It would lose what came since the definition. */
        replay = (struct qr_sender_replay){true, chart->defined_last_s, INT64_MAX};
    } else if (replay.after_s > replay.before_s) {
        replay.after_s = command->before_s;
        replay.before_s = command->after_s;
    }
    chart->asked = true;
    chart->replay_after_s = replay.after_s;
    if (replay.start_streaming)
        replay.before_s = QR_TIME_S_MAX;
    if (!s->v2 && replay.after_s > 0) /* The row to start with if there is no newer. */
        replay.after_s -= 1;
    s->handler.replay(s->handler.data, &chart->pub, &replay);
}

void qr_sender_answer_begin(struct qr_sender *s, struct qr_sender_chart *pub)
{
    struct qr_sending_chart *chart = qr_sending_chart_of(pub);
    assert(s->answering == NULL);
    assert(chart->asked);
    s->answering = chart;
    s->answer_has_row = false;
    s->has_primer = false;
    qr_outgoing_str(&s->out, "RBEGIN");
    struct qr_slice text = chart_text(chart);
    qr_outgoing_bytes(&s->out, qr_slice_of(text.base, text.len - 1)); /* without its last blank */
    qr_outgoing_str(&s->out, "\n");
}

static void say_replayed_value(struct qr_sending_chart *chart, uint32_t i, bool has, double value,
                               unsigned flags)
{
    struct qr_sender *s = chart->sender;
    if (!has && s->v2)
        return;
    char *p = qr_outgoing_room(&s->out, LINE_BYTES_MAX);
    p = qr_put_bytes(p, "RSET", 4);
    p = put_slice(p, dim_text(chart, i));
    if (has) {
        p = put_double(s, p, value);
        *p++ = ' ';
        p = put_flags(s, p, flags);
    } else {
        p = qr_put_bytes(p, "NAN \"E\"", 7); /* 1.37 says each dimension of each point. */
    }
    *p++ = '\n';
    qr_outgoing_took(&s->out, p);
}

static int64_t child_now_s(const struct qr_sender *s, int64_t newest_s)
{
    int64_t now_s = qr_clock_real_s(s->config.clock);
    return now_s > newest_s ? now_s : newest_s;
}

/* RBEGIN '' start end now */
static void say_point(struct qr_sender *s, int64_t end_s, uint32_t update_every)
{
    char *p = qr_outgoing_room(&s->out, LINE_BYTES_MAX);
    p = qr_put_bytes(p, "RBEGIN '' ", 10);
    p = put_int(s, p, end_s - update_every);
    *p++ = ' ';
    p = put_int(s, p, end_s);
    *p++ = ' ';
    p = put_int(s, p, child_now_s(s, end_s));
    *p++ = '\n';
    qr_outgoing_took(&s->out, p);
}

/* Remembers the row in the dimensions: it is said if no newer one comes. */
static void keep_primer(struct qr_sender *s, struct qr_sending_chart *chart,
                        const struct qr_stream_row *row)
{
    for (uint32_t i = 0; i < chart->n_dims; i++)
        if (has_value(row, i)) {
            chart->dims[i].last = row->values[i];
            chart->dims[i].primer_flags = row->flags[i];
        } else {
            chart->dims[i].last = NAN;
        }
    s->has_primer = true;
    s->primer_s = row->end_s;
}

void qr_sender_answer_row(struct qr_sender *s, const struct qr_stream_row *row)
{
    struct qr_sending_chart *chart = s->answering;
    assert(chart != NULL);
    assert(row->n <= chart->n_dims);
    uint32_t n_values = count_values(row);
    if (n_values == 0 || row->end_s <= (int64_t)row->update_every)
        return;
    if (row->end_s <= chart->replay_after_s) {
        if (!s->v2 && chart->state != QR_SENDING_LIVE)
            keep_primer(s, chart, row);
        return;
    }
    say_point(s, row->end_s, row->update_every);
    bool newest = row->end_s >= chart->last_s;
    for (uint32_t i = 0; i < chart->n_dims; i++) {
        bool has = has_value(row, i);
        say_replayed_value(chart, i, has, has ? row->values[i] : 0, has ? row->flags[i] : 0);
        if (has && newest)
            chart->dims[i].last = row->values[i];
    }
    s->answer_has_row = true;
    s->stats.rows_replayed++;
    note_row(chart, row->end_s, n_values);
}

static void say_primer(struct qr_sender *s, struct qr_sending_chart *chart)
{
    say_point(s, s->primer_s, chart->update_every);
    for (uint32_t i = 0; i < chart->n_dims; i++) {
        double value = chart->dims[i].last;
        say_replayed_value(chart, i, !isnan(value), value, chart->dims[i].primer_flags);
    }
    note_row(chart, s->primer_s, 0);
}

/* The collector's state, as if each value had been collected in the middle of its second. */
static void say_state(struct qr_sender *s, const struct qr_sending_chart *chart)
{
    int64_t collected_us = chart->last_s * SECOND + HALF_SECOND;
    for (uint32_t i = 0; i < chart->n_dims; i++) {
        double last = chart->dims[i].last;
        bool has = !isnan(last);
        char *p = qr_outgoing_room(&s->out, LINE_BYTES_MAX);
        p = qr_put_bytes(p, "RDSTATE", 7);
        p = put_slice(p, dim_text(chart, i));
        p = put_int(s, p, has ? collected_us : 0);
        *p++ = ' ';
        p = put_int(s, p, has ? qr_sender_chart_raw_of(last, s->v2 ? 0 : chart->dims[i].scale) : 0);
        *p++ = ' ';
        p = put_double(s, p, has ? last : 0);
        *p++ = ' ';
        p = put_double(s, p, has ? last : 0);
        *p++ = '\n';
        qr_outgoing_took(&s->out, p);
    }
    qr_outgoing_str(&s->out, "RSSTATE");
    qr_outgoing_int(&s->out, collected_us);
    qr_outgoing_int(&s->out, chart->last_s * SECOND);
    qr_outgoing_str(&s->out, "\n");
}

static void say_end(struct qr_sender *s, const struct qr_sending_chart *chart,
                    const struct qr_sender_answer *answer)
{
    int64_t before_s = answer->before_s;
    if (answer->streaming && chart->last_s > before_s)
        before_s = chart->last_s;
    if (chart->replay_is_empty)
        before_s = answer->streaming ? 0 : before_s;
    qr_outgoing_str(&s->out, "REND");
    qr_outgoing_int(&s->out, chart->update_every);
    qr_outgoing_int(&s->out, qr_sending_first(chart, answer->first_s));
    qr_outgoing_int(&s->out, answer->last_s);
    qr_outgoing_str(&s->out, answer->streaming ? " true" : " false");
    qr_outgoing_int(&s->out,
                    chart->replay_is_empty && answer->streaming ? 0 : chart->replay_after_s);
    qr_outgoing_int(&s->out, before_s);
    qr_outgoing_int(&s->out, child_now_s(s, answer->last_s));
    qr_outgoing_str(&s->out, "\n");
}

/* The chart streams from now on, or still does: the parent has our clock again. */
static void go_live(struct qr_sender *s, struct qr_sending_chart *chart)
{
    s->stats.charts_live += chart->state != QR_SENDING_LIVE;
    chart->state = QR_SENDING_LIVE;
    /* A parent that asks for nothing although we have something is ahead of us (or does not
     * replicate): it does not take our clock. */
    bool ahead = chart->replay_is_empty && chart->defined_last_s > 0;
    chart->clock = ahead ? QR_SENDING_CLOCK_LOST : QR_SENDING_CLOCK_EXACT;
    chart->clock_us = chart->last_s * SECOND + HALF_SECOND;
}

void qr_sender_answer_end(struct qr_sender *s, const struct qr_sender_answer *answer)
{
    struct qr_sending_chart *chart = s->answering;
    assert(chart != NULL);
    if (answer->streaming && !chart->has_row && s->has_primer)
        say_primer(s, chart);
    if (answer->streaming && chart->has_row)
        say_state(s, chart);
    say_end(s, chart, answer);
    if (answer->streaming)
        go_live(s, chart);
    chart->asked = false;
    s->answering = NULL;
}
