/* quorate-chaos — members are killed, frozen, stopped and their files damaged, in a seeded order,
 * while simulated children stream; every couple of minutes all is made well again and everything
 * that must hold is checked:
 *
 *   every (chart, dimension, second) of every child, once and right, on every member
 *   equal state hashes at an equal index; equal bytes of block files of equal names
 *   no member has ended by itself; none says more than HEALTHY would
 *
 * A long leg that a person starts: quorate-chaos --minutes 30 --seed 7 */
#include <assert.h>
#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "ha-tests/rot.h"
#include "ha-tests/small_disk.h"
#include "testing/cluster.h"
#include "testing/verify.h"

#define N_MEMBERS   3u
#define DISK_BYTES  "96m"
#define RESERVE_MIB 8
#define N_LIVE      3u /* Load generators that run all the time. */
#define RUNS_MAX    64u
#define HISTORY_S   20
#define FIRST_S     6 /* See ha-tests/harness.h. */
#define LATE_DATA_S 150
#define FAULTS_MAX  4u
#define ROUND_S     75
#define REBUILD_MS  2000
#define SETTLE_MS   60000
#define REFILL_MS   60000
#define SCRUB_MS    180000
#define LOOKBACK_S  900
#define DEFECTS_MAX 20u

/* A load generator and what it must have left behind. */
struct run {
    struct qr_process process;
    struct qr_model model;
    int64_t first_s, last_s; /* last_s 0: it streams now. */
};

struct member {
    uint64_t back_ms, resume_ms; /* When it is started, or goes on; 0: it runs. */
    uint64_t free_ms;            /* When its disk gets its space back. */
    uint64_t rebuild_ms;         /* When it is asked for, after its data was wiped. */
    bool may_refuse;             /* Its log was damaged: to stop with a sentence is right. */
    uint64_t rss_first, rss_last;
    size_t log_seen;
};

struct chaos {
    struct qr_cluster cluster;
    struct member members[N_MEMBERS + 1];
    struct run runs[RUNS_MAX];
    unsigned n_runs;
    struct qr_rng rng;
    uint64_t seed, started_ms, minutes;
    unsigned kills, stops, freezes, damages, fills, refusals, wipes, rounds, defects;
    struct qr_process twins;
    bool disks; /* Each member has a small one of its own. */
    uint64_t n_values, n_peeked;
    int64_t first_s;
};

