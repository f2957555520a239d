#include "ha-tests/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define LEADER_MS  60000
#define LIVE_MS    60000
#define SETTLE_MS  60000
#define COMPARE_MS 60000
#define REFILL_MS  60000

void stage_fail(struct stage *stage, const char *what, const char *file, int line)
{
    stage->failed = true;
    fprintf(stderr, "\n%s: not so: %s\n", stage->name, what);
    qr_cluster_print_logs(&stage->cluster);
    if (stage->load.pid != 0)
        qr_process_print_log(&stage->load, 5);
    _fail(file, line);
}

void stage_guid(const struct stage *stage, uint32_t host, char guid[QR_GUID_TEXT_LEN + 1])
{
    struct qr_guid bytes;
    qr_model_guid(&stage->model, host, &bytes);
    qr_guid_format(&bytes, guid);
}

int64_t stage_gaps(struct stage *stage, const char *guid)
{
    json_t *status = qr_cluster_status(&stage->cluster, 1), *one;
    int64_t gaps = -1;
    size_t i;
    json_array_foreach(json_object_get(status, "children"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "guid")), guid) == 0)
            gaps = json_integer_value(json_object_get(one, "gaps"));
    }
    json_decref(status);
    return gaps;
}

/* ---- up and down ---- */

void stage_members_up(struct stage *stage, const struct stage_options *options)
{
    memset(stage, 0, sizeof *stage);
    snprintf(stage->name, sizeof stage->name, "%s", options->name);
    struct qr_cluster_options cluster = options->cluster;
    cluster.name = options->name;
    assert_int_equal(qr_cluster_create(&stage->cluster, &cluster), 0);
    stage->up = true;
    expect(stage, qr_cluster_start_all(&stage->cluster) == 0);
    unsigned leader = qr_cluster_wait_leader(&stage->cluster, LEADER_MS);
    expect(stage, leader != 0);
    expect(stage, qr_cluster_wait_caught_up(&stage->cluster, LEADER_MS));
    stage->first = options->first_not_leader ? leader % stage->cluster.n + 1 : leader;
}

static void start_load(struct stage *stage, const struct stage_options *options)
{
    char program[512], to[512], log[512], hosts[16], charts[16], dims[16], first[32], seed[32];
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(stage->load_json, sizeof stage->load_json, "%s/loadgen.json", stage->cluster.dir);
    snprintf(log, sizeof log, "%s/loadgen.log", stage->cluster.dir);
    qr_cluster_destinations(&stage->cluster, stage->first, ',', to, sizeof to);
    if (options->also != NULL)
        snprintf(to + strlen(to), sizeof to - strlen(to), ",%s", options->also);
    snprintf(hosts, sizeof hosts, "%u", stage->model.n_hosts);
    snprintf(charts, sizeof charts, "%u", stage->model.n_charts);
    snprintf(dims, sizeof dims, "%u", stage->model.n_dims);
    snprintf(first, sizeof first, "%lld", (long long)stage->first_s);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)stage->model.seed);
    const char *argv[48] = {program,
                            "--to",
                            to,
                            "--key",
                            stage->cluster.api_key,
                            "--rotate",
                            "--hosts",
                            hosts,
                            "--charts",
                            charts,
                            "--dims",
                            dims,
                            "--first",
                            first,
                            "--duration",
                            "0",
                            "--json-file",
                            stage->load_json,
                            "--truncate",
                            "--timeout",
                            "2000",
                            "--postpone-scale",
                            "0.1",
                            "--seed",
                            seed};
    size_t n = 25;
    for (size_t i = 0; i < 16 && options->loadgen[i] != NULL; i++)
        argv[n++] = options->loadgen[i];
    expect(stage, qr_process_start(&stage->load, "quorate-loadgen", log, -1, argv) == 0);
}

static void start_netdata(struct stage *stage)
{
    char to[512];
    if (!qr_netdata_available()) {
        print_message("%s: netdata is not installed: without a real child\n", stage->name);
        return;
    }
    qr_cluster_destinations(&stage->cluster, stage->first, ' ', to, sizeof to);
    struct qr_netdata_options options = {
        .name = "child", .destinations = to, .api_key = stage->cluster.api_key};
    stage->has_netdata = true;
    expect(stage, qr_netdata_start(&stage->netdata, &options) == 0);
}

void stage_up(struct stage *stage, const struct stage_options *options)
{
    stage_members_up(stage, options);
    stage->model = (struct qr_model){.seed = (uint64_t)getpid(),
                                     .n_hosts = options->n_hosts > 0 ? options->n_hosts : 6,
                                     .n_charts = options->n_charts > 0 ? options->n_charts : 16,
                                     .n_dims = options->n_dims > 0 ? options->n_dims : 8,
                                     .update_every = 1,
                                     .mix = true};
    stage->first_s = (int64_t)(qr_real_ms() / 1000) -
                     (options->history_s > 0 ? options->history_s : STAGE_HISTORY_S);
    start_load(stage, options);
    if (options->netdata)
        start_netdata(stage);
    stage_wait_live(stage, LIVE_MS);
    /* Some seconds of quiet streaming before anything happens. */
    stage_wait_stored(stage, (int64_t)(qr_real_ms() / 1000) + 2, SETTLE_MS);
}

