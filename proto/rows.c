#include "proto/rows.h"

#include <assert.h>
#include <math.h>

#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "proto/define.h"
#include "proto/horizon.h"
#include "proto/number.h"

static uint32_t count_values(const uint8_t *flags, uint32_t n)
{
    uint32_t n_empty = 0;
    for (uint32_t i = 0; i < n; i++)
        n_empty += flags[i] & QR_STREAM_EMPTY;
    static_assert(QR_STREAM_EMPTY == 1, "the flag counts by itself");
    return n - n_empty;
}

/* A row without any value is what no row is. */
static void emit(struct qr_stream *s, struct qr_chart *chart, const struct qr_stream_row *row)
{
    uint32_t n_values = count_values(row->flags, row->n);
    if (n_values == 0)
        return;
    if (row->end_s <= 0 || row->end_s > QR_TIME_S_MAX) {
        s->stats.rows_refused++; /* The arithmetic of v1 has a wider limit. */
        return;
    }
    s->stats.samples += n_values;
    if (row->replayed)
        s->stats.rows_replayed++;
    else
        s->stats.rows_live++;
    s->handler.row(s->handler.data, &chart->pub, row);
}

static void emit_live(struct qr_stream *s, struct qr_chart *chart, const struct qr_stream_row *row)
{
    if (row->end_s <= 0) {
        s->stats.rows_refused++;
        return;
    }
    if (qr_horizon_refuses(s, chart, row->end_s))
        return;
    qr_horizon_take(s, chart, row);
    if (s->planning) {
        qr_replication_row(&chart->replication, row->end_s);
    } else if (!chart->has_row) {
        chart->has_row = true;
        chart->first_row_begin_s = row->end_s - row->update_every;
        qr_define_tell_past(s, chart);
    }
    emit(s, chart, row);
}

/* Parts of the past may have waited for live rows. */
static void ask_after_row(struct qr_stream *s, struct qr_chart *chart)
{
    if (s->planning && (chart->replication.has_part || chart->replication.n_parts > 0))
        qr_define_ask(s, chart);
}

static void open_row(struct qr_stream *s, int64_t end_s, uint32_t update_every)
{
    uint32_t n = s->open->pub.n_dims;
    for (uint32_t i = 0; i < n; i++)
        s->values[i] = NAN;
    if (n > 0)
        memset(s->flags, QR_STREAM_EMPTY, n);
    s->row_open = true;
    s->row_end_s = end_s;
    s->row_update_every = update_every;
}

static struct qr_stream_row row_of(struct qr_stream *s)
{
    return (struct qr_stream_row){
        .end_s = s->row_end_s,
        .update_every = s->row_update_every,
        .n = s->open->pub.n_dims,
        .values = s->values,
        .flags = s->flags,
        .replayed = s->block == QR_BLOCK_REPLAY,
    };
}

/* Flags of SET2 and RSET.  Only senders of INTERPOLATED know anomalies, and mark their absence. */
static void fill_cell(struct qr_stream *s, uint32_t i, double value, struct qr_slice word)
{
    bool normal = false, reset = false, empty = isnan(value);
    for (size_t k = 0; k < word.len; k++) {
        normal |= word.base[k] == 'A';
        reset |= word.base[k] == 'R';
        empty |= word.base[k] == 'E';
    }
    bool anomalous = !normal && (s->config.caps & QR_CAP_INTERPOLATED) != 0;
    s->values[i] = empty ? (double)NAN : value;
    s->flags[i] =
        empty ? QR_STREAM_EMPTY
              : (uint8_t)((reset ? QR_STREAM_RESET : 0) | (anomalous ? QR_STREAM_ANOMALOUS : 0));
}

