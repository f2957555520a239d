#include "testing/verify.h"

#include "testing/cmocka.h"
#include "testing/tests/canned.h"

#define FROM 1700000000
#define TO   1700000059

static const struct qr_model model = {7, 1, 8, 8, 1, true};

/* How the answers lie. */
static enum { HONEST, HOLE, WRONG, TWICE, EXTRA } lie;

static void add_row(struct qr_buf *body, uint32_t chart, int64_t t, const char *before)
{
    qr_buf_printf(body, "%s[%lld", before, (long long)t);
    for (uint32_t dim = 0; dim < model.n_dims; dim++) {
        double value;
        bool spoilt = chart == 3 && t == FROM + 20 && dim == 2;
        bool has = qr_model_value(&model, 0, chart, dim, t, &value);
        if (spoilt && lie == HOLE)
            has = false;
        if (spoilt && lie == WRONG)
            value *= 1.00001;
        if (lie == EXTRA && !has && chart == 2) {
            has = true;
            value = 0;
        }
        if (has)
            qr_buf_printf(body, ",%.7f", value);
        else
            qr_buf_add_str(body, ",null");
    }
    qr_buf_add_str(body, "]");
}

/* Newest first, as Netdata. */
static void answer(const char *request, struct qr_buf *body, int *status)
{
    unsigned chart;
    const char *name = strstr(request, "load.chart_");
    long long t = TO + 5;
    const char *comma = "";
    if (name == NULL || sscanf(name, "load.chart_%u", &chart) != 1) {
        *status = 404;
        return;
    }
    qr_buf_add_str(body, "{\"labels\":[\"time\"");
    for (uint32_t dim = 0; dim < model.n_dims; dim++)
        qr_buf_printf(body, ",\"dim_%u\"", dim);
    qr_buf_add_str(body, "],\"data\":[");
    for (; t >= FROM - 5; t--) {
        if (t % qr_model_update_every(&model, chart) != 0)
            continue;
        add_row(body, chart, t, comma);
        comma = ",";
        if (lie == TWICE && chart == 3 && t == FROM + 20)
            add_row(body, chart, t, comma);
    }
    qr_buf_add_str(body, "]}");
}

static struct qr_verify check(uint16_t port)
{
    struct qr_verify result = {0};
    struct qr_fetch fetch;
    char url[64];
    assert_int_equal(qr_fetch_init(&fetch), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    qr_verify_node(&model, &fetch, url, FROM, TO, &result);
    qr_fetch_release(&fetch);
    return result;
}

static void tells_each_kind_of_fault(void **state)
{
    (void)state;
    struct canned server = {.answer = answer};
    canned_start(&server);
    struct qr_verify r = check(server.port);
    assert_true(qr_verify_ok(&r));
    assert_true(r.n_values > 2000);
    lie = HOLE;
    r = check(server.port);
    assert_int_equal(r.n_holes, 1);
    assert_false(qr_verify_ok(&r));
    lie = WRONG;
    r = check(server.port);
    assert_int_equal(r.n_wrong, 1);
    assert_false(qr_verify_ok(&r));
    lie = TWICE;
    r = check(server.port);
    assert_int_equal(r.n_duplicates, 1);
    assert_false(qr_verify_ok(&r));
    lie = EXTRA;
    r = check(server.port);
    assert_true(r.n_extra > 10);
    assert_false(qr_verify_ok(&r));
    canned_stop(&server);
    r = check(server.port);
    assert_int_equal(r.n_failed, model.n_charts);
    assert_false(qr_verify_ok(&r));
}

static void allows_what_decimal24_loses(void **state)
{
    (void)state;
    assert_true(qr_verify_equal(1000000, 1000000.9));
    assert_false(qr_verify_equal(1000000, 1000002));
    assert_true(qr_verify_equal(0, 1e-7));
    assert_false(qr_verify_equal(0, 1e-6));
    assert_false(qr_verify_equal(5, -5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_kind_of_fault),
        cmocka_unit_test(allows_what_decimal24_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