void stage_down(struct stage *stage)
{
    if (!stage->up)
        return;
    qr_process_signal(&stage->load, SIGCONT);
    qr_process_stop(&stage->load, STAGE_DOWN_MS);
    if (stage->has_netdata)
        qr_netdata_release(&stage->netdata, stage->failed);
    qr_cluster_release(&stage->cluster, stage->failed);
    stage->up = false;
}

/* ---- waits ---- */

json_t *stage_load_figures(struct stage *stage)
{
    return json_load_file(stage->load_json, 0, NULL);
}

static int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

struct living {
    struct stage *stage;
    int64_t asked_ms;
};

static bool is_live(void *data)
{
    struct living *l = data;
    json_t *figures = stage_load_figures(l->stage);
    json_int_t n_hosts = l->stage->model.n_hosts, n_charts = l->stage->model.n_charts;
    /* Slow charts and pausing ones are announced at their first collection. */
    bool live = number(figures, "written_ms") > l->asked_ms &&
                number(figures, "connected") == n_hosts &&
                number(figures, "charts_live") == n_hosts * n_charts;
    json_decref(figures);
    return live;
}

void stage_wait_live(struct stage *stage, uint64_t timeout_ms)
{
    struct living l = {stage, (int64_t)qr_real_ms()};
    expect(stage, qr_wait_for(is_live, &l, timeout_ms, 100));
}

void stage_fault(struct stage *stage)
{
    stage->fault_ms = qr_real_ms();
}

struct storing {
    struct stage *stage;
    const char *guid; /* NULL: every child. */
    int64_t t;
    bool any; /* One member is enough. */
    unsigned except;
};

static bool member_has(struct storing *s, unsigned id)
{
    struct stage *stage = s->stage;
    if (s->guid != NULL)
        return qr_cluster_watermark(&stage->cluster, id, s->guid) >= s->t;
    for (uint32_t host = 0; host < stage->model.n_hosts; host++) {
        char guid[QR_GUID_TEXT_LEN + 1];
        stage_guid(stage, host, guid);
        if (qr_cluster_watermark(&stage->cluster, id, guid) < s->t)
            return false;
    }
    return !stage->has_netdata ||
           qr_cluster_watermark(&stage->cluster, id, stage->netdata.guid) >= s->t;
}

static bool is_stored(void *data)
{
    struct storing *s = data;
    struct qr_cluster *cluster = &s->stage->cluster;
    for (unsigned id = 1; id <= cluster->n; id++) {
        if (id == s->except || !qr_cluster_running(cluster, id))
            continue;
        bool has = member_has(s, id);
        if (has && s->any)
            return true;
        if (!has && !s->any)
            return false;
    }
    return !s->any;
}

void stage_wait_stored(struct stage *stage, int64_t t, uint64_t timeout_ms)
{
    struct storing s = {stage, NULL, t, false, 0};
    expect(stage, qr_wait_for(is_stored, &s, timeout_ms, 50));
}

void stage_wait_stored_after_fault(struct stage *stage, const char *guid, uint64_t timeout_ms)
{
    stage_wait_stored_after_fault_except(stage, guid, 0, timeout_ms);
}

void stage_wait_stored_after_fault_except(struct stage *stage, const char *guid, unsigned except,
                                          uint64_t timeout_ms)
{
    struct storing s = {stage, guid, (int64_t)(stage->fault_ms / 1000) + 1, true, except};
    expect(stage, qr_wait_for(is_stored, &s, timeout_ms, 20));
    stage->first_stored_ms = qr_real_ms();
    s.any = false;
    expect(stage, qr_wait_for(is_stored, &s, timeout_ms, 20));
}

struct move {
    struct stage *stage;
    const char *guid;
    unsigned from;
};

static bool has_moved(void *data)
{
    const struct move *move = data;
    unsigned owner = qr_cluster_owner(&move->stage->cluster, move->guid);
    return owner != 0 && owner != move->from;
}

void stage_wait_moved(struct stage *stage, const char *guid, unsigned from, uint64_t timeout_ms)
{
    struct move move = {stage, guid, from};
    expect(stage, qr_wait_for(has_moved, &move, timeout_ms, 50));
}

/* ---- the check ---- */

void stage_verify_member(struct stage *stage, unsigned id, int64_t to_s, struct qr_verify *result)
{
    const char *url = stage->cluster.members[id].url;
    qr_verify_node(&stage->model, &stage->cluster.fetch, url, stage->first_s + STAGE_FIRST_S, to_s,
                   result);
    if (!stage->has_netdata)
        return;
    char prefix[256];
    snprintf(prefix, sizeof prefix, "%s/host/%s", url, stage->netdata.guid);
    /* Its first second is never sent: a child's answers begin after it. */
    qr_netdata_compare(&stage->netdata, &stage->cluster.fetch, prefix, stage->netdata.started_s + 4,
                       to_s, result);
}