/* Opens a block: no other may be open, and the chart must be known. */
static int open_block(struct qr_stream *s, enum qr_block block, struct qr_slice id)
{
    if (s->block != QR_BLOCK_NONE)
        return qr_engine_malformed(s, "a block of rows begins inside another one");
    struct qr_chart *chart = qr_charts_find(&s->charts, id);
    if (chart != NULL ? chart->refused : s->stats.charts_refused > 0) {
        s->block = QR_BLOCK_SKIPPED;
        s->defining = NULL;
        s->refusing = false;
        return 0;
    }
    if (chart == NULL)
        return qr_engine_fail(s, QR_E_UNKNOWN, "rows of a chart that was not defined");
    s->defining = NULL;
    s->refusing = false;
    int err = qr_define_settle(s, chart);
    if (err != 0)
        return err;
    s->block = block;
    s->open = chart;
    s->row_open = false;
    chart->next_dim = 0;
    return 0;
}

static int find_dim(struct qr_stream *s, struct qr_slice id, uint32_t *i)
{
    *i = qr_chart_find_dim(s->open, id);
    if (QR_UNLIKELY(*i == UINT32_MAX))
        return qr_engine_fail(s, QR_E_UNKNOWN, "a value of a dimension that was not defined");
    return 0;
}

/* ---- live rows of v1 senders ---- */

int qr_rows_begin(struct qr_stream *s, struct qr_args args)
{
    int64_t usec = 0;
    struct qr_slice word = qr_args_get(args, 1);
    if (word.len > 0 && (qr_number_int(word, &usec) != 0 || usec < 0))
        return qr_engine_malformed(s, "BEGIN with a duration that is not a number");
    int err = open_block(s, QR_BLOCK_V1, args.at[0]);
    if (err != 0 || s->block == QR_BLOCK_SKIPPED)
        return err;
    qr_arith_begin(&s->open->arith, (uint64_t)usec, s->now_us);
    return 0;
}

int qr_rows_set(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_V1)
        return qr_engine_malformed(s, "SET outside of BEGIN and END");
    uint32_t i;
    int err = find_dim(s, args.at[0], &i);
    if (err != 0)
        return err;
    struct qr_slice word = qr_args_get(args, 1);
    int64_t raw;
    if (word.len == 0)
        return 0; /* Not collected. */
    if (qr_number_int(word, &raw) != 0)
        return qr_engine_malformed(s, "SET with a value that is not an integer");
    qr_arith_set(&s->open->arith_dims[i], raw);
    return 0;
}

bool qr_rows_try_set(struct qr_stream *s, struct qr_slice line)
{
    static const char head[] = "SET \"", middle[] = "\" = ";
    size_t n_head = sizeof head - 1, n_middle = sizeof middle - 1;
    struct qr_chart *chart = s->open;
    uint32_t i = chart->next_dim;
    if (i >= chart->pub.n_dims)
        return false;
    struct qr_slice id = chart->pub.dims[i].id;
    if (line.len <= n_head + id.len + n_middle)
        return false;
    const char *p = line.base;
    if (memcmp(p, head, n_head) != 0 || memcmp(p + n_head, id.base, id.len) != 0 ||
        memcmp(p + n_head + id.len, middle, n_middle) != 0)
        return false;
    size_t used = n_head + id.len + n_middle;
    int64_t raw;
    if (qr_number_int(qr_slice_of(p + used, line.len - used), &raw) != 0)
        return false;
    qr_arith_set(&chart->arith_dims[i], raw);
    chart->next_dim = i + 1;
    return true;
}

static void on_point(void *data, int64_t end_s, const double *values, const uint8_t *flags)
{
    struct qr_stream *s = data;
    const struct qr_stream_row row = {
        .end_s = end_s,
        .update_every = s->open->arith.update_every,
        .n = s->open->pub.n_dims,
        .values = values,
        .flags = flags,
    };
    emit_live(s, s->open, &row);
}

static void drop_point(void *data, int64_t end_s, const double *values, const uint8_t *flags)
{
}

#define LAG_PERIOD_MS 60000

/* How late the row is, and the least that rows are late here: clocks of two machines differ. */
static bool is_late(struct qr_stream *s, const struct qr_chart *chart)
{
    const struct qr_arith_chart *arith = &chart->arith;
    int64_t lag_us = s->now_us - (arith->last_collected_us + arith->duration_us);
    if (lag_us < -QR_HORIZON_S * INT64_C(1000000))
        return false; /* Its clock has jumped: that says nothing of delays. */
    int64_t least_us = s->lag_us < s->lag_before_us ? s->lag_us : s->lag_before_us;
    if (s->now_ms - s->lag_since_ms >= LAG_PERIOD_MS) {
        s->lag_before_us = s->lag_us;
        s->lag_us = INT64_MAX;
        s->lag_since_ms = s->now_ms;
    }
    if (lag_us < s->lag_us)
        s->lag_us = lag_us;
    return least_us != INT64_MAX && lag_us - least_us >= (int64_t)arith->update_every * 900000;
}

