#include "testing/cluster.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/pki.h"

#define LINK_PORTS 100
#define STATUS_MS  10000

/* ---- files ---- */

static void random_uuid(char text[40])
{
    FILE *file = fopen("/proc/sys/kernel/random/uuid", "r");
    assert(file != NULL);
    int n = fscanf(file, "%39s", text);
    assert(n == 1);
    fclose(file);
}

static void find_program(struct qr_cluster *cluster, const char *bin_dir)
{
    if (bin_dir == NULL)
        bin_dir = getenv("QUORATE_BUILD");
    if (bin_dir == NULL)
        bin_dir = QR_BUILD_DIR;
    snprintf(cluster->program, sizeof cluster->program, "%s/node/quorated", bin_dir);
}

static int make_certificates(struct qr_cluster *cluster)
{
    char ca[512], ca_key[512], reason[QR_PKI_REASON_BYTES];
    snprintf(ca, sizeof ca, "%s/ca.crt", cluster->dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", cluster->dir);
    int err = qr_pki_make_ca(ca, ca_key, "test cluster", reason);
    for (unsigned id = 1; err == 0 && id <= cluster->n + cluster->n_spare; id++) {
        char cert[512], key[512], name[32], uri[128];
        snprintf(cert, sizeof cert, "%s/member.crt", cluster->members[id].dir);
        snprintf(key, sizeof key, "%s/member.key", cluster->members[id].dir);
        snprintf(name, sizeof name, "member-%u", id);
        snprintf(uri, sizeof uri, "quorate://%s/%u", cluster->cluster_id, id);
        struct qr_pki_request request = {.cert_file = cert,
                                         .key_file = key,
                                         .ca_cert_file = ca,
                                         .ca_key_file = ca_key,
                                         .common_name = name,
                                         .uri = uri};
        err = qr_pki_make_cert(&request, reason);
    }
    if (err != 0)
        fprintf(stderr, "cluster: %s\n", reason);
    return err;
}

static void add_number(char *text, size_t bytes, const char *key, uint32_t value)
{
    size_t len = strlen(text);
    if (value > 0)
        snprintf(text + len, bytes - len, "%s = %u\n", key, value);
}

static void write_conf(const struct qr_cluster *cluster, const struct qr_cluster_options *o,
                       unsigned id)
{
    const struct qr_cluster_member *member = &cluster->members[id];
    char path[512], peers[1024] = "", timing[512] = "", store[256] = "", web[256] = "";
    for (unsigned peer = 1; peer <= cluster->n; peer++) {
        size_t len = strlen(peers);
        snprintf(peers + len, sizeof peers - len, "member %u = %s\n", peer,
                 cluster->members[peer].link);
    }
    add_number(timing, sizeof timing, "election timeout ms", o->election_timeout_ms);
    add_number(timing, sizeof timing, "heartbeat ms", o->heartbeat_ms);
    add_number(timing, sizeof timing, "snapshot threshold", o->snapshot_threshold);
    add_number(timing, sizeof timing, "snapshot trailing", o->snapshot_trailing);
    add_number(store, sizeof store, "window seconds", o->window_s);
    add_number(store, sizeof store, "disk reserve MiB", o->disk_reserve_mib);
    add_number(store, sizeof store, "cleanup ephemeral hosts after secs", o->ephemeral_after_s);
    add_number(web, sizeof web, "tick ms", o->tick_ms);
    add_number(web, sizeof web, "vanished after seconds", o->vanished_s);
    if (o->tls)
        snprintf(web + strlen(web), sizeof web - strlen(web),
                 "certificate = member.crt\nkey = member.key\n");
    if (o->hosts != NULL) /* The test is on none of the members' machines. */
        snprintf(web + strlen(web), sizeof web - strlen(web), "allow management from = *\n");
    const char *data = o->data_dirs != NULL ? o->data_dirs[id - 1] : NULL;
    snprintf(path, sizeof path, "%s/quorate.conf", member->dir);
    if (o->alone)
        qr_write_file(path,
                      "[member]\nname = member-%u\nlisten = %s\n[web]\n%s\n[store]\n%s\n"
                      "[log]\nlevel = %s\n",
                      id, member->http, web, store, o->log_level != NULL ? o->log_level : "info");
    else
        qr_write_file(path,
                      "[member]\nid = %u\nname = member-%u\ndata = %s\nlisten = %s\nlink = %s\n\n"
                      "[cluster]\nname = test\nid = %s\n%s%s\n"
                      "[tls]\nca = ../ca.crt\ncertificate = member.crt\nkey = member.key\n\n"
                      "[web]\n%s\n[store]\n%s\n[log]\nlevel = %s\n",
                      id, id, data != NULL ? data : "data", member->http, member->link,
                      cluster->cluster_id, peers, timing, web, store,
                      o->log_level != NULL ? o->log_level : "info");
}

static void write_stream_conf(const struct qr_cluster *cluster, unsigned id,
                              const char *destinations, const char *api_key)
{
    char path[512], upstream[2048] = "";
    if (destinations != NULL)
        snprintf(upstream, sizeof upstream,
                 "[stream]\n    enabled = yes\n    destination = %s\n    api key = %s\n"
                 "    reconnect delay = 1\n    timeout = 10\n",
                 destinations, api_key);
    snprintf(path, sizeof path, "%s/stream.conf", cluster->members[id].dir);
    qr_write_file(path, "%s[%s]\n    enabled = yes\n    allow from = *\n", upstream,
                  cluster->api_key);
}

void qr_cluster_set_upstream(struct qr_cluster *cluster, const char *destinations,
                             const char *api_key)
{
    for (unsigned id = 1; id <= cluster->n + cluster->n_spare; id++)
        write_stream_conf(cluster, id, destinations, api_key);
}

static void place_member(struct qr_cluster *cluster, const struct qr_cluster_options *o,
                         unsigned id)
{
    struct qr_cluster_member *member = &cluster->members[id];
    const char *host = o->hosts != NULL ? o->hosts[id - 1] : "127.0.0.1";
    unsigned port = cluster->base_port + id - 1;
    char dir[QR_TEMP_DIR_BYTES]; /* Not the same object, for -Wrestrict. */
    memcpy(dir, cluster->dir, sizeof dir);
    snprintf(member->dir, sizeof member->dir, "%s/member-%u", dir, id);
    int err = mkdir(member->dir, 0700);
    assert(err == 0);
    snprintf(member->http, sizeof member->http, "%s:%u", host, port);
    snprintf(member->link, sizeof member->link, "%s:%u", host, port + LINK_PORTS);
    snprintf(member->url, sizeof member->url, "http://%s:%u", host, port);
    member->netns_fd = o->netns_fds != NULL ? o->netns_fds[id - 1] : -1;
    member->environment = o->environments != NULL ? o->environments[id - 1] : NULL;
}

int qr_cluster_create(struct qr_cluster *cluster, const struct qr_cluster_options *options)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->n = options->n > 0 ? options->n : 3;
    cluster->n_spare = options->n_spare;
    unsigned n_all = cluster->n + cluster->n_spare;
    assert(n_all <= QR_CLUSTER_MEMBERS_MAX);
    find_program(cluster, options->bin_dir);
    random_uuid(cluster->api_key);
    if (options->api_key != NULL)
        snprintf(cluster->api_key, sizeof cluster->api_key, "%s", options->api_key);
    random_uuid(cluster->cluster_id);
    cluster->base_port = options->base_port != 0 ? options->base_port : qr_free_ports(n_all);
    qr_temp_dir(cluster->dir, options->name);
    int err = qr_fetch_init(&cluster->fetch);
    if (err != 0)
        return err;
    for (unsigned id = 1; id <= n_all; id++)
        place_member(cluster, options, id);
    err = make_certificates(cluster);
    for (unsigned id = 1; err == 0 && id <= n_all; id++)
        write_conf(cluster, options, id);
    qr_cluster_set_upstream(cluster, options->upstream, options->upstream_key);
    return err;
}

void qr_cluster_release(struct qr_cluster *cluster, bool keep)
{
    for (unsigned id = 1; id <= cluster->n; id++) {
        qr_cluster_resume(cluster, id);
        qr_process_signal(&cluster->members[id].process, SIGTERM);
    }
    for (unsigned id = 1; id <= cluster->n; id++)
        qr_cluster_stop(cluster, id);
    qr_fetch_release(&cluster->fetch);
    if (keep)
        fprintf(stderr, "the cluster's files are kept in %s\n", cluster->dir);
    else
        qr_remove_dir(cluster->dir);
}

/* ---- a member ---- */

int qr_cluster_start(struct qr_cluster *cluster, unsigned id)
{
    struct qr_cluster_member *member = &cluster->members[id];
    char conf[512], log[512], name[32];
    snprintf(conf, sizeof conf, "%s/quorate.conf", member->dir);
    snprintf(log, sizeof log, "%s/quorated.log", member->dir);
    snprintf(name, sizeof name, "member %u", id);
    const char *argv[8 + QR_CLUSTER_ENVIRONMENT_MAX] = {"env"};
    size_t n = 1;
    for (size_t i = 0; member->environment != NULL && member->environment[i] != NULL; i++) {
        assert(i < QR_CLUSTER_ENVIRONMENT_MAX);
        argv[n++] = member->environment[i];
    }
    argv[n++] = cluster->program;
    argv[n++] = "-c";
    argv[n++] = conf;
    member->paused = false;
    return qr_process_start(&member->process, name, log, member->netns_fd,
                            member->environment != NULL ? argv : argv + 1);
}

int qr_cluster_start_all(struct qr_cluster *cluster)
{
    int err = 0;
    for (unsigned id = 1; id <= cluster->n && err == 0; id++)
        err = qr_cluster_start(cluster, id);
    return err;
}

int qr_cluster_start_spare(struct qr_cluster *cluster)
{
    assert(cluster->n_spare > 0);
    cluster->n_spare--;
    return qr_cluster_start(cluster, ++cluster->n);
}

int qr_cluster_members(const struct qr_cluster *cluster, unsigned id, const char *verb, ...)
{
    char program[512];
    const char *argv[12] = {program, "members", "--url", cluster->members[id].url, verb};
    unsigned n = 5;
    va_list words;
    snprintf(program, sizeof program, "%s/node/ctl/quoratectl", QR_BUILD_DIR);
    va_start(words, verb);
    while (n < 11 && (argv[n] = va_arg(words, const char *)) != NULL)
        n++;
    va_end(words);
    return qr_process_run(argv);
}

void qr_cluster_wipe(const struct qr_cluster *cluster, unsigned id)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s/data", cluster->members[id].dir);
    qr_remove_dir(dir);
}

void qr_cluster_kill(struct qr_cluster *cluster, unsigned id)
{
    qr_process_kill(&cluster->members[id].process);
}

bool qr_cluster_stop(struct qr_cluster *cluster, unsigned id)
{
    return qr_process_stop(&cluster->members[id].process, 10000);
}

void qr_cluster_pause(struct qr_cluster *cluster, unsigned id)
{
    cluster->members[id].paused = true;
    qr_process_signal(&cluster->members[id].process, SIGSTOP);
}

void qr_cluster_resume(struct qr_cluster *cluster, unsigned id)
{
    cluster->members[id].paused = false;
    qr_process_signal(&cluster->members[id].process, SIGCONT);
}

bool qr_cluster_running(struct qr_cluster *cluster, unsigned id)
{
    return qr_process_alive(&cluster->members[id].process) && !cluster->members[id].paused;
}

