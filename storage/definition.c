#include "storage/definition.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"

#define VERSION 1

/* ---- labels ---- */

bool qr_chart_def_label(const struct qr_chart_def *def, uint32_t i, struct qr_def_label *label)
{
    static const char *const added[] = {"_collect_plugin", "_collect_module"};
    const uint32_t n_added = QR_COUNT(added);
    if (i >= n_added) {
        if (i - n_added >= def->n_labels)
            return false;
        *label = def->labels[i - n_added];
        return true;
    }
    const char *value = i == 0 ? def->plugin : def->module;
    *label = (struct qr_def_label){added[i], *value != '\0' ? value : "[none]", 0};
    for (uint32_t own = 0; own < def->n_labels; own++)
        if (strcmp(def->labels[own].name, added[i]) == 0)
            *label = def->labels[own];
    return true;
}

/* ---- encoding ---- */

static int put_str(struct qr_buf *out, const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    if (len > QR_NAME_BYTES_MAX)
        return QR_E_LIMIT;
    return qr_buf_add_bytes(out, qr_slice_of(text != NULL ? text : "", len));
}

static int put_labels(struct qr_buf *out, const struct qr_def_label *labels, uint32_t n)
{
    if (n > QR_LABELS_MAX)
        return QR_E_LIMIT;
    qr_buf_add_varint(out, n);
    for (uint32_t i = 0; i < n; i++) {
        int err = put_str(out, labels[i].name);
        if (err == 0)
            err = put_str(out, labels[i].value);
        if (err != 0)
            return err;
        qr_buf_add_varint(out, labels[i].source);
    }
    return 0;
}

static int put_strs(struct qr_buf *out, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int err = put_str(out, texts[i]);
        if (err != 0)
            return err;
    }
    return 0;
}

/* Leaves `out` as it was if anything failed. */
static int end(struct qr_buf *out, size_t len_before, bool failed_before, int err)
{
    if (err == 0 && out->failed && !failed_before)
        err = out->max != 0 ? QR_E_LIMIT : UV_ENOMEM;
    if (err != 0)
        out->len = len_before;
    return err;
}

static int put_host(struct qr_buf *out, const struct qr_host_def *def)
{
    qr_buf_add_u8(out, VERSION);
    qr_buf_add(out, def->guid.bytes, sizeof def->guid.bytes);
    const char *texts[] = {def->hostname,       def->registry_hostname, def->os,
                           def->timezone,       def->abbrev_timezone,   def->program_name,
                           def->program_version};
    int err = put_strs(out, texts, QR_COUNT(texts));
    if (err != 0)
        return err;
    qr_buf_add_zigzag(out, def->utc_offset_s);
    qr_buf_add_varint(out, def->update_every);
    qr_buf_add_varint(out, def->hops);
    err = put_labels(out, def->sysinfo, def->n_sysinfo);
    if (err == 0)
        err = put_labels(out, def->labels, def->n_labels);
    if (err != 0)
        return err;
    qr_buf_add_u8(out, def->has_claim);
    return def->has_claim ? qr_buf_add(out, def->claim_id.bytes, sizeof def->claim_id.bytes) : 0;
}

int qr_host_def_encode(struct qr_buf *out, const struct qr_host_def *def)
{
    size_t len = out->len;
    bool failed = out->failed;
    return end(out, len, failed, put_host(out, def));
}

static int put_chart(struct qr_buf *out, const struct qr_chart_def *def)
{
    if (def->n_dims > QR_DIMS_PER_CHART_MAX || def->update_every > QR_UPDATE_EVERY_MAX)
        return QR_E_LIMIT;
    qr_buf_add_u8(out, VERSION);
    const char *texts[] = {def->id,     def->name,    def->title,  def->units,
                           def->family, def->context, def->plugin, def->module};
    int err = put_strs(out, texts, QR_COUNT(texts));
    if (err != 0)
        return err;
    qr_buf_add_u8(out, def->type);
    qr_buf_add_u8(out, def->flags);
    qr_buf_add_zigzag(out, def->priority);
    qr_buf_add_varint(out, def->update_every);
    qr_buf_add_varint(out, def->n_dims);
    for (uint32_t i = 0; i < def->n_dims; i++) {
        const struct qr_dim_def *dim = &def->dims[i];
        err = put_strs(out, (const char *const[]){dim->id, dim->name}, 2);
        if (err != 0)
            return err;
        qr_buf_add_zigzag(out, dim->multiplier);
        qr_buf_add_zigzag(out, dim->divisor);
        qr_buf_add_u8(out, dim->algorithm);
        qr_buf_add_u8(out, dim->flags);
    }
    return put_labels(out, def->labels, def->n_labels);
}

