/* base/pki.h — makes keys and certificates (X.509, EC P-256), and writes them as PEM files.
 *
 * Files get mode 0600, are synced, and are never overwritten; when one of a pair cannot be written
 * the other is taken back.  Certificates start an hour early, for clocks that differ.
 * Thread: any; blocks. */
#ifndef QR_BASE_PKI_H
#define QR_BASE_PKI_H

#define QR_PKI_REASON_BYTES 384
#define QR_PKI_YEARS        10

/* A certificate to be made. */
struct qr_pki_request {
    const char *cert_file, *key_file;       /* To be created. */
    const char *ca_cert_file, *ca_key_file; /* Who signs; NULL: it signs itself. */
    const char *common_name;
    const char *uri; /* Subject alternative names; NULL: none. */
    const char *dns;
};

/* A CA that may sign end certificates only, for QR_PKI_YEARS.
 * 0; QR_E_EXISTS: a file is there already; QR_E_TLS; UV_ENOMEM; a file's own error.  `reason`
 * then holds a sentence with the file's name. */
int qr_pki_make_ca(const char *cert_file, const char *key_file, const char *common_name,
                   char reason[QR_PKI_REASON_BYTES]);

/* An end certificate for both TLS roles, as long valid.  Errors as above. */
int qr_pki_make_cert(const struct qr_pki_request *request, char reason[QR_PKI_REASON_BYTES]);

#endif
