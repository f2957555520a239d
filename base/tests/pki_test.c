#include "base/pki.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"

static char dir[] = "/tmp/qr-pki-test-XXXXXX";
static char ca_crt[64], ca_key[64], crt[64], key[64];
static char reason[QR_PKI_REASON_BYTES];

static int make_dir(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(ca_crt, sizeof ca_crt, "%s/ca.crt", dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", dir);
    snprintf(crt, sizeof crt, "%s/m.crt", dir);
    snprintf(key, sizeof key, "%s/m.key", dir);
    return qr_pki_make_ca(ca_crt, ca_key, "test CA", reason);
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(ca_crt);
    unlink(ca_key);
    return rmdir(dir);
}

static X509 *load(const char *file)
{
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    X509 *cert = PEM_read_X509(in, NULL, NULL, NULL);
    fclose(in);
    assert_non_null(cert);
    return cert;
}

static void assert_private(const char *file)
{
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static struct qr_pki_request request(void)
{
    return (struct qr_pki_request){crt, key, ca_crt, ca_key, "m", "quorate://x/1", "m.example"};
}

static void signs_end_certificates(void **state)
{
    (void)state;
    struct qr_pki_request r = request();
    assert_int_equal(qr_pki_make_cert(&r, reason), 0);
    X509 *ca = load(ca_crt), *cert = load(crt);
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(ca)), 1);
    assert_int_equal(X509_check_ca(ca), 1);
    assert_int_equal(X509_check_ca(cert), 0);
    assert_int_equal(X509_check_host(cert, "m.example", 0, 0, NULL), 1);
    int days = 0, seconds = 0;
    ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(cert), X509_get0_notAfter(cert));
    assert_in_range(days, 3649, 3651);
    X509_free(cert);
    X509_free(ca);
    assert_private(crt);
    assert_private(key);
    assert_private(ca_key);
    unlink(crt);
    unlink(key);
}

static void never_overwrites(void **state)
{
    (void)state;
    struct qr_pki_request r = request();
    assert_int_equal(qr_pki_make_ca(ca_crt, ca_key, "again", reason), QR_E_EXISTS);
    assert_non_null(strstr(reason, ca_key));

    FILE *out = fopen(crt, "w");
    fputs("mine", out);
    fclose(out);
    assert_int_equal(qr_pki_make_cert(&r, reason), QR_E_EXISTS);
    assert_non_null(strstr(reason, crt));
    assert_int_equal(access(key, F_OK), -1); /* its pair was taken back */
    struct stat st;
    assert_int_equal(stat(crt, &st), 0);
    assert_int_equal(st.st_size, 4);
    unlink(crt);
}

static void names_what_it_cannot_use(void **state)
{
    (void)state;
    struct qr_pki_request r = request();
    r.ca_key_file = "/nonexistent/ca.key";
    assert_int_equal(qr_pki_make_cert(&r, reason), QR_E_TLS);
    assert_non_null(strstr(reason, "/nonexistent/ca.key"));
    assert_int_equal(access(crt, F_OK), -1);
    r = request();
    r.key_file = "/nonexistent/m.key";
    assert_int_equal(qr_pki_make_cert(&r, reason), -2); /* ENOENT */
    assert_non_null(strstr(reason, "/nonexistent/m.key"));
}

static void signs_itself(void **state)
{
    (void)state;
    struct qr_pki_request r = request();
    r.ca_cert_file = r.ca_key_file = NULL;
    assert_int_equal(qr_pki_make_cert(&r, reason), 0);
    X509 *cert = load(crt);
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(cert)), 1);
    X509_free(cert);
    unlink(crt);
    unlink(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_end_certificates),
        cmocka_unit_test(never_overwrites),
        cmocka_unit_test(names_what_it_cannot_use),
        cmocka_unit_test(signs_itself),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
