#include "proto/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "proto/number.h"

#define METHOD "STREAM "

/* The parameter that carries each piece of system information. */
static const char *const sysinfo_names[QR_SYSINFO_NR] = {
    [QR_SYSINFO_CLOUD_TYPE] = "NETDATA_INSTANCE_CLOUD_TYPE",
    [QR_SYSINFO_CLOUD_INSTANCE_TYPE] = "NETDATA_INSTANCE_CLOUD_INSTANCE_TYPE",
    [QR_SYSINFO_CLOUD_INSTANCE_REGION] = "NETDATA_INSTANCE_CLOUD_INSTANCE_REGION",
    [QR_SYSINFO_OS_NAME] = "NETDATA_SYSTEM_OS_NAME",
    [QR_SYSINFO_OS_ID] = "NETDATA_SYSTEM_OS_ID",
    [QR_SYSINFO_OS_ID_LIKE] = "NETDATA_SYSTEM_OS_ID_LIKE",
    [QR_SYSINFO_OS_VERSION] = "NETDATA_SYSTEM_OS_VERSION",
    [QR_SYSINFO_OS_VERSION_ID] = "NETDATA_SYSTEM_OS_VERSION_ID",
    [QR_SYSINFO_OS_DETECTION] = "NETDATA_SYSTEM_OS_DETECTION",
    [QR_SYSINFO_IS_K8S_NODE] = "NETDATA_HOST_IS_K8S_NODE",
    [QR_SYSINFO_KERNEL_NAME] = "NETDATA_SYSTEM_KERNEL_NAME",
    [QR_SYSINFO_KERNEL_VERSION] = "NETDATA_SYSTEM_KERNEL_VERSION",
    [QR_SYSINFO_ARCHITECTURE] = "NETDATA_SYSTEM_ARCHITECTURE",
    [QR_SYSINFO_VIRTUALIZATION] = "NETDATA_SYSTEM_VIRTUALIZATION",
    [QR_SYSINFO_VIRT_DETECTION] = "NETDATA_SYSTEM_VIRT_DETECTION",
    [QR_SYSINFO_CONTAINER] = "NETDATA_SYSTEM_CONTAINER",
    [QR_SYSINFO_CONTAINER_DETECTION] = "NETDATA_SYSTEM_CONTAINER_DETECTION",
    [QR_SYSINFO_CONTAINER_OS_NAME] = "NETDATA_CONTAINER_OS_NAME",
    [QR_SYSINFO_CONTAINER_OS_ID] = "NETDATA_CONTAINER_OS_ID",
    [QR_SYSINFO_CONTAINER_OS_ID_LIKE] = "NETDATA_CONTAINER_OS_ID_LIKE",
    [QR_SYSINFO_CONTAINER_OS_VERSION] = "NETDATA_CONTAINER_OS_VERSION",
    [QR_SYSINFO_CONTAINER_OS_VERSION_ID] = "NETDATA_CONTAINER_OS_VERSION_ID",
    [QR_SYSINFO_CONTAINER_OS_DETECTION] = "NETDATA_CONTAINER_OS_DETECTION",
    [QR_SYSINFO_CORES] = "NETDATA_SYSTEM_CPU_LOGICAL_CPU_COUNT",
    [QR_SYSINFO_CPU_FREQ] = "NETDATA_SYSTEM_CPU_FREQ",
    [QR_SYSINFO_RAM_TOTAL] = "NETDATA_SYSTEM_TOTAL_RAM",
    [QR_SYSINFO_DISK_SPACE] = "NETDATA_SYSTEM_TOTAL_DISK_SIZE",
    [QR_SYSINFO_QUORATE_PATH] = "QUORATE_PATH",
};

const char *qr_handshake_sysinfo_name(enum qr_sysinfo which)
{
    return sysinfo_names[which];
}

/* Other text parameters and where they go. */
static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    {"key", offsetof(struct qr_handshake, api_key_text)},
    {"hostname", offsetof(struct qr_handshake, hostname)},
    {"registry_hostname", offsetof(struct qr_handshake, registry_hostname)},
    {"machine_guid", offsetof(struct qr_handshake, machine_guid_text)},
    {"os", offsetof(struct qr_handshake, os)},
    {"timezone", offsetof(struct qr_handshake, timezone)},
    {"abbrev_timezone", offsetof(struct qr_handshake, abbrev_timezone)},
};

