/* storage/lanes.h — the inner loops of decoding, on 128 integers at a time.
 *
 * Packed integers lie in four lanes, integer i in lane i mod 4, each lane a stream of 32-bit words
 * with the least bits first: unpacking is the same few operations on vectors of four, whatever the
 * width.  There is one body of plain C, compiled twice: for any machine, and where the compiler can
 * for processors with AVX2, which is chosen when the program runs.  Both give the same results for
 * all input, also for hostile one.
 *
 * Thread: any. */
#ifndef QR_STORAGE_LANES_H
#define QR_STORAGE_LANES_H

#include <stdbool.h>
#include <stdint.h>

#define QR_LANES_N         128u
#define QR_LANES_WIDTH_MAX 32u

struct qr_lanes_sum {
    int64_t sum;
    int32_t min, max;
};

struct qr_lanes {
    const char *name;
    /* 16 * width bytes to 128 integers. */
    void (*unpack)(const uint8_t *packed, unsigned width, uint32_t *v);
    /* x[i] = base + factor * v[i], modulo 2^32. */
    void (*offsets)(const uint32_t *v, int32_t base, int32_t factor, int32_t *x);
    /* x[i] = x[i - 1] + factor * unzigzag(v[i]), modulo 2^32; x[-1] is base. */
    void (*differences)(const uint32_t *v, int32_t base, int32_t factor, int32_t *x);
    /* x[i] * 10^-code (0 .. 7) as values; false: one of them has no mantissa and exponent code
     * 0 .. 7, and `values` is not what it was. */
    bool (*values)(const int32_t *x, unsigned code, uint32_t *values);
    /* Values of these mantissas and exponent codes; false: one of them is not canonical. */
    bool (*split)(const int32_t *mantissas, const uint32_t *codes, uint32_t *values);
    /* What qr_value_unpack gives for each of n values, of any number. */
    void (*unpack_values)(const uint32_t *values, uint32_t n, double *doubles);
    /* Of n >= 1 integers. */
    void (*sum)(const int32_t *x, uint32_t n, struct qr_lanes_sum *sum);
};

extern const struct qr_lanes qr_lanes_plain;
extern const struct qr_lanes qr_lanes_avx2; /* The same as plain where there is no such thing. */

/* The fastest that this machine runs. */
const struct qr_lanes *qr_lanes_here(void);
/* These from now on, in all threads; NULL: the fastest again.  So that a test runs, on a processor
 * that has more, what others do. */
void qr_lanes_use(const struct qr_lanes *lanes);
/* Can it run these? */
bool qr_lanes_supported(const struct qr_lanes *lanes);

#endif
