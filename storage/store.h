/* storage/store.h — the face of this folder: all samples and definitions of one group.
 *
 *   apply (consensus loop) --> catalog + head --SEAL--> frozen window --worker--> block file
 *   readers (any thread)   <-- catalog, head, frozen windows, block files
 *
 * One writer, many readers without locks: what readers see is immutable, append-only, or published
 * with one atomic store; what is replaced is retired through base/epoch.  A reader brackets its
 * work with qr_store_enter and qr_store_leave, and all pointers it got are valid in between.
 *
 * Time is divided in windows of `window_s`: window k is [k*window_s, (k+1)*window_s) in sample end
 * time.  SEAL freezes what the head holds of a window at that entry, one part a shard; a worker
 * encodes each, writes NAME.tmp, syncs, renames, syncs the folder; the same entries give the same
 * bytes on every member.
 * Samples that come for a sealed window go to that window's late head and are sealed as its next
 * generation.  Of two values for one (series, second) the one applied first stays: present beats
 * EMPTY, earlier beats later.
 *
 * Functions marked C run on the consensus loop only. */
#ifndef QR_STORAGE_STORE_H
#define QR_STORAGE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/epoch.h"
#include "base/guid.h"
#include "base/slice.h"
#include "storage/ballot.h"
#include "storage/block_id.h"
#include "storage/definition.h"
#include "storage/disk.h"
#include "storage/retain.h"

struct qr_store;
struct qr_state; /* What a snapshot replaces. */

/* ---- catalog: what readers see ---- */

struct qr_index;      /* storage/index: contexts, labels and host names. */
struct qr_chart_head; /* storage/head's. */
struct qr_entry_base; /* storage/entry's. */

struct qr_chart {
    uint32_t id; /* Of the group, given in log order, never reused; 0 is none. */
    struct qr_host *host;
    _Atomic(struct qr_chart *) next; /* Of the host's charts; NULL: it is the last. */
    _Atomic(const struct qr_chart_def *) def;
    _Atomic int64_t oldest_s;    /* As stored, retention aside: see qr_chart_first_s. */
    _Atomic int64_t watermark_s; /* End time of the newest applied point; 0: none. */
    _Atomic uint64_t n_samples;  /* Applied, not counting refused duplicates. */
    _Atomic int64_t told_s;      /* When the log had its last row; 0: never. */
    _Atomic uint32_t n_late;     /* Rows at or behind the watermark that brought something; this
                                  * member's own count. */
    struct qr_chart_head *head;
    struct qr_entry_base *base; /* Of the next row in the log; the writer's. */
};

/* End time of the oldest point that is still kept; 0: none. */
int64_t qr_chart_first_s(const struct qr_chart *chart);

struct qr_host {
    uint32_t id;    /* From 1, in log order, never reused. */
    uint32_t shard; /* From its first chart on: storage/shard. */
    bool has_shard;
    struct qr_guid guid;
    char guid_text[QR_GUID_TEXT_LEN + 1];
    _Atomic(const struct qr_host_def *) def;
    _Atomic uint32_t n_charts;
    _Atomic(struct qr_chart *) charts; /* The first, in log order; see `next`. */
    _Atomic uint32_t last_chart;       /* The highest id of a chart that it ever had. */
    _Atomic bool connected;            /* As HOST_STATE said last. */
    _Atomic int64_t state_changed_us;  /* Time of that entry. */
    _Atomic int64_t watermark_s;       /* The newest of all charts it ever had; 0: none. */
    _Atomic uint64_t n_samples;        /* Of all of them. */
};

/* The charts of a host, in log order; NULL: no more.  `host` may be NULL. */
static inline struct qr_chart *qr_host_first(const struct qr_host *host)
{
    return host != NULL ? atomic_load_explicit(&host->charts, memory_order_acquire) : NULL;
}
static inline struct qr_chart *qr_chart_next(const struct qr_chart *chart)
{
    return atomic_load_explicit(&chart->next, memory_order_acquire);
}

