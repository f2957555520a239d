#include "node/grouping.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/compiler.h"

#define SMOOTHING_MAX 15 /* Netdata's default of "ses max window" and "des max window". */

/* ---- names ---- */

static const struct {
    const char *alias, *name;
    enum qr_grouping_kind kind;
} names[] = {
    {"average", "average", QR_GROUP_AVERAGE},
    {"mean", "average", QR_GROUP_AVERAGE},
    {"sum", "sum", QR_GROUP_SUM},
    {"min", "min", QR_GROUP_MIN},
    {"max", "max", QR_GROUP_MAX},
    {"incremental_sum", "incremental_sum", QR_GROUP_INCREMENTAL_SUM},
    {"incremental-sum", "incremental_sum", QR_GROUP_INCREMENTAL_SUM},
    {"median", "median", QR_GROUP_MEDIAN},
    {"stddev", "stddev", QR_GROUP_STDDEV},
    {"cv", "cv", QR_GROUP_CV},
    {"rsd", "cv", QR_GROUP_CV},
    {"ses", "ses", QR_GROUP_SES},
    {"ema", "ses", QR_GROUP_SES},
    {"ewma", "ses", QR_GROUP_SES},
    {"des", "des", QR_GROUP_DES},
    {"countif", "countif", QR_GROUP_COUNTIF},
};

/* Names with a percentage in them. */
#define AT(base, percent)                                                                          \
    {                                                                                              \
        base #percent, percent                                                                     \
    }
static const struct {
    enum qr_grouping_kind kind;
    struct {
        const char *name;
        double percent;
    } rows[10];
} families[] = {
    {QR_GROUP_MEDIAN,
     {AT("trimmed-median", 1),
      AT("trimmed-median", 2),
      AT("trimmed-median", 3),
      AT("trimmed-median", 5),
      AT("trimmed-median", 10),
      AT("trimmed-median", 15),
      AT("trimmed-median", 20),
      AT("trimmed-median", 25),
      {"trimmed-median", 5}}},
    {QR_GROUP_TRIMMED_MEAN,
     {AT("trimmed-mean", 1),
      AT("trimmed-mean", 2),
      AT("trimmed-mean", 3),
      AT("trimmed-mean", 5),
      AT("trimmed-mean", 10),
      AT("trimmed-mean", 15),
      AT("trimmed-mean", 20),
      AT("trimmed-mean", 25),
      {"trimmed-mean", 5}}},
    {QR_GROUP_PERCENTILE,
     {AT("percentile", 25),
      AT("percentile", 50),
      AT("percentile", 75),
      AT("percentile", 80),
      AT("percentile", 90),
      AT("percentile", 95),
      AT("percentile", 97),
      AT("percentile", 98),
      AT("percentile", 99),
      {"percentile", 95}}},
};

/* A number at the front of the text, 0 for none. */
static double number_of(struct qr_slice text)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%.*s", text.len < 63 ? (int)text.len : 63, text.base);
    double v = strtod(copy, NULL);
    return isfinite(v) ? v : 0;
}

static struct qr_slice skip_blanks(struct qr_slice s)
{
    while (s.len > 0 && isspace((unsigned char)s.base[0]))
        s = qr_slice_of(s.base + 1, s.len - 1);
    return s;
}

/* An operator and a number.  Where the operator is missing, the first byte counts as one. */
static void parse_condition(struct qr_grouping_spec *spec, struct qr_slice s)
{
    static const struct {
        const char *text;
        enum qr_grouping_compare compare;
    } operators[] = {{"!=", QR_CMP_NE}, {"!:", QR_CMP_NE}, {"!", QR_CMP_NE}, {"<>", QR_CMP_NE},
                     {"<=", QR_CMP_LE}, {"<:", QR_CMP_LE}, {"<", QR_CMP_LT}, {">=", QR_CMP_GE},
                     {">:", QR_CMP_GE}, {">", QR_CMP_GT},  {"=", QR_CMP_EQ}, {":", QR_CMP_EQ}};
    s = skip_blanks(s);
    size_t skipped = s.len > 0 ? 1 : 0;
    for (size_t i = 0; i < QR_COUNT(operators); i++) {
        size_t len = strlen(operators[i].text);
        if (s.len >= len && memcmp(s.base, operators[i].text, len) == 0) {
            spec->compare = operators[i].compare;
            skipped = len;
            break;
        }
    }
    spec->target = number_of(skip_blanks(qr_slice_of(s.base + skipped, s.len - skipped)));
}

