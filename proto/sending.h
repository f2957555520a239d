/* proto/sending.h — the inside of proto/sender, shared by the files that it is made of.
 *
 *   sender.c        life, the host's own lines, what the parent says
 *   sender_chart.c  definitions
 *   sender_rows.c   live rows and answers
 *
 * Nobody else includes it. */
#ifndef QR_PROTO_SENDING_H
#define QR_PROTO_SENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "proto/caps.h"
#include "proto/command.h"
#include "proto/line.h"
#include "proto/outgoing.h"
#include "proto/sender.h"

/* v1: a value is said as value * 10^scale; no more decimals than the store has. */
#define QR_SENDING_SCALE_MAX 7
/* .. and 10^9 as the multiplier, which 32 bits hold, for what no integer holds. */
#define QR_SENDING_SCALE_MIN (-9)

struct qr_sending_dim {
    double last;      /* Sent last; NAN: none. */
    uint32_t text_at; /* ` SLOT:#B 'id' ` in the chart's text. */
    uint16_t text_len;
    int16_t scale;
    uint8_t primer_flags; /* Of `last`, if it is the primer's. */
};

enum qr_sending_state {
    QR_SENDING_WAITING, /* For the answer that says `streaming`. */
    QR_SENDING_REDEFINING,
    QR_SENDING_LIVE
};

/* Where the parent's v1 clock of a chart is: how it stands to the rows. */
enum qr_sending_clock {
    QR_SENDING_CLOCK_NONE,  /* Nothing was collected: the next BEGIN starts it at the arrival. */
    QR_SENDING_CLOCK_FIRST, /* One was: the next is taken at its arrival as well. */
    QR_SENDING_CLOCK_LOST,  /* It runs, we do not know where. */
    QR_SENDING_CLOCK_ARRIVAL /* At clock_us, as far as the arrival can be known. */,
    QR_SENDING_CLOCK_EXACT /* At clock_us. */
};

struct qr_sending_chart {
    struct qr_sender_chart pub; /* First: what the owner sees. */
    struct qr_sender *sender;
    enum qr_sending_state state;
    enum qr_sending_clock clock;
    uint32_t slot; /* 1, 2, .. */
    uint32_t update_every;
    uint32_t n_dims;
    bool has_row;           /* One was sent since the definition. */
    bool asked;             /* A request waits for its answer. */
    struct qr_slice id;     /* As it is said: the parent asks by it. */
    int64_t defined_last_s; /* What CHART_DEFINITION_END said. */
    int64_t last_s;         /* End of the newest row that was sent, 0: none. */
    int64_t clock_us;       /* v1: the parent's last_collected. */
    int64_t replay_after_s; /* Of the request that waits for its answer .. */
    bool replay_is_empty;   /* .. which was "0 0". */
    struct qr_sending_dim *dims;
    char *text; /* Of `dims`, and ` SLOT:#B 'id' ` of the chart. */
    uint32_t chart_text_len;
    size_t bytes;
    char id_text[];
};

struct qr_sender {
    struct qr_sender_config config;
    struct qr_sender_handler handler;
    bool v2;
    bool slots;
    bool replication;
    struct qr_outgoing out;
    struct qr_map by_id;
    struct qr_sending_chart **charts; /* By slot - 1. */
    uint32_t n_charts, charts_capacity;
    size_t bytes; /* Of definitions. */

    struct qr_sending_chart *answering;
    bool answer_has_row;
    bool has_primer; /* v1: the row at the request's `after`, kept in the dims. */
    int64_t primer_s;

    struct qr_lines lines;
    struct qr_command command;  /* Whose payload is collected .. */
    struct qr_buf command_line; /* .. and what its slices point into. */
    struct qr_buf payload;
    bool in_payload;
    int failed;

    struct qr_sender_stats stats;
};

static inline struct qr_sending_chart *qr_sending_chart_of(struct qr_sender_chart *chart)
{
    return (struct qr_sending_chart *)chart;
}

static inline char qr_sending_quote(const struct qr_sender *s)
{
    return s->v2 ? '\'' : '"';
}

static inline bool qr_sending_has(const struct qr_sender *s, uint32_t cap)
{
    return (s->config.caps & cap) != 0;
}

/* What is said of the oldest row: a parent asks behind it. */
static inline int64_t qr_sending_first(const struct qr_sending_chart *chart, int64_t first_s)
{
    return first_s > (int64_t)chart->update_every ? first_s - (int64_t)chart->update_every
                                                  : first_s;
}

/* The owner shall define the chart anew. */
void qr_sending_redefine(struct qr_sending_chart *chart);

#endif
