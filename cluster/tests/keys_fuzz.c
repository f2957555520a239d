/* Bodies of KEYS entries, and keys of snapshots: what is taken is taken back alike. */
#include <assert.h>
#include <string.h>

#include "cluster/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_round(const struct qr_keys *keys, struct qr_buf *out)
{
    struct qr_keys again = {0};
    struct qr_buf twice = {0};
    assert(qr_keys_encode(keys, out) == 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(out));
    assert(qr_keys_decode(&again, &in) == 0);
    assert(qr_cursor_done(&in));
    assert(qr_keys_encode(&again, &twice) == 0);
    assert(qr_slice_equal(qr_buf_slice(out), qr_buf_slice(&twice)));
    qr_buf_release(&twice);
    qr_keys_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t hash[QR_KEY_HASH_BYTES] = {1};
    struct qr_slice bytes = qr_slice_of((const char *)data, len);
    struct qr_keys keys = {0}, kept = {0};
    struct qr_buf body = {0}, before = {0}, after = {0};
    uint64_t effect;
    qr_keys_add(&body, 1, hash, qr_slice_str("a"), qr_slice_str(""));
    assert(qr_keys_apply(&keys, qr_buf_slice(&body), &effect) == 0);
    check_round(&keys, &before);
    int result = qr_keys_apply(&keys, bytes, &effect);
    check_round(&keys, &after);
    assert(result == 0 || qr_slice_equal(qr_buf_slice(&before), qr_buf_slice(&after)));
    struct qr_cursor in = qr_cursor_of(bytes);
    if (qr_keys_decode(&kept, &in) == 0 && qr_cursor_done(&in)) {
        qr_buf_clear(&after);
        check_round(&kept, &after);
        assert(qr_slice_equal(bytes, qr_buf_slice(&after)));
    }
    qr_keys_release(&keys);
    qr_keys_release(&kept);
    qr_buf_release(&body);
    qr_buf_release(&before);
    qr_buf_release(&after);
    return 0;
}
