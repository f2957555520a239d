#include "node/glue.h"

#include <stdlib.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/plant.h"
#include "cluster/ownership.h"
#include "node/bodies.h"
#include "storage/entry.h"

int qr_glue_init(struct qr_glue *glue, struct qr_store *store, uint32_t member, uint32_t n_members)
{
    *glue = (struct qr_glue){.store = store,
                             .member = member,
                             .n_members = n_members,
                             .snapshot_wait_bytes = QR_GLUE_SNAPSHOT_WAIT_BYTES};
    glue->gaps = calloc(QR_STATE_GAPS_MAX, sizeof *glue->gaps);
    glue->forget = calloc(1, sizeof *glue->forget);
    return glue->gaps != NULL && glue->forget != NULL ? 0 : UV_ENOMEM;
}

void qr_glue_release(struct qr_glue *glue)
{
    free(glue->gaps);
    free(glue->forget);
    free(glue->newest_index);
    *glue = (struct qr_glue){0};
}

static void mix(uint64_t *effect, uint64_t v)
{
    *effect = (*effect ^ v) * 0x9e3779b97f4a7c15u;
    *effect ^= *effect >> 29;
}

static void note_index(struct qr_glue *glue, uint32_t host, uint64_t index)
{
    if (host >= glue->n_hosts) {
        uint32_t n = host * 2 + 16;
        uint64_t *grown = realloc(glue->newest_index, n * sizeof *grown);
        if (grown == NULL)
            return; /* shown as unknown, nothing else */
        for (uint32_t i = glue->n_hosts; i < n; i++)
            grown[i] = 0;
        glue->newest_index = grown;
        glue->n_hosts = n;
    }
    glue->newest_index[host] = index;
}

uint64_t qr_glue_newest_index(const struct qr_glue *glue, uint32_t host)
{
    uint64_t index = host < glue->n_hosts ? glue->newest_index[host] : 0;
    return index != 0 ? index : glue->restored_index;
}

/* ---- one function a type of entry ---- */

/* Once a host has an owner, only that says what the host is: another machine with its GUID does
 * not, and what the last owner said comes too late. */
static bool is_others(struct qr_glue *glue, const struct qr_ownership *ownership,
                      const struct qr_command *command, const struct qr_guid *guid)
{
    int slot = qr_store_enter(glue->store);
    const struct qr_host *host = qr_store_host_by_guid(glue->store, guid);
    struct qr_owner owner = {0};
    if (host != NULL)
        owner = qr_ownership_get(ownership, host->id);
    qr_store_leave(glue->store, slot);
    return owner.member != 0 && owner.member != command->member;
}

static int apply_host(struct qr_glue *glue, const struct qr_command *command,
                      const struct qr_ownership *ownership, uint64_t *effect)
{
    struct qr_host_def *def;
    struct qr_cursor in = qr_cursor_of(command->body);
    int err = qr_host_def_decode(&def, &in);
    if (err != 0)
        return err;
    if (!qr_cursor_done(&in)) {
        free(def);
        return QR_E_MALFORMED;
    }
    if (is_others(glue, ownership, command, &def->guid)) {
        free(def);
        return QR_E_FENCED;
    }
    uint32_t id = 0;
    err = qr_store_apply_host(glue->store, def, &id);
    mix(effect, id);
    if (err != 0)
        return err;
    /* A new one has been away since now, until it is connected. */
    const struct qr_host *host = qr_store_host_by_id(glue->store, id);
    return atomic_load(&host->state_changed_us) != 0
               ? 0
               : qr_store_apply_connected(glue->store, id, false, command->time_us);
}

static int check_owner(const struct qr_ownership *ownership, const struct qr_command *command,
                       uint32_t host, uint32_t epoch)
{
    struct qr_owner owner = qr_ownership_get(ownership, host);
    return owner.member == command->member && owner.epoch == epoch ? 0 : QR_E_FENCED;
}

