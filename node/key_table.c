#include "node/key_table.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"

static int compare_keys(const void *a, const void *b)
{
    const struct qr_table_key *x = a, *y = b;
    return memcmp(x->hash, y->hash, sizeof x->hash);
}

static void take_key(struct qr_table_key *to, const struct qr_key *key, int64_t now_s)
{
    char sentence[256];
    memcpy(to->hash, key->hash, sizeof to->hash);
    to->id = key->id;
    to->line = key->line;
    to->standing = qr_key_standing(key, now_s);
    to->sound = qr_stream_section_parse(&to->section, qr_slice_str(key->policy), sentence,
                                        sizeof sentence) == 0;
    if (!to->sound) /* Another version's. */
        qr_error("the policy of an API key is not understood; nobody is let in with it id=%u "
                 "reason=\"%s\"",
                 key->id, sentence);
}

int qr_key_table_new(struct qr_key_table **table, const struct qr_guid *cluster_id,
                     const struct qr_keys *keys, int64_t now_s)
{
    struct qr_key_table *made = calloc(1, sizeof *made);
    if (made == NULL)
        return UV_ENOMEM;
    made->holders = 1;
    made->cluster_id = *cluster_id;
    made->keys = calloc(keys->n_keys + 1, sizeof *made->keys);
    made->bindings = calloc(keys->n_bindings + 1, sizeof *made->bindings);
    if (made->keys == NULL || made->bindings == NULL) {
        qr_key_table_release(made);
        return UV_ENOMEM;
    }
    for (uint32_t i = 0; i < keys->n_keys; i++) {
        const struct qr_key *key = &keys->keys[i];
        take_key(&made->keys[made->n_keys++], key, now_s);
        if (qr_key_standing(key, now_s) == QR_KEY_OVERLAPS &&
            (made->next_end_s == 0 || key->ends_s < made->next_end_s))
            made->next_end_s = key->ends_s;
    }
    qsort(made->keys, made->n_keys, sizeof *made->keys, compare_keys);
    if (keys->n_bindings > 0)
        memcpy(made->bindings, keys->bindings, keys->n_bindings * sizeof *made->bindings);
    made->n_bindings = keys->n_bindings;
    *table = made;
    return 0;
}

struct qr_key_table *qr_key_table_hold(struct qr_key_table *table)
{
    table->holders++;
    return table;
}

void qr_key_table_release(struct qr_key_table *table)
{
    if (table == NULL || --table->holders > 0)
        return;
    for (uint32_t i = 0; i < table->n_keys; i++)
        qr_stream_section_release(&table->keys[i].section);
    free(table->keys);
    free(table->bindings);
    free(table);
}

struct qr_table_key *qr_key_table_find(const struct qr_key_table *table, struct qr_slice api_key)
{
    struct qr_table_key wanted;
    struct qr_guid key;
    if (table->n_keys == 0 || qr_guid_parse(&key, api_key) != 0)
        return NULL;
    qr_key_hash(&table->cluster_id, &key, wanted.hash);
    return bsearch(&wanted, table->keys, table->n_keys, sizeof *table->keys, compare_keys);
}

static int compare_bindings(const void *a, const void *b)
{
    const struct qr_key_binding *x = a, *y = b;
    return memcmp(x->guid.bytes, y->guid.bytes, sizeof x->guid.bytes);
}

const struct qr_key_binding *qr_key_table_binding(const struct qr_key_table *table,
                                                  struct qr_slice machine_guid)
{
    struct qr_key_binding wanted;
    if (table->n_bindings == 0 || qr_guid_parse(&wanted.guid, machine_guid) != 0)
        return NULL;
    return bsearch(&wanted, table->bindings, table->n_bindings, sizeof *table->bindings,
                   compare_bindings);
}
