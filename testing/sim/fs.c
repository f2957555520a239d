#include "testing/sim/fs.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/sim/fd.h"
#include "testing/sim/tree.h"

struct qr_sim_disk *qr_sim_disk(struct qr_sim_host *host)
{
    return &qr_sim_tree(host)->disk;
}

void qr_sim_disk_crash_at(struct qr_sim_host *host, uint64_t n, enum qr_sim_when when,
                          enum qr_sim_down how)
{
    struct qr_sim_tree *tree = qr_sim_tree(host);
    tree->crash_at = n == 0 ? 0 : tree->disk.n.calls + n;
    tree->crash_when = when;
    tree->crash_how = how;
}

void qr_sim_disk_power_cut(struct qr_sim_host *host)
{
    assert(!host->up);
    qr_sim_tree_cut(qr_sim_tree(host));
}

void qr_sim_disk_wipe(struct qr_sim_host *host)
{
    assert(!host->up);
    qr_sim_tree_wipe(qr_sim_tree(host));
}

/* ---- reading from outside ---- */

static const struct qr_sim_node *find_file(struct qr_sim_host *host, const char *path)
{
    struct qr_sim_tree *tree = qr_sim_tree(host);
    struct qr_sim_place place;
    if (qr_sim_walk(tree, NULL, path, &place) != 0 || place.node == NULL || place.node->folder)
        return NULL;
    return place.node;
}

bool qr_sim_disk_is_durable(struct qr_sim_host *host, const char *path)
{
    const struct qr_sim_node *node = find_file(host, path);
    return node != NULL && qr_sim_node_is_durable(node);
}

ssize_t qr_sim_disk_read(struct qr_sim_host *host, const char *path, uint64_t offset, void *bytes,
                         size_t len)
{
    const struct qr_sim_node *node = find_file(host, path);
    return node == NULL ? -ENOENT : (ssize_t)qr_sim_pages_read(&node->pages, offset, bytes, len);
}

int64_t qr_sim_disk_size(struct qr_sim_host *host, const char *path)
{
    const struct qr_sim_node *node = find_file(host, path);
    return node == NULL ? -ENOENT : (int64_t)node->pages.size;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct qr_sim_name *)a)->text, ((const struct qr_sim_name *)b)->text);
}

static void walk_folder(const struct qr_sim_node *folder, const char *path,
                        void (*each)(void *data, const char *path, uint64_t size), void *data)
{
    size_t n;
    struct qr_sim_name *names = qr_sim_names(folder, &n);
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        char below[1024];
        snprintf(below, sizeof below, "%s/%s", path, names[i].text);
        if (names[i].node->folder)
            walk_folder(names[i].node, below, each, data);
        else
            each(data, below, names[i].node->pages.size);
    }
    free(names);
}

void qr_sim_disk_walk(struct qr_sim_host *host, const char *dir,
                      void (*each)(void *data, const char *path, uint64_t size), void *data)
{
    struct qr_sim_place place;
    if (qr_sim_walk(qr_sim_tree(host), NULL, dir, &place) == 0 && place.node != NULL &&
        place.node->folder)
        walk_folder(place.node, dir, each, data);
}

static struct qr_sim_node *make(struct qr_sim_place *place, bool folder)
{
    struct qr_sim_node *node = qr_sim_node_new(place->folder->tree, folder, folder ? 0755 : 0644);
    qr_sim_link(place->folder, place->name, node);
    qr_sim_node_drop(node);
    qr_sim_commit(place->folder, false);
    return node;
}

void qr_sim_disk_put(struct qr_sim_host *host, const char *path, const void *bytes, size_t len)
{
    struct qr_sim_tree *tree = qr_sim_tree(host);
    struct qr_sim_place place;
    char folder[1024];
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        int err = qr_sim_walk(tree, NULL, folder, &place);
        assert(err == 0);
        (void)err;
        if (place.node == NULL)
            make(&place, true);
    }
    int err = qr_sim_walk(tree, NULL, path, &place);
    assert(err == 0);
    (void)err;
    struct qr_sim_node *node = place.node != NULL ? place.node : make(&place, false);
    qr_sim_resize(node, 0);
    uint64_t before = qr_sim_pages_used(&node->pages);
    qr_sim_pages_write(&node->pages, 0, bytes, len);
    qr_sim_account(node, before);
    qr_sim_commit(node, false);
}

/* ---- flipped bits ---- */

static struct {
    struct qr_sim_flip *all;
    size_t n, capacity;
} flips;

struct choice {
    const char *pattern;
    uint64_t from, n; /* How many match so far. */
    struct qr_rng *rng;
    struct qr_sim_flip flip;
    uint64_t size;
};

static void consider(void *data, const char *path, uint64_t size)
{
    struct choice *choice = data;
    if (size <= choice->from || fnmatch(choice->pattern, path, 0) != 0)
        return;
    if (qr_rng_below(choice->rng, ++choice->n) != 0)
        return;
    choice->size = size;
    snprintf(choice->flip.path, sizeof choice->flip.path, "%s", path);
}

static void keep_flip(const struct qr_sim_flip *flip)
{
    if (flips.n == flips.capacity) {
        flips.capacity = flips.capacity == 0 ? 16 : 2 * flips.capacity;
        flips.all = realloc(flips.all, flips.capacity * sizeof *flips.all);
        assert(flips.all != NULL);
    }
    flips.all[flips.n++] = *flip;
}

bool qr_sim_disk_flip(struct qr_sim_host *host, const char *pattern, uint64_t from, uint64_t to)
{
    struct qr_sim_tree *tree = qr_sim_tree(host);
    struct choice choice = {.pattern = pattern, .from = from, .rng = &tree->rng};
    qr_sim_disk_walk(host, "/sim", consider, &choice);
    if (choice.n == 0)
        return false;
    struct qr_sim_flip *flip = &choice.flip;
    flip->host = host;
    flip->at_ns = qr_sim_now_ns();
    to = to != 0 && to < choice.size ? to : choice.size;
    flip->offset = from + qr_rng_below(&tree->rng, to - from);
    flip->bit = (unsigned)qr_rng_below(&tree->rng, 8);
    struct qr_sim_place place;
    int err = qr_sim_walk(tree, NULL, flip->path, &place);
    assert(err == 0);
    (void)err;
    uint64_t before = qr_sim_pages_used(&place.node->pages);
    qr_sim_pages_flip(&place.node->pages, flip->offset, flip->bit);
    tree->disk.used_bytes += qr_sim_pages_used(&place.node->pages) - before;
    tree->disk.n.flips++;
    keep_flip(flip);
    return true;
}

const struct qr_sim_flip *qr_sim_disk_flipped(size_t i)
{
    return i < flips.n ? &flips.all[i] : NULL;
}
