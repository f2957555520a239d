#include "testing/sim/hosts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "cluster/group.h"
#include "proto/caps.h"
#include "testing/sim/checks.h"
#include "testing/sim/fs.h"
#include "testing/sim/keys.h"
#include "testing/sim/net.h"
#include "testing/sim/operator.h"
#include "testing/sim/plants.h"

#define RESTART_MS  1000u
#define REFUSALS    3u     /* Starts that fail before somebody reads the log .. */
#define WIPE_MS     3000u  /* .. and empties the disk. */
#define LATE_MS     60000u /* A change that was asked for before may still take a new disk in. */
#define HTTP_PORT   19999
#define LINK_PORT   19998
#define CHILD_BYTES (1024u * 1024)
#define POSTPONED   0.05 /* Of Netdata's times: 3 s instead of a minute. */
#define API_KEY     "11111111-2222-3333-4444-555555555555"

/* What they offer: v1 text, and what later ones add to it. */
#define CAPS_137                                                                                   \
    (QR_CAP_V1 | QR_CAP_V2 | QR_CAP_VN | QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLAIM |            \
     QR_CAP_CLABELS | QR_CAP_LZ4 | QR_CAP_FUNCTIONS | QR_CAP_REPLICATION | QR_CAP_BINARY)
#define CAPS_29 (CAPS_137 | QR_CAP_INTERPOLATED | QR_CAP_IEEE754)

struct qr_sim_cluster qr_sim_cluster;

static uint64_t failovers_before; /* Of lives that ended. */

static const char stream_conf[] = "[" API_KEY "]\n"
                                  "    type = api\n"
                                  "    enabled = yes\n"
                                  "    allow from = *\n"
                                  "    enable replication = yes\n"
                                  "    seconds to replicate = 86400\n"
                                  "    seconds per replication step = 600\n"
                                  "    enable compression = yes\n";

/* ---- logs ---- */

static void add_line(struct qr_sim_ring *ring, const char *line, size_t n)
{
    char *kept = ring->lines[ring->n++ % QR_SIM_LINES];
    if (n > QR_SIM_LINE_BYTES - 1)
        n = QR_SIM_LINE_BYTES - 1;
    memcpy(kept, line, n);
    kept[n] = '\0';
}

static struct qr_sim_ring *ring_of(const struct qr_sim_host *host)
{
    if (host == NULL)
        return &qr_sim_cluster.world;
    if (host->id <= qr_sim_cluster.n_members)
        return &qr_sim_cluster.members[host->id - 1].ring;
    return &qr_sim_cluster.children[host->id - 1 - qr_sim_cluster.n_members].ring;
}

/* base/log's. */
static void take_line(enum qr_log_level level, const char *line, size_t n)
{
    (void)level;
    const struct qr_sim_host *host = qr_sim_host();
    while (n > 0 && line[n - 1] == '\n')
        n--;
    add_line(ring_of(host), line, n);
    if (qr_sim_cluster.options->verbose)
        fprintf(qr_sim_cluster.options->out, "%-9s %.*s\n", host != NULL ? host->name : "world",
                (int)n, line);
}

void qr_sim_say(const char *format, ...)
{
    char line[QR_SIM_LINE_BYTES];
    uint64_t ms = qr_sim_now_ns() / QR_SIM_MS;
    int n = snprintf(line, sizeof line, "%llu.%03llu ", (unsigned long long)ms / 1000,
                     (unsigned long long)ms % 1000);
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    add_line(&qr_sim_cluster.world, line, strlen(line));
    if (qr_sim_cluster.options->verbose)
        fprintf(qr_sim_cluster.options->out, "world     %s\n", line);
}

static void print_ring(const struct qr_sim_ring *ring, const char *name, FILE *out)
{
    if (ring->n == 0)
        return;
    fprintf(out, "-- %s\n", name);
    for (uint64_t i = ring->n < QR_SIM_LINES ? 0 : ring->n - QR_SIM_LINES; i < ring->n; i++)
        fprintf(out, "%s\n", ring->lines[i % QR_SIM_LINES]);
}

