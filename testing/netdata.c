#include "testing/netdata.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define PROGRAM    "/usr/sbin/netdata"
#define START_MS   60000
#define STOP_MS    30000
#define TIMEOUT_MS 20000

bool qr_netdata_available(void)
{
    return access(PROGRAM, X_OK) == 0;
}

/* ---- configuration ---- */

static void make_folders(const char *dir)
{
    static const char *const folders[] = {"etc", "etc/health.d", "stock",    "stock/health.d",
                                          "log", "cache",        "lib",      "lib/lock",
                                          "web", "lib/registry", "plugins.d"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
        int err = mkdir(path, 0755);
        assert(err == 0);
    }
}

static void write_netdata_conf(const struct qr_netdata *netdata,
                               const struct qr_netdata_options *options, unsigned port)
{
    const char *dir = netdata->dir;
    bool collects = !options->parent || options->destinations != NULL;
    const char *collect = collects ? "yes" : "no";
    char path[512];
    snprintf(path, sizeof path, "%s/etc/netdata.conf", dir);
    qr_write_file(
        path,
        "[global]\n run as user = %s\n hostname = %s\n process scheduling policy = keep\n"
        " OOM score = keep\n"
        "[db]\n mode = dbengine\n update every = 1\n storage tiers = %u\n"
        " dbengine page cache size MB = 32\n dbengine multihost disk space MB = 512\n"
        " replication = yes\n"
        "[directories]\n config = %s/etc\n stock config = %s/stock\n log = %s/log\n"
        " cache = %s/cache\n lib = %s/lib\n home = %s/lib\n lock = %s/lib/lock\n"
        " registry = %s/lib/registry\n plugins = \"/usr/lib/netdata/plugins.d\" \"%s/plugins.d\"\n"
        " web = %s/web\n health config = %s/etc/health.d\n stock health config = "
        "%s/stock/health.d\n"
        "[logs]\n error = %s/log/error.log\n access = none\n"
        "[web]\n bind to = 127.0.0.1:%u\n default port = %u\n"
        "[plugins]\n proc = %s\n qtest = %s\n diskspace = no\n cgroups = no\n tc = no\n"
        " idlejitter = no\n timex = no\n statsd = no\n apps = no\n python.d = no\n charts.d = no\n"
        " go.d = no\n slabinfo = no\n perf = no\n nfacct = no\n enable running new plugins = no\n"
        " netdata monitoring = no\n"
        "[statsd]\n enabled = no\n[ml]\n enabled = no\n[registry]\n enabled = no\n"
        "[cloud]\n enabled = no\n[health]\n enabled = no\n",
        getuid() == 0 ? "root" : "netdata", options->name, options->tiers > 0 ? options->tiers : 1,
        dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, port, port, collect,
        collect);
}

static void write_stream_conf(const struct qr_netdata *netdata,
                              const struct qr_netdata_options *options)
{
    char path[512];
    snprintf(path, sizeof path, "%s/etc/stream.conf", netdata->dir);
    char accepts[256] = "";
    if (options->parent)
        snprintf(accepts, sizeof accepts,
                 "[%s]\n enabled = yes\n allow from = *\n default memory mode = dbengine\n"
                 " health enabled by default = no\n",
                 options->api_key);
    qr_write_file(path,
                  "[stream]\n enabled = %s\n destination = %s\n api key = %s\n"
                  " timeout seconds = 60\n reconnect delay seconds = %u\n"
                  " enable compression = yes\n%s",
                  options->destinations != NULL ? "yes" : "no",
                  options->destinations != NULL ? options->destinations : "",
                  options->api_key != NULL ? options->api_key : "",
                  options->reconnect_delay_s > 0 ? options->reconnect_delay_s : 5, accepts);
}

/* A counter, a gauge and an algorithm of each other kind, once a second; and the function `qtest`.
 * One process says it all, so that lines of an answer stay together; it ends with its input, as
 * that of a killed netdata. */
