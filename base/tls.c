#include "base/tls.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"

struct qr_tls_context {
    SSL_CTX *ssl;
};

struct qr_tls {
    SSL *ssl;
    struct qr_buf in;  /* Network to us, ... */
    size_t in_at;      /* ... read up to here. */
    struct qr_buf out; /* Us to network. */
    bool established;  /* Latched: OpenSSL's own state goes back for a key update. */
    bool failed;
    char reason[QR_TLS_REASON_BYTES];
};

void qr_tls_library_error(char *text, size_t text_bytes)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    if (reason != NULL)
        snprintf(text, text_bytes, "%s", reason);
    else if (code != 0 && ERR_SYSTEM_ERROR(code))
        snprintf(text, text_bytes, "%s", strerror(ERR_GET_REASON(code)));
    else
        snprintf(text, text_bytes, "error %lx", code);
    ERR_clear_error();
}

/* ---- contexts ---- */

static int refuse_file(char *reason, const char *what, const char *file)
{
    char why[128];
    qr_tls_library_error(why, sizeof why);
    snprintf(reason, QR_TLS_REASON_BYTES, "%s cannot be used: %s (%s)", what, file, why);
    return QR_E_TLS;
}

static int load_own(SSL_CTX *ssl, const char *cert_file, const char *key_file, char *reason)
{
    if (SSL_CTX_use_certificate_chain_file(ssl, cert_file) != 1)
        return refuse_file(reason, "the certificate", cert_file);
    if (SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) != 1)
        return refuse_file(reason, "the private key", key_file);
    if (SSL_CTX_check_private_key(ssl) != 1)
        return refuse_file(reason, "the key does not fit the certificate; the private key",
                           key_file);
    return 0;
}

static int load_ca(SSL_CTX *ssl, const char *ca_file, char *reason)
{
    if (SSL_CTX_load_verify_file(ssl, ca_file) != 1)
        return refuse_file(reason, "the CA certificate", ca_file);
    return 0;
}

/* A context with what all of them share; takes `ssl`. */
static int make_context(struct qr_tls_context **context, SSL_CTX *ssl, int min_version)
{
    struct qr_tls_context *made = malloc(sizeof *made);
    if (ssl == NULL || made == NULL) {
        SSL_CTX_free(ssl);
        free(made);
        ERR_clear_error();
        return UV_ENOMEM;
    }
    SSL_CTX_set_min_proto_version(ssl, min_version);
    SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    made->ssl = ssl;
    *context = made;
    return 0;
}

/* Gives the context out when err is 0, frees it otherwise. */
static int finish_context(struct qr_tls_context **context, struct qr_tls_context *made, int err)
{
    if (err != 0)
        qr_tls_context_free(made);
    else
        *context = made;
    return err;
}

/* The first step of each kind: an empty context, and the reason if even that cannot be had. */
static int begin_context(struct qr_tls_context **context, const SSL_METHOD *method, int min_version,
                         char *reason)
{
    snprintf(reason, QR_TLS_REASON_BYTES, "out of memory");
    ERR_clear_error();
    return make_context(context, SSL_CTX_new(method), min_version);
}