void qr_sim_rings_print(FILE *out)
{
    struct qr_sim_cluster *c = &qr_sim_cluster;
    print_ring(&c->world, "the world", out);
    for (uint32_t i = 0; i < c->n_members; i++)
        print_ring(&c->members[i].ring, c->members[i].host->name, out);
    for (uint32_t i = 0; i < c->n_children + QR_SIM_SPARES; i++)
        print_ring(&c->children[i].ring, c->children[i].host->name, out);
}

/* ---- members ---- */

static int member_main(void *data)
{
    struct qr_sim_member *member = data;
    uv_loop_t *loop = calloc(1, sizeof *loop);
    struct qr_node *node;
    assert(loop != NULL);
    int err = uv_loop_init(loop);
    if (err == 0)
        err = qr_node_start(&node, loop, &member->config);
    if (err != 0) {
        qr_error("this member cannot run error=\"%s\"", qr_strerror(err));
        return 1;
    }
    member->node = node;
    if (qr_sim_cluster.operated)
        qr_sim_operator_start(member, loop);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}

static void on_boot(struct qr_sim_event *event)
{
    struct qr_sim_member *member = QR_CONTAINER_OF(event, struct qr_sim_member, boot);
    member->commit = member->term = 0;
    member->ring.n_boot = member->ring.n;
    qr_sim_cluster.result->n_boots++;
    qr_sim_say("%s boots", member->host->name);
    qr_sim_host_boot(member->host, member_main, member);
}

struct qr_sim_member *qr_sim_member_of(const struct qr_sim_host *host)
{
    return host != NULL && host->id <= qr_sim_cluster.n_members
               ? &qr_sim_cluster.members[host->id - 1]
               : NULL;
}

static void boot_later(struct qr_sim_member *member)
{
    uint64_t at_ns = qr_sim_now_ns() + RESTART_MS * QR_SIM_MS;
    if (at_ns < member->held_until_ns)
        at_ns = member->held_until_ns;
    qr_sim_event_at(&member->boot, NULL, at_ns, on_boot);
}

void qr_sim_member_take(struct qr_sim_member *member, enum qr_sim_down how, uint64_t for_ms)
{
    uint64_t until_ns = qr_sim_now_ns() + for_ms * QR_SIM_MS;
    if (member->held_until_ns < until_ns)
        member->held_until_ns = until_ns;
    if (member->host->up)
        qr_sim_host_kill(member->host, how);
    else if (member->boot.place != 0)
        boot_later(member);
}

struct qr_sim_member *qr_sim_leader(void)
{
    struct qr_sim_member *leader = NULL;
    uint64_t term = 0;
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++) {
        struct qr_sim_member *member = &qr_sim_cluster.members[i];
        struct qr_group_status status;
        if (member->node == NULL || member->host->paused)
            continue;
        qr_group_get_status(qr_node_group(member->node), &status);
        if (status.role == QR_GROUP_LEADER && status.term > term) {
            leader = member;
            term = status.term;
        }
    }
    return leader;
}

/* Windows are short, so that all that is made of them is made within the hour.  Each seed has its
 * own settings. */
