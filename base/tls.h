/* base/tls.h — TLS as a state machine over bytes: no socket, no I/O (OpenSSL, memory BIOs).
 *
 *   network --feed--> [ session ] --read-->  plaintext
 *   network <-drain-- [ session ] <-write--  plaintext
 *
 * Two kinds of context: for member links (mutual TLS 1.3, no session tickets; the peer must show a
 * certificate of the given CA) and for the public port (TLS 1.2 or 1.3; clients may be asked for a
 * certificate).
 *
 * Rules for the owner of a session:
 *  - after every call that may produce ciphertext (handshake, read, write, shutdown), also after
 *    one that failed, drain and send: a failure's alert tells the peer why;
 *  - in TLS 1.3 the client's handshake is done *before* the server has judged its certificate: a
 *    refused client learns it from its first read (QR_E_TLS or QR_E_CLOSED);
 *  - after QR_E_TLS the session is dead; qr_tls_error says why, for the log.
 *
 * Thread: a context any, also several at once; a session its owner's. */
#ifndef QR_BASE_TLS_H
#define QR_BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

#define QR_TLS_REASON_BYTES 256
/* A record's plaintext: room for this much lets qr_tls_read take one whole. */
#define QR_TLS_RECORD_BYTES 16384u

struct qr_tls_context;
struct qr_tls;

enum qr_tls_role { QR_TLS_SERVER, QR_TLS_CLIENT };

/* For member links, both roles.  0, UV_ENOMEM, or QR_E_TLS with a sentence in `reason` that names
 * the file. */
int qr_tls_context_mutual(struct qr_tls_context **context, const char *ca_file,
                          const char *cert_file, const char *key_file,
                          char reason[QR_TLS_REASON_BYTES]);

/* The certificate that a mutual context shows: is it one that its own CA signed, which peers will
 * take?  Its first URI, as qr_tls_peer_uri.  Errors as above, and those of that. */
int qr_tls_context_own_uri(const struct qr_tls_context *context, char *uri, size_t uri_bytes,
                           char reason[QR_TLS_REASON_BYTES]);

/* For a public port, server only.  cert_file may hold a chain.  client_ca_file: clients are asked
 * for a certificate, need not show one, and one that this CA has not signed is refused; NULL: they
 * are not asked.  only_1_2: the newest that is spoken is TLS 1.2, which is also the oldest.
 * ciphers: OpenSSL's names, separated by ':'; those of TLS 1.3 (TLS_..) and those of 1.2 each count
 * for their version, which keeps OpenSSL's own without any; NULL: both keep them.  Errors as above.
 */
struct qr_tls_server {
    const char *cert_file, *key_file, *client_ca_file;
    bool only_1_2;
    const char *ciphers;
};
int qr_tls_context_server(struct qr_tls_context **context, const struct qr_tls_server *server,
                          char reason[QR_TLS_REASON_BYTES]);

/* For calls to a server, client only: TLS 1.2 or 1.3; ca_file NULL: its certificate is not checked.
 * The name in it is not checked either. */
int qr_tls_context_client(struct qr_tls_context **context, const char *ca_file,
                          char reason[QR_TLS_REASON_BYTES]);

/* For calls to Netdata parents, client only: TLS 1.2 or 1.3.  Their certificate must come from an
 * authority of the file or the folder (OpenSSL's hashed names), with neither (NULL) from one of the
 * machine's; the name in it is not checked.  Errors as above. */
int qr_tls_context_upstream(struct qr_tls_context **context, const char *ca_file,
                            const char *ca_path, char reason[QR_TLS_REASON_BYTES]);

/* Sessions keep what they need of it. */
void qr_tls_context_free(struct qr_tls_context *context);

/* 0 or UV_ENOMEM. */
int qr_tls_new(struct qr_tls **tls, struct qr_tls_context *context, enum qr_tls_role role);
void qr_tls_free(struct qr_tls *tls);

/* Ciphertext from the network; copied.  0 or UV_ENOMEM. */
int qr_tls_feed(struct qr_tls *tls, struct qr_slice ciphertext);

/* Ciphertext for the network. */
size_t qr_tls_pending(const struct qr_tls *tls);
/* Moves all of it to the end of `out`.  0, or the error of `out` (then it stays here). */
int qr_tls_drain(struct qr_tls *tls, struct qr_buf *out);

/* Goes on with the handshake.  0: done.  QR_E_PARTIAL: needs the peer.  QR_E_TLS: failed. */
int qr_tls_handshake(struct qr_tls *tls);
bool qr_tls_established(const struct qr_tls *tls);

/* Up to `size` bytes of plaintext, never 0 on success; does the handshake first where needed.
 * 0; QR_E_PARTIAL: needs the peer; QR_E_CLOSED: the peer has ended its side; QR_E_TLS. */
int qr_tls_read(struct qr_tls *tls, void *bytes, size_t size, size_t *n);

/* Encrypts all of it; established sessions only.  One call makes one record per 16 KiB, so gather
 * small pieces first.  0 or QR_E_TLS (also when the memory for it is missing). */
int qr_tls_write(struct qr_tls *tls, struct qr_slice plaintext);

/* Tells the peer that nothing follows. */
void qr_tls_shutdown(struct qr_tls *tls);

/* The first URI among the peer certificate's subject alternative names.  0, QR_E_UNKNOWN (there is
 * no certificate or no URI in it), QR_E_LIMIT, QR_E_MALFORMED (a NUL in it). */
int qr_tls_peer_uri(const struct qr_tls *tls, char *uri, size_t uri_bytes);

/* SHA-256 of the peer's certificate, which was verified.  0 or QR_E_UNKNOWN: it showed none. */
#define QR_TLS_FINGERPRINT_BYTES 32u
int qr_tls_peer_fingerprint(const struct qr_tls *tls, uint8_t hash[QR_TLS_FINGERPRINT_BYTES]);

/* Why QR_E_TLS was returned: a sentence, escaped for the log; "" before. */
const char *qr_tls_error(const struct qr_tls *tls);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", once established. */
void qr_tls_describe(const struct qr_tls *tls, char *text, size_t text_bytes);

/* The oldest error in OpenSSL's queue of this thread as text, and empties the queue. */
void qr_tls_library_error(char *text, size_t text_bytes);

#endif
