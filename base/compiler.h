/* base/compiler.h — the few compiler extensions that we use, by name. */
#ifndef QR_BASE_COMPILER_H
#define QR_BASE_COMPILER_H

#include <stddef.h>

#define QR_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define QR_LIKELY(x)                  __builtin_expect(!!(x), 1)
#define QR_UNLIKELY(x)                __builtin_expect(!!(x), 0)

/* The struct of `type` whose field `member` is at `pointer`. */
#define QR_CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define QR_COUNT(array) (sizeof(array) / sizeof *(array))

__extension__ typedef __int128 qr_i128;

#endif
