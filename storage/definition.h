/* storage/definition.h — what is known of a host and of a chart, and its bytes in the log.
 *
 * A definition is immutable once built: a change is a new one.  Strings are NUL-terminated and lie
 * in the struct's own memory.  Bodies of HOST and CHARTS entries and the catalog in snapshots use
 * the same encoding (docs/formats).  Thread: any. */
#ifndef QR_STORAGE_DEFINITION_H
#define QR_STORAGE_DEFINITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/guid.h"

struct qr_def_label {
    const char *name;
    const char *value;
    uint32_t source;
};

/* The label that says, with the value `true`, that a host comes and goes. */
#define QR_LABEL_EPHEMERAL "_is_ephemeral"

struct qr_host_def {
    struct qr_guid guid;
    const char *hostname;
    const char *registry_hostname;
    const char *os;
    const char *timezone;
    const char *abbrev_timezone;
    int32_t utc_offset_s;
    uint32_t update_every;
    uint32_t hops;
    const char *program_name;
    const char *program_version;
    uint32_t n_sysinfo; /* Name = value pairs, names as in proto/handshake's table. */
    const struct qr_def_label *sysinfo;
    uint32_t n_labels;
    const struct qr_def_label *labels;
    bool has_claim;
    struct qr_guid claim_id;
};

struct qr_dim_def {
    const char *id;
    const char *name;
    int64_t multiplier;
    int64_t divisor;
    uint8_t algorithm; /* The order of proto/stream.h's enum, which docs/formats fixes. */
    uint8_t flags;     /* 1 obsolete, 2 hidden, 4 noreset */
};

struct qr_chart_def {
    const char *id; /* type.id */
    const char *name;
    const char *title;
    const char *units;
    const char *family;
    const char *context;
    const char *plugin;
    const char *module;
    uint8_t type;  /* 0 line, 1 area, 2 stacked, 3 heatmap */
    uint8_t flags; /* 1 obsolete, 2 detail, 4 store_first, 8 hidden */
    int32_t priority;
    uint32_t update_every;
    uint32_t n_dims; /* A dimension keeps its place for ever; new ones are added at the end. */
    const struct qr_dim_def *dims;
    uint32_t n_labels;
    const struct qr_def_label *labels;
};

/* Label i = 0, 1, .. by which a chart is found: _collect_plugin and _collect_module, which Netdata
 * adds, then its own (one of these that it gives itself comes twice).  False: no more. */
bool qr_chart_def_label(const struct qr_chart_def *def, uint32_t i, struct qr_def_label *label);

/* Encoders append to `out`; 0, UV_ENOMEM or QR_E_LIMIT. */
int qr_host_def_encode(struct qr_buf *out, const struct qr_host_def *def);
int qr_chart_def_encode(struct qr_buf *out, const struct qr_chart_def *def);

/* Decoders build a definition in one allocation: free(*def) drops all of it.  They check every
 * limit.  0, QR_E_MALFORMED, QR_E_LIMIT or UV_ENOMEM; *def is set on success only. */
int qr_host_def_decode(struct qr_host_def **def, struct qr_cursor *in);
int qr_chart_def_decode(struct qr_chart_def **def, struct qr_cursor *in);

#endif
