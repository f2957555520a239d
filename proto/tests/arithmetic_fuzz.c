#include "proto/arithmetic.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/limits.h"

/* Any sequence of lines with any numbers: rows ascend within an END, are three at most, have a
 * value, and every value is finite or marked empty. */

#define DIMS 4

struct input {
    const uint8_t *data;
    size_t n;
};

struct seen {
    uint32_t n_dims, n_rows;
    int64_t end_s;
};

static uint8_t take_byte(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->data++;
}

static int64_t take_number(struct input *in)
{
    uint64_t value = 0;
    int width = take_byte(in) & 15;
    for (int i = 0; i < width && i < 8; i++)
        value = value << 8 | take_byte(in);
    return (int64_t)(width > 8 ? ~value : value);
}

static double take_double(struct input *in)
{
    int64_t bits = take_number(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void check_row(void *data, int64_t end_s, const double *values, const uint8_t *flags)
{
    struct seen *seen = data;
    bool any = false;
    assert(++seen->n_rows <= 3);
    assert(end_s > seen->end_s);
    seen->end_s = end_s;
    for (uint32_t i = 0; i < seen->n_dims; i++) {
        assert(isfinite(values[i]) == !(flags[i] & QR_STREAM_EMPTY));
        any |= isfinite(values[i]);
    }
    assert(any);
}

static void define_dim(struct qr_arith_dim *dim, struct input *in, bool again)
{
    uint8_t byte = take_byte(in);
    int64_t multiplier = take_number(in);
    int64_t divisor = take_number(in);
    (again ? qr_arith_dim_redefine : qr_arith_dim_init)(
        dim, (enum qr_algorithm)(byte & 3), multiplier, divisor != 0 ? divisor : 1, byte & 4);
}

static uint32_t take_interval(struct input *in)
{
    return 1 + (uint32_t)((uint64_t)take_number(in) % QR_UPDATE_EVERY_MAX);
}

static void step(struct qr_arith_chart *chart, struct qr_arith_dim *dims, struct input *in)
{
    double values[DIMS];
    uint8_t flags[DIMS];
    struct seen seen = {.n_dims = DIMS};
    uint8_t byte = take_byte(in);
    struct qr_arith_dim *dim = &dims[byte >> 6];
    switch (byte % 10) {
    case 0:
        qr_arith_begin(chart, (uint64_t)take_number(in), take_number(in));
        break;
    case 1:
    case 2:
        qr_arith_set(dim, take_number(in));
        break;
    case 3:
        qr_arith_end(chart, dims, DIMS, take_number(in), values, flags, check_row, &seen);
        assert(chart->last_collected_us >= 0);
        assert(chart->last_collected_us <= QR_ARITH_TIME_MAX_US);
        break;
    case 4:
        qr_arith_replay_point(chart, take_number(in));
        break;
    case 5:
        qr_arith_replay_value(dim);
        break;
    case 6:
        qr_arith_replay_dim_state(dim, take_number(in), take_number(in), take_double(in));
        break;
    case 7:
        qr_arith_replay_chart_state(chart, take_number(in), take_number(in));
        break;
    case 8:
        qr_arith_replay_end(chart, take_interval(in), byte >> 7);
        break;
    case 9:
        if (byte >> 7)
            define_dim(dim, in, true);
        else
            qr_arith_chart_redefine(chart, take_interval(in), byte & 64);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct qr_arith_chart chart;
    struct qr_arith_dim dims[DIMS];
    qr_arith_chart_init(&chart, take_interval(&in), take_byte(&in) & 1);
    for (int i = 0; i < DIMS; i++)
        define_dim(&dims[i], &in, false);
    while (in.n > 0)
        step(&chart, dims, &in);
    return 0;
}
