#include "node/stream_conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/guid.h"
#include "base/log.h"
#include "node/access.h"
#include "node/destination.h"
#include "node/ini.h"

#define PERIOD_S         86400u
#define STEP_S           600u
#define UPDATE_EVERY_MAX 86400u

struct reading {
    struct qr_stream_conf *conf;
    const char *path;
    char *sentence;
    size_t sentence_bytes;
    bool failed;
    uint64_t told; /* Rows of options without effect that the log has a line of. */
};

/* One line of the file; or, without a section, of a key in the log. */
struct line {
    struct reading *reading;
    const char *section, *key, *value;
};

static int refuse(const struct line *line, const char *why)
{
    struct reading *reading = line->reading;
    if (!reading->failed && line->section == NULL)
        snprintf(reading->sentence, reading->sentence_bytes, "%s = %s: %s.", line->key, line->value,
                 why);
    else if (!reading->failed)
        snprintf(reading->sentence, reading->sentence_bytes, "%s: [%s] %s = %s: %s.", reading->path,
                 line->section, line->key, line->value, why);
    reading->failed = true;
    return 0;
}

/* ---- values: 1, or 0 after a refusal ---- */

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

static int set_flag(const struct line *line, bool *has, bool *flag)
{
    int yes = parse_yes(line->value);
    if (yes < 0)
        return refuse(line, "neither yes nor no");
    *has = true;
    *flag = yes == 1;
    return 1;
}

/* The seconds of the unit at *text, which it steps over; 0: none. */
static uint64_t take_unit(const char **text)
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"s", 1},      {"m", 60},       {"h", 3600},     {"d", 86400},
                 {"w", 604800}, {"mo", 2592000}, {"y", 31536000}, {"", 1}};
    size_t len = 0;
    while (isalpha((unsigned char)(*text)[len]))
        len++;
    for (size_t i = 0; i < QR_COUNT(units); i++)
        if (strlen(units[i].unit) == len && strncmp(*text, units[i].unit, len) == 0) {
            *text += len;
            return units[i].seconds;
        }
    return 0;
}

/* 600, 10m, 1d, 1h30m. */
static int set_seconds(const struct line *line, uint32_t *seconds)
{
    const char *p = line->value;
    uint64_t all = 0, unit = 1;
    do {
        char *end;
        errno = 0;
        unsigned long number = strtoul(p, &end, 10);
        if (errno != 0 || !isdigit((unsigned char)*p) || number > UINT32_MAX)
            break;
        p = end;
        unit = take_unit(&p);
        all += number * unit;
        p += strspn(p, " ");
        if (unit == 0 || all > UINT32_MAX)
            break;
        if (*p == '\0') {
            *seconds = (uint32_t)all;
            return 1;
        }
    } while (true);
    return refuse(line, "not a duration such as 600, 10m or 1d");
}

static int set_number(const struct line *line, uint32_t min, uint32_t max, uint32_t *number)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(line->value, &end, 10);
    if (errno != 0 || end == line->value || *end != '\0' || line->value[0] == '-' || value < min ||
        value > max)
        return refuse(line, "not a number, or not one that is taken here");
    *number = (uint32_t)value;
    return 1;
}

/* 10485760, 10MiB, 512KiB. */
static int set_bytes(const struct line *line, uint32_t *bytes)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {{"", 1},           {"B", 1},          {"KiB", 1024},      {"K", 1024},
                 {"KB", 1000},      {"MiB", 1u << 20}, {"M", 1u << 20},    {"MB", 1000000},
                 {"GiB", 1u << 30}, {"G", 1u << 30},   {"GB", 1000000000u}};
    char *end;
    errno = 0;
    unsigned long long number = strtoull(line->value, &end, 10);
    for (size_t i = 0; i < QR_COUNT(units); i++) {
        if (errno != 0 || end == line->value || line->value[0] == '-' ||
            strcmp(end, units[i].unit) != 0 || number > UINT32_MAX / units[i].bytes)
            continue;
        *bytes = (uint32_t)(number * units[i].bytes);
        return 1;
    }
    return refuse(line, "not a size such as 10485760 or 10MiB");
}

