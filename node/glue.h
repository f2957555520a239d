/* node/glue.h — the store as the cluster's sink: the only place that knows both.
 *
 * A snapshot holds the unsealed tail, and entries wait while it is encoded: so while that is large
 * it is put off until after a seal, unless the log grows by `snapshot_wait_bytes` before.
 *
 * Decodes the bodies of log entries, asks the ownership whether they still count, and puts them
 * into the store.  Pure functions of (state, entry).  Also remembers, for each host, the log index
 * of its newest data, from which the replication factor is told.
 *
 * Thread: consensus. */
#ifndef QR_NODE_GLUE_H
#define QR_NODE_GLUE_H

#include <stdint.h>

#include "cluster/sink.h"
#include "node/bodies.h"
#include "storage/store.h"

/* Some 4 million unsealed samples, encoded in 40 ms. */
#define QR_GLUE_CHEAP_HEAD_BYTES (16u * 1024 * 1024)

/* Two windows of 600 s of 1 M metrics. */
#define QR_GLUE_SNAPSHOT_WAIT_BYTES (768u * 1024 * 1024)

struct qr_glue {
    struct qr_store *store;
    uint32_t member;
    uint32_t n_members; /* That vote, as the log says. */
    /* A block of this member was refused for another reason than fencing. */
    void (*refused)(void *data, uint32_t host, uint32_t epoch, int error);
    /* A person had the host, or a chart of it, removed. */
    void (*forgotten)(void *data, uint32_t host);
    void *data;
    uint64_t index;          /* Of the newest entry applied. */
    uint64_t snapshot_index; /* When the last snapshot was taken. */
    uint64_t sealed_index;   /* Of the newest SEAL. */
    uint64_t bytes_since;    /* Of entries applied since that snapshot, or the start. */
    uint64_t snapshot_wait_bytes;
    struct qr_store_pin pin; /* Of the snapshot that is being made. */
    uint64_t *newest_index;  /* By host id. */
    uint32_t n_hosts;
    uint64_t restored_index; /* Of the last snapshot: data of a host not in the table is older. */
    struct qr_gap *gaps;     /* Scratch. */
    struct qr_forget_body *forget;
    uint64_t n_rows, n_rows_refused, n_fenced_blocks, n_refused_blocks;
    uint64_t log_samples, log_bytes; /* Of SAMPLES entries applied here. */
};

/* n_members: until the log says. */
int qr_glue_init(struct qr_glue *glue, struct qr_store *store, uint32_t member, uint32_t n_members);
void qr_glue_release(struct qr_glue *glue);

struct qr_sink qr_glue_sink(struct qr_glue *glue);

uint64_t qr_glue_newest_index(const struct qr_glue *glue, uint32_t host);

#endif
