/* ha-tests/harness.h — the stage of a scenario: three members, simulated children, a real one.
 *
 *   stage_up()       members with a leader, children streaming, all charts live
 *   fault(), ..      what the scenario does to them, and its waits
 *   stage_check()    asks each running member for every sample of the run; compares with the
 *                    children's value function and the real child's own database; compares the
 *                    state hashes; prints the figures in one line
 *   stage_down()     ends all; the files stay if something failed
 *
 * A failed expectation prints the end of every log and names the folder.  Thread: the test's. */
#ifndef QR_HA_TESTS_HARNESS_H
#define QR_HA_TESTS_HARNESS_H

#include "base/compiler.h"
#include "testing/cluster.h"
#include "testing/cmocka.h"
#include "testing/model.h"
#include "testing/netdata.h"

#define STAGE_HISTORY_S 20 /* The children have collected that long before they first connect. */
/* A chart's first collection is never sent (answers begin after it); after so many seconds every
 * chart, slow or pausing, has had it. */
#define STAGE_FIRST_S  6
#define STAGE_SETTLE_S 3 /* A Netdata serves its newest second up to 2 s late. */
#define STAGE_DOWN_MS  20000

struct stage_options {
    const char *name;
    struct qr_cluster_options cluster;
    uint32_t n_hosts;          /* 6 */
    uint32_t n_charts, n_dims; /* 16, 8 */
    bool netdata;              /* A real child too. */
    unsigned first_not_leader; /* The lists of children begin with a follower, else the leader. */
    int64_t history_s;         /* STAGE_HISTORY_S */
    const char *loadgen[16];   /* More options for it. */
    const char *also;          /* More destinations, behind the members. */
};

struct stage {
    char name[32];
    struct qr_cluster cluster;
    struct qr_model model;
    struct qr_process load;
    char load_json[512];
    struct qr_netdata netdata;
    bool has_netdata, failed, up;
    unsigned first;  /* Member that the children's lists begin with. */
    int64_t first_s; /* The simulated children's history starts here. */
    uint64_t fault_ms;
    uint64_t first_stored_ms; /* After the fault; 0: not seen. */
    struct qr_verify result;  /* Of all members together. */
};

/* Fails the running test unless the condition holds. */
#define expect(stage, condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            stage_fail(stage, #condition, __FILE__, __LINE__);                                     \
    } while (0)
void stage_fail(struct stage *stage, const char *what, const char *file, int line);

void stage_up(struct stage *stage, const struct stage_options *options);
/* Members only, with a leader; for scenarios that bring their own children. */
void stage_members_up(struct stage *stage, const struct stage_options *options);
void stage_down(struct stage *stage);

/* GUID of a simulated host. */
void stage_guid(const struct stage *stage, uint32_t host, char guid[QR_GUID_TEXT_LEN + 1]);

/* How many gaps of a host are recorded, as member 1 says; -1: it does not know the host. */
int64_t stage_gaps(struct stage *stage, const char *guid);

/* The load generator's figures, a new reference. */
json_t *stage_load_figures(struct stage *stage);

/* All simulated children are connected with every chart live. */
void stage_wait_live(struct stage *stage, uint64_t timeout_ms);

/* Notes the time of the fault. */
void stage_fault(struct stage *stage);

/* Waits until a running member has stored a second of the host that came after the fault (or, with
 * no fault, any), on every running member. */
void stage_wait_stored_after_fault(struct stage *stage, const char *guid, uint64_t timeout_ms);
/* The same, not asking one member (0: all are asked). */
void stage_wait_stored_after_fault_except(struct stage *stage, const char *guid, unsigned except,
                                          uint64_t timeout_ms);

/* Waits until another member owns the host: what was on its way at the fault may be stored still.
 */
void stage_wait_moved(struct stage *stage, const char *guid, unsigned from, uint64_t timeout_ms);

/* Waits until every running member holds every simulated host up to second `t`, and the real child
 * too. */
void stage_wait_stored(struct stage *stage, int64_t t, uint64_t timeout_ms);

/* Verifies [first_s + STAGE_FIRST_S, to_s] on one member, simulated children and the real one. */
void stage_verify_member(struct stage *stage, unsigned id, int64_t to_s, struct qr_verify *result);

/* The end of a scenario: waits until all that was collected up to now is stored on every running
 * member, checks everything, prints the figures; the children are paused then. */
void stage_check(struct stage *stage);
/* After a check, to go on. */
void stage_wake_children(struct stage *stage);

/* Counter of /api/quorate/v1/status, summed over the running members. */
int64_t stage_counter(struct stage *stage, const char *name);

#endif
