#include "testing/judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/map.h"
#include "testing/journal.h"
#include "testing/judge_values.h"
#include "testing/verify.h"

#define MEMBERS_MAX   16u
#define LOADS_MAX     64u
#define FAULTS_MAX    4096u
#define PENDING_MAX   4096u
#define FIRST_S       6    /* A chart's first collection is never sent; see ha-tests/harness.h. */
#define AFTER_OVER_MS 3000 /* What a fault began may end so much later. */

/* A fault of its own excuses a member: what it may do meanwhile. */
static const struct excuse {
    const char *kind, *what, *rule;
} excuses[] = {
    {"full", "", "exit"},    /* A log that cannot be written: it stops. */
    {"flip", "log", "exit"}, /* A damaged log is refused, with a sentence. */
};

struct load {
    struct qr_judge_values values;
    int64_t first_s, last_s;
    bool live;
};

struct member {
    bool runs, has_said, is_well, has_blocks;
    uint64_t applied, commit, term; /* Of this process. */
    uint64_t since_line, since_ms;  /* Of its start. */
};

struct fault {
    uint64_t id, member, over_ms; /* 0: it lasts. */
    char kind[24], what[24], file[80];
};

/* An answer that still needs to know what its member had applied. */
struct pending {
    uint64_t member, load, t_ms;
    struct qr_judge_place place;
    json_t *answer;
};

/* What has been said of something that can be so in one way only. */
struct fact {
    char *key, *value;
    uint64_t line;
};

struct qr_judge {
    struct qr_judge_verdict verdict;
    uint64_t t_ms, seq, n_members, recover_ms;
    struct member members[MEMBERS_MAX + 1];
    struct load loads[LOADS_MAX];
    uint64_t n_loads;
    struct fault faults[FAULTS_MAX];
    unsigned n_faults;
    struct pending pending[PENDING_MAX];
    unsigned n_pending;
    bool has_begun, is_calm, has_ended;
    uint64_t calm_ms;
    int64_t calm_s;
    json_t *files; /* Of the first member that listed its own. */
    uint64_t files_member;
    struct qr_map facts;
};

struct qr_judge *qr_judge_new(void)
{
    struct qr_judge *judge = calloc(1, sizeof *judge);
    if (judge != NULL)
        qr_map_init(&judge->facts);
    return judge;
}

void qr_judge_free(struct qr_judge *judge)
{
    struct fact *fact;
    for (size_t at = 0; (fact = qr_map_next(&judge->facts, &at)) != NULL;) {
        free(fact->key);
        free(fact->value);
        free(fact);
    }
    qr_map_release(&judge->facts);
    for (unsigned i = 0; i < judge->n_pending; i++)
        json_decref(judge->pending[i].answer);
    for (uint64_t i = 0; i < judge->n_loads; i++)
        qr_judge_values_release(&judge->loads[i].values);
    json_decref(judge->files);
    free(judge);
}

/* ---- findings ---- */

static void find(struct qr_judge *judge, const char *rule, const char *format, ...) QR_PRINTF(3, 4);

static void find(struct qr_judge *judge, const char *rule, const char *format, ...)
{
    struct qr_judge_verdict *v = &judge->verdict;
    va_list args;
    if (v->n_findings++ >= QR_JUDGE_FINDINGS_MAX)
        return;
    struct qr_judge_finding *finding = &v->findings[v->n_findings - 1];
    finding->line = v->n_lines;
    finding->rule = rule;
    va_start(args, format);
    vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
}

/* What was said of `key` before, or NULL: it is noted. */
static const struct fact *note(struct qr_judge *judge, const char *key, const char *value)
{
    struct fact *fact = qr_map_get(&judge->facts, qr_slice_str(key));
    if (fact != NULL)
        return fact;
    fact = calloc(1, sizeof *fact);
    if (fact == NULL)
        return NULL;
    *fact = (struct fact){strdup(key), strdup(value), judge->verdict.n_lines};
    if (fact->key != NULL && fact->value != NULL &&
        qr_map_set(&judge->facts, qr_slice_str(fact->key), fact) == 0)
        return NULL;
    free(fact->key);
    free(fact->value);
    free(fact);
    return NULL;
}

/* `key` can have one value only.  True: it is new. */
static bool only_one(struct qr_judge *judge, const char *rule, const char *key, const char *value)
{
    const struct fact *before = note(judge, key, value);
    if (before != NULL && strcmp(before->value, value) != 0)
        find(judge, rule, "%s is %s here, and %s in line %" PRIu64, key, value, before->value,
             before->line);
    return before == NULL;
}

