#include "node/ctl/forget.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "node/ctl/fetch.h"

enum { O_URL, O_YES, O_INSECURE };

#define DEFAULT_URL "http://127.0.0.1:19999"

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

static int make_url(const struct qr_ctl_args *args, struct qr_buf *url)
{
    const char *base = qr_ctl_value(args, O_URL);
    qr_buf_add_str(url, base != NULL ? base : DEFAULT_URL);
    while (url->len > 0 && url->base[url->len - 1] == '/')
        url->len--;
    qr_buf_add_str(url, "/api/quorate/v1/forget?host=");
    add_escaped(url, args->words[0]);
    if (args->n_words > 1) {
        qr_buf_add_str(url, "&chart=");
        add_escaped(url, args->words[1]);
    }
    return qr_buf_add_u8(url, 0);
}

/* What the member says is wrong, or the bytes as they are. */
static void add_error(const struct qr_ctl_io *io, long status, const struct qr_buf *body)
{
    json_error_t error;
    json_t *root = json_loadb(body->base != NULL ? body->base : "", body->len, 0, &error);
    const char *text = json_string_value(json_object_get(root, "error"));
    const char *what = json_string_value(json_object_get(root, "what"));
    if (text != NULL)
        qr_buf_printf(io->err, "quoratectl forget: %s%s%s%s\n", text, what != NULL ? " (" : "",
                      what != NULL ? what : "", what != NULL ? ")" : "");
    else
        qr_buf_printf(io->err, "quoratectl forget: HTTP status %ld\n", status);
    json_decref(root);
}

static int report(const struct qr_ctl_io *io, const struct qr_ctl_args *args, long status,
                  const struct qr_buf *body)
{
    if (status != 200) {
        add_error(io, status, body);
        return QR_CTL_FAILED;
    }
    if (io->json)
        qr_buf_printf(io->out, "%.*s\n", (int)body->len, body->base);
    else if (args->n_words > 1)
        qr_buf_printf(io->out, "Chart %s of host %s is forgotten.\n", args->words[1],
                      args->words[0]);
    else
        qr_buf_printf(io->out, "Host %s is forgotten.\n", args->words[0]);
    return QR_CTL_DONE;
}

static int run(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    if (args->n[O_YES] == 0) {
        qr_buf_printf(io->err,
                      "quoratectl forget: this removes %s%s%s and all its data from every member, "
                      "for good; say --yes if that is meant\n",
                      args->n_words > 1 ? args->words[1] : "host ", args->n_words > 1 ? " of " : "",
                      args->words[0]);
        return QR_CTL_FAILED;
    }
    struct qr_buf url, body;
    char reason[QR_CTL_FETCH_REASON] = "out of memory";
    long status = 0;
    qr_buf_init(&url, 0);
    qr_buf_init(&body, 0);
    int code = QR_CTL_FAILED;
    if (make_url(args, &url) != 0 ||
        qr_ctl_post(url.base, args->n[O_INSECURE] > 0, &body, &status, reason) != 0)
        qr_buf_printf(io->err, "quoratectl forget: %s\n", reason);
    else
        code = report(io, args, status, &body);
    qr_buf_release(&url);
    qr_buf_release(&body);
    return code;
}

const struct qr_ctl_command qr_ctl_forget = {
    .name = "forget",
    .line = "Removes a host, or a chart of it, with its data, from all members.",
    .more =
        "HOST is its name or machine GUID, CHART its id or name.  Queries know of it no more at\n"
        "once; its bytes leave the disks with retention.  A child that\n"
        "still streams comes back as new.  The member must allow it: `allow management from`.\n",
    .words = "HOST [CHART]",
    .words_min = 1,
    .words_max = 2,
    .options =
        {
            [O_URL] = {"--url", "URL", "A member's web address (" DEFAULT_URL ").", false},
            [O_YES] = {"--yes", NULL, "It is meant: nothing brings it back.", false},
            [O_INSECURE] = {"--insecure", NULL, "With https: do not check the certificate.", false},
        },
    .run = run,
};