static void configure(struct qr_sim_member *member, uint32_t n_members, uint64_t seed)
{
    static const uint32_t windows_s[] = {10, 20, 30, 30};
    static const uint32_t thresholds[] = {32, 128, 256, 512};
    static const uint32_t trailing[] = {8, 64, 128, 512};
    static const uint32_t ticks_ms[] = {100, 250, 500, 500};
    struct qr_config *c = &member->config;
    struct qr_rng rng;
    qr_rng_seed(&rng, seed ^ UINT64_C(0x636f6e66));
    *c = (struct qr_config){
        .member_id = member->id,
        .n_members = n_members,
        .election_timeout_ms = 500,
        .heartbeat_ms = 150,
        .snapshot_threshold = thresholds[qr_rng_below(&rng, 4)],
        .snapshot_trailing = trailing[qr_rng_below(&rng, 4)],
        .ingest_loops = 1,
        .vanished_s = 60,
        .tick_ms = ticks_ms[qr_rng_below(&rng, 4)],
        .window_s = windows_s[qr_rng_below(&rng, 4)],
        .retention_hours = {1, 4, 24},
        .disk_reserve_mib = 8,
    };
    const struct qr_sim_options *o = qr_sim_cluster.options;
    c->snapshot_threshold = o->threshold != 0 ? o->threshold : c->snapshot_threshold;
    c->snapshot_trailing = o->trailing != 0 ? o->trailing : c->snapshot_trailing;
    c->tick_ms = o->tick_ms != 0 ? o->tick_ms : c->tick_ms;
    int err = qr_guid_parse(&c->cluster_id, qr_slice_str(qr_sim_cluster_id));
    assert(err == 0);
    (void)err;
    snprintf(c->member_name, sizeof c->member_name, "%s", member->host->name);
    snprintf(c->cluster_name, sizeof c->cluster_name, "sim");
    snprintf(c->data, sizeof c->data, "/sim/data");
    snprintf(c->listen, sizeof c->listen, "0.0.0.0:%d", HTTP_PORT);
    snprintf(c->link, sizeof c->link, "0.0.0.0:%d", LINK_PORT);
    snprintf(c->tls_ca, sizeof c->tls_ca, "/sim/etc/ca.crt");
    snprintf(c->tls_certificate, sizeof c->tls_certificate, "/sim/etc/member.crt");
    snprintf(c->tls_key, sizeof c->tls_key, "/sim/etc/member.key");
    snprintf(c->stream_file, sizeof c->stream_file, "/sim/etc/stream.conf");
    struct qr_access_list *management = &c->access.lists[QR_ACCESS_MANAGEMENT];
    snprintf(management->from, sizeof management->from, "localhost");
    snprintf(c->log_level, sizeof c->log_level, "info");
    for (uint32_t i = 0; i < n_members; i++) {
        c->members[i].id = i + 1;
        snprintf(c->members[i].address, sizeof c->members[i].address, "%s:%d",
                 qr_net_address(qr_sim_host_get(i + 1)), LINK_PORT);
    }
}

static void put_text(struct qr_sim_member *member, const char *path, const char *text)
{
    qr_sim_disk_put(member->host, path, text, strlen(text));
}

/* Half of the seeds have disks that promise no more than POSIX, and some have no asynchronous
 * writes. */
static void install_disk(struct qr_sim_member *member, uint64_t seed)
{
    static const unsigned async[] = {0, 2, 16, 16};
    struct qr_sim_disk *disk = qr_sim_disk(member->host);
    struct qr_rng rng;
    qr_rng_seed(&rng, seed ^ UINT64_C(0x6469736b));
    disk->harsh = qr_rng_below(&rng, 2) == 0;
    disk->lies_below = qr_plant_lies_below();
    disk->async_one_in = async[qr_rng_below(&rng, 4)];
}

static void install(struct qr_sim_member *member)
{
    const struct qr_sim_key *key = &qr_sim_keys[member->id - 1];
    put_text(member, "/sim/etc/ca.crt", qr_sim_ca);
    put_text(member, "/sim/etc/member.crt", key->cert);
    put_text(member, "/sim/etc/member.key", key->key);
    put_text(member, "/sim/etc/stream.conf", stream_conf);
}

void qr_sim_member_wipe(struct qr_sim_member *member, uint64_t for_ms)
{
    qr_sim_member_take(member, QR_SIM_KILL, for_ms);
    qr_sim_disk_wipe(member->host);
    install(member);
    member->is_flipped = member->is_rotten = false;
    member->n_refusals = 0;
    member->term_ever = 0;
    member->is_lost =
        member->rebuilt_ns == 0 || qr_sim_now_ns() > member->rebuilt_ns + LATE_MS * QR_SIM_MS;
}

