#include "testing/history_log.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "cluster/command.h"
#include "node/bodies.h"
#include "storage/value.h"
#include "testing/history_lz4.h"

#define DAY_S    86400
#define ROWS_MAX 4096u
#define POOL_MAX (256u * 1024)

/* Rows of the entry that is being made, for the table if they are taken. */
static struct {
    struct pending {
        const struct qr_history_host *host;
        const struct qr_history_chart *chart;
        int64_t end_s;
        uint32_t n, at;
    } rows[ROWS_MAX];
    uint32_t n, n_pool;
    uint32_t pool[POOL_MAX];
} pending;

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint64_t pick(struct qr_history_log *log, uint64_t n)
{
    return qr_rng_below(&log->rng, n);
}

static bool one_in(struct qr_history_log *log, uint64_t n)
{
    return pick(log, n) == 0;
}

void qr_history_log_init(struct qr_history_log *log, uint64_t seed)
{
    /* Most histories are of our time; some begin where time does, some end where it does. */
    static const int64_t begin_s[] = {INT64_C(1699999980), INT64_C(1699999980), 1,
                                      QR_TIME_S_MAX - 600};
    memset(log, 0, sizeof *log);
    qr_rng_seed(&log->rng, seed);
    log->table.waits_for_merges = one_in(log, 2);
    for (uint32_t member = 1; member <= QR_HISTORY_PROPOSERS; member++)
        log->incarnations[member] = 1;
    log->now_s = begin_s[pick(log, QR_COUNT(begin_s))] + (int64_t)pick(log, 120);
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++) {
        struct qr_history_host *host = &log->hosts[h];
        host->guid.bytes[0] = (uint8_t)(h + 1);
        host->guid.bytes[7] = (uint8_t)seed;
        for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
            struct qr_history_chart *chart = &host->charts[c];
            snprintf(chart->name, sizeof chart->name, "type.chart%u", c);
            chart->width_max = c == 0   ? 1
                               : c == 1 ? (one_in(log, 8) ? QR_HISTORY_DIMS : 20)
                                        : 2 + (uint32_t)pick(log, 8);
            for (uint32_t d = 0; d < QR_HISTORY_DIMS; d++)
                chart->kinds[d] = (uint8_t)pick(log, 7);
        }
    }
}

void qr_history_log_release(struct qr_history_log *log)
{
    for (uint32_t i = 0; i < log->n; i++)
        qr_buf_release(&log->entries[i]);
    free(log->entries);
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++) {
        for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
            qr_entry_base_release(&log->hosts[h].charts[c].base);
            qr_entry_base_release(&log->hosts[h].charts[c].stale);
        }
    }
    qr_history_table_release(&log->table);
}

/* ---- entries ---- */

void qr_history_log_push(struct qr_history_log *log, struct qr_slice bytes)
{
    if (log->n == log->capacity) {
        log->capacity = log->capacity != 0 ? log->capacity * 2 : 256;
        log->entries = realloc(log->entries, log->capacity * sizeof *log->entries);
        assert(log->entries != NULL);
    }
    struct qr_buf *entry = &log->entries[log->n++];
    *entry = (struct qr_buf){0};
    qr_buf_add(entry, bytes.base, bytes.len);
    log->applied(log->data);
}

void qr_history_log_append(struct qr_history_log *log, enum qr_command_type type, uint32_t member,
                           struct qr_buf *body)
{
    struct qr_buf entry = {0};
    const struct qr_command command = {.type = type,
                                       .member = member,
                                       .incarnation = log->incarnations[member],
                                       .sequence = ++log->sequences[member],
                                       .time_us =
                                           log->now_s * 1000000 + (int64_t)pick(log, 1000000),
                                       .body = qr_buf_slice(body)};
    int err = qr_command_encode(&entry, &command);
    assert(err == 0);
    qr_history_log_push(log, qr_buf_slice(&entry));
    qr_buf_release(&entry);
    qr_buf_release(body);
}

static void append_time(struct qr_history_log *log, enum qr_command_type type, int64_t time_s)
{
    struct qr_buf body = {0};
    qr_time_body_encode(&body, time_s);
    qr_history_log_append(log, type, 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS), &body);
}

/* ---- definitions ---- */