int qr_chart_def_encode(struct qr_buf *out, const struct qr_chart_def *def)
{
    size_t len = out->len;
    bool failed = out->failed;
    return end(out, len, failed, put_chart(out, def));
}

/* ---- decoding: a first pass checks and measures, a second one fills the one allocation ---- */

struct arena {
    char *strings; /* NULL in the first pass. */
    size_t n_bytes;
    int err; /* QR_E_LIMIT, where the bytes are sound but too many. */
};

static const char *take_str(struct qr_cursor *in, struct arena *arena)
{
    uint64_t len = qr_cursor_varint(in);
    if (!in->failed && len > QR_NAME_BYTES_MAX) {
        arena->err = QR_E_LIMIT;
        in->failed = true;
    }
    struct qr_slice text = qr_cursor_take(in, in->failed ? 0 : (size_t)len);
    if (in->failed)
        return "";
    if (memchr(text.base, '\0', text.len) != NULL)
        in->failed = true;
    char *at = arena->strings;
    if (at != NULL) {
        memcpy(at + arena->n_bytes, text.base, text.len);
        at[arena->n_bytes + text.len] = '\0';
        at += arena->n_bytes;
    }
    arena->n_bytes += text.len + 1;
    return at;
}

/* A count of things of at least `bytes` each: no more than limit, nor than what is left holds. */
static uint32_t take_count(struct qr_cursor *in, struct arena *arena, uint32_t max, size_t bytes)
{
    uint64_t n = qr_cursor_varint(in);
    if (!in->failed && n > max)
        arena->err = QR_E_LIMIT;
    if (n > max || n > qr_cursor_left(in) / bytes) {
        in->failed = true;
        return 0;
    }
    return (uint32_t)n;
}

static void take_labels(struct qr_cursor *in, struct arena *arena, struct qr_def_label *labels,
                        uint32_t n)
{
    for (uint32_t i = 0; i < n && !in->failed; i++) {
        struct qr_def_label label;
        label.name = take_str(in, arena);
        label.value = take_str(in, arena);
        label.source = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
        if (labels != NULL)
            labels[i] = label;
    }
}

static void take_guid(struct qr_cursor *in, struct qr_guid *guid)
{
    struct qr_slice bytes = qr_cursor_take(in, sizeof guid->bytes);
    if (bytes.len == sizeof guid->bytes)
        memcpy(guid->bytes, bytes.base, bytes.len);
}

static uint8_t take_u8_max(struct qr_cursor *in, uint8_t max)
{
    uint8_t v = qr_cursor_u8(in);
    if (v > max)
        in->failed = true;
    return v;
}

static int32_t take_i32(struct qr_cursor *in)
{
    int64_t v = qr_cursor_zigzag(in);
    if (v < INT32_MIN || v > INT32_MAX) {
        in->failed = true;
        return 0;
    }
    return (int32_t)v;
}

static int result(const struct qr_cursor *in, const struct arena *arena)
{
    return !in->failed ? 0 : arena->err != 0 ? arena->err : QR_E_MALFORMED;
}

/* Room for an array of the definition; NULL in the first pass. */
static void *place(char **at, size_t bytes)
{
    char *here = *at;
    if (here == NULL)
        return NULL;
    *at += bytes;
    return here;
}

