#include "base/address.h"

#include <stdio.h>
#include <uv.h>

#include "base/error.h"

static int parse_port(char port[6], struct qr_slice text)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5)
        return QR_E_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return QR_E_MALFORMED;
        value = value * 10 + (unsigned)(text.base[i] - '0');
    }
    if (value > 65535)
        return QR_E_MALFORMED;
    snprintf(port, 6, "%u", value);
    return 0;
}

static bool is_host_byte(char c, bool bracketed)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || (bracketed && (c == ':' || c == '%'));
}

int qr_address_parse(struct qr_address *address, struct qr_slice text)
{
    struct qr_address parsed = {0};
    size_t colon = text.len;
    while (colon > 0 && text.base[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return QR_E_MALFORMED;
    if (parse_port(parsed.port, qr_slice_of(text.base + colon, text.len - colon)) != 0)
        return QR_E_MALFORMED;

    struct qr_slice host = qr_slice_of(text.base, colon - 1);
    bool bracketed = host.len > 2 && host.base[0] == '[' && host.base[host.len - 1] == ']';
    if (bracketed)
        host = qr_slice_of(host.base + 1, host.len - 2);
    else if (qr_slice_is(host, "*"))
        host.len = 0;
    if (host.len >= sizeof parsed.host)
        return QR_E_MALFORMED;
    for (size_t i = 0; i < host.len; i++)
        if (!is_host_byte(host.base[i], bracketed))
            return QR_E_MALFORMED;
    memcpy(parsed.host, host.base, host.len);
    *address = parsed;
    return 0;
}

int qr_address_literal(const struct qr_address *address, struct sockaddr_storage *sockaddr)
{
    unsigned port = 0;
    for (const char *p = address->port; *p != '\0'; p++)
        port = port * 10 + (unsigned)(*p - '0');
    memset(sockaddr, 0, sizeof *sockaddr);
    const char *host = address->host[0] != '\0' ? address->host : "::";
    if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)sockaddr) == 0)
        return 0;
    if (uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)sockaddr) == 0)
        return 0;
    return QR_E_UNKNOWN;
}

void qr_address_format(const struct sockaddr *sockaddr, char *text, size_t text_bytes)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (sockaddr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sockaddr;
        uv_ip4_name(in, host, sizeof host);
        snprintf(text, text_bytes, "%s:%u", host, (unsigned)ntohs(in->sin_port));
    } else if (sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sockaddr;
        uv_ip6_name(in6, host, sizeof host);
        snprintf(text, text_bytes, "[%s]:%u", host, (unsigned)ntohs(in6->sin6_port));
    } else {
        snprintf(text, text_bytes, "?");
    }
}
