/* proto/replication.h — what to ask a child for, chart by chart, so that its past has no hole.
 *
 * A child replays its database on request: REPLAY_CHART id "true|false" after before, answered by
 * RBEGIN.. RSET.. REND ue first last true|false after before now.  `after` is exclusive.  A chart
 * sends nothing live before an answer that says true.  This is the planner of one chart: it sees
 * the definition, the answers and the live rows, and says what to ask next.  It sends nothing
 * itself.
 *
 *     NEW --definition--> WAITING --resume--> ASKING --REND true--> STREAMING
 *                            ^                                          |
 *                            +------------- definition again -----------+
 *
 * The rules:
 * - `after` is on the chart's own grid: the watermark, or (first contact) the child's clock less
 *   `period_s`, rounded down.  Long pasts are asked for in steps ("false"), the last one is "true".
 *   The watermark is asked for even when it is the child's last point, and a child that had no data
 *   when it defined the chart for what it has by now.  The empty request ("true" 0 0) is the last
 *   try with a child that never says true: it loses the samples that were not sent live.
 * - the answer's own `before` counts, not ours: we go on from there until it says true.
 * - one request of a chart is outstanding, and QR_REPLICATION_OUTSTANDING_MAX of a connection; the
 *   owner lets charts ask in turns (proto/define).  One not answered in time counts no longer, and
 *   is asked again, unchanged; of such repeated ones half as many are outstanding, so that charts
 *   that are never answered do not hold up the others.
 * - holes behind the watermark are parts of their own, asked for one after another, with "false",
 *   once the chart streams: an answer to "false" leaves the child's live stream alone.
 * - `heal`: a 1.37 child stops its answer at the first point without any value and still reports
 *   all of it as sent.  With E the end of the answer's last point, E + ue is known to be empty and
 *   (E + ue, before] is unproven: it becomes a part too, asked for when live rows have passed it.
 *   An answer without points proves one grid point: after QR_REPLICATION_SINGLE_PROBES of them in
 *   a row the stride doubles each time; when data is found behind a stride, its begin is searched
 * by halving.  So a run of data is only missed if it is shorter than the stride, that is, shorter
 *   than the silence before it.  RSSTATE beyond the answer's end (a sample came in between) is an
 *   unproven rest as well.  See docs/decisions/0005-replication-healing.md.
 * - requests for parts are paced per connection, and after QR_REPLICATION_PROBES_MAX of them the
 *   chart's open parts are given up.
 * - what is proven (or assumed, see above) to be missing in a part that was asked for is reported
 * as a gap: QR_GAP_RETENTION up to the child's first point and behind its last, as it says when the
 *   answer ends, else QR_GAP_NOT_COLLECTED.  A row that comes later all the same is right and the
 * gap is wrong.
 * - an answer that makes no progress is asked for again; after QR_REPLICATION_STALLS_MAX of them
 * the rest is reported as a gap and streaming is asked for.
 *
 * Rows are not the planner's: the caller stores every RSET by its end time, idempotently (an answer
 * may repeat points).  Times are unix seconds; those of the child are not trusted. Embedded by the
 * owner; the list of parts is on the heap.  Thread: any, one at a time. */
#ifndef QR_PROTO_REPLICATION_H
#define QR_PROTO_REPLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/stream.h"

/* Empty answers in a row that are taken one grid point at a time. */
#define QR_REPLICATION_SINGLE_PROBES 64
/* Requests for parts, per chart and definition: a day of a chart that pauses every few seconds. */
#define QR_REPLICATION_PROBES_MAX 32768
/* Requests for parts, per connection: a child takes some 10 ms for one, in a thread that all its
 * charts share. */
#define QR_REPLICATION_PACE_MS    10
#define QR_REPLICATION_PACE_BURST 200
/* Requests of a connection that wait for their answers: enough for a child that is far away, and a
 * child of 100000 charts is not asked for all of them at once. */