/* See rows.h.  True: the open row is not to be stored, the chart is asked for again. */
static bool has_slipped(struct qr_stream *s, struct qr_chart *chart)
{
    bool late = is_late(s, chart);
    if (!chart->clock_unproven)
        return false;
    chart->clock_unproven = false;
    struct qr_replication *r = &chart->replication;
    if (!late || r->phase != QR_REPLICATION_STREAMING || r->kind != QR_REPLICATION_KIND_NONE)
        return false;
    chart->slipped = true;
    qr_replication_definition(r, r->update_every, r->first_s, r->last_s, r->child_now_s);
    const struct qr_stream_resume resume = {.watermark_s = r->cursor_s};
    int err = qr_replication_resume(r, &resume);
    assert(err == 0); /* Without holes nothing is allocated. */
    (void)err;
    qr_define_ask(s, chart);
    return true;
}

int qr_rows_end(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_V1)
        return qr_engine_malformed(s, "END without BEGIN");
    struct qr_chart *chart = s->open;
    bool drop = s->planning && (chart->torn || chart->clock_wanted || has_slipped(s, chart));
    qr_arith_end(&chart->arith, chart->arith_dims, chart->pub.n_dims, s->now_us, s->values,
                 s->flags, drop ? drop_point : on_point, s);
    s->block = QR_BLOCK_NONE;
    qr_horizon_end(s, chart);
    ask_after_row(s, chart);
    return 0;
}

/* ---- live rows of v2 senders ---- */

/* The interval changed at run time; the handler hears of it before the next row. */
static void set_update_every(struct qr_chart *chart, uint32_t update_every)
{
    if (chart->pub.update_every == update_every)
        return;
    chart->pub.update_every = update_every;
    chart->dirty = true;
}

int qr_rows_begin2(struct qr_stream *s, struct qr_args args)
{
    int64_t every, end;
    if (qr_number_int(args.at[1], &every) != 0 || every < 1 || every > QR_UPDATE_EVERY_MAX)
        return qr_engine_malformed(s, "BEGIN2 with an update_every that is not valid");
    if (qr_number_int(args.at[2], &end) != 0)
        return qr_engine_malformed(s, "BEGIN2 with an end time that is not a number");
    if (end < every)
        end = 0; /* Refused when its row ends, as those of the future are. */
    struct qr_chart *chart = qr_charts_find(&s->charts, args.at[0]);
    if (chart != NULL && s->block == QR_BLOCK_NONE)
        set_update_every(chart, (uint32_t)every);
    int err = open_block(s, QR_BLOCK_V2, args.at[0]);
    if (err == 0 && s->block == QR_BLOCK_V2)
        open_row(s, end, (uint32_t)every);
    return err;
}

static bool is_hash(struct qr_slice word)
{
    return word.len == 1 && word.base[0] == '#';
}

/* The collected number is one iteration behind and has no use here, but for the value "#". */
int qr_rows_set2(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_V2)
        return qr_engine_malformed(s, "SET2 outside of BEGIN2 and END2");
    uint32_t i;
    int err = find_dim(s, args.at[0], &i);
    if (err != 0)
        return err;
    double value;
    if (qr_number_double(is_hash(args.at[2]) ? args.at[1] : args.at[2], &value) != 0)
        return qr_engine_malformed(s, "SET2 with a value that is not a number");
    fill_cell(s, i, value, args.at[3]);
    return 0;
}

