/* libraft's own disk code on the false disk: whatever the power cut leaves, what it acknowledged
 * is there when it is loaded again. */
#include <fcntl.h>
#include <raft.h>
#include <raft/uv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "cluster/mend.h"
#include "testing/sim/fd.h"
#include "testing/sim/fs.h"
#include "testing/sim/libc.h"
#include "testing/sim/tests/on_host.h"
#include "testing/sim/uv_sim.h"

#define DIR            "/sim/log"
#define N_INDEXES      4096u
#define PIPELINE       8u
#define BATCH_MAX      4u
#define SEGMENT_BYTES  (64u * 1024)
#define ENTRY_WORDS    500u
#define SNAPSHOT_EVERY 60u
#define TRAILING       20u

/* What the member was told, in the memory of the test: it outlives the host. */
static struct {
    raft_index acked;    /* Entries up to here are durable. */
    raft_index snapshot; /* A snapshot of this index is. */
    raft_term term;      /* Durable; `asked`: or this one, if it died meanwhile. */
    raft_term asked;
    uint32_t version[N_INDEXES]; /* Of an entry: one more with each truncation. */
    unsigned lives, crashes, truncations, snapshots;
    uint64_t entries;
} told;

static struct qr_rng chance;
static bool
    keeps; /* What a start finds beyond what was acknowledged counts, as the leader is told. */
static bool mends; /* As cluster/group: what a crash leaves is put in order. */
static bool fails; /* Syncs do, now and then: the process ends, as the guard has it. */

/* The process of one life. */
struct member {
    uv_loop_t loop;
    struct raft_io io;
    struct raft_uv_transport stub;
    raft_index last; /* Submitted. */
    unsigned n_appends;
    bool snapshotting, noted; /* .. a truncation. */
};

struct append {
    struct raft_io_append req;
    struct member *member;
    raft_index first;
    unsigned n;
    struct raft_entry entries[BATCH_MAX];
};

/* The answer of a call that may meet the disk's fault. */
static void expect_or_die(bool well)
{
    if (!well && fails)
        qr_sim_die(QR_SIM_KILL, 1);
    expect(well);
}

/* ---- entries that can be told from each other ---- */

static size_t words_of(raft_index index, uint32_t version)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, index * 1000 + version);
    return 2 + (size_t)qr_rng_below(&rng, ENTRY_WORDS);
}

static void fill(struct raft_buffer *buf, raft_index index, uint32_t version)
{
    size_t n = words_of(index, version);
    uint64_t *words = malloc(n * sizeof *words);
    expect(words != NULL);
    for (size_t i = 0; i < n; i++)
        words[i] = index << 32 | version;
    *buf = (struct raft_buffer){.base = words, .len = n * sizeof *words};
}

static bool is_entry(const struct raft_buffer *buf, raft_index index, uint32_t version)
{
    const uint64_t *words = buf->base;
    if (buf->len != words_of(index, version) * sizeof *words)
        return false;
    for (size_t i = 0; i < buf->len / sizeof *words; i++)
        if (words[i] != (index << 32 | version))
            return false;
    return true;
}

/* ---- a transport that leads nowhere ---- */

static int stub_init(struct raft_uv_transport *stub, raft_id id, const char *address)
{
    (void)stub;
    (void)id;
    (void)address;
    return 0;
}

static int stub_listen(struct raft_uv_transport *stub, raft_uv_accept_cb cb)
{
    (void)stub;
    (void)cb;
    return 0;
}

static int stub_connect(struct raft_uv_transport *stub, struct raft_uv_connect *req, raft_id id,
                        const char *address, raft_uv_connect_cb cb)
{
    (void)stub;
    (void)req;
    (void)id;
    (void)address;
    (void)cb;
    return RAFT_NOCONNECTION;
}

static void stub_close(struct raft_uv_transport *stub, raft_uv_transport_close_cb cb)
{
    cb(stub);
}

static void on_tick(struct raft_io *io)
{
    (void)io;
}

static void on_message(struct raft_io *io, struct raft_message *message)
{
    (void)io;
    (void)message;
}

/* ---- a life ---- */

static void submit(struct member *member);