/* ---- children ---- */

/* Each has the members in another order. */
static void list_members(const struct qr_sim_child *child, struct qr_child_destination *at)
{
    uint32_t n = qr_sim_cluster.n_members;
    for (uint32_t i = 0; i < n; i++) {
        char text[64];
        uint32_t turn = child->id / n % 2 == 0 ? i : n - i;
        uint32_t member = 1 + (child->id + turn) % n;
        snprintf(text, sizeof text, "%s:%d", qr_net_address(qr_sim_host_get(member)), HTTP_PORT);
        int err = qr_child_destination_parse(&at[i], text);
        assert(err == 0);
        (void)err;
    }
}

static int child_main(void *data)
{
    struct qr_sim_child *child = data;
    struct qr_child_destination destinations[QR_SIM_MEMBERS_MAX];
    uv_loop_t *loop = calloc(1, sizeof *loop);
    assert(loop != NULL);
    int err = uv_loop_init(loop);
    assert(err == 0);
    list_members(child, destinations);
    const struct qr_child_config config = {
        .loop = loop,
        .model = &qr_sim_cluster.models[child->id - 1],
        .api_key = API_KEY,
        .destinations = destinations,
        .n_destinations = qr_sim_cluster.n_members,
        .caps = child->rules_29 ? CAPS_29 : CAPS_137,
        .first_s = child->first_s,
        .reconnect_delay_ms = 1000,
        .timeout_ms = 5000,
        .postpone_scale = POSTPONED,
        .buffer_bytes = CHILD_BYTES,
        .rules_29 = child->rules_29,
        .truncate = child->truncate,
        .late_every = child->late_every,
        .lie = child->lie,
        .by_s = child->lie_by_s,
    };
    err = qr_child_new(&child->child, &config);
    assert(err == 0);
    (void)err;
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}

void qr_sim_child_boot(struct qr_sim_child *child)
{
    qr_sim_event_cancel(&child->boot);
    if (!child->host->up)
        qr_sim_host_boot(child->host, child_main, child);
}

static void on_child_boot(struct qr_sim_event *event)
{
    qr_sim_child_boot(QR_CONTAINER_OF(event, struct qr_sim_child, boot));
}

void qr_sim_child_take(struct qr_sim_child *child, uint64_t for_ms)
{
    qr_sim_host_kill(child->host, QR_SIM_KILL);
    qr_sim_event_at(&child->boot, NULL, qr_sim_now_ns() + for_ms * QR_SIM_MS, on_child_boot);
}

struct qr_sim_child *qr_sim_spare_boot(uint32_t id)
{
    for (uint32_t i = 0; i < QR_SIM_SPARES; i++) {
        struct qr_sim_child *spare = &qr_sim_cluster.children[qr_sim_cluster.n_children + i];
        if (spare->host->up)
            continue;
        spare->id = id;
        qr_sim_child_boot(spare);
        return spare;
    }
    return NULL;
}

uint64_t qr_sim_failovers(void)
{
    uint64_t n = failovers_before;
    for (uint32_t i = 0; i < qr_sim_cluster.n_children + QR_SIM_SPARES; i++)
        if (qr_sim_cluster.children[i].child != NULL)
            n += qr_child_stats(qr_sim_cluster.children[i].child)->n_failovers;
    return n;
}

/* ---- all of them ---- */

/* In this life: what its operator has to do. */
static bool says_remedy(const struct qr_sim_member *member)
{
    const struct qr_sim_ring *ring = &member->ring;
    uint64_t from = ring->n < QR_SIM_LINES ? 0 : ring->n - QR_SIM_LINES;
    for (uint64_t i = from > ring->n_boot ? from : ring->n_boot; i < ring->n; i++)
        if (strstr(ring->lines[i % QR_SIM_LINES], "quoratectl members replace") != NULL)
            return true;
    return false;
}

