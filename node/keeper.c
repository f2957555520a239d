#include "node/keeper.h"

#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

#define RETAIN_EVERY_S 600
#define FILES_MAX      16 /* Named in one tick. */

/* A window that has unsealed samples, and since when we know. */
struct seen {
    int64_t start_s;
    int64_t since_s;
};

struct qr_keeper {
    struct qr_group *group;
    struct qr_store *store;
    const struct qr_config *config;
    const struct qr_clock *clock;
    struct seen seen[QR_KEEPER_WINDOWS_MAX];
    unsigned n_seen;
    int64_t retained_s; /* When RETAIN was proposed last. */
    unsigned n_pending;
};

int qr_keeper_new(struct qr_keeper **keeper, struct qr_group *group, struct qr_store *store,
                  const struct qr_config *config, const struct qr_clock *clock)
{
    struct qr_keeper *k = calloc(1, sizeof *k);
    if (k == NULL)
        return UV_ENOMEM;
    k->group = group;
    k->store = store;
    k->config = config;
    k->clock = clock;
    *keeper = k;
    return 0;
}

static bool is_leader(const struct qr_keeper *keeper)
{
    struct qr_group_status status;
    qr_group_get_status(keeper->group, &status);
    return status.role == QR_GROUP_LEADER && status.ready;
}

static void on_done(void *data, int status, uint64_t index)
{
    (void)index;
    struct qr_keeper *keeper = data;
    keeper->n_pending--;
    if (status != 0 && status != UV_ECANCELED)
        qr_warn("log refused a seal or a retention error=\"%s\"", qr_strerror(status));
}

static void propose(struct qr_keeper *keeper, enum qr_command_type type, struct qr_buf *body)
{
    if (!body->failed &&
        qr_group_propose(keeper->group, type, qr_buf_slice(body), on_done, keeper) == 0)
        keeper->n_pending++;
    qr_buf_release(body);
}

static void propose_time(struct qr_keeper *keeper, enum qr_command_type type, int64_t time_s)
{
    struct qr_buf body = {0};
    qr_time_body_encode(&body, time_s);
    propose(keeper, type, &body);
}

static int64_t seen_since(const struct qr_keeper *keeper, int64_t start_s, int64_t now_s)
{
    for (unsigned i = 0; i < keeper->n_seen; i++)
        if (keeper->seen[i].start_s == start_s)
            return keeper->seen[i].since_s;
    return now_s;
}

unsigned qr_keeper_due(struct qr_keeper *keeper, int64_t now_s,
                       int64_t starts[QR_KEEPER_WINDOWS_MAX])
{
    struct seen still[QR_KEEPER_WINDOWS_MAX];
    unsigned n_still = 0, n_due = 0, n_unwritten = qr_store_unwritten(keeper->store);
    int64_t window_s = (int64_t)keeper->config->window_s;
    unsigned n =
        qr_store_sealable(keeper->store, now_s - QR_KEEPER_GRACE_S, starts, QR_KEEPER_WINDOWS_MAX);
    for (unsigned i = 0; i < n; i++) {
        int64_t since_s = seen_since(keeper, starts[i], now_s);
        bool late =
            starts[i] + 2 * window_s < now_s || qr_store_was_sealed(keeper->store, starts[i]);
        if ((!late || now_s - since_s >= QR_KEEPER_LATE_S) &&
            n_unwritten + n_due <= QR_KEEPER_UNWRITTEN_MAX)
            starts[n_due++] = starts[i];
        else
            still[n_still++] = (struct seen){starts[i], since_s};
    }
    for (unsigned i = 0; i < n_still; i++)
        keeper->seen[i] = still[i];
    keeper->n_seen = n_still;
    return n_due;
}

static void seal_windows(struct qr_keeper *keeper, int64_t now_s)
{
    int64_t starts[QR_KEEPER_WINDOWS_MAX];
    unsigned n = qr_keeper_due(keeper, now_s, starts);
    for (unsigned i = 0; i < n; i++)
        propose_time(keeper, QR_COMMAND_SEAL, starts[i]);
}

static void retain(struct qr_keeper *keeper, int64_t now_s)
{
    if (now_s - keeper->retained_s < RETAIN_EVERY_S)
        return;
    keeper->retained_s = now_s;
    int64_t before_s = now_s - (int64_t)keeper->config->retention_hours * 3600;
    if (before_s > 0)
        propose_time(keeper, QR_COMMAND_RETAIN, before_s);
}

/* The group agrees on a file once a majority has said the same of it. */
static void vote_on_files(struct qr_keeper *keeper)
{
    struct qr_store_file files[FILES_MAX];
    unsigned n = qr_store_unvoted(keeper->store, keeper->config->member_id, files, FILES_MAX);
    for (unsigned i = 0; i < n; i++) {
        const struct qr_sealed sealed = {files[i].id, files[i].bytes, files[i].hash};
        struct qr_buf body = {0};
        qr_sealed_encode(&body, &sealed);
        propose(keeper, QR_COMMAND_SEALED, &body);
    }
}

void qr_keeper_tick(struct qr_keeper *keeper)
{
    if (!is_leader(keeper))
        keeper->n_seen = 0;
    if (keeper->n_pending > 0)
        return; /* what was proposed last has not been applied: it would be proposed twice */
    if (is_leader(keeper)) {
        int64_t now_s = qr_clock_real_s(keeper->clock);
        seal_windows(keeper, now_s);
        retain(keeper, now_s);
    }
    vote_on_files(keeper);
}
