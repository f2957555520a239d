#include "storage/retain.h"

#include "base/error.h"
#include "base/limits.h"
#include "storage/confirm.h"
#include "storage/ledger.h"
#include "storage/merge.h"
#include "storage/state.h"

/* ---- where the edges go ---- */

/* The edge of a tier whose files exceed the budget: the oldest go, all that end with them. */
static int64_t edge_by_size(const struct qr_ledger *ledger, unsigned tier, int64_t edge_s,
                            uint64_t bytes_max)
{
    for (;;) {
        uint64_t bytes = 0;
        int64_t oldest_s = INT64_MAX;
        for (uint32_t i = 0; i < ledger->n; i++) {
            const struct qr_ledger_file *file = &ledger->at[i];
            int64_t end_s = qr_block_id_end_s(&file->id);
            if (file->id.tier != tier || !file->confirmed || end_s <= edge_s)
                continue;
            bytes += file->bytes;
            oldest_s = end_s < oldest_s ? end_s : oldest_s;
        }
        if (bytes <= bytes_max)
            return edge_s;
        edge_s = oldest_s;
    }
}

static void move_edges(struct qr_state *state, const struct qr_ledger *ledger,
                       const struct qr_retention *retention)
{
    for (unsigned tier = 0; tier < QR_TIERS; tier++) {
        int64_t before_s = retention->before_s[tier];
        int64_t edge_s = before_s > 0 ? qr_head_window_of(&state->head, before_s) : 0;
        if (edge_s < state->retain_s[tier])
            edge_s = state->retain_s[tier];
        if (retention->bytes_max[tier] != 0)
            edge_s = edge_by_size(ledger, tier, edge_s, retention->bytes_max[tier]);
        int64_t held_s = qr_merge_holds_s(state, tier);
        if (edge_s > held_s)
            edge_s = held_s;
        if (edge_s > state->retain_s[tier])
            state->retain_s[tier] = edge_s;
    }
}

/* ---- what goes with them ---- */

static bool is_expired(void *data, const struct qr_block *block)
{
    const struct qr_state *state = data;
    return qr_block_id_end_s(&block->id) <= state->retain_s[block->id.tier] &&
           !qr_merge_reads(state, &block->id);
}

int qr_retain_expire(struct qr_state *state)
{
    const struct qr_manifest_change change = {is_expired, state};
    return qr_manifest_change(&state->manifest, NULL, &change);
}

/* Samples that are too old now, and were not sealed yet. */
static void expire_head(struct qr_state *state)
{
    struct qr_head *head = &state->head;
    while (head->n_windows > 0 &&
           head->windows[0]->start_s + head->window_s <= state->retain_s[0]) {
        struct qr_head_window *window = head->windows[0];
        qr_head_freeze(head, window);
        qr_head_drop(head, window);
    }
}

/* What any tier still has begins here. */
static int64_t oldest_of(const struct qr_state *state, const struct qr_ledger *ledger)
{
    int64_t oldest_s = state->retain_s[0];
    for (uint32_t i = 0; i < ledger->n; i++) {
        const struct qr_block_id *id = &ledger->at[i].id;
        if (id->tier != 0 && qr_block_id_end_s(id) > state->retain_s[id->tier] &&
            id->start_s < oldest_s)
            oldest_s = id->start_s;
    }
    return oldest_s;
}

int qr_retain_apply(struct qr_state *state, const struct qr_retention *retention)
{
    for (unsigned tier = 0; tier < QR_TIERS; tier++)
        if (retention->before_s[tier] > QR_TIME_S_MAX)
            return QR_E_LIMIT;
    struct qr_ledger ledger = {0};
    int err = qr_ledger_read(&ledger, state);
    if (err != 0)
        return err;
    move_edges(state, &ledger, retention);
    err = qr_retain_expire(state);
    if (err == 0)
        err = qr_state_expire_gaps(state, state->retain_s[0]);
    expire_head(state);
    int64_t oldest_s = oldest_of(state, &ledger);
    if (oldest_s > state->catalog.edge_s)
        state->catalog.edge_s = oldest_s;
    qr_confirm_prune(state);
    qr_ledger_release(&ledger);
    return err;
}