static double bounded(double v, double max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

static void set_percent(struct qr_grouping_spec *spec, double percent, struct qr_slice options)
{
    if (options.len > 0)
        percent = number_of(options);
    if (spec->kind == QR_GROUP_PERCENTILE)
        spec->share = bounded(percent, 100) / 100;
    else if (spec->kind == QR_GROUP_TRIMMED_MEAN)
        spec->share = 1 - 2 * bounded(percent, 50) / 100;
    else
        spec->share = bounded(percent, 50) / 100;
}

void qr_grouping_parse(struct qr_grouping_spec *spec, struct qr_slice name, struct qr_slice options)
{
    *spec = (struct qr_grouping_spec){.kind = QR_GROUP_AVERAGE, .name = "average"};
    for (size_t i = 0; i < QR_COUNT(names); i++)
        if (qr_slice_is(name, names[i].alias)) {
            spec->kind = names[i].kind;
            spec->name = names[i].name;
        }
    for (size_t f = 0; f < QR_COUNT(families); f++)
        for (size_t i = 0; i < QR_COUNT(families[f].rows) && families[f].rows[i].name; i++)
            if (qr_slice_is(name, families[f].rows[i].name)) {
                spec->kind = families[f].kind;
                spec->name = families[f].rows[i].name;
                set_percent(spec, families[f].rows[i].percent, options);
                return;
            }
    if (spec->kind == QR_GROUP_MEDIAN)
        set_percent(spec, 0, options);
    else if (spec->kind == QR_GROUP_COUNTIF)
        parse_condition(spec, options);
}

/* ---- adding ---- */

void qr_grouping_init(struct qr_grouping *grouping, const struct qr_grouping_spec *spec,
                      const struct qr_window *window)
{
    uint32_t smoothing = window->group == 1 ? window->n_rows : window->group;
    if (smoothing > SMOOTHING_MAX)
        smoothing = SMOOTHING_MAX;
    *grouping = (struct qr_grouping){
        .spec = spec,
        .divisor = window->resampled ? window->divisor : 0,
        .alpha = 2.0 / (smoothing + 1.0),
    };
}

void qr_grouping_release(struct qr_grouping *grouping)
{
    free(grouping->values);
    grouping->values = NULL;
}

static int keep(struct qr_grouping *g, double v)
{
    if (g->n == g->capacity) {
        size_t capacity = g->capacity != 0 ? 2 * g->capacity : 64;
        double *values = realloc(g->values, capacity * sizeof *values);
        if (values == NULL)
            return UV_ENOMEM;
        g->values = values;
        g->capacity = capacity;
    }
    g->values[g->n++] = v;
    return 0;
}

static bool holds(const struct qr_grouping_spec *spec, double v)
{
    switch (spec->compare) {
    case QR_CMP_EQ:
        return v == spec->target;
    case QR_CMP_NE:
        return v != spec->target;
    case QR_CMP_LT:
        return v < spec->target;
    case QR_CMP_LE:
        return v <= spec->target;
    case QR_CMP_GT:
        return v > spec->target;
    case QR_CMP_GE:
        return v >= spec->target;
    }
    return false;
}

/* Welford's mean (a) and sum of squared distances (b). */
static void add_moments(struct qr_grouping *g, double v)
{
    double distance = v - g->a;
    g->a += distance / (double)(g->n + 1);
    g->b += distance * (v - g->a);
}

/* Level (a) and trend (b); the first two values set them up. */
static void add_double_smoothing(struct qr_grouping *g, double v)
{
    if (g->n == 0) {
        g->a = g->b = v;
        return;
    }
    if (g->n == 1) {
        g->b = v - g->b;
        g->a = v;
    }
    double level = g->alpha * v + (1 - g->alpha) * (g->a + g->b);
    g->b = g->alpha * (level - g->a) + (1 - g->alpha) * g->b;
    g->a = level;
}

int qr_grouping_add(struct qr_grouping *g, double v)
{
    assert(!isnan(v));
    switch (g->spec->kind) {
    case QR_GROUP_AVERAGE:
    case QR_GROUP_SUM:
        g->a += v;
        break;
    case QR_GROUP_MIN:
        if (g->n == 0 || fabs(v) < fabs(g->a))
            g->a = v;
        break;
    case QR_GROUP_MAX:
        if (g->n == 0 || fabs(v) > fabs(g->a))
            g->a = v;
        break;
    case QR_GROUP_INCREMENTAL_SUM:
        if (g->n == 0)
            g->a = v;
        g->b = v;
        break;
    case QR_GROUP_MEDIAN:
    case QR_GROUP_TRIMMED_MEAN:
    case QR_GROUP_PERCENTILE:
        return keep(g, v);
    case QR_GROUP_STDDEV:
    case QR_GROUP_CV:
        add_moments(g, v);
        break;
    case QR_GROUP_SES:
        if (g->n == 0)
            g->a = v;
        g->a = g->alpha * v + (1 - g->alpha) * g->a;
        break;
    case QR_GROUP_DES:
        add_double_smoothing(g, v);
        break;
    case QR_GROUP_COUNTIF:
        g->a += holds(g->spec, v);
        break;
    }
    g->n++;
    return 0;
}

bool qr_grouping_takes_sums(const struct qr_grouping_spec *spec)
{
    return spec->kind == QR_GROUP_AVERAGE || spec->kind == QR_GROUP_SUM ||
           spec->kind == QR_GROUP_MIN || spec->kind == QR_GROUP_MAX;
}

bool qr_grouping_add_sum(struct qr_grouping *g, const struct qr_aggregate *sum)
{
    bool nearest = g->spec->kind == QR_GROUP_MIN;
    if (sum->count == 0)
        return true;
    if (g->spec->kind == QR_GROUP_AVERAGE || g->spec->kind == QR_GROUP_SUM) {
        g->a += qr_aggregate_number(sum->sum);
        g->n += sum->count;
        return true;
    }
    /* By absolute value: of both signs it cannot be told which, or which came first. */
    if (!qr_grouping_takes_sums(g->spec) || (sum->min < 0 && sum->max > 0))
        return false;
    double v = qr_aggregate_number((sum->min >= 0) == nearest ? sum->min : sum->max);
    if (qr_grouping_add(g, v) != 0)
        return false;
    g->n += sum->count - 1;
    return true;
}

/* ---- taking ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const double *sorted, size_t n)
{
    if (n == 2)
        return (sorted[0] + sorted[1]) / 2;
    if (n % 2 == 1)
        return sorted[n / 2];
    return (sorted[n / 2] + sorted[n / 2 + 1]) / 2; /* One to the right, as there. */
}

