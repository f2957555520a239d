#include "node/self.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "node/feed.h"
#include "proto/handshake.h"
#include "storage/entry.h"
#include "storage/value.h"

#define DIMS_MAX              6
#define BATCHES_IN_FLIGHT_MAX 4
/* Smaller steps back are waited out. */
#define CLOCK_BACK_S 60

/* What is read once a second; a chart's dimension is a field of it. */
struct figures {
    uint64_t cpu_user_us, cpu_system_us;
    uint64_t rss_bytes, head_bytes, block_bytes;
    uint64_t loop_busy_us, loop_stall_us;
    uint64_t term, commit, applied, proposed, dropped, refused, resent, snapshots;
    uint64_t backlog, backlog_bytes;
    uint64_t latency_p50_us, latency_p99_us, commit_p50_us, commit_p99_us;
    uint64_t link_sent, link_received, frames_sent, frames_received, dead_peers, link_refused;
    uint64_t hosts, charts, dims, samples, duplicates, blocks, missing, bad_pages;
    uint64_t ingest_samples, ingest_rows, replayed_rows, children, conns, requests;
    uint64_t child_refused;
    uint64_t upstream_hosts, upstream_streaming, upstream_lag_s, upstream_lag_samples;
    uint64_t upstream_rows, upstream_replayed, upstream_bytes;
};

struct dim {
    const char *id;
    size_t at; /* In struct figures; 0xffff ends. */
    bool rate; /* A counter: shown per second. */
    double scale;
};

struct chart {
    const char *id, *title, *units, *family;
    uint8_t type; /* storage/definition's */
    struct dim dims[DIMS_MAX];
};

#define GAUGE(name, field, scale)                                                                  \
    {                                                                                              \
        name, offsetof(struct figures, field), false, scale                                        \
    }
#define RATE(name, field, scale)                                                                   \
    {                                                                                              \
        name, offsetof(struct figures, field), true, scale                                         \
    }
#define MIB (1.0 / 1048576)
#define KIB (1.0 / 1024)

static const struct chart charts[] = {
    {"quorate.cpu",
     "CPU time of this member",
     "ms/s",
     "process",
     2,
     {RATE("user", cpu_user_us, 0.001), RATE("system", cpu_system_us, 0.001)}},
    {"quorate.memory",
     "Memory of this member",
     "MiB",
     "process",
     0,
     {GAUGE("resident", rss_bytes, MIB), GAUGE("head", head_bytes, MIB)}},
    {"quorate.loops",
     "Time that the loops worked",
     "ms/s",
     "process",
     0,
     {RATE("consensus", loop_busy_us, 0.001), GAUGE("longest_turn", loop_stall_us, 0.001)}},
    {"quorate.raft_index",
     "Entries of the log",
     "entries/s",
     "raft",
     0,
     {RATE("committed", commit, 1), RATE("applied", applied, 1), RATE("proposed", proposed, 1)}},
    {"quorate.apply_backlog",
     "Committed and not yet applied here",
     "entries",
     "raft",
     0,
     {GAUGE("entries", backlog, 1)}},
    {"quorate.apply_backlog_bytes",
     "Bytes of entries that are committed and not yet applied here",
     "MiB",
     "raft",
     1,
     {GAUGE("bytes", backlog_bytes, MIB)}},
    {"quorate.raft_events",
     "What does not happen on a quiet day",
     "events/s",
     "raft",
     0,
     {RATE("terms", term, 1), RATE("resent", resent, 1), RATE("dropped", dropped, 1),
      RATE("refused", refused, 1), RATE("snapshots", snapshots, 1)}},
    {"quorate.latency",
     "From a child's socket to applied here",
     "ms",
     "raft",
     0,
     {GAUGE("p50", latency_p50_us, 0.001), GAUGE("p99", latency_p99_us, 0.001)}},
    {"quorate.commit_latency",
     "From proposed to applied here",
     "ms",
     "raft",
     0,
     {GAUGE("p50", commit_p50_us, 0.001), GAUGE("p99", commit_p99_us, 0.001)}},
    {"quorate.link_bytes",
     "Traffic with the other members",
     "KiB/s",
     "link",
     1,
     {RATE("sent", link_sent, KIB), RATE("received", link_received, KIB)}},
    {"quorate.link_frames",
     "Frames exchanged with the other members",
     "frames/s",
     "link",
     0,
     {RATE("sent", frames_sent, 1), RATE("received", frames_received, 1)}},
    {"quorate.link_events",
     "Trouble with the other members",
     "events/s",
     "link",
     0,
     {RATE("dead_peers", dead_peers, 1), RATE("refused", link_refused, 1)}},
    {"quorate.ingest",
     "Samples from children of this member",
     "samples/s",
     "ingest",
     0,
     {RATE("samples", ingest_samples, 1)}},
    {"quorate.ingest_rows",
     "Rows from children of this member",
     "rows/s",
     "ingest",
     0,
     {RATE("rows", ingest_rows, 1), RATE("replayed", replayed_rows, 1)}},
    {"quorate.connections",
     "Connections to this member",
     "connections",
     "ingest",
     0,
     {GAUGE("children", children, 1), GAUGE("all", conns, 1)}},
    {"quorate.requests",
     "HTTP requests and refusals",
     "events/s",
     "ingest",
     0,
     {RATE("requests", requests, 1), RATE("refused", child_refused, 1)}},
    {"quorate.upstream",
     "Hosts that this member streams on",
     "hosts",
     "upstream",
     0,
     {GAUGE("all", upstream_hosts, 1), GAUGE("streaming", upstream_streaming, 1)}},
    {"quorate.upstream_lag",
     "How far behind the far side is, at most",
     "s",
     "upstream",
     0,
     {GAUGE("seconds", upstream_lag_s, 1)}},
    {"quorate.upstream_lag_samples",
     "Samples that the far side does not have yet",
     "samples",
     "upstream",
     0,
     {GAUGE("samples", upstream_lag_samples, 1)}},
    {"quorate.upstream_rows",
     "Rows streamed on",
     "rows/s",
     "upstream",
     0,
     {RATE("live", upstream_rows, 1), RATE("replayed", upstream_replayed, 1)}},
    {"quorate.upstream_bytes",
     "Traffic to the far side",
     "KiB/s",
     "upstream",
     1,
     {RATE("sent", upstream_bytes, KIB)}},
    {"quorate.store",
     "Samples stored by this member",
     "samples/s",
     "store",
     0,
     {RATE("stored", samples, 1), RATE("duplicates", duplicates, 1)}},
    {"quorate.catalog",
     "What the catalog holds",
     "objects",
     "store",
     0,
     {GAUGE("hosts", hosts, 1), GAUGE("charts", charts, 1), GAUGE("dimensions", dims, 1)}},
    {"quorate.blocks",
     "Block files of this member",
     "files",
     "store",
     0,
     {GAUGE("complete", blocks, 1), GAUGE("missing", missing, 1),
      GAUGE("bad_pages", bad_pages, 1)}},
    {"quorate.disk",
     "Bytes of block files",
     "MiB",
     "store",
     1,
     {GAUGE("blocks", block_bytes, MIB)}},
};

