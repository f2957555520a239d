#include "storage/ledger.h"

#include <stdlib.h>
#include <uv.h>

#include "storage/merge.h"
#include "storage/state.h"

void qr_ledger_release(struct qr_ledger *ledger)
{
    free(ledger->at);
    qr_id_runs_release(&ledger->forgotten);
    *ledger = (struct qr_ledger){0};
}

static int add(struct qr_ledger *ledger, const struct qr_state *state,
               const struct qr_ledger_file *file)
{
    if (qr_block_id_end_s(&file->id) <= state->retain_s[file->id.tier] ||
        qr_merge_will_take(state, &file->id))
        return 0;
    if (ledger->n == ledger->capacity) {
        uint32_t capacity = ledger->capacity != 0 ? 2 * ledger->capacity : 64;
        struct qr_ledger_file *grown = realloc(ledger->at, capacity * sizeof *grown);
        if (grown == NULL)
            return UV_ENOMEM;
        ledger->at = grown;
        ledger->capacity = capacity;
    }
    ledger->at[ledger->n++] = *file;
    return 0;
}

static int add_manifest(struct qr_ledger *ledger, const struct qr_state *state)
{
    const struct qr_block_set *set = atomic_load(&state->manifest.set);
    int err = 0;
    for (uint32_t i = 0; set != NULL && i < set->n && err == 0; i++) {
        const struct qr_block *block = set->at[i];
        const struct qr_ledger_file file = {block->id, block->confirmed, block->bytes, block->hash};
        err = add(ledger, state, &file);
    }
    return err;
}

static int add_seals(struct qr_ledger *ledger, const struct qr_state *state)
{
    int err = 0;
    QR_LIST_FOREACH (node, &state->seals) {
        const struct qr_seal *seal = QR_CONTAINER_OF(node, struct qr_seal, node);
        const struct qr_ledger_file file = {seal->id, seal->is_named, seal->named_bytes,
                                            seal->named_hash};
        if (err == 0 && !qr_merge_took(state, &seal->id))
            err = add(ledger, state, &file);
    }
    return err;
}

static int add_merges(struct qr_ledger *ledger, const struct qr_state *state)
{
    int err = 0;
    QR_LIST_FOREACH (node, &state->merges) {
        const struct qr_merge *merge = QR_CONTAINER_OF(node, struct qr_merge, node);
        const struct qr_ledger_file file = {merge->id, true, merge->named_bytes, merge->named_hash};
        if (err == 0 && merge->is_named)
            err = add(ledger, state, &file);
        if (!merge->is_named) {
            ledger->has_pending = true;
            ledger->pending = merge->id;
            if (err == 0)
                err = qr_id_runs_copy(&ledger->forgotten, &merge->forgotten);
        }
    }
    return err;
}

static int compare(const void *a, const void *b)
{
    const struct qr_ledger_file *fa = a, *fb = b;
    return qr_block_id_compare(&fa->id, &fb->id);
}

int qr_ledger_read(struct qr_ledger *ledger, const struct qr_state *state)
{
    ledger->n = 0;
    ledger->has_pending = false;
    ledger->forgotten.n = 0;
    int err = add_manifest(ledger, state);
    if (err == 0)
        err = add_seals(ledger, state);
    if (err == 0)
        err = add_merges(ledger, state);
    if (err != 0)
        qr_ledger_release(ledger);
    else if (ledger->n != 0)
        qsort(ledger->at, ledger->n, sizeof *ledger->at, compare);
    return err;
}
