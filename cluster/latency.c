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
