#include "cluster/tests/image_kit.h"

#include <uv.h>
#include <xxhash.h>

#include "base/error.h"
#include "testing/cmocka.h"

/* Members 1 and 2 in turn, every second index; the number of the last entry is returned. */
static uint64_t fill(struct image_kit *kit, uint64_t from, uint64_t to)
{
    struct qr_buf entry = {0};
    for (uint64_t i = from; i <= to; i++) {
        image_kit_entry(&entry, 1 + i % 2, (i + 1) / 2);
        qr_machine_apply(&kit->machine, 2 * i, qr_buf_slice(&entry));
    }
    qr_buf_release(&entry);
    return to;
}

static void make(struct image_kit *kit, struct qr_image *image)
{
    assert_int_equal(qr_image_begin(image, &kit->machine), 0);
    qr_image_encode(image);
    assert_int_equal(qr_image_end(image), 0);
}

static void an_image_is_the_whole_state(void **state)
{
    (void)state;
    struct image_kit *a = image_kit_new(), *b = image_kit_new();
    struct qr_buf bytes = {0}, more = {0};
    fill(a, 1, 40);
    fill(b, 1, 3); /* Something to be replaced. */
    assert_int_equal(qr_image_make(&a->machine, &bytes), 0);
    assert_int_equal(qr_image_restore(&b->machine, qr_buf_slice(&bytes)), 0);
    assert_int_equal(b->n_restored, 1);
    assert_int_equal(b->machine.applied, 80);
    assert_int_equal(b->machine.hash, a->machine.hash);
    assert_int_equal(qr_image_make(&b->machine, &more), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&bytes), qr_buf_slice(&more)));

    /* And both go on alike. */
    fill(a, 41, 60);
    fill(b, 30, 60); /* Some of them again. */
    assert_int_equal(a->machine.hash, b->machine.hash);
    qr_buf_release(&bytes);
    qr_buf_release(&more);
    image_kit_free(a);
    image_kit_free(b);
}

/* What is applied while the image is made, or before it is asked for, is behind the state. */
static void an_image_has_the_entries_behind_its_state(void **state)
{
    (void)state;
    struct image_kit *a = image_kit_new(), *b = image_kit_new();
    struct qr_image image;
    struct qr_buf bytes = {0}, entry = {0};
    fill(a, 1, 20);
    make(a, &image);
    for (uint64_t i = 21; i <= 50; i++) {
        image_kit_entry(&entry, 1 + i % 2, (i + 1) / 2);
        assert_int_equal(qr_image_add(&image, 2 * i, qr_buf_slice(&entry)), 0);
    }
    qr_image_seal(&image);
    image_kit_join(&image, &bytes);
    fill(a, 21, 50);
    assert_int_equal(qr_image_restore(&b->machine, qr_buf_slice(&bytes)), 0);
    assert_int_equal(b->machine.applied, 100);
    assert_int_equal(b->machine.hash, a->machine.hash);
    assert_int_equal(b->sink.n_wrong, 0);
    qr_image_release(&image);
    qr_buf_release(&bytes);
    qr_buf_release(&entry);
    image_kit_free(a);
    image_kit_free(b);
}

static void the_entries_are_bounded(void **state)
{
    (void)state;
    struct image_kit *a = image_kit_new();
    struct qr_image image;
    char *big = calloc(1, QR_ENTRY_BYTES_MAX);
    uint64_t n = 0;
    make(a, &image);
    while (qr_image_add(&image, n + 1, qr_slice_of(big, QR_ENTRY_BYTES_MAX)) == 0)
        n++;
    assert_int_equal(n, QR_SNAPSHOT_TAIL_BYTES_MAX / QR_ENTRY_BYTES_MAX - 1);
    qr_image_release(&image);
    free(big);
    image_kit_free(a);
}

