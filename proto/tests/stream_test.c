/* The stream as a whole: lines, host lines, payloads, errors.  Definitions are in define_test.c,
 * rows in rows_test.c, real children in replay_test.c. */
#include "proto/stream.h"

#include "base/limits.h"
#include "proto/tests/recorder.h"

#define GUID  "6bd9a29e-e6ef-11f1-8720-02fc00000001"
#define CLAIM "11111111-2222-3333-4444-555555555555"

static void takes_the_lines_of_the_host(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(&r, "CLAIMED_ID " GUID " NULL\n", "claimed -\n");
    recorder_expect(&r, "CLAIMED_ID '" GUID "' '" CLAIM "'\n", "claimed " CLAIM "\n");
    recorder_expect(&r,
                    "LABEL \"_os\" = 1 \"a b\"\nLABEL x = 2147483657 two words\n"
                    "LABEL \"empty\" = 2 \"\"\n",
                    "");
    recorder_expect(&r, "OVERWRITE labels\n", "labels _os=1:a b x=9:two words empty=2:\n");
    recorder_expect(&r, "OVERWRITE labels\n", "labels\n");
    recorder_expect(&r, "VARIABLE HOST qtest_host_var = 42.5000000\n",
                    "variable - qtest_host_var=42.5\n");
    recorder_expect(&r, "VARIABLE plain = 1\nVARIABLE CHART nobodys = 1\n", "variable - plain=1\n");
    recorder_expect(&r, "FUNCTION GLOBAL \"f\" 10 \"help\" \"top\" 0x13 101 0\n",
                    "function - f 10s help\n");
    recorder_expect(&r, "FUNCTION\nFUNCTION GLOBAL\nFUNCTION \"\" 10 \"no name\"\n", "");
    recorder_close(&r);
}

static void ignores_the_claim_of_another_machine(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    qr_stream_free(r.stream);
    struct qr_guid guid;
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str(GUID)), 0);
    const struct qr_stream_config config = {
        .update_every = 1, .clock = &r.clock, .machine_guid = &guid};
    const struct qr_stream_handler handler = {
        .data = &r, .define = recorder_define, .row = recorder_row, .claimed = recorder_claimed};
    assert_int_equal(qr_stream_new(&r.stream, &config, &handler), 0);
    recorder_expect(&r, "CLAIMED_ID " CLAIM " NULL\n", "");
    recorder_expect(&r, "CLAIMED_ID " GUID " NULL\n", "claimed -\n");
    recorder_expect(&r, "VARIABLE HOST a 1\nOVERWRITE labels\n", ""); /* callbacks may be absent */
    recorder_close(&r);
}

/* Bodies may look like commands; only their exact end counts.  The newline before it is the
 * sender's. */
static void gives_payloads_up_to_their_exact_end(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(&r,
                    "FUNCTION_RESULT_BEGIN \"t\" 200 \"text/plain\" 0\nEND\nSET \"x\" = 1\n"
                    "FUNCTION_RESULT_ENDX\n FUNCTION_RESULT_END\nJSON_PAYLOAD_END\n\n"
                    "FUNCTION_RESULT_END\nVARIABLE HOST a = 1\n",
                    "payload 200 text/plain 0 [END\nSET \"x\" = 1\n"
                    "FUNCTION_RESULT_ENDX\n FUNCTION_RESULT_END\nJSON_PAYLOAD_END\n]\n"
                    "variable - a=1\n");
    recorder_expect(&r,
                    "JSON STREAM_PATH\n{\"version\":1,\nBEGIN x\nJSON_PAYLOAD_END\n"
                    "JSON UNHEARD_OF\nFUNCTION_RESULT_END\nJSON_PAYLOAD_END\n"
                    "FUNCTION_RESULT_BEGIN x\nFUNCTION_RESULT_END\n",
                    "payload STREAM_PATH [{\"version\":1,\nBEGIN x]\n"
                    "payload UNHEARD_OF [FUNCTION_RESULT_END]\n"
                    "payload 500 text/plain 0 []\n");
    recorder_expect(&r, "FUNCTION_RESULT_BEGIN t 200 x 7\n\n\nFUNCTION_RESULT_END\r\n",
                    "payload 200 x 7 [\n]\n");
    r.skips = true;
    recorder_expect(&r, "JSON A\nthis is skipped\nJSON_PAYLOAD_END\nVARIABLE HOST b = 2\n",
                    "variable - b=2\n");
    recorder_close(&r);
}