static int set_string(const struct line *line, char **string)
{
    free(*string);
    *string = strdup(line->value);
    return *string != NULL ? 1 : refuse(line, "no memory to keep it");
}

/* ---- options that do something here ---- */

typedef int (*set_fn)(const struct line *line, struct qr_stream_section *section);

static int set_type(const struct line *line, struct qr_stream_section *section)
{
    section->has_type = true;
    section->is_machine = strcmp(line->value, "machine") == 0;
    return section->is_machine || strcmp(line->value, "api") == 0
               ? 1
               : refuse(line, "neither api nor machine");
}

static int set_enabled(const struct line *line, struct qr_stream_section *section)
{
    return set_flag(line, &section->has_enabled, &section->enabled);
}

static int set_allow_from(const struct line *line, struct qr_stream_section *section)
{
    return set_string(line, &section->allow_from);
}

static int set_update_every(const struct line *line, struct qr_stream_section *section)
{
    if (!set_seconds(line, &section->update_every))
        return 0;
    return section->update_every <= UPDATE_EVERY_MAX ? 1 : refuse(line, "longer than a day");
}

static int set_compression(const struct line *line, struct qr_stream_section *section)
{
    return set_flag(line, &section->has_compression, &section->compression);
}

static int set_order(const struct line *line, struct qr_stream_section *section)
{
    section->has_order = true;
    return qr_compression_order_parse(&section->order, qr_slice_str(line->value)) == 0
               ? 1
               : refuse(line, "not a list of zstd, lz4, brotli and gzip");
}

static int set_replication(const struct line *line, struct qr_stream_section *section)
{
    return set_flag(line, &section->has_replication, &section->replication);
}

static int set_period(const struct line *line, struct qr_stream_section *section)
{
    return set_seconds(line, &section->period_s);
}

static int set_step(const struct line *line, struct qr_stream_section *section)
{
    return set_seconds(line, &section->step_s);
}

/* ---- where hosts are streamed on ---- */

static struct qr_stream_sender *sender_of(const struct line *line)
{
    return &line->reading->conf->sender;
}

/* Of the section, or of [stream], which is no section. */
static struct qr_stream_forwarding *forwarding_of(const struct line *line,
                                                  struct qr_stream_section *section)
{
    return section != NULL ? &section->forwarding : &sender_of(line)->forwarding;
}

static int set_forwards(const struct line *line, struct qr_stream_section *section)
{
    struct qr_stream_forwarding *forwarding = forwarding_of(line, section);
    return set_flag(line, &forwarding->has_enabled, &forwarding->enabled);
}

static int set_destination(const struct line *line, struct qr_stream_section *section)
{
    struct qr_destination list[QR_DESTINATIONS_MAX];
    const char *why;
    if (qr_destinations_parse(list, qr_slice_str(line->value), "19999", &why) < 0)
        return refuse(line, why);
    return set_string(line, &forwarding_of(line, section)->destination);
}

static int set_api_key(const struct line *line, struct qr_stream_section *section)
{
    struct qr_guid key;
    if (line->value[0] != '\0' && qr_guid_parse(&key, qr_slice_str(line->value)) != 0)
        return refuse(line, "not a UUID");
    return set_string(line, &forwarding_of(line, section)->api_key);
}

static int set_charts(const struct line *line, struct qr_stream_section *section)
{
    return set_string(line, &forwarding_of(line, section)->charts);
}

static int set_timeout(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_seconds(line, &sender_of(line)->timeout_s);
}

static int set_default_port(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_number(line, 1, 65535, &sender_of(line)->default_port);
}

static int set_buffer(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_bytes(line, &sender_of(line)->buffer_bytes);
}

static int set_reconnect(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_seconds(line, &sender_of(line)->reconnect_delay_s);
}

static int set_compresses(const struct line *line, struct qr_stream_section *section)
{
    bool has;
    (void)section;
    return set_flag(line, &has, &sender_of(line)->compression);
}

static int set_skip(const struct line *line, struct qr_stream_section *section)
{
    bool has;
    (void)section;
    return set_flag(line, &has, &sender_of(line)->skip_verification);
}

static int set_brotli(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_number(line, 0, QR_BROTLI_LEVEL_MAX, &sender_of(line)->levels.brotli);
}

