/* cluster/tests/group_kit.h — real groups on real disks, over the link in memory, on the machine's
 * clock: some members in one process and one loop.  Waiting is always for the thing, with a
 * deadline. */
#ifndef QR_CLUSTER_TESTS_GROUP_KIT_H
#define QR_CLUSTER_TESTS_GROUP_KIT_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "cluster/group.h"
#include "cluster/tests/memory_sink.h"
#include "testing/cmocka.h"
#include "testing/fake_link.h"

#define N           5u
#define DEADLINE_MS 120000u

struct member {
    struct qr_agreed agreed;
    uint32_t id;
    char dir[64];
    uint64_t incarnation;
    struct qr_link *link;
    struct qr_group *group;
    struct memory_sink sink;
    uint64_t proposed; /* The number of the last entry given to it. */
    uint64_t done, failed, canceled;
    uint64_t n_owned, last_nonce, diverged_from;
    char fatal[256];
    bool closed;
};

struct cluster {
    uv_loop_t loop;
    uv_timer_t alarm;
    bool alarmed;
    struct qr_fake_net net;
    struct member members[N + 1]; /* By id. */
    unsigned n, n_seeds;          /* Those above the seeds start when a test wants them. */
    uint32_t snapshot_threshold, snapshot_trailing;
    uint64_t disk_reserve;
    uint32_t election_ms, heartbeat_ms;
    struct qr_link_member configuration[N];
};

static struct cluster *cluster; /* One at a time. */

/* ---- fixtures ---- */

static inline void on_alarm(uv_timer_t *timer)
{
    (void)timer;
    cluster->alarmed = true;
}

static inline void setup_cluster(unsigned n)
{
    cluster = calloc(1, sizeof *cluster);
    cluster->n = cluster->n_seeds = n;
    cluster->snapshot_threshold = 1000;
    cluster->snapshot_trailing = 1000;
    cluster->election_ms = 300;
    cluster->heartbeat_ms = 30;
    assert_int_equal(uv_loop_init(&cluster->loop), 0);
    uv_timer_init(&cluster->loop, &cluster->alarm);
    qr_fake_net_init(&cluster->net, &cluster->loop, 1);
    for (uint32_t id = 1; id <= n; id++) {
        struct member *m = &cluster->members[id];
        m->id = id;
        snprintf(m->dir, sizeof m->dir, "/tmp/qr-group-XXXXXX");
        assert_non_null(mkdtemp(m->dir));
        cluster->configuration[id - 1].id = id;
        snprintf(cluster->configuration[id - 1].address, 64, "127.0.0.1:%u", 19990 + id);
    }
}

static inline void on_diverged(void *data, uint32_t member, uint64_t index)
{
    struct member *m = data;
    (void)index;
    m->diverged_from = member;
}

static inline void on_owned(void *data, const struct qr_owner *owner, uint64_t nonce)
{
    struct member *m = data;
    (void)owner;
    m->n_owned++;
    m->last_nonce = nonce;
}

static inline void on_fatal(void *data, const char *sentence)
{
    struct member *m = data;
    snprintf(m->fatal, sizeof m->fatal, "%s", sentence);
}

static inline int on_renumber(void *data, uint64_t known, uint64_t *incarnation)
{
    struct member *m = data;
    *incarnation = m->incarnation = known + 10;
    return 0;
}

static inline int open_member(struct member *m)
{
    qr_agreed_init(&m->agreed, &qr_clock_system);
    const struct qr_group_config config = {
        .loop = &cluster->loop,
        .clock = &qr_clock_system,
        .agreed = &m->agreed,
        .link = m->link = qr_fake_link_new(&cluster->net, m->id),
        .sink = memory_sink_of(&m->sink),
        .group_id = 1,
        .member_id = m->id,
        .incarnation = ++m->incarnation,
        .dir = m->dir,
        .members = cluster->configuration,
        .n_members = cluster->n_seeds,
        .election_timeout_ms = cluster->election_ms,
        .heartbeat_ms = cluster->heartbeat_ms,
        .snapshot_threshold = cluster->snapshot_threshold,
        .snapshot_trailing = cluster->snapshot_trailing,
        .disk_reserve_bytes = cluster->disk_reserve,
    };
    const struct qr_group_events events = {.data = m,
                                           .owned = on_owned,
                                           .diverged = on_diverged,
                                           .renumber = on_renumber,
                                           .fatal = on_fatal};
    m->closed = false;
    m->proposed = m->done = m->failed = m->canceled = 0;
    return qr_group_open(&m->group, &config, &events);
}

static inline void start_member(uint32_t id)
{
    assert_int_equal(open_member(&cluster->members[id]), 0);
}

/* ---- waiting ---- */

/* Turns the loop until `is` says so; false after the deadline. */
static inline bool wait_for(bool (*is)(void))
{
    cluster->alarmed = false;
    uv_timer_start(&cluster->alarm, on_alarm, DEADLINE_MS, 0);
    bool ok;
    while (!(ok = is()) && !cluster->alarmed)
        uv_run(&cluster->loop, UV_RUN_ONCE);
    uv_timer_stop(&cluster->alarm);
    return ok;
}

static inline bool elapsed(void)
{
    return false;
}

static inline void run_ms(unsigned ms)
{
    cluster->alarmed = false;
    uv_timer_start(&cluster->alarm, on_alarm, ms, 0);
    while (!elapsed() && !cluster->alarmed)
        uv_run(&cluster->loop, UV_RUN_ONCE);
}

