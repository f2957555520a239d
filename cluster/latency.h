/* cluster/latency.h — the last 1024 latencies, and their percentiles.  Thread: the owner's. */
#ifndef QR_CLUSTER_LATENCY_H
#define QR_CLUSTER_LATENCY_H

#include <stdint.h>

#define QR_LATENCY_SAMPLES 1024u

struct qr_latency {
    uint32_t samples_us[QR_LATENCY_SAMPLES];
    uint64_t n; /* Ever added. */
};

void qr_latency_add(struct qr_latency *latency, int64_t us);

/* The p-th percentile (0 .. 100) in us; 0 without samples. */
uint64_t qr_latency_percentile(const struct qr_latency *latency, unsigned p);

#endif
