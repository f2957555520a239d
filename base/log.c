#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic int log_fd = 2;
static _Atomic int log_level = QR_LOG_INFO;
static void (*log_take)(enum qr_log_level level, const char *line, size_t n);

void qr_log_open(int fd, enum qr_log_level level)
{
    log_fd = fd;
    log_level = (int)level;
}

void qr_log_to(void (*take)(enum qr_log_level level, const char *line, size_t n))
{
    log_take = take;
}

static size_t stamp(char *line, size_t size, enum qr_log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(line + n, size - n, ".%03dZ %s ", (int)(now.tv_nsec / 1000000),
                                names[level]);
}

void qr_log(enum qr_log_level level, const char *format, ...)
{
    if ((int)level > log_level)
        return;
    int saved = errno;
    char line[2048];
    size_t n = stamp(line, sizeof line, level);
    va_list args;
    va_start(args, format);
    int written = vsnprintf(line + n, sizeof line - n - 1, format, args);
    va_end(args);
    if (written > 0)
        n += (size_t)written < sizeof line - n - 1 ? (size_t)written : sizeof line - n - 2;
    line[n++] = '\n';
    /* One write a line keeps lines of several threads whole. */
    if (log_take != NULL) {
        log_take(level, line, n);
    } else {
        ssize_t ignored = write(log_fd, line, n);
        (void)ignored;
    }
    errno = saved;
}

bool qr_log_allowed(struct qr_log_limit *limit, unsigned burst, unsigned period_ms, unsigned *held)
{
    uint64_t now = qr_clock_mono_ms(&qr_clock_system);
    *held = 0;
    if (limit->n_passed == 0 || now - limit->period_started_ms >= period_ms) {
        *held = limit->n_held;
        *limit = (struct qr_log_limit){.period_started_ms = now};
    }
    if (limit->n_passed >= burst) {
        limit->n_held++;
        return false;
    }
    limit->n_passed++;
    return true;
}

const char *qr_log_escape(char *text, size_t text_bytes, struct qr_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    assert(text_bytes > 0);
    for (size_t i = 0; i < bytes.len && n + 5 < text_bytes; i++) {
        unsigned char c = (unsigned char)bytes.base[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            text[n++] = (char)c;
        } else {
            text[n++] = '\\';
            text[n++] = 'x';
            text[n++] = digits[c >> 4];
            text[n++] = digits[c & 15];
        }
    }
    text[n] = '\0';
    return text;
}
