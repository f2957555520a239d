#include "testing/sim/tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#define ROOT_PATH     "/sim"
#define ROOT_BYTES    4u
#define COMMIT_NS     (5 * QR_SIM_S)  /* ext4 commits its journal every so often by itself. */
#define HARSH_KEEP_NS (30 * QR_SIM_S) /* Nothing stays unwritten for longer. */

enum kind { LINK, UNLINK, RENAME, RESIZE };

struct change {
    struct qr_list node;
    enum kind kind;
    uint64_t at_ns;
    struct qr_sim_node *folder, *what; /* LINK, UNLINK; RENAME: to there. */
    struct qr_sim_node *from_folder, *replaced;
    uint64_t size;
    char name[QR_SIM_NAME_BYTES_MAX + 1], from_name[QR_SIM_NAME_BYTES_MAX + 1];
};

static struct qr_sim_tree *trees[QR_SIM_HOSTS_MAX + 1]; /* By the host's id. */

static void *must(void *memory)
{
    assert(memory != NULL);
    return memory;
}

/* ---- nodes ---- */

struct qr_sim_node *qr_sim_node_new(struct qr_sim_tree *tree, bool folder, unsigned mode)
{
    struct qr_sim_node *node = must(calloc(1, sizeof *node));
    node->tree = tree;
    node->ino = ++tree->n_inos;
    node->folder = folder;
    node->mode = mode;
    node->n_refs = 1;
    node->changed_ns = qr_sim_real_ns();
    qr_sim_pages_init(&node->pages);
    qr_map_init(&node->names);
    qr_list_add_tail(&tree->nodes, &node->node);
    return node;
}

void qr_sim_node_hold(struct qr_sim_node *node)
{
    if (node != NULL)
        node->n_refs++;
}

void qr_sim_node_drop(struct qr_sim_node *node)
{
    if (node == NULL || --node->n_refs > 0)
        return;
    size_t at = 0;
    for (struct qr_sim_name *name; (name = qr_map_next(&node->names, &at)) != NULL;) {
        name->node->n_links--;
        qr_sim_node_drop(name->node);
        free(name);
    }
    qr_map_release(&node->names);
    node->tree->disk.used_bytes -= qr_sim_pages_used(&node->pages);
    qr_sim_pages_release(&node->pages);
    qr_list_remove(&node->node);
    free(node);
}

void qr_sim_account(struct qr_sim_node *node, uint64_t used_before)
{
    node->tree->disk.used_bytes += qr_sim_pages_used(&node->pages) - used_before;
    node->changed_ns = qr_sim_real_ns();
}

/* ---- names ---- */

static struct qr_sim_node *get(const struct qr_sim_node *folder, const char *name)
{
    const struct qr_sim_name *found = qr_map_get(&folder->names, qr_slice_str(name));
    return found != NULL ? found->node : NULL;
}

static void clear_name(struct qr_sim_node *folder, const char *text)
{
    struct qr_sim_name *name = qr_map_remove(&folder->names, qr_slice_str(text));
    if (name == NULL)
        return;
    name->node->n_links--;
    qr_sim_node_drop(name->node);
    free(name);
    folder->changed_ns = qr_sim_real_ns();
}

static void set_name(struct qr_sim_node *folder, const char *text, struct qr_sim_node *node)
{
    node->n_links++;
    qr_sim_node_hold(node);
    clear_name(folder, text);
    struct qr_sim_name *name = must(calloc(1, sizeof *name));
    name->node = node;
    name->len = strlen(text);
    assert(name->len <= QR_SIM_NAME_BYTES_MAX);
    memcpy(name->text, text, name->len + 1);
    int err = qr_map_set(&folder->names, qr_slice_of(name->text, name->len), name);
    assert(err == 0);
    (void)err;
    if (node->folder)
        node->parent = folder;
    folder->changed_ns = qr_sim_real_ns();
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct qr_sim_name *)a)->text, ((const struct qr_sim_name *)b)->text);
}

