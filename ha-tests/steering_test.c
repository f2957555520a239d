/* Thirty children as 2.9 connects: they ask every member before each attempt, and go where node/
 * placement sends them.  They end up even; a member that is drained loses them one after another,
 * and is banned by none; new ones come to it afterwards; and a killed member's go to the others. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ha-tests/harness.h"

#define CHILDREN 30
#define MORE     8
/* They come within 2.5 s, and a picture of who is where may be a second old: that many of them may
 * be sent by the same one.  (SLACK is 1 here, see node/placement.h.) */
#define BY_ONE_PICTURE 12
#define UNEVEN_MAX     (1 + 1 + BY_ONE_PICTURE)
#define MOVE_MS        60000

static struct stage stage;
static struct qr_process more;
static struct qr_model more_model;

/* Connected children of each member, as some running member sees it. */
struct census {
    unsigned of[QR_CLUSTER_MEMBERS_MAX + 1];
    unsigned all, more; /* more: of the second load generator, on `more_on`. */
};

static bool is_of(const struct qr_model *model, const char *guid)
{
    for (uint32_t host = 0; host < model->n_hosts; host++) {
        char text[QR_GUID_TEXT_LEN + 1];
        struct qr_guid bytes;
        qr_model_guid(model, host, &bytes);
        qr_guid_format(&bytes, text);
        if (strcmp(text, guid) == 0)
            return true;
    }
    return false;
}

static struct census count(unsigned more_on)
{
    struct census census = {0};
    unsigned id = 1;
    while (id < stage.cluster.n && !qr_cluster_running(&stage.cluster, id))
        id++;
    json_t *status = qr_cluster_status(&stage.cluster, id), *child;
    size_t i;
    json_array_foreach(json_object_get(status, "children"), i, child)
    {
        unsigned owner = (unsigned)json_integer_value(json_object_get(child, "owner"));
        const char *guid = json_string_value(json_object_get(child, "guid"));
        bool is_more = is_of(&more_model, guid);
        if (!json_is_true(json_object_get(child, "connected")) || owner > stage.cluster.n ||
            (!is_more && !is_of(&stage.model, guid)))
            continue; /* the members' own hosts, too */
        census.of[owner]++;
        census.all++;
        census.more += is_more && owner == more_on;
    }
    json_decref(status);
    return census;
}

static void print_census(const char *when)
{
    struct census census = count(0);
    printf("ha steering %s:", when);
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        printf(" %u", census.of[id]);
    printf("\n");
    fflush(stdout);
}

static const char *const as_29[] = {
    "--asks", "--rules",          "2.9", "--v2", "--reconnect-delay",
    "5000",   "--postpone-scale", "0.5", NULL};

static int64_t figure(const char *name)
{
    json_t *figures = stage_load_figures(&stage);
    int64_t n = json_integer_value(json_object_get(figures, name));
    json_decref(figures);
    return n;
}

static void start_more(void)
{
    char program[512], to[512], log[512], first[32], seed[32], hosts[8];
    more_model = stage.model;
    more_model.seed++;
    more_model.n_hosts = MORE;
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(log, sizeof log, "%s/more.log", stage.cluster.dir);
    snprintf(first, sizeof first, "%lld", (long long)stage.first_s);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)more_model.seed);
    snprintf(hosts, sizeof hosts, "%u", more_model.n_hosts);
    qr_cluster_destinations(&stage.cluster, 1, ',', to, sizeof to);
    const char *argv[32] = {program,   "--to",   to,       "--key",      stage.cluster.api_key,
                            "--hosts", hosts,    "--seed", seed,         "--charts",
                            "4",       "--dims", "2",      "--duration", "0",
                            "--first", first};
    for (size_t i = 0; i < QR_COUNT(as_29); i++)
        argv[17 + i] = as_29[i];
    argv[17 + QR_COUNT(as_29) - 2] = "0.1"; /* They come at once. */
    expect(&stage, qr_process_start(&more, "more", log, -1, argv) == 0);
}

static int run_ctl(const char *command, unsigned id)
{
    char program[512];
    snprintf(program, sizeof program, "%s/node/ctl/quoratectl", QR_BUILD_DIR);
    const char *argv[] = {program, command, "--url", stage.cluster.members[id].url, NULL};
    return qr_process_run(argv);
}

static int tear_down(void **state)
{
    (void)state;
    qr_process_stop(&more, STAGE_DOWN_MS);
    stage_down(&stage);
    return 0;
}

static bool left(void *data)
{
    struct census census = count(0);
    return census.of[*(unsigned *)data] == 0 && census.all == CHILDREN + (more.pid != 0 ? MORE : 0);
}

/* Every member has heard that nobody drains: one that is still thought to drain is sent nobody. */
static bool nobody_drains(void *data)
{
    bool none = true;
    (void)data;
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        json_t *status = qr_cluster_status(&stage.cluster, id), *member;
        const json_t *members = json_object_get(status, "members");
        size_t i;
        none = none && json_array_size(members) == stage.cluster.n;
        json_array_foreach(members, i, member)
        {
            none = none && json_is_false(json_object_get(member, "draining"));
        }
        json_decref(status);
    }
    return none;
}

static bool more_came(void *data)
{
    return count(*(unsigned *)data).more == MORE;
}

struct verifying {
    unsigned id;
    int64_t to_s;
    struct qr_verify result;
};

static bool more_are_whole(void *data)
{
    struct verifying *v = data;
    memset(&v->result, 0, sizeof v->result);
    qr_verify_node(&more_model, &stage.cluster.fetch, stage.cluster.members[v->id].url,
                   stage.first_s + STAGE_FIRST_S, v->to_s, &v->result);
    return qr_verify_ok(&v->result);
}

static void children_go_where_they_are_sent(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "steering", .n_hosts = CHILDREN, .n_charts = 4, .n_dims = 2};
    memcpy(options.loadgen, as_29, sizeof as_29);
    stage_up(&stage, &options);
    print_census("came");
    struct census census = count(0);
    unsigned most = 1, fewest = 1;
    for (unsigned id = 2; id <= stage.cluster.n; id++) {
        most = census.of[id] > census.of[most] ? id : most;
        fewest = census.of[id] < census.of[fewest] ? id : fewest;
    }
    expect(&stage, census.all == CHILDREN);
    expect(&stage, census.of[most] - census.of[fewest] <= UNEVEN_MAX);
    expect(&stage, figure("connects") == CHILDREN); /* Nobody was turned away. */

    unsigned drained = fewest, killed = most != fewest ? most : fewest % stage.cluster.n + 1;
    expect(&stage, run_ctl("drain", drained) == 0);
    expect(&stage, qr_wait_for(left, &drained, MOVE_MS, 100));
    print_census("drained");
    expect(&stage, figure("bans") == 0);
    expect(&stage, run_ctl("undrain", drained) == 0);
    expect(&stage, qr_wait_for(nobody_drains, NULL, MOVE_MS, 50));
    start_more();
    expect(&stage, qr_wait_for(more_came, &drained, MOVE_MS, 100));
    print_census("new ones came");

    stage_fault(&stage);
    qr_cluster_kill(&stage.cluster, killed);
    expect(&stage, qr_wait_for(left, &killed, MOVE_MS, 100));
    print_census("one killed");
    expect(&stage, figure("bans") == 0);
    struct verifying v = {.id = drained, .to_s = (int64_t)(qr_real_ms() / 1000)};
    expect(&stage, qr_wait_for(more_are_whole, &v, MOVE_MS, 500));
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(children_go_where_they_are_sent, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
