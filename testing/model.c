#include "testing/model.h"

#include <stdio.h>

#include "storage/value.h"
#include "testing/corpus.h"

#define SLOW_S          5
#define PAUSE_CYCLE     15 /* Collections in the first PAUSE_ON seconds of each cycle. */
#define PAUSE_ON        10
#define COUNTERS_FROM_S INT64_C(1600000000) /* Incremental counters started here. */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t of_host(const struct qr_model *model, uint32_t host)
{
    return mix(model->seed ^ (uint64_t)host << 32);
}

static uint64_t of_chart(const struct qr_model *model, uint32_t host, uint32_t chart)
{
    return mix(of_host(model, host) + chart);
}

static uint64_t of_dim(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim)
{
    return mix(of_chart(model, host, chart) ^ (uint64_t)dim << 40);
}

void qr_model_guid(const struct qr_model *model, uint32_t host, struct qr_guid *guid)
{
    uint64_t a = of_host(model, host);
    uint64_t b = mix(a);
    for (int i = 0; i < 8; i++) {
        guid->bytes[i] = (uint8_t)(a >> 8 * i);
        guid->bytes[8 + i] = (uint8_t)(b >> 8 * i);
    }
    guid->bytes[6] = (uint8_t)((guid->bytes[6] & 0x0f) | 0x40);
    guid->bytes[8] = (uint8_t)((guid->bytes[8] & 0x3f) | 0x80);
}

void qr_model_hostname(const struct qr_model *model, uint32_t host, char name[QR_MODEL_NAME_BYTES])
{
    snprintf(name, QR_MODEL_NAME_BYTES, "load-%llu-%u", (unsigned long long)(model->seed % 100000),
             host);
}

void qr_model_chart_id(uint32_t chart, char id[QR_MODEL_NAME_BYTES])
{
    snprintf(id, QR_MODEL_NAME_BYTES, "load.chart_%05u", chart);
}

void qr_model_dim_id(uint32_t dim, char id[QR_MODEL_NAME_BYTES])
{
    snprintf(id, QR_MODEL_NAME_BYTES, "dim_%u", dim);
}

enum qr_model_kind qr_model_kind(const struct qr_model *model, uint32_t chart)
{
    if (!model->mix || model->update_every != 1)
        return QR_MODEL_PLAIN;
    switch ((chart + model->first_kind) % 8) {
    case 2:
        return QR_MODEL_EMPTY;
    case 5:
        return QR_MODEL_PAUSE;
    case 7:
        return QR_MODEL_SLOW;
    default:
        return QR_MODEL_PLAIN;
    }
}

uint32_t qr_model_update_every(const struct qr_model *model, uint32_t chart)
{
    return qr_model_kind(model, chart) == QR_MODEL_SLOW ? SLOW_S : model->update_every;
}

/* ---- recorded values ---- */

static int64_t floor_mod(int64_t a, int64_t n)
{
    int64_t r = a % n;
    return r < 0 ? r + n : r;
}

static uint32_t series_of(const struct qr_model *model, uint32_t chart, uint32_t dim)
{
    return (uint32_t)(((uint64_t)chart * model->n_dims + dim) % model->corpus->n_series);
}

static bool recorded(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                     int64_t t, int64_t *raw)
{
    const struct qr_corpus *corpus = model->corpus;
    uint32_t series = series_of(model, chart, dim);
    int64_t n = corpus->n_rows, row = floor_mod(t + host * INT64_C(67) + t / n * 97, n);
    uint32_t value = qr_corpus_column(corpus, series)[row];
    if (qr_value_is_empty(value))
        return false;
    *raw = qr_value_mantissa(value);
    for (int e = qr_value_exponent(value); e > corpus->exponents[series]; e--)
        *raw *= 10;
    return true;
}

static void recorded_dim(const struct qr_model *model, uint32_t chart, uint32_t dim,
                         struct qr_model_dim *out)
{
    *out = (struct qr_model_dim){false, 1, 1};
    const int8_t *exponents = model->corpus->exponents;
    for (int e = (int)exponents[series_of(model, chart, dim)]; e < 0; e++)
        out->divisor *= 10;
}

/* ---- made up ones ---- */

/* What a dimension is: one row a kind. */
enum shape { CONSTANT, RAMP, RATE, DECIMAL, NEGATIVE, TRAFFIC, SPARSE, RARE, N_SHAPES };

