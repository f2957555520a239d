#include "node/ctl/forget.h"

#include "node/ctl/ask.h"
#include "node/ctl/fetch.h"

enum { O_URL, O_YES, O_INSECURE };

static void make_url(const struct qr_ctl_args *args, struct qr_buf *url)
{
    qr_ctl_url(url, qr_ctl_value(args, O_URL), "/api/quorate/v1/forget");
    qr_ctl_url_param(url, "host", args->words[0]);
    if (args->n_words > 1)
        qr_ctl_url_param(url, "chart", args->words[1]);
}

static int report(const struct qr_ctl_io *io, const struct qr_ctl_args *args, long status,
                  const struct qr_buf *body)
{
    if (status != 200)
        return qr_ctl_refused(io, "forget", status, body);
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
    make_url(args, &url);
    if (url.failed || qr_ctl_post(url.base, args->n[O_INSECURE] > 0, &body, &status, reason) != 0)
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
            [O_URL] = QR_CTL_URL_OPTION("."),
            [O_YES] = {"--yes", NULL, "It is meant: nothing brings it back.", false},
            [O_INSECURE] = QR_CTL_INSECURE_OPTION,
        },
    .run = run,
};
