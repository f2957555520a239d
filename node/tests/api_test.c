#include "node/api.h"

#include "base/compiler.h"
#include "node/function_frame.h"
#include "node/tests/api_fixture.h"

/* ---- routes and errors, as a real server gave them ---- */

static const struct {
    const char *target;
    int status;
    const char *type, *body;
} refusals[] = {
    {"/api", 400, QR_HTTP_TEXT, "Which API version?"},
    {"/api/v2/info", 404, QR_HTTP_HTML, "Unsupported API version: v2"},
    {"/api/v1", 400, QR_HTTP_TEXT, "Which API v1 command?"},
    {"/api/v1/", 400, QR_HTTP_TEXT, "Which API v1 command?"},
    {"/api/v1/nosuch", 404, QR_HTTP_TEXT, "Unsupported v1 API command: nosuch"},
    {"/api/v1/info/", 404, QR_HTTP_TEXT, "Unsupported v1 API command: info&#x2F;"},
    {"/api/v1/logfile", 404, QR_HTTP_TEXT, "Unsupported v1 API command: logfile"},
    {"/api/v1/%3Cb%3E", 404, QR_HTTP_TEXT, "Unsupported v1 API command: &lt;b&gt;"},
    {"/api/v1/chart", 400, QR_HTTP_TEXT, "No chart id is given at the request."},
    {"/api/v1/chart?chart=nope.nope", 404, QR_HTTP_TEXT, "Chart is not found: nope.nope"},
    {"/api/v1/context", 400, QR_HTTP_TEXT, "No context is given at the request."},
    {"/api/v1/context?context=nope", 404, QR_HTTP_JSON, ""},
    {"/api/v1/data", 400, QR_HTTP_TEXT, "No chart or context is given."},
    {"/api/v1/data?chart=nope.nope", 404, QR_HTTP_TEXT, "No metrics where matched to query."},
    {"/api/v1/data?context=nope", 404, QR_HTTP_TEXT, "No metrics where matched to query."},
    {"/api/v1/data?chart=qdemo.alpha&dimension=nope", 404, QR_HTTP_TEXT,
     "No metrics where matched to query."},
    {"/api/v1/data?chart=qdemo.alpha&after=1&before=2000000", 404, QR_HTTP_TEXT,
     "No metrics where matched to query."},
    {"/api/v1/data?chart=qdemo.alpha&chart_labels_filter=device:sdb", 404, QR_HTTP_TEXT,
     "No metrics where matched to query."},
    {"/host/nope/api/v1/info", 404, QR_HTTP_HTML,
     "This netdata does not maintain a database for host: nope"},
    {"/host/0A252334-E6EF-11F1-97B4-02FC00000001/api/v1/info", 404, QR_HTTP_HTML,
     "This netdata does not maintain a database for host: 0A252334-E6EF-11F1-97B4-02FC00000001"},
    {"/host/qchild1/host/qparent/api/v1/info", 400, QR_HTTP_TEXT,
     "Nesting of hosts is not allowed."},
    {"/host/qchild1", 308, QR_HTTP_TEXT, "Permanent redirect"},
    {"/nosuch.html", 404, QR_HTTP_HTML,
     "File does not exist, or is not accessible: "
     "&#x2F;usr&#x2F;share&#x2F;netdata&#x2F;web&#x2F;nosuch.html"},
    {"/node/x/api/v1/info", 404, QR_HTTP_HTML,
     "File does not exist, or is not accessible: &#x2F;usr&#x2F;share&#x2F;netdata&#x2F;web&#x2F;"
     "node&#x2F;x&#x2F;api&#x2F;v1&#x2F;info"},
    {"/a..b", 400, QR_HTTP_HTML, "Relative filenames are not supported: a..b"},
    {"/a%20b", 400, QR_HTTP_HTML, "Filename contains invalid characters: a b"},
};

static void refuses_as_netdata_does(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < QR_COUNT(refusals); i++) {
        const char *body = ask(f, refusals[i].target);
        if (f->last.status != refusals[i].status || strcmp(body, refusals[i].body) != 0)
            fail_msg("%s: %d %s", refusals[i].target, f->last.status, body);
        assert_string_equal(f->last.content_type, refusals[i].type);
        assert_false(f->last.cacheable);
    }
}

