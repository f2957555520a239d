/* A stream of frames, as a connection reads it: what is decoded lies inside, in order, within its
 * type's limit, and encodes to the same bytes.  The checksum is put right first, so that the
 * fuzzer gets behind it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "cluster/identity.h"
#include "cluster/link_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_checksum(uint8_t *bytes, size_t left)
{
    uint32_t len, crc;
    if (left < QR_LINK_HEADER_BYTES)
        return;
    memcpy(&len, bytes + 12, 4);
    if (len > left - QR_LINK_HEADER_BYTES)
        return;
    crc = qr_crc32c(qr_crc32c(0, bytes, 16), bytes + QR_LINK_HEADER_BYTES, len);
    memcpy(bytes + 16, &crc, 4);
}

static void check_hello(struct qr_slice payload)
{
    struct qr_link_hello hello = {0};
    uint8_t again[QR_LINK_HELLO_BYTES_MAX];
    if (qr_link_hello_decode(&hello, payload) != 0)
        return;
    size_t len = qr_link_hello_encode(&hello, again);
    assert(len == payload.len);
    assert(memcmp(again, payload.base, len) == 0);
}

static void check_identity(struct qr_slice text)
{
    struct qr_identity identity;
    char again[QR_IDENTITY_BYTES];
    if (qr_identity_parse(&identity, text) != 0)
        return;
    qr_identity_format(&identity, again);
    assert(qr_slice_is(text, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 1); /* its own size: the sanitizer sees reads past it */
    memcpy(bytes, data, size);
    for (size_t at = 0, used; at < size; at += used) {
        struct qr_link_frame frame;
        uint8_t header[QR_LINK_HEADER_BYTES];
        mend_checksum(bytes + at, size - at);
        int err = qr_link_frame_decode(&frame, &used, qr_slice_of(bytes + at, size - at));
        if (err == QR_E_PARTIAL)
            assert(used > size - at);
        if (err != 0)
            break;
        assert(used <= size - at);
        assert(frame.payload.base == (char *)bytes + at + QR_LINK_HEADER_BYTES);
        assert(frame.payload.len == used - QR_LINK_HEADER_BYTES);
        qr_link_frame_header(header, frame.type, frame.group, &frame.payload, 1);
        assert(memcmp(header, bytes + at, sizeof header) == 0);
        if (frame.type == QR_LINK_HELLO)
            check_hello(frame.payload);
        check_identity(frame.payload);
    }
    free(bytes);
    return 0;
}