static void on_appended(struct raft_io_append *req, int status)
{
    struct append *append = QR_CONTAINER_OF(req, struct append, req);
    struct member *member = append->member;
    expect_or_die(status == 0 || status == RAFT_CANCELED);
    if (status == 0 && member->noted) { /* Appends wait for truncations. */
        member->noted = false;
        expect_or_die(qr_mend_forget_cut(DIR) == 0);
    }
    if (status == 0) {
        told.acked = append->first + append->n - 1;
        told.entries += append->n;
    }
    for (unsigned i = 0; i < append->n; i++)
        free(append->entries[i].buf.base);
    free(append);
    member->n_appends--;
    submit(member);
}

static void append_some(struct member *member)
{
    struct append *append = calloc(1, sizeof *append);
    expect(append != NULL);
    append->member = member;
    append->first = member->last + 1;
    append->n = 1 + (unsigned)qr_rng_below(&chance, BATCH_MAX);
    for (unsigned i = 0; i < append->n; i++) {
        append->entries[i].term = told.term;
        append->entries[i].type = RAFT_COMMAND;
        fill(&append->entries[i].buf, append->first + i, told.version[append->first + i]);
    }
    member->last += append->n;
    member->n_appends++;
    int rv = member->io.append(&member->io, &append->req, append->entries, append->n, on_appended);
    expect_or_die(rv == 0);
}

struct put {
    struct raft_io_snapshot_put req;
    struct raft_snapshot snapshot;
    struct raft_buffer buf;
    struct member *member;
};

static void on_put(struct raft_io_snapshot_put *req, int status)
{
    struct put *put = QR_CONTAINER_OF(req, struct put, req);
    expect_or_die(status == 0);
    told.snapshot = put->snapshot.index;
    told.snapshots++;
    put->member->snapshotting = false;
    raft_configuration_close(&put->snapshot.configuration);
    free(put->buf.base);
    free(put);
}

static void take_snapshot(struct member *member)
{
    struct put *put = calloc(1, sizeof *put);
    expect(put != NULL);
    put->member = member;
    put->snapshot = (struct raft_snapshot){.index = told.acked,
                                           .term = told.term,
                                           .configuration_index = 1,
                                           .bufs = &put->buf,
                                           .n_bufs = 1};
    raft_configuration_init(&put->snapshot.configuration);
    expect(raft_configuration_add(&put->snapshot.configuration, 1, "a", RAFT_VOTER) == 0);
    fill(&put->buf, told.acked, 0);
    member->snapshotting = true;
    int rv = member->io.snapshot_put(&member->io, TRAILING, &put->req, &put->snapshot, on_put);
    expect_or_die(rv == 0);
}

/* As the guard does it. */
static void cut(struct member *member, raft_index from)
{
    expect_or_die(!mends || qr_mend_note_cut(DIR, from) == 0);
    member->noted = mends;
    expect_or_die(member->io.truncate(&member->io, from) == 0);
}

/* As a follower with a conflict: what is after it is written anew. */
static void truncate_some(struct member *member)
{
    raft_index low = told.snapshot + 1, high = told.acked;
    if (member->snapshotting || high <= low)
        return;
    raft_index from = high - qr_rng_below(&chance, high - low < 8 ? high - low : 8);
    for (raft_index i = from; i < N_INDEXES; i++)
        told.version[i]++;
    told.acked = member->last = from - 1;
    told.truncations++;
    cut(member, from);
}

static void raise_term(struct member *member)
{
    told.asked = told.term + 1;
    expect_or_die(member->io.set_term(&member->io, told.asked) == 0);
    told.term = told.asked;
}

static void submit(struct member *member)
{
    if (member->n_appends == 0 && qr_rng_below(&chance, 10) == 0)
        truncate_some(member);
    if (qr_rng_below(&chance, 50) == 0)
        raise_term(member);
    if (fails && qr_rng_below(&chance, 30) == 0)
        qr_sim_disk(qr_sim_host())->failing_syncs = 1;
    if (!member->snapshotting && told.acked > told.snapshot + SNAPSHOT_EVERY)
        take_snapshot(member);
    unsigned wanted = 1 + (unsigned)qr_rng_below(&chance, PIPELINE);
    while (member->n_appends < wanted && member->last + BATCH_MAX < N_INDEXES)
        append_some(member);
    if (member->n_appends == 0) /* The test's end: all indexes are used. */
        qr_sim_die(QR_SIM_POWER, 0);
}

