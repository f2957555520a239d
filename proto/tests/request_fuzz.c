/* A parent may reply anything: the first byte chooses what was offered.
 *
 * Checked: an accepted set is a part of the offered one, with one compression at most. */
#include "proto/request.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint32_t offered = QR_SENDER_CAPS & ~((uint32_t)data[0] << 10);
    struct qr_reply reply = {.kind = (enum qr_reply_kind)99};
    int err = qr_reply_parse(qr_slice_of(data + 1, size - 1), offered, &reply);
    if (err == QR_E_PARTIAL)
        return size - 1 < QR_REPLY_BYTES_MAX ? 0 : (abort(), 0);
    if (err != 0 || reply.sentence == NULL)
        abort();
    if (reply.kind == QR_REPLY_ACCEPTED) {
        uint32_t packed = reply.caps & QR_CAPS_COMPRESSIONS;
        if ((reply.caps & ~offered) != 0 || (packed & (packed - 1)) != 0)
            abort();
    } else if (reply.wait_s == 0) {
        abort();
    }
    return 0;
}