/* What 2.9.0 says of its path (captured), and a model, from a child that was not asked for them. */
static void skips_what_was_declined_whole(void **state)
{
    (void)state;
    static const char text[] =
        "JSON STREAM_PATH\n"
        "{\"version\":1,\"streaming_path\":[{\"version\":1,\"hostname\":\"capture-child\",\"host_"
        "id\":"
        "\"6035821f-75be-49a6-8d4b-997a06c93736\",\"node_id\":null,\"claim_id\":null,\"hops\":0,"
        "\"since\":1795405900,\"first_time_t\":1795405900,\"start_time\":0,\"shutdown_time\":0,"
        "\"capabilities\":[\"V1\",\"V2\",\"VN\",\"VCAPS\",\"HLABELS\",\"CLAIM\",\"CLABELS\","
        "\"LZ4\","
        "\"FUNCTIONS\",\"REPLICATION\",\"BINARY\",\"INTERPOLATED\",\"IEEE754\",\"DYNCFG\","
        "\"SLOTS\","
        "\"ZSTD\",\"GZIP\",\"BROTLI\",\"PROGRESS\",\"NODEID\",\"PATHS\"],\"flags\":[]}]}\n"
        "JSON_PAYLOAD_END\n"
        "JSON ML_MODEL\n{\"version\":\"1\",\"machine-guid\":\"" GUID "\",\n"
        "CHART evil.chart '' '' '' '' '' line 1 1 '' '' ''\nCLAIMED_ID x y\n}\nJSON_PAYLOAD_END\n"
        "VARIABLE HOST after = 1\n";
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        struct recorder r;
        struct qr_stream_stats stats;
        recorder_open(&r, CAPS_137);
        r.skips = true;
        assert_int_equal(qr_stream_feed(r.stream, qr_slice_of(text, cut)), 0);
        recorder_expect(&r, text + cut, "variable - after=1\n");
        qr_stream_get_stats(r.stream, &stats);
        assert_int_equal(stats.lines_unknown, 0);
        recorder_close(&r);
    }
}

/* The rest of a payload whose text was not compared yet, and what comes behind it. */
static void recorder_expect_end(struct recorder *r, const char *body)
{
    const char end[] = "\nJSON_PAYLOAD_END\nVARIABLE HOST c = 3\n";
    assert_int_equal(qr_stream_feed(r->stream, qr_slice_of(end, sizeof end - 1)), 0);
    qr_buf_add_u8(&r->log, 0);
    assert_memory_equal(r->log.base, body, strlen(body));
    assert_string_equal(r->log.base + strlen(body), "]\nvariable - c=3\n");
    qr_buf_clear(&r->log);
}

/* A body of one line that no buffer of ours holds; its end keyword inside that line is text. */
static void gives_a_long_line_of_a_payload_whole(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    size_t len = 3 * QR_LINE_BYTES_MAX;
    char *body = malloc(len + 1);
    assert_non_null(body);
    memset(body, 'x', len);
    body[len] = '\0';
    memcpy(body + QR_LINE_BYTES_MAX, "JSON_PAYLOAD_END", 16);
    memcpy(body + 2 * QR_LINE_BYTES_MAX, "JSON_PAYLOAD_END ", 17);
    recorder_expect(&r, "JSON A\n", "payload A [");
    assert_int_equal(qr_stream_feed(r.stream, qr_slice_of(body, len)), 0);
    recorder_expect_end(&r, body);
    free(body);
    recorder_close(&r);
}

static void refuses_a_payload_without_end(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    r.skips = true;
    recorder_expect(&r, "JSON A\n", "");
    size_t len = 1024 * 1024;
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, 'x', len);
    int err = 0;
    for (size_t bytes = 0; bytes <= QR_PAYLOAD_BYTES_MAX && err == 0; bytes += len)
        err = qr_stream_feed(r.stream, qr_slice_of(body, len));
    assert_int_equal(err, QR_E_LIMIT);
    assert_non_null(strstr(qr_stream_error_text(r.stream), "a payload does not end"));
    free(body);
    recorder_close(&r);
}

static void skips_and_counts_what_it_does_not_know(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(&r,
                    "\n  \r\nDYNCFG_ENABLE x\nfoo 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 "
                    "20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35\nFOO=1\n",
                    "");
    struct qr_stream_stats stats;
    qr_stream_get_stats(r.stream, &stats);
    assert_int_equal(stats.lines, 5);
    assert_int_equal(stats.lines_unknown, 3);
    recorder_close(&r);
}

