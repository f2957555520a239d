/* testing/sim/reader.c — checks that read: samples and points in stores, bytes of block files. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "storage/query.h"
#include "testing/sim/checks.h"
#include "testing/sim/fs.h"
#include "testing/sim/points.h"
#include "testing/verify.h"

#define BLOCK_DIR   "/sim/data/group-1/blocks"
#define FILES_MAX   8192u
#define READERS_MAX 32u
#define GAPS_MAX    4096u
#define MAY_S       90 /* After the last second that must be there, others have come meanwhile. */
#define NEW_S       10 /* A child that begins has other values at first, or none. */

/* One member's store, over a span. */
struct reading {
    bool busy;
    struct qr_sim_member *member;
    uint64_t life;
    int64_t from_s, to_s;
    bool whole;
    uint32_t *values; /* A chart's: by second, then dimension. */
    uint32_t n_bad;   /* Pages that could not be served. */
    uint32_t n_gaps;  /* Recorded, of the chart. */
    struct qr_gap gaps[GAPS_MAX];
    struct qr_sim_points points; /* What those of the chart must be, if all is read. */
};

static struct reading readings[READERS_MAX];

/* ---- samples ---- */

struct place {
    const struct qr_model *model;
    const char *member;
    uint32_t child, chart, dim;
    int64_t t;
};

static void complain(uint64_t *n, const struct place *at, const char *what, double is, double ought)
{
    (*n)++;
    qr_sim_violation("%s: %s: child-%u, chart %u, dim %u, second %lld is %.9g, ought to be %.9g",
                     at->member, what, at->child, at->chart, at->dim, (long long)at->t, is, ought);
}

/* A child without a past begins about here: what it says is not the model's yet. */
static bool is_beginning(const struct place *at)
{
    const struct qr_sim_child *child = &qr_sim_cluster.children[at->child - 1];
    int64_t new_s = NEW_S + 2 * (int64_t)qr_model_update_every(at->model, at->chart);
    for (uint32_t i = 0; i < child->n_forgot; i++)
        if (at->t >= child->forgot_s[i] && at->t < child->forgot_s[i] + new_s)
            return true;
    return false;
}

/* The child does not have it any more, and says so: a gap is recorded, and nothing is lost in
 * silence. */
static bool is_forgotten(const struct reading *r, const struct place *at)
{
    if (at->t >= qr_sim_cluster.children[at->child - 1].first_s)
        return false;
    for (uint32_t i = 0; i < r->n_gaps; i++)
        if (at->t > r->gaps[i].after_s && at->t <= r->gaps[i].before_s)
            return true;
    return false;
}

static void compare(struct reading *r, const struct place *at, uint32_t value)
{
    struct qr_sim_result *result = qr_sim_cluster.result;
    double ought, is = qr_value_unpack(value);
    bool there = qr_model_value(at->model, 0, at->chart, at->dim, at->t, &ought);
    result->n_samples++;
    if (there && qr_value_is_empty(value) && r->whole && is_forgotten(r, at)) {
        result->n_gone++;
        return;
    }
    if (there && qr_value_is_empty(value)) {
        if (r->whole && r->n_bad == 0)
            complain(&result->n_lost, at, "a sample is lost", is, ought);
        else if (r->whole)
            complain(&result->n_lost, at, "a sample is damaged everywhere", is, ought);
    } else if (!there && !qr_value_is_empty(value)) {
        complain(&result->n_extra, at, "there is a sample that no child collected", is, 0);
    } else if (there && !qr_verify_equal(is, ought)) {
        complain(&result->n_wrong, at, "a sample is wrong", is, ought);
    } else if (there && r->whole) {
        qr_sim_points_must(&r->points, at->t, at->dim, ought);
    }
}

/* What comes while all is read, and is not compared, is in points. */
static void add_what_comes(struct reading *r, const struct qr_model *model, uint32_t chart,
                           int64_t t)
{
    double value;
    for (uint32_t dim = 0; dim < model->n_dims; dim++)
        if (qr_model_value(model, 0, chart, dim, t, &value))
            qr_sim_points_may(&r->points, t, dim, value);
}

static void compare_chart(struct reading *r, const struct qr_model *model, uint32_t child,
                          uint32_t chart)
{
    struct place at = {.model = model, .member = r->member->host->name, .child = child};
    uint32_t step = qr_model_update_every(model, chart);
    at.chart = chart;
    for (at.t = r->from_s; at.t <= r->to_s; at.t++) {
        if (at.t % step != 0)
            continue;
        if (is_beginning(&at)) {
            qr_sim_points_unknown(&r->points, at.t);
            continue;
        }
        if (qr_model_collected_from(model, chart, at.t) > r->to_s) {
            if (r->whole)
                add_what_comes(r, model, chart, at.t);
            continue;
        }
        const uint32_t *row = &r->values[(size_t)(at.t - r->from_s) * model->n_dims];
        for (at.dim = 0; at.dim < model->n_dims; at.dim++)
            compare(r, &at, row[at.dim]);
    }
    for (; r->whole && at.t <= r->to_s + MAY_S; at.t++)
        if (at.t % step == 0)
            add_what_comes(r, model, chart, at.t);
}

