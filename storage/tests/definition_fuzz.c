#include "storage/definition.h"

#include <assert.h>
#include <stdlib.h>

/* Whatever decodes encodes to the bytes it came from. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_slice bytes = qr_slice_of(data, size);
    struct qr_buf out = {0};
    struct qr_cursor in = qr_cursor_of(bytes);
    struct qr_chart_def *chart;
    if (qr_chart_def_decode(&chart, &in) == 0) {
        assert(qr_chart_def_encode(&out, chart) == 0);
        assert(out.len == (size_t)((const char *)in.p - bytes.base));
        assert(memcmp(out.base, data, out.len) == 0);
        free(chart);
    }
    qr_buf_clear(&out);
    in = qr_cursor_of(bytes);
    struct qr_host_def *host;
    if (qr_host_def_decode(&host, &in) == 0) {
        assert(qr_host_def_encode(&out, host) == 0);
        assert(out.len == (size_t)((const char *)in.p - bytes.base));
        assert(memcmp(out.base, data, out.len) == 0);
        free(host);
    }
    qr_buf_release(&out);
    return 0;
}
