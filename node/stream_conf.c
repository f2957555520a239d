#include "node/stream_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/pattern.h"
#include "node/ini.h"

#define PERIOD_S 86400u
#define STEP_S   600u

struct reading {
    struct qr_stream_conf *conf;
    const char *path;
    char *sentence;
    size_t sentence_bytes;
    bool failed;
};

static int parse_yes(const char *value)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};
    for (int i = 0; i < 4; i++) {
        if (strcasecmp(value, yes[i]) == 0)
            return 1;
        if (strcasecmp(value, no[i]) == 0)
            return 0;
    }
    return -1;
}

static struct qr_stream_section *section_of(struct reading *reading, const char *name)
{
    struct qr_stream_conf *conf = reading->conf;
    for (size_t i = 0; i < conf->n; i++)
        if (strcmp(conf->sections[i].name, name) == 0)
            return &conf->sections[i];
    if (conf->n == QR_STREAM_SECTIONS_MAX || strlen(name) >= sizeof conf->sections->name)
        return NULL;
    struct qr_stream_section *section = &conf->sections[conf->n++];
    *section = (struct qr_stream_section){0};
    snprintf(section->name, sizeof section->name, "%s", name);
    return section;
}

static int refuse(struct reading *reading, const char *section, const char *key, const char *value,
                  const char *why)
{
    if (!reading->failed)
        snprintf(reading->sentence, reading->sentence_bytes, "%s: [%s] %s = %s: %s.", reading->path,
                 section, key, value, why);
    reading->failed = true;
    return 0;
}

static bool key_is(const char *key, const char *one, const char *other)
{
    return strcmp(key, one) == 0 || strcmp(key, other) == 0;
}

