/* testing/fake_link.h — the link between members in one process, without sockets.
 *
 * A test that links fake_link.c gets the whole qr_link API from it instead of cluster/link.c.
 * Frames arrive in order, from the loop, after the net's latency; borrowed parts are read when they
 * arrive, so that memory freed before `sent` is found by the sanitizer.  A cut fails what is on its
 * way, both directions, as a reset connection does.  Thread: the loop's. */
#ifndef QR_TESTING_FAKE_LINK_H
#define QR_TESTING_FAKE_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "cluster/link.h"

#define QR_FAKE_MEMBERS_MAX 8u

struct qr_fake_net {
    uv_loop_t *loop;
    uv_timer_t timer;
    uint64_t latency_ms;
    struct qr_list frames;                          /* On their way, in order. */
    struct qr_link *links[QR_FAKE_MEMBERS_MAX + 1]; /* By member id; NULL: not running. */
    bool cut[QR_FAKE_MEMBERS_MAX + 1][QR_FAKE_MEMBERS_MAX + 1];
    uint64_t n_frames;
    uint64_t n_of_type[QR_LINK_TYPE_NR];
    size_t largest;
};

void qr_fake_net_init(struct qr_fake_net *net, uv_loop_t *loop, uint64_t latency_ms);
void qr_fake_net_close(struct qr_fake_net *net);

struct qr_link *qr_fake_link_new(struct qr_fake_net *net, uint32_t member);

/* Cuts or mends the connection of two members. */
void qr_fake_net_cut(struct qr_fake_net *net, uint32_t a, uint32_t b, bool cut);

#endif