static void compare_points(struct reading *r, struct qr_store *store, const struct qr_chart *chart,
                           uint32_t child, uint32_t number)
{
    char sentence[QR_SIM_SENTENCE / 2];
    if (!qr_sim_points_compare(&r->points, store, chart, &qr_sim_cluster.result->n_points, sentence,
                               sizeof sentence))
        qr_sim_violation("%s: child-%u, chart %u, %s", r->member->host->name, child, number,
                         sentence);
}

static void take_slab(struct reading *r, const struct qr_slab *slab, uint32_t n_dims,
                      int64_t *last_s)
{
    for (uint32_t row = 0; row < slab->n_rows; row++) {
        int64_t t = slab->first_s + (int64_t)row * slab->step_s;
        if (t <= *last_s && *last_s != 0) {
            qr_sim_cluster.result->n_duplicated++;
            qr_sim_violation("%s: second %lld comes twice in one answer", r->member->host->name,
                             (long long)t);
        }
        *last_s = t;
        if (t < r->from_s || t > r->to_s)
            continue;
        for (uint32_t dim = 0; dim < n_dims; dim++)
            r->values[(size_t)(t - r->from_s) * n_dims + dim] = qr_slab_at(slab, row, dim);
    }
}

static void forget_values(struct reading *r, uint32_t n_dims)
{
    size_t n = (size_t)(r->to_s - r->from_s + 1) * n_dims;
    for (size_t i = 0; i < n; i++)
        r->values[i] = QR_VALUE_EMPTY;
}

/* The dimensions of a model's charts are in its order in the definitions, too. */
static void read_chart(struct reading *r, struct qr_store *store, const struct qr_chart *chart,
                       uint32_t n_dims)
{
    struct qr_query *query;
    struct qr_slab slab;
    int64_t last_s = 0;
    int err = qr_query_open(&query, store, chart, r->from_s, r->to_s);
    assert(err == 0);
    while ((err = qr_query_next(query, &slab)) == 1)
        take_slab(r, &slab, n_dims, &last_s);
    r->n_bad += qr_query_n_bad(query) + (err < 0);
    qr_query_close(query);
    r->n_gaps = qr_store_gaps(store, chart->id, r->gaps, GAPS_MAX);
    assert(r->n_gaps <= GAPS_MAX);
}

static void read_child(struct reading *r, struct qr_store *store, uint32_t child)
{
    const struct qr_model *model = &qr_sim_cluster.models[child - 1];
    char id[QR_MODEL_NAME_BYTES];
    struct qr_guid guid;
    qr_model_guid(model, 0, &guid);
    for (uint32_t chart = 0; chart < model->n_charts && !qr_sim_violated(); chart++) {
        forget_values(r, model->n_dims);
        r->n_gaps = 0;
        qr_sim_points_init(&r->points, r->from_s, r->whole ? r->to_s : r->from_s - 1,
                           model->n_dims);
        int slot = qr_store_enter(store);
        const struct qr_host *host = qr_store_host_by_guid(store, &guid);
        qr_model_chart_id(chart, id);
        const struct qr_chart *found =
            host != NULL ? qr_store_chart_find(store, host, qr_slice_str(id)) : NULL;
        if (found != NULL)
            read_chart(r, store, found, model->n_dims);
        compare_chart(r, model, child, chart);
        if (found != NULL && r->whole && !qr_sim_violated())
            compare_points(r, store, found, child, chart);
        qr_store_leave(store, slot);
        qr_sim_points_release(&r->points);
    }
}

static void read_store(void *data)
{
    struct reading *r = data;
    struct qr_store *store = qr_node_store(r->member->node);
    int slot = qr_store_enter(store);
    int64_t edge_s = qr_store_edge(store, 0);
    qr_store_leave(store, slot);
    if (r->from_s <= edge_s + qr_sim_cluster.options->quiet_s)
        r->from_s = edge_s + qr_sim_cluster.options->quiet_s + 1;
    for (uint32_t child = 1; child <= qr_sim_cluster.n_children && r->from_s <= r->to_s; child++)
        read_child(r, store, child);
    free(r->values);
    r->busy = false;
}

