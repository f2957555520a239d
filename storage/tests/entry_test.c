#include "storage/entry.h"

#include <lz4.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/rng.h"
#include "storage/tests/bases.h"
#include "storage/token.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define E QR_VALUE_EMPTY

static const uint32_t three[] = {7, E, 5u << 26 | 33};

static struct qr_buf encode(struct qr_entry_block *const *blocks, unsigned n)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_entry_encode(&out, blocks, n), 0);
    return out;
}

static void add(struct qr_entry_block *block, struct qr_entry_base *base, uint32_t chart,
                int64_t end_s, const uint32_t *values, uint32_t n)
{
    assert_int_equal(qr_entry_block_row(block, base, chart, end_s, values, n), 0);
}

/* ---- tokens ---- */

static void check_token(uint32_t base, uint32_t value)
{
    uint8_t bytes[QR_TOKEN_BYTES_MAX];
    const uint8_t *end = qr_token_put(bytes, base, value);
    uint32_t back = ~value;
    assert_true(end > bytes && end <= bytes + sizeof bytes);
    if (qr_token_take(bytes, end, base, &back) != end || back != value)
        fail_msg("base %08x value %08x came back as %08x", base, value, back);
    for (const uint8_t *cut = bytes; cut < end; cut++)
        assert_null(qr_token_take(bytes, cut, base, &back));
}

static uint32_t any_value(struct qr_rng *rng, uint32_t before)
{
    switch (qr_rng_below(rng, 12)) {
    case 0:
        return E;
    case 1:
        return (uint32_t)qr_rng_next(rng); /* All 32 bits: also what no packing makes. */
    case 2:
        return qr_value_pack((double)qr_rng_below(rng, 1000) / 8,
                             qr_rng_below(rng, 2) ? QR_VALUE_RESET : QR_VALUE_ANOMALOUS);
    case 3:
        return qr_value_pack((double)qr_rng_next(rng), 0); /* large */
    case 4:
        return 0;
    case 5:
        return qr_value_pack(qr_value_is_empty(before) ? 5 : -qr_value_unpack(before), 0);
    case 6:
    case 7:
        return qr_value_pack((qr_value_is_empty(before) ? 0 : qr_value_unpack(before)) +
                                 (double)qr_rng_below(rng, 100) / 10 - 5,
                             0);
    case 8:
        return qr_value_pack((double)qr_rng_below(rng, 1u << 30) / 1e7, 0);
    default:
        return before;
    }
}

static void every_value_comes_back_from_any_base(void **state)
{
    (void)state;
    static const uint32_t corners[] = {0,
                                       1,
                                       E,
                                       E | 1,
                                       UINT32_MAX,
                                       1u << 31,
                                       QR_VALUE_RESET,
                                       QR_VALUE_ANOMALOUS | 3,
                                       QR_VALUE_MANTISSA_MAX,
                                       1u << 31 | QR_VALUE_MANTISSA_MAX,
                                       7u << 26 | QR_VALUE_MANTISSA_MAX,
                                       1u << 31 | 7u << 26 | QR_VALUE_MANTISSA_MAX,
                                       8u << 26 | 5,
                                       21u << 26 | 5,
                                       1u << 26 | 125,
                                       1u << 26 | 120,
                                       12};
    for (size_t i = 0; i < QR_COUNT(corners); i++)
        for (size_t j = 0; j < QR_COUNT(corners); j++)
            check_token(corners[i], corners[j]);
    struct qr_rng rng;
    qr_rng_seed(&rng, 11);
    uint32_t base = 0;
    for (int i = 0; i < 300000; i++) {
        uint32_t value = any_value(&rng, base);
        check_token(base, value);
        base = value;
    }
}

static void what_moves_little_is_one_byte(void **state)
{
    (void)state;
    uint8_t bytes[QR_TOKEN_BYTES_MAX];
    assert_ptr_equal(qr_token_put(bytes, 16000000, 16000003), bytes + 1);
    assert_ptr_equal(qr_token_put(bytes, qr_value_pack(12.5, 0), qr_value_pack(12.53, 0)),
                     bytes + 1);
    assert_ptr_equal(qr_token_put(bytes, 5, E), bytes + 1);
    assert_ptr_equal(qr_token_put(bytes, E, 3), bytes + 1);
    assert_ptr_equal(qr_token_put(bytes, 3, 3 | QR_VALUE_ANOMALOUS), bytes + 5);
}

