#include "node/upstream_request.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "node/tests/upstream_fixture.h"
#include "proto/caps.h"
#include "proto/handshake.h"

#define KEY "11111111-2222-3333-4444-555555555555"

static const struct qr_guid cluster = {{0xab}};
static struct fixture fixture;

static int ask(bool compression, struct qr_handshake *handshake, uint32_t *offered)
{
    struct qr_buf request = {0};
    const char *reason = NULL;
    const struct qr_upstream_request asked = {.store = fixture.store,
                                              .guid = &fixture_guid,
                                              .api_key = KEY,
                                              .cluster_id = &cluster,
                                              .compression = compression};
    int err = qr_upstream_request_encode(&asked, &request, offered);
    if (err == 0 &&
        qr_handshake_parse(handshake, qr_buf_slice(&request), &reason) != (ssize_t)request.len)
        fail_msg("%s", reason);
    qr_buf_release(&request);
    return err;
}

static void a_parent_reads_the_host_one_hop_further(void **state)
{
    (void)state;
    struct qr_handshake h;
    uint32_t offered;
    const struct qr_def_label sysinfo[] = {{"NETDATA_SYSTEM_ARCHITECTURE", "x86_64", 0},
                                           {"NETDATA_CONTAINER_OS_NAME", "Debian GNU/Linux", 0}};
    fixture_host(&fixture, sysinfo, 2);
    assert_int_equal(ask(true, &h, &offered), 0);
    assert_slice(h.api_key_text, KEY);
    assert_slice(h.hostname, "box one");
    assert_slice(h.registry_hostname, "box");
    assert_slice(h.program_name, "netdata");
    assert_slice(h.program_version, "v1.37.1");
    assert_slice(h.sysinfo[QR_SYSINFO_ARCHITECTURE], "x86_64");
    assert_slice(h.sysinfo[QR_SYSINFO_CONTAINER_OS_NAME], "Debian GNU/Linux");
    assert_slice(h.sysinfo[QR_SYSINFO_QUORATE_PATH], "ab000000-0000-0000-0000-000000000000");
    assert_int_equal(h.hops, 2);
    assert_int_equal(h.utc_offset_s, -60);
    assert_int_equal(h.ver, offered);
    assert_true(offered & QR_CAPS_COMPRESSIONS && offered & QR_CAP_REPLICATION);
    assert_true(offered & QR_CAP_FUNCTIONS && offered & QR_CAP_PROGRESS);
    assert_int_equal(offered & QR_CAP_DYNCFG, 0);
    qr_handshake_release(&h);
    assert_int_equal(ask(false, &h, &offered), 0);
    assert_false(offered & QR_CAPS_COMPRESSIONS);
    qr_handshake_release(&h);
}

static void the_path_grows_and_has_an_end(void **state)
{
    (void)state;
    struct qr_handshake h;
    uint32_t offered;
    static const char id[] = "cd000000-0000-0000-0000-000000000000";
    char path[640];
    memcpy(path, id, sizeof id);
    const struct qr_def_label sysinfo[] = {{"QUORATE_PATH", path, 0}};
    fixture_host(&fixture, sysinfo, 1);
    assert_int_equal(ask(true, &h, &offered), 0);
    assert_slice(h.sysinfo[QR_SYSINFO_QUORATE_PATH],
                 "cd000000-0000-0000-0000-000000000000,ab000000-0000-0000-0000-000000000000");
    qr_handshake_release(&h);
    for (size_t i = 1; i < 16; i++)
        snprintf(path + i * (sizeof id) - 1, sizeof path - i * (sizeof id) + 1, ",%s", id);
    fixture_host(&fixture, sysinfo, 1);
    assert_int_equal(ask(true, &h, &offered), QR_E_LIMIT);
}

static void a_host_that_is_gone_is_not_asked_for(void **state)
{
    (void)state;
    struct qr_handshake h;
    uint32_t offered, n;
    qr_store_apply_forget(fixture.store, &(struct qr_forgotten){fixture.host, 0}, false, &n);
    assert_int_equal(ask(true, &h, &offered), QR_E_UNKNOWN);
}

static int setup(void **state)
{
    (void)state;
    fixture_open(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parent_reads_the_host_one_hop_further),
        cmocka_unit_test(the_path_grows_and_has_an_end),
        cmocka_unit_test(a_host_that_is_gone_is_not_asked_for),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
