#include "node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "node/admission.h"
#include "node/alone.h"
#include "node/api.h"
#include "node/bodies.h"
#include "node/catchup.h"
#include "node/cleaner.h"
#include "node/clones.h"
#include "node/functions.h"
#include "node/glue.h"
#include "node/incarnation.h"
#include "node/ingest.h"
#include "node/keeper.h"
#include "node/keyring.h"
#include "node/members.h"
#include "node/peer_disk.h"
#include "node/picture.h"
#include "node/roster.h"
#include "node/self.h"
#include "node/upstream.h"

#define BEAT_MS    100
#define PICTURE_MS 500
#define DRAIN_S    60 /* So long the children of a member that is drained take to go, about */
#define GROUP_ID   1
#define STOP_MS    5000
/* An election takes 1 to 2 timeouts, and children stay through one (docs/decisions/0008). */
#define PATIENCE_TIMEOUTS 4u
#define OWN_FDS           256u    /* The log, block files being read, links. */
#define FDS_MAX           262144u /* More connections than that are of no use. */
#define LAG_ENTRIES_MAX   500     /* a member further behind than this takes no children */

struct qr_node {
    struct qr_config config;
    uv_loop_t *loop;
    uint64_t incarnation;
    uint64_t started_ms;
    char log_dir[QR_PATH_BYTES_MAX + 32];
    char block_dir[QR_PATH_BYTES_MAX + 32];
    struct qr_mailbox mailbox;
    struct qr_store *store;
    struct qr_glue glue;
    struct qr_link *link;
    struct qr_agreed agreed; /* Not the group's: threads read it until the process ends. */
    struct qr_group *group;
    struct qr_members members;
    struct qr_keyring keyring;
    struct qr_roster *roster;
    struct qr_functions *functions;
    struct qr_keeper *keeper;
    struct qr_cleaner *cleaner;
    struct qr_parts *parts;
    struct qr_peer_disk *peer_disk;
    struct qr_catchup *catchup;
    struct qr_picture *picture;
    struct qr_self *self;
    struct qr_upstream *upstream;
    struct qr_api api;
    struct qr_admission *admission;
    struct qr_binds binds;
    struct qr_clones *clones; /* NULL: none. */
    struct qr_ingest *ingests[64];
    unsigned n_ingests;
    uv_timer_t beat, stop_timer;
    uv_prepare_t before_poll;
    uint64_t turn_started_ns, turn_idle_ns, busy_ns, longest_turn_ns;
    uint64_t last_ready_ms, last_second_ms, last_picture_ms;
    unsigned drained_each_s; /* Children moved on in a second of a drain; 0: none runs. */
    bool accepting, settled, stopping;
};

/* ---- how busy the loop is ---- */

/* From one turn's poll to the next: all but the time that the poll slept.  What the poll found is
 * handled inside it, so a clock beside it would miss most of the work. */
static void on_before_poll(uv_prepare_t *handle)
{
    struct qr_node *node = handle->data;
    uint64_t now = uv_hrtime();
    uint64_t idle = uv_metrics_idle_time(node->loop);
    uint64_t turn = now - node->turn_started_ns - (idle - node->turn_idle_ns);
    if (node->turn_started_ns != 0)
        node->busy_ns += turn;
    if (node->turn_started_ns != 0 && turn > node->longest_turn_ns)
        node->longest_turn_ns = turn;
    node->turn_started_ns = now;
    node->turn_idle_ns = idle;
}

static uint64_t loop_busy_us(void *data)
{
    const struct qr_node *node = data;
    return node->busy_ns / 1000;
}

static uint64_t loop_stall_us(void *data)
{
    struct qr_node *node = data;
    uint64_t longest = node->longest_turn_ns / 1000;
    node->longest_turn_ns = 0;
    return longest;
}

/* ---- events of the group ---- */

static void on_owned(void *data, const struct qr_owner *owner, uint64_t nonce)
{
    struct qr_node *node = data;
    if (node->roster != NULL) /* not while the log is replayed at start */
        qr_roster_owned(node->roster, owner, nonce);
}

