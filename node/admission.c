#include "node/admission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

static int read_tls(struct qr_admission *admission, const struct qr_config *config, char *sentence,
                    size_t sentence_bytes)
{
    char reason[QR_TLS_REASON_BYTES];
    if (config->web_certificate[0] == '\0')
        return 0;
    const char *ciphers = config->tls_ciphers;
    const struct qr_tls_server server = {
        .cert_file = config->web_certificate,
        .key_file = config->web_key,
        .client_ca_file = config->web_client_ca[0] != '\0' ? config->web_client_ca : NULL,
        .only_1_2 = strcmp(config->tls_version, "1.2") == 0,
        .ciphers = ciphers[0] == '\0' || strcmp(ciphers, "none") == 0 ? NULL : ciphers,
    };
    int err = qr_tls_context_server(&admission->tls, &server, reason);
    if (err != 0)
        snprintf(sentence, sentence_bytes, "[web]: %s", reason);
    return err;
}

/* Keys may all be in the log. */
static int read_file(struct qr_admission *admission, const char *path, char *sentence,
                     size_t sentence_bytes)
{
    admission->has_file = access(path, F_OK) == 0 || errno != ENOENT;
    if (admission->has_file)
        return qr_stream_conf_read(&admission->stream_conf, path, sentence, sentence_bytes);
    qr_info("there is no stream.conf: children come with keys of the log file=%s", path);
    return 0;
}

static int read_upstream_tls(struct qr_admission *admission, char *sentence, size_t sentence_bytes)
{
    const struct qr_stream_sender *sender = &admission->stream_conf.sender;
    char reason[QR_TLS_REASON_BYTES];
    if (!qr_stream_conf_forwards(&admission->stream_conf))
        return 0;
    int err = sender->skip_verification
                  ? qr_tls_context_client(&admission->upstream_tls, NULL, reason)
                  : qr_tls_context_upstream(&admission->upstream_tls, sender->ca_file,
                                            sender->ca_path, reason);
    if (err != 0)
        snprintf(sentence, sentence_bytes, "[stream]: %s", reason);
    return err;
}

int qr_admission_read(struct qr_admission **admission, const struct qr_config *config,
                      char *sentence, size_t sentence_bytes)
{
    struct qr_admission *read = calloc(1, sizeof *read);
    if (read == NULL) {
        snprintf(sentence, sentence_bytes, "%s: no memory to read it.", config->stream_file);
        return UV_ENOMEM;
    }
    read->holders = 1;
    read->access = config->access;
    int err = read_file(read, config->stream_file, sentence, sentence_bytes);
    if (err == 0)
        err = read_tls(read, config, sentence, sentence_bytes);
    if (err == 0)
        err = read_upstream_tls(read, sentence, sentence_bytes);
    if (err != 0) {
        qr_admission_release(read);
        return err;
    }
    *admission = read;
    return 0;
}

struct qr_admission *qr_admission_hold(struct qr_admission *admission)
{
    admission->holders++;
    return admission;
}

void qr_admission_release(struct qr_admission *admission)
{
    if (admission == NULL || --admission->holders > 0)
        return;
    qr_stream_conf_release(&admission->stream_conf);
    qr_tls_context_free(admission->tls);
    qr_tls_context_free(admission->upstream_tls);
    free(admission);
}

/* NULL, or why the machine may not come so. */
static const char *check_binding(const struct qr_key_binding *binding,
                                 const struct qr_table_key *key,
                                 const struct qr_applicant *applicant)
{
    if (binding == NULL)
        return NULL;
    if (binding->line != 0 && (key == NULL || key->line != binding->line))
        return "its machine GUID is bound to another API key";
    if (!binding->has_certificate)
        return NULL;
    if (applicant->certificate == NULL)
        return "its machine GUID is bound to a client certificate, and it showed none";
    return memcmp(applicant->certificate, binding->certificate, QR_KEY_HASH_BYTES) == 0
               ? NULL
               : "its machine GUID is bound to another client certificate";
}

static const char *check_key(const struct qr_table_key *key)
{
    if (key == NULL)
        return NULL;
    if (key->standing == QR_KEY_REVOKED)
        return "its API key is revoked";
    if (key->standing == QR_KEY_ENDED)
        return "its API key was rotated, and the overlap is over";
    return key->sound ? NULL : "the policy of its API key is not understood";
}

int qr_admission_check(const struct qr_admission *admission, const struct qr_key_table *keys,
                       const struct qr_applicant *applicant, struct qr_admitted *admitted)
{
    struct qr_table_key *key = qr_key_table_find(keys, applicant->api_key);
    admitted->key = key != NULL ? key->id : 0;
    admitted->reason = check_key(key);
    if (admitted->reason != NULL)
        return QR_E_DENIED;
    int err = qr_stream_conf_check(&admission->stream_conf, key != NULL ? &key->section : NULL,
                                   applicant->api_key, applicant->machine_guid, applicant->peer_ip,
                                   &admitted->policy, &admitted->reason);
    if (err != 0)
        return err;
    admitted->reason =
        check_binding(qr_key_table_binding(keys, applicant->machine_guid), key, applicant);
    if (admitted->reason != NULL)
        return QR_E_DENIED;
    if (key != NULL)
        atomic_store_explicit(&key->used, true, memory_order_relaxed);
    return 0;
}
