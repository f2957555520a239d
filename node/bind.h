/* node/bind.h — `[web] bind to`: where a member listens, and what for, in Netdata's words.
 *
 *   list  = { entry }, separated by blanks
 *   entry = [ "tcp:" ] host [ ":" port ] [ "=" role { "|" role } [ "^SSL=" ( "force" | "optional" )
 * ] ] host  = IPv4 | "[" IPv6 "]" | "localhost" | "*" | "any" | "all" role  = "dashboard" |
 * "registry" | "badges" | "management" | "streaming" | "netdata.conf"
 *
 * Without roles it takes all.  Names, interfaces, udp and unix sockets are refused with a sentence:
 * a member that listened elsewhere than its file says would be worse.  Thread: any. */
#ifndef QR_NODE_BIND_H
#define QR_NODE_BIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define QR_BINDS_MAX          16u
#define QR_BIND_ADDRESS_BYTES 64u

enum qr_role {
    QR_ROLE_DASHBOARD = 1,
    QR_ROLE_REGISTRY = 2,
    QR_ROLE_BADGES = 4,
    QR_ROLE_MANAGEMENT = 8,
    QR_ROLE_STREAMING = 16,
    QR_ROLE_NETDATA_CONF = 32,
    QR_ROLE_ALL = 63
};

struct qr_bind {
    char address[QR_BIND_ADDRESS_BYTES]; /* host:port, as base/address reads it */
    unsigned roles;
    bool force_tls; /* Who does not begin with TLS is refused. */
};

struct qr_binds {
    unsigned n;
    struct qr_bind at[QR_BINDS_MAX];
};

/* Of the text; where that is empty, all roles on `listen` (host:port).  0, or QR_E_CONFIG with a
 * sentence. */
int qr_binds_read(struct qr_binds *binds, const char *text, const char *listen, char *sentence,
                  size_t sentence_bytes);

/* The roles of which a request for this path (and, if it changes something, that) needs one. */
unsigned qr_roles_for(struct qr_slice path, bool manages);

#endif