#define QR_REPLICATION_OUTSTANDING_MAX 256
#define QR_REPLICATION_REPEATED_MAX    (QR_REPLICATION_OUTSTANDING_MAX / 2)
/* Open parts of a chart; more of them are joined with what lies between. */
#define QR_REPLICATION_PARTS_MAX 512
/* Answers in a row that bring nothing. */
#define QR_REPLICATION_STALLS_MAX 3
/* Parts wait so long for a live row to pass them: then the chart is one that pauses. */
#define QR_REPLICATION_HEAL_AFTER_MS 10000
/* An unanswered request is repeated after this, then after twice as long, up to the maximum.  A
 * child with a full send buffer may take its time; it ignores a repeated request. */
#define QR_REPLICATION_TIMEOUT_MS     60000
#define QR_REPLICATION_TIMEOUT_MS_MAX 600000

struct qr_replication;

/* Of a connection, shared by its planners; zero it. */
struct qr_replication_pace {
    uint64_t next_ms;
    uint32_t n_outstanding; /* Requests neither answered nor overdue, */
    uint32_t n_repeated;    /* and repeated ones among them. */
};

/* Of a connection; outlives its planners. */
struct qr_replication_config {
    uint32_t period_s; /* First contact: how far back. */
    uint32_t step_s;   /* The longest request. */
    bool heal;         /* The child's answers stop at empty points (1.37). */
    struct qr_replication_pace *pace;
    /* (after_s, before_s] of the chart will not come.  Must not call the planner. */
    void (*gap)(struct qr_replication *replication, int64_t after_s, int64_t before_s,
                enum qr_gap_reason reason);
};

enum qr_replication_phase {
    QR_REPLICATION_NEW,
    QR_REPLICATION_WAITING, /* Defined; the owner has not resumed it. */
    QR_REPLICATION_ASKING,
    QR_REPLICATION_STREAMING /* Parts may still be asked for. */
};

struct qr_replication_ask {
    bool start_streaming;
    int64_t after_s;
    int64_t before_s;
};

/* What an outstanding request is for. */
enum qr_replication_kind {
    QR_REPLICATION_KIND_NONE,
    QR_REPLICATION_KIND_CATCH_UP, /* From the watermark to streaming. */
    QR_REPLICATION_KIND_PART      /* A hole, or the unproven rest of an answer. */
};

/* What a chart wants to ask; each waits for its turn in a queue of its own. */
enum qr_replication_want {
    QR_REPLICATION_WANT_CATCH_UP,
    QR_REPLICATION_WANT_PART,
    QR_REPLICATION_WANT_REPEAT,
    QR_REPLICATION_WANT_NR,
    QR_REPLICATION_WANT_NOTHING = QR_REPLICATION_WANT_NR
};

/* (after_s, before_s] is to be asked for; nothing is known to be in (empty_s, after_s]. */
struct qr_replication_part {
    int64_t after_s, before_s, empty_s;
};

struct qr_replication {
    const struct qr_replication_config *config;
    void *data; /* The owner's. */
    uint32_t update_every;
    enum qr_replication_phase phase;
    int64_t first_s, last_s, child_now_s; /* The child's, newest we heard. */
    int64_t cursor_s;                     /* Catch-up: asked for up to here, on the grid. */
    int64_t expect_s;       /* Catch-up: begin of the next point if nothing is missing; 0: any. */
    int64_t newest_s;       /* Newest row of this connection. */
    uint64_t not_before_ms; /* No new request until then. */

    /* The outstanding request and its answer so far. */
    enum qr_replication_kind kind;
    struct qr_replication_ask ask;
    uint64_t deadline_ms;
    uint32_t timeout_ms;
    bool repeated;      /* It was. */
    bool counted;       /* Among the connection's outstanding ones. */
    uint32_t n_repeats; /* Of all requests: so many answers may be late ones. */
    uint32_t n_points;
    int64_t lead_s;         /* Nothing is known to be between it and the first point; 0: any. */
    int64_t begin_s, end_s; /* Begin of the answer's first point, end of its last. */
    int64_t state_s;        /* RSSTATE's last_updated, 0: none. */
    uint32_t n_stalls, n_refusals;

