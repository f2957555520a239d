/* base/tls and base/pki together: real certificates, two sessions, bytes carried by hand. */
#include "base/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/pki.h"
#include "testing/cmocka.h"

#define URI "quorate://11111111-2222-3333-4444-555555555555/7"

static char dir[] = "/tmp/qr-tls-test-XXXXXX";
static char paths[8][128];

static const char *file(unsigned i, const char *name)
{
    snprintf(paths[i], sizeof paths[i], "%s/%s", dir, name);
    return paths[i];
}

static void make_cert(const char *ca, const char *name, const char *uri)
{
    char reason[QR_PKI_REASON_BYTES] = "", crt[128], key[128], ca_crt[128], ca_key[128];
    snprintf(crt, sizeof crt, "%s/%s.crt", dir, name);
    snprintf(key, sizeof key, "%s/%s.key", dir, name);
    snprintf(ca_crt, sizeof ca_crt, "%s/%s.crt", dir, ca);
    snprintf(ca_key, sizeof ca_key, "%s/%s.key", dir, ca);
    struct qr_pki_request request = {crt, key, ca_crt, ca_key, name, uri, NULL};
    assert_int_equal(qr_pki_make_cert(&request, reason), 0);
}

static int make_files(void **state)
{
    (void)state;
    char reason[QR_PKI_REASON_BYTES];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(qr_pki_make_ca(file(0, "ca.crt"), file(1, "ca.key"), "one", reason), 0);
    assert_int_equal(qr_pki_make_ca(file(0, "ca2.crt"), file(1, "ca2.key"), "two", reason), 0);
    make_cert("ca", "a", URI);
    make_cert("ca", "b", NULL);
    make_cert("ca2", "foreign", URI);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    static const char *const names[] = {"ca", "ca2", "a", "b", "foreign"};
    for (size_t i = 0; i < 5; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s.crt", dir, names[i]);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s.key", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

/* ---- two ends and the wire between them ---- */

struct ends {
    struct qr_tls_context *contexts[2];
    struct qr_tls *tls[2]; /* 0: server */
};

static struct qr_tls_context *mutual(const char *name)
{
    struct qr_tls_context *context = NULL;
    char reason[QR_TLS_REASON_BYTES], crt[32], key[32];
    snprintf(crt, sizeof crt, "%s.crt", name);
    snprintf(key, sizeof key, "%s.key", name);
    int err =
        qr_tls_context_mutual(&context, file(0, "ca.crt"), file(1, crt), file(2, key), reason);
    assert_int_equal(err, 0);
    return context;
}

static void open_ends(struct ends *ends, struct qr_tls_context *server,
                      struct qr_tls_context *client)
{
    ends->contexts[0] = server;
    ends->contexts[1] = client;
    assert_int_equal(qr_tls_new(&ends->tls[0], server, QR_TLS_SERVER), 0);
    assert_int_equal(qr_tls_new(&ends->tls[1], client, QR_TLS_CLIENT), 0);
}

static void close_ends(struct ends *ends)
{
    for (int i = 0; i < 2; i++) {
        qr_tls_free(ends->tls[i]);
        qr_tls_context_free(ends->contexts[i]);
    }
}

/* Moves what `from` wants to send, `step` bytes at a time (0: at once). */
static size_t carry(struct qr_tls *from, struct qr_tls *to, size_t step)
{
    struct qr_buf wire;
    qr_buf_init(&wire, 0);
    assert_int_equal(qr_tls_drain(from, &wire), 0);
    assert_int_equal(qr_tls_pending(from), 0);
    size_t moved = wire.len;
    for (size_t at = 0; at < wire.len;) {
        size_t n = step == 0 || step > wire.len - at ? wire.len - at : step;
        assert_int_equal(qr_tls_feed(to, qr_slice_of(wire.base + at, n)), 0);
        at += n;
        if (step != 0 && !qr_tls_established(to))
            (void)qr_tls_handshake(to);
    }
    qr_buf_release(&wire);
    return moved;
}

/* Until neither has anything to say; the last results in `results`. */
static void shake_hands(struct ends *ends, int results[2], size_t step)
{
    size_t moved;
    do {
        moved = 0;
        for (int i = 1; i >= 0; i--) {
            results[i] = qr_tls_handshake(ends->tls[i]);
            moved += carry(ends->tls[i], ends->tls[1 - i], step);
        }
    } while (moved > 0);
}

static void carries_bytes_both_ways(void **state)
{
    (void)state;
    for (size_t step = 0; step < 2; step++) { /* also byte by byte */
        struct ends ends;
        int results[2];
        char uri[128], text[64], bytes[64];
        size_t n = 0;
        open_ends(&ends, mutual("b"), mutual("a"));
        shake_hands(&ends, results, step);
        assert_int_equal(results[0], 0);
        assert_int_equal(results[1], 0);
        assert_int_equal(qr_tls_peer_uri(ends.tls[0], uri, sizeof uri), 0);
        assert_string_equal(uri, URI);
        assert_int_equal(qr_tls_peer_uri(ends.tls[0], uri, 10), QR_E_LIMIT);
        assert_int_equal(qr_tls_peer_uri(ends.tls[1], uri, sizeof uri), QR_E_UNKNOWN);
        qr_tls_describe(ends.tls[0], text, sizeof text);
        assert_memory_equal(text, "TLSv1.3 ", 8);

        assert_int_equal(qr_tls_read(ends.tls[1], bytes, sizeof bytes, &n), QR_E_PARTIAL);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(qr_tls_write(ends.tls[i], qr_slice_str("hello")), 0);
            carry(ends.tls[i], ends.tls[1 - i], step);
            assert_int_equal(qr_tls_read(ends.tls[1 - i], bytes, sizeof bytes, &n), 0);
            assert_slice(qr_slice_of(bytes, n), "hello");
        }
        qr_tls_shutdown(ends.tls[0]);
        carry(ends.tls[0], ends.tls[1], step);
        assert_int_equal(qr_tls_read(ends.tls[1], bytes, sizeof bytes, &n), QR_E_CLOSED);
        close_ends(&ends);
    }
}

static void carries_many_records(void **state)
{
    (void)state;
    enum { SIZE = 1000 * 1000 };
    struct ends ends;
    int results[2];
    open_ends(&ends, mutual("b"), mutual("a"));
    shake_hands(&ends, results, 0);
    char *sent = malloc(SIZE), *got = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        sent[i] = (char)(i * 7 + i / 251);
    assert_int_equal(qr_tls_write(ends.tls[1], qr_slice_of(sent, SIZE)), 0);
    carry(ends.tls[1], ends.tls[0], 0);
    size_t at = 0, n = 0;
    while (at < SIZE && qr_tls_read(ends.tls[0], got + at, SIZE - at, &n) == 0)
        at += n;
    assert_int_equal(at, SIZE);
    assert_memory_equal(sent, got, SIZE);
    free(sent);
    free(got);
    close_ends(&ends);
}

static void refuses_a_foreign_certificate(void **state)
{
    (void)state;
    struct ends ends;
    int results[2];
    open_ends(&ends, mutual("b"), mutual("foreign"));
    shake_hands(&ends, results, 0);
    /* The server has refused; the client was done before and learns it from its first read. */
    assert_int_equal(results[0], QR_E_TLS);
    assert_non_null(strstr(qr_tls_error(ends.tls[0]), "certificate verify failed"));
    assert_int_equal(results[1], 0);
    char byte;
    size_t n;
    assert_int_equal(qr_tls_read(ends.tls[1], &byte, 1, &n), QR_E_TLS);
    assert_non_null(strstr(qr_tls_error(ends.tls[1]), "alert"));
    assert_int_equal(qr_tls_handshake(ends.tls[0]), QR_E_TLS);
    close_ends(&ends);

    open_ends(&ends, mutual("foreign"), mutual("b")); /* the other way round */
    shake_hands(&ends, results, 0);
    assert_int_equal(results[1], QR_E_TLS);
    assert_int_equal(results[0], QR_E_TLS);
    close_ends(&ends);
}

static void members_want_a_certificate(void **state)
{
    (void)state;
    char reason[QR_TLS_REASON_BYTES];
    struct qr_tls_context *plain;
    struct ends ends;
    int results[2];
    assert_int_equal(qr_tls_context_client(&plain, file(0, "ca.crt"), reason), 0);
    open_ends(&ends, mutual("b"), plain);
    shake_hands(&ends, results, 0);
    assert_int_equal(results[0], QR_E_TLS);
    assert_non_null(strstr(qr_tls_error(ends.tls[0]), "did not return a certificate"));
    close_ends(&ends);
}

/* The public port: children and browsers have no certificate. */
static void serves_without_a_client_certificate(void **state)
{
    (void)state;
    char reason[QR_TLS_REASON_BYTES], uri[64], bytes[16];
    size_t n;
    struct qr_tls_context *server, *client;
    struct ends ends;
    int results[2];
    assert_int_equal(
        qr_tls_context_server(&server, &(struct qr_tls_server){file(0, "a.crt"), file(1, "a.key")},
                              reason),
        0);
    assert_int_equal(qr_tls_context_client(&client, NULL, reason), 0);
    open_ends(&ends, server, client);
    shake_hands(&ends, results, 0);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], 0);
    assert_int_equal(qr_tls_peer_uri(ends.tls[0], uri, sizeof uri), QR_E_UNKNOWN);
    assert_int_equal(qr_tls_write(ends.tls[0], qr_slice_str("x")), 0);
    carry(ends.tls[0], ends.tls[1], 0);
    assert_int_equal(qr_tls_read(ends.tls[1], bytes, sizeof bytes, &n), 0); /* past the tickets */
    assert_int_equal(n, 1);
    close_ends(&ends);
}

