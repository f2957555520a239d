/* node/stream_conf.h — stream.conf: which children may stream here, and where they are streamed on.
 *
 * Netdata's own file, read unchanged: [API_KEY] sections (type = api) and [MACHINE_GUID] sections
 * (type = machine), matched by the exact text; [stream], the sender's part, which the others refine
 * for their children by "proxy ..".  Every option of 1.37
 * to 2.9 is known, by all its names, and a row of a table: what it does here is in
 * docs/stream-conf.md.  One that would promise what this build does not do is refused, one that
 * nobody knows is warned of.  The policy of an API key in the log (cluster/keys) is read by the
 * same rows.  Thread: any (immutable after reading). */
#ifndef QR_NODE_STREAM_CONF_H
#define QR_NODE_STREAM_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/caps.h"
#include "proto/compression.h"

#define QR_STREAM_SECTIONS_MAX 100000u

/* Where hosts are streamed on; what is not said is NULL.  Owned. */
struct qr_stream_forwarding {
    bool has_enabled, enabled;
    char *destination, *api_key;
    char *charts; /* Simple pattern. */
};

struct qr_stream_section {
    char name[64];
    bool has_type, is_machine;
    bool has_enabled, enabled;
    bool has_replication, replication;
    bool has_ephemeral, ephemeral;
    bool has_compression, compression;
    bool has_order;
    struct qr_compression_order order;
    uint32_t period_s, step_s, update_every; /* 0: not said */
    char *allow_from;                        /* NULL: everybody; owned. */
    struct qr_stream_forwarding forwarding;
};

/* [stream] */
struct qr_stream_sender {
    struct qr_stream_forwarding forwarding;
    uint32_t timeout_s, reconnect_delay_s, default_port, buffer_bytes;
    bool compression, skip_verification;
    struct qr_compression_levels levels;
    char *ca_path, *ca_file; /* NULL: the machine's own list; owned. */
};

struct qr_stream_conf {
    struct qr_stream_sender sender;
    struct qr_stream_section *sections;
    size_t n, capacity;
};

/* What a child may do, once let in. */
struct qr_stream_policy {
    bool replication, compression;
    bool ephemeral; /* The host is marked: it comes and goes. */
    uint32_t period_s, step_s;
    uint32_t update_every; /* Instead of what the child says of itself; 0: as it says. */
    struct qr_compression_order compressions;
};

/* 0, or QR_E_CONFIG with a sentence.  On success the caller releases it. */
int qr_stream_conf_read(struct qr_stream_conf *conf, const char *path, char *sentence,
                        size_t sentence_bytes);
void qr_stream_conf_release(struct qr_stream_conf *conf);

/* The policy of a key in the log, as a section that is enabled: `option = value` lines, of the
 * options that make sense for one.  0, or QR_E_CONFIG with a sentence.  The caller releases it. */
int qr_stream_section_parse(struct qr_stream_section *section, struct qr_slice policy,
                            char *sentence, size_t sentence_bytes);
void qr_stream_section_release(struct qr_stream_section *section);

/* May the child in?  0 with its policy, or QR_E_DENIED with the reason for our log (static); the
 * child gets the same text for all of them.  in_log: the section of its key in the log, or NULL;
 * one in the file goes before it. */
int qr_stream_conf_check(const struct qr_stream_conf *conf, const struct qr_stream_section *in_log,
                         struct qr_slice api_key, struct qr_slice machine_guid, const char *peer_ip,
                         struct qr_stream_policy *policy, const char **reason);

/* Where a host is streamed on, with the key it came with ("": our own host) and its GUID: false,
 * nowhere.  What it points to is the conf's. */
struct qr_stream_target {
    const char *destination, *api_key, *charts;
};
bool qr_stream_conf_target(const struct qr_stream_conf *conf, struct qr_slice api_key,
                           struct qr_slice machine_guid, struct qr_stream_target *target);

/* Is any host streamed on? */
bool qr_stream_conf_forwards(const struct qr_stream_conf *conf);

/* The i-th option that is known, its current name first, then older ones; NULL behind the last. */
const char *const *qr_stream_conf_names(size_t i);

#endif