static void own_host(struct qr_history_log *log, struct qr_history_host *host, uint32_t member)
{
    struct qr_buf body = {0};
    struct qr_claim claim = {.machine = 1 + member};
    snprintf(claim.hostname, sizeof claim.hostname, "machine-%u", member);
    qr_own_body_encode(&body, &host->guid, qr_rng_next(&log->rng), &claim);
    qr_history_log_append(log, QR_COMMAND_OWN, member, &body);
    if (qr_ownership_get(log->ownership, host->id).epoch == host->epoch)
        return; /* Members are machines here: it was found to be a clone. */
    host->stale_member = host->member;
    host->stale_epoch = host->epoch;
    host->stale_seq = host->block_seq;
    host->member = member;
    host->epoch++;
    host->block_seq = 0;
    host->broken = false;
    for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
        struct qr_history_chart *chart = &host->charts[c];
        struct qr_entry_base base = chart->stale;
        chart->stale = chart->base;
        chart->base = base;
        qr_entry_base_reset(&chart->base);
    }
}

static void define_host(struct qr_history_log *log, struct qr_history_host *host)
{
    char name[32];
    struct qr_buf body = {0};
    uint32_t member = 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS);
    if (host->id != 0 && member != 1)
        member = host->member; /* Others may not say what it is. */
    snprintf(name, sizeof name, "child-%u", (unsigned)pick(log, 5));
    const struct qr_host_def def = {.guid = host->guid,
                                    .hostname = name,
                                    .registry_hostname = name,
                                    .os = "linux",
                                    .timezone = "UTC",
                                    .abbrev_timezone = "UTC",
                                    .update_every = 1,
                                    .hops = 1,
                                    .program_name = "netdata",
                                    .program_version = "v1.37.1"};
    int err = qr_host_def_encode(&body, &def);
    assert(err == 0);
    qr_history_log_append(log, QR_COMMAND_HOST, member, &body);
    if (host->id != 0)
        return;
    host->id = qr_store_host_by_guid(log->store, &host->guid)->id;
    own_host(log, host, member);
}

static void encode_chart(struct qr_history_log *log, const struct qr_history_chart *chart,
                         uint32_t first, uint32_t n, uint32_t step_s, struct qr_buf *out)
{
    static char ids[QR_HISTORY_DIMS][8];
    static struct qr_dim_def dims[QR_HISTORY_DIMS];
    char value[8];
    for (uint32_t d = 0; d < n; d++) {
        snprintf(ids[d], sizeof ids[d], "d%u", first + d);
        dims[d] = (struct qr_dim_def){ids[d],
                                      ids[d],
                                      1 + (int64_t)pick(log, 3),
                                      1,
                                      (uint8_t)pick(log, 2),
                                      (uint8_t)pick(log, 4)};
    }
    snprintf(value, sizeof value, "v%u", (unsigned)pick(log, 4));
    const struct qr_def_label label = {"key", value, 1};
    const struct qr_chart_def def = {.id = chart->name,
                                     .name = one_in(log, 8) ? "type.renamed" : chart->name,
                                     .title = "",
                                     .units = "u",
                                     .family = "f",
                                     .context = one_in(log, 6) ? "type.other" : "type.context",
                                     .plugin = "",
                                     .module = "",
                                     .priority = (int32_t)pick(log, 1000),
                                     .update_every = step_s,
                                     .n_dims = n,
                                     .dims = dims,
                                     .n_labels = one_in(log, 2),
                                     .labels = &label};
    int err = qr_chart_def_encode(out, &def);
    assert(err == 0);
}

/* What the leader knows of a host's charts now. */
static void look_at_charts(struct qr_history_log *log, struct qr_history_host *host)
{
    const struct qr_host *known = qr_store_host_by_id(log->store, host->id);
    for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
        struct qr_history_chart *mine = &host->charts[c];
        const struct qr_chart *chart =
            qr_store_chart_find(log->store, known, qr_slice_str(mine->name));
        if (chart == NULL || strcmp(atomic_load(&chart->def)->id, mine->name) != 0)
            continue;
        mine->id = chart->id;
        mine->n_dims = atomic_load(&chart->def)->n_dims;
        mine->step_s = atomic_load(&chart->def)->update_every;
        if (mine->step_s == 0)
            mine->step_s = 1;
    }
}