static void write_plugin(const struct qr_netdata *netdata)
{
    char path[512];
    snprintf(path, sizeof path, "%s/plugins.d/qtest.plugin", netdata->dir);
    qr_write_file(path,
                  "#!/bin/bash\n"
                  "echo 'CHART qtest.known \"\" \"Known values\" things test qtest.known line 1 1\n"
                  "DIMENSION gauge \"\" absolute 1 10\n"
                  "DIMENSION counter \"\" incremental 1 1\n"
                  "FUNCTION \"qtest\" 10 \"says what it was asked\"\n"
                  "CHART qtest.shares \"\" Shares percent test qtest.shares line 2 1\n"
                  "DIMENSION a \"\" percentage-of-absolute-row\n"
                  "DIMENSION b \"\" percentage-of-absolute-row'\n"
                  "while :; do\n"
                  "  t=$EPOCHSECONDS\n"
                  "  echo \"BEGIN qtest.known\nSET gauge = $((t %% 997))\nSET counter = $((t * "
                  "7))\nEND\n"
                  "BEGIN qtest.shares\nSET a = $((t %% 10 + 1))\nSET b = $((t %% 3 + 1))\nEND\" || "
                  "exit\n"
                  "  while :; do\n"
                  "    us=$((1020000 - 10#${EPOCHREALTIME#*.}))\n"
                  "    printf -v us %%06d $((us > 999999 ? 999999 : us))\n"
                  "    read -r -t 0.$us word transaction timeout function && {\n"
                  "      [ \"$word\" = FUNCTION ] && echo \"FUNCTION_RESULT_BEGIN $transaction 200 "
                  "text/plain 0\nasked: $function\nFUNCTION_RESULT_END\"\n"
                  "      continue\n"
                  "    }\n"
                  "    [ $? -gt 128 ] && break\n"
                  "    exit\n"
                  "  done\n"
                  "done\n");
    chmod(path, 0755);
}

/* ---- life ---- */

struct starting {
    struct qr_netdata *netdata;
    struct qr_fetch *fetch;
};

static bool answers(void *data)
{
    struct starting *s = data;
    if (!qr_process_alive(&s->netdata->process))
        return false;
    if (qr_fetch_get(s->fetch, 1000, "%s/api/v1/info", s->netdata->url) != 200)
        return false;
    json_t *info = qr_fetch_json(s->fetch);
    const char *uid = json_string_value(json_object_get(info, "uid"));
    if (uid != NULL)
        snprintf(s->netdata->guid, sizeof s->netdata->guid, "%s", uid);
    json_decref(info);
    return uid != NULL;
}

/* Runs it on the files that are there, until it answers. */
static int run(struct qr_netdata *netdata, const char *name)
{
    struct qr_fetch fetch;
    int err = qr_fetch_init(&fetch);
    if (err != 0)
        return err;
    char conf[512], pid[512], log[512];
    snprintf(conf, sizeof conf, "%s/etc/netdata.conf", netdata->dir);
    snprintf(pid, sizeof pid, "%s/pid", netdata->dir);
    snprintf(log, sizeof log, "%s/log/output.log", netdata->dir);
    const char *argv[] = {PROGRAM, "-D", "-c", conf, "-P", pid, NULL};
    netdata->started_s = (int64_t)(qr_real_ms() / 1000);
    err = qr_process_start(&netdata->process, name, log, -1, argv);
    struct starting s = {netdata, &fetch};
    if (err == 0 && !qr_wait_for(answers, &s, START_MS, 50)) {
        qr_process_print_log(&netdata->process, 30);
        err = QR_E_TIMEOUT;
    }
    qr_fetch_release(&fetch);
    return err;
}

int qr_netdata_start(struct qr_netdata *netdata, const struct qr_netdata_options *options)
{
    memset(netdata, 0, sizeof *netdata);
    unsigned port = qr_free_ports(1);
    qr_temp_dir(netdata->dir, options->name);
    make_folders(netdata->dir);
    write_netdata_conf(netdata, options, port);
    write_stream_conf(netdata, options);
    write_plugin(netdata);
    snprintf(netdata->url, sizeof netdata->url, "http://127.0.0.1:%u", port);
    return run(netdata, options->name);
}

int qr_netdata_restart(struct qr_netdata *netdata)
{
    char name[sizeof netdata->process.name];
    memcpy(name, netdata->process.name, sizeof name);
    qr_process_stop(&netdata->process, STOP_MS); /* nothing, if it was killed before */
    return run(netdata, name);
}

void qr_netdata_release(struct qr_netdata *netdata, bool keep)
{
    qr_process_kill(&netdata->process);
    if (keep)
        fprintf(stderr, "netdata's files are kept in %s\n", netdata->dir);
    else if (netdata->dir[0] != '\0')
        qr_remove_dir(netdata->dir);
}

/* ---- comparing ---- */

static json_t *get_data(struct qr_fetch *fetch, const char *prefix, const char *chart,
                        int64_t from_s, int64_t to_s, int *status)
{
    *status = qr_fetch_get(fetch, TIMEOUT_MS,
                           "%s/api/v1/data?chart=%s&after=%lld&before=%lld&format=json", prefix,
                           chart, (long long)from_s, (long long)to_s);
    return *status == 200 ? qr_fetch_json(fetch) : NULL;
}

static void note(struct qr_verify *result, const char *what, const char *chart, const char *dim,
                 int64_t t)
{
    if (result->first[0] == '\0')
        snprintf(result->first, sizeof result->first, "%s: %s %s second %lld", what, chart, dim,
                 (long long)t);
}

