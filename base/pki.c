#include "base/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "base/tls.h"

#define EARLY_S (60L * 60)
#define VALID_S (QR_PKI_YEARS * 365L * 24 * 60 * 60)

/* Who signs: a loaded CA, or the new certificate itself. */
struct signer {
    X509 *cert;
    EVP_PKEY *key;
};

static int refuse(char *reason, const char *what, const char *file, int err)
{
    snprintf(reason, QR_PKI_REASON_BYTES, "%s %s: %s", what, file, qr_strerror(err));
    return err;
}

static int refuse_openssl(char *reason, const char *what)
{
    char why[128];
    qr_tls_library_error(why, sizeof why);
    /* A long path is cut, the reason never. */
    snprintf(reason, QR_PKI_REASON_BYTES, "%.250s: %s", what, why);
    return QR_E_TLS;
}

/* ---- building ---- */

static bool set_serial(X509 *cert)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] &= 0x7f; /* positive */
    bytes[0] |= 0x40; /* and of full length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool done = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return done;
}

static bool set_base(X509 *cert, EVP_PKEY *key, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -EARLY_S) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), VALID_S) != NULL &&
           X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Quorate",
                                      -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                      -1, -1, 0) == 1;
}

/* `value` is one of our own constants: the parser behind it never sees foreign text. */
static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool done = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool push_name(GENERAL_NAMES *names, int type, const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    if (name == NULL || value == NULL || ASN1_STRING_set(value, text, -1) != 1) {
        ASN1_IA5STRING_free(value);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) == 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool add_alt_names(X509 *cert, const char *uri, const char *dns)
{
    if (uri == NULL && dns == NULL)
        return true;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool done = names != NULL && (uri == NULL || push_name(names, GEN_URI, uri)) &&
                (dns == NULL || push_name(names, GEN_DNS, dns)) &&
                X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return done;
}

static bool sign(X509 *cert, const struct signer *signer)
{
    return X509_set_issuer_name(cert, X509_get_subject_name(signer->cert)) == 1 &&
           X509_sign(cert, signer->key, EVP_sha256()) > 0;
}

static bool build_ca(X509 *cert, const struct signer *self, const char *common_name)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    return set_base(cert, self->key, common_name) &&
           add_extension(cert, &ctx, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(cert, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(cert, &ctx, NID_subject_key_identifier, "hash") && sign(cert, self);
}

static bool build_end(X509 *cert, EVP_PKEY *key, const struct signer *signer,
                      const struct qr_pki_request *request)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, signer->cert, cert, NULL, NULL, 0);
    return set_base(cert, key, request->common_name) &&
           add_extension(cert, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, &ctx, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, &ctx, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
           (signer->cert == cert ||
            add_extension(cert, &ctx, NID_authority_key_identifier, "keyid:always")) &&
           add_alt_names(cert, request->uri, request->dns) && sign(cert, signer);
}

/* ---- files ---- */

static int sync_folder_of(const char *file)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", file);
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) != 0 ? -errno : 0;
    close(fd);
    return err;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return fsync(fd) != 0 ? -errno : 0;
}

static int write_file(const char *file, BIO *pem, char *reason)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(pem, &bytes);
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return refuse(reason, "cannot create", file, errno == EEXIST ? QR_E_EXISTS : -errno);
    int err = write_all(fd, bytes, (size_t)len);
    if (close(fd) != 0 && err == 0)
        err = -errno;
    if (err == 0)
        err = sync_folder_of(file);
    if (err != 0) {
        unlink(file);
        return refuse(reason, "cannot write", file, err);
    }
    return 0;
}

/* The key first: a certificate without its key would be of no use. */
static int write_pair(const char *cert_file, const char *key_file, X509 *cert, EVP_PKEY *key,
                      char *reason)
{
    int err = UV_ENOMEM;
    BIO *cert_pem = BIO_new(BIO_s_mem());
    BIO *key_pem = BIO_new(BIO_s_secmem());
    if (cert_pem == NULL || key_pem == NULL || PEM_write_bio_X509(cert_pem, cert) != 1 ||
        PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1)
        snprintf(reason, QR_PKI_REASON_BYTES, "out of memory");
    else
        err = write_file(key_file, key_pem, reason);
    if (err == 0) {
        err = write_file(cert_file, cert_pem, reason);
        if (err != 0)
            unlink(key_file);
    }
    BIO_free(key_pem);
    BIO_free(cert_pem);
    return err;
}

static int load_signer(struct signer *signer, const char *cert_file, const char *key_file,
                       char *reason)
{
    char what[PATH_MAX];
    BIO *cert = BIO_new_file(cert_file, "r");
    BIO *key = BIO_new_file(key_file, "r");
    signer->cert = cert != NULL ? PEM_read_bio_X509(cert, NULL, NULL, NULL) : NULL;
    signer->key = key != NULL ? PEM_read_bio_PrivateKey(key, NULL, NULL, NULL) : NULL;
    BIO_free(key);
    BIO_free(cert);
    if (signer->cert != NULL && signer->key != NULL &&
        X509_check_private_key(signer->cert, signer->key) == 1)
        return 0;
    snprintf(what, sizeof what, "the CA %s with the key %s cannot be used", cert_file, key_file);
    return refuse_openssl(reason, what);
}

static void release(struct signer *signer)
{
    X509_free(signer->cert);
    EVP_PKEY_free(signer->key);
}

/* ---- the calls ---- */

int qr_pki_make_ca(const char *cert_file, const char *key_file, const char *common_name,
                   char reason[QR_PKI_REASON_BYTES])
{
    ERR_clear_error();
    struct signer ca = {X509_new(), EVP_EC_gen("P-256")};
    int err;
    if (ca.cert == NULL || ca.key == NULL || !build_ca(ca.cert, &ca, common_name))
        err = refuse_openssl(reason, "the CA certificate cannot be made");
    else
        err = write_pair(cert_file, key_file, ca.cert, ca.key, reason);
    release(&ca);
    return err;
}

int qr_pki_make_cert(const struct qr_pki_request *request, char reason[QR_PKI_REASON_BYTES])
{
    ERR_clear_error();
    struct signer ca = {0};
    if (request->ca_cert_file != NULL) {
        int err = load_signer(&ca, request->ca_cert_file, request->ca_key_file, reason);
        if (err != 0) {
            release(&ca);
            return err;
        }
    }
    struct signer made = {X509_new(), EVP_EC_gen("P-256")};
    const struct signer *signer = ca.cert != NULL ? &ca : &made;
    int err;
    if (made.cert == NULL || made.key == NULL || !build_end(made.cert, made.key, signer, request))
        err = refuse_openssl(reason, "the certificate cannot be made");
    else
        err = write_pair(request->cert_file, request->key_file, made.cert, made.key, reason);
    release(&made);
    release(&ca);
    return err;
}
