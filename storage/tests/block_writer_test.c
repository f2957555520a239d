#include "storage/block_writer.h"

#include "storage/tests/block_file.h"

static struct qr_memory_disk disk;

static int make(void **state)
{
    (void)state;
    qr_memory_disk_init(&disk);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    qr_memory_disk_release(&disk);
    return 0;
}

static struct content sealed = {{{.start_s = 1200, .window_s = 800}, 800}, 2, 30, 0};
static struct content merged = {{{.start_s = 7200, .window_s = 7200}, 1200}, 1, 12, 0};

/* Charts that repeat another one cost some bytes, in a page or in whole files. */
static void what_was_written_before_is_not_written_again(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct content *const contents[] = {&sealed, &merged};
    for (unsigned i = 0; i < 2; i++) {
        struct content *content = contents[i];
        content->copy_of = 0;
        uint64_t plain = write_content(d, content).bytes;
        content->copy_of = 2; /* The odd ones stay, with the first of each host. */
        uint64_t shared = write_content(d, content).bytes;
        assert_true(shared < plain * 3 / 4);
        content->copy_of = 0;
    }
}

/* A chunk as bytes, its series said to be of `piece` bytes. */
static void add(struct qr_block_writer *writer, uint32_t chart, uint32_t sub, const char *bytes,
                size_t len, uint32_t piece)
{
    uint32_t cuts[64], n = 0;
    for (uint32_t at = 2; at <= len; at += piece)
        cuts[n++] = at;
    const struct qr_block_chunk chunk = {1, chart, sub, 1, 1, qr_slice_of(bytes, len), cuts, n};
    assert_int_equal(qr_block_writer_add(writer, &chunk), 0);
}

#define A "aaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccc"

#define D "dddddddddddddddddddd"

static const char *const chunks[] = {
    "1." A B C,     /* New. */
    "2." A B C,     /* One copy of three pieces; */
    "3." A C B,     /* three copies; */
    "4." A A A C,   /* the same one again and again; */
    "5." D D,       /* of the chunk itself; */
    "6." D A "end", /* what is behind the last cut is no piece. */
};

static int fill_chunks(struct qr_block_writer *writer, void *data)
{
    (void)data;
    for (uint32_t i = 0; i < 6; i++)
        add(writer, i + 1, 0, chunks[i], strlen(chunks[i]), 20);
    return 0;
}

static void copies_are_put_together_again(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct qr_block_written written;
    assert_int_equal(qr_block_write(d, PATH, &sealed.head, fill_chunks, NULL, &written), 0);
    struct qr_block_index *index;
    assert_int_equal(qr_block_index_read(&index, d, PATH, written.bytes, written.hash), 0);
    struct qr_block_reader reader = {0};
    static const unsigned stored[] = {63, 6, 13, 16, 26, 13};
    for (uint32_t i = 0; i < 6; i++) {
        struct qr_slice bytes;
        assert_int_equal(qr_block_chunk(&reader, index, d, PATH, i, &bytes), 0);
        assert_slice(bytes, chunks[i]);
        uint32_t end =
            i < 5 ? qr_block_row_at(index, i + 1).offset : qr_block_page_at(index, 0).bytes;
        assert_int_equal(end - qr_block_row_at(index, i).offset, stored[i]);
    }
    qr_block_reader_release(&reader);
    free(index);
}

/* The writer's choice must not depend on whether it writes or only compares. */
static void what_is_there_is_kept(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct content *const contents[] = {&sealed, &merged};
    for (unsigned i = 0; i < 2; i++) {
        struct content *content = contents[i];
        content->copy_of = 3;
        struct qr_block_written once = write_content(d, content);
        struct qr_memory_file *file = qr_memory_disk_get(&disk, PATH);
        struct qr_block_written twice = write_content(d, content);
        assert_ptr_equal(qr_memory_disk_get(&disk, PATH), file); /* Not even written anew. */
        assert_int_equal(once.bytes, twice.bytes);
        assert_true(once.hash == twice.hash);
        /* What is not the same is replaced. */
        file->bytes[500] ^= 1;
        twice = write_content(d, content);
        assert_true(once.hash == twice.hash);
        assert_int_equal(qr_block_verify(d, PATH, once.bytes, once.hash), 0);
        file = qr_memory_disk_get(&disk, PATH);
        file->len--;
        twice = write_content(d, content);
        assert_true(once.hash == twice.hash);
        assert_int_equal(qr_block_verify(d, PATH, once.bytes, once.hash), 0);
        assert_int_equal(qr_memory_disk_n_files(&disk), 1);
        content->copy_of = 0;
        d->unlink(d, PATH);
    }
}

