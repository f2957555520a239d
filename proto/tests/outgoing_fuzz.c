/* Any text, said in any pieces, packed with any compression, unpacks to itself.  The first byte
 * chooses the compression; then a piece's length, how often it is said, and its bytes.
 *
 * Checked: no frame is longer than its header can say (asserted), every frame unpacks, to whole
 * lines where the parent wants them. */
#include "proto/outgoing.h"

#include <stdlib.h>

#include "base/limits.h"
#include "proto/caps.h"
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SAID_MAX (256u * 1024)

struct wire {
    struct qr_decompressor *decompressor;
    bool whole_lines;
    struct qr_buf heard;
};

static void on_send(void *data, struct qr_slice bytes)
{
    struct wire *wire = data;
    struct qr_slice text = bytes;
    while (bytes.len > 0) {
        ssize_t n = (ssize_t)bytes.len;
        if (wire->decompressor != NULL)
            n = qr_frame_decode(wire->decompressor, bytes, &text);
        if (n <= 0 || text.len == 0 || (wire->whole_lines && text.base[text.len - 1] != '\n'))
            abort();
        qr_buf_add(&wire->heard, text.base, text.len);
        bytes = qr_slice_of(bytes.base + n, bytes.len - (size_t)n);
    }
}

/* A line of the bytes, which has no end within it. */
static void say(struct qr_outgoing *out, struct qr_buf *said, struct qr_slice bytes)
{
    char line[300];
    for (size_t i = 0; i < bytes.len; i++)
        line[i] = bytes.base[i] == '\n' ? ' ' : bytes.base[i];
    line[bytes.len] = '\n';
    qr_outgoing_bytes(out, qr_slice_of(line, bytes.len + 1));
    qr_buf_add(said, line, bytes.len + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t packed[] = {QR_CAP_LZ4, QR_CAP_ZSTD, QR_CAP_GZIP, QR_CAP_BROTLI, 0};
    if (size == 0)
        return 0;
    uint32_t caps = packed[data[0] % (sizeof packed / sizeof *packed)];
    struct wire wire = {.whole_lines = data[0] & 128};
    struct qr_outgoing out;
    struct qr_buf said;
    if (qr_outgoing_init(&out, caps | (wire.whole_lines ? 0 : QR_CAP_BINARY), NULL, on_send,
                         &wire) != 0)
        abort();
    if (caps != 0 && qr_decompressor_new(&wire.decompressor, qr_caps_compression(caps), NULL) != 0)
        abort();
    qr_buf_init(&said, 0);
    qr_buf_init(&wire.heard, 0);
    for (size_t i = 1; i + 2 < size;) {
        size_t len = data[i] < size - i - 2 ? data[i] : size - i - 2;
        unsigned times = data[i + 1] & 127u;
        for (unsigned k = 0; k < times * times && said.len < SAID_MAX; k++)
            say(&out, &said, qr_slice_of(data + i + 2, len));
        if (data[i + 1] & 128)
            qr_outgoing_flush(&out);
        i += 2 + len;
    }
    qr_outgoing_flush(&out);
    if (!qr_slice_equal(qr_buf_slice(&said), qr_buf_slice(&wire.heard)))
        abort();
    qr_outgoing_release(&out);
    qr_decompressor_free(wire.decompressor);
    qr_buf_release(&said);
    qr_buf_release(&wire.heard);
    return 0;
}
