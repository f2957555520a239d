#include "base/error.h"

#include <uv.h>

const char *qr_strerror(int code)
{
    switch (code) {
    case 0:
        return "no error";
#define QR_ERROR_CASE(name, number, text)                                                          \
    case number:                                                                                   \
        return text;
        QR_ERROR_MAP(QR_ERROR_CASE)
#undef QR_ERROR_CASE
/* libuv's own rows: uv_strerror allocates the text of a code that it does not know. */
#define QR_UV_CASE(name, text)                                                                     \
    case UV_##name:                                                                                \
        return text;
        UV_ERRNO_MAP(QR_UV_CASE)
#undef QR_UV_CASE
    default:
        return "unknown error";
    }
}
