/* node/stream_conf.h — stream.conf: which children may stream here.
 *
 * Netdata's own file, read unchanged: [API_KEY] sections (type = api) and [MACHINE_GUID] sections
 * (type = machine), matched by the exact text.  Honoured so far: type, enabled, allow from, enable
 * replication, seconds to replicate / replication period, seconds per replication step /
 * replication step, enable compression, compression algorithms order.  The section [stream] is for
 * senders and is not used. Thread: any (immutable after reading). */
#ifndef QR_NODE_STREAM_CONF_H
#define QR_NODE_STREAM_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/caps.h"

#define QR_STREAM_SECTIONS_MAX 1024

struct qr_stream_section {
    char name[64];
    bool is_machine;
    bool has_type, has_enabled, enabled;
    bool has_replication, replication;
    bool has_compression, compression;
    bool has_order;
    struct qr_compression_order order;
    uint32_t period_s, step_s; /* 0: not said */
    char allow_from[512];      /* "" = everybody */
};

struct qr_stream_conf {
    struct qr_stream_section *sections;
    size_t n;
};

/* What a child may do, once let in. */
struct qr_stream_policy {
    bool replication, compression;
    uint32_t period_s, step_s;
    struct qr_compression_order compressions;
};

/* 0, or QR_E_CONFIG with a sentence.  On success the caller releases it. */
int qr_stream_conf_read(struct qr_stream_conf *conf, const char *path, char *sentence,
                        size_t sentence_bytes);
void qr_stream_conf_release(struct qr_stream_conf *conf);

/* Decides about a child.  0 and *policy, or QR_E_DENIED and the reason (static). */
int qr_stream_conf_check(const struct qr_stream_conf *conf, struct qr_slice api_key,
                         struct qr_slice machine_guid, const char *peer_ip,
                         struct qr_stream_policy *policy, const char **reason);

#endif