static const struct qr_model_dim shapes[N_SHAPES] = {
    [CONSTANT] = {false, 1, 1},   [RAMP] = {false, 1, 1},      [RATE] = {true, 1, 1},
    [DECIMAL] = {false, 1, 1000}, [NEGATIVE] = {false, -1, 1}, [TRAFFIC] = {true, 8, 1000},
    [SPARSE] = {false, 1, 1},     [RARE] = {false, 1, 1},
};

/* Charts that are empty now and then have no counters: what a counter stores after an empty second
 * depends on more than two collections. */
static enum shape shape_of(const struct qr_model *model, uint32_t chart, uint32_t dim)
{
    enum shape shape = (enum shape)((dim + chart + model->first_kind) % N_SHAPES);
    if (shapes[shape].incremental && qr_model_kind(model, chart) == QR_MODEL_EMPTY)
        return RAMP;
    return shape;
}

void qr_model_dim(const struct qr_model *model, uint32_t chart, uint32_t dim,
                  struct qr_model_dim *out)
{
    if (model->corpus != NULL)
        recorded_dim(model, chart, dim, out);
    else
        *out = shapes[shape_of(model, chart, dim)];
}

bool qr_model_collects(const struct qr_model *model, uint32_t chart, int64_t t)
{
    if (floor_mod(t, qr_model_update_every(model, chart)) != 0)
        return false;
    return qr_model_kind(model, chart) != QR_MODEL_PAUSE ||
           floor_mod(t + chart, PAUSE_CYCLE) < PAUSE_ON;
}

/* All charts of a host are collected one after the other, 20 to 900 ms after the second, some
 * milliseconds early or late. */
int64_t qr_model_collect_us(const struct qr_model *model, uint32_t host, uint32_t chart, int64_t t)
{
    uint64_t h = of_host(model, host);
    int64_t phase_us = 20000 + (int64_t)(h % 880000);
    int64_t jitter_us = (int64_t)(mix(h ^ (uint64_t)t) % 3000);
    return t * 1000000 + phase_us + jitter_us + (int64_t)(chart % 1000) * 10;
}

int64_t qr_model_collected_before(const struct qr_model *model, uint32_t chart, int64_t t)
{
    do
        t--;
    while (!qr_model_collects(model, chart, t));
    return t;
}

int64_t qr_model_collected_from(const struct qr_model *model, uint32_t chart, int64_t t)
{
    while (!qr_model_collects(model, chart, t))
        t++;
    return t;
}

static bool is_set(const struct qr_model *model, uint32_t chart, enum shape shape, uint64_t h,
                   int64_t t)
{
    enum qr_model_kind kind = qr_model_kind(model, chart);
    if (kind == QR_MODEL_EMPTY)
        return floor_mod(t + chart, 13) > 2;
    if (!model->mix || kind == QR_MODEL_PAUSE || shape != SPARSE)
        return true;
    int64_t turn = t / qr_model_update_every(model, chart);
    return floor_mod(turn + (int64_t)(h % 7), 7) < 3;
}

static int64_t raw_of(enum shape shape, uint64_t h, int64_t t)
{
    uint64_t noise = mix(h ^ (uint64_t)t);
    int64_t since_s = t - COUNTERS_FROM_S;
    switch (shape) {
    case CONSTANT:
        return (int64_t)(h % 1000);
    case RAMP:
        return floor_mod((int64_t)(h % 1000003) + t * (int64_t)(1 + h % 7), 1000003);
    case RATE: {
        int64_t rate = 10 + (int64_t)(h % 1000);
        return since_s * rate + (int64_t)(noise % (uint64_t)rate);
    }
    case DECIMAL:
        return (int64_t)(noise % 16000000);
    case NEGATIVE:
        return floor_mod(t + (int64_t)(h % 5000), 5000);
    case TRAFFIC: {
        int64_t rate = 100000 + (int64_t)(h % 1000000);
        return since_s * rate + (int64_t)(noise % (uint64_t)rate);
    }
    case RARE:
        return noise % 16 == 0 ? (int64_t)(1 + noise / 16 % 9) : 0;
    case SPARSE:
    default:
        return (int64_t)(noise % 101);
    }
}

