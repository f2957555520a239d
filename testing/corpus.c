#include "testing/corpus.h"

#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "base/error.h"
#include "storage/value.h"

#define MAGIC       "QRCORP1\n"
#define MAGIC_BYTES 8u
#define PLAIN_MAX   (1u << 30)
#define TEXT_MAX    1024u
#define FIELDS      11

void qr_corpus_release(struct qr_corpus *corpus)
{
    for (uint32_t c = 0; c < corpus->n_charts; c++) {
        free(corpus->charts[c].id);
        free(corpus->charts[c].family);
        free(corpus->charts[c].context);
        free(corpus->charts[c].units);
    }
    for (uint32_t s = 0; s < corpus->n_series; s++)
        free(corpus->dims[s]);
    free(corpus->charts);
    free(corpus->dims);
    free(corpus->exponents);
    free(corpus->values);
    *corpus = (struct qr_corpus){0};
}

/* ---- growing ---- */

static int add_chart(struct qr_corpus *corpus, const struct qr_corpus_chart *texts)
{
    struct qr_corpus_chart *grown =
        realloc(corpus->charts, (corpus->n_charts + 1) * sizeof *corpus->charts);
    if (grown == NULL)
        return UV_ENOMEM;
    corpus->charts = grown;
    struct qr_corpus_chart *chart = &grown[corpus->n_charts++];
    *chart = (struct qr_corpus_chart){strdup(texts->id),      strdup(texts->family),
                                      strdup(texts->context), strdup(texts->units),
                                      corpus->n_series,       0};
    return chart->id != NULL && chart->family != NULL && chart->context != NULL &&
                   chart->units != NULL
               ? 0
               : UV_ENOMEM;
}

/* Adds a series to the last chart; its column is to be filled.  NULL: no memory. */
static uint32_t *add_series(struct qr_corpus *corpus, const char *dim)
{
    uint64_t n = (uint64_t)(corpus->n_series + 1) * corpus->n_rows;
    uint32_t *values = realloc(corpus->values, (n + 1) * sizeof *values);
    if (values != NULL)
        corpus->values = values;
    char **dims = realloc(corpus->dims, (corpus->n_series + 1) * sizeof *dims);
    if (dims != NULL)
        corpus->dims = dims;
    if (values == NULL || dims == NULL || (dims[corpus->n_series] = strdup(dim)) == NULL)
        return NULL;
    corpus->charts[corpus->n_charts - 1].n++;
    return values + (uint64_t)corpus->n_series++ * corpus->n_rows;
}

/* ---- what follows from the values ---- */

static int least_exponent(const uint32_t *column, uint32_t n)
{
    int least = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!qr_value_is_empty(column[i]) && qr_value_exponent(column[i]) < least)
            least = qr_value_exponent(column[i]);
    return least;
}

static int note_exponents(struct qr_corpus *corpus)
{
    corpus->exponents = calloc(corpus->n_series, sizeof *corpus->exponents);
    if (corpus->exponents == NULL)
        return UV_ENOMEM;
    for (uint32_t s = 0; s < corpus->n_series; s++)
        corpus->exponents[s] = (int8_t)least_exponent(qr_corpus_column(corpus, s), corpus->n_rows);
    return 0;
}

/* ---- recorded doubles ---- */

static void pack_column(uint32_t *column, const double *doubles, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        column[i] = qr_value_pack(doubles[i], 0);
}

/* One line of the list, and its column; 0 also if it is not taken. */
static int read_series(struct qr_corpus *corpus, char *line, FILE *columns, uint32_t rows_of)
{
    char *fields[FIELDS] = {0};
    for (size_t i = 0; i < QR_COUNT(fields); i++)
        fields[i] = strsep(&line, "\t");
    if (fields[FIELDS - 1] == NULL)
        return QR_E_MALFORMED;
    uint32_t n = (uint32_t)strtoul(fields[FIELDS - 1], NULL, 10);
    if (corpus->n_rows == 0)
        corpus->n_rows = n - n % rows_of;
    double *doubles = calloc(n + 1u, sizeof *doubles);
    if (doubles == NULL)
        return UV_ENOMEM;
    int err = fread(doubles, sizeof *doubles, n, columns) == n ? 0 : QR_E_MALFORMED;
    if (err == 0 && n >= corpus->n_rows) {
        const struct qr_corpus_chart texts = {fields[1], fields[4], fields[3], fields[5], 0, 0};
        if (corpus->n_charts == 0 || strcmp(corpus->charts[corpus->n_charts - 1].id, texts.id) != 0)
            err = add_chart(corpus, &texts);
        uint32_t *column = err == 0 ? add_series(corpus, fields[2]) : NULL;
        if (column != NULL)
            pack_column(column, doubles, corpus->n_rows);
        else if (err == 0)
            err = UV_ENOMEM;
    }
    free(doubles);
    return err;
}

