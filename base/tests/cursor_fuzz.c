/* Whatever the bytes: a read never leaves the input, a failure is final, and what was read encodes
 * back to the same bytes, because there is one encoding of each value.
 *
 * The input is a list of reads: an operation byte, then what it reads. */
#include "base/cursor.h"

#include <assert.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_one(struct qr_cursor *c, uint8_t op, struct qr_buf *out)
{
    switch (op % 8) {
    case 0:
        qr_buf_add_u8(out, qr_cursor_u8(c));
        break;
    case 1:
        qr_buf_add_u16(out, qr_cursor_u16(c));
        break;
    case 2:
        qr_buf_add_u32(out, qr_cursor_u32(c));
        break;
    case 3:
        qr_buf_add_u64(out, qr_cursor_u64(c));
        break;
    case 4:
        qr_buf_add_varint(out, qr_cursor_varint(c));
        break;
    case 5:
        qr_buf_add_zigzag(out, qr_cursor_zigzag(c));
        break;
    case 6: {
        struct qr_slice taken = qr_cursor_take(c, op);
        qr_buf_add(out, taken.base, taken.len);
        break;
    }
    default:
        qr_buf_add_bytes(out, qr_cursor_bytes(c, (size_t)op * 8));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_cursor c = qr_cursor_of(qr_slice_of(data, size));
    struct qr_buf out = {.max = 0};
    while (!c.failed && qr_cursor_left(&c) > 0) {
        uint8_t op = qr_cursor_u8(&c);
        const uint8_t *from = c.p;
        qr_buf_clear(&out);
        read_one(&c, op, &out);
        assert(c.p >= from);
        assert(c.p <= c.end);
        if (c.failed)
            break;
        assert(out.len == (size_t)(c.p - from));
        assert(out.len == 0 || memcmp(out.base, from, out.len) == 0);
    }
    assert(!c.failed || qr_cursor_varint(&c) == 0);
    qr_buf_release(&out);
    return 0;
}