/* ---- fields ---- */

/* A field that must be an integer not below 0; else a finding and 0. */
static uint64_t number(struct qr_judge *judge, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return (uint64_t)json_integer_value(value);
    find(judge, "format", "\"%s\" is missing or no number", key);
    return 0;
}

static const char *text(struct qr_judge *judge, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (value == NULL)
        find(judge, "format", "\"%s\" is missing or no text", key);
    return value != NULL ? value : "";
}

/* The member of a line, or NULL with a finding. */
static struct member *member_of(struct qr_judge *judge, const json_t *line, uint64_t *id)
{
    *id = number(judge, line, "member");
    if (*id >= 1 && *id <= judge->n_members)
        return &judge->members[*id];
    find(judge, "format", "there is no member %" PRIu64, *id);
    return NULL;
}

static bool has_passed(const struct qr_judge *judge, const struct fault *f)
{
    return f->over_ms != 0 && judge->t_ms > f->over_ms + AFTER_OVER_MS;
}

/* A file of the member is damaged or, since it lost its disk, not there yet, and something else is
 * wrong too, here or with its peers. */
static bool has_no_sound_copy(const struct qr_judge *judge, uint64_t member)
{
    bool damaged = false, other = false;
    for (unsigned i = 0; i < judge->n_faults; i++) {
        const struct fault *f = &judge->faults[i];
        damaged = damaged ||
                  (f->member == member && (f->file[0] != '\0' || strcmp(f->kind, "members") == 0 ||
                                           strcmp(f->what, "log") == 0));
        other = other || (f->file[0] == '\0' && !has_passed(judge, f));
    }
    return damaged && other;
}

static bool is_excused(const struct qr_judge *judge, uint64_t member, const char *rule)
{
    for (unsigned i = 0; i < judge->n_faults; i++) {
        const struct fault *f = &judge->faults[i];
        if (f->member != member || has_passed(judge, f))
            continue;
        for (size_t e = 0; e < QR_COUNT(excuses); e++)
            if (strcmp(f->kind, excuses[e].kind) == 0 && strcmp(rule, excuses[e].rule) == 0 &&
                (excuses[e].what[0] == '\0' || strcmp(f->what, excuses[e].what) == 0))
                return true;
    }
    return false;
}

/* Nobody answers for seconds that are to come by the cluster's time, and most members, with what
 * was agreed before as one more, are needed to know it.  Of those that are down or have just
 * started nothing is heard. */
static bool is_time_unknown(const struct qr_judge *judge)
{
    unsigned n_behind = 0, n_silent = 0;
    for (uint64_t id = 1; id <= judge->n_members; id++) {
        const struct member *m = &judge->members[id];
        n_silent += !m->runs || judge->t_ms - m->since_ms < AFTER_OVER_MS;
        for (unsigned i = 0; i < judge->n_faults; i++) {
            const struct fault *f = &judge->faults[i];
            if (f->member == id && strcmp(f->kind, "clock") == 0 &&
                strcmp(f->what, "behind") == 0 && !has_passed(judge, f)) {
                n_behind++;
                break;
            }
        }
    }
    return n_behind > 0 && n_behind + n_silent > judge->n_members / 2;
}

/* ---- begin, load, start, exit, fault, over, calm ---- */

static void on_begin(struct qr_judge *judge, const json_t *line)
{
    const json_t *kinds = json_object_get(line, "kinds");
    judge->has_begun = true;
    judge->n_members = number(judge, line, "members");
    judge->recover_ms = number(judge, line, "recover_ms");
    if (number(judge, line, "version") != QR_JOURNAL_VERSION)
        find(judge, "format", "not a history of version %d", QR_JOURNAL_VERSION);
    if (judge->n_members > MEMBERS_MAX) {
        find(judge, "format", "too many members");
        judge->n_members = 0;
    }
    struct qr_judge_verdict *v = &judge->verdict;
    for (size_t i = 0; i < json_array_size(kinds) && i < QR_JUDGE_KINDS_MAX; i++) {
        const char *kind = json_string_value(json_array_get(kinds, i));
        snprintf(v->kinds[v->n_kinds++].name, sizeof v->kinds->name, "%s",
                 kind != NULL ? kind : "");
    }
}