    /* Parts to ask for: the current one, and the others, ascending and disjoint. */
    bool has_part;
    struct qr_replication_part part;
    struct qr_replication_part *parts;
    uint32_t n_parts, capacity;
    uint32_t n_probes;     /* Requests for parts. */
    uint32_t n_misses;     /* Empty answers in a row. */
    bool jumped;           /* The last probe left grid points out. */
    bool halving;          /* The begin of a run of data is searched in (low, high]. */
    int64_t low_s, high_s; /* Nothing until low (also while not halving); data behind high. */
    int64_t run_end_s;     /* End of the run whose begin is searched. */
};

void qr_replication_init(struct qr_replication *replication,
                         const struct qr_replication_config *config);
void qr_replication_release(struct qr_replication *replication);

/* CHART_DEFINITION_END, also a repeated one.  While a catch-up is outstanding nothing changes but
 * the child's times (its answer will still come); else the chart waits for qr_replication_resume.
 */
void qr_replication_definition(struct qr_replication *replication, uint32_t update_every,
                               int64_t first_s, int64_t last_s, int64_t child_now_s);

/* The owner is ready.  Rows that this connection has already brought count as stored.  If the chart
 * was defined again while a catch-up was outstanding, only its holes are taken.  0 or UV_ENOMEM
 * (nothing changed). */
int qr_replication_resume(struct qr_replication *replication,
                          const struct qr_stream_resume *resume);

/* What there is to ask at this time, if the connection's bounds allow it.  A request that is
 * overdue counts for them no longer. */
enum qr_replication_want qr_replication_wants(struct qr_replication *replication, uint64_t now_ms);

/* The request to send now, if any: true, and it counts as sent.  Call it after resume, rend and
 * live rows that have passed heal_s, and when the deadline has come. */
bool qr_replication_next(struct qr_replication *replication, uint64_t now_ms,
                         struct qr_replication_ask *ask);

/* When to call qr_replication_next even if nothing comes; UINT64_MAX: never. */
uint64_t qr_replication_deadline_ms(const struct qr_replication *replication);

/* RBEGIN with times. */
void qr_replication_point(struct qr_replication *replication, int64_t begin_s, int64_t end_s);

/* RSSTATE's last_updated. */
void qr_replication_state(struct qr_replication *replication, int64_t last_updated_us);

/* A live row. */
static inline void qr_replication_row(struct qr_replication *replication, int64_t end_s)
{
    if (end_s > replication->newest_s)
        replication->newest_s = end_s;
}

/* Rows of (after_s, before_s] were live and not taken: while the chart streams they are a part to
 * be asked for.  0 or UV_ENOMEM (nothing changed). */
int qr_replication_missed(struct qr_replication *replication, int64_t after_s, int64_t before_s);

/* The same of a hole behind the watermark, less what the child does not keep any more. */
int qr_replication_hole(struct qr_replication *replication, int64_t after_s, int64_t before_s);

/* The chart streams, and nothing is to be asked for any more. */
static inline bool qr_replication_is_filled(const struct qr_replication *replication)
{
    return replication->phase == QR_REPLICATION_STREAMING && !replication->has_part &&
           replication->n_parts == 0;
}

/* REND. */
struct qr_replication_end {
    uint32_t update_every;
    int64_t first_s, last_s;
    bool streaming;
    int64_t after_s, before_s;
    int64_t child_now_s;
};

/* 0 or UV_ENOMEM (close the connection). */
int qr_replication_rend(struct qr_replication *replication, const struct qr_replication_end *end,
                        uint64_t now_ms);

/* Seconds of the past that are known to be asked for still: of the catch-up, as far as the child
 * has them, and of open parts.  0: nothing, or not known yet. */
int64_t qr_replication_left_s(const struct qr_replication *replication);

/* Ask before qr_replication_rend: whether R* lines that come now set the chart's clock
 * (proto/arithmetic): not so for a chart that streams, nor for the answer to a part. */
static inline bool qr_replication_sets_clock(const struct qr_replication *replication)
{
    return replication->phase != QR_REPLICATION_STREAMING &&
           replication->kind != QR_REPLICATION_KIND_PART;
}

#endif