/* All definitions are decoded before the first is applied: an entry counts whole or not at all. */
static int decode_charts(struct qr_chart_def **defs, uint32_t n, struct qr_cursor *in)
{
    int err = 0;
    uint32_t i = 0;
    while (i < n && (err = qr_chart_def_decode(&defs[i], in)) == 0)
        i++;
    if (err == 0 && !qr_cursor_done(in))
        err = QR_E_MALFORMED;
    if (err != 0)
        while (i > 0)
            free(defs[--i]);
    return err;
}

static int apply_charts(struct qr_glue *glue, const struct qr_command *command,
                        const struct qr_ownership *ownership, uint64_t *effect)
{
    struct qr_charts_head head;
    struct qr_cursor in = qr_cursor_of(command->body);
    int err = qr_charts_head_decode(&head, &in);
    if (err == 0)
        err = check_owner(ownership, command, head.host, head.epoch);
    if (err != 0)
        return err;
    struct qr_chart_def **defs = calloc(head.n + 1, sizeof *defs);
    if (defs == NULL)
        return UV_ENOMEM;
    err = decode_charts(defs, head.n, &in);
    for (uint32_t i = 0; i < head.n && err == 0; i++) {
        uint32_t id = 0;
        int one = qr_store_apply_chart(glue->store, head.host, defs[i], &id);
        if (one == UV_ENOMEM)
            err = one;
        mix(effect, (uint64_t)id << 32 | (uint32_t)one);
    }
    free(defs);
    return err;
}

static int apply_rows(struct qr_glue *glue, const struct qr_command *command,
                      struct qr_entry_reader *reader, const struct qr_entry_host *block,
                      uint64_t *effect)
{
    struct qr_entry_row row;
    uint64_t n_rows = 0;
    uint64_t n_new = 0;
    uint64_t n_refused = 0;
    int64_t now_s = command->time_us / 1000000;
    /* A chart that the session still knows by its id, or a time that is not to come for a day: the
     * cluster's clocks have moved between the session's look at the row and now.  The owner starts
     * the session again, and the child is asked for what was refused. */
    int refusal = 0;
    while (qr_entry_next_row(reader, &row)) {
        uint32_t cells = 0;
        int err = qr_store_apply_row(glue->store, block->host, row.chart, now_s, row.end_s,
                                     row.values, row.n, &cells);
        if (err == UV_ENOMEM)
            return err;
        n_rows++;
        glue->log_samples += row.n;
        n_new += cells;
        n_refused += err != 0;
        if (err == QR_E_UNKNOWN || (err == QR_E_LIMIT && row.end_s > now_s))
            refusal = err;
    }
    if (refusal != 0 && command->member == glue->member && glue->refused != NULL)
        glue->refused(glue->data, block->host, block->epoch, refusal);
    glue->n_rows += n_rows;
    glue->n_rows_refused += n_refused;
    mix(effect, n_rows << 32 | n_refused);
    mix(effect, n_new);
    return 0;
}

static int apply_samples(struct qr_glue *glue, const struct qr_command *command,
                         struct qr_ownership *ownership, uint64_t index, uint64_t *effect)
{
    struct qr_entry_reader *reader;
    struct qr_entry_host block;
    int err = qr_entry_reader_new(&reader, command->body);
    if (err != 0)
        return err;
    while (err == 0 && qr_entry_next_host(reader, &block)) {
        int verdict = qr_ownership_check(ownership, block.host, command->member, block.epoch,
                                         block.block_seq);
        /* All of the block or nothing of it: a base that is not there refuses it like a block
         * that is missing before it, and so all that follow in this epoch. */
        if (verdict == 0)
            verdict = qr_entry_read_rows(reader, qr_store_base, glue->store);
        if (verdict == UV_ENOMEM) {
            err = verdict;
            break;
        }
        mix(effect, (uint64_t)block.host << 32 | (uint32_t)verdict);
        if (verdict == 0) {
            err = apply_rows(glue, command, reader, &block, effect);
            qr_ownership_advance(ownership, block.host, block.block_seq);
            qr_ownership_heard(ownership, block.host, command->time_us);
            note_index(glue, block.host, index);
        } else if (verdict == QR_E_FENCED) {
            glue->n_fenced_blocks++;
        } else {
            glue->n_refused_blocks++;
            if (command->member == glue->member && glue->refused != NULL)
                glue->refused(glue->data, block.host, block.epoch, verdict);
        }
    }
    qr_entry_reader_free(reader);
    glue->log_bytes += QR_COMMAND_HEADER_BYTES + command->body.len;
    return err;
}