static void refuses_tokens_that_nobody_writes(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[6];
        uint32_t n, base;
    } cases[] = {
        {{0x0a}, 1, 0},                            /* a difference of 0 */
        {{0x08, 1, 2, 3}, 4, 0},                   /* 4 bytes of 5 */
        {{0x80, 0}, 2, 0},                         /* longer than needed */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 1}, 6, 0}, /* more than 31 bits */
        {{0x18}, 1, E},                            /* a difference to nothing */
        {{0x18}, 1, 8u << 26 | 5},                 /* and to a large number */
        {{0x8f, 0x7f}, 2, 7},                      /* 7 at 10^-7 does not fit */
        {{0x80, 0xff, 0xff, 0xff, 0x7f}, 5, 0},    /* nor does 2^30 */
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        uint32_t value;
        if (qr_token_take(cases[i].bytes, cases[i].bytes + cases[i].n, cases[i].base, &value))
            fail_msg("case %zu is taken", i);
    }
}

/* ---- bodies ---- */

static void rows_come_back_in_order(void **state)
{
    (void)state;
    struct qr_entry_block a, b;
    struct qr_entry_base bases[4] = {0};
    struct bases read = {0};
    qr_entry_block_init(&a);
    qr_entry_block_init(&b);
    a.host = 4;
    a.epoch = 2;
    a.block_seq = 77;
    b.host = 3;
    add(&a, &bases[0], 10, 1700000000, three, 3);
    add(&a, &bases[1], 9, 1700000001, three, 0);
    add(&a, &bases[2], UINT32_MAX, INT64_MIN, three, 1);
    add(&b, &bases[3], 1, INT64_MAX, three + 1, 2);
    assert_int_equal(a.n_samples, 4);
    struct qr_buf out = encode((struct qr_entry_block *[]){&a, &b}, 2);

    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&out)), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(host.host, 4);
    assert_int_equal(host.epoch, 2);
    assert_int_equal(host.block_seq, 77);
    assert_int_equal(host.n_rows, 3);
    assert_false(qr_entry_next_row(reader, &row)); /* not read yet */
    assert_int_equal(qr_entry_read_rows(reader, bases_find, &read), 0);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 10);
    assert_int_equal(row.end_s, 1700000000);
    assert_int_equal(row.n, 3);
    assert_memory_equal(row.values, three, sizeof three);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 9);
    assert_int_equal(row.n, 0);
    /* The third row is skipped. */
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(host.host, 3);
    assert_int_equal(qr_entry_read_rows(reader, bases_find, &read), 0);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 1);
    assert_true(row.end_s == INT64_MAX);
    assert_memory_equal(row.values, three + 1, 2 * sizeof *three);
    assert_false(qr_entry_next_row(reader, &row));
    assert_false(qr_entry_next_host(reader, &host));
    qr_entry_reader_free(reader);

    qr_entry_block_clear(&a);
    assert_int_equal(a.n_rows, 0);
    assert_int_equal(a.host, 4);
    qr_entry_block_release(&a);
    qr_entry_block_release(&b);
    for (size_t i = 0; i < QR_COUNT(bases); i++)
        qr_entry_base_release(&bases[i]);
    bases_release(&read);
    qr_buf_release(&out);
}

static void an_empty_batch_is_a_batch(void **state)
{
    (void)state;
    struct qr_buf out = encode(NULL, 0);
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&out)), 0);
    assert_false(qr_entry_next_host(reader, &host));
    qr_entry_reader_free(reader);
    qr_buf_release(&out);
}

/* ---- chains ---- */

/* Writers of some hosts, as sessions have them, and the rows of the tick that they are in. */
struct writer {
    struct qr_rng rng;
    struct bases bases;
    uint32_t cells[BASES_HOSTS][BASES_CHARTS][40];
    uint32_t n[BASES_HOSTS][BASES_CHARTS];
    struct qr_entry_block blocks[BASES_HOSTS];
    int64_t now_s;
    struct {
        uint32_t host, chart, n, cells[40];
        int64_t end_s;
    } rows[4000];
    size_t n_rows, n_taken;
};