/* New charts, new dimensions, others left out; now and then by somebody who may not. */
static void define_charts(struct qr_history_log *log, struct qr_history_host *host)
{
    static const uint32_t steps[] = {1, 1, 1, 1, 2, 5, 10, 7, 60, 3600};
    struct qr_charts_body body;
    bool stale = one_in(log, 12) && host->stale_epoch != 0;
    qr_charts_body_init(&body, host->id, stale ? host->stale_epoch : host->epoch);
    for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
        struct qr_history_chart *chart = &host->charts[c];
        if (!one_in(log, host->charts[0].id == 0 ? 2 : 4))
            continue;
        struct qr_buf def = {0};
        uint32_t known = min_u32(chart->n_dims, QR_HISTORY_DIMS);
        uint32_t first = (uint32_t)pick(log, known + 1);
        uint32_t n = known - first;
        if (known < chart->width_max)
            n += (uint32_t)pick(log, chart->width_max - known + 1);
        uint32_t step =
            chart->id != 0 && !one_in(log, 4) ? chart->step_s : steps[pick(log, QR_COUNT(steps))];
        encode_chart(log, chart, first, n, step, &def);
        qr_charts_body_add(&body, qr_buf_slice(&def));
        qr_buf_release(&def);
    }
    qr_history_log_append(log, QR_COMMAND_CHARTS, stale ? host->stale_member : host->member,
                          qr_charts_body_finish(&body));
    qr_charts_body_release(&body);
    look_at_charts(log, host);
}

static void host_state(struct qr_history_log *log, struct qr_history_host *host)
{
    struct qr_gap gaps[4];
    struct qr_host_state state = {.host = host->id,
                                  .epoch = host->epoch,
                                  .says = one_in(log, 2),
                                  .connected = one_in(log, 2),
                                  .gaps = gaps};
    for (uint64_t i = pick(log, 5); i > 0; i--) {
        int64_t after_s = log->now_s - (int64_t)pick(log, 500);
        const struct qr_history_chart *chart = &host->charts[pick(log, QR_HISTORY_CHARTS)];
        if (chart->id != 0 && after_s > 0)
            gaps[state.n_gaps++] = (struct qr_gap){
                chart->id, after_s, after_s + 1 + (int64_t)pick(log, 50), (uint8_t)pick(log, 3)};
    }
    struct qr_buf body = {0};
    qr_host_state_encode(&body, &state);
    qr_history_log_append(log, QR_COMMAND_HOST_STATE, host->member, &body);
}

/* ---- samples ---- */

static uint32_t hostile_value(struct qr_history_log *log)
{
    static const double values[] = {NAN,          INFINITY,     -INFINITY,    1e300,
                                    -1e300,       5e-324,       -1e-310,      -0.0,
                                    16777215.0,   16777216.0,   16777217.0,   9007199254740993.0,
                                    1.6777215e14, 1.6777216e21, 1.6777215e21, -1.6777215e21,
                                    1e-7,         4.9e-8,       0.99999995,   1677721.55};
    return qr_value_pack(values[pick(log, QR_COUNT(values))], 0);
}

static uint32_t next_value(struct qr_history_log *log, const struct qr_history_chart *chart,
                           uint32_t d)
{
    uint32_t before = chart->last[d];
    double was = qr_value_is_empty(before) ? 0 : qr_value_unpack(before);
    if (one_in(log, 60))
        return hostile_value(log);
    switch (chart->kinds[d]) {
    case 0: /* Constant, but for the hostile. */
        return qr_value_pack(d, 0);
    case 1:
        return one_in(log, 15) ? qr_value_pack((double)pick(log, 100000), 0) : before;
    case 2:
        return qr_value_pack(was + (double)pick(log, 30), 0);
    case 3:
        return qr_value_pack((double)pick(log, 100000) / 1000, 0);
    case 4:
        return qr_value_pack(((double)pick(log, 1u << 30) - (1u << 29)) / 12345.678, 0);
    case 5:
        return qr_value_pack((double)pick(log, 4) / 4, 0);
    default:
        return qr_value_pack(one_in(log, 20) ? 1e18 : 3e-6 * (double)pick(log, 9), 0);
    }
}

