#include "storage/merge.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "storage/confirm.h"
#include "storage/internal.h"
#include "storage/ledger.h"
#include "storage/merge_job.h"
#include "storage/retain.h"

#define RETRY_POLLS 60u

uint32_t qr_merge_span(uint32_t window_s, unsigned tier)
{
    return window_s * QR_MERGE_WINDOWS * (tier == 2 ? QR_MERGE_SPANS : 1);
}

uint32_t qr_merge_sub(const struct qr_block_id *id)
{
    return id->tier == 2 ? id->window_s : id->window_s / QR_MERGE_PARTS;
}

/* ---- which file stands for which ---- */

/* Is `id` part of what `merged` holds, and older? */
static bool supersedes(const struct qr_state *state, const struct qr_block_id *merged,
                       const struct qr_block_id *id)
{
    return merged->tier == id->tier && merged->shard == id->shard &&
           (merged->tier != 0 || merged->window_s != state->head.window_s) &&
           merged->start_s <= id->start_s && qr_block_id_end_s(id) <= qr_block_id_end_s(merged) &&
           id->generation < merged->generation;
}

bool qr_merge_will_take(const struct qr_state *state, const struct qr_block_id *id)
{
    QR_LIST_FOREACH (node, &state->merges) {
        const struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        if (merge->is_named && supersedes(state, &merge->id, id))
            return true;
    }
    return false;
}

bool qr_merge_took(const struct qr_state *state, const struct qr_block_id *id)
{
    const struct qr_block_set *set = atomic_load(&state->manifest.set);
    uint32_t at = qr_block_set_from(set, id->tier, id->start_s);
    for (; set != NULL && at < set->n; at++) {
        const struct qr_block_id *other = &set->at[at]->id;
        if (other->tier != id->tier || other->start_s > id->start_s)
            break;
        if (supersedes(state, other, id))
            return true;
    }
    return false;
}

uint32_t qr_merge_next_generation(const struct qr_state *state, const struct qr_block_id *id)
{
    uint32_t next = 0;
    struct qr_block_id newest = *id;
    newest.generation = 0;
    const struct qr_block_set *set = atomic_load(&state->manifest.set);
    uint32_t at = qr_block_set_from(set, id->tier, id->start_s);
    for (; set != NULL && at < set->n; at++) {
        const struct qr_block_id *other = &set->at[at]->id;
        if (other->tier != id->tier || other->start_s > id->start_s)
            break;
        if (other->generation >= next && supersedes(state, other, &newest))
            next = other->generation + 1;
    }
    QR_LIST_FOREACH (node, &state->merges) {
        const struct qr_block_id *other = &QR_CONTAINER_OF(node, struct qr_merge, node)->id;
        if (other->generation >= next && supersedes(state, other, &newest))
            next = other->generation + 1;
    }
    return next;
}

struct qr_merge *qr_merge_find(const struct qr_state *state, const struct qr_block_id *id)
{
    QR_LIST_FOREACH (node, &state->merges) {
        struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        if (qr_block_id_is(&merge->id, id))
            return merge;
    }
    return NULL;
}

static bool one_is_unnamed(const struct qr_state *state)
{
    QR_LIST_FOREACH (node, &state->merges)
        if (!QR_CONTAINER_OF(node, struct qr_merge, node)->is_named)
            return true;
    return false;
}

/* ---- what a merge takes ---- */

static unsigned input_tier(const struct qr_block_id *output)
{
    return output->tier == 2 ? 1 : 0;
}

/* Does it read this file?  (Of those that are there at its entry; what was gone then may be here
 * still, for a merge before it.) */
static bool takes(const struct qr_merge *merge, const struct qr_block_id *id)
{
    const struct qr_block_id *output = &merge->id;
    if (id->shard != output->shard || id->start_s < output->start_s ||
        qr_block_id_end_s(id) > qr_block_id_end_s(output) || qr_block_id_end_s(id) <= merge->edge_s)
        return false;
    switch (output->tier) {
    case 0:
        return id->tier == 0 && id->generation < output->generation;
    case 1:
        return id->tier == 0 && id->window_s == output->window_s &&
               id->generation == output->generation;
    default:
        return id->tier == 1;
    }
}

bool qr_merge_reads(const struct qr_state *state, const struct qr_block_id *id)
{
    QR_LIST_FOREACH (node, &state->merges) {
        const struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        if (!merge->written && takes(merge, id))
            return true;
    }
    return false;
}

