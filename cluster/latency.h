/* cluster/latency.h — the last 1024 latencies, and their percentiles.  Thread: the owner's.
 *
 * To select a percentile costs some us, and pictures of the cluster ask ten times a second: what
 * was found stays until a sixteenth of the samples is new. */
#ifndef QR_CLUSTER_LATENCY_H
#define QR_CLUSTER_LATENCY_H

#include <stdint.h>

#define QR_LATENCY_SAMPLES 1024u

struct qr_latency {
    uint32_t samples_us[QR_LATENCY_SAMPLES];
    uint64_t n;                       /* Ever added. */
    uint64_t n_found, p50_us, p99_us; /* After so many. */
};

void qr_latency_add(struct qr_latency *latency, int64_t us);

/* The p-th percentile (0 .. 100) in us; 0 without samples. */
uint64_t qr_latency_percentile(const struct qr_latency *latency, unsigned p);

/* The 50th and 99th, as they were at most a sixteenth of the samples ago. */
void qr_latency_get(struct qr_latency *latency, uint64_t *p50_us, uint64_t *p99_us);

#endif