static void writer_init(struct writer *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    qr_rng_seed(&w->rng, seed);
    w->now_s = 1700000000;
    for (uint32_t h = 0; h < BASES_HOSTS; h++) {
        w->blocks[h].host = h;
        w->blocks[h].epoch = 1;
    }
}

static void writer_release(struct writer *w)
{
    bases_release(&w->bases);
    for (uint32_t h = 0; h < BASES_HOSTS; h++)
        qr_entry_block_release(&w->blocks[h]);
}

static void write_row(struct writer *w, uint32_t h, uint32_t c, int64_t end_s)
{
    if (w->n_rows == QR_COUNT(w->rows))
        return;
    if (qr_rng_below(&w->rng, 50) == 0)
        w->n[h][c] = (uint32_t)qr_rng_below(&w->rng, 40);
    uint64_t calm = qr_rng_below(&w->rng, 3);
    uint32_t *cells = w->cells[h][c];
    for (uint32_t i = 0; i < w->n[h][c]; i++)
        if (calm == 0 || (calm == 1 && qr_rng_below(&w->rng, 8) == 0))
            cells[i] = any_value(&w->rng, cells[i]);
    add(&w->blocks[h], &w->bases.at[h][c], c, end_s, cells, w->n[h][c]);
    w->rows[w->n_rows].host = h;
    w->rows[w->n_rows].chart = c;
    w->rows[w->n_rows].end_s = end_s;
    w->rows[w->n_rows].n = w->n[h][c];
    memcpy(w->rows[w->n_rows++].cells, cells, sizeof w->rows->cells);
}

/* A tick of all hosts: live rows, now and then a replay of one chart, a new session. */
static struct qr_buf write_tick(struct writer *w)
{
    struct qr_entry_block *blocks[BASES_HOSTS];
    w->n_rows = w->n_taken = 0;
    w->now_s += 1 + (int64_t)(qr_rng_below(&w->rng, 20) == 0) * 700;
    for (uint32_t h = 0; h < BASES_HOSTS; h++) {
        struct qr_entry_block *block = blocks[h] = &w->blocks[h];
        qr_entry_block_clear(block);
        block->block_seq++;
        if (qr_rng_below(&w->rng, 30) == 0) {
            block->epoch++;
            for (size_t c = 0; c < BASES_CHARTS; c++)
                qr_entry_base_reset(&w->bases.at[h][c]);
        }
        for (uint32_t c = 0; c < BASES_CHARTS; c++)
            if (qr_rng_below(&w->rng, 10) != 0)
                write_row(w, h, c, w->now_s);
        if (qr_rng_below(&w->rng, 10) == 0)
            for (int64_t t = w->now_s - 90, c = (int64_t)qr_rng_below(&w->rng, BASES_CHARTS);
                 t < w->now_s; t++)
                write_row(w, h, (uint32_t)c, t);
    }
    return encode(blocks, BASES_HOSTS);
}

static void take_rows(struct writer *w, struct qr_entry_reader *reader, uint32_t h)
{
    struct qr_entry_row row;
    while (qr_entry_next_row(reader, &row)) {
        assert_true(w->n_taken < w->n_rows);
        assert_int_equal(w->rows[w->n_taken].host, h);
        assert_int_equal(w->rows[w->n_taken].chart, row.chart);
        assert_true(w->rows[w->n_taken].end_s == row.end_s);
        assert_int_equal(w->rows[w->n_taken].n, row.n);
        assert_memory_equal(w->rows[w->n_taken].cells, row.values, row.n * sizeof *row.values);
        w->n_taken++;
    }
}

static void read_tick(struct writer *w, struct bases *bases, struct qr_slice body)
{
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    assert_int_equal(qr_entry_reader_new(&reader, body), 0);
    while (qr_entry_next_host(reader, &host)) {
        assert_int_equal(qr_entry_read_rows(reader, bases_find, bases), 0);
        take_rows(w, reader, host.host);
    }
    assert_int_equal(w->n_taken, w->n_rows);
    qr_entry_reader_free(reader);
}