bool qr_model_raw(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                  int64_t t, int64_t *raw)
{
    if (model->corpus != NULL)
        return recorded(model, host, chart, dim, t, raw);
    enum shape shape = shape_of(model, chart, dim);
    uint64_t h = of_dim(model, host, chart, dim);
    if (!is_set(model, chart, shape, h, t))
        return false;
    *raw = raw_of(shape, h, t);
    return true;
}

bool qr_model_last_raw(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                       int64_t *t, int64_t *raw)
{
    /* What is made up is set within some collections; a recording repeats itself. */
    uint32_t left = model->corpus != NULL ? model->corpus->n_rows : UINT32_MAX;
    for (int64_t at = *t; left > 0; left--, at = qr_model_collected_before(model, chart, at))
        if (qr_model_raw(model, host, chart, dim, at, raw)) {
            *t = at;
            return true;
        }
    return false;
}

/* One dimension between two collections: what Netdata's arithmetic works with. */
struct interval {
    int64_t from_us, to_us; /* Collections. */
    double change;          /* In the unit of the stored value. */
};

static double scaled(double raw, const struct qr_model_dim *d)
{
    return raw * d->multiplier / d->divisor;
}

static struct interval interval_to(const struct qr_model *model, uint32_t host, uint32_t chart,
                                   uint32_t dim, int64_t t)
{
    int64_t p = qr_model_collected_before(model, chart, t);
    enum shape shape = shape_of(model, chart, dim);
    uint64_t h = of_dim(model, host, chart, dim);
    double delta = (double)(raw_of(shape, h, t) - raw_of(shape, h, p));
    return (struct interval){qr_model_collect_us(model, host, chart, p),
                             qr_model_collect_us(model, host, chart, t),
                             scaled(delta, &shapes[shape])};
}

/* The share of a change that falls into (from_us, to_us]. */
static double share(const struct interval *in, int64_t from_us, int64_t to_us)
{
    return in->change * (double)(to_us - from_us) / (double)(in->to_us - in->from_us);
}

/* The second before the first collection after a pause: Netdata interpolates it. */
static double value_before_end_of_pause(const struct qr_model *model, uint32_t host, uint32_t chart,
                                        uint32_t dim, int64_t t)
{
    struct interval in = interval_to(model, host, chart, dim, t + 1);
    if (shapes[shape_of(model, chart, dim)].incremental)
        return share(&in, 0, 1000000);
    int64_t p = qr_model_collected_before(model, chart, t);
    double last = qr_model_remainder(model, host, chart, dim, p);
    return in.change * 1000000.0 / (double)(in.to_us - (t - 1) * 1000000) + last;
}

static double rate(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                   int64_t t)
{
    int64_t update_every = qr_model_update_every(model, chart);
    struct interval in = interval_to(model, host, chart, dim, t);
    int64_t p = qr_model_collected_before(model, chart, t);
    if (p < t - update_every)
        return share(&in, 0, update_every * 1000000) / (double)update_every;
    double before = qr_model_remainder(model, host, chart, dim, p);
    return (before + share(&in, in.from_us, t * 1000000)) / (double)update_every;
}

bool qr_model_value(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                    int64_t t, double *value)
{
    if (floor_mod(t, qr_model_update_every(model, chart)) != 0)
        return false;
    if (!qr_model_collects(model, chart, t)) {
        if (!qr_model_collects(model, chart, t + 1))
            return false;
        *value = value_before_end_of_pause(model, host, chart, dim, t);
        return true;
    }
    int64_t raw;
    if (!qr_model_raw(model, host, chart, dim, t, &raw))
        return false;
    struct qr_model_dim d;
    qr_model_dim(model, chart, dim, &d);
    *value = d.incremental ? rate(model, host, chart, dim, t) : scaled((double)raw, &d);
    return true;
}

double qr_model_remainder(const struct qr_model *model, uint32_t host, uint32_t chart, uint32_t dim,
                          int64_t t)
{
    struct qr_model_dim d;
    qr_model_dim(model, chart, dim, &d);
    if (d.incremental) {
        struct interval in = interval_to(model, host, chart, dim, t);
        return share(&in, t * 1000000, in.to_us);
    }
    int64_t raw = 0;
    if (!qr_model_last_raw(model, host, chart, dim, &t, &raw))
        raw = 0;
    return scaled((double)raw, &d);
}
