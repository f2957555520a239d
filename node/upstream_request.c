#include "node/upstream_request.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "proto/request.h"

/* Clusters that a host may come through: more is a mistake. */
#define PATH_BYTES_MAX (16u * (QR_GUID_TEXT_LEN + 1))

static void take_sysinfo(struct qr_request *request, const struct qr_host_def *def)
{
    for (uint32_t i = 0; i < def->n_sysinfo; i++)
        for (unsigned which = 0; which < QR_SYSINFO_NR; which++)
            if (strcmp(def->sysinfo[i].name, qr_handshake_sysinfo_name((enum qr_sysinfo)which)) ==
                0)
                request->sysinfo[which] = qr_slice_str(def->sysinfo[i].value);
}

static int add_path(struct qr_request *request, const struct qr_guid *cluster_id,
                    char path[PATH_BYTES_MAX])
{
    char own[QR_GUID_TEXT_LEN + 1];
    struct qr_slice *known = &request->sysinfo[QR_SYSINFO_QUORATE_PATH];
    qr_guid_format(cluster_id, own);
    int n = snprintf(path, PATH_BYTES_MAX, "%.*s%s%s", (int)known->len, known->base,
                     known->len > 0 ? "," : "", own);
    if (n < 0 || (size_t)n >= PATH_BYTES_MAX)
        return QR_E_LIMIT;
    *known = qr_slice_of(path, (size_t)n);
    return 0;
}

static int encode(const struct qr_upstream_request *asked, const struct qr_host_def *def,
                  struct qr_buf *out, uint32_t *offered)
{
    char path[PATH_BYTES_MAX];
    uint32_t caps = QR_SENDER_CAPS;
    if (!asked->dyncfg)
        caps &= ~QR_CAP_DYNCFG;
    if (!asked->compression)
        caps &= ~QR_CAPS_COMPRESSIONS;
    struct qr_request request = {
        .api_key = qr_slice_str(asked->api_key),
        .machine_guid = def->guid,
        .hostname = qr_slice_str(def->hostname),
        .registry_hostname = qr_slice_str(def->registry_hostname),
        .os = qr_slice_str(def->os),
        .timezone = qr_slice_str(def->timezone),
        .abbrev_timezone = qr_slice_str(def->abbrev_timezone),
        .utc_offset_s = def->utc_offset_s,
        .update_every = def->update_every,
        .hops = def->hops + 1,
        .caps = caps,
        .program_name = qr_slice_str(def->program_name),
        .program_version = qr_slice_str(def->program_version),
    };
    take_sysinfo(&request, def);
    int err = add_path(&request, asked->cluster_id, path);
    if (err == 0)
        err = qr_request_encode(&request, out);
    if (err == 0)
        *offered = caps;
    return err;
}

int qr_upstream_request_encode(const struct qr_upstream_request *asked, struct qr_buf *out,
                               uint32_t *offered)
{
    int slot = qr_store_enter(asked->store);
    const struct qr_host *host = qr_store_host_by_guid(asked->store, asked->guid);
    int err = host != NULL ? encode(asked, atomic_load(&host->def), out, offered) : QR_E_UNKNOWN;
    qr_store_leave(asked->store, slot);
    return err;
}
