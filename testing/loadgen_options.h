/* testing/loadgen_options.h — the options of quorate-loadgen, one row each.  Thread: main. */
#ifndef QR_TESTING_LOADGEN_OPTIONS_H
#define QR_TESTING_LOADGEN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "testing/child.h"

#define QR_LOADGEN_URLS_MAX 16

struct qr_loadgen {
    bool verify; /* The command; else it streams. */
    struct qr_model model;
    struct qr_child_destination destinations[QR_CHILD_DESTINATIONS_MAX];
    uint32_t n_destinations;
    const char *urls[QR_LOADGEN_URLS_MAX];
    uint32_t n_urls;
    const char *to, *key, *rules, *json_path, *corpus, *compression;
    int64_t hosts, charts, dims, update_every, seed;
    int64_t first_s, from_s, to_s;
    int64_t history_s, duration_s, data_s;
    int64_t reconnect_delay_ms, timeout_ms, buffer_mib, late_every;
    double postpone_scale;
    uint32_t compression_caps; /* What `compression` means. */
    bool plain, tls, full_speed, stay, no_replication, v2, asks, truncate, rotate, quiet, json;
};

/* Fills in *options; 0, 1 after --help (printed), or QR_E_CONFIG with a sentence on stderr. */
int qr_loadgen_options(struct qr_loadgen *options, int argc, char **argv);

#endif