struct qr_self {
    struct qr_self_sources sources;
    struct qr_feed feed;
    struct qr_entry_block block;
    struct figures last;
    bool has_last, attached, defined;
    uint32_t ids[QR_COUNT(charts)];
    struct qr_entry_base bases[QR_COUNT(charts)];
    int64_t last_end_s;
    unsigned n_in_flight;
};

static unsigned count_dims(const struct chart *chart)
{
    unsigned n = 0;
    while (n < DIMS_MAX && chart->dims[n].id != NULL)
        n++;
    return n;
}

/* ---- definitions ---- */

static int encode_host(struct qr_buf *out, const struct qr_self_sources *sources)
{
    struct qr_host_def def = {
        .guid = sources->guid,
        .hostname = sources->hostname,
        .registry_hostname = sources->hostname,
        .os = "linux",
        .timezone = "UTC",
        .abbrev_timezone = "UTC",
        .update_every = 1,
        .hops = 0,
        .program_name = "quorate",
        .program_version = QR_VERSION,
    };
    return qr_host_def_encode(out, &def);
}

static int encode_chart(struct qr_buf *out, unsigned i)
{
    const struct chart *chart = &charts[i];
    struct qr_dim_def dims[DIMS_MAX];
    struct qr_chart_def def = {
        .id = chart->id,
        .name = chart->id,
        .title = chart->title,
        .units = chart->units,
        .family = chart->family,
        .context = chart->id,
        .plugin = "quorate",
        .module = chart->family,
        .type = chart->type,
        .priority = 130000 + (int32_t)i,
        .update_every = 1,
        .n_dims = count_dims(chart),
        .dims = dims,
    };
    for (unsigned d = 0; d < def.n_dims; d++)
        dims[d] = (struct qr_dim_def){chart->dims[d].id, chart->dims[d].id, 1, 1, 0, 0};
    return qr_chart_def_encode(out, &def);
}

static void on_defined(struct qr_feed_define *define)
{
    struct qr_self *self = define->feed->session;
    self->defined = true;
    for (uint32_t i = 0; i < define->n; i++) {
        self->ids[define->charts[i].slot] = define->charts[i].chart;
        if (define->charts[i].status != 0)
            self->defined = false;
    }
    if (!self->defined)
        qr_error("the log refused the charts of this member itself");
    qr_feed_define_free(define);
}