struct qr_sim_name *qr_sim_names(const struct qr_sim_node *folder, size_t *n)
{
    struct qr_sim_name *names = must(calloc(folder->names.n + 1, sizeof *names));
    size_t at = 0, got = 0;
    for (struct qr_sim_name *name; (name = qr_map_next(&folder->names, &at)) != NULL;)
        names[got++] = *name;
    qsort(names, got, sizeof *names, by_text);
    /* Nobody may count on the order of the alphabet. */
    struct qr_rng rng;
    qr_rng_seed(&rng, folder->ino + got);
    for (size_t i = got; i > 1; i--) {
        size_t j = (size_t)qr_rng_below(&rng, i);
        struct qr_sim_name swapped = names[j];
        names[j] = names[i - 1];
        names[i - 1] = swapped;
    }
    *n = got;
    return names;
}

/* ---- the journal ---- */

static void free_change(struct change *change)
{
    qr_list_remove(&change->node);
    qr_sim_node_drop(change->folder);
    qr_sim_node_drop(change->what);
    qr_sim_node_drop(change->from_folder);
    qr_sim_node_drop(change->replaced);
    free(change);
}

static void commit_change(struct change *change)
{
    if (change->kind == RESIZE)
        qr_sim_pages_commit_size(&change->what->pages, change->size);
    free_change(change);
}

static void commit_older(struct qr_sim_tree *tree)
{
    uint64_t keep_ns = tree->disk.harsh ? HARSH_KEEP_NS : COMMIT_NS, now_ns = qr_sim_now_ns();
    while (!tree->disk.lying && !qr_list_empty(&tree->journal)) {
        struct change *oldest = QR_CONTAINER_OF(tree->journal.next, struct change, node);
        if (now_ns - oldest->at_ns <= keep_ns)
            break;
        commit_change(oldest);
    }
}

static void record(struct qr_sim_tree *tree, struct change change)
{
    commit_older(tree);
    struct change *kept = must(malloc(sizeof *kept));
    *kept = change;
    kept->at_ns = qr_sim_now_ns();
    qr_sim_node_hold(change.folder);
    qr_sim_node_hold(change.what);
    qr_sim_node_hold(change.from_folder);
    qr_sim_node_hold(change.replaced);
    qr_list_init(&kept->node);
    qr_list_add_tail(&tree->journal, &kept->node);
}

static struct change change_of(enum kind kind, struct qr_sim_node *folder, const char *name,
                               struct qr_sim_node *what)
{
    struct change change = {.kind = kind, .folder = folder, .what = what};
    size_t len = strlen(name);
    assert(len <= QR_SIM_NAME_BYTES_MAX);
    memcpy(change.name, name, len + 1);
    return change;
}

void qr_sim_link(struct qr_sim_node *folder, const char *name, struct qr_sim_node *node)
{
    record(folder->tree, change_of(LINK, folder, name, node));
    set_name(folder, name, node);
}

void qr_sim_unlink(struct qr_sim_node *folder, const char *name)
{
    record(folder->tree, change_of(UNLINK, folder, name, get(folder, name)));
    clear_name(folder, name);
}

void qr_sim_rename(const struct qr_sim_place *from, const struct qr_sim_place *to)
{
    struct change change = change_of(RENAME, to->folder, to->name, from->node);
    memcpy(change.from_name, from->name, sizeof change.from_name);
    change.from_folder = from->folder;
    change.replaced = to->node;
    record(to->folder->tree, change);
    clear_name(from->folder, from->name); /* The journal holds the node. */
    set_name(to->folder, to->name, from->node);
}

void qr_sim_resize(struct qr_sim_node *node, uint64_t size)
{
    if (size == node->pages.size)
        return;
    struct change change = {.kind = RESIZE, .what = node, .size = size};
    record(node->tree, change);
    uint64_t before = qr_sim_pages_used(&node->pages);
    qr_sim_pages_resize(&node->pages, size);
    qr_sim_account(node, before);
}

void qr_sim_reserve(struct qr_sim_node *node, uint64_t bytes, bool grows)
{
    uint64_t before = qr_sim_pages_used(&node->pages);
    qr_sim_pages_reserve(&node->pages, bytes);
    qr_sim_account(node, before);
    if (grows && bytes > node->pages.size)
        qr_sim_resize(node, bytes);
}