static void on_restored(void *data, uint64_t index)
{
    struct qr_node *node = data;
    qr_info("state replaced by a snapshot index=%llu", (unsigned long long)index);
    node->glue.restored_index = index;
    qr_keyring_restored(&node->keyring);
    if (node->roster != NULL)
        qr_roster_restored(node->roster);
}

static void on_applied(void *data, const struct qr_command *command, uint64_t index, int result)
{
    struct qr_node *node = data;
    (void)index;
    (void)result;
    qr_keyring_applied(&node->keyring, command->type);
}

static void on_diverged(void *data, uint32_t member, uint64_t index)
{
    (void)data;
    qr_error("state differs from another member's: one of the two must be rebuilt member=%u "
             "index=%llu",
             member, (unsigned long long)index);
}

static void on_fatal(void *data, const char *sentence)
{
    (void)data;
    qr_error("this member stops: %s", sentence);
    _exit(1); /* a retry after a failed write proves nothing; the supervisor starts us again */
}

static void on_refused(void *data, uint32_t host, uint32_t epoch, int error)
{
    struct qr_node *node = data;
    if (node->roster != NULL)
        qr_roster_refused(node->roster, host, epoch, error);
}

static void on_forgotten(void *data, uint32_t host)
{
    struct qr_node *node = data;
    if (node->roster != NULL)
        qr_roster_forgotten(node->roster, host);
}

/* ---- events of the store ---- */

static void on_sealed(void *data, const struct qr_block_id *id, int status, uint64_t bytes,
                      uint64_t hash)
{
    (void)data;
    char name[QR_BLOCK_NAME_BYTES];
    qr_block_format_name(id, name);
    if (status == QR_E_UNKNOWN || status == QR_E_CORRUPT) {
        qr_info("a block file is not here and will be fetched file=%s", name);
        return;
    }
    if (status != 0) {
        qr_error("a block file could not be written and will be tried again file=%s error=\"%s\"",
                 name, qr_strerror(status));
        return;
    }
    qr_debug("a block file is written file=%s bytes=%llu hash=%016llx", name,
             (unsigned long long)bytes, (unsigned long long)hash);
}

static void on_bad_block(void *data, const char *name, const char *sentence)
{
    (void)data;
    qr_error("a block file is bad and will be fetched from a peer file=%s reason=\"%s\"", name,
             sentence);
}

/* ---- the beat ---- */

static bool lags(const struct qr_group_status *status)
{
    for (unsigned i = 0; i < status->n_members; i++)
        if (status->members[i].up && status->members[i].applied > status->applied + LAG_ENTRIES_MAX)
            return true;
    return false;
}

static void let_in(struct qr_node *node, bool accept)
{
    node->accepting = accept;
    for (unsigned i = 0; i < node->n_ingests; i++)
        qr_ingest_accept_children(node->ingests[i], accept);
    qr_info("children are %s", accept ? "let in" : "told to go elsewhere");
}

/* Children stay through an election; a member that cannot feed the log for longer lets them go. */
static void decide_accepting(struct qr_node *node, uint64_t now_ms)
{
    struct qr_group_status status;
    qr_group_get_status(node->group, &status);
    if (qr_group_ready(node->group) && status.is_voter && !lags(&status))
        node->last_ready_ms = now_ms;
    bool ready =
        node->last_ready_ms != 0 &&
        now_ms - node->last_ready_ms <= PATIENCE_TIMEOUTS * node->config.election_timeout_ms;
    if (ready && !node->settled) {
        qr_roster_settle(node->roster);
        qr_store_sweep(node->store); /* the log has been replayed */
        node->settled = true;
    }
    bool drain = node->members.drain;
    if ((ready && !drain) != node->accepting)
        let_in(node, ready && !drain);
    qr_group_set_taking(node->group, ready && !drain && !status.disk_low, drain);
    if (!ready) /* again and again: one that was let in just before may have come since */
        qr_roster_close_all(node->roster, "this member cannot reach a quorum");
}

/* Another member than this one lets children in. */
static bool others_take(const struct qr_node *node)
{
    struct qr_group_status status;
    qr_group_get_status(node->group, &status);
    for (unsigned i = 0; i < status.n_members; i++)
        if (!status.members[i].self && status.members[i].up && status.members[i].taking)
            return true;
    return false;
}

