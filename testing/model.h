/* testing/model.h — what simulated children measure: a pure function of (host, chart, dim, time).
 *
 * Everything that a simulated child is follows from a seed: machine GUIDs, chart and dimension ids,
 * the microsecond at which it collects and the value that a Netdata database holds afterwards.
 * So whoever knows the seed can verify every stored sample, with nothing recorded.
 *
 * A chart collects for each second t of its grid (multiples of its update_every) at collect_us(t),
 * which lies in [t, t + update_every); what a v1 parent then stores at t is value(t):
 *
 *   absolute     raw(t) * multiplier / divisor
 *   incremental  the rate over (t - ue, t], split at the second as Netdata does: the share of the
 *                delta before the last collection plus the share of the one after it
 *
 * With `mix` there are, among plain ones, sparse dimensions (not set in some seconds), charts with
 * seconds in which no dimension is set, charts that pause for some seconds (the parent then fills
 * the second before the next collection by interpolation), and charts with a grid of 5 s.  Without
 * it every chart has every dimension each update_every.  With a corpus the values are its recorded
 * ones: dimension d of chart c is series c * n_dims + d of it, absolute, and host h lives 67 s
 * behind host h - 1.  All values fit decimal24 exactly but the interpolated and incremental ones,
 * which lie within its precision.  Thread: any (immutable). */
#ifndef QR_TESTING_MODEL_H
#define QR_TESTING_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"

struct qr_corpus; /* testing/corpus's. */

struct qr_model {
    uint64_t seed;
    uint32_t n_hosts, n_charts, n_dims;
    uint32_t update_every; /* s, of most charts. */
    bool mix;
    const struct qr_corpus *corpus; /* Or NULL. */
    uint32_t first_kind;            /* With mix: chart 0 is as chart first_kind is otherwise. */
};

enum qr_model_kind {
    QR_MODEL_PLAIN,
    QR_MODEL_EMPTY, /* Seconds without any value. */
    QR_MODEL_PAUSE, /* Seconds without a collection. */
    QR_MODEL_SLOW   /* update_every 5. */
};

struct qr_model_dim {
    bool incremental;
    int32_t multiplier, divisor;
};

#define QR_MODEL_NAME_BYTES 64

void qr_model_guid(const struct qr_model *model, uint32_t host, struct qr_guid *guid);
void qr_model_hostname(const struct qr_model *model, uint32_t host, char name[QR_MODEL_NAME_BYTES]);
/* "load.chart_00012" */
void qr_model_chart_id(uint32_t chart, char id[QR_MODEL_NAME_BYTES]);
/* "dim_3"; also its name. */
void qr_model_dim_id(uint32_t dim, char id[QR_MODEL_NAME_BYTES]);

enum qr_model_kind qr_model_kind(const struct qr_model *model, uint32_t chart);
uint32_t qr_model_update_every(const struct qr_model *model, uint32_t chart);
void qr_model_dim(const struct qr_model *model, uint32_t chart, uint32_t dim,
                  struct qr_model_dim *out);

/* Is there a collection for grid second t?  Not in a pause. */
bool qr_model_collects(const struct qr_model *model, uint32_t chart, int64_t t);

/* The unix microsecond of that collection. */
int64_t qr_model_collect_us(const struct qr_model *model, uint32_t host, uint32_t chart, int64_t t);

/* The last collection before second t and the first one at or after it, as grid seconds. */
int64_t qr_model_collected_before(const struct qr_model *model, uint32_t chart, int64_t t);
int64_t qr_model_collected_from(const struct qr_model *model, uint32_t chart, int64_t t);

/* What the collector reads at second t; false: it sets nothing for this dimension. */
bool qr_model_raw(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                  int64_t t, int64_t *raw);

/* The newest second until t in which a collector set the dimension, and what it read; false: never
 * (a recorded series may be empty all the time). */
bool qr_model_last_raw(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                       int64_t *t, int64_t *raw);

/* What a database holds at second t of the grid; false: nothing (empty, or off the grid).
 * It is known once the collection qr_model_collected_from(t) is made. */
bool qr_model_value(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                    int64_t t, double *value);

/* Netdata's calculated remainder of an incremental dimension after the collection of t (the part
 * of the last delta that no stored second has yet), or the last value of an absolute one. */
double qr_model_remainder(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                          int64_t t);

#endif
