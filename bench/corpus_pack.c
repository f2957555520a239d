/* qr_bench_corpus — recorded series of doubles to testing/corpus's file.
 *
 *   qr_bench_corpus SERIES.TSV VALUES.F64 OUT */
#include <stdio.h>

#include "base/error.h"
#include "testing/corpus.h"

#define ROWS_OF 600u

int main(int argc, char **argv)
{
    struct qr_corpus corpus;
    if (argc != 4) {
        printf("usage: qr_bench_corpus SERIES.TSV VALUES.F64 OUT\n\n"
               "Packs recorded series as bench/data/corpus.lz4 is; see testing/corpus.h.\n");
        return 2;
    }
    int err = qr_corpus_read_recorded(&corpus, argv[1], argv[2], ROWS_OF);
    if (err == 0)
        err = qr_corpus_write(&corpus, argv[3]);
    if (err != 0) {
        fprintf(stderr, "%s\n", qr_strerror(err));
        return 1;
    }
    printf("%u series of %u charts, %u rows\n", corpus.n_series, corpus.n_charts, corpus.n_rows);
    qr_corpus_release(&corpus);
    return 0;
}