/* Killed, or failed, at each call to the disk: the old file, the new one, or none; never a part. */
static void a_file_is_there_in_whole_or_not(void **state)
{
    (void)state;
    struct qr_block_written written, before = write_content(&disk.disk, &merged);
    merged.copy_of = 3;
    bool failed = true;
    for (unsigned at = 1; failed; at++) {
        for (unsigned kill = 0; kill < 2; kill++) {
            struct qr_memory_disk fresh;
            struct qr_disk *d = &fresh.disk;
            qr_memory_disk_init(&fresh);
            if (at % 2 == 0) {
                merged.copy_of = 0;
                write_content(d, &merged);
                merged.copy_of = 3;
            }
            fresh.fail_at = fresh.n_calls + at;
            fresh.stay_failed = fresh.tear = kill;
            int err = qr_block_write(d, PATH, &merged.head, fill_content, &merged, &written);
            failed = fresh.n_calls >= fresh.fail_at;
            if (kill)
                qr_memory_disk_crash(&fresh);
            else
                fresh.fail_at = 0;
            assert_true(err != 0 || failed == (err != 0) || !kill);
            const struct qr_memory_file *file = qr_memory_disk_get(&fresh, PATH);
            if (file != NULL) {
                uint64_t hash = qr_le_get(file->bytes + file->len - 16, 8);
                assert_int_equal(qr_block_verify(d, PATH, file->len, hash), 0);
                assert_true(err != 0 || hash == written.hash);
                assert_true(at % 2 == 0 || hash != before.hash);
            } else {
                assert_true(err != 0 && at % 2 != 0);
            }
            /* The log is replayed. */
            written = write_content(d, &merged);
            assert_int_equal(qr_block_verify(d, PATH, written.bytes, written.hash), 0);
            assert_int_equal(qr_memory_disk_n_files(&fresh), 1);
            qr_memory_disk_release(&fresh);
        }
        assert_true(at < 200);
    }
    merged.copy_of = 0;
}

/* A disk that says it wrote, and wrote something else. */
static int (*append)(struct qr_disk *, struct qr_disk_file *, const void *, size_t);
static unsigned n_appends, lie_at;

static int append_wrong(struct qr_disk *d, struct qr_disk_file *file, const void *bytes, size_t len)
{
    if (++n_appends != lie_at)
        return append(d, file, bytes, len);
    char *wrong = malloc(len);
    memcpy(wrong, bytes, len);
    wrong[len / 2] ^= 4;
    int err = append(d, file, wrong, len);
    free(wrong);
    return err;
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct qr_block_written written;
    append = d->append;
    d->append = append_wrong;
    for (lie_at = 1; n_appends >= lie_at - 1; lie_at++) {
        n_appends = 0;
        int err = qr_block_write(d, PATH, &sealed.head, fill_content, &sealed, &written);
        assert_int_equal(err, lie_at <= n_appends ? QR_E_CORRUPT : 0);
        assert_int_equal(qr_memory_disk_n_files(&disk), err == 0);
        if (err == 0)
            break;
    }
    assert_true(lie_at > 6); /* Header, pages, three parts of the index, footer, hash. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_before_is_not_written_again, make, drop),
        cmocka_unit_test_setup_teardown(copies_are_put_together_again, make, drop),
        cmocka_unit_test_setup_teardown(what_is_there_is_kept, make, drop),
        cmocka_unit_test_setup_teardown(what_is_written_is_read_again, make, drop),
        cmocka_unit_test_setup_teardown(a_file_is_there_in_whole_or_not, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