json_t *qr_cluster_status(struct qr_cluster *cluster, unsigned id)
{
    if (!qr_cluster_running(cluster, id))
        return NULL;
    int code = qr_fetch_get(&cluster->fetch, STATUS_MS, "%s/api/quorate/v1/status",
                            cluster->members[id].url);
    return code == 200 ? qr_fetch_json(&cluster->fetch) : NULL;
}

static int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* ---- leader and owner ---- */

unsigned qr_cluster_leader(struct qr_cluster *cluster)
{
    unsigned votes[QR_CLUSTER_MEMBERS_MAX + 1] = {0};
    for (unsigned id = 1; id <= cluster->n; id++) {
        json_t *status = qr_cluster_status(cluster, id);
        int64_t leader = number(status, "leader");
        if (leader > 0 && leader <= cluster->n)
            votes[leader]++;
        json_decref(status);
    }
    for (unsigned id = 1; id <= cluster->n; id++)
        if (votes[id] > cluster->n / 2 && qr_cluster_running(cluster, id))
            return id;
    return 0;
}

struct leading {
    struct qr_cluster *cluster;
    unsigned leader;
};

static bool has_leader(void *data)
{
    struct leading *l = data;
    l->leader = qr_cluster_leader(l->cluster);
    return l->leader != 0;
}

unsigned qr_cluster_wait_leader(struct qr_cluster *cluster, uint64_t timeout_ms)
{
    struct leading l = {cluster, 0};
    qr_wait_for(has_leader, &l, timeout_ms, 50);
    return l.leader;
}

/* The child's object of a status, borrowed. */
static const json_t *find_child(const json_t *status, const char *guid)
{
    const json_t *children = json_object_get(status, "children");
    for (size_t i = 0; i < json_array_size(children); i++) {
        const json_t *child = json_array_get(children, i);
        const char *text = json_string_value(json_object_get(child, "guid"));
        if (text != NULL && strcmp(text, guid) == 0)
            return child;
    }
    return NULL;
}

unsigned qr_cluster_owner(struct qr_cluster *cluster, const char *guid)
{
    int64_t owner = 0, epoch = 0;
    for (unsigned id = 1; id <= cluster->n; id++) {
        json_t *status = qr_cluster_status(cluster, id);
        const json_t *child = find_child(status, guid);
        if (child != NULL && number(child, "epoch") >= epoch) {
            owner = number(child, "owner");
            epoch = number(child, "epoch");
        }
        json_decref(status);
    }
    return owner >= 0 && owner <= cluster->n ? (unsigned)owner : 0;
}

int64_t qr_cluster_watermark(struct qr_cluster *cluster, unsigned id, const char *guid)
{
    json_t *status = qr_cluster_status(cluster, id);
    int64_t watermark = number(find_child(status, guid), "watermark");
    json_decref(status);
    return watermark;
}

/* ---- the same state everywhere ---- */

struct catching_up {
    struct qr_cluster *cluster;
    int64_t applied;
};

static bool caught_up(void *data)
{
    struct catching_up *goal = data;
    for (unsigned id = 1; id <= goal->cluster->n; id++) {
        if (!qr_cluster_running(goal->cluster, id))
            continue;
        json_t *status = qr_cluster_status(goal->cluster, id);
        bool ready = status != NULL && json_is_true(json_object_get(status, "ready"));
        bool there = ready && number(status, "applied") >= goal->applied;
        json_decref(status);
        if (!there)
            return false;
    }
    return true;
}

bool qr_cluster_wait_caught_up(struct qr_cluster *cluster, uint64_t timeout_ms)
{
    struct catching_up goal = {cluster, 0};
    for (unsigned id = 1; id <= cluster->n; id++) {
        json_t *status = qr_cluster_status(cluster, id);
        if (number(status, "applied") > goal.applied)
            goal.applied = number(status, "applied");
        json_decref(status);
    }
    return qr_wait_for(caught_up, &goal, timeout_ms, 50);
}