/* The word at *p, which no quote opens; *p is behind it and its blank.  False: it does not end. */
static bool take_plain_word(const char **p, const char *end, struct qr_slice *word)
{
    const char *blank = *p < end ? memchr(*p, ' ', (size_t)(end - *p)) : NULL;
    if (blank == NULL || **p == '"' || **p == '\'')
        return false;
    *word = qr_slice_of(*p, (size_t)(blank - *p));
    *p = blank + 1;
    return true;
}

bool qr_rows_try_set2(struct qr_stream *s, struct qr_slice line)
{
    static const char head[] = "SET2 ", slot[] = "SLOT:";
    size_t n_head = sizeof head - 1, n_slot = sizeof slot - 1;
    struct qr_chart *chart = s->open;
    uint32_t i = chart->next_dim;
    if (i >= chart->pub.n_dims || line.len < n_head + n_slot ||
        memcmp(line.base, head, n_head) != 0)
        return false;
    const char *p = line.base + n_head, *end = line.base + line.len;
    struct qr_slice id = chart->pub.dims[i].id, collected, word;
    if (memcmp(p, slot, n_slot) == 0 && !take_plain_word(&p, end, &word))
        return false;
    if ((size_t)(end - p) < id.len + 3 || *p != '\'' || p[id.len + 1] != '\'' ||
        p[id.len + 2] != ' ' || memcmp(p + 1, id.base, id.len) != 0)
        return false;
    p += id.len + 3;
    double value;
    if (!take_plain_word(&p, end, &collected) || !take_plain_word(&p, end, &word) || p == end ||
        qr_number_double(is_hash(word) ? collected : word, &value) != 0)
        return false;
    fill_cell(s, i, value, qr_slice_of(p, (size_t)(end - p))); /* Quotes and blanks say nothing. */
    chart->next_dim = i + 1;
    return true;
}

int qr_rows_end2(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_V2)
        return qr_engine_malformed(s, "END2 without BEGIN2");
    struct qr_stream_row row = row_of(s);
    struct qr_chart *chart = s->open;
    s->block = QR_BLOCK_NONE;
    emit_live(s, chart, &row);
    ask_after_row(s, chart);
    return 0;
}

/* ---- replayed rows ---- */

/* Whether R* lines set the clock of the v1 arithmetic. */
static bool sets_clock(const struct qr_stream *s)
{
    return !s->planning || qr_replication_sets_clock(&s->open->replication);
}

/* A replayed row ends where the next line is no RSET. */
static void close_replayed_row(struct qr_stream *s)
{
    if (!s->row_open)
        return;
    s->row_open = false;
    struct qr_stream_row row = row_of(s);
    emit(s, s->open, &row);
}

static int open_replayed_row(struct qr_stream *s, struct qr_args args)
{
    int64_t start, end, child_now = 0;
    if (qr_number_int(args.at[1], &start) != 0 || qr_number_int(qr_args_get(args, 2), &end) != 0 ||
        (args.n > 3 && qr_number_int(args.at[3], &child_now) != 0))
        return qr_engine_malformed(s, "RBEGIN with a time that is not a number");
    const struct qr_chart *chart = s->open;
    if (start <= 0 || end <= start || end > QR_TIME_S_MAX ||
        (child_now > 0 && end - (int64_t)chart->pub.update_every > child_now)) {
        s->stats.rows_refused++;
        s->row_refused = true;
        return 0;
    }
    if (qr_horizon_refuses_replayed(s, s->open, end)) {
        s->row_refused = true;
        return 0;
    }
    int64_t every = end - start;
    open_row(s, end, every <= QR_UPDATE_EVERY_MAX ? (uint32_t)every : chart->pub.update_every);
    if (sets_clock(s))
        qr_arith_replay_point(&s->open->arith, end);
    if (s->planning)
        qr_replication_point(&s->open->replication, start, end);
    return 0;
}

int qr_rows_rbegin(struct qr_stream *s, struct qr_args args)
{
    if (args.at[0].len > 0) {
        int err = open_block(s, QR_BLOCK_REPLAY, args.at[0]);
        if (err != 0 || s->block == QR_BLOCK_SKIPPED)
            return err;
    } else if (s->block != QR_BLOCK_REPLAY) {
        return qr_engine_malformed(s, "RBEGIN without a chart");
    }
    if (args.at[0].len > 0)
        s->state_collected_us = s->state_updated_us = 0;
    close_replayed_row(s);
    s->row_refused = false;
    s->open->next_dim = 0;
    return args.n > 1 ? open_replayed_row(s, args) : 0;
}