static struct chaos chaos;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static uint64_t below(uint64_t n)
{
    return qr_rng_below(&chaos.rng, n);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    va_list args;
    printf("%6.1f ", (double)(qr_mono_ms() - chaos.started_ms) / 1000);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

static void defect(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void defect(const char *format, ...)
{
    va_list args;
    if (++chaos.defects == DEFECTS_MAX)
        interrupted = 1;
    printf("%6.1f DEFECT ", (double)(qr_mono_ms() - chaos.started_ms) / 1000);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

/* ---- children ---- */

/* Starts the children of `run`, their lists beginning with a member. */
static void launch(struct qr_process *process, const struct run *run, const char *name,
                   unsigned first_member, const char *const extra[])
{
    char program[512], to[512], log[512], first[32], seed[32], hosts[16];
    snprintf(program, sizeof program, "%s/testing/quorate-loadgen", QR_BUILD_DIR);
    snprintf(log, sizeof log, "%s/%s.log", chaos.cluster.dir, name);
    snprintf(first, sizeof first, "%lld", (long long)run->first_s);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)run->model.seed);
    snprintf(hosts, sizeof hosts, "%u", run->model.n_hosts);
    qr_cluster_destinations(&chaos.cluster, first_member, ',', to, sizeof to);
    const char *argv[48] = {program,
                            "--to",
                            to,
                            "--key",
                            chaos.cluster.api_key,
                            "--rotate",
                            "--hosts",
                            hosts,
                            "--charts",
                            "20",
                            "--dims",
                            "8",
                            "--first",
                            first,
                            "--timeout",
                            "2000",
                            "--postpone-scale",
                            "0.1",
                            "--seed",
                            seed,
                            "--quiet"};
    size_t n = 21;
    for (size_t i = 0; extra[i] != NULL; i++)
        argv[n++] = extra[i];
    int err = qr_process_start(process, name, log, -1, argv);
    assert(err == 0);
}

static void start_run(bool live, const char *const extra[], int64_t first_s)
{
    assert(chaos.n_runs < RUNS_MAX);
    struct run *run = &chaos.runs[chaos.n_runs];
    char name[32];
    snprintf(name, sizeof name, "load-%u", chaos.n_runs);
    *run = (struct run){.model = {.seed = chaos.seed * 1000 + chaos.n_runs + 1,
                                  .n_hosts = live ? 2 : 1,
                                  .n_charts = 20,
                                  .n_dims = 8,
                                  .update_every = 1,
                                  .mix = true},
                        .first_s = first_s,
                        .last_s = live ? 0 : first_s + HISTORY_S + LATE_DATA_S - 10};
    launch(&run->process, run, name, 1 + chaos.n_runs % N_MEMBERS, extra);
    chaos.n_runs++;
}

static void start_live(void)
{
    static const char *const kinds[N_LIVE][10] = {
        {"--duration", "0", "--truncate", NULL},
        {"--duration", "0", "--v2", "--rules", "2.9", NULL},
        {"--duration", "0", "--truncate", "--compression", "none", "--late-every", "5", NULL},
    };
    for (unsigned i = 0; i < N_LIVE; i++)
        start_run(true, kinds[i], chaos.first_s);
}

/* The same children once more, on other members: they take each other's place for a while. */
static void start_twins(void)
{
    static const char *const kind[] = {"--duration", "20", "--reconnect-delay", "500", NULL};
    if (qr_process_alive(&chaos.twins))
        return;
    say("twins of two children come for 20 s");
    launch(&chaos.twins, &chaos.runs[0], "twins", 2, kind);
}

/* A child whose data is of windows that are sealed long since, or of some that are to come. */
static void start_late(void)
{
    static const char *const kind[] = {"--full-speed", "--data-seconds", "150", "--truncate", NULL};
    static const int64_t back_s[] = {200, 260, 3600, -60, 320};
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    int64_t first_s = now_s - back_s[chaos.rounds % 5];
    say("a child begins at %lld s from now", (long long)(first_s - now_s));
    start_run(false, kind, first_s);
}

/* ---- files of a stopped member ---- */

static void damage_blocks(unsigned id)
{
    char name[ROT_NAME_BYTES], what[ROT_WHAT_BYTES];
    unsigned n = 1 + (unsigned)below(3);
    for (unsigned i = 0; i < n; i++) {
        const char *dir = chaos.cluster.members[id].dir;
        if (!rot_pick_block(&chaos.rng, dir, name))
            return;
        rot_block(&chaos.rng, dir, name, (enum rot_how)below(3), what);
        say("  member %u: %s", id, what);
        chaos.damages++;
    }
}

static void damage_log(unsigned id)
{
    char what[ROT_WHAT_BYTES];
    if (!rot_log(&chaos.rng, chaos.cluster.members[id].dir, what))
        return;
    say("  member %u: %s", id, what);
    chaos.members[id].may_refuse = true;
    chaos.damages++;
}

static void wipe(unsigned id)
{
    qr_cluster_wipe(&chaos.cluster, id);
    chaos.members[id].rebuild_ms = qr_mono_ms() + REBUILD_MS;
    chaos.wipes++;
}

/* It waits with its empty folder until a person has it taken in again. */
static void rebuild(unsigned id)
{
    char text[16];
    unsigned leader = qr_cluster_leader(&chaos.cluster);
    snprintf(text, sizeof text, "%u", id);
    bool asked = leader != 0 && leader != id && qr_cluster_running(&chaos.cluster, id) &&
                 qr_cluster_members(&chaos.cluster, leader, "replace", text, NULL) == 0;
    chaos.members[id].rebuild_ms = asked ? 0 : qr_mono_ms() + REBUILD_MS;
}

/* ---- small disks ---- */

static void disk_of(unsigned id, char dir[512])
{
    snprintf(dir, 512, "%s/data", chaos.cluster.members[id].dir);
}

static bool make_disks(void)
{
    if (!small_disk_namespace())
        return false;
    for (unsigned id = 1; id <= N_MEMBERS; id++) {
        char dir[512];
        disk_of(id, dir);
        if (mkdir(dir, 0700) != 0 || !small_disk_make(dir, DISK_BYTES))
            return false;
    }
    return true;
}

/* Leaves so many bytes free. */
static void fill_disk(unsigned id, uint64_t left, uint64_t for_ms)
{
    char dir[512];
    disk_of(id, dir);
    small_disk_fill(dir, left);
    say("  member %u: %.1f MiB left on its disk for %.1f s", id, (double)left / 1048576,
        (double)for_ms / 1000);
    chaos.members[id].free_ms = qr_mono_ms() + for_ms;
    chaos.fills++;
}

static void free_disk(unsigned id)
{
    char dir[512];
    disk_of(id, dir);
    small_disk_free(dir);
    chaos.members[id].free_ms = 0;
}

/* ---- members ---- */

static bool is_up(unsigned id)
{
    return chaos.members[id].back_ms == 0 && chaos.members[id].resume_ms == 0;
}

static void start_member(unsigned id)
{
    chaos.members[id].back_ms = 0;
    int err = qr_cluster_start(&chaos.cluster, id);
    assert(err == 0);
}

/* Members that ended by themselves. */
static void watch_members(void)
{
    for (unsigned id = 1; id <= N_MEMBERS; id++) {
        struct member *m = &chaos.members[id];
        struct qr_process *p = &chaos.cluster.members[id].process;
        if (m->back_ms != 0 || qr_process_alive(p))
            continue;
        if (m->free_ms != 0 && WIFEXITED(p->status) && WEXITSTATUS(p->status) == 1) {
            m->back_ms = qr_mono_ms() + 1000; /* It stopped, as it should; a supervisor's turn. */
            continue;
        }
        if (m->may_refuse && WIFEXITED(p->status) && WEXITSTATUS(p->status) == 1) {
            say("  member %u refuses its damaged log: its data is wiped", id);
            chaos.refusals++;
            m->may_refuse = false;
            wipe(id);
        } else {
            defect("member %u ended by itself, status %x", id, (unsigned)p->status);
            qr_process_print_log(p, 15);
        }
        start_member(id);
    }
}

/* What is due; then sleeps a little. */
static void turn(void)
{
    uint64_t now = qr_mono_ms();
    for (unsigned id = 1; id <= N_MEMBERS; id++) {
        struct member *m = &chaos.members[id];
        if (m->back_ms != 0 && now >= m->back_ms)
            start_member(id);
        if (m->free_ms != 0 && now >= m->free_ms)
            free_disk(id);
        if (m->rebuild_ms != 0 && now >= m->rebuild_ms)
            rebuild(id);
        if (m->resume_ms != 0 && now >= m->resume_ms) {
            m->resume_ms = 0;
            qr_cluster_resume(&chaos.cluster, id);
        }
    }
    watch_members();
    usleep(50000);
}

static void run_for(uint64_t ms)
{
    uint64_t end = qr_mono_ms() + ms;
    while (qr_mono_ms() < end && !interrupted)
        turn();
}

static bool all_well(void *data)
{
    (void)data;
    turn();
    for (unsigned id = 1; id <= N_MEMBERS; id++) {
        json_t *status = qr_cluster_status(&chaos.cluster, id);
        json_int_t level =
            json_integer_value(json_object_get(json_object_get(status, "verdict"), "level"));
        bool well = status != NULL && level == 0;
        json_decref(status);
        if (!well)
            return false;
    }
    return true;
}

/* In the midst of it: a member may not have a sample yet, but what it has is right. */
static void peek(void)
{
    unsigned id = 1 + (unsigned)below(N_MEMBERS);
    const struct run *run = &chaos.runs[below(N_LIVE)];
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    struct qr_verify result = {0};
    if (!qr_cluster_running(&chaos.cluster, id) || now_s - 3 < run->first_s + FIRST_S)
        return;
    int64_t from_s = now_s - 120 < run->first_s + FIRST_S ? run->first_s + FIRST_S : now_s - 120;
    qr_verify_node(&run->model, &chaos.cluster.fetch, chaos.cluster.members[id].url, from_s,
                   now_s - 3, &result);
    chaos.n_peeked += result.n_values;
    if (result.n_wrong != 0 || result.n_extra != 0 || result.n_duplicates != 0) {
        char text[512];
        qr_verify_format(&result, text, sizeof text);
        defect("member %u, in the midst of it: %s", id, text);
    }
}

static unsigned a_victim(void)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    struct qr_guid bytes;
    unsigned id = 0;
    switch (below(3)) {
    case 0:
        id = qr_cluster_leader(&chaos.cluster);
        break;
    case 1:
        qr_model_guid(&chaos.runs[0].model, 0, &bytes);
        qr_guid_format(&bytes, guid);
        id = qr_cluster_owner(&chaos.cluster, guid);
        break;
    default:
        break;
    }
    return id != 0 ? id : 1 + (unsigned)below(N_MEMBERS);
}

