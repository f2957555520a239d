/* cluster/aio.h — a segment of the log is closed without the loop waiting for the kernel.
 *
 * libraft writes each segment through an asynchronous context of the kernel and destroys that on
 * the loop when the segment is full.  io_destroy waits for the kernel's other processors (RCU), 20
 * to 50 ms, also when nothing is in flight.  The library calls it by syscall(), so aio.c is a
 * syscall() of the program's own, before libc's: it counts what each context has in flight, and
 * leaves an idle one to a thread to destroy.  One with writes in flight is destroyed as was asked,
 * because their buffers are freed then.  All other calls pass through.
 *
 * It is an object, not in the archive: programs that keep a log link qr_aio.  Thread: any. */
#ifndef QR_CLUSTER_AIO_H
#define QR_CLUSTER_AIO_H

/* How many contexts were left to a thread. */
unsigned long qr_aio_n_left(void);

#endif
