/* Whatever the bytes: an entry that decodes encodes to the same bytes, and its body lies inside. */
#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "cluster/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try(const char *bytes, size_t len)
{
    struct qr_command command;
    if (qr_command_decode(&command, qr_slice_of(bytes, len)) != 0)
        return;
    assert(command.body.base >= bytes);
    assert(command.body.base + command.body.len <= bytes + len);
    struct qr_buf again = {0};
    assert(qr_command_encode(&again, &command) == 0);
    assert(again.len == len);
    assert(memcmp(again.base, bytes, len) == 0);
    qr_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    try((const char *)data, len);
    if (len < QR_COMMAND_HEADER_BYTES)
        return 0;
    /* And with the checksum made right, so that what is behind it is reached. */
    char *bytes = malloc(len);
    memcpy(bytes, data, len);
    uint32_t crc = qr_crc32c(qr_crc32c(0, bytes, 8), bytes + 12, len - 12);
    memcpy(bytes + 8, &crc, 4);
    try(bytes, len);
    free(bytes);
    return 0;
}
