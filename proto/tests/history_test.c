#include "proto/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/rng.h"
#include "proto/frame.h"
#include "testing/cmocka.h"

static struct qr_history_pool *new_pool(unsigned n_open)
{
    struct qr_history_pool *pool;
    assert_int_equal(qr_history_pool_new(&pool, n_open), 0);
    return pool;
}

/* Text that packs as a child's does. */
static void write_text(struct qr_buf *text, size_t len, uint64_t seed)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, seed);
    qr_buf_init(text, 0);
    while (text->len < len)
        qr_buf_printf(text, "SET \"dimension_%d\" = %d\n", (int)qr_rng_below(&rng, 300),
                      (int)qr_rng_below(&rng, 1000000));
    text->len = len;
}

/* Appends the next `n` bytes of `text` and checks that what is in front of them is right. */
static void say(struct qr_history *history, const struct qr_buf *text, size_t at, size_t n)
{
    char *out;
    size_t n_past;
    assert_int_equal(qr_history_open(history, &out, &n_past), 0);
    assert_true(n_past >= (at < QR_LZ4_WINDOW_BYTES ? at : QR_LZ4_WINDOW_BYTES));
    assert_true(n_past <= at);
    assert_memory_equal(out - n_past, text->base + at - n_past, n_past);
    memcpy(out, text->base + at, n);
    qr_history_add(history, n);
}

static void keeps_the_last_text_however_it_is_folded(void **state)
{
    struct qr_buf text;
    write_text(&text, 1500000, 1);
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct qr_history_pool *pool = new_pool(0);
        struct qr_history *history;
        struct qr_rng rng;
        qr_rng_seed(&rng, seed);
        assert_int_equal(qr_history_new(&history, pool), 0);
        size_t longest = seed % 2 == 0 ? 700 : QR_FRAME_PLAIN_BYTES_MAX;
        for (size_t at = 0, n; at < text.len; at += n) {
            n = qr_rng_below(&rng, (uint32_t)longest + 1);
            if (n > text.len - at)
                n = text.len - at;
            say(history, &text, at, n);
            if (qr_rng_below(&rng, 3) > 0) {
                qr_history_fold(history);
                assert_false(qr_history_is_open(history));
            }
        }
        qr_history_free(history);
        qr_history_pool_free(pool);
    }
    qr_buf_release(&text);
}

static void no_more_than_the_pool_allows_stay_open(void **state)
{
    enum { N = 5, OPEN = 2 };
    struct qr_history_pool *pool = new_pool(OPEN);
    struct qr_history *histories[N];
    struct qr_buf text;
    write_text(&text, 200000, 2);
    for (int i = 0; i < N; i++)
        assert_int_equal(qr_history_new(&histories[i], pool), 0);
    for (size_t at = 0; at + 5000 <= text.len; at += 5000)
        for (int i = 0; i < N; i++) {
            say(histories[i], &text, at, 5000);
            assert_true(qr_history_pool_n_open(pool) <= OPEN + 1);
            qr_history_rest(histories[i]);
            assert_true(qr_history_pool_n_open(pool) <= OPEN);
        }
    assert_true(qr_history_is_open(histories[0])); /* those that came first keep theirs ... */
    assert_false(qr_history_is_open(histories[4]));
    qr_history_fold(histories[0]); /* ... until they are silent */
    say(histories[4], &text, 200000, 0);
    qr_history_rest(histories[4]);
    assert_true(qr_history_is_open(histories[4]));
    for (int i = 0; i < N; i++)
        qr_history_free(histories[i]);
    assert_int_equal(qr_history_pool_n_open(pool), 0);
    qr_history_pool_free(pool);
    qr_buf_release(&text);
}

static void without_a_pool_it_stays_open(void **state)
{
    struct qr_history *history;
    struct qr_buf text;
    write_text(&text, 300000, 3);
    assert_int_equal(qr_history_new(&history, NULL), 0);
    for (size_t at = 0; at + 9000 <= text.len; at += 9000) {
        say(history, &text, at, 9000);
        qr_history_rest(history);
        qr_history_fold(history);
        assert_true(qr_history_is_open(history));
    }
    qr_history_free(history);
    qr_buf_release(&text);
}

struct connection {
    struct qr_compressor *compressor;
    struct qr_decompressor *decompressor;
    struct qr_buf text, heard;
};

static void send_some(struct connection *c, size_t n)
{
    struct qr_buf frames = {0};
    struct qr_slice said = qr_slice_of(c->text.base + c->heard.len, n), text;
    assert_int_equal(qr_frame_encode(c->compressor, said, &frames), 0);
    for (struct qr_slice in = qr_buf_slice(&frames); in.len > 0;) {
        ssize_t used = qr_frame_decode(c->decompressor, in, &text);
        assert_true(used > 0);
        qr_buf_add(&c->heard, text.base, text.len);
        in = qr_slice_of(in.base + used, in.len - (size_t)used);
    }
    qr_decompressor_rest(c->decompressor);
    qr_buf_release(&frames);
}

static void connections_that_take_turns_are_understood(void **state)
{
    enum { N = 4 };
    struct qr_history_pool *pool = new_pool(1);
    struct connection all[N] = {0};
    for (int i = 0; i < N; i++) {
        write_text(&all[i].text, 400000, 10 + (uint64_t)i);
        assert_int_equal(qr_compressor_new(&all[i].compressor, QR_COMPRESSION_LZ4, NULL), 0);
        assert_int_equal(qr_decompressor_new(&all[i].decompressor, QR_COMPRESSION_LZ4, pool), 0);
    }
    for (size_t n = 1; all[0].heard.len + n <= all[0].text.len; n = n * 7 % 23011 + 1)
        for (int i = 0; i < N; i++)
            send_some(&all[i], n);
    for (int i = 0; i < N; i++) {
        assert_true(all[i].heard.len > 300000);
        assert_memory_equal(all[i].heard.base, all[i].text.base, all[i].heard.len);
        qr_compressor_free(all[i].compressor);
        qr_decompressor_free(all[i].decompressor);
        qr_buf_release(&all[i].text);
        qr_buf_release(&all[i].heard);
    }
    qr_history_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_last_text_however_it_is_folded),
        cmocka_unit_test(no_more_than_the_pool_allows_stay_open),
        cmocka_unit_test(without_a_pool_it_stays_open),
        cmocka_unit_test(connections_that_take_turns_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
