/* Block files merge and become points on a cluster whose windows are of two seconds, while one
 * member is killed and comes back: all members end with the same files, byte by byte, and answer
 * every second of every chart as before. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ha-tests/harness.h"

#define WINDOW_S  2
#define SPAN_S    (36 * WINDOW_S)
#define HISTORY_S (2 * SPAN_S + 6) /* Has a whole span, wherever it begins. */
#define MERGED_MS 90000
#define RETURN_MS 40000
#define SAME_MS   60000
#define FILES_MAX 1024

static struct stage stage;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

struct file {
    char name[80];
    uint64_t hash;
};

struct files {
    unsigned n;
    struct file at[FILES_MAX];
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static uint64_t hash_of(const char *path)
{
    static char bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t n = f != NULL ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f != NULL)
        fclose(f);
    return XXH3_64bits(bytes, n);
}

static void list(unsigned id, struct files *files)
{
    char dir[400], path[512];
    snprintf(dir, sizeof dir, "%s/data/group-1/blocks", stage.cluster.members[id].dir);
    files->n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && files->n < FILES_MAX && (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name);
        if (len < 3 || strcmp(e->d_name + len - 3, ".qb") != 0)
            continue;
        struct file *file = &files->at[files->n++];
        snprintf(file->name, sizeof file->name, "%.79s", e->d_name);
        snprintf(path, sizeof path, "%s/%.79s", dir, e->d_name);
        file->hash = hash_of(path);
    }
    if (d != NULL)
        closedir(d);
    qsort(files->at, files->n, sizeof files->at[0], compare);
}

/* Files of a tier that are of a whole span. */
static unsigned n_merged(const struct files *files, unsigned tier)
{
    char of_tier[8], length[16];
    unsigned n = 0;
    snprintf(of_tier, sizeof of_tier, "-t%u-", tier);
    snprintf(length, sizeof length, "-w%d-", SPAN_S);
    for (unsigned i = 0; i < files->n; i++)
        n +=
            strstr(files->at[i].name, of_tier) != NULL && strstr(files->at[i].name, length) != NULL;
    return n;
}

static struct files files[QR_CLUSTER_MEMBERS_MAX + 1];

static bool one_has_merged(void *data)
{
    (void)data;
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        list(id, &files[id]);
        if (n_merged(&files[id], 0) != 0)
            return true;
    }
    return false;
}

/* Seen at one moment or other: merges go on while time passes. */
static bool all_have_the_same(void *data)
{
    (void)data;
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        list(id, &files[id]);
        if (n_merged(&files[id], 0) == 0 || n_merged(&files[id], 1) == 0 ||
            files[id].n != files[1].n ||
            memcmp(files[id].at, files[1].at, files[1].n * sizeof files[1].at[0]) != 0)
            return false;
    }
    return true;
}

static void members_merge_alike(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "merge",
        .n_hosts = 3,
        .history_s = HISTORY_S,
        .cluster = {.window_s = WINDOW_S, .snapshot_threshold = 64, .snapshot_trailing = 32}};
    stage_up(&stage, &options);
    expect(&stage, qr_wait_for(one_has_merged, NULL, MERGED_MS, 200));
    unsigned leader = qr_cluster_wait_leader(&stage.cluster, RETURN_MS);
    expect(&stage, leader != 0);
    stage_fault(&stage);
    qr_cluster_kill(&stage.cluster, leader);
    expect(&stage, qr_cluster_start(&stage.cluster, leader) == 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    stage_wait_live(&stage, RETURN_MS);
    int64_t to_s = (int64_t)(qr_real_ms() / 1000);
    stage_check(&stage);
    expect(&stage, qr_wait_for(all_have_the_same, NULL, SAME_MS, 300));
    print_message("ha merge: %u files, %u merged, %u of points, the same on all members\n",
                  files[1].n, n_merged(&files[1], 0), n_merged(&files[1], 1));
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        struct qr_verify result = {0};
        stage_verify_member(&stage, id, to_s, &result);
        expect(&stage, qr_verify_ok(&result));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(members_merge_alike, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
