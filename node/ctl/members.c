#include "node/ctl/members.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/ctl/ask.h"
#include "node/ctl/fetch.h"
#include "node/ctl/table.h"

enum { O_URL, O_WITH, O_NO_WAIT, O_TIMEOUT, O_INSECURE };

#define POLL_MS   250
#define TIMEOUT_S 3600

/* What is asked for. */
struct order {
    const struct qr_ctl_io *io;
    const char *verb;
    char url[512]; /* Of the member that is asked, without a slash at the end. */
    bool insecure, no_wait;
    uint64_t timeout_s;
    char query[512];
    long member; /* Who goes; 0: nobody. */
};

static int fail(const struct order *order, const char *format, ...) QR_PRINTF(2, 3);

static int fail(const struct order *order, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    qr_buf_printf(order->io->err, "quoratectl members %s: ", order->verb);
    qr_buf_vprintf(order->io->err, format, args);
    qr_buf_add_str(order->io->err, "\n");
    va_end(args);
    return QR_CTL_FAILED;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "-";
}

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* ---- list ---- */

static void render_rows(const json_t *members, struct qr_buf *out)
{
    struct qr_ctl_table table;
    size_t i;
    const json_t *member;
    qr_ctl_table_init(&table,
                      (const char *const[]){">member", "name", "address", "kind", "role", "state",
                                            ">children", "takes", ">applied", "disk", NULL});
    json_array_foreach(members, i, member)
    {
        qr_ctl_table_cell(&table, "%lld", number_of(member, "id"));
        qr_ctl_table_cell(&table, "%s", text_of(member, "name"));
        qr_ctl_table_cell(&table, "%s", text_of(member, "address"));
        qr_ctl_table_cell(&table, "%s", text_of(member, "kind"));
        qr_ctl_table_cell(&table, "%s", text_of(member, "role"));
        qr_ctl_table_cell(&table, "%s", text_of(member, "state"));
        qr_ctl_table_cell(&table, "%lld", number_of(member, "children"));
        qr_ctl_table_cell(&table, "%s",
                          json_is_true(json_object_get(member, "draining")) ? "drained"
                          : json_is_true(json_object_get(member, "taking")) ? "yes"
                                                                            : "no");
        qr_ctl_table_cell(&table, "%lld", number_of(member, "applied"));
        qr_ctl_table_cell(&table, "%s", text_of(member, "disk"));
    }
    qr_ctl_table_print(&table, out);
    qr_ctl_table_release(&table);
}

static void render_asked(const json_t *change, struct qr_buf *out)
{
    long long member = number_of(change, "member"), with = number_of(change, "with");
    qr_buf_printf(out, "%s", text_of(change, "kind"));
    if (member != 0)
        qr_buf_printf(out, " member %lld", member);
    if (with != 0 && with != member)
        qr_buf_printf(out, "%s member %lld", member != 0 ? " with" : "", with);
}

static void render_progress(const json_t *change, struct qr_buf *out)
{
    const json_t *eta = json_object_get(change, "eta_s");
    qr_buf_printf(out, "%s", text_of(change, "text"));
    if (number_of(change, "with") != 0)
        qr_buf_printf(out, ", %lld.%lld %%", number_of(change, "permille") / 10,
                      number_of(change, "permille") % 10);
    if (json_is_integer(eta))
        qr_buf_printf(out, ", about %lld s", json_integer_value(eta));
}

int qr_ctl_members_render(struct qr_slice text, struct qr_buf *out, struct qr_buf *err)
{
    json_error_t error;
    json_t *root = json_loadb(text.base, text.len, 0, &error);
    const json_t *change = json_object_get(root, "change");
    const json_t *last = json_object_get(root, "last_change");
    if (!json_is_array(json_object_get(root, "members"))) {
        qr_buf_add_str(err, "the answer is no status of a member of a Quorate cluster\n");
        json_decref(root);
        return QR_CTL_FAILED;
    }
    render_rows(json_object_get(root, "members"), out);
    if (json_is_object(change)) {
        qr_buf_add_str(out, "\nrunning: ");
        render_asked(change, out);
        qr_buf_add_str(out, ": ");
        render_progress(change, out);
        qr_buf_add_str(out, "\n");
    }
    if (json_is_object(last)) {
        qr_buf_add_str(out, "\nlast change: ");
        render_asked(last, out);
        qr_buf_printf(out, ": %s\n", text_of(last, "result"));
    }
    json_decref(root);
    return QR_CTL_DONE;
}

