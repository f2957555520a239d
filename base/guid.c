#include "base/guid.h"

#include "base/error.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_dash_at(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

int qr_guid_parse(struct qr_guid *guid, struct qr_slice text)
{
    if (text.len != QR_GUID_TEXT_LEN)
        return QR_E_MALFORMED;
    struct qr_guid parsed;
    size_t n = 0;
    for (size_t i = 0; i < QR_GUID_TEXT_LEN;) {
        if (is_dash_at(i)) {
            if (text.base[i++] != '-')
                return QR_E_MALFORMED;
            continue;
        }
        int high = hex_value(text.base[i]);
        int low = hex_value(text.base[i + 1]);
        if (high < 0 || low < 0)
            return QR_E_MALFORMED;
        parsed.bytes[n++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    *guid = parsed;
    return 0;
}

void qr_guid_format(const struct qr_guid *guid, char text[QR_GUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < sizeof guid->bytes; i++) {
        if (is_dash_at(n))
            text[n++] = '-';
        text[n++] = digits[guid->bytes[i] >> 4];
        text[n++] = digits[guid->bytes[i] & 15];
    }
    text[n] = '\0';
}