static const struct {
    const char *name;
    size_t offset;
    int64_t min, max;
} numbers[] = {
    {"utc_offset", offsetof(struct qr_handshake, utc_offset_s), -86400 * 2, 86400 * 2},
    {"update_every", offsetof(struct qr_handshake, update_every), 0, QR_UPDATE_EVERY_MAX},
    {"hops", offsetof(struct qr_handshake, hops), 0, 1000},
    {"ver", offsetof(struct qr_handshake, ver), 0, INT32_MAX},
};

static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
}

/* URL-decodes `raw` to the end of `text`, where room was reserved: '+' is a blank, a '%' without
 * two hex digits is itself (1.37 does not encode everything).  Control bytes become blanks: no
 * value has a use for them, and they would end up in logs and pages. */
static struct qr_slice decode_value(struct qr_buf *text, struct qr_slice raw)
{
    char *out = text->base + text->len;
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.base[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && raw.len - i > 2 && hex_digit(raw.base[i + 1]) < 16 &&
                   hex_digit(raw.base[i + 2]) < 16) {
            c = (char)(hex_digit(raw.base[i + 1]) << 4 | hex_digit(raw.base[i + 2]));
            i += 2;
        }
        out[n++] = (unsigned char)c < ' ' || c == 0x7F ? ' ' : c;
    }
    text->len += n;
    return qr_slice_of(out, n);
}

/* The first one counts when a parameter is repeated. */
static void take_text(struct qr_slice *field, struct qr_slice value)
{
    if (field->len == 0)
        *field = value;
}

static void take_number(struct qr_handshake *h, size_t i, struct qr_slice value)
{
    int64_t number;
    if (qr_number_int(value, &number) != 0 || number < numbers[i].min || number > numbers[i].max)
        return;
    int32_t narrow = (int32_t)number;
    memcpy((char *)h + numbers[i].offset, &narrow, sizeof narrow);
}

static void take_parameter(struct qr_handshake *h, struct qr_slice name, struct qr_slice raw)
{
    if (raw.len == 0)
        return;
    for (size_t i = 0; i < QR_COUNT(texts); i++)
        if (qr_slice_is(name, texts[i].name)) {
            take_text((struct qr_slice *)((char *)h + texts[i].offset),
                      decode_value(&h->text, raw));
            return;
        }
    for (size_t i = 0; i < QR_COUNT(numbers); i++)
        if (qr_slice_is(name, numbers[i].name)) {
            take_number(h, i, decode_value(&h->text, raw));
            return;
        }
    for (size_t i = 0; i < QR_SYSINFO_NR; i++)
        if (qr_slice_is(name, sysinfo_names[i])) {
            take_text(&h->sysinfo[i], decode_value(&h->text, raw));
            return;
        }
}

/* Splits `in` at the first `c`: what is before it is returned, what is behind it stays. */
static struct qr_slice cut(struct qr_slice *in, char c)
{
    const char *at = in->len > 0 ? memchr(in->base, c, in->len) : NULL;
    struct qr_slice head = {in->base, at != NULL ? (size_t)(at - in->base) : in->len};
    size_t used = at != NULL ? head.len + 1 : head.len;
    *in = qr_slice_of(in->base + used, in->len - used);
    return head;
}

static void take_query(struct qr_handshake *h, struct qr_slice query)
{
    while (query.len > 0) {
        struct qr_slice value = cut(&query, '&');
        struct qr_slice name = cut(&value, '=');
        take_parameter(h, name, value);
    }
}

/* "netdata/v1.37.1": the program and its version. */
static void take_headers(struct qr_handshake *h, struct qr_slice headers)
{
    static const char agent[] = "User-Agent:";
    while (headers.len > 0) {
        struct qr_slice line = cut(&headers, '\n');
        if (line.len > 0 && line.base[line.len - 1] == '\r')
            line.len--;
        if (line.len < sizeof agent - 1 || strncasecmp(line.base, agent, sizeof agent - 1) != 0)
            continue;
        line = qr_slice_of(line.base + sizeof agent - 1, line.len - (sizeof agent - 1));
        while (line.len > 0 && line.base[0] == ' ')
            line = qr_slice_of(line.base + 1, line.len - 1);
        struct qr_slice program = cut(&line, '/');
        take_text(&h->program_name, decode_value(&h->text, program));
        take_text(&h->program_version, decode_value(&h->text, line));
        return;
    }
}

