#include "storage/merge_dims.h"

#include "storage/tests/fixture.h"

/* Dimensions d<first> .. of a new definition onto those of an old one, and what comes of it. */
static void places_stay(void **state)
{
    (void)state;
    static const struct {
        unsigned first, n;
        const char *expected;
    } rounds[] = {
        {0, 3, "d0 d1 d2 "},
        {1, 2, "+d0 d1 d2 "},
        {2, 3, "+d0 +d1 d2 d3 d4 "},
        {0, 20, "d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 d10 d11 d12 d13 d14 d15 d16 d17 d18 d19 "},
        {19, 1,
         "+d0 +d1 +d2 +d3 +d4 +d5 +d6 +d7 +d8 +d9 +d10 +d11 +d12 +d13 +d14 +d15 +d16 +d17 "
         "+d18 d19 "},
    };
    struct qr_chart_def *known = NULL;
    for (size_t r = 0; r < QR_COUNT(rounds); r++) {
        struct qr_chart_def *def = chart_def("x", "x", 1, rounds[r].first, rounds[r].n);
        assert_int_equal(qr_merge_dims(&def, known), 0);
        char text[256] = "";
        for (uint32_t d = 0; d < def->n_dims; d++) {
            size_t len = strlen(text);
            snprintf(text + len, sizeof text - len, "%s%s ", def->dims[d].flags & 1 ? "+" : "",
                     def->dims[d].id);
        }
        assert_string_equal(text, rounds[r].expected);
        free(known);
        known = def;
    }
    free(known);
}

static void there_is_a_limit(void **state)
{
    (void)state;
    struct qr_chart_def old = {.id = "x", .name = "x"}, *def = chart_def("x", "x", 1, 0, 2),
                        *was = def;
    struct qr_dim_def *dims = calloc(QR_DIMS_PER_CHART_MAX, sizeof *dims);
    char(*ids)[8] = calloc(QR_DIMS_PER_CHART_MAX, sizeof *ids);
    for (uint32_t i = 0; i < QR_DIMS_PER_CHART_MAX; i++) {
        snprintf(ids[i], sizeof ids[i], "e%u", i);
        dims[i] = (struct qr_dim_def){ids[i], ids[i], 1, 1, 0, 0};
    }
    old.dims = dims;
    old.n_dims = QR_DIMS_PER_CHART_MAX;
    assert_int_equal(qr_merge_dims(&def, &old), QR_E_LIMIT);
    assert_ptr_equal(def, was);
    free(def);
    free(dims);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_stay),
        cmocka_unit_test(there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