static void kill_member(unsigned id, uint64_t back_ms)
{
    qr_cluster_kill(&chaos.cluster, id);
    chaos.members[id].resume_ms = 0;
    chaos.members[id].back_ms = qr_mono_ms() + back_ms + 1;
    chaos.kills++;
}

static uint64_t a_while_ms(void)
{
    static const uint64_t longest_ms[] = {10, 1000, 5000, 25000};
    return below(longest_ms[below(4)]);
}

static void fill_disks(unsigned id)
{
    static const uint64_t lefts[] = {0, 2 << 20, 7 << 20, 15 << 20};
    unsigned n = below(4) == 0 ? N_MEMBERS : 1;
    uint64_t left = lefts[below(4)];
    say("%u disks become full", n);
    for (unsigned i = 0; i < n; i++, id = id % N_MEMBERS + 1)
        if (chaos.members[id].free_ms == 0)
            fill_disk(id, left, 3000 + below(12000));
}

static void fault(void)
{
    unsigned id = a_victim();
    uint64_t away = a_while_ms();
    switch (below(chaos.disks ? 14 : 11)) {
    case 10:
        start_twins();
        break;
    case 11:
    case 12:
    case 13:
        fill_disks(id);
        break;
    case 0:
    case 1:
    case 2:
        if (chaos.members[id].back_ms != 0)
            return;
        say("kill -9 member %u, back in %.1f s", id, (double)away / 1000);
        kill_member(id, away);
        break;
    case 3:
        say("kill -9 of two, back in %.1f s", (double)away / 1000);
        for (unsigned i = 0; i < 2; i++, id = id % N_MEMBERS + 1)
            if (chaos.members[id].back_ms == 0)
                kill_member(id, i * 300 + away);
        break;
    case 4:
        say("kill -9 of all");
        for (unsigned i = 1; i <= N_MEMBERS; i++)
            if (chaos.members[i].back_ms == 0)
                kill_member(i, below(3000));
        break;
    case 5:
    case 6:
        if (!is_up(id))
            return;
        away = 1000 + below(14000);
        say("SIGSTOP member %u for %.1f s", id, (double)away / 1000);
        qr_cluster_pause(&chaos.cluster, id);
        chaos.members[id].resume_ms = qr_mono_ms() + away;
        chaos.freezes++;
        break;
    case 7:
        if (!is_up(id))
            return;
        say("SIGTERM member %u, back in %.1f s", id, (double)away / 1000);
        if (!qr_cluster_stop(&chaos.cluster, id))
            defect("member %u did not stop in order, status %x", id,
                   (unsigned)chaos.cluster.members[id].process.status);
        chaos.members[id].back_ms = qr_mono_ms() + away + 1;
        chaos.stops++;
        break;
    default:
        if (chaos.members[id].back_ms != 0)
            return;
        say("kill -9 member %u and damage its blocks", id);
        kill_member(id, away);
        damage_blocks(id);
        break;
    }
}