static void check_loaded(raft_term term, const struct raft_snapshot *snapshot, raft_index start,
                         const struct raft_entry *entries, size_t n)
{
    raft_index last = start + n - 1;
    expect(term == told.term || term == told.asked);
    expect(last >= told.acked);
    if (snapshot == NULL)
        expect(told.snapshot == 0);
    else
        expect(snapshot->index >= told.snapshot);
    expect(snapshot == NULL ? start == 1 : start <= snapshot->index + 1);
    for (size_t i = 0; i < n && start + i <= told.acked; i++)
        expect(is_entry(&entries[i].buf, start + i, told.version[start + i]));
    /* Entries that were being written may be there, and are durable from now on. */
    for (size_t i = 0; i < n && start + i < N_INDEXES; i++)
        if (start + i > told.acked)
            expect(is_entry(&entries[i].buf, start + i, told.version[start + i]) ||
                   told.version[start + i] > 0);
    told.term = told.asked = term;
}

static void load(struct member *member)
{
    raft_term term;
    raft_id voted_for;
    struct raft_snapshot *snapshot;
    raft_index start;
    struct raft_entry *entries;
    size_t n;
    int rv = member->io.load(&member->io, &term, &voted_for, &snapshot, &start, &entries, &n);
    if (rv != 0) {
        fprintf(stderr, "load: %s\n", member->io.errmsg);
        expect(rv == 0);
        qr_sim_die(QR_SIM_KILL, 1);
    }
    check_loaded(term, snapshot, start, entries, n);
    member->last = start + n - 1;
    if (snapshot != NULL && snapshot->index > told.snapshot)
        told.snapshot = snapshot->index;
    if (keeps && member->last > told.acked) {
        for (raft_index i = told.acked + 1; i <= member->last; i++)
            told.version[i] = (uint32_t) * (uint64_t *)entries[i - start].buf.base;
        told.acked = member->last;
    }
    if (member->last > told.acked && member->last > told.snapshot) {
        /* Nobody knows these: they are cut, as a leader would ask for. */
        raft_index from = told.acked + 1 > told.snapshot ? told.acked + 1 : told.snapshot + 1;
        for (raft_index i = from; i < N_INDEXES; i++)
            told.version[i]++;
        cut(member, from);
        member->last = told.acked = from - 1;
    }
}

/* As the guard: a failed write, closing or making of a segment is the end (its G4, G15, G16). */
static void on_trace(struct raft_tracer *tracer, int type, const void *data)
{
    (void)tracer;
    const struct raft_tracer_info *info = data;
    if (type == RAFT_TRACER_DIAGNOSTIC &&
        (strstr(info->diagnostic.message, "retry failed write") != NULL ||
         strstr(info->diagnostic.message, "truncate segment ") != NULL ||
         strstr(info->diagnostic.message, "retry creating segment ") != NULL))
        expect_or_die(false);
}

static struct raft_tracer tracer = {.version = 2, .emit = on_trace};

static void list_file(void *data, const char *path, uint64_t size)
{
    (void)data;
    fprintf(stderr, "  %s %llu\n", path, (unsigned long long)size);
}

static int live(void *data)
{
    (void)data;
    struct member *member = calloc(1, sizeof *member);
    mkdir(DIR, 0755);
    int folder = open("/sim", O_RDONLY | O_DIRECTORY);
    expect_or_die(fsync(folder) == 0);
    close(folder);
    if (getenv("QR_SIM_LIST") != NULL)
        qr_sim_disk_walk(qr_sim_host(), "/sim", list_file, NULL);
    expect(uv_loop_init(&member->loop) == 0);
    expect_or_die(!mends || qr_mend_log(DIR) == 0);
    member->stub = (struct raft_uv_transport){.version = 1,
                                              .init = stub_init,
                                              .listen = stub_listen,
                                              .connect = stub_connect,
                                              .close = stub_close};
    expect(raft_uv_init(&member->io, &member->loop, DIR, &member->stub) == 0);
    raft_uv_set_tracer(&member->io, &tracer);
    raft_uv_set_segment_size(&member->io, SEGMENT_BYTES);
    raft_uv_set_auto_recovery(&member->io, false);
    int rv = member->io.init(&member->io, 1, "a");
    if (rv != 0) {
        fprintf(stderr, "init: %s\n", member->io.errmsg);
        expect(rv == 0);
        return 1;
    }
    load(member);
    expect(member->io.start(&member->io, 100, on_tick, on_message) == 0);
    submit(member);
    uv_run(&member->loop, UV_RUN_DEFAULT);
    return 1;
}