static struct qr_tls_context *asking_server(void)
{
    struct qr_tls_context *server;
    char reason[QR_TLS_REASON_BYTES];
    assert_int_equal(
        qr_tls_context_server(
            &server, &(struct qr_tls_server){file(0, "a.crt"), file(1, "a.key"), file(2, "ca.crt")},
            reason),
        0);
    return server;
}

/* A client may show a certificate, and then it must be one of the CA's. */
static void tells_clients_by_their_certificates(void **state)
{
    (void)state;
    char reason[QR_TLS_REASON_BYTES];
    uint8_t a[QR_TLS_FINGERPRINT_BYTES], b[QR_TLS_FINGERPRINT_BYTES];
    struct qr_tls_context *client;
    struct ends ends;
    int results[2];
    assert_int_equal(qr_tls_context_client(&client, NULL, reason), 0);
    open_ends(&ends, asking_server(), client);
    shake_hands(&ends, results, 0);
    assert_int_equal(results[0], 0);
    assert_int_equal(qr_tls_peer_fingerprint(ends.tls[0], a), QR_E_UNKNOWN);
    close_ends(&ends);

    open_ends(&ends, asking_server(), mutual("b"));
    shake_hands(&ends, results, 0);
    assert_int_equal(results[0], 0);
    assert_int_equal(qr_tls_peer_fingerprint(ends.tls[0], b), 0);
    assert_int_equal(qr_tls_peer_fingerprint(ends.tls[1], a), 0);
    assert_memory_not_equal(a, b, sizeof a);
    close_ends(&ends);

    assert_int_equal(qr_tls_context_mutual(&client, file(2, "ca.crt"), file(0, "foreign.crt"),
                                           file(1, "foreign.key"), reason),
                     0);
    open_ends(&ends, asking_server(), client);
    shake_hands(&ends, results, 0);
    assert_int_equal(results[0], QR_E_TLS);
    assert_int_equal(qr_tls_peer_fingerprint(ends.tls[0], a), QR_E_UNKNOWN);
    close_ends(&ends);
    assert_int_equal(
        qr_tls_context_server(
            &client, &(struct qr_tls_server){file(0, "a.crt"), file(1, "a.key"), "/nowhere/ca.crt"},
            reason),
        QR_E_TLS);
}