/* What is still to come of the faults comes now. */
static void make_well(void)
{
    for (unsigned id = 1; id <= N_MEMBERS; id++) {
        if (chaos.members[id].back_ms != 0)
            chaos.members[id].back_ms = 1;
        if (chaos.members[id].resume_ms != 0)
            chaos.members[id].resume_ms = 1;
        if (chaos.members[id].free_ms != 0)
            chaos.members[id].free_ms = 1;
    }
}

/* With the other two well: a log that is damaged costs this member only. */
static void damage_a_log(void)
{
    for (unsigned id = 1; id <= N_MEMBERS; id++)
        chaos.members[id].may_refuse = false;
    if (!qr_wait_for(all_well, NULL, SETTLE_MS, 10))
        return;
    unsigned id = a_victim();
    say("kill -9 member %u and damage its log", id);
    kill_member(id, 3000);
    damage_log(id);
    run_for(3500);
    if (!qr_wait_for(all_well, NULL, SETTLE_MS, 10))
        defect("member %u is not well after its log was damaged", id);
    chaos.members[id].may_refuse = false;
}

/* ---- the quiet phase ---- */

static void guid_of(const struct run *run, uint32_t host, char guid[QR_GUID_TEXT_LEN + 1])
{
    struct qr_guid bytes;
    qr_model_guid(&run->model, host, &bytes);
    qr_guid_format(&bytes, guid);
}

