#include "node/bind.h"

#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "base/compiler.h"
#include "base/error.h"

#define DEFAULT_PORT "19999"
#define BLANKS       " \t\r\n"

struct reading {
    struct qr_slice entry;
    char *sentence;
    size_t sentence_bytes;
};

static int refuse(const struct reading *reading, const char *why)
{
    snprintf(reading->sentence, reading->sentence_bytes, "[web] bind to: %.*s: %s.",
             (int)reading->entry.len, reading->entry.base, why);
    return QR_E_CONFIG;
}

static bool starts_with(struct qr_slice text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && memcmp(text.base, word, len) == 0;
}

static struct qr_slice without(struct qr_slice text, size_t n)
{
    return qr_slice_of(text.base + n, text.len - n);
}

/* The part before the first `end`, which is taken from `text` with it. */
static struct qr_slice take_until(struct qr_slice *text, char end)
{
    const char *at = text->len > 0 ? memchr(text->base, end, text->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - text->base) : text->len;
    struct qr_slice part = qr_slice_of(text->base, len);
    *text = without(*text, at != NULL ? len + 1 : len);
    return part;
}

static unsigned role_of(struct qr_slice name)
{
    static const struct {
        const char *name;
        unsigned role;
    } roles[] = {
        {"dashboard", QR_ROLE_DASHBOARD}, {"registry", QR_ROLE_REGISTRY},
        {"badges", QR_ROLE_BADGES},       {"management", QR_ROLE_MANAGEMENT},
        {"streaming", QR_ROLE_STREAMING}, {"netdata.conf", QR_ROLE_NETDATA_CONF},
    };
    for (size_t i = 0; i < QR_COUNT(roles); i++)
        if (qr_slice_is(name, roles[i].name))
            return roles[i].role;
    return 0;
}

static int read_roles(const struct reading *reading, struct qr_slice text, struct qr_bind *bind)
{
    struct qr_slice names = take_until(&text, '^');
    bind->roles = 0;
    while (names.len > 0) {
        unsigned role = role_of(take_until(&names, '|'));
        if (role == 0)
            return refuse(reading, "a role is none of dashboard, registry, badges, management, "
                                   "streaming and netdata.conf");
        bind->roles |= role;
    }
    bind->force_tls = qr_slice_is(text, "SSL=force");
    if (bind->roles == 0)
        return refuse(reading, "no role stands behind the `=`");
    if (text.len > 0 && !bind->force_tls && !qr_slice_is(text, "SSL=optional"))
        return refuse(reading, "behind the roles only ^SSL=force or ^SSL=optional may stand");
    return 0;
}

static int read_address(const struct reading *reading, struct qr_slice text, struct qr_bind *bind)
{
    struct qr_address parsed;
    struct sockaddr_storage sockaddr;
    bool bracketed = starts_with(text, "[");
    const char *end = bracketed ? memchr(text.base, ']', text.len) : NULL;
    struct qr_slice host = text;
    if (bracketed && end != NULL)
        host.len = (size_t)(end + 1 - text.base);
    else if (!bracketed)
        host = take_until(&(struct qr_slice){text.base, text.len}, ':');
    struct qr_slice port = without(text, host.len);
    if (qr_slice_is(host, "any") || qr_slice_is(host, "all"))
        host = qr_slice_str("*");
    else if (qr_slice_is(host, "localhost"))
        host = qr_slice_str("127.0.0.1");
    int n = snprintf(bind->address, sizeof bind->address, "%.*s%.*s", (int)host.len, host.base,
                     (int)port.len, port.base);
    if (port.len == 0 && n > 0 && (size_t)n < sizeof bind->address)
        n += snprintf(bind->address + n, sizeof bind->address - (size_t)n, ":" DEFAULT_PORT);
    if (n < 0 || (size_t)n >= sizeof bind->address || host.len == 0 ||
        memchr(host.base, '%', host.len) != NULL ||
        qr_address_parse(&parsed, qr_slice_str(bind->address)) != 0 ||
        qr_address_literal(&parsed, &sockaddr) != 0)
        return refuse(reading, "not an address such as *, 10.0.0.1:19999 or [::1]:19999");
    return 0;
}

static int read_entry(const struct reading *reading, struct qr_bind *bind)
{
    struct qr_slice text = reading->entry;
    if (starts_with(text, "udp:") || starts_with(text, "unix:"))
        return refuse(reading, "only TCP is served here");
    if (starts_with(text, "tcp:"))
        text = without(text, 4);
    *bind = (struct qr_bind){.roles = QR_ROLE_ALL};
    bool has_roles = memchr(text.base, '=', text.len) != NULL;
    struct qr_slice address = take_until(&text, '=');
    int err = read_address(reading, address, bind);
    return err == 0 && has_roles ? read_roles(reading, text, bind) : err;
}

int qr_binds_read(struct qr_binds *binds, const char *text, const char *listen, char *sentence,
                  size_t sentence_bytes)
{
    struct reading reading = {.sentence = sentence, .sentence_bytes = sentence_bytes};
    struct qr_binds read = {0};
    for (text += strspn(text, BLANKS); *text != '\0'; text += strspn(text, BLANKS)) {
        reading.entry = qr_slice_of(text, strcspn(text, BLANKS));
        if (read.n == QR_BINDS_MAX)
            return refuse(&reading, "more than 16 addresses");
        int err = read_entry(&reading, &read.at[read.n++]);
        if (err != 0)
            return err;
        text += reading.entry.len;
    }
    if (read.n == 0) {
        read.n = 1;
        read.at[0].roles = QR_ROLE_ALL;
        snprintf(read.at[0].address, sizeof read.at[0].address, "%s", listen);
    }
    *binds = read;
    return 0;
}

static bool ends_with(struct qr_slice path, const char *end)
{
    size_t len = strlen(end);
    return path.len >= len && memcmp(path.base + path.len - len, end, len) == 0;
}

unsigned qr_roles_for(struct qr_slice path, bool manages)
{
    static const struct {
        const char *end;
        unsigned roles;
    } ends[] = {
        {"/api/v1/badge.svg", QR_ROLE_BADGES},
        {"/api/v1/registry", QR_ROLE_REGISTRY},
        {"/netdata.conf", QR_ROLE_NETDATA_CONF},
        /* Children ask it before they stream; quoratectl, what it manages. */
        {"/api/v3/stream_info", QR_ROLE_DASHBOARD | QR_ROLE_STREAMING},
        {"/api/quorate/v1/status", QR_ROLE_DASHBOARD | QR_ROLE_MANAGEMENT},
    };
    if (manages)
        return QR_ROLE_MANAGEMENT;
    for (size_t i = 0; i < QR_COUNT(ends); i++)
        if (ends_with(path, ends[i].end))
            return ends[i].roles;
    return QR_ROLE_DASHBOARD;
}
