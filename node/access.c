#include "node/access.h"

#include <ctype.h>
#include <string.h>

#include "base/pattern.h"

bool qr_access_matches(const char *pattern, const char *ip)
{
    const struct qr_slice texts[] = {qr_slice_str(ip), qr_slice_str("localhost")};
    bool own = strcmp(ip, "127.0.0.1") == 0 || strcmp(ip, "::1") == 0;
    return qr_pattern_matches_any(qr_slice_str(pattern), QR_PATTERN_WORDS, texts, own ? 2 : 1);
}

bool qr_access_by_dns_is_valid(const char *by_dns)
{
    return strcmp(by_dns, "yes") == 0 || strcmp(by_dns, "no") == 0 ||
           strcmp(by_dns, "heuristic") == 0;
}

/* `fd00*`, `10.*` and `2001:db8:*` are addresses; `*.example.com` and `web-1` are names. */
static bool looks_like_a_name(const char *entry, size_t len)
{
    bool alone = true, letter = false;
    static const char own[] = "localhost";
    if (len == sizeof own - 1 && memcmp(entry, own, len) == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)entry[i];
        if (c == ':')
            return false;
        letter = letter || isalpha(c);
        alone = alone && (isxdigit(c) || c == '*' || c == '!');
    }
    return letter && !alone;
}

static bool has_name(const char *pattern)
{
    bool found = false;
    for (pattern += strspn(pattern, QR_PATTERN_WORDS); *pattern != '\0' && !found;
         pattern += strspn(pattern, QR_PATTERN_WORDS)) {
        size_t len = strcspn(pattern, QR_PATTERN_WORDS);
        size_t bang = *pattern == '!';
        found = looks_like_a_name(pattern + bang, len - bang);
        pattern += len;
    }
    return found;
}

static bool goes_by_name(const struct qr_access_list *list)
{
    return strcmp(list->by_dns, "yes") == 0 ||
           (strcmp(list->by_dns, "heuristic") == 0 && has_name(list->from));
}

static bool matches_ip(const struct qr_access *access, enum qr_access_kind kind, const char *ip)
{
    const char *from = access->lists[kind].from;
    if (from[0] == '\0')
        return kind != QR_ACCESS_MANAGEMENT;
    return qr_access_matches(from, ip);
}

bool qr_access_wants_name(const struct qr_access *access, const char *ip)
{
    for (enum qr_access_kind kind = 0; kind < QR_ACCESS_NR; kind++)
        if (!matches_ip(access, kind, ip) && goes_by_name(&access->lists[kind]))
            return true;
    return false;
}

bool qr_access_allows(const struct qr_access *access, enum qr_access_kind kind, const char *ip,
                      const char *name)
{
    const struct qr_access_list *list = &access->lists[kind];
    return matches_ip(access, kind, ip) ||
           (name != NULL && name[0] != '\0' && goes_by_name(list) &&
            qr_pattern_matches(qr_slice_str(list->from), QR_PATTERN_WORDS, qr_slice_str(name)));
}

unsigned qr_access_roles(const struct qr_access *access, unsigned roles, const char *ip,
                         const char *name)
{
    if (!qr_access_allows(access, QR_ACCESS_STREAMING, ip, name))
        roles &= ~(unsigned)QR_ROLE_STREAMING;
    if (!qr_access_allows(access, QR_ACCESS_MANAGEMENT, ip, name))
        roles &= ~(unsigned)QR_ROLE_MANAGEMENT;
    if (!qr_access_allows(access, QR_ACCESS_DASHBOARD, ip, name))
        roles &= QR_ROLE_STREAMING | QR_ROLE_MANAGEMENT;
    return roles;
}
