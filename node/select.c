#include "node/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/pattern.h"
#include "storage/index.h"

/* A term of the index costs about as much as this many charts of a walk; so does its look-up. */
#define TERM_COST 4u

struct result {
    const struct qr_chart **charts;
    uint32_t n, capacity;
};

static int add(struct result *result, const struct qr_chart *chart)
{
    if (result->n == result->capacity) {
        uint32_t capacity = result->capacity != 0 ? result->capacity * 2 : 64;
        const struct qr_chart **grown =
            realloc(result->charts, capacity * sizeof(const struct qr_chart *));
        if (grown == NULL)
            return UV_ENOMEM;
        result->charts = grown;
        result->capacity = capacity;
    }
    result->charts[result->n++] = chart;
    return 0;
}

/* ---- one term ---- */

struct walk {
    const struct qr_store *store;
    const struct qr_host *host;
    struct qr_postings_at at;
};

/* The next chart of the host that has the term; NULL: no more. */
static const struct qr_chart *next_of_term(struct walk *walk)
{
    uint32_t last = atomic_load(&walk->host->last_chart), id;
    while ((id = qr_postings_next(&walk->at)) != 0 && id <= last) {
        const struct qr_chart *chart = qr_store_chart_by_id(walk->store, id);
        if (chart != NULL && chart->host == walk->host)
            return chart;
    }
    return NULL;
}

static bool begin(struct walk *walk, const struct qr_store *store, const struct qr_host *host,
                  const struct qr_term *term)
{
    const struct qr_chart *first = qr_host_first(host);
    *walk = (struct walk){.store = store, .host = host};
    if (term == NULL || first == NULL)
        return false;
    qr_postings_seek(&term->ids, &walk->at, first->id);
    return true;
}

static const struct qr_term *context_term(const struct qr_store *store, struct qr_slice context)
{
    return qr_index_find(qr_store_index(store), QR_TERM_CONTEXT, qr_slice_of("", 0), context);
}

bool qr_select_has_context(const struct qr_store *store, const struct qr_host *host,
                           struct qr_slice context)
{
    struct walk walk;
    const struct qr_chart *chart;
    if (!begin(&walk, store, host, context_term(store, context)))
        return false;
    while ((chart = next_of_term(&walk)) != NULL)
        if (qr_slice_is(context, atomic_load(&chart->def)->context))
            return true;
    return false;
}

static int add_term(struct result *result, const struct qr_store *store, const struct qr_host *host,
                    const struct qr_term *term)
{
    struct walk walk;
    const struct qr_chart *chart;
    int err = 0;
    if (!begin(&walk, store, host, term))
        return 0;
    while (err == 0 && (chart = next_of_term(&walk)) != NULL)
        err = add(result, chart);
    return err;
}

/* ---- patterns over terms ---- */

static bool label_matches(struct qr_slice pattern, const char *name, const char *value,
                          bool values_only)
{
    char text[2 * QR_NAME_BYTES_MAX + 2];
    if (!values_only && qr_pattern_matches(pattern, QR_PATTERN_API, qr_slice_str(name)))
        return true;
    snprintf(text, sizeof text, "%s:%s", name, value);
    return qr_pattern_matches(pattern, QR_PATTERN_API, qr_slice_str(text));
}

bool qr_select_labels_match(const struct qr_chart_def *def, struct qr_slice pattern,
                            bool values_only)
{
    struct qr_def_label label;
    if (pattern.len == 0)
        return true;
    for (uint32_t i = 0; qr_chart_def_label(def, i, &label); i++)
        if (label_matches(pattern, label.name, label.value, values_only))
            return true;
    return false;
}

static bool term_matches(const struct qr_select *select, enum qr_term_kind kind,
                         const struct qr_term *term)
{
    return kind == QR_TERM_CONTEXT
               ? qr_pattern_matches(select->context, QR_PATTERN_API, qr_slice_str(term->value))
               : label_matches(select->labels, term->key, term->value, select->values_only);
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = (*(const struct qr_chart *const *)a)->id;
    uint32_t y = (*(const struct qr_chart *const *)b)->id;
    return (x > y) - (x < y);
}

