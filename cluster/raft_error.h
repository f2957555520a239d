/* cluster/raft_error.h — the one seam between the raft library's error codes (positive) and ours.
 *
 * Thread: any. */
#ifndef QR_CLUSTER_RAFT_ERROR_H
#define QR_CLUSTER_RAFT_ERROR_H

/* Ours for one of the library's; an unknown one is QR_E_RAFT. */
int qr_error_of_raft(int raft_code);

/* The library's for one of ours, for what our hooks return to it; RAFT_IOERR where it has none. */
int qr_raft_of_error(int code);

#endif