static int set_zstd(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_number(line, 1, QR_ZSTD_LEVEL_MAX, &sender_of(line)->levels.zstd);
}

static int set_gzip(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_number(line, 1, QR_GZIP_LEVEL_MAX, &sender_of(line)->levels.gzip);
}

static int set_lz4(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_number(line, 1, QR_LZ4_ACCELERATION_MAX, &sender_of(line)->levels.lz4_acceleration);
}

static int set_ca_path(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_string(line, &sender_of(line)->ca_path);
}

static int set_ca_file(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return set_string(line, &sender_of(line)->ca_file);
}

/* ---- options that are refused where they would promise something ---- */

static int refuse_yes(const struct line *line, const char *why)
{
    int yes = parse_yes(line->value);
    if (yes < 0)
        return refuse(line, "neither yes nor no");
    return yes == 0 ? 1 : refuse(line, why);
}

static int check_h2o(const struct line *line, struct qr_stream_section *section)
{
    (void)section;
    return refuse_yes(line, "no Netdata has that server any more: say no, or leave it out");
}

static int set_ephemeral(const struct line *line, struct qr_stream_section *section)
{
    return set_flag(line, &section->has_ephemeral, &section->ephemeral);
}

static int check_db(const struct line *line, struct qr_stream_section *section)
{
    static const char *const modes[] = {"dbengine", "ram", "alloc", "save", "map"};
    (void)section;
    for (size_t i = 0; i < QR_COUNT(modes); i++)
        if (strcasecmp(line->value, modes[i]) == 0)
            return 1; /* All of them are the cluster's store. */
    return refuse(line, strcasecmp(line->value, "none") == 0
                            ? "a member keeps what it is sent: disable the key instead"
                            : "none of dbengine, ram, alloc, save and map");
}

/* ---- the table ---- */

#define NAMES_MAX 4

/* KEY: also of a key in the log. */
enum place { SENDER = 1, RECEIVER = 2, KEY = 4 };

#define NO_ALARMS "this build has no alarms"
/* Their parent's key would lie in the log in clear, and where hosts go is this member's matter. */
#define OF_THE_FILE                                                                                \
    "a key in the log cannot say it: write it into stream.conf, under the key, the machine's "     \
    "GUID "                                                                                        \
    "or [stream]"

static const struct row {
    unsigned places;
    set_fn set; /* NULL: without effect here; `why`. */
    const char *names[NAMES_MAX + 1];
    const char *why;
} rows[] = {
    {RECEIVER, set_type, {"type"}},
    {RECEIVER, set_enabled, {"enabled"}},
    {RECEIVER | KEY, set_allow_from, {"allow from"}},
    {RECEIVER | KEY, set_update_every, {"update every"}},
    {RECEIVER | KEY, set_compression, {"enable compression"}},
    {RECEIVER | KEY, set_order, {"compression algorithms order"}},
    {RECEIVER | KEY, set_replication, {"enable replication"}},
    {RECEIVER | KEY, set_period, {"replication period", "seconds to replicate"}},
    {RECEIVER | KEY,
     set_step,
     {"replication step", "seconds per replication step", "replication_step"}},
    {RECEIVER, check_db, {"db", "memory mode", "default memory mode"}},
    {RECEIVER,
     NULL,
     {"retention", "history", "default history"},
     "retention is the cluster's: [store] of quorate.conf"},
    {RECEIVER, NULL, {"health enabled", "health enabled by default"}, NO_ALARMS},
    {RECEIVER,
     NULL,
     {"postpone alerts on connect", "postpone alarms on connect seconds",
      "default postpone alarms on connect seconds"},
     NO_ALARMS},
    {RECEIVER, NULL, {"health log retention", "default health log history"}, NO_ALARMS},
    {RECEIVER, set_forwards, {"proxy enabled", "default proxy enabled"}, OF_THE_FILE},
    {RECEIVER, set_destination, {"proxy destination", "default proxy destination"}, OF_THE_FILE},
    {RECEIVER, set_api_key, {"proxy api key", "default proxy api key"}, OF_THE_FILE},
    {RECEIVER,
     set_charts,
     {"proxy send charts matching", "default proxy send charts matching"},
     OF_THE_FILE},
    {RECEIVER | KEY, set_ephemeral, {"is ephemeral node"}},
    {SENDER, set_forwards, {"enabled"}},
    {SENDER, set_destination, {"destination"}},
    {SENDER, set_api_key, {"api key"}},
    {SENDER, set_timeout, {"timeout", "timeout seconds"}},
    {SENDER, set_default_port, {"default port"}},
    {SENDER, set_buffer, {"buffer size", "buffer size bytes"}},
    {SENDER, set_reconnect, {"reconnect delay", "reconnect delay seconds"}},
    {SENDER, NULL, {"initial clock resync iterations"}, "times come from the store"},
    {SENDER, set_charts, {"send charts matching"}},
    {SENDER, set_compresses, {"enable compression"}},
    {SENDER, set_brotli, {"brotli compression level"}},
    {SENDER, set_zstd, {"zstd compression level"}},
    {SENDER, set_gzip, {"gzip compression level"}},
    {SENDER, set_lz4, {"lz4 compression acceleration"}},
    {SENDER, check_h2o, {"parent using h2o"}},
    {SENDER, set_skip, {"ssl skip certificate verification"}},
    {SENDER, set_ca_path, {"CApath"}},
    {SENDER, set_ca_file, {"CAfile"}},
};

const char *const *qr_stream_conf_names(size_t i)
{
    return i < QR_COUNT(rows) ? rows[i].names : NULL;
}

static const struct row *row_of(enum place place, const char *key)
{
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        for (size_t k = 0; (rows[i].places & place) != 0 && rows[i].names[k] != NULL; k++)
            if (strcmp(rows[i].names[k], key) == 0)
                return &rows[i];
    return NULL;
}

/* ---- reading ---- */

/* The section of the line's name; NULL after a refusal. */
static struct qr_stream_section *section_of(const struct line *line)
{
    struct qr_stream_conf *conf = line->reading->conf;
    for (size_t i = conf->n; i-- > 0;) /* Mostly the last one. */
        if (strcmp(conf->sections[i].name, line->section) == 0)
            return &conf->sections[i];
    if (conf->n == QR_STREAM_SECTIONS_MAX || strlen(line->section) >= sizeof conf->sections->name) {
        refuse(line, "too many sections, or its name is too long");
        return NULL;
    }
    if (conf->n == conf->capacity) {
        size_t capacity = conf->capacity == 0 ? 16 : 2 * conf->capacity;
        struct qr_stream_section *grown = realloc(conf->sections, capacity * sizeof *grown);
        if (grown == NULL) {
            refuse(line, "no memory to read it");
            return NULL;
        }
        conf->sections = grown;
        conf->capacity = capacity;
    }
    struct qr_stream_section *section = &conf->sections[conf->n++];
    *section = (struct qr_stream_section){0};
    snprintf(section->name, sizeof section->name, "%s", line->section);
    return section;
}

/* Once for each option, however many sections have it. */
static int tell_no_effect(const struct line *line, const struct row *row)
{
    uint64_t bit = 1ull << (row - rows);
    static_assert(QR_COUNT(rows) <= 64, "a bit for each row");
    if ((line->reading->told & bit) == 0)
        qr_warn("option without effect here: %s file=%s section=[%s] option=\"%s\"", row->why,
                line->reading->path, line->section, line->key);
    line->reading->told |= bit;
    return 1;
}

static int on_option(void *data, const char *name, const char *key, const char *value)
{
    struct line line = {data, name, key, value};
    bool sender = strcmp(name, "stream") == 0;
    if (name[0] == '\0') {
        qr_warn("an option before the first [section] has no effect file=%s option=\"%s\"",
                line.reading->path, key);
        return 1;
    }
    struct qr_stream_section *section = sender ? NULL : section_of(&line);
    if (!sender && section == NULL)
        return 0;
    const struct row *row = row_of(sender ? SENDER : RECEIVER, key);
    if (row == NULL) {
        qr_warn("unknown option, without effect file=%s section=[%s] option=\"%s\"",
                line.reading->path, name, key);
        return 1;
    }
    return row->set == NULL ? tell_no_effect(&line, row) : row->set(&line, section);
}

static const struct qr_stream_sender sender_defaults = {
    .timeout_s = 300,
    .reconnect_delay_s = 5,
    .default_port = 19999,
    .buffer_bytes = 10u << 20,
    .compression = true,
};

