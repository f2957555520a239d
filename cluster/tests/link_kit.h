/* Links on a real loop over loopback, with certificates made for the run.  For the link tests. */
#ifndef QR_CLUSTER_TESTS_LINK_KIT_H
#define QR_CLUSTER_TESTS_LINK_KIT_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/pki.h"
#include "cluster/identity.h"
#include "cluster/link.h"
#include "testing/cmocka.h"

#define KIT_ELECTION_MS  600u
#define KIT_HEARTBEAT_MS 60u
#define KIT_DEADLINE_MS  20000u

static const struct qr_guid kit_cluster = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const struct qr_guid kit_other_cluster = {{99}};

static char kit_dir[] = "/tmp/qr-link-test-XXXXXX";

static inline const char *kit_path(char path[128], const char *name, const char *suffix)
{
    snprintf(path, 128, "%s/%s.%s", kit_dir, name, suffix);
    return path;
}

static inline void kit_make_cert(const char *ca, const char *name, const struct qr_guid *cluster,
                                 uint32_t member)
{
    char crt[128], key[128], ca_crt[128], ca_key[128], uri[QR_IDENTITY_BYTES];
    char reason[QR_PKI_REASON_BYTES];
    qr_identity_format(&(struct qr_identity){*cluster, member}, uri);
    struct qr_pki_request request = {
        .cert_file = kit_path(crt, name, "crt"),
        .key_file = kit_path(key, name, "key"),
        .ca_cert_file = kit_path(ca_crt, ca, "crt"),
        .ca_key_file = kit_path(ca_key, ca, "key"),
        .common_name = name,
        .uri = uri,
    };
    assert_int_equal(qr_pki_make_cert(&request, reason), 0);
}

static const char *const kit_names[] = {"ca",       "foreign-ca", "1",        "2",
                                        "3",        "9",          "foreign",  "other",
                                        "both-cas", "renewed-1",  "renewed-2"};

static inline int kit_make_files(void **state)
{
    char crt[128], key[128], reason[QR_PKI_REASON_BYTES];
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(kit_dir));
    for (int i = 0; i < 2; i++)
        assert_int_equal(qr_pki_make_ca(kit_path(crt, kit_names[i], "crt"),
                                        kit_path(key, kit_names[i], "key"), kit_names[i], reason),
                         0);
    kit_make_cert("ca", "1", &kit_cluster, 1);
    kit_make_cert("ca", "2", &kit_cluster, 2);
    kit_make_cert("ca", "3", &kit_cluster, 3);
    kit_make_cert("ca", "9", &kit_cluster, 9);
    kit_make_cert("foreign-ca", "foreign", &kit_cluster, 2);
    kit_make_cert("ca", "other", &kit_other_cluster, 2);
    return 0;
}

static inline int kit_remove_files(void **state)
{
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof kit_names / sizeof *kit_names; i++) {
        unlink(kit_path(path, kit_names[i], "crt"));
        unlink(kit_path(path, kit_names[i], "key"));
    }
    return rmdir(kit_dir);
}

/* ---- one member ---- */

struct kit_member {
    struct qr_link *link;
    uint32_t id;
    unsigned n_up, n_down, n_frames, n_sent, n_failed;
    uint64_t bytes, sum; /* of payloads received */
    uint32_t last_group;
    int answer; /* what the receiver returns */
    bool closed;
};

static inline int kit_on_frame(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    struct kit_member *m = data;
    (void)member;
    m->n_frames++;
    m->bytes += payload.len;
    m->last_group = group;
    for (size_t i = 0; i < payload.len; i++)
        m->sum = m->sum * 31 + (unsigned char)payload.base[i];
    return m->answer;
}

static inline void kit_on_peer(void *data, uint32_t member, bool up)
{
    struct kit_member *m = data;
    (void)member;
    if (up)
        m->n_up++;
    else
        m->n_down++;
}

