/* A child whose packets are dropped, in a network namespace of its own (ha-tests/network.h): no
 * FIN, no RST.  Its member notices in the stated time and holds nothing of it; a child that comes
 * back before that, elsewhere, is let in at once; nothing is missing. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ha-tests/harness.h"
#include "ha-tests/network.h"

#define MEMBERS    3
#define CHILD      (MEMBERS + 1) /* Its place in the network. */
#define VANISHED_S 8
/* Keepalive asks each second, the picture of the status is up to a second old, and so is ours; the
 * rest is for a machine that is busy. */
#define NOTICED_MS ((VANISHED_S + 10) * 1000)
#define MOVE_MS    60000

static struct stage stage;
static struct network network;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    network_release(&network);
    return 0;
}

/* Connections of the child that the member's kernel thinks are up and the member has not closed. */
static unsigned n_connections(unsigned id)
{
    char path[64], line[256];
    unsigned n = 0, remote, status;
    snprintf(path, sizeof path, "/proc/%d/net/tcp", (int)stage.cluster.members[id].process.pid);
    FILE *file = fopen(path, "r");
    expect(&stage, file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        n += sscanf(line, " %*u: %*x:%*x %x:%*x %x", &remote, &status) == 2 &&
             remote == inet_addr(network.addresses[CHILD - 1]) && status == TCP_ESTABLISHED;
    fclose(file);
    return n;
}

static void start_child(void)
{
    char program[512], to[512], log[512], first[32], seed[32];
    stage.model = (struct qr_model){.seed = (uint64_t)getpid(),
                                    .n_hosts = 1,
                                    .n_charts = 8,
                                    .n_dims = 4,
                                    .update_every = 1,
                                    .mix = true};
    stage.first_s = (int64_t)(qr_real_ms() / 1000) - STAGE_HISTORY_S;
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(stage.load_json, sizeof stage.load_json, "%s/loadgen.json", stage.cluster.dir);
    snprintf(log, sizeof log, "%s/loadgen.log", stage.cluster.dir);
    snprintf(first, sizeof first, "%lld", (long long)stage.first_s);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)stage.model.seed);
    qr_cluster_destinations(&stage.cluster, stage.first, ',', to, sizeof to);
    const char *argv[] = {program,
                          "--to",
                          to,
                          "--key",
                          stage.cluster.api_key,
                          "--charts",
                          "8",
                          "--dims",
                          "4",
                          "--first",
                          first,
                          "--seed",
                          seed,
                          "--duration",
                          "0",
                          "--json-file",
                          stage.load_json,
                          "--truncate",
                          "--timeout",
                          "5000",
                          "--reconnect-delay",
                          "200",
                          NULL};
    expect(&stage, qr_process_start(&stage.load, "quorate-loadgen", log,
                                    network.netns_fds[CHILD - 1], argv) == 0);
}

/* Does somebody hold the child's connection?  0: nobody, as another member than `asked` says. */
static unsigned holder(unsigned asked)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    unsigned owner = 0;
    stage_guid(&stage, 0, guid);
    json_t *status = qr_cluster_status(&stage.cluster, asked), *child;
    size_t i;
    json_array_foreach(json_object_get(status, "children"), i, child)
    {
        if (strcmp(json_string_value(json_object_get(child, "guid")), guid) == 0 &&
            json_is_true(json_object_get(child, "connected")))
            owner = (unsigned)json_integer_value(json_object_get(child, "owner"));
    }
    json_decref(status);
    return owner;
}

struct wanted {
    unsigned asked, member;
};

static bool nobody_holds_it(void *data)
{
    return holder(((struct wanted *)data)->asked) == 0;
}

static bool another_holds_it(void *data)
{
    struct wanted *w = data;
    unsigned now = holder(w->asked);
    return now != 0 && now != w->member;
}

static bool is_closed(void *data)
{
    return n_connections(((struct wanted *)data)->member) == 0;
}

static void path(unsigned member, bool on)
{
    expect(&stage, network_part(&network, CHILD, member, !on));
}

static void a_child_that_vanishes_is_noticed(void **state)
{
    (void)state;
    if (!network_make(&network, CHILD)) {
        print_message("ha vanished: network namespaces cannot be made here (root and iproute2 are "
                      "needed): skipped\n");
        skip();
    }
    struct stage_options options = {.name = "vanished",
                                    .cluster = {.hosts = network.hosts,
                                                .netns_fds = network.netns_fds,
                                                .vanished_s = VANISHED_S}};
    stage_members_up(&stage, &options);
    start_child();
    stage_wait_live(&stage, MOVE_MS);
    unsigned first = holder(1), other = first % MEMBERS + 1;
    expect(&stage, first != 0);
    expect(&stage, n_connections(first) == 1);

    /* It is noticed, and nothing is left of it. */
    stage_fault(&stage);
    path(first, false);
    struct wanted w = {other, first};
    expect(&stage, qr_wait_for(nobody_holds_it, &w, NOTICED_MS, 50));
    uint64_t noticed_ms = qr_real_ms() - stage.fault_ms;
    expect(&stage, qr_wait_for(is_closed, &w, MOVE_MS, 50));

    /* The child notices as well, by timeouts of its own, and goes elsewhere. */
    qr_process_signal(&stage.load, SIGUSR1);
    expect(&stage, qr_wait_for(another_holds_it, &w, MOVE_MS, 50));
    stage_wait_live(&stage, MOVE_MS);
    path(first, true);

    /* One that comes back elsewhere before its member has noticed. */
    unsigned second = holder(first);
    expect(&stage, second != 0);
    path(second, false);
    uint64_t cut_ms = qr_real_ms();
    expect(&stage, n_connections(second) == 1);
    qr_process_signal(&stage.load, SIGUSR1);
    w = (struct wanted){first, second};
    expect(&stage, qr_wait_for(another_holds_it, &w, MOVE_MS, 20));
    uint64_t moved_ms = qr_real_ms() - cut_ms;
    expect(&stage, qr_wait_for(is_closed, &w, MOVE_MS, 20));
    uint64_t closed_ms = qr_real_ms() - cut_ms;
    path(second, true);
    printf("ha vanished: noticed_s=%.1f moved_s=%.1f closed_s=%.1f\n", (double)noticed_ms / 1000,
           (double)moved_ms / 1000, (double)closed_ms / 1000);
    expect(&stage, moved_ms < VANISHED_S * 1000 && closed_ms < VANISHED_S * 1000);

    json_t *figures = stage_load_figures(&stage);
    expect(&stage, json_object_size(json_object_get(figures, "refusals")) == 0);
    json_decref(figures);
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_child_that_vanishes_is_noticed, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
