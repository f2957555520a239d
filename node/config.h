/* node/config.h — quorate.conf: what this process is and where its things lie.
 *
 * INI: [section], `key = value`, `#` comments.  Every option is a row of the table in config.c with
 * its kind, bounds, default and a sentence, from which `quorated --print-config` is made.  An
 * unknown section or key, or a value out of bounds, is refused at start with file and line.
 *
 *   [member]   id, name, data, listen, link
 *   [cluster]  name, id, member <id> = host:port (the link address of each member),
 *              election timeout ms, heartbeat ms, snapshot threshold, snapshot trailing
 *   [tls]      ca, certificate, key                  between members
 *   [web]      bind to, certificate, key (of the public port), client ca, tls version, tls ciphers,
 *              allow .. from and allow .. by dns (of connections, streaming, dashboard,
 *              management), ingest loops, tick ms, vanished after seconds
 *   [store]    window seconds, retention hours, disk reserve MiB
 *   [stream]   file: stream.conf with API keys
 *   [log]      level
 *
 * Relative paths are relative to the folder of quorate.conf.  Thread: any (immutable). */
#ifndef QR_NODE_CONFIG_H
#define QR_NODE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/limits.h"
#include "cluster/link.h"
#include "node/access.h"
#include "node/bind.h"
#include "storage/block_id.h"

#define QR_PATH_BYTES_MAX 512

struct qr_config {
    char path[QR_PATH_BYTES_MAX]; /* Where it was read from; "": nowhere. */
    /* [member] */
    uint32_t member_id;
    char member_name[64];
    char data[QR_PATH_BYTES_MAX];
    char listen[64];
    char link[64];
    /* [cluster] */
    char cluster_name[64];
    char cluster_id_text[64];
    struct qr_guid cluster_id;
    struct qr_link_member members[QR_MEMBERS_MAX];
    uint32_t n_members;
    bool alone;
    uint32_t election_timeout_ms;
    uint32_t heartbeat_ms;
    uint32_t snapshot_threshold;
    uint32_t snapshot_trailing;
    /* [tls] */
    char tls_ca[QR_PATH_BYTES_MAX];
    char tls_certificate[QR_PATH_BYTES_MAX];
    char tls_key[QR_PATH_BYTES_MAX];
    /* [web] */
    char bind_to[1024];
    char web_certificate[QR_PATH_BYTES_MAX];
    char web_key[QR_PATH_BYTES_MAX];
    char web_client_ca[QR_PATH_BYTES_MAX];
    char tls_version[8];
    char tls_ciphers[1024];
    struct qr_access access;
    uint32_t ingest_loops;
    uint32_t tick_ms;
    uint32_t vanished_s;
    /* [store] */
    uint32_t window_s;
    uint32_t retention_hours[QR_TIERS];
    uint32_t retention_mib[QR_TIERS]; /* 0: no limit. */
    uint32_t ephemeral_after_s;       /* 0: never. */
    uint32_t disk_reserve_mib;
    /* [stream] */
    char stream_file[QR_PATH_BYTES_MAX];
    /* [log] */
    char log_level[16];
};

/* Without a member's id, a cluster's id and a list of members it is a cluster of one: alone, member
 * 1, named as the machine, its cluster id still to be found (node/alone).
 * Reads and checks `path`.  0, or QR_E_CONFIG or a libuv error with a sentence in `sentence` that
 * names file, line and remedy. */
int qr_config_read(struct qr_config *config, const char *path, char *sentence,
                   size_t sentence_bytes);

/* At a reload: takes from `next` what needs no other start ([web] certificate, key, client ca, tls
 * .., allow .., and [stream] file).  Returns the first option beyond these that differs, as
 * "[section] key" in `text`, or NULL. */
const char *qr_config_reload(struct qr_config *config, const struct qr_config *next, char *text,
                             size_t text_bytes);

/* A sample file with every option, its default and its sentence. */
int qr_config_print(struct qr_buf *out);

#endif