int qr_tls_context_mutual(struct qr_tls_context **context, const char *ca_file,
                          const char *cert_file, const char *key_file,
                          char reason[QR_TLS_REASON_BYTES])
{
    struct qr_tls_context *made;
    int err = begin_context(&made, TLS_method(), TLS1_3_VERSION, reason);
    if (err != 0)
        return err;
    SSL_CTX_set_verify(made->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_num_tickets(made->ssl, 0);
    SSL_CTX_set_session_cache_mode(made->ssl, SSL_SESS_CACHE_OFF);
    err = load_ca(made->ssl, ca_file, reason);
    if (err == 0)
        err = load_own(made->ssl, cert_file, key_file, reason);
    return finish_context(context, made, err);
}

static int refuse_ciphers(const char *ciphers, char *reason)
{
    char why[128];
    qr_tls_library_error(why, sizeof why);
    snprintf(reason, QR_TLS_REASON_BYTES,
             "the ciphers cannot be used: %s (%s); `openssl ciphers` lists what there is", ciphers,
             why);
    return QR_E_TLS;
}

/* OpenSSL keeps one list for TLS 1.3 and one for what is older. */
static int set_ciphers(SSL_CTX *ssl, const char *ciphers, char *reason)
{
    char lists[2][1024] = {"", ""};
    for (const char *p = ciphers; *p != '\0';) {
        size_t len = strcspn(p, ":");
        char *list = lists[strncmp(p, "TLS_", 4) == 0];
        size_t used = strlen(list);
        if (used + len + 2 > sizeof lists[0])
            return refuse_ciphers(ciphers, reason);
        snprintf(list + used, sizeof lists[0] - used, "%s%.*s", used > 0 ? ":" : "", (int)len, p);
        p += len + (p[len] == ':');
    }
    if ((lists[0][0] != '\0' && SSL_CTX_set_cipher_list(ssl, lists[0]) != 1) ||
        (lists[1][0] != '\0' && SSL_CTX_set_ciphersuites(ssl, lists[1]) != 1))
        return refuse_ciphers(ciphers, reason);
    return 0;
}

int qr_tls_context_server(struct qr_tls_context **context, const struct qr_tls_server *server,
                          char reason[QR_TLS_REASON_BYTES])
{
    struct qr_tls_context *made;
    const char *client_ca = server->client_ca_file;
    int err = begin_context(&made, TLS_server_method(), TLS1_2_VERSION, reason);
    if (err != 0)
        return err;
    if (server->only_1_2)
        SSL_CTX_set_max_proto_version(made->ssl, TLS1_2_VERSION);
    SSL_CTX_set_verify(made->ssl, client_ca != NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    /* Session ids without a context are refused on resumption; tickets alone need no cache. */
    static const unsigned char id[] = "quorate";
    SSL_CTX_set_session_id_context(made->ssl, id, sizeof id - 1);
    SSL_CTX_set_session_cache_mode(made->ssl, SSL_SESS_CACHE_OFF);
    if (server->ciphers != NULL)
        err = set_ciphers(made->ssl, server->ciphers, reason);
    if (err == 0)
        err = load_own(made->ssl, server->cert_file, server->key_file, reason);
    if (err == 0 && client_ca != NULL)
        err = load_ca(made->ssl, client_ca, reason);
    if (err == 0 && client_ca != NULL) /* What clients are told to choose from. */
        SSL_CTX_set_client_CA_list(made->ssl, SSL_load_client_CA_file(client_ca));
    return finish_context(context, made, err);
}

int qr_tls_context_client(struct qr_tls_context **context, const char *ca_file,
                          char reason[QR_TLS_REASON_BYTES])
{
    struct qr_tls_context *made;
    int err = begin_context(&made, TLS_client_method(), TLS1_2_VERSION, reason);
    if (err != 0)
        return err;
    SSL_CTX_set_verify(made->ssl, ca_file != NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (ca_file != NULL)
        err = load_ca(made->ssl, ca_file, reason);
    return finish_context(context, made, err);
}

int qr_tls_context_upstream(struct qr_tls_context **context, const char *ca_file,
                            const char *ca_path, char reason[QR_TLS_REASON_BYTES])
{
    struct qr_tls_context *made;
    int err = begin_context(&made, TLS_client_method(), TLS1_2_VERSION, reason);
    if (err != 0)
        return err;
    SSL_CTX_set_verify(made->ssl, SSL_VERIFY_PEER, NULL);
    int found = ca_file == NULL && ca_path == NULL
                    ? SSL_CTX_set_default_verify_paths(made->ssl)
                    : SSL_CTX_load_verify_locations(made->ssl, ca_file, ca_path);
    if (found != 1) {
        char text[128];
        qr_tls_library_error(text, sizeof text);
        snprintf(reason, QR_TLS_REASON_BYTES, "cannot read authorities of %s: %s",
                 ca_file != NULL   ? ca_file
                 : ca_path != NULL ? ca_path
                                   : "this machine",
                 text);
        err = QR_E_TLS;
    }
    return finish_context(context, made, err);
}

void qr_tls_context_free(struct qr_tls_context *context)
{
    if (context == NULL)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}

/* ---- bytes between a session and its owner ----
 *
 * A memory BIO keeps the room of the largest flight it ever held; thousands of sessions are idle at
 * any time, so these give it back when they are empty. */

static int on_bio_read(BIO *bio, char *bytes, size_t size, size_t *n)
{
    struct qr_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t left = tls->in.len - tls->in_at;
    *n = size < left ? size : left;
    if (*n == 0) { /* "Later", not "end". */
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(bytes, tls->in.base + tls->in_at, *n);
    tls->in_at += *n;
    if (tls->in_at == tls->in.len) {
        qr_buf_release(&tls->in);
        tls->in_at = 0;
    }
    return 1;
}

static int on_bio_write(BIO *bio, const char *bytes, size_t size, size_t *n)
{
    struct qr_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *n = qr_buf_add(&tls->out, bytes, size) == 0 ? size : 0;
    return *n == size;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *data)
{
    (void)bio;
    (void)number;
    (void)data;
    return command == BIO_CTRL_FLUSH; /* All that a session asks for. */
}

static BIO_METHOD *bio_method;
static uv_once_t bio_once = UV_ONCE_INIT;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "qr_tls");
    if (bio_method == NULL)
        return;
    BIO_meth_set_read_ex(bio_method, on_bio_read);
    BIO_meth_set_write_ex(bio_method, on_bio_write);
    BIO_meth_set_ctrl(bio_method, on_bio_ctrl);
}

static BIO *new_bio(void)
{
    uv_once(&bio_once, make_bio_method);
    BIO *bio = bio_method != NULL ? BIO_new(bio_method) : NULL;
    if (bio != NULL)
        BIO_set_init(bio, 1);
    return bio;
}

/* ---- sessions ---- */

int qr_tls_new(struct qr_tls **tls, struct qr_tls_context *context, enum qr_tls_role role)
{
    struct qr_tls *made = calloc(1, sizeof *made);
    SSL *ssl = SSL_new(context->ssl);
    BIO *bio = new_bio();
    if (made == NULL || ssl == NULL || bio == NULL) {
        BIO_free(bio);
        SSL_free(ssl);
        free(made);
        ERR_clear_error();
        return UV_ENOMEM;
    }
    BIO_set_data(bio, made);
    SSL_set_bio(ssl, bio, bio);
    if (role == QR_TLS_SERVER)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    made->ssl = ssl;
    *tls = made;
    return 0;
}

void qr_tls_free(struct qr_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    qr_buf_release(&tls->in);
    qr_buf_release(&tls->out);
    free(tls);
}

int qr_tls_feed(struct qr_tls *tls, struct qr_slice ciphertext)
{
    qr_buf_consume(&tls->in, tls->in_at);
    tls->in_at = 0;
    return qr_buf_add(&tls->in, ciphertext.base, ciphertext.len);
}

size_t qr_tls_pending(const struct qr_tls *tls)
{
    return tls->out.len;
}

int qr_tls_drain(struct qr_tls *tls, struct qr_buf *out)
{
    int err = qr_buf_add(out, tls->out.base, tls->out.len);
    if (err == 0)
        qr_buf_release(&tls->out);
    return err;
}

static int fail(struct qr_tls *tls, const char *what)
{
    char why[128];
    qr_tls_library_error(why, sizeof why);
    long verdict = SSL_get_verify_result(tls->ssl);
    if (verdict != X509_V_OK && SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE)
        snprintf(tls->reason, sizeof tls->reason, "%s: %s: %s", what, why,
                 X509_verify_cert_error_string(verdict));
    else
        snprintf(tls->reason, sizeof tls->reason, "%s: %s", what, why);
    tls->failed = true;
    return QR_E_TLS;
}

/* The code of an SSL call that returned `result`, not 1. */
static int judge(struct qr_tls *tls, int result, const char *what)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        ERR_clear_error();
        return QR_E_PARTIAL;
    case SSL_ERROR_ZERO_RETURN:
        ERR_clear_error();
        return QR_E_CLOSED;
    default:
        return fail(tls, what);
    }
}

