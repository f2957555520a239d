/* The program itself, on files that a store has written.  Tests also: block_dump, block_files. */
#include "node/ctl/blocks.h"

#include <jansson.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "storage/block_writer.h"
#include "storage/tests/fixture.h"
#include "storage/tier_chunk.h"
#include "testing/process.h"

#define START_S INT64_C(1700000400)
#define FIRST   "s0000-t0-6553f290-w600-g0.qb"
#define SECOND  "s0000-t0-6553f4e8-w600-g0.qb"
#define MINUTES "s0002-t1-6553f290-w3600-g0.qb"

static char dir[QR_TEMP_DIR_BYTES];

/* Two windows: charts 1 (two dimensions, every second) and 2 (one, every five seconds). */
static void seal_windows(void)
{
    const struct qr_store_config config = {.disk = &qr_disk_files, .dir = dir, .window_s = 600};
    struct qr_store *store;
    assert_int_equal(qr_store_open(&store, &config, NULL), 0);
    add_host(store, 1);
    add_chart(store, 1, "a", 1, 2);
    add_chart(store, 1, "b", 5, 1);
    for (int64_t t = START_S; t < START_S + 1200; t++) {
        const uint32_t values[] = {qr_value_pack((double)(t - START_S) / 4, 0),
                                   t % 7 == 0 ? E : 5 | (t % 100 == 0 ? QR_VALUE_ANOMALOUS : 0)};
        put_row(store, 1, 1, t, values, 2);
        if (t % 5 == 0)
            put_row(store, 1, 2, t, (uint32_t[]){7}, 1);
    }
    assert_int_equal(qr_store_apply_seal(store, START_S), 0);
    assert_int_equal(qr_store_apply_seal(store, START_S + 600), 0);
    qr_store_close(store);
}

/* Points of an hour: one dimension of chart 9, in the first two minutes. */
static int fill_points(struct qr_block_writer *writer, void *data)
{
    (void)data;
    struct qr_points points = {0};
    struct qr_tier_codec codec = {0};
    struct qr_buf bytes = {0};
    uint64_t n;
    uint32_t n_dims;
    assert_int_equal(qr_points_span(&points, 60, START_S + 1, START_S + 120, 1), 0);
    for (uint32_t value = 1; value <= 4; value++)
        qr_point_add_value(qr_points_at(&points, 0, 0), value);
    qr_point_add_value(qr_points_at(&points, 1, 0), 10 | QR_VALUE_ANOMALOUS);
    assert_int_equal(
        qr_tier_chunk_encode(&codec, &bytes, START_S, &points, START_S, START_S + 120, &n_dims, &n),
        0);
    const struct qr_block_chunk chunk = {3, 9, 0, n_dims, n, qr_buf_slice(&bytes), NULL, 0};
    int err = qr_block_writer_add(writer, &chunk);
    qr_buf_release(&bytes);
    qr_points_release(&points);
    qr_tier_codec_release(&codec);
    return err;
}

static void path_of(const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", dir, name);
}

static int make(void **state)
{
    (void)state;
    char path[512];
    struct qr_block_written written;
    const struct qr_block_head head = {
        {.start_s = START_S, .window_s = 3600, .shard = 2, .tier = 1}, 3600};
    qr_temp_dir(dir, "blocks-test");
    seal_windows();
    path_of(MINUTES, path);
    return qr_block_write(&qr_disk_files, path, &head, fill_points, NULL, &written);
}

static int drop(void **state)
{
    (void)state;
    qr_remove_dir(dir);
    return 0;
}

static char text[1 << 20];

/* The program's exit code; what it says, on both ways, is `text`. */
static int run(const char *format, const char *name)
{
    char words[600], line[1200];
    snprintf(words, sizeof words, format, name);
    snprintf(line, sizeof line, "cd '%s' && '%s/node/ctl/quoratectl' blocks %s 2>&1", dir,
             QR_BUILD_DIR, words);
    FILE *program = popen(line, "r");
    assert_non_null(program);
    size_t len = fread(text, 1, sizeof text - 1, program);
    text[len] = '\0';
    int status = pclose(program);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_says(const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" is not in:\n%s", words, text);
}

static json_t *json(void)
{
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    if (root == NULL)
        fail_msg("%s in: %s", error.text, text);
    return root;
}

static json_int_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void lists_a_folder(void **state)
{
    (void)state;
    assert_int_equal(run("ls %s", "."), 0);
    const char *first = strstr(text, FIRST), *second = strstr(text, SECOND),
               *minutes = strstr(text, MINUTES);
    assert_true(first != NULL && second > first && minutes > second);
    assert_says("2023-11-14T22:20:00Z  2023-11-14T22:30:00Z");
    assert_says("3 files, ");
    assert_int_equal(run("ls --json %s", FIRST " " MINUTES), 0);
    json_t *root = json(), *file = json_array_get(json_object_get(root, "blocks"), 0);
    assert_int_equal(json_array_size(json_object_get(root, "blocks")), 2);
    assert_int_equal(number(file, "start"), START_S);
    assert_int_equal(number(file, "length"), 600);
    assert_int_equal(number(file, "charts"), 2);
    assert_int_equal(number(file, "series"), 3);
    assert_in_range(number(file, "samples"), 600 + 120 + 514, 600 + 120 + 515);
    file = json_array_get(json_object_get(root, "blocks"), 1);
    assert_int_equal(number(file, "shard"), 2);
    assert_int_equal(number(file, "tier"), 1);
    assert_int_equal(number(file, "samples"), 2);
    json_decref(root);
}

