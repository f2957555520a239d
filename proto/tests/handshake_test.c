#include "proto/handshake.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "testing/cmocka.h"

#define KEY  "11111111-2222-3333-4444-555555555555"
#define GUID "6bd9a29e-e6ef-11f1-8720-02fc00000001"
#define TAIL " HTTP/1.1\r\nUser-Agent: netdata/v1.37.1\r\nAccept: */*\r\n\r\n"

/* As 1.37.1 sent it: blanks and slashes are raw. */
static const char request_137[] =
    "STREAM key=" KEY "&hostname=capture-child&registry_hostname=reg&machine_guid=" GUID
    "&update_every=1&os=linux&timezone=Etc/UTC&abbrev_timezone=UTC&utc_offset=-3600&hops=2"
    "&ml_capable=0&ml_enabled=0&mc_version=1&tags=&ver=15352&NETDATA_INSTANCE_CLOUD_TYPE=unknown"
    "&NETDATA_CONTAINER_OS_NAME=Debian GNU/Linux&NETDATA_CONTAINER_OS_VERSION=12 (bookworm)"
    "&NETDATA_SYSTEM_OS_NAME=a%20b&NETDATA_SYSTEM_TOTAL_RAM=25276514304"
    "&NETDATA_PROTOCOL_VERSION=1.1" TAIL;

