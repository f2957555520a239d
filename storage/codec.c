#include "storage/codec.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/pack.h"
#include "storage/value.h"

enum mode { MODE_EMPTY, MODE_RAW, MODE_CONSTANT, MODE_RUNS, MODE_DICTIONARY, MODE_BLOCKS };

#define HEAD_MODE      7u
#define HEAD_GAPS      8u
#define HEAD_RESETS    16u
#define HEAD_ANOMALIES 32u
#define MAP_RUNS       0
#define MAP_BITS       1
#define INTEGER_MAX    QR_CODEC_INTEGER_MAX
#define DICTIONARY_MAX 256u
#define HASH_SLOTS     1024u

void qr_codec_release(struct qr_codec *codec)
{
    free(codec->x);
    free(codec->values);
    free(codec->maps);
    *codec = (struct qr_codec){0};
}

static int reserve(struct qr_codec *codec, uint32_t n)
{
    if (n <= codec->capacity)
        return 0;
    qr_codec_release(codec);
    codec->x = malloc(n * sizeof *codec->x);
    codec->values = malloc(n * sizeof *codec->values);
    codec->maps = calloc(3, n);
    if (codec->x == NULL || codec->values == NULL || codec->maps == NULL) {
        qr_codec_release(codec);
        return UV_ENOMEM;
    }
    codec->capacity = n;
    return 0;
}

/* ---- maps: which of n places are marked ---- */

static size_t map_bits_bytes(uint32_t n)
{
    return ((size_t)n + 7) / 8;
}

/* Lengths of runs, the first of places that are not marked, in turn. */
static size_t map_runs_bytes(const uint8_t *map, uint32_t n)
{
    size_t bytes = 0;
    uint8_t kind = 0;
    for (uint32_t at = 0; at < n; kind ^= 1) {
        uint32_t from = at;
        while (at < n && map[at] == kind)
            at++;
        bytes += qr_varint_bytes(at - from);
    }
    return bytes;
}

static uint8_t *put_map(uint8_t *p, const uint8_t *map, uint32_t n)
{
    if (map_runs_bytes(map, n) <= map_bits_bytes(n)) {
        *p++ = MAP_RUNS;
        uint8_t kind = 0;
        for (uint32_t at = 0; at < n; kind ^= 1) {
            uint32_t from = at;
            while (at < n && map[at] == kind)
                at++;
            p = qr_put_varint(p, at - from);
        }
        return p;
    }
    *p++ = MAP_BITS;
    memset(p, 0, map_bits_bytes(n));
    for (uint32_t i = 0; i < n; i++)
        p[i / 8] |= (uint8_t)(map[i] << i % 8);
    return p + map_bits_bytes(n);
}

/* How many places are marked; fails the cursor. */
static uint32_t take_map(struct qr_cursor *in, uint8_t *map, uint32_t n)
{
    uint32_t n_marked = 0;
    uint8_t form = qr_cursor_u8(in);
    if (form == MAP_RUNS) {
        uint8_t kind = 0;
        for (uint32_t at = 0; at < n && !in->failed; kind ^= 1) {
            uint32_t len = (uint32_t)qr_cursor_varint_max(in, n - at);
            if (len == 0 && at != 0)
                in->failed = true;
            memset(map + at, kind, len);
            n_marked += kind * len;
            at += len;
            if (len == 0 && kind == 1)
                in->failed = true;
        }
    } else if (form == MAP_BITS) {
        struct qr_slice bits = qr_cursor_take(in, map_bits_bytes(n));
        for (uint32_t i = 0; i < n && !in->failed; i++) {
            map[i] = (uint8_t)bits.base[i / 8] >> i % 8 & 1;
            n_marked += map[i];
        }
    } else {
        in->failed = true;
    }
    return n_marked;
}

/* ---- integers: encoding ---- */

static size_t runs_bytes(const int64_t *x, uint32_t n)
{
    size_t bytes = qr_varint_bytes(qr_zigzag(x[0]));
    for (uint32_t at = 0; at < n;) {
        uint32_t from = at;
        while (at < n && x[at] == x[from])
            at++;
        bytes += qr_varint_bytes(at - from - 1);
        if (at < n)
            bytes += qr_varint_bytes(qr_zigzag(x[at] - x[from]));
    }
    return bytes;
}

