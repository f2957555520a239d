#include "testing/history.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/compiler.h"
#include "base/error.h"
#include "cluster/image.h"
#include "storage/query.h"
#include "testing/history_log.h"
#include "testing/history_tiers.h"
#include "testing/memory_disk.h"

#define DIR         "/d"
#define STEPS       130
#define BUCKETS     12u
#define DIMS_SUMMED 20u

enum kind { STEADY, RESTARTED, NEWCOMER, POOLED, N_MEMBERS };

static const char *const kind_names[] = {"steady", "restarted", "newcomer", "pooled"};

struct member {
    struct history *history;
    enum kind kind;
    struct qr_memory_disk disk;
    uv_loop_t loop; /* The pooled one's. */
    struct qr_store *store;
    struct qr_glue glue;
    struct qr_machine *machine;
    struct qr_buf snapshot; /* The last one it took, at: */
    uint32_t snapshot_n;
    uint32_t n; /* Entries applied. */
};

struct history {
    struct qr_history_log log;
    struct qr_rng rng; /* For what happens to members: the log does not depend on it. */
    struct member members[N_MEMBERS];
    struct qr_history_result *result;
    uint32_t shard_metrics;
    bool failed;
};

static void fail(struct history *history, const char *format, ...) QR_PRINTF(2, 3);

static void fail(struct history *history, const char *format, ...)
{
    va_list args;
    if (history->failed)
        return;
    history->failed = true;
    va_start(args, format);
    vsnprintf(history->result->failure, sizeof history->result->failure, format, args);
    va_end(args);
}

static bool one_in(struct history *history, uint64_t n)
{
    return qr_rng_below(&history->rng, n) == 0;
}

/* ---- a member's life ---- */

static void on_bad_block(void *data, const char *name, const char *sentence)
{
    struct member *member = data;
    fail(member->history, "%s: %s: %s", kind_names[member->kind], name, sentence);
}

static void on_fatal(void *data, const char *sentence)
{
    struct member *member = data;
    fail(member->history, "%s: %s", kind_names[member->kind], sentence);
}

static void open_member(struct member *member)
{
    const struct qr_store_config config = {.loop = member->kind == POOLED ? &member->loop : NULL,
                                           .disk = &member->disk.disk,
                                           .dir = DIR,
                                           .window_s = QR_HISTORY_WINDOW_S,
                                           .shard_metrics = member->history->shard_metrics};
    const struct qr_store_events store_events = {.data = member, .bad_block = on_bad_block};
    const struct qr_machine_events events = {.data = member, .fatal = on_fatal};
    int err = qr_store_open(&member->store, &config, &store_events);
    assert(err == 0);
    err = qr_glue_init(&member->glue, member->store, 1 + (uint32_t)member->kind,
                       QR_HISTORY_PROPOSERS);
    assert(err == 0);
    struct qr_sink sink = qr_glue_sink(&member->glue);
    member->machine = calloc(1, sizeof *member->machine);
    assert(member->machine != NULL);
    err = qr_machine_init(member->machine, &sink, &events);
    assert(err == 0);
    member->n = 0;
}

static void end_jobs(struct member *member)
{
    while (qr_store_busy(member->store) != 0)
        uv_run(&member->loop, UV_RUN_ONCE);
}

static void close_member(struct member *member)
{
    end_jobs(member);
    qr_machine_release(member->machine);
    free(member->machine);
    qr_glue_release(&member->glue);
    qr_store_close(member->store);
}

static void start_member(struct history *history, enum kind kind)
{
    struct member *member = &history->members[kind];
    member->history = history;
    member->kind = kind;
    uv_loop_init(&member->loop);
    qr_memory_disk_init(&member->disk);
    open_member(member);
}

static void stop_member(struct member *member)
{
    close_member(member);
    int err = uv_loop_close(&member->loop);
    assert(err == 0);
    qr_memory_disk_release(&member->disk);
    qr_buf_release(&member->snapshot);
}

/* Applies what it has not seen yet of the first n entries. */
static void catch_up(struct member *member, uint32_t n)
{
    const struct qr_history_log *log = &member->history->log;
    for (; member->n < n; member->n++)
        qr_machine_apply(member->machine, member->n + 1, qr_buf_slice(&log->entries[member->n]));
}

