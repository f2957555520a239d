#include "storage/id_runs.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"

void qr_id_runs_release(struct qr_id_runs *runs)
{
    free(runs->at);
    *runs = (struct qr_id_runs){0};
}

static int add(struct qr_id_runs *runs, uint32_t first, uint32_t last)
{
    if (runs->n == runs->capacity) {
        uint32_t capacity = runs->capacity != 0 ? runs->capacity * 2 : 16;
        struct qr_id_run *grown = realloc(runs->at, capacity * sizeof *grown);
        if (grown == NULL)
            return UV_ENOMEM;
        runs->at = grown;
        runs->capacity = capacity;
    }
    runs->at[runs->n++] = (struct qr_id_run){first, last};
    return 0;
}

int qr_id_runs_missing(struct qr_id_runs *runs, const struct qr_ids *ids, uint32_t last)
{
    uint32_t id = 0, before = 0;
    int err = 0;
    runs->n = 0;
    while (err == 0 && qr_ids_next(ids, &id) != NULL && id <= last) {
        if (id - before > 1)
            err = add(runs, before + 1, id - 1);
        before = id;
    }
    return err == 0 && before < last ? add(runs, before + 1, last) : err;
}

int qr_id_runs_copy(struct qr_id_runs *runs, const struct qr_id_runs *from)
{
    runs->n = 0;
    int err = 0;
    for (uint32_t i = 0; i < from->n && err == 0; i++)
        err = add(runs, from->at[i].first, from->at[i].last);
    return err;
}

bool qr_id_runs_have(const struct qr_id_runs *runs, uint32_t id)
{
    uint32_t low = 0, high = runs->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (runs->at[middle].last < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < runs->n && runs->at[low].first <= id;
}

void qr_id_runs_encode(const struct qr_id_runs *runs, struct qr_buf *out)
{
    uint32_t before = 0;
    qr_buf_add_varint(out, runs->n);
    for (uint32_t i = 0; i < runs->n; i++) {
        qr_buf_add_varint(out, runs->at[i].first - before - 1);
        qr_buf_add_varint(out, runs->at[i].last - runs->at[i].first);
        before = runs->at[i].last;
    }
}

int qr_id_runs_decode(struct qr_id_runs *runs, struct qr_cursor *in, uint32_t last)
{
    uint64_t n = qr_cursor_varint_max(in, qr_cursor_left(in) / 2), before = 0;
    int err = 0;
    for (uint64_t i = 0; i < n && !in->failed && err == 0; i++) {
        uint64_t first = before + 1 + qr_cursor_varint_max(in, last);
        uint64_t end = first + qr_cursor_varint_max(in, last);
        if (in->failed || end > last || (i != 0 && first == before + 1))
            return QR_E_MALFORMED;
        err = add(runs, (uint32_t)first, (uint32_t)end);
        before = end;
    }
    return in->failed ? QR_E_MALFORMED : err;
}
