/* base/address.h — "host:port" as people write it: a name, an IPv4 address, or an IPv6 address in
 * brackets.  An empty host or "*" means every interface (to listen).  Thread: any. */
#ifndef QR_BASE_ADDRESS_H
#define QR_BASE_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/slice.h"

struct qr_address {
    char host[QR_ADDRESS_BYTES_MAX]; /* Without brackets; "" for every interface. */
    char port[6];
};

/* 0 or QR_E_MALFORMED: no port, a port outside 0 .. 65535, a bad or too long host. */
int qr_address_parse(struct qr_address *address, struct qr_slice text);

/* The socket address of a literal or empty host (empty: [::]).  0, or QR_E_UNKNOWN: a name, to be
 * resolved. */
int qr_address_literal(const struct qr_address *address, struct sockaddr_storage *sockaddr);

/* "10.0.0.1:19998", "[::1]:19998", or "?" for another family. */
void qr_address_format(const struct sockaddr *sockaddr, char *text, size_t text_bytes);

#endif