int qr_rows_rset(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_REPLAY || !(s->row_open || s->row_refused))
        return qr_engine_malformed(s, "RSET outside of a replayed row");
    uint32_t i;
    int err = find_dim(s, args.at[0], &i);
    if (err != 0)
        return err;
    double value;
    if (qr_number_double(args.at[1], &value) != 0)
        return qr_engine_malformed(s, "RSET with a value that is not a number");
    if (s->row_refused)
        return 0;
    fill_cell(s, i, value, qr_args_get(args, 2));
    if (sets_clock(s))
        qr_arith_replay_value(&s->open->arith_dims[i]);
    return 0;
}

int qr_rows_rdstate(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_REPLAY)
        return qr_engine_malformed(s, "RDSTATE outside of RBEGIN and REND");
    close_replayed_row(s);
    uint32_t i;
    int err = find_dim(s, args.at[0], &i);
    if (err != 0)
        return err;
    int64_t raw;
    int64_t collected_us;
    double calculated;
    if (qr_number_int(args.at[1], &collected_us) != 0 || qr_number_int(args.at[2], &raw) != 0 ||
        qr_number_double(args.at[3], &calculated) != 0)
        return qr_engine_malformed(s, "RDSTATE with a value that is not a number");
    if (sets_clock(s))
        qr_arith_replay_dim_state(&s->open->arith_dims[i], collected_us, raw, calculated);
    return 0;
}

int qr_rows_rsstate(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_REPLAY)
        return qr_engine_malformed(s, "RSSTATE outside of RBEGIN and REND");
    close_replayed_row(s);
    int64_t collected_us, updated_us;
    if (qr_number_int(args.at[0], &collected_us) != 0 ||
        qr_number_int(args.at[1], &updated_us) != 0)
        return qr_engine_malformed(s, "RSSTATE with a time that is not a number");
    s->state_collected_us = collected_us;
    s->state_updated_us = updated_us;
    struct qr_arith_chart *arith = &s->open->arith;
    if (s->open->clock_wanted && sets_clock(s)) /* It may have been set back. */
        arith->last_collected_us = arith->last_updated_us = 0;
    if (sets_clock(s))
        qr_arith_replay_chart_state(arith, collected_us, updated_us);
    if (s->planning)
        qr_replication_state(&s->open->replication,
                             qr_horizon_clamp(s, updated_us / 1000000) * 1000000);
    return 0;
}

static int parse_rend(struct qr_stream *s, struct qr_args args, struct qr_replication_end *end)
{
    int64_t every;
    if (qr_number_int(args.at[0], &every) != 0 || every < 0 || every > QR_UPDATE_EVERY_MAX)
        return qr_engine_malformed(s, "REND with an update_every that is not valid");
    if (qr_number_int(args.at[1], &end->first_s) != 0 ||
        qr_number_int(args.at[2], &end->last_s) != 0 ||
        qr_number_int(args.at[4], &end->after_s) != 0 ||
        qr_number_int(args.at[5], &end->before_s) != 0 ||
        qr_number_int(args.at[6], &end->child_now_s) != 0)
        return qr_engine_malformed(s, "REND with a time that is not a number");
    qr_horizon_heard(s, end->child_now_s);
    end->last_s = qr_horizon_clamp(s, end->last_s);
    end->before_s = qr_horizon_clamp(s, end->before_s);
    end->child_now_s = qr_horizon_clamp(s, end->child_now_s);
    end->update_every = every > 0 ? (uint32_t)every : s->open->pub.update_every;
    end->streaming = qr_slice_is(args.at[3], "true");
    return 0;
}

/* The end of the last point that the answer to the outstanding request has brought. */
static int64_t reached_s(const struct qr_replication *r)
{
    return r->n_points > 0 ? r->end_s : r->ask.after_s;
}