static uint8_t *put_runs(uint8_t *p, const int64_t *x, uint32_t n)
{
    p = qr_put_varint(p, qr_zigzag(x[0]));
    for (uint32_t at = 0; at < n;) {
        uint32_t from = at;
        while (at < n && x[at] == x[from])
            at++;
        p = qr_put_varint(p, at - from - 1);
        if (at < n)
            p = qr_put_varint(p, qr_zigzag(x[at] - x[from]));
    }
    return p;
}

struct dictionary {
    uint32_t n;
    int64_t sorted[DICTIONARY_MAX];
    uint16_t slots[HASH_SLOTS]; /* Place in `found` + 1. */
    int64_t found[DICTIONARY_MAX];
    uint8_t rank[DICTIONARY_MAX]; /* Of found[i] in sorted. */
};

static uint16_t *slot_of(struct dictionary *dictionary, int64_t x)
{
    uint32_t i = (uint32_t)((uint64_t)x * UINT64_C(0x9e3779b97f4a7c15) >> 54);
    while (dictionary->slots[i] != 0 && dictionary->found[dictionary->slots[i] - 1] != x)
        i = (i + 1) % HASH_SLOTS;
    return &dictionary->slots[i];
}

static int compare_integers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The distinct values of x, sorted; false: more than DICTIONARY_MAX. */
static bool collect(struct dictionary *dictionary, const int64_t *x, uint32_t n)
{
    dictionary->n = 0;
    memset(dictionary->slots, 0, sizeof dictionary->slots);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && x[i] == x[i - 1])
            continue;
        uint16_t *slot = slot_of(dictionary, x[i]);
        if (*slot != 0)
            continue;
        if (dictionary->n == DICTIONARY_MAX)
            return false;
        dictionary->found[dictionary->n] = x[i];
        *slot = (uint16_t)++dictionary->n;
    }
    memcpy(dictionary->sorted, dictionary->found, dictionary->n * sizeof *dictionary->sorted);
    qsort(dictionary->sorted, dictionary->n, sizeof *dictionary->sorted, compare_integers);
    for (uint32_t rank = 0; rank < dictionary->n; rank++)
        dictionary->rank[*slot_of(dictionary, dictionary->sorted[rank]) - 1] = (uint8_t)rank;
    return true;
}

static size_t dictionary_bytes(const struct dictionary *dictionary, uint32_t n)
{
    const int64_t *v = dictionary->sorted;
    size_t bytes = qr_varint_bytes(dictionary->n - 2) + qr_varint_bytes(qr_zigzag(v[0]));
    for (uint32_t i = 1; i < dictionary->n; i++)
        bytes += qr_varint_bytes((uint64_t)(v[i] - v[i - 1]) - 1);
    return bytes + qr_packed_bytes(n, qr_bit_width(dictionary->n - 1));
}

static uint8_t *put_dictionary(uint8_t *p, struct dictionary *dictionary, const int64_t *x,
                               uint32_t n)
{
    const int64_t *v = dictionary->sorted;
    p = qr_put_varint(p, dictionary->n - 2);
    p = qr_put_varint(p, qr_zigzag(v[0]));
    for (uint32_t i = 1; i < dictionary->n; i++)
        p = qr_put_varint(p, (uint64_t)(v[i] - v[i - 1]) - 1);
    unsigned width = qr_bit_width(dictionary->n - 1);
    uint64_t indexes[QR_PACK_BLOCK];
    for (uint32_t at = 0; at < n; at += QR_PACK_BLOCK) {
        uint32_t n_block = n - at < QR_PACK_BLOCK ? n - at : QR_PACK_BLOCK;
        for (uint32_t i = 0; i < n_block; i++) {
            if (i > 0 && x[at + i] == x[at + i - 1])
                indexes[i] = indexes[i - 1];
            else
                indexes[i] = dictionary->rank[*slot_of(dictionary, x[at + i]) - 1];
        }
        p = qr_put_packed(p, indexes, n_block, width);
    }
    return p;
}

static size_t blocks_bytes(const int64_t *x, uint32_t n)
{
    size_t bytes = 0;
    struct qr_block_plan plan;
    for (uint32_t at = 0; at < n; at += QR_PACK_BLOCK)
        bytes += qr_block_plan(&plan, x, at, n);
    return bytes;
}

static uint8_t *put_blocks(uint8_t *p, const int64_t *x, uint32_t n)
{
    struct qr_block_plan plan;
    for (uint32_t at = 0; at < n; at += QR_PACK_BLOCK) {
        qr_block_plan(&plan, x, at, n);
        p = qr_put_block(p, &plan);
    }
    return p;
}

static uint8_t *put_integers(uint8_t *p, uint8_t *head, const int64_t *x, uint32_t n)
{
    uint32_t same = 1;
    while (same < n && x[same] == x[0])
        same++;
    if (same == n) {
        *head |= MODE_CONSTANT;
        return qr_put_varint(p, qr_zigzag(x[0]));
    }
    size_t best = runs_bytes(x, n);
    enum mode mode = MODE_RUNS;
    struct dictionary dictionary;
    /* Blocks take two bytes each at least: no need to look if runs take no more. */
    if (best > 2 * ((n + QR_PACK_BLOCK - 1) / QR_PACK_BLOCK)) {
        if (collect(&dictionary, x, n) && dictionary_bytes(&dictionary, n) < best) {
            best = dictionary_bytes(&dictionary, n);
            mode = MODE_DICTIONARY;
        }
        if (blocks_bytes(x, n) < best)
            mode = MODE_BLOCKS;
    }
    *head |= (uint8_t)mode;
    return mode == MODE_RUNS         ? put_runs(p, x, n)
           : mode == MODE_DICTIONARY ? put_dictionary(p, &dictionary, x, n)
                                     : put_blocks(p, x, n);
}

/* ---- integers: decoding ---- */

static void take_runs(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    int64_t value = qr_cursor_zigzag(in);
    for (uint32_t at = 0; at < n && !in->failed;) {
        uint32_t len = (uint32_t)qr_cursor_varint_max(in, n - at - 1) + 1;
        for (uint32_t i = 0; i < len; i++)
            x[at + i] = value;
        at += len;
        if (at < n)
            value = qr_add_wrapping(value, qr_cursor_zigzag(in));
    }
}

static void take_dictionary(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    int64_t values[DICTIONARY_MAX];
    uint32_t n_values = (uint32_t)qr_cursor_varint_max(in, DICTIONARY_MAX - 2) + 2;
    values[0] = qr_cursor_zigzag(in);
    for (uint32_t i = 1; i < n_values; i++)
        values[i] = qr_add_wrapping(values[i - 1], (int64_t)(qr_cursor_varint(in) + 1));
    unsigned width = qr_bit_width(n_values - 1);
    uint64_t indexes[QR_PACK_BLOCK];
    for (uint32_t at = 0; at < n && !in->failed; at += QR_PACK_BLOCK) {
        uint32_t n_block = n - at < QR_PACK_BLOCK ? n - at : QR_PACK_BLOCK;
        qr_take_packed(in, indexes, n_block, width);
        for (uint32_t i = 0; i < n_block && !in->failed; i++) {
            if (indexes[i] >= n_values) {
                in->failed = true;
                return;
            }
            x[at + i] = values[indexes[i]];
        }
    }
}

static void take_blocks(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    for (uint32_t at = 0; at < n && !in->failed; at += QR_PACK_BLOCK)
        qr_take_block(in, x + at, n - at < QR_PACK_BLOCK ? n - at : QR_PACK_BLOCK);
}

/* ---- values <-> integers ---- */

static const int64_t powers[16] = {1,
                                   10,
                                   100,
                                   1000,
                                   10000,
                                   100000,
                                   1000000,
                                   10000000,
                                   100000000,
                                   1000000000,
                                   10000000000,
                                   100000000000,
                                   1000000000000,
                                   10000000000000,
                                   100000000000000,
                                   1000000000000000};