static uint32_t make_values(struct qr_history_log *log, struct qr_history_chart *chart,
                            uint32_t *values)
{
    uint32_t n = min_u32(chart->n_dims, QR_HISTORY_DIMS);
    if (one_in(log, 20))
        n = (uint32_t)pick(log, n + 1);
    else if (one_in(log, 100) && chart->n_dims < QR_HISTORY_DIMS)
        n++; /* One more than the chart has: the row is refused. */
    for (uint32_t d = 0; d < n; d++) {
        uint32_t value = next_value(log, chart, d);
        chart->last[d] = value;
        if (!qr_value_is_empty(value) && one_in(log, 50))
            value |= one_in(log, 2) ? QR_VALUE_ANOMALOUS : QR_VALUE_RESET;
        values[d] = one_in(log, 25) ? QR_VALUE_EMPTY : value;
    }
    return n;
}

/* False: there is no room for it. */
static bool add_row(struct qr_history_log *log, struct qr_history_host *host,
                    struct qr_history_chart *chart, struct qr_entry_base *base,
                    struct qr_entry_block *block, int64_t end_s)
{
    if (pending.n == ROWS_MAX || pending.n_pool + QR_HISTORY_DIMS > POOL_MAX)
        return false;
    uint32_t *values = pending.pool + pending.n_pool;
    uint32_t n = make_values(log, chart, values);
    int err = qr_entry_block_row(block, base, chart->id, end_s, values, n);
    assert(err == 0);
    pending.rows[pending.n++] = (struct pending){host, chart, end_s, n, pending.n_pool};
    pending.n_pool += n;
    return true;
}

/* The rows of a block that was taken, one by one by the store's rules. */
static void take_rows(struct qr_history_log *log, const struct qr_history_host *host)
{
    for (uint32_t i = 0; i < pending.n; i++) {
        const struct pending *row = &pending.rows[i];
        if (row->host == host && row->n <= row->chart->n_dims && row->end_s >= 1 &&
            row->end_s <= QR_TIME_S_MAX && row->end_s - DAY_S <= log->now_s)
            qr_history_table_put(&log->table, row->chart->id, row->end_s, pending.pool + row->at,
                                 row->n);
    }
}

static void append_blocks(struct qr_history_log *log, uint32_t member,
                          struct qr_entry_block *const *blocks, unsigned n)
{
    struct qr_buf body = {0};
    int err = qr_entry_encode(&body, blocks, n);
    assert(err == 0);
    if (log->packed_otherwise) {
        struct qr_buf plain = {0};
        bool is_batch = qr_history_unpack(&plain, qr_buf_slice(&body));
        assert(is_batch);
        qr_buf_clear(&body);
        qr_history_pack(&body, &plain, true);
        qr_buf_release(&plain);
    }
    qr_history_log_append(log, QR_COMMAND_SAMPLES, member, &body);
}

static void start_block(const struct qr_history_host *host, struct qr_entry_block *block)
{
    qr_entry_block_init(block);
    block->host = host->id;
    block->epoch = host->epoch;
    block->block_seq = host->block_seq + 1;
}

/* All rows that a child collected in (from_s, to_s] by the leader's clock. */
static void add_tick(struct qr_history_log *log, struct qr_history_host *host,
                     struct qr_entry_block *block, int64_t from_s, int64_t to_s)
{
    for (int64_t t = from_s + 1 + host->skew_s; t <= to_s + host->skew_s; t++) {
        for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
            struct qr_history_chart *chart = &host->charts[c];
            if (chart->id == 0 || chart->n_dims == 0 || t % chart->step_s != 0)
                continue;
            int64_t off_grid = one_in(log, 60) ? (int64_t)pick(log, 3) : 0;
            if (!one_in(log, 30))
                add_row(log, host, chart, &chart->base, block, t + off_grid);
        }
    }
}

