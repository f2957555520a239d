/* Files of one member rot: sealed blocks while it is down and while it runs, then its log.  What is
 * damaged is never served; blocks come back from the other members, a damaged log stops its member
 * with a word about it, and the others go on. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ha-tests/harness.h"

#define HISTORY_S  100 /* So that a window of a minute is over soon. */
#define WINDOW_S   60
#define SEALED_MS  120000
#define RETURN_MS  60000
#define REFETCH_MS 60000
#define SAYS_MS    30000
#define FILES_MAX  64

static struct stage stage;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

struct files {
    char paths[FILES_MAX][512];
    unsigned n;
};

/* Plain files of a folder of the member's data whose names begin so. */
static struct files list_files(unsigned id, const char *folder, const char *start)
{
    struct files files = {.n = 0};
    char dir[400];
    snprintf(dir, sizeof dir, "%s/data/group-1/%s", stage.cluster.members[id].dir, folder);
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && files.n < FILES_MAX && (e = readdir(d)) != NULL;)
        if (e->d_type == DT_REG && strncmp(e->d_name, start, strlen(start)) == 0 &&
            strstr(e->d_name, ".tmp") == NULL)
            snprintf(files.paths[files.n++], sizeof *files.paths, "%s/%.100s", dir, e->d_name);
    if (d != NULL)
        closedir(d);
    return files;
}

static bool all_have_blocks(void *data)
{
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        if (list_files(id, "blocks", "").n == 0)
            return false;
    return true;
}

static off_t size_of(const char *path)
{
    struct stat st;
    expect(&stage, stat(path, &st) == 0);
    return st.st_size;
}

/* Turns one bit; a second time turns it back. */
static void flip(const char *path, off_t at)
{
    char byte;
    int fd = open(path, O_RDWR);
    expect(&stage, fd >= 0);
    expect(&stage, pread(fd, &byte, 1, at) == 1);
    byte = (char)(byte ^ 0x10);
    expect(&stage, pwrite(fd, &byte, 1, at) == 1);
    expect(&stage, fsync(fd) == 0);
    close(fd);
}

/* Does a line of the member's log that was written after byte `from` have all of these? */
static bool log_says(unsigned id, long from, const char *a, const char *b)
{
    char line[2048];
    bool found = false;
    FILE *file = fopen(stage.cluster.members[id].process.log, "r");
    expect(&stage, file != NULL);
    fseek(file, from, SEEK_SET);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, a) != NULL && strstr(line, b) != NULL;
    fclose(file);
    if (found)
        print_message("ha damage: %s", line);
    return found;
}

struct log_line {
    unsigned id;
    long from;
    const char *a, *b;
};

static bool is_said(void *data)
{
    const struct log_line *line = data;
    return log_says(line->id, line->from, line->a, line->b);
}

/* What a reader met is reported by the member's next beat. */
static bool log_comes_to_say(unsigned id, long from, const char *a, const char *b)
{
    return qr_wait_for(is_said, &(struct log_line){id, from, a, b}, SAYS_MS, 100);
}

static long log_end(unsigned id)
{
    return (long)size_of(stage.cluster.members[id].process.log);
}

static bool has_all_blocks(void *data)
{
    json_t *status = qr_cluster_status(&stage.cluster, *(unsigned *)data);
    const json_t *counters = json_object_get(status, "counters");
    const json_t *missing = json_object_get(counters, "missing_blocks");
    bool none = json_is_integer(missing) && json_integer_value(missing) == 0;
    json_decref(status);
    return none;
}