static int poll_events(int fd)
{
    return qr_sim_fd_is_readable(fd) ? UV_READABLE : 0;
}

static struct qr_sim_host *host;

/* What a life is like, and how it ends. */
struct world {
    uint64_t seed;
    enum qr_sim_down how;
    bool harsh;
    unsigned async_one_in;
    bool keeps, kills; /* .. and every other life ends by a kill. */
    bool fails;
};

static void begin(const struct world *world)
{
    memset(&told, 0, sizeof told);
    mends = true;
    keeps = world->keeps;
    fails = world->fails;
    qr_sim_disk(host)->failing_syncs = 0;
    qr_rng_seed(&chance, world->seed);
    qr_sim_disk_wipe(host);
    qr_sim_disk(host)->harsh = world->harsh;
    qr_sim_disk(host)->async_one_in = world->async_one_in;
}

/* Until it dies; false: not at a crash point, nor of a sync that failed. */
static bool live_once(const struct world *world)
{
    const struct qr_sim_disk_counters before = qr_sim_disk(host)->n;
    /* What mending writes again are calls, too. */
    qr_sim_disk_crash_at(host, 1 + qr_rng_below(&chance, fails ? 300 : 100),
                         (enum qr_sim_when)qr_rng_below(&chance, 3),
                         world->kills && told.lives % 2 == 0 ? QR_SIM_KILL : world->how);
    qr_sim_host_boot(host, live, NULL);
    while (host->up)
        assert_true(qr_sim_step());
    told.lives++;
    qr_sim_disk(host)->failing_syncs = 0;
    return qr_sim_disk(host)->n.crash_points > before.crash_points ||
           qr_sim_disk(host)->n.failed_syncs > before.failed_syncs;
}

/* One log through many crashes. */
static void survive(struct world world)
{
    begin(&world);
    bool done = false;
    while (!done) {
        done = !live_once(&world);
        if (n_wrong != 0 || host->down == QR_SIM_EXIT) {
            qr_sim_disk_walk(host, "/sim", list_file, NULL);
            fail_msg("seed %u, life %u: down %d, acked %u of %u", (unsigned)world.seed, told.lives,
                     (int)host->down, (unsigned)told.acked, N_INDEXES);
        }
        assert_true(told.lives < 4000);
    }
    assert_true(told.lives > 3);
    assert_true(told.snapshots > 0);
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
    (void)state;
    survive((struct world){.seed = 1, .how = QR_SIM_KILL});
}

static void what_was_acknowledged_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 13; seed++)
        survive((struct world){.seed = seed, .how = QR_SIM_POWER});
}

static void what_was_acknowledged_survives_on_a_harsh_disk(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 23; seed++)
        survive((struct world){.seed = seed, .how = QR_SIM_POWER, .harsh = true});
}

static void what_was_acknowledged_survives_with_asynchronous_writes(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 33; seed++)
        survive((struct world){
            .seed = seed, .how = QR_SIM_POWER, .harsh = seed % 2 == 0, .async_one_in = 4});
}

/* What a killed process wrote and did not sync is found by the next one, which says that it has
 * it: from then on it must be durable, though this one never wrote it. */
static void what_a_start_found_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 70; seed < 76; seed++)
        survive((struct world){.seed = seed,
                               .how = QR_SIM_POWER,
                               .harsh = seed % 2 == 0,
                               .async_one_in = seed % 3 == 0 ? 3 : 0,
                               .keeps = true,
                               .kills = true});
}

/* ---- a sync that failed ---- */

#define OPEN_BYTES (100u * 1024)

static void fill_open(char *bytes)
{
    for (unsigned i = 0; i < OPEN_BYTES; i++)
        bytes[i] = (char)(1 + i % 97);
}