static void a_sink_that_is_busy_or_fails_makes_none(void **state)
{
    (void)state;
    struct image_kit *a = image_kit_new();
    struct qr_image image;
    a->sink.busy = true;
    assert_int_equal(qr_image_begin(&image, &a->machine), QR_E_BUSY);
    a->sink.busy = false;
    a->sink.ballast = QR_SNAPSHOT_BYTES_MAX;
    assert_int_equal(qr_image_begin(&image, &a->machine), 0);
    qr_image_encode(&image);
    assert_int_equal(qr_image_end(&image), QR_E_LIMIT);
    qr_image_release(&image);
    image_kit_free(a);
}

static void an_image_with_entries(struct qr_buf *bytes)
{
    struct image_kit *a = image_kit_new();
    struct qr_image image;
    struct qr_buf entry = {0};
    fill(a, 1, 10);
    make(a, &image);
    for (uint64_t i = 11; i <= 12; i++) {
        image_kit_entry(&entry, 1 + i % 2, (i + 1) / 2);
        qr_image_add(&image, 2 * i, qr_buf_slice(&entry));
    }
    qr_image_seal(&image);
    image_kit_join(&image, bytes);
    qr_image_release(&image);
    qr_buf_release(&entry);
    image_kit_free(a);
}

static void a_damaged_image_is_refused_whole(void **state)
{
    (void)state;
    struct image_kit *b = image_kit_new();
    struct qr_buf bytes = {0};
    an_image_with_entries(&bytes);
    fill(b, 1, 3);
    uint64_t hash = b->machine.hash;
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.base[i] ^= 4;
        assert_int_equal(qr_image_restore(&b->machine, qr_buf_slice(&bytes)), QR_E_CORRUPT);
        bytes.base[i] ^= 4;
        assert_int_equal(qr_image_restore(&b->machine, qr_slice_of(bytes.base, i)), QR_E_CORRUPT);
    }
    assert_int_equal(b->machine.hash, hash);
    assert_int_equal(b->n_restored, 0);
    assert_int_equal(qr_image_restore(&b->machine, qr_buf_slice(&bytes)), 0);
    assert_int_equal(b->machine.applied, 24);
    qr_buf_release(&bytes);
    image_kit_free(b);
}

/* Sound bytes of another version, and entries that can not be: no index may be the state's or
 * less, or come twice. */
static void what_is_sound_and_wrong_is_refused(void **state)
{
    (void)state;
    struct image_kit *a = image_kit_new();
    struct qr_buf bytes = {0};
    struct qr_image_state read;
    an_image_with_entries(&bytes);
    qr_le_put(bytes.base + 4, 2, 2);
    qr_le_put(bytes.base + 40, XXH3_64bits(bytes.base, 40), 8);
    assert_int_equal(qr_image_read(&read, &a->machine.sink, qr_buf_slice(&bytes)), QR_E_VERSION);

    static const uint64_t indices[][2] = {{20, 24}, {22, 22}, {22, 21}, {1, 2}};
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        struct qr_image image;
        fill(a, 1, 10);
        make(a, &image);
        for (size_t k = 0; k < 2; k++) {
            qr_buf_add_u64(&image.tail, indices[i][k]);
            qr_buf_add_u32(&image.tail, 8);
            qr_buf_add_u64(&image.tail, 0);
        }
        qr_image_seal(&image);
        image_kit_join(&image, &bytes);
        assert_int_equal(qr_image_read(&read, &a->machine.sink, qr_buf_slice(&bytes)),
                         QR_E_MALFORMED);
        qr_image_release(&image);
    }
    qr_buf_release(&bytes);
    image_kit_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_the_whole_state),
        cmocka_unit_test(an_image_has_the_entries_behind_its_state),
        cmocka_unit_test(the_entries_are_bounded),
        cmocka_unit_test(a_sink_that_is_busy_or_fails_makes_none),
        cmocka_unit_test(a_damaged_image_is_refused_whole),
        cmocka_unit_test(what_is_sound_and_wrong_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
