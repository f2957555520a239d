#include "ha-tests/cell.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ha-tests/ask.h"
#include "ha-tests/faults.h"
#include "ha-tests/harness.h"
#include "ha-tests/small_disk.h"

#define DISK_BYTES   "96m"
#define RESERVE_MIB  8
#define WINDOW_S     5
#define HOSTS        2
#define CHARTS       8
#define DIMS         4
#define LEADER_MS    20000
#define TURN_MS      40
#define AGAIN_MS     1000 /* A supervisor's turn. */
#define BREAK_MS     5000
#define LATE_MS      6000
#define EACH_KIND_MS 30000 /* So much longer, for a kind that waits for a well cluster. */
#define LATE_DATA_S  60
#define HISTORY_S    60 /* quorate-loadgen's own. */
#define RECOVER_MS   60000
#define REFILL_MS    60000
#define BLOCKS_MS    60000
#define SAME_MS      20000

const char *const cell_workload_names[CELL_WORKLOADS] = {"streams", "replays"};

static uint64_t below(struct cell *cell, uint64_t n)
{
    return qr_rng_below(&cell->rng, n);
}

/* ---- children ---- */

static void start_process(struct cell *cell, unsigned n, const char *const extra[])
{
    struct cell_load *load = &cell->loads[n];
    char program[512], to[512], log[512], name[32], first[32], seed[32], hosts[16], charts[16],
        dims[16];
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(name, sizeof name, "load-%u", n);
    snprintf(log, sizeof log, "%s/%s.log", cell->cluster.dir, name);
    snprintf(first, sizeof first, "%lld", (long long)load->first_s);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)load->model.seed);
    snprintf(hosts, sizeof hosts, "%u", load->model.n_hosts);
    snprintf(charts, sizeof charts, "%u", load->model.n_charts);
    snprintf(dims, sizeof dims, "%u", load->model.n_dims);
    qr_cluster_destinations(&cell->cluster, 1 + n % CELL_MEMBERS, ',', to, sizeof to);
    const char *argv[48] = {program,
                            "--to",
                            to,
                            "--key",
                            cell->cluster.api_key,
                            "--rotate",
                            "--quiet",
                            "--hosts",
                            hosts,
                            "--charts",
                            charts,
                            "--dims",
                            dims,
                            "--first",
                            first,
                            "--seed",
                            seed,
                            "--timeout",
                            "2000",
                            "--postpone-scale",
                            "0.1",
                            "--reconnect-delay",
                            "1000"};
    size_t at = 0;
    while (argv[at] != NULL)
        at++;
    for (size_t i = 0; extra[i] != NULL; i++)
        argv[at++] = extra[i];
    int err = qr_process_start(&load->process, name, log, -1, argv);
    assert(err == 0);
}

static void start_load(struct cell *cell, bool live, int64_t first_s, const char *const extra[])
{
    unsigned n = cell->n_loads++;
    assert(n < CELL_LOADS_MAX);
    cell->loads[n] = (struct cell_load){.model = {.seed = cell->options.seed * 100 + n + 1,
                                                  .n_hosts = live ? HOSTS : 1,
                                                  .n_charts = CHARTS,
                                                  .n_dims = DIMS,
                                                  .update_every = 1,
                                                  .mix = true},
                                        .first_s = first_s,
                                        .last_s = first_s + HISTORY_S + LATE_DATA_S - 10,
                                        .live = live};
    const struct cell_load *load = &cell->loads[n];
    qr_journal_add(&cell->journal, "load",
                   json_pack("{s:i, s:I, s:i, s:i, s:i, s:I, s:I, s:b}", "id", (int)n, "seed",
                             (json_int_t)load->model.seed, "hosts", (int)load->model.n_hosts,
                             "charts", CHARTS, "dims", DIMS, "first", (json_int_t)first_s, "last",
                             (json_int_t)load->last_s, "live", live));
    start_process(cell, n, extra);
}

