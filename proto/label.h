/* proto/label.h — a set of labels that is collected line by line and then replaces another one.
 *
 * Names are unique: the later value wins.  Labels beyond QR_LABELS_MAX are dropped and counted: a
 * child with more of them must not be shut out.  Thread: the owner's. */
#ifndef QR_PROTO_LABEL_H
#define QR_PROTO_LABEL_H

#include <stdint.h>

#include "base/slice.h"
#include "proto/stream.h"

/* A zeroed one is empty. */
struct qr_label_set {
    struct qr_stream_label *labels; /* Each label's text is one block, owned: name, then value. */
    uint32_t n;
    uint32_t capacity;
    uint64_t n_dropped; /* Since the struct was made. */
};

/* Adds or replaces; texts longer than QR_NAME_BYTES_MAX are cut.  0 or UV_ENOMEM. */
int qr_label_set_add(struct qr_label_set *set, struct qr_slice name, struct qr_slice value,
                     unsigned source);

/* Empties it. */
void qr_label_set_release(struct qr_label_set *set);

/* `to` gets what `from` holds, and `from` is empty. */
void qr_label_set_move(struct qr_label_set *to, struct qr_label_set *from);

#endif
