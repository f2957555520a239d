#include "storage/integers.h"

#include <stdlib.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "storage/pack.h"
#include "testing/cmocka.h"

#define N_MAX 700

/* A column of some kind: bits of `kind` say how far its integers lie apart, and how often they
 * change. */
static void fill(struct qr_rng *rng, unsigned kind, int64_t *x, uint32_t n)
{
    uint64_t span = UINT64_C(1) << (kind * 7) % 55;
    uint64_t rarely = kind % 3 == 0 ? 1 : kind % 3 == 1 ? 20 : 1000;
    int64_t base = (int64_t)qr_rng_below(rng, QR_INTEGER_MAX) - QR_INTEGER_MAX / 2;
    base = kind % 2 == 0 ? base / 1024 : QR_INTEGER_MAX - (int64_t)span;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = base + (int64_t)qr_rng_below(rng, span);
        if (i > 0 && qr_rng_below(rng, rarely) != 0)
            x[i] = x[i - 1];
    }
}

static void every_column_comes_back(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 51);
    struct qr_buf out = {0};
    static int64_t x[N_MAX], back[N_MAX];
    unsigned modes_seen = 0;
    for (unsigned round = 0; round < 4000; round++) {
        uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, N_MAX);
        fill(&rng, round % 48, x, n);
        qr_buf_clear(&out);
        qr_buf_add_u8(&out, 77); /* It appends. */
        assert_int_equal(qr_integers_encode(&out, x, n), 0);
        modes_seen |= 1u << out.base[1];
        struct qr_cursor in = qr_cursor_of(qr_slice_of(out.base + 1, out.len - 1));
        qr_integers_decode(&in, back, n);
        assert_true(qr_cursor_done(&in));
        assert_memory_equal(back, x, n * sizeof *x);
    }
    assert_int_equal(modes_seen, 1u << QR_INTEGERS_CONSTANT | 1u << QR_INTEGERS_RUNS |
                                     1u << QR_INTEGERS_DICTIONARY | 1u << QR_INTEGERS_FRAMES);
    qr_buf_release(&out);
}

static void bytes_are_as_documented(void **state)
{
    (void)state;
    static const struct {
        int64_t x[6];
        uint32_t n;
        uint8_t bytes[16];
        uint32_t n_bytes;
    } cases[] = {
        {{-3}, 1, {2, 5}, 2},
        {{1, 1, 1, 1, 1, 9}, 6, {3, 2, 4, 16, 0}, 5},
        {{1, 2, 9, 1, 2, 9}, 6, {4, 1, 2, 0, 6, 0x24, 0x09}, 7},
        {{0, 1, 3, 7, 2, 6}, 6, {5, 0, 0, 3, 0xc8, 0x2e, 0x03}, 7},
        {{QR_INTEGER_MAX}, 1, {2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20}, 9},
    };
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct qr_buf out = {0};
        assert_int_equal(qr_integers_encode(&out, cases[c].x, cases[c].n), 0);
        assert_int_equal(out.len, cases[c].n_bytes);
        assert_memory_equal(out.base, cases[c].bytes, out.len);
        qr_buf_release(&out);
    }
}

/* Whatever the bytes, a column that is taken is of integers in their range. */
static void damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 52);
    static int64_t x[300], back[300];
    for (unsigned round = 0; round < 48; round++) {
        struct qr_buf out = {0};
        fill(&rng, round, x, 300);
        assert_int_equal(qr_integers_encode(&out, x, 300), 0);
        for (size_t len = 0; len < out.len; len++) {
            char *exact = malloc(len + (len == 0)); /* So that a sanitizer sees a read behind it. */
            if (len != 0)
                memcpy(exact, out.base, len);
            struct qr_cursor in = qr_cursor_of(qr_slice_of(exact, len));
            qr_integers_decode(&in, back, 300);
            assert_true(in.failed);
            free(exact);
        }
        for (unsigned i = 0; i < 500; i++) {
            size_t at = qr_rng_below(&rng, out.len);
            char was = out.base[at];
            out.base[at] = (char)qr_rng_next(&rng);
            struct qr_cursor in = qr_cursor_of(qr_buf_slice(&out));
            qr_integers_decode(&in, back, 300);
            for (uint32_t k = 0; k < 300 && !in.failed; k++)
                assert_true(llabs(back[k]) <= QR_INTEGER_MAX);
            out.base[at] = was;
        }
        qr_buf_release(&out);
    }
}

static void what_lies_beyond_is_refused(void **state)
{
    (void)state;
    int64_t x;
    uint8_t bytes[16] = {QR_INTEGERS_CONSTANT};
    for (int beyond = 0; beyond < 2; beyond++) {
        uint8_t *end = qr_put_varint(bytes + 1, qr_zigzag(-QR_INTEGER_MAX - beyond));
        struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, (size_t)(end - bytes)));
        qr_integers_decode(&in, &x, 1);
        assert_int_equal(in.failed, beyond);
    }
    for (unsigned mode = 0; mode < 256; mode++) { /* And ways that there are not. */
        if (mode >= QR_INTEGERS_CONSTANT && mode <= QR_INTEGERS_FRAMES)
            continue;
        struct qr_cursor in = qr_cursor_of(qr_slice_of((uint8_t[]){(uint8_t)mode, 0, 0, 0}, 4));
        qr_integers_decode(&in, &x, 1);
        assert_true(in.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_column_comes_back),
        cmocka_unit_test(bytes_are_as_documented),
        cmocka_unit_test(damaged_bytes_do_no_harm),
        cmocka_unit_test(what_lies_beyond_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