/* Who is to be streamed on must have somewhere to go. */
static void check_forwarding(struct reading *reading, const char *name,
                             const struct qr_stream_forwarding *own)
{
    const struct qr_stream_forwarding *general = &reading->conf->sender.forwarding;
    bool on = own->has_enabled ? own->enabled : general->enabled;
    const char *destination = own->destination != NULL ? own->destination : general->destination;
    const char *api_key = own->api_key != NULL ? own->api_key : general->api_key;
    const char *lacks = destination == NULL || destination[0] == '\0' ? "destination"
                        : api_key == NULL || api_key[0] == '\0'       ? "api key"
                                                                      : NULL;
    if (!on || lacks == NULL || reading->failed)
        return;
    snprintf(reading->sentence, reading->sentence_bytes,
             "%s: [%s] children are to be streamed on, but there is no `%s`.", reading->path, name,
             lacks);
    reading->failed = true;
}

static void check_all_forwarding(struct reading *reading)
{
    check_forwarding(reading, "stream", &reading->conf->sender.forwarding);
    for (size_t i = 0; i < reading->conf->n; i++)
        check_forwarding(reading, reading->conf->sections[i].name,
                         &reading->conf->sections[i].forwarding);
}

int qr_stream_conf_read(struct qr_stream_conf *conf, const char *path, char *sentence,
                        size_t sentence_bytes)
{
    struct qr_stream_conf read = {.sender = sender_defaults};
    read.sender.levels = qr_compression_levels_default;
    struct reading reading = {&read, path, sentence, sentence_bytes, false, 0};
    if (qr_ini_parse(path, on_option, &reading, sentence, sentence_bytes) != 0)
        reading.failed = true;
    check_all_forwarding(&reading);
    if (reading.failed) {
        qr_stream_conf_release(&read);
        return QR_E_CONFIG;
    }
    *conf = read;
    return 0;
}

static void release_forwarding(struct qr_stream_forwarding *forwarding)
{
    free(forwarding->destination);
    free(forwarding->api_key);
    free(forwarding->charts);
}

void qr_stream_conf_release(struct qr_stream_conf *conf)
{
    for (size_t i = 0; i < conf->n; i++)
        qr_stream_section_release(&conf->sections[i]);
    free(conf->sections);
    release_forwarding(&conf->sender.forwarding);
    free(conf->sender.ca_path);
    free(conf->sender.ca_file);
    *conf = (struct qr_stream_conf){0};
}

/* ---- a key in the log ---- */

void qr_stream_section_release(struct qr_stream_section *section)
{
    free(section->allow_from);
    release_forwarding(&section->forwarding);
    *section = (struct qr_stream_section){0};
}

static struct qr_slice trimmed(struct qr_slice text)
{
    while (text.len > 0 && isspace((unsigned char)text.base[0]))
        text = qr_slice_of(text.base + 1, text.len - 1);
    while (text.len > 0 && isspace((unsigned char)text.base[text.len - 1]))
        text.len--;
    return text;
}

/* The part before the first `end`, which is taken from `text` with it. */
static struct qr_slice take_until(struct qr_slice *text, char end)
{
    const char *at = text->len > 0 ? memchr(text->base, end, text->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - text->base) : text->len;
    struct qr_slice part = qr_slice_of(text->base, len);
    size_t used = at != NULL ? len + 1 : len;
    *text = qr_slice_of(text->base + used, text->len - used);
    return part;
}

static void read_policy_line(struct reading *reading, struct qr_slice text,
                             struct qr_stream_section *section)
{
    char key[64], value[512];
    struct qr_slice name = trimmed(take_until(&text, '='));
    text = trimmed(text);
    snprintf(key, sizeof key, "%.*s", (int)name.len, name.base);
    snprintf(value, sizeof value, "%.*s", (int)text.len, text.base);
    struct line line = {reading, NULL, key, value};
    const struct row *row = row_of(KEY, key);
    const struct row *other = row_of(RECEIVER, key);
    if (row == NULL || name.len >= sizeof key)
        refuse(&line, other != NULL && other->why != NULL ? other->why
                                                          : "a key in the log has no such option");
    else if (text.len == 0 || text.len >= sizeof value)
        refuse(&line, "the value is missing, or too long");
    else
        row->set(&line, section);
}

