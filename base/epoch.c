#include "base/epoch.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void qr_epoch_init(struct qr_epoch *epoch)
{
    memset(epoch, 0, sizeof *epoch);
    atomic_init(&epoch->now, 1);
}

void qr_epoch_release(struct qr_epoch *epoch)
{
    for (size_t i = 0; i < QR_EPOCH_READERS_MAX; i++)
        assert(atomic_load(&epoch->readers[i]) == 0);
    qr_epoch_collect(epoch);
    assert(epoch->n_retired == 0);
    free(epoch->retired);
    epoch->retired = NULL;
    epoch->capacity = 0;
}

int qr_epoch_enter(struct qr_epoch *epoch)
{
    for (;;) {
        for (int i = 0; i < QR_EPOCH_READERS_MAX; i++) {
            uint64_t free_slot = 0;
            uint64_t now = atomic_load(&epoch->now);
            if (atomic_load_explicit(&epoch->readers[i], memory_order_relaxed) != 0 ||
                !atomic_compare_exchange_strong(&epoch->readers[i], &free_slot, now))
                continue;
            /* An older `now` than the writer's is safe: it only delays freeing. */
            return i;
        }
        sched_yield();
    }
}

void qr_epoch_leave(struct qr_epoch *epoch, int slot)
{
    assert(slot >= 0 && slot < QR_EPOCH_READERS_MAX);
    atomic_store_explicit(&epoch->readers[slot], 0, memory_order_release);
}

void qr_epoch_retire(struct qr_epoch *epoch, void *memory, void (*release)(void *memory))
{
    if (memory == NULL)
        return;
    if (epoch->n_retired == epoch->capacity) {
        size_t capacity = epoch->capacity != 0 ? epoch->capacity * 2 : 64;
        struct qr_epoch_retired *grown = realloc(epoch->retired, capacity * sizeof *grown);
        if (grown == NULL) {
            qr_error("memory leaked: no room to note that it is retired");
            return;
        }
        epoch->retired = grown;
        epoch->capacity = capacity;
    }
    /* Readers that entered at this epoch or before may see it; later ones cannot. */
    uint64_t at = atomic_fetch_add(&epoch->now, 1);
    epoch->retired[epoch->n_retired++] = (struct qr_epoch_retired){memory, release, at};
}

static uint64_t oldest_reader(struct qr_epoch *epoch)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < QR_EPOCH_READERS_MAX; i++) {
        uint64_t entered = atomic_load(&epoch->readers[i]);
        if (entered != 0 && entered < oldest)
            oldest = entered;
    }
    return oldest;
}

void qr_epoch_collect(struct qr_epoch *epoch)
{
    if (epoch->n_retired == 0)
        return;
    uint64_t oldest = oldest_reader(epoch);
    size_t n = 0;
    while (n < epoch->n_retired && epoch->retired[n].epoch < oldest) {
        epoch->retired[n].release(epoch->retired[n].memory);
        n++;
    }
    if (n == 0)
        return;
    epoch->n_retired -= n;
    memmove(epoch->retired, epoch->retired + n, epoch->n_retired * sizeof *epoch->retired);
}
