#include "storage/catalog_bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "storage/entry.h"

/* ---- encoding ---- */

static int put_hosts(const struct qr_catalog *catalog, struct qr_buf *out)
{
    const struct qr_store_hosts *hosts = qr_catalog_hosts(catalog);
    uint32_t n = atomic_load(&hosts->n), last = 0;
    qr_buf_add_varint(out, catalog->last_host);
    int err = qr_buf_add_varint(out, n);
    for (uint32_t i = 0; i < n && err == 0; i++) {
        const struct qr_host *host = hosts->at[i];
        qr_buf_add_varint(out, host->id - last);
        last = host->id;
        err = qr_host_def_encode(out, atomic_load(&host->def));
        qr_buf_add_u8(out, atomic_load(&host->connected));
        qr_buf_add_zigzag(out, atomic_load(&host->state_changed_us));
        qr_buf_add_varint(out, host->has_shard ? host->shard + 1 : 0);
        qr_buf_add_varint(out, (uint64_t)atomic_load(&host->watermark_s));
        qr_buf_add_varint(out, atomic_load(&host->n_samples));
    }
    return err;
}

static int put_chart(struct qr_pool_numbers *numbers, const struct qr_chart *chart,
                     struct qr_buf *out)
{
    const struct qr_chart_def *def = atomic_load(&chart->def);
    uint32_t number = qr_pool_number(numbers, def);
    qr_buf_add_varint(out, chart->host->id);
    qr_buf_add_varint(out, number);
    int err = number == 0 ? qr_chart_def_encode(out, def) : 0;
    qr_buf_add_varint(out, (uint64_t)atomic_load(&chart->oldest_s));
    qr_buf_add_varint(out, (uint64_t)atomic_load(&chart->watermark_s));
    qr_buf_add_varint(out, atomic_load(&chart->n_samples));
    qr_buf_add_zigzag(out, atomic_load(&chart->told_s));
    return err == 0 ? qr_entry_base_encode(out, chart->base) : err;
}

static int put_charts(const struct qr_catalog *catalog, struct qr_buf *out)
{
    struct qr_pool_numbers numbers = qr_pool_begin_numbers(catalog->pool);
    qr_buf_add_varint(out, catalog->last_chart);
    int err = qr_buf_add_varint(out, qr_catalog_n_charts(catalog));
    uint32_t id = 0, last = 0;
    const struct qr_chart *chart;
    while (err == 0 && (chart = qr_catalog_next(catalog, &id)) != NULL) {
        qr_buf_add_varint(out, id - last);
        last = id;
        err = put_chart(&numbers, chart, out);
    }
    return err;
}

int qr_catalog_encode(const struct qr_catalog *catalog, struct qr_buf *out)
{
    int err = put_hosts(catalog, out);
    return err != 0 ? err : put_charts(catalog, out);
}

/* ---- decoding ---- */

/* A time of the log: what is larger was never stored. */
static int64_t take_time(struct qr_cursor *in)
{
    return (int64_t)qr_cursor_varint_max(in, QR_TIME_S_MAX);
}

/* The next id, above the last one and not above `max`; 0: malformed. */
static uint32_t take_id(struct qr_cursor *in, uint32_t last, uint32_t max)
{
    uint64_t step = qr_cursor_varint_max(in, max - last);
    return in->failed || step == 0 ? 0 : last + (uint32_t)step;
}

static int take_host(struct qr_catalog *catalog, struct qr_cursor *in, uint32_t id,
                     uint32_t max_shard)
{
    struct qr_host_def *def;
    struct qr_host *host;
    int err = qr_host_def_decode(&def, in);
    if (err != 0)
        return err;
    catalog->last_host = id - 1;
    err = qr_catalog_put_host(catalog, def, &host);
    if (err != 0)
        return err;
    uint8_t connected = qr_cursor_u8(in);
    if (host->id != id || connected > 1)
        return QR_E_MALFORMED; /* Two with one GUID. */
    atomic_store(&host->connected, connected != 0);
    atomic_store(&host->state_changed_us, qr_cursor_zigzag(in));
    uint64_t shard = qr_cursor_varint_max(in, (uint64_t)max_shard + 1);
    host->has_shard = shard != 0;
    host->shard = shard != 0 ? (uint32_t)shard - 1 : 0;
    atomic_store(&host->watermark_s, take_time(in));
    atomic_store(&host->n_samples, qr_cursor_varint(in));
    return in->failed ? QR_E_MALFORMED : 0;
}