static void start_loads(struct cell *cell)
{
    static const char *const old[] = {"--duration", "0", NULL};
    static const char *const new[] = {"--duration", "0", "--v2", "--rules", "2.9", NULL};
    static const char *const old_replays[] = {"--duration",   "0", "--truncate",
                                              "--late-every", "4", NULL};
    static const char *const new_replays[] = {"--duration",    "0",    "--v2", "--rules", "2.9",
                                              "--compression", "none", NULL};
    bool replays = cell->options.workload == CELL_REPLAYS;
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    start_load(cell, true, now_s - (replays ? 90 : 20), replays ? old_replays : old);
    start_load(cell, true, now_s - (replays ? 60 : 20), replays ? new_replays : new);
    cell->break_ms = cell->late_ms = qr_mono_ms() + 2000;
}

/* A child whose data are of windows that were sealed long since. */
static void start_late(struct cell *cell)
{
    static const char *const kind[] = {"--full-speed", "--stay",     "--data-seconds",
                                       "60",           "--truncate", NULL};
    static const int64_t back_s[] = {200, 260, 3600};
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    start_load(cell, false, now_s - back_s[below(cell, 3)], kind);
}

/* What makes replays of streams. */
static void disturb_children(struct cell *cell, uint64_t now_ms)
{
    if (cell->options.workload != CELL_REPLAYS)
        return;
    if (now_ms >= cell->break_ms) {
        cell->break_ms = now_ms + BREAK_MS;
        for (unsigned i = 0; i < cell->n_loads; i++)
            if (cell->loads[i].live)
                qr_process_signal(&cell->loads[i].process, SIGUSR1);
    }
    if (now_ms >= cell->late_ms && cell->n_loads < CELL_LOADS_MAX / 2) {
        cell->late_ms = now_ms + LATE_MS;
        start_late(cell);
    }
}

/* ---- members ---- */

void cell_start_member(struct cell *cell, unsigned id)
{
    struct cell_member *m = &cell->members[id];
    m->is_down = false;
    m->back_ms = 0;
    if (qr_process_alive(&cell->cluster.members[id].process))
        return;
    qr_journal_add(&cell->journal, "start", json_pack("{s:i}", "member", (int)id));
    int err = qr_cluster_start(&cell->cluster, id);
    assert(err == 0);
}

bool cell_is_well(struct cell *cell)
{
    bool all = true;
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        json_t *status = qr_cluster_status(&cell->cluster, id);
        const json_t *level = json_object_get(json_object_get(status, "verdict"), "level");
        all = all && json_is_true(json_object_get(status, "ready")) && json_is_integer(level) &&
              json_integer_value(level) == 0;
        json_decref(status);
    }
    return all;
}

void cell_lose_data(struct cell *cell, unsigned id)
{
    struct cell_member *m = &cell->members[id];
    qr_cluster_wipe(&cell->cluster, id);
    m->is_down = false;
    m->back_ms = qr_mono_ms() + 1;
    m->rebuild_ms = qr_mono_ms() + AGAIN_MS;
}

/* With an empty folder it waits until a person has it taken in again. */
static void rebuild_members(struct cell *cell, uint64_t now_ms)
{
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        struct cell_member *m = &cell->members[id];
        if (m->rebuild_ms == 0 || now_ms < m->rebuild_ms || !qr_cluster_running(&cell->cluster, id))
            continue;
        char text[16];
        unsigned leader = qr_cluster_leader(&cell->cluster);
        snprintf(text, sizeof text, "%u", id);
        bool asked = leader != 0 && leader != id &&
                     qr_cluster_members(&cell->cluster, leader, "replace", text, NULL) == 0;
        m->rebuild_ms = asked ? 0 : qr_mono_ms() + AGAIN_MS;
    }
}

/* Those that ended by themselves are started again, as a supervisor would; one that refuses its
 * damaged log loses all its data first, as an operator would do. */
