/* testing/cluster.h — real members of a Quorate cluster on this machine, for tests and benchmarks.
 *
 * Member i (1 .. n) lives in <dir>/member-i, listens for streams and HTTP on base_port+i-1 and for
 * its peers on base_port+100+i-1, all on the loopback unless the options name addresses.  The
 * certificates come from a CA made here.  Every member runs the program <bin>/node/quorated.
 *
 *   qr_cluster_create()  files only;  qr_cluster_start(i)  runs a member
 *   qr_cluster_kill / stop / pause / resume            what a test does to one
 *   qr_cluster_status()  its /api/quorate/v1/status;   the wait functions poll that
 *
 * Members are named by their id, 1 .. n.  Thread: the test's. */
#ifndef QR_TESTING_CLUSTER_H
#define QR_TESTING_CLUSTER_H

#include "testing/fetch.h"
#include "testing/process.h"

#define QR_CLUSTER_MEMBERS_MAX     8
#define QR_CLUSTER_ENVIRONMENT_MAX 8

struct qr_cluster_options {
    const char *name;    /* In the folder's name. */
    unsigned n;          /* Members; 3. */
    unsigned n_spare;    /* More, to be added later: qr_cluster_start_spare. */
    const char *bin_dir; /* Where node/quorated lies; NULL: $QUORATE_BUILD or this build. */
    uint32_t election_timeout_ms, heartbeat_ms;
    uint32_t snapshot_threshold, snapshot_trailing;
    uint32_t window_s, tick_ms, vanished_s,
        disk_reserve_mib;       /* 0 here as above: the program's default */
    uint32_t ephemeral_after_s; /* 0: ephemeral hosts are not forgotten */
    uint16_t base_port;         /* 0: a free one in the range of the tests */
    const char *log_level;
    bool tls; /* The public port takes TLS, too: with the member's own certificate. */
    /* Members in network namespaces of their own; NULL: the loopback. */
    const char *const *hosts; /* n addresses */
    const int *netns_fds;
    const char *const *data_dirs; /* NULL, or a folder for each member, NULL: the usual one */
    const char *api_key;          /* NULL: a random one. */
    bool alone;                   /* A cluster of one that nobody has set up, as a proxy is. */
    const char *upstream; /* NULL, or "HOST:PORT HOST:PORT ..": hosts are streamed on there .. */
    const char *upstream_key; /* .. with this API key. */
    /* NULL, or for each member what its environment has more, "NAME=VALUE" .. NULL; borrowed */
    const char *const *const *environments;
};

struct qr_cluster_member {
    struct qr_process process;
    char dir[QR_TEMP_DIR_BYTES + 32];
    char http[64]; /* host:port */
    char link[64];
    char url[80];
    int netns_fd;
    const char *const *environment;
    bool paused;
};

struct qr_cluster {
    char dir[QR_TEMP_DIR_BYTES];
    char program[512];
    char api_key[40];
    char cluster_id[40];
    uint16_t base_port;
    unsigned n, n_spare;
    struct qr_cluster_member members[QR_CLUSTER_MEMBERS_MAX + 1]; /* [0] is not used. */
    struct qr_fetch fetch;
};

/* 0, or an error with a line on stderr. */
int qr_cluster_create(struct qr_cluster *cluster, const struct qr_cluster_options *options);
/* Ends all members; removes the folder unless `keep`. */
void qr_cluster_release(struct qr_cluster *cluster, bool keep);

/* From the next start or SIGHUP of its members: hosts are streamed on to these, with that key. */
void qr_cluster_set_upstream(struct qr_cluster *cluster, const char *destinations,
                             const char *api_key);

int qr_cluster_start(struct qr_cluster *cluster, unsigned id);
int qr_cluster_start_all(struct qr_cluster *cluster);
/* Starts the next member that is in no list, with an empty folder: member n + 1, and n counts it.
 */
int qr_cluster_start_spare(struct qr_cluster *cluster);
/* Runs `quoratectl members WORD...`, asking a member; NULL ends the words.  Its exit code. */
int qr_cluster_members(const struct qr_cluster *cluster, unsigned id, const char *verb, ...);
/* The member's data folder, all of it; it must not run. */
void qr_cluster_wipe(const struct qr_cluster *cluster, unsigned id);
void qr_cluster_kill(struct qr_cluster *cluster, unsigned id);
bool qr_cluster_stop(struct qr_cluster *cluster, unsigned id);
void qr_cluster_pause(struct qr_cluster *cluster, unsigned id);
void qr_cluster_resume(struct qr_cluster *cluster, unsigned id);
bool qr_cluster_running(struct qr_cluster *cluster, unsigned id);

/* The member's status, a new reference; NULL if it does not answer. */
json_t *qr_cluster_status(struct qr_cluster *cluster, unsigned id);

/* The leader that a majority of all members names, 0: none. */
unsigned qr_cluster_leader(struct qr_cluster *cluster);
unsigned qr_cluster_wait_leader(struct qr_cluster *cluster, uint64_t timeout_ms);

/* Who owns a child, as any member says (0: nobody), and its watermark there. */
unsigned qr_cluster_owner(struct qr_cluster *cluster, const char *guid);
int64_t qr_cluster_watermark(struct qr_cluster *cluster, unsigned id, const char *guid);

/* Every running, unpaused member answers, is ready, and has applied at least what the one that is
 * furthest had at the call. */
bool qr_cluster_wait_caught_up(struct qr_cluster *cluster, uint64_t timeout_ms);

/* Has seen each pair of running members at one applied index with one hash.  1: so; 0: the deadline
 * came first; -1: two members differ at an index (named on stderr). */
int qr_cluster_compare_hashes(struct qr_cluster *cluster, uint64_t timeout_ms);

/* "127.0.0.1:P,..." of all members, beginning with `first`. */
void qr_cluster_destinations(const struct qr_cluster *cluster, unsigned first, char separator,
                             char *text, size_t text_bytes);

/* The end of every member's log, to stderr. */
void qr_cluster_print_logs(const struct qr_cluster *cluster);

/* CPU seconds of all running members. */
double qr_cluster_cpu_s(const struct qr_cluster *cluster);

#endif