/* Puts the child's first entry of the chart behind what was noted for it. */
static void note_first_entry(struct qr_verify *result, int64_t first_s)
{
    size_t len = strlen(result->first);
    if (len > 0 && strstr(result->first, "child's first") == NULL)
        snprintf(result->first + len, sizeof result->first - len, ", child's first is %lld",
                 (long long)first_s);
}

/* Row of second t: both answers are newest first; `at` only goes on. */
static const json_t *find_row(const json_t *rows, size_t *at, int64_t t)
{
    for (; *at < json_array_size(rows); (*at)++) {
        const json_t *row = json_array_get(rows, *at);
        int64_t there = json_integer_value(json_array_get(row, 0));
        if (there == t)
            return row;
        if (there < t)
            return NULL;
    }
    return NULL;
}

static size_t find_column(const json_t *labels, const char *label)
{
    for (size_t i = 1; i < json_array_size(labels); i++) {
        const char *there = json_string_value(json_array_get(labels, i));
        if (there != NULL && strcmp(there, label) == 0)
            return i;
    }
    return 0;
}

struct window {
    int64_t from_s, to_s;
};

static void compare_column(struct qr_verify *result, const char *chart, struct window window,
                           const json_t *child, const json_t *member, size_t column)
{
    const json_t *labels = json_object_get(child, "labels"), *rows = json_object_get(child, "data");
    const char *label = json_string_value(json_array_get(labels, column));
    size_t there = find_column(json_object_get(member, "labels"), label), at = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *cell = json_array_get(row, column);
        int64_t t = json_integer_value(json_array_get(row, 0));
        if (t < window.from_s || t > window.to_s)
            continue; /* An answer may begin before the window, on the chart's grid. */
        const json_t *other = find_row(json_object_get(member, "data"), &at, t);
        const json_t *stored = there > 0 ? json_array_get(other, there) : NULL;
        result->n_compared++;
        if (!json_is_number(cell) && !json_is_number(stored))
            continue;
        if (!json_is_number(stored)) {
            result->n_holes++;
            note(result, "hole", chart, label, t);
        } else if (!json_is_number(cell)) {
            result->n_extra++;
            note(result, "extra", chart, label, t);
        } else if (!qr_verify_equal(json_number_value(cell), json_number_value(stored))) {
            result->n_wrong++;
            note(result, "wrong", chart, label, t);
        } else {
            result->n_values++;
        }
    }
}

static void count_duplicates(struct qr_verify *result, const char *chart, const json_t *member)
{
    const json_t *rows = json_object_get(member, "data");
    int64_t before = INT64_MAX;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        int64_t t = json_integer_value(json_array_get(json_array_get(rows, i), 0));
        if (t == before) {
            result->n_duplicates++;
            note(result, "duplicate", chart, "", t);
        }
        before = t;
    }
}

static void compare_chart(struct qr_netdata *netdata, struct qr_fetch *fetch, const char *prefix,
                          const char *chart, int64_t from_s, int64_t to_s, struct qr_verify *result)
{
    int status;
    json_t *child = get_data(fetch, netdata->url, chart, from_s, to_s, &status);
    if (child == NULL)
        return; /* The child has nothing in this window. */
    json_t *member = get_data(fetch, prefix, chart, from_s, to_s, &status);
    if (member == NULL && status != 404) {
        result->n_failed++;
        note(result, "no answer", chart, "", from_s);
    } else {
        for (size_t i = 1; i < json_array_size(json_object_get(child, "labels")); i++)
            compare_column(result, chart, (struct window){from_s, to_s}, child, member, i);
        count_duplicates(result, chart, member);
    }
    json_decref(child);
    json_decref(member);
}

void qr_netdata_compare(struct qr_netdata *netdata, struct qr_fetch *fetch, const char *prefix,
                        int64_t from_s, int64_t to_s, struct qr_verify *result)
{
    if (qr_fetch_get(fetch, TIMEOUT_MS, "%s/api/v1/charts", netdata->url) != 200) {
        result->n_failed++;
        return;
    }
    json_t *answer = qr_fetch_json(fetch);
    const char *chart;
    json_t *value;
    json_object_foreach(json_object_get(answer, "charts"), chart, value)
    {
        /* What ends at a chart's first entry is never sent: answers begin after it. */
        int64_t first_s = json_integer_value(json_object_get(value, "first_entry"));
        int64_t begin_s = first_s + 1 + netdata->unsure_s;
        if (begin_s <= to_s)
            compare_chart(netdata, fetch, prefix, chart, from_s > begin_s ? from_s : begin_s, to_s,
                          result);
        note_first_entry(result, first_s);
    }
    json_decref(answer);
}