/* Once a second: some children of a member that is drained are moved on, all within a minute, as
 * long as somebody can take them. */
static void move_children_on(struct qr_node *node)
{
    unsigned n = qr_roster_n_children(node->roster);
    if (!node->members.drain || n == 0) {
        node->drained_each_s = 0;
        return;
    }
    if (node->drained_each_s < n / DRAIN_S + 1)
        node->drained_each_s = n / DRAIN_S + 1;
    if (others_take(node))
        qr_roster_move_on(node->roster, node->drained_each_s, "this member is drained");
}

/* Block files come from members; and those hear how many of them are here. */
static void follow_members(struct qr_node *node)
{
    struct qr_group_status group;
    struct qr_store_stats store;
    uint32_t peers[QR_MEMBERS_MAX];
    unsigned n = 0;
    qr_group_get_status(node->group, &group);
    for (unsigned i = 0; i < group.n_members; i++)
        if (group.members[i].id != group.member_id)
            peers[n++] = group.members[i].id;
    qr_parts_set_peers(node->parts, peers, n);
    qr_store_get_stats(node->store, &store);
    uint64_t all = store.block_bytes;
    qr_group_set_copied(node->group,
                        all == 0 ? 1000 : (unsigned)((all - store.missing_bytes) * 1000 / all));
}

/* Whom the log refuses now, to the loops that answer handshakes. */
static void follow_clones(struct qr_node *node)
{
    struct qr_clones *clones = qr_clones_new(qr_group_ownership(node->group), node->store,
                                             qr_clock_real_us(&qr_clock_system));
    if (qr_clones_equal(clones, node->clones)) {
        qr_clones_release(clones);
        return;
    }
    qr_clones_release(node->clones);
    node->clones = clones;
    for (unsigned i = 0; i < node->n_ingests; i++)
        qr_ingest_refuse(node->ingests[i], clones);
}

/* What decides who is let in, to the loops that ask. */
static int hand_out_admission(void *data)
{
    struct qr_node *node = data;
    int err = 0;
    for (unsigned i = 0; i < node->n_ingests && err == 0; i++)
        err = qr_ingest_readmit(node->ingests[i], node->admission, node->keyring.table);
    return err;
}

/* Only while the log is heard of is it known who owns what. */
static void follow_hosts(struct qr_node *node)
{
    struct qr_group_status status;
    qr_group_get_status(node->group, &status);
    qr_upstream_follow(node->upstream, node->accepting && status.ready && status.leader != 0);
}

static void on_beat(uv_timer_t *timer)
{
    struct qr_node *node = timer->data;
    uint64_t now_ms = qr_clock_mono_ms(&qr_clock_system);
    if (node->stopping)
        return;
    qr_roster_tick(node->roster);
    qr_functions_tick(node->functions);
    decide_accepting(node, now_ms);
    qr_keyring_tick(&node->keyring);
    follow_hosts(node);
    if (now_ms - node->last_picture_ms >= PICTURE_MS) {
        node->last_picture_ms = now_ms;
        qr_picture_publish(node->picture);
    }
    if (now_ms - node->last_second_ms >= 1000) {
        node->last_second_ms = now_ms;
        qr_store_poll(node->store); /* names what is bad before it is fetched */
        follow_members(node);
        move_children_on(node);
        follow_clones(node);
        qr_parts_tick(node->parts);
        qr_catchup_tick(node->catchup);
        qr_store_scrub(node->store);
        qr_self_collect(node->self);
        qr_keeper_tick(node->keeper);
        qr_cleaner_tick(node->cleaner);
    }
}

/* ---- start ---- */

