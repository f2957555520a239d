/* cluster/tests/image_kit.h — a machine on the sink in memory, and its image as one buffer. */
#ifndef QR_CLUSTER_TESTS_IMAGE_KIT_H
#define QR_CLUSTER_TESTS_IMAGE_KIT_H

#include <stdlib.h>

#include "cluster/image.h"
#include "cluster/tests/memory_sink.h"

struct image_kit {
    struct qr_machine machine;
    struct memory_sink sink;
    unsigned n_restored, n_fatal;
};

static inline void image_kit_restored(void *data, uint64_t index)
{
    struct image_kit *kit = data;
    (void)index;
    kit->n_restored++;
}

static inline void image_kit_fatal(void *data, const char *sentence)
{
    struct image_kit *kit = data;
    (void)sentence;
    kit->n_fatal++;
}

static inline struct image_kit *image_kit_new(void)
{
    struct image_kit *kit = calloc(1, sizeof *kit);
    const struct qr_sink sink = memory_sink_of(&kit->sink);
    const struct qr_machine_events events = {
        .data = kit, .restored = image_kit_restored, .fatal = image_kit_fatal};
    if (qr_machine_init(&kit->machine, &sink, &events) != 0)
        abort();
    return kit;
}

static inline void image_kit_free(struct image_kit *kit)
{
    qr_machine_release(&kit->machine);
    free(kit);
}

/* The bytes of a member's entry: SAMPLES whose number is its sequence. */
static inline void image_kit_entry(struct qr_buf *out, uint32_t member, uint64_t sequence)
{
    const struct qr_command command = {.type = QR_COMMAND_SAMPLES,
                                       .member = member,
                                       .incarnation = 1,
                                       .sequence = sequence,
                                       .body = qr_slice_of(&sequence, 8)};
    qr_buf_clear(out);
    if (qr_command_encode(out, &command) != 0)
        abort();
}

/* Header, body and tail in one. */
static inline void image_kit_join(const struct qr_image *image, struct qr_buf *out)
{
    qr_buf_clear(out);
    qr_buf_add(out, image->header, sizeof image->header);
    qr_buf_add(out, image->body.base, image->body.len);
    qr_buf_add(out, image->tail.base, image->tail.len);
}

#endif
