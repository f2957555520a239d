/* Whatever the bytes: what decodes encodes to the same bytes, its memory is as the library wants
 * it, and nothing is left behind. */
#include <assert.h>

#include "cluster/raft_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct raft_message m;
    if (qr_raft_wire_decode(&m, qr_slice_of(data, len)) != 0)
        return 0;
    unsigned n = m.type == RAFT_APPEND_ENTRIES ? m.append_entries.n_entries : 0;
    struct qr_buf again = {0};
    assert(qr_raft_wire_encode(&again, &m, 0, n) == 0);
    for (unsigned i = 0; i < n; i++) {
        const struct raft_entry *entry = &m.append_entries.entries[i];
        assert((uintptr_t)entry->buf.base % 8 == 0);
        assert(entry->batch == m.append_entries.entries[0].buf.base);
        qr_buf_add(&again, entry->buf.base, entry->buf.len);
    }
    if (m.type == RAFT_INSTALL_SNAPSHOT)
        qr_buf_add(&again, m.install_snapshot.data.base, m.install_snapshot.data.len);
    assert(again.len == len);
    assert(memcmp(again.base, data, len) == 0);
    qr_buf_release(&again);
    qr_raft_wire_release(&m);
    return 0;
}
