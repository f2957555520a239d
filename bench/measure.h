/* bench/measure.h — the clocks of a measurement, and its end when something is not as it must be:
 * a sentence on stderr and exit 1, as a figure of half a run would lie.  Any thread. */
#ifndef QR_BENCH_MEASURE_H
#define QR_BENCH_MEASURE_H

#include <stdbool.h>

double qr_bench_cpu_ns(void); /* Of this thread: the machine may be busy with other things. */
double qr_bench_cpu_s(void);
double qr_bench_wall_ns(void);

void *qr_bench_must(void *memory); /* What an allocation gave. */
void qr_bench_must_be_0(int err, const char *what);
void qr_bench_must_be(bool right, const char *what);

#endif
