/* node/destination.h — a list of parents as stream.conf names them.
 *
 *   list        = destination { blank or comma, destination }
 *   destination = [ "tcp:" ] HOST [ "%" INTERFACE ] [ ":" PORT ] [ ":SSL" ]
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets.  Without PORT the list's default
 * holds.  Sockets in the file system ("unix:") and datagrams ("udp:") are refused.  Netdata 1.37
 * cuts the whole list at the first ":SSL"; here, as in 2.x, it belongs to its own destination.
 *
 * Thread: any. */
#ifndef QR_NODE_DESTINATION_H
#define QR_NODE_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/slice.h"

#define QR_DESTINATIONS_MAX 32u

struct qr_destination {
    struct qr_address address;
    char interface[16]; /* "": any. */
    bool tls;
};

/* Parses one.  0, or QR_E_CONFIG with *why as a clause for a sentence (static). */
int qr_destination_parse(struct qr_destination *destination, struct qr_slice text,
                         const char *default_port, const char **why);

/* Parses a list of at most QR_DESTINATIONS_MAX into `list`.  How many there are, or QR_E_CONFIG
 * with *why. */
int qr_destinations_parse(struct qr_destination *list, struct qr_slice text,
                          const char *default_port, const char **why);

/* "host:port", brackets where needed, with ":SSL" where TLS is asked for. */
void qr_destination_format(const struct qr_destination *destination, char *text, size_t text_bytes);

#endif
