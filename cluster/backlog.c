#include "cluster/backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static struct qr_backlog_entry *at(const struct qr_backlog *backlog, size_t i)
{
    assert(i < backlog->n && backlog->n <= backlog->capacity);
    return &backlog->ring[(backlog->first + i) % backlog->capacity];
}

static int reserve(struct qr_backlog *backlog, size_t n_more)
{
    if (backlog->n + n_more <= backlog->capacity)
        return 0;
    size_t capacity = backlog->capacity != 0 ? backlog->capacity : 64;
    while (capacity < backlog->n + n_more)
        capacity *= 2;
    struct qr_backlog_entry *ring = malloc(capacity * sizeof *ring);
    if (ring == NULL)
        return UV_ENOMEM;
    for (size_t i = 0; i < backlog->n; i++)
        ring[i] = *at(backlog, i);
    free(backlog->ring);
    backlog->ring = ring;
    backlog->capacity = capacity;
    backlog->first = 0;
    return 0;
}

static void count_waiting(struct qr_backlog *backlog, size_t bytes)
{
    backlog->bytes += bytes;
    if (qr_backlog_waiting(backlog) > backlog->n_most)
        backlog->n_most = qr_backlog_waiting(backlog);
}

int qr_backlog_push(struct qr_backlog *backlog, uint64_t index, struct qr_slice bytes)
{
    int err = reserve(backlog, 1);
    if (err != 0)
        return err;
    assert(index > backlog->last);
    backlog->n++;
    *at(backlog, backlog->n - 1) =
        (struct qr_backlog_entry){.index = index, .bytes = bytes, .borrowed = true};
    backlog->last = index;
    count_waiting(backlog, bytes.len);
    return 0;
}

int qr_backlog_prepend(struct qr_backlog *backlog, const struct qr_backlog_entry *entries, size_t n)
{
    assert(backlog->n_done == 0);
    if (n == 0)
        return 0;
    int err = reserve(backlog, n);
    if (err != 0)
        return err;
    assert(backlog->n == 0 || entries[n - 1].index < at(backlog, 0)->index);
    backlog->first = (backlog->first + backlog->capacity - n) % backlog->capacity;
    backlog->n += n;
    for (size_t i = 0; i < n; i++) {
        *at(backlog, i) = entries[i];
        count_waiting(backlog, entries[i].bytes.len);
    }
    if (backlog->last < entries[n - 1].index)
        backlog->last = entries[n - 1].index;
    return 0;
}

const struct qr_backlog_entry *qr_backlog_at(const struct qr_backlog *backlog, size_t i)
{
    return at(backlog, i);
}

const struct qr_backlog_entry *qr_backlog_next(const struct qr_backlog *backlog)
{
    return backlog->n_done < backlog->n ? at(backlog, backlog->n_done) : NULL;
}

static void drop_first(struct qr_backlog *backlog)
{
    struct qr_backlog_entry *entry = at(backlog, 0);
    if (entry->memory == entry->bytes.base && entry->memory != NULL)
        backlog->bytes_owned -= entry->bytes.len;
    free(entry->memory);
    if (backlog->n_done > 0) {
        backlog->n_done--;
        backlog->bytes_kept -= entry->bytes.len;
    } else {
        backlog->bytes -= entry->bytes.len;
    }
    backlog->first = (backlog->first + 1) % backlog->capacity;
    backlog->n--;
}

void qr_backlog_done(struct qr_backlog *backlog)
{
    const struct qr_backlog_entry *entry = qr_backlog_next(backlog);
    assert(entry != NULL);
    backlog->bytes -= entry->bytes.len;
    backlog->bytes_kept += entry->bytes.len;
    backlog->n_done++;
    if (!backlog->keep)
        drop_first(backlog);
}

void qr_backlog_keep(struct qr_backlog *backlog, bool keep)
{
    backlog->keep = keep;
    while (!keep && backlog->n_done > 0)
        drop_first(backlog);
}

int qr_backlog_own(struct qr_backlog *backlog, uint64_t index)
{
    for (size_t i = 0; i < backlog->n && at(backlog, i)->index <= index; i++) {
        struct qr_backlog_entry *entry = at(backlog, i);
        if (!entry->borrowed)
            continue;
        char *copy = malloc(entry->bytes.len);
        if (copy == NULL)
            return UV_ENOMEM;
        memcpy(copy, entry->bytes.base, entry->bytes.len);
        entry->bytes.base = copy;
        entry->memory = copy;
        entry->borrowed = false;
        backlog->bytes_owned += entry->bytes.len;
        backlog->n_copied++;
    }
    return 0;
}

void qr_backlog_clear(struct qr_backlog *backlog)
{
    while (backlog->n > 0)
        drop_first(backlog);
}

void qr_backlog_release(struct qr_backlog *backlog)
{
    qr_backlog_clear(backlog);
    free(backlog->ring);
    *backlog = (struct qr_backlog){0};
}
