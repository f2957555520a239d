#include "ha-tests/rot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* A file of the folder that the picture fits, by chance; or the last in alphabet. */
static bool pick_file(struct qr_rng *rng, const char *dir, bool (*fits)(const char *name),
                      bool last, char path[PATH_BYTES])
{
    DIR *open_dir = opendir(dir);
    struct dirent *entry;
    char best[256] = "";
    uint64_t n = 0;
    while (open_dir != NULL && (entry = readdir(open_dir)) != NULL) {
        if (!fits(entry->d_name))
            continue;
        n++;
        if (last ? strcmp(entry->d_name, best) > 0 : qr_rng_below(rng, n) == 0)
            snprintf(best, sizeof best, "%s", entry->d_name);
    }
    if (open_dir != NULL)
        closedir(open_dir);
    snprintf(path, PATH_BYTES, "%s/%s", dir, best);
    return n > 0;
}

static bool is_block(const char *name)
{
    return ends_with(name, ".qb");
}

static bool is_open_segment(const char *name)
{
    return strncmp(name, "open-", 5) == 0;
}

static bool is_closed_segment(const char *name)
{
    return name[0] == '0' && strchr(name, '-') != NULL;
}

static bool is_snapshot(const char *name)
{
    return strncmp(name, "snapshot-", 9) == 0 && !ends_with(name, ".meta");
}

static bool is_snapshot_meta(const char *name)
{
    return strncmp(name, "snapshot-", 9) == 0 && ends_with(name, ".meta");
}

static void flip(struct qr_rng *rng, const char *path, uint64_t within)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    uint64_t size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (within != 0 && within < size)
        size = within;
    off_t at = size > 0 ? (off_t)qr_rng_below(rng, size) : 0;
    unsigned char byte = 0;
    if (size > 0 && pread(fd, &byte, 1, at) == 1) {
        byte ^= (unsigned char)(1u << qr_rng_below(rng, 8));
        if (pwrite(fd, &byte, 1, at) != 1)
            perror("pwrite");
    }
    close(fd);
}

static void cut(struct qr_rng *rng, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 &&
        truncate(path, st.st_size > 0 ? (off_t)qr_rng_below(rng, (uint64_t)st.st_size) : 0) != 0)
        perror("truncate");
}

static void damage(struct qr_rng *rng, const char *path, enum rot_how how, uint64_t within)
{
    if (how == ROT_FLIP)
        flip(rng, path, within);
    else if (how == ROT_CUT)
        cut(rng, path);
    else
        unlink(path);
}

bool rot_pick_block(struct qr_rng *rng, const char *member_dir, char name[ROT_NAME_BYTES])
{
    char dir[512], path[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s/data/group-1/blocks", member_dir);
    if (!pick_file(rng, dir, is_block, false, path))
        return false;
    snprintf(name, ROT_NAME_BYTES, "%s", strrchr(path, '/') + 1);
    return true;
}

void rot_block(struct qr_rng *rng, const char *member_dir, const char *name, enum rot_how how,
               char what[ROT_WHAT_BYTES])
{
    static const char *const words[] = {"a bit flipped", "cut", "removed"};
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/data/group-1/blocks/%s", member_dir, name);
    damage(rng, path, how, 0);
    snprintf(what, ROT_WHAT_BYTES, "block file %s: %s", name, words[how]);
}

bool rot_log(struct qr_rng *rng, const char *member_dir, char what[ROT_WHAT_BYTES])
{
    static const struct {
        const char *what;
        bool (*fits)(const char *name);
        enum rot_how how;
        uint64_t within;
    } ways[] = {
        {"open segment, a bit flipped", is_open_segment, ROT_FLIP, 20000},
        {"open segment cut", is_open_segment, ROT_CUT, 0},
        {"closed segment, a bit flipped", is_closed_segment, ROT_FLIP, 0},
        {"closed segment cut", is_closed_segment, ROT_CUT, 0},
        {"snapshot, a bit flipped", is_snapshot, ROT_FLIP, 0},
        {"snapshot cut", is_snapshot, ROT_CUT, 0},
        {"snapshot's meta removed", is_snapshot_meta, ROT_REMOVE, 0},
        {"snapshot's meta, a bit flipped", is_snapshot_meta, ROT_FLIP, 0},
    };
    char dir[512], path[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s/data/group-1/log", member_dir);
    size_t way = (size_t)qr_rng_below(rng, sizeof ways / sizeof *ways);
    if (!pick_file(rng, dir, ways[way].fits, true, path))
        return false;
    damage(rng, path, ways[way].how, ways[way].within);
    snprintf(what, ROT_WHAT_BYTES, "%s (%.240s)", ways[way].what, strrchr(path, '/') + 1);
    return true;
}