static int set_seconds(struct reading *reading, const char *name, const char *key,
                       const char *value, uint32_t *seconds)
{
    static const struct {
        const char *unit;
        uint32_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    errno = 0;
    unsigned long number = strtoul(value, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (errno == 0 && end != value && number <= 36500 * 86400ul &&
            strcmp(end, units[i].unit) == 0 && number * units[i].seconds <= UINT32_MAX) {
            *seconds = (uint32_t)(number * units[i].seconds);
            return 1;
        }
    }
    return refuse(reading, name, key, value, "not a duration such as 600, 10m or 1d");
}

static int set_flag(struct reading *reading, const char *name, const char *key, const char *value,
                    bool *has, bool *flag)
{
    int yes = parse_yes(value);
    if (yes < 0)
        return refuse(reading, name, key, value, "neither yes nor no");
    *has = true;
    *flag = yes == 1;
    return 1;
}

static int on_option(void *data, const char *name, const char *key, const char *value)
{
    struct reading *reading = data;
    if (name[0] == '\0' || strcmp(name, "stream") == 0)
        return 1;
    struct qr_stream_section *section = section_of(reading, name);
    if (section == NULL)
        return refuse(reading, name, key, value, "too many sections, or its name is too long");
    if (strcmp(key, "type") == 0) {
        section->has_type = true;
        section->is_machine = strcmp(value, "machine") == 0;
        return section->is_machine || strcmp(value, "api") == 0
                   ? 1
                   : refuse(reading, name, key, value, "neither api nor machine");
    }
    if (strcmp(key, "enabled") == 0)
        return set_flag(reading, name, key, value, &section->has_enabled, &section->enabled);
    if (strcmp(key, "enable replication") == 0)
        return set_flag(reading, name, key, value, &section->has_replication,
                        &section->replication);
    if (strcmp(key, "enable compression") == 0)
        return set_flag(reading, name, key, value, &section->has_compression,
                        &section->compression);
    if (strcmp(key, "compression algorithms order") == 0) {
        section->has_order = true;
        return qr_compression_order_parse(&section->order, qr_slice_str(value)) == 0
                   ? 1
                   : refuse(reading, name, key, value, "not a list of zstd, lz4, brotli and gzip");
    }
    if (key_is(key, "seconds to replicate", "replication period"))
        return set_seconds(reading, name, key, value, &section->period_s);
    if (key_is(key, "seconds per replication step", "replication step"))
        return set_seconds(reading, name, key, value, &section->step_s);
    if (strcmp(key, "allow from") == 0) {
        if (strlen(value) >= sizeof section->allow_from)
            return refuse(reading, name, key, value, "longer than 511 bytes");
        snprintf(section->allow_from, sizeof section->allow_from, "%s", value);
    }
    return 1; /* Netdata's other options concern what its parent does with the data. */
}

int qr_stream_conf_read(struct qr_stream_conf *conf, const char *path, char *sentence,
                        size_t sentence_bytes)
{
    struct qr_stream_conf read = {calloc(QR_STREAM_SECTIONS_MAX, sizeof *read.sections), 0};
    struct reading reading = {&read, path, sentence, sentence_bytes, false};
    if (read.sections == NULL) {
        snprintf(sentence, sentence_bytes, "%s: no memory to read it.", path);
        return QR_E_CONFIG;
    }
    if (qr_ini_parse(path, on_option, &reading, sentence, sentence_bytes) != 0)
        reading.failed = true;
    if (reading.failed) {
        qr_stream_conf_release(&read);
        return QR_E_CONFIG;
    }
    *conf = read;
    return 0;
}

void qr_stream_conf_release(struct qr_stream_conf *conf)
{
    free(conf->sections);
    *conf = (struct qr_stream_conf){0};
}

static const struct qr_stream_section *find(const struct qr_stream_conf *conf, struct qr_slice name)
{
    for (size_t i = 0; i < conf->n; i++)
        if (qr_slice_is(name, conf->sections[i].name))
            return &conf->sections[i];
    return NULL;
}

static bool allows(const struct qr_stream_section *section, const char *peer_ip)
{
    return section->allow_from[0] == '\0' ||
           qr_pattern_matches(qr_slice_str(section->allow_from), QR_PATTERN_WORDS,
                              qr_slice_str(peer_ip));
}

static void refine(struct qr_stream_policy *policy, const struct qr_stream_section *section)
{
    if (section->has_replication)
        policy->replication = section->replication;
    if (section->has_compression)
        policy->compression = section->compression;
    if (section->has_order)
        policy->compressions = section->order;
    if (section->period_s != 0)
        policy->period_s = section->period_s;
    if (section->step_s != 0)
        policy->step_s = section->step_s;
}

int qr_stream_conf_check(const struct qr_stream_conf *conf, struct qr_slice api_key,
                         struct qr_slice machine_guid, const char *peer_ip,
                         struct qr_stream_policy *policy, const char **reason)
{
    const struct qr_stream_section *key = find(conf, api_key);
    const struct qr_stream_section *machine = find(conf, machine_guid);
    *reason = NULL;
    if (key == NULL)
        *reason = "its API key is not in stream.conf";
    else if (key->has_type && key->is_machine)
        *reason = "the section of its API key has type = machine";
    else if (!key->enabled)
        *reason = "its API key is not enabled";
    else if (!allows(key, peer_ip))
        *reason = "`allow from` of its API key does not match its address";
    else if (machine != NULL && machine->has_type && !machine->is_machine)
        *reason = "the section of its machine GUID has type = api";
    else if (machine != NULL && machine->has_enabled && !machine->enabled)
        *reason = "its machine GUID is not enabled";
    else if (machine != NULL && !allows(machine, peer_ip))
        *reason = "`allow from` of its machine GUID does not match its address";
    if (*reason != NULL)
        return QR_E_DENIED;
    *policy = (struct qr_stream_policy){true, true, PERIOD_S, STEP_S, qr_compression_order_default};
    refine(policy, key);
    if (machine != NULL)
        refine(policy, machine);
    return 0;
}
