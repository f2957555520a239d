#include "storage/definition.h"

#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

static const struct qr_def_label labels[] = {{"_os", "linux", 1}, {"room", "", 2}};
static const struct qr_dim_def dims[] = {
    {"user", "user", 1, 100, 2, 0},
    {"idle", "Idle time", -1, 1, 1, 3},
};

static const struct qr_host_def host = {
    .guid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    .hostname = "web-3",
    .registry_hostname = "web-3.example",
    .os = "linux",
    .timezone = "Europe/Athens",
    .abbrev_timezone = "EET",
    .utc_offset_s = -7200,
    .update_every = 1,
    .hops = 2,
    .program_name = "netdata",
    .program_version = "v1.37.1",
    .n_sysinfo = 1,
    .sysinfo = labels,
    .n_labels = 2,
    .labels = labels,
    .has_claim = true,
    .claim_id = {{9}},
};

static const struct qr_chart_def chart = {
    .id = "system.cpu",
    .name = "system.cpu_name",
    .title = "CPU \xc3\xb1",
    .units = "percentage",
    .family = "cpu",
    .context = "system.cpu",
    .plugin = "proc.plugin",
    .module = "/proc/stat",
    .type = 2,
    .flags = 9,
    .priority = -100,
    .update_every = 5,
    .n_dims = 2,
    .dims = dims,
    .n_labels = 2,
    .labels = labels,
};

static struct qr_buf host_bytes(void)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_host_def_encode(&out, &host), 0);
    return out;
}

static struct qr_buf chart_bytes(void)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_chart_def_encode(&out, &chart), 0);
    return out;
}

static void a_host_survives_its_bytes(void **state)
{
    (void)state;
    struct qr_buf bytes = host_bytes();
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    struct qr_host_def *def = NULL;
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    assert_true(qr_cursor_done(&in));
    assert_true(qr_guid_equal(&def->guid, &host.guid));
    assert_string_equal(def->hostname, "web-3");
    assert_string_equal(def->abbrev_timezone, "EET");
    assert_int_equal(def->utc_offset_s, -7200);
    assert_int_equal(def->hops, 2);
    assert_string_equal(def->program_version, "v1.37.1");
    assert_int_equal(def->n_sysinfo, 1);
    assert_string_equal(def->sysinfo[0].value, "linux");
    assert_int_equal(def->n_labels, 2);
    assert_string_equal(def->labels[1].name, "room");
    assert_int_equal(def->labels[1].source, 2);
    assert_true(def->has_claim);
    assert_int_equal(def->claim_id.bytes[0], 9);

    struct qr_buf again = {0};
    assert_int_equal(qr_host_def_encode(&again, def), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&again), qr_buf_slice(&bytes)));
    free(def);
    qr_buf_release(&again);
    qr_buf_release(&bytes);
}

static void a_chart_survives_its_bytes(void **state)
{
    (void)state;
    struct qr_buf bytes = chart_bytes();
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    struct qr_chart_def *def = NULL;
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    assert_true(qr_cursor_done(&in));
    assert_string_equal(def->id, "system.cpu");
    assert_string_equal(def->module, "/proc/stat");
    assert_int_equal(def->type, 2);
    assert_int_equal(def->flags, 9);
    assert_int_equal(def->priority, -100);
    assert_int_equal(def->n_dims, 2);
    assert_string_equal(def->dims[1].name, "Idle time");
    assert_int_equal(def->dims[1].multiplier, -1);
    assert_int_equal(def->dims[0].divisor, 100);
    assert_int_equal(def->dims[1].algorithm, 1);
    assert_int_equal(def->dims[1].flags, 3);

    struct qr_buf again = {0};
    assert_int_equal(qr_chart_def_encode(&again, def), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&again), qr_buf_slice(&bytes)));
    free(def);
    qr_buf_release(&again);
    qr_buf_release(&bytes);
}

/* Every shorter input fails; every changed byte fails or gives a definition that encodes. */
static void damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    struct qr_buf bytes = chart_bytes();
    for (size_t len = 0; len < bytes.len; len++) {
        struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes.base, len));
        struct qr_chart_def *def = NULL;
        assert_int_equal(qr_chart_def_decode(&def, &in), QR_E_MALFORMED);
        assert_null(def);
    }
    for (size_t i = 0; i < bytes.len; i++) {
        for (int change = 1; change < 256; change++) {
            bytes.base[i] = (char)(bytes.base[i] ^ change);
            struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
            struct qr_chart_def *def = NULL;
            if (qr_chart_def_decode(&def, &in) == 0) {
                struct qr_buf again = {0};
                assert_int_equal(qr_chart_def_encode(&again, def), 0);
                qr_buf_release(&again);
                free(def);
            }
            bytes.base[i] = (char)(bytes.base[i] ^ change);
        }
    }
    qr_buf_release(&bytes);
}

static void limits_hold_on_both_sides(void **state)
{
    (void)state;
    static char name[QR_NAME_BYTES_MAX + 2];
    memset(name, 'x', QR_NAME_BYTES_MAX + 1);
    struct qr_buf out = {0};
    struct qr_chart_def def = chart;
    def.title = name;
    assert_int_equal(qr_chart_def_encode(&out, &def), QR_E_LIMIT);
    assert_int_equal(out.len, 0);
    def = chart;
    def.n_labels = QR_LABELS_MAX + 1;
    assert_int_equal(qr_chart_def_encode(&out, &def), QR_E_LIMIT);
    assert_int_equal(out.len, 0);

    qr_buf_add_u8(&out, 1);
    qr_buf_add_bytes(&out, qr_slice_str(name));
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&out));
    struct qr_chart_def *decoded = NULL;
    assert_int_equal(qr_chart_def_decode(&decoded, &in), QR_E_LIMIT);
    qr_buf_release(&out);
}

static void missing_strings_are_empty(void **state)
{
    (void)state;
    struct qr_buf out = {0};
    assert_int_equal(qr_chart_def_encode(&out, &(struct qr_chart_def){.id = "a.b"}), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&out));
    struct qr_chart_def *def = NULL;
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    assert_string_equal(def->title, "");
    free(def);
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_survives_its_bytes), cmocka_unit_test(a_chart_survives_its_bytes),
        cmocka_unit_test(damaged_bytes_do_no_harm),  cmocka_unit_test(limits_hold_on_both_sides),
        cmocka_unit_test(missing_strings_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