static void refuses_with_a_sentence(void **state)
{
    static const struct {
        const char *text;
        int err;
        const char *part;
    } cases[] = {
        {"SET \"x\" = 1\n", QR_E_MALFORMED, "SET outside of BEGIN and END, line 1: SET \\x22x"},
        {"\nEND\n", QR_E_MALFORMED, "END without BEGIN, line 2: END"},
        {"SET2 a b c ''\n", QR_E_MALFORMED, "SET2 outside"},
        {"END2\n", QR_E_MALFORMED, "END2 without BEGIN2"},
        {"RSET a 1 ''\n", QR_E_MALFORMED, "RSET outside"},
        {"RDSTATE a 1 1 1 1\n", QR_E_MALFORMED, "RDSTATE outside"},
        {"RSSTATE 1 1\n", QR_E_MALFORMED, "RSSTATE outside"},
        {"REND 1 1 1 true 1 1 1\n", QR_E_MALFORMED, "REND without RBEGIN"},
        {"RBEGIN '' 1 2 3\n", QR_E_MALFORMED, "RBEGIN without a chart"},
        {"BEGIN a.b\n", QR_E_UNKNOWN, "a chart that was not defined"},
        {"BEGIN2 a.b 1 10 #\n", QR_E_UNKNOWN, "a chart that was not defined"},
        {"RBEGIN a.b\n", QR_E_UNKNOWN, "a chart that was not defined"},
        {"BEGIN\n", QR_E_MALFORMED, "BEGIN needs 1 words"},
        {"BEGIN2 a.b 0 10 #\n", QR_E_MALFORMED, "BEGIN2 with an update_every"},
        {"DIMENSION a\n", QR_E_MALFORMED, "DIMENSION without CHART"},
        {"CLABEL a b 1\n", QR_E_MALFORMED, "CLABEL without CHART"},
        {"CLABEL_COMMIT\n", QR_E_MALFORMED, "CLABEL_COMMIT without CHART"},
        {"CHART_DEFINITION_END 1 2 3\n", QR_E_MALFORMED, "CHART_DEFINITION_END without CHART"},
        {"CHART nodot\n", QR_E_MALFORMED, "must be type.id"},
        {"CHART a.\n", QR_E_MALFORMED, "must be type.id"},
        {"CHART 'a.\"b'\n", QR_E_MALFORMED, "must be type.id"},
        {"CHART a.b n t u f c line 1 99999\n", QR_E_MALFORMED, "update_every is not valid"},
        {"LABEL a b c\n", QR_E_MALFORMED, "LABEL with a source"},
        {"VARIABLE HOST a = x\n", QR_E_MALFORMED, "VARIABLE with a value"},
        {"CLAIMED_ID x NULL\n", QR_E_MALFORMED, "not a UUID"},
        {"CHART a.b 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 "
         "30 31 32\n",
         QR_E_LIMIT, "too many words"},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct recorder r;
        recorder_open(&r, CAPS_137);
        recorder_refuses(&r, cases[i].text, cases[i].err, cases[i].part);
        recorder_close(&r);
    }
}

/* Bytes of a stranger reach the error text only escaped, and never overrun it. */
static void escapes_what_it_quotes(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    char line[4000];
    memset(line, '\x1b', sizeof line);
    memcpy(line, "END ", 4);
    memcpy(line, "CHART ", 6);
    line[sizeof line - 2] = '\n';
    line[sizeof line - 1] = '\0';
    recorder_refuses(&r, line, QR_E_MALFORMED, "\\x1b\\x1b");
    assert_null(strchr(qr_stream_error_text(r.stream), '\x1b'));
    recorder_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_lines_of_the_host),
        cmocka_unit_test(ignores_the_claim_of_another_machine),
        cmocka_unit_test(gives_payloads_up_to_their_exact_end),
        cmocka_unit_test(skips_what_was_declined_whole),
        cmocka_unit_test(gives_a_long_line_of_a_payload_whole),
        cmocka_unit_test(refuses_a_payload_without_end),
        cmocka_unit_test(skips_and_counts_what_it_does_not_know),
        cmocka_unit_test(refuses_with_a_sentence),
        cmocka_unit_test(escapes_what_it_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
