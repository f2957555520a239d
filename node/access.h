/* node/access.h — from which addresses a member is used, and what for: `[web] allow ... from`.
 *
 * Each list is a simple pattern.  A peer's text is its address; this machine's own (127.0.0.1, ::1)
 * is `localhost` as well.  Where the address does not match, and the list may be asked by name
 * (`allow ... by dns`: yes; heuristic: it has an entry that looks like a name), its name counts,
 * which node/peer_name finds.
 *
 *   connections   else the connection is closed without a word
 *   streaming, dashboard, management   else the connection lacks that role (node/bind)
 *
 * An empty list is everybody, as in Netdata, but nobody may manage then.  Roles that have no list
 * here (registry, badges, netdata.conf) go with the dashboard.  Thread: any. */
#ifndef QR_NODE_ACCESS_H
#define QR_NODE_ACCESS_H

#include <stdbool.h>

#include "node/bind.h"

enum qr_access_kind {
    QR_ACCESS_CONNECTIONS,
    QR_ACCESS_STREAMING,
    QR_ACCESS_DASHBOARD,
    QR_ACCESS_MANAGEMENT,
    QR_ACCESS_NR
};

struct qr_access_list {
    char from[512];
    char by_dns[16]; /* "yes", "no", "heuristic" */
};

struct qr_access {
    struct qr_access_list lists[QR_ACCESS_NR];
};

/* Does the pattern say yes to this address? */
bool qr_access_matches(const char *pattern, const char *ip);

bool qr_access_by_dns_is_valid(const char *by_dns);

/* Could a name change what the lists say of this address? */
bool qr_access_wants_name(const struct qr_access *access, const char *ip);

/* name: NULL or "", it has none. */
bool qr_access_allows(const struct qr_access *access, enum qr_access_kind kind, const char *ip,
                      const char *name);
/* What is left of these roles. */
unsigned qr_access_roles(const struct qr_access *access, unsigned roles, const char *ip,
                         const char *name);

#endif