/* What there is for a span, as the ledger has it. */
struct survey {
    uint32_t n_windows;  /* Files that are not merged. */
    uint32_t generation; /* Of the newest of all files. */
    bool has_merged;     /* A merged file, of generation */
    uint32_t merged;
    bool has_output; /* The tier's own file, of generation */
    uint32_t output;
    uint32_t n_points; /* Files of tier 1, and the sum of their generations + 1. */
    uint64_t points;
    bool has_expired; /* Some of these may be gone. */
    bool all_confirmed;
};

static void survey_file(struct survey *survey, const struct qr_state *state, unsigned tier,
                        const struct qr_ledger_file *file)
{
    const struct qr_block_id *id = &file->id;
    survey->all_confirmed = survey->all_confirmed && file->confirmed;
    if (id->tier == tier && tier != 0) {
        survey->has_output = true;
        survey->output = id->generation;
    } else if (id->tier == 1) {
        survey->n_points++;
        survey->points += (uint64_t)id->generation + 1;
    } else if (id->window_s == state->head.window_s) {
        survey->n_windows++;
    } else {
        survey->has_merged = true;
        survey->merged = id->generation;
    }
    if (id->tier == 0 && id->generation > survey->generation)
        survey->generation = id->generation;
}

/* The first file of a tier that starts at or after start_s. */
static uint32_t first_from(const struct qr_ledger *ledger, unsigned tier, int64_t start_s)
{
    uint32_t low = 0, high = ledger->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct qr_block_id *id = &ledger->at[middle].id;
        if (id->tier < tier || (id->tier == tier && id->start_s < start_s))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What there is for what ends at `span`: of its own tier, and of the one that it is made from. */
static struct survey survey_span(const struct qr_ledger *ledger, const struct qr_state *state,
                                 const struct qr_block_id *span)
{
    struct survey survey = {.all_confirmed = true};
    survey.has_expired =
        span->tier == 2 &&
        span->start_s + qr_merge_span(state->head.window_s, 1) <= state->retain_s[1];
    for (unsigned tier = span->tier != 0 ? span->tier - 1u : 0; tier <= span->tier; tier++)
        for (uint32_t i = first_from(ledger, tier, span->start_s); i < ledger->n; i++) {
            const struct qr_block_id *id = &ledger->at[i].id;
            if (id->tier != tier || id->start_s >= qr_block_id_end_s(span))
                break;
            if (id->shard == span->shard && qr_block_id_end_s(id) <= qr_block_id_end_s(span))
                survey_file(&survey, state, span->tier, &ledger->at[i]);
        }
    return survey;
}

/* Is there something to make, and of which generation? */
static bool output_of(const struct survey *survey, unsigned tier, uint32_t *generation)
{
    switch (tier) {
    case 0:
        *generation = survey->generation + 1;
        return survey->n_windows != 0;
    case 1:
        *generation = survey->merged;
        return survey->has_merged && survey->n_windows == 0 &&
               (!survey->has_output || survey->output != survey->merged);
    default: /* Of what retention has left there would be less, and under an older name. */
        *generation = (uint32_t)(survey->points - 1);
        return survey->n_points != 0 &&
               (!survey->has_output || (!survey->has_expired && survey->output != *generation));
    }
}

/* Retention would drop it at once, and then it would be due again. */
static bool is_gone(const struct qr_state *state, const struct qr_block_id *output)
{
    return qr_block_id_end_s(output) <= state->retain_s[output->tier];
}

/* ---- the end of one ---- */

static void let_inputs_go(struct qr_merge *merge)
{
    free(merge->inputs);
    merge->inputs = NULL;
    merge->n_inputs = 0;
}

static void merge_free(struct qr_merge *merge)
{
    qr_list_remove(&merge->node);
    let_inputs_go(merge);
    qr_id_runs_release(&merge->forgotten);
    free(merge);
}

struct replacement {
    const struct qr_state *state;
    struct qr_block_id id;
};

static bool is_replaced(void *data, const struct qr_block *block)
{
    const struct replacement *by = data;
    return supersedes(by->state, &by->id, &block->id);
}

/* Puts the output in, as the log has named it, and takes out what it stands for. */
static int install(struct qr_merge *merge, enum qr_block_health health)
{
    struct qr_state *state = merge->state;
    struct replacement by = {state, merge->id};
    struct qr_block *block =
        qr_block_new(&merge->id, merge->named_bytes, merge->named_hash, health);
    if (block == NULL)
        return UV_ENOMEM;
    block->confirmed = true;
    block->reported = health == QR_BLOCK_MISSING;
    int err =
        qr_manifest_change(&state->manifest, block, &(struct qr_manifest_change){is_replaced, &by});
    if (err != 0)
        return err;
    merge_free(merge);
    qr_retain_expire(state);
    qr_epoch_collect(state->epoch);
    return 0;
}

/* This member has made it, and the log has named it. */
static int settle(struct qr_merge *merge)
{
    if (merge->bytes == merge->named_bytes && merge->hash == merge->named_hash)
        return install(merge, QR_BLOCK_SOUND);
    qr_confirm_set_aside(merge->state->store, &merge->id);
    return install(merge, QR_BLOCK_MISSING);
}

/* It cannot be made here: the file may be there from before a restart, or is fetched. */
static int adopt(struct qr_merge *merge)
{
    struct qr_store *store = merge->state->store;
    int err = install(merge, QR_BLOCK_UNCHECKED);
    if (err == 0)
        qr_files_check(&store->files);
    return err;
}

/* ---- the job ---- */

static void run_merge(struct qr_job *job)
{
    struct qr_merge *merge = QR_CONTAINER_OF(job, struct qr_merge, job);
    merge->status = qr_merge_run(merge);
}

static void report_failure(const struct qr_merge *merge)
{
    unsigned held;
    char name[QR_BLOCK_NAME_BYTES];
    qr_block_format_name(&merge->id, name);
    if (qr_log_allowed(&merge->state->store->log_limit, 3, 60000, &held))
        qr_warn("a merge failed and will be tried again file=%s reason=\"%s\"", name,
                qr_strerror(merge->status));
}

static void on_merged(struct qr_job *job)
{
    struct qr_merge *merge = QR_CONTAINER_OF(job, struct qr_merge, job);
    struct qr_state *state = merge->state;
    struct qr_store *store = state->store;
    merge->started = false;
    if (state->detached) { /* A restore came in between. */
        merge_free(merge);
        if (qr_list_empty(&state->seals) && qr_list_empty(&state->merges))
            qr_epoch_retire(&store->epoch, state, qr_state_release_later);
        qr_epoch_collect(&store->epoch);
        return;
    }
    let_inputs_go(merge);
    merge->written = merge->status == 0;
    merge->pause = merge->written ? 0 : RETRY_POLLS;
    if (!merge->written)
        report_failure(merge);
    if (merge->is_named) {
        if (merge->written)
            settle(merge);
        else
            adopt(merge);
    } else if (merge->written && store->events.sealed != NULL) {
        store->events.sealed(store->events.data, &merge->id, 0, merge->bytes, merge->hash);
    }
    qr_merge_poll(state);
}

enum inputs {
    INPUTS_HERE,
    INPUTS_AWAITED, /* Some are still being written or looked for. */
    INPUTS_LOST     /* Some are not here, or damaged. */
};

static enum inputs worse(enum inputs a, enum inputs b)
{
    return a > b ? a : b;
}

/* How many files it takes; `inputs` may be NULL. */
static uint32_t collect(const struct qr_merge *merge, struct qr_merge_input *inputs,
                        enum inputs *are)
{
    const struct qr_state *state = merge->state;
    const struct qr_block_set *set = atomic_load(&state->manifest.set);
    uint64_t generations = 0;
    uint32_t n = 0;
    *are = INPUTS_HERE;
    for (uint32_t i = 0; set != NULL && i < set->n; i++) {
        const struct qr_block *block = set->at[i];
        if (!takes(merge, &block->id))
            continue;
        int health = atomic_load(&block->health);
        *are = worse(*are, health == QR_BLOCK_SOUND       ? INPUTS_HERE
                           : health == QR_BLOCK_UNCHECKED ? INPUTS_AWAITED
                                                          : INPUTS_LOST);
        if (inputs != NULL)
            inputs[n] = (struct qr_merge_input){block->id, block->bytes, block->hash};
        generations += (uint64_t)block->id.generation + 1;
        n++;
    }
    QR_LIST_FOREACH (node, &state->seals)
        if (takes(merge, &QR_CONTAINER_OF(node, struct qr_seal, node)->id))
            *are = worse(*are, INPUTS_AWAITED);
    for (const struct qr_list *node = state->merges.next; node != &merge->node; node = node->next)
        if (takes(merge, &QR_CONTAINER_OF(node, struct qr_merge, node)->id))
            *are = worse(*are, INPUTS_AWAITED);
    /* A merge after this one may be ahead of it here. */
    bool is_past = merge->id.tier == 2 ? generations != (uint64_t)merge->id.generation + 1 : n == 0;
    if (is_past && *are == INPUTS_HERE)
        *are = INPUTS_LOST;
    return n;
}

static enum inputs start(struct qr_merge *merge)
{
    enum inputs are;
    uint32_t n = collect(merge, NULL, &are);
    if (are != INPUTS_HERE)
        return are;
    merge->inputs = calloc(n, sizeof *merge->inputs);
    if (merge->inputs == NULL)
        return INPUTS_AWAITED; /* Of the next poll. */
    merge->n_inputs = collect(merge, merge->inputs, &are);
    merge->job.run = run_merge;
    merge->job.done = on_merged;
    merge->started = true;
    qr_jobs_add(qr_files_queue(merge->state->store, merge->id.shard), &merge->job);
    return INPUTS_HERE;
}

static struct qr_merge *next_to_start(struct qr_state *state)
{
    QR_LIST_FOREACH (node, &state->merges) {
        struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        if (merge->started)
            return NULL; /* One at a time. */
        if (merge->pause > 0)
            merge->pause--;
        else if (!merge->written)
            return merge;
    }
    return NULL;
}

void qr_merge_poll(struct qr_state *state)
{
    if (!qr_list_empty(&state->seals))
        return; /* Windows come first: they hold memory. */
    struct qr_merge *merge = next_to_start(state);
    if (merge == NULL || start(merge) != INPUTS_LOST)
        return;
    if (merge->is_named)
        adopt(merge); /* Others have made it. */
}

/* ---- log entries ---- */

/* Takes `forgotten` if it returns 0. */
static int add(struct qr_state *state, const struct qr_block_id *id, struct qr_id_runs *forgotten)
{
    struct qr_merge *merge = calloc(1, sizeof *merge);
    if (merge == NULL)
        return UV_ENOMEM;
    merge->state = state;
    merge->id = *id;
    merge->edge_s = state->retain_s[input_tier(id)];
    merge->forgotten = *forgotten;
    *forgotten = (struct qr_id_runs){0};
    qr_list_add_tail(&state->merges, &merge->node);
    return 0;
}

int qr_merge_resume(struct qr_state *state, const struct qr_block_id *id,
                    struct qr_id_runs *forgotten)
{
    return add(state, id, forgotten);
}

int qr_merge_apply(struct qr_state *state, unsigned tier, uint32_t shard, int64_t start_s)
{
    if (tier >= QR_TIERS || shard > QR_SHARD_MAX || start_s < 0 || start_s > QR_TIME_S_MAX)
        return QR_E_LIMIT;
    struct qr_block_id id = {.start_s = start_s,
                             .window_s = qr_merge_span(state->head.window_s, tier),
                             .shard = shard,
                             .tier = (uint8_t)tier};
    if (start_s % id.window_s != 0)
        return QR_E_LIMIT;
    if (is_gone(state, &id))
        return 0;
    if (one_is_unnamed(state))
        return QR_E_BUSY;
    struct qr_ledger ledger = {0};
    int err = qr_ledger_read(&ledger, state);
    if (err != 0)
        return err;
    struct survey survey = survey_span(&ledger, state, &id);
    bool is_due = output_of(&survey, tier, &id.generation);
    qr_ledger_release(&ledger);
    if (!is_due)
        return 0;
    if (!survey.all_confirmed)
        return QR_E_BUSY;
    struct qr_id_runs forgotten = {0};
    err = qr_id_runs_missing(&forgotten, &state->catalog.charts, state->catalog.last_chart);
    if (err == 0)
        err = add(state, &id, &forgotten);
    qr_id_runs_release(&forgotten);
    if (err == 0)
        qr_merge_poll(state);
    return err;
}

int qr_merge_name(struct qr_state *state, const struct qr_block_id *id, uint64_t bytes,
                  uint64_t hash)
{
    struct qr_merge *merge = qr_merge_find(state, id);
    if (merge == NULL)
        return QR_E_UNKNOWN;
    if (merge->is_named)
        return 0; /* The first name counts. */
    merge->is_named = true;
    merge->named_bytes = bytes;
    merge->named_hash = hash;
    if (merge->written)
        return settle(merge);
    if (!merge->started) {
        merge->pause = 0;
        qr_merge_poll(state);
    }
    return 0;
}

int64_t qr_merge_holds_s(const struct qr_state *state, unsigned tier)
{
    QR_LIST_FOREACH (node, &state->merges) {
        const struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        if (!merge->is_named && tier == input_tier(&merge->id))
            return merge->id.start_s;
    }
    return INT64_MAX;
}

void qr_merge_release(struct qr_state *state)
{
    while (!qr_list_empty(&state->merges)) {
        struct qr_merge *merge = QR_CONTAINER_OF(state->merges.next, struct qr_merge, node);
        assert(!merge->started);
        merge_free(merge);
    }
}

bool qr_merge_detach(struct qr_state *state)
{
    bool one_runs = false;
    QR_LIST_FOREACH (node, &state->merges) {
        struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        if (merge->started &&
            !qr_jobs_cancel(qr_files_queue(state->store, merge->id.shard), &merge->job))
            one_runs = true;
        else
            merge_free(merge);
    }
    return one_runs;
}

/* ---- what the leader proposes ---- */

static bool is_unsealed(const struct qr_state *state, const struct qr_block_id *span)
{
    const struct qr_head *head = &state->head;
    for (uint32_t i = 0; i < head->n_windows; i++)
        if (head->windows[i]->shard == span->shard && head->windows[i]->start_s >= span->start_s &&
            head->windows[i]->start_s < qr_block_id_end_s(span))
            return true;
    return false;
}

static bool is_due(const struct qr_ledger *ledger, const struct qr_state *state,
                   struct qr_block_id *span, int64_t before_s)
{
    if (qr_block_id_end_s(span) > before_s || is_gone(state, span) || is_unsealed(state, span))
        return false;
    struct survey survey = survey_span(ledger, state, span);
    return survey.all_confirmed && output_of(&survey, span->tier, &span->generation);
}

/* The span of a tier that a file belongs to, as the tier below has it. */
static struct qr_block_id span_of(const struct qr_state *state, unsigned tier,
                                  const struct qr_block_id *id)
{
    uint32_t window_s = qr_merge_span(state->head.window_s, tier);
    return (struct qr_block_id){.start_s = id->start_s - id->start_s % window_s,
                                .window_s = window_s,
                                .shard = id->shard,
                                .tier = (uint8_t)tier};
}

int64_t qr_merge_needs_s(const struct qr_state *state, unsigned tier)
{
    struct qr_ledger ledger = {0};
    if (tier + 1 >= QR_TIERS || qr_ledger_read(&ledger, state) != 0)
        return INT64_MAX;
    int64_t needed_s = INT64_MAX;
    for (uint32_t i = first_from(&ledger, tier, 0); i < ledger.n && needed_s == INT64_MAX; i++) {
        if (ledger.at[i].id.tier != tier)
            break;
        struct qr_block_id span = span_of(state, tier + 1, &ledger.at[i].id);
        struct survey survey = survey_span(&ledger, state, &span);
        uint32_t generation;
        bool to_merge = tier == 0 && survey.n_windows != 0;
        if (!is_gone(state, &span) && (to_merge || output_of(&survey, tier + 1, &generation)))
            needed_s = span.start_s;
    }
    qr_ledger_release(&ledger);
    return needed_s;
}

bool qr_merge_due(const struct qr_state *state, int64_t before_s, struct qr_block_id *id)
{
    struct qr_ledger ledger = {0};
    if (one_is_unnamed(state) || qr_ledger_read(&ledger, state) != 0)
        return false;
    bool found = false;
    for (unsigned tier = 0; tier < QR_TIERS && !found; tier++) {
        struct qr_block_id last = {.window_s = 0};
        for (uint32_t i = 0; i < ledger.n && !found; i++) {
            const struct qr_block_id *file = &ledger.at[i].id;
            if (file->tier != input_tier(&(struct qr_block_id){.tier = (uint8_t)tier}))
                continue;
            struct qr_block_id span = span_of(state, tier, file);
            if (qr_block_id_is(&span, &last))
                continue; /* Asked already; those of one span are mostly together. */
            last = span;
            found = is_due(&ledger, state, &span, before_s);
            if (found)
                *id = span;
        }
    }
    qr_ledger_release(&ledger);
    return found;
}