static void watch_members(struct cell *cell, uint64_t now_ms)
{
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        struct cell_member *m = &cell->members[id];
        struct qr_process *process = &cell->cluster.members[id].process;
        if (m->back_ms != 0 && now_ms >= m->back_ms)
            cell_start_member(cell, id);
        if (m->is_down || m->back_ms != 0 || qr_process_alive(process))
            continue;
        qr_journal_add(&cell->journal, "exit",
                       json_pack("{s:i, s:i, s:s}", "member", (int)id, "status", process->status,
                                 "by", "itself"));
        m->back_ms = now_ms + AGAIN_MS;
        if (m->is_damaged) {
            cell_lose_data(cell, id);
            m->is_damaged = false;
        }
    }
}

/* ---- faults ---- */

static void end_fault(struct cell *cell, unsigned at)
{
    struct cell_fault fault = cell->active[at];
    cell->active[at] = cell->active[--cell->n_active];
    fault.kind->end(cell, fault.member);
    qr_journal_add(&cell->journal, "over", json_pack("{s:I}", "id", (json_int_t)fault.id));
}

static unsigned a_victim(struct cell *cell)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    struct qr_guid bytes;
    unsigned id = 0;
    uint64_t how = cell->n_faults == 0 ? 0 : below(cell, 3); /* The leader is always the first. */
    if (how == 0) {
        id = qr_cluster_leader(&cell->cluster);
    } else if (how == 1) {
        qr_model_guid(&cell->loads[0].model, 0, &bytes);
        qr_guid_format(&bytes, guid);
        id = qr_cluster_owner(&cell->cluster, guid);
    }
    return id != 0 ? id : 1 + (unsigned)below(cell, CELL_MEMBERS);
}

static unsigned n_kinds(const struct cell *cell)
{
    return cell->options.kinds[1] != NULL ? 2 : 1;
}

static bool has_had_each_kind(const struct cell *cell)
{
    return cell->has_come[0] && cell->has_come[n_kinds(cell) - 1];
}

/* Each kind once, then by chance. */
static unsigned a_kind(struct cell *cell)
{
    for (unsigned i = 0; i < n_kinds(cell); i++)
        if (!cell->has_come[i])
            return i;
    return (unsigned)below(cell, n_kinds(cell));
}

static bool is_active(const struct cell *cell, const struct fault_kind *kind, unsigned id)
{
    for (unsigned i = 0; i < cell->n_active; i++)
        if (cell->active[i].kind == kind && cell->active[i].member == id)
            return true;
    return false;
}

static bool a_log_is_damaged(struct cell *cell)
{
    bool damaged = false;
    for (unsigned id = 1; id <= CELL_MEMBERS; id++)
        damaged = damaged || cell->members[id].is_damaged;
    if (!damaged || cell->n_active > 0 || !cell_is_well(cell))
        return damaged;
    for (unsigned id = 1; id <= CELL_MEMBERS; id++)
        cell->members[id].is_damaged = false;
    return false;
}

static void begin_fault(struct cell *cell)
{
    unsigned i_kind = a_kind(cell), id = a_victim(cell);
    const struct fault_kind *kind = cell->options.kinds[i_kind];
    struct fault_note note = {.what = ""};
    if (cell->n_active == CELL_ACTIVE_MAX || is_active(cell, kind, id) || a_log_is_damaged(cell))
        return;
    uint64_t from_ms = qr_mono_ms();
    if (!kind->begin(cell, id, &note))
        return; /* Nobody was asked anything meanwhile: the history knows before any answer. */
    cell->has_come[i_kind] = true;
    if (note.file[0] != '\0' && cell->n_rotten < CELL_ROTTEN_MAX) {
        struct cell_rotten *rotten = &cell->rotten[cell->n_rotten++];
        rotten->member = id;
        snprintf(rotten->file, sizeof rotten->file, "%s", note.file);
    }
    struct cell_fault *fault = &cell->active[cell->n_active++];
    *fault = (struct cell_fault){kind, ++cell->n_faults,
                                 from_ms + kind->least_ms + below(cell, kind->most_ms), id};
    qr_journal_add(&cell->journal, "fault",
                   json_pack("{s:I, s:s, s:i, s:s, s:s, s:s, s:I}", "id", (json_int_t)fault->id,
                             "kind", kind->name, "member", (int)id, "what", note.what, "file",
                             note.file, "detail", note.detail, "for_ms",
                             (json_int_t)(fault->over_ms - from_ms)));
}

