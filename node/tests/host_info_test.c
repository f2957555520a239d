#include "node/host_info.h"

#include <stdlib.h>

#include "base/error.h"
#include "storage/definition.h"
#include "testing/cmocka.h"

static const char request[] =
    "STREAM key=11111111-2222-3333-4444-555555555555&hostname=web 3&registry_hostname=web-3"
    "&machine_guid=aaaaaaaa-0000-4000-8000-000000000001&update_every=2&os=linux&timezone=Etc/UTC"
    "&abbrev_timezone=UTC&utc_offset=3600&hops=2&ver=15352&NETDATA_SYSTEM_OS_NAME=Debian"
    "&NETDATA_SYSTEM_ARCHITECTURE=x86_64 HTTP/1.1\r\nUser-Agent: netdata/v1.37.1\r\n\r\n";

static void an_ephemeral_host_is_marked_whatever_it_says(void **state)
{
    (void)state;
    const struct qr_stream_label labels[] = {
        {qr_slice_str("a"), qr_slice_str("1"), 1},
        {qr_slice_str(QR_LABEL_EPHEMERAL), qr_slice_str("false"), 1},
        {qr_slice_str("b"), qr_slice_str("2"), 1},
    };
    struct qr_stream_label marked[4];
    assert_int_equal(qr_host_info_mark_ephemeral(marked, labels, 0), 1);
    assert_slice(marked[0].name, "_is_ephemeral");
    assert_int_equal(qr_host_info_mark_ephemeral(marked, labels, 3), 3);
    assert_slice(marked[0].name, "a");
    assert_slice(marked[1].name, "b");
    assert_slice(marked[2].name, "_is_ephemeral");
    assert_slice(marked[2].value, "true");
}

static void keeps_what_a_child_says_of_itself(void **state)
{
    (void)state;
    struct qr_handshake handshake = {0};
    const char *reason;
    assert_true(qr_handshake_parse(&handshake, qr_slice_str(request), &reason) > 0);
    struct qr_stream_label labels[] = {
        {qr_slice_str("_os"), qr_slice_str("linux"), 1},
        {qr_slice_str("room"), qr_slice_str("north wing"), 2},
    };
    struct qr_guid claim = {{1, 2, 3}};
    struct qr_buf body = {0};
    struct qr_host_def *def;
    assert_int_equal(qr_host_info_encode(&body, &handshake, labels, 2, &claim), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    assert_true(qr_cursor_done(&in));
    assert_string_equal(def->hostname, "web 3");
    assert_string_equal(def->registry_hostname, "web-3");
    assert_string_equal(def->timezone, "Etc/UTC");
    assert_string_equal(def->program_name, "netdata");
    assert_string_equal(def->program_version, "v1.37.1");
    assert_int_equal(def->utc_offset_s, 3600);
    assert_int_equal(def->update_every, 2);
    assert_int_equal(def->hops, 2);
    assert_int_equal(def->n_sysinfo, 2);
    assert_string_equal(def->sysinfo[0].name, "NETDATA_SYSTEM_OS_NAME");
    assert_string_equal(def->sysinfo[0].value, "Debian");
    assert_int_equal(def->n_labels, 2);
    assert_string_equal(def->labels[1].value, "north wing");
    assert_true(def->has_claim);
    assert_memory_equal(def->claim_id.bytes, claim.bytes, 16);
    free(def);

    /* The same facts give the same bytes: that is how a change is told from a reconnect. */
    struct qr_buf again = {0};
    assert_int_equal(qr_host_info_encode(&again, &handshake, labels, 2, &claim), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&body), qr_buf_slice(&again)));
    qr_buf_release(&again);
    qr_buf_release(&body);
    qr_handshake_release(&handshake);
}

static void keeps_a_chart_with_its_dimensions(void **state)
{
    (void)state;
    struct qr_stream_dim dims[] = {
        {qr_slice_str("in"), qr_slice_str("received"), QR_ALGORITHM_INCREMENTAL, 8, 1000, 0},
        {qr_slice_str("out"), qr_slice_str("sent"), QR_ALGORITHM_INCREMENTAL, -8, 1000,
         QR_DIM_HIDDEN},
    };
    struct qr_stream_chart chart = {.id = qr_slice_str("net.eth0"),
                                    .name = qr_slice_str("net.eth0"),
                                    .title = qr_slice_str("Bandwidth"),
                                    .units = qr_slice_str("kilobits/s"),
                                    .family = qr_slice_str("eth0"),
                                    .context = qr_slice_str("net.net"),
                                    .plugin = qr_slice_str("proc"),
                                    .module = qr_slice_str(""),
                                    .type = QR_CHART_AREA,
                                    .priority = 7000,
                                    .update_every = 1,
                                    .flags = QR_CHART_STORE_FIRST,
                                    .n_dims = 2,
                                    .dims = dims};
    struct qr_buf body = {0};
    struct qr_chart_def *def;
    assert_int_equal(qr_chart_info_encode(&body, &chart), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    assert_string_equal(def->id, "net.eth0");
    assert_string_equal(def->units, "kilobits/s");
    assert_int_equal(def->type, QR_CHART_AREA);
    assert_int_equal(def->flags, QR_CHART_STORE_FIRST);
    assert_int_equal(def->n_dims, 2);
    assert_string_equal(def->dims[1].name, "sent");
    assert_true(def->dims[1].multiplier == -8);
    assert_int_equal(def->dims[1].flags, QR_DIM_HIDDEN);
    assert_int_equal(def->dims[1].algorithm, QR_ALGORITHM_INCREMENTAL);
    free(def);
    qr_buf_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_a_child_says_of_itself),
        cmocka_unit_test(an_ephemeral_host_is_marked_whatever_it_says),
        cmocka_unit_test(keeps_a_chart_with_its_dimensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