static int take_hosts(struct qr_catalog *catalog, struct qr_cursor *in, uint32_t max_shard)
{
    uint32_t last_given = (uint32_t)qr_cursor_varint_max(in, QR_HOSTS_MAX), id = 0;
    uint64_t n = qr_cursor_varint_max(in, last_given);
    int err = in->failed ? QR_E_MALFORMED : 0;
    for (uint64_t i = 0; i < n && err == 0; i++) {
        id = take_id(in, id, last_given);
        err = id != 0 ? take_host(catalog, in, id, max_shard) : QR_E_MALFORMED;
    }
    catalog->last_host = last_given;
    return err;
}

/* The definitions that were told, in order. */
struct told {
    const struct qr_chart_def **defs;
    uint32_t n, capacity;
    struct qr_pool_numbers numbers;
};

static int note_def(struct told *told, const struct qr_chart_def *def)
{
    if (qr_pool_number(&told->numbers, def) != 0)
        return QR_E_MALFORMED; /* It was told before: a number would have done. */
    if (told->n == told->capacity) {
        uint32_t capacity = told->capacity != 0 ? told->capacity * 2 : 256;
        const struct qr_chart_def **grown =
            realloc(told->defs, capacity * sizeof(const struct qr_chart_def *));
        if (grown == NULL)
            return UV_ENOMEM;
        told->defs = grown;
        told->capacity = capacity;
    }
    told->defs[told->n++] = def;
    return 0;
}

static int take_new_def(struct qr_catalog *catalog, struct qr_cursor *in, struct told *told,
                        struct qr_host *host, struct qr_chart **chart)
{
    struct qr_chart_def *def;
    int err = qr_chart_def_decode(&def, in);
    if (err != 0)
        return err;
    uint32_t n_dims = def->n_dims, n_before = qr_catalog_n_charts(catalog);
    err = qr_catalog_put_chart(catalog, host, def, chart);
    if (err != 0)
        return err;
    const struct qr_chart_def *known = atomic_load(&(*chart)->def);
    /* The second of one id, or two dimensions with one id. */
    if (qr_catalog_n_charts(catalog) == n_before || known->n_dims != n_dims)
        return QR_E_MALFORMED;
    return note_def(told, known);
}

static int take_chart(struct qr_catalog *catalog, struct qr_cursor *in, struct told *told,
                      uint32_t id)
{
    struct qr_host *host =
        qr_catalog_host(catalog, (uint32_t)qr_cursor_varint_max(in, QR_HOSTS_MAX));
    uint64_t number = qr_cursor_varint_max(in, told->n);
    if (in->failed || host == NULL || (number != 0 && told->defs == NULL))
        return QR_E_MALFORMED;
    struct qr_chart *chart;
    assert(number == 0 || told->defs != NULL);
    catalog->last_chart = id - 1;
    int err = number != 0 ? qr_catalog_put_known(catalog, host, told->defs[number - 1], &chart)
                          : take_new_def(catalog, in, told, host, &chart);
    if (err != 0)
        return err;
    atomic_store(&chart->oldest_s, take_time(in));
    atomic_store(&chart->watermark_s, take_time(in));
    atomic_store(&chart->n_samples, qr_cursor_varint(in));
    atomic_store(&chart->told_s, qr_cursor_zigzag(in));
    err = qr_entry_base_decode(chart->base, in);
    return err != 0 ? err : in->failed ? QR_E_MALFORMED : 0;
}

static int take_charts(struct qr_catalog *catalog, struct qr_cursor *in)
{
    uint32_t last_given = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX), id = 0;
    uint64_t n = qr_cursor_varint_max(in, last_given);
    struct told told = {.numbers = qr_pool_begin_numbers(catalog->pool)};
    int err = in->failed ? QR_E_MALFORMED : 0;
    for (uint64_t i = 0; i < n && err == 0; i++) {
        id = take_id(in, id, last_given);
        err = id != 0 ? take_chart(catalog, in, &told, id) : QR_E_MALFORMED;
    }
    catalog->last_chart = last_given;
    free(told.defs);
    return err;
}

int qr_catalog_decode(struct qr_catalog *catalog, struct qr_cursor *in, uint32_t max_shard)
{
    int err = take_hosts(catalog, in, max_shard);
    return err != 0 ? err : take_charts(catalog, in);
}