/* The state now, and n_tail entries behind it that are not applied yet.  What this member alone
 * knows may change while the state is encoded. */
static bool take_image(struct member *member, uint32_t n_tail, struct qr_buf *out)
{
    struct qr_image image = {0};
    qr_buf_clear(out);
    int err = qr_image_begin(&image, member->machine);
    if (err == 0) {
        if (member->kind == POOLED && one_in(member->history, 2))
            end_jobs(member);
        qr_image_encode(&image);
        err = qr_image_end(&image);
    }
    for (uint32_t i = member->n; err == 0 && i < member->n + n_tail; i++)
        err = qr_image_add(&image, i + 1, qr_buf_slice(&member->history->log.entries[i]));
    if (err == 0) {
        qr_image_seal(&image);
        qr_buf_add(out, image.header, sizeof image.header);
        qr_buf_add(out, image.body.base, image.body.len);
        qr_buf_add(out, image.tail.base, image.tail.len);
    } else if (err != QR_E_BUSY) {
        fail(member->history, "%s: no snapshot: %s", kind_names[member->kind], qr_strerror(err));
    }
    qr_image_release(&image);
    return err == 0;
}

static bool take_snapshot(struct member *member, struct qr_buf *out)
{
    return take_image(member, 0, out);
}

static void restore(struct member *member, struct qr_slice snapshot, uint32_t n)
{
    int err = qr_image_restore(member->machine, snapshot);
    if (err != 0)
        fail(member->history, "%s: its snapshot is refused: %s", kind_names[member->kind],
             qr_strerror(err));
    member->n = n;
}

/* Brings files that it lacks, or some of them, from the steady one. */
static void fetch(struct member *member, bool all)
{
    struct qr_block_name names[256];
    struct qr_memory_disk *from = &member->history->members[STEADY].disk;
    unsigned n = qr_store_missing(member->store, names, QR_COUNT(names));
    for (unsigned i = 0; i < n && !member->history->failed; i++) {
        char path[256], to[256];
        snprintf(path, sizeof path, DIR "/%.63s", names[i].name);
        const struct qr_memory_file *file = qr_memory_disk_get(from, path);
        if (file == NULL || (!all && one_in(member->history, 2)))
            continue; /* The steady one has dropped it already. */
        struct qr_disk *disk = &member->disk.disk;
        int err = qr_store_fetch_path(member->store, names[i].name, to, sizeof to);
        if (err == 0)
            err = qr_disk_write_file(disk, to, file->bytes, file->len);
        if (err == 0)
            err = qr_store_fetched(member->store, names[i].name);
        if (err != 0)
            fail(member->history, "%s: %s is not taken: %s", kind_names[member->kind],
                 names[i].name, qr_strerror(err));
    }
}

/* ---- what happens to members ---- */

/* Power goes; what was durable is there, and the log since the last snapshot. */
static void lose_power(struct member *member)
{
    close_member(member);
    qr_memory_disk_crash(&member->disk);
    open_member(member);
    if (member->snapshot_n != 0)
        restore(member, qr_buf_slice(&member->snapshot), member->snapshot_n);
    member->history->result->n_restarts++;
}

static void step_restarted(struct member *member)
{
    struct history *history = member->history;
    if (one_in(history, 6))
        catch_up(member, history->log.n);
    uint32_t n_tail = history->log.n - member->n;
    if (n_tail > 3)
        n_tail = (uint32_t)qr_rng_below(&history->rng, 4);
    if (one_in(history, 15) && take_image(member, n_tail, &member->snapshot))
        member->snapshot_n = member->n + n_tail;
    if (one_in(history, 15))
        lose_power(member);
}

/* It lost its disk, or was away for longer than the log reaches back. */
static void become_newcomer(struct member *member)
{
    struct history *history = member->history;
    struct member *from = &history->members[one_in(history, 2) ? STEADY : RESTARTED];
    struct qr_buf snapshot = {0};
    if (take_snapshot(from, &snapshot)) {
        if (one_in(history, 2)) {
            close_member(member);
            qr_memory_disk_release(&member->disk);
            qr_memory_disk_init(&member->disk);
            open_member(member);
        }
        if (from->n >= member->n)
            restore(member, qr_buf_slice(&snapshot), from->n);
        history->result->n_restarts++;
    }
    qr_buf_release(&snapshot);
}

