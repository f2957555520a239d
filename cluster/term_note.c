#include "cluster/term_note.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/log.h"
#include "cluster/folder.h"

/* The library's: u64 format, version, term, vote.  The odd versions are in the first file. */
#define METADATA_BYTES  32u
#define METADATA_FORMAT 1u

static const struct qr_folder_file note_file = {"term", "QRTERM1\n", 16};
static const char *const names[] = {"metadata1", "metadata2"};

int qr_term_note_write(const char *dir, uint64_t term, uint64_t vote)
{
    const uint64_t pair[2] = {term, vote};
    int err = qr_folder_write_pair(dir, &note_file, pair);
    return err == 0 ? qr_folder_sync(dir) : err;
}

struct metadata {
    bool exists, is_sound;
    uint64_t version, term, vote;
};

static int read_metadata(const char *dir, unsigned i, struct metadata *metadata)
{
    char path[PATH_MAX], bytes[METADATA_BYTES + 1];
    *metadata = (struct metadata){0};
    int err = qr_folder_path(path, dir, names[i]);
    if (err != 0)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    ssize_t n = read(fd, bytes, sizeof bytes);
    err = n < 0 ? -errno : 0;
    close(fd);
    if (err != 0)
        return err;
    metadata->exists = true;
    if (n != (ssize_t)METADATA_BYTES)
        return 0;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, METADATA_BYTES));
    uint64_t format = qr_cursor_u64(&in);
    metadata->version = qr_cursor_u64(&in);
    metadata->term = qr_cursor_u64(&in);
    metadata->vote = qr_cursor_u64(&in);
    metadata->is_sound = format == METADATA_FORMAT && metadata->version % 2 == (i + 1) % 2;
    return 0;
}

/* What the library would say; not sound if one of its files is none. */
static int read_newest(const char *dir, struct metadata *newest)
{
    struct metadata found[2];
    bool are_sound = true;
    *newest = (struct metadata){0};
    for (unsigned i = 0; i < 2; i++) {
        int err = read_metadata(dir, i, &found[i]);
        if (err != 0)
            return err;
        are_sound = are_sound && (!found[i].exists || found[i].is_sound);
        if (found[i].is_sound && newest->version < found[i].version)
            *newest = found[i];
    }
    newest->is_sound = newest->is_sound && are_sound;
    return 0;
}

static int write_metadata(const char *dir, const uint64_t pair[2])
{
    char path[PATH_MAX];
    struct qr_buf bytes = {0};
    qr_buf_add_u64(&bytes, METADATA_FORMAT);
    qr_buf_add_u64(&bytes, 1);
    qr_buf_add_u64(&bytes, pair[0]);
    qr_buf_add_u64(&bytes, pair[1]);
    int err = bytes.failed ? UV_ENOMEM : qr_folder_write_file(dir, names[0], qr_buf_slice(&bytes));
    qr_buf_release(&bytes);
    if (err == 0)
        err = qr_folder_path(path, dir, names[1]);
    if (err == 0 && unlink(path) != 0 && errno != ENOENT)
        err = -errno;
    return err == 0 ? qr_folder_sync(dir) : err;
}

int qr_term_note_mend(const char *dir)
{
    uint64_t pair[2];
    struct metadata newest;
    int noted = qr_folder_read_pair(dir, &note_file, pair);
    if (noted != 0 && noted != QR_E_CORRUPT)
        return noted == UV_ENOENT ? 0 : noted;
    int err = read_newest(dir, &newest);
    if (err != 0)
        return err;
    if (noted == QR_E_CORRUPT) {
        qr_warn("the note of term and vote is damaged: it is made again dir=%s", dir);
        return newest.is_sound ? qr_term_note_write(dir, newest.term, newest.vote) : 0;
    }
    if (newest.is_sound && newest.term == pair[0] && newest.vote == pair[1])
        return 0;
    qr_warn("term and vote are written again from their note: the library's files are damaged or "
            "older dir=%s term=%llu vote=%llu",
            dir, (unsigned long long)pair[0], (unsigned long long)pair[1]);
    return write_metadata(dir, pair);
}
