/* cluster/folder.h — the folder of a log, and the small files that we keep there beside the
 * library's: `marker`, `disk`, `cut`, `term`.  Each holds a number or two:
 *
 *   8 bytes of magic, the number (u32 or u64, little endian; or two u64), u32 CRC32C of all before
 *
 * Written whole, synced, and renamed into place.  All calls block.  Thread: any. */
#ifndef QR_CLUSTER_FOLDER_H
#define QR_CLUSTER_FOLDER_H

#include <limits.h>
#include <stdint.h>

#include "base/slice.h"

/* What an operator does about a log that is damaged. */
#define QR_FOLDER_REMEDY                                                                           \
    "empty the data folder, start the member, and run `quoratectl members replace` for it"

struct qr_folder_file {
    const char *name;
    char magic[8];
    unsigned number_bytes; /* 4 or 8; 16: a pair */
};

/* 0, or UV_ENAMETOOLONG. */
int qr_folder_path(char path[PATH_MAX], const char *dir, const char *name);

/* What was renamed, made and removed in it is durable.  0 or an error of the system. */
int qr_folder_sync(const char *dir);

/* 0, UV_ENOENT, QR_E_CORRUPT, or an error of the system. */
int qr_folder_read(const char *dir, const struct qr_folder_file *file, uint64_t *number);

/* 0 or an error of the system.  Its bytes are durable, the rename once the folder is synced. */
int qr_folder_write(const char *dir, const struct qr_folder_file *file, uint64_t number);

/* The same for two numbers, and for any bytes. */
int qr_folder_read_pair(const char *dir, const struct qr_folder_file *file, uint64_t pair[2]);
int qr_folder_write_pair(const char *dir, const struct qr_folder_file *file,
                         const uint64_t pair[2]);
int qr_folder_write_file(const char *dir, const char *name, struct qr_slice bytes);

#endif