static void step_newcomer(struct member *member)
{
    struct history *history = member->history;
    if (one_in(history, 25))
        become_newcomer(member);
    if (one_in(history, 4))
        catch_up(member, history->log.n);
    if (one_in(history, 6))
        fetch(member, false);
}

static void step_pooled(struct member *member)
{
    struct history *history = member->history;
    if (one_in(history, 3))
        catch_up(member, history->log.n);
    if (one_in(history, 4))
        uv_run(&member->loop, UV_RUN_NOWAIT);
    if (one_in(history, 20))
        end_jobs(member);
    if (one_in(history, 20) && take_snapshot(member, &member->snapshot))
        history->result->n_restarts++;
}

/* ---- what must hold ---- */

static void compare_hashes(struct history *history)
{
    const struct member *steady = &history->members[STEADY];
    for (int k = 1; k < N_MEMBERS; k++) {
        const struct member *other = &history->members[k];
        uint64_t a, b;
        if (other->n != 0 && qr_machine_hash_at(steady->machine, other->n, &a) &&
            (!qr_machine_hash_at(other->machine, other->n, &b) || a != b))
            fail(history, "%s: another state hash after entry %u", kind_names[k], other->n);
    }
}

static void compare_snapshots(struct history *history)
{
    struct qr_buf one = {0}, other = {0};
    if (!take_snapshot(&history->members[STEADY], &one))
        fail(history, "steady: no snapshot at the end");
    for (int k = 1; k < N_MEMBERS && !history->failed; k++) {
        if (!take_snapshot(&history->members[k], &other))
            fail(history, "%s: no snapshot at the end", kind_names[k]);
        else if (one.len != other.len || memcmp(one.base, other.base, one.len) != 0)
            fail(history, "%s: another snapshot", kind_names[k]);
    }
    if (!history
             ->failed) /* The header has the state hash, which is of entries as they were packed. */
        history->result->hash =
            XXH3_64bits_withSeed(one.base + QR_IMAGE_HEADER_BYTES, one.len - QR_IMAGE_HEADER_BYTES,
                                 history->result->hash);
    qr_buf_release(&one);
    qr_buf_release(&other);
}

