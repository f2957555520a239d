/* node/ctl/block_files.h — block files named by an operator: found in folders, opened without a
 * manifest.  Thread: any; it blocks. */
#ifndef QR_NODE_CTL_BLOCK_FILES_H
#define QR_NODE_CTL_BLOCK_FILES_H

#include "storage/block.h"

struct qr_block_path {
    struct qr_block_id id; /* By its name; zeros if that is none of a block file. */
    char *path;
};

struct qr_block_paths {
    struct qr_block_path *at;
    size_t n;
};

/* Adds a file, whatever its name, or a folder's files that are named as block files, in the order
 * of their ids.  0, UV_ENOMEM or why it cannot be read. */
int qr_block_paths_add(struct qr_block_paths *paths, const char *path);
void qr_block_paths_release(struct qr_block_paths *paths);

/* The index of a file, by what the file says of itself.  Errors as qr_block_index_read. */
int qr_block_open(struct qr_block_index **index, const char *path);

/* "2023-11-14T22:10:00Z" */
#define QR_TIME_TEXT_BYTES 32
void qr_time_text(int64_t time_s, char text[QR_TIME_TEXT_BYTES]);

#endif
