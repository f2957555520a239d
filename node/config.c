#include "node/config.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "node/ini.h"

enum option_kind { KIND_TEXT, KIND_PATH, KIND_NUMBER };

struct option {
    const char *section;
    const char *key;
    enum option_kind kind;
    size_t offset;
    size_t bytes; /* Of a text. */
    const char *initial;
    uint32_t min, max;
    const char *sentence;
};

/* Those that a reload takes. */
static bool is_reloaded(const struct option *option)
{
    static const char *const keys[] = {"certificate", "key", "client ca", "tls version",
                                       "tls ciphers"};
    if (strcmp(option->section, "stream") == 0)
        return true;
    bool found = strncmp(option->key, "allow ", 6) == 0;
    for (size_t i = 0; i < QR_COUNT(keys); i++)
        found = found || strcmp(option->key, keys[i]) == 0;
    return found && strcmp(option->section, "web") == 0;
}

#define TEXT(section, key, field, initial, sentence)                                               \
    {                                                                                              \
        section, key, KIND_TEXT, offsetof(struct qr_config, field),                                \
            sizeof(((struct qr_config *)0)->field), initial, 0, 0, sentence                        \
    }
#define PATH(section, key, field, initial, sentence)                                               \
    {                                                                                              \
        section, key, KIND_PATH, offsetof(struct qr_config, field),                                \
            sizeof(((struct qr_config *)0)->field), initial, 0, 0, sentence                        \
    }
#define NUMBER(section, key, field, initial, min, max, sentence)                                   \
    {                                                                                              \
        section, key, KIND_NUMBER, offsetof(struct qr_config, field), 0, initial, min, max,        \
            sentence                                                                               \
    }

