#include "node/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "node/status.h"

/* A member counts as holding a child's data if it has applied what was the newest this long ago:
 * what it tells of itself is that old. */
#define SLACK_PICTURES 4

/* When something was last heard of a host. */
struct heard {
    uint64_t n_samples;
    uint64_t at_ms;
    bool connected;
};

struct qr_picture {
    struct qr_picture_sources sources;
    uint64_t started_ms;
    uint64_t applied[SLACK_PICTURES]; /* Our applied index, the last pictures' */
    unsigned n_taken;
    struct heard *heard; /* By host id. */
    uint32_t n_heard;
};

int qr_picture_new(struct qr_picture **picture, const struct qr_picture_sources *sources)
{
    struct qr_picture *p = calloc(1, sizeof *p);
    if (p == NULL)
        return UV_ENOMEM;
    p->sources = *sources;
    p->started_ms = qr_clock_mono_ms(sources->clock);
    *picture = p;
    return 0;
}

static uint32_t count_replicas(const struct qr_group_status *group, uint64_t index)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < group->n_members; i++)
        n += group->members[i].voter && group->members[i].up && group->members[i].applied >= index;
    return n;
}

static bool member_is_up(const struct qr_group_status *group, uint32_t id)
{
    for (unsigned i = 0; i < group->n_members; i++)
        if (group->members[i].id == id)
            return group->members[i].up;
    return false;
}

static bool is_member_guid(const struct qr_host_def *def)
{
    return strcmp(def->program_name, "quorate") == 0 && def->hops == 0;
}

/* The first of them is enough to act on. */
static char *describe_clone(const struct qr_claims *claims, int64_t now_us)
{
    const struct qr_claimant *clone;
    char sentence[QR_CLAIMS_SENTENCE_BYTES];
    if (claims == NULL || !qr_claims_refused(claims, 0, now_us, &clone))
        return NULL;
    qr_claims_sentence(claims, clone, sentence);
    return strdup(sentence);
}

/* Since its last samples, or since it came or left; 0 if there is no memory to know it. */
static uint64_t count_quiet(struct qr_picture *picture, const struct qr_host *host, bool connected)
{
    uint64_t now_ms = qr_clock_mono_ms(picture->sources.clock);
    if (host->id >= picture->n_heard) {
        uint32_t n = host->id * 2 + 16;
        struct heard *grown = realloc(picture->heard, n * sizeof *grown);
        if (grown == NULL)
            return 0;
        memset(grown + picture->n_heard, 0, (n - picture->n_heard) * sizeof *grown);
        picture->heard = grown;
        picture->n_heard = n;
    }
    struct heard *heard = &picture->heard[host->id];
    uint64_t n_samples = atomic_load(&host->n_samples);
    if (heard->at_ms == 0 || heard->n_samples != n_samples || heard->connected != connected)
        *heard = (struct heard){n_samples, now_ms, connected};
    return now_ms - heard->at_ms;
}

static void take_upstream(const struct qr_picture *picture, struct qr_status_child *child)
{
    const struct qr_forwarder_status *upstream =
        qr_upstream_status(picture->sources.upstream, child->host);
    child->has_upstream = upstream != NULL;
    if (upstream != NULL)
        child->upstream = *upstream;
}

static void take_child(struct qr_picture *picture, const struct qr_status *status,
                       uint64_t old_index, struct qr_host *host, struct qr_status_child *child)
{
    const struct qr_picture_sources *s = &picture->sources;
    const struct qr_host_def *def = atomic_load(&host->def);
    struct qr_owner owner = qr_ownership_get(qr_group_ownership(s->group), host->id);
    uint64_t newest = qr_glue_newest_index(s->glue, host->id);
    child->host = host->id;
    memcpy(child->guid, host->guid_text, sizeof child->guid);
    snprintf(child->hostname, sizeof child->hostname, "%s", def->hostname);
    child->owner = owner.member;
    child->epoch = owner.epoch;
    /* The log does not hear of a death: a child of a dead member is not connected. */
    child->connected = atomic_load(&host->connected) && member_is_up(&status->group, owner.member);
    child->own = is_member_guid(def);
    child->hops = def->hops;
    child->update_every = def->update_every;
    child->quiet_ms = count_quiet(picture, host, child->connected);
    take_upstream(picture, child);
    child->replication_factor =
        count_replicas(&status->group, newest < old_index ? newest : old_index);
    child->charts = atomic_load(&host->n_charts);
    child->watermark_s = atomic_load(&host->watermark_s);
    child->n_samples = atomic_load(&host->n_samples);
    child->clone = describe_clone(qr_ownership_claims(qr_group_ownership(s->group), host->id),
                                  qr_clock_real_us(s->clock));
}

