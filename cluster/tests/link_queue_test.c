#include "cluster/link_queue.h"

#include <stdlib.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/rng.h"
#include "cluster/link_frame.h"
#include "testing/cmocka.h"

struct note {
    unsigned order[64];
    int status[64];
    unsigned n;
};
static struct note note;

static void on_sent(void *data, int status)
{
    note.order[note.n] = (unsigned)(uintptr_t)data;
    note.status[note.n++] = status;
}

/* Takes at most `max` bytes in steps of at most `step`. */
static void drain(struct qr_link_queue *queue, struct qr_buf *out, size_t max, size_t step)
{
    while (max > 0 && qr_link_queue_bytes(queue) > 0) {
        struct qr_slice next = qr_link_queue_peek(queue);
        assert_true(next.len > 0);
        size_t n = next.len < step ? next.len : step;
        n = n < max ? n : max;
        qr_buf_add(out, next.base, n);
        qr_link_queue_take(queue, n);
        max -= n;
    }
}

/* Frames of random sizes, some borrowed, added and taken in turns: the bytes are those of the
 * frames one after the other, whatever the pieces. */
static void is_a_stream_of_frames(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    char *bytes = malloc(SIZE);
    struct qr_rng rng;
    struct qr_link_queue queue;
    struct qr_buf expected, out;
    qr_rng_seed(&rng, 7);
    qr_link_queue_init(&queue);
    qr_buf_init(&expected, 0);
    qr_buf_init(&out, 0);
    note.n = 0;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)qr_rng_next(&rng);
    for (unsigned i = 0; i < 500; i++) {
        struct qr_slice parts[3];
        uint8_t header[QR_LINK_HEADER_BYTES];
        for (unsigned p = 0; p < 3; p++)
            parts[p] = qr_slice_of(bytes + p * 100,
                                   qr_rng_below(&rng, qr_rng_below(&rng, 10) == 0 ? 90000 : 6000));
        qr_link_frame_header(header, QR_LINK_RAFT, i, parts, 3);
        qr_buf_add(&expected, header, sizeof header);
        for (unsigned p = 0; p < 3; p++)
            qr_buf_add(&expected, parts[p].base, parts[p].len);
        bool wait = i % 10 == 0;
        assert_int_equal(qr_link_queue_add(&queue, QR_LINK_RAFT, i, parts, 3, wait ? on_sent : NULL,
                                           (void *)(uintptr_t)i),
                         0);
        assert_true(queue.added == expected.len);
        drain(&queue, &out, qr_rng_below(&rng, 30000), 1 + qr_rng_below(&rng, 20000));
        qr_link_queue_settle(&queue, queue.taken, 0);
    }
    drain(&queue, &out, SIZE_MAX, SIZE_MAX);
    qr_link_queue_settle(&queue, queue.taken, 0);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.base, expected.base, out.len);
    assert_int_equal(note.n, 50);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(note.order[i], i * 10);
        assert_int_equal(note.status[i], 0);
    }
    qr_link_queue_release(&queue);
    qr_buf_release(&expected);
    qr_buf_release(&out);
    free(bytes);
}

/* A frame is told when its last byte is taken, not before. */
static void settles_whole_frames_only(void **state)
{
    (void)state;
    struct qr_link_queue queue;
    struct qr_slice part = qr_slice_str("0123456789");
    qr_link_queue_init(&queue);
    note.n = 0;
    for (uintptr_t i = 1; i <= 3; i++)
        assert_int_equal(qr_link_queue_add(&queue, QR_LINK_RAFT, 0, &part, 1, on_sent, (void *)i),
                         0);
    qr_link_queue_settle(&queue, 29, 0);
    assert_int_equal(note.n, 0);
    qr_link_queue_settle(&queue, 30, 0);
    assert_int_equal(note.n, 1);
    qr_link_queue_settle(&queue, 89, 0);
    assert_int_equal(note.n, 2);
    qr_link_queue_settle(&queue, UINT64_MAX, UV_ECANCELED);
    assert_int_equal(note.n, 3);
    assert_int_equal(note.status[1], 0);
    assert_int_equal(note.status[2], UV_ECANCELED);
    qr_link_queue_release(&queue); /* with bytes that were never taken */
}

/* Small frames share a piece: that is what makes one record and one write of them. */
static void small_frames_lie_together(void **state)
{
    (void)state;
    struct qr_link_queue queue;
    struct qr_slice part = qr_slice_str("0123456789");
    qr_link_queue_init(&queue);
    for (int i = 0; i < 100; i++)
        assert_int_equal(qr_link_queue_add(&queue, QR_LINK_RAFT, 0, &part, 1, NULL, NULL), 0);
    assert_int_equal(qr_link_queue_peek(&queue).len, 100 * 30);
    qr_link_queue_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_stream_of_frames),
        cmocka_unit_test(settles_whole_frames_only),
        cmocka_unit_test(small_frames_lie_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
