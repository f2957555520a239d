#include "node/ctl/status.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/ctl/ask.h"
#include "node/ctl/fetch.h"
#include "node/ctl/table.h"

enum { O_URL, O_INSECURE };

#define STATUS_PATH "/api/quorate/v1/status"

/* ---- rendering ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "-";
}

static void cell_text(struct qr_ctl_table *table, const json_t *object, const char *key)
{
    qr_ctl_table_cell(table, "%s", text_of(object, key));
}

static void cell_number(struct qr_ctl_table *table, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value))
        qr_ctl_table_cell(table, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        qr_ctl_table_cell(table, "%.0f", json_real_value(value));
    else
        qr_ctl_table_cell(table, "-");
}

static void cell_bool(struct qr_ctl_table *table, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    qr_ctl_table_cell(table, "%s",
                      json_is_boolean(value) ? json_is_true(value) ? "yes" : "no" : "-");
}

/* How long ago, given milliseconds. */
static void cell_ago(struct qr_ctl_table *table, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double ms = json_number_value(value);
    if (!json_is_number(value))
        qr_ctl_table_cell(table, "-");
    else if (ms < 1000)
        qr_ctl_table_cell(table, "%.0f ms", ms);
    else if (ms < 120000)
        qr_ctl_table_cell(table, "%.1f s", ms / 1000);
    else
        qr_ctl_table_cell(table, "%.0f min", ms / 60000);
}

/* A unix time as how far it lies behind the picture's time. */
static void cell_behind(struct qr_ctl_table *table, const json_t *object, const char *key,
                        const json_t *now)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value) || !json_is_number(now) || json_number_value(value) == 0)
        qr_ctl_table_cell(table, "-");
    else
        qr_ctl_table_cell(table, "%.0f s", json_number_value(now) - json_number_value(value));
}

