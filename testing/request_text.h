/* testing/request_text.h — what children write first: the question for stream_info, the STREAM
 * request.  As 1.37.1 and 2.9.0 write them (captured).  Thread: any. */
#ifndef QR_TESTING_REQUEST_TEXT_H
#define QR_TESTING_REQUEST_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/guid.h"

struct qr_request_text {
    const char *api_key, *hostname;
    const struct qr_guid *guid;
    uint32_t update_every, caps;
    bool as_29; /* Else as 1.37.1, which encodes but a few values. */
};

void qr_request_text_stream(struct qr_buf *out, const struct qr_request_text *request);

/* `destination` as it is configured. */
void qr_request_text_question(struct qr_buf *out, const struct qr_guid *guid,
                              const char *destination);

#endif
