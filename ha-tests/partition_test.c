/* Members in network namespaces of their own, with a router between them that can drop what two of
 * them say to each other: one is cut off, then no two can talk.
 *
 *   namespace of member i: eth0 10.77.i.1/24, default route to 10.77.i.254
 *   namespace of the test: veth-i 10.77.i.254/24 each, forwarding; children and checks live here
 *   a cut between i and j: a blackhole rule for each direction
 *
 * All of it lies in namespaces that end with this process. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ha-tests/harness.h"

#define MEMBERS   3
#define MOVE_MS   25000
#define RETURN_MS 40000
#define CUT_S     8

static struct stage stage;
static struct qr_process holders[MEMBERS];
static int netns_fds[MEMBERS];
static const char *const hosts[MEMBERS] = {"10.77.1.1", "10.77.2.1", "10.77.3.1"};

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    for (int i = 0; i < MEMBERS; i++)
        qr_process_kill(&holders[i]);
    return 0;
}

static bool shell(const char *format, ...) QR_PRINTF(1, 2);

static bool shell(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    return qr_process_run(argv) == 0;
}

static bool is_elsewhere(void *data)
{
    char path[64];
    struct stat here, there;
    const struct qr_process *holder = data;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)holder->pid);
    return stat("/proc/self/ns/net", &here) == 0 && stat(path, &there) == 0 &&
           here.st_ino != there.st_ino;
}

/* A process that holds the namespace open, the pair of interfaces, and the descriptor. */
static bool make_namespace(int i)
{
    char path[64];
    struct qr_process *holder = &holders[i];
    const char *argv[] = {"unshare", "-n", "sleep", "300", NULL};
    if (qr_process_start(holder, "namespace", "/dev/null", -1, argv) != 0 ||
        !qr_wait_for(is_elsewhere, holder, 5000, 5))
        return false;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)holder->pid);
    netns_fds[i] = open(path, O_RDONLY | O_CLOEXEC);
    int n = i + 1, pid = (int)holder->pid;
    return netns_fds[i] >= 0 &&
           shell("ip link add veth-%d type veth peer name eth0 netns %d", n, pid) &&
           shell("ip addr add 10.77.%d.254/24 dev veth-%d && ip link set veth-%d up", n, n, n) &&
           shell("nsenter -t %d -n sh -c 'ip link set lo up && ip addr add 10.77.%d.1/24 dev eth0 "
                 "&& ip link set eth0 up && ip route add default via 10.77.%d.254'",
                 pid, n, n);
}

static bool make_network(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        return false;
    if (!shell("ip link set lo up && echo 1 > /proc/sys/net/ipv4/ip_forward"))
        return false;
    for (int i = 0; i < MEMBERS; i++)
        if (!make_namespace(i))
            return false;
    return true;
}

/* Nothing gets from one to the other, either way; TCP only sees silence. */
static void cut(unsigned a, unsigned b, bool on)
{
    const char *verb = on ? "add" : "del";
    expect(
        &stage,
        shell("ip rule %s pref 10 from 10.77.%u.1 to 10.77.%u.1 blackhole && "
              "ip rule %s pref 10 from 10.77.%u.1 to 10.77.%u.1 blackhole && ip route flush cache",
              verb, a, b, verb, b, a));
}

struct waiting {
    unsigned id;
    bool without; /* A leader. */
};

static bool leader_is_as_wanted(void *data)
{
    struct waiting *w = data;
    json_t *status = qr_cluster_status(&stage.cluster, w->id);
    bool none = json_integer_value(json_object_get(status, "leader")) == 0;
    json_decref(status);
    return status != NULL && none == w->without;
}

static void wait_without_leader(unsigned id)
{
    struct waiting w = {id, true};
    expect(&stage, qr_wait_for(leader_is_as_wanted, &w, MOVE_MS, 50));
}

static bool others_have_a_leader(void *data)
{
    unsigned alone = *(unsigned *)data, leader = qr_cluster_leader(&stage.cluster);
    return leader != 0 && leader != alone;
}

static void cut_off_members_lose_nothing(void **state)
{
    (void)state;
    if (!make_network()) {
        print_message("ha partition: network namespaces cannot be made here (root and iproute2 are "
                      "needed): skipped\n");
        skip();
    }
    struct stage_options options = {
        .name = "partition", .netdata = true, .cluster = {.hosts = hosts, .netns_fds = netns_fds}};
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_up(&stage, &options);
    stage_guid(&stage, 0, guid);

    /* The leader, and with it the owner of the first child, is cut off from both others; the
     * children can still reach it. */
    unsigned alone = qr_cluster_leader(&stage.cluster), b = alone % 3 + 1, c = b % 3 + 1;
    expect(&stage, alone != 0);
    stage_fault(&stage);
    cut(alone, b, true);
    cut(alone, c, true);
    wait_without_leader(alone);
    expect(&stage, qr_wait_for(others_have_a_leader, &alone, MOVE_MS, 50));
    stage_wait_stored_after_fault_except(&stage, guid, alone, MOVE_MS);

    /* Then nobody can talk to anybody. */
    cut(b, c, true);
    wait_without_leader(b);
    wait_without_leader(c);
    qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + CUT_S);
    cut(b, c, false);
    cut(alone, b, false);
    cut(alone, c, false);
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, RETURN_MS) != 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    stage_wait_live(&stage, RETURN_MS);
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(cut_off_members_lose_nothing, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
