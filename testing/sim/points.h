/* testing/sim/points.h — what a chart's points of a minute and of an hour must be, added up from
 * what its child measured (testing/model), and compared with what a member has.
 *
 * Seconds are told one by one.  What must be there counts; what may be there, as it came after the
 * samples were read, bounds a point that is not over; a point with a second of which nothing is
 * known is left out.  Sums are of doubles here and of integers there: as close as single values are
 * compared (testing/verify), by the size of what was added up.  Not for threads. */
#ifndef QR_TESTING_SIM_POINTS_H
#define QR_TESTING_SIM_POINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/store.h"

struct qr_sim_point {
    double sum, size, min, max; /* Of what must be there; size: of the magnitudes. */
    uint32_t n;
    double low, high; /* Of what may be there: the negative ones', the positive ones' sum. */
    double may_min, may_max;
    uint32_t n_may;
    bool is_unknown;
};

/* Of the points of tiers 1 and 2 that begin in a span. */
struct qr_sim_points {
    uint32_t n_dims, n_rows[QR_TIERS];
    int64_t first_s[QR_TIERS]; /* Where the first one ends. */
    struct qr_sim_point *at[QR_TIERS];
    int64_t told_s;                      /* The second told last, .. */
    struct qr_sim_point *told[QR_TIERS]; /* .. and its points, of all dimensions; NULL: none. */
};

/* No point that begins before from_s; empty. */
void qr_sim_points_init(struct qr_sim_points *points, int64_t from_s, int64_t to_s,
                        uint32_t n_dims);
void qr_sim_points_release(struct qr_sim_points *points);

void qr_sim_points_must(struct qr_sim_points *points, int64_t t, uint32_t dim, double value);
void qr_sim_points_may(struct qr_sim_points *points, int64_t t, uint32_t dim, double value);
void qr_sim_points_unknown(struct qr_sim_points *points, int64_t t);

/* Reads them; between qr_store_enter and qr_store_leave.  What retention has dropped counts for
 * nothing.  Adds to *n how many were compared; false: the sentence says what is wrong. */
bool qr_sim_points_compare(const struct qr_sim_points *points, struct qr_store *store,
                           const struct qr_chart *chart, uint64_t *n, char *sentence, size_t bytes);

#endif