static int get_status(const struct order *order, struct qr_buf *body,
                      char reason[QR_CTL_FETCH_REASON])
{
    char url[600];
    snprintf(url, sizeof url, "%s/api/quorate/v1/status", order->url);
    return qr_ctl_fetch(url, order->insecure, body, reason);
}

static int list(const struct order *order)
{
    struct qr_buf body = {0};
    char reason[QR_CTL_FETCH_REASON] = "out of memory";
    int code = QR_CTL_DONE;
    if (get_status(order, &body, reason) != 0)
        code = fail(order, "%s", reason);
    else if (order->io->json)
        qr_buf_printf(order->io->out, "%.*s\n", (int)body.len, body.base);
    else
        code = qr_ctl_members_render(qr_buf_slice(&body), order->io->out, order->io->err);
    qr_buf_release(&body);
    return code;
}

/* ---- changing ---- */

static void say_progress(const json_t *change)
{
    struct qr_buf line = {0};
    if (!isatty(STDERR_FILENO))
        return;
    render_progress(change, &line);
    fprintf(stderr, "\r\033[K%.*s", (int)line.len, line.base);
    qr_buf_release(&line);
}

static int report(const struct order *order, const json_t *last)
{
    bool done = json_is_true(json_object_get(last, "done"));
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (!done)
        return fail(order, "%s", text_of(last, "result"));
    if (order->io->json) {
        char *text = json_dumps(last, JSON_COMPACT);
        qr_buf_printf(order->io->out, "%s\n", text != NULL ? text : "{}");
        free(text);
        return QR_CTL_DONE;
    }
    qr_buf_add_str(order->io->out, "done: ");
    render_asked(last, order->io->out);
    qr_buf_add_str(order->io->out, "\n");
    return QR_CTL_DONE;
}

/* -1: it is not over. */
static int look(const struct order *order, long long change)
{
    struct qr_buf body = {0};
    char reason[QR_CTL_FETCH_REASON];
    json_error_t error;
    int code = -1;
    /* A member that does not answer now may do so again: it may be restarted. */
    if (get_status(order, &body, reason) == 0) {
        json_t *root = json_loadb(body.base, body.len, 0, &error);
        const json_t *last = json_object_get(root, "last_change");
        if (json_is_object(last) && number_of(last, "change") == change)
            code = report(order, last);
        else if (json_is_object(json_object_get(root, "change")))
            say_progress(json_object_get(root, "change"));
        /* It may be shut out before it hears that it is. */
        if (code < 0 && order->member != 0 && number_of(root, "member") == order->member &&
            number_of(root, "leader") == 0) {
            qr_buf_add_str(order->io->out, "asked: the rest is to be seen on another member\n");
            code = QR_CTL_DONE;
        }
        json_decref(root);
    }
    qr_buf_release(&body);
    return code;
}

static int wait_for_end(const struct order *order, long long change)
{
    uint64_t deadline = qr_clock_mono_ms(&qr_clock_system) + order->timeout_s * 1000;
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    int code;
    while ((code = look(order, change)) < 0) {
        if (qr_clock_mono_ms(&qr_clock_system) >= deadline)
            return fail(order,
                        "it is not over after %llu s, and goes on; look with `quoratectl members "
                        "list`, or take it back with `quoratectl members cancel`",
                        (unsigned long long)order->timeout_s);
        nanosleep(&pause, NULL);
    }
    return code;
}

static int refused(const struct order *order, long status, const struct qr_buf *body)
{
    json_error_t error;
    json_t *root = json_loadb(body->base != NULL ? body->base : "", body->len, 0, &error);
    const char *text = json_string_value(json_object_get(root, "error"));
    int code = text != NULL ? fail(order, "%s", text) : fail(order, "HTTP status %ld", status);
    json_decref(root);
    return code;
}

static int ask(const struct order *order)
{
    char url[1100], reason[QR_CTL_FETCH_REASON] = "out of memory";
    struct qr_buf body = {0};
    json_error_t error;
    long status = 0;
    snprintf(url, sizeof url, "%s/api/quorate/v1/members?do=%s%s", order->url, order->verb,
             order->query);
    int code = QR_CTL_DONE;
    if (qr_ctl_post(url, order->insecure, &body, &status, reason) != 0)
        code = fail(order, "%s", reason);
    else if (status != 200)
        code = refused(order, status, &body);
    json_t *root = code == QR_CTL_DONE ? json_loadb(body.base, body.len, 0, &error) : NULL;
    long long change = number_of(root, "change");
    json_decref(root);
    if (code == QR_CTL_DONE && (order->no_wait || strcmp(order->verb, "cancel") == 0)) {
        if (order->io->json)
            qr_buf_printf(order->io->out, "%.*s\n", (int)body.len, body.base);
        else
            qr_buf_add_str(order->io->out, "asked: `quoratectl members list` says how far it is\n");
    } else if (code == QR_CTL_DONE) {
        code = wait_for_end(order, change);
    }
    qr_buf_release(&body);
    return code;
}

