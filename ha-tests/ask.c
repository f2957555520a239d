#include "ha-tests/ask.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "ha-tests/harness.h"

#define ANSWER_MS 2000
#define FINAL_MS  15000
#define SPAN_S    40 /* The longest question in the midst of it. */
#define NEWEST_S  3  /* A second is complete so much later. */

static void copy(json_t *to, const char *name, const json_t *from, const char *key)
{
    json_t *value = json_object_get(from, key);
    if (value != NULL)
        json_object_set(to, name, value);
}

static json_t *peers_of(const json_t *status, unsigned id)
{
    json_t *peers = json_array();
    const json_t *members = json_object_get(status, "members");
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);
        if (json_integer_value(json_object_get(member, "id")) == (json_int_t)id)
            continue;
        json_t *peer = json_object();
        copy(peer, "id", member, "id");
        copy(peer, "applied", member, "applied");
        copy(peer, "hash", member, "hash");
        json_array_append_new(peers, peer);
    }
    return peers;
}

static json_t *children_of(const json_t *status)
{
    json_t *children = json_array();
    const json_t *list = json_object_get(status, "children");
    for (size_t i = 0; i < json_array_size(list); i++) {
        static const char *const keys[] = {"guid", "owner", "epoch", "watermark"};
        json_t *child = json_object();
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            copy(child, keys[k], json_array_get(list, i), keys[k]);
        json_array_append_new(children, child);
    }
    return children;
}

uint64_t ask_status(struct cell *cell, unsigned id)
{
    static const char *const keys[] = {"uptime_s", "leader", "term", "applied",
                                       "commit",   "hash",   "ready"};
    json_t *status = qr_cluster_status(&cell->cluster, id);
    if (status == NULL)
        return 0;
    const json_t *verdict = json_object_get(status, "verdict");
    json_t *said = json_pack("{s:i}", "member", (int)id);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        copy(said, keys[i], status, keys[i]);
    copy(said, "level", verdict, "level");
    copy(said, "sentence", verdict, "sentence");
    json_object_set_new(said, "peers", peers_of(status, id));
    json_object_set_new(said, "children", children_of(status));
    uint64_t applied = (uint64_t)json_integer_value(json_object_get(status, "applied"));
    qr_journal_add(&cell->journal, "said", said);
    json_decref(status);
    return applied;
}

/* ---- values ---- */

struct question {
    unsigned id, load;
    uint32_t host, chart;
    int64_t from_s, to_s;
    bool final;
};

static void ask(struct cell *cell, const struct question *q)
{
    const struct qr_model *model = &cell->loads[q->load].model;
    char guid[QR_GUID_TEXT_LEN + 1], chart[QR_MODEL_NAME_BYTES];
    struct qr_guid bytes;
    qr_model_guid(model, q->host, &bytes);
    qr_guid_format(&bytes, guid);
    qr_model_chart_id(q->chart, chart);
    int64_t margin_s = qr_model_update_every(model, q->chart);
    int status = qr_fetch_get(&cell->cluster.fetch, q->final ? FINAL_MS : ANSWER_MS,
                              "%s/host/%s/api/v1/data?chart=%s&after=%lld&before=%lld&format=json",
                              cell->cluster.members[q->id].url, guid, chart,
                              (long long)(q->from_s - margin_s), (long long)(q->to_s + margin_s));
    if (status < 0 && !q->final)
        return; /* No answer is none to judge. */
    json_t *whole = status == 200 ? qr_fetch_json(&cell->cluster.fetch) : NULL;
    json_t *answer = json_object();
    copy(answer, "labels", whole, "labels");
    copy(answer, "data", whole, "data");
    qr_journal_add(&cell->journal, "read",
                   json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:b, s:i, s:o}", "member", (int)q->id,
                             "load", (int)q->load, "host", (int)q->host, "chart", (int)q->chart,
                             "from", (json_int_t)q->from_s, "to", (json_int_t)q->to_s, "final",
                             q->final, "status", status > 0 ? status : 0, "answer", answer));
    json_decref(whole);
}