int qr_tls_handshake(struct qr_tls *tls)
{
    if (tls->failed)
        return QR_E_TLS;
    if (qr_tls_established(tls))
        return 0;
    ERR_clear_error();
    int done = SSL_do_handshake(tls->ssl);
    if (done != 1)
        return judge(tls, done, "handshake failed");
    tls->established = true;
    return 0;
}

bool qr_tls_established(const struct qr_tls *tls)
{
    return tls->established;
}

int qr_tls_read(struct qr_tls *tls, void *bytes, size_t size, size_t *n)
{
    int err = qr_tls_handshake(tls);
    if (err != 0)
        return err;
    assert(size > 0);
    ERR_clear_error();
    size_t got = 0;
    int done = SSL_read_ex(tls->ssl, bytes, size, &got);
    if (done != 1)
        return judge(tls, done, "the connection broke");
    *n = got;
    return 0;
}

int qr_tls_write(struct qr_tls *tls, struct qr_slice plaintext)
{
    if (tls->failed)
        return QR_E_TLS;
    assert(qr_tls_established(tls));
    if (plaintext.len == 0)
        return 0;
    ERR_clear_error();
    size_t n = 0;
    /* The BIO takes all, and partial writes are not enabled: it is all or an error. */
    if (SSL_write_ex(tls->ssl, plaintext.base, plaintext.len, &n) != 1)
        return fail(tls, "encryption failed");
    assert(n == plaintext.len);
    return 0;
}