/* All hosts, in order of their ids. */
struct qr_store_hosts {
    _Atomic uint32_t n;
    struct qr_host *at[];
};

/* A recorded gap: this part of a chart is missing for good. */
struct qr_gap {
    uint32_t chart;
    int64_t after_s, before_s; /* (after_s, before_s] */
    uint8_t reason;            /* proto/stream.h's enum */
};

/* ---- life ---- */

struct qr_store_events {
    void *data;
    /* C.  A block file is on disk (or, after a restore, one is missing or bad: status != 0). */
    void (*sealed)(void *data, const struct qr_block_id *id, int status, uint64_t bytes,
                   uint64_t hash);
    /* C.  This member's block differs from the hash in the log, or a page failed its checksum. */
    void (*bad_block)(void *data, const char *name, const char *sentence);
};

#define QR_STORE_SHARD_METRICS 50000u

struct qr_store_config {
    struct uv_loop_s *loop; /* Jobs run in its thread pool and come back on it; NULL: jobs run
                             * inside the call (unit tests). */
    struct qr_disk *disk;   /* storage/disk: the file system or memory. */
    struct qr_disk *peers;  /* Reads files of other members by name, for what this one lacks; NULL:
                             * there is none. */
    const char *dir;        /* For block files; exists. */
    uint32_t window_s;      /* 600 */
    uint32_t shard_metrics; /* A shard takes hosts until it has had so many; the same on all
                             * members.  0: QR_STORE_SHARD_METRICS. */
    uint64_t index_bytes;   /* Indexes of block files in memory; 0: QR_INDEX_BYTES_MAX. */
};

/* C.  Empty until the group replays or restores into it. */
int qr_store_open(struct qr_store **store, const struct qr_store_config *config,
                  const struct qr_store_events *events);
/* C.  No reader inside, no job running (qr_store_busy() == 0). */
void qr_store_close(struct qr_store *store);
unsigned qr_store_busy(const struct qr_store *store);

/* ---- writing: pure functions of (state, arguments), C ---- */

/* Creates or changes a host by the GUID in its definition.  Takes `def` (frees it when replaced,
 * and on error).  0, QR_E_LIMIT (QR_HOSTS_MAX ids are given) or UV_ENOMEM; *id is its id. */
int qr_store_apply_host(struct qr_store *store, struct qr_host_def *def, uint32_t *id);

/* Creates or changes a chart of a host.  Dimensions already known keep their place: those of `def`
 * are matched by id, unknown ones are appended, and known ones missing in `def` are kept and marked
 * obsolete.  Takes `def`, also on error.  0, QR_E_UNKNOWN (host), QR_E_LIMIT (qr_store_refusal says
 * which) or UV_ENOMEM. */
int qr_store_apply_chart(struct qr_store *store, uint32_t host, struct qr_chart_def *def,
                         uint32_t *id);

/* Why the host may not have this chart, which it has not yet, as a clause for a sentence; NULL: it
 * may.  Thread: any, between enter and leave. */
const char *qr_store_refusal(const struct qr_host *host, const struct qr_chart_def *def);

/* Stores one row: n values in the order of the chart's dimensions; n may be less than the chart
 * has now.  0, QR_E_UNKNOWN (no such chart of that host), QR_E_LIMIT (n too large, or a time
 * before 1 or beyond now_s + 1 day, now_s being the entry's time).  *n_new: cells that were empty
 * in the window's head before; what block files of the window hold already is not looked up, it
 * wins when both are read.  A row of a window that retention has dropped moves the watermark and
 * stores nothing. */
int qr_store_apply_row(struct qr_store *store, uint32_t host, uint32_t chart, int64_t now_s,
                       int64_t end_s, const uint32_t *values, uint32_t n, uint32_t *n_new);

