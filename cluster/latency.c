#include "cluster/latency.h"

#include <string.h>

void qr_latency_add(struct qr_latency *latency, int64_t us)
{
    if (us < 0) /* The wall clock was set back. */
        return;
    if (us > UINT32_MAX)
        us = UINT32_MAX;
    latency->samples_us[latency->n++ % QR_LATENCY_SAMPLES] = (uint32_t)us;
}

/* The k-th smallest of n (Hoare's selection); their order changes. */
static uint32_t select_kth(uint32_t *at, size_t n, size_t k)
{
    size_t first = 0, last = n - 1;
    while (first < last) {
        uint32_t pivot = at[first + (last - first) / 2];
        size_t i = first, j = last;
        for (;;) {
            while (at[i] < pivot)
                i++;
            while (at[j] > pivot)
                j--;
            if (i >= j)
                break;
            uint32_t swapped = at[i];
            at[i++] = at[j];
            at[j--] = swapped;
        }
        /* Below i all are at most the pivot, above j at least. */
        if (k <= j)
            last = j;
        else
            first = j + 1;
    }
    return at[k];
}

uint64_t qr_latency_percentile(const struct qr_latency *latency, unsigned p)
{
    uint32_t copy[QR_LATENCY_SAMPLES];
    size_t n = latency->n < QR_LATENCY_SAMPLES ? (size_t)latency->n : QR_LATENCY_SAMPLES;
    if (n == 0)
        return 0;
    memcpy(copy, latency->samples_us, n * sizeof *copy);
    return select_kth(copy, n, (n - 1) * p / 100);
}

void qr_latency_get(struct qr_latency *latency, uint64_t *p50_us, uint64_t *p99_us)
{
    uint64_t held = latency->n < QR_LATENCY_SAMPLES ? latency->n : QR_LATENCY_SAMPLES;
    if (latency->n - latency->n_found > held / 16) {
        latency->p50_us = qr_latency_percentile(latency, 50);
        latency->p99_us = qr_latency_percentile(latency, 99);
        latency->n_found = latency->n;
    }
    *p50_us = latency->p50_us;
    *p99_us = latency->p99_us;
}