static void on_load(struct qr_judge *judge, const json_t *line)
{
    struct load *load = &judge->loads[judge->n_loads];
    struct qr_model model = {.seed = number(judge, line, "seed"),
                             .n_hosts = (uint32_t)number(judge, line, "hosts"),
                             .n_charts = (uint32_t)number(judge, line, "charts"),
                             .n_dims = (uint32_t)number(judge, line, "dims"),
                             .update_every = 1,
                             .mix = true};
    load->first_s = (int64_t)number(judge, line, "first");
    load->last_s = (int64_t)number(judge, line, "last");
    load->live = json_is_true(json_object_get(line, "live"));
    if (number(judge, line, "id") != judge->n_loads || judge->n_loads + 1 >= LOADS_MAX ||
        model.n_hosts > 1000 || model.n_charts > 10000 || model.n_dims > 1000 ||
        (!load->live && load->last_s <= load->first_s)) {
        find(judge, "format", "a load that cannot be");
        return;
    }
    if (qr_judge_values_init(&load->values, &model, load->first_s) == 0)
        judge->n_loads++;
}

static void drop_pending(struct qr_judge *judge, uint64_t member)
{
    unsigned n = 0;
    for (unsigned i = 0; i < judge->n_pending; i++) {
        if (judge->pending[i].member == member)
            json_decref(judge->pending[i].answer);
        else
            judge->pending[n++] = judge->pending[i];
    }
    judge->n_pending = n;
}

static void on_start(struct qr_judge *judge, const json_t *line)
{
    uint64_t id;
    struct member *m = member_of(judge, line, &id);
    if (m == NULL)
        return;
    if (m->runs)
        find(judge, "format", "member %" PRIu64 " is started and runs already", id);
    drop_pending(judge, id);
    *m = (struct member){.runs = true,
                         .has_blocks = m->has_blocks,
                         .since_line = judge->verdict.n_lines,
                         .since_ms = judge->t_ms};
}

static void on_exit_of(struct qr_judge *judge, const json_t *line)
{
    uint64_t id;
    struct member *m = member_of(judge, line, &id);
    int status = (int)number(judge, line, "status");
    if (m == NULL)
        return;
    if (!m->runs)
        find(judge, "format", "member %" PRIu64 " ends and does not run", id);
    if (strcmp(text(judge, line, "by"), "fault") != 0 &&
        !(WIFEXITED(status) && WEXITSTATUS(status) == 1 && is_excused(judge, id, "exit")))
        find(judge, "exit", "member %" PRIu64 " ended by itself, status 0x%x", id,
             (unsigned)status);
    m->runs = false;
    m->is_well = false;
}

static void on_fault(struct qr_judge *judge, const json_t *line)
{
    if (judge->n_faults == FAULTS_MAX) {
        find(judge, "format", "too many faults");
        return;
    }
    struct fault *f = &judge->faults[judge->n_faults++];
    *f = (struct fault){.id = number(judge, line, "id"), .member = number(judge, line, "member")};
    snprintf(f->kind, sizeof f->kind, "%s", text(judge, line, "kind"));
    snprintf(f->what, sizeof f->what, "%s", text(judge, line, "what"));
    const char *file = json_string_value(json_object_get(line, "file"));
    snprintf(f->file, sizeof f->file, "%s", file != NULL ? file : "");
    judge->verdict.n_faults++;
    for (unsigned i = 0; i < judge->verdict.n_kinds; i++)
        judge->verdict.kinds[i].n += strcmp(f->kind, judge->verdict.kinds[i].name) == 0;
    if (judge->is_calm)
        find(judge, "format", "a fault after calm");
}

static void on_over(struct qr_judge *judge, const json_t *line)
{
    uint64_t id = number(judge, line, "id");
    for (unsigned i = 0; i < judge->n_faults; i++)
        if (judge->faults[i].id == id && judge->faults[i].over_ms == 0) {
            judge->faults[i].over_ms = judge->t_ms;
            return;
        }
    find(judge, "format", "fault %" PRIu64 " is over and had not begun", id);
}

static void on_calm(struct qr_judge *judge, const json_t *line)
{
    judge->is_calm = true;
    judge->calm_ms = judge->t_ms;
    judge->calm_s = (int64_t)number(judge, line, "to");
    for (unsigned i = 0; i < judge->n_faults; i++)
        if (judge->faults[i].over_ms == 0)
            find(judge, "format", "fault %" PRIu64 " lasts beyond calm", judge->faults[i].id);
    for (uint64_t id = 1; id <= judge->n_members; id++)
        judge->members[id].is_well = false;
}

