/* testing/netdata.h — a real Netdata (Debian's 1.37.1) as a child or a parent, for tests.
 *
 * Private: all its folders under one of ours, loopback only, no cloud, registry, health or plugins
 * but those asked for.  As a child it collects a part of /proc, and a plugin of our own whose chart
 * qtest.known is a function of time, and which offers the function `qtest`; as a parent it collects
 * nothing, as a proxy both.
 * Thread: the test's. */
#ifndef QR_TESTING_NETDATA_H
#define QR_TESTING_NETDATA_H

#include "testing/fetch.h"
#include "testing/process.h"
#include "testing/verify.h"

struct qr_netdata_options {
    const char *name;
    const char *destinations;   /* "HOST:PORT HOST:PORT ..", NULL: does not stream. */
    const char *api_key;        /* To send, or to accept. */
    bool parent;                /* With destinations: a proxy. */
    uint32_t reconnect_delay_s; /* 0: 5 */
    uint32_t tiers;             /* Of its database; 0: 1 */
};

struct qr_netdata {
    struct qr_process process;
    char dir[QR_TEMP_DIR_BYTES];
    char url[80];
    char guid[40]; /* Once it answers. */
    int64_t started_s;
    int64_t unsure_s; /* So much of the begin of each chart is not compared. */
};

/* Is the program installed? */
bool qr_netdata_available(void);

/* Starts it and waits until it answers.  0, QR_E_TIMEOUT (its log is printed), or an error. */
int qr_netdata_start(struct qr_netdata *netdata, const struct qr_netdata_options *options);
/* Ends it in order, so that it writes all that it has, and starts it again on its files.  Errors as
 * of qr_netdata_start. */
int qr_netdata_restart(struct qr_netdata *netdata);
/* Kills it and removes its folder unless `keep`. */
void qr_netdata_release(struct qr_netdata *netdata, bool keep);

/* Compares what `prefix` (a member's http://HOST:PORT/host/GUID) answers over [from_s, to_s] with
 * the child's own database, every chart and dimension that the child has, but for a chart's first
 * second, which a child does not send. */
void qr_netdata_compare(struct qr_netdata *netdata, struct qr_fetch *fetch, const char *prefix,
                        int64_t from_s, int64_t to_s, struct qr_verify *result);

#endif