static int apply_host_state(struct qr_glue *glue, const struct qr_command *command,
                            struct qr_ownership *ownership, uint64_t *effect)
{
    struct qr_host_state state;
    int err = qr_host_state_decode(&state, glue->gaps, command->body);
    if (err == 0)
        err = check_owner(ownership, command, state.host, state.epoch);
    if (err == 0 && state.says && !state.connected)
        qr_ownership_left(ownership, state.host);
    if (err == 0 && state.says)
        err = qr_store_apply_connected(glue->store, state.host, state.connected, command->time_us);
    for (uint32_t i = 0; i < state.n_gaps && err == 0; i++) {
        int one = qr_store_apply_gap(glue->store, &state.gaps[i]);
        if (one == UV_ENOMEM)
            err = one;
        mix(effect, (uint32_t)one);
    }
    return err;
}

static int apply_seal(struct qr_glue *glue, const struct qr_command *command)
{
    int64_t start_s;
    int err = qr_time_body_decode(&start_s, command->body);
    if (QR_PLANT(clock_in_apply) && qr_clock_real_us(&qr_clock_system) < command->time_us)
        return 0;
    return err == 0 ? qr_store_apply_seal(glue->store, start_s) : err;
}

static int apply_retain(struct qr_glue *glue, const struct qr_command *command)
{
    struct qr_retention retention;
    int err = qr_retain_body_decode(&retention, command->body);
    return err == 0 ? qr_store_apply_retain(glue->store, &retention) : err;
}

static int apply_merge(struct qr_glue *glue, const struct qr_command *command)
{
    struct qr_merge_body merge;
    int err = qr_merge_body_decode(&merge, command->body);
    return err == 0 ? qr_store_apply_merge(glue->store, merge.tier, merge.shard, merge.start_s)
                    : err;
}

static int apply_sealed(struct qr_glue *glue, const struct qr_command *command)
{
    struct qr_sealed sealed;
    int err = qr_sealed_decode(&sealed, command->body);
    if (err != 0)
        return err;
    const struct qr_file_vote vote = {command->member, sealed.bytes, sealed.hash};
    return qr_store_apply_vote(glue->store, &sealed.id, &vote, glue->n_members);
}

/* A host that is gone has no owner: what is on its way from one is fenced. */
static int forget_one(struct qr_glue *glue, const struct qr_forget_body *body,
                      const struct qr_forgotten *what, struct qr_ownership *ownership,
                      uint64_t *effect)
{
    uint32_t n;
    int err = body->away_before_s != 0
                  ? qr_store_apply_forget_away(glue->store, what->host, body->away_before_s, &n)
                  : qr_store_apply_forget(glue->store, what, body->only_expired, &n);
    if (err == UV_ENOMEM)
        return err;
    mix(effect, (uint64_t)n << 32 | (uint32_t)err);
    if (n != 0 && what->chart == 0)
        qr_ownership_drop(ownership, what->host);
    if (n != 0 && !body->only_expired && glue->forgotten != NULL)
        glue->forgotten(glue->data, what->host);
    return 0;
}

static int apply_forget(struct qr_glue *glue, const struct qr_command *command,
                        struct qr_ownership *ownership, uint64_t *effect)
{
    struct qr_forget_body *body = glue->forget;
    int err = qr_forget_decode(body, command->body);
    if (err != 0)
        return err;
    for (uint32_t i = 0; i < body->n && err == 0; i++)
        err = forget_one(glue, body, &body->what[i], ownership, effect);
    return err != 0 ? err : qr_store_apply_forgotten(glue->store);
}