static int compare_paths(const void *a, const void *b)
{
    const struct qr_memory_file *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static void hash_files(struct history *history, const struct qr_memory_disk *disk)
{
    unsigned n = qr_memory_disk_n_files(disk), i = 0;
    const struct qr_memory_file **files = calloc(n + 1, sizeof *files);
    for (const struct qr_memory_file *file = disk->files; file != NULL; file = file->next)
        files[i++] = file;
    qsort(files, n, sizeof *files, compare_paths);
    uint64_t hash = 0;
    for (i = 0; i < n; i++) {
        hash = XXH3_64bits_withSeed(files[i]->path, strlen(files[i]->path), hash);
        hash = XXH3_64bits_withSeed(files[i]->bytes, files[i]->len, hash);
        history->result->n_bytes += files[i]->len;
    }
    free(files);
    history->result->n_files = n;
    history->result->hash = hash;
}

static void compare_files(struct history *history)
{
    struct qr_memory_disk *one = &history->members[STEADY].disk;
    for (int k = 1; k < N_MEMBERS; k++) {
        struct qr_memory_disk *other = &history->members[k].disk;
        for (const struct qr_memory_file *file = one->files; file != NULL; file = file->next) {
            const struct qr_memory_file *same = qr_memory_disk_get(other, file->path);
            if (same == NULL)
                fail(history, "%s: has no %s", kind_names[k], file->path);
            else if (same->len != file->len || memcmp(same->bytes, file->bytes, file->len) != 0)
                fail(history, "%s: another %s", kind_names[k], file->path);
        }
        if (qr_memory_disk_n_files(one) != qr_memory_disk_n_files(other))
            fail(history, "%s: %u files, not %u", kind_names[k], qr_memory_disk_n_files(other),
                 qr_memory_disk_n_files(one));
    }
}

/* One slab of a query; how many values it has. */
static uint64_t check_slab(struct member *member, const struct qr_chart *chart,
                           const struct qr_slab *slab)
{
    const struct qr_history_table *table = &member->history->log.table;
    uint64_t n = 0;
    for (uint32_t row = 0; row < slab->n_rows; row++) {
        int64_t end_s = slab->first_s + (int64_t)row * slab->step_s;
        for (uint32_t d = 0; d < slab->n_dims; d++) {
            uint32_t value = qr_slab_at(slab, row, d);
            uint32_t right = qr_history_table_get(table, chart->id, end_s, d);
            n += !qr_value_is_empty(value);
            if (value != right)
                fail(member->history, "%s: chart %u dimension %u at %lld is %08x, not %08x",
                     kind_names[member->kind], chart->id, d, (long long)end_s, value, right);
        }
    }
    return n;
}

static void check_chart(struct member *member, const struct qr_chart *chart, int64_t first_s,
                        int64_t last_s)
{
    struct qr_query *query;
    struct qr_slab slab;
    uint64_t n = 0;
    int err = qr_query_open(&query, member->store, chart, first_s, last_s);
    assert(err == 0);
    while ((err = qr_query_next(query, &slab)) == 1)
        n += check_slab(member, chart, &slab);
    uint64_t all = qr_history_table_count(&member->history->log.table, chart->id, first_s, last_s);
    if (err != 0 || qr_query_n_bad(query) != 0)
        fail(member->history, "%s: chart %u cannot be read: %s", kind_names[member->kind],
             chart->id, qr_strerror(err));
    else if (n != all)
        fail(member->history, "%s: chart %u has %llu values in [%lld, %lld], not %llu",
             kind_names[member->kind], chart->id, (unsigned long long)n, (long long)first_s,
             (long long)last_s, (unsigned long long)all);
    qr_query_close(query);
}

static bool same_sums(const struct qr_aggregate *a, const struct qr_aggregate *b)
{
    return a->count == b->count && a->n_anomalous == b->n_anomalous && a->n_resets == b->n_resets &&
           (a->count == 0 || (a->sum == b->sum && a->min == b->min && a->max == b->max));
}

/* Sums of buckets, as they are added up where it suits the store, and one by one. */
static void check_sums(struct member *member, const struct qr_chart *chart, int64_t first_s,
                       int64_t last_s)
{
    static struct qr_aggregate sums[DIMS_SUMMED * BUCKETS];
    const struct qr_buckets buckets = {first_s + (int64_t)qr_rng_below(&member->history->rng, 20),
                                       1 + (int64_t)qr_rng_below(&member->history->rng, 30),
                                       BUCKETS};
    struct qr_query *query;
    memset(sums, 0, sizeof sums);
    uint32_t n_dims = atomic_load(&chart->def)->n_dims;
    if (n_dims > DIMS_SUMMED)
        return;
    int err = qr_query_open(&query, member->store, chart, first_s, last_s);
    assert(err == 0);
    err = qr_query_aggregate(query, &buckets, n_dims, sums);
    if (err != 0)
        fail(member->history, "%s: chart %u cannot be added up: %s", kind_names[member->kind],
             chart->id, qr_strerror(err));
    qr_query_close(query);
    for (uint32_t d = 0; d < n_dims; d++) {
        for (uint32_t i = 0; i < buckets.n; i++) {
            struct qr_aggregate right = {0};
            int64_t end_s = buckets.first_s + i * buckets.step_s;
            for (int64_t t = end_s - buckets.step_s + 1; t <= end_s; t++)
                if (t >= first_s && t <= last_s)
                    qr_aggregate_add(
                        &right, qr_history_table_get(&member->history->log.table, chart->id, t, d));
            if (!same_sums(&right, &sums[d * buckets.n + i]))
                fail(member->history, "%s: chart %u dimension %u: other sums of (%lld, %lld]",
                     kind_names[member->kind], chart->id, d, (long long)(end_s - buckets.step_s),
                     (long long)end_s);
        }
    }
}

static void check_tiers(struct member *member, const struct qr_chart *chart, bool settled)
{
    char sentence[QR_HISTORY_SENTENCE_BYTES];
    if (!qr_history_tiers_check(&member->history->log.table, member->store, chart, settled,
                                QR_HISTORY_WINDOW_S, &member->history->result->n_points, sentence))
        fail(member->history, "%s: %s", kind_names[member->kind], sentence);
}

/* Everything of every chart, or some seconds of one. */
static void check_queries(struct member *member, bool all)
{
    struct history *history = member->history;
    struct qr_block_name missing;
    if (history->log.unknown || member->n != history->log.n ||
        qr_store_missing(member->store, &missing, 1) != 0)
        return;
    int slot = qr_store_enter(member->store);
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++) {
        for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
            const struct qr_chart *chart =
                qr_store_chart_by_id(member->store, history->log.hosts[h].charts[c].id);
            int64_t first_s = history->log.now_s - (int64_t)qr_rng_below(&history->rng, 400);
            if (chart != NULL && all)
                check_chart(member, chart, 0, QR_TIME_S_MAX);
            else if (chart != NULL && one_in(history, 10))
                check_chart(member, chart, first_s,
                            first_s + (int64_t)qr_rng_below(&history->rng, 200));
            if (chart != NULL && (all || one_in(history, 50)))
                check_tiers(member, chart, all);
            if (chart != NULL && one_in(history, 10))
                check_sums(member, chart, first_s,
                           first_s + (int64_t)qr_rng_below(&history->rng, 200));
        }
    }
    qr_store_leave(member->store, slot);
}

