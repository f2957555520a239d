/* bench/storage.h — the figures that storage must reach, and what measures them.
 *
 * A measurement sets its figures as often as it likes; the best of them is printed.
 * Thread: the owner's. */
#ifndef QR_BENCH_STORAGE_H
#define QR_BENCH_STORAGE_H

#include "testing/corpus.h"

enum qr_figure_id {
    QR_FIGURE_DISK,
    QR_FIGURE_DISK_MERGED,
    QR_FIGURE_TIER_1,
    QR_FIGURE_ENCODE,
    QR_FIGURE_DECODE,
    QR_FIGURE_DECODE_NOISY,
    QR_FIGURE_SCAN,
    QR_FIGURE_CHART_COLD,
    QR_FIGURE_CHART_WARM,
    QR_FIGURE_READS,
    QR_FIGURE_READS_MERGED,
    QR_FIGURE_LOG_20,
    QR_FIGURE_LOG_1,
    QR_FIGURE_LOG_ENCODE,
    QR_FIGURE_LOG_DECODE,
    QR_FIGURE_APPLY,
    QR_FIGURE_INGEST,
    QR_FIGURE_HEAD,
    QR_FIGURE_HEAD_ALL,
    QR_FIGURE_RAFT_LOG,
    QR_FIGURE_SEAL,
    QR_FIGURE_SEAL_STALL,
    QR_FIGURE_RESTART,
    QR_FIGURE_CATCH_UP,
    QR_FIGURES
};

struct qr_bench {
    const struct qr_corpus *corpus;
    unsigned passes;
    uint32_t n_hosts; /* Of what is measured on many. */
};

void qr_figure_set(enum qr_figure_id id, double value);
double qr_figure_get(enum qr_figure_id id); /* NAN: not measured. */

void qr_bench_codec(const struct qr_bench *bench);
void qr_bench_log(const struct qr_bench *bench);
void qr_bench_files(const struct qr_bench *bench);
void qr_bench_window(const struct qr_bench *bench);

#endif
