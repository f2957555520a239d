#include "storage/confirm.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "storage/internal.h"

struct votes {
    struct qr_list node; /* In state->votes. */
    struct qr_block_id id;
    struct qr_ballot ballot;
};

static struct votes *find(const struct qr_state *state, const struct qr_block_id *id)
{
    QR_LIST_FOREACH (node, &state->votes) {
        struct votes *votes = QR_CONTAINER_OF(node, struct votes, node);
        if (qr_block_id_is(&votes->id, id))
            return votes;
    }
    return NULL;
}

static struct votes *add(struct qr_state *state, const struct qr_block_id *id)
{
    struct votes *votes = calloc(1, sizeof *votes);
    if (votes == NULL)
        return NULL;
    votes->id = *id;
    qr_list_add_tail(&state->votes, &votes->node);
    return votes;
}

static void drop(struct votes *votes)
{
    qr_list_remove(&votes->node);
    free(votes);
}

const struct qr_ballot *qr_confirm_votes(const struct qr_state *state, const struct qr_block_id *id)
{
    const struct votes *votes = find(state, id);
    return votes != NULL ? &votes->ballot : NULL;
}

int qr_confirm_put(struct qr_state *state, const struct qr_block_id *id,
                   const struct qr_ballot *ballot)
{
    struct votes *votes = add(state, id);
    if (votes == NULL)
        return UV_ENOMEM;
    votes->ballot = *ballot;
    return 0;
}

void qr_confirm_prune(struct qr_state *state)
{
    struct qr_list *next;
    for (struct qr_list *node = state->votes.next; node != &state->votes; node = next) {
        struct votes *votes = QR_CONTAINER_OF(node, struct votes, node);
        next = node->next;
        if (qr_seal_find(state, &votes->id) == NULL && qr_merge_find(state, &votes->id) == NULL &&
            qr_manifest_find(&state->manifest, &votes->id) == NULL)
            drop(votes);
    }
}

void qr_confirm_release(struct qr_state *state)
{
    while (!qr_list_empty(&state->votes))
        drop(QR_CONTAINER_OF(state->votes.next, struct votes, node));
}

void qr_confirm_set_aside(struct qr_store *store, const struct qr_block_id *id)
{
    char path[QR_PATH_BYTES_MAX], aside[QR_PATH_BYTES_MAX];
    struct qr_disk *disk = store->config.disk;
    if (qr_store_path(store, id, path) == 0 &&
        snprintf(aside, sizeof aside, "%s.bad", path) < (int)sizeof aside)
        disk->rename(disk, path, aside);
    qr_store_report_block(store, id, "this member's block file differs from the group's");
}

/* This member made another file than the group: theirs counts, ours is kept aside to be looked at.
 * Until theirs is fetched the window is not served. */
static int replace_block(struct qr_store *store, struct qr_block *block, uint64_t bytes,
                         uint64_t hash)
{
    struct qr_block *named = qr_block_new(&block->id, bytes, hash, QR_BLOCK_MISSING);
    if (named == NULL)
        return UV_ENOMEM;
    named->confirmed = true;
    named->reported = true;
    struct qr_block_id id = block->id;
    int err = qr_manifest_put(&qr_store_state(store)->manifest, named);
    if (err == 0)
        qr_confirm_set_aside(store, &id);
    return err;
}

int qr_confirm_decide(struct qr_store *store, const struct qr_block_id *id, uint64_t bytes,
                      uint64_t hash)
{
    struct qr_block *block = qr_manifest_find(&qr_store_state(store)->manifest, id);
    int err = 0;
    if (block != NULL && block->bytes == bytes && block->hash == hash)
        block->confirmed = true;
    else if (block != NULL)
        err = replace_block(store, block, bytes, hash);
    qr_epoch_collect(&store->epoch);
    return err;
}

/* The group agreed: now, or when this member's own file is written. */
static int decide(struct qr_store *store, struct qr_seal *seal, const struct qr_block_id *id,
                  const struct qr_file_vote *winner)
{
    struct qr_state *state = qr_store_state(store);
    if (qr_merge_find(state, id) != NULL)
        return qr_merge_name(state, id, winner->bytes, winner->hash);
    if (seal == NULL)
        return qr_confirm_decide(store, id, winner->bytes, winner->hash);
    seal->is_named = true;
    seal->named_bytes = winner->bytes;
    seal->named_hash = winner->hash;
    return 0;
}

/* The first undecided file that this number of members decides, with its winner. */
static struct votes *find_decided(const struct qr_state *state, uint32_t n_members,
                                  struct qr_file_vote *winner)
{
    QR_LIST_FOREACH (node, &state->votes) {
        struct votes *votes = QR_CONTAINER_OF(node, struct votes, node);
        const struct qr_file_vote again = votes->ballot.votes[0];
        if (votes->ballot.n > 0 && qr_ballot_cast(&votes->ballot, &again, n_members, winner))
            return votes;
    }
    return NULL;
}

int qr_confirm_recount(struct qr_store *store, uint32_t n_members)
{
    struct qr_state *state = qr_store_state(store);
    struct qr_file_vote winner;
    struct votes *votes;
    while ((votes = find_decided(state, n_members, &winner)) != NULL) {
        const struct qr_block_id id = votes->id;
        drop(votes); /* What follows may look through the others. */
        int err = decide(store, qr_seal_find(state, &id), &id, &winner);
        if (err != 0)
            return err;
    }
    return 0;
}

int qr_confirm_vote(struct qr_store *store, const struct qr_block_id *id,
                    const struct qr_file_vote *vote, uint32_t n_members)
{
    struct qr_state *state = qr_store_state(store);
    struct qr_seal *seal = qr_seal_find(state, id);
    const struct qr_merge *merge = qr_merge_find(state, id);
    const struct qr_block *block = qr_manifest_find(&state->manifest, id);
    bool is_known = seal != NULL    ? seal->is_named
                    : merge != NULL ? merge->is_named
                                    : block == NULL || block->confirmed;
    if (is_known)
        return 0;
    struct votes *votes = find(state, id);
    if (votes == NULL && (votes = add(state, id)) == NULL)
        return UV_ENOMEM;
    struct qr_file_vote winner;
    if (!qr_ballot_cast(&votes->ballot, vote, n_members, &winner))
        return 0;
    int err = decide(store, seal, id, &winner);
    if (err == 0)
        drop(votes);
    return err;
}
