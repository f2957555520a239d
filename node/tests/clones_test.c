#include "node/clones.h"

#include <stdio.h>

#include "testing/cmocka.h"

#define GUID "0badcafe-0000-4000-8000-000000000001"

static struct qr_claim claim_of(const char *more, const char *address)
{
    char request[1024];
    const char *reason;
    struct qr_handshake handshake = {0};
    struct qr_claim claim;
    snprintf(request, sizeof request,
             "STREAM key=" GUID "&machine_guid=" GUID "&ver=15352%s HTTP/1.1\r\n"
             "User-Agent: netdata/v1.37.1\r\n\r\n",
             more);
    assert_true(qr_handshake_parse(&handshake, qr_slice_str(request), &reason) > 0);
    qr_clones_identify(&claim, &handshake, address);
    qr_handshake_release(&handshake);
    return claim;
}

static void a_machine_is_what_stays_while_it_does(void **state)
{
    (void)state;
    static const struct {
        const char *more, *address;
        bool same;
    } rows[] = {
        {"&hostname=a&NETDATA_SYSTEM_KERNEL_VERSION=6.1", "10.0.0.1", true},
        {"&hostname=a&NETDATA_SYSTEM_KERNEL_VERSION=6.1&NETDATA_SYSTEM_CPU_FREQ=5", "10.0.0.1",
         true},
        {"&hostname=a&NETDATA_SYSTEM_KERNEL_VERSION=6.1&tags=x", "10.0.0.1", true},
        {"&hostname=a&NETDATA_SYSTEM_KERNEL_VERSION=6.1", "10.0.0.2", false},
        {"&hostname=b&NETDATA_SYSTEM_KERNEL_VERSION=6.1", "10.0.0.1", false},
        {"&hostname=a&NETDATA_SYSTEM_KERNEL_VERSION=6.2", "10.0.0.1", false},
        {"&hostname=a&NETDATA_SYSTEM_KERNEL_VERSION=6.1&hops=2", "10.0.0.1", false},
    };
    struct qr_claim first = claim_of(rows[0].more, rows[0].address);
    assert_true(first.machine != 0);
    assert_string_equal(first.hostname, "a");
    assert_string_equal(first.address, "10.0.0.1");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(claim_of(rows[i].more, rows[i].address).machine == first.machine,
                         rows[i].same);
}

static void a_strangers_name_is_cut_and_printable(void **state)
{
    (void)state;
    char more[400] = "&hostname=%c3%28%e2%82";
    for (size_t i = strlen(more); i < sizeof more - 1; i++)
        more[i] = 'x';
    struct qr_claim claim = claim_of(more, "::1"), back;
    struct qr_buf bytes = {0};
    assert_int_equal(qr_claim_encode(&bytes, &claim), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    qr_claim_take(&in, &back);
    assert_true(qr_cursor_done(&in));
    assert_memory_equal(&back, &claim, sizeof claim);
    qr_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_is_what_stays_while_it_does),
        cmocka_unit_test(a_strangers_name_is_cut_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
