#include "proto/label.h"

#include <stdlib.h>
#include <uv.h>

#include "base/limits.h"

/* auto, config, k8s, aclk: what else children send are their internal flags. */
#define SOURCE_MASK 0x0Fu

static struct qr_slice cut(struct qr_slice text)
{
    if (text.len > QR_NAME_BYTES_MAX)
        text.len = QR_NAME_BYTES_MAX;
    return text;
}

static uint32_t find(const struct qr_label_set *set, struct qr_slice name)
{
    uint32_t i = 0;
    while (i < set->n && !qr_slice_equal(set->labels[i].name, name))
        i++;
    return i;
}

static int grow(struct qr_label_set *set)
{
    uint32_t capacity = set->capacity != 0 ? set->capacity * 2 : 2;
    struct qr_stream_label *labels = realloc(set->labels, capacity * sizeof *labels);
    if (labels == NULL)
        return UV_ENOMEM;
    set->labels = labels;
    set->capacity = capacity;
    return 0;
}

int qr_label_set_add(struct qr_label_set *set, struct qr_slice name, struct qr_slice value,
                     unsigned source)
{
    name = cut(name);
    value = cut(value);
    uint32_t i = find(set, name);
    if (i == QR_LABELS_MAX) {
        set->n_dropped++;
        return 0;
    }
    if (i == set->capacity) {
        int err = grow(set);
        if (err != 0)
            return err;
    }
    char *text = malloc(name.len + value.len + 1);
    if (text == NULL)
        return UV_ENOMEM;
    memcpy(text, name.base, name.len);
    memcpy(text + name.len, value.base, value.len);
    if (i == set->n)
        set->n++;
    else
        free((char *)set->labels[i].name.base);
    set->labels[i] = (struct qr_stream_label){
        qr_slice_of(text, name.len), qr_slice_of(text + name.len, value.len), source & SOURCE_MASK};
    return 0;
}

void qr_label_set_release(struct qr_label_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        free((char *)set->labels[i].name.base);
    free(set->labels);
    *set = (struct qr_label_set){.n_dropped = set->n_dropped};
}

void qr_label_set_move(struct qr_label_set *to, struct qr_label_set *from)
{
    qr_label_set_release(to);
    to->labels = from->labels;
    to->n = from->n;
    to->capacity = from->capacity;
    *from = (struct qr_label_set){.n_dropped = from->n_dropped};
}
