#include "ha-tests/network.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"

/* Children live in the network that joins the members': one machine has one address, whomever it
 * talks to. */
#define CHILDREN "10.77.0.254"

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
static bool make_namespace(struct network *network, unsigned i)
{
    char path[64];
    struct qr_process *holder = &network->holders[i];
    const char *argv[] = {"unshare", "-n", "sleep", "infinity", NULL};
    if (qr_process_start(holder, "namespace", "/dev/null", -1, argv) != 0 ||
        !qr_wait_for(is_elsewhere, holder, 5000, 5))
        return false;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)holder->pid);
    network->netns_fds[i] = open(path, O_RDONLY | O_CLOEXEC);
    unsigned n = i % 255 + 1; /* Of an address. */
    int pid = (int)holder->pid;
    snprintf(network->addresses[i], sizeof network->addresses[i], "10.77.%u.1", n);
    network->hosts[i] = network->addresses[i];
    return network->netns_fds[i] >= 0 &&
           shell("ip link add veth-%u type veth peer name eth0 netns %d", n, pid) &&
           shell("ip addr add 10.77.%u.254/24 dev veth-%u && ip link set veth-%u up && "
                 "ip route replace 10.77.%u.0/24 dev veth-%u src " CHILDREN,
                 n, n, n, n, n) &&
           shell("nsenter -t %d -n sh -c 'ip link set lo up && ip addr add 10.77.%u.1/24 dev eth0 "
                 "&& ip link set eth0 up && ip route add default via 10.77.%u.254'",
                 pid, n, n);
}

bool network_make(struct network *network, unsigned n)
{
    memset(network, 0, sizeof *network);
    network->n = n;
    for (unsigned i = 0; i < n; i++)
        network->netns_fds[i] = -1;
    if (unshare(CLONE_NEWNET) != 0 ||
        !shell("ip link set lo up && ip addr add " CHILDREN
               "/32 dev lo && echo 1 > /proc/sys/net/ipv4/ip_forward"))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!make_namespace(network, i))
            return false;
    return true;
}

void network_release(struct network *network)
{
    for (unsigned i = 0; i < network->n; i++) {
        qr_process_kill(&network->holders[i]);
        if (network->netns_fds[i] >= 0)
            close(network->netns_fds[i]);
    }
    network->n = 0;
}

bool network_cut(struct network *network, unsigned from, unsigned to, bool on)
{
    bool *is_cut = &network->is_cut[from][to];
    if (*is_cut == on)
        return true;
    *is_cut = on;
    return shell("ip rule %s pref 10 from 10.77.%u.1 to 10.77.%u.1 blackhole && "
                 "ip route flush cache",
                 on ? "add" : "del", from, to);
}

bool network_part(struct network *network, unsigned a, unsigned b, bool on)
{
    return network_cut(network, a, b, on) && network_cut(network, b, a, on);
}
