/* testing/history_tiers.h — are a chart's points of a minute and of an hour what its samples make?
 *
 * Each point is made again from the rows of the table, which knows the samples that retention has
 * taken too, and compared: how many, sum, smallest, largest, how many anomalous; dimension by
 * dimension, in whatever the store has them: files of the tier, of the tier below, samples.
 *
 * Exactly known are the points of spans that still have all their samples; and, as long as
 * retention has waited for merges as the leader's keeper does (table.waits_for_merges), of spans
 * whose samples are gone; on a member that is still at such a merge only once it is `settled`.  Of
 * a span of which some are gone nothing is said.  Thread: the owner's.
 */
#ifndef QR_TESTING_HISTORY_TIERS_H
#define QR_TESTING_HISTORY_TIERS_H

#include <stdbool.h>

#include "storage/store.h"
#include "testing/history_table.h"

#define QR_HISTORY_SENTENCE_BYTES 160

/* Between qr_store_enter and qr_store_leave.  Adds to *n_points what was compared; false: the
 * sentence says which point is another. */
bool qr_history_tiers_check(const struct qr_history_table *table, struct qr_store *store,
                            const struct qr_chart *chart, bool settled, uint32_t window_s,
                            uint64_t *n_points, char sentence[QR_HISTORY_SENTENCE_BYTES]);

#endif
