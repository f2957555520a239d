#include "testing/history_lz4.h"

#include <assert.h>
#include <lz4.h>
#include <lz4hc.h>

#include "base/cursor.h"
#include "base/limits.h"

#define HEAD_BYTES 5u

bool qr_history_unpack(struct qr_buf *plain, struct qr_slice body)
{
    struct qr_cursor in = qr_cursor_of(body);
    qr_cursor_u8(&in);
    uint32_t plain_bytes = qr_cursor_u32(&in);
    if (in.failed || plain_bytes > QR_ENTRY_PLAIN_BYTES_MAX)
        return false;
    struct qr_slice packed = qr_cursor_take(&in, qr_cursor_left(&in));
    int err = qr_buf_reserve(plain, HEAD_BYTES + plain_bytes);
    assert(err == 0);
    qr_buf_add(plain, body.base, HEAD_BYTES);
    int n = LZ4_decompress_safe(packed.base, plain->base + plain->len, (int)packed.len,
                                (int)plain_bytes);
    plain->len += n > 0 ? (size_t)n : 0;
    return n >= 0 && (uint32_t)n == plain_bytes;
}

void qr_history_pack(struct qr_buf *body, const struct qr_buf *plain, bool otherwise)
{
    assert(plain->len >= HEAD_BYTES);
    const char *from = plain->base + HEAD_BYTES;
    int len = (int)(plain->len - HEAD_BYTES), bound = LZ4_compressBound(len);
    int err = qr_buf_reserve(body, HEAD_BYTES + (size_t)bound);
    assert(err == 0);
    qr_buf_add(body, plain->base, HEAD_BYTES);
    char *to = body->base + body->len;
    int n = otherwise ? LZ4_compress_HC(from, to, len, bound, LZ4HC_CLEVEL_MAX)
                      : LZ4_compress_default(from, to, len, bound);
    assert(n > 0);
    body->len += (size_t)n;
}
