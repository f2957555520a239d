/* The first byte chooses: a frame of a member, or a list.  What was decoded and is encoded again
 * is decoded to the same; slices lie inside the input. */
#include "node/function_frame.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_frame(struct qr_slice bytes)
{
    struct qr_function_frame frame, again;
    struct qr_buf out = {0};
    if (qr_function_frame_decode(&frame, bytes) != 0)
        return;
    require(frame.body_bytes <= QR_FUNCTION_RESULT_BYTES_MAX);
    require(frame.call.payload.len <= QR_FUNCTION_PAYLOAD_BYTES_MAX);
    require(qr_function_frame_encode(&out, &frame) == 0);
    require(qr_function_frame_decode(&again, qr_buf_slice(&out)) == 0);
    require(again.kind == frame.kind && again.body_bytes == frame.body_bytes);
    require(qr_slice_equal(again.call.function, frame.call.function));
    require(qr_slice_equal(again.call.payload, frame.call.payload));
    require(qr_slice_equal(again.part, frame.part));
    qr_buf_release(&out);
}

static void try_list(struct qr_slice bytes)
{
    struct qr_cursor in = qr_cursor_of(bytes);
    struct qr_function function, found;
    while (qr_function_list_next(&in, &function))
        require(qr_function_list_find(bytes, function.name, &found) &&
                qr_slice_equal(found.name, function.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096)
        return 0;
    struct qr_slice rest = qr_slice_of(data + 1, size - 1);
    if (data[0] & 1)
        try_frame(rest);
    else
        try_list(rest);
    return 0;
}
