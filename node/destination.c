#include "node/destination.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\r' || c == '\n';
}

static bool starts_with(struct qr_slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.len >= n && memcmp(text.base, prefix, n) == 0;
}

static bool ends_with(struct qr_slice text, const char *suffix)
{
    size_t n = strlen(suffix);
    return text.len >= n && memcmp(text.base + text.len - n, suffix, n) == 0;
}

static bool is_name(unsigned char c)
{
    return isalnum(c) || c == '.' || c == '-' || c == '_';
}

/* A name or an IPv4 address; in brackets, an IPv6 address, perhaps with its zone. */
static bool is_host(struct qr_slice text)
{
    bool bracket = text.len > 2 && text.base[0] == '[' && text.base[text.len - 1] == ']';
    bool colon = false, zone = false;
    if (bracket)
        text = qr_slice_of(text.base + 1, text.len - 2);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        bool begins_zone = c == '%' && colon && !zone;
        zone = zone || begins_zone;
        colon = colon || c == ':';
        if (bracket && !zone ? !isxdigit(c) && c != ':' && c != '.' : !is_name(c) && !begins_zone)
            return false;
    }
    return text.len > 0 && colon == bracket;
}

/* Where the host ends: behind its bracket, or at the first '%' or ':'. */
static size_t host_end(struct qr_slice text)
{
    size_t i = 0;
    if (text.len > 0 && text.base[0] == '[') {
        while (i < text.len && text.base[i] != ']')
            i++;
        return i < text.len ? i + 1 : 0;
    }
    while (i < text.len && text.base[i] != ':' && text.base[i] != '%')
        i++;
    return i;
}

/* "%eth0" at the front of the rest, if it is there.  Its length, or -1: too long. */
static int take_interface(struct qr_destination *destination, struct qr_slice rest)
{
    if (rest.len == 0 || rest.base[0] != '%')
        return 0;
    size_t n = 1;
    while (n < rest.len && rest.base[n] != ':')
        n++;
    if (n == 1 || n - 1 >= sizeof destination->interface)
        return -1;
    snprintf(destination->interface, sizeof destination->interface, "%.*s", (int)(n - 1),
             rest.base + 1);
    return (int)n;
}

int qr_destination_parse(struct qr_destination *destination, struct qr_slice text,
                         const char *default_port, const char **why)
{
    struct qr_destination parsed = {0};
    char joined[QR_ADDRESS_BYTES_MAX + 8];
    *why = "not [PROTO:]HOST[%INTERFACE][:PORT][:SSL]";
    if (starts_with(text, "unix:") || starts_with(text, "udp:") ||
        (text.len > 0 && text.base[0] == '/')) {
        *why = "only TCP is known here";
        return QR_E_CONFIG;
    }
    if (starts_with(text, "tcp:"))
        text = qr_slice_of(text.base + 4, text.len - 4);
    parsed.tls = ends_with(text, ":SSL");
    if (parsed.tls)
        text.len -= 4;
    size_t host = host_end(text);
    struct qr_slice rest = qr_slice_of(text.base + host, text.len - host);
    int skipped = take_interface(&parsed, rest);
    if (!is_host(qr_slice_of(text.base, host)) || skipped < 0)
        return QR_E_CONFIG;
    rest = qr_slice_of(rest.base + skipped, rest.len - (size_t)skipped);
    bool has_port = rest.len > 0;
    if (has_port && rest.base[0] != ':')
        return QR_E_CONFIG;
    int n = snprintf(joined, sizeof joined, "%.*s:%.*s", (int)host, text.base,
                     has_port ? (int)rest.len - 1 : (int)strlen(default_port),
                     has_port ? rest.base + 1 : default_port);
    if (n < 0 || (size_t)n >= sizeof joined ||
        qr_address_parse(&parsed.address, qr_slice_str(joined)) != 0 ||
        parsed.address.host[0] == '\0' || strcmp(parsed.address.port, "0") == 0)
        return QR_E_CONFIG;
    *destination = parsed;
    return 0;
}

int qr_destinations_parse(struct qr_destination *list, struct qr_slice text,
                          const char *default_port, const char **why)
{
    size_t at = 0;
    unsigned n = 0;
    for (;;) {
        while (at < text.len && is_separator(text.base[at]))
            at++;
        if (at == text.len)
            return (int)n;
        size_t end = at;
        while (end < text.len && !is_separator(text.base[end]))
            end++;
        if (n == QR_DESTINATIONS_MAX) {
            *why = "more destinations than 32";
            return QR_E_CONFIG;
        }
        int err = qr_destination_parse(&list[n], qr_slice_of(text.base + at, end - at),
                                       default_port, why);
        if (err != 0)
            return err;
        n++;
        at = end;
    }
}

/* A host of such a name needs its protocol before it. */
static bool is_protocol(const char *host)
{
    return strcmp(host, "tcp") == 0 || strcmp(host, "udp") == 0 || strcmp(host, "unix") == 0;
}

void qr_destination_format(const struct qr_destination *destination, char *text, size_t text_bytes)
{
    bool bracket = strchr(destination->address.host, ':') != NULL;
    bool bound = destination->interface[0] != '\0';
    snprintf(text, text_bytes, "%s%s%s%s%s%s:%s%s",
             is_protocol(destination->address.host) ? "tcp:" : "", bracket ? "[" : "",
             destination->address.host, bracket ? "]" : "", bound ? "%" : "",
             destination->interface, destination->address.port, destination->tls ? ":SSL" : "");
}