static inline void kit_on_sent(void *data, int status)
{
    struct kit_member *m = data;
    m->n_sent++;
    if (status != 0)
        m->n_failed++;
}

static inline void kit_on_closed(void *data)
{
    ((struct kit_member *)data)->closed = true;
}

static inline void kit_open_as(struct kit_member *m, uv_loop_t *loop, uint32_t id, const char *cert,
                               const char *listen, uint64_t incarnation)
{
    char ca[128], crt[128], key[128];
    struct qr_link_config config = {
        .loop = loop,
        .clock = &qr_clock_system,
        .member_id = id,
        .incarnation = incarnation,
        .cluster_id = kit_cluster,
        .listen_address = listen,
        .ca_file = kit_path(ca, "ca", "crt"),
        .cert_file = kit_path(crt, cert, "crt"),
        .key_file = kit_path(key, cert, "key"),
        .heartbeat_ms = KIT_HEARTBEAT_MS,
        .election_timeout_ms = KIT_ELECTION_MS,
        .connect_retry_ms = 50,
        .handshake_timeout_ms = 1000,
        .queue_bytes_max = 4 * 1024 * 1024,
    };
    *m = (struct kit_member){.id = id};
    assert_int_equal(qr_link_open(&m->link, &config), 0);
    qr_link_on(m->link, QR_LINK_RAFT, kit_on_frame, m);
    qr_link_on(m->link, QR_LINK_PROPOSE, kit_on_frame, m);
    qr_link_on_peer(m->link, kit_on_peer, m);
}

static inline void kit_open(struct kit_member *m, uv_loop_t *loop, uint32_t id)
{
    char name[16];
    snprintf(name, sizeof name, "%u", id);
    kit_open_as(m, loop, id, name, "127.0.0.1:0", 1);
}

static inline void kit_introduce_at(struct kit_member *m, uint32_t id, unsigned port)
{
    struct qr_link_member row = {.id = id};
    snprintf(row.address, sizeof row.address, "127.0.0.1:%u", port);
    assert_int_equal(qr_link_set_member(m->link, &row), 0);
}

static inline void kit_introduce(struct kit_member *a, struct kit_member *b)
{
    kit_introduce_at(a, b->id, qr_link_port(b->link));
    kit_introduce_at(b, a->id, qr_link_port(a->link));
}

/* ---- the loop ---- */

static inline uint64_t kit_now(void)
{
    return qr_clock_mono_ms(&qr_clock_system);
}

static inline void kit_on_wake(uv_timer_t *timer)
{
    (void)timer;
}

/* Turns the loop until `condition`, or fails at the deadline.  A timer bounds each wait. */
#define KIT_WAIT(loop, condition)                                                                  \
    do {                                                                                           \
        uv_timer_t kit_timer;                                                                      \
        uint64_t kit_until = kit_now() + KIT_DEADLINE_MS;                                          \
        uv_timer_init(loop, &kit_timer);                                                           \
        uv_timer_start(&kit_timer, kit_on_wake, 10, 10);                                           \
        while (!(condition) && kit_now() < kit_until)                                              \
            uv_run(loop, UV_RUN_ONCE);                                                             \
        uv_close((uv_handle_t *)&kit_timer, NULL);                                                 \
        uv_run(loop, UV_RUN_NOWAIT);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

/* Turns the loop for a while: to see that something does not happen. */
static inline void kit_run_for(uv_loop_t *loop, uint64_t ms)
{
    uv_timer_t timer;
    uint64_t until = kit_now() + ms;
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, kit_on_wake, 10, 10);
    while (kit_now() < until)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

static inline void kit_close(struct kit_member *m, uv_loop_t *loop)
{
    qr_link_close(m->link, kit_on_closed, m);
    KIT_WAIT(loop, m->closed);
}

static inline void kit_close_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static inline struct qr_link_stats kit_stats(const struct kit_member *m)
{
    struct qr_link_stats stats;
    qr_link_get_stats(m->link, &stats);
    return stats;
}

#endif
