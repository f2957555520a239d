#include "ha-tests/faults.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ha-tests/small_disk.h"

static uint64_t below(struct cell *cell, uint64_t n)
{
    return qr_rng_below(&cell->rng, n);
}

static void note_exit(struct cell *cell, unsigned id, int status)
{
    qr_journal_add(
        &cell->journal, "exit",
        json_pack("{s:i, s:i, s:s}", "member", (int)id, "status", status, "by", "fault"));
}

static void start(struct cell *cell, unsigned id)
{
    cell_start_member(cell, id);
}

/* ---- kill, pause ---- */

static bool begin_kill(struct cell *cell, unsigned id, struct fault_note *note)
{
    struct qr_process *process = &cell->cluster.members[id].process;
    if (!qr_process_alive(process))
        return false;
    (void)note;
    qr_cluster_kill(&cell->cluster, id);
    note_exit(cell, id, SIGKILL);
    cell->members[id].is_down = true;
    return true;
}

static void end_kill(struct cell *cell, unsigned id)
{
    start(cell, id);
}

static bool begin_pause(struct cell *cell, unsigned id, struct fault_note *note)
{
    (void)note;
    if (!qr_cluster_running(&cell->cluster, id))
        return false;
    qr_cluster_pause(&cell->cluster, id);
    return true;
}

static void end_pause(struct cell *cell, unsigned id)
{
    qr_cluster_resume(&cell->cluster, id);
}

/* ---- partition ---- */

enum { CUT_BOTH, CUT_MUTE, CUT_DEAF, CUT_ONE_PEER, CUTS };

static bool begin_partition(struct cell *cell, unsigned id, struct fault_note *note)
{
    static const char *const words[CUTS] = {"nothing passes", "its words do not pass",
                                            "it hears nothing", "one peer is out of reach"};
    struct network *network = cell->options.network;
    unsigned how = (unsigned)below(cell, CUTS);
    bool ok = true;
    for (unsigned peer = 1; peer <= CELL_MEMBERS; peer++) {
        if (peer == id || (how == CUT_ONE_PEER && peer != id % CELL_MEMBERS + 1))
            continue;
        ok = ok && (how == CUT_DEAF || network_cut(network, id, peer, true)) &&
             (how == CUT_MUTE || network_cut(network, peer, id, true));
    }
    snprintf(note->detail, sizeof note->detail, "%s", words[how]);
    return ok;
}

static void end_partition(struct cell *cell, unsigned id)
{
    for (unsigned peer = 1; peer <= CELL_MEMBERS; peer++)
        if (peer != id)
            network_part(cell->options.network, id, peer, false);
}

/* ---- disks ---- */

static void disk_of(const struct cell *cell, unsigned id, char dir[512])
{
    snprintf(dir, 512, "%s/data", cell->cluster.members[id].dir);
}

static bool begin_full(struct cell *cell, unsigned id, struct fault_note *note)
{
    static const uint64_t lefts[] = {0, 0, 2 << 20, 7 << 20};
    uint64_t left = lefts[below(cell, 4)];
    char dir[512];
    disk_of(cell, id, dir);
    snprintf(note->detail, sizeof note->detail, "%u MiB left", (unsigned)(left >> 20));
    return small_disk_fill(dir, left);
}

static void end_full(struct cell *cell, unsigned id)
{
    char dir[512];
    disk_of(cell, id, dir);
    small_disk_free(dir);
}