/* ---- said ---- */

static void check_children(struct qr_judge *judge, uint64_t id, const json_t *children)
{
    for (size_t i = 0; i < json_array_size(children); i++) {
        const json_t *child = json_array_get(children, i);
        const char *guid = text(judge, child, "guid");
        uint64_t owner = number(judge, child, "owner"), epoch = number(judge, child, "epoch");
        char key[128], value[32];
        const struct member *m = &judge->members[id];
        snprintf(key, sizeof key, "the epoch of %s on member %" PRIu64 " since %" PRIu64, guid, id,
                 m->since_line);
        snprintf(value, sizeof value, "%020" PRIu64, epoch);
        struct fact *before = qr_map_get(&judge->facts, qr_slice_str(key));
        if (before != NULL && strcmp(before->value, value) > 0)
            find(judge, "went-back", "%s: from %s to %s", key, before->value, value);
        else if (before != NULL)
            memcpy(before->value, value, strlen(before->value));
        else
            note(judge, key, value);
        if (owner == 0)
            continue;
        snprintf(key, sizeof key, "the owner of %s in epoch %" PRIu64, guid, epoch);
        snprintf(value, sizeof value, "%" PRIu64, owner);
        if (only_one(judge, "owners", key, value) && epoch > 1)
            judge->verdict.n_moves++;
    }
}

static void check_hash(struct qr_judge *judge, const json_t *said)
{
    uint64_t applied = number(judge, said, "applied");
    char key[64];
    snprintf(key, sizeof key, "the state at index %" PRIu64, applied);
    if (applied > 0)
        only_one(judge, "two-states", key, text(judge, said, "hash"));
}

static void check_leader(struct qr_judge *judge, uint64_t leader, uint64_t term)
{
    char key[64], value[32];
    snprintf(key, sizeof key, "the leader of term %" PRIu64, term);
    snprintf(value, sizeof value, "%" PRIu64, leader);
    if (leader != 0 && only_one(judge, "leaders", key, value))
        judge->verdict.n_elections++;
}

static void check_order(struct qr_judge *judge, uint64_t id, struct member *m, uint64_t applied,
                        uint64_t commit, uint64_t term)
{
    if (applied < m->applied || commit < m->commit || term < m->term)
        find(judge, "went-back",
             "member %" PRIu64 ": applied %" PRIu64 " after %" PRIu64 ", commit %" PRIu64
             " after %" PRIu64 ", term %" PRIu64 " after %" PRIu64,
             id, applied, m->applied, commit, m->commit, term, m->term);
    m->applied = applied;
    m->commit = commit;
    m->term = term;
}

/* What a member says of itself is some time old; its uptime says from when it is.  So it bounds the
 * answers that were given before. */
static void bound_pending(struct qr_judge *judge, uint64_t member, uint64_t applied,
                          uint64_t uptime_s)
{
    uint64_t said_ms = judge->members[member].since_ms + uptime_s * 1000;
    unsigned n = 0;
    for (unsigned i = 0; i < judge->n_pending; i++) {
        struct pending *p = &judge->pending[i];
        if (p->member != member || p->t_ms > said_ms) {
            judge->pending[n++] = *p;
            continue;
        }
        qr_judge_values_bound(&judge->loads[p->load].values, &p->place, p->answer, applied);
        json_decref(p->answer);
    }
    judge->n_pending = n;
}

static int64_t watermark_of(const json_t *children, const char *guid)
{
    for (size_t i = 0; i < json_array_size(children); i++) {
        const json_t *child = json_array_get(children, i);
        const char *name = json_string_value(json_object_get(child, "guid"));
        if (name != NULL && strcmp(name, guid) == 0)
            return json_integer_value(json_object_get(child, "watermark"));
    }
    return 0;
}

static bool has_all(const struct qr_judge *judge, const json_t *children)
{
    for (uint64_t l = 0; l < judge->n_loads; l++) {
        const struct load *load = &judge->loads[l];
        for (uint32_t host = 0; load->live && host < load->values.model.n_hosts; host++) {
            char guid[QR_GUID_TEXT_LEN + 1];
            struct qr_guid bytes;
            qr_model_guid(&load->values.model, host, &bytes);
            qr_guid_format(&bytes, guid);
            if (watermark_of(children, guid) < judge->calm_s)
                return false;
        }
    }
    return true;
}

