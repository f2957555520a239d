#include "testing/fetch.h"

#include "base/error.h"
#include "testing/cmocka.h"
#include "testing/tests/canned.h"

static void answer(const char *request, struct qr_buf *body, int *status)
{
    if (strncmp(request, "GET /slow", 9) == 0)
        usleep(1000000);
    *status = strncmp(request, "GET /missing", 12) == 0 ? 404 : 200;
    qr_buf_add_str(body, "{\"a\": [1, 2.5]}");
}

static void gets_status_and_body(void **state)
{
    (void)state;
    struct canned server = {.answer = answer};
    struct qr_fetch fetch;
    canned_start(&server);
    assert_int_equal(qr_fetch_init(&fetch), 0);
    assert_int_equal(qr_fetch_get(&fetch, 60000, "http://127.0.0.1:%u/x", server.port), 200);
    json_t *json = qr_fetch_json(&fetch);
    assert_int_equal(json_array_size(json_object_get(json, "a")), 2);
    json_decref(json);
    assert_int_equal(qr_fetch_get(&fetch, 60000, "http://127.0.0.1:%u/missing", server.port), 404);
    assert_int_equal(qr_fetch_get(&fetch, 50, "http://127.0.0.1:%u/slow", server.port),
                     QR_E_TIMEOUT);
    canned_stop(&server);
    assert_int_equal(qr_fetch_get(&fetch, 60000, "http://127.0.0.1:%u/x", server.port),
                     QR_E_UNREACHABLE);
    assert_null(qr_fetch_json(&fetch));
    qr_fetch_release(&fetch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gets_status_and_body)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
