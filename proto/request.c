#include "proto/request.h"

#include <assert.h>

#include "base/compiler.h"
#include "base/error.h"

/* ---- the request ---- */

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~' || c == '/';
}

/* Stock parents decode the whole query before they split it: an '&' would begin a parameter, so it
 * becomes a blank.  Control bytes have no use. */
static void add_value(struct qr_buf *out, struct qr_slice value)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        if (c == '&' || c < ' ' || c == 0x7F)
            c = ' ';
        char coded[3] = {'%', hex[c >> 4], hex[c & 15]};
        if (is_plain(c))
            qr_buf_add(out, &c, 1);
        else
            qr_buf_add(out, coded, sizeof coded);
    }
}

static void add_parameter(struct qr_buf *out, const char *name, struct qr_slice value)
{
    if (value.len == 0)
        return;
    qr_buf_printf(out, "&%s=", name);
    add_value(out, value);
}

/* A header's text: it ends where something else could begin. */
static void add_header_text(struct qr_buf *out, struct qr_slice text)
{
    for (size_t i = 0; i < text.len && (unsigned char)text.base[i] >= ' ' && text.base[i] != 0x7F;
         i++)
        qr_buf_add(out, text.base + i, 1);
}

int qr_request_encode(const struct qr_request *request, struct qr_buf *out)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(&request->machine_guid, guid);
    qr_buf_add_str(out, "STREAM key=");
    add_value(out, request->api_key);
    add_parameter(out, "hostname", request->hostname);
    add_parameter(out, "registry_hostname",
                  request->registry_hostname.len > 0 ? request->registry_hostname
                                                     : request->hostname);
    qr_buf_printf(out, "&machine_guid=%s&update_every=%u", guid, request->update_every);
    add_parameter(out, "os", request->os);
    add_parameter(out, "timezone", request->timezone);
    add_parameter(out, "abbrev_timezone", request->abbrev_timezone);
    qr_buf_printf(out, "&utc_offset=%d&hops=%u&ml_capable=0&ml_enabled=0&mc_version=0&ver=%u",
                  request->utc_offset_s, request->hops, request->caps);
    for (enum qr_sysinfo i = 0; i < QR_SYSINFO_NR; i++)
        add_parameter(out, qr_handshake_sysinfo_name(i), request->sysinfo[i]);
    qr_buf_add_str(out, "&NETDATA_PROTOCOL_VERSION=1.1 HTTP/1.1\r\nUser-Agent: ");
    add_header_text(out, request->program_name);
    qr_buf_add_str(out, "/");
    add_header_text(out, request->program_version);
    qr_buf_add_str(out, "\r\nAccept: */*\r\n\r\n");
    return out->failed ? QR_E_LIMIT : 0;
}

/* ---- the reply ---- */

#define VERSION_PREFIX "Hit me baby, push them over with the version="
/* Netdata's children take no reply from here on. */
#define VERSION_REPLY_BYTES_MAX 75

static const struct row {
    const char *text;
    enum qr_reply_kind kind;
    uint32_t ver; /* What an acceptance stands for. */
    uint32_t wait_s;
    const char *sentence;
} rows[] = {
    {"Hit me baby, push them over and bring the host labels...", QR_REPLY_ACCEPTED, 2, 0,
     "accepted, protocol 2"},
    {"Hit me baby, push them over...", QR_REPLY_ACCEPTED, 1, 0, "accepted, protocol 1"},
    {QR_HANDSHAKE_LOCALHOST, QR_REPLY_LOCALHOST, 0, 3600, "the parent is this host itself"},
    {QR_HANDSHAKE_ALREADY, QR_REPLY_ALREADY, 0, 120, "the parent has a stream of this host"},
    {QR_HANDSHAKE_DENIED, QR_REPLY_DENIED, 0, 60, "the parent does not permit it"},
    {QR_HANDSHAKE_BUSY, QR_REPLY_BUSY, 0, 60, "the parent is too busy"},
    {"The server encountered an internal error. Try later.", QR_REPLY_INTERNAL_ERROR, 0, 60,
     "the parent has an internal error"},
    {QR_HANDSHAKE_INITIALIZING, QR_REPLY_INITIALIZING, 0, 30, "the parent is starting"},
};

static bool begins_with(struct qr_slice text, struct qr_slice head)
{
    return text.len >= head.len && memcmp(text.base, head.base, head.len) == 0;
}

static void accept(struct qr_reply *reply, uint32_t ver, uint32_t offered, const char *sentence)
{
    *reply = (struct qr_reply){
        .kind = QR_REPLY_ACCEPTED,
        .caps = qr_caps_negotiate(ver, offered, &qr_compression_order_default),
        .sentence = sentence,
    };
}

/* The digits up to the first byte that is none.  False: no number that a mask could be. */
static bool parse_version(struct qr_slice text, uint32_t *ver)
{
    uint64_t number = 0;
    size_t i = 0;
    for (; i < text.len && text.base[i] >= '0' && text.base[i] <= '9' && number <= INT32_MAX; i++)
        number = number * 10 + (uint64_t)(text.base[i] - '0');
    if (i == 0 || number > INT32_MAX)
        return false;
    *ver = (uint32_t)number;
    return true;
}

int qr_reply_parse(struct qr_slice in, uint32_t offered, struct qr_reply *reply)
{
    struct qr_slice prefix = qr_slice_str(VERSION_PREFIX);
    bool may_go_on = in.len <= prefix.len && begins_with(prefix, in);
    uint32_t ver;
    if (in.len < VERSION_REPLY_BYTES_MAX && begins_with(in, prefix) &&
        parse_version(qr_slice_of(in.base + prefix.len, in.len - prefix.len), &ver)) {
        accept(reply, ver, offered, "accepted");
        return 0;
    }
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        struct qr_slice text = qr_slice_str(rows[i].text);
        if (qr_slice_equal(in, text)) {
            *reply = (struct qr_reply){
                .kind = rows[i].kind, .wait_s = rows[i].wait_s, .sentence = rows[i].sentence};
            if (rows[i].kind == QR_REPLY_ACCEPTED)
                accept(reply, rows[i].ver, offered, rows[i].sentence);
            return 0;
        }
        may_go_on |= in.len < text.len && begins_with(text, in);
    }
    if (may_go_on)
        return QR_E_PARTIAL;
    *reply = (struct qr_reply){
        .kind = QR_REPLY_UNKNOWN, .wait_s = 60, .sentence = "this is no reply of a Netdata parent"};
    return 0;
}