/* A tick of one member: a block of each of its hosts. */
static void tick_member(struct qr_history_log *log, uint32_t member, int64_t from_s)
{
    struct qr_entry_block blocks[QR_HISTORY_HOSTS], *list[QR_HISTORY_HOSTS];
    struct qr_history_host *hosts[QR_HISTORY_HOSTS];
    unsigned n = 0, n_broken = 0;
    pending.n = pending.n_pool = 0;
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++) {
        struct qr_history_host *host = &log->hosts[h];
        if (host->id == 0 || host->member != member || one_in(log, 20))
            continue;
        start_block(host, &blocks[n]);
        add_tick(log, host, &blocks[n], from_s, log->now_s);
        host->block_seq++;
        n_broken += host->broken;
        hosts[n] = host;
        list[n] = &blocks[n];
        n++;
    }
    if (n == 0)
        return;
    uint64_t refused = log->glue->n_refused_blocks, fenced = log->glue->n_fenced_blocks;
    append_blocks(log, member, list, n);
    log->n_unexpected +=
        log->glue->n_refused_blocks - refused != n_broken || log->glue->n_fenced_blocks != fenced;
    for (unsigned i = 0; i < n; i++) {
        if (!hosts[i]->broken)
            take_rows(log, hosts[i]);
        qr_entry_block_release(&blocks[i]);
    }
}

static void tick(struct qr_history_log *log)
{
    int64_t from_s = log->now_s;
    log->now_s += 1 + (int64_t)pick(log, 4);
    for (uint32_t member = 1; member <= QR_HISTORY_PROPOSERS; member++)
        tick_member(log, member, from_s);
}

/* A block of one host on its own; `lost` never gets into the log. */
static void append_block(struct qr_history_log *log, struct qr_history_host *host,
                         struct qr_entry_block *block, bool lost)
{
    if (!lost) {
        uint64_t refused = log->glue->n_refused_blocks;
        append_blocks(log, host->member, &(struct qr_entry_block *){block}, 1);
        host->block_seq++;
        bool taken = log->glue->n_refused_blocks == refused;
        log->n_unexpected += taken == host->broken;
        if (taken)
            take_rows(log, host);
    }
    qr_entry_block_release(block);
}

/* A replay: a dense slab of one chart, old or new, some of it there already. */
static void replay(struct qr_history_log *log, struct qr_history_host *host)
{
    struct qr_history_chart *chart = &host->charts[pick(log, QR_HISTORY_CHARTS)];
    struct qr_entry_block block;
    if (chart->id == 0 || chart->n_dims == 0)
        return;
    pending.n = pending.n_pool = 0;
    start_block(host, &block);
    int64_t t = log->now_s - (int64_t)pick(log, one_in(log, 3) ? 900 : 120);
    t += chart->step_s - t % chart->step_s;
    for (uint64_t n = 1 + pick(log, 150); n > 0 && t <= log->now_s; n--, t += chart->step_s)
        if (!add_row(log, host, chart, &chart->base, &block, t))
            break;
    append_block(log, host, &block, false);
    if (one_in(log, 3)) { /* It comes twice, as other blocks. */
        start_block(host, &block);
        for (uint32_t i = 0; i < pending.n; i++)
            qr_entry_block_row(&block, &chart->base, chart->id, pending.rows[i].end_s,
                               pending.pool + pending.rows[i].at, pending.rows[i].n);
        append_block(log, host, &block, false);
    }
}

/* A row from nowhere: long ago, in a day, beyond all time. */
static void stray_row(struct qr_history_log *log, struct qr_history_host *host)
{
    const int64_t times[] = {log->now_s - 3600 + (int64_t)pick(log, 3600),
                             log->now_s + (int64_t)pick(log, 2 * DAY_S),
                             log->now_s + DAY_S,
                             log->now_s + DAY_S + 1,
                             1 + (int64_t)pick(log, 100),
                             0,
                             -5,
                             QR_TIME_S_MAX,
                             QR_TIME_S_MAX + 1,
                             INT64_MIN,
                             INT64_MAX};
    struct qr_history_chart *chart = &host->charts[pick(log, QR_HISTORY_CHARTS)];
    struct qr_entry_block block;
    if (chart->id == 0)
        return;
    pending.n = pending.n_pool = 0;
    start_block(host, &block);
    add_row(log, host, chart, &chart->base, &block, times[pick(log, QR_COUNT(times))]);
    append_block(log, host, &block, false);
}