static void reads_a_request_of_1_37(void **state)
{
    struct qr_handshake h;
    const char *reason = NULL;
    char in[4096];
    size_t len = (size_t)snprintf(in, sizeof in, "%sCLAIMED_ID x", request_137);
    ssize_t used = qr_handshake_parse(&h, qr_slice_of(in, len), &reason);
    assert_int_equal(used, strlen(request_137));
    assert_slice(h.api_key_text, KEY);
    assert_slice(h.machine_guid_text, GUID);
    assert_slice(h.hostname, "capture-child");
    assert_slice(h.registry_hostname, "reg");
    assert_slice(h.os, "linux");
    assert_slice(h.timezone, "Etc/UTC");
    assert_slice(h.abbrev_timezone, "UTC");
    assert_int_equal(h.utc_offset_s, -3600);
    assert_int_equal(h.update_every, 1);
    assert_int_equal(h.hops, 2);
    assert_int_equal(h.ver, 15352);
    assert_slice(h.program_name, "netdata");
    assert_slice(h.program_version, "v1.37.1");
    assert_slice(h.sysinfo[QR_SYSINFO_CLOUD_TYPE], "unknown");
    assert_slice(h.sysinfo[QR_SYSINFO_CONTAINER_OS_NAME], "Debian GNU/Linux");
    assert_slice(h.sysinfo[QR_SYSINFO_CONTAINER_OS_VERSION], "12 (bookworm)");
    assert_slice(h.sysinfo[QR_SYSINFO_OS_NAME], "a b");
    assert_slice(h.sysinfo[QR_SYSINFO_RAM_TOTAL], "25276514304");
    assert_int_equal(h.sysinfo[QR_SYSINFO_CORES].len, 0);
    char guid[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(&h.machine_guid, guid);
    assert_string_equal(guid, GUID);
    qr_handshake_release(&h);
}

static ssize_t parse(const char *query, struct qr_handshake *h, const char **reason)
{
    char in[4096];
    int len = snprintf(in, sizeof in, "STREAM %s%s", query, TAIL);
    return qr_handshake_parse(h, qr_slice_of(in, (size_t)len), reason);
}

static void decodes_values_one_by_one(void **state)
{
    struct qr_handshake h;
    const char *reason = NULL;
    assert_true(parse("hostname=a%26key%3db+c%2fd&machine_guid=" GUID "&key=" KEY
                      "&ver=66912248&NETDATA_CONTAINER_OS_NAME=Debian+GNU%2fLinux"
                      "&os=50%&timezone=x%0ay&hostname=second",
                      &h, &reason) > 0);
    assert_slice(h.hostname, "a&key=b c/d"); /* the first one counts */
    assert_slice(h.sysinfo[QR_SYSINFO_CONTAINER_OS_NAME], "Debian GNU/Linux");
    assert_slice(h.os, "50%");
    assert_slice(h.timezone, "x y");
    assert_int_equal(h.ver, 66912248);
    qr_handshake_release(&h);
}

static void fills_in_what_is_missing(void **state)
{
    struct qr_handshake h;
    const char *reason = NULL;
    assert_true(parse("key=" KEY "&hostname=h&machine_guid=" GUID "&ver=-5&hops=x", &h, &reason) >
                0);
    assert_slice(h.registry_hostname, "h");
    assert_slice(h.os, "unknown");
    assert_slice(h.timezone, "unknown");
    assert_slice(h.abbrev_timezone, "UTC");
    assert_int_equal(h.ver, 0);
    assert_int_equal(h.hops, 1);
    assert_int_equal(h.update_every, 0);
    qr_handshake_release(&h);
}

static void names_why_it_refuses(void **state)
{
    static const struct {
        const char *query, *reason;
    } cases[] = {
        {"hostname=h&machine_guid=" GUID, "the request has no key"},
        {"key=&hostname=h&machine_guid=" GUID, "the request has no key"},
        {"key=" KEY "&machine_guid=" GUID, "the request has no hostname"},
        {"key=" KEY "&hostname=h", "the request has no machine_guid"},
        {"key=" KEY "1&hostname=h&machine_guid=" GUID, "the key is not a UUID"},
        {"key=" KEY "&hostname=h&machine_guid=x", "the machine_guid is not a UUID"},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct qr_handshake h;
        const char *reason = NULL;
        assert_int_equal(parse(cases[i].query, &h, &reason), QR_E_MALFORMED);
        assert_string_equal(reason, cases[i].reason);
    }
}

static void waits_for_the_empty_line(void **state)
{
    struct qr_handshake h;
    const char *reason = NULL;
    for (size_t len = 0; len < strlen(request_137); len++)
        assert_int_equal(qr_handshake_parse(&h, qr_slice_of(request_137, len), &reason),
                         QR_E_PARTIAL);
    assert_int_equal(qr_handshake_parse(&h, qr_slice_str("GET"), &reason), QR_E_MALFORMED);
    assert_int_equal(qr_handshake_parse(&h, qr_slice_str("STREAM x\r\n\r\n"), &reason),
                     QR_E_MALFORMED);
    assert_string_equal(reason, "the request line has no protocol version");

    char *big = malloc(QR_REQUEST_BYTES_MAX);
    assert_non_null(big);
    memset(big, 'x', QR_REQUEST_BYTES_MAX);
    memcpy(big, "STREAM ", 7);
    assert_int_equal(qr_handshake_parse(&h, qr_slice_of(big, QR_REQUEST_BYTES_MAX - 1), &reason),
                     QR_E_PARTIAL);
    assert_int_equal(qr_handshake_parse(&h, qr_slice_of(big, QR_REQUEST_BYTES_MAX), &reason),
                     QR_E_LIMIT);
    free(big);
}

static void accepts_in_the_words_of_each_generation(void **state)
{
    static const struct {
        uint32_t ver;
        const char *reply;
    } cases[] = {
        {0, "Hit me baby, push them over..."},
        {1, "Hit me baby, push them over..."},
        {2, "Hit me baby, push them over and bring the host labels..."},
        {3, "Hit me baby, push them over with the version=3"},
        {4, "Hit me baby, push them over with the version=4"},
        {5, "Hit me baby, push them over with the version=5"},
        {16376, "Hit me baby, push them over with the version=16320"},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        char reply[80];
        size_t n = qr_handshake_accept(
            reply, cases[i].ver,
            qr_caps_negotiate(cases[i].ver, QR_CAPS_OURS, &qr_compression_order_default));
        assert_slice(qr_slice_of(reply, n), cases[i].reply);
        assert_true(n < 75); /* A child refuses a longer one. */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request_of_1_37),
        cmocka_unit_test(decodes_values_one_by_one),
        cmocka_unit_test(fills_in_what_is_missing),
        cmocka_unit_test(names_why_it_refuses),
        cmocka_unit_test(waits_for_the_empty_line),
        cmocka_unit_test(accepts_in_the_words_of_each_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
