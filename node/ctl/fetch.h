/* node/ctl/fetch.h — GET or POST of one URL, with libcurl.  Thread: any; blocks. */
#ifndef QR_NODE_CTL_FETCH_H
#define QR_NODE_CTL_FETCH_H

#include "base/buf.h"

#define QR_CTL_FETCH_BYTES_MAX  (16u * 1024 * 1024)
#define QR_CTL_FETCH_REASON     256
#define QR_CTL_FETCH_TIMEOUT_MS 5000
/* The log may need an election before it takes something. */
#define QR_CTL_POST_TIMEOUT_MS 30000

/* The body of a 200 answer into `body` (emptied first).  0, or QR_E_UNREACHABLE (no answer within
 * the time), QR_E_DENIED (another status), QR_E_LIMIT, UV_ENOMEM, with the reason in words.
 * `insecure`: a certificate of https is not checked. */
int qr_ctl_fetch(const char *url, bool insecure, struct qr_buf *body,
                 char reason[QR_CTL_FETCH_REASON]);

/* POST without a body; the answer's body as above, its HTTP status in *status whatever it is.  0,
 * QR_E_UNREACHABLE, QR_E_LIMIT or UV_ENOMEM. */
int qr_ctl_post(const char *url, bool insecure, struct qr_buf *body, long *status,
                char reason[QR_CTL_FETCH_REASON]);

#endif