static void take_children(struct qr_picture *picture, struct qr_status *status, uint64_t old_index)
{
    struct qr_store *store = picture->sources.store;
    int slot = qr_store_enter(store);
    const struct qr_store_hosts *hosts = qr_store_hosts(store);
    uint32_t n = atomic_load(&hosts->n);
    uint64_t *n_gaps = calloc(n + 1, sizeof *n_gaps);
    status->children = calloc(n + 1, sizeof *status->children);
    if (n_gaps != NULL)
        qr_store_gaps_of_hosts(store, hosts, n_gaps, n);
    for (uint32_t i = 0; i < n && status->children != NULL && n_gaps != NULL; i++) {
        struct qr_status_child *child = &status->children[status->n_children++];
        take_child(picture, status, old_index, hosts->at[i], child);
        child->n_gaps = n_gaps[i];
    }
    free(n_gaps);
    qr_store_leave(store, slot);
}

#define CLOCKS_MAX 64

/* Few children have wrong clocks. */
static void take_clocks(const struct qr_picture *picture, struct qr_status *status)
{
    struct qr_feed_clock clocks[CLOCKS_MAX];
    unsigned n = qr_roster_clocks(picture->sources.roster, clocks, CLOCKS_MAX);
    for (uint32_t i = 0; n > 0 && i < status->n_children; i++) {
        struct qr_status_child *child = &status->children[i];
        for (unsigned k = 0; k < n; k++) {
            if (clocks[k].host != child->host)
                continue;
            child->clock_ahead_s = clocks[k].ahead_s;
            child->rows_ahead = clocks[k].rows_ahead;
        }
    }
}

/* At the rate so far. */
static uint64_t replay_eta_s(const struct qr_feed_replay *replay, uint64_t now_ms)
{
    uint64_t done_s = replay->all_s - replay->left_s;
    if (done_s == 0 || now_ms <= replay->since_ms)
        return UINT64_MAX;
    return replay->left_s * (now_ms - replay->since_ms) / done_s / 1000 + 1;
}

/* They are sorted by host. */
static const struct qr_feed_replay *find_replay(const struct qr_feed_replay *replays, unsigned n,
                                                uint32_t host)
{
    unsigned low = 0, high = n;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (replays[mid].host < host)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && replays[low].host == host ? &replays[low] : NULL;
}

static void take_replays(const struct qr_picture *picture, struct qr_status *status)
{
    uint64_t now_ms = qr_clock_mono_ms(picture->sources.clock);
    struct qr_feed_replay *replays = calloc(status->n_children + 1, sizeof *replays);
    unsigned n = 0;
    if (replays != NULL)
        n = qr_roster_replays(picture->sources.roster, replays, status->n_children);
    for (uint32_t i = 0; i < status->n_children && n > 0; i++) {
        struct qr_status_child *child = &status->children[i];
        const struct qr_feed_replay *replay = find_replay(replays, n, child->host);
        if (replay == NULL)
            continue;
        child->replay_left_s = replay->left_s;
        child->replay_all_s = replay->all_s;
        child->replay_asks = replay->n_asks;
        child->replay_eta_s = replay_eta_s(replay, now_ms);
    }
    free(replays);
}

static void take_placement(struct qr_status *status)
{
    struct qr_placement *placement = &status->placement;
    for (unsigned i = 0; i < status->group.n_members; i++) {
        const struct qr_group_member_status *member = &status->group.members[i];
        struct qr_placement_member *to = &placement->members[placement->n++];
        to->id = member->id;
        to->takes = member->voter && member->up && member->taking;
        for (uint32_t c = 0; c < status->n_children; c++)
            to->n_children += status->children[c].owner == member->id &&
                              status->children[c].connected && !status->children[c].own;
    }
}