enum tear {
    TEAR_NONE,
    TEAR_CLOCK, /* last_collected is of a sample that last_updated does not know. */
    TEAR_POINTS /* last_updated knows a point that the answer does not have. */
};

/* See rows.h. */
static enum tear find_tear(const struct qr_stream *s, const struct qr_chart *chart,
                           const struct qr_replication_end *end)
{
    const struct qr_replication *r = &chart->replication;
    if (!s->planning || !end->streaming || (s->config.caps & QR_CAP_INTERPOLATED) != 0 ||
        r->phase != QR_REPLICATION_ASKING || r->kind != QR_REPLICATION_KIND_CATCH_UP ||
        r->ask.before_s == 0 || s->state_updated_us == 0 || chart->n_torn == QR_ROWS_TORN_MAX)
        return TEAR_NONE;
    int64_t every_s = end->update_every;
    if (s->state_collected_us / 1000000 - s->state_updated_us / 1000000 >= every_s)
        return TEAR_CLOCK;
    /* An answer that stops at an empty point looks like this as well, but it does so again. */
    int64_t left_out_s = s->state_updated_us / 1000000 - reached_s(r);
    return r->n_points > 0 && left_out_s > 0 && left_out_s <= 2 * every_s &&
                   chart->torn_after_s != reached_s(r)
               ? TEAR_POINTS
               : TEAR_NONE;
}

/* The planner keeps waiting for the answer to its request: this is the rest of it. */
static void ask_for_the_rest(struct qr_stream *s, struct qr_chart *chart)
{
    const struct qr_replication *r = &chart->replication;
    int64_t after_s = reached_s(r);
    qr_define_send(s, chart, true, after_s, r->last_s > after_s ? r->last_s : after_s);
}

static void refuse_torn_answer(struct qr_stream *s, struct qr_chart *chart, enum tear tear)
{
    chart->torn = true;
    chart->n_torn++;
    if (tear == TEAR_POINTS)
        chart->torn_after_s = reached_s(&chart->replication);
    if (chart->n_torn <= QR_ROWS_TORN_AT_ONCE) {
        ask_for_the_rest(s, chart);
        return;
    }
    chart->torn_retry_ms = s->now_ms + QR_ROWS_TORN_PACE_MS;
    if (chart->torn_waits)
        return;
    chart->torn_waits = true;
    chart->torn_next = s->torn;
    s->torn = chart;
}

void qr_rows_ask_for_rests(struct qr_stream *s)
{
    for (struct qr_chart **at = &s->torn; *at != NULL;) {
        struct qr_chart *chart = *at;
        if (chart->torn_retry_ms > s->now_ms) {
            at = &chart->torn_next;
            continue;
        }
        *at = chart->torn_next;
        chart->torn_waits = false;
        if (chart->torn) /* It was not defined again meanwhile. */
            ask_for_the_rest(s, chart);
    }
}

int qr_rows_rend(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_REPLAY)
        return qr_engine_malformed(s, "REND without RBEGIN");
    struct qr_replication_end end;
    int err = parse_rend(s, args, &end);
    if (err != 0)
        return err;
    close_replayed_row(s);
    struct qr_chart *chart = s->open;
    enum tear tear = find_tear(s, chart, &end);
    if (tear != TEAR_NONE) {
        s->block = QR_BLOCK_NONE;
        /* Live rows may come before the rest: they move the child's clock, not ours. */
        qr_arith_replay_end(&chart->arith, end.update_every, true);
        refuse_torn_answer(s, chart, tear);
        return 0;
    }
    chart->torn = false;
    if (sets_clock(s)) {
        chart->clock_wanted = chart->clock_wanted && !end.streaming;
        chart->clock_unproven = end.streaming && s->state_updated_us != 0 && !chart->slipped;
        qr_arith_replay_end(&chart->arith, end.update_every, end.streaming);
        set_update_every(chart, chart->arith.update_every);
    }
    s->block = QR_BLOCK_NONE;
    if (!s->planning)
        return 0;
    err = qr_replication_rend(&chart->replication, &end, s->now_ms);
    if (err != 0)
        return qr_engine_fail(s, err, "no memory for the plan of a chart");
    qr_define_ask(s, chart);
    return 0;
}