/* An owner that was fenced and does not know it. */
static void stale_block(struct qr_history_log *log, struct qr_history_host *host)
{
    struct qr_history_chart *chart = &host->charts[pick(log, QR_HISTORY_CHARTS)];
    struct qr_entry_block block;
    if (host->stale_epoch == 0 || chart->id == 0)
        return;
    pending.n = pending.n_pool = 0;
    qr_entry_block_init(&block);
    block.host = host->id;
    block.epoch = host->stale_epoch;
    block.block_seq = ++host->stale_seq;
    add_row(log, host, chart, &chart->stale, &block, log->now_s);
    uint64_t fenced = log->glue->n_fenced_blocks;
    append_blocks(log, host->stale_member, &(struct qr_entry_block *){&block}, 1);
    log->n_unexpected += log->glue->n_fenced_blocks != fenced + 1;
    qr_entry_block_release(&block);
}

/* A block never gets into the log: what follows it is refused, or the next one claims its number
 * and is written against values that nobody has. */
static void lose_block(struct qr_history_log *log, struct qr_history_host *host)
{
    struct qr_entry_block block;
    if (host->broken)
        return;
    pending.n = pending.n_pool = 0;
    start_block(host, &block);
    add_tick(log, host, &block, log->now_s - 3, log->now_s);
    bool had_rows = block.n_rows != 0;
    append_block(log, host, &block, true);
    if (one_in(log, 2)) {
        host->block_seq++;
        host->broken = true;
        return;
    }
    pending.n = pending.n_pool = 0;
    start_block(host, &block);
    add_tick(log, host, &block, log->now_s - 6, log->now_s - 3);
    uint64_t refused = log->glue->n_refused_blocks;
    append_blocks(log, host->member, &(struct qr_entry_block *){&block}, 1);
    qr_entry_block_release(&block);
    /* Taken means read rightly: all of it, as it was written. */
    if (log->glue->n_refused_blocks == refused) {
        host->block_seq++;
        take_rows(log, host);
        if (had_rows) /* Bases differ still; only another owner heals it. */
            own_host(log, host, 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS));
    } else {
        host->block_seq += 2;
        host->broken = true;
    }
}

/* ---- the leader's part, and the stranger's ---- */

static void seal(struct qr_history_log *log)
{
    int64_t starts[32];
    unsigned n = qr_store_sealable(log->store, log->now_s - 5, starts, QR_COUNT(starts));
    for (unsigned i = 0; i < n; i++)
        if (!one_in(log, 4))
            append_time(log, QR_COMMAND_SEAL, starts[i]);
    if (one_in(log, 10)) { /* One that is not over, has nothing, or is none. */
        int64_t t = log->now_s + (int64_t)pick(log, 300) - 150;
        append_time(log, QR_COMMAND_SEAL,
                    one_in(log, 5) ? t - t % QR_HISTORY_WINDOW_S + 1 : t - t % QR_HISTORY_WINDOW_S);
    }
}

/* Some members have voted on each file, in no order; a vote is repeated now and then. */
static void vote_on_files(struct qr_history_log *log)
{
    struct qr_store_file files[64];
    uint32_t member = 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS);
    unsigned n = qr_store_unvoted(log->store, member, files, QR_COUNT(files));
    for (unsigned i = 0; i < n; i++) {
        const struct qr_sealed sealed = {files[i].id, files[i].bytes, files[i].hash};
        struct qr_buf body = {0};
        qr_sealed_encode(&body, &sealed);
        qr_history_log_append(log, QR_COMMAND_SEALED, member, &body);
    }
}

/* As the leader's keeper says it: nothing goes whose points are not made, and points of a tier live
 * longer than those of the one below. */
static void wait_for_merges(const struct qr_history_log *log, struct qr_retention *retention)
{
    int64_t unsealed_s, before_s = INT64_MAX;
    if (qr_store_sealable(log->store, QR_TIME_S_MAX, &unsealed_s, 1) != 0)
        before_s = unsealed_s;
    for (unsigned tier = 0; tier < QR_TIERS; tier++) {
        int64_t needed_s = qr_store_merge_needs(log->store, tier);
        before_s = needed_s < before_s ? needed_s : before_s;
        if (retention->before_s[tier] > before_s)
            retention->before_s[tier] = before_s;
        before_s = retention->before_s[tier];
        retention->bytes_max[tier] = 0;
    }
}

