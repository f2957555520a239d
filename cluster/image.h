/* cluster/image.h — a snapshot of the machine as bytes: made and read beside the loop.
 *
 *   loop    begin:  members and ownership are encoded, the sink pins its state
 *   worker  encode: the sink's part is encoded, and hashed
 *   loop    end;  then add(entry) for what was applied since;  seal
 *
 * So an image is a state and the entries behind it, up to the index that the library's snapshot is
 * labelled with.  Between begin and end no entry may be applied.
 *
 *   worker  read:   both parts are checked, the state is decoded beside the one in use
 *   loop    qr_machine_replace, then the entries are applied
 *
 *   "QRSN", u16 version 4, u16 0, u64 index of the state, u64 state hash, u64 body bytes, u64 XXH3
 *   of (XXH3 of the body, tail bytes, XXH3 of the tail), u64 XXH3 of the 40 bytes before
 *   body: varint n, producers by member (varint member, incarnation, sequence, 8 zigzag results,
 *     varint info index, address, name and version as varint length and bytes), ownership,
 *     membership, keys, the rest is the sink's
 *   tail: for each entry u64 index, u32 bytes, the bytes
 *
 * Thread: the consensus loop's, but for encode and read. */
#ifndef QR_CLUSTER_IMAGE_H
#define QR_CLUSTER_IMAGE_H

#include <stdint.h>

#include "base/buf.h"
#include "cluster/backlog.h"
#include "cluster/machine.h"

#define QR_IMAGE_HEADER_BYTES 48u

struct qr_image {
    char header[QR_IMAGE_HEADER_BYTES];
    struct qr_buf body, tail;
    uint64_t applied, hash; /* Of the state in the body. */
    uint64_t body_hash;
    const struct qr_sink *sink;
    void *pin; /* The sink's, between begin and end. */
    int status;
};

/* 0, QR_E_BUSY from the sink, QR_E_LIMIT, UV_ENOMEM; on failure there is nothing to end. */
int qr_image_begin(struct qr_image *image, struct qr_machine *machine);
void qr_image_encode(struct qr_image *image);
/* What encode came to: 0, QR_E_LIMIT, UV_ENOMEM or the sink's error. */
int qr_image_end(struct qr_image *image);
/* 0, QR_E_LIMIT (QR_SNAPSHOT_TAIL_BYTES_MAX) or UV_ENOMEM. */
int qr_image_add(struct qr_image *image, uint64_t index, struct qr_slice entry);
/* Fills the header: the image is header, body, tail in this order. */
void qr_image_seal(struct qr_image *image);
void qr_image_release(struct qr_image *image);

/* An image as it is read. */
struct qr_image_state {
    uint64_t applied, hash;
    struct qr_producer *producers; /* QR_PRODUCERS_MAX of them. */
    unsigned n_producers;
    struct qr_ownership ownership;
    struct qr_membership membership;
    struct qr_keys keys;
    void *next; /* The sink's state. */
    struct qr_backlog_entry *entries;
    size_t n_entries;
};

/* 0, QR_E_CORRUPT, QR_E_VERSION, QR_E_MALFORMED, UV_ENOMEM or the sink's error; then there is
 * nothing to release.  The bytes are not needed any more afterwards. */
int qr_image_read(struct qr_image_state *state, const struct qr_sink *sink, struct qr_slice bytes);
/* For who may block: all steps of making one, without entries behind the state; and of reading one,
 * whose entries are applied.  Errors as above; on failure `out` and the state are as before. */
int qr_image_make(struct qr_machine *machine, struct qr_buf *out);
int qr_image_restore(struct qr_machine *machine, struct qr_slice bytes);

/* Drops what was read and not taken; parts that were taken are NULL or 0. */
void qr_image_state_release(struct qr_image_state *state, const struct qr_sink *sink);

#endif
