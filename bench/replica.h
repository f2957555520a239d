/* bench/replica.h — one member's machine and store on real files, without links: it applies log
 * entries as a follower does.  Thread: the owner's. */
#ifndef QR_BENCH_REPLICA_H
#define QR_BENCH_REPLICA_H

#include <uv.h>

#include "base/buf.h"
#include "cluster/machine.h"
#include "node/glue.h"
#include "storage/store.h"

struct qr_bench_disk {
    struct qr_disk disk;
    _Atomic uint64_t n_reads, n_read_bytes;
};

struct qr_replica {
    char dir[64];
    struct qr_bench_disk disk; /* The file system, counted. */
    struct qr_store *store;
    struct qr_glue glue;
    struct qr_machine *machine;
    double apply_ns; /* Thread CPU time in qr_machine_apply. */
    uint64_t index;
};

/* `loop` may be NULL: jobs run inside apply. */
void qr_replica_init(struct qr_replica *replica, uv_loop_t *loop, uint32_t window_s);
void qr_replica_release(struct qr_replica *replica);
/* Applies an entry; a fleet's emit.  Ends the program if it is not taken. */
void qr_replica_apply(void *replica, struct qr_slice entry);

#endif
