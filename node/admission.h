/* node/admission.h — who is let in, and behind which certificate: stream.conf and the public port's
 * TLS, as they were read together.
 *
 *   read --> node --> each ingest loop holds one;  SIGHUP: the next one is read and takes its place
 *
 * Immutable and counted: a loop uses the one it holds until it is handed another, so that neither
 * waits.  Thread: any. */
#ifndef QR_NODE_ADMISSION_H
#define QR_NODE_ADMISSION_H

#include <stdatomic.h>

#include "base/tls.h"
#include "node/config.h"
#include "node/stream_conf.h"

struct qr_admission {
    _Atomic unsigned holders;
    struct qr_stream_conf stream_conf;
    struct qr_tls_context *tls; /* NULL: plain only. */
};

/* Reads the files that `config` names; the caller holds the result.  0, or QR_E_CONFIG, QR_E_TLS or
 * UV_ENOMEM with a sentence. */
int qr_admission_read(struct qr_admission **admission, const struct qr_config *config,
                      char *sentence, size_t sentence_bytes);

struct qr_admission *qr_admission_hold(struct qr_admission *admission);
/* The last holder frees it.  NULL: nothing. */
void qr_admission_release(struct qr_admission *admission);

#endif