/* A chart may have several of the labels. */
static void sort_and_unite(struct result *result)
{
    uint32_t n = 0;
    if (result->n == 0)
        return;
    qsort(result->charts, result->n, sizeof(const struct qr_chart *), compare_ids);
    for (uint32_t i = 0; i < result->n; i++)
        if (n == 0 || result->charts[n - 1] != result->charts[i])
            result->charts[n++] = result->charts[i];
    result->n = n;
}

static int by_terms(struct result *result, const struct qr_store *store, const struct qr_host *host,
                    const struct qr_select *select, enum qr_term_kind kind)
{
    struct qr_lookup_at at = {0};
    const struct qr_term *term;
    int err = 0;
    while (err == 0 && (term = qr_index_walk(qr_store_index(store), kind, &at)) != NULL)
        if (term_matches(select, kind, term))
            err = add_term(result, store, host, term);
    sort_and_unite(result);
    return err;
}

/* ---- all charts of the host ---- */

/* Equal contexts are one text in memory: each is compared once. */
struct verdicts {
    struct qr_map map;
    const char **contexts; /* The keys' own memory. */
    uint32_t n;
};

static const char yes, no;

static bool context_fits(struct verdicts *verdicts, const struct qr_select *select,
                         const char *const *context)
{
    struct qr_slice key = qr_slice_of(context, sizeof *context);
    const char *known = qr_map_get(&verdicts->map, key);
    if (known != NULL)
        return known == &yes;
    struct qr_slice text = qr_slice_str(*context);
    bool fits = select->pattern ? qr_pattern_matches(select->context, QR_PATTERN_API, text)
                                : qr_slice_equal(select->context, text);
    verdicts->contexts[verdicts->n] = *context;
    key.base = (const char *)&verdicts->contexts[verdicts->n];
    if (qr_map_set(&verdicts->map, key, (void *)(uintptr_t)(fits ? &yes : &no)) == 0)
        verdicts->n++; /* without memory it is compared again */
    return fits;
}

static int by_walk(struct result *result, const struct qr_host *host,
                   const struct qr_select *select)
{
    struct verdicts verdicts = {.n = 0};
    uint32_t n = atomic_load(&host->n_charts), seen = 0;
    int err = 0;
    qr_map_init(&verdicts.map);
    verdicts.contexts = malloc((n + 1) * sizeof(const char *));
    if (verdicts.contexts == NULL)
        return UV_ENOMEM;
    for (const struct qr_chart *chart = qr_host_first(host); chart != NULL && err == 0 && seen < n;
         chart = qr_chart_next(chart), seen++) {
        const char *context = atomic_load(&chart->def)->context;
        if (select->context.len == 0 || context_fits(&verdicts, select, &context))
            err = add(result, chart);
    }
    qr_map_release(&verdicts.map);
    free(verdicts.contexts);
    return err;
}

int qr_select_charts(const struct qr_store *store, const struct qr_host *host,
                     const struct qr_select *select, const struct qr_chart ***charts, uint32_t *n)
{
    struct result result = {0};
    int err = 0;
    const struct qr_index *index = qr_store_index(store);
    uint32_t n_charts = host != NULL ? atomic_load(&host->n_charts) : 0;
    uint32_t n_contexts = qr_index_count(index, QR_TERM_CONTEXT);
    uint32_t n_labels = qr_index_count(index, QR_TERM_CHART_LABEL);
    if (select->context.len > 0 && !select->pattern && n_charts > 0) {
        const struct qr_term *term = context_term(store, select->context);
        bool few = term != NULL && qr_postings_count(&term->ids) / TERM_COST < n_charts;
        err = few || term == NULL ? add_term(&result, store, host, term)
                                  : by_walk(&result, host, select);
    } else if (select->context.len > 0 && n_contexts < n_charts / TERM_COST) {
        err = by_terms(&result, store, host, select, QR_TERM_CONTEXT);
    } else if (select->context.len == 0 && select->labels.len > 0 &&
               n_labels < n_charts / TERM_COST) {
        err = by_terms(&result, store, host, select, QR_TERM_CHART_LABEL);
    } else if (n_charts > 0) {
        err = by_walk(&result, host, select);
    }
    if (err != 0) {
        free(result.charts);
        return err;
    }
    *charts = result.charts;
    *n = result.n;
    return 0;
}
