/* node/dialer.h — one outgoing connection: a name is resolved, its addresses are tried in turn,
 * TLS where it is asked for; then bytes.
 *
 *   open -> (resolve -> connect -> [TLS]) -> connected -> received, drained .. -> failed -> closed
 *
 * `failed` comes at most once, and not for qr_dialer_close; `closed` is the last call, and frees
 * the dialer.  Nothing is called from inside qr_dialer_open, write or close.  Writing copies; what
 * waits is the caller's to bound (qr_dialer_waiting).
 *
 * Thread: the loop's. */
#ifndef QR_NODE_DIALER_H
#define QR_NODE_DIALER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/slice.h"
#include "base/tls.h"
#include "node/destination.h"

struct qr_dialer;

enum qr_dial_step { QR_DIAL_RESOLVE, QR_DIAL_CONNECT, QR_DIAL_TLS, QR_DIAL_OPEN };

struct qr_dialer_handler {
    void (*connected)(void *data);
    void (*received)(void *data, struct qr_slice bytes);
    void (*drained)(void *data); /* All that was written has left. */
    /* At which step, and why: a clause, valid during the call. */
    void (*failed)(void *data, enum qr_dial_step step, const char *why);
    void (*closed)(void *data);
};

struct qr_dialer_config {
    uv_loop_t *loop;
    const struct qr_destination *destination; /* Copied. */
    struct qr_tls_context *tls;               /* For destinations that want TLS. */
    uint64_t timeout_ms;                      /* Until it is connected; then: nothing left. */
    const struct qr_dialer_handler *handler;
    void *data;
};

/* 0 or UV_ENOMEM. */
int qr_dialer_open(struct qr_dialer **dialer, const struct qr_dialer_config *config);
void qr_dialer_close(struct qr_dialer *dialer);

/* Once connected. */
void qr_dialer_write(struct qr_dialer *dialer, struct qr_slice bytes);
/* Bytes that were written and have not left. */
size_t qr_dialer_waiting(const struct qr_dialer *dialer);

#endif