static bool is_in_journal(const struct qr_sim_node *node)
{
    QR_LIST_FOREACH (at, &node->tree->journal)
        if (QR_CONTAINER_OF(at, struct change, node)->what == node)
            return true;
    return false;
}

bool qr_sim_node_is_durable(const struct qr_sim_node *node)
{
    commit_older(node->tree);
    return node->pages.n_changed == 0 && node->pages.size == node->pages.durable_size &&
           !is_in_journal(node);
}

/* What POSIX promises of this sync: names of the folder, the size of the file. */
static bool is_promised(const struct change *change, const struct qr_sim_node *synced)
{
    return change->folder == synced || change->from_folder == synced ||
           (change->kind == RESIZE && change->what == synced);
}

void qr_sim_commit(struct qr_sim_node *node, bool data_only)
{
    struct qr_sim_tree *tree = node->tree;
    if (tree->disk.lying || node->unsynced) {
        tree->disk.n.lost_syncs++;
        return;
    }
    commit_older(tree);
    bool grew = node->pages.size != node->pages.durable_size;
    bool whole = !tree->disk.harsh && (node->folder || !data_only || grew || is_in_journal(node));
    QR_LIST_FOREACH (at, &tree->journal) {
        struct change *change = QR_CONTAINER_OF(at, struct change, node);
        if (whole || is_promised(change, node))
            commit_change(change);
    }
    if (!node->folder)
        qr_sim_pages_sync(&node->pages);
}

/* ---- the power cut ---- */

static void undo(struct change *change)
{
    if (change->kind == LINK && get(change->folder, change->name) == change->what) {
        clear_name(change->folder, change->name);
    } else if (change->kind == UNLINK) {
        set_name(change->folder, change->name, change->what);
    } else if (change->kind == RENAME) {
        if (change->replaced != NULL)
            set_name(change->folder, change->name, change->replaced);
        else
            clear_name(change->folder, change->name);
        set_name(change->from_folder, change->from_name, change->what);
    }
}

static void redo(struct change *change)
{
    if (change->kind == LINK) {
        set_name(change->folder, change->name, change->what);
    } else if (change->kind == UNLINK && get(change->folder, change->name) == change->what) {
        clear_name(change->folder, change->name);
    } else if (change->kind == RENAME) {
        if (get(change->from_folder, change->from_name) == change->what)
            clear_name(change->from_folder, change->from_name);
        set_name(change->folder, change->name, change->what);
    }
}

static size_t length(const struct qr_list *list)
{
    size_t n = 0;
    for (const struct qr_list *at = list->next; at != list; at = at->next)
        n++;
    return n;
}

/* Which changes survive. */
struct luck {
    struct qr_rng *rng;
    uint64_t n_left; /* Of an orderly disk: so many. */
    unsigned one_in; /* Of a harsh one: it ends with one of so many; 0: never. */
};

static bool ends_here(struct luck *luck)
{
    return luck->one_in != 0 && qr_rng_below(luck->rng, luck->one_in) == 0;
}

static bool survives(const struct change *change, struct luck *luck, bool harsh)
{
    if (!harsh)
        return luck->n_left > 0 && luck->n_left-- > 0;
    if (change->kind == RESIZE)
        return !ends_here(luck);
    struct qr_sim_node *from = change->from_folder != NULL ? change->from_folder : change->folder;
    if (!change->folder->stopped && !from->stopped && !ends_here(luck))
        return true;
    change->folder->stopped = from->stopped = true;
    return false;
}

/* All is undone, and then done again what survived: so it works for both kinds of disks. */
static void cut_names(struct qr_sim_tree *tree)
{
    size_t n = length(&tree->journal);
    struct luck luck = {.rng = &tree->rng,
                        .n_left = qr_rng_below(&tree->rng, n + 1),
                        .one_in = (unsigned)qr_rng_below(&tree->rng, 4)};
    for (struct qr_list *at = tree->journal.prev; at != &tree->journal; at = at->prev)
        undo(QR_CONTAINER_OF(at, struct change, node));
    QR_LIST_FOREACH (node, &tree->nodes)
        QR_CONTAINER_OF(node, struct qr_sim_node, node)->stopped = false;
    QR_LIST_FOREACH (at, &tree->journal) {
        struct change *change = QR_CONTAINER_OF(at, struct change, node);
        if (survives(change, &luck, tree->disk.harsh)) {
            redo(change);
            commit_change(change);
        } else {
            tree->disk.n.lost_names += change->kind != RESIZE;
            free_change(change);
        }
    }
}

