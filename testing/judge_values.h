/* testing/judge_values.h — every value that any member ever answered in a history, and at which
 * applied index at the latest it was there.  A part of testing/judge.  Thread: the owner's. */
#ifndef QR_TESTING_JUDGE_VALUES_H
#define QR_TESTING_JUDGE_VALUES_H

#include <jansson.h>

#include "testing/model.h"

#define QR_JUDGE_SPAN_S_MAX 86400

/* Of one load: a cell for each (host, chart, dimension, second). */
struct qr_judge_values {
    struct qr_model model;
    int64_t first_s;
    struct qr_judge_row **rows; /* hosts x charts; each a dynamic array. */
};

struct qr_judge_place {
    uint32_t host, chart;
    int64_t from_s, to_s; /* What was asked for. */
};

/* 0 or UV_ENOMEM. */
int qr_judge_values_init(struct qr_judge_values *values, const struct qr_model *model,
                         int64_t first_s);
void qr_judge_values_release(struct qr_judge_values *values);

/* Called for what is not as it was: `now` is NULL if it is not answered any more. */
typedef void (*qr_judge_values_cb)(void *data, const char *what, uint32_t dim, int64_t t,
                                   double before, const double *now);

/* Compares an answer of a member that had applied at least `applied` with all answers so far, and
 * keeps what it has.  `may_lack`: a missing value is not reported. */
void qr_judge_values_take(struct qr_judge_values *values, const struct qr_judge_place *place,
                          const json_t *answer, uint64_t applied, bool may_lack,
                          qr_judge_values_cb cb, void *data);

/* The member that gave the answer had applied no more than this. */
void qr_judge_values_bound(struct qr_judge_values *values, const struct qr_judge_place *place,
                           const json_t *answer, uint64_t applied);

#endif