static void dumps_a_file(void **state)
{
    (void)state;
    assert_int_equal(run("dump %s", FIRST), 0);
    assert_says("shard 0, tier 0, generation 0");
    assert_says("1 hosts, 2 charts, 3 series");
    assert_says("page table");
    assert_says("2023-11-14T22:20:00Z  2023-11-14T22:29:59Z");
    assert_int_equal(run("dump --json %s", FIRST), 0);
    json_t *root = json(), *file = json_array_get(json_object_get(root, "blocks"), 0);
    const json_t *chunks = json_object_get(file, "chunks_at");
    assert_int_equal(json_array_size(json_object_get(file, "sections")), 6);
    assert_int_equal(json_array_size(json_object_get(file, "pages")), 1);
    assert_int_equal(json_array_size(chunks), 2);
    assert_int_equal(number(json_array_get(chunks, 1), "chart"), 2);
    assert_int_equal(number(json_array_get(chunks, 1), "step"), 5);
    assert_int_equal(number(json_array_get(chunks, 1), "rows"), 120);
    json_decref(root);
}

static void dumps_a_charts_rows(void **state)
{
    (void)state;
    assert_int_equal(run("dump %s --chart 1", FIRST), 0);
    assert_says("2023-11-14T22:20:00Z 0 -\n");
    assert_says("2023-11-14T22:21:40Z 25 5!\n");
    assert_says("2023-11-14T22:20:01Z 0.25 5\n");
    assert_says("2023-11-14T22:20:02Z 0.5 5\n");
    assert_says("2023-11-14T22:29:59Z 149.75 ");
    assert_int_equal(run("dump %s --chart 1 --json", FIRST), 0);
    json_t *root = json(), *file = json_array_get(json_object_get(root, "blocks"), 0);
    const json_t *rows = json_object_get(file, "rows");
    assert_int_equal(json_array_size(rows), 600);
    unsigned n_empty = 0;
    for (size_t i = 0; i < 600; i++) {
        const json_t *row = json_array_get(rows, i), *values = json_object_get(row, "values");
        assert_int_equal(number(row, "time"), START_S + (json_int_t)i);
        assert_true(json_real_value(json_array_get(values, 0)) == (double)i / 4);
        bool is_empty = json_is_null(json_array_get(values, 1));
        assert_int_equal(is_empty, (START_S + (int64_t)i) % 7 == 0);
        n_empty += is_empty;
        assert_int_equal(json_object_get(row, "anomalous") != NULL, i % 100 == 0 && !is_empty);
    }
    assert_true(n_empty > 80);
    json_decref(root);

    assert_int_equal(run("dump %s --chart 9", MINUTES), 0);
    assert_says("2023-11-14T22:21:00Z 1/4/10/4/0\n2023-11-14T22:22:00Z 10/10/10/1/1\n");
    assert_int_equal(run("dump %s --chart 9 --json", MINUTES), 0);
    assert_says("\"sum\":10.0");
    assert_int_equal(run("dump %s --chart 8", FIRST), 2);
    assert_says("the thing named is not known");
}

/* Flips a byte of a copy. */
static void damage(const char *name, const char *copy, long at)
{
    char from[512], to[512], bytes[65536];
    path_of(name, from);
    path_of(copy, to);
    FILE *file = fopen(from, "r");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    bytes[at] = (char)(bytes[at] ^ 1);
    unlink(to);
    assert_int_equal(qr_disk_write_file(&qr_disk_files, to, bytes, len), 0);
}

static void verifies(void **state)
{
    (void)state;
    assert_int_equal(run("verify %s", "."), 0);
    assert_says(FIRST ": sound\n");
    assert_says(MINUTES ": sound\n");
    damage(FIRST, "bad.qb", 100);
    assert_int_equal(run("verify %s", FIRST " bad.qb"), 1);
    assert_says(FIRST ": sound\n");
    assert_says("bad.qb: bytes 64 to ");
    assert_says("the checksum of page 1 of 1 does not match: 2 chunks, from chart 1 to chart 2");
    assert_int_equal(run("verify --json %s", FIRST " bad.qb"), 1);
    json_t *root = json(), *files = json_object_get(root, "blocks");
    assert_true(json_is_true(json_object_get(json_array_get(files, 0), "sound")));
    const json_t *bad = json_array_get(files, 1);
    assert_true(json_is_false(json_object_get(bad, "sound")));
    assert_int_equal(number(json_array_get(json_object_get(bad, "findings"), 0), "from"), 64);
    json_decref(root);
    /* What is sound of it is shown. */
    assert_int_equal(run("dump %s", "bad.qb"), 1);
    assert_says("damaged");
    assert_int_equal(run("ls %s", "bad.qb"), 0); /* The index is sound. */
    damage(FIRST, "bad.qb", 8);
    assert_int_equal(run("verify %s", "bad.qb"), 1);
    assert_says("format version 3 is not known here (2 is)");
}

static void refuses_what_it_cannot_do(void **state)
{
    (void)state;
    static const struct {
        const char *words, *says;
        int code;
    } rows[] = {
        {"", "ls|dump|verify PATH... is missing", 2},
        {"ls", "is missing", 2},
        {"eat .", "Usage", 2},
        {"ls . --chart 1", "Usage", 2},
        {"dump . --chart x", "--chart is a chart's number, not x", 2},
        {"dump . --chart", "needs a value", 2},
        {"verify none.qb", "none.qb: no such file", 2},
        {"--help", "Exit code: 0 all files are sound; 1 a file is damaged", 0},
        {"verify /dev/null", "0 bytes, and a block file at least 192", 1},
    };
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        assert_int_equal(run("%s", rows[i].words), rows[i].code);
        assert_says(rows[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_a_folder),
        cmocka_unit_test(dumps_a_file),
        cmocka_unit_test(dumps_a_charts_rows),
        cmocka_unit_test(verifies),
        cmocka_unit_test(refuses_what_it_cannot_do),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, make, drop);
}