static bool set_delays(struct cell *cell, unsigned id, uint32_t sync_us, uint32_t write_us)
{
    const uint32_t delays[2] = {sync_us, write_us};
    int fd = open(cell->delay_files[id], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && pwrite(fd, delays, sizeof delays, 0) == (ssize_t)sizeof delays;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool begin_slow(struct cell *cell, unsigned id, struct fault_note *note)
{
    static const uint32_t syncs_ms[] = {30, 100, 300, 1000};
    static const uint32_t writes_ms[] = {0, 0, 2, 20};
    uint32_t sync_ms = syncs_ms[below(cell, 4)], write_ms = writes_ms[below(cell, 4)];
    snprintf(note->detail, sizeof note->detail, "a sync takes %u ms longer, a write %u", sync_ms,
             write_ms);
    return set_delays(cell, id, sync_ms * 1000, write_ms * 1000);
}

static void end_slow(struct cell *cell, unsigned id)
{
    set_delays(cell, id, 0, 0);
}

/* One whose other copies are sound: nobody promises more than that. */
static bool flip_block(struct cell *cell, unsigned id, struct fault_note *note)
{
    const char *dir = cell->cluster.members[id].dir;
    if (!rot_pick_block(&cell->rng, dir, note->file))
        return false;
    for (unsigned i = 0; i < cell->n_rotten; i++)
        if (strcmp(cell->rotten[i].file, note->file) == 0)
            return false;
    rot_block(&cell->rng, dir, note->file, ROT_FLIP, note->detail);
    return true;
}

/* A block file while its member runs; or, if nothing else is wrong and no other kind of fault comes
 * in between, the log of a member that is killed for it: two damaged logs of three are a loss that
 * nobody promises to survive. */
static bool begin_flip(struct cell *cell, unsigned id, struct fault_note *note)
{
    char *detail = note->detail;
    const char *dir = cell->cluster.members[id].dir;
    bool alone = cell->options.kinds[1] == NULL && cell->n_active == 0 && cell_is_well(cell);
    if (!alone || below(cell, 2) == 0) {
        snprintf(note->what, sizeof note->what, "block");
        return flip_block(cell, id, note);
    }
    snprintf(note->what, sizeof note->what, "log");
    begin_kill(cell, id, note);
    if (!rot_log(&cell->rng, dir, detail))
        snprintf(detail, sizeof note->detail, "there was none");
    cell->members[id].is_damaged = true;
    return true;
}

static void end_flip(struct cell *cell, unsigned id)
{
    if (cell->members[id].is_down)
        start(cell, id);
}

/* ---- clock ---- */

const char *fault_clock_library(void)
{
    static const char *const paths[] = {"/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
                                        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
                                        "/usr/lib/faketime/libfaketime.so.1"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    return NULL;
}

/* By rename: libfaketime never reads half of it. */
static bool set_clock(struct cell *cell, unsigned id, const char *offset)
{
    char next[sizeof cell->clock_files[0] + 8];
    snprintf(next, sizeof next, "%s.next", cell->clock_files[id]);
    qr_write_file(next, "%s\n", offset);
    return rename(next, cell->clock_files[id]) == 0;
}

static bool begin_clock(struct cell *cell, unsigned id, struct fault_note *note)
{
    static const char *const offsets[] = {"+3600", "-3600", "+2y", "-2y", "+30", "-30"};
    /* The worst first: a leader for whom all data is too old. */
    const char *offset =
        cell->n_faults == 0 ? "+2y" : offsets[below(cell, sizeof offsets / sizeof *offsets)];
    snprintf(note->what, sizeof note->what, "%s", offset[0] == '-' ? "behind" : "ahead");
    snprintf(note->detail, sizeof note->detail, "%s", offset);
    return set_clock(cell, id, offset);
}

static void end_clock(struct cell *cell, unsigned id)
{
    set_clock(cell, id, "+0");
}

/* ---- members ---- */

/* One loses its disk and is rebuilt: it leaves the group as one and joins it as another.  Only one
 * at a time, of a cluster that is well: two lost disks of three are a loss. */
static bool begin_members(struct cell *cell, unsigned id, struct fault_note *note)
{
    for (unsigned other = 1; other <= CELL_MEMBERS; other++)
        if (cell->members[other].rebuild_ms != 0)
            return false;
    if (!cell_is_well(cell) || !begin_kill(cell, id, note))
        return false;
    snprintf(note->what, sizeof note->what, "replace");
    cell_lose_data(cell, id);
    return true;
}

static void end_members(struct cell *cell, unsigned id)
{
    (void)cell, (void)id; /* The cell goes on until it is a member again. */
}

/* ---- the table ---- */

const struct fault_kind fault_kinds[] = {
    {.name = "kill", .least_ms = 100, .most_ms = 6000, .begin = begin_kill, .end = end_kill},
    {.name = "pause", .least_ms = 500, .most_ms = 8000, .begin = begin_pause, .end = end_pause},
    {.name = "partition",
     .needs_network = true,
     .least_ms = 500,
     .most_ms = 8000,
     .begin = begin_partition,
     .end = end_partition},
    {.name = "full",
     .needs_disks = true,
     .least_ms = 1000,
     .most_ms = 6000,
     .begin = begin_full,
     .end = end_full},
    {.name = "slow",
     .needs_slow_disk = true,
     .least_ms = 1000,
     .most_ms = 6000,
     .begin = begin_slow,
     .end = end_slow},
    {.name = "flip", .least_ms = 500, .most_ms = 1500, .begin = begin_flip, .end = end_flip},
    {.name = "clock",
     .needs_clock = true,
     .least_ms = 1500,
     .most_ms = 6000,
     .begin = begin_clock,
     .end = end_clock},
    {.name = "members",
     .least_ms = 3000,
     .most_ms = 6000,
     .begin = begin_members,
     .end = end_members},
};
const unsigned n_fault_kinds = sizeof fault_kinds / sizeof *fault_kinds;

const struct fault_kind *fault_find(const char *name)
{
    for (unsigned i = 0; i < n_fault_kinds; i++)
        if (strcmp(fault_kinds[i].name, name) == 0)
            return &fault_kinds[i];
    return NULL;
}
