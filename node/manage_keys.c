#include "node/manage_keys.h"

#include <stdio.h>

#include "base/compiler.h"
#include "base/error.h"

struct reading {
    struct qr_key_request *asked;
    const struct qr_http_request *request;
    char *sentence;
    size_t sentence_bytes;
};

static int refuse(const struct reading *reading, const char *sentence)
{
    snprintf(reading->sentence, reading->sentence_bytes, "%s", sentence);
    return QR_E_MALFORMED;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 64 hex digits, as openssl prints a fingerprint: colons are passed over. */
static bool read_hash(uint8_t hash[QR_KEY_HASH_BYTES], struct qr_slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.base[i]);
        if (text.base[i] == ':')
            continue;
        if (digit < 0 || n == 2 * (size_t)QR_KEY_HASH_BYTES)
            return false;
        hash[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : hash[n / 2] | digit);
        n++;
    }
    return n == 2 * (size_t)QR_KEY_HASH_BYTES;
}

static int take_hash(const struct reading *reading)
{
    return read_hash(reading->asked->hash, qr_http_param(reading->request, "hash"))
               ? 0
               : refuse(reading, "`hash` is not 64 hex digits.");
}

static int take_key(const struct reading *reading)
{
    reading->asked->key = qr_http_param(reading->request, "key");
    return reading->asked->key.len > 0 ? 0 : refuse(reading, "No key is given.");
}

static int take_guid(const struct reading *reading)
{
    return qr_guid_parse(&reading->asked->guid, qr_http_param(reading->request, "machine_guid")) ==
                   0
               ? 0
               : refuse(reading, "The machine GUID is not a UUID.");
}

static int read_list(const struct reading *reading)
{
    (void)reading;
    return 0;
}

static int read_add(const struct reading *reading)
{
    struct qr_key_request *asked = reading->asked;
    struct qr_stream_section section;
    asked->name = qr_http_param(reading->request, "name");
    asked->policy = qr_http_param(reading->request, "policy");
    if (!qr_key_name_is_valid(asked->name))
        return refuse(reading, "A name has at most 32 letters, digits, '.', '_' and '-'.");
    if (asked->policy.len >= QR_KEY_POLICY_BYTES)
        return refuse(reading, "The policy is longer than 512 bytes.");
    if (qr_stream_section_parse(&section, asked->policy, reading->sentence,
                                reading->sentence_bytes) != 0)
        return QR_E_MALFORMED;
    qr_stream_section_release(&section);
    return take_hash(reading);
}

static int read_rotate(const struct reading *reading)
{
    struct qr_slice text = qr_http_param(reading->request, "overlap");
    uint32_t seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9' || text.len > 9)
            return refuse(reading, "`overlap` is not a number of seconds.");
        seconds = seconds * 10 + (uint32_t)(text.base[i] - '0');
    }
    if (seconds > QR_KEY_OVERLAP_S_MAX)
        return refuse(reading, "The overlap is longer than 366 days.");
    reading->asked->overlap_s = seconds;
    int err = take_key(reading);
    return err == 0 ? take_hash(reading) : err;
}

static int read_bind(const struct reading *reading)
{
    struct qr_key_request *asked = reading->asked;
    struct qr_slice certificate = qr_http_param(reading->request, "certificate");
    asked->key = qr_http_param(reading->request, "key");
    asked->has_certificate = certificate.len > 0;
    if (asked->has_certificate && !read_hash(asked->certificate, certificate))
        return refuse(reading, "The certificate's fingerprint is not SHA-256 in 64 hex digits.");
    if (!asked->has_certificate && asked->key.len == 0)
        return refuse(reading, "Neither a key nor a certificate is given.");
    return take_guid(reading);
}

int qr_manage_keys_read(struct qr_key_request *asked, const struct qr_http_request *request,
                        char *sentence, size_t sentence_bytes)
{
    static const struct {
        const char *name;
        int (*read)(const struct reading *reading);
    } verbs[QR_KEY_VERB_NR] = {
        [QR_KEY_LIST] = {"list", read_list},       [QR_KEY_ADD] = {"add", read_add},
        [QR_KEY_ROTATE] = {"rotate", read_rotate}, [QR_KEY_REVOKE] = {"revoke", take_key},
        [QR_KEY_BIND] = {"bind", read_bind},       [QR_KEY_UNBIND] = {"unbind", take_guid},
    };
    const struct reading reading = {asked, request, sentence, sentence_bytes};
    struct qr_slice verb = request->post ? qr_http_param(request, "do") : qr_slice_str("list");
    for (unsigned i = 0; i < QR_KEY_VERB_NR; i++) {
        if (!qr_slice_is(verb, verbs[i].name))
            continue;
        asked->verb = (enum qr_key_verb)i;
        return verbs[i].read(&reading);
    }
    return refuse(&reading, "`do` is none of list, add, rotate, revoke, bind and unbind.");
}

int qr_manage_keys_status(int status)
{
    switch (status) {
    case QR_E_UNKNOWN:
        return 404;
    case QR_E_MALFORMED:
        return 400;
    case QR_E_EXISTS:
    case QR_E_BUSY:
    case QR_E_DENIED:
    case QR_E_LIMIT:
        return 409;
    default:
        return 503;
    }
}