/* What a snapshot does to a base. */
static void go_through_bytes(struct bases *bases)
{
    for (size_t h = 0; h < BASES_HOSTS; h++) {
        for (size_t c = 0; c < BASES_CHARTS; c++) {
            struct qr_buf bytes = {0};
            assert_int_equal(qr_entry_base_encode(&bytes, &bases->at[h][c]), 0);
            qr_entry_base_release(&bases->at[h][c]);
            struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
            assert_int_equal(qr_entry_base_decode(&bases->at[h][c], &in), 0);
            assert_true(qr_cursor_done(&in));
            for (size_t len = 0; len < bytes.len; len++) {
                struct qr_entry_base cut = {0};
                in = qr_cursor_of(qr_slice_of(bytes.base, len));
                assert_int_equal(qr_entry_base_decode(&cut, &in), QR_E_MALFORMED);
                qr_entry_base_release(&cut);
            }
            qr_buf_release(&bytes);
        }
    }
}

static void random_chains_come_back(void **state)
{
    (void)state;
    static struct writer w;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct bases steady = {0}, shaky = {0};
        writer_init(&w, seed);
        for (int tick = 0; tick < 150; tick++) {
            struct qr_buf body = write_tick(&w);
            read_tick(&w, &steady, qr_buf_slice(&body));
            w.n_taken = 0;
            read_tick(&w, &shaky, qr_buf_slice(&body));
            qr_buf_release(&body);
            if (tick % 40 == 7)
                go_through_bytes(&shaky);
            assert_true(bases_equal(&steady, &shaky));
        }
        bases_release(&steady);
        bases_release(&shaky);
        writer_release(&w);
    }
}

/* Without bases blocks can be stepped over, and one that is missing is noticed by the next. */
static void a_lost_block_refuses_the_next_as_a_whole(void **state)
{
    (void)state;
    struct qr_entry_block block;
    struct qr_entry_base written[2] = {0};
    struct bases read = {0}, before = {0};
    struct qr_buf bodies[4];
    qr_entry_block_init(&block);
    block.host = 1;
    block.epoch = 6;
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 2)
            qr_entry_base_reset(&written[1]);
        qr_entry_block_clear(&block);
        add(&block, &written[1], 2, 5000 + i, (uint32_t[]){1, 2 + i}, 2);
        add(&block, &written[0], 1, 5000 + i, (uint32_t[]){9, 100 + i, E}, 3);
        bodies[i] = encode((struct qr_entry_block *[]){&block}, 1);
    }
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    static const int expected[] = {QR_E_GAP, 0, QR_E_CORRUPT, 0};
    static const unsigned order[] = {1, 0, 2, 1};
    for (size_t i = 0; i < QR_COUNT(order); i++) {
        /* The third: its first row is a KEY row and fits, its second one does not. */
        bases_copy(&before, &read);
        assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&bodies[order[i]])), 0);
        assert_true(qr_entry_next_host(reader, &host));
        assert_int_equal(qr_entry_read_rows(reader, bases_find, &read), expected[i]);
        assert_int_equal(qr_entry_next_row(reader, &row), expected[i] == 0);
        assert_int_equal(bases_equal(&before, &read), expected[i] != 0);
        assert_false(qr_entry_next_host(reader, &host));
        qr_entry_reader_free(reader);
    }
    /* Another epoch: the last body is as good as any other, but for its bases. */
    read.at[1][1].epoch = 5;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&bodies[3])), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(qr_entry_read_rows(reader, bases_find, &read), QR_E_GAP);
    qr_entry_reader_free(reader);
    /* Another width. */
    read.at[1][1].epoch = 6;
    read.at[1][1].n = 2;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&bodies[3])), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_not_equal(qr_entry_read_rows(reader, bases_find, &read), 0);
    qr_entry_reader_free(reader);

    for (size_t i = 0; i < 4; i++)
        qr_buf_release(&bodies[i]);
    qr_entry_base_release(&written[0]);
    qr_entry_base_release(&written[1]);
    qr_entry_block_release(&block);
    bases_release(&read);
    bases_release(&before);
}