struct verifying {
    struct stage *stage;
    unsigned id;
    int64_t to_s;
    struct qr_verify result;
};

static bool is_right(void *data)
{
    struct verifying *v = data;
    memset(&v->result, 0, sizeof v->result);
    stage_verify_member(v->stage, v->id, v->to_s, &v->result);
    return qr_verify_ok(&v->result);
}

/* What a truncated answer left out is asked for in the background: holes have until the deadline.
 */
static void verify_members(struct stage *stage, int64_t to_s)
{
    bool ok = true;
    for (unsigned id = 1; id <= stage->cluster.n; id++) {
        struct verifying v = {stage, id, to_s, {0}};
        char text[512];
        if (!qr_cluster_running(&stage->cluster, id))
            continue;
        if (!qr_wait_for(is_right, &v, REFILL_MS, 500)) {
            qr_verify_format(&v.result, text, sizeof text);
            fprintf(stderr, "%s: member %u: %s\n", stage->name, id, text);
            ok = false;
        }
        stage->result.n_values += v.result.n_values;
        stage->result.n_holes += v.result.n_holes;
        stage->result.n_wrong += v.result.n_wrong;
        stage->result.n_duplicates += v.result.n_duplicates;
        stage->result.n_extra += v.result.n_extra;
        stage->result.n_failed += v.result.n_failed;
    }
    expect(stage, ok);
}

/* The longest of the children's own moves, ms: from the last thing said on the old connection to
 * the first REPLAY_CHART on the new one. */
static int64_t longest_move(const json_t *figures, uint64_t after_ms)
{
    const json_t *failovers = json_object_get(figures, "failovers");
    int64_t longest = 0;
    for (size_t i = 0; i < json_array_size(failovers); i++) {
        const json_t *f = json_array_get(failovers, i);
        int64_t ms = number(f, "replay_ms") - number(f, "last_sent_ms");
        if (number(f, "broken_ms") >= (int64_t)after_ms && ms > longest)
            longest = ms;
    }
    return longest;
}

static void print_refusals(const json_t *figures)
{
    const char *text;
    json_t *n;
    json_object_foreach(json_object_get(figures, "refusals"), text, n)
        printf(" refused=%lld:\"%s\"", (long long)json_integer_value(n), text);
}

static void print_figures(struct stage *stage)
{
    json_t *figures = stage_load_figures(stage);
    printf("ha %s:", stage->name);
    if (stage->first_stored_ms > 0)
        printf(" first_sample_s=%.2f", (double)(stage->first_stored_ms - stage->fault_ms) / 1000);
    printf(" longest_move_s=%.2f replayed=%lld live=%lld breaks=%lld",
           (double)longest_move(figures, stage->fault_ms) / 1000,
           (long long)number(figures, "samples_replayed"),
           (long long)number(figures, "samples_live"), (long long)number(figures, "breaks"));
    print_refusals(figures);
    printf(" values=%llu holes=%llu duplicates=%llu wrong=%llu extra=%llu\n",
           (unsigned long long)stage->result.n_values, (unsigned long long)stage->result.n_holes,
           (unsigned long long)stage->result.n_duplicates,
           (unsigned long long)stage->result.n_wrong, (unsigned long long)stage->result.n_extra);
    fflush(stdout);
    json_decref(figures);
}

void stage_check(struct stage *stage)
{
    stage_wait_live(stage, LIVE_MS);
    int64_t to_s = (int64_t)(qr_real_ms() / 1000);
    stage_wait_stored(stage, to_s + STAGE_SETTLE_S, SETTLE_MS);
    expect(stage, qr_cluster_wait_caught_up(&stage->cluster, SETTLE_MS));
    verify_members(stage, to_s);
    print_figures(stage);
    /* With less going on the members are at one index more often. */
    qr_process_signal(&stage->load, SIGSTOP);
    qr_process_signal(&stage->netdata.process, SIGSTOP);
    expect(stage, qr_cluster_compare_hashes(&stage->cluster, COMPARE_MS) == 1);
}

void stage_wake_children(struct stage *stage)
{
    qr_process_signal(&stage->load, SIGCONT);
    qr_process_signal(&stage->netdata.process, SIGCONT);
    memset(&stage->result, 0, sizeof stage->result);
}

int64_t stage_counter(struct stage *stage, const char *name)
{
    int64_t sum = 0;
    for (unsigned id = 1; id <= stage->cluster.n; id++) {
        json_t *status = qr_cluster_status(&stage->cluster, id);
        sum += number(json_object_get(status, "counters"), name);
        json_decref(status);
    }
    return sum;
}
