/* testing/sim/hosts.h — the members and children of a simulated cluster: what runs on each host,
 * and who starts it again.
 *
 * A member that went down boots again after a second, or when whoever took it down lets it.  One
 * that ends by itself, and no fault excuses it, is a violation.  A child is down only when a fault
 * wants it.  Spares are second children of a GUID that exists.  The cluster is global, as the world
 * is.  Not for threads. */
#ifndef QR_TESTING_SIM_HOSTS_H
#define QR_TESTING_SIM_HOSTS_H

#include "node/config.h"
#include "node/node.h"
#include "testing/child.h"
#include "testing/model.h"
#include "testing/sim/sched.h"
#include "testing/sim/world.h"

#define QR_SIM_REAL_ZERO_S INT64_C(1800000000) /* 2027-01-15 */
#define QR_SIM_HISTORY_S   30u /* What children have collected before the world begins. */
#define QR_SIM_SPARES      3u
#define QR_SIM_FORGETS_MAX 256u
#define QR_SIM_LINES       40u
#define QR_SIM_LINE_BYTES  400u

/* The last lines of a host's log. */
struct qr_sim_ring {
    char lines[QR_SIM_LINES][QR_SIM_LINE_BYTES];
    uint64_t n;
    uint64_t n_boot; /* Before this life. */
};

struct qr_sim_member {
    struct qr_sim_host *host;
    uint32_t id; /* From 1; its host's id, too. */
    struct qr_config config;
    struct qr_node *node; /* NULL: down, or still starting. */
    struct qr_sim_event boot;
    uint64_t held_until_ns;    /* Not started before. */
    uint64_t excused_until_ns; /* It may end by itself until then. */
    bool is_wanted;            /* In the group: testing/sim/operator. */
    bool is_lost;              /* Its disk is empty, and nobody has asked to rebuild it. */
    bool is_flipped;           /* A bit of its block files has flipped: it shall read them all. */
    bool is_rotten;            /* A bit of its log's folder has flipped: it may refuse to run. */
    unsigned n_refusals;       /* .. so often; then the operator empties its disk. */
    uint64_t rebuilt_ns;       /* When a change that takes it in was seen last; 0: never. */
    uint64_t commit, term;     /* As seen last in this life. */
    uint64_t term_ever;        /* .. in any life with this disk. */
    struct qr_sim_ring ring;
};

struct qr_sim_child {
    struct qr_sim_host *host;
    uint32_t id; /* From 1: of its model. */
    bool is_spare;
    bool truncate, rules_29;
    uint32_t late_every;
    enum qr_model_lie lie; /* Of its times. */
    int64_t lie_by_s;
    int64_t first_s; /* Its history begins here .. */
    uint32_t n_forgot;
    int64_t
        forgot_s[QR_SIM_FORGETS_MAX]; /* .. and has begun here: what it did not say then is lost. */
    struct qr_child *child;           /* NULL: down. */
    struct qr_sim_event boot;
    struct qr_sim_ring ring;
};

struct qr_sim_cluster {
    const struct qr_sim_options *options;
    struct qr_sim_result *result;
    uint32_t n_members, n_children; /* Without spares. */
    bool operated;                  /* Somebody changes the members: testing/sim/operator. */
    struct qr_sim_member members[QR_SIM_MEMBERS_MAX];
    struct qr_sim_child children[QR_SIM_CHILDREN_MAX + QR_SIM_SPARES];
    struct qr_model models[QR_SIM_CHILDREN_MAX]; /* Of each child. */
    struct qr_sim_ring world;                    /* What was done to them. */
};

extern struct qr_sim_cluster qr_sim_cluster;

/* Makes all hosts; nothing runs yet. */
void qr_sim_hosts_init(const struct qr_sim_options *options, struct qr_sim_result *result);
void qr_sim_hosts_boot(void);

struct qr_sim_member *qr_sim_member_of(const struct qr_sim_host *host); /* NULL: it is none. */
/* The member that leads the newest term, as they say; NULL: none. */
struct qr_sim_member *qr_sim_leader(void);

/* Takes it down if it is up, and keeps it so for a time. */
void qr_sim_member_take(struct qr_sim_member *member, enum qr_sim_down how, uint64_t for_ms);
/* .. and its disk is replaced by an empty one, with what its operator puts there. */
void qr_sim_member_wipe(struct qr_sim_member *member, uint64_t for_ms);
void qr_sim_child_take(struct qr_sim_child *child, uint64_t for_ms);
void qr_sim_child_boot(struct qr_sim_child *child);
/* A spare that is down becomes a second child of that id; NULL: none is left. */
struct qr_sim_child *qr_sim_spare_boot(uint32_t id);

/* A line about the world: to its ring, and out if verbose. */
void qr_sim_say(const char *format, ...) QR_PRINTF(1, 2);
void qr_sim_rings_print(FILE *out);

/* Moves from a broken connection to the next that works, of all children in all lives. */
uint64_t qr_sim_failovers(void);

#endif
