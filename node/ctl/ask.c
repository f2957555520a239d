#include "node/ctl/ask.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

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

void qr_ctl_url(struct qr_buf *url, const char *base, const char *path)
{
    qr_buf_clear(url);
    qr_buf_add_str(url, base != NULL ? base : QR_CTL_DEFAULT_URL);
    while (url->len > 0 && url->base[url->len - 1] == '/')
        url->len--;
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
