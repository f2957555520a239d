#include "node/keeper.h"

#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

#define RETAIN_WAITS_S 86400 /* At most, for a merge. */
#define FILES_MAX      16    /* Named in one tick. */

/* A window that has unsealed samples, and since when we know. */
struct seen {
    int64_t start_s;
    int64_t since_s;
};

struct qr_keeper {
    struct qr_group *group;
    struct qr_store *store;
    const struct qr_config *config;
    const struct qr_agreed *time;
    struct seen seen[QR_KEEPER_WINDOWS_MAX];
    unsigned n_seen;
    int64_t retained_s;       /* When RETAIN was proposed last. */
    struct qr_block_id merge; /* The one that is due, and since when. */
    int64_t merge_since_s;
    unsigned n_pending;
};

int qr_keeper_new(struct qr_keeper **keeper, struct qr_group *group, struct qr_store *store,
                  const struct qr_config *config, const struct qr_agreed *time)
{
    struct qr_keeper *k = calloc(1, sizeof *k);
    if (k == NULL)
        return UV_ENOMEM;
    k->group = group;
    k->store = store;
    k->config = config;
    k->time = time;
    *keeper = k;
    return 0;
}

static int64_t no_longer_than_a_window(const struct qr_keeper *keeper, int64_t time_s)
{
    int64_t window_s = keeper->config->window_s;
    return time_s < window_s ? time_s : window_s;
}

static int64_t grace_s(const struct qr_keeper *keeper)
{
    return no_longer_than_a_window(keeper, QR_KEEPER_GRACE_S);
}

static int64_t late_s(const struct qr_keeper *keeper)
{
    return no_longer_than_a_window(keeper, QR_KEEPER_LATE_S);
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
        qr_warn("log refused a seal, a merge or a retention error=\"%s\"", qr_strerror(status));
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
        if (keeper->seen[i].start_s == start_s && keeper->seen[i].since_s <= now_s)
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
        qr_store_sealable(keeper->store, now_s - grace_s(keeper), starts, QR_KEEPER_WINDOWS_MAX);
    for (unsigned i = 0; i < n; i++) {
        int64_t since_s = seen_since(keeper, starts[i], now_s);
        bool late =
            starts[i] + 2 * window_s < now_s || qr_store_was_sealed(keeper->store, starts[i]);
        if ((!late || now_s - since_s >= late_s(keeper)) &&
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

bool qr_keeper_merge_due(struct qr_keeper *keeper, int64_t now_s, struct qr_block_id *id)
{
    int64_t window_s = (int64_t)keeper->config->window_s;
    int64_t before_s = now_s - window_s - grace_s(keeper) - late_s(keeper);
    if (!qr_store_merge_due(keeper->store, before_s, id))
        return false;
    if (!qr_block_id_is(id, &keeper->merge) || keeper->merge_since_s > now_s) {
        keeper->merge = *id;
        keeper->merge_since_s = now_s;
    }
    /* Generation 1 is of windows that came once, in time. */
    bool is_again = id->tier == 0 && id->generation > 1;
    return !is_again || now_s - keeper->merge_since_s >= late_s(keeper);
}

static void merge_files(struct qr_keeper *keeper, int64_t now_s)
{
    struct qr_block_id id;
    struct qr_buf body = {0};
    if (!qr_keeper_merge_due(keeper, now_s, &id))
        return;
    const struct qr_merge_body merge = {id.tier, id.shard, id.start_s};
    qr_merge_body_encode(&body, &merge);
    propose(keeper, QR_COMMAND_MERGE, &body);
}

void qr_keeper_retention(const struct qr_keeper *keeper, int64_t now_s,
                         struct qr_retention *retention)
{
    for (unsigned tier = 0; tier < QR_TIERS; tier++) {
        int64_t before_s = now_s - (int64_t)keeper->config->retention_hours[tier] * 3600;
        /* What is dropped before its points are made has none; but a merge that never comes must
         * not fill the disk. */
        int64_t needed_s = qr_store_merge_needs(keeper->store, tier);
        if (needed_s < before_s - RETAIN_WAITS_S)
            needed_s = before_s - RETAIN_WAITS_S;
        retention->before_s[tier] = before_s < needed_s ? before_s : needed_s;
        retention->bytes_max[tier] = (uint64_t)keeper->config->retention_mib[tier] << 20;
    }
}

static void retain(struct qr_keeper *keeper, int64_t now_s)
{
    if (now_s >= keeper->retained_s && now_s - keeper->retained_s < late_s(keeper))
        return;
    keeper->retained_s = now_s;
    struct qr_retention retention;
    struct qr_buf body = {0};
    qr_keeper_retention(keeper, now_s, &retention);
    for (unsigned tier = 0; tier < QR_TIERS && qr_agreed_is_doubtful(keeper->time); tier++)
        retention.before_s[tier] = 0;
    qr_retain_body_encode(&body, &retention);
    propose(keeper, QR_COMMAND_RETAIN, &body);
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
    bool leads = is_leader(keeper);
    if (!leads)
        keeper->n_seen = 0;
    if (keeper->n_pending > 0)
        return; /* what was proposed last has not been applied: it would be proposed twice */
    if (leads) {
        int64_t now_s = qr_clock_real_s(&keeper->time->clock);
        seal_windows(keeper, now_s);
        merge_files(keeper, now_s);
        retain(keeper, now_s);
    }
    vote_on_files(keeper);
}
