#include "storage/shard.h"

void qr_shards_note(struct qr_shards *shards, uint32_t limit, struct qr_host *host, uint64_t n_new)
{
    if (!host->has_shard) {
        if (shards->n_metrics >= limit && shards->current < QR_SHARD_MAX) {
            shards->current++;
            shards->n_metrics = 0;
        }
        host->shard = shards->current;
        host->has_shard = true;
    }
    if (host->shard == shards->current)
        shards->n_metrics += n_new;
}