static const struct option options[] = {
    NUMBER("member", "id", member_id, "", 1, 65535,
           "This member's number in the cluster; never used again once its disk is lost."),
    TEXT("member", "name", member_name, "",
         "What people call it; the host name of its own charts."),
    PATH("member", "data", data, "data", "Folder of the log and the block files."),
    TEXT("member", "listen", listen, "0.0.0.0:19999", "Address for streams and HTTP."),
    TEXT("member", "link", link, "0.0.0.0:19998", "Address for the other members."),
    TEXT("cluster", "name", cluster_name, "quorate", "Name of the cluster, for people."),
    TEXT("cluster", "id", cluster_id_text, "", "UUID of the cluster, from `quoratectl init`."),
    NUMBER("cluster", "election timeout ms", election_timeout_ms, "500", 100, 60000,
           "Silence of the leader after which a new one is elected (1 to 2 times this)."),
    NUMBER("cluster", "heartbeat ms", heartbeat_ms, "50", 10, 10000,
           "The leader's heartbeat; at most a third of the election timeout."),
    NUMBER("cluster", "snapshot threshold", snapshot_threshold, "2048", 16, 1000000,
           "Log entries after which a snapshot is taken."),
    NUMBER("cluster", "snapshot trailing", snapshot_trailing, "2048", 1, 1000000,
           "Log entries kept behind a snapshot, for members that lag."),
    PATH("tls", "ca", tls_ca, "ca.crt", "Certificate of the cluster CA."),
    PATH("tls", "certificate", tls_certificate, "member.crt", "This member's certificate."),
    PATH("tls", "key", tls_key, "member.key", "Its private key."),
    TEXT("web", "bind to", bind_to, "",
         "Addresses to listen on instead of [member] listen, with roles and ^SSL=force, as "
         "Netdata."),
    PATH("web", "certificate", web_certificate, "", "Certificate for TLS on the public port."),
    PATH("web", "key", web_key, "", "Its private key."),
    PATH("web", "client ca", web_client_ca, "",
         "CA of client certificates: children and clients may show one; empty: none is asked for."),
    TEXT("web", "tls version", tls_version, "1.3",
         "The newest TLS of the public port, 1.3 or 1.2; 1.2 is the oldest."),
    TEXT("web", "tls ciphers", tls_ciphers, "none",
         "OpenSSL's names, with : between; none: its own choice."),
    TEXT("web", "allow connections from", access.lists[QR_ACCESS_CONNECTIONS].from, "localhost *",
         "Addresses that may connect: simple patterns, as all of these; others are closed."),
    TEXT("web", "allow connections by dns", access.lists[QR_ACCESS_CONNECTIONS].by_dns, "heuristic",
         "May names stand there?  yes, no, or heuristic: if one does."),
    TEXT("web", "allow streaming from", access.lists[QR_ACCESS_STREAMING].from, "*",
         "Addresses whose children may stream."),
    TEXT("web", "allow streaming by dns", access.lists[QR_ACCESS_STREAMING].by_dns, "heuristic",
         "As above."),
    TEXT("web", "allow dashboard from", access.lists[QR_ACCESS_DASHBOARD].from, "localhost *",
         "Addresses that may look and query."),
    TEXT("web", "allow dashboard by dns", access.lists[QR_ACCESS_DASHBOARD].by_dns, "heuristic",
         "As above."),
    TEXT("web", "allow management from", access.lists[QR_ACCESS_MANAGEMENT].from, "localhost",
         "Addresses from which what quoratectl changes, and calls of functions, are taken."),
    TEXT("web", "allow management by dns", access.lists[QR_ACCESS_MANAGEMENT].by_dns, "heuristic",
         "As above."),
    NUMBER("web", "ingest loops", ingest_loops, "2", 1, 64,
           "Threads that serve children and HTTP clients."),
    NUMBER("web", "tick ms", tick_ms, "250", 20, 5000,
           "How often what has arrived becomes a log entry."),
    NUMBER("web", "vanished after seconds", vanished_s, "60", 3, 3600,
           "Who acknowledges nothing for so long has vanished: its connection is closed."),
    NUMBER("store", "window seconds", window_s, "600", 1, 86400,
           "Span of a block file; the same on all members, for ever."),
    NUMBER("store", "retention hours", retention_hours[0], "336", 1, 876000,
           "Samples older than this are dropped; their points of a minute and an hour stay."),
    NUMBER("store", "retention MiB", retention_mib[0], "0", 0, 100000000,
           "And the oldest of them while their files take more than this; 0: no limit."),
    NUMBER("store", "tier 1 retention hours", retention_hours[1], "2160", 1, 876000,
           "Points of a minute older than this are dropped."),
    NUMBER("store", "tier 1 retention MiB", retention_mib[1], "0", 0, 100000000,
           "And the oldest of them while their files take more than this; 0: no limit."),
    NUMBER("store", "tier 2 retention hours", retention_hours[2], "17520", 1, 876000,
           "Points of an hour older than this are dropped."),
    NUMBER("store", "tier 2 retention MiB", retention_mib[2], "0", 0, 100000000,
           "And the oldest of them while their files take more than this; 0: no limit."),
    NUMBER("store", "cleanup ephemeral hosts after secs", ephemeral_after_s, "0", 0, 2000000000,
           "Hosts that are ephemeral and away for so long are forgotten; 0: never.  The leader's "
           "counts."),
    NUMBER("store", "disk reserve MiB", disk_reserve_mib, "256", 8, 1000000,
           "With less free space the member stops taking data and says so."),
    PATH("stream", "file", stream_file, "stream.conf", "API keys, in Netdata's own format."),
    TEXT("log", "level", log_level, "info", "error, warn, info or debug."),
};

struct reading {
    struct qr_config *config;
    const char *path;
    char *sentence;
    size_t sentence_bytes;
    bool failed;
};

static int refuse(struct reading *reading, const char *format, ...) QR_PRINTF(2, 3);

/* Keeps the first complaint. */
static int refuse(struct reading *reading, const char *format, ...)
{
    if (!reading->failed) {
        va_list args;
        va_start(args, format);
        vsnprintf(reading->sentence, reading->sentence_bytes, format, args);
        va_end(args);
        reading->failed = true;
    }
    return 0; /* What inih's handler returns for an error. */
}

static int set_number(struct reading *reading, const struct option *option, const char *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < option->min || number > option->max)
        return refuse(reading, "%s: [%s] %s = %s is not a number from %u to %u.", reading->path,
                      option->section, option->key, value, option->min, option->max);
    *(uint32_t *)(void *)((char *)reading->config + option->offset) = (uint32_t)number;
    return 1;
}

