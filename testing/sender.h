/* testing/sender.h — what a simulated child says on one connection after the handshake.
 *
 * The opposite side of proto/stream, written from the protocol and not from our parser.  It
 * collects the charts of one host of a qr_model and turns that into text, and answers
 * REPLAY_CHART.  No I/O: every block of lines (a definition, one collection of one chart, one
 * replication answer) goes through `commit`, as a Netdata child commits it.
 *
 *   first collection of a chart on this connection -> CHART .. CHART_DEFINITION_END
 *   then nothing for this chart until REPLAY_CHART -> RBEGIN .. REND; with REND true it is live
 *   later collections                              -> BEGIN SET.. END, or BEGIN2 SET2.. END2
 *
 * Without replication charts are live at once.  Its history is the model's: what it has collected
 * from first_s on.  Answers follow 1.37.1 or 2.9's rules, with 1.37's bug (an answer ends at the
 * first second without any value and says nothing of it) if asked for.
 *
 * It can say other first and last times of its charts than it has, in definitions and answers: some
 * of these hide what it has, others promise what it has not.  Thread: the owner's. */
#ifndef QR_TESTING_SENDER_H
#define QR_TESTING_SENDER_H

#include "base/slice.h"
#include "testing/model.h"

enum qr_model_lie {
    QR_MODEL_TRUTH,
    QR_MODEL_FIRST_LATE,  /* Begins by_s before its last: nothing older is given. */
    QR_MODEL_LAST_BEHIND, /* Ends by_s before its last: nothing newer is replayed. */
    QR_MODEL_NO_TIMES,    /* 0 and 0: nothing is replayed. */
    QR_MODEL_FIRST_EARLY, /* Begins by_s before its first: there is nothing. */
    QR_MODEL_LAST_AHEAD,  /* Ends by_s behind its last: in the future. */
    QR_MODEL_SWAPPED,     /* The first behind the last; all is given. */
    QR_MODEL_LIES
};

struct qr_model_sender_config {
    const struct qr_model *model;
    uint32_t host;
    int64_t first_s;     /* Collected since then. */
    bool rules_29;       /* Answers as 2.9 does, not 1.37.1. */
    bool truncate;       /* 1.37's bug. */
    uint32_t late_every; /* Each n-th "true" answer says false, as when 1.37's clock second changes
                          * while it answers; 0: never. */
    enum qr_model_lie lie;
    int64_t by_s;
    void *data;
    void (*commit)(void *data, struct qr_slice text);
};

struct qr_model_sender_stats {
    uint64_t samples_live, samples_replayed; /* Values, not empty ones. */
    uint64_t rows_live, rows_replayed;
    uint64_t replay_requests;
    uint64_t empty_requests;    /* "0 0" although there are data: the parent loses a second. */
    uint64_t off_grid_requests; /* `after` between two points of the chart's grid. */
    uint64_t unknown_commands;
    uint32_t n_replicating, n_live; /* Charts of this connection. */
};

struct qr_model_sender;

/* 0 or UV_ENOMEM. */
int qr_model_sender_new(struct qr_model_sender **sender,
                        const struct qr_model_sender_config *config);
void qr_model_sender_free(struct qr_model_sender *sender);

/* The parent accepted with this negotiated set: says who we are, forgets all chart states. */
void qr_model_sender_connect(struct qr_model_sender *sender, uint32_t caps);
/* Collections go on, nothing is said. */
void qr_model_sender_disconnect(struct qr_model_sender *sender);

/* All collections of grid second t; seconds come in order, each once. */
void qr_model_sender_collect(struct qr_model_sender *sender, int64_t t);

/* Nothing more is collected: charts that this connection has not seen are defined all the same, as
 * a parent can ask for their history only then. */
void qr_model_sender_define(struct qr_model_sender *sender);

/* Says something else of its times from now on, and defines all charts again, each with its next
 * collection. */
void qr_model_sender_lie(struct qr_model_sender *sender, enum qr_model_lie lie, int64_t by_s);

/* One line of the parent, without its newline. */
void qr_model_sender_command(struct qr_model_sender *sender, struct qr_slice line);

const struct qr_model_sender_stats *qr_model_sender_stats(const struct qr_model_sender *sender);

/* Second of the last collection of any chart. */
int64_t qr_model_sender_last_s(const struct qr_model_sender *sender);

#endif
