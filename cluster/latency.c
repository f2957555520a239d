#include "cluster/latency.h"

#include <stdlib.h>
#include <string.h>

void qr_latency_add(struct qr_latency *latency, int64_t us)
{
    if (us < 0) /* The wall clock was set back. */
        return;
    if (us > UINT32_MAX)
        us = UINT32_MAX;
    latency->samples_us[latency->n++ % QR_LATENCY_SAMPLES] = (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint64_t qr_latency_percentile(const struct qr_latency *latency, unsigned p)
{
    uint32_t sorted[QR_LATENCY_SAMPLES];
    size_t n = latency->n < QR_LATENCY_SAMPLES ? (size_t)latency->n : QR_LATENCY_SAMPLES;
    if (n == 0)
        return 0;
    memcpy(sorted, latency->samples_us, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare);
    return sorted[(n - 1) * p / 100];
}
