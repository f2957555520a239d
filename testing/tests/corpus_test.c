#include "testing/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define CORPUS QR_SOURCE_DIR "/bench/data/corpus.lz4"

static void is_what_a_host_collects(void **state)
{
    (void)state;
    struct qr_corpus corpus;
    uint32_t n_constant = 0;
    uint64_t n_empty = 0;
    assert_int_equal(qr_corpus_read(&corpus, CORPUS), 0);
    assert_int_equal(corpus.n_rows, 1800);
    assert_true(corpus.n_series > 2000);
    assert_int_equal(corpus.charts[corpus.n_charts - 1].first +
                         corpus.charts[corpus.n_charts - 1].n,
                     corpus.n_series);
    for (uint32_t s = 0; s < corpus.n_series; s++) {
        const uint32_t *column = qr_corpus_column(&corpus, s);
        bool constant = true;
        for (uint32_t i = 0; i < corpus.n_rows; i++) {
            assert_true(qr_value_is_canonical(column[i]));
            constant &= column[i] == column[0];
            n_empty += qr_value_is_empty(column[i]);
        }
        n_constant += constant;
    }
    assert_in_range(n_constant, corpus.n_series * 45 / 100, corpus.n_series * 65 / 100);
    assert_in_range(n_empty, 1, (uint64_t)corpus.n_series * corpus.n_rows / 10);
    qr_corpus_release(&corpus);
}

static void write_text(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* Recorded doubles, our file, and back. */
static void comes_back_as_it_was(void **state)
{
    (void)state;
    static const char list[] = "#\n1\ta.b\tx\tctx\tfam\tu\tabsolute\t1\t1\t1\t4\t0\n"
                               "2\ta.b\ty\tctx\tfam\tu\tabsolute\t1\t1\t1\t2\t0\n"
                               "3\tc.d\tz\tctx\tfam\tu\tabsolute\t1\t1\t1\t5\t0\n";
    const double doubles[] = {1, -2.5, 0.0 / 0.0, 1e7, 8, 9, 0.125, 1e-7, 77, -3, 4};
    char dir[] = "/tmp/qr-corpus-XXXXXX", tsv[64], f64[64], packed[64];
    struct qr_corpus one, two;
    assert_non_null(mkdtemp(dir));
    snprintf(tsv, sizeof tsv, "%s/tsv", dir);
    snprintf(f64, sizeof f64, "%s/f64", dir);
    snprintf(packed, sizeof packed, "%s/packed", dir);
    write_text(tsv, list, sizeof list - 1);
    write_text(f64, doubles, sizeof doubles);
    assert_int_equal(qr_corpus_read_recorded(&one, tsv, f64, 2), 0);
    assert_int_equal(one.n_series, 2); /* One is too short, */
    assert_int_equal(one.n_rows, 4);   /* one longer than the first. */
    assert_int_equal(qr_corpus_column(&one, 1)[1], qr_value_pack(1e-7, 0));
    assert_int_equal(qr_corpus_write(&one, packed), 0);
    assert_int_equal(qr_corpus_read(&two, packed), 0);
    assert_int_equal(two.n_series, 2);
    assert_memory_equal(one.values, two.values, 2 * 4 * sizeof *one.values);
    assert_string_equal(two.charts[1].id, "c.d");
    assert_string_equal(two.dims[1], "z");
    qr_corpus_release(&two);
    assert_int_equal(truncate(packed, 20), 0);
    assert_int_equal(qr_corpus_read(&two, packed), QR_E_MALFORMED);
    unlink(tsv);
    unlink(f64);
    unlink(packed);
    rmdir(dir);
    qr_corpus_release(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_what_a_host_collects),
        cmocka_unit_test(comes_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