void ask_something(struct cell *cell, unsigned id)
{
    struct qr_rng *rng = &cell->rng;
    struct question q = {.id = id, .load = (unsigned)qr_rng_below(rng, cell->n_loads)};
    const struct cell_load *load = &cell->loads[q.load];
    int64_t last_s = load->live ? (int64_t)(qr_real_ms() / 1000) - NEWEST_S : load->last_s;
    int64_t first_s = load->first_s + STAGE_FIRST_S;
    if (!qr_cluster_running(&cell->cluster, id) || last_s <= first_s)
        return;
    q.host = (uint32_t)qr_rng_below(rng, load->model.n_hosts);
    q.chart = (uint32_t)qr_rng_below(rng, load->model.n_charts);
    /* The newest half of the time, else any. */
    q.to_s = last_s;
    if (qr_rng_below(rng, 2) == 0)
        q.to_s = first_s + (int64_t)qr_rng_below(rng, (uint64_t)(last_s - first_s) + 1);
    q.from_s = q.to_s - (int64_t)qr_rng_below(rng, SPAN_S);
    if (q.from_s < first_s)
        q.from_s = first_s;
    ask(cell, &q);
}

void ask_everything(struct cell *cell, unsigned id)
{
    for (unsigned i = 0; i < cell->n_loads; i++) {
        const struct cell_load *load = &cell->loads[i];
        struct question q = {.id = id,
                             .load = i,
                             .from_s = load->first_s + STAGE_FIRST_S,
                             .to_s = load->live ? cell->calm_s : load->last_s,
                             .final = true};
        for (q.host = 0; q.host < load->model.n_hosts; q.host++)
            for (q.chart = 0; q.chart < load->model.n_charts; q.chart++)
                ask(cell, &q);
    }
}

/* ---- block files ---- */

static bool hash_file(const char *path, char hash[20])
{
    static char bytes[65536];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file)) > 0;)
        XXH3_64bits_update(state, bytes, n);
    snprintf(hash, 20, "%016llx", (unsigned long long)XXH3_64bits_digest(state));
    XXH3_freeState(state);
    fclose(file);
    return true;
}

static json_t *files_of(const struct cell *cell, unsigned id)
{
    char dir[512], path[1024], hash[20];
    json_t *files = json_object();
    snprintf(dir, sizeof dir, "%s/data/group-1/blocks", cell->cluster.members[id].dir);
    DIR *open_dir = opendir(dir);
    struct dirent *entry;
    while (open_dir != NULL && (entry = readdir(open_dir)) != NULL) {
        const char *end = strstr(entry->d_name, ".qb");
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (end != NULL && end[3] == '\0' && hash_file(path, hash))
            json_object_set_new(files, entry->d_name, json_string(hash));
    }
    if (open_dir != NULL)
        closedir(open_dir);
    return files;
}

struct listing {
    struct cell *cell;
    json_t *files[CELL_MEMBERS + 1];
};

static bool is_rotten(const struct cell *cell, unsigned id, const char *name)
{
    for (unsigned i = 0; i < cell->n_rotten; i++)
        if (cell->rotten[i].member == id && strcmp(cell->rotten[i].file, name) == 0)
            return true;
    return false;
}

/* But for what was damaged and nobody has read since. */
static bool are_alike(const struct listing *l, unsigned a, unsigned b)
{
    const char *name;
    json_t *hash;
    json_object_foreach(l->files[a], name, hash)
    {
        const json_t *theirs = json_object_get(l->files[b], name);
        if ((theirs == NULL || !json_equal(hash, theirs)) && !is_rotten(l->cell, a, name) &&
            !is_rotten(l->cell, b, name))
            return false;
    }
    return true;
}

static bool are_equal(void *data)
{
    struct listing *l = data;
    bool equal = true;
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        json_decref(l->files[id]);
        l->files[id] = files_of(l->cell, id);
        equal = equal && are_alike(l, 1, id) && are_alike(l, id, 1);
    }
    return equal;
}

void ask_blocks(struct cell *cell, uint64_t timeout_ms)
{
    struct listing l = {.cell = cell};
    qr_wait_for(are_equal, &l, timeout_ms, 300);
    for (unsigned id = 1; id <= CELL_MEMBERS; id++)
        qr_journal_add(&cell->journal, "blocks",
                       json_pack("{s:i, s:o}", "member", (int)id, "files", l.files[id]));
}