static void end_due_faults(struct cell *cell, uint64_t now_ms)
{
    for (unsigned i = cell->n_active; i-- > 0;)
        if (now_ms >= cell->active[i].over_ms)
            end_fault(cell, i);
}

/* ---- the run ---- */

static void turn(struct cell *cell)
{
    unsigned id = 1 + (unsigned)(cell->n_turns++ % CELL_MEMBERS);
    uint64_t now_ms = qr_mono_ms();
    end_due_faults(cell, now_ms);
    watch_members(cell, now_ms);
    rebuild_members(cell, now_ms);
    if (ask_status(cell, id) != 0)
        ask_something(cell, id);
}

static bool is_over(void *data)
{
    struct cell *cell = data;
    uint64_t now_ms = qr_mono_ms();
    turn(cell);
    disturb_children(cell, now_ms);
    if (now_ms >= cell->fault_ms) {
        begin_fault(cell);
        cell->fault_ms =
            qr_mono_ms() + (below(cell, 3) == 0 ? below(cell, 300) : 300 + below(cell, 3000));
    }
    return now_ms >= cell->over_ms && has_had_each_kind(cell);
}

void cell_run(struct cell *cell)
{
    uint64_t now_ms = qr_mono_ms();
    cell->fault_ms = now_ms + 1000;
    cell->over_ms = now_ms + cell->options.seconds * 1000u;
    qr_wait_for(is_over, cell, cell->options.seconds * 1000u + EACH_KIND_MS, TURN_MS);
}

/* ---- the end ---- */

static bool has_all(struct cell *cell, unsigned id)
{
    bool all = true;
    for (unsigned i = 0; i < cell->n_loads; i++) {
        const struct cell_load *load = &cell->loads[i];
        for (uint32_t host = 0; host < load->model.n_hosts; host++) {
            char guid[QR_GUID_TEXT_LEN + 1];
            struct qr_guid bytes;
            qr_model_guid(&load->model, host, &bytes);
            qr_guid_format(&bytes, guid);
            all = all && qr_cluster_watermark(&cell->cluster, id, guid) >=
                             (load->live ? cell->calm_s + STAGE_SETTLE_S : load->last_s);
        }
    }
    return all;
}

static bool is_back(void *data)
{
    struct cell *cell = data;
    turn(cell);
    bool back = cell_is_well(cell);
    for (unsigned id = 1; back && id <= CELL_MEMBERS; id++)
        back = has_all(cell, id);
    return back;
}

/* What truncated answers left out is asked for in the background. */
static bool is_filled(void *data)
{
    struct cell *cell = data;
    turn(cell);
    for (unsigned i = 0; i < cell->n_loads; i++) {
        const struct cell_load *load = &cell->loads[i];
        for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
            struct qr_verify result = {0};
            qr_verify_node(&load->model, &cell->cluster.fetch, cell->cluster.members[id].url,
                           load->first_s + STAGE_FIRST_S, load->live ? cell->calm_s : load->last_s,
                           &result);
            if (!qr_verify_ok(&result))
                return false;
        }
    }
    return true;
}

static void signal_children(struct cell *cell, int number)
{
    for (unsigned i = 0; i < cell->n_loads; i++)
        qr_process_signal(&cell->loads[i].process, number);
}

static bool are_at_one_index(void *data)
{
    struct cell *cell = data;
    uint64_t applied[CELL_MEMBERS + 1];
    bool same = true;
    watch_members(cell, qr_mono_ms());
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        applied[id] = ask_status(cell, id);
        same = same && applied[id] != 0 && applied[id] == applied[1];
    }
    return same;
}