/* What storage/entry reads the rows of a chart of that host against: replicated, part of the
 * snapshot.  NULL: there is no such chart.  A qr_entry_find; `store` is the store. */
struct qr_entry_base *qr_store_base(void *store, uint32_t host, uint32_t chart);

int qr_store_apply_gap(struct qr_store *store, const struct qr_gap *gap);
int qr_store_apply_connected(struct qr_store *store, uint32_t host, bool connected,
                             int64_t time_us);

/* Freezes a window's head (or late head) and starts the jobs that write its files, one a shard,
 * each as its next generation; without data it does nothing.  If the disk fails, events.sealed says
 * so, the samples stay in memory, and qr_store_poll tries again.  0, QR_E_LIMIT (not a window's
 * start) or UV_ENOMEM. */
int qr_store_apply_seal(struct qr_store *store, int64_t window_start_s);

/* A member's word on the size and hash of a block file that it wrote.  Once the group agrees
 * (storage/ballot), this member's own is compared, now or when it is written.  If they differ this
 * member's is set aside (NAME.bad), reported by events.bad_block, and missing until the group's is
 * fetched.  Votes on files that are agreed on, or gone, change nothing.  0 or UV_ENOMEM. */
int qr_store_apply_vote(struct qr_store *store, const struct qr_block_id *id,
                        const struct qr_file_vote *vote, uint32_t n_members);

/* The number of members that vote is another one from here on: what was undecided is counted again.
 * 0 or UV_ENOMEM. */
int qr_store_apply_voters(struct qr_store *store, uint32_t n_members);

/* Makes one file of a span's windows, or points of a coarser tier from such files, once they are
 * agreed on (storage/merge).  0, also when there is nothing to merge; QR_E_BUSY: a file, or the
 * merge before it, is not agreed on; QR_E_LIMIT (no such span) or UV_ENOMEM. */
int qr_store_apply_merge(struct qr_store *store, unsigned tier, uint32_t shard, int64_t start_s);

/* Drops what is too old or too much (storage/retain): block files, head, gaps, and rows to come.
 * Charts stay; those that have nothing left are qr_store_expired's.  0, QR_E_LIMIT or UV_ENOMEM. */
int qr_store_apply_retain(struct qr_store *store, const struct qr_retention *retention);

/* What ended at or before it is gone from a tier.  Thread: any, between enter and leave. */
int64_t qr_store_edge(const struct qr_store *store, unsigned tier);

/* The merge to propose next, of what ended at or before `before_s`; false: there is none now. */
bool qr_store_merge_due(const struct qr_store *store, int64_t before_s, struct qr_block_id *id);
/* The oldest time from which the next tier's points are still to be made; INT64_MAX: nowhere. */
int64_t qr_store_merge_needs(const struct qr_store *store, unsigned tier);

/* ---- forgetting ----
 *
 * A chart or a host is removed from the catalog for good: nobody finds it, its unsealed samples go,
 * block files keep theirs under an id that nobody has any more until they expire.  If
 * it is told again it is a new one, with another id.
 *
 * Expired is a chart of which nothing is kept any more, and that its child has called obsolete, or
 * not sent a row of since the edge of retention, or that has no row at all and whose host has been
 * away since then; and a host that has no charts and has been away since then.  That is a matter of
 * replicated state alone. */
struct qr_forgotten {
    uint32_t host;
    uint32_t chart; /* 0: the host with all its charts. */
};

/* Removes it, or if `only_expired` removes it if it is expired now.  *n charts and hosts went.  0,
 * QR_E_UNKNOWN (there is no such chart of that host) or UV_ENOMEM. */
int qr_store_apply_forget(struct qr_store *store, const struct qr_forgotten *what,
                          bool only_expired, uint32_t *n);
/* Removes a host with all its charts if it is ephemeral, by its labels, and has been away since
 * before `before_s`: that is what the log says of it last.  *n and errors as above. */