static int set_text(struct reading *reading, const struct option *option, const char *value)
{
    char *field = (char *)reading->config + option->offset;
    const char *slash = strrchr(reading->path, '/');
    int dir_len = slash != NULL ? (int)(slash - reading->path) + 1 : 0;
    bool relative = option->kind == KIND_PATH && value[0] != '/' && value[0] != '\0';
    int n = snprintf(field, option->bytes, "%.*s%s", relative ? dir_len : 0, reading->path, value);
    if (n < 0 || (size_t)n >= option->bytes)
        return refuse(reading, "%s: [%s] %s is longer than %zu bytes.", reading->path,
                      option->section, option->key, option->bytes - 1);
    return 1;
}

static int set_option(struct reading *reading, const struct option *option, const char *value)
{
    return option->kind == KIND_NUMBER ? set_number(reading, option, value)
                                       : set_text(reading, option, value);
}

static int add_member(struct reading *reading, const char *key, const char *value)
{
    struct qr_config *config = reading->config;
    char *end;
    unsigned long id = strtoul(key, &end, 10);
    if (end == key || *end != '\0' || id == 0 || id > 65535)
        return refuse(reading, "%s: [cluster] member %s: the number of a member is 1 to 65535.",
                      reading->path, key);
    if (config->n_members == QR_MEMBERS_MAX)
        return refuse(reading, "%s: more than %u members.", reading->path, QR_MEMBERS_MAX);
    struct qr_link_member *member = &config->members[config->n_members];
    if (strlen(value) >= sizeof member->address || strrchr(value, ':') == NULL)
        return refuse(reading, "%s: [cluster] member %s = %s is not host:port.", reading->path, key,
                      value);
    for (uint32_t i = 0; i < config->n_members; i++)
        if (config->members[i].id == id)
            return refuse(reading, "%s: [cluster] member %lu is there twice.", reading->path, id);
    member->id = (uint32_t)id;
    snprintf(member->address, sizeof member->address, "%s", value);
    config->n_members++;
    return 1;
}

static int on_option(void *data, const char *section, const char *key, const char *value)
{
    struct reading *reading = data;
    if (strcmp(section, "cluster") == 0 && strncmp(key, "member ", 7) == 0)
        return add_member(reading, key + 7, value);
    for (size_t i = 0; i < QR_COUNT(options); i++)
        if (strcmp(options[i].section, section) == 0 && strcmp(options[i].key, key) == 0)
            return set_option(reading, &options[i], value);
    return refuse(reading,
                  "%s: [%s] %s is not an option; `quorated --print-config` lists all of them.",
                  reading->path, section, key);
}

static void check_binds(struct reading *reading)
{
    const struct qr_config *c = reading->config;
    struct qr_binds binds;
    char sentence[512];
    if (qr_binds_read(&binds, c->bind_to, c->listen, sentence, sizeof sentence) != 0) {
        refuse(reading, "%s: %s", reading->path, sentence);
        return;
    }
    for (unsigned i = 0; i < binds.n; i++)
        if (binds.at[i].force_tls && c->web_certificate[0] == '\0')
            refuse(reading, "%s: [web] bind to: %s: ^SSL=force needs a certificate and a key.",
                   reading->path, binds.at[i].address);
}

static void check_access(struct reading *reading)
{
    struct qr_config *c = reading->config;
    for (int i = 0; i < QR_ACCESS_NR; i++)
        if (!qr_access_by_dns_is_valid(c->access.lists[i].by_dns))
            refuse(reading, "%s: [web] allow .. by dns = %s is not yes, no or heuristic.",
                   reading->path, c->access.lists[i].by_dns);
    if (strcmp(c->tls_version, "1.2") != 0 && strcmp(c->tls_version, "1.3") != 0)
        refuse(reading,
               "%s: [web] tls version = %s: TLS 1.2 and 1.3 are spoken here, nothing older; say "
               "1.3 or 1.2.",
               reading->path, c->tls_version);
}

/* Nothing is said of a cluster: this is one of its own, of a single member (node/alone). */
static void become_alone(struct qr_config *c)
{
    char host[sizeof c->member_name];
    size_t bytes = sizeof host;
    c->alone = c->member_id == 0 && c->n_members == 0 && c->cluster_id_text[0] == '\0';
    if (!c->alone)
        return;
    c->member_id = 1;
    c->n_members = 1;
    c->members[0] = (struct qr_link_member){.id = 1, .address = "127.0.0.1:19998"};
    if (c->member_name[0] == '\0' && uv_os_gethostname(host, &bytes) == 0)
        snprintf(c->member_name, sizeof c->member_name, "%s", host);
}