int qr_corpus_read_recorded(struct qr_corpus *corpus, const char *tsv, const char *f64,
                            uint32_t rows_of)
{
    char line[4096];
    *corpus = (struct qr_corpus){0};
    FILE *list = fopen(tsv, "r"), *columns = fopen(f64, "r");
    int err = list != NULL && columns != NULL ? 0 : -errno;
    while (err == 0 && fgets(line, sizeof line, list) != NULL)
        if (line[0] != '#')
            err = read_series(corpus, line, columns, rows_of);
    if (list != NULL)
        fclose(list);
    if (columns != NULL)
        fclose(columns);
    if (err == 0 && (corpus->n_series == 0 || corpus->n_rows == 0))
        err = QR_E_MALFORMED;
    if (err == 0)
        err = note_exponents(corpus);
    if (err != 0)
        qr_corpus_release(corpus);
    return err;
}

/* ---- our file: writing ---- */

static int64_t power_of_10(int e)
{
    int64_t p = 1;
    while (e-- > 0)
        p *= 10;
    return p;
}

/* QR_E_LIMIT: its values are too far apart for 64 bits. */
static int put_column(struct qr_buf *out, const uint32_t *column, uint32_t n, int e)
{
    int64_t before = 0;
    qr_buf_add_zigzag(out, e);
    for (uint32_t i = 0; i < n; i++) {
        if (qr_value_is_empty(column[i])) {
            qr_buf_add_varint(out, 0);
            continue;
        }
        if (qr_value_exponent(column[i]) - e > 10)
            return QR_E_LIMIT;
        int64_t x =
            (int64_t)qr_value_mantissa(column[i]) * power_of_10(qr_value_exponent(column[i]) - e);
        int64_t step = x - before;
        qr_buf_add_varint(out, 1 + (((uint64_t)step << 1) ^ (uint64_t)(step >> 63)));
        before = x;
    }
    return 0;
}

static int put_all(struct qr_buf *out, const struct qr_corpus *corpus)
{
    int err = 0;
    qr_buf_add_varint(out, corpus->n_charts);
    qr_buf_add_varint(out, corpus->n_rows);
    for (uint32_t c = 0; c < corpus->n_charts && err == 0; c++) {
        const struct qr_corpus_chart *chart = &corpus->charts[c];
        qr_buf_add_bytes(out, qr_slice_str(chart->id));
        qr_buf_add_bytes(out, qr_slice_str(chart->family));
        qr_buf_add_bytes(out, qr_slice_str(chart->context));
        qr_buf_add_bytes(out, qr_slice_str(chart->units));
        qr_buf_add_varint(out, chart->n);
        for (uint32_t s = chart->first; s < chart->first + chart->n && err == 0; s++) {
            qr_buf_add_bytes(out, qr_slice_str(corpus->dims[s]));
            err =
                put_column(out, qr_corpus_column(corpus, s), corpus->n_rows, corpus->exponents[s]);
        }
    }
    return err == 0 && out->failed ? UV_ENOMEM : err;
}

static int write_bytes(const char *path, const struct qr_buf *bytes)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return -errno;
    bool ok = fwrite(bytes->base, 1, bytes->len, file) == bytes->len;
    ok = fclose(file) == 0 && ok;
    return ok ? 0 : UV_EIO;
}

int qr_corpus_write(const struct qr_corpus *corpus, const char *path)
{
    struct qr_buf plain = {0}, packed = {0};
    int err = put_all(&plain, corpus);
    if (err == 0 && plain.len > PLAIN_MAX)
        err = QR_E_LIMIT;
    int bound = err == 0 ? LZ4_compressBound((int)plain.len) : 0;
    if (err == 0)
        err = qr_buf_reserve(&packed, MAGIC_BYTES + 4 + (size_t)bound);
    if (err == 0) {
        qr_buf_add(&packed, MAGIC, MAGIC_BYTES);
        qr_buf_add_u32(&packed, (uint32_t)plain.len);
        int n = LZ4_compress_HC(plain.base, packed.base + packed.len, (int)plain.len, bound,
                                LZ4HC_CLEVEL_MAX);
        packed.len += (size_t)n;
        err = n > 0 ? write_bytes(path, &packed) : UV_EIO;
    }
    qr_buf_release(&plain);
    qr_buf_release(&packed);
    return err;
}

