#include "testing/netdata.h"

#include <stdio.h>

#include "testing/cmocka.h"

struct watching {
    struct qr_netdata *netdata;
    struct qr_fetch *fetch;
};

static bool chart_has_values(const struct watching *w, const char *chart)
{
    if (qr_fetch_get(w->fetch, 2000, "%s/api/v1/data?chart=%s&after=-5&format=json",
                     w->netdata->url, chart) != 200)
        return false;
    json_t *answer = qr_fetch_json(w->fetch), *rows = json_object_get(answer, "data");
    bool all = json_array_size(rows) == 5;
    for (size_t i = 0; i < json_array_size(rows); i++)
        for (size_t column = 1; column <= 2; column++)
            all = all && json_is_number(json_array_get(json_array_get(rows, i), column));
    json_decref(answer);
    return all;
}

/* The plugin's charts have values some seconds after the start. */
static bool has_values(void *data)
{
    return chart_has_values(data, "qtest.known") && chart_has_values(data, "qtest.shares");
}

static void collects_known_values_and_equals_itself(void **state)
{
    (void)state;
    if (!qr_netdata_available()) {
        print_message("netdata is not installed here: skipped\n");
        skip();
    }
    struct qr_netdata netdata;
    struct qr_netdata_options options = {.name = "netdata-test"};
    struct qr_fetch fetch;
    assert_int_equal(qr_fetch_init(&fetch), 0);
    assert_int_equal(qr_netdata_start(&netdata, &options), 0);
    assert_int_equal(strlen(netdata.guid), 36);
    struct watching w = {&netdata, &fetch};
    assert_true(qr_wait_for(has_values, &w, 60000, 100));

    struct qr_verify result = {0};
    int64_t to_s = (int64_t)(qr_real_ms() / 1000) - 3;
    qr_netdata_compare(&netdata, &fetch, netdata.url, to_s - 3, to_s, &result);
    assert_true(qr_verify_ok(&result));
    assert_true(result.n_values > 100);
    /* Somebody without the data. */
    memset(&result, 0, sizeof result);
    char other[128];
    snprintf(other, sizeof other, "%s/host/nobody", netdata.url);
    qr_netdata_compare(&netdata, &fetch, other, to_s - 3, to_s, &result);
    assert_false(qr_verify_ok(&result));
    assert_true(result.n_holes > 100);

    /* What it has collected outlives a restart. */
    assert_int_equal(qr_netdata_restart(&netdata), 0);
    assert_int_equal(qr_fetch_get(&fetch, 5000,
                                  "%s/api/v1/data?chart=qtest.known&after=%lld&before=%lld"
                                  "&format=csv",
                                  netdata.url, (long long)to_s - 1, (long long)to_s),
                     200);
    qr_buf_add(&fetch.body, "", 1);
    assert_non_null(strstr(fetch.body.base, "gauge"));
    assert_null(strstr(fetch.body.base, "null"));
    qr_fetch_release(&fetch);
    qr_netdata_release(&netdata, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(collects_known_values_and_equals_itself)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