int qr_stream_section_parse(struct qr_stream_section *section, struct qr_slice policy,
                            char *sentence, size_t sentence_bytes)
{
    struct qr_stream_section read = {.has_enabled = true, .enabled = true};
    struct reading reading = {.sentence = sentence, .sentence_bytes = sentence_bytes};
    while (policy.len > 0 && !reading.failed) {
        struct qr_slice text = trimmed(take_until(&policy, '\n'));
        if (text.len > 0)
            read_policy_line(&reading, text, &read);
    }
    if (reading.failed) {
        qr_stream_section_release(&read);
        return QR_E_CONFIG;
    }
    *section = read;
    return 0;
}

/* ---- asking ---- */

static const struct qr_stream_section *find(const struct qr_stream_conf *conf, struct qr_slice name)
{
    for (size_t i = 0; i < conf->n; i++)
        if (qr_slice_is(name, conf->sections[i].name))
            return &conf->sections[i];
    return NULL;
}

static bool allows(const struct qr_stream_section *section, const char *peer_ip)
{
    return section->allow_from == NULL || qr_access_matches(section->allow_from, peer_ip);
}

static void refine(struct qr_stream_policy *policy, const struct qr_stream_section *section)
{
    if (section->has_replication)
        policy->replication = section->replication;
    if (section->has_compression)
        policy->compression = section->compression;
    if (section->has_order)
        policy->compressions = section->order;
    if (section->has_ephemeral)
        policy->ephemeral = section->ephemeral;
    if (section->period_s != 0)
        policy->period_s = section->period_s;
    if (section->step_s != 0)
        policy->step_s = section->step_s;
    if (section->update_every != 0)
        policy->update_every = section->update_every;
}

int qr_stream_conf_check(const struct qr_stream_conf *conf, const struct qr_stream_section *in_log,
                         struct qr_slice api_key, struct qr_slice machine_guid, const char *peer_ip,
                         struct qr_stream_policy *policy, const char **reason)
{
    const struct qr_stream_section *in_file = find(conf, api_key);
    const struct qr_stream_section *key = in_file != NULL ? in_file : in_log;
    const struct qr_stream_section *machine = find(conf, machine_guid);
    *reason = NULL;
    if (key == NULL)
        *reason = "its API key is neither in stream.conf nor in the log";
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
    *policy = (struct qr_stream_policy){.replication = true,
                                        .compression = true,
                                        .period_s = PERIOD_S,
                                        .step_s = STEP_S,
                                        .compressions = qr_compression_order_default};
    refine(policy, key);
    if (machine != NULL)
        refine(policy, machine);
    return 0;
}

/* ---- streamed on ---- */

static void refine_forwarding(struct qr_stream_forwarding *to,
                              const struct qr_stream_forwarding *from)
{
    if (from->has_enabled)
        to->enabled = from->enabled;
    if (from->destination != NULL)
        to->destination = from->destination;
    if (from->api_key != NULL)
        to->api_key = from->api_key;
    if (from->charts != NULL)
        to->charts = from->charts;
}

bool qr_stream_conf_target(const struct qr_stream_conf *conf, struct qr_slice api_key,
                           struct qr_slice machine_guid, struct qr_stream_target *target)
{
    struct qr_stream_forwarding all = conf->sender.forwarding;
    const struct qr_stream_section *key = find(conf, api_key);
    const struct qr_stream_section *machine = find(conf, machine_guid);
    if (key != NULL)
        refine_forwarding(&all, &key->forwarding);
    if (machine != NULL)
        refine_forwarding(&all, &machine->forwarding);
    if (!all.enabled || all.destination == NULL || all.api_key == NULL)
        return false;
    *target = (struct qr_stream_target){all.destination, all.api_key,
                                        all.charts != NULL ? all.charts : "*"};
    return true;
}

bool qr_stream_conf_forwards(const struct qr_stream_conf *conf)
{
    bool some = conf->sender.forwarding.enabled;
    for (size_t i = 0; i < conf->n && !some; i++)
        some = conf->sections[i].forwarding.enabled;
    return some;
}
