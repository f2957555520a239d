/* ha-tests/streamed_on.h — two stages, one of which streams its hosts on to the other.
 *
 *   children -> near (a cluster, or a proxy) -> far (a cluster)
 *
 * Both must hold every sample of every child.  Thread: the test's. */
#ifndef QR_HA_TESTS_STREAMED_ON_H
#define QR_HA_TESTS_STREAMED_ON_H

#include "ha-tests/harness.h"

/* The far members are up; the near side, with its children, begins to stream on to them. */
void streamed_on_up(struct stage *near, struct stage *far, const struct stage_options *near_options,
                    const struct stage_options *far_options);

/* What the far side is asked of is what the near one's children have. */
void streamed_on_adopt(struct stage *far, const struct stage *near);

/* All that was collected up to now is on every running member of both, once and right. */
void streamed_on_check(struct stage *near, struct stage *far);

/* Waits until every simulated host is streamed on by a member of `near`, and shows no lag. */
void streamed_on_wait(struct stage *near, uint64_t timeout_ms);

/* The largest "lag_s" that near's members show; -1: none of them streams anything on. */
int64_t streamed_on_lag_s(struct stage *near);

#endif
