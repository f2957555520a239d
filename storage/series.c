#include "storage/series.h"

#include "storage/lanes.h"
#include "storage/value.h"

bool qr_series_take(struct qr_cursor *in, uint32_t n, struct qr_series *series)
{
    *series = (struct qr_series){0};
    uint8_t head = qr_cursor_u8(in);
    series->mode = head & QR_SERIES_MODE;
    if (in->failed || head >> 6 != 0 || series->mode > QR_INTEGERS_FRAMES ||
        (series->mode == QR_SERIES_EMPTY && head != 0))
        return false;
    if (series->mode == QR_SERIES_EMPTY)
        return true;
    if (head & QR_SERIES_GAPS && !qr_marks_take(in, n, &series->gaps))
        return false;
    series->n_present = n - series->gaps.n_marked;
    if (series->n_present == 0 ||
        (head & QR_SERIES_RESETS && !qr_marks_take(in, series->n_present, &series->resets)) ||
        (head & QR_SERIES_ANOMALIES && !qr_marks_take(in, series->n_present, &series->anomalies)))
        return false;
    if (series->mode != QR_SERIES_RAW)
        series->exponent = qr_cursor_u8(in) + QR_VALUE_EXPONENT_MIN;
    return !in->failed && series->exponent <= QR_VALUE_EXPONENT_MAX;
}

uint32_t qr_series_place(const struct qr_series *series, uint32_t row)
{
    return row - (series->gaps.n_marked != 0 ? qr_marks_count(&series->gaps, 0, row) : 0);
}

bool qr_series_value(const struct qr_series *series, int64_t x, uint32_t *value)
{
    if (x > QR_INTEGER_MAX || x < -QR_INTEGER_MAX)
        return false;
    *value = qr_value_of_decimal(x, series->exponent);
    return !qr_value_is_empty(*value);
}

bool qr_series_values(const struct qr_series *series, const struct qr_dictionary *dictionary,
                      uint32_t values[QR_DICTIONARY_MAX])
{
    int32_t narrow[QR_DICTIONARY_MAX] = {0};
    const int64_t *x = dictionary->entries;
    uint32_t n = dictionary->n;
    bool is_narrow = series->exponent <= 0;
    for (uint32_t i = 0; i < n; i++) {
        is_narrow = is_narrow && x[i] <= INT32_MAX && x[i] >= INT32_MIN;
        narrow[i] = (int32_t)x[i];
    }
    for (uint32_t at = 0; at < n && is_narrow; at += QR_LANES_N)
        is_narrow = qr_lanes_here()->values(narrow + at, (unsigned)-series->exponent, values + at);
    for (uint32_t i = 0; i < n && !is_narrow; i++)
        if (!qr_series_value(series, x[i], &values[i]))
            return false;
    return true;
}
