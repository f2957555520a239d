#include "node/ctl/drain.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/ctl/ask.h"
#include "node/ctl/fetch.h"

enum { O_URL, O_NO_WAIT, O_TIMEOUT, O_INSECURE };

#define POLL_US   500000
#define TIMEOUT_S 600

long qr_ctl_drain_children(struct qr_slice status)
{
    json_error_t error;
    json_t *root = json_loadb(status.base != NULL ? status.base : "", status.len, 0, &error);
    json_int_t self = json_integer_value(json_object_get(root, "member"));
    const json_t *member;
    size_t i;
    long n = -1;
    json_array_foreach(json_object_get(root, "members"), i, member)
    {
        if (json_integer_value(json_object_get(member, "id")) == self)
            n = (long)json_integer_value(json_object_get(member, "children"));
    }
    json_decref(root);
    return n;
}

struct call {
    const struct qr_ctl_io *io;
    const char *command;
    char url[512]; /* Without a slash at the end. */
    bool insecure;
};

static int complain(const struct call *call, const char *reason)
{
    qr_buf_printf(call->io->err, "quoratectl %s: %s\n", call->command, reason);
    return QR_CTL_FAILED;
}

static int ask(const struct call *call, const char *verb)
{
    char url[640], reason[QR_CTL_FETCH_REASON];
    struct qr_buf body;
    long status = 0;
    qr_buf_init(&body, 0);
    snprintf(url, sizeof url, "%s/api/quorate/v1/drain?do=%s", call->url, verb);
    int code = qr_ctl_post(url, call->insecure, &body, &status, reason);
    if (code != 0) {
        complain(call, reason);
    } else if (status != 200) {
        json_error_t error;
        json_t *root = json_loadb(body.base != NULL ? body.base : "", body.len, 0, &error);
        const char *text = json_string_value(json_object_get(root, "error"));
        complain(call, text != NULL ? text : "the member did not take it");
        json_decref(root);
        code = -1;
    }
    qr_buf_release(&body);
    return code == 0 ? QR_CTL_DONE : QR_CTL_FAILED;
}

/* How many children are there, -1: it does not tell. */
static long count(const struct call *call)
{
    char url[640], reason[QR_CTL_FETCH_REASON];
    struct qr_buf body;
    long n = -1;
    qr_buf_init(&body, 0);
    snprintf(url, sizeof url, "%s/api/quorate/v1/status", call->url);
    if (qr_ctl_fetch(url, call->insecure, &body, reason) == 0)
        n = qr_ctl_drain_children(qr_buf_slice(&body));
    qr_buf_release(&body);
    return n;
}

static int wait_until_empty(const struct call *call, uint64_t timeout_s)
{
    uint64_t from_ms = qr_clock_mono_ms(&qr_clock_system);
    long n;
    while ((n = count(call)) != 0) {
        if (qr_clock_mono_ms(&qr_clock_system) - from_ms >= timeout_s * 1000) {
            char text[160];
            snprintf(text, sizeof text,
                     "%ld children are still connected: is another member up that takes them, and "
                     "in their lists?",
                     n);
            return complain(call, n < 0 ? "the member does not answer" : text);
        }
        usleep(POLL_US);
    }
    qr_buf_add_str(call->io->out, "The member has no children and takes none until `quoratectl "
                                  "undrain`, or until it is started again.\n");
    return QR_CTL_DONE;
}

static int prepare(struct call *call, const struct qr_ctl_io *io, const struct qr_ctl_args *args,
                   const char *command, unsigned insecure)
{
    *call = (struct call){.io = io, .command = command, .insecure = args->n[insecure] > 0};
    return qr_ctl_base(call->url, sizeof call->url, qr_ctl_value(args, O_URL)) == 0
               ? QR_CTL_DONE
               : complain(call, "the address is too long");
}

static int run_drain(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    struct call call;
    const char *timeout = qr_ctl_value(args, O_TIMEOUT);
    uint64_t timeout_s = timeout != NULL ? strtoull(timeout, NULL, 10) : TIMEOUT_S;
    int code = prepare(&call, io, args, "drain", O_INSECURE);
    if (code == QR_CTL_DONE)
        code = ask(&call, "begin");
    if (code != QR_CTL_DONE || args->n[O_NO_WAIT] > 0)
        return code;
    return wait_until_empty(&call, timeout_s);
}

static int run_undrain(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    struct call call;
    int code = prepare(&call, io, args, "undrain", 1);
    if (code == QR_CTL_DONE)
        code = ask(&call, "end");
    if (code == QR_CTL_DONE)
        qr_buf_add_str(io->out, "The member takes children again.\n");
    return code;
}

const struct qr_ctl_command qr_ctl_drain = {
    .name = "drain",
    .line = "Moves a member's children on to the others; it takes none until undrain.",
    .more = "Some children are moved each second, all within about a minute, as long as another\n"
            "member takes them.  It ends with `quoratectl undrain` or a restart of the member.\n"
            "The member must allow it: `allow management from`.\n",
    .options =
        {
            [O_URL] = QR_CTL_URL_OPTION("."),
            [O_NO_WAIT] = {"--no-wait", NULL, "Do not wait until they have gone.", false},
            [O_TIMEOUT] = {"--timeout", "S", "Wait at most so long, s (600).", false},
            [O_INSECURE] = QR_CTL_INSECURE_OPTION,
        },
    .run = run_drain,
};

const struct qr_ctl_command qr_ctl_undrain = {
    .name = "undrain",
    .line = "Ends the drain of a member: it takes children again.",
    .more = "Children that were moved on stay where they are; new ones come.\n",
    .options = {QR_CTL_URL_OPTION("."), QR_CTL_INSECURE_OPTION},
    .run = run_undrain,
};
