#include "node/admission.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static int read_tls(struct qr_admission *admission, const struct qr_config *config, char *sentence,
                    size_t sentence_bytes)
{
    char reason[QR_TLS_REASON_BYTES];
    if (config->web_certificate[0] == '\0')
        return 0;
    int err =
        qr_tls_context_server(&admission->tls, config->web_certificate, config->web_key, reason);
    if (err != 0)
        snprintf(sentence, sentence_bytes, "%s", reason);
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
    int err =
        qr_stream_conf_read(&read->stream_conf, config->stream_file, sentence, sentence_bytes);
    if (err == 0)
        err = read_tls(read, config, sentence, sentence_bytes);
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
    free(admission);
}