static void redirects_hosts_to_their_folder(void **state)
{
    struct fixture *f = *state;
    ask(f, "/host/qchild1");
    assert_string_equal(f->last.headers.base, "Location: http://127.0.0.1:19999/host/qchild1/\r\n");
    ask_with(f, "/host/qchild1", "X-Forwarded-Proto: https\r\nX-Forwarded-Host: f.example\r\n");
    assert_string_equal(f->last.headers.base, "Location: https://f.example/host/qchild1/\r\n");
    ask(f, "/host/a%0d%0aSet-Cookie:%20x"); /* No line of ours ends where a stranger wants. */
    assert_string_equal(f->last.headers.base,
                        "Location: http://127.0.0.1:19999/host/a%0D%0ASet-Cookie%3A%20x/\r\n");
}

static void serves_the_page_anywhere(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"/", "/index.html", "/host/qchild1/", "//"};
    for (size_t i = 0; i < QR_COUNT(targets); i++) {
        const char *body = ask(f, targets[i]);
        assert_int_equal(f->last.status, 200);
        assert_string_equal(f->last.content_type, QR_HTTP_HTML);
        assert_memory_equal(body, "<!doctype html>", 15);
        assert_null(strstr(body, "http://"));
        assert_null(strstr(body, "https://")); /* Nothing from elsewhere. */
    }
}

/* All of the host's in its info; a chart's with the chart. */
static void functions_are_told_with_what_has_them(void **state)
{
    struct fixture *f = *state;
    struct qr_buf list = {0};
    const struct qr_function told[] = {
        {.name = qr_slice_str("top"),
         .help = qr_slice_str("what \"runs\""),
         .timeout_s = 7,
         .global = true},
        {.name = qr_slice_str("ps"), .timeout_s = 10, .chart = qr_slice_str("qdemo.alpha")}};
    for (size_t i = 0; i < QR_COUNT(told); i++)
        qr_function_list_add(&list, &told[i]);
    assert_non_null(strstr(ask(f, "/api/v1/info"), "\"functions\":{},"));
    f->functions = qr_buf_slice(&list);
    assert_non_null(strstr(ask(f, "/api/v1/info"),
                           "\"functions\":{\"top\":{\"help\":\"what \\\"runs\\\"\",\"timeout\":7,"
                           "\"options\":\"GLOBAL \"},\"ps\":{\"help\":\"\",\"timeout\":10,"
                           "\"options\":\"LOCAL \"}},"));
    json_t *charts = ask_json(f, "/api/v1/charts");
    const char *id;
    json_t *chart;
    size_t n = 0;
    json_object_foreach(json_object_get(charts, "charts"), id, chart)
    {
        json_t *functions = json_object_get(chart, "functions");
        bool its = strcmp(id, "qdemo.alpha") == 0;
        assert_int_equal(json_object_size(functions), its);
        assert_int_equal(json_object_get(functions, "ps") != NULL, its);
        n += its;
    }
    assert_int_equal(n, 1);
    json_decref(charts);
    f->functions = qr_slice_of("", 0);
    qr_buf_release(&list);
}

static void preflights_are_answered(void **state)
{
    struct fixture *f = *state;
    struct qr_http_request request;
    int status;
    const char *sentence;
    assert_true(qr_http_parse(&request, qr_slice_str("OPTIONS /x HTTP/1.1\r\n\r\n"), &status,
                              &sentence) > 0);
    qr_http_response_release(&f->last);
    qr_http_response_init(&f->last);
    qr_api_handle(&f->api, &request, qr_slice_of("", 0), &f->last);
    assert_int_equal(f->last.status, 200);
    assert_slice(qr_buf_slice(&f->last.body), "OK");
    qr_http_request_release(&request);
}

/* ---- hosts ---- */

static void hosts_are_selected_by_name_and_guid(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *target, *guid, *version;
    } cases[] = {
        {"/api/v1/info", PARENT_GUID, "v1.37.1"},
        {"/host/localhost/api/v1/info", PARENT_GUID, "v1.37.1"},
        {"/host/qparent/api/v1/info", PARENT_GUID, "v1.37.1"},
        {"/host/qchild1/api/v1/info", CHILD_GUID, "v1.36.0"},
        {"/host/qchild1//api/v1/info", CHILD_GUID, "v1.36.0"},
        {"/host/" CHILD_GUID "/api/v1/info", CHILD_GUID, "v1.36.0"},
        {"/host/0b562d84-e6ef-11f1-8c61-02fc00000001/api/v1/info",
         "0b562d84-e6ef-11f1-8c61-02fc00000001", "v1.36.0"},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        json_t *root = ask_json(f, cases[i].target);
        assert_string_equal(text_at(root, "uid"), cases[i].guid);
        assert_string_equal(text_at(root, "version"), cases[i].version);
        json_decref(root);
    }
}

/* The log still says connected: only the picture knows that its member is dead. */
static void a_host_of_a_dead_member_is_not_reachable(void **state)
{
    struct fixture *f = *state;
    const struct qr_status *usual = atomic_load(&f->api.status);
    struct qr_status picture = *usual;
    struct qr_status_child children[] = {{.host = 1, .connected = true},
                                         {.host = 2, .connected = true},
                                         {.host = 3, .connected = true}};
    assert_int_equal(f->child, 1);
    picture.n_children = 3;
    picture.children = children;
    for (int connected = 0; connected < 2; connected++) {
        children[0].connected = connected == 1;
        atomic_store(&f->api.status, &picture);
        json_t *root = ask_json(f, "/api/v1/info");
        atomic_store(&f->api.status, usual);
        json_t *host = json_array_get(json_object_get(root, "mirrored_hosts_status"), 1);
        assert_string_equal(text_at(host, "hostname"), "qchild1");
        assert_int_equal(json_is_true(json_object_get(host, "reachable")), connected);
        json_decref(root);
    }
}

static void our_own_host_comes_first(void **state)
{
    struct fixture *f = *state;
    json_t *root = ask_json(f, "/host/qchild1/api/v1/info");
    json_t *names = json_object_get(root, "mirrored_hosts");
    assert_int_equal(json_array_size(names), 3);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "qparent");
    json_t *hosts = json_object_get(root, "mirrored_hosts_status");
    static const int hops[] = {0, 1, 1}, reachable[] = {1, 1, 0};
    for (size_t i = 0; i < 3; i++) {
        json_t *host = json_array_get(hosts, i);
        assert_int_equal(json_integer_value(json_object_get(host, "hops")), hops[i]);
        assert_int_equal(json_is_true(json_object_get(host, "reachable")), reachable[i]);
    }
    json_decref(root);
    root = ask_json(f, "/host/qchild1/api/v1/charts");
    json_t *first = json_array_get(json_object_get(root, "hosts"), 0);
    assert_string_equal(text_at(first, "hostname"), "qparent");
    assert_string_equal(text_at(root, "hostname"), "qchild1");
    json_decref(root);
}

static void answers_before_the_log_knows_us(void **state)
{
    struct fixture *f = *state;
    f->api.host_guid = guid_of("11111111-2222-3333-4444-555555555555");
    f->api.hostname = "newcomer";
    f->api.status = NULL;
    json_t *root = ask_json(f, "/api/v1/info");
    assert_string_equal(text_at(root, "uid"), "11111111-2222-3333-4444-555555555555");
    assert_int_equal(json_array_size(json_object_get(root, "mirrored_hosts")), 4);
    json_decref(root);
    root = ask_json(f, "/api/v1/charts");
    assert_int_equal(json_object_size(json_object_get(root, "charts")), 0);
    assert_string_equal(text_at(root, "hostname"), "newcomer");
    json_decref(root);
    json_decref(ask_json(f, "/api/v1/contexts"));
    ask(f, "/api/v1/chart?chart=qdemo.alpha");
    assert_int_equal(f->last.status, 404);
    ask(f, "/api/v1/data?chart=qdemo.alpha");
    assert_int_equal(f->last.status, 404);
    json_decref(ask_json(f, "/host/qparent/api/v1/chart?chart=qdemo.alpha"));
    ask(f, "/api/quorate/v1/status");
    assert_int_equal(f->last.status, 503);
}

/* ---- info, charts, contexts ---- */

static void info_has_netdatas_fields(void **state)
{
    static const char *const keys[] = {"version",
                                       "uid",
                                       "mirrored_hosts",
                                       "mirrored_hosts_status",
                                       "alarms",
                                       "os_name",
                                       "os_id",
                                       "os_id_like",
                                       "os_version",
                                       "os_version_id",
                                       "os_detection",
                                       "cores_total",
                                       "total_disk_space",
                                       "cpu_freq",
                                       "ram_total",
                                       "is_k8s_node",
                                       "kernel_name",
                                       "kernel_version",
                                       "architecture",
                                       "virtualization",
                                       "virt_detection",
                                       "container",
                                       "container_detection",
                                       "host_labels",
                                       "functions",
                                       "collectors",
                                       "cloud-enabled",
                                       "cloud-available",
                                       "agent-claimed",
                                       "aclk-available",
                                       "memory-mode",
                                       "multidb-disk-quota",
                                       "page-cache-size",
                                       "stream-enabled",
                                       "stream-compression",
                                       "hosts-available",
                                       "https-enabled",
                                       "buildinfo",
                                       "release-channel",
                                       "web-enabled",
                                       "notification-methods",
                                       "exporting-enabled",
                                       "exporting-connectors",
                                       "allmetrics-prometheus-used",
                                       "allmetrics-shell-used",
                                       "allmetrics-json-used",
                                       "dashboard-used",
                                       "charts-count",
                                       "metrics-count"};
    struct fixture *f = *state;
    json_t *root = ask_json(f, "/api/v1/info");
    size_t i = 0;
    for (void *at = json_object_iter(root); at != NULL; at = json_object_iter_next(root, at)) {
        assert_true(i < QR_COUNT(keys));
        assert_string_equal(json_object_iter_key(at), keys[i++]);
    }
    assert_int_equal(i, QR_COUNT(keys));
    assert_string_equal(text_at(root, "os_name"), "unknown");
    assert_string_equal(text_at(root, "cpu_freq"), "2.596e+09");
    assert_string_equal(text_at(root, "kernel_name"), "");
    assert_string_equal(text_at(json_object_get(root, "host_labels"), "site"), "lab \"one\"");
    json_t *collectors = json_object_get(root, "collectors");
    assert_int_equal(json_array_size(collectors), 2);
    assert_string_equal(text_at(json_array_get(collectors, 0), "module"), "mod1");
    assert_false(f->last.cacheable);
    json_decref(root);
}

static void a_chart_is_what_a_real_parent_said(void **state)
{
    struct fixture *f = *state;
    json_t *real = example("chart.json");
    json_t *ours = ask_json(f, "/api/v1/chart?chart=qdemo.alpha");
    assert_true(f->last.cacheable);
    /* It had alarms, which are not here yet. */
    json_object_set_new(real, "alarms", json_object());
    assert_same_shape(real, ours, "chart");
    if (!json_equal(real, ours))
        fail_msg("%s", f->last.body.base);
    json_t *by_name = ask_json(f, "/api/v1/chart?chart=qdemo.qdemo_alpha_name");
    assert_true(json_equal(by_name, ours));
    json_decref(real);
    json_decref(ours);
    json_decref(by_name);
}

static void charts_lists_what_shows(void **state)
{
    static const char *const keys[] = {
        "hostname",     "version",          "release_channel", "os",
        "timezone",     "update_every",     "history",         "memory_mode",
        "custom_info",  "charts",           "charts_count",    "dimensions_count",
        "alarms_count", "rrd_memory_bytes", "hosts_count",     "hosts"};
    struct fixture *f = *state;
    json_t *root = ask_json(f, "/api/v1/charts?_=1795405386000");
    size_t i = 0;
    for (void *at = json_object_iter(root); at != NULL; at = json_object_iter_next(root, at))
        assert_string_equal(json_object_iter_key(at), keys[i++]);
    assert_int_equal(i, QR_COUNT(keys));
    json_t *charts = json_object_get(root, "charts"), *real = example("chart.json");
    assert_int_equal(json_object_size(charts), 3);
    assert_null(json_object_get(charts, "hidden.chart"));
    json_object_set_new(real, "alarms", json_object());
    assert_true(json_equal(json_object_get(charts, "qdemo.alpha"), real));
    json_t *slow = json_object_get(charts, "slow.ten");
    assert_string_equal(text_at(json_object_get(slow, "chart_labels"), "_collect_module"),
                        "[none]");
    assert_int_equal(json_integer_value(json_object_get(slow, "duration")), 410);
    assert_int_equal(json_integer_value(json_object_get(root, "charts_count")), 3);
    assert_int_equal(json_integer_value(json_object_get(root, "dimensions_count")), 6);
    json_decref(real);
    json_decref(root);
}

static void contexts_join_charts(void **state)
{
    struct fixture *f = *state;
    json_t *root = ask_json(f, "/api/v1/contexts");
    json_t *contexts = json_object_get(root, "contexts");
    assert_int_equal(json_object_size(contexts), 2);
    json_t *expected = json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:b}", "title", "Demo beta", "units",
                                 "%", "family", "famB", "chart_type", "line", "priority", 5000,
                                 "first_time_t", T0 - 25, "last_time_t", T0 + 386, "collected", 1);
    assert_true(json_equal(json_object_get(contexts, "qdemo.ctx"), expected));
    json_decref(root);

    root = ask_json(f, "/api/v1/context?context=qdemo.ctx");
    assert_true(json_equal(root, expected));
    json_decref(root);
    json_decref(expected);

    root = ask_json(f, "/api/v1/context?context=qdemo.ctx&options=charts,dimensions,labels");
    json_t *charts = json_object_get(root, "charts");
    assert_int_equal(json_object_size(charts), 2);
    json_t *alpha = json_object_get(charts, "qdemo.alpha");
    assert_string_equal(text_at(json_object_get(alpha, "labels"), "device"), "sda");
    assert_int_equal(json_object_size(json_object_get(alpha, "dimensions")), 4); /* hidden too */
    json_decref(root);

    root = ask_json(f, "/api/v1/contexts?dimensions=gap&options=dimensions");
    contexts = json_object_get(root, "contexts");
    charts = json_object_get(json_object_get(contexts, "qdemo.ctx"), "charts");
    assert_int_equal(json_object_size(charts), 1);
    assert_int_equal(
        json_object_size(json_object_get(json_object_get(charts, "qdemo.beta"), "dimensions")), 1);
    json_decref(root);

    root = ask_json(f, "/api/v1/contexts?chart_labels_filter=device:sda");
    contexts = json_object_get(root, "contexts");
    assert_int_equal(json_object_size(contexts), 1);
    json_decref(root);
    root = ask_json(f, "/api/v1/contexts?after=1000000&before=1000001000");
    assert_int_equal(json_object_size(json_object_get(root, "contexts")), 0);
    json_decref(root);
}

/* ---- data ---- */

#define ALPHA "/api/v1/data?chart=qdemo.alpha&"

static const struct {
    const char *target, *type, *body;
} data[] = {
    {ALPHA "after=-2", QR_HTTP_JSON,
     "{\n \"labels\": [\"time\",\"one\",\"Two Name\",\"inc\"],\n    \"data\":\n [\n"
     " [ 1795405385,5,5.5,5.004945],\n [ 1795405384,4,4.5,3.971157]\n]\n}"},
    {ALPHA "after=-2&format=jsonp&callback=cb1", QR_HTTP_JAVASCRIPT,
     "cb1({\n \"labels\": [\"time\",\"one\",\"Two Name\",\"inc\"],\n    \"data\":\n [\n"
     " [ 1795405385,5,5.5,5.004945],\n [ 1795405384,4,4.5,3.971157]\n]\n});"},
    {ALPHA "after=-1&format=jsonp&callback=a(b)", QR_HTTP_JAVASCRIPT,
     "a_b_({\n \"labels\": [\"time\",\"one\",\"Two Name\",\"inc\"],\n    \"data\":\n [\n"
     " [ 1795405385,5,5.5,5.004945]\n]\n});"},
    {ALPHA "after=-3&format=csv&options=seconds", QR_HTTP_TEXT,
     "time,one,Two Name,inc\r\n1795405385,5,5.5,5.004945\r\n1795405384,4,4.5,3.971157\r\n"
     "1795405383,3,3.5,2.979078\r\n"},
    {"/api/v1/data?chart=qdemo.beta&after=1795405290&before=1795405302&format=csv", QR_HTTP_TEXT,
     "time,one,gap\r\n"
     "2026-11-23 03:41:42,-2,3\r\n"
     "2026-11-23 03:41:41,-1,3\r\n"
     "2026-11-23 03:41:40,0,3\r\n"
     "2026-11-23 03:41:39,-9,null\r\n"
     "2026-11-23 03:41:38,-8,null\r\n"
     "2026-11-23 03:41:37,-7,null\r\n"
     "2026-11-23 03:41:36,-6,null\r\n"
     "2026-11-23 03:41:35,-5,null\r\n"
     "2026-11-23 03:41:34,-4,null\r\n"
     "2026-11-23 03:41:33,-3,null\r\n"
     "2026-11-23 03:41:32,-2,null\r\n"
     "2026-11-23 03:41:31,-1,null\r\n"
     "2026-11-23 03:41:30,0,null\r\n"},
    /* Dimensions: any order, ids or names, hidden ones when named. */
    {ALPHA "after=-1&format=csv&options=seconds&dimensions=inc&dim=Two%20Name", QR_HTTP_TEXT,
     "time,Two Name,inc\r\n1795405385,5.5,5.004945\r\n"},
    {ALPHA "after=-1&format=csv&options=seconds&dimensions=!two,!Two*,*", QR_HTTP_TEXT,
     "time,one,inc,hid\r\n1795405385,5,5.004945,50\r\n"},
    {ALPHA "after=-1&format=csv&options=seconds,match-ids&dimensions=Two%20Name|hid", QR_HTTP_TEXT,
     "time,hid\r\n1795405385,50\r\n"},
    /* Groups. */
    {ALPHA "after=1795405291&before=1795405310&points=2&format=csv&options=seconds&group=max",
     QR_HTTP_TEXT, "time,one,Two Name,inc\r\n1795405310,9,9.5,9\r\n1795405300,9,9.5,9\r\n"},
    {ALPHA "after=1795405291&before=1795405310&points=2&format=csv&options=seconds&group=sum",
     QR_HTTP_TEXT, "time,one,Two Name,inc\r\n1795405310,45,50,45\r\n1795405300,45,50,45\r\n"},
    {ALPHA "after=1795405291&before=1795405310&points=2&format=ssv&group=min&dimension=one",
     QR_HTTP_TEXT, "0 0"},
    {ALPHA "after=1795405291&before=1795405310&points=1&format=ssv&dimension=one", QR_HTTP_TEXT,
     "4.5"},
    {ALPHA "after=1795405291&before=1795405310&points=1&format=ssv&dimension=one&group=countif&"
           "group_options=%3E5",
     QR_HTTP_TEXT, "40"},
    /* A tier by its number: its points, in its steps, those that are over. */
    {ALPHA "after=1795405080&before=1795405200&tier=1&format=csv&options=seconds&dimension=one&"
           "group=sum",
     QR_HTTP_TEXT, "time,one\r\n1795405200,270\r\n1795405140,270\r\n"},
    {ALPHA "after=1795405260&before=1795405385&points=1&tier=1&format=csv&dimension=one&group=sum&"
           "options=seconds,natural-points",
     QR_HTTP_TEXT, "time,one\r\n1795405440,270\r\n"},
    {ALPHA "after=1795405140&before=1795405143&points=4&tier=1&format=ssv&dimension=inc&"
           "options=flip,unaligned",
     QR_HTTP_TEXT, "4.5 4.5 4.5 4.5"},
    {ALPHA "after=1795405080&before=1795405200&tier=2&format=csv&options=seconds&dimension=one",
     QR_HTTP_TEXT, "time,one\r\n1795402800,null\r\n"},
    {ALPHA "after=1795405199&before=1795405200&tier=3&format=array&dimension=one", QR_HTTP_JSON,
     "[0,9]"},
    {ALPHA "after=1795405199&before=1795405200&tier=-1&format=array&dimension=one", QR_HTTP_JSON,
     "[0,9]"},
    /* gtime: a row of 5 s stands for 60: the sum is rescaled. */
    {ALPHA "after=1795405201&before=1795405320&points=2&gtime=60&format=array&dimension=one",
     QR_HTTP_JSON, "[270,270]"},
    /* Percentages of all dimensions, hidden ones too: 5 of 5 + 5.5 + 5.004945 + 50. */
    {ALPHA "after=-1&format=array&options=percentage&dimension=one", QR_HTTP_JSON, "[7.6330115]"},
    /* Its charts are read for the total, so it is not 404. */
    {ALPHA "after=-1&format=json&options=percentage&dimension=nope", QR_HTTP_JSON,
     "{\n \"labels\": [\"time\",\"no data\"],\n    \"data\":\n [\n\n]\n}"},
    {"/api/v1/data?chart=qdemo.beta&after=1795405299&before=1795405299&format=array&options=abs",
     QR_HTTP_JSON, "[9]"},
    /* An interval of 10 s: natural rows in relative windows, .. */
    {"/api/v1/data?chart=slow.ten&after=-40&format=csv&options=seconds", QR_HTTP_TEXT,
     "time,one\r\n1795405380,380\r\n1795405370,370\r\n1795405360,360\r\n1795405350,350\r\n"},
    /* .. interpolated ones where seconds are asked for. */
    {"/api/v1/data?chart=slow.ten&after=1795405206&before=1795405213&points=8&format=ssv&"
     "options=flip",
     QR_HTTP_TEXT, "206 207 208 209 210 211 212 213"},
    {"/api/v1/data?chart=slow.ten&after=1795405206&before=1795405213&points=4&format=ssv&"
     "options=flip",
     QR_HTTP_TEXT, "208 210 212 214"},
    /* Beyond the database there is nothing. */
    {"/api/v1/data?chart=slow.ten&after=1795405366&before=1795405385&points=2&format=csv&"
     "options=seconds,null2zero",
     QR_HTTP_TEXT, "time,one\r\n1795405390,0\r\n1795405380,375\r\n"},
    /* Contexts and patterns. */
    {"/api/v1/data?context=qdemo.ctx&after=-1&format=csv&options=seconds", QR_HTTP_TEXT,
     "time,one,Two Name,inc,one,gap\r\n1795405385,5,5.5,5.004945,-5,3\r\n"},
    {"/api/v1/data?context=qdemo.*&chart=*beta&after=-1&format=csv&options=seconds", QR_HTTP_TEXT,
     "time,one,gap\r\n1795405385,-5,3\r\n"},
    {"/api/v1/data?chart=q*name&after=-1&format=csv&options=seconds", QR_HTTP_TEXT,
     "time,one,Two Name,inc\r\n1795405385,5,5.5,5.004945\r\n"},
    {"/api/v1/data?context=qdemo.ctx&chart_label_key=kind&after=-1&format=array", QR_HTTP_JSON,
     "[15.504945]"},
    {"/api/v1/data?context=qdemo.ctx&chart_labels_filter=device:sdb&after=-1&format=array",
     QR_HTTP_JSON, "[-2]"},
    /* Google's. */
    {ALPHA "after=-1&dimension=one&tqx=reqId:7;out:json;sig:1795405386", QR_HTTP_JAVASCRIPT,
     "google.visualization.Query.setResponse({version:'0.6',reqId:'7',status:'error',"
     "errors:[{reason:'not_modified',message:'Data not modified'}]});"},
};

static void data_is_what_netdata_answers(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < QR_COUNT(data); i++) {
        const char *body = ask(f, data[i].target);
        if (f->last.status != 200 || strcmp(body, data[i].body) != 0)
            fail_msg("%s: %d\n%s\nnot\n%s", data[i].target, f->last.status, body, data[i].body);
        assert_string_equal(f->last.content_type, data[i].type);
    }
}

static void absolute_windows_may_be_cached(void **state)
{
    struct fixture *f = *state;
    ask(f, ALPHA "after=1795405290&before=1795405302");
    assert_true(f->last.cacheable);
    ask(f, ALPHA "after=1795405290");
    assert_false(f->last.cacheable);
    ask(f, ALPHA "after=-5&filename=a%0d%0ab.csv");
    assert_non_null(
        strstr(f->last.headers.base, "Content-Disposition: attachment; filename=\"a__b.csv\"\r\n"));
}

static void data_names_its_source(void **state)
{
    struct fixture *f = *state;
    ask(f, ALPHA "after=-5");
    assert_string_equal(f->last.headers.base,
                        "X-Quorate-Member: 2\r\nX-Quorate-Applied-Index: 77\r\n"
                        "X-Quorate-Age-Ms: 45\r\n");
    f->status->group.leader = 0;
    f->status->group.without_leader_ms = 5000;
    f->status->time_s = NOW - 10; /* And the picture is stale. */
    ask(f, "/api/v1/data?chart=nope");
    assert_non_null(strstr(f->last.headers.base, "X-Quorate-Age-Ms: 15000\r\n"));
    f->status->group.leader = 2;
    f->status->time_s = NOW;
    ask(f, ALPHA "after=-5");
    assert_non_null(strstr(f->last.headers.base, "X-Quorate-Age-Ms: 0\r\n"));
}

/* ---- stream_info and the status ---- */

static void stream_info_says_where_a_child_may_go(void **state)
{
    struct fixture *f = *state;
    json_t *real = example("stream_info_known.json");
    json_t *ours = ask_json(f, "/api/v3/stream_info?machine_guid=" CHILD_GUID);
    assert_same_shape(real, ours, "stream_info");
    assert_string_equal(text_at(ours, "ingest_status"), "online");
    assert_string_equal(text_at(ours, "ingest_type"), "child");
    assert_string_equal(text_at(ours, "db_liveness"), "live");
    assert_string_equal(text_at(ours, "host_id"), PARENT_GUID);
    json_decref(real);
    json_decref(ours);

    real = example("stream_info_unknown.json");
    json_error_t error;
    ours = json_loads(ask(f, "/api/v3/stream_info?machine_guid="
                             "00000000-0000-0000-0000-000000000001"),
                      0, &error);
    assert_int_equal(f->last.status, 404);
    assert_same_shape(real, ours, "stream_info");
    assert_int_equal(json_integer_value(json_object_get(ours, "status")), 404);
    json_decref(real);
    json_decref(ours);

    ours = ask_json(f, "/api/v3/stream_info?machine_guid=" PARENT_GUID);
    assert_string_equal(text_at(ours, "ingest_type"), "localhost");
    assert_int_equal(json_integer_value(json_object_get(ours, "last_time_s")), T0 + 386);
    assert_int_equal(json_integer_value(json_object_get(ours, "first_time_s")), T0 - 25);
    json_decref(ours);
}

static int64_t last_time_of(struct fixture *f, const char *guid, const char **status)
{
    static char text[32];
    char target[128];
    snprintf(target, sizeof target, "/api/v3/stream_info?machine_guid=%s", guid);
    json_error_t error;
    const char *body = ask(f, target);
    json_t *root = json_loadb(body, f->last.body.len, 0, &error);
    assert_non_null(root);
    snprintf(text, sizeof text, "%s",
             json_is_integer(json_object_get(root, "last_time_s")) ? text_at(root, "ingest_status")
                                                                   : "unknown");
    *status = text;
    int64_t last_s = json_integer_value(json_object_get(root, "last_time_s"));
    json_decref(root);
    return last_s;
}

static void stream_info_steers_by_the_placement(void **state)
{
    static const char nobody[] = "00000000-0000-0000-0000-000000000001";
    struct fixture *f = *state;
    const char *status;
    /* Another member has room, this one is far fuller. */
    f->status->placement = (struct qr_placement){2, {{1, true, 0}, {2, true, 90}}};
    assert_int_equal(last_time_of(f, CHILD_GUID, &status), 0); /* nothing of it is stored */
    assert_string_equal(status, "online"); /* still good if nobody else is reached */
    assert_int_equal(last_time_of(f, nobody, &status), 0);
    assert_string_equal(status, "unknown");

    /* This one has room. */
    f->status->placement = (struct qr_placement){2, {{1, true, 90}, {2, true, 0}}};
    assert_int_equal(last_time_of(f, CHILD_GUID, &status), NOW);
    assert_int_equal(last_time_of(f, nobody, &status), NOW);
    assert_string_equal(status, "offline");

    /* This one lets nobody in. */
    f->status->placement = (struct qr_placement){2, {{1, true, 90}, {2, false, 0}}};
    last_time_of(f, CHILD_GUID, &status);
    assert_string_equal(status, "initializing");
    f->status->placement = (struct qr_placement){1, {{2, true, 0}}};
}

static void a_member_that_is_not_ready_sends_children_on(void **state)
{
    struct fixture *f = *state;
    static const char *const guids[] = {CHILD_GUID, "00000000-0000-0000-0000-000000000001"};
    for (int how = 0; how < 3; how++) {
        f->status->group.ready = how != 0;
        f->status->draining = how == 1;
        f->api.status = how == 2 ? NULL : f->status;
        for (size_t i = 0; i < QR_COUNT(guids); i++) {
            char target[128];
            snprintf(target, sizeof target, "/api/v3/stream_info?machine_guid=%s", guids[i]);
            json_t *root = ask_json(f, target);
            assert_string_equal(text_at(root, "ingest_status"), "initializing");
            assert_int_equal(json_integer_value(json_object_get(root, "status")), 200);
            json_decref(root);
        }
    }
}

static void the_status_is_served(void **state)
{
    struct fixture *f = *state;
    json_t *root = ask_json(f, "/api/quorate/v1/status");
    assert_int_equal(json_integer_value(json_object_get(root, "leader")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "members")), 2);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(refuses_as_netdata_does),
        WITH_FIXTURE(redirects_hosts_to_their_folder),
        WITH_FIXTURE(serves_the_page_anywhere),
        WITH_FIXTURE(functions_are_told_with_what_has_them),
        WITH_FIXTURE(preflights_are_answered),
        WITH_FIXTURE(hosts_are_selected_by_name_and_guid),
        WITH_FIXTURE(a_host_of_a_dead_member_is_not_reachable),
        WITH_FIXTURE(our_own_host_comes_first),
        WITH_FIXTURE(answers_before_the_log_knows_us),
        WITH_FIXTURE(info_has_netdatas_fields),
        WITH_FIXTURE(a_chart_is_what_a_real_parent_said),
        WITH_FIXTURE(charts_lists_what_shows),
        WITH_FIXTURE(contexts_join_charts),
        WITH_FIXTURE(data_is_what_netdata_answers),
        WITH_FIXTURE(absolute_windows_may_be_cached),
        WITH_FIXTURE(data_names_its_source),
        WITH_FIXTURE(stream_info_says_where_a_child_may_go),
        WITH_FIXTURE(stream_info_steers_by_the_placement),
        WITH_FIXTURE(a_member_that_is_not_ready_sends_children_on),
        WITH_FIXTURE(the_status_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
