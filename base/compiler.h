/* base/compiler.h — the few compiler extensions that we use, by name. */
#ifndef QR_BASE_COMPILER_H
#define QR_BASE_COMPILER_H

#include <stddef.h>

#define QR_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define QR_LIKELY(x)                  __builtin_expect(!!(x), 1)
#define QR_UNLIKELY(x)                __builtin_expect(!!(x), 0)
/* Will be read, or written, soon; any address will do.  gcc takes a function that does nothing else
 * for one without effect, and drops its calls: such ones are QR_ALWAYS_INLINE. */
#define QR_PREFETCH(p)          __builtin_prefetch(p)
#define QR_PREFETCH_TO_WRITE(p) __builtin_prefetch(p, 1)
#define QR_ALWAYS_INLINE        inline __attribute__((always_inline))

/* The struct of `type` whose field `member` is at `pointer`. */
#define QR_CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define QR_COUNT(array) (sizeof(array) / sizeof *(array))

__extension__ typedef __int128 qr_i128;

#endif
