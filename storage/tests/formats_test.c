/* The examples in docs/formats are these very bytes: an example that no longer holds fails here. */
#include <lz4.h>

#include "base/log.h"
#include "storage/codec.h"
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

/* LZ4's output is its library's: what it unpacks to is compared. */
static void compare_unpacked(unsigned n, const struct qr_buf *body)
{
    struct qr_buf expected = documented("samples-entry", n);
    static char ours[4096], theirs[4096];
    assert_int_equal(body->base[0], expected.base[0]);
    assert_memory_equal(body->base, expected.base, 5);
    int len = LZ4_decompress_safe(body->base + 5, ours, (int)body->len - 5, sizeof ours);
    int len2 = LZ4_decompress_safe(expected.base + 5, theirs, (int)expected.len - 5, sizeof theirs);
    assert_int_equal(len, len2);
    assert_memory_equal(ours, theirs, (size_t)len);
    compare("samples-entry", n + 1, ours, (size_t)len);
    qr_buf_release(&expected);
}

/* Examples 1 and 3 are bodies, 2 and 4 what they unpack to. */
static void two_tick_batches(void **state)
{
    (void)state;
    struct qr_entry_block block, *blocks[] = {&block};
    struct qr_entry_base bases[2] = {0};
    qr_entry_block_init(&block);
    block.host = 7;
    block.epoch = 3;
    for (uint32_t tick = 0; tick < 2; tick++) {
        struct qr_buf body = {0};
        qr_entry_block_clear(&block);
        block.block_seq = 500 + tick;
        uint32_t first[] = {30, qr_value_pack(tick == 0 ? -0.25 : -0.2, 0), E};
        uint32_t second[] = {tick == 0 ? E : 5 | QR_VALUE_ANOMALOUS};
        qr_entry_block_row(&block, &bases[0], 12, 1700000000 + tick, first, 3);
        qr_entry_block_row(&block, &bases[1], 13, 1700000000 + tick, second, 1);
        assert_int_equal(qr_entry_encode(&body, blocks, 1), 0);
        compare_unpacked(tick * 2, &body);
        qr_buf_release(&body);
    }
    qr_entry_base_release(&bases[0]);
    qr_entry_base_release(&bases[1]);
    qr_entry_block_release(&block);
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
    struct qr_entry_base *base = qr_store_base(store, 1, 1);
    base->cells = malloc(2 * sizeof *base->cells);
    base->epoch = 3;
    base->n = base->capacity = 2;
    base->cells[0] = 31;
    base->cells[1] = 0;
    assert_int_equal(qr_store_snapshot(store, &out), 0);
    compare("snapshot", 0, out.base, out.len);
    qr_buf_release(&out);
    qr_store_close(store);
    qr_memory_disk_release(&disk);
}

static void a_series(void **state)
{
    (void)state;
    static const double numbers[] = {0.5, 1.4, 0.8, 1.1, 2.6, 99999.5, 2, 2.3, 1.7, 0.8};
    uint32_t values_of[QR_COUNT(numbers)];
    for (size_t i = 0; i < QR_COUNT(numbers); i++)
        values_of[i] = qr_value_pack(numbers[i], 0);
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    assert_int_equal(qr_codec_encode(&codec, &out, values_of, QR_COUNT(numbers), 1), 0);
    compare("block-file", 1, out.base, out.len);
    qr_codec_release(&codec);
    qr_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),           cmocka_unit_test(definitions),
        cmocka_unit_test(two_tick_batches), cmocka_unit_test(a_block_file_and_a_snapshot),
        cmocka_unit_test(a_series),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