/* ---- arguments ---- */

/* "4", or "4=host:port" where an address belongs. */
static int add_id(struct order *order, const char *key, const char *text, bool address)
{
    char *end;
    errno = 0;
    long id = text != NULL ? strtol(text, &end, 10) : 0;
    bool right = text != NULL && errno == 0 && end != text && id >= 1 && id <= 65535 &&
                 *end == (address ? '=' : '\0') && strlen(text) < 100 &&
                 strpbrk(text, "&?#% ") == NULL;
    if (!right)
        return fail(order, "%s is not %s", text != NULL ? text : "nothing",
                    address ? "ID=HOST:PORT" : "a member's id");
    size_t len = strlen(order->query);
    int n = snprintf(order->query + len, sizeof order->query - len, "&%s=%ld%s%s", key, id,
                     address ? "&address=" : "", address ? end + 1 : "");
    if (strcmp(key, "member") == 0)
        order->member = id;
    return n > 0 ? QR_CTL_DONE : QR_CTL_FAILED;
}

static int run(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    const char *word = args->n_words > 1 ? args->words[1] : NULL;
    const char *with = qr_ctl_value(args, O_WITH);
    const char *timeout = qr_ctl_value(args, O_TIMEOUT);
    struct order order = {.io = io,
                          .verb = args->words[0],
                          .insecure = args->n[O_INSECURE] > 0,
                          .no_wait = args->n[O_NO_WAIT] > 0,
                          .timeout_s = timeout != NULL ? strtoull(timeout, NULL, 10) : TIMEOUT_S};
    if (qr_ctl_base(order.url, sizeof order.url, qr_ctl_value(args, O_URL)) != 0)
        return fail(&order, "the address is too long");
    if (with != NULL && strcmp(order.verb, "replace") != 0)
        return fail(&order, "--with belongs to replace");
    if (strcmp(order.verb, "list") == 0 && word == NULL)
        return list(&order);
    int code = QR_CTL_DONE;
    if (strcmp(order.verb, "add") == 0)
        code = add_id(&order, "with", word, true);
    else if (strcmp(order.verb, "remove") == 0 || strcmp(order.verb, "replace") == 0)
        code = add_id(&order, "member", word, false);
    else if (strcmp(order.verb, "cancel") != 0 || word != NULL)
        return fail(&order, "there is no such command; try: quoratectl help members");
    if (code == QR_CTL_DONE && with != NULL)
        code = add_id(&order, "with", with, true);
    return code == QR_CTL_DONE ? ask(&order) : code;
}

const struct qr_ctl_command qr_ctl_members = {
    .name = "members",
    .line = "Lists the members, adds, removes or rebuilds one.",
    .more =
        "  list                  who is a member, and how far a change is\n"
        "  add ID=HOST:PORT      a new member, which runs with an empty data folder, copies what "
        "is\n"
        "                        there and then votes; its certificate: quoratectl init --add\n"
        "  remove ID             a live or dead member goes; a leader hands over first\n"
        "  replace ID            rebuilds a member that lost its data: start it with an empty "
        "data\n"
        "                        folder, and ask any member\n"
        "  replace ID --with ID=HOST:PORT\n"
        "                        another one comes, then ID goes\n"
        "  cancel                takes back the change that runs, as far as it can be\n"
        "Any member can be asked.  One change at a time; the command waits for its end, and what\n"
        "was begun goes on without it.  The member must allow it: `allow management from`.\n",
    .exits = "0 done; 2 refused, not done, or not over in time",
    .words = "list|add|remove|replace|cancel [ID[=HOST:PORT]]",
    .words_min = 1,
    .words_max = 2,
    .options =
        {
            [O_URL] = QR_CTL_URL_OPTION("."),
            [O_WITH] = {"--with", "ID=HOST:PORT", "With replace: who comes instead.", false},
            [O_NO_WAIT] = {"--no-wait", NULL, "Do not wait for the end.", false},
            [O_TIMEOUT] = {"--timeout", "SECONDS", "How long to wait (3600).", false},
            [O_INSECURE] = QR_CTL_INSECURE_OPTION,
        },
    .run = run,
};
