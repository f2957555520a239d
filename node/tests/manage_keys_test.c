#include "node/manage_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "testing/cmocka.h"

#define HEX  "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define GUID "aaaaaaaa-0000-4000-8000-000000000001"

static struct qr_key_request asked;
static struct qr_http_request request;
static char sentence[512];

/* The request stays parsed: slices point into it. */
static int read_line(const char *line)
{
    char text[1024];
    int status;
    const char *why;
    qr_http_request_release(&request);
    snprintf(text, sizeof text, "%s HTTP/1.1\r\n\r\n", line);
    assert_true(qr_http_parse(&request, qr_slice_str(text), &status, &why) > 0);
    asked = (struct qr_key_request){0};
    sentence[0] = '\0';
    return qr_manage_keys_read(&asked, &request, sentence, sizeof sentence);
}

#define POST "POST /api/quorate/v1/keys?do="

static void takes_what_is_complete(void **state)
{
    (void)state;
    assert_int_equal(read_line("GET /api/quorate/v1/keys"), 0);
    assert_int_equal(asked.verb, QR_KEY_LIST);
    assert_int_equal(read_line(POST "list"), 0);
    assert_int_equal(read_line(POST
                               "add&hash=" HEX
                               "&name=web-1&policy=allow%20from%20%3D%2010.*%0Aupdate+every=2"),
                     0);
    assert_int_equal(asked.verb, QR_KEY_ADD);
    assert_slice(asked.name, "web-1");
    assert_slice(asked.policy, "allow from = 10.*\nupdate every=2");
    assert_int_equal(asked.hash[1], 0x11);
    assert_int_equal(asked.hash[31], 0xff);
    assert_int_equal(read_line(POST "add&hash=" HEX), 0);
    assert_int_equal(asked.name.len, 0);
    assert_int_equal(read_line(POST "rotate&key=web&overlap=86400&hash=" HEX), 0);
    assert_slice(asked.key, "web");
    assert_int_equal(asked.overlap_s, 86400);
    assert_int_equal(read_line(POST "rotate&key=7&hash=" HEX), 0);
    assert_int_equal(asked.overlap_s, 0);
    assert_int_equal(read_line(POST "revoke&key=7"), 0);
    assert_int_equal(read_line(POST "bind&machine_guid=" GUID "&key=7"), 0);
    assert_false(asked.has_certificate);
    assert_int_equal(asked.guid.bytes[0], 0xaa);
    assert_int_equal(read_line(POST "bind&machine_guid=" GUID "&certificate="
                                    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
                                    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"),
                     0);
    assert_true(asked.has_certificate);
    assert_int_equal(asked.certificate[31], 0xff);
    assert_int_equal(read_line(POST "unbind&machine_guid=" GUID), 0);
}

static void refuses_the_rest_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {POST "lend", "`do` is none of"},
        {"POST /api/quorate/v1/keys", "`do` is none of"},
        {POST "add", "64 hex digits"},
        {POST "add&hash=" HEX "0", "64 hex digits"},
        {POST "add&hash=xx112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
         "64 hex digits"},
        {POST "add&hash=" HEX "&name=a%20b", "at most 32"},
        {POST "add&hash=" HEX "&policy=update%20every%20%3D%20soon", "update every = soon"},
        {POST "add&hash=" HEX "&policy=enabled%20%3D%20no", "has no such option"},
        {POST "add&hash=" HEX "&policy=proxy%20api%20key%20%3D%20x", "write it into stream.conf"},
        {POST "add&hash=" HEX "&policy=allow%20from", "missing"},
        {POST "rotate&hash=" HEX, "No key"},
        {POST "rotate&key=1&overlap=1d&hash=" HEX, "number of seconds"},
        {POST "rotate&key=1&overlap=99999999&hash=" HEX, "366 days"},
        {POST "revoke", "No key"},
        {POST "bind&machine_guid=" GUID, "Neither a key nor a certificate"},
        {POST "bind&machine_guid=me&key=1", "not a UUID"},
        {POST "bind&machine_guid=" GUID "&certificate=00:11", "fingerprint"},
        {POST "unbind", "not a UUID"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_line(cases[i].line), QR_E_MALFORMED);
        if (strstr(sentence, cases[i].sentence) == NULL)
            fail_msg("case %zu: %s", i, sentence);
    }
    qr_http_request_release(&request);
}

static void every_refusal_has_its_status(void **state)
{
    (void)state;
    assert_int_equal(qr_manage_keys_status(QR_E_UNKNOWN), 404);
    assert_int_equal(qr_manage_keys_status(QR_E_MALFORMED), 400);
    assert_int_equal(qr_manage_keys_status(QR_E_EXISTS), 409);
    assert_int_equal(qr_manage_keys_status(QR_E_BUSY), 409);
    assert_int_equal(qr_manage_keys_status(QR_E_NO_QUORUM), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_complete),
        cmocka_unit_test(refuses_the_rest_with_a_sentence),
        cmocka_unit_test(every_refusal_has_its_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