/* What is synced in a folder is lost with the folder's own name. */
static int sync_parent(const char *path)
{
    char parent[QR_PATH_BYTES_MAX + 32];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 0 : (int)(slash - path);
    snprintf(parent, sizeof parent, "%.*s", len, path);
    int fd = open(slash == NULL ? "."
                  : len == 0    ? "/"
                                : parent,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -errno; /* Whoever keeps it from us made the folder. */
    int err = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

static int make_dir(const char *path)
{
    int err = mkdir(path, 0750) == 0 || errno == EEXIST ? sync_parent(path) : -errno;
    if (err != 0)
        qr_error("cannot make a folder path=%s error=\"%s\"", path, qr_strerror(err));
    return err;
}

static int make_dirs(struct qr_node *node)
{
    char group[QR_PATH_BYTES_MAX + 16];
    snprintf(group, sizeof group, "%s/group-%d", node->config.data, GROUP_ID);
    snprintf(node->log_dir, sizeof node->log_dir, "%s/log", group);
    snprintf(node->block_dir, sizeof node->block_dir, "%s/blocks", group);
    int err = make_dir(node->config.data);
    if (err == 0)
        err = make_dir(group);
    if (err == 0)
        err = make_dir(node->log_dir);
    if (err == 0)
        err = make_dir(node->block_dir);
    return err;
}

static int open_store(struct qr_node *node)
{
    int err = qr_peer_disk_new(&node->peer_disk, node->loop);
    if (err != 0)
        return err;
    struct qr_store_config config = {
        .loop = node->loop,
        .disk = &qr_disk_files,
        .peers = qr_peer_disk_face(node->peer_disk),
        .dir = node->block_dir,
        .window_s = node->config.window_s,
    };
    struct qr_store_events events = {node, on_sealed, on_bad_block};
    err = qr_store_open(&node->store, &config, &events);
    if (err == 0)
        err = qr_glue_init(&node->glue, node->store, node->config.member_id, 1);
    node->glue.refused = on_refused;
    node->glue.forgotten = on_forgotten;
    node->glue.data = node;
    return err;
}

static int open_link(struct qr_node *node)
{
    const struct qr_config *c = &node->config;
    struct qr_link_config config = {
        .loop = node->loop,
        .clock = &qr_clock_system,
        .member_id = c->member_id,
        .incarnation = node->incarnation,
        .cluster_id = c->cluster_id,
        .listen_address = c->alone ? NULL : c->link,
        .ca_file = c->tls_ca,
        .cert_file = c->tls_certificate,
        .key_file = c->tls_key,
        .heartbeat_ms = c->heartbeat_ms,
        .election_timeout_ms = c->election_timeout_ms,
        .connect_retry_ms = 100,
        .handshake_timeout_ms = 3000,
        .queue_bytes_max = 2u * QR_SNAPSHOT_BYTES_MAX,
    };
    return qr_link_open(&node->link, &config);
}

static int on_renumber(void *data, uint64_t known, uint64_t *incarnation)
{
    struct qr_node *node = data;
    int err = qr_incarnation_raise(node->config.data, known, incarnation);
    if (err == 0)
        node->incarnation = *incarnation;
    return err;
}

static int open_group(struct qr_node *node)
{
    const struct qr_config *c = &node->config;
    struct qr_group_config config = {
        .loop = node->loop,
        .clock = &qr_clock_system,
        .agreed = &node->agreed,
        .link = node->link,
        .sink = qr_glue_sink(&node->glue),
        .group_id = GROUP_ID,
        .member_id = c->member_id,
        .member_name = c->member_name,
        .incarnation = node->incarnation,
        .dir = node->log_dir,
        .members = c->members,
        .n_members = c->n_members,
        .election_timeout_ms = c->election_timeout_ms,
        .heartbeat_ms = c->heartbeat_ms,
        .snapshot_threshold = c->snapshot_threshold,
        .snapshot_trailing = c->snapshot_trailing,
        .disk_reserve_bytes = (uint64_t)c->disk_reserve_mib << 20,
    };
    struct qr_group_events events = {
        .data = node,
        .applied = on_applied,
        .owned = on_owned,
        .restored = on_restored,
        .diverged = on_diverged,
        .renumber = on_renumber,
        .fatal = on_fatal,
    };
    return qr_group_open(&node->group, &config, &events);
}

static bool leads(void *data)
{
    const struct qr_node *node = data;
    struct qr_group_status status;
    qr_group_get_status(node->group, &status);
    return status.role == QR_GROUP_LEADER && status.ready;
}

static bool is_time_doubtful(void *data)
{
    const struct qr_node *node = data;
    return qr_agreed_is_doubtful(&node->agreed);
}

static int propose_forget(void *data, struct qr_slice body,
                          void (*done)(void *cleaner, int status, uint64_t index), void *cleaner)
{
    const struct qr_node *node = data;
    return qr_group_propose(node->group, QR_COMMAND_FORGET, body, done, cleaner);
}

static int open_cleaner(struct qr_node *node)
{
    const struct qr_cleaner_log log = {node, leads, is_time_doubtful, propose_forget};
    return qr_cleaner_new(&node->cleaner, node->loop, &log, node->store, &node->agreed.clock,
                          node->config.ephemeral_after_s);
}

/* Which host is meant, and who has its child. */
static bool find_owner(void *data, struct qr_slice host, struct qr_guid *guid, uint32_t *owner)
{
    const struct qr_node *node = data;
    const struct qr_host *found = NULL;
    if (node->group == NULL)
        return false; /* it is closed */
    if (host.len > 0 && !qr_slice_is(host, "localhost")) {
        found = qr_store_host_by_name(node->store, host);
        if (found == NULL && qr_guid_parse(guid, host) == 0)
            found = qr_store_host_by_guid(node->store, guid);
        if (found == NULL)
            return false;
    }
    *guid = found != NULL ? found->guid : node->api.host_guid;
    *owner = found != NULL ? qr_ownership_get(qr_group_ownership(node->group), found->id).member
                           : node->config.member_id;
    return true;
}

static int open_functions(struct qr_node *node)
{
    const struct qr_functions_config config = {
        .mailbox = &node->mailbox,
        .clock = &qr_clock_system,
        .link = node->link,
        .group = GROUP_ID,
        .member = node->config.member_id,
        .seed = qr_rng_entropy(),
        .data = node,
        .find = find_owner,
    };
    return qr_functions_new(&node->functions, &config);
}

static int open_keepers(struct qr_node *node)
{
    int err = qr_roster_new(&node->roster, &node->mailbox, node->loop, node->store,
                            node->config.member_id, node->incarnation, &node->agreed.clock);
    if (err != 0)
        return err;
    qr_roster_set_group(node->roster, node->group);
    node->members = (struct qr_members){&node->mailbox, node->group};
    err = qr_keyring_init(&node->keyring, &node->mailbox, node->group, &node->agreed.clock,
                          &node->config.cluster_id);
    if (err == 0)
        err = open_functions(node);
    if (err == 0)
        err = qr_keeper_new(&node->keeper, node->group, node->store, &node->config, &node->agreed);
    if (err == 0)
        err = open_cleaner(node);
    if (err == 0)
        err = qr_parts_new(&node->parts, node->loop, node->link, node->store, GROUP_ID);
    if (err == 0)
        err = qr_catchup_new(&node->catchup, node->loop, node->parts, node->store);
    if (err == 0)
        qr_peer_disk_connect(node->peer_disk, node->parts);
    return err;
}

/* The identity of the member's own host: the same on every start, another for each member. */
static struct qr_guid own_guid(const struct qr_config *config)
{
    struct {
        struct qr_guid cluster;
        uint32_t member;
    } key = {config->cluster_id, config->member_id};
    XXH128_hash_t hash = XXH3_128bits(&key, sizeof key);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    struct qr_guid guid;
    memcpy(guid.bytes, bytes.digest, sizeof guid.bytes);
    guid.bytes[6] = (uint8_t)((guid.bytes[6] & 0x0f) | 0x80); /* RFC 9562: version 8, custom */
    guid.bytes[8] = (uint8_t)((guid.bytes[8] & 0x3f) | 0x80);
    return guid;
}

/* All the descriptors that we may have, but for those of the log, the block files and the links. */
static unsigned conns_max(unsigned n_loops)
{
    struct rlimit limit = {1024, 1024};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    rlim_t all = limit.rlim_cur < FDS_MAX ? limit.rlim_cur : FDS_MAX;
    rlim_t left = all > 2 * OWN_FDS ? all - OWN_FDS : all / 2;
    return (unsigned)(left / n_loops);
}

static int start_ingest(struct qr_node *node)
{
    const struct qr_config *c = &node->config;
    char sentence[1024];
    int err = qr_binds_read(&node->binds, c->bind_to, c->listen, sentence, sizeof sentence);
    if (err == 0)
        err = qr_admission_read(&node->admission, c, sentence, sizeof sentence);
    if (err != 0) {
        qr_error("%s", sentence);
        return err;
    }
    node->api.store = node->store;
    node->api.clock = &node->agreed.clock;
    node->api.host_guid = own_guid(c);
    node->api.hostname = node->config.member_name;
    node->api.version = "v1.37.1";
    struct qr_ingest_config config = {
        .clock = &node->agreed.clock,
        .binds = &node->binds,
        .tick_ms = c->tick_ms,
        .vanished_s = c->vanished_s,
        .roster = node->roster,
        .members = &node->members,
        .functions = node->functions,
        .api = &node->api,
        .keyring = &node->keyring,
        .admission = node->admission,
        .keys = node->keyring.table,
        .own_guid = node->api.host_guid,
        .cluster_id = c->cluster_id,
        .conns_max = conns_max(c->ingest_loops),
    };
    for (unsigned i = 0; i < node->binds.n && err == 0; i++)
        err = qr_ingest_check_address(node->loop, node->binds.at[i].address);
    for (; node->n_ingests < c->ingest_loops && err == 0; node->n_ingests += err == 0)
        err = qr_ingest_start(&node->ingests[node->n_ingests], &config);
    node->keyring.hand_out = hand_out_admission;
    node->keyring.data = node;
    return err;
}

static int start_self(struct qr_node *node)
{
    struct qr_self_sources sources = {
        .clock = &node->agreed.clock,
        .home = &node->mailbox,
        .roster = node->roster,
        .group = node->group,
        .link = node->link,
        .store = node->store,
        .ingests = node->ingests,
        .n_ingests = node->n_ingests,
        .upstream = node->upstream,
        .guid = node->api.host_guid,
        .hostname = node->config.member_name,
        .loop_busy_us = loop_busy_us,
        .loop_stall_us = loop_stall_us,
        .data = node,
    };
    struct qr_picture_sources picture = {
        .clock = &node->agreed.clock,
        .config = &node->config,
        .group = node->group,
        .store = node->store,
        .glue = &node->glue,
        .roster = node->roster,
        .catchup = node->catchup,
        .peer_disk = node->peer_disk,
        .upstream = node->upstream,
        .api = &node->api,
        .ingests = node->ingests,
        .n_ingests = node->n_ingests,
        .members = &node->members,
    };
    int err = qr_self_start(&node->self, &sources);
    return err != 0 ? err : qr_picture_new(&node->picture, &picture);
}

static unsigned list_hosts(const void *data, struct qr_roster_host *hosts, unsigned max)
{
    return qr_roster_hosts(data, hosts, max);
}

static int start_upstream(struct qr_node *node)
{
    struct qr_upstream_config config = {
        .clock = &qr_clock_system,
        .home = &node->mailbox,
        .store = node->store,
        .hosts = list_hosts,
        .data = node->roster,
        .cluster_id = node->config.cluster_id,
        .functions = node->functions,
    };
    return qr_upstream_new(&node->upstream, &config, node->admission);
}

static void start_timers(struct qr_node *node)
{
    uv_timer_init(node->loop, &node->beat);
    uv_timer_init(node->loop, &node->stop_timer);
    uv_prepare_init(node->loop, &node->before_poll);
    node->beat.data = node;
    node->stop_timer.data = node;
    node->before_poll.data = node;
    uv_timer_start(&node->beat, on_beat, 0, BEAT_MS);
    uv_prepare_start(&node->before_poll, on_before_poll);
}

int qr_node_start(struct qr_node **started, uv_loop_t *loop, const struct qr_config *config)
{
    struct qr_node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return UV_ENOMEM;
    node->config = *config;
    node->loop = loop;
    qr_agreed_init(&node->agreed, &qr_clock_system);
    int err = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    if (err == 0)
        err = make_dirs(node);
    if (err == 0 && config->alone)
        err = qr_alone_id(config->data, &node->config.cluster_id);
    if (err == 0)
        err = qr_incarnation_next(config->data, &node->incarnation);
    if (err == 0)
        err = qr_mailbox_init(&node->mailbox, loop);
    if (err == 0)
        err = open_store(node);
    if (err == 0)
        err = open_link(node);
    if (err == 0)
        err = open_group(node);
    if (err == 0)
        err = open_keepers(node);
    if (err == 0)
        err = start_ingest(node);
    if (err == 0)
        err = start_upstream(node);
    if (err == 0)
        err = start_self(node);
    if (err != 0)
        return err; /* the process ends with it */
    start_timers(node);
    qr_info("member started id=%u name=%s cluster=%s listen=%s link=%s data=%s", config->member_id,
            config->member_name, config->cluster_name, config->listen, config->link, config->data);
    *started = node;
    return 0;
}

/* ---- reload ---- */

/* Connections to other members stay; the next ones are made with what the files hold now. */
static void reload_link(struct qr_node *node)
{
    const struct qr_config *c = &node->config;
    char reason[QR_TLS_REASON_BYTES];
    if (qr_link_reload(node->link, c->tls_ca, c->tls_certificate, c->tls_key, reason) != 0)
        qr_error("the certificate of the member links was not reloaded: %s", reason);
    else
        qr_info("reloaded the certificate of the member links file=%s", c->tls_certificate);
}

/* quorate.conf as it is now, as far as it needs no other start. */
static int reread_config(struct qr_config *config, const struct qr_config *now, char *sentence,
                         size_t sentence_bytes)
{
    struct qr_config next;
    char text[128];
    *config = *now;
    if (now->path[0] == '\0')
        return 0;
    int err = qr_config_read(&next, now->path, sentence, sentence_bytes);
    if (err != 0)
        return err;
    const char *differs = qr_config_reload(config, &next, text, sizeof text);
    if (differs != NULL)
        qr_warn("an option has changed that only another start takes option=\"%s\" file=%s",
                differs, now->path);
    return 0;
}

void qr_node_reload(struct qr_node *node)
{
    char sentence[1024];
    struct qr_config config;
    struct qr_admission *read;
    reload_link(node);
    int err = reread_config(&config, &node->config, sentence, sizeof sentence);
    if (err == 0)
        err = qr_admission_read(&read, &config, sentence, sizeof sentence);
    if (err != 0) {
        qr_error("[web], stream.conf and the web certificate were not reloaded: %s", sentence);
        return;
    }
    if (node->admission->has_file && !read->has_file) {
        qr_error("stream.conf was not reloaded: it is gone file=%s", config.stream_file);
        qr_admission_release(read);
        return;
    }
    /* Only what has changed: other threads read the rest of it. */
    qr_config_reload(&node->config, &config, sentence, sizeof sentence);
    qr_admission_release(node->admission);
    node->admission = read;
    err = hand_out_admission(node);
    if (err == 0)
        err = qr_upstream_readmit(node->upstream, node->admission);
    if (err != 0)
        qr_error("reloaded in part only: reload again error=\"%s\"", qr_strerror(err));
    else
        qr_info("reloaded [web], stream.conf and certificate file=%s", node->config.stream_file);
}

struct qr_store *qr_node_store(struct qr_node *node)
{
    return node->store;
}

struct qr_group *qr_node_group(struct qr_node *node)
{
    return node->group;
}

/* ---- stop ---- */

static void on_group_closed(void *data)
{
    struct qr_node *node = data;
    node->group = NULL;
    node->members.group = NULL;
    node->keyring.group = NULL;
    qr_roster_set_group(node->roster, NULL); /* messages may still come in this turn of the loop */
    uv_stop(node->loop);
}

static void on_stop_late(uv_timer_t *timer)
{
    struct qr_node *node = timer->data;
    qr_warn("stopping took too long: leadership may not have been handed over");
    uv_stop(node->loop);
}

static void on_let_go(uv_timer_t *timer)
{
    struct qr_node *node = timer->data;
    node->stopping = true;
    uv_timer_start(&node->stop_timer, on_stop_late, STOP_MS, 0);
    qr_group_close(node->group, on_group_closed, node);
}

void qr_node_stop(struct qr_node *node)
{
    if (uv_is_active((uv_handle_t *)&node->stop_timer) || node->stopping)
        return;
    for (unsigned i = 0; i < node->n_ingests; i++)
        qr_ingest_drain(node->ingests[i]);
    /* A moment for the last batches to be committed; what is not comes by replay elsewhere. */
    uv_timer_start(&node->stop_timer, on_let_go, node->config.tick_ms, 0);
}
