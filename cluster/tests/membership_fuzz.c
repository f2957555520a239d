/* Bodies of MEMBERS entries, and memberships of snapshots: what is taken is taken back alike. */
#include <assert.h>
#include <string.h>

#include "cluster/membership.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct qr_membership m, kept, again;
    struct qr_slice bytes = qr_slice_of((const char *)data, len);
    memset(&m, 0, sizeof m);
    m.configuration = 1;
    m.n = 1;
    m.members[0].member = 1;
    if (qr_membership_apply(&m, bytes, 5) == 0) {
        struct qr_buf out = {0};
        qr_membership_encode(&m, &out);
        struct qr_cursor in = qr_cursor_of(qr_buf_slice(&out));
        qr_membership_decode(&again, &in);
        assert(qr_cursor_done(&in));
        qr_buf_release(&out);
    }
    struct qr_cursor in = qr_cursor_of(bytes);
    qr_membership_decode(&kept, &in);
    if (qr_cursor_done(&in)) {
        struct qr_buf out = {0};
        qr_membership_encode(&kept, &out);
        assert(out.len == len);
        assert(memcmp(out.base, data, len) == 0);
        qr_buf_release(&out);
    }
    return 0;
}