static bool is_stored(void *data)
{
    int64_t to_s = *(int64_t *)data;
    turn();
    for (unsigned i = 0; i < chaos.n_runs; i++) {
        const struct run *run = &chaos.runs[i];
        int64_t t = run->last_s != 0 ? run->last_s + 3 : to_s + 3;
        for (uint32_t host = 0; host < run->model.n_hosts; host++)
            for (unsigned id = 1; id <= N_MEMBERS; id++) {
                char guid[QR_GUID_TEXT_LEN + 1];
                guid_of(run, host, guid);
                if (qr_cluster_watermark(&chaos.cluster, id, guid) < t)
                    return false;
            }
    }
    return true;
}

struct verifying {
    const struct run *run;
    unsigned id;
    int64_t from_s, to_s;
    struct qr_verify result;
};

static bool is_right(void *data)
{
    struct verifying *v = data;
    memset(&v->result, 0, sizeof v->result);
    watch_members();
    qr_verify_node(&v->run->model, &chaos.cluster.fetch, chaos.cluster.members[v->id].url,
                   v->from_s, v->to_s, &v->result);
    return qr_verify_ok(&v->result);
}

static void verify_all(int64_t to_s, bool whole)
{
    for (unsigned i = 0; i < chaos.n_runs; i++) {
        const struct run *run = &chaos.runs[i];
        int64_t last_s = run->last_s != 0 ? run->last_s : to_s;
        int64_t from_s = run->first_s + FIRST_S;
        if (last_s > to_s)
            continue; /* Nobody is asked about the future. */
        if (!whole && last_s - from_s > LOOKBACK_S)
            from_s = last_s - LOOKBACK_S;
        for (unsigned id = 1; id <= N_MEMBERS; id++) {
            struct verifying v = {run, id, from_s, last_s, {0}};
            char text[512];
            if (!qr_wait_for(is_right, &v, REFILL_MS, 1000)) {
                qr_verify_format(&v.result, text, sizeof text);
                defect("member %u, load %u (%lld to %lld): %s; %s", id, i, (long long)from_s,
                       (long long)last_s, text, v.result.first);
            }
            chaos.n_values += v.result.n_values;
        }
    }
}

/* 1 equal, 0 not, -1 one of them is not there. */
static int same_bytes(const char *a, const char *b)
{
    FILE *fa = fopen(a, "re"), *fb = fopen(b, "re");
    int same = fa != NULL && fb != NULL ? 1 : -1;
    while (same == 1) {
        char ba[4096], bb[4096];
        size_t na = fread(ba, 1, sizeof ba, fa), nb = fread(bb, 1, sizeof bb, fb);
        if (na != nb || memcmp(ba, bb, na) != 0)
            same = 0;
        if (na == 0)
            break;
    }
    if (fa != NULL)
        fclose(fa);
    if (fb != NULL)
        fclose(fb);
    return same;
}

struct comparing {
    unsigned n_files, n_different;
    char first[256];
};