/* ---- our file: reading ---- */

static int read_bytes(const char *path, struct qr_buf *bytes)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -errno;
    size_t n = 0;
    do {
        bytes->len += n;
        if (qr_buf_reserve(bytes, 1u << 20) != 0)
            break;
    } while ((n = fread(bytes->base + bytes->len, 1, 1u << 20, file)) > 0);
    int err = ferror(file) != 0 ? UV_EIO : bytes->failed ? UV_ENOMEM : 0;
    fclose(file);
    return err;
}

static int unpack(const struct qr_buf *packed, struct qr_buf *plain)
{
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(packed));
    struct qr_slice magic = qr_cursor_take(&in, MAGIC_BYTES);
    uint32_t bytes = qr_cursor_u32(&in);
    if (in.failed || memcmp(magic.base, MAGIC, MAGIC_BYTES) != 0 || bytes > PLAIN_MAX)
        return QR_E_MALFORMED;
    int err = qr_buf_reserve(plain, bytes + 1u);
    if (err != 0)
        return err;
    struct qr_slice rest = qr_cursor_take(&in, qr_cursor_left(&in));
    plain->len = bytes;
    return LZ4_decompress_safe(rest.base, plain->base, (int)rest.len, (int)bytes) == (int)bytes
               ? 0
               : QR_E_MALFORMED;
}

static void take_column(struct qr_cursor *in, uint32_t *column, uint32_t n)
{
    int e = (int)qr_cursor_zigzag(in);
    int64_t x = 0;
    for (uint32_t i = 0; i < n && !in->failed; i++) {
        uint64_t code = qr_cursor_varint(in);
        column[i] = QR_VALUE_EMPTY;
        if (code == 0)
            continue;
        code--;
        x = (int64_t)((uint64_t)x + ((code >> 1) ^ (0 - (code & 1))));
        column[i] = qr_value_of_decimal(x, e);
        in->failed |= qr_value_is_empty(column[i]);
    }
}

static void take_text(struct qr_cursor *in, char text[TEXT_MAX])
{
    struct qr_slice bytes = qr_cursor_bytes(in, TEXT_MAX - 1);
    if (in->failed)
        bytes.len = 0;
    memcpy(text, bytes.base, bytes.len);
    text[bytes.len] = '\0';
}

static int take_chart(struct qr_cursor *in, struct qr_corpus *corpus)
{
    char id[TEXT_MAX], family[TEXT_MAX], context[TEXT_MAX], units[TEXT_MAX];
    take_text(in, id);
    take_text(in, family);
    take_text(in, context);
    take_text(in, units);
    uint64_t n = qr_cursor_varint(in);
    int err = add_chart(corpus, &(struct qr_corpus_chart){id, family, context, units, 0, 0});
    for (; n > 0 && err == 0 && !in->failed; n--) {
        take_text(in, id);
        uint32_t *column = add_series(corpus, id);
        if (column == NULL)
            return UV_ENOMEM;
        take_column(in, column, corpus->n_rows);
    }
    return err == 0 && in->failed ? QR_E_MALFORMED : err;
}

int qr_corpus_read(struct qr_corpus *corpus, const char *path)
{
    struct qr_buf packed = {0}, plain = {0};
    *corpus = (struct qr_corpus){0};
    int err = read_bytes(path, &packed);
    if (err == 0)
        err = unpack(&packed, &plain);
    if (err == 0) {
        struct qr_cursor in = qr_cursor_of(qr_buf_slice(&plain));
        uint64_t n = qr_cursor_varint(&in);
        corpus->n_rows = (uint32_t)qr_cursor_varint_max(&in, 1u << 24);
        for (; n > 0 && err == 0; n--)
            err = take_chart(&in, corpus);
        if (err == 0 && (!qr_cursor_done(&in) || corpus->n_series == 0 || corpus->n_rows == 0))
            err = QR_E_MALFORMED;
    }
    if (err == 0)
        err = note_exponents(corpus);
    if (err != 0)
        qr_corpus_release(corpus);
    qr_buf_release(&packed);
    qr_buf_release(&plain);
    return err;
}
