/* base/log.h — the daemon's log: four levels, one line an event.
 *
 * A line is a fixed sentence and key=value pairs:
 *   2026-11-23T05:51:31.120Z warn child refused reason="wrong key" peer=10.0.0.7:51122
 * Error: someone must act.  Warn: we coped.  Info: state changes that a reader of an outage wants.
 * Debug: the rest.  A stranger's bytes go through qr_log_escape first; lines that a stranger can
 * cause go through a qr_log_limit, which counts what it holds back.  errno is preserved.
 * Thread: any. */
#ifndef QR_BASE_LOG_H
#define QR_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/slice.h"

enum qr_log_level { QR_LOG_ERROR, QR_LOG_WARN, QR_LOG_INFO, QR_LOG_DEBUG };

/* Lines go to `fd` (default 2) from `level` up (default info). */
void qr_log_open(int fd, enum qr_log_level level);

/* Whole lines go there instead, their newline included; NULL: to the descriptor again.  For who
 * runs several members in one process (testing/sim). */
void qr_log_to(void (*take)(enum qr_log_level level, const char *line, size_t n));

void qr_log(enum qr_log_level level, const char *format, ...) QR_PRINTF(2, 3);
#define qr_error(...) qr_log(QR_LOG_ERROR, __VA_ARGS__)
#define qr_warn(...)  qr_log(QR_LOG_WARN, __VA_ARGS__)
#define qr_info(...)  qr_log(QR_LOG_INFO, __VA_ARGS__)
#define qr_debug(...) qr_log(QR_LOG_DEBUG, __VA_ARGS__)

/* Lets `burst` lines through per `period_ms`; one struct a source of lines. */
struct qr_log_limit {
    uint64_t period_started_ms;
    unsigned n_passed;
    unsigned n_held;
};

/* May this line be written?  *held is how many were held back since the last that was. */
bool qr_log_allowed(struct qr_log_limit *limit, unsigned burst, unsigned period_ms, unsigned *held);

/* Printable ASCII of a stranger's bytes, others as \xNN, cut to the buffer; returns `text`. */
const char *qr_log_escape(char *text, size_t text_bytes, struct qr_slice bytes);

#endif