/* Integers at the least exponent; false: not all of them are canonical values that fit. */
static bool to_integers(const uint32_t *values, uint32_t n, int64_t *x, int *exponent)
{
    int least = INT32_MAX;
    bool whole = true;
    for (uint32_t i = 0; i < n; i++) {
        whole &= values[i] <= QR_VALUE_MANTISSA_MAX;
        if (values[i] == 0)
            continue;
        if (values[i] > QR_VALUE_MANTISSA_MAX &&
            (!qr_value_is_canonical(values[i]) || qr_value_is_empty(values[i])))
            return false;
        int e = qr_value_exponent(values[i]);
        least = e < least ? e : least;
    }
    *exponent = least == INT32_MAX ? 0 : least;
    for (uint32_t i = 0; i < n; i++) {
        if (whole) {
            x[i] = values[i];
            continue;
        }
        int64_t m = qr_value_mantissa(values[i]);
        int shift = m != 0 ? qr_value_exponent(values[i]) - *exponent : 0;
        if (shift > 15 || llabs(m) > INTEGER_MAX / powers[shift])
            return false;
        x[i] = m * powers[shift];
    }
    return true;
}

static bool from_integers(const int64_t *x, uint32_t n, int exponent, uint32_t *values)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && x[i] == x[i - 1]) {
            values[i] = values[i - 1];
            continue;
        }
        if (exponent == 0 && (uint64_t)x[i] <= QR_VALUE_MANTISSA_MAX) {
            values[i] = (uint32_t)x[i];
            continue;
        }
        if (x[i] > INTEGER_MAX || x[i] < -INTEGER_MAX)
            return false;
        values[i] = qr_value_of_decimal(x[i], exponent);
        if (qr_value_is_empty(values[i]))
            return false;
    }
    return true;
}

/* ---- a series ---- */

/* What is present, without flags, to codec->values; how many.  The maps show what was not. */
static uint32_t separate(struct qr_codec *codec, const uint32_t *values, uint32_t n,
                         uint32_t stride, uint8_t *head)
{
    uint8_t *gaps = codec->maps, *resets = gaps + n, *anomalies = resets + n;
    uint32_t n_present = 0, flags = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t value = values[(size_t)i * stride];
        gaps[i] = value == QR_VALUE_EMPTY;
        if (gaps[i])
            continue;
        flags |= value;
        resets[n_present] = (value & QR_VALUE_RESET) != 0;
        anomalies[n_present] = (value & QR_VALUE_ANOMALOUS) != 0;
        codec->values[n_present++] = value & ~QR_VALUE_FLAGS;
    }
    *head = (uint8_t)((n_present < n ? HEAD_GAPS : 0) | (flags & QR_VALUE_RESET ? HEAD_RESETS : 0) |
                      (flags & QR_VALUE_ANOMALOUS ? HEAD_ANOMALIES : 0));
    return n_present;
}

static uint8_t *put_values(struct qr_codec *codec, uint8_t *p, uint8_t *head, uint32_t n)
{
    int exponent;
    if (to_integers(codec->values, n, codec->x, &exponent)) {
        *p++ = (uint8_t)(exponent - QR_VALUE_EXPONENT_MIN);
        return put_integers(p, head, codec->x, n);
    }
    *head |= MODE_RAW;
    for (uint32_t i = 0; i < n; i++)
        p = qr_put_u32(p, codec->values[i]);
    return p;
}

int qr_codec_encode(struct qr_codec *codec, struct qr_buf *out, const uint32_t *values, uint32_t n,
                    uint32_t stride)
{
    assert(n > 0);
    /* The widest: a full block of 56 bits a value, and all maps as bits. */
    size_t bound = 64 + 3 * map_bits_bytes(n) + 8 * (size_t)n + 16 * (n / QR_PACK_BLOCK + 1);
    if (reserve(codec, n) != 0 || qr_buf_reserve(out, bound) != 0)
        return UV_ENOMEM;
    uint8_t *start = (uint8_t *)out->base + out->len, *p = start + 1;
    uint32_t n_present = separate(codec, values, n, stride, start);
    if (n_present == 0) {
        *start = MODE_EMPTY;
        out->len += 1;
        return 0;
    }
    const uint8_t *gaps = codec->maps, *resets = gaps + n, *anomalies = resets + n;
    if (*start & HEAD_GAPS)
        p = put_map(p, gaps, n);
    if (*start & HEAD_RESETS)
        p = put_map(p, resets, n_present);
    if (*start & HEAD_ANOMALIES)
        p = put_map(p, anomalies, n_present);
    p = put_values(codec, p, start, n_present);
    assert((size_t)(p - start) <= bound);
    out->len += (size_t)(p - start);
    return 0;
}