static const struct qr_feed_admitted *find_admitted(const struct qr_feed_admitted *admitted,
                                                    unsigned n, uint32_t host)
{
    unsigned low = 0, high = n;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (admitted[middle].host < host)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && admitted[low].host == host ? &admitted[low] : NULL;
}

/* What the children of this member showed. */
static void take_admitted(const struct qr_picture *picture, struct qr_status *status)
{
    struct qr_feed_admitted *admitted = calloc(status->n_children + 1, sizeof *admitted);
    if (admitted == NULL)
        return; /* The next picture has it. */
    unsigned n = qr_roster_admitted(picture->sources.roster, admitted, status->n_children);
    for (uint32_t i = 0; n > 0 && i < status->n_children; i++) {
        struct qr_status_child *child = &status->children[i];
        const struct qr_feed_admitted *found = find_admitted(admitted, n, child->host);
        if (found == NULL)
            continue;
        child->key = found->key;
        child->has_certificate = found->has_certificate;
        memcpy(child->certificate, found->certificate, sizeof child->certificate);
    }
    free(admitted);
}

static void release_picture(void *picture)
{
    qr_status_free(picture);
}

static void take_fetch(const struct qr_picture *picture, struct qr_status *status,
                       const struct qr_store_stats *store)
{
    struct qr_catchup_stats fetch;
    uint64_t n_bytes;
    qr_catchup_get_stats(picture->sources.catchup, &fetch);
    qr_peer_disk_get_stats(picture->sources.peer_disk, &status->n_peer_reads, &n_bytes);
    status->n_missing_blocks = store->n_missing;
    status->missing_bytes = store->missing_bytes;
    if (fetch.file_bytes < status->missing_bytes)
        status->missing_bytes -= fetch.file_bytes;
    status->n_fetched_blocks = fetch.n_files;
    status->fetched_bytes = fetch.n_bytes;
    status->fetch_eta_s = UINT64_MAX;
    if (status->missing_bytes == 0)
        status->fetch_eta_s = 0;
    else if (fetch.bytes_per_s != 0)
        status->fetch_eta_s = status->missing_bytes / fetch.bytes_per_s + 1;
}

void qr_picture_publish(struct qr_picture *picture)
{
    const struct qr_picture_sources *s = &picture->sources;
    struct qr_status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return; /* the last one stays */
    struct qr_store_stats store;
    qr_store_get_stats(s->store, &store);
    qr_group_get_status(s->group, &status->group);
    qr_group_get_latency(s->group, &status->commit_latency_us_p50, &status->commit_latency_us_p99);
    snprintf(status->cluster_name, sizeof status->cluster_name, "%s", s->config->cluster_name);
    status->cluster_id = s->config->cluster_id;
    status->time_s = qr_clock_real_s(s->clock);
    status->uptime_s = (qr_clock_mono_ms(s->clock) - picture->started_ms) / 1000;
    take_fetch(picture, status, &store);
    status->block_bytes = store.block_bytes;
    status->head_bytes = store.head_bytes;
    status->log_samples = s->glue->log_samples;
    status->log_bytes = s->glue->log_bytes;
    qr_roster_latency(s->roster, &status->socket_latency_us_p50, &status->socket_latency_us_p99);
    for (unsigned i = 0; i < s->n_ingests; i++) {
        status->samples_in += qr_ingest_stats(s->ingests[i])->samples;
        status->rows_in += qr_ingest_stats(s->ingests[i])->rows;
        status->n_replicating += qr_ingest_stats(s->ingests[i])->n_replicating;
    }
    uint64_t *slot = &picture->applied[picture->n_taken++ % SLACK_PICTURES];
    take_children(picture, status, *slot);
    take_clocks(picture, status);
    take_admitted(picture, status);
    take_replays(picture, status);
    *slot = status->group.applied;
    take_placement(status);
    status->draining = s->members->drain;
    const struct qr_status *old = atomic_exchange(&s->api->status, status);
    qr_store_retire(s->store, (void *)old, release_picture);
}
