#include "node/host_info.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "storage/definition.h"

/* NUL-terminated copies of slices, all freed together: definitions want C strings. */
struct strings {
    struct qr_buf text;
    bool failed;
};

/* Room first, so that earlier strings do not move. */
static int strings_init(struct strings *strings, size_t bytes)
{
    qr_buf_init(&strings->text, 0);
    strings->failed = false;
    return qr_buf_reserve(&strings->text, bytes);
}

static const char *keep(struct strings *strings, struct qr_slice slice)
{
    struct qr_buf *text = &strings->text;
    if (text->capacity - text->len < slice.len + 1) {
        strings->failed = true;
        return "";
    }
    char *copy = text->base + text->len;
    qr_buf_add(text, slice.base, slice.len);
    qr_buf_add_u8(text, 0);
    return copy;
}

static void keep_labels(struct strings *strings, struct qr_def_label *to,
                        const struct qr_stream_label *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = (struct qr_def_label){keep(strings, from[i].name), keep(strings, from[i].value),
                                      from[i].source};
}

static size_t label_bytes(const struct qr_stream_label *labels, uint32_t n)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += labels[i].name.len + labels[i].value.len + 2;
    return bytes;
}

int qr_host_info_encode(struct qr_buf *out, const struct qr_handshake *h,
                        const struct qr_stream_label *labels, uint32_t n_labels,
                        const struct qr_guid *claim)
{
    struct qr_def_label sysinfo[QR_SYSINFO_NR];
    struct qr_def_label *kept = calloc(n_labels + 1, sizeof *kept);
    struct strings strings;
    int err = strings_init(&strings, h->text.len * 2 + 4096 + label_bytes(labels, n_labels));
    if (kept == NULL || err != 0) {
        free(kept);
        qr_buf_release(&strings.text);
        return UV_ENOMEM;
    }
    struct qr_host_def def = {
        .guid = h->machine_guid,
        .hostname = keep(&strings, h->hostname),
        .registry_hostname = keep(&strings, h->registry_hostname),
        .os = keep(&strings, h->os),
        .timezone = keep(&strings, h->timezone),
        .abbrev_timezone = keep(&strings, h->abbrev_timezone),
        .utc_offset_s = h->utc_offset_s,
        .update_every = h->update_every != 0 ? h->update_every : 1,
        .hops = h->hops,
        .program_name = keep(&strings, h->program_name),
        .program_version = keep(&strings, h->program_version),
        .sysinfo = sysinfo,
        .labels = kept,
        .n_labels = n_labels,
        .has_claim = claim != NULL,
    };
    if (claim != NULL)
        def.claim_id = *claim;
    for (unsigned i = 0; i < QR_SYSINFO_NR; i++)
        if (h->sysinfo[i].len > 0)
            sysinfo[def.n_sysinfo++] = (struct qr_def_label){
                qr_handshake_sysinfo_name((enum qr_sysinfo)i), keep(&strings, h->sysinfo[i]), 0};
    keep_labels(&strings, kept, labels, n_labels);
    err = strings.failed ? QR_E_LIMIT : qr_host_def_encode(out, &def);
    qr_buf_release(&strings.text);
    free(kept);
    return err;
}

uint32_t qr_host_info_mark_ephemeral(struct qr_stream_label *to, const struct qr_stream_label *from,
                                     uint32_t n)
{
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!qr_slice_is(from[i].name, QR_LABEL_EPHEMERAL))
            to[n_kept++] = from[i];
    to[n_kept++] =
        (struct qr_stream_label){qr_slice_str(QR_LABEL_EPHEMERAL), qr_slice_str("true"), 2};
    return n_kept;
}

static size_t chart_bytes(const struct qr_stream_chart *c)
{
    size_t bytes = c->id.len + c->name.len + c->title.len + c->units.len + c->family.len +
                   c->context.len + c->plugin.len + c->module.len + 8;
    for (uint32_t i = 0; i < c->n_dims; i++)
        bytes += c->dims[i].id.len + c->dims[i].name.len + 2;
    return bytes + label_bytes(c->labels, c->n_labels);
}

int qr_chart_info_encode(struct qr_buf *out, const struct qr_stream_chart *c)
{
    struct qr_def_label *labels = calloc(c->n_labels + 1, sizeof *labels);
    struct qr_dim_def *dims = calloc(c->n_dims + 1, sizeof *dims);
    struct strings strings;
    int err = strings_init(&strings, chart_bytes(c));
    if (labels == NULL || dims == NULL)
        err = UV_ENOMEM;
    if (err == 0) {
        struct qr_chart_def def = {
            .id = keep(&strings, c->id),
            .name = keep(&strings, c->name),
            .title = keep(&strings, c->title),
            .units = keep(&strings, c->units),
            .family = keep(&strings, c->family),
            .context = keep(&strings, c->context),
            .plugin = keep(&strings, c->plugin),
            .module = keep(&strings, c->module),
            .type = (uint8_t)c->type,
            .flags = (uint8_t)c->flags,
            .priority = c->priority,
            .update_every = c->update_every,
            .n_dims = c->n_dims,
            .dims = dims,
            .n_labels = c->n_labels,
            .labels = labels,
        };
        for (uint32_t i = 0; i < c->n_dims; i++)
            dims[i] =
                (struct qr_dim_def){keep(&strings, c->dims[i].id), keep(&strings, c->dims[i].name),
                                    c->dims[i].multiplier,         c->dims[i].divisor,
                                    (uint8_t)c->dims[i].algorithm, (uint8_t)c->dims[i].flags};
        keep_labels(&strings, labels, c->labels, c->n_labels);
        err = strings.failed ? QR_E_LIMIT : qr_chart_def_encode(out, &def);
    }
    qr_buf_release(&strings.text);
    free(labels);
    free(dims);
    return err;
}