static void member_down(struct qr_sim_member *member)
{
    static const char *const words[] = {"ends by itself", "is killed", "loses power"};
    qr_sim_say("%s %s", member->host->name, words[member->host->down]);
    if (member->host->down == QR_SIM_EXIT && member->is_rotten && says_remedy(member)) {
        qr_sim_cluster.result->n_refusals++;
        member->n_refusals++;
    } else if (member->host->down == QR_SIM_EXIT && qr_sim_now_ns() > member->excused_until_ns)
        qr_sim_violation("%s ended by itself, with code %d, and no fault excuses it",
                         member->host->name, member->host->exit_code);
    member->node = NULL;
    if (member->n_refusals == REFUSALS)
        qr_sim_member_wipe(member, WIPE_MS);
    boot_later(member);
}

static void on_down(struct qr_sim_host *host)
{
    if (host->id <= qr_sim_cluster.n_members) {
        member_down(&qr_sim_cluster.members[host->id - 1]);
        return;
    }
    struct qr_sim_child *child = &qr_sim_cluster.children[host->id - 1 - qr_sim_cluster.n_members];
    if (child->child != NULL)
        failovers_before += qr_child_stats(child->child)->n_failovers;
    child->child = NULL;
}

static void make_members(const struct qr_sim_options *options)
{
    char name[32];
    for (uint32_t i = 0; i < options->n_members; i++) {
        struct qr_sim_member *member = &qr_sim_cluster.members[i];
        snprintf(name, sizeof name, "member-%u", i + 1);
        member->id = i + 1;
        member->is_wanted = true;
        member->host = qr_sim_host_new(name);
        assert(member->host->id == member->id);
    }
    for (uint32_t i = 0; i < options->n_members; i++) {
        configure(&qr_sim_cluster.members[i], options->n_members, options->seed);
        install_disk(&qr_sim_cluster.members[i], options->seed);
        install(&qr_sim_cluster.members[i]);
    }
}

static void make_children(const struct qr_sim_options *options)
{
    char name[32];
    for (uint32_t i = 0; i < options->n_children + QR_SIM_SPARES; i++) {
        struct qr_sim_child *child = &qr_sim_cluster.children[i];
        child->is_spare = i >= options->n_children;
        child->id = i + 1;
        if (child->is_spare)
            snprintf(name, sizeof name, "spare-%u", i + 1 - options->n_children);
        else
            snprintf(name, sizeof name, "child-%u", i + 1);
        child->rules_29 = i % 2 == 1;
        child->first_s = QR_SIM_REAL_ZERO_S - QR_SIM_HISTORY_S;
        child->host = qr_sim_host_new(name);
        if (child->is_spare)
            continue;
        qr_sim_cluster.models[i] = (struct qr_model){.seed = options->seed * 100 + i,
                                                     .n_hosts = 1,
                                                     .n_charts = options->n_charts,
                                                     .n_dims = options->n_dims,
                                                     .update_every = 1,
                                                     .mix = true,
                                                     .first_kind = i * options->n_charts};
    }
}

void qr_sim_hosts_init(const struct qr_sim_options *options, struct qr_sim_result *result)
{
    qr_sim_cluster.options = options;
    qr_sim_cluster.result = result;
    qr_sim_cluster.n_members = options->n_members;
    qr_sim_cluster.n_children = options->n_children;
    qr_log_to(take_line);
    make_members(options);
    make_children(options);
    qr_sim_on_down(on_down);
}

void qr_sim_hosts_boot(void)
{
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++)
        on_boot(&qr_sim_cluster.members[i].boot);
    for (uint32_t i = 0; i < qr_sim_cluster.n_children; i++)
        qr_sim_child_boot(&qr_sim_cluster.children[i]);
}
