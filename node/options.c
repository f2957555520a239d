#include "node/options.h"

#include "base/compiler.h"

/* The first name of each is the one that answers list. */
static const struct {
    uint32_t option;
    const char *names[4];
} rows[] = {
    {QR_OPTION_NONZERO, {"nonzero"}},
    {QR_OPTION_FLIP, {"flip", "reversed", "reverse"}},
    {QR_OPTION_JSONWRAP, {"jsonwrap"}},
    {QR_OPTION_MIN2MAX, {"min2max"}},
    {QR_OPTION_MS, {"ms", "milliseconds"}},
    {QR_OPTION_ABS, {"abs", "absolute", "absolute_sum", "absolute-sum"}},
    {QR_OPTION_DISPLAY_ABS, {"display_absolute", "display-absolute"}},
    {QR_OPTION_SECONDS, {"seconds"}},
    {QR_OPTION_NULL2ZERO, {"null2zero"}},
    {QR_OPTION_OBJECTROWS, {"objectrows"}},
    {QR_OPTION_GOOGLE_JSON, {"google_json", "google-json"}},
    {QR_OPTION_PERCENTAGE, {"percentage"}},
    {QR_OPTION_UNALIGNED, {"unaligned"}},
    {QR_OPTION_MATCH_IDS, {"match_ids", "match-ids"}},
    {QR_OPTION_MATCH_NAMES, {"match_names", "match-names"}},
    {QR_OPTION_ANOMALY_BIT, {"anomaly-bit"}},
    {QR_OPTION_SELECTED_TIER, {"selected-tier"}},
    {QR_OPTION_RAW, {"raw"}},
    {QR_OPTION_JW_ANOMALY_RATES, {"jw-anomaly-rates"}},
    {QR_OPTION_NATURAL_POINTS, {"natural-points"}},
    {QR_OPTION_VIRTUAL_POINTS, {"virtual-points"}},
    {QR_OPTION_ALL_DIMENSIONS, {"all-dimensions"}},
};

static uint32_t option_of(struct qr_slice word)
{
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        for (size_t n = 0; n < QR_COUNT(rows[i].names) && rows[i].names[n] != NULL; n++)
            if (qr_slice_is(word, rows[i].names[n]))
                return rows[i].option;
    return 0;
}

uint32_t qr_options_parse(struct qr_slice text)
{
    uint32_t options = 0;
    size_t start = 0;
    for (size_t i = 0; i <= text.len; i++)
        if (i == text.len || memchr(",| ", text.base[i], 3) != NULL) {
            options |= option_of(qr_slice_of(text.base + start, i - start));
            start = i + 1;
        }
    return options;
}

void qr_options_print(struct qr_buf *out, uint32_t options)
{
    const char *before = "";
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        if (options & rows[i].option) {
            qr_buf_printf(out, "%s%s", before, rows[i].names[0]);
            before = ",";
        }
}