static void on_attached(struct qr_feed *feed, int status)
{
    struct qr_self *self = feed->session;
    struct qr_feed_define *define = calloc(1, sizeof *define);
    if (status != 0 || define == NULL ||
        (define->charts = calloc(QR_COUNT(charts), sizeof *define->charts)) == NULL) {
        qr_error("the charts of this member itself are not collected error=\"%s\"",
                 qr_strerror(status != 0 ? status : UV_ENOMEM));
        free(define);
        return;
    }
    self->attached = true;
    define->feed = feed;
    define->defined = on_defined;
    for (unsigned i = 0; i < QR_COUNT(charts); i++) {
        struct qr_feed_chart *item = &define->charts[define->n++];
        item->slot = i;
        item->n_dims = count_dims(&charts[i]);
        item->update_every = 1;
        encode_chart(&item->body, i);
    }
    qr_roster_define(self->sources.roster, define);
}

/* A child that says it is this member is another machine. */
static void identify(struct qr_claim *machine, const struct qr_self_sources *sources)
{
    *machine = (struct qr_claim){.machine = 1};
    qr_log_escape(machine->hostname, sizeof machine->hostname, qr_slice_str(sources->hostname));
    snprintf(machine->address, sizeof machine->address, "this member");
}

static int attach(struct qr_self *self)
{
    self->feed.guid = self->sources.guid;
    self->feed.home = self->sources.home;
    self->feed.session = self;
    self->feed.self = true;
    snprintf(self->feed.peer, sizeof self->feed.peer, "self");
    identify(&self->feed.machine, &self->sources);
    int err = encode_host(&self->feed.host_body, &self->sources);
    if (err == 0)
        qr_roster_attach(self->sources.roster, &self->feed);
    return err;
}

static void on_close(struct qr_feed *feed, const char *reason)
{
    struct qr_self *self = feed->session;
    qr_error("this member's own charts start over reason=\"%s\"", reason);
    self->attached = false;
    self->defined = false;
    qr_roster_detach(self->sources.roster, feed);
}

/* Gives up rows that are not sent: what follows must not be written against them. */
static void drop_rows(struct qr_self *self)
{
    qr_entry_block_clear(&self->block);
    for (unsigned i = 0; i < QR_COUNT(charts); i++)
        qr_entry_base_reset(&self->bases[i]);
}

static void on_detached(struct qr_feed *feed)
{
    struct qr_self *self = feed->session;
    const struct qr_feed_handler *handler = feed->handler;
    memset(feed, 0, sizeof *feed);
    feed->handler = handler;
    drop_rows(self);
    self->defined = false; /* also when the answer came behind the close */
    attach(self);
}

static const struct qr_feed_handler handler = {on_attached, on_close, on_detached};

int qr_self_start(struct qr_self **started, const struct qr_self_sources *sources)
{
    struct qr_self *self = calloc(1, sizeof *self);
    if (self == NULL)
        return UV_ENOMEM;
    self->sources = *sources;
    self->feed.handler = &handler;
    qr_entry_block_init(&self->block);
    *started = self;
    return attach(self);
}

/* ---- collection ---- */

static uint64_t timeval_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static uint64_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *end;
    strtoull(text, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void read_process(struct figures *f)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    f->cpu_user_us = timeval_us(usage.ru_utime);
    f->cpu_system_us = timeval_us(usage.ru_stime);
    f->rss_bytes = resident_bytes();
}

static void read_cluster(struct figures *f, const struct qr_self_sources *s)
{
    struct qr_group_status group;
    struct qr_link_stats link;
    qr_group_get_status(s->group, &group);
    qr_link_get_stats(s->link, &link);
    f->term = group.term;
    f->commit = group.commit;
    f->applied = group.applied;
    f->proposed = group.n_proposed;
    f->dropped = group.n_dropped;
    f->refused = group.n_refused;
    f->resent = group.n_resent;
    f->snapshots = group.n_snapshots;
    f->backlog = group.n_backlog;
    f->backlog_bytes = group.backlog_bytes;
    qr_group_get_latency(s->group, &f->commit_p50_us, &f->commit_p99_us);
    qr_roster_latency(s->roster, &f->latency_p50_us, &f->latency_p99_us);
    f->link_sent = link.bytes_sent;
    f->link_received = link.bytes_received;
    f->frames_sent = link.frames_sent;
    f->frames_received = link.frames_received;
    f->dead_peers = link.dead_peers;
    f->link_refused = link.refused;
    f->loop_busy_us = s->loop_busy_us(s->data);
    f->loop_stall_us = s->loop_stall_us(s->data);
}