void qr_tls_shutdown(struct qr_tls *tls)
{
    if (tls->failed || !qr_tls_established(tls))
        return;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

/* ---- the peer ---- */

static int copy_uri(const GENERAL_NAMES *names, char *uri, size_t uri_bytes)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        const unsigned char *bytes = ASN1_STRING_get0_data(text);
        size_t len = (size_t)ASN1_STRING_length(text);
        if (len >= uri_bytes)
            return QR_E_LIMIT;
        if (memchr(bytes, '\0', len) != NULL)
            return QR_E_MALFORMED;
        memcpy(uri, bytes, len);
        uri[len] = '\0';
        return 0;
    }
    return QR_E_UNKNOWN;
}

static int uri_of(const X509 *cert, char *uri, size_t uri_bytes)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    if (names == NULL) {
        ERR_clear_error();
        return QR_E_UNKNOWN;
    }
    int err = copy_uri(names, uri, uri_bytes);
    GENERAL_NAMES_free(names);
    return err;
}

int qr_tls_peer_uri(const struct qr_tls *tls, char *uri, size_t uri_bytes)
{
    const X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    return cert != NULL ? uri_of(cert, uri, uri_bytes) : QR_E_UNKNOWN;
}

int qr_tls_context_own_uri(const struct qr_tls_context *context, char *uri, size_t uri_bytes,
                           char reason[QR_TLS_REASON_BYTES])
{
    X509 *cert = SSL_CTX_get0_certificate(context->ssl);
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context->ssl, &chain);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (check == NULL ||
        X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context->ssl), cert, chain) != 1) {
        X509_STORE_CTX_free(check);
        ERR_clear_error();
        snprintf(reason, QR_TLS_REASON_BYTES, "out of memory");
        return UV_ENOMEM;
    }
    int err = X509_verify_cert(check) == 1 ? 0 : QR_E_TLS;
    if (err != 0)
        snprintf(reason, QR_TLS_REASON_BYTES, "the certificate does not fit the CA: %s",
                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return err == 0 ? uri_of(cert, uri, uri_bytes) : err;
}

int qr_tls_peer_fingerprint(const struct qr_tls *tls, uint8_t hash[QR_TLS_FINGERPRINT_BYTES])
{
    const X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    unsigned n = 0;
    if (cert == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK)
        return QR_E_UNKNOWN;
    int done = X509_digest(cert, EVP_sha256(), hash, &n);
    assert(done == 1);
    assert(n == QR_TLS_FINGERPRINT_BYTES);
    return 0;
}

const char *qr_tls_error(const struct qr_tls *tls)
{
    return tls->reason;
}

void qr_tls_describe(const struct qr_tls *tls, char *text, size_t text_bytes)
{
    const char *cipher = SSL_get_cipher_name(tls->ssl);
    snprintf(text, text_bytes, "%s %s", SSL_get_version(tls->ssl), cipher);
}
