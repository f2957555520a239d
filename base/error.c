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
    default:
        return code < 0 && code > QR_E_FIRST ? uv_strerror(code) : "unknown error";
    }
}