static void come_back(unsigned id)
{
    expect(&stage, qr_cluster_start(&stage.cluster, id) == 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
}

static void rot_blocks_of_a_member_that_is_down(unsigned victim)
{
    qr_cluster_kill(&stage.cluster, victim);
    struct files blocks = list_files(victim, "blocks", "");
    long from = log_end(victim);
    /* The first is missed at the start; pages that rot, when they are read. */
    expect(&stage, truncate(blocks.paths[0], size_of(blocks.paths[0]) / 2) == 0);
    for (unsigned i = 1; i < blocks.n; i++)
        flip(blocks.paths[i], size_of(blocks.paths[i]) / 2);
    come_back(victim);
    expect(&stage, qr_wait_for(has_all_blocks, &victim, REFETCH_MS, 100));
    expect(&stage, log_comes_to_say(victim, from, "fetching a block file", ""));
}

static void rot_a_block_of_a_running_member(unsigned victim)
{
    struct files blocks = list_files(victim, "blocks", "");
    unsigned largest = 0; /* The first may hold only seconds that the check does not ask for. */
    expect(&stage, blocks.n > 0);
    for (unsigned i = 1; i < blocks.n; i++)
        if (size_of(blocks.paths[i]) > size_of(blocks.paths[largest]))
            largest = i;
    for (off_t at = 1; at < 10; at++)
        flip(blocks.paths[largest], size_of(blocks.paths[largest]) * at / 10);
}

/* Either the library notices at start and the member says so and ends, or what is damaged was not
 * needed any more; then it must be as right as the others. */
static void rot_the_log(unsigned victim)
{
    qr_cluster_kill(&stage.cluster, victim);
    struct files segments = list_files(victim, "log", "0");
    expect(&stage, segments.n > 0);
    const char *path = segments.paths[0];
    off_t at = size_of(path) / 2;
    long from = log_end(victim);
    flip(path, at);
    expect(&stage, qr_cluster_start(&stage.cluster, victim) == 0);
    if (qr_process_wait(&stage.cluster.members[victim].process, 5000)) {
        expect(&stage, WIFEXITED(stage.cluster.members[victim].process.status));
        expect(&stage, WEXITSTATUS(stage.cluster.members[victim].process.status) == 1);
        /* A count of entries is looked at before its checksum. */
        expect(&stage, log_says(victim, from, " error ", "checksum") ||
                           log_says(victim, from, " error ", "preamble"));
        expect(&stage, qr_cluster_wait_leader(&stage.cluster, RETURN_MS) != 0);
        flip(path, at);
        come_back(victim);
    } else {
        print_message("ha damage: the damaged segment was not needed\n");
    }
}

struct snapshots {
    unsigned id;
    int64_t n;
};

static int64_t n_snapshots(unsigned id)
{
    json_t *status = qr_cluster_status(&stage.cluster, id);
    const json_t *counters = json_object_get(status, "counters");
    int64_t n = json_integer_value(json_object_get(counters, "snapshots"));
    json_decref(status);
    return n;
}

static bool has_two_more(void *data)
{
    const struct snapshots *s = data;
    return n_snapshots(s->id) >= s->n + 2;
}

static void damaged_files_are_never_served(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "damage",
        .n_hosts = 3,
        .first_not_leader = 1,
        .history_s = HISTORY_S,
        .cluster = {.window_s = WINDOW_S, .snapshot_threshold = 64, .snapshot_trailing = 32}};
    stage_up(&stage, &options);
    expect(&stage, qr_wait_for(all_have_blocks, NULL, SEALED_MS, 500));
    unsigned leader = qr_cluster_wait_leader(&stage.cluster, RETURN_MS), victim = leader % 3 + 1;
    expect(&stage, leader != 0);
    /* From now on the victim's manifest names them, not only its log. */
    struct snapshots snapshots = {victim, n_snapshots(victim)};
    expect(&stage, qr_wait_for(has_two_more, &snapshots, SEALED_MS, 100));
    stage_fault(&stage);
    rot_blocks_of_a_member_that_is_down(victim);
    stage_check(&stage);
    stage_wake_children(&stage);
    long from = log_end(victim);
    rot_a_block_of_a_running_member(victim);
    stage_check(&stage);
    /* Reading for the check found it and named it; it came back from a peer. */
    expect(&stage, log_comes_to_say(victim, from, "a block file is bad", "failed its checksum"));
    expect(&stage, log_comes_to_say(victim, from, "fetching a block file", ""));
    expect(&stage, qr_wait_for(has_all_blocks, &victim, REFETCH_MS, 100));
    stage_wake_children(&stage);
    rot_the_log(victim);
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(damaged_files_are_never_served, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