static void rows_of_unknown_charts(void **state)
{
    (void)state;
    struct qr_entry_block block;
    struct qr_entry_base written = {0};
    struct bases read = {0};
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    qr_entry_block_init(&block);
    block.epoch = 1;
    add(&block, &written, BASES_CHARTS + 5, 100, three, 3);
    struct qr_buf body = encode((struct qr_entry_block *[]){&block}, 1);
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&body)), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(qr_entry_read_rows(reader, bases_find, &read), 0);
    assert_true(qr_entry_next_row(reader, &row)); /* the caller knows what to do with it */
    assert_memory_equal(row.values, three, sizeof three);
    qr_entry_reader_free(reader);
    qr_buf_release(&body);
    add(&block, &written, BASES_CHARTS + 5, 101, three, 3);
    body = encode((struct qr_entry_block *[]){&block}, 1);
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&body)), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(qr_entry_read_rows(reader, bases_find, &read), QR_E_GAP);
    qr_entry_reader_free(reader);
    qr_buf_release(&body);
    qr_entry_base_release(&written);
    qr_entry_block_release(&block);
}

/* A calm chart has a KEY row every QR_ENTRY_KEY_S, not all in one second. */
static void key_rows_come_in_turn(void **state)
{
    (void)state;
    struct qr_entry_block block;
    struct qr_entry_base written[2] = {0};
    unsigned n_keys[2] = {0};
    int64_t last[2] = {0};
    qr_entry_block_init(&block);
    for (int64_t t = 1; t <= 3 * QR_ENTRY_KEY_S; t++) {
        for (uint32_t c = 0; c < 2; c++) {
            qr_entry_block_clear(&block);
            add(&block, &written[c], 1 + c * 70, t, (uint32_t[]){1, 2}, 2);
            if ((block.tags.base[0] & 0x10) != 0) {
                n_keys[c]++;
                last[c] = t;
            }
        }
    }
    assert_int_equal(n_keys[0], 4); /* the first, and three */
    assert_int_equal(n_keys[1], 4);
    assert_int_not_equal(last[0], last[1]);
    qr_entry_base_release(&written[0]);
    qr_entry_base_release(&written[1]);
    qr_entry_block_release(&block);
}

/* ---- damage ---- */

static void read_damaged(struct bases *bases, const struct bases *before, struct qr_slice body)
{
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    uint64_t sum = 0;
    bool all_refused = true;
    if (qr_entry_reader_new(&reader, body) != 0)
        return;
    while (qr_entry_next_host(reader, &host)) {
        if (qr_entry_read_rows(reader, bases_find, bases) == 0)
            all_refused = false;
        while (qr_entry_next_row(reader, &row))
            for (uint32_t i = 0; i < row.n; i++)
                sum += row.values[i];
    }
    qr_entry_reader_free(reader);
    if (all_refused)
        assert_true(bases_equal(bases, before));
    else
        bases_copy(bases, before);
    (void)sum;
}

static void damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    static struct writer w;
    struct bases before = {0}, bases = {0};
    writer_init(&w, 99);
    struct qr_buf body = {0};
    for (int tick = 0; tick < 5; tick++) {
        qr_buf_release(&body);
        bases_copy(&before, &bases);
        body = write_tick(&w);
        read_tick(&w, &bases, qr_buf_slice(&body));
    }
    bases_copy(&bases, &before);
    struct qr_entry_reader *reader;
    for (size_t len = 0; len < body.len; len++)
        assert_int_not_equal(qr_entry_reader_new(&reader, qr_slice_of(body.base, len)), 0);
    for (size_t i = 0; i < body.len; i++) {
        for (unsigned change = 1; change < 256; change = change * 2 + (change == 64)) {
            body.base[i] = (char)(body.base[i] ^ (int)change);
            read_damaged(&bases, &before, qr_buf_slice(&body));
            body.base[i] = (char)(body.base[i] ^ (int)change);
        }
    }
    qr_buf_release(&body);
    bases_release(&bases);
    bases_release(&before);
    writer_release(&w);
}