void cell_finish(struct cell *cell)
{
    while (cell->n_active > 0)
        end_fault(cell, cell->n_active - 1);
    cell->calm_s = (int64_t)(qr_real_ms() / 1000);
    qr_journal_add(&cell->journal, "calm", json_pack("{s:I}", "to", (json_int_t)cell->calm_s));
    qr_wait_for(is_back, cell, RECOVER_MS, TURN_MS);
    qr_wait_for(is_filled, cell, REFILL_MS, 500);
    for (unsigned id = 1; id <= CELL_MEMBERS; id++)
        ask_everything(cell, id);
    signal_children(cell, SIGSTOP);
    qr_wait_for(are_at_one_index, cell, SAME_MS, 20);
    ask_blocks(cell, BLOCKS_MS);
    qr_journal_add(&cell->journal, "end", NULL);
}

/* ---- up and down ---- */

static bool needs(const struct cell_options *o, size_t offset)
{
    for (unsigned i = 0; i < CELL_KINDS_MAX; i++)
        if (o->kinds[i] != NULL && *(const bool *)((const char *)o->kinds[i] + offset))
            return true;
    return false;
}

static void add_environment(struct cell *cell, unsigned id, unsigned *n, const char *name,
                            const char *value)
{
    snprintf(cell->environment[id][*n], sizeof cell->environment[id][*n], "%s=%s", name, value);
    cell->environments[id][*n] = cell->environment[id][*n];
    ++*n;
}

/* What slow disks and false clocks need to be there from the start. */
static void make_environment(struct cell *cell, unsigned id)
{
    bool slow = needs(&cell->options, offsetof(struct fault_kind, needs_slow_disk));
    bool clock = needs(&cell->options, offsetof(struct fault_kind, needs_clock));
    char preload[1024] = "";
    unsigned n = 0;
    if (slow)
        snprintf(preload, sizeof preload, "%s/testing/libquorate_slow_disk.so ", QR_BUILD_DIR);
    if (clock)
        snprintf(preload + strlen(preload), sizeof preload - strlen(preload), "%s",
                 fault_clock_library());
    if (preload[0] == '\0')
        return;
    add_environment(cell, id, &n, "LD_PRELOAD", preload);
    if (slow)
        add_environment(cell, id, &n, "QR_SLOW_DISK", cell->delay_files[id]);
    if (clock) {
        add_environment(cell, id, &n, "FAKETIME_TIMESTAMP_FILE", cell->clock_files[id]);
        add_environment(cell, id, &n, "FAKETIME_CACHE_DURATION", "1");
        add_environment(cell, id, &n, "FAKETIME_DONT_FAKE_MONOTONIC", "1");
        add_environment(cell, id, &n, "NO_FAKE_STAT", "1");
    }
    cell->environment_list[id - 1] = cell->environments[id];
}

static bool make_files(struct cell *cell)
{
    static const char zeros[8];
    bool disks = needs(&cell->options, offsetof(struct fault_kind, needs_disks));
    if (disks && !small_disk_namespace())
        return false;
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        char dir[512];
        FILE *file = fopen(cell->delay_files[id], "we");
        bool ok = file != NULL && fwrite(zeros, sizeof zeros, 1, file) == 1;
        if (file != NULL)
            ok = fclose(file) == 0 && ok;
        qr_write_file(cell->clock_files[id], "+0\n");
        snprintf(dir, sizeof dir, "%s/data", cell->cluster.members[id].dir);
        if (!ok || (disks && (mkdir(dir, 0700) != 0 || !small_disk_make(dir, DISK_BYTES))))
            return false;
    }
    return true;
}

