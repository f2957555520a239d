/* node/picture.h — takes the status pictures of node/status.h and publishes them.
 * Thread: consensus. */
#ifndef QR_NODE_PICTURE_H
#define QR_NODE_PICTURE_H

#include "base/clock.h"
#include "node/api.h"
#include "node/catchup.h"
#include "node/config.h"
#include "node/glue.h"
#include "node/ingest.h"
#include "node/members.h"
#include "node/peer_disk.h"
#include "node/upstream.h"

struct qr_picture;

struct qr_picture_sources {
    const struct qr_clock *clock;
    const struct qr_config *config;
    struct qr_group *group;
    struct qr_store *store;
    const struct qr_glue *glue;
    struct qr_roster *roster;
    const struct qr_catchup *catchup;
    struct qr_peer_disk *peer_disk;
    const struct qr_upstream *upstream;
    struct qr_api *api;
    struct qr_ingest *const *ingests;
    unsigned n_ingests;
    const struct qr_members *members;
};

int qr_picture_new(struct qr_picture **picture, const struct qr_picture_sources *sources);

/* Takes one; readers find it in api->status. */
void qr_picture_publish(struct qr_picture *picture);

#endif