static void check_recovery(struct qr_judge *judge)
{
    if (!judge->is_calm || judge->verdict.recovered_ms != 0)
        return;
    for (uint64_t id = 1; id <= judge->n_members; id++)
        if (!judge->members[id].is_well)
            return;
    judge->verdict.recovered_ms = judge->t_ms - judge->calm_ms + 1;
}

static void on_said(struct qr_judge *judge, const json_t *line)
{
    uint64_t id;
    struct member *m = member_of(judge, line, &id);
    const json_t *children = json_object_get(line, "children");
    const json_t *peers = json_object_get(line, "peers");
    if (m == NULL)
        return;
    if (!m->runs)
        find(judge, "format", "member %" PRIu64 " answers and does not run", id);
    uint64_t term = number(judge, line, "term"), applied = number(judge, line, "applied");
    m->has_said = true;
    judge->verdict.n_said++;
    check_order(judge, id, m, applied, number(judge, line, "commit"), term);
    check_leader(judge, number(judge, line, "leader"), term);
    check_hash(judge, line);
    for (size_t i = 0; i < json_array_size(peers); i++)
        check_hash(judge, json_array_get(peers, i));
    check_children(judge, id, children);
    bound_pending(judge, id, applied, number(judge, line, "uptime_s"));
    m->is_well = number(judge, line, "level") == 0 &&
                 json_is_true(json_object_get(line, "ready")) && has_all(judge, children);
    check_recovery(judge);
}

/* ---- read ---- */

struct reading {
    struct qr_judge *judge;
    uint64_t member, load;
    struct qr_judge_place place;
    bool final;
};

static void on_difference(void *data, const char *what, uint32_t dim, int64_t t, double before,
                          const double *now)
{
    struct reading *r = data;
    char is[48] = "nothing";
    if (now != NULL)
        snprintf(is, sizeof is, "%.9g", *now);
    else
        r->judge->verdict.n_lost++;
    find(r->judge, what,
         "member %" PRIu64 " answers %s for load %" PRIu64
         " host %u chart %u dimension %u second %" PRId64 ", where %.9g was answered",
         r->member, is, r->load, r->place.host, r->place.chart, dim, t, before);
}

static void compare_with_model(struct reading *r, const json_t *answer)
{
    struct qr_judge_verdict *v = &r->judge->verdict;
    struct qr_verify result = {0};
    qr_verify_answer(&r->judge->loads[r->load].values.model, r->place.host, r->place.chart, answer,
                     r->place.from_s, r->place.to_s, &result);
    v->n_checked += r->final ? result.n_compared : result.n_compared - result.n_holes;
    v->n_wrong += result.n_wrong + result.n_extra;
    v->n_duplicates += result.n_duplicates;
    if (result.n_wrong + result.n_extra > 0)
        find(r->judge, "wrong", "member %" PRIu64 " load %" PRIu64 ": %s", r->member, r->load,
             result.first);
    if (result.n_duplicates > 0)
        find(r->judge, "duplicate", "member %" PRIu64 " load %" PRIu64 ": %s", r->member, r->load,
             result.first);
    if (r->final && result.n_holes > 0) {
        v->n_lost += result.n_holes;
        find(r->judge, "hole", "member %" PRIu64 " load %" PRIu64 ": %" PRIu64 " of them; %.140s",
             r->member, r->load, result.n_holes, result.first);
    }
}

static void keep_pending(const struct reading *r, const json_t *line)
{
    struct qr_judge *judge = r->judge;
    if (judge->n_pending == PENDING_MAX)
        drop_pending(judge, r->member);
    if (judge->n_pending < PENDING_MAX)
        judge->pending[judge->n_pending++] =
            (struct pending){r->member, r->load, judge->t_ms, r->place,
                             json_incref(json_object_get(line, "answer"))};
}

/* All that was measured up to calm is asked for in the end. */
static void note_final(struct reading *r)
{
    struct qr_judge *judge = r->judge;
    const struct load *load = &judge->loads[r->load];
    int64_t to_s = load->live ? judge->calm_s : load->last_s;
    char key[128];
    if (!judge->is_calm || r->place.from_s != load->first_s + FIRST_S || r->place.to_s != to_s)
        find(judge, "format", "a final answer for %" PRId64 " to %" PRId64, r->place.from_s,
             r->place.to_s);
    snprintf(key, sizeof key, "final %" PRIu64 " %" PRIu64 " %u %u", r->member, r->load,
             r->place.host, r->place.chart);
    if (note(judge, key, "") == NULL)
        judge->verdict.n_finals++;
}