static void read_store(struct figures *f, const struct qr_self_sources *s)
{
    struct qr_store_stats store;
    qr_store_get_stats(s->store, &store);
    f->hosts = store.n_hosts;
    f->charts = store.n_charts;
    f->dims = store.n_dims;
    f->samples = store.n_samples;
    f->duplicates = store.n_duplicates;
    f->head_bytes = store.head_bytes;
    f->block_bytes = store.block_bytes;
    f->blocks = store.n_blocks;
    f->missing = store.n_missing;
    f->bad_pages = store.n_bad_pages;
}

static void read_ingest(struct figures *f, const struct qr_self_sources *s)
{
    for (unsigned i = 0; i < s->n_ingests; i++) {
        const struct qr_ingest_stats *stats = qr_ingest_stats(s->ingests[i]);
        f->ingest_samples += stats->samples;
        f->ingest_rows += stats->rows;
        f->replayed_rows += stats->replayed_rows;
        f->children += stats->n_children;
        f->conns += stats->n_conns;
        f->requests += stats->http_requests;
        f->child_refused += stats->refused;
    }
}

static uint64_t figure(const struct figures *figures, size_t at)
{
    return *(const uint64_t *)(const void *)((const char *)figures + at);
}

static void read_upstream(struct figures *f, const struct qr_self_sources *sources)
{
    struct qr_upstream_totals totals;
    qr_upstream_get_totals(sources->upstream, &totals);
    f->upstream_hosts = totals.n_hosts;
    f->upstream_streaming = totals.n_streaming;
    f->upstream_lag_s = (uint64_t)totals.lag_s;
    f->upstream_lag_samples = totals.lag_samples;
    f->upstream_rows = totals.rows_live;
    f->upstream_replayed = totals.rows_replayed;
    f->upstream_bytes = totals.bytes_wire;
}

static void add_rows(struct qr_self *self, const struct figures *now, int64_t end_s)
{
    for (unsigned i = 0; i < QR_COUNT(charts); i++) {
        uint32_t cells[DIMS_MAX];
        unsigned n = count_dims(&charts[i]);
        for (unsigned d = 0; d < n; d++) {
            const struct dim *dim = &charts[i].dims[d];
            uint64_t value = figure(now, dim->at);
            uint64_t before = figure(&self->last, dim->at);
            double shown = (double)(dim->rate ? (value >= before ? value - before : 0) : value);
            if (dim->rate)
                shown /= (double)(end_s - self->last_end_s);
            cells[d] = qr_value_pack(shown * dim->scale, 0);
        }
        /* One that does not fit is left out whole: the next follows the one before. */
        qr_entry_block_row(&self->block, &self->bases[i], self->ids[i], end_s, cells, n);
    }
}

static void on_batch_done(struct qr_batch *batch)
{
    struct qr_self *self = batch->owner;
    self->n_in_flight--;
    qr_buf_release(&batch->body);
    free(batch);
}

static void send_rows(struct qr_self *self)
{
    if (self->n_in_flight >= BATCHES_IN_FLIGHT_MAX) {
        if (qr_entry_block_bytes(&self->block) > QR_BATCH_BYTES_MAX)
            drop_rows(self); /* hours without a quorum */
        return;
    }
    struct qr_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return;
    self->block.host = self->feed.host;
    self->block.epoch = self->feed.epoch;
    self->block.block_seq = ++self->feed.block_seq;
    struct qr_entry_block *block = &self->block;
    batch->home = self->sources.home;
    batch->done = on_batch_done;
    batch->owner = self;
    batch->n_samples = block->n_samples;
    if (qr_entry_encode(&batch->body, &block, 1) != 0) {
        self->feed.block_seq--;
        free(batch);
        return;
    }
    qr_entry_block_clear(&self->block);
    self->n_in_flight++;
    qr_roster_batch(self->sources.roster, batch);
}

void qr_self_collect(struct qr_self *self)
{
    int64_t end_s = qr_clock_real_s(self->sources.clock);
    if (self->last_end_s - end_s > CLOCK_BACK_S)
        self->has_last = false; /* The cluster's time was set back: it goes on from there. */
    else if (end_s <= self->last_end_s)
        return;
    if (!self->defined)
        return;
    struct figures now = {0};
    read_process(&now);
    read_cluster(&now, &self->sources);
    read_store(&now, &self->sources);
    read_ingest(&now, &self->sources);
    read_upstream(&now, &self->sources);
    if (self->has_last && self->last_end_s > 0) {
        add_rows(self, &now, end_s);
        send_rows(self);
    }
    self->last = now;
    self->last_end_s = end_s;
    self->has_last = true;
}