/* By time and, now and then, by size. */
static void retain(struct qr_history_log *log)
{
    struct qr_retention retention = {.before_s = {0}};
    struct qr_buf body = {0};
    for (unsigned tier = 0; tier < QR_TIERS; tier++) {
        retention.before_s[tier] = log->now_s - 240 - (int64_t)pick(log, 1200);
        retention.bytes_max[tier] = one_in(log, 4) ? 5000 + pick(log, 200000) : 0;
    }
    if (log->table.waits_for_merges)
        wait_for_merges(log, &retention);
    qr_retain_body_encode(&body, &retention);
    qr_history_log_append(log, QR_COMMAND_RETAIN, 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS),
                          &body);
    qr_history_table_retain(&log->table, qr_store_edge(log->store, 0));
}

/* What is due, what is not, and what there is not. */
static void merge(struct qr_history_log *log)
{
    struct qr_block_id id;
    struct qr_merge_body merge = {(uint32_t)pick(log, QR_TIERS), (uint32_t)pick(log, 3),
                                  log->now_s - (int64_t)pick(log, 2000)};
    struct qr_buf body = {0};
    if (one_in(log, 2))
        merge.start_s -= merge.start_s % (QR_HISTORY_WINDOW_S * 36 * (merge.tier == 2 ? 4 : 1));
    if (!one_in(log, 5) && qr_store_merge_due(log->store, log->now_s, &id))
        merge = (struct qr_merge_body){id.tier, id.shard, id.start_s};
    qr_merge_body_encode(&body, &merge);
    qr_history_log_append(log, QR_COMMAND_MERGE, 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS),
                          &body);
}

/* What the leader's catalog has no more. */
static void look_for_forgotten(struct qr_history_log *log)
{
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++) {
        struct qr_history_host *host = &log->hosts[h];
        for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++) {
            struct qr_history_chart *chart = &host->charts[c];
            if (chart->id == 0 || qr_store_chart_by_id(log->store, chart->id) != NULL)
                continue;
            qr_history_table_forget(&log->table, chart->id);
            chart->id = chart->n_dims = 0;
            qr_entry_base_reset(&chart->base);
            qr_entry_base_reset(&chart->stale);
        }
        if (host->id != 0 && qr_store_host_by_id(log->store, host->id) == NULL) {
            host->id = host->epoch = host->stale_epoch = 0;
            host->broken = false;
        }
    }
}

/* Some that somebody wants to be gone, or all that is expired. */
static void forget(struct qr_history_log *log)
{
    static struct qr_forget_body forget;
    struct qr_buf body = {0};
    forget.only_expired = !one_in(log, 4);
    forget.n = 0;
    uint32_t after = 0;
    if (forget.only_expired) {
        forget.n = qr_store_expired(log->store, &after, forget.what, QR_FORGET_MAX);
    } else {
        const struct qr_history_host *host = &log->hosts[pick(log, QR_HISTORY_HOSTS)];
        for (uint32_t c = 0; c < QR_HISTORY_CHARTS; c++)
            if (host->id != 0 && host->charts[c].id != 0 && one_in(log, 4))
                forget.what[forget.n++] = (struct qr_forgotten){host->id, host->charts[c].id};
        if (host->id != 0 && one_in(log, 3))
            forget.what[forget.n++] = (struct qr_forgotten){host->id, 0};
        if (one_in(log, 5)) /* And one that nobody has. */
            forget.what[forget.n++] = (struct qr_forgotten){host->id + 1, 12345};
    }
    qr_forget_encode(&body, &forget);
    qr_history_log_append(log, QR_COMMAND_FORGET, 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS),
                          &body);
    look_for_forgotten(log);
}

/* An entry again, as a proposer sends it that did not see it applied. */
static void repeat(struct qr_history_log *log)
{
    uint32_t i = log->n - 1 - (uint32_t)pick(log, log->n < 20 ? log->n : 20);
    struct qr_buf copy = {0};
    qr_buf_add(&copy, log->entries[i].base, log->entries[i].len);
    qr_history_log_push(log, qr_buf_slice(&copy));
    qr_buf_release(&copy);
    /* A RETAIN that a merge held back goes on now, over what has come since. */
    if (qr_store_edge(log->store, 0) > log->table.retain_s) {
        log->table.waits_for_merges = false;
        qr_history_table_retain(&log->table, qr_store_edge(log->store, 0));
    }
}

