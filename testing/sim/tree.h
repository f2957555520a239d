/* testing/sim/tree.h — files and folders of one false disk: nodes, names, and the journal of what
 * is not durable yet.
 *
 * A node lives as long as a name, an open descriptor or an entry of the journal holds it.  Errors
 * are -errno.  Used by testing/sim/fs and fd. */
#ifndef QR_TESTING_SIM_TREE_H
#define QR_TESTING_SIM_TREE_H

#include "base/list.h"
#include "base/map.h"
#include "testing/sim/fs.h"
#include "testing/sim/pages.h"

#define QR_SIM_NAME_BYTES_MAX 255u

struct qr_sim_tree;

struct qr_sim_node {
    struct qr_sim_tree *tree;
    struct qr_list node; /* Of all of the tree. */
    uint64_t ino;
    bool folder;
    unsigned mode; /* Permissions. */
    unsigned n_links, n_refs;
    int64_t changed_ns; /* Unix time. */
    struct qr_sim_pages pages;
    struct qr_map names;        /* struct qr_sim_name */
    struct qr_sim_node *parent; /* Of a folder. */
    bool unsynced;              /* Syncs of it do nothing. */
    bool stopped;               /* .. while power fails: no later change of it survives. */
};

struct qr_sim_name {
    struct qr_sim_node *node;
    size_t len;
    char text[QR_SIM_NAME_BYTES_MAX + 1];
};

struct qr_sim_tree {
    struct qr_sim_disk disk; /* The part that everybody sees; first. */
    struct qr_sim_host *host;
    struct qr_sim_node *root; /* "/sim" */
    struct qr_list nodes;
    struct qr_list journal; /* struct qr_sim_change, the oldest first. */
    uint64_t n_inos;
    struct qr_rng rng;
    uint64_t crash_at; /* In disk.n.calls; 0: never. */
    enum qr_sim_when crash_when;
    enum qr_sim_down crash_how;
};

struct qr_sim_tree *qr_sim_tree(struct qr_sim_host *host);
/* Of what is, or NULL: this host has no disk yet. */
struct qr_sim_tree *qr_sim_tree_known(const struct qr_sim_host *host);

bool qr_sim_is_path(const char *path); /* "/sim" or below it. */

/* Where a path leads. */
struct qr_sim_place {
    struct qr_sim_node *folder; /* NULL: the root itself. */
    struct qr_sim_node *node;   /* NULL: no such name in the folder. */
    char name[QR_SIM_NAME_BYTES_MAX + 1];
    bool wants_folder; /* It ended with a slash. */
};

/* A path that begins with /sim, or one below `from` (may be NULL).  0, -ENOENT (a folder of the way
 * is missing), -ENOTDIR, -ENAMETOOLONG. */
int qr_sim_walk(struct qr_sim_tree *tree, struct qr_sim_node *from, const char *path,
                struct qr_sim_place *place);

struct qr_sim_node *qr_sim_node_new(struct qr_sim_tree *tree, bool folder, unsigned mode);
void qr_sim_node_hold(struct qr_sim_node *node);
void qr_sim_node_drop(struct qr_sim_node *node);

/* Changes of names.  The caller has checked that they make sense. */
void qr_sim_link(struct qr_sim_node *folder, const char *name, struct qr_sim_node *node);
void qr_sim_unlink(struct qr_sim_node *folder, const char *name);
void qr_sim_rename(const struct qr_sim_place *from, const struct qr_sim_place *to);
/* Changes of size that the journal knows: truncations, and room that was allotted. */
void qr_sim_resize(struct qr_sim_node *node, uint64_t size);
void qr_sim_reserve(struct qr_sim_node *node, uint64_t bytes, bool grows);
/* used_bytes after writing. */
void qr_sim_account(struct qr_sim_node *node, uint64_t used_before);

/* What fsync (data_only: fdatasync) of this node makes durable. */
void qr_sim_commit(struct qr_sim_node *node, bool data_only);

/* Of a file: no byte, no name and no folder above it depends on what is not durable yet. */
bool qr_sim_node_is_durable(const struct qr_sim_node *node);

/* The power fails; nothing is open. */
void qr_sim_tree_cut(struct qr_sim_tree *tree);
void qr_sim_tree_wipe(struct qr_sim_tree *tree);

/* The names of a folder, in an order that means nothing but is the same in each run; freed by the
 * caller. */
struct qr_sim_name *qr_sim_names(const struct qr_sim_node *folder, size_t *n);

#endif