/* False: no such mode. */
static bool take_integers(struct qr_cursor *in, enum mode mode, int64_t *x, uint32_t n)
{
    if (mode == MODE_CONSTANT) {
        int64_t value = qr_cursor_zigzag(in);
        for (uint32_t i = 0; i < n; i++)
            x[i] = value;
    } else if (mode == MODE_RUNS) {
        take_runs(in, x, n);
    } else if (mode == MODE_DICTIONARY) {
        take_dictionary(in, x, n);
    } else if (mode == MODE_BLOCKS) {
        take_blocks(in, x, n);
    } else {
        return false;
    }
    return !in->failed;
}

static bool take_values(struct qr_codec *codec, struct qr_cursor *in, enum mode mode, uint32_t n)
{
    int exponent = qr_cursor_u8(in) + QR_VALUE_EXPONENT_MIN;
    return exponent <= QR_VALUE_EXPONENT_MAX && take_integers(in, mode, codec->x, n) &&
           from_integers(codec->x, n, exponent, codec->values);
}

static void combine(const struct qr_codec *codec, uint8_t head, uint32_t *values, uint32_t n,
                    uint32_t stride)
{
    const uint8_t *gaps = codec->maps, *resets = gaps + n, *anomalies = resets + n;
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (head & HEAD_GAPS && gaps[i]) {
            values[(size_t)i * stride] = QR_VALUE_EMPTY;
            continue;
        }
        uint32_t value = codec->values[at];
        if (head & HEAD_RESETS && resets[at])
            value |= QR_VALUE_RESET;
        if (head & HEAD_ANOMALIES && anomalies[at])
            value |= QR_VALUE_ANOMALOUS;
        values[(size_t)i * stride] = value;
        at++;
    }
}

int qr_codec_decode(struct qr_codec *codec, struct qr_cursor *in, uint32_t *values, uint32_t n,
                    uint32_t stride)
{
    assert(n > 0);
    if (reserve(codec, n) != 0)
        return UV_ENOMEM;
    uint8_t head = qr_cursor_u8(in);
    enum mode mode = head & HEAD_MODE;
    if (in->failed || head >> 6 != 0 || (mode == MODE_EMPTY && head != 0))
        return QR_E_MALFORMED;
    if (mode == MODE_EMPTY) {
        for (uint32_t i = 0; i < n; i++)
            values[(size_t)i * stride] = QR_VALUE_EMPTY;
        return 0;
    }
    uint8_t *gaps = codec->maps, *resets = gaps + n, *anomalies = resets + n;
    uint32_t n_present = head & HEAD_GAPS ? n - take_map(in, gaps, n) : n;
    if (in->failed || n_present == 0)
        return QR_E_MALFORMED;
    if (head & HEAD_RESETS)
        take_map(in, resets, n_present);
    if (head & HEAD_ANOMALIES)
        take_map(in, anomalies, n_present);
    if (in->failed)
        return QR_E_MALFORMED;
    if (mode == MODE_RAW) {
        for (uint32_t i = 0; i < n_present; i++)
            codec->values[i] = qr_cursor_u32(in);
    } else if (!take_values(codec, in, mode, n_present)) {
        return QR_E_MALFORMED;
    }
    if (in->failed)
        return QR_E_MALFORMED;
    combine(codec, head, values, n, stride);
    return 0;
}

int qr_codec_encode_integers(struct qr_buf *out, const int64_t *x, uint32_t n)
{
    assert(n > 0);
    size_t bound = 32 + 8 * (size_t)n + 16 * (n / QR_PACK_BLOCK + 1);
    if (qr_buf_reserve(out, bound) != 0)
        return UV_ENOMEM;
    uint8_t *start = (uint8_t *)out->base + out->len;
    *start = 0;
    uint8_t *end = put_integers(start + 1, start, x, n);
    assert((size_t)(end - start) <= bound);
    out->len += (size_t)(end - start);
    return 0;
}

void qr_codec_decode_integers(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    assert(n > 0);
    if (!take_integers(in, (enum mode)qr_cursor_u8(in), x, n))
        in->failed = true;
    for (uint32_t i = 0; i < n && !in->failed; i++)
        in->failed = x[i] > QR_CODEC_INTEGER_MAX || x[i] < -QR_CODEC_INTEGER_MAX;
}