static inline void on_closed(void *data)
{
    struct member *m = data;
    m->closed = true;
    m->group = NULL;
}

static struct member *closing;

static inline bool is_closed(void)
{
    return closing->closed;
}

static inline void close_group(uint32_t id)
{
    closing = &cluster->members[id];
    qr_group_close(closing->group, on_closed, closing);
    assert_true(wait_for(is_closed));
}

static inline void close_link(uint32_t id)
{
    qr_link_close(cluster->members[id].link, NULL, NULL);
    cluster->members[id].link = NULL;
}

static inline void stop_member(uint32_t id)
{
    close_group(id);
    close_link(id);
}

static inline void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

static inline void teardown_cluster(void)
{
    for (uint32_t id = 1; id <= cluster->n; id++) {
        struct member *m = &cluster->members[id];
        if (m->group != NULL)
            stop_member(id);
    }
    uv_close((uv_handle_t *)&cluster->alarm, NULL);
    qr_fake_net_close(&cluster->net);
    while (uv_run(&cluster->loop, UV_RUN_DEFAULT) != 0)
        ;
    assert_int_equal(uv_loop_close(&cluster->loop), 0);
    for (uint32_t id = 1; id <= cluster->n; id++) {
        remove_dir(cluster->members[id].dir);
        rmdir(cluster->members[id].dir);
    }
    free(cluster);
}

static inline struct qr_group_status status_of(uint32_t id)
{
    struct qr_group_status status;
    qr_group_get_status(cluster->members[id].group, &status);
    return status;
}

static inline bool is_running(uint32_t id)
{
    return cluster->members[id].group != NULL;
}

static inline bool all_ready(void)
{
    for (uint32_t id = 1; id <= cluster->n; id++) {
        if (is_running(id) && !qr_group_ready(cluster->members[id].group))
            return false;
    }
    return true;
}

static inline uint32_t leader(void)
{
    for (uint32_t id = 1; id <= cluster->n; id++) {
        if (is_running(id) && status_of(id).role == QR_GROUP_LEADER)
            return id;
    }
    return 0;
}

static inline uint32_t follower(void)
{
    for (uint32_t id = 1; id <= cluster->n; id++) {
        if (is_running(id) && status_of(id).role == QR_GROUP_FOLLOWER)
            return id;
    }
    return 0;
}

static inline void on_done(void *data, int status, uint64_t index)
{
    struct member *m = data;
    if (status == 0) {
        assert_true(index != 0);
        m->done++;
    } else if (status == UV_ECANCELED) {
        m->canceled++;
    } else {
        m->failed++;
    }
}

/* Gives `n` numbered entries of `bytes` each to a member. */
static inline void propose(uint32_t id, unsigned n, size_t bytes)
{
    struct member *m = &cluster->members[id];
    char *body = calloc(1, bytes);
    for (unsigned i = 0; i < n; i++) {
        uint64_t number = m->sink.last[id] > m->proposed ? m->sink.last[id] : m->proposed;
        m->proposed = number + 1;
        memcpy(body, &m->proposed, 8);
        int err;
        while ((err = qr_group_propose(m->group, QR_COMMAND_SAMPLES, qr_slice_of(body, bytes),
                                       on_done, m)) == QR_E_BUSY)
            uv_run(&cluster->loop, UV_RUN_ONCE);
        assert_int_equal(err, 0);
    }
    free(body);
}

/* All running members have applied all that was given to any, and agree. */
static inline bool all_equal(void)
{
    const struct member *first = NULL;
    uint64_t hash = 0;
    for (uint32_t id = 1; id <= cluster->n; id++) {
        const struct member *m = &cluster->members[id];
        if (!is_running(id))
            continue;
        struct qr_group_load load = qr_group_get_load(m->group);
        if (load.n_waiting + load.n_in_flight != 0)
            return false;
        struct qr_group_status status = status_of(id);
        if (first == NULL) {
            first = m;
            hash = status.hash;
        }
        if (status.hash != hash || m->sink.digest != first->sink.digest ||
            memcmp(m->sink.last, first->sink.last, sizeof first->sink.last) != 0)
            return false;
    }
    return true;
}

static inline void assert_sound(void)
{
    for (uint32_t id = 1; id <= cluster->n; id++) {
        const struct member *m = &cluster->members[id];
        if (!is_running(id))
            continue;
        assert_int_equal(m->sink.n_wrong, 0);
        assert_int_equal(m->failed, 0);
        assert_string_equal(m->fatal, "");
        assert_int_equal(m->diverged_from, 0);
        assert_false(status_of(id).diverged);
        for (unsigned i = 1; i <= cluster->n; i++)
            assert_int_equal(m->sink.n[i], m->sink.last[i]);
    }
}

static inline void start_all(unsigned n)
{
    setup_cluster(n);
    for (uint32_t id = 1; id <= n; id++)
        start_member(id);
    assert_true(wait_for(all_ready));
}

/* Three members with such long timeouts that no stall of the machine is taken for one of them.  The
 * first election has short ones: nobody waits for it. */
static inline void start_patient(uint32_t election_ms, uint32_t heartbeat_ms)
{
    start_all(3);
    cluster->election_ms = election_ms;
    cluster->heartbeat_ms = heartbeat_ms;
    for (uint32_t id = 1; id <= 3; id++) {
        stop_member(id);
        start_member(id);
        assert_true(wait_for(all_ready));
    }
    assert_true(wait_for(all_equal));
}

#endif