/* A body with these plain bytes. */
static struct qr_buf body_of(const uint8_t *plain, uint32_t n, uint32_t announced)
{
    struct qr_buf out = {0};
    qr_buf_add_u8(&out, 2);
    qr_buf_add_u32(&out, announced);
    qr_buf_reserve(&out, 1024);
    int len = LZ4_compress_default((const char *)plain, out.base + out.len, (int)n, 1000);
    assert_true(len > 0);
    out.len += (size_t)len;
    return out;
}

static void refuses_what_does_not_add_up(void **state)
{
    (void)state;
    /* Host 5: a KEY row of chart 1 at second 2, one value: 1. */
    static const struct {
        uint8_t plain[32];
        uint32_t n, announced;
        int err, rows_err;
    } cases[] = {
        {{1, 5, 1, 1, 1, 2, 0, 1, 0x7f, 0xe1, 0x22, 0x95, 0x1a, 4, 1, 0x20}, 16, 16, 0, 0},
        {{1, 5, 1, 1, 1, 2, 0, 1, 0x7f, 0xe1, 0x22, 0x95, 0x1a, 4, 1, 0x30},
         16,
         16,
         0,
         QR_E_CORRUPT},
        {{1, 5, 1, 1, 1, 2, 0, 1, 0, 0, 0, 0, 0x1a, 4, 1, 0x00}, 16, 17, QR_E_MALFORMED, 0},
        {{1, 5, 1, 1, 1, 2, 0, 2, 0, 0, 0, 0, 0x1a, 4, 1, 0x00}, 16, 16, QR_E_MALFORMED, 0},
        {{1, 5, 1, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0x1a, 4, 1, 0x00}, 16, 16, QR_E_MALFORMED, 0},
        {{2, 5, 1, 1, 1, 2, 0, 1, 0, 0, 0, 0, 0x1a, 4, 1, 0x00}, 16, 16, QR_E_MALFORMED, 0},
        /* No delta without a base; a width too many; a token too many; both tags; an unknown tag;
         * chart -1; a bit behind the row. */
        {{1, 5, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0x0a, 4, 0x00}, 15, 15, 0, QR_E_GAP},
        {{1, 5, 1, 1, 1, 3, 0, 1, 0, 0, 0, 0, 0x1a, 4, 1, 1, 0x00}, 17, 17, 0, QR_E_MALFORMED},
        {{1, 5, 1, 1, 1, 2, 0, 2, 0, 0, 0, 0, 0x1a, 4, 1, 0, 0}, 17, 17, 0, QR_E_MALFORMED},
        {{1, 5, 1, 1, 1, 2, 0, 1, 0, 0, 0, 0, 0x1e, 4, 1, 0x00}, 16, 16, 0, QR_E_MALFORMED},
        {{1, 5, 1, 1, 1, 2, 0, 1, 0, 0, 0, 0, 0x3a, 4, 1, 0x00}, 16, 16, 0, QR_E_MALFORMED},
        {{1, 5, 1, 1, 1, 3, 0, 1, 0, 0, 0, 0, 0x1b, 3, 4, 1, 0}, 17, 17, 0, QR_E_MALFORMED},
        {{1, 5, 1, 1, 1, 2, 1, 1, 0, 0, 0, 0, 0x16, 4, 1, 2, 0}, 17, 17, 0, QR_E_MALFORMED},
        {{0, 1}, 2, 2, QR_E_MALFORMED, 0},
        {{0}, 1, QR_ENTRY_PLAIN_BYTES_MAX + 1, QR_E_LIMIT, 0},
        {{0}, 1, QR_ENTRY_PLAIN_BYTES_MAX, QR_E_MALFORMED, 0},
    };
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct bases read = {0};
        struct qr_buf body = body_of(cases[c].plain, cases[c].n, cases[c].announced);
        struct qr_entry_reader *reader = NULL;
        struct qr_entry_host host;
        int err = qr_entry_reader_new(&reader, qr_buf_slice(&body));
        if (err != cases[c].err)
            fail_msg("case %zu: %d, expected %d", c, err, cases[c].err);
        if (err == 0) {
            assert_true(qr_entry_next_host(reader, &host));
            err = qr_entry_read_rows(reader, bases_find, &read);
            if (err != cases[c].rows_err)
                fail_msg("case %zu: rows %d, expected %d", c, err, cases[c].rows_err);
            qr_entry_reader_free(reader);
        }
        body.base[0] = 1;
        assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&body)), QR_E_VERSION);
        qr_buf_release(&body);
        bases_release(&read);
    }
}

