/* node/ctl/key.h — `quoratectl key`: API keys of children, in the log.
 *
 * A key is made and hashed here: no member, and no log, ever has the key itself.  Thread: any. */
#ifndef QR_NODE_CTL_KEY_H
#define QR_NODE_CTL_KEY_H

#include "base/guid.h"
#include "node/ctl/command.h"

extern const struct qr_ctl_command qr_ctl_key;

/* A random UUID, version 4.  0 or a libuv error. */
int qr_ctl_key_make(struct qr_guid *key);

/* The keys and bindings of an answer (JSON) as text.  Returns an exit code. */
int qr_ctl_key_render(struct qr_slice text, struct qr_buf *out, struct qr_buf *err);

/* What children name as `destination`, from a status (JSON) and the URLs that were given: the
 * members' hosts with the URL's port.  Where several URLs are given, or members share a host, so
 * that nobody knows their ports: those of the URLs. */
void qr_ctl_key_destination(struct qr_slice status, const char *const *urls, unsigned n_urls,
                            struct qr_buf *out);

/* "90", "90s", "15m", "12h", "7d" in seconds.  0 or QR_E_MALFORMED. */
int qr_ctl_key_seconds(const char *text, uint64_t *seconds);

#endif