static void take_host(struct qr_cursor *in, struct arena *arena, struct qr_host_def *def,
                      char *arrays)
{
    if (qr_cursor_u8(in) != VERSION)
        in->failed = true;
    take_guid(in, &def->guid);
    const char **texts[] = {&def->hostname,       &def->registry_hostname, &def->os,
                            &def->timezone,       &def->abbrev_timezone,   &def->program_name,
                            &def->program_version};
    for (size_t i = 0; i < QR_COUNT(texts); i++)
        *texts[i] = take_str(in, arena);
    def->utc_offset_s = take_i32(in);
    def->update_every = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    def->hops = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
    def->n_sysinfo = take_count(in, arena, QR_LABELS_MAX, 3);
    struct qr_def_label *labels = place(&arrays, def->n_sysinfo * sizeof *labels);
    def->sysinfo = labels;
    take_labels(in, arena, labels, def->n_sysinfo);
    def->n_labels = take_count(in, arena, QR_LABELS_MAX, 3);
    labels = place(&arrays, def->n_labels * sizeof *labels);
    def->labels = labels;
    take_labels(in, arena, labels, def->n_labels);
    def->has_claim = take_u8_max(in, 1) != 0;
    if (def->has_claim)
        take_guid(in, &def->claim_id);
}

int qr_host_def_decode(struct qr_host_def **def, struct qr_cursor *in)
{
    struct qr_cursor again = *in;
    struct arena arena = {0};
    struct qr_host_def measured = {0};
    take_host(in, &arena, &measured, NULL);
    int err = result(in, &arena);
    if (err != 0)
        return err;
    size_t arrays = (measured.n_sysinfo + measured.n_labels) * sizeof(struct qr_def_label);
    char *memory = calloc(1, sizeof measured + arrays + arena.n_bytes);
    if (memory == NULL)
        return UV_ENOMEM;
    arena = (struct arena){.strings = memory + sizeof measured + arrays};
    take_host(&again, &arena, (struct qr_host_def *)memory, memory + sizeof measured);
    *def = (struct qr_host_def *)memory;
    return 0;
}

static void take_dims(struct qr_cursor *in, struct arena *arena, struct qr_dim_def *dims,
                      uint32_t n)
{
    for (uint32_t i = 0; i < n && !in->failed; i++) {
        struct qr_dim_def dim;
        dim.id = take_str(in, arena);
        dim.name = take_str(in, arena);
        dim.multiplier = qr_cursor_zigzag(in);
        dim.divisor = qr_cursor_zigzag(in);
        dim.algorithm = take_u8_max(in, 3);
        dim.flags = qr_cursor_u8(in);
        if (dims != NULL)
            dims[i] = dim;
    }
}

static void take_chart(struct qr_cursor *in, struct arena *arena, struct qr_chart_def *def,
                       char *arrays)
{
    if (qr_cursor_u8(in) != VERSION)
        in->failed = true;
    const char **texts[] = {&def->id,     &def->name,    &def->title,  &def->units,
                            &def->family, &def->context, &def->plugin, &def->module};
    for (size_t i = 0; i < QR_COUNT(texts); i++)
        *texts[i] = take_str(in, arena);
    def->type = take_u8_max(in, 3);
    def->flags = qr_cursor_u8(in);
    def->priority = take_i32(in);
    def->update_every = (uint32_t)qr_cursor_varint_max(in, QR_UPDATE_EVERY_MAX);
    def->n_dims = take_count(in, arena, QR_DIMS_PER_CHART_MAX, 6);
    struct qr_dim_def *dims = place(&arrays, def->n_dims * sizeof *dims);
    def->dims = dims;
    take_dims(in, arena, dims, def->n_dims);
    def->n_labels = take_count(in, arena, QR_LABELS_MAX, 3);
    struct qr_def_label *labels = place(&arrays, def->n_labels * sizeof *labels);
    def->labels = labels;
    take_labels(in, arena, labels, def->n_labels);
}

int qr_chart_def_decode(struct qr_chart_def **def, struct qr_cursor *in)
{
    struct qr_cursor again = *in;
    struct arena arena = {0};
    struct qr_chart_def measured = {0};
    take_chart(in, &arena, &measured, NULL);
    int err = result(in, &arena);
    if (err != 0)
        return err;
    size_t arrays = measured.n_dims * sizeof(struct qr_dim_def) +
                    measured.n_labels * sizeof(struct qr_def_label);
    char *memory = calloc(1, sizeof measured + arrays + arena.n_bytes);
    if (memory == NULL)
        return UV_ENOMEM;
    arena = (struct arena){.strings = memory + sizeof measured + arrays};
    take_chart(&again, &arena, (struct qr_chart_def *)memory, memory + sizeof measured);
    *def = (struct qr_chart_def *)memory;
    return 0;
}
