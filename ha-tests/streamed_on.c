#include "ha-tests/streamed_on.h"

#include <stdio.h>
#include <string.h>

#define STREAMING_MS 60000
#define STORED_MS    90000
#define REFILL_MS    60000

void streamed_on_adopt(struct stage *far, const struct stage *near)
{
    far->model = near->model;
    far->first_s = near->first_s;
    far->netdata = near->netdata;
    far->has_netdata = near->has_netdata;
}

void streamed_on_up(struct stage *near, struct stage *far, const struct stage_options *near_options,
                    const struct stage_options *far_options)
{
    struct stage_options options = *near_options;
    char to[512];
    stage_members_up(far, far_options);
    qr_cluster_destinations(&far->cluster, 1, ' ', to, sizeof to);
    options.cluster.upstream = to;
    options.cluster.upstream_key = far->cluster.api_key;
    stage_up(near, &options);
    streamed_on_adopt(far, near);
    streamed_on_wait(near, STREAMING_MS);
}

/* ---- what the near side says of it ---- */

struct told {
    struct stage *near;
    unsigned n_streaming;
    int64_t lag_s;
};

/* Of the children, not of the members' own hosts. */
static void add_told(struct told *told, const json_t *children)
{
    size_t i;
    json_t *child;
    json_array_foreach(children, i, child)
    {
        const json_t *upstream = json_object_get(child, "upstream");
        if (!json_is_object(upstream) || json_is_true(json_object_get(child, "own")))
            continue;
        int64_t lag_s = json_integer_value(json_object_get(upstream, "lag_s"));
        const char *state = json_string_value(json_object_get(upstream, "state"));
        told->n_streaming += strcmp(state, "streaming") == 0;
        if (lag_s > told->lag_s)
            told->lag_s = lag_s;
    }
}

static void ask_near(struct told *told)
{
    told->n_streaming = 0;
    told->lag_s = -1;
    for (unsigned id = 1; id <= told->near->cluster.n; id++) {
        json_t *status = qr_cluster_status(&told->near->cluster, id);
        add_told(told, json_object_get(status, "children"));
        json_decref(status);
    }
}

static bool is_streamed_on(void *data)
{
    struct told *told = data;
    ask_near(told);
    return told->n_streaming >= told->near->model.n_hosts && told->lag_s >= 0 && told->lag_s <= 2;
}

void streamed_on_wait(struct stage *near, uint64_t timeout_ms)
{
    struct told told = {.near = near};
    bool ok = qr_wait_for(is_streamed_on, &told, timeout_ms, 100);
    if (!ok)
        fprintf(stderr, "%s: %u of %u hosts are streamed on, lag %lld s\n", near->name,
                told.n_streaming, near->model.n_hosts, (long long)told.lag_s);
    expect(near, ok);
}

int64_t streamed_on_lag_s(struct stage *near)
{
    struct told told = {.near = near};
    ask_near(&told);
    return told.lag_s;
}

/* ---- the check ---- */

struct checking {
    struct stage *stage;
    unsigned id;
    int64_t to_s;
    struct qr_verify result;
};

static bool is_whole(void *data)
{
    struct checking *c = data;
    memset(&c->result, 0, sizeof c->result);
    stage_verify_member(c->stage, c->id, c->to_s, &c->result);
    return qr_verify_ok(&c->result);
}

static bool check_members(struct stage *stage, int64_t to_s)
{
    bool ok = true;
    for (unsigned id = 1; id <= stage->cluster.n; id++) {
        struct checking c = {.stage = stage, .id = id, .to_s = to_s};
        char text[512];
        if (!qr_cluster_running(&stage->cluster, id))
            continue;
        ok = qr_wait_for(is_whole, &c, REFILL_MS, 500) && ok;
        qr_verify_format(&c.result, text, sizeof text);
        print_message("ha %s: member %u: %s\n", stage->name, id, text);
    }
    return ok;
}

void streamed_on_check(struct stage *near, struct stage *far)
{
    int64_t to_s = (int64_t)(qr_real_ms() / 1000);
    for (unsigned id = 1; id <= near->cluster.n; id++)
        expect(near, qr_cluster_running(&near->cluster, id));
    for (unsigned id = 1; id <= far->cluster.n; id++)
        expect(far, qr_cluster_running(&far->cluster, id));
    stage_wait_stored(near, to_s + STAGE_SETTLE_S, STORED_MS);
    stage_wait_stored(far, to_s + STAGE_SETTLE_S, STORED_MS);
    expect(near, check_members(near, to_s));
    bool ok = check_members(far, to_s);
    if (!ok)
        qr_cluster_print_logs(&near->cluster);
    expect(far, ok);
}
