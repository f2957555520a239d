/* The examples in docs/formats are these very bytes: an example that no longer holds fails here. */
#include "base/log.h"
#include "storage/entry.h"
#include "storage/tests/fixture.h"
#include "testing/memory_disk.h"

/* The n-th ```hex block of a page. */
static struct qr_buf documented(const char *page, unsigned n)
{
    char path[512], line[256];
    snprintf(path, sizeof path, "%s/docs/formats/%s.md", QR_SOURCE_DIR, page);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct qr_buf bytes = {0};
    bool inside = false;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "```", 3) == 0) {
            inside = strcmp(line, "```hex\n") == 0 && n-- == 0;
            continue;
        }
        for (char *p = line, *end; inside; p = end) {
            unsigned long v = strtoul(p, &end, 16);
            if (end == p)
                break;
            qr_buf_add_u8(&bytes, (uint8_t)v);
        }
    }
    fclose(file);
    return bytes;
}

static void compare(const char *page, unsigned n, const void *bytes, size_t len)
{
    struct qr_buf expected = documented(page, n);
    if (expected.len != len || memcmp(expected.base, bytes, len) != 0) {
        for (size_t i = 0; i < len; i++)
            print_error("%02x%s", ((const uint8_t *)bytes)[i], i % 16 == 15 ? "\n" : " ");
        fail_msg("%s.md, example %u: these are the bytes now", page, n + 1);
    }
    qr_buf_release(&expected);
}

static void values(void **state)
{
    (void)state;
    const uint32_t examples[] = {
        qr_value_pack(0, 0),
        qr_value_pack(30, 0),
        qr_value_pack(-0.25, 0),
        qr_value_pack(1.0 / 3, QR_VALUE_ANOMALOUS),
        qr_value_pack(20000000, QR_VALUE_RESET),
        QR_VALUE_EMPTY,
    };
    compare("value", 0, examples, sizeof examples);
}

static void definitions(void **state)
{
    (void)state;
    static const struct qr_def_label labels[] = {{"_os", "linux", 1}};
    static const struct qr_dim_def dims[] = {{"user", "user", 1, 100, 2, 0}};
    const struct qr_host_def host = {
        .guid = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
        .hostname = "web-3",
        .registry_hostname = "web-3",
        .os = "linux",
        .timezone = "Etc/UTC",
        .abbrev_timezone = "UTC",
        .update_every = 1,
        .hops = 1,
        .program_name = "netdata",
        .program_version = "v1.37.1",
        .n_labels = 1,
        .labels = labels,
    };
    const struct qr_chart_def chart = {
        .id = "system.cpu",
        .name = "system.cpu",
        .title = "Total CPU",
        .units = "percentage",
        .family = "cpu",
        .context = "system.cpu",
        .plugin = "proc.plugin",
        .module = "/proc/stat",
        .type = 2,
        .priority = 100,
        .update_every = 1,
        .n_dims = 1,
        .dims = dims,
    };
    struct qr_buf out = {0};
    assert_int_equal(qr_host_def_encode(&out, &host), 0);
    compare("definitions", 0, out.base, out.len);
    qr_buf_clear(&out);
    assert_int_equal(qr_chart_def_encode(&out, &chart), 0);
    compare("definitions", 1, out.base, out.len);
    qr_buf_release(&out);
}

/* Read, not written: LZ4's output is its library's. */
static void a_tick_batch(void **state)
{
    (void)state;
    struct qr_buf body = documented("samples-entry", 0);
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&body)), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(host.host, 7);
    assert_int_equal(host.epoch, 3);
    assert_int_equal(host.block_seq, 500);
    assert_int_equal(host.n_rows, 2);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 12);
    assert_int_equal(row.end_s, 1700000000);
    assert_int_equal(row.n, 2);
    assert_int_equal(row.values[0], 30);
    assert_int_equal(row.values[1], qr_value_pack(-0.25, 0));
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(row.chart, 13);
    assert_int_equal(row.end_s, 1700000000);
    assert_int_equal(row.n, 1);
    assert_true(qr_value_is_empty(row.values[0]));
    assert_false(qr_entry_next_row(reader, &row));
    assert_false(qr_entry_next_host(reader, &host));
    qr_entry_reader_free(reader);
    qr_buf_release(&body);
}

static void a_block_file_and_a_snapshot(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    qr_memory_disk_init(&disk);
    const struct qr_store_config config = {.disk = &disk.disk, .dir = "/d", .window_s = 600};
    struct qr_store *store;
    assert_int_equal(qr_store_open(&store, &config, NULL), 0);
    add_host(store, 1);
    add_chart(store, 1, "a.b", 1, 2);
    put_row(store, 1, 1, 1200, (uint32_t[]){30, 1}, 2);
    put_row(store, 1, 1, 1201, (uint32_t[]){30, E}, 2);
    put_row(store, 1, 1, 1203, (uint32_t[]){30, qr_value_pack(2.5, QR_VALUE_ANOMALOUS)}, 2);
    assert_int_equal(qr_store_apply_seal(store, 1200), 0);
    const struct qr_memory_file *file =
        qr_memory_disk_get(&disk, "/d/s0000-t0-000004b0-w600-g0.qb");
    assert_non_null(file);
    compare("block-file", 0, file->bytes, file->len);

    put_row(store, 1, 1, 1800, (uint32_t[]){31, 2}, 2);
    assert_int_equal(qr_store_apply_gap(store, &(struct qr_gap){1, 1203, 1799, 1}), 0);
    struct qr_buf out = {0};
    assert_int_equal(qr_store_snapshot(store, &out), 0);
    compare("snapshot", 0, out.base, out.len);
    qr_buf_release(&out);
    qr_store_close(store);
    qr_memory_disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(definitions),
        cmocka_unit_test(a_tick_batch),
        cmocka_unit_test(a_block_file_and_a_snapshot),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
