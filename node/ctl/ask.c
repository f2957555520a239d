#include "node/ctl/ask.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static void add_escaped(struct qr_buf *url, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL))
            qr_buf_add(url, &c, 1);
        else
            qr_buf_printf(url, "%%%02X", c);
    }
}

static void end_text(struct qr_buf *url)
{
    if (qr_buf_add_u8(url, 0) == 0)
        url->len--;
}

int qr_ctl_base(char *text, size_t text_bytes, const char *given)
{
    const char *base = given != NULL ? given : QR_CTL_DEFAULT_URL;
    const char *scheme = strstr(base, "://") == NULL ? "http://" : "";
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    int n = snprintf(text, text_bytes, "%s%.*s", scheme, (int)len, base);
    return n >= 0 && (size_t)n < text_bytes ? 0 : QR_E_LIMIT;
}

void qr_ctl_url(struct qr_buf *url, const char *base, const char *path)
{
    char text[512];
    qr_buf_clear(url);
    url->failed = qr_ctl_base(text, sizeof text, base) != 0 || url->failed;
    qr_buf_add_str(url, text);
    qr_buf_add_str(url, path);
    end_text(url);
}

void qr_ctl_url_param(struct qr_buf *url, const char *name, const char *value)
{
    bool first = url->len == 0 || memchr(url->base, '?', url->len) == NULL;
    qr_buf_printf(url, "%s%s=", first ? "?" : "&", name);
    add_escaped(url, value);
    end_text(url);
}

int qr_ctl_refused(const struct qr_ctl_io *io, const char *command, long status,
                   const struct qr_buf *body)
{
    json_error_t error;
    json_t *root = json_loadb(body->base != NULL ? body->base : "", body->len, 0, &error);
    const char *text = json_string_value(json_object_get(root, "error"));
    const char *what = json_string_value(json_object_get(root, "what"));
    if (text != NULL)
        qr_buf_printf(io->err, "quoratectl %s: %s%s%s%s\n", command, text, what != NULL ? " (" : "",
                      what != NULL ? what : "", what != NULL ? ")" : "");
    else
        qr_buf_printf(io->err, "quoratectl %s: HTTP status %ld\n", command, status);
    json_decref(root);
    return QR_CTL_FAILED;
}
