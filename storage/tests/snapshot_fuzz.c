#include "storage/snapshot.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"

static int decode(struct qr_slice bytes, struct qr_epoch *epoch, struct qr_state **state)
{
    assert(qr_state_new(state, NULL, epoch, 600) == 0);
    return qr_snapshot_decode(*state, bytes);
}

static int encode(const struct qr_state *state, struct qr_buf *out)
{
    struct qr_ledger ledger = {0};
    assert(qr_ledger_read(&ledger, state) == 0);
    int err = qr_snapshot_encode(state, &ledger, out);
    qr_ledger_release(&ledger);
    return err;
}

/* With the right checksum put behind it.  What decodes has one canonical form, which stays. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_epoch epoch;
    struct qr_state *state;
    struct qr_buf in = {0}, once = {0}, twice = {0};
    qr_buf_add(&in, data, size);
    qr_buf_add_u32(&in, qr_crc32c(0, data, size));
    qr_epoch_init(&epoch);
    if (decode(qr_buf_slice(&in), &epoch, &state) == 0) {
        assert(encode(state, &once) == 0);
        struct qr_state *again;
        assert(decode(qr_buf_slice(&once), &epoch, &again) == 0);
        assert(encode(again, &twice) == 0);
        assert(qr_slice_equal(qr_buf_slice(&once), qr_buf_slice(&twice)));
        qr_state_release(again);
    }
    qr_epoch_release(&epoch);
    qr_state_release(state);
    qr_buf_release(&in);
    qr_buf_release(&once);
    qr_buf_release(&twice);
    return 0;
}