static bool read_place(struct reading *r, const json_t *line)
{
    struct qr_judge *judge = r->judge;
    r->load = number(judge, line, "load");
    r->place = (struct qr_judge_place){
        (uint32_t)number(judge, line, "host"), (uint32_t)number(judge, line, "chart"),
        (int64_t)number(judge, line, "from"), (int64_t)number(judge, line, "to")};
    r->final = json_is_true(json_object_get(line, "final"));
    const struct qr_judge_place *p = &r->place;
    if (r->load < judge->n_loads && p->host < judge->loads[r->load].values.model.n_hosts &&
        p->chart < judge->loads[r->load].values.model.n_charts && p->from_s <= p->to_s &&
        p->from_s >= judge->loads[r->load].first_s &&
        p->to_s - judge->loads[r->load].first_s <= QR_JUDGE_SPAN_S_MAX)
        return true;
    find(judge, "format", "an answer to a question that cannot be");
    return false;
}

static void on_read(struct qr_judge *judge, const json_t *line)
{
    struct reading r = {.judge = judge};
    const struct member *m = member_of(judge, line, &r.member);
    const json_t *answer = json_object_get(line, "answer");
    uint64_t status = number(judge, line, "status");
    if (m == NULL || !read_place(&r, line))
        return;
    judge->verdict.n_reads++;
    if (r.final)
        note_final(&r);
    if (status != 200 || !json_is_object(answer)) {
        if (r.final)
            find(judge, "failed", "member %" PRIu64 " answers a final question with %" PRIu64,
                 r.member, status);
        return;
    }
    if (!m->runs)
        find(judge, "format", "member %" PRIu64 " answers and does not run", r.member);
    compare_with_model(&r, answer);
    qr_judge_values_take(&judge->loads[r.load].values, &r.place, answer, m->applied,
                         is_time_unknown(judge) || (!r.final && has_no_sound_copy(judge, r.member)),
                         on_difference, &r);
    keep_pending(&r, line);
}

/* ---- blocks and the end ---- */

static bool was_damaged(const struct qr_judge *judge, uint64_t member, const char *name)
{
    for (unsigned i = 0; i < judge->n_faults; i++)
        if (judge->faults[i].member == member && strcmp(judge->faults[i].file, name) == 0)
            return true;
    return false;
}

/* What one has and the other has not, or otherwise. */
static void compare_files(struct qr_judge *judge, const json_t *a, uint64_t a_id, const json_t *b,
                          uint64_t b_id)
{
    const char *name;
    json_t *hash;
    json_object_foreach((json_t *)a, name, hash)
    {
        const json_t *theirs = json_object_get(b, name);
        if (theirs != NULL && json_equal(hash, theirs))
            continue;
        if (!was_damaged(judge, a_id, name) && !was_damaged(judge, b_id, name))
            find(judge, "blocks", "%s of member %" PRIu64 " is %s on member %" PRIu64, name, a_id,
                 theirs == NULL ? "not there" : "another", b_id);
    }
}

static void on_blocks(struct qr_judge *judge, const json_t *line)
{
    uint64_t id;
    struct member *m = member_of(judge, line, &id);
    json_t *files = json_object_get(line, "files");
    if (m == NULL || !json_is_object(files)) {
        find(judge, "format", "block files of nobody");
        return;
    }
    m->has_blocks = judge->is_calm;
    judge->verdict.n_blocks = json_object_size(files);
    if (judge->files == NULL) {
        judge->files = json_incref(files);
        judge->files_member = id;
        return;
    }
    compare_files(judge, judge->files, judge->files_member, files, id);
    compare_files(judge, files, id, judge->files, judge->files_member);
}

static uint64_t finals_expected(const struct qr_judge *judge)
{
    uint64_t n = 0;
    for (uint64_t l = 0; l < judge->n_loads; l++)
        n += (uint64_t)judge->loads[l].values.model.n_hosts * judge->loads[l].values.model.n_charts;
    return n * judge->n_members;
}

