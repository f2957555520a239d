/* node/admission.h — who is let in, and behind which certificate: stream.conf, the lists of `[web]
 * allow .. from` and the public port's TLS, as they were read together, and the keys in the log.
 *
 *   read --> node --> each ingest loop holds one;  SIGHUP: the next one is read and takes its place
 *
 * Immutable and counted: a loop uses the one it holds until it is handed another, so that neither
 * waits.
 *
 * Which word counts, for a child that shows a key:
 *   1. The log says that the key is over: no, whatever stream.conf says.
 *   2. stream.conf has a section for it: as that says.
 *   3. The log has it: as its policy says.
 *   4. Neither: no.
 * The machine's own section of stream.conf goes before any key's, as in Netdata.  And a machine
 * that the log has bound comes with that line of keys, or that certificate, or not at all.
 *
 * Thread: any. */
#ifndef QR_NODE_ADMISSION_H
#define QR_NODE_ADMISSION_H

#include <stdatomic.h>

#include "base/tls.h"
#include "node/access.h"
#include "node/config.h"
#include "node/key_table.h"
#include "node/stream_conf.h"

struct qr_admission {
    _Atomic unsigned holders;
    bool has_file; /* There is a stream.conf. */
    struct qr_stream_conf stream_conf;
    struct qr_access access;
    struct qr_tls_context *tls;          /* NULL: plain only. */
    struct qr_tls_context *upstream_tls; /* As [stream] says; NULL: nothing is streamed on. */
};

/* Reads the files that `config` names; the caller holds the result.  No stream.conf is one without
 * sections.  0, or QR_E_CONFIG, QR_E_TLS or UV_ENOMEM with a sentence. */
int qr_admission_read(struct qr_admission **admission, const struct qr_config *config,
                      char *sentence, size_t sentence_bytes);

struct qr_admission *qr_admission_hold(struct qr_admission *admission);
/* The last holder frees it.  NULL: nothing. */
void qr_admission_release(struct qr_admission *admission);

/* A child that asks to be let in. */
struct qr_applicant {
    struct qr_slice api_key, machine_guid; /* As it wrote them. */
    const char *peer_ip;
    const uint8_t *certificate; /* SHA-256 of its own, QR_KEY_HASH_BYTES; NULL: none. */
};

struct qr_admitted {
    struct qr_stream_policy policy;
    uint32_t key;       /* Its id in the log; 0: it is not there. */
    const char *reason; /* Of a refusal, for our log (static): the child hears no more than that. */
};

/* 0, or QR_E_DENIED with the reason.  Notes in `keys` that the key is in use. */
int qr_admission_check(const struct qr_admission *admission, const struct qr_key_table *keys,
                       const struct qr_applicant *applicant, struct qr_admitted *admitted);

#endif