static int apply(void *data, const struct qr_command *command, struct qr_ownership *ownership,
                 uint64_t index, uint64_t *effect)
{
    struct qr_glue *glue = data;
    *effect = 0;
    glue->index = index;
    glue->bytes_since += QR_COMMAND_HEADER_BYTES + command->body.len;
    if (command->type == QR_COMMAND_SEAL)
        glue->sealed_index = index;
    switch (command->type) {
    case QR_COMMAND_HOST:
        return apply_host(glue, command, ownership, effect);
    case QR_COMMAND_CHARTS:
        return apply_charts(glue, command, ownership, effect);
    case QR_COMMAND_SAMPLES:
        return apply_samples(glue, command, ownership, index, effect);
    case QR_COMMAND_HOST_STATE:
        return apply_host_state(glue, command, ownership, effect);
    case QR_COMMAND_SEAL:
        return apply_seal(glue, command);
    case QR_COMMAND_RETAIN:
        return apply_retain(glue, command);
    case QR_COMMAND_MERGE:
        return apply_merge(glue, command);
    case QR_COMMAND_SEALED:
        return apply_sealed(glue, command);
    case QR_COMMAND_FORGET:
        return apply_forget(glue, command, ownership, effect);
    default:
        return QR_E_UNSUPPORTED;
    }
}

static uint32_t host_id(void *data, const struct qr_guid *guid)
{
    struct qr_glue *glue = data;
    int slot = qr_store_enter(glue->store);
    const struct qr_host *host = qr_store_host_by_guid(glue->store, guid);
    uint32_t id = host != NULL ? host->id : 0;
    qr_store_leave(glue->store, slot);
    return id;
}

/* Entries wait while the head is encoded: if it is large, better after a seal, when it is smaller.
 * But a log that grows takes memory and makes restarts long, so there is an end to waiting. */
static bool waits_for_seal(const struct qr_glue *glue)
{
    struct qr_store_stats stats;
    if (glue->sealed_index > glue->snapshot_index || glue->bytes_since >= glue->snapshot_wait_bytes)
        return false;
    qr_store_get_stats(glue->store, &stats);
    return stats.head_bytes > QR_GLUE_CHEAP_HEAD_BYTES;
}

static int snapshot_begin(void *data, void **pin)
{
    struct qr_glue *glue = data;
    if (waits_for_seal(glue))
        return QR_E_BUSY;
    int err = qr_store_snapshot_begin(glue->store, &glue->pin);
    if (err != 0)
        return err;
    glue->snapshot_index = glue->index;
    glue->bytes_since = 0;
    *pin = &glue->pin;
    return 0;
}

static int snapshot(void *data, void *pin, struct qr_buf *out)
{
    (void)data;
    return qr_store_snapshot_encode(pin, out);
}

static void snapshot_end(void *data, void *pin)
{
    struct qr_glue *glue = data;
    qr_store_snapshot_end(glue->store, pin);
}

static int restore(void *data, struct qr_slice bytes, void **next)
{
    struct qr_glue *glue = data;
    struct qr_state *state;
    int err = qr_store_decode(glue->store, bytes, &state);
    if (err == 0)
        *next = state;
    return err;
}

static void replace(void *data, void *next)
{
    struct qr_glue *glue = data;
    glue->n_hosts = 0; /* what it tells is of another state */
    qr_store_replace(glue->store, next);
}

static void discard(void *data, void *next)
{
    (void)data;
    qr_store_discard(next);
}

static int voters(void *data, unsigned n)
{
    struct qr_glue *glue = data;
    glue->n_members = n;
    return qr_store_apply_voters(glue->store, n);
}

struct qr_sink qr_glue_sink(struct qr_glue *glue)
{
    return (struct qr_sink){.data = glue,
                            .apply = apply,
                            .host_id = host_id,
                            .voters = voters,
                            .snapshot_begin = snapshot_begin,
                            .snapshot = snapshot,
                            .snapshot_end = snapshot_end,
                            .restore = restore,
                            .replace = replace,
                            .discard = discard};
}
