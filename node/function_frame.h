/* node/function_frame.h — what members say to each other about functions of children, and lists of
 * functions.
 *
 *   QR_LINK_FUNCTION payload: u8 kind, 16 bytes transaction, then
 *     CALL      16 bytes host, varint timeout s, varint access, bytes function, bytes source,
 *               u8 has payload, bytes content type, bytes payload
 *     LIST      16 bytes host
 *     CANCEL
 *     PROGRESS  varint done, varint all
 *     ANSWER    varint HTTP status, zigzag expires s, varint bytes of the body, bytes content type
 *     PART      bytes of the body, in order (the rest of the payload)
 *
 *   asker --CALL|LIST--> owner --PROGRESS.. ANSWER PART..--> asker        asker --CANCEL--> owner
 *
 * "bytes" are a varint length and as many bytes.  An answer is whole with its body's last part.
 *
 * A list is, for each function: bytes name, bytes help, bytes tags, varint timeout, access,
 * priority, version, u8 global, bytes chart (id; empty: no chart's).  Slices lie in what was
 * decoded.  Thread: any. */
#ifndef QR_NODE_FUNCTION_FRAME_H
#define QR_NODE_FUNCTION_FRAME_H

#include "base/buf.h"
#include "base/cursor.h"
#include "proto/functions.h"

enum qr_function_frame_kind {
    QR_FUNCTION_CALL = 1,
    QR_FUNCTION_LIST,
    QR_FUNCTION_CANCEL,
    QR_FUNCTION_PROGRESS,
    QR_FUNCTION_ANSWER,
    QR_FUNCTION_PART,
    QR_FUNCTION_KIND_NR
};

struct qr_function_frame {
    enum qr_function_frame_kind kind;
    struct qr_guid transaction;
    struct qr_guid host;          /* CALL, LIST */
    struct qr_function_call call; /* CALL; its transaction is the frame's. */
    struct qr_function_progress progress;
    struct qr_function_result result; /* ANSWER */
    uint64_t body_bytes;              /* ANSWER: at most QR_FUNCTION_RESULT_BYTES_MAX. */
    struct qr_slice part;
};

/* Appends it.  0 or an error of the buffer. */
int qr_function_frame_encode(struct qr_buf *out, const struct qr_function_frame *frame);
/* 0 or QR_E_MALFORMED. */
int qr_function_frame_decode(struct qr_function_frame *frame, struct qr_slice payload);

int qr_function_list_add(struct qr_buf *list, const struct qr_function *function);
/* The next one.  False: there is none, or it is malformed (in->failed). */
bool qr_function_list_next(struct qr_cursor *in, struct qr_function *function);

/* The function whose name the call begins with: its whole text, or less its last words.  False:
 * none. */
bool qr_function_list_find(struct qr_slice list, struct qr_slice call,
                           struct qr_function *function);

#endif