static void versions_and_ciphers_are_as_asked(void **state)
{
    (void)state;
    static const struct {
        bool only_1_2;
        const char *ciphers, *spoken;
    } cases[] = {
        {false, NULL, "TLSv1.3 "},
        {true, NULL, "TLSv1.2 "},
        {true, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", "-AES128-GCM-SHA256"},
        {true, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305", "-CHACHA20-POLY1305"},
        /* Each version has its own list. */
        {false, "TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256"},
        {false, "ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256",
         "TLSv1.3 TLS_AES_128_GCM_SHA256"},
    };
    char reason[QR_TLS_REASON_BYTES], text[128];
    struct qr_tls_server config = {file(0, "a.crt"), file(1, "a.key")};
    struct qr_tls_context *server, *client;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ends ends;
        int results[2];
        config.only_1_2 = cases[i].only_1_2;
        config.ciphers = cases[i].ciphers;
        assert_int_equal(qr_tls_context_server(&server, &config, reason), 0);
        assert_int_equal(qr_tls_context_client(&client, NULL, reason), 0);
        open_ends(&ends, server, client);
        shake_hands(&ends, results, 0);
        qr_tls_describe(ends.tls[1], text, sizeof text);
        if (results[0] != 0 || strstr(text, cases[i].spoken) == NULL)
            fail_msg("case %zu: %d %s", i, results[0], text);
        close_ends(&ends);
    }
    static const char *const bad[] = {"ROT13", "TLS_ROT13", "none such"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        config.ciphers = bad[i];
        assert_int_equal(qr_tls_context_server(&server, &config, reason), QR_E_TLS);
        assert_non_null(strstr(reason, bad[i]));
    }
}

static void garbage_is_an_error_with_a_sentence(void **state)
{
    (void)state;
    struct qr_tls_context *context = mutual("a");
    struct qr_tls *tls;
    assert_int_equal(qr_tls_new(&tls, context, QR_TLS_SERVER), 0);
    assert_int_equal(qr_tls_handshake(tls), QR_E_PARTIAL);
    assert_string_equal(qr_tls_error(tls), "");
    assert_int_equal(qr_tls_feed(tls, qr_slice_str("GET / HTTP/1.1\r\n\r\n")), 0);
    assert_int_equal(qr_tls_handshake(tls), QR_E_TLS);
    assert_string_equal(qr_tls_error(tls), "handshake failed: http request");
    assert_int_equal(qr_tls_write(tls, qr_slice_str("x")), QR_E_TLS);
    qr_tls_free(tls);
    qr_tls_context_free(context);
}

static void bad_files_are_named(void **state)
{
    (void)state;
    char reason[QR_TLS_REASON_BYTES];
    struct qr_tls_context *context = NULL;
    const char *ca = file(0, "ca.crt"), *crt = file(1, "a.crt"), *key = file(2, "a.key");
    const char *none = file(3, "none"), *other = file(4, "b.key");
    assert_int_equal(qr_tls_context_mutual(&context, none, crt, key, reason), QR_E_TLS);
    assert_non_null(strstr(reason, none));
    assert_int_equal(qr_tls_context_mutual(&context, ca, none, key, reason), QR_E_TLS);
    assert_non_null(strstr(reason, none));
    assert_int_equal(qr_tls_context_mutual(&context, ca, crt, other, reason), QR_E_TLS);
    assert_non_null(strstr(reason, other));
    assert_null(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_bytes_both_ways),
        cmocka_unit_test(carries_many_records),
        cmocka_unit_test(refuses_a_foreign_certificate),
        cmocka_unit_test(members_want_a_certificate),
        cmocka_unit_test(serves_without_a_client_certificate),
        cmocka_unit_test(tells_clients_by_their_certificates),
        cmocka_unit_test(versions_and_ciphers_are_as_asked),
        cmocka_unit_test(garbage_is_an_error_with_a_sentence),
        cmocka_unit_test(bad_files_are_named),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