/* What was damaged is fetched again, within a second a file. */
static bool are_blocks_equal(void *data)
{
    struct comparing *c = data;
    char dir[512], other[1024], path[1024];
    *c = (struct comparing){0};
    watch_members();
    snprintf(dir, sizeof dir, "%s/data/group-1/blocks", chaos.cluster.members[1].dir);
    DIR *open_dir = opendir(dir);
    struct dirent *entry;
    while (open_dir != NULL && (entry = readdir(open_dir)) != NULL) {
        if (strstr(entry->d_name, ".qb") == NULL)
            continue;
        c->n_files++;
        for (unsigned id = 2; id <= N_MEMBERS; id++) {
            snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
            snprintf(other, sizeof other, "%s/data/group-1/blocks/%s",
                     chaos.cluster.members[id].dir, entry->d_name);
            int same = same_bytes(path, other);
            if (same != 1 && c->n_different++ == 0)
                snprintf(c->first, sizeof c->first, "%.80s %s on members 1 and %u", entry->d_name,
                         same == 0 ? "differs" : "is not", id);
        }
    }
    if (open_dir != NULL)
        closedir(open_dir);
    return c->n_different == 0;
}

static unsigned compare_blocks(void)
{
    struct comparing c;
    if (!qr_wait_for(are_blocks_equal, &c, SCRUB_MS, 500))
        defect("%u block files are not the same everywhere: %s", c.n_different, c.first);
    return c.n_files;
}

static void signal_children(int number)
{
    for (unsigned i = 0; i < chaos.n_runs; i++)
        if (chaos.runs[i].last_s == 0)
            qr_process_signal(&chaos.runs[i].process, number);
}

static void end_late_runs(void)
{
    for (unsigned i = 0; i < chaos.n_runs; i++)
        if (chaos.runs[i].last_s != 0 && chaos.runs[i].process.pid != 0)
            qr_process_stop(&chaos.runs[i].process, 5000);
}

static void print_status(void)
{
    for (unsigned id = 1; id <= N_MEMBERS; id++) {
        json_t *status = qr_cluster_status(&chaos.cluster, id);
        const json_t *c = json_object_get(status, "counters");
        struct member *m = &chaos.members[id];
        m->rss_last = qr_process_rss_bytes(&chaos.cluster.members[id].process);
        if (m->rss_first == 0)
            m->rss_first = m->rss_last;
        const char *sentence =
            json_string_value(json_object_get(json_object_get(status, "verdict"), "sentence"));
        say("  member %u: %.1f MiB, up %lld s, head %.1f MiB, blocks %.1f MiB, installs %lld, "
            "resent %lld, dropped %lld, refused %lld: %s",
            id, (double)m->rss_last / 1048576,
            (long long)json_integer_value(json_object_get(status, "uptime_s")),
            (double)json_integer_value(json_object_get(c, "head_bytes")) / 1048576,
            (double)json_integer_value(json_object_get(c, "block_bytes")) / 1048576,
            (long long)json_integer_value(json_object_get(c, "installs")),
            (long long)json_integer_value(json_object_get(c, "resent")),
            (long long)json_integer_value(json_object_get(c, "dropped")),
            (long long)json_integer_value(json_object_get(c, "refused")),
            sentence != NULL ? sentence : "no answer");
        json_decref(status);
    }
}

static void quiet(bool whole)
{
    say("quiet");
    make_well();
    qr_process_stop(&chaos.twins, 5000);
    if (!qr_wait_for(all_well, NULL, SETTLE_MS, 20))
        defect("not all members are HEALTHY after %d s", SETTLE_MS / 1000);
    int64_t to_s = (int64_t)(qr_real_ms() / 1000);
    if (!qr_wait_for(is_stored, &to_s, SETTLE_MS, 50))
        defect("not all children's data has arrived after %d s", SETTLE_MS / 1000);
    verify_all(to_s, whole);
    unsigned n_blocks = compare_blocks();
    end_late_runs();
    signal_children(SIGSTOP);
    int same = qr_cluster_compare_hashes(&chaos.cluster, SETTLE_MS);
    signal_children(SIGCONT);
    if (same != 1)
        defect("state hashes: %s", same < 0 ? "differ" : "never seen at one index");
    print_status();
    say("round %u: %u kills, %u stops, %u freezes, %u damages, %u fills, %u refusals, %u blocks, "
        "%llu values right (%llu in the midst), %u defects",
        chaos.rounds, chaos.kills, chaos.stops, chaos.freezes, chaos.damages, chaos.fills,
        chaos.refusals, n_blocks, (unsigned long long)chaos.n_values,
        (unsigned long long)chaos.n_peeked, chaos.defects);
}