static void check_relations(struct reading *reading)
{
    struct qr_config *c = reading->config;
    become_alone(c);
    if (c->member_id == 0)
        refuse(reading, "%s: [member] id is missing.", reading->path);
    else if (!c->alone && qr_guid_parse(&c->cluster_id, qr_slice_str(c->cluster_id_text)) != 0)
        refuse(reading, "%s: [cluster] id is not a UUID; `quoratectl init` makes one.",
               reading->path);
    else if (c->n_members == 0)
        refuse(reading,
               "%s: [cluster] has no line `member ID = host:port`: list the members that found the "
               "cluster, or those of the one to join.",
               reading->path);
    else if (c->heartbeat_ms * 3 > c->election_timeout_ms)
        refuse(reading,
               "%s: [cluster] heartbeat ms = %u is more than a third of the election "
               "timeout of %u ms.",
               reading->path, c->heartbeat_ms, c->election_timeout_ms);
    else if (strcmp(c->log_level, "error") != 0 && strcmp(c->log_level, "warn") != 0 &&
             strcmp(c->log_level, "info") != 0 && strcmp(c->log_level, "debug") != 0)
        refuse(reading, "%s: [log] level = %s is not error, warn, info or debug.", reading->path,
               c->log_level);
    else if ((c->web_certificate[0] == '\0') != (c->web_key[0] == '\0'))
        refuse(reading, "%s: [web] certificate and key need each other.", reading->path);
    else if (c->web_client_ca[0] != '\0' && c->web_certificate[0] == '\0')
        refuse(reading, "%s: [web] client ca needs a certificate and a key.", reading->path);
    check_binds(reading);
    check_access(reading);
    if (c->member_name[0] == '\0')
        snprintf(c->member_name, sizeof c->member_name, "member-%u", c->member_id);
}

int qr_config_read(struct qr_config *config, const char *path, char *sentence,
                   size_t sentence_bytes)
{
    struct qr_config read = {0};
    struct reading reading = {&read, path, sentence, sentence_bytes, false};
    for (size_t i = 0; i < QR_COUNT(options); i++)
        if (options[i].initial[0] != '\0')
            set_option(&reading, &options[i], options[i].initial);
    if (qr_ini_parse(path, on_option, &reading, sentence, sentence_bytes) != 0)
        return QR_E_CONFIG;
    check_relations(&reading);
    if (reading.failed)
        return QR_E_CONFIG;
    snprintf(read.path, sizeof read.path, "%s", path);
    *config = read;
    return 0;
}

const char *qr_config_reload(struct qr_config *config, const struct qr_config *next, char *text,
                             size_t text_bytes)
{
    const char *differs = NULL;
    for (size_t i = 0; i < QR_COUNT(options); i++) {
        const struct option *option = &options[i];
        char *now = (char *)config + option->offset;
        const char *then = (const char *)next + option->offset;
        bool same = option->kind == KIND_NUMBER ? memcmp(now, then, sizeof(uint32_t)) == 0
                                                : strcmp(now, then) == 0;
        if (same)
            continue;
        if (is_reloaded(option)) {
            snprintf(now, option->bytes, "%s", then);
        } else if (differs == NULL) {
            snprintf(text, text_bytes, "[%s] %s", option->section, option->key);
            differs = text;
        }
    }
    return differs;
}

int qr_config_print(struct qr_buf *out)
{
    const char *section = "";
    for (size_t i = 0; i < QR_COUNT(options); i++) {
        const struct option *option = &options[i];
        if (strcmp(section, option->section) != 0)
            qr_buf_printf(out, "%s[%s]\n", i == 0 ? "" : "\n", option->section);
        section = option->section;
        qr_buf_printf(out, "    # %s\n", option->sentence);
        if (option->kind == KIND_NUMBER)
            qr_buf_printf(out, "    # %u to %u\n", option->min, option->max);
        qr_buf_printf(out, "    %s%s = %s\n", option->initial[0] == '\0' ? "# " : "", option->key,
                      option->initial);
    }
    return out->failed ? QR_E_LIMIT : 0;
}