const struct qr_judge_verdict *qr_judge_end(struct qr_judge *judge)
{
    struct qr_judge_verdict *v = &judge->verdict;
    if (!judge->has_ended)
        find(judge, "format", "the history is cut off");
    for (unsigned i = 0; i < v->n_kinds; i++)
        if (v->kinds[i].n == 0)
            find(judge, "nothing", "no fault of the kind %s", v->kinds[i].name);
    if (finals_expected(judge) == 0 || v->n_finals != finals_expected(judge))
        find(judge, "nothing", "%" PRIu64 " final answers of %" PRIu64, v->n_finals,
             finals_expected(judge));
    for (uint64_t id = 1; id <= judge->n_members; id++)
        if (!judge->members[id].has_said || !judge->members[id].has_blocks)
            find(judge, "nothing", "member %" PRIu64 " says nothing, or lists no files", id);
    if (v->recovered_ms == 0 || v->recovered_ms > judge->recover_ms)
        find(judge, "recovery", "well %" PRIu64 " ms after calm (0: never), allowed are %" PRIu64,
             v->recovered_ms, judge->recover_ms);
    if (v->n_elections > 0)
        v->n_elections--; /* The first leader follows nobody. */
    return v;
}

/* ---- lines ---- */

static const struct event {
    const char *name;
    void (*take)(struct qr_judge *judge, const json_t *line);
} events[] = {
    {"begin", on_begin}, {"load", on_load},     {"start", on_start}, {"exit", on_exit_of},
    {"fault", on_fault}, {"over", on_over},     {"said", on_said},   {"read", on_read},
    {"calm", on_calm},   {"blocks", on_blocks},
};

static void take_event(struct qr_judge *judge, const json_t *line)
{
    const char *name = text(judge, line, "e");
    uint64_t t_ms = number(judge, line, "t");
    if (number(judge, line, "n") != ++judge->seq)
        find(judge, "format", "a line is missing before this one, or it is there twice");
    if (t_ms < judge->t_ms)
        find(judge, "format", "the time goes back");
    judge->t_ms = t_ms;
    if (judge->has_ended || judge->has_begun == (strcmp(name, "begin") == 0)) {
        find(judge, "format", "\"%s\" is not in its place", name);
        return;
    }
    if (strcmp(name, "end") == 0) {
        judge->has_ended = true;
        return;
    }
    for (size_t i = 0; i < QR_COUNT(events); i++)
        if (strcmp(name, events[i].name) == 0) {
            events[i].take(judge, line);
            return;
        }
    find(judge, "format", "nothing is called \"%s\"", name);
}

void qr_judge_line(struct qr_judge *judge, const char *line, size_t len)
{
    json_t *object = json_loadb(line, len, 0, NULL);
    judge->verdict.n_lines++;
    if (json_is_object(object))
        take_event(judge, object);
    else
        find(judge, "format", "the line is no JSON object");
    json_decref(object);
}

void qr_judge_file(struct qr_judge *judge, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    while ((len = getline(&line, &capacity, file)) > 0)
        qr_judge_line(judge, line, (size_t)len);
    free(line);
}

json_t *qr_judge_json(const struct qr_judge_verdict *v)
{
    json_t *findings = json_array();
    for (uint64_t i = 0; i < v->n_findings && i < QR_JUDGE_FINDINGS_MAX; i++)
        json_array_append_new(findings,
                              json_pack("{s:I, s:s, s:s}", "line", (json_int_t)v->findings[i].line,
                                        "rule", v->findings[i].rule, "text", v->findings[i].text));
    json_t *kinds = json_object();
    for (unsigned i = 0; i < v->n_kinds; i++)
        json_object_set_new(kinds, v->kinds[i].name, json_integer((json_int_t)v->kinds[i].n));
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "lines",
        (json_int_t)v->n_lines, "said", (json_int_t)v->n_said, "reads", (json_int_t)v->n_reads,
        "finals", (json_int_t)v->n_finals, "checked", (json_int_t)v->n_checked, "lost",
        (json_int_t)v->n_lost, "duplicates", (json_int_t)v->n_duplicates, "wrong",
        (json_int_t)v->n_wrong, "elections", (json_int_t)v->n_elections, "moves",
        (json_int_t)v->n_moves, "faults", (json_int_t)v->n_faults, "blocks",
        (json_int_t)v->n_blocks, "recovered_ms", (json_int_t)v->recovered_ms, "violations",
        (json_int_t)v->n_findings, "kinds", kinds, "findings", findings);
}