static void round_of_faults(void)
{
    uint64_t end = qr_mono_ms() + ROUND_S * 1000;
    chaos.rounds++;
    if (chaos.n_runs < RUNS_MAX)
        start_late();
    while (qr_mono_ms() < end && !interrupted) {
        for (uint64_t n = below(8); n > 0; n--) {
            run_for(1000);
            peek();
        }
        run_for(500);
        fault();
    }
    if (chaos.rounds % 2 == 0 && !interrupted) {
        make_well();
        damage_a_log();
    }
}

static int usage(int status)
{
    printf("usage: quorate-chaos [--minutes N] [--seed N] [--port N] [--keep] [--disks] "
           "[--log-level L]\n\n"
           "Kills, freezes, stops and damages members of a cluster of three while children\n"
           "stream, and checks every couple of minutes that nothing is lost, twice or wrong.\n"
           "--disks gives each member a small disk that becomes full at times; it needs root.\n"
           "Exit: 0 all was well, 1 a defect was found (the files are kept), 2 usage.\n");
    return status;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"minutes", required_argument, NULL, 'm'}, {"seed", required_argument, NULL, 's'},
        {"port", required_argument, NULL, 'p'},    {"keep", no_argument, NULL, 'k'},
        {"disks", no_argument, NULL, 'd'},         {"log-level", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},          {0}};
    struct qr_cluster_options options = {.name = "chaos",
                                         .n = N_MEMBERS,
                                         .snapshot_threshold = 100,
                                         .snapshot_trailing = 30,
                                         .window_s = 60,
                                         .tick_ms = 100};
    bool keep = false;
    int c;
    chaos.minutes = 10;
    chaos.seed = 1;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'm')
            chaos.minutes = strtoull(optarg, NULL, 10);
        else if (c == 's')
            chaos.seed = strtoull(optarg, NULL, 10);
        else if (c == 'p')
            options.base_port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (c == 'l')
            options.log_level = optarg;
        else if (c == 'd')
            chaos.disks = true;
        else if (c == 'k')
            keep = true;
        else
            return usage(c == 'h' ? 0 : 2);
    }
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    qr_rng_seed(&chaos.rng, chaos.seed);
    chaos.started_ms = qr_mono_ms();
    if (chaos.disks)
        options.disk_reserve_mib = RESERVE_MIB;
    if (qr_cluster_create(&chaos.cluster, &options) != 0 || (chaos.disks && !make_disks()) ||
        qr_cluster_start_all(&chaos.cluster) != 0 ||
        qr_cluster_wait_leader(&chaos.cluster, 20000) == 0) {
        fprintf(stderr, "quorate-chaos: no cluster came up in %s\n", chaos.cluster.dir);
        return 1;
    }
    say("seed %llu, files in %s", (unsigned long long)chaos.seed, chaos.cluster.dir);
    chaos.first_s = (int64_t)(qr_real_ms() / 1000) - HISTORY_S;
    start_live();
    run_for(5000);
    while (qr_mono_ms() - chaos.started_ms < chaos.minutes * 60000 && !interrupted &&
           chaos.defects < DEFECTS_MAX) {
        round_of_faults();
        quiet(false);
    }
    if (!interrupted)
        quiet(true);
    for (unsigned i = 0; i < chaos.n_runs; i++)
        qr_process_stop(&chaos.runs[i].process, 5000);
    qr_cluster_release(&chaos.cluster, keep || chaos.defects != 0);
    printf("minutes %.1f, rounds %u, kills %u, stops %u, freezes %u, damages %u, fills %u, "
           "refusals %u, "
           "wipes %u, values %llu, defects %u\n",
           (double)(qr_mono_ms() - chaos.started_ms) / 60000, chaos.rounds, chaos.kills,
           chaos.stops, chaos.freezes, chaos.damages, chaos.fills, chaos.refusals, chaos.wipes,
           (unsigned long long)chaos.n_values, chaos.defects);
    return chaos.defects != 0;
}
