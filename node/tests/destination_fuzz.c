#include "node/destination.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What was read and written again is read as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct qr_destination list[QR_DESTINATIONS_MAX], again;
    const char *why = NULL;
    char text[400];
    int count = qr_destinations_parse(list, qr_slice_of((const char *)bytes, n), "19999", &why);
    if (count < 0) {
        assert(count == QR_E_CONFIG && why != NULL);
        return 0;
    }
    for (int i = 0; i < count; i++) {
        qr_destination_format(&list[i], text, sizeof text);
        int err = qr_destination_parse(&again, qr_slice_str(text), "1", &why);
        assert(err == 0 && again.tls == list[i].tls);
        assert(strcmp(again.address.host, list[i].address.host) == 0);
        assert(strcmp(again.address.port, list[i].address.port) == 0);
        assert(strcmp(again.interface, list[i].interface) == 0);
    }
    return 0;
}