static int writes_and_fails(void *data)
{
    static char bytes[OPEN_BYTES];
    (void)data;
    fill_open(bytes);
    expect(mkdir(DIR, 0755) == 0);
    int fd = open(DIR "/open-1", O_WRONLY | O_CREAT, 0600);
    expect(fd >= 0);
    expect(write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    expect(fdatasync(fd) < 0);
    qr_sim_die(QR_SIM_KILL, 1);
}

static int starts_again(void *data)
{
    (void)data;
    expect(qr_mend_log(DIR) == 0);
    int folder = open("/sim", O_RDONLY | O_DIRECTORY);
    expect(fsync(folder) == 0);
    qr_sim_die(QR_SIM_POWER, 0);
}

/* The kernel holds it for written, and shows it. */
static void what_a_failed_sync_left_in_memory_survives_the_next_start(void **state)
{
    (void)state;
    static char ought[OPEN_BYTES], is[OPEN_BYTES];
    fill_open(ought);
    for (unsigned i = 0; i < 40; i++) {
        begin(&(struct world){.seed = i, .harsh = i % 2 == 0});
        qr_sim_disk(host)->failing_syncs = 1;
        run_on(host, writes_and_fails, NULL);
        run_on(host, starts_again, NULL);
        assert_int_equal(qr_sim_disk_read(host, DIR "/open-1", 0, is, sizeof is), sizeof is);
        assert_memory_equal(is, ought, sizeof is);
    }
}

/* A sync that failed: what it was to make durable can be read, is clean for the kernel, and is gone
 * with the power.  The next one, of a process that starts anew, says nothing of it. */
static void what_a_start_found_after_a_failed_sync_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 80; seed < 84; seed++)
        survive((struct world){.seed = seed,
                               .how = QR_SIM_POWER,
                               .harsh = seed % 2 == 0,
                               .async_one_in = seed % 3 == 0 ? 3 : 0,
                               .keeps = true,
                               .kills = true,
                               .fails = true});
}

/* How many of so many logs cannot be opened any more, or have lost something. */
static unsigned n_lost(struct world world, unsigned n, void (*change)(void))
{
    unsigned lost = 0;
    for (unsigned i = 0; i < n; i++, world.seed++) {
        begin(&world);
        change();
        n_wrong = 0;
        while (n_wrong == 0 && live_once(&world))
            ;
        lost += n_wrong != 0;
    }
    n_wrong = 0;
    return lost;
}

static void without_mending(void)
{
    mends = false;
}

static void with_a_lying_disk(void)
{
    qr_sim_disk(host)->lying = true;
}

/* The tests above can fail. */
static void without_mending_or_syncs_logs_are_lost(void **state)
{
    (void)state;
    if (freopen("/dev/null", "w", stderr) == NULL) /* Many sentences. */
        fail();
    assert_true(n_lost((struct world){.seed = 40, .how = QR_SIM_KILL}, 4, without_mending) > 0);
    assert_true(n_lost((struct world){.seed = 50, .how = QR_SIM_POWER}, 4, without_mending) > 0);
    assert_int_equal(n_lost((struct world){.seed = 60, .how = QR_SIM_POWER}, 4, with_a_lying_disk),
                     4);
    qr_sim_disk(host)->lying = false;
}

/* FIRST LAST: these seeds, each with another world. */
static int run_seeds(uint64_t first, uint64_t last)
{
    unsigned lives = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        survive((struct world){.seed = seed,
                               .how = seed % 4 == 0 ? QR_SIM_KILL : QR_SIM_POWER,
                               .harsh = seed % 2 == 0,
                               .async_one_in = seed % 3 == 0 ? 0 : (unsigned)(seed % 3) * 3});
        lives += told.lives;
    }
    printf("%u logs, %u lives, all well\n", (unsigned)(last - first + 1), lives);
    return 0;
}

int main(int argc, char **argv)
{
    qr_sim_world(1, 1700000000 * (int64_t)QR_SIM_S);
    qr_uv_init();
    qr_uv_poll_source(poll_events);
    qr_sim_on_readable(qr_uv_poll_changed);
    host = qr_sim_host_new("member");
    if (argc == 3)
        return run_seeds(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_a_kill),
        cmocka_unit_test(what_was_acknowledged_survives_a_power_cut),
        cmocka_unit_test(what_was_acknowledged_survives_on_a_harsh_disk),
        cmocka_unit_test(what_was_acknowledged_survives_with_asynchronous_writes),
        cmocka_unit_test(what_a_start_found_survives_a_power_cut),
        cmocka_unit_test(what_a_failed_sync_left_in_memory_survives_the_next_start),
        cmocka_unit_test(what_a_start_found_after_a_failed_sync_survives_a_power_cut),
        cmocka_unit_test(without_mending_or_syncs_logs_are_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
