/* testing/corpus.h — recorded samples of a real agent, for benchmarks and load.
 *
 * Series of one length and one second, at decimal24 (storage/value), grouped in charts, as they
 * were collected.  bench/data/corpus.lz4 holds 2020 series of 1800 s in 2 MB; others are made by
 * qr_bench_corpus.  The file:
 *
 *   "QRCORP1\n", u32 bytes of what follows unpacked, then LZ4 of
 *     varint charts, rows; for each chart: id, family, context, units, varint dimensions,
 *       for each: id, zigzag exponent e, then a varint a row: 0 is EMPTY, other values are
 *       1 + zigzag(difference to the value before, in 10^e)
 *
 * Thread: any; immutable once read. */
#ifndef QR_TESTING_CORPUS_H
#define QR_TESTING_CORPUS_H

#include <stdint.h>

struct qr_corpus_chart {
    char *id, *family, *context, *units;
    uint32_t first, n; /* Series. */
};

struct qr_corpus {
    uint32_t n_series, n_rows, n_charts;
    struct qr_corpus_chart *charts;
    char **dims;       /* A series' id in its chart. */
    int8_t *exponents; /* The least of each series', 0 at most. */
    uint32_t *values;  /* Column by column. */
};

static inline const uint32_t *qr_corpus_column(const struct qr_corpus *corpus, uint32_t series)
{
    return corpus->values + (uint64_t)series * corpus->n_rows;
}

/* 0, or a libuv error, QR_E_MALFORMED, QR_E_LIMIT. */
int qr_corpus_read(struct qr_corpus *corpus, const char *path);
/* From a list of series (a line each: number, chart, dimension, context, family, units, ..., and
 * how many samples in the 11th field) and their columns of doubles, one after the other.  Takes
 * those that have at least as many samples as the first one, cut to a multiple of `rows_of`. */
int qr_corpus_read_recorded(struct qr_corpus *corpus, const char *tsv, const char *f64,
                            uint32_t rows_of);
int qr_corpus_write(const struct qr_corpus *corpus, const char *path);
void qr_corpus_release(struct qr_corpus *corpus);

#endif
