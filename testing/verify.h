/* testing/verify.h — is every sample of a qr_model stored, once and right?
 *
 * Asks a node's API (ours or a real Netdata parent's) for every chart of every host of the model
 * over [from_s, to_s], natural points, and compares each (chart, dim, second) with the model:
 *
 *   hole       the model has a value, the answer none
 *   extra      the answer has a value where the model has none
 *   wrong      they differ by more than 1e-6 of the value (decimal24's loss) or 2e-7
 *   duplicate  a second appears in more than one row
 *
 * Seconds whose value depends on a collection after to_s are left out.  Thread: the owner's. */
#ifndef QR_TESTING_VERIFY_H
#define QR_TESTING_VERIFY_H

#include "testing/fetch.h"
#include "testing/model.h"

struct qr_verify {
    uint64_t n_compared; /* Values that must be there, and seconds that must be empty. */
    uint64_t n_values;   /* Right ones. */
    uint64_t n_holes, n_extra, n_wrong, n_duplicates;
    uint64_t n_failed; /* Charts without an answer. */
    char first[256];   /* The first thing that is not right, in words. */
};

/* Adds to *result; `base_url` such as "http://127.0.0.1:19999". */
void qr_verify_node(const struct qr_model *model, struct qr_fetch *fetch, const char *base_url,
                    int64_t from_s, int64_t to_s, struct qr_verify *result);

/* One host, `prefix` being the URL up to "/api". */
void qr_verify_host(const struct qr_model *model, uint32_t host, struct qr_fetch *fetch,
                    const char *prefix, int64_t from_s, int64_t to_s, struct qr_verify *result);

/* One answer of /api/v1/data, format json, for one chart. */
void qr_verify_answer(const struct qr_model *model, uint32_t host, uint32_t chart,
                      const json_t *answer, int64_t from_s, int64_t to_s, struct qr_verify *result);

/* Nothing failed, nothing missing, nothing too much. */
bool qr_verify_ok(const struct qr_verify *result);

/* "values=.. holes=0 wrong=0 duplicates=0 extra=0 failed=0" */
void qr_verify_format(const struct qr_verify *result, char *text, size_t text_bytes);

/* Do two stored or printed values count as equal? */
bool qr_verify_equal(double a, double b);

#endif
