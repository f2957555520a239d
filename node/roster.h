/* node/roster.h — the consensus loop's side of all feeds: claims, definitions, batches.
 *
 * Everything that enters the log from this member goes through here, in the order in which it was
 * asked for.  See node/feed.h for the conversation.  Closing a feed: when the log says that another
 * epoch has its host (fenced), or when this member cannot serve (close_all).
 *
 * Thread: consensus; the post functions may be called from any. */
#ifndef QR_NODE_ROSTER_H
#define QR_NODE_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cluster/group.h"
#include "node/feed.h"

struct qr_roster;

/* Workers that look at definitions and holes at a time. */
#define QR_ROSTER_LANES 3u

/* The group may be set later, before anything is posted, and NULL once it is closed: what still
 * comes is refused. */
int qr_roster_new(struct qr_roster **roster, struct qr_mailbox *mailbox, uv_loop_t *loop,
                  struct qr_store *store, uint32_t member, uint64_t incarnation,
                  const struct qr_clock *clock);
void qr_roster_set_group(struct qr_roster *roster, struct qr_group *group);
void qr_roster_free(struct qr_roster *roster);

/* ---- from a session, any thread ---- */

/* host_body of the feed is filled; exactly one `attached` follows. */
void qr_roster_attach(struct qr_roster *roster, struct qr_feed *feed);
void qr_roster_define(struct qr_roster *roster, struct qr_feed_define *define);
/* Charts that were defined before: their next holes.  chart, source and until_s are filled;
 * comes back as a define does. */
void qr_roster_seek(struct qr_roster *roster, struct qr_feed_define *seek);
void qr_roster_note(struct qr_roster *roster, struct qr_feed_note *note);
void qr_roster_batch(struct qr_roster *roster, struct qr_batch *batch);
void qr_roster_detach(struct qr_roster *roster, struct qr_feed *feed);

/* A person's wish to have a host or a chart removed; comes back as its own answer. */
struct qr_forget_request {
    struct qr_message message;
    struct qr_mailbox *home;
    void (*done)(struct qr_forget_request *request); /* On `home`. */
    struct qr_slice host;                            /* Its name or GUID. */
    struct qr_slice chart;                           /* Its id or name; empty: the host. */
    /* The answer: 0, QR_E_UNKNOWN (no such host or, if host_known, chart), or why the log did not
     * take it. */
    int status;
    bool host_known;
    struct qr_guid guid;
    struct qr_roster *roster; /* The roster's. */
};
void qr_roster_forget(struct qr_roster *roster, struct qr_forget_request *request);

/* ---- from the group's events, consensus ---- */

void qr_roster_owned(struct qr_roster *roster, const struct qr_owner *owner, uint64_t nonce);
/* The state was replaced by a snapshot: feeds that lost their host meanwhile are closed. */
void qr_roster_restored(struct qr_roster *roster);
/* The log refused a block of this host that this member proposed: its feed starts over. */
void qr_roster_refused(struct qr_roster *roster, uint32_t host, uint32_t epoch, int error);
/* The host, or a chart of it, was removed on demand: its feed starts over, and makes it new. */
void qr_roster_forgotten(struct qr_roster *roster, uint32_t host);
void qr_roster_close_all(struct qr_roster *roster, const char *reason);
/* At most n children are told to go, gently: another member shall have them. */
void qr_roster_move_on(struct qr_roster *roster, unsigned n, const char *reason);
/* Once the log is read: children that an earlier life of this member left as connected, and that
 * are not, are so no longer. */
void qr_roster_settle(struct qr_roster *roster);
/* Proposals that had to wait are tried again; call now and then. */
void qr_roster_tick(struct qr_roster *roster);

/* Feeds connected here, the member's own not counted. */
unsigned qr_roster_n_children(const struct qr_roster *roster);

/* Children connected here whose clock is wrong by more than QR_CLOCK_NOTED_S, or of which rows of
 * the future were refused.  How many there are of them in `clocks`. */
#define QR_CLOCK_NOTED_S 5
struct qr_feed_clock {
    uint32_t host;
    int64_t ahead_s;
    uint64_t rows_ahead;
};
unsigned qr_roster_clocks(const struct qr_roster *roster, struct qr_feed_clock *clocks,
                          unsigned max);

/* What a child showed when it was let in. */
struct qr_feed_admitted {
    uint32_t host;
    uint32_t key; /* In the log; 0: none of there. */
    bool has_certificate;
    uint8_t certificate[QR_TLS_FINGERPRINT_BYTES];
};
/* Of those children here that showed one or the other, by host; returns how many of `max`. */
unsigned qr_roster_admitted(const struct qr_roster *roster, struct qr_feed_admitted *admitted,
                            unsigned max);

/* Of a child that is connected here and replays its past. */
struct qr_feed_replay {
    uint32_t host;
    uint64_t left_s, all_s; /* Seconds of its charts to be asked for still; the most there were. */
    uint64_t since_ms;      /* When that began (mono). */
    uint64_t n_asks;        /* Requests that wait for their answers. */
};
/* Those there are, ascending by host, at most max. */
unsigned qr_roster_replays(const struct qr_roster *roster, struct qr_feed_replay *replays,
                           unsigned max);

/* The hosts whose data come through this member now: their sessions, to stream them on.  Returns
 * how many there are; copies at most `max`. */
struct qr_roster_host {
    uint32_t id, epoch;
    uint32_t offer; /* Of its functions: qr_feed. */
    struct qr_guid guid;
    char api_key[40];
};
unsigned qr_roster_hosts(const struct qr_roster *roster, struct qr_roster_host *hosts,
                         unsigned max);

/* Socket to applied, of the last 1024 batches, in us. */
void qr_roster_latency(struct qr_roster *roster, uint64_t *p50_us, uint64_t *p99_us);

#endif