static void fill_defaults(struct qr_handshake *h)
{
    static const char unknown[] = "unknown";
    take_text(&h->registry_hostname, h->hostname);
    take_text(&h->os, qr_slice_str(unknown));
    take_text(&h->timezone, qr_slice_str(unknown));
    take_text(&h->abbrev_timezone, qr_slice_str("UTC"));
    take_text(&h->program_name, qr_slice_str(unknown));
    take_text(&h->program_version, qr_slice_str(unknown));
}

static const char *check(struct qr_handshake *h)
{
    if (h->api_key_text.len == 0)
        return "the request has no key";
    if (h->hostname.len == 0)
        return "the request has no hostname";
    if (h->machine_guid_text.len == 0)
        return "the request has no machine_guid";
    if (h->hostname.len > QR_NAME_BYTES_MAX || h->registry_hostname.len > QR_NAME_BYTES_MAX)
        return "the hostname is too long";
    if (qr_guid_parse(&h->api_key, h->api_key_text) != 0)
        return "the key is not a UUID";
    if (qr_guid_parse(&h->machine_guid, h->machine_guid_text) != 0)
        return "the machine_guid is not a UUID";
    return NULL;
}

/* The whole request if its empty line is there: its length, or an error. */
static ssize_t find_end(struct qr_slice in, const char **reason)
{
    size_t n = in.len < strlen(METHOD) ? in.len : strlen(METHOD);
    if (memcmp(in.base, METHOD, n) != 0) {
        *reason = "the request is not a STREAM request";
        return QR_E_MALFORMED;
    }
    size_t len = in.len < QR_REQUEST_BYTES_MAX ? in.len : QR_REQUEST_BYTES_MAX;
    const char *end = memmem(in.base, len, "\r\n\r\n", 4);
    if (end != NULL)
        return end + 4 - in.base;
    return in.len < QR_REQUEST_BYTES_MAX ? QR_E_PARTIAL : QR_E_LIMIT;
}

ssize_t qr_handshake_parse(struct qr_handshake *handshake, struct qr_slice in, const char **reason)
{
    if (in.len == 0)
        return QR_E_PARTIAL;
    ssize_t len = find_end(in, reason);
    if (len < 0)
        return len;
    struct qr_slice headers = qr_slice_of(in.base, (size_t)len);
    struct qr_slice line = cut(&headers, '\n');
    const char *query = line.base + strlen(METHOD);
    const char *query_end = memmem(query, line.len - strlen(METHOD), " HTTP/", 6);
    if (query_end == NULL) {
        *reason = "the request line has no protocol version";
        return QR_E_MALFORMED;
    }

    struct qr_handshake h = {.hops = 1};
    qr_buf_init(&h.text, QR_REQUEST_BYTES_MAX);
    if (qr_buf_reserve(&h.text, (size_t)len) != 0)
        return UV_ENOMEM;
    take_query(&h, qr_slice_of(query, (size_t)(query_end - query)));
    take_headers(&h, headers);
    fill_defaults(&h);
    const char *refused = check(&h);
    if (refused != NULL) {
        qr_buf_release(&h.text);
        *reason = refused;
        return QR_E_MALFORMED;
    }
    *handshake = h;
    return len;
}

void qr_handshake_release(struct qr_handshake *handshake)
{
    qr_buf_release(&handshake->text);
}

size_t qr_handshake_accept(char out[80], uint32_t ver, uint32_t caps)
{
    static const char hit_me[] = "Hit me baby, push them over";
    int n;
    if (caps & QR_CAP_VCAPS)
        n = snprintf(out, 80, "%s with the version=%u", hit_me, caps);
    else if (caps & QR_CAP_VN)
        n = snprintf(out, 80, "%s with the version=%d", hit_me,
                     caps & QR_CAP_LZ4 ? 5 : (caps & QR_CAP_CLABELS ? 4 : 3));
    else
        n = snprintf(out, 80, "%s%s...", hit_me,
                     caps & QR_CAP_V2 ? " and bring the host labels" : "");
    return (size_t)n;
}
