#include "proto/request.h"

#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

static struct qr_guid guid_of(const char *text)
{
    struct qr_guid guid;
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str(text)), 0);
    return guid;
}

static struct qr_request example(void)
{
    struct qr_request request = {
        .api_key = qr_slice_str("11111111-2222-3333-4444-555555555555"),
        .machine_guid = guid_of("6035821f-75be-49a6-8d4b-997a06c93736"),
        .hostname = qr_slice_str("capture-child"),
        .os = qr_slice_str("linux"),
        .timezone = qr_slice_str("Etc/UTC"),
        .abbrev_timezone = qr_slice_str("UTC"),
        .utc_offset_s = -3600,
        .update_every = 1,
        .hops = 2,
        .caps = 63241208,
        .program_name = qr_slice_str("netdata"),
        .program_version = qr_slice_str("v2.9.0"),
    };
    request.sysinfo[QR_SYSINFO_CONTAINER_OS_NAME] = qr_slice_str("Debian GNU/Linux");
    request.sysinfo[QR_SYSINFO_CONTAINER_OS_VERSION] = qr_slice_str("12 (bookworm)");
    return request;
}

static void says_what_a_child_says(void **state)
{
    struct qr_request request = example();
    struct qr_buf out;
    qr_buf_init(&out, QR_REQUEST_BYTES_MAX);
    assert_int_equal(qr_request_encode(&request, &out), 0);
    qr_buf_add_u8(&out, 0);
    assert_string_equal(
        out.base,
        "STREAM key=11111111-2222-3333-4444-555555555555&hostname=capture-child"
        "&registry_hostname=capture-child&machine_guid=6035821f-75be-49a6-8d4b-997a06c93736"
        "&update_every=1&os=linux&timezone=Etc/UTC&abbrev_timezone=UTC&utc_offset=-3600&hops=2"
        "&ml_capable=0&ml_enabled=0&mc_version=0&ver=63241208"
        "&NETDATA_CONTAINER_OS_NAME=Debian%20GNU/Linux"
        "&NETDATA_CONTAINER_OS_VERSION=12%20%28bookworm%29&NETDATA_PROTOCOL_VERSION=1.1 HTTP/1.1"
        "\r\nUser-Agent: netdata/v2.9.0\r\nAccept: */*\r\n\r\n");
    qr_buf_release(&out);
}

/* What we say, our own parser reads back, whatever is in the texts. */
static void what_is_said_is_read_back(void **state)
{
    char all[256];
    size_t n = 0;
    for (int c = ' '; c < 256; c++)
        if (c != '&' && c != 0x7F)
            all[n++] = (char)c;
    struct qr_request request = example();
    request.hostname = request.registry_hostname = qr_slice_of(all, n);
    for (enum qr_sysinfo i = 0; i < QR_SYSINFO_NR; i++)
        request.sysinfo[i] = qr_slice_of(all + i, n - i);
    struct qr_buf out;
    qr_buf_init(&out, QR_REQUEST_BYTES_MAX);
    assert_int_equal(qr_request_encode(&request, &out), 0);
    struct qr_handshake h;
    const char *reason = NULL;
    assert_int_equal(qr_handshake_parse(&h, qr_buf_slice(&out), &reason), out.len);
    assert_true(qr_slice_equal(h.hostname, request.hostname));
    assert_true(qr_slice_equal(h.registry_hostname, request.hostname));
    assert_true(qr_slice_equal(h.api_key_text, request.api_key));
    assert_true(qr_guid_equal(&h.machine_guid, &request.machine_guid));
    assert_true(qr_slice_is(h.os, "linux"));
    assert_true(qr_slice_is(h.timezone, "Etc/UTC"));
    assert_true(qr_slice_is(h.program_name, "netdata"));
    assert_true(qr_slice_is(h.program_version, "v2.9.0"));
    assert_int_equal(h.utc_offset_s, -3600);
    assert_int_equal(h.update_every, 1);
    assert_int_equal(h.hops, 2);
    assert_int_equal(h.ver, 63241208);
    for (enum qr_sysinfo i = 0; i < QR_SYSINFO_NR; i++)
        assert_true(qr_slice_equal(h.sysinfo[i], request.sysinfo[i]));
    qr_handshake_release(&h);
    qr_buf_release(&out);
}

/* A name of a stranger cannot become a parameter or a header of its own. */
static void nothing_is_smuggled_in(void **state)
{
    struct qr_request request = example();
    request.hostname = qr_slice_str("a&key=00000000-0000-0000-0000-000000000000\r\nX: y HTTP/1.1");
    request.program_version = qr_slice_str("1\r\n\r\nSTREAM ");
    struct qr_buf out;
    qr_buf_init(&out, QR_REQUEST_BYTES_MAX);
    assert_int_equal(qr_request_encode(&request, &out), 0);
    struct qr_handshake h;
    const char *reason = NULL;
    assert_int_equal(qr_handshake_parse(&h, qr_buf_slice(&out), &reason), out.len);
    assert_true(
        qr_slice_is(h.hostname, "a key=00000000-0000-0000-0000-000000000000  X: y HTTP/1.1"));
    assert_true(qr_slice_equal(h.api_key_text, request.api_key));
    assert_true(qr_slice_is(h.program_version, "1"));
    qr_handshake_release(&h);
    qr_buf_release(&out);
    qr_buf_init(&out, 100);
    assert_int_equal(qr_request_encode(&request, &out), QR_E_LIMIT);
    qr_buf_release(&out);
}

