/* base/slice.h — borrowed bytes: a pointer and a length, never freed through.
 *
 * The owner of the bytes is named wherever a slice is handed out.  Thread: any. */
#ifndef QR_BASE_SLICE_H
#define QR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct qr_slice {
    const char *base;
    size_t len;
};

static inline struct qr_slice qr_slice_of(const void *base, size_t len)
{
    return (struct qr_slice){(const char *)base, len};
}

static inline struct qr_slice qr_slice_str(const char *text)
{
    return (struct qr_slice){text, strlen(text)};
}

static inline bool qr_slice_equal(struct qr_slice a, struct qr_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

static inline bool qr_slice_is(struct qr_slice a, const char *text)
{
    return qr_slice_equal(a, qr_slice_str(text));
}

#endif
