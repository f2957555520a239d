#include "testing/verify.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 30000

/* One chart's answer. */
struct chart_check {
    const struct qr_model *model;
    uint32_t host, chart;
    int64_t from_s, to_s;
    struct qr_verify *result;
    int *columns;      /* Of each dimension, -1: absent. */
    const json_t **at; /* The row of each second of the window, or NULL. */
};

bool qr_verify_equal(double a, double b)
{
    return fabs(a - b) <= fmax(2e-7, 1e-6 * fmax(fabs(a), fabs(b)));
}

bool qr_verify_ok(const struct qr_verify *r)
{
    return r->n_compared > 0 && r->n_values > 0 && r->n_holes == 0 && r->n_extra == 0 &&
           r->n_wrong == 0 && r->n_duplicates == 0 && r->n_failed == 0;
}

void qr_verify_format(const struct qr_verify *r, char *text, size_t text_bytes)
{
    snprintf(text, text_bytes,
             "values=%llu holes=%llu wrong=%llu duplicates=%llu extra=%llu failed=%llu%s%s",
             (unsigned long long)r->n_values, (unsigned long long)r->n_holes,
             (unsigned long long)r->n_wrong, (unsigned long long)r->n_duplicates,
             (unsigned long long)r->n_extra, (unsigned long long)r->n_failed,
             r->first[0] != '\0' ? " first: " : "", r->first);
}

static void note(struct chart_check *check, const char *what, uint32_t dim, int64_t t,
                 const char *detail)
{
    if (check->result->first[0] == '\0')
        snprintf(check->result->first, sizeof check->result->first,
                 "%s: host %u chart %u dim %u second %lld %s", what, check->host, check->chart, dim,
                 (long long)t, detail);
}

static void find_columns(struct chart_check *check, const json_t *labels)
{
    for (uint32_t dim = 0; dim < check->model->n_dims; dim++)
        check->columns[dim] = -1;
    for (size_t i = 1; i < json_array_size(labels); i++) {
        const char *label = json_string_value(json_array_get(labels, i));
        unsigned dim;
        if (label != NULL && sscanf(label, "dim_%u", &dim) == 1 && dim < check->model->n_dims)
            check->columns[dim] = (int)i;
    }
}

static void index_rows(struct chart_check *check, const json_t *data)
{
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *row = json_array_get(data, i);
        int64_t t = json_integer_value(json_array_get(row, 0));
        if (t < check->from_s || t > check->to_s)
            continue;
        if (check->at[t - check->from_s] != NULL) {
            check->result->n_duplicates++;
            note(check, "duplicate", 0, t, "");
        }
        check->at[t - check->from_s] = row;
    }
}

static void compare_second(struct chart_check *check, uint32_t dim, int64_t t)
{
    struct qr_verify *result = check->result;
    const json_t *row = check->at[t - check->from_s], *cell = NULL;
    if (row != NULL && check->columns[dim] >= 0)
        cell = json_array_get(row, (size_t)check->columns[dim]);
    double expected, stored = json_number_value(cell);
    char detail[80];
    result->n_compared++;
    if (!qr_model_value(check->model, check->host, check->chart, dim, t, &expected)) {
        if (json_is_number(cell)) {
            result->n_extra++;
            snprintf(detail, sizeof detail, "has %.9g", stored);
            note(check, "extra", dim, t, detail);
        }
    } else if (!json_is_number(cell)) {
        result->n_holes++;
        snprintf(detail, sizeof detail, "is %s instead of %.9g", row == NULL ? "absent" : "null",
                 expected);
        note(check, "hole", dim, t, detail);
    } else if (!qr_verify_equal(expected, stored)) {
        result->n_wrong++;
        snprintf(detail, sizeof detail, "is %.9g instead of %.9g", stored, expected);
        note(check, "wrong", dim, t, detail);
    } else {
        result->n_values++;
    }
}

static void check_answer(struct chart_check *check, const json_t *answer)
{
    uint32_t update_every = qr_model_update_every(check->model, check->chart);
    find_columns(check, json_object_get(answer, "labels"));
    index_rows(check, json_object_get(answer, "data"));
    for (int64_t t = check->from_s; t <= check->to_s; t++) {
        if (t % update_every != 0 ||
            qr_model_collected_from(check->model, check->chart, t) > check->to_s)
            continue;
        for (uint32_t dim = 0; dim < check->model->n_dims; dim++)
            compare_second(check, dim, t);
    }
}

void qr_verify_answer(const struct qr_model *model, uint32_t host, uint32_t chart,
                      const json_t *answer, int64_t from_s, int64_t to_s, struct qr_verify *result)
{
    assert(from_s <= to_s);
    struct chart_check check = {model, host, chart, from_s, to_s, result, NULL, NULL};
    check.columns = calloc(model->n_dims, sizeof *check.columns);
    check.at = calloc((size_t)(to_s - from_s + 1), sizeof(const json_t *));
    assert(check.columns != NULL && check.at != NULL);
    check_answer(&check, answer);
    free(check.columns);
    free((void *)check.at);
}

static void verify_chart(const struct qr_model *model, uint32_t host, uint32_t chart,
                         struct qr_fetch *fetch, const char *prefix, int64_t from_s, int64_t to_s,
                         struct qr_verify *result)
{
    char id[QR_MODEL_NAME_BYTES];
    qr_model_chart_id(chart, id);
    int64_t margin_s = qr_model_update_every(model, chart);
    int status = qr_fetch_get(fetch, TIMEOUT_MS,
                              "%s/api/v1/data?chart=%s&after=%lld&before=%lld&format=json", prefix,
                              id, (long long)(from_s - margin_s), (long long)(to_s + margin_s));
    json_t *answer = status == 200 ? qr_fetch_json(fetch) : NULL;
    if (answer == NULL) {
        struct chart_check check = {.host = host, .chart = chart, .result = result};
        char detail[32];
        snprintf(detail, sizeof detail, "status %d", status);
        result->n_failed++;
        note(&check, "no answer", 0, from_s, detail);
        return;
    }
    qr_verify_answer(model, host, chart, answer, from_s, to_s, result);
    json_decref(answer);
}

void qr_verify_host(const struct qr_model *model, uint32_t host, struct qr_fetch *fetch,
                    const char *prefix, int64_t from_s, int64_t to_s, struct qr_verify *result)
{
    for (uint32_t chart = 0; chart < model->n_charts; chart++)
        verify_chart(model, host, chart, fetch, prefix, from_s, to_s, result);
}

void qr_verify_node(const struct qr_model *model, struct qr_fetch *fetch, const char *base_url,
                    int64_t from_s, int64_t to_s, struct qr_verify *result)
{
    for (uint32_t host = 0; host < model->n_hosts; host++) {
        char prefix[512], text[QR_GUID_TEXT_LEN + 1];
        struct qr_guid guid;
        qr_model_guid(model, host, &guid);
        qr_guid_format(&guid, text);
        snprintf(prefix, sizeof prefix, "%s/host/%s", base_url, text);
        qr_verify_host(model, host, fetch, prefix, from_s, to_s, result);
    }
}
