/* Claims of snapshots: what is taken is taken back alike, and the rule holds on it. */
#include <assert.h>
#include <string.h>

#include "cluster/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void follow(struct qr_claims *claims, const uint8_t *data, size_t len)
{
    int64_t now_us = claims->heard_us;
    for (size_t i = 0; i < len; i++) {
        struct qr_claim claim = {.machine = 1 + data[i] % 7};
        now_us = (int64_t)((uint64_t)now_us + (uint64_t)data[i] * 1000000);
        if (data[i] % 5 == 0)
            qr_claims_left(claims);
        else if (qr_claims_check(claims, claim.machine, now_us) == 0)
            qr_claims_take(claims, &claim, now_us);
        assert(claims->n <= QR_CLAIMS_MAX);
        assert(claims->n == 0 || claims->now < claims->n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct qr_claims claims;
    struct qr_cursor in = qr_cursor_of(qr_slice_of((const char *)data, len));
    qr_claims_decode(&in, &claims);
    if (in.failed)
        return 0;
    struct qr_buf out = {0};
    size_t used = len - qr_cursor_left(&in);
    assert(qr_claims_encode(&out, &claims) == 0);
    assert(out.len == used);
    assert(memcmp(out.base, data, used) == 0);
    qr_buf_release(&out);
    follow(&claims, data + used, len - used);
    return 0;
}