/* ---- limits ---- */

/* However its rows are, a full block goes into a body, and a reader takes it. */
static void check_full_block(const uint32_t *const *rows, uint32_t n)
{
    struct qr_entry_block full, first;
    struct qr_entry_base base = {0}, other = {0};
    struct bases read = {0};
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    qr_entry_block_init(&full);
    qr_entry_block_init(&first);
    first.host = 1;
    int err = 0;
    for (int64_t t = 0; err == 0; t++)
        err = qr_entry_block_row(&full, &base, 1, t, rows[t % 2], n);
    assert_int_equal(err, QR_E_LIMIT);
    /* What a batch may hold before it. */
    for (int64_t t = 0; qr_entry_block_bytes(&first) < QR_BATCH_BYTES_MAX; t++)
        add(&first, &other, 1, t, rows[t % 2], n / 64);
    struct qr_buf out = encode((struct qr_entry_block *[]){&first, &full}, 2);
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&out)), 0);
    while (qr_entry_next_host(reader, &host))
        assert_int_equal(qr_entry_read_rows(reader, bases_find, &read), 0);
    qr_entry_reader_free(reader);
    qr_buf_release(&out);
    qr_entry_block_clear(&full);
    add(&full, &base, 1, 1, rows[0], n);
    qr_entry_block_release(&full);
    qr_entry_block_release(&first);
    qr_entry_base_release(&base);
    qr_entry_base_release(&other);
    bases_release(&read);
}

static void a_block_takes_no_more_than_fits(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 5);
    static uint32_t noise[2][QR_DIMS_PER_CHART_MAX];
    for (size_t i = 0; i < 2 * QR_DIMS_PER_CHART_MAX; i++)
        noise[i % 2][i / 2] = (uint32_t)qr_rng_next(&rng);
    const uint32_t *const changing[] = {noise[0], noise[1]}, *const calm[] = {noise[0], noise[0]};
    check_full_block(changing, QR_DIMS_PER_CHART_MAX);
    check_full_block(calm, QR_DIMS_PER_CHART_MAX);
    check_full_block(changing, 64);
    check_full_block(calm, 64);
}

static void too_large_a_batch_is_refused(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 5);
    struct qr_entry_block block;
    struct qr_entry_base base = {0};
    qr_entry_block_init(&block);
    uint32_t noise[64];
    int err = 0;
    while (err == 0) {
        for (size_t i = 0; i < QR_COUNT(noise); i++)
            noise[i] = (uint32_t)qr_rng_next(&rng);
        err = qr_entry_block_row(&block, &base, 1, 1, noise, QR_COUNT(noise));
    }
    struct qr_entry_block *blocks[] = {&block, &block, &block, &block, &block, &block, &block};
    struct qr_buf out = {0};
    qr_buf_add_u8(&out, 7);
    assert_int_equal(qr_entry_encode(&out, blocks, 2), QR_E_LIMIT);
    assert_int_equal(qr_entry_encode(&out, blocks, 7), QR_E_LIMIT);
    assert_int_equal(out.len, 1);
    qr_buf_release(&out);
    qr_entry_block_release(&block);
    qr_entry_base_release(&base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_comes_back_from_any_base),
        cmocka_unit_test(what_moves_little_is_one_byte),
        cmocka_unit_test(refuses_tokens_that_nobody_writes),
        cmocka_unit_test(rows_come_back_in_order),
        cmocka_unit_test(an_empty_batch_is_a_batch),
        cmocka_unit_test(random_chains_come_back),
        cmocka_unit_test(a_lost_block_refuses_the_next_as_a_whole),
        cmocka_unit_test(rows_of_unknown_charts),
        cmocka_unit_test(key_rows_come_in_turn),
        cmocka_unit_test(damaged_bytes_do_no_harm),
        cmocka_unit_test(refuses_what_does_not_add_up),
        cmocka_unit_test(a_block_takes_no_more_than_fits),
        cmocka_unit_test(too_large_a_batch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