int qr_store_apply_forget_away(struct qr_store *store, uint32_t host, int64_t before_s,
                               uint32_t *n);
/* After some of those, once and before anything else: unsealed samples and gaps of what is gone.  0
 * or UV_ENOMEM. */
int qr_store_apply_forgotten(struct qr_store *store);

/* What is expired, as the catalog is now: charts above *after, which moves on, then, when it says
 * UINT32_MAX, hosts.  Looks at a bounded number of charts; returns how many it found, at most max.
 * Thread: any, between enter and leave. */
uint32_t qr_store_expired(const struct qr_store *store, uint32_t *after, struct qr_forgotten *found,
                          uint32_t max);

/* The hosts that qr_store_apply_forget_away would remove now, at most max.  Thread: any, between
 * enter and leave. */
uint32_t qr_store_ephemeral_away(const struct qr_store *store, int64_t before_s,
                                 struct qr_forgotten *found, uint32_t max);

/* Windows that have unsealed data and ended at or before `before_s`, oldest first: what the leader
 * proposes to seal.  Returns how many (at most `max`). */
unsigned qr_store_sealable(const struct qr_store *store, int64_t before_s, int64_t *starts,
                           unsigned max);
/* Frozen windows that are not in files yet: with more than two the leader waits with the next. */
unsigned qr_store_unwritten(const struct qr_store *store);
/* Has the window been sealed before?  Then its unsealed data came late. */
bool qr_store_was_sealed(const struct qr_store *store, int64_t start_s);

/* Now and then (every second; a SEAL does it too): tries again to write files that failed, reports
 * what readers found damaged, frees what nobody reads any more.  Changes nothing that is
 * replicated. */
void qr_store_poll(struct qr_store *store);

/* Files that this member has and the group has neither agreed on nor heard its vote on, in order of
 * ids: what it proposes.  Returns how many (at most `max`). */
struct qr_store_file {
    struct qr_block_id id;
    uint64_t bytes, hash;
};
unsigned qr_store_unvoted(const struct qr_store *store, uint32_t member,
                          struct qr_store_file *files, unsigned max);

/* Once a second: verifies the next block file in the background (storage/scrub). */
void qr_store_scrub(struct qr_store *store);

/* After the log is replayed: has block files removed that the manifest does not name. */
void qr_store_sweep(struct qr_store *store);

/* Snapshot: manifest + catalog + unsealed tail, as they are at begin.  begin and end are C, encode
 * is for any thread; in between nothing is applied, while readers, restores and what this member
 * alone knows (blocks that are written, fetched or found damaged) go on.  begin: QR_E_BUSY while a
 * file is still being written, else 0; encode appends to `out`: 0 or UV_ENOMEM. */
struct qr_store_pin {
    struct qr_state *state;
    struct qr_ledger *ledger; /* Which files there are, at begin. */
    int slot;
};
int qr_store_snapshot_begin(struct qr_store *store, struct qr_store_pin *pin);
int qr_store_snapshot_encode(const struct qr_store_pin *pin, struct qr_buf *out);
void qr_store_snapshot_end(struct qr_store *store, const struct qr_store_pin *pin);
/* All three: for who may block. */
int qr_store_snapshot(struct qr_store *store, struct qr_buf *out);

/* Restore: decode makes a state beside the one in use, on any thread; an empty slice is the initial
 * state.  QR_E_MALFORMED, QR_E_CORRUPT, QR_E_VERSION, UV_ENOMEM.  replace (C) puts it in place:
 * from then on it is what readers see.  A job looks for the block files; those that are not here,
 * or whose footer is not what the manifest says, are reported by events.sealed and listed by
 * qr_store_missing until they are put.  Else discard (any thread). */
