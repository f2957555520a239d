/* ha-tests/cell.h — one cell of the matrix: a workload under one or two kinds of faults for some
 * seconds, on a cluster of its own, and the history of it in a file.
 *
 *   cell_up()       members with a leader, children streaming
 *   cell_run()      faults in a seeded order, while members are asked all the time
 *   cell_finish()   faults end, the cluster comes back, all that was measured is asked for
 *   cell_down()
 *
 * Nothing is decided here: whether it went well is for who reads the history (testing/judge.h).
 * One turn of the loop asks one member something; what is due of faults and processes is looked
 * after in each turn.  Thread: the only one. */
#ifndef QR_HA_TESTS_CELL_H
#define QR_HA_TESTS_CELL_H

#include "base/rng.h"
#include "ha-tests/network.h"
#include "testing/cluster.h"
#include "testing/journal.h"
#include "testing/model.h"

#define CELL_MEMBERS    3u
#define CELL_LOADS_MAX  24u
#define CELL_KINDS_MAX  2u
#define CELL_ACTIVE_MAX 16u
#define CELL_ROTTEN_MAX 256u

enum cell_workload { CELL_STREAMS, CELL_REPLAYS, CELL_WORKLOADS };

struct fault_kind; /* ha-tests/faults.h */

struct cell_options {
    enum cell_workload workload;
    const struct fault_kind *kinds[CELL_KINDS_MAX]; /* The second may be NULL. */
    unsigned seconds;
    uint64_t seed;
    uint16_t base_port;
    struct network *network; /* NULL: members are on the loopback. */
    const char *history;     /* The file, new. */
};

/* Children that stream, and what is to be found of them in the end. */
struct cell_load {
    struct qr_process process;
    struct qr_model model;
    int64_t first_s, last_s;
    bool live;
};

/* A fault that lasts. */
struct cell_fault {
    const struct fault_kind *kind;
    uint64_t id, over_ms; /* qr_mono_ms */
    unsigned member;      /* 0: all. */
};

struct cell_member {
    bool is_down;     /* A fault has ended its process, */
    uint64_t back_ms; /* or it has ended by itself, and is started again then. */
    bool is_damaged;  /* Its log is: it may refuse to start. */
    /* It has lost its data, and is to be taken in again, asked for then. */
    uint64_t rebuild_ms;
};

/* A block file that was damaged: it is found when the page is read, or within a day. */
struct cell_rotten {
    unsigned member;
    char file[80];
};

struct cell {
    struct cell_options options;
    struct qr_cluster cluster;
    struct qr_journal journal;
    struct qr_rng rng;
    struct cell_member members[CELL_MEMBERS + 1];
    struct cell_load loads[CELL_LOADS_MAX];
    unsigned n_loads;
    struct cell_fault active[CELL_ACTIVE_MAX];
    unsigned n_active;
    struct cell_rotten rotten[CELL_ROTTEN_MAX];
    unsigned n_rotten;
    uint64_t n_faults, n_turns;
    uint64_t over_ms;           /* When faults may end: each kind must have come. */
    uint64_t fault_ms;          /* When the next fault is due, */
    uint64_t break_ms, late_ms; /* and of the workload with replays, all by qr_mono_ms. */
    bool has_come[CELL_KINDS_MAX];
    char controls_dir[QR_TEMP_DIR_BYTES];
    char delay_files[CELL_MEMBERS + 1][QR_TEMP_DIR_BYTES + 64];
    char clock_files[CELL_MEMBERS + 1][QR_TEMP_DIR_BYTES + 64];
    char environment[CELL_MEMBERS + 1][8][QR_TEMP_DIR_BYTES + 128];
    const char *environments[CELL_MEMBERS + 1][9];
    const char *const *environment_list[CELL_MEMBERS];
    int64_t calm_s;
};

extern const char *const cell_workload_names[CELL_WORKLOADS];

/* False, with a line on stderr: it could not be brought up. */
bool cell_up(struct cell *cell, const struct cell_options *options);
void cell_run(struct cell *cell);
void cell_finish(struct cell *cell);
/* `keep`: the files of the members stay. */
void cell_down(struct cell *cell, bool keep);

/* For faults: starts a member that does not run; all members answer, ready and HEALTHY. */
void cell_start_member(struct cell *cell, unsigned id);
bool cell_is_well(struct cell *cell);
/* Removes the data of a member that does not run; it is started and rebuilt in the next turns. */
void cell_lose_data(struct cell *cell, unsigned id);

#endif
