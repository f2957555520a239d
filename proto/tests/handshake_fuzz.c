/* Any bytes: an accepted request has what the header promises, and a prefix of it is partial. */
#include "proto/handshake.h"

#include <stdlib.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_handshake h;
    const char *reason = NULL;
    ssize_t used = qr_handshake_parse(&h, qr_slice_of(data, size), &reason);
    if (used < 0) {
        if (used == QR_E_MALFORMED && reason == NULL)
            abort();
        return 0;
    }
    if ((size_t)used > size || h.hostname.len == 0 || h.os.len == 0 || h.timezone.len == 0)
        abort();
    qr_handshake_release(&h);
    if (qr_handshake_parse(&h, qr_slice_of(data, (size_t)used - 1), &reason) != QR_E_PARTIAL)
        abort();
    return 0;
}