/* What waits for files, or for other jobs, goes on. */
static void settle(struct member *member)
{
    struct qr_block_name missing;
    do {
        end_jobs(member);
        fetch(member, true);
        qr_store_poll(member->store);
    } while (qr_store_busy(member->store) != 0 ||
             (qr_store_missing(member->store, &missing, 1) != 0 && !member->history->failed));
}

static void finish(struct history *history)
{
    for (int k = 0; k < N_MEMBERS && !history->failed; k++) {
        struct member *member = &history->members[k];
        catch_up(member, history->log.n);
        settle(member);
        struct qr_block_name missing;
        if (qr_store_missing(member->store, &missing, 1) != 0)
            fail(history, "%s: misses %s", kind_names[k], missing.name);
        qr_store_sweep(member->store);
        check_queries(member, true);
        if (!qr_history_admin_check(&history->log.admin, member->machine))
            fail(history, "%s: other API keys than were made", kind_names[k]);
    }
    if (history->failed)
        return; /* Not all are at rest. */
    compare_hashes(history);
    compare_files(history);
    hash_files(history, &history->members[STEADY].disk);
    compare_snapshots(history);
    if (history->log.n_unexpected != 0 && !history->log.unknown)
        fail(history, "%llu entries had another effect than they must",
             (unsigned long long)history->log.n_unexpected);
}

static void apply_newest(void *data)
{
    struct history *history = data;
    catch_up(&history->members[STEADY], history->log.n);
}

bool qr_history_run(uint64_t seed, enum qr_history_packing packing,
                    struct qr_history_result *result)
{
    struct history *history = calloc(1, sizeof *history);
    assert(history != NULL);
    *result = (struct qr_history_result){0};
    history->result = result;
    qr_history_log_init(&history->log, seed);
    history->log.packed_otherwise = packing == QR_HISTORY_PACKED_OTHERWISE;
    qr_rng_seed(&history->rng, ~seed);
    history->shard_metrics = 1 + (uint32_t)qr_rng_below(&history->rng, 60);
    for (int k = 0; k < N_MEMBERS; k++)
        start_member(history, (enum kind)k);
    history->log.store = history->members[STEADY].store;
    history->log.glue = &history->members[STEADY].glue;
    history->log.machine = history->members[STEADY].machine;
    history->log.ownership = &history->members[STEADY].machine->ownership;
    history->log.applied = apply_newest;
    history->log.data = history;
    for (unsigned i = 0; i < STEPS && !history->failed; i++) {
        qr_history_log_step(&history->log);
        step_restarted(&history->members[RESTARTED]);
        step_newcomer(&history->members[NEWCOMER]);
        step_pooled(&history->members[POOLED]);
        if (i % 8 == 0)
            compare_hashes(history);
        check_queries(&history->members[i % N_MEMBERS], false);
    }
    finish(history);
    struct qr_store_stats stats;
    qr_store_get_stats(history->log.store, &stats);
    result->n_entries = history->log.n;
    result->n_samples = stats.n_samples;
    result->n_refused = history->members[STEADY].machine->n_refused;
    for (int k = 0; k < N_MEMBERS; k++)
        stop_member(&history->members[k]);
    qr_history_log_release(&history->log);
    free(history);
    return result->failure[0] == '\0';
}