static double trimmed_median_of(const double *sorted, size_t n, double share)
{
    double cut = (sorted[n - 1] - sorted[0]) * share;
    double least = sorted[0] + cut, most = sorted[n - 1] - cut;
    size_t start = 0, last = n - 1;
    if (share > 0) {
        while (start < n - 1 && sorted[start] < least)
            start++;
        while (last > start && sorted[last] > most)
            last--;
    }
    return median_of(sorted + start, last - start + 1);
}

/* The mean of `share` of the sorted values, of which the last may count in part.  With negative
 * values among them it starts from the other end. */
static double mean_of_slots(const double *sorted, size_t n, double share, bool centred)
{
    if (n == 1 || sorted[0] == sorted[n - 1])
        return sorted[0];
    size_t used = (size_t)((double)n * share);
    if (used == 0)
        used = 1;
    double over = share - (double)used / (double)n;
    double part = over > 0 ? over * (double)n : 0;
    size_t skipped = centred ? (n - used) / 2 : 0;
    bool up = sorted[0] >= 0;
    double sum = 0, last = 0;
    for (size_t i = 0; i < used; i++) {
        last = up ? sorted[skipped + i] : sorted[n - 1 - skipped - i];
        sum += last;
    }
    size_t next = skipped + used;
    if (part <= 0 || next >= n)
        return sum / (double)used;
    sum += (up ? sorted[next] : sorted[n - 1 - next]) * part + last * (1 - part);
    return sum / (double)(used + 1);
}

static double take_sorted(const struct qr_grouping *g)
{
    qsort(g->values, g->n, sizeof *g->values, compare_doubles);
    double share = g->spec->share;
    if (g->spec->kind == QR_GROUP_MEDIAN)
        return trimmed_median_of(g->values, g->n, share);
    return mean_of_slots(g->values, g->n, share, g->spec->kind == QR_GROUP_TRIMMED_MEAN);
}

static double take_deviation(const struct qr_grouping *g)
{
    if (g->n == 1)
        return 0;
    double deviation = sqrt(g->b / (double)(g->n - 1));
    if (g->spec->kind == QR_GROUP_STDDEV)
        return deviation;
    double relative = 100 * deviation / fabs(g->a);
    return isfinite(relative) ? relative : NAN;
}

static double value_of(const struct qr_grouping *g)
{
    switch (g->spec->kind) {
    case QR_GROUP_AVERAGE:
        return g->a / (g->divisor > 0 ? g->divisor : (double)g->n);
    case QR_GROUP_INCREMENTAL_SUM:
        return g->b - g->a;
    case QR_GROUP_MEDIAN:
    case QR_GROUP_TRIMMED_MEAN:
    case QR_GROUP_PERCENTILE:
        return take_sorted(g);
    case QR_GROUP_STDDEV:
    case QR_GROUP_CV:
        return take_deviation(g);
    case QR_GROUP_COUNTIF:
        return 100 * g->a / (double)g->n;
    case QR_GROUP_SUM:
    case QR_GROUP_MIN:
    case QR_GROUP_MAX:
    case QR_GROUP_SES:
    case QR_GROUP_DES:
        break;
    }
    return g->a;
}

double qr_grouping_take(struct qr_grouping *g)
{
    if (g->n == 0)
        return NAN;
    double v = value_of(g);
    if (g->spec->kind != QR_GROUP_SES && g->spec->kind != QR_GROUP_DES) {
        g->n = 0;
        g->a = g->b = 0;
    }
    return v;
}