bool qr_sim_check_store(struct qr_sim_member *member, int64_t from_s, int64_t to_s, bool whole)
{
    struct reading *r = NULL;
    for (uint32_t i = 0; i < READERS_MAX; i++) {
        if (readings[i].busy && readings[i].member == member &&
            readings[i].life == member->host->life && member->host->up)
            return false;
        if (!readings[i].busy)
            r = &readings[i];
    }
    if (r == NULL || member->node == NULL || from_s > to_s)
        return false;
    *r = (struct reading){.busy = true,
                          .member = member,
                          .life = member->host->life,
                          .from_s = from_s,
                          .to_s = to_s,
                          .whole = whole};
    size_t n = (size_t)(to_s - from_s + 1) * qr_sim_cluster.options->n_dims;
    r->values = malloc(n * sizeof *r->values);
    assert(r->values != NULL);
    qr_sim_spawn_on(member->host, read_store, r);
    return true;
}

unsigned qr_sim_check_reading(void)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < READERS_MAX; i++) {
        struct reading *r = &readings[i];
        if (r->busy && (!r->member->host->up || r->member->host->life != r->life)) {
            free(r->values); /* It died while it read. */
            qr_sim_points_release(&r->points);
            r->busy = false;
        }
        n += r->busy;
    }
    return n;
}

/* ---- block files ---- */

void qr_sim_check_vote(const struct qr_sim_member *member, const struct qr_block_id *id)
{
    char name[QR_BLOCK_NAME_BYTES], path[sizeof BLOCK_DIR + QR_BLOCK_NAME_BYTES];
    qr_block_format_name(id, name);
    snprintf(path, sizeof path, "%s/%s", BLOCK_DIR, name);
    if (!qr_sim_disk_is_durable(member->host, path))
        qr_sim_violation("%s votes for %s, which would not survive a loss of power",
                         member->host->name, name);
}

struct file {
    char name[QR_BLOCK_NAME_BYTES];
    uint64_t size, hash;
    uint32_t member; /* Who had it first. */
    uint32_t seen;   /* A bit a member that has it, the same. */
};

static struct file files[FILES_MAX];
static uint32_t n_files;

struct walk {
    struct qr_sim_member *member;
    bool again;
};

static bool is_flipped(const struct qr_sim_host *host, const char *path)
{
    const struct qr_sim_flip *flip;
    for (size_t i = 0; (flip = qr_sim_disk_flipped(i)) != NULL; i++)
        if (flip->host == host && strcmp(flip->path, path) == 0)
            return true;
    return false;
}

static uint64_t hash_file(struct qr_sim_host *host, const char *path, uint64_t size)
{
    char *bytes = malloc(size + 1);
    assert(bytes != NULL);
    ssize_t n = qr_sim_disk_read(host, path, 0, bytes, size);
    uint64_t hash = n == (ssize_t)size ? XXH3_64bits(bytes, size) : 0;
    free(bytes);
    return hash;
}

static struct file *find_file(const char *name)
{
    for (uint32_t i = n_files; i > 0; i--)
        if (strcmp(files[i - 1].name, name) == 0)
            return &files[i - 1];
    return NULL;
}

static struct file *new_file(void)
{
    if (n_files == FILES_MAX) { /* The oldest are gone by retention. */
        n_files = FILES_MAX / 2;
        memmove(files, files + n_files, n_files * sizeof *files);
    }
    return &files[n_files++];
}

static void check_file(void *data, const char *path, uint64_t size)
{
    const struct walk *walk = data;
    struct qr_block_id id;
    const char *name = strrchr(path, '/') + 1;
    uint32_t bit = 1u << walk->member->id;
    if (!qr_block_parse_name(&id, name) || is_flipped(walk->member->host, path))
        return;
    struct file *file = find_file(name);
    if (file != NULL && (file->seen & bit) != 0 && !walk->again)
        return;
    uint64_t hash = hash_file(walk->member->host, path, size);
    if (file == NULL) {
        file = new_file();
        *file = (struct file){.size = size, .hash = hash, .member = walk->member->id};
        memcpy(file->name, name, strlen(name) + 1);
    } else {
        qr_sim_cluster.result->n_files++;
        if (file->size != size || file->hash != hash)
            qr_sim_violation("%s of member-%u has %llu bytes, hash %016llx; of member-%u %llu "
                             "bytes, hash %016llx",
                             name, walk->member->id, (unsigned long long)size,
                             (unsigned long long)hash, file->member, (unsigned long long)file->size,
                             (unsigned long long)file->hash);
    }
    file->seen |= bit;
}

void qr_sim_check_files(bool again)
{
    for (uint32_t i = 0; i < qr_sim_cluster.n_members; i++) {
        struct walk walk = {&qr_sim_cluster.members[i], again};
        qr_sim_disk_walk(walk.member->host, BLOCK_DIR, check_file, &walk);
    }
}