#define OFFERED QR_SENDER_CAPS
#define V137    15352u /* What a 1.37.1 parent leaves of it, without LZ4. */

static const struct {
    const char *text;
    int err;
    enum qr_reply_kind kind;
    uint32_t caps, wait_s;
} cases[] = {
    {"Hit me baby, push them over with the version=15352", 0, QR_REPLY_ACCEPTED,
     V137 & ~(QR_CAP_V1 | QR_CAP_V2 | QR_CAP_VN), 0},
    {"Hit me baby, push them over with the version=4", 0, QR_REPLY_ACCEPTED,
     QR_CAP_VN | QR_CAP_HLABELS | QR_CAP_CLAIM | QR_CAP_CLABELS, 0},
    {"Hit me baby, push them over with the version=5", 0, QR_REPLY_ACCEPTED,
     QR_CAP_VN | QR_CAP_HLABELS | QR_CAP_CLAIM | QR_CAP_CLABELS | QR_CAP_LZ4, 0},
    {"Hit me baby, push them over and bring the host labels...", 0, QR_REPLY_ACCEPTED,
     QR_CAP_V2 | QR_CAP_HLABELS, 0},
    {"Hit me baby, push them over...", 0, QR_REPLY_ACCEPTED, QR_CAP_V1, 0},
    {"Don't hit me baby, you are trying to stream my localhost back", 0, QR_REPLY_LOCALHOST, 0,
     3600},
    {"This GUID is already streaming to this server", 0, QR_REPLY_ALREADY, 0, 120},
    {"You are not permitted to access this. Check the logs for more info.", 0, QR_REPLY_DENIED, 0,
     60},
    {"The server is too busy now to accept this request. Try later.", 0, QR_REPLY_BUSY, 0, 60},
    {"The server encountered an internal error. Try later.", 0, QR_REPLY_INTERNAL_ERROR, 0, 60},
    {"The server is initializing. Try later.", 0, QR_REPLY_INITIALIZING, 0, 30},
    {"", QR_E_PARTIAL, 0, 0, 0},
    {"Hit me baby, push them over", QR_E_PARTIAL, 0, 0, 0},
    {"Hit me baby, push them over with the version=", QR_E_PARTIAL, 0, 0, 0},
    {"The server", QR_E_PARTIAL, 0, 0, 0},
    {"Hit me baby, push them over with the version=x", 0, QR_REPLY_UNKNOWN, 0, 60},
    {"Hit me baby, push them over with the version=4294967295", 0, QR_REPLY_UNKNOWN, 0, 60},
    {"Hit me baby, push them over with the version=99999999999999999999", 0, QR_REPLY_UNKNOWN, 0,
     60},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", 0, QR_REPLY_UNKNOWN, 0, 60},
    {"The server is initializing. Try later.\n", 0, QR_REPLY_UNKNOWN, 0, 60},
    {"x", 0, QR_REPLY_UNKNOWN, 0, 60},
};

static void reads_every_reply(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_reply reply = {0};
        assert_int_equal(qr_reply_parse(qr_slice_str(cases[i].text), OFFERED, &reply),
                         cases[i].err);
        if (cases[i].err != 0)
            continue;
        assert_int_equal(reply.kind, cases[i].kind);
        assert_int_equal(reply.caps, cases[i].caps);
        assert_int_equal(reply.wait_s, cases[i].wait_s);
        assert_non_null(reply.sentence);
    }
}

/* Both sides compute the same set, from what one offered and the other accepted. */
static void agrees_with_the_other_side(void **state)
{
    const uint32_t offers[] = {QR_SENDER_CAPS, QR_SENDER_CAPS & ~QR_CAP_INTERPOLATED,
                               QR_SENDER_CAPS & ~QR_CAPS_COMPRESSIONS, 16376, 15352};
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        uint32_t theirs = qr_caps_negotiate(offers[i], QR_CAPS_OURS, &qr_compression_order_default);
        char text[80];
        size_t len = qr_handshake_accept(text, offers[i], theirs);
        struct qr_reply reply;
        assert_int_equal(qr_reply_parse(qr_slice_of(text, len), offers[i], &reply), 0);
        assert_int_equal(reply.kind, QR_REPLY_ACCEPTED);
        assert_int_equal(reply.caps, theirs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_child_says),     cmocka_unit_test(what_is_said_is_read_back),
        cmocka_unit_test(nothing_is_smuggled_in),     cmocka_unit_test(reads_every_reply),
        cmocka_unit_test(agrees_with_the_other_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
