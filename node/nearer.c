#include "node/nearer.h"

#include <string.h>

/* Is the cluster in "id,id,.."? */
static bool is_in_path(const struct qr_guid *cluster_id, struct qr_slice path)
{
    size_t at = 0;
    while (at < path.len) {
        size_t end = at;
        while (end < path.len && path.base[end] != ',')
            end++;
        struct qr_guid id;
        if (qr_guid_parse(&id, qr_slice_of(path.base + at, end - at)) == 0 &&
            qr_guid_equal(&id, cluster_id))
            return true;
        at = end + 1;
    }
    return false;
}

/* How long a live stream of it may say nothing: charts may come once an interval. */
static uint64_t patience_ms(const struct qr_nearer_known *known)
{
    return QR_NEARER_QUIET_MS + 2000ull * known->update_every;
}

const char *qr_nearer_refusal(const struct qr_nearer_known *known, const struct qr_guid *cluster_id,
                              const struct qr_handshake *handshake, const char **reply)
{
    struct qr_slice path = handshake->sysinfo[QR_SYSINFO_QUORATE_PATH];
    *reply = QR_HANDSHAKE_LOCALHOST;
    if (is_in_path(cluster_id, path))
        return "it is our own copy: it has come through this cluster already";
    if (handshake->hops > QR_NEARER_HOPS_MAX)
        return "it has come over more than 16 hops: it goes in a circle";
    if (known == NULL)
        return NULL;
    if (known->own)
        return "it has the machine GUID of a member of this cluster";
    *reply = QR_HANDSHAKE_ALREADY;
    if (handshake->hops <= known->hops || known->quiet_ms >= patience_ms(known))
        return NULL;
    if (known->connected)
        return "it is a copy, and a nearer stream of this host is connected";
    if (path.len == 0 && handshake->hops >= known->hops + 2)
        return "it may be our own copy on its way back: the host left just now";
    return NULL;
}

bool qr_nearer_look(const struct qr_store *store, const struct qr_status *status,
                    const struct qr_guid *guid, struct qr_nearer_known *known)
{
    const struct qr_host *host = qr_store_host_by_guid(store, guid);
    if (host == NULL)
        return false;
    const struct qr_host_def *def = atomic_load(&host->def);
    *known = (struct qr_nearer_known){.hops = def->hops,
                                      .update_every = def->update_every,
                                      .connected = atomic_load(&host->connected)};
    for (uint32_t i = 0; status != NULL && i < status->n_children; i++) {
        const struct qr_status_child *child = &status->children[i];
        if (child->host != host->id)
            continue;
        known->own = child->own;
        known->quiet_ms = child->quiet_ms;
        /* A dead member's children are connected as far as the log says. */
        known->connected = known->connected && (child->connected || child->quiet_ms == 0);
    }
    return true;
}