int qr_store_decode(struct qr_store *store, struct qr_slice snapshot, struct qr_state **state);
void qr_store_replace(struct qr_store *store, struct qr_state *state);
void qr_store_discard(struct qr_state *state);
/* Both: for who may block.  On failure the old state stays. */
int qr_store_restore(struct qr_store *store, struct qr_slice snapshot);

/* ---- block files by name: for members that catch up, C ---- */

struct qr_block_name {
    char name[64];
    uint64_t bytes, hash;
};
unsigned qr_store_missing(const struct qr_store *store, struct qr_block_name *names, unsigned max);
/* Path of a complete file of the manifest, to be sent to a peer.  0 or QR_E_UNKNOWN. */
int qr_store_block_path(const struct qr_store *store, const char *name, char *path, size_t len);
/* Path to which a fetched file is written, and its acceptance after the fetch: verified in full,
 * synced, renamed, entered.  0, QR_E_CORRUPT, QR_E_UNKNOWN. */
int qr_store_fetch_path(const struct qr_store *store, const char *name, char *path, size_t len);
int qr_store_fetched(struct qr_store *store, const char *name);
/* The same in two steps, for large files: the first reads and syncs the file, on any thread; the
 * second, on the writer's, enters it.  QR_E_UNKNOWN also when it is another file by now. */
int qr_store_fetch_check(const struct qr_store *store, const struct qr_block_name *file,
                         const char *path);
int qr_store_fetch_enter(struct qr_store *store, const struct qr_block_name *file,
                         const char *path);

/* ---- reading, any thread, between enter and leave ---- */

int qr_store_enter(struct qr_store *store);
void qr_store_leave(struct qr_store *store, int slot);

/* C.  For what else the owner publishes to these readers: `release(memory)` is called once no
 * reader that entered before can see it. */
void qr_store_retire(struct qr_store *store, void *memory, void (*release)(void *memory));

uint32_t qr_store_n_hosts(const struct qr_store *store);
/* As they are now: while the reader is inside, those below the n it has read stay as they are. */
const struct qr_store_hosts *qr_store_hosts(const struct qr_store *store);
/* i = 0 .. n_hosts-1, in order of their ids; NULL: there are not so many any more. */
struct qr_host *qr_store_host_at(const struct qr_store *store, uint32_t i);
struct qr_host *qr_store_host_by_id(const struct qr_store *store, uint32_t id);
struct qr_host *qr_store_host_by_guid(const struct qr_store *store, const struct qr_guid *guid);
/* Of several with that name the oldest; NULL: none. */
struct qr_host *qr_store_host_by_name(const struct qr_store *store, struct qr_slice name);
struct qr_chart *qr_store_chart_by_id(const struct qr_store *store, uint32_t id);
/* By id first, then by name. */
struct qr_chart *qr_store_chart_find(const struct qr_store *store, const struct qr_host *host,
                                     struct qr_slice id_or_name);

/* Who has a context or a label; its ids are those of charts and hosts. */
const struct qr_index *qr_store_index(const struct qr_store *store);

/* Gaps of a chart that are recorded; returns how many there are, copies at most max. */
unsigned qr_store_gaps(const struct qr_store *store, uint32_t chart, struct qr_gap *gaps,
                       unsigned max);

/* Hands over every recorded gap, of all charts, in the order in which they were recorded. */
void qr_store_each_gap(const struct qr_store *store,
                       void (*take)(void *data, const struct qr_gap *gap), void *data);

/* All gaps, counted for each of the first n hosts of the list. */
void qr_store_gaps_of_hosts(const struct qr_store *store, const struct qr_store_hosts *hosts,
                            uint64_t *n_gaps, uint32_t n);

struct qr_store_stats {
    uint32_t n_hosts, n_charts;
    uint64_t n_dims, n_samples, n_duplicates, n_rows;
    uint64_t head_bytes, block_bytes, n_blocks, n_missing, missing_bytes, n_bad_pages;
};
void qr_store_get_stats(const struct qr_store *store, struct qr_store_stats *stats);

#endif
