/* ha-tests/odd_child.h — a child of one chart whose life a test tells: dimensions that come and go,
 * intervals that change, names that change.
 *
 * It has a database, as a child does: each row that it collects is kept with the interval of its
 * time, said live if it is connected and the chart is live, and answered when a member asks for it.
 * Its clock is the test's: a scenario lies in the past and takes no time.  It speaks as 2.x does
 * (BEGIN2, replication, no compression).  Thread: the test's. */
#ifndef QR_HA_TESTS_ODD_CHILD_H
#define QR_HA_TESTS_ODD_CHILD_H

#include "ha-tests/harness.h"
#include "ha-tests/stranger.h"

#define ODD_DIMS_MAX 4
#define ODD_ROWS_MAX 1024
#define ODD_CHART    "odd.chart"

struct odd_row {
    int64_t end_s;
    uint32_t update_every;
    int64_t values[ODD_DIMS_MAX];
    bool has[ODD_DIMS_MAX];
};

struct odd_child {
    struct stage *stage;
    char guid[QR_GUID_TEXT_LEN + 1];
    int fd; /* -1: not connected */
    char in[4096];
    size_t n_in;
    bool live;
    int64_t clock_s; /* End of the newest row. */
    uint32_t update_every;
    bool collects[ODD_DIMS_MAX]; /* Dimensions a, b, c, d: which have values now. */
    struct odd_row rows[ODD_ROWS_MAX];
    unsigned n_rows;
    unsigned n_asked;  /* Times that it was asked for the past on this connection. */
    int64_t since_s;   /* Its database begins there; 0: with its first row. */
    int64_t kept_to_s; /* Its answers stop at rows that end at or before it, as at a second without
                        * any value; 0: they do not.  It says that it is a 1.37, which does so. */
    int64_t told_to_s; /* But for those up to here. */
};

/* The n-th child of a test; its first row ends after clock_s. */
void odd_init(struct odd_child *child, struct stage *stage, unsigned n, int64_t clock_s);

/* Opens a connection to a member as this hostname. */
void odd_connect(struct odd_child *child, unsigned member, const char *hostname);
void odd_disconnect(struct odd_child *child);

/* Says the definition of the chart: a CHART line's options and type, and DIMENSION lines as they
 * are; then answers until the member lets it stream. */
void odd_define(struct odd_child *child, const char *type, const char *options,
                const char *dimensions);

/* Collects n rows, one each update_every.  Quiet: the member is not told, as between two
 * connections. */
void odd_collect(struct odd_child *child, unsigned n);

/* Answers what is asked, until nothing is for so long. */
void odd_serve(struct odd_child *child, int quiet_ms);

/* Every row, on every member, under the name ("a", "b", ..) that each dimension has now; and that
 * nothing else is there.  Waits for it. */
void odd_check(struct odd_child *child, const char *const names[ODD_DIMS_MAX]);

#endif
