/* node/ctl/ask.h — what commands that ask a member share: the options that say which, the URL, and
 * what it says when it refuses.  Thread: any. */
#ifndef QR_NODE_CTL_ASK_H
#define QR_NODE_CTL_ASK_H

#include "node/ctl/command.h"

#define QR_CTL_DEFAULT_URL "http://127.0.0.1:19999"

#define QR_CTL_URL_OPTION(more)                                                                    \
    {                                                                                              \
        "--url", "URL", "A member's web address, or HOST:PORT (" QR_CTL_DEFAULT_URL ")" more,      \
            false                                                                                  \
    }
#define QR_CTL_INSECURE_OPTION                                                                     \
    {                                                                                              \
        "--insecure", NULL, "With https: do not check the certificate.", false                     \
    }

/* The same address with its scheme and without slashes at its end; NULL: the default one.  0 or
 * QR_E_LIMIT. */
int qr_ctl_base(char *text, size_t text_bytes, const char *given);

/* A member's web address, as above, and a path; NUL at the end, as after each parameter. */
void qr_ctl_url(struct qr_buf *url, const char *base, const char *path);
/* "&name=value", escaped; '?' before the first one.  Call again for the next. */
void qr_ctl_url_param(struct qr_buf *url, const char *name, const char *value);

/* "quoratectl COMMAND: " and the member's own sentence, or the status.  QR_CTL_FAILED. */
int qr_ctl_refused(const struct qr_ctl_io *io, const char *command, long status,
                   const struct qr_buf *body);

#endif
