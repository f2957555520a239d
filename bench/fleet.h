/* bench/fleet.h — a log of many hosts that collect what the corpus holds.
 *
 * Host h has all charts of the corpus and lives 67 seconds behind host h - 1; each half hour the
 * corpus begins anew at another place, so that no stretch of a series comes back at the same place
 * of a window.  Entries are whole log entries, as one member proposes them: HOST, OWN and CHARTS of
 * each host, then a batch a second (cut as node/ingest cuts it).  Thread: the owner's. */
#ifndef QR_BENCH_FLEET_H
#define QR_BENCH_FLEET_H

#include "base/buf.h"
#include "bench/measure.h"
#include "cluster/command.h"
#include "storage/entry.h"
#include "testing/corpus.h"

#define QR_FLEET_START_S INT64_C(1699984800) /* A window's start, and that of six hours. */

struct qr_fleet {
    const struct qr_corpus *corpus;
    uint32_t n_hosts;
    uint64_t sequence;
    struct qr_entry_base *bases;   /* By host, then chart. */
    struct qr_entry_block *blocks; /* By host. */
    uint32_t *rows;                /* The corpus, row by row. */
    double encode_ns;              /* Thread CPU time so far, in rows and entries. */
    uint64_t n_samples, n_bytes;   /* In SAMPLES entries so far. */
    void (*emit)(void *data, struct qr_slice entry);
    void *data;
};

void qr_fleet_init(struct qr_fleet *fleet, const struct qr_corpus *corpus, uint32_t n_hosts,
                   void (*emit)(void *data, struct qr_slice entry), void *data);
void qr_fleet_release(struct qr_fleet *fleet);

static inline uint64_t qr_fleet_metrics(const struct qr_fleet *fleet)
{
    return (uint64_t)fleet->n_hosts * fleet->corpus->n_series;
}

/* The entries that define all hosts and their charts. */
void qr_fleet_define(struct qr_fleet *fleet);
/* The entries of second QR_FLEET_START_S + t. */
void qr_fleet_tick(struct qr_fleet *fleet, uint32_t t);
/* SEAL of the window that starts at QR_FLEET_START_S + t. */
void qr_fleet_seal(struct qr_fleet *fleet, uint32_t t);
/* Any other entry, at second QR_FLEET_START_S + t. */
void qr_fleet_propose(struct qr_fleet *fleet, enum qr_command_type type, uint32_t t,
                      const struct qr_buf *body);

/* The row of the corpus that host h has at second t. */
uint32_t qr_fleet_row(const struct qr_fleet *fleet, uint32_t host, uint32_t t);

#endif