static bool make_cluster(struct cell *cell)
{
    const struct cell_options *o = &cell->options;
    char place[QR_TEMP_DIR_BYTES];
    qr_temp_dir(place, "matrix-controls");
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        snprintf(cell->delay_files[id], sizeof cell->delay_files[id], "%s/delay-%u", place, id);
        snprintf(cell->clock_files[id], sizeof cell->clock_files[id], "%s/clock-%u", place, id);
        make_environment(cell, id);
    }
    memcpy(cell->controls_dir, place, sizeof place);
    struct qr_cluster_options options = {.name = "matrix",
                                         .n = CELL_MEMBERS,
                                         .snapshot_threshold = 100,
                                         .snapshot_trailing = 30,
                                         .window_s = WINDOW_S,
                                         .tick_ms = 100,
                                         .base_port = o->base_port,
                                         .environments = cell->environment_list};
    if (needs(o, offsetof(struct fault_kind, needs_disks)))
        options.disk_reserve_mib = RESERVE_MIB;
    if (o->network != NULL) {
        options.hosts = o->network->hosts;
        options.netns_fds = o->network->netns_fds;
    }
    return qr_cluster_create(&cell->cluster, &options) == 0 && make_files(cell);
}

static void note_begin(struct cell *cell)
{
    json_t *kinds = json_array();
    for (unsigned i = 0; i < CELL_KINDS_MAX; i++)
        if (cell->options.kinds[i] != NULL)
            json_array_append_new(kinds, json_string(cell->options.kinds[i]->name));
    qr_journal_add(&cell->journal, "begin",
                   json_pack("{s:i, s:s, s:I, s:i, s:i, s:i, s:o}", "version", QR_JOURNAL_VERSION,
                             "name", cell_workload_names[cell->options.workload], "seed",
                             (json_int_t)cell->options.seed, "seconds", (int)cell->options.seconds,
                             "members", (int)CELL_MEMBERS, "recover_ms", RECOVER_MS, "kinds",
                             kinds));
}

static bool has_begun(void *data)
{
    struct cell *cell = data;
    cell->calm_s = cell->loads[0].first_s + STAGE_FIRST_S;
    turn(cell);
    return has_all(cell, 1);
}

bool cell_up(struct cell *cell, const struct cell_options *options)
{
    memset(cell, 0, sizeof *cell);
    cell->options = *options;
    qr_rng_seed(&cell->rng, options->seed);
    if (qr_journal_open(&cell->journal, options->history) != 0) {
        fprintf(stderr, "matrix: %s cannot be made\n", options->history);
        return false;
    }
    note_begin(cell);
    if (!make_cluster(cell)) {
        fprintf(stderr, "matrix: no cluster can be made in %s\n", cell->cluster.dir);
        return false;
    }
    for (unsigned id = 1; id <= CELL_MEMBERS; id++)
        cell_start_member(cell, id);
    if (qr_cluster_wait_leader(&cell->cluster, LEADER_MS) == 0 ||
        !qr_cluster_wait_caught_up(&cell->cluster, LEADER_MS)) {
        fprintf(stderr, "matrix: no leader in %s\n", cell->cluster.dir);
        qr_cluster_print_logs(&cell->cluster);
        return false;
    }
    start_loads(cell);
    if (!qr_wait_for(has_begun, cell, LEADER_MS, TURN_MS)) {
        fprintf(stderr, "matrix: no child streams in %s\n", cell->cluster.dir);
        return false;
    }
    return true;
}

void cell_down(struct cell *cell, bool keep)
{
    signal_children(cell, SIGCONT);
    for (unsigned i = 0; i < cell->n_loads; i++)
        qr_process_stop(&cell->loads[i].process, 5000);
    for (unsigned id = 1; id <= CELL_MEMBERS; id++) {
        char dir[512];
        qr_cluster_kill(&cell->cluster, id);
        snprintf(dir, sizeof dir, "%s/data", cell->cluster.members[id].dir);
        if (needs(&cell->options, offsetof(struct fault_kind, needs_disks)))
            small_disk_remove(dir);
    }
    qr_cluster_release(&cell->cluster, keep);
    qr_remove_dir(cell->controls_dir);
    qr_journal_close(&cell->journal);
}
