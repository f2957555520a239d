/* storage/merge.h — many block files become one, and points of a coarser tier.
 *
 *   tier 0   36 windows of a shard, all generations  -->  one file of the span (6 h)
 *   tier 1   that file                               -->  its points of 60 s
 *   tier 2   the files of four spans in tier 1       -->  points of 3600 s (24 h)
 *
 * A merge begins with the log's MERGE entry, which fixes what it takes: the confirmed files there
 * are at that entry, and which charts are forgotten and left out.  The output is a pure function of
 * them, so every member makes the same; it is named by a SEALED entry like any file.  From that
 * entry on it counts and what it replaces does not: the files it took (tier 0), or the same points
 * of an older generation.  A member that is still at it then goes on reading the old ones until its
 * own output is there.
 *
 *   MERGE -> waiting -> running -> written --SEALED--> in the manifest
 *               ^          |failed                     (SEALED may come at any point before)
 *               +----------+
 *
 * Generations: a merged file of tier 0 has one more than any file it takes, and a window that gets
 * late samples afterwards one more than that; so a name is never used again, and lower ones win.
 * Points have the generation of the file they are made from, those of tier 2 the sum of the
 * generations (+ 1 each) - 1: it grows as soon as one of them was made again.  Once retention has
 * dropped one of them the points stay as they are: what is left would make fewer.
 *
 * One merge that is not named at a time.  Jobs wait until no window is to be written.
 * Thread: the writer's, but for the job. */
#ifndef QR_STORAGE_MERGE_H
#define QR_STORAGE_MERGE_H

#include "storage/block.h"
#include "storage/id_runs.h"
#include "storage/jobs.h"

#define QR_MERGE_WINDOWS 36u /* Of a span; a part of it, in one chunk, is a sixth. */
#define QR_MERGE_PARTS   6u
#define QR_MERGE_SPANS   4u /* Of a file of tier 2. */

struct qr_state;

struct qr_merge_input {
    struct qr_block_id id;
    uint64_t bytes, hash;
};

struct qr_merge {
    struct qr_job job;
    struct qr_list node; /* In state->merges. */
    struct qr_state *state;
    struct qr_block_id id;       /* The output's. */
    int64_t edge_s;              /* Of the tier that it takes files of, at its entry. */
    struct qr_id_runs forgotten; /* Charts that were gone at its entry: they are left out. */
    bool started;                /* Waits for a worker or runs. */
    bool written;                /* The file is there. */
    unsigned pause;              /* Polls until a failed job is tried again. */
    bool is_named;
    uint64_t named_bytes, named_hash;
    /* For the job, and its results: */
    uint32_t n_inputs;
    struct qr_merge_input *inputs; /* In order of ids. */
    int status;
    uint64_t bytes, hash;
};

/* How long the merged files of a tier are. */
uint32_t qr_merge_span(uint32_t window_s, unsigned tier);
/* The sub-windows of a merged file: a sixth of a span, or all of a file of tier 2. */
uint32_t qr_merge_sub(const struct qr_block_id *id);

/* The MERGE entry.  0, also when there is nothing to merge; QR_E_BUSY: a file that it would take,
 * or the merge before it, is not confirmed; QR_E_LIMIT: no such span; UV_ENOMEM. */
int qr_merge_apply(struct qr_state *state, unsigned tier, uint32_t shard, int64_t start_s);
/* A SEALED entry for what a merge makes.  QR_E_UNKNOWN: it is of no merge; 0 or UV_ENOMEM. */
int qr_merge_name(struct qr_state *state, const struct qr_block_id *id, uint64_t bytes,
                  uint64_t hash);

/* The next merge that all files are there for, of what ended at or before `before_s` and has
 * nothing unsealed; false: there is none, or one is not named yet.  *id is its output. */
bool qr_merge_due(const struct qr_state *state, int64_t before_s, struct qr_block_id *id);

/* The start of the first span in which files of a tier are not in the next one's points as they
 * are; INT64_MAX: they all are, or it is the last tier. */
int64_t qr_merge_needs_s(const struct qr_state *state, unsigned tier);

/* Starts what waits and can be done. */
void qr_merge_poll(struct qr_state *state);
/* For a state from a snapshot: goes on with it.  Takes `forgotten` if it returns 0. */
int qr_merge_resume(struct qr_state *state, const struct qr_block_id *id,
                    struct qr_id_runs *forgotten);
/* Frees all; none is started. */
void qr_merge_release(struct qr_state *state);
/* As qr_seal_detach: whose job ends last retires the state. */
bool qr_merge_detach(struct qr_state *state);

/* NULL: none that is not in the manifest. */
struct qr_merge *qr_merge_find(const struct qr_state *state, const struct qr_block_id *id);
/* Has the log named a file that takes this one's place, and is it in the manifest, or will it be?
 */
bool qr_merge_took(const struct qr_state *state, const struct qr_block_id *id);
bool qr_merge_will_take(const struct qr_state *state, const struct qr_block_id *id);
/* Does a merge need this file here?  Then it stays, whatever retention says. */
bool qr_merge_reads(const struct qr_state *state, const struct qr_block_id *id);
/* One more than the newest merged file that covers a window, or is being made. */
uint32_t qr_merge_next_generation(const struct qr_state *state, const struct qr_block_id *id);
/* Before this the files of a tier are needed for a merge that is not named; INT64_MAX: none is. */
int64_t qr_merge_holds_s(const struct qr_state *state, unsigned tier);

#endif