void qr_sim_tree_cut(struct qr_sim_tree *tree)
{
    tree->disk.n.power_cuts++;
    commit_older(tree);
    cut_names(tree);
    QR_LIST_FOREACH (at, &tree->nodes) {
        struct qr_sim_node *node = QR_CONTAINER_OF(at, struct qr_sim_node, node);
        if (node->folder)
            continue;
        uint64_t before = qr_sim_pages_used(&node->pages);
        qr_sim_pages_cut(&node->pages, &tree->rng);
        qr_sim_account(node, before);
    }
}

/* ---- trees ---- */

static void plant_root(struct qr_sim_tree *tree)
{
    tree->root = qr_sim_node_new(tree, true, 0755);
    tree->root->parent = tree->root;
    tree->root->n_links = 1;
}

struct qr_sim_tree *qr_sim_tree_known(const struct qr_sim_host *host)
{
    return trees[host->id];
}

struct qr_sim_tree *qr_sim_tree(struct qr_sim_host *host)
{
    struct qr_sim_tree *tree = trees[host->id];
    if (tree != NULL)
        return tree;
    tree = must(calloc(1, sizeof *tree));
    trees[host->id] = tree;
    tree->host = host;
    tree->disk.slow_percent = 100;
    qr_list_init(&tree->nodes);
    qr_list_init(&tree->journal);
    qr_rng_seed(&tree->rng, qr_sim_below(UINT64_MAX));
    plant_root(tree);
    return tree;
}

void qr_sim_tree_wipe(struct qr_sim_tree *tree)
{
    while (!qr_list_empty(&tree->journal))
        free_change(QR_CONTAINER_OF(tree->journal.next, struct change, node));
    qr_sim_node_drop(tree->root);
    assert(qr_list_empty(&tree->nodes));
    assert(tree->disk.used_bytes == 0);
    plant_root(tree);
}

/* ---- paths ---- */

bool qr_sim_is_path(const char *path)
{
    return strncmp(path, ROOT_PATH, ROOT_BYTES) == 0 &&
           (path[ROOT_BYTES] == '/' || path[ROOT_BYTES] == '\0');
}

/* One step of the way: `place` is of a folder so far. */
static int step(struct qr_sim_place *place, const char *name, size_t len)
{
    struct qr_sim_node *at = place->node;
    if (at == NULL)
        return -ENOENT;
    if (!at->folder)
        return -ENOTDIR;
    if (len > QR_SIM_NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    if (len == 1 && name[0] == '.')
        return 0;
    if (len == 2 && name[0] == '.' && name[1] == '.') {
        *place = (struct qr_sim_place){.node = at->parent};
        return 0;
    }
    place->folder = at;
    memcpy(place->name, name, len);
    place->name[len] = '\0';
    place->node = get(at, place->name);
    return 0;
}

int qr_sim_walk(struct qr_sim_tree *tree, struct qr_sim_node *from, const char *path,
                struct qr_sim_place *place)
{
    *place = (struct qr_sim_place){.node = from};
    if (*path == '/') {
        if (!qr_sim_is_path(path))
            return -ENOENT;
        path += ROOT_BYTES;
        place->node = tree->root;
    }
    while (*path != '\0') {
        size_t n_slashes = strspn(path, "/");
        path += n_slashes;
        size_t len = strcspn(path, "/");
        place->wants_folder = n_slashes > 0 && len == 0;
        if (len == 0)
            break;
        int err = step(place, path, len);
        if (err != 0)
            return err;
        path += len;
    }
    if (place->wants_folder && place->node != NULL && !place->node->folder)
        return -ENOTDIR;
    return 0;
}
