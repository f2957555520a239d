/* base/guid.h — 128-bit identities (machine GUIDs, API keys) and their text form
 * xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.  Thread: any. */
#ifndef QR_BASE_GUID_H
#define QR_BASE_GUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define QR_GUID_TEXT_LEN 36

struct qr_guid {
    uint8_t bytes[16];
};

/* Parses the text form, either case.  0 or QR_E_MALFORMED. */
int qr_guid_parse(struct qr_guid *guid, struct qr_slice text);

/* Writes the lower-case text and a NUL. */
void qr_guid_format(const struct qr_guid *guid, char text[QR_GUID_TEXT_LEN + 1]);

static inline bool qr_guid_equal(const struct qr_guid *a, const struct qr_guid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

#endif
