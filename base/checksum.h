/* base/checksum.h — CRC32C (Castagnoli, reflected, as RFC 3720) for pages, frames and entries.
 *
 * SSE4.2 where the CPU has it, a table otherwise; the same value on every machine.
 * XXH3 comes from <xxhash.h> directly.  Thread: any. */
#ifndef QR_BASE_CHECKSUM_H
#define QR_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of bytes[0..len), continuing `crc`; start with 0. */
uint32_t qr_crc32c(uint32_t crc, const void *bytes, size_t len);

/* The same without the CPU's instruction. */
uint32_t qr_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif
