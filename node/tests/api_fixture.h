/* node/tests/api_fixture.h — a store as a real parent had it when it gave the answers in
 * node/tests/examples, and requests to an API on it. */
#ifndef QR_NODE_TESTS_API_FIXTURE_H
#define QR_NODE_TESTS_API_FIXTURE_H

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "node/api.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define T0  1795405000
#define NOW (T0 + 386)

/* What is older than SEALED_TO is in block files, the rest is in memory. */
#define SEAL_WINDOW_S 50
#define SEALED_TO     (T0 + 300)
static_assert(T0 % SEAL_WINDOW_S == 0, "windows start at multiples of their length");

#define PARENT_GUID "08f36430-e6ef-11f1-938b-02fc00000001"
#define CHILD_GUID  "0a252334-e6ef-11f1-97b4-02fc00000001"

struct fixture {
    struct qr_store *store;
    struct qr_clock clock;
    struct qr_api api;
    struct qr_status *status;
    uint32_t parent, child;       /* Hosts. */
    uint32_t alpha, beta, slow;   /* Charts of the parent. */
    char dir[64];                 /* Of block files. */
    struct qr_slice functions;    /* Of the host that is asked about. */
    struct qr_http_response last; /* What the last request got, with a NUL behind the body. */
};

static uint64_t fixture_mono_ms(const struct qr_clock *clock)
{
    (void)clock;
    return 1000;
}

static int64_t fixture_real_us(const struct qr_clock *clock)
{
    (void)clock;
    return (int64_t)NOW * 1000000 + 400000;
}

static inline uint32_t apply_host(struct qr_store *store, const struct qr_host_def *view)
{
    struct qr_buf bytes = {0};
    struct qr_host_def *def = NULL;
    uint32_t id = 0;
    assert_int_equal(qr_host_def_encode(&bytes, view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    assert_int_equal(qr_store_apply_host(store, def, &id), 0);
    qr_buf_release(&bytes);
    return id;
}

static inline uint32_t apply_chart(struct qr_store *store, uint32_t host,
                                   const struct qr_chart_def *view)
{
    struct qr_buf bytes = {0};
    struct qr_chart_def *def = NULL;
    uint32_t id = 0;
    assert_int_equal(qr_chart_def_encode(&bytes, view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    assert_int_equal(qr_store_apply_chart(store, host, def, &id), 0);
    qr_buf_release(&bytes);
    return id;
}

/* NAN: nothing there. */
static inline void apply_row(struct qr_store *store, uint32_t host, uint32_t chart, int64_t end_s,
                             const double *values, uint32_t n)
{
    uint32_t cells[8], n_new;
    assert_true(n <= 8);
    for (uint32_t i = 0; i < n; i++)
        cells[i] = qr_value_pack(values[i], 0);
    assert_int_equal(qr_store_apply_row(store, host, chart, NOW, end_s, cells, n, &n_new), 0);
}

static inline struct qr_guid guid_of(const char *text)
{
    struct qr_guid guid;
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str(text)), 0);
    return guid;
}

static inline void add_hosts(struct fixture *f)
{
    static const struct qr_def_label sysinfo[] = {{"NETDATA_SYSTEM_OS_NAME", "unknown", 0},
                                                  {"NETDATA_SYSTEM_CPU_FREQ", "2.596e+09", 0},
                                                  {"NETDATA_HOST_IS_K8S_NODE", "false", 0}};
    static const struct qr_def_label labels[] = {{"site", "lab \"one\"", 0}};
    struct qr_host_def def = {.guid = guid_of(CHILD_GUID),
                              .hostname = "qchild1",
                              .os = "linux",
                              .timezone = "Etc/UTC",
                              .update_every = 1,
                              .hops = 1,
                              .program_name = "netdata",
                              .program_version = "v1.36.0",
                              .n_sysinfo = 3,
                              .sysinfo = sysinfo,
                              .n_labels = 1,
                              .labels = labels};
    f->child = apply_host(f->store, &def); /* Before ours: the order of the log is not the API's. */
    def.guid = guid_of(PARENT_GUID);
    def.hostname = "qparent";
    f->parent = apply_host(f->store, &def);
    def.guid = guid_of("0b562d84-e6ef-11f1-8c61-02fc00000001");
    def.hostname = "qchild1"; /* The same name again: by GUID only. */
    apply_host(f->store, &def);
    assert_int_equal(qr_store_apply_connected(f->store, f->child, true, 1), 0);
}

static inline void add_charts(struct fixture *f)
{
    static const struct qr_dim_def alpha_dims[] = {{.id = "one", .name = "one"},
                                                   {.id = "two", .name = "Two Name"},
                                                   {.id = "inc", .name = "inc"},
                                                   {.id = "hid", .name = "hid", .flags = 2}};
    static const struct qr_dim_def beta_dims[] = {{.id = "one", .name = "one"},
                                                  {.id = "gap", .name = "gap"}};
    static const struct qr_def_label sda[] = {{"device", "sda", 0}, {"kind", "test", 0}};
    static const struct qr_def_label sdb[] = {{"device", "sdb", 0}};
    struct qr_chart_def def = {.id = "qdemo.alpha",
                               .name = "qdemo.qdemo_alpha_name",
                               .title = "Demo title",
                               .units = "things/s",
                               .family = "famA",
                               .context = "qdemo.ctx",
                               .plugin = "qdemo.plugin",
                               .module = "mod1",
                               .type = 2,
                               .priority = 5000,
                               .update_every = 1,
                               .n_dims = 4,
                               .dims = alpha_dims,
                               .n_labels = 2,
                               .labels = sda};
    f->alpha = apply_chart(f->store, f->parent, &def);
    def.id = def.name = "qdemo.beta";
    def.title = "Demo beta";
    def.units = "%";
    def.family = "famB";
    def.type = 0;
    def.priority = 5001;
    def.n_dims = 2;
    def.dims = beta_dims;
    def.n_labels = 1;
    def.labels = sdb;
    f->beta = apply_chart(f->store, f->parent, &def);
    def.id = def.name = "slow.ten";
    def.context = "slow.ctx";
    def.module = "";
    def.update_every = 10;
    def.n_dims = 1;
    def.n_labels = 0;
    f->slow = apply_chart(f->store, f->parent, &def);
    def.id = def.name = "hidden.chart";
    def.flags = 8;
    apply_chart(f->store, f->parent, &def);
}

/* alpha: one is t mod 10, two half more, inc as the real one grew, hid 10 times one.
 * beta: one is -(t mod 10), gap is 3 in every second ten seconds.  slow: t - T0. */
static inline void add_rows(struct fixture *f)
{
    static const double inc[] = {9.153407, 0, 0.962315, 2, 2.979078, 3.971157, 5.004945, 5.945524};
    for (int64_t t = T0 - 25; t <= T0 + 386; t++) {
        double ones = (double)(t % 10);
        double alpha[] = {ones, ones + 0.5, t >= T0 + 379 ? inc[t - T0 - 379] : ones, 10 * ones};
        double beta[] = {-ones, t / 10 % 2 == 0 ? 3 : NAN};
        apply_row(f->store, f->parent, f->alpha, t, alpha, 4);
        apply_row(f->store, f->parent, f->beta, t, beta, 2);
        if (t % 10 == 0)
            apply_row(f->store, f->parent, f->slow, t, (double[]){(double)(t - T0)}, 1);
    }
}

static inline void seal_some(struct fixture *f)
{
    int64_t starts[16];
    unsigned n = qr_store_sealable(f->store, SEALED_TO, starts, 16);
    assert_in_range(n, 6, 8);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(qr_store_apply_seal(f->store, starts[i]), 0);
    struct qr_store_stats stats;
    qr_store_get_stats(f->store, &stats);
    assert_int_equal(stats.n_blocks, n);
}

static inline void remove_dir(const char *dir)
{
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        unlinkat(dirfd(folder), entry->d_name, 0); /* Not "." and "..", which it refuses. */
    closedir(folder);
    assert_int_equal(rmdir(dir), 0);
}

static inline void add_status(struct fixture *f)
{
    struct qr_status *status = calloc(1, sizeof *status);
    assert_non_null(status);
    status->time_s = NOW;
    status->group = (struct qr_group_status){
        .member_id = 2, .leader = 1, .applied = 77, .commit = 77, .ready = true, .n_members = 2};
    status->group.members[0] = (struct qr_group_member_status){
        .id = 1, .voter = true, .up = true, .last_contact_ms = 45, .applied = 77};
    status->group.members[1] =
        (struct qr_group_member_status){.id = 2, .voter = true, .self = true, .applied = 77};
    status->placement = (struct qr_placement){1, {{2, true, 0}}};
    f->status = status;
    f->api.status = status;
}

static int fixture_setup(void **state)
{
    setenv("TZ", "UTC", 1);
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/qr-api-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    const struct qr_store_config config = {
        .disk = &qr_disk_files, .dir = f->dir, .window_s = SEAL_WINDOW_S};
    assert_int_equal(qr_store_open(&f->store, &config, NULL), 0);
    f->clock = (struct qr_clock){fixture_mono_ms, fixture_real_us};
    f->api.store = f->store;
    f->api.clock = &f->clock;
    f->api.host_guid = guid_of(PARENT_GUID);
    f->api.hostname = "qparent";
    f->api.version = "v1.37.1";
    add_hosts(f);
    add_charts(f);
    add_rows(f);
    seal_some(f);
    add_status(f);
    qr_http_response_init(&f->last);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    qr_http_response_release(&f->last);
    qr_status_free(f->status);
    qr_store_close(f->store);
    remove_dir(f->dir);
    free(f);
    return 0;
}

/* Asks; the answer's body is text in f->last. */
static inline const char *ask_with(struct fixture *f, const char *target, const char *headers)
{
    char text[2048];
    int status;
    const char *sentence;
    struct qr_http_request request;
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:19999\r\n%s\r\n", target,
             headers);
    assert_true(qr_http_parse(&request, qr_slice_str(text), &status, &sentence) > 0);
    qr_http_response_release(&f->last);
    qr_http_response_init(&f->last);
    qr_api_handle(&f->api, &request, f->functions, &f->last);
    qr_http_request_release(&request);
    assert_int_equal(qr_buf_add_u8(&f->last.body, 0), 0);
    f->last.body.len--;
    assert_int_equal(qr_buf_add_u8(&f->last.headers, 0), 0);
    f->last.headers.len--;
    return f->last.body.base;
}

static inline const char *ask(struct fixture *f, const char *target)
{
    return ask_with(f, target, "");
}

/* Asks for JSON and gets it, with 200. */
static inline json_t *ask_json(struct fixture *f, const char *target)
{
    json_error_t error;
    const char *body = ask(f, target);
    assert_int_equal(f->last.status, 200);
    assert_string_equal(f->last.content_type, QR_HTTP_JSON);
    json_t *root = json_loadb(body, f->last.body.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s: %s\n%s", target, error.text, body);
    return root;
}

static inline json_t *example(const char *name)
{
    char path[256];
    json_error_t error;
    snprintf(path, sizeof path, QR_SOURCE_DIR "/node/tests/examples/%s", name);
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL)
        fail_msg("%s: %s", path, error.text);
    return root;
}

static inline const char *text_at(json_t *root, const char *key)
{
    return json_string_value(json_object_get(root, key));
}

/* The same keys in the same order, and values of the same kind. */
static inline void assert_same_shape(json_t *real, json_t *ours, const char *where)
{
    char path[512];
    if (json_is_number(real) && json_is_number(ours))
        return;
    if (json_typeof(real) != json_typeof(ours))
        fail_msg("%s is of another type", where);
    if (json_is_object(real)) {
        void *r = json_object_iter(real), *o = json_object_iter(ours);
        for (; r != NULL; r = json_object_iter_next(real, r), o = json_object_iter_next(ours, o)) {
            snprintf(path, sizeof path, "%s.%s", where, json_object_iter_key(r));
            if (o == NULL || strcmp(json_object_iter_key(r), json_object_iter_key(o)) != 0)
                fail_msg("%s: there is %s", path, o != NULL ? json_object_iter_key(o) : "nothing");
            assert_same_shape(json_object_iter_value(r), json_object_iter_value(o), path);
        }
        if (o != NULL)
            fail_msg("%s.%s is too much", where, json_object_iter_key(o));
    } else if (json_is_array(real) && json_array_size(real) > 0) {
        snprintf(path, sizeof path, "%s[0]", where);
        assert_true(json_array_size(ours) > 0);
        assert_same_shape(json_array_get(real, 0), json_array_get(ours, 0), path);
    }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#endif