static void render_summary(const json_t *root, struct qr_buf *out)
{
    const json_t *cluster = json_object_get(root, "cluster");
    const json_t *time_s = json_object_get(root, "time");
    char when[32] = "-";
    struct tm tm;
    time_t seconds = (time_t)json_number_value(time_s);
    if (json_is_number(time_s) && gmtime_r(&seconds, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    struct qr_ctl_table table;
    qr_ctl_table_init(&table, (const char *const[]){"cluster", "id", "leader", ">term", ">applied",
                                                    ">commit", "state hash", "seen at", NULL});
    cell_text(&table, cluster, "name");
    cell_text(&table, cluster, "id");
    if (json_integer_value(json_object_get(root, "leader")) == 0)
        qr_ctl_table_cell(&table, "none");
    else
        cell_number(&table, root, "leader");
    cell_number(&table, root, "term");
    cell_number(&table, root, "applied");
    cell_number(&table, root, "commit");
    cell_text(&table, root, "hash");
    qr_ctl_table_cell(&table, "%s", when);
    qr_ctl_table_print(&table, out);
    qr_ctl_table_release(&table);
}

static void render_members(const json_t *members, struct qr_buf *out)
{
    struct qr_ctl_table table;
    size_t i;
    const json_t *member;
    qr_ctl_table_init(&table,
                      (const char *const[]){">member", "name", "address", "role", "state",
                                            ">applied", ">commit", ">heard", "state hash", NULL});
    json_array_foreach(members, i, member)
    {
        cell_number(&table, member, "id");
        cell_text(&table, member, "name");
        cell_text(&table, member, "address");
        if (json_is_false(json_object_get(member, "voter")))
            qr_ctl_table_cell(&table, "%s (%s)", text_of(member, "role"), text_of(member, "kind"));
        else
            cell_text(&table, member, "role");
        cell_text(&table, member, "state");
        cell_number(&table, member, "applied");
        cell_number(&table, member, "commit");
        cell_ago(&table, member, "last_contact_ms");
        cell_text(&table, member, "hash");
    }
    qr_buf_add_str(out, "\n");
    qr_ctl_table_print(&table, out);
    qr_ctl_table_release(&table);
    json_array_foreach(members, i, member)
    {
        json_int_t ahead_s = json_integer_value(json_object_get(member, "clock_ahead_s"));
        if (ahead_s != 0)
            qr_buf_printf(out, "member %lld: its clock is %lld s %s what most members say\n",
                          (long long)json_integer_value(json_object_get(member, "id")),
                          llabs((long long)ahead_s), ahead_s > 0 ? "ahead of" : "behind");
    }
}

static void render_children(const json_t *children, const json_t *now, struct qr_buf *out)
{
    struct qr_ctl_table table;
    size_t i;
    const json_t *child;
    qr_buf_add_str(out, "\n");
    if (json_array_size(children) == 0) {
        qr_buf_add_str(out, "no children yet\n");
        return;
    }
    qr_ctl_table_init(&table, (const char *const[]){"child", "guid", ">owner", ">epoch",
                                                    "connected", ">charts", ">behind", ">RF",
                                                    ">samples", ">gaps", NULL});
    json_array_foreach(children, i, child)
    {
        bool own = json_is_true(json_object_get(child, "own"));
        qr_ctl_table_cell(&table, "%s%s", text_of(child, "hostname"), own ? " (a member)" : "");
        cell_text(&table, child, "guid");
        cell_number(&table, child, "owner");
        cell_number(&table, child, "epoch");
        cell_bool(&table, child, "connected");
        cell_number(&table, child, "charts");
        cell_behind(&table, child, "watermark", now);
        cell_number(&table, child, "replication_factor");
        cell_number(&table, child, "samples");
        cell_number(&table, child, "gaps");
    }
    qr_ctl_table_print(&table, out);
    qr_ctl_table_release(&table);
    json_array_foreach(children, i, child)
    {
        json_int_t ahead_s = json_integer_value(json_object_get(child, "clock_ahead_s"));
        json_int_t n_refused = json_integer_value(json_object_get(child, "rows_ahead"));
        if (ahead_s != 0)
            qr_buf_printf(out, "%s: its clock is %lld s %s%s\n", text_of(child, "hostname"),
                          llabs((long long)ahead_s), ahead_s > 0 ? "ahead" : "behind",
                          ahead_s > 0 && n_refused > 0 ? ", its rows are refused" : "");
        const json_t *replay = json_object_get(child, "replay");
        const json_t *eta = json_object_get(replay, "eta_s");
        json_int_t permille = json_integer_value(json_object_get(replay, "permille"));
        if (json_is_object(replay))
            qr_buf_printf(out, "%s: replays its past, %lld.%lld %%", text_of(child, "hostname"),
                          (long long)permille / 10, (long long)permille % 10);
        if (json_is_object(replay) && json_is_integer(eta))
            qr_buf_printf(out, ", about %lld s", (long long)json_integer_value(eta));
        if (json_is_object(replay))
            qr_buf_add_str(out, "\n");
        const char *clone = json_string_value(json_object_get(child, "clone"));
        if (clone != NULL)
            qr_buf_printf(out, "%s: %s\n", text_of(child, "hostname"), clone);
    }
}

/* The verdict's level as an exit code; -1: there is none. */
static int level_of(const json_t *root)
{
    const json_t *level = json_object_get(json_object_get(root, "verdict"), "level");
    if (!json_is_integer(level))
        return -1;
    json_int_t value = json_integer_value(level);
    return value >= QR_CTL_DONE && value <= QR_CTL_FAILED ? (int)value : QR_CTL_FAILED;
}

static json_t *load(struct qr_slice text, struct qr_buf *err)
{
    json_error_t error;
    json_t *root = json_loadb(text.base, text.len, 0, &error);
    if (root == NULL)
        qr_buf_printf(err, "the answer is not JSON: %s (line %d)", error.text, error.line);
    else if (level_of(root) < 0)
        qr_buf_add_str(err, "the answer has no verdict: is it a member of a Quorate cluster?");
    return root;
}

int qr_ctl_status_render(struct qr_slice text, struct qr_buf *out, struct qr_buf *err)
{
    json_t *root = load(text, err);
    int level = level_of(root);
    if (level >= 0) {
        qr_buf_printf(out, "%s\n\n", text_of(json_object_get(root, "verdict"), "sentence"));
        render_summary(root, out);
        render_members(json_object_get(root, "members"), out);
        render_children(json_object_get(root, "children"), json_object_get(root, "time"), out);
    }
    json_decref(root);
    return level;
}

/* ---- the command ---- */

/* The level of a status that is passed on as it is. */
static int pass_on(struct qr_slice text, struct qr_buf *out, struct qr_buf *err)
{
    json_t *root = load(text, err);
    int level = level_of(root);
    if (level >= 0) {
        qr_buf_add(out, text.base, text.len);
        if (text.len > 0 && text.base[text.len - 1] != '\n')
            qr_buf_add_str(out, "\n");
    }
    json_decref(root);
    return level;
}

/* The places to ask, in the order given. */
static unsigned list_urls(const struct qr_ctl_args *args, struct qr_buf urls[QR_CTL_VALUES_MAX])
{
    unsigned n = args->n[O_URL] > 0 ? args->n[O_URL] : 1;
    for (unsigned i = 0; i < n; i++)
        qr_ctl_url(&urls[i], args->n[O_URL] > 0 ? args->values[O_URL][i] : NULL, STATUS_PATH);
    return n;
}

static int ask(const struct qr_ctl_io *io, const char *url, bool insecure, struct qr_buf *tried)
{
    char reason[QR_CTL_FETCH_REASON] = "out of memory";
    struct qr_buf body, why;
    int level = -1;
    qr_buf_init(&body, 0);
    qr_buf_init(&why, 0);
    int err = qr_ctl_fetch(url, insecure, &body, reason);
    if (err != 0)
        qr_buf_add_str(&why, reason);
    else if (io->json)
        level = pass_on(qr_buf_slice(&body), io->out, &why);
    else
        level = qr_ctl_status_render(qr_buf_slice(&body), io->out, &why);
    if (level < 0)
        qr_buf_printf(tried, "  %s: %.*s\n", url, (int)why.len, why.base);
    qr_buf_release(&body);
    qr_buf_release(&why);
    return level;
}

static int run(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    struct qr_buf urls[QR_CTL_VALUES_MAX] = {0};
    unsigned n = list_urls(args, urls);
    struct qr_buf tried;
    int level = -1;
    qr_buf_init(&tried, 0);
    bool insecure = args->n[O_INSECURE] > 0;
    for (unsigned i = 0; i < n && level < 0; i++)
        level = urls[i].failed ? -1 : ask(io, urls[i].base, insecure, &tried);
    for (unsigned i = 0; i < n; i++)
        qr_buf_release(&urls[i]);
    if (level < 0) {
        qr_buf_printf(io->err,
                      "UNREACHABLE because no member gave its status; do: check that quorated "
                      "runs there, and name another member with --url HOST:PORT\n%.*s",
                      (int)tried.len, tried.base);
        level = QR_CTL_FAILED;
    }
    qr_buf_release(&tried);
    return level;
}

const struct qr_ctl_command qr_ctl_status = {
    .name = "status",
    .line = "Says how the cluster is: the verdict, the members, the children.",
    .more = "The first member that answers is believed.  Exit code: the verdict, 0 HEALTHY,\n"
            "1 DEGRADED, 2 DOWN or no member answers.\n",
    .options =
        {
            [O_URL] = QR_CTL_URL_OPTION("; repeatable."),
            [O_INSECURE] = QR_CTL_INSECURE_OPTION,
        },
    .run = run,
};