/* What a member said of itself at some time. */
struct seen {
    unsigned member;
    int64_t applied;
    char hash[24];
};

struct comparing {
    struct qr_cluster *cluster;
    struct seen *seen;
    size_t n_seen, capacity;
    bool equal[QR_CLUSTER_MEMBERS_MAX + 1][QR_CLUSTER_MEMBERS_MAX + 1];
    bool different;
};

static void compare_with_seen(struct comparing *c, const struct seen *now)
{
    for (size_t i = 0; i < c->n_seen; i++) {
        const struct seen *then = &c->seen[i];
        if (then->applied != now->applied)
            continue;
        if (strcmp(then->hash, now->hash) != 0) {
            fprintf(stderr, "state differs at index %lld: member %u has %s, member %u has %s\n",
                    (long long)now->applied, then->member, then->hash, now->member, now->hash);
            c->different = true;
            return;
        }
        c->equal[then->member][now->member] = c->equal[now->member][then->member] = true;
        if (then->member == now->member)
            return;
    }
    if (c->n_seen == c->capacity) {
        c->capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        c->seen = realloc(c->seen, c->capacity * sizeof *c->seen);
        assert(c->seen != NULL);
    }
    c->seen[c->n_seen++] = *now;
}

static void compare_said(struct comparing *c, unsigned member, const json_t *said)
{
    struct seen now = {.member = member, .applied = number(said, "applied")};
    const char *hash = json_string_value(json_object_get(said, "hash"));
    if (hash == NULL || now.applied == 0 || member == 0 || member > c->cluster->n)
        return;
    snprintf(now.hash, sizeof now.hash, "%s", hash);
    compare_with_seen(c, &now);
}

/* What a member says of itself, and what it has heard from the others. */
static void compare_status(struct comparing *c, unsigned id)
{
    json_t *status = qr_cluster_status(c->cluster, id);
    const json_t *members = json_object_get(status, "members");
    compare_said(c, id, status);
    for (size_t i = 0; i < json_array_size(members) && !c->different; i++) {
        const json_t *member = json_array_get(members, i);
        compare_said(c, (unsigned)number(member, "id"), member);
    }
    json_decref(status);
}

static bool compared(void *data)
{
    struct comparing *c = data;
    bool all = true;
    for (unsigned id = 1; id <= c->cluster->n && !c->different; id++)
        compare_status(c, id);
    for (unsigned a = 1; a <= c->cluster->n; a++)
        for (unsigned b = a + 1; b <= c->cluster->n; b++)
            all = all && (c->equal[a][b] || !qr_cluster_running(c->cluster, a) ||
                          !qr_cluster_running(c->cluster, b));
    return all || c->different;
}

int qr_cluster_compare_hashes(struct qr_cluster *cluster, uint64_t timeout_ms)
{
    struct comparing c = {.cluster = cluster};
    bool all = qr_wait_for(compared, &c, timeout_ms, 10);
    free(c.seen);
    return c.different ? -1 : all;
}

void qr_cluster_destinations(const struct qr_cluster *cluster, unsigned first, char separator,
                             char *text, size_t text_bytes)
{
    size_t len = 0;
    for (unsigned i = 0; i < cluster->n && len < text_bytes; i++) {
        unsigned id = (first - 1 + i) % cluster->n + 1;
        len += (size_t)snprintf(text + len, text_bytes - len, "%.*s%s", i > 0, &separator,
                                cluster->members[id].http);
    }
    assert(len < text_bytes);
}

void qr_cluster_print_logs(const struct qr_cluster *cluster)
{
    for (unsigned id = 1; id <= cluster->n; id++)
        qr_process_print_log(&cluster->members[id].process, 40);
}

double qr_cluster_cpu_s(const struct qr_cluster *cluster)
{
    double cpu_s = 0;
    for (unsigned id = 1; id <= cluster->n; id++)
        cpu_s += qr_process_cpu_s(&cluster->members[id].process);
    return cpu_s;
}
