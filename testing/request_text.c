#include "testing/request_text.h"

static void add_137(struct qr_buf *out, const struct qr_request_text *r, const char *guid)
{
    qr_buf_printf(
        out,
        "STREAM key=%s&hostname=%s&registry_hostname=%s&machine_guid=%s&update_every=%u"
        "&os=linux&timezone=Etc/UTC&abbrev_timezone=UTC&utc_offset=0&hops=1&ml_capable=0"
        "&ml_enabled=0&mc_version=0&tags=&ver=%u"
        "&NETDATA_INSTANCE_CLOUD_TYPE=unknown&NETDATA_SYSTEM_OS_NAME=Debian%%20GNU%%2FLinux"
        "&NETDATA_SYSTEM_OS_ID=debian&NETDATA_SYSTEM_OS_VERSION=12%%20%%28bookworm%%29"
        "&NETDATA_HOST_IS_K8S_NODE=false&NETDATA_SYSTEM_KERNEL_NAME=Linux"
        "&NETDATA_SYSTEM_ARCHITECTURE=x86_64&NETDATA_CONTAINER_OS_NAME=Debian GNU/Linux"
        "&NETDATA_CONTAINER_OS_VERSION=12 (bookworm)&NETDATA_SYSTEM_CPU_LOGICAL_CPU_COUNT=2"
        "&NETDATA_SYSTEM_TOTAL_RAM=25276514304&NETDATA_PROTOCOL_VERSION=1.1 HTTP/1.1\r\n"
        "User-Agent: netdata/v1.37.1\r\nAccept: */*\r\n\r\n",
        r->api_key, r->hostname, r->hostname, guid, r->update_every, r->caps);
}

static void add_29(struct qr_buf *out, const struct qr_request_text *r, const char *guid)
{
    qr_buf_printf(
        out,
        "STREAM key=%s&hostname=%s&registry_hostname=%s&machine_guid=%s&update_every=%u"
        "&os=linux&timezone=Etc%%2fUTC&abbrev_timezone=UTC&utc_offset=0&hops=1&ver=%u&ml_capable=0"
        "&ml_enabled=0&mc_version=0&NETDATA_INSTANCE_CLOUD_TYPE=unknown"
        "&NETDATA_SYSTEM_OS_NAME=Debian+GNU%%2fLinux&NETDATA_SYSTEM_OS_ID=debian"
        "&NETDATA_SYSTEM_OS_VERSION=12+%%28bookworm%%29&NETDATA_HOST_IS_K8S_NODE=false"
        "&NETDATA_SYSTEM_KERNEL_NAME=Linux&NETDATA_SYSTEM_ARCHITECTURE=x86_64"
        "&NETDATA_SYSTEM_CPU_LOGICAL_CPU_COUNT=2&NETDATA_SYSTEM_TOTAL_RAM=25276514304"
        "&NETDATA_PROTOCOL_VERSION=1.1 HTTP/1.1\r\n"
        "User-Agent: netdata/v2.9.0\r\nAccept: */*\r\n\r\n",
        r->api_key, r->hostname, r->hostname, guid, r->update_every, r->caps);
}

void qr_request_text_stream(struct qr_buf *out, const struct qr_request_text *request)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(request->guid, guid);
    if (request->as_29)
        add_29(out, request, guid);
    else
        add_137(out, request, guid);
}

void qr_request_text_question(struct qr_buf *out, const struct qr_guid *guid,
                              const char *destination)
{
    char text[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(guid, text);
    qr_buf_printf(out,
                  "GET /api/v3/stream_info?machine_guid=%s HTTP/1.1\r\nHost: %s\r\n"
                  "User-Agent: netdata/v2.9.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
                  "TE: identity\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
                  "Connection: close\r\n\r\n",
                  text, destination);
}