/* Of a batch, bits of what is in it: what is done to a history must not depend on liblz4. */
static bool turn_bits(struct qr_history_log *log, const struct qr_command *command,
                      struct qr_buf *body)
{
    bool is_batch = command->type == QR_COMMAND_SAMPLES;
    struct qr_buf bytes = {0};
    if (!is_batch)
        qr_buf_add(&bytes, command->body.base, command->body.len);
    else if (!qr_history_unpack(&bytes, command->body)) {
        qr_buf_release(&bytes);
        return false;
    }
    for (uint64_t n = 1 + pick(log, 3); n > 0; n--)
        bytes.base[pick(log, bytes.len)] ^= (char)(1 << pick(log, 8));
    if (is_batch)
        qr_history_pack(body, &bytes, log->packed_otherwise);
    else
        qr_buf_add(body, bytes.base, bytes.len);
    qr_buf_release(&bytes);
    return true;
}

/* A body with a bit turned, under a header that is right: refused alike, or taken alike. */
static void garble(struct qr_history_log *log)
{
    struct qr_command command;
    const struct qr_buf *entry = &log->entries[pick(log, log->n)];
    if (qr_command_decode(&command, qr_buf_slice(entry)) != 0 || command.body.len == 0 ||
        (command.type != QR_COMMAND_SAMPLES && command.type != QR_COMMAND_CHARTS &&
         command.type != QR_COMMAND_HOST_STATE))
        return;
    struct qr_buf body = {0};
    if (!turn_bits(log, &command, &body))
        return;
    struct qr_owner before[QR_HISTORY_HOSTS];
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++)
        before[h] = qr_ownership_get(log->ownership, log->hosts[h].id);
    qr_history_log_append(log, command.type, command.member, &body);
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++) {
        struct qr_owner after = qr_ownership_get(log->ownership, log->hosts[h].id);
        /* A turned bit of its number can make a block the next one; its values are right then. */
        log->unknown |= memcmp(&before[h], &after, sizeof after) != 0;
        if (log->hosts[h].id != 0)
            look_at_charts(log, &log->hosts[h]);
    }
}

static void happen_to(struct qr_history_log *log, struct qr_history_host *host)
{
    if (host->id == 0) {
        if (one_in(log, 3))
            define_host(log, host);
    } else if ((host->charts[0].id == 0 && one_in(log, 2)) || one_in(log, 50)) {
        define_charts(log, host);
    } else if (one_in(log, 40)) {
        own_host(log, host, 1 + (uint32_t)pick(log, QR_HISTORY_PROPOSERS));
    } else if (one_in(log, 10)) {
        replay(log, host);
    } else if (one_in(log, 25)) {
        stray_row(log, host);
    } else if (one_in(log, 30)) {
        stale_block(log, host);
    } else if (one_in(log, 50)) {
        lose_block(log, host);
    } else if (one_in(log, 40)) {
        host_state(log, host);
    } else if (one_in(log, 60)) {
        host->skew_s = (int64_t)pick(log, 7) - 3;
    } else if (one_in(log, 100)) {
        host->skew_s = (int64_t)pick(log, 2 * DAY_S) - DAY_S;
    } else if (one_in(log, 100)) {
        define_host(log, host);
    }
}

void qr_history_log_step(struct qr_history_log *log)
{
    tick(log);
    for (uint32_t h = 0; h < QR_HISTORY_HOSTS; h++)
        happen_to(log, &log->hosts[h]);
    if (one_in(log, 10))
        seal(log);
    if (one_in(log, 3))
        vote_on_files(log);
    if (one_in(log, 4))
        merge(log);
    if (one_in(log, 60))
        retain(log);
    if (one_in(log, 50))
        forget(log);
    qr_history_admin_step(log);
    if (log->n > 0 && one_in(log, 30))
        repeat(log);
    if (log->n > 0 && one_in(log, 25))
        garble(log);
}
